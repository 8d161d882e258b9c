#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/str.h"

struct error;

/**
 * What clouds read of an issuer, as files that any web server can hand out: discovery at
 * `.well-known/openid-configuration` and the key set at `jwks.json`, both below the issuer's URL.
 *
 * They are made anew of what a broker serves: of its key set nothing but the public members that a
 * verifier reads, of its discovery the issuer's name alone.
 */

#define ISSUER_KEYS_MAX 16

struct issuer_key_name {
    struct str kid;
    struct str algorithm;
};

/** All texts live in the arena of the reading. */
struct issuer_files {
    struct str issuer;
    struct str discovery; /* the documents' texts, sorted */
    struct str key_set;
    struct issuer_key_name keys[ISSUER_KEYS_MAX];
    size_t key_count;
};

/**
 * Make both documents of a broker's.
 *
 * Refused: an issuer that no cloud takes (https, but on loopback; no port there unless it is, no
 * query, no '/' at its end), a set without keys or with more than ISSUER_KEYS_MAX, a key that is
 * neither ES256 nor RS256, has no kid or the kid of another, or says anything of a private half.
 *
 * Errors: ERROR_SYNTAX, ERROR_LIMIT, ERROR_INVALID, ERROR_MEMORY
 */
bool issuer_files_make(struct str discovery, struct str key_set, struct arena *arena,
                       struct issuer_files *files, struct error *error) MUST_USE;

/**
 * Put them into a folder, each whole or not at all; the key set first, so that discovery never
 * names keys that are not there. `*is_changed` says whether they are others than before.
 *
 * A folder that holds another issuer, or a set that shares no key with the new one, is somebody
 * else's: refused, unless `may_replace`.
 *
 * Errors: ERROR_USAGE (somebody else's), ERROR_IO, ERROR_LIMIT, ERROR_MEMORY
 */
bool issuer_files_write(const struct issuer_files *files, const char *folder, bool may_replace,
                        struct arena *arena, bool *is_changed, struct error *error) MUST_USE;
