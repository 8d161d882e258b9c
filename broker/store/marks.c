#include "store/marks.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "store/bytes.h"

#define CAPACITY_FIRST 8

/* Slots in use, of 100. With growth by an eighth a shard is at least 75 % full: 57 bytes a mark. */
#define FILL_MAX_PERCENT 85

static_assert(sizeof(struct mark) == 43, "57 bytes a mark");

static void put_u40(uint8_t bytes[5], uint64_t value)
{
    bytes[0] = (uint8_t)(value >> 32);
    put_u32(bytes + 1, (uint32_t)value);
}

static uint64_t get_u40(const uint8_t bytes[5])
{
    return (uint64_t)bytes[0] << 32 | get_u32(bytes + 1);
}

static int64_t expiry_of(const struct mark *slot)
{
    return (int64_t)get_u40(slot->expires_s);
}

static struct mark_shard *shard_of(struct marks *marks, const uint8_t *key)
{
    return &marks->shards[key[0]];
}

/* Where probing starts; `kept` is a key without its shard's byte, as are those below. */
static uint32_t home_of(const struct mark_shard *shard, const uint8_t *kept)
{
    return (uint32_t)(((uint64_t)get_u32(kept) * shard->capacity) >> 32);
}

static uint32_t next_slot(const struct mark_shard *shard, uint32_t slot)
{
    return slot + 1 == shard->capacity ? 0 : slot + 1;
}

/* Keys are digests: most differ in their first bytes, and that is told without a call. */
static bool has_key(const struct mark *slot, const uint8_t *kept)
{
    uint64_t left;
    uint64_t right;

    memcpy(&left, slot->key, sizeof(left));
    memcpy(&right, kept, sizeof(right));
    return left == right && memcmp(slot->key, kept, MARK_KEPT_LEN - 1) == 0;
}

/* The key's slot, or the free one where it would go; the shard has a free slot. */
static uint32_t find_slot(const struct mark_shard *shard, const uint8_t *kept)
{
    uint32_t slot = home_of(shard, kept);

    while (shard->slots[slot].uses != 0 && !has_key(&shard->slots[slot], kept))
        slot = next_slot(shard, slot);
    return slot;
}

/* No key comes twice, so that none need be looked at. */
static void move_slots(const struct mark_shard *from, struct mark_shard *to)
{
    for (uint32_t i = 0; i < from->capacity; i++) {
        uint32_t slot = 0;

        if (from->slots[i].uses == 0)
            continue;
        slot = home_of(to, from->slots[i].key);
        while (to->slots[slot].uses != 0)
            slot = next_slot(to, slot);
        to->slots[slot] = from->slots[i];
    }
}

static bool shard_reserve(struct mark_shard *shard)
{
    struct mark_shard grown = { .count = shard->count };

    if ((uint64_t)(shard->count + 1) * 100 <= (uint64_t)shard->capacity * FILL_MAX_PERCENT)
        return true;
    grown.capacity = shard->capacity < CAPACITY_FIRST ? CAPACITY_FIRST
                                                      : shard->capacity + shard->capacity / 8 + 4;
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

static uint64_t clamp(uint64_t value)
{
    return value < MARK_NUMBER_MAX ? value : MARK_NUMBER_MAX;
}

bool marks_set(struct marks *marks, const uint8_t key[MARK_LEN], const struct store_mark *mark)
{
    struct mark_shard *shard = shard_of(marks, key);
    struct mark *slot = NULL;

    if (!shard_reserve(shard))
        return false;
    slot = &shard->slots[find_slot(shard, key + 1)];
    if (slot->uses == 0) {
        memcpy(slot->key, key + 1, sizeof(slot->key));
        shard->count++;
        marks->count++;
    }
    memcpy(slot->holder, mark->holder, sizeof(slot->holder));
    slot->uses = (uint8_t)(mark->uses < STORE_MARK_USES_MAX ? mark->uses : STORE_MARK_USES_MAX);
    put_u40(slot->expires_s, clamp((uint64_t)mark->expires_s));
    put_u40(slot->first_index, clamp(mark->first_index));
    put_u40(slot->latest_index, clamp(mark->latest_index));
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

    while (shard->slots[slot].uses != 0) {
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
    slot = find_slot(shard, key + 1);
    if (shard->slots[slot].uses != 0)
        free_slot(marks, shard, slot);
}

struct store_mark mark_read(const struct mark *slot)
{
    struct store_mark mark = {
        .uses = slot->uses,
        .expires_s = expiry_of(slot),
        .first_index = get_u40(slot->first_index),
        .latest_index = get_u40(slot->latest_index),
    };

    memcpy(mark.holder, slot->holder, sizeof(mark.holder));
    return mark;
}

struct store_mark marks_find(const struct marks *marks, const uint8_t key[MARK_LEN], int64_t now_s)
{
    const struct mark_shard *shard = &marks->shards[key[0]];
    const struct mark *slot = NULL;

    if (shard->count == 0)
        return (struct store_mark){ 0 };
    slot = &shard->slots[find_slot(shard, key + 1)];
    return slot->uses != 0 && expiry_of(slot) > now_s ? mark_read(slot) : (struct store_mark){ 0 };
}

void marks_expect(const struct marks *marks, const uint8_t key[MARK_LEN])
{
    const struct mark_shard *shard = &marks->shards[key[0]];

    if (shard->capacity > 0)
        __builtin_prefetch(&shard->slots[home_of(shard, key + 1)]);
}

bool marks_has(const struct marks *marks, const uint8_t key[MARK_LEN], int64_t now_s)
{
    return marks_find(marks, key, now_s).uses != 0;
}

void marks_sweep(struct marks *marks, size_t index, int64_t now_s)
{
    struct mark_shard *shard = &marks->shards[index];
    uint32_t slot = 0;

    /* A freed slot may be filled from behind: look at it again. */
    while (slot < shard->capacity) {
        const struct mark *mark = &shard->slots[slot];

        if (mark->uses != 0 && expiry_of(mark) <= now_s)
            free_slot(marks, shard, slot);
        else
            slot++;
    }
    if (shard->count == 0) {
        free(shard->slots);
        *shard = (struct mark_shard){ 0 };
    }
}
