#include "base/json.h"
#include "identity/profile_internal.h"
#include "keys/verifier.h"

/*
 * Forgejo Actions, as far as its discovery document tells: names as GitHub's, no ids, no `jti`.
 * Claims whose types nobody has written down have no row; facts take them as text, integer or
 * boolean.
 */
static const struct claim claims[] = {
    /* name  type  flags */
    PROFILE_REGISTERED,
    { "sub", CLAIM_STRING, CLAIM_CAN_BE_RENAMED },
    { "repository", CLAIM_STRING, CLAIM_CAN_BE_RENAMED },
    { "repository_owner", CLAIM_STRING, CLAIM_CAN_BE_RENAMED },
    { "actor", CLAIM_STRING, CLAIM_CAN_BE_RENAMED | CLAIM_OPTIONAL | CLAIM_PERSONAL },
    { "event_name", CLAIM_STRING, 0 },
    { "ref", CLAIM_STRING, 0 },
    { "ref_type", CLAIM_STRING, CLAIM_OPTIONAL },
    { "sha", CLAIM_STRING, CLAIM_OPTIONAL },
    { "head_ref", CLAIM_STRING, CLAIM_SET_BY_USER | CLAIM_OPTIONAL },
    { "base_ref", CLAIM_STRING, CLAIM_SET_BY_USER | CLAIM_OPTIONAL },
    { "workflow", CLAIM_STRING, CLAIM_SET_BY_USER | CLAIM_OPTIONAL },
    { "workflow_ref", CLAIM_STRING, CLAIM_CAN_BE_RENAMED | CLAIM_OPTIONAL },
};

static const struct profile_copy copies[] = {
    { "run", "run_id", PROFILE_NUMBER },
    { "attempt", "run_attempt", PROFILE_NUMBER },
    { "repository", "repository", PROFILE_UNKNOWN },
    { "owner", "repository_owner", PROFILE_UNKNOWN },
    { "ref", "ref", PROFILE_UNKNOWN },
    { "ref_type", "ref_type", PROFILE_UNKNOWN },
    { "commit", "sha", PROFILE_UNKNOWN },
    { "workflow", "workflow", PROFILE_UNKNOWN },
    { "actor", "actor", PROFILE_UNKNOWN },
    { "event", "event_name", PROFILE_UNKNOWN },
};

static const struct profile_rules rules = { copies, COUNT(copies), NULL, 0 };

static bool fill_ci(const json_t *token_claims, json_t *ci)
{
    return profile_fill(&rules, token_claims, ci) &&
           profile_put_words(profile_github_events, profile_github_event_count, token_claims, ci) &&
           profile_put_github_refs(token_claims, ci) &&
           profile_put_github_workflow(token_claims, "workflow_ref", ci);
}

const struct profile profile_forgejo = {
    .name = "forgejo",
    .algorithms = JOSE_RS256,
    .replay = PROFILE_REPLAY_DIGEST,
    .uses = PROFILE_USES_FRESH,
    .max_age_s = 3600,
    .max_lifetime_s = 3600,
    .claims = { claims, COUNT(claims) },
    .dangers = &profile_github_dangers,
    .fill_ci = fill_ci,
};
