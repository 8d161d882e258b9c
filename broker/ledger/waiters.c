#include "ledger/waiters.h"

#include <stdlib.h>

#include "base/error.h"

struct waiter {
    uint64_t index;
    struct waker waker;
    struct waiter *next;
};

bool waiters_init(struct waiters *waiters)
{
    *waiters = (struct waiters){ 0 };
    return pthread_mutex_init(&waiters->lock, NULL) == 0;
}

void waiters_release(struct waiters *waiters)
{
    (void)pthread_mutex_destroy(&waiters->lock);
}

/* With the lock held: join, unless there is no need or no way. */
static enum progress join(struct waiters *waiters, struct waiter *waiter, struct error *error)
{
    if (waiter->index < waiters->published)
        return PROGRESS_DONE;
    if (waiters->is_closed) {
        (void)error_set(error, ERROR_STOPPING, "the ledger is closing");
        return PROGRESS_FAILED;
    }
    if (waiters->count == WAITERS_MAX) {
        (void)error_set(error, ERROR_BUSY, "too many wait for a checkpoint");
        return PROGRESS_FAILED;
    }
    waiter->next = waiters->first;
    waiters->first = waiter;
    waiters->count++;
    return PROGRESS_WAIT;
}

enum progress waiters_join(struct waiters *waiters, uint64_t index, struct waker waker,
                           struct error *error)
{
    struct waiter *waiter = malloc(sizeof(*waiter));
    enum progress progress = PROGRESS_FAILED;

    if (waiter == NULL) {
        (void)error_set(error, ERROR_MEMORY, "no memory to wait for a checkpoint");
        return PROGRESS_FAILED;
    }
    *waiter = (struct waiter){ .index = index, .waker = waker };
    (void)pthread_mutex_lock(&waiters->lock);
    progress = join(waiters, waiter, error);
    (void)pthread_mutex_unlock(&waiters->lock);
    if (progress != PROGRESS_WAIT)
        free(waiter);
    return progress;
}

bool waiters_leave(struct waiters *waiters, const void *waker_context)
{
    struct waiter *found = NULL;

    (void)pthread_mutex_lock(&waiters->lock);
    for (struct waiter **at = &waiters->first; *at != NULL; at = &(*at)->next) {
        if ((*at)->waker.context == waker_context) {
            found = *at;
            *at = found->next;
            waiters->count--;
            break;
        }
    }
    (void)pthread_mutex_unlock(&waiters->lock);
    free(found);
    return found != NULL;
}

/* With the lock held: take out those whose entry is below `size`. */
static struct waiter *take_due(struct waiters *waiters, uint64_t size)
{
    struct waiter *due = NULL;

    for (struct waiter **at = &waiters->first; *at != NULL;) {
        struct waiter *waiter = *at;

        if (waiter->index >= size) {
            at = &waiter->next;
            continue;
        }
        *at = waiter->next;
        waiter->next = due;
        due = waiter;
        waiters->count--;
    }
    return due;
}

static void call_all(struct waiter *due)
{
    while (due != NULL) {
        struct waiter *waiter = due;

        due = waiter->next;
        waiter->waker.wake(waiter->waker.context);
        free(waiter);
    }
}

void waiters_wake(struct waiters *waiters, uint64_t size)
{
    struct waiter *due = NULL;

    (void)pthread_mutex_lock(&waiters->lock);
    waiters->published = size;
    due = take_due(waiters, size);
    (void)pthread_mutex_unlock(&waiters->lock);
    call_all(due);
}

void waiters_close(struct waiters *waiters)
{
    struct waiter *due = NULL;

    (void)pthread_mutex_lock(&waiters->lock);
    waiters->is_closed = true;
    due = take_due(waiters, UINT64_MAX);
    (void)pthread_mutex_unlock(&waiters->lock);
    call_all(due);
}
