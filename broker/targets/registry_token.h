#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/str.h"
#include "targets/registry_access.h"
#include "targets/target.h"

struct error;

/**
 * Tokens of registries that trust us as their token server.
 *
 * An exchange gives a password, which is a token of ours: it says for which lease, service and
 * access it is, and is good at our token endpoint alone. There a registry's client changes it, as
 * often as it likes and while the lease lives, for tokens that the registry takes: each has at most
 * what the password says, and lives REGISTRY_TOKEN_LIFE_S at most, since nobody can end it.
 *
 * Source: distribution specification, token authentication; token claims
 */

#define REGISTRY_TOKEN_LIFE_S ((int64_t)300)
/** Below our issuer's URL: where registries send clients, and who passwords are for. */
#define REGISTRY_TOKEN_PATH "/registry/token"

/** What a registry's token says. */
struct registry_token {
    const struct target *target;
    struct str stage;
    struct str lease;
    const json_t *access;
    int64_t now_s;
    int64_t ends_s; /* what it comes from ends then: it lives no longer */

    char jti[27]; /* filled in, and: */
    int64_t expires_s;
    struct str text;
};

/**
 * Sign one.
 *
 * Errors: ERROR_MEMORY, ERROR_CRYPTO, ERROR_LIMIT
 */
bool registry_token_sign(const struct target_tools *tools, struct registry_token *token,
                         struct arena *arena, struct error *error) MUST_USE;

/** A password that verified. In the arena, but for `claims`. */
struct registry_password {
    struct str target; /* its name in broker.yaml */
    struct str service;
    struct str stage;
    struct str lease;
    const struct texts *access;
    int64_t expires_s;
    json_t *claims;
};

/**
 * Whether it is a password of ours that has not expired. Whether its lease lives, and the target is
 * still there, is the caller's to find out.
 *
 * Errors: ERROR_UNAUTHORIZED, ERROR_MEMORY, ERROR_CRYPTO
 */
bool registry_password_verify(const struct target_tools *tools, struct str text, int64_t now_s,
                              struct arena *arena, struct registry_password *password,
                              struct error *error) MUST_USE;
void registry_password_release(struct registry_password *password);

OWNED_VALUE(registry_password_release, struct registry_password)

/** Sign one for a mint, which has its own life. Errors: as registry_token_sign() */
bool registry_password_sign(const struct mint *mint, const json_t *access, const char *jti,
                            struct str *text, struct error *error) MUST_USE;

/** Whether a target is a registry that calls itself so. */
bool registry_is_service(const struct target *target, struct str service);
