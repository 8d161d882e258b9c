/*
 * Project access tokens of GitLab. Checked at load; not issued yet.
 *
 * Source: GitLab API, project access tokens: they end on a date, so a day is the least that can be
 *         asked for, and the lease's end revokes them; without `access_level` they are Maintainer's
 */
#include "base/json.h"
#include "targets/targets_internal.h"

#define LIFE_S ((int64_t)24 * 3600)
#define ALL_SCOPES "api"

static const struct text_limits project_limits = { "project", DIGITS, 20, 1 };
static const struct text_limits scope_limits = { "scopes", SMALL_LETTERS DIGITS "_", 64, 16 };
static const struct text_limits token_limits = { "token_file", NULL, 4096, 1 };

static const char *const scopes[] = {
    ALL_SCOPES,
    "read_api",
    "read_repository",
    "write_repository",
    "read_registry",
    "write_registry",
    "read_virtual_registry",
    "write_virtual_registry",
    "create_runner",
    "manage_runner",
    "ai_features",
    "k8s_proxy",
    NULL,
};
#define SCOPES_COUNT (COUNT(scopes) - 1)

/* From less to more; each has what is before it. */
static const char *const access_levels[] = { "guest",      "planner", "reporter", "developer",
                                             "maintainer", "owner",   NULL };

struct gitlab_settings {
    struct str url;
    struct str token_file;
};

static const char *const settings[] = { "url", "token_file", "ca", "allow_networks", NULL };
static const char *const own_settings[] = { "token_file", "ca", "allow_networks", NULL };

static bool configure(const struct yaml_reader *reader, const json_t *node, struct arena *arena,
                      struct target *target)
{
    struct gitlab_settings *own = arena_alloc(arena, sizeof(*own));

    if (!own)
        return yaml_complain(reader, node, "no memory for a target");
    target->settings = own;
    return yaml_require(reader, node, "url") && setting_url(reader, node, "url", &own->url) &&
           setting_text(reader, node, &token_limits, &own->token_file);
}

static bool read_scopes(struct grant_reader *reader, const json_t *fields)
{
    const json_t *value = json_object_get(fields, "scopes");
    struct texts texts;
    size_t scope;

    if (!grant_need_list(reader, fields, &scope_limits, &texts))
        return false;
    for (size_t i = 0; i < texts.count; i++) {
        const json_t *item = grant_item(value, i);

        if (str_eq(texts.list[i], STR("self_rotate")))
            return grant_fault(reader, item,
                               "'self_rotate' lets a token outlive its lease: it makes its own "
                               "successor");
        if (!grant_choice(reader, item, "scope", scopes, &scope))
            return false;
    }
    return true;
}

static bool read_level(struct grant_reader *reader, const json_t *fields)
{
    const json_t *value = json_object_get(fields, "access_level");
    size_t level;

    if (!value)
        return grant_fault(reader, fields,
                           "'access_level' is missing here: a token without it is a maintainer's");
    return grant_choice(reader, value, "access level", access_levels, &level);
}

static bool read_grant(struct grant_reader *reader, const struct policy_grant_view *view)
{
    const json_t *at = json_object_get(view->fields, "project");
    struct str project;

    if (json_is_string(at) && !str_is_made_of(json_str(at), DIGITS))
        return grant_fault(reader, at,
                           "expected a project's id, not its path: paths can be given to somebody "
                           "else");
    return grant_need(reader, view->fields, &project_limits, &project) &&
           read_scopes(reader, view->fields) && read_level(reader, view->fields);
}

static void check(const struct yaml_reader *yaml, const struct policy_grant_view *view)
{
    grant_check(yaml, view, read_grant);
}

/* A scope that is all of them gives each by name: whoever forbids one means this, too. */
static bool add_scopes(const struct texts *written, struct policy_given *given)
{
    if (texts_contain(written, STR(ALL_SCOPES))) {
        for (size_t i = 0; scopes[i]; i++)
            if (!given_name(given, str_from(scopes[i])))
                return false;
        return true;
    }
    for (size_t i = 0; i < written->count; i++)
        if (!given_name(given, written->list[i]))
            return false;
    return true;
}

/* "access_level:developer", and those below it. */
static bool add_levels(struct policy_given *given, struct arena *arena, struct str level)
{
    for (size_t i = 0; access_levels[i]; i++) {
        if (!given_name(given, arena_printf(arena, "access_level:%s", access_levels[i])))
            return false;
        if (str_eq(level, str_from(access_levels[i])))
            return true;
    }
    return true;
}

static bool gives(const struct policy_grant_view *view, struct arena *arena,
                  struct policy_given *given)
{
    const json_t *level = json_object_get(view->fields, "access_level");
    struct texts written;

    return grant_written(arena, json_object_get(view->fields, "scopes"), &written) &&
           given_room(given, arena, written.count + SCOPES_COUNT + COUNT(access_levels), 0) &&
           add_scopes(&written, given) && add_levels(given, arena, json_str(level));
}

static const char *const fields[] = { "target", "project", "scopes", "access_level", NULL };
static const char *const fields_told[] = { "scopes", "access_level", NULL };

const struct target_kind target_gitlab = {
    .grant = {
        .name = "gitlab",
        .fields = fields,
        .has_target = true,
        .ttl_min_s = LIFE_S,
        .ttl_max_s = LIFE_S,
        .check = check,
        .matching = POLICY_MATCHING_GLOB,
        .gives = gives,
        .revocation = POLICY_REVOKED_NOW,
        .fields_told = fields_told,
        .is_planned = true,
    },
    .settings = settings,
    .own_settings = own_settings,
    .configure = configure,
};
