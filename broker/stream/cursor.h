#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/str.h"
#include "ledger/merkle.h"

struct error;
struct store_reader;

/** How far a stream is: the entry that comes next, and by the one before it, in which log. */
struct cursor {
    uint64_t next;
    struct merkle_hash leaf; /* of entry next - 1; all zero before the first */
};

/**
 * Read a stream's cursor; `*is_there` is false where there is no file, which is no error.
 *
 * Errors: ERROR_INVALID (not a cursor, or of another origin: the cause says what to do), ERROR_IO
 */
bool cursor_load(const char *path, struct str origin, struct cursor *cursor, bool *is_there,
                 struct error *error) MUST_USE;

/**
 * Whether this is the log that the cursor was made in: long enough, and with that entry.
 *
 * Errors: ERROR_INVALID (it is not: the cause says what to do); those of store_reader_get()
 */
bool cursor_check(const char *path, const struct cursor *cursor, struct store_reader *reader,
                  struct error *error) MUST_USE;

/**
 * The cursor of what comes next at `next`.
 *
 * Errors: those of store_reader_get()
 */
bool cursor_at(struct store_reader *reader, uint64_t next, struct cursor *cursor,
               struct error *error) MUST_USE;

/** Replace the file; a crash leaves the old or the new one. Errors: ERROR_IO, ERROR_MEMORY */
bool cursor_save(const char *path, struct str origin, const struct cursor *cursor,
                 struct error *error) MUST_USE;
