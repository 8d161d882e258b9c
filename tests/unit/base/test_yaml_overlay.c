#include <stdio.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/yaml.h"
#include "tests/test.h"

/* Two files, and an overlay of them. */
struct run {
    struct arena *arena;
    struct diagnostics diagnostics;
    struct yaml_document *base;
    struct yaml_document *other;
    struct yaml_document *overlay;
    struct yaml_reader reader;
    json_t *made; /* a value of neither */
};

static struct yaml_document *parse(struct run *run, const char *file, const char *text)
{
    struct yaml_document *document = NULL;

    assert_true(yaml_parse(str_from(file), str_from(text), &run->diagnostics, &document));
    return document;
}

static int set_up(void **state)
{
    static struct run run;

    run.arena = arena_new((size_t)1024 * 1024);
    diagnostics_init(&run.diagnostics, run.arena);
    run.base = parse(&run, "base.yaml", "use: web\nwith: { a: x, \"b\": 'y y' }\n");
    run.other = parse(&run, "other.yaml", "# first\nkind: \"${a}\"\nname: n-${a}\n");
    run.overlay = yaml_overlay_new(run.base);
    run.made = json_string("n-x");
    assert_non_null(run.overlay);
    assert_true(yaml_overlay_add(run.overlay, run.other));
    run.reader = (struct yaml_reader){ run.overlay, &run.diagnostics, NULL };
    *state = &run;
    return 0;
}

static int tear_down(void **state)
{
    struct run *run = *state;

    json_decref(run->made);
    yaml_document_free(run->overlay);
    yaml_document_free(run->other);
    yaml_document_free(run->base);
    arena_free(run->arena);
    return 0;
}

static const json_t *of_base(const struct run *run, const char *key)
{
    return json_object_get(yaml_root(run->base), key);
}

static const json_t *of_other(const struct run *run, const char *key)
{
    return json_object_get(yaml_root(run->other), key);
}

static void assert_at(struct position at, const char *file, size_t line, size_t column)
{
    assert_true(str_eq(at.file, str_from(file)));
    assert_int_equal(at.line, line);
    assert_int_equal(at.column, column);
}

static void assert_said(const struct run *run, const char *expected)
{
    OWNED(buf_release) struct buf buf = { 0 };

    buf_init(&buf, (size_t)64 * 1024);
    diagnostics_write(&run->diagnostics, &buf);
    assert_string_equal(buf.data, expected);
}

static void values_of_each_document_keep_their_places(void **state)
{
    const struct run *run = *state;

    assert_true(yaml_root(run->overlay) == yaml_root(run->base));
    assert_at(yaml_at(run->overlay, of_base(run, "use")), "base.yaml", 1, 6);
    assert_at(yaml_at(run->overlay, of_other(run, "kind")), "other.yaml", 2, 7);
    assert_at(yaml_at_key(run->overlay, yaml_root(run->other), "name"), "other.yaml", 3, 1);
    assert_at(yaml_at_key(run->overlay, of_base(run, "with"), "b"), "base.yaml", 2, 15);
    assert_false(yaml_is_plain(run->overlay, of_other(run, "kind")));
    assert_true(yaml_is_plain(run->overlay, of_other(run, "name")));
}

static void lines_are_those_of_the_file_of_a_place(void **state)
{
    const struct run *run = *state;
    struct position at = yaml_at(run->overlay, of_other(run, "kind"));

    assert_true(str_eq(yaml_source(run->overlay, at), STR("kind: \"${a}\"")));
    at = yaml_at(run->overlay, of_base(run, "use"));
    assert_true(str_eq(yaml_source(run->overlay, at), STR("use: web")));
}

static void what_nobody_placed_is_at_the_whole_base(void **state)
{
    const struct run *run = *state;

    assert_at(yaml_at(run->overlay, run->made), "base.yaml", 0, 0);
    assert_false(yaml_is_plain(run->overlay, run->made));
}

static void a_value_that_was_made_stands_where_it_is_put(void **state)
{
    struct run *run = *state;
    JSON_OWNED json_t *map = json_object();
    const struct yaml_stand stand = { .at = json_object_get(of_base(run, "with"), "b"),
                                      .key = of_other(run, "name") };

    assert_true(yaml_overlay_place(run->overlay, run->made, &stand));
    assert_int_equal(json_object_set(map, "name", run->made), 0);
    assert_at(yaml_at(run->overlay, run->made), "base.yaml", 2, 20);
    assert_at(yaml_at_key(run->overlay, map, "name"), "other.yaml", 3, 1);
    assert_false(yaml_is_plain(run->overlay, run->made));
}

static void a_value_can_be_put_anew(void **state)
{
    struct run *run = *state;

    assert_true(yaml_overlay_place(run->overlay, run->made,
                                   &(struct yaml_stand){ .at = of_base(run, "use") }));
    assert_true(yaml_overlay_place(run->overlay, run->made,
                                   &(struct yaml_stand){ .at = of_other(run, "name") }));
    assert_at(yaml_at(run->overlay, run->made), "other.yaml", 3, 7);
}

static void a_report_about_it_names_both_places(void **state)
{
    struct run *run = *state;
    const struct yaml_stand stand = { of_other(run, "name"), NULL,
                                      json_object_get(of_base(run, "with"), "a"), "with this it is",
                                      true };

    assert_true(yaml_overlay_place(run->overlay, run->made, &stand));
    (void)yaml_complain(&run->reader, run->made, "no");
    assert_said(run, "other.yaml:3:7: error: no\n"
                     "    3 | name: n-${a}\n"
                     "      |       ^~~~~~\n"
                     "base.yaml:2:12: note: with this it is 'n-x'\n"
                     "    2 | with: { a: x, \"b\": 'y y' }\n"
                     "      |            ^\n");
}

static void a_report_in_another_file_names_its_use(void **state)
{
    struct run *run = *state;

    yaml_overlay_use(run->overlay, of_base(run, "use"));
    (void)yaml_complain_key(&run->reader, yaml_root(run->other), "kind", STR(""), "no");
    (void)yaml_complain(&run->reader, of_base(run, "use"), "never");
    assert_said(run, "other.yaml:2:1: error: no\n"
                     "    2 | kind: \"${a}\"\n"
                     "      | ^~~~\n"
                     "base.yaml:1:6: note: used here\n"
                     "    1 | use: web\n"
                     "      |      ^\n"
                     "base.yaml:1:6: error: never\n"
                     "    1 | use: web\n"
                     "      |      ^~~\n");
}

static void a_use_ends(void **state)
{
    struct run *run = *state;

    yaml_overlay_use(run->overlay, of_base(run, "use"));
    yaml_overlay_use(run->overlay, NULL);
    yaml_warn(&run->reader, of_other(run, "kind"), "a-rule", STR(""), "no");
    assert_said(run, "other.yaml:2:7: warning: no [a-rule]\n"
                     "    2 | kind: \"${a}\"\n"
                     "      |       ^~~~~~\n");
}

static void so_many_documents_are_below_and_no_more(void **state)
{
    struct run *run = *state;
    struct yaml_document *more[YAML_OVERLAY_MAX];

    for (size_t i = 2; i < YAML_OVERLAY_MAX; i++) {
        more[i] = parse(run, "more.yaml", "a: b\n");
        assert_true(yaml_overlay_add(run->overlay, more[i]));
    }
    assert_true(yaml_overlay_add(run->overlay, run->other)); /* it is there already */
    more[0] = parse(run, "more.yaml", "a: b\n");
    assert_false(yaml_overlay_add(run->overlay, more[0]));
    yaml_document_free(more[0]);
    for (size_t i = 2; i < YAML_OVERLAY_MAX; i++)
        yaml_document_free(more[i]);
}

#define RUN_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RUN_TEST(values_of_each_document_keep_their_places),
        RUN_TEST(lines_are_those_of_the_file_of_a_place),
        RUN_TEST(what_nobody_placed_is_at_the_whole_base),
        RUN_TEST(a_value_that_was_made_stands_where_it_is_put),
        RUN_TEST(a_value_can_be_put_anew),
        RUN_TEST(a_report_about_it_names_both_places),
        RUN_TEST(a_report_in_another_file_names_its_use),
        RUN_TEST(a_use_ends),
        RUN_TEST(so_many_documents_are_below_and_no_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
