#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/str.h"
#include "base/time_text.h"

struct error;

/** What a walk over a log's entries, in their order, has seen. All-zero is the beginning. */
struct entry_order {
    int64_t time_ms;             /* of the last one */
    char time[TIME_TEXT_MS_LEN]; /* the same as it stands there, where it has that length */
    uint64_t pruned_count;       /* of the first ones, of which only hashes are left */
};

/**
 * Check the next entry: JSON as we write it, the members of its type and no others, and a time that
 * is not before the last one's. One that was pruned has none of it; none may be behind one that was
 * not.
 *
 * Errors: ERROR_INVALID (the cause says what; not which entry)
 */
bool entry_order_check(struct entry_order *order, struct str entry, struct error *error) MUST_USE;
