#include "keys/x509_signature.h"

#include <assert.h>
#include <stdint.h>

#include "base/error.h"
#include "keys/ecdsa.h"
#include "keys/key.h"
#include "keys/public_key.h"

/* How an algorithm is named, and whether NULL stands beside the name. Source: RFC 5758 3.2, RFC
 * 4055 5, RFC 8410 3 */
static const struct {
    int nid;
    int parameter;
} names[] = {
    [KEY_ED25519] = { NID_ED25519, V_ASN1_UNDEF },
    [KEY_ES256] = { NID_ecdsa_with_SHA256, V_ASN1_UNDEF },
    [KEY_RS256] = { NID_sha256WithRSAEncryption, V_ASN1_NULL },
};

/* OpenSSL shows algorithm and signature as they stand in the structure, and sets neither. */
static bool set_algorithm(const X509_ALGOR *shown, const struct key *key)
{
    X509_ALGOR *own = (X509_ALGOR *)(uintptr_t)shown;

    return X509_ALGOR_set0(own, OBJ_nid2obj(names[key->algorithm].nid),
                           names[key->algorithm].parameter, NULL) == 1;
}

static bool set_bits(const ASN1_BIT_STRING *shown, const uint8_t *bytes, size_t len)
{
    ASN1_BIT_STRING *own = (ASN1_BIT_STRING *)(uintptr_t)shown;

    if (ASN1_STRING_set(own, bytes, (int)len) != 1)
        return false;
    own->flags &= ~(ASN1_STRING_FLAG_BITS_LEFT | 0x07L); /* all bits of the last octet count */
    own->flags |= ASN1_STRING_FLAG_BITS_LEFT;
    return true;
}

/* X.509 has ECDSA's two numbers as DER. */
static bool sign(struct key *key, struct str body, const ASN1_BIT_STRING *place,
                 struct error *error)
{
    uint8_t signature[KEY_SIGNATURE_MAX];
    uint8_t der[ECDSA_DER_MAX];
    size_t len;

    if (!key_sign(key, body, signature, &len, error))
        return false;
    if (key->algorithm != KEY_ES256)
        return set_bits(place, signature, len) || error_set_openssl(error, "a signature");
    return (ecdsa_raw_to_der(ECDSA_P256, signature, der, &len) && set_bits(place, der, len)) ||
           error_set(error, ERROR_CRYPTO, "a signature that is none");
}

/* What was encoded to be signed, which it frees. */
static bool sign_encoded(struct key *key, uint8_t *take_body, int len, const ASN1_BIT_STRING *place,
                         struct error *error)
{
    bool is_signed =
        len > 0 ? sign(key, (struct str){ (const char *)take_body, (size_t)len }, place, error)
                : error_set_openssl(error, "encoding what is to be signed");

    OPENSSL_free(take_body);
    return is_signed;
}

bool x509_sign_certificate(X509 *certificate, struct key *key, struct error *error)
{
    const ASN1_BIT_STRING *place = NULL;
    const X509_ALGOR *outer = NULL;
    uint8_t *body = NULL;
    int len;

    X509_get0_signature(&place, &outer, certificate);
    if (!set_algorithm(X509_get0_tbs_sigalg(certificate), key) || !set_algorithm(outer, key))
        return error_set_openssl(error, "a certificate's algorithm");
    len = i2d_re_X509_tbs(certificate, &body);
    return sign_encoded(key, body, len, place, error);
}

/*
 * OpenSSL 3.0 shows nobody the algorithm that stands within a list, and sets it where it signs. So
 * it signs with a key of nobody's first, and what it put there as signature is replaced.
 */
static bool set_list_algorithm(X509_CRL *list)
{
    OWNED(public_key_free) EVP_PKEY *nobodys = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");

    return nobodys != NULL && X509_CRL_sign(list, nobodys, EVP_sha256()) > 0;
}

bool x509_sign_list(X509_CRL *list, struct key *key, struct error *error)
{
    const ASN1_BIT_STRING *place = NULL;
    const X509_ALGOR *outer = NULL;
    uint8_t *body = NULL;
    int len;

    assert(key->algorithm == KEY_ES256);
    if (!set_list_algorithm(list))
        return error_set_openssl(error, "a list's algorithm");
    X509_CRL_get0_signature(list, &place, &outer);
    len = i2d_re_X509_CRL_tbs(list, &body);
    return sign_encoded(key, body, len, place, error);
}

bool x509_sign_request(X509_REQ *request, struct key *key, struct error *error)
{
    const ASN1_BIT_STRING *place = NULL;
    const X509_ALGOR *outer = NULL;
    uint8_t *body = NULL;
    int len;

    X509_REQ_get0_signature(request, &place, &outer);
    if (!set_algorithm(outer, key))
        return error_set_openssl(error, "a request's algorithm");
    len = i2d_re_X509_REQ_tbs(request, &body);
    return sign_encoded(key, body, len, place, error);
}
