#include "base/error.h"
#include "base/json.h"
#include "config/config_internal.h"
#include "identity/people.h"
#include "identity/profile.h"

#define SETTINGS_MAX 32

/* Keys that a target of any type may have. */
static const char *const common_names[] = { "type", "environment", "tenants", "orphans" };

/* One of the kinds that take a target. */
static const struct target_kind *read_kind(const struct config_reader *reader,
                                           const json_t *targets, const char *name)
{
    const json_t *map = json_object_get(targets, name);
    const char *names[SETTINGS_MAX] = { 0 };
    size_t count = 0;
    size_t choice;

    for (size_t i = 0; i < target_kind_count && count + 1 < COUNT(names); i++)
        if (target_kinds[i]->grant.has_target)
            names[count++] = target_kinds[i]->grant.name;
    if (!config_require_in_row(reader, targets, name, "type") ||
        !yaml_get_choice(&reader->yaml, map, "type", names, &choice))
        return NULL;
    return target_kind_find(str_from(names[choice]));
}

static bool expect_settings(const struct config_reader *reader, const json_t *map,
                            const struct target_kind *kind)
{
    const char *names[SETTINGS_MAX] = { 0 };
    size_t count = 0;

    for (size_t i = 0; i < COUNT(common_names); i++)
        names[count++] = common_names[i];
    for (size_t i = 0; kind->settings && kind->settings[i] && count + 1 < COUNT(names); i++)
        names[count++] = kind->settings[i];
    return yaml_expect_map(&reader->yaml, map, names);
}

/* What is done about what exists at the target and no lease owns. */
static void read_orphans(const struct config_reader *reader, const json_t *map,
                         struct target *target)
{
    static const char *const choices[] = { "report", "remove", NULL };
    size_t choice = 0;

    if (!json_object_get(map, "orphans") ||
        !yaml_get_choice(&reader->yaml, map, "orphans", choices, &choice))
        return;
    target->removes_orphans = choice == 1;
    if (!target->kind->sweep)
        (void)yaml_complain_key(&reader->yaml, map, "orphans", STR("remove it"),
                                "targets of type '%s' cannot be looked through",
                                target->kind->grant.name);
}

static void read_target(const struct config_reader *reader, const json_t *targets,
                        struct target *target)
{
    const json_t *map = json_object_get(targets, target->name.data);
    struct str *tenants;

    if (!json_is_object(map)) {
        (void)yaml_complain(&reader->yaml, map, "expected a map with 'type'");
        return;
    }
    target->kind = read_kind(reader, targets, target->name.data);
    if (!target->kind || !expect_settings(reader, map, target->kind))
        return;
    target->is_catalog = reader->config->is_catalog;
    (void)yaml_get_str(&reader->yaml, map, "environment", &target->environment);
    if (yaml_get_strs(&reader->yaml, map, "tenants", &tenants, &target->tenant_count))
        target->tenants = tenants;
    read_orphans(reader, map, target);
    (void)target_configure(target, &reader->yaml, map, reader->config->arena);
}

void config_read_targets(const struct config_reader *reader, const json_t *root)
{
    struct config *config = reader->config;
    const json_t *targets;
    const char *name;
    json_t *map;

    if (!yaml_get_map(&reader->yaml, root, "targets", &targets))
        return;
    if (json_object_size(targets) > CONFIG_TARGETS_MAX) {
        (void)yaml_complain(&reader->yaml, targets, "at most %d targets", CONFIG_TARGETS_MAX);
        return;
    }
    config->targets =
        arena_alloc_array(config->arena, json_object_size(targets) + 1, sizeof(*config->targets));
    if (!config->targets)
        return;
    json_object_foreach (json_iterable(targets), name, map) {
        struct target *target = &config->targets[config->target_count++];

        target->name = str_from(name);
        if (!config_is_name(target->name))
            (void)yaml_complain_key(&reader->yaml, targets, name, STR(""),
                                    "a target's name is [a-z0-9-]{1,40}");
        read_target(reader, targets, target);
    }
}

static struct policy_issuer view_of_issuer(const struct issuer_options *issuer)
{
    return (struct policy_issuer){
        .name = issuer->name,
        .claims = issuer->claims,
        .fill_ci = issuer->profile ? issuer->profile->fill_ci : NULL,
        .dangers = issuer->profile ? issuer->profile->dangers : NULL,
        .copies = issuer->profile ? issuer->profile->copies : NULL,
        .words = issuer->profile ? issuer->profile->words : NULL,
        .lints = issuer->profile ? issuer->profile->lints : NULL,
    };
}

static struct policy_target view_of_target(const struct target *target)
{
    return (struct policy_target){
        .name = target->name,
        .type = str_from(target->kind ? target->kind->grant.name : NULL),
        .environment = target->environment,
        .tenants = target->tenants,
        .tenant_count = target->tenant_count,
        .settings = target->settings,
    };
}

void config_build_world(struct config *config)
{
    size_t issuers = config->issuer_count;
    size_t targets = config->target_count;

    config->policy_issuers =
        arena_alloc_array(config->arena, issuers + 1, sizeof(*config->policy_issuers));
    config->policy_targets =
        arena_alloc_array(config->arena, targets + 1, sizeof(*config->policy_targets));
    if (!config->policy_issuers || !config->policy_targets)
        return;
    for (size_t i = 0; i < issuers; i++) {
        config->policy_issuers[i] = view_of_issuer(&config->issuers[i]);
        config->policy_issuers[i].tells_who_started =
            config->people && people_tell_who_started(config->people, config->issuers[i].name);
    }
    if (config->people)
        config->policy_issuers[issuers] = view_of_issuer(&config->people->issuer);
    for (size_t i = 0; i < targets; i++)
        config->policy_targets[i] = view_of_target(&config->targets[i]);
    config->world = (struct policy_world){
        .issuers = config->policy_issuers,
        .issuer_count = issuers,
        .people = config->people ? &config->policy_issuers[issuers] : NULL,
        .ci_facts = &profile_ci_facts,
        .targets = config->policy_targets,
        .target_count = targets,
        .kinds = target_grant_kinds(),
        .kind_count = target_kind_count,
        .default_ttl_s = config->limits.default_ttl_s,
        .is_catalog = config->is_catalog,
    };
}
