#include "base/json.h"
#include "identity/profile_internal.h"
#include "keys/verifier.h"

/* Any issuer: what RFC 7519 registers. The configuration adds the issuer's own claims and ids. */
static const struct claim claims[] = {
    /* name  type           flags */
    { "iss", CLAIM_STRING, 0 },
    { "sub", CLAIM_STRING, 0 },
    { "aud", CLAIM_STRINGS, CLAIM_SET_BY_USER },
    { "exp", CLAIM_INTEGER, 0 },
    { "iat", CLAIM_INTEGER, 0 },
    { "nbf", CLAIM_INTEGER, CLAIM_OPTIONAL },
    { "jti", CLAIM_STRING, CLAIM_OPTIONAL },
};

/*
 * Names that several platforms share. What decides over production (environment, protection,
 * runner) is never believed because of a name alone.
 */
static const struct profile_copy copies[] = {
    { "run", "run_id" },
    { "attempt", "run_attempt" },
    { "repository", "repository" },
    { "repository_id", "repository_id" },
    { "owner", "repository_owner" },
    { "owner_id", "repository_owner_id" },
    { "ref", "ref" },
    { "ref_type", "ref_type" },
    { "commit", "sha" },
    { "actor", "actor" },
    { "actor_id", "actor_id" },
    { "event", "event_name" },
};

static bool fill_ci(const json_t *token_claims, json_t *ci)
{
    if (!profile_copy_texts(token_claims, copies, COUNT(copies), ci))
        return false;
    for (size_t i = 0; i < profile_ci_facts.count; i++) {
        const char *name = profile_ci_facts.rows[i].name;

        if (json_object_get(ci, name) == NULL && !json_put(ci, name, json_null()))
            return false;
    }
    return true;
}

const struct profile profile_generic = {
    .name = "generic",
    .default_url = NULL,
    .is_shared = false,
    .algorithms = JOSE_RS256 | JOSE_ES256 | JOSE_EDDSA,
    .replay = PROFILE_REPLAY_DIGEST,
    .uses = 1,
    .max_age_s = 3600,
    .max_lifetime_s = 3600,
    .claims = { claims, COUNT(claims) },
    .fill_ci = fill_ci,
};
