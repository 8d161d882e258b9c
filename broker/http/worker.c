#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <gnutls/abstract.h>

#include "base/clock.h"
#include "base/log.h"
#include "http/http_internal.h"

/* Memory of a connection for its head, the parsed fields and the head of the answer: a head of
   HTTP_HEAD_BYTES_MAX with HTTP_FIELDS_MAX fields fits. Untouched pages cost nothing. */
#define CONNECTION_BYTES ((size_t)32 * 1024)

/* What poll() calls POLLRDHUP, by its other name: that one is hidden outside of _GNU_SOURCE. */
#define PEER_HAS_SHUT ((short)EPOLLRDHUP)

/* How long nothing is accepted when that failed and no connection is there whose end would help. */
#define COMPLAINT_PAUSE_MS 10

/* The longest line of the library's that is logged. */
#define MESSAGE_MAX 200

/* --- the queue of resumed calls ----------------------------------------------------------------
 */

/* Called with the lock held: http_stop() must not close the descriptor under us. It never blocks.
 */
static void wake(struct worker *worker)
{
    const uint64_t one = 1;
    ssize_t written = write(worker->wake_fd, &one, sizeof(one));

    assert(written == (ssize_t)sizeof(one) || errno == EAGAIN); /* EAGAIN: it is awake already */
}

void http_resume(struct http_request *request)
{
    struct call *call = (struct call *)request;
    struct worker *worker = call->connection->worker;

    (void)pthread_mutex_lock(&worker->lock);
    if (!atomic_exchange(&call->is_queued, true)) {
        call->next = NULL;
        if (worker->first_resumed == NULL) {
            worker->first_resumed = call;
            wake(worker);
        } else {
            worker->last_resumed->next = call;
        }
        worker->last_resumed = call;
    }
    (void)pthread_mutex_unlock(&worker->lock);
}

static void resume(void *request)
{
    http_resume(request);
}

struct waker http_waker(struct http_request *request)
{
    return (struct waker){ .wake = resume, .context = request };
}

/* The list without the call; `*last` is the one that is last then. */
static struct call *without(struct call *list, const struct call *call, struct call **last)
{
    struct call *first = list == call ? list->next : list;

    *last = NULL;
    for (struct call *at = first; at != NULL; at = at->next) {
        if (at->next == call)
            at->next = call->next;
        *last = at;
    }
    return first;
}

void worker_forget(struct worker *worker, struct call *call)
{
    struct call *last;

    if (!atomic_load(&call->is_queued))
        return;
    worker->taken = without(worker->taken, call, &last);
    (void)pthread_mutex_lock(&worker->lock);
    worker->first_resumed = without(worker->first_resumed, call, &worker->last_resumed);
    (void)pthread_mutex_unlock(&worker->lock);
    atomic_store(&call->is_queued, false);
}

static void enter_taken(struct worker *worker)
{
    while (worker->taken != NULL) {
        struct call *call = worker->taken;

        worker->taken = call->next;
        atomic_store(&call->is_queued, false); /* from here on it may be queued again */
        call_enter_again(call);
    }
}

/* --- deadlines ---------------------------------------------------------------------------------
 */

static bool is_waiting(const struct connection *connection)
{
    return connection->call != NULL && connection->call->state == CALL_WAITING;
}

/* The library does not look at a connection that waits, so we do. Half closed counts as gone:
   nothing is released to somebody who may not read it. */
static bool is_peer_gone(const struct connection *connection)
{
    struct pollfd watched = { .fd = connection->fd, .events = PEER_HAS_SHUT };

    return poll(&watched, 1, 0) > 0;
}

static void sweep(struct worker *worker, int64_t now_ns)
{
    for (struct connection *at = worker->connections; at != NULL; at = at->next) {
        bool is_late = now_ns >= at->deadline_ns;

        if (!is_waiting(at)) {
            if (is_late)
                connection_shut(at);
        } else if (!at->call->request.is_abandoned && (is_late || is_peer_gone(at))) {
            call_abandon(at->call);
        }
    }
    worker->next_sweep_ns = now_ns + worker->server->sweep_ns;
}

/* --- orders ------------------------------------------------------------------------------------
 */

void worker_tell(struct worker *worker, enum worker_order order)
{
    (void)pthread_mutex_lock(&worker->lock);
    if (order > worker->order)
        worker->order = order;
    wake(worker);
    (void)pthread_mutex_unlock(&worker->lock);
}

static void close_listener(struct worker *worker)
{
    MHD_socket listener = MHD_quiesce_daemon(worker->daemon);

    if (listener != MHD_INVALID_SOCKET)
        (void)close(listener); /* nothing to lose: nobody was accepted on it */
}

static void close_idle(struct worker *worker)
{
    for (struct connection *at = worker->connections; at != NULL; at = at->next) {
        if (at->call == NULL && at->request_count > 0)
            connection_shut(at);
    }
}

static void abandon_waiting(struct worker *worker)
{
    for (struct connection *at = worker->connections; at != NULL; at = at->next) {
        if (is_waiting(at))
            call_abandon(at->call);
    }
}

static void obey(struct worker *worker, enum worker_order order)
{
    if (order == worker->obeyed)
        return;
    if (worker->obeyed == WORKER_SERVE)
        close_listener(worker);
    worker->obeyed = order;
    if (order == WORKER_DRAIN)
        close_idle(worker);
    else
        abandon_waiting(worker);
}

/* What other threads have for us: calls that were resumed, and an order. */
static enum worker_order take(struct worker *worker)
{
    enum worker_order order;

    (void)pthread_mutex_lock(&worker->lock);
    worker->taken = worker->first_resumed;
    worker->first_resumed = NULL;
    worker->last_resumed = NULL;
    order = worker->order;
    (void)pthread_mutex_unlock(&worker->lock);
    return order;
}

static void tell_drained(struct worker *worker)
{
    struct http_server *server = worker->server;

    (void)pthread_mutex_lock(&server->lock);
    server->drained_count++;
    (void)pthread_cond_signal(&server->has_drained);
    (void)pthread_mutex_unlock(&server->lock);
}

/* --- the loop ----------------------------------------------------------------------------------
 */

static int timeout_ms(const struct worker *worker)
{
    int64_t library_ms = MHD_get_timeout64s(worker->daemon);
    int64_t sweep_ms = (worker->next_sweep_ns - clock_monotonic_ns()) / 1000000 + 1;

    if (worker->has_closed) /* at a limit, the library listens again only when it is run */
        return 0;
    if (worker->connection_count == 0)
        sweep_ms = -1;
    else if (sweep_ms < 0)
        sweep_ms = 0;
    if (library_ms < 0 || (sweep_ms >= 0 && sweep_ms < library_ms))
        library_ms = sweep_ms;
    return library_ms > 1000 ? 1000 : (int)library_ms;
}

static void wait_for_work(struct worker *worker)
{
    struct pollfd watched[] = {
        { .fd = worker->epoll_fd, .events = POLLIN },
        { .fd = worker->wake_fd, .events = POLLIN },
    };
    uint64_t count;

    /* Without descriptors the library would try to accept again and again. */
    if (worker->has_complained && worker->connection_count == 0)
        (void)poll(&watched[1], 1, COMPLAINT_PAUSE_MS); /* a pause, whatever comes of it */
    else
        (void)poll(watched, COUNT(watched), timeout_ms(worker)); /* on EINTR nothing is ready */
    if ((watched[1].revents & POLLIN) != 0)
        (void)!read(worker->wake_fd, &count, sizeof(count)); /* only to make it unreadable */
}

static void *run(void *context)
{
    struct worker *worker = context;
    bool has_told = false;

    while (worker->obeyed != WORKER_STOP || worker->waiting_count > 0) {
        wait_for_work(worker);
        obey(worker, take(worker));
        enter_taken(worker);
        worker->has_closed = false;
        worker->has_complained = false;
        (void)MHD_run(worker->daemon); /* fails after MHD_stop_daemon() only */
        if (clock_monotonic_ns() >= worker->next_sweep_ns)
            sweep(worker, clock_monotonic_ns());
        if (worker->obeyed == WORKER_DRAIN && worker->connection_count == 0 && !has_told) {
            has_told = true;
            tell_drained(worker);
        }
    }
    MHD_stop_daemon(worker->daemon);
    return NULL;
}

/* --- start and end -----------------------------------------------------------------------------
 */

/* Its messages are about our mistakes at start; later, about peers' and the machine's limits. */
static void log_message(void *context, const char *format, va_list arguments)
    __attribute__((__format__(__printf__, 2, 0)));

static void log_message(void *context, const char *format, va_list arguments)
{
    struct worker *worker = context;
    char text[MESSAGE_MAX];
    struct log_line line;

    worker->has_complained = true;
    log_begin(&line, worker->daemon == NULL ? LOG_LEVEL_ERROR : LOG_LEVEL_DEBUG, "http.library");
    if (!line.is_off) {
        (void)vsnprintf(text, sizeof(text), format, arguments); /* may be cut */
        log_str(&line, "message", str_trim(str_from(text)));
    }
    log_end(&line);
}

/* The path is matched as it came; nothing is unescaped. */
static size_t keep_escaped(void *context, struct MHD_Connection *handle, char *text)
{
    (void)context;
    (void)handle;
    return strlen(text);
}

/* The library wants a certificate at start; ours comes with tls_greet(). Without it: no handshake.
 */
/* NOLINTNEXTLINE(readability-function-size): the library's signature */
static int refuse_certificate(gnutls_session_t session, const struct gnutls_cert_retr_st *info,
                              gnutls_pcert_st **chain, unsigned *chain_len,
                              gnutls_ocsp_data_st **ocsp, unsigned *ocsp_len, gnutls_privkey_t *key,
                              unsigned *flags)
{
    (void)session;
    (void)info;
    (void)chain;
    (void)chain_len;
    (void)ocsp;
    (void)ocsp_len;
    (void)key;
    (void)flags;
    return -1;
}

static unsigned share_of(unsigned total, unsigned parts)
{
    return (total + parts - 1) / parts;
}

static struct MHD_Daemon *start_daemon(struct worker *worker, int listener)
{
    const struct http_options *options = &worker->server->options;
    const bool is_tls = worker->server->tls != NULL;

    /* The logger comes first, so that it hears of mistakes in the other options. What
       only TLS needs comes last, behind an end. */
    /* clang-format off */
    return MHD_start_daemon(
        MHD_USE_EPOLL | MHD_USE_NO_THREAD_SAFETY | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG |
            (is_tls ? MHD_USE_TLS : 0),
        0, NULL, NULL, connection_on_request, worker,
        MHD_OPTION_EXTERNAL_LOGGER, log_message, worker,
        MHD_OPTION_LISTEN_SOCKET, listener,
        MHD_OPTION_CLIENT_DISCIPLINE_LVL, 1,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_BYTES,
        MHD_OPTION_CONNECTION_LIMIT, share_of(options->connections_max, options->thread_count),
        MHD_OPTION_PER_IP_CONNECTION_LIMIT, options->connections_per_address_max,
        MHD_OPTION_CONNECTION_TIMEOUT, 0U,
        MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
        MHD_OPTION_UNESCAPE_CALLBACK, keep_escaped, NULL,
        MHD_OPTION_URI_LOG_CALLBACK, connection_on_target, worker,
        MHD_OPTION_NOTIFY_CONNECTION, connection_on_change, worker,
        MHD_OPTION_NOTIFY_COMPLETED, connection_on_completed, worker,
        is_tls ? MHD_OPTION_HTTPS_PRIORITIES : MHD_OPTION_END, tls_priorities,
        MHD_OPTION_HTTPS_CERT_CALLBACK2, refuse_certificate,
        MHD_OPTION_END);
    /* clang-format on */
}

/* Signals are for the main thread; SIGPIPE above all. */
static int start_thread(struct worker *worker)
{
    sigset_t all;
    sigset_t before;
    int result;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    result = pthread_create(&worker->thread, NULL, run, worker);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return result;
}

bool worker_start(struct worker *worker, struct http_server *server, int listener,
                  struct error *error)
{
    const union MHD_DaemonInfo *info;

    worker->server = server;
    worker->daemon = NULL;
    worker->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (worker->wake_fd < 0) {
        (void)error_set_errno(error, "HTTP worker");
        goto rollback;
    }
    worker->daemon = start_daemon(worker, listener);
    if (worker->daemon == NULL) {
        (void)error_set(error, ERROR_IO, "HTTP worker: the library did not start");
        goto rollback;
    }
    listener = -1; /* the library's now */
    info = MHD_get_daemon_info(worker->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    assert(info != NULL);
    worker->epoll_fd = info->epoll_fd;
    (void)pthread_mutex_init(&worker->lock, NULL); /* cannot fail with default attributes */
    errno = start_thread(worker);
    if (errno == 0)
        return true;
    (void)error_set_errno(error, "HTTP worker");
    (void)pthread_mutex_destroy(&worker->lock);
rollback:
    MHD_stop_daemon(worker->daemon); /* accepts NULL */
    if (worker->wake_fd >= 0)
        (void)close(worker->wake_fd); /* never used */
    if (listener >= 0)
        (void)close(listener); /* never used */
    return false;
}

void worker_join(struct worker *worker)
{
    (void)pthread_join(worker->thread, NULL);
    /* Whoever woke the last call may still be inside: it holds the lock while it writes. */
    (void)pthread_mutex_lock(&worker->lock);
    (void)close(worker->wake_fd); /* nothing to lose */
    (void)pthread_mutex_unlock(&worker->lock);
    (void)pthread_mutex_destroy(&worker->lock);
}
