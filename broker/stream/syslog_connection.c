#include "stream/syslog_connection.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/network.h"
#include "stream/syslog_tls.h"

#define CONNECT_TIMEOUT_MS 5000
#define WRITE_TIMEOUT_MS 10000
#define DRAIN_TIMEOUT_MS 10000
#define POLL_MS 200 /* how soon an end is noticed */
#define DRAIN_POLL_MS 2

struct syslog_connection {
    const struct stream_options *options;
    const atomic_bool *is_ending;
    int socket;
    bool is_datagram;
    struct syslog_tls *tls; /* NULL: none */
};

bool syslog_is_datagram(const struct syslog_connection *connection)
{
    return connection->is_datagram;
}

static bool fail(const struct syslog_connection *connection, const char *what, struct error *error)
{
    return error_set(error, ERROR_UNREACHABLE, "%s: %s", connection->options->host, what);
}

static bool fail_errno(const struct syslog_connection *connection, int number, struct error *error)
{
    char text[128];

    return fail(connection, strerror_r(number, text, sizeof(text)) == 0 ? text : "failed", error);
}

/* Until the socket is ready; false at the deadline, and at the end. */
static bool wait_ready(const struct syslog_connection *connection, short events,
                       int64_t deadline_ms, struct error *error)
{
    struct pollfd file = { .fd = connection->socket, .events = events };

    for (;;) {
        int64_t left_ms = deadline_ms - clock_monotonic_ms();

        if (atomic_load(connection->is_ending))
            return error_set(error, ERROR_STOPPING, "the stream ends");
        if (left_ms <= 0)
            return fail(connection, "it does not answer in time", error);
        if (poll(&file, 1, left_ms < POLL_MS ? (int)left_ms : POLL_MS) > 0)
            return true;
    }
}

/* Connecting. */

static bool finish_connect(struct syslog_connection *connection, struct error *error)
{
    int64_t deadline_ms = clock_monotonic_ms() + CONNECT_TIMEOUT_MS;
    socklen_t len = sizeof(int);
    int failure = 0;

    if (!wait_ready(connection, POLLOUT, deadline_ms, error))
        return false;
    if (getsockopt(connection->socket, SOL_SOCKET, SO_ERROR, &failure, &len) != 0)
        failure = errno;
    return failure == 0 || fail_errno(connection, failure, error);
}

static bool connect_socket(struct syslog_connection *connection, int type,
                           const struct sockaddr *address, socklen_t len, struct error *error)
{
    connection->is_datagram = type == SOCK_DGRAM;
    connection->socket = socket(address->sa_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (connection->socket < 0)
        return fail_errno(connection, errno, error);
    if (connect(connection->socket, address, len) == 0)
        return true;
    if (errno == EINPROGRESS)
        return finish_connect(connection, error);
    return fail_errno(connection, errno, error);
}

static void close_socket(struct syslog_connection *connection)
{
    if (connection->socket >= 0)
        (void)close(connection->socket); /* what it loses is sent again */
    connection->socket = -1;
}

/* Syslog daemons have a datagram socket there; some a stream socket. */
static bool connect_unix(struct syslog_connection *connection, struct error *error)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct error other = { 0 };
    struct str path = str_from(connection->options->host);

    if (path.len >= sizeof(address.sun_path))
        return fail(connection, "the path is too long for a socket", error);
    memcpy(address.sun_path, path.data, path.len);
    if (connect_socket(connection, SOCK_DGRAM, (const struct sockaddr *)&address, sizeof(address),
                       &other))
        return true;
    close_socket(connection);
    return connect_socket(connection, SOCK_STREAM, (const struct sockaddr *)&address,
                          sizeof(address), error);
}

static bool is_allowed(const struct syslog_connection *connection, const struct sockaddr *sockaddr)
{
    const struct upstream_peer *peer = &connection->options->peer;
    struct address address;

    if (!address_from_sockaddr(sockaddr, &address))
        return false;
    if (connection->options->transport == STREAM_TCP)
        return address_is_loopback(&address);
    if (address_is_public(&address))
        return true;
    for (size_t i = 0; i < peer->network_count; i++)
        if (network_contains(&peer->networks[i], &address))
            return true;
    return false;
}

static bool connect_one(struct syslog_connection *connection, const struct addrinfo *to,
                        struct error *error)
{
    if (!is_allowed(connection, to->ai_addr))
        return fail(connection,
                    connection->options->transport == STREAM_TCP
                        ? "tcp: is for loopback addresses only"
                        : "its address is not public and not in allow_networks",
                    error);
    return connect_socket(connection, SOCK_STREAM, to->ai_addr, to->ai_addrlen, error);
}

static bool connect_internet(struct syslog_connection *connection, struct error *error)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
    struct error why = { 0 };
    struct addrinfo *found = NULL;
    int failure = getaddrinfo(connection->options->host, connection->options->port, &hints, &found);
    bool is_connected = false;

    if (failure != 0)
        return fail(connection, gai_strerror(failure), error);
    for (const struct addrinfo *to = found; to != NULL && !is_connected; to = to->ai_next) {
        why = (struct error){ 0 };
        is_connected = connect_one(connection, to, &why);
        if (!is_connected)
            close_socket(connection);
    }
    freeaddrinfo(found);
    return is_connected || error_set(error, why.code, "%s", why.cause);
}

/* One step of TLS: true when it is done, or the socket is ready for the next. */
static bool wait_step(struct syslog_connection *connection, enum tls_step step, int64_t deadline_ms,
                      struct error *error)
{
    if (step == TLS_DONE)
        return true;
    if (step == TLS_FAILED)
        return error_wrap(error, "%s", connection->options->host);
    return wait_ready(connection, step == TLS_WANTS_READ ? POLLIN : POLLOUT, deadline_ms, error);
}

static bool start_tls(struct syslog_connection *connection, struct error *error)
{
    int64_t deadline_ms = clock_monotonic_ms() + CONNECT_TIMEOUT_MS;
    enum tls_step step;

    if (!syslog_tls_new(connection->options, connection->socket, &connection->tls, error))
        return false;
    do {
        step = syslog_tls_handshake(connection->tls, error);
        if (!wait_step(connection, step, deadline_ms, error))
            return false;
    } while (step != TLS_DONE);
    return true;
}

static bool connect_any(struct syslog_connection *connection, struct error *error)
{
    if (connection->options->transport == STREAM_UNIX)
        return connect_unix(connection, error);
    return connect_internet(connection, error) &&
           (connection->options->transport == STREAM_TCP || start_tls(connection, error));
}

bool syslog_connect(const struct stream_options *options, const atomic_bool *is_ending,
                    struct syslog_connection **connection, struct error *error)
{
    struct syslog_connection *made = calloc(1, sizeof(*made));

    if (made == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for a connection");
    made->options = options;
    made->is_ending = is_ending;
    made->socket = -1;
    if (!connect_any(made, error)) {
        syslog_disconnect(made);
        return false;
    }
    *connection = made;
    return true;
}

void syslog_disconnect(struct syslog_connection *connection)
{
    if (connection == NULL)
        return;
    syslog_tls_free(connection->tls);
    close_socket(connection);
    free(connection);
}

/* Writing. */

static bool write_plain(struct syslog_connection *connection, struct str bytes, struct error *error)
{
    int64_t deadline_ms = clock_monotonic_ms() + WRITE_TIMEOUT_MS;
    size_t done = 0;

    while (done < bytes.len) {
        ssize_t count = send(connection->socket, bytes.data + done, bytes.len - done, MSG_NOSIGNAL);

        if (count >= 0)
            done += (size_t)count;
        else if (errno != EAGAIN && errno != EINTR)
            return fail_errno(connection, errno, error);
        else if (!wait_ready(connection, POLLOUT, deadline_ms, error))
            return false;
    }
    return true;
}

static bool write_tls(struct syslog_connection *connection, struct str bytes, struct error *error)
{
    int64_t deadline_ms = clock_monotonic_ms() + WRITE_TIMEOUT_MS;
    size_t done = 0;

    while (done < bytes.len) {
        size_t count = 0;
        enum tls_step step = syslog_tls_write(
            connection->tls, str_slice(bytes, done, bytes.len - done), &count, error);

        done += count;
        if (!wait_step(connection, step, deadline_ms, error))
            return false;
    }
    return true;
}

bool syslog_write(struct syslog_connection *connection, struct str bytes, struct error *error)
{
    return connection->tls ? write_tls(connection, bytes, error)
                           : write_plain(connection, bytes, error);
}

bool syslog_drain(struct syslog_connection *connection, struct error *error)
{
    int64_t deadline_ms = clock_monotonic_ms() + DRAIN_TIMEOUT_MS;
    int left = 0;

    for (;;) {
        if (ioctl(connection->socket, SIOCOUTQ, &left) != 0)
            return fail_errno(connection, errno, error);
        if (left == 0)
            return true;
        if (atomic_load(connection->is_ending))
            return error_set(error, ERROR_STOPPING, "the stream ends");
        if (clock_monotonic_ms() > deadline_ms)
            return fail(connection, "it does not take what it is sent", error);
        (void)poll(NULL, 0, DRAIN_POLL_MS); /* the system tells nobody when it is empty */
    }
}

bool syslog_is_alive(struct syslog_connection *connection)
{
    char ignored[512];

    if (connection->tls)
        return syslog_tls_is_alive(connection->tls);
    if (connection->is_datagram)
        return true;
    for (size_t i = 0; i < SYSLOG_READS_MAX; i++) {
        ssize_t count = recv(connection->socket, ignored, sizeof(ignored), MSG_DONTWAIT);

        if (count <= 0)
            return count < 0 && (errno == EAGAIN || errno == EINTR);
    }
    return true;
}
