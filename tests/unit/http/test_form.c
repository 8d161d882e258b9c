#include <string.h>

#include "base/error.h"
#include "http/form.h"
#include "tests/test.h"

static const char *const known[] = { "grant_type", "subject_token", "audience", "resource", NULL };

static struct arena *arena;

static int make_arena(void **state)
{
    (void)state;
    arena = arena_new((size_t)1024 * 1024);
    return arena == NULL ? -1 : 0;
}

static int drop_arena(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static enum error_code parse(struct str body, struct form *form)
{
    struct error error = { 0 };

    return form_parse(body, known, arena, form, &error) ? ERROR_NONE : error.code;
}

static void assert_value(const struct form *form, const char *name, const char *expected)
{
    struct str value = { 0 };

    assert_true(form_get(form, name, &value));
    assert_int_equal(value.len, strlen(expected));
    assert_memory_equal(value.data, expected, value.len);
}

static void a_form_is_decoded_in_order(void **state)
{
    struct form form;

    (void)state;
    assert_int_equal(parse(STR("grant_type=a%3Ab%2fc&x=1+2&note=%C3%A9"), &form), ERROR_NONE);
    assert_int_equal(form.count, 3);
    assert_value(&form, "grant_type", "a:b/c");
    assert_value(&form, "x", "1 2");
    assert_value(&form, "note", "\xc3\xa9");
    assert_true(str_eq(form.list[1].name, STR("x")));
}

static void empty_values_and_empty_pieces_count_as_absent(void **state)
{
    struct form form;
    struct str value;

    (void)state;
    assert_int_equal(parse(STR("&grant_type=&&subject_token&x=1&grant_type=b&"), &form),
                     ERROR_NONE);
    assert_int_equal(form.count, 2);
    assert_value(&form, "grant_type", "b");
    assert_false(form_get(&form, "subject_token", &value));
    assert_int_equal(parse(STR(""), &form), ERROR_NONE);
    assert_int_equal(form.count, 0);
}

static void audience_and_resource_may_repeat(void **state)
{
    struct form form;

    (void)state;
    assert_int_equal(parse(STR("audience=a&resource=c&audience=b&resource=c"), &form), ERROR_NONE);
    assert_int_equal(form_count(&form, "audience"), 2);
    assert_int_equal(form_count(&form, "resource"), 2);
    assert_int_equal(form_count(&form, "scope"), 0);
    assert_value(&form, "audience", "a");
}

static void malformed_forms_are_refused(void **state)
{
    static const struct {
        const char *name;
        struct str body;
    } cases[] = {
        { "escape cut after %", { "x=%", 3 } },
        { "escape cut after a digit", { "x=%4", 4 } },
        { "escape of no digits", { "x=%zz", 5 } },
        { "second digit wrong", { "x=%4g", 5 } },
        { "sign as a digit", { "x=%+1", 5 } },
        { "escape in a name", { "%=1", 3 } },
        { "NUL escaped", { "x=a%00b", 7 } },
        { "NUL raw", { "x=a\0b", 5 } },
        { "NUL in a name", { "x%00=b", 6 } },
        { "overlong UTF-8", { "x=%c0%af", 8 } },
        { "surrogate", { "x=%ed%a0%80", 11 } },
        { "lone continuation byte", { "x=%80", 5 } },
        { "raw Latin-1", { "x=\xe9", 3 } },
        { "name not UTF-8", { "%ff=1", 5 } },
        { "no name", { "=1", 2 } },
        { "only an equals sign", { "=", 1 } },
        { "repeated known", { "grant_type=a&grant_type=a", 25 } },
        { "repeated unknown", { "x=1&x=2", 7 } },
        { "repeated behind an escape", { "x=1&%78=2", 9 } },
        { "known in capitals", { "Grant_Type=a", 12 } },
        { "known with []", { "grant_type[]=a", 14 } },
        { "known with [0]", { "grant_type[0]=a", 15 } },
        { "known with [] escaped", { "grant_type%5B%5D=a", 18 } },
        { "known in capitals with [12]", { "AUDIENCE[12]=a", 14 } },
        { "lookalike without a value", { "grant_type[]=", 13 } },
    };
    struct form form;

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (parse(cases[i].body, &form) != ERROR_REQUEST)
            fail_msg("accepted: %s", cases[i].name);
    }
}

static void names_that_only_resemble_a_lookalike_stay(void **state)
{
    struct form form;

    (void)state;
    assert_int_equal(
        parse(STR("grant_type_x=1&x[]=2&audience[a]=3&[]=4&audience]=5&grant[0=6"), &form),
        ERROR_NONE);
    assert_int_equal(form.count, 6);
}

/* `count` parameters "p0=1&p1=1...". */
static struct str many(size_t count)
{
    struct str body = STR("p=1");

    for (size_t i = 1; i < count; i++)
        body = arena_printf(arena, STR_FMT "&p%zu=1", STR_ARG(body), i);
    return body;
}

static void a_hundred_parameters_fit_and_one_more_does_not(void **state)
{
    struct form form;

    (void)state;
    assert_int_equal(parse(many(FORM_PARAMETERS_MAX), &form), ERROR_NONE);
    assert_int_equal(form.count, FORM_PARAMETERS_MAX);
    assert_int_equal(parse(many(FORM_PARAMETERS_MAX + 1), &form), ERROR_REQUEST);
}

static void a_body_of_the_limit_fits_and_one_byte_more_does_not(void **state)
{
    char *data = arena_alloc(arena, FORM_BYTES_MAX + 1);
    struct form form;

    (void)state;
    assert_non_null(data);
    memset(data, 'v', FORM_BYTES_MAX + 1);
    data[0] = 'x';
    data[1] = '=';
    assert_int_equal(parse((struct str){ data, FORM_BYTES_MAX }, &form), ERROR_NONE);
    assert_int_equal(form.list[0].value.len, FORM_BYTES_MAX - 2);
    assert_int_equal(parse((struct str){ data, FORM_BYTES_MAX + 1 }, &form), ERROR_BODY_TOO_LARGE);
}

static void a_query_keeps_what_comes_again_and_what_is_empty(void **state)
{
    struct error error = { 0 };
    struct form form;

    (void)state;
    assert_true(form_parse_query(STR("stage=a&stage=b&x=&Stage=c%20d&y"), arena, &form, &error));
    assert_int_equal(form.count, 5);
    assert_int_equal(form_count(&form, "stage"), 2);
    assert_value(&form, "Stage", "c d");
    assert_value(&form, "x", "");
    assert_value(&form, "y", "");
    assert_false(form_parse_query(STR("a=%zz"), arena, &form, &error));
    assert_int_equal(error.code, ERROR_REQUEST);
    error = (struct error){ 0 };
    assert_false(form_parse_query(STR("=b"), arena, &form, &error));
    assert_int_equal(error.code, ERROR_REQUEST);
}

static void without_memory_the_form_is_refused(void **state)
{
    OWNED(arena_free) struct arena *small = arena_new(16);
    struct error error = { 0 };
    struct form form;

    (void)state;
    assert_non_null(small);
    assert_false(form_parse(STR("x=0123456789012345"), known, small, &form, &error));
    assert_int_equal(error.code, ERROR_MEMORY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_form_is_decoded_in_order, make_arena, drop_arena),
        cmocka_unit_test_setup_teardown(empty_values_and_empty_pieces_count_as_absent, make_arena,
                                        drop_arena),
        cmocka_unit_test_setup_teardown(audience_and_resource_may_repeat, make_arena, drop_arena),
        cmocka_unit_test_setup_teardown(malformed_forms_are_refused, make_arena, drop_arena),
        cmocka_unit_test_setup_teardown(names_that_only_resemble_a_lookalike_stay, make_arena,
                                        drop_arena),
        cmocka_unit_test_setup_teardown(a_hundred_parameters_fit_and_one_more_does_not, make_arena,
                                        drop_arena),
        cmocka_unit_test_setup_teardown(a_body_of_the_limit_fits_and_one_byte_more_does_not,
                                        make_arena, drop_arena),
        cmocka_unit_test_setup_teardown(a_query_keeps_what_comes_again_and_what_is_empty,
                                        make_arena, drop_arena),
        cmocka_unit_test(without_memory_the_form_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
