#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/macros.h"
#include "base/str.h"
#include "ledger/tile.h"

struct error;

#define TILE_WRITER_FOLDERS 16

/** A folder that files were put into since it was last synced. */
struct tile_writer_folder {
    char path[TILE_PATH_MAX];
    int folder; /* 0: the slot is free */
};

/**
 * Writes tiles and bundles so that they are whole under their name or not there, and durable once
 * tile_writer_sync() has said so: temporary file, sync, rename, and a sync of the folder, once for
 * many files.
 *
 * Threads: confined
 */
struct tile_writer {
    int root;       /* the folder "tile", borrowed */
    bool is_public; /* files are readable by all, but bundles; else by nobody but their owner */
    struct tile_writer_folder folders[TILE_WRITER_FOLDERS];
    size_t next; /* the slot to be given up when all are taken */
};

/** Errors: ERROR_IO */
bool tile_writer_put(struct tile_writer *writer, const struct tile_path *path, struct str content,
                     struct error *error) MUST_USE;

/** Make the names durable and close the folders. */
bool tile_writer_sync(struct tile_writer *writer, struct error *error) MUST_USE;

/** Close the folders without waiting for anything; does nothing after tile_writer_sync(). */
void tile_writer_release(struct tile_writer *writer);

/** Remove one partial tile, or all of its number when `path->width` is TILE_WIDTH. */
void tile_writer_remove_partial(const struct tile_writer *writer, const struct tile_path *path);
