#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/json_plain.h"
#include "tests/fail_memory.h"
#include "tests/test.h"

/* A literal with its length, so that a NUL can stand in it. */
#define TEXT(literal) literal, sizeof(literal) - 1

static const struct json_limits wide = { (size_t)1024 * 1024, 32, 1000 };

static bool parses(struct str text, struct json_limits limits, struct error *error)
{
    JSON_OWNED json_t *json = NULL;

    *error = (struct error){ 0 };
    return json_parse(text, limits, &json, error);
}

static void well_formed_json_is_accepted(void **state)
{
    static const struct {
        const char *name;
        const char *text;
        size_t len;
    } cases[] = {
        { "an empty object", TEXT("{}") },
        { "an empty array", TEXT("[]") },
        { "white space around", TEXT(" \t\r\n{ \"a\" : 1 } \n") },
        { "a real", TEXT("[1.5e3]") },
        { "the largest integer", TEXT("[9223372036854775807]") },
        { "the smallest integer", TEXT("[-9223372036854775808]") },
        { "a surrogate pair", TEXT("[\"\\ud83d\\ude00\"]") },
        { "raw UTF-8", TEXT("[\"gr\xc3\xbc\xc3\x9f\"]") },
        { "null, true, false", TEXT("[null,true,false]") },
        { "brackets and commas in a string", TEXT("[\"]},[{,\\\"],\"]") },
        { "same names in different objects", TEXT("[{\"a\":1},{\"a\":1}]") },
        { "an empty name", TEXT("{\"\":1}") },
    };
    struct error error;

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (!parses((struct str){ cases[i].text, cases[i].len }, wide, &error))
            fail_msg("%s: %s", cases[i].name, error.cause);
    }
}

static void malformed_json_is_refused(void **state)
{
    static const struct {
        const char *name;
        const char *text;
        size_t len;
    } cases[] = {
        { "nothing", TEXT("") },
        { "white space only", TEXT("  \n") },
        { "a scalar", TEXT("1") },
        { "a string", TEXT("\"a\"") },
        { "null", TEXT("null") },
        { "a duplicate member", TEXT("{\"a\":1,\"a\":2}") },
        { "a duplicate behind an escape", TEXT("{\"a\":1,\"\\u0061\":2}") },
        { "a duplicate deeper down", TEXT("{\"a\":[{\"b\":1,\"c\":2,\"b\":3}]}") },
        { "1e400", TEXT("[1e400]") },
        { "-1e400", TEXT("[-1e400]") },
        { "NaN", TEXT("[NaN]") },
        { "Infinity", TEXT("[Infinity]") },
        { "2^63", TEXT("[9223372036854775808]") },
        { "2^64", TEXT("[18446744073709551616]") },
        { "-2^63 - 1", TEXT("[-9223372036854775809]") },
        { "a leading zero", TEXT("[01]") },
        { "a leading plus", TEXT("[+1]") },
        { "hexadecimal", TEXT("[0x10]") },
        { "a point without digits", TEXT("[1.]") },
        { "an escaped NUL", TEXT("[\"a\\u0000b\"]") },
        { "an escaped NUL in a name", TEXT("{\"a\\u0000b\":1}") },
        { "a raw NUL in a string", TEXT("[\"a\0b\"]") },
        { "a NUL between tokens", TEXT("[1,\0 2]") },
        { "a NUL behind the end", TEXT("[1]\0") },
        { "a NUL before the start", TEXT("\0[1]") },
        { "a raw line feed in a string", TEXT("[\"a\nb\"]") },
        { "a lone high surrogate", TEXT("[\"\\ud800\"]") },
        { "a lone low surrogate", TEXT("[\"\\udc00\"]") },
        { "two high surrogates", TEXT("[\"\\ud800\\ud800\"]") },
        { "a surrogate in UTF-8", TEXT("[\"\xed\xa0\x80\"]") },
        { "an overlong slash", TEXT("[\"\xc0\xaf\"]") },
        { "an overlong NUL", TEXT("[\"\xc0\x80\"]") },
        { "an overlong three bytes", TEXT("[\"\xe0\x80\xaf\"]") },
        { "past U+10FFFF", TEXT("[\"\xf4\x90\x80\x80\"]") },
        { "a stray continuation byte", TEXT("[\"\x80\"]") },
        { "a cut sequence", TEXT("[\"\xc3\"]") },
        { "a byte order mark", TEXT("\xef\xbb\xbf{}") },
        { "a line comment", TEXT("[1] // one") },
        { "a block comment", TEXT("[/* one */ 1]") },
        { "trailing text", TEXT("{} x") },
        { "a second value", TEXT("{}{}") },
        { "a closing bracket too many", TEXT("[1]]") },
        { "a trailing comma", TEXT("[1,]") },
        { "a trailing comma in an object", TEXT("{\"a\":1,}") },
        { "a missing comma", TEXT("[1 2]") },
        { "single quotes", TEXT("{'a':1}") },
        { "a bare name", TEXT("{a:1}") },
        { "brackets that do not match", TEXT("[1}") },
        { "an open string", TEXT("[\"a") },
        { "an open escape", TEXT("[\"a\\") },
        { "an open object", TEXT("{\"a\":1") },
        { "an unknown escape", TEXT("[\"\\x41\"]") },
        { "True", TEXT("[True]") },
    };
    struct error error;

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (parses((struct str){ cases[i].text, cases[i].len }, wide, &error))
            fail_msg("%s was accepted", cases[i].name);
        if (error.code != ERROR_SYNTAX)
            fail_msg("%s: code %d", cases[i].name, (int)error.code);
    }
}

/* `depth` arrays within each other. */
static struct str nested(size_t depth, char *out)
{
    memset(out, '[', depth);
    memset(out + depth, ']', depth);
    return (struct str){ out, 2 * depth };
}

static void depth_32_is_accepted_and_33_refused(void **state)
{
    char text[128];
    struct error error;

    (void)state;
    assert_true(parses(nested(32, text), wide, &error));
    assert_false(parses(nested(33, text), wide, &error));
    assert_int_equal(error.code, ERROR_LIMIT);
}

static void closed_brackets_do_not_add_to_the_depth(void **state)
{
    struct json_limits limits = { 100, 2, 100 };
    struct error error;

    (void)state;
    assert_true(parses(STR("[{},[],{\"a\":\"[[[\"},[1]]"), limits, &error));
    assert_false(parses(STR("[{},{\"a\":[]}]"), limits, &error));
    assert_int_equal(error.code, ERROR_LIMIT);
}

/* An array of `count` ones, or an object of `count` members. */
static struct str members(size_t count, bool is_object, struct buf *buf)
{
    buf_clear(buf);
    buf_add_text(buf, is_object ? "{" : "[");
    for (size_t i = 0; i < count; i++) {
        buf_add_text(buf, i > 0 ? ", " : " ");
        if (is_object)
            buf_printf(buf, "\"%zu\":", i);
        buf_add_text(buf, "1");
    }
    buf_add_text(buf, is_object ? " }" : " ]");
    return buf_str(buf);
}

static void a_thousand_members_are_accepted_and_one_more_refused(void **state)
{
    OWNED(buf_release) struct buf buf = { 0 };
    struct error error;

    (void)state;
    buf_init(&buf, (size_t)64 * 1024);
    assert_true(parses(members(1000, false, &buf), wide, &error));
    assert_true(parses(members(1000, true, &buf), wide, &error));
    assert_false(parses(members(1001, false, &buf), wide, &error));
    assert_int_equal(error.code, ERROR_LIMIT);
    assert_false(parses(members(1001, true, &buf), wide, &error));
    assert_int_equal(error.code, ERROR_LIMIT);
}

static void members_count_over_all_objects_and_arrays(void **state)
{
    struct json_limits limits = { 100, 8, 5 };
    struct error error;

    (void)state;
    assert_true(parses(STR("{\"a\":[1,{},[ ]],\"b\":2}"), limits, &error));
    assert_false(parses(STR("{\"a\":[1,{},[3]],\"b\":2}"), limits, &error));
    assert_int_equal(error.code, ERROR_LIMIT);
}

static void a_byte_past_the_limit_is_refused(void **state)
{
    struct json_limits limits = { 7, 8, 8 };
    struct error error;

    (void)state;
    assert_true(parses(STR("[1,2,3]"), limits, &error));
    assert_false(parses(STR("[1,2,3] "), limits, &error));
    assert_int_equal(error.code, ERROR_LIMIT);
}

static void an_error_never_quotes_the_input(void **state)
{
    static const char *const texts[] = {
        "[\"hunter2\" hunter2]",
        "{\"hunter2\":1,\"hunter2\":2}",
        "[hunter2]",
        "{\"hunter2\\u0000\":1}",
        "[1] hunter2",
        "[\"hunter2",
        "[\"hunter2\\ud800\"]",
    };
    struct error error;

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        assert_false(parses(str_from(texts[i]), wide, &error));
        assert_null(strstr(error.cause, "hunter2"));
        assert_null(strstr(error.message, "hunter2"));
    }
}

static void an_array_is_no_object(void **state)
{
    JSON_OWNED json_t *json = NULL;
    struct error error = { 0 };

    (void)state;
    assert_false(json_parse_object(STR("[]"), wide, &json, &error));
    assert_int_equal(error.code, ERROR_SYNTAX);
    assert_null(json);
    error = (struct error){ 0 };
    assert_true(json_parse_object(STR("{}"), wide, &json, &error));
    assert_true(json_is_object(json));
}

static void the_canonical_form_sorts_keys_and_keeps_utf8(void **state)
{
    JSON_OWNED json_t *json = NULL;
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_REQUEST_MAX);
    struct error error = { 0 };
    struct str text;

    (void)state;
    assert_true(json_parse(STR("{ \"b\": [1, 2.5, null], \"\xc3\xa9\": \"\\u00e9/\\u001f\", \"a\": "
                               "{\"d\":1,\"c\":true} }"),
                           wide, &json, &error));
    text = json_text(arena, json);
    assert_true(str_eq(text, STR("{\"a\":{\"c\":true,\"d\":1},\"b\":[1,2.5,null],"
                                 "\"\xc3\xa9\":\"\xc3\xa9/\\u001F\"}")));
}

static void a_value_that_does_not_fit_the_buffer_marks_it_as_failed(void **state)
{
    JSON_OWNED json_t *json = json_pack("[iii]", 1, 2, 3);
    OWNED(buf_release) struct buf exact = { 0 };
    OWNED(buf_release) struct buf tight = { 0 };

    (void)state;
    buf_init(&exact, 7);
    buf_add_json(&exact, json);
    assert_true(buf_is_ok(&exact));
    buf_init(&tight, 6);
    buf_add_json(&tight, json);
    assert_false(buf_is_ok(&tight));
}

static void no_value_marks_the_buffer_as_failed(void **state)
{
    OWNED(buf_release) struct buf buf = { 0 };
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_REQUEST_MAX);

    (void)state;
    buf_init(&buf, 100);
    buf_add_json(&buf, NULL);
    assert_false(buf_is_ok(&buf));
    assert_null(json_text(arena, NULL).data);
}

static void a_string_member_is_borrowed_and_other_types_are_refused(void **state)
{
    JSON_OWNED json_t *json = json_pack("{s:s,s:i,s:n,s:s}", "a", "x", "b", 1, "c", "d", "");
    struct str value = STR("untouched");

    (void)state;
    assert_false(json_get_str(json, "b", &value));
    assert_false(json_get_str(json, "c", &value));
    assert_false(json_get_str(json, "absent", &value));
    assert_false(json_get_str(NULL, "a", &value));
    assert_true(str_eq(value, STR("untouched")));
    assert_true(json_get_str(json, "a", &value));
    assert_true(str_eq(value, STR("x")));
    assert_true(json_get_str(json, "d", &value));
    assert_int_equal(value.len, 0);
}

static void a_json_string_is_made_of_utf8_without_nul_only(void **state)
{
    JSON_OWNED json_t *text = json_from_str(STR("gr\xc3\xbcn"));
    JSON_OWNED json_t *empty = json_from_str((struct str){ 0 });

    (void)state;
    assert_true(str_eq(json_str(text), STR("gr\xc3\xbcn")));
    assert_int_equal(json_str(empty).len, 0);
    assert_true(json_is_string(empty));
    assert_null(json_from_str(STR("a\0b")));
    assert_null(json_from_str(STR("\xc3")));
    assert_null(json_from_str(STR("\xed\xa0\x80")));
    assert_null(json_str(NULL).data);
}

static void a_missing_value_fails_a_put(void **state)
{
    JSON_OWNED json_t *json = json_object();

    (void)state;
    assert_false(json_put(json, "a", NULL));
    assert_false(json_put(json, "a", json_from_str(STR("\xff"))));
    assert_false(json_put(NULL, "a", json_true()));
    assert_int_equal(json_object_size(json), 0);
    assert_true(json_put(json, "a", json_from_str(STR("x"))));
    assert_int_equal(json_object_size(json), 1);
}

static void an_empty_text_is_not_put(void **state)
{
    JSON_OWNED json_t *json = json_object();

    (void)state;
    assert_true(json_put_text(json, "empty", STR("")));
    assert_int_equal(json_object_size(json), 0);
    assert_true(json_put_text(json, "text", STR("y")));
    assert_true(str_eq(json_str(json_object_get(json, "text")), STR("y")));
    assert_false(json_put_text(json, "text", STR("\xff")));
    assert_false(json_put_text(NULL, "text", STR("y")));
}

static void a_kept_value_ends_with_the_arena(void **state)
{
    json_t *json = json_array();
    struct arena *arena = arena_new(ARENA_REQUEST_MAX);
    struct error error = { 0 };

    (void)state;
    assert_true(json_keep(arena, json_incref(json), &error));
    assert_int_equal(json->refcount, 2);
    arena_free(arena);
    assert_int_equal(json->refcount, 1);
    json_decref(json);
}

static void a_value_that_cannot_be_kept_is_released(void **state)
{
    json_t *json = json_array();
    OWNED(arena_free) struct arena *arena = arena_new(1);
    struct error error = { 0 };

    (void)state;
    assert_false(json_keep(arena, json_incref(json), &error));
    assert_int_equal(error.code, ERROR_MEMORY);
    assert_int_equal(json->refcount, 1);
    json_decref(json);
}

static void times_are_integers_or_reals_rounded_down(void **state)
{
    static const struct {
        const char *text;
        int64_t expected;
    } cases[] = {
        { "1700000000", 1700000000 },
        { "1700000000.9", 1700000000 },
        { "1.7e9", 1700000000 },
        { "-0.5", -1 },
        { "-2", -2 },
        { "-2.0", -2 },
        { "0.0", 0 },
        { "9223372036854775807", INT64_MAX },
        { "-9223372036854775808", INT64_MIN },
        { "-9.223372036854775808e18", INT64_MIN },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        JSON_OWNED json_t *number = json_loads(cases[i].text, JSON_DECODE_ANY, NULL);
        JSON_OWNED json_t *json = json_pack("{s:O}", "t", number);
        int64_t value = 42;

        assert_true(json_get_time(json, "t", &value));
        assert_true(value == cases[i].expected);
    }
}

static void what_is_no_time_is_refused(void **state)
{
    static const char *const texts[] = {
        "\"1700000000\"",       "null", "true", "[1]", "{}", "9.3e18", "-9.3e18", "1e300",
        "9223372036854775808.0"
    };
    JSON_OWNED json_t *empty = json_object();
    int64_t value = 42;

    (void)state;
    assert_false(json_get_time(empty, "t", &value));
    for (size_t i = 0; i < COUNT(texts); i++) {
        JSON_OWNED json_t *number = json_loads(texts[i], JSON_DECODE_ANY, NULL);
        JSON_OWNED json_t *json = json_pack("{s:O}", "t", number);

        if (json_get_time(json, "t", &value))
            fail_msg("%s was accepted", texts[i]);
    }
    assert_int_equal(value, 42);
}

/* jansson's allocations as our own, so that they fail, too. */
static void *json_memory(size_t size)
{
    return malloc(size);
}

/* Reading quickly is for plain texts alone, and reads them as jansson does. */
static void plain_texts_are_read_as_jansson_reads_them(void **state)
{
    static const struct {
        const char *text;
        size_t len;
        bool is_plain;
    } cases[] = {
        { TEXT("{}"), true },
        { TEXT("[]"), true },
        { TEXT(" \t\r\n[ 1 , [ ] , { } ] \r\n"), true },
        { TEXT("{\"a\":{\"b\":[true,false,null]},\"c\":\"\",\"\":\"x\"}"), true },
        { TEXT("[0,-0,-1,10,999999999999999999,-999999999999999999]"), true },
        { TEXT("[\" !#[]^_`{|}~\x7f\"]"), true },
        { TEXT("{\"exp\":1763805900,\"aud\":[\"a\",\"b\"]}"), true },
        /* well-formed, but not plain */
        { TEXT("[1.5]"), false },
        { TEXT("[1e3]"), false },
        { TEXT("[1000000000000000000]"), false },
        { TEXT("[\"\\u0061\"]"), false },
        { TEXT("[\"gr\xc3\xbc\xc3\x9f\"]"), false },
        { TEXT("{\"\\u0061\":1}"), false },
        /* malformed */
        { TEXT(""), false },
        { TEXT(" "), false },
        { TEXT("1"), false },
        { TEXT("\"a\""), false },
        { TEXT("{"), false },
        { TEXT("["), false },
        { TEXT("[1"), false },
        { TEXT("[1,"), false },
        { TEXT("[1,]"), false },
        { TEXT("[,]"), false },
        { TEXT("[1 2]"), false },
        { TEXT("[1]]"), false },
        { TEXT("[1}"), false },
        { TEXT("[1]x"), false },
        { TEXT("[1]\0"), false },
        { TEXT("[-]"), false },
        { TEXT("[--1]"), false },
        { TEXT("[+1]"), false },
        { TEXT("[01]"), false },
        { TEXT("[-01]"), false },
        { TEXT("[1a]"), false },
        { TEXT("[tru]"), false },
        { TEXT("[truex]"), false },
        { TEXT("[True]"), false },
        { TEXT("[\"a]"), false },
        { TEXT("[\"a\0\"]"), false },
        { TEXT("[\"\n\"]"), false },
        { TEXT("[\"\xff\"]"), false },
        { TEXT("{\"a\"}"), false },
        { TEXT("{\"a\":}"), false },
        { TEXT("{\"a\" 1}"), false },
        { TEXT("{\"a\":1,}"), false },
        { TEXT("{a:1}"), false },
        { TEXT("{1:1}"), false },
        { TEXT("{\"a\":1,\"a\":1}"), false },
        { TEXT("{\"a\":{\"b\":1,\"b\":2}}"), false },
        { TEXT("\xef\xbb\xbf{}"), false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        JSON_OWNED json_t *plain =
            json_plain_parse((struct str){ cases[i].text, cases[i].len }, wide);
        JSON_OWNED json_t *expected =
            json_loadb(cases[i].text, cases[i].len, JSON_REJECT_DUPLICATES, NULL);

        if ((plain != NULL) != cases[i].is_plain)
            fail_msg("%s: plain or not", cases[i].text);
        if (plain != NULL && !json_equal(plain, expected))
            fail_msg("%s: read otherwise", cases[i].text);
    }
}

static void a_plain_text_keeps_to_the_limits(void **state)
{
    static const char text[] = "{\"a\":[1,2,[3]]}"; /* 3 deep, 5 members */
    static const struct {
        struct json_limits limits;
        bool is_plain;
    } cases[] = {
        { { sizeof(text) - 1, 3, 5 }, true },
        { { sizeof(text) - 2, 3, 5 }, false },
        { { sizeof(text) - 1, 2, 5 }, false },
        { { sizeof(text) - 1, 3, 4 }, false },
        { { 0, 3, 5 }, false },
        { { sizeof(text) - 1, 0, 5 }, false },
        { { sizeof(text) - 1, 3, 0 }, false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        JSON_OWNED json_t *plain = json_plain_parse(STR(text), cases[i].limits);

        assert_int_equal(plain != NULL, cases[i].is_plain);
    }
}

/* Writing quickly is for plain values alone, and writes them as jansson does. */
static void plain_values_are_written_as_jansson_writes_them(void **state)
{
    static const struct {
        struct str text;
        bool is_plain;
    } cases[] = {
        { { TEXT("{}") }, true },
        { { TEXT("[]") }, true },
        { { TEXT("[[],{},[{}],null,true,false]") }, true },
        { { TEXT("[0,-1,10,9223372036854775807,-9223372036854775808]") }, true },
        { { TEXT("[\"\",\" !#[]^_`{|}~\x7f/\",\"1234567\",\"12345678\",\"123456789\"]") }, true },
        { { TEXT("{\"b\":1,\"a\":2,\"\":3,\"ab\":4,\"B\":5}") }, true },
        { { TEXT(
              "{\"same head, longer\":1,\"same head\":2,\"same head, long\":3,\"same hea\":4}") },
          true },
        { { TEXT("[1.0]") }, false },
        { { TEXT("[\"\\\"\"]") }, false },
        { { TEXT("[\"1234567\\\\\"]") }, false },
        { { TEXT("[\"12345678\\u0001\"]") }, false },
        { { TEXT("[\"\\u001f1234567\"]") }, false },
        { { TEXT("[\"\\n\"]") }, false },
        { { TEXT("[\"1234567\xc3\xa9\"]") }, false },
        { { TEXT("{\"\xc3\xa9\":1}") }, false },
        { { TEXT("{\"a\\\"\":1}") }, false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        JSON_OWNED json_t *json = json_loadb(cases[i].text.data, cases[i].text.len, 0, NULL);
        OWNED(buf_release) struct buf plain = { 0 };
        OWNED(buf_release) struct buf whole = { 0 };
        char *expected = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);

        buf_init(&plain, 1024);
        buf_init(&whole, 1024);
        buf_add_text(&plain, "kept");
        assert_true(json_plain_write(&plain, json) == cases[i].is_plain);
        assert_true(buf_is_ok(&plain));
        buf_add_json(&whole, json);
        assert_string_equal(whole.data, expected);
        if (cases[i].is_plain)
            assert_string_equal(plain.data + 4, expected);
        else
            assert_string_equal(plain.data, "kept");
        free(expected);
    }
}

/* Each byte at each place of a word and behind it. */
static void a_plain_text_has_no_other_byte_anywhere(void **state)
{
    (void)state;
    for (size_t place = 0; place < 19; place++) {
        for (int byte = 1; byte < 0x80; byte++) {
            static const struct json_limits limits = { 64, 2, 8 };
            char text[] = "abcdefghijklmnopqrs";
            char quoted[] = "[\"abcdefghijklmnopqrs\"]";
            OWNED(buf_release) struct buf plain = { 0 };
            JSON_OWNED json_t *json = NULL;
            JSON_OWNED json_t *parsed = NULL;
            bool is_plain = byte >= 0x20 && byte != '"' && byte != '\\';

            text[place] = (char)byte;
            json = json_string(text);
            buf_init(&plain, 1024);
            assert_true(json_plain_write(&plain, json) == is_plain);
            quoted[2 + place] = (char)byte;
            parsed = json_plain_parse(STR(quoted), limits);
            assert_true((parsed != NULL) == is_plain);
            if (is_plain)
                assert_string_equal(json_string_value(json_array_get(parsed, 0)), text);
        }
    }
}

static void plain_values_have_limits(void **state)
{
    JSON_OWNED json_t *object = json_object();
    JSON_OWNED json_t *nested = json_array();
    OWNED(buf_release) struct buf buf = { 0 };

    (void)state;
    buf_init(&buf, 4096);
    for (int i = 0; i < 65; i++) {
        char name[8];

        (void)snprintf(name, sizeof(name), "m%d", 99 - i);
        assert_true(json_put(object, name, json_integer(i)));
        assert_true(json_plain_write(&buf, object) == (i < 64));
        buf_clear(&buf);
    }
    for (int depth = 1; depth < 18; depth++) {
        json_t *outer = json_array();

        assert_true(json_plain_write(&buf, nested) == (depth <= 16));
        buf_clear(&buf);
        assert_int_equal(json_array_append_new(outer, nested), 0);
        nested = outer;
    }
    assert_int_equal(json_object_del(object, "m99"), 0);
    buf_release(&buf);
    buf_init(&buf, 7);
    assert_false(json_plain_write(&buf, object));
    assert_false(buf_is_ok(&buf));
    assert_false(json_plain_write(&buf, NULL));
}

static void a_plain_name_has_63_bytes_and_not_one_more(void **state)
{
    (void)state;
    for (int len = 62; len <= 65; len++) {
        char text[128];
        int text_len = snprintf(text, sizeof(text), "{\"%0*d\":1}", len, 7);
        JSON_OWNED json_t *plain = json_plain_parse((struct str){ text, (size_t)text_len }, wide);

        assert_int_equal(plain != NULL, len <= 63);
    }
}

static void a_text_is_refused_wherever_memory_ends(void **state)
{
    const char *text = "{\"a\":[1,2.5,\"b\"],\"c\":{\"d\":null}}";
    JSON_OWNED json_t *expected = json_loads(text, 0, NULL);
    size_t refused_count = 0;

    (void)state;
    json_set_alloc_funcs(json_memory, free);
    for (size_t nth = 1; nth < 100; nth++) {
        JSON_OWNED json_t *json = NULL;
        struct error error = { 0 };
        bool is_read;

        fail_memory_at(nth);
        is_read = json_parse(str_from(text), wide, &json, &error);
        fail_memory_at(0);
        if (!is_read)
            assert_true(error.code == ERROR_MEMORY || error.code == ERROR_SYNTAX);
        assert_true(is_read == (json != NULL));
        assert_true(json == NULL || json_equal(json, expected));
        refused_count += !is_read;
    }
    assert_in_range(refused_count, 10, 50); /* what the quick reader lacks, jansson may find */
}

static void a_text_is_not_written_wherever_memory_ends(void **state)
{
    JSON_OWNED json_t *json = json_pack("{s:[i,f],s:s}", "b", 1, 2.5, "a", "c");
    bool is_written = false;
    size_t nth = 1;

    (void)state;
    for (; !is_written && nth < 1000; nth++) {
        OWNED(buf_release) struct buf buf = { 0 };

        buf_init(&buf, 1024);
        fail_memory_at(nth);
        buf_add_json(&buf, json);
        fail_memory_at(0);
        is_written = buf_is_ok(&buf);
        if (is_written)
            assert_string_equal(buf.data, "{\"a\":\"c\",\"b\":[1,2.5]}");
    }
    assert_true(is_written && nth > 2);
}

static void lists_of_texts_are_made(void **state)
{
    static const struct str texts[] = { STR_INIT("a"), STR_INIT(""), STR_INIT("b") };
    static const struct str bad[] = { STR_INIT("a"), STR_INIT("\xff") };
    JSON_OWNED json_t *list = json_from_strs(texts, COUNT(texts));
    JSON_OWNED json_t *none = json_from_strs(NULL, 0);

    (void)state;
    assert_int_equal(json_array_size(list), 3);
    assert_string_equal(json_string_value(json_array_get(list, 2)), "b");
    assert_true(json_is_array(none) && json_array_size(none) == 0);
    assert_null(json_from_strs(bad, COUNT(bad)));
}

static void objects_are_appended(void **state)
{
    JSON_OWNED json_t *list = json_array();
    json_t *first = json_append_object(list);

    (void)state;
    assert_true(json_is_object(first) && json_append_object(list) != first);
    assert_int_equal(json_array_size(list), 2);
    assert_ptr_equal(json_array_get(list, 0), first);
    assert_null(json_append_object(NULL));
    assert_null(json_append_object(first));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(well_formed_json_is_accepted),
        cmocka_unit_test(malformed_json_is_refused),
        cmocka_unit_test(depth_32_is_accepted_and_33_refused),
        cmocka_unit_test(closed_brackets_do_not_add_to_the_depth),
        cmocka_unit_test(a_thousand_members_are_accepted_and_one_more_refused),
        cmocka_unit_test(members_count_over_all_objects_and_arrays),
        cmocka_unit_test(a_byte_past_the_limit_is_refused),
        cmocka_unit_test(an_error_never_quotes_the_input),
        cmocka_unit_test(an_array_is_no_object),
        cmocka_unit_test(the_canonical_form_sorts_keys_and_keeps_utf8),
        cmocka_unit_test(a_value_that_does_not_fit_the_buffer_marks_it_as_failed),
        cmocka_unit_test(no_value_marks_the_buffer_as_failed),
        cmocka_unit_test(a_string_member_is_borrowed_and_other_types_are_refused),
        cmocka_unit_test(a_json_string_is_made_of_utf8_without_nul_only),
        cmocka_unit_test(a_missing_value_fails_a_put),
        cmocka_unit_test(an_empty_text_is_not_put),
        cmocka_unit_test(a_kept_value_ends_with_the_arena),
        cmocka_unit_test(a_value_that_cannot_be_kept_is_released),
        cmocka_unit_test(lists_of_texts_are_made),
        cmocka_unit_test(objects_are_appended),
        cmocka_unit_test(times_are_integers_or_reals_rounded_down),
        cmocka_unit_test(what_is_no_time_is_refused),
        cmocka_unit_test(plain_texts_are_read_as_jansson_reads_them),
        cmocka_unit_test(plain_values_are_written_as_jansson_writes_them),
        cmocka_unit_test(a_plain_text_has_no_other_byte_anywhere),
        cmocka_unit_test(plain_values_have_limits),
        cmocka_unit_test(a_plain_text_keeps_to_the_limits),
        cmocka_unit_test(a_plain_name_has_63_bytes_and_not_one_more),
        cmocka_unit_test(a_text_is_refused_wherever_memory_ends),
        cmocka_unit_test(a_text_is_not_written_wherever_memory_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
