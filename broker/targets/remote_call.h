#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"
#include "base/progress.h"
#include "base/str.h"
#include "upstream/upstream.h"

struct mint;

/**
 * One request to a target over HTTP: sent when a step is entered, read when it is entered again.
 *
 * Threads: the step's, then the upstream thread's, then the step's again
 * Owns:    it lives in the step's arena; its body is wiped with it
 */
struct remote_call {
    enum upstream_outcome outcome;
    int status;
    int64_t retry_after_s;
    int64_t rate_remaining; /* -1: it does not say */
    int64_t rate_reset_s;   /* as it stands; 0: it does not say */
    struct error error;     /* unless UPSTREAM_ANSWERED */
    struct buf body;        /* not the arena's, which others may use while we wait */
    struct str key;         /* what showed who asks, where a header did; the request's */
    struct waker waker;
};

/** What is asked. */
struct remote_request {
    const char *who; /* for messages: "STS" */
    const char *method;
    const char *url;
    struct str body;
    const char *headers[UPSTREAM_HEADERS_MAX]; /* they live as long as the arena */
    const struct upstream_peer *peer;          /* outlives the request */
    unsigned total_timeout_ms;                 /* 0: 5 s */
    size_t response_max_bytes;                 /* 0: 64 KiB */
};

/**
 * Send it. The waker is called once the answer is there, perhaps before this returns: `*call` is
 * set before, and nothing of the step may be touched behind a true.
 *
 * Errors: ERROR_MINT (not sent: nothing was asked), ERROR_MEMORY; then `*call` is NULL
 */
bool remote_call_send(struct upstream *upstream, struct waker waker, struct arena *arena,
                      const struct remote_request *request, struct remote_call **call,
                      struct error *error) MUST_USE;

/**
 * The same for a mint whose credential the request makes: from here on it may exist, unless nothing
 * was sent.
 */
bool remote_call_mint(struct mint *mint, const struct remote_request *request,
                      struct remote_call **call, struct error *error) MUST_USE;

/**
 * Whether an answer came whole; else why not.
 *
 * Errors: ERROR_MINT (it was not even asked), ERROR_MINT_UNKNOWN (it may have happened)
 */
bool remote_call_is_answered(const struct remote_call *call, const char *who, struct error *error)
    MUST_USE;

/**
 * What a target says is wrong, for messages: cut to `max`, or a note in its place where it repeats
 * the token that was sent, as a server in between may that tells the whole request.
 */
struct str remote_call_words(const struct remote_call *call, struct str words, size_t max);
