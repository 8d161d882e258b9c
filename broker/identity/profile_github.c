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

static const struct profile_copy copies[] = {
    { "run", "run_id", PROFILE_UNKNOWN },
    { "attempt", "run_attempt", PROFILE_UNKNOWN },
    { "job", "check_run_id", PROFILE_UNKNOWN },
    { "repository", "repository", PROFILE_UNKNOWN },
    { "repository_id", "repository_id", PROFILE_UNKNOWN },
    { "owner", "repository_owner", PROFILE_UNKNOWN },
    { "owner_id", "repository_owner_id", PROFILE_UNKNOWN },
    { "ref", "ref", PROFILE_UNKNOWN },
    { "ref_type", "ref_type", PROFILE_UNKNOWN },
    { "commit", "sha", PROFILE_UNKNOWN },
    { "workflow", "workflow", PROFILE_UNKNOWN },
    { "workflow_commit", "job_workflow_sha", PROFILE_UNKNOWN },
    { "environment", "environment", PROFILE_NONE }, /* there exactly if the job names one */
    { "actor", "actor", PROFILE_UNKNOWN },
    { "actor_id", "actor_id", PROFILE_UNKNOWN },
    { "event", "event_name", PROFILE_UNKNOWN },
};

/* Of an event that is not listed (workflow_run, issue_comment, ...) nothing is known. */
const struct profile_word profile_github_events[] = {
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

    { "ref_protected", "true", "ref_protected", "true" },
    { "ref_protected", "false", "ref_protected", "false" },
};
const size_t profile_github_event_count = COUNT(profile_github_events);

static const struct profile_word runners[] = {
    { "runner_environment", "github-hosted", "runner", "hosted" },
    { "runner_environment", "self-hosted", "runner", "self-hosted" },
};

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

static const struct profile_rules rules = { copies, COUNT(copies), runners, COUNT(runners) };

/* The workflow that was called is the one that runs: `workflow_ref` is only where it began. */
static bool fill_ci(const json_t *token_claims, json_t *ci)
{
    return profile_fill(&rules, token_claims, ci) &&
           profile_put_words(profile_github_events, profile_github_event_count, token_claims, ci) &&
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
    .dangers = &profile_github_dangers,
    .fill_ci = fill_ci,
};
