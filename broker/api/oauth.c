#include "api/api_internal.h"
#include "base/json.h"
#include "base/log.h"
#include "exchange/approval.h"
#include "exchange/rules.h"

static bool put_failed(json_t *body, const struct policy_decision *decision)
{
    return json_put(body, "failed", json_from_strs(decision->failed, decision->failed_count));
}

/* Only who fits a pipeline's identity is told more than the constant sentence (design.md 3.2). */
static bool put_why(json_t *body, const struct error *error, const struct exchange *exchange)
{
    const struct policy_decision *decision;

    if (!exchange || !exchange->decision.stage ||
        (error->code != ERROR_CONDITION && error->code != ERROR_BLOCKED))
        return true;
    decision = &exchange->decision;
    return put_failed(body, decision) &&
           json_put(body, "owner", json_from_str(decision->stage->owner)) &&
           json_put_text(body, "help", exchange->rules->help);
}

/* Of which grant no credential could be had: then there are none of the others either. */
static bool put_failed_grant(json_t *body, const struct error *error,
                             const struct exchange *exchange)
{
    if (!exchange || exchange->failed_grant.len == 0 ||
        (error->code != ERROR_MINT && error->code != ERROR_MINT_UNKNOWN))
        return true;
    return json_put(body, "failed", json_from_strs(&exchange->failed_grant, 1));
}

/* Which grants want what of the caller, so that a client can ask again with it. */
static bool put_wanting(json_t *body, const struct error *error, const struct exchange *exchange)
{
    if (!exchange || error->code != ERROR_DETAILS)
        return true;
    for (size_t i = 0; i < exchange->mint_count; i++) {
        const struct policy_grant *grant = exchange->decision.grants[i].grant;
        const struct target_kind *kind = target_kind_of(grant->kind);
        const struct mint *mint = &exchange->mints[i];
        const char *needing = kind->needing;
        json_t *list = needing ? json_object_get(body, needing) : NULL;

        if (!needing || mint->details || (kind->is_needing && !kind->is_needing(mint)))
            continue;
        if (!list && json_put(body, needing, json_array()))
            list = json_object_get(body, needing);
        if (json_array_append_new(list, json_from_str(grant->name)) != 0)
            return false;
    }
    return true;
}

/* The code is the caller's alone: it comes here, and nowhere else. Source: RFC 8628 3.2 */
static bool put_approval(json_t *body, const struct error *error, const struct exchange *exchange)
{
    const struct exchange_approval *approval = exchange ? exchange->approval : NULL;
    json_t *object;

    if (error->code != ERROR_APPROVAL_PENDING || !approval)
        return true;
    object = json_object();
    return json_put(body, "approval", object) &&
           json_put(object, "id", json_string(approval->id)) &&
           json_put(object, "code", json_string(approval->code)) &&
           json_put(object, "interval", json_integer(APPROVAL_INTERVAL_S)) &&
           json_put(object, "expires_in",
                    json_integer(exchange->decision.obligations.approval->wait_s));
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
        !put_why(body, error, exchange) || !put_failed_grant(body, error, exchange) ||
        !put_wanting(body, error, exchange) || !put_approval(body, error, exchange)) {
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

enum progress handle_refuse(struct http_request *request, const struct api *api,
                            const struct error *why)
{
    struct error spent = { 0 };

    if (why->code != ERROR_UNAUTHORIZED)
        return http_answer_problem(request, why);
    if (!api_spend_address(request, api, &spent))
        return http_answer_problem(request, &spent);
    http_add_header(request, "WWW-Authenticate", STR("Bearer"));
    return http_answer_problem(request, why);
}
