#include <string.h>

#include "base/arena.h"
#include "base/error.h"
#include "targets/aws_sigv4.h"
#include "tests/assert_str.h"
#include "tests/test.h"

#define BODY                                                                                       \
    "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A111122223333%3Arole%2F"     \
    "deploy&RoleSessionName=ci-4f1c&DurationSeconds=900&SourceIdentity=ci-run-991"
#define CREDENTIAL                                                                                 \
    "Authorization: AWS4-HMAC-SHA256 Credential=AKIAEXAMPLEBROKER001/20260101/eu-west-1/sts/"      \
    "aws4_request, SignedHeaders=content-type;host;x-amz-date"
#define PLAIN                                                                                      \
    CREDENTIAL ", Signature=4d8a5c40ba56e0375cf89b7326236cd27971641e74b16db54c9d4b5c0dfb753f"
#define NEW_YEAR_2026_S ((int64_t)1767225600)

static const struct aws_keys keys = {
    .access_key_id = STR_INIT("AKIAEXAMPLEBROKER001"),
    .secret_access_key = STR_INIT("example/secret+key/for+test/vectors/0001"),
};

static struct aws_signing request(void)
{
    return (struct aws_signing){
        .keys = &keys,
        .region = "eu-west-1",
        .service = "sts",
        .endpoint = STR("https://sts.eu-west-1.amazonaws.com"),
        .body = STR(BODY),
        .now_s = NEW_YEAR_2026_S,
    };
}

/* The Authorization line; the others are looked at. */
static const char *sign(const struct aws_signing *signing, struct arena *arena)
{
    const char *headers[AWS_SIGNED_HEADERS];
    struct error error = { 0 };

    assert_true(aws_sign(signing, arena, headers, &error));
    assert_string_equal(headers[0],
                        "Content-Type: application/x-www-form-urlencoded; charset=utf-8");
    assert_string_equal(headers[1], "X-Amz-Date: 20260101T000000Z");
    if (signing->keys->session_token.len == 0)
        assert_null(headers[3]);
    else
        assert_string_equal(headers[3], "X-Amz-Security-Token: EXAMPLESESSIONTOKEN==");
    return headers[2];
}

static void a_signature_is_aws_s(void **state)
{
    OWNED(arena_free) struct arena *arena = arena_new(65536);
    struct aws_signing signing = request();

    (void)state;
    assert_string_equal(sign(&signing, arena), PLAIN);
}

static void a_session_token_is_signed_too(void **state)
{
    OWNED(arena_free) struct arena *arena = arena_new(65536);
    struct aws_signing signing = request();
    struct aws_keys session = keys;

    (void)state;
    session.session_token = STR("EXAMPLESESSIONTOKEN==");
    signing.keys = &session;
    assert_string_equal(sign(&signing, arena), CREDENTIAL
                        ";x-amz-security-token, Signature="
                        "8490cbe5816a6d4065892c0300c97fb8d8f39febb8380a5cdcfec6625370aebb");
}

static void the_port_that_goes_without_saying_is_not_signed(void **state)
{
    OWNED(arena_free) struct arena *arena = arena_new(65536);
    struct aws_signing signing = request();

    (void)state;
    signing.endpoint = STR("https://sts.eu-west-1.amazonaws.com:443");
    assert_string_equal(sign(&signing, arena), PLAIN);
    signing.endpoint = STR("http://sts.eu-west-1.amazonaws.com:80");
    assert_string_equal(sign(&signing, arena), PLAIN);
    signing.endpoint = STR("http://sts.eu-west-1.amazonaws.com:443");
    assert_string_not_equal(sign(&signing, arena), PLAIN);
}

static void whatever_differs_has_another_signature(void **state)
{
    struct aws_keys other = keys;
    struct aws_signing cases[4];
    OWNED(arena_free) struct arena *arena = arena_new(65536);

    (void)state;
    other.secret_access_key = STR("example/secret+key/for+test/vectors/0002");
    for (size_t i = 0; i < COUNT(cases); i++)
        cases[i] = request();
    cases[0].body = STR(BODY "0");
    cases[1].service = "iam";
    cases[2].region = "eu-west-2";
    cases[3].keys = &other;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_string_not_equal(strstr(sign(&cases[i], arena), "Signature="),
                                strstr(PLAIN, "Signature="));
}

static void without_memory_nothing_is_signed(void **state)
{
    static char token[40000];
    OWNED(arena_free) struct arena *arena = arena_new(65536);
    struct aws_signing signing = request();
    struct aws_keys session = keys;
    const char *headers[AWS_SIGNED_HEADERS];
    struct error error = { 0 };

    (void)state;
    memset(token, 'a', sizeof(token));
    session.session_token = (struct str){ token, sizeof(token) };
    signing.keys = &session;
    assert_false(aws_sign(&signing, arena, headers, &error));
    assert_int_equal(error.code, ERROR_MEMORY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_signature_is_aws_s),
        cmocka_unit_test(a_session_token_is_signed_too),
        cmocka_unit_test(the_port_that_goes_without_saying_is_not_signed),
        cmocka_unit_test(whatever_differs_has_another_signature),
        cmocka_unit_test(without_memory_nothing_is_signed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
