#include "api/api_internal.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/metrics.h"
#include "base/time_text.h"
#include "http/form.h"

#define METRICS_MAX ((size_t)256 * 1024)

enum progress livez_get(struct http_request *request, void *context)
{
    (void)context;
    return http_answer_json(request, 200, json_pack("{s:s}", "status", "alive"));
}

static bool put_degraded(json_t *body, const struct api_degraded *degraded)
{
    char since[TIME_TEXT_S_LEN + 1];

    time_text_s(degraded->since_s, since);
    return json_put(body, "why", json_string(degraded->why)) &&
           (degraded->since_s == 0 || json_put(body, "since", json_string(since))) &&
           (degraded->error_count == 0 ||
            json_put(body, "errors", json_integer(degraded->error_count)));
}

static enum progress answer_degraded(struct http_request *request,
                                     const struct api_degraded *degraded)
{
    json_t *body = json_pack("{s:s}", "status", "degraded");

    if (!put_degraded(body, degraded)) {
        json_decref(body);
        body = NULL;
    }
    return http_answer_json(request, 200, body);
}

enum progress readyz_get(struct http_request *request, void *context)
{
    const struct api *api = context;
    const char *missing = api->not_ready(api->context);
    struct api_degraded degraded;

    if (missing)
        return http_answer_json(request, 503,
                                json_pack("{s:s, s:s}", "status", "not ready", "why", missing));
    if (api->degraded(api->context, &degraded))
        return answer_degraded(request, &degraded);
    return http_answer_json(request, 200,
                            json_pack("{s:s, s:s*}", "status", "ready", "note", api->note));
}

enum progress metrics_get(struct http_request *request, void *context)
{
    OWNED(buf_release) struct buf text = { 0 };
    struct str copy = { 0 };

    (void)context;
    buf_init(&text, METRICS_MAX);
    metrics_write(&text);
    if (buf_is_ok(&text))
        copy = arena_copy(request->arena, buf_str(&text));
    return http_answer_text(request, copy.data ? 200 : 503,
                            "text/plain; version=0.0.4; charset=utf-8", copy);
}

#ifdef STAGEPASS_TEST_CLOCK
enum progress clock_post(struct http_request *request, void *context)
{
    static const char *const parameters[] = { "advance", "step", "hold", NULL };
    struct form *form = arena_alloc(request->arena, sizeof(*form));
    struct error error = { 0 };
    struct str text;
    int64_t seconds = 0;

    (void)context;
    if (form && form_parse(request->body, parameters, request->arena, form, &error) &&
        form_get(form, "step", &text) && str_to_int64(text, &seconds)) {
        clock_test_step(seconds);
    } else if (form && form_get(form, "advance", &text) && str_to_int64(text, &seconds) &&
               seconds >= 0) {
        clock_test_advance(seconds);
    } else if (form && form_get(form, "hold", &text)) {
        clock_test_hold(str_eq(text, STR("true")));
    } else {
        (void)error_set(&error, ERROR_REQUEST,
                        "expected advance=SECONDS, step=SECONDS or hold=true or false");
        return http_answer_problem(request, &error);
    }
    return http_answer_json(request, 200, json_pack("{s:I}", "now", clock_wall_s()));
}
#endif
