#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/macros.h"
#include "base/str.h"

/** Bytes that `len` characters decode to, at most. */
#define BASE64_DECODED_MAX(len) (((len) / 4) * 3 + 3)
/** Characters that `len` bytes encode to, padding included. */
#define BASE64_ENCODED_MAX(len) ((((len) + 2) / 3) * 4)

/**
 * Decode base64url strictly: the URL alphabet only, no padding, no white space, spare bits zero.
 *
 * `out` has room for BASE64_DECODED_MAX(text.len) bytes.
 *
 * Source: RFC 4648 5, 3.5; RFC 7515 2
 */
bool base64url_decode(struct str text, uint8_t *out, size_t *out_len) MUST_USE;

/** Decode standard base64 strictly: padding is mandatory, no white space, spare bits zero. */
bool base64_decode(struct str text, uint8_t *out, size_t *out_len) MUST_USE;

void buf_add_base64url(struct buf *buf, struct str bytes); /* no padding */
void buf_add_base64(struct buf *buf, struct str bytes);    /* padded */

/** Decode lower- or upper-case hex of even length into text.len / 2 bytes. */
bool hex_decode(struct str text, uint8_t *out) MUST_USE;
