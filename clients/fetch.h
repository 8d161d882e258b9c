#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/network.h"
#include "base/str.h"
#include "upstream/upstream.h"

struct error;

/** What came back. `body` is in the arena of the call. */
struct fetch_answer {
    int status;
    struct str body;
    struct str dpop_nonce; /* or empty */
};

/**
 * Let a request reach any address: the client's peers come from its own command line and its job's
 * environment. Plain HTTP stays for loopback addresses.
 */
bool fetch_peer_init(struct upstream_peer *peer, const char *ca_file, struct arena *arena,
                     struct error *error) MUST_USE;

/**
 * Send a request and wait for its answer.
 *
 * `done` and `context` of the request are ignored. Errors name the request's URL without its query.
 *
 * Errors: ERROR_UNREACHABLE, ERROR_LIMIT (the answer is too large), ERROR_MEMORY, ERROR_CONFIG
 * (URL)
 */
bool fetch(struct upstream *upstream, const struct upstream_request *request, struct arena *arena,
           struct fetch_answer *answer, struct error *error) MUST_USE;
