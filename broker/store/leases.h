#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "store/store.h"

/**
 * The leases that the store keeps, found by id and by handle.
 *
 * Rows stand in blocks that never move; two sharded indices of row numbers find them, so that
 * neither growing nor sweeping ever stops the store for long.
 *
 * Threads: confined
 */
#define LEASE_BLOCK 1024
#define LEASE_BLOCKS_MAX 1024
#define LEASES_MAX ((size_t)LEASE_BLOCK * LEASE_BLOCKS_MAX)
#define LEASE_INDEX_SHARDS 256

struct lease_row {
    struct store_lease lease; /* version 0: the row is free */
    uint32_t next_free;       /* of a free row */
    bool is_live;             /* counted in live_count */
};

struct lease_index_shard {
    uint32_t *slots; /* row number + 1; 0 is free */
    uint32_t capacity;
    uint32_t count;
};

struct lease_index {
    struct lease_index_shard shards[LEASE_INDEX_SHARDS];
};

struct leases {
    struct lease_row *blocks[LEASE_BLOCKS_MAX];
    uint32_t row_count;  /* rows ever used; they are in the first blocks */
    uint32_t first_free; /* row number + 1, or 0 */
    size_t count;
    size_t live_count; /* requested, issued or unknown, and not expired when last swept */
    struct lease_index by_id;
    struct lease_index by_handle;
};

void leases_release(struct leases *leases);

/** The row of a lease, or NULL. */
const struct store_lease *leases_by_id(const struct leases *leases, const char id[ID_LEN]);
const struct store_lease *leases_by_handle(const struct leases *leases,
                                           const uint8_t handle_sha256[32]);

/**
 * Apply a change that came with entry `index`, as STORE_PUT_LEASE says. A change that the row has
 * already seen, and one of a lease that is not kept any more, change nothing. False without memory.
 */
bool leases_apply(struct leases *leases, const struct store_lease *change, uint64_t index) MUST_USE;

/** Put a row as it was kept in a snapshot. */
bool leases_restore(struct leases *leases, const struct store_lease *lease) MUST_USE;

/** Remove rows kept for long enough and count out expired ones, in one block. */
void leases_sweep(struct leases *leases, size_t block, int64_t now_s);
