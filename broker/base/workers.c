#include "base/workers.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

struct workers {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct worker_job *first; /* guarded by lock */
    struct worker_job **end;  /* guarded by lock */
    size_t waiting;           /* guarded by lock */
    bool is_stopping;         /* guarded by lock */
    size_t queue_max;
    size_t count; /* threads that run */
    pthread_t threads[WORKERS_MAX];
};

/* The next job; NULL when there will be none. */
static struct worker_job *take(struct workers *workers)
{
    struct worker_job *job = NULL;

    (void)pthread_mutex_lock(&workers->lock);
    while (!workers->first && !workers->is_stopping)
        (void)pthread_cond_wait(&workers->wake, &workers->lock);
    job = workers->first;
    if (job) {
        workers->first = job->next;
        workers->waiting--;
        if (!workers->first)
            workers->end = &workers->first;
    }
    (void)pthread_mutex_unlock(&workers->lock);
    return job;
}

static void *work(void *argument)
{
    struct workers *workers = argument;
    struct worker_job *job;

    while ((job = take(workers)))
        job->run(job);
    return NULL;
}

static bool start_threads(struct workers *workers, size_t count, struct error *error)
{
    for (; workers->count < count; workers->count++) {
        int code = pthread_create(&workers->threads[workers->count], NULL, work, workers);

        if (code != 0) {
            errno = code;
            return error_set_errno(error, "a worker's thread");
        }
    }
    return true;
}

bool workers_start(size_t count, size_t queue_max, struct workers **workers, struct error *error)
{
    struct workers *starting = calloc(1, sizeof(*starting));

    if (!starting)
        return error_set(error, ERROR_MEMORY, "workers");
    starting->end = &starting->first;
    starting->queue_max = queue_max < WORKERS_QUEUE_MAX ? queue_max : WORKERS_QUEUE_MAX;
    (void)pthread_mutex_init(&starting->lock, NULL);
    (void)pthread_cond_init(&starting->wake, NULL);
    if (!start_threads(starting, count < WORKERS_MAX ? count : WORKERS_MAX, error)) {
        workers_stop(starting);
        return false;
    }
    *workers = starting;
    return true;
}

void workers_stop(struct workers *workers)
{
    if (!workers)
        return;
    (void)pthread_mutex_lock(&workers->lock);
    workers->is_stopping = true;
    (void)pthread_cond_broadcast(&workers->wake);
    (void)pthread_mutex_unlock(&workers->lock);
    for (size_t i = 0; i < workers->count; i++)
        (void)pthread_join(workers->threads[i], NULL);
    (void)pthread_cond_destroy(&workers->wake);
    (void)pthread_mutex_destroy(&workers->lock);
    free(workers);
}

bool workers_submit(struct workers *workers, struct worker_job *job, struct error *error)
{
    bool has_room = false;

    job->next = NULL;
    (void)pthread_mutex_lock(&workers->lock);
    has_room = workers->waiting < workers->queue_max;
    if (has_room) {
        *workers->end = job;
        workers->end = &job->next;
        workers->waiting++;
        (void)pthread_cond_signal(&workers->wake);
    }
    (void)pthread_mutex_unlock(&workers->lock);
    return has_room || error_set(error, ERROR_BUSY, "%zu jobs wait already", workers->queue_max);
}
