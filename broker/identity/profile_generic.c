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
static const struct claim_copy copy_rows[] = {
    { "run", "run_id", CLAIM_FORM_UNKNOWN },
    { "attempt", "run_attempt", CLAIM_FORM_UNKNOWN },
    { "repository", "repository", CLAIM_FORM_UNKNOWN },
    { "repository_id", "repository_id", CLAIM_FORM_UNKNOWN },
    { "owner", "repository_owner", CLAIM_FORM_UNKNOWN },
    { "owner_id", "repository_owner_id", CLAIM_FORM_UNKNOWN },
    { "ref", "ref", CLAIM_FORM_UNKNOWN },
    { "ref_type", "ref_type", CLAIM_FORM_UNKNOWN },
    { "commit", "sha", CLAIM_FORM_UNKNOWN },
    { "actor", "actor", CLAIM_FORM_UNKNOWN },
    { "actor_id", "actor_id", CLAIM_FORM_UNKNOWN },
    { "event", "event_name", CLAIM_FORM_UNKNOWN },
};
static const struct claim_copies copies = { copy_rows, COUNT(copy_rows) };

static const struct profile_rules rules = { &copies, NULL };

static bool fill_ci(const json_t *token_claims, json_t *ci)
{
    return profile_fill(&rules, token_claims, ci);
}

const struct profile profile_generic = {
    .name = "generic",
    .default_url = NULL,
    .is_shared = false,
    .algorithms = JOSE_RS256 | JOSE_ES256 | JOSE_EDDSA,
    .replay = PROFILE_REPLAY_DIGEST,
    .uses = PROFILE_USES_FRESH,
    .max_age_s = 3600,
    .max_lifetime_s = 3600,
    .claims = { claims, COUNT(claims) },
    .dangers = &profile_github_dangers, /* where an issuer uses these names */
    .fill_ci = fill_ci,
    .copies = &copies,
};
