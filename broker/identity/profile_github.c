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
};

static const struct profile_copy copies[] = {
    { "run", "run_id" },
    { "attempt", "run_attempt" },
    { "job", "check_run_id" },
    { "repository", "repository" },
    { "repository_id", "repository_id" },
    { "owner", "repository_owner" },
    { "owner_id", "repository_owner_id" },
    { "ref", "ref" },
    { "ref_type", "ref_type" },
    { "commit", "sha" },
    { "workflow", "workflow" },
    { "workflow_commit", "job_workflow_sha" },
    { "actor", "actor" },
    { "actor_id", "actor_id" },
    { "event", "event_name" },
};

/* What an event says of the code that runs. -1: it cannot say. */
struct event {
    const char *name;
    int is_pull_request;
    int is_fork;
};

static const struct event events[] = {
    /* name                       pull request  fork */
    { "push", 0, 0 },
    { "schedule", 0, 0 },
    { "workflow_dispatch", 0, 0 },
    { "repository_dispatch", 0, 0 },
    { "create", 0, 0 },
    { "release", 0, 0 },
    { "deployment", 0, 0 },
    { "merge_group", 0, -1 },
    { "pull_request", 1, -1 },
    { "pull_request_target", 1, -1 },
    { "pull_request_review", 1, -1 },
    { "pull_request_review_comment", 1, -1 },
};

/* Of an event that is not listed (workflow_run, issue_comment, ...) nothing is known. */
static const struct event other_event = { "", -1, -1 };

static const struct event *event_find(const json_t *token_claims)
{
    struct str name;

    if (json_get_str(token_claims, "event_name", &name))
        for (size_t i = 0; i < COUNT(events); i++)
            if (str_eq(str_from(events[i].name), name))
                return &events[i];
    return &other_event;
}

static json_t *truth(int value)
{
    return value < 0 ? json_null() : json_boolean(value);
}

static bool fill_event(const json_t *token_claims, json_t *ci)
{
    const struct event *event = event_find(token_claims);
    int is_pull_request = event->is_pull_request;
    int is_fork = event->is_fork;
    struct str text;

    if ((json_get_str(token_claims, "ref", &text) && str_starts_with(text, STR("refs/pull/"))) ||
        (json_get_str(token_claims, "head_ref", &text) && text.len > 0)) {
        is_pull_request = 1;
        is_fork = -1;
    }
    return json_put(ci, "pull_request", truth(is_pull_request)) &&
           json_put(ci, "fork", truth(is_fork));
}

/* Where "OWNER/REPOSITORY/" ends; 0 where it does not. */
static size_t repository_len(struct str text)
{
    size_t owner_len = str_find(text, '/');
    size_t name_len = str_find(str_slice(text, owner_len + 1, text.len), '/');
    size_t len = owner_len + 1 + name_len;

    return owner_len > 0 && name_len > 0 && len < text.len ? len : 0;
}

/*
 * Where the '@' behind the path is: the first that follows the ending of a workflow's file. File
 * names and refs may hold others.
 */
static size_t path_len(struct str text)
{
    for (size_t at = str_find(text, '@'); at < text.len;
         at += 1 + str_find(str_slice(text, at + 1, text.len), '@')) {
        struct str path = str_slice(text, 0, at);

        if (str_ends_with(path, STR(".yml")) || str_ends_with(path, STR(".yaml")))
            return at;
    }
    return 0;
}

/* job_workflow_ref: OWNER/REPOSITORY/PATH@REF. Whole, or nothing of it. */
static bool fill_workflow(const json_t *token_claims, json_t *ci)
{
    struct str text = { 0 };
    struct str path = { 0 };
    size_t repository = 0;
    size_t path_end = 0;

    if (json_get_str(token_claims, "job_workflow_ref", &text)) {
        repository = repository_len(text);
        path = str_slice(text, repository + 1, text.len);
        path_end = path_len(path);
    }
    if (repository == 0 || path_end == 0 || path_end + 1 == path.len)
        return json_put(ci, "workflow_repository", json_null()) &&
               json_put(ci, "workflow_path", json_null()) &&
               json_put(ci, "workflow_ref", json_null());
    return json_put(ci, "workflow_repository", json_from_str(str_slice(text, 0, repository))) &&
           json_put(ci, "workflow_path", json_from_str(str_slice(path, 0, path_end))) &&
           json_put(ci, "workflow_ref", json_from_str(str_slice(path, path_end + 1, path.len)));
}

/* "true" and "false" are strings here; anything else says nothing. */
static bool fill_protection(const json_t *token_claims, json_t *ci)
{
    struct str text = { 0 };
    int is_protected = -1;

    if (json_get_str(token_claims, "ref_protected", &text)) {
        if (str_eq(text, STR("true")))
            is_protected = 1;
        else if (str_eq(text, STR("false")))
            is_protected = 0;
    }
    return json_put(ci, "ref_protected", truth(is_protected)) &&
           json_put(ci, "environment_protected", json_null());
}

static bool fill_runner(const json_t *token_claims, json_t *ci)
{
    struct str text = json_str(json_object_get(token_claims, "runner_environment"));
    json_t *runner = NULL;

    if (str_eq(text, STR("github-hosted")))
        runner = json_string("hosted");
    else if (str_eq(text, STR("self-hosted")))
        runner = json_string("self-hosted");
    else
        runner = json_null();
    return json_put(ci, "runner", runner) && json_put(ci, "debug", json_null());
}

/* The claim is there exactly if the job names an environment. */
static bool fill_environment(const json_t *token_claims, json_t *ci)
{
    struct str text;

    if (!json_get_str(token_claims, "environment", &text) || text.len == 0)
        return true;
    return json_put(ci, "environment", json_from_str(text));
}

static bool fill_ci(const json_t *token_claims, json_t *ci)
{
    return profile_copy_texts(token_claims, copies, COUNT(copies), ci) &&
           fill_protection(token_claims, ci) && fill_workflow(token_claims, ci) &&
           fill_environment(token_claims, ci) && fill_event(token_claims, ci) &&
           fill_runner(token_claims, ci);
}

const struct profile profile_github = {
    .name = "github",
    .default_url = "https://token.actions.githubusercontent.com",
    .is_shared = true,
    .algorithms = JOSE_RS256,
    .replay = PROFILE_REPLAY_JTI,
    .uses = 1,
    .max_age_s = 300,
    .max_lifetime_s = 600, /* tokens live 300 s */
    .claims = { claims, COUNT(claims) },
    .fill_ci = fill_ci,
};
