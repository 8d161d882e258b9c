#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <curl/curl.h>

#include "base/buf.h"
#include "base/macros.h"
#include "upstream/upstream.h"

/** A longer nonce than this counts as none. */
#define TRANSFER_NONCE_MAX 256

struct transfer_method;
struct upstream_host;

enum transfer_state {
    TRANSFER_WAITS,  /* for a connection to its host */
    TRANSFER_RUNS,   /* curl works on it */
    TRANSFER_FAILED, /* curl could not be given it */
};

/**
 * One request on its way: curl's handle, what it sends, what came back, and whether it left.
 *
 * Threads: confined; made by the caller's thread, handed to the upstream thread
 */
struct transfer {
    CURL *easy; /* NULL until it runs */
    enum transfer_state state;
    struct transfer *previous; /* in the list of the one who has it */
    struct transfer *next;
    struct upstream_host *host;        /* that it is sent to */
    struct transfer *waiting_previous; /* among those that wait there */
    struct transfer *waiting_next;

    /* what is sent */
    struct buf url;
    struct buf body;
    struct curl_slist *headers;
    struct upstream_peer peer;
    struct str host_name; /* of `url`: all that a message says of it */
    bool is_plain_http;
    const struct transfer_method *method;
    unsigned connect_timeout_ms;
    int64_t end_ns;      /* on clock_monotonic_ns(): when it must have been answered */
    int64_t deadline_ns; /* the same, but while it waits for a connection: when it must have one */

    /* what happened */
    const char *refused; /* why a callback of ours ended it, or NULL */
    bool is_ready;       /* a connection was there: the request may have left */
    struct buf answer;
    size_t head_bytes;
    int64_t announced_len; /* Content-Length; -1 where none came yet */
    int64_t max_age_s;
    char dpop_nonce[TRANSFER_NONCE_MAX]; /* its first dpop_nonce_len bytes */
    size_t dpop_nonce_len;
    int64_t rate_remaining; /* -1 where none came */
    int64_t rate_reset_s;   /* 0 where none came */

    upstream_done done;
    void *context;
};

/**
 * Prepare a request; copies what the request says is copied.
 *
 * Errors: ERROR_CONFIG (URL, method, header), ERROR_MEMORY
 */
bool transfer_new(const struct upstream_request *request, struct transfer **transfer,
                  struct error *error) MUST_USE;
void transfer_free(struct transfer *transfer);

/**
 * Have curl prepare it, once there is a connection to be had: what only waits costs little. False
 * without memory.
 */
bool transfer_open(struct transfer *transfer) MUST_USE;

OWNED_POINTER(transfer_free, struct transfer)

/** Tell the end to whoever asked: `code` is curl's result. */
void transfer_finish(struct transfer *transfer, CURLcode code);
