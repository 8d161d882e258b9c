#include "end_now.h"

#include <semaphore.h>

#include "tests/test.h"

static void wake(void *context)
{
    (void)sem_post(context);
}

bool lease_end_now(struct lease_end *end, struct error *error)
{
    enum progress progress;
    sem_t woken;

    assert_int_equal(sem_init(&woken, 0, 0), 0);
    end->waker = (struct waker){ wake, &woken };
    while ((progress = lease_end_walk(end, error)) == PROGRESS_WAIT)
        while (sem_wait(&woken) != 0)
            continue; /* a signal came */
    (void)sem_destroy(&woken);
    return progress == PROGRESS_DONE;
}
