#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/macros.h"

struct error;

/**
 * Write what is about to be applied as a request has it, NAME:sha256-HEX: `text` is NAME=FILE,
 * whose content is hashed, or that form already.
 *
 * Errors: ERROR_USAGE, ERROR_IO
 * Source: design.md 3.2 `binding`
 */
bool binding_write(const char *text, struct buf *out, struct error *error) MUST_USE;
