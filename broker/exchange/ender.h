#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/macros.h"
#include "base/str.h"
#include "ledger/entry.h"
#include "ledger/ledger.h"

struct error;
struct exchange_service;
struct mint;
struct target_kind;

/**
 * Who ends leases that nobody ends, and credentials whose lease has ended.
 *
 * A thread claims what is due (`store_claim_due`): a lease that is silent is revoked, one that was
 * left while its credentials were made becomes unknown, and of those that have ended, each
 * credential that can be is ended at its target, many at a time. What could not be done is
 * recorded as pending, and tried again and again: half as long after the last time as the lease
 * has been over. Nothing of that is in this process alone: a restart, or another broker of the
 * store, goes on with it. Besides it has targets looked through for what nobody owns (sweeper.h).
 *
 * Threads: shared
 * Source:  security-rules.md 6.5
 */
struct ender;

/** Told on the ender's thread what happens, for log and metrics. */
struct ender_listener {
    /** A lease was ended by the entry of this type. `reason` may be NULL. */
    void (*ended)(const struct store_lease *lease, enum entry_type type, const char *reason,
                  void *context);
    /** Credentials of a lease were ended at their targets; so many are still to be. */
    void (*revoked)(const struct store_lease *lease, size_t done, size_t pending, void *context);
    /** One could not be ended, for now. */
    void (*not_revoked)(const struct store_lease *lease, struct str grant, struct str target,
                        const struct error *why, void *context);
    /** Something else went wrong; it is tried again. `lease` may be NULL. */
    void (*failed)(const struct store_lease *lease, const struct error *why, void *context);
    /** A target could not be looked through for orphans. */
    void (*not_swept)(struct str target, const struct error *why, void *context);
    /** One was found, and recorded; `lease` is what it says of itself. */
    void (*orphan)(struct str target, struct str id, struct str lease, bool is_removed,
                   void *context);
    void *context;
};

/** The longest between two tries to end a credential. */
#define ENDER_BACK_OFF_MAX_S 300

/**
 * Start the thread. What `service` points to outlives it.
 *
 * Errors: ERROR_MEMORY, ERROR_IO
 */
bool ender_start(const struct exchange_service *service, const struct ender_listener *listener,
                 struct ender **ender, struct error *error) MUST_USE;

/** Look soon for what is due: a lease was ended just now. NULL is fine. */
void ender_nudge(struct ender *ender);

/**
 * End at its target what was minted, and what the ledger cannot be told of, once and unrecorded.
 * Nothing where it cannot be ended. `ender` may be NULL. Threads: any
 */
void ender_drop(struct ender *ender, const struct target_kind *kind, const struct mint *mint);

/**
 * Finish what targets were asked for, leave the rest, end the thread: before those are stopped who
 * ask targets, and the ledger. NULL is fine.
 */
void ender_stop(struct ender *ender);

OWNED_POINTER(ender_stop, struct ender)
