#include "base/json.h"
#include "identity/profile_internal.h"
#include "keys/verifier.h"

/*
 * GitLab CI, id_tokens. `project_*` and `namespace_*` are of the project whose code runs: in merge
 * request pipelines the source, maybe a fork. `job_project_*` (since 18.4) is where the job runs.
 * Truths are the strings "true" and "false".
 */
static const struct claim claims[] = {
    /* name  type  flags */
    PROFILE_REGISTERED,
    { "sub", CLAIM_STRING, CLAIM_CAN_BE_RENAMED | CLAIM_SET_BY_USER }, /* its form is a setting */
    { "jti", CLAIM_STRING, 0 },

    { "project_id", CLAIM_STRING, CLAIM_ID },
    { "project_path", CLAIM_STRING, CLAIM_CAN_BE_RENAMED },
    { "namespace_id", CLAIM_STRING, CLAIM_ID | CLAIM_OWNER_ID },
    { "namespace_path", CLAIM_STRING, CLAIM_CAN_BE_RENAMED },
    { "job_project_id", CLAIM_STRING, CLAIM_ID | CLAIM_OPTIONAL },
    { "job_project_path", CLAIM_STRING, CLAIM_CAN_BE_RENAMED | CLAIM_OPTIONAL },
    { "job_namespace_id", CLAIM_STRING, CLAIM_ID | CLAIM_OWNER_ID | CLAIM_OPTIONAL },
    { "job_namespace_path", CLAIM_STRING, CLAIM_CAN_BE_RENAMED | CLAIM_OPTIONAL },
    { "project_visibility", CLAIM_STRING, CLAIM_OPTIONAL },

    { "user_id", CLAIM_STRING, CLAIM_OPTIONAL | CLAIM_PERSONAL },
    { "user_login", CLAIM_STRING, CLAIM_CAN_BE_RENAMED | CLAIM_OPTIONAL | CLAIM_PERSONAL },
    { "user_email", CLAIM_STRING,
      CLAIM_CAN_BE_RENAMED | CLAIM_SET_BY_USER | CLAIM_OPTIONAL | CLAIM_PERSONAL },
    { "user_access_level", CLAIM_STRING, CLAIM_OPTIONAL },
    { "user_identities", CLAIM_OBJECTS, CLAIM_OPTIONAL | CLAIM_PERSONAL },
    { "groups_direct", CLAIM_STRINGS, CLAIM_CAN_BE_RENAMED | CLAIM_OPTIONAL | CLAIM_PERSONAL },

    { "pipeline_id", CLAIM_STRING, 0 },
    { "pipeline_source", CLAIM_STRING, 0 },
    { "job_id", CLAIM_STRING, 0 },
    { "job_source", CLAIM_STRING, CLAIM_OPTIONAL },
    { "job_config", CLAIM_OBJECT, CLAIM_OPTIONAL },
    { "ref", CLAIM_STRING, 0 }, /* a short name; of a merge request the source branch */
    { "ref_type", CLAIM_STRING, 0 },
    { "ref_path", CLAIM_STRING, CLAIM_OPTIONAL },
    { "ref_protected", CLAIM_STRING, CLAIM_OPTIONAL },
    { "sha", CLAIM_STRING, CLAIM_OPTIONAL },
    { "environment", CLAIM_STRING, CLAIM_CAN_BE_RENAMED | CLAIM_SET_BY_USER | CLAIM_OPTIONAL },
    { "environment_protected", CLAIM_STRING, CLAIM_OPTIONAL },
    { "deployment_tier", CLAIM_STRING, CLAIM_SET_BY_USER | CLAIM_OPTIONAL },
    { "environment_action", CLAIM_STRING, CLAIM_SET_BY_USER | CLAIM_OPTIONAL },
    { "runner_id", CLAIM_INTEGER, CLAIM_OPTIONAL },
    { "runner_environment", CLAIM_STRING, CLAIM_OPTIONAL },
    { "ci_config_ref_uri", CLAIM_STRING, CLAIM_CAN_BE_RENAMED | CLAIM_OPTIONAL },
    { "ci_config_sha", CLAIM_STRING, CLAIM_OPTIONAL },
    { "target_audience", CLAIM_STRING, CLAIM_SET_BY_USER | CLAIM_OPTIONAL },
};

static const struct claim_copy copy_rows[] = {
    { "run", "pipeline_id", CLAIM_FORM_UNKNOWN },
    { "job", "job_id", CLAIM_FORM_UNKNOWN },
    { "repository", "project_path", CLAIM_FORM_UNKNOWN },
    { "repository_id", "project_id", CLAIM_FORM_UNKNOWN },
    { "owner", "namespace_path", CLAIM_FORM_UNKNOWN },
    { "owner_id", "namespace_id", CLAIM_FORM_UNKNOWN },
    { "commit", "sha", CLAIM_FORM_UNKNOWN },
    { "workflow_commit", "ci_config_sha", CLAIM_FORM_UNKNOWN },
    { "environment", "environment", CLAIM_FORM_NONE },
    { "actor", "user_login", CLAIM_FORM_UNKNOWN },
    { "actor_id", "user_id", CLAIM_FORM_UNKNOWN },
    { "event", "pipeline_source", CLAIM_FORM_UNKNOWN },
};
static const struct claim_copies copies = { copy_rows, COUNT(copy_rows) };

static const struct claim_word word_rows[] = {
    { "environment_protected", "true", "environment_protected", "true" },
    { "environment_protected", "false", "environment_protected", "false" },
    { "runner_environment", "gitlab-hosted", "runner", "hosted" },
    { "runner_environment", "self-hosted", "runner", "self-hosted" },
    { "pipeline_source", "push", "pull_request", "false" },
    { "pipeline_source", "web", "pull_request", "false" },
    { "pipeline_source", "schedule", "pull_request", "false" },
    { "pipeline_source", "api", "pull_request", "false" },
    { "pipeline_source", "trigger", "pull_request", "false" },
    { "pipeline_source", "merge_request_event", "pull_request", "true" },
    { "pipeline_source", "external_pull_request_event", "pull_request", "true" },
};
static const struct claim_words words = { word_rows, COUNT(word_rows) };

/* What the projects have the last word on. */
static const struct claim_word doubtful_rows[] = {
    { "ref_protected", "true", "ref_protected", "true" },
    { "ref_protected", "false", "ref_protected", "false" },
    { "pipeline_source", "push", "fork", "false" },
    { "pipeline_source", "web", "fork", "false" },
    { "pipeline_source", "schedule", "fork", "false" },
    { "pipeline_source", "api", "fork", "false" },
    { "pipeline_source", "trigger", "fork", "false" },
};
static const struct claim_words doubtful_words = { doubtful_rows, COUNT(doubtful_rows) };

static const struct profile_rules rules = { &copies, &words };

/*
 * A fork's merge request is named twice: by its source, as any of which nobody knows that it is not
 * a fork's, and by ci.fork, so that a stage for merge requests does not let forks in unseen.
 */
static const struct claim_danger danger_rows[] = {
    /* claim  value  fact  its value  harmless where false */
    { "pipeline_source", "merge_request_event", "ci.event", "merge_request_event", "ci.fork" },
    { "pipeline_source", "external_pull_request_event", "ci.event", "external_pull_request_event",
      NULL },
    { NULL, "", "ci.fork", "true", NULL },
};
static const struct claim_dangers dangers = { danger_rows, COUNT(danger_rows) };

/* Two projects in one token are a fork's merge request, whatever started the pipeline. */
static bool put_fork(const json_t *token_claims, json_t *ci)
{
    struct str source = profile_text(token_claims, "project_id");
    struct str target = profile_text(token_claims, "job_project_id");

    if (source.len == 0 || target.len == 0)
        return true;
    return json_put(ci, "fork", json_boolean(!str_eq(source, target)));
}

static bool put_ref_of_type(const json_t *token_claims, json_t *ci)
{
    struct str path = profile_text(token_claims, "ref_path");
    struct str type = profile_text(token_claims, "ref_type");
    struct str name = profile_text(token_claims, "ref");

    if (path.len > 0)
        return profile_put_ref(ci, path);
    if (str_eq(type, STR("branch")))
        return profile_put(ci, "ref_type", type) &&
               profile_put_joined(ci, "ref", "refs/heads/", name);
    if (str_eq(type, STR("tag")))
        return profile_put(ci, "ref_type", type) &&
               profile_put_joined(ci, "ref", "refs/tags/", name);
    return true;
}

/* A branch that may be a stranger's says nothing, whatever its name and protection over there. */
static bool put_ref(const json_t *token_claims, json_t *ci)
{
    if (json_is_false(json_object_get(ci, "fork")))
        return put_ref_of_type(token_claims, ci);
    return json_put(ci, "ref_protected", json_null());
}

/* HOST/GROUP/PROJECT//PATH@REF */
static bool put_workflow(const json_t *token_claims, json_t *ci)
{
    struct str text = profile_text(token_claims, "ci_config_ref_uri");
    struct str host;
    struct str rest;

    (void)str_cut(text, '/', &host, &rest);
    for (size_t i = 0; i + 1 < rest.len; i++)
        if (rest.data[i] == '/' && rest.data[i + 1] == '/')
            return profile_put_workflow(ci, str_slice(rest, 0, i),
                                        str_slice(rest, i + 2, rest.len));
    return true;
}

/* Conditions that say less than they seem to. */
static const struct claim_lint lint_rows[] = {
    { .rule = "gitlab-sub",
      .claims = CLAIM_NAMES("sub"),
      .message = "is put together as a setting of the project says, and of names that can be given "
                 "to others",
      .hint = "name what you mean: project_id, ref_path, ref_protected" },
    { .rule = "gitlab-ref-without-type",
      .claims = CLAIM_NAMES("ref"),
      .unless = CLAIM_NAMES("ref_type", "ref_path", "ci.ref", "ci.ref_type"),
      .message = "is a short name: a branch and a tag can have the same",
      .hint = "add 'ref_type: branch', or write 'ref_path: refs/heads/...'" },
    { .rule = "gitlab-ref-not-protected",
      .claims = CLAIM_NAMES("ref", "ref_path", "ci.ref"),
      .unless = CLAIM_NAMES("ref_protected", "ci.ref_protected", "environment_protected",
                            "ci.environment_protected"),
      .is_of_production = true,
      .message = "says where the job runs, not that only few may push there",
      .hint = "add 'ref_protected: \"true\"'" },
    { .rule = "gitlab-environment-not-protected",
      .claims = CLAIM_NAMES("environment", "deployment_tier", "ci.environment"),
      .unless = CLAIM_NAMES("environment_protected", "ci.environment_protected", "ref_protected",
                            "ci.ref_protected"),
      .message = "is what the job writes, whatever it likes",
      .hint = "add 'environment_protected: \"true\"', or 'ref_protected: \"true\"'" },
    { .rule = "gitlab-config-by-ref",
      .claims = CLAIM_NAMES("ci_config_ref_uri", "ci.workflow_ref", "ci.workflow_path"),
      .unless =
          CLAIM_NAMES("ci_config_sha", "ci.workflow_commit", "ref_protected", "ci.ref_protected"),
      .message = "fits whatever the pipeline's file says there today",
      .hint = "add 'ci_config_sha', or 'ref_protected: \"true\"'" },
    { .rule = "gitlab-path-without-id",
      .claims = CLAIM_NAMES("project_path", "job_project_path", "ci.repository"),
      .unless = CLAIM_NAMES("project_id", "job_project_id", "ci.repository_id"),
      .message = "is a name that can be given to another project",
      .hint = "add 'project_id'" },
    { .rule = "gitlab-namespace-without-id",
      .claims = CLAIM_NAMES("namespace_path", "job_namespace_path", "ci.owner"),
      .unless = CLAIM_NAMES("project_id", "job_project_id", "ci.repository_id", "namespace_id",
                            "job_namespace_id", "ci.owner_id"),
      .message = "is a name that can be given to somebody else",
      .hint = "add 'namespace_id'" },
    { .rule = "gitlab-user-without-id",
      .claims = CLAIM_NAMES("user_login", "ci.actor"),
      .unless = CLAIM_NAMES("user_id", "ci.actor_id"),
      .message = "is a name that can be given to somebody else",
      .hint = "write 'user_id'" },
    { .rule = "gitlab-user-email",
      .claims = CLAIM_NAMES("user_email"),
      .unless = CLAIM_NAMES("user_id", "ci.actor_id"),
      .message = "is what its user writes",
      .hint = "write 'user_id'" },
};
static const struct claim_lints lints = { lint_rows, COUNT(lint_rows) };

static bool fill_ci(const json_t *token_claims, json_t *ci)
{
    return profile_fill(&rules, token_claims, ci) &&
           profile_put_words(&doubtful_words, token_claims, ci) && put_fork(token_claims, ci) &&
           put_ref(token_claims, ci) && put_workflow(token_claims, ci);
}

const struct profile profile_gitlab = {
    .name = "gitlab",
    .is_shared = true,
    .shared_url = "https://gitlab.com",
    .algorithms = JOSE_RS256,
    .replay = PROFILE_REPLAY_JTI,
    .uses = PROFILE_USES_VARIABLE,
    .max_age_s = 3600,
    .max_lifetime_s = 86400, /* as long as the job may run */
    .expires_with_job = true,
    .life_without_limit_s = 300,
    .claims = { claims, COUNT(claims) },
    .lints = &lints,
    .dangers = &dangers,
    .fill_ci = fill_ci,
    .copies = &copies,
    .words = &words,
};
