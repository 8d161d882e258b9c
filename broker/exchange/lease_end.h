#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/macros.h"
#include "base/progress.h"
#include "ledger/entry.h"
#include "ledger/ledger.h"

/**
 * The one way in which a lease ends: an entry, appended under the guard that the lease is as it was
 * looked at. So of all who end it at the same time one wins, and there is one entry.
 *
 * What is left to do at targets then falls due by itself (`store_claim_due`).
 *
 * Source: ARCHITECTURE.md "The life of a lease"
 */
struct lease_ending {
    /* ENTRY_LEASE_RELEASED, _REVOKED or _EXPIRED; or ENTRY_CREDENTIAL_UNKNOWN, of one that was left
       while its credentials were made */
    enum entry_type type;
    const char *decision; /* id, of ID_LEN characters */
    const char *reason;   /* of lease.revoked: why, in a word; else NULL */
    const char *outcome;  /* of lease.released: "success", "failure", or NULL */
    const char *block;    /* id of the block that goes with it, or NULL */
    const json_t *actor;  /* who ends it, as an entry's `actor`; NULL: nobody in particular */
    const json_t *facts;  /* of the request that ends it, as an entry's `facts`; NULL: none */
    json_t *private_part; /* what belongs to `actor` and `facts`, or NULL */
};

/**
 * Whether a lease is still to be ended so: released while it is issued, revoked while it is
 * requested, issued or unknown, both before it expires; expired once it has, where it is issued;
 * unknown where it is requested for longer than LEASE_REQUESTED_MAX_S, or has expired.
 */
bool lease_end_is_due(const struct lease_ending *ending, const struct store_lease *lease,
                      int64_t now_s);

/**
 * The entry that ends a lease, and its guard, for who appends it together with others. It takes
 * over who and what from the entry that opened the lease.
 *
 * Errors:  ERROR_LEDGER, ERROR_MEMORY, those of ledger_entry()
 * Owns:    `*entry` is the caller's
 * Threads: any; reads one entry
 */
bool lease_end_entry(struct ledger *ledger, const struct store_lease *lease,
                     const struct lease_ending *ending, struct arena *arena, json_t **entry,
                     struct store_guard *guard, struct error *error) MUST_USE;

/** One lease on its way to its end. Threads: confined; handed over while it waits */
struct lease_end {
    /* what is asked; what `ending` points to is borrowed until it is done */
    struct ledger *ledger;
    struct store_lease lease; /* as it was looked up */
    struct lease_ending ending;
    struct arena *arena;
    struct waker waker;

    bool is_recorded; /* the outcome: it was us who ended it */

    unsigned tries; /* private, as what follows */
    bool is_submitted;
    struct ledger_append append;
};

/**
 * Go on until it is done. Where the lease moved on meanwhile and is still to be ended, it is tried
 * again; where it is not, nothing is recorded.
 *
 * Errors: ERROR_LEDGER, ERROR_MEMORY
 */
enum progress lease_end_walk(struct lease_end *end, struct error *error);
