#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/id.h"
#include "base/macros.h"
#include "base/network.h"
#include "base/str.h"

struct error;
struct ledger;

/**
 * Blocks: an operator's word that nothing is issued to something, for a while.
 *
 * A block is an entry (`admin.blocked`) and ends by itself, or by another one (`admin.unblocked`).
 * The store keeps which are in force (`struct store_blocks`); what each is about is read from its
 * entry and the private part beside it, once, and kept here.
 *
 * Source: security-rules.md 3.5
 */

/** What can be blocked. One row each in block.c. */
enum block_kind {
    BLOCK_ISSUER,
    BLOCK_KID,
    BLOCK_REPOSITORY_ID,
    BLOCK_PIPELINE,
    BLOCK_STAGE,
    BLOCK_ACTOR,
    BLOCK_COMMIT,
    BLOCK_WORKFLOW_COMMIT,
    BLOCK_KEY,
    BLOCK_ADDRESS,
    BLOCK_TARGET,
    BLOCK_KIND_COUNT
};

const char *block_kind_name(enum block_kind kind);
/** Whether it says who a person is. */
bool block_kind_is_personal(enum block_kind kind);
bool block_kind_from(struct str name, enum block_kind *kind) MUST_USE;

#define BLOCK_VALUE_MAX 512
#define BLOCK_REASON_MAX 256
#define BLOCK_LIFE_MAX_S (INT64_C(86400) * 90)

/** As many may be in force; the store has room for twice as many (STORE_BLOCKS_MAX). */
#define BLOCKS_MAX 500

struct block {
    char id[ID_LEN + 1];
    enum block_kind kind;
    struct str value;
    struct network network; /* of an address */
    struct str reason;
    struct str by; /* who placed it; empty where that was erased */
    int64_t since_ms;
    int64_t expires_s;
    uint64_t index; /* of its entry */
};

/**
 * Whether a value can be one of its kind: plain text, and an address or a range, a stage as
 * PIPELINE:STAGE, a key's thumbprint, a whole commit.
 *
 * Errors: ERROR_REQUEST, told
 */
bool block_check(enum block_kind kind, struct str value, struct network *network,
                 struct error *error) MUST_USE;

/** Put what a block is about into its entry; who a person is as a digest. */
bool block_put(enum block_kind kind, struct str value, json_t *entry, json_t *private_part,
               struct error *error) MUST_USE;

/**
 * All blocks as they were at one moment; those that have ended may be among them.
 *
 * Threads: immutable; reference-counted
 */
struct block_view {
    unsigned references; /* private */
    struct arena *arena; /* private */
    uint64_t version;    /* for STORE_GUARD_BLOCKS */
    size_t count;
    struct block blocks[];
};

void block_view_put(struct block_view *view);
OWNED_POINTER(block_view_put, struct block_view)

/** How many are in force. */
size_t block_view_count(const struct block_view *view, int64_t now_s);

/** Whether one more may be placed. */
bool block_view_has_room(const struct block_view *view, int64_t now_s);

/** The one with that id, in force; NULL where there is none. */
const struct block *block_view_find(const struct block_view *view, struct str id, int64_t now_s);

/** Where the newest view is kept. Threads: shared */
struct block_book;

/** NULL without memory. */
struct block_book *block_book_new(void) MUST_USE;
void block_book_free(struct block_book *book);

/**
 * The blocks, with a reference for the caller: as new as store_blocks_version() knows, or, `fresh`,
 * as the store has them now. New ones are read: usually none.
 *
 * Errors: ERROR_LEDGER (they cannot be read: nobody may go on), ERROR_MEMORY
 */
bool ledger_blocks(struct ledger *ledger, bool fresh, struct block_view **view, struct error *error)
    MUST_USE;
