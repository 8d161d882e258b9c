#include "clients/variable.h"

#include <stddef.h>
#include <stdlib.h>

const char *variable_get(const char *name)
{
    const char *value = getenv(name); /* NOLINT(concurrency-mt-unsafe): it never changes */

    return value && value[0] != '\0' ? value : NULL;
}
