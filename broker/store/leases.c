#include "store/leases.h"

#include <stdlib.h>
#include <string.h>

#include "store/bytes.h"
#include "store/lease_chains.h"

/* --- by id and by handle --- */

/* Ids are our own random ULIDs, nobody chooses them; their last bytes are random. */
static uint32_t hash_id(const uint8_t id[LEASE_ID_LEN])
{
    uint64_t mixed =
        ((uint64_t)get_u32(id + 8) << 32 | get_u32(id + 12)) * UINT64_C(0x9e3779b97f4a7c15);

    return (uint32_t)(mixed >> 32);
}

static const uint8_t *id_at(const void *leases, uint32_t number)
{
    return leases_row(leases, number)->id;
}

static uint32_t id_hash_at(const void *leases, uint32_t number)
{
    return hash_id(id_at(leases, number));
}

static bool id_fits(const void *leases, uint32_t number, const void *id)
{
    return memcmp(leases_row(leases, number)->id, id, LEASE_ID_LEN) == 0;
}

static const uint8_t *handle_at(const void *leases, uint32_t number)
{
    return leases_row(leases, number)->handle;
}

static uint32_t handle_hash_at(const void *leases, uint32_t number)
{
    return get_u32(handle_at(leases, number));
}

static bool handle_fits(const void *leases, uint32_t number, const void *handle)
{
    return memcmp(leases_row(leases, number)->handle, handle, STORE_HANDLE_LEN) == 0;
}

static struct lease_index_rows by_id(const struct leases *leases)
{
    return (struct lease_index_rows){ leases, id_at, id_hash_at, id_fits };
}

static struct lease_index_rows by_handle(const struct leases *leases)
{
    return (struct lease_index_rows){ leases, handle_at, handle_hash_at, handle_fits };
}

uint32_t leases_find(const struct leases *leases, const char id[ID_LEN])
{
    struct lease_index_rows rows = by_id(leases);
    uint8_t bytes[LEASE_ID_LEN];

    if (!lease_id_pack(id, bytes))
        return 0;
    return lease_index_find(&leases->by_id, &rows, hash_id(bytes), bytes);
}

static uint32_t find_handle(const struct leases *leases, const uint8_t handle[STORE_HANDLE_LEN])
{
    struct lease_index_rows rows = by_handle(leases);

    if (!lease_has_handle(handle))
        return 0;
    return lease_index_find(&leases->by_handle, &rows, get_u32(handle), handle);
}

void leases_expect(const struct leases *leases, const struct store_lease *change)
{
    uint8_t bytes[LEASE_ID_LEN];

    if (lease_id_pack(change->id, bytes))
        lease_index_expect(&leases->by_id, hash_id(bytes));
    if (lease_has_handle(change->handle))
        lease_index_expect(&leases->by_handle, get_u32(change->handle));
}

static struct store_lease read_row(const struct leases *leases, uint32_t number)
{
    struct store_lease lease = { 0 };

    if (number != 0)
        lease_row_read(leases_row(leases, number), &lease);
    return lease;
}

struct store_lease leases_by_id(const struct leases *leases, const char id[ID_LEN])
{
    return read_row(leases, leases_find(leases, id));
}

struct store_lease leases_by_handle(const struct leases *leases,
                                    const uint8_t handle[STORE_HANDLE_LEN])
{
    return read_row(leases, find_handle(leases, handle));
}

static bool set_handle(struct leases *leases, uint32_t number,
                       const uint8_t handle[STORE_HANDLE_LEN])
{
    struct lease_row *row = leases_row(leases, number);
    struct lease_index_rows rows = by_handle(leases);

    if (memcmp(row->handle, handle, sizeof(row->handle)) == 0)
        return true;
    if (lease_has_handle(row->handle))
        lease_index_remove(&leases->by_handle, &rows, number);
    memcpy(row->handle, handle, sizeof(row->handle));
    return lease_index_add(&leases->by_handle, &rows, number);
}

/* --- what ends, and what falls due --- */

static struct due_link *ends_link(void *leases, uint32_t number)
{
    return &leases_row(leases, number)->ends;
}

static int64_t ends_time_s(const void *leases, uint32_t number)
{
    const struct lease_row *row = leases_row(leases, number);
    struct store_lease lease;

    if (row->is_live || row->is_owed)
        return (int64_t)lease_number_get(row->expires_s);
    lease_row_read(row, &lease);
    return lease_gone_s(&lease);
}

static struct due_link *due_link(void *leases, uint32_t number)
{
    return &leases_row(leases, number)->due;
}

static int64_t due_time_s(const void *leases, uint32_t number)
{
    return (int64_t)lease_number_get(leases_row(leases, number)->due_s);
}

static struct due_rows ends_rows(struct leases *leases)
{
    return (struct due_rows){ leases, ends_link, ends_time_s };
}

static struct due_rows due_rows(struct leases *leases)
{
    return (struct due_rows){ leases, due_link, due_time_s };
}

static void set_due(struct leases *leases, uint32_t number, int64_t due_s)
{
    struct lease_row *row = leases_row(leases, number);
    struct due_rows rows = due_rows(leases);

    if (!leases->has_begun) {
        lease_number_put(row->due_s, due_s);
        return;
    }
    due_remove(&leases->due, &rows, number);
    lease_number_put(row->due_s, due_s);
    if (due_s < LEASE_NEVER_DUE)
        due_add(&leases->due, &rows, number);
}

/* Among those that owe and have ended, in the order in which that came to be. */
static void set_owed(struct leases *leases, uint32_t number, bool is_owed)
{
    struct lease_row *row = leases_row(leases, number);
    struct due_link *link = &row->owed;

    if (row->is_owed == is_owed)
        return;
    row->is_owed = is_owed;
    leases->owed_count += is_owed ? 1 : (size_t)-1;
    if (is_owed) {
        *link = (struct due_link){ .before = leases->owed_last };
        *(link->before != 0 ? &leases_row(leases, link->before)->owed.next : &leases->owed_first) =
            number;
        leases->owed_last = number;
        return;
    }
    *(link->before != 0 ? &leases_row(leases, link->before)->owed.next : &leases->owed_first) =
        link->next;
    *(link->next != 0 ? &leases_row(leases, link->next)->owed.before : &leases->owed_last) =
        link->before;
    *link = (struct due_link){ 0 };
}

/* Whether it lives and owes, as the wheel's time has it, and when that changes by itself: of what
 * has ended only where what it owes lapses. */
static void settle(struct leases *leases, uint32_t number)
{
    struct lease_row *row = leases_row(leases, number);
    struct due_rows rows = ends_rows(leases);
    struct store_lease lease;
    bool is_live = false;

    lease_row_read(row, &lease);
    is_live = lease_is_live(&lease, leases->ends.now_s);
    due_remove(&leases->ends, &rows, number);
    if (row->is_live != is_live) {
        leases->live_count += is_live ? 1 : (size_t)-1;
        row->is_live = is_live;
        lease_chains_count(leases, number, is_live);
    }
    set_owed(leases, number,
             store_lease_owes(&lease, leases->ends.now_s) && (lease_has_ended(&lease) || !is_live));
    if (is_live || lease.debt != DEBT_OWED)
        due_add(&leases->ends, &rows, number);
}

/* --- rows --- */

/* Take a row out of the free ones, or a new one; 0: there is none. */
static uint32_t take_row(struct leases *leases)
{
    size_t block = leases->row_count / LEASE_BLOCK;
    uint32_t number = leases->first_free;

    if (number != 0) {
        leases->first_free = leases_row(leases, number)->chains[0].next;
        leases_row(leases, number)->chains[0].next = 0;
        return number;
    }
    if (leases->row_count == LEASES_MAX)
        return 0;
    if (leases->blocks[block] == NULL)
        leases->blocks[block] = calloc(LEASE_BLOCK, sizeof(struct lease_row));
    return leases->blocks[block] == NULL ? 0 : ++leases->row_count;
}

static void give_row_back(struct leases *leases, uint32_t number)
{
    struct lease_row *row = leases_row(leases, number);

    *row = (struct lease_row){ 0 };
    row->chains[0].next = leases->first_free;
    leases->first_free = number;
}

static void remove_row(struct leases *leases, uint32_t number)
{
    struct lease_row *row = leases_row(leases, number);
    struct lease_index_rows ids = by_id(leases);
    struct lease_index_rows handles = by_handle(leases);
    struct due_rows ends = ends_rows(leases);
    struct due_rows due = due_rows(leases);

    due_remove(&leases->ends, &ends, number);
    due_remove(&leases->due, &due, number);
    set_owed(leases, number, false);
    if (row->is_live)
        leases->live_count--;
    lease_chains_remove(leases, number);
    lease_index_remove(&leases->by_id, &ids, number);
    if (lease_has_handle(row->handle))
        lease_index_remove(&leases->by_handle, &handles, number);
    give_row_back(leases, number);
    leases->count--;
}

void leases_release(struct leases *leases)
{
    for (size_t i = 0; i * LEASE_BLOCK < leases->row_count; i++)
        free(leases->blocks[i]);
    lease_index_release(&leases->by_id);
    lease_index_release(&leases->by_handle);
    for (size_t i = 0; i < STORE_KEY_COUNT; i++)
        lease_index_release(&leases->by_key[i]);
    memset(leases, 0, sizeof(*leases));
}

/* A row that ids and handles find, and nothing else. */
static uint32_t insert(struct leases *leases, const struct store_lease *lease)
{
    struct lease_index_rows ids = by_id(leases);
    struct lease_index_rows handles = by_handle(leases);
    uint32_t number = take_row(leases);

    if (number == 0)
        return 0;
    lease_row_write(leases_row(leases, number), lease);
    lease_number_put(leases_row(leases, number)->due_s, LEASE_NEVER_DUE);
    if (!lease_index_add(&leases->by_id, &ids, number)) {
        give_row_back(leases, number);
        return 0;
    }
    leases->count++;
    if (!lease_has_handle(lease->handle) || lease_index_add(&leases->by_handle, &handles, number))
        return number;
    remove_row(leases, number);
    return 0;
}

/* --- changes --- */

/* What owes and has ended stays claimed when an entry says that it still does. */
static void set_due_after(struct leases *leases, uint32_t number, const struct store_lease *before,
                          const struct store_lease *after, int64_t entry_s)
{
    if (before->version > 0 && before->debt != DEBT_NONE && lease_has_ended(before) &&
        after->debt != DEBT_NONE && lease_has_ended(after))
        return;
    set_due(leases, number, lease_due_s(after, entry_s));
    leases_row(leases, number)->is_due_new = true;
}

static bool update(struct leases *leases, uint32_t number, const struct store_lease *lease)
{
    struct lease_row *row = leases_row(leases, number);

    if (lease_has_handle(lease->handle) && !set_handle(leases, number, lease->handle))
        return false;
    if (memcmp(row->keys, lease->keys, sizeof(row->keys)) == 0) {
        lease_row_write(row, lease);
        return true;
    }
    lease_chains_remove(leases, number);
    lease_row_write(row, lease);
    return lease_chains_add(leases, number);
}

bool leases_apply(struct leases *leases, const struct store_lease *change, uint64_t index,
                  int64_t entry_s)
{
    uint8_t id[LEASE_ID_LEN];
    uint32_t number = leases_find(leases, change->id);
    struct store_lease before = read_row(leases, number);
    struct store_lease after = before;

    lease_change(&after, change, index, entry_s);
    if (!lease_id_pack(change->id, id) ||
        (after.version == before.version && after.latest_index == before.latest_index))
        return true;
    if (number != 0 && (after.version == 0 || after.opened_index != before.opened_index)) {
        /* it was only not forgotten yet */
        remove_row(leases, number);
        number = 0;
        before.version = 0;
    }
    if (after.version == 0)
        return true;
    if (number == 0) {
        number = insert(leases, &after);
        if (number == 0)
            return false;
        if (!lease_chains_add(leases, number)) {
            remove_row(leases, number);
            return false;
        }
    } else if (!update(leases, number, &after))
        return false;
    settle(leases, number);
    set_due_after(leases, number, &before, &after, entry_s);
    return true;
}

bool leases_restore(struct leases *leases, const struct store_lease *lease)
{
    uint8_t id[LEASE_ID_LEN];

    if (!lease_id_pack(lease->id, id) || lease->version == 0)
        return false;
    return leases_find(leases, lease->id) != 0 || insert(leases, lease) != 0;
}

static int compare_numbers(const void *left, const void *right)
{
    uint64_t one = *(const uint64_t *)left;
    uint64_t other = *(const uint64_t *)right;

    return one < other ? -1 : one > other;
}

/* Numbers of rows in the order of what `sort_key` says of them, with that before them. */
static uint64_t *sort(const struct leases *leases,
                      uint64_t (*sort_key)(const struct lease_row *row))
{
    uint64_t *sorted = calloc(leases->count + 1, sizeof(*sorted));
    size_t count = 0;

    if (sorted == NULL)
        return NULL;
    for (uint32_t i = 1; i <= leases->row_count; i++)
        if (leases_row(leases, i)->version != 0)
            sorted[count++] = sort_key(leases_row(leases, i)) << LEASE_INDEX_NUMBER_BITS | i;
    qsort(sorted, count, sizeof(*sorted), compare_numbers);
    return sorted;
}

static uint64_t opened_of(const struct lease_row *row)
{
    return lease_number_get(row->opened_index);
}

/* When it ended, or will. */
static uint64_t ended_of(const struct lease_row *row)
{
    uint64_t ended_s = lease_number_get(row->ended_s);

    return ended_s != 0 ? ended_s : lease_number_get(row->expires_s);
}

/* A chain is built from its oldest on, so that each goes to its beginning. */
bool leases_link(struct leases *leases, int64_t now_s)
{
    uint64_t *opened = sort(leases, opened_of);
    uint64_t *ended = sort(leases, ended_of);
    bool is_linked = opened != NULL && ended != NULL;

    due_clear(&leases->ends, now_s);
    for (size_t i = 0; is_linked && i < leases->count; i++)
        is_linked = lease_chains_add(leases, (uint32_t)opened[i] & LEASE_INDEX_NUMBER_MAX);
    for (size_t i = 0; is_linked && i < leases->count; i++)
        settle(leases, (uint32_t)ended[i] & LEASE_INDEX_NUMBER_MAX);
    free(opened);
    free(ended);
    return is_linked;
}

/* --- time --- */

static void hear(struct leases *leases, uint32_t number, int64_t now_s)
{
    struct store_lease lease = read_row(leases, number);

    set_due(leases, number, lease_due_s(&lease, now_s));
}

/* What was past, and so never due again, may not be. */
static void put_due_anew(struct leases *leases, uint32_t number, int64_t now_s)
{
    int64_t due_s = (int64_t)lease_number_get(leases_row(leases, number)->due_s);

    if (due_s == LEASE_NEVER_DUE)
        hear(leases, number, now_s);
    else
        set_due(leases, number, due_s);
}

/* A clock that went back finds all that was expected later where it was put: put it anew. */
static void put_anew(struct leases *leases, struct due *due, int64_t now_s)
{
    bool is_ends = due == &leases->ends;

    due_clear(due, now_s);
    for (uint32_t i = 1; i <= leases->row_count; i++) {
        struct lease_row *row = leases_row(leases, i);

        *(is_ends ? &row->ends : &row->due) = (struct due_link){ 0 };
        if (row->version != 0 && is_ends)
            settle(leases, i);
        else if (row->version != 0)
            put_due_anew(leases, i, now_s);
    }
}

/* How far a clock goes back before that is taken seriously. */
#define BACK_S 5

bool leases_advance(struct leases *leases, int64_t now_s, size_t budget)
{
    struct due_rows rows = ends_rows(leases);
    uint32_t number = 0;

    if (now_s < leases->ends.now_s - BACK_S)
        put_anew(leases, &leases->ends, now_s);
    while ((number = due_take(&leases->ends, &rows, now_s, &budget)) != 0) {
        if (leases_row(leases, number)->is_live || leases_row(leases, number)->is_owed)
            settle(leases, number);
        else
            remove_row(leases, number);
    }
    return budget > 0;
}

void leases_begin(struct leases *leases, int64_t now_s)
{
    leases->has_begun = true;
    due_clear(&leases->due, now_s);
    for (uint32_t i = 1; i <= leases->row_count; i++)
        if (leases_row(leases, i)->version != 0)
            hear(leases, i, now_s);
}

uint32_t leases_beat(struct leases *leases, const uint8_t handle[STORE_HANDLE_LEN], int64_t now_s)
{
    uint32_t number = find_handle(leases, handle);
    const struct lease_row *row = number == 0 ? NULL : leases_row(leases, number);

    if (row == NULL || row->state != LEASE_ISSUED ||
        (int64_t)lease_number_get(row->expires_s) <= now_s)
        return 0;
    hear(leases, number, now_s);
    return number;
}

size_t leases_claim(struct leases *leases, int64_t now_s, int64_t again_s,
                    struct store_lease *claimed, size_t max, size_t *budget)
{
    struct due_rows rows = due_rows(leases);
    size_t count = 0;

    if (now_s < leases->due.now_s - BACK_S)
        put_anew(leases, &leases->due, now_s);
    while (count < max) {
        uint32_t number = due_take(&leases->due, &rows, now_s, budget);

        if (number == 0)
            return count;
        claimed[count] = read_row(leases, number);
        if (lease_is_past(&claimed[count], now_s)) {
            set_due(leases, number, LEASE_NEVER_DUE);
            continue;
        }
        set_due(leases, number, now_s + (again_s > 0 ? again_s : 1));
        count++;
    }
    return count;
}

void leases_put_off(struct leases *leases, const char id[ID_LEN], int64_t due_s)
{
    uint32_t number = leases_find(leases, id);

    if (number != 0 &&
        (int64_t)lease_number_get(leases_row(leases, number)->due_s) != LEASE_NEVER_DUE)
        set_due(leases, number, due_s < LEASE_NEVER_DUE ? due_s : LEASE_NEVER_DUE - 1);
}

/* --- what there is --- */

int64_t leases_oldest_owed_s(const struct leases *leases)
{
    return leases->owed_first == 0 ? 0 : (int64_t)ended_of(leases_row(leases, leases->owed_first));
}

size_t leases_read_block(const struct leases *leases, size_t block, struct store_lease *rows)
{
    size_t count = 0;

    for (size_t i = 0; leases->blocks[block] != NULL && i < LEASE_BLOCK; i++)
        if (leases->blocks[block][i].version != 0)
            lease_row_read(&leases->blocks[block][i], &rows[count++]);
    return count;
}

uint64_t leases_oldest_needed(const struct leases *leases, size_t block, int64_t now_s)
{
    uint64_t oldest = UINT64_MAX;

    for (size_t i = 0; leases->blocks[block] != NULL && i < LEASE_BLOCK; i++) {
        struct store_lease lease = { 0 };

        lease_row_read(&leases->blocks[block][i], &lease);
        if (lease.version != 0 && lease.opened_index < oldest &&
            (lease_is_live(&lease, now_s) || store_lease_owes(&lease, now_s) ||
             lease.kept_until_s > now_s))
            oldest = lease.opened_index;
    }
    return oldest;
}
