#pragma once

#include <stdbool.h>

#include <openssl/bio.h>

#include "base/buf.h"
#include "base/macros.h"

/** Append what OpenSSL wrote into memory, where it did (`is_written` is 1), and free that. */
bool pem_take(BIO *take_output, int is_written, struct buf *out) MUST_USE;
