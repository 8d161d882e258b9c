#include "store/leases.h"

#include <stdlib.h>
#include <string.h>

#include "store/bytes.h"

#define CAPACITY_FIRST 8

static const uint8_t no_handle[32];

static struct lease_row *row_at(const struct leases *leases, uint32_t number)
{
    return &leases->blocks[number / LEASE_BLOCK][number % LEASE_BLOCK];
}

/* FNV-1a; ids are our own random ULIDs, nobody chooses them. */
static uint32_t hash_id(const char *id)
{
    uint32_t hash = 2166136261U;

    for (size_t i = 0; i < ID_LEN; i++)
        hash = (hash ^ (uint8_t)id[i]) * 16777619U;
    return hash;
}

static uint32_t hash_handle(const uint8_t *handle_sha256)
{
    return get_u32(handle_sha256);
}

static uint32_t row_hash(const struct leases *leases, const struct lease_index *index,
                         uint32_t number)
{
    const struct store_lease *lease = &row_at(leases, number)->lease;

    return index == &leases->by_id ? hash_id(lease->id) : hash_handle(lease->handle_sha256);
}

static uint32_t home_of(const struct lease_index_shard *shard, uint32_t hash)
{
    return (uint32_t)(((uint64_t)(hash << 8) * shard->capacity) >> 32);
}

static uint32_t next_slot(const struct lease_index_shard *shard, uint32_t slot)
{
    return slot + 1 == shard->capacity ? 0 : slot + 1;
}

static bool shard_reserve(const struct leases *leases, const struct lease_index *index,
                          struct lease_index_shard *shard)
{
    struct lease_index_shard grown = { .count = shard->count };

    if ((shard->count + 1) * 2 <= shard->capacity)
        return true;
    grown.capacity = shard->capacity < CAPACITY_FIRST ? CAPACITY_FIRST : shard->capacity * 2;
    grown.slots = calloc(grown.capacity, sizeof(*grown.slots));
    if (grown.slots == NULL)
        return false;
    for (uint32_t i = 0; i < shard->capacity; i++) {
        uint32_t slot = 0;

        if (shard->slots[i] == 0)
            continue;
        slot = home_of(&grown, row_hash(leases, index, shard->slots[i] - 1));
        while (grown.slots[slot] != 0)
            slot = next_slot(&grown, slot);
        grown.slots[slot] = shard->slots[i];
    }
    free(shard->slots);
    *shard = grown;
    return true;
}

static struct lease_index_shard *shard_of(struct lease_index *index, uint32_t hash)
{
    return &index->shards[hash >> 24];
}

/* Add a row whose key is set already. */
static bool index_add(const struct leases *leases, struct lease_index *index, uint32_t number)
{
    uint32_t hash = row_hash(leases, index, number);
    struct lease_index_shard *shard = shard_of(index, hash);
    uint32_t slot = 0;

    if (!shard_reserve(leases, index, shard))
        return false;
    slot = home_of(shard, hash);
    while (shard->slots[slot] != 0)
        slot = next_slot(shard, slot);
    shard->slots[slot] = number + 1;
    shard->count++;
    return true;
}

static bool may_fill(const struct lease_index_shard *shard, uint32_t home, uint32_t hole,
                     uint32_t slot)
{
    uint32_t from_home = slot >= home ? slot - home : slot + shard->capacity - home;
    uint32_t from_hole = slot >= hole ? slot - hole : slot + shard->capacity - hole;

    return from_home >= from_hole;
}

/* Remove a row whose key is still set, and close the gap; does nothing where it is not indexed. */
static void index_remove(const struct leases *leases, struct lease_index *index, uint32_t number)
{
    uint32_t hash = row_hash(leases, index, number);
    struct lease_index_shard *shard = shard_of(index, hash);
    uint32_t hole = 0;

    if (shard->capacity == 0)
        return;
    hole = home_of(shard, hash);
    while (shard->slots[hole] != 0 && shard->slots[hole] != number + 1)
        hole = next_slot(shard, hole);
    if (shard->slots[hole] == 0)
        return;
    for (uint32_t slot = next_slot(shard, hole); shard->slots[slot] != 0;
         slot = next_slot(shard, slot)) {
        uint32_t home = home_of(shard, row_hash(leases, index, shard->slots[slot] - 1));

        if (may_fill(shard, home, hole, slot)) {
            shard->slots[hole] = shard->slots[slot];
            hole = slot;
        }
    }
    shard->slots[hole] = 0;
    shard->count--;
}

static bool fits_id(const struct store_lease *lease, const void *id)
{
    return memcmp(lease->id, id, ID_LEN) == 0;
}

static bool fits_handle(const struct store_lease *lease, const void *handle_sha256)
{
    return memcmp(lease->handle_sha256, handle_sha256, sizeof(lease->handle_sha256)) == 0;
}

/* The row number + 1 of the key, or 0. */
static uint32_t index_find(const struct leases *leases, const struct lease_index *index,
                           uint32_t hash, bool (*fits)(const struct store_lease *, const void *),
                           const void *key)
{
    const struct lease_index_shard *shard = &index->shards[hash >> 24];
    uint32_t slot = 0;

    if (shard->capacity == 0)
        return 0;
    for (slot = home_of(shard, hash); shard->slots[slot] != 0; slot = next_slot(shard, slot)) {
        if (fits(&row_at(leases, shard->slots[slot] - 1)->lease, key))
            return shard->slots[slot];
    }
    return 0;
}

static bool has_handle(const struct store_lease *lease)
{
    return memcmp(lease->handle_sha256, no_handle, sizeof(no_handle)) != 0;
}

void leases_release(struct leases *leases)
{
    for (size_t i = 0; i < LEASE_BLOCKS_MAX; i++)
        free(leases->blocks[i]);
    for (size_t i = 0; i < LEASE_INDEX_SHARDS; i++) {
        free(leases->by_id.shards[i].slots);
        free(leases->by_handle.shards[i].slots);
    }
    memset(leases, 0, sizeof(*leases));
}

const struct store_lease *leases_by_id(const struct leases *leases, const char id[ID_LEN])
{
    uint32_t found = index_find(leases, &leases->by_id, hash_id(id), fits_id, id);

    return found == 0 ? NULL : &row_at(leases, found - 1)->lease;
}

const struct store_lease *leases_by_handle(const struct leases *leases,
                                           const uint8_t handle_sha256[32])
{
    uint32_t found = 0;

    if (memcmp(handle_sha256, no_handle, sizeof(no_handle)) == 0)
        return NULL;
    found = index_find(leases, &leases->by_handle, hash_handle(handle_sha256), fits_handle,
                       handle_sha256);
    return found == 0 ? NULL : &row_at(leases, found - 1)->lease;
}

/* Take a row number out of the free ones, or a new one. */
static bool take_row(struct leases *leases, uint32_t *number)
{
    size_t block = leases->row_count / LEASE_BLOCK;

    if (leases->first_free != 0) {
        *number = leases->first_free - 1;
        leases->first_free = row_at(leases, *number)->next_free;
        return true;
    }
    if (leases->row_count == LEASES_MAX)
        return false;
    if (leases->blocks[block] == NULL) {
        leases->blocks[block] = calloc(LEASE_BLOCK, sizeof(struct lease_row));
        if (leases->blocks[block] == NULL)
            return false;
    }
    *number = leases->row_count++;
    return true;
}

static void give_row_back(struct leases *leases, uint32_t number)
{
    *row_at(leases, number) = (struct lease_row){ .next_free = leases->first_free };
    leases->first_free = number + 1;
}

static void set_live(struct leases *leases, struct lease_row *row, bool is_live)
{
    if (row->is_live && !is_live)
        leases->live_count--;
    if (!row->is_live && is_live)
        leases->live_count++;
    row->is_live = is_live;
}

static bool is_live_state(enum store_lease_state state)
{
    return state == LEASE_REQUESTED || state == LEASE_ISSUED || state == LEASE_UNKNOWN;
}

static bool insert(struct leases *leases, const struct store_lease *lease)
{
    struct lease_row *row = NULL;
    uint32_t number = 0;

    if (!take_row(leases, &number))
        return false;
    row = row_at(leases, number);
    *row = (struct lease_row){ .lease = *lease };
    if (!index_add(leases, &leases->by_id, number)) {
        give_row_back(leases, number);
        return false;
    }
    if (has_handle(lease) && !index_add(leases, &leases->by_handle, number)) {
        index_remove(leases, &leases->by_id, number);
        give_row_back(leases, number);
        return false;
    }
    set_live(leases, row, is_live_state(lease->state));
    leases->count++;
    return true;
}

static bool set_handle(struct leases *leases, uint32_t number, const uint8_t handle_sha256[32])
{
    struct store_lease *lease = &row_at(leases, number)->lease;

    if (fits_handle(lease, handle_sha256))
        return true;
    if (has_handle(lease))
        index_remove(leases, &leases->by_handle, number);
    memcpy(lease->handle_sha256, handle_sha256, sizeof(lease->handle_sha256));
    return index_add(leases, &leases->by_handle, number);
}

static bool update(struct leases *leases, uint32_t number, const struct store_lease *change,
                   uint64_t index)
{
    struct lease_row *row = row_at(leases, number);

    if (has_handle(change) && !set_handle(leases, number, change->handle_sha256))
        return false;
    if (change->expires_s != 0)
        row->lease.expires_s = change->expires_s;
    row->lease.state = change->state;
    row->lease.latest_index = index;
    row->lease.version++;
    set_live(leases, row, is_live_state(change->state));
    return true;
}

bool leases_apply(struct leases *leases, const struct store_lease *change, uint64_t index)
{
    uint32_t found = index_find(leases, &leases->by_id, hash_id(change->id), fits_id, change->id);
    struct store_lease opened = *change;

    if (found != 0 && row_at(leases, found - 1)->lease.latest_index >= index)
        return true;
    if (found != 0)
        return update(leases, found - 1, change, index);
    if (change->expires_s == 0)
        return true;
    opened.version = 1;
    opened.opened_index = index;
    opened.latest_index = index;
    return insert(leases, &opened);
}

bool leases_restore(struct leases *leases, const struct store_lease *lease)
{
    return leases_by_id(leases, lease->id) != NULL || insert(leases, lease);
}

void leases_sweep(struct leases *leases, size_t block, int64_t now_s)
{
    if (block >= LEASE_BLOCKS_MAX || leases->blocks[block] == NULL)
        return;
    for (uint32_t i = 0; i < LEASE_BLOCK; i++) {
        struct lease_row *row = &leases->blocks[block][i];
        uint32_t number = (uint32_t)block * LEASE_BLOCK + i;

        if (row->lease.version == 0 || row->lease.expires_s > now_s)
            continue;
        set_live(leases, row, false);
        if (row->lease.expires_s > now_s - LEASE_KEPT_S)
            continue;
        index_remove(leases, &leases->by_id, number);
        if (has_handle(&row->lease))
            index_remove(leases, &leases->by_handle, number);
        give_row_back(leases, number);
        leases->count--;
    }
}
