#include "keys/certificate_request.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/buf.h"
#include "base/error.h"
#include "keys/certificate_internal.h"
#include "keys/key.h"
#include "keys/pem.h"
#include "keys/public_key.h"
#include "keys/x509_signature.h"

#define RSA_BITS_MAX 4096
#define RSA_BYTES_MAX ((size_t)RSA_BITS_MAX / 8)
#define RSA_EXPONENT_BYTES_MAX ((size_t)8)
#define PEM_FIRST_LINE "-----BEGIN CERTIFICATE REQUEST-----"
#define PEM_LAST_LINE "-----END CERTIFICATE REQUEST-----"

static inline void x509_req_free(X509_REQ *request)
{
    X509_REQ_free(request);
}

OWNED_POINTER(x509_req_free, X509_REQ)

/* ---- the block of PEM ---- */

/* A block that has headers asks for a password, and is no request. */
static int refuse_password(char *out, int size, int is_writing, void *context)
{
    (void)out;
    (void)size;
    (void)is_writing;
    (void)context;
    return -1;
}

/* Its DER must be all there is, so that nothing hides behind what is read. */
static X509_REQ *parse_der(const unsigned char *der, long len)
{
    const unsigned char *at = der;
    X509_REQ *request = d2i_X509_REQ(NULL, &at, len);

    if (request != NULL && at != der + len) {
        X509_REQ_free(request);
        request = NULL;
    }
    return request;
}

static X509_REQ *parse_block(struct str pem)
{
    BIO *input = BIO_new_mem_buf(pem.data, (int)pem.len);
    unsigned char *der = NULL;
    X509_REQ *request = NULL;
    long len = 0;

    if (input != NULL && PEM_bytes_read_bio(&der, &len, NULL, PEM_STRING_X509_REQ, input,
                                            refuse_password, NULL) == 1)
        request = parse_der(der, len);
    OPENSSL_free(der);
    BIO_free(input);
    ERR_clear_error(); /* NULL says it all */
    return request;
}

/* ---- the key ---- */

static bool bytes_of(const EVP_PKEY *pkey, const char *parameter, uint8_t *out, size_t max,
                     struct str *bytes)
{
    BIGNUM *number = NULL;
    bool fits =
        EVP_PKEY_get_bn_param(pkey, parameter, &number) == 1 && (size_t)BN_num_bytes(number) <= max;

    if (fits)
        *bytes = (struct str){ (const char *)out, (size_t)BN_bn2bin(number, out) };
    BN_free(number);
    return fits;
}

static bool keep_public(struct certificate_request *request, struct str bits, struct error *error)
{
    request->public = OPENSSL_memdup(bits.data, bits.len);
    request->public_len = (int)bits.len;
    return request->public != NULL || error_set(error, ERROR_MEMORY, "a certificate request");
}

static bool take_rsa(const EVP_PKEY *pkey, struct certificate_request *request, struct error *error)
{
    uint8_t modulus[RSA_BYTES_MAX];
    uint8_t exponent[RSA_EXPONENT_BYTES_MAX];
    struct str n;
    struct str e;

    if (EVP_PKEY_get_bits(pkey) > RSA_BITS_MAX ||
        !bytes_of(pkey, OSSL_PKEY_PARAM_RSA_N, modulus, sizeof(modulus), &n) ||
        !bytes_of(pkey, OSSL_PKEY_PARAM_RSA_E, exponent, sizeof(exponent), &e))
        return error_set(error, ERROR_INVALID, "an RSA key of more than %d bits", RSA_BITS_MAX);
    if (!public_key_rsa(n, e, &request->pkey, error))
        return false;
    request->algorithm = NID_rsaEncryption;
    request->public_len = i2d_PublicKey(request->pkey, &request->public);
    return request->public_len > 0 || error_set_openssl(error, "an RSA key");
}

/* Curves by name only: parameters that are written out can be anybody's. */
static bool find_curve(const EVP_PKEY *pkey, enum ecdsa_curve *curve)
{
    char group[32] = "";
    int is_explicit = 1;
    size_t len = 0;

    if (EVP_PKEY_get_int_param(pkey, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS,
                               &is_explicit) != 1 ||
        is_explicit != 0 || EVP_PKEY_get_group_name(pkey, group, sizeof(group), &len) != 1)
        return false;
    *curve = strcmp(group, "prime256v1") == 0 ? ECDSA_P256 : ECDSA_P384;
    return *curve == ECDSA_P256 || strcmp(group, "secp384r1") == 0;
}

static bool take_ec(const EVP_PKEY *pkey, struct certificate_request *request, struct error *error)
{
    uint8_t point[PUBLIC_KEY_POINT_MAX];
    enum ecdsa_curve curve;
    struct str bits;
    size_t half;
    BIGNUM *x = NULL;
    BIGNUM *y = NULL;
    bool is_good;

    if (!find_curve(pkey, &curve))
        return error_set(error, ERROR_INVALID, "an EC key that is not on P-256 or P-384 by name");
    half = ecdsa_raw_len(curve) / 2;
    is_good = EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_EC_PUB_X, &x) == 1 &&
              EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_EC_PUB_Y, &y) == 1 &&
              BN_bn2binpad(x, point + 1, (int)half) == (int)half &&
              BN_bn2binpad(y, point + 1 + half, (int)half) == (int)half;
    point[0] = 0x04;
    BN_free(x);
    BN_free(y);
    if (!is_good)
        return error_set_openssl(error, "an EC key's point");
    request->algorithm = NID_X9_62_id_ecPublicKey;
    request->curve = curve == ECDSA_P256 ? NID_X9_62_prime256v1 : NID_secp384r1;
    bits = (struct str){ (const char *)point, 1 + 2 * half };
    return public_key_ec(curve, bits, &request->pkey, error) && keep_public(request, bits, error);
}

static bool take_ed25519(const EVP_PKEY *pkey, struct certificate_request *request,
                         struct error *error)
{
    uint8_t point[PUBLIC_KEY_ED25519_LEN];
    size_t len = sizeof(point);
    struct str bits;

    if (EVP_PKEY_get_raw_public_key(pkey, point, &len) != 1)
        return error_set_openssl(error, "an Ed25519 key's point");
    request->algorithm = NID_ED25519;
    bits = (struct str){ (const char *)point, len };
    return public_key_ed25519(bits, &request->pkey, error) && keep_public(request, bits, error);
}

static const struct {
    const char *name;
    bool (*take)(const EVP_PKEY *pkey, struct certificate_request *request, struct error *error);
} key_kinds[] = {
    { "EC", take_ec },
    { "ED25519", take_ed25519 },
    { "RSA", take_rsa },
};

/* The key is made anew of its numbers alone, by the checks that every key passes. */
static bool take_key(X509_REQ *parsed, struct certificate_request *request, struct error *error)
{
    const EVP_PKEY *pkey = X509_REQ_get0_pubkey(parsed);

    for (size_t i = 0; pkey != NULL && i < COUNT(key_kinds); i++)
        if (EVP_PKEY_is_a(pkey, key_kinds[i].name) == 1)
            return key_kinds[i].take(pkey, request, error);
    ERR_clear_error();
    return error_set(error, ERROR_INVALID, "a key that is not EC, Ed25519 or RSA");
}

/* ---- its proof ---- */

static bool is_signed_well(const X509_REQ *request)
{
    static const int algorithms[] = {
        NID_ecdsa_with_SHA256,
        NID_ecdsa_with_SHA384,
        NID_ecdsa_with_SHA512,
        NID_sha256WithRSAEncryption,
        NID_sha384WithRSAEncryption,
        NID_sha512WithRSAEncryption,
        NID_ED25519,
    };
    int used = X509_REQ_get_signature_nid(request);

    for (size_t i = 0; i < COUNT(algorithms); i++)
        if (algorithms[i] == used)
            return true;
    return false;
}

static bool check_proof(X509_REQ *request, EVP_PKEY *pkey, struct error *error)
{
    int outcome;

    if (!is_signed_well(request))
        return error_set(error, ERROR_INVALID, "not signed with SHA-256 or better");
    outcome = X509_REQ_verify(request, pkey);
    ERR_clear_error();
    return outcome == 1 ||
           error_set(error, ERROR_INVALID, "its signature is not by the key that it names");
}

bool certificate_request_parse(struct str pem, struct certificate_request **request,
                               struct error *error)
{
    OWNED(x509_req_free) X509_REQ *parsed = NULL;
    OWNED(certificate_request_free) struct certificate_request *made = NULL;
    struct str block = str_trim(pem);

    if (pem.len > CERTIFICATE_REQUEST_MAX)
        return error_set(error, ERROR_LIMIT, "larger than %zu bytes", CERTIFICATE_REQUEST_MAX);
    if (!str_starts_with(block, STR(PEM_FIRST_LINE)) || !str_ends_with(block, STR(PEM_LAST_LINE)) ||
        str_contains(str_slice(block, 1, block.len), STR("-----BEGIN")))
        return error_set(error, ERROR_SYNTAX, "expected one block of PEM, CERTIFICATE REQUEST");
    parsed = parse_block(block);
    if (parsed == NULL)
        return error_set(error, ERROR_SYNTAX, "no certificate request");
    made = calloc(1, sizeof(*made));
    if (made == NULL)
        return error_set(error, ERROR_MEMORY, "a certificate request");
    if (!take_key(parsed, made, error) || !check_proof(parsed, made->pkey, error))
        return false;
    *request = TAKE(made);
    return true;
}

void certificate_request_free(struct certificate_request *request)
{
    if (request == NULL)
        return;
    EVP_PKEY_free(request->pkey);
    OPENSSL_free(request->public);
    free(request);
}

/* RFC 3279 2.3.1, RFC 5480 2.1.1, RFC 8410 3: NULL, the curve, or nothing. */
bool certificate_request_put(const struct certificate_request *request, X509 *certificate)
{
    unsigned char *bits = OPENSSL_memdup(request->public, (size_t)request->public_len);
    int type = V_ASN1_UNDEF;
    void *parameter = NULL;

    if (request->curve != 0) {
        type = V_ASN1_OBJECT;
        parameter = OBJ_nid2obj(request->curve);
    } else if (request->algorithm == NID_rsaEncryption) {
        type = V_ASN1_NULL;
    }
    if (bits != NULL &&
        X509_PUBKEY_set0_param(X509_get_X509_PUBKEY(certificate), OBJ_nid2obj(request->algorithm),
                               type, parameter, bits, request->public_len) == 1)
        return true;
    OPENSSL_free(bits);
    return false;
}

/* ---- asking elsewhere ---- */

static bool add_pem(X509_REQ *request, struct buf *pem)
{
    BIO *output = BIO_new(BIO_s_mem());

    return pem_take(output, output != NULL ? PEM_write_bio_X509_REQ(output, request) : 0, pem);
}

bool certificate_request_write(struct str common_name, struct key *key, struct buf *pem,
                               struct error *error)
{
    OWNED(x509_req_free) X509_REQ *request = X509_REQ_new();

    if (request == NULL || X509_REQ_set_version(request, X509_REQ_VERSION_1) != 1 ||
        X509_NAME_add_entry_by_NID(X509_REQ_get_subject_name(request), NID_commonName,
                                   MBSTRING_UTF8, (const unsigned char *)common_name.data,
                                   (int)common_name.len, -1, 0) != 1 ||
        X509_REQ_set_pubkey(request, key->pool.pkey) != 1)
        return error_set_openssl(error, "making a certificate request");
    if (!x509_sign_request(request, key, error))
        return false;
    return add_pem(request, pem) || error_set_openssl(error, "writing a certificate request");
}
