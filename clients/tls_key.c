#include "clients/tls_key.h"

#include <limits.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/error.h"

OWNED_POINTER(EVP_PKEY_free, EVP_PKEY)
OWNED_POINTER(X509_REQ_free, X509_REQ)
OWNED_POINTER(X509_free, X509)
OWNED_POINTER(BIO_free_all, BIO)

static BIO *reading(struct str text)
{
    return text.len <= INT_MAX ? BIO_new_mem_buf(text.data, (int)text.len) : NULL;
}

static EVP_PKEY *parse(const struct tls_key *key)
{
    OWNED(BIO_free_all) BIO *input =
        reading((struct str){ (const char *)key->pem.data, key->pem.len });

    return input ? PEM_read_bio_PrivateKey(input, NULL, NULL, NULL) : NULL;
}

bool tls_key_init(struct tls_key *key, struct error *error)
{
    OWNED(EVP_PKEY_free) EVP_PKEY *pair = EVP_EC_gen("P-256");
    OWNED(BIO_free_all) BIO *output = BIO_new(BIO_s_secmem());
    const char *data = NULL;
    long len = 0;

    if (pair && output &&
        PEM_write_bio_PKCS8PrivateKey(output, pair, NULL, NULL, 0, NULL, NULL) == 1)
        len = BIO_get_mem_data(output, &data);
    if (len <= 0)
        return error_set_openssl(error, "cannot make a key");
    return secret_init_copy(&key->pem, (struct str){ data, (size_t)len }, error);
}

void tls_key_release(struct tls_key *key)
{
    secret_release(&key->pem);
}

bool tls_key_request(const struct tls_key *key, struct arena *arena, struct str *pem,
                     struct error *error)
{
    OWNED(EVP_PKEY_free) EVP_PKEY *pair = parse(key);
    OWNED(X509_REQ_free) X509_REQ *request = X509_REQ_new();
    OWNED(BIO_free_all) BIO *output = BIO_new(BIO_s_mem());
    const char *data = NULL;
    long len = 0;

    if (pair && request && output && X509_REQ_set_version(request, X509_REQ_VERSION_1) == 1 &&
        X509_REQ_set_pubkey(request, pair) == 1 && X509_REQ_sign(request, pair, EVP_sha256()) > 0 &&
        PEM_write_bio_X509_REQ(output, request) == 1)
        len = BIO_get_mem_data(output, &data);
    if (len <= 0)
        return error_set_openssl(error, "cannot ask for a certificate");
    *pem = arena_copy(arena, (struct str){ data, (size_t)len });
    return pem->data || error_set(error, ERROR_MEMORY, "no memory for a request");
}

bool tls_key_fits(const struct tls_key *key, struct str certificate)
{
    OWNED(EVP_PKEY_free) EVP_PKEY *pair = parse(key);
    OWNED(BIO_free_all) BIO *input = reading(certificate);
    OWNED(X509_free) X509 *parsed = input ? PEM_read_bio_X509(input, NULL, NULL, NULL) : NULL;
    bool fits = pair && parsed && X509_check_private_key(parsed, pair) == 1;

    ERR_clear_error();
    return fits;
}
