#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"

struct error;

struct rebuild_options {
    const char *store;    /* as of struct ledger_options */
    const char *database; /* or NULL */
    const char *dsn_file; /* or NULL */
    /** Told how many entries the index has seen. NULL: nobody asks. */
    void (*progress)(uint64_t done, uint64_t total, void *context);
    void *context;
};

/**
 * Make anew all that follows from entries: the snapshot of marks, leases and counters (where the
 * store is a folder) and the index. Nobody else may have the store: its lock is taken.
 *
 * `*count` is how many entries there are.
 *
 * Errors: those of store_open() and of reading and writing the index
 */
bool ledger_rebuild(const struct rebuild_options *options, uint64_t *count, struct error *error)
    MUST_USE;
