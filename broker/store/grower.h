#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"
#include "store/segment.h"

struct error;

/**
 * The thread that works ahead of the store's: it fills the current segment with zeros, so that a
 * commit never has to grow a file, prepares the next segment, and runs a chore (the snapshot) now
 * and then. It has descriptors of its own, so that an error of its writes is reported to it.
 *
 * Threads: shared
 */
struct grower {
    int folder;
    void (*chore)(void *context);
    void *context;
    int64_t chore_every_ms;

    pthread_t thread;
    bool is_started;
    pthread_mutex_t lock;
    pthread_cond_t wake;    /* for the thread */
    pthread_cond_t changed; /* for who waits for it */

    /* guarded by lock */
    int file; /* the current segment */
    uint64_t zeroed;
    uint64_t wanted;
    int spare; /* the next segment, -1 while there is none */
    uint64_t spare_zeroed;
    uint64_t spare_wanted; /* 0: none */
    uint64_t attempts;     /* finished ones, good or bad */
    int failure;           /* errno of the last attempt */
    bool is_broken;        /* an attempt met an error that was not about space */
    bool is_busy;
    bool is_stopping;
};

/** Start it on segment `first_index`, a file of `zeroed` bytes. Errors: ERROR_IO, ERROR_MEMORY */
bool grower_start(struct grower *grower, uint64_t first_index, uint64_t zeroed, struct error *error)
    MUST_USE;
void grower_stop(struct grower *grower);

/** Whether an errno value says that space is lacking: all others mean that the disk is not sound.
 */
bool grower_is_space(int failure);

/** Bytes of the current segment that are there, written or zero; false after a write error. */
bool grower_look(struct grower *grower, uint64_t *zeroed) MUST_USE;

/** Ask for so many bytes of the current segment; for a next segment with so many. */
void grower_want(struct grower *grower, uint64_t bytes);
void grower_want_spare(struct grower *grower, uint64_t bytes);
bool grower_has_spare(struct grower *grower);

/** Ask and wait for one attempt; 0 or an errno value. */
int grower_wait(struct grower *grower, uint64_t bytes) MUST_USE;

/**
 * Make the spare (waiting for one attempt where there is none) the segment that begins with
 * `first_index`. `*file` is the caller's to close. 0 or an errno value.
 */
int grower_roll(struct grower *grower, uint64_t first_index, uint64_t bytes, int *file) MUST_USE;
