#include "store/lease_chains.h"

#include <string.h>

#include "store/bytes.h"

/* Leases, and which of their keys is meant. */
struct keyed {
    const struct leases *leases;
    enum store_lease_key kind;
};

static const uint8_t *key_at(const void *rows, uint32_t number)
{
    const struct keyed *keyed = rows;

    return leases_row(keyed->leases, number)->keys[keyed->kind];
}

static uint32_t hash_at(const void *rows, uint32_t number)
{
    return get_u32(key_at(rows, number));
}

static bool fits(const void *rows, uint32_t number, const void *key)
{
    return memcmp(key_at(rows, number), key, STORE_KEY_LEN) == 0;
}

static struct lease_index_rows rows_of(const struct keyed *keyed)
{
    return (struct lease_index_rows){ keyed, key_at, hash_at, fits };
}

static bool is_first(const struct lease_row *row, enum store_lease_key kind)
{
    return (row->firsts >> kind & 1) != 0;
}

static void set_first(struct lease_row *row, enum store_lease_key kind, uint32_t live_count)
{
    row->firsts |= (uint8_t)(1U << kind);
    row->chains[kind].before = live_count;
}

static void clear_first(struct lease_row *row, enum store_lease_key kind, uint32_t before)
{
    row->firsts &= (uint8_t) ~(1U << kind);
    row->chains[kind].before = before;
}

uint32_t lease_chains_first(const struct leases *leases, enum store_lease_key kind,
                            const uint8_t key[STORE_KEY_LEN])
{
    struct keyed keyed = { leases, kind };
    struct lease_index_rows rows = rows_of(&keyed);

    if (!lease_has_key(key))
        return 0;
    return lease_index_find(&leases->by_key[kind], &rows, get_u32(key), key);
}

size_t lease_chains_live(const struct leases *leases, enum store_lease_key kind,
                         const uint8_t key[STORE_KEY_LEN])
{
    uint32_t first = lease_chains_first(leases, kind, key);

    return first == 0 ? 0 : leases_row(leases, first)->chains[kind].before;
}

static uint64_t opened_at(const struct leases *leases, uint32_t number)
{
    return lease_number_get(leases_row(leases, number)->opened_index);
}

/* A lease is opened after all others, but where entries are read again that rows know of. */
static void link_behind(struct leases *leases, enum store_lease_key kind, uint32_t first,
                        uint32_t number)
{
    struct lease_row *row = leases_row(leases, number);
    uint64_t opened = opened_at(leases, number);
    uint32_t before = first;
    uint32_t next = 0;

    for (;;) {
        next = leases_row(leases, before)->chains[kind].next;
        if (next == 0 || opened_at(leases, next) < opened)
            break;
        before = next;
    }
    row->chains[kind] = (struct lease_chain){ .next = next, .before = before };
    leases_row(leases, before)->chains[kind].next = number;
    if (next != 0)
        leases_row(leases, next)->chains[kind].before = number;
    if (row->is_live)
        leases_row(leases, first)->chains[kind].before++;
}

static bool add_to(struct leases *leases, enum store_lease_key kind, uint32_t number)
{
    struct keyed keyed = { leases, kind };
    struct lease_index_rows rows = rows_of(&keyed);
    struct lease_row *row = leases_row(leases, number);
    uint32_t first = lease_chains_first(leases, kind, row->keys[kind]);
    uint32_t live_count = 0;

    if (!lease_has_key(row->keys[kind]))
        return true;
    if (first == 0) {
        set_first(row, kind, row->is_live ? 1 : 0);
        return lease_index_add(&leases->by_key[kind], &rows, number);
    }
    if (opened_at(leases, first) > opened_at(leases, number)) {
        link_behind(leases, kind, first, number);
        return true;
    }
    live_count = leases_row(leases, first)->chains[kind].before;
    clear_first(leases_row(leases, first), kind, number);
    set_first(row, kind, live_count + (row->is_live ? 1 : 0));
    row->chains[kind].next = first;
    lease_index_replace(&leases->by_key[kind], &rows, first, number);
    return true;
}

bool lease_chains_add(struct leases *leases, uint32_t number)
{
    bool is_added = true;

    for (int kind = 0; kind < STORE_KEY_COUNT; kind++)
        is_added = add_to(leases, (enum store_lease_key)kind, number) && is_added;
    return is_added;
}

static uint32_t first_of(const struct leases *leases, enum store_lease_key kind, uint32_t number)
{
    const struct lease_row *row = leases_row(leases, number);

    return is_first(row, kind) ? number : lease_chains_first(leases, kind, row->keys[kind]);
}

static void remove_first(struct leases *leases, enum store_lease_key kind, uint32_t number)
{
    struct keyed keyed = { leases, kind };
    struct lease_index_rows rows = rows_of(&keyed);
    struct lease_row *row = leases_row(leases, number);
    uint32_t next = row->chains[kind].next;
    uint32_t live_count = row->chains[kind].before - (row->is_live ? 1 : 0);

    if (next == 0) {
        lease_index_remove(&leases->by_key[kind], &rows, number);
    } else {
        lease_index_replace(&leases->by_key[kind], &rows, number, next);
        set_first(leases_row(leases, next), kind, live_count);
    }
}

static void remove_from(struct leases *leases, enum store_lease_key kind, uint32_t number)
{
    struct lease_row *row = leases_row(leases, number);
    struct lease_chain *chain = &row->chains[kind];

    if (is_first(row, kind)) {
        remove_first(leases, kind, number);
    } else if (chain->before != 0) {
        if (row->is_live)
            leases_row(leases, first_of(leases, kind, number))->chains[kind].before--;
        leases_row(leases, chain->before)->chains[kind].next = chain->next;
        if (chain->next != 0)
            leases_row(leases, chain->next)->chains[kind].before = chain->before;
    }
    clear_first(row, kind, 0);
    chain->next = 0;
}

void lease_chains_remove(struct leases *leases, uint32_t number)
{
    for (int kind = 0; kind < STORE_KEY_COUNT; kind++)
        remove_from(leases, (enum store_lease_key)kind, number);
}

void lease_chains_count(struct leases *leases, uint32_t number, bool is_live)
{
    const struct lease_row *row = leases_row(leases, number);

    for (int kind = 0; kind < STORE_KEY_COUNT; kind++) {
        uint32_t first = 0;

        if (!lease_has_key(row->keys[kind]))
            continue;
        first = first_of(leases, (enum store_lease_key)kind, number);
        if (first != 0)
            leases_row(leases, first)->chains[kind].before += is_live ? 1U : UINT32_MAX;
    }
}
