#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "base/macros.h"
#include "base/str.h"

struct error;
struct keys;

/**
 * Refresh tokens: by what a lease is renewed.
 *
 * `spr_`, the lease's id, the number of the renewal that the token is for in four digits of
 * lower-case hex, and the first 128 bits of a MAC over all that in base64url. So nothing of them is
 * stored, and nobody but us can make one.
 *
 * Threads: any
 */
struct refresh_token {
    char lease_id[ID_LEN + 1];
    uint16_t renewal; /* 1 is a lease's first */
};

#define REFRESH_TOKEN_PREFIX "spr_"
#define REFRESH_TOKEN_LEN ((size_t)4 + ID_LEN + 4 + 22)

/** Write one, ended by a NUL. Errors: ERROR_MEMORY */
bool refresh_token_write(const struct keys *keys, const struct refresh_token *token,
                         char text[REFRESH_TOKEN_LEN + 1], struct error *error) MUST_USE;

/** Read one of ours; false for everything else, in a time that says nothing of the MAC. */
bool refresh_token_read(const struct keys *keys, struct str text, struct refresh_token *token)
    MUST_USE;
