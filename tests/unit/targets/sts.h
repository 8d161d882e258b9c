#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/**
 * An HTTP server on a free port of 127.0.0.1 that answers one request and keeps what it was asked.
 *
 * Threads: the test's, while sts_start() to sts_stop() a thread of its own
 */
struct sts;

/** What it does with the request. */
struct sts_script {
    int status; /* 0: close without an answer */
    struct str body;
    size_t promised_more; /* bytes that Content-Length promises and that never come */
};

/** The server; its URL is in `url`. The script's body is borrowed. */
struct sts *sts_start(struct sts_script script, char url[64]);

/** Wait until the request is answered; its form, NUL-terminated, in the test's memory. */
void sts_stop(struct sts *sts, char *form, size_t size);

/** A URL of a port of 127.0.0.1 where nobody listens. */
void sts_nobody(char url[64]);
