#include "store/blocks.h"

#include <string.h>

static struct store_block *find(struct blocks *blocks, const char id[ID_LEN])
{
    for (size_t i = 0; i < blocks->count; i++)
        if (memcmp(blocks->rows[i].id, id, ID_LEN) == 0)
            return &blocks->rows[i];
    return NULL;
}

static void remove_row(struct blocks *blocks, struct store_block *row)
{
    size_t at = (size_t)(row - blocks->rows);

    blocks->count--;
    memmove(row, row + 1, (blocks->count - at) * sizeof(*row));
}

static void remove_ended(struct blocks *blocks, int64_t now_s)
{
    size_t kept = 0;

    for (size_t i = 0; i < blocks->count; i++)
        if (blocks->rows[i].expires_s > now_s)
            blocks->rows[kept++] = blocks->rows[i];
    blocks->count = kept;
}

static bool put(struct blocks *blocks, const struct store_change *change, uint64_t index,
                int64_t now_s)
{
    struct store_block block = { .expires_s = change->expires_s, .index = index };

    remove_ended(blocks, now_s);
    memcpy(block.id, change->block, ID_LEN);
    return block.expires_s <= now_s || find(blocks, block.id) != NULL ||
           blocks_restore(blocks, &block);
}

bool blocks_apply(struct blocks *blocks, const struct store_change *change, uint64_t index,
                  int64_t now_s)
{
    struct store_block *row = NULL;

    if (index < blocks->version)
        return true;
    if (change->kind == STORE_PUT_BLOCK && !put(blocks, change, index, now_s))
        return false;
    if (change->kind == STORE_REMOVE_BLOCK)
        row = find(blocks, change->block);
    if (row != NULL)
        remove_row(blocks, row);
    blocks->version = index + 1;
    return true;
}

bool blocks_restore(struct blocks *blocks, const struct store_block *block)
{
    if (blocks->count == STORE_BLOCKS_MAX || strnlen(block->id, sizeof(block->id)) != ID_LEN)
        return false;
    blocks->rows[blocks->count++] = *block;
    if (blocks->version <= block->index)
        blocks->version = block->index + 1;
    return true;
}

size_t blocks_count(const struct blocks *blocks, int64_t now_s)
{
    size_t count = 0;

    for (size_t i = 0; i < blocks->count; i++)
        count += blocks->rows[i].expires_s > now_s;
    return count;
}

uint64_t blocks_oldest(const struct blocks *blocks, int64_t now_s)
{
    uint64_t oldest = UINT64_MAX;

    for (size_t i = 0; i < blocks->count; i++)
        if (blocks->rows[i].expires_s > now_s && blocks->rows[i].index < oldest)
            oldest = blocks->rows[i].index;
    return oldest;
}
