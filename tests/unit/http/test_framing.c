/* What hostile or broken peers send: each row is refused and the connection closed. */

#include <string.h>

#include "base/macros.h"
#include "http/http.h"
#include "peer.h"
#include "tests/test.h"

static _Atomic unsigned handled;

static enum progress hello(struct http_request *request, void *context)
{
    (void)context;
    handled++;
    return http_answer_text(request, 200, "text/plain", STR("hello\n"));
}

static enum progress ask(struct http_request *request, void *context)
{
    (void)context;
    return http_answer_text(request, 200, "text/plain", request->query);
}

static const struct http_route routes[] = {
    { "GET", "/hello", 0, HTTP_BODY_NONE, 0, hello },
    { "GET", "/ask", 0, HTTP_BODY_QUERY, 0, ask },
    { "POST", "/form", 64, HTTP_BODY_FORM, 0, hello },
};

static struct http_server *server;

static int start(void **state)
{
    (void)state;
    server = peer_server((struct http_options){
        .routes = routes,
        .route_count = COUNT(routes),
        .header_timeout_ms = 2000,
    });
    return 0;
}

static int stop(void **state)
{
    (void)state;
    http_stop(server);
    return 0;
}

#define FORM "POST /form HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n"
#define GET "GET /hello HTTP/1.1\r\nHost: a\r\n"
#define NEXT "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"

/* clang-format off */
/* A second request follows each of them, which must not be served: framing is in doubt. */
static const struct {
    const char *name;
    int status; /* 0: closed without an answer will do as well */
    struct str bytes;
} hostile[] = {
#define ROW(name, status, bytes) { name, status, { bytes, sizeof(bytes) - 1 } }
    ROW("length with chunked", 400, FORM "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ROW("chunked with length", 400, FORM "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n"),
    ROW("two lengths that differ", 400, FORM "Content-Length: 3\r\nContent-Length: 4\r\n\r\na=b&"),
    ROW("the same length twice", 400, FORM "Content-Length: 3\r\nContent-Length: 3\r\n\r\na=b"),
    ROW("a list as length", 400, FORM "Content-Length: 3, 3\r\n\r\na=b"),
    ROW("a negative length", 400, FORM "Content-Length: -3\r\n\r\na=b"),
    ROW("a length with plus", 400, FORM "Content-Length: +3\r\n\r\na=b"),
    ROW("a length in hex", 400, FORM "Content-Length: 0x3\r\n\r\na=b"),
    ROW("a length of words", 400, FORM "Content-Length: three\r\n\r\na=b"),
    ROW("an empty length", 400, FORM "Content-Length: \r\n\r\na=b"),
    ROW("a length past 64 bits", 0, FORM "Content-Length: 18446744073709551619\r\n\r\na=b"),
    ROW("space before the colon", 400, FORM "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
    ROW("an unknown encoding", 0, FORM "Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n"),
    ROW("chunked not last", 0, FORM "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
    ROW("chunked twice", 0, FORM "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ROW("chunked misspelt", 0, FORM "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    ROW("a chunk size of words", 0, FORM "Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n"),
    ROW("a chunk size past 64 bits", 0, FORM "Transfer-Encoding: chunked\r\n\r\n10000000000000003\r\na=b\r\n0\r\n\r\n"),
    ROW("a chunk with bare LF", 0, FORM "Transfer-Encoding: chunked\r\n\r\n3\na=b\n0\n\n"),
    ROW("a chunk longer than its size", 0, FORM "Transfer-Encoding: chunked\r\n\r\n2\r\na=b\r\n0\r\n\r\n"),
    ROW("bare LF after the request line", 400, "GET /hello HTTP/1.1\nHost: a\r\n\r\n"),
    ROW("bare LF after a field", 400, "GET /hello HTTP/1.1\r\nHost: a\n\r\n"),
    ROW("bare LF at the end of the head", 400, "GET /hello HTTP/1.1\r\nHost: a\r\n\n"),
    ROW("bare CR in a field", 400, GET "X: a\rb\r\n\r\n"),
    ROW("folding", 400, GET "X: a\r\n b\r\n\r\n"),
    ROW("folding with a tab", 400, GET "X: a\r\n\tb\r\n\r\n"),
    ROW("white space before the first field", 400, "GET /hello HTTP/1.1\r\n Host: a\r\n\r\n"),
    ROW("NUL in a field", 400, GET "X: a\0b\r\n\r\n"),
    ROW("NUL in the target", 0, "GET /hello\0x HTTP/1.1\r\nHost: a\r\n\r\n"),
    ROW("a field without a colon", 400, GET "nonsense\r\n\r\n"),
    ROW("a field without a name", 400, GET ": a\r\n\r\n"),
    ROW("a space in a field's name", 400, GET "X Y: a\r\n\r\n"),
    ROW("no Host", 400, "GET /hello HTTP/1.1\r\n\r\n"),
    ROW("two Hosts", 400, GET "Host: b\r\n\r\n"),
    ROW("the same Host twice", 400, GET "Host: a\r\n\r\n"),
    ROW("a Host with a user", 400, "GET /hello HTTP/1.1\r\nHost: a@b\r\n\r\n"),
    ROW("a Host with a path", 400, "GET /hello HTTP/1.1\r\nHost: a/hello\r\n\r\n"),
    ROW("a list as Host", 400, "GET /hello HTTP/1.1\r\nHost: a, b\r\n\r\n"),
    ROW("two Hosts in HTTP/1.0", 400, "GET /hello HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"),
    ROW("an absolute form", 400, "GET http://a/hello HTTP/1.1\r\nHost: a\r\n\r\n"),
    ROW("an authority form", 400, "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n"),
    ROW("an asterisk form", 400, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
    ROW("a lower-case method", 400, "get /hello HTTP/1.1\r\nHost: a\r\n\r\n"),
    ROW("a mixed-case method", 400, "Get /hello HTTP/1.1\r\nHost: a\r\n\r\n"),
    ROW("a query", 400, "GET /hello?x=1 HTTP/1.1\r\nHost: a\r\n\r\n"),
    ROW("an empty query", 400, "GET /hello? HTTP/1.1\r\nHost: a\r\n\r\n"),
    ROW("a query where nothing is", 400, "GET /nothing?x=1 HTTP/1.1\r\nHost: a\r\n\r\n"),
    ROW("a query with another method", 400, "POST /ask?x=1 HTTP/1.1\r\nHost: a\r\n\r\n"),
    ROW("a query and a body", 413, "GET /ask?x=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na=b"),
    ROW("a space in the target", 400, "GET /hello x HTTP/1.1\r\nHost: a\r\n\r\n"),
    ROW("two spaces after the method", 400, "GET  /hello HTTP/1.1\r\nHost: a\r\n\r\n"),
    ROW("HTTP/0.9", 0, "GET /hello\r\n\r\n"),
    ROW("HTTP/2.0", 0, "GET /hello HTTP/2.0\r\nHost: a\r\n\r\n"),
    ROW("no version", 0, "GET /hello FTP/1.1\r\nHost: a\r\n\r\n"),
    ROW("a lower-case version", 0, "GET /hello http/1.1\r\nHost: a\r\n\r\n"),
    ROW("a TLS greeting", 0, "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00\r\n\r\n"),
    ROW("a body where none belongs", 413, GET "Content-Length: 3\r\n\r\na=b"),
    ROW("a chunked body where none belongs", 413, GET "Transfer-Encoding: chunked\r\n\r\n3\r\na=b\r\n0\r\n\r\n"),
#undef ROW
};
/* clang-format on */

static void what_could_be_read_in_two_ways_is_refused_and_closed(void **state)
{
    struct answer answer;

    (void)state;
    for (size_t i = 0; i < COUNT(hostile); i++) {
        int fd = peer_connect(http_port(server));
        bool is_answered;

        handled = 0;
        peer_send(fd, hostile[i].bytes);
        peer_send_text(fd, NEXT);
        is_answered = peer_read(fd, &answer);
        if (handled > 0)
            fail_msg("reached a handler: %s", hostile[i].name);
        if (hostile[i].status != 0 && answer.status != hostile[i].status)
            fail_msg("got %d: %s", answer.status, hostile[i].name);
        if (is_answered && (answer.status < 400 || answer.status == 500))
            fail_msg("got %d: %s", answer.status, hostile[i].name);
        if (!peer_is_closed(fd, 1000) || handled > 0)
            fail_msg("not closed, or the rest was served: %s", hostile[i].name);
        peer_close(fd);
    }
}

static void what_is_in_order_is_served(void **state)
{
    static const char *const good[] = {
        NEXT,
        "GET /hello HTTP/1.0\r\n\r\n",
        GET "X:\r\nY:  spaces round  \r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost:\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: [::1]:8443\r\n\r\n",
        FORM "Content-Length: 3\r\n\r\na=b",
        FORM "Content-Length: 0\r\n\r\n",
        FORM "Transfer-Encoding: chunked\r\n\r\n3\r\na=b\r\n0\r\n\r\n",
        GET "Content-Length: 0\r\n\r\n",
    };
    struct answer answer;

    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        peer_ask(http_port(server), good[i], &answer);
        if (answer.status != 200)
            fail_msg("got %d for %s", answer.status, good[i]);
    }
}

static void a_query_comes_raw_to_a_route_that_takes_one(void **state)
{
    struct answer answer;

    (void)state;
    peer_ask(http_port(server), "GET /ask?a=%2e%2E&b=?c HTTP/1.1\r\nHost: a\r\n\r\n", &answer);
    assert_int_equal(answer.status, 200);
    assert_true(str_eq(answer.body, STR("a=%2e%2E&b=?c")));
    peer_ask(http_port(server), "GET /ask HTTP/1.1\r\nHost: a\r\n\r\n", &answer);
    assert_int_equal(answer.status, 200);
    assert_int_equal(answer.body.len, 0);
}

static void nothing_of_a_request_is_echoed(void **state)
{
    struct answer answer;

    (void)state;
    peer_ask(http_port(server),
             "GET /s3cret-path HTTP/1.1\r\nHost: s3cret-host\r\nX: s3cret\r\n\r\n", &answer);
    assert_int_equal(answer.status, 404);
    assert_null(strstr(answer.text, "s3cret"));
    peer_ask(http_port(server), "GET /s3cret bad HTTP/1.1\r\ns3cret\r\n\r\n", &answer);
    assert_null(strstr(answer.text, "s3cret"));
}

static void an_http_1_0_peer_is_answered_and_left(void **state)
{
    struct answer answer;
    int fd = peer_connect(http_port(server));

    (void)state;
    peer_send_text(fd, "GET /hello HTTP/1.0\r\n\r\n");
    assert_true(peer_read(fd, &answer));
    assert_int_equal(answer.status, 200);
    assert_true(peer_is_closed(fd, 1000));
    peer_close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_could_be_read_in_two_ways_is_refused_and_closed),
        cmocka_unit_test(what_is_in_order_is_served),
        cmocka_unit_test(a_query_comes_raw_to_a_route_that_takes_one),
        cmocka_unit_test(nothing_of_a_request_is_echoed),
        cmocka_unit_test(an_http_1_0_peer_is_answered_and_left),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
