#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "store/store.h"

/**
 * The blocks that the store keeps: which entries they are, and until when. What a block is about
 * stands in its entry.
 *
 * Few, so that a row is looked for one after the other. Those that have ended are removed when
 * another one comes.
 *
 * Threads: confined
 */
struct blocks {
    struct store_block rows[STORE_BLOCKS_MAX];
    size_t count;
    uint64_t version; /* the index behind the entry that changed them last; 0: none did */
};

/**
 * Apply a change that came with entry `index`; one that is not newer than `version` changes
 * nothing. False when there is no room for another block.
 */
bool blocks_apply(struct blocks *blocks, const struct store_change *change, uint64_t index,
                  int64_t now_s) MUST_USE;

/** Put a row as it was kept. False when there is no room, or it makes no sense. */
bool blocks_restore(struct blocks *blocks, const struct store_block *block) MUST_USE;

/** The entry of the first that has not ended at `now_s`; UINT64_MAX: of none. */
uint64_t blocks_oldest(const struct blocks *blocks, int64_t now_s);

/** How many have not ended at `now_s`. */
size_t blocks_count(const struct blocks *blocks, int64_t now_s);
