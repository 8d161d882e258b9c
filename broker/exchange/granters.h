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
 * of each of them the claims of person_keep_claims(). They are sealed in the private part of their
 * own entry and nowhere else, so that they are erased with what else it says of them; then nobody
 * knows any more. What comes behind names the entry of the last grant in `granted_before`: so one
 * leads to the next.
 */
#define GRANTERS_MEMBER "granters"

/** Who gave an approval, and where that stands. */
struct granters {
    const json_t *list; /* NULL: nobody knows */
    int64_t entry;      /* of the last grant; negative: not known */
};

/**
 * Put somebody's claims into the private part of the entry by which they grant it.
 *
 * Errors: ERROR_LIMIT (more than 8 KiB), ERROR_MEMORY, ERROR_CRYPTO
 */
bool granters_put(struct keys *keys, struct str approval, json_t *claims, json_t *private_part,
                  struct error *error) MUST_USE;

/** Name the entry of the last grant (negative: none) in one that comes behind. False without
 * memory. */
bool granters_put_before(json_t *entry, int64_t granted) MUST_USE;

/**
 * Read all who gave it, from the entry that changed it last to that of the first of them. Without
 * them `entry` may be known still.
 *
 * Errors: ERROR_NOT_FOUND (some of them are erased), ERROR_INVALID (not ours, or not of this
 *         approval), ERROR_LEDGER, ERROR_IO, ERROR_MEMORY
 * Owns:   `granters->list` lives in `arena`
 */
bool granters_read(struct ledger *ledger, struct keys *keys, const struct store_approval *row,
                   struct arena *arena, struct granters *granters, struct error *error) MUST_USE;

/** Whether reading them failed for what may be over soon, and not as nobody knows them any more. */
bool granters_failed(const struct error *why);

/**
 * Read those of one private part, as the ledger gives it: a list.
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
