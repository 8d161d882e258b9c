#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/macros.h"
#include "base/str.h"
#include "ledger/tile.h"

struct error;

#define TILE_WRITER_FOLDERS 16
#define TILE_WRITER_FILES 32

/** A folder that files were put into since it was last synced. */
struct tile_writer_folder {
    char path[TILE_PATH_MAX];
    int folder; /* 0: the slot is free */
};

/** A file that is written, but neither durable nor under its name. */
struct tile_writer_file {
    struct tile_writer_folder *slot;
    char name[TILE_PATH_MAX]; /* in the slot's folder */
    int file;
};

/**
 * Writes tiles and bundles so that they are whole under their name or not there, and durable once
 * tile_writer_sync() has said so: temporary files, syncs, renames, and a sync of the folder, each
 * for many files at once, since a file system's journal is then committed once for them. Until they
 * have their names files are in `root`; what a writer that was killed left there is removed by the
 * next one, for entries must not stay where no pruning looks.
 *
 * Threads: confined
 */
struct tile_writer {
    int root;       /* the folder "tile", borrowed */
    bool is_public; /* files are readable by all, but bundles; else by nobody but their owner */
    struct tile_writer_folder folders[TILE_WRITER_FOLDERS];
    size_t next; /* the slot to be given up when all are taken */
    struct tile_writer_file files[TILE_WRITER_FILES];
    size_t file_count;
    bool has_begun;
};

/**
 * Write a file; it gets its name at the latest with tile_writer_sync(). What is large and aligned
 * (FILE_DIRECT_ALIGNMENT) is written past the page cache: who reads bundles of a log reads its
 * store, and copying them would cost more than all else of publishing.
 *
 * Errors: ERROR_IO
 */
bool tile_writer_put(struct tile_writer *writer, const struct tile_path *path, struct str content,
                     struct error *error) MUST_USE;

/** Whether a file is there, or will be after the next tile_writer_sync(). */
bool tile_writer_has(const struct tile_writer *writer, const struct tile_path *path);

/** Make files and names durable and close the folders. */
bool tile_writer_sync(struct tile_writer *writer, struct error *error) MUST_USE;

/**
 * Close files and folders without waiting for anything, and drop what has no name yet. Does nothing
 * after tile_writer_sync().
 */
void tile_writer_release(struct tile_writer *writer);

/** Remove one partial tile, or all of its number when `path->width` is TILE_WIDTH. */
void tile_writer_remove_partial(const struct tile_writer *writer, const struct tile_path *path);
