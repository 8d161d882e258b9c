#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/buf.h"
#include "base/error.h"
#include "keys/authority_internal.h"
#include "keys/key.h"
#include "keys/x509_signature.h"

/* A revoked one takes 38 bytes. */
#define LIST_MAX ((size_t)32 * 1024 * 1024)
#define NUMBER_BYTES 16

static inline void x509_crl_free(X509_CRL *list)
{
    X509_CRL_free(list);
}

OWNED_POINTER(x509_crl_free, X509_CRL)

static inline void x509_revoked_free(X509_REVOKED *revoked)
{
    X509_REVOKED_free(revoked);
}

OWNED_POINTER(x509_revoked_free, X509_REVOKED)

static inline void asn1_time_free(ASN1_TIME *time)
{
    ASN1_TIME_free(time);
}

OWNED_POINTER(asn1_time_free, ASN1_TIME)

static inline void asn1_integer_free(ASN1_INTEGER *number)
{
    ASN1_INTEGER_free(number);
}

OWNED_POINTER(asn1_integer_free, ASN1_INTEGER)

static ASN1_INTEGER *integer_of(const uint8_t *bytes, int len)
{
    BIGNUM *number = BN_bin2bn(bytes, len, NULL);
    ASN1_INTEGER *integer = number == NULL ? NULL : BN_to_ASN1_INTEGER(number, NULL);

    BN_free(number);
    return integer;
}

static ASN1_INTEGER *serial_from(struct str hex)
{
    char text[CERTIFICATE_SERIAL_LEN + 1] = "";
    ASN1_INTEGER *integer = NULL;
    BIGNUM *number = NULL;

    if (hex.len != CERTIFICATE_SERIAL_LEN || !str_is_made_of(hex, "0123456789abcdef"))
        return NULL;
    memcpy(text, hex.data, hex.len);
    if (BN_hex2bn(&number, text) == (int)CERTIFICATE_SERIAL_LEN)
        integer = BN_to_ASN1_INTEGER(number, NULL);
    BN_free(number);
    return integer;
}

static bool add_revoked(X509_CRL *list, const struct authority_revoked *row, struct error *error)
{
    OWNED(x509_revoked_free) X509_REVOKED *revoked = X509_REVOKED_new();
    OWNED(asn1_integer_free) ASN1_INTEGER *serial = serial_from(row->serial);
    OWNED(asn1_time_free) ASN1_TIME *when = ASN1_TIME_set(NULL, row->revoked_s);

    if (serial == NULL)
        return error_set(error, ERROR_INVALID, "a revoked certificate without a serial of ours");
    if (revoked == NULL || when == NULL || X509_REVOKED_set_serialNumber(revoked, serial) != 1 ||
        X509_REVOKED_set_revocationDate(revoked, when) != 1 ||
        X509_CRL_add0_revoked(list, revoked) != 1)
        return error_set_openssl(error, "a list's row");
    revoked = NULL;
    return true;
}

static bool add_all(X509_CRL *list, const struct authority_list_plan *plan, struct str issuer,
                    struct error *error)
{
    for (size_t i = 0; i < plan->count; i++)
        if (str_eq(plan->revoked[i].issuer, issuer) && !add_revoked(list, &plan->revoked[i], error))
            return false;
    return X509_CRL_sort(list) == 1 || error_set_openssl(error, "sorting a list");
}

static bool set_times(X509_CRL *list, const struct authority_list_plan *plan)
{
    OWNED(asn1_time_free) ASN1_TIME *now = ASN1_TIME_set(NULL, plan->now_s);
    OWNED(asn1_time_free) ASN1_TIME *next = ASN1_TIME_set(NULL, plan->next_s);

    return now != NULL && next != NULL && X509_CRL_set1_lastUpdate(list, now) == 1 &&
           X509_CRL_set1_nextUpdate(list, next) == 1;
}

/* It grows with the log, and with time where the log does not: on all brokers alike. */
static bool set_number(X509_CRL *list, const struct authority_list_plan *plan)
{
    OWNED(buf_release) struct buf bytes = { 0 };
    OWNED(asn1_integer_free) ASN1_INTEGER *number = NULL;

    buf_init(&bytes, NUMBER_BYTES);
    buf_add_u64(&bytes, plan->size);
    buf_add_u64(&bytes, (uint64_t)plan->now_s);
    if (buf_is_ok(&bytes))
        number = integer_of((const uint8_t *)bytes.data, NUMBER_BYTES);
    return number != NULL &&
           X509_CRL_add1_ext_i2d(list, NID_crl_number, number, 0, X509V3_ADD_DEFAULT) == 1;
}

static bool set_authority_key_id(X509_CRL *list, X509 *issuer)
{
    AUTHORITY_KEYID *authority = AUTHORITY_KEYID_new();
    bool is_good = authority != NULL;

    if (is_good)
        authority->keyid = ASN1_OCTET_STRING_dup(X509_get0_subject_key_id(issuer));
    is_good = is_good && authority->keyid != NULL &&
              X509_CRL_add1_ext_i2d(list, NID_authority_key_identifier, authority, 0,
                                    X509V3_ADD_DEFAULT) == 1;
    AUTHORITY_KEYID_free(authority);
    return is_good;
}

static bool copy_bio(BIO *output, struct arena *arena, struct str *out)
{
    const char *data = NULL;
    long len = BIO_get_mem_data(output, &data);

    if (len > 0 && (size_t)len <= LIST_MAX)
        *out = arena_copy(arena, (struct str){ data, (size_t)len });
    return out->data != NULL;
}

static bool write_list(X509_CRL *list, struct arena *arena, struct authority_list *out,
                       struct error *error)
{
    BIO *der = BIO_new(BIO_s_mem());
    BIO *pem = BIO_new(BIO_s_mem());
    bool is_good = der != NULL && pem != NULL && i2d_X509_CRL_bio(der, list) == 1 &&
                   PEM_write_bio_X509_CRL(pem, list) == 1 && copy_bio(der, arena, &out->der) &&
                   copy_bio(pem, arena, &out->pem);

    BIO_free(der);
    BIO_free(pem);
    return is_good || error_set(error, ERROR_MEMORY, "no memory for a list of revoked ones");
}

static bool sign_list(const struct certificate_signer *signer, struct str issuer,
                      const struct authority_list_plan *plan, struct arena *arena,
                      struct authority_list *out, struct error *error)
{
    OWNED(x509_crl_free) X509_CRL *list = X509_CRL_new();

    if (list == NULL || X509_CRL_set_version(list, X509_CRL_VERSION_2) != 1 ||
        X509_CRL_set_issuer_name(list, X509_get_subject_name(signer->certificate)) != 1 ||
        !set_times(list, plan) || !set_authority_key_id(list, signer->certificate) ||
        !set_number(list, plan))
        return error_set_openssl(error, "making a list of revoked ones");
    if (!add_all(list, plan, issuer, error))
        return false;
    return x509_sign_list(list, signer->key, error) && write_list(list, arena, out, error);
}

static bool sign_all(const struct authority_set *set, const struct authority_list_plan *plan,
                     struct arena *arena, struct authority_list *lists, size_t *count,
                     struct error *error)
{
    const struct authority_signer *current = authority_choose(set, plan->now_s);

    for (size_t i = 0; i < set->count; i++) {
        const struct authority_signer *signer = &set->signers[i];
        struct authority_list *out = &lists[(*count)++];

        out->created_s = signer->created_s;
        out->is_current = signer == current;
        if (!sign_list(&signer->self, signer->id, plan, arena, out, error))
            return false;
    }
    return set->root.certificate == NULL ||
           sign_list(&set->root, STR(""), plan, arena, &lists[(*count)++], error);
}

bool authority_sign_lists(struct authority *authority, const struct authority_list_plan *plan,
                          struct arena *arena, struct authority_list **lists, size_t *count,
                          struct error *error)
{
    struct authority_set *set = authority_take(authority);
    bool is_signed;

    *count = 0;
    *lists = arena_alloc_array(arena, AUTHORITY_SIGNERS_MAX + 1, sizeof(**lists));
    is_signed = *lists == NULL ? error_set(error, ERROR_MEMORY, "no memory for lists")
                               : sign_all(set, plan, arena, *lists, count, error);
    authority_give(authority, set);
    return is_signed;
}
