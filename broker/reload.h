#pragma once

#include <stdbool.h>

#include "base/macros.h"

struct config;
struct diagnostics;
struct error;
struct rules;
struct target_tools;
struct upstream;

/** What a snapshot is made with. */
struct rules_sources {
    struct upstream *upstream;
    const struct rules *previous;     /* gives its issuers' key sets; NULL: none */
    const struct target_tools *tools; /* what targets are started with; NULL: a check only */
    struct diagnostics *diagnostics;
};

/**
 * Configuration, issuers and policy as one snapshot, made the same way at start and at each reload.
 *
 * `take_config` belongs to the snapshot; on failure it is freed.
 *
 * Errors: ERROR_CONFIG (see diagnostics), ERROR_IO, ERROR_MEMORY, ERROR_CRYPTO
 */
bool rules_load(struct config *take_config, const struct rules_sources *sources,
                struct rules **rules, struct error *error) MUST_USE;

/** Free a snapshot that never came into a table. */
void rules_discard(struct rules *rules);
