#include "ledger/watcher.h"

#include <stdio.h>

#include "base/error.h"

bool watchers_init(struct watchers *watchers, struct upstream *upstream, struct waker answered,
                   struct error *error)
{
    *watchers = (struct watchers){ .upstream = upstream, .answered = answered };
    return pthread_mutex_init(&watchers->lock, NULL) == 0 ||
           error_set(error, ERROR_MEMORY, "no memory for who watches the log");
}

void watchers_release(struct watchers *watchers)
{
    (void)pthread_mutex_destroy(&watchers->lock);
}

void watchers_stop(struct watchers *watchers)
{
    (void)pthread_mutex_lock(&watchers->lock);
    watchers->is_stopped = true;
    (void)pthread_mutex_unlock(&watchers->lock);
}

void watcher_init(struct watcher *watcher, struct watchers *all, struct str name,
                  const struct upstream_peer *peer, size_t body_max)
{
    *watcher =
        (struct watcher){ .all = all, .peer = *peer, .body_max = body_max, .status.name = name };
    buf_init(&watcher->body, body_max);
}

void watcher_release(struct watcher *watcher)
{
    buf_release(&watcher->body);
}

/* On the upstream thread. The waker is the last act. */
static void keep_answer(const struct upstream_response *response, void *context)
{
    struct watcher *watcher = context;
    struct watchers *all = watcher->all;

    (void)pthread_mutex_lock(&all->lock);
    watcher->is_there = true;
    watcher->outcome = response->outcome;
    watcher->http_status = response->status;
    (void)snprintf(watcher->cause, sizeof(watcher->cause), "%s", response->error.cause);
    if (response->outcome == UPSTREAM_ANSWERED)
        buf_add(&watcher->body, response->body);
    (void)pthread_mutex_unlock(&all->lock);
    all->answered.wake(all->answered.context);
}

bool watcher_ask(struct watcher *watcher, struct upstream_request *request, struct error *error)
{
    struct watchers *all = watcher->all;

    request->peer = watcher->peer;
    request->total_timeout_ms = WATCHER_TIMEOUT_MS;
    request->response_max_bytes = watcher->body_max;
    request->done = keep_answer;
    request->context = watcher;
    (void)pthread_mutex_lock(&all->lock);
    watcher->is_there = false;
    buf_clear(&watcher->body);
    if (all->is_stopped)
        (void)error_set(error, ERROR_STOPPING, "the broker is stopping");
    else
        watcher->is_asked = upstream_submit(all->upstream, request, error);
    (void)pthread_mutex_unlock(&all->lock);
    return watcher->is_asked;
}

bool watcher_take(struct watcher *watcher)
{
    bool is_there = false;

    if (!watcher->is_asked)
        return false;
    (void)pthread_mutex_lock(&watcher->all->lock);
    is_there = watcher->is_there;
    (void)pthread_mutex_unlock(&watcher->all->lock);
    watcher->is_asked = !is_there;
    return is_there;
}

void watcher_set_state(struct watcher *watcher, enum watcher_state state, const char *cause)
{
    struct watcher_status *status = &watcher->status;

    (void)pthread_mutex_lock(&watcher->all->lock);
    status->state = state;
    (void)snprintf(status->cause, sizeof(status->cause), "%s", cause);
    (void)pthread_mutex_unlock(&watcher->all->lock);
}

void watcher_set_tree(struct watcher *watcher, uint64_t size, int64_t cosigned_s)
{
    (void)pthread_mutex_lock(&watcher->all->lock);
    watcher->status.size = size;
    watcher->status.cosigned_s = cosigned_s;
    (void)pthread_mutex_unlock(&watcher->all->lock);
}

void watcher_read_status(struct watcher *watcher, struct watcher_status *status)
{
    (void)pthread_mutex_lock(&watcher->all->lock);
    *status = watcher->status;
    (void)pthread_mutex_unlock(&watcher->all->lock);
}
