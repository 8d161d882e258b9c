#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "store/leases.h"
#include "store/marks.h"
#include "store/store.h"

/** The most marks, 1 GiB of them. */
#define MARKS_MAX ((size_t)16 * 1024 * 1024)

/**
 * The rows that follow from all durable entries.
 *
 * Threads: shared; only the store's thread changes it, so it may read `marks` and `leases` without
 *          the lock
 */
struct state {
    pthread_mutex_t lock;
    struct marks marks;   /* guarded by lock */
    struct leases leases; /* guarded by lock */
    size_t sweep_shard;   /* the store's thread's */
    size_t sweep_block;   /* the store's thread's */
    int64_t forgotten_s;  /* the store's thread's: marks that ended until then may be gone */
};

/** What proposals of the batch under way would change, in order. Threads: confined */
struct pending_change {
    const struct store_change *change;
    uint64_t index; /* of the entry it comes with */
};

struct pending {
    struct pending_change *changes;
    size_t count;
};

/** NULL without memory. */
struct state *state_new(void) MUST_USE;
void state_free(struct state *state);

/** Forget all rows. */
void state_clear(struct state *state);

/** Apply one change of entry `index`; false without memory. Marks that have expired are left out.
 */
bool state_apply(struct state *state, const struct store_change *change, uint64_t index,
                 int64_t now_s) MUST_USE;

/** Whether so many more marks and leases stay within their limits. */
bool state_has_room(const struct state *state, size_t change_count);

/** Whether a guard holds once `pending` is applied. Only on the store's thread. */
bool state_guard_holds(const struct state *state, const struct pending *pending,
                       const struct store_guard *guard, int64_t now_s) MUST_USE;

/** Whether a mark that ends at `expires_s` would still be known if it had been set. */
bool state_remembers(const struct state *state, int64_t expires_s);

/** Remove what is due from one shard of marks and one block of leases, in turn. */
void state_sweep(struct state *state, int64_t marks_s, int64_t leases_s);

/* What other threads may ask. */
bool state_mark(struct state *state, const uint8_t key[MARK_LEN], int64_t now_s,
                struct store_mark *mark) MUST_USE;
bool state_has_mark(struct state *state, const uint8_t mark[MARK_LEN], int64_t now_s) MUST_USE;
bool state_lease_by_id(struct state *state, const char id[ID_LEN], struct store_lease *lease)
    MUST_USE;
bool state_lease_by_handle(struct state *state, const uint8_t handle_sha256[32],
                           struct store_lease *lease) MUST_USE;
size_t state_live_lease_count(struct state *state);
