#include "base/json.h"
#include "identity/profile_internal.h"
#include "keys/verifier.h"

#define UUID_LEN ((size_t)36)

/*
 * Bitbucket Pipelines. UUIDs stand in braces: claims keep them, facts have the bare lower-case
 * form. Nothing tells a tag or a pull request apart.
 */
static const struct claim claims[] = {
    /* name  type  flags */
    PROFILE_REGISTERED,
    { "sub", CLAIM_STRING, 0 },
    { "workspaceUuid", CLAIM_STRING, CLAIM_ID | CLAIM_OWNER_ID },
    { "repositoryUuid", CLAIM_STRING, CLAIM_ID },
    { "pipelineUuid", CLAIM_STRING, CLAIM_OPTIONAL },
    { "pipelineRunUuid", CLAIM_STRING, CLAIM_OPTIONAL },
    { "stepUuid", CLAIM_STRING, 0 },
    { "deploymentEnvironmentUuid", CLAIM_STRING, CLAIM_OPTIONAL },
    { "branchName", CLAIM_STRING, CLAIM_OPTIONAL },
    { "accountUuid", CLAIM_STRING, CLAIM_OPTIONAL | CLAIM_PERSONAL },
    { "commitSha", CLAIM_STRING, CLAIM_OPTIONAL },
};

static const struct claim_copy copy_rows[] = {
    { "commit", "commitSha", CLAIM_FORM_UNKNOWN },
};
static const struct claim_copies copies = { copy_rows, COUNT(copy_rows) };

static const struct profile_rules rules = { &copies, NULL };

static const struct claim_copy uuids[] = {
    { "run", "pipelineUuid", CLAIM_FORM_UNKNOWN },
    { "job", "stepUuid", CLAIM_FORM_UNKNOWN },
    { "repository_id", "repositoryUuid", CLAIM_FORM_UNKNOWN },
    { "owner_id", "workspaceUuid", CLAIM_FORM_UNKNOWN },
    { "actor_id", "accountUuid", CLAIM_FORM_UNKNOWN },
};

/* Without braces, in lower case; empty where it is no UUID. */
static struct str bare_uuid(struct str text, char out[UUID_LEN])
{
    if (str_starts_with(text, STR("{")) && str_ends_with(text, STR("}")))
        text = str_slice(text, 1, text.len - 2);
    if (!profile_is_uuid(text))
        return STR("");
    for (size_t i = 0; i < UUID_LEN; i++) {
        bool is_upper = text.data[i] >= 'A' && text.data[i] <= 'F';

        out[i] = (char)(is_upper ? text.data[i] - 'A' + 'a' : text.data[i]);
    }
    return (struct str){ out, UUID_LEN };
}

static bool put_uuids(const json_t *token_claims, json_t *ci)
{
    char uuid[UUID_LEN];

    for (size_t i = 0; i < COUNT(uuids); i++) {
        struct str text = profile_text(token_claims, uuids[i].claim);

        if (!profile_put(ci, uuids[i].fact, bare_uuid(text, uuid)))
            return false;
    }
    return true;
}

/* A step without one names none. */
static bool put_environment(const json_t *token_claims, json_t *ci)
{
    const json_t *value = claim_value(token_claims, "deploymentEnvironmentUuid");
    char uuid[UUID_LEN];

    if (value != NULL && !json_is_null(value) &&
        !(json_is_string(value) && json_string_length(value) == 0))
        return profile_put(ci, "environment", bare_uuid(json_str(value), uuid));
    (void)json_object_del(ci, "environment"); /* it may not be there */
    return true;
}

static bool put_ref(const json_t *token_claims, json_t *ci)
{
    struct str branch = profile_text(token_claims, "branchName");

    return profile_put_joined(ci, "ref", "refs/heads/", branch) &&
           profile_put(ci, "ref_type", branch.len > 0 ? STR("branch") : STR(""));
}

/* Conditions that say less than they seem to. */
static const struct claim_lint lint_rows[] = {
    { .rule = "bitbucket-branch-only",
      .claims = CLAIM_NAMES("branchName", "ci.ref"),
      .unless = CLAIM_NAMES("deploymentEnvironmentUuid", "ci.environment"),
      .is_of_production = true,
      .message = "is a name only: no claim tells a branch from a tag or a pull request",
      .hint = "add 'deploymentEnvironmentUuid', and restrict that environment to its branch" },
};
static const struct claim_lints lints = { lint_rows, COUNT(lint_rows) };

static bool fill_ci(const json_t *token_claims, json_t *ci)
{
    return profile_fill(&rules, token_claims, ci) && put_uuids(token_claims, ci) &&
           put_environment(token_claims, ci) && put_ref(token_claims, ci);
}

const struct profile profile_bitbucket = {
    .name = "bitbucket",
    .algorithms = JOSE_RS256,
    .added_audience = "ari:cloud:bitbucket::workspace/",
    .replay = PROFILE_REPLAY_DIGEST,
    .uses = PROFILE_USES_VARIABLE,
    .max_age_s = 3600,
    .max_lifetime_s = 3600,
    .claims = { claims, COUNT(claims) },
    .lints = &lints,
    .fill_ci = fill_ci,
    .copies = &copies,
};
