#include "dev_pki.h"

#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/file.h"
#include "base/str.h"

#define ARENA_MAX ((size_t)512 * 1024)
#define PEM_MAX ((size_t)64 * 1024)
#define SERIAL_BITS 128
#define DAY_S ((int64_t)24 * 3600)
/** So that a peer whose clock is a little behind takes the certificate, too. */
#define BACKDATED_S 300

OWNED_POINTER(X509_free, X509)
OWNED_POINTER(EVP_PKEY_free, EVP_PKEY)
OWNED_POINTER(ASN1_TIME_free, ASN1_TIME)
OWNED_POINTER(BIO_free_all, BIO)

struct extension {
    int nid;
    const char *value; /* as in openssl's x509v3_config */
};

#define EXTENSIONS_MAX 6

/* What is signed: a name and extensions; they end with a value of NULL or when full. */
struct plan {
    const char *name;
    struct extension extensions[EXTENSIONS_MAX];
};

static const struct plan authority = {
    "Stagepass development authority",
    {
        { NID_basic_constraints, "critical,CA:TRUE,pathlen:0" },
        { NID_key_usage, "critical,keyCertSign,cRLSign" },
        { NID_subject_key_identifier, "hash" },
    },
};

static const struct plan server = {
    "Stagepass development broker",
    {
        { NID_basic_constraints, "critical,CA:FALSE" },
        { NID_key_usage, "critical,digitalSignature" },
        { NID_ext_key_usage, "serverAuth" },
        { NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1,IP:::1" },
        { NID_subject_key_identifier, "hash" },
        { NID_authority_key_identifier, "keyid:always" },
    },
};

/* --- what is there ---------------------------------------------------------------------------- */

/* A file that is not there is an empty text. */
static bool read_if_there(struct arena *arena, const char *folder, const char *name,
                          struct str *text, struct error *error)
{
    const char *path = file_join(arena, folder, name);

    *text = STR("");
    if (path == NULL)
        return error_set(error, ERROR_MEMORY, "certificates");
    return access(path, F_OK) != 0 || file_read(arena, path, PEM_MAX, text, error);
}

static X509 *parse_certificate(struct str pem)
{
    OWNED(BIO_free_all) BIO *input = BIO_new_mem_buf(pem.data, (int)pem.len);
    char no_password[] = "";
    X509 *certificate = input == NULL ? NULL : PEM_read_bio_X509(input, NULL, NULL, no_password);

    ERR_clear_error(); /* NULL says it all */
    return certificate;
}

static EVP_PKEY *parse_key(struct str pem)
{
    OWNED(BIO_free_all) BIO *input = BIO_new_mem_buf(pem.data, (int)pem.len);
    char no_password[] = "";
    EVP_PKEY *key = input == NULL ? NULL : PEM_read_bio_PrivateKey(input, NULL, NULL, no_password);

    ERR_clear_error(); /* its words may quote the file */
    return key;
}

static bool is_ours(X509 *certificate)
{
    char name[64] = "";

    return X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name,
                                     sizeof(name)) > 0 &&
           strcmp(name, server.name) == 0;
}

static bool has_life_left(const X509 *certificate, int64_t now_s)
{
    OWNED(ASN1_TIME_free) ASN1_TIME *now = ASN1_TIME_set(NULL, now_s);
    int days = 0;
    int seconds = 0;

    return now != NULL &&
           ASN1_TIME_diff(&days, &seconds, now, X509_get0_notAfter(certificate)) == 1 &&
           days * DAY_S + seconds >= DEV_PKI_RENEW_S;
}

static bool is_good(X509 *certificate, struct str authority_pem, struct str key_pem, int64_t now_s)
{
    OWNED(X509_free) X509 *issuer = parse_certificate(authority_pem);
    OWNED(EVP_PKEY_free) EVP_PKEY *key = parse_key(key_pem);
    bool is_usable = issuer != NULL && key != NULL &&
                     X509_check_private_key(certificate, key) == 1 &&
                     X509_verify(certificate, X509_get0_pubkey(issuer)) == 1 &&
                     has_life_left(certificate, now_s);

    ERR_clear_error(); /* what is not good is made anew */
    return is_usable;
}

static bool look(const char *folder, int64_t now_s, bool *is_needed, struct error *error)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_MAX);
    OWNED(X509_free) X509 *certificate = NULL;
    struct str authority_pem;
    struct str certificate_pem;
    struct str key_pem;

    if (arena == NULL)
        return error_set(error, ERROR_MEMORY, "certificates");
    if (!read_if_there(arena, folder, "ca.pem", &authority_pem, error) ||
        !read_if_there(arena, folder, "tls.crt", &certificate_pem, error) ||
        !read_if_there(arena, folder, "tls.key", &key_pem, error))
        return false;
    certificate = parse_certificate(certificate_pem);
    if (certificate == NULL)
        *is_needed = certificate_pem.len == 0 && key_pem.len == 0;
    else
        *is_needed = is_ours(certificate) && !is_good(certificate, authority_pem, key_pem, now_s);
    return true;
}

/* --- making them ------------------------------------------------------------------------------ */

static bool set_serial(X509 *certificate)
{
    BIGNUM *number = BN_new();
    bool is_set = number != NULL &&
                  BN_rand(number, SERIAL_BITS, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
                  BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL;

    BN_free(number);
    return is_set;
}

static bool set_names(X509 *certificate, const char *name, const X509 *issuer)
{
    X509_NAME *subject = X509_get_subject_name(certificate);

    return X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8,
                                      (const unsigned char *)name, -1, -1, 0) == 1 &&
           X509_set_issuer_name(certificate, X509_get_subject_name(issuer)) == 1;
}

static bool set_times(X509 *certificate, int64_t now_s)
{
    return ASN1_TIME_set(X509_getm_notBefore(certificate), now_s - BACKDATED_S) != NULL &&
           ASN1_TIME_set(X509_getm_notAfter(certificate), now_s + DEV_PKI_LIFE_S) != NULL;
}

static bool add_extensions(X509 *certificate, const struct plan *plan, X509 *issuer)
{
    X509V3_CTX context;
    bool is_good_so_far = true;

    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509V3_set_ctx_nodb(&context);
    for (size_t i = 0; is_good_so_far && i < EXTENSIONS_MAX; i++) {
        const struct extension *row = &plan->extensions[i];
        X509_EXTENSION *extension;

        if (row->value == NULL)
            break;
        extension = X509V3_EXT_nconf_nid(NULL, &context, row->nid, row->value);
        is_good_so_far = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
        X509_EXTENSION_free(extension);
    }
    return is_good_so_far;
}

struct pair {
    X509 *certificate;
    EVP_PKEY *key;
};

static void pair_release(struct pair *pair)
{
    X509_free(pair->certificate);
    EVP_PKEY_free(pair->key);
}

OWNED_VALUE(pair_release, struct pair)

/* `issuer` may be the pair itself. */
static bool sign_plan(const struct plan *plan, const struct pair *issuer, int64_t now_s,
                      struct pair *pair, struct error *error)
{
    pair->key = EVP_EC_gen("P-256");
    pair->certificate = X509_new();
    if (pair->key == NULL || pair->certificate == NULL ||
        X509_set_version(pair->certificate, X509_VERSION_3) != 1 ||
        !set_serial(pair->certificate) ||
        !set_names(pair->certificate, plan->name, issuer->certificate) ||
        !set_times(pair->certificate, now_s) ||
        X509_set_pubkey(pair->certificate, pair->key) != 1 ||
        !add_extensions(pair->certificate, plan, issuer->certificate) ||
        X509_sign(pair->certificate, issuer->key, EVP_sha256()) == 0)
        return error_set_openssl(error, "make a development certificate");
    return true;
}

static bool write_file(const char *folder, const char *name, BIO *pem, unsigned mode,
                       struct error *error)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_MAX);
    const char *path = arena == NULL ? NULL : file_join(arena, folder, name);
    char *data = NULL;
    long len = BIO_get_mem_data(pem, &data);

    if (path == NULL || data == NULL || len <= 0)
        return error_set(error, ERROR_MEMORY, "certificates");
    return file_replace(path, (struct str){ data, (size_t)len }, mode, error);
}

static bool write_certificate(const char *folder, const char *name, X509 *certificate,
                              struct error *error)
{
    OWNED(BIO_free_all) BIO *pem = BIO_new(BIO_s_mem());

    if (pem == NULL || PEM_write_bio_X509(pem, certificate) != 1)
        return error_set_openssl(error, "write a development certificate");
    return write_file(folder, name, pem, 0644, error);
}

static bool write_key(const char *folder, const char *name, EVP_PKEY *key, struct error *error)
{
    OWNED(BIO_free_all) BIO *pem = BIO_new(BIO_s_secmem());

    if (pem == NULL || PEM_write_bio_PrivateKey(pem, key, NULL, NULL, 0, NULL, NULL) != 1)
        return error_set_openssl(error, "write a development key");
    return write_file(folder, name, pem, 0600, error);
}

/* Certificate first: what a crash leaves is then seen to be ours and not to fit, and made anew. */
static bool make(const char *folder, int64_t now_s, struct error *error)
{
    OWNED(pair_release) struct pair signing = { 0 };
    OWNED(pair_release) struct pair serving = { 0 };

    return sign_plan(&authority, &signing, now_s, &signing, error) &&
           sign_plan(&server, &signing, now_s, &serving, error) &&
           write_certificate(folder, "tls.crt", serving.certificate, error) &&
           write_key(folder, "tls.key", serving.key, error) &&
           write_certificate(folder, "ca.pem", signing.certificate, error);
}

bool dev_pki_prepare(const char *folder, int64_t now_s, struct error *error)
{
    bool is_needed = false;

    return look(folder, now_s, &is_needed, error) && (!is_needed || make(folder, now_s, error));
}
