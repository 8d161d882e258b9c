#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "store/pg_store_internal.h"

/* Entries a transaction. */
#define STEP 256

static bool lock(struct pg_store *pg, struct pg_head *head, struct error *error)
{
    struct pg_connection *writer = &pg->writer;
    OWNED(pg_result_clear) PGresult *locked = NULL;

    pg_begin(writer, PG_WAIT_MS);
    if (!pg_send(writer, PG_BEGIN, NULL, error) || !pg_send(writer, PG_LOCK_HEAD, NULL, error) ||
        !pg_sync(writer, error) || !pg_skip(writer, 1, error))
        return false;
    locked = pg_take(writer, error);
    if (locked == NULL || !pg_end(writer, error))
        return false;
    return pg_read_head(locked, head) ||
           error_set(error, ERROR_INVALID, "stagepass.head has no row");
}

static PGresult *read_entries(struct pg_store *pg, const struct pg_head *head, struct error *error)
{
    uint64_t end = head->size - head->folded > STEP ? head->folded + STEP : head->size;
    struct pg_connection *writer = &pg->writer;
    struct pg_values values = { 0 };
    PGresult *entries = NULL;

    pg_add_number(&values, (int64_t)head->folded);
    pg_add_number(&values, (int64_t)end);
    pg_begin(writer, PG_WAIT_MS);
    if (!pg_send(writer, PG_READ_ENTRIES, &values, error) || !pg_sync(writer, error))
        return NULL;
    entries = pg_take(writer, error);
    if (entries != NULL && pg_end(writer, error) &&
        (uint64_t)PQntuples(entries) == end - head->folded)
        return entries;
    PQclear(entries);
    (void)error_set(error, ERROR_INVALID, "entries are missing behind %" PRIu64, head->folded);
    return NULL;
}

/* All changes of these entries, each with its entry's place among them. */
struct folded {
    struct store_change changes[STEP][STORE_ENTRY_CHANGES_MAX];
    size_t counts[STEP];
};

static bool fold_entries(struct pg_store *pg, const PGresult *entries, uint64_t first,
                         struct folded *folded, struct error *error)
{
    for (int i = 0; i < PQntuples(entries); i++) {
        uint64_t index = first + (uint64_t)i;

        folded->counts[i] = 0;
        if (store_entry_is_pruned(pg_bytes(entries, i, 2))) /* what followed from it has ended */
            continue;
        if (!pg->fold.entry(pg_bytes(entries, i, 2), index, folded->changes[i], &folded->counts[i],
                            error))
            return error_wrap(error, "entry %" PRIu64, index);
        for (size_t k = 0; k < folded->counts[i]; k++)
            pg_rows_name_change(&pg->rows, &folded->changes[i][k]);
    }
    return true;
}

static bool load_rows(struct pg_store *pg, const struct pg_head *head, struct error *error)
{
    pg_begin(&pg->writer, PG_WAIT_MS);
    if (!pg_rows_ask(&pg->rows, &pg->writer, error) || !pg_sync(&pg->writer, error) ||
        !pg_rows_load(&pg->rows, &pg->writer, error) || !pg_end(&pg->writer, error))
        return false;
    pg->rows.state->blocks.version = head->blocks;
    return true;
}

/* The clock may be wrong at a start: of marks nothing ends before an entry is that late. */
static int64_t marks_time_s(const PGresult *entries, int row)
{
    int64_t log_s = pg_number(entries, row, 1) / 1000;
    int64_t now_s = clock_wall_s();

    return log_s < now_s ? log_s : now_s;
}

static bool apply(struct pg_store *pg, const PGresult *entries, uint64_t first,
                  const struct folded *folded, struct error *error)
{
    pg_rows_forget_names(&pg->rows);
    for (int i = 0; i < PQntuples(entries); i++)
        for (size_t k = 0; k < folded->counts[i]; k++) {
            struct pending_change change = { &folded->changes[i][k], first + (uint64_t)i,
                                             pg_number(entries, i, 1) / 1000 };

            pg_rows_name_changed(&pg->rows, change.change);
            if (!state_apply(pg->rows.state, &change, marks_time_s(entries, i)))
                return error_set(error, ERROR_MEMORY, "no memory for marks and leases");
        }
    return true;
}

static bool commit(struct pg_store *pg, const PGresult *entries, struct pg_head *head,
                   struct error *error)
{
    struct pg_connection *writer = &pg->writer;
    int last = PQntuples(entries) - 1;
    struct pg_values values = { 0 };

    head->folded += (uint64_t)PQntuples(entries);
    pg_add_number(&values, (int64_t)head->size);
    pg_add_number(&values, (int64_t)head->folded);
    pg_add_number(&values, head->time_ms);
    pg_begin(writer, PG_WAIT_MS);
    return pg_rows_write(&pg->rows, writer, marks_time_s(entries, last), error) &&
           pg_send(writer, PG_MOVE_HEAD, &values, error) &&
           pg_send(writer, PG_COMMIT, NULL, error) && pg_sync(writer, error) &&
           pg_skip(writer, pg_rows_write_count(&pg->rows) + 2, error) && pg_end(writer, error);
}

static bool step(struct pg_store *pg, struct pg_head *head, struct folded *folded,
                 struct error *error)
{
    OWNED(pg_result_clear) PGresult *entries = NULL;
    uint64_t first = head->folded;

    entries = read_entries(pg, head, error);
    pg_rows_clear(&pg->rows);
    return entries != NULL && fold_entries(pg, entries, first, folded, error) &&
           load_rows(pg, head, error) && apply(pg, entries, first, folded, error) &&
           commit(pg, entries, head, error);
}

static bool leave(struct pg_store *pg, struct error *error)
{
    pg_begin(&pg->writer, PG_WAIT_MS);
    return pg_send(&pg->writer, PG_ROLLBACK, NULL, error) && pg_sync(&pg->writer, error) &&
           pg_skip(&pg->writer, 1, error) && pg_end(&pg->writer, error);
}

/* Each step locks the head anew: another broker may start, and fold, at the same time. */
bool pg_fold(struct pg_store *pg, struct pg_head *head, struct error *error)
{
    struct folded *folded = calloc(1, sizeof(*folded));
    bool is_done = false;

    if (folded == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for marks and leases");
    while (lock(pg, head, error)) {
        if (head->folded >= head->size) {
            is_done = leave(pg, error);
            break;
        }
        if (!step(pg, head, folded, error))
            break;
    }
    free(folded);
    return is_done;
}
