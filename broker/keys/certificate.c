#include "keys/certificate.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/secret.h"
#include "keys/certificate_internal.h"
#include "keys/certificate_request.h"
#include "keys/key.h"
#include "keys/pem.h"
#include "keys/x509_signature.h"

#define SERIAL_BYTES (CERTIFICATE_SERIAL_LEN / 2)
#define KEY_ID_BYTES ((size_t)20)
#define DIGITAL_SIGNATURE 0 /* bits of keyUsage */
#define KEY_CERT_SIGN 5
#define CRL_SIGN 6
/* No name ends so (RFC 6761 6.4): permitting this permits none. */
#define NOWHERE ".invalid"

static inline void general_names_free(GENERAL_NAMES *names)
{
    GENERAL_NAMES_free(names);
}

OWNED_POINTER(general_names_free, GENERAL_NAMES)

static inline void name_constraints_free(NAME_CONSTRAINTS *constraints)
{
    NAME_CONSTRAINTS_free(constraints);
}

OWNED_POINTER(name_constraints_free, NAME_CONSTRAINTS)

/* ---- what is checked of a plan ---- */

static bool is_ascii(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] <= ' ' || text.data[i] > '~')
            return false;
    return text.len > 0;
}

static bool check_plan(const struct certificate_plan *plan, struct error *error)
{
    if (plan->name_count == 0 && plan->common_name.len == 0)
        return error_set(error, ERROR_INVALID, "a certificate without a name");
    if (plan->name_count > CERTIFICATE_NAMES_MAX || plan->common_name.len > 64 ||
        str_has_control(plan->common_name))
        return error_set(error, ERROR_INVALID, "a certificate with too long a name, or too many");
    for (size_t i = 0; i < plan->name_count; i++)
        if (!is_ascii(plan->names[i].text))
            return error_set(error, ERROR_INVALID, "a certificate's name that is not plain text");
    if (plan->uses == 0)
        return error_set(error, ERROR_INVALID, "a certificate that is good for nothing");
    if (plan->valid_before_s <= plan->now_s)
        return error_set(error, ERROR_INVALID, "a certificate that has ended already");
    return true;
}

/* ---- the parts that all have ---- */

/* 128 random bits, but never eight zeros in front, so that all are written alike. */
static bool set_serial(X509 *certificate, struct error *error)
{
    uint8_t bytes[SERIAL_BYTES];
    BIGNUM *number;
    bool is_set;

    do {
        if (!secret_random(bytes, sizeof(bytes), error))
            return false;
    } while (bytes[0] == 0);
    number = BN_bin2bn(bytes, sizeof(bytes), NULL);
    is_set =
        number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL;
    BN_free(number);
    return is_set || error_set_openssl(error, "a certificate's serial");
}

static bool set_subject(X509 *certificate, struct str common_name)
{
    return common_name.len == 0 ||
           X509_NAME_add_entry_by_NID(X509_get_subject_name(certificate), NID_commonName,
                                      MBSTRING_UTF8, (const unsigned char *)common_name.data,
                                      (int)common_name.len, -1, 0) == 1;
}

static bool set_times(X509 *certificate, int64_t now_s, int64_t valid_before_s)
{
    /* the last second counts as valid: RFC 5280 4.1.2.5 */
    return ASN1_TIME_set(X509_getm_notBefore(certificate), now_s - CERTIFICATE_BACKDATED_S) !=
               NULL &&
           ASN1_TIME_set(X509_getm_notAfter(certificate), valid_before_s - 1) != NULL;
}

static bool add(X509 *certificate, int nid, void *value, bool is_critical)
{
    return value != NULL &&
           X509_add1_ext_i2d(certificate, nid, value, is_critical, X509V3_ADD_DEFAULT) == 1;
}

static bool add_basic_constraints(X509 *certificate, bool is_authority, int path_length)
{
    BASIC_CONSTRAINTS *constraints = BASIC_CONSTRAINTS_new();
    bool is_good = constraints != NULL;

    if (is_good && is_authority) {
        constraints->ca = 0xff;
        constraints->pathlen = ASN1_INTEGER_new();
        is_good = constraints->pathlen != NULL &&
                  ASN1_INTEGER_set(constraints->pathlen, path_length) == 1;
    }
    is_good = is_good && add(certificate, NID_basic_constraints, constraints, true);
    BASIC_CONSTRAINTS_free(constraints);
    return is_good;
}

static bool add_key_usage(X509 *certificate, bool is_authority)
{
    ASN1_BIT_STRING *bits = ASN1_BIT_STRING_new();
    bool is_good = bits != NULL;

    if (is_authority)
        is_good = is_good && ASN1_BIT_STRING_set_bit(bits, KEY_CERT_SIGN, 1) == 1 &&
                  ASN1_BIT_STRING_set_bit(bits, CRL_SIGN, 1) == 1;
    else
        is_good = is_good && ASN1_BIT_STRING_set_bit(bits, DIGITAL_SIGNATURE, 1) == 1;
    is_good = is_good && add(certificate, NID_key_usage, bits, true);
    ASN1_BIT_STRING_free(bits);
    return is_good;
}

/* The first bytes of the key's SHA-256: RFC 7093 2. */
static bool add_key_id(X509 *certificate)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    ASN1_OCTET_STRING *id = ASN1_OCTET_STRING_new();
    unsigned len = 0;
    bool is_good = id != NULL && X509_pubkey_digest(certificate, EVP_sha256(), digest, &len) == 1 &&
                   ASN1_OCTET_STRING_set(id, digest, KEY_ID_BYTES) == 1 &&
                   add(certificate, NID_subject_key_identifier, id, false);

    ASN1_OCTET_STRING_free(id);
    return is_good;
}

static bool add_authority_key_id(X509 *certificate, X509 *issuer)
{
    const ASN1_OCTET_STRING *id = X509_get0_subject_key_id(issuer);
    AUTHORITY_KEYID *authority = AUTHORITY_KEYID_new();
    bool is_good = authority != NULL && id != NULL;

    if (is_good)
        authority->keyid = ASN1_OCTET_STRING_dup(id);
    is_good = is_good && authority->keyid != NULL &&
              add(certificate, NID_authority_key_identifier, authority, false);
    AUTHORITY_KEYID_free(authority);
    return is_good;
}

/* ---- names ---- */

static bool set_ia5(GENERAL_NAME *name, int type, struct str text)
{
    ASN1_IA5STRING *value = ASN1_IA5STRING_new();

    if (value == NULL || ASN1_STRING_set(value, text.data, (int)text.len) != 1) {
        ASN1_IA5STRING_free(value);
        return false;
    }
    GENERAL_NAME_set0_value(name, type, value);
    return true;
}

static GENERAL_NAME *general_name(enum certificate_name_kind kind, struct str text)
{
    GENERAL_NAME *name = GENERAL_NAME_new();

    if (name != NULL && set_ia5(name, kind == CERTIFICATE_DNS ? GEN_DNS : GEN_URI, text))
        return name;
    GENERAL_NAME_free(name);
    return NULL;
}

static bool add_name(GENERAL_NAMES *names, enum certificate_name_kind kind, struct str text)
{
    GENERAL_NAME *name = general_name(kind, text);

    if (name != NULL && sk_GENERAL_NAME_push(names, name) > 0)
        return true;
    GENERAL_NAME_free(name);
    return false;
}

static bool add_names(X509 *certificate, const struct certificate_plan *plan)
{
    OWNED(general_names_free) GENERAL_NAMES *names = GENERAL_NAMES_new();

    if (plan->name_count == 0)
        return true;
    for (size_t i = 0; i < plan->name_count; i++)
        if (names == NULL || !add_name(names, plan->names[i].kind, plan->names[i].text))
            return false;
    return add(certificate, NID_subject_alt_name, names, plan->common_name.len == 0);
}

/* ---- what it is good for, and where it is taken back ---- */

static const struct {
    enum certificate_use use;
    int nid;
} uses[] = {
    { CERTIFICATE_SERVER, NID_server_auth },
    { CERTIFICATE_CLIENT, NID_client_auth },
    { CERTIFICATE_CODE_SIGNING, NID_code_sign },
};

static bool add_uses(X509 *certificate, unsigned wanted)
{
    EXTENDED_KEY_USAGE *list = sk_ASN1_OBJECT_new_null();
    bool is_good = list != NULL;

    for (size_t i = 0; is_good && i < COUNT(uses); i++)
        if ((wanted & uses[i].use) != 0)
            is_good = sk_ASN1_OBJECT_push(list, OBJ_nid2obj(uses[i].nid)) > 0;
    is_good = is_good && add(certificate, NID_ext_key_usage, list, false);
    sk_ASN1_OBJECT_pop_free(list, ASN1_OBJECT_free);
    return is_good;
}

static DIST_POINT *distribution_point(struct str url)
{
    DIST_POINT *point = DIST_POINT_new();

    if (point == NULL)
        return NULL;
    point->distpoint = DIST_POINT_NAME_new();
    if (point->distpoint != NULL) {
        point->distpoint->type = 0; /* fullName */
        point->distpoint->name.fullname = GENERAL_NAMES_new();
        if (point->distpoint->name.fullname != NULL &&
            add_name(point->distpoint->name.fullname, CERTIFICATE_URI, url))
            return point;
    }
    DIST_POINT_free(point);
    return NULL;
}

static bool add_crl_url(X509 *certificate, struct str url)
{
    CRL_DIST_POINTS *points = NULL;
    DIST_POINT *point = NULL;
    bool is_good;

    if (url.len == 0)
        return true;
    points = CRL_DIST_POINTS_new();
    point = distribution_point(url);
    is_good = points != NULL && point != NULL && sk_DIST_POINT_push(points, point) > 0;
    if (!is_good)
        DIST_POINT_free(point);
    is_good = is_good && add(certificate, NID_crl_distribution_points, points, false);
    CRL_DIST_POINTS_free(points);
    return is_good;
}

static bool add_own(X509 *certificate, const struct certificate_extension *row)
{
    ASN1_OBJECT *oid = OBJ_txt2obj(row->oid, 1);
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    X509_EXTENSION *extension = NULL;
    bool is_good = oid != NULL && value != NULL &&
                   ASN1_OCTET_STRING_set(value, (const unsigned char *)row->value.data,
                                         (int)row->value.len) == 1;

    if (is_good)
        extension = X509_EXTENSION_create_by_OBJ(NULL, oid, 0, value);
    is_good = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(value);
    ASN1_OBJECT_free(oid);
    return is_good;
}

static bool add_all_own(X509 *certificate, const struct certificate_plan *plan)
{
    for (size_t i = 0; i < plan->extension_count; i++)
        if (!add_own(certificate, &plan->extensions[i]))
            return false;
    return true;
}

/* ---- name constraints ---- */

static bool add_subtree(STACK_OF(GENERAL_SUBTREE) * *list, GENERAL_NAME *base)
{
    GENERAL_SUBTREE *subtree = GENERAL_SUBTREE_new();

    if (*list == NULL)
        *list = sk_GENERAL_SUBTREE_new_null();
    if (subtree == NULL || *list == NULL || base == NULL ||
        sk_GENERAL_SUBTREE_push(*list, subtree) <= 0) {
        GENERAL_SUBTREE_free(subtree);
        GENERAL_NAME_free(base);
        return false;
    }
    GENERAL_NAME_free(subtree->base);
    subtree->base = base;
    return true;
}

/* All addresses of a family: as many zeros as address and mask have bytes. */
static GENERAL_NAME *all_addresses(size_t bytes)
{
    static const unsigned char zeros[32];
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_OCTET_STRING *range = ASN1_OCTET_STRING_new();

    if (name == NULL || range == NULL || ASN1_OCTET_STRING_set(range, zeros, (int)bytes) != 1) {
        GENERAL_NAME_free(name);
        ASN1_OCTET_STRING_free(range);
        return NULL;
    }
    GENERAL_NAME_set0_value(name, GEN_IPADD, range);
    return name;
}

static bool permit(NAME_CONSTRAINTS *constraints, const struct certificate_authority_plan *plan,
                   enum certificate_name_kind kind)
{
    size_t count = 0;

    for (size_t i = 0; i < plan->permitted_count; i++) {
        if (plan->permitted[i].kind != kind)
            continue;
        if (!add_subtree(&constraints->permittedSubtrees,
                         general_name(kind, plan->permitted[i].text)))
            return false;
        count++;
    }
    return count > 0 ||
           add_subtree(&constraints->permittedSubtrees, general_name(kind, STR(NOWHERE)));
}

static NAME_CONSTRAINTS *constraints_of(const struct certificate_authority_plan *plan)
{
    NAME_CONSTRAINTS *constraints = NAME_CONSTRAINTS_new();

    if (constraints != NULL && permit(constraints, plan, CERTIFICATE_DNS) &&
        permit(constraints, plan, CERTIFICATE_URI) &&
        add_subtree(&constraints->excludedSubtrees, all_addresses(8)) &&
        add_subtree(&constraints->excludedSubtrees, all_addresses(32)))
        return constraints;
    NAME_CONSTRAINTS_free(constraints);
    return NULL;
}

static bool add_constraints(X509 *certificate, const struct certificate_authority_plan *plan)
{
    OWNED(name_constraints_free) NAME_CONSTRAINTS *constraints = NULL;

    if (plan->permitted_count == 0)
        return true;
    constraints = constraints_of(plan);
    return add(certificate, NID_name_constraints, constraints, true);
}

static bool same_bytes(const ASN1_OCTET_STRING *value, const unsigned char *der, int len)
{
    return len > 0 && ASN1_STRING_length(value) == len &&
           memcmp(ASN1_STRING_get0_data(value), der, (size_t)len) == 0;
}

bool certificate_is_constrained_so(const X509 *certificate,
                                   const struct certificate_authority_plan *plan)
{
    int at = X509_get_ext_by_NID(certificate, NID_name_constraints, -1);
    X509 *probe = X509_new();
    int wanted = -1;
    bool is_so = at < 0 && plan->permitted_count == 0;

    if (probe != NULL && at >= 0 && plan->permitted_count > 0 && add_constraints(probe, plan))
        wanted = X509_get_ext_by_NID(probe, NID_name_constraints, -1);
    if (wanted >= 0) {
        const ASN1_OCTET_STRING *own = X509_EXTENSION_get_data(X509_get_ext(probe, wanted));

        is_so = same_bytes(X509_EXTENSION_get_data(X509_get_ext(certificate, at)),
                           ASN1_STRING_get0_data(own), ASN1_STRING_length(own));
    }
    X509_free(probe);
    ERR_clear_error();
    return is_so;
}

/*
 * What its signer must not sign nobody would take: better refused here. Behind signing, since
 * OpenSSL reads the extensions of a certificate once.
 */
static bool check_constraints(X509 *certificate, const X509 *issuer, struct error *error)
{
    OWNED(name_constraints_free) NAME_CONSTRAINTS *constraints =
        X509_get_ext_d2i(issuer, NID_name_constraints, NULL, NULL);

    if (constraints == NULL && X509_get_ext_by_NID(issuer, NID_name_constraints, -1) < 0)
        return true;
    if (constraints == NULL || X509_check_purpose(certificate, -1, 0) != 1 ||
        NAME_CONSTRAINTS_check(certificate, constraints) != X509_V_OK ||
        NAME_CONSTRAINTS_check_CN(certificate, constraints) != X509_V_OK) {
        ERR_clear_error();
        return error_set(error, ERROR_INVALID,
                         "a name that the signing certificate's name constraints forbid");
    }
    return true;
}

/* ---- signing ---- */

bool certificate_sign(const struct certificate_plan *plan,
                      const struct certificate_request *request,
                      const struct certificate_signer *signer, X509 **certificate,
                      struct error *error)
{
    OWNED(x509_free) X509 *made = X509_new();

    if (!check_plan(plan, error))
        return false;
    if (made == NULL || X509_set_version(made, X509_VERSION_3) != 1 ||
        !set_subject(made, plan->common_name) ||
        X509_set_issuer_name(made, X509_get_subject_name(signer->certificate)) != 1 ||
        !set_times(made, plan->now_s, plan->valid_before_s) ||
        !certificate_request_put(request, made) || !add_basic_constraints(made, false, 0) ||
        !add_key_usage(made, false) || !add_uses(made, plan->uses) || !add_names(made, plan) ||
        !add_key_id(made) || !add_authority_key_id(made, signer->certificate) ||
        !add_crl_url(made, plan->crl_url) || !add_all_own(made, plan))
        return error_set_openssl(error, "making a certificate");
    if (!set_serial(made, error))
        return false;
    if (!x509_sign_certificate(made, signer->key, error) ||
        !check_constraints(made, signer->certificate, error))
        return false;
    *certificate = TAKE(made);
    return true;
}

bool certificate_sign_authority(const struct certificate_authority_plan *plan, struct key *subject,
                                const struct certificate_signer *signer, X509 **certificate,
                                struct error *error)
{
    OWNED(x509_free) X509 *made = X509_new();
    bool is_root = signer->certificate == NULL;
    X509 *issuer = is_root ? made : signer->certificate;

    if (made == NULL || X509_set_version(made, X509_VERSION_3) != 1 ||
        !set_subject(made, plan->common_name) ||
        X509_set_issuer_name(made, X509_get_subject_name(issuer)) != 1 ||
        !set_times(made, plan->now_s, plan->valid_before_s) ||
        X509_set_pubkey(made, subject->pool.pkey) != 1 ||
        !add_basic_constraints(made, true, plan->path_length) || !add_key_usage(made, true) ||
        !add_key_id(made) || (!is_root && !add_authority_key_id(made, issuer)) ||
        !add_constraints(made, plan))
        return error_set_openssl(error, "making a CA certificate");
    if (!set_serial(made, error))
        return false;
    if (!x509_sign_certificate(made, is_root ? subject : signer->key, error))
        return false;
    *certificate = TAKE(made);
    return true;
}

/* ---- reading one ---- */

bool certificate_write(X509 *certificate, struct buf *pem)
{
    BIO *output = BIO_new(BIO_s_mem());

    return pem_take(output, output != NULL ? PEM_write_bio_X509(output, certificate) : 0, pem);
}

static bool seconds_of(const ASN1_TIME *time, int64_t *out)
{
    struct tm parts = { 0 };

    if (time == NULL || ASN1_TIME_to_tm(time, &parts) != 1)
        return false;
    *out = timegm(&parts);
    return *out > 0;
}

bool certificate_times(const X509 *certificate, int64_t *begins_s, int64_t *ends_s)
{
    if (!seconds_of(X509_get0_notBefore(certificate), begins_s) ||
        !seconds_of(X509_get0_notAfter(certificate), ends_s))
        return false;
    (*ends_s)++; /* the first second after it */
    return true;
}

static bool hex_of(const uint8_t *bytes, size_t len, struct arena *arena, struct str *out)
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, 2 * len + 1);
    buf_add_hex(&text, (struct str){ (const char *)bytes, len });
    *out = arena_copy(arena, buf_str(&text));
    return buf_is_ok(&text) && out->data != NULL;
}

bool certificate_key_id(X509 *certificate, struct arena *arena, struct str *id)
{
    const ASN1_OCTET_STRING *value = X509_get0_subject_key_id(certificate);

    return value != NULL && ASN1_STRING_length(value) > 0 && ASN1_STRING_length(value) <= 64 &&
           hex_of(ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value), arena, id);
}

static bool serial_of(const X509 *certificate, struct arena *arena, struct str *serial)
{
    uint8_t bytes[SERIAL_BYTES];
    BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), NULL);
    bool is_good =
        number != NULL && BN_bn2binpad(number, bytes, sizeof(bytes)) == (int)sizeof(bytes);

    BN_free(number);
    return is_good && hex_of(bytes, sizeof(bytes), arena, serial);
}

bool certificate_tell(X509 *certificate, struct arena *arena, struct certificate *out,
                      struct error *error)
{
    OWNED(buf_release) struct buf pem = { 0 };
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    int64_t begins_s = 0;

    buf_init(&pem, CERTIFICATE_PEM_MAX);
    if (!certificate_write(certificate, &pem) ||
        X509_digest(certificate, EVP_sha256(), digest, &len) != 1 ||
        !certificate_times(certificate, &begins_s, &out->expires_s) ||
        !serial_of(certificate, arena, &out->serial) || !hex_of(digest, len, arena, &out->sha256))
        return error_set_openssl(error, "writing a certificate");
    out->pem = arena_copy(arena, buf_str(&pem));
    return out->pem.data != NULL || error_set(error, ERROR_MEMORY, "a certificate");
}
