#include "base/json.h"
#include "identity/profile_internal.h"
#include "keys/verifier.h"

#define SCHEME STR("spiffe://")
#define SPIFFE_ID_MAX 2048
#define TRUST_DOMAIN_MAX 255

/*
 * SPIFFE JWT-SVIDs. `iss` chooses the issuer and `iat` bounds the age, so both are needed here
 * although the standard leaves them out. No EdDSA.
 */
static const struct claim claims[] = {
    /* name  type  flags */
    PROFILE_REGISTERED,
    { "sub", CLAIM_STRING, CLAIM_ID },
    { "jti", CLAIM_STRING, CLAIM_OPTIONAL },
};

static const struct profile_rules rules = { NULL, NULL };

static bool is_trust_domain(struct str text)
{
    return text.len > 0 && text.len <= TRUST_DOMAIN_MAX &&
           str_is_made_of(text, "abcdefghijklmnopqrstuvwxyz0123456789._-");
}

static bool is_segment(struct str text)
{
    return text.len > 0 && !str_eq(text, STR(".")) && !str_eq(text, STR("..")) &&
           str_is_made_of(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                "0123456789._-");
}

/* spiffe://TRUST-DOMAIN/PATH. Source: SPIFFE-ID 2 */
static bool is_spiffe_id(struct str text)
{
    struct str rest = str_slice(text, SCHEME.len, text.len);
    struct str part;
    bool is_more;
    bool is_good;

    if (text.len > SPIFFE_ID_MAX || !str_starts_with(text, SCHEME))
        return false;
    is_more = str_cut(rest, '/', &part, &rest);
    is_good = is_trust_domain(part);
    while (is_good && is_more) {
        is_more = str_cut(rest, '/', &part, &rest);
        is_good = is_segment(part);
    }
    return is_good;
}

static const char *find_flaw(const json_t *token_claims)
{
    return is_spiffe_id(profile_text(token_claims, "sub")) ? NULL : "sub is no SPIFFE ID";
}

static bool fill_ci(const json_t *token_claims, json_t *ci)
{
    return profile_fill(&rules, token_claims, ci);
}

const struct profile profile_spiffe = {
    .name = "spiffe",
    .algorithms = JOSE_RS256 | JOSE_RS384 | JOSE_RS512 | JOSE_PS256 | JOSE_PS384 | JOSE_PS512 |
                  JOSE_ES256 | JOSE_ES384 | JOSE_ES512,
    .replay = PROFILE_REPLAY_DIGEST,
    .uses = PROFILE_USES_CACHED,
    .max_age_s = 3600,
    .max_lifetime_s = 3600,
    .claims = { claims, COUNT(claims) },
    .find_flaw = find_flaw,
    .fill_ci = fill_ci,
};
