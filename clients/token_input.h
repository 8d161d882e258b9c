#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/macros.h"
#include "clients/options.h"

struct error;
struct profile;

/**
 * Read the token that a `token` command is about: the file that its operand names, or standard
 * input
 * ("-" or no operand). White space around it is dropped.
 *
 * Errors: ERROR_IO, ERROR_LIMIT, ERROR_SYNTAX
 */
bool token_input_read(const struct operands *operands, struct arena *arena, struct str *token,
                      struct error *error) MUST_USE;

/**
 * The profile of a name, or where `name` is NULL the one whose issuer `url` is, else the generic
 * one.
 *
 * Errors: ERROR_USAGE (no such profile; the cause has the nearest)
 */
bool token_input_profile(const char *name, struct str url, const struct profile **profile,
                         struct error *error) MUST_USE;
