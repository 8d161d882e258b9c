/*
 * What the ledger's index costs and gives, as the log grows: CPU an entry to fill it, with large
 * batches (behind, or made anew) and small ones (as they come); a page of a search by each field;
 * the rows of an inventory; a receipt with its proof; a start, of the log without a broker around
 * it. Searches are for values of entries drawn at random, alone, two of different entries, and a
 * text that is nowhere, in pages and with limits as the API has them, and read what they find from
 * the log. Times are CPU of the thread (of a start: of the process), which is all that they need
 * where log and index are in memory: what else a machine does meanwhile does not count.
 *
 * usage: bench_index FOLDER [ENTRIES...], which goes on where the folder's store ends
 *        bench_index --again FOLDER-OF-BEFORE
 */

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "keys/keys.h"
#include "ledger/entry.h"
#include "ledger/ledger.h"
#include "ledger/ledger_internal.h"
#include "ledger/projection.h"
#include "ledger/sample.h"
#include "ledger/search.h"
#include "store/index_internal.h"
#include "store/store.h"

#define IN_FLIGHT 16
#define TOGETHER 2 /* entries of a proposal: a batch has some thirty */
#define RUNS 300
#define PAGE 100
#define READS_MAX 2000
#define LOOKUPS_MAX 5000
#define LOOKUPS 10000
#define LOOKUPS_BEFORE 20000 /* which fill the reader's own cache, as hours of a broker do */
#define TRICKLE_ENTRIES 20000
#define TRICKLE_BATCH 2000 /* what a thousand a second are between two steps of the indexer */

struct bench {
    const char *folder;
    struct key *key;
    struct ledger *ledger; /* without an index: that is filled apart */
    struct store *store;   /* of the ledger */
    struct store_reader *reader;
    struct store_index *writer;
    struct store_index *index;
    struct projection *projection;
    char path[4096];
};

static _Noreturn void give_up(const char *what, const struct error *error)
{
    (void)fprintf(stderr, "bench_index: %s: %s\n", what, error ? error->cause : "");
    abort();
}

static int64_t cpu_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* ---- the log ---- */

/* Entries of one proposal, with their memory. */
struct slot {
    struct store_proposal proposal;
    struct buf texts[STORE_PROPOSAL_ENTRIES_MAX][2];
    atomic_bool is_busy;
};

static void done(struct store_proposal *proposal, void *context)
{
    struct slot *slot = context;

    if (!proposal->is_committed)
        give_up("append", &proposal->error);
    atomic_store(&slot->is_busy, false);
}

static void fill_slot(struct slot *slot, uint64_t *next, uint64_t end)
{
    slot->proposal = (struct store_proposal){ .done = done, .context = slot };
    for (; *next < end && slot->proposal.entry_count < TOGETHER; (*next)++) {
        struct buf *texts = slot->texts[slot->proposal.entry_count];

        sample_entry(*next, &texts[0], &texts[1]);
        slot->proposal.entries[slot->proposal.entry_count++] = (struct store_entry){
            .bytes = texts[0].data,
            .len = texts[0].len,
            .time_offset = (size_t)(strstr(texts[0].data, "\"time\":\"") - texts[0].data) + 8,
            .private_part = buf_str(&texts[1]),
        };
    }
}

static void append(struct bench *bench, uint64_t from, uint64_t to)
{
    static struct slot slots[IN_FLIGHT];
    struct error error = { 0 };

    for (size_t i = 0; i < IN_FLIGHT; i++)
        for (size_t k = 0; k < STORE_PROPOSAL_ENTRIES_MAX; k++)
            for (size_t part = 0; part < 2; part++)
                buf_init(&slots[i].texts[k][part], SAMPLE_MAX);
    for (size_t i = 0; from < to; i = (i + 1) % IN_FLIGHT) {
        while (atomic_load(&slots[i].is_busy))
            (void)usleep(50);
        fill_slot(&slots[i], &from, to);
        atomic_store(&slots[i].is_busy, true);
        if (!store_submit(bench->store, &slots[i].proposal, &error))
            give_up("submit", &error);
    }
    for (size_t i = 0; i < IN_FLIGHT; i++) {
        while (atomic_load(&slots[i].is_busy))
            (void)usleep(50);
        for (size_t k = 0; k < STORE_PROPOSAL_ENTRIES_MAX; k++)
            for (size_t part = 0; part < 2; part++)
                buf_release(&slots[i].texts[k][part]);
    }
}

static void wait_until_published(const struct bench *bench)
{
    while (ledger_published_size(bench->ledger) < store_size(bench->store))
        (void)usleep(20000);
}

/* ---- filling ---- */

/* CPU an entry, µs: reading it from the log, parsing, folding, writing. */
static double fill(struct bench *bench, uint64_t from, uint64_t to, uint64_t batch)
{
    int64_t start_ns = cpu_ns();
    struct error error = { 0 };

    for (uint64_t at = from; at < to;) {
        uint64_t end = to - at < batch ? to : at + batch;
        struct index_state state;

        if (!store_index_begin(bench->writer, &state, &error))
            give_up("begin", &error);
        for (; at < end; at++) {
            struct projection_entry entry = { .index = at };

            if (!store_reader_get(bench->reader, at, &entry.bytes, &entry.private_part, &error))
                give_up("read", &error);
            entry.has_place = store_reader_place(bench->reader, &entry.place);
            if (!projection_add(bench->projection, &entry, &error))
                give_up("fold", &error);
        }
        if (!projection_write(bench->projection, &error))
            give_up("write", &error);
    }
    return (double)(cpu_ns() - start_ns) / 1000 / (double)(to - from);
}

static double megabytes(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 ? (double)status.st_size / 1e6 : 0;
}

/* ---- searching ---- */

struct drawn {
    char values[LEDGER_FIELD_COUNT][QUERY_VALUE_MAX + 1];
};

static bool draw_value(enum ledger_field field, struct str value, void *context)
{
    struct drawn *drawn = context;

    (void)snprintf(drawn->values[field], sizeof(drawn->values[field]), STR_FMT, STR_ARG(value));
    return true;
}

static void draw(struct bench *bench, uint64_t size, struct drawn *drawn)
{
    uint64_t index = ((uint64_t)random() << 20 ^ (uint64_t)random()) % size;
    JSON_OWNED json_t *entry = NULL;
    JSON_OWNED json_t *private_part = NULL;
    struct error error = { 0 };
    struct str private_bytes;
    struct str bytes;

    memset(drawn, 0, sizeof(*drawn));
    if (!store_reader_get(bench->reader, index, &bytes, &private_bytes, &error) ||
        !entry_parse(bytes, &entry, &error) ||
        (private_bytes.len > 0 && !entry_parse(private_bytes, &private_part, &error)))
        give_up("draw", &error);
    (void)query_each_value(entry, private_part, draw_value, drawn);
}

static bool count_hit(const struct search_hit *hit, void *context, struct error *error)
{
    (void)hit;
    (void)error;
    (*(size_t *)context)++;
    return true;
}

/* As the API does it: a moment of the index, a page of at most so many. */
static int64_t search_once(struct bench *bench, const struct ledger_query *query, size_t *found)
{
    struct ledger_search search = {
        .query = query,
        .reader = bench->reader,
        .index = bench->index,
        .limit = PAGE,
        .reads_max = READS_MAX,
        .lookups_max = LOOKUPS_MAX,
        .visit = count_hit,
        .context = found,
        .before = SEARCH_NEWEST,
    };
    struct index_state state;
    struct error error = { 0 };
    int64_t start_ns = cpu_ns();

    if (!store_index_begin(bench->index, &state, &error))
        give_up("begin", &error);
    search.indexed = state.size;
    if (!ledger_search_next(&search, &error))
        give_up("search", &error);
    store_index_end(bench->index);
    return cpu_ns() - start_ns;
}

static int compare(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left;
    int64_t b = *(const int64_t *)right;

    return (a > b) - (a < b);
}

/* What so many pages took. */
struct sample {
    int64_t spent_ns[RUNS];
    size_t runs;
    size_t found;
};

static void want(struct ledger_query *query, enum ledger_field field, const char *value)
{
    query->fields[field].values[0] = str_from(value);
    query->fields[field].count = 1;
}

static void run_search(struct bench *bench, const struct ledger_query *query, struct sample *sample)
{
    sample->spent_ns[sample->runs++] = search_once(bench, query, &sample->found);
}

static int64_t tell_search(struct sample *sample, uint64_t size, const char *what)
{
    int64_t p99_ns;

    if (sample->runs == 0)
        return 0;
    qsort(sample->spent_ns, sample->runs, sizeof(*sample->spent_ns), compare);
    p99_ns = sample->spent_ns[sample->runs * 99 / 100];
    printf("search entries=%" PRIu64 " %s runs=%zu found=%.1f cpu_p50_us=%" PRId64
           " cpu_p99_us=%" PRId64 " cpu_max_us=%" PRId64 "\n",
           size, what, sample->runs, (double)sample->found / (double)sample->runs,
           sample->spent_ns[sample->runs / 2] / 1000, p99_ns / 1000,
           sample->spent_ns[sample->runs - 1] / 1000);
    return p99_ns;
}

static int64_t measure_field(struct bench *bench, uint64_t size, enum ledger_field field)
{
    static struct drawn drawn;
    struct sample sample = { .runs = 0 };
    char what[64];

    for (size_t i = 0; i < 10 * (size_t)RUNS && sample.runs < RUNS; i++) {
        struct ledger_query query = { 0 };

        draw(bench, size, &drawn);
        if (drawn.values[field][0] == '\0')
            continue;
        want(&query, field, drawn.values[field]);
        run_search(bench, &query, &sample);
    }
    (void)snprintf(what, sizeof(what), "field=%s", query_field(field)->name);
    return tell_search(&sample, size, what);
}

/* Values of two entries, which few have both, or none: what is common is walked for nothing. */
static int64_t measure_two(struct bench *bench, uint64_t size, enum ledger_field one,
                           enum ledger_field other)
{
    static struct drawn drawn[2];
    struct sample sample = { .runs = 0 };
    char what[64];

    for (size_t i = 0; i < 10 * (size_t)RUNS && sample.runs < RUNS; i++) {
        struct ledger_query query = { 0 };

        draw(bench, size, &drawn[0]);
        draw(bench, size, &drawn[1]);
        if (drawn[0].values[one][0] == '\0' || drawn[1].values[other][0] == '\0')
            continue;
        want(&query, one, drawn[0].values[one]);
        want(&query, other, drawn[1].values[other]);
        run_search(bench, &query, &sample);
    }
    (void)snprintf(what, sizeof(what), "fields=%s,%s", query_field(one)->name,
                   query_field(other)->name);
    return tell_search(&sample, size, what);
}

/* A text that no entry has: a page ends where it has read as many as one may. */
static int64_t measure_text(struct bench *bench, uint64_t size)
{
    const struct ledger_query query = { .text = STR("no such words") };
    struct sample sample = { .runs = 0 };

    for (size_t i = 0; i < RUNS / 10; i++)
        run_search(bench, &query, &sample);
    return tell_search(&sample, size, "text");
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static void measure_searches(struct bench *bench, uint64_t size)
{
    int64_t worst_ns = 0;

    for (size_t i = 0; i < LEDGER_FIELD_COUNT; i++)
        worst_ns = larger(worst_ns, measure_field(bench, size, (enum ledger_field)i));
    worst_ns =
        larger(worst_ns, measure_two(bench, size, LEDGER_FIELD_PIPELINE, LEDGER_FIELD_STAGE));
    worst_ns = larger(worst_ns, measure_two(bench, size, LEDGER_FIELD_KID, LEDGER_FIELD_STAGE));
    worst_ns = larger(worst_ns, measure_two(bench, size, LEDGER_FIELD_KID, LEDGER_FIELD_LEASE));
    worst_ns =
        larger(worst_ns, measure_two(bench, size, LEDGER_FIELD_PIPELINE, LEDGER_FIELD_ADDRESS));
    worst_ns = larger(worst_ns, measure_text(bench, size));
    printf("searches entries=%" PRIu64 " worst_cpu_p99_ms=%.2f\n", size, (double)worst_ns / 1e6);
}

/* What look-ups take that does not depend on where pages lie: in SQLite's cache, in the kernel's,
 * in the processor's. */
struct effort {
    int64_t pages; /* looked at */
    int64_t reads; /* of them, those that were not in the reader's own cache */
    int64_t steps; /* of SQLite's machine */
};

static int64_t database_status(const struct store_index *index, int which)
{
    int current = 0;
    int most = 0;

    if (sqlite3_db_status(index->database, which, &current, &most, 0) != SQLITE_OK)
        give_up("status", NULL);
    return current;
}

static struct effort effort_of(const struct store_index *index)
{
    int64_t reads = database_status(index, SQLITE_DBSTATUS_CACHE_MISS);

    return (struct effort){
        .pages = database_status(index, SQLITE_DBSTATUS_CACHE_HIT) + reads,
        .reads = reads,
        .steps = sqlite3_stmt_status(index->statements[INDEX_POSTING_BEFORE],
                                     SQLITE_STMTSTATUS_VM_STEP, 0),
    };
}

static void look_up_all(struct bench *bench, uint64_t size, const uint64_t *keys, size_t count)
{
    struct error error = { 0 };

    for (size_t i = 0; i < count; i++) {
        struct index_term term = { LEDGER_FIELD_DECISION, &keys[i], 1 };
        struct index_search search = {
            .terms = &term, .term_count = 1, .budget = 1, .chunk = size / INDEX_CHUNK_ENTRIES
        };

        if (!store_index_search(bench->index, &search, &error))
            give_up("look-up", &error);
    }
}

/* A look-up in the index alone, without the log: the part that grows with the tree. */
static void measure_lookups(struct bench *bench, uint64_t size)
{
    static uint64_t keys[LOOKUPS_BEFORE + LOOKUPS];
    struct index_state state;
    struct effort before;
    struct effort after;
    struct error error = { 0 };
    int64_t start_ns;
    int64_t spent_ns;
    char id[27];

    for (size_t i = 0; i < COUNT(keys); i++) {
        sample_id("decision", ((uint64_t)random() << 20 ^ (uint64_t)random()) % size, id);
        keys[i] = projection_key(str_from(id));
    }
    if (!store_index_begin(bench->index, &state, &error))
        give_up("begin", &error);
    look_up_all(bench, size, keys, LOOKUPS_BEFORE);
    before = effort_of(bench->index);
    start_ns = cpu_ns();
    look_up_all(bench, size, keys + LOOKUPS_BEFORE, LOOKUPS);
    spent_ns = cpu_ns() - start_ns;
    after = effort_of(bench->index);
    store_index_end(bench->index);
    printf("lookup entries=%" PRIu64 " cpu_ns_per_op=%" PRId64
           " pages=%.2f pages_read=%.2f steps=%.1f\n",
           size, spent_ns / LOOKUPS, (double)(after.pages - before.pages) / LOOKUPS,
           (double)(after.reads - before.reads) / LOOKUPS,
           (double)(after.steps - before.steps) / LOOKUPS);
}

/* ---- inventory ---- */

struct counted {
    struct bench *bench;
    size_t uses;
    size_t seen;
};

static bool count_use(const struct ledger_use *use, void *context)
{
    (void)use;
    ((struct counted *)context)->uses++;
    return true;
}

static bool count_seen(const struct ledger_seen *seen, void *context)
{
    (void)seen;
    ((struct counted *)context)->seen++;
    return true;
}

static void measure_inventory(struct bench *bench, uint64_t size)
{
    struct counted counted = { .bench = bench };
    struct index_state state;
    struct error error = { 0 };
    int64_t start_ns = cpu_ns();

    if (!store_index_begin(bench->index, &state, &error) ||
        !projection_each_use(bench->index, NULL, count_use, &counted, &error) ||
        !projection_each_seen(bench->index, (struct str){ 0 }, count_seen, &counted, &error))
        give_up("inventory", &error);
    store_index_end(bench->index);
    printf("inventory entries=%" PRIu64 " uses=%zu identities=%zu cpu_ms=%.1f\n", size,
           counted.uses, counted.seen, (double)(cpu_ns() - start_ns) / 1e6);
}

/* ---- proofs ---- */

static void wake_nobody(void *context)
{
    (void)context;
}

static void measure_proofs(struct bench *bench, uint64_t size)
{
    struct sample sample = { .runs = 0 };

    while (sample.runs < RUNS) {
        uint64_t index = ((uint64_t)random() << 20 ^ (uint64_t)random()) % size;
        struct arena *arena = arena_new(ARENA_REQUEST_MAX);
        struct error error = { 0 };
        struct str entry;
        struct str proof;
        int64_t start_ns = cpu_ns();

        if (!arena || ledger_receipt(bench->ledger, index, (struct waker){ wake_nobody, NULL },
                                     arena, &entry, &proof, &error) != PROGRESS_DONE)
            give_up("receipt", &error);
        sample.spent_ns[sample.runs++] = cpu_ns() - start_ns;
        arena_free(arena);
    }
    qsort(sample.spent_ns, sample.runs, sizeof(*sample.spent_ns), compare);
    printf("proof entries=%" PRIu64 " cpu_p50_us=%" PRId64 " cpu_p99_us=%" PRId64
           " cpu_max_us=%" PRId64 "\n",
           size, sample.spent_ns[RUNS / 2] / 1000, sample.spent_ns[RUNS * 99 / 100] / 1000,
           sample.spent_ns[RUNS - 1] / 1000);
}

/* ---- a start ---- */

static int64_t process_cpu_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void open_ledger(struct bench *bench)
{
    const struct ledger_options options = {
        .origin = STR("bench.example/log"),
        .broker = STR("a"),
        .store = bench->folder,
        .key = bench->key,
        .has_no_index = true,
    };
    struct error error = { 0 };

    if (!ledger_open(&options, &bench->ledger, &error))
        give_up("open", &error);
    bench->store = ledger_store(bench->ledger);
}

static void measure_start(struct bench *bench)
{
    int64_t start_cpu_ns = process_cpu_ns();
    int64_t start_ns = clock_monotonic_ns();

    open_ledger(bench);
    printf("start entries=%" PRIu64 " cpu_ms=%.1f wall_ms=%.1f\n", store_size(bench->store),
           (double)(process_cpu_ns() - start_cpu_ns) / 1e6,
           (double)(clock_monotonic_ns() - start_ns) / 1e6);
}

/* ---- sizes ---- */

static void measure_reading(struct bench *bench, uint64_t size)
{
    measure_lookups(bench, size);
    measure_searches(bench, size);
    measure_inventory(bench, size);
    measure_proofs(bench, size);
    (void)fflush(stdout);
}

static void measure(struct bench *bench, uint64_t from, uint64_t size)
{
    uint64_t trickle = size - from > 2 * TRICKLE_ENTRIES ? size - TRICKLE_ENTRIES : size;
    struct error error = { 0 };
    double large_us;
    double small_us;

    append(bench, from, size);
    wait_until_published(bench);
    if (!store_reader_refresh(bench->reader, &error))
        give_up("refresh", &error);
    large_us = fill(bench, from, trickle, PROJECTION_BATCH_MAX);
    small_us = trickle < size ? fill(bench, trickle, size, TRICKLE_BATCH) : 0;
    printf("index entries=%" PRIu64 " us_per_entry=%.1f us_per_entry_by_%d=%.1f file_mb=%.0f "
           "bytes_per_entry=%.0f\n",
           size, large_us, TRICKLE_BATCH, small_us, megabytes(bench->path),
           megabytes(bench->path) * 1e6 / (double)size);
    measure_reading(bench, size);
}

static void open_key(struct bench *bench, struct keys **keys)
{
    struct keys_options options = { .issuer_algorithm = KEY_ES256, .rotate_every_s = 2592000 };
    struct error error = { 0 };
    char path[4096];

    (void)snprintf(path, sizeof(path), "%s.keys", bench->folder);
    options.directory = path;
    if (!keys_open(&options, clock_wall_s(), keys, &error) ||
        !keys_named(*keys, STR("ledger"), KEY_ED25519, &bench->key, &error))
        give_up("keys", &error);
}

static void open_bench(struct bench *bench)
{
    struct error error = { 0 };

    (void)snprintf(bench->path, sizeof(bench->path), "%s/" STORE_INDEX_NAME, bench->folder);
    measure_start(bench);
    if (!store_reader_new(bench->store, &bench->reader, &error) ||
        !store_index_open(bench->path, PROJECTION_VERSION, &bench->writer, &error) ||
        !store_index_open_to_read(bench->path, PROJECTION_VERSION, &bench->index, &error) ||
        !projection_new(bench->writer, &bench->projection, &error))
        give_up("open", &error);
}

static void close_bench(struct bench *bench)
{
    projection_free(bench->projection);
    store_index_close(bench->index);
    store_index_close(bench->writer);
    store_reader_close(bench->reader);
    ledger_close(bench->ledger);
}

static void measure_all(struct bench *bench, const char *const *sizes, int count)
{
    uint64_t from = store_size(bench->store);
    struct index_state state;
    struct error error = { 0 };

    if (!store_index_begin(bench->index, &state, &error))
        give_up("begin", &error);
    store_index_end(bench->index);
    if (state.size != from)
        give_up("the folder's index is not of all its entries", NULL);
    for (int i = 0; i < count; i++) {
        int64_t size = 0;

        if (!str_to_int64(str_from(sizes[i]), &size) || (uint64_t)size <= from)
            give_up("sizes are numbers that grow", NULL);
        measure(bench, from, (uint64_t)size);
        from = (uint64_t)size;
    }
}

int main(int argc, char **argv)
{
    static const char *const usual[] = { "10000", "100000", "1000000" };
    bool is_again = argc == 3 && strcmp(argv[1], "--again") == 0;
    struct bench bench = { 0 };
    struct keys *keys = NULL;

    if (argc < 2 || (argv[1][0] == '-' && !is_again)) {
        (void)fprintf(stderr, "usage: bench_index FOLDER [ENTRIES...]\n"
                              "       bench_index --again FOLDER-OF-BEFORE\n");
        return 2;
    }
    bench.folder = argv[is_again ? 2 : 1];
    srandom(1);
    open_key(&bench, &keys);
    open_bench(&bench);
    if (is_again)
        measure_reading(&bench, store_size(bench.store));
    else if (argc > 2)
        measure_all(&bench, (const char *const *)argv + 2, argc - 2);
    else
        measure_all(&bench, usual, (int)COUNT(usual));
    close_bench(&bench);
    keys_close(keys);
    return 0;
}
