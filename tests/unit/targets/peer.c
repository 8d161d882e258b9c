#include "peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/macros.h"
#include "tests/test.h"

#define PATIENCE_MS 30000

struct peer {
    pthread_t thread;
    int listener;
    int stop[2]; /* closed at one end: nobody comes any more */
    struct peer_script scripts[PEER_SCRIPTS_MAX];
    size_t count;
    struct peer_log log;
};

static int listen_on_loopback(char url[64])
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, PEER_SCRIPTS_MAX), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    (void)snprintf(url, 64, "http://127.0.0.1:%u", (unsigned)ntohs(address.sin_port));
    return fd;
}

static bool is_readable(int fd)
{
    struct pollfd waited = { .fd = fd, .events = POLLIN };

    return poll(&waited, 1, PATIENCE_MS) == 1;
}

/* A connection, or that there will be none. */
static int next_connection(const struct peer *peer)
{
    struct pollfd waited[] = { { .fd = peer->listener, .events = POLLIN },
                               { .fd = peer->stop[0], .events = POLLIN } };

    if (poll(waited, COUNT(waited), PATIENCE_MS) < 1 || (waited[0].revents & POLLIN) == 0)
        return -1;
    return accept(peer->listener, NULL, NULL);
}

/* How long head and body are together; 0 while the head is not whole. */
static size_t request_len(const char *request)
{
    const char *end = strstr(request, "\r\n\r\n");
    const char *field = strstr(request, "Content-Length: ");
    int64_t body = 0;
    struct str digits;
    struct str rest;

    if (!end)
        return 0;
    if (!field)
        return (size_t)(end - request) + 4; /* GET, DELETE */
    (void)str_cut(str_from(field + strlen("Content-Length: ")), '\r', &digits, &rest);
    assert_true(str_to_int64(digits, &body));
    return (size_t)(end - request) + 4 + (size_t)body;
}

static void read_request(char *request, int fd)
{
    size_t wanted = 0;
    size_t len = 0;

    while ((wanted == 0 || len < wanted) && len + 1 < PEER_REQUEST_MAX && is_readable(fd)) {
        ssize_t got = read(fd, request + len, PEER_REQUEST_MAX - 1 - len);

        if (got <= 0)
            return;
        len += (size_t)got;
        request[len] = '\0';
        wanted = request_len(request);
    }
}

static void send_all(int fd, struct str bytes)
{
    while (bytes.len > 0) {
        ssize_t sent = send(fd, bytes.data, bytes.len, MSG_NOSIGNAL);

        if (sent <= 0)
            return;
        bytes = str_slice(bytes, (size_t)sent, bytes.len);
    }
}

static void answer(const struct peer_script *script, int fd)
{
    char head[160];

    if (script->status == 0)
        return;
    (void)snprintf(head, sizeof(head),
                   "HTTP/1.1 %d X\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n"
                   "Connection: close\r\n\r\n",
                   script->status, script->body.len + script->promised_more);
    send_all(fd, str_from(head));
    send_all(fd, script->body);
}

static void *serve(void *context)
{
    struct peer *peer = context;

    for (size_t i = 0; i < peer->count; i++) {
        int fd = next_connection(peer);

        if (fd < 0)
            return NULL;
        read_request(peer->log.requests[i], fd);
        answer(&peer->scripts[i], fd);
        (void)close(fd); /* all is sent */
    }
    return NULL;
}

struct peer *peer_start(const struct peer_script *scripts, size_t count, char url[64])
{
    struct peer *peer = calloc(1, sizeof(*peer));

    assert_non_null(peer);
    assert_in_range(count, 1, PEER_SCRIPTS_MAX);
    memcpy(peer->scripts, scripts, count * sizeof(*scripts));
    peer->count = count;
    peer->listener = listen_on_loopback(url);
    assert_int_equal(pipe(peer->stop), 0);
    assert_int_equal(pthread_create(&peer->thread, NULL, serve, peer), 0);
    return peer;
}

void peer_stop(struct peer *peer, struct peer_log *log)
{
    (void)close(peer->stop[1]); /* whoever waits for a connection sees it */
    assert_int_equal(pthread_join(peer->thread, NULL), 0);
    (void)close(peer->stop[0]);
    (void)close(peer->listener);
    *log = peer->log;
    free(peer);
}

const char *peer_body(const struct peer_log *log, size_t index)
{
    const char *body = strstr(log->requests[index], "\r\n\r\n");

    return body ? body + 4 : "";
}

void peer_nobody(char url[64])
{
    (void)close(listen_on_loopback(url));
}
