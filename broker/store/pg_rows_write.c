#include <string.h>

#include "base/digest.h"
#include "base/error.h"
#include "store/pg_rows_internal.h"

/* How many of the named marks are set now. */
static size_t count_set(const struct pg_rows *rows, int64_t now_s)
{
    size_t count = 0;

    for (size_t i = 0; i < rows->key_count; i++)
        if (marks_has(&rows->state->marks, rows->keys[i].bytes, now_s))
            count++;
    return count;
}

static bool write_marks(struct pg_rows *rows, struct pg_connection *connection, int64_t now_s,
                        struct error *error)
{
    static const enum pg_type types[] = { PG_BYTEA, PG_BYTEA, PG_INT8, PG_INT8, PG_INT8, PG_INT8 };

    pg_rows_begin_arrays(rows, types, COUNT(types), count_set(rows, now_s));
    for (size_t i = 0; i < rows->key_count; i++) {
        struct store_mark mark = marks_find(&rows->state->marks, rows->keys[i].bytes, now_s);

        if (mark.uses == 0)
            continue;
        pg_array_bytes(&rows->arrays[0], pg_rows_key(&rows->keys[i]));
        pg_array_bytes(&rows->arrays[1],
                       (struct str){ (const char *)mark.holder, sizeof(mark.holder) });
        pg_array_number(&rows->arrays[2], mark.uses);
        pg_array_number(&rows->arrays[3], mark.expires_s);
        pg_array_number(&rows->arrays[4], (int64_t)mark.first_index);
        pg_array_number(&rows->arrays[5], (int64_t)mark.latest_index);
    }
    return pg_rows_send(rows, connection, PG_PUT_MARKS, COUNT(types), error);
}

static bool remove_marks(struct pg_rows *rows, struct pg_connection *connection, int64_t now_s,
                         struct error *error)
{
    static const enum pg_type types[] = { PG_BYTEA };

    pg_rows_begin_arrays(rows, types, COUNT(types), rows->key_count - count_set(rows, now_s));
    for (size_t i = 0; i < rows->key_count; i++)
        if (!marks_has(&rows->state->marks, rows->keys[i].bytes, now_s))
            pg_array_bytes(&rows->arrays[0], pg_rows_key(&rows->keys[i]));
    return pg_rows_send(rows, connection, PG_REMOVE_MARKS, COUNT(types), error);
}

static size_t count_leases(const struct pg_rows *rows)
{
    size_t count = 0;

    for (size_t i = 0; i < rows->id_count; i++)
        if (leases_find(&rows->state->leases, rows->ids[i].text) != 0)
            count++;
    return count;
}

/* All zeros are none. */
static void add_bytes(struct buf *array, const uint8_t *bytes, size_t len)
{
    static const uint8_t nothing[SHA256_LEN];

    if (memcmp(bytes, nothing, len) != 0)
        pg_array_bytes(array, (struct str){ (const char *)bytes, len });
    else
        pg_array_null(array);
}

static struct store_approval find_approval(const struct pg_rows *rows, size_t at)
{
    return approvals_find(&rows->state->approvals, APPROVAL_BY_ID, rows->approvals[at].text);
}

static void add_lease(struct pg_rows *rows, const struct pg_lease_id *id,
                      const struct store_lease *lease)
{
    const int64_t numbers[] = {
        lease->debt,         lease->outcome,  lease->attempt,   lease->heartbeat_s, lease->renewal,
        lease->kept_until_s, lease->opened_s, lease->renewed_s, lease->ended_s,
    };
    struct buf *arrays = rows->arrays;

    pg_array_bytes(&arrays[0], pg_rows_id(id));
    add_bytes(&arrays[1], lease->handle, sizeof(lease->handle));
    pg_array_number(&arrays[2], lease->state);
    pg_array_number(&arrays[3], lease->version);
    pg_array_number(&arrays[4], lease->expires_s);
    pg_array_number(&arrays[5], (int64_t)lease->opened_index);
    pg_array_number(&arrays[6], (int64_t)lease->latest_index);
    for (size_t i = 0; i < STORE_KEY_COUNT; i++)
        add_bytes(&arrays[7 + i], lease->keys[i], STORE_KEY_LEN);
    for (size_t i = 0; i < COUNT(numbers); i++)
        pg_array_number(&arrays[11 + i], numbers[i]);
    if (lease->has_credentials)
        pg_array_number(&arrays[20], (int64_t)lease->credentials_index);
    else
        pg_array_null(&arrays[20]);
}

/* When it is due, where its entry said that. */
static void add_due(struct buf *array, const struct lease_row *row)
{
    int64_t due_s = (int64_t)lease_number_get(row->due_s);

    if (!row->is_due_new)
        pg_array_number(array, -1);
    else if (due_s == LEASE_NEVER_DUE)
        pg_array_null(array);
    else
        pg_array_number(array, due_s);
}

static bool write_leases(struct pg_rows *rows, struct pg_connection *connection,
                         struct error *error)
{
    static const enum pg_type types[] = { PG_TEXT, PG_BYTEA, PG_INT8,  PG_INT8,  PG_INT8,  PG_INT8,
                                          PG_INT8, PG_BYTEA, PG_BYTEA, PG_BYTEA, PG_BYTEA, PG_INT8,
                                          PG_INT8, PG_INT8,  PG_INT8,  PG_INT8,  PG_INT8,  PG_INT8,
                                          PG_INT8, PG_INT8,  PG_INT8,  PG_INT8 };
    const struct leases *leases = &rows->state->leases;

    _Static_assert(COUNT(types) == PG_LEASE_COLUMNS + 1, "each column, and when it is due");
    pg_rows_begin_arrays(rows, types, COUNT(types), count_leases(rows));
    for (size_t i = 0; i < rows->id_count; i++) {
        uint32_t row = leases_find(leases, rows->ids[i].text);
        struct store_lease lease;

        if (row == 0)
            continue;
        lease_row_read(leases_row(leases, row), &lease);
        add_lease(rows, &rows->ids[i], &lease);
        add_due(&rows->arrays[PG_LEASE_COLUMNS], leases_row(leases, row));
    }
    return pg_rows_send(rows, connection, PG_PUT_LEASES, COUNT(types), error);
}

static size_t count_approvals(const struct pg_rows *rows)
{
    size_t count = 0;

    for (size_t i = 0; i < rows->approval_count; i++)
        count += find_approval(rows, i).version != 0;
    return count;
}

static bool write_approvals(struct pg_rows *rows, struct pg_connection *connection,
                            struct error *error)
{
    static const enum pg_type types[] = { PG_TEXT, PG_BYTEA, PG_BYTEA, PG_INT8,  PG_INT8,
                                          PG_INT8, PG_INT8,  PG_INT8,  PG_BYTEA, PG_INT8 };
    struct buf *arrays = rows->arrays;

    if (rows->approval_count == 0)
        return true;
    pg_rows_begin_arrays(rows, types, COUNT(types), count_approvals(rows));
    for (size_t i = 0; i < rows->approval_count; i++) {
        struct store_approval approval = find_approval(rows, i);

        if (approval.version == 0)
            continue;
        pg_array_bytes(&arrays[0], pg_rows_id(&rows->approvals[i]));
        add_bytes(&arrays[1], approval.code_sha256, sizeof(approval.code_sha256));
        add_bytes(&arrays[2], approval.digest, sizeof(approval.digest));
        pg_array_number(&arrays[3], approval.state);
        pg_array_number(&arrays[4], approval.version);
        pg_array_number(&arrays[5], approval.expires_s);
        pg_array_number(&arrays[6], (int64_t)approval.opened_index);
        pg_array_number(&arrays[7], (int64_t)approval.latest_index);
        pg_array_bytes(&arrays[8],
                       (struct str){ (const char *)approval.people,
                                     (size_t)approval.person_count * STORE_PERSON_LEN });
        pg_array_number(&arrays[9], approval.is_break_glass);
    }
    return pg_rows_send(rows, connection, PG_PUT_APPROVALS, COUNT(types), error);
}

static bool write_blocks(struct pg_rows *rows, struct pg_connection *connection,
                         struct error *error)
{
    static const enum pg_type types[] = { PG_TEXT, PG_INT8, PG_INT8 };
    const struct blocks *blocks = &rows->state->blocks;
    struct pg_values values = { 0 };

    pg_rows_begin_arrays(rows, types, COUNT(types), blocks->count);
    for (size_t i = 0; i < blocks->count; i++) {
        pg_array_bytes(&rows->arrays[0], (struct str){ blocks->rows[i].id, ID_LEN });
        pg_array_number(&rows->arrays[1], blocks->rows[i].expires_s);
        pg_array_number(&rows->arrays[2], (int64_t)blocks->rows[i].index);
    }
    if (!pg_rows_add_arrays(rows, COUNT(types), &values, error))
        return false;
    pg_add_number(&values, (int64_t)blocks->version);
    return pg_send(connection, PG_PUT_BLOCKS, &values, error);
}

/* Of marks two, of leases one; of others where they were named. */
size_t pg_rows_write_count(const struct pg_rows *rows)
{
    return (size_t)3 + (rows->approval_count > 0) + rows->has_blocks;
}

bool pg_rows_write(struct pg_rows *rows, struct pg_connection *connection, int64_t now_s,
                   struct error *error)
{
    pg_rows_sort_names(rows);
    return write_marks(rows, connection, now_s, error) &&
           remove_marks(rows, connection, now_s, error) && write_leases(rows, connection, error) &&
           write_approvals(rows, connection, error) &&
           (!rows->has_blocks || write_blocks(rows, connection, error));
}
