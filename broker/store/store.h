#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/id.h"
#include "base/macros.h"
#include "base/str.h"

/**
 * The store appends proposals: entries with the row changes that follow from them, under guards.
 *
 * Guards are decided and entries appended in one step, in the order in which proposals came. The
 * store knows bytes and rows; what an entry means is the ledger's one fold, which gives the row
 * changes both when an entry is proposed and when it is read again at start.
 *
 * Today there is one backend, a folder: append-only segments of framed, checksummed records, zeroed
 * ahead; one write and one fdatasync a batch on the store's thread; a snapshot a minute, so that
 * start is snapshot plus tail.
 *
 * Threads: shared
 * Source:  design.md 4, security-rules.md 7
 */
struct store;

#define STORE_ENTRY_MAX ((size_t)16 * 1024)
#define STORE_PRIVATE_MAX ((size_t)16 * 1024)
#define STORE_PROPOSAL_ENTRIES_MAX 8
#define STORE_PROPOSAL_GUARDS_MAX 8
#define STORE_ENTRY_CHANGES_MAX 4

/** Where a lease is in its life; a fold of its entries. */
enum store_lease_state {
    LEASE_REQUESTED = 1,
    LEASE_ISSUED,
    LEASE_RELEASED,
    LEASE_REVOKED,
    LEASE_EXPIRED,
    LEASE_FAILED,
    LEASE_UNKNOWN,
};

/**
 * One lease as the store keeps it. Rows stay for LEASE_KEPT_S after `expires_s`.
 *
 * In a change the store itself sets `version`, `opened_index` and `latest_index`; `id` is ID_LEN
 * characters.
 */
struct store_lease {
    char id[ID_LEN + 1];
    uint8_t handle_sha256[32];
    enum store_lease_state state;
    uint32_t version; /* 1 when it appears, one more with each change */
    int64_t expires_s;
    uint64_t opened_index; /* its first entry */
    uint64_t latest_index; /* its latest entry */
};

#define LEASE_KEPT_S 3600

/** Who uses a mark: the first bytes of a digest; all zero is nobody in particular. */
#define STORE_HOLDER_LEN 12

/** The most uses of one mark. */
#define STORE_MARK_USES_MAX 255

enum store_guard_kind {
    STORE_GUARD_MARK_ABSENT, /* nobody has set `mark`, or it has expired */
    STORE_GUARD_MARK_USABLE, /* it is absent, or `holder` has used it fewer than `uses_max` times */
    STORE_GUARD_LEASE,       /* lease `lease_id` is in `state` at `version` */
};

struct store_guard {
    enum store_guard_kind kind;
    uint8_t mark[32];
    uint8_t holder[STORE_HOLDER_LEN]; /* all zero: the mark must be absent */
    unsigned uses_max;
    char lease_id[ID_LEN + 1];
    enum store_lease_state state;
    uint32_t version;
};

/** A mark as the store keeps it. */
struct store_mark {
    uint8_t holder[STORE_HOLDER_LEN];
    unsigned uses; /* 0: there is none */
    int64_t expires_s;
    uint64_t first_index;  /* the entry of its first use */
    uint64_t latest_index; /* the entry that changed it last */
};

enum store_change_kind {
    /*
     * One more use where `holder` is who holds it and not all zero, else its first. Nothing where
     * `lease.id` names a lease that an earlier entry opened: its use is counted already.
     */
    STORE_SET_MARK,
    STORE_FREE_MARK, /* one use less; the last one removes it */
    /*
     * Insert by id, or change the row that is there: an all-zero handle and an expiry of 0 keep
     * what it has. A change without an expiry to a row that is not kept (any more) does nothing.
     */
    STORE_PUT_LEASE,
};

struct store_change {
    enum store_change_kind kind;
    uint8_t mark[32];
    uint8_t holder[STORE_HOLDER_LEN];
    int64_t expires_s; /* of the mark */
    struct store_lease lease;
};

/** One entry: the exact bytes of the leaf, and what is kept beside it but not hashed. */
struct store_entry {
    char *bytes; /* the store writes the time into it before it is hashed or written */
    size_t len;
    size_t time_offset; /* of TIME_TEXT_MS_LEN bytes; times never go back within the log */
    struct str private_part;
    struct store_change changes[STORE_ENTRY_CHANGES_MAX];
    size_t change_count;
};

/** Everything in it is the proposer's and stays untouched until `done`, which is called once. */
struct store_proposal {
    struct store_entry entries[STORE_PROPOSAL_ENTRIES_MAX];
    size_t entry_count;
    struct store_guard guards[STORE_PROPOSAL_GUARDS_MAX];
    size_t guard_count;
    bool is_revocation; /* may use the space kept for revocations when the disk is full */
    void (*done)(struct store_proposal *proposal, void *context); /* on the store's thread */
    void *context;

    /* the outcome, valid in `done` and after it */
    bool is_committed;    /* durable */
    size_t failed_guard;  /* index of the guard that failed, or guard_count */
    uint64_t first_index; /* of entries[0]; the others follow */
    struct error error;   /* unless committed: ERROR_LEDGER, or ERROR_INVALID for a failed guard */

    struct store_proposal *next; /* private */
};

/**
 * What follows from an entry: at most STORE_ENTRY_CHANGES_MAX changes.
 *
 * Pure; called at start for each entry behind the snapshot. `lookup` finds a lease by id as it is
 * at that point. False (the entry makes no sense) stops the start.
 */
struct store_fold {
    bool (*entry)(struct str entry, uint64_t index, struct store_change *changes,
                  size_t *change_count, struct error *error);
};

struct store_options {
    const char *location; /* a folder, made with mode 0700 where it is missing */
    struct store_fold fold;
    size_t segment_bytes; /* 0: 64 MiB */
};

/**
 * Open: lock, recover (snapshot, tail, a torn last record cut), start the thread.
 *
 * Errors: ERROR_IO (locked by another broker: the cause says so; no space), ERROR_INVALID (damage
 * in the middle: the cause has segment and offset)
 */
bool store_open(const struct store_options *options, struct store **store, struct error *error)
    MUST_USE;

/** Finish what is queued and take no more: no callback comes after it. Readers go on. */
void store_drain(struct store *store);

/** Drain, write a snapshot, unlock. */
void store_close(struct store *store);

/** Queue a proposal; false when the store is closing or fenced (then `done` is never called). */
bool store_submit(struct store *store, struct store_proposal *proposal, struct error *error)
    MUST_USE;

/** Whether appends are possible, for readiness: not while space is lacking, not once fenced. */
bool store_is_writable(const struct store *store);

/** Whether a write or sync has failed: nothing is written any more, and the process should end. */
bool store_is_fenced(const struct store *store);

/** Durable entries: indices below are readable. */
uint64_t store_size(const struct store *store);

/** Called on the store's thread after each batch, with the new size. Set once, before submits. */
void store_on_commit(struct store *store, void (*function)(uint64_t size, void *context),
                     void *context);

bool store_lease_by_id(const struct store *store, struct str id, struct store_lease *lease)
    MUST_USE;
bool store_lease_by_handle(const struct store *store, const uint8_t handle_sha256[32],
                           struct store_lease *lease) MUST_USE;
bool store_has_mark(const struct store *store, const uint8_t mark[32]) MUST_USE;
/** A mark that is set and has not expired. */
bool store_mark(const struct store *store, const uint8_t key[32], struct store_mark *mark) MUST_USE;
size_t store_live_lease_count(const struct store *store);

/**
 * Reading entries, from a store that is open here or, without lock or broker, from a folder.
 *
 * A reader sees what was durable when it was opened or last refreshed.
 *
 * Threads: confined
 */
struct store_reader;

bool store_reader_new(const struct store *store, struct store_reader **reader, struct error *error)
    MUST_USE;
/** Errors: ERROR_IO, ERROR_INVALID (no store there) */
bool store_reader_open(const char *folder, struct store_reader **reader, struct error *error)
    MUST_USE;
void store_reader_close(struct store_reader *reader);

OWNED_POINTER(store_reader_close, struct store_reader)

/** Look again how far the log goes. */
bool store_reader_refresh(struct store_reader *reader, struct error *error) MUST_USE;
uint64_t store_reader_size(const struct store_reader *reader);

/**
 * The entry at `index`; `private_part` may be NULL. Cheap in sequence. Borrowed until the next
 * call.
 *
 * Errors: ERROR_NOT_FOUND (past the end), ERROR_INVALID (checksum: the cause has the offset),
 * ERROR_IO
 */
bool store_reader_get(struct store_reader *reader, uint64_t index, struct str *entry,
                      struct str *private_part, struct error *error) MUST_USE;
