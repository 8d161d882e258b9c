#include "api/api_internal.h"
#include "base/json.h"
#include "base/log.h"
#include "exchange/rules.h"

static bool put_failed(json_t *body, const struct policy_decision *decision)
{
    json_t *list = json_array();

    if (!json_put(body, "failed", list))
        return false;
    for (size_t i = 0; i < decision->failed_count; i++)
        if (json_array_append_new(list, json_from_str(decision->failed[i])) != 0)
            return false;
    return true;
}

/* Only who fits a pipeline's identity is told more than the constant sentence (design.md 3.2). */
static bool put_why(json_t *body, const struct error *error, const struct exchange *exchange)
{
    const struct policy_decision *decision;

    if (!exchange || error->code != ERROR_CONDITION || !exchange->decision.stage)
        return true;
    decision = &exchange->decision;
    return put_failed(body, decision) &&
           json_put(body, "owner", json_from_str(decision->stage->owner)) &&
           (exchange->rules->help.len == 0 ||
            json_put(body, "help", json_from_str(exchange->rules->help)));
}

/* Which grants want a public key and its proof, so that a client can ask again with them. */
static bool put_wanting(json_t *body, const struct error *error, const struct exchange *exchange)
{
    json_t *list;

    if (!exchange || error->code != ERROR_DETAILS)
        return true;
    list = json_array();
    if (!json_put(body, "grants_needing_keys", list))
        return false;
    for (size_t i = 0; i < exchange->mint_count; i++) {
        const struct policy_grant *grant = exchange->decision.grants[i].grant;

        if (target_kind_of(grant->kind)->check_details && !exchange->mints[i].details &&
            json_array_append_new(list, json_from_str(grant->name)) != 0)
            return false;
    }
    return true;
}

enum progress oauth_answer_error(struct http_request *request, const struct error *error,
                                 struct str decision_id, const struct exchange *exchange)
{
    const struct error_kind *kind = error_kind(error->code);
    json_t *body = json_object();

    if (!json_put(body, "error", json_string(kind->oauth_error)) ||
        !json_put(body, "error_description", json_string(error->message)) ||
        (decision_id.len > 0 && !json_put(body, "decision_id", json_from_str(decision_id))) ||
        (kind->reason && !json_put(body, "reason", json_string(kind->reason))) ||
        !put_why(body, error, exchange) || !put_wanting(body, error, exchange)) {
        json_decref(body);
        body = NULL;
    }
    return http_answer_json(request, kind->http_status, body);
}

bool bearer_get(const struct http_request *request, struct str *token, struct error *error)
{
    struct str value;

    if (http_header_get(request, "Authorization", &value) != 1 || value.len <= 7 ||
        !str_eq_ignore_case(str_slice(value, 0, 7), STR("Bearer ")))
        return error_set(error, ERROR_UNAUTHORIZED, "no bearer credential");
    *token = str_slice(value, 7, value.len);
    return true;
}
