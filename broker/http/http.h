#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/network.h"
#include "base/progress.h"
#include "base/str.h"

struct error;

/**
 * The HTTP server: one single-threaded libmicrohttpd daemon a core on one port.
 *
 * Framing, limits, deadlines, exact routing and TLS are done here; a handler sees whole requests
 * that fit their route. Nothing in a handler blocks: what must wait returns PROGRESS_WAIT and is
 * entered again, on the same thread, after http_resume().
 *
 * Source: design.md 4 "Threads", security-rules.md 1
 */
struct http_server;
struct http_request;

/** The largest head of a request: request line and header fields, bytes; else 431 or 414. */
#define HTTP_HEAD_BYTES_MAX ((size_t)16 * 1024)

/** The most header fields; else 431. */
#define HTTP_FIELDS_MAX 100

/** The longest request target, bytes (RFC 9112 3 asks for 8000 at least); else 414. */
#define HTTP_TARGET_BYTES_MAX ((size_t)8000)

/** Which body a route takes. A query is refused by all but HTTP_BODY_QUERY. */
enum http_body {
    HTTP_BODY_NONE,  /* a body is refused */
    HTTP_BODY_FORM,  /* application/x-www-form-urlencoded, charset utf-8 allowed */
    HTTP_BODY_JSON,  /* application/json */
    HTTP_BODY_QUERY, /* a body is refused, but `query` is read */
};

/**
 * Answer a request: fill `request->response` (see http_answer_*) and return PROGRESS_DONE; or start
 * something, remember it in `request->state`, and return PROGRESS_WAIT.
 *
 * Entered for the first time with `state` NULL, and again after every http_resume(), then with
 * `request->is_woken`. With `request->is_abandoned` the peer is gone or the deadline passed: let go
 * of what waits, return PROGRESS_DONE if nothing holds the request any more, PROGRESS_WAIT while
 * something does. The first of these entries comes at any moment, without `is_woken`, while whoever
 * was asked may be at work on what `state` points at. PROGRESS_FAILED is a programming error here.
 *
 * Threads: one of the server's threads, always the same for one request
 */
typedef enum progress (*http_handle)(struct http_request *request, void *context);

/**
 * A row of the route table.
 *
 * A row of GET answers HEAD too. A path is exact, or a prefix that ends in "/" + "*". What the "*"
 * stands for is `request->rest`: segments of [A-Za-z0-9._~-] between single slashes, none of them
 * "." or "..".
 */
struct http_route {
    const char *method;
    const char *path;
    size_t body_max_bytes;
    enum http_body body;
    unsigned roles; /* bits for `authorize`; 0: whoever asks */
    http_handle handle;
};

/**
 * Find out who asks, for a route that has roles: entered before its handler, and in the same way.
 *
 * PROGRESS_DONE lets the handler run, unless it filled in an answer: that is a refusal. What it
 * found out stands in `request->caller`; `request->state` is the handler's own again.
 */
typedef enum progress (*http_authorize)(struct http_request *request, unsigned roles,
                                        void *context);

#define HTTP_HEADERS_MAX 8

struct http_header {
    const char *name; /* static */
    struct str value; /* in the request's arena, or static */
};

struct http_response {
    int status;
    const char *content_type; /* static */
    struct str body;          /* in the request's arena, or static */
    struct http_header headers[HTTP_HEADERS_MAX];
    size_t header_count;
    bool is_cacheable; /* else Cache-Control: no-store is added */
};

struct http_request {
    struct arena *arena; /* freed after the answer was sent; wiped */
    struct str method;
    struct str path;  /* raw, as on the request line, without the query */
    struct str query; /* raw, what is behind the "?"; empty where there is none */
    struct str rest;  /* what a prefix route's "*" stands for */
    struct str body;
    struct address peer;
    struct http_response response;
    void *caller;       /* who asks, as `authorize` left it; NULL where the route has no roles */
    void *state;        /* the handler's */
    bool is_woken;      /* this entry follows an http_resume() */
    bool is_abandoned;  /* see http_handle */
    int64_t started_ns; /* clock_monotonic_ns() */
};

/** How a server is set up; zero numbers take the defaults of security-rules.md 1. */
struct http_options {
    struct str address; /* "127.0.0.1", "::1", "0.0.0.0" */
    uint16_t port;      /* 0 takes a free one */
    unsigned thread_count;
    const struct http_route *routes;
    size_t route_count;
    http_authorize authorize;     /* mandatory where a route has roles */
    void *context;                /* for the handlers */
    const char *certificate_file; /* PEM chain; NULL is plain HTTP */
    const char *key_file;
    const char *client_ca_file;           /* client certificates are asked for; NULL: not */
    unsigned connections_max;             /* shared evenly among the threads */
    unsigned connections_per_address_max; /* on each thread; 0: no limit (CI runners share NATs) */
    unsigned header_timeout_ms;           /* from the connection, or the next request line, on */
    unsigned body_timeout_ms;
    unsigned idle_timeout_ms;    /* between two requests */
    unsigned request_timeout_ms; /* from the request line to the answer */
    unsigned write_timeout_ms;   /* from the answer to its last byte */
    unsigned requests_per_connection_max;
};

/**
 * Bind and start.
 *
 * Errors: ERROR_IO (port in use, address; the cause names it), ERROR_CONFIG (certificate or key)
 * Owns:   `*server`; borrows what `options` points at until http_stop()
 */
bool http_start(const struct http_options *options, struct http_server **server,
                struct error *error) MUST_USE;

/** The port it listens on. */
uint16_t http_port(const struct http_server *server);

/** When the certificate that new connections get ends, in seconds since 1970; 0: plain HTTP.
 * Threads: any. */
int64_t http_certificate_end_s(const struct http_server *server);

/** Load certificate and key anew for new connections; a broken pair keeps the old. Threads: any. */
bool http_reload_certificate(struct http_server *server, struct error *error) MUST_USE;

/** Accept no more, let what is under way finish for at most `timeout_ms`. */
void http_drain(struct http_server *server, unsigned timeout_ms);

/**
 * End: after it no handler runs.
 *
 * Requests that wait are abandoned. What somebody else still holds is waited for without limit, so
 * stop the server before the threads that call http_resume(). Accepts NULL.
 */
void http_stop(struct http_server *server);

/**
 * Have the handler of a waiting request entered again.
 *
 * It may come before the handler has returned PROGRESS_WAIT. It is the caller's last act with the
 * request.
 *
 * Threads: any
 */
void http_resume(struct http_request *request);

/** http_resume() as a `struct waker`: `wake(context)` resumes `request`. */
struct waker http_waker(struct http_request *request);

/**
 * How many header fields of that name came; `*value` is the first. Names without case.
 *
 * Owns: `*value` points into the request and lives as long
 */
size_t http_header_get(const struct http_request *request, const char *name, struct str *value);

/** SHA-256 of the verified client certificate; false where none came or TLS is not ours. */
bool http_client_certificate(const struct http_request *request, uint8_t sha256[32]) MUST_USE;

/**
 * Add a header field to the answer; what does not fit in HTTP_HEADERS_MAX is a program error.
 *
 * 429 and 503 get Retry-After, and all answers nosniff and no-store, without being asked.
 */
void http_add_header(struct http_request *request, const char *name, struct str value);

/** Fill in the answer: these return PROGRESS_DONE, so that a handler can end with them. */
enum progress http_answer_json(struct http_request *request, int status, json_t *take_json);

/** An answer of any type; `body` is in the request's arena, or static. */
enum progress http_answer_text(struct http_request *request, int status, const char *content_type,
                               struct str body);

/** application/problem+json of an error's row and its message (RFC 9457). */
enum progress http_answer_problem(struct http_request *request, const struct error *error);
