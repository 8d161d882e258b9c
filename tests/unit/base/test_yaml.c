#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/yaml.h"
#include "tests/fail_memory.h"
#include "tests/test.h"

#define REFUSED "../../data/yaml/refused"
#define DESIGN "../../data/design"
#define MEMORY_MAX ((size_t)64 * 1024 * 1024)

/* One run over one file: what was read and what was found. */
struct run {
    struct arena *arena;
    struct diagnostics diagnostics;
    struct yaml_document *document;
};

static void run_init(struct run *run)
{
    run->arena = arena_new(MEMORY_MAX);
    run->document = NULL;
    assert_non_null(run->arena);
    diagnostics_init(&run->diagnostics, run->arena);
}

static void run_release(struct run *run)
{
    yaml_document_free(run->document);
    arena_free(run->arena);
}

static bool run_parse(struct run *run, struct str text)
{
    return yaml_parse(STR("a.yaml"), text, &run->diagnostics, &run->document);
}

/* All that was reported. */
static const char *printed(struct run *run)
{
    OWNED(buf_release) struct buf buf = { 0 };

    buf_init(&buf, (size_t)1024 * 1024);
    diagnostics_write(&run->diagnostics, &buf);
    return arena_copy(run->arena, buf_str(&buf)).data;
}

static struct str read_file(struct run *run, const char *folder, const char *name)
{
    struct error error = { 0 };
    struct str text;

    if (!file_read(run->arena, file_join(run->arena, folder, name), 2 * YAML_BYTES_MAX, &text,
                   &error))
        fail_msg("%s", error.cause);
    return text;
}

/* What is said of <name>.yaml becomes <name>.expected: read the difference before it is committed.
 */
static void write_expected(struct run *run, const char *name, const char *said)
{
    FILE *file = fopen(file_join(run->arena, REFUSED, name), "we");

    assert_non_null(file);
    assert_true(fputs(said, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* <name>.yaml must be refused with the text of <name>.expected. */
static void check_refused(const char *name)
{
    struct run run;
    struct str stem = str_slice(str_from(name), 0, strlen(name) - strlen(".yaml"));
    const char *expected_name;
    struct str text;
    struct str expected;

    run_init(&run);
    expected_name = arena_printf(run.arena, STR_FMT ".expected", STR_ARG(stem)).data;
    text = read_file(&run, REFUSED, name);
    if (yaml_parse(str_from(name), text, &run.diagnostics, &run.document))
        fail_msg("%s was accepted", name);
    assert_null(run.document);
    if (getenv("UPDATE_EXPECTED") != NULL) /* NOLINT(concurrency-mt-unsafe): there is one thread */
        write_expected(&run, expected_name, printed(&run));
    expected = read_file(&run, REFUSED, expected_name);
    assert_string_equal(printed(&run), arena_copy(run.arena, expected).data);
    run_release(&run);
}

static void every_refused_file_says_what_its_expected_file_says(void **state)
{
    DIR *folder = opendir(REFUSED);
    const struct dirent *entry;
    size_t count = 0;

    (void)state;
    assert_non_null(folder);
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
    while ((entry = readdir(folder)) != NULL) {
        if (!str_ends_with(str_from(entry->d_name), STR(".yaml")))
            continue;
        check_refused(entry->d_name);
        count++;
    }
    (void)closedir(folder);
    assert_true(count > 60);
}

static void the_files_of_the_design_are_read(void **state)
{
    static const char *const names[] = { "broker.yaml", "policy-payments.yaml", "template-web.yaml",
                                         "guardrails.yaml" };

    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        struct run run;

        run_init(&run);
        if (!run_parse(&run, read_file(&run, DESIGN, names[i])))
            fail_msg("%s: %s", names[i], printed(&run));
        assert_true(json_is_object(yaml_root(run.document)));
        run_release(&run);
    }
}

static void a_document_becomes_maps_lists_and_strings(void **state)
{
    static const struct {
        const char *name;
        const char *text;
        const char *json;
    } cases[] = {
        { "block", "b: x\na:\n  - y\n  - z\n", "{\"b\":\"x\",\"a\":[\"y\",\"z\"]}" },
        { "flow", "{b: x, a: [y, z]}", "{\"b\":\"x\",\"a\":[\"y\",\"z\"]}" },
        { "no type is guessed", "[no, on, 0777, 12:30:45, 1e3, true, 2026-01-01, -0]",
          "[\"no\",\"on\",\"0777\",\"12:30:45\",\"1e3\",\"true\",\"2026-01-01\",\"-0\"]" },
        { "quoted nulls are text", "['~', \"null\", '', \"\"]", "[\"~\",\"null\",\"\",\"\"]" },
        { "empty containers", "{a: [], b: {}}", "{\"a\":[],\"b\":{}}" },
        { "keys that look like types", "on: a\n404: b\n'null': c\n",
          "{\"on\":\"a\",\"404\":\"b\",\"null\":\"c\"}" },
        { "holes and brackets in block text", "a: ${x}\nb: dependabot[bot]\nc: {d: \"${e}\"}\n",
          "{\"a\":\"${x}\",\"b\":\"dependabot[bot]\",\"c\":{\"d\":\"${e}\"}}" },
        { "a URL in a flow map", "{a: https://x.example:8443/y}",
          "{\"a\":\"https://x.example:8443/y\"}" },
        { "lines folded and kept", "a: >\n  b\n  c\nd: |\n  e\n  f\n",
          "{\"a\":\"b c\\n\",\"d\":\"e\\nf\\n\"}" },
        { "an explicit start and end", "---\na: b\n...\n", "{\"a\":\"b\"}" },
        { "an explicit key", "? a\n: b\n", "{\"a\":\"b\"}" },
        { "CR LF", "a: b\r\nc: d\r\n", "{\"a\":\"b\",\"c\":\"d\"}" },
        { "comments", "# one\na: b # two\n", "{\"a\":\"b\"}" },
        { "a scalar", "a", "\"a\"" },
        { "the same key in two maps", "[{a: b}, {a: c}]", "[{\"a\":\"b\"},{\"a\":\"c\"}]" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct run run;
        JSON_OWNED json_t *expected = json_loads(cases[i].json, JSON_DECODE_ANY, NULL);

        run_init(&run);
        if (!run_parse(&run, str_from(cases[i].text)))
            fail_msg("%s: %s", cases[i].name, printed(&run));
        if (!json_equal(json_iterable(yaml_root(run.document)), expected))
            fail_msg("%s", cases[i].name);
        run_release(&run);
    }
}

static void maps_keep_their_order(void **state)
{
    struct run run;

    (void)state;
    run_init(&run);
    assert_true(run_parse(&run, STR("c: 1\na: 2\nb: 3\n")));
    assert_string_equal(
        json_object_iter_key(json_object_iter(json_iterable(yaml_root(run.document)))), "c");
    run_release(&run);
}

static void assert_at(struct position at, size_t line, size_t column)
{
    assert_true(str_eq(at.file, STR("a.yaml")));
    assert_int_equal(at.line, line);
    assert_int_equal(at.column, column);
}

static void values_and_keys_have_positions_in_characters(void **state)
{
    struct run run;
    const json_t *root;
    const json_t *list;

    (void)state;
    run_init(&run);
    assert_true(run_parse(&run, STR("# first\nkey: value\ngr\xc3\xb6\xc3\x9f"
                                    "e: { \"\xc3\xa4\": [a, b] }\n"
                                    "map:\n  deep: 'x'\n")));
    root = yaml_root(run.document);
    assert_at(yaml_at(run.document, root), 2, 1);
    assert_at(yaml_at(run.document, json_object_get(root, "key")), 2, 6);
    assert_at(yaml_at_key(run.document, root, "key"), 2, 1);
    list = json_object_get(json_object_get(root, "gr\xc3\xb6\xc3\x9f"
                                                 "e"),
                           "\xc3\xa4");
    assert_at(yaml_at(run.document, list), 3, 15);
    assert_at(yaml_at(run.document, json_array_get(list, 1)), 3, 19);
    assert_at(yaml_at_key(run.document,
                          json_object_get(root, "gr\xc3\xb6\xc3\x9f"
                                                "e"),
                          "\xc3\xa4"),
              3, 10);
    assert_at(yaml_at(run.document, json_object_get(root, "map")), 5, 3);
    assert_at(yaml_at_key(run.document, root, "map"), 4, 1);
    assert_true(str_eq(yaml_source(run.document, (struct position){ STR("a.yaml"), 2, 1 }),
                       STR("key: value")));
    assert_int_equal(yaml_source(run.document, (struct position){ STR("a.yaml"), 99, 1 }).len, 0);
    assert_int_equal(yaml_source(run.document, (struct position){ STR("a.yaml"), 0, 1 }).len, 0);
    run_release(&run);
}

static void an_unknown_value_is_at_the_whole_file_and_an_absent_key_at_its_map(void **state)
{
    JSON_OWNED json_t *foreign = json_array();
    struct run run;

    (void)state;
    run_init(&run);
    assert_true(run_parse(&run, STR("\n a: b\n")));
    assert_at(yaml_at(run.document, foreign), 0, 0);
    assert_at(yaml_at(run.document, NULL), 0, 0);
    assert_at(yaml_at_key(run.document, yaml_root(run.document), "absent"), 2, 2);
    assert_false(yaml_is_plain(run.document, foreign));
    run_release(&run);
}

/* Two documents, joined. */
static void run_join(struct run *run, struct str text, struct str other, size_t depth)
{
    struct yaml_document *joined = NULL;

    assert_true(run_parse(run, text));
    assert_true(yaml_parse(STR("b.yaml"), other, &run->diagnostics, &joined));
    yaml_join(run->document, joined, depth, &run->diagnostics);
}

static void maps_of_two_documents_become_one(void **state)
{
    const json_t *root;
    const json_t *row;
    struct run run;

    (void)state;
    run_init(&run);
    run_join(&run, STR("a: { x: { k: 1 }, y: { k: 2 } }\n"),
             STR("# first\nb: '7'\na: { x: { l: [3] }, z: { k: 4 } }\n"), 3);
    assert_int_equal(run.diagnostics.count, 0);
    root = yaml_root(run.document);
    assert_int_equal(json_object_size(root), 2);
    assert_int_equal(json_object_size(json_object_get(root, "a")), 3);
    row = json_object_get(json_object_get(root, "a"), "x");
    assert_int_equal(json_object_size(row), 2);
    assert_true(yaml_is_plain(run.document, json_object_get(row, "k")));
    assert_false(yaml_is_plain(run.document, json_object_get(root, "b")));
    run_release(&run);
}

static void a_joined_value_stands_in_its_own_file(void **state)
{
    const json_t *root;
    struct position at;
    struct run run;

    (void)state;
    run_init(&run);
    run_join(&run, STR("a: { x: 1 }\n"), STR("# first\na: { y: 2 }\n"), 2);
    root = yaml_root(run.document);
    at = yaml_at(run.document, json_object_get(json_object_get(root, "a"), "y"));
    assert_true(str_eq(at.file, STR("b.yaml")) && at.line == 2 && at.column == 9);
    assert_true(str_eq(yaml_source(run.document, at), STR("a: { y: 2 }")));
    at = yaml_at_key(run.document, json_object_get(root, "a"), "y");
    assert_true(str_eq(at.file, STR("b.yaml")) && at.line == 2 && at.column == 6);
    at = yaml_at(run.document, json_object_get(root, "a")); /* of a map of both the first counts */
    assert_at(at, 1, 4);
    run_release(&run);
}

static void what_two_documents_both_say_is_told_with_both_places(void **state)
{
    static const struct {
        const char *text;
        const char *other;
        size_t depth;
        size_t error_count;
    } cases[] = {
        { "a: 1\n", "a: 1\n", 3, 1 },
        { "a: { x: 1 }\n", "a: 1\n", 3, 1 },
        { "a: 1\n", "a: { x: 1 }\n", 3, 1 },
        { "a: [1]\n", "a: [2]\n", 3, 1 },
        { "a: { x: 1 }\n", "a: { y: 1 }\n", 1, 1 },
        { "a: { x: 1 }\n", "a: { y: 1 }\n", 2, 0 },
        { "a: { x: { k: 1 } }\n", "a: { x: { l: 1 } }\n", 2, 1 },
        { "a: { x: { k: 1 } }\n", "a: { x: { l: 1 } }\n", 3, 0 },
        { "a: { x: 1, y: 1 }\n", "a: { x: 1, y: 1 }\n", 3, 2 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct run run;

        run_init(&run);
        run_join(&run, str_from(cases[i].text), str_from(cases[i].other), cases[i].depth);
        assert_int_equal(run.diagnostics.error_count, cases[i].error_count);
        if (cases[i].error_count > 0) {
            assert_true(str_eq(run.diagnostics.list[0].at.file, STR("a.yaml")));
            assert_true(str_eq(run.diagnostics.list[0].related.file, STR("b.yaml")));
        }
        run_release(&run);
    }
}

static void only_scalars_without_quotes_are_plain(void **state)
{
    static const bool expected[] = { true, false, false, false };
    struct run run;

    (void)state;
    run_init(&run);
    assert_true(run_parse(&run, STR("- 1\n- '1'\n- \"1\"\n- |\n  1\n")));
    for (size_t i = 0; i < COUNT(expected); i++)
        assert_int_equal(yaml_is_plain(run.document, json_array_get(yaml_root(run.document), i)),
                         expected[i]);
    run_release(&run);
}

static void every_value_of_a_large_file_is_found(void **state)
{
    OWNED(buf_release) struct buf buf = { 0 };
    struct run run;

    (void)state;
    buf_init(&buf, YAML_BYTES_MAX);
    for (size_t i = 0; i < 10000; i++)
        buf_printf(&buf, "- value-%zu\n", i);
    run_init(&run);
    assert_true(run_parse(&run, buf_str(&buf)));
    for (size_t i = 0; i < 10000; i++)
        assert_at(yaml_at(run.document, json_array_get(yaml_root(run.document), i)), i + 1, 3);
    run_release(&run);
}

/* `count` times `piece`, and `tail`. */
static struct str repeat(struct buf *buf, const char *piece, size_t count, const char *tail)
{
    buf_init(buf, 4 * YAML_BYTES_MAX);
    for (size_t i = 0; i < count; i++)
        buf_add_text(buf, piece);
    buf_add_text(buf, tail);
    assert_true(buf_is_ok(buf));
    return buf_str(buf);
}

static void a_mebibyte_is_read_and_a_byte_more_refused(void **state)
{
    OWNED(buf_release) struct buf buf = { 0 };
    struct str text = repeat(&buf, "#", YAML_BYTES_MAX - 4, "\na: b");
    struct run run;

    (void)state;
    run_init(&run);
    assert_int_equal(text.len, YAML_BYTES_MAX + 1);
    assert_false(run_parse(&run, text));
    assert_string_equal(printed(&run), "a.yaml: error: the file is larger than 1 MiB\n"
                                       "  hint: split it into several files\n");
    assert_true(run_parse(&run, str_slice(text, 1, text.len)));
    run_release(&run);
}

static void depth_16_is_read_and_17_refused(void **state)
{
    static const struct {
        const char *name;
        const char *open;
        const char *leaf;
        const char *close;
    } cases[] = {
        { "lists", "[", "a", "]" },
        { "maps", "{a: ", "b", "}" },
        { "block lists", "- ", "a", "" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases) * 2; i++) {
        OWNED(buf_release) struct buf text = { 0 };
        size_t depth = i % 2 == 0 ? 16 : 17;
        struct run run;

        buf_init(&text, 1024);
        for (size_t j = 0; j < depth; j++)
            buf_add_text(&text, cases[i / 2].open);
        buf_add_text(&text, cases[i / 2].leaf);
        for (size_t j = 0; j < depth; j++)
            buf_add_text(&text, cases[i / 2].close);
        run_init(&run);
        if (run_parse(&run, buf_str(&text)) != (depth == 16))
            fail_msg("%s at depth %zu", cases[i / 2].name, depth);
        if (depth == 17)
            assert_non_null(strstr(printed(&run), "nested deeper than 16 levels"));
        run_release(&run);
    }
}

static void hostile_files_end_quickly(void **state)
{
    static const struct {
        const char *name;
        const char *piece;
        size_t count;
        const char *tail;
    } cases[] = {
        { "nested lists", "[", 100000, "" },   { "nested lists over lines", "[\n", 100000, "" },
        { "nested maps", "{a: ", 100000, "" }, { "nested block lists", "- ", 100000, "a" },
        { "nested keys", "? ", 100000, "a" },  { "directives", "%TAG !a! b\n", 90000, "---\na: b" },
        { "aliases", "- *a\n", 200000, "" },   { "nulls", "-\n", 500000, "" },
        { "anchors", "- &a b\n", 140000, "" }, { "one line of aliases", "*a , ", 200000, "" },
        { "open quotes", "\"", 1000001, "" },  { "repeated keys", "a: b\n", 200000, "" },
        { "colons", ":", 1000000, "" },        { "documents", "---\n", 200000, "" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        OWNED(buf_release) struct buf buf = { 0 };
        struct str text = repeat(&buf, cases[i].piece, cases[i].count, cases[i].tail);
        clock_t start = clock(); /* CPU time: other programs do not count */
        struct run run;

        run_init(&run);
        assert_true(text.len <= YAML_BYTES_MAX);
        (void)run_parse(&run, text);
        if (clock() - start > 3 * CLOCKS_PER_SEC)
            fail_msg("%s took too long", cases[i].name);
        run_release(&run);
    }
}

/* jansson's allocations as our own, so that they fail, too. */
static void *json_memory(size_t size)
{
    return malloc(size);
}

static void a_file_is_refused_wherever_memory_ends(void **state)
{
    JSON_OWNED json_t *expected = json_pack("{s:[s,{s:s}],s:s}", "a", "b", "c", "d", "e", "f");
    size_t nth = 1;
    bool is_read = false;

    (void)state;
    json_set_alloc_funcs(json_memory, free);
    for (; !is_read && nth < 1000; nth++) {
        struct run run;

        run_init(&run);
        fail_memory_at(nth);
        is_read = run_parse(&run, STR("a: [b, {c: d}]\ne: \"f\"\n"));
        fail_memory_at(0);
        assert_int_equal(run.diagnostics.error_count, is_read ? 0 : 1);
        assert_true(is_read == (run.document != NULL));
        assert_true(!is_read || json_equal(json_iterable(yaml_root(run.document)), expected));
        run_release(&run);
    }
    assert_true(is_read && nth > 20);
}

static void a_mistake_is_reported_wherever_memory_ends(void **state)
{
    (void)state;
    for (size_t nth = 1; nth < 40; nth++) {
        struct run run;

        run_init(&run);
        fail_memory_at(nth);
        assert_false(run_parse(&run, STR("a: b\na: ~\nc: *d\n")));
        fail_memory_at(0);
        assert_true(run.diagnostics.error_count > 0);
        (void)printed(&run);
        run_release(&run);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_refused_file_says_what_its_expected_file_says),
        cmocka_unit_test(the_files_of_the_design_are_read),
        cmocka_unit_test(a_document_becomes_maps_lists_and_strings),
        cmocka_unit_test(maps_keep_their_order),
        cmocka_unit_test(values_and_keys_have_positions_in_characters),
        cmocka_unit_test(an_unknown_value_is_at_the_whole_file_and_an_absent_key_at_its_map),
        cmocka_unit_test(maps_of_two_documents_become_one),
        cmocka_unit_test(a_joined_value_stands_in_its_own_file),
        cmocka_unit_test(what_two_documents_both_say_is_told_with_both_places),
        cmocka_unit_test(only_scalars_without_quotes_are_plain),
        cmocka_unit_test(every_value_of_a_large_file_is_found),
        cmocka_unit_test(a_mebibyte_is_read_and_a_byte_more_refused),
        cmocka_unit_test(depth_16_is_read_and_17_refused),
        cmocka_unit_test(hostile_files_end_quickly),
        cmocka_unit_test(a_file_is_refused_wherever_memory_ends),
        cmocka_unit_test(a_mistake_is_reported_wherever_memory_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
