#include "base/json.h"
#include "identity/profile_internal.h"
#include "keys/verifier.h"

/*
 * Azure DevOps, a pipeline's own token. Its audience is the platform's: every service that takes it
 * can show it here.
 */
static const struct claim claims[] = {
    /* name  type  flags */
    PROFILE_REGISTERED,
    { "sub", CLAIM_STRING, CLAIM_CAN_BE_RENAMED },
    { "jti", CLAIM_STRING, 0 },
    { "org_id", CLAIM_STRING, CLAIM_ID | CLAIM_OWNER_ID },
    { "prj_id", CLAIM_STRING, CLAIM_ID },
    { "def_id", CLAIM_STRING, 0 }, /* unique in its project only */
    { "run_id", CLAIM_STRING, 0 },
    { "rpo_id", CLAIM_STRING,
      CLAIM_OPTIONAL }, /* a UUID, or OWNER/NAME of a repository elsewhere */
    { "rpo_uri", CLAIM_STRING, CLAIM_CAN_BE_RENAMED | CLAIM_OPTIONAL },
    { "rpo_ver", CLAIM_STRING, CLAIM_OPTIONAL },
    { "rpo_ref", CLAIM_STRING, CLAIM_OPTIONAL },
};

static const struct claim_copy copy_rows[] = {
    { "run", "run_id", CLAIM_FORM_UNKNOWN },
    { "owner_id", "org_id", CLAIM_FORM_UNKNOWN },
    { "commit", "rpo_ver", CLAIM_FORM_UNKNOWN },
};
static const struct claim_copies copies = { copy_rows, COUNT(copy_rows) };

static const struct profile_rules rules = { &copies, NULL };

/* Whoever opens a pull request writes what it runs. */
static const struct claim_danger danger_rows[] = {
    /* claim  value  fact  its value  harmless where false */
    { NULL, "", "ci.pull_request", "true", NULL },
};
static const struct claim_dangers dangers = { danger_rows, COUNT(danger_rows) };

static bool put_repository(const json_t *token_claims, json_t *ci)
{
    struct str id = profile_text(token_claims, "rpo_id");

    return profile_put(ci, profile_is_uuid(id) ? "repository_id" : "repository", id);
}

static bool put_pull_request(const json_t *token_claims, json_t *ci)
{
    struct str ref = profile_text(token_claims, "rpo_ref");

    if (str_starts_with(ref, STR("refs/pull/")))
        return json_put(ci, "pull_request", json_true());
    if (!str_starts_with(ref, STR("refs/heads/")) && !str_starts_with(ref, STR("refs/tags/")))
        return true;
    return json_put(ci, "pull_request", json_false()) && json_put(ci, "fork", json_false());
}

/* Conditions that say less than they seem to. */
static const struct claim_lint lint_rows[] = {
    { .rule = "azure-devops-sub",
      .claims = CLAIM_NAMES("sub"),
      .message = "is put together of names that can be given to others",
      .hint = "name what you mean: prj_id, def_id, rpo_ref" },
    { .rule = "azure-devops-definition-without-project",
      .claims = CLAIM_NAMES("def_id"),
      .unless = CLAIM_NAMES("prj_id"),
      .message = "is unique in its project only",
      .hint = "add 'prj_id'" },
};
static const struct claim_lints lints = { lint_rows, COUNT(lint_rows) };

static bool fill_ci(const json_t *token_claims, json_t *ci)
{
    return profile_fill(&rules, token_claims, ci) && put_repository(token_claims, ci) &&
           profile_put_ref(ci, profile_text(token_claims, "rpo_ref")) &&
           put_pull_request(token_claims, ci);
}

const struct profile profile_azure_devops = {
    .name = "azure-devops",
    .algorithms = JOSE_RS256,
    .audience_is_fixed = true,
    .replay = PROFILE_REPLAY_JTI,
    .uses = PROFILE_USES_FRESH,
    .max_age_s = 300,
    .max_lifetime_s = 600, /* about 300 s */
    .claims = { claims, COUNT(claims) },
    .lints = &lints,
    .dangers = &dangers,
    .fill_ci = fill_ci,
    .copies = &copies,
};
