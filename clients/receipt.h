#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/macros.h"
#include "base/str.h"
#include "ledger/note.h"

struct answer;
struct broker;
struct log_trust;
struct error;

/** A receipt as it was checked. Texts are in the arena of its reading. */
struct receipt {
    struct str entry;
    struct str proof;
    struct checkpoint checkpoint;
    bool is_signature_checked;
};

#define RECEIPT_BYTES_MAX ((size_t)128 * 1024)

/**
 * Read and check what `GET /api/v1/receipts/{lease}` answers: {"entry", "proof"}.
 *
 * The entry must be of this lease, its leaf hash and index those that the exchange answered with,
 * and it must be included in the proof's checkpoint. With `trust` (or NULL) the checkpoint's
 * signature is checked too; without, the proof only shows that the answer agrees with itself.
 *
 * Errors: ERROR_SYNTAX, ERROR_LIMIT, ERROR_INVALID, ERROR_MEMORY
 */
bool receipt_read(struct str body, const struct answer *answer, const struct log_trust *trust,
                  struct arena *arena, struct receipt *receipt, struct error *error) MUST_USE;

/**
 * What a checkpoint says, its signatures unseen: origin, size and root.
 *
 * Errors: ERROR_SYNTAX
 * Owns:   borrows from `note`
 */
bool receipt_read_checkpoint(struct str note, struct checkpoint *checkpoint, struct error *error)
    MUST_USE;

/**
 * A receipt on its way, fetched while the command runs. All-zero but for `descriptor` (-1) is none.
 *
 * Written by the upstream thread until receipt_fetch_take(), then the caller's.
 */
struct receipt_fetch {
    int descriptor; /* becomes readable when the answer is there */
    int status;     /* 0: none came; `cause` says why */
    struct buf body;
    char cause[256];
};

/** Ask for it. `fetch` must live until the upstream thread has stopped. */
bool receipt_fetch_start(struct receipt_fetch *fetch, const struct broker *broker,
                         const struct answer *answer, struct arena *arena, struct error *error)
    MUST_USE;

/**
 * Take the answer over from the upstream thread, once `descriptor` is readable; it is closed by
 * this. False where there is nothing to take.
 */
bool receipt_fetch_take(struct receipt_fetch *fetch) MUST_USE;

/** Free it, once the upstream thread has stopped. */
void receipt_fetch_release(struct receipt_fetch *fetch);

OWNED_VALUE(receipt_fetch_release, struct receipt_fetch)
