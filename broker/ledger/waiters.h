#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/progress.h"

struct error;
struct waiter;

/** The most that may wait at once. */
#define WAITERS_MAX ((size_t)65536)

/** Who waits for an entry to be in a published checkpoint. Threads: shared */
struct waiters {
    pthread_mutex_t lock;
    struct waiter *first; /* guarded by lock */
    size_t count;         /* guarded by lock */
    uint64_t published;   /* guarded by lock */
    bool is_closed;       /* guarded by lock */
};

bool waiters_init(struct waiters *waiters) MUST_USE;
void waiters_release(struct waiters *waiters);

/**
 * Have `waker` called once entry `index` is published; PROGRESS_DONE where it is.
 *
 * Errors: ERROR_BUSY (as many wait as may), ERROR_MEMORY, ERROR_STOPPING
 */
enum progress waiters_join(struct waiters *waiters, uint64_t index, struct waker waker,
                           struct error *error);

/** Forget a waker; true when it will not be called any more. */
bool waiters_leave(struct waiters *waiters, const void *waker_context);

/** Entries below `size` are published: call who waited for them. */
void waiters_wake(struct waiters *waiters, uint64_t size);

/** Take no more, and call everybody. */
void waiters_close(struct waiters *waiters);
