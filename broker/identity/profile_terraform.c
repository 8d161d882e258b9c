#include "base/json.h"
#include "identity/profile_internal.h"
#include "keys/verifier.h"

/*
 * HCP Terraform and Terraform Enterprise. A module's test has no workspace and no project, and its
 * phase is always `plan`.
 */
static const struct claim claims[] = {
    /* name  type  flags */
    PROFILE_REGISTERED,
    { "sub", CLAIM_STRING, CLAIM_CAN_BE_RENAMED },
    { "jti", CLAIM_STRING, 0 },
    { "terraform_organization_id", CLAIM_STRING, CLAIM_ID | CLAIM_OWNER_ID },
    { "terraform_organization_name", CLAIM_STRING, CLAIM_CAN_BE_RENAMED | CLAIM_OPTIONAL },
    { "terraform_project_id", CLAIM_STRING, CLAIM_ID | CLAIM_OPTIONAL },
    { "terraform_project_name", CLAIM_STRING, CLAIM_CAN_BE_RENAMED | CLAIM_OPTIONAL },
    { "terraform_workspace_id", CLAIM_STRING, CLAIM_ID | CLAIM_OPTIONAL },
    { "terraform_workspace_name", CLAIM_STRING, CLAIM_CAN_BE_RENAMED | CLAIM_OPTIONAL },
    { "terraform_full_workspace", CLAIM_STRING, CLAIM_CAN_BE_RENAMED | CLAIM_OPTIONAL },
    { "terraform_run_id", CLAIM_STRING, CLAIM_OPTIONAL },
    { "terraform_run_phase", CLAIM_STRING, 0 },
};

static const struct profile_copy copies[] = {
    { "run", "terraform_run_id", PROFILE_UNKNOWN },
    { "owner", "terraform_organization_name", PROFILE_UNKNOWN },
    { "owner_id", "terraform_organization_id", PROFILE_UNKNOWN },
    { "workflow", "terraform_full_workspace", PROFILE_UNKNOWN },
};

static const struct profile_rules rules = { copies, COUNT(copies), NULL, 0 };

/* A plan runs the providers and programs that a pull request names. */
static const struct claim_danger danger_rows[] = {
    /* claim  value  fact  its value  harmless where false */
    { "terraform_run_phase", "plan", NULL, NULL, NULL },
};
static const struct claim_dangers dangers = { danger_rows, COUNT(danger_rows) };

static bool fill_ci(const json_t *token_claims, json_t *ci)
{
    return profile_fill(&rules, token_claims, ci);
}

const struct profile profile_terraform = {
    .name = "terraform",
    .default_url = "https://app.terraform.io",
    .is_shared = true,
    .algorithms = JOSE_RS256,
    .replay = PROFILE_REPLAY_JTI,
    .uses = PROFILE_USES_VARIABLE,
    .max_age_s = 3600,
    .max_lifetime_s = 86400, /* as long as a plan or an apply may run */
    .claims = { claims, COUNT(claims) },
    .dangers = &dangers,
    .fill_ci = fill_ci,
};
