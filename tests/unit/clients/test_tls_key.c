/* The key of certificates that a client makes, as OpenSSL reads it. */
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/arena.h"
#include "base/error.h"
#include "clients/tls_key.h"
#include "tests/test.h"

#define ARENA_MAX ((size_t)64 * 1024)

struct fixture {
    struct arena *arena;
    struct tls_key key;
};

static int start(void **state)
{
    static struct fixture fixture;
    struct error error = { 0 };

    fixture = (struct fixture){ .arena = arena_new(ARENA_MAX) };
    assert_true(tls_key_init(&fixture.key, &error));
    *state = &fixture;
    return 0;
}

static int stop(void **state)
{
    struct fixture *fixture = *state;

    tls_key_release(&fixture->key);
    arena_free(fixture->arena);
    return 0;
}

static EVP_PKEY *pair_of(const struct tls_key *key)
{
    BIO *input = BIO_new_mem_buf(key->pem.data, (int)key->pem.len);
    EVP_PKEY *pair = PEM_read_bio_PrivateKey(input, NULL, NULL, NULL);

    BIO_free(input);
    assert_non_null(pair);
    return pair;
}

static void a_request_is_by_the_key_and_asks_for_nothing(void **state)
{
    struct fixture *fixture = *state;
    EVP_PKEY *pair = pair_of(&fixture->key);
    struct error error = { 0 };
    struct str pem;
    X509_REQ *request;
    BIO *input;

    assert_true(tls_key_request(&fixture->key, fixture->arena, &pem, &error));
    input = BIO_new_mem_buf(pem.data, (int)pem.len);
    request = PEM_read_bio_X509_REQ(input, NULL, NULL, NULL);
    assert_non_null(request);
    assert_int_equal(X509_REQ_verify(request, pair), 1);
    assert_int_equal(X509_NAME_entry_count(X509_REQ_get_subject_name(request)), 0);
    assert_int_equal(X509_REQ_get_attr_count(request), 0);
    X509_REQ_free(request);
    BIO_free(input);
    EVP_PKEY_free(pair);
}

/* A certificate of a key, by itself. */
static struct str certificate_of(struct fixture *fixture, EVP_PKEY *pair)
{
    X509 *certificate = X509_new();
    BIO *output = BIO_new(BIO_s_mem());
    const char *data = NULL;
    struct str pem;
    long len;

    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(certificate), 0));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(certificate), 60));
    assert_int_equal(X509_set_pubkey(certificate, pair), 1);
    assert_true(X509_sign(certificate, pair, EVP_sha256()) > 0);
    assert_int_equal(PEM_write_bio_X509(output, certificate), 1);
    len = BIO_get_mem_data(output, &data);
    pem = arena_copy(fixture->arena, (struct str){ data, (size_t)len });
    X509_free(certificate);
    BIO_free(output);
    return pem;
}

static void a_certificate_of_another_key_does_not_fit(void **state)
{
    struct fixture *fixture = *state;
    EVP_PKEY *own = pair_of(&fixture->key);
    EVP_PKEY *other = EVP_EC_gen("P-256");

    assert_true(tls_key_fits(&fixture->key, certificate_of(fixture, own)));
    assert_false(tls_key_fits(&fixture->key, certificate_of(fixture, other)));
    assert_false(tls_key_fits(&fixture->key, STR("")));
    assert_false(tls_key_fits(&fixture->key, STR("-----BEGIN CERTIFICATE-----\n")));
    EVP_PKEY_free(own);
    EVP_PKEY_free(other);
}

static void each_key_is_another(void **state)
{
    struct fixture *fixture = *state;
    OWNED(tls_key_release) struct tls_key second = { 0 };
    struct error error = { 0 };

    assert_true(tls_key_init(&second, &error));
    assert_false(str_eq((struct str){ (const char *)second.pem.data, second.pem.len },
                        (struct str){ (const char *)fixture->key.pem.data, fixture->key.pem.len }));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_request_is_by_the_key_and_asks_for_nothing),
        TEST(a_certificate_of_another_key_does_not_fit),
        TEST(each_key_is_another),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
