#pragma once

#include <stdbool.h>

#include "base/macros.h"
#include "store/snapshot.h"
#include "store/state.h"
#include "store/store.h"

struct error;

/** Where a store's files are: descriptors of its folder and of the segments' folder. */
struct store_folders {
    int store;
    int segments;
};

/**
 * Rebuild `state` and find the log's end: the snapshot and what is behind it, or all entries where
 * the snapshot is missing or damaged.
 *
 * `*is_torn` says that something that is not a frame stands behind the end, which a write that was
 * not finished explains; it has to be cleared before anything is appended.
 *
 * Errors: ERROR_INVALID (damage that no unfinished write explains), ERROR_IO, ERROR_MEMORY
 */
bool recovery_run(const struct store_folders *folders, const struct store_fold *fold,
                  struct state *state, struct log_position *position, bool *is_torn,
                  struct error *error) MUST_USE;
