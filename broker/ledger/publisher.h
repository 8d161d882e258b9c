#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/progress.h"
#include "base/str.h"
#include "ledger/mirror_watch.h"
#include "ledger/publication.h"
#include "ledger/witness.h"

struct error;
struct key;
struct store;

/**
 * The thread that writes tiles and signs checkpoints, off the path of commits.
 *
 * Threads: shared
 */
struct publisher;

struct publisher_options {
    struct store *store;
    const char *folder; /* "log" in the store's folder; exists */
    int tiles;          /* its folder "tile", borrowed */
    struct str origin;  /* borrowed */
    struct key *key;
    struct key *const *next_keys;            /* sign each checkpoint too: keys change by overlap */
    size_t next_key_count;                   /* at most NOTE_LOGS_MAX - 1 */
    const struct witness_options *witnesses; /* outlive it */
    size_t witness_count;
    size_t quorum;                         /* so many must have cosigned what is published */
    const struct witness_options *mirrors; /* to look at: name, url, peer; outlive it */
    size_t mirror_count;
    struct upstream *upstream;
};

/**
 * Take up the checkpoint published last, compare it with the store, start the thread.
 *
 * Tiles that are missing or damaged are made again from the entries. Witnesses are asked what they
 * saw last, which takes until each has answered or WATCHER_TIMEOUT_MS.
 *
 * Errors: ERROR_INVALID (the store is shorter than the checkpoint or what a witness has cosigned,
 *         or has another root there; the checkpoint is not ours), ERROR_UNREACHABLE (fewer
 *         witnesses than the quorum have answered), ERROR_IO, ERROR_MEMORY
 */
bool publisher_start(const struct publisher_options *options, struct publisher **publisher,
                     struct error *error) MUST_USE;

/** Ask witnesses nothing any more: before the upstream thread stops. Threads: any */
void publisher_leave_witnesses(struct publisher *publisher);

/** How it stands with each; their number. Threads: any */
size_t publisher_witnesses(struct publisher *publisher,
                           struct watcher_status status[NOTE_WITNESSES_MAX]);

/** The same of mirrors. */
size_t publisher_mirrors(struct publisher *publisher,
                         struct watcher_status status[MIRROR_WATCH_MAX]);

/** Publish what is committed (without a quorum to wait for), stop, call who still waits. */
void publisher_stop(struct publisher *publisher);

/** Tell of a new size; the store's commit hook. */
void publisher_commit(uint64_t size, void *publisher);

/** The newest publication, referenced, or NULL before the first. */
struct publication *publisher_current(struct publisher *publisher);

/**
 * Have `waker` called once entry `index` is in a published checkpoint. PROGRESS_DONE where it is
 * already.
 *
 * Errors: ERROR_BUSY (too many wait), ERROR_MEMORY, ERROR_STOPPING
 */
enum progress publisher_wait(struct publisher *publisher, uint64_t index, struct waker waker,
                             struct error *error);

/** Forget a waker; true when it will not be called any more. */
bool publisher_forget(struct publisher *publisher, const void *waker_context);
