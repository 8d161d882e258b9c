#include "ledger/indexer.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/error.h"
#include "base/metrics.h"
#include "ledger/projection.h"
#include "store/index.h"
#include "store/store.h"

#define NICENESS 10

/*
 * Entries are collected so long before a step: what stands in many of them is written once, in
 * pages that are written once. Where many come, longer: two thousand together take half of what
 * they take by 250. Searches read what is not indexed yet, and who needs the index fresh says so.
 */
#define COLLECT_MS 250
#define COLLECT_MANY 64 /* in that time */
#define COLLECT_MANY_MS 1750
#define COLLECT_ENTRIES 4096
#define RETRY_MS 5000

/* Who erases waits so long for the index to forget. */
#define FORGET_MS 30000

/* Without a commit of ours it still looks: other brokers write into the same database. */
#define LOOK_MS 2000

/* What is to be forgotten. Borrowed from who waits for it. */
struct forgetting {
    const struct indexer_erased *erased;
    size_t count;
};

struct indexer {
    const struct store *store;
    char *path;
    void (*progressed)(void *context);
    void *context;

    /* the thread's alone */
    struct store_reader *reader;
    struct store_index *index;
    struct projection *projection;
    bool must_settle; /* what was forgotten may still stand in the file, or beside it */

    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    uint64_t wanted;              /* guarded by lock: entries of the log */
    bool is_hurried;              /* guarded by lock */
    bool is_stopping;             /* guarded by lock */
    bool must_renew;              /* guarded by lock */
    struct forgetting forgetting; /* guarded by lock; without entries: nothing is to be forgotten */
    bool is_forgetting;           /* guarded by lock: its entries are being read */
    pthread_cond_t forgotten;

    atomic_uint_fast64_t size;
    atomic_uint generation;
};

/* ---- a step ---- */

static void close_index(struct indexer *indexer)
{
    projection_free(TAKE(indexer->projection));
    store_index_close(TAKE(indexer->index));
}

/* Whether what the index saw last is what the log has there. */
static bool is_of_log(struct indexer *indexer, const struct index_state *state)
{
    uint8_t digest[SHA256_LEN];
    struct error ignored = { 0 };
    struct str entry;

    if (state->size == 0)
        return true;
    if (state->size > store_reader_size(indexer->reader) ||
        !store_reader_get(indexer->reader, state->size - 1, &entry, NULL, &ignored))
        return false;
    sha256(entry, digest);
    return memcmp(digest, state->last_sha256, SHA256_LEN) == 0;
}

static bool make_anew(struct indexer *indexer, struct error *error)
{
    close_index(indexer);
    atomic_store(&indexer->size, 0);
    return store_index_remove(indexer->path, error) &&
           store_index_open(indexer->path, PROJECTION_VERSION, &indexer->index, error);
}

static bool open_index(struct indexer *indexer, struct error *error)
{
    struct index_state state;

    if (!store_index_open(indexer->path, PROJECTION_VERSION, &indexer->index, error) ||
        !store_index_begin(indexer->index, &state, error))
        return false;
    store_index_end(indexer->index);
    if (!is_of_log(indexer, &state)) {
        if (!make_anew(indexer, error))
            return false;
        state.size = 0;
    }
    atomic_store(&indexer->size, state.size);
    atomic_fetch_add(&indexer->generation, 1);
    return projection_new(indexer->index, &indexer->projection, error);
}

static bool ready(struct indexer *indexer, struct error *error)
{
    if (!indexer->reader && !store_reader_new(indexer->store, &indexer->reader, error))
        return false;
    if (!store_reader_refresh(indexer->reader, error))
        return false;
    return indexer->index || open_index(indexer, error);
}

static bool take_in(struct indexer *indexer, uint64_t from, uint64_t to, struct error *error)
{
    for (uint64_t i = from; i < to; i++) {
        struct projection_entry entry = { .index = i };

        if (!store_reader_get(indexer->reader, i, &entry.bytes, &entry.private_part, error))
            return false;
        entry.has_place = store_reader_place(indexer->reader, &entry.place);
        if (!projection_add(indexer->projection, &entry, error))
            return false;
    }
    return true;
}

/* The next entries, in one transaction. */
static bool index_some(struct indexer *indexer, struct error *error)
{
    struct index_state state;
    uint64_t end = store_reader_size(indexer->reader);

    if (!store_index_begin(indexer->index, &state, error))
        return false;
    if (end > state.size + PROJECTION_BATCH_MAX)
        end = state.size + PROJECTION_BATCH_MAX;
    if (end <= state.size) {
        store_index_end(indexer->index);
        return true;
    }
    if (!take_in(indexer, state.size, end, error)) {
        projection_clear(indexer->projection);
        store_index_end(indexer->index);
        return false;
    }
    if (!projection_write(indexer->projection, error))
        return false;
    atomic_store(&indexer->size, end);
    return true;
}

/* What the index has not seen yet it will see without its private part. */
static bool forget_all(struct indexer *indexer, const struct forgetting *forgetting,
                       struct error *error)
{
    struct index_state state;

    if (!store_index_begin(indexer->index, &state, error))
        return false;
    for (size_t i = 0; i < forgetting->count; i++) {
        const struct indexer_erased *erased = &forgetting->erased[i];

        if (erased->index < state.size &&
            !projection_forget(indexer->index, erased->index, erased->entry, erased->private_part,
                               error)) {
            store_index_end(indexer->index);
            return false;
        }
    }
    return store_index_commit(indexer->index, &state, error);
}

static struct forgetting begin_forgetting(struct indexer *indexer)
{
    struct forgetting forgetting;

    (void)pthread_mutex_lock(&indexer->lock);
    forgetting = indexer->forgetting;
    indexer->is_forgetting = forgetting.count > 0;
    (void)pthread_mutex_unlock(&indexer->lock);
    return forgetting;
}

static void end_forgetting(struct indexer *indexer, bool is_done)
{
    (void)pthread_mutex_lock(&indexer->lock);
    if (is_done)
        indexer->forgetting = (struct forgetting){ 0 };
    indexer->is_forgetting = false;
    (void)pthread_cond_broadcast(&indexer->forgotten);
    (void)pthread_mutex_unlock(&indexer->lock);
}

/* Where somebody reads at that moment, the next step tries again. */
static void settle(struct indexer *indexer)
{
    struct error ignored = { 0 };

    if (indexer->must_settle)
        indexer->must_settle = !store_index_settle(indexer->index, &ignored);
}

/* A file that cannot be changed goes: then it has forgotten, too. */
static bool forget_some(struct indexer *indexer, struct error *error)
{
    struct forgetting forgetting = begin_forgetting(indexer);
    struct error ignored = { 0 };
    bool is_done = true;

    if (forgetting.count == 0)
        return true;
    if (!forget_all(indexer, &forgetting, &ignored)) {
        is_done = make_anew(indexer, error) &&
                  projection_new(indexer->index, &indexer->projection, error);
        (void)atomic_fetch_add(&indexer->generation, 1);
    } else {
        indexer->must_settle = true;
        settle(indexer);
    }
    end_forgetting(indexer, is_done);
    return is_done;
}

static bool step(struct indexer *indexer, bool must_renew, struct error *error)
{
    if (must_renew) {
        close_index(indexer);
        atomic_store(&indexer->size, 0);
        if (!store_index_remove(indexer->path, error))
            return false;
    }
    if (!ready(indexer, error))
        return false;
    settle(indexer);
    return forget_some(indexer, error) && index_some(indexer, error);
}

/* ---- the thread ---- */

static struct timespec in_ms(int64_t duration_ms)
{
    struct timespec at;

    (void)clock_gettime(CLOCK_MONOTONIC,
                        &at); /* for a wait of the system's, never moved by tests */
    at.tv_nsec += (duration_ms % 1000) * 1000000;
    at.tv_sec += (time_t)(duration_ms / 1000) + at.tv_nsec / 1000000000;
    at.tv_nsec %= 1000000000;
    return at;
}

/* Called with the lock. */
static bool is_behind(const struct indexer *indexer)
{
    return indexer->wanted > atomic_load(&indexer->size);
}

/* Called with the lock: enough to do, or somebody waits. */
static bool is_urgent(const struct indexer *indexer)
{
    return indexer->is_hurried || indexer->wanted >= atomic_load(&indexer->size) + COLLECT_ENTRIES;
}

/* Called with the lock. */
static void wait_at_most(struct indexer *indexer, int64_t duration_ms, bool ends_when_urgent)
{
    struct timespec until = in_ms(duration_ms);

    while (!indexer->is_stopping && !(ends_when_urgent && is_urgent(indexer)) &&
           pthread_cond_timedwait(&indexer->wake, &indexer->lock, &until) != ETIMEDOUT)
        continue;
}

/* Called with the lock. */
static void collect(struct indexer *indexer)
{
    wait_at_most(indexer, COLLECT_MS, true);
    if (indexer->wanted >= atomic_load(&indexer->size) + COLLECT_MANY)
        wait_at_most(indexer, COLLECT_MANY_MS, true);
}

/* Called with the lock. */
static void wait_until_behind(struct indexer *indexer)
{
    struct timespec until = in_ms(LOOK_MS);

    while (!indexer->is_stopping && !indexer->must_renew && !is_behind(indexer) &&
           !indexer->is_hurried && indexer->forgetting.count == 0 &&
           pthread_cond_timedwait(&indexer->wake, &indexer->lock, &until) != ETIMEDOUT)
        continue;
}

/* Wait for something to do; false when it is over. */
static bool wait_for_work(struct indexer *indexer, bool has_failed)
{
    bool goes_on;

    (void)pthread_mutex_lock(&indexer->lock);
    if (has_failed)
        wait_at_most(indexer, RETRY_MS, false);
    wait_until_behind(indexer);
    if (is_behind(indexer))
        collect(indexer);
    indexer->is_hurried = false;
    goes_on = !indexer->is_stopping;
    (void)pthread_mutex_unlock(&indexer->lock);
    return goes_on;
}

static bool take_renewal(struct indexer *indexer)
{
    bool must_renew;

    (void)pthread_mutex_lock(&indexer->lock);
    must_renew = indexer->must_renew;
    indexer->must_renew = false;
    (void)pthread_mutex_unlock(&indexer->lock);
    return must_renew;
}

/* A damaged file goes at once; an error of the log's own or of the system is waited for. */
static bool recover(struct indexer *indexer, const struct error *why)
{
    bool was_open = indexer->index != NULL;
    struct error ignored = { 0 };

    close_index(indexer);
    return was_open && why->code == ERROR_INVALID && store_index_remove(indexer->path, &ignored);
}

static void report(struct indexer *indexer)
{
    uint64_t size = atomic_load(&indexer->size);
    uint64_t wanted;

    (void)pthread_mutex_lock(&indexer->lock);
    wanted = indexer->wanted;
    (void)pthread_mutex_unlock(&indexer->lock);
    metric_set(METRIC_INDEX_SIZE, (int64_t)size);
    metric_set(METRIC_INDEX_BACKLOG, wanted > size ? (int64_t)(wanted - size) : 0);
    if (indexer->progressed)
        indexer->progressed(indexer->context);
}

/* What came last is taken in before the end, so that the index of a store at rest has seen all. */
static void finish(struct indexer *indexer)
{
    struct error ignored = { 0 };

    if (indexer->index && !step(indexer, false, &ignored))
        (void)recover(indexer, &ignored); /* the next start goes on from where it is */
}

static void *run(void *context)
{
    struct indexer *indexer = context;
    bool has_failed = false;

    /* Of the thread alone, on Linux; where it may not be, it works at the usual priority. */
    (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICENESS);
    while (wait_for_work(indexer, has_failed)) {
        struct error error = { 0 };

        has_failed = false;
        if (!step(indexer, take_renewal(indexer), &error)) {
            metric_add(METRIC_INDEX_FAILURES, 1);
            has_failed = !recover(indexer, &error);
        }
        report(indexer);
    }
    finish(indexer);
    return NULL;
}

/* ---- life ---- */

static bool init(struct indexer *indexer, const struct indexer_options *options)
{
    pthread_condattr_t attributes;
    bool is_ok;

    indexer->store = options->store;
    indexer->progressed = options->progressed;
    indexer->context = options->context;
    indexer->wanted = store_size(options->store);
    indexer->path = strdup(options->path);
    if (!indexer->path || pthread_condattr_init(&attributes) != 0)
        return false;
    is_ok = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
            pthread_mutex_init(&indexer->lock, NULL) == 0 &&
            pthread_cond_init(&indexer->wake, &attributes) == 0 &&
            pthread_cond_init(&indexer->forgotten, &attributes) == 0;
    (void)pthread_condattr_destroy(&attributes);
    return is_ok;
}

bool indexer_start(const struct indexer_options *options, struct indexer **out, struct error *error)
{
    struct indexer *indexer = calloc(1, sizeof(*indexer));

    if (indexer && init(indexer, options) &&
        pthread_create(&indexer->thread, NULL, run, indexer) == 0) {
        *out = indexer;
        return true;
    }
    if (indexer)
        free(indexer->path);
    free(indexer);
    return error_set(error, ERROR_MEMORY, "cannot start the indexer");
}

void indexer_stop(struct indexer *indexer)
{
    if (!indexer)
        return;
    (void)pthread_mutex_lock(&indexer->lock);
    indexer->is_stopping = true;
    (void)pthread_cond_signal(&indexer->wake);
    (void)pthread_mutex_unlock(&indexer->lock);
    (void)pthread_join(indexer->thread, NULL);
    close_index(indexer);
    store_reader_close(indexer->reader);
    (void)pthread_cond_destroy(&indexer->wake);
    (void)pthread_cond_destroy(&indexer->forgotten);
    (void)pthread_mutex_destroy(&indexer->lock);
    free(indexer->path);
    free(indexer);
}

void indexer_commit(uint64_t size, void *context)
{
    struct indexer *indexer = context;

    (void)pthread_mutex_lock(&indexer->lock);
    indexer->wanted = size;
    (void)pthread_cond_signal(&indexer->wake);
    (void)pthread_mutex_unlock(&indexer->lock);
}

bool indexer_forget(struct indexer *indexer, const struct indexer_erased *erased, size_t count,
                    struct error *error)
{
    struct timespec until = in_ms(FORGET_MS);
    bool is_forgotten = false;
    int outcome = 0;

    if (count == 0)
        return true;
    (void)pthread_mutex_lock(&indexer->lock);
    indexer->forgetting = (struct forgetting){ erased, count };
    indexer->is_hurried = true;
    (void)pthread_cond_signal(&indexer->wake);
    /* What is being read stays until it was. */
    while ((indexer->forgetting.count > 0 && outcome == 0) || indexer->is_forgetting)
        outcome = pthread_cond_timedwait(&indexer->forgotten, &indexer->lock, &until);
    is_forgotten = indexer->forgetting.count == 0;
    indexer->forgetting = (struct forgetting){ 0 };
    (void)pthread_mutex_unlock(&indexer->lock);
    return is_forgotten ||
           error_set(error, ERROR_INDEX, "the index does not forget: it is made anew at a start");
}

uint64_t indexer_size(const struct indexer *indexer)
{
    return atomic_load(&indexer->size);
}

void indexer_hurry(struct indexer *indexer)
{
    (void)pthread_mutex_lock(&indexer->lock);
    indexer->is_hurried = true;
    (void)pthread_cond_signal(&indexer->wake);
    (void)pthread_mutex_unlock(&indexer->lock);
}

unsigned indexer_generation(const struct indexer *indexer)
{
    return atomic_load(&indexer->generation);
}

void indexer_renew(struct indexer *indexer)
{
    (void)pthread_mutex_lock(&indexer->lock);
    indexer->must_renew = true;
    (void)pthread_cond_signal(&indexer->wake);
    (void)pthread_mutex_unlock(&indexer->lock);
}
