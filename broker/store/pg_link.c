#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "store/pg_store_internal.h"

#define RETRY_FIRST_MS 50
#define RETRY_MOST_MS 5000

/* How long a closing store goes on asking what became of its last batch. */
#define CLOSING_MS 15000

/* Brokers that lost one server should not all come back at the same moment. */
static void wait_longer(struct pg_store *pg)
{
    pg->retry_ms = pg->retry_ms == 0 ? RETRY_FIRST_MS : pg->retry_ms * 2;
    if (pg->retry_ms > RETRY_MOST_MS)
        pg->retry_ms = RETRY_MOST_MS;
    pg->retry_at_ms =
        clock_system_ms() + pg->retry_ms / 2 + clock_monotonic_ns() / 1000 % (pg->retry_ms / 2 + 1);
}

static bool ask_entry(struct pg_store *pg, uint64_t index, struct error *error)
{
    struct pg_values values = { 0 };

    pg_add_number(&values, (int64_t)index);
    pg_add_number(&values, (int64_t)index + 1);
    return pg_send(&pg->writer, PG_READ_ENTRIES, &values, error);
}

/* Whether the entry that we wrote last is there as we wrote it. */
static bool is_our_entry(const struct pg_store *pg, const PGresult *result)
{
    uint8_t digest[SHA256_LEN];

    if (PQntuples(result) != 1)
        return false;
    sha256(pg_bytes(result, 0, 2), digest);
    return memcmp(digest, pg->last_sha256, sizeof(digest)) == 0;
}

/*
 * The database that answers now may be another, or an older state of it: a replica that was behind,
 * a backup. What was once durable has to be there.
 */
static bool check_history(struct pg_store *pg, struct error *error)
{
    uint64_t known = atomic_load(&pg->store.size); /* a lookup may learn of more meanwhile */
    OWNED(pg_result_clear) PGresult *found = NULL;
    OWNED(pg_result_clear) PGresult *entry = NULL;
    struct pg_head head = { 0 };

    pg_begin(&pg->writer, PG_WAIT_MS);
    if (!pg_send(&pg->writer, PG_READ_HEAD, NULL, error) ||
        (pg->has_last && !ask_entry(pg, pg->last_index, error)) || !pg_sync(&pg->writer, error))
        return false;
    found = pg_take(&pg->writer, error);
    if (found == NULL)
        return false;
    if (pg->has_last) {
        entry = pg_take(&pg->writer, error);
        if (entry == NULL)
            return false;
    }
    if (!pg_end(&pg->writer, error))
        return false;
    if (pg_read_head(found, &head) && head.size >= known &&
        (entry == NULL || is_our_entry(pg, entry)))
        return true;
    store_fence(&pg->store);
    return error_set(
        error, ERROR_LEDGER,
        "the database lacks entries that it once had: it is another one, or went back");
}

bool pg_link_now(struct pg_store *pg, struct error *error)
{
    if (atomic_load(&pg->store.is_fenced))
        return error_set(error, ERROR_LEDGER, "the ledger met a write error");
    if (pg_is_open(&pg->writer))
        return true;
    if (pg_open(&pg->writer, &pg->place, PG_WRITER, error) && check_history(pg, error)) {
        pg->retry_ms = 0;
        pg->retry_at_ms = 0;
        if (pg->lookups) /* who failed meanwhile need not wait any more */
            atomic_store(&pg->lookups->retry_at_ms, 0);
        atomic_store(&pg->store.is_full, false);
        return true;
    }
    pg_close(&pg->writer);
    atomic_store(&pg->store.is_full, true);
    pg->link_failure = *error;
    wait_longer(pg);
    return false;
}

bool pg_link(struct pg_store *pg, struct error *error)
{
    if (pg_is_open(&pg->writer) || clock_system_ms() >= pg->retry_at_ms)
        return pg_link_now(pg, error);
    *error = pg->link_failure;
    return false;
}

/* Behind the head's lock: whoever was committing has come to an end. */
static bool find_batch(struct pg_store *pg, int64_t number, bool *is_committed, struct error *error)
{
    struct pg_connection *writer = &pg->writer;
    OWNED(pg_result_clear) PGresult *found = NULL;
    struct pg_values values = { 0 };

    pg_add_bytes(&values, (struct str){ (const char *)pg->writer_id, sizeof(pg->writer_id) });
    pg_begin(writer, PG_WAIT_MS);
    if (!pg_send(writer, PG_BEGIN, NULL, error) || !pg_send(writer, PG_LOCK_HEAD, NULL, error) ||
        !pg_send(writer, PG_FIND_BATCH, &values, error) ||
        !pg_send(writer, PG_ROLLBACK, NULL, error) || !pg_sync(writer, error) ||
        !pg_skip(writer, 2, error))
        return false;
    found = pg_take(writer, error);
    if (found == NULL || !pg_skip(writer, 1, error) || !pg_end(writer, error))
        return false;
    *is_committed = PQntuples(found) == 1 && pg_number(found, 0, 0) >= number;
    return true;
}

static void sleep_until(int64_t at_ms)
{
    int64_t left_ms = at_ms - clock_system_ms();
    struct timespec left = { left_ms / 1000, left_ms % 1000 * 1000000 };

    if (left_ms > 0)
        (void)nanosleep(&left, NULL); /* woken early, it only asks earlier */
}

bool pg_link_resolve(struct pg_store *pg, int64_t number, bool *is_committed, struct error *error)
{
    int64_t give_up_ms = clock_system_ms() + CLOSING_MS;

    for (;;) {
        struct error cause = { 0 };

        if (pg_link_now(pg, &cause) && find_batch(pg, number, is_committed, &cause))
            return true;
        if (pg_is_open(&pg->writer)) {
            pg_close(&pg->writer);
            wait_longer(pg);
        }
        if (atomic_load(&pg->store.is_fenced) ||
            (store_is_closing(&pg->store) && clock_system_ms() >= give_up_ms))
            return error_set(error, ERROR_LEDGER, "it is not known whether this was committed: %s",
                             cause.cause);
        store_fail_queue(&pg->store, cause.cause);
        sleep_until(pg->retry_at_ms);
    }
}

void pg_raise(atomic_uint_fast64_t *size, uint64_t to)
{
    uint64_t known = atomic_load(size);

    while (known < to && !atomic_compare_exchange_weak(size, &known, to))
        ;
}

void pg_tell_size(struct pg_store *pg, uint64_t size)
{
    pg_raise(&pg->store.size, size);
    if (size <= pg->told_size)
        return;
    pg->told_size = size;
    if (pg->store.on_commit != NULL)
        pg->store.on_commit(size, pg->store.on_commit_context);
}
