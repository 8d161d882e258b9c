#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/macros.h"
#include "base/str.h"
#include "identity/key_set_internal.h"
#include "upstream/upstream.h"

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

/** The steps of a fetch, in order. */
enum key_fetch_step {
    KEY_FETCH_DISCOVERY, /* a whole 200; the URL that was asked */
    KEY_FETCH_ISSUER,    /* the document names the issuer */
    KEY_FETCH_KEYS_URL,  /* `jwks_uri` may be asked; it */
    KEY_FETCH_KEYS,      /* a whole 200; the URL that was asked */
    KEY_FETCH_STEP_COUNT
};

/** Who is told of each step that a fetch passed, on the upstream thread, before its end. */
struct key_fetch_observer {
    void (*passed)(enum key_fetch_step step, struct str detail, void *context);
    /** The peer of this step answered nothing whole; its end follows. */
    void (*unreachable)(void *context);
    struct key_visitor keys;
    void *context;
};

/** What to do when a fetch ends, and for people who want to see how. */
struct key_fetch_listener {
    key_fetch_done done;
    const struct key_fetch_observer *observer; /* NULL: nobody looks */
    void *context;                             /* of `done` */
};

/**
 * Fetch an issuer's discovery document and, from where it points, the key set.
 *
 * Errors: as upstream_submit(); `done` is never called then
 * Source: OpenID Connect Discovery 1.0 4; security-rules.md 3.2
 */
bool key_fetch_start(struct upstream *upstream, const struct key_location *location,
                     struct key_fetch_listener listener, struct error *error) MUST_USE;
