#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/macros.h"
#include "identity/profile.h"
#include "tests/dev_issuer/options.h"
#include "tests/test.h"

#define ARGUMENTS_MAX 160
#define ARGUMENT_LEN_MAX 64

#define LIST(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* Main's arguments are not const; literals are. */
static bool read_list(enum options_command command, const char *const *list,
                      struct options *options, struct error *error)
{
    static char texts[ARGUMENTS_MAX][ARGUMENT_LEN_MAX];
    char *arguments[ARGUMENTS_MAX + 1] = { NULL };

    for (size_t i = 0; list[i] != NULL; i++) {
        assert_in_range(i, 0, ARGUMENTS_MAX - 1);
        (void)snprintf(texts[i], sizeof(texts[i]), "%s", list[i]);
        arguments[i] = texts[i];
    }
    return options_read(command, arguments, options, error);
}

static void expect_refusal(enum options_command command, const char *const *list, const char *words)
{
    struct options options;
    struct error error = { 0 };

    if (read_list(command, list, &options, &error))
        fail_msg("accepted: %s", list[0]);
    assert_int_equal(error.code, ERROR_USAGE);
    if (strstr(error.cause, words) == NULL)
        fail_msg("'%s' says nothing of '%s'", error.cause, words);
}

static void what_is_not_said_has_its_default(void **state)
{
    struct options options;
    struct error error = { 0 };

    (void)state;
    assert_true(read_list(OPTIONS_SERVE, LIST("--folder", "f"), &options, &error));
    assert_string_equal(options.folder, "f");
    assert_int_equal(options.algorithm, KEY_RS256);
    assert_int_equal(options.port, 0);
    assert_true(str_eq(options.address, STR("127.0.0.1")));
    assert_int_equal(options.lifetime_s, 0); /* the platform's */
    assert_int_equal(options.count, 1);
    assert_ptr_equal(options.profile, profile_find(STR("github")));
    assert_null(options.certificate_file);
}

static void all_that_a_token_takes_is_read(void **state)
{
    struct options options;
    struct error error = { 0 };

    (void)state;
    assert_true(read_list(OPTIONS_TOKEN,
                          LIST("--folder", "f", "--url", "https://ci.example", "--audience", "b",
                               "--profile", "generic", "--algorithm", "ES256", "--claims", "c",
                               "--set", "a=b=c", "--json", "n=[1]", "--unset", "jti", "--lifetime",
                               "24h", "--count", "10000000"),
                          &options, &error));
    assert_true(str_eq(options.url, STR("https://ci.example")));
    assert_true(str_eq(options.audience, STR("b")));
    assert_ptr_equal(options.profile, profile_find(STR("generic")));
    assert_int_equal(options.algorithm, KEY_ES256);
    assert_string_equal(options.claims_file, "c");
    assert_int_equal(options.change_count, 3);
    assert_true(str_eq(options.changes[0].name, STR("a")));
    assert_true(str_eq(options.changes[0].value, STR("b=c")));
    assert_int_equal(options.changes[1].kind, CLAIMS_SET_JSON);
    assert_int_equal(options.changes[2].kind, CLAIMS_UNSET);
    assert_int_equal(options.lifetime_s, 24 * 3600);
    assert_int_equal(options.count, 10000000);
}

static void a_certificate_comes_with_its_key(void **state)
{
    struct options options;
    struct error error = { 0 };

    (void)state;
    assert_true(read_list(OPTIONS_SERVE,
                          LIST("--tls", "c.pem", "k.pem", "--folder", "f", "--port", "65535"),
                          &options, &error));
    assert_string_equal(options.certificate_file, "c.pem");
    assert_string_equal(options.key_file, "k.pem");
    assert_int_equal(options.port, 65535);
    expect_refusal(OPTIONS_SERVE, LIST("--folder", "f", "--tls", "c.pem"), "two values");
}

static void bad_values_are_refused_with_what_was_expected(void **state)
{
    static const struct {
        enum options_command command;
        const char *name;
        const char *value;
    } cases[] = {
        { OPTIONS_SERVE, "--port", "65536" },
        { OPTIONS_SERVE, "--port", "-1" },
        { OPTIONS_SERVE, "--port", "http" },
        { OPTIONS_SERVE, "--url", "ftp://ci.example" },
        { OPTIONS_SERVE, "--url", "http://ci.example/" },
        { OPTIONS_SERVE, "--url", "http://ci\nexample" },
        { OPTIONS_SERVE, "--algorithm", "HS256" },
        { OPTIONS_SERVE, "--algorithm", "es256" },
        { OPTIONS_SERVE, "--profile", "gitbug" },
        { OPTIONS_TOKEN, "--audience", "" },
        { OPTIONS_TOKEN, "--lifetime", "25h" },
        { OPTIONS_TOKEN, "--lifetime", "300" },
        { OPTIONS_TOKEN, "--lifetime", "0s" },
        { OPTIONS_TOKEN, "--count", "0" },
        { OPTIONS_TOKEN, "--count", "10000001" },
        { OPTIONS_TOKEN, "--set", "ref" },
        { OPTIONS_TOKEN, "--set", "=main" },
        { OPTIONS_TOKEN, "--json", "ref" },
        { OPTIONS_TOKEN, "--unset", "" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        expect_refusal(cases[i].command, LIST(cases[i].name, cases[i].value, "--folder", "f"), "");
}

static void an_option_that_is_not_there_is_refused_with_the_nearest(void **state)
{
    (void)state;
    expect_refusal(OPTIONS_TOKEN, LIST("--ulr", "x"), "'--url'");
    expect_refusal(OPTIONS_TOKEN, LIST("--port", "1"), "'--port'"); /* of the other command */
    expect_refusal(OPTIONS_SERVE, LIST("--claims", "c"), "'--claims'");
    expect_refusal(OPTIONS_SERVE, LIST("folder"), "'folder'");
    expect_refusal(OPTIONS_SERVE, LIST("--folder=f"), "'--folder=f'");
}

static void what_it_cannot_do_without_is_asked_for(void **state)
{
    (void)state;
    expect_refusal(OPTIONS_SERVE, LIST("--port", "0"), "--folder");
    expect_refusal(OPTIONS_TOKEN, LIST("--url", "http://ci.example"), "--folder");
    expect_refusal(OPTIONS_TOKEN, LIST("--folder", "f"), "--url");
    expect_refusal(OPTIONS_SERVE, LIST("--folder"), "a value");
}

static void changes_have_a_greatest_number(void **state)
{
    const char *list[2 * OPTIONS_CHANGES_MAX + 7] = { "--folder", "f", "--url",
                                                      "http://ci.example" };
    struct options options;
    struct error error = { 0 };

    (void)state;
    for (size_t i = 0; i < OPTIONS_CHANGES_MAX; i++) {
        list[4 + 2 * i] = "--set";
        list[5 + 2 * i] = "a=b";
    }
    assert_true(read_list(OPTIONS_TOKEN, list, &options, &error));
    assert_int_equal(options.change_count, OPTIONS_CHANGES_MAX);
    list[4 + 2 * OPTIONS_CHANGES_MAX] = "--unset";
    list[5 + 2 * OPTIONS_CHANGES_MAX] = "a";
    expect_refusal(OPTIONS_TOKEN, list, "more than 64");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_said_has_its_default),
        cmocka_unit_test(all_that_a_token_takes_is_read),
        cmocka_unit_test(a_certificate_comes_with_its_key),
        cmocka_unit_test(bad_values_are_refused_with_what_was_expected),
        cmocka_unit_test(an_option_that_is_not_there_is_refused_with_the_nearest),
        cmocka_unit_test(what_it_cannot_do_without_is_asked_for),
        cmocka_unit_test(changes_have_a_greatest_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
