#include "sts.h"

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

#define PATIENCE_MS 5000
#define REQUEST_MAX ((size_t)128 * 1024)

struct sts {
    pthread_t thread;
    int listener;
    struct sts_script script;
    char request[REQUEST_MAX];
    size_t len;
};

static int listen_on_loopback(char url[64])
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    (void)snprintf(url, 64, "http://127.0.0.1:%u", (unsigned)ntohs(address.sin_port));
    return fd;
}

static bool is_readable(int fd)
{
    struct pollfd waited = { .fd = fd, .events = POLLIN };

    return poll(&waited, 1, PATIENCE_MS) == 1;
}

/* How long head and body are together; 0 while the head is not whole. */
static size_t request_len(const struct sts *sts)
{
    const char *end = strstr(sts->request, "\r\n\r\n");
    const char *field = strstr(sts->request, "Content-Length: ");
    int64_t body = 0;
    struct str digits;
    struct str rest;

    if (!end)
        return 0;
    assert_non_null(field);
    (void)str_cut(str_from(field + strlen("Content-Length: ")), '\r', &digits, &rest);
    assert_true(str_to_int64(digits, &body));
    return (size_t)(end - sts->request) + 4 + (size_t)body;
}

static void read_request(struct sts *sts, int fd)
{
    size_t wanted = 0;

    while ((wanted == 0 || sts->len < wanted) && sts->len + 1 < REQUEST_MAX && is_readable(fd)) {
        ssize_t got = read(fd, sts->request + sts->len, REQUEST_MAX - 1 - sts->len);

        if (got <= 0)
            return;
        sts->len += (size_t)got;
        sts->request[sts->len] = '\0';
        wanted = request_len(sts);
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

static void *serve(void *context)
{
    struct sts *sts = context;
    char head[160];
    int fd = is_readable(sts->listener) ? accept(sts->listener, NULL, NULL) : -1;

    if (fd < 0)
        return NULL;
    read_request(sts, fd);
    if (sts->script.status != 0) {
        (void)snprintf(head, sizeof(head),
                       "HTTP/1.1 %d X\r\nContent-Type: text/xml\r\nContent-Length: %zu\r\n"
                       "Connection: close\r\n\r\n",
                       sts->script.status, sts->script.body.len + sts->script.promised_more);
        send_all(fd, str_from(head));
        send_all(fd, sts->script.body);
    }
    (void)close(fd); /* all is sent */
    return NULL;
}

struct sts *sts_start(struct sts_script script, char url[64])
{
    struct sts *sts = calloc(1, sizeof(*sts));

    assert_non_null(sts);
    sts->script = script;
    sts->listener = listen_on_loopback(url);
    assert_int_equal(pthread_create(&sts->thread, NULL, serve, sts), 0);
    return sts;
}

void sts_stop(struct sts *sts, char *form, size_t size)
{
    const char *body;

    assert_int_equal(pthread_join(sts->thread, NULL), 0);
    (void)close(sts->listener);
    body = strstr(sts->request, "\r\n\r\n");
    (void)snprintf(form, size, "%s", body ? body + 4 : "");
    free(sts);
}

void sts_nobody(char url[64])
{
    (void)close(listen_on_loopback(url));
}
