#include "api/api_internal.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/log.h"
#include "base/metrics.h"
#include "exchange/release.h"
#include "exchange/rules.h"
#include "http/form.h"
#include "identity/resource_server.h"
#include "keys/keys.h"
#include "ledger/ledger.h"

/*
 * RFC 7662: whether a token of ours is good now. It verifies, has not expired, was not revoked by
 * itself, and its lease lives. All that is not so is the same answer: {"active": false}.
 */

static const char *const parameters[] = { "token", "token_type_hint", NULL };

/* Claims of a token that a resource server is told, where it has them (RFC 7662 2.2). */
static const char *const told[] = { "scope", "client_id", "exp", "iat", "nbf", "sub",
                                    "aud",   "iss",       "jti", "cnf", "act", "lease" };

/* The snapshot whose resource server asks. */
struct asking {
    struct rules_table *table;
    struct rules *rules;
    const struct resource_server *server;
};

static void release_asking(struct asking *asking)
{
    if (asking->rules)
        rules_put(asking->table, asking->rules);
}

OWNED_VALUE(release_asking, struct asking)

/* Who shows nothing that is known costs their address; nobody else waits for what that spent. */
static bool authorize(struct http_request *request, const struct api *api, struct asking *asking,
                      struct error *error)
{
    struct str value = { 0 };

    if (http_header_get(request, "Authorization", &value) == 1)
        asking->server = resource_server_find(asking->rules->resource_servers,
                                              asking->rules->resource_server_count, value);
    return asking->server || (api_spend_address(request, api, error) &&
                              error_set(error, ERROR_CLIENT, "no resource server shows itself"));
}

static bool read_token(const struct http_request *request, struct str *token, struct error *error)
{
    struct form *form = arena_alloc(request->arena, sizeof(*form));

    if (!form)
        return error_set(error, ERROR_MEMORY, "form");
    return form_parse(request->body, parameters, request->arena, form, error) &&
           (form_get(form, "token", token) || error_set(error, ERROR_REQUEST, "no token"));
}

/* ERROR_NOT_FOUND: it is not live, which is an answer and no failure. */
static bool is_lease_live(struct ledger *ledger, const json_t *claims, int64_t now_s,
                          struct error *error)
{
    struct store_lease lease;

    if (!ledger_lease_by_id(ledger, json_str(json_object_get(claims, "lease")), &lease, error))
        return false;
    return (lease.state == LEASE_ISSUED && lease.expires_s > now_s) ||
           error_set(error, ERROR_NOT_FOUND, "its lease has ended");
}

static bool is_revoked(struct ledger *ledger, const json_t *claims, bool *revoked,
                       struct error *error)
{
    uint8_t key[SHA256_LEN];
    struct store_mark mark;
    struct error cause = { 0 };

    release_token_mark(json_str(json_object_get(claims, "jti")), key);
    *revoked = ledger_mark(ledger, key, &mark, &cause);
    if (*revoked || cause.code == ERROR_NOT_FOUND)
        return true;
    *error = cause;
    return false;
}

/* Whether the token is good; what cannot be found out is an error. */
static bool examine(const struct api *api, const struct asking *asking, struct str token,
                    json_t **claims, struct error *error)
{
    struct ledger *ledger = api->service->ledger;
    int64_t now_s = clock_wall_s();
    bool revoked = true;

    if (!keys_verify_own_jwt(api->service->tools.keys, token, "at+jwt", claims, error))
        return false;
    if (!str_eq(json_str(json_object_get(*claims, "aud")), asking->server->audience) ||
        json_integer_value(json_object_get(*claims, "exp")) <= now_s)
        return error_set(error, ERROR_NOT_FOUND, "another audience, or expired");
    if (!is_lease_live(ledger, *claims, now_s, error) ||
        !is_revoked(ledger, *claims, &revoked, error))
        return false;
    return !revoked || error_set(error, ERROR_NOT_FOUND, "it was revoked");
}

static json_t *answer_active(const json_t *claims)
{
    JSON_OWNED json_t *body = json_object();
    bool is_bound = json_object_get(json_object_get(claims, "cnf"), "jkt");

    if (!json_put(body, "active", json_true()) ||
        !json_put(body, "token_type", json_string(is_bound ? "DPoP" : "Bearer")))
        return NULL;
    for (size_t i = 0; i < COUNT(told); i++) {
        json_t *value = json_object_get(claims, told[i]);

        if (value && !json_put(body, told[i], json_incref(value)))
            return NULL;
    }
    return TAKE(body);
}

static enum progress answer_failure(struct http_request *request, const struct error *error)
{
    struct log_line line;

    log_begin(&line, LOG_LEVEL_INFO, "introspection.refused");
    log_error(&line, error);
    log_end(&line);
    if (error->code == ERROR_CLIENT)
        http_add_header(request, "WWW-Authenticate", STR("Basic realm=\"introspect\""));
    return oauth_answer_error(request, error, STR(""), NULL);
}

enum progress introspect_post(struct http_request *request, void *context)
{
    const struct api *api = context;
    OWNED(release_asking) struct asking asking = { .table = api->service->rules };
    JSON_OWNED json_t *claims = NULL;
    struct error error = { 0 };
    struct str token;

    asking.rules = rules_get(asking.table);
    if (!authorize(request, api, &asking, &error) || !read_token(request, &token, &error))
        return answer_failure(request, &error);
    metric_add(METRIC_INTROSPECTIONS, 1);
    if (examine(api, &asking, token, &claims, &error))
        return http_answer_json(request, 200, answer_active(claims));
    if (error.code == ERROR_LEDGER || error.code == ERROR_MEMORY || error.code == ERROR_CRYPTO)
        return answer_failure(request, &error);
    return http_answer_json(request, 200, json_pack("{s:b}", "active", 0));
}
