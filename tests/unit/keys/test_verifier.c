#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "help.h"
#include "keys/crypto_pool.h"
#include "tests/test.h"

#define THREADS (CRYPTO_POOL_IDLE_MAX + 8)
#define ROUNDS 40

static enum error_code check(struct verifier *verifier, struct str message, struct str signature)
{
    struct error error = { 0 };
    bool is_good = verifier_check(verifier, message, signature, &error);

    assert_int_equal(is_good, error.code == ERROR_NONE);
    return error.code;
}

static void the_vectors_of_the_rfcs_verify(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(vectors); i++) {
        OWNED(verifier_free) struct verifier *verifier = verifier_of(vectors[i].jwk);
        uint8_t bytes[KEY_SIGNATURE_MAX];

        assert_int_equal(verifier_algorithm(verifier), vectors[i].algorithm);
        if (check(verifier, str_from(vectors[i].message), decode(vectors[i].signature, bytes)) !=
            ERROR_NONE)
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
            assert_int_equal(check(verifier, str_from(vectors[i].message), signature),
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

        assert_int_equal(check(verifier, str_slice(message, 1, message.len), signature),
                         ERROR_INVALID);
        assert_int_equal(check(verifier, str_slice(message, 0, message.len - 1), signature),
                         ERROR_INVALID);
        assert_int_equal(check(verifier, (struct str){ 0 }, signature), ERROR_INVALID);
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

            assert_int_equal(check(verifier, str_from(vectors[i].message), cut),
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

            assert_int_equal(check(verifier, str_from(vectors[j].message), signature),
                             i == j ? ERROR_NONE : ERROR_INVALID);
        }
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
    assert_int_equal(check(verifier, str_from(vectors[1].message), signature), ERROR_NONE);
}

static void ecdsa_scalars_of_zero_or_past_the_order_are_refused(void **state)
{
    OWNED(verifier_free) struct verifier *verifier = verifier_of(vectors[1].jwk);
    static const struct {
        size_t start;
        size_t len;
        int byte;
    } cases[] = { { 0, 32, 0 }, { 32, 32, 0 }, { 0, 64, 0 }, { 0, 32, 0xff }, { 32, 32, 0xff } };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint8_t bytes[KEY_SIGNATURE_MAX];
        struct str signature = decode(vectors[1].signature, bytes);

        memset(bytes + cases[i].start, cases[i].byte, cases[i].len);
        assert_int_equal(check(verifier, str_from(vectors[1].message), signature), ERROR_INVALID);
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
    assert_int_equal(check(verifier, STR("any message"), signature), ERROR_INVALID);
}

static void an_ecdsa_signature_in_der_is_refused(void **state)
{
    OWNED(verifier_free) struct verifier *verifier = verifier_of(vectors[1].jwk);
    uint8_t der[72] = { 0x30, 70, 0x02, 33, 0x00 };

    (void)state;
    assert_int_equal(check(verifier, str_from(vectors[1].message),
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

        for (unsigned round = 0; round < 1000; round++) {
            size_t at = round % signature.len;

            bytes[at] ^= 0x10;
            assert_int_equal(check(verifier, message, signature), ERROR_INVALID);
            bytes[at] ^= 0x10;
            assert_int_equal(check(verifier, message, signature), ERROR_NONE);
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
        worker->wrong_count +=
            verifier_check(worker->verifier, message, signature, &error) == is_bad;
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
        cmocka_unit_test(the_vectors_of_the_rfcs_verify),
        cmocka_unit_test(a_signature_with_any_bit_changed_is_refused),
        cmocka_unit_test(a_changed_message_is_refused),
        cmocka_unit_test(a_signature_of_any_other_length_is_refused),
        cmocka_unit_test(a_key_refuses_the_signatures_of_the_others),
        cmocka_unit_test(an_ecdsa_signature_with_the_other_s_verifies),
        cmocka_unit_test(ecdsa_scalars_of_zero_or_past_the_order_are_refused),
        cmocka_unit_test(an_ecdsa_signature_that_leads_to_infinity_is_refused),
        cmocka_unit_test(an_ecdsa_signature_in_der_is_refused),
        cmocka_unit_test(good_signatures_verify_after_any_number_of_bad_ones),
        cmocka_unit_test(many_threads_share_a_verifier),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
