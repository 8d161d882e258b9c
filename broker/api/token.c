#include "api/api_internal.h"
#include "api/token_request.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/metrics.h"
#include "exchange/approval.h"
#include "exchange/exchange.h"
#include "exchange/renewal.h"
#include "http/form.h"

/* A request on its way: by the row of its grant type. */
struct token_walk {
    const struct token_grant *grant;
    struct exchange *exchange; /* NULL: there is none, or not yet */
    struct renewal *renewal;   /* NULL: it is none */
};

struct token_grant {
    const char *name; /* `grant_type` */
    bool (*begin)(struct token_walk *walk, struct http_request *request, const struct api *api,
                  const struct form *form, struct error *error);
    enum progress (*go_on)(struct token_walk *walk, struct error *error);
};

/* What became of requests, for the log and the counters; the first row that fits. */
static const struct {
    int http_status;
    enum error_code code; /* ERROR_NONE: any */
    const char *event;
    enum metric metric;
} outcomes[] = {
    { 400, ERROR_TOKEN_USED, "exchange.denied", METRIC_EXCHANGES_REPLAYED },
    { 400, ERROR_APPROVAL_PENDING, "exchange.pending", METRIC_EXCHANGES_PENDING },
    { 400, ERROR_SLOW_DOWN, "exchange.pending", METRIC_EXCHANGES_PENDING },
    { 403, ERROR_NONE, "exchange.denied", METRIC_EXCHANGES_DENIED },
    { 429, ERROR_FULL, "exchange.waiting", METRIC_EXCHANGES_WAITING },
    { 429, ERROR_NONE, "exchange.over_budget", METRIC_EXCHANGES_OVER_BUDGET },
    { 503, ERROR_NONE, "exchange.unavailable", METRIC_EXCHANGES_UNAVAILABLE },
    { 0, ERROR_NONE, "exchange.refused", METRIC_EXCHANGES_REFUSED },
};

static bool begin_exchange(struct token_walk *walk, struct http_request *request,
                           const struct api *api, const struct form *form, struct error *error)
{
    struct exchange_request wanted = { 0 };

    if (!token_read_exchange(form, request->arena, &wanted, error) ||
        !token_read_sender(request, api, &wanted, error))
        return false;
    walk->exchange = exchange_new(api->service, &wanted, http_waker(request), request->arena);
    return walk->exchange || error_set(error, ERROR_MEMORY, "exchange");
}

/* A job that goes on with what it asked: without its token, with its keys. */
static bool begin_poll(struct token_walk *walk, struct http_request *request, const struct api *api,
                       const struct form *form, struct error *error)
{
    struct exchange_request wanted = { 0 };
    struct str code;

    if (!form_get(form, "device_code", &code))
        return error_set(error, ERROR_REQUEST, "no device_code");
    if (!token_read_sender(request, api, &wanted, error) ||
        !approval_poll(api->service, code, request->arena, &wanted, error))
        return false;
    walk->exchange = exchange_new(api->service, &wanted, http_waker(request), request->arena);
    return walk->exchange || error_set(error, ERROR_MEMORY, "exchange");
}

static enum progress go_on_with_exchange(struct token_walk *walk, struct error *error)
{
    return exchange_walk(walk->exchange, error);
}

static bool begin_renewal(struct token_walk *walk, struct http_request *request,
                          const struct api *api, const struct form *form, struct error *error)
{
    struct exchange_request wanted = { 0 };
    struct str token;

    if (!token_read_renewal(form, request->arena, &token, &wanted, error) ||
        !token_read_sender(request, api, &wanted, error))
        return false;
    walk->renewal = renewal_new(api->service, token, &wanted, http_waker(request), request->arena);
    return walk->renewal || error_set(error, ERROR_MEMORY, "renewal");
}

/* Once it waits it may be at work elsewhere: nothing of it is touched after that. */
static enum progress go_on_with_renewal(struct token_walk *walk, struct error *error)
{
    enum progress progress = renewal_walk(walk->renewal, error);

    if (progress != PROGRESS_WAIT)
        walk->exchange = walk->renewal->exchange;
    return progress;
}

static const struct token_grant grants[] = {
    { "refresh_token", begin_renewal, go_on_with_renewal },
    { "urn:ietf:params:oauth:grant-type:token-exchange", begin_exchange, go_on_with_exchange },
    { "urn:ietf:params:oauth:grant-type:device_code", begin_poll, go_on_with_exchange },
};

static const struct token_grant *find_grant(const struct form *form, struct error *error)
{
    struct str name;

    if (!form_get(form, "grant_type", &name)) {
        (void)error_set(error, ERROR_REQUEST, "no grant_type");
        return NULL;
    }
    for (size_t i = 0; i < COUNT(grants); i++)
        if (str_eq(name, str_from(grants[i].name)))
            return &grants[i];
    (void)error_set(error, ERROR_GRANT_TYPE, "another grant_type");
    return NULL;
}

/* Guardrails that would deny, but only warn: their names. */
static void log_warned(struct log_line *line, const struct exchange *exchange)
{
    const struct policy_decision *decision = &exchange->decision;
    struct str names = STR("");

    for (size_t i = 0; i < decision->warned_count; i++)
        names = arena_printf(exchange->arena, STR_FMT "%s" STR_FMT, STR_ARG(names),
                             i > 0 ? "," : "", STR_ARG(decision->warned[i]));
    if (names.len > 0)
        log_str(line, "warned", names);
}

static void log_exchange(const struct http_request *request, const struct exchange *exchange,
                         const char *event, const struct error *error)
{
    struct log_line line;

    log_begin(&line, LOG_LEVEL_INFO, event);
    if (exchange)
        log_text(&line, "decision", exchange->decision_id);
    if (exchange && exchange->is_verified)
        log_str(&line, "issuer", exchange->token.issuer->name);
    if (exchange && exchange->decision.stage)
        log_str(&line, "stage", exchange->decision.stage->id);
    if (exchange)
        log_warned(&line, exchange);
    if (exchange && (!error || exchange->request.renewal))
        log_text(&line, "lease", exchange->lease_id);
    if (error)
        log_error(&line, error);
    log_int(&line, "duration_ms", (clock_monotonic_ns() - request->started_ns) / 1000000);
    log_end(&line);
}

/* In the order of enum claim_news_kind. */
static const char *const claim_events[] = { "claim.unknown", "claim.retyped", "claim.unwatched" };

/* What is new about an issuer's tokens, once since the start. */
static void log_news(const struct exchange *exchange)
{
    struct log_line line;

    for (size_t i = 0; i < exchange->token.news_count; i++) {
        const struct claim_news *news = &exchange->token.news[i];

        log_begin(&line, LOG_LEVEL_INFO, claim_events[news->kind]);
        log_text(&line, "decision", exchange->decision_id);
        log_str(&line, "issuer", exchange->token.issuer->name);
        log_str(&line, "claim", news->claim);
        log_text(&line, "type", news->type);
        log_end(&line);
    }
    if (!exchange->has_new_workflow)
        return;
    log_begin(&line, LOG_LEVEL_INFO, "workflow.new");
    log_text(&line, "decision", exchange->decision_id);
    log_str(&line, "stage", exchange->decision.stage->id);
    log_str(&line, "repository",
            json_str(json_object_get(exchange->token.ci, "workflow_repository")));
    log_str(&line, "path", json_str(json_object_get(exchange->token.ci, "workflow_path")));
    log_end(&line);
}

static enum progress answer_failure(struct http_request *request, const struct api *api,
                                    const struct exchange *exchange, const struct error *error)
{
    const struct error_kind *kind = error_kind(error->code);
    struct str decision = str_from(exchange ? exchange->decision_id : NULL);
    size_t i = 0;

    while (outcomes[i].http_status != 0 &&
           (outcomes[i].http_status != kind->http_status ||
            (outcomes[i].code != ERROR_NONE && outcomes[i].code != error->code)))
        i++;
    metric_add(outcomes[i].metric, 1);
    if (exchange && !exchange->is_verified)
        metric_add(METRIC_TOKENS_UNVERIFIED, 1);
    metric_time(METRIC_TIMER_TOKEN, clock_monotonic_ns() - request->started_ns);
    if (exchange && exchange->is_verified)
        log_news(exchange);
    log_exchange(request, exchange, outcomes[i].event, error);
    if (exchange)
        api_retry_after(request, exchange->retry_after_s);
    token_give_nonce(request, api);
    return oauth_answer_error(request, error, decision, exchange);
}

static enum progress answer_success(struct http_request *request, const struct api *api,
                                    struct exchange *exchange)
{
    bool is_renewal = exchange->request.renewal != NULL;

    metric_add(is_renewal ? METRIC_EXCHANGES_RENEWED : METRIC_EXCHANGES_ISSUED, 1);
    metric_time(METRIC_TIMER_TOKEN, clock_monotonic_ns() - request->started_ns);
    log_news(exchange);
    log_exchange(request, exchange, is_renewal ? "lease.renewed" : "exchange.issued", NULL);
    token_give_nonce(request, api);
    return http_answer_json(request, 200, json_incref(exchange->answer));
}

static struct token_walk *begin(struct http_request *request, const struct api *api,
                                struct error *error)
{
    struct token_walk *walk = arena_alloc(request->arena, sizeof(*walk));
    struct form form;

    if (!walk) {
        (void)error_set(error, ERROR_MEMORY, "form");
        return NULL;
    }
    if (!form_parse(request->body, token_parameters, request->arena, &form, error))
        return NULL;
    walk->grant = find_grant(&form, error);
    return walk->grant && walk->grant->begin(walk, request, api, &form, error) ? walk : NULL;
}

enum progress token_post(struct http_request *request, void *context)
{
    const struct api *api = context;
    struct token_walk *walk = request->state;
    struct error error = { 0 };
    enum progress progress;

    if (!walk && api_spend_address(request, api, &error))
        walk = begin(request, api, &error);
    request->state = walk;
    if (!walk)
        return answer_failure(request, api, NULL, &error);
    /* Whoever was asked may be at work on the exchange: only its waker gives it back. */
    if (request->is_abandoned && !request->is_woken)
        return walk->exchange && exchange_abandon(walk->exchange) ? PROGRESS_DONE : PROGRESS_WAIT;
    if (request->is_abandoned && walk->exchange && !exchange_has_begun(walk->exchange))
        return PROGRESS_DONE; /* nobody is there to take a credential */
    progress = walk->grant->go_on(walk, &error);
    if (progress == PROGRESS_WAIT)
        return progress;
    return progress == PROGRESS_DONE ? answer_success(request, api, walk->exchange)
                                     : answer_failure(request, api, walk->exchange, &error);
}
