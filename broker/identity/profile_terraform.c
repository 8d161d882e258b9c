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

static const struct claim_copy copy_rows[] = {
    { "run", "terraform_run_id", CLAIM_FORM_UNKNOWN },
    { "owner", "terraform_organization_name", CLAIM_FORM_UNKNOWN },
    { "owner_id", "terraform_organization_id", CLAIM_FORM_UNKNOWN },
    { "workflow", "terraform_full_workspace", CLAIM_FORM_UNKNOWN },
};
static const struct claim_copies copies = { copy_rows, COUNT(copy_rows) };

static const struct profile_rules rules = { &copies, NULL };

/* A plan runs the providers and programs that a pull request names. */
static const struct claim_danger danger_rows[] = {
    /* claim  value  fact  its value  harmless where false */
    { "terraform_run_phase", "plan", NULL, NULL, NULL },
};
static const struct claim_dangers dangers = { danger_rows, COUNT(danger_rows) };

/* Conditions that say less than they seem to. */
static const struct claim_lint lint_rows[] = {
    { .rule = "terraform-sub",
      .claims = CLAIM_NAMES("sub"),
      .message = "is put together of names that can be given to others",
      .hint = "name what you mean: terraform_workspace_id, terraform_run_phase" },
    { .rule = "terraform-name-without-id",
      .claims = CLAIM_NAMES("terraform_workspace_name", "terraform_full_workspace", "ci.workflow"),
      .unless = CLAIM_NAMES("terraform_workspace_id"),
      .message = "is a name that can be given to another workspace",
      .hint = "add 'terraform_workspace_id'" },
    { .rule = "terraform-project-without-id",
      .claims = CLAIM_NAMES("terraform_project_name"),
      .unless = CLAIM_NAMES("terraform_project_id", "terraform_workspace_id"),
      .message = "is a name that can be given to another project",
      .hint = "add 'terraform_project_id'" },
    { .rule = "terraform-owner-without-id",
      .claims = CLAIM_NAMES("terraform_organization_name", "ci.owner"),
      .unless = CLAIM_NAMES("terraform_organization_id", "terraform_project_id",
                            "terraform_workspace_id", "ci.owner_id"),
      .message = "is a name that can be given to somebody else",
      .hint = "add 'terraform_organization_id'" },
};
static const struct claim_lints lints = { lint_rows, COUNT(lint_rows) };

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
    .expires_with_job = true,
    .claims = { claims, COUNT(claims) },
    .lints = &lints,
    .dangers = &dangers,
    .fill_ci = fill_ci,
    .copies = &copies,
};
