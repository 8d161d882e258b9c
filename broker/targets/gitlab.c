/*
 * Tokens of GitLab for one project or group: access tokens, and deploy tokens for what is only
 * pulled or pushed. Each is made for its lease, and deleted with it.
 */
#include "base/error.h"
#include "base/json.h"
#include "targets/gitlab_internal.h"
#include "targets/token_file.h"

/* It ends with its lease, which we see to: GitLab's own end is later, and no floor to a `ttl`. */
#define LIFE_MIN_S 1
#define LIFE_MAX_S ((int64_t)24 * 3600)

static const struct text_limits registry_limits = { "registry", LETTERS_AND_DIGITS ".:-", 255, 1 };
static const struct text_limits projects_limits = { "projects", DIGITS, 20, GITLAB_PROJECTS_MAX };
static const struct text_limits groups_limits = { "groups", DIGITS, 20, GITLAB_PROJECTS_MAX };

static const char *const settings[] = { "url", "token_file",     "registry",   "projects", "groups",
                                        "ca",  "allow_networks", "allow_http", NULL };
static const char *const own_settings[] = { "token_file", "ca", "allow_networks", "allow_http",
                                            NULL };

static bool read_url(const struct yaml_reader *reader, const json_t *node,
                     struct gitlab_settings *own)
{
    if (!yaml_require(reader, node, "url") || !setting_peer(reader, node, &own->peer) ||
        !setting_base(reader, node, "url", &own->peer, &own->url))
        return false;
    own->host = upstream_url_host(own->url);
    return true;
}

/* A catalog may leave out by what the broker is known there. */
static bool configure(const struct yaml_reader *reader, const json_t *node, struct target *target)
{
    struct gitlab_settings *own = target->settings;

    return read_url(reader, node, own) &&
           (target->is_catalog || yaml_require(reader, node, "token_file")) &&
           setting_file(reader, node, "token_file", &own->token_file) &&
           setting_text(reader, node, &registry_limits, &own->registry) &&
           setting_texts(reader, node, &projects_limits, &own->projects) &&
           setting_texts(reader, node, &groups_limits, &own->groups);
}

/* Later it is read for each request; one that is not there at all is found here. */
static bool start(struct target *target, const struct target_tools *tools, struct error *error)
{
    const struct gitlab_settings *own = target->settings;

    (void)tools;
    return token_file_check(own->token_file, GITLAB_OWN_TOKEN_MAX, GITLAB, target->name, error);
}

static bool read_grant(struct grant_reader *reader, const struct policy_grant_view *view)
{
    struct gitlab_grant grant = { 0 };

    return gitlab_read_grant(reader, view->fields, &grant);
}

static void check(const struct yaml_reader *yaml, const struct policy_grant_view *view)
{
    grant_check(yaml, view, read_grant);
}

/* What whoever lives on GitLab's own end has to know. */
static const char *ending_note(const json_t *fields)
{
    enum gitlab_token token;

    if (gitlab_token_find(json_str(json_object_get(fields, "token")), &token) &&
        token == GITLAB_DEPLOY)
        return NULL;
    return "GitLab itself ends it at the first midnight UTC behind the lease: it is deleted when "
           "the "
           "lease ends";
}

static const char *const fields[] = { "target", "project",      "group", "scopes",
                                      "token",  "access_level", NULL };
static const char *const fields_told[] = { "scopes", "access_level", "token", NULL };

const struct target_kind target_gitlab = {
    .grant = {
        .name = "gitlab",
        .fields = fields,
        .has_target = true,
        .ttl_min_s = LIFE_MIN_S,
        .ttl_max_s = LIFE_MAX_S,
        .check = check,
        .matching = POLICY_MATCHING_GLOB,
        .gives = gitlab_gives,
        .revocation = POLICY_REVOKED_NOW,
        .ending_note = ending_note,
        .fields_told = fields_told,
    },
    .settings = settings,
    .own_settings = own_settings,
    .configure = configure,
    .settings_size = sizeof(struct gitlab_settings),
    .start = start,
    .intend = gitlab_intend,
    .mint = gitlab_mint,
    .revoke = gitlab_revoke,
    .sweep = gitlab_sweep,
};
