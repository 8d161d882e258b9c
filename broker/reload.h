#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/macros.h"

struct config;
struct diagnostics;
struct policy_world;
struct rules;
struct target_tools;
struct upstream;

/** What a snapshot is made with. */
struct rules_sources {
    struct upstream *upstream;
    const struct rules *previous; /* gives its issuers' key sets, and the files of its policy that
                                     are still the same; NULL: none */
    const struct target_tools *tools; /* what targets are started with; NULL: a check only */
    struct diagnostics *diagnostics;  /* of the policy, and of what it is loaded with */
    struct diagnostics *shadow_diagnostics;
};

/** How the policies of a snapshot loaded. */
struct rules_outcome {
    bool is_policy_bad;        /* it was the policy that made the load fail */
    bool has_shadow;           /* there is a second folder */
    struct error shadow_error; /* where it did not load */
};

/**
 * Configuration, issuers and policy as one snapshot, made the same way at start and at each reload.
 *
 * A shadow policy that does not load is none: it fails nothing, and `outcome` says so.
 *
 * Errors: ERROR_CONFIG (see diagnostics), ERROR_IO, ERROR_MEMORY, ERROR_CRYPTO
 * Owns:   the snapshot has a reference to `config`
 */
bool rules_load(struct config *config, const struct rules_sources *sources,
                struct rules_outcome *outcome, struct rules **rules, struct error *error) MUST_USE;

/**
 * The snapshot before (`sources->previous`) with its policy, or its shadow policy, loaded anew:
 * everything else is the same, not read again.
 *
 * Errors: ERROR_CONFIG (see diagnostics), ERROR_IO, ERROR_MEMORY
 */
bool rules_load_policy(const struct rules_sources *sources, struct rules_outcome *outcome,
                       struct rules **rules, struct error *error) MUST_USE;
bool rules_load_shadow(const struct rules_sources *sources, struct rules_outcome *outcome,
                       struct rules **rules, struct error *error) MUST_USE;

/** The world that a snapshot's policies were loaded with. */
const struct policy_world *rules_world(const struct rules *rules);

/** The configuration of a snapshot. */
struct config *rules_config(const struct rules *rules);

/** Free a snapshot that never came into a table. */
void rules_discard(struct rules *rules);
