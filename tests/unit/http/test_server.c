#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/metrics.h"
#include "http/http.h"
#include "peer.h"
#include "tests/test.h"

#define BODY_MAX ((size_t)1000)
#define HUGE_BYTES ((size_t)32 * 1024 * 1024)

static char huge[HUGE_BYTES];

static enum progress hello(struct http_request *request, void *context)
{
    (void)context;
    return http_answer_text(request, 200, "text/plain", STR("hello\n"));
}

/* The body's length, and its first and last byte. */
static enum progress measure(struct http_request *request, void *context)
{
    struct str body = request->body;

    (void)context;
    return http_answer_json(request, 201,
                            json_pack("{s:i, s:s%}", "len", (int)body.len, "ends",
                                      body.len == 0 ? "" : body.data,
                                      body.len == 0 ? (size_t)0 : (size_t)1));
}

/* What a handler sees of its request. */
static enum progress describe(struct http_request *request, void *context)
{
    char peer[ADDRESS_TEXT_MAX];
    struct str first = STR("");
    size_t count = http_header_get(request, "x-field", &first);
    uint8_t sha256[32];

    if (strcmp(context, "context") != 0 || http_client_certificate(request, sha256))
        return PROGRESS_FAILED;
    address_text(&request->peer, peer);
    http_add_header(request, "X-Peer", str_from(peer));
    http_add_header(request, "X-First", first);
    request->response.is_cacheable = true;
    return http_answer_text(request, 200, "text/plain",
                            arena_printf(request->arena, STR_FMT " " STR_FMT " " STR_FMT " %zu",
                                         STR_ARG(request->method), STR_ARG(request->path),
                                         STR_ARG(request->rest), count));
}

static enum progress busy(struct http_request *request, void *context)
{
    struct error error = { 0 };

    (void)context;
    (void)error_set(&error, ERROR_BUSY, "the cause is not told");
    return http_answer_problem(request, &error);
}

static enum progress no_json(struct http_request *request, void *context)
{
    (void)context;
    return http_answer_json(request, 200, NULL);
}

static enum progress fail_always(struct http_request *request, void *context)
{
    (void)request;
    (void)context;
    return PROGRESS_FAILED;
}

static enum progress long_json(struct http_request *request, void *context)
{
    (void)context;
    return http_answer_json(request, 200,
                            json_pack("{s:s%}", "long", memset(huge, 'j', 20000), (size_t)20000));
}

static enum progress send_huge(struct http_request *request, void *context)
{
    (void)context;
    return http_answer_text(request, 200, "text/plain", (struct str){ huge, sizeof(huge) });
}

/* Which of the server's threads serve. */
static _Atomic size_t thread_count;
static _Atomic uintptr_t threads[4];

static enum progress note_thread(struct http_request *request, void *context)
{
    uintptr_t self = (uintptr_t)pthread_self();

    (void)context;
    for (size_t i = 0; i < COUNT(threads); i++) {
        uintptr_t expected = 0;

        if (atomic_compare_exchange_strong(&threads[i], &expected, self))
            thread_count++;
        else if (expected != self)
            continue;
        break;
    }
    return http_answer_text(request, 200, "text/plain", STR("noted"));
}

static const struct http_route routes[] = {
    { "GET", "/hello", 0, HTTP_BODY_NONE, 0, hello },
    { "POST", "/form", BODY_MAX, HTTP_BODY_FORM, 0, measure },
    { "POST", "/json", BODY_MAX, HTTP_BODY_JSON, 0, measure },
    { "GET", "/describe/*", 0, HTTP_BODY_NONE, 0, describe },
    { "GET", "/busy", 0, HTTP_BODY_NONE, 0, busy },
    { "GET", "/no-json", 0, HTTP_BODY_NONE, 0, no_json },
    { "GET", "/fail", 0, HTTP_BODY_NONE, 0, fail_always },
    { "GET", "/long", 0, HTTP_BODY_NONE, 0, long_json },
    { "GET", "/huge", 0, HTTP_BODY_NONE, 0, send_huge },
    { "GET", "/thread", 0, HTTP_BODY_NONE, 0, note_thread },
};

static char context[] = "context";

static struct http_server *start(struct http_options options)
{
    options.routes = routes;
    options.route_count = COUNT(routes);
    options.context = context;
    return peer_server(options);
}

static struct http_server *plain;

static int start_plain(void **state)
{
    (void)state;
    plain = start((struct http_options){ 0 });
    return 0;
}

static int stop_plain(void **state)
{
    (void)state;
    http_stop(plain);
    return 0;
}

#define REQUEST(method, path) method " " path " HTTP/1.1\r\nHost: a\r\n"
#define GET(path) REQUEST("GET", path) "\r\n"
#define FORM REQUEST("POST", "/form") "Content-Type: application/x-www-form-urlencoded\r\n"

/* --- answers -----------------------------------------------------------------------------------
 */

static void an_answer_has_the_security_headers_and_no_server_name(void **state)
{
    struct answer answer;

    (void)state;
    peer_ask(http_port(plain), GET("/hello"), &answer);
    assert_int_equal(answer.status, 200);
    assert_true(str_eq(answer.body, STR("hello\n")));
    assert_true(answer_has(&answer, "Content-Type: text/plain"));
    assert_true(answer_has(&answer, "Cache-Control: no-store"));
    assert_true(answer_has(&answer, "X-Content-Type-Options: nosniff"));
    assert_false(answer_has(&answer, "Connection: close"));
    assert_null(strstr(answer.text, "Server:"));
    assert_null(strstr(answer.text, "Access-Control"));
}

static void a_handler_sees_its_request_whole(void **state)
{
    struct answer answer;

    (void)state;
    peer_ask(http_port(plain),
             REQUEST("GET", "/describe/a/b") "X-Field: one\r\nx-FIELD: two\r\n\r\n", &answer);
    assert_int_equal(answer.status, 200);
    assert_true(str_eq(answer.body, STR("GET /describe/a/b a/b 2")));
    assert_true(answer_has(&answer, "X-Peer: 127.0.0.1"));
    assert_true(answer_has(&answer, "X-First: one"));
    assert_false(answer_has(&answer, "Cache-Control: no-store"));
}

static void a_problem_tells_its_sentence_and_when_to_come_back(void **state)
{
    struct answer answer;

    (void)state;
    peer_ask(http_port(plain), GET("/busy"), &answer);
    assert_int_equal(answer.status, 429);
    assert_true(answer_has(&answer, "Content-Type: application/problem+json"));
    assert_true(answer_has(&answer, "Retry-After: 2"));
    assert_non_null(strstr(answer.text, error_kind(ERROR_BUSY)->sentence));
    assert_non_null(strstr(answer.text, "\"status\":429"));
    assert_null(strstr(answer.text, "the cause"));
}

static void a_handler_that_fails_is_a_503_without_detail(void **state)
{
    struct answer answer;

    (void)state;
    peer_ask(http_port(plain), GET("/fail"), &answer);
    assert_int_equal(answer.status, 503);
    peer_ask(http_port(plain), GET("/no-json"), &answer);
    assert_int_equal(answer.status, 503);
    assert_true(answer_has(&answer, "Content-Type: application/problem+json"));
}

static void a_long_json_answer_comes_whole(void **state)
{
    struct answer answer;

    (void)state;
    peer_ask(http_port(plain), GET("/long"), &answer);
    assert_int_equal(answer.status, 200);
    assert_int_equal(answer.body.len, 20000 + strlen("{\"long\":\"\"}"));
}

static void another_method_or_path_keeps_the_connection(void **state)
{
    struct answer answer;
    int fd = peer_connect(http_port(plain));

    (void)state;
    peer_send_text(fd, GET("/nothing"));
    assert_true(peer_read(fd, &answer));
    assert_int_equal(answer.status, 404);
    peer_send_text(fd, REQUEST("DELETE", "/form") "\r\n");
    assert_true(peer_read(fd, &answer));
    assert_int_equal(answer.status, 405);
    assert_true(answer_has(&answer, "Allow: POST"));
    peer_send_text(fd, GET("/hello"));
    assert_true(peer_read(fd, &answer));
    assert_int_equal(answer.status, 200);
    peer_close(fd);
}

/* --- bodies ------------------------------------------------------------------------------------
 */

/* A request with a body of `len` bytes behind `head`. */
static void ask_with_body(const char *head, size_t len, struct answer *answer)
{
    static char text[8192];
    int at = snprintf(text, sizeof(text), "%sContent-Length: %zu\r\n\r\n", head, len);

    assert_true(at > 0 && (size_t)at + len < sizeof(text));
    memset(text + at, 'b', len);
    text[(size_t)at + len] = '\0';
    peer_ask(http_port(plain), text, answer);
}

static void a_body_of_the_limit_is_taken_and_one_byte_more_is_not(void **state)
{
    struct answer answer;

    (void)state;
    ask_with_body(FORM, BODY_MAX, &answer);
    assert_int_equal(answer.status, 201);
    assert_non_null(strstr(answer.text, "{\"len\":1000,\"ends\":\"b\"}"));
    ask_with_body(FORM, BODY_MAX + 1, &answer);
    assert_int_equal(answer.status, 413);
    assert_true(answer_has(&answer, "Connection: close"));
    ask_with_body(FORM, 0, &answer);
    assert_int_equal(answer.status, 201);
}

/* `count` chunks of 100 bytes. */
static void send_chunks(int fd, size_t count)
{
    char chunk[128];
    int at = snprintf(chunk, sizeof(chunk), "64\r\n");

    memset(chunk + at, 'c', 100);
    memcpy(chunk + at + 100, "\r\n", 2);
    peer_send_text(fd, FORM "Transfer-Encoding: chunked\r\n\r\n");
    for (size_t i = 0; i < count; i++)
        peer_send(fd, (struct str){ chunk, (size_t)at + 102 });
    peer_send_text(fd, "0\r\n\r\n");
}

static void a_chunked_body_has_the_same_limit(void **state)
{
    struct answer answer;
    int fd = peer_connect(http_port(plain));

    (void)state;
    send_chunks(fd, BODY_MAX / 100);
    assert_true(peer_read(fd, &answer));
    assert_int_equal(answer.status, 201);
    assert_non_null(strstr(answer.text, "\"len\":1000"));
    send_chunks(fd, BODY_MAX / 100 + 1);
    assert_true(peer_read(fd, &answer));
    assert_int_equal(answer.status, 413);
    assert_true(peer_is_closed(fd, 1000));
    peer_close(fd);
}

/* Such a peer does not look for an answer before it has sent all. */
static void a_refused_body_is_read_so_that_the_answer_arrives(void **state)
{
    static const char head[] = REQUEST("POST", "/nothing") "Content-Length: 200000\r\n\r\n";
    struct answer answer;
    int fd = peer_connect(http_port(plain));

    (void)state;
    peer_send_text(fd, head);
    assert_false(peer_is_closed(fd, 50));
    peer_send(fd, (struct str){ huge, 200000 });
    assert_true(peer_read(fd, &answer));
    assert_int_equal(answer.status, 404);
    peer_send_text(fd, GET("/hello")); /* framing was never in doubt */
    assert_true(peer_read(fd, &answer));
    assert_int_equal(answer.status, 200);
    peer_close(fd);
}

static void a_refused_body_past_what_is_dropped_is_not_waited_for(void **state)
{
    struct answer answer;

    (void)state;
    peer_ask(http_port(plain), FORM "Content-Length: 262145\r\n\r\n", &answer);
    assert_int_equal(answer.status, 413);
    assert_true(answer_has(&answer, "Connection: close"));
}

static void a_chunked_body_without_end_is_cut_off(void **state)
{
    int fd = peer_connect(http_port(plain));

    (void)state;
    send_chunks(fd, 100000);
    assert_true(peer_is_closed(fd, 1000));
    peer_close(fd);
}

static void another_media_type_or_an_encoding_is_refused(void **state)
{
    static const char *const heads[] = {
        REQUEST("POST", "/form"),
        REQUEST("POST", "/form") "Content-Type: application/json\r\n",
        REQUEST("POST", "/form") "Content-Type: multipart/form-data\r\n",
        REQUEST("POST", "/json") "Content-Type: application/x-www-form-urlencoded\r\n",
        FORM "Content-Type: application/x-www-form-urlencoded\r\n",
        FORM "Content-Encoding: gzip\r\n",
        FORM "Content-Encoding: identity\r\n",
    };
    struct answer answer;

    (void)state;
    for (size_t i = 0; i < COUNT(heads); i++) {
        ask_with_body(heads[i], 3, &answer);
        if (answer.status != 415)
            fail_msg("got %d for %s", answer.status, heads[i]);
    }
    ask_with_body(REQUEST("POST", "/json") "Content-Type: application/json\r\n", 3, &answer);
    assert_int_equal(answer.status, 201);
}

static void expect_100_continue_is_answered_before_the_body(void **state)
{
    struct answer answer;
    int fd = peer_connect(http_port(plain));

    (void)state;
    peer_send_text(fd, FORM "Content-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    assert_true(peer_read(fd, &answer));
    assert_int_equal(answer.status, 100);
    peer_send_text(fd, "a=b");
    assert_true(peer_read(fd, &answer));
    assert_int_equal(answer.status, 201);
    peer_send_text(fd, FORM "Content-Length: 1001\r\nExpect: 100-continue\r\n\r\n");
    assert_true(peer_read(fd, &answer));
    assert_int_equal(answer.status, 413);
    peer_close(fd);
}

/* --- heads -------------------------------------------------------------------------------------
 */

static void a_hundred_fields_are_taken_and_one_more_is_not(void **state)
{
    OWNED(arena_free) struct arena *arena = arena_new((size_t)1024 * 1024);
    struct str fields = STR("");
    struct answer answer;

    (void)state;
    assert_non_null(arena);
    for (size_t i = 1; i < HTTP_FIELDS_MAX; i++)
        fields = arena_printf(arena, STR_FMT "X-%zu: y\r\n", STR_ARG(fields), i);
    peer_ask(http_port(plain),
             arena_printf(arena, REQUEST("GET", "/hello") STR_FMT "\r\n", STR_ARG(fields)).data,
             &answer);
    assert_int_equal(answer.status, 200);
    peer_ask(
        http_port(plain),
        arena_printf(arena, REQUEST("GET", "/hello") STR_FMT "Y: z\r\n\r\n", STR_ARG(fields)).data,
        &answer);
    assert_int_equal(answer.status, 431);
    assert_true(answer_has(&answer, "Connection: close"));
}

/* A head of exactly `len` bytes, its empty line included. */
static const char *head_of(struct arena *arena, size_t len)
{
    static const char start[] = REQUEST("GET", "/hello") "X: ";
    static const char end[] = "\r\n\r\n";
    char *text = arena_alloc(arena, len + 1);

    assert_non_null(text);
    memset(text, 'x', len);
    memcpy(text, start, sizeof(start) - 1);
    memcpy(text + len - (sizeof(end) - 1), end, sizeof(end) - 1);
    return text;
}

static void a_head_of_the_limit_is_taken_and_one_byte_more_is_not(void **state)
{
    OWNED(arena_free) struct arena *arena = arena_new((size_t)1024 * 1024);
    static const size_t too_long[] = { HTTP_HEAD_BYTES_MAX + 1, 24000, 100000, 500000 };
    struct answer answer;

    (void)state;
    assert_non_null(arena);
    peer_ask(http_port(plain), head_of(arena, HTTP_HEAD_BYTES_MAX), &answer);
    assert_int_equal(answer.status, 200);
    for (size_t i = 0; i < COUNT(too_long); i++) {
        peer_ask(http_port(plain), head_of(arena, too_long[i]), &answer);
        if (answer.status != 431 && (too_long[i] < 64000 || answer.status != 0))
            fail_msg("got %d for %zu bytes", answer.status, too_long[i]);
    }
}

static void a_target_past_its_limit_is_a_414(void **state)
{
    OWNED(arena_free) struct arena *arena = arena_new((size_t)1024 * 1024);
    char *target;
    struct answer answer;

    (void)state;
    assert_non_null(arena);
    target = arena_alloc(arena, HTTP_TARGET_BYTES_MAX + 2);
    assert_non_null(target);
    memset(target, 'a', HTTP_TARGET_BYTES_MAX);
    target[0] = '/';
    peer_ask(http_port(plain),
             arena_printf(arena, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", target).data, &answer);
    assert_int_equal(answer.status, 404);
    target[HTTP_TARGET_BYTES_MAX] = 'a';
    peer_ask(http_port(plain),
             arena_printf(arena, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", target).data, &answer);
    assert_int_equal(answer.status, 414);
}

/* --- deadlines and counts ----------------------------------------------------------------------
 */

#define SHORT_MS 1000   /* enough for a whole request, on any machine */
#define DEFAULT_MS 5000 /* the shortest that a server has where nothing is said */

/*
 * Send `text` again and again until the server closes, which it shall after SHORT_MS: not earlier,
 * counted from `start_ns`, and before any of the deadlines that were left as they are.
 */
static void dribble(int fd, const char *text, int64_t start_ns)
{
    int64_t took_ms;

    do {
        peer_send_text(fd, text);
        took_ms = (clock_monotonic_ns() - start_ns) / 1000000;
    } while (!peer_is_closed(fd, 10) && took_ms < 2 * DEFAULT_MS);
    took_ms = (clock_monotonic_ns() - start_ns) / 1000000;
    if (took_ms < SHORT_MS - 20 || took_ms > DEFAULT_MS)
        fail_msg("took %d ms, expected %d", (int)took_ms, SHORT_MS);
}

static void a_slow_head_is_cut_off(void **state)
{
    struct http_server *server = start((struct http_options){ .header_timeout_ms = SHORT_MS });
    int64_t start_ns = clock_monotonic_ns();
    int fd = peer_connect(http_port(server));

    (void)state;
    peer_send_text(fd, REQUEST("GET", "/hello"));
    dribble(fd, "X: y\r\n", start_ns);
    peer_close(fd);
    start_ns = clock_monotonic_ns();
    fd = peer_connect(http_port(server));
    dribble(fd, "", start_ns); /* says nothing at all */
    peer_close(fd);
    http_stop(server);
}

static void a_slow_second_head_is_cut_off_too(void **state)
{
    struct http_server *server =
        start((struct http_options){ .header_timeout_ms = SHORT_MS, .idle_timeout_ms = SHORT_MS });
    struct answer answer;
    int fd = peer_connect(http_port(server));
    int64_t start_ns = clock_monotonic_ns();

    (void)state;
    peer_send_text(fd, GET("/hello"));
    assert_true(peer_read(fd, &answer));
    peer_send_text(fd, REQUEST("GET", "/hello"));
    dribble(fd, "X: y\r\n", start_ns);
    peer_close(fd);

    fd = peer_connect(http_port(server));
    start_ns = clock_monotonic_ns();
    peer_send_text(fd, GET("/hello"));
    assert_true(peer_read(fd, &answer));
    dribble(fd, "G", start_ns); /* a request line without end */
    peer_close(fd);
    http_stop(server);
}

static void a_slow_body_is_cut_off(void **state)
{
    struct http_server *server = start((struct http_options){ .body_timeout_ms = SHORT_MS });
    int fd = peer_connect(http_port(server));
    int64_t start_ns = clock_monotonic_ns();

    (void)state;
    peer_send_text(fd, FORM "Content-Length: 1000\r\n\r\n");
    dribble(fd, "b", start_ns);
    peer_close(fd);
    http_stop(server);
}

static void an_idle_connection_is_closed(void **state)
{
    struct http_server *server = start((struct http_options){ .idle_timeout_ms = SHORT_MS });
    struct answer answer;
    int fd = peer_connect(http_port(server));
    int64_t start_ns = clock_monotonic_ns();

    (void)state;
    peer_send_text(fd, GET("/hello"));
    assert_true(peer_read(fd, &answer));
    dribble(fd, "", start_ns);
    peer_close(fd);
    http_stop(server);
}

static void a_peer_that_does_not_read_is_left(void **state)
{
    struct http_server *server = start((struct http_options){ .write_timeout_ms = SHORT_MS });
    int fd = peer_connect(http_port(server));
    int64_t end_ns = clock_monotonic_ns() + (int64_t)9000 * 1000000; /* by default: 10 s */
    struct pollfd never = { .fd = -1 };

    (void)state;
    peer_send_text(fd, GET("/huge"));
    while (metric_get(METRIC_HTTP_CONNECTIONS) < 1 && clock_monotonic_ns() < end_ns)
        (void)poll(&never, 1, 5);
    while (metric_get(METRIC_HTTP_CONNECTIONS) > 0 && clock_monotonic_ns() < end_ns)
        (void)poll(&never, 1, 5);
    assert_int_equal(metric_get(METRIC_HTTP_CONNECTIONS), 0);
    peer_close(fd);
    http_stop(server);
}

static void a_connection_serves_a_number_of_requests(void **state)
{
    struct http_server *server = start((struct http_options){ .requests_per_connection_max = 2 });
    struct answer answer;
    int fd = peer_connect(http_port(server));

    (void)state;
    peer_send_text(fd, GET("/hello"));
    assert_true(peer_read(fd, &answer));
    assert_false(answer_has(&answer, "Connection: close"));
    peer_send_text(fd, GET("/hello"));
    assert_true(peer_read(fd, &answer));
    assert_int_equal(answer.status, 200);
    assert_true(answer_has(&answer, "Connection: close"));
    assert_true(peer_is_closed(fd, 1000));
    peer_close(fd);
    http_stop(server);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    struct answer answer;
    int fd = peer_connect(http_port(plain));

    (void)state;
    peer_send_text(fd, GET("/hello") REQUEST("GET", "/describe/x") "Connection: close\r\n\r\n");
    assert_true(peer_read(fd, &answer));
    if (answer.body.len > strlen("hello\n")) /* both came in one read */
        assert_non_null(strstr(answer.text, "GET /describe/x x 0"));
    assert_true(peer_is_closed(fd, 1000));
    peer_close(fd);
}

static void connections_past_the_limit_wait_until_one_ends(void **state)
{
    struct http_server *server = start((struct http_options){ .connections_max = 2 });
    struct answer answer;
    int first = peer_connect(http_port(server));
    int second = peer_connect(http_port(server));
    int third;

    (void)state;
    peer_send_text(first, GET("/hello"));
    assert_true(peer_read(first, &answer));
    peer_send_text(second, GET("/hello"));
    assert_true(peer_read(second, &answer));
    third = peer_connect(http_port(server)); /* the kernel's queue takes it */
    peer_send_text(third, GET("/hello"));
    assert_false(peer_is_closed(third, 100));
    peer_close(first);
    assert_true(peer_read(third, &answer));
    assert_int_equal(answer.status, 200);
    peer_close(second);
    peer_close(third);
    http_stop(server);
}

static void an_address_has_a_share_of_connections(void **state)
{
    struct http_server *server = start((struct http_options){ .connections_per_address_max = 1 });
    struct answer answer;
    int first = peer_connect(http_port(server));
    int second;

    (void)state;
    peer_send_text(first, GET("/hello"));
    assert_true(peer_read(first, &answer));
    second = peer_connect(http_port(server));
    peer_send_text(second, GET("/hello"));
    assert_true(peer_is_closed(second, 1000));
    peer_send_text(first, GET("/hello"));
    assert_true(peer_read(first, &answer));
    peer_close(first);
    peer_close(second);
    http_stop(server);
}

/* --- life cycle --------------------------------------------------------------------------------
 */

static void a_port_is_not_shared_with_another_server(void **state)
{
    struct http_options options = { .address = STR("127.0.0.1"), .port = http_port(plain) };
    struct http_server *second = NULL;
    struct error error = { 0 };

    (void)state;
    assert_false(http_start(&options, &second, &error));
    assert_int_equal(error.code, ERROR_IO);
    assert_non_null(strstr(error.cause, "127.0.0.1"));
    assert_null(second);
}

static void what_is_not_an_address_or_too_many_threads_does_not_start(void **state)
{
    struct http_options options = { .address = STR("localhost") };
    struct http_server *server = NULL;
    struct error error = { 0 };
    struct error other = { 0 };

    (void)state;
    assert_false(http_start(&options, &server, &error));
    assert_int_equal(error.code, ERROR_CONFIG);
    options = (struct http_options){ .address = STR("127.0.0.1"), .thread_count = 65 };
    assert_false(http_start(&options, &server, &other));
    assert_int_equal(other.code, ERROR_CONFIG);
}

static void connections_spread_over_the_threads(void **state)
{
    struct http_server *server = start((struct http_options){ .thread_count = 2 });
    struct answer answer;

    (void)state;
    for (int i = 0; i < 64; i++) {
        peer_ask(http_port(server), GET("/thread"), &answer);
        assert_int_equal(answer.status, 200);
    }
    assert_int_equal(thread_count, 2);
    http_stop(server);
}

static void a_drained_server_closes_idle_connections_and_takes_no_more(void **state)
{
    struct http_server *server = start((struct http_options){ .thread_count = 2 });
    uint16_t port = http_port(server);
    struct answer answer;
    int fd = peer_connect(port);

    (void)state;
    peer_send_text(fd, GET("/hello"));
    assert_true(peer_read(fd, &answer));
    http_drain(server, 4000);
    assert_true(peer_is_closed(fd, 1000));
    assert_int_equal(peer_connect(port), -1);
    peer_close(fd);
    http_stop(server);
}

static void a_stopped_server_lets_its_port_go(void **state)
{
    struct http_server *server = start((struct http_options){ 0 });
    struct http_options options = {
        .address = STR("127.0.0.1"),
        .port = http_port(server),
        .routes = routes,
        .route_count = COUNT(routes),
    };
    struct answer answer;
    struct error error = { 0 };

    (void)state;
    peer_ask(options.port, GET("/hello"), &answer);
    http_stop(server);
    assert_true(http_start(&options, &server, &error));
    peer_ask(options.port, GET("/hello"), &answer);
    assert_int_equal(answer.status, 200);
    http_stop(server);
}

/* From now on no descriptor can be opened. */
static struct rlimit forbid_descriptors(void)
{
    struct rlimit before;
    struct rlimit none;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){ .rlim_cur = 3, .rlim_max = before.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    return before;
}

static void the_server_outlives_a_lack_of_descriptors(void **state)
{
    struct http_server *server = start((struct http_options){ 0 });
    struct answer answer;
    int first = peer_connect(http_port(server));
    int second = peer_socket();
    struct rlimit before;

    (void)state;
    peer_send_text(first, GET("/hello"));
    assert_true(peer_read(first, &answer));
    before = forbid_descriptors();
    assert_true(peer_join(second, http_port(server)));
    peer_send_text(second, GET("/hello"));
    assert_false(peer_is_closed(second, 50));
    peer_send_text(first, GET("/hello")); /* who is in is served */
    assert_true(peer_read(first, &answer));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    peer_close(first); /* and makes room */
    assert_true(peer_read(second, &answer));
    assert_int_equal(answer.status, 200);
    peer_close(second);
    http_stop(server);
}

static int64_t cpu_ms(void)
{
    struct rusage usage;

    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return (int64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
           (int64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
}

static void without_descriptors_an_empty_server_does_not_spin(void **state)
{
    struct http_server *server = start((struct http_options){ 0 });
    struct answer answer;
    int fd = peer_socket();
    struct rlimit before = forbid_descriptors();
    int64_t used_ms;

    (void)state;
    assert_true(peer_join(fd, http_port(server)));
    peer_send_text(fd, GET("/hello"));
    used_ms = cpu_ms();
    assert_false(peer_is_closed(fd, 300));
    assert_true(cpu_ms() - used_ms < 100);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_true(peer_read(fd, &answer));
    assert_int_equal(answer.status, 200);
    peer_close(fd);
    http_stop(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_has_the_security_headers_and_no_server_name),
        cmocka_unit_test(a_handler_sees_its_request_whole),
        cmocka_unit_test(a_problem_tells_its_sentence_and_when_to_come_back),
        cmocka_unit_test(a_handler_that_fails_is_a_503_without_detail),
        cmocka_unit_test(a_long_json_answer_comes_whole),
        cmocka_unit_test(another_method_or_path_keeps_the_connection),
        cmocka_unit_test(a_body_of_the_limit_is_taken_and_one_byte_more_is_not),
        cmocka_unit_test(a_chunked_body_has_the_same_limit),
        cmocka_unit_test(a_refused_body_is_read_so_that_the_answer_arrives),
        cmocka_unit_test(a_refused_body_past_what_is_dropped_is_not_waited_for),
        cmocka_unit_test(a_chunked_body_without_end_is_cut_off),
        cmocka_unit_test(another_media_type_or_an_encoding_is_refused),
        cmocka_unit_test(expect_100_continue_is_answered_before_the_body),
        cmocka_unit_test(a_hundred_fields_are_taken_and_one_more_is_not),
        cmocka_unit_test(a_head_of_the_limit_is_taken_and_one_byte_more_is_not),
        cmocka_unit_test(a_target_past_its_limit_is_a_414),
        cmocka_unit_test(pipelined_requests_are_answered_in_order),
        cmocka_unit_test(a_port_is_not_shared_with_another_server),
    };
    const struct CMUnitTest others[] = {
        cmocka_unit_test(a_slow_head_is_cut_off),
        cmocka_unit_test(a_slow_second_head_is_cut_off_too),
        cmocka_unit_test(a_slow_body_is_cut_off),
        cmocka_unit_test(an_idle_connection_is_closed),
        cmocka_unit_test(a_peer_that_does_not_read_is_left),
        cmocka_unit_test(a_connection_serves_a_number_of_requests),
        cmocka_unit_test(connections_past_the_limit_wait_until_one_ends),
        cmocka_unit_test(an_address_has_a_share_of_connections),
        cmocka_unit_test(what_is_not_an_address_or_too_many_threads_does_not_start),
        cmocka_unit_test(connections_spread_over_the_threads),
        cmocka_unit_test(a_drained_server_closes_idle_connections_and_takes_no_more),
        cmocka_unit_test(a_stopped_server_lets_its_port_go),
        cmocka_unit_test(the_server_outlives_a_lack_of_descriptors),
        cmocka_unit_test(without_descriptors_an_empty_server_does_not_spin),
    };

    return cmocka_run_group_tests(tests, start_plain, stop_plain) +
           cmocka_run_group_tests(others, NULL, NULL);
}
