#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "store/approvals.h"
#include "store/blocks.h"
#include "store/leases.h"
#include "store/marks.h"
#include "store/pending.h"
#include "store/store.h"

/** The most marks, 1 GiB of them. */
#define MARKS_MAX ((size_t)16 * 1024 * 1024)

/**
 * The rows that follow from all durable entries.
 *
 * Threads: shared; only the store's thread changes it, so it may read rows without the lock
 */
struct state {
    pthread_mutex_t lock;
    struct marks marks;         /* guarded by lock */
    struct leases leases;       /* guarded by lock */
    struct blocks blocks;       /* guarded by lock */
    struct approvals approvals; /* guarded by lock */
    size_t sweep_shard;         /* the store's thread's */
    int64_t forgotten_s;        /* the store's thread's: marks that ended until then may be gone */
};

/** The times that decisions and rows are held against. */
struct state_times {
    int64_t marks_s; /* by which marks end */
    int64_t rows_s;  /* by which leases and approvals do */
};

/** NULL without memory. */
struct state *state_new(void) MUST_USE;
void state_free(struct state *state);

/** Forget all rows. */
void state_clear(struct state *state);

/**
 * Have the memory fetched that a proposal is decided and applied with, while what comes before it
 * is. Only on the store's thread.
 */
void state_expect(const struct state *state, const struct store_proposal *proposal);

/** Apply one change; false without memory. Marks that have expired at `marks_s` are left out. */
bool state_apply(struct state *state, const struct pending_change *change, int64_t marks_s)
    MUST_USE;

/** Apply all of them, also where the memory for one was missing, which is told by false. */
bool state_apply_all(struct state *state, const struct pending_change *changes, size_t count,
                     int64_t marks_s) MUST_USE;

/** Whether so many more marks and leases stay within their limits. */
bool state_has_room(const struct state *state, size_t change_count);

/** Whether so many more blocks do. */
bool state_has_room_for_blocks(const struct state *state, size_t block_count, int64_t now_s);

/** Whether the approvals that a proposal opens do, with those of `pending`. */
bool state_has_room_for_approvals(const struct state *state, const struct pending *pending,
                                  const struct store_proposal *proposal, int64_t now_s);

/**
 * Whether a guard holds once `pending` is applied. Only on the store's thread. Where it counts
 * leases that live state_advance() has to be done with `rows_s`.
 */
bool state_guard_holds(const struct state *state, const struct pending *pending,
                       const struct store_guard *guard, const struct state_times *times) MUST_USE;

/** Whether a mark that ends at `expires_s` would still be known if it had been set. */
bool state_remembers(const struct state *state, int64_t expires_s);

/** Remove marks that ended from one shard, in turn, and all approvals that expired. */
void state_sweep(struct state *state, int64_t marks_s);

/** From now on keep what falls due, as leases_begin() does. */
void state_begin(struct state *state, int64_t now_s);

/**
 * What has ended until `rows_s` does not live any more, and rows that were kept for long enough are
 * gone. Only on the store's thread. At most `budget` of them; false: there are more.
 */
bool state_advance(struct state *state, int64_t rows_s, size_t budget);

/* What other threads may ask. */
bool state_mark(struct state *state, const uint8_t key[MARK_LEN], int64_t now_s,
                struct store_mark *mark) MUST_USE;
bool state_lease_by_id(struct state *state, const char id[ID_LEN], struct store_lease *lease)
    MUST_USE;
bool state_lease_by_handle(struct state *state, const uint8_t handle[STORE_HANDLE_LEN],
                           struct store_lease *lease) MUST_USE;
void state_blocks(struct state *state, struct store_blocks *blocks);
/** Leases that live under a stage's key, the oldest first; how many there are. */
size_t state_live_of_stage(struct state *state, const uint8_t key[STORE_KEY_LEN], int64_t now_s,
                           struct store_lease *leases, size_t max);
size_t state_live_lease_count(struct state *state);
/** Leases under a key, the latest first. */
size_t state_leases_under(struct state *state, enum store_lease_key kind,
                          const uint8_t key[STORE_KEY_LEN], struct store_lease *leases, size_t max);
/** The first entry of all that is needed after `now_s`; UINT64_MAX: there is none. */
uint64_t state_oldest_live(struct state *state, int64_t now_s);

/** As approvals_find(); false where there is none. */
bool state_approval(struct state *state, enum approval_key by, const void *key,
                    struct store_approval *approval) MUST_USE;
/** As approvals_of_digest(). */
size_t state_approvals_of(struct state *state, const uint8_t digest[32], int64_t now_s,
                          struct store_approval *approvals, size_t max);
/** Those that are pending or granted and have not expired, the oldest first; false without memory.
 */
bool state_approvals(struct state *state, int64_t now_s, struct store_approval *approvals,
                     size_t max, size_t *count) MUST_USE;

/* What falls due, asked and told by any thread. */
bool state_beat(struct state *state, const uint8_t handle[STORE_HANDLE_LEN], int64_t now_s,
                struct store_lease *lease) MUST_USE;
size_t state_claim_due(struct state *state, int64_t now_s, int64_t again_s,
                       struct store_lease *leases, size_t max);
void state_put_off(struct state *state, const char id[ID_LEN], int64_t due_s);
size_t state_owed_count(struct state *state, int64_t *oldest_ended_s);
