#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/str.h"

struct error;

/** The three segments of a compact JWS whose text is well-formed; nothing of it is verified. */
struct token_envelope {
    struct str signing_input; /* header.payload */
    struct str payload;       /* decoded bytes */
    struct str signature;     /* decoded bytes */
    unsigned algorithm;       /* one enum jose_algorithm bit */
    struct str kid;           /* empty where there is none */
    bool has_kid;
    const json_t *header;
};

/**
 * Open a token's envelope: sizes, alphabet, header rules; `typ` must be absent or JWT, or be
 * exactly `typ` where that is not NULL (such as "dpop+jwt", whose `jwk` member is then allowed).
 *
 * Errors: ERROR_TOKEN with the exact rule in the cause; ERROR_MEMORY
 * Source: security-rules.md 2; RFC 7515 7.1, 8725
 */
bool token_open(struct str token, const char *typ, struct arena *arena,
                struct token_envelope *envelope, struct error *error) MUST_USE;

/** Read the payload as claims, without verification: to choose among issuers and for `token show`.
 */
bool token_peek(const struct token_envelope *envelope, struct arena *arena, const json_t **claims,
                struct error *error) MUST_USE;
