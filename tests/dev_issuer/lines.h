#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "base/macros.h"

struct error;

/** The most bytes of a line, and the most options of one. */
#define LINES_BYTES_MAX ((size_t)64 * 1024)
#define LINES_WORDS_MAX ((size_t)200)

/**
 * The command `lines`: each line of `in` is a JSON array with options of `token`; its tokens are
 * written, one a line, and an empty line behind them. For tests, which would start a process for
 * each token otherwise.
 *
 * Errors: as options_read() and sign_run(); ERROR_SYNTAX, ERROR_LIMIT: no such line. It ends with
 * the first.
 */
bool lines_run(FILE *in, FILE *out, struct error *error) MUST_USE;
