#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

/**
 * The set of marks: 32-byte keys that expire. At most 64 bytes a mark.
 *
 * Keys are digests, so their own bytes spread them: over shards, so that neither growing nor
 * sweeping ever stops the store for long, and in a shard by linear probing.
 *
 * Threads: confined
 */
#define MARK_LEN 32
#define MARK_SHARDS 256

struct mark {
    uint8_t key[MARK_LEN];
    int64_t expires_s; /* 0: the slot is free */
};

struct mark_shard {
    struct mark *slots;
    uint32_t capacity;
    uint32_t count;
};

struct marks {
    struct mark_shard shards[MARK_SHARDS];
    size_t count;
};

void marks_release(struct marks *marks);

/** Set or move the expiry of a mark (`expires_s` > 0); false without memory. */
bool marks_set(struct marks *marks, const uint8_t key[MARK_LEN], int64_t expires_s) MUST_USE;
void marks_remove(struct marks *marks, const uint8_t key[MARK_LEN]);

/** Whether it is set and expires after `now_s`. */
bool marks_has(const struct marks *marks, const uint8_t key[MARK_LEN], int64_t now_s) MUST_USE;

/** Remove what has expired from one shard. */
void marks_sweep(struct marks *marks, size_t shard, int64_t now_s);
