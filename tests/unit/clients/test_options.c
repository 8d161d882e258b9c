#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "clients/options.h"
#include "tests/test.h"

/* One thread here. NOLINTBEGIN(concurrency-mt-unsafe,cert-env33-c) */

struct inner {
    const char *stage;
    struct option_list grants;
};

struct values {
    struct inner inner;
    bool is_quiet;
    int64_t ttl_s;
    int64_t lines;
    size_t output;
};

static const struct option_row inner_rows[] = {
    { .name = "stage",
      .kind = OPTION_TEXT,
      .value = "NAME",
      .environment = "TEST_STAGE",
      .help = "The stage",
      .offset = offsetof(struct inner, stage) },
    { .name = "grant",
      .kind = OPTION_LIST,
      .value = "NAME",
      .help = "A grant",
      .offset = offsetof(struct inner, grants) },
};

static const struct option_row rows[] = {
    { .name = "quiet",
      .kind = OPTION_FLAG,
      .help = "Say nothing",
      .offset = offsetof(struct values, is_quiet),
      .letter = 'q' },
    { .name = "ttl",
      .kind = OPTION_DURATION,
      .value = "TIME",
      .environment = "TEST_TTL",
      .help = "How long",
      .offset = offsetof(struct values, ttl_s) },
    { .name = "lines",
      .kind = OPTION_COUNT,
      .value = "N",
      .help = "How many",
      .offset = offsetof(struct values, lines),
      .letter = 'n' },
    { .name = "output",
      .kind = OPTION_CHOICE,
      .value = "text|json|tap",
      .help = "How",
      .offset = offsetof(struct values, output) },
};

static const struct option_group groups[] = {
    { inner_rows, COUNT(inner_rows), offsetof(struct values, inner) },
    { rows, COUNT(rows), 0 },
};

static const struct option_shape mixed = { groups, COUNT(groups), false };
static const struct option_shape stopping = { groups, COUNT(groups), true };

#define ARGUMENTS_MAX 40

/* A command line with its NULL, as the system gives it: writable. */
struct line {
    char *items[ARGUMENTS_MAX + 1];
    char texts[ARGUMENTS_MAX][64];
    int count;
};

static void split(const char *text, struct line *line)
{
    struct str rest = str_from(text);
    struct str word;

    memset(line, 0, sizeof(*line));
    while (rest.len > 0) {
        assert_true(line->count < ARGUMENTS_MAX);
        (void)str_cut(rest, ' ', &word, &rest);
        (void)snprintf(line->texts[line->count], sizeof(line->texts[0]), STR_FMT, STR_ARG(word));
        line->items[line->count] = line->texts[line->count];
        line->count++;
    }
}

static bool read_line(const struct option_shape *shape, const char *text, struct values *values,
                      struct operands *operands, struct error *error)
{
    static struct line line; /* operands point into it */

    memset(values, 0, sizeof(*values));
    split(text, &line);
    return options_read(shape, line.count, line.items, values, operands, error);
}

static void options_land_where_their_rows_say(void **state)
{
    struct operands operands;
    struct error error = { 0 };
    struct values values;

    (void)state;
    assert_true(read_line(&mixed,
                          "--stage build one --grant a --grant=b -q two --ttl 15m -n5 --output tap",
                          &values, &operands, &error));
    assert_string_equal(values.inner.stage, "build");
    assert_int_equal(values.inner.grants.count, 2);
    assert_string_equal(values.inner.grants.items[1], "b");
    assert_true(values.is_quiet);
    assert_int_equal(values.ttl_s, 900);
    assert_int_equal(values.lines, 5);
    assert_int_equal(values.output, 2);
    assert_int_equal(operands.count, 2);
    assert_string_equal(operands.items[0], "one");
    assert_string_equal(operands.items[1], "two");
    assert_null(operands.items[2]);
}

static void what_follows_two_dashes_is_operands(void **state)
{
    struct operands operands;
    struct error error = { 0 };
    struct values values;

    (void)state;
    assert_true(read_line(&mixed, "-q -- --stage x -- --help", &values, &operands, &error));
    assert_null(values.inner.stage);
    assert_int_equal(operands.count, 4);
    assert_string_equal(operands.items[0], "--stage");
    assert_false(operands.asks_help);
}

static void a_command_keeps_its_own_options(void **state)
{
    struct operands operands;
    struct error error = { 0 };
    struct values values;

    (void)state;
    assert_true(read_line(&stopping, "-q make --help -n 5 -- x", &values, &operands, &error));
    assert_int_equal(operands.count, 6);
    assert_string_equal(operands.items[0], "make");
    assert_string_equal(operands.items[4], "--");
    assert_int_equal(values.lines, 0);
    assert_false(operands.asks_help);
}

static void help_wins_over_what_follows_it(void **state)
{
    struct operands operands;
    struct error error = { 0 };
    struct values values;

    (void)state;
    assert_true(read_line(&mixed, "-q --help --wrong", &values, &operands, &error));
    assert_true(operands.asks_help);
    assert_true(read_line(&stopping, "--stage x -h", &values, &operands, &error));
    assert_true(operands.asks_help);
}

static void a_dash_alone_is_an_operand(void **state)
{
    struct operands operands;
    struct error error = { 0 };
    struct values values;

    (void)state;
    assert_true(read_line(&mixed, "-", &values, &operands, &error));
    assert_int_equal(operands.count, 1);
}

static void the_environment_stands_in_for_what_is_not_given(void **state)
{
    struct operands operands;
    struct error error = { 0 };
    struct values values;

    (void)state;
    assert_int_equal(setenv("TEST_STAGE", "from-environment", 1), 0);
    assert_true(read_line(&mixed, "", &values, &operands, &error));
    assert_string_equal(values.inner.stage, "from-environment");
    assert_true(read_line(&mixed, "--stage given", &values, &operands, &error));
    assert_string_equal(values.inner.stage, "given");
    assert_int_equal(setenv("TEST_STAGE", "", 1), 0);
    assert_true(read_line(&mixed, "", &values, &operands, &error));
    assert_null(values.inner.stage);
    assert_int_equal(unsetenv("TEST_STAGE"), 0);
}

static void a_bad_value_in_the_environment_is_refused(void **state)
{
    struct operands operands;
    struct error error = { 0 };
    struct values values;

    (void)state;
    assert_int_equal(setenv("TEST_TTL", "soon", 1), 0);
    assert_false(read_line(&mixed, "", &values, &operands, &error));
    assert_string_equal(error.cause,
                        "TEST_TTL in the environment: expected a duration such as 90s or 15m");
    assert_int_equal(unsetenv("TEST_TTL"), 0);
}

static void wrong_lines_are_refused_with_a_reason(void **state)
{
    static const struct {
        const char *line;
        const char *cause;
    } cases[] = {
        { "--stagge x", "there is no option '--stagge': did you mean '--stage'?" },
        { "--zzzzzzzz", "there is no option '--zzzzzzzz'" },
        { "-z", "there is no option '-z'" },
        { "--stage", "'--stage' lacks its value: a value that is not empty" },
        { "--stage=", "'--stage' expects a value that is not empty" },
        { "--stage a --stage b", "'--stage' is given twice" },
        { "-q -q", "'--quiet' is given twice" },
        { "--quiet=yes", "'--quiet' takes no value" },
        { "-qx", "'-q' takes no value" },
        { "--ttl 15", "'--ttl' expects a duration such as 90s or 15m" },
        { "--ttl -5m", "'--ttl' expects a duration such as 90s or 15m" },
        { "-n -1", "'--lines' expects a number" },
        { "-n 1x", "'--lines' expects a number" },
        { "-n 99999999999999999999", "'--lines' expects a number" },
        { "--output xml", "'--output' expects text|json|tap" },
        { "--output tex", "'--output' expects text|json|tap" },
        { "--output text|json", "'--output' expects text|json|tap" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct operands operands;
        struct error error = { 0 };
        struct values values;

        assert_false(read_line(&mixed, cases[i].line, &values, &operands, &error));
        assert_int_equal(error.code, ERROR_USAGE);
        assert_string_equal(error.cause, cases[i].cause);
    }
}

static void a_list_holds_sixteen(void **state)
{
    char line[ARGUMENTS_MAX * 10] = "";
    struct operands operands;
    struct error error = { 0 };
    struct values values;
    size_t len = 0;

    (void)state;
    for (size_t i = 0; i < OPTION_LIST_MAX; i++)
        len += (size_t)snprintf(line + len, sizeof(line) - len, "--grant=x ");
    assert_true(read_line(&mixed, line, &values, &operands, &error));
    assert_int_equal(values.inner.grants.count, OPTION_LIST_MAX);
    (void)snprintf(line + len, sizeof(line) - len, "--grant=x ");
    assert_false(read_line(&mixed, line, &values, &operands, &error));
    assert_string_equal(error.cause, "'--grant' expects up to 16 names");
}

static void the_description_shows_every_option(void **state)
{
    struct buf text;

    (void)state;
    buf_init(&text, 4096);
    options_describe(&mixed, &text);
    assert_true(buf_is_ok(&text));
    assert_non_null(strstr(text.data, "  --stage NAME            The stage [TEST_STAGE]\n"));
    assert_non_null(strstr(text.data, "  -q, --quiet             Say nothing\n"));
    assert_non_null(strstr(text.data, "  --output text|json|tap  How\n"));
    buf_release(&text);
}

/* NOLINTEND(concurrency-mt-unsafe,cert-env33-c) */

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_land_where_their_rows_say),
        cmocka_unit_test(what_follows_two_dashes_is_operands),
        cmocka_unit_test(a_command_keeps_its_own_options),
        cmocka_unit_test(help_wins_over_what_follows_it),
        cmocka_unit_test(a_dash_alone_is_an_operand),
        cmocka_unit_test(the_environment_stands_in_for_what_is_not_given),
        cmocka_unit_test(a_bad_value_in_the_environment_is_refused),
        cmocka_unit_test(wrong_lines_are_refused_with_a_reason),
        cmocka_unit_test(a_list_holds_sixteen),
        cmocka_unit_test(the_description_shows_every_option),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
