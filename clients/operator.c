#include "clients/operator.h"

#include "base/error.h"
#include "base/json.h"
#include "clients/fetch.h"
#include "clients/login_file.h"
#include "upstream/upstream.h"

#define CONNECT_TIMEOUT_MS 5000
#define TIMEOUT_MS 30000
#define ANSWER_MAX ((size_t)2 * 1024 * 1024)
#define FORM_TYPE "Content-Type: application/x-www-form-urlencoded"

static const struct json_limits limits = { ANSWER_MAX, 16, 20000 };

static bool refuse(const struct operator_request *request, const struct fetch_answer *answer,
                   struct arena *arena, struct error *error)
{
    struct error ignored = { 0 };
    struct str detail = { 0 };
    json_t *body = NULL;

    if (answer->status == 401)
        return error_set(error, ERROR_REFUSED,
                         "the broker does not take the login (any more): 'stagepass login' makes "
                         "a new one");
    if (answer->status == 403 && request->takes)
        return error_set(error, ERROR_REFUSED, "%s takes %s: 'stagepass whoami' says who you are",
                         request->what, request->takes);
    if (answer->status == 403)
        return error_set(error, ERROR_REFUSED,
                         "%s takes the role operator%s, of all tenants: 'stagepass whoami' says "
                         "which you have",
                         request->what,
                         request->form.data || request->method[0] != 'G' ? "" : " or auditor");
    if (json_parse_object(answer->body, limits, &body, &ignored) &&
        json_keep(arena, body, &ignored))
        detail = json_str(json_object_get(body, "detail"));
    if (answer->status == 404)
        return error_set(error, ERROR_NOT_FOUND, "there is no such thing at the broker");
    if (answer->status == 400)
        return error_set(error, ERROR_REQUEST, "the broker refuses: " STR_FMT, STR_ARG(detail));
    return error_set(error, answer->status >= 429 ? ERROR_LATER : ERROR_IO,
                     "the broker answers %d: its log says why", answer->status);
}

static bool send(const struct broker *broker, const struct operator_request *request,
                 const char *header, struct arena *arena, struct fetch_answer *answer,
                 struct error *error)
{
    struct str url = broker_path(broker, request->path, arena);
    struct upstream_request sent = {
        .method = request->method,
        .url = url.data,
        .body = request->form,
        .headers = { "Accept: application/json", header, request->form.len > 0 ? FORM_TYPE : NULL },
        .peer = broker->peer,
        .connect_timeout_ms = CONNECT_TIMEOUT_MS,
        .total_timeout_ms = TIMEOUT_MS,
        .response_max_bytes = ANSWER_MAX,
    };

    *answer = (struct fetch_answer){ 0 };
    if (!url.data || !header)
        return error_set(error, ERROR_MEMORY, "no memory");
    return fetch(broker->upstream, &sent, arena, answer, error);
}

static bool ask(const struct broker_options *options, const struct operator_request *request,
                struct upstream *upstream, struct arena *arena, const json_t **out,
                struct error *error)
{
    struct fetch_answer answer;
    struct broker broker;
    struct str header;
    struct str token;
    json_t *body = NULL;

    if (!broker_init(&broker, options->url, options->ca_file, upstream, arena, error) ||
        !login_file_read(broker.url, arena, &token, error))
        return false;
    header = arena_printf(arena, "Authorization: Bearer " STR_FMT, STR_ARG(token));
    if (!send(&broker, request, header.data, arena, &answer, error))
        return false;
    if (answer.status != 200 && answer.status != 201)
        return refuse(request, &answer, arena, error);
    if (!json_parse_object(answer.body, limits, &body, error))
        return error_wrap(error, "the broker's answer");
    *out = body;
    return json_keep(arena, body, error);
}

bool operator_ask(const struct broker_options *options, const struct operator_request *request,
                  struct arena *arena, const json_t **answer, struct error *error)
{
    struct upstream *upstream = NULL;
    bool is_good =
        upstream_start(&upstream, error) && ask(options, request, upstream, arena, answer, error);

    upstream_stop(upstream);
    return is_good;
}
