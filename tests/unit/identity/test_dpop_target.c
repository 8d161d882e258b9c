#include <string.h>

#include "identity/dpop_internal.h"
#include "tests/test.h"

#define OURS "https://broker.example/a/token"

static bool are_equal(const char *a, const char *b)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_REQUEST_MAX);

    return dpop_targets_are_equal(str_from(a), str_from(b), arena);
}

static void what_rfc_3986_calls_equivalent_is(void **state)
{
    static const char *const rows[][2] = {
        { OURS, OURS },
        { "HTTPS://broker.example/a/token", OURS },
        { "https://BROKER.Example/a/token", OURS },
        { "https://broker.example:443/a/token", OURS },
        { "https://broker.example/a/token?x=y", OURS },
        { "https://broker.example/a/token#f", OURS },
        { "https://broker.example/a/token?x#f?g", OURS },
        { "https://broker.example/%61/tok%65n", OURS },
        { "https://broker.example/a/./token", OURS },
        { "https://broker.example/./a/token", OURS },
        { "https://broker.example/b/../a/token", OURS },
        { "https://broker.example/../../a/token", OURS },
        { "https://broker.example/a/b/%2e%2E/token", OURS },
        { "https://broker.example/%7Ea", "https://broker.example/~a" },
        { "https://broker.example/%2fa%3A", "https://broker.example/%2Fa%3a" },
        { "https://broker.example", "https://broker.example/" },
        { "https://broker.example?x", "https://broker.example/" },
        { "https://broker.example/a/.", "https://broker.example/a/" },
        { "https://broker.example/a/b/..", "https://broker.example/a/" },
        { "https://broker.example/..", "https://broker.example/" },
        { "http://broker.example:80/", "http://broker.example/" },
        { "https://[2001:db8::A]:443/", "https://[2001:db8::a]/" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        if (!are_equal(rows[i][0], rows[i][1]) || !are_equal(rows[i][1], rows[i][0]))
            fail_msg("%s and %s differ", rows[i][0], rows[i][1]);
    }
}

static void nothing_else_is(void **state)
{
    static const char *const rows[] = {
        "",
        "/a/token",
        "broker.example/a/token",
        "//broker.example/a/token",
        "http://broker.example/a/token",
        "http://broker.example:443/a/token",
        "https://broker.example:80/a/token",
        "https://broker.example:4430/a/token",
        "https://broker.example:/a/token",
        "https://broker.example./a/token",
        "https://broker.example.evil.example/a/token",
        "https://evil.example/https://broker.example/a/token",
        "https://broker.example@evil.example/a/token",
        "https://user@broker.example/a/token",
        "https://broker.example/a/token/",
        "https://broker.example/a//token",
        "https://broker.example//a/token",
        "https://broker.example/A/token",
        "https://broker.example/a%2Ftoken",
        "https://broker.example/a/token%00",
        "https://broker.example/a/token%",
        "https://broker.example/a/token%4",
        "https://broker.example/a/token%zz",
        "https://broker.example/a/toke",
        "https://broker.example/a/token2",
        "https://broker.example/a/token;x",
        "https://broker.example/a/token ",
        " https://broker.example/a/token",
        "https://broker.example/a\\token",
        "https://broker.example/a/token\n",
        "https://broker.example/a/t\xc3\xb6ken",
        "https:/broker.example/a/token",
        "ftp://broker.example/a/token",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        if (are_equal(rows[i], OURS) || are_equal(OURS, rows[i]))
            fail_msg("%s", rows[i]);
    }
}

static void a_url_has_2048_bytes_and_not_one_more(void **state)
{
    static char url[2050] = "https://broker.example/";
    size_t len = strlen(url);

    (void)state;
    memset(url + len, 'a', 2048 - len);
    assert_true(are_equal(url, url));
    url[2048] = 'a';
    assert_false(are_equal(url, url));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_rfc_3986_calls_equivalent_is),
        cmocka_unit_test(nothing_else_is),
        cmocka_unit_test(a_url_has_2048_bytes_and_not_one_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
