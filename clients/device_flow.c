#include "clients/device_flow.h"

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "clients/fetch.h"

#define FORM_MAX ((size_t)16 * 1024)
#define ANSWER_MAX ((size_t)256 * 1024)
#define TIMEOUT_MS 15000
#define CODE_MAX 2048
#define WORD_MAX 64
#define TOKEN_TEXT_MAX ((size_t)16 * 1024)
#define SLOW_DOWN_S 5 /* RFC 8628 3.5 */
#define GRANT_DEVICE "urn:ietf:params:oauth:grant-type:device_code"

static const struct json_limits limits = { ANSWER_MAX, 16, 2000 };

/* What the token endpoint answers instead of a token. Source: RFC 8628 3.5 */
static const struct {
    const char *error;
    bool is_waiting;
    int64_t slower_s;
    const char *cause;
} answers[] = {
    { "authorization_pending", true, 0, NULL },
    { "slow_down", true, SLOW_DOWN_S, NULL },
    { "access_denied", false, 0, "the login was denied" },
    { "expired_token", false, 0, "nobody logged in in time" },
};

/* ---- requests ---- */

static bool send(const struct device_flow *flow, const char *method, const char *url,
                 struct str form, struct fetch_answer *answer, struct error *error)
{
    struct upstream_request request = {
        .method = method,
        .url = url,
        .body = form,
        .headers = { "Accept: application/json",
                     form.len > 0 ? "Content-Type: application/x-www-form-urlencoded" : NULL },
        .peer = flow->peer,
        .total_timeout_ms = TIMEOUT_MS,
        .response_max_bytes = ANSWER_MAX,
    };

    *answer = (struct fetch_answer){ 0 };
    return fetch(flow->upstream, &request, flow->arena, answer, error);
}

static void add_field(struct buf *form, const char *name, struct str value)
{
    buf_printf(form, "%s%s=", form->len > 0 ? "&" : "", name);
    buf_add_percent(form, value);
}

static bool parse(const struct device_flow *flow, struct str body, json_t **json,
                  struct error *error)
{
    struct error why = { 0 };

    if (!json_parse_object(body, limits, json, &why))
        return error_set(error, ERROR_INVALID, "the provider's answer is none: %s", why.cause);
    return json_keep(flow->arena, *json, error);
}

/* A text that may be shown and sent on: printable ASCII. */
static bool is_plain(struct str text, size_t max)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] < 0x21 || text.data[i] > 0x7e)
            return false;
    return text.len > 0 && text.len <= max;
}

static bool get_url(const json_t *json, const char *name, struct str *url, struct error *error)
{
    struct error why = { 0 };

    if (!json_get_str(json, name, url) || !is_plain(*url, CODE_MAX))
        return error_set(error, ERROR_INVALID, "the provider says no %s", name);
    if (!upstream_url_check(*url, true, &why))
        return error_set(error, ERROR_INVALID, "the provider's %s: %s", name, why.cause);
    return true;
}

/* ---- where the provider's endpoints are ---- */

/* Source: OpenID Connect Discovery 1.0 4; RFC 8628 4 */
static bool discover(struct device_flow *flow, struct str *endpoint, struct error *error)
{
    struct fetch_answer answer;
    struct str issuer;
    struct str base = flow->issuer;
    struct str url;
    json_t *json;

    if (str_ends_with(base, STR("/")))
        base.len--;
    url = arena_printf(flow->arena, STR_FMT "/.well-known/openid-configuration", STR_ARG(base));
    if (!url.data)
        return error_set(error, ERROR_MEMORY, "no memory for a URL");
    if (!send(flow, "GET", url.data, STR(""), &answer, error))
        return false;
    if (answer.status != 200)
        return error_set(error, ERROR_INVALID, "the provider's discovery answers %d",
                         answer.status);
    if (!parse(flow, answer.body, &json, error))
        return false;
    if (!json_get_str(json, "issuer", &issuer) || !str_eq(issuer, flow->issuer))
        return error_set(error, ERROR_INVALID, "the provider says that it is another one");
    return get_url(json, "device_authorization_endpoint", endpoint, error) &&
           get_url(json, "token_endpoint", &flow->token_endpoint, error);
}

/* ---- the codes ---- */

static int64_t clamp(int64_t value, int64_t least, int64_t most)
{
    if (value < least)
        return least;
    return value > most ? most : value;
}

static int64_t get_seconds(const json_t *json, const char *name, int64_t otherwise_s)
{
    int64_t value = otherwise_s;

    return json_get_time(json, name, &value) ? value : otherwise_s;
}

/* Its `error`, where that is a word of ours to show. */
static bool refuse(const json_t *json, int status, struct error *error)
{
    struct str word;

    if (json_get_str(json, "error", &word) && is_plain(word, WORD_MAX))
        return error_set(error, ERROR_REFUSED, "the provider refuses: '" STR_FMT "'",
                         STR_ARG(word));
    return error_set(error, ERROR_INVALID, "the provider answers %d", status);
}

bool device_flow_read_codes(struct device_flow *flow, int status, struct str body,
                            struct error *error)
{
    json_t *json;

    if (!parse(flow, body, &json, error))
        return false;
    if (status != 200)
        return refuse(json, status, error);
    if (!json_get_str(json, "device_code", &flow->device_code) ||
        !is_plain(flow->device_code, CODE_MAX) ||
        !json_get_str(json, "user_code", &flow->user_code) || !is_plain(flow->user_code, CODE_MAX))
        return error_set(error, ERROR_INVALID, "the provider gives no codes");
    if (!get_url(json, "verification_uri", &flow->verification_uri, error))
        return false;
    flow->verification_uri_complete = STR("");
    if (json_object_get(json, "verification_uri_complete") &&
        !get_url(json, "verification_uri_complete", &flow->verification_uri_complete, error))
        return false;
    flow->interval_s = clamp(get_seconds(json, "interval", DEVICE_INTERVAL_DEFAULT_S),
                             DEVICE_INTERVAL_MIN_S, DEVICE_INTERVAL_MAX_S);
    flow->expires_in_s =
        clamp(get_seconds(json, "expires_in", DEVICE_WAIT_MAX_S), 1, DEVICE_WAIT_MAX_S);
    return true;
}

bool device_flow_begin(struct device_flow *flow, struct error *error)
{
    OWNED(buf_release) struct buf form = { 0 };
    struct fetch_answer answer;
    struct str endpoint;

    if (!discover(flow, &endpoint, error))
        return false;
    buf_init(&form, FORM_MAX);
    add_field(&form, "client_id", flow->client_id);
    add_field(&form, "scope", flow->scope);
    if (!buf_is_ok(&form))
        return error_set(error, ERROR_LIMIT, "client and scope are too long");
    return send(flow, "POST", endpoint.data, buf_str(&form), &answer, error) &&
           device_flow_read_codes(flow, answer.status, answer.body, error);
}

/* ---- the token ---- */

static void slow_down(struct device_flow *flow, int64_t by_s)
{
    flow->interval_s = clamp(flow->interval_s + by_s, DEVICE_INTERVAL_MIN_S, DEVICE_INTERVAL_MAX_S);
}

static enum progress read_refusal(struct device_flow *flow, const json_t *json, int status,
                                  struct error *error)
{
    struct str word = json_str(json_object_get(json, "error"));

    for (size_t i = 0; i < COUNT(answers); i++) {
        if (!str_eq(word, str_from(answers[i].error)))
            continue;
        slow_down(flow, answers[i].slower_s);
        if (answers[i].is_waiting)
            return PROGRESS_WAIT;
        (void)error_set(error, ERROR_REFUSED, "%s", answers[i].cause);
        return PROGRESS_FAILED;
    }
    (void)refuse(json, status, error);
    return PROGRESS_FAILED;
}

enum progress device_flow_read_token(struct device_flow *flow, int status, struct str body,
                                     struct str *id_token, struct error *error)
{
    json_t *json;

    if (status >= 500) {
        slow_down(flow, flow->interval_s);
        return PROGRESS_WAIT;
    }
    if (!parse(flow, body, &json, error))
        return PROGRESS_FAILED;
    if (status != 200)
        return read_refusal(flow, json, status, error);
    if (json_get_str(json, "id_token", id_token) && is_plain(*id_token, TOKEN_TEXT_MAX))
        return PROGRESS_DONE;
    (void)error_set(error, ERROR_INVALID, "the provider gives no ID token: is 'openid' a scope?");
    return PROGRESS_FAILED;
}

enum progress device_flow_poll(struct device_flow *flow, struct str *id_token, struct error *error)
{
    OWNED(buf_release) struct buf form = { 0 };
    struct fetch_answer answer;
    struct error why = { 0 };

    buf_init(&form, FORM_MAX);
    add_field(&form, "grant_type", STR(GRANT_DEVICE));
    add_field(&form, "device_code", flow->device_code);
    add_field(&form, "client_id", flow->client_id);
    if (!buf_is_ok(&form)) {
        (void)error_set(error, ERROR_LIMIT, "the provider's code is too long");
        return PROGRESS_FAILED;
    }
    if (send(flow, "POST", flow->token_endpoint.data, buf_str(&form), &answer, &why))
        return device_flow_read_token(flow, answer.status, answer.body, id_token, error);
    if (why.code != ERROR_UNREACHABLE) {
        *error = why;
        return PROGRESS_FAILED;
    }
    slow_down(flow, flow->interval_s); /* RFC 8628 3.5: back off exponentially */
    return PROGRESS_WAIT;
}
