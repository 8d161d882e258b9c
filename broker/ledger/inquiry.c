#include "ledger/inquiry.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "ledger/indexer.h"
#include "ledger/projection.h"
#include "store/store.h"

#define MS_NS INT64_C(1000000)

/* Those that wait for the index are looked at so often. */
#define LOOK_MS 50

struct inquiries {
    const struct store *store;
    char *path;
    struct indexer *indexer;

    /* the thread's alone */
    struct store_reader *reader;
    struct store_index *index;
    unsigned generation; /* of the index */

    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct ledger_inquiry *first; /* guarded by lock */
    size_t count;                 /* guarded by lock */
    bool is_stopping;             /* guarded by lock */
    bool has_ended;               /* the thread was joined */
};

/* ---- reading ---- */

static bool open_index(struct inquiries *inquiries, struct error *error)
{
    unsigned generation = indexer_generation(inquiries->indexer);

    if (inquiries->index && inquiries->generation == generation)
        return true;
    store_index_close(TAKE(inquiries->index));
    if (!store_index_open_to_read(inquiries->path, PROJECTION_VERSION, &inquiries->index, error))
        return false;
    inquiries->generation = generation;
    return true;
}

/* The reader after the index: it then goes at least as far. */
static bool begin(struct inquiries *inquiries, struct ledger_view *view, struct error *error)
{
    if (!open_index(inquiries, error) || !store_index_begin(inquiries->index, &view->seen, error))
        return false;
    if (!inquiries->reader && !store_reader_new(inquiries->store, &inquiries->reader, error))
        return false;
    view->index = inquiries->index;
    view->reader = inquiries->reader;
    return store_reader_refresh(inquiries->reader, error);
}

static bool work(struct inquiries *inquiries, struct ledger_inquiry *inquiry, struct error *error)
{
    struct ledger_view view = { 0 };
    bool is_good;

    if (!begin(inquiries, &view, error))
        return false;
    store_index_set_deadline(inquiries->index, clock_monotonic_ns() + INQUIRY_RUN_MS * MS_NS);
    is_good = inquiry->run(&view, inquiry->context, error);
    store_index_set_deadline(inquiries->index, 0);
    return is_good;
}

/* A file that does not read is made anew; whoever asks is told to come again. */
static void note_failure(struct inquiries *inquiries, struct error *error)
{
    struct error why = *error;

    if (why.code != ERROR_INVALID && why.code != ERROR_NOT_FOUND)
        return;
    if (why.code == ERROR_INVALID && inquiries->index)
        indexer_renew(inquiries->indexer);
    store_index_close(TAKE(inquiries->index));
    *error = (struct error){ 0 };
    (void)error_set(error, ERROR_INDEX, "%s", why.cause);
}

static void finish(struct ledger_inquiry *inquiry)
{
    struct waker waker = inquiry->waker;

    waker.wake(waker.context); /* the inquiry may be gone after it */
}

static void run_one(struct inquiries *inquiries, struct ledger_inquiry *inquiry, bool is_late)
{
    inquiry->error = (struct error){ 0 };
    if (is_late)
        inquiry->is_good = error_set(&inquiry->error, ERROR_INDEX, "the index is behind");
    else
        inquiry->is_good = work(inquiries, inquiry, &inquiry->error);
    if (inquiries->index)
        store_index_end(inquiries->index);
    if (!inquiry->is_good)
        note_failure(inquiries, &inquiry->error);
    finish(inquiry);
}

/* ---- the queue ---- */

static bool may_run(const struct inquiries *inquiries, const struct ledger_inquiry *inquiry)
{
    return !inquiry->must_be_fresh || indexer_size(inquiries->indexer) >= inquiry->size;
}

static bool is_late(const struct ledger_inquiry *inquiry, int64_t now_ms)
{
    int64_t allowed_ms = inquiry->must_be_fresh ? INQUIRY_FRESH_MS : INQUIRY_QUEUE_MS;

    return now_ms - inquiry->since_ms >= allowed_ms;
}

/* Called with the lock: take the first that can be done with. */
static struct ledger_inquiry *take(struct inquiries *inquiries, bool *is_too_late)
{
    int64_t now_ms = clock_monotonic_ns() / MS_NS;

    for (struct ledger_inquiry **at = &inquiries->first; *at; at = &(*at)->next) {
        struct ledger_inquiry *inquiry = *at;
        bool is_ready = may_run(inquiries, inquiry);

        /* What is ready is begun, unless it waited for its turn too long. */
        *is_too_late = is_late(inquiry, now_ms) && !(is_ready && inquiry->must_be_fresh);
        if (!is_ready && !*is_too_late)
            continue;
        *at = inquiry->next;
        inquiries->count--;
        return inquiry;
    }
    return NULL;
}

static struct timespec soon(void)
{
    struct timespec at;

    (void)clock_gettime(CLOCK_MONOTONIC,
                        &at); /* for a wait of the system's, never moved by tests */
    at.tv_nsec += LOOK_MS * MS_NS;
    at.tv_sec += at.tv_nsec / 1000000000;
    at.tv_nsec %= 1000000000;
    return at;
}

/* Called with the lock. */
static void wait_for_more(struct inquiries *inquiries)
{
    struct timespec until = soon();

    if (inquiries->first)
        (void)pthread_cond_timedwait(&inquiries->wake, &inquiries->lock, &until);
    else
        (void)pthread_cond_wait(&inquiries->wake, &inquiries->lock);
}

static void refuse_all(struct inquiries *inquiries)
{
    struct ledger_inquiry *inquiry = inquiries->first;

    while (inquiry) {
        struct ledger_inquiry *next = inquiry->next;

        inquiry->error = (struct error){ 0 };
        inquiry->is_good = error_set(&inquiry->error, ERROR_STOPPING, "stopping");
        finish(inquiry);
        inquiry = next;
    }
    inquiries->first = NULL;
}

static void *run(void *context)
{
    struct inquiries *inquiries = context;

    (void)pthread_mutex_lock(&inquiries->lock);
    while (!inquiries->is_stopping) {
        bool is_too_late = false;
        struct ledger_inquiry *inquiry = take(inquiries, &is_too_late);

        if (!inquiry) {
            wait_for_more(inquiries);
            continue;
        }
        (void)pthread_mutex_unlock(&inquiries->lock);
        run_one(inquiries, inquiry, is_too_late);
        (void)pthread_mutex_lock(&inquiries->lock);
    }
    (void)pthread_mutex_unlock(&inquiries->lock);
    refuse_all(inquiries);
    return NULL;
}

bool inquiries_submit(struct inquiries *inquiries, struct ledger_inquiry *inquiry,
                      struct error *error)
{
    struct ledger_inquiry **end = &inquiries->first;
    bool is_queued;

    inquiry->next = NULL;
    inquiry->size = store_size(inquiries->store);
    inquiry->since_ms = clock_monotonic_ns() / MS_NS;
    (void)pthread_mutex_lock(&inquiries->lock);
    is_queued = !inquiries->is_stopping && inquiries->count < INQUIRIES_MAX;
    if (!is_queued)
        (void)error_set(error, inquiries->is_stopping ? ERROR_STOPPING : ERROR_BUSY,
                        "no more inquiries");
    while (*end)
        end = &(*end)->next;
    if (is_queued) {
        *end = inquiry;
        inquiries->count++;
        (void)pthread_cond_signal(&inquiries->wake);
    }
    (void)pthread_mutex_unlock(&inquiries->lock);
    if (is_queued && inquiry->must_be_fresh)
        indexer_hurry(inquiries->indexer);
    return is_queued;
}

bool inquiries_forget(struct inquiries *inquiries, const struct ledger_inquiry *inquiry)
{
    bool was_waiting = false;

    (void)pthread_mutex_lock(&inquiries->lock);
    for (struct ledger_inquiry **at = &inquiries->first; *at && !was_waiting;) {
        if (*at != inquiry) {
            at = &(*at)->next;
            continue;
        }
        *at = inquiry->next;
        inquiries->count--;
        was_waiting = true;
    }
    (void)pthread_mutex_unlock(&inquiries->lock);
    return was_waiting;
}

void inquiries_progressed(void *context)
{
    struct inquiries *inquiries = context;

    (void)pthread_mutex_lock(&inquiries->lock);
    (void)pthread_cond_signal(&inquiries->wake);
    (void)pthread_mutex_unlock(&inquiries->lock);
}

/* ---- life ---- */

static bool init(struct inquiries *inquiries, const struct store *store, const char *path)
{
    pthread_condattr_t attributes;
    bool is_ok;

    inquiries->store = store;
    inquiries->path = strdup(path);
    if (!inquiries->path || pthread_condattr_init(&attributes) != 0)
        return false;
    is_ok = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
            pthread_mutex_init(&inquiries->lock, NULL) == 0 &&
            pthread_cond_init(&inquiries->wake, &attributes) == 0;
    (void)pthread_condattr_destroy(&attributes);
    return is_ok;
}

bool inquiries_start(const struct store *store, const char *path, struct inquiries **out,
                     struct error *error)
{
    struct inquiries *inquiries = calloc(1, sizeof(*inquiries));

    if (inquiries && init(inquiries, store, path) &&
        pthread_create(&inquiries->thread, NULL, run, inquiries) == 0) {
        *out = inquiries;
        return true;
    }
    if (inquiries)
        free(inquiries->path);
    free(inquiries);
    return error_set(error, ERROR_MEMORY, "cannot start the ledger's reader");
}

void inquiries_follow(struct inquiries *inquiries, struct indexer *indexer)
{
    inquiries->indexer = indexer;
}

void inquiries_stop(struct inquiries *inquiries)
{
    if (!inquiries || inquiries->has_ended)
        return;
    inquiries->has_ended = true;
    (void)pthread_mutex_lock(&inquiries->lock);
    inquiries->is_stopping = true;
    (void)pthread_cond_signal(&inquiries->wake);
    (void)pthread_mutex_unlock(&inquiries->lock);
    (void)pthread_join(inquiries->thread, NULL);
    store_index_close(TAKE(inquiries->index));
    store_reader_close(TAKE(inquiries->reader));
}

void inquiries_free(struct inquiries *inquiries)
{
    if (!inquiries)
        return;
    (void)pthread_cond_destroy(&inquiries->wake);
    (void)pthread_mutex_destroy(&inquiries->lock);
    free(inquiries->path);
    free(inquiries);
}
