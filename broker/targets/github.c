/*
 * Installation tokens of a GitHub App, for some repositories and permissions.
 *
 * Source: GitHub REST API, apps: a token lives an hour, whatever is asked
 */
#include "base/error.h"
#include "keys/keys.h"
#include "targets/github_internal.h"

#define LIFE_S ((int64_t)3600)
#define API "https://api.github.com"

static const struct text_limits installation_limits = { "installation", DIGITS, 20, 1 };
static const struct text_limits app_limits = { "app", LETTERS_AND_DIGITS ".", 64, 1 };
static const struct text_limits key_limits = { "key", SMALL_LETTERS DIGITS "-", 40, 1 };

static const char *const settings[] = { "installation",   "app",        "url", "key", "ca",
                                        "allow_networks", "allow_http", NULL };
static const char *const own_settings[] = { "key", "ca", "allow_networks", "allow_http", NULL };

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

/* A catalog may leave out by whom the broker is known there. */
static bool read_app(const struct yaml_reader *reader, const json_t *node,
                     const struct target *target, struct github_settings *own)
{
    if (!target->is_catalog &&
        (!yaml_require(reader, node, "app") || !yaml_require(reader, node, "key")))
        return false;
    return setting_text(reader, node, &app_limits, &own->app) &&
           setting_text(reader, node, &key_limits, &own->key_name);
}

static bool configure(const struct yaml_reader *yaml, const json_t *node, struct arena *arena,
                      struct target *target)
{
    const struct yaml_reader reader = { yaml->document, yaml->diagnostics, arena };
    struct github_settings *own = arena_alloc(arena, sizeof(*own));

    if (!own)
        return yaml_complain(yaml, node, "no memory for a target");
    target->settings = own;
    return yaml_require(&reader, node, "installation") &&
           setting_text(&reader, node, &installation_limits, &own->installation) &&
           read_app(&reader, node, target, own) && read_url(&reader, node, own);
}

static bool start(struct target *target, const struct target_tools *tools, struct error *error)
{
    struct github_settings *own = target->settings;

    if (!keys_given(tools->keys, own->key_name, KEY_RS256, &own->key, error))
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
    .start = start,
    .mint = github_mint,
    .revoke = github_revoke,
    .is_revocable = is_revocable,
    .is_gone_by_expiry = true,
};
