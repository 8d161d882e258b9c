#include "upstream/upstream.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "base/clock.h"
#include "upstream/host_internal.h"
#include "upstream/transfer_internal.h"

/* Waiting and under way together; a request holds at most its limits' worth of memory. */
#define REQUESTS_MAX ((size_t)4096)
/* Of these, what is only for hosts whose requests all have a connection: hosts that hang, with
   what waits for them, keep nobody from asking others. */
#define REQUESTS_KEPT ((size_t)1024)
/* One a request: hanging peers, however many, keep no other waiting. */
#define CONNECTIONS_MAX ((long)REQUESTS_MAX)
/* Those in use count, too: what comes back when there are more closes an idle one. */
#define IDLE_CONNECTIONS_MAX 512L
#define POLL_MAX_MS 1000
#define NS_PER_MS INT64_C(1000000)

struct upstream {
    CURLM *multi; /* the thread's own, but for wake_thread() */
    pthread_t thread;
    struct transfer *active; /* the thread's own: those that curl works on, and those that wait */
    int64_t deadline_ns;     /* the thread's own: no active one is due before it */

    pthread_mutex_t lock;
    struct transfer *queued;      /* guarded by lock; oldest first */
    struct transfer *queued_last; /* guarded by lock */
    size_t request_count;         /* guarded by lock: queued and active */
    struct upstream_host *hosts;  /* guarded by lock: of these */
    bool is_stopping;             /* guarded by lock */
};

/* The thread's side. */

static struct transfer *take_queue(struct upstream *upstream, bool *is_stopping)
{
    struct transfer *queued;

    pthread_mutex_lock(&upstream->lock);
    queued = upstream->queued;
    upstream->queued = NULL;
    upstream->queued_last = NULL;
    *is_stopping = upstream->is_stopping;
    pthread_mutex_unlock(&upstream->lock);
    return queued;
}

static void end_transfer(struct upstream *upstream, struct transfer *transfer, CURLcode code)
{
    struct upstream_host *host = transfer->host;

    transfer_finish(transfer, code);
    transfer_free(transfer);
    pthread_mutex_lock(&upstream->lock);
    upstream->request_count--;
    host->request_count--;
    upstream_host_drop(&upstream->hosts, host);
    pthread_mutex_unlock(&upstream->lock);
}

static void expect_end(struct upstream *upstream, const struct transfer *transfer)
{
    if (transfer->deadline_ns < upstream->deadline_ns)
        upstream->deadline_ns = transfer->deadline_ns;
}

/* Into curl's hands. One that cannot be is due at once. */
static void run_transfer(struct upstream *upstream, struct transfer *transfer)
{
    if (transfer_open(transfer) &&
        curl_multi_add_handle(upstream->multi, transfer->easy) == CURLM_OK) {
        transfer->state = TRANSFER_RUNS;
        transfer->host->running_count++;
        return;
    }
    transfer->state = TRANSFER_FAILED;
    transfer->deadline_ns = 0;
    expect_end(upstream, transfer);
}

/* As far as there are connections; those that waited longest first. None ends here. */
static void run_waiting(struct upstream *upstream, struct upstream_host *host)
{
    while (host->waiting != NULL && host->running_count < HOST_CONNECTIONS_MAX) {
        struct transfer *transfer = host->waiting;

        upstream_host_unwait(transfer);
        run_transfer(upstream, transfer);
    }
}

static void begin_transfer(struct upstream *upstream, struct transfer *transfer)
{
    expect_end(upstream, transfer);
    transfer->previous = NULL;
    transfer->next = upstream->active;
    if (upstream->active != NULL)
        upstream->active->previous = transfer;
    upstream->active = transfer;
    upstream_host_wait(transfer);
    run_waiting(upstream, transfer->host);
}

/* Out of curl's hands, or out of its queue, and out of the list. */
static void withdraw(struct upstream *upstream, struct transfer *transfer)
{
    if (transfer->state == TRANSFER_RUNS) {
        (void)curl_multi_remove_handle(upstream->multi, transfer->easy);
        transfer->host->running_count--;
    } else if (transfer->state == TRANSFER_WAITS) {
        upstream_host_unwait(transfer);
    }
    if (transfer->next != NULL)
        transfer->next->previous = transfer->previous;
    if (transfer->previous != NULL)
        transfer->previous->next = transfer->next;
    else
        upstream->active = transfer->next;
}

static void begin_queued(struct upstream *upstream, struct transfer *queued)
{
    while (queued != NULL) {
        struct transfer *next = queued->next;

        begin_transfer(upstream, queued);
        queued = next;
    }
}

static void end_finished(struct upstream *upstream)
{
    const CURLMsg *message;
    int left = 0;

    while ((message = curl_multi_info_read(upstream->multi, &left)) != NULL) {
        CURLcode code = message->data.result; /* the message dies with the handle's removal */
        struct transfer *transfer = NULL;

        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
        withdraw(upstream, transfer);
        run_waiting(upstream, transfer->host);
        end_transfer(upstream, transfer, code);
    }
}

/*
 * End what is past its time, whether it has a connection or waits for one; those in time take the
 * connections then.
 */
static void end_overdue(struct upstream *upstream)
{
    int64_t now_ns = clock_monotonic_ns();
    struct transfer *following;

    if (now_ns < upstream->deadline_ns)
        return;
    upstream->deadline_ns = INT64_MAX;
    for (struct transfer *transfer = upstream->active; transfer != NULL; transfer = following) {
        following = transfer->next;
        if (now_ns < transfer->deadline_ns) {
            expect_end(upstream, transfer);
            continue;
        }
        withdraw(upstream, transfer);
        end_transfer(upstream, transfer,
                     transfer->state == TRANSFER_FAILED ? CURLE_OUT_OF_MEMORY
                                                        : CURLE_OPERATION_TIMEDOUT);
    }
    for (struct transfer *transfer = upstream->active; transfer != NULL; transfer = transfer->next)
        run_waiting(upstream, transfer->host);
}

/* How long nothing of ours is due. */
static int poll_ms(const struct upstream *upstream)
{
    int64_t left_ns = upstream->deadline_ns - clock_monotonic_ns();

    if (left_ns <= 0)
        return 0;
    return left_ns > POLL_MAX_MS * NS_PER_MS ? POLL_MAX_MS : (int)(left_ns / NS_PER_MS) + 1;
}

static void end_all(struct upstream *upstream, struct transfer *queued)
{
    while (upstream->active != NULL) {
        struct transfer *transfer = upstream->active;

        withdraw(upstream, transfer);
        end_transfer(upstream, transfer, CURLE_ABORTED_BY_CALLBACK);
    }
    while (queued != NULL) {
        struct transfer *next = queued->next;

        end_transfer(upstream, queued, CURLE_ABORTED_BY_CALLBACK);
        queued = next;
    }
}

static void *run(void *context)
{
    struct upstream *upstream = context;

    for (;;) {
        bool is_stopping = false;
        struct transfer *queued = take_queue(upstream, &is_stopping);
        int running = 0;

        if (is_stopping) {
            end_all(upstream, queued);
            (void)curl_multi_cleanup(upstream->multi); /* here, where SIGPIPE is blocked */
            return NULL;
        }
        begin_queued(upstream, queued);
        (void)curl_multi_perform(upstream->multi, &running); /* failures end their transfer */
        end_finished(upstream);
        end_overdue(upstream);
        (void)curl_multi_poll(upstream->multi, NULL, 0, poll_ms(upstream), NULL);
    }
}

/* The callers' side. */

static void curl_start(void)
{
    (void)curl_global_init(CURL_GLOBAL_DEFAULT); /* without it curl_multi_init() fails */
}

static void upstream_free(struct upstream *upstream)
{
    if (upstream == NULL)
        return;
    pthread_mutex_destroy(&upstream->lock);
    free(upstream);
}

static struct upstream *upstream_allocate(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct upstream *upstream = calloc(1, sizeof(*upstream));

    if (upstream == NULL)
        return NULL;
    pthread_mutex_init(&upstream->lock, NULL);
    pthread_once(&once, curl_start);
    upstream->multi = curl_multi_init();
    if (upstream->multi == NULL) {
        upstream_free(upstream);
        return NULL;
    }
    (void)curl_multi_setopt(upstream->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, CONNECTIONS_MAX);
    (void)curl_multi_setopt(upstream->multi, CURLMOPT_MAX_HOST_CONNECTIONS,
                            (long)HOST_CONNECTIONS_MAX);
    (void)curl_multi_setopt(upstream->multi, CURLMOPT_MAXCONNECTS, IDLE_CONNECTIONS_MAX);
    return upstream;
}

/* Signals are main's: this thread blocks them, SIGPIPE of a dead peer among them. */
static int start_thread(struct upstream *upstream)
{
    sigset_t all;
    sigset_t before;
    int failure;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failure = pthread_create(&upstream->thread, NULL, run, upstream);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failure;
}

bool upstream_start(struct upstream **upstream, struct error *error)
{
    struct upstream *made = upstream_allocate();

    if (made == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for the upstream thread");
    if (start_thread(made) != 0) {
        (void)curl_multi_cleanup(made->multi);
        upstream_free(made);
        return error_set(error, ERROR_IO, "the upstream thread does not start");
    }
    *upstream = made;
    return true;
}

/*
 * Under the lock: the thread that sees `is_stopping` destroys what is woken here, and it must take
 * the lock to see it.
 */
static void wake_thread(struct upstream *upstream)
{
    (void)curl_multi_wakeup(upstream->multi);
}

void upstream_stop(struct upstream *upstream)
{
    if (upstream == NULL)
        return;
    pthread_mutex_lock(&upstream->lock);
    upstream->is_stopping = true;
    wake_thread(upstream);
    pthread_mutex_unlock(&upstream->lock);
    pthread_join(upstream->thread, NULL);
    upstream_free(upstream);
}

/* Whether another request to a host may come; under the lock. */
static bool has_room(const struct upstream *upstream, const struct upstream_host *host)
{
    if (host->request_count < HOST_CONNECTIONS_MAX)
        return upstream->request_count < REQUESTS_MAX;
    return host->request_count < HOST_REQUESTS_MAX &&
           upstream->request_count < REQUESTS_MAX - REQUESTS_KEPT;
}

/* Count it in, as its host's; under the lock. */
static bool admit(struct upstream *upstream, struct transfer *transfer)
{
    struct upstream_host *host = upstream_host_take(&upstream->hosts, transfer->host_name);

    if (host == NULL)
        return false;
    if (upstream->is_stopping || !has_room(upstream, host)) {
        upstream_host_drop(&upstream->hosts, host);
        return false;
    }
    transfer->host = host;
    host->request_count++;
    upstream->request_count++;
    return true;
}

static bool enqueue(struct upstream *upstream, struct transfer *transfer)
{
    bool is_taken;

    pthread_mutex_lock(&upstream->lock);
    is_taken = admit(upstream, transfer);
    if (is_taken) {
        if (upstream->queued_last != NULL)
            upstream->queued_last->next = transfer;
        else
            upstream->queued = transfer;
        upstream->queued_last = transfer;
        wake_thread(upstream);
    }
    pthread_mutex_unlock(&upstream->lock);
    return is_taken;
}

bool upstream_submit(struct upstream *upstream, const struct upstream_request *request,
                     struct error *error)
{
    OWNED(transfer_free) struct transfer *transfer = NULL;

    if (!transfer_new(request, &transfer, error))
        return false;
    if (!enqueue(upstream, transfer))
        return error_set(error, ERROR_BUSY, "too many requests to others are under way");
    (void)TAKE(transfer); /* the thread's now */
    return true;
}

/* A caller that waits for its request. */
struct call {
    upstream_done done;
    void *context;

    pthread_mutex_t lock;
    pthread_cond_t has_ended;
    bool is_ended; /* guarded by lock */
};

static void end_call(const struct upstream_response *response, void *context)
{
    struct call *call = context;

    call->done(response, call->context);
    pthread_mutex_lock(&call->lock);
    call->is_ended = true;
    pthread_cond_signal(&call->has_ended);
    pthread_mutex_unlock(&call->lock);
}

bool upstream_call(struct upstream *upstream, const struct upstream_request *request,
                   struct error *error)
{
    struct call call = { .done = request->done, .context = request->context };
    struct upstream_request waited_for = *request;
    bool is_submitted;

    pthread_mutex_init(&call.lock, NULL);
    pthread_cond_init(&call.has_ended, NULL);
    waited_for.done = end_call;
    waited_for.context = &call;
    is_submitted = upstream_submit(upstream, &waited_for, error);
    pthread_mutex_lock(&call.lock);
    while (is_submitted && !call.is_ended)
        pthread_cond_wait(&call.has_ended, &call.lock);
    pthread_mutex_unlock(&call.lock);
    pthread_cond_destroy(&call.has_ended);
    pthread_mutex_destroy(&call.lock);
    return is_submitted;
}
