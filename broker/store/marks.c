#include "store/marks.h"

#include <stdlib.h>
#include <string.h>

#include "store/bytes.h"

#define CAPACITY_FIRST 8

/* Slots in use, of 100. With growth by a quarter a shard is at least 68 % full: 59 bytes a mark. */
#define FILL_MAX_PERCENT 85

static struct mark_shard *shard_of(struct marks *marks, const uint8_t *key)
{
    return &marks->shards[key[0]];
}

/* Where a key's probing starts. */
static uint32_t home_of(const struct mark_shard *shard, const uint8_t *key)
{
    return (uint32_t)(((uint64_t)get_u32(key + 1) * shard->capacity) >> 32);
}

static uint32_t next_slot(const struct mark_shard *shard, uint32_t slot)
{
    return slot + 1 == shard->capacity ? 0 : slot + 1;
}

/* The key's slot, or the free one where it would go; the shard has a free slot. */
static uint32_t find_slot(const struct mark_shard *shard, const uint8_t *key)
{
    uint32_t slot = home_of(shard, key);

    while (shard->slots[slot].expires_s != 0 && memcmp(shard->slots[slot].key, key, MARK_LEN) != 0)
        slot = next_slot(shard, slot);
    return slot;
}

static void move_slots(const struct mark_shard *from, struct mark_shard *to)
{
    for (uint32_t i = 0; i < from->capacity; i++) {
        if (from->slots[i].expires_s != 0)
            to->slots[find_slot(to, from->slots[i].key)] = from->slots[i];
    }
}

static bool shard_reserve(struct mark_shard *shard)
{
    struct mark_shard grown = { .count = shard->count };

    if ((uint64_t)(shard->count + 1) * 100 <= (uint64_t)shard->capacity * FILL_MAX_PERCENT)
        return true;
    grown.capacity =
        shard->capacity < CAPACITY_FIRST ? CAPACITY_FIRST : shard->capacity + shard->capacity / 4;
    grown.slots = calloc(grown.capacity, sizeof(*grown.slots));
    if (grown.slots == NULL)
        return false;
    move_slots(shard, &grown);
    free(shard->slots);
    *shard = grown;
    return true;
}

void marks_release(struct marks *marks)
{
    for (size_t i = 0; i < MARK_SHARDS; i++)
        free(marks->shards[i].slots);
    memset(marks, 0, sizeof(*marks));
}

bool marks_set(struct marks *marks, const uint8_t key[MARK_LEN], int64_t expires_s)
{
    struct mark_shard *shard = shard_of(marks, key);
    struct mark *mark = NULL;

    if (!shard_reserve(shard))
        return false;
    mark = &shard->slots[find_slot(shard, key)];
    if (mark->expires_s == 0) {
        memcpy(mark->key, key, MARK_LEN);
        shard->count++;
        marks->count++;
    }
    mark->expires_s = expires_s;
    return true;
}

/* Whether the mark in `slot` may move to `hole`, an earlier slot of its probing. */
static bool may_fill(const struct mark_shard *shard, uint32_t hole, uint32_t slot)
{
    uint32_t home = home_of(shard, shard->slots[slot].key);
    uint32_t from_home = slot >= home ? slot - home : slot + shard->capacity - home;
    uint32_t from_hole = slot >= hole ? slot - hole : slot + shard->capacity - hole;

    return from_home >= from_hole;
}

/* Free a slot and close the gap, so that probing never meets one. */
static void free_slot(struct marks *marks, struct mark_shard *shard, uint32_t hole)
{
    uint32_t slot = next_slot(shard, hole);

    while (shard->slots[slot].expires_s != 0) {
        if (may_fill(shard, hole, slot)) {
            shard->slots[hole] = shard->slots[slot];
            hole = slot;
        }
        slot = next_slot(shard, slot);
    }
    memset(&shard->slots[hole], 0, sizeof(shard->slots[hole]));
    shard->count--;
    marks->count--;
}

void marks_remove(struct marks *marks, const uint8_t key[MARK_LEN])
{
    struct mark_shard *shard = shard_of(marks, key);
    uint32_t slot = 0;

    if (shard->count == 0)
        return;
    slot = find_slot(shard, key);
    if (shard->slots[slot].expires_s != 0)
        free_slot(marks, shard, slot);
}

bool marks_has(const struct marks *marks, const uint8_t key[MARK_LEN], int64_t now_s)
{
    const struct mark_shard *shard = &marks->shards[key[0]];

    return shard->count > 0 && shard->slots[find_slot(shard, key)].expires_s > now_s;
}

void marks_sweep(struct marks *marks, size_t index, int64_t now_s)
{
    struct mark_shard *shard = &marks->shards[index];
    uint32_t slot = 0;

    /* A freed slot may be filled from behind: look at it again. */
    while (slot < shard->capacity) {
        int64_t expires_s = shard->slots[slot].expires_s;

        if (expires_s != 0 && expires_s <= now_s)
            free_slot(marks, shard, slot);
        else
            slot++;
    }
    if (shard->count == 0) {
        free(shard->slots);
        *shard = (struct mark_shard){ 0 };
    }
}
