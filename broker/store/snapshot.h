#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"
#include "store/state.h"

struct error;

/** How far the log goes, and where. */
struct log_position {
    uint64_t size;       /* entries before it */
    uint64_t segment;    /* first index of the segment */
    uint64_t offset;     /* behind the last frame */
    uint64_t last_frame; /* offset of the last frame of this segment; `offset` where it has none */
    uint64_t last_index; /* that frame's first entry */
    int64_t time_ms;     /* of the last entry */
};

#define SNAPSHOT_NAME "snapshot"

/**
 * Write marks, leases, approvals and blocks with a position before which all entries are applied to
 * them, atomically.
 *
 * The rows are copied piece by piece, so they may know of later entries too; applying those again
 * gives the same rows. The lock of `state` is held for one piece only.
 *
 * Errors:  ERROR_IO, ERROR_MEMORY
 * Threads: one caller at a time
 */
bool snapshot_write(int folder, struct state *state, const struct log_position *position,
                    struct error *error) MUST_USE;

/**
 * Read it into an empty `state`. On failure `state` is empty.
 *
 * Errors: ERROR_NOT_FOUND, ERROR_INVALID (checksum, form), ERROR_IO, ERROR_MEMORY
 */
bool snapshot_read(int folder, struct state *state, struct log_position *position,
                   struct error *error) MUST_USE;
