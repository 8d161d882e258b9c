#include "clients/proof_key.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/json.h"
#include "base/secret.h"

#define COORDINATE_LEN 32
#define POINT_LEN (1 + 2 * COORDINATE_LEN)
#define DER_MAX 80
#define KEY_DER_MAX 512
#define CURVE_BITS 256
#define PROOF_ID_LEN 16
#define PROOF_MAX ((size_t)8 * 1024)

struct proof_key {
    EVP_PKEY *pair;
    uint8_t point[POINT_LEN]; /* 0x04, x, y */
};

/* Of a pair that is there: it must be one on P-256, which another curve's point does not fit. */
static bool take_point(struct proof_key *key, struct error *error)
{
    size_t len = 0;

    if (!key->pair ||
        EVP_PKEY_get_octet_string_param(key->pair, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, key->point,
                                        sizeof(key->point), &len) != 1 ||
        len != POINT_LEN)
        return error_set_openssl(error, "cannot make a proof key");
    return true;
}

bool proof_key_new(struct proof_key **key, struct error *error)
{
    struct proof_key *made = calloc(1, sizeof(*made));

    if (!made)
        return error_set(error, ERROR_MEMORY, "proof key");
    made->pair = EVP_EC_gen("P-256");
    if (!take_point(made, error)) {
        proof_key_free(made);
        return false;
    }
    *key = made;
    return true;
}

void proof_key_free(struct proof_key *key)
{
    if (!key)
        return;
    EVP_PKEY_free(key->pair);
    free(key);
}

bool proof_key_write(const struct proof_key *key, struct buf *text, struct error *error)
{
    uint8_t *der = NULL;
    int len = i2d_PrivateKey(key->pair, &der);

    if (len <= 0)
        return error_set_openssl(error, "cannot write a proof key");
    buf_add_base64url(text, (struct str){ (const char *)der, (size_t)len });
    OPENSSL_clear_free(der, (size_t)len);
    return buf_is_ok(text) || error_set(error, ERROR_MEMORY, "proof key");
}

bool proof_key_read(struct str text, struct proof_key **key, struct error *error)
{
    OWNED(proof_key_free) struct proof_key *read = calloc(1, sizeof(*read));
    uint8_t der[KEY_DER_MAX];
    const uint8_t *at = der;
    size_t len = 0;

    if (!read)
        return error_set(error, ERROR_MEMORY, "proof key");
    if (BASE64_DECODED_MAX(text.len) > sizeof(der) || !base64url_decode(text, der, &len))
        return error_set(error, ERROR_SYNTAX, "no proof key");
    read->pair = d2i_PrivateKey(EVP_PKEY_EC, NULL, &at, (long)len);
    secret_wipe(der, sizeof(der));
    ERR_clear_error();
    if (!read->pair || at != der + len || EVP_PKEY_get_bits(read->pair) != CURVE_BITS)
        return error_set(error, ERROR_SYNTAX, "no proof key");
    if (!take_point(read, error))
        return false;
    *key = TAKE(read);
    return true;
}

static void add_coordinate(const struct proof_key *key, size_t index, struct buf *out)
{
    const char *start = (const char *)key->point + 1 + index * COORDINATE_LEN;

    buf_add_base64url(out, (struct str){ start, COORDINATE_LEN });
}

/* The members that RFC 7638 wants, in its order. */
static void add_jwk(const struct proof_key *key, struct buf *out)
{
    buf_add_text(out, "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"");
    add_coordinate(key, 0, out);
    buf_add_text(out, "\",\"y\":\"");
    add_coordinate(key, 1, out);
    buf_add_text(out, "\"}");
}

static void add_header(const struct proof_key *key, struct buf *out)
{
    buf_add_text(out, "{\"alg\":\"ES256\",\"jwk\":");
    add_jwk(key, out);
    buf_add_text(out, ",\"typ\":\"dpop+jwt\"}");
}

void proof_key_thumbprint(const struct proof_key *key, char thumbprint[44])
{
    OWNED(buf_release) struct buf jwk = { 0 };
    OWNED(buf_release) struct buf text = { 0 };
    uint8_t digest[SHA256_LEN];

    buf_init(&jwk, PROOF_MAX);
    buf_init(&text, 43);
    add_jwk(key, &jwk);
    sha256(buf_str(&jwk), digest);
    buf_add_base64url(&text, (struct str){ (const char *)digest, sizeof(digest) });
    memset(thumbprint, 0, 44);
    if (buf_is_ok(&jwk) && buf_is_ok(&text)) /* without memory: an empty one, which fits no key */
        memcpy(thumbprint, text.data, text.len);
}

static bool add_payload(const struct proof_request *request, struct buf *out, struct error *error)
{
    uint8_t id[PROOF_ID_LEN];

    if (!secret_random(id, sizeof(id), error))
        return false;
    buf_printf(out, "{\"htm\":\"%s\",\"htu\":\"", request->method);
    buf_add_json_text(out, request->url);
    buf_printf(out, "\",\"iat\":%lld,\"jti\":\"", (long long)request->now_s);
    buf_add_base64url(out, (struct str){ (const char *)id, sizeof(id) });
    if (request->nonce.len > 0) {
        buf_add_text(out, "\",\"nonce\":\"");
        buf_add_json_text(out, request->nonce);
    }
    buf_add_text(out, "\"}");
    return true;
}

/* ECDSA as OpenSSL writes it, into the r and s of fixed length that JOSE wants. */
static bool flatten(const uint8_t *der, size_t der_len, uint8_t raw[2 * COORDINATE_LEN])
{
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)der_len);
    bool is_done = pair &&
                   BN_bn2binpad(ECDSA_SIG_get0_r(pair), raw, COORDINATE_LEN) == COORDINATE_LEN &&
                   BN_bn2binpad(ECDSA_SIG_get0_s(pair), raw + COORDINATE_LEN, COORDINATE_LEN) ==
                       COORDINATE_LEN;

    ECDSA_SIG_free(pair);
    return is_done;
}

static bool sign(const struct proof_key *key, struct str message, uint8_t raw[2 * COORDINATE_LEN],
                 struct error *error)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    uint8_t der[DER_MAX];
    size_t der_len = sizeof(der);
    bool is_done =
        context && EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key->pair) == 1 &&
        EVP_DigestSign(context, der, &der_len, (const uint8_t *)message.data, message.len) == 1 &&
        flatten(der, der_len, raw);

    EVP_MD_CTX_free(context);
    return is_done || error_set_openssl(error, "cannot sign a proof");
}

bool proof_key_prove(const struct proof_key *key, const struct proof_request *request,
                     struct arena *arena, struct str *proof, struct error *error)
{
    OWNED(buf_release) struct buf part = { 0 };
    OWNED(buf_release) struct buf token = { 0 };
    uint8_t signature[2 * COORDINATE_LEN];

    buf_init(&part, PROOF_MAX);
    buf_init(&token, PROOF_MAX);
    add_header(key, &part);
    buf_add_base64url(&token, buf_str(&part));
    buf_add_byte(&token, '.');
    buf_clear(&part);
    if (!add_payload(request, &part, error))
        return false;
    buf_add_base64url(&token, buf_str(&part));
    if (!buf_is_ok(&part) || !buf_is_ok(&token))
        return error_set(error, ERROR_MEMORY, "no room for a proof");
    if (!sign(key, buf_str(&token), signature, error))
        return false;
    buf_add_byte(&token, '.');
    buf_add_base64url(&token, (struct str){ (const char *)signature, sizeof(signature) });
    *proof = arena_copy(arena, buf_str(&token));
    return (buf_is_ok(&token) && proof->data) ||
           error_set(error, ERROR_MEMORY, "no room for a proof");
}
