#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/macros.h"
#include "config/config.h"
#include "ledger/ledger.h"

struct keys;
struct upstream;

/** What the broker remembers of its witnesses, to log what changes. Threads: main's, all of it. */
struct witnessing {
    enum watcher_state states[NOTE_WITNESSES_MAX];
    enum watcher_state mirror_states[MIRROR_WATCH_MAX];
};

/**
 * Open the ledger as broker.yaml has it, with its keys by their names, made where they are missing.
 * `has_mirrors`: others' mirrors are looked at, too.
 *
 * Errors: of ledger_open(), and of the keys
 */
bool witnessing_open(const struct config *config, struct keys *keys, struct upstream *upstream,
                     bool has_mirrors, struct ledger **ledger, struct error *error) MUST_USE;

/**
 * Record where the ledger's keys are others than before: signed by both, an auditor who has the old
 * one learns of the new one from the log itself.
 */
bool witnessing_record_keys(struct ledger *ledger, struct error *error) MUST_USE;

/** Log what changed and set the metrics. */
void witnessing_tend(struct witnessing *witnessing, struct ledger *ledger,
                     const struct config *config);

/** What is wrong with a witness, static, or NULL. Threads: any */
const char *witnessing_degraded(struct ledger *ledger);
