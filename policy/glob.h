#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/str.h"

/** A pattern's longest text and the most names it remembers; a longer value never fits. */
#define GLOB_LEN_MAX 256
#define GLOB_CAPTURES_MAX 8
#define GLOB_VALUE_MAX ((size_t)16 * 1024)

/** The longest name in `{name}`, and its characters. */
#define GLOB_NAME_MAX 40
#define GLOB_NAME_SET "abcdefghijklmnopqrstuvwxyz0123456789_-"

/**
 * A compiled pattern. It covers the whole value.
 *
 * `*` is any text without '/', ':' and '@'; `**` any text without '@'; `{name}` a `*` that is
 * remembered. All else is itself, byte for byte. Wildcards may be empty and never touch each other.
 *
 * Threads: immutable
 */
struct glob {
    struct str text;          /* as written */
    const uint16_t *elements; /* a byte, or a wildcard: see glob.c */
    size_t count;
    size_t prefix_len; /* elements in front that are bytes of `text` */
    const struct str *names;
    size_t name_count;
};

/**
 * Compile a pattern; `text` is copied.
 *
 * Where it is refused `*problem` is a sentence for people, or NULL where there was no memory.
 */
bool glob_compile(struct str text, struct arena *arena, struct glob *glob, const char **problem)
    MUST_USE;

/** Whether a value fits. At most length of value times length of pattern steps, no memory. */
bool glob_match(const struct glob *glob, struct str value) MUST_USE;

/**
 * Match and remember: `captures` gets a piece of `value` for each of the pattern's names.
 *
 * Where several readings are possible earlier wildcards are as short as they can be.
 */
bool glob_capture(const struct glob *glob, struct str value, struct str captures[GLOB_CAPTURES_MAX])
    MUST_USE;

/* Walking a pattern byte by byte, for those who prove things about several of them. */

/** Places in a pattern that the bytes so far can have led to; plain, to compare and to hash. */
struct glob_places {
    uint64_t bits[GLOB_LEN_MAX / 64 + 1];
};

void glob_walk_start(const struct glob *glob, struct glob_places *places);

/** Go on by a byte; false: nothing that starts so fits. `to` is not `from`. */
bool glob_walk_step(const struct glob *glob, const struct glob_places *from, uint8_t byte,
                    struct glob_places *to) MUST_USE;

/** Whether what led here fits. */
bool glob_walk_is_end(const struct glob *glob, const struct glob_places *places);

/** Mark the bytes that stand here themselves; all others but '/', ':' and '@' lead to one place. */
void glob_walk_mark(const struct glob *glob, const struct glob_places *places, uint64_t bytes[4]);

/**
 * Write a value that fits, of plain looks: `wildcard` for each `*` and `**`, `remembered` for each
 * `{name}`. The length; 0 where `out` has not the room.
 */
size_t glob_fill(const struct glob *glob, struct str wildcard, struct str remembered, char *out,
                 size_t size) MUST_USE;
