#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/macros.h"
#include "base/str.h"

struct error;

/**
 * The client's own P-256 key: made for one exchange. It is written nowhere but where the lease that
 * is bound to it is to be renewed by another process (aws_cache.h).
 *
 * Threads: confined
 */
struct proof_key;

/** What proof_key_write() writes at most. */
#define PROOF_KEY_TEXT_MAX ((size_t)512)

bool proof_key_new(struct proof_key **key, struct error *error) MUST_USE;
void proof_key_free(struct proof_key *key);

OWNED_POINTER(proof_key_free, struct proof_key)

/** Append the key itself, in base64url: a secret. Errors: ERROR_CRYPTO, ERROR_MEMORY */
bool proof_key_write(const struct proof_key *key, struct buf *text, struct error *error) MUST_USE;

/** Read what proof_key_write() wrote. Errors: ERROR_SYNTAX, ERROR_MEMORY, ERROR_CRYPTO */
bool proof_key_read(struct str text, struct proof_key **key, struct error *error) MUST_USE;

/** The RFC 7638 thumbprint of the key, ended by a NUL. */
void proof_key_thumbprint(const struct proof_key *key, char thumbprint[44]);

/** The one request that a proof is for. */
struct proof_request {
    const char *method;
    struct str url; /* without query */
    int64_t now_s;
    struct str nonce; /* that the broker gave; empty: none */
};

/**
 * A DPoP proof that the sender of a request holds the key.
 *
 * Errors: ERROR_CRYPTO, ERROR_MEMORY
 * Source: RFC 9449 4.2
 */
bool proof_key_prove(const struct proof_key *key, const struct proof_request *request,
                     struct arena *arena, struct str *proof, struct error *error) MUST_USE;
