#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "base/json.h"
#include "base/macros.h"
#include "base/str.h"

struct arena;
struct error;
struct keys;

/**
 * A member of an entry's private part that only brokers with its keys can read: JSON, sealed, in
 * base64url. What is sealed for one id, or under one name, does not open for another.
 *
 * Threads: any
 */
struct sealed_member {
    const char *name;
    const char *what;          /* that it holds, for errors */
    size_t max;                /* bytes of its JSON */
    struct json_limits limits; /* of reading it */
};

/**
 * Seal `value` and put it into `private_part`.
 *
 * Errors: ERROR_LIMIT (larger than `max`, or than a private part may be), ERROR_MEMORY,
 * ERROR_CRYPTO
 */
bool sealed_member_put(const struct sealed_member *member, struct keys *keys, struct str id,
                       const json_t *value, json_t *private_part, struct error *error) MUST_USE;

/**
 * Read it from a private part as the store has it (empty: erased, or never written); `*value` is
 * kept in `arena`.
 *
 * Errors: ERROR_NOT_FOUND (no such member), ERROR_INVALID (not what was sealed for this id),
 * ERROR_MEMORY, ERROR_CRYPTO
 */
bool sealed_member_open(const struct sealed_member *member, struct keys *keys,
                        struct str private_part, struct str id, struct arena *arena, json_t **value,
                        struct error *error) MUST_USE;
