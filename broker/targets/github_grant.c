/*
 * What a grant of an installation token asks for, and what it gives.
 *
 * Source: GitHub REST API, create an installation access token: without `permissions` it has all
 *         that the app has, without repositories all of them
 */
#include <string.h>

#include "base/json.h"
#include "targets/github_internal.h"

#define LEVELS_MAX 3

static const struct text_limits repository_limits = { "repositories", DIGITS, 18,
                                                      GITHUB_REPOSITORIES_MAX };

/* From less to more; each has what is before it. */
enum level {
    LEVEL_READ = 1 << 0,
    LEVEL_WRITE = 1 << 1,
    LEVEL_ADMIN = 1 << 2,
};

static const char *const levels[] = { "read", "write", "admin", NULL };

#define READ_WRITE (LEVEL_READ | LEVEL_WRITE)
#define ALL_LEVELS (LEVEL_READ | LEVEL_WRITE | LEVEL_ADMIN)

/* What an installation can have; those of people's accounts are not among them. */
static const struct permission {
    const char *name;
    unsigned levels; /* that there are */
} permissions[] = {
    { "actions", READ_WRITE },
    { "administration", READ_WRITE },
    { "artifact_metadata", READ_WRITE },
    { "attestations", READ_WRITE },
    { "checks", READ_WRITE },
    { "codespaces", READ_WRITE },
    { "contents", READ_WRITE },
    { "custom_properties_for_organizations", READ_WRITE },
    { "dependabot_secrets", READ_WRITE },
    { "deployments", READ_WRITE },
    { "discussions", READ_WRITE },
    { "enterprise_custom_properties_for_organizations", ALL_LEVELS },
    { "environments", READ_WRITE },
    { "interaction_limits", READ_WRITE },
    { "issues", READ_WRITE },
    { "members", READ_WRITE },
    { "merge_queues", READ_WRITE },
    { "metadata", READ_WRITE },
    { "organization_administration", READ_WRITE },
    { "organization_announcement_banners", READ_WRITE },
    { "organization_copilot_seat_management", LEVEL_WRITE },
    { "organization_custom_org_roles", READ_WRITE },
    { "organization_custom_properties", ALL_LEVELS },
    { "organization_custom_roles", READ_WRITE },
    { "organization_events", LEVEL_READ },
    { "organization_hooks", READ_WRITE },
    { "organization_packages", READ_WRITE },
    { "organization_personal_access_token_requests", READ_WRITE },
    { "organization_personal_access_tokens", READ_WRITE },
    { "organization_plan", LEVEL_READ },
    { "organization_projects", ALL_LEVELS },
    { "organization_secrets", READ_WRITE },
    { "organization_self_hosted_runners", READ_WRITE },
    { "organization_user_blocking", READ_WRITE },
    { "packages", READ_WRITE },
    { "pages", READ_WRITE },
    { "pull_requests", READ_WRITE },
    { "repository_custom_properties", READ_WRITE },
    { "repository_hooks", READ_WRITE },
    { "repository_projects", ALL_LEVELS },
    { "secret_scanning_alerts", READ_WRITE },
    { "secrets", READ_WRITE },
    { "security_events", READ_WRITE },
    { "single_file", READ_WRITE },
    { "statuses", READ_WRITE },
    { "team_discussions", READ_WRITE },
    { "vulnerability_alerts", READ_WRITE },
    { "workflows", LEVEL_WRITE },
};

static const struct permission *find_permission(struct str name)
{
    for (size_t i = 0; i < COUNT(permissions); i++)
        if (str_eq(str_from(permissions[i].name), name))
            return &permissions[i];
    return NULL;
}

static bool unknown_permission(struct grant_reader *reader, const json_t *at, struct str name)
{
    struct str names[COUNT(permissions)];
    struct str nearest;

    for (size_t i = 0; i < COUNT(permissions); i++)
        names[i] = str_from(permissions[i].name);
    nearest = str_nearest(name, names, COUNT(permissions));
    if (nearest.len > 0)
        return grant_fault(reader, at,
                           "there is no permission '" STR_FMT "': did you mean '" STR_FMT "'?",
                           STR_ARG(str_slice(name, 0, 60)), STR_ARG(nearest));
    return grant_fault(reader, at, "there is no permission '" STR_FMT "'",
                       STR_ARG(str_slice(name, 0, 60)));
}

static bool read_permission(struct grant_reader *reader, const char *name, const json_t *value)
{
    const struct permission *permission = find_permission(str_from(name));
    size_t level;

    if (!permission)
        return unknown_permission(reader, value, str_from(name));
    if (!grant_choice(reader, value, "level", levels, &level))
        return false;
    if ((permission->levels & (1U << level)) == 0)
        return grant_fault(reader, value, "'%s' has no level '%s'", name, levels[level]);
    return true;
}

static bool read_permissions(struct grant_reader *reader, const json_t *fields)
{
    const json_t *map = json_object_get(fields, "permissions");
    const char *name;
    json_t *value;

    if (!map)
        return grant_fault(reader, fields,
                           "'permissions' is missing here: a token without them has all that the "
                           "app has");
    if (!json_is_object(map) || json_object_size(map) == 0)
        return grant_fault(reader, map,
                           "expected a map of permissions, such as { contents: read }: a token "
                           "without them has all that the app has");
    json_object_foreach (json_iterable(map), name, value)
        if (!read_permission(reader, name, value))
            return false;
    return true;
}

static bool read_repositories(struct grant_reader *reader, const json_t *fields, struct texts *ids)
{
    const json_t *value = json_object_get(fields, "repositories");

    if (!value)
        return grant_fault(reader, fields,
                           "'repositories' is missing here: a token without them is for all");
    for (size_t i = 0; i < json_array_size(value) || (i == 0 && json_is_string(value)); i++) {
        const json_t *item = grant_item(value, i);

        if (json_is_string(item) &&
            (!str_is_made_of(json_str(item), DIGITS) || str_starts_with(json_str(item), STR("0"))))
            return grant_fault(reader, item,
                               "expected a repository's id, not its name: names can be given to "
                               "somebody else");
    }
    return grant_texts(reader, value, &repository_limits, ids);
}

bool github_read_grant(struct grant_reader *reader, const json_t *fields,
                       struct github_grant *grant)
{
    grant->permissions = json_object_get(fields, "permissions");
    return read_repositories(reader, fields, &grant->repositories) &&
           read_permissions(reader, fields);
}

bool github_allows(const json_t *wanted, const char *name, struct str level)
{
    struct str asked = json_str(json_object_get(wanted, name));

    if (strcmp(name, "metadata") == 0 && str_eq(level, STR("read")))
        return true; /* comes with whatever is asked */
    for (size_t i = 0; asked.len > 0 && levels[i]; i++) {
        if (str_eq(level, str_from(levels[i])))
            return true;
        if (str_eq(asked, str_from(levels[i])))
            return false;
    }
    return false;
}

/* ---- what it gives ---- */

/* "contents:read" and "contents:write" for a level of write: who may forbid either. */
static bool add_permission(struct policy_given *given, struct arena *arena, const char *name,
                           struct str level)
{
    for (size_t i = 0; levels[i]; i++) {
        if (!given_name(given, arena_printf(arena, "%s:%s", name, levels[i])))
            return false;
        if (str_eq(level, str_from(levels[i])))
            return true;
    }
    return true;
}

bool github_gives(const struct policy_grant_view *view, struct arena *arena,
                  struct policy_given *given)
{
    const json_t *map = json_object_get(view->fields, "permissions");
    const char *name;
    json_t *value;

    if (!given_room(given, arena, json_object_size(map) * LEVELS_MAX + 1, 0))
        return false;
    json_object_foreach (json_iterable(map), name, value)
        if (!add_permission(given, arena, name, json_str(value)))
            return false;
    return json_object_get(map, "metadata") != NULL || given_name(given, STR("metadata:read"));
}
