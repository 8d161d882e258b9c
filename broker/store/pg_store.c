#include "store/pg_store.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/metrics.h"
#include "base/secret.h"
#include "store/pg_store_internal.h"

/* How often other brokers' entries are looked for. */
#define TICK_MS 250

#define SWEEP_EVERY_MS 5000
#define BEATS_EVERY_MS 5000

/* All entries of a batch, each with its length. */
#define ARRAY_MAX ((size_t)2 * 1024 * 1024)

static struct pg_store *pg_of(struct store *store)
{
    return (struct pg_store *)store;
}

static const struct pg_store *pg_of_const(const struct store *store)
{
    return (const struct pg_store *)store;
}

/* A group of one statement. */
static PGresult *ask(struct pg_store *pg, enum pg_statement statement,
                     const struct pg_values *values, struct error *error)
{
    PGresult *result = NULL;

    pg_begin(&pg->writer, PG_WAIT_MS);
    if (!pg_send(&pg->writer, statement, values, error) || !pg_sync(&pg->writer, error))
        return NULL;
    result = pg_take(&pg->writer, error);
    if (pg_end(&pg->writer, result == NULL ? &(struct error){ 0 } : error))
        return result;
    PQclear(result);
    return NULL;
}

/* Others may have appended. */
static bool look(struct pg_store *pg, struct error *error)
{
    uint64_t known = atomic_load(&pg->store.size); /* a lookup may learn of more meanwhile */
    OWNED(pg_result_clear) PGresult *result = ask(pg, PG_READ_HEAD, NULL, error);
    struct pg_head head = { 0 };

    if (result == NULL)
        return false;
    if (!pg_read_head(result, &head) || head.size < known) {
        store_fence(&pg->store);
        return error_set(error, ERROR_LEDGER, "the database lacks entries that it once had");
    }
    pg_raise(&pg->store.blocks_version, head.blocks);
    pg_tell_size(pg, head.size);
    return true;
}

/* Marks are kept until an entry of a later time is there, as in a folder. */
static int64_t due_marks_s(struct pg_store *pg)
{
    int64_t marks_s = store_marks_time_s(&pg->store);

    return marks_s < pg->store.time_ms / 1000 ? marks_s : pg->store.time_ms / 1000;
}

static bool send_sweep(struct pg_store *pg, int64_t marks_s, int64_t leases_s, struct error *error)
{
    struct pg_connection *writer = &pg->writer;
    struct pg_values marks = { 0 };
    struct pg_values leases = { 0 };
    struct pg_values approvals = { 0 };

    pg_add_number(&marks, marks_s);
    pg_add_number(&leases, leases_s);
    pg_add_number(&approvals, marks_s - APPROVALS_TOLD_S);
    return pg_send(writer, PG_BEGIN, NULL, error) && pg_send(writer, PG_LOCK_HEAD, NULL, error) &&
           pg_send(writer, PG_SWEEP_MARKS, &marks, error) &&
           pg_send(writer, PG_SWEEP_LEASES, &leases, error) &&
           pg_send(writer, PG_SWEEP_APPROVALS, &approvals, error) &&
           pg_send(writer, PG_COMMIT, NULL, error) && pg_sync(writer, error) &&
           pg_skip(writer, 6, error) && pg_end(writer, error);
}

/* One small batch of what is due, if anything is. */
static bool sweep(struct pg_store *pg, struct error *error)
{
    OWNED(pg_result_clear) PGresult *due = NULL;
    int64_t marks_s = due_marks_s(pg);
    int64_t leases_s = clock_wall_s();
    struct pg_values values = { 0 };

    pg_add_number(&values, marks_s);
    pg_add_number(&values, leases_s);
    pg_add_number(&values, marks_s - APPROVALS_TOLD_S);
    due = ask(pg, PG_LOOK_FOR_DUE, &values, error);
    if (due == NULL)
        return false;
    if (pg_number(due, 0, 0) == 0 && pg_number(due, 0, 1) == 0 && pg_number(due, 0, 2) == 0)
        return true;
    pg_begin(&pg->writer, PG_WAIT_MS);
    return send_sweep(pg, marks_s, leases_s, error);
}

/* Where they cannot be written now they are the next time. */
static void write_beats(struct pg_store *pg)
{
    struct error ignored = { 0 };

    if (clock_monotonic_ms() < pg->beats_at_ms)
        return;
    (void)pg_write_beats(pg, &ignored);
    pg->beats_at_ms = clock_monotonic_ms() + BEATS_EVERY_MS;
}

static void tick(struct store *store)
{
    struct pg_store *pg = pg_of(store);
    struct error error = { 0 };
    bool is_good = false;

    if (atomic_load(&store->is_fenced) || !pg_link(pg, &error))
        return;
    is_good = look(pg, &error);
    if (is_good && clock_monotonic_ms() >= pg->sweep_at_ms) {
        is_good = sweep(pg, &error);
        pg->sweep_at_ms = clock_monotonic_ms() + SWEEP_EVERY_MS;
    }
    if (is_good)
        write_beats(pg);
    if (!is_good)
        pg_close(&pg->writer); /* what it was in the middle of is over with it */
}

static void pg_free(struct pg_store *pg)
{
    pg_lookups_free(pg->lookups);
    beats_release(&pg->beats);
    pg_close(&pg->writer);
    pg_rows_release(&pg->rows);
    batch_release(&pg->batch);
    buf_release(&pg->entries);
    buf_release(&pg->privates);
    pg_place_release(&pg->place);
    store_release(&pg->store);
    free(pg);
}

static void close_store(struct store *store)
{
    struct error ignored = { 0 };

    (void)pg_write_beats(pg_of(store), &ignored); /* or silence is counted from earlier on */
    pg_free(pg_of(store));
}

static bool lease_by_id(const struct store *store, const char id[ID_LEN], struct store_lease *lease,
                        struct error *error)
{
    return pg_lookup_lease_by_id(pg_of_const(store)->lookups, id, lease, error);
}

static bool lease_by_handle(const struct store *store, const uint8_t handle[STORE_HANDLE_LEN],
                            struct store_lease *lease, struct error *error)
{
    return pg_lookup_lease_by_handle(pg_of_const(store)->lookups, handle, lease, error);
}

static bool find_mark(const struct store *store, const uint8_t key[32], struct store_mark *mark,
                      struct error *error)
{
    return pg_lookup_mark(pg_of_const(store)->lookups, key, mark, error);
}

static bool all_blocks(const struct store *store, struct store_blocks *blocks, struct error *error)
{
    return pg_lookup_blocks(pg_of_const(store)->lookups, blocks, error);
}

/* The gauge keeps what was counted last. */
static size_t live_lease_count(const struct store *store)
{
    struct error ignored = { 0 };
    size_t count = 0;

    if (pg_lookup_live_leases(pg_of_const(store)->lookups, &count, &ignored))
        return count;
    return (size_t)metric_get(METRIC_LEASES_LIVE);
}

static bool leases_under(const struct store *store, const struct store_leases_query *query,
                         size_t *count, struct error *error)
{
    return pg_lookup_leases_under(pg_of_const(store)->lookups, query, count, error);
}

static bool live_of_stage(const struct store *store, const struct store_leases_query *query,
                          size_t *live, struct error *error)
{
    return pg_lookup_live_of_stage(pg_of_const(store)->lookups, query, live, error);
}

static bool find_approval(const struct store *store, enum approval_key by, const void *key,
                          struct store_approval *approval, struct error *error)
{
    return pg_lookup_approval(pg_of_const(store)->lookups, by, key, approval, error);
}

static bool approvals_of(const struct store *store, const uint8_t digest[32],
                         struct store_approval *approvals, size_t max, size_t *count,
                         struct error *error)
{
    return pg_lookup_approvals_of(pg_of_const(store)->lookups, digest, approvals, max, count,
                                  error);
}

static bool open_approvals(const struct store *store, struct store_approval *approvals, size_t max,
                           size_t *count, struct error *error)
{
    return pg_lookup_approvals(pg_of_const(store)->lookups, approvals, max, count, error);
}

static bool offer_checkpoint(const struct store *store, uint64_t size, struct str note,
                             struct arena *arena, struct str *newest, struct error *error)
{
    return pg_lookup_offer_checkpoint(pg_of_const(store)->lookups, size, note, arena, newest,
                                      error);
}

static bool newest_checkpoint(const struct store *store, struct arena *arena, struct str *newest,
                              struct error *error)
{
    return pg_lookup_newest_checkpoint(pg_of_const(store)->lookups, arena, newest, error);
}

static bool new_reader(const struct store *store, struct store_reader **reader, struct error *error)
{
    return pg_reader_new(&pg_of_const(store)->place, reader, error);
}

static bool erase(struct store *store, const uint64_t *indices, size_t count, struct error *error)
{
    return pg_lookup_erase(pg_of(store)->lookups, indices, count, error);
}

static bool prune(struct store *store, uint64_t from, uint64_t below, uint64_t *to,
                  struct error *error)
{
    if (!pg_lookup_prune(pg_of(store)->lookups, from, below, error))
        return false;
    *to = below;
    return true;
}

static bool oldest_live(const struct store *store, uint64_t *index, struct error *error)
{
    return pg_lookup_oldest_live(pg_of_const(store)->lookups, index, error);
}

static const struct store_backend pg_backend = {
    .tick_ms = TICK_MS,
    .commit = pg_commit,
    .tick = tick,
    .close = close_store,
    .lease_by_id = lease_by_id,
    .lease_by_handle = lease_by_handle,
    .mark = find_mark,
    .blocks = all_blocks,
    .live_lease_count = live_lease_count,
    .leases_under = leases_under,
    .live_of_stage = live_of_stage,
    .approval = find_approval,
    .approvals_of = approvals_of,
    .approvals = open_approvals,
    .beat = pg_beat,
    .claim_due = pg_claim_due,
    .put_off = pg_put_off,
    .owed_count = pg_owed_count,
    .offer_checkpoint = offer_checkpoint,
    .newest_checkpoint = newest_checkpoint,
    .reader_new = new_reader,
    .import = pg_import,
    .erase = erase,
    .prune = prune,
    .oldest_live = oldest_live,
};

static bool init(struct pg_store *pg, const struct store_options *options, struct error *error)
{
    buf_init(&pg->entries, ARRAY_MAX);
    buf_init(&pg->privates, ARRAY_MAX);
    pg->fold = options->fold;
    if (!store_init(&pg->store, &pg_backend, error))
        return false;
    pg->lookups = pg_lookups_new(&pg->place, &pg->store);
    if (pg->lookups == NULL || !beats_init(&pg->beats) || !pg_rows_init(&pg->rows) ||
        !batch_init(&pg->batch) ||
        !pg_place_init(&pg->place, options->dsn_file == NULL ? options->location : NULL,
                       options->dsn_file))
        return error_set(error, ERROR_MEMORY, "no memory for the store");
    return secret_random(pg->writer_id, sizeof(pg->writer_id), error);
}

static bool begin(struct pg_store *pg, struct error *error)
{
    OWNED(pg_result_clear) PGresult *swept = NULL;
    OWNED(pg_result_clear) PGresult *anew = NULL;
    struct pg_values now = { 0 };
    struct pg_head head = { 0 };

    if (!pg_open(&pg->writer, &pg->place, PG_WRITER, error) || !pg_fold(pg, &head, error))
        return false;
    swept = ask(pg, PG_SWEEP_BATCHES, NULL, error);
    if (swept == NULL)
        return false;
    pg_add_number(&now, clock_wall_s()); /* nobody may have heard heartbeats before */
    anew = ask(pg, PG_BEGIN_ANEW, &now, error);
    if (anew == NULL)
        return false;
    store_begin_at(&pg->store, head.size, head.time_ms);
    pg_raise(&pg->store.blocks_version, head.blocks);
    pg->told_size = head.size;
    pg->sweep_at_ms = clock_monotonic_ms() + SWEEP_EVERY_MS;
    return true;
}

bool pg_store_open(const struct store_options *options, struct store **out, struct error *error)
{
    struct pg_store *pg = calloc(1, sizeof(*pg));

    if (pg == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for the store");
    if (!init(pg, options, error) || !begin(pg, error)) {
        pg_free(pg);
        return false;
    }
    *out = &pg->store;
    return true;
}

bool pg_store_migrate(const char *dsn_file, struct error *error)
{
    struct pg_connection connection = { 0 };
    struct pg_place place = { 0 };
    bool is_done = false;

    if (!pg_place_init(&place, NULL, dsn_file))
        (void)error_set(error, ERROR_MEMORY, "no memory for a connection");
    else
        is_done = pg_open(&connection, &place, PG_WRITER, error);
    pg_close(&connection);
    pg_place_release(&place);
    return is_done;
}
