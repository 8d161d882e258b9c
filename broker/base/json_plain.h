#pragma once

#include <stdint.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/macros.h"
#include "base/str.h"

/**
 * Build the value of a plain JSON object or array quickly, or give NULL, which says nothing: the
 * text may be well-formed all the same, and jansson decides.
 *
 * Plain is ASCII without escapes and control characters in strings, integers of at most 18 digits,
 * names of at most 63 bytes and not twice in an object, within all limits. What it builds is what
 * jansson would build. Tokens of CI systems are plain, and jansson takes three times as long.
 */
json_t *json_plain_parse(struct str text, struct json_limits limits) MUST_USE;

/**
 * Append the canonical form of a plain value quickly; false leaves the buffer as it was (or
 * failed), and jansson decides.
 *
 * Plain is printable ASCII without quotes and backslashes in strings and names, no real numbers, at
 * most 64 members an object and 16 levels. What it writes is what jansson would write.
 */
bool json_plain_write(struct buf *buf, const json_t *json) MUST_USE;

/* 0x80 in each byte that is zero, and perhaps in bytes above one that is. */
static inline uint64_t json_plain_zero_bytes(uint64_t word)
{
    return (word - EACH_BYTE(1)) & ~word & EACH_BYTE(0x80);
}

/** Whether any of 8 bytes does not stand for itself within a string, or is not ASCII. */
static inline bool json_plain_has_other(uint64_t word)
{
    uint64_t below_space = (word - EACH_BYTE(0x20)) & ~word & EACH_BYTE(0x80);

    return ((word & EACH_BYTE(0x80)) | below_space | json_plain_zero_bytes(word ^ EACH_BYTE('"')) |
            json_plain_zero_bytes(word ^ EACH_BYTE('\\'))) != 0;
}
