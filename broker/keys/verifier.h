#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "base/macros.h"
#include "base/str.h"
#include "keys/jose.h"

struct error;

/**
 * A public key that verifies signatures of the JOSE algorithms it may be used for, with kept EVP
 * contexts: one algorithm, but for RSA keys that do not say theirs.
 *
 * Contexts are pooled: each call takes one and gives it back, so no call initialises one anew after
 * warm-up, whichever thread it is on (libraries.md 2).
 *
 * Threads: shared
 */
struct verifier;

/**
 * Make one from a public JWK, for those of `allowed` (enum jose_algorithm bits) that the key's kty
 * and crv can have, and its `alg` where it says one.
 *
 * Refused: private members, `oct`, RSA outside 2048 to 8192 bits or with e even, < 65537 or >=
 * 2^32, points off the curve or of low order, `use` other than sig or jwt-svid, `key_ops` without
 * verify, an `alg` that does not fit kty and crv, a key without an algorithm in `allowed`.
 *
 * Errors: ERROR_INVALID, ERROR_MEMORY, ERROR_CRYPTO
 * Source: RFC 7517, 7518 6, 8037; security-rules.md 3.3
 */
bool verifier_new(const json_t *jwk, unsigned allowed, struct verifier **verifier,
                  struct error *error) MUST_USE;
void verifier_free(struct verifier *verifier);

OWNED_POINTER(verifier_free, struct verifier)

/** The algorithms it verifies, enum jose_algorithm bits. */
unsigned verifier_algorithms(const struct verifier *verifier);

/**
 * Verify a raw JOSE signature of one algorithm (ECDSA: r||s of the curve's exact length, in range;
 * PSS: the salt as long as the digest, MGF1 with the same one).
 *
 * Errors: ERROR_INVALID (does not verify, not an algorithm of this key), ERROR_CRYPTO, ERROR_MEMORY
 * Source: RFC 7518 3.3 to 3.5, RFC 8037 3.1
 */
bool verifier_check(struct verifier *verifier, unsigned algorithm, struct str message,
                    struct str signature, struct error *error) MUST_USE;

/** RFC 7638 thumbprint of a JWK: base64url text, 43 characters and a NUL. */
bool jwk_thumbprint(const json_t *jwk, char out[44], struct error *error) MUST_USE;
