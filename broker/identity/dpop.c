#include "identity/dpop.h"

#include <inttypes.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "base/secret.h"
#include "identity/dpop_internal.h"
#include "identity/dpop_nonce.h"
#include "identity/token.h"
#include "keys/verifier.h"

#define ALGORITHMS ((unsigned)JOSE_ES256 | (unsigned)JOSE_EDDSA)
/* As for a token's claims: sums with such a time stay far inside int64_t. */
#define TIME_MAX_S INT64_C(253402300799)

/* What the rooms below say becomes ours. */
static bool fail(struct error *error, const struct error *why, const char *what)
{
    enum error_code code = why->code == ERROR_MEMORY ? ERROR_MEMORY : ERROR_DPOP;

    return error_set(error, code, "%s: %s", what, why->cause);
}

/* The key comes with the proof: holding it is all that is proven. */
static bool check_signature(const struct token_envelope *envelope, char thumbprint[44],
                            struct error *error)
{
    const json_t *jwk = json_object_get(envelope->header, "jwk");
    OWNED(verifier_free) struct verifier *verifier = NULL;
    struct error why = { 0 };

    if ((envelope->algorithm & ALGORITHMS) == 0)
        return error_set(error, ERROR_DPOP, "alg is none that proofs may have");
    if (!json_is_object(jwk))
        return error_set(error, ERROR_DPOP, "jwk is missing or no object");
    if (!verifier_new(jwk, envelope->algorithm, &verifier, &why))
        return fail(error, &why, "jwk");
    if (!verifier_check(verifier, envelope->algorithm, envelope->signing_input, envelope->signature,
                        &why))
        return fail(error, &why, "signature");
    return jwk_thumbprint(jwk, thumbprint, &why) || fail(error, &why, "thumbprint");
}

static bool check_time(const json_t *claims, const struct dpop_options *options, int64_t *issued_s,
                       struct error *error)
{
    if (!json_get_time(claims, "iat", issued_s) || *issued_s < 0 || *issued_s > TIME_MAX_S)
        return error_set(error, ERROR_DPOP, "iat is missing, no number or out of range");
    if (options->now_s - *issued_s > DPOP_AGE_MAX_S)
        return error_set(error, ERROR_DPOP, "made %" PRId64 " s ago", options->now_s - *issued_s);
    if (*issued_s - options->now_s > options->leeway_s)
        return error_set(error, ERROR_DPOP, "iat is %" PRId64 " s ahead",
                         *issued_s - options->now_s);
    return true;
}

/* A proof beside an access token is for that token alone. */
static bool check_token_hash(const json_t *claims, struct str access_token, struct error *error)
{
    OWNED(buf_release) struct buf expected = { 0 };
    uint8_t digest[SHA256_LEN];
    struct str value;

    if (access_token.len == 0)
        return true;
    sha256(access_token, digest);
    buf_init(&expected, 64);
    buf_add_base64url(&expected, (struct str){ (const char *)digest, sizeof(digest) });
    if (!buf_is_ok(&expected))
        return error_set(error, ERROR_MEMORY, "no memory for a token's hash");
    if (!json_get_str(claims, "ath", &value) || !secret_eq(value, buf_str(&expected)))
        return error_set(error, ERROR_DPOP, "ath is not the access token's hash");
    return true;
}

/* One that is there must be ours: whoever put another in was promised more than we check. */
static bool check_nonce(const json_t *claims, const struct dpop_options *options,
                        struct error *error)
{
    struct str nonce;

    if (options->nonces == NULL)
        return true;
    if (json_object_get(claims, "nonce") == NULL) {
        if (options->needs_nonce)
            return error_set(error, ERROR_DPOP_NONCE, "no nonce");
        return true;
    }
    if (!json_get_str(claims, "nonce", &nonce) ||
        !dpop_nonce_is_fresh(options->nonces, nonce, options->now_s))
        return error_set(error, ERROR_DPOP_NONCE, "a nonce that is not ours, or stale");
    return true;
}

/* Lengths in front keep the parts apart; no issuer's URL can be the first. */
static bool mark_proof(struct dpop_proof *made, struct str id, struct error *error)
{
    OWNED(buf_release) struct buf named = { 0 };

    buf_init(&named, (size_t)2 * DPOP_ID_MAX);
    buf_add_sized(&named, STR("dpop"));
    buf_add_sized(&named, str_from(made->thumbprint));
    buf_add_sized(&named, id);
    if (!buf_is_ok(&named))
        return error_set(error, ERROR_MEMORY, "no memory for a mark");
    sha256(buf_str(&named), made->mark);
    return true;
}

static bool check_claims(const json_t *claims, const struct dpop_options *options,
                         struct arena *arena, struct dpop_proof *made, struct error *error)
{
    int64_t issued_s = 0;
    struct str id;
    struct str value;

    if (!json_get_str(claims, "jti", &id) || id.len == 0 || id.len > DPOP_ID_MAX ||
        str_has_control(id))
        return error_set(error, ERROR_DPOP, "jti is no string of 1 to %d printable bytes",
                         DPOP_ID_MAX);
    if (!json_get_str(claims, "htm", &value) || !str_eq(value, options->method))
        return error_set(error, ERROR_DPOP, "htm is not the request's method");
    if (!json_get_str(claims, "htu", &value) || !dpop_targets_are_equal(value, options->url, arena))
        return error_set(error, ERROR_DPOP, "htu is not this endpoint");
    if (!check_time(claims, options, &issued_s, error) ||
        !check_token_hash(claims, options->access_token, error) ||
        !check_nonce(claims, options, error))
        return false;
    made->expires_s = issued_s + DPOP_AGE_MAX_S + 1;
    return mark_proof(made, id, error);
}

bool dpop_check(struct str proof, const struct dpop_options *options, struct arena *arena,
                struct dpop_proof *checked, struct error *error)
{
    struct token_envelope envelope = { 0 };
    struct dpop_proof made = { 0 };
    const json_t *claims = NULL;
    struct error why = { 0 };

    if (!token_open(proof, "dpop+jwt", arena, &envelope, &why) ||
        !token_peek(&envelope, arena, &claims, &why))
        return fail(error, &why, "proof");
    if (!check_signature(&envelope, made.thumbprint, error) ||
        !check_claims(claims, options, arena, &made, error))
        return false;
    *checked = made;
    return true;
}
