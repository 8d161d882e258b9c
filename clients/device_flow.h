#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/progress.h"
#include "base/str.h"
#include "upstream/upstream.h"

struct error;

/** Seconds between two polls that a provider may ask for; what is outside is clamped. */
#define DEVICE_INTERVAL_MIN_S 1
#define DEVICE_INTERVAL_MAX_S 60
#define DEVICE_INTERVAL_DEFAULT_S 5

/** How long anybody waits for a person, whatever the provider says. */
#define DEVICE_WAIT_MAX_S 1800

/**
 * A login at an OpenID provider without a browser of our own.
 *
 * Fill in the first group; device_flow_begin() fills in the rest. Texts are in `arena`.
 *
 * Threads: confined
 * Source:  RFC 8628
 */
struct device_flow {
    struct upstream *upstream;
    struct upstream_peer peer;
    struct arena *arena;
    struct str issuer;
    struct str client_id;
    struct str scope;

    struct str token_endpoint;
    struct str device_code; /* a secret between us and the provider */
    struct str user_code;   /* for the person to type */
    struct str verification_uri;
    struct str verification_uri_complete; /* empty where there is none */
    int64_t interval_s;
    int64_t expires_in_s;
};

/**
 * Find the provider's endpoints and ask for a code. Its URLs are https, or http on loopback.
 *
 * Errors: ERROR_UNREACHABLE, ERROR_INVALID (another issuer, no such flow, an answer that is none),
 *         ERROR_REFUSED (it does not know the client or scope), ERROR_MEMORY
 */
bool device_flow_begin(struct device_flow *flow, struct error *error) MUST_USE;

/**
 * Ask once whether the person is done: PROGRESS_WAIT while not, after which `interval_s` is to pass
 * before the next time; it grows where the provider wants that, and where it does not answer.
 *
 * Errors: ERROR_REFUSED (denied, or too late), ERROR_INVALID, ERROR_MEMORY
 */
enum progress device_flow_poll(struct device_flow *flow, struct str *id_token, struct error *error);

/** What an answer of the device authorization endpoint says; see device_flow_begin(). */
bool device_flow_read_codes(struct device_flow *flow, int status, struct str body,
                            struct error *error) MUST_USE;

/** What an answer of the token endpoint says; see device_flow_poll(). */
enum progress device_flow_read_token(struct device_flow *flow, int status, struct str body,
                                     struct str *id_token, struct error *error);
