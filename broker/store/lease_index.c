#include "store/lease_index.h"

#include <stdlib.h>
#include <string.h>

#define CAPACITY_FIRST 8

/* A shard that grows asks rows for their hashes: so many slots ahead they are fetched. */
#define AHEAD 8

static uint32_t slot_of(uint32_t hash, uint32_t number)
{
    return hash << LEASE_INDEX_NUMBER_BITS | number;
}

static uint32_t number_of(uint32_t slot)
{
    return slot & LEASE_INDEX_NUMBER_MAX;
}

/* The shard is chosen by the first byte, the place in it by the others. */
static uint32_t home_of(const struct lease_index_shard *shard, uint32_t hash)
{
    return (uint32_t)(((uint64_t)(hash << 8) * shard->capacity) >> 32);
}

static uint32_t next_place(const struct lease_index_shard *shard, uint32_t place)
{
    return place + 1 == shard->capacity ? 0 : place + 1;
}

void lease_index_release(struct lease_index *index)
{
    for (size_t i = 0; i < LEASE_INDEX_SHARDS; i++)
        free(index->shards[i].slots);
    memset(index, 0, sizeof(*index));
}

static void put(struct lease_index_shard *shard, uint32_t hash, uint32_t slot)
{
    uint32_t place = home_of(shard, hash);

    while (shard->slots[place] != 0)
        place = next_place(shard, place);
    shard->slots[place] = slot;
}

/* At most four slots of five are used. */
static bool reserve(struct lease_index_shard *shard, const struct lease_index_rows *rows)
{
    struct lease_index_shard grown = { .count = shard->count };

    if ((shard->count + 1) * 5 <= shard->capacity * 4)
        return true;
    grown.capacity = shard->capacity + shard->capacity / 2;
    if (grown.capacity < CAPACITY_FIRST)
        grown.capacity = CAPACITY_FIRST;
    grown.slots = calloc(grown.capacity, sizeof(*grown.slots));
    if (grown.slots == NULL)
        return false;
    for (uint32_t i = 0; i < shard->capacity; i++) {
        if (i + AHEAD < shard->capacity && shard->slots[i + AHEAD] != 0)
            __builtin_prefetch(rows->key(rows->rows, number_of(shard->slots[i + AHEAD])));
        if (shard->slots[i] != 0)
            put(&grown, rows->hash(rows->rows, number_of(shard->slots[i])), shard->slots[i]);
    }
    free(shard->slots);
    *shard = grown;
    return true;
}

uint32_t lease_index_find(const struct lease_index *index, const struct lease_index_rows *rows,
                          uint32_t hash, const void *key)
{
    const struct lease_index_shard *shard = &index->shards[hash >> 24];

    if (shard->capacity == 0)
        return 0;
    for (uint32_t place = home_of(shard, hash); shard->slots[place] != 0;
         place = next_place(shard, place)) {
        uint32_t number = number_of(shard->slots[place]);

        if (slot_of(hash, number) == shard->slots[place] && rows->fits(rows->rows, number, key))
            return number;
    }
    return 0;
}

void lease_index_expect(const struct lease_index *index, uint32_t hash)
{
    const struct lease_index_shard *shard = &index->shards[hash >> 24];

    if (shard->capacity > 0)
        __builtin_prefetch(&shard->slots[home_of(shard, hash)]);
}

bool lease_index_add(struct lease_index *index, const struct lease_index_rows *rows,
                     uint32_t number)
{
    uint32_t hash = rows->hash(rows->rows, number);
    struct lease_index_shard *shard = &index->shards[hash >> 24];

    if (!reserve(shard, rows))
        return false;
    put(shard, hash, slot_of(hash, number));
    shard->count++;
    return true;
}

/* Where a row's number stands; `capacity` where it does not. */
static uint32_t place_of(const struct lease_index_shard *shard, uint32_t hash, uint32_t number)
{
    uint32_t slot = slot_of(hash, number);

    if (shard->capacity == 0)
        return 0;
    for (uint32_t place = home_of(shard, hash); shard->slots[place] != 0;
         place = next_place(shard, place))
        if (shard->slots[place] == slot)
            return place;
    return shard->capacity;
}

void lease_index_replace(struct lease_index *index, const struct lease_index_rows *rows,
                         uint32_t number, uint32_t other)
{
    uint32_t hash = rows->hash(rows->rows, number);
    struct lease_index_shard *shard = &index->shards[hash >> 24];
    uint32_t place = place_of(shard, hash, number);

    if (place < shard->capacity)
        shard->slots[place] = slot_of(hash, other);
}

static bool may_fill(const struct lease_index_shard *shard, uint32_t home, uint32_t hole,
                     uint32_t place)
{
    uint32_t from_home = place >= home ? place - home : place + shard->capacity - home;
    uint32_t from_hole = place >= hole ? place - hole : place + shard->capacity - hole;

    return from_home >= from_hole;
}

/* The gap is closed, so that no search ends at it. */
void lease_index_remove(struct lease_index *index, const struct lease_index_rows *rows,
                        uint32_t number)
{
    uint32_t hash = rows->hash(rows->rows, number);
    struct lease_index_shard *shard = &index->shards[hash >> 24];
    uint32_t hole = place_of(shard, hash, number);

    if (hole >= shard->capacity)
        return;
    for (uint32_t place = next_place(shard, hole); shard->slots[place] != 0;
         place = next_place(shard, place)) {
        uint32_t found = number_of(shard->slots[place]);
        uint32_t home = home_of(shard, rows->hash(rows->rows, found));

        if (may_fill(shard, home, hole, place)) {
            shard->slots[hole] = shard->slots[place];
            hole = place;
        }
    }
    shard->slots[hole] = 0;
    shard->count--;
}
