/* Peers that say too much, too little, too slowly, or something else. */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "asking.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
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
    };

    return cmocka_run_group_tests(tests, upstream_begin, upstream_end);
}
