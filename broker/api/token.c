#include "api/api_internal.h"
#include "base/base64.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/metrics.h"
#include "exchange/exchange.h"
#include "exchange/rules.h"
#include "http/form.h"
#include "identity/dpop.h"
#include "identity/dpop_nonce.h"

#define GRANT_EXCHANGE "urn:ietf:params:oauth:grant-type:token-exchange"
#define TOKEN_TYPE(name) "urn:ietf:params:oauth:token-type:" name
#define TTL_MAX_S ((int64_t)24 * 3600)
#define AUDIENCE_MAX 2048
#define SCOPE_MAX 1024
#define STAGE_MAX 121 /* a pipeline's 80, ':' and a stage's 40 */

static const char *const parameters[] = { "grant_type",
                                          "subject_token",
                                          "subject_token_type",
                                          "stage",
                                          "audience",
                                          "scope",
                                          "ttl",
                                          "reason",
                                          "actor_token",
                                          "resource",
                                          "authorization_details",
                                          "requested_token_type",
                                          "actor_token_type",
                                          NULL };

/* What became of requests, for the log and the counters; the first row that fits. */
static const struct {
    int http_status;
    enum error_code code; /* ERROR_NONE: any */
    const char *event;
    enum metric metric;
} outcomes[] = {
    { 400, ERROR_TOKEN_USED, "exchange.denied", METRIC_EXCHANGES_REPLAYED },
    { 403, ERROR_NONE, "exchange.denied", METRIC_EXCHANGES_DENIED },
    { 503, ERROR_NONE, "exchange.unavailable", METRIC_EXCHANGES_UNAVAILABLE },
    { 0, ERROR_NONE, "exchange.refused", METRIC_EXCHANGES_REFUSED },
};

static bool check_grant(const struct form *form, struct error *error)
{
    struct str value;

    if (!form_get(form, "grant_type", &value))
        return error_set(error, ERROR_REQUEST, "no grant_type");
    if (!str_eq(value, STR(GRANT_EXCHANGE)))
        return error_set(error, ERROR_GRANT_TYPE, "another grant_type");
    if (form_get(form, "requested_token_type", &value) && !str_eq(value, STR(TOKEN_TYPE("jwt"))) &&
        !str_eq(value, STR(TOKEN_TYPE("access_token"))))
        return error_set(error, ERROR_REQUEST, "another requested_token_type");
    return true;
}

static bool read_subject(const struct form *form, struct exchange_request *out, struct error *error)
{
    struct str type;

    if (!form_get(form, "subject_token", &out->subject_token))
        return error_set(error, ERROR_REQUEST, "no subject_token");
    /* Tokens read from files often end in a line feed, which no token has. */
    out->subject_token = str_trim(out->subject_token);
    if (!form_get(form, "subject_token_type", &type) ||
        (!str_eq(type, STR(TOKEN_TYPE("jwt"))) && !str_eq(type, STR(TOKEN_TYPE("id_token")))))
        return error_set(error, ERROR_REQUEST, "subject_token_type is neither jwt nor id_token");
    return true;
}

/* The type is there if and only if the token is (RFC 8693 2.1). */
static bool read_actor(const struct form *form, struct exchange_request *out, struct error *error)
{
    struct str type;
    bool has_token = form_get(form, "actor_token", &out->actor_token);
    bool has_type = form_get(form, "actor_token_type", &type);

    if (has_token != has_type)
        return error_set(error, ERROR_REQUEST, "one of actor_token and actor_token_type");
    if (has_token && !str_eq(type, STR(TOKEN_TYPE("jwt"))) &&
        !str_eq(type, STR(TOKEN_TYPE("id_token"))))
        return error_set(error, ERROR_REQUEST, "actor_token_type is neither jwt nor id_token");
    if (has_token)
        out->actor_token = str_trim(out->actor_token);
    return true;
}

/* RFC 6749 3.3: printable without '"' and '\', one space between. */
static bool is_scope(struct str scope)
{
    bool was_space = true;

    for (size_t i = 0; i < scope.len; i++) {
        char c = scope.data[i];

        if (c == ' ' ? was_space : c < 0x21 || c > 0x7e || c == '"' || c == '\\')
            return false;
        was_space = c == ' ';
    }
    return !was_space;
}

static bool is_printable(struct str text)
{
    return str_is_utf8(text) && !str_has_control(text);
}

static bool read_wishes(const struct form *form, struct exchange_request *out, struct error *error)
{
    struct str ttl;

    if (form_count(form, "audience") > 1 || form_count(form, "resource") > 0)
        return error_set(error, ERROR_TARGET, "more than one audience, or a resource");
    if (form_get(form, "audience", &out->audience) &&
        (out->audience.len > AUDIENCE_MAX || !is_printable(out->audience)))
        return error_set(error, ERROR_TARGET, "an audience of %zu bytes, or not printable",
                         out->audience.len);
    if (form_get(form, "stage", &out->stage) &&
        (out->stage.len > STAGE_MAX || str_has_control(out->stage)))
        return error_set(error, ERROR_REQUEST, "stage is no stage's name");
    if (form_get(form, "scope", &out->scope) &&
        (out->scope.len > SCOPE_MAX || !is_scope(out->scope)))
        return error_set(error, ERROR_SCOPE, "malformed scope");
    if (form_get(form, "ttl", &ttl) &&
        (!str_to_int64(ttl, &out->ttl_s) || out->ttl_s < 1 || out->ttl_s > TTL_MAX_S))
        return error_set(error, ERROR_REQUEST, "ttl is no number of seconds from 1 to 86400");
    if (form_get(form, "reason", &out->reason) &&
        (out->reason.len > EXCHANGE_REASON_MAX || !is_printable(out->reason)))
        return error_set(error, ERROR_REQUEST, "reason is not 256 printable characters");
    return true;
}

static bool read_details(const struct form *form, struct arena *arena, struct exchange_request *out,
                         struct error *error)
{
    struct error why = { 0 };
    struct str text;
    json_t *details;

    if (!form_get(form, "authorization_details", &text))
        return true;
    if (!json_parse(text, JSON_LIMITS_REQUEST, &details, &why)) {
        enum error_code code = why.code == ERROR_MEMORY ? ERROR_MEMORY : ERROR_DETAILS;

        return error_set(error, code, "authorization_details: %s", why.cause);
    }
    out->details = details;
    return json_keep(arena, details, error);
}

static bool needs_nonce(const struct api *api, int64_t *leeway_s)
{
    struct rules *rules = rules_get(api->service->rules);
    bool needs = rules->needs_dpop_nonce;

    *leeway_s = rules->leeway_s;
    rules_put(api->service->rules, rules);
    return needs;
}

/* A proof's key binds what is issued (RFC 9449 5). */
static bool read_dpop(const struct http_request *request, const struct api *api,
                      struct exchange_request *out, struct error *error)
{
    struct str proof;
    size_t count = http_header_get(request, "DPoP", &proof);
    struct dpop_options options = {
        .method = request->method,
        .now_s = clock_wall_s(),
        .nonces = api->nonces,
    };
    struct dpop_proof *checked;

    if (count == 0)
        return true;
    if (count > 1)
        return error_set(error, ERROR_DPOP, "%zu DPoP header fields", count);
    checked = arena_alloc(request->arena, sizeof(*checked));
    options.url = arena_printf(request->arena, STR_FMT "/token", STR_ARG(api->issuer));
    if (!checked || !options.url.data)
        return error_set(error, ERROR_MEMORY, "proof");
    options.needs_nonce = needs_nonce(api, &options.leeway_s);
    out->proof.dpop = checked;
    return dpop_check(proof, &options, request->arena, checked, error);
}

/* So does a client certificate that our authorities vouch for (RFC 8705 3). */
static bool read_certificate(const struct http_request *request, struct exchange_request *out,
                             struct error *error)
{
    OWNED(buf_release) struct buf text = { 0 };
    uint8_t sha256[SHA256_LEN];

    if (!http_client_certificate(request, sha256))
        return true;
    buf_init(&text, EXCHANGE_DIGEST_LEN);
    buf_add_base64url(&text, (struct str){ (const char *)sha256, sizeof(sha256) });
    if (buf_is_ok(&text))
        out->proof.certificate = arena_copy(request->arena, buf_str(&text)).data;
    return out->proof.certificate || error_set(error, ERROR_MEMORY, "certificate");
}

/* Whoever proves with DPoP always gets the nonce of the minute, for the next proof. */
static void give_nonce(struct http_request *request, const struct api *api)
{
    struct str proof;
    char *nonce;

    if (http_header_get(request, "DPoP", &proof) == 0)
        return;
    nonce = arena_alloc(request->arena, DPOP_NONCE_LEN + 1);
    if (!nonce)
        return;
    dpop_nonce_make(api->nonces, clock_wall_s(), nonce);
    if (nonce[0] != '\0')
        http_add_header(request, "DPoP-Nonce", str_from(nonce));
}

static bool read_request(struct http_request *request, const struct api *api,
                         struct exchange_request *out, struct error *error)
{
    struct form *form = arena_alloc(request->arena, sizeof(*form));

    if (!form)
        return error_set(error, ERROR_MEMORY, "form");
    out->address = request->peer;
    return form_parse(request->body, parameters, request->arena, form, error) &&
           check_grant(form, error) && read_subject(form, out, error) &&
           read_actor(form, out, error) && read_wishes(form, out, error) &&
           read_details(form, request->arena, out, error) && read_dpop(request, api, out, error) &&
           read_certificate(request, out, error);
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
    if (exchange && !error)
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
    give_nonce(request, api);
    return oauth_answer_error(request, error, decision, exchange);
}

static enum progress answer_success(struct http_request *request, const struct api *api,
                                    struct exchange *exchange)
{
    metric_add(METRIC_EXCHANGES_ISSUED, 1);
    metric_time(METRIC_TIMER_TOKEN, clock_monotonic_ns() - request->started_ns);
    log_news(exchange);
    log_exchange(request, exchange, "exchange.issued", NULL);
    give_nonce(request, api);
    return http_answer_json(request, 200, json_incref(exchange->answer));
}

enum progress token_post(struct http_request *request, void *context)
{
    const struct api *api = context;
    struct exchange_request wanted = { 0 };
    struct error error = { 0 };
    enum progress progress;

    if (!request->state) {
        if (!read_request(request, api, &wanted, &error))
            return answer_failure(request, api, NULL, &error);
        request->state = exchange_new(api->service, &wanted, http_waker(request), request->arena);
        if (!request->state) {
            (void)error_set(&error, ERROR_MEMORY, "exchange");
            return answer_failure(request, api, NULL, &error);
        }
    }
    /* Whoever was asked may be at work on the exchange: only its waker gives it back. */
    if (request->is_abandoned && !request->is_woken)
        return exchange_abandon(request->state) ? PROGRESS_DONE : PROGRESS_WAIT;
    if (request->is_abandoned && !exchange_has_begun(request->state))
        return PROGRESS_DONE; /* nobody is there to take a credential */
    progress = exchange_walk(request->state, &error);
    if (progress == PROGRESS_WAIT)
        return progress;
    return progress == PROGRESS_DONE ? answer_success(request, api, request->state)
                                     : answer_failure(request, api, request->state, &error);
}
