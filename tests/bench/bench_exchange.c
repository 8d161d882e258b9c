/*
 * Sends pre-signed single-use tokens to a running broker over keep-alive connections and prints
 * what it costs: requests a second, latency, the broker's CPU time a request and its memory.
 *
 * One thread, one epoll, plain HTTP on loopback: the generator must cost little beside the broker.
 */

/* memmem */
#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/str.h"

#define CONNECTIONS_MAX 1024
#define ANSWER_MAX 16384
#define TOKENS_BYTES_MAX ((size_t)1024 * 1024 * 1024)
#define WARM_UP_SHARE 20 /* the first 1/20 is not counted */

struct connection {
    int fd;
    int64_t sent_ns;
    size_t answer_len;
    char answer[ANSWER_MAX];
};

struct bench {
    uint16_t port;
    struct str stage;
    struct str tokens; /* what is left: one a line */
    size_t total;
    size_t sent;
    size_t done;
    size_t failed;
    int64_t *latencies_ns;
    int epoll;
    struct connection *connections;
    size_t connection_count;
};

/* CPU time of a process in microseconds, from /proc; 0 where it cannot be read. */
static int64_t cpu_us(pid_t pid)
{
    unsigned long user = 0;
    unsigned long kernel = 0;
    char path[64];
    FILE *stat;
    int count;

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    stat = fopen(path, "r");
    if (!stat)
        return 0;
    count =
        fscanf(stat, "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &kernel);
    (void)fclose(stat); /* only read */
    return count == 2 ? (int64_t)(user + kernel) * (1000000 / sysconf(_SC_CLK_TCK)) : 0;
}

static int64_t resident_kib(pid_t pid)
{
    int64_t pages = 0;
    char path[64];
    FILE *statm;
    int count;

    (void)snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
    statm = fopen(path, "r");
    if (!statm)
        return 0;
    count = fscanf(statm, "%*d %ld", &pages);
    (void)fclose(statm); /* only read */
    return count == 1 ? pages * sysconf(_SC_PAGESIZE) / 1024 : 0;
}

static bool next_token(struct bench *bench, struct str *token)
{
    while (bench->tokens.len > 0) {
        (void)str_cut(bench->tokens, '\n', token, &bench->tokens);
        if (token->len > 0)
            return true;
    }
    return false;
}

static bool send_all(int fd, struct str bytes)
{
    while (bytes.len > 0) {
        ssize_t sent = send(fd, bytes.data, bytes.len, MSG_NOSIGNAL);

        if (sent < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (sent <= 0)
            return false;
        bytes = str_slice(bytes, (size_t)sent, bytes.len);
    }
    return true;
}

/* Send the next token, if there is one. */
static bool send_next(struct bench *bench, struct connection *connection)
{
    OWNED(buf_release) struct buf request = { 0 };
    struct str token;
    char body_len[32];

    if (!next_token(bench, &token))
        return true;
    buf_init(&request, 65536);
    (void)snprintf(body_len, sizeof(body_len), "%zu",
                   sizeof("grant_type=urn:ietf:params:oauth:grant-type:token-exchange"
                          "&subject_token_type=urn:ietf:params:oauth:token-type:jwt&stage="
                          "&subject_token=") -
                       1 + bench->stage.len + token.len);
    buf_add_text(&request, "POST /token HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                           "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: ");
    buf_add_text(&request, body_len);
    buf_add_text(&request, "\r\n\r\n"
                           "grant_type=urn:ietf:params:oauth:grant-type:token-exchange"
                           "&subject_token_type=urn:ietf:params:oauth:token-type:jwt&stage=");
    buf_add(&request, bench->stage);
    buf_add_text(&request, "&subject_token=");
    buf_add(&request, token);
    if (!buf_is_ok(&request))
        return false;
    connection->sent_ns = clock_monotonic_ns();
    connection->answer_len = 0;
    bench->sent++;
    return send_all(connection->fd, buf_str(&request));
}

static bool connect_one(struct bench *bench, struct connection *connection)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(bench->port) };
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = connection };
    int on = 1;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return connection->fd >= 0 &&
           connect(connection->fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
           setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0 &&
           fcntl(connection->fd, F_SETFL, O_NONBLOCK) == 0 &&
           epoll_ctl(bench->epoll, EPOLL_CTL_ADD, connection->fd, &event) == 0;
}

static bool read_number(const char *digits, const char *end, int64_t *value)
{
    struct str text = { digits, (size_t)(end - digits) };

    return str_to_int64(str_slice(text, 0, str_find(text, '\r')), value);
}

/* Whether the whole answer is there: its head says how long the body is. */
static bool is_whole(const struct connection *connection)
{
    const char *end = memmem(connection->answer, connection->answer_len, "\r\n\r\n", 4);
    const char *field;
    int64_t body_len;
    size_t head_len;

    if (!end)
        return false;
    head_len = (size_t)(end - connection->answer) + 4;
    field = memmem(connection->answer, head_len, "Content-Length: ", 16);
    return field && read_number(field + 16, end, &body_len) &&
           connection->answer_len >= head_len + (size_t)body_len;
}

static bool take_answer(struct bench *bench, struct connection *connection)
{
    size_t room = sizeof(connection->answer) - connection->answer_len;
    ssize_t got = recv(connection->fd, connection->answer + connection->answer_len, room, 0);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (got <= 0)
        return false;
    connection->answer_len += (size_t)got;
    if (!is_whole(connection))
        return true;
    bench->latencies_ns[bench->done++] = clock_monotonic_ns() - connection->sent_ns;
    if (memcmp(connection->answer, "HTTP/1.1 200", 12) != 0 && bench->failed++ == 0)
        (void)fprintf(stderr, "bench_exchange: %.*s\n", (int)connection->answer_len,
                      connection->answer);
    if (memmem(connection->answer, connection->answer_len, "Connection: close", 17)) {
        (void)close(connection->fd); /* the broker's limit of requests a connection */
        if (!connect_one(bench, connection))
            return false;
    }
    return send_next(bench, connection);
}

static bool pump(struct bench *bench, size_t until)
{
    struct epoll_event events[64];

    while (bench->done < until) {
        int count = epoll_wait(bench->epoll, events, 64, 10000);

        if (count <= 0 && errno != EINTR)
            return false;
        for (int i = 0; i < count; i++)
            if (!take_answer(bench, events[i].data.ptr))
                return false;
    }
    return true;
}

static int compare_latencies(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;

    return (left > right) - (left < right);
}

static void print_result(struct bench *bench, size_t warm_up, int64_t elapsed_ns, int64_t used_us,
                         pid_t pid)
{
    size_t count = bench->done - warm_up;
    int64_t *sorted = bench->latencies_ns + warm_up;

    qsort(sorted, count, sizeof(*sorted), compare_latencies);
    (void)printf("connections=%zu requests=%zu failed=%zu rate_per_s=%.0f p50_ms=%.2f p99_ms=%.2f "
                 "cpu_us=%.1f rss_mib=%.1f\n",
                 bench->connection_count, count, bench->failed,
                 (double)count * 1e9 / (double)elapsed_ns, (double)sorted[count / 2] / 1e6,
                 (double)sorted[count * 99 / 100] / 1e6, (double)used_us / (double)count,
                 (double)resident_kib(pid) / 1024.0);
}

static bool run(struct bench *bench, pid_t pid)
{
    size_t warm_up = bench->total / WARM_UP_SHARE;
    int64_t started_ns;
    int64_t started_us;

    for (size_t i = 0; i < bench->connection_count; i++)
        if (!connect_one(bench, &bench->connections[i]) ||
            !send_next(bench, &bench->connections[i]))
            return false;
    if (!pump(bench, warm_up))
        return false;
    started_ns = clock_monotonic_ns();
    started_us = cpu_us(pid);
    warm_up = bench->done;
    if (!pump(bench, bench->total))
        return false;
    print_result(bench, warm_up, clock_monotonic_ns() - started_ns, cpu_us(pid) - started_us, pid);
    return bench->failed == 0;
}

static size_t count_lines(struct str text)
{
    size_t count = 0;

    for (size_t i = 0; i < text.len; i++)
        count += text.data[i] == '\n';
    return count;
}

int main(int argc, char **argv)
{
    OWNED(arena_free) struct arena *arena = arena_new(TOKENS_BYTES_MAX);
    struct bench bench = { 0 };
    struct error error = { 0 };
    int64_t port = 0;
    int64_t pid = 0;
    int64_t connections = 0;

    if (argc != 6 || !arena || !str_to_int64(str_from(argv[1]), &port) ||
        !str_to_int64(str_from(argv[2]), &pid) || !str_to_int64(str_from(argv[4]), &connections)) {
        (void)fprintf(stderr, "usage: bench_exchange PORT PID STAGE CONNECTIONS TOKENS\n"
                              "TOKENS: a file with one unused token a line\n");
        return 2;
    }
    bench.port = (uint16_t)port;
    bench.stage = str_from(argv[3]);
    bench.connection_count = (size_t)connections;
    if (!file_read(arena, argv[5], TOKENS_BYTES_MAX / 2, &bench.tokens, &error)) {
        (void)fprintf(stderr, "bench_exchange: %s\n", error.cause);
        return 1;
    }
    bench.total = count_lines(bench.tokens);
    bench.latencies_ns = calloc(bench.total + 1, sizeof(*bench.latencies_ns));
    bench.connections = calloc(CONNECTIONS_MAX, sizeof(*bench.connections));
    bench.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!bench.latencies_ns || !bench.connections || bench.epoll < 0 ||
        bench.connection_count < 1 || bench.connection_count > CONNECTIONS_MAX ||
        !run(&bench, (pid_t)pid)) {
        (void)fprintf(stderr, "bench_exchange: stopped after %zu answers\n", bench.done);
        return 1;
    }
    free(bench.latencies_ns);
    free(bench.connections);
    return 0;
}
