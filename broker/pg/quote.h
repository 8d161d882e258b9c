#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/macros.h"
#include "base/str.h"

#define PG_NAME_MAX ((size_t)63) /* bytes: the server cuts longer ones, so that two could meet */

/** Whether a text can be an identifier: 1 to PG_NAME_MAX bytes of UTF-8 without NUL. */
bool pg_is_name(struct str text);

/**
 * Append a text as an identifier, in double quotes, whatever else it holds. False, and nothing is
 * appended, where it cannot be one.
 */
bool pg_add_identifier(struct buf *buf, struct str text) MUST_USE;
