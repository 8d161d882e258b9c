#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/log.h"
#include "http/http_internal.h"

/* What most JSON answers fit in. */
#define JSON_BYTES_USUAL ((size_t)4096)

#define PROBLEM_TYPE "application/problem+json"

/* Seconds; see design.md 3.2: 429 and 503 say when to come back. */
#define RETRY_AFTER "2"

static const struct {
    const char *name;
    const char *value;
} always[] = {
    { "X-Content-Type-Options", "nosniff" },
};

/* What is said where there is no memory to say more. */
static enum progress answer_no_memory(struct http_request *request)
{
    return http_answer_text(
        request, MHD_HTTP_SERVICE_UNAVAILABLE, PROBLEM_TYPE,
        STR("{\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503}"));
}

void http_add_header(struct http_request *request, const char *name, struct str value)
{
    struct http_response *response = &request->response;

    assert(response->header_count < HTTP_HEADERS_MAX);
    response->headers[response->header_count++] =
        (struct http_header){ name, arena_copy(request->arena, value) };
}

enum progress http_answer_text(struct http_request *request, int status, const char *content_type,
                               struct str body)
{
    request->response.status = status;
    request->response.content_type = content_type;
    request->response.body = body;
    return PROGRESS_DONE;
}

/* Dump into the arena; a second time, with the right size, where the usual one is too small. */
static bool dump(struct arena *arena, const json_t *json, struct str *text)
{
    size_t capacity = JSON_BYTES_USUAL;

    for (int attempt = 0; attempt < 2; attempt++) {
        char *data = arena_alloc(arena, capacity);
        size_t len = data == NULL ? 0 : json_dumpb(json, data, capacity, JSON_COMPACT);

        if (len == 0)
            return false;
        *text = (struct str){ data, len };
        if (len <= capacity)
            return true;
        capacity = len;
    }
    return false;
}

enum progress http_answer_json(struct http_request *request, int status, json_t *take_json)
{
    struct str body = { 0 };
    bool is_dumped = take_json != NULL && dump(request->arena, take_json, &body);

    json_decref(take_json);
    if (!is_dumped)
        return answer_no_memory(request);
    return http_answer_text(request, status, "application/json", body);
}

enum progress http_answer_problem(struct http_request *request, const struct error *error)
{
    const struct error_kind *kind = error_kind(error->code);
    const char *detail = error->message[0] != '\0' ? error->message : kind->sentence;
    json_t *problem = json_pack("{s:s, s:s, s:i, s:s}", "type", "about:blank", "title",
                                MHD_get_reason_phrase_for((unsigned)kind->http_status), "status",
                                kind->http_status, "detail", detail);

    if (problem == NULL)
        return answer_no_memory(request);
    (void)http_answer_json(request, kind->http_status, problem);
    request->response.content_type = PROBLEM_TYPE;
    return PROGRESS_DONE;
}

/* --- handing over ------------------------------------------------------------------------------
 */

static bool add(struct MHD_Response *response, const char *name, const char *value)
{
    return value != NULL && MHD_add_response_header(response, name, value) == MHD_YES;
}

static bool must_close(const struct call *call)
{
    const struct worker *worker = call->connection->worker;

    return call->must_close || worker->obeyed != WORKER_SERVE ||
           call->connection->request_count >= worker->server->options.requests_per_connection_max;
}

static bool add_headers(const struct call *call, struct MHD_Response *out)
{
    const struct http_response *response = &call->request.response;
    bool is_good = true;
    bool has_retry = false;

    for (size_t i = 0; i < COUNT(always); i++)
        is_good = is_good && add(out, always[i].name, always[i].value);
    for (size_t i = 0; i < response->header_count; i++) {
        is_good = is_good && add(out, response->headers[i].name, response->headers[i].value.data);
        has_retry = has_retry || strcmp(response->headers[i].name, "Retry-After") == 0;
    }
    if (response->content_type != NULL)
        is_good = is_good && add(out, "Content-Type", response->content_type);
    if (!response->is_cacheable)
        is_good = is_good && add(out, "Cache-Control", "no-store");
    if ((response->status == 429 || response->status == 503) && !has_retry)
        is_good = is_good && add(out, "Retry-After", RETRY_AFTER);
    if (must_close(call))
        is_good = is_good && add(out, "Connection", "close");
    return is_good;
}

enum MHD_Result response_send(struct call *call)
{
    const struct http_response *response = &call->request.response;
    struct MHD_Response *out =
        MHD_create_response_from_buffer_static(response->body.len, response->body.data);
    enum MHD_Result result = MHD_NO;

    call->state = CALL_SENDING;
    if (out == NULL)
        return MHD_NO;
    if (add_headers(call, out))
        result = MHD_queue_response(call->connection->handle, (unsigned)response->status, out);
    MHD_destroy_response(out); /* our reference */
    return result;
}
