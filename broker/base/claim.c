#include "base/claim.h"

const struct claim *claim_find(const struct claim_table *table, struct str name)
{
    for (size_t i = 0; i < table->count; i++)
        if (str_eq(str_from(table->rows[i].name), name))
            return &table->rows[i];
    return NULL;
}
