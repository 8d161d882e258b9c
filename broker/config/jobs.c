#include "config/jobs.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <unistd.h>

struct crew {
    size_t count;
    void (*job)(void *jobs, size_t index);
    void *jobs;
    atomic_size_t next; /* the first that nobody has begun */
};

static void *work(void *context)
{
    struct crew *crew = context;
    size_t index;

    while ((index = atomic_fetch_add(&crew->next, 1)) < crew->count)
        crew->job(crew->jobs, index);
    return NULL;
}

static size_t thread_count(size_t jobs)
{
    int64_t cores = sysconf(_SC_NPROCESSORS_ONLN);
    size_t count = cores < 1 ? 1 : (size_t)cores;

    count = count < JOBS_THREADS_MAX ? count : JOBS_THREADS_MAX;
    return count < jobs ? count : jobs;
}

/* Start threads that take no signals: those are for whoever waits for them. */
static size_t start_threads(struct crew *crew, pthread_t *threads, size_t count)
{
    size_t started = 0;
    sigset_t before;
    sigset_t all;

    (void)sigfillset(&all); /* these three cannot fail with valid sets */
    (void)pthread_sigmask(SIG_BLOCK, &all, &before);
    while (started < count && pthread_create(&threads[started], NULL, work, crew) == 0)
        started++;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

void jobs_run(size_t count, void (*job)(void *jobs, size_t index), void *jobs, void *context)
{
    struct crew crew = { .count = count, .job = job, .jobs = jobs };
    pthread_t threads[JOBS_THREADS_MAX];
    size_t started = 0;

    (void)context;
    atomic_init(&crew.next, 0);
    if (count > 1)
        started = start_threads(&crew, threads, thread_count(count) - 1);
    (void)work(&crew);
    for (size_t i = 0; i < started; i++)
        (void)pthread_join(threads[i], NULL); /* only of a thread that is not ours it fails */
}
