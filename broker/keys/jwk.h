#pragma once

#include <stdbool.h>

#include <jansson.h>
#include <openssl/evp.h>

#include "base/macros.h"
#include "keys/jose.h"
#include "keys/keys.h"

struct error;

/**
 * Read a public JWK, with all checks of verifier_new(); `*algorithms` gets those of `allowed` that
 * the key can have, one or more: RSA has several where it has no `alg`.
 *
 * Errors: ERROR_INVALID, ERROR_MEMORY, ERROR_CRYPTO
 * Owns:   `*pkey` is the caller's
 */
bool jwk_read(const json_t *jwk, unsigned allowed, unsigned *algorithms, EVP_PKEY **pkey,
              struct error *error) MUST_USE;

/**
 * The public JWK of a key of ours: kty with its numbers, alg, use, and the thumbprint as kid.
 *
 * Owns: `*jwk` is the caller's
 */
bool jwk_write(const EVP_PKEY *pkey, enum key_algorithm kind, json_t **jwk, struct error *error)
    MUST_USE;

/** What a key of ours signs with. */
enum jose_algorithm jwk_algorithm(enum key_algorithm kind);
