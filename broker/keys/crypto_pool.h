#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>

#include "base/macros.h"
#include "base/str.h"
#include "keys/jose.h"
#include "keys/keys.h"

struct error;

/** Contexts that wait for their next use, at most: more threads than that make one a call. */
#define CRYPTO_POOL_IDLE_MAX 32

struct scheme; /* how an algorithm uses OpenSSL */

enum crypto_direction {
    CRYPTO_SIGN,
    CRYPTO_VERIFY,
};

/**
 * A key with EVP contexts that are kept between calls, for one algorithm and one direction.
 *
 * A context of its own a call would cost implicit fetches, which take OpenSSL's locks. What a
 * failed call leaves behind in a context is thrown away with it.
 *
 * Threads: shared
 */
struct crypto_pool {
    EVP_PKEY *pkey;
    const struct scheme *scheme;
    enum crypto_direction direction;
    size_t signature_len;

    pthread_mutex_t lock;
    void *idle[CRYPTO_POOL_IDLE_MAX]; /* guarded by lock */
    size_t idle_count;                /* guarded by lock */
};

/**
 * Set it up, with a first context, so that a key which cannot do the work is found here. `pkey` is
 * of the type and on the curve that the algorithm needs.
 *
 * Errors: ERROR_CRYPTO
 * Owns:   takes a reference of its own of `pkey`
 */
bool crypto_pool_init(struct crypto_pool *pool, EVP_PKEY *pkey, enum jose_algorithm algorithm,
                      enum crypto_direction direction, struct error *error) MUST_USE;
void crypto_pool_release(struct crypto_pool *pool);

OWNED_VALUE(crypto_pool_release, struct crypto_pool)

/** Sign (RSA: keys of at most 4096 bits), in JOSE's form of the signature. Errors: ERROR_CRYPTO */
bool crypto_pool_sign(struct crypto_pool *pool, struct str message,
                      uint8_t signature[KEY_SIGNATURE_MAX], size_t *signature_len,
                      struct error *error) MUST_USE;

/** Verify a signature in JOSE's form. Errors: ERROR_INVALID (does not verify), ERROR_CRYPTO */
bool crypto_pool_verify(struct crypto_pool *pool, struct str message, struct str signature,
                        struct error *error) MUST_USE;
