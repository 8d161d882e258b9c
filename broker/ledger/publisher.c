#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/metrics.h"
#include "keys/keys.h"
#include "ledger/agreement.h"
#include "ledger/note.h"
#include "ledger/publisher_internal.h"
#include "ledger/tile_builder.h"
#include "ledger/tile_recovery.h"
#include "ledger/waiters.h"
#include "ledger/witness.h"
#include "store/store.h"

#ifdef STAGEPASS_TEST_CLOCK
/* A clock that tests move wakes nobody: so look at it. */
#define MOVED_CLOCK_MS 500
#endif

/* A checkpoint at most so often. */
#define PUBLISH_EVERY_MS 1000

const struct tile_edge *publisher_edge_of(const struct publication *publication)
{
    static const struct tile_edge empty;

    return publication == NULL ? &empty : &publication->edge;
}

/* Only this thread changes `current`, so it stays while we use it. */
static const struct publication *newest_of(const struct publisher *publisher)
{
    return publisher->newest == NULL ? publisher->current : publisher->newest;
}

/* How many witnesses have cosigned the newest checkpoint. */
static size_t cosigned(const struct publisher *publisher)
{
    if (publisher->witnesses == NULL || publisher->newest == NULL)
        return 0;
    return witnesses_cosigned(publisher->witnesses, publisher->newest->size);
}

/* From now on this is the newest; who waited for it is called. */
static void take_current(struct publisher *publisher, struct publication *take_publication)
{
    uint64_t size = take_publication->size;
    struct publication *old = NULL;

    (void)pthread_mutex_lock(&publisher->lock);
    old = publisher->current;
    publisher->current = take_publication;
    (void)pthread_mutex_unlock(&publisher->lock);
    metric_set(METRIC_LEDGER_PUBLISHED_SIZE, (int64_t)size);
    publication_put(old);
    waiters_wake(&publisher->waiters, size);
}

/* Put a checkpoint in the place of the published one: with what cosignatures there are. */
static bool publish(struct publisher *publisher, struct error *error)
{
    OWNED(publication_put) struct publication *publication =
        publication_new(&publisher->newest->edge, error);
    OWNED(buf_release) struct buf note = { 0 };

    if (publication == NULL)
        return false;
    buf_init(&note, NOTE_BYTES_MAX);
    buf_add(&note, publication_note(publisher->newest));
    if (publisher->witnesses != NULL)
        witnesses_write(publisher->witnesses, publication->size, &note);
    if (!buf_is_ok(&note))
        return error_set(error, ERROR_MEMORY, "no memory for a checkpoint");
    if (!publication_set_note(publication, buf_str(&note), error) ||
        !file_replace(publisher->checkpoint_path, buf_str(&note), 0600, error))
        return false;
    tile_builder_remove_replaced(&publisher->builder, publisher_edge_of(publisher->current),
                                 &publication->edge);
    take_current(publisher, TAKE(publication));
    return true;
}

/* Whether what is published is the newest checkpoint, signed with the keys that we have now. */
static bool is_published(const struct publisher *publisher)
{
    const struct publication *current = publisher->current;

    return current != NULL && current->size == publisher->newest->size &&
           str_starts_with(publication_note(current), publication_note(publisher->newest));
}

/* A checkpoint that is new and has its quorum, or has more cosignatures than before. */
static bool publish_what_is_due(struct publisher *publisher, struct error *error)
{
    if (publisher->newest == NULL || cosigned(publisher) < publisher->options.quorum ||
        (is_published(publisher) && !publisher->has_cosignatures))
        return true;
    if (!publish(publisher, error))
        return false;
    publisher->has_cosignatures = false;
    return true;
}

static struct agreement agreement_of(const struct publisher *publisher)
{
    return (struct agreement){
        .store = publisher->options.store,
        .origin = publisher->options.origin,
        .keys = publisher->keys,
        .key_count = publisher->key_count,
    };
}

static bool write_tiles(struct publisher *publisher, struct tile_edge *edge, struct error *error)
{
    struct agreement agreement = agreement_of(publisher);
    uint64_t size = 0;

    if (!store_reader_refresh(publisher->reader, error))
        return false;
    size = store_reader_size(publisher->reader);
    return agreement_pass(&agreement, &publisher->builder, edge, size, error) &&
           (size <= edge->size || tile_builder_write(&publisher->builder, edge, size, error));
}

bool publisher_sign_next(struct publisher *publisher, struct error *error)
{
    OWNED(publication_put) struct publication *publication =
        publication_new(publisher_edge_of(newest_of(publisher)), error);
    struct agreement agreement = agreement_of(publisher);
    bool is_agreed = false;

    if (publication == NULL || !write_tiles(publisher, &publication->edge, error))
        return false;
    publication->size = publication->edge.size;
    publication->root = tile_edge_root(&publication->edge);
    if (!publication_sign(publication, publisher->options.origin, publisher->keys,
                          publisher->key_count, error) ||
        !agreement_offer(&agreement, publication, &is_agreed, error))
        return false;
    if (!is_agreed)
        return true; /* another broker was faster: the next one will be larger */
    publication_put(publisher->newest);
    publisher->newest = TAKE(publication);
    publisher->has_cosignatures = false;
    return true;
}

static bool has_more(struct publisher *publisher)
{
    uint64_t size = publisher_edge_of(newest_of(publisher))->size;
    bool is_more = false;

    (void)pthread_mutex_lock(&publisher->lock);
    is_more = publisher->committed > size;
    (void)pthread_mutex_unlock(&publisher->lock);
    return is_more;
}

/* Whether a witness is at work whose cosignature the newest checkpoint should wait for. */
static bool is_held(const struct publisher *publisher)
{
    bool lacks_some = cosigned(publisher) < publisher->options.quorum;

    return publisher->witnesses != NULL && witnesses_are_asked(publisher->witnesses, lacks_some);
}

void publisher_take_answers(struct publisher *publisher, int64_t now_ms)
{
    if (publisher->witnesses != NULL &&
        witnesses_take(publisher->witnesses, now_ms, clock_wall_s()))
        publisher->has_cosignatures = true;
}

void publisher_ask_witnesses(struct publisher *publisher, int64_t now_ms)
{
    if (publisher->witnesses != NULL && publisher->newest != NULL)
        witnesses_ask(publisher->witnesses, publisher->newest, publisher->options.tiles, now_ms);
}

static bool sign_and_publish(struct publisher *publisher, bool may_sign, struct error *error)
{
    return publish_what_is_due(publisher, error) &&
           (!may_sign ||
            (publisher_sign_next(publisher, error) && publish_what_is_due(publisher, error)));
}

static void look_at_mirrors(struct publisher *publisher, int64_t now_ms)
{
    const struct agreement agreement = agreement_of(publisher);

    mirror_watch_take(publisher->mirrors, publisher->current, publisher->options.tiles, &agreement,
                      now_ms);
    mirror_watch_ask(publisher->mirrors, now_ms);
}

/* All that can be done now. A failure is tried again. */
static void work(struct publisher *publisher)
{
    int64_t now_ms = clock_monotonic_ms();
    struct error error = { 0 };
    bool may_sign = false;

    publisher_take_answers(publisher, now_ms);
    look_at_mirrors(publisher, now_ms);
    may_sign = now_ms - publisher->signed_ms >= PUBLISH_EVERY_MS && has_more(publisher) &&
               !is_held(publisher);
    if (may_sign)
        publisher->signed_ms = now_ms;
    publisher->has_failed = !sign_and_publish(publisher, may_sign, &error);
    if (publisher->has_failed) {
        publisher->signed_ms = now_ms;
        metric_add(METRIC_LEDGER_FAILURES, 1);
    }
    publisher_ask_witnesses(publisher, now_ms);
}

/*
 * When there is something to do that nobody tells of; INT64_MAX: never. `*knows_more` says whether
 * more is committed than is signed: then no commit need be waited for.
 */
static int64_t next_ms(struct publisher *publisher, bool *knows_more)
{
    int64_t next = mirror_watch_due_ms(publisher->mirrors);
    int64_t witness_ms = INT64_MAX;

    if (publisher->witnesses != NULL && publisher->newest != NULL)
        witness_ms = witnesses_due_ms(publisher->witnesses, publisher->newest->size);
    next = witness_ms < next ? witness_ms : next;
    *knows_more = has_more(publisher);
    if ((publisher->has_failed || (*knows_more && !is_held(publisher))) &&
        publisher->signed_ms + PUBLISH_EVERY_MS < next)
        next = publisher->signed_ms + PUBLISH_EVERY_MS;
    return next;
}

/* A time of our clock as one of the system's for a wait, which tests never move. */
static struct timespec wait_until(int64_t at_ms)
{
    int64_t left_ms = at_ms - clock_monotonic_ms();
    struct timespec at;

    left_ms = left_ms < 0 ? 0 : left_ms;
#ifdef STAGEPASS_TEST_CLOCK
    left_ms = left_ms > MOVED_CLOCK_MS ? MOVED_CLOCK_MS : left_ms;
#endif
    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += (time_t)(left_ms / 1000);
    at.tv_nsec += (left_ms % 1000) * 1000000;
    at.tv_sec += at.tv_nsec / 1000000000;
    at.tv_nsec %= 1000000000;
    return at;
}

/* Wait for a commit (where asked for), an answer, the end, or the time. */
static void wait_for_something(struct publisher *publisher, int64_t at_ms, bool watches_commits)
{
    uint64_t size = publisher_edge_of(newest_of(publisher))->size;
    struct timespec at = wait_until(at_ms == INT64_MAX ? 0 : at_ms);
    int outcome = 0;

    (void)pthread_mutex_lock(&publisher->lock);
    publisher->watches_commits = watches_commits;
    while (!publisher->is_stopping && !publisher->has_answers && outcome != ETIMEDOUT &&
           !(publisher->watches_commits && publisher->committed > size && !is_held(publisher))) {
        outcome = at_ms == INT64_MAX
                      ? pthread_cond_wait(&publisher->wake, &publisher->lock)
                      : pthread_cond_timedwait(&publisher->wake, &publisher->lock, &at);
    }
    publisher->watches_commits = false;
    publisher->has_answers = false;
    (void)pthread_mutex_unlock(&publisher->lock);
}

static bool is_stopping(struct publisher *publisher)
{
    bool is_over = false;

    (void)pthread_mutex_lock(&publisher->lock);
    is_over = publisher->is_stopping;
    (void)pthread_mutex_unlock(&publisher->lock);
    return is_over;
}

/* The last checkpoint; one that needs a quorum is left to the next start. */
static void finish(struct publisher *publisher)
{
    struct error error = { 0 };

    publisher_take_answers(publisher, clock_monotonic_ms());
    if (!sign_and_publish(publisher, publisher->options.quorum == 0 && has_more(publisher), &error))
        metric_add(METRIC_LEDGER_FAILURES, 1);
}

static void *run(void *context)
{
    struct publisher *publisher = context;

    while (!is_stopping(publisher)) {
        bool knows_more = false;
        int64_t at_ms = INT64_MAX;

        work(publisher);
        at_ms = next_ms(publisher, &knows_more);
        wait_for_something(publisher, at_ms, !knows_more);
    }
    finish(publisher);
    return NULL;
}

/* Our own, or, where that is none, what other brokers of the store have published; else empty. */
static bool read_checkpoint(struct publisher *publisher, struct arena *arena, struct str *note,
                            struct checkpoint *checkpoint, struct error *error)
{
    struct agreement agreement = agreement_of(publisher);

    if (access(publisher->checkpoint_path, F_OK) == 0 || errno != ENOENT)
        return file_read(arena, publisher->checkpoint_path, NOTE_BYTES_MAX, note, error) &&
               agreement_read(&agreement, *note, arena, checkpoint, error);
    return agreement_newest(&agreement, arena, note, checkpoint, error);
}

/* Go on from the checkpoint published last; without one begin at the first entry. */
static bool recover(struct publisher *publisher, struct arena *arena, struct error *error)
{
    OWNED(publication_put) struct publication *publication = NULL;
    struct tile_edge *edge = arena_alloc(arena, sizeof(*edge));
    struct checkpoint checkpoint = { 0 };
    struct str note = { 0 };

    if (edge == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for the log's edge");
    if (!read_checkpoint(publisher, arena, &note, &checkpoint, error))
        return error_wrap(error, "%s", publisher->checkpoint_path);
    if (note.len == 0)
        return true;
    if (!tile_take_up(&publisher->builder, &checkpoint, edge, error))
        return error_wrap(error, "%s", publisher->checkpoint_path);
    publication = publication_new(edge, error);
    if (publication == NULL || !publication_set_note(publication, note, error))
        return false;
    if (publisher->witnesses != NULL)
        witnesses_take_up(publisher->witnesses, note, publication->size);
    /* One without its quorum, of another broker or of a time without one, is not published here. */
    if (publisher->witnesses != NULL &&
        witnesses_cosigned(publisher->witnesses, publication->size) < publisher->options.quorum)
        publisher->newest = TAKE(publication);
    else
        take_current(publisher, TAKE(publication));
    return true;
}

static bool recover_in_arena(struct publisher *publisher, struct error *error)
{
    OWNED(arena_free) struct arena *arena = arena_new((size_t)1024 * 1024);

    if (arena == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for the log's edge");
    return recover(publisher, arena, error);
}

static void publisher_free(struct publisher *publisher)
{
    witnesses_free(publisher->witnesses);
    mirror_watch_free(publisher->mirrors);
    publication_put(publisher->newest);
    publication_put(publisher->current);
    tile_builder_release(&publisher->builder);
    store_reader_close(publisher->reader);
    waiters_release(&publisher->waiters);
    (void)pthread_cond_destroy(&publisher->wake);
    (void)pthread_mutex_destroy(&publisher->lock);
    free(publisher->checkpoint_path);
    free(publisher);
}

static bool init(struct publisher *publisher, struct error *error)
{
    pthread_condattr_t attributes;
    bool is_ok = false;
    size_t path_len = strlen(publisher->options.folder) + sizeof("/checkpoint");

    publisher->signed_ms = -PUBLISH_EVERY_MS;
    publisher->checkpoint_path = malloc(path_len);
    if (publisher->checkpoint_path != NULL && pthread_condattr_init(&attributes) == 0) {
        (void)snprintf(publisher->checkpoint_path, path_len, "%s/checkpoint",
                       publisher->options.folder);
        is_ok = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
                pthread_mutex_init(&publisher->lock, NULL) == 0 &&
                pthread_cond_init(&publisher->wake, &attributes) == 0 &&
                waiters_init(&publisher->waiters);
        (void)pthread_condattr_destroy(&attributes);
    }
    return is_ok || error_set(error, ERROR_MEMORY, "no memory for the publisher");
}

/* The checkpoint as it is signed now: keys may have changed since it was published. */
static bool renew(struct publisher *publisher, struct error *error)
{
    if (publisher->newest == NULL && publisher->current != NULL &&
        !publisher_sign_next(publisher, error))
        return false;
    return publish_what_is_due(publisher, error);
}

static bool prepare(struct publisher *publisher, const struct publisher_options *options,
                    struct error *error)
{
    if (!init(publisher, error) || !publisher_take_options(publisher, options, error) ||
        !store_reader_new(options->store, &publisher->reader, error))
        return false;
    tile_builder_init(&publisher->builder, publisher->reader, options->tiles);
    return recover_in_arena(publisher, error) &&
           (publisher->witnesses == NULL || publisher_meet_witnesses(publisher, error)) &&
           renew(publisher, error);
}

bool publisher_start(const struct publisher_options *options, struct publisher **out,
                     struct error *error)
{
    struct publisher *publisher = calloc(1, sizeof(*publisher));

    if (publisher == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for the publisher");
    publisher->options = *options;
    publisher->committed = store_size(options->store);
    if (!prepare(publisher, options, error)) {
        publisher_free(publisher);
        return false;
    }
    if (pthread_create(&publisher->thread, NULL, run, publisher) != 0) {
        publisher_free(publisher);
        return error_set(error, ERROR_MEMORY, "cannot start the publisher");
    }
    *out = publisher;
    return true;
}

void publisher_leave_witnesses(struct publisher *publisher)
{
    if (publisher == NULL)
        return;
    witnesses_stop(publisher->witnesses);
    mirror_watch_stop(publisher->mirrors);
}

size_t publisher_mirrors(struct publisher *publisher,
                         struct watcher_status status[MIRROR_WATCH_MAX])
{
    return mirror_watch_status(publisher->mirrors, status);
}

size_t publisher_witnesses(struct publisher *publisher,
                           struct watcher_status status[NOTE_WITNESSES_MAX])
{
    return witnesses_status(publisher->witnesses, status);
}

void publisher_stop(struct publisher *publisher)
{
    if (publisher == NULL)
        return;
    (void)pthread_mutex_lock(&publisher->lock);
    publisher->is_stopping = true;
    (void)pthread_cond_signal(&publisher->wake);
    (void)pthread_mutex_unlock(&publisher->lock);
    (void)pthread_join(publisher->thread, NULL);
    waiters_close(&publisher->waiters);
    publisher_free(publisher);
}

void publisher_commit(uint64_t size, void *context)
{
    struct publisher *publisher = context;

    (void)pthread_mutex_lock(&publisher->lock);
    publisher->committed = size;
    if (publisher->watches_commits)
        (void)pthread_cond_signal(&publisher->wake);
    (void)pthread_mutex_unlock(&publisher->lock);
}

struct publication *publisher_current(struct publisher *publisher)
{
    struct publication *current = NULL;

    (void)pthread_mutex_lock(&publisher->lock);
    current = publisher->current;
    if (current != NULL)
        (void)atomic_fetch_add(&current->references, 1);
    (void)pthread_mutex_unlock(&publisher->lock);
    return current;
}

enum progress publisher_wait(struct publisher *publisher, uint64_t index, struct waker waker,
                             struct error *error)
{
    return waiters_join(&publisher->waiters, index, waker, error);
}

bool publisher_forget(struct publisher *publisher, const void *waker_context)
{
    return waiters_leave(&publisher->waiters, waker_context);
}
