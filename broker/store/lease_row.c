#include "store/lease_row.h"

#include <string.h>

#include "base/id.h"
#include "store/bytes.h"

#define DIGIT_BITS 5

static const uint8_t nothing[STORE_HANDLE_LEN];

uint64_t lease_number_get(const uint8_t bytes[LEASE_NUMBER_LEN])
{
    return (uint64_t)bytes[0] << 32 | get_u32(bytes + 1);
}

void lease_number_put(uint8_t bytes[LEASE_NUMBER_LEN], int64_t number)
{
    uint64_t left = number < 0 ? 0 : (uint64_t)number;

    if (left > LEASE_NUMBER_MAX)
        left = LEASE_NUMBER_MAX;
    bytes[0] = (uint8_t)(left >> 32);
    put_u32(bytes + 1, (uint32_t)left);
}

/* The number that digits are, five bits each; `*all` becomes 0 where one is none. */
static uint64_t read_digits(const char *text, size_t count, uint8_t *all)
{
    uint64_t number = 0;

    for (size_t i = 0; i < count; i++) {
        uint8_t value = id_digit_values[(uint8_t)text[i]];

        *all &= value;
        number = number << DIGIT_BITS | (value & (ID_DIGIT - 1));
    }
    return number;
}

/* 26 digits of 5 bits are 130: the first has three at most. The 14th is the one in both halves. */
bool lease_id_pack(const char id[ID_LEN], uint8_t bytes[LEASE_ID_LEN])
{
    uint8_t all = ID_DIGIT;
    uint64_t high = read_digits(id, 13, &all);
    uint64_t middle = read_digits(id + 13, 1, &all);
    uint64_t low = read_digits(id + 14, 12, &all);

    if (all == 0 || id[0] > '7')
        return false;
    put_u64(bytes, high << 1 | middle >> 4);
    put_u64(bytes + 8, middle << 60 | low);
    return true;
}

static void unpack_id(const uint8_t bytes[LEASE_ID_LEN], char id[ID_LEN + 1])
{
    uint32_t bits = 0;
    unsigned count = 2; /* two zeros in front */
    size_t len = 0;

    for (size_t i = 0; i < LEASE_ID_LEN; i++) {
        bits = bits << 8 | bytes[i];
        for (count += 8; count >= DIGIT_BITS; len++)
            id[len] = id_digits[bits >> (count -= DIGIT_BITS) & 31];
    }
    id[ID_LEN] = '\0';
}

void lease_row_read(const struct lease_row *row, struct store_lease *lease)
{
    *lease = (struct store_lease){
        .state = row->state,
        .debt = row->debt,
        .outcome = row->outcome,
        .version = row->version,
        .attempt = row->attempt,
        .heartbeat_s = row->heartbeat_s,
        .renewal = row->renewal,
        .expires_s = (int64_t)lease_number_get(row->expires_s),
        .kept_until_s = (int64_t)lease_number_get(row->kept_until_s),
        .opened_s = (int64_t)lease_number_get(row->opened_s),
        .renewed_s = (int64_t)lease_number_get(row->renewed_s),
        .ended_s = (int64_t)lease_number_get(row->ended_s),
        .opened_index = lease_number_get(row->opened_index),
        .latest_index = lease_number_get(row->latest_index),
        .credentials_index = lease_number_get(row->credentials_index),
        .has_credentials = row->has_credentials,
    };
    unpack_id(row->id, lease->id);
    memcpy(lease->handle, row->handle, sizeof(lease->handle));
    memcpy(lease->keys, row->keys, sizeof(lease->keys));
}

void lease_row_write(struct lease_row *row, const struct store_lease *lease)
{
    row->version = lease->version;
    row->attempt = lease->attempt;
    row->heartbeat_s = lease->heartbeat_s;
    row->renewal = lease->renewal;
    row->state = (uint8_t)lease->state;
    row->debt = (uint8_t)lease->debt;
    row->outcome = (uint8_t)lease->outcome;
    row->has_credentials = lease->has_credentials;
    (void)lease_id_pack(lease->id, row->id); /* it was looked at before */
    memcpy(row->handle, lease->handle, sizeof(row->handle));
    memcpy(row->keys, lease->keys, sizeof(row->keys));
    lease_number_put(row->expires_s, lease->expires_s);
    lease_number_put(row->kept_until_s, lease->kept_until_s);
    lease_number_put(row->opened_s, lease->opened_s);
    lease_number_put(row->renewed_s, lease->renewed_s);
    lease_number_put(row->ended_s, lease->ended_s);
    lease_number_put(row->opened_index, (int64_t)lease->opened_index);
    lease_number_put(row->latest_index, (int64_t)lease->latest_index);
    lease_number_put(row->credentials_index, (int64_t)lease->credentials_index);
}

bool lease_has_key(const uint8_t key[STORE_KEY_LEN])
{
    return memcmp(key, nothing, STORE_KEY_LEN) != 0;
}

bool lease_has_handle(const uint8_t handle[STORE_HANDLE_LEN])
{
    return memcmp(handle, nothing, sizeof(nothing)) != 0;
}

static int64_t bounded(int64_t time_s)
{
    return time_s > (int64_t)LEASE_NUMBER_MAX ? (int64_t)LEASE_NUMBER_MAX : time_s;
}

/* What opens a lease says how long it lasts, and what it is; false where it says neither. */
static bool open_lease(struct store_lease *lease, const struct store_lease *change, uint64_t index,
                       int64_t entry_s)
{
    *lease = (struct store_lease){ 0 };
    if (change->expires_s <= 0 || change->state == 0)
        return false;
    memcpy(lease->id, change->id, ID_LEN);
    lease->debt = DEBT_NONE;
    lease->opened_s = entry_s;
    lease->opened_index = index;
    return true;
}

static void take_bytes(struct store_lease *lease, const struct store_lease *change)
{
    if (lease_has_handle(change->handle))
        memcpy(lease->handle, change->handle, sizeof(lease->handle));
    for (size_t i = 0; i < STORE_KEY_COUNT; i++)
        if (lease_has_key(change->keys[i]))
            memcpy(lease->keys[i], change->keys[i], STORE_KEY_LEN);
}

/* What a change without a state adds is owed besides; it is not to outlive the lease unnoticed. */
static void take_debt(struct store_lease *lease, const struct store_lease *change)
{
    bool is_added = change->state == 0;
    bool is_shorter = change->expires_s > 0 && bounded(change->expires_s) < lease->expires_s;

    if (is_added && lease->debt == DEBT_LAPSES && is_shorter)
        lease->debt = DEBT_OWED;
    if (change->debt == DEBT_STAYS ||
        (is_added && lease->debt == DEBT_OWED && change->debt == DEBT_LAPSES))
        return;
    lease->debt = change->debt;
}

static void take_numbers(struct store_lease *lease, const struct store_lease *change)
{
    if (change->state != 0)
        lease->state = change->state;
    take_debt(lease, change);
    if (change->outcome != OUTCOME_UNSAID)
        lease->outcome = change->outcome;
    if (change->attempt != 0)
        lease->attempt = change->attempt;
    if (change->heartbeat_s != 0)
        lease->heartbeat_s = change->heartbeat_s;
    if (change->expires_s > 0)
        lease->expires_s = bounded(change->expires_s);
    if (change->kept_until_s > 0)
        lease->kept_until_s = bounded(change->kept_until_s);
}

void lease_change(struct store_lease *lease, const struct store_lease *change, uint64_t index,
                  int64_t entry_s)
{
    if (lease->version > 0 && lease->latest_index >= index)
        return;
    if ((lease->version == 0 || lease_gone_s(lease) <= entry_s) &&
        !open_lease(lease, change, index, entry_s))
        return;
    take_bytes(lease, change);
    take_numbers(lease, change);
    if (change->renewal != 0 && change->renewal != lease->renewal) {
        lease->renewal = change->renewal;
        lease->renewed_s = entry_s;
    }
    if (change->has_credentials) {
        lease->has_credentials = true;
        lease->credentials_index = index;
    }
    if (!lease_has_ended(lease))
        lease->ended_s = 0;
    else if (lease->ended_s == 0)
        lease->ended_s = entry_s;
    lease->latest_index = index;
    lease->version++;
}

bool lease_has_ended(const struct store_lease *lease)
{
    return lease->state != LEASE_REQUESTED && lease->state != LEASE_ISSUED;
}

bool lease_is_live(const struct store_lease *lease, int64_t now_s)
{
    return (!lease_has_ended(lease) || lease->state == LEASE_UNKNOWN) && lease->expires_s > now_s;
}

bool store_lease_owes(const struct store_lease *lease, int64_t now_s)
{
    return lease->debt == DEBT_OWED || (lease->debt == DEBT_LAPSES && lease->expires_s > now_s);
}

bool lease_is_past(const struct store_lease *lease, int64_t now_s)
{
    return lease->state != LEASE_REQUESTED && lease->expires_s <= now_s &&
           !store_lease_owes(lease, now_s);
}

int64_t lease_gone_s(const struct store_lease *lease)
{
    int64_t gone_s = lease->expires_s + LEASE_KEPT_S;

    if (lease->debt == DEBT_OWED)
        return INT64_MAX;
    return gone_s > lease->kept_until_s ? gone_s : lease->kept_until_s;
}

int64_t lease_due_s(const struct store_lease *lease, int64_t beat_s)
{
    int64_t silent_s = beat_s + (int64_t)LEASE_BEATS * lease->heartbeat_s;

    if (lease_has_ended(lease))
        return lease->debt != DEBT_NONE ? 0
                                        : LEASE_NEVER_DUE; /* at once, if a clock went back too */
    if (lease->state == LEASE_REQUESTED && lease->debt == DEBT_OWED &&
        lease->expires_s < lease->opened_s + LEASE_REQUESTED_MAX_S)
        return lease->expires_s;
    if (lease->state == LEASE_REQUESTED)
        return lease->opened_s + LEASE_REQUESTED_MAX_S;
    if (lease->heartbeat_s > 0 && silent_s < lease->expires_s)
        return silent_s;
    return lease->debt == DEBT_OWED ? lease->expires_s : LEASE_NEVER_DUE;
}
