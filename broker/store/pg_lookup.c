#include <stdlib.h>

#include "base/clock.h"
#include "store/pg_store_internal.h"

/* An HTTP thread waits for the answer. */
#define WAIT_MS 2000

/* After a failure others fail at once for so long, instead of waiting one after the other. */
#define RETRY_MS 1000

struct pg_lookups *pg_lookups_new(const struct pg_place *place, struct store *store)
{
    struct pg_lookups *lookups = calloc(1, sizeof(*lookups));

    if (lookups == NULL || pthread_mutex_init(&lookups->lock, NULL) != 0) {
        free(lookups);
        return NULL;
    }
    lookups->place = place;
    lookups->store = store;
    lookups->size = &store->size;
    return lookups;
}

void pg_lookups_free(struct pg_lookups *lookups)
{
    if (lookups == NULL)
        return;
    for (size_t i = 0; i < lookups->idle_count; i++)
        pg_close(&lookups->idle[i]);
    (void)pthread_mutex_destroy(&lookups->lock);
    free(lookups);
}

/* One that was used before, or a closed one. */
static struct pg_connection take_idle(struct pg_lookups *lookups)
{
    struct pg_connection connection = { 0 };

    (void)pthread_mutex_lock(&lookups->lock);
    if (lookups->idle_count > 0)
        connection = lookups->idle[--lookups->idle_count];
    (void)pthread_mutex_unlock(&lookups->lock);
    return connection;
}

static void give_back(struct pg_lookups *lookups, struct pg_connection *connection)
{
    if (!pg_is_open(connection))
        return;
    (void)pthread_mutex_lock(&lookups->lock);
    if (lookups->idle_count < PG_LOOKUPS_KEPT) {
        lookups->idle[lookups->idle_count++] = *connection;
        connection->handle = NULL;
    }
    (void)pthread_mutex_unlock(&lookups->lock);
    pg_close(connection);
}

static bool connect_to(struct pg_lookups *lookups, struct pg_connection *connection,
                       struct error *error)
{
    if (!store_is_writable(lookups->store) ||
        clock_system_ms() < atomic_load(&lookups->retry_at_ms))
        return error_set(error, ERROR_LEDGER, "PostgreSQL: not connected");
    if (pg_open(connection, lookups->place, PG_LOOKUP, error))
        return true;
    atomic_store(&lookups->retry_at_ms, clock_system_ms() + RETRY_MS);
    return false;
}

/*
 * Ask by a connection that is there; where it was lost since, by a new one. While the store's own
 * thread cannot connect nobody else tries: threads that others wait for would hang.
 */
PGresult *pg_look_up(struct pg_lookups *lookups, enum pg_statement statement,
                     const struct pg_values *values, struct error *error)
{
    struct pg_connection connection = take_idle(lookups);
    struct error cause = { 0 };
    PGresult *result = NULL;

    if (pg_is_open(&connection))
        result = pg_ask(&connection, statement, values, WAIT_MS, &cause);
    if (result == NULL && !pg_is_open(&connection)) {
        cause = (struct error){ 0 };
        if (connect_to(lookups, &connection, &cause))
            result = pg_ask(&connection, statement, values, WAIT_MS, &cause);
    }
    give_back(lookups, &connection);
    if (result == NULL)
        (void)error_set(error, ERROR_LEDGER, "%s", cause.cause);
    return result;
}

static bool find_lease(struct pg_lookups *lookups, enum pg_statement statement, struct str key,
                       struct store_lease *lease, struct error *error)
{
    OWNED(pg_result_clear) PGresult *result = NULL;
    struct pg_values values = { 0 };

    pg_add_bytes(&values, key);
    result = pg_look_up(lookups, statement, &values, error);
    if (result == NULL)
        return false;
    if (PQntuples(result) == 0)
        return error_set(error, ERROR_NOT_FOUND, "there is no such lease");
    if (!pg_read_lease(result, 0, lease))
        return error_set(error, ERROR_LEDGER, "stagepass.leases has a row that makes no sense");
    pg_raise(lookups->size, lease->latest_index + 1);
    return true;
}

/* Text for the server: what is not ASCII is no id of ours. */
static bool is_id(const char id[ID_LEN])
{
    for (size_t i = 0; i < ID_LEN; i++)
        if (id[i] < '0' || id[i] > 'z')
            return false;
    return true;
}

bool pg_lookup_lease_by_id(struct pg_lookups *lookups, const char id[ID_LEN],
                           struct store_lease *lease, struct error *error)
{
    if (!is_id(id))
        return error_set(error, ERROR_NOT_FOUND, "there is no such lease");
    return find_lease(lookups, PG_LEASE_BY_ID, (struct str){ id, ID_LEN }, lease, error);
}

bool pg_lookup_lease_by_handle(struct pg_lookups *lookups, const uint8_t handle[STORE_HANDLE_LEN],
                               struct store_lease *lease, struct error *error)
{
    struct str text = { (const char *)handle, STORE_HANDLE_LEN };

    return find_lease(lookups, PG_LEASE_BY_HANDLE, text, lease, error);
}

bool pg_lookup_mark(struct pg_lookups *lookups, const uint8_t key[32], struct store_mark *mark,
                    struct error *error)
{
    OWNED(pg_result_clear) PGresult *result = NULL;
    struct pg_values values = { 0 };
    uint8_t found[32];

    pg_add_bytes(&values, (struct str){ (const char *)key, sizeof(found) });
    result = pg_look_up(lookups, PG_MARK, &values, error);
    if (result == NULL)
        return false;
    if (PQntuples(result) == 0)
        return error_set(error, ERROR_NOT_FOUND, "there is no such mark");
    if (!pg_read_mark(result, 0, found, mark))
        return error_set(error, ERROR_LEDGER, "stagepass.marks has a row that makes no sense");
    pg_raise(lookups->size, mark->latest_index + 1);
    return mark->expires_s > clock_wall_s() ||
           error_set(error, ERROR_NOT_FOUND, "there is no such mark");
}

/* Each row has the version; the only one may have nothing else. */
bool pg_lookup_blocks(struct pg_lookups *lookups, struct store_blocks *blocks, struct error *error)
{
    OWNED(pg_result_clear) PGresult *result = pg_look_up(lookups, PG_BLOCKS, NULL, error);
    int count = 0;

    if (result == NULL)
        return false;
    count = PQntuples(result);
    if (count == 0 || count > STORE_BLOCKS_MAX)
        return error_set(error, ERROR_LEDGER, "stagepass.blocks has more rows than it may");
    blocks->version = (uint64_t)pg_number(result, 0, 3);
    blocks->count = PQgetisnull(result, 0, 0) ? 0 : (size_t)count;
    for (size_t i = 0; i < blocks->count; i++)
        if (!pg_read_block(result, (int)i, &blocks->rows[i]))
            return error_set(error, ERROR_LEDGER, "stagepass.blocks has a row that makes no sense");
    pg_raise(lookups->size, blocks->version);
    return true;
}

bool pg_lookup_leases_under(struct pg_lookups *lookups, const struct store_leases_query *query,
                            size_t *count, struct error *error)
{
    OWNED(pg_result_clear) PGresult *result = NULL;
    struct pg_values values = { 0 };

    if (!lease_has_key(query->key))
        return true;
    pg_add_number(&values, query->kind);
    pg_add_bytes(&values, (struct str){ (const char *)query->key, STORE_KEY_LEN });
    pg_add_number(&values, (int64_t)query->max);
    result = pg_look_up(lookups, PG_LEASES_UNDER, &values, error);
    if (result == NULL)
        return false;
    for (int i = 0; i < PQntuples(result) && *count < query->max; i++, (*count)++)
        if (!pg_read_lease(result, i, &query->leases[*count]))
            return error_set(error, ERROR_LEDGER, "stagepass.leases has a row that makes no sense");
    return true;
}

/* The column behind those of a lease. */
#define LIVE_COLUMN 21

bool pg_lookup_live_of_stage(struct pg_lookups *lookups, const struct store_leases_query *query,
                             size_t *live, struct error *error)
{
    OWNED(pg_result_clear) PGresult *result = NULL;
    struct pg_values values = { 0 };

    if (!lease_has_key(query->key))
        return true;
    pg_add_bytes(&values, (struct str){ (const char *)query->key, STORE_KEY_LEN });
    pg_add_number(&values, clock_wall_s());
    pg_add_number(&values, (int64_t)query->max);
    result = pg_look_up(lookups, PG_LIVE_OF_STAGE, &values, error);
    if (result == NULL)
        return false;
    for (int i = 0; i < PQntuples(result) && i < (int)query->max; i++) {
        if (!pg_read_lease(result, i, &query->leases[i]))
            return error_set(error, ERROR_LEDGER, "stagepass.leases has a row that makes no sense");
        *live = (size_t)pg_number(result, i, LIVE_COLUMN);
    }
    return true;
}

static bool read_approval(const PGresult *result, int row, struct store_approval *approval,
                          struct error *error)
{
    return pg_read_approval(result, row, approval) ||
           error_set(error, ERROR_LEDGER, "stagepass.approvals has a row that makes no sense");
}

bool pg_lookup_approval(struct pg_lookups *lookups, enum approval_key by, const void *key,
                        struct store_approval *approval, struct error *error)
{
    enum pg_statement statement = by == APPROVAL_BY_ID ? PG_APPROVAL_BY_ID : PG_APPROVAL_BY_CODE;
    OWNED(pg_result_clear) PGresult *result = NULL;
    struct pg_values values = { 0 };

    if (by == APPROVAL_BY_ID && !is_id(key))
        return error_set(error, ERROR_NOT_FOUND, "there is no such approval");
    pg_add_bytes(&values, (struct str){ key, by == APPROVAL_BY_ID ? ID_LEN : 32 });
    result = pg_look_up(lookups, statement, &values, error);
    if (result == NULL)
        return false;
    if (PQntuples(result) == 0)
        return error_set(error, ERROR_NOT_FOUND, "there is no such approval");
    if (!read_approval(result, 0, approval, error))
        return false;
    pg_raise(lookups->size, approval->latest_index + 1);
    return true;
}

bool pg_lookup_approvals_of(struct pg_lookups *lookups, const uint8_t digest[32],
                            struct store_approval *approvals, size_t max, size_t *count,
                            struct error *error)
{
    OWNED(pg_result_clear) PGresult *result = NULL;
    struct pg_values values = { 0 };

    pg_add_bytes(&values, (struct str){ (const char *)digest, 32 });
    pg_add_number(&values, clock_wall_s());
    pg_add_number(&values, (int64_t)max);
    result = pg_look_up(lookups, PG_APPROVALS_OF, &values, error);
    if (result == NULL)
        return false;
    for (int i = 0; i < PQntuples(result) && *count < max; i++, (*count)++) {
        if (!read_approval(result, i, &approvals[*count], error))
            return false;
        pg_raise(lookups->size, approvals[*count].latest_index + 1);
    }
    return true;
}

bool pg_lookup_approvals(struct pg_lookups *lookups, struct store_approval *approvals, size_t max,
                         size_t *count, struct error *error)
{
    OWNED(pg_result_clear) PGresult *result = NULL;
    struct pg_values values = { 0 };

    pg_add_number(&values, clock_wall_s());
    pg_add_number(&values, max > STORE_APPROVALS_MAX ? STORE_APPROVALS_MAX : (int64_t)max);
    result = pg_look_up(lookups, PG_APPROVALS, &values, error);
    if (result == NULL)
        return false;
    for (int i = 0; i < PQntuples(result) && *count < max; i++, (*count)++)
        if (!read_approval(result, i, &approvals[*count], error))
            return false;
    return true;
}

bool pg_lookup_live_leases(struct pg_lookups *lookups, size_t *count, struct error *error)
{
    OWNED(pg_result_clear) PGresult *result = NULL;
    struct pg_values values = { 0 };

    pg_add_number(&values, clock_wall_s());
    result = pg_look_up(lookups, PG_COUNT_LEASES, &values, error);
    if (result != NULL)
        *count = (size_t)pg_number(result, 0, 0);
    return result != NULL;
}

bool pg_lookup_newest_checkpoint(struct pg_lookups *lookups, struct arena *arena,
                                 struct str *newest, struct error *error)
{
    OWNED(pg_result_clear) PGresult *result = pg_look_up(lookups, PG_READ_CHECKPOINT, NULL, error);

    *newest = (struct str){ 0 };
    if (result == NULL)
        return false;
    if (PQntuples(result) == 0)
        return true;
    *newest = arena_copy(arena, pg_bytes(result, 0, 1));
    return newest->data != NULL || error_set(error, ERROR_MEMORY, "no memory for a checkpoint");
}

/* The server keeps the larger one; a statement of its own, so that it sees whichever that is. */
bool pg_lookup_offer_checkpoint(struct pg_lookups *lookups, uint64_t size, struct str note,
                                struct arena *arena, struct str *newest, struct error *error)
{
    OWNED(pg_result_clear) PGresult *result = NULL;
    struct pg_values values = { 0 };

    pg_add_number(&values, (int64_t)size);
    pg_add_bytes(&values, note);
    result = pg_look_up(lookups, PG_OFFER_CHECKPOINT, &values, error);
    return result != NULL && pg_lookup_newest_checkpoint(lookups, arena, newest, error);
}

bool pg_lookup_erase(struct pg_lookups *lookups, const uint64_t *indices, size_t count,
                     struct error *error)
{
    OWNED(pg_result_clear) PGresult *result = NULL;
    OWNED(buf_release) struct buf list = { 0 };
    struct pg_values values = { 0 };

    buf_init(&list, 64 + count * 12);
    pg_array_begin(&list, PG_INT8, count);
    for (size_t i = 0; i < count; i++)
        pg_array_number(&list, (int64_t)indices[i]);
    if (!buf_is_ok(&list))
        return error_set(error, ERROR_MEMORY, "no memory for a list of entries");
    pg_add_bytes(&values, buf_str(&list));
    result = pg_look_up(lookups, PG_ERASE, &values, error);
    return result != NULL;
}

bool pg_lookup_prune(struct pg_lookups *lookups, uint64_t from, uint64_t below, struct error *error)
{
    OWNED(pg_result_clear) PGresult *result = NULL;
    struct pg_values values = { 0 };

    pg_add_number(&values, (int64_t)from);
    pg_add_number(&values, (int64_t)below);
    result = pg_look_up(lookups, PG_PRUNE, &values, error);
    return result != NULL;
}

bool pg_lookup_oldest_live(struct pg_lookups *lookups, uint64_t *index, struct error *error)
{
    OWNED(pg_result_clear) PGresult *result = NULL;
    struct pg_values values = { 0 };

    pg_add_number(&values, clock_wall_s());
    result = pg_look_up(lookups, PG_OLDEST_LIVE, &values, error);
    if (result == NULL)
        return false;
    *index = PQgetisnull(result, 0, 0) ? UINT64_MAX : (uint64_t)pg_number(result, 0, 0);
    return true;
}
