/* What is asked, of whom, and what an answer says. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "asking.h"

static void an_answer_comes_with_status_type_and_lifetime(void **state)
{
    struct peer *peer = peer_start(answer_hello, NULL);
    struct answer answer = get(peer, "/");

    (void)state;
    assert_int_equal(answer.outcome, UPSTREAM_ANSWERED);
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.body, "hello");
    assert_string_equal(answer.content_type, "text/plain");
    assert_int_equal(answer.max_age_s, 42);
    peer_stop(peer);
}

static bool answer_later(struct peer *peer, int fd, const char *request, void *context)
{
    char headers[128];

    (void)peer;
    (void)request;
    (void)snprintf(headers, sizeof(headers), "Retry-After: %s\r\n", (const char *)context);
    peer_answer(fd, 503, headers, "");
    return true;
}

static int64_t retry_after_of(const char *value)
{
    char header[64];
    struct peer *peer;
    struct answer answer;

    (void)snprintf(header, sizeof(header), "%s", value);
    peer = peer_start(answer_later, header);
    answer = get(peer, "/");
    assert_int_equal(answer.status, 503);
    peer_stop(peer);
    return answer.retry_after_s;
}

static void when_to_come_again_is_told_in_seconds_or_by_a_date(void **state)
{
    char date[64];
    time_t then = time(NULL) + 3600;
    struct tm parts;
    int64_t seconds;

    (void)state;
    assert_int_equal(retry_after_of("17"), 17);
    assert_int_equal(retry_after_of("soon"), 0);
    assert_int_equal(retry_after_of("-5"), 0);
    assert_non_null(gmtime_r(&then, &parts));
    assert_true(strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &parts) > 0);
    seconds = retry_after_of(date);
    assert_true(seconds > 3500 && seconds <= 3600);
}

static bool answer_with_headers(struct peer *peer, int fd, const char *request, void *context)
{
    (void)peer;
    (void)request;
    peer_answer(fd, 200, context, "");
    return true;
}

static void how_much_may_still_be_asked_is_told_as_it_stands(void **state)
{
    static const struct {
        const char *headers;
        int64_t remaining;
        int64_t reset_s;
    } cases[] = {
        { "", -1, 0 },
        { "RateLimit-Remaining: 0\r\nRateLimit-Reset: 1800000060\r\n", 0, 1800000060 },
        { "ratelimit-remaining:   599  \r\n", 599, 0 },
        { "RateLimit-Remaining: -1\r\nRateLimit-Reset: soon\r\n", -1, 0 },
        { "RateLimit-Remaining: 99999999999999999999\r\n", -1, 0 },
        { "x-ratelimit-remaining: 0\r\nx-ratelimit-reset: 1800000060\r\n", 0, 1800000060 },
        { "Y-RateLimit-Remaining: 0\r\n", -1, 0 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct peer *peer = peer_start(answer_with_headers, (void *)(uintptr_t)cases[i].headers);
        struct answer answer = get(peer, "/");

        peer_stop(peer);
        if (answer.rate_remaining != cases[i].remaining || answer.rate_reset_s != cases[i].reset_s)
            fail_msg("%s: %lld %lld", cases[i].headers, (long long)answer.rate_remaining,
                     (long long)answer.rate_reset_s);
    }
}

static void a_connection_is_used_again(void **state)
{
    struct peer *peer = peer_start(answer_hello, NULL);

    (void)state;
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(get(peer, "/").outcome, UPSTREAM_ANSWERED);
    assert_int_equal(peer_request_count(peer), 5);
    assert_int_equal(peer_connection_count(peer), 1);
    peer_stop(peer);
}

/* Says back what was asked; the body is the last line. */
static bool answer_request(struct peer *peer, int fd, const char *request, void *context)
{
    (void)peer;
    (void)snprintf(context, PEER_REQUEST_MAX, "%s", request);
    peer_answer(fd, 200, "", "");
    return true;
}

static void a_request_goes_out_as_it_is_asked_for(void **state)
{
    char seen[PEER_REQUEST_MAX] = "";
    struct peer *peer = peer_start(answer_request, seen);
    char url[PEER_URL_MAX];
    struct upstream_request request =
        request_of("POST", peer_url(peer, LOOPBACK, "/a/../b?c=d", url));

    (void)state;
    request.body = STR("x=1&y=\0two");
    request.headers[0] = "Authorization: Bearer word";
    request.headers[1] = "Content-Type: application/x-test";
    assert_int_equal(call(request).status, 200);
    assert_true(str_starts_with(str_from(seen), STR("POST /a/../b?c=d HTTP/1.1\r\n")));
    assert_non_null(strstr(seen, "\r\nUser-Agent: stagepass/" STAGEPASS_VERSION "\r\n"));
    assert_non_null(strstr(seen, "\r\nAuthorization: Bearer word\r\n"));
    assert_non_null(strstr(seen, "\r\nContent-Type: application/x-test\r\n"));
    assert_non_null(strstr(seen, "\r\nContent-Length: 10\r\n"));
    assert_null(strstr(seen, "Expect"));
    assert_null(strstr(seen, "Accept-Encoding"));
    assert_null(strstr(seen, "Cookie"));
    peer_stop(peer);
}

static void a_proxy_of_the_environment_is_not_used(void **state)
{
    struct peer *peer = peer_start(answer_hello, NULL);

    (void)state; /* start() has set one where nobody listens */
    assert_int_equal(get(peer, "/").outcome, UPSTREAM_ANSWERED);
    peer_stop(peer);
}

static bool answer_redirect(struct peer *peer, int fd, const char *request, void *context)
{
    (void)peer;
    (void)request;
    (void)context;
    peer_answer(fd, 302, "Location: /elsewhere\r\nSet-Cookie: a=b\r\n", "");
    return true;
}

static void a_redirect_is_an_answer_like_any_other(void **state)
{
    struct peer *peer = peer_start(answer_redirect, NULL);

    (void)state;
    assert_int_equal(get(peer, "/").status, 302);
    assert_int_equal(peer_request_count(peer), 1);
    peer_stop(peer);
}

/* Addresses. */

static struct answer get_as(const char *url, const struct upstream_peer *peer)
{
    struct upstream_request request = request_of("GET", url);

    request.peer = *peer;
    return call(request);
}

static void an_address_that_is_not_public_is_refused(void **state)
{
    static const char *const hosts[] = {
        "https://127.0.0.1",          "https://localhost",  "https://127.1",
        "https://2130706433",         "https://0x7f.0.0.1", "https://[::1]",
        "https://[::ffff:127.0.0.1]", "https://0.0.0.0",
    };
    const struct upstream_peer stranger = { 0 };
    struct peer *peer = peer_start(answer_hello, NULL);

    (void)state;
    for (size_t i = 0; i < COUNT(hosts); i++) {
        char url[PEER_URL_MAX];
        struct answer answer = get_as(peer_url(peer, hosts[i], "/", url), &stranger);

        if (answer.outcome != UPSTREAM_UNSENT || answer.error.code != ERROR_UNREACHABLE)
            fail_msg("%s: outcome %d", hosts[i], answer.outcome);
    }
    assert_int_equal(peer_connection_count(peer), 0);
    peer_stop(peer);
}

static void plain_http_goes_to_loopback_only(void **state)
{
    struct network everything = { 0 };
    struct upstream_peer peer = { .may_use_http = true,
                                  .networks = &everything,
                                  .network_count = 1 };

    (void)state;
    assert_true(network_parse(STR("0.0.0.0/0"), &everything));
    assert_int_equal(get_as("http://192.0.2.1/", &peer).outcome, UPSTREAM_UNSENT);
    assert_non_null(strstr(get_as("http://192.0.2.1/", &peer).error.cause, "loopback"));
}

static void an_allowed_network_lets_a_connection_through(void **state)
{
    struct network loopback = { 0 };
    struct upstream_peer allowed = { .networks = &loopback, .network_count = 1 };
    struct peer *peer = peer_start(answer_hello, NULL);
    char url[PEER_URL_MAX];

    (void)state;
    assert_true(network_parse(STR("127.0.0.0/8"), &loopback));
    /* it speaks no TLS: the connection is made, the request never leaves */
    assert_int_equal(get_as(peer_url(peer, "https://127.0.0.1", "/", url), &allowed).outcome,
                     UPSTREAM_UNSENT);
    assert_int_equal(peer_connection_count(peer), 1);
    peer_stop(peer);
}

/* Requests that are not taken. */

static void assert_not_taken(struct upstream_request request, enum error_code code)
{
    struct answer answer = { 0 };
    struct error error = { 0 };

    request.context = &answer;
    assert_false(upstream_call(upstream, &request, &error));
    assert_int_equal(error.code, code);
    assert_int_equal(answer.count, 0);
}

static void a_request_that_is_no_request_is_not_taken(void **state)
{
    struct upstream_request request = request_of("GET", "http://127.0.0.1/");

    (void)state;
    assert_not_taken(request_of("GET", "ftp://127.0.0.1/"), ERROR_CONFIG);
    assert_not_taken(request_of("GET", "http://127.0.0.1/\r\nX: y"), ERROR_CONFIG);
    assert_not_taken(request_of("TRACE", "http://127.0.0.1/"), ERROR_CONFIG);
    assert_not_taken(request_of("get", "http://127.0.0.1/"), ERROR_CONFIG);
    request.body = STR("x");
    assert_not_taken(request, ERROR_CONFIG);
    request.body = (struct str){ 0 };
    request.peer.may_use_http = false;
    assert_not_taken(request, ERROR_CONFIG);
}

static void a_header_that_would_make_a_line_is_not_taken(void **state)
{
    static const char *const headers[] = { "X: a\r\nY: b", "X: a\nb", "X", ": x", "", "X: \x7f" };

    (void)state;
    for (size_t i = 0; i < COUNT(headers); i++) {
        struct upstream_request request = request_of("GET", "http://127.0.0.1/");

        request.headers[0] = headers[i];
        assert_not_taken(request, ERROR_CONFIG);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_comes_with_status_type_and_lifetime),
        cmocka_unit_test(when_to_come_again_is_told_in_seconds_or_by_a_date),
        cmocka_unit_test(how_much_may_still_be_asked_is_told_as_it_stands),
        cmocka_unit_test(a_connection_is_used_again),
        cmocka_unit_test(a_request_goes_out_as_it_is_asked_for),
        cmocka_unit_test(a_proxy_of_the_environment_is_not_used),
        cmocka_unit_test(a_redirect_is_an_answer_like_any_other),
        cmocka_unit_test(an_address_that_is_not_public_is_refused),
        cmocka_unit_test(plain_http_goes_to_loopback_only),
        cmocka_unit_test(an_allowed_network_lets_a_connection_through),
        cmocka_unit_test(a_request_that_is_no_request_is_not_taken),
        cmocka_unit_test(a_header_that_would_make_a_line_is_not_taken),
    };

    return cmocka_run_group_tests(tests, upstream_begin, upstream_end);
}
