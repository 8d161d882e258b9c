#include "base/json.h"
#include "policy/policy_loader.h"

/* One map of conditions; `issuer` is skipped where `is_identity`. */
static bool read_map(struct policy_loader *loader, const json_t *json,
                     const struct policy_scope *scope, bool is_identity, struct policy_map *map)
{
    size_t size = json_object_size(json);
    struct policy_condition *conditions;
    bool is_good = true;
    const char *name;
    json_t *value;

    if (!json_is_object(json))
        return yaml_complain(&loader->reader, json, "expected a map of conditions");
    if (size == 0)
        return yaml_complain(&loader->reader, json, "an empty map holds always: remove it");
    if (size > POLICY_CONDITIONS_MAX)
        return yaml_complain(&loader->reader, json, "a map has at most %d conditions, not %zu",
                             POLICY_CONDITIONS_MAX, size);
    conditions = policy_loader_alloc(loader, size, sizeof(*conditions));
    if (conditions == NULL)
        return false;
    json_object_foreach (json_iterable(json), name, value) {
        if (is_identity && str_eq(str_from(name), STR("issuer")))
            continue;
        if (is_identity && policy_actor_is_name(str_from(name))) {
            is_good = yaml_complain_key(&loader->reader, json, name, STR(""),
                                        "'%s' stands in 'when' and 'unless': an identity is the "
                                        "job's own",
                                        name);
            continue;
        }
        if (policy_condition_read(loader, json, name, scope, &conditions[map->count]))
            map->count++;
        else
            is_good = false;
    }
    map->conditions = conditions;
    return is_good;
}

/* How many maps a clause has, and room for them; 0 where it is none, which is reported. */
static size_t count_maps(const struct policy_loader *loader, const json_t *json, const char *key)
{
    size_t count = json_is_array(json) ? json_array_size(json) : 1;

    if (json_is_string(json)) {
        (void)yaml_complain(&loader->reader, json, "'%s' is a map of conditions, or a list of maps",
                            key);
        return 0;
    }
    if (count == 0)
        (void)yaml_complain(&loader->reader, json, "an empty list never holds: remove it");
    if (count <= POLICY_ALTERNATIVES_MAX)
        return count;
    (void)yaml_complain(&loader->reader, json, "'%s' has at most %d maps, not %zu", key,
                        POLICY_ALTERNATIVES_MAX, count);
    return 0;
}

static const json_t *map_of(const json_t *json, size_t index)
{
    return json_is_array(json) ? json_array_get(json, index) : json;
}

void policy_clause_read(struct policy_loader *loader, const json_t *map, const char *key,
                        const struct policy_scope *scope, struct policy_clause *clause)
{
    const json_t *json = json_object_get(map, key);
    size_t count = json == NULL ? 0 : count_maps(loader, json, key);
    struct policy_map *maps;

    if (count == 0)
        return;
    maps = policy_loader_alloc(loader, count, sizeof(*maps));
    if (maps == NULL)
        return;
    for (size_t i = 0; i < count; i++)
        (void)read_map(loader, map_of(json, i), scope, false, &maps[i]);
    *clause = (struct policy_clause){ maps, count };
}

/* ---- identity ---- */

static const struct policy_issuer *find_issuer(const struct policy_world *world, struct str name)
{
    for (size_t i = 0; i < world->issuer_count; i++)
        if (str_eq(world->issuers[i].name, name))
            return &world->issuers[i];
    return NULL;
}

static bool complain_issuer(const struct policy_loader *loader, const json_t *at)
{
    const struct policy_world *world = loader->world;
    struct arena *arena = loader->reader.diagnostics->arena;
    struct str *names = policy_loader_names(loader, world->issuer_count);
    struct str nearest = { 0 };

    if (!json_is_string(at))
        return yaml_complain(&loader->reader, at,
                             "'issuer' takes the name of an issuer, or a list of names");
    for (size_t i = 0; names != NULL && i < world->issuer_count; i++)
        names[i] = world->issuers[i].name;
    nearest = diagnostic_nearest(arena, json_str(at), names, world->issuer_count);
    return yaml_complain_hint(&loader->reader, at, nearest, "there is no issuer '" STR_FMT "'",
                              STR_ARG(str_slice(json_str(at), 0, 60)));
}

/* Report an identity without `issuer`, at the key that was meant to be it, if one looks so. */
static bool complain_no_issuer(const struct policy_loader *loader, const json_t *map)
{
    const struct str issuer = STR("issuer");
    const char *name;
    json_t *value;

    json_object_foreach (json_iterable(map), name, value) {
        if (str_nearest(str_from(name), &issuer, 1).len > 0)
            return yaml_complain_key(&loader->reader, map, name, STR("did you mean 'issuer'?"),
                                     "'identity' has no 'issuer', but '%s'", name);
    }
    return yaml_complain_hint(&loader->reader, map,
                              STR("say which issuer's tokens these are: 'issuer: NAME'"),
                              "'identity' has no 'issuer'");
}

static bool has_issuer(const struct policy_identity_map *issuers,
                       const struct policy_issuer *issuer)
{
    for (size_t i = 0; i < issuers->issuer_count; i++)
        if (issuers->issuers[i] == issuer)
            return true;
    return false;
}

/* Read `issuer` of one map of an identity. */
static bool read_issuers(struct policy_loader *loader, const json_t *map,
                         struct policy_identity_map *out)
{
    const json_t *json = json_object_get(map, "issuer");
    size_t count = json_is_array(json) ? json_array_size(json) : 1;
    const struct policy_issuer **issuers;

    if (json == NULL)
        return complain_no_issuer(loader, map);
    if (count == 0 || count > POLICY_ISSUERS_MAX)
        return yaml_complain(&loader->reader, json, "expected 1 to %d issuers, not %zu",
                             POLICY_ISSUERS_MAX, count);
    issuers = policy_loader_alloc(loader, count, sizeof(const struct policy_issuer *));
    if (issuers == NULL)
        return false;
    out->issuers = issuers;
    for (size_t i = 0; i < count; i++) {
        const json_t *item = map_of(json, i);
        const struct policy_issuer *issuer =
            json_is_string(item) ? find_issuer(loader->world, json_str(item)) : NULL;

        if (issuer == NULL)
            return complain_issuer(loader, item);
        if (has_issuer(out, issuer))
            return yaml_complain(&loader->reader, item, "the issuer is there twice");
        issuers[out->issuer_count++] = issuer;
    }
    return true;
}

/* Whether a condition pins its claim to given values. */
static bool is_exact(const struct policy_condition *condition)
{
    for (size_t i = 0; i < condition->test_count; i++)
        if (condition->tests[i].operation == POLICY_ONE_OF && !condition->tests[i].is_negated)
            return true;
    return false;
}

/* What fixing a claim says of who holds the token. */
enum identity_strength {
    NAMES_NOBODY, /* it can be given to somebody else */
    NAMES_OWNER,  /* an organisation */
    NAMES_ONE,    /* one repository or project */
};

static enum identity_strength strength_of(unsigned flags)
{
    if ((flags & CLAIM_OWNER_ID) != 0)
        return NAMES_OWNER;
    return (flags & CLAIM_ID) != 0 ? NAMES_ONE : NAMES_NOBODY;
}

/* The least that a condition's claim says at any issuer of the scope. */
static enum identity_strength condition_strength(const struct policy_loader *loader,
                                                 const struct policy_scope *scope,
                                                 const struct policy_condition *condition)
{
    enum identity_strength least = NAMES_ONE;

    if (!is_exact(condition))
        return NAMES_NOBODY;
    if (condition->source == POLICY_SOURCE_CI)
        return strength_of(policy_claim_find(loader->world, scope, condition->name)->flags);
    if ((condition->source != POLICY_SOURCE_CLAIM && condition->source != POLICY_SOURCE_POINTER) ||
        condition->key == NULL)
        return NAMES_NOBODY;
    for (size_t i = 0; i < scope->issuer_count; i++) {
        enum identity_strength strength =
            strength_of(claim_find(&scope->issuers[i]->claims, condition->name)->flags);

        least = strength < least ? strength : least;
    }
    return least;
}

/* "'repository_id' or 'job_project_id'": the id claims of an issuer, for messages. */
static struct str id_names(const struct policy_loader *loader, const struct policy_issuer *issuer)
{
    struct arena *arena = loader->reader.diagnostics->arena;
    struct str text = STR("");

    for (size_t i = 0; i < issuer->claims.count; i++) {
        const struct claim *claim = &issuer->claims.rows[i];

        if (strength_of(claim->flags) == NAMES_ONE)
            text = arena_printf(arena, STR_FMT "%s'%s'", STR_ARG(text), text.len > 0 ? " or " : "",
                                claim->name);
    }
    if (text.len == 0)
        return STR("this issuer has none: name it under 'ids' in the configuration");
    return arena_printf(arena, "add " STR_FMT, STR_ARG(text));
}

static void check_id(const struct policy_loader *loader, const json_t *json,
                     const struct policy_scope *scope, const struct policy_map *map)
{
    enum identity_strength strongest = NAMES_NOBODY;

    for (size_t i = 0; i < map->count; i++) {
        enum identity_strength strength = condition_strength(loader, scope, &map->conditions[i]);

        strongest = strength > strongest ? strength : strongest;
    }
    if (strongest == NAMES_ONE)
        return;
    if (strongest == NAMES_NOBODY) {
        (void)yaml_complain_hint(&loader->reader, json, id_names(loader, scope->issuers[0]),
                                 "'identity' fixes no id claim exactly: names can be given to "
                                 "somebody else");
        return;
    }
    yaml_warn(&loader->reader, json, "organisation-wide-identity",
              id_names(loader, scope->issuers[0]),
              "this identity is organisation-wide: it fixes an owner only");
}

static bool read_identity_map(struct policy_loader *loader, const json_t *json,
                              struct policy_identity_map *issuers, struct policy_map *map)
{
    struct policy_scope scope;

    if (!json_is_object(json))
        return yaml_complain(&loader->reader, json, "expected a map of conditions");
    if (!read_issuers(loader, json, issuers))
        return false;
    scope =
        (struct policy_scope){ .issuers = issuers->issuers, .issuer_count = issuers->issuer_count };
    if (!read_map(loader, json, &scope, true, map))
        return false;
    check_id(loader, json, &scope, map);
    return true;
}

/* All issuers of an identity, each once: what other conditions may name claims of. */
static void join_issuers(struct policy_loader *loader, const struct policy_pipeline *pipeline,
                         struct policy_scope *scope)
{
    size_t max = pipeline->identity.count * POLICY_ISSUERS_MAX;
    const struct policy_issuer **issuers = arena_alloc_array(loader->reader.diagnostics->arena, max,
                                                             sizeof(const struct policy_issuer *));
    struct policy_identity_map all = { issuers, 0 };

    loader->is_out_of_memory |= issuers == NULL;
    for (size_t i = 0; issuers != NULL && i < pipeline->identity.count; i++) {
        const struct policy_identity_map *map = &pipeline->identity_maps[i];

        for (size_t k = 0; k < map->issuer_count; k++)
            if (!has_issuer(&all, map->issuers[k]))
                issuers[all.issuer_count++] = map->issuers[k];
    }
    *scope = (struct policy_scope){ .issuers = issuers, .issuer_count = all.issuer_count };
}

void policy_identity_read(struct policy_loader *loader, const json_t *map,
                          struct policy_pipeline *pipeline, struct policy_scope *scope)
{
    const json_t *json = json_object_get(map, "identity");
    size_t count = json == NULL ? 0 : count_maps(loader, json, "identity");
    struct policy_identity_map *issuers;
    struct policy_map *maps;

    *scope = (struct policy_scope){ 0 };
    if (count == 0)
        return;
    issuers = policy_loader_alloc(loader, count, sizeof(*issuers));
    maps = policy_loader_alloc(loader, count, sizeof(*maps));
    if (issuers == NULL || maps == NULL)
        return;
    for (size_t i = 0; i < count; i++)
        (void)read_identity_map(loader, map_of(json, i), &issuers[i], &maps[i]);
    pipeline->identity = (struct policy_clause){ maps, count };
    pipeline->identity_maps = issuers;
    join_issuers(loader, pipeline, scope);
}
