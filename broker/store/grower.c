#include "store/grower.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"

#define SPARE_NAME "spare"

/* One attempt writes and syncs at most so much, so that a chore or a stop need not wait long. */
#define STEP_LEN ((uint64_t)4 * 1024 * 1024)

/* Zeros behind `from`, synced. What was reached counts even where the disk filled up on the way. */
static int grow_file(int file, uint64_t from, uint64_t to)
{
    int failure = segment_write_zeros_ahead(file, from, to - from);

    if (fdatasync(file) != 0)
        return errno;
    return failure;
}

static uint64_t file_size(int file)
{
    struct stat status;

    return fstat(file, &status) == 0 ? (uint64_t)status.st_size : 0;
}

static uint64_t step_from(uint64_t from, uint64_t wanted)
{
    return wanted - from > STEP_LEN ? from + STEP_LEN : wanted;
}

bool grower_is_space(int failure)
{
    return failure == ENOSPC || failure == EDQUOT || failure == EFBIG;
}

/* Called with the lock. No later success makes up for an error that was not about space. */
static void note_outcome(struct grower *grower, int failure)
{
    grower->failure = failure;
    grower->is_broken = grower->is_broken || (failure != 0 && !grower_is_space(failure));
}

/* Called with the lock, which is released for the writing. */
static void grow_segment(struct grower *grower)
{
    int file = grower->file;
    uint64_t from = grower->zeroed;
    uint64_t to = step_from(from, grower->wanted);
    int failure = 0;
    uint64_t size = 0;

    (void)pthread_mutex_unlock(&grower->lock);
    failure = grow_file(file, from, to);
    size = file_size(file);
    (void)pthread_mutex_lock(&grower->lock);
    note_outcome(grower, failure);
    if (!grower->is_broken)
        grower->zeroed = size > from ? size : from;
    if (failure != 0)
        grower->wanted = 0;
}

static int make_spare(const struct grower *grower, uint64_t bytes, int *file)
{
    int failure = 0;

    *file = openat(grower->folder, SPARE_NAME, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
                   0600);
    if (*file < 0)
        return errno;
    failure = grow_file(*file, 0, bytes);
    if (failure != 0) {
        (void)close(*file); /* it is removed */
        (void)unlinkat(grower->folder, SPARE_NAME, 0);
    }
    return failure;
}

static void grow_spare(struct grower *grower)
{
    uint64_t bytes = grower->spare_wanted;
    int failure = 0;
    int file = -1;

    (void)pthread_mutex_unlock(&grower->lock);
    failure = make_spare(grower, bytes, &file);
    (void)pthread_mutex_lock(&grower->lock);
    note_outcome(grower, failure);
    grower->spare_wanted = 0;
    if (failure == 0) {
        grower->spare = file;
        grower->spare_zeroed = bytes;
    }
}

static void finish_attempt(struct grower *grower)
{
    grower->attempts++;
    (void)pthread_cond_broadcast(&grower->changed);
}

/* Once broken nothing more is written, and who asks is told why at once. */
static bool refuse_work(struct grower *grower)
{
    if (grower->wanted <= grower->zeroed && grower->spare_wanted == 0)
        return false;
    grower->wanted = 0;
    grower->spare_wanted = 0;
    finish_attempt(grower);
    return true;
}

/* One thing to do, with the lock held; false when there is none. */
static bool work(struct grower *grower)
{
    if (grower->is_broken)
        return refuse_work(grower);
    if (grower->spare_wanted > 0 && grower->spare < 0)
        grow_spare(grower);
    else if (grower->wanted > grower->zeroed)
        grow_segment(grower);
    else
        return false;
    finish_attempt(grower);
    return true;
}

static struct timespec deadline_in(int64_t duration_ms)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC,
                        &now); /* for a wait of the system's, never moved by tests */
    now.tv_sec += (time_t)(duration_ms / 1000);
    return now;
}

static void *run(void *context)
{
    struct grower *grower = context;
    struct timespec due = deadline_in(grower->chore_every_ms);

    (void)pthread_mutex_lock(&grower->lock);
    while (!grower->is_stopping) {
        grower->is_busy = true;
        if (work(grower))
            continue;
        grower->is_busy = false;
        (void)pthread_cond_broadcast(&grower->changed);
        if (pthread_cond_timedwait(&grower->wake, &grower->lock, &due) != ETIMEDOUT)
            continue;
        (void)pthread_mutex_unlock(&grower->lock);
        grower->chore(grower->context);
        due = deadline_in(grower->chore_every_ms);
        (void)pthread_mutex_lock(&grower->lock);
    }
    grower->is_busy = false;
    (void)pthread_cond_broadcast(&grower->changed);
    (void)pthread_mutex_unlock(&grower->lock);
    return NULL;
}

static bool init_conditions(struct grower *grower)
{
    pthread_condattr_t attributes;
    bool is_ok = false;

    if (pthread_condattr_init(&attributes) != 0)
        return false;
    is_ok = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
            pthread_mutex_init(&grower->lock, NULL) == 0 &&
            pthread_cond_init(&grower->wake, &attributes) == 0 &&
            pthread_cond_init(&grower->changed, &attributes) == 0;
    (void)pthread_condattr_destroy(&attributes);
    return is_ok;
}

bool grower_start(struct grower *grower, uint64_t first_index, uint64_t zeroed, struct error *error)
{
    char name[SEGMENT_NAME_LEN + 1];

    segment_name(first_index, name);
    grower->spare = -1;
    grower->zeroed = zeroed;
    grower->file = openat(grower->folder, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (grower->file < 0)
        return error_set_errno(error, "segment %s: cannot open", name);
    (void)unlinkat(grower->folder, SPARE_NAME, 0); /* an earlier run's; ENOENT is usual */
    if (!init_conditions(grower) || pthread_create(&grower->thread, NULL, run, grower) != 0) {
        (void)close(grower->file); /* nothing was written */
        return error_set(error, ERROR_MEMORY, "cannot start the store's second thread");
    }
    grower->is_started = true;
    return true;
}

void grower_stop(struct grower *grower)
{
    if (!grower->is_started)
        return;
    (void)pthread_mutex_lock(&grower->lock);
    grower->is_stopping = true;
    (void)pthread_cond_signal(&grower->wake);
    (void)pthread_mutex_unlock(&grower->lock);
    (void)pthread_join(grower->thread, NULL);
    grower->is_started = false;
    (void)close(grower->file); /* zeros only, and synced */
    if (grower->spare >= 0) {
        (void)close(grower->spare); /* removed with the next line */
        (void)unlinkat(grower->folder, SPARE_NAME, 0);
    }
    (void)pthread_cond_destroy(&grower->wake);
    (void)pthread_cond_destroy(&grower->changed);
    (void)pthread_mutex_destroy(&grower->lock);
}

bool grower_look(struct grower *grower, uint64_t *zeroed)
{
    bool is_sound = false;

    (void)pthread_mutex_lock(&grower->lock);
    *zeroed = grower->zeroed;
    is_sound = !grower->is_broken;
    (void)pthread_mutex_unlock(&grower->lock);
    return is_sound;
}

static void want_locked(struct grower *grower, uint64_t bytes)
{
    if (bytes <= grower->wanted && grower->wanted > grower->zeroed)
        return;
    grower->wanted = bytes;
    (void)pthread_cond_signal(&grower->wake);
}

void grower_want(struct grower *grower, uint64_t bytes)
{
    (void)pthread_mutex_lock(&grower->lock);
    want_locked(grower, bytes);
    (void)pthread_mutex_unlock(&grower->lock);
}

static void want_spare_locked(struct grower *grower, uint64_t bytes)
{
    if (grower->spare >= 0 || grower->spare_wanted > 0)
        return;
    grower->spare_wanted = bytes;
    (void)pthread_cond_signal(&grower->wake);
}

void grower_want_spare(struct grower *grower, uint64_t bytes)
{
    (void)pthread_mutex_lock(&grower->lock);
    want_spare_locked(grower, bytes);
    (void)pthread_mutex_unlock(&grower->lock);
}

bool grower_has_spare(struct grower *grower)
{
    bool has_spare = false;

    (void)pthread_mutex_lock(&grower->lock);
    has_spare = grower->spare >= 0;
    (void)pthread_mutex_unlock(&grower->lock);
    return has_spare;
}

int grower_wait(struct grower *grower, uint64_t bytes)
{
    int failure = 0;

    (void)pthread_mutex_lock(&grower->lock);
    want_locked(grower, bytes);
    while (grower->zeroed < bytes && failure == 0) {
        uint64_t attempts = grower->attempts;

        while (grower->attempts == attempts)
            (void)pthread_cond_wait(&grower->changed, &grower->lock);
        failure = grower->wanted == 0 ? grower->failure : 0;
    }
    failure = grower->zeroed >= bytes ? 0 : failure;
    (void)pthread_mutex_unlock(&grower->lock);
    return failure;
}

/* Called with the lock: a spare is there, or the attempt to make one failed. */
static int wait_for_spare(struct grower *grower, uint64_t bytes)
{
    want_spare_locked(grower, bytes);
    while (grower->spare < 0 && grower->spare_wanted > 0)
        (void)pthread_cond_wait(&grower->changed, &grower->lock);
    return grower->spare >= 0 ? 0 : grower->failure;
}

/* Give the spare its name; durable, or EIO. */
static int put_in_place(const struct grower *grower, const char *name, int *file)
{
    if (renameat(grower->folder, SPARE_NAME, grower->folder, name) != 0)
        return errno;
    *file = openat(grower->folder, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    return *file >= 0 && fsync(grower->folder) == 0 ? 0 : EIO;
}

int grower_roll(struct grower *grower, uint64_t first_index, uint64_t bytes, int *file)
{
    char name[SEGMENT_NAME_LEN + 1];
    int failure = 0;

    segment_name(first_index, name);
    (void)pthread_mutex_lock(&grower->lock);
    grower->wanted = 0;
    failure = wait_for_spare(grower, bytes);
    while (grower->is_busy)
        (void)pthread_cond_wait(&grower->changed, &grower->lock);
    (void)pthread_mutex_unlock(&grower->lock);

    /* Nothing is asked of the thread now, and only our caller asks. */
    if (failure == 0)
        failure = put_in_place(grower, name, file);
    if (failure != 0)
        return failure;
    (void)pthread_mutex_lock(&grower->lock);
    (void)close(grower->file); /* zeros only, and synced */
    grower->file = grower->spare;
    grower->zeroed = grower->spare_zeroed;
    grower->spare = -1;
    (void)pthread_mutex_unlock(&grower->lock);
    return 0;
}
