#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "clients/answer.h"
#include "clients/environment.h"
#include "tests/assert_str.h"
#include "tests/test.h"

static struct arena *arena;

static int make_arena(void **state)
{
    (void)state;
    arena = arena_new((size_t)4 * 1024 * 1024);
    return arena ? 0 : -1;
}

static int free_arena(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static struct credential jwt(const char *grant, const char *token)
{
    return (struct credential){ .grant = str_from(grant),
                                .type = CREDENTIAL_JWT,
                                .token = str_from(token) };
}

static struct credential aws(const char *grant, const char *region)
{
    return (struct credential){ .grant = str_from(grant),
                                .type = CREDENTIAL_AWS,
                                .access_key_id = STR("ASIA1"),
                                .secret_access_key = STR("secret"),
                                .session_token = STR("session"),
                                .region = str_from(region) };
}

static struct answer answer_with(struct credential first, struct credential second)
{
    return (struct answer){
        .lease = STR("01ARYZ6S41TSV4RRFFQ69G5FAV"),
        .stage = STR("acme/payments:build"),
        .access_token = STR("a.b.c"),
        .token_type = STR("DPoP"),
        .credentials = { first, second },
        .credential_count = second.grant.len > 0 ? 2 : 1,
    };
}

/* The value of a variable in a list of "NAME=value", or NULL. */
static const char *value_of(char **list, const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; list[i]; i++)
        if (strncmp(list[i], name, len) == 0 && list[i][len] == '=')
            return list[i] + len + 1;
    return NULL;
}

static char **build(const struct answer *answer, char *const *inherited)
{
    struct environment environment = { .arena = arena };
    struct error error = { 0 };
    char **list;

    assert_true(environment_add_answer(&environment, answer, &error));
    list = environment_build(&environment, inherited);
    assert_non_null(list);
    return list;
}

static void a_jwt_is_named_after_its_grant(void **state)
{
    struct answer answer = answer_with(jwt("artifact-store", "d.e.f"), (struct credential){ 0 });
    char *inherited[] = { NULL };
    char **list = build(&answer, inherited);

    (void)state;
    assert_string_equal(value_of(list, "STAGEPASS_ARTIFACT_STORE_TOKEN"), "d.e.f");
    assert_string_equal(value_of(list, "STAGEPASS_LEASE"), "01ARYZ6S41TSV4RRFFQ69G5FAV");
    assert_string_equal(value_of(list, "STAGEPASS_STAGE"), "acme/payments:build");
    assert_string_equal(value_of(list, "STAGEPASS_ACCESS_TOKEN"), "a.b.c");
    assert_string_equal(value_of(list, "STAGEPASS_TOKEN_TYPE"), "DPoP");
}

static void one_aws_grant_fills_the_variables(void **state)
{
    struct answer answer = answer_with(aws("site", "eu-central-1"), (struct credential){ 0 });
    char *inherited[] = { NULL };
    char **list = build(&answer, inherited);

    (void)state;
    assert_string_equal(value_of(list, "AWS_ACCESS_KEY_ID"), "ASIA1");
    assert_string_equal(value_of(list, "AWS_SECRET_ACCESS_KEY"), "secret");
    assert_string_equal(value_of(list, "AWS_SESSION_TOKEN"), "session");
    assert_string_equal(value_of(list, "AWS_REGION"), "eu-central-1");
    assert_string_equal(value_of(list, "AWS_DEFAULT_REGION"), "eu-central-1");
}

static void a_region_that_is_not_said_is_left_as_it_was(void **state)
{
    struct answer answer = answer_with(aws("site", ""), (struct credential){ 0 });
    char region[] = "AWS_REGION=us-east-1";
    char *inherited[] = { region, NULL };

    (void)state;
    assert_string_equal(value_of(build(&answer, inherited), "AWS_REGION"), "us-east-1");
}

static void several_aws_grants_are_profiles(void **state)
{
    struct answer answer = answer_with(aws("site", "eu-central-1"), aws("logs", ""));
    char *inherited[] = { NULL };

    (void)state;
    assert_null(value_of(build(&answer, inherited), "AWS_ACCESS_KEY_ID"));
    assert_str(environment_aws_profiles(&answer, arena),
               "[site]\naws_access_key_id = ASIA1\naws_secret_access_key = secret\n"
               "aws_session_token = session\nregion = eu-central-1\n\n"
               "[logs]\naws_access_key_id = ASIA1\naws_secret_access_key = secret\n"
               "aws_session_token = session\n\n");
}

static void what_was_inherited_gives_way_and_the_identity_stays_behind(void **state)
{
    struct answer answer = answer_with(jwt("api", "d.e.f"), (struct credential){ 0 });
    char old[] = "STAGEPASS_API_TOKEN=old";
    char token[] = "STAGEPASS_ID_TOKEN=x.y.z";
    char handle[] = "STAGEPASS_LEASE_HANDLE=h";
    char path[] = "PATH=/bin";
    char odd[] = "NO_EQUALS";
    char *inherited[] = { old, token, handle, path, odd, NULL };
    char **list = build(&answer, inherited);
    size_t count = 0;

    (void)state;
    for (size_t i = 0; list[i]; i++)
        count += strncmp(list[i], "STAGEPASS_API_TOKEN=", 20) == 0;
    assert_int_equal(count, 1);
    assert_string_equal(value_of(list, "STAGEPASS_API_TOKEN"), "d.e.f");
    assert_null(value_of(list, "STAGEPASS_ID_TOKEN"));
    assert_null(value_of(list, "STAGEPASS_LEASE_HANDLE"));
    assert_string_equal(value_of(list, "PATH"), "/bin");
    assert_ptr_equal(list[1], odd);
}

static void a_grant_that_would_take_a_name_of_ours_is_refused(void **state)
{
    struct environment environment = { .arena = arena };
    struct answer answer = answer_with(jwt("access", "d.e.f"), (struct credential){ 0 });
    struct error error = { 0 };

    (void)state;
    assert_false(environment_add_answer(&environment, &answer, &error));
    assert_int_equal(error.code, ERROR_INVALID);
    assert_non_null(strstr(error.cause, "STAGEPASS_ACCESS_TOKEN"));
}

static void a_line_end_gets_into_no_variable(void **state)
{
    static const char *const cases[] = { "a\nb", "a\rb", "\n", "a\033[2J" };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct environment environment = { .arena = arena };
        struct error error = { 0 };

        assert_false(environment_add(&environment, STR("NAME"), str_from(cases[i]), true, &error));
        assert_int_equal(error.code, ERROR_INVALID);
        assert_int_equal(environment.added_count, 0);
    }
}

static void a_nul_gets_into_no_variable(void **state)
{
    struct environment environment = { .arena = arena };
    struct error error = { 0 };

    (void)state;
    assert_false(environment_add(&environment, STR("NAME"), STR("a\0b"), true, &error));
}

static void so_many_variables_are_taken_and_no_more(void **state)
{
    struct environment environment = { .arena = arena };
    struct error error = { 0 };
    char name[16];

    (void)state;
    for (int i = 0; i < ENVIRONMENT_ADDED_MAX; i++) {
        (void)snprintf(name, sizeof(name), "N%d", i);
        assert_true(environment_add(&environment, str_from(name), STR("x"), false, &error));
    }
    assert_false(environment_add(&environment, STR("ONE_MORE"), STR("x"), false, &error));
    assert_int_equal(error.code, ERROR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_jwt_is_named_after_its_grant),
        cmocka_unit_test(one_aws_grant_fills_the_variables),
        cmocka_unit_test(a_region_that_is_not_said_is_left_as_it_was),
        cmocka_unit_test(several_aws_grants_are_profiles),
        cmocka_unit_test(what_was_inherited_gives_way_and_the_identity_stays_behind),
        cmocka_unit_test(a_grant_that_would_take_a_name_of_ours_is_refused),
        cmocka_unit_test(a_line_end_gets_into_no_variable),
        cmocka_unit_test(a_nul_gets_into_no_variable),
        cmocka_unit_test(so_many_variables_are_taken_and_no_more),
    };

    return cmocka_run_group_tests(tests, make_arena, free_arena);
}
