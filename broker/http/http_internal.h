#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <microhttpd.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/network.h"
#include "http/http.h"
#include "http/tls.h"

/*
 * How the room is built. Each worker thread drives one libmicrohttpd daemon by itself: the library
 * has no thread of its own, so everything that belongs to a connection (the library's object, ours,
 * its call) is touched by its worker alone and has no lock. Deadlines are a sweep over the worker's
 * connections between two runs of the library. http_resume() is the only way in from other
 * threads: it puts a call into the worker's queue, which the worker empties between two runs too,
 * so a wake that comes before the handler has returned simply lies there until it has.
 */

/** Where a call stands. */
enum call_state {
    CALL_HEAD,     /* its request line was read */
    CALL_BODY,     /* its head is in order, its body is being read */
    CALL_WAITING,  /* its handler waits; the library looks away */
    CALL_ANSWERED, /* the answer is ready, and goes to the library when that asks again */
    CALL_SENDING,
};

/**
 * One request, from its request line to the last byte of its answer.
 *
 * Owns:     lives in `request.arena`
 * Threads:  confined to the worker, but for the two fields of the queue
 */
struct call {
    struct http_request request; /* first: a handler's request is a call */
    struct connection *connection;
    const struct http_route *route; /* once found */
    enum call_state state;
    bool has_body;           /* announced by the head */
    enum error_code refusal; /* the body is still read, and dropped */
    bool is_authorized;      /* who asks may enter the handler */
    bool must_close;         /* no other request after this one */
    struct buf body;
    size_t dropped_bytes; /* of a refused body */

    struct call *next;     /* guarded by the worker's lock; the worker's own once taken */
    atomic_bool is_queued; /* until the worker enters it; set under the worker's lock */
};

/** What we know of the peer's certificate. */
enum client_certificate {
    CLIENT_CERTIFICATE_UNKNOWN, /* not looked at yet */
    CLIENT_CERTIFICATE_NONE,
    CLIENT_CERTIFICATE_VALID,
    CLIENT_CERTIFICATE_INVALID,
};

/** One connection. Threads: confined to its worker */
struct connection {
    struct worker *worker;
    struct MHD_Connection *handle;
    int fd; /* the library's */
    struct address peer;
    struct tls_identity *identity; /* what it was greeted with; NULL without TLS */
    enum client_certificate client;
    uint8_t client_sha256[32];

    struct call *call; /* the one under way, or NULL */
    unsigned request_count;
    int64_t deadline_ns; /* then it is closed, or its waiting call abandoned */

    struct connection *previous, *next; /* of the worker */
};

/** What a worker is asked to do; it only ever goes up. */
enum worker_order {
    WORKER_SERVE,
    WORKER_DRAIN, /* accept no more, finish */
    WORKER_STOP,  /* abandon, and end when nobody holds a call */
};

/** One thread with its daemon. */
struct worker {
    struct http_server *server;
    struct MHD_Daemon *daemon;
    pthread_t thread;
    int epoll_fd; /* the library's */

    struct connection *connections; /* the worker's own, as the next seven */
    size_t connection_count;
    size_t waiting_count;
    bool has_closed;     /* one of them, since the library was run */
    bool has_complained; /* the library, since it was run */
    struct call *taken;  /* out of the queue of resumed ones, to be entered */
    int64_t next_sweep_ns;
    enum worker_order obeyed;

    pthread_mutex_t lock;
    int wake_fd;                /* written under lock */
    struct call *first_resumed; /* guarded by lock */
    struct call *last_resumed;  /* guarded by lock */
    enum worker_order order;    /* guarded by lock */
};

/** The server. Threads: shared; immutable but for what is marked */
struct http_server {
    struct http_options options; /* with the defaults filled in */
    struct tls *tls;             /* NULL for plain HTTP */
    uint16_t port;
    int64_t sweep_ns; /* how often deadlines are looked at */

    struct worker *workers;
    size_t worker_count; /* those that run */

    pthread_mutex_t lock;
    pthread_cond_t has_drained;
    size_t drained_count; /* guarded by lock: workers without connections */
};

/** The library's callbacks. Threads: the worker's */
enum MHD_Result connection_on_request(void *context, struct MHD_Connection *handle, const char *url,
                                      const char *method, const char *version, const char *upload,
                                      size_t *upload_len, void **call);
void connection_on_change(void *context, struct MHD_Connection *handle, void **connection,
                          enum MHD_ConnectionNotificationCode change);
void *connection_on_target(void *context, const char *target, struct MHD_Connection *handle);
void connection_on_completed(void *context, struct MHD_Connection *handle, void **call,
                             enum MHD_RequestTerminationCode how);

/** Let what the connection does now end within `timeout_ms`. */
void connection_set_deadline(struct connection *connection, unsigned timeout_ms);

/** Have the library find the connection closed, and close it. */
void connection_shut(struct connection *connection);

/** A call for a request line that was read; NULL without memory. */
struct call *call_new(struct connection *connection, const char *target);
void call_free(struct call *call);

/** The steps of a call, each when the library comes to it. */
enum MHD_Result call_take_head(struct call *call, const char *method);
enum MHD_Result call_take_body(struct call *call, struct str bytes);
enum MHD_Result call_take_end(struct call *call);

/** Enter the handler of a call that was woken; it may go on waiting. */
void call_enter_again(struct call *call);

/** Tell the handler of a waiting call, once, that nobody waits for its answer any more. */
void call_abandon(struct call *call);

/** Give the answer to the library. */
enum MHD_Result response_send(struct call *call);

/** Start a worker on a listening socket, which it owns then, also on failure. */
bool worker_start(struct worker *worker, struct http_server *server, int listener,
                  struct error *error) MUST_USE;

/** Give it an order. Threads: any */
void worker_tell(struct worker *worker, enum worker_order order);

/** Wait for a worker that was told to stop, and release it. */
void worker_join(struct worker *worker);

/** Take a call out of the queue of resumed ones, if it is there. */
void worker_forget(struct worker *worker, struct call *call);
