#include "store/pg_store_internal.h"

static bool send_items(struct pg_store *pg, const struct store_import_item *items, size_t count,
                       uint64_t first, struct error *error)
{
    OWNED(buf_release) struct buf times = { 0 };
    struct pg_values values = { 0 };

    buf_init(&times, 64 + count * 16);
    buf_clear(&pg->entries);
    buf_clear(&pg->privates);
    pg_array_begin(&times, PG_INT8, count);
    pg_array_begin(&pg->entries, PG_BYTEA, count);
    pg_array_begin(&pg->privates, PG_BYTEA, count);
    for (size_t i = 0; i < count; i++) {
        pg_array_number(&times, items[i].time_ms);
        pg_array_bytes(&pg->entries, items[i].entry);
        if (items[i].private_part.len > 0)
            pg_array_bytes(&pg->privates, items[i].private_part);
        else
            pg_array_null(&pg->privates);
    }
    if (!buf_is_ok(&times) || !buf_is_ok(&pg->entries) || !buf_is_ok(&pg->privates))
        return error_set(error, ERROR_MEMORY, "no memory for a batch");
    pg_add_number(&values, (int64_t)first);
    pg_add_bytes(&values, buf_str(&times));
    pg_add_bytes(&values, buf_str(&pg->entries));
    pg_add_bytes(&values, buf_str(&pg->privates));
    return pg_send(&pg->writer, PG_IMPORT_ENTRIES, &values, error);
}

static bool send_all(struct pg_store *pg, const struct store_import_item *items, size_t count,
                     uint64_t first, struct error *error)
{
    struct pg_values head = { 0 };

    pg_add_number(&head, (int64_t)(first + count));
    pg_add_number(&head, 0); /* no rows were made of them yet */
    pg_add_number(&head, items[count - 1].time_ms);
    return pg_send(&pg->writer, PG_BEGIN, NULL, error) &&
           pg_send(&pg->writer, PG_LOCK_HEAD, NULL, error) &&
           send_items(pg, items, count, first, error) &&
           pg_send(&pg->writer, PG_MOVE_HEAD, &head, error) &&
           pg_send(&pg->writer, PG_COMMIT, NULL, error) && pg_sync(&pg->writer, error);
}

/* Whoever else appends meanwhile has an index that is taken: one of the two fails. */
bool pg_import(struct store *store, const struct store_import_item *items, size_t count,
               struct error *error)
{
    struct pg_store *pg = (struct pg_store *)store;
    uint64_t first = store_size(store);

    pg_begin(&pg->writer, PG_WAIT_MS);
    if (!send_all(pg, items, count, first, error) || !pg_skip(&pg->writer, 5, error) ||
        !pg_end(&pg->writer, error))
        return false;
    atomic_store(&store->size, first + count);
    return true;
}
