#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/str.h"
#include "ledger/merkle.h"
#include "ledger/note.h"

struct arena;
struct error;

/** What a verification of a store's folder found. */
struct audit_report {
    uint64_t entry_count;     /* durable in the segments */
    uint64_t checkpoint_size; /* 0: the log is empty */
    struct merkle_hash root;  /* of all entries */
    struct str origin;
    uint64_t bad_index;  /* first entry or tile that does not fit, when the result is false */
    bool is_key_trusted; /* the verifier key came from the caller, not from the folder */
};

struct audit_options {
    const char *folder;
    struct str
        verifier_key; /* empty: the folder's own, which excludes nobody who can write there */
    void (*progress)(uint64_t done, uint64_t total, void *context); /* or NULL */
    void *context;
};

/**
 * Recompute everything from the entries: frames, entry form and order of time, leaf hashes, every
 * tile, the root at the checkpoint's size, its signature. A log with entries and without a
 * checkpoint does not hold: a broker publishes one with its first entry.
 *
 * Errors: ERROR_INVALID (what does not fit, and where), ERROR_IO, ERROR_CONFIG (no key)
 * Owns:   report->origin is in `arena`
 */
bool audit_verify(const struct audit_options *options, struct arena *arena,
                  struct audit_report *report, struct error *error) MUST_USE;

/**
 * Check a receipt file ({"entry", "proof"} JSON, or a bare .tlog-proof with its entry from the log)
 * against the folder: signature, inclusion, and that the log still has that very entry at that
 * index and that the receipt's checkpoint is a prefix of the log.
 */
bool audit_check_receipt(const struct audit_options *options, struct str receipt,
                         struct arena *arena, uint64_t *index, struct error *error) MUST_USE;
