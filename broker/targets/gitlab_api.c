/*
 * Asking GitLab's API: as the broker, not more than it wants to be asked, and list by list.
 *
 * Source: GitLab REST API: authentication (PRIVATE-TOKEN), pagination by `page` and `per_page`,
 *         rate limits (429, Retry-After, RateLimit-Remaining and RateLimit-Reset, a Unix time)
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "base/time_text.h"
#include "targets/gitlab_internal.h"
#include "targets/oauth_answer.h"
#include "targets/token_file.h"

#define BODY_MAX ((size_t)8 * 1024)
#define WORDS_MAX 120
#define PAGE_SIZE 100
#define PAGES_MAX 20
#define LIST_MAX ((size_t)1024 * 1024)
#define JSON_TYPE "Content-Type: application/json"
#define TAKES_JSON "Accept: application/json"
#define ZONE_LEN 6 /* "+02:00" */

static const struct json_limits list_limits = { LIST_MAX, 8, 8000 };

/* ---- asking ---- */

/* Asking on would only make it longer. */
static bool may_ask(struct gitlab_settings *own, int64_t now_s, struct error *error)
{
    int64_t wait_s = remote_quiet_left_s(&own->quiet, now_s);

    return wait_s == 0 ||
           error_set(error, ERROR_MINT,
                     GITLAB " was not asked: it had too many requests, %" PRId64 " s are left",
                     wait_s);
}

bool gitlab_ask(const struct gitlab_request *request, struct remote_call **call,
                struct error *error)
{
    OWNED(buf_release) struct buf body = { 0 };
    struct remote_request asked = {
        .who = GITLAB,
        .method = request->method,
        .peer = &request->own->peer,
        .response_max_bytes = request->response_max_bytes,
    };
    struct str token;
    struct str key;

    if (!may_ask(request->own, request->now_s, error) ||
        !token_file_read(request->own->token_file, GITLAB_OWN_TOKEN_MAX, GITLAB, request->arena,
                         &token, error))
        return false;
    key = arena_printf(request->arena, "PRIVATE-TOKEN: " STR_FMT, STR_ARG(token));
    asked.url = arena_printf(request->arena, STR_FMT "/api/v4" STR_FMT, STR_ARG(request->own->url),
                             STR_ARG(request->path))
                    .data;
    asked.headers[0] = key.data;
    asked.headers[1] = TAKES_JSON;
    asked.headers[2] = request->body ? JSON_TYPE : NULL;
    buf_init(&body, BODY_MAX);
    if (request->body)
        buf_add_json(&body, request->body);
    if (!asked.url || !key.data || !request->path.data || !buf_is_ok(&body))
        return error_set(error, ERROR_MEMORY, "no memory for a request to " GITLAB);
    asked.body = buf_str(&body);
    return remote_call_send(request->upstream, request->waker, request->arena, &asked, call, error);
}

/* Whether a body has a token in it, whatever its status says. */
static bool has_token(const struct remote_call *call)
{
    JSON_OWNED json_t *answer = NULL;
    struct error ignored = { 0 };

    return json_parse_object(buf_str(&call->body), JSON_LIMITS_REQUEST, &answer, &ignored) &&
           json_object_get(answer, "token") != NULL;
}

bool gitlab_is_answered(struct gitlab_settings *own, const struct remote_call *call, int64_t now_s,
                        struct error *error)
{
    int64_t wait_s;

    if (!remote_call_is_answered(call, GITLAB, error))
        return false;
    wait_s = remote_quiet_heed(&own->quiet, call, call->status == 429, now_s);
    return call->status != 429 ||
           error_set(error, has_token(call) ? ERROR_MINT_UNKNOWN : ERROR_MINT,
                     GITLAB " refused with 429: too many requests; it is not asked for %" PRId64
                            " s",
                     wait_s);
}

/* ---- what it says ---- */

/* `message` of the application, which may be a map; `error` of what stands before it. */
struct str gitlab_words(const struct remote_call *call, const json_t *answer, struct arena *arena)
{
    const json_t *said = json_object_get(answer, "message");
    struct str words = { 0 };

    if (!said)
        said = json_object_get(answer, "error");
    if (said)
        words = json_is_string(said) ? json_str(said) : json_text(arena, said);
    return remote_call_words(call, words, WORDS_MAX);
}

const char *gitlab_advice(int status)
{
    static const struct {
        int status;
        const char *advice;
    } rows[] = {
        { 400, "it cannot be made like this, or the broker's user may not make it" },
        { 401, "the broker's own token has expired, or it may not" },
        { 403, "the broker's own token has not the scope api, or may not" },
        { 404, "the broker's user is no member of the project or group, or there is none" },
    };

    for (size_t i = 0; i < COUNT(rows); i++)
        if (rows[i].status == status)
            return rows[i].advice;
    return "no";
}

/* A number of two digits. */
static bool parse_two(struct str text, size_t at, int64_t max, int64_t *number)
{
    struct str digits = str_slice(text, at, 2);

    if (digits.len != 2 || !str_is_made_of(digits, DIGITS))
        return false;
    *number = (digits.data[0] - '0') * 10 + (digits.data[1] - '0');
    return *number <= max;
}

/* Seconds east of UTC, of "+02:00". */
static bool parse_zone(struct str zone, int64_t *offset_s)
{
    int64_t hours;
    int64_t minutes;

    if (zone.len != ZONE_LEN || zone.data[3] != ':' || !parse_two(zone, 1, 23, &hours) ||
        !parse_two(zone, 4, 59, &minutes))
        return false;
    *offset_s = (hours * 60 + minutes) * (zone.data[0] == '-' ? -60 : 60);
    return true;
}

/* A server with a time zone of its own writes that instead of Z. */
bool gitlab_time_parse(struct str text, int64_t *wall_s)
{
    size_t len = text.len >= ZONE_LEN ? text.len - ZONE_LEN : 0;
    bool has_zone = len > TIME_TEXT_S_LEN - 2 && (text.data[len] == '+' || text.data[len] == '-');
    char utc[TIME_TEXT_MS_LEN + 1];
    int64_t offset_s = 0;
    int64_t wall_ms;

    if (has_zone) {
        int written = snprintf(utc, sizeof(utc), STR_FMT "Z", STR_ARG(str_slice(text, 0, len)));

        if (written < 0 || (size_t)written >= sizeof(utc) ||
            !parse_zone(str_slice(text, len, text.len), &offset_s))
            return false;
        text = str_from(utc);
    }
    if (!time_text_parse(text, &wall_ms))
        return false;
    *wall_s = wall_ms / 1000 - offset_s;
    return true;
}

/* ---- lists ---- */

bool gitlab_list_ask(struct gitlab_list *list, struct gitlab_request *request, struct error *error)
{
    bool is_deploy = list->token == GITLAB_DEPLOY;
    struct str all = gitlab_path(list->token, list->owner, request->arena);

    if (!all.data)
        return error_set(error, ERROR_MEMORY, "no memory for a path");
    list->page++;
    request->method = "GET";
    request->body = NULL;
    request->response_max_bytes = LIST_MAX;
    request->path =
        arena_printf(request->arena, STR_FMT "?%s&per_page=%d&page=%u%s" STR_FMT, STR_ARG(all),
                     is_deploy ? "active=true" : "state=active", PAGE_SIZE, list->page,
                     is_deploy ? "" : "&search=", STR_ARG(is_deploy ? STR("") : list->search));
    return gitlab_ask(request, &list->call, error);
}

bool gitlab_list_take(const struct gitlab_list *list, const struct gitlab_request *request,
                      const json_t **items, bool *has_more, struct error *error)
{
    const struct remote_call *call = list->call;
    struct error inner = { 0 };
    struct str words;
    json_t *answer = NULL;

    if (!gitlab_is_answered(request->own, call, request->now_s, &inner))
        return error_set(error, ERROR_MINT, "%s", inner.cause);
    if (!json_parse(buf_str(&call->body), list_limits, &answer, &inner) ||
        !json_keep(request->arena, answer, &inner))
        return error_set(error, ERROR_MINT, GITLAB " answered %d; %s", call->status, inner.cause);
    if (call->status == 200 && json_is_array(answer) && json_array_size(answer) <= PAGE_SIZE) {
        *items = answer;
        *has_more = json_array_size(answer) == PAGE_SIZE;
        return true;
    }
    words = gitlab_words(call, answer, request->arena);
    return error_set(error, ERROR_MINT,
                     GITLAB " did not list tokens: it answered %d: %s: \"" STR_FMT "\"",
                     call->status, gitlab_advice(call->status), STR_ARG(words));
}

bool gitlab_list_is_over(const struct gitlab_list *list)
{
    return list->page >= PAGES_MAX;
}

struct str gitlab_number(const json_t *item, const char *name, struct arena *arena)
{
    json_int_t number = json_integer_value(json_object_get(item, name));

    return number > 0 ? arena_printf(arena, "%" JSON_INTEGER_FORMAT, number) : (struct str){ 0 };
}
