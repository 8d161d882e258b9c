#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/macros.h"
#include "base/str.h"

struct arena;
struct error;

/**
 * Where a list goes on: a text that only we can make sense of, and that is good for one list of one
 * policy, or of one search. It lets nobody see anything: what a page shows is decided anew.
 *
 * Source: security-rules.md 8.4
 */
struct cursor {
    uint8_t list;               /* which one: a number of its own */
    uint8_t sha256[SHA256_LEN]; /* of the policy that is listed, or of what is searched for */
    uint64_t position;
};

/** As a text; `data` is NULL without memory. */
struct str cursor_write(const struct cursor *cursor, struct arena *arena);

/**
 * Read the query of a request: nothing, or `cursor=...`. `cursor` says which list of which policy
 * is asked for; `position` is 0 where there is no cursor, and below `end` else.
 *
 * Errors: ERROR_REQUEST (another parameter; a cursor that we did not make, of another list or
 * policy), ERROR_MEMORY
 */
bool cursor_read(struct str query, struct arena *arena, uint64_t end, struct cursor *cursor,
                 struct error *error) MUST_USE;

/** Read a cursor alone, as cursor_read() does. Errors: ERROR_REQUEST */
bool cursor_parse(struct str text, uint64_t end, struct cursor *cursor, struct error *error)
    MUST_USE;

/** How many a page may have, as `limit` says it: 1 to `max`. Errors: ERROR_REQUEST */
bool page_limit_read(struct str text, int64_t max, int64_t *limit, struct error *error) MUST_USE;
