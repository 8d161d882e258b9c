#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/macros.h"
#include "base/progress.h"
#include "base/str.h"
#include "ledger/entry.h"
#include "ledger/merkle.h"
#include "store/store.h"

struct key;

/**
 * The append-only, Merkle-hashed log of what the broker did, on a store.
 *
 * Appends go to the store's thread (group commit) and wake their waiter when durable. A publisher
 * thread, off that path, writes tiles and then the signed checkpoint, at once when the last one is
 * older than a second, else when it is.
 *
 * Threads: shared
 * Source:  design.md 3.5, 4; security-rules.md 7; C2SP tlog-tiles
 */
struct ledger;

struct ledger_options {
    const char *store; /* the store's folder; tiles and checkpoint live in its "log/" */
    struct str origin; /* checkpoint's first line; becomes the note key's name as well */
    struct str broker; /* this broker's name in entries */
    struct key *key;   /* Ed25519 */
};

/**
 * Open the store and compare it with the checkpoint published last: refuses (ERROR_INVALID) a store
 * that is shorter or has another root there. Writes the verifier key to "log/verifier".
 */
bool ledger_open(const struct ledger_options *options, struct ledger **ledger, struct error *error)
    MUST_USE;

/** Publish what is committed, stop the threads, close the store. */
void ledger_close(struct ledger *ledger);

struct str ledger_broker(const struct ledger *ledger);
/** Whether appends are possible now, for readiness: also false while space is lacking. */
bool ledger_is_writable(const struct ledger *ledger);
/** Whether a write or sync has failed: nothing is written any more, and the process should end. */
bool ledger_has_failed(const struct ledger *ledger);

/** One append: up to STORE_PROPOSAL_ENTRIES_MAX entries under guards, committed together or not. */
struct ledger_append {
    /* what is asked; references are borrowed until ledger_submit() returns */
    json_t *entries[STORE_PROPOSAL_ENTRIES_MAX];
    json_t *private_parts[STORE_PROPOSAL_ENTRIES_MAX]; /* or NULL */
    size_t entry_count;
    struct store_guard guards[STORE_PROPOSAL_GUARDS_MAX];
    size_t guard_count;
    bool is_revocation;
    struct waker waker; /* called on the store's thread once the outcome is known */

    /* the outcome; complete when the waker is called */
    bool is_committed;
    size_t failed_guard; /* guard_count unless a guard refused it */
    uint64_t first_index;
    struct merkle_hash leaf_hashes[STORE_PROPOSAL_ENTRIES_MAX];
    struct error error;             /* ERROR_LEDGER, or ERROR_INVALID for a failed guard */
    struct store_proposal proposal; /* private */
};

/**
 * Encode the entries (members checked against their type's row, <= 16 KiB each) and queue them.
 * Bytes live in `arena`, which with `append` must stay until the waker was called.
 *
 * Errors: ERROR_LEDGER (not writable, an entry that may not be written), ERROR_MEMORY; then the
 * waker is never called
 */
bool ledger_submit(struct ledger *ledger, struct ledger_append *append, struct arena *arena,
                   struct error *error) MUST_USE;

/** Submit and wait: for start-up and housekeeping, never on an HTTP thread. */
bool ledger_append_now(struct ledger *ledger, struct ledger_append *append, struct error *error)
    MUST_USE;

bool ledger_lease_by_id(struct ledger *ledger, struct str id, struct store_lease *lease) MUST_USE;
bool ledger_lease_by_handle(struct ledger *ledger, const uint8_t handle_sha256[32],
                            struct store_lease *lease) MUST_USE;
/** A mark that is set and has not expired: whose it is, and by which entry. */
bool ledger_mark(struct ledger *ledger, const uint8_t key[32], struct store_mark *mark) MUST_USE;
size_t ledger_live_lease_count(const struct ledger *ledger);

/** One durable entry's bytes, into the arena. One short read of a file: usually from the page
 * cache. */
bool ledger_entry(struct ledger *ledger, uint64_t index, struct arena *arena, struct str *entry,
                  struct error *error) MUST_USE;

/**
 * As ledger_entry(), with what is kept beside the entry and can be erased: `private_part` is JSON
 * text, empty where there is none. Only for those who may see who a person is.
 */
bool ledger_entry_with_private(struct ledger *ledger, uint64_t index, struct arena *arena,
                               struct str *entry, struct str *private_part, struct error *error)
    MUST_USE;

/**
 * A bundle of published entries, by its path behind "tile/entries/" ("000", "x001/234.p/17").
 *
 * Each entry is a big-endian 16-bit length and its bytes. At most TILE_WIDTH * STORE_ENTRY_MAX
 * bytes, read one after the other from the page cache.
 *
 * Errors: ERROR_NOT_FOUND (not published, or a path that is not canonical), ERROR_IO, ERROR_MEMORY
 * Owns:   `*bundle` lives as long as `arena`
 * Source: C2SP tlog-tiles, "Log entries"
 */
bool ledger_bundle(struct ledger *ledger, struct str path, struct arena *arena, struct str *bundle,
                   struct error *error) MUST_USE;

/**
 * The receipt of an entry: its bytes and a `.tlog-proof` on a published checkpoint.
 *
 * Where none covers it yet: PROGRESS_WAIT, and the waker is called when one does.
 */
enum progress ledger_receipt(struct ledger *ledger, uint64_t index, struct waker waker,
                             struct arena *arena, struct str *entry, struct str *proof,
                             struct error *error);

/** Forget a waker that ledger_receipt() took; true when it will not be called any more. */
bool ledger_forget(struct ledger *ledger, const void *waker_context);

/** The newest published checkpoint, a signed note. ERROR_NOT_FOUND before the first. */
bool ledger_checkpoint(struct ledger *ledger, struct arena *arena, struct str *note,
                       struct error *error) MUST_USE;

/**
 * A tile by its path behind "tile/" ("0/000", "0/x001/234.p/17"): hashes only, "entries/" is
 * refused.
 *
 * Errors: ERROR_NOT_FOUND (no such tile, or a path that is not canonical)
 */
bool ledger_tile(struct ledger *ledger, struct str path, struct arena *arena, struct str *tile,
                 struct error *error) MUST_USE;
