#include "exchange/ender.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/clock.h"
#include "base/secret.h"
#include "exchange/ender_internal.h"
#include "exchange/exchange.h"
#include "exchange/rules.h"
#include "exchange/sweeper.h"

#define JOBS_MAX 256
#define CLAIM_MAX 64
#define TICK_MS 500
#define AGAIN_S                                                                                    \
    300 /* a claim holds so long: longer than a job takes but behind a target that hangs */
#define FAILURE_AGAIN_S 5

/* Where many leases end at once exchanges go before them: CLAIM_MAX of these in so many ms. */
#define NICENESS 10
#define PACE_MS 25
#define JOB_MAX ((size_t)32 * 1024 * 1024) /* a lease of many renewals; most take some KiB */

/* A lease that is being ended, and settled. Threads: the ender's */
struct job {
    struct job *next;
    struct arena *arena; /* it is in it */
    struct settling settling;
    struct step step; /* goes on with `end` */
    struct lease_end end;
    char decision[ID_LEN + 1];
};

struct ender {
    const struct exchange_service *service;
    struct ender_listener listener;
    struct lanes *lanes; /* the thread's, as what follows */
    struct sweeper *sweeper;
    struct job *jobs;
    size_t job_count;
    bool claims_fail;
    bool may_have_more; /* the last claim gave as many as were asked for */

    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct step *ready; /* guarded by lock, as what follows */
    struct step **ready_end;
    size_t drop_count;
    bool is_nudged;
    bool is_stopping;
};

const struct exchange_service *ender_service(const struct ender *ender)
{
    return ender->service;
}

const struct ender_listener *ender_listener_of(const struct ender *ender)
{
    return &ender->listener;
}

struct lanes *ender_lanes(struct ender *ender)
{
    return ender->lanes;
}

bool ender_is_stopping(struct ender *ender)
{
    bool is_stopping;

    (void)pthread_mutex_lock(&ender->lock);
    is_stopping = ender->is_stopping;
    (void)pthread_mutex_unlock(&ender->lock);
    return is_stopping;
}

/* ---- what is ready to go on ---- */

static void push_ready(void *context)
{
    struct step *step = context;
    struct ender *ender = step->ender;

    (void)pthread_mutex_lock(&ender->lock);
    step->next = NULL;
    *ender->ready_end = step;
    ender->ready_end = &step->next;
    (void)pthread_cond_signal(&ender->wake);
    (void)pthread_mutex_unlock(&ender->lock);
}

struct waker step_waker(struct step *step)
{
    return (struct waker){ push_ready, step };
}

static struct timespec in_ms(int64_t ms)
{
    struct timespec at;

    (void)clock_gettime(CLOCK_MONOTONIC, &at); /* of the system: never moved by tests */
    at.tv_sec += ms / 1000;
    at.tv_nsec += (ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

static bool is_past(const struct timespec *at)
{
    struct timespec now = in_ms(0);

    return now.tv_sec > at->tv_sec || (now.tv_sec == at->tv_sec && now.tv_nsec >= at->tv_nsec);
}

/* The next that goes on; NULL when it is time to look for what is due. */
static struct step *take_ready(struct ender *ender, const struct timespec *until)
{
    struct step *step;
    int outcome = 0;

    (void)pthread_mutex_lock(&ender->lock);
    while (!ender->ready && !ender->is_nudged && !ender->is_stopping && outcome == 0)
        outcome = pthread_cond_timedwait(&ender->wake, &ender->lock, until);
    step = ender->ready;
    if (step) {
        ender->ready = step->next;
        if (!ender->ready)
            ender->ready_end = &ender->ready;
    } else
        ender->is_nudged = false;
    (void)pthread_mutex_unlock(&ender->lock);
    return step;
}

/* While it stops there is nothing to look for: only what goes on is waited for. */
static struct step *await_ready(struct ender *ender)
{
    struct step *step;

    (void)pthread_mutex_lock(&ender->lock);
    while (!ender->ready)
        (void)pthread_cond_wait(&ender->wake, &ender->lock);
    step = ender->ready;
    ender->ready = step->next;
    if (!ender->ready)
        ender->ready_end = &ender->ready;
    (void)pthread_mutex_unlock(&ender->lock);
    return step;
}

void ender_note_drop(struct ender *ender, struct step *step)
{
    (void)pthread_mutex_lock(&ender->lock);
    ender->drop_count++;
    (void)pthread_mutex_unlock(&ender->lock);
    push_ready(step);
}

void ender_forget_drop(struct ender *ender)
{
    (void)pthread_mutex_lock(&ender->lock);
    ender->drop_count--;
    (void)pthread_mutex_unlock(&ender->lock);
}

static bool has_drops(struct ender *ender)
{
    size_t count;

    (void)pthread_mutex_lock(&ender->lock);
    count = ender->drop_count;
    (void)pthread_mutex_unlock(&ender->lock);
    return count > 0;
}

/* ---- one lease ---- */

/* Not all at once again: those that failed together come back apart. */
static int64_t spread_s(int64_t in_s)
{
    uint8_t random = 0;
    struct error ignored = { 0 };

    if (!secret_random(&random, sizeof(random), &ignored))
        return in_s;
    return in_s + in_s * random / 1024; /* up to a quarter more */
}

void ender_put_off(struct ender *ender, const struct store_lease *lease, int64_t in_s)
{
    struct error error = { 0 };

    /* Where it fails the lease falls due when its claim is over. */
    if (!ledger_put_off(ender->service->ledger, lease->id, clock_wall_s() + spread_s(in_s), &error))
        ender->listener.failed(lease, &error, ender->listener.context);
}

static struct job *job_of(struct settling *settling)
{
    return (struct job *)((char *)settling - offsetof(struct job, settling));
}

static void job_over(struct settling *settling)
{
    struct job *job = job_of(settling);
    struct ender *ender = settling->ender;
    struct job **at = &ender->jobs;

    while (*at != job)
        at = &(*at)->next;
    *at = job->next;
    ender->job_count--;
    rules_put(ender->service->rules, settling->rules);
    arena_free(job->arena);
}

static void job_failed(struct job *job, const struct error *why)
{
    struct ender *ender = job->settling.ender;

    ender->listener.failed(&job->settling.lease, why, ender->listener.context);
    ender_put_off(ender, &job->settling.lease, FAILURE_AGAIN_S);
    job_over(&job->settling);
}

static bool must_settle(const struct settling *settling)
{
    const struct store_lease *lease = &settling->lease;

    return store_lease_owes(lease, settling_now_s(settling)) && lease->state != LEASE_REQUESTED &&
           lease->state != LEASE_ISSUED;
}

/* It has ended, by whoever: then it may owe. */
static void after_end(struct job *job)
{
    struct settling *settling = &job->settling;
    struct ender *ender = settling->ender;
    struct error error = { 0 };
    char id[ID_LEN + 1];

    if (job->end.is_recorded)
        ender->listener.ended(&settling->lease, job->end.ending.type, job->end.ending.reason,
                              ender->listener.context);
    memcpy(id, settling->lease.id, sizeof(id));
    if (!ledger_lease_by_id(ender->service->ledger, str_from(id), &settling->lease, &error)) {
        if (error.code == ERROR_NOT_FOUND)
            job_over(settling);
        else
            job_failed(job, &error);
        return;
    }
    if (must_settle(settling))
        settling_begin(settling);
    else
        job_over(settling);
}

static void go_on_ending(struct step *step)
{
    struct job *job = (struct job *)((char *)step - offsetof(struct job, step));
    struct error error = { 0 };
    enum progress progress = lease_end_walk(&job->end, &error);

    if (progress == PROGRESS_WAIT)
        return;
    if (progress == PROGRESS_FAILED)
        job_failed(job, &error);
    else
        after_end(job);
}

/* How a lease that is due and has not ended is to end. */
static bool choose_ending(const struct store_lease *lease, int64_t now_s,
                          struct lease_ending *ending)
{
    static const struct lease_ending choices[] = {
        { .type = ENTRY_CREDENTIAL_UNKNOWN },
        { .type = ENTRY_LEASE_EXPIRED },
        { .type = ENTRY_LEASE_REVOKED, .reason = "silence" },
    };

    for (size_t i = 0; i < COUNT(choices); i++) {
        if (!lease_end_is_due(&choices[i], lease, now_s))
            continue;
        if (choices[i].type == ENTRY_LEASE_REVOKED &&
            (lease->state != LEASE_ISSUED || lease->heartbeat_s == 0))
            return false;
        *ending = choices[i];
        return true;
    }
    return false;
}

static void begin_job(struct job *job)
{
    struct settling *settling = &job->settling;
    struct ender *ender = settling->ender;
    struct lease_ending ending;
    struct error error = { 0 };

    if (must_settle(settling)) {
        settling_begin(settling);
        return;
    }
    if (!choose_ending(&settling->lease, clock_wall_s(), &ending)) {
        job_over(settling); /* it moved on, or our clock is behind: it falls due again */
        return;
    }
    if (!id_new(clock_wall_ms(), job->decision, &error)) {
        job_failed(job, &error);
        return;
    }
    ending.decision = job->decision;
    job->step = (struct step){ .ender = ender, .go_on = go_on_ending };
    job->end = (struct lease_end){
        .ledger = ender->service->ledger,
        .lease = settling->lease,
        .ending = ending,
        .arena = job->arena,
        .waker = step_waker(&job->step),
    };
    if (ending.type == ENTRY_LEASE_EXPIRED && settling_needs_nothing(settling))
        settling_begin(settling);
    else
        go_on_ending(&job->step);
}

/* ---- looking for what is due ---- */

static struct job *new_job(struct ender *ender, const struct store_lease *lease, int64_t ahead_s)
{
    struct arena *arena = arena_new(JOB_MAX);
    struct job *job = arena ? arena_alloc(arena, sizeof(*job)) : NULL;

    if (!job) {
        arena_free(arena);
        return NULL;
    }
    job->arena = arena;
    job->settling = (struct settling){
        .ender = ender,
        .arena = arena,
        .rules = rules_get(ender->service->rules),
        .lease = *lease,
        .ahead_s = ahead_s,
        .done = job_over,
    };
    job->next = ender->jobs;
    ender->jobs = job;
    ender->job_count++;
    return job;
}

/* A job that hangs longer than its claim holds. */
static bool is_under_way(const struct ender *ender, const struct store_lease *lease)
{
    for (const struct job *job = ender->jobs; job; job = job->next)
        if (memcmp(job->settling.lease.id, lease->id, ID_LEN) == 0)
            return true;
    return false;
}

static void take_on(struct ender *ender, const struct store_lease *lease, int64_t ahead_s)
{
    struct job *job;

    if (is_under_way(ender, lease))
        return;
    job = new_job(ender, lease, ahead_s);
    if (job)
        begin_job(job);
    else
        ender_put_off(ender, lease, FAILURE_AGAIN_S);
}

static void claim(struct ender *ender)
{
    struct store_lease leases[CLAIM_MAX];
    size_t room = JOBS_MAX - ender->job_count;
    struct store_claims claims = { .leases = leases };
    struct error error = { 0 };

    if (room > CLAIM_MAX)
        room = CLAIM_MAX;
    ender->may_have_more = room == 0;
    if (room == 0)
        return;
    claims.max = room;
    if (!ledger_claim_due(ender->service->ledger, AGAIN_S, &claims, &error)) {
        if (!ender->claims_fail)
            ender->listener.failed(NULL, &error, ender->listener.context);
        ender->claims_fail = true;
        return;
    }
    ender->claims_fail = false;
    ender->may_have_more = claims.count == room;
    for (size_t i = 0; i < claims.count; i++)
        take_on(ender, &leases[i], claims.ahead_s);
}

/* ---- the thread ---- */

static void put_waiting_off(struct ender *ender)
{
    struct lane_place *place;

    while ((place = lanes_take_waiting(ender->lanes)) != NULL)
        errand_put_off(errand_of(place), 0);
}

static void finish(struct ender *ender)
{
    put_waiting_off(ender);
    while (ender->job_count > 0 || sweeper_is_busy(ender->sweeper) || has_drops(ender)) {
        struct step *step = await_ready(ender);

        step->go_on(step);
        put_waiting_off(ender);
    }
}

static void *work(void *context)
{
    struct ender *ender = context;
    struct timespec until = in_ms(0);

    (void)setpriority(PRIO_PROCESS, 0, NICENESS); /* of this thread alone; a wish */
    while (!ender_is_stopping(ender)) {
        struct step *step = take_ready(ender, &until);

        if (step)
            step->go_on(step);
        if (step && !(ender->may_have_more && is_past(&until)))
            continue;
        claim(ender);
        sweeper_tend(ender->sweeper);
        until = in_ms(ender->may_have_more ? PACE_MS : TICK_MS);
    }
    finish(ender);
    return NULL;
}

static bool make_locks(struct ender *ender)
{
    pthread_condattr_t attributes;
    bool is_made;

    if (pthread_mutex_init(&ender->lock, NULL) != 0 || pthread_condattr_init(&attributes) != 0)
        return false;
    is_made = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
              pthread_cond_init(&ender->wake, &attributes) == 0;
    (void)pthread_condattr_destroy(&attributes);
    return is_made;
}

static void free_ender(struct ender *ender)
{
    sweeper_free(ender->sweeper);
    lanes_free(ender->lanes);
    free(ender);
}

bool ender_start(const struct exchange_service *service, const struct ender_listener *listener,
                 struct ender **ender, struct error *error)
{
    struct ender *starting = calloc(1, sizeof(*starting));

    if (!starting)
        return error_set(error, ERROR_MEMORY, "ender");
    starting->service = service;
    starting->listener = *listener;
    starting->ready_end = &starting->ready;
    starting->lanes = lanes_new();
    starting->sweeper = sweeper_new(starting);
    if (!starting->lanes || !starting->sweeper || !make_locks(starting)) {
        free_ender(starting);
        return error_set(error, ERROR_MEMORY, "ender");
    }
    if (pthread_create(&starting->thread, NULL, work, starting) != 0) {
        free_ender(starting);
        return error_set(error, ERROR_IO, "no thread to end leases");
    }
    *ender = starting;
    return true;
}

void ender_nudge(struct ender *ender)
{
    if (!ender)
        return;
    (void)pthread_mutex_lock(&ender->lock);
    ender->is_nudged = true;
    (void)pthread_cond_signal(&ender->wake);
    (void)pthread_mutex_unlock(&ender->lock);
}

void ender_stop(struct ender *ender)
{
    if (!ender)
        return;
    (void)pthread_mutex_lock(&ender->lock);
    ender->is_stopping = true;
    (void)pthread_cond_signal(&ender->wake);
    (void)pthread_mutex_unlock(&ender->lock);
    (void)pthread_join(ender->thread, NULL);
    (void)pthread_cond_destroy(&ender->wake);
    (void)pthread_mutex_destroy(&ender->lock);
    free_ender(ender);
}
