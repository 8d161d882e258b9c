#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/progress.h"
#include "base/str.h"
#include "ledger/merkle.h"
#include "ledger/tile.h"

struct error;
struct key;
struct store;

/**
 * A published checkpoint and the right edge of its tree.
 *
 * Threads: immutable, with a reference count
 */
struct publication {
    atomic_uint references;
    uint64_t size;
    struct merkle_hash root;
    char *note; /* of note_len bytes */
    size_t note_len;
    struct tile_edge edge;
};

void publication_put(struct publication *publication);

OWNED_POINTER(publication_put, struct publication)

struct str publication_note(const struct publication *publication);

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
};

/**
 * Take up the checkpoint published last, compare it with the store, start the thread.
 *
 * Tiles that are missing or damaged are made again from the entries.
 *
 * Errors: ERROR_INVALID (the store is shorter than the checkpoint, or has another root there; the
 *         checkpoint is not ours), ERROR_IO, ERROR_MEMORY
 */
bool publisher_start(const struct publisher_options *options, struct publisher **publisher,
                     struct error *error) MUST_USE;

/** Publish what is committed, stop, call who still waits. */
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
