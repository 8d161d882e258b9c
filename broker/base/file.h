#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/str.h"

struct error;
struct stat;

/**
 * Read a regular file of at most `max_bytes` into the arena, followed by a NUL that is not counted.
 *
 * Errors: ERROR_IO, ERROR_LIMIT, ERROR_MEMORY
 */
bool file_read(struct arena *arena, const char *path, size_t max_bytes, struct str *out,
               struct error *error) MUST_USE;

/**
 * Replace a file so that a crash leaves the old or the new one: temporary file, fsync, rename,
 * fsync of the folder. A crash may leave the temporary file too: its name has ".new" at the end.
 *
 * Errors: ERROR_IO, ERROR_CRYPTO (no random bytes for the temporary name)
 */
bool file_replace(const char *path, struct str content, unsigned mode, struct error *error)
    MUST_USE;

/**
 * Create a file that is not there yet. Nothing is synced: for what can be made again, or is synced
 * as a whole. None is left behind on failure.
 *
 * Errors: ERROR_IO
 */
bool file_create(const char *path, struct str content, unsigned mode, struct error *error) MUST_USE;

/** Create a folder and its parents where they are missing, with `mode`; each survives a crash. */
bool file_make_folder(const char *path, unsigned mode, struct error *error) MUST_USE;

/**
 * Whether users other than owner and group may change it; `status` is of `path`. A read-only mount
 * is nobody's to change.
 */
bool file_is_open_to_others(const char *path, const struct stat *status);

/** Whether it is our user's, and group and others have no right to it. */
bool file_is_ours_alone(const struct stat *status);

/**
 * Remove a folder with all in it, following no link. One that is not there is no failure.
 *
 * Errors: ERROR_IO, ERROR_LIMIT (folders more than FILE_DEPTH_MAX deep)
 */
bool file_remove_folder(const char *path, struct error *error) MUST_USE;

#define FILE_DEPTH_MAX 32

/**
 * What is written past the page cache begins and ends at a multiple of this, in the file as in
 * memory. A page has as many bytes, or a multiple of them.
 */
#define FILE_DIRECT_ALIGNMENT ((size_t)4096)

/**
 * Have writes by a descriptor go past the page cache until file_end_direct(), which takes `*flags`.
 * False where that cannot be: nothing is changed then.
 */
bool file_begin_direct(int file, int *flags) MUST_USE;

/** False: the descriptor stays as it was, and refuses the next write that is not aligned. */
bool file_end_direct(int file, int flags);

/** "folder/name" in the arena, NUL-terminated; NULL on failure. */
const char *file_join(struct arena *arena, const char *folder, const char *name);
