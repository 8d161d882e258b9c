#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/macros.h"
#include "base/str.h"
#include "keys/crypto_pool.h"
#include "keys/key_folder.h"
#include "keys/keys.h"

struct error;

/** A key of ours that signs. Threads: shared */
struct key {
    enum key_algorithm algorithm;
    struct crypto_pool pool;
};

/**
 * Read a private key from PEM, which must be of the algorithm (RSA: 2048 to 4096 bits),
 * unencrypted, and sign what its public half verifies.
 *
 * Errors: ERROR_CONFIG (not such a key), ERROR_MEMORY, ERROR_CRYPTO
 */
bool key_from_pem(struct str pem, enum key_algorithm algorithm, struct key **key,
                  struct error *error) MUST_USE;
void key_free(struct key *key);

OWNED_POINTER(key_free, struct key)

/** Generate a key and write it to a file that must not be there. Hold the folder's lock. */
bool key_make(const struct key_folder *folder, const char *name, enum key_algorithm algorithm,
              struct error *error) MUST_USE;

/** Read a key's file; `*key` stays NULL where there is none. */
bool key_load(const struct key_folder *folder, const char *name, enum key_algorithm algorithm,
              struct key **key, struct error *error) MUST_USE;

/** The public half as text: an OpenSSH line with `comment`, for RSA a PEM SubjectPublicKeyInfo. */
bool key_public_text(const struct key *key, struct str comment, struct buf *out,
                     struct error *error) MUST_USE;
