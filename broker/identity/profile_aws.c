#include "base/json.h"
#include "identity/profile_internal.h"
#include "keys/verifier.h"

/*
 * AWS STS, GetWebIdentityToken: an issuer an account. Whoever asks chooses `request_tags`;
 * `principal_tags` a session's tags may override.
 */
static const struct claim claims[] = {
    /* name  type  flags */
    PROFILE_REGISTERED,
    { "sub", CLAIM_STRING, CLAIM_ID }, /* the role's ARN, without a session */
    { "jti", CLAIM_STRING, 0 },
    { "https://sts.amazonaws.com/", CLAIM_OBJECT, 0 },
    { "/https:~1~1sts.amazonaws.com~1/aws_account", CLAIM_STRING, CLAIM_ID | CLAIM_OWNER_ID },
    { "/https:~1~1sts.amazonaws.com~1/source_region", CLAIM_STRING, CLAIM_OPTIONAL },
    { "/https:~1~1sts.amazonaws.com~1/org_id", CLAIM_STRING, CLAIM_OPTIONAL },
    { "/https:~1~1sts.amazonaws.com~1/ou_path", CLAIM_STRING,
      CLAIM_CAN_BE_RENAMED | CLAIM_OPTIONAL },
    { "/https:~1~1sts.amazonaws.com~1/principal_tags", CLAIM_OBJECT,
      CLAIM_SET_BY_USER | CLAIM_OPTIONAL },
    { "/https:~1~1sts.amazonaws.com~1/request_tags", CLAIM_OBJECT,
      CLAIM_SET_BY_USER | CLAIM_OPTIONAL },
    { "/https:~1~1sts.amazonaws.com~1/federated_provider", CLAIM_STRING, CLAIM_OPTIONAL },
    { "/https:~1~1sts.amazonaws.com~1/source_identity", CLAIM_STRING,
      CLAIM_OPTIONAL | CLAIM_PERSONAL },
    { "/https:~1~1sts.amazonaws.com~1/ec2_source_instance_arn", CLAIM_STRING, CLAIM_OPTIONAL },
    { "/https:~1~1sts.amazonaws.com~1/ec2_instance_source_vpc", CLAIM_STRING, CLAIM_OPTIONAL },
    { "/https:~1~1sts.amazonaws.com~1/lambda_source_function_arn", CLAIM_STRING, CLAIM_OPTIONAL },
    { "/https:~1~1sts.amazonaws.com~1/identity_store_user_id", CLAIM_STRING,
      CLAIM_OPTIONAL | CLAIM_PERSONAL },
};

static const struct claim_copy copy_rows[] = {
    { "owner_id", "/https:~1~1sts.amazonaws.com~1/aws_account", CLAIM_FORM_UNKNOWN },
};
static const struct claim_copies copies = { copy_rows, COUNT(copy_rows) };

static const struct profile_rules rules = { &copies, NULL };

/* Conditions that say less than they seem to. */
static const struct claim_lint lint_rows[] = {
    { .rule = "aws-request-tags",
      .claims = CLAIM_NAMES("/https:~1~1sts.amazonaws.com~1/request_tags/"),
      .message = "is what whoever asks for the token says",
      .hint = "use 'principal_tags', or the role in 'sub'" },
};
static const struct claim_lints lints = { lint_rows, COUNT(lint_rows) };

static bool fill_ci(const json_t *token_claims, json_t *ci)
{
    return profile_fill(&rules, token_claims, ci);
}

const struct profile profile_aws = {
    .name = "aws",
    .algorithms = JOSE_RS256 | JOSE_ES384,
    .replay = PROFILE_REPLAY_JTI,
    .uses = PROFILE_USES_FRESH,
    .max_age_s = 300,
    .max_lifetime_s = 3600,
    .claims = { claims, COUNT(claims) },
    .lints = &lints,
    .fill_ci = fill_ci,
    .copies = &copies,
};
