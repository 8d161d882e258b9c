#include "identity/dpop.h"

#include <inttypes.h>

#include "base/error.h"
#include "base/json.h"
#include "identity/token.h"
#include "keys/verifier.h"
#include "upstream/upstream.h"

#define AGE_MAX_S 60
#define ID_MAX 256
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

/* `htu`: what RFC 3986 6.2.2 and 6.2.3 call equivalent, without query and fragment. */

struct target {
    bool is_https;
    struct str host; /* without a default port */
    struct str path;
};

static bool target_parse(struct str url, struct target *target)
{
    struct error ignored = { 0 };
    struct str whole = str_slice(url, 0, str_find(url, '#'));
    struct str default_port;
    size_t scheme_len;

    if (!upstream_url_check(whole, true, &ignored))
        return false;
    target->is_https = str_starts_with(whole, STR("https"));
    scheme_len = target->is_https ? 8 : 7; /* with "://" */
    target->host = upstream_url_host(whole);
    target->path = str_slice(whole, scheme_len + target->host.len, whole.len);
    target->path = str_slice(target->path, 0, str_find(target->path, '?'));
    if (target->path.len == 0)
        target->path = STR("/");
    default_port = target->is_https ? STR(":443") : STR(":80");
    if (str_ends_with(target->host, default_port))
        target->host.len -= default_port.len;
    return true;
}

/* Equal but for the case of the hex digits behind '%'. */
static bool paths_are_equal(struct str a, struct str b)
{
    size_t escaped_count = 0; /* characters of an escape that are still to come */

    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        struct str left = str_slice(a, i, 1);
        struct str right = str_slice(b, i, 1);

        if (escaped_count > 0 ? !str_eq_ignore_case(left, right) : !str_eq(left, right))
            return false;
        if (escaped_count > 0)
            escaped_count--;
        else if (a.data[i] == '%')
            escaped_count = 2;
    }
    return true;
}

static bool targets_are_equal(struct str a, struct str b)
{
    struct target left = { 0 };
    struct target right = { 0 };

    return target_parse(a, &left) && target_parse(b, &right) && left.is_https == right.is_https &&
           str_eq_ignore_case(left.host, right.host) && paths_are_equal(left.path, right.path);
}

static bool check_time(const json_t *claims, const struct dpop_options *options,
                       struct error *error)
{
    int64_t issued_s = 0;

    if (!json_get_time(claims, "iat", &issued_s) || issued_s < 0 || issued_s > TIME_MAX_S)
        return error_set(error, ERROR_DPOP, "iat is missing, no number or out of range");
    if (options->now_s - issued_s > AGE_MAX_S)
        return error_set(error, ERROR_DPOP, "made %" PRId64 " s ago", options->now_s - issued_s);
    if (issued_s - options->now_s > options->leeway_s)
        return error_set(error, ERROR_DPOP, "iat is %" PRId64 " s ahead",
                         issued_s - options->now_s);
    return true;
}

static bool check_claims(const json_t *claims, const struct dpop_options *options,
                         struct error *error)
{
    struct str value;

    if (!json_get_str(claims, "jti", &value) || value.len == 0 || value.len > ID_MAX ||
        str_has_control(value))
        return error_set(error, ERROR_DPOP, "jti is no string of 1 to %d printable bytes", ID_MAX);
    if (!json_get_str(claims, "htm", &value) || !str_eq(value, options->method))
        return error_set(error, ERROR_DPOP, "htm is not the request's method");
    if (!json_get_str(claims, "htu", &value) || !targets_are_equal(value, options->url))
        return error_set(error, ERROR_DPOP, "htu is not this endpoint");
    return check_time(claims, options, error);
}

bool dpop_check(struct str proof, const struct dpop_options *options, struct arena *arena,
                char thumbprint[44], struct error *error)
{
    struct token_envelope envelope = { 0 };
    const json_t *claims = NULL;
    struct error why = { 0 };

    if (!token_open(proof, "dpop+jwt", arena, &envelope, &why) ||
        !token_peek(&envelope, arena, &claims, &why))
        return fail(error, &why, "proof");
    return check_signature(&envelope, thumbprint, error) && check_claims(claims, options, error);
}
