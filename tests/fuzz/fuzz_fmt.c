#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/policy/fmt_property.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is formatted says the same, with the same comments, and stays as it is. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    OWNED(arena_free) struct arena *arena = arena_new((size_t)256 * 1024 * 1024);
    bool is_refused;
    const char *flaw;

    if (arena == NULL || size > 8192)
        return 0;
    flaw = fmt_flaw((struct str){ (const char *)data, size }, arena, &is_refused);
    if (flaw != NULL) {
        (void)fprintf(stderr, "%s\n", flaw);
        abort();
    }
    return 0;
}
