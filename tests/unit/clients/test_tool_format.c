#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "clients/answer.h"
#include "clients/tool_format.h"
#include "tests/assert_str.h"
#include "tests/test.h"

static struct arena *arena;

static int make_arena(void **state)
{
    (void)state;
    arena = arena_new((size_t)1024 * 1024);
    return arena ? 0 : -1;
}

static int free_arena(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

typedef bool (*formatter)(const struct answer *answer, struct arena *arena, struct str *text,
                          struct error *error);

static struct answer one(struct credential credential)
{
    return (struct answer){ .credentials = { credential }, .credential_count = 1 };
}

static void assert_text(formatter format, struct credential credential, const char *expected)
{
    struct answer answer = one(credential);
    struct error error = { 0 };
    struct str text;

    if (!format(&answer, arena, &text, &error))
        fail_msg("%s", error.cause);
    assert_string_equal(text.data, expected);
}

static const struct credential aws = {
    .type = CREDENTIAL_AWS,
    .access_key_id = { "ASIA1", 5 },
    .secret_access_key = { "secret", 6 },
    .session_token = { "session", 7 },
    .expires_at = { "2026-11-22T10:00:00Z", 20 },
};
static const struct credential jwt = {
    .type = CREDENTIAL_JWT,
    .token = { "a.b.c", 5 },
    .expires_s = 1767226500,
};
static const struct credential azure = {
    .type = CREDENTIAL_AZURE,
    .token = { "d.e.f", 5 },
    .tenant_id = { "7c9e", 4 },
    .expires_s = 1767226500,
};

static const struct credential gitlab = {
    .type = CREDENTIAL_GITLAB,
    .token = { "gldt-a", 6 },
    .user = { "u", 1 },
    .host = { "gitlab.example", 14 },
    .registry = { "r.example", 9 },
};

/* Of a gitlab grant that is for no registry docker hears nothing. */
static void a_gitlab_token_is_a_registrys_password_where_it_is_for_one(void **state)
{
    struct credential without = gitlab;
    struct answer answer;

    (void)state;
    assert_text(tool_format_docker, gitlab,
                "{\"Secret\":\"gldt-a\",\"ServerURL\":\"r.example\",\"Username\":\"u\"}");
    assert_text(tool_format_registries, gitlab,
                "{\"auths\":{\"r.example\":{\"auth\":\"dTpnbGR0LWE=\"}}}");
    without.registry = STR("");
    assert_text(tool_format_registries, without, "{\"auths\":{}}");
    answer = one(without);
    assert_false(tool_format_has_registries(&answer));
    answer = one(gitlab);
    assert_true(tool_format_has_registries(&answer));
}

static void each_tool_has_its_shape(void **state)
{
    struct credential with_account = aws;

    (void)state;
    assert_text(tool_format_aws, aws,
                "{\"AccessKeyId\":\"ASIA1\",\"Expiration\":\"2026-11-22T10:00:00Z\","
                "\"SecretAccessKey\":\"secret\",\"SessionToken\":\"session\",\"Version\":1}");
    with_account.account_id = STR("111122223333");
    assert_text(tool_format_aws, with_account,
                "{\"AccessKeyId\":\"ASIA1\",\"AccountId\":\"111122223333\",\"Expiration\":"
                "\"2026-11-22T10:00:00Z\",\"SecretAccessKey\":\"secret\",\"SessionToken\":"
                "\"session\",\"Version\":1}");
    assert_text(tool_format_gcp, jwt,
                "{\"expiration_time\":1767226500,\"id_token\":\"a.b.c\",\"success\":true,"
                "\"token_type\":\"urn:ietf:params:oauth:token-type:jwt\",\"version\":1}");
    assert_int_equal(setenv("TZ", "UTC-2", 1), 0);
    tzset();
    assert_text(tool_format_az, azure,
                "{\"accessToken\":\"d.e.f\",\"expiresOn\":\"2026-01-01 02:15:00.000000\","
                "\"expires_on\":1767226500,\"tenant\":\"7c9e\",\"tokenType\":\"Bearer\"}");
}

static void kubectl_gets_the_version_that_it_asks_for(void **state)
{
    static const struct {
        const char *asked;   /* NULL: nothing */
        const char *version; /* NULL: it is refused */
    } cases[] = {
        { NULL, "v1" },
        { "", "v1" },
        { "{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\"}",
          "v1" },
        { "{\"apiVersion\":\"client.authentication.k8s.io/v1beta1\"}", "v1beta1" },
        { "{\"apiVersion\":\"client.authentication.k8s.io/v1alpha1\"}", NULL },
        { "{\"apiVersion\":\"v1\"}", NULL },
        { "{}", NULL },
        { "[]", NULL },
        { "{", NULL },
    };
    struct answer answer = { .credential_count = 1 };

    (void)state;
    answer.credentials[0] = (struct credential){ .type = CREDENTIAL_KUBERNETES,
                                                 .token = STR("g.h.i"),
                                                 .expires_at = STR("2026-11-22T10:00:00Z") };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct error error = { 0 };
        struct str text;
        bool is_good = tool_format_kubectl(&answer, cases[i].asked, arena, &text, &error);

        assert_int_equal(is_good, cases[i].version != NULL);
        if (is_good)
            assert_true(str_eq(
                text, arena_printf(arena,
                                   "{\"apiVersion\":\"client.authentication.k8s.io/%s\",\"kind\":"
                                   "\"ExecCredential\",\"status\":{\"expirationTimestamp\":"
                                   "\"2026-11-22T10:00:00Z\",\"token\":\"g.h.i\"}}",
                                   cases[i].version)));
    }
}

static void none_or_several_are_refused(void **state)
{
    static const struct {
        formatter format;
        const struct credential *credential;
        const char *name;
    } cases[] = {
        { tool_format_aws, &aws, "one aws grant" },
        { tool_format_gcp, &jwt, "one jwt grant" },
        { tool_format_az, &azure, "one azure grant" },
        { tool_format_docker, &gitlab, "one grant for a registry" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct answer answer = { .credentials = { *cases[i].credential, *cases[i].credential } };

        for (size_t count = 0; count <= 2; count += 2) {
            struct error error = { 0 };
            struct str text;

            answer.credential_count = count;
            assert_false(cases[i].format(&answer, arena, &text, &error));
            assert_int_equal(error.code, ERROR_USAGE);
            assert_non_null(strstr(error.cause, cases[i].name));
        }
    }
}

static void a_failure_has_the_broker_s_words_or_ours(void **state)
{
    struct refusal refusal = { .status = 403,
                               .code = STR("access_denied"),
                               .description = STR("the policy\x1b says no"),
                               .decision = STR("01JD") };
    struct error error = { .code = ERROR_REFUSED, .cause = "refused" };

    (void)state;
    assert_str(tool_format_gcp_failure(&refusal, &error, arena),
               "{\"code\":\"access_denied\",\"message\":\"the policy? says no (decision 01JD)\","
               "\"success\":false,\"version\":1}");
    refusal.status = 0;
    error = (struct error){ .code = ERROR_UNREACHABLE, .cause = "nobody\nanswers" };
    assert_str(tool_format_gcp_failure(&refusal, &error, arena),
               "{\"code\":\"unreachable\",\"message\":\"nobody?answers\",\"success\":false,"
               "\"version\":1}");
}

static void foreign_words_have_a_limit(void **state)
{
    static char words[600];
    struct refusal refusal = { .status = 403, .description = { words, sizeof(words) } };
    struct error error = { .code = ERROR_REFUSED, .cause = "refused" };

    (void)state;
    memset(words, 'a', sizeof(words));
    assert_true(tool_format_gcp_failure(&refusal, &error, arena).len < 600);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_arena, free_arena)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_tool_has_its_shape),
        TEST(a_gitlab_token_is_a_registrys_password_where_it_is_for_one),
        TEST(kubectl_gets_the_version_that_it_asks_for),
        TEST(none_or_several_are_refused),
        TEST(a_failure_has_the_broker_s_words_or_ours),
        TEST(foreign_words_have_a_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
