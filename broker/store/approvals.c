#include "store/approvals.h"

#include <stdlib.h>
#include <string.h>

#include "store/bytes.h"

#define LISTS 16384

/* A row, and what comes behind it in the lists of its keys: places + 1. */
struct approval_row {
    struct store_approval approval; /* version 0: it is free */
    uint16_t next[APPROVAL_KEY_COUNT];
};

struct approval_table {
    uint16_t lists[APPROVAL_KEY_COUNT][LISTS]; /* the first of each: a place + 1 */
    size_t used;                               /* rows ever used */
    struct approval_row rows[STORE_APPROVALS_MAX];
};

_Static_assert(STORE_APPROVALS_MAX < UINT16_MAX, "a place fits into its type");

static const uint8_t nothing[32];

static const void *key_of(const struct store_approval *approval, enum approval_key by)
{
    if (by == APPROVAL_BY_ID)
        return approval->id;
    return by == APPROVAL_BY_CODE ? approval->code_sha256 : approval->digest;
}

static size_t key_len(enum approval_key by)
{
    return by == APPROVAL_BY_ID ? ID_LEN : 32;
}

/* FNV-1a of an id; the others are digests. */
static size_t list_of(enum approval_key by, const void *key)
{
    const uint8_t *bytes = key;
    uint32_t hash = 2166136261U;

    if (by != APPROVAL_BY_ID)
        return get_u32(bytes) % LISTS;
    for (size_t i = 0; i < ID_LEN; i++)
        hash = (hash ^ bytes[i]) * 16777619U;
    return (hash ^ hash >> 16) % LISTS;
}

/* Without a code, or a digest, it is in no list of them. */
static bool has_key(const struct store_approval *approval, enum approval_key by)
{
    return by == APPROVAL_BY_ID || memcmp(key_of(approval, by), nothing, sizeof(nothing)) != 0;
}

static bool fits(const struct approval_row *row, enum approval_key by, const void *key)
{
    return memcmp(key_of(&row->approval, by), key, key_len(by)) == 0;
}

static struct approval_row *row_at(const struct approvals *approvals, uint16_t place)
{
    return &approvals->table->rows[place - 1];
}

void approvals_release(struct approvals *approvals)
{
    free(approvals->table);
    *approvals = (struct approvals){ 0 };
}

bool approval_is_open(const struct store_approval *approval, int64_t now_s)
{
    return (approval->state == APPROVAL_PENDING || approval->state == APPROVAL_GRANTED) &&
           approval->expires_s > now_s;
}

/* The first in a key's list, a place + 1; 0: there is none. */
static uint16_t first_of(const struct approvals *approvals, enum approval_key by, const void *key)
{
    if (approvals->table == NULL ||
        (by != APPROVAL_BY_ID && memcmp(key, nothing, sizeof(nothing)) == 0))
        return 0;
    return approvals->table->lists[by][list_of(by, key)];
}

struct store_approval approvals_find(const struct approvals *approvals, enum approval_key by,
                                     const void *key)
{
    uint16_t place = first_of(approvals, by, key);

    for (; place != 0; place = row_at(approvals, place)->next[by])
        if (fits(row_at(approvals, place), by, key))
            return row_at(approvals, place)->approval;
    return (struct store_approval){ 0 };
}

/* Before those that end sooner; of those that end together the smaller id comes first. */
static bool comes_before(const struct store_approval *approval, const struct store_approval *other)
{
    if (approval->expires_s != other->expires_s)
        return approval->expires_s > other->expires_s;
    return memcmp(approval->id, other->id, ID_LEN) < 0;
}

static size_t put_in_order(struct store_approval *rows, size_t count, size_t max,
                           const struct store_approval *approval)
{
    size_t at = count;

    while (at > 0 && comes_before(approval, &rows[at - 1]))
        at--;
    if (at == max)
        return count;
    count -= count == max;
    memmove(&rows[at + 1], &rows[at], (count - at) * sizeof(*rows));
    rows[at] = *approval;
    return count + 1;
}

size_t approvals_of_digest(const struct approvals *approvals, const uint8_t digest[32],
                           int64_t now_s, struct store_approval *rows, size_t max)
{
    uint16_t place = first_of(approvals, APPROVAL_BY_DIGEST, digest);
    size_t count = 0;

    for (; place != 0; place = row_at(approvals, place)->next[APPROVAL_BY_DIGEST]) {
        const struct store_approval *approval = &row_at(approvals, place)->approval;

        if (fits(row_at(approvals, place), APPROVAL_BY_DIGEST, digest) &&
            approval->state == APPROVAL_GRANTED && approval->expires_s > now_s)
            count = put_in_order(rows, count, max, approval);
    }
    return count;
}

static bool is_somebody(const uint8_t person[STORE_PERSON_LEN])
{
    return memcmp(person, nothing, STORE_PERSON_LEN) != 0;
}

/* Each once, and no more than may be asked for. */
static void add_person(struct store_approval *approval, const uint8_t person[STORE_PERSON_LEN])
{
    for (size_t i = 0; i < approval->person_count; i++)
        if (memcmp(approval->people[i], person, STORE_PERSON_LEN) == 0)
            return;
    if (is_somebody(person) && approval->person_count < STORE_APPROVERS_MAX)
        memcpy(approval->people[approval->person_count++], person, STORE_PERSON_LEN);
}

static bool open_approval(struct store_approval *approval, const struct store_approval *change,
                          uint64_t index)
{
    *approval = (struct store_approval){ 0 };
    if (change->expires_s <= 0 || change->state == 0 ||
        !id_is_valid((struct str){ change->id, strnlen(change->id, sizeof(change->id)) }))
        return false;
    memcpy(approval->id, change->id, ID_LEN);
    approval->opened_index = index;
    return true;
}

void approval_change(struct store_approval *approval, const struct store_approval *change,
                     uint64_t index, int64_t entry_s)
{
    if (approval->version > 0 && approval->latest_index >= index)
        return;
    if ((approval->version == 0 || approval->expires_s <= entry_s) &&
        !open_approval(approval, change, index))
        return;
    if (memcmp(change->code_sha256, nothing, sizeof(nothing)) != 0)
        memcpy(approval->code_sha256, change->code_sha256, sizeof(approval->code_sha256));
    if (memcmp(change->digest, nothing, sizeof(nothing)) != 0)
        memcpy(approval->digest, change->digest, sizeof(approval->digest));
    if (change->state != 0)
        approval->state = change->state;
    if (change->expires_s > 0)
        approval->expires_s = change->expires_s;
    if (change->is_break_glass)
        approval->is_break_glass = true;
    add_person(approval, change->people[0]);
    approval->latest_index = index;
    approval->version++;
}

static void link_row(struct approvals *approvals, uint16_t place)
{
    struct approval_row *row = row_at(approvals, place);

    for (int i = 0; i < APPROVAL_KEY_COUNT; i++) {
        enum approval_key by = (enum approval_key)i;
        uint16_t *first = &approvals->table->lists[by][list_of(by, key_of(&row->approval, by))];

        if (!has_key(&row->approval, by))
            continue;
        row->next[by] = *first;
        *first = place;
    }
}

static void unlink_row(struct approvals *approvals, uint16_t place)
{
    struct approval_row *row = row_at(approvals, place);

    for (int i = 0; i < APPROVAL_KEY_COUNT; i++) {
        enum approval_key by = (enum approval_key)i;
        uint16_t *at = &approvals->table->lists[by][list_of(by, key_of(&row->approval, by))];

        while (*at != 0 && *at != place)
            at = &row_at(approvals, *at)->next[by];
        if (*at == place)
            *at = row->next[by];
        row->next[by] = 0;
    }
}

static void remove_row(struct approvals *approvals, uint16_t place)
{
    unlink_row(approvals, place);
    *row_at(approvals, place) = (struct approval_row){ 0 };
    approvals->count--;
}

/* The place of an id + 1, or 0. */
static uint16_t place_of(const struct approvals *approvals, const char id[ID_LEN])
{
    uint16_t place = 0;

    if (approvals->table == NULL)
        return 0;
    place = approvals->table->lists[APPROVAL_BY_ID][list_of(APPROVAL_BY_ID, id)];
    while (place != 0 && !fits(row_at(approvals, place), APPROVAL_BY_ID, id))
        place = row_at(approvals, place)->next[APPROVAL_BY_ID];
    return place;
}

/* A free row: behind those that were ever used, or one that was given up. */
static uint16_t free_place(struct approvals *approvals)
{
    if (approvals->table == NULL)
        approvals->table = calloc(1, sizeof(*approvals->table));
    if (approvals->table == NULL || approvals->count == STORE_APPROVALS_MAX)
        return 0;
    if (approvals->table->used < STORE_APPROVALS_MAX)
        return (uint16_t)++approvals->table->used;
    for (uint16_t place = 1; place <= STORE_APPROVALS_MAX; place++)
        if (row_at(approvals, place)->approval.version == 0)
            return place;
    return 0;
}

static bool insert(struct approvals *approvals, const struct store_approval *approval)
{
    uint16_t place = free_place(approvals);

    if (place == 0)
        return false;
    row_at(approvals, place)->approval = *approval;
    link_row(approvals, place);
    approvals->count++;
    return true;
}

bool approvals_apply(struct approvals *approvals, const struct store_approval *change,
                     uint64_t index, int64_t entry_s)
{
    uint16_t place = place_of(approvals, change->id);
    struct store_approval before = { 0 };
    struct store_approval after;

    if (place != 0)
        before = row_at(approvals, place)->approval;
    after = before;
    approval_change(&after, change, index, entry_s);
    if (after.version == before.version && after.latest_index == before.latest_index)
        return true;
    if (place != 0)
        remove_row(approvals, place);
    if (after.version == 0)
        return true;
    if (approvals->count == STORE_APPROVALS_MAX)
        approvals_sweep(approvals, entry_s);
    return insert(approvals, &after);
}

bool approvals_restore(struct approvals *approvals, const struct store_approval *approval)
{
    if (strnlen(approval->id, sizeof(approval->id)) != ID_LEN || approval->version == 0 ||
        approval->state < APPROVAL_PENDING || approval->state > APPROVAL_USED ||
        approval->person_count > STORE_APPROVERS_MAX)
        return false;
    return place_of(approvals, approval->id) != 0 || insert(approvals, approval);
}

void approvals_sweep(struct approvals *approvals, int64_t now_s)
{
    for (size_t i = 0; approvals->count > 0 && i < approvals->table->used; i++) {
        const struct store_approval *approval = &approvals->table->rows[i].approval;

        if (approval->version != 0 && approval->expires_s <= now_s)
            remove_row(approvals, (uint16_t)(i + 1));
    }
}

size_t approvals_count(const struct approvals *approvals, int64_t now_s)
{
    size_t count = approvals->elsewhere_count;

    for (size_t i = 0; approvals->count > 0 && i < approvals->table->used; i++) {
        const struct store_approval *approval = &approvals->table->rows[i].approval;

        count += approval->version != 0 && approval->expires_s > now_s;
    }
    return count;
}

size_t approvals_read(const struct approvals *approvals, size_t *place, struct store_approval *rows,
                      size_t max)
{
    size_t count = 0;

    for (; approvals->count > 0 && count < max && *place < approvals->table->used; (*place)++)
        if (approvals->table->rows[*place].approval.version != 0)
            rows[count++] = approvals->table->rows[*place].approval;
    return count;
}

uint64_t approvals_oldest(const struct approvals *approvals, int64_t now_s)
{
    uint64_t oldest = UINT64_MAX;

    for (size_t i = 0; approvals->count > 0 && i < approvals->table->used; i++) {
        const struct store_approval *approval = &approvals->table->rows[i].approval;

        if (approval->version != 0 && approval->expires_s > now_s &&
            approval->opened_index < oldest)
            oldest = approval->opened_index;
    }
    return oldest;
}

static int compare_opened(const void *left, const void *right)
{
    uint64_t one = ((const struct store_approval *)left)->opened_index;
    uint64_t other = ((const struct store_approval *)right)->opened_index;

    return one < other ? -1 : one > other;
}

void approvals_sort(struct store_approval *rows, size_t count)
{
    qsort(rows, count, sizeof(*rows), compare_opened);
}
