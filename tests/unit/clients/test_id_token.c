#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "clients/id_token.h"
#include "help.h"
#include "identity/identity.h"
#include "tests/assert_str.h"
#include "tests/test.h"

/* One thread here. NOLINTBEGIN(concurrency-mt-unsafe,cert-env33-c) */

static int make_arena_alone(void **state)
{
    (void)unsetenv("ACTIONS_ID_TOKEN_REQUEST_URL");
    (void)unsetenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN");
    (void)unsetenv("STAGEPASS_ID_TOKEN");
    return make_arena(state);
}

static void githubs_answer_gives_its_value(void **state)
{
    struct error error = { 0 };
    struct str token;

    (void)state;
    assert_true(
        id_token_read_answer(STR("{\"count\":7,\"value\":\"aA0.-_.z\"}"), arena, &token, &error));
    assert_str(token, "aA0.-_.z");
}

static void answers_without_a_token_are_refused(void **state)
{
    static const char *const cases[] = {
        "",
        "[]",
        "{}",
        "{\"value\":7}",
        "{\"value\":\"\"}",
        "{\"value\":\"a.b\"}",
        "{\"value\":\"a.b.c.d\"}",
        "{\"value\":\"a.b.c\\n\"}",
        "{\"value\":\"a.b.c&stage=x\"}",
        "{\"value\":\"a.b.c\",\"value\":\"d.e.f\"}",
        "<html>",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct error error = { 0 };
        struct str token;

        assert_false(id_token_read_answer(str_from(cases[i]), arena, &token, &error));
        assert_int_not_equal(error.code, ERROR_NONE);
    }
}

static void a_token_is_at_most_16_kib(void **state)
{
    static char text[TOKEN_MAX + 2];
    struct error error = { 0 };

    (void)state;
    memset(text, 'a', TOKEN_MAX + 1);
    text[1] = '.';
    text[3] = '.';
    assert_true(id_token_check((struct str){ text, TOKEN_MAX }, &error));
    assert_false(id_token_check((struct str){ text, TOKEN_MAX + 1 }, &error));
    assert_int_equal(error.code, ERROR_LIMIT);
}

static void a_file_may_end_in_a_line_feed(void **state)
{
    char path[] = "/tmp/stagepass-test-XXXXXX";
    int file = mkstemp(path);
    struct id_token_options options = { .file = path };
    struct error error = { 0 };
    struct str token;

    (void)state;
    assert_true(file >= 0);
    assert_int_equal(write(file, "a.b.c\n", 6), 6);
    assert_int_equal(close(file), 0);
    assert_true(id_token_get(&options, arena, &token, &error));
    assert_str(token, "a.b.c");
    assert_int_equal(unlink(path), 0);
    assert_false(id_token_get(&options, arena, &token, &error));
    assert_int_equal(error.code, ERROR_IO);
}

static void the_environments_token_serves_where_nothing_else_is(void **state)
{
    struct id_token_options options = { 0 };
    struct error error = { 0 };
    struct str token;

    (void)state;
    assert_int_equal(setenv("STAGEPASS_ID_TOKEN", "a.b.c", 1), 0);
    assert_true(id_token_get(&options, arena, &token, &error));
    assert_str(token, "a.b.c");
    assert_int_equal(setenv("STAGEPASS_ID_TOKEN", "nonsense", 1), 0);
    assert_false(id_token_get(&options, arena, &token, &error));
    assert_int_equal(error.code, ERROR_SYNTAX);
    assert_null(strstr(error.cause, "nonsense"));
    assert_int_equal(unsetenv("STAGEPASS_ID_TOKEN"), 0);
}

static void without_any_token_it_says_what_to_do(void **state)
{
    struct id_token_options options = { 0 };
    struct error error = { 0 };
    struct str token;

    (void)state;
    assert_false(id_token_get(&options, arena, &token, &error));
    assert_int_equal(error.code, ERROR_USAGE);
    assert_non_null(strstr(error.cause, "id-token: write"));
}

/* NOLINTEND(concurrency-mt-unsafe,cert-env33-c) */

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(githubs_answer_gives_its_value),
        cmocka_unit_test(answers_without_a_token_are_refused),
        cmocka_unit_test(a_token_is_at_most_16_kib),
        cmocka_unit_test(a_file_may_end_in_a_line_feed),
        cmocka_unit_test(the_environments_token_serves_where_nothing_else_is),
        cmocka_unit_test(without_any_token_it_says_what_to_do),
    };

    return cmocka_run_group_tests(tests, make_arena_alone, free_arena);
}
