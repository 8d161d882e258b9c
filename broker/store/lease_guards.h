#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"
#include "store/pending.h"

/** How many leases a database counted for a guard: `most` at most, which is more than matter. */
struct lease_count {
    enum store_guard_kind guard; /* STORE_GUARD_FEWER_LIVE or _OPENED */
    enum store_lease_key key_kind;
    uint8_t key[STORE_KEY_LEN];
    int64_t since_s;
    uint64_t most;
    uint64_t count;
};

/** In the order of lease_count_compare(), each once. */
struct lease_counts {
    const struct lease_count *rows;
    size_t count;
};

/** What is counted for a guard; `most` is set, `count` is not. */
struct lease_count lease_count_of(const struct store_guard *guard);

/** For qsort(): by what is counted. */
int lease_count_compare(const void *left, const void *right);

/**
 * Whether a guard on leases holds once `pending` is applied: STORE_GUARD_LEASE, _FEWER_LIVE,
 * _FEWER_OPENED, _LATEST. What lives is what the wheel says: leases_advance() has to be done.
 *
 * Threads: as `leases`
 */
bool lease_guard_holds(const struct leases *leases, const struct pending *pending,
                       const struct store_guard *guard, int64_t now_s) MUST_USE;
