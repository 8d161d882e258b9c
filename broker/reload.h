#pragma once

#include <stdbool.h>

#include "base/macros.h"

struct config;
struct diagnostics;
struct error;
struct rules;
struct target_tools;
struct upstream;

/**
 * Configuration, issuers and policy as one snapshot, made the same way at start and at each reload.
 *
 * `previous` (or NULL) gives its issuers' key sets. `tools` (or NULL, for a check) is what targets
 * are started with. `*config` is borrowed: it belongs to the snapshot.
 *
 * Errors: ERROR_CONFIG (see diagnostics), ERROR_IO, ERROR_MEMORY, ERROR_CRYPTO
 */
bool rules_load(struct config *take_config, struct upstream *upstream, const struct rules *previous,
                const struct target_tools *tools, struct diagnostics *diagnostics,
                struct rules **rules, struct error *error) MUST_USE;

/** Free a snapshot that never came into a table. */
void rules_discard(struct rules *rules);
