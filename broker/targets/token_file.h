#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/str.h"

struct error;

/**
 * The broker's own token at a target, from its `token_file`: read again each time, since such
 * tokens are replaced where they stand. Others must not be able to read it (secret_read_file()).
 *
 * `path` NULL: there is none, in a catalog. `who` takes the token, for messages.
 *
 * Errors: ERROR_MINT, ERROR_MEMORY
 * Owns:   `*token` lives in the arena
 */
bool token_file_read(const char *path, size_t max_bytes, const char *who, struct arena *arena,
                     struct str *token, struct error *error) MUST_USE;

/**
 * Whether there is one: from a kind's `start`. Later it is read each time.
 *
 * Errors: as token_file_read()
 */
bool token_file_check(const char *path, size_t max_bytes, const char *who, struct str target,
                      struct error *error) MUST_USE;
