#include <string.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/error.h"
#include "targets/scram.h"
#include "tests/test.h"

#define SALT "W22ZaJ0SNY7soEsUEjb6gQ=="

static bool verifier_of(struct str password, struct buf *buf, struct error *error)
{
    uint8_t salt[BASE64_DECODED_MAX(sizeof(SALT) - 1)];
    size_t len;

    assert_true(base64_decode(STR(SALT), salt, &len));
    assert_int_equal(len, SCRAM_SALT_LEN);
    buf_init(buf, SCRAM_VERIFIER_MAX);
    return scram_add_verifier(buf, password, salt, error);
}

/* RFC 7677 3: the password is "pencil"; the server's key makes the v= of that exchange. */
static void the_rfcs_password_makes_the_rfcs_keys(void **state)
{
    OWNED(buf_release) struct buf buf = { 0 };
    struct error error = { 0 };

    (void)state;
    assert_true(verifier_of(STR("pencil"), &buf, &error));
    assert_true(buf_is_ok(&buf));
    assert_string_equal(buf.data,
                        "SCRAM-SHA-256$4096:" SALT "$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
                        "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=");
}

/* The signature of that exchange's server, from the key in the verifier. */
static void the_server_key_signs_the_rfcs_exchange(void **state)
{
    static const char message[] =
        "n=user,r=rOprNGfwEbeRWgbNEkqO,"
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=" SALT ",i=4096,"
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    OWNED(buf_release) struct buf buf = { 0 };
    OWNED(buf_release) struct buf text = { 0 };
    uint8_t key[BASE64_DECODED_MAX(44)];
    uint8_t signature[SHA256_LEN];
    struct error error = { 0 };
    size_t len;

    (void)state;
    assert_true(verifier_of(STR("pencil"), &buf, &error));
    assert_true(base64_decode(str_slice(buf_str(&buf), buf.len - 44, 44), key, &len));
    hmac_sha256((struct str){ (const char *)key, len }, str_from(message), signature);
    buf_init(&text, 64);
    buf_add_base64(&text, (struct str){ (const char *)signature, sizeof(signature) });
    assert_string_equal(text.data, "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
}

static void only_plain_passwords_are_taken(void **state)
{
    char longest[SCRAM_PASSWORD_MAX + 1];
    const struct str refused[] = {
        STR(""),
        STR("a b"),
        STR("a\n"),
        STR("a\0b"),
        STR("\x7f"),
        STR("p\xc3\xa4ss"),
        { longest, sizeof(longest) },
    };

    (void)state;
    memset(longest, 'x', sizeof(longest));
    for (size_t i = 0; i < COUNT(refused); i++) {
        OWNED(buf_release) struct buf buf = { 0 };
        struct error error = { 0 };

        assert_false(verifier_of(refused[i], &buf, &error));
        assert_int_equal(error.code, ERROR_INVALID);
        assert_int_equal(buf.len, 0);
    }
    {
        OWNED(buf_release) struct buf buf = { 0 };
        struct error error = { 0 };

        assert_true(verifier_of(str_slice(refused[6], 0, SCRAM_PASSWORD_MAX), &buf, &error));
        assert_true(buf_is_ok(&buf));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rfcs_password_makes_the_rfcs_keys),
        cmocka_unit_test(the_server_key_signs_the_rfcs_exchange),
        cmocka_unit_test(only_plain_passwords_are_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
