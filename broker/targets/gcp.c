/*
 * Access tokens of Google: our token for a stage is exchanged for a federated one, by that a
 * service account's is made, and that is bounded to some objects of Cloud Storage.
 *
 * Source: cloud.google.com IAM: workload identity federation, sts v1 token, iamcredentials v1
 */
#include "base/json.h"
#include "targets/gcp_internal.h"

#define STS_ENDPOINT "https://sts.googleapis.com"
#define IAM_ENDPOINT "https://iamcredentials.googleapis.com"
#define PROVIDER_PREFIX "//iam.googleapis.com/projects/"

static const struct text_limits project_limits = { "projects", SMALL_LETTERS DIGITS "-.", 128,
                                                   1000 };
static const struct text_limits provider_limits = {
    "provider", SMALL_LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZ" DIGITS "-./", 256, 1
};
static const struct text_limits audience_limits = { "audience", NULL, 255, 1 };

static const char *const settings[] = { "projects",     "provider",  "audience",
                                        "subject",      "algorithm", "sts_endpoint",
                                        "iam_endpoint", "ca",        "allow_networks",
                                        "allow_http",   NULL };
static const char *const own_settings[] = { "sts_endpoint",   "iam_endpoint", "ca",
                                            "allow_networks", "allow_http",   NULL };

/* What our token is for: by default the provider, as Google writes it where none is said. */
static bool read_provider(const struct yaml_reader *reader, const json_t *node,
                          struct gcp_settings *own)
{
    if (!yaml_require(reader, node, "provider") ||
        !setting_text(reader, node, &provider_limits, &own->provider))
        return false;
    if (!str_starts_with(own->provider, STR(PROVIDER_PREFIX)))
        return yaml_complain(reader, json_object_get(node, "provider"),
                             "expected //iam.googleapis.com/projects/NUMBER/locations/global/"
                             "workloadIdentityPools/POOL/providers/PROVIDER");
    own->audience = arena_printf(reader->arena, "https:" STR_FMT, STR_ARG(own->provider));
    if (!own->audience.data)
        return yaml_complain(reader, node, "no memory for a target");
    return setting_text(reader, node, &audience_limits, &own->audience);
}

static bool read_subject(const struct yaml_reader *reader, const json_t *node,
                         struct gcp_settings *own)
{
    static const char *const names[] = { "stage", "run", NULL };
    size_t choice;

    if (!json_object_get(node, "subject"))
        return true;
    if (!yaml_get_choice(reader, node, "subject", names, &choice))
        return false;
    own->is_subject_the_run = choice == 1;
    return true;
}

static bool check_base(const struct yaml_reader *reader, const json_t *node, const char *key,
                       struct str url)
{
    return !str_ends_with(url, STR("/")) || yaml_complain(reader, json_object_get(node, key),
                                                          "expected a URL without '/' at its end");
}

static bool read_endpoints(const struct yaml_reader *reader, const json_t *node,
                           struct gcp_settings *own)
{
    own->sts_endpoint = STR(STS_ENDPOINT);
    own->iam_endpoint = STR(IAM_ENDPOINT);
    return setting_peer(reader, node, &own->peer) &&
           setting_endpoint(reader, node, "sts_endpoint", &own->peer, &own->sts_endpoint) &&
           setting_endpoint(reader, node, "iam_endpoint", &own->peer, &own->iam_endpoint) &&
           check_base(reader, node, "sts_endpoint", own->sts_endpoint) &&
           check_base(reader, node, "iam_endpoint", own->iam_endpoint);
}

static bool configure(const struct yaml_reader *reader, const json_t *node, struct target *target)
{
    struct gcp_settings *own = target->settings;

    return yaml_require(reader, node, "projects") &&
           setting_texts(reader, node, &project_limits, &own->projects) &&
           read_provider(reader, node, own) && read_subject(reader, node, own) &&
           stage_token_setting(reader, node, &own->algorithm) && read_endpoints(reader, node, own);
}

static bool start(struct target *target, const struct target_tools *tools, struct error *error)
{
    const struct gcp_settings *own = target->settings;

    return stage_token_start(tools, own->algorithm, error);
}

static const char *const fields[] = { "target", "service_account", "scopes", "boundary", NULL };
static const char *const fields_with_holes[] = { "boundary", NULL };
static const char *const fields_told[] = { "service_account", NULL };
static const char *const lists_that_give[] = { "scopes", "boundary", "roles", NULL };

const struct target_kind target_gcp = {
    .grant = {
        .name = "gcp",
        .fields = fields,
        .has_target = true,
        .ttl_min_s = GCP_LIFE_MIN_S,
        .ttl_max_s = GCP_LIFE_MAX_S,
        .check = gcp_grant_check,
        .fields_with_holes = fields_with_holes,
        .matching = POLICY_MATCHING_GLOB,
        .gives = gcp_grant_gives,
        .revocation = POLICY_REVOKED_BY_EXPIRY,
        .fields_told = fields_told,
        .lists_that_give = lists_that_give,
    },
    .settings = settings,
    .own_settings = own_settings,
    .configure = configure,
    .settings_size = sizeof(struct gcp_settings),
    .start = start,
    .mint = gcp_mint,
};
