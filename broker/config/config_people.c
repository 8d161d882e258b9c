#include "base/error.h"
#include "base/json.h"
#include "config/config_internal.h"
#include "identity/people.h"
#include "identity/profile.h"
#include "upstream/upstream.h"

#define CLAIM_NAME_MAX 256
#define TEXT_MAX 1024 /* as long as a claim can be */
#define MINUTE_S 60
#define MAX_AGE_MAX_S ((int64_t)24 * 3600)
#define SCOPES_MAX 32
#define CONSOLE_HOSTS_MAX 8
#define HOST_MAX 253
#define PORT_MAX 5
#define HOST_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-"

static const char *const people_names[] = {
    "url",      "client_id",  "console_client_id", "console_hosts",
    "audience", "algorithms", "max_age",           "ca",
    "jwks",     "key_hosts",  "allow_http",        "allow_networks",
    "scopes",   "roles",      "same_as",           NULL
};

static const char *const role_names[] = { "auditor", "operator", "approver", NULL };

static const enum person_role roles[] = { PERSON_AUDITOR, PERSON_OPERATOR, PERSON_APPROVER };

/* "groups", or "/realm_access/roles" */
static bool is_claim(struct str text)
{
    return text.len >= 1 && text.len <= CLAIM_NAME_MAX && !str_has_control(text) &&
           !str_eq(text, STR("/"));
}

/* ---- the provider ---- */

static void read_url(const struct config_reader *reader, const json_t *map,
                     struct issuer_options *issuer)
{
    struct error why = { 0 };

    (void)yaml_get_bool(&reader->yaml, map, "allow_http", &issuer->may_use_http);
    if (!yaml_require(&reader->yaml, map, "url") ||
        !yaml_get_str(&reader->yaml, map, "url", &issuer->url))
        return;
    if (!upstream_url_check(issuer->url, issuer->may_use_http, &why))
        (void)yaml_complain(&reader->yaml, json_object_get(map, "url"), "%s", why.cause);
    /* Whose token is whose must never hang on what else it says (RFC 8725 3.12). */
    for (size_t i = 0; i < reader->config->issuer_count; i++)
        if (str_eq(reader->config->issuers[i].url, issuer->url))
            (void)yaml_complain(&reader->yaml, json_object_get(map, "url"),
                                "issuer '" STR_FMT "' has this URL: runs and people need issuers "
                                "of their own",
                                STR_ARG(reader->config->issuers[i].name));
}

static void read_client_id(const struct config_reader *reader, const json_t *map, const char *name,
                           struct str *id)
{
    if (yaml_get_str(&reader->yaml, map, name, id) &&
        (id->len == 0 || id->len > TEXT_MAX || str_has_control(*id)))
        (void)yaml_complain(&reader->yaml, json_object_get(map, name),
                            "expected the id that the provider knows the broker's client by");
}

static void read_client(const struct config_reader *reader, const json_t *map,
                        struct people_options *people)
{
    if (yaml_require(&reader->yaml, map, "client_id"))
        read_client_id(reader, map, "client_id", &people->client_id);
    people->issuer.audience = people->client_id;
    (void)yaml_get_str(&reader->yaml, map, "audience", &people->issuer.audience);
    people->scopes = STR("openid");
}

static bool is_scope(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] < 0x21 || text.data[i] > 0x7e || text.data[i] == '"' ||
            text.data[i] == '\\')
            return false;
    return text.len > 0 && text.len <= CLAIM_NAME_MAX;
}

static void read_scopes(const struct config_reader *reader, const json_t *map,
                        struct people_options *people)
{
    struct str text = STR("openid");
    struct str *names;
    size_t count;

    if (!yaml_get_strs(&reader->yaml, map, "scopes", &names, &count))
        return;
    if (count > SCOPES_MAX)
        (void)yaml_complain(&reader->yaml, json_object_get(map, "scopes"), "at most %d scopes",
                            SCOPES_MAX);
    for (size_t i = 0; i < count && i < SCOPES_MAX; i++) {
        if (!is_scope(names[i]))
            (void)yaml_complain(&reader->yaml, json_object_get(map, "scopes"),
                                "a scope is printable, without space, '\"' and '\\'");
        else if (!str_eq(names[i], STR("openid")))
            text = arena_printf(reader->config->arena, STR_FMT " " STR_FMT, STR_ARG(text),
                                STR_ARG(names[i]));
    }
    people->scopes = text;
}

/* ---- the console ---- */

/* A host that is one in a browser's content policy too, where some characters mean more. */
static bool is_host(struct str text)
{
    struct str port = { 0 };
    struct str host;
    bool has_port = str_cut(text, ':', &host, &port);

    return host.len > 0 && host.len <= HOST_MAX && str_is_made_of(host, HOST_CHARACTERS) &&
           (!has_port ||
            (port.len > 0 && port.len <= PORT_MAX && str_is_made_of(port, "0123456789")));
}

/* The provider's own origin, and those of further hosts. */
static void read_origins(const struct config_reader *reader, const json_t *map,
                         struct people_options *people)
{
    struct str url = people->issuer.url;
    struct str own = upstream_url_host(url);
    const json_t *list = json_object_get(map, "console_hosts");
    struct str *hosts = NULL;
    size_t count = 0;

    (void)yaml_get_strs(&reader->yaml, map, "console_hosts", &hosts, &count);
    if (!is_host(own))
        (void)yaml_complain(&reader->yaml, json_object_get(map, "url"),
                            "no browser can be told to ask this host alone: the console needs a "
                            "provider with a host's name");
    if (count > CONSOLE_HOSTS_MAX)
        (void)yaml_complain(&reader->yaml, list, "at most %d hosts", CONSOLE_HOSTS_MAX);
    people->console_origins =
        arena_printf(reader->config->arena, "%s://" STR_FMT,
                     str_starts_with(url, STR("http://")) ? "http" : "https", STR_ARG(own));
    for (size_t i = 0; i < count && i < CONSOLE_HOSTS_MAX; i++) {
        if (!is_host(hosts[i]))
            (void)yaml_complain(&reader->yaml, json_is_array(list) ? json_array_get(list, i) : list,
                                "expected a host, such as login.acme.example");
        people->console_origins = arena_printf(reader->config->arena, STR_FMT " https://" STR_FMT,
                                               STR_ARG(people->console_origins), STR_ARG(hosts[i]));
    }
}

/* The console's client may be another than that of the command line: providers that know kinds of
 * clients want two. */
static void read_console(const struct config_reader *reader, const json_t *map,
                         struct people_options *people)
{
    if (!json_object_get(map, "console_client_id")) {
        if (json_object_get(map, "console_hosts"))
            (void)yaml_complain_key(&reader->yaml, map, "console_hosts", STR(""),
                                    "there is no console without 'console_client_id'");
        return;
    }
    read_client_id(reader, map, "console_client_id", &people->console_client_id);
    people->issuer.other_audience = people->console_client_id;
    if (people->issuer.url.len > 0)
        read_origins(reader, map, people);
}

/* ---- roles ---- */

static void read_condition(const struct config_reader *reader, const json_t *map, const char *name,
                           struct people_condition *condition)
{
    const json_t *value = json_object_get(map, name);
    struct str *values = NULL;

    condition->claim = str_from(name);
    if (!is_claim(condition->claim))
        (void)yaml_complain_key(&reader->yaml, map, name, STR(""),
                                "expected a claim's name or a JSON Pointer");
    if (!yaml_get_strs(&reader->yaml, map, name, &values, &condition->value_count))
        return;
    condition->values = values;
    if (condition->value_count == 0 || condition->value_count > PEOPLE_VALUES_MAX)
        (void)yaml_complain(&reader->yaml, value, "expected 1 to %d values, not %zu",
                            PEOPLE_VALUES_MAX, condition->value_count);
    for (size_t i = 0; i < condition->value_count; i++)
        if (values[i].len == 0)
            (void)yaml_complain(&reader->yaml, value, "an empty text fits nobody");
}

static void read_tenants(const struct config_reader *reader, const json_t *map,
                         struct people_rule *rule)
{
    struct str *tenants = NULL;

    if (!yaml_get_strs(&reader->yaml, map, "tenants", &tenants, &rule->tenant_count))
        return;
    rule->tenants = tenants;
    if (rule->tenant_count == 0 || rule->tenant_count > PEOPLE_VALUES_MAX)
        (void)yaml_complain(&reader->yaml, json_object_get(map, "tenants"),
                            "expected 1 to %d tenants: without the key the role is for all",
                            PEOPLE_VALUES_MAX);
    for (size_t i = 0; i < rule->tenant_count; i++)
        if (!config_is_name(tenants[i]))
            (void)yaml_complain(&reader->yaml, json_object_get(map, "tenants"),
                                "a tenant's name is [a-z0-9-]{1,40}");
}

/* One map of a role: conditions, and `tenants`, which is none. */
static void read_rule(const struct config_reader *reader, const json_t *map, size_t role,
                      struct people_options *people)
{
    struct people_rule *rule = &people->rules[people->rule_count];
    struct people_condition *conditions;
    const char *name;
    json_t *value;

    if (!json_is_object(map)) {
        (void)yaml_complain(&reader->yaml, map,
                            "expected a map of claims, such as { groups: [security] }");
        return;
    }
    conditions =
        arena_alloc_array(reader->config->arena, PEOPLE_CONDITIONS_MAX, sizeof(*conditions));
    if (!conditions)
        return;
    rule->role = roles[role];
    rule->conditions = conditions;
    json_object_foreach (json_iterable(map), name, value) {
        if (str_eq(str_from(name), STR("tenants")))
            continue;
        if (rule->condition_count == PEOPLE_CONDITIONS_MAX) {
            (void)yaml_complain(&reader->yaml, map, "at most %d claims", PEOPLE_CONDITIONS_MAX);
            return;
        }
        read_condition(reader, map, name, &conditions[rule->condition_count++]);
    }
    read_tenants(reader, map, rule);
    if (rule->condition_count == 0)
        (void)yaml_complain(&reader->yaml, map, "a role without a claim would be everybody's");
    people->rule_count++;
}

static size_t map_count(const json_t *value)
{
    return json_is_array(value) ? json_array_size(value) : 1;
}

static void read_role(const struct config_reader *reader, const json_t *map, size_t role,
                      struct people_options *people)
{
    const json_t *value = json_object_get(map, role_names[role]);
    size_t count = map_count(value);

    if (!value)
        return;
    if (count == 0)
        (void)yaml_complain(&reader->yaml, value, "an empty list is nobody: remove it");
    for (size_t i = 0; i < count; i++) {
        if (people->rule_count == PEOPLE_RULES_MAX) {
            (void)yaml_complain(&reader->yaml, value, "at most %d maps in all roles",
                                PEOPLE_RULES_MAX);
            return;
        }
        read_rule(reader, json_is_array(value) ? json_array_get(value, i) : value, role, people);
    }
}

static void read_roles(const struct config_reader *reader, const json_t *map,
                       struct people_options *people)
{
    const json_t *value;

    people->rules =
        arena_alloc_array(reader->config->arena, PEOPLE_RULES_MAX, sizeof(*people->rules));
    if (!people->rules || !yaml_get_map(&reader->yaml, map, "roles", &value) ||
        !yaml_expect_map(&reader->yaml, value, role_names))
        return;
    for (size_t i = 0; role_names[i]; i++)
        read_role(reader, value, i, people);
}

/* ---- same_as ---- */

static bool has_issuer(const struct config *config, struct str name)
{
    for (size_t i = 0; i < config->issuer_count; i++)
        if (str_eq(config->issuers[i].name, name))
            return true;
    return false;
}

static void read_same(const struct config_reader *reader, const json_t *map, const char *name,
                      struct people_same *same)
{
    const json_t *value = json_object_get(map, name);
    struct str text = json_str(value);
    const struct claim *fact = NULL;

    same->claim = str_from(name);
    if (!is_claim(same->claim))
        (void)yaml_complain_key(&reader->yaml, map, name, STR(""),
                                "expected a claim's name or a JSON Pointer");
    if (str_starts_with(text, STR("ci."))) {
        same->fact = str_slice(text, 3, text.len);
        fact = claim_find(&profile_ci_facts, same->fact);
    }
    if (!fact || fact->type != CLAIM_STRING)
        (void)yaml_complain(&reader->yaml, value,
                            "expected a fact of the run that is a text, such as ci.actor_id");
}

static void read_same_of(const struct config_reader *reader, const json_t *all, const char *issuer,
                         struct people_options *people)
{
    const json_t *map = json_object_get(all, issuer);
    const char *name;
    json_t *value;

    if (!has_issuer(reader->config, str_from(issuer)))
        (void)yaml_complain_key(&reader->yaml, all, issuer, STR(""), "there is no issuer '%s'",
                                issuer);
    if (!json_is_object(map) || json_object_size(map) == 0 ||
        json_object_size(map) > PEOPLE_SAME_MAX) {
        (void)yaml_complain(&reader->yaml, map,
                            "expected a map of 1 to %d claims, such as { \"/github_id\": "
                            "ci.actor_id }",
                            PEOPLE_SAME_MAX);
        return;
    }
    json_object_foreach (json_iterable(map), name, value) {
        struct people_same *same = &people->same[people->same_count++];

        same->issuer = str_from(issuer);
        read_same(reader, map, name, same);
    }
}

static void read_same_as(const struct config_reader *reader, const json_t *map,
                         struct people_options *people)
{
    const json_t *value;
    const char *issuer;
    json_t *ignored;

    if (!yaml_get_map(&reader->yaml, map, "same_as", &value))
        return;
    if (json_object_size(value) > IDENTITY_ISSUERS_MAX) {
        (void)yaml_complain(&reader->yaml, value, "at most %d issuers", IDENTITY_ISSUERS_MAX);
        return;
    }
    people->same =
        arena_alloc_array(reader->config->arena, (json_object_size(value) + 1) * PEOPLE_SAME_MAX,
                          sizeof(*people->same));
    if (!people->same)
        return;
    json_object_foreach (json_iterable(value), issuer, ignored)
        read_same_of(reader, value, issuer, people);
}

void config_read_people(const struct config_reader *reader, const json_t *root)
{
    struct config *config = reader->config;
    struct people_options *people;
    const json_t *map;

    if (!yaml_get_map(&reader->yaml, root, "people", &map) ||
        !yaml_expect_map(&reader->yaml, map, people_names))
        return;
    people = arena_alloc(config->arena, sizeof(*people));
    if (!people)
        return;
    people->issuer = (struct issuer_options){
        .name = STR(PEOPLE_ISSUER),
        .profile = &profile_person,
        .claims = profile_person.claims,
        .max_age_s = profile_person.max_age_s,
    };
    read_url(reader, map, &people->issuer);
    read_client(reader, map, people);
    read_console(reader, map, people);
    read_scopes(reader, map, people);
    config_read_algorithms(reader, map, &people->issuer);
    (void)yaml_get_duration_s(&reader->yaml, map, "max_age", MINUTE_S, MAX_AGE_MAX_S,
                              &people->issuer.max_age_s);
    config_read_fetching(reader, map, &people->issuer);
    read_roles(reader, map, people);
    read_same_as(reader, map, people);
    config->people = people;
}
