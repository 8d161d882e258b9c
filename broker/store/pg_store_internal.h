#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "store/batch.h"
#include "store/beats.h"
#include "store/pg_internal.h"
#include "store/pg_rows_internal.h"
#include "store/store_internal.h"

#define PG_WRITER_ID_LEN 16
#define PG_LOOKUPS_KEPT 8

/** Connections by which any thread looks up rows. Threads: shared */
struct pg_lookups {
    const struct pg_place *place;
    const struct store *store;
    atomic_uint_fast64_t *size;      /* of the store: raised where a row speaks of later entries */
    atomic_int_fast64_t retry_at_ms; /* after a session was lost nobody connects before that */

    pthread_mutex_t lock;
    struct pg_connection idle[PG_LOOKUPS_KEPT]; /* guarded by lock */
    size_t idle_count;                          /* guarded by lock */
};

/** Threads: shared; but for `lookups` and `beats` all is the store's thread's alone once it runs */
struct pg_store {
    struct store store; /* first, so that either is the other */
    struct pg_place place;
    struct store_fold fold;
    struct pg_lookups *lookups;
    struct beats beats; /* not written yet */

    struct pg_connection writer;
    struct pg_rows rows;
    struct batch batch;
    struct store_proposal *chosen[FRAME_ENTRIES_MAX]; /* of the batch under way */
    size_t chosen_count;
    struct buf entries;  /* the array that is sent next */
    struct buf privates; /* the same */

    uint8_t writer_id[PG_WRITER_ID_LEN]; /* of this process, in stagepass.writers */
    int64_t batch_number;                /* of the last batch that was tried */

    uint64_t told_size; /* what on_commit was told last */
    bool has_last;      /* the last entry that we wrote, to know the log by */
    uint64_t last_index;
    uint8_t last_sha256[SHA256_LEN];

    int64_t retry_at_ms;       /* when to connect again */
    int64_t retry_ms;          /* how long was waited last */
    struct error link_failure; /* of the last attempt */
    int64_t sweep_at_ms;
    int64_t beats_at_ms; /* when they are written next */
};

/* --- pg_link.c: keeping the connection --- */

/** Connect, unless we are; not before the time of the next attempt. Unwritable while we are not. */
bool pg_link(struct pg_store *pg, struct error *error) MUST_USE;

/** The same at once, whenever the last attempt was. */
bool pg_link_now(struct pg_store *pg, struct error *error) MUST_USE;

/**
 * Whether batch `number` was committed, which the database knows once nobody is committing it any
 * more: ask until it answers.
 *
 * False when it is not known and never will be here: the store is fenced, or closing for too long.
 */
bool pg_link_resolve(struct pg_store *pg, int64_t number, bool *is_committed, struct error *error)
    MUST_USE;

/** Raise a size that other threads may raise meanwhile. */
void pg_raise(atomic_uint_fast64_t *size, uint64_t to);

/** The log has this size now: tell whom it concerns, once. */
void pg_tell_size(struct pg_store *pg, uint64_t size);

/* --- pg_commit.c --- */

void pg_commit(struct store *store, struct store_proposal *list);

/* --- pg_fold.c --- */

/** Make the marks and leases of all entries that they do not follow from yet. */
bool pg_fold(struct pg_store *pg, struct pg_head *head, struct error *error) MUST_USE;

/* --- pg_import.c --- */

bool pg_import(struct store *store, const struct store_import_item *items, size_t count,
               struct error *error) MUST_USE;

/* --- pg_lookup.c --- */

struct pg_lookups *pg_lookups_new(const struct pg_place *place, struct store *store) MUST_USE;
void pg_lookups_free(struct pg_lookups *lookups);

/** Errors: ERROR_NOT_FOUND, ERROR_LEDGER (the database cannot be asked) */
bool pg_lookup_lease_by_id(struct pg_lookups *lookups, const char id[ID_LEN],
                           struct store_lease *lease, struct error *error) MUST_USE;
bool pg_lookup_lease_by_handle(struct pg_lookups *lookups, const uint8_t handle[STORE_HANDLE_LEN],
                               struct store_lease *lease, struct error *error) MUST_USE;
bool pg_lookup_mark(struct pg_lookups *lookups, const uint8_t key[32], struct store_mark *mark,
                    struct error *error) MUST_USE;
/** As store_offer_checkpoint() and store_newest_checkpoint(). */
bool pg_lookup_offer_checkpoint(struct pg_lookups *lookups, uint64_t size, struct str note,
                                struct arena *arena, struct str *newest, struct error *error)
    MUST_USE;
bool pg_lookup_newest_checkpoint(struct pg_lookups *lookups, struct arena *arena,
                                 struct str *newest, struct error *error) MUST_USE;

/** As store_erase(). */
bool pg_lookup_erase(struct pg_lookups *lookups, const uint64_t *indices, size_t count,
                     struct error *error) MUST_USE;

/** As store_prune(), of exactly these, and store_oldest_live(). */
bool pg_lookup_prune(struct pg_lookups *lookups, uint64_t from, uint64_t below, struct error *error)
    MUST_USE;
bool pg_lookup_oldest_live(struct pg_lookups *lookups, uint64_t *index, struct error *error)
    MUST_USE;

/** As store_blocks(). */
bool pg_lookup_blocks(struct pg_lookups *lookups, struct store_blocks *blocks, struct error *error)
    MUST_USE;

/** As store_leases_under(), store_approvals() and those that find one of them. */
bool pg_lookup_leases_under(struct pg_lookups *lookups, const struct store_leases_query *query,
                            size_t *count, struct error *error) MUST_USE;
bool pg_lookup_live_of_stage(struct pg_lookups *lookups, const struct store_leases_query *query,
                             size_t *live, struct error *error) MUST_USE;
bool pg_lookup_approval(struct pg_lookups *lookups, enum approval_key by, const void *key,
                        struct store_approval *approval, struct error *error) MUST_USE;
bool pg_lookup_approvals_of(struct pg_lookups *lookups, const uint8_t digest[32],
                            struct store_approval *approvals, size_t max, size_t *count,
                            struct error *error) MUST_USE;
bool pg_lookup_approvals(struct pg_lookups *lookups, struct store_approval *approvals, size_t max,
                         size_t *count, struct error *error) MUST_USE;

bool pg_lookup_live_leases(struct pg_lookups *lookups, size_t *count, struct error *error) MUST_USE;

/** Ask by a connection of the lookups; NULL with ERROR_LEDGER where the database does not answer.
 */
PGresult *pg_look_up(struct pg_lookups *lookups, enum pg_statement statement,
                     const struct pg_values *values, struct error *error) MUST_USE;

/* --- pg_due.c: what falls due, by the connections of the lookups --- */

/** As store_beat(); it is written with others. */
bool pg_beat(struct store *store, const uint8_t handle[STORE_HANDLE_LEN], struct store_lease *lease,
             struct error *error) MUST_USE;

/** Write the heartbeats that wait. */
bool pg_write_beats(struct pg_store *pg, struct error *error);

/** As store_claim_due(), store_put_off() and store_owed_count(). */
bool pg_claim_due(struct store *store, int64_t again_s, struct store_claims *claims,
                  struct error *error) MUST_USE;
bool pg_put_off(struct store *store, const char id[ID_LEN], int64_t due_s, struct error *error)
    MUST_USE;
size_t pg_owed_count(const struct store *store, int64_t *oldest_ended_s);

/* --- pg_reader.c --- */

bool pg_reader_new(const struct pg_place *place, struct store_reader **reader, struct error *error)
    MUST_USE;
