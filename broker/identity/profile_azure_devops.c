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

static const struct profile_copy copies[] = {
    { "run", "run_id", PROFILE_UNKNOWN },
    { "owner_id", "org_id", PROFILE_UNKNOWN },
    { "commit", "rpo_ver", PROFILE_UNKNOWN },
};

static const struct profile_rules rules = { copies, COUNT(copies), NULL, 0 };

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
    .dangers = &dangers,
    .fill_ci = fill_ci,
};
