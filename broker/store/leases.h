#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "store/due.h"
#include "store/lease_index.h"
#include "store/lease_row.h"
#include "store/store.h"

/**
 * The leases that the store keeps, found by id, by handle and under four kinds of keys, with what
 * ends when and what falls due when.
 *
 * Rows stand in blocks that never move, and have numbers from 1 on. Leases under one key are a
 * chain, the latest first; the first of it knows how many of them live. One timing wheel tells
 * which leases have ended since it was asked, and which rows can be forgotten; a second one, that
 * exists once leases_begin() was called, which leases fall due.
 *
 * All-zero is a valid empty one.
 *
 * Threads: confined; but what only the second wheel is about, which other threads change behind the
 * same lock, is not looked at by anything else
 */
#define LEASE_BLOCK 1024
#define LEASE_BLOCKS_MAX 4095
#define LEASES_MAX ((size_t)LEASE_BLOCK * LEASE_BLOCKS_MAX)

_Static_assert(LEASES_MAX <= LEASE_INDEX_NUMBER_MAX, "an index holds all numbers of rows");

struct lease_counts;

struct leases {
    struct lease_row *blocks[LEASE_BLOCKS_MAX];
    uint32_t row_count;  /* rows ever used; they are in the first blocks */
    uint32_t first_free; /* 0: none */
    size_t count;
    size_t live_count; /* requested, issued or unknown, and not expired when last looked */
    size_t owed_count; /* owe though they have ended */
    uint32_t owed_first;
    uint32_t owed_last;
    struct lease_index by_id;
    struct lease_index by_handle;
    struct lease_index by_key[STORE_KEY_COUNT];
    struct due ends;
    struct due due;
    bool has_begun;                    /* `due` is kept */
    const struct lease_counts *counts; /* of a database, whose rows are not all here; or NULL */
};

void leases_release(struct leases *leases);

/** The number of a lease's row, or 0. */
uint32_t leases_find(const struct leases *leases, const char id[ID_LEN]);

/** Have the memory fetched that a change is looked up in: it will be applied soon. */
void leases_expect(const struct leases *leases, const struct store_lease *change);

static inline struct lease_row *leases_row(const struct leases *leases, uint32_t number)
{
    return &leases->blocks[(number - 1) / LEASE_BLOCK][(number - 1) % LEASE_BLOCK];
}

/** The lease of an id or a handle; version 0: there is none. */
struct store_lease leases_by_id(const struct leases *leases, const char id[ID_LEN]);
struct store_lease leases_by_handle(const struct leases *leases,
                                    const uint8_t handle[STORE_HANDLE_LEN]);

/**
 * Apply a change that came with entry `index` of time `entry_s`, as STORE_PUT_LEASE says. A change
 * that the row has already seen, and one of a lease that is not kept any more, change nothing.
 * False without memory.
 */
bool leases_apply(struct leases *leases, const struct store_lease *change, uint64_t index,
                  int64_t entry_s) MUST_USE;

/**
 * Put a row as it was kept, in any order; until leases_link() no key finds it and it does not end.
 * False without memory, or where it makes no sense.
 */
bool leases_restore(struct leases *leases, const struct store_lease *lease) MUST_USE;
bool leases_link(struct leases *leases, int64_t now_s) MUST_USE;

/**
 * What has ended until `now_s` does not live any more, and what was kept for long enough is gone.
 * At most `budget` rows are looked at; false: there are more.
 */
bool leases_advance(struct leases *leases, int64_t now_s, size_t budget);

/** Keep what falls due from now on, every lease as if it had been heard just now. */
void leases_begin(struct leases *leases, int64_t now_s);

/** A heartbeat of a lease that is issued and has not expired; 0: there is none. */
uint32_t leases_beat(struct leases *leases, const uint8_t handle[STORE_HANDLE_LEN], int64_t now_s);

/**
 * Claim leases that are due: at most `max` of them; they fall due again `again_s` after `now_s`. At
 * most `budget` rows are looked at: where it is used up there may be more.
 */
size_t leases_claim(struct leases *leases, int64_t now_s, int64_t again_s,
                    struct store_lease *claimed, size_t max, size_t *budget);

/** When a lease falls due, instead; nothing where it never does. */
void leases_put_off(struct leases *leases, const char id[ID_LEN], int64_t due_s);

/** When the one ended that owes for longest; 0: none does. */
int64_t leases_oldest_owed_s(const struct leases *leases);

/** All leases of a block, LEASE_BLOCK at most. */
size_t leases_read_block(const struct leases *leases, size_t block, struct store_lease *rows);

/** The first entry of the oldest lease of a block that lives, owes or is kept for a time that was
 *  said; UINT64_MAX: it has none. */
uint64_t leases_oldest_needed(const struct leases *leases, size_t block, int64_t now_s);
