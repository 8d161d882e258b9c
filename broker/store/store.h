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
 * It is in a folder, for one broker, or in a PostgreSQL database, for any number of them:
 * folder_store.h and pg_store.h say how. One set of tests holds both
 * (tests/unit/store/conformance*).
 *
 * Threads: shared
 * Source:  design.md 4, security-rules.md 7
 */
struct store;

#define STORE_ENTRY_MAX ((size_t)16 * 1024)
#define STORE_PRIVATE_MAX ((size_t)16 * 1024)
#define STORE_PROPOSAL_ENTRIES_MAX 8
#define STORE_PROPOSAL_GUARDS_MAX 20
#define STORE_ENTRY_CHANGES_MAX 4

/** Where a lease is in its life; a fold of its entries. 0 in a change: it stays where it is. */
enum store_lease_state {
    LEASE_REQUESTED = 1,
    LEASE_ISSUED,
    LEASE_RELEASED,
    LEASE_REVOKED,
    LEASE_EXPIRED,
    LEASE_FAILED,
    LEASE_UNKNOWN,
};

/** The first bytes of a SHA-256 that leases are counted under; all zero is none. */
#define STORE_KEY_LEN 12

/** A handle is found by the first bytes of its SHA-256, as many as it has itself; all zero is none.
 */
#define STORE_HANDLE_LEN 16

/** Under what a lease is counted, and found; ledger/lease_key.h says what the keys are made of. */
enum store_lease_key {
    STORE_KEY_STAGE,  /* its stage, or the instance of it */
    STORE_KEY_JOB,    /* that, in one job */
    STORE_KEY_RUN,    /* that, in one run */
    STORE_KEY_COMMIT, /* that, of one commit */
    STORE_KEY_COUNT
};

/** Whether credentials of a lease are still to be ended at their targets. */
enum store_debt {
    DEBT_STAYS, /* in a change only: as it was */
    DEBT_NONE,
    DEBT_OWED,   /* once the lease has ended; of an unknown or failed one at once */
    DEBT_LAPSES, /* likewise, but nothing is owed any more once the lease has expired */
};

/** How a lease went, as its job says. */
enum store_outcome {
    OUTCOME_UNSAID, /* in a change: as it was */
    OUTCOME_SUCCESS,
    OUTCOME_FAILURE,
};

/**
 * One lease as the store keeps it. Rows stay until LEASE_KEPT_S after `expires_s`, until
 * `kept_until_s`, and while `debt` is DEBT_OWED. What lapses stays owed beside what does not,
 * unless the change has a state: then it says all that is owed.
 *
 * In a change the store itself sets `version`, the three indices, `opened_s`, `renewed_s` and
 * `ended_s`; `id` is ID_LEN characters, as id_is_valid() wants them.
 */
struct store_lease {
    char id[ID_LEN + 1];
    uint8_t handle[STORE_HANDLE_LEN];
    uint8_t keys[STORE_KEY_COUNT][STORE_KEY_LEN];
    enum store_lease_state state;
    enum store_debt debt;
    enum store_outcome outcome;
    uint32_t version; /* 1 when it appears, one more with each change */
    uint16_t attempt; /* of the run; 0: not known */
    uint16_t heartbeat_s;
    uint16_t renewal; /* the number of its latest renewal; 0: none */
    int64_t expires_s;
    int64_t kept_until_s;
    int64_t opened_s;           /* the time of its first entry */
    int64_t renewed_s;          /* of the first entry with this `renewal`; 0: none */
    int64_t ended_s;            /* of the first since which it is neither requested nor issued */
    uint64_t opened_index;      /* its first entry */
    uint64_t latest_index;      /* its latest entry */
    uint64_t credentials_index; /* the latest that names credentials which may exist */
    bool has_credentials;       /* in a change: its entry is such a one */
};

#define LEASE_KEPT_S 3600

/** Whether any of its credentials is to be ended, now or once the lease has. */
bool store_lease_owes(const struct store_lease *lease, int64_t now_s);

/** Silence of so many heartbeats ends a lease. */
#define LEASE_BEATS 3

/** A lease that is requested for longer than this was left by a broker that is gone. */
#define LEASE_REQUESTED_MAX_S 600

enum store_approval_state {
    APPROVAL_PENDING = 1,
    APPROVAL_GRANTED, /* by as many people as are asked for */
    APPROVAL_REJECTED,
    APPROVAL_USED,
};

/** The most approvals that are kept. */
#define STORE_APPROVALS_MAX 16384

/** The most people that one can ask for. */
#define STORE_APPROVERS_MAX 10

/** How a person is told from others: the first bytes of a digest. */
#define STORE_PERSON_LEN 12

/**
 * An approval as the store keeps it, until `expires_s`.
 *
 * In a change the store itself sets `version`, the two indices and `person_count`; `people[0]` is
 * who is added, all zero nobody. State 0, an expiry of 0 and an all-zero digest or code keep what
 * it has.
 */
struct store_approval {
    char id[ID_LEN + 1];
    uint8_t code_sha256[32]; /* of what its job asks with; all zero: it was given ahead of time */
    uint8_t digest[32];      /* of what is approved */
    enum store_approval_state state;
    uint32_t version;
    int64_t expires_s; /* pending: until when it waits; granted: until when it serves */
    uint64_t opened_index;
    uint64_t latest_index;
    uint8_t people[STORE_APPROVERS_MAX][STORE_PERSON_LEN]; /* who granted it */
    uint8_t person_count;
    bool is_break_glass;
};

/** The most blocks that are kept, those that have ended among them until another one comes. */
#define STORE_BLOCKS_MAX 1024

/** A block as the store keeps it: what it is about stands in its entry. */
struct store_block {
    char id[ID_LEN + 1];
    int64_t expires_s;
    uint64_t index; /* of its entry */
};

/** Who uses a mark: the first bytes of a digest; all zero is nobody in particular. */
#define STORE_HOLDER_LEN 12

/** The most uses of one mark. */
#define STORE_MARK_USES_MAX 255

enum store_guard_kind {
    STORE_GUARD_MARK_ABSENT, /* nobody has set `mark`, or it has expired */
    STORE_GUARD_MARK_USABLE, /* it is absent, or `holder` has used it fewer than `uses_max` times */
    STORE_GUARD_LEASE,  /* lease `lease_id` is in `state` at `version`; `must_live`: not expired */
    STORE_GUARD_BLOCKS, /* blocks are as they were at `blocks`: none came, none was removed */
    STORE_GUARD_FEWER_LIVE, /* fewer than `count` leases under `key` live */
    /* fewer than `count` leases under `key` were opened at `since_s` or later; failed ones do not
       count */
    STORE_GUARD_FEWER_OPENED,
    /*
     * The latest lease under `key`, of those whose attempt is at most `attempt` (0: any), was
     * opened at `since_s` or later and got credentials: it is issued, released or expired; where
     * `must_succeed` released with success.
     */
    STORE_GUARD_LATEST,
    STORE_GUARD_APPROVAL, /* approval `lease_id` is in `approval` at `version` and serves still */
};

struct store_guard {
    enum store_guard_kind kind;
    uint8_t mark[32];
    uint8_t holder[STORE_HOLDER_LEN]; /* all zero: the mark must be absent */
    unsigned uses_max;
    char lease_id[ID_LEN + 1];
    enum store_lease_state state;
    uint32_t version;
    bool must_live;
    uint64_t blocks; /* as store_blocks() told it */
    enum store_lease_key key_kind;
    uint8_t key[STORE_KEY_LEN]; /* all zero: the guard fails */
    uint32_t count;
    uint16_t attempt;
    int64_t since_s;
    bool must_succeed;
    enum store_approval_state approval;
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
     * Insert by id, or change the row that is there: what is zero keeps what it has. A change
     * without an expiry to a row that is not kept (any more) does nothing.
     */
    STORE_PUT_LEASE,
    STORE_PUT_APPROVAL, /* likewise */
    STORE_PUT_BLOCK,    /* `block`, until `expires_s`; one change of blocks an entry */
    STORE_REMOVE_BLOCK, /* `block`, if it is there */
};

struct store_change {
    enum store_change_kind kind;
    uint8_t mark[32];
    uint8_t holder[STORE_HOLDER_LEN];
    int64_t expires_s; /* of the mark, or the block */
    union {
        struct store_lease lease; /* of a mark too: its id */
        struct store_approval approval;
        char block[ID_LEN + 1];
    };
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

    /* Last, since they are most of it: the store touches no more than `entry_count`. */
    struct store_entry entries[STORE_PROPOSAL_ENTRIES_MAX];
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
    const char *location; /* a folder, made with mode 0700 where it is missing; or postgresql:// */
    struct store_fold fold;
    size_t segment_bytes; /* of a folder; 0: 64 MiB */
    const char *dsn_file; /* instead of a location: a file with a PostgreSQL URL and its password */
    bool reads_all;       /* of a folder: throw the snapshot away, and read all entries */
};

/**
 * Open: lock, recover, start the thread. A folder: the snapshot, the tail, a torn last record cut.
 * A database: the schema is brought up to date.
 *
 * Errors: ERROR_IO (locked by another broker: the cause says so; no space; no connection),
 * ERROR_INVALID (damage in the middle: the cause has segment and offset), ERROR_CONFIG (a database
 * that cannot hold the log: the cause says why)
 */
bool store_open(const struct store_options *options, struct store **store, struct error *error)
    MUST_USE;

/**
 * Make or upgrade the tables of the database that a file names, for a role that owns them where the
 * broker's own may not.
 *
 * Errors: ERROR_IO, ERROR_CONFIG, ERROR_LEDGER
 */
bool store_migrate(const char *dsn_file, struct error *error) MUST_USE;

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

#define STORE_ERASE_MAX ((size_t)4096)

/**
 * Erase the private parts of entries for good: when it returns their bytes are overwritten, or in a
 * database set to nothing, and that is durable. Those without one, and those that are erased
 * already, stay as they are. `indices` ascend, at most STORE_ERASE_MAX of them, below store_size().
 *
 * `forget` (or NULL) is called when they are gone, for whoever keeps copies; what it fails with is
 * the outcome. A start after a crash in the middle finishes the erasure, and removes the index of
 * the log that is in the folder, so that it is made anew.
 *
 * Errors:  ERROR_IO (the disk; then the store is fenced), ERROR_LEDGER, ERROR_MEMORY, those of
 *          `forget`
 * Threads: any; takes long, and one waits for another
 */
bool store_erase(struct store *store, const uint64_t *indices, size_t count,
                 bool (*forget)(void *context, struct error *error), void *context,
                 struct error *error) MUST_USE;

/**
 * What is left of an entry that was pruned, and what readers give as its bytes: a NUL, which no
 * entry begins with, and its leaf hash (RFC 6962 2.1).
 */
#define STORE_PRUNED_LEN ((size_t)33)
#define STORE_PRUNE_MAX ((size_t)1024)

bool store_entry_is_pruned(struct str entry);

/**
 * Prune entries from `from` on, below `below` and STORE_PRUNE_MAX at most: their bytes and private
 * parts are overwritten but for their leaf hashes. A folder prunes whole batches, so that it may
 * end earlier: `*to` is the first entry that is left. The last entry of the log is never pruned.
 *
 * `forget`, what is durable, errors and threads are as with store_erase().
 */
bool store_prune(struct store *store, uint64_t from, uint64_t below, uint64_t *to,
                 bool (*forget)(void *context, struct error *error), void *context,
                 struct error *error) MUST_USE;

/**
 * The first entry of the leases that live, owe, or are kept for a time that was said, of the
 * approvals that are kept and of the blocks in force; UINT64_MAX: there are none.
 */
bool store_oldest_live(const struct store *store, uint64_t *index, struct error *error) MUST_USE;

/** Called on the store's thread after each batch, with the new size. Set once, before submits. */
void store_on_commit(struct store *store, void (*function)(uint64_t size, void *context),
                     void *context);

/*
 * Looking up rows. In a folder they are in memory; a database is asked, which takes a round trip,
 * and four seconds at most where it does not answer.
 *
 * Errors: ERROR_NOT_FOUND (there is none), ERROR_LEDGER (the database cannot be asked)
 */
bool store_lease_by_id(const struct store *store, struct str id, struct store_lease *lease,
                       struct error *error) MUST_USE;
bool store_lease_by_handle(const struct store *store, const uint8_t handle[STORE_HANDLE_LEN],
                           struct store_lease *lease, struct error *error) MUST_USE;
/** A mark that is set and has not expired. */
bool store_mark(const struct store *store, const uint8_t key[32], struct store_mark *mark,
                struct error *error) MUST_USE;

/**
 * All blocks as they are now, ended ones too, with the version for STORE_GUARD_BLOCKS.
 *
 * Errors: ERROR_LEDGER (the database cannot be asked)
 */
struct store_blocks {
    uint64_t version;
    size_t count;
    struct store_block rows[STORE_BLOCKS_MAX];
};
bool store_blocks(const struct store *store, struct store_blocks *blocks, struct error *error)
    MUST_USE;
/**
 * The newest version of the blocks that this process knows of: in a folder the newest, of a
 * database that of a quarter of a second ago, or newer. After a failed guard it is newer than what
 * failed.
 */
uint64_t store_blocks_version(const struct store *store);

/**
 * Leases under a key, the latest first: at most `max` of them.
 *
 * Errors: ERROR_LEDGER (the database cannot be asked)
 */
bool store_leases_under(const struct store *store, enum store_lease_key kind,
                        const uint8_t key[STORE_KEY_LEN], struct store_lease *leases, size_t max,
                        size_t *count, struct error *error) MUST_USE;

/**
 * Leases that live under a stage's key, the oldest first: at most `max` of them; `*live` is how
 * many there are.
 *
 * Errors: ERROR_LEDGER (the database cannot be asked)
 */
bool store_live_of_stage(const struct store *store, const uint8_t key[STORE_KEY_LEN],
                         struct store_lease *leases, size_t max, size_t *live, struct error *error)
    MUST_USE;

/*
 * Approvals; by id and code expired ones too, as long as they are kept.
 *
 * Errors: ERROR_NOT_FOUND, ERROR_LEDGER (the database cannot be asked)
 */
bool store_approval_by_id(const struct store *store, struct str id, struct store_approval *approval,
                          struct error *error) MUST_USE;
bool store_approval_by_code(const struct store *store, const uint8_t code_sha256[32],
                            struct store_approval *approval, struct error *error) MUST_USE;

/**
 * Those of a digest that are granted and have not expired, the one that serves longest first: at
 * most `max`.
 *
 * Errors: ERROR_LEDGER
 */
bool store_approvals_of(const struct store *store, const uint8_t digest[32],
                        struct store_approval *approvals, size_t max, size_t *count,
                        struct error *error) MUST_USE;

/**
 * Those that are pending or granted and have not expired, the oldest first: at most `max`.
 *
 * Errors: ERROR_LEDGER, ERROR_MEMORY
 */
bool store_approvals(const struct store *store, struct store_approval *approvals, size_t max,
                     size_t *count, struct error *error) MUST_USE;

/*
 * What falls due. A lease does
 * - when it was silent for LEASE_BEATS heartbeats, where it is issued and has one;
 * - at `expires_s`, where it owes;
 * - LEASE_REQUESTED_MAX_S after it was opened, where it is still requested;
 * - at once, where it owes and is neither requested nor issued.
 * Whoever claims it looks what is to be done; until it has an entry for that the lease falls due
 * again at the time that was said.
 *
 * Heartbeats and these times are no entries. In a folder they are in memory; in a database they are
 * written every five seconds. After a start silence is counted anew.
 */

/** A heartbeat of an issued lease, now. Errors: ERROR_NOT_FOUND (there is no such, or it ended) */
bool store_beat(struct store *store, const uint8_t handle[STORE_HANDLE_LEN],
                struct store_lease *lease, struct error *error) MUST_USE;

/** Leases that are due. */
struct store_claims {
    struct store_lease *leases; /* the caller's: at most `max` */
    size_t max;
    size_t count;
    int64_t ahead_s; /* of this broker's clock, ahead of the database's; 0: it is not */
};

/**
 * Claim leases that are due, those that wait longest first. None is claimed twice, by this broker
 * or another one of the database, before `again_s` seconds are over. What has just
 * expired, by this broker's clock but not yet by the database's, is left.
 *
 * Errors:  ERROR_LEDGER (the database cannot be asked)
 * Threads: any, not an HTTP thread
 */
bool store_claim_due(struct store *store, int64_t again_s, struct store_claims *claims,
                     struct error *error) MUST_USE;

/** When a lease that falls due does so, instead. Errors: ERROR_LEDGER (it cannot be asked) */
bool store_put_off(struct store *store, const char id[ID_LEN], int64_t due_s, struct error *error)
    MUST_USE;

/** How many leases owe though they have ended, and since when the oldest; for metrics. */
size_t store_owed_count(const struct store *store, int64_t *oldest_ended_s);

/** How many leases were live when that could last be asked. */
size_t store_live_lease_count(const struct store *store);

/**
 * Offer a signed checkpoint of `size` entries as the newest that anybody publishes. Where brokers
 * share the store another one may have come first: `*newest` is the one that holds, the offered one
 * or one of the same or a larger size. So no two are published that differ, or go back.
 *
 * Errors: ERROR_LEDGER (the database cannot be asked), ERROR_MEMORY
 */
bool store_offer_checkpoint(const struct store *store, uint64_t size, struct str note,
                            struct arena *arena, struct str *newest, struct error *error) MUST_USE;

/** The one that holds; empty where none was offered, or the store is one broker's. Errors: the same
 */
bool store_newest_checkpoint(const struct store *store, struct arena *arena, struct str *newest,
                             struct error *error) MUST_USE;

/**
 * The same of a location that need not be open here: a database keeps it. Empty for a folder, whose
 * log lies in files.
 *
 * Errors: ERROR_IO, ERROR_INVALID (no store there), ERROR_CONFIG, ERROR_MEMORY
 */
bool store_read_checkpoint(const char *location, struct arena *arena, struct str *note,
                           struct error *error) MUST_USE;

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
/**
 * `location` is a folder or a postgresql:// URL without a password.
 *
 * Errors: ERROR_IO, ERROR_INVALID (no store there), ERROR_CONFIG
 */
bool store_reader_open(const char *location, struct store_reader **reader, struct error *error)
    MUST_USE;
void store_reader_close(struct store_reader *reader);

OWNED_POINTER(store_reader_close, struct store_reader)

/** Look again how far the log goes. */
bool store_reader_refresh(struct store_reader *reader, struct error *error) MUST_USE;
uint64_t store_reader_size(const struct store_reader *reader);

/**
 * The entry at `index`; `private_part` may be NULL. Cheap in sequence. Borrowed until the next
 * call. Of an entry without a private part its `data` is NULL; of one that was erased it is empty.
 * One that was pruned is as store_entry_is_pruned() says.
 *
 * Errors: ERROR_NOT_FOUND (past the end), ERROR_INVALID (checksum: the cause has the offset),
 * ERROR_IO
 */
bool store_reader_get(struct store_reader *reader, uint64_t index, struct str *entry,
                      struct str *private_part, struct error *error) MUST_USE;

/** Where an entry is, for a later reader: the frame that holds it, and what that begins with. */
struct store_place {
    uint64_t first_index;
    uint64_t segment;
    uint64_t offset;
};

/** Where the entry is that was read last; false where there is no such thing. */
bool store_reader_place(const struct store_reader *reader, struct store_place *place) MUST_USE;

/** What is near a place is read without looking for it. A wrong one is found out, and ignored. */
void store_reader_hint(struct store_reader *reader, const struct store_place *place);

/**
 * Writing a whole ledger into a new store: entries as they are, times and all. What follows from
 * them is made at the first start of a broker. An import that was not finished leaves a store that
 * is not empty any more: remove it.
 *
 * Threads: confined
 */
struct store_import;

/** Errors: those of store_open(), ERROR_USAGE (the store has entries already) */
bool store_import_open(const struct store_options *options, struct store_import **import,
                       struct error *error) MUST_USE;

/**
 * The next entry; durable when store_import_flush() says so. `time_ms` is what it says it is.
 *
 * Errors: ERROR_LIMIT (larger than an entry may be), ERROR_INVALID (the time goes back), ERROR_IO
 */
bool store_import_add(struct store_import *import, struct str entry, struct str private_part,
                      int64_t time_ms, struct error *error) MUST_USE;

bool store_import_flush(struct store_import *import, struct error *error) MUST_USE;

/** The store, for readers and the checkpoint; it takes no proposals. */
const struct store *store_import_store(const struct store_import *import);

void store_import_close(struct store_import *import);

OWNED_POINTER(store_import_close, struct store_import)
