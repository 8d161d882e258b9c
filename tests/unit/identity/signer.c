#include "tests/unit/identity/signer.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "base/base64.h"
#include "base/buf.h"

#define TEXT_MAX ((size_t)64 * 1024)
#define SIGNATURE_MAX 512

struct signer {
    enum signer_kind kind;
    EVP_PKEY *key;
};

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    (void)fprintf(stderr, "signer: %s\n", what);
    abort();
}

static EVP_PKEY *generate(enum signer_kind kind)
{
    switch (kind) {
    case SIGNER_RSA_1024:
        return EVP_RSA_gen(1024);
    case SIGNER_RSA_2048:
        return EVP_RSA_gen(2048);
    case SIGNER_EC_P256:
        return EVP_EC_gen("P-256");
    case SIGNER_EC_P384:
        return EVP_EC_gen("P-384");
    case SIGNER_EC_P521:
        return EVP_EC_gen("P-521");
    case SIGNER_ED25519:
        return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    }
    return NULL;
}

struct signer *signer_new(enum signer_kind kind)
{
    struct signer *signer = calloc(1, sizeof(*signer));

    must(signer != NULL, "memory");
    signer->kind = kind;
    signer->key = generate(kind);
    must(signer->key != NULL, "key");
    return signer;
}

void signer_free(struct signer *signer)
{
    if (signer == NULL)
        return;
    EVP_PKEY_free(signer->key);
    free(signer);
}

static void add_segment(struct buf *buf, struct str bytes)
{
    if (buf->len > 0)
        buf_add_text(buf, ".");
    buf_add_base64url(buf, bytes);
}

static char *steal(struct buf *buf)
{
    char *text = NULL;

    must(buf_is_ok(buf), "buffer");
    text = strndup(buf->data != NULL ? buf->data : "", buf->len);
    buf_release(buf);
    must(text != NULL, "memory");
    return text;
}

char *signer_base64url(struct str bytes)
{
    struct buf buf = { 0 };

    buf_init(&buf, TEXT_MAX);
    buf_add_base64url(&buf, bytes);
    return steal(&buf);
}

static void set_bytes(json_t *jwk, const char *name, const uint8_t *bytes, size_t len)
{
    char *text = signer_base64url((struct str){ (const char *)bytes, len });

    must(json_object_set_new(jwk, name, json_string(text)) == 0, "jwk");
    free(text);
}

static void set_number(json_t *jwk, const char *name, EVP_PKEY *key, const char *parameter,
                       size_t len)
{
    BIGNUM *number = NULL;
    uint8_t bytes[SIGNATURE_MAX];

    must(EVP_PKEY_get_bn_param(key, parameter, &number) == 1, parameter);
    if (len == 0)
        len = (size_t)BN_num_bytes(number);
    must(BN_bn2binpad(number, bytes, (int)len) == (int)len, parameter);
    set_bytes(jwk, name, bytes, len);
    BN_free(number);
}

static void set_point(json_t *jwk, EVP_PKEY *key, const char *curve, size_t len)
{
    must(json_object_set_new(jwk, "kty", json_string("EC")) == 0, "jwk");
    must(json_object_set_new(jwk, "crv", json_string(curve)) == 0, "jwk");
    set_number(jwk, "x", key, OSSL_PKEY_PARAM_EC_PUB_X, len);
    set_number(jwk, "y", key, OSSL_PKEY_PARAM_EC_PUB_Y, len);
}

static void set_edwards(json_t *jwk, EVP_PKEY *key)
{
    uint8_t bytes[32];
    size_t len = sizeof(bytes);

    must(EVP_PKEY_get_raw_public_key(key, bytes, &len) == 1, "public key");
    must(json_object_set_new(jwk, "kty", json_string("OKP")) == 0, "jwk");
    must(json_object_set_new(jwk, "crv", json_string("Ed25519")) == 0, "jwk");
    set_bytes(jwk, "x", bytes, len);
}

json_t *signer_jwk(const struct signer *signer, const char *kid)
{
    json_t *jwk = json_object();

    must(jwk != NULL, "memory");
    switch (signer->kind) {
    case SIGNER_RSA_1024:
    case SIGNER_RSA_2048:
        must(json_object_set_new(jwk, "kty", json_string("RSA")) == 0, "jwk");
        set_number(jwk, "n", signer->key, OSSL_PKEY_PARAM_RSA_N, 0);
        set_number(jwk, "e", signer->key, OSSL_PKEY_PARAM_RSA_E, 0);
        break;
    case SIGNER_EC_P256:
        set_point(jwk, signer->key, "P-256", 32);
        break;
    case SIGNER_EC_P384:
        set_point(jwk, signer->key, "P-384", 48);
        break;
    case SIGNER_EC_P521:
        set_point(jwk, signer->key, "P-521", 66);
        break;
    case SIGNER_ED25519:
        set_edwards(jwk, signer->key);
        break;
    }
    if (kid != NULL)
        must(json_object_set_new(jwk, "kid", json_string(kid)) == 0, "jwk");
    return jwk;
}

char *signer_jwks(const struct signer *signer, const char *kid)
{
    json_t *set = json_pack("{s:[o]}", "keys", signer_jwk(signer, kid));
    char *text = NULL;

    must(set != NULL, "memory");
    text = json_dumps(set, JSON_COMPACT);
    json_decref(set);
    must(text != NULL, "memory");
    return text;
}

/* DER to r||s */
static size_t raw_signature(const uint8_t *der, size_t der_len, size_t part_len, uint8_t *out)
{
    ECDSA_SIG *parsed = d2i_ECDSA_SIG(NULL, &der, (long)der_len);

    must(parsed != NULL, "signature");
    must(BN_bn2binpad(ECDSA_SIG_get0_r(parsed), out, (int)part_len) > 0, "r");
    must(BN_bn2binpad(ECDSA_SIG_get0_s(parsed), out + part_len, (int)part_len) > 0, "s");
    ECDSA_SIG_free(parsed);
    return 2 * part_len;
}

static size_t sign(const struct signer *signer, const char *digest, bool is_pss, struct str input,
                   uint8_t out[SIGNATURE_MAX])
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_PKEY_CTX *key_context = NULL;
    uint8_t signature[SIGNATURE_MAX];
    size_t len = sizeof(signature);

    must(EVP_DigestSignInit_ex(context, &key_context, digest, NULL, NULL, signer->key, NULL) == 1,
         "sign");
    if (is_pss)
        must(EVP_PKEY_CTX_set_rsa_padding(key_context, RSA_PKCS1_PSS_PADDING) == 1 &&
                 EVP_PKEY_CTX_set_rsa_pss_saltlen(key_context, RSA_PSS_SALTLEN_DIGEST) == 1,
             "padding");
    must(EVP_DigestSign(context, signature, &len, (const uint8_t *)input.data, input.len) == 1,
         "sign");
    EVP_MD_CTX_free(context);
    if (signer->kind == SIGNER_EC_P256)
        return raw_signature(signature, len, 32, out);
    if (signer->kind == SIGNER_EC_P384)
        return raw_signature(signature, len, 48, out);
    if (signer->kind == SIGNER_EC_P521)
        return raw_signature(signature, len, 66, out);
    memcpy(out, signature, len);
    return len;
}

static void begin_token(struct buf *buf, const char *header, const char *payload)
{
    buf_init(buf, TEXT_MAX);
    add_segment(buf, str_from(header));
    add_segment(buf, str_from(payload));
}

static char *end_token(struct buf *buf, const uint8_t *signature, size_t len)
{
    add_segment(buf, (struct str){ (const char *)signature, len });
    return steal(buf);
}

static const char *const digests[] = {
    [SIGNER_RSA_1024] = "SHA256", [SIGNER_RSA_2048] = "SHA256", [SIGNER_EC_P256] = "SHA256",
    [SIGNER_EC_P384] = "SHA384",  [SIGNER_EC_P521] = "SHA512",  [SIGNER_ED25519] = NULL,
};

char *signer_token(const struct signer *signer, const char *header, const char *payload)
{
    struct buf buf = { 0 };
    uint8_t signature[SIGNATURE_MAX];
    const char *digest = digests[signer->kind];
    size_t len;

    begin_token(&buf, header, payload);
    len = sign(signer, digest, false, buf_str(&buf), signature);
    return end_token(&buf, signature, len);
}

char *signer_token_as(const struct signer *signer, const char *algorithm, const char *header,
                      const char *payload)
{
    struct buf buf = { 0 };
    uint8_t signature[SIGNATURE_MAX];
    char digest[8] = { 0 };
    size_t len;

    (void)snprintf(digest, sizeof(digest), "SHA%s", algorithm + 2);
    begin_token(&buf, header, payload);
    len = sign(signer, digest, algorithm[0] == 'P', buf_str(&buf), signature);
    return end_token(&buf, signature, len);
}

char *signer_hmac_token(struct str key, const char *header, const char *payload)
{
    struct buf buf = { 0 };
    uint8_t signature[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    begin_token(&buf, header, payload);
    must(HMAC(EVP_sha256(), key.data, (int)key.len, (const uint8_t *)buf.data, buf.len, signature,
              &len) != NULL,
         "hmac");
    return end_token(&buf, signature, len);
}

char *signer_pem(const struct signer *signer)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *data = NULL;
    char *text = NULL;
    long len;

    must(bio != NULL && PEM_write_bio_PUBKEY(bio, signer->key) == 1, "pem");
    len = BIO_get_mem_data(bio, &data);
    text = calloc(1, (size_t)len + 1);
    must(text != NULL, "memory");
    memcpy(text, data, (size_t)len);
    BIO_free(bio);
    return text;
}
