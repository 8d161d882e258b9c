#include "identity/profile_internal.h"
#include "keys/verifier.h"

/*
 * People's ID tokens. It stands in no table that the configuration chooses from: a person's token
 * is never a subject token, and a run's token never a person.
 *
 * Source: OpenID Connect Core 2, 5.1
 */
static const struct claim claims[] = {
    /* name  type           flags */
    { "iss", CLAIM_STRING, 0 },
    { "sub", CLAIM_STRING, CLAIM_ID | CLAIM_PERSONAL },
    { "aud", CLAIM_STRINGS, 0 },
    { "exp", CLAIM_INTEGER, 0 },
    { "iat", CLAIM_INTEGER, 0 },
    { "nbf", CLAIM_INTEGER, CLAIM_OPTIONAL },
    { "jti", CLAIM_STRING, CLAIM_OPTIONAL },
    { "azp", CLAIM_STRING, CLAIM_OPTIONAL },
    { "sid", CLAIM_STRING, CLAIM_OPTIONAL | CLAIM_PERSONAL },
    { "acr", CLAIM_STRING, CLAIM_OPTIONAL },
    { "amr", CLAIM_STRINGS, CLAIM_OPTIONAL },
    { "auth_time", CLAIM_INTEGER, CLAIM_OPTIONAL },
    { "groups", CLAIM_STRINGS, CLAIM_OPTIONAL },
    { "email", CLAIM_STRING, CLAIM_OPTIONAL | CLAIM_CAN_BE_RENAMED | CLAIM_PERSONAL },
    { "email_verified", CLAIM_BOOLEAN, CLAIM_OPTIONAL },
    { "name", CLAIM_STRING, CLAIM_OPTIONAL | CLAIM_CAN_BE_RENAMED | CLAIM_PERSONAL },
    { "preferred_username", CLAIM_STRING, CLAIM_OPTIONAL | CLAIM_CAN_BE_RENAMED | CLAIM_PERSONAL },
};

static const struct profile_rules rules = { NULL, NULL };

/* A person is no run: none of its facts can be said. */
static bool fill_ci(const json_t *token_claims, json_t *ci)
{
    return profile_fill(&rules, token_claims, ci);
}

const struct profile profile_person = {
    .name = "person",
    .default_url = NULL,
    .is_shared = false,
    .algorithms = JOSE_RS256 | JOSE_ES256 | JOSE_EDDSA,
    .replay = PROFILE_REPLAY_DIGEST,
    .uses = 1,
    .max_age_s = 3600,
    .max_lifetime_s =
        (int64_t)24 * 3600, /* some providers give a day; `max_age` bounds what it is worth */
    .claims = { claims, COUNT(claims) },
    .fill_ci = fill_ci,
};
