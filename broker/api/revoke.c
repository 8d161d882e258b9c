#include "api/api_internal.h"
#include "base/log.h"
#include "base/metrics.h"
#include "exchange/release.h"
#include "http/form.h"

static const char *const parameters[] = { "token", "token_type_hint", "outcome", NULL };

static bool read_outcome(const struct form *form, enum release_outcome *outcome,
                         struct error *error)
{
    struct str text;

    *outcome = RELEASE_UNSAID;
    if (!form_get(form, "outcome", &text))
        return true;
    if (str_eq(text, STR("success")))
        *outcome = RELEASE_SUCCESS;
    else if (str_eq(text, STR("failure")))
        *outcome = RELEASE_FAILURE;
    else
        return error_set(error, ERROR_REQUEST, "outcome is neither success nor failure");
    return true;
}

static struct release *begin(struct http_request *request, const struct api *api,
                             struct error *error)
{
    struct form *form = arena_alloc(request->arena, sizeof(*form));
    enum release_outcome outcome;
    struct release *release;
    struct str token;

    if (!form) {
        (void)error_set(error, ERROR_MEMORY, "form");
        return NULL;
    }
    if (!form_parse(request->body, parameters, request->arena, form, error) ||
        !read_outcome(form, &outcome, error))
        return NULL;
    if (!form_get(form, "token", &token)) {
        (void)error_set(error, ERROR_REQUEST, "no token");
        return NULL;
    }
    release = release_new(api->service, token, outcome, http_waker(request), request->arena);
    if (!release)
        (void)error_set(error, ERROR_MEMORY, "release");
    return release;
}

static enum progress answer_failure(struct http_request *request, const struct error *error)
{
    struct log_line line;

    log_begin(&line, LOG_LEVEL_WARN, "lease.release_failed");
    log_error(&line, error);
    log_end(&line);
    return oauth_answer_error(request, error, STR(""), NULL);
}

/* 200 whatever the token was: RFC 7009 2.2. */
static enum progress answer_done(struct http_request *request, const struct release *release)
{
    struct log_line line;

    if (release->is_recorded) {
        metric_add(METRIC_LEASES_RELEASED, 1);
        log_begin(&line, LOG_LEVEL_INFO, "lease.released");
        log_text(&line, "decision", release->decision_id);
        log_end(&line);
    }
    if (release->is_unknown) {
        log_begin(&line, LOG_LEVEL_INFO, "lease.release_unknown");
        log_text(&line, "decision", release->decision_id);
        log_end(&line);
    }
    return http_answer_text(request, 200, "text/plain; charset=utf-8", STR(""));
}

/* What is nobody's costs its address; what ends something never waits for what others spent. */
static bool is_paid(struct http_request *request, const struct api *api, struct error *error)
{
    const struct release *release = request->state;

    return !release->is_unknown || api_spend_address(request, api, error);
}

enum progress revoke_post(struct http_request *request, void *context)
{
    struct error error = { 0 };
    enum progress progress;

    if (!request->state)
        request->state = begin(request, context, &error);
    if (!request->state)
        return answer_failure(request, &error);
    if (request->is_abandoned && !request->is_woken)
        return PROGRESS_WAIT; /* the store still has it */
    progress = release_walk(request->state, &error);
    if (progress == PROGRESS_WAIT)
        return progress;
    return progress == PROGRESS_DONE && is_paid(request, context, &error)
               ? answer_done(request, request->state)
               : answer_failure(request, &error);
}
