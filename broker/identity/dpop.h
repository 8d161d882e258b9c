#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/str.h"

struct error;

/** What a DPoP proof is checked against. */
struct dpop_options {
    struct str method;
    struct str url; /* of the endpoint, from our configuration, never from the request */
    int64_t now_s;
    int64_t leeway_s;
};

/**
 * Check a DPoP proof: `typ`, `alg` (ES256, EdDSA, Ed25519), public `jwk`, signature, `htm`, `htu`,
 * `iat` within 60 s past and the leeway ahead, `jti`.
 *
 * `thumbprint` gets the key's RFC 7638 thumbprint.
 *
 * Errors: ERROR_DPOP, ERROR_MEMORY
 * Source: RFC 9449 4.3
 */
bool dpop_check(struct str proof, const struct dpop_options *options, struct arena *arena,
                char thumbprint[44], struct error *error) MUST_USE;
