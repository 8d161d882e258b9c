#pragma once

#include "base/macros.h"
#include "store/store.h"

/**
 * A store in a folder: append-only segments of framed, checksummed records, zeroed ahead; one write
 * and one fdatasync a batch; a snapshot a minute, so that start is snapshot plus tail.
 *
 * Its thread is not started yet. Errors: as store_open()
 */
bool folder_store_open(const struct store_options *options, struct store **store,
                       struct error *error) MUST_USE;

/** A reader of the segments in `folder`, without lock or broker. Errors: as store_reader_open() */
bool folder_reader_open(const char *folder, struct store_reader **reader, struct error *error)
    MUST_USE;

/** A reader of an open store, whose segments are in the folder `segments`. */
bool folder_reader_new(const struct store *store, int segments, struct store_reader **reader,
                       struct error *error) MUST_USE;
