/*
 * What the ledger's index costs and gives, as the log grows: CPU an entry to fill it, with large
 * batches (behind, or made anew) and small ones (as they come); a page of a search by each field;
 * the rows of an inventory. Searches are for values of entries drawn at random, in pages and with
 * limits as the API has them, and read what they find from the log. Their times are CPU of the
 * thread, which is all that they need where log and index are in memory: what else a machine does
 * meanwhile does not count.
 *
 * usage: bench_index FOLDER [ENTRIES...]
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
#include "ledger/entry.h"
#include "ledger/projection.h"
#include "ledger/sample.h"
#include "ledger/search.h"
#include "store/index.h"
#include "store/store.h"

#define IN_FLIGHT 16
#define TOGETHER 2 /* entries of a proposal: a batch has some thirty */
#define RUNS 300
#define PAGE 100
#define READS_MAX 2000
#define LOOKUPS_MAX 5000
#define TRICKLE_ENTRIES 3000
#define TRICKLE_BATCH 250 /* what a thousand a second are between two steps of the indexer */

struct bench {
    struct store *store;
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

static bool no_fold(struct str entry, uint64_t index, struct store_change *changes,
                    size_t *change_count, struct error *error)
{
    (void)entry;
    (void)index;
    (void)changes;
    (void)error;
    *change_count = 0;
    return true;
}

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
static int64_t search_once(struct bench *bench, enum ledger_field field, const char *value,
                           size_t *found)
{
    struct ledger_query query = { 0 };
    struct ledger_search search = {
        .query = &query,
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

    query.fields[field].values[0] = str_from(value);
    query.fields[field].count = 1;
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

static int64_t measure_field(struct bench *bench, uint64_t size, enum ledger_field field)
{
    static int64_t spent_ns[RUNS];
    static struct drawn drawn;
    size_t found = 0;
    size_t runs = 0;

    for (size_t i = 0; i < 10 * (size_t)RUNS && runs < RUNS; i++) {
        draw(bench, size, &drawn);
        if (drawn.values[field][0] == '\0')
            continue;
        spent_ns[runs++] = search_once(bench, field, drawn.values[field], &found);
    }
    if (runs == 0)
        return 0;
    qsort(spent_ns, runs, sizeof(*spent_ns), compare);
    printf("search entries=%" PRIu64 " field=%s runs=%zu found=%.1f cpu_p50_us=%" PRId64
           " cpu_p99_us=%" PRId64 " cpu_max_us=%" PRId64 "\n",
           size, query_field(field)->name, runs, (double)found / (double)runs,
           spent_ns[runs / 2] / 1000, spent_ns[runs * 99 / 100] / 1000, spent_ns[runs - 1] / 1000);
    return spent_ns[runs * 99 / 100];
}

static void measure_searches(struct bench *bench, uint64_t size)
{
    int64_t worst_ns = 0;

    for (size_t i = 0; i < LEDGER_FIELD_COUNT; i++) {
        int64_t p99_ns = measure_field(bench, size, (enum ledger_field)i);

        worst_ns = p99_ns > worst_ns ? p99_ns : worst_ns;
    }
    printf("searches entries=%" PRIu64 " worst_cpu_p99_ms=%.2f\n", size, (double)worst_ns / 1e6);
}

/* A look-up in the index alone, without the log: the part that grows with the tree. */
static void measure_lookups(struct bench *bench, uint64_t size)
{
    struct index_state state;
    struct error error = { 0 };
    int64_t spent_ns = 0;
    char id[27];

    if (!store_index_begin(bench->index, &state, &error))
        give_up("begin", &error);
    for (size_t i = 0; i < 10 * (size_t)RUNS; i++) {
        uint64_t key;
        struct index_term term = { LEDGER_FIELD_DECISION, &key, 1 };
        struct index_search search = {
            .terms = &term, .term_count = 1, .budget = 1, .chunk = size / INDEX_CHUNK_ENTRIES
        };
        int64_t start_ns;

        sample_id("decision", (uint64_t)random() % size, id);
        key = projection_key(str_from(id));
        start_ns = clock_monotonic_ns();
        if (!store_index_search(bench->index, &search, &error))
            give_up("look-up", &error);
        spent_ns += clock_monotonic_ns() - start_ns;
    }
    store_index_end(bench->index);
    printf("lookup entries=%" PRIu64 " ns_per_op=%" PRId64 "\n", size, spent_ns / (10 * RUNS));
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
    int64_t start_ns = clock_monotonic_ns();

    if (!store_index_begin(bench->index, &state, &error) ||
        !projection_each_use(bench->index, NULL, count_use, &counted, &error) ||
        !projection_each_seen(bench->index, (struct str){ 0 }, count_seen, &counted, &error))
        give_up("inventory", &error);
    store_index_end(bench->index);
    printf("inventory entries=%" PRIu64 " uses=%zu identities=%zu ms=%.1f\n", size, counted.uses,
           counted.seen, (double)(clock_monotonic_ns() - start_ns) / 1e6);
}

/* ---- sizes ---- */

static void measure(struct bench *bench, uint64_t from, uint64_t size)
{
    uint64_t trickle = size - from > 2 * TRICKLE_ENTRIES ? size - TRICKLE_ENTRIES : size;
    struct error error = { 0 };
    double large_us;
    double small_us;

    append(bench, from, size);
    if (!store_reader_refresh(bench->reader, &error))
        give_up("refresh", &error);
    large_us = fill(bench, from, trickle, PROJECTION_BATCH_MAX);
    small_us = trickle < size ? fill(bench, trickle, size, TRICKLE_BATCH) : 0;
    printf("index entries=%" PRIu64 " us_per_entry=%.1f us_per_entry_by_%d=%.1f file_mb=%.0f "
           "bytes_per_entry=%.0f\n",
           size, large_us, TRICKLE_BATCH, small_us, megabytes(bench->path),
           megabytes(bench->path) * 1e6 / (double)size);
    measure_lookups(bench, size);
    measure_searches(bench, size);
    measure_inventory(bench, size);
    (void)fflush(stdout);
}

int main(int argc, char **argv)
{
    static const char *const sizes[] = { "10000", "100000", "1000000" };
    struct store_options options = { .fold = { no_fold } };
    struct bench bench = { 0 };
    struct error error = { 0 };
    uint64_t from = 0;
    int count = argc > 2 ? argc - 2 : (int)COUNT(sizes);

    if (argc < 2) {
        (void)fprintf(stderr, "usage: bench_index FOLDER [ENTRIES...]\n");
        return 2;
    }
    options.location = argv[1];
    (void)snprintf(bench.path, sizeof(bench.path), "%s/" STORE_INDEX_NAME, argv[1]);
    srandom(1);
    if (!store_open(&options, &bench.store, &error) ||
        !store_reader_new(bench.store, &bench.reader, &error) ||
        !store_index_open(bench.path, PROJECTION_VERSION, &bench.writer, &error) ||
        !store_index_open_to_read(bench.path, PROJECTION_VERSION, &bench.index, &error) ||
        !projection_new(bench.writer, &bench.projection, &error))
        give_up("open", &error);
    if (store_size(bench.store) > 0)
        give_up("the folder has a store already", NULL);
    for (int i = 0; i < count; i++) {
        int64_t size = 0;

        if (!str_to_int64(str_from(argc > 2 ? argv[2 + i] : sizes[i]), &size) ||
            (uint64_t)size <= from)
            give_up("sizes are numbers that grow", NULL);
        measure(&bench, from, (uint64_t)size);
        from = (uint64_t)size;
    }
    projection_free(bench.projection);
    store_index_close(bench.index);
    store_index_close(bench.writer);
    store_reader_close(bench.reader);
    store_close(bench.store);
    return 0;
}
