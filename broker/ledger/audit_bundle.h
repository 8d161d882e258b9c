#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"
#include "base/str.h"
#include "ledger/bundle.h"
#include "ledger/entry_order.h"
#include "ledger/merkle.h"
#include "ledger/tile.h"

/**
 * The entries of one bundle in an audit: first they are read, one behind the other, then looked at
 * each by itself, which is most of the work, then held against all that is before them.
 *
 * Threads: confined; audit_bundle_look() of several may run at once
 */
struct audit_bundle {
    uint64_t first; /* index */
    unsigned count;

    /* Its bytes: those of the bundle's file while they are the entries', else put together here. */
    char *file; /* room for BUNDLE_MAX and one; NULL until it is needed */
    size_t file_len;
    struct buf built;
    bool is_built;
    bool is_other;               /* the file has something else */
    size_t ends[TILE_WIDTH + 1]; /* of entries, in the bytes: ends[0] is 0 */

    /* What the look found: of as many entries as have their form. */
    unsigned sound_count;
    struct merkle_hash leaves[TILE_WIDTH];
    struct entry_form forms[TILE_WIDTH];
    struct error error; /* of the entry behind them */
};

void audit_bundle_init(struct audit_bundle *bundle);
void audit_bundle_release(struct audit_bundle *bundle);

/**
 * Begin one that `is_built`, or whose entries are held against `file`, into which the caller reads.
 *
 * Errors: ERROR_MEMORY
 */
bool audit_bundle_begin(struct audit_bundle *bundle, uint64_t first, bool is_built,
                        struct error *error) MUST_USE;

/** Add the next entry, which is copied or found in the file. Errors: ERROR_MEMORY */
bool audit_bundle_add(struct audit_bundle *bundle, struct str entry, struct error *error) MUST_USE;

/** Hash its entries and check the form of each. */
void audit_bundle_look(struct audit_bundle *bundle);

/** The bytes of its first entries. */
struct str audit_bundle_content(const struct audit_bundle *bundle, unsigned width);
