#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/str.h"
#include "ledger/against.h"
#include "ledger/merkle.h"
#include "ledger/note.h"

struct arena;
struct error;

/** What a verification of a store's folder found. */
struct audit_report {
    uint64_t entry_count;     /* durable in the segments */
    uint64_t pruned_count;    /* of them, the first ones: only their hashes are left */
    uint64_t checkpoint_size; /* 0: the log is empty */
    struct merkle_hash root;  /* of all entries */
    struct str origin;
    struct note_cosigned cosigned; /* by the trust's witnesses */
    uint64_t bad_index;  /* first entry or tile that does not fit, when the result is false */
    bool is_key_trusted; /* the verifier key came from the caller, not from the folder */
};

struct audit_options {
    const char *folder;
    /* Without keys of the log: the folder's own, which exclude nobody who can write there. */
    const struct note_trust *trust;
    struct against against; /* what others have kept; its items are filled in */
    void (*progress)(uint64_t done, uint64_t total, void *context); /* or NULL */
    /* NULL, or runs `job(jobs, 0)` to `job(jobs, count - 1)`, on any threads, until all are done */
    void (*run_jobs)(size_t count, void (*job)(void *jobs, size_t index), void *jobs,
                     void *context);
    void *context;
};

/**
 * Recompute everything from the entries: frames, entry form and order of time, leaf hashes, every
 * tile, the root at the checkpoint's size, its signature and cosignatures, and what others have
 * kept: entries and roots of receipts, roots of older checkpoints. A log with entries and without a
 * checkpoint does not hold: a broker publishes one with its first entry. In a database (`folder` is
 * a postgresql:// URL) the checkpoint is the newest that its brokers agreed on, and there are no
 * tiles.
 *
 * Errors: ERROR_INVALID (what does not fit, and where), ERROR_IO, ERROR_CONFIG (no key), and those
 *         of against_read()
 * Owns:   report->origin is in `arena`
 */
bool audit_verify(const struct audit_options *options, struct arena *arena,
                  struct audit_report *report, struct error *error) MUST_USE;
