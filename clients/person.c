#include "clients/person.h"

#include <stdio.h>

#include "base/error.h"
#include "base/json.h"
#include "clients/report.h"

#define ANSWER_MAX ((size_t)256 * 1024)
#define TIMEOUT_MS 10000

static const struct json_limits limits = { ANSWER_MAX, 8, 4000 };

static bool get(const struct broker *broker, const char *path, const char *header,
                struct arena *arena, struct fetch_answer *answer, struct error *error)
{
    struct str url = broker_path(broker, path, arena);
    struct upstream_request request = {
        .method = "GET",
        .url = url.data,
        .headers = { "Accept: application/json", header },
        .peer = broker->peer,
        .total_timeout_ms = TIMEOUT_MS,
        .response_max_bytes = ANSWER_MAX,
    };

    *answer = (struct fetch_answer){ 0 };
    if (!url.data)
        return error_set(error, ERROR_MEMORY, "no memory for a URL");
    return fetch(broker->upstream, &request, arena, answer, error);
}

static bool parse(struct str body, struct arena *arena, json_t **json, struct error *error)
{
    struct error why = { 0 };

    if (!json_parse_object(body, limits, json, &why))
        return error_set(error, ERROR_INVALID, "the broker's answer is none: %s", why.cause);
    return json_keep(arena, *json, error);
}

bool person_find_provider(const struct broker *broker, struct arena *arena,
                          struct person_provider *provider, struct error *error)
{
    struct fetch_answer answer;
    json_t *json;

    if (!get(broker, "/.well-known/oauth-protected-resource", NULL, arena, &answer, error))
        return false;
    if (answer.status == 404)
        return error_set(error, ERROR_REFUSED,
                         "this broker knows no people: see 'people' in its "
                         "broker.yaml");
    if (answer.status != 200)
        return error_set(error, ERROR_LATER, "the broker answers %d", answer.status);
    if (!parse(answer.body, arena, &json, error))
        return false;
    provider->issuer = json_str(json_array_get(json_object_get(json, "authorization_servers"), 0));
    if (provider->issuer.len == 0 ||
        !json_get_str(json, "stagepass_client_id", &provider->client_id) ||
        !json_get_str(json, "stagepass_scope", &provider->scope))
        return error_set(error, ERROR_INVALID, "the broker does not say where people log in");
    return true;
}

bool person_ask(const struct broker *broker, struct str id_token, struct arena *arena,
                const json_t **me, struct error *error)
{
    struct str header = arena_printf(arena, "Authorization: Bearer " STR_FMT, STR_ARG(id_token));
    struct fetch_answer answer;
    json_t *json;

    if (!header.data)
        return error_set(error, ERROR_MEMORY, "no memory for a token");
    if (!get(broker, "/api/v1/me", header.data, arena, &answer, error))
        return false;
    if (answer.status == 401)
        return error_set(error, ERROR_REFUSED,
                         "the broker does not take the login (any more): 'stagepass login' makes a "
                         "new one");
    if (answer.status != 200)
        return error_set(error, answer.status >= 429 ? ERROR_LATER : ERROR_INVALID,
                         "the broker answers %d", answer.status);
    if (!parse(answer.body, arena, &json, error))
        return false;
    *me = json;
    return true;
}

static void print_list(const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        (void)fputs(i > 0 ? ", " : "", stdout);
        print_clean(stdout, json_str(json_array_get(list, i)));
    }
}

static void print_text(const char *name, struct str value)
{
    (void)printf("%-10s", name);
    print_clean(stdout, value);
    (void)putchar('\n');
}

static void print_role(const json_t *role)
{
    const json_t *tenants = json_object_get(role, "tenants");

    (void)printf("%-10s", "role");
    print_clean(stdout, json_str(json_object_get(role, "role")));
    if (tenants) {
        (void)fputs(" for ", stdout);
        print_list(tenants);
    }
    (void)putchar('\n');
}

void person_print(const json_t *me)
{
    const json_t *roles = json_object_get(me, "roles");
    const json_t *groups = json_object_get(me, "groups");

    print_text("subject", json_str(json_object_get(me, "subject")));
    if (json_object_get(me, "email"))
        print_text("email", json_str(json_object_get(me, "email")));
    if (json_array_size(groups) > 0) {
        (void)printf("%-10s", "groups");
        print_list(groups);
        (void)putchar('\n');
    }
    for (size_t i = 0; i < json_array_size(roles); i++)
        print_role(json_array_get(roles, i));
    if (json_array_size(roles) == 0)
        print_text("role", STR("none"));
    print_text("until", json_str(json_object_get(me, "until")));
}
