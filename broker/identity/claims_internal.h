#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/macros.h"
#include "base/str.h"
#include "identity/identity.h"

struct error;

/** What a token's payload may be: security-rules.md 4.2. */
#define CLAIMS_LIMITS ((struct json_limits){ TOKEN_MAX, 32, 1000 })

/**
 * Parse a segment of a token as a JSON object that lives as long as the arena. `name` says which in
 * the cause.
 *
 * Errors: ERROR_TOKEN, ERROR_MEMORY
 */
bool claims_parse(struct str text, struct json_limits limits, const char *name, struct arena *arena,
                  json_t **claims, struct error *error) MUST_USE;

/** What claims are measured by. The issuer's zeroes are resolved to its profile's numbers. */
struct claims_rules {
    const struct issuer_options *issuer;
    int64_t max_age_s;
    int64_t max_lifetime_s;
    int64_t leeway_s;
    int64_t now_s;
    struct str thumbprint; /* of the key that came with the token; empty: none */
};

/** What was found on the way; the strings are the claims'. */
struct claims_facts {
    struct str subject;
    struct str token_id; /* `jti`; empty where there is none */
    int64_t issued_s;
    int64_t expires_s;
    bool is_key_bound; /* an audience names the key */
};

/**
 * Check the claims of a payload whose signature holds.
 *
 * `exp`, `iat` and `nbf` become integers in place. What makes a token one that we do not speak with
 * comes first, `only` last of it; the reasons that its bearer is told come after.
 *
 * Errors: ERROR_TOKEN, then ERROR_TOKEN_EXPIRED, ERROR_TOKEN_TOO_OLD, ERROR_TOKEN_AUDIENCE;
 *         ERROR_MEMORY
 * Source: security-rules.md 4.1, 4.2; RFC 7519 4.1
 */
bool claims_check(json_t *claims, const struct claims_rules *rules, struct claims_facts *facts,
                  struct error *error) MUST_USE;

/**
 * Check claims that were good once, by what configuration and profile say of them now. Times, but
 * for their form, and audiences are passed over.
 *
 * Errors: ERROR_TOKEN, ERROR_MEMORY
 */
bool claims_check_kept(json_t *claims, const struct issuer_options *issuer,
                       struct claims_facts *facts, struct error *error) MUST_USE;

/**
 * Check that whoever shows a token holds all keys that its `cnf` names. A key of another form than
 * `jkt` or `x5t#S256` is none that we can look at: nobody holds it.
 *
 * Errors: ERROR_TOKEN
 * Source: RFC 7800 3.1, RFC 9449 6.1, RFC 8705 3.1
 */
bool claims_check_holder(const json_t *claims, const struct identity_input *input,
                         struct error *error) MUST_USE;

/** See identity_only_missed(). */
const char *claims_only_missed(const json_t *claims, const struct issuer_options *issuer);

/**
 * Check a configured `only`: known claims, values that fit their types, and an owner id where the
 * issuer is shared.
 *
 * Errors: ERROR_CONFIG
 */
bool claims_check_only(const struct issuer_options *issuer, struct error *error) MUST_USE;
