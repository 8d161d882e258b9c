#include "clients/operator.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "clients/fetch.h"
#include "clients/login_file.h"
#include "upstream/upstream.h"

#define CONNECT_TIMEOUT_MS 5000
#define TIMEOUT_MS 30000
#define ANSWER_MAX ((size_t)2 * 1024 * 1024)
#define FORM_MAX ((size_t)32 * 1024)
#define PAGE_ARENA_MAX ((size_t)16 * 1024 * 1024)
#define CURSOR_MAX 1024
#define PAGES_MAX 20000 /* a million rows in pages of fifty; a broker that gives more is none */
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
        return error_set(error, ERROR_NOT_FOUND,
                         "%s: the broker has nothing by that id, or not any more", request->what);
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

/* Where the cursor goes: "path?query&cursor=" of a GET, "form&cursor=" of a POST. */
static bool add_cursor(struct operator_request *request, struct str cursor, struct buf *buf,
                       struct error *error)
{
    bool is_form = request->form.data != NULL;
    const char *join = is_form || strchr(request->path, '?') ? "&" : "?";

    if (cursor.len == 0)
        return true;
    buf_init(buf, FORM_MAX);
    buf_add(buf, is_form ? request->form : str_from(request->path));
    buf_printf(buf, "%scursor=", join);
    buf_add_percent(buf, cursor);
    buf_add_byte(buf, '\0');
    if (!buf_is_ok(buf))
        return error_set(error, ERROR_LIMIT, "what is asked is too long");
    if (is_form)
        request->form = (struct str){ buf->data, buf->len - 1 };
    else
        request->path = buf->data;
    return true;
}

/* One page; `next` becomes the cursor of the one behind it, or empty. */
static bool ask_page(const struct broker_options *options, const struct operator_pages *pages,
                     struct upstream *upstream, char next[CURSOR_MAX], struct error *error)
{
    OWNED(arena_free) struct arena *arena = arena_new(PAGE_ARENA_MAX);
    OWNED(buf_release) struct buf buf = { 0 };
    struct operator_request request = pages->request;
    const json_t *page = NULL;
    struct str cursor;

    if (!arena)
        return error_set(error, ERROR_MEMORY, "no memory");
    if (!add_cursor(&request, str_from(next), &buf, error) ||
        !ask(options, &request, upstream, arena, &page, error))
        return false;
    cursor = json_str(json_object_get(page, "next"));
    if (cursor.len >= CURSOR_MAX)
        return error_set(error, ERROR_INVALID, "the broker's cursor is too long");
    (void)snprintf(next, CURSOR_MAX, STR_FMT, STR_ARG(cursor));
    return pages->take(pages->context, page, error);
}

static bool ask_pages(const struct broker_options *options, const struct operator_pages *pages,
                      struct upstream *upstream, struct error *error)
{
    char next[CURSOR_MAX] = "";

    for (size_t i = 0; i < PAGES_MAX; i++) {
        if (!ask_page(options, pages, upstream, next, error))
            return false;
        if (next[0] == '\0')
            return true;
    }
    return error_set(error, ERROR_LIMIT, "the broker's list does not end");
}

bool operator_ask_pages(const struct broker_options *options, const struct operator_pages *pages,
                        struct error *error)
{
    struct upstream *upstream = NULL;
    bool is_good = upstream_start(&upstream, error) && ask_pages(options, pages, upstream, error);

    upstream_stop(upstream);
    return is_good;
}
