#include "base/json.h"
#include "identity/profile_internal.h"
#include "keys/verifier.h"

/*
 * Google's identity tokens: of instances, Cloud Run, Cloud Build. Anybody can have one for any
 * audience, so `only` fixes the account (`sub`) or the project. No build is in it. The metadata
 * server hands out the same token until it is near its end.
 */
static const struct claim claims[] = {
    /* name  type  flags */
    PROFILE_REGISTERED,
    { "sub", CLAIM_STRING, CLAIM_ID },
    { "azp", CLAIM_STRING, CLAIM_OPTIONAL },
    { "email", CLAIM_STRING, CLAIM_CAN_BE_RENAMED | CLAIM_OPTIONAL | CLAIM_PERSONAL },
    { "email_verified", CLAIM_BOOLEAN, CLAIM_OPTIONAL },
    { "google", CLAIM_OBJECT, CLAIM_OPTIONAL },
    { "/google/compute_engine/project_id", CLAIM_STRING,
      CLAIM_ID | CLAIM_OWNER_ID | CLAIM_OPTIONAL },
    { "/google/compute_engine/project_number", CLAIM_INTEGER, CLAIM_OPTIONAL },
    { "/google/compute_engine/zone", CLAIM_STRING, CLAIM_OPTIONAL },
    { "/google/compute_engine/instance_id", CLAIM_STRING, CLAIM_OPTIONAL },
    { "/google/compute_engine/instance_name", CLAIM_STRING, CLAIM_CAN_BE_RENAMED | CLAIM_OPTIONAL },
    { "/google/compute_engine/instance_creation_timestamp", CLAIM_INTEGER, CLAIM_OPTIONAL },
};

static const struct profile_rules rules = { NULL, NULL };

/* Conditions that say less than they seem to. */
static const struct claim_lint lint_rows[] = {
    { .rule = "google-email-without-id",
      .claims = CLAIM_NAMES("email"),
      .unless = CLAIM_NAMES("sub"),
      .message = "is a name that a new account can have when this one is gone",
      .hint = "add 'sub', the account's id" },
};
static const struct claim_lints lints = { lint_rows, COUNT(lint_rows) };

static bool fill_ci(const json_t *token_claims, json_t *ci)
{
    return profile_fill(&rules, token_claims, ci);
}

const struct profile profile_google = {
    .name = "google",
    .default_url = "https://accounts.google.com",
    .is_shared = true,
    .algorithms = JOSE_RS256,
    .replay = PROFILE_REPLAY_DIGEST,
    .uses = PROFILE_USES_CACHED,
    .max_age_s = 3600,
    .max_lifetime_s = 3600,
    .claims = { claims, COUNT(claims) },
    .lints = &lints,
    .fill_ci = fill_ci,
};
