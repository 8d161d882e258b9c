/*
 * Tokens of Kubernetes service accounts, by TokenRequest. Each is bound to a Secret of its own,
 * empty and made for it: with the Secret it ends.
 *
 * Source: Kubernetes API authentication.k8s.io/v1 TokenRequest (600 s at least), core/v1 Secret,
 *         meta/v1 Status and PartialObjectMetadataList; names are DNS labels and subdomains of
 *         RFC 1123
 */
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "targets/kubernetes_internal.h"
#include "targets/oauth_answer.h"
#include "targets/token_file.h"

#define LIFE_MIN_S 600 /* the API refuses less */
#define LIFE_MAX_S ((int64_t)24 * 3600)
#define CA_MAX ((size_t)64 * 1024)
#define API_AUDIENCE "https://kubernetes.default.svc"

static const struct text_limits namespace_limits = { "namespace", SMALL_LETTERS DIGITS "-", 63, 1 };
static const struct text_limits account_limits = { "service_account", SMALL_LETTERS DIGITS "-.",
                                                   253, 1 };
static const struct text_limits audience_limits = { "audience", NULL, 1024, 1 };
static const struct text_limits login_audience_limits = { "login_audience", NULL, 255, 1 };
static const struct text_limits namespaces_limits = { "namespaces", SMALL_LETTERS DIGITS "-", 63,
                                                      100 };

static const char *const settings[] = { "api",       "token_file",     "login_audience",
                                        "algorithm", "audience",       "namespaces",
                                        "ca",        "allow_networks", "allow_http",
                                        NULL };
static const char *const own_settings[] = { "token_file", "ca", "allow_networks", "allow_http",
                                            NULL };

static bool read_namespaces(const struct yaml_reader *reader, const json_t *node,
                            struct kubernetes_settings *own)
{
    if (!setting_texts(reader, node, &namespaces_limits, &own->namespaces))
        return false;
    for (size_t i = 0; i < own->namespaces.count; i++)
        if (!text_is_dns_name(own->namespaces.list[i]))
            return yaml_complain(reader, grant_item(json_object_get(node, "namespaces"), i),
                                 "a namespace does not start or end with '-'");
    return true;
}

/* A token that others made says for itself whom it is for, and by which key. */
static bool read_login(const struct yaml_reader *reader, const json_t *node,
                       struct kubernetes_settings *own)
{
    static const char *const of_ours[] = { "login_audience", "algorithm" };

    own->login_audience = own->api;
    if (!setting_file(reader, node, "token_file", &own->token_file) ||
        !setting_text(reader, node, &login_audience_limits, &own->login_audience) ||
        !stage_token_setting(reader, node, &own->algorithm))
        return false;
    for (size_t i = 0; i < COUNT(of_ours); i++) {
        const json_t *value = json_object_get(node, of_ours[i]);

        if (own->token_file && value)
            return yaml_complain(reader, value,
                                 "with 'token_file' there is no '%s': the broker "
                                 "shows no token of its own",
                                 of_ours[i]);
    }
    return true;
}

static bool configure(const struct yaml_reader *reader, const json_t *node, struct target *target)
{
    struct kubernetes_settings *own = target->settings;

    own->arena = reader->arena;
    own->audience = STR(API_AUDIENCE);
    return yaml_require(reader, node, "api") && setting_peer(reader, node, &own->peer) &&
           setting_base(reader, node, "api", &own->peer, &own->api) &&
           read_login(reader, node, own) &&
           setting_text(reader, node, &audience_limits, &own->audience) &&
           read_namespaces(reader, node, own);
}

/* What jobs know the API server by. */
static bool read_ca(struct kubernetes_settings *own, struct error *error)
{
    return !own->peer.ca_file || file_read(own->arena, own->peer.ca_file, CA_MAX, &own->ca, error);
}

static bool start(struct target *target, const struct target_tools *tools, struct error *error)
{
    struct kubernetes_settings *own = target->settings;
    bool is_known = own->token_file ? token_file_check(own->token_file, OAUTH_TOKEN_MAX,
                                                       KUBERNETES_SERVER, target->name, error)
                                    : stage_token_start(tools, own->algorithm, error);

    return is_known && read_ca(own, error);
}

bool kubernetes_read_fields(struct grant_reader *reader, const json_t *fields,
                            struct kubernetes_grant *grant)
{
    const json_t *space = json_object_get(fields, "namespace");

    if (!grant_need(reader, fields, &namespace_limits, &grant->space) ||
        !grant_starts_literally(reader, space, "a namespace") ||
        !grant_need(reader, fields, &account_limits, &grant->account) ||
        !grant_may(reader, fields, &audience_limits, &grant->audience))
        return false;
    if (!text_is_dns_name(grant->space))
        return grant_fault(reader, space, "a namespace does not start or end with '-'");
    if (!text_is_dns_name(grant->account))
        return grant_fault(reader, json_object_get(fields, "service_account"),
                           "expected a service account's name: labels of at most 63 characters, "
                           "with '.' between them, none with '-' at an end");
    return true;
}

static bool read_grant(struct grant_reader *reader, const struct policy_grant_view *view)
{
    struct kubernetes_grant grant = { 0 };

    return kubernetes_read_fields(reader, view->fields, &grant);
}

static void check(const struct yaml_reader *yaml, const struct policy_grant_view *view)
{
    grant_check(yaml, view, read_grant);
}

/* Two targets of one API server are one cluster. */
static bool gives(const struct policy_grant_view *view, struct arena *arena,
                  struct policy_given *given)
{
    const struct kubernetes_settings *own = view->target ? view->target->settings : NULL;
    struct str cluster = view->target ? view->target->name : STR("");
    struct str space = json_str(json_object_get(view->fields, "namespace"));
    struct str account = json_str(json_object_get(view->fields, "service_account"));

    if (own && own->api.len > 0)
        cluster = own->api;
    return given_room(given, arena, 1, 1) &&
           given_name(given,
                      arena_printf(arena, STR_FMT "/" STR_FMT, STR_ARG(space), STR_ARG(account))) &&
           given_principal(
               given, arena_printf(arena, "system:serviceaccount:" STR_FMT ":" STR_FMT "@" STR_FMT,
                                   STR_ARG(space), STR_ARG(account), STR_ARG(cluster)));
}

static const char *const fields[] = { "target", "namespace", "service_account", "audience", NULL };
static const char *const fields_with_holes[] = { "namespace", NULL };
static const char *const fields_told[] = { "namespace", "service_account", NULL };

const struct target_kind target_kubernetes = {
    .grant = {
        .name = "kubernetes",
        .fields = fields,
        .has_target = true,
        .ttl_min_s = LIFE_MIN_S,
        .ttl_max_s = LIFE_MAX_S,
        .check = check,
        .fields_with_holes = fields_with_holes,
        .matching = POLICY_MATCHING_GLOB,
        .gives = gives,
        .revocation = POLICY_REVOKED_NOW,
        .fields_told = fields_told,
    },
    .settings = settings,
    .own_settings = own_settings,
    .configure = configure,
    .settings_size = sizeof(struct kubernetes_settings),
    .start = start,
    .intend = kubernetes_intend,
    .mint = kubernetes_mint,
    .revoke = kubernetes_revoke,
    .sweep = kubernetes_sweep,
};
