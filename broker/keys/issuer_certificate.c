#include "keys/issuer_certificate.h"

#include <limits.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/json.h"
#include "keys/certificate_internal.h"
#include "keys/x509_signature.h"

#define BACKDATED_S ((int64_t)24 * 3600)
#define SERIAL_LEN 16
#define DER_MAX ((size_t)4096)
#define DIGEST_TEXT_MAX ((size_t)44)
#define COMMON_NAME "Stagepass issuer"

/* ---- making ---- */

static bool set_serial(X509 *certificate)
{
    uint8_t random[SERIAL_LEN];
    BIGNUM *number = NULL;
    bool is_good = RAND_bytes(random, sizeof(random)) == 1;

    random[0] = (uint8_t)((random[0] & 0x7f) | 0x40); /* positive, and always as long */
    if (is_good)
        number = BN_bin2bn(random, sizeof(random), NULL);
    is_good =
        number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL;
    BN_free(number);
    return is_good;
}

static bool set_name(X509 *certificate)
{
    X509_NAME *name = X509_get_subject_name(certificate);

    return X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_ASC,
                                      (const unsigned char *)COMMON_NAME, -1, -1, 0) == 1 &&
           X509_set_issuer_name(certificate, name) == 1;
}

static bool add_extension(X509 *certificate, int nid, const char *value)
{
    X509V3_CTX context;
    X509_EXTENSION *extension;
    bool is_good;

    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    is_good = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return is_good;
}

static bool fill_in(X509 *certificate, EVP_PKEY *pkey, int64_t created_s)
{
    time_t from = (time_t)(created_s - BACKDATED_S);
    time_t until = (time_t)(created_s + ISSUER_CERTIFICATE_LIFE_S);

    return X509_set_version(certificate, X509_VERSION_3) == 1 && set_serial(certificate) &&
           set_name(certificate) && ASN1_TIME_set(X509_getm_notBefore(certificate), from) != NULL &&
           ASN1_TIME_set(X509_getm_notAfter(certificate), until) != NULL &&
           X509_set_pubkey(certificate, pkey) == 1 &&
           add_extension(certificate, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(certificate, NID_key_usage, "critical,digitalSignature") &&
           add_extension(certificate, NID_subject_key_identifier, "hash");
}

static bool make(const struct key_folder *folder, const char *name, struct key *key,
                 int64_t created_s, X509 **out, struct error *error)
{
    OWNED(x509_free) X509 *made = X509_new();
    OWNED(buf_release) struct buf pem;

    buf_init(&pem, CERTIFICATE_PEM_MAX);
    if (made == NULL || !fill_in(made, key->pool.pkey, created_s))
        return error_set_openssl(error, "a certificate of the issuer's key");
    if (!x509_sign_certificate(made, key, error))
        return false;
    if (!certificate_write(made, &pem))
        return error_set(error, ERROR_MEMORY, "a certificate of the issuer's key");
    if (!key_folder_write(folder, name, buf_str(&pem), 0600, error))
        return false;
    *out = TAKE(made);
    return true;
}

/* ---- reading ---- */

static X509 *parse(const struct secret *pem)
{
    BIO *input = pem->len <= INT_MAX ? BIO_new_mem_buf(pem->data, (int)pem->len) : NULL;
    X509 *certificate = input != NULL ? PEM_read_bio_X509(input, NULL, NULL, NULL) : NULL;

    BIO_free(input);
    ERR_clear_error();
    return certificate;
}

static bool load_or_make(const struct key_folder *folder, const char *name, struct key *key,
                         int64_t created_s, X509 **out, struct error *error)
{
    OWNED(secret_release) struct secret pem = { 0 };
    OWNED(x509_free) X509 *read = NULL;
    bool is_there;

    if (!key_folder_read(folder, name, &pem, &is_there, error))
        return false;
    if (!is_there)
        return make(folder, name, key, created_s, out, error);
    read = parse(&pem);
    if (read == NULL || EVP_PKEY_eq(X509_get0_pubkey(read), key->pool.pkey) != 1)
        return error_set(error, ERROR_CONFIG,
                         "%s: no certificate of the key beside it: remove it, and one is made",
                         name);
    *out = TAKE(read);
    return true;
}

/* ---- the JWK ---- */

static bool put_der(json_t *jwk, struct str der)
{
    OWNED(buf_release) struct buf text;
    OWNED(buf_release) struct buf thumbprint;
    uint8_t digest[SHA256_LEN];
    json_t *chain = json_array();

    buf_init(&text, BASE64_ENCODED_MAX(DER_MAX));
    buf_init(&thumbprint, DIGEST_TEXT_MAX);
    buf_add_base64(&text, der);
    sha256(der, digest);
    buf_add_base64url(&thumbprint, (struct str){ (const char *)digest, SHA256_LEN });
    return json_put(jwk, "x5c", chain) && buf_is_ok(&text) && buf_is_ok(&thumbprint) &&
           json_array_append_new(chain, json_from_str(buf_str(&text))) == 0 &&
           json_put(jwk, "x5t#S256", json_from_str(buf_str(&thumbprint)));
}

bool issuer_certificate_put(const struct key_folder *folder, const char *name, struct key *key,
                            int64_t created_s, json_t *jwk, struct error *error)
{
    OWNED(x509_free) X509 *certificate = NULL;
    uint8_t der[DER_MAX];
    uint8_t *at = der;
    int len;

    if (!load_or_make(folder, name, key, created_s, &certificate, error))
        return false;
    len = i2d_X509(certificate, NULL);
    if (len <= 0 || len > (int)sizeof(der) || i2d_X509(certificate, &at) != len)
        return error_set(error, ERROR_CONFIG, "%s: a certificate of more than %zu bytes", name,
                         DER_MAX);
    return put_der(jwk, (struct str){ (const char *)der, (size_t)len }) ||
           error_set(error, ERROR_MEMORY, "a certificate of the issuer's key");
}
