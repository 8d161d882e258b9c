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

static const struct claim_copy copy_rows[] = {
    { "run", "workflow_id", CLAIM_FORM_UNKNOWN },
    { "repository", "scm_repo_url", CLAIM_FORM_UNKNOWN },
    { "owner", "account_name", CLAIM_FORM_UNKNOWN },
    { "owner_id", "account_id", CLAIM_FORM_UNKNOWN },
    { "workflow", "pipeline_name", CLAIM_FORM_UNKNOWN },
    { "actor", "initiator", CLAIM_FORM_UNKNOWN },
};
static const struct claim_copies copies = { copy_rows, COUNT(copy_rows) };

static const struct profile_rules rules = { &copies, NULL };

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

/* Conditions that say less than they seem to. */
static const struct claim_lint lint_rows[] = {
    { .rule = "codefresh-sub",
      .claims = CLAIM_NAMES("sub"),
      .message = "is put together of names, and differs by what started the build",
      .hint = "name what you mean: pipeline_id, scm_ref" },
    { .rule = "codefresh-short-ref",
      .claims = CLAIM_NAMES("scm_ref", "ci.ref"),
      .is_of_production = true,
      .message = "is a short name: a branch and a tag can have the same",
      .hint = "let only one trigger start this pipeline, and fix 'pipeline_id'" },
    { .rule = "codefresh-pipeline-without-id",
      .claims = CLAIM_NAMES("pipeline_name", "ci.workflow"),
      .unless = CLAIM_NAMES("pipeline_id"),
      .message = "is a name that can be given to another pipeline",
      .hint = "add 'pipeline_id'" },
    { .rule = "codefresh-owner-without-id",
      .claims = CLAIM_NAMES("account_name", "ci.owner"),
      .unless = CLAIM_NAMES("account_id", "pipeline_id", "ci.owner_id"),
      .message = "is a name that can be given to somebody else",
      .hint = "add 'account_id'" },
};
static const struct claim_lints lints = { lint_rows, COUNT(lint_rows) };

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
    .lints = &lints,
    .dangers = &dangers,
    .fill_ci = fill_ci,
    .copies = &copies,
};
