#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "store/due.h"
#include "store/store.h"

/**
 * A lease as it stands in memory: 200 bytes, of which there may be millions.
 *
 * An id is its 16 bytes, times and indices are big-endian numbers of 5 bytes, as those of marks.
 *
 * `due`, `due_s` and nothing else are changed by other threads than the store's.
 */
#define LEASE_ID_LEN 16
#define LEASE_NUMBER_LEN 5
#define LEASE_NUMBER_MAX ((UINT64_C(1) << 40) - 1)

/** Leases under one key, the latest first. */
struct lease_chain {
    uint32_t next;
    uint32_t before; /* of the first: how many of the chain live */
};

struct lease_row {
    struct lease_chain chains[STORE_KEY_COUNT];
    struct due_link ends; /* until it ends, then until it is forgotten */
    struct due_link due;  /* until something is to be done about it */
    struct due_link owed; /* among those that owe and have ended: next, before */
    uint32_t version;     /* 0: the row is free */
    uint16_t attempt;
    uint16_t heartbeat_s;
    uint16_t renewal;
    uint8_t state;
    uint8_t debt;
    uint8_t outcome;
    uint8_t firsts; /* a bit a kind of key: it is the first of its chain */
    bool has_credentials;
    bool is_live;    /* it counts as live */
    bool is_owed;    /* it owes, and has ended */
    bool is_due_new; /* its entry said anew when it is due */
    uint8_t id[LEASE_ID_LEN];
    uint8_t handle[STORE_HANDLE_LEN];
    uint8_t keys[STORE_KEY_COUNT][STORE_KEY_LEN];
    uint8_t expires_s[LEASE_NUMBER_LEN];
    uint8_t kept_until_s[LEASE_NUMBER_LEN];
    uint8_t opened_s[LEASE_NUMBER_LEN];
    uint8_t renewed_s[LEASE_NUMBER_LEN];
    uint8_t ended_s[LEASE_NUMBER_LEN];
    uint8_t due_s[LEASE_NUMBER_LEN];
    uint8_t opened_index[LEASE_NUMBER_LEN];
    uint8_t latest_index[LEASE_NUMBER_LEN];
    uint8_t credentials_index[LEASE_NUMBER_LEN];
};

_Static_assert(sizeof(struct lease_row) == 200, "a million of them fits where it should");

uint64_t lease_number_get(const uint8_t bytes[LEASE_NUMBER_LEN]);
/** Below 0 counts as 0, past LEASE_NUMBER_MAX as that. */
void lease_number_put(uint8_t bytes[LEASE_NUMBER_LEN], int64_t number);

/** The bytes of an id; false where it is none. */
bool lease_id_pack(const char id[ID_LEN], uint8_t bytes[LEASE_ID_LEN]);

/** What a row says, and the other way round; of the row all else stays. */
void lease_row_read(const struct lease_row *row, struct store_lease *lease);
void lease_row_write(struct lease_row *row, const struct store_lease *lease);

/** Whether any of the bytes is set. */
bool lease_has_key(const uint8_t key[STORE_KEY_LEN]);
bool lease_has_handle(const uint8_t handle[STORE_HANDLE_LEN]);

/**
 * What a change that came with entry `index` of time `entry_s` makes of a lease, as STORE_PUT_LEASE
 * says; version 0 is none, before and after.
 */
void lease_change(struct store_lease *lease, const struct store_lease *change, uint64_t index,
                  int64_t entry_s);

/** Requested, issued or unknown, and it ends after `now_s`. */
bool lease_is_live(const struct store_lease *lease, int64_t now_s);

/** Neither requested nor issued. */
bool lease_has_ended(const struct store_lease *lease);

/** Whether it ended by itself, or was forgotten as it did: nothing is to be done about it. */
bool lease_is_past(const struct store_lease *lease, int64_t now_s);

/** From when on it is forgotten; INT64_MAX while it owes what does not lapse. */
int64_t lease_gone_s(const struct store_lease *lease);

#define LEASE_NEVER_DUE ((int64_t)LEASE_NUMBER_MAX)

/** When something is to be done about it, if it was last heard at `beat_s`; or LEASE_NEVER_DUE. */
int64_t lease_due_s(const struct store_lease *lease, int64_t beat_s);
