#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/batch.h"
#include "store/store.h"

/** An entry of another store, as it is. */
struct store_import_item {
    struct str entry;
    struct str private_part;
    int64_t time_ms;
};

/** As many as fit into a frame whatever they are. */
#define STORE_IMPORT_ITEMS_MAX 32

/** Which leases store_leases_under() or store_live_of_stage() is asked for, and where they go. */
struct store_leases_query {
    enum store_lease_key kind;
    const uint8_t *key;
    struct store_lease *leases;
    size_t max;
};

/**
 * What differs between the places where a store can be. One row a backend: the rest of store.h is
 * the same for all.
 *
 * `commit`, `tick` run on the store's thread, the lookups on any.
 */
struct store_backend {
    unsigned tick_ms;

    /**
     * Decide and append: call `done` of each of the list, in order, whatever its outcome is, and
     * `on_commit` after each batch. What is durable raises store->size.
     */
    void (*commit)(struct store *store, struct store_proposal *list);

    /** Housekeeping, every tick_ms. */
    void (*tick)(struct store *store);

    /** Keep what makes the next start quick, and free the store. Its thread has ended. */
    void (*close)(struct store *store);

    bool (*lease_by_id)(const struct store *store, const char id[ID_LEN], struct store_lease *lease,
                        struct error *error);
    bool (*lease_by_handle)(const struct store *store, const uint8_t handle[STORE_HANDLE_LEN],
                            struct store_lease *lease, struct error *error);
    bool (*mark)(const struct store *store, const uint8_t key[32], struct store_mark *mark,
                 struct error *error);
    bool (*blocks)(const struct store *store, struct store_blocks *blocks, struct error *error);
    size_t (*live_lease_count)(const struct store *store);
    bool (*approval)(const struct store *store, enum approval_key by, const void *key,
                     struct store_approval *approval, struct error *error);
    bool (*approvals_of)(const struct store *store, const uint8_t digest[32],
                         struct store_approval *approvals, size_t max, size_t *count,
                         struct error *error);
    bool (*approvals)(const struct store *store, struct store_approval *approvals, size_t max,
                      size_t *count, struct error *error);
    bool (*beat)(struct store *store, const uint8_t handle[STORE_HANDLE_LEN],
                 struct store_lease *lease, struct error *error);
    bool (*claim_due)(struct store *store, int64_t again_s, struct store_claims *claims,
                      struct error *error);
    bool (*put_off)(struct store *store, const char id[ID_LEN], int64_t due_s, struct error *error);
    size_t (*owed_count)(const struct store *store, int64_t *oldest_ended_s);
    bool (*live_of_stage)(const struct store *store, const struct store_leases_query *query,
                          size_t *live, struct error *error);
    bool (*leases_under)(const struct store *store, const struct store_leases_query *query,
                         size_t *count, struct error *error);
    /** Append entries as they are, durably, before the store's thread is started. */
    bool (*import)(struct store *store, const struct store_import_item *items, size_t count,
                   struct error *error);

    /** NULL where nobody else publishes. */
    bool (*offer_checkpoint)(const struct store *store, uint64_t size, struct str note,
                             struct arena *arena, struct str *newest, struct error *error);
    bool (*newest_checkpoint)(const struct store *store, struct arena *arena, struct str *newest,
                              struct error *error);
    bool (*reader_new)(const struct store *store, struct store_reader **reader,
                       struct error *error);
    bool (*erase)(struct store *store, const uint64_t *indices, size_t count, struct error *error);
    bool (*prune)(struct store *store, uint64_t from, uint64_t below, uint64_t *to,
                  struct error *error);
    bool (*oldest_live)(const struct store *store, uint64_t *index, struct error *error);
    /** What erase() or prune() began is complete, also where copies were kept; NULL: nothing to do.
     */
    bool (*end_erasure)(struct store *store, struct error *error);
};

/**
 * What all backends have, and the first member of each one's own struct.
 *
 * Threads: shared
 */
struct store {
    const struct store_backend *backend;

    /* the store's thread's alone */
    int64_t time_ms;     /* of the last entry */
    int64_t marks_ms;    /* what marks were last held against */
    int64_t marks_at_ms; /* the monotonic clock then */
    void (*on_commit)(uint64_t size, void *context);
    void *on_commit_context;

    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct store_proposal *first; /* guarded by lock */
    struct store_proposal **end;  /* guarded by lock */
    size_t queued_count;          /* guarded by lock */
    bool is_closing;              /* guarded by lock */

    pthread_mutex_t erasing; /* one erasure at a time */
    bool must_start_anew;    /* guarded by erasing: something did not forget what was erased */
    atomic_uint erasures;    /* how many there were: readers forget what they have read before */

    atomic_uint_fast64_t size;           /* durable entries */
    atomic_uint_fast64_t blocks_version; /* as store_blocks_version() */
    atomic_bool is_fenced;               /* nothing is written any more */
    atomic_bool is_full;                 /* no appends for now: the last attempt found no space */
};

/** Errors: ERROR_MEMORY */
bool store_init(struct store *store, const struct store_backend *backend, struct error *error)
    MUST_USE;
void store_release(struct store *store);

/** Start with a log of `size` entries, the last of them of this time. Before the thread runs. */
void store_begin_at(struct store *store, uint64_t size, int64_t time_ms);

/* For the store's thread. */

/** The wall clock, but never before the last entry's time. */
int64_t store_next_time_ms(const struct store *store);

/**
 * The time by which marks end: the clock's, but from the log's on it goes at most twice as fast as
 * time passes. A clock that jumps ahead and comes back must not make a used token good again.
 */
int64_t store_marks_time_s(struct store *store);

/** Write nothing any more: the process should end. */
void store_fence(struct store *store);

/** The batch was not written: nobody in it has anything. */
void store_fail_batch(struct batch *batch, const char *cause);

/** Call `done` of all that the batch took. */
void store_call_done(struct batch *batch);

/** Fail all that waits in the queue, so that nobody waits for what may take long. */
void store_fail_queue(struct store *store, const char *cause);

/** Whether the store should come to an end. */
bool store_is_closing(struct store *store);

/** Whether proposals wait. */
bool store_is_busy(struct store *store);

/** What differs between readers of one backend and another; the first member of each. */
struct store_reader_backend {
    void (*close)(struct store_reader *reader);
    bool (*refresh)(struct store_reader *reader, struct error *error);
    bool (*get)(struct store_reader *reader, uint64_t index, struct str *entry,
                struct str *private_part, struct error *error);
    /** Where the entry that was read last is, and a place to begin at; NULL: there are none. */
    bool (*place)(const struct store_reader *reader, struct store_place *place);
    void (*hint)(struct store_reader *reader, const struct store_place *place);
};

/** Threads: confined */
struct store_reader {
    const struct store_reader_backend *backend;
    uint64_t size; /* entries below it can be read */
};
