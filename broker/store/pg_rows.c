#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "store/pg_rows_internal.h"

/* Of one parameter: the largest is that of all keys. */
#define ARRAY_MAX ((size_t)4 * 1024 * 1024)

bool pg_rows_init(struct pg_rows *rows)
{
    rows->state = state_new();
    rows->keys = calloc(PG_ROWS_MAX, sizeof(*rows->keys));
    rows->ids = calloc(PG_ROWS_MAX, sizeof(*rows->ids));
    rows->approvals = calloc(PG_ROWS_MAX, sizeof(*rows->approvals));
    rows->counts = calloc(PG_GUARDS_MAX, sizeof(*rows->counts));
    rows->latest = calloc(PG_GUARDS_MAX, sizeof(*rows->latest));
    for (size_t i = 0; i < PG_ARRAYS_MAX; i++)
        buf_init(&rows->arrays[i], ARRAY_MAX);
    return rows->state != NULL && rows->keys != NULL && rows->ids != NULL &&
           rows->approvals != NULL && rows->counts != NULL && rows->latest != NULL;
}

void pg_rows_release(struct pg_rows *rows)
{
    state_free(rows->state);
    free(rows->keys);
    free(rows->ids);
    free(rows->approvals);
    free(rows->counts);
    free(rows->latest);
    for (size_t i = 0; i < PG_ARRAYS_MAX; i++)
        buf_release(&rows->arrays[i]);
    *rows = (struct pg_rows){ 0 };
}

void pg_rows_forget_names(struct pg_rows *rows)
{
    rows->key_count = 0;
    rows->id_count = 0;
    rows->lease_change_count = 0;
    rows->approval_count = 0;
    rows->count_count = 0;
    rows->latest_count = 0;
    rows->has_blocks = false;
}

void pg_rows_clear(struct pg_rows *rows)
{
    pg_rows_forget_names(rows);
    state_clear(rows->state);
}

static void name_mark(struct pg_rows *rows, const uint8_t key[MARK_LEN])
{
    if (rows->key_count < PG_ROWS_MAX)
        memcpy(rows->keys[rows->key_count++].bytes, key, MARK_LEN);
}

/* An empty one is none: a mark that comes without a lease, a guard that was not filled in. */
static void name_lease(struct pg_rows *rows, const char id[ID_LEN + 1])
{
    if (rows->id_count < PG_ROWS_MAX && strnlen(id, ID_LEN) == ID_LEN)
        memcpy(rows->ids[rows->id_count++].text, id, ID_LEN);
}

static void name_approval(struct pg_rows *rows, const char id[ID_LEN + 1])
{
    if (rows->approval_count < PG_ROWS_MAX && strnlen(id, ID_LEN) == ID_LEN)
        memcpy(rows->approvals[rows->approval_count++].text, id, ID_LEN);
}

static void name_latest(struct pg_rows *rows, const struct store_guard *guard)
{
    struct pg_latest *latest = &rows->latest[rows->latest_count];

    if (rows->latest_count == PG_GUARDS_MAX)
        return;
    *latest = (struct pg_latest){ .kind = guard->key_kind, .attempt = guard->attempt };
    memcpy(latest->key, guard->key, sizeof(latest->key));
    rows->latest_count++;
}

void pg_rows_name_guard(struct pg_rows *rows, const struct store_guard *guard)
{
    switch (guard->kind) {
    case STORE_GUARD_MARK_ABSENT:
    case STORE_GUARD_MARK_USABLE:
        name_mark(rows, guard->mark);
        break;
    case STORE_GUARD_LEASE:
        name_lease(rows, guard->lease_id);
        break;
    case STORE_GUARD_BLOCKS: /* the head knows of them */
        break;
    case STORE_GUARD_FEWER_LIVE:
    case STORE_GUARD_FEWER_OPENED:
        if (rows->count_count < PG_GUARDS_MAX)
            rows->counts[rows->count_count++] = lease_count_of(guard);
        break;
    case STORE_GUARD_LATEST:
        name_latest(rows, guard);
        break;
    case STORE_GUARD_APPROVAL:
        name_approval(rows, guard->lease_id);
        break;
    }
}

void pg_rows_name_change(struct pg_rows *rows, const struct store_change *change)
{
    pg_rows_name_changed(rows, change);
    if (change->kind == STORE_SET_MARK)
        name_lease(rows, change->lease.id);
    rows->lease_change_count += change->kind == STORE_PUT_LEASE;
}

void pg_rows_name_changed(struct pg_rows *rows, const struct store_change *change)
{
    switch (change->kind) {
    case STORE_SET_MARK:
    case STORE_FREE_MARK:
        name_mark(rows, change->mark);
        break;
    case STORE_PUT_LEASE:
        name_lease(rows, change->lease.id);
        break;
    case STORE_PUT_BLOCK:
    case STORE_REMOVE_BLOCK:
        rows->has_blocks = true;
        break;
    case STORE_PUT_APPROVAL:
        name_approval(rows, change->approval.id);
        break;
    }
}

static int compare_keys(const void *left, const void *right)
{
    return memcmp(left, right, sizeof(struct pg_mark_key));
}

static int compare_ids(const void *left, const void *right)
{
    return memcmp(left, right, sizeof(struct pg_lease_id));
}

static int compare_latest(const void *left, const void *right)
{
    const struct pg_latest *one = left;
    const struct pg_latest *other = right;

    if (one->kind != other->kind)
        return one->kind < other->kind ? -1 : 1;
    if (one->attempt != other->attempt)
        return one->attempt < other->attempt ? -1 : 1;
    return memcmp(one->key, other->key, sizeof(one->key));
}

/* Sort, and keep each once. */
static size_t sort_names(void *names, size_t count, size_t len,
                         int (*compare)(const void *, const void *))
{
    char *bytes = names;
    size_t kept = 0;

    qsort(names, count, len, compare);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || compare(bytes + (kept - 1) * len, bytes + i * len) != 0)
            memmove(bytes + kept++ * len, bytes + i * len, len);
    return kept;
}

/* Of several that count the same, the one that wants to know most. */
static void sort_counts(struct pg_rows *rows)
{
    size_t kept = 0;

    qsort(rows->counts, rows->count_count, sizeof(*rows->counts), lease_count_compare);
    for (size_t i = 0; i < rows->count_count; i++) {
        struct lease_count *last = kept == 0 ? NULL : &rows->counts[kept - 1];

        if (last == NULL || lease_count_compare(last, &rows->counts[i]) != 0)
            rows->counts[kept++] = rows->counts[i];
        else if (rows->counts[i].most > last->most)
            last->most = rows->counts[i].most;
    }
    rows->count_count = kept;
}

/* In order, so that rows are always locked in the same one, and changed once. */
void pg_rows_sort_names(struct pg_rows *rows)
{
    rows->key_count = sort_names(rows->keys, rows->key_count, sizeof(*rows->keys), compare_keys);
    rows->id_count = sort_names(rows->ids, rows->id_count, sizeof(*rows->ids), compare_ids);
    rows->approval_count =
        sort_names(rows->approvals, rows->approval_count, sizeof(*rows->approvals), compare_ids);
    rows->latest_count =
        sort_names(rows->latest, rows->latest_count, sizeof(*rows->latest), compare_latest);
    sort_counts(rows);
}

struct str pg_rows_key(const struct pg_mark_key *key)
{
    return (struct str){ (const char *)key->bytes, sizeof(key->bytes) };
}

struct str pg_rows_id(const struct pg_lease_id *id)
{
    return (struct str){ id->text, sizeof(id->text) };
}

void pg_rows_begin_arrays(struct pg_rows *rows, const enum pg_type *types, size_t array_count,
                          size_t count)
{
    for (size_t i = 0; i < array_count; i++) {
        buf_clear(&rows->arrays[i]);
        pg_array_begin(&rows->arrays[i], types[i], count);
    }
}

bool pg_rows_add_arrays(const struct pg_rows *rows, size_t array_count, struct pg_values *values,
                        struct error *error)
{
    for (size_t i = 0; i < array_count; i++) {
        if (!buf_is_ok(&rows->arrays[i]))
            return error_set(error, ERROR_MEMORY, "no memory for a batch");
        pg_add_bytes(values, buf_str(&rows->arrays[i]));
    }
    return true;
}

bool pg_rows_send(struct pg_rows *rows, struct pg_connection *connection,
                  enum pg_statement statement, size_t array_count, struct error *error)
{
    struct pg_values values = { 0 };

    return pg_rows_add_arrays(rows, array_count, &values, error) &&
           pg_send(connection, statement, &values, error);
}

static void add_ids(struct pg_rows *rows, const struct pg_lease_id *ids, size_t count)
{
    static const enum pg_type types[] = { PG_TEXT };

    pg_rows_begin_arrays(rows, types, COUNT(types), count);
    for (size_t i = 0; i < count; i++)
        pg_array_bytes(&rows->arrays[0], pg_rows_id(&ids[i]));
}

static bool ask_marks(struct pg_rows *rows, struct pg_connection *connection, struct error *error)
{
    static const enum pg_type types[] = { PG_BYTEA };

    pg_rows_begin_arrays(rows, types, COUNT(types), rows->key_count);
    for (size_t i = 0; i < rows->key_count; i++)
        pg_array_bytes(&rows->arrays[0], pg_rows_key(&rows->keys[i]));
    return pg_rows_send(rows, connection, PG_LOAD_MARKS, COUNT(types), error);
}

static bool ask_approvals(struct pg_rows *rows, struct pg_connection *connection,
                          struct error *error)
{
    struct pg_values values = { 0 };

    if (rows->approval_count == 0)
        return true;
    add_ids(rows, rows->approvals, rows->approval_count);
    if (!pg_rows_send(rows, connection, PG_LOAD_APPROVALS, 1, error) ||
        !pg_rows_add_arrays(rows, 1, &values, error))
        return false;
    pg_add_number(&values, rows->now_s);
    return pg_send(connection, PG_COUNT_APPROVALS, &values, error);
}

static bool ask_latest(struct pg_rows *rows, struct pg_connection *connection, struct error *error)
{
    static const enum pg_type types[] = { PG_INT8, PG_BYTEA, PG_INT8 };

    if (rows->latest_count == 0)
        return true;
    pg_rows_begin_arrays(rows, types, COUNT(types), rows->latest_count);
    for (size_t i = 0; i < rows->latest_count; i++) {
        const struct pg_latest *latest = &rows->latest[i];

        pg_array_number(&rows->arrays[0], latest->kind);
        pg_array_bytes(&rows->arrays[1],
                       (struct str){ (const char *)latest->key, sizeof(latest->key) });
        pg_array_number(&rows->arrays[2], latest->attempt);
    }
    return pg_rows_send(rows, connection, PG_LOAD_LATEST, COUNT(types), error);
}

static size_t count_of(const struct pg_rows *rows, enum store_guard_kind guard)
{
    size_t count = 0;

    for (size_t i = 0; i < rows->count_count; i++)
        count += rows->counts[i].guard == guard;
    return count;
}

/* More than may be, and than the batch may end, need not be counted. */
static bool ask_counts(struct pg_rows *rows, struct pg_connection *connection,
                       enum store_guard_kind guard, struct error *error)
{
    static const enum pg_type types[] = { PG_INT8, PG_BYTEA, PG_INT8, PG_INT8 };
    struct pg_values values = { 0 };

    if (count_of(rows, guard) == 0)
        return true;
    pg_rows_begin_arrays(rows, types, COUNT(types), count_of(rows, guard));
    for (size_t i = 0; i < rows->count_count; i++) {
        const struct lease_count *count = &rows->counts[i];

        if (count->guard != guard)
            continue;
        pg_array_number(&rows->arrays[0], count->key_kind);
        pg_array_bytes(&rows->arrays[1],
                       (struct str){ (const char *)count->key, sizeof(count->key) });
        pg_array_number(&rows->arrays[2], count->since_s);
        pg_array_number(&rows->arrays[3], (int64_t)(count->most + rows->lease_change_count));
    }
    if (!pg_rows_add_arrays(rows, COUNT(types), &values, error))
        return false;
    if (guard == STORE_GUARD_FEWER_OPENED)
        return pg_send(connection, PG_COUNT_OPENED, &values, error);
    pg_add_number(&values, rows->now_s);
    return pg_send(connection, PG_COUNT_LIVE, &values, error);
}

bool pg_rows_ask(struct pg_rows *rows, struct pg_connection *connection, struct error *error)
{
    rows->now_s = clock_wall_s();
    pg_rows_sort_names(rows);
    if (!ask_marks(rows, connection, error))
        return false;
    add_ids(rows, rows->ids, rows->id_count);
    return pg_rows_send(rows, connection, PG_LOAD_LEASES, 1, error) &&
           ask_approvals(rows, connection, error) && ask_latest(rows, connection, error) &&
           ask_counts(rows, connection, STORE_GUARD_FEWER_LIVE, error) &&
           ask_counts(rows, connection, STORE_GUARD_FEWER_OPENED, error) &&
           (!rows->has_blocks || pg_send(connection, PG_LOAD_BLOCKS, NULL, error));
}

static bool load_marks(struct pg_rows *rows, const PGresult *result, struct error *error)
{
    for (int i = 0; i < PQntuples(result); i++) {
        uint8_t key[MARK_LEN];
        struct store_mark mark;

        if (!pg_read_mark(result, i, key, &mark))
            return error_set(error, ERROR_INVALID, "stagepass.marks has a row that makes no sense");
        if (!marks_set(&rows->state->marks, key, &mark))
            return error_set(error, ERROR_MEMORY, "no memory for marks");
    }
    return true;
}

static bool load_leases(struct pg_rows *rows, const PGresult *result, struct error *error)
{
    for (int i = 0; i < PQntuples(result); i++) {
        struct store_lease lease;

        if (!pg_read_lease(result, i, &lease))
            return error_set(error, ERROR_INVALID,
                             "stagepass.leases has a row that makes no sense");
        if (!leases_restore(&rows->state->leases, &lease))
            return error_set(error, ERROR_MEMORY, "no memory for leases");
    }
    return true;
}

static bool load_approvals(struct pg_rows *rows, struct pg_connection *connection,
                           struct error *error)
{
    OWNED(pg_result_clear) PGresult *result = NULL;
    OWNED(pg_result_clear) PGresult *others = NULL;

    if (rows->approval_count == 0)
        return true;
    result = pg_take(connection, error);
    if (result == NULL)
        return false;
    others = pg_take(connection, error);
    if (others == NULL)
        return false;
    for (int i = 0; i < PQntuples(result); i++) {
        struct store_approval approval;

        if (!pg_read_approval(result, i, &approval) ||
            !approvals_restore(&rows->state->approvals, &approval))
            return error_set(error, ERROR_INVALID,
                             "stagepass.approvals has a row that makes no sense");
    }
    rows->state->approvals.elsewhere_count = (size_t)pg_number(others, 0, 0);
    return true;
}

static bool load_latest(struct pg_rows *rows, struct pg_connection *connection, struct error *error)
{
    OWNED(pg_result_clear) PGresult *result = NULL;

    if (rows->latest_count == 0)
        return true;
    result = pg_take(connection, error);
    return result != NULL && load_leases(rows, result, error);
}

static bool load_counts(struct pg_rows *rows, struct pg_connection *connection,
                        enum store_guard_kind guard, struct error *error)
{
    OWNED(pg_result_clear) PGresult *result = NULL;
    int row = 0;

    if (count_of(rows, guard) == 0)
        return true;
    result = pg_take(connection, error);
    if (result == NULL)
        return false;
    if ((size_t)PQntuples(result) != count_of(rows, guard))
        return error_set(error, ERROR_INVALID, "leases were not counted");
    for (size_t i = 0; i < rows->count_count; i++)
        if (rows->counts[i].guard == guard)
            rows->counts[i].count = (uint64_t)pg_number(result, row++, 0);
    return true;
}

/* Guards are held against what was counted, and the rows that the batch changes. */
static bool link_leases(struct pg_rows *rows, struct error *error)
{
    rows->counted = (struct lease_counts){ rows->counts, rows->count_count };
    rows->state->leases.counts = &rows->counted;
    return leases_link(&rows->state->leases, rows->now_s) ||
           error_set(error, ERROR_MEMORY, "no memory for leases");
}

static bool load_blocks(struct pg_rows *rows, struct pg_connection *connection, struct error *error)
{
    OWNED(pg_result_clear) PGresult *result = NULL;

    if (!rows->has_blocks)
        return true;
    result = pg_take(connection, error);
    if (result == NULL)
        return false;
    for (int i = 0; i < PQntuples(result); i++) {
        struct store_block block;

        if (!pg_read_block(result, i, &block) || !blocks_restore(&rows->state->blocks, &block))
            return error_set(error, ERROR_INVALID,
                             "stagepass.blocks has a row that makes no sense, or too many");
    }
    return true;
}

bool pg_rows_load(struct pg_rows *rows, struct pg_connection *connection, struct error *error)
{
    OWNED(pg_result_clear) PGresult *marks = pg_take(connection, error);
    OWNED(pg_result_clear) PGresult *leases = NULL;

    if (marks == NULL)
        return false;
    leases = pg_take(connection, error);
    return leases != NULL && load_marks(rows, marks, error) && load_leases(rows, leases, error) &&
           load_approvals(rows, connection, error) && load_latest(rows, connection, error) &&
           load_counts(rows, connection, STORE_GUARD_FEWER_LIVE, error) &&
           load_counts(rows, connection, STORE_GUARD_FEWER_OPENED, error) &&
           load_blocks(rows, connection, error) && link_leases(rows, error);
}
