#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "base/macros.h"

struct error;

/**
 * Where a long result goes: standard output, or a file that is there as a whole or not at all.
 * All-zero is none.
 */
struct out_file {
    FILE *stream;
    const char *path; /* NULL: standard output */
    char *temporary;
};

/**
 * Open it: `path` (NULL: standard output) is written beside itself first, for its owner only.
 *
 * Errors: ERROR_USAGE (there is something at `path` that is no file), ERROR_IO, ERROR_MEMORY
 */
bool out_file_open(struct out_file *file, const char *path, struct error *error) MUST_USE;

/** Put it in its place, durably. Errors: ERROR_IO (something was not written) */
bool out_file_commit(struct out_file *file, struct error *error) MUST_USE;

/** Take away what was not committed. */
void out_file_release(struct out_file *file);

OWNED_VALUE(out_file_release, struct out_file)
