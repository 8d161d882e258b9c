#include "base/json.h"
#include "identity/profile_internal.h"
#include "keys/verifier.h"

#define SUBJECT STR("system:serviceaccount:")

/*
 * Kubernetes service accounts. The token says which pod it is, not which job: where jobs share a
 * runner's pod they share its identity, and no `ci` fact is known. Not every release has `jti`.
 */
static const struct claim claims[] = {
    /* name  type  flags */
    PROFILE_REGISTERED,
    { "sub", CLAIM_STRING, CLAIM_CAN_BE_RENAMED },
    { "jti", CLAIM_STRING, CLAIM_OPTIONAL },
    { "kubernetes.io", CLAIM_OBJECT, 0 },
    { "/kubernetes.io/namespace", CLAIM_STRING, CLAIM_CAN_BE_RENAMED },
    { "/kubernetes.io/serviceaccount/name", CLAIM_STRING, CLAIM_CAN_BE_RENAMED },
    { "/kubernetes.io/serviceaccount/uid", CLAIM_STRING, CLAIM_ID },
    { "/kubernetes.io/pod/name", CLAIM_STRING, CLAIM_CAN_BE_RENAMED | CLAIM_OPTIONAL },
    { "/kubernetes.io/pod/uid", CLAIM_STRING, CLAIM_OPTIONAL },
    { "/kubernetes.io/node/name", CLAIM_STRING, CLAIM_CAN_BE_RENAMED | CLAIM_OPTIONAL },
    { "/kubernetes.io/node/uid", CLAIM_STRING, CLAIM_OPTIONAL },
    { "/kubernetes.io/secret/name", CLAIM_STRING, CLAIM_CAN_BE_RENAMED | CLAIM_OPTIONAL },
    { "/kubernetes.io/secret/uid", CLAIM_STRING, CLAIM_OPTIONAL },
    { "/kubernetes.io/warnafter", CLAIM_INTEGER, CLAIM_OPTIONAL },
};

static const struct profile_rules rules = { NULL, NULL };

/* What the subject says and what the object says is one thing. */
static const char *find_flaw(const json_t *token_claims)
{
    struct str rest = profile_text(token_claims, "sub");
    struct str space = profile_text(token_claims, "/kubernetes.io/namespace");
    struct str name = profile_text(token_claims, "/kubernetes.io/serviceaccount/name");
    struct str head = { 0 };

    if (str_starts_with(rest, SUBJECT) &&
        str_cut(str_slice(rest, SUBJECT.len, rest.len), ':', &head, &rest) && str_eq(head, space) &&
        str_eq(rest, name))
        return NULL;
    return "sub is another service account than kubernetes.io says";
}

/* Conditions that say less than they seem to. */
static const struct claim_lint lint_rows[] = {
    { .rule = "kubernetes-name-without-uid",
      .claims = CLAIM_NAMES("sub", "/kubernetes.io/serviceaccount/name"),
      .unless = CLAIM_NAMES("/kubernetes.io/serviceaccount/uid"),
      .message = "is a name: whoever may make service accounts can take it when it is gone",
      .hint = "add '/kubernetes.io/serviceaccount/uid'" },
    { .rule = "kubernetes-pod-name",
      .claims = CLAIM_NAMES("/kubernetes.io/pod/name", "/kubernetes.io/node/name"),
      .unless = CLAIM_NAMES("/kubernetes.io/pod/uid", "/kubernetes.io/node/uid"),
      .message = "is a name that another one can have, too",
      .hint = "write its uid" },
};
static const struct claim_lints lints = { lint_rows, COUNT(lint_rows) };

static bool fill_ci(const json_t *token_claims, json_t *ci)
{
    return profile_fill(&rules, token_claims, ci);
}

const struct profile profile_kubernetes = {
    .name = "kubernetes",
    .algorithms = JOSE_RS256 | JOSE_ES256 | JOSE_ES384 | JOSE_ES512,
    .replay = PROFILE_REPLAY_DIGEST,
    .uses = PROFILE_USES_CACHED,
    .max_age_s = 3600,
    .max_lifetime_s = 86400, /* of the usual audience it would be a year */
    .claims = { claims, COUNT(claims) },
    .lints = &lints,
    .find_flaw = find_flaw,
    .fill_ci = fill_ci,
};
