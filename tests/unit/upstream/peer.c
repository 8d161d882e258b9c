#include "tests/unit/upstream/peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct connection {
    struct peer *peer;
    int fd;
    pthread_t thread;
};

struct peer {
    peer_handler handler;
    void *context;
    int listener;
    unsigned port;
    pthread_t thread;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_stopping; /* guarded by lock, like all below */
    unsigned release_count;
    unsigned request_count;
    unsigned connection_count;
    struct connection connections[PEER_CONNECTIONS_MAX];
};

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    perror(what);
    abort();
}

void peer_send(int fd, const char *text)
{
    size_t len = strlen(text);

    while (len > 0) {
        ssize_t sent = send(fd, text, len, MSG_NOSIGNAL);

        if (sent <= 0)
            return;
        text += sent;
        len -= (size_t)sent;
    }
}

void peer_answer(int fd, int status, const char *headers, const char *body)
{
    char head[1024];

    (void)snprintf(head, sizeof(head), "HTTP/1.1 %d Status\r\nContent-Length: %zu\r\n%s\r\n",
                   status, strlen(body), headers);
    peer_send(fd, head);
    peer_send(fd, body);
}

static void wait_for_release(struct peer *peer)
{
    unsigned before = peer->release_count;

    while (!peer->is_stopping && peer->release_count == before)
        pthread_cond_wait(&peer->changed, &peer->lock);
}

void peer_hang(struct peer *peer)
{
    pthread_mutex_lock(&peer->lock);
    wait_for_release(peer);
    pthread_mutex_unlock(&peer->lock);
}

void peer_release(struct peer *peer)
{
    pthread_mutex_lock(&peer->lock);
    peer->release_count++;
    pthread_cond_broadcast(&peer->changed);
    pthread_mutex_unlock(&peer->lock);
}

static size_t parse_count(const char *digits)
{
    size_t count = 0;

    for (; *digits >= '0' && *digits <= '9'; digits++)
        count = count * 10 + (size_t)(*digits - '0');
    return count;
}

/* Bytes that the body has, by Content-Length as curl writes it. */
static size_t body_len(const char *head)
{
    const char *field = strstr(head, "Content-Length: ");

    return field != NULL ? parse_count(field + 16) : 0;
}

static bool is_whole(const char *request, size_t len)
{
    const char *end = strstr(request, "\r\n\r\n");

    return end != NULL && len >= (size_t)(end - request) + 4 + body_len(request);
}

/* One request: clients of ours do not send the next before its answer. */
static bool read_request(int fd, char request[PEER_REQUEST_MAX])
{
    size_t len = 0;

    request[0] = '\0';
    while (!is_whole(request, len)) {
        ssize_t count = recv(fd, request + len, PEER_REQUEST_MAX - 1 - len, 0);

        if (count <= 0)
            return false;
        len += (size_t)count;
        request[len] = '\0';
    }
    return true;
}

static void *serve(void *context)
{
    struct connection *connection = context;
    struct peer *peer = connection->peer;
    char request[PEER_REQUEST_MAX];
    bool is_open = true;

    while (is_open && read_request(connection->fd, request)) {
        pthread_mutex_lock(&peer->lock);
        peer->request_count++;
        pthread_mutex_unlock(&peer->lock);
        is_open = peer->handler(peer, connection->fd, request, peer->context);
    }
    (void)shutdown(connection->fd, SHUT_RDWR);
    return NULL;
}

static bool admit(struct peer *peer, int fd)
{
    struct connection *connection;
    bool is_admitted;

    pthread_mutex_lock(&peer->lock);
    is_admitted = !peer->is_stopping && peer->connection_count < PEER_CONNECTIONS_MAX;
    if (is_admitted) {
        connection = &peer->connections[peer->connection_count];
        connection->peer = peer;
        connection->fd = fd;
        must(pthread_create(&connection->thread, NULL, serve, connection) == 0, "thread");
        peer->connection_count++;
    }
    pthread_mutex_unlock(&peer->lock);
    return is_admitted;
}

static void *accept_all(void *context)
{
    struct peer *peer = context;
    int no_delay = 1;

    for (;;) {
        int fd = accept(peer->listener, NULL, NULL);

        if (fd < 0)
            return NULL;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &no_delay, sizeof(no_delay));
        if (!admit(peer, fd))
            (void)close(fd);
    }
}

struct peer *peer_start(peer_handler handler, void *context)
{
    struct peer *peer = calloc(1, sizeof(*peer));
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t len = sizeof(address);

    must(peer != NULL, "memory");
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    peer->handler = handler;
    peer->context = context;
    peer->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(peer->listener >= 0, "socket");
    must(bind(peer->listener, (struct sockaddr *)&address, len) == 0, "bind");
    must(listen(peer->listener, 64) == 0, "listen");
    must(getsockname(peer->listener, (struct sockaddr *)&address, &len) == 0, "getsockname");
    peer->port = ntohs(address.sin_port);
    pthread_mutex_init(&peer->lock, NULL);
    pthread_cond_init(&peer->changed, NULL);
    must(pthread_create(&peer->thread, NULL, accept_all, peer) == 0, "thread");
    return peer;
}

void peer_stop(struct peer *peer)
{
    if (peer == NULL)
        return;
    pthread_mutex_lock(&peer->lock);
    peer->is_stopping = true;
    pthread_cond_broadcast(&peer->changed);
    for (unsigned i = 0; i < peer->connection_count; i++)
        (void)shutdown(peer->connections[i].fd, SHUT_RDWR);
    pthread_mutex_unlock(&peer->lock);
    (void)shutdown(peer->listener, SHUT_RDWR);
    pthread_join(peer->thread, NULL);
    for (unsigned i = 0; i < peer->connection_count; i++) {
        pthread_join(peer->connections[i].thread, NULL);
        (void)close(peer->connections[i].fd);
    }
    (void)close(peer->listener);
    pthread_cond_destroy(&peer->changed);
    pthread_mutex_destroy(&peer->lock);
    free(peer);
}

const char *peer_url(const struct peer *peer, const char *scheme_and_host, const char *path,
                     char out[PEER_URL_MAX])
{
    (void)snprintf(out, PEER_URL_MAX, "%s:%u%s", scheme_and_host, peer->port, path);
    return out;
}

unsigned peer_connection_count(struct peer *peer)
{
    unsigned count;

    pthread_mutex_lock(&peer->lock);
    count = peer->connection_count;
    pthread_mutex_unlock(&peer->lock);
    return count;
}

unsigned peer_request_count(struct peer *peer)
{
    unsigned count;

    pthread_mutex_lock(&peer->lock);
    count = peer->request_count;
    pthread_mutex_unlock(&peer->lock);
    return count;
}
