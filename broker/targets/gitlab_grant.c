/*
 * What a grant of a GitLab token asks for, and what it gives.
 *
 * Source: GitLab API, project access tokens (without `access_level` they are a maintainer's),
 *         deploy tokens; GitLab, scopes of access tokens: `api` is all of them, `read_api` reads
 *         registry, packages and repository, too
 */
#include "base/json.h"
#include "targets/gitlab_internal.h"

static const struct text_limits project_limits = { "project", DIGITS, 20, 1 };
static const struct text_limits group_limits = { "group", DIGITS, 20, 1 };
static const struct text_limits scope_limits = { "scopes", SMALL_LETTERS DIGITS "_", 64,
                                                 GITLAB_SCOPES_MAX };

static const char *const token_names[] = {
    [GITLAB_PROJECT] = "project",
    [GITLAB_DEPLOY] = "deploy",
    [GITLAB_GROUP] = "group",
    NULL,
};

static const struct scope {
    const char *name;
    bool is_of_access; /* a project's or group's access token can have it */
    bool is_of_deploy;
} scopes[] = {
    { "api", true, false },
    { "read_api", true, false },
    { "read_repository", true, true },
    { "write_repository", true, false },
    { "read_registry", true, true },
    { "write_registry", true, true },
    { "read_virtual_registry", true, true },
    { "write_virtual_registry", true, true },
    { "read_package_registry", false, true },
    { "write_package_registry", false, true },
    { "create_runner", true, false },
    { "manage_runner", true, false },
    { "ai_features", true, false },
    { "k8s_proxy", true, false },
};

/* From less to more; each has what is before it. */
static const struct access_level {
    const char *name;
    int64_t number; /* as the API has it */
} access_levels[] = {
    { "guest", 10 },     { "planner", 15 },    { "reporter", 20 },
    { "developer", 30 }, { "maintainer", 40 }, { "owner", 50 },
};

const char *gitlab_token_name(enum gitlab_token token)
{
    return token_names[token];
}

bool gitlab_token_find(struct str name, enum gitlab_token *token)
{
    for (size_t i = 0; token_names[i]; i++)
        if (str_eq(name, str_from(token_names[i]))) {
            *token = (enum gitlab_token)i;
            return true;
        }
    return false;
}

const char *gitlab_owner(enum gitlab_token token)
{
    return token == GITLAB_GROUP ? "group" : "project";
}

struct str gitlab_path(enum gitlab_token token, struct str owner, struct arena *arena)
{
    return arena_printf(arena, "/%ss/" STR_FMT "/%s", gitlab_owner(token), STR_ARG(owner),
                        token == GITLAB_DEPLOY ? "deploy_tokens" : "access_tokens");
}

/* ---- reading ---- */

static bool read_token(struct grant_reader *reader, const json_t *fields, enum gitlab_token *token)
{
    const json_t *value = json_object_get(fields, "token");
    size_t index = GITLAB_PROJECT;

    if (value && !grant_choice(reader, value, "kind of token", token_names, &index))
        return false;
    *token = (enum gitlab_token)index;
    return true;
}

static bool can_have(const struct scope *scope, enum gitlab_token token)
{
    return token == GITLAB_DEPLOY ? scope->is_of_deploy : scope->is_of_access;
}

/* A scope that only the other kind of token has: what to write instead. */
static bool check_kind(struct grant_reader *reader, const json_t *at, const struct scope *scope,
                       enum gitlab_token token)
{
    if (can_have(scope, token))
        return true;
    if (token == GITLAB_DEPLOY)
        return grant_fault(reader, at,
                           "a deploy token cannot have '%s': a project access token can, without "
                           "'token: deploy'",
                           scope->name);
    return grant_fault(reader, at, "only a deploy token can have '%s': write 'token: deploy'",
                       scope->name);
}

static bool check_scope(struct grant_reader *reader, const json_t *at, enum gitlab_token token)
{
    const char *names[COUNT(scopes) + 1] = { NULL };
    size_t index;

    if (str_eq(json_str(at), STR("self_rotate")))
        return grant_fault(reader, at,
                           "'self_rotate' lets a token outlive its lease: it makes its own "
                           "successor");
    for (size_t i = 0; i < COUNT(scopes); i++)
        names[i] = scopes[i].name;
    return grant_choice(reader, at, "scope", names, &index) &&
           check_kind(reader, at, &scopes[index], token);
}

static bool read_scopes(struct grant_reader *reader, const json_t *fields,
                        struct gitlab_grant *grant)
{
    const json_t *value = json_object_get(fields, "scopes");

    if (!grant_need_list(reader, fields, &scope_limits, &grant->scopes))
        return false;
    for (size_t i = 0; i < grant->scopes.count; i++)
        if (!check_scope(reader, grant_item(value, i), grant->token))
            return false;
    return true;
}

static bool read_level(struct grant_reader *reader, const json_t *fields,
                       struct gitlab_grant *grant)
{
    const json_t *value = json_object_get(fields, "access_level");
    const char *names[COUNT(access_levels) + 1] = { NULL };
    size_t level;

    grant->access_level = 0;
    if (grant->token == GITLAB_DEPLOY)
        return !value || grant_fault(reader, value, "a deploy token has no 'access_level'");
    if (!value)
        return grant_fault(reader, fields,
                           "'access_level' is missing here: a token without it is a maintainer's");
    for (size_t i = 0; i < COUNT(access_levels); i++)
        names[i] = access_levels[i].name;
    if (!grant_choice(reader, value, "access level", names, &level))
        return false;
    grant->access_level = access_levels[level].number;
    return true;
}

/* Of whom it is: the one member that says so, and not the other. */
static bool read_owner(struct grant_reader *reader, const json_t *fields,
                       struct gitlab_grant *grant)
{
    bool is_of_group = grant->token == GITLAB_GROUP;
    const char *name = gitlab_owner(grant->token);
    const json_t *at = json_object_get(fields, name);
    const json_t *other = json_object_get(fields, is_of_group ? "project" : "group");

    if (other)
        return grant_fault(reader, other,
                           is_of_group
                               ? "a group access token is for all projects of its 'group'"
                               : "'group' is for group access tokens: write 'token: group'");
    if (json_is_string(at) &&
        (!str_is_made_of(json_str(at), DIGITS) || str_starts_with(json_str(at), STR("0"))))
        return grant_fault(reader, at,
                           "expected a %s's id, not its path: paths can be given to somebody else",
                           name);
    return grant_need(reader, fields, is_of_group ? &group_limits : &project_limits, &grant->owner);
}

bool gitlab_read_grant(struct grant_reader *reader, const json_t *fields,
                       struct gitlab_grant *grant)
{
    return read_token(reader, fields, &grant->token) && read_owner(reader, fields, grant) &&
           read_scopes(reader, fields, grant) && read_level(reader, fields, grant);
}

/* ---- what it gives ---- */

/* Whoever forbids a scope means each that has it in it. */
static bool is_in(const struct scope *scope, struct str written)
{
    struct str name = str_from(scope->name);

    return str_eq(name, written) || str_eq(written, STR("api")) ||
           (str_eq(written, STR("read_api")) && str_starts_with(name, STR("read_"))) ||
           (str_eq(written, STR("write_repository")) && str_eq(name, STR("read_repository")));
}

static bool add_scope(const struct scope *scope, const struct texts *written,
                      struct policy_given *given)
{
    for (size_t i = 0; i < written->count; i++)
        if (is_in(scope, written->list[i]))
            return given_name(given, str_from(scope->name));
    return true;
}

/* "access_level:developer", and those below it; of a deploy token none. */
static bool add_levels(struct policy_given *given, struct arena *arena, const json_t *level)
{
    for (size_t i = 0; level && i < COUNT(access_levels); i++) {
        if (!given_name(given, arena_printf(arena, "access_level:%s", access_levels[i].name)))
            return false;
        if (str_eq(json_str(level), str_from(access_levels[i].name)))
            return true;
    }
    return true;
}

bool gitlab_gives(const struct policy_grant_view *view, struct arena *arena,
                  struct policy_given *given)
{
    struct texts written;

    if (!grant_written(arena, json_object_get(view->fields, "scopes"), &written) ||
        !given_room(given, arena, COUNT(scopes) + COUNT(access_levels) + 1, 0))
        return false;
    if (str_eq(json_str(json_object_get(view->fields, "token")), STR("group")) &&
        !given_name(given, STR("token:group")))
        return false;
    for (size_t i = 0; i < COUNT(scopes); i++)
        if (!add_scope(&scopes[i], &written, given))
            return false;
    return add_levels(given, arena, json_object_get(view->fields, "access_level"));
}
