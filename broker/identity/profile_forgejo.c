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

static const struct claim_copy copy_rows[] = {
    { "run", "run_id", CLAIM_FORM_NUMBER },
    { "attempt", "run_attempt", CLAIM_FORM_NUMBER },
    { "repository", "repository", CLAIM_FORM_UNKNOWN },
    { "owner", "repository_owner", CLAIM_FORM_UNKNOWN },
    { "ref", "ref", CLAIM_FORM_UNKNOWN },
    { "ref_type", "ref_type", CLAIM_FORM_UNKNOWN },
    { "commit", "sha", CLAIM_FORM_UNKNOWN },
    { "workflow", "workflow", CLAIM_FORM_UNKNOWN },
    { "actor", "actor", CLAIM_FORM_UNKNOWN },
    { "event", "event_name", CLAIM_FORM_UNKNOWN },
};
static const struct claim_copies copies = { copy_rows, COUNT(copy_rows) };

static const struct claim_word word_rows[] = {
    { "ref_protected", "true", "ref_protected", "true" },
    { "ref_protected", "false", "ref_protected", "false" },
};
static const struct claim_words words = { word_rows, COUNT(word_rows) };

static const struct profile_rules rules = { &copies, &words };

/* Conditions that say less than they seem to. */
static const struct claim_lint lint_rows[] = {
    { .rule = "forgejo-sub",
      .claims = CLAIM_NAMES("sub"),
      .message = "is put together of names that can be given to others",
      .hint = "name what you mean: repository, ref, event_name" },
    { .rule = "forgejo-workflow-name",
      .claims = CLAIM_NAMES("workflow", "ci.workflow"),
      .unless = CLAIM_NAMES("workflow_ref", "ci.workflow_path", "ci.workflow_ref"),
      .message = "is a title that any workflow file can give itself",
      .hint = "add 'workflow_ref'" },
    { .rule = "forgejo-branch-of-pull-request",
      .claims = CLAIM_NAMES("head_ref", "base_ref"),
      .message = "is a name that whoever opens the pull request chooses: a fork has a 'main', too",
      .hint = "use 'ref', or the event" },
    { .rule = "forgejo-pull-request-target",
      .claims = CLAIM_NAMES("event_name", "ci.event"),
      .has = "pull_request_target",
      .message = "lets in pull_request_target: a stranger's pull request starts it with the "
                 "repository's own trust",
      .hint = "use 'pull_request', or give such a stage nothing that it can lose" },
};
static const struct claim_lints lints = { lint_rows, COUNT(lint_rows) };

static bool fill_ci(const json_t *token_claims, json_t *ci)
{
    return profile_fill(&rules, token_claims, ci) &&
           profile_put_words(&profile_github_events, token_claims, ci) &&
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
    .lints = &lints,
    .dangers = &profile_github_dangers,
    .fill_ci = fill_ci,
    .copies = &copies,
    .words = &words,
};
