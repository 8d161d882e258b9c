/*
 * A Vault that is only as slow as it is told: it answers each login after so many milliseconds, or
 * not at all, and counts its connections. It checks nothing, so it costs little beside the broker.
 *
 * Commands are lines of its standard input, each answered by a line, and it ends with that input:
 *
 *   count   connections now, the most at once and requests since the last `count`
 *   hang    take requests, and answer none
 *   go      answer again, first those that hang
 *
 * One thread, one epoll. All answers take the same time, so what waits is a queue.
 */

/* memmem, epoll_pwait2 */
#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/macros.h"
#include "base/str.h"

#define CONNECTIONS_MAX 4096
#define REQUEST_MAX 32768
#define BACKLOG 1024
#define EVENTS_MAX 64
#define LATENCY_MAX_MS 60000

struct connection {
    struct connection *next; /* in the queue, or in the list of unused ones */
    int fd;                  /* -1: the peer is gone */
    bool is_waiting;         /* in the queue: its request is whole */
    int64_t due_ns;
    size_t len;
    char request[REQUEST_MAX];
};

struct target {
    int epoll;
    int listener;
    int64_t latency_ns;
    bool is_hanging;
    struct connection *unused;
    struct connection *first; /* of those that wait */
    struct connection *last;
    size_t connection_count;
    size_t most;
    uint64_t requests;
    uint64_t logins; /* ever: a token's name */
};

static _Noreturn void give_up(const char *what)
{
    (void)fprintf(stderr, "slow_target: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void watch(const struct target *target, int fd, void *owner)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = owner };

    if (epoll_ctl(target->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        give_up("epoll");
}

/* ---- answers ---- */

static void send_all(const struct connection *connection, const char *text, int len)
{
    for (int sent = 0; sent < len;) {
        ssize_t now = send(connection->fd, text + sent, (size_t)(len - sent), MSG_NOSIGNAL);

        if (now < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (now <= 0)
            return; /* the peer is gone: its end is read like any other */
        sent += (int)now;
    }
}

static void answer_login(struct target *target, const struct connection *connection)
{
    char body[1024];
    char text[2048];
    int len;

    target->logins++;
    len =
        snprintf(body, sizeof(body),
                 "{\"auth\":{\"accessor\":\"accessor%016" PRIu64 "\",\"client_token\":"
                 "\"hvs.%090" PRIu64 "\",\"lease_duration\":600,\"metadata\":{\"role\":"
                 "\"payments-deploy\"},\"policies\":[\"default\",\"payments\"],\"renewable\":true,"
                 "\"token_policies\":[\"default\",\"payments\"],\"token_type\":\"service\"}}",
                 target->logins, target->logins);
    len = snprintf(text, sizeof(text),
                   "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                   "%s",
                   len, body);
    send_all(connection, text, len);
}

static void answer(struct target *target, struct connection *connection)
{
    static const char done[] = "HTTP/1.1 204 No Content\r\n\r\n";
    const char *line_end = memchr(connection->request, '\r', connection->len);
    size_t line_len = line_end ? (size_t)(line_end - connection->request) : 0;

    if (memmem(connection->request, line_len, "/login ", 7))
        answer_login(target, connection);
    else
        send_all(connection, done, (int)sizeof(done) - 1);
    connection->len = 0; /* nobody sends a request before the last one is answered */
}

/* ---- connections ---- */

static void take_connection(struct target *target)
{
    int fd = accept4(target->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct connection *connection = target->unused;
    int on = 1;

    if (fd < 0)
        return; /* the peer thought better of it */
    if (!connection)
        give_up("too many connections");
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* only quicker */
    target->unused = connection->next;
    connection->fd = fd;
    connection->len = 0;
    connection->is_waiting = false;
    watch(target, fd, connection);
    target->connection_count++;
    if (target->connection_count > target->most)
        target->most = target->connection_count;
}

static void put_back(struct target *target, struct connection *connection)
{
    connection->next = target->unused;
    target->unused = connection;
}

/* One that waits goes when its turn comes. */
static void end_connection(struct target *target, struct connection *connection)
{
    (void)close(connection->fd);
    connection->fd = -1;
    target->connection_count--;
    if (!connection->is_waiting)
        put_back(target, connection);
}

static bool is_whole(const struct connection *connection)
{
    const char *end = memmem(connection->request, connection->len, "\r\n\r\n", 4);
    size_t head_len = end ? (size_t)(end - connection->request) + 4 : 0;
    const char *field = memmem(connection->request, head_len, "Content-Length: ", 16);
    struct str digits = STR("0");
    int64_t body_len = 0;

    if (!end)
        return false;
    if (field)
        digits = (struct str){ field + 16, (size_t)(end + 2 - field - 16) };
    return str_to_int64(str_slice(digits, 0, str_find(digits, '\r')), &body_len) &&
           connection->len >= head_len + (size_t)body_len;
}

static void enqueue(struct target *target, struct connection *connection)
{
    target->requests++;
    connection->is_waiting = true;
    connection->due_ns = target->is_hanging ? INT64_MAX : clock_monotonic_ns() + target->latency_ns;
    connection->next = NULL;
    if (target->first)
        target->last->next = connection;
    else
        target->first = connection;
    target->last = connection;
}

static void take_bytes(struct target *target, struct connection *connection)
{
    ssize_t got = recv(connection->fd, connection->request + connection->len,
                       sizeof(connection->request) - connection->len, 0);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        end_connection(target, connection);
        return;
    }
    connection->len += (size_t)got;
    if (!connection->is_waiting && is_whole(connection))
        enqueue(target, connection);
}

static void answer_due(struct target *target)
{
    int64_t now_ns = clock_monotonic_ns();

    while (target->first && target->first->due_ns <= now_ns) {
        struct connection *connection = target->first;

        target->first = connection->next;
        connection->is_waiting = false;
        if (connection->fd < 0)
            put_back(target, connection);
        else
            answer(target, connection);
    }
}

/* ---- commands ---- */

static void go_on(struct target *target)
{
    target->is_hanging = false;
    for (struct connection *at = target->first; at; at = at->next)
        at->due_ns = 0;
}

static void obey(struct target *target, const char *line)
{
    if (strcmp(line, "count\n") == 0) {
        (void)printf("connections=%zu most=%zu requests=%" PRIu64 "\n", target->connection_count,
                     target->most, target->requests);
        target->most = target->connection_count;
        target->requests = 0;
        return;
    }
    if (strcmp(line, "hang\n") == 0)
        target->is_hanging = true;
    else
        go_on(target);
    (void)printf("ok\n");
}

/* ---- the loop ---- */

static void serve(struct target *target)
{
    struct epoll_event events[EVENTS_MAX];

    for (;;) {
        int64_t left_ns = target->first && target->first->due_ns != INT64_MAX
                              ? target->first->due_ns - clock_monotonic_ns()
                              : INT64_C(999999999);
        struct timespec timeout = { 0, left_ns < 0 ? 0 : (long)left_ns };
        int count;

        if (left_ns > INT64_C(999999999))
            timeout.tv_nsec = 999999999;
        count = epoll_pwait2(target->epoll, events, EVENTS_MAX, &timeout, NULL);
        for (int i = 0; i < count; i++) {
            char line[64];

            if (events[i].data.ptr == &target->listener)
                take_connection(target);
            else if (events[i].data.ptr != target)
                take_bytes(target, events[i].data.ptr);
            else if (fgets(line, sizeof(line), stdin))
                obey(target, line);
            else
                return;
        }
        answer_due(target);
    }
}

static void open_listener(struct target *target)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t len = sizeof(address);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    target->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (target->listener < 0 ||
        bind(target->listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(target->listener, BACKLOG) != 0 ||
        getsockname(target->listener, (struct sockaddr *)&address, &len) != 0)
        give_up("listen");
    (void)printf("url=http://127.0.0.1:%u\n", ntohs(address.sin_port));
}

int main(int argc, char **argv)
{
    struct connection *connections = calloc(CONNECTIONS_MAX, sizeof(*connections));
    struct target target = { .epoll = epoll_create1(EPOLL_CLOEXEC) };
    int64_t latency_ms = 0;

    if (argc != 2 || !str_to_int64(str_from(argv[1]), &latency_ms) || latency_ms < 0 ||
        latency_ms > LATENCY_MAX_MS) {
        (void)fprintf(stderr, "usage: slow_target MILLISECONDS\n");
        return 2;
    }
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    (void)setvbuf(stdin, NULL, _IONBF, 0); /* what is read is what epoll told of */
    target.latency_ns = latency_ms * 1000000;
    if (!connections || target.epoll < 0)
        give_up("start");
    for (size_t i = CONNECTIONS_MAX; i > 0; i--)
        put_back(&target, &connections[i - 1]);
    open_listener(&target);
    watch(&target, target.listener, &target.listener);
    watch(&target, STDIN_FILENO, &target);
    serve(&target);
    free(connections);
    return 0;
}
