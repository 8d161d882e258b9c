#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/macros.h"
#include "base/progress.h"
#include "base/str.h"
#include "upstream/upstream.h"

struct error;

/**
 * Who watches the log from outside, a witness or a mirror: it is asked on the publisher's thread,
 * answers on the upstream's, and how it stands is read by any.
 *
 * Threads: confined to the publisher's, but where it says otherwise
 */

#define WATCHER_TIMEOUT_MS 5000

/** How it stands with one. */
enum watcher_state {
    WATCHER_UNASKED,
    WATCHER_GOOD,    /* its last answer was what is hoped for */
    WATCHER_FAILING, /* no answer, or one that is of no use */
    WATCHER_CONFLICT /* it says that it saw another log by our name, or one longer than the store */
};

struct watcher_status {
    struct str name; /* the configuration's */
    enum watcher_state state;
    uint64_t size;      /* of the tree that it has: a witness, that it cosigned last */
    int64_t cosigned_s; /* when a witness did; 0: never */
    char cause[256];    /* of what failed */
};

/** What all of a kind share. */
struct watchers {
    struct upstream *upstream;
    struct waker answered; /* called on the upstream thread */
    pthread_mutex_t lock;
    bool is_stopped; /* guarded by lock */
};

struct watcher {
    struct watchers *all;
    struct upstream_peer peer;
    size_t body_max;
    bool is_asked;

    /* its answer: guarded by lock until it is there, then the publisher's until it is asked again
     */
    bool is_there;
    enum upstream_outcome outcome;
    int http_status;
    struct buf body;
    char cause[256];

    struct watcher_status status; /* guarded by lock */
};

/** Errors: ERROR_MEMORY */
bool watchers_init(struct watchers *watchers, struct upstream *upstream, struct waker answered,
                   struct error *error) MUST_USE;
/** After the end of the upstream thread. */
void watchers_release(struct watchers *watchers);
/** Send nothing any more. Threads: any */
void watchers_stop(struct watchers *watchers);

/** `name` outlives it; an answer has at most `body_max` bytes. */
void watcher_init(struct watcher *watcher, struct watchers *all, struct str name,
                  const struct upstream_peer *peer, size_t body_max);
void watcher_release(struct watcher *watcher);

/**
 * Send a request, whose peer, limits and callback are set here; it is asked then.
 *
 * Errors: ERROR_STOPPING, those of upstream_submit()
 */
bool watcher_ask(struct watcher *watcher, struct upstream_request *request, struct error *error)
    MUST_USE;

/** Whether one that is asked has answered; then it is asked no more, and its answer is whole. */
bool watcher_take(struct watcher *watcher);

void watcher_set_state(struct watcher *watcher, enum watcher_state state, const char *cause);

/** The size of the tree that it has, and when a witness cosigned it (a mirror: 0). */
void watcher_set_tree(struct watcher *watcher, uint64_t size, int64_t cosigned_s);

/** How it stands. Threads: any */
void watcher_read_status(struct watcher *watcher, struct watcher_status *status);
