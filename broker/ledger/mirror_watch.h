#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/progress.h"
#include "ledger/agreement.h"
#include "ledger/witness.h"

struct error;
struct publication;

/**
 * Mirrors that others publish: their checkpoints are looked at, whether they are of this log and
 * come along with it.
 *
 * A mirror that keeps up holds the operator to the log as a witness does, and shows here where the
 * log it has is another one. Nothing waits for it.
 *
 * Threads: confined to the publisher's, but where it says otherwise
 */
struct mirror_watch;

#define MIRROR_WATCH_MAX 16
#define MIRROR_WATCH_EVERY_MS 60000
/** How long a mirror may take for what it could have seen. */
#define MIRROR_WATCH_BEHIND_MS ((int64_t)3600 * 1000)

struct mirror_watch_options {
    const struct witness_options *list; /* name, url and peer count; outlives it */
    size_t count;                       /* at most MIRROR_WATCH_MAX */
    struct upstream *upstream;
    struct waker answered;                             /* called on the upstream thread */
    bool (*has_entries)(void *context, uint64_t size); /* as of witnesses */
    void *context;
};

/** Errors: ERROR_MEMORY */
bool mirror_watch_new(const struct mirror_watch_options *options, struct mirror_watch **watch,
                      struct error *error) MUST_USE;
/** After mirror_watch_stop() and the end of the upstream thread. NULL is fine, here and below. */
void mirror_watch_free(struct mirror_watch *watch);

/** Send nothing any more. Threads: any */
void mirror_watch_stop(struct mirror_watch *watch);

/** Ask those that are due for their checkpoints. */
void mirror_watch_ask(struct mirror_watch *watch, int64_t now_ms);

/** Take in what was answered, and hold it against what is published; `tiles` is for proofs. */
void mirror_watch_take(struct mirror_watch *watch, const struct publication *published, int tiles,
                       const struct agreement *agreement, int64_t now_ms);

/** When the next one is due, in ms of the clock; INT64_MAX: never. */
int64_t mirror_watch_due_ms(const struct mirror_watch *watch);

/** How it stands with each; their number. `cosigned_s` means nothing here. Threads: any */
size_t mirror_watch_status(struct mirror_watch *watch,
                           struct watcher_status status[MIRROR_WATCH_MAX]);
