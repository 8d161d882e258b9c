#include "keys/jwk.h"

#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/json.h"
#include "keys/public_key.h"
#include "keys/verifier.h"

/* A modulus of 8192 bits and a few octets of leading zeros. */
#define NUMBER_MAX ((size_t)1032)
#define NUMBER_TEXT_MAX ((size_t)1376)
#define THUMBPRINT_INPUT_MAX ((size_t)4096)

/* What belongs to a kty (and crv): how JOSE calls it, and how its numbers are read. */
struct kind {
    const char *kty;
    const char *crv;        /* NULL: the kty has none */
    unsigned algorithms;    /* what such a key can do */
    enum ecdsa_curve curve; /* EC */
    size_t coordinate_len;
    bool (*read)(const struct kind *kind, const json_t *jwk, EVP_PKEY **pkey, struct error *error);
    bool (*write)(const struct kind *kind, const EVP_PKEY *pkey, json_t *jwk, struct error *error);
};

/* Decode a base64url member into `out`, which has room for NUMBER_MAX bytes. */
static bool read_number(const json_t *jwk, const char *name, uint8_t out[NUMBER_MAX],
                        struct str *number, struct error *error)
{
    struct str text;
    size_t len;

    if (!json_get_str(jwk, name, &text) || text.len > NUMBER_TEXT_MAX ||
        !base64url_decode(text, out, &len))
        return error_set(error, ERROR_INVALID, "a JWK whose '%s' is not base64url", name);
    *number = (struct str){ (const char *)out, len };
    return true;
}

/* Decode a member that has exactly `len` bytes. */
static bool read_coordinate(const json_t *jwk, const char *name, size_t len, uint8_t *out,
                            struct error *error)
{
    uint8_t number[NUMBER_MAX];
    struct str bytes = { 0 };

    if (!read_number(jwk, name, number, &bytes, error))
        return false;
    if (bytes.len != len || len == 0)
        return error_set(error, ERROR_INVALID, "a JWK whose '%s' has %zu bytes, not %zu", name,
                         bytes.len, len);
    memcpy(out, bytes.data, len);
    return true;
}

static bool rsa_read(const struct kind *kind, const json_t *jwk, EVP_PKEY **pkey,
                     struct error *error)
{
    uint8_t n_bytes[NUMBER_MAX];
    uint8_t e_bytes[NUMBER_MAX];
    struct str n = { 0 };
    struct str e = { 0 };

    (void)kind;
    if (!read_number(jwk, "n", n_bytes, &n, error) || !read_number(jwk, "e", e_bytes, &e, error))
        return false;
    return public_key_rsa(n, e, pkey, error);
}

static bool ec_read(const struct kind *kind, const json_t *jwk, EVP_PKEY **pkey,
                    struct error *error)
{
    const size_t len = kind->coordinate_len;
    uint8_t point[PUBLIC_KEY_POINT_MAX] = { 0x04 };

    if (!read_coordinate(jwk, "x", len, point + 1, error) ||
        !read_coordinate(jwk, "y", len, point + 1 + len, error))
        return false;
    return public_key_ec(kind->curve, (struct str){ (const char *)point, 1 + 2 * len }, pkey,
                         error);
}

static bool ed25519_read(const struct kind *kind, const json_t *jwk, EVP_PKEY **pkey,
                         struct error *error)
{
    uint8_t point[PUBLIC_KEY_ED25519_LEN];

    if (!read_coordinate(jwk, "x", kind->coordinate_len, point, error))
        return false;
    return public_key_ed25519((struct str){ (const char *)point, sizeof(point) }, pkey, error);
}

static bool put_bytes(json_t *jwk, const char *name, struct str bytes, struct error *error)
{
    OWNED(buf_release) struct buf text;

    buf_init(&text, BASE64_ENCODED_MAX(NUMBER_MAX));
    buf_add_base64url(&text, bytes);
    return (buf_is_ok(&text) && json_put(jwk, name, json_from_str(buf_str(&text)))) ||
           error_set(error, ERROR_MEMORY, "a JWK's numbers");
}

/* Put a number of `len` bytes, or of as many as it needs where `len` is 0. */
static bool put_number(const EVP_PKEY *pkey, const char *parameter, size_t len, json_t *jwk,
                       const char *name, struct error *error)
{
    uint8_t bytes[NUMBER_MAX];
    BIGNUM *number = NULL;
    int written = -1;

    if (EVP_PKEY_get_bn_param(pkey, parameter, &number) != 1)
        return error_set_openssl(error, "a key's numbers");
    if (len == 0)
        len = (size_t)BN_num_bytes(number);
    if (len <= sizeof(bytes))
        written = BN_bn2binpad(number, bytes, (int)len);
    BN_free(number);
    if (written < 0)
        return error_set_openssl(error, "a key's numbers");
    return put_bytes(jwk, name, (struct str){ (const char *)bytes, (size_t)written }, error);
}

static bool rsa_write(const struct kind *kind, const EVP_PKEY *pkey, json_t *jwk,
                      struct error *error)
{
    (void)kind;
    return put_number(pkey, OSSL_PKEY_PARAM_RSA_N, 0, jwk, "n", error) &&
           put_number(pkey, OSSL_PKEY_PARAM_RSA_E, 0, jwk, "e", error);
}

static bool ec_write(const struct kind *kind, const EVP_PKEY *pkey, json_t *jwk,
                     struct error *error)
{
    const size_t len = kind->coordinate_len;

    return put_number(pkey, OSSL_PKEY_PARAM_EC_PUB_X, len, jwk, "x", error) &&
           put_number(pkey, OSSL_PKEY_PARAM_EC_PUB_Y, len, jwk, "y", error);
}

static bool ed25519_write(const struct kind *kind, const EVP_PKEY *pkey, json_t *jwk,
                          struct error *error)
{
    uint8_t point[PUBLIC_KEY_ED25519_LEN];
    size_t len = kind->coordinate_len;

    if (EVP_PKEY_get_raw_public_key(pkey, point, &len) != 1)
        return error_set_openssl(error, "a key's point");
    return put_bytes(jwk, "x", (struct str){ (const char *)point, len }, error);
}

static const struct kind kinds[] = {
    { "RSA", NULL, JOSE_OF_RSA, 0, 0, rsa_read, rsa_write },
    { "EC", "P-256", JOSE_ES256, ECDSA_P256, 32, ec_read, ec_write },
    { "EC", "P-384", JOSE_ES384, ECDSA_P384, 48, ec_read, ec_write },
    { "EC", "P-521", JOSE_ES512, ECDSA_P521, 66, ec_read, ec_write },
    { "OKP", "Ed25519", JOSE_EDDSA, 0, PUBLIC_KEY_ED25519_LEN, ed25519_read, ed25519_write },
};

enum jose_algorithm jwk_algorithm(enum key_algorithm kind)
{
    static const enum jose_algorithm algorithms[] = {
        [KEY_ED25519] = JOSE_EDDSA,
        [KEY_ES256] = JOSE_ES256,
        [KEY_RS256] = JOSE_RS256,
    };

    return algorithms[kind];
}

static const struct kind *kind_of(enum jose_algorithm algorithm)
{
    const struct kind *kind = kinds;

    while ((kind->algorithms & (unsigned)algorithm) == 0)
        kind++;
    return kind;
}

static const struct kind *kind_of_jwk(const json_t *jwk)
{
    struct str kty;
    struct str crv;

    if (!json_get_str(jwk, "kty", &kty))
        return NULL;
    if (!json_get_str(jwk, "crv", &crv))
        crv = (struct str){ 0 };
    for (size_t i = 0; i < COUNT(kinds); i++) {
        if (str_eq(kty, str_from(kinds[i].kty)) &&
            (kinds[i].crv == NULL || str_eq(crv, str_from(kinds[i].crv))))
            return &kinds[i];
    }
    return NULL;
}

static bool check_no_private_members(const json_t *jwk, struct error *error)
{
    static const char *const names[] = { "d", "p", "q", "dp", "dq", "qi", "oth", "k" };

    for (size_t i = 0; i < COUNT(names); i++) {
        if (json_object_get(jwk, names[i]) != NULL)
            return error_set(error, ERROR_INVALID, "a JWK with the private member '%s'", names[i]);
    }
    return true;
}

static bool may_verify(const json_t *key_ops)
{
    bool is_named = false;
    const json_t *operation;
    size_t i;

    if (key_ops == NULL)
        return true;
    if (!json_is_array(key_ops))
        return false;
    json_array_foreach (key_ops, i, operation) {
        if (!json_is_string(operation))
            return false;
        if (str_eq(json_str(operation), STR("verify")))
            is_named = true;
    }
    return is_named;
}

/*
 * `use` and `key_ops` may be absent; where they stand they must fit. `jwt-svid` is what SPIFFE's
 * bundles say of the keys that sign JWT-SVIDs.
 */
static bool check_purpose(const json_t *jwk, struct error *error)
{
    struct str use;

    if (json_object_get(jwk, "use") != NULL &&
        (!json_get_str(jwk, "use", &use) ||
         (!str_eq(use, STR("sig")) && !str_eq(use, STR("jwt-svid")))))
        return error_set(error, ERROR_INVALID, "a JWK whose 'use' is neither sig nor jwt-svid");
    if (!may_verify(json_object_get(jwk, "key_ops")))
        return error_set(error, ERROR_INVALID, "a JWK whose 'key_ops' do not hold verify");
    return true;
}

/* A key that says its `alg` is for that one alone. */
static bool choose_algorithms(const json_t *jwk, const struct kind *kind, unsigned allowed,
                              unsigned *algorithms, struct error *error)
{
    struct str name;

    *algorithms = kind->algorithms;
    if (json_object_get(jwk, "alg") != NULL) {
        *algorithms &= json_get_str(jwk, "alg", &name) ? jose_algorithm_from(name) : 0;
        if (*algorithms == 0)
            return error_set(error, ERROR_INVALID, "a JWK whose 'alg' is none of its kty and crv");
    }
    *algorithms &= allowed;
    if (*algorithms == 0)
        return error_set(error, ERROR_INVALID, "a JWK for an algorithm that is not allowed");
    return true;
}

bool jwk_read(const json_t *jwk, unsigned allowed, unsigned *algorithms, EVP_PKEY **pkey,
              struct error *error)
{
    const struct kind *kind = kind_of_jwk(jwk);

    if (kind == NULL)
        return error_set(error, ERROR_INVALID,
                         "a JWK that is not RSA, P-256, P-384, P-521 or Ed25519");
    return choose_algorithms(jwk, kind, allowed, algorithms, error) &&
           check_no_private_members(jwk, error) && check_purpose(jwk, error) &&
           kind->read(kind, jwk, pkey, error);
}

bool jwk_write(const EVP_PKEY *pkey, enum key_algorithm key_algorithm, json_t **jwk,
               struct error *error)
{
    const enum jose_algorithm algorithm = jwk_algorithm(key_algorithm);
    const struct kind *kind = kind_of(algorithm);
    JSON_OWNED json_t *made = json_object();
    char kid[44];

    if (made == NULL || !json_put(made, "kty", json_string(kind->kty)) ||
        (kind->crv != NULL && !json_put(made, "crv", json_string(kind->crv))) ||
        !json_put(made, "use", json_string("sig")) ||
        !json_put(made, "alg", json_string(jose_algorithm_name(algorithm))))
        return error_set(error, ERROR_MEMORY, "a JWK");
    if (!kind->write(kind, pkey, made, error) || !jwk_thumbprint(made, kid, error))
        return false;
    if (!json_put(made, "kid", json_string(kid)))
        return error_set(error, ERROR_MEMORY, "a JWK");
    *jwk = TAKE(made);
    return true;
}

/* The required members alone, which are what a thumbprint covers. */
static json_t *required_members(const json_t *jwk)
{
    static const struct {
        const char *kty;
        const char *names[5];
    } required[] = {
        { "RSA", { "e", "kty", "n" } },
        { "EC", { "crv", "kty", "x", "y" } },
        { "OKP", { "crv", "kty", "x" } },
    };
    JSON_OWNED json_t *members = json_object();
    struct str kty = { 0 };
    struct str value = { 0 };
    size_t i = 0;

    if (members == NULL || !json_get_str(jwk, "kty", &kty))
        return NULL;
    while (i < COUNT(required) && !str_eq(kty, str_from(required[i].kty)))
        i++;
    if (i == COUNT(required))
        return NULL;
    for (const char *const *name = required[i].names; *name != NULL; name++) {
        if (!json_get_str(jwk, *name, &value) || !json_put(members, *name, json_from_str(value)))
            return NULL;
    }
    return TAKE(members);
}

bool jwk_thumbprint(const json_t *jwk, char out[44], struct error *error)
{
    JSON_OWNED json_t *members = required_members(jwk);
    OWNED(buf_release) struct buf text;
    uint8_t digest[SHA256_LEN];

    buf_init(&text, THUMBPRINT_INPUT_MAX);
    if (members == NULL)
        return error_set(error, ERROR_INVALID, "a JWK without the members of its kty");
    buf_add_json(&text, members);
    if (!buf_is_ok(&text))
        return error_set(error, ERROR_LIMIT, "a JWK of more than %zu bytes", THUMBPRINT_INPUT_MAX);
    sha256(buf_str(&text), digest);
    buf_clear(&text);
    buf_add_base64url(&text, (struct str){ (const char *)digest, sizeof(digest) });
    if (!buf_is_ok(&text))
        return error_set(error, ERROR_MEMORY, "a thumbprint");
    memcpy(out, text.data, text.len + 1);
    return true;
}
