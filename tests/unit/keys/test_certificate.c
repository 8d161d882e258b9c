/* Requests: whose key is taken, and that nothing else is. */
#include <stdlib.h>
#include <string.h>

#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "base/arena.h"
#include "base/error.h"
#include "keys/certificate_internal.h"
#include "keys/certificate_request.h"
#include "tests/test.h"

static struct arena *arena;

static int start(void **state)
{
    (void)state;
    arena = arena_new(ARENA_REQUEST_MAX);
    return arena == NULL ? -1 : 0;
}

static int stop(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static struct str pem_of(X509_REQ *request)
{
    BIO *output = BIO_new(BIO_s_mem());
    const char *data = NULL;
    struct str pem;
    long len;

    assert_int_equal(PEM_write_bio_X509_REQ(output, request), 1);
    len = BIO_get_mem_data(output, &data);
    pem = arena_copy(arena, (struct str){ data, (size_t)len });
    assert_non_null(pem.data);
    BIO_free(output);
    return pem;
}

static void ask_for_more(X509_REQ *request)
{
    static const struct {
        int nid;
        const char *value;
    } rows[] = {
        { NID_basic_constraints, "critical,CA:TRUE" },
        { NID_key_usage, "critical,keyCertSign,cRLSign" },
        { NID_subject_alt_name, "DNS:victim.example,URI:spiffe://victim.example/x" },
        { NID_ext_key_usage, "codeSigning,OCSPSigning" },
    };
    STACK_OF(X509_EXTENSION) *extensions = sk_X509_EXTENSION_new_null();

    for (size_t i = 0; i < COUNT(rows); i++)
        assert_true(sk_X509_EXTENSION_push(extensions, X509V3_EXT_nconf_nid(NULL, NULL, rows[i].nid,
                                                                            rows[i].value)) > 0);
    assert_int_equal(X509_REQ_add_extensions(request, extensions), 1);
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
}

/* A request for `pkey`, signed by `signer`; it asks for whatever it likes. */
static struct str request_for(EVP_PKEY *pkey, EVP_PKEY *signer, const EVP_MD *digest)
{
    X509_REQ *request = X509_REQ_new();
    struct str pem;

    assert_int_equal(X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(request), "CN",
                                                MBSTRING_ASC, (const unsigned char *)"root", -1, -1,
                                                0),
                     1);
    ask_for_more(request);
    assert_int_equal(X509_REQ_set_pubkey(request, pkey), 1);
    assert_true(X509_REQ_sign(request, signer, digest) > 0);
    pem = pem_of(request);
    X509_REQ_free(request);
    return pem;
}

static EVP_PKEY *make_key(const char *type, const char *group, size_t bits)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *pkey = NULL;

    assert_int_equal(EVP_PKEY_keygen_init(context), 1);
    if (group != NULL)
        assert_int_equal(EVP_PKEY_CTX_set_group_name(context, group), 1);
    if (bits != 0)
        assert_int_equal(EVP_PKEY_CTX_set_rsa_keygen_bits(context, (int)bits), 1);
    assert_int_equal(EVP_PKEY_generate(context, &pkey), 1);
    EVP_PKEY_CTX_free(context);
    return pkey;
}

/* The request's key is the one, also as a certificate has it, whose bytes OpenSSL would write. */
static void assert_in_certificate(const struct certificate_request *request, EVP_PKEY *pkey)
{
    X509 *made = X509_new();
    X509 *expected = X509_new();
    unsigned char *der[2] = { NULL, NULL };
    int len;

    assert_int_equal(EVP_PKEY_eq(request->pkey, pkey), 1);
    assert_true(certificate_request_put(request, made));
    assert_int_equal(X509_set_pubkey(expected, pkey), 1);
    len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(made), &der[0]);
    assert_true(len > 0);
    assert_int_equal(i2d_X509_PUBKEY(X509_get_X509_PUBKEY(expected), &der[1]), len);
    assert_memory_equal(der[0], der[1], (size_t)len);
    OPENSSL_free(der[0]);
    OPENSSL_free(der[1]);
    X509_free(made);
    X509_free(expected);
}

static void keys_of_the_floor_and_above_are_taken(void **state)
{
    static const struct {
        const char *type;
        const char *group;
        size_t bits;
        bool is_taken;
    } cases[] = {
        { "EC", "P-256", 0, true },      { "EC", "P-384", 0, true },
        { "ED25519", NULL, 0, true },    { "RSA", NULL, 2048, true },
        { "RSA", NULL, 4096, true },     { "EC", "P-521", 0, false },
        { "EC", "secp256k1", 0, false }, { "EC", "P-224", 0, false },
        { "ED448", NULL, 0, false },     { "RSA", NULL, 2040, false },
        { "RSA", NULL, 4104, false },    { "RSA-PSS", NULL, 2048, false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        EVP_PKEY *pkey = make_key(cases[i].type, cases[i].group, cases[i].bits);
        bool has_digest = strncmp(cases[i].type, "ED", 2) != 0;
        struct str pem = request_for(pkey, pkey, has_digest ? EVP_sha256() : NULL);
        struct certificate_request *request = NULL;
        struct error error = { 0 };
        bool is_taken = certificate_request_parse(pem, &request, &error);

        if (is_taken != cases[i].is_taken)
            fail_msg("%s %s %zu: %s", cases[i].type, cases[i].group ? cases[i].group : "",
                     cases[i].bits, error.cause);
        if (is_taken)
            assert_in_certificate(request, pkey);
        else
            assert_int_equal(error.code, ERROR_INVALID);
        certificate_request_free(request);
        EVP_PKEY_free(pkey);
    }
}

static void curves_are_taken_by_name_only(void **state)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    struct certificate_request *request = NULL;
    struct error error = { 0 };
    EVP_PKEY *pkey = NULL;

    (void)state;
    assert_int_equal(EVP_PKEY_keygen_init(context), 1);
    assert_int_equal(EVP_PKEY_CTX_set_group_name(context, "P-256"), 1);
    assert_int_equal(EVP_PKEY_CTX_set_ec_param_enc(context, 0), 1); /* explicit parameters */
    assert_int_equal(EVP_PKEY_generate(context, &pkey), 1);
    assert_false(
        certificate_request_parse(request_for(pkey, pkey, EVP_sha256()), &request, &error));
    assert_int_equal(error.code, ERROR_INVALID);
    EVP_PKEY_free(pkey);
    EVP_PKEY_CTX_free(context);
}

static void a_request_is_signed_by_its_own_key(void **state)
{
    EVP_PKEY *own = make_key("EC", "P-256", 0);
    EVP_PKEY *other = make_key("EC", "P-256", 0);
    struct certificate_request *request = NULL;
    struct error error = { 0 };

    (void)state;
    assert_false(
        certificate_request_parse(request_for(own, other, EVP_sha256()), &request, &error));
    assert_int_equal(error.code, ERROR_INVALID);
    EVP_PKEY_free(own);
    EVP_PKEY_free(other);
}

static void weak_digests_prove_nothing(void **state)
{
    EVP_PKEY *pkey = make_key("RSA", NULL, 2048);
    struct certificate_request *request = NULL;
    struct error error = { 0 };

    (void)state;
    assert_false(certificate_request_parse(request_for(pkey, pkey, EVP_sha1()), &request, &error));
    assert_int_equal(error.code, ERROR_INVALID);
    EVP_PKEY_free(pkey);
}

/* A text of `len` bytes that begins and ends as a request. */
static struct str padded(struct str pem, size_t len)
{
    char *text = arena_alloc(arena, len);

    assert_non_null(text);
    memset(text, '\n', len);
    memcpy(text, pem.data, pem.len);
    return (struct str){ text, len };
}

static void a_request_has_a_largest_size(void **state)
{
    EVP_PKEY *pkey = make_key("EC", "P-256", 0);
    struct str pem = request_for(pkey, pkey, EVP_sha256());
    struct certificate_request *request = NULL;
    struct error error = { 0 };

    (void)state;
    assert_true(certificate_request_parse(padded(pem, CERTIFICATE_REQUEST_MAX), &request, &error));
    certificate_request_free(request);
    assert_false(
        certificate_request_parse(padded(pem, CERTIFICATE_REQUEST_MAX + 1), &request, &error));
    assert_int_equal(error.code, ERROR_LIMIT);
    EVP_PKEY_free(pkey);
}

static void what_is_no_request_is_refused(void **state)
{
    EVP_PKEY *pkey = make_key("EC", "P-256", 0);
    struct str good = request_for(pkey, pkey, EVP_sha256());
    struct str broken = arena_copy(arena, good);
    struct str cases[] = {
        STR(""),
        STR("-----BEGIN CERTIFICATE REQUEST-----"),
        STR("-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n"),
        STR("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"),
        STR("-----BEGIN CERTIFICATE REQUEST-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: "
            "DES-CBC,0011223344556677\n\nAAAA\n-----END CERTIFICATE REQUEST-----\n"),
        str_slice(good, 1, good.len),
        str_slice(good, 0, good.len - 6),
        broken,
        arena_printf(arena, "x\n" STR_FMT, STR_ARG(good)),
        arena_printf(arena, STR_FMT STR_FMT, STR_ARG(good), STR_ARG(good)),
    };

    (void)state;
    /* NOLINTNEXTLINE(cppcoreguidelines-pro-type-cstyle-cast): the copy is the test's own */
    memset((char *)(uintptr_t)broken.data + 100, 'A', 8);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct certificate_request *request = NULL;
        struct error error = { 0 };

        if (certificate_request_parse(cases[i], &request, &error))
            fail_msg("case %zu was taken", i);
        assert_true(error.code == ERROR_SYNTAX || error.code == ERROR_INVALID);
    }
    EVP_PKEY_free(pkey);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_of_the_floor_and_above_are_taken),
        cmocka_unit_test(curves_are_taken_by_name_only),
        cmocka_unit_test(a_request_is_signed_by_its_own_key),
        cmocka_unit_test(weak_digests_prove_nothing),
        cmocka_unit_test(a_request_has_a_largest_size),
        cmocka_unit_test(what_is_no_request_is_refused),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
