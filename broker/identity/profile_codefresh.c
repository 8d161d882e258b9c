#include "base/json.h"
#include "identity/profile_internal.h"
#include "keys/verifier.h"

/*
 * Codefresh: one issuer for all customers and a fixed audience. `scm_ref` is a short name, of a
 * branch or a tag, in this repository or a fork: no fact follows from it.
 */
static const struct claim claims[] = {
    /* name  type  flags */
    PROFILE_REGISTERED,
    { "sub", CLAIM_STRING, CLAIM_CAN_BE_RENAMED },
    { "account_id", CLAIM_STRING, CLAIM_ID | CLAIM_OWNER_ID },
    { "account_name", CLAIM_STRING, CLAIM_CAN_BE_RENAMED | CLAIM_OPTIONAL },
    { "pipeline_id", CLAIM_STRING, CLAIM_ID },
    { "pipeline_name", CLAIM_STRING, CLAIM_CAN_BE_RENAMED | CLAIM_OPTIONAL },
    { "workflow_id", CLAIM_STRING, CLAIM_OPTIONAL },
    { "initiator", CLAIM_STRING, CLAIM_CAN_BE_RENAMED | CLAIM_OPTIONAL | CLAIM_PERSONAL },
    { "scm_user_name", CLAIM_STRING, CLAIM_CAN_BE_RENAMED | CLAIM_OPTIONAL | CLAIM_PERSONAL },
    { "scm_repo_url", CLAIM_STRING, CLAIM_CAN_BE_RENAMED | CLAIM_OPTIONAL },
    { "scm_ref", CLAIM_STRING, CLAIM_SET_BY_USER | CLAIM_OPTIONAL },
    { "scm_pull_request_target_branch", CLAIM_STRING, CLAIM_OPTIONAL },
    { "platform_url", CLAIM_STRING, CLAIM_OPTIONAL },
    { "runner_environment", CLAIM_STRING, CLAIM_OPTIONAL },
};

static const struct profile_copy copies[] = {
    { "run", "workflow_id", PROFILE_UNKNOWN },
    { "repository", "scm_repo_url", PROFILE_UNKNOWN },
    { "owner", "account_name", PROFILE_UNKNOWN },
    { "owner_id", "account_id", PROFILE_UNKNOWN },
    { "workflow", "pipeline_name", PROFILE_UNKNOWN },
    { "actor", "initiator", PROFILE_UNKNOWN },
};

static const struct profile_rules rules = { copies, COUNT(copies), NULL, 0 };

/* Whoever opens a pull request writes what it runs. */
static const struct claim_danger danger_rows[] = {
    /* claim  value  fact  its value  harmless where false */
    { NULL, "", "ci.pull_request", "true", NULL },
};
static const struct claim_dangers dangers = { danger_rows, COUNT(danger_rows) };

/* Only a pull request has a target branch; without a ref nothing came from a repository. */
static bool put_pull_request(const json_t *token_claims, json_t *ci)
{
    if (profile_text(token_claims, "scm_pull_request_target_branch").len > 0)
        return json_put(ci, "pull_request", json_true());
    return profile_text(token_claims, "scm_ref").len == 0 ||
           json_put(ci, "pull_request", json_false());
}

static bool fill_ci(const json_t *token_claims, json_t *ci)
{
    return profile_fill(&rules, token_claims, ci) && put_pull_request(token_claims, ci);
}

const struct profile profile_codefresh = {
    .name = "codefresh",
    .default_url = "https://oidc.codefresh.io",
    .is_shared = true,
    .algorithms = JOSE_RS256,
    .audience_is_fixed = true,
    .replay = PROFILE_REPLAY_DIGEST,
    .uses = PROFILE_USES_FRESH,
    .max_age_s = 300,
    .max_lifetime_s = 600, /* 300 s */
    .claims = { claims, COUNT(claims) },
    .dangers = &dangers,
    .fill_ci = fill_ci,
};
