#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/str.h"
#include "keys/key.h"
#include "keys/key_folder.h"
#include "keys/keys.h"
#include "keys/verifier.h"

struct error;

/** Keys of one algorithm that are published: last, current, next. */
#define ISSUER_PUBLISHED_MAX ((size_t)3)
/** ES256 and RS256: who changes the algorithm still has the other one's keys. */
#define ISSUER_ALGORITHMS ((size_t)2)

/** Which keys of an algorithm to publish, and which of them signs; times of making, ascending. */
struct issuer_plan {
    int64_t created_s[ISSUER_PUBLISHED_MAX];
    size_t count;
    size_t current_index;
};

/**
 * Choose among keys by the times of their making alone, so that all brokers of a folder choose
 * alike.
 *
 * The newest that is at least KEYS_LEAD_S old signs, where none is that old the oldest; beside it
 * the one before and the one after are published. `*dropped_count` of the first are not needed any
 * more.
 */
void issuer_choose(const int64_t *created_s, size_t count, int64_t now_s, struct issuer_plan *plan,
                   size_t *dropped_count);

/** Whether it is time to make the next key. */
bool issuer_is_due(const int64_t *created_s, size_t count, int64_t now_s, int64_t rotate_every_s);

struct issuer_key {
    struct key *key;
    struct verifier *verifier;
    json_t *jwk;
    char kid[44];
};

/**
 * The issuer's keys as they stand: made anew whenever they change.
 *
 * Threads: immutable, but `ref_count`
 */
struct issuer_set {
    struct issuer_plan plans[ISSUER_ALGORITHMS];
    struct issuer_key keys[ISSUER_ALGORITHMS * ISSUER_PUBLISHED_MAX];
    size_t key_count;
    const struct issuer_key *signers[ISSUER_ALGORITHMS]; /* NULL: no key of it is there */
    const struct issuer_key *current;                    /* the issuer's own algorithm's */
    char *jwks_text;
    size_t jwks_text_len;

    size_t ref_count; /* guarded by the lock of whoever shares it */
};

/** Where an algorithm stands among the ISSUER_ALGORITHMS; as many where it is none of them. */
size_t issuer_algorithm_index(enum key_algorithm algorithm);

/** Which keys there are to be. */
struct issuer_order {
    const struct keys_options *options;
    unsigned in_use; /* algorithms of which keys are made: bits 1 << issuer_algorithm_index() */
    int64_t now_s;
};

/**
 * Look into the folder, make, choose and remove keys, and load them.
 *
 * Gives NULL where `old` (or NULL) is still right.
 *
 * Errors: ERROR_CONFIG, ERROR_IO, ERROR_LIMIT, ERROR_MEMORY, ERROR_CRYPTO
 */
bool issuer_refresh(const struct key_folder *folder, const struct issuer_order *order,
                    const struct issuer_set *old, struct issuer_set **fresh, struct error *error)
    MUST_USE;
void issuer_set_free(struct issuer_set *set);

/** The key with this `kid`, or NULL. */
const struct issuer_key *issuer_find(const struct issuer_set *set, struct str kid);
