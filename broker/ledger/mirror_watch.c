#include "ledger/mirror_watch.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "ledger/publication.h"

#define URL_BYTES_MAX 1024
#define ARENA_BYTES ((size_t)256 * 1024)

struct watched {
    const struct witness_options *options;
    struct mirror_watch *all;
    bool is_asked;
    int64_t due_ms;
    uint64_t wanted_size; /* what was published at a look before, and when that was */
    int64_t wanted_ms;

    bool is_answered;             /* guarded by lock */
    bool is_good;                 /* guarded by lock: 200, and its body is whole */
    char cause[256];              /* guarded by lock: else */
    struct buf body;              /* guarded by lock */
    struct witness_status status; /* guarded by lock */
};

struct mirror_watch {
    struct mirror_watch_options options;
    struct watched list[MIRROR_WATCH_MAX];
    pthread_mutex_t lock;
    bool is_stopped; /* guarded by lock */
};

bool mirror_watch_new(const struct mirror_watch_options *options, struct mirror_watch **out,
                      struct error *error)
{
    struct mirror_watch *watch = calloc(1, sizeof(*watch));

    if (watch == NULL || pthread_mutex_init(&watch->lock, NULL) != 0) {
        free(watch);
        return error_set(error, ERROR_MEMORY, "no memory for mirrors");
    }
    watch->options = *options;
    for (size_t i = 0; i < options->count; i++) {
        struct watched *mirror = &watch->list[i];

        mirror->options = &options->list[i];
        mirror->all = watch;
        mirror->status.name = options->list[i].name;
        buf_init(&mirror->body, NOTE_BYTES_MAX);
    }
    *out = watch;
    return true;
}

void mirror_watch_free(struct mirror_watch *watch)
{
    if (watch == NULL)
        return;
    for (size_t i = 0; i < watch->options.count; i++)
        buf_release(&watch->list[i].body);
    (void)pthread_mutex_destroy(&watch->lock);
    free(watch);
}

void mirror_watch_stop(struct mirror_watch *watch)
{
    if (watch == NULL)
        return;
    (void)pthread_mutex_lock(&watch->lock);
    watch->is_stopped = true;
    (void)pthread_mutex_unlock(&watch->lock);
}

static void set_status(struct watched *mirror, enum witness_state state, const char *cause)
{
    (void)pthread_mutex_lock(&mirror->all->lock);
    mirror->status.state = state;
    (void)snprintf(mirror->status.cause, sizeof(mirror->status.cause), "%s", cause);
    (void)pthread_mutex_unlock(&mirror->all->lock);
}

/* On the upstream thread. The waker is the last act. */
static void keep_answer(const struct upstream_response *response, void *context)
{
    struct watched *mirror = context;
    struct mirror_watch *all = mirror->all;

    (void)pthread_mutex_lock(&all->lock);
    mirror->is_answered = true;
    mirror->is_good = response->outcome == UPSTREAM_ANSWERED && response->status == 200;
    if (response->outcome == UPSTREAM_ANSWERED)
        (void)snprintf(mirror->cause, sizeof(mirror->cause), "status %d", response->status);
    else
        (void)snprintf(mirror->cause, sizeof(mirror->cause), "%s", response->error.cause);
    if (mirror->is_good)
        buf_add(&mirror->body, response->body);
    (void)pthread_mutex_unlock(&all->lock);
    all->options.answered.wake(all->options.answered.context);
}

static bool submit(struct watched *mirror, struct error *error)
{
    struct mirror_watch *all = mirror->all;
    char url[URL_BYTES_MAX];
    struct upstream_request request = {
        .method = "GET",
        .url = url,
        .peer = mirror->options->peer,
        .total_timeout_ms = WITNESS_TIMEOUT_MS,
        .response_max_bytes = NOTE_BYTES_MAX,
        .done = keep_answer,
        .context = mirror,
    };
    bool is_sent = false;

    (void)snprintf(url, sizeof(url), "%s/checkpoint", mirror->options->url);
    (void)pthread_mutex_lock(&all->lock);
    mirror->is_answered = false;
    buf_clear(&mirror->body);
    if (all->is_stopped)
        (void)error_set(error, ERROR_STOPPING, "the broker is stopping");
    else
        is_sent = upstream_submit(all->options.upstream, &request, error);
    (void)pthread_mutex_unlock(&all->lock);
    return is_sent;
}

void mirror_watch_ask(struct mirror_watch *watch, int64_t now_ms)
{
    for (size_t i = 0; watch != NULL && i < watch->options.count; i++) {
        struct watched *mirror = &watch->list[i];
        struct error error = { 0 };

        if (mirror->is_asked || mirror->due_ms > now_ms)
            continue;
        mirror->due_ms = now_ms + MIRROR_WATCH_EVERY_MS;
        mirror->is_asked = submit(mirror, &error);
        if (!mirror->is_asked)
            set_status(mirror, WITNESS_FAILING, error.cause);
    }
}

/* Whether a checkpoint is of a tree that the published one continues. */
static bool is_part(const struct checkpoint *checkpoint, const struct publication *published,
                    int tiles)
{
    struct error ignored = { 0 };
    struct publication_hashes hashes = { published, tiles, &ignored };
    struct merkle_hash proof[MERKLE_PROOF_MAX];
    size_t count = 0;

    if (checkpoint->size > 0 && checkpoint->size < published->size &&
        !merkle_prove_consistency(publication_lookup, &hashes, checkpoint->size, published->size,
                                  proof, &count))
        return false;
    return merkle_check_consistency(checkpoint->size, published->size, &checkpoint->root,
                                    &published->root, proof, count);
}

static void note_size(struct watched *mirror, uint64_t size, const struct publication *published,
                      int64_t now_ms)
{
    (void)pthread_mutex_lock(&mirror->all->lock);
    mirror->status.size = size;
    (void)pthread_mutex_unlock(&mirror->all->lock);
    if (size >= mirror->wanted_size) {
        mirror->wanted_size = published->size;
        mirror->wanted_ms = now_ms;
        set_status(mirror, WITNESS_GOOD, "");
    } else if (now_ms - mirror->wanted_ms > MIRROR_WATCH_BEHIND_MS) {
        set_status(mirror, WITNESS_FAILING, "it has not come along for an hour");
    }
}

/* With its body, which nobody else touches while nothing is asked. */
static void judge(struct watched *mirror, const struct publication *published, int tiles,
                  const struct agreement *agreement, int64_t now_ms)
{
    const struct mirror_watch_options *options = &mirror->all->options;
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_BYTES);
    struct checkpoint checkpoint = { 0 };
    struct error error = { 0 };

    if (arena == NULL || !buf_is_ok(&mirror->body))
        set_status(mirror, WITNESS_FAILING, "no memory for its checkpoint");
    else if (!agreement_read(agreement, buf_str(&mirror->body), arena, &checkpoint, &error))
        set_status(mirror, WITNESS_FAILING, error.cause);
    else if (checkpoint.size <= published->size && !is_part(&checkpoint, published, tiles))
        set_status(mirror, WITNESS_CONFLICT, "it has another log by this name and key");
    else if (checkpoint.size > published->size &&
             !options->has_entries(options->context, checkpoint.size))
        set_status(mirror, WITNESS_CONFLICT, "it has more entries than this log");
    else
        note_size(mirror, checkpoint.size, published, now_ms);
}

static bool take_answer(struct watched *mirror, bool *is_good, char cause[256])
{
    bool is_answered = false;

    (void)pthread_mutex_lock(&mirror->all->lock);
    is_answered = mirror->is_answered;
    *is_good = mirror->is_good;
    memcpy(cause, mirror->cause, sizeof(mirror->cause));
    (void)pthread_mutex_unlock(&mirror->all->lock);
    return is_answered;
}

void mirror_watch_take(struct mirror_watch *watch, const struct publication *published, int tiles,
                       const struct agreement *agreement, int64_t now_ms)
{
    for (size_t i = 0; watch != NULL && published != NULL && i < watch->options.count; i++) {
        struct watched *mirror = &watch->list[i];
        bool is_good = false;
        char cause[256];

        if (!mirror->is_asked || !take_answer(mirror, &is_good, cause))
            continue;
        mirror->is_asked = false;
        if (is_good)
            judge(mirror, published, tiles, agreement, now_ms);
        else
            set_status(mirror, WITNESS_FAILING, cause);
    }
}

int64_t mirror_watch_due_ms(const struct mirror_watch *watch)
{
    int64_t due_ms = INT64_MAX;

    for (size_t i = 0; watch != NULL && i < watch->options.count; i++) {
        if (!watch->list[i].is_asked && watch->list[i].due_ms < due_ms)
            due_ms = watch->list[i].due_ms;
    }
    return due_ms;
}

size_t mirror_watch_status(struct mirror_watch *watch,
                           struct witness_status status[MIRROR_WATCH_MAX])
{
    if (watch == NULL)
        return 0;
    (void)pthread_mutex_lock(&watch->lock);
    for (size_t i = 0; i < watch->options.count; i++)
        status[i] = watch->list[i].status;
    (void)pthread_mutex_unlock(&watch->lock);
    return watch->options.count;
}
