#include "base/slab.h"

#include <stdlib.h>
#include <sys/mman.h>

#define CACHE_LINE ((size_t)64)

struct slab_block {
    atomic_size_t reference_count;
    atomic_size_t made_count; /* pieces */
    size_t size;              /* bytes, with this */
    _Alignas(CACHE_LINE) uint8_t data[];
};

struct slab {
    struct slab_block *block; /* NULL: none yet */
    size_t used;              /* bytes of its data */
};

/* Pages that start where a large one can: of more, what is before and behind them goes back. */
static void *map_aligned(size_t size)
{
    size_t all = size + SLAB_PAGE;
    uint8_t *start = mmap(NULL, all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    size_t before;

    if (start == MAP_FAILED)
        return NULL;
    before = (SLAB_PAGE - (uintptr_t)start % SLAB_PAGE) % SLAB_PAGE;
    if (before > 0)
        (void)munmap(start, before); /* address space that stays taken harms nobody */
    if (before < SLAB_PAGE)
        (void)munmap(start + before + size, SLAB_PAGE - before);
    (void)madvise(start + before, size, MADV_HUGEPAGE); /* without large pages it is slower */
    return start + before;
}

struct slab_block *slab_block_new(size_t size, void **data)
{
    struct slab_block *block;
    size_t bytes;

    if (size > SIZE_MAX / 2)
        return NULL;
    bytes = ROUND_UP(sizeof(*block) + size, SLAB_PAGE);
    block = map_aligned(bytes);
    if (block == NULL)
        return NULL;
    atomic_init(&block->reference_count, 1);
    atomic_init(&block->made_count, 0);
    block->size = bytes;
    *data = block->data;
    return block;
}

void slab_block_unref(struct slab_block *block)
{
    if (block != NULL && atomic_fetch_sub(&block->reference_count, 1) == 1)
        (void)munmap(block, block->size); /* it is a whole mapping: cannot fail */
}

bool slab_block_is_sparse(const struct slab_block *block)
{
    return atomic_load(&block->reference_count) < atomic_load(&block->made_count) / 2;
}

struct slab *slab_new(void)
{
    return calloc(1, sizeof(struct slab));
}

void slab_free(struct slab *slab)
{
    if (slab != NULL)
        slab_block_unref(slab->block);
    free(slab);
}

static size_t room_of(const struct slab *slab)
{
    return slab->block == NULL ? 0 : slab->block->size - sizeof(*slab->block) - slab->used;
}

static bool next_block(struct slab *slab)
{
    void *data;
    struct slab_block *block = slab_block_new(SLAB_PAGE - sizeof(*block), &data);

    if (block == NULL)
        return false;
    slab_block_unref(slab->block);
    *slab = (struct slab){ .block = block };
    return true;
}

void *slab_open(struct slab *slab, size_t size, size_t *room, struct slab_block **block)
{
    if (size > SLAB_PIECE_MAX || (room_of(slab) < size && !next_block(slab)))
        return NULL;
    atomic_fetch_add(&slab->block->reference_count, 1);
    atomic_fetch_add(&slab->block->made_count, 1);
    *block = slab->block;
    *room = room_of(slab);
    return slab->block->data + slab->used;
}

void slab_close(struct slab *slab, size_t used)
{
    size_t whole = ROUND_UP(used, CACHE_LINE);

    slab->used += whole < room_of(slab) ? whole : room_of(slab);
}
