#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/digest.h"
#include "base/macros.h"
#include "base/str.h"

struct dpop_nonces;
struct error;

/** How long a proof may be shown after its `iat`. */
#define DPOP_AGE_MAX_S 60

/** The longest `jti`, bytes. It is never kept: what marks a proof is a hash. */
#define DPOP_ID_MAX 256

/** What a DPoP proof is checked against. */
struct dpop_options {
    struct str method;
    struct str url; /* of the endpoint, from our configuration, never from the request */
    int64_t now_s;
    int64_t leeway_s;
    struct str access_token; /* that came along: `ath` must be its hash; empty: none came */
    const struct dpop_nonces *nonces; /* NULL: `nonce` is not looked at */
    bool needs_nonce;                 /* one of `nonces` must be there; else it may be */
};

/** What a proof proves. */
struct dpop_proof {
    char thumbprint[44];      /* RFC 7638, of the key that its sender holds */
    uint8_t mark[SHA256_LEN]; /* of single use: hash over thumbprint and `jti` */
    int64_t expires_s;        /* from then on it is too old by itself */
};

/**
 * Check a DPoP proof: `typ`, `alg` (ES256, EdDSA, Ed25519), public `jwk`, signature, `htm`, `htu`,
 * `iat` within DPOP_AGE_MAX_S past and the leeway ahead, `jti`, `ath`, `nonce`.
 *
 * URLs are compared as RFC 3986 6.2.2 and 6.2.3 say, without query and fragment. That a proof is
 * shown once only is the caller's to see to, by its mark.
 *
 * Errors: ERROR_DPOP; ERROR_DPOP_NONCE where all is well but the nonce, which is missing, not ours
 *         or stale; ERROR_MEMORY
 * Source: RFC 9449 4.3, 8
 */
bool dpop_check(struct str proof, const struct dpop_options *options, struct arena *arena,
                struct dpop_proof *checked, struct error *error) MUST_USE;
