#include <string.h>

#include "base/macros.h"
#include "http/route.h"
#include "tests/test.h"

static const struct http_route routes[] = {
    { .method = "GET", .path = "/log/checkpoint" }, { .method = "GET", .path = "/log/tile/*" },
    { .method = "GET", .path = "/api/v1/leases" },  { .method = "POST", .path = "/api/v1/leases" },
    { .method = "POST", .path = "/revoke" },
};

static enum error_code find(const char *method, const char *path, const struct http_route **route,
                            struct str *rest)
{
    return route_find(routes, COUNT(routes), str_from(method), str_from(path), route, rest);
}

static void a_path_is_matched_exactly_or_by_its_prefix(void **state)
{
    const struct http_route *route = NULL;
    struct str rest;

    (void)state;
    assert_int_equal(find("POST", "/api/v1/leases", &route, &rest), ERROR_NONE);
    assert_ptr_equal(route, &routes[3]);
    assert_int_equal(rest.len, 0);
    assert_int_equal(find("GET", "/log/tile/0/x001/067.p/8", &route, &rest), ERROR_NONE);
    assert_ptr_equal(route, &routes[1]);
    assert_true(str_eq(rest, STR("0/x001/067.p/8")));
}

static void what_is_not_in_the_table_is_not_found(void **state)
{
    static const char *const paths[] = {
        "/",
        "/log",
        "/log/checkpoint/",
        "/log/checkpoint2",
        "/LOG/checkpoint",
        "//log/checkpoint",
        "/log//checkpoint",
        "/./log/checkpoint",
        "/log/%63heckpoint",
        "/log/tile",
        "/log/tile/",
        "/log/tile//0",
        "/log/tile/0//1",
        "/log/tile/0/",
        "/log/tile/..",
        "/log/tile/../checkpoint",
        "/log/tile/0/../../checkpoint",
        "/log/tile/./0",
        "/log/tile/%2e%2e",
        "/log/tile/a b",
        "/log/tile/a;b",
        "/log/tile/a\\b",
        "/log/tile/*",
    };
    const struct http_route *route;
    struct str rest;

    (void)state;
    for (size_t i = 0; i < COUNT(paths); i++) {
        if (find("GET", paths[i], &route, &rest) != ERROR_NOT_FOUND)
            fail_msg("found: %s", paths[i]);
    }
}

static void another_method_is_told_which_there_are(void **state)
{
    OWNED(arena_free) struct arena *arena = arena_new(4096);
    const struct http_route *route;
    struct str rest;

    (void)state;
    assert_non_null(arena);
    assert_int_equal(find("PUT", "/api/v1/leases", &route, &rest), ERROR_METHOD);
    assert_true(str_eq(route_allow(routes, COUNT(routes), STR("/api/v1/leases"), arena),
                       STR("GET, HEAD, POST")));
}

static void head_finds_the_row_of_get_and_no_other(void **state)
{
    const struct http_route *route = NULL;
    struct str rest;

    (void)state;
    assert_int_equal(find("HEAD", "/log/checkpoint", &route, &rest), ERROR_NONE);
    assert_string_equal(route->method, "GET");
    assert_int_equal(find("HEAD", "/revoke", &route, &rest), ERROR_METHOD);
    assert_int_equal(find("head", "/log/checkpoint", &route, &rest), ERROR_METHOD);
    assert_int_equal(find("HEAD", "/log/nothing", &route, &rest), ERROR_NOT_FOUND);
}

static void only_plain_paths_are_targets(void **state)
{
    static const char *const bad[] = {
        "", "*", "http://broker/token", "token", "?/token", "/to\tken", "/to\x7fken", "/token?\n",
    };

    (void)state;
    assert_int_equal(route_check_target(STR("/token")), ERROR_NONE);
    for (size_t i = 0; i < COUNT(bad); i++) {
        if (route_check_target(str_from(bad[i])) != ERROR_REQUEST)
            fail_msg("accepted: %s", bad[i]);
    }
}

static void a_target_has_a_longest_length(void **state)
{
    static char target[HTTP_TARGET_BYTES_MAX + 1];

    (void)state;
    memset(target, '/', sizeof(target));
    assert_int_equal(route_check_target((struct str){ target, HTTP_TARGET_BYTES_MAX }), ERROR_NONE);
    assert_int_equal(route_check_target((struct str){ target, HTTP_TARGET_BYTES_MAX + 1 }),
                     ERROR_URI_TOO_LONG);
}

static void a_host_is_a_name_or_an_address_with_or_without_a_port(void **state)
{
    static const char *const good[] = {
        "",           "a",     "broker.acme.example", "broker.acme.example:8443",
        "broker_1:1", "a:",    "127.0.0.1:65535",     "[::1]",
        "[::1]:443",  "[::]:", "[::ffff:10.0.0.1]",
    };
    static const char *const bad[] = {
        "a b",    "a,b",     "a@b",  "a/b",       "a?b",        "a#b",      "a\\b",     "a%20b",
        "a:b",    "a:1:2",   "a:-1", "::1",       "a:123456",   "[",        "[::1",     "[]",
        "[::1]a", "[::1]:x", "[a]",  "[1.2.3.4]", "[::1%eth0]", "\xc3\xa9", "http://a", "a]",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(good); i++)
        if (route_check_host(str_from(good[i])) != ERROR_NONE)
            fail_msg("refused: %s", good[i]);
    for (size_t i = 0; i < COUNT(bad); i++)
        if (route_check_host(str_from(bad[i])) != ERROR_REQUEST)
            fail_msg("accepted: %s", bad[i]);
}

static void a_body_has_exactly_its_media_type(void **state)
{
    static const struct {
        const char *type;
        enum http_body body;
        bool fits;
    } cases[] = {
        { "application/x-www-form-urlencoded", HTTP_BODY_FORM, true },
        { "Application/X-WWW-Form-Urlencoded", HTTP_BODY_FORM, true },
        { "application/x-www-form-urlencoded; charset=utf-8", HTTP_BODY_FORM, true },
        { "application/x-www-form-urlencoded;charset=\"UTF-8\"", HTTP_BODY_FORM, true },
        { "application/json", HTTP_BODY_JSON, true },
        { "application/x-www-form-urlencodedx", HTTP_BODY_FORM, false },
        { "application/x-www-form-urlencoded;", HTTP_BODY_FORM, false },
        { "application/x-www-form-urlencoded; charset=latin1", HTTP_BODY_FORM, false },
        { "application/x-www-form-urlencoded; charset=utf-8; a=b", HTTP_BODY_FORM, false },
        { "application/x-www-form-urlencoded, text/plain", HTTP_BODY_FORM, false },
        { "multipart/form-data; boundary=x", HTTP_BODY_FORM, false },
        { "application/json", HTTP_BODY_FORM, false },
        { "", HTTP_BODY_FORM, false },
        { "application/problem+json", HTTP_BODY_JSON, false },
        { "text/json", HTTP_BODY_JSON, false },
        { "application/json", HTTP_BODY_NONE, false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (route_takes_type(cases[i].body, str_from(cases[i].type)) != cases[i].fits)
            fail_msg("wrong for: %s", cases[i].type);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_is_matched_exactly_or_by_its_prefix),
        cmocka_unit_test(what_is_not_in_the_table_is_not_found),
        cmocka_unit_test(another_method_is_told_which_there_are),
        cmocka_unit_test(head_finds_the_row_of_get_and_no_other),
        cmocka_unit_test(only_plain_paths_are_targets),
        cmocka_unit_test(a_target_has_a_longest_length),
        cmocka_unit_test(a_host_is_a_name_or_an_address_with_or_without_a_port),
        cmocka_unit_test(a_body_has_exactly_its_media_type),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
