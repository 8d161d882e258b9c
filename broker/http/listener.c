#include "http/listener.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/network.h"

/* What may stand between the kernel and accept(); the kernel clamps it to net.core.somaxconn. */
#define BACKLOG 1024

/** An address as the system wants it. */
struct endpoint {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } at;
    socklen_t len;
};

static bool endpoint_from(struct str text, uint16_t port, struct endpoint *endpoint)
{
    struct address address;

    *endpoint = (struct endpoint){ 0 };
    if (!address_parse(text, &address))
        return false;
    if (address.len == 4) {
        endpoint->at.v4.sin_family = AF_INET;
        endpoint->at.v4.sin_port = htons(port);
        memcpy(&endpoint->at.v4.sin_addr, address.bytes, 4);
        endpoint->len = sizeof(endpoint->at.v4);
        return true;
    }
    endpoint->at.v6.sin6_family = AF_INET6;
    endpoint->at.v6.sin6_port = htons(port);
    memcpy(&endpoint->at.v6.sin6_addr, address.bytes, 16);
    endpoint->len = sizeof(endpoint->at.v6);
    return true;
}

/* SO_REUSEADDR only forgives connections that still linger; SO_REUSEPORT also lets others listen.
 */
static int open_socket(const struct endpoint *endpoint, const int *options, size_t option_count)
{
    const int on = 1;
    const int off = 0;
    int fd = socket(endpoint->at.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool is_good = fd >= 0;

    for (size_t i = 0; is_good && i < option_count; i++)
        is_good = setsockopt(fd, SOL_SOCKET, options[i], &on, sizeof(on)) == 0;
    if (is_good && endpoint->at.any.sa_family == AF_INET6) /* "::" takes IPv4 as well */
        is_good = setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) == 0;
    is_good = is_good && bind(fd, &endpoint->at.any, endpoint->len) == 0;
    if (!is_good && fd >= 0) {
        (void)close(fd); /* nothing was done with it */
        fd = -1;
    }
    return fd;
}

static int open_exclusive(const struct endpoint *endpoint)
{
    static const int options[] = { SO_REUSEADDR };

    return open_socket(endpoint, options, COUNT(options));
}

static int open_shared(const struct endpoint *endpoint)
{
    static const int options[] = { SO_REUSEADDR, SO_REUSEPORT };
    int fd = open_socket(endpoint, options, COUNT(options));

    if (fd >= 0 && listen(fd, BACKLOG) != 0) {
        (void)close(fd); /* nothing was done with it */
        return -1;
    }
    return fd;
}

static uint16_t port_of(int fd)
{
    struct endpoint endpoint = { .len = sizeof(endpoint.at) };

    if (getsockname(fd, &endpoint.at.any, &endpoint.len) != 0)
        return 0;
    return ntohs(endpoint.at.any.sa_family == AF_INET ? endpoint.at.v4.sin_port
                                                      : endpoint.at.v6.sin6_port);
}

bool listener_open(struct str address, uint16_t *port, int *sockets, size_t count,
                   struct error *error)
{
    struct endpoint endpoint;

    if (!endpoint_from(address, *port, &endpoint))
        return error_set(error, ERROR_CONFIG,
                         "expected an IP address to listen on, got '" STR_FMT "'",
                         STR_ARG(address));
    if (*port != 0) {
        int probe = open_exclusive(&endpoint);

        if (probe < 0)
            return error_set_errno(error, "listen on " STR_FMT " port %u", STR_ARG(address),
                                   (unsigned)*port);
        (void)close(probe); /* never listened */
    }
    for (size_t i = 0; i < count; i++) {
        sockets[i] = open_shared(&endpoint);
        if (sockets[i] < 0) {
            (void)error_set_errno(error, "listen on " STR_FMT " port %u", STR_ARG(address),
                                  (unsigned)*port);
            while (i > 0)
                (void)close(sockets[--i]); /* nobody came yet */
            return false;
        }
        if (*port == 0) {
            *port = port_of(sockets[i]);
            (void)endpoint_from(address, *port, &endpoint); /* parsed above */
        }
    }
    return true;
}
