#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"

struct config;
struct diagnostics;
struct error;
struct ledger;
struct policy_reports;
struct rules_table;
struct target_tools;
struct upstream;

/**
 * Loads configuration and policy, at start and while the broker runs: all of it at a signal, the
 * policy alone where its folder changes. What does not load changes nothing. Logs and counts how
 * each load went, and reports it.
 *
 * Threads: confined
 * Source:  security-rules.md 5.2
 */
struct loading;

/** What it works with; all borrowed. */
struct loading_options {
    const char *config_path;
    struct config *config; /* the first: what only a restart changes keeps to it */
    struct upstream *upstream;
    const struct target_tools *tools;
    struct policy_reports *reports;
};

/**
 * Load for the first time, into a table of its own; and begin to watch before that, so that no
 * change is missed.
 *
 * Errors: those of rules_load()
 */
bool loading_start(const struct loading_options *options, struct diagnostics *diagnostics,
                   struct loading **loading, struct error *error) MUST_USE;
void loading_stop(struct loading *loading);

OWNED_POINTER(loading_stop, struct loading)

/** Where the snapshot in force stands; as long as `loading`. */
struct rules_table *loading_rules(const struct loading *loading);

/**
 * Record the first policy in the ledger (borrowed), which all later ones are recorded in, too.
 *
 * Errors: those of activation_record()
 */
bool loading_activate(struct loading *loading, struct ledger *ledger, struct error *error) MUST_USE;

/** Load configuration and policies. Where that fails nothing changed. */
void loading_reload(struct loading *loading);

/** Since when loading_reload() fails, seconds since the epoch; 0: it does not. Threads: any */
int64_t loading_failing_since_s(const struct loading *loading);

/** Load what changed, where it is time. */
void loading_tend(struct loading *loading, int64_t now_ms);

/** Readable when loading_tend() has something to do; -1: there is none. */
int loading_descriptor(const struct loading *loading);

/** When loading_tend() is due by the clock alone; INT64_MAX: not before something is told. */
int64_t loading_due_ms(const struct loading *loading);
