#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "store/recovery.h"

struct error;

/**
 * Erasing private parts, and pruning entries, where they stand in a folder's segments.
 *
 * What is to be erased is noted in a file first, durably; then each part is marked as erased, and
 * then its bytes are overwritten. Of entries to be pruned the note has their leaf hashes, which
 * take their place. A start that finds the file does all of it again.
 *
 * Threads: one caller at a time, beside readers and whoever appends
 */
#define ERASURE_NAME "erasing"

/**
 * Note whose private parts are to be erased: entries ascending, none twice, all of them durable.
 *
 * Errors: ERROR_IO, ERROR_MEMORY; then nothing has happened
 */
bool erasure_note(const struct store_folders *folders, const uint64_t *indices, size_t count,
                  struct error *error) MUST_USE;

/**
 * Do it, and leave the note. Entries without a private part stay as they are.
 *
 * Errors: ERROR_IO (a part of it may be erased), ERROR_INVALID (damage), ERROR_MEMORY
 */
bool erasure_run(const struct store_folders *folders, const uint64_t *indices, size_t count,
                 struct error *error) MUST_USE;

/** Entries from `from` on, with what is left of them. */
struct pruning {
    uint64_t from;
    size_t count;
    uint8_t (*hashes)[32]; /* `count` of them */
};

void pruning_release(struct pruning *pruning);

OWNED_VALUE(pruning_release, struct pruning)

/**
 * Read what [from, below) are, as far as whole frames go, STORE_PRUNE_MAX entries at most. None
 * where `from` is not the first of a frame, or one of that frame is too short to be pruned.
 *
 * Errors: ERROR_IO, ERROR_INVALID, ERROR_MEMORY
 */
bool pruning_plan(const struct store_folders *folders, uint64_t from, uint64_t below,
                  struct pruning *pruning, struct error *error) MUST_USE;

/** As erasure_note() and erasure_run(). */
bool pruning_note(const struct store_folders *folders, const struct pruning *pruning,
                  struct error *error) MUST_USE;
bool pruning_run(const struct store_folders *folders, const struct pruning *pruning,
                 struct error *error) MUST_USE;

/** Remove the note: nothing is left to do. */
bool erasure_end(const struct store_folders *folders, struct error *error) MUST_USE;

/**
 * Finish what a note says, before anything is read at a start; `*was_interrupted` where there was
 * one. The note stays until erasure_end().
 */
bool erasure_resume(const struct store_folders *folders, bool *was_interrupted, struct error *error)
    MUST_USE;
