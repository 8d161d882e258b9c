#pragma once

#include "base/macros.h"
#include "store/store.h"

/**
 * A store in PostgreSQL, which several brokers may share.
 *
 * Whoever appends locks the log's head for one transaction: in it guards are decided and entries
 * and rows written, a batch at a time. So brokers take turns, and each sees all that came before.
 * The rows of marks and leases are the database's; nothing but sizes and times is kept here.
 *
 * After a COMMIT whose answer was lost the batch is looked up by its number, behind the head's
 * lock, before anybody hears of its outcome. A database that has fewer entries than it once said,
 * or others, fences the store.
 *
 * Its thread is not started yet. Errors: as store_open()
 */
bool pg_store_open(const struct store_options *options, struct store **store, struct error *error)
    MUST_USE;

/** Errors: as store_migrate() */
bool pg_store_migrate(const char *dsn_file, struct error *error) MUST_USE;

/** A reader with a connection of its own, read-only. Errors: as store_reader_open() */
bool pg_reader_open(const char *url, struct store_reader **reader, struct error *error) MUST_USE;

/** Errors: as store_read_checkpoint() */
bool pg_reader_checkpoint(const char *url, struct arena *arena, struct str *note,
                          struct error *error) MUST_USE;
