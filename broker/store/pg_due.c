#include <stdlib.h>

#include "base/clock.h"
#include "store/pg_store_internal.h"

/* Of one statement. */
#define BEATS_A_WRITE ((size_t)4096)
#define CLAIMS_A_TIME ((size_t)1024)

#define BEATS_ARRAY_MAX ((size_t)64 + BEATS_A_WRITE * (ID_LEN + 4))

/* Columns behind those of a lease. */
#define IS_PASSED_COLUMN PG_LEASE_COLUMNS
#define DUE_COLUMN (PG_LEASE_COLUMNS + 1)
#define AHEAD_COLUMN (PG_LEASE_COLUMNS + 2)

bool pg_beat(struct store *store, const uint8_t handle[STORE_HANDLE_LEN], struct store_lease *lease,
             struct error *error)
{
    struct pg_store *pg = (struct pg_store *)store;
    int64_t now_s = clock_wall_s();

    if (!pg_lookup_lease_by_handle(pg->lookups, handle, lease, error))
        return false;
    if (lease->state != LEASE_ISSUED || lease->expires_s <= now_s)
        return error_set(error, ERROR_NOT_FOUND, "there is no such lease");
    if (lease->heartbeat_s == 0 || beats_add(&pg->beats, lease->id, now_s))
        return true;
    if (!pg_write_beats(pg, error))
        return false;
    return beats_add(&pg->beats, lease->id, now_s) ||
           error_set(error, ERROR_LEDGER, "too many heartbeats wait to be written");
}

static bool write_some(struct pg_store *pg, const struct beat *beats, size_t count,
                       struct error *error)
{
    OWNED(pg_result_clear) PGresult *result = NULL;
    OWNED(buf_release) struct buf ids = { 0 };
    OWNED(buf_release) struct buf times = { 0 };
    struct pg_values values = { 0 };

    buf_init(&ids, BEATS_ARRAY_MAX);
    buf_init(&times, BEATS_ARRAY_MAX);
    pg_array_begin(&ids, PG_TEXT, count);
    pg_array_begin(&times, PG_INT8, count);
    for (size_t i = 0; i < count; i++) {
        pg_array_bytes(&ids, (struct str){ beats[i].id, ID_LEN });
        pg_array_number(&times, beats[i].at_s);
    }
    if (!buf_is_ok(&ids) || !buf_is_ok(&times))
        return error_set(error, ERROR_MEMORY, "no memory for heartbeats");
    pg_add_bytes(&values, buf_str(&ids));
    pg_add_bytes(&values, buf_str(&times));
    result = pg_look_up(pg->lookups, PG_HEAR, &values, error);
    return result != NULL;
}

/* What could not be written waits again, unless there is something newer. */
static void give_back(struct pg_store *pg, const struct beat *beats, size_t count)
{
    for (size_t i = 0; i < count; i++)
        (void)beats_add(&pg->beats, beats[i].id, beats[i].at_s); /* or it is one beat less */
}

bool pg_write_beats(struct pg_store *pg, struct error *error)
{
    struct beat *beats = calloc(BEATS_MAX, sizeof(*beats));
    size_t count = beats == NULL ? 0 : beats_take(&pg->beats, beats, BEATS_MAX);
    size_t done = 0;
    bool is_written = beats != NULL || error_set(error, ERROR_MEMORY, "no memory for heartbeats");

    while (is_written && done < count) {
        size_t some = count - done < BEATS_A_WRITE ? count - done : BEATS_A_WRITE;

        is_written = write_some(pg, beats + done, some, error);
        if (is_written)
            done += some;
    }
    if (beats != NULL)
        give_back(pg, beats + done, count - done);
    free(beats);
    return is_written;
}

/* A lease with when it was due, so that those that wait longest come first. */
struct claim {
    struct store_lease lease;
    int64_t due_s;
};

/* What one statement claimed. */
struct claims {
    struct claim rows[CLAIMS_A_TIME];
    size_t count;
    int64_t ahead_s;
    bool is_all; /* nothing else is due */
};

static int compare_due(const void *left, const void *right)
{
    int64_t one = ((const struct claim *)left)->due_s;
    int64_t other = ((const struct claim *)right)->due_s;

    return one < other ? -1 : one > other;
}

static bool read_claims(const PGresult *result, struct claims *claims, struct error *error)
{
    for (int i = 0; i < PQntuples(result); i++) {
        struct claim *claim = &claims->rows[claims->count];

        if (pg_number(result, i, IS_PASSED_COLUMN) != 0)
            continue;
        if (!pg_read_lease(result, i, &claim->lease))
            return error_set(error, ERROR_LEDGER, "stagepass.leases has a row that makes no sense");
        claim->due_s = pg_number(result, i, DUE_COLUMN);
        claims->ahead_s = pg_number(result, i, AHEAD_COLUMN);
        claims->count++;
    }
    qsort(claims->rows, claims->count, sizeof(*claims->rows), compare_due);
    return true;
}

/* Those whose silence began before the last start, or that have expired with nothing to be done,
 * are put off on the way. */
static bool claim_some(struct pg_store *pg, int64_t again_s, size_t max, struct claims *claims,
                       struct error *error)
{
    OWNED(pg_result_clear) PGresult *result = NULL;
    int64_t now_s = clock_wall_s();
    struct pg_values values = { 0 };

    claims->count = 0;
    pg_add_number(&values, now_s);
    pg_add_number(&values, now_s + again_s);
    pg_add_number(&values, (int64_t)max);
    result = pg_look_up(pg->lookups, PG_CLAIM_DUE, &values, error);
    if (result == NULL)
        return false;
    if ((size_t)PQntuples(result) > max)
        return error_set(error, ERROR_LEDGER, "more leases were claimed than may be");
    claims->is_all = (size_t)PQntuples(result) < max;
    return read_claims(result, claims, error);
}

bool pg_claim_due(struct store *store, int64_t again_s, struct store_claims *all,
                  struct error *error)
{
    struct pg_store *pg = (struct pg_store *)store;
    struct claims *claims = calloc(1, sizeof(*claims));
    bool is_ok = claims != NULL || error_set(error, ERROR_MEMORY, "no memory for leases");

    is_ok = is_ok && pg_write_beats(pg, error);
    while (is_ok && !claims->is_all && all->count < all->max) {
        size_t left = all->max - all->count;

        is_ok = claim_some(pg, again_s, left < CLAIMS_A_TIME ? left : CLAIMS_A_TIME, claims, error);
        for (size_t i = 0; is_ok && i < claims->count; i++)
            all->leases[all->count++] = claims->rows[i].lease;
        all->ahead_s = claims->ahead_s;
    }
    free(claims);
    if (!is_ok && all->count > 0) { /* what was claimed must not be lost */
        *error = (struct error){ 0 };
        return true;
    }
    return is_ok;
}

bool pg_put_off(struct store *store, const char id[ID_LEN], int64_t due_s, struct error *error)
{
    OWNED(pg_result_clear) PGresult *result = NULL;
    struct pg_values values = { 0 };

    if (!id_is_valid((struct str){ id, ID_LEN }))
        return true;
    pg_add_bytes(&values, (struct str){ id, ID_LEN });
    pg_add_number(&values, due_s);
    result = pg_look_up(((struct pg_store *)store)->lookups, PG_PUT_OFF, &values, error);
    return result != NULL;
}

/* The gauges keep what was counted last. */
size_t pg_owed_count(const struct store *store, int64_t *oldest_ended_s)
{
    const struct pg_store *pg = (const struct pg_store *)store;
    OWNED(pg_result_clear) PGresult *result = NULL;
    struct error ignored = { 0 };
    struct pg_values values = { 0 };

    pg_add_number(&values, clock_wall_s());
    result = pg_look_up(pg->lookups, PG_COUNT_OWED, &values, &ignored);
    if (result == NULL)
        return 0;
    *oldest_ended_s = pg_number(result, 0, 1);
    return (size_t)pg_number(result, 0, 0);
}
