#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/macros.h"
#include "base/progress.h"
#include "base/str.h"
#include "base/yaml.h"
#include "targets/target.h"

struct error;
struct key;

/**
 * Identity tokens of stages: by them the broker, as an issuer that a cloud trusts, says which stage
 * asks there. Good for five minutes, for one audience, and each has a `jti`.
 *
 * Every one says `iss`, `sub`, `aud`, `iat`, `nbf`, `exp`, `jti`, and for whoever maps claims
 * `stage`, `pipeline`, `lease`, and `run` where the CI system tells one.
 */

#define STAGE_TOKEN_LIFE_S 300
/** Bytes of `sub` at most: Google maps no more. A stage's id always fits. */
#define STAGE_TOKEN_SUBJECT_MAX 127

/** Which key signs: the `algorithm` of a target. */
enum stage_token_algorithm {
    STAGE_TOKEN_OWN, /* the issuer's own */
    STAGE_TOKEN_ES256,
    STAGE_TOKEN_RS256,
};

struct stage_token {
    struct str audience;
    struct str subject; /* empty: the stage */
    enum stage_token_algorithm algorithm;
    const json_t *claims; /* more of them; NULL: none */
};

/** Read a target's `algorithm`; `*algorithm` stays untouched where there is none. */
bool stage_token_setting(const struct yaml_reader *reader, const json_t *node,
                         enum stage_token_algorithm *algorithm) MUST_USE;

/** Have the key that a target's tokens are signed with: from a kind's `start`. */
bool stage_token_start(const struct target_tools *tools, enum stage_token_algorithm algorithm,
                       struct error *error) MUST_USE;

/** "STAGE:run:RUN", the form with which each run is a subject of its own; `data` NULL: no memory.
 */
struct str stage_token_run_subject(const struct mint *mint);

/** A signature under way; in the mint's arena. */
struct stage_signing;

/**
 * Sign a token for this mint. What takes long (RSA, keys in a token) a worker does: then it is
 * PROGRESS_WAIT, and the mint's waker has it entered again with the same `*signing`, which is NULL
 * at first.
 *
 * Errors: ERROR_MINT (a subject that is too long, workers that are all busy), ERROR_MEMORY,
 *         ERROR_CRYPTO
 * Owns:   `*token` lives in the mint's arena
 */
enum progress stage_token_sign(const struct mint *mint, const struct stage_token *wanted,
                               struct stage_signing **signing, struct str *token,
                               struct error *error) MUST_USE;

/**
 * Sign other claims in the same way, by a key that others gave us (keys_given()): not the stage but
 * the broker says who it is. A worker does it, whatever the key is.
 *
 * Owns: takes the claims, unless `*signing` is there: then they may be NULL
 */
enum progress given_key_sign(const struct mint *mint, struct key *key, json_t **take_claims,
                             struct stage_signing **signing, struct str *token, struct error *error)
    MUST_USE;
