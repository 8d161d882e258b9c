#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "base/macros.h"
#include "base/str.h"
#include "ledger/ledger.h"

struct arena;
struct error;
struct keys;
struct verified_token;

/**
 * Who gave an approval, as far as it takes to see later that the run which uses it is not theirs:
 * for each of them the claims of person_keep_claims(). Sealed in the private part of the entry that
 * changed the approval last, so that they can be erased; then nobody knows any more.
 */
#define GRANTERS_MEMBER "granters"

/**
 * Put those of before (an array, or NULL) and one more (an object, or NULL) into a private part.
 *
 * Errors: ERROR_LIMIT (more than 8 KiB), ERROR_MEMORY, ERROR_CRYPTO
 */
bool granters_put(struct keys *keys, struct str approval, const json_t *before, json_t *claims,
                  json_t *private_part, struct error *error) MUST_USE;

/**
 * Read them from a private part, as the ledger gives it.
 *
 * Errors: ERROR_NOT_FOUND (erased, or there are none), ERROR_INVALID (not sealed by us for this
 *         approval), ERROR_MEMORY
 * Owns:   `*granters` lives in `arena`
 */
bool granters_open(struct keys *keys, struct str private_part, struct str approval,
                   struct arena *arena, const json_t **granters, struct error *error) MUST_USE;

/**
 * How a person, by their token, is told from others who grant the same approval: the same person of
 * the same provider gives the same, of another approval another. Errors: ERROR_MEMORY
 */
bool granters_name(const struct keys *keys, struct str approval,
                   const struct verified_token *person, uint8_t who[STORE_PERSON_LEN],
                   struct error *error) MUST_USE;
