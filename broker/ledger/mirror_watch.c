#include "ledger/mirror_watch.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "ledger/publication.h"

#define URL_BYTES_MAX 1024
#define ARENA_BYTES ((size_t)256 * 1024)

struct watched {
    struct watcher watcher;
    const char *url;
    int64_t due_ms;
    uint64_t wanted_size; /* what was published at a look before, and when that was */
    int64_t wanted_ms;
};

struct mirror_watch {
    struct mirror_watch_options options;
    struct watchers watchers;
    struct watched list[MIRROR_WATCH_MAX];
};

bool mirror_watch_new(const struct mirror_watch_options *options, struct mirror_watch **out,
                      struct error *error)
{
    struct mirror_watch *watch = calloc(1, sizeof(*watch));

    if (watch == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for mirrors");
    if (!watchers_init(&watch->watchers, options->upstream, options->answered, error)) {
        free(watch);
        return false;
    }
    watch->options = *options;
    for (size_t i = 0; i < options->count; i++) {
        const struct witness_options *mirror = &options->list[i];

        watch->list[i].url = mirror->url;
        watcher_init(&watch->list[i].watcher, &watch->watchers, mirror->name, &mirror->peer,
                     NOTE_BYTES_MAX);
    }
    *out = watch;
    return true;
}

void mirror_watch_free(struct mirror_watch *watch)
{
    if (watch == NULL)
        return;
    for (size_t i = 0; i < watch->options.count; i++)
        watcher_release(&watch->list[i].watcher);
    watchers_release(&watch->watchers);
    free(watch);
}

void mirror_watch_stop(struct mirror_watch *watch)
{
    if (watch != NULL)
        watchers_stop(&watch->watchers);
}

static bool submit(struct watched *mirror, struct error *error)
{
    char url[URL_BYTES_MAX];
    struct upstream_request request = { .method = "GET", .url = url };

    (void)snprintf(url, sizeof(url), "%s/checkpoint", mirror->url);
    return watcher_ask(&mirror->watcher, &request, error);
}

void mirror_watch_ask(struct mirror_watch *watch, int64_t now_ms)
{
    for (size_t i = 0; watch != NULL && i < watch->options.count; i++) {
        struct watched *mirror = &watch->list[i];
        struct error error = { 0 };

        if (mirror->watcher.is_asked || mirror->due_ms > now_ms)
            continue;
        mirror->due_ms = now_ms + MIRROR_WATCH_EVERY_MS;
        if (!submit(mirror, &error))
            watcher_set_state(&mirror->watcher, WATCHER_FAILING, error.cause);
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
    watcher_set_tree(&mirror->watcher, size, 0);
    if (size >= mirror->wanted_size) {
        mirror->wanted_size = published->size;
        mirror->wanted_ms = now_ms;
        watcher_set_state(&mirror->watcher, WATCHER_GOOD, "");
    } else if (now_ms - mirror->wanted_ms > MIRROR_WATCH_BEHIND_MS) {
        watcher_set_state(&mirror->watcher, WATCHER_FAILING, "it has not come along for an hour");
    }
}

/* Hold the checkpoint that it answered with against what is published. */
static void judge(struct mirror_watch *watch, struct watched *mirror,
                  const struct publication *published, int tiles, const struct agreement *agreement,
                  int64_t now_ms)
{
    const struct mirror_watch_options *options = &watch->options;
    struct watcher *watcher = &mirror->watcher;
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_BYTES);
    struct checkpoint checkpoint = { 0 };
    struct error error = { 0 };

    if (arena == NULL || !buf_is_ok(&watcher->body))
        watcher_set_state(watcher, WATCHER_FAILING, "no memory for its checkpoint");
    else if (!agreement_read(agreement, buf_str(&watcher->body), arena, &checkpoint, &error))
        watcher_set_state(watcher, WATCHER_FAILING, error.cause);
    else if (checkpoint.size <= published->size && !is_part(&checkpoint, published, tiles))
        watcher_set_state(watcher, WATCHER_CONFLICT, "it has another log by this name and key");
    else if (checkpoint.size > published->size &&
             !options->has_entries(options->context, checkpoint.size))
        watcher_set_state(watcher, WATCHER_CONFLICT, "it has more entries than this log");
    else
        note_size(mirror, checkpoint.size, published, now_ms);
}

void mirror_watch_take(struct mirror_watch *watch, const struct publication *published, int tiles,
                       const struct agreement *agreement, int64_t now_ms)
{
    for (size_t i = 0; watch != NULL && published != NULL && i < watch->options.count; i++) {
        struct watched *mirror = &watch->list[i];
        struct watcher *watcher = &mirror->watcher;
        char cause[64];

        if (!watcher_take(watcher))
            continue;
        (void)snprintf(cause, sizeof(cause), "status %d", watcher->http_status);
        if (watcher->outcome != UPSTREAM_ANSWERED)
            watcher_set_state(watcher, WATCHER_FAILING, watcher->cause);
        else if (watcher->http_status != 200)
            watcher_set_state(watcher, WATCHER_FAILING, cause);
        else
            judge(watch, mirror, published, tiles, agreement, now_ms);
    }
}

int64_t mirror_watch_due_ms(const struct mirror_watch *watch)
{
    int64_t due_ms = INT64_MAX;

    for (size_t i = 0; watch != NULL && i < watch->options.count; i++) {
        if (!watch->list[i].watcher.is_asked && watch->list[i].due_ms < due_ms)
            due_ms = watch->list[i].due_ms;
    }
    return due_ms;
}

size_t mirror_watch_status(struct mirror_watch *watch,
                           struct watcher_status status[MIRROR_WATCH_MAX])
{
    if (watch == NULL)
        return 0;
    for (size_t i = 0; i < watch->options.count; i++)
        watcher_read_status(&watch->list[i].watcher, &status[i]);
    return watch->options.count;
}
