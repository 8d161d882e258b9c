#include "store/pending.h"

#include <stdlib.h>
#include <string.h>

#include "store/bytes.h"

bool pending_init(struct pending *pending)
{
    *pending = (struct pending){
        .changes = calloc(PENDING_MAX, sizeof(*pending->changes)),
        .leases = calloc(PENDING_MAX, sizeof(*pending->leases)),
    };
    return pending->changes != NULL && pending->leases != NULL;
}

void pending_release(struct pending *pending)
{
    free(pending->changes);
    free(pending->leases);
    *pending = (struct pending){ 0 };
}

void pending_clear(struct pending *pending)
{
    if (pending->lease_count > 0)
        memset(pending->slots, 0, sizeof(pending->slots));
    memset(pending->marks, 0, sizeof(pending->marks));
    pending->count = 0;
    pending->lease_count = 0;
}

/* FNV-1a; ids are our own, nobody chooses them. The slot that has the id, or where it would go. */
static size_t slot_of(const struct pending *pending, const char id[ID_LEN])
{
    uint32_t hash = 2166136261U;
    size_t slot = 0;

    for (size_t i = 0; i < ID_LEN; i++)
        hash = (hash ^ (uint8_t)id[i]) * 16777619U;
    slot = (hash ^ hash >> 16) % PENDING_SLOTS;
    while (pending->slots[slot] != 0 &&
           memcmp(pending->leases[pending->slots[slot] - 1].lease.id, id, ID_LEN) != 0)
        slot = (slot + 1) % PENDING_SLOTS;
    return slot;
}

const struct pending_lease *pending_lease(const struct pending *pending, const char id[ID_LEN])
{
    uint16_t place = pending->lease_count == 0 ? 0 : pending->slots[slot_of(pending, id)];

    return place == 0 ? NULL : &pending->leases[place - 1];
}

static struct pending_lease *find_or_add(struct pending *pending, const struct leases *leases,
                                         const char id[ID_LEN])
{
    size_t slot = slot_of(pending, id);
    struct pending_lease *found = NULL;

    if (pending->slots[slot] != 0)
        return &pending->leases[pending->slots[slot] - 1];
    found = &pending->leases[pending->lease_count++];
    *found = (struct pending_lease){ .row = leases_find(leases, id) };
    if (found->row != 0)
        lease_row_read(leases_row(leases, found->row), &found->lease);
    memcpy(found->lease.id, id, ID_LEN);
    pending->slots[slot] = (uint16_t)pending->lease_count;
    return found;
}

/* Marks are digests: their own bytes spread them. */
static size_t bit_of(const uint8_t mark[32])
{
    return get_u16(mark) % PENDING_MARK_BITS;
}

bool pending_may_change(const struct pending *pending, const uint8_t mark[32])
{
    size_t bit = bit_of(mark);

    return (pending->marks[bit / 64] >> bit % 64 & 1) != 0;
}

static void note_mark(struct pending *pending, const uint8_t mark[32])
{
    size_t bit = bit_of(mark);

    pending->marks[bit / 64] |= UINT64_C(1) << bit % 64;
}

void pending_add(struct pending *pending, const struct leases *leases,
                 const struct pending_change *change)
{
    const struct store_change *made = change->change;
    uint8_t id[LEASE_ID_LEN];
    struct pending_lease *found = NULL;

    pending->changes[pending->count++] = *change;
    if (made->kind == STORE_SET_MARK || made->kind == STORE_FREE_MARK)
        note_mark(pending, made->mark);
    if (made->kind != STORE_PUT_LEASE || !lease_id_pack(made->lease.id, id))
        return;
    found = find_or_add(pending, leases, made->lease.id);
    lease_change(&found->lease, &made->lease, change->index, change->entry_s);
    memcpy(found->lease.id, made->lease.id, ID_LEN); /* also where it is none */
}
