#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/macros.h"

struct error;

/**
 * A folder of mode 0700 for as long as a command runs. All-zero is none.
 *
 * Threads: confined
 */
struct work_folder {
    const char *path; /* in the arena; NULL: none was made */
};

/** Whether nobody but root can put something else in the place of what we make in a folder. */
bool work_folder_is_safe(const char *parent);

/**
 * Make it in XDG_RUNTIME_DIR (memory, and gone with the session) where that is set, else in TMPDIR,
 * /tmp or /dev/shm; a place whose path is too long for a socket's address is passed over, and so is
 * one in which others could replace it: which is neither root's nor ours, or which others may write
 * without the sticky bit.
 *
 * Errors: ERROR_IO (all are such places, too), ERROR_MEMORY
 */
bool work_folder_make(struct work_folder *folder, struct arena *arena, struct error *error)
    MUST_USE;

/** Remove it with the files in it. */
void work_folder_remove(struct work_folder *folder);

OWNED_VALUE(work_folder_remove, struct work_folder)

/** A path in it; NULL without memory. */
const char *work_folder_file(const struct work_folder *folder, struct arena *arena,
                             const char *name);
