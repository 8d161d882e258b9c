#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "pg/dsn.h"
#include "store/folder_store.h"
#include "store/pg_store.h"
#include "store/store_internal.h"

#define ITEM_LEN_MAX (STORE_ENTRY_MAX + STORE_PRIVATE_MAX)

struct store_import {
    struct store *store; /* its thread is never started */
    int64_t time_ms;     /* of the last entry */
    char *bytes;         /* of what is not written yet */
    size_t used;
    struct store_import_item items[STORE_IMPORT_ITEMS_MAX];
    size_t count;
};

static bool open_empty(const struct store_options *options, struct store_import *import,
                       struct error *error)
{
    bool is_database = options->dsn_file != NULL || pg_dsn_is_url(options->location);
    bool is_open = is_database ? pg_store_open(options, &import->store, error)
                               : folder_store_open(options, &import->store, error);

    if (!is_open)
        return false;
    return store_size(import->store) == 0 ||
           error_set(error, ERROR_USAGE,
                     "it has entries already: a ledger is imported into a new store");
}

bool store_import_open(const struct store_options *options, struct store_import **out,
                       struct error *error)
{
    OWNED(store_import_close) struct store_import *import = calloc(1, sizeof(*import));

    if (import != NULL)
        import->bytes = malloc(STORE_IMPORT_ITEMS_MAX * ITEM_LEN_MAX);
    if (import == NULL || import->bytes == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for an import");
    if (!open_empty(options, import, error))
        return error_wrap(error, "store");
    *out = TAKE(import);
    return true;
}

void store_import_close(struct store_import *import)
{
    if (import == NULL)
        return;
    if (import->store != NULL)
        import->store->backend->close(import->store);
    free(import->bytes);
    free(import);
}

const struct store *store_import_store(const struct store_import *import)
{
    return import->store;
}

static struct str keep(struct store_import *import, struct str bytes)
{
    struct str kept = { import->bytes + import->used, bytes.len };

    if (bytes.len > 0)
        memcpy(import->bytes + import->used, bytes.data, bytes.len);
    import->used += bytes.len;
    return kept;
}

bool store_import_flush(struct store_import *import, struct error *error)
{
    size_t count = import->count;

    import->count = 0;
    import->used = 0;
    return count == 0 || import->store->backend->import(import->store, import->items, count, error);
}

bool store_import_add(struct store_import *import, struct str entry, struct str private_part,
                      int64_t time_ms, struct error *error)
{
    struct store_import_item *item = NULL;

    if (entry.len == 0 || entry.len > STORE_ENTRY_MAX || private_part.len > STORE_PRIVATE_MAX)
        return error_set(error, ERROR_LIMIT, "an entry is empty, or larger than it may be");
    if (time_ms < import->time_ms)
        return error_set(error, ERROR_INVALID, "an entry's time goes back");
    if (import->count == STORE_IMPORT_ITEMS_MAX && !store_import_flush(import, error))
        return false;
    item = &import->items[import->count++];
    item->entry = keep(import, entry);
    item->private_part = keep(import, private_part);
    item->time_ms = time_ms;
    import->time_ms = time_ms;
    return true;
}
