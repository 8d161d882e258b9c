#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/macros.h"
#include "base/str.h"
#include "upstream/upstream.h"

struct key_set;

/** Where an issuer's keys are to be had; must outlive a fetch. */
struct key_location {
    const char *issuer;      /* its URL */
    const struct str *hosts; /* further "host" or "host:port" that `jwks_uri` may be on */
    size_t host_count;
    struct upstream_peer peer;
    unsigned algorithms;
};

/**
 * The end of a fetch, on the upstream thread: a set, which is the callee's then, or NULL and why.
 * `max_age_s` is what the issuer says of its life, -1 for nothing.
 */
typedef void (*key_fetch_done)(struct key_set *take_set, int64_t max_age_s, const struct error *why,
                               void *context);

/**
 * Fetch an issuer's discovery document and, from where it points, the key set.
 *
 * Errors: as upstream_submit(); `done` is never called then
 * Source: OpenID Connect Discovery 1.0 4; security-rules.md 3.2
 */
bool key_fetch_start(struct upstream *upstream, const struct key_location *location,
                     key_fetch_done done, void *context, struct error *error) MUST_USE;
