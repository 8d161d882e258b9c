#include <string.h>

#include "api/api_internal.h"
#include "base/json.h"
#include "base/time_text.h"
#include "exchange/rules.h"
#include "identity/people.h"

static bool put_role(json_t *list, const struct people_rule *rule)
{
    json_t *role = json_object();

    if (!role || json_array_append_new(list, role) != 0)
        return false;
    return json_put(role, "role", json_string(person_role_name(rule->role))) &&
           (rule->tenant_count == 0 ||
            json_put(role, "tenants", json_from_strs(rule->tenants, rule->tenant_count)));
}

static bool put_roles(json_t *body, const struct person *person)
{
    json_t *list = json_array();

    if (!json_put(body, "roles", list))
        return false;
    for (size_t i = 0; i < person->rule_count; i++)
        if (!put_role(list, person->rules[i]))
            return false;
    return true;
}

/* How long this token opens doors: its own end, or its age's. */
static bool put_until(json_t *body, const struct person *person)
{
    const struct verified_token *token = &person->token;
    int64_t until_s = token->issued_s + token->issuer->max_age_s;
    char text[TIME_TEXT_S_LEN + 1];

    time_text_s(until_s < token->expires_s ? until_s : token->expires_s, text);
    return json_put(body, "until", json_string(text));
}

enum progress me_get(struct http_request *request, void *context)
{
    const struct person *person = request->caller;
    json_t *body = json_object();

    (void)context;
    if (!json_put(body, "subject", json_from_str(person->subject)) ||
        (person->email.len > 0 && !json_put(body, "email", json_from_str(person->email))) ||
        !json_put(body, "groups", json_from_strs(person->groups, person->group_count)) ||
        !put_roles(body, person) || !put_until(body, person)) {
        json_decref(body);
        body = NULL;
    }
    return http_answer_json(request, 200, body);
}

/* NULL without a console: the member is left out. */
static json_t *console_client(const struct people_options *people)
{
    return people->console_client_id.len > 0 ? json_from_str(people->console_client_id) : NULL;
}

/* Where people log in, for their clients. Source: RFC 9728 2 */
enum progress resource_get(struct http_request *request, void *context)
{
    const struct api *api = context;
    struct rules *rules = rules_get(api->service->rules);
    const struct people_options *people = rules->people;
    struct error error = { 0 };
    json_t *body = NULL;

    if (people)
        body =
            json_pack("{s:o, s:[o], s:[s], s:o, s:o*, s:o}", "resource", json_from_str(api->issuer),
                      "authorization_servers", json_from_str(people->issuer.url),
                      "bearer_methods_supported", "header", "stagepass_client_id",
                      json_from_str(people->client_id), "stagepass_console_client_id",
                      console_client(people), "stagepass_scope", json_from_str(people->scopes));
    else
        (void)error_set(&error, ERROR_NOT_FOUND, "no provider of people is configured");
    rules_put(api->service->rules, rules);
    return error.code == ERROR_NONE ? http_answer_json(request, 200, body)
                                    : http_answer_problem(request, &error);
}
