#include "base/budget.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"

/*
 * The generic cell rate algorithm: a request moves the time at which the budget is whole again by
 * the interval between two requests, and may not move it farther ahead than a minute.
 */

#define MINUTE_US ((int64_t)60 * 1000000)
#define SET_SLOTS 8

struct slot {
    uint64_t key;
    int64_t whole_us; /* when the budget is whole again; in the past: it is, and the slot is free */
};

struct budgets {
    pthread_mutex_t lock;
    size_t set_count;
    struct slot slots[]; /* guarded by lock; SET_SLOTS to a set */
};

struct budgets *budgets_new(size_t count)
{
    struct budgets *budgets = calloc(1, sizeof(*budgets) + count * sizeof(struct slot));

    if (budgets != NULL && pthread_mutex_init(&budgets->lock, NULL) != 0) {
        free(budgets);
        return NULL;
    }
    if (budgets != NULL)
        budgets->set_count = count / SET_SLOTS;
    return budgets;
}

void budgets_free(struct budgets *budgets)
{
    if (budgets == NULL)
        return;
    (void)pthread_mutex_destroy(&budgets->lock); /* nobody holds it any more */
    free(budgets);
}

static uint64_t first_bytes(const uint8_t *bytes)
{
    uint64_t key;

    memcpy(&key, bytes, sizeof(key));
    return key;
}

uint64_t budget_address_key(const struct address *address)
{
    uint8_t bytes[sizeof(uint64_t)] = { 0 };

    if (address->len == 16)
        return first_bytes(address->bytes);
    bytes[0] = 0xff; /* of IPv6 that would be multicast */
    memcpy(&bytes[4], address->bytes, 4);
    return first_bytes(bytes);
}

uint64_t budget_name_key(struct str name)
{
    uint8_t digest[SHA256_LEN];

    sha256(name, digest);
    return first_bytes(digest);
}

/* Neighbours are of different sets. */
static size_t set_of(const struct budgets *budgets, uint64_t key)
{
    key = (key ^ (key >> 33)) * UINT64_C(0xff51afd7ed558ccd);
    key = (key ^ (key >> 33)) * UINT64_C(0xc4ceb9fe1a85ec53);
    return (size_t)(key ^ (key >> 33)) & (budgets->set_count - 1);
}

/* The slot of a key; else that of its set which has spent least, `*is_other`'s. */
static struct slot *find(struct budgets *budgets, uint64_t key, bool *is_other)
{
    struct slot *set = &budgets->slots[set_of(budgets, key) * SET_SLOTS];
    struct slot *least = set;

    *is_other = false;
    for (size_t i = 0; i < SET_SLOTS; i++) {
        if (set[i].key == key)
            return &set[i];
        if (set[i].whole_us < least->whole_us)
            least = &set[i];
    }
    *is_other = true;
    return least;
}

/* When the budget is whole again once one more is spent, and whether that may be. */
static bool look(struct budgets *budgets, uint64_t key, int64_t per_minute, int64_t now_ms,
                 bool is_spent, int64_t *wait_s)
{
    int64_t now_us = now_ms * 1000;
    int64_t whole_us = now_us;
    struct slot *slot;
    bool is_other;
    bool has_some;

    pthread_mutex_lock(&budgets->lock);
    slot = find(budgets, key, &is_other);
    if (!is_other && slot->whole_us > now_us)
        whole_us = slot->whole_us;
    whole_us += MINUTE_US / per_minute;
    has_some = whole_us - now_us <= MINUTE_US;
    if (has_some && is_spent)
        *slot = (struct slot){ key, whole_us };
    pthread_mutex_unlock(&budgets->lock);
    if (!has_some)
        *wait_s = (whole_us - now_us - MINUTE_US + 999999) / 1000000;
    return has_some;
}

bool budget_spend(struct budgets *budgets, uint64_t key, int64_t per_minute, int64_t now_ms,
                  int64_t *wait_s)
{
    return per_minute == 0 || look(budgets, key, per_minute, now_ms, true, wait_s);
}

bool budget_has(struct budgets *budgets, uint64_t key, int64_t per_minute, int64_t now_ms,
                int64_t *wait_s)
{
    return per_minute == 0 || look(budgets, key, per_minute, now_ms, false, wait_s);
}
