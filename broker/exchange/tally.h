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
 * Keeps proven identities from filling the ledger with what anybody can repeat: denials, and
 * decisions that a shadow policy would make otherwise.
 *
 * Per key and minute the first few (`single_max`) are entries of their own; what comes after them
 * is counted and becomes one entry with `count` when the minute is over.
 *
 * Threads: shared
 * Source:  security-rules.md 7.4
 */
struct tally;

#define DENIALS_SINGLE_MAX 10
/** Keys counted at once; past it further ones share one count. */
#define TALLY_TRACKED_MAX 4096

/** NULL without memory. */
struct tally *tally_new(int64_t single_max) MUST_USE;
void tally_free(struct tally *tally);

/**
 * Count one of `key` (identity and stage, say). True: write an entry of its own; false: it is
 * counted, and `entry` is kept as the form of the minute's entry.
 */
bool tally_admit(struct tally *tally, struct str key, json_t *entry, int64_t now_s);

/** Count one whose minute has its form already, else do nothing: for who would have to make it. */
bool tally_count(struct tally *tally, struct str key, int64_t now_s);

/** Write the entries of the minutes that are over. Called by housekeeping. */
bool tally_flush(struct tally *tally, struct ledger *ledger, int64_t now_s, struct error *error)
    MUST_USE;
