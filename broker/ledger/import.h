#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/str.h"
#include "ledger/merkle.h"

struct error;

/**
 * Writes a whole ledger, as it was read elsewhere, into a new store.
 *
 * Threads: confined
 */
struct ledger_import;

struct ledger_import_options {
    const char *store;    /* a folder; NULL with a database */
    const char *database; /* a PostgreSQL URL, or NULL */
    const char *dsn_file; /* or a file with one */
};

/** Errors: as store_import_open() */
bool ledger_import_open(const struct ledger_import_options *options, struct ledger_import **import,
                        struct error *error) MUST_USE;

/** The next entry. Errors: as store_import_add(), ERROR_INVALID (no JSON, or without a time) */
bool ledger_import_add(struct ledger_import *import, struct str entry, struct str private_part,
                       struct error *error) MUST_USE;

/**
 * Make it durable, read all of it back, and compare with what was added. Then keep `note` (empty:
 * none), a signed checkpoint of at most so many entries, as the one that was published last, which
 * a broker's start holds the store against.
 *
 * Errors: ERROR_IO, ERROR_INVALID (something else is there than was added)
 */
bool ledger_import_finish(struct ledger_import *import, struct str note, uint64_t note_size,
                          struct merkle_hash *root, struct error *error) MUST_USE;

void ledger_import_close(struct ledger_import *import);

OWNED_POINTER(ledger_import_close, struct ledger_import)
