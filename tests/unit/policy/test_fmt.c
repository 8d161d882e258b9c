#include <glob.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/file.h"
#include "fmt_property.h"
#include "policy/fmt.h"
#include "tests/test.h"

#define ARENA_MAX ((size_t)256 * 1024 * 1024)
#define FILES_MIN 200

static void assert_formats(const char *text, const char *expected)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_MAX);
    OWNED(buf_release) struct buf out = { 0 };
    struct diagnostics diagnostics;
    bool is_refused;
    const char *flaw = fmt_flaw(str_from(text), arena, &is_refused);

    assert_false(is_refused);
    if (flaw != NULL)
        fail_msg("%s: %s", text, flaw);
    diagnostics_init(&diagnostics, arena);
    buf_init(&out, 100000);
    assert_true(fmt_text(STR("a.yaml"), str_from(text), arena, &diagnostics, &out));
    assert_string_equal(out.data, expected);
}

static void keys_stand_in_the_order_of_the_reference(void **state)
{
    (void)state;
    assert_formats("stages: { b: { grants: { g: { ttl: 5m, jwt: { audience: x } } }, zzz: 1, "
                   "kind: build } }\nowner: me\npipeline: p\n",
                   "pipeline: p\n"
                   "owner: me\n"
                   "stages:\n"
                   "  b:\n"
                   "    kind: build\n"
                   "    zzz: 1\n"
                   "    grants:\n"
                   "      g: { jwt: { audience: x }, ttl: 5m }\n");
}

static void conditions_stages_and_tests_keep_their_order(void **state)
{
    (void)state;
    assert_formats("stages:\n  b: {kind: build, when: {sha: x, ref: y}}\n  a: {kind: test}\n"
                   "tests:\n- {expect: deny, name: z}\n- {expect: allow, name: a}\n",
                   "stages:\n"
                   "  b: { kind: build, when: { sha: x, ref: y } }\n"
                   "  a: { kind: test }\n"
                   "tests:\n"
                   "  - { name: z, expect: deny }\n"
                   "  - { name: a, expect: allow }\n");
}

static void a_line_has_a_hundred_characters_and_not_one_more(void **state)
{
    char name[128];
    char text[256];
    char expected[256];

    (void)state;
    /* "owner: { a: " and " }" are 14 characters, and so is what of two bytes is one: 85 are left.
     */
    for (int len = 85; len <= 86; len++) {
        memset(name, 'x', sizeof(name));
        name[len] = '\0';
        (void)snprintf(text, sizeof(text), "owner: {a: \xc3\xa9%s}\n", name);
        (void)snprintf(expected, sizeof(expected),
                       len == 85 ? "owner: { a: \xc3\xa9%s }\n" : "owner:\n  a: \xc3\xa9%s\n",
                       name);
        assert_formats(text, expected);
    }
}

static void quotes_stay_and_are_double_where_they_can(void **state)
{
    (void)state;
    assert_formats(
        "a: '4242'\nb: \"x\"\nc: plain\nd: 'it''s'\ne: '\"j\" \\'\nf: \"1\\t2\\n\"\n'g': h\n",
        "a: \"4242\"\nb: \"x\"\nc: plain\nd: \"it's\"\ne: '\"j\" \\'\nf: \"1\\t2\\n\"\n"
        "\"g\": h\n");
}

/* As itself it would be refused. */
static void what_was_written_as_an_escape_stays_one(void **state)
{
    (void)state;
    assert_formats("a: \"x\\u200b\\u202e\\ufeffy\"\nb: \"\\U000E0041\\\"\"\nc: \"\\xe4\"\n",
                   "a: \"x\\u200B\\u202E\\uFEFFy\"\nb: \"\\U000E0041\\\"\"\nc: \"\xc3\xa4\"\n");
}

static void text_over_several_lines_goes_into_one(void **state)
{
    (void)state;
    assert_formats("a: one\n  two\nb: |\n  x\n  y\nc: >\n  x\n  y\n",
                   "a: one two\nb: \"x\\ny\\n\"\nc: \"x y\\n\"\n");
}

static void plain_text_that_brackets_would_cut_stays_outside_of_them(void **state)
{
    (void)state;
    assert_formats("a:\n  b: x,y\n", "a:\n  b: x,y\n");
    assert_formats("a:\n  b: x[bot]\n", "a:\n  b: x[bot]\n");
    assert_formats("a:\n  b: \"x,y\"\n", "a: { b: \"x,y\" }\n");
}

static void comments_stay_with_what_they_are_of(void **state)
{
    (void)state;
    assert_formats("# head\n\n# of owner\nowner: me # behind\npipeline: p\n# foot\n",
                   "# head\n\npipeline: p\n\n# of owner\nowner: me  # behind\n# foot\n");
    assert_formats("a: [ x,  # of x\n  y ]  # of a\n", "a:  # of a\n  - x  # of x\n  - y\n");
    assert_formats("stages:\n  b:\n    kind: build\n    # below b\n  # below stages\n",
                   "stages:\n  b:\n    kind: build\n    # below b\n  # below stages\n");
    assert_formats("tests:\n- expect: deny\n  # of the name\n  name: x\n",
                   "tests:\n  # of the name\n  - { name: x, expect: deny }\n");
    assert_formats("a: \"#no\" # yes\nb: x#no\n", "a: \"#no\"  # yes\nb: x#no\n");
    assert_formats("a:\n  # only\n  b: c\n", "a:\n  # only\n  b: c\n");
}

static void one_blank_line_stays_between_entries(void **state)
{
    (void)state;
    assert_formats("\n\na: 1\n\n\n\nb:\n\n  c: [x]\n\n  d: 2\n", "a: 1\n\nb: { c: [x], d: 2 }\n");
    assert_formats("a: 1\n\n# b\nb: 2\n\n\n", "a: 1\n\n# b\nb: 2\n");
}

static void empty_maps_and_lists_stay_empty(void **state)
{
    (void)state;
    assert_formats("{}\n", "{}\n");
    assert_formats("a: [ ]\nb: {  }\nstages: {}\n", "a: []\nb: {}\nstages: {}\n");
}

static void what_is_no_document_is_refused_with_its_place(void **state)
{
    static const char *const texts[] = { "",         "- a\n",          "a: &x 1\n",    "a: *x\n",
                                         "a: [1\n",  "a: 1\n---\nb\n", "a: 1\na: 2\n", "plain\n",
                                         "a: \xff\n" };
    bool is_refused;

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        OWNED(arena_free) struct arena *arena = arena_new(ARENA_MAX);

        assert_null(fmt_flaw(str_from(texts[i]), arena, &is_refused));
        assert_true(is_refused);
    }
}

/* How many comments a file without a '#' in its texts has, counted without any YAML. */
static size_t count_comments(struct str text)
{
    size_t count = 0;

    for (size_t i = 0; i < text.len; i++)
        count += text.data[i] == '#' && (i == 0 || str_find(STR(" \n"), text.data[i - 1]) < 2);
    return count;
}

static void no_comment_is_overlooked(void **state)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_MAX);
    OWNED(buf_release) struct buf out = { 0 };
    struct diagnostics diagnostics;
    struct error error = { 0 };
    struct str text = { 0 };

    (void)state;
    diagnostics_init(&diagnostics, arena);
    buf_init(&out, 100000);
    assert_true(file_read(arena, "../../fuzz/corpus/fmt/comments.yaml", 100000, &text, &error));
    assert_true(fmt_text(STR("a.yaml"), text, arena, &diagnostics, &out));
    assert_int_equal(count_comments(text), 14);
    assert_int_equal(count_comments(buf_str(&out)), 14);
}

static void every_policy_of_the_tests_keeps_its_meaning_and_comments(void **state)
{
    static const char *const patterns[] = { "../../data/policy/*/*.yaml",
                                            "../../data/design/*.yaml",
                                            "../../data/config/*/*.yaml" };
    size_t formatted = 0;

    (void)state;
    for (size_t i = 0; i < COUNT(patterns); i++) {
        glob_t found = { 0 };

        (void)glob(patterns[i], 0, NULL, &found); /* FILES_MIN sees where there is nothing */
        for (size_t k = 0; k < found.gl_pathc; k++) {
            OWNED(arena_free) struct arena *arena = arena_new(ARENA_MAX);
            struct error error = { 0 };
            struct str text = { 0 };
            bool is_refused;
            const char *flaw;

            if (!file_read(arena, found.gl_pathv[k], 1024 * 1024, &text, &error))
                fail_msg("%s", error.cause);
            flaw = fmt_flaw(text, arena, &is_refused);
            if (flaw != NULL)
                fail_msg("%s: %s", found.gl_pathv[k], flaw);
            formatted += !is_refused;
        }
        globfree(&found);
    }
    assert_in_range(formatted, FILES_MIN, SIZE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_stand_in_the_order_of_the_reference),
        cmocka_unit_test(conditions_stages_and_tests_keep_their_order),
        cmocka_unit_test(a_line_has_a_hundred_characters_and_not_one_more),
        cmocka_unit_test(quotes_stay_and_are_double_where_they_can),
        cmocka_unit_test(what_was_written_as_an_escape_stays_one),
        cmocka_unit_test(text_over_several_lines_goes_into_one),
        cmocka_unit_test(plain_text_that_brackets_would_cut_stays_outside_of_them),
        cmocka_unit_test(comments_stay_with_what_they_are_of),
        cmocka_unit_test(one_blank_line_stays_between_entries),
        cmocka_unit_test(empty_maps_and_lists_stay_empty),
        cmocka_unit_test(what_is_no_document_is_refused_with_its_place),
        cmocka_unit_test(no_comment_is_overlooked),
        cmocka_unit_test(every_policy_of_the_tests_keeps_its_meaning_and_comments),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
