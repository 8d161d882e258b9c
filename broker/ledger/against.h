#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/str.h"
#include "ledger/merkle.h"
#include "ledger/note.h"

struct arena;
struct error;
struct tile_edge;

/** A file at most, and how many. */
#define AGAINST_BYTES_MAX ((size_t)128 * 1024)
#define AGAINST_MAX 64

/** What somebody kept of a log: a receipt, a .tlog-proof or an older checkpoint. */
struct against_item {
    const char *name; /* the file's, for messages */
    struct str text;

    bool is_receipt;              /* it is of an entry, at `proof.index` */
    bool has_entry;               /* and says which; else only the log does */
    struct merkle_hash leaf;      /* of that entry */
    struct tlog_proof proof;      /* of a receipt */
    struct checkpoint checkpoint; /* that it stands on */
};

/**
 * What a log is held against while it is walked, once: each entry and each size in passing.
 *
 * Threads: confined
 */
struct against {
    struct against_item *items; /* name and text are the caller's */
    size_t count;               /* at most AGAINST_MAX */
    uint64_t next_index;        /* the next entry that one is of */
    uint64_t next_size;         /* the next size that one has a root of */
};

/**
 * Read the items and check what needs no log: forms, signatures of any of the log's keys, inclusion
 * of the receipts' entries. A text that starts with "{" is a receipt ({"entry", "proof"}).
 *
 * Errors: ERROR_SYNTAX, ERROR_LIMIT, ERROR_INVALID, ERROR_MEMORY; the cause names the item
 * Owns:   what is read is in `arena`, or borrows from the texts
 */
bool against_read(struct against *against, const struct note_trust *trust, struct arena *arena,
                  struct error *error) MUST_USE;

/** The walk is at an entry. Errors: ERROR_INVALID (it is another one than a receipt has) */
bool against_leaf(struct against *against, uint64_t index, const struct merkle_hash *leaf,
                  struct error *error) MUST_USE;

/** The tree has grown to an edge. Errors: ERROR_INVALID (an item has another root of that size) */
bool against_edge(struct against *against, const struct tile_edge *edge, struct error *error)
    MUST_USE;

/** The walk is over at `size`. Errors: ERROR_INVALID (an item is of a longer log) */
bool against_end(const struct against *against, uint64_t size, struct error *error) MUST_USE;
