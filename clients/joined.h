#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "base/macros.h"

struct arena;
struct error;

/** An entry with what its digests stand for. */
struct joined {
    const json_t *entry;    /* digests of what is known are replaced by the values */
    size_t disclosed_count; /* that were replaced */
    size_t hidden_count;    /* that stay: erased, or not to be had */
    size_t false_count;     /* of those that stay, values in the private part that are not theirs */
};

/**
 * Join an entry with its private part (NULL: none). A value whose digest is another one is not
 * taken: a private part is not hashed, and may have been changed.
 *
 * Errors: ERROR_MEMORY
 * Owns:   `joined->entry` lives in `arena`
 */
bool joined_make(const json_t *entry, const json_t *private_part, struct arena *arena,
                 struct joined *joined, struct error *error) MUST_USE;
