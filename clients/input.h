#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/str.h"

struct error;

/**
 * Read a file of at most `max` bytes, or where the path is "-" standard input.
 *
 * Errors: ERROR_IO, ERROR_LIMIT, ERROR_MEMORY
 */
bool input_read(const char *path, size_t max, struct arena *arena, struct str *text,
                struct error *error) MUST_USE;
