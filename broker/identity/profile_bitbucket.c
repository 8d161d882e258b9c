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

static const struct profile_copy copies[] = {
    { "commit", "commitSha", PROFILE_UNKNOWN },
    { "environment", "deploymentEnvironmentUuid", PROFILE_NONE },
};

static const struct profile_rules rules = { copies, COUNT(copies), NULL, 0 };

static const struct profile_copy uuids[] = {
    { "run", "pipelineUuid", PROFILE_UNKNOWN },
    { "job", "stepUuid", PROFILE_UNKNOWN },
    { "repository_id", "repositoryUuid", PROFILE_UNKNOWN },
    { "owner_id", "workspaceUuid", PROFILE_UNKNOWN },
    { "environment", "deploymentEnvironmentUuid", PROFILE_NONE },
    { "actor_id", "accountUuid", PROFILE_UNKNOWN },
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

        if (text.len == 0 && uuids[i].form == PROFILE_NONE)
            continue;
        if (!profile_put(ci, uuids[i].fact, bare_uuid(text, uuid)))
            return false;
    }
    return true;
}

static bool put_ref(const json_t *token_claims, json_t *ci)
{
    struct str branch = profile_text(token_claims, "branchName");

    return profile_put_joined(ci, "ref", "refs/heads/", branch) &&
           profile_put(ci, "ref_type", branch.len > 0 ? STR("branch") : STR(""));
}

static bool fill_ci(const json_t *token_claims, json_t *ci)
{
    return profile_fill(&rules, token_claims, ci) && put_uuids(token_claims, ci) &&
           put_ref(token_claims, ci);
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
    .fill_ci = fill_ci,
};
