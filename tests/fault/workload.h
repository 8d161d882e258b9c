#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ledger/ledger.h"
#include "ledger/note.h"
#include "tests/fault/shim.h"

/**
 * Clients of a small ledger: two threads that use tokens, some of them the same ones, release
 * leases, and keep what they were told. What they were told goes into the shim's journal, so that
 * it is known of each moment who holds what.
 */

enum note_kind {
    NOTE_OPENED,  /* the ledger was opened */
    NOTE_REFUSED, /* it was not: `text` says why */
    NOTE_ASKED,   /* token `number` was presented */
    NOTE_ISSUED,  /* and a credential given: entry `index`, with that leaf */
    NOTE_USED,    /* or it was refused as used */
    NOTE_FAILED,  /* or the ledger could not: nothing is known */
    NOTE_RELEASING,
    NOTE_RELEASED, /* the lease of token `number`, by entry `index` */
    NOTE_WRITTEN,  /* an entry of no lease */
    NOTE_ERASED,   /* who stood beside entry `index` was erased */
    NOTE_SHOWN,    /* a checkpoint of size `index`, with root `leaf`, was given to somebody */
};

struct note {
    uint64_t kind; /* enum note_kind */
    uint64_t number;
    uint64_t index;
    struct merkle_hash leaf;
    char text[200];
};

/** What all of it is done in: keys outside of the store's folder. */
struct workplace {
    char folder[96]; /* temporary */
    char store[128]; /* "store" in it */
    struct keys *keys;
    struct key *key;
    char verifier_text[256];
    struct note_verifier verifier;
};

bool workplace_make(struct workplace *place, const char *parent);
void workplace_remove(struct workplace *place);

/** Open the ledger in a folder as the workload does. */
bool workload_open(const struct workplace *place, struct ledger **ledger, struct error *error);

/** The first part, on an empty folder: about 30 appends, one restart, a full tile. */
void workload_run(const struct workplace *place);

/** The second, on what a first one left: tokens from `first` on, and some of before once more. */
void workload_go_on(const struct workplace *place, uint64_t first);

/** An entry of token `number`; NULL without memory. */
json_t *workload_entry(enum entry_type type, uint64_t number);
void workload_id(uint64_t number, char id[ID_LEN + 1]);
void workload_mark(uint64_t number, uint8_t mark[32]);
/** What all of its leases are counted under. */
void workload_key(uint8_t key[STORE_KEY_LEN]);

/** Present token `number`: whether it was committed. */
bool workload_use(struct ledger *ledger, uint64_t number, struct ledger_append *append,
                  struct error *error);
