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

/* A policy of 10,000 stages that each deserve a warning, and one mistake at its end. */
static void no_number_of_warnings_hides_an_error(void **state)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_REQUEST_MAX);
    struct diagnostics joined;
    struct diagnostics diagnostics;

    (void)state;
    diagnostics_init(&diagnostics, arena);
    (void)diagnostics_add(&diagnostics, DIAGNOSTIC_ERROR, at(1, 1), STR("x"), STR(""), "first");
    for (size_t i = 0; i < DIAGNOSTICS_MAX + 2; i++)
        (void)diagnostics_add(&diagnostics, DIAGNOSTIC_WARNING, at(i + 2, 1), STR("x"), STR(""),
                              "number %zu", i);
    assert_false(diagnostics_have_room(&diagnostics, DIAGNOSTIC_WARNING));
    assert_true(diagnostics_have_room(&diagnostics, DIAGNOSTIC_ERROR));
    (void)diagnostics_add(&diagnostics, DIAGNOSTIC_ERROR, at(1000, 1), STR("x"), STR(""), "last");
    assert_int_equal(diagnostics.count, DIAGNOSTICS_MAX);
    assert_int_equal(diagnostics.error_count, 2);
    assert_int_equal(diagnostics.dropped_count, 4);
    assert_true(str_eq(diagnostics.list[0].message, STR("first")));
    assert_true(str_eq(diagnostics.list[DIAGNOSTICS_MAX - 2].message, STR("number 97")));
    assert_true(str_eq(diagnostics.list[DIAGNOSTICS_MAX - 1].message, STR("last")));

    diagnostics_init(&joined, arena);
    for (size_t i = 0; i < DIAGNOSTICS_MAX; i++)
        (void)diagnostics_add(&joined, DIAGNOSTIC_WARNING, at(i + 1, 1), STR("x"), STR(""), "w");
    diagnostics_append(&joined, &diagnostics);
    assert_int_equal(joined.count, DIAGNOSTICS_MAX);
    assert_true(str_eq(joined.list[DIAGNOSTICS_MAX - 1].message, STR("last")));
    assert_int_equal(joined.error_count, 2);
}

static void errors_alone_are_never_replaced(void **state)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_REQUEST_MAX);
    struct diagnostics diagnostics;

    (void)state;
    diagnostics_init(&diagnostics, arena);
    for (size_t i = 0; i < DIAGNOSTICS_MAX; i++)
        (void)diagnostics_add(&diagnostics, DIAGNOSTIC_ERROR, at(i + 1, 1), STR("x"), STR(""), "e");
    assert_false(diagnostics_have_room(&diagnostics, DIAGNOSTIC_ERROR));
    (void)diagnostics_add(&diagnostics, DIAGNOSTIC_ERROR, at(1000, 1), STR("x"), STR(""), "last");
    assert_true(str_eq(diagnostics.list[DIAGNOSTICS_MAX - 1].message, STR("e")));
    assert_int_equal(diagnostics.dropped_count, 1);
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

/* ---- what it is about, rules, other places ---- */

struct run {
    struct arena *arena;
    struct diagnostics diagnostics;
};

static int set_up(void **state)
{
    static struct run run;

    run.arena = arena_new((size_t)1024 * 1024);
    diagnostics_init(&run.diagnostics, run.arena);
    *state = &run;
    return run.arena == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
    arena_free(((struct run *)*state)->arena);
    return 0;
}

static void assert_says(const struct diagnostics *diagnostics, const char *expected)
{
    OWNED(buf_release) struct buf buf = { 0 };

    buf_init(&buf, (size_t)64 * 1024);
    diagnostics_write(diagnostics, &buf);
    assert_true(buf_is_ok(&buf));
    assert_string_equal(buf.data, expected);
}

/* A mistake of a template in line 2 that is used at a line of b.yaml. */
static void add_used(struct diagnostics *diagnostics, const char *message, size_t line)
{
    (void)diagnostics_add(diagnostics, DIAGNOSTIC_ERROR, at(2, 1), STR("kind: x"), STR(""), "%s",
                          message);
    diagnostics_relate(diagnostics, (struct position){ STR("b.yaml"), line, 3 }, STR("  use: t"),
                       STR("used here"));
}

static void what_it_is_about_is_underlined(void **state)
{
    struct run *run = *state;

    (void)diagnostics_add(&run->diagnostics, DIAGNOSTIC_ERROR, at(1, 3), STR("a b\xc3\xa9 c"),
                          STR(""), "no");
    diagnostics_underline(&run->diagnostics, 2);
    assert_says(&run->diagnostics, "a.yaml:1:3: error: no\n"
                                   "    1 | a b\xc3\xa9 c\n"
                                   "      |   ^~\n");
}

static void the_line_under_the_source_ends_where_it_does(void **state)
{
    struct run *run = *state;

    (void)diagnostics_add(&run->diagnostics, DIAGNOSTIC_ERROR, at(1, 3), STR("a bc"), STR(""),
                          "no");
    diagnostics_underline(&run->diagnostics, 1000);
    assert_says(&run->diagnostics, "a.yaml:1:3: error: no\n"
                                   "    1 | a bc\n"
                                   "      |   ^~\n");
}

static void a_rule_stands_at_the_end_of_the_line(void **state)
{
    struct run *run = *state;

    (void)diagnostics_add(&run->diagnostics, DIAGNOSTIC_WARNING, at(1, 1), STR("a"), STR("b"),
                          "no");
    diagnostics_name(&run->diagnostics, "a-rule");
    assert_says(&run->diagnostics, "a.yaml:1:1: warning: no [a-rule]\n"
                                   "    1 | a\n"
                                   "      | ^\n"
                                   "  hint: b\n");
}

static void a_related_place_has_its_own_line(void **state)
{
    struct run *run = *state;

    add_used(&run->diagnostics, "no", 7);
    assert_says(&run->diagnostics, "a.yaml:2:1: error: no\n"
                                   "    2 | kind: x\n"
                                   "      | ^\n"
                                   "b.yaml:7:3: note: used here\n"
                                   "    7 |   use: t\n"
                                   "      |   ^\n");
}

static void the_same_mistake_of_several_uses_is_one(void **state)
{
    struct run *run = *state;

    add_used(&run->diagnostics, "no", 7);
    add_used(&run->diagnostics, "other", 7);
    add_used(&run->diagnostics, "no", 8);
    add_used(&run->diagnostics, "no", 9);
    assert_int_equal(run->diagnostics.count, 2);
    assert_int_equal(run->diagnostics.error_count, 2);
    assert_int_equal(run->diagnostics.list[0].repeat_count, 2);
    assert_says(&run->diagnostics, "a.yaml:2:1: error: no\n"
                                   "    2 | kind: x\n"
                                   "      | ^\n"
                                   "b.yaml:7:3: note: used here, and 2 times more\n"
                                   "    7 |   use: t\n"
                                   "      |   ^\n"
                                   "a.yaml:2:1: error: other\n"
                                   "    2 | kind: x\n"
                                   "      | ^\n"
                                   "b.yaml:7:3: note: used here\n"
                                   "    7 |   use: t\n"
                                   "      |   ^\n");
}

static void what_is_said_of_a_repeat_is_not_said_of_another(void **state)
{
    struct run *run = *state;

    add_used(&run->diagnostics, "no", 7);
    add_used(&run->diagnostics, "no", 8);
    diagnostics_name(&run->diagnostics, "a-rule");
    assert_null(run->diagnostics.list[0].rule);
}

static void mistakes_without_another_place_are_never_joined(void **state)
{
    struct run *run = *state;

    for (size_t i = 0; i < 2; i++)
        (void)diagnostics_add(&run->diagnostics, DIAGNOSTIC_ERROR, at(1, 1), STR("a"), STR(""),
                              "no");
    assert_int_equal(run->diagnostics.count, 2);
    assert_int_equal(run->diagnostics.error_count, 2);
}

static void runs_that_are_joined_join_the_same_mistakes(void **state)
{
    struct run *run = *state;
    struct diagnostics other;

    add_used(&run->diagnostics, "no", 7);
    diagnostics_init(&other, run->arena);
    add_used(&other, "no", 8);
    add_used(&other, "no", 9);
    add_used(&other, "other", 9);
    diagnostics_append(&run->diagnostics, &other);
    assert_int_equal(run->diagnostics.count, 2);
    assert_int_equal(run->diagnostics.error_count, 2);
    assert_int_equal(run->diagnostics.list[0].repeat_count, 2);
}

static void a_repeat_takes_no_room(void **state)
{
    struct run *run = *state;
    struct diagnostics other;

    for (size_t i = 0; i < 1000; i++)
        add_used(&run->diagnostics, "no", 7 + i);
    diagnostics_init(&other, run->arena);
    for (size_t i = 0; i < 1000; i++)
        add_used(&other, "no", 7 + i);
    diagnostics_append(&run->diagnostics, &other);
    assert_int_equal(run->diagnostics.count, 1);
    assert_int_equal(run->diagnostics.dropped_count, 0);
    assert_int_equal(run->diagnostics.error_count, 1);
    assert_int_equal(run->diagnostics.list[0].repeat_count, 1999);
}

static void paint_stands_around_the_parts(void **state)
{
    static const struct diagnostic_paint paint = { "E", "W", "P", "F", "." };
    OWNED(buf_release) struct buf buf = { 0 };
    struct run *run = *state;

    add_used(&run->diagnostics, "no", 7);
    (void)diagnostics_add(&run->diagnostics, DIAGNOSTIC_WARNING, at(1, 1), STR("ab"), STR("c"),
                          "no");
    diagnostics_underline(&run->diagnostics, 2);
    buf_init(&buf, (size_t)64 * 1024);
    diagnostics_write_painted(&run->diagnostics, &paint, &buf);
    assert_string_equal(buf.data, "Pa.yaml:2:1.: Eerror.: no\n"
                                  "F    2 |. kind: x\n"
                                  "F      |. E^.\n"
                                  "Pb.yaml:7:3.: Fnote:. used here\n"
                                  "F    7 |.   use: t\n"
                                  "F      |.   F^.\n"
                                  "Pa.yaml:1:1.: Wwarning.: no\n"
                                  "F    1 |. ab\n"
                                  "F      |. W^~.\n"
                                  "F  hint:. c\n");
}

#define RUN_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void the_nearest_name_is_told(void **state)
{
    OWNED(arena_free) struct arena *arena = arena_new(4096);
    static const struct str names[] = { STR_INIT("fleet"), STR_INIT("cloud") };
    struct str hint = diagnostic_nearest(arena, STR("flet"), names, COUNT(names));

    (void)state;
    assert_true(str_eq(hint, STR("did you mean 'fleet'?")));
    assert_int_equal(diagnostic_nearest(arena, STR("zzzzzz"), names, COUNT(names)).len, 0);
    assert_int_equal(diagnostic_nearest(arena, STR("flet"), names, 0).len, 0);
    assert_int_equal(diagnostic_nearest(arena, STR("flet"), NULL, 2).len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RUN_TEST(what_it_is_about_is_underlined),
        RUN_TEST(the_line_under_the_source_ends_where_it_does),
        RUN_TEST(a_rule_stands_at_the_end_of_the_line),
        RUN_TEST(a_related_place_has_its_own_line),
        RUN_TEST(the_same_mistake_of_several_uses_is_one),
        RUN_TEST(what_is_said_of_a_repeat_is_not_said_of_another),
        RUN_TEST(mistakes_without_another_place_are_never_joined),
        RUN_TEST(runs_that_are_joined_join_the_same_mistakes),
        RUN_TEST(a_repeat_takes_no_room),
        RUN_TEST(paint_stands_around_the_parts),
        cmocka_unit_test(an_error_stands_above_its_line_with_a_caret_and_a_hint),
        cmocka_unit_test(a_whole_file_has_no_line_and_no_caret),
        cmocka_unit_test(the_caret_counts_characters_and_keeps_tabs),
        cmocka_unit_test(a_column_past_the_line_is_pointed_at_its_end),
        cmocka_unit_test(nothing_from_a_file_steers_the_terminal),
        cmocka_unit_test(a_warning_is_no_error),
        cmocka_unit_test(a_long_line_is_shown_around_its_place),
        cmocka_unit_test(a_line_of_160_characters_is_shown_whole_and_161_are_cut),
        cmocka_unit_test(a_hundred_are_kept_and_the_rest_is_counted),
        cmocka_unit_test(no_number_of_warnings_hides_an_error),
        cmocka_unit_test(errors_alone_are_never_replaced),
        cmocka_unit_test(an_error_counts_without_memory_for_it),
        cmocka_unit_test(texts_that_were_passed_may_go),
        cmocka_unit_test(the_nearest_name_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
