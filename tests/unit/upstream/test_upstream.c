#include <arpa/inet.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "tests/test.h"
#include "tests/unit/upstream/peer.h"
#include "upstream/upstream.h"

#define LOOPBACK "http://127.0.0.1"

/* What came back, in storage that outlives the callback. */
struct answer {
    enum upstream_outcome outcome;
    int status;
    char body[256];
    size_t body_len;
    char content_type[64];
    int64_t max_age_s;
    int64_t retry_after_s;
    int64_t rate_remaining;
    int64_t rate_reset_s;
    struct error error;
    unsigned count;
};

static struct upstream *upstream;

static int start(void **state)
{
    struct error error = { 0 };

    (void)state;
    /* NOLINTBEGIN(concurrency-mt-unsafe): no other thread is there yet */
    (void)setenv("http_proxy", "http://127.0.0.1:9", 1);
    (void)setenv("ALL_PROXY", "http://127.0.0.1:9", 1);
    /* NOLINTEND(concurrency-mt-unsafe) */
    return upstream_start(&upstream, &error) ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    upstream_stop(upstream);
    return 0;
}

static void copy_text(char *out, size_t size, struct str text)
{
    size_t len = text.len < size - 1 ? text.len : size - 1;

    if (len > 0)
        memcpy(out, text.data, len);
    out[len] = '\0';
}

static void keep_answer(const struct upstream_response *response, void *context)
{
    struct answer *answer = context;

    answer->outcome = response->outcome;
    answer->status = response->status;
    answer->body_len = response->body.len;
    answer->max_age_s = response->max_age_s;
    answer->retry_after_s = response->retry_after_s;
    answer->rate_remaining = response->rate_remaining;
    answer->rate_reset_s = response->rate_reset_s;
    answer->error = response->error;
    copy_text(answer->body, sizeof(answer->body), response->body);
    copy_text(answer->content_type, sizeof(answer->content_type), response->content_type);
    answer->count++;
}

/* A request of plain HTTP to a peer of ours; the caller changes what it is about. */
static struct upstream_request request_of(const char *method, const char *url)
{
    return (struct upstream_request){
        .method = method,
        .url = url,
        .peer = { .may_use_http = true },
        .done = keep_answer,
    };
}

static struct answer call(struct upstream_request request)
{
    struct answer answer = { 0 };
    struct error error = { 0 };

    request.context = &answer;
    if (!upstream_call(upstream, &request, &error))
        fail_msg("not submitted: %s", error.cause);
    assert_int_equal(answer.count, 1);
    assert_int_equal(answer.outcome == UPSTREAM_ANSWERED, answer.error.code == ERROR_NONE);
    return answer;
}

static struct answer get(struct peer *peer, const char *path)
{
    char url[PEER_URL_MAX];

    return call(request_of("GET", peer_url(peer, LOOPBACK, path, url)));
}

/* Answers. */

static bool answer_hello(struct peer *peer, int fd, const char *request, void *context)
{
    (void)peer;
    (void)request;
    (void)context;
    peer_answer(fd, 200, "Content-Type: text/plain\r\nCache-Control: max-age=42\r\n", "hello");
    return true;
}

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
    copy_text(context, PEER_REQUEST_MAX, str_from(request));
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

/* Sizes. */

struct flood {
    size_t bytes;
    bool is_chunked;
};

static bool answer_flood(struct peer *peer, int fd, const char *request, void *context)
{
    const struct flood *flood = context;
    char head[128];
    char piece[1025];

    (void)peer;
    (void)request;
    memset(piece, 'x', sizeof(piece) - 1);
    piece[sizeof(piece) - 1] = '\0';
    (void)snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n",
                   flood->bytes);
    peer_send(fd,
              flood->is_chunked ? "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" : head);
    for (size_t sent = 0; sent < flood->bytes; sent += 1024) {
        if (flood->is_chunked)
            peer_send(fd, "400\r\n");
        peer_send(fd, piece);
        if (flood->is_chunked)
            peer_send(fd, "\r\n");
    }
    if (flood->is_chunked)
        peer_send(fd, "0\r\n\r\n");
    return false;
}

static struct answer get_flood(size_t bytes, bool is_chunked, size_t max_bytes)
{
    struct flood flood = { bytes, is_chunked };
    struct peer *peer = peer_start(answer_flood, &flood);
    char url[PEER_URL_MAX];
    struct upstream_request request = request_of("GET", peer_url(peer, LOOPBACK, "/", url));
    struct answer answer;

    request.response_max_bytes = max_bytes;
    answer = call(request);
    peer_stop(peer);
    return answer;
}

static void an_answer_at_its_limit_is_whole_and_one_past_it_is_none(void **state)
{
    struct answer answer;

    (void)state;
    for (int is_chunked = 0; is_chunked <= 1; is_chunked++) {
        answer = get_flood(4096, is_chunked != 0, 4096);
        assert_int_equal(answer.outcome, UPSTREAM_ANSWERED);
        assert_int_equal(answer.body_len, 4096);
        answer = get_flood(4096, is_chunked != 0, 4095);
        assert_int_equal(answer.outcome, UPSTREAM_UNKNOWN);
        assert_int_equal(answer.error.code, ERROR_LIMIT);
        assert_int_equal(answer.body_len, 0);
    }
}

static void an_answer_has_512_kib_where_nothing_else_is_said(void **state)
{
    (void)state;
    assert_int_equal(get_flood((size_t)512 * 1024, false, 0).outcome, UPSTREAM_ANSWERED);
    assert_int_equal(get_flood((size_t)513 * 1024, false, 0).error.code, ERROR_LIMIT);
}

static bool answer_long_head(struct peer *peer, int fd, const char *request, void *context)
{
    (void)peer;
    (void)request;
    (void)context;
    peer_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n");
    for (size_t i = 0; i < 4096; i++)
        peer_send(fd, "X-Filler: 0123456789abcdef\r\n");
    peer_send(fd, "\r\n");
    return false;
}

static void a_head_without_end_is_refused(void **state)
{
    struct peer *peer = peer_start(answer_long_head, NULL);
    struct answer answer = get(peer, "/");

    (void)state;
    assert_int_equal(answer.outcome, UPSTREAM_UNKNOWN);
    assert_non_null(strstr(answer.error.cause, "head"));
    peer_stop(peer);
}

static bool answer_twice_long(struct peer *peer, int fd, const char *request, void *context)
{
    (void)peer;
    (void)request;
    peer_send(fd, "HTTP/1.1 200 OK\r\n");
    peer_send(fd, context);
    peer_send(fd, "Content-Length: 5\r\n\r\nhello");
    return false;
}

static struct answer get_twice_long(char *headers)
{
    struct peer *peer = peer_start(answer_twice_long, headers);
    struct answer answer = get(peer, "/");

    peer_stop(peer);
    return answer;
}

static void lengths_that_disagree_are_refused(void **state)
{
    static char shorter[] = "Content-Length: 4\r\n";
    static char list[] = "Content-Length: 5, 5\r\n";
    static char same[] = "content-length:5 \r\n";
    struct answer answer = get_twice_long(shorter);

    (void)state;
    assert_int_equal(answer.outcome, UPSTREAM_UNKNOWN);
    assert_non_null(strstr(answer.error.cause, "length"));
    assert_int_equal(get_twice_long(list).outcome, UPSTREAM_UNKNOWN);
    assert_string_equal(get_twice_long(same).body, "hello");
}

static bool answer_bomb(struct peer *peer, int fd, const char *request, void *context)
{
    (void)peer;
    (void)request;
    (void)context;
    peer_answer(fd, 200, "Content-Encoding: gzip\r\n", "not unpacked");
    return true;
}

static void nothing_is_decoded(void **state)
{
    struct peer *peer = peer_start(answer_bomb, NULL);

    (void)state;
    assert_string_equal(get(peer, "/").body, "not unpacked");
    peer_stop(peer);
}

/* Time and broken answers. */

static bool answer_never(struct peer *peer, int fd, const char *request, void *context)
{
    (void)fd;
    (void)request;
    (void)context;
    peer_hang(peer);
    return false;
}

static bool answer_half(struct peer *peer, int fd, const char *request, void *context)
{
    (void)request;
    (void)context;
    peer_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
    peer_hang(peer);
    return false;
}

static bool close_at_once(struct peer *peer, int fd, const char *request, void *context)
{
    (void)peer;
    (void)fd;
    (void)request;
    (void)context;
    return false;
}

static bool answer_cut_off(struct peer *peer, int fd, const char *request, void *context)
{
    (void)peer;
    (void)request;
    (void)context;
    peer_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
    return false;
}

static bool answer_cut_chunk(struct peer *peer, int fd, const char *request, void *context)
{
    (void)peer;
    (void)request;
    (void)context;
    peer_send(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n");
    return false;
}

static bool answer_no_http(struct peer *peer, int fd, const char *request, void *context)
{
    (void)peer;
    (void)request;
    (void)context;
    peer_send(fd, "SSH-2.0-OpenSSH\r\n\r\n");
    return false;
}

/* A byte every 20 ms: there is always progress, and never an end. */
static bool answer_slowly(struct peer *peer, int fd, const char *request, void *context)
{
    const struct timespec pause = { .tv_nsec = 20000000 };

    (void)peer;
    (void)request;
    (void)context;
    peer_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    for (size_t i = 0; i < 250; i++) {
        peer_send(fd, "x");
        (void)nanosleep(&pause, NULL);
    }
    return false;
}

static const struct {
    const char *name;
    peer_handler handler;
} broken[] = {
    { "no answer in time", answer_never }, { "half an answer in time", answer_half },
    { "a byte at a time", answer_slowly }, { "closed without an answer", close_at_once },
    { "cut off", answer_cut_off },         { "cut off between chunks", answer_cut_chunk },
    { "no HTTP", answer_no_http },
};

static void a_request_without_a_whole_answer_is_unknown(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(broken); i++) {
        struct peer *peer = peer_start(broken[i].handler, NULL);
        char url[PEER_URL_MAX];
        struct upstream_request request = request_of("POST", peer_url(peer, LOOPBACK, "/", url));
        struct answer answer;

        request.total_timeout_ms = 2000; /* enough to get there, on any machine */
        answer = call(request);
        if (answer.outcome != UPSTREAM_UNKNOWN || answer.error.code != ERROR_UNREACHABLE)
            fail_msg("%s: outcome %d, code %d", broken[i].name, answer.outcome, answer.error.code);
        peer_stop(peer);
    }
}

static void a_port_where_nobody_listens_has_seen_nothing(void **state)
{
    struct peer *peer = peer_start(answer_hello, NULL);
    char url[PEER_URL_MAX];
    struct answer answer;

    (void)state;
    peer_url(peer, LOOPBACK, "/", url);
    peer_stop(peer);
    answer = call(request_of("POST", url));
    assert_int_equal(answer.outcome, UPSTREAM_UNSENT);
    assert_int_equal(answer.error.code, ERROR_UNREACHABLE);
}

static void a_name_that_does_not_resolve_has_seen_nothing(void **state)
{
    struct upstream_request request = request_of("POST", "https://nowhere.invalid/");

    (void)state;
    request.total_timeout_ms = 1000;
    assert_int_equal(call(request).outcome, UPSTREAM_UNSENT);
}

static void an_error_names_the_host_and_nothing_else_of_the_url(void **state)
{
    struct peer *peer = peer_start(close_at_once, NULL);
    struct answer answer = get(peer, "/path?token=secret");

    (void)state;
    assert_non_null(strstr(answer.error.cause, "127.0.0.1"));
    assert_null(strstr(answer.error.cause, "path"));
    assert_null(strstr(answer.error.cause, "secret"));
    peer_stop(peer);
}

/* The first request of a connection is answered; the second is read, and the connection closed. */
static bool answer_once(struct peer *peer, int fd, const char *request, void *context)
{
    (void)context;
    if (strstr(request, "/first") == NULL && peer_connection_count(peer) == 1)
        return false;
    peer_answer(fd, 200, "", "again");
    return true;
}

static void a_post_is_not_sent_twice_when_its_connection_dies(void **state)
{
    struct peer *peer = peer_start(answer_once, NULL);
    char url[PEER_URL_MAX];
    struct answer answer;

    (void)state;
    assert_int_equal(get(peer, "/first").status, 200);
    answer = call(request_of("POST", peer_url(peer, LOOPBACK, "/second", url)));
    assert_int_equal(answer.outcome, UPSTREAM_UNKNOWN);
    assert_int_equal(peer_request_count(peer), 2);
    peer_stop(peer);
}

static void a_get_is_sent_again_when_its_connection_dies(void **state)
{
    struct peer *peer = peer_start(answer_once, NULL);

    (void)state;
    assert_int_equal(get(peer, "/first").status, 200);
    assert_string_equal(get(peer, "/second").body, "again");
    assert_int_equal(peer_connection_count(peer), 2);
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

static void count_end(const struct upstream_response *response, void *context)
{
    size_t *counts = context;

    counts[response->outcome]++;
}

#define HOST_REQUESTS 2000

static void a_host_has_so_many_requests_and_stopping_answers_all(void **state)
{
    struct peer *peer = peer_start(answer_never, NULL);
    struct peer *fast = peer_start(answer_hello, NULL);
    struct upstream *own = NULL;
    size_t counts[3] = { 0 };
    struct error error = { 0 };
    char url[PEER_URL_MAX];
    struct upstream_request request = request_of("GET", peer_url(peer, LOOPBACK, "/", url));
    struct upstream_request other;
    struct answer answer = { 0 };
    size_t taken = 0;

    (void)state;
    request.done = count_end;
    request.context = counts;
    request.total_timeout_ms = 60000;
    assert_true(upstream_start(&own, &error));
    while (taken <= HOST_REQUESTS && upstream_submit(own, &request, &error))
        taken++;
    assert_int_equal(taken, HOST_REQUESTS);
    assert_int_equal(error.code, ERROR_BUSY);
    other = request_of("GET", peer_url(fast, LOOPBACK, "/", url));
    other.context = &answer;
    assert_true(upstream_call(own, &other, &error));
    assert_int_equal(answer.outcome, UPSTREAM_ANSWERED);
    while (peer_request_count(peer) == 0)
        (void)sched_yield();
    upstream_stop(own);
    assert_int_equal(counts[UPSTREAM_ANSWERED], 0);
    assert_int_equal(counts[UPSTREAM_UNSENT] + counts[UPSTREAM_UNKNOWN], taken);
    assert_true(counts[UPSTREAM_UNKNOWN] >= 1);
    peer_stop(peer);
    peer_stop(fast);
}

static void one_that_hangs_delays_no_other(void **state)
{
    struct peer *slow = peer_start(answer_never, NULL);
    struct peer *fast = peer_start(answer_hello, NULL);
    struct upstream *own = NULL;
    size_t counts[3] = { 0 };
    struct error error = { 0 };
    char url[PEER_URL_MAX];
    struct upstream_request request = request_of("GET", peer_url(slow, LOOPBACK, "/", url));
    struct upstream_request other;
    struct answer answer = { 0 };

    (void)state;
    request.done = count_end;
    request.context = counts;
    request.total_timeout_ms = 60000;
    assert_true(upstream_start(&own, &error));
    for (size_t i = 0; i < 200; i++)
        assert_true(upstream_submit(own, &request, &error));
    other = request_of("GET", peer_url(fast, LOOPBACK, "/", url));
    other.context = &answer;
    assert_true(upstream_call(own, &other, &error));
    assert_int_equal(answer.outcome, UPSTREAM_ANSWERED);
    upstream_stop(own);
    peer_stop(slow);
    peer_stop(fast);
}

/* Peers that take a connection, as the kernel does for them, and then nothing. */
#define SILENT_PEERS 300

struct silent_peer {
    int fd;
    char url[PEER_URL_MAX];
};

static void open_silent(struct silent_peer *peer)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t len = sizeof(address);

    peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(peer->fd >= 0);
    assert_int_equal(bind(peer->fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(peer->fd, 64), 0);
    assert_int_equal(getsockname(peer->fd, (struct sockaddr *)&address, &len), 0);
    (void)snprintf(peer->url, sizeof(peer->url), LOOPBACK ":%u/", ntohs(address.sin_port));
}

static void submit_silent(struct upstream *own, const struct silent_peer *peer,
                          unsigned total_timeout_ms, size_t counts[3])
{
    struct upstream_request request = request_of("GET", peer->url);
    struct error error = { 0 };

    request.done = count_end;
    request.context = counts;
    request.total_timeout_ms = total_timeout_ms;
    assert_true(upstream_submit(own, &request, &error));
}

static void however_many_hang_they_delay_no_other(void **state)
{
    static struct silent_peer silent[SILENT_PEERS];
    struct rlimit limit;
    struct peer *fast = peer_start(answer_hello, NULL);
    struct upstream *own = NULL;
    size_t counts[3] = { 0 };
    struct error error = { 0 };
    char url[PEER_URL_MAX];
    struct upstream_request other = request_of("GET", peer_url(fast, LOOPBACK, "/", url));
    struct answer answer = { 0 };

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_true(upstream_start(&own, &error));
    for (size_t i = 0; i < SILENT_PEERS; i++) {
        open_silent(&silent[i]);
        submit_silent(own, &silent[i], 60000, counts);
    }
    other.context = &answer;
    assert_true(upstream_call(own, &other, &error));
    assert_int_equal(answer.outcome, UPSTREAM_ANSWERED);
    upstream_stop(own);
    assert_int_equal(counts[UPSTREAM_UNSENT] + counts[UPSTREAM_UNKNOWN], SILENT_PEERS);
    for (size_t i = 0; i < SILENT_PEERS; i++)
        assert_int_equal(close(silent[i].fd), 0);
    peer_stop(fast);
}

#define HOST_CONNECTIONS 64
#define REQUESTS 4096
#define REQUESTS_KEPT 1024

static size_t submit_until_busy(struct upstream *own, const struct silent_peer *peer, size_t max,
                                size_t counts[3])
{
    struct upstream_request request = request_of("GET", peer->url);
    struct error error = { 0 };
    size_t taken = 0;

    request.done = count_end;
    request.context = counts;
    request.total_timeout_ms = 60000;
    while (taken < max && upstream_submit(own, &request, &error))
        taken++;
    assert_true(taken == max || error.code == ERROR_BUSY);
    return taken;
}

/* Hosts with a queue leave places to those without: as many as connections are for a host. */
static void hosts_that_hang_leave_room_for_others(void **state)
{
    enum {
        OTHERS = REQUESTS_KEPT / HOST_CONNECTIONS
    };
    static struct silent_peer silent[2 + OTHERS + 1];
    struct upstream *own = NULL;
    size_t counts[3] = { 0 };
    struct error error = { 0 };

    (void)state;
    assert_true(upstream_start(&own, &error));
    for (size_t i = 0; i < COUNT(silent); i++)
        open_silent(&silent[i]);
    assert_int_equal(submit_until_busy(own, &silent[0], REQUESTS, counts), HOST_REQUESTS);
    assert_int_equal(submit_until_busy(own, &silent[1], REQUESTS, counts),
                     REQUESTS - REQUESTS_KEPT - HOST_REQUESTS);
    for (size_t i = 2; i < 2 + OTHERS; i++)
        assert_int_equal(submit_until_busy(own, &silent[i], REQUESTS, counts), HOST_CONNECTIONS);
    assert_int_equal(submit_until_busy(own, &silent[2 + OTHERS], REQUESTS, counts), 0);
    upstream_stop(own);
    assert_int_equal(counts[UPSTREAM_UNSENT] + counts[UPSTREAM_UNKNOWN], REQUESTS);
    for (size_t i = 0; i < COUNT(silent); i++)
        assert_int_equal(close(silent[i].fd), 0);
}

/* The connections to one host are taken: who waits for one has its time all the same. */
static void waiting_for_a_connection_counts_as_time(void **state)
{
    struct silent_peer silent;
    struct upstream *own = NULL;
    size_t hanging[3] = { 0 };
    struct answer answer = { 0 };
    struct error error = { 0 };
    struct upstream_request request;

    (void)state;
    open_silent(&silent);
    assert_true(upstream_start(&own, &error));
    for (size_t i = 0; i < HOST_CONNECTIONS; i++)
        submit_silent(own, &silent, 60000, hanging);
    request = request_of("POST", silent.url);
    request.context = &answer;
    request.total_timeout_ms = 200;
    assert_true(upstream_call(own, &request, &error));
    assert_int_equal(answer.outcome, UPSTREAM_UNSENT);
    assert_int_equal(answer.error.code, ERROR_UNREACHABLE);
    assert_non_null(strstr(answer.error.cause, "no connection to it was free in time"));
    assert_int_equal(hanging[UPSTREAM_UNKNOWN], 0);
    upstream_stop(own);
    assert_int_equal(hanging[UPSTREAM_UNSENT] + hanging[UPSTREAM_UNKNOWN], HOST_CONNECTIONS);
    assert_int_equal(close(silent.fd), 0);
}

static bool hang_where_asked(struct peer *peer, int fd, const char *request, void *context)
{
    (void)context;
    if (strstr(request, " /hang ") == NULL) {
        peer_answer(fd, 200, "", "hello");
        return true;
    }
    peer_hang(peer);
    return false;
}

static void hold_connections(struct upstream *own, struct peer *peer, size_t count,
                             unsigned total_timeout_ms, size_t counts[3])
{
    char url[PEER_URL_MAX];
    struct upstream_request request = request_of("GET", peer_url(peer, LOOPBACK, "/hang", url));
    struct error error = { 0 };

    request.done = count_end;
    request.context = counts;
    request.total_timeout_ms = total_timeout_ms;
    for (size_t i = 0; i < count; i++)
        assert_true(upstream_submit(own, &request, &error));
}

/* All but one hang: hundreds go over that one, each when the one before is answered. */
static void who_waits_goes_when_a_connection_is_free(void **state)
{
    struct peer *peer = peer_start(hang_where_asked, NULL);
    struct upstream *own = NULL;
    size_t hanging[3] = { 0 };
    size_t counts[3] = { 0 };
    struct answer answer = { 0 };
    struct error error = { 0 };
    char url[PEER_URL_MAX];
    struct upstream_request request = request_of("GET", peer_url(peer, LOOPBACK, "/", url));

    (void)state;
    assert_true(upstream_start(&own, &error));
    hold_connections(own, peer, HOST_CONNECTIONS - 1, 60000, hanging);
    request.total_timeout_ms = 60000;
    request.done = count_end;
    request.context = counts;
    for (size_t i = 0; i < 300; i++)
        assert_true(upstream_submit(own, &request, &error));
    request.done = request_of("GET", url).done;
    request.context = &answer;
    assert_true(upstream_call(own, &request, &error)); /* the last of them */
    assert_int_equal(answer.outcome, UPSTREAM_ANSWERED);
    assert_int_equal(counts[UPSTREAM_ANSWERED], 300);
    assert_int_equal(peer_connection_count(peer), HOST_CONNECTIONS);
    upstream_stop(own);
    assert_int_equal(hanging[UPSTREAM_UNKNOWN] + hanging[UPSTREAM_UNSENT], HOST_CONNECTIONS - 1);
    peer_stop(peer);
}

static void who_waits_goes_when_one_before_is_given_up(void **state)
{
    struct peer *peer = peer_start(hang_where_asked, NULL);
    struct upstream *own = NULL;
    size_t hanging[3] = { 0 };
    struct answer answer = { 0 };
    struct error error = { 0 };
    char url[PEER_URL_MAX];
    struct upstream_request request = request_of("GET", peer_url(peer, LOOPBACK, "/", url));

    (void)state;
    assert_true(upstream_start(&own, &error));
    hold_connections(own, peer, HOST_CONNECTIONS - 1, 60000, hanging);
    hold_connections(own, peer, 1, 200, hanging);
    request.total_timeout_ms = 60000;
    request.context = &answer;
    assert_true(upstream_call(own, &request, &error));
    assert_int_equal(answer.outcome, UPSTREAM_ANSWERED);
    upstream_stop(own);
    peer_stop(peer);
}

static void stopping_nothing_is_nothing(void **state)
{
    (void)state;
    upstream_stop(NULL);
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
        cmocka_unit_test(an_answer_at_its_limit_is_whole_and_one_past_it_is_none),
        cmocka_unit_test(an_answer_has_512_kib_where_nothing_else_is_said),
        cmocka_unit_test(a_head_without_end_is_refused),
        cmocka_unit_test(lengths_that_disagree_are_refused),
        cmocka_unit_test(nothing_is_decoded),
        cmocka_unit_test(a_request_without_a_whole_answer_is_unknown),
        cmocka_unit_test(a_port_where_nobody_listens_has_seen_nothing),
        cmocka_unit_test(a_name_that_does_not_resolve_has_seen_nothing),
        cmocka_unit_test(an_error_names_the_host_and_nothing_else_of_the_url),
        cmocka_unit_test(a_post_is_not_sent_twice_when_its_connection_dies),
        cmocka_unit_test(a_get_is_sent_again_when_its_connection_dies),
        cmocka_unit_test(an_address_that_is_not_public_is_refused),
        cmocka_unit_test(plain_http_goes_to_loopback_only),
        cmocka_unit_test(an_allowed_network_lets_a_connection_through),
        cmocka_unit_test(a_request_that_is_no_request_is_not_taken),
        cmocka_unit_test(a_header_that_would_make_a_line_is_not_taken),
        cmocka_unit_test(a_host_has_so_many_requests_and_stopping_answers_all),
        cmocka_unit_test(one_that_hangs_delays_no_other),
        cmocka_unit_test(however_many_hang_they_delay_no_other),
        cmocka_unit_test(hosts_that_hang_leave_room_for_others),
        cmocka_unit_test(waiting_for_a_connection_counts_as_time),
        cmocka_unit_test(who_waits_goes_when_a_connection_is_free),
        cmocka_unit_test(who_waits_goes_when_one_before_is_given_up),
        cmocka_unit_test(stopping_nothing_is_nothing),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
