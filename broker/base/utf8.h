#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/str.h"

/**
 * Take the first character off `rest`.
 *
 * False at the end and where the bytes are not well-formed; `rest` then stays as it is.
 *
 * Source: Unicode 15 D92 (no surrogates, no overlong forms, <= U+10FFFF)
 */
bool utf8_take(struct str *rest, uint32_t *character) MUST_USE;

/** How many characters stand in well-formed text; elsewhere each stray byte counts as one. */
size_t utf8_count(struct str text);

/** The bytes that the first `count` characters take, counted as utf8_count does. */
size_t utf8_offset(struct str text, size_t count);

/**
 * Whether a character shows as itself and leaves its neighbours alone: no control character, no
 * line or paragraph separator, no bidirectional override, no byte order mark, no non-character.
 */
bool utf8_is_plain(uint32_t character);

/** Take the first character off `rest`, which is not empty: as it is where it is plain, else "?".
 */
struct str utf8_take_plain(struct str *rest);

/**
 * Whether a plain character is seen: no joiner, filler or selector of zero width, no space but the
 * usual one.
 *
 * Source: Unicode 15, Default_Ignorable_Code_Point and Zs; U+2800 besides
 */
bool utf8_is_seen(uint32_t character);
