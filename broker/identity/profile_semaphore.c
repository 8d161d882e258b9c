#include "base/json.h"
#include "identity/profile_internal.h"
#include "keys/verifier.h"

/*
 * Semaphore: issuer and audience are the organisation's URL. Administrators can filter claims out,
 * so what decides is mandatory. `sub127` is cut short and no row: nobody may rely on it.
 */
static const struct claim claims[] = {
    /* name  type  flags */
    PROFILE_REGISTERED,
    { "sub", CLAIM_STRING, CLAIM_CAN_BE_RENAMED },
    { "jti", CLAIM_STRING, 0 },
    { "org", CLAIM_STRING, CLAIM_CAN_BE_RENAMED },
    { "org_id", CLAIM_STRING, CLAIM_ID | CLAIM_OWNER_ID },
    { "prj", CLAIM_STRING, CLAIM_CAN_BE_RENAMED | CLAIM_OPTIONAL },
    { "prj_id", CLAIM_STRING, CLAIM_ID },
    { "wf_id", CLAIM_STRING, 0 },
    { "ppl_id", CLAIM_STRING, 0 },
    { "job_id", CLAIM_STRING, 0 },
    { "job_type", CLAIM_STRING, 0 },
    { "repo", CLAIM_STRING, CLAIM_CAN_BE_RENAMED | CLAIM_OPTIONAL },
    { "repo_slug", CLAIM_STRING, CLAIM_CAN_BE_RENAMED | CLAIM_OPTIONAL },
    { "actor", CLAIM_STRING, CLAIM_CAN_BE_RENAMED | CLAIM_OPTIONAL | CLAIM_PERSONAL },
    { "branch", CLAIM_STRING, CLAIM_OPTIONAL }, /* of a pull request the target */
    { "pr", CLAIM_STRING, CLAIM_OPTIONAL },
    { "pr_branch", CLAIM_STRING, CLAIM_SET_BY_USER | CLAIM_OPTIONAL },
    { "ref", CLAIM_STRING, 0 },
    { "ref_type", CLAIM_STRING, 0 },
    { "tag", CLAIM_STRING, CLAIM_OPTIONAL },
    { "trg", CLAIM_STRING, CLAIM_OPTIONAL },
    { "https://aws.amazon.com/tags", CLAIM_OBJECT, CLAIM_OPTIONAL },
};

static const struct claim_copy copy_rows[] = {
    { "run", "wf_id", CLAIM_FORM_UNKNOWN },
    { "job", "job_id", CLAIM_FORM_UNKNOWN },
    { "repository", "repo_slug", CLAIM_FORM_UNKNOWN },
    { "owner", "org", CLAIM_FORM_UNKNOWN },
    { "owner_id", "org_id", CLAIM_FORM_UNKNOWN },
    { "ref", "ref", CLAIM_FORM_UNKNOWN },
    { "actor", "actor", CLAIM_FORM_UNKNOWN },
};
static const struct claim_copies copies = { copy_rows, COUNT(copy_rows) };

static const struct claim_word word_rows[] = {
    { "ref_type", "branch", "ref_type", "branch" },
    { "ref_type", "tag", "ref_type", "tag" },
    { "ref_type", "branch", "pull_request", "false" },
    { "ref_type", "branch", "fork", "false" },
    { "ref_type", "tag", "pull_request", "false" },
    { "ref_type", "tag", "fork", "false" },
    { "ref_type", "pull-request", "pull_request", "true" },
    { "job_type", "pipeline_job", "debug", "false" },
    { "job_type", "debug_job", "debug", "true" },
    { "job_type", "project_debug_job", "debug", "true" },
};
static const struct claim_words words = { word_rows, COUNT(word_rows) };

static const struct profile_rules rules = { &copies, &words };

/* Somebody has a shell in the job; or `branch` is not the branch whose code runs. */
static const struct claim_danger danger_rows[] = {
    /* claim  value  fact  its value  harmless where false */
    { "job_type", "debug_job", "ci.debug", "true", NULL },
    { "job_type", "project_debug_job", "ci.debug", "true", NULL },
    { "ref_type", "pull-request", "ci.pull_request", "true", NULL },
};
static const struct claim_dangers dangers = { danger_rows, COUNT(danger_rows) };

/* Conditions that say less than they seem to. */
static const struct claim_lint lint_rows[] = {
    { .rule = "semaphore-sub",
      .claims = CLAIM_NAMES("sub"),
      .message = "is put together of names that can be given to others",
      .hint = "name what you mean: prj_id, ref, job_type" },
    { .rule = "semaphore-branch-without-type",
      .claims = CLAIM_NAMES("branch"),
      .unless = CLAIM_NAMES("ref", "ref_type", "ci.ref", "ci.ref_type"),
      .message = "is of a pull request the branch that it goes to, not what runs",
      .hint = "write 'ref: refs/heads/...'" },
    { .rule = "semaphore-branch-of-pull-request",
      .claims = CLAIM_NAMES("pr_branch"),
      .message = "is a name that whoever opens the pull request chooses",
      .hint = "use 'ref_type', or 'ref'" },
    { .rule = "semaphore-name-without-id",
      .claims = CLAIM_NAMES("prj", "repo", "repo_slug", "ci.repository"),
      .unless = CLAIM_NAMES("prj_id"),
      .message = "is a name that can be given to another project",
      .hint = "add 'prj_id'" },
    { .rule = "semaphore-owner-without-id",
      .claims = CLAIM_NAMES("org", "ci.owner"),
      .unless = CLAIM_NAMES("org_id", "prj_id", "ci.owner_id"),
      .message = "is a name that can be given to somebody else",
      .hint = "add 'org_id'" },
};
static const struct claim_lints lints = { lint_rows, COUNT(lint_rows) };

static bool fill_ci(const json_t *token_claims, json_t *ci)
{
    return profile_fill(&rules, token_claims, ci);
}

const struct profile profile_semaphore = {
    .name = "semaphore",
    .algorithms = JOSE_RS256,
    .audience_is_fixed = true,
    .replay = PROFILE_REPLAY_JTI,
    .uses = PROFILE_USES_VARIABLE,
    .max_age_s = 3600,
    .max_lifetime_s = 86400, /* what its makers say */
    .claims = { claims, COUNT(claims) },
    .lints = &lints,
    .dangers = &dangers,
    .fill_ci = fill_ci,
    .copies = &copies,
    .words = &words,
};
