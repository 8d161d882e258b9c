#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/macros.h"

struct error;

/**
 * A small pool of threads for what would hold up others: calls that block, RSA.
 *
 * Jobs are begun in the order in which they came, and each runs once. The queue is bounded: whoever
 * comes when it is full is told so, and nothing waits for room.
 *
 * Threads: shared
 * Source:  design.md 4
 */
struct workers;

#define WORKERS_MAX 64
#define WORKERS_QUEUE_MAX 4096

/** The owner's, and untouched by others from workers_submit() until `run` is called. */
struct worker_job {
    void (*run)(struct worker_job *job); /* the job may be freed in it */
    struct worker_job *next;             /* private */
};

/**
 * Start `count` threads (1 to WORKERS_MAX) before which at most `queue_max` jobs (1 to
 * WORKERS_QUEUE_MAX) wait.
 *
 * Errors: ERROR_MEMORY, ERROR_IO (no thread)
 */
bool workers_start(size_t count, size_t queue_max, struct workers **workers, struct error *error)
    MUST_USE;

/** Run what is queued, end the threads. Nobody submits by then. NULL is fine. */
void workers_stop(struct workers *workers);

OWNED_POINTER(workers_stop, struct workers)

/** Errors: ERROR_BUSY (the queue is full); then `run` is never called */
bool workers_submit(struct workers *workers, struct worker_job *job, struct error *error) MUST_USE;
