#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "http/http_internal.h"
#include "http/route.h"

/* How much of the body of a refused request is read and dropped, so that its sender, who may send
   first and read then, gets to see the answer; behind it the connection is closed. */
#define DROPPED_BYTES_MAX ((size_t)256 * 1024)

struct call *call_new(struct connection *connection, const char *target)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_REQUEST_MAX);
    struct call *call = arena == NULL ? NULL : arena_alloc(arena, sizeof(*call));

    if (call == NULL)
        return NULL;
    /* One byte past the limit is enough to know that it is past. */
    call->request.path =
        arena_copy(arena, (struct str){ target, strnlen(target, HTTP_TARGET_BYTES_MAX + 1) });
    if (call->request.path.data == NULL)
        return NULL;
    call->request.arena = TAKE(arena);
    call->request.peer = connection->peer;
    call->request.started_ns = clock_monotonic_ns();
    call->connection = connection;
    call->state = CALL_HEAD;
    return call;
}

void call_free(struct call *call)
{
    buf_release(&call->body);
    arena_free(call->request.arena); /* the call's own memory */
}

/* --- the head: one check a rule, in the order in which they are told ------------------------ */

static enum error_code check_running(struct call *call)
{
    return call->connection->worker->obeyed == WORKER_STOP ? ERROR_STOPPING : ERROR_NONE;
}

static enum error_code check_target(struct call *call)
{
    return route_check_target(call->request.path);
}

/* The library sees to it that HTTP/1.1 has exactly one. */
static enum error_code check_host(struct call *call)
{
    struct str host;
    size_t count = http_header_get(&call->request, MHD_HTTP_HEADER_HOST, &host);

    if (count > 1)
        return ERROR_REQUEST;
    return count == 1 ? route_check_host(host) : ERROR_NONE;
}

static enum error_code check_size(struct call *call)
{
    struct MHD_Connection *handle = call->connection->handle;
    const union MHD_ConnectionInfo *size =
        MHD_get_connection_info(handle, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);

    if (size == NULL || size->header_size > HTTP_HEAD_BYTES_MAX ||
        MHD_get_connection_values(handle, MHD_HEADER_KIND, NULL, NULL) > HTTP_FIELDS_MAX)
        return ERROR_HEADERS_TOO_LARGE;
    return ERROR_NONE;
}

/* A certificate that was shown must be good, also where the route would not ask for one. */
static enum error_code check_certificate(struct call *call)
{
    struct connection *connection = call->connection;
    const union MHD_ConnectionInfo *info;

    if (connection->identity == NULL)
        return ERROR_NONE;
    if (connection->client == CLIENT_CERTIFICATE_UNKNOWN) {
        info = MHD_get_connection_info(connection->handle, MHD_CONNECTION_INFO_GNUTLS_SESSION);
        if (info == NULL || info->tls_session == NULL)
            return ERROR_REQUEST;
        if (!tls_has_peer(info->tls_session))
            connection->client = CLIENT_CERTIFICATE_NONE;
        else if (tls_verify_peer(info->tls_session, connection->client_sha256))
            connection->client = CLIENT_CERTIFICATE_VALID;
        else
            connection->client = CLIENT_CERTIFICATE_INVALID;
    }
    return connection->client == CLIENT_CERTIFICATE_INVALID ? ERROR_REQUEST : ERROR_NONE;
}

/* Methods have case, and all of ours are made of capitals (RFC 9110 9.1). */
static enum error_code check_method(struct call *call)
{
    return str_is_made_of(call->request.method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") ? ERROR_NONE
                                                                              : ERROR_REQUEST;
}

static enum error_code check_route(struct call *call)
{
    const struct http_options *options = &call->connection->worker->server->options;
    struct http_request *request = &call->request;
    bool has_query = str_cut(request->path, '?', &request->path, &request->query);
    enum error_code code = route_find(options->routes, options->route_count, request->method,
                                      request->path, &call->route, &request->rest);

    if (has_query && (code != ERROR_NONE || call->route->body != HTTP_BODY_QUERY))
        return ERROR_REQUEST;
    if (code == ERROR_METHOD)
        http_add_header(
            request, MHD_HTTP_HEADER_ALLOW,
            route_allow(options->routes, options->route_count, request->path, request->arena));
    return code;
}

static bool takes_body(const struct http_route *route)
{
    return route->body != HTTP_BODY_NONE && route->body != HTTP_BODY_QUERY;
}

static enum error_code check_length(struct call *call)
{
    struct str text;
    int64_t length = 0;

    if (!call->has_body)
        return ERROR_NONE;
    if (!takes_body(call->route))
        return ERROR_BODY_TOO_LARGE;
    if (http_header_get(&call->request, MHD_HTTP_HEADER_CONTENT_LENGTH, &text) == 0)
        return ERROR_NONE; /* chunked: counted as it comes */
    if (!str_to_int64(text, &length) || length < 0)
        return ERROR_REQUEST;
    return (uint64_t)length > call->route->body_max_bytes ? ERROR_BODY_TOO_LARGE : ERROR_NONE;
}

static enum error_code check_type(struct call *call)
{
    struct str value;

    if (http_header_get(&call->request, MHD_HTTP_HEADER_CONTENT_ENCODING, &value) != 0)
        return ERROR_MEDIA_TYPE;
    if (!takes_body(call->route))
        return ERROR_NONE;
    if (http_header_get(&call->request, MHD_HTTP_HEADER_CONTENT_TYPE, &value) != 1 ||
        !route_takes_type(call->route->body, value))
        return ERROR_MEDIA_TYPE;
    return ERROR_NONE;
}

static enum error_code (*const checks[])(struct call *call) = {
    check_running, check_target, check_size,   check_host, check_certificate,
    check_method,  check_route,  check_length, check_type,
};

static bool announces_body(const struct call *call)
{
    struct str value;

    if (http_header_get(&call->request, MHD_HTTP_HEADER_TRANSFER_ENCODING, &value) != 0)
        return true;
    return http_header_get(&call->request, MHD_HTTP_HEADER_CONTENT_LENGTH, &value) != 0 &&
           !str_eq(value, STR("0"));
}

/* --- answers of our own ----------------------------------------------------------------------- */

static void answer_refusal(struct call *call, enum error_code code)
{
    struct error error = { 0 };

    metric_add(METRIC_HTTP_REFUSED, 1);
    (void)error_set(&error, code, "refused before its route");
    (void)http_answer_problem(&call->request, &error);
    /* Who sends such a thing may mean something else by the bytes behind it, too. */
    if (code != ERROR_NOT_FOUND && code != ERROR_METHOD && code != ERROR_MEDIA_TYPE)
        call->must_close = true;
}

static void answer_broken_handler(struct call *call)
{
    struct log_line line;
    struct error error = { 0 };

    log_begin(&line, LOG_LEVEL_ERROR, "http.handler_failed");
    log_text(&line, "route", call->route->path);
    log_end(&line);
    (void)error_set(&error, ERROR_LATER, "the handler gave no answer");
    (void)http_answer_problem(&call->request, &error);
}

/* Nobody reads it, or not in time. */
static void answer_abandoned(struct call *call)
{
    struct error error = { 0 };

    call->must_close = true;
    if (call->request.response.status != 0)
        return;
    (void)error_set(&error, ERROR_LATER, "abandoned");
    (void)http_answer_problem(&call->request, &error);
}

/* --- the way of a call -------------------------------------------------------------------------
 */

/* Whether the peer gets to send its body although it is refused. */
static bool may_drop_body(const struct call *call)
{
    struct str text;
    int64_t length = 0;

    if (http_header_get(&call->request, MHD_HTTP_HEADER_EXPECT, &text) != 0)
        return false; /* it asks first */
    if (http_header_get(&call->request, MHD_HTTP_HEADER_CONTENT_LENGTH, &text) == 0)
        return true; /* chunked: counted as it comes */
    return str_to_int64(text, &length) && (uint64_t)length <= DROPPED_BYTES_MAX;
}

/* Time for the answer runs from the request line on, however often the handler is entered. */
static void expect_answer(struct call *call)
{
    const struct http_options *options = &call->connection->worker->server->options;

    call->connection->deadline_ns =
        call->request.started_ns + (int64_t)options->request_timeout_ms * 1000000;
}

static void make_answered(struct call *call)
{
    call->state = CALL_ANSWERED;
    connection_set_deadline(call->connection,
                            call->connection->worker->server->options.write_timeout_ms);
}

static void expect_body(struct call *call)
{
    struct connection *connection = call->connection;
    int64_t answer_ns;

    expect_answer(call);
    answer_ns = connection->deadline_ns;
    connection_set_deadline(connection, connection->worker->server->options.body_timeout_ms);
    if (connection->deadline_ns > answer_ns)
        connection->deadline_ns = answer_ns;
}

/* Who asks comes first: no handler sees a request that its route's column refuses. */
static enum progress authorize(struct call *call)
{
    const struct http_options *options = &call->connection->worker->server->options;
    struct http_request *request = &call->request;
    enum progress progress = PROGRESS_DONE;

    if (call->route->roles != 0)
        progress = options->authorize(request, call->route->roles, options->context);
    if (progress == PROGRESS_DONE && request->response.status == 0 && !request->is_abandoned) {
        call->is_authorized = true;
        request->state = NULL;
        request->is_woken = false;
    }
    return progress;
}

/* True when the answer is ready. */
static bool enter(struct call *call)
{
    struct worker *worker = call->connection->worker;
    enum progress progress = PROGRESS_DONE;

    if (!call->is_authorized)
        progress = authorize(call);
    if (call->is_authorized)
        progress = call->route->handle(&call->request, worker->server->options.context);

    if (progress == PROGRESS_WAIT)
        return false;
    worker_forget(worker, call);
    if (call->request.is_abandoned)
        answer_abandoned(call);
    else if (progress == PROGRESS_FAILED || call->request.response.status == 0)
        answer_broken_handler(call);
    return true;
}

/* The library takes the answer now, and closes if a body is still to come; or, where there is none,
   it asks again at once and may keep the connection. */
static enum MHD_Result refuse(struct call *call, enum error_code code)
{
    bool is_whole = call->state == CALL_BODY;

    answer_refusal(call, code);
    make_answered(call);
    return call->has_body || is_whole ? response_send(call) : MHD_YES;
}

enum MHD_Result call_take_head(struct call *call, const char *method)
{
    struct connection *connection = call->connection;
    enum error_code code = ERROR_NONE;

    metric_add(METRIC_HTTP_REQUESTS, 1);
    connection->request_count++;
    call->request.method = arena_copy(call->request.arena, str_from(method));
    if (call->request.method.data == NULL)
        return MHD_NO;
    call->has_body = announces_body(call);
    for (size_t i = 0; i < COUNT(checks) && code == ERROR_NONE; i++)
        code = checks[i](call);

    if (code != ERROR_NONE && (!call->has_body || !may_drop_body(call)))
        return refuse(call, code);
    call->state = CALL_BODY;
    call->refusal = code;
    if (code == ERROR_NONE)
        buf_init(&call->body, call->route->body_max_bytes);
    if (call->has_body)
        expect_body(call);
    else
        expect_answer(call);
    return MHD_YES;
}

enum MHD_Result call_take_body(struct call *call, struct str bytes)
{
    if (call->refusal == ERROR_NONE && bytes.len > call->route->body_max_bytes - call->body.len)
        call->refusal = ERROR_BODY_TOO_LARGE;
    if (call->refusal != ERROR_NONE) {
        call->dropped_bytes += bytes.len;
        return call->dropped_bytes > DROPPED_BYTES_MAX ? MHD_NO : MHD_YES;
    }
    buf_add(&call->body, bytes);
    return buf_is_ok(&call->body) ? MHD_YES : MHD_NO;
}

enum MHD_Result call_take_end(struct call *call)
{
    struct worker *worker = call->connection->worker;

    if (call->refusal == ERROR_NONE)
        call->refusal = check_running(call);
    if (call->refusal != ERROR_NONE)
        return refuse(call, call->refusal);
    call->request.body = buf_str(&call->body);
    expect_answer(call);
    if (enter(call)) {
        make_answered(call);
        return response_send(call);
    }
    call->state = CALL_WAITING;
    worker->waiting_count++;
    MHD_suspend_connection(call->connection->handle);
    return MHD_YES;
}

static void enter_waiting(struct call *call, bool is_woken)
{
    assert(call->state == CALL_WAITING);
    call->request.is_woken = is_woken;
    if (!enter(call))
        return;
    call->connection->worker->waiting_count--;
    make_answered(call);
    MHD_resume_connection(call->connection->handle);
}

void call_enter_again(struct call *call)
{
    enter_waiting(call, true);
}

void call_abandon(struct call *call)
{
    if (call->request.is_abandoned)
        return;
    call->request.is_abandoned = true;
    call->connection->deadline_ns = INT64_MAX; /* it ends when its handler lets go */
    enter_waiting(call, false);
}
