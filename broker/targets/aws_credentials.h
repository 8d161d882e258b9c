#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/macros.h"
#include "targets/aws_sigv4.h"

struct error;

#define AWS_CREDENTIALS_FILE_MAX ((size_t)16 * 1024)

/**
 * Read the keys of a shared credentials file with one profile, `default`: lines of
 * `aws_access_key_id`, `aws_secret_access_key` and perhaps `aws_session_token`, "NAME = value".
 * What else such a file may hold would have other keys used than those that stand there, and is
 * refused. Errors never quote it.
 *
 * Errors: those of secret_read_file(); ERROR_SYNTAX, ERROR_MEMORY
 * Owns:   the keys' texts live in `arena`
 * Source: AWS SDKs and tools reference guide, "Shared config and credentials files"
 */
bool aws_credentials_read(const char *path, struct arena *arena, struct aws_keys *keys,
                          struct error *error) MUST_USE;
