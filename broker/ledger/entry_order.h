#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/str.h"
#include "base/time_text.h"

struct error;

/** What an entry's form says of its place in a log. All-zero is that of none. */
struct entry_form {
    int64_t time_ms;
    char time[TIME_TEXT_MS_LEN]; /* the same as it stands there, where it has that length */
    bool is_pruned;              /* nothing but its hash is left; the time is that of before */
};

/** What a walk over a log's entries, in their order, has seen. All-zero is the beginning. */
struct entry_order {
    int64_t time_ms;        /* of the last one */
    uint64_t pruned_count;  /* of the first ones, of which only hashes are left */
    struct entry_form form; /* of the last one that entry_order_check() looked at */
};

/**
 * Check an entry by itself: JSON as we write it, the members of its type and no others. One that
 * was pruned has none of it. `*form` is that of the entry before it, or of none, and becomes its.
 *
 * Errors:  ERROR_INVALID (the cause says what; not which entry)
 * Threads: any
 */
bool entry_form_check(struct str entry, struct entry_form *form, struct error *error) MUST_USE;

/**
 * Check that the next entry may stand there: its time is not before the last one's, and it was not
 * pruned where one before it was not.
 *
 * Errors: as entry_form_check()
 */
bool entry_order_add(struct entry_order *order, const struct entry_form *form, struct error *error)
    MUST_USE;

/** Check the next entry by itself, and that it may stand there. */
bool entry_order_check(struct entry_order *order, struct str entry, struct error *error) MUST_USE;
