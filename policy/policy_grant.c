#include <inttypes.h>

#include "base/json.h"
#include "policy/policy_loader.h"

/* The one kind of a grant. NULL where it is not to be had; reported, unless its key was already. */
static const struct policy_grant_kind *read_kind(const struct policy_loader *loader,
                                                 const json_t *json)
{
    const struct policy_grant_kind *kind = NULL;
    bool is_reported = false;
    const char *name;
    json_t *value;

    json_object_foreach (json_iterable(json), name, value) {
        const struct policy_grant_kind *found = policy_kind_find(loader->world, name);

        if (found != NULL && kind != NULL) {
            (void)yaml_complain_key(
                &loader->reader, json, name, STR("write two grants, each with its own name"),
                "a grant has one kind, and this one already has '%s'", kind->name);
            return NULL;
        }
        if (found != NULL)
            kind = found;
        else if (!str_eq(str_from(name), STR("ttl")) && !str_eq(str_from(name), STR("until")))
            is_reported = true;
    }
    if (kind == NULL && !is_reported)
        (void)yaml_complain(&loader->reader, json, "a grant has a kind and what it is for");
    return kind;
}

static bool read_ttl(const struct policy_loader *loader, const json_t *json,
                     const struct policy_grant_kind *kind, int64_t *ttl_s)
{
    const json_t *written = json_object_get(json, "ttl");

    *ttl_s = loader->world->default_ttl_s;
    if (written != NULL &&
        !yaml_get_duration_s(&loader->reader, json, "ttl", 1, POLICY_TTL_MAX_S, ttl_s))
        return false;
    if (*ttl_s < kind->ttl_min_s)
        return yaml_complain(
            &loader->reader, written == NULL ? json : written,
            "%s of %" PRId64 " s is too short: '%s' gives no less than %" PRId64 " s",
            written == NULL ? "the default ttl" : "a ttl", *ttl_s, kind->name, kind->ttl_min_s);
    if (*ttl_s > kind->ttl_max_s)
        return yaml_complain(
            &loader->reader, written == NULL ? json : written,
            "%s of %" PRId64 " s is too long: '%s' gives no more than %" PRId64 " s",
            written == NULL ? "the default ttl" : "a ttl", *ttl_s, kind->name, kind->ttl_max_s);
    return true;
}

/* The fields may only be the kind's; `target` too where it has one. */
static bool check_fields(const struct policy_loader *loader, const struct policy_grant_kind *kind,
                         const json_t *fields)
{
    const char *names[64] = { NULL };
    size_t count = 0;

    if (kind->has_target)
        names[count++] = "target";
    for (size_t i = 0; kind->fields[i] != NULL && count + 1 < COUNT(names); i++)
        if (!str_eq(str_from(kind->fields[i]), STR("target")))
            names[count++] = kind->fields[i];
    return yaml_expect_map(&loader->reader, fields, names);
}

/* ---- the target ---- */

/* Report a target that is not there, with the nearest of its kind. */
static void complain_target(const struct policy_loader *loader, const json_t *at,
                            const struct policy_grant_kind *kind)
{
    const struct policy_world *world = loader->world;
    struct arena *arena = loader->reader.diagnostics->arena;
    struct str *names = policy_loader_names(loader, world->target_count);
    struct str nearest;
    size_t count = 0;

    for (size_t i = 0; names != NULL && i < world->target_count; i++)
        if (str_eq(world->targets[i].type, str_from(kind->name)))
            names[count++] = world->targets[i].name;
    nearest = diagnostic_nearest(arena, json_str(at), names, count);
    (void)yaml_complain_hint(&loader->reader, at, nearest, "there is no target '" STR_FMT "'",
                             STR_ARG(str_slice(json_str(at), 0, 60)));
}

static const struct policy_target *find_target(const struct policy_loader *loader,
                                               const json_t *fields,
                                               const struct policy_grant_kind *kind)
{
    const struct policy_world *world = loader->world;
    struct str name = { 0 };

    if (!yaml_require(&loader->reader, fields, "target") ||
        !yaml_get_str(&loader->reader, fields, "target", &name))
        return NULL;
    for (size_t i = 0; i < world->target_count; i++)
        if (str_eq(world->targets[i].name, name))
            return &world->targets[i];
    complain_target(loader, json_object_get(fields, "target"), kind);
    return NULL;
}

static bool check_environment(const struct policy_loader *loader, const json_t *at,
                              const struct policy_target *target, const struct policy_stage *stage)
{
    if (str_eq(target->environment, stage->environment))
        return true;
    if (target->environment.len == 0)
        return yaml_complain(&loader->reader, at,
                             "the target '" STR_FMT
                             "' has no environment, and the stage says '" STR_FMT "'",
                             STR_ARG(target->name), STR_ARG(stage->environment));
    if (stage->environment.len == 0)
        return yaml_complain_hint(&loader->reader, at,
                                  arena_printf(loader->reader.diagnostics->arena,
                                               "say 'environment: " STR_FMT "' in the stage",
                                               STR_ARG(target->environment)),
                                  "the target '" STR_FMT "' is in the environment '" STR_FMT
                                  "', and the stage says none",
                                  STR_ARG(target->name), STR_ARG(target->environment));
    return yaml_complain(&loader->reader, at,
                         "the target '" STR_FMT "' is in the environment '" STR_FMT
                         "', and the stage says '" STR_FMT "'",
                         STR_ARG(target->name), STR_ARG(target->environment),
                         STR_ARG(stage->environment));
}

static bool check_tenant(const struct policy_loader *loader, const json_t *at,
                         const struct policy_target *target, const struct policy_stage *stage)
{
    for (size_t i = 0; i < target->tenant_count; i++)
        if (str_eq(target->tenants[i], stage->tenant))
            return true;
    if (target->tenant_count == 0)
        return true;
    if (stage->tenant.len == 0)
        return yaml_complain_hint(&loader->reader, at, STR("say 'tenant' at the top of the file"),
                                  "the target '" STR_FMT
                                  "' is for some tenants only, and the pipeline has none",
                                  STR_ARG(target->name));
    return yaml_complain(&loader->reader, at,
                         "the target '" STR_FMT "' is not for the tenant '" STR_FMT "'",
                         STR_ARG(target->name), STR_ARG(stage->tenant));
}

static bool read_target(const struct policy_loader *loader, const json_t *fields,
                        const struct policy_stage *stage, struct policy_grant *grant)
{
    const json_t *at = json_object_get(fields, "target");

    if (!grant->kind->has_target) /* `target` is an unknown key then */
        return at == NULL;
    grant->target = find_target(loader, fields, grant->kind);
    if (grant->target == NULL)
        return false;
    if (!str_eq(grant->target->type, str_from(grant->kind->name)))
        return yaml_complain(
            &loader->reader, at, "the target '" STR_FMT "' is of type '" STR_FMT "', not '%s'",
            STR_ARG(grant->target->name), STR_ARG(grant->target->type), grant->kind->name);
    return check_environment(loader, at, grant->target, stage) &&
           check_tenant(loader, at, grant->target, stage);
}

/* ---- the grant ---- */

static void read_grant(struct policy_loader *loader, const json_t *json,
                       const struct policy_stage_rule *stage, struct policy_grant *grant,
                       bool *has_holes)
{
    struct policy_grant_view view = { .name = grant->name };
    const json_t *fields;
    bool is_good;

    if (!policy_words_check(loader, POLICY_PLACE_GRANT, json))
        return;
    grant->kind = read_kind(loader, json);
    if (grant->kind == NULL)
        return;
    fields = json_object_get(json, grant->kind->name);
    is_good = read_ttl(loader, json, grant->kind, &grant->ttl_s);
    policy_until_read(loader, json, &grant->until_s);
    if (!check_fields(loader, grant->kind, fields) ||
        !read_target(loader, fields, &stage->shown, grant) || !is_good)
        return;
    policy_holes_check(loader, stage, grant->kind, fields, has_holes);
    grant->fields = policy_loader_share(loader, fields);
    view.fields = fields;
    view.target = grant->target;
    view.ttl_s = grant->ttl_s;
    grant->kind->check(&loader->reader, &view);
}

void policy_grants_read(struct policy_loader *loader, const json_t *map,
                        struct policy_stage_rule *stage)
{
    struct policy_grant *grants;
    struct policy_spot *spots;
    const json_t *json = NULL;
    size_t index = 0;
    bool *has_holes;
    const char *name;
    json_t *value;

    if (!yaml_get_map(&loader->reader, map, "grants", &json) || json_object_size(json) == 0)
        return;
    if (json_object_size(json) > POLICY_STAGE_GRANTS_MAX) {
        (void)yaml_complain(&loader->reader, json, "a stage has at most %d grants, not %zu",
                            POLICY_STAGE_GRANTS_MAX, json_object_size(json));
        return;
    }
    grants = policy_loader_alloc(loader, json_object_size(json), sizeof(*grants));
    has_holes = policy_loader_alloc(loader, json_object_size(json), sizeof(*has_holes));
    spots = policy_loader_alloc(loader, json_object_size(json), sizeof(*spots));
    if (grants == NULL || has_holes == NULL || spots == NULL)
        return;
    stage->shown.grants = grants;
    stage->has_holes = has_holes;
    stage->spots = spots;
    stage->shown.grant_count = json_object_size(json);
    json_object_foreach (json_iterable(json), name, value) {
        if (!policy_is_name(str_from(name), POLICY_NAME_SET "_", POLICY_NAME_MAX))
            (void)yaml_complain_key(
                &loader->reader, json, name,
                policy_name_hint(loader, str_from(name), POLICY_NAME_SET "_", POLICY_NAME_MAX),
                "a grant's name has 1 to %d of a-z, 0-9, '_' and '-'", POLICY_NAME_MAX);
        grants[index].name = policy_loader_copy(loader, str_from(name));
        spots[index] = policy_spot_of(loader, json, name);
        read_grant(loader, value, stage, &grants[index], &has_holes[index]);
        index++;
    }
}
