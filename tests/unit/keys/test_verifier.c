#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/rsa.h>

#include "base/error.h"
#include "help.h"
#include "keys/crypto_pool.h"
#include "keys/jwk.h"
#include "keys/public_key.h"
#include "tests/test.h"

#define THREADS (CRYPTO_POOL_IDLE_MAX + 8)
#define ROUNDS 12

static enum error_code check_as(struct verifier *verifier, unsigned algorithm, struct str message,
                                struct str signature)
{
    struct error error = { 0 };
    bool is_good = verifier_check(verifier, algorithm, message, signature, &error);

    assert_int_equal(is_good, error.code == ERROR_NONE);
    return error.code;
}

static enum error_code check(struct verifier *verifier, const struct vector *vector,
                             struct str message, struct str signature)
{
    return check_as(verifier, vector->algorithm, message, signature);
}

static void the_vectors_of_all_algorithms_verify(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(vectors); i++) {
        OWNED(verifier_free) struct verifier *verifier = verifier_of(vectors[i].jwk);
        uint8_t bytes[KEY_SIGNATURE_MAX];

        assert_true(verifier_algorithms(verifier) & vectors[i].algorithm);
        if (check(verifier, &vectors[i], str_from(vectors[i].message),
                  decode(vectors[i].signature, bytes)) != ERROR_NONE)
            fail_msg("%s", vectors[i].name);
    }
}

static void a_signature_with_any_bit_changed_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(vectors); i++) {
        OWNED(verifier_free) struct verifier *verifier = verifier_of(vectors[i].jwk);
        uint8_t bytes[KEY_SIGNATURE_MAX];
        struct str signature = decode(vectors[i].signature, bytes);

        for (size_t bit = 0; bit < signature.len * 8; bit++) {
            bytes[bit / 8] ^= (uint8_t)(1U << (bit % 8));
            assert_int_equal(check(verifier, &vectors[i], str_from(vectors[i].message), signature),
                             ERROR_INVALID);
            bytes[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        }
    }
}

static void a_changed_message_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(vectors); i++) {
        OWNED(verifier_free) struct verifier *verifier = verifier_of(vectors[i].jwk);
        uint8_t bytes[KEY_SIGNATURE_MAX];
        struct str signature = decode(vectors[i].signature, bytes);
        struct str message = str_from(vectors[i].message);

        assert_int_equal(
            check(verifier, &vectors[i], str_slice(message, 1, message.len), signature),
            ERROR_INVALID);
        assert_int_equal(
            check(verifier, &vectors[i], str_slice(message, 0, message.len - 1), signature),
            ERROR_INVALID);
        assert_int_equal(check(verifier, &vectors[i], (struct str){ 0 }, signature), ERROR_INVALID);
    }
}

static void a_signature_of_any_other_length_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(vectors); i++) {
        OWNED(verifier_free) struct verifier *verifier = verifier_of(vectors[i].jwk);
        uint8_t bytes[KEY_SIGNATURE_MAX + 1] = { 0 };
        struct str signature = decode(vectors[i].signature, bytes);

        for (size_t len = 0; len <= signature.len + 1; len++) {
            struct str cut = { (const char *)bytes, len };

            assert_int_equal(check(verifier, &vectors[i], str_from(vectors[i].message), cut),
                             len == signature.len ? ERROR_NONE : ERROR_INVALID);
        }
    }
}

static void a_key_refuses_the_signatures_of_the_others(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(vectors); i++) {
        OWNED(verifier_free) struct verifier *verifier = verifier_of(vectors[i].jwk);

        for (size_t j = 0; j < COUNT(vectors); j++) {
            uint8_t bytes[KEY_SIGNATURE_MAX];
            struct str signature = decode(vectors[j].signature, bytes);

            assert_int_equal(check(verifier, &vectors[j], str_from(vectors[j].message), signature),
                             strcmp(vectors[i].jwk, vectors[j].jwk) == 0 ? ERROR_NONE
                                                                         : ERROR_INVALID);
        }
    }
}

/* An RSA key without `alg` has six; a signature belongs to one of them. */
static void a_signature_is_refused_under_every_other_algorithm(void **state)
{
    (void)state;
    for (size_t i = 0; i < VECTOR_COUNT; i++) {
        OWNED(verifier_free) struct verifier *verifier = verifier_of(vectors[i].jwk);
        uint8_t bytes[KEY_SIGNATURE_MAX];
        struct str signature = decode(vectors[i].signature, bytes);

        for (unsigned bit = 1; bit != 0; bit <<= 1)
            assert_int_equal(check_as(verifier, bit, str_from(vectors[i].message), signature),
                             bit == vectors[i].algorithm ? ERROR_NONE : ERROR_INVALID);
        assert_int_equal(check_as(verifier, 0, str_from(vectors[i].message), signature),
                         ERROR_INVALID);
        assert_int_equal(check_as(verifier, JOSE_ANY, str_from(vectors[i].message), signature),
                         ERROR_INVALID);
    }
}

static void a_key_is_only_for_the_algorithms_that_are_allowed(void **state)
{
    static const struct {
        const char *alg; /* NULL: the key says none */
        unsigned allowed;
        unsigned algorithms; /* 0: refused */
    } cases[] = {
        { NULL, JOSE_ANY, JOSE_OF_RSA },
        { NULL, JOSE_RS256, JOSE_RS256 },
        { NULL, JOSE_PS384 | JOSE_ES256, JOSE_PS384 },
        { NULL, JOSE_RS512 | JOSE_PS256, JOSE_RS512 | JOSE_PS256 },
        { NULL, JOSE_ES256 | JOSE_EDDSA, 0 },
        { "PS256", JOSE_ANY, JOSE_PS256 },
        { "RS384", JOSE_ANY, JOSE_RS384 },
        { "RS384", JOSE_RS256, 0 },
        { "ES256", JOSE_ANY, 0 },
        { "EdDSA", JOSE_ANY, 0 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        OWNED(verifier_free) struct verifier *verifier = NULL;
        json_t *jwk = json_of(vectors[0].jwk);
        struct error error = { 0 };
        bool is_taken;

        if (cases[i].alg != NULL)
            assert_int_equal(json_object_set_new(jwk, "alg", json_string(cases[i].alg)), 0);
        is_taken = verifier_new(jwk, cases[i].allowed, &verifier, &error);
        json_decref(jwk);
        assert_int_equal(is_taken, cases[i].algorithms != 0);
        assert_int_equal(error.code, is_taken ? ERROR_NONE : ERROR_INVALID);
        if (is_taken)
            assert_int_equal(verifier_algorithms(verifier), cases[i].algorithms);
    }
}

/* RSASSA-PSS by OpenSSL, with a salt and a mask of the test's choice. */
static struct str sign_pss(EVP_PKEY *pkey, int salt_len, const EVP_MD *mask, struct str message,
                           uint8_t *out)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_PKEY_CTX *options = NULL;
    size_t len = KEY_SIGNATURE_MAX;

    assert_int_equal(EVP_DigestSignInit(context, &options, EVP_sha256(), NULL, pkey), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(options, salt_len), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_mgf1_md(options, mask), 1);
    assert_int_equal(EVP_DigestSign(context, out, &len, (const uint8_t *)message.data, message.len),
                     1);
    EVP_MD_CTX_free(context);
    return (struct str){ (const char *)out, len };
}

static void a_pss_signature_with_another_salt_or_mask_is_refused(void **state)
{
    const struct {
        int salt_len;
        const EVP_MD *mask;
        bool is_good;
    } cases[] = {
        { 32, EVP_sha256(), true },      { 31, EVP_sha256(), false },  { 33, EVP_sha256(), false },
        { 0, EVP_sha256(), false },      { 20, EVP_sha256(), false },  { 48, EVP_sha256(), false },
        { 64, EVP_sha256(), false },     { 222, EVP_sha256(), false }, /* the longest */
        { 32, EVP_sha1(), false },       { 32, EVP_sha384(), false },  { 32, EVP_sha512(), false },
        { 32, EVP_sha512_256(), false },
    };
    OWNED(verifier_free) struct verifier *verifier = NULL;
    OWNED(public_key_free) EVP_PKEY *pkey = EVP_RSA_gen(2048);
    struct error error = { 0 };
    json_t *jwk = NULL;

    (void)state;
    assert_non_null(pkey);
    assert_true(jwk_write(pkey, KEY_RS256, &jwk, &error));
    assert_int_equal(json_object_del(jwk, "alg"), 0);
    assert_true(verifier_new(jwk, JOSE_ANY, &verifier, &error));
    json_decref(jwk);
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint8_t bytes[KEY_SIGNATURE_MAX];
        struct str signature =
            sign_pss(pkey, cases[i].salt_len, cases[i].mask, STR("a message"), bytes);

        if (check_as(verifier, JOSE_PS256, STR("a message"), signature) !=
            (cases[i].is_good ? ERROR_NONE : ERROR_INVALID))
            fail_msg("case %zu: salt of %d bytes", i, cases[i].salt_len);
    }
}

/* s and n - s verify alike: JOSE asks for no low s. */
static void an_ecdsa_signature_with_the_other_s_verifies(void **state)
{
    static const uint8_t order[32] = {
        0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17,
        0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    };
    OWNED(verifier_free) struct verifier *verifier = verifier_of(vectors[1].jwk);
    uint8_t bytes[KEY_SIGNATURE_MAX];
    struct str signature = decode(vectors[1].signature, bytes);
    int borrow = 0;

    (void)state;
    for (size_t i = 32; i-- > 0;) {
        int digit = order[i] - bytes[32 + i] - borrow;

        borrow = digit < 0;
        bytes[32 + i] = (uint8_t)(digit & 0xff);
    }
    assert_int_equal(check(verifier, &vectors[1], str_from(vectors[1].message), signature),
                     ERROR_NONE);
}

static void ecdsa_scalars_of_zero_or_past_the_order_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < VECTOR_COUNT; i++) {
        OWNED(verifier_free) struct verifier *verifier = verifier_of(vectors[i].jwk);
        uint8_t bytes[KEY_SIGNATURE_MAX];
        const size_t half = decode(vectors[i].signature, bytes).len / 2;
        const struct {
            size_t start;
            size_t len;
            int byte;
        } cases[] = {
            { 0, half, 0 },    { half, half, 0 },    { 0, 2 * half, 0 },
            { 0, half, 0xff }, { half, half, 0xff },
        };

        for (size_t j = 0; j < COUNT(cases); j++) {
            struct str signature = decode(vectors[i].signature, bytes);

            memset(bytes + cases[j].start, cases[j].byte, cases[j].len);
            assert_int_equal(check(verifier, &vectors[i], str_from(vectors[i].message), signature),
                             ERROR_INVALID);
        }
    }
}

/* The key is the curve's generator, r is n less the digest: the point that is checked has no x. */
static void an_ecdsa_signature_that_leads_to_infinity_is_refused(void **state)
{
    OWNED(verifier_free) struct verifier *verifier =
        verifier_of("{\"kty\":\"EC\",\"crv\":\"P-256\","
                    "\"x\":\"axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY\","
                    "\"y\":\"T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU\"}");
    uint8_t bytes[KEY_SIGNATURE_MAX];
    struct str signature = decode("4iJuvuqNjOqNJZM1ZgsmlDt7hmrojUKCGKw-L2FF0G4"
                                  "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAQ",
                                  bytes);

    (void)state;
    assert_int_equal(check(verifier, &vectors[1], STR("any message"), signature), ERROR_INVALID);
}

static void an_ecdsa_signature_in_der_is_refused(void **state)
{
    OWNED(verifier_free) struct verifier *verifier = verifier_of(vectors[1].jwk);
    uint8_t der[72] = { 0x30, 70, 0x02, 33, 0x00 };

    (void)state;
    assert_int_equal(check(verifier, &vectors[1], str_from(vectors[1].message),
                           (struct str){ (const char *)der, sizeof(der) }),
                     ERROR_INVALID);
}

static void good_signatures_verify_after_any_number_of_bad_ones(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(vectors); i++) {
        OWNED(verifier_free) struct verifier *verifier = verifier_of(vectors[i].jwk);
        uint8_t bytes[KEY_SIGNATURE_MAX];
        struct str signature = decode(vectors[i].signature, bytes);
        struct str message = str_from(vectors[i].message);

        for (unsigned round = 0; round < 100; round++) {
            size_t at = round % signature.len;

            bytes[at] ^= 0x10;
            assert_int_equal(check(verifier, &vectors[i], message, signature), ERROR_INVALID);
            bytes[at] ^= 0x10;
            assert_int_equal(check(verifier, &vectors[i], message, signature), ERROR_NONE);
        }
    }
}

struct worker {
    pthread_t thread;
    struct verifier *verifier;
    const struct vector *vector;
    size_t wrong_count;
};

static void *verify_good_and_bad(void *context)
{
    struct worker *worker = context;
    uint8_t bytes[KEY_SIGNATURE_MAX];
    struct str signature = decode(worker->vector->signature, bytes);
    struct str message = str_from(worker->vector->message);

    for (unsigned round = 0; round < ROUNDS; round++) {
        struct error error = { 0 };
        bool is_bad = round % 3 == 0;

        bytes[round] ^= is_bad;
        worker->wrong_count += verifier_check(worker->verifier, worker->vector->algorithm, message,
                                              signature, &error) == is_bad;
        bytes[round] ^= is_bad;
    }
    return NULL;
}

/* More threads than contexts are kept. */
static void many_threads_share_a_verifier(void **state)
{
    static struct worker workers[THREADS];

    (void)state;
    for (size_t i = 0; i < COUNT(vectors); i++) {
        OWNED(verifier_free) struct verifier *verifier = verifier_of(vectors[i].jwk);

        for (size_t j = 0; j < THREADS; j++) {
            workers[j] = (struct worker){ .verifier = verifier, .vector = &vectors[i] };
            assert_int_equal(
                pthread_create(&workers[j].thread, NULL, verify_good_and_bad, &workers[j]), 0);
        }
        for (size_t j = 0; j < THREADS; j++) {
            assert_int_equal(pthread_join(workers[j].thread, NULL), 0);
            assert_int_equal(workers[j].wrong_count, 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_of_all_algorithms_verify),
        cmocka_unit_test(a_signature_with_any_bit_changed_is_refused),
        cmocka_unit_test(a_changed_message_is_refused),
        cmocka_unit_test(a_signature_of_any_other_length_is_refused),
        cmocka_unit_test(a_key_refuses_the_signatures_of_the_others),
        cmocka_unit_test(a_signature_is_refused_under_every_other_algorithm),
        cmocka_unit_test(a_key_is_only_for_the_algorithms_that_are_allowed),
        cmocka_unit_test(a_pss_signature_with_another_salt_or_mask_is_refused),
        cmocka_unit_test(an_ecdsa_signature_with_the_other_s_verifies),
        cmocka_unit_test(ecdsa_scalars_of_zero_or_past_the_order_are_refused),
        cmocka_unit_test(an_ecdsa_signature_that_leads_to_infinity_is_refused),
        cmocka_unit_test(an_ecdsa_signature_in_der_is_refused),
        cmocka_unit_test(good_signatures_verify_after_any_number_of_bad_ones),
        cmocka_unit_test(many_threads_share_a_verifier),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
