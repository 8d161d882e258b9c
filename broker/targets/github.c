/*
 * Installation tokens of a GitHub App, for some repositories and permissions.
 *
 * Source: GitHub REST API, apps: a token lives an hour, whatever is asked
 */
#include "base/error.h"
#include "base/json.h"
#include "keys/keys.h"
#include "targets/github_internal.h"

#define LIFE_S ((int64_t)3600)
#define API "https://api.github.com"

static const struct text_limits installation_limits = { "installation", DIGITS, 20, 1 };
static const struct text_limits app_limits = { "app", LETTERS_AND_DIGITS ".", 64, 1 };
static const struct text_limits key_limits = { "key", SMALL_LETTERS DIGITS "-", 40, 1 };

static const char *const settings[] = { "installation",   "app",        "key", "apps", "url", "ca",
                                        "allow_networks", "allow_http", NULL };
static const char *const own_settings[] = { "key",        "apps", "ca", "allow_networks",
                                            "allow_http", NULL };
static const char *const app_settings[] = { "app", "installation", "key", NULL };

/* github.com's API and those of its subdomains at ghe.com have a host of their own. */
static struct str host_of(struct str url)
{
    struct str host = upstream_url_host(url);

    if (str_eq(host, STR("api.github.com")) ||
        (str_starts_with(host, STR("api.")) && str_ends_with(host, STR(".ghe.com"))))
        return str_slice(host, sizeof("api.") - 1, host.len);
    return host;
}

static bool read_url(const struct yaml_reader *reader, const json_t *node,
                     struct github_settings *own)
{
    own->url = STR(API);
    if (!setting_peer(reader, node, &own->peer) ||
        !setting_base(reader, node, "url", &own->peer, &own->url))
        return false;
    own->host = host_of(own->url);
    return true;
}

static bool read_app(const struct yaml_reader *reader, const json_t *node, struct github_app *app)
{
    return setting_text(reader, node, &app_limits, &app->app) &&
           setting_text(reader, node, &installation_limits, &app->installation) &&
           setting_text(reader, node, &key_limits, &app->key_name);
}

static bool require_all(const struct yaml_reader *reader, const json_t *node)
{
    for (size_t i = 0; app_settings[i]; i++)
        if (!yaml_require(reader, node, app_settings[i]))
            return false;
    return true;
}

/* Two of one installation would share what GitHub allows it. */
static bool is_another(const struct github_settings *own)
{
    const struct github_app *last = &own->apps[own->app_count - 1];

    for (size_t i = 0; i + 1 < own->app_count; i++)
        if (str_eq(own->apps[i].installation, last->installation))
            return false;
    return true;
}

static bool read_list(const struct yaml_reader *reader, const json_t *list,
                      struct github_settings *own)
{
    size_t index;
    json_t *node;

    if (json_array_size(list) == 0 || json_array_size(list) > GITHUB_APPS_MAX)
        return yaml_complain(reader, list, "'apps' has 1 to %d elements", GITHUB_APPS_MAX);
    json_array_foreach (json_iterable(list), index, node) {
        if (!yaml_expect_map(reader, node, app_settings) || !require_all(reader, node) ||
            !read_app(reader, node, &own->apps[own->app_count++]))
            return false;
        if (!is_another(own))
            return yaml_complain(reader, node, "this installation is there twice");
    }
    return true;
}

/* One in the target's own row, or several in `apps`. A catalog need not say how we are known. */
static bool read_apps(const struct yaml_reader *reader, const json_t *node,
                      const struct target *target, struct github_settings *own)
{
    const json_t *list = json_object_get(node, "apps");

    if (!list) {
        own->app_count = 1;
        return (target->is_catalog || require_all(reader, node)) &&
               read_app(reader, node, own->apps);
    }
    for (size_t i = 0; app_settings[i]; i++)
        if (json_object_get(node, app_settings[i]))
            return yaml_complain(reader, json_object_get(node, app_settings[i]),
                                 "'%s' stands in each of 'apps', not beside them", app_settings[i]);
    return yaml_get_list(reader, node, "apps", &list) && read_list(reader, list, own);
}

static bool configure(const struct yaml_reader *reader, const json_t *node, struct target *target)
{
    struct github_settings *own = target->settings;

    own->apps = arena_alloc_array(reader->arena, GITHUB_APPS_MAX, sizeof(*own->apps));
    if (!own->apps)
        return yaml_complain(reader, node, "no memory for a target");
    return read_apps(reader, node, target, own) && read_url(reader, node, own);
}

static bool start(struct target *target, const struct target_tools *tools, struct error *error)
{
    struct github_settings *own = target->settings;

    for (size_t i = 0; i < own->app_count; i++)
        if (!keys_given(tools->keys, own->apps[i].key_name, KEY_RS256, &own->apps[i].key, error))
            return error_wrap(error, "target " STR_FMT, STR_ARG(target->name));
    return true;
}

static bool read_grant(struct grant_reader *reader, const struct policy_grant_view *view)
{
    struct github_grant grant;

    return github_read_grant(reader, view->fields, &grant);
}

static void check(const struct yaml_reader *yaml, const struct policy_grant_view *view)
{
    grant_check(yaml, view, read_grant);
}

/* Only the token ends itself: one that nobody heard of lives its hour. */
static bool is_revocable(const struct mint *mint)
{
    return mint->handle != NULL;
}

static const char *const fields[] = { "target", "repositories", "permissions", NULL };
static const char *const fields_told[] = { "permissions", NULL };
static const char *const lists_that_give[] = { "repositories", NULL };

const struct target_kind target_github = {
    .grant = {
        .name = "github",
        .fields = fields,
        .has_target = true,
        .ttl_min_s = LIFE_S,
        .ttl_max_s = LIFE_S,
        .check = check,
        .matching = POLICY_MATCHING_GLOB,
        .gives = github_gives,
        .revocation = POLICY_REVOKED_NOW,
        .fields_told = fields_told,
        .lists_that_give = lists_that_give,
    },
    .settings = settings,
    .own_settings = own_settings,
    .configure = configure,
    .settings_size = sizeof(struct github_settings),
    .start = start,
    .mint = github_mint,
    .revoke = github_revoke,
    .is_revocable = is_revocable,
    .is_gone_by_expiry = true,
};
