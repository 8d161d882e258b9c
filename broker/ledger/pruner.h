#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"

struct error;
struct indexer;
struct ledger;
struct store;

/**
 * Pruning the ledger by age: of entries that are old enough the bytes and private parts go, in the
 * store, in the bundles beside the tiles, and what the index knows of who somebody was. Their
 * hashes stay: the tree is as before.
 *
 * Never pruned: what no checkpoint covers, what belongs to a lease that lives or follows it, the
 * last entry.
 *
 * Threads: confined to one
 */
struct pruner {
    struct ledger *ledger;
    struct store *store;
    struct indexer *indexer;
    const char *tiles; /* the folder "log/tile" */
    const atomic_bool *is_stopping;
    uint64_t pruned; /* entries below it are, as far as is known */
};

/**
 * Prune what is of before a time (ms since 1970); `admin.pruned` is appended first.
 *
 * Errors: ERROR_IO, ERROR_LEDGER, ERROR_INVALID, ERROR_MEMORY
 */
bool pruner_run(struct pruner *pruner, int64_t before_ms, struct error *error) MUST_USE;
