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

/**
 * A DPoP proof that its bearer holds the key: for one request, by `method` to `url` (without
 * query).
 *
 * Errors: ERROR_CRYPTO, ERROR_MEMORY
 * Source: RFC 9449 4.2
 */
bool proof_key_prove(const struct proof_key *key, const char *method, struct str url, int64_t now_s,
                     struct arena *arena, struct str *proof, struct error *error) MUST_USE;
