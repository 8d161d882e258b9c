#include <string.h>

#include "base/diagnostic.h"
#include "tests/test.h"

static struct position at(size_t line, size_t column)
{
    return (struct position){ STR("a.yaml"), line, column };
}

/* What one error about a source line looks like. */
static struct str print_one(struct arena *arena, struct position position, struct str source,
                            struct str hint, const char *message)
{
    OWNED(buf_release) struct buf buf = { 0 };
    struct diagnostics diagnostics;

    buf_init(&buf, (size_t)64 * 1024);
    diagnostics_init(&diagnostics, arena);
    assert_false(
        diagnostics_add(&diagnostics, DIAGNOSTIC_ERROR, position, source, hint, "%s", message));
    diagnostics_write(&diagnostics, &buf);
    assert_true(buf_is_ok(&buf));
    return arena_copy(arena, buf_str(&buf));
}

static void assert_prints(struct position position, const char *source, const char *hint,
                          const char *message, const char *expected)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_REQUEST_MAX);
    struct str text = print_one(arena, position, str_from(source), str_from(hint), message);

    assert_string_equal(text.data, expected);
}

static void an_error_stands_above_its_line_with_a_caret_and_a_hint(void **state)
{
    (void)state;
    assert_prints(at(12, 3), "  polcy: x", "did you mean 'policy'?", "unknown key 'polcy'",
                  "a.yaml:12:3: error: unknown key 'polcy'\n"
                  "   12 |   polcy: x\n"
                  "      |   ^\n"
                  "  hint: did you mean 'policy'?\n");
}

static void a_whole_file_has_no_line_and_no_caret(void **state)
{
    (void)state;
    assert_prints(at(0, 0), "", "", "the file is empty", "a.yaml: error: the file is empty\n");
}

static void the_caret_counts_characters_and_keeps_tabs(void **state)
{
    (void)state;
    assert_prints(at(1, 4),
                  "\t\xc3\xa9"
                  "b: x",
                  "", "no",
                  "a.yaml:1:4: error: no\n"
                  "    1 | \t\xc3\xa9"
                  "b: x\n"
                  "      | \t  ^\n");
}

static void a_column_past_the_line_is_pointed_at_its_end(void **state)
{
    (void)state;
    assert_prints(at(1, 9), "ab", "", "no",
                  "a.yaml:1:9: error: no\n"
                  "    1 | ab\n"
                  "      |   ^\n");
}

static void nothing_from_a_file_steers_the_terminal(void **state)
{
    (void)state;
    assert_prints(at(1, 1),
                  /* NOLINTNEXTLINE(misc-misleading-bidirectional): what is tested */
                  "a\x1b[2J\x7f\xe2\x80\xae\xff"
                  "b",
                  "h\ni", "m\rn\xc2\x9b",
                  "a.yaml:1:1: error: m?n?\n"
                  "    1 | a?[2J???b\n"
                  "      | ^\n"
                  "  hint: h?i\n");
}

static void a_warning_is_no_error(void **state)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_REQUEST_MAX);
    OWNED(buf_release) struct buf buf = { 0 };
    struct diagnostics diagnostics;

    (void)state;
    buf_init(&buf, 1024);
    diagnostics_init(&diagnostics, arena);
    assert_true(diagnostics_add(&diagnostics, DIAGNOSTIC_WARNING, at(0, 0), STR(""), STR(""),
                                "%d days", 3));
    assert_int_equal(diagnostics.error_count, 0);
    assert_int_equal(diagnostics.count, 1);
    diagnostics_write(&diagnostics, &buf);
    assert_string_equal(buf.data, "a.yaml: warning: 3 days\n");
}

static void a_long_line_is_shown_around_its_place(void **state)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_REQUEST_MAX);
    char line[1001];
    struct str text;
    struct str caret;

    (void)state;
    memset(line, 'a', sizeof(line));
    line[500] = 'X';
    line[1000] = '\0';
    text = print_one(arena, at(1, 501), str_from(line), STR(""), "no");
    assert_true(text.len < 400);
    assert_non_null(strstr(text.data, "| ...aaa"));
    assert_non_null(strstr(text.data, "aaa...\n"));
    (void)str_cut(text, '\n', &caret, &text);
    (void)str_cut(text, '\n', &caret, &text);
    assert_int_equal(str_find(caret, 'X'), str_find(text, '^'));
}

static void a_line_of_160_characters_is_shown_whole_and_161_are_cut(void **state)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_REQUEST_MAX);
    char line[162];

    (void)state;
    memset(line, 'a', sizeof(line));
    line[160] = '\0';
    assert_null(strstr(print_one(arena, at(1, 160), str_from(line), STR(""), "no").data, "..."));
    line[160] = 'a';
    line[161] = '\0';
    assert_non_null(strstr(print_one(arena, at(1, 1), str_from(line), STR(""), "no").data, "..."));
}

static void a_hundred_are_kept_and_the_rest_is_counted(void **state)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_REQUEST_MAX);
    OWNED(buf_release) struct buf buf = { 0 };
    struct diagnostics diagnostics;

    (void)state;
    buf_init(&buf, (size_t)64 * 1024);
    diagnostics_init(&diagnostics, arena);
    for (size_t i = 0; i < DIAGNOSTICS_MAX + 2; i++)
        (void)diagnostics_add(&diagnostics, DIAGNOSTIC_ERROR, at(i + 1, 1), STR("x"), STR(""),
                              "number %zu", i);
    assert_int_equal(diagnostics.count, DIAGNOSTICS_MAX);
    assert_int_equal(diagnostics.error_count, DIAGNOSTICS_MAX + 2);
    assert_int_equal(diagnostics.dropped_count, 2);
    diagnostics_write(&diagnostics, &buf);
    assert_non_null(strstr(buf.data, "number 99\n"));
    assert_null(strstr(buf.data, "number 100\n"));
    assert_true(str_ends_with(buf_str(&buf), STR("and 2 more that are not shown\n")));
}

static void an_error_counts_without_memory_for_it(void **state)
{
    OWNED(arena_free) struct arena *arena = arena_new(16);
    struct diagnostics diagnostics;

    (void)state;
    diagnostics_init(&diagnostics, arena);
    assert_false(
        diagnostics_add(&diagnostics, DIAGNOSTIC_ERROR, at(1, 1), STR("x"), STR("y"), "z"));
    assert_int_equal(diagnostics.count, 0);
    assert_int_equal(diagnostics.error_count, 1);
    assert_int_equal(diagnostics.dropped_count, 1);
}

static void texts_that_were_passed_may_go(void **state)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_REQUEST_MAX);
    OWNED(buf_release) struct buf buf = { 0 };
    struct diagnostics diagnostics;
    char text[] = "x";
    struct str borrowed = { text, 1 };

    (void)state;
    buf_init(&buf, 1024);
    diagnostics_init(&diagnostics, arena);
    (void)diagnostics_add(&diagnostics, DIAGNOSTIC_ERROR, (struct position){ borrowed, 1, 1 },
                          borrowed, borrowed, STR_FMT, STR_ARG(borrowed));
    text[0] = '!';
    diagnostics_write(&diagnostics, &buf);
    assert_null(strchr(buf.data, '!'));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_stands_above_its_line_with_a_caret_and_a_hint),
        cmocka_unit_test(a_whole_file_has_no_line_and_no_caret),
        cmocka_unit_test(the_caret_counts_characters_and_keeps_tabs),
        cmocka_unit_test(a_column_past_the_line_is_pointed_at_its_end),
        cmocka_unit_test(nothing_from_a_file_steers_the_terminal),
        cmocka_unit_test(a_warning_is_no_error),
        cmocka_unit_test(a_long_line_is_shown_around_its_place),
        cmocka_unit_test(a_line_of_160_characters_is_shown_whole_and_161_are_cut),
        cmocka_unit_test(a_hundred_are_kept_and_the_rest_is_counted),
        cmocka_unit_test(an_error_counts_without_memory_for_it),
        cmocka_unit_test(texts_that_were_passed_may_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
