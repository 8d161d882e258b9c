#include <string.h>

#include "base/claim.h"
#include "base/json.h"
#include "tests/test.h"

static const struct claim rows[] = {
    { "property_", CLAIM_STRING, CLAIM_PREFIX },
    { "property_tier", CLAIM_INTEGER, 0 },
    { "/a/b", CLAIM_STRING, 0 },
};
static const struct claim_table table = { rows, COUNT(rows) };

static void a_row_is_found_by_its_name_or_its_prefix(void **state)
{
    (void)state;
    assert_ptr_equal(claim_find(&table, STR("property_x")), &rows[0]);
    assert_ptr_equal(claim_find(&table, STR("property_tier")), &rows[1]);
    assert_ptr_equal(claim_find(&table, STR("property_tiers")), &rows[0]);
    assert_ptr_equal(claim_find(&table, STR("/a/b")), &rows[2]);
    assert_null(claim_find(&table, STR("property_")));
    assert_null(claim_find(&table, STR("property")));
    assert_null(claim_find(&table, STR("a")));
    assert_null(claim_find(&table, STR("")));
}

static const char document[] = "{\"a\":{\"b\":\"x\",\"\":\"empty\"},\"a/"
                               "b\":{\"m~n\":7},\"list\":[{\"b\":1}],\"/a\":\"slash\"}";

static void a_pointer_goes_through_objects_only(void **state)
{
    static const struct {
        const char *name;
        const char *value; /* JSON; NULL: nothing */
    } cases[] = {
        { "a", "{\"b\":\"x\",\"\":\"empty\"}" },
        { "/a/b", "\"x\"" },
        { "/a~1b/m~0n", "7" },
        { "/a/b/c", NULL },
        { "/a/", NULL },
        { "/", NULL },
        { "/a//b", NULL },
        { "/list/0", NULL },
        { "/list/0/b", NULL },
        { "/a~2b", NULL },
        { "/a~", NULL },
        { "/missing/b", NULL },
        { "/~1a", "\"slash\"" },
    };
    JSON_OWNED json_t *claims = json_loads(document, 0, NULL);

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        JSON_OWNED json_t *expected =
            cases[i].value == NULL ? NULL : json_loads(cases[i].value, JSON_DECODE_ANY, NULL);
        const json_t *found = claim_value(claims, cases[i].name);

        if (expected == NULL ? found != NULL : !json_equal(found, expected))
            fail_msg("%s", cases[i].name);
    }
}

static void a_pointers_part_has_its_limit(void **state)
{
    char name[CLAIM_POINTER_MAX + 3] = "/";

    (void)state;
    memset(name + 1, 'a', CLAIM_POINTER_MAX);
    assert_true(claim_name_is_good(str_from(name)));
    name[CLAIM_POINTER_MAX + 1] = 'a';
    assert_false(claim_name_is_good(str_from(name)));
    assert_false(claim_name_is_good(STR("")));
    assert_false(claim_name_is_good(STR("/")));
    assert_false(claim_name_is_good(STR("/a/")));
    assert_false(claim_name_is_good(STR("/a~3")));
    assert_true(claim_name_is_good(STR("a//b~3")));
}

static void a_value_is_put_where_it_is_read(void **state)
{
    JSON_OWNED json_t *claims = json_object();

    (void)state;
    assert_true(claim_put(claims, "plain", json_integer(1)));
    assert_true(claim_put(claims, "/a/b/c", json_integer(2)));
    assert_true(claim_put(claims, "/a/b/d", json_integer(3)));
    assert_true(claim_put(claims, "/x~1y", json_integer(4)));
    assert_int_equal(json_integer_value(claim_value(claims, "/a/b/c")), 2);
    assert_int_equal(json_integer_value(claim_value(claims, "/a/b/d")), 3);
    assert_int_equal(json_integer_value(json_object_get(claims, "x/y")), 4);
    assert_false(claim_put(claims, "/plain/b", json_integer(5)));
    assert_false(claim_put(claims, "/a//c", json_integer(5)));
    assert_false(claim_put(claims, "/a~/c", json_integer(5)));
    assert_false(claim_put(claims, "plain", NULL));
}

static void a_value_is_dropped_where_it_is_read(void **state)
{
    JSON_OWNED json_t *claims = json_object();

    (void)state;
    assert_true(claim_put(claims, "plain", json_integer(1)));
    assert_true(claim_put(claims, "/a/b/c", json_integer(2)));
    assert_true(claim_put(claims, "/x~1y", json_integer(4)));
    assert_true(claim_drop(claims, "/a/b/c"));
    assert_false(claim_drop(claims, "/a/b/c"));
    assert_true(json_is_object(claim_value(claims, "/a/b")));
    assert_true(claim_drop(claims, "/x~1y"));
    assert_true(claim_drop(claims, "plain"));
    assert_false(claim_drop(claims, "plain"));
    assert_false(claim_drop(claims, "/none/b"));
    assert_false(claim_drop(claims, "/a~/b"));
    assert_int_equal(json_object_size(claims), 1);
}

static void types_are_exact(void **state)
{
    static const struct {
        const char *json;
        enum claim_type type;
        bool has;
    } cases[] = {
        { "\"true\"", CLAIM_STRING, true },
        { "true", CLAIM_STRING, false },
        { "true", CLAIM_BOOLEAN, true },
        { "\"true\"", CLAIM_BOOLEAN, false },
        { "7", CLAIM_INTEGER, true },
        { "7.5", CLAIM_INTEGER, false },
        { "\"7\"", CLAIM_INTEGER, false },
        { "\"a\"", CLAIM_STRINGS, true },
        { "[\"a\",\"b\"]", CLAIM_STRINGS, true },
        { "[\"a\",1]", CLAIM_STRINGS, false },
        { "{}", CLAIM_STRINGS, false },
        { "{}", CLAIM_OBJECT, true },
        { "[]", CLAIM_OBJECT, false },
        { "[{}]", CLAIM_OBJECTS, true },
        { "[{},1]", CLAIM_OBJECTS, false },
        { "{}", CLAIM_OBJECTS, false },
        { "null", CLAIM_OBJECT, false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        JSON_OWNED json_t *value = json_loads(cases[i].json, JSON_DECODE_ANY, NULL);

        if (claim_has_type(value, cases[i].type) != cases[i].has)
            fail_msg("%s", cases[i].json);
    }
    assert_false(claim_has_type(NULL, CLAIM_STRING));
}

static void dangers_are_found_by_claim_or_by_fact(void **state)
{
    static const struct claim_danger list[] = {
        { "event", "comment", "ci.event", "comment", NULL },
        { "shell", "true", NULL, NULL, NULL },
        { NULL, "", "ci.fork", "true", NULL },
        { "event", "merge", "ci.event", "merge", "ci.fork" },
    };
    static const struct claim_dangers dangers = { list, COUNT(list) };
    static const struct {
        const char *claims;
        const char *ci;
        unsigned found; /* a bit a row */
    } cases[] = {
        { "{\"event\":\"push\",\"shell\":false}", "{\"fork\":false}", 0 },
        { "{\"event\":\"comment\"}", "{\"fork\":false}", 1 },
        { "{\"event\":\"push\"}", "{\"event\":\"comment\"}", 0 }, /* the claim says which */
        { "{\"shell\":true}", "{}", 2 },
        { "{\"shell\":\"true\"}", "{}", 2 },
        { "{}", "{\"fork\":true}", 4 },
        { "{}", "{\"fork\":null}", 0 },
        { "{\"event\":\"merge\"}", "{\"fork\":false}", 0 },
        { "{\"event\":\"merge\"}", "{\"fork\":null}", 8 },
        { "{\"event\":\"merge\"}", "{\"fork\":true}", 12 },
        { "{\"event\":null}", "{}", 0 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        JSON_OWNED json_t *claims = json_loads(cases[i].claims, 0, NULL);
        JSON_OWNED json_t *ci = json_loads(cases[i].ci, 0, NULL);
        const struct claim_danger *found[COUNT(list)];
        size_t count = claim_dangers_find(&dangers, claims, ci, found);
        unsigned bits = 0;

        for (size_t k = 0; k < count; k++)
            bits |= 1U << (found[k] - list);
        if (bits != cases[i].found)
            fail_msg("%s %s: %u", cases[i].claims, cases[i].ci, bits);
    }
}

static void facts_are_copied_by_their_form(void **state)
{
    static const struct claim_copy list[] = {
        { "run", "number", CLAIM_FORM_NUMBER },
        { "ref", "/a/ref", CLAIM_FORM_UNKNOWN },
        { "environment", "environment", CLAIM_FORM_NONE },
    };
    static const struct claim_copies copies = { list, COUNT(list) };
    static const struct {
        const char *claims;
        const char *ci;
    } cases[] = {
        { "{}", "{\"ref\":null,\"run\":null}" },
        { "{\"number\":-7,\"a\":{\"ref\":\"x\"},\"environment\":\"e\"}",
          "{\"environment\":\"e\",\"ref\":\"x\",\"run\":\"-7\"}" },
        { "{\"number\":\"7\",\"a\":{\"ref\":7},\"environment\":7}",
          "{\"environment\":null,\"ref\":null,\"run\":\"7\"}" },
        { "{\"number\":null,\"a\":[\"x\"],\"environment\":null}", "{\"ref\":null,\"run\":null}" },
        { "{\"number\":1.5,\"a\":{\"ref\":\"\"},\"environment\":\"\"}",
          "{\"ref\":null,\"run\":null}" },
        { "{\"number\":true,\"a\":{\"ref\":[\"x\"]},\"environment\":[\"e\"]}",
          "{\"environment\":null,\"ref\":null,\"run\":null}" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        JSON_OWNED json_t *claims = json_loads(cases[i].claims, 0, NULL);
        JSON_OWNED json_t *expected = json_loads(cases[i].ci, 0, NULL);
        JSON_OWNED json_t *ci = json_pack("{s:n}", "environment");

        assert_true(claim_copies_put(&copies, claims, ci));
        if (!json_equal(ci, expected))
            fail_msg("%s", cases[i].claims);
    }
}

static void facts_follow_from_words_by_their_type(void **state)
{
    static const struct claim facts[] = { { "runner", CLAIM_STRING, 0 },
                                          { "debug", CLAIM_BOOLEAN, 0 } };
    static const struct claim_table fact_table = { facts, COUNT(facts) };
    static const struct claim_word list[] = {
        { "pool", "cloud", "runner", "hosted" },
        { "shell", "true", "debug", "true" },
        { "shell", "false", "debug", "false" },
    };
    static const struct claim_words words = { list, COUNT(list) };
    static const struct {
        const char *claims;
        const char *ci;
    } cases[] = {
        { "{\"pool\":\"cloud\",\"shell\":true}", "{\"debug\":true,\"runner\":\"hosted\"}" },
        { "{\"pool\":\"cloud\",\"shell\":\"false\"}", "{\"debug\":false,\"runner\":\"hosted\"}" },
        { "{\"pool\":\"clouds\",\"shell\":1}", "{\"runner\":null}" },
        { "{\"pool\":null,\"shell\":\"\"}", "{\"runner\":null}" },
        { "{\"pool\":[\"cloud\"]}", "{\"runner\":null}" },
        { "{}", "{\"runner\":null}" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        JSON_OWNED json_t *claims = json_loads(cases[i].claims, 0, NULL);
        JSON_OWNED json_t *expected = json_loads(cases[i].ci, 0, NULL);
        JSON_OWNED json_t *ci = json_pack("{s:n}", "runner"); /* what no row has stays */

        assert_true(claim_words_put(&words, &fact_table, claims, ci));
        if (!json_equal(ci, expected))
            fail_msg("%s", cases[i].claims);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_is_found_by_its_name_or_its_prefix),
        cmocka_unit_test(a_pointer_goes_through_objects_only),
        cmocka_unit_test(a_pointers_part_has_its_limit),
        cmocka_unit_test(a_value_is_put_where_it_is_read),
        cmocka_unit_test(a_value_is_dropped_where_it_is_read),
        cmocka_unit_test(types_are_exact),
        cmocka_unit_test(dangers_are_found_by_claim_or_by_fact),
        cmocka_unit_test(facts_are_copied_by_their_form),
        cmocka_unit_test(facts_follow_from_words_by_their_type),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
