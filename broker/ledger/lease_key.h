#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/macros.h"
#include "base/str.h"
#include "store/store.h"

/**
 * What leases are counted under and found by: stage, job, run and commit, each for one instance of
 * the stage.
 *
 * The same function makes keys for the fold of an entry and for the guards of a request, so that
 * both mean the same.
 *
 * Source: design.md 3.4 `after`, `limits`, `instance`
 */
struct lease_key_parts {
    struct str stage;    /* full id */
    struct str instance; /* holes filled; empty: there is one only */
    struct str issuer;   /* its name */
    const json_t *ci; /* facts: `repository_id` or `repository`, `run`, `attempt`, `job`, `commit`
                         are looked at */
};

/**
 * The longest text of a fact that entries have, and that keys are made of: a longer one counts as
 * not known.
 */
#define LEASE_FACT_MAX 256

/**
 * The key of a kind; all zero, and false, where what it is made of is not known: without a run
 * there is neither job nor run, without a commit no commit.
 */
bool lease_key(const struct lease_key_parts *parts, enum store_lease_key kind,
               uint8_t key[STORE_KEY_LEN]);

/** The attempt as a number, for STORE_GUARD_LATEST; 0 where it is none. */
uint16_t lease_attempt(const json_t *ci);

/** All keys, as lease_key() makes each; those that there are not are zero. Gives lease_attempt().
 */
uint16_t lease_keys(const struct lease_key_parts *parts,
                    uint8_t keys[STORE_KEY_COUNT][STORE_KEY_LEN]);
