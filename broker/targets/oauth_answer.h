#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/str.h"
#include "targets/remote_call.h"
#include "targets/target.h"

struct error;

/**
 * What a token endpoint answers, read without belief: RFC 6749 5, RFC 8693 2.2.
 *
 * Texts live in the arena of the reading; what did not come is empty.
 */
struct oauth_answer {
    struct str access_token;
    struct str token_type;
    struct str issued_token_type;
    struct str scope;
    bool has_life;
    int64_t expires_in_s;
    bool has_error; /* a member "error" is there, whatever it is */
    struct str error;
    struct str description;
    int64_t error_code; /* the first of "error_codes" (Entra); 0: none */
};

#define OAUTH_TOKEN_MAX ((size_t)16 * 1024)
/** Seconds that a token may outlive what was asked for: room for clocks and the way there. */
#define OAUTH_LIFE_LEEWAY_S 60

/** Who is asked, for messages, and what to do about its errors. */
struct oauth_peer {
    const char *who;
    /* A sentence without a full stop, or NULL. */
    const char *(*explain)(const struct oauth_answer *answer);
};

/**
 * Look at an answer of a peer: whether it came, is no error, and gives a token of type Bearer that
 * can be handed on. `*may_exist` says whether a token may have been made all the same.
 *
 * Errors: ERROR_MINT, ERROR_MINT_UNKNOWN, ERROR_MEMORY
 */
bool oauth_answer_take(const struct remote_call *call, const struct oauth_peer *peer,
                       struct arena *arena, struct oauth_answer *answer, bool *may_exist,
                       struct error *error) MUST_USE;

/**
 * Whether a life is one that was asked for: more than none, and no longer than `ttl_s` and the
 * leeway.
 *
 * Errors: ERROR_MINT
 */
bool oauth_life_check(int64_t life_s, int64_t ttl_s, const char *who, struct error *error) MUST_USE;

/** Whether a text is visible ASCII without a space, of 1 to `max` bytes: what a header can have. */
bool text_is_token(struct str text, size_t max);

/**
 * Whether it is a token as Bearer tokens are (RFC 6750 2.1): what is given to jobs. It gets into
 * headers, variables and files of theirs, and shells that read those: nothing in it means anything
 * there.
 */
bool text_is_bearer(struct str text, size_t max);

/** The public id of an opaque token: "sha256:" and its digest in hex; `data` NULL: no memory. */
struct str token_id(struct arena *arena, struct str token);
