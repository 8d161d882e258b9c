#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/macros.h"
#include "base/network.h"
#include "base/str.h"

/**
 * Every HTTP request that we make, on one thread, with its limits.
 *
 * HTTPS only (plain HTTP where the peer's configuration allows it, and then on loopback only); no
 * redirects, proxies, netrc, cookies or content encoding; TLS 1.2+ with AEAD and ECDHE. Addresses
 * are checked after resolution, when the socket is opened: what is not public is refused unless the
 * peer's `networks` contain it. Connections are reused.
 *
 * A host has at most 64 connections; whoever asks it more waits in a queue, and the 2,001st request
 * is not taken. However many hosts hang, others are asked at once.
 *
 * Threads: shared
 * Source:  security-rules.md 3.2, 8.3; libraries.md 5
 */
struct upstream;

#define UPSTREAM_HEADERS_MAX 8

/** What is known of a peer; all pointers outlive the request. */
struct upstream_peer {
    const char *ca_file;            /* NULL: the system's */
    const char *certificate_file;   /* our own, PEM; NULL: we show none */
    const char *key_file;           /* of that certificate */
    const struct network *networks; /* allowed although they are not public */
    size_t network_count;
    bool may_use_http; /* http:// to a loopback address */
};

/** How it ended. */
enum upstream_outcome {
    UPSTREAM_ANSWERED, /* a status came, whatever it says, and its body is whole */
    UPSTREAM_UNSENT,   /* no byte of the request left: the peer knows nothing of it */
    UPSTREAM_UNKNOWN,  /* sent, but no whole answer: it may have happened */
};

struct upstream_response {
    enum upstream_outcome outcome;
    int status;
    struct str body;         /* valid during the callback only */
    struct str content_type; /* likewise; empty where there is none */
    struct str dpop_nonce;   /* likewise: RFC 9449 8 */
    int64_t max_age_s;       /* Cache-Control's; -1 where there is none */
    int64_t retry_after_s;   /* Retry-After's, seconds or a date; 0 where there is none */
    int64_t rate_remaining;  /* [X-]RateLimit-Remaining's; -1 where there is none */
    int64_t rate_reset_s;    /* [X-]RateLimit-Reset's, as it stands; 0 where there is none */
    struct error error;      /* unless UPSTREAM_ANSWERED: ERROR_UNREACHABLE or ERROR_LIMIT */
};

/** Called exactly once, on the upstream thread; must not block. */
typedef void (*upstream_done)(const struct upstream_response *response, void *context);

struct upstream_request {
    const char *method; /* "GET", "POST" */
    const char *url;
    struct str body;
    const char *headers[UPSTREAM_HEADERS_MAX]; /* "Name: value"; ends with NULL or when full */
    struct upstream_peer peer;
    unsigned connect_timeout_ms; /* 0: 2 s */
    unsigned total_timeout_ms;   /* 0: 5 s; four fifths of it at most are for waiting */
    size_t response_max_bytes;   /* 0: 512 KiB */
    upstream_done done;
    void *context;
};

/** Start the thread. */
bool upstream_start(struct upstream **upstream, struct error *error) MUST_USE;

/**
 * End: what is queued or under way is answered first, by how far it came. Nobody else may call by
 * then; callbacks may, and get ERROR_BUSY.
 */
void upstream_stop(struct upstream *upstream);

/**
 * Send a request (GET, POST, PUT, PATCH or DELETE); everything but `peer` and `context` is copied.
 *
 * Errors: ERROR_MEMORY, ERROR_BUSY (too many are under way, or stopping), ERROR_CONFIG (URL,
 * method, header); then `done` is never called
 */
bool upstream_submit(struct upstream *upstream, const struct upstream_request *request,
                     struct error *error) MUST_USE;

/**
 * Send one request and wait for its end: for programs without an upstream thread's callbacks, never
 * from a callback. `done` is called before it returns, on another thread.
 */
bool upstream_call(struct upstream *upstream, const struct upstream_request *request,
                   struct error *error) MUST_USE;

/** Whether a URL is https (or http where `may_use_http`), with host, no user, no fragment. */
bool upstream_url_check(struct str url, bool may_use_http, struct error *error) MUST_USE;

/** The "host[:port]" of a URL that upstream_url_check() accepts. */
struct str upstream_url_host(struct str url);

/** Whether its host is this machine: localhost, or a loopback address. */
bool upstream_url_is_loopback(struct str url);
