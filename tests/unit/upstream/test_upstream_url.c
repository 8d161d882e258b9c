#include <string.h>

#include "tests/test.h"
#include "upstream/upstream.h"

static const char *const accepted[] = {
    "https://a",
    "https://broker.example",
    "https://broker.example/",
    "https://broker.example:8443/path?query=a@b",
    "https://10.0.0.1/x",
    "https://[2001:db8::1]/x",
    "https://[::1]:8443/x",
    "https://broker.example?query",
    "https://broker.example:1",
    "https://broker.example:65535",
    "https://UPPER.example/%2f",
};

static const char *const refused[] = {
    "",
    "https://",
    "https:///path",
    "https://?query",
    "http://broker.example",
    "HTTPS://broker.example",
    "ftp://broker.example",
    "file:///etc/passwd",
    "//broker.example",
    "broker.example",
    " https://broker.example",
    "https://broker.example ",
    "https://user@broker.example",
    "https://user:word@broker.example/",
    "https://broker.example/#part",
    "https://broker.example#part",
    "https://broker.example\\@evil.example/",
    "https://broker.example/a b",
    "https://broker.example/\r\nHost: x",
    "https://broker.example/\x7f",
    "https://br\xc3\xb6ker.example/",
    "https://broker%2eexample/",
    "https://broker.example:",
    "https://broker.example:0",
    "https://broker.example:65536",
    "https://broker.example:08443",
    "https://broker.example:-1",
    "https://broker.example:84a",
    "https://broker_example",
    "https://:8443/",
    "https://[::1",
    "https://[]/",
    "https://[::g]/",
    "https://[::1%25lo]/",
    "https://[::1]x/",
    "https://[::1]:/",
    "https://::1/",
    "https://a[::1]/",
};

static void good_urls_are_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(accepted); i++) {
        struct error error = { 0 };

        if (!upstream_url_check(str_from(accepted[i]), false, &error))
            fail_msg("\"%s\": %s", accepted[i], error.cause);
    }
}

static void bad_urls_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(refused); i++) {
        struct error error = { 0 };

        if (upstream_url_check(str_from(refused[i]), false, &error))
            fail_msg("\"%s\" is accepted", refused[i]);
        assert_int_equal(error.code, ERROR_CONFIG);
    }
}

static void plain_http_is_accepted_where_it_is_allowed(void **state)
{
    struct error error = { 0 };

    (void)state;
    assert_true(upstream_url_check(STR("http://127.0.0.1:8080/x"), true, &error));
    assert_true(upstream_url_check(STR("https://a"), true, &error));
    assert_false(upstream_url_check(STR("ftp://a"), true, &error));
}

static void a_nul_byte_is_refused(void **state)
{
    struct error error = { 0 };

    (void)state;
    assert_false(upstream_url_check(STR("https://a\0.example/"), false, &error));
}

static void a_url_of_the_longest_length_is_accepted_and_one_more_is_not(void **state)
{
    struct error error = { 0 };
    char url[2049];

    (void)state;
    memset(url, 'a', sizeof(url));
    memcpy(url, "https://a/", 10);
    assert_true(upstream_url_check((struct str){ url, 2048 }, false, &error));
    assert_false(upstream_url_check((struct str){ url, 2049 }, false, &error));
}

static void assert_host(const char *url, const char *host)
{
    struct str found = upstream_url_host(str_from(url));

    if (!str_eq(found, str_from(host)))
        fail_msg("host of \"%s\" is \"" STR_FMT "\"", url, STR_ARG(found));
}

static void the_host_is_what_is_between_scheme_and_path(void **state)
{
    (void)state;
    assert_host("https://broker.example", "broker.example");
    assert_host("https://broker.example/a@b", "broker.example");
    assert_host("https://broker.example:8443/path", "broker.example:8443");
    assert_host("http://[::1]:80?x", "[::1]:80");
    assert_host("https://", "");
    assert_host("ftp://broker.example/", "");
}

static void a_host_of_this_machine_is_told_from_others(void **state)
{
    static const struct {
        const char *url;
        bool is_here;
    } cases[] = {
        { "http://127.0.0.1", true },          { "http://127.0.0.1:8443/x", true },
        { "http://localhost:80", true },       { "https://localhost", true },
        { "http://[::1]:8443", true },         { "http://[::1]", true },
        { "http://broker.example", false },    { "http://10.0.0.1", false },
        { "http://localhost.example", false }, { "http://127.0.0.1.example", false },
        { "http://[::2]:1", false },           { "http://broker.example/localhost", false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        if (upstream_url_is_loopback(str_from(cases[i].url)) != cases[i].is_here)
            fail_msg("%s", cases[i].url);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_urls_are_accepted),
        cmocka_unit_test(bad_urls_are_refused),
        cmocka_unit_test(plain_http_is_accepted_where_it_is_allowed),
        cmocka_unit_test(a_nul_byte_is_refused),
        cmocka_unit_test(a_url_of_the_longest_length_is_accepted_and_one_more_is_not),
        cmocka_unit_test(the_host_is_what_is_between_scheme_and_path),
        cmocka_unit_test(a_host_of_this_machine_is_told_from_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
