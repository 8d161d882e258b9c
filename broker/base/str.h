#pragma once

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/macros.h"

/**
 * A piece of text or bytes, borrowed: a pointer with a length, no NUL at its end.
 *
 * All-zero is the empty string. Whoever makes one says how long `data` lives.
 */
struct str {
    const char *data;
    size_t len;
};

#define STR(literal) ((struct str){ (literal), sizeof(literal) - 1 })
/** The same as an initialiser of something static: `{ STR_INIT("ref"), ... }` in a table. */
#define STR_INIT(literal)                                                                          \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }
#define STR_FMT "%.*s"
#define STR_ARG(string) (int)(string).len, (string).data

/** Borrow a NUL-terminated string; NULL gives the empty one. */
struct str str_from(const char *text);

bool str_eq(struct str a, struct str b);

/** Compare ASCII letters without case, all other bytes exactly. */
bool str_eq_ignore_case(struct str a, struct str b);

/** Order by bytes, a shorter prefix first: < 0, 0 or > 0, as qsort wants it. */
int str_compare(struct str a, struct str b);

/**
 * Its first eight bytes, the first one highest, and zeros where it is shorter: where two strings'
 * differ, that is their order; where they do not, these say nothing. Bytes behind it may be read up
 * to `end`.
 */
static inline uint64_t str_head(struct str string, const char *end)
{
    uint64_t head = 0;

    if ((size_t)(end - string.data) < sizeof(head)) {
        for (size_t i = 0; i < string.len; i++)
            head |= (uint64_t)(uint8_t)string.data[i] << (56 - 8 * i);
        return head;
    }
    memcpy(&head, string.data, sizeof(head));
    return string.len < sizeof(head) ? be64toh(head) & ~(UINT64_MAX >> 8 * string.len)
                                     : be64toh(head);
}

bool str_starts_with(struct str string, struct str prefix);
bool str_ends_with(struct str string, struct str suffix);

/** Whether `part` stands anywhere in it; the empty one does. */
bool str_contains(struct str string, struct str part);

/** Where `part` stands first, or `string.len` where it does not. */
size_t str_find_part(struct str string, struct str part);

/** Position of the first `byte`, or `string.len` where there is none. */
size_t str_find(struct str string, char byte);

/** The bytes from `start` on, at most `len` of them; both are clamped to the string. */
struct str str_slice(struct str string, size_t start, size_t len);

/**
 * Cut at the first `separator`: `*head` gets what is before it, `*rest` what is behind it.
 *
 * Without a separator `*head` is all, `*rest` is empty and the result is false. `rest` may be the
 * address of the string that was passed in.
 */
bool str_cut(struct str string, char separator, struct str *head, struct str *rest);

/** Without the ASCII white space (space, tab, CR, LF) at both ends. */
struct str str_trim(struct str string);

/** Whether every byte is one of `set` (a NUL-terminated list of bytes). Holds for the empty one. */
bool str_is_made_of(struct str string, const char *set);

/** Whether the bytes are well-formed UTF-8 (no surrogates, no overlong forms, <= U+10FFFF). */
bool str_is_utf8(struct str string);

/** Whether it holds a C0 control character or DEL. */
bool str_has_control(struct str string);

/**
 * Read a whole string as a decimal integer: optional '-', digits, no leading zero, in range.
 */
bool str_to_int64(struct str string, int64_t *value) MUST_USE;

/** Edit distance (insert, delete, replace, swap of neighbours), no more than `limit` + 1. */
size_t str_distance(struct str a, struct str b, size_t limit);

/** The nearest of `names` (at most a third of its length away), or the empty string. */
struct str str_nearest(struct str string, const struct str *names, size_t count);
