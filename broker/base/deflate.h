#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/macros.h"
#include "base/str.h"

struct error;

/** What deflate_zlib() takes at most. */
#define DEFLATE_MAX ((size_t)1024 * 1024)

/**
 * Append bytes, compressed as well as it goes, in the ZLIB format.
 *
 * The same bytes always become the same ones by one version of the library.
 *
 * Errors: ERROR_LIMIT, ERROR_MEMORY
 * Source: RFC 1950, RFC 1951
 */
bool deflate_zlib(struct str bytes, struct buf *out, struct error *error) MUST_USE;
