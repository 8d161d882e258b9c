#include "base/json.h"
#include "identity/profile_internal.h"
#include "keys/verifier.h"

/*
 * Harness: an issuer an account. Identifiers are unique within what they stand in only, so the
 * whole subject is the id.
 */
static const struct claim claims[] = {
    /* name  type  flags */
    PROFILE_REGISTERED,
    { "sub", CLAIM_STRING, CLAIM_ID },
    { "account_id", CLAIM_STRING, CLAIM_ID | CLAIM_OWNER_ID },
    { "organization_id", CLAIM_STRING, CLAIM_OPTIONAL },
    { "project_id", CLAIM_STRING, CLAIM_OPTIONAL },
    { "pipeline_id", CLAIM_STRING, CLAIM_OPTIONAL },
    { "connector_id", CLAIM_STRING, CLAIM_OPTIONAL },
    { "connector_name", CLAIM_STRING, CLAIM_CAN_BE_RENAMED | CLAIM_OPTIONAL },
    { "environment_id", CLAIM_STRING, CLAIM_OPTIONAL },
    { "environment_type", CLAIM_STRING, CLAIM_OPTIONAL },
    { "triggered_by_name", CLAIM_STRING, CLAIM_CAN_BE_RENAMED | CLAIM_OPTIONAL | CLAIM_PERSONAL },
    { "step_type", CLAIM_STRING, CLAIM_OPTIONAL },
    { "context", CLAIM_STRING, 0 },
};

static const struct claim_copy copy_rows[] = {
    { "owner_id", "account_id", CLAIM_FORM_UNKNOWN },
    { "workflow", "pipeline_id", CLAIM_FORM_UNKNOWN },
    { "environment", "environment_id", CLAIM_FORM_UNKNOWN },
    { "actor", "triggered_by_name", CLAIM_FORM_UNKNOWN },
};
static const struct claim_copies copies = { copy_rows, COUNT(copy_rows) };

static const struct profile_rules rules = { &copies, NULL };

/* Somebody clicks in the user interface: no pipeline runs. */
static const struct claim_danger danger_rows[] = {
    /* claim  value  fact  its value  harmless where false */
    { "context", "CONNECTOR_VALIDATION", NULL, NULL, NULL },
    { "context", "PIPELINE_CONFIGURATION", NULL, NULL, NULL },
    { "context", "PERPETUAL_TASK", NULL, NULL, NULL },
};
static const struct claim_dangers dangers = { danger_rows, COUNT(danger_rows) };

static bool fill_ci(const json_t *token_claims, json_t *ci)
{
    return profile_fill(&rules, token_claims, ci);
}

const struct profile profile_harness = {
    .name = "harness",
    .algorithms = JOSE_RS256,
    .replay = PROFILE_REPLAY_DIGEST,
    .uses = PROFILE_USES_VARIABLE,
    .max_age_s = 3600,
    .max_lifetime_s = 3600,
    .claims = { claims, COUNT(claims) },
    .dangers = &dangers,
    .fill_ci = fill_ci,
    .copies = &copies,
};
