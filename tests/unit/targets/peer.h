#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/**
 * An HTTP server on a free port of 127.0.0.1 that answers a few requests, one after the other, each
 * on a connection of its own, and keeps what it was asked.
 *
 * Threads: the test's, while peer_start() to peer_stop() a thread of its own
 */
struct peer;

#define PEER_SCRIPTS_MAX 4
#define PEER_REQUEST_MAX ((size_t)32 * 1024)

/** What it does with a request. */
struct peer_script {
    int status; /* 0: close without an answer */
    struct str body;
    size_t promised_more; /* bytes that Content-Length promises and that never come */
};

/** What it was asked, as it came, NUL-terminated; empty where a request did not come. */
struct peer_log {
    char requests[PEER_SCRIPTS_MAX][PEER_REQUEST_MAX];
};

/** The server; its URL is in `url`. The scripts' bodies are borrowed. */
struct peer *peer_start(const struct peer_script *scripts, size_t count, char url[64]);

/** Wait until it is done, or give up where nobody comes any more. */
void peer_stop(struct peer *peer, struct peer_log *log);

/** The body of a request. */
const char *peer_body(const struct peer_log *log, size_t index);

/** A URL of a port of 127.0.0.1 where nobody listens. */
void peer_nobody(char url[64]);
