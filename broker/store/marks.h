#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "store/store.h"

/**
 * The set of marks: 32-byte keys that expire, with who uses them and how often. At most 57 bytes a
 * mark.
 *
 * Keys are digests, so their own bytes spread them: over shards, so that neither growing nor
 * sweeping ever stops the store for long, and in a shard by linear probing. Of a key the first 128
 * bits are kept: should two ever agree in them, the second is refused as used.
 *
 * Threads: confined
 */
#define MARK_LEN 32
#define MARK_KEPT_LEN 16 /* the first byte is the shard's number */
#define MARK_SHARDS 256

/** Indices and times that 5 bytes hold; a later time counts as this one, in the year 36812. */
#define MARK_NUMBER_MAX ((UINT64_C(1) << 40) - 1)

/** A slot. Bytes, so that none is lost to alignment; numbers are big-endian. */
struct mark {
    uint8_t key[MARK_KEPT_LEN - 1];
    uint8_t holder[STORE_HOLDER_LEN];
    uint8_t uses; /* 0: the slot is free */
    uint8_t expires_s[5];
    uint8_t first_index[5];
    uint8_t latest_index[5];
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

/** Set a mark, or replace it (`uses` and `expires_s` > 0); false without memory. */
bool marks_set(struct marks *marks, const uint8_t key[MARK_LEN], const struct store_mark *mark)
    MUST_USE;
void marks_remove(struct marks *marks, const uint8_t key[MARK_LEN]);

/** The mark as it is after `now_s`; without uses where it is not set or has expired. */
struct store_mark marks_find(const struct marks *marks, const uint8_t key[MARK_LEN], int64_t now_s);

/** Have the memory fetched that is looked at for a mark: somebody will ask for it soon. */
void marks_expect(const struct marks *marks, const uint8_t key[MARK_LEN]);

/** Whether it is set and expires after `now_s`. */
bool marks_has(const struct marks *marks, const uint8_t key[MARK_LEN], int64_t now_s) MUST_USE;

/** What a slot in use says. */
struct store_mark mark_read(const struct mark *slot);

/** Remove what has expired from one shard. */
void marks_sweep(struct marks *marks, size_t shard, int64_t now_s);
