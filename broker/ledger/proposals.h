#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/macros.h"
#include "store/store.h"

/** So many are kept; more are under way in bursts only. */
#define PROPOSALS_KEPT 512

/**
 * Proposals of one entry that are not under way. They are made by one thread and given back by
 * another, and are large: kept, they cost neither an allocation nor zeroing each time.
 *
 * Threads: shared
 */
struct proposals {
    pthread_mutex_t lock;
    struct store_proposal *first; /* guarded by lock */
    size_t count;                 /* guarded by lock */
};

bool proposals_init(struct proposals *proposals) MUST_USE;
void proposals_release(struct proposals *proposals);

/**
 * One for so many entries, from 1 on; NULL without memory. Of a kept one guards and changes are as
 * they were: nobody looks at more of them than its counts say, which are those of none.
 */
struct store_proposal *proposals_take(struct proposals *proposals, size_t entry_count) MUST_USE;

/** NULL is fine. */
void proposals_give(struct proposals *proposals, struct store_proposal *take_proposal);
