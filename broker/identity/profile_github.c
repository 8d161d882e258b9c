#include "base/json.h"
#include "identity/profile_internal.h"
#include "keys/verifier.h"

/*
 * GitHub Actions: github.com, GHE.com and Enterprise Server sign the same claims. Those that older
 * servers or some events do not have are optional; the others are in every token.
 */
static const struct claim claims[] = {
    /* name                    type           flags */
    { "iss", CLAIM_STRING, 0 },
    { "sub", CLAIM_STRING, CLAIM_CAN_BE_RENAMED | CLAIM_SET_BY_USER }, /* its form is a setting */
    { "aud", CLAIM_STRINGS, CLAIM_SET_BY_USER },
    { "exp", CLAIM_INTEGER, 0 },
    { "iat", CLAIM_INTEGER, 0 },
    { "nbf", CLAIM_INTEGER, CLAIM_OPTIONAL },
    { "jti", CLAIM_STRING, 0 },

    { "repository", CLAIM_STRING, CLAIM_CAN_BE_RENAMED },
    { "repository_id", CLAIM_STRING, CLAIM_ID },
    { "repository_owner", CLAIM_STRING, CLAIM_CAN_BE_RENAMED },
    { "repository_owner_id", CLAIM_STRING, CLAIM_ID | CLAIM_OWNER_ID },
    { "repository_visibility", CLAIM_STRING, CLAIM_OPTIONAL },
    { "enterprise", CLAIM_STRING, CLAIM_OPTIONAL | CLAIM_CAN_BE_RENAMED },
    { "enterprise_id", CLAIM_STRING, CLAIM_OPTIONAL | CLAIM_ID | CLAIM_OWNER_ID },

    { "actor", CLAIM_STRING, CLAIM_CAN_BE_RENAMED | CLAIM_PERSONAL },
    { "actor_id", CLAIM_STRING, CLAIM_PERSONAL },
    { "event_name", CLAIM_STRING, 0 },
    { "ref", CLAIM_STRING, 0 },
    { "ref_type", CLAIM_STRING, CLAIM_OPTIONAL },
    { "ref_protected", CLAIM_STRING, CLAIM_OPTIONAL },
    { "sha", CLAIM_STRING, 0 },
    { "head_ref", CLAIM_STRING, CLAIM_OPTIONAL | CLAIM_SET_BY_USER },
    { "base_ref", CLAIM_STRING, CLAIM_OPTIONAL | CLAIM_SET_BY_USER },

    { "workflow", CLAIM_STRING, CLAIM_SET_BY_USER },
    { "workflow_ref", CLAIM_STRING, CLAIM_OPTIONAL | CLAIM_CAN_BE_RENAMED },
    { "workflow_sha", CLAIM_STRING, CLAIM_OPTIONAL },
    { "job_workflow_ref", CLAIM_STRING, CLAIM_OPTIONAL | CLAIM_CAN_BE_RENAMED },
    { "job_workflow_sha", CLAIM_STRING, CLAIM_OPTIONAL },
    { "environment", CLAIM_STRING, CLAIM_OPTIONAL | CLAIM_CAN_BE_RENAMED },
    { "environment_node_id", CLAIM_STRING, CLAIM_OPTIONAL },

    { "run_id", CLAIM_STRING, 0 },
    { "run_number", CLAIM_STRING, CLAIM_OPTIONAL },
    { "run_attempt", CLAIM_STRING, 0 },
    { "check_run_id", CLAIM_STRING, CLAIM_OPTIONAL },
    { "runner_environment", CLAIM_STRING, CLAIM_OPTIONAL },
    { "issuer_scope", CLAIM_STRING, CLAIM_OPTIONAL },
    { "repo_property_", CLAIM_STRING, CLAIM_OPTIONAL | CLAIM_PREFIX },
};

static const struct claim_copy copy_rows[] = {
    { "run", "run_id", CLAIM_FORM_UNKNOWN },
    { "attempt", "run_attempt", CLAIM_FORM_UNKNOWN },
    { "job", "check_run_id", CLAIM_FORM_UNKNOWN },
    { "repository", "repository", CLAIM_FORM_UNKNOWN },
    { "repository_id", "repository_id", CLAIM_FORM_UNKNOWN },
    { "owner", "repository_owner", CLAIM_FORM_UNKNOWN },
    { "owner_id", "repository_owner_id", CLAIM_FORM_UNKNOWN },
    { "ref", "ref", CLAIM_FORM_UNKNOWN },
    { "ref_type", "ref_type", CLAIM_FORM_UNKNOWN },
    { "commit", "sha", CLAIM_FORM_UNKNOWN },
    { "workflow", "workflow", CLAIM_FORM_UNKNOWN },
    { "workflow_commit", "job_workflow_sha", CLAIM_FORM_UNKNOWN },
    { "environment", "environment", CLAIM_FORM_NONE }, /* there exactly if the job names one */
    { "actor", "actor", CLAIM_FORM_UNKNOWN },
    { "actor_id", "actor_id", CLAIM_FORM_UNKNOWN },
    { "event", "event_name", CLAIM_FORM_UNKNOWN },
};
static const struct claim_copies copies = { copy_rows, COUNT(copy_rows) };

/* Of an event that is not listed (workflow_run, issue_comment, ...) nothing is known. */
static const struct claim_word event_rows[] = {
    /* claim       event                          fact            value */
    { "event_name", "push", "pull_request", "false" },
    { "event_name", "push", "fork", "false" },
    { "event_name", "schedule", "pull_request", "false" },
    { "event_name", "schedule", "fork", "false" },
    { "event_name", "workflow_dispatch", "pull_request", "false" },
    { "event_name", "workflow_dispatch", "fork", "false" },
    { "event_name", "repository_dispatch", "pull_request", "false" },
    { "event_name", "repository_dispatch", "fork", "false" },
    { "event_name", "create", "pull_request", "false" },
    { "event_name", "create", "fork", "false" },
    { "event_name", "release", "pull_request", "false" },
    { "event_name", "release", "fork", "false" },
    { "event_name", "deployment", "pull_request", "false" },
    { "event_name", "deployment", "fork", "false" },
    { "event_name", "merge_group", "pull_request", "false" }, /* of a fork's change maybe */
    { "event_name", "pull_request", "pull_request", "true" },
    { "event_name", "pull_request_target", "pull_request", "true" },
    { "event_name", "pull_request_review", "pull_request", "true" },
    { "event_name", "pull_request_review_comment", "pull_request", "true" },
};
const struct claim_words profile_github_events = { event_rows, COUNT(event_rows) };

static const struct claim_word word_rows[] = {
    { "runner_environment", "github-hosted", "runner", "hosted" },
    { "runner_environment", "self-hosted", "runner", "self-hosted" },
    { "ref_protected", "true", "ref_protected", "true" },
    { "ref_protected", "false", "ref_protected", "false" },
};
static const struct claim_words words = { word_rows, COUNT(word_rows) };

#define EVENT(name)                                                                                \
    {                                                                                              \
        "event_name", (name), "ci.event", (name), NULL                                             \
    }

/* They run with the repository's trust, and anybody can start them or write what they read. */
static const struct claim_danger dangers[] = {
    EVENT("pull_request_target"),
    EVENT("issue_comment"),
    EVENT("workflow_run"),
    EVENT("issues"),
    EVENT("discussion"),
    EVENT("discussion_comment"),
    EVENT("fork"),
    EVENT("watch"),  /* a star */
    EVENT("gollum"), /* the wiki, which many let anybody edit */
};
const struct claim_dangers profile_github_dangers = { dangers, COUNT(dangers) };

bool profile_put_github_refs(const json_t *token_claims, json_t *ci)
{
    if (!str_starts_with(profile_text(token_claims, "ref"), STR("refs/pull/")) &&
        profile_text(token_claims, "head_ref").len == 0)
        return true;
    return json_put(ci, "pull_request", json_true()) && json_put(ci, "fork", json_null());
}

/* Where "OWNER/REPOSITORY/" ends; 0 where it does not. */
static size_t repository_len(struct str text)
{
    size_t owner_len = str_find(text, '/');
    size_t name_len = str_find(str_slice(text, owner_len + 1, text.len), '/');
    size_t len = owner_len + 1 + name_len;

    return owner_len > 0 && name_len > 0 && len < text.len ? len : 0;
}

bool profile_put_github_workflow(const json_t *token_claims, const char *claim, json_t *ci)
{
    struct str text = profile_text(token_claims, claim);
    size_t len = repository_len(text);

    return profile_put_workflow(ci, str_slice(text, 0, len), str_slice(text, len + 1, text.len));
}

static const struct profile_rules rules = { &copies, &words };

/* Conditions that say less than they seem to. */
static const struct claim_lint lint_rows[] = {
    { .rule = "github-sub",
      .claims = CLAIM_NAMES("sub"),
      .message = "is put together as a setting of the repository says, and of names that can be "
                 "given to others",
      .hint = "name what you mean: repository_id, ref, environment, event_name" },
    { .rule = "github-environment-without-ref",
      .claims = CLAIM_NAMES("environment", "ci.environment"),
      .unless = CLAIM_NAMES("ref", "ci.ref", "ref_protected", "ci.ref_protected"),
      .message = "says nothing of the ref: any branch that the environment's rules let in fits",
      .hint = "add 'ref: refs/heads/main'" },
    { .rule = "github-movable-tag",
      .claims = CLAIM_NAMES("ref", "ci.ref"),
      .has = "refs/tags/",
      .unless = CLAIM_NAMES("sha", "ci.commit", "ref_protected", "ci.ref_protected"),
      .message = "fits a tag, and whoever may push can move one",
      .hint = "add 'ref_protected: \"true\"' and protect these tags with a ruleset" },
    { .rule = "github-workflow-by-ref",
      .claims = CLAIM_NAMES("job_workflow_ref", "workflow_ref"),
      .has = "@refs/",
      .unless = CLAIM_NAMES("job_workflow_sha", "workflow_sha", "ci.workflow_commit"),
      .message = "fits whatever the workflow's file says today: a branch and a tag can be moved",
      .hint = "add 'job_workflow_sha' with the commits that were read" },
    { .rule = "github-workflow-by-ref",
      .claims = CLAIM_NAMES("job_workflow_ref", "workflow_ref"),
      .has = "@*",
      .unless = CLAIM_NAMES("job_workflow_sha", "workflow_sha", "ci.workflow_commit"),
      .message = "fits the workflow's file of any branch and tag",
      .hint = "add 'job_workflow_sha' with the commits that were read" },
    { .rule = "github-workflow-by-ref",
      .claims = CLAIM_NAMES("ci.workflow_ref", "ci.workflow_path"),
      .unless = CLAIM_NAMES("job_workflow_sha", "workflow_sha", "ci.workflow_commit"),
      .message = "fits whatever the workflow's file says today: a branch and a tag can be moved",
      .hint = "add 'ci.workflow_commit' with the commits that were read" },
    { .rule = "github-workflow-name",
      .claims = CLAIM_NAMES("workflow", "ci.workflow"),
      .unless = CLAIM_NAMES("job_workflow_ref", "job_workflow_sha", "workflow_ref", "workflow_sha",
                            "ci.workflow_commit", "ci.workflow_path"),
      .message = "is a title that any workflow file can give itself",
      .hint = "add 'job_workflow_sha', or 'job_workflow_ref'" },
    { .rule = "github-name-without-id",
      .claims = CLAIM_NAMES("repository", "ci.repository"),
      .unless = CLAIM_NAMES("repository_id", "ci.repository_id"),
      .message = "is a name that can be given to another repository",
      .hint = "add 'repository_id'" },
    { .rule = "github-owner-without-id",
      .claims = CLAIM_NAMES("repository_owner", "enterprise", "ci.owner"),
      .unless = CLAIM_NAMES("repository_id", "ci.repository_id", "repository_owner_id",
                            "ci.owner_id", "enterprise_id"),
      .message = "is a name that can be given to somebody else",
      .hint = "add 'repository_owner_id'" },
    { .rule = "github-actor-without-id",
      .claims = CLAIM_NAMES("actor", "ci.actor"),
      .unless = CLAIM_NAMES("actor_id", "ci.actor_id"),
      .message = "is a login that can be given to somebody else",
      .hint = "write 'actor_id'" },
    { .rule = "github-branch-of-pull-request",
      .claims = CLAIM_NAMES("head_ref", "base_ref"),
      .message = "is a name that whoever opens the pull request chooses: a fork has a 'main', too",
      .hint = "use 'ref', or the event" },
    { .rule = "github-pull-request-target",
      .claims = CLAIM_NAMES("event_name", "ci.event"),
      .has = "pull_request_target",
      .message = "lets in pull_request_target: a stranger's pull request starts it with the "
                 "repository's own trust",
      .hint = "use 'pull_request', or give such a stage nothing that it can lose" },
};
static const struct claim_lints lints = { lint_rows, COUNT(lint_rows) };

/* The workflow that was called is the one that runs: `workflow_ref` is only where it began. */
static bool fill_ci(const json_t *token_claims, json_t *ci)
{
    return profile_fill(&rules, token_claims, ci) &&
           profile_put_words(&profile_github_events, token_claims, ci) &&
           profile_put_github_refs(token_claims, ci) &&
           profile_put_github_workflow(token_claims, "job_workflow_ref", ci);
}

const struct profile profile_github = {
    .name = "github",
    .default_url = "https://token.actions.githubusercontent.com",
    .is_shared = true,
    .algorithms = JOSE_RS256,
    .replay = PROFILE_REPLAY_JTI,
    .uses = PROFILE_USES_FRESH,
    .max_age_s = 300,
    .max_lifetime_s = 600, /* tokens live 300 s */
    .claims = { claims, COUNT(claims) },
    .lints = &lints,
    .dangers = &profile_github_dangers,
    .fill_ci = fill_ci,
    .copies = &copies,
    .words = &words,
};
