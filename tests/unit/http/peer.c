#include "peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "tests/test.h"

#define PATIENCE_MS 30000

int peer_socket(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    return fd;
}

bool peer_join(int fd, uint16_t port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
}

int peer_connect(uint16_t port)
{
    int fd = peer_socket();

    if (peer_join(fd, port))
        return fd;
    (void)close(fd); /* nothing was sent */
    return -1;
}

void peer_close(int fd)
{
    (void)close(fd); /* the test has seen what it wanted */
}

void peer_send(int fd, struct str bytes)
{
    while (bytes.len > 0) {
        ssize_t sent = send(fd, bytes.data, bytes.len, MSG_NOSIGNAL);

        if (sent <= 0)
            return;
        bytes = str_slice(bytes, (size_t)sent, bytes.len);
    }
}

void peer_send_text(int fd, const char *text)
{
    peer_send(fd, str_from(text));
}

/* Milliseconds that are left until `end_ns`, at least 0. */
static int left_ms(int64_t end_ns)
{
    int64_t left = (end_ns - clock_monotonic_ns()) / 1000000;

    return left < 0 ? 0 : (int)left;
}

static bool read_some(int fd, struct answer *answer, int timeout_ms)
{
    struct pollfd watched = { .fd = fd, .events = POLLIN };
    ssize_t got;

    if (poll(&watched, 1, timeout_ms) <= 0)
        return false;
    got = recv(fd, answer->text + answer->len, sizeof(answer->text) - 1 - answer->len, 0);
    if (got <= 0)
        return false;
    answer->len += (size_t)got;
    answer->text[answer->len] = '\0';
    return true;
}

/* Where the body starts; 0 while the head is not complete. */
static size_t body_start(const struct answer *answer)
{
    const char *end = strstr(answer->text, "\r\n\r\n");

    return end == NULL ? 0 : (size_t)(end - answer->text) + 4;
}

static size_t content_length(const struct answer *answer)
{
    const char *field = strstr(answer->text, "Content-Length: ");
    int64_t length = 0;
    struct str digits;
    struct str rest;

    if (field == NULL)
        return 0;
    (void)str_cut(str_from(field + strlen("Content-Length: ")), '\r', &digits, &rest);
    return str_to_int64(digits, &length) ? (size_t)length : 0;
}

bool answer_is_whole(struct answer *answer)
{
    size_t start = body_start(answer);
    int64_t status = 0;

    if (start == 0 || answer->len < start + content_length(answer))
        return false;
    answer->head = (struct str){ answer->text, start };
    answer->body = (struct str){ answer->text + start, answer->len - start };
    assert_true(str_starts_with(answer->head, STR("HTTP/1.1 ")));
    assert_true(str_to_int64(str_slice(answer->head, 9, 3), &status));
    answer->status = (int)status;
    return true;
}

bool peer_read(int fd, struct answer *answer)
{
    const int64_t end_ns = clock_monotonic_ns() + (int64_t)PATIENCE_MS * 1000000;

    answer->status = 0;
    answer->len = 0;
    answer->text[0] = '\0';
    while (read_some(fd, answer, left_ms(end_ns))) {
        if (answer_is_whole(answer))
            return true;
    }
    return false;
}

bool peer_is_closed(int fd, int timeout_ms)
{
    const int64_t end_ns = clock_monotonic_ns() + (int64_t)timeout_ms * 1000000;
    struct pollfd watched = { .fd = fd, .events = POLLIN };
    char dropped[4096];

    while (poll(&watched, 1, left_ms(end_ns)) > 0) {
        if (recv(fd, dropped, sizeof(dropped), 0) <= 0)
            return true;
    }
    return false;
}

bool answer_has(const struct answer *answer, const char *line)
{
    struct str rest = answer->head;
    struct str field;

    while (rest.len > 0) {
        (void)str_cut(rest, '\n', &field, &rest);
        if (str_eq(str_trim(field), str_from(line)))
            return true;
    }
    return false;
}

void peer_ask(uint16_t port, const char *text, struct answer *answer)
{
    int fd = peer_connect(port);

    assert_true(fd >= 0);
    peer_send_text(fd, text);
    (void)peer_read(fd, answer); /* status 0 tells */
    peer_close(fd);
}

struct http_server *peer_server(struct http_options options)
{
    struct http_server *server = NULL;
    struct error error = { 0 };

    options.address = STR("127.0.0.1");
    if (!http_start(&options, &server, &error))
        fail_msg("server: %s", error.cause);
    return server;
}
