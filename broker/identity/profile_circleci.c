#include "base/json.h"
#include "identity/profile_internal.h"
#include "keys/verifier.h"

/*
 * CircleCI. Under the root issuer nothing but the organisation's id tells customers apart; `only`
 * names it under an organisation's own issuer too. The `vcs-` claims are not there where a custom
 * webhook started the pipeline.
 */
static const struct claim claims[] = {
    /* name  type  flags */
    PROFILE_REGISTERED,
    { "sub", CLAIM_STRING, CLAIM_PERSONAL },
    { "oidc.circleci.com/org-id", CLAIM_STRING, CLAIM_ID | CLAIM_OWNER_ID },
    { "oidc.circleci.com/project-id", CLAIM_STRING, CLAIM_ID },
    { "oidc.circleci.com/pipeline-definition-id", CLAIM_STRING, CLAIM_OPTIONAL },
    { "oidc.circleci.com/pipeline-id", CLAIM_STRING, CLAIM_OPTIONAL },
    { "oidc.circleci.com/workflow-id", CLAIM_STRING, CLAIM_OPTIONAL },
    { "oidc.circleci.com/job-id", CLAIM_STRING, CLAIM_OPTIONAL },
    { "oidc.circleci.com/context-ids", CLAIM_STRINGS, CLAIM_OPTIONAL },
    { "oidc.circleci.com/ssh-rerun", CLAIM_BOOLEAN, 0 },
    { "oidc.circleci.com/vcs-origin", CLAIM_STRING, CLAIM_CAN_BE_RENAMED | CLAIM_OPTIONAL },
    { "oidc.circleci.com/vcs-ref", CLAIM_STRING, CLAIM_OPTIONAL },
};

static const struct claim_copy copy_rows[] = {
    { "run", "oidc.circleci.com/pipeline-id", CLAIM_FORM_UNKNOWN },
    { "job", "oidc.circleci.com/job-id", CLAIM_FORM_UNKNOWN },
    { "repository", "oidc.circleci.com/vcs-origin", CLAIM_FORM_UNKNOWN },
    { "owner_id", "oidc.circleci.com/org-id", CLAIM_FORM_UNKNOWN },
};
static const struct claim_copies copies = { copy_rows, COUNT(copy_rows) };

static const struct claim_word word_rows[] = {
    { "oidc.circleci.com/ssh-rerun", "true", "debug", "true" },
    { "oidc.circleci.com/ssh-rerun", "false", "debug", "false" },
};
static const struct claim_words words = { word_rows, COUNT(word_rows) };

static const struct profile_rules rules = { &copies, &words };

/* Somebody has a shell in the job. */
static const struct claim_danger danger_rows[] = {
    /* claim  value  fact  its value  harmless where false */
    { "oidc.circleci.com/ssh-rerun", "true", "ci.debug", "true", NULL },
};
static const struct claim_dangers dangers = { danger_rows, COUNT(danger_rows) };

/* Conditions that say less than they seem to. */
static const struct claim_lint lint_rows[] = {
    { .rule = "circleci-ref-without-origin",
      .claims = CLAIM_NAMES("oidc.circleci.com/vcs-ref", "ci.ref", "ci.ref_type"),
      .unless = CLAIM_NAMES("oidc.circleci.com/vcs-origin", "ci.repository"),
      .message = "may be a ref of a fork: its repository is not asked for",
      .hint = "add 'oidc.circleci.com/vcs-origin'" },
    { .rule = "circleci-sub",
      .claims = CLAIM_NAMES("sub"),
      .message = "names a person, too, and has two forms",
      .hint = "name what you mean: oidc.circleci.com/project-id, oidc.circleci.com/vcs-ref" },
};
static const struct claim_lints lints = { lint_rows, COUNT(lint_rows) };

static bool fill_ci(const json_t *token_claims, json_t *ci)
{
    return profile_fill(&rules, token_claims, ci) &&
           profile_put_ref(ci, profile_text(token_claims, "oidc.circleci.com/vcs-ref"));
}

const struct profile profile_circleci = {
    .name = "circleci",
    .default_url = "https://oidc.circleci.com",
    .is_shared = true,
    .algorithms = JOSE_RS256,
    .replay = PROFILE_REPLAY_DIGEST,
    .uses = PROFILE_USES_VARIABLE,
    .max_age_s = 3600,
    .max_lifetime_s = 3600,
    .claims = { claims, COUNT(claims) },
    .lints = &lints,
    .dangers = &dangers,
    .fill_ci = fill_ci,
    .copies = &copies,
    .words = &words,
};
