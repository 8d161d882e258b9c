#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/str.h"

struct error;
struct profile;

/** The longest claims file, bytes. */
#define CLAIMS_FILE_MAX ((size_t)64 * 1024)

enum claims_change_kind {
    CLAIMS_SET,      /* the text, as the profile's type of that claim */
    CLAIMS_SET_JSON, /* any JSON value: for tokens that no CI system would sign */
    CLAIMS_UNSET,
};

/** A change to what a claims file says: `--set name=value` and its kin. */
struct claims_change {
    enum claims_change_kind kind;
    struct str name;
    struct str value;
};

/** What the claims of a token are made of. Everything is borrowed. */
struct claims_recipe {
    const struct profile *profile;
    const char *file; /* a JSON object; NULL: nothing */
    struct str issuer;
    struct str audience; /* empty: the platform's default */
    const struct claims_change *changes;
    size_t change_count;
    int64_t lifetime_s; /* 0: the platform's */
};

/**
 * Claims for one token: the file's, then what the CI system fills in (`iss`, `aud`, `iat`, `exp`;
 * `jti` and `nbf` where it has them; of a repository `sub`, where the file has none or a change
 * makes it untrue), then the changes.
 *
 * A changed `iat` carries `nbf` and `exp` along.
 *
 * Errors: ERROR_IO, ERROR_SYNTAX, ERROR_LIMIT (the file; the cause names it), ERROR_USAGE (a value
 *         that is not of its claim's type), ERROR_MEMORY, ERROR_CRYPTO
 * Owns:   `*claims` is the caller's
 * Source: reference of CI issuers 1.3, 1.4
 */
bool claims_build(const struct claims_recipe *recipe, int64_t now_s, json_t **claims,
                  struct error *error) MUST_USE;

/** Give the claims a new `jti`: a random UUID, as GitHub does. */
bool claims_renew_jti(json_t *claims, struct error *error) MUST_USE;

/** Whether a change sets or unsets this claim. */
bool claims_has_change(const struct claims_recipe *recipe, const char *name);
