#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/str.h"

struct error;

/**
 * The client's own P-256 key: made for one exchange, never written anywhere.
 *
 * Threads: confined
 */
struct proof_key;

bool proof_key_new(struct proof_key **key, struct error *error) MUST_USE;
void proof_key_free(struct proof_key *key);

OWNED_POINTER(proof_key_free, struct proof_key)

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
