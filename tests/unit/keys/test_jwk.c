#include <string.h>

#include "base/error.h"
#include "help.h"
#include "keys/jwk.h"
#include "tests/test.h"

/* RFC 7638 3.1 */
#define N                                                                                          \
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_"      \
    "BJECPe"                                                                                       \
    "bWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_"           \
    "FDW2QvzqY36"                                                                                  \
    "8QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-"                       \
    "bFTWhAI4vMQFh6WeZu0fM4l"                                                                      \
    "Fd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
#define RSA "\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"" N "\""
/* RFC 7515 A.3 */
#define X "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
#define Y "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
#define EC "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" X "\",\"y\":\"" Y "\""
/* RFC 8037 A.2 */
#define POINT "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
#define OKP "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" POINT "\""

static enum error_code try_new(const char *text, unsigned allowed)
{
    OWNED(verifier_free) struct verifier *verifier = NULL;
    struct error error = { 0 };
    json_t *jwk = json_of(text);
    bool is_taken = verifier_new(jwk, allowed, &verifier, &error);

    json_decref(jwk);
    assert_int_equal(is_taken, error.code == ERROR_NONE);
    assert_int_equal(is_taken, verifier != NULL);
    return error.code;
}

static void keys_with_fitting_members_are_taken(void **state)
{
    static const char *const cases[] = {
        "{" RSA "}",
        "{" EC "}",
        "{" OKP "}",
        "{" RSA ",\"alg\":\"RS256\",\"use\":\"sig\",\"kid\":\"k\",\"key_ops\":[\"verify\"]}",
        "{" RSA ",\"crv\":\"P-256\",\"x5c\":[\"never looked at\"],\"x5t\":17,\"jku\":\"x\"}",
        "{" EC ",\"alg\":\"ES256\",\"key_ops\":[\"sign\",\"verify\"]}",
        "{" RSA ",\"alg\":\"RS384\"}",
        "{" RSA ",\"alg\":\"RS512\"}",
        "{" RSA ",\"alg\":\"PS256\"}",
        "{" RSA ",\"alg\":\"PS384\"}",
        "{" RSA ",\"alg\":\"PS512\"}",
        "{" OKP ",\"alg\":\"EdDSA\"}",
        "{" OKP ",\"alg\":\"Ed25519\"}",
        "{\"kty\":\"RSA\",\"e\":\"AAEAAQ\",\"n\":\"" N "\"}",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (try_new(cases[i], JOSE_ANY) != ERROR_NONE)
            fail_msg("%s", cases[i]);
    }
}

/* Each differs in one thing from a key that is taken. */
static const char *const unfit[] = {
    "{}",
    "[]",
    "{\"kty\":17}",
    "{\"kty\":\"rsa\",\"e\":\"AQAB\",\"n\":\"" N "\"}",
    "{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T\"}",
    "{\"kty\":\"oct\",\"alg\":\"HS256\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_"
    "T\"}",
    "{\"kty\":\"AKP\",\"alg\":\"ML-DSA-44\",\"pub\":\"AAAA\"}",
    /* private parts */
    "{" RSA ",\"d\":\"AQAB\"}",
    "{" RSA ",\"p\":\"AQAB\"}",
    "{" RSA ",\"q\":\"AQAB\"}",
    "{" RSA ",\"dp\":\"AQAB\"}",
    "{" RSA ",\"dq\":\"AQAB\"}",
    "{" RSA ",\"qi\":\"AQAB\"}",
    "{" RSA ",\"oth\":[]}",
    "{" RSA ",\"k\":\"AQAB\"}",
    "{" EC ",\"d\":\"" X "\"}",
    "{" OKP ",\"d\":null}",
    /* what it is for */
    "{" RSA ",\"use\":\"enc\"}",
    "{" RSA ",\"use\":\"SIG\"}",
    "{" RSA ",\"use\":null}",
    "{" RSA ",\"key_ops\":[]}",
    "{" RSA ",\"key_ops\":[\"sign\"]}",
    "{" RSA ",\"key_ops\":\"verify\"}",
    "{" RSA ",\"key_ops\":[\"verify\",1]}",
    "{" RSA ",\"alg\":\"PS255\"}",
    "{" RSA ",\"alg\":\"RSA-OAEP\"}",
    "{" RSA ",\"alg\":\"EdDSA\"}",
    "{" RSA ",\"alg\":\"ES256\"}",
    "{" RSA ",\"alg\":\"HS256\"}",
    "{" RSA ",\"alg\":\"none\"}",
    "{" RSA ",\"alg\":\"rs256\"}",
    "{" RSA ",\"alg\":\"\"}",
    "{" RSA ",\"alg\":256}",
    "{" EC ",\"alg\":\"RS256\"}",
    "{" EC ",\"alg\":\"ES384\"}",
    "{" OKP ",\"alg\":\"ES256\"}",
    "{" OKP ",\"alg\":\"X25519\"}",
    /* numbers */
    "{\"kty\":\"RSA\",\"n\":\"" N "\"}",
    "{\"kty\":\"RSA\",\"e\":\"AQAB\"}",
    "{\"kty\":\"RSA\",\"e\":65537,\"n\":\"" N "\"}",
    "{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"" N "=\"}",
    "{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"" N " \"}",
    "{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"\"}",
    "{\"kty\":\"RSA\",\"e\":\"Aw\",\"n\":\"" N "\"}",
    "{\"kty\":\"RSA\",\"e\":\"AQAA\",\"n\":\"" N "\"}",
    "{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"AQAB\"}",
    "{\"kty\":\"EC\",\"x\":\"" X "\",\"y\":\"" Y "\"}",
    "{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"" X "\",\"y\":\"" Y "\"}",
    "{\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"" X "\",\"y\":\"" Y "\"}",
    "{\"kty\":\"EC\",\"crv\":\"Ed25519\",\"x\":\"" POINT "\"}",
    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" X "\"}",
    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" Y "\",\"y\":\"" X "\"}",
    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA" X "\",\"y\":\"" Y "\"}",
    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEV\","
    "\"y\":\"" Y "\"}",
    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\"}",
    "{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"" POINT "\"}",
    "{\"kty\":\"OKP\",\"crv\":\"Ed448\",\"x\":\"" POINT "\"}",
    "{\"kty\":\"OKP\",\"crv\":\"Ed25519\"}",
    "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":"
    "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}",
    "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":"
    "\"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}",
};

static void keys_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(unfit); i++) {
        if (try_new(unfit[i], JOSE_ANY) != ERROR_INVALID)
            fail_msg("%s", unfit[i]);
    }
}

static void an_algorithm_that_is_not_allowed_is_refused(void **state)
{
    (void)state;
    assert_int_equal(try_new("{" RSA "}", JOSE_RS256), ERROR_NONE);
    assert_int_equal(try_new("{" RSA "}", JOSE_ANY & ~JOSE_OF_RSA), ERROR_INVALID);
    assert_int_equal(try_new("{" EC "}", JOSE_ES256), ERROR_NONE);
    assert_int_equal(try_new("{" EC "}", JOSE_ANY & ~(unsigned)JOSE_ES256), ERROR_INVALID);
    assert_int_equal(try_new("{" OKP "}", JOSE_EDDSA), ERROR_NONE);
    assert_int_equal(try_new("{" OKP "}", JOSE_ANY & ~(unsigned)JOSE_EDDSA), ERROR_INVALID);
    assert_int_equal(try_new("{" EC "}", 0), ERROR_INVALID);
}

/* Room for a modulus' text is bounded: at the limit the bits decide, past it the text. */
static void an_endless_modulus_is_refused(void **state)
{
    OWNED(verifier_free) struct verifier *verifier = NULL;
    char text[1500];

    (void)state;
    for (size_t len = 1370; len <= 1380; len++) {
        struct error error = { 0 };
        json_t *jwk = json_of("{\"kty\":\"RSA\",\"e\":\"AQAB\"}");

        memset(text, 'A', sizeof(text));
        text[0] = '_';
        text[len] = '\0';
        assert_int_equal(json_object_set_new(jwk, "n", json_string(text)), 0);
        assert_false(verifier_new(jwk, JOSE_ANY, &verifier, &error));
        assert_int_equal(error.code, ERROR_INVALID);
        json_decref(jwk);
    }
}

static void names_of_algorithms_are_compared_byte_for_byte(void **state)
{
    static const char *const wrong[] = { "",       "rs256", "RS256 ", " RS256", "RS25",
                                         "RS2566", "HS256", "none",   "noNE",   "ES256K",
                                         "Ed448",  "eddsa", "ED25519" };

    (void)state;
    assert_int_equal(jose_algorithm_from(STR("RS256")), JOSE_RS256);
    assert_int_equal(jose_algorithm_from(STR("EdDSA")), JOSE_EDDSA);
    assert_int_equal(jose_algorithm_from(STR("Ed25519")), JOSE_EDDSA);
    assert_string_equal(jose_algorithm_name(JOSE_EDDSA), "EdDSA");
    for (unsigned bit = 1; bit <= JOSE_EDDSA; bit <<= 1)
        assert_int_equal(
            jose_algorithm_from(str_from(jose_algorithm_name((enum jose_algorithm)bit))), bit);
    assert_int_equal(jose_algorithm_from(STR("RS256\0")), 0);
    for (size_t i = 0; i < COUNT(wrong); i++)
        assert_int_equal(jose_algorithm_from(str_from(wrong[i])), 0);
}

static void thumbprints_are_those_of_the_rfcs(void **state)
{
    static const struct {
        const char *jwk;
        const char *thumbprint;
    } cases[] = {
        { "{" RSA ",\"alg\":\"RS256\",\"kid\":\"2011-04-29\"}",
          "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs" },              /* RFC 7638 3.1 */
        { "{" OKP "}", "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k" }, /* RFC 8037 A.3 */
        { "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs\","
          "\"y\":\"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA\"}",
          "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" }, /* RFC 9449 6.1 */
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct error error = { 0 };
        json_t *jwk = json_of(cases[i].jwk);
        char thumbprint[44];

        assert_true(jwk_thumbprint(jwk, thumbprint, &error));
        assert_string_equal(thumbprint, cases[i].thumbprint);
        json_decref(jwk);
    }
}

static void a_thumbprint_needs_the_members_of_its_kty(void **state)
{
    static const char *const cases[] = {
        "{}",
        "[]",
        "{\"kty\":\"oct\",\"k\":\"AAAA\"}",
        "{\"kty\":\"RSA\",\"n\":\"" N "\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" X "\"}",
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":7}",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct error error = { 0 };
        json_t *jwk = json_of(cases[i]);
        char thumbprint[44];

        assert_false(jwk_thumbprint(jwk, thumbprint, &error));
        assert_int_equal(error.code, ERROR_INVALID);
        json_decref(jwk);
    }
}

static void a_thumbprint_of_an_endless_key_is_refused(void **state)
{
    json_t *jwk = json_of("{\"kty\":\"OKP\",\"crv\":\"Ed25519\"}");
    struct error error = { 0 };
    char thumbprint[44];
    char text[4097];

    (void)state;
    memset(text, 'A', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(json_object_set_new(jwk, "x", json_string(text)), 0);
    assert_false(jwk_thumbprint(jwk, thumbprint, &error));
    assert_int_equal(error.code, ERROR_LIMIT);
    json_decref(jwk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_with_fitting_members_are_taken),
        cmocka_unit_test(keys_that_do_not_fit_are_refused),
        cmocka_unit_test(an_algorithm_that_is_not_allowed_is_refused),
        cmocka_unit_test(an_endless_modulus_is_refused),
        cmocka_unit_test(names_of_algorithms_are_compared_byte_for_byte),
        cmocka_unit_test(thumbprints_are_those_of_the_rfcs),
        cmocka_unit_test(a_thumbprint_needs_the_members_of_its_kty),
        cmocka_unit_test(a_thumbprint_of_an_endless_key_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
