#include <string.h>
#include <time.h>

#include "base/json.h"
#include "base/network.h"
#include "base/yaml.h"
#include "tests/assert_str.h"
#include "tests/test.h"

static const char *const keys[] = { "owner", "policy", "port", "tls", NULL };
static const char *const kinds[] = { "build", "test", "deploy", NULL };

/* One text, the reader on it, and all that it reported. */
struct run {
    struct arena *arena;
    struct diagnostics diagnostics;
    struct yaml_document *document;
    struct yaml_reader reader;
    const json_t *root;
};

static void run_init(struct run *run, struct str text)
{
    run->arena = arena_new((size_t)16 * 1024 * 1024);
    run->document = NULL;
    diagnostics_init(&run->diagnostics, run->arena);
    assert_true(yaml_parse(STR("a.yaml"), text, &run->diagnostics, &run->document));
    run->reader =
        (struct yaml_reader){ .document = run->document, .diagnostics = &run->diagnostics };
    run->root = yaml_root(run->document);
}

static const char *run_printed(struct run *run)
{
    OWNED(buf_release) struct buf buf = { 0 };

    buf_init(&buf, (size_t)1024 * 1024);
    diagnostics_write(&run->diagnostics, &buf);
    return arena_copy(run->arena, buf_str(&buf)).data;
}

static void run_release(struct run *run)
{
    yaml_document_free(run->document);
    arena_free(run->arena);
}

/* What a case does with the document; the results of getters are only looked at here. */
static bool expect_keys(const struct yaml_reader *reader, const json_t *root)
{
    return yaml_expect_map(reader, root, keys);
}

static bool require_owner(const struct yaml_reader *reader, const json_t *root)
{
    return yaml_require(reader, root, "owner");
}

/* As readers of a map do it: its keys first, then what must be there. */
static bool expect_keys_and_owner(const struct yaml_reader *reader, const json_t *root)
{
    bool is_good = yaml_expect_map(reader, root, keys);

    return yaml_require(reader, root, "owner") && is_good;
}

static bool get_owner(const struct yaml_reader *reader, const json_t *root)
{
    struct str value;

    return yaml_get_str(reader, root, "owner", &value);
}

static bool get_port(const struct yaml_reader *reader, const json_t *root)
{
    int64_t value;

    return yaml_get_int(reader, root, "port", 1, 65535, &value);
}

static bool get_tls(const struct yaml_reader *reader, const json_t *root)
{
    bool value;

    return yaml_get_bool(reader, root, "tls", &value);
}

static bool get_ttl(const struct yaml_reader *reader, const json_t *root)
{
    int64_t value;

    return yaml_get_duration_s(reader, root, "ttl", 90, 3600, &value);
}

static bool get_kind(const struct yaml_reader *reader, const json_t *root)
{
    size_t value;

    return yaml_get_choice(reader, root, "kind", kinds, &value);
}

static bool get_when(const struct yaml_reader *reader, const json_t *root)
{
    const json_t *value;

    return yaml_get_map(reader, root, "when", &value);
}

static bool get_needs(const struct yaml_reader *reader, const json_t *root)
{
    const json_t *value;

    return yaml_get_list(reader, root, "needs", &value);
}

static bool get_names(const struct yaml_reader *reader, const json_t *root)
{
    struct str *values;
    size_t count;

    return yaml_get_strs(reader, root, "names", &values, &count);
}

static bool get_from(const struct yaml_reader *reader, const json_t *root)
{
    struct network *values;
    size_t count;

    return yaml_get_networks(reader, root, "from", &values, &count);
}

static const struct misfit {
    bool (*read)(const struct yaml_reader *reader, const json_t *root);
    const char *text;
    const char *expected;
} misfits[] = {
    { expect_keys, "owner: a\npolcy: b\n",
      "a.yaml:2:1: error: unknown key 'polcy'\n"
      "    2 | polcy: b\n"
      "      | ^~~~~\n"
      "  hint: did you mean 'policy'? known here: owner, policy, port, tls\n" },
    { expect_keys, "{ owner: a, zzz: b }",
      "a.yaml:1:13: error: unknown key 'zzz'\n"
      "    1 | { owner: a, zzz: b }\n"
      "      |             ^~~\n"
      "  hint: known here: owner, policy, port, tls\n" },
    { expect_keys, "[owner]",
      "a.yaml:1:1: error: expected a map, not a list\n"
      "    1 | [owner]\n"
      "      | ^\n"
      "  hint: known here: owner, policy, port, tls\n" },
    { expect_keys, "Owner: a",
      "a.yaml:1:1: error: unknown key 'Owner'\n"
      "    1 | Owner: a\n"
      "      | ^~~~~\n"
      "  hint: did you mean 'owner'? known here: owner, policy, port, tls\n" },
    { require_owner, "\nport: 1",
      "a.yaml:2:1: error: the key 'owner' is missing here\n"
      "    2 | port: 1\n"
      "      | ^\n" },
    { expect_keys_and_owner, "ownr: a\nport: 1",
      "a.yaml:1:1: error: unknown key 'ownr'\n"
      "    1 | ownr: a\n"
      "      | ^~~~\n"
      "  hint: did you mean 'owner'? known here: owner, policy, port, tls\n" },
    { expect_keys_and_owner, "prt: 1",
      "a.yaml:1:1: error: unknown key 'prt'\n"
      "    1 | prt: 1\n"
      "      | ^~~\n"
      "  hint: did you mean 'port'? known here: owner, policy, port, tls\n"
      "a.yaml:1:1: error: the key 'owner' is missing here\n"
      "    1 | prt: 1\n"
      "      | ^\n" },
    { get_owner, "owner: { name: a }",
      "a.yaml:1:8: error: 'owner' must be text, not a map\n"
      "    1 | owner: { name: a }\n"
      "      |        ^\n" },
    { get_port, "port: 65536",
      "a.yaml:1:7: error: 'port' must be a whole number from 1 to 65535, not '65536'\n"
      "    1 | port: 65536\n"
      "      |       ^~~~~\n" },
    { get_port, "port: 0",
      "a.yaml:1:7: error: 'port' must be a whole number from 1 to 65535, not '0'\n"
      "    1 | port: 0\n"
      "      |       ^\n" },
    { get_port, "port: 0x50",
      "a.yaml:1:7: error: 'port' must be a whole number from 1 to 65535, not '0x50'\n"
      "    1 | port: 0x50\n"
      "      |       ^~~~\n" },
    { get_port, "port: [80]",
      "a.yaml:1:7: error: 'port' must be a whole number from 1 to 65535, not a list\n"
      "    1 | port: [80]\n"
      "      |       ^\n" },
    { get_tls, "tls: yes",
      "a.yaml:1:6: error: 'tls' must be true or false, not 'yes'\n"
      "    1 | tls: yes\n"
      "      |      ^~~\n" },
    { get_tls, "tls: True",
      "a.yaml:1:6: error: 'tls' must be true or false, not 'True'\n"
      "    1 | tls: True\n"
      "      |      ^~~~\n" },
    { get_ttl, "ttl: 15",
      "a.yaml:1:6: error: 'ttl' must be a duration such as 90s, 15m, 8h or 30d, not '15'\n"
      "    1 | ttl: 15\n"
      "      |      ^~\n"
      "  hint: add the unit: '15s' or '15m'\n" },
    { get_ttl, "ttl: 1w",
      "a.yaml:1:6: error: 'ttl' must be a duration such as 90s, 15m, 8h or 30d, not '1w'\n"
      "    1 | ttl: 1w\n"
      "      |      ^~\n" },
    { get_ttl, "ttl: 89s",
      "a.yaml:1:6: error: 'ttl' must be from 90s to 1h, not '89s'\n"
      "    1 | ttl: 89s\n"
      "      |      ^~~\n" },
    { get_ttl, "ttl: 3601s",
      "a.yaml:1:6: error: 'ttl' must be from 90s to 1h, not '3601s'\n"
      "    1 | ttl: 3601s\n"
      "      |      ^~~~~\n" },
    { get_kind, "kind: delpoy",
      "a.yaml:1:7: error: 'kind' cannot be 'delpoy'\n"
      "    1 | kind: delpoy\n"
      "      |       ^~~~~~\n"
      "  hint: did you mean 'deploy'? known here: build, test, deploy\n" },
    { get_kind, "kind: \"\"",
      "a.yaml:1:7: error: 'kind' cannot be ''\n"
      "    1 | kind: \"\"\n"
      "      |       ^~\n"
      "  hint: known here: build, test, deploy\n" },
    { get_kind, "kind: [build]",
      "a.yaml:1:7: error: 'kind' must be one name, not a list\n"
      "    1 | kind: [build]\n"
      "      |       ^\n" },
    { get_when, "when: main",
      "a.yaml:1:7: error: 'when' must be a map, not 'main'\n"
      "    1 | when: main\n"
      "      |       ^~~~\n" },
    { get_needs, "needs: build",
      "a.yaml:1:8: error: 'needs' must be a list, not 'build'\n"
      "    1 | needs: build\n"
      "      |        ^~~~~\n"
      "  hint: a list is written [a, b]\n" },
    { get_names, "names: { a: b }",
      "a.yaml:1:8: error: 'names' must be text or a list of texts, not a map\n"
      "    1 | names: { a: b }\n"
      "      |        ^\n" },
    { get_names, "names: [a, [b], {c: d}]",
      "a.yaml:1:12: error: 'names' must be text or a list of texts, not a list\n"
      "    1 | names: [a, [b], {c: d}]\n"
      "      |            ^\n"
      "a.yaml:1:17: error: 'names' must be text or a list of texts, not a map\n"
      "    1 | names: [a, [b], {c: d}]\n"
      "      |                 ^\n" },
    { get_from, "from: [10.0.0.0/8, 10.0.0.1/8]",
      "a.yaml:1:20: error: 'from' must be networks such as 10.0.0.0/8, not '10.0.0.1/8'\n"
      "    1 | from: [10.0.0.0/8, 10.0.0.1/8]\n"
      "      |                    ^~~~~~~~~~\n"
      "  hint: 2001:db8::/32 or one address fit, too; the bits behind the prefix must be "
      "zero\n" },
    { get_from, "from: localhost",
      "a.yaml:1:7: error: 'from' must be networks such as 10.0.0.0/8, not 'localhost'\n"
      "    1 | from: localhost\n"
      "      |       ^~~~~~~~~\n"
      "  hint: 2001:db8::/32 or one address fit, too; the bits behind the prefix must be "
      "zero\n" },
};

static void what_does_not_fit_is_reported_with_what_was_expected(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(misfits); i++) {
        struct run run;

        run_init(&run, str_from(misfits[i].text));
        if (misfits[i].read(&run.reader, run.root))
            fail_msg("accepted: %s", misfits[i].text);
        assert_string_equal(run_printed(&run), misfits[i].expected);
        run_release(&run);
    }
}

static void values_are_read_as_their_types(void **state)
{
    struct run run;
    struct str text = STR("");
    int64_t number = 0;
    bool flag = false;
    size_t choice = 0;
    const json_t *container = NULL;

    (void)state;
    run_init(&run, STR("{s: text, i: -5, t: 'true', f: false, d: 8h, k: deploy, m: {}, l: []}"));
    assert_true(yaml_get_str(&run.reader, run.root, "s", &text));
    assert_str(text, "text");
    assert_true(yaml_get_int(&run.reader, run.root, "i", -5, -5, &number));
    assert_int_equal(number, -5);
    assert_true(yaml_get_bool(&run.reader, run.root, "t", &flag));
    assert_true(flag);
    assert_true(yaml_get_bool(&run.reader, run.root, "f", &flag));
    assert_false(flag);
    assert_true(yaml_get_duration_s(&run.reader, run.root, "d", 28800, 28800, &number));
    assert_int_equal(number, 28800);
    assert_true(yaml_get_choice(&run.reader, run.root, "k", kinds, &choice));
    assert_int_equal(choice, 2);
    assert_true(yaml_get_map(&run.reader, run.root, "m", &container));
    assert_ptr_equal(container, json_object_get(run.root, "m"));
    assert_true(yaml_get_list(&run.reader, run.root, "l", &container));
    assert_ptr_equal(container, json_object_get(run.root, "l"));
    assert_int_equal(run.diagnostics.count, 0);
    run_release(&run);
}

static void an_absent_key_is_no_mistake_and_leaves_the_output_alone(void **state)
{
    static bool (*const getters[])(const struct yaml_reader *, const json_t *) = {
        get_owner, get_port, get_tls, get_ttl, get_kind, get_when, get_needs, get_names, get_from,
    };
    struct str text = STR("default");
    struct run run;

    (void)state;
    run_init(&run, STR("other: a"));
    for (size_t i = 0; i < COUNT(getters); i++) {
        assert_false(getters[i](&run.reader, run.root));
        assert_false(getters[i](&run.reader, NULL));
        assert_false(getters[i](&run.reader, json_object_get(run.root, "other")));
    }
    assert_false(yaml_get_str(&run.reader, run.root, "owner", &text));
    assert_str(text, "default");
    assert_int_equal(run.diagnostics.count, 0);
    run_release(&run);
}

static void one_string_is_a_list_of_one(void **state)
{
    struct run run;
    struct str *texts = NULL;
    size_t count = 9;

    (void)state;
    run_init(&run, STR("{one: a, two: [b, c], none: []}"));
    assert_true(yaml_get_strs(&run.reader, run.root, "one", &texts, &count));
    assert_int_equal(count, 1);
    assert_str(texts[0], "a");
    assert_true(yaml_get_strs(&run.reader, run.root, "two", &texts, &count));
    assert_int_equal(count, 2);
    assert_str(texts[1], "c");
    assert_true(yaml_get_strs(&run.reader, run.root, "none", &texts, &count));
    assert_int_equal(count, 0);
    run_release(&run);
}

static void networks_are_read(void **state)
{
    struct run run;
    struct network *networks = NULL;
    struct address address;
    size_t count = 0;

    (void)state;
    run_init(&run, STR("from: [10.0.0.0/8, \"2001:db8::/32\"]"));
    assert_true(yaml_get_networks(&run.reader, run.root, "from", &networks, &count));
    assert_int_equal(count, 2);
    assert_true(address_parse(STR("10.1.2.3"), &address));
    assert_true(network_contains(&networks[0], &address));
    assert_false(network_contains(&networks[1], &address));
    run_release(&run);
}

static void all_mistakes_of_a_map_are_reported(void **state)
{
    struct run run;

    (void)state;
    run_init(&run, STR("a: 1\nowner: x\nb: 2\nport: http\n"));
    assert_false(expect_keys(&run.reader, run.root));
    assert_false(get_port(&run.reader, run.root));
    assert_int_equal(run.diagnostics.error_count, 3);
    run_release(&run);
}

static void a_long_value_is_cut_in_the_message(void **state)
{
    struct run run;
    OWNED(buf_release) struct buf text = { 0 };
    struct str message;

    (void)state;
    buf_init(&text, 4096);
    buf_add_text(&text, "kind: ");
    for (size_t i = 0; i < 61; i++)
        buf_add_text(&text, "\xc3\xa4");
    run_init(&run, buf_str(&text));
    assert_false(get_kind(&run.reader, run.root));
    message = run.diagnostics.list[0].message;
    assert_true(str_is_utf8(message));
    assert_true(str_ends_with(message, STR("\xc3\xa4...'")));
    assert_int_equal(message.len, strlen("'kind' cannot be '") + (size_t)60 * 2 + strlen("...'"));
    run_release(&run);
}

static void a_file_of_mistakes_ends_quickly(void **state)
{
    struct run run;
    OWNED(buf_release) struct buf text = { 0 };
    clock_t start = clock(); /* CPU time: other programs do not count */

    (void)state;
    buf_init(&text, YAML_BYTES_MAX);
    for (size_t i = 0; i < 100000; i++)
        buf_printf(&text, "k%zu: a\n", i);
    run_init(&run, buf_str(&text));
    assert_false(expect_keys(&run.reader, run.root));
    assert_int_equal(run.diagnostics.error_count, 100000);
    assert_int_equal(run.diagnostics.dropped_count, 100000 - DIAGNOSTICS_MAX);
    assert_true(clock() - start < 5 * CLOCKS_PER_SEC);
    run_release(&run);
}

static void many_known_names_are_cut_at_a_whole_name(void **state)
{
    static const char *const many[] = {
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaa",
        "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
        "bbbbbb",
        "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
        "cccccc",
        NULL,
    };
    struct run run;

    (void)state;
    run_init(&run, STR("x: y"));
    assert_false(yaml_expect_map(&run.reader, run.root, many));
    assert_true(str_starts_with(run.diagnostics.list[0].hint, STR("known here: aaa")));
    assert_true(str_ends_with(run.diagnostics.list[0].hint, STR("bbbb, ...")));
    run_release(&run);
}

static void a_complaint_with_a_hint_stands_at_its_value(void **state)
{
    struct run run;

    (void)state;
    run_init(&run, STR("issuer: guthub"));
    assert_false(yaml_complain_hint(&run.reader, json_object_get(run.root, "issuer"),
                                    STR("did you mean 'github'?"), "no issuer '%s'", "guthub"));
    assert_false(yaml_complain(&run.reader, NULL, "%d stages", 0));
    assert_string_equal(run_printed(&run), "a.yaml:1:9: error: no issuer 'guthub'\n"
                                           "    1 | issuer: guthub\n"
                                           "      |         ^~~~~~\n"
                                           "  hint: did you mean 'github'?\n"
                                           "a.yaml: error: 0 stages\n");
    run_release(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_does_not_fit_is_reported_with_what_was_expected),
        cmocka_unit_test(values_are_read_as_their_types),
        cmocka_unit_test(an_absent_key_is_no_mistake_and_leaves_the_output_alone),
        cmocka_unit_test(one_string_is_a_list_of_one),
        cmocka_unit_test(networks_are_read),
        cmocka_unit_test(all_mistakes_of_a_map_are_reported),
        cmocka_unit_test(a_long_value_is_cut_in_the_message),
        cmocka_unit_test(a_file_of_mistakes_ends_quickly),
        cmocka_unit_test(many_known_names_are_cut_at_a_whole_name),
        cmocka_unit_test(a_complaint_with_a_hint_stands_at_its_value),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
