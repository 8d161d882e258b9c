#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

/*
 * Memory in large pages, for what is read at random: a processor remembers where a few thousand
 * pages are, and looking for another one takes longer than reading from it. Only arenas use it.
 */

/** The size of a large page, bytes. Where the machine has none they are many small ones. */
#define SLAB_PAGE ((size_t)2 * 1024 * 1024)

/** Some large pages; each piece that is in use holds a reference. Threads: shared */
struct slab_block;

/** Zeroed pages of at least `size` bytes, with one reference; `*data` is aligned for any type. */
struct slab_block *slab_block_new(size_t size, void **data) MUST_USE;
void slab_block_unref(struct slab_block *block);

/** Whether fewer than half of the pieces that were made of it are still in use. */
bool slab_block_is_sparse(const struct slab_block *block);

/** A place where arenas are made side by side, one after the other. Threads: confined */
struct slab;

/** An empty one; NULL without memory. */
struct slab *slab_new(void) MUST_USE;

/** What was made in it stays. */
void slab_free(struct slab *slab);

OWNED_POINTER(slab_free, struct slab)

/** The most that slab_open() can be asked for, bytes. */
#define SLAB_PIECE_MAX ((size_t)64 * 1024)

/**
 * All the room that there is from here on, at least `size` bytes, zeroed. It has to be closed
 * before another one is opened. NULL without memory.
 *
 * Owns: `*block` has a reference more
 */
void *slab_open(struct slab *slab, size_t size, size_t *room, struct slab_block **block) MUST_USE;

/** Of what was opened so many bytes are in use; the others are still zero. */
void slab_close(struct slab *slab, size_t used);
