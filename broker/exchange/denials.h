#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/macros.h"
#include "base/str.h"

struct error;
struct ledger;

/**
 * Keeps proven identities from filling the ledger with denials.
 *
 * Per identity, stage and minute the first DENIALS_SINGLE_MAX are entries of their own; what comes
 * after them is counted and becomes one entry with `count` when the minute is over.
 *
 * Threads: shared
 * Source:  security-rules.md 7.4
 */
struct denials;

#define DENIALS_SINGLE_MAX 10
/** Identities counted at once; past it further ones share one count. */
#define DENIALS_TRACKED_MAX 4096

struct denials *denials_new(void) MUST_USE;
void denials_free(struct denials *denials);

/**
 * Count a denial of `key` (identity and stage). True: write an entry of its own; false: it is
 * counted, and `entry` is kept as the form of the minute's entry.
 */
bool denials_admit(struct denials *denials, struct str key, json_t *entry, int64_t now_s);

/** Write the entries of the minutes that are over. Called by housekeeping. */
bool denials_flush(struct denials *denials, struct ledger *ledger, int64_t now_s,
                   struct error *error) MUST_USE;
