#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "http/http_internal.h"

void connection_set_deadline(struct connection *connection, unsigned timeout_ms)
{
    connection->deadline_ns = clock_monotonic_ns() + (int64_t)timeout_ms * 1000000;
}

void connection_shut(struct connection *connection)
{
    connection->deadline_ns = INT64_MAX;
    (void)shutdown(connection->fd, SHUT_RDWR); /* fails where the peer was faster */
}

static void link_connection(struct connection *connection)
{
    struct worker *worker = connection->worker;

    connection->next = worker->connections;
    if (connection->next != NULL)
        connection->next->previous = connection;
    worker->connections = connection;
    worker->connection_count++;
    metric_add(METRIC_HTTP_CONNECTIONS, 1);
}

static void unlink_connection(struct connection *connection)
{
    struct worker *worker = connection->worker;

    if (connection->next != NULL)
        connection->next->previous = connection->previous;
    if (connection->previous != NULL)
        connection->previous->next = connection->next;
    else
        worker->connections = connection->next;
    worker->connection_count--;
    worker->has_closed = true;
    metric_add(METRIC_HTTP_CONNECTIONS, -1);
}

static int fd_of(struct MHD_Connection *handle)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(handle, MHD_CONNECTION_INFO_CONNECTION_FD);

    assert(info != NULL);
    return info->connect_fd;
}

/* False where we cannot know whom we talk to, or in what way. */
static bool begin(struct connection *connection)
{
    struct tls *tls = connection->worker->server->tls;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection->handle, MHD_CONNECTION_INFO_CLIENT_ADDRESS);

    if (info == NULL || !address_from_sockaddr(info->client_addr, &connection->peer))
        return false;
    if (tls == NULL)
        return true;
    info = MHD_get_connection_info(connection->handle, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    if (info == NULL || info->tls_session == NULL)
        return false;
    connection->identity = tls_greet(tls, info->tls_session);
    return true;
}

static struct connection *connection_new(struct worker *worker, struct MHD_Connection *handle)
{
    struct connection *connection = calloc(1, sizeof(*connection));

    if (connection == NULL)
        return NULL;
    connection->worker = worker;
    connection->handle = handle;
    connection->fd = fd_of(handle);
    connection_set_deadline(connection, worker->server->options.header_timeout_ms);
    if (!begin(connection)) {
        free(connection);
        return NULL;
    }
    link_connection(connection);
    return connection;
}

void connection_on_change(void *context, struct MHD_Connection *handle, void **slot,
                          enum MHD_ConnectionNotificationCode change)
{
    struct connection *connection = *slot;

    if (change == MHD_CONNECTION_NOTIFY_STARTED) {
        *slot = connection_new(context, handle);
        if (*slot == NULL)
            (void)shutdown(fd_of(handle), SHUT_RDWR); /* no memory: served no further */
        return;
    }
    if (connection == NULL)
        return;
    unlink_connection(connection);
    tls_identity_unref(connection->identity); /* the library freed the session before */
    free(connection);
    *slot = NULL;
}

void *connection_on_target(void *context, const char *target, struct MHD_Connection *handle)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(handle, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct connection *connection = info == NULL ? NULL : info->socket_context;

    (void)context;
    if (connection == NULL)
        return NULL;
    /* On a new connection, time for the head runs since it was accepted. */
    if (connection->request_count > 0)
        connection_set_deadline(connection, connection->worker->server->options.header_timeout_ms);
    connection->call = call_new(connection, target);
    return connection->call;
}

/* NOLINTNEXTLINE(readability-function-size): the library's signature */
enum MHD_Result connection_on_request(void *context, struct MHD_Connection *handle, const char *url,
                                      const char *method, const char *version, const char *upload,
                                      size_t *upload_len, void **slot)
{
    struct call *call = *slot;
    struct str bytes = { upload, *upload_len };

    (void)context;
    (void)handle;
    (void)url; /* we match the raw target of connection_on_target() */
    (void)version;
    if (call == NULL)
        return MHD_NO; /* there was no memory for it: close */
    switch (call->state) {
    case CALL_HEAD:
        return call_take_head(call, method);
    case CALL_BODY:
        *upload_len = 0;
        return bytes.len > 0 ? call_take_body(call, bytes) : call_take_end(call);
    case CALL_ANSWERED:
        return response_send(call);
    case CALL_WAITING:
    case CALL_SENDING:
    default:
        return MHD_NO; /* the library does not ask then */
    }
}

/* One line at debug level: the route, not the path, which is foreign text. */
static void log_call(const struct call *call, enum MHD_RequestTerminationCode how)
{
    char peer[ADDRESS_TEXT_MAX];
    struct log_line line;

    log_begin(&line, LOG_LEVEL_DEBUG, "http.request");
    if (!line.is_off) {
        address_text(&call->request.peer, peer);
        log_text(&line, "method", call->route == NULL ? "" : call->route->method);
        log_text(&line, "route", call->route == NULL ? "" : call->route->path);
        log_int(&line, "status", call->request.response.status);
        log_text(&line, "peer", peer);
        log_text(&line, "completed", how == MHD_REQUEST_TERMINATED_COMPLETED_OK ? "true" : "false");
        log_int(&line, "duration_us", (clock_monotonic_ns() - call->request.started_ns) / 1000);
    }
    log_end(&line);
}

void connection_on_completed(void *context, struct MHD_Connection *handle, void **slot,
                             enum MHD_RequestTerminationCode how)
{
    struct call *call = *slot;
    struct connection *connection;

    (void)context;
    (void)handle;
    if (call == NULL)
        return;
    assert(call->state != CALL_WAITING);
    *slot = NULL;
    connection = call->connection;
    connection->call = NULL;
    connection_set_deadline(connection, connection->worker->server->options.idle_timeout_ms);
    log_call(call, how);
    call_free(call);
}
