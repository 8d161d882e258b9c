#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/macros.h"
#include "base/str.h"

/**
 * A hash table from text to a position, filled once: issuers by URL, keys by `kid`.
 *
 * Its texts come from configuration or a trusted issuer's key set, never from a token, so its hash
 * needs no secret.
 *
 * Owns:    nothing of the texts, which must outlive it
 * Threads: confined while it is filled, immutable afterwards
 */
struct lookup {
    struct lookup_slot *slots;
    size_t slot_count; /* a power of two, at least twice the entries */
};

/** Room for `max_count` entries; false without memory. */
bool lookup_init(struct lookup *lookup, size_t max_count) MUST_USE;
void lookup_release(struct lookup *lookup);

/** Add one; false when the text is there already. */
bool lookup_add(struct lookup *lookup, struct str text, size_t position) MUST_USE;

/** Find one; false when there is none. */
bool lookup_find(const struct lookup *lookup, struct str text, size_t *position) MUST_USE;
