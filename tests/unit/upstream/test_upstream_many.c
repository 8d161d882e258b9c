/* Many requests at a time: who waits for whom, and for whom nobody does. */
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

#include "asking.h"

static void count_end(const struct upstream_response *response, void *context)
{
    size_t *counts = context;

    counts[response->outcome]++;
}

#define HOST_REQUESTS 2000

static void a_host_that_hangs_has_so_many_requests_and_delays_no_other(void **state)
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
    upstream_stop(own); /* which answers all */
    assert_int_equal(counts[UPSTREAM_ANSWERED], 0);
    assert_int_equal(counts[UPSTREAM_UNSENT] + counts[UPSTREAM_UNKNOWN], taken);
    assert_true(counts[UPSTREAM_UNKNOWN] >= 1);
    peer_stop(peer);
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
        cmocka_unit_test(a_host_that_hangs_has_so_many_requests_and_delays_no_other),
        cmocka_unit_test(however_many_hang_they_delay_no_other),
        cmocka_unit_test(hosts_that_hang_leave_room_for_others),
        cmocka_unit_test(waiting_for_a_connection_counts_as_time),
        cmocka_unit_test(who_waits_goes_when_a_connection_is_free),
        cmocka_unit_test(who_waits_goes_when_one_before_is_given_up),
        cmocka_unit_test(stopping_nothing_is_nothing),
    };

    return cmocka_run_group_tests(tests, upstream_begin, upstream_end);
}
