#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/json_walk.h"
#include "tests/test.h"

#define NESTED_MAX 16

/* The members of a walk, "name=value;" one behind the other. */
struct seen {
    char text[512];
    size_t len;
    size_t stop_at; /* end the walk there; 0: never */
    size_t count;
};

static bool note(void *context, struct str name, struct str value)
{
    struct seen *seen = context;

    seen->len += (size_t)snprintf(seen->text + seen->len, sizeof(seen->text) - seen->len,
                                  STR_FMT "=" STR_FMT ";", STR_ARG(name), STR_ARG(value));
    seen->count++;
    return seen->stop_at == 0 || seen->count < seen->stop_at;
}

static void members_come_with_their_texts(void **state)
{
    static const struct {
        const char *text;
        const char *members;
    } cases[] = {
        { "{}", "" },
        { "{\"a\":1}", "a=1;" },
        { "{\"a\":\"x y\",\"b\":-17,\"c\":true,\"d\":false,\"e\":null}",
          "a=\"x y\";b=-17;c=true;d=false;e=null;" },
        { "{\"a\":{\"x\":[1,{\"y\":\"z\"},[]],\"z\":{}},\"b\":[]}",
          "a={\"x\":[1,{\"y\":\"z\"},[]],\"z\":{}};b=[];" },
        { "{\"\":0,\"a\":0,\"aa\":0,\"ab\":0,\"b\":123456789012345678}",
          "=0;a=0;aa=0;ab=0;b=123456789012345678;" },
        { "{\"a\":\"1234567\",\"b\":\"12345678\",\"c\":\"123456789 abcdefghij\"}",
          "a=\"1234567\";b=\"12345678\";c=\"123456789 abcdefghij\";" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct seen seen = { { 0 }, 0, 0, 0 };

        if (!json_walk(str_from(cases[i].text), note, &seen))
            fail_msg("not walked: %s", cases[i].text);
        assert_string_equal(seen.text, cases[i].members);
    }
}

static void what_is_not_plain_is_left_to_others(void **state)
{
    static const char *const texts[] = {
        "",
        " {}",
        "{} ",
        "{}x",
        "{",
        "}",
        "[]",
        "1",
        "\"a\"",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{,\"a\":1}",
        "{\"a\":1 ,\"b\":2}",
        "{\"a\": 1}",
        "{\"b\":1,\"a\":2}",
        "{\"a\":1,\"a\":2}",
        "{\"ab\":1,\"a\":2}",
        "{\"a\":{\"d\":1,\"c\":2}}",
        "{a:1}",
        "{\"a\":01}",
        "{\"a\":-0}",
        "{\"a\":-}",
        "{\"a\":1.5}",
        "{\"a\":1e5}",
        "{\"a\":1234567890123456789}",
        "{\"a\":tru}",
        "{\"a\":truex}",
        "{\"a\":nul",
        "{\"a\":\"x}",
        "{\"a\":\"x\\n\"}",
        "{\"a\":\"\\u0041\"}",
        "{\"a\":\"x\ny\"}",
        "{\"a\":\"1234567\n\"}",
        "{\"a\":\"12345678\x7f\"}",
        "{\"a\":\"123456\x7f\"}",
        "{\"a\":\"\xc3\xa9\"}",
        "{\"a\":[1}",
        "{\"a\":[1,]}",
        "{\"a\":{\"b\":1]}",
        "{\"a\":+1}",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct seen seen = { { 0 }, 0, 0, 0 };

        if (json_walk(str_from(texts[i]), note, &seen))
            fail_msg("walked: %s", texts[i]);
    }
}

static void the_caller_may_end_it(void **state)
{
    struct seen seen = { { 0 }, 0, 2, 0 };

    (void)state;
    assert_false(json_walk(STR("{\"a\":1,\"b\":2,\"c\":3}"), note, &seen));
    assert_string_equal(seen.text, "a=1;b=2;");
}

static bool walks_nested(size_t levels)
{
    char text[4 * NESTED_MAX + 32] = { 0 };
    struct seen seen = { { 0 }, 0, 0, 0 };
    size_t len = 0;

    for (size_t i = 0; i + 1 < levels; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, i == 0 ? "{\"a\":" : "[");
    len += (size_t)snprintf(text + len, sizeof(text) - len, "[]");
    for (size_t i = levels; i > 1; i--)
        len += (size_t)snprintf(text + len, sizeof(text) - len, i == 2 ? "}" : "]");
    return json_walk((struct str){ text, len }, note, &seen);
}

static void it_goes_16_levels_deep_and_no_deeper(void **state)
{
    (void)state;
    assert_true(walks_nested(NESTED_MAX));
    assert_false(walks_nested(NESTED_MAX + 1));
}

static bool take_all(void *context, struct str name, struct str value)
{
    (void)context;
    (void)name;
    (void)value;
    return true;
}

/* 1 where it is walked: then it must be JSON. */
static size_t try_both(struct str text)
{
    JSON_OWNED json_t *parsed = NULL;
    struct error error = { 0 };

    assert_int_equal(json_walk(text, take_all, NULL), json_walk_portable(text, take_all, NULL));
    if (!json_walk(text, take_all, NULL))
        return 0;
    if (!json_parse_object(text, (struct json_limits){ text.len, 32, 100 }, &parsed, &error))
        fail_msg("walked, but no JSON: " STR_FMT, STR_ARG(text));
    return 1;
}

/* Whatever one byte is changed to. */
static void what_is_walked_is_json(void **state)
{
    static const char good[] = "{\"a\":\"xy z\",\"b\":[1,-2,{\"c\":null}],\"d\":{\"e\":true}}";
    char text[sizeof(good)];
    size_t walked = 0;

    (void)state;
    for (size_t i = 0; i < (sizeof(good) - 1) * 256; i++) {
        memcpy(text, good, sizeof(good));
        text[i / 256] = (char)(i % 256);
        walked += try_both((struct str){ text, sizeof(good) - 1 });
    }
    assert_true(walked > sizeof(good));
}

/* Wherever in a text it stands, which is looked at piece by piece. */
static void it_does_not_matter_where_something_stands(void **state)
{
    static const char changes[] = "\"\\\x1f\x7f\x80}1";
    static const char tail[] = "\",\"b\":[1,{\"c\":123456789012345678}],\"d\":\"\"}";
    size_t walked = 0;

    (void)state;
    for (size_t len = 0; len < 2 * 64 + 2; len++) {
        char text[256];
        size_t all = (size_t)snprintf(text, sizeof(text), "{\"a\":\"%.*s%s", (int)len,
                                      "0123456789abcdef0123456789abcdef0123456789abcdef0123456789ab"
                                      "cdef0123456789abcdef0123456789abcdef0123456789abcdef01234567"
                                      "89abcdef0123456789abcdef",
                                      tail);

        assert_int_equal(try_both((struct str){ text, all }), 1);
        for (size_t i = 0; i < all * (sizeof(changes) - 1); i++) {
            char *bytes = malloc(all); /* of just that size, so that no byte behind it is read */

            assert_non_null(bytes);
            memcpy(bytes, text, all);
            bytes[i / (sizeof(changes) - 1)] = changes[i % (sizeof(changes) - 1)];
            walked += try_both((struct str){ bytes, all });
            free(bytes);
        }
    }
    assert_true(walked > 2 * 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_come_with_their_texts),
        cmocka_unit_test(what_is_not_plain_is_left_to_others),
        cmocka_unit_test(the_caller_may_end_it),
        cmocka_unit_test(it_goes_16_levels_deep_and_no_deeper),
        cmocka_unit_test(what_is_walked_is_json),
        cmocka_unit_test(it_does_not_matter_where_something_stands),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
