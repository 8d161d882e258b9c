#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "base/macros.h"
#include "base/str.h"

struct error;

/**
 * A public key that verifies signatures of one JOSE algorithm family, with kept EVP contexts.
 *
 * Contexts are pooled: each call takes one and gives it back, so no call initialises one anew after
 * warm-up, whichever thread it is on (libraries.md 2).
 *
 * Threads: shared
 */
struct verifier;

/** A bit set of JOSE algorithms. */
enum jose_algorithm {
    JOSE_RS256 = 1 << 0,
    JOSE_ES256 = 1 << 1,
    JOSE_EDDSA = 1 << 2,
};

/** The bit of "RS256", "ES256", "EdDSA" byte for byte; 0 for anything else. */
unsigned jose_algorithm_from(struct str name);
const char *jose_algorithm_name(enum jose_algorithm algorithm);

/**
 * Make one from a public JWK.
 *
 * Refused: private members, `oct`, RSA outside 2048 to 8192 bits or with e even, < 65537 or >=
 * 2^32, points off the curve or of low order, `use` other than sig, `key_ops` without verify, an
 * `alg` that does not fit kty and crv, an algorithm outside `allowed`.
 *
 * Errors: ERROR_INVALID, ERROR_MEMORY, ERROR_CRYPTO
 * Source: RFC 7517, 7518 6, 8037; security-rules.md 3.3
 */
bool verifier_new(const json_t *jwk, unsigned allowed, struct verifier **verifier,
                  struct error *error) MUST_USE;
void verifier_free(struct verifier *verifier);

OWNED_POINTER(verifier_free, struct verifier)

/** The algorithm it verifies. */
enum jose_algorithm verifier_algorithm(const struct verifier *verifier);

/**
 * Verify a raw JOSE signature (ECDSA: r||s of the curve's exact length, in range).
 *
 * Errors: ERROR_INVALID (does not verify), ERROR_CRYPTO, ERROR_MEMORY
 */
bool verifier_check(struct verifier *verifier, struct str message, struct str signature,
                    struct error *error) MUST_USE;

/** RFC 7638 thumbprint of a JWK: base64url text, 43 characters and a NUL. */
bool jwk_thumbprint(const json_t *jwk, char out[44], struct error *error) MUST_USE;
