#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/macros.h"
#include "base/str.h"

struct error;
struct store_index;

/** Rows of an index: a key of parts with NUL between them; numbers and texts. */

enum row_space {
    ROW_USES = 1,
    ROW_SEEN = 2,
};

#define ROW_NUMBERS_MAX 5
#define ROW_TEXTS_MAX 6
#define ROW_KEY_PARTS_MAX 3

struct row_value {
    int64_t numbers[ROW_NUMBERS_MAX];
    struct str texts[ROW_TEXTS_MAX];
};

/* What stands where. */
enum use_number {
    USE_COUNT,
    USE_FAILED,
    USE_FIRST_MS,
    USE_LAST_MS,
    USE_LAST_INDEX
};
enum use_text {
    USE_PIPELINE,
    USE_OWNER,
    USE_TENANT,
    USE_ENVIRONMENT,
    USE_KIND,
    USE_TYPE
};
enum seen_number {
    SEEN_COUNT,
    SEEN_DENIED,
    SEEN_FIRST_MS,
    SEEN_LAST_MS
};

/** Read a value; texts borrow from it. ERROR_INVALID: it is none. */
bool row_value_read(struct str bytes, struct row_value *value, struct error *error) MUST_USE;

/** Cut a key into its parts; false where there are not so many. */
bool row_key_cut(struct str key, struct str *parts, size_t count) MUST_USE;

/**
 * Rows that are being folded: each is read from the index when it is first touched.
 *
 * Threads: confined
 */
struct row_batch;

struct row_batch *row_batch_new(struct store_index *index) MUST_USE;
void row_batch_free(struct row_batch *batch);

/** Fold an entry in. Errors: those of reading the index, ERROR_MEMORY */
bool row_batch_fold(struct row_batch *batch, uint64_t entry_index, int64_t time_ms,
                    const json_t *entry, struct error *error) MUST_USE;

/** Write all rows that were touched. */
bool row_batch_write(struct row_batch *batch, struct error *error) MUST_USE;

/** Forget them. */
void row_batch_clear(struct row_batch *batch);
