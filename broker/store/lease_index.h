#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

/**
 * Finds rows by a key that they have themselves: 256 shards of row numbers, so that growing never
 * stops the store for long, in each linear probing. Beside a number stand ten bits of its key's
 * hash, so that other rows are hardly ever looked at. All-zero is a valid empty index.
 *
 * Threads: confined
 */
#define LEASE_INDEX_SHARDS 256

/** Row numbers are from 1 on, up to this. */
#define LEASE_INDEX_NUMBER_BITS 22
#define LEASE_INDEX_NUMBER_MAX ((UINT32_C(1) << LEASE_INDEX_NUMBER_BITS) - 1)

struct lease_index_shard {
    uint32_t *slots; /* 0 is free */
    uint32_t capacity;
    uint32_t count;
};

struct lease_index {
    struct lease_index_shard shards[LEASE_INDEX_SHARDS];
};

/** The rows of an index: where a key is, what it hashes to, and whether another one is the same. */
struct lease_index_rows {
    const void *rows;
    const uint8_t *(*key)(const void *rows, uint32_t number);
    uint32_t (*hash)(const void *rows, uint32_t number);
    bool (*fits)(const void *rows, uint32_t number, const void *key);
};

void lease_index_release(struct lease_index *index);

/** The number of the row with this key, or 0. */
uint32_t lease_index_find(const struct lease_index *index, const struct lease_index_rows *rows,
                          uint32_t hash, const void *key);

/** Have the memory fetched that is looked at for a hash. */
void lease_index_expect(const struct lease_index *index, uint32_t hash);

/** Add a row that has its key already; false without memory. */
bool lease_index_add(struct lease_index *index, const struct lease_index_rows *rows,
                     uint32_t number) MUST_USE;

/** Another row with the same key in the place of one that is there. */
void lease_index_replace(struct lease_index *index, const struct lease_index_rows *rows,
                         uint32_t number, uint32_t other);

/** Remove a row that still has its key; nothing where it is not there. */
void lease_index_remove(struct lease_index *index, const struct lease_index_rows *rows,
                        uint32_t number);
