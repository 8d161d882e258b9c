#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/macros.h"
#include "base/str.h"

struct error;

/** What a JSON text may be at most. */
struct json_limits {
    size_t bytes;
    size_t depth;   /* of objects and arrays within each other; the outermost is 1 */
    size_t members; /* of all objects and arrays together */
};

#define JSON_LIMITS_REQUEST ((struct json_limits){ (size_t)64 * 1024, 32, 1000 })
#define JSON_LIMITS_JWKS ((struct json_limits){ (size_t)512 * 1024, 16, 4000 })

/**
 * Parse one JSON object or array strictly.
 *
 * Refused: duplicate members (behind escapes too), NaN, numbers out of range, NUL, lone surrogates,
 * overlong UTF-8, a BOM, comments, trailing text, and what passes a limit. Depth and members are
 * checked before jansson builds anything. The text is untrusted; errors never quote it.
 *
 * Errors: ERROR_SYNTAX (in places for a lack of memory too: jansson cannot tell), ERROR_LIMIT,
 *         ERROR_MEMORY
 * Owns:   `*out` is the caller's (json_decref)
 */
bool json_parse(struct str text, struct json_limits limits, json_t **out, struct error *error)
    MUST_USE;

/** json_parse for a text that must be an object. */
bool json_parse_object(struct str text, struct json_limits limits, json_t **out,
                       struct error *error) MUST_USE;

static inline void json_owned(json_t **json)
{
    json_decref(*json);
}
/** A json_t reference that ends with its scope: `JSON_OWNED json_t *claims = NULL;`. */
#define JSON_OWNED __attribute__((cleanup(json_owned)))

/** The same value without const, for jansson's iterators and reference counts only. */
static inline json_t *json_iterable(const json_t *json)
{
    union {
        const json_t *borrowed;
        json_t *iterable;
    } same = { .borrowed = json };

    return same.iterable;
}

/** Hand the reference to the arena: json_decref when it is freed, or at once on failure. */
bool json_keep(struct arena *arena, json_t *take_json, struct error *error) MUST_USE;

/**
 * Append the compact form with sorted keys and raw UTF-8: our canonical form.
 *
 * Where it cannot be written (no memory, NULL, too deep) the buffer is marked as failed. Recurses
 * to the value's depth: for values that json_parse let in, or that we built.
 */
void buf_add_json(struct buf *buf, const json_t *json);

/** The canonical form in the arena; `data` is NULL on failure. */
struct str json_text(struct arena *arena, const json_t *json);

/** A string member, borrowed from `object`; false where it is absent or not a string. */
bool json_get_str(const json_t *object, const char *name, struct str *value) MUST_USE;

/** A new JSON string; NULL when the text is not UTF-8, holds a NUL, or there is no memory. */
json_t *json_from_str(struct str text) MUST_USE;

/** "sha256:" and the digest in hex; NULL without memory. */
json_t *json_from_sha256(const uint8_t sha256[SHA256_LEN]) MUST_USE;

/** A new JSON array of strings; NULL as json_from_str(). */
json_t *json_from_strs(const struct str *texts, size_t count) MUST_USE;

/** A new object at the end of a list, borrowed from it; NULL without memory. */
json_t *json_append_object(json_t *list);

/** The value of a JSON string, borrowed from it; empty for any other value. */
struct str json_str(const json_t *string);

/**
 * Set members in a row: `json_put(object, "type", json_from_str(type))`. A NULL value or a failed
 * set makes it false; the value's reference is always taken.
 */
bool json_put(json_t *object, const char *name, json_t *take_value) MUST_USE;

/** The same of a text, which is left out where it is empty. */
bool json_put_text(json_t *object, const char *name, struct str text) MUST_USE;

/**
 * A point in time: a JSON integer, or a real rounded down, within int64; false for all else.
 *
 * A real has gone through a double: 1700000000.9999999999 is 1700000001 by then.
 *
 * Source: RFC 7519 2 (NumericDate may have a fraction)
 */
bool json_get_time(const json_t *object, const char *name, int64_t *value) MUST_USE;
