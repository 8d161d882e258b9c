#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "tests/test.h"
#include "tests/unit/upstream/peer.h"
#include "upstream/upstream.h"

/* Requests to peers of a test's own, and what came back. */

#define LOOPBACK "http://127.0.0.1"

/** What came back, in storage that outlives the callback. */
struct answer {
    enum upstream_outcome outcome;
    int status;
    char body[256];
    size_t body_len;
    char content_type[64];
    int64_t max_age_s;
    int64_t retry_after_s;
    int64_t rate_remaining;
    int64_t rate_reset_s;
    struct error error;
    unsigned count;
};

/** Of all tests of a program; as cmocka's group set-up. */
extern struct upstream *upstream;

int upstream_begin(void **state);
int upstream_end(void **state);

/** A request of plain HTTP to a peer of ours; the caller changes what it is about. */
struct upstream_request request_of(const char *method, const char *url);
struct answer call(struct upstream_request request);
struct answer get(struct peer *peer, const char *path);

/* What peers do. */
bool answer_hello(struct peer *peer, int fd, const char *request, void *context);
bool answer_never(struct peer *peer, int fd, const char *request, void *context);
