#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "config/config_internal.h"
#include "identity/people.h"
#include "identity/profile.h"
#include "keys/verifier.h"
#include "upstream/upstream.h"

#define CLAIMS_MAX 200
#define MAX_AGE_MAX_S ((int64_t)24 * 3600)

static const char *const issuer_names[] = {
    "profile", "url",  "audience",  "only",       "algorithms",     "max_age", "claims",    "ids",
    "ca",      "jwks", "key_hosts", "allow_http", "allow_networks", "bind",    "on_replay", NULL
};

static const struct {
    const char *name;
    enum claim_type type;
} claim_types[] = {
    { "string", CLAIM_STRING },   { "integer", CLAIM_INTEGER }, { "boolean", CLAIM_BOOLEAN },
    { "strings", CLAIM_STRINGS }, { "object", CLAIM_OBJECT },   { "objects", CLAIM_OBJECTS },
};

static void read_profile(const struct config_reader *reader, const json_t *issuers,
                         struct issuer_options *issuer)
{
    const json_t *map = json_object_get(issuers, issuer->name.data);
    const char *const *names = profile_names();
    size_t choice;

    if (config_require_in_row(reader, issuers, issuer->name.data, "profile") &&
        yaml_get_choice(&reader->yaml, map, "profile", names, &choice))
        issuer->profile = profile_find(str_from(names[choice]));
}

static void read_url(const struct config_reader *reader, const json_t *map,
                     struct issuer_options *issuer)
{
    struct error why = { 0 };

    (void)yaml_get_bool(&reader->yaml, map, "allow_http", &issuer->may_use_http);
    if (issuer->profile->default_url)
        issuer->url = str_from(issuer->profile->default_url);
    else
        (void)yaml_require(&reader->yaml, map, "url");
    if (yaml_get_str(&reader->yaml, map, "url", &issuer->url) &&
        !upstream_url_check(issuer->url, issuer->may_use_http, &why))
        (void)yaml_complain(&reader->yaml, json_object_get(map, "url"), "%s", why.cause);
}

void config_read_algorithms(const struct config_reader *reader, const json_t *map,
                            struct issuer_options *issuer)
{
    struct str *names;
    size_t count;

    issuer->algorithms = issuer->profile->algorithms;
    if (!yaml_get_strs(&reader->yaml, map, "algorithms", &names, &count))
        return;
    if (count == 0)
        (void)yaml_complain(&reader->yaml, json_object_get(map, "algorithms"),
                            "expected at least one of " JOSE_NAMES);
    issuer->algorithms = 0;
    for (size_t i = 0; i < count; i++) {
        unsigned algorithm = jose_algorithm_from(names[i]);

        if (algorithm == 0)
            (void)yaml_complain(&reader->yaml, json_object_get(map, "algorithms"),
                                "'" STR_FMT "' is not one of " JOSE_NAMES, STR_ARG(names[i]));
        issuer->algorithms |= algorithm;
    }
}

static bool claim_type_from(struct str text, enum claim_type *type)
{
    for (size_t i = 0; i < COUNT(claim_types); i++)
        if (str_eq(text, str_from(claim_types[i].name))) {
            *type = claim_types[i].type;
            return true;
        }
    return false;
}

static void add_claim(const struct config_reader *reader, const json_t *claims, const char *name,
                      const json_t *type, struct claim_table *table, struct claim *row)
{
    if (claim_find(table, str_from(name))) {
        (void)yaml_complain_key(&reader->yaml, claims, name, STR(""),
                                "the profile has this claim already");
        return;
    }
    if (!json_is_string(type) || !claim_type_from(json_str(type), &row->type)) {
        (void)yaml_complain(&reader->yaml, type,
                            "expected string, integer, boolean, strings, object or objects");
        return;
    }
    if (!claim_name_is_good(str_from(name))) {
        (void)yaml_complain_key(&reader->yaml, claims, name, STR(""),
                                "'%s' is no JSON Pointer: parts are not empty, '~' is written '~0' "
                                "and '/' in a name '~1'",
                                name);
        return;
    }
    row->name = name;
    row->flags = CLAIM_OPTIONAL;
    table->count++;
}

/* The profile's rows, then those of `claims:`, then the flags of `ids:`, in one table. */
static void read_claims(const struct config_reader *reader, const json_t *map,
                        struct issuer_options *issuer)
{
    const struct claim_table *base = &issuer->profile->claims;
    struct claim *rows =
        arena_alloc_array(reader->config->arena, base->count + CLAIMS_MAX, sizeof(*rows));
    const json_t *claims;
    const char *name;
    json_t *type;
    struct str *ids;
    size_t id_count;

    if (!rows)
        return;
    memcpy(rows, base->rows, base->count * sizeof(*rows));
    issuer->claims = (struct claim_table){ rows, base->count };
    if (yaml_get_map(&reader->yaml, map, "claims", &claims)) {
        if (json_object_size(claims) > CLAIMS_MAX) {
            (void)yaml_complain(&reader->yaml, claims, "at most %d claims", CLAIMS_MAX);
            return;
        }
        json_object_foreach (json_iterable(claims), name, type)
            add_claim(reader, claims, name, type, &issuer->claims, &rows[issuer->claims.count]);
    }
    if (!yaml_get_strs(&reader->yaml, map, "ids", &ids, &id_count))
        return;
    for (size_t i = 0; i < id_count; i++) {
        const struct claim *row = claim_find(&issuer->claims, ids[i]);

        if (row && (row->flags & CLAIM_PREFIX) == 0)
            rows[row - rows].flags |= CLAIM_ID;
        else
            (void)yaml_complain(&reader->yaml, json_object_get(map, "ids"),
                                "'" STR_FMT "' is no claim of this issuer: name it in 'claims'",
                                STR_ARG(ids[i]));
    }
}

/* "did you mean 'repository_owner_id'?", or nothing. */
static struct str nearest_claim(const struct config_reader *reader,
                                const struct issuer_options *issuer, const char *name)
{
    struct arena *arena = reader->config->arena;
    struct str *names = arena_alloc_array(arena, issuer->claims.count + 1, sizeof(*names));

    for (size_t i = 0; names && i < issuer->claims.count; i++)
        names[i] = str_from(issuer->claims.rows[i].name);
    return diagnostic_nearest(arena, str_from(name), names, issuer->claims.count);
}

/* The claim to name in `only`: an owner's id, else any id. */
static const char *owner_id_of(const struct profile *profile)
{
    static const unsigned wanted[] = { CLAIM_OWNER_ID, CLAIM_ID };

    for (size_t i = 0; i < COUNT(wanted); i++)
        for (size_t k = 0; k < profile->claims.count; k++)
            if ((profile->claims.rows[k].flags & wanted[i]) != 0)
                return profile->claims.rows[k].name;
    return "sub";
}

/* The values of `only` are exact strings of claims that the profile knows. */
static void read_only(const struct config_reader *reader, const json_t *map,
                      struct issuer_options *issuer)
{
    bool has_id = false;
    const json_t *only = NULL;
    const char *name;
    json_t *value;

    (void)yaml_get_map(&reader->yaml, map, "only", &only);
    issuer->only = only;
    json_object_foreach (json_iterable(only), name, value) {
        const struct claim *claim = claim_find(&issuer->claims, str_from(name));

        if (!claim)
            (void)yaml_complain_key(&reader->yaml, only, name, nearest_claim(reader, issuer, name),
                                    "'%s' is no claim of this issuer", name);
        else if (claim->type != CLAIM_STRING || !json_is_string(value))
            (void)yaml_complain_key(&reader->yaml, only, name, STR(""),
                                    "'only' takes claims that are strings, and one value of each");
        else
            has_id = has_id || (claim->flags & (CLAIM_OWNER_ID | CLAIM_ID)) != 0;
    }
    if (profile_is_shared(issuer->profile, issuer->url) && !has_id)
        (void)yaml_complain(&reader->yaml, map,
                            "many organisations share this issuer: 'only' must fix an owner's id, "
                            "such as { %s: \"918273\" }",
                            owner_id_of(issuer->profile));
}

void config_read_fetching(const struct config_reader *reader, const json_t *map,
                          struct issuer_options *issuer)
{
    struct network *networks;
    struct str *hosts;

    (void)config_get_path(reader, map, "ca", &issuer->ca_file);
    (void)config_get_path(reader, map, "jwks", &issuer->jwks_file);
    if (yaml_get_networks(&reader->yaml, map, "allow_networks", &networks, &issuer->network_count))
        issuer->networks = networks;
    if (yaml_get_strs(&reader->yaml, map, "key_hosts", &hosts, &issuer->key_host_count))
        issuer->key_hosts = hosts;
}

/* Source: security-rules.md 4.4 */
static void check_binding(const struct config_reader *reader, const json_t *map,
                          const struct issuer_options *issuer)
{
    if (issuer->profile->audience_is_fixed && issuer->binding == IDENTITY_BIND_NOTHING)
        (void)yaml_complain_hint(
            &reader->yaml, map, STR("say what binds them to the job: 'bind: dpop' or 'bind: mtls'"),
            "this platform fixes the audience of its tokens, so that others "
            "take them too");
}

/* What comes along with its tokens, and what happens to one that comes again. */
static void read_binding(const struct config_reader *reader, const json_t *map,
                         struct issuer_options *issuer)
{
    static const char *const bindings[] = { "dpop", "mtls", NULL };
    static const enum identity_binding values[] = { IDENTITY_BIND_DPOP, IDENTITY_BIND_MTLS };
    static const char *const answers[] = { "refuse", "revoke", NULL };
    size_t choice;

    if (yaml_get_choice(&reader->yaml, map, "bind", bindings, &choice))
        issuer->binding = values[choice];
    if (yaml_get_choice(&reader->yaml, map, "on_replay", answers, &choice))
        issuer->revokes_on_replay = choice == 1;
    if (issuer->binding == IDENTITY_BIND_MTLS && !reader->config->is_catalog &&
        !reader->config->listen.client_ca_file)
        (void)yaml_complain(&reader->yaml, json_object_get(map, "bind"),
                            "no client certificate is ever accepted: name 'client_ca' under "
                            "'listen.tls'");
}

static void read_issuer(const struct config_reader *reader, const json_t *issuers,
                        struct issuer_options *issuer)
{
    const json_t *map = json_object_get(issuers, issuer->name.data);

    if (!yaml_expect_map(&reader->yaml, map, issuer_names))
        return;
    read_profile(reader, issuers, issuer);
    if (!issuer->profile)
        return;
    read_url(reader, map, issuer);
    if (yaml_require(&reader->yaml, map, "audience"))
        (void)yaml_get_str(&reader->yaml, map, "audience", &issuer->audience);
    config_read_algorithms(reader, map, issuer);
    issuer->max_age_s = issuer->profile->max_age_s;
    issuer->max_lifetime_s = issuer->profile->max_lifetime_s;
    (void)yaml_get_duration_s(&reader->yaml, map, "max_age", 1, MAX_AGE_MAX_S, &issuer->max_age_s);
    read_claims(reader, map, issuer);
    read_only(reader, map, issuer);
    config_read_fetching(reader, map, issuer);
    read_binding(reader, map, issuer);
    check_binding(reader, map, issuer); /* last: it looks at what the others read */
}

/* Two issuers with one URL would leave it open whose rules a token meets. */
static void refuse_same_url(const struct config_reader *reader, const json_t *map, size_t index)
{
    const struct issuer_options *issuers = reader->config->issuers;

    for (size_t i = 0; i < index; i++)
        if (str_eq(issuers[i].url, issuers[index].url))
            (void)yaml_complain(&reader->yaml, map, "issuer '" STR_FMT "' has this URL already",
                                STR_ARG(issuers[i].name));
}

void config_read_issuers(const struct config_reader *reader, const json_t *root)
{
    struct config *config = reader->config;
    const json_t *issuers;
    const char *name;
    json_t *map;

    if (!yaml_require(&reader->yaml, root, "issuers") ||
        !yaml_get_map(&reader->yaml, root, "issuers", &issuers))
        return;
    if (json_object_size(issuers) > IDENTITY_ISSUERS_MAX) {
        (void)yaml_complain(&reader->yaml, issuers, "at most %d issuers", IDENTITY_ISSUERS_MAX);
        return;
    }
    config->issuers =
        arena_alloc_array(config->arena, json_object_size(issuers) + 1, sizeof(*config->issuers));
    if (!config->issuers)
        return;
    json_object_foreach (json_iterable(issuers), name, map) {
        struct issuer_options *issuer = &config->issuers[config->issuer_count];

        issuer->name = str_from(name);
        if (!config_is_name(issuer->name))
            (void)yaml_complain_key(&reader->yaml, issuers, name, STR(""),
                                    "an issuer's name is [a-z0-9-]{1,40}");
        if (str_eq(issuer->name, STR(PEOPLE_ISSUER)))
            (void)yaml_complain_key(&reader->yaml, issuers, name, STR(""),
                                    "'" PEOPLE_ISSUER "' stands for the provider of people");
        read_issuer(reader, issuers, issuer);
        refuse_same_url(reader, map, config->issuer_count);
        config->issuer_count++;
    }
}
