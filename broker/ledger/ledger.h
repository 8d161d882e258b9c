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
#include "ledger/mirror_watch.h"
#include "ledger/witness.h"
#include "store/store.h"

struct key;
struct ledger_erasure;
struct ledger_inquiry;

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
    const char *store;            /* the store's folder; tiles and checkpoint live in its "log/" */
    const char *database;         /* where the entries are instead: a PostgreSQL URL, or NULL */
    const char *dsn_file;         /* or a file with one */
    struct str origin;            /* checkpoint's first line; becomes the note key's name as well */
    struct str broker;            /* this broker's name in entries */
    struct key *key;              /* Ed25519 */
    struct key *const *next_keys; /* sign each checkpoint too: keys change by overlap */
    size_t next_key_count;        /* at most NOTE_LOGS_MAX - 1 */
    const struct witness_options *witnesses; /* outlive the ledger */
    size_t witness_count;
    size_t quorum;                         /* so many must have cosigned what is published */
    const struct witness_options *mirrors; /* to look at: name, url, peer; outlive the ledger */
    size_t mirror_count;
    struct upstream *upstream; /* for witnesses; outlives it, but see ledger_leave_witnesses() */
    size_t segment_bytes;      /* of the store; 0: its own */
    bool has_no_index;         /* for who only appends: nothing can be inquired then */
};

/**
 * Open the store and compare it with the checkpoint published last and with what witnesses have
 * cosigned: refuses (ERROR_INVALID) a store that is shorter or has another root there. Writes the
 * verifier keys to "log/verifier", one a line.
 *
 * Errors: those of the store and of publisher_start()
 */
bool ledger_open(const struct ledger_options *options, struct ledger **ledger, struct error *error)
    MUST_USE;

/**
 * Whether checkpoints are signed with other keys than at the last start: verifier keys, one a line.
 * `log/verifier` has those of before until ledger_keep_keys(), which is for when it is recorded.
 */
bool ledger_keys_changed(const struct ledger *ledger, struct str *before, struct str *now);
bool ledger_keep_keys(struct ledger *ledger, struct error *error) MUST_USE;

/** Ask witnesses nothing any more: before the upstream thread stops. NULL is fine. */
void ledger_leave_witnesses(struct ledger *ledger);

/** Publish what is committed, stop the threads, close the store. */
void ledger_close(struct ledger *ledger);

/** How it stands with each mirror; their number. */
size_t ledger_mirrors(struct ledger *ledger, struct watcher_status status[MIRROR_WATCH_MAX]);

/** How it stands with each witness; their number. */
size_t ledger_witnesses(struct ledger *ledger, struct watcher_status status[NOTE_WITNESSES_MAX]);

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
    struct merkle_hash leaf_hashes[STORE_PROPOSAL_ENTRIES_MAX]; /* by ledger_hash_leaves() */
    struct error error; /* ERROR_LEDGER, or ERROR_INVALID for a failed guard */

    /* private: only while it is under way, for it is large, and who appended may wait long */
    struct store_proposal *proposal;
    struct ledger *ledger;
    struct str
        written[STORE_PROPOSAL_ENTRIES_MAX]; /* the entries as they are stored; the arena's */
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

/**
 * Fill in the leaf hashes of what was committed, while the arena of ledger_submit() is there. Not
 * done by the store's thread: all that is appended waits for that one, and few ask for hashes.
 */
void ledger_hash_leaves(struct ledger_append *append);

/** Submit, wait and hash: for start-up and housekeeping, never on an HTTP thread. */
bool ledger_append_now(struct ledger *ledger, struct ledger_append *append, struct error *error)
    MUST_USE;

/** The same of one entry without private parts and guards; without an entry: ERROR_MEMORY. */
bool ledger_record(struct ledger *ledger, json_t *entry, struct error *error) MUST_USE;

/*
 * Looking up rows; where the store is a database it is asked, four seconds long at most.
 *
 * Errors: ERROR_NOT_FOUND (there is none), ERROR_LEDGER (the database cannot be asked)
 */
bool ledger_lease_by_id(struct ledger *ledger, struct str id, struct store_lease *lease,
                        struct error *error) MUST_USE;
bool ledger_lease_by_handle(struct ledger *ledger, const uint8_t handle_sha256[32],
                            struct store_lease *lease, struct error *error) MUST_USE;
/** A mark that is set and has not expired: whose it is, and by which entry. */
bool ledger_mark(struct ledger *ledger, const uint8_t key[32], struct store_mark *mark,
                 struct error *error) MUST_USE;
/** As store_live_of_stage(). */
bool ledger_live_of_stage(struct ledger *ledger, const uint8_t key[STORE_KEY_LEN],
                          struct store_lease *leases, size_t max, size_t *live, struct error *error)
    MUST_USE;
bool ledger_approval_by_id(struct ledger *ledger, struct str id, struct store_approval *approval,
                           struct error *error) MUST_USE;
bool ledger_approval_by_code(struct ledger *ledger, const uint8_t code_sha256[32],
                             struct store_approval *approval, struct error *error) MUST_USE;
/** As store_approvals_of(). */
bool ledger_approvals_of(struct ledger *ledger, const uint8_t digest[32],
                         struct store_approval *approvals, size_t max, size_t *count,
                         struct error *error) MUST_USE;
/** Those that are pending or granted, the oldest first: at most `max`. Errors: ERROR_LEDGER */
bool ledger_approvals(struct ledger *ledger, struct store_approval *approvals, size_t max,
                      size_t *count, struct error *error) MUST_USE;
size_t ledger_live_lease_count(const struct ledger *ledger);

/* What falls due: see store.h, which has the same. */
bool ledger_beat(struct ledger *ledger, const uint8_t handle_sha256[32], struct store_lease *lease,
                 struct error *error) MUST_USE;
bool ledger_claim_due(struct ledger *ledger, int64_t again_s, struct store_claims *claims,
                      struct error *error) MUST_USE;
bool ledger_put_off(struct ledger *ledger, const char id[ID_LEN], int64_t due_s,
                    struct error *error) MUST_USE;
size_t ledger_owed_count(const struct ledger *ledger, int64_t *oldest_ended_s);

/** Durable entries: indices below are readable. */
uint64_t ledger_size(const struct ledger *ledger);

/** A reader of one's own, for who goes through many entries; closed before the ledger is. */
bool ledger_reader(struct ledger *ledger, struct store_reader **reader, struct error *error)
    MUST_USE;

/**
 * Queue an erasure of private parts; see ledger/eraser.h. Until its waker was called it must stay.
 *
 * Errors: ERROR_REQUEST, ERROR_BUSY, ERROR_STOPPING, ERROR_MEMORY; then the waker is never called
 */
bool ledger_erase(struct ledger *ledger, struct ledger_erasure *erasure, struct error *error)
    MUST_USE;

/** The same on this thread, for start-up and tools. Its outcome is in `erasure`. */
void ledger_erase_now(struct ledger *ledger, struct ledger_erasure *erasure);

/** Entries that the newest published checkpoint covers. */
uint64_t ledger_published_size(struct ledger *ledger);

/**
 * Have what is of before a time (ms since 1970, not 0) pruned, behind: see ledger/pruner.h. What
 * fails is tried again with the next call, and counted in stagepass_ledger_failures_total.
 */
void ledger_prune(struct ledger *ledger, int64_t before_ms);

/** One durable entry's bytes, into the arena. One short read of a file: usually from the page
 * cache. */
bool ledger_entry(struct ledger *ledger, uint64_t index, struct arena *arena, struct str *entry,
                  struct error *error) MUST_USE;

/**
 * As ledger_entry(), with what is kept beside the entry and can be erased: `private_part` is JSON
 * text, empty where it was erased, empty and NULL where there is none. Only for those who may see
 * who a person is.
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

/**
 * Read much, on the ledger's reading thread: ledger/inquiry.h says how.
 *
 * Errors: ERROR_BUSY, ERROR_STOPPING; then the waker is never called
 */
bool ledger_inquire(struct ledger *ledger, struct ledger_inquiry *inquiry, struct error *error)
    MUST_USE;

/** Forget an inquiry that waits: true when its waker will not be called any more. */
bool ledger_forget_inquiry(struct ledger *ledger, const struct ledger_inquiry *inquiry);
