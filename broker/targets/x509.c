/*
 * X.509 certificates that we sign ourselves, for a SPIFFE ID or for DNS names: settings and grants.
 * x509_mint.c signs them.
 *
 * Source: SPIFFE-ID 2.1 to 2.3, X.509-SVID 4.4 (both extended key usages, or none); RFC 5280
 *         4.2.1.6, RFC 1123 2.1 (names)
 */
#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "targets/targets_internal.h"
#include "targets/x509_internal.h"

#define LIFE_MIN_S 1
#define LIFE_MAX_S AUTHORITY_LIFE_MAX_S
#define DAY_S ((int64_t)24 * 3600)
#define ROTATE_DEFAULT_S (90 * DAY_S)
#define ROTATE_MAX_S (730 * DAY_S)
#define LIST_MIN_S ((int64_t)600)
#define LIST_MAX_S (30 * DAY_S)
#define SCHEME "spiffe://"
#define SEGMENT_CHARSET LETTERS_AND_DIGITS "._-"

static const struct text_limits spiffe_limits = { "spiffe_id", SEGMENT_CHARSET ":/", 2048, 1 };
static const struct text_limits san_limits = { "san", SMALL_LETTERS DIGITS "-.", 253, 16 };
static const struct text_limits trust_limits = { "trust_domain", SMALL_LETTERS DIGITS "._-", 255,
                                                 1 };
static const struct text_limits domain_limits = { "domains", SMALL_LETTERS DIGITS "-.", 253, 100 };
static const struct text_limits key_limits = { "key", SMALL_LETTERS DIGITS "-", AUTHORITY_NAME_MAX,
                                               1 };

enum usage {
    USAGE_CLIENT,
    USAGE_SERVER,
    USAGE_CODE_SIGNING,
    USAGES,
};

static const char *const usages[] = { "client", "server", "code_signing", NULL };
static const unsigned uses_of[USAGES] = { CERTIFICATE_CLIENT, CERTIFICATE_SERVER,
                                          CERTIFICATE_CODE_SIGNING };

enum root {
    ROOT_OWN,
    ROOT_EXTERNAL,
};

static const char *const roots[] = { "own", "external", NULL };

static const char *const settings[] = { "trust_domain", "domains",    "key",     "root",
                                        "rotate_every", "list_lives", "crl_url", NULL };
static const char *const own_settings[] = { "key",        "root",    "rotate_every",
                                            "list_lives", "crl_url", NULL };

/* What is the broker's own: whose key signs, and where its list is. */
static bool configure_authority(const struct yaml_reader *reader, const json_t *node,
                                struct x509_settings *own)
{
    size_t errors = reader->diagnostics->error_count;
    size_t root = ROOT_OWN;

    own->rotate_every_s = ROTATE_DEFAULT_S;
    own->list_lives_s = X509_LIST_LIVES_S;
    if (!yaml_require(reader, node, "key") || !setting_text(reader, node, &key_limits, &own->key) ||
        !setting_url(reader, node, "crl_url", &own->crl_url))
        return false;
    (void)yaml_get_choice(reader, node, "root", roots, &root);
    (void)yaml_get_duration_s(reader, node, "rotate_every", AUTHORITY_ROTATE_MIN_S, ROTATE_MAX_S,
                              &own->rotate_every_s);
    (void)yaml_get_duration_s(reader, node, "list_lives", LIST_MIN_S, LIST_MAX_S,
                              &own->list_lives_s);
    own->has_own_root = root == ROOT_OWN;
    return reader->diagnostics->error_count == errors;
}

static bool configure(const struct yaml_reader *reader, const json_t *node, struct target *target)
{
    struct x509_settings *own = target->settings;

    if (!setting_text(reader, node, &trust_limits, &own->trust_domain) ||
        !setting_texts(reader, node, &domain_limits, &own->domains))
        return false;
    for (size_t i = 0; i < own->domains.count; i++)
        if (!text_is_dns_name(own->domains.list[i]))
            return yaml_complain(reader, grant_item(json_object_get(node, "domains"), i),
                                 "expected a domain, such as payments.acme.example");
    if (own->trust_domain.len == 0 && own->domains.count == 0)
        return yaml_complain(reader, node,
                             "a target without 'trust_domain' and 'domains' can give nothing");
    return target->is_catalog || configure_authority(reader, node, own);
}

/* The domains and the trust domain are what its certificates may be for: name constraints. */
static bool start(struct target *target, const struct target_tools *tools, struct error *error)
{
    struct x509_settings *own = target->settings;
    struct certificate_name permitted[AUTHORITY_PERMITTED_MAX];
    struct authority_options options = {
        .name = own->key,
        .user = target->name,
        .has_own_root = own->has_own_root,
        .rotate_every_s = own->rotate_every_s,
        .permitted = permitted,
    };

    for (size_t i = 0; i < own->domains.count; i++)
        permitted[options.permitted_count++] =
            (struct certificate_name){ CERTIFICATE_DNS, own->domains.list[i] };
    if (own->trust_domain.len > 0)
        permitted[options.permitted_count++] =
            (struct certificate_name){ CERTIFICATE_URI, own->trust_domain };
    if (!keys_authority(tools->keys, &options, clock_wall_s(), &own->authority, error))
        return error_wrap(error, "target " STR_FMT, STR_ARG(target->name));
    return true;
}

/* ---- SPIFFE IDs ---- */

/* "spiffe://acme.example/payments/web" in its trust domain and its path. */
static bool split_id(struct str id, struct str *domain, struct str *path)
{
    if (!str_starts_with(id, STR(SCHEME)))
        return false;
    return str_cut(str_slice(id, sizeof(SCHEME) - 1, id.len), '/', domain, path);
}

static bool is_path(struct str path)
{
    bool has_more = true;
    struct str segment;

    while (has_more) {
        has_more = str_cut(path, '/', &segment, &path);
        if (segment.len == 0 || str_eq(segment, STR(".")) || str_eq(segment, STR("..")) ||
            !str_is_made_of(segment, SEGMENT_CHARSET))
            return false;
    }
    return true;
}

static bool read_id(struct grant_reader *reader, const json_t *value,
                    const struct x509_settings *own, struct str *id)
{
    struct str written_path = STR("");
    struct str domain;
    struct str path;

    if (!grant_text(reader, value, &spiffe_limits, id))
        return false;
    if (!split_id(*id, &domain, &path) || !is_path(path))
        return grant_fault(reader, value, "expected a SPIFFE ID: spiffe://TRUST-DOMAIN/PATH");
    if (own && !str_eq(domain, own->trust_domain))
        return grant_fault(reader, value, "'" STR_FMT "' is not the target's trust domain",
                           STR_ARG(str_slice(domain, 0, 60)));
    if (reader->has_open_holes && split_id(json_str(value), &domain, &written_path) &&
        str_starts_with(written_path, STR("${")))
        return grant_fault(reader, value,
                           "a path starts with literal text: a hole in front would let the job "
                           "name itself");
    return true;
}

/* ---- DNS names ---- */

static bool is_below(struct str name, struct str domain)
{
    size_t more = name.len > domain.len ? name.len - domain.len : 0;

    return str_eq(name, domain) ||
           (more > 0 && name.data[more - 1] == '.' && str_ends_with(name, domain));
}

static bool is_of_target(const struct x509_settings *own, struct str name)
{
    for (size_t i = 0; own && i < own->domains.count; i++)
        if (is_below(name, own->domains.list[i]))
            return true;
    return !own;
}

static bool read_names(struct grant_reader *reader, const json_t *value,
                       const struct x509_settings *own, struct texts *names)
{
    if (!grant_texts(reader, value, &san_limits, names))
        return false;
    for (size_t i = 0; i < names->count; i++) {
        if (!text_is_dns_name(names->list[i]))
            return grant_fault(reader, grant_item(value, i),
                               "expected a DNS name, such as web.payments.acme.example");
        if (!is_of_target(own, names->list[i]))
            return grant_fault(reader, grant_item(value, i),
                               "'" STR_FMT "' is in none of the target's domains",
                               STR_ARG(str_slice(names->list[i], 0, 60)));
    }
    return true;
}

/* ---- the grant ---- */

static bool read_usages(struct grant_reader *reader, const json_t *value, bool used[USAGES])
{
    size_t count = json_is_array(value) ? json_array_size(value) : 1;
    size_t usage;

    if (count == 0)
        return grant_fault(reader, value, "'usage' must not be empty");
    for (size_t i = 0; i < count; i++) {
        const json_t *item = grant_item(value, i);

        if (!grant_choice(reader, item, "usage", usages, &usage))
            return false;
        if (used[usage])
            return grant_fault(reader, item, "'%s' is there twice", usages[usage]);
        used[usage] = true;
    }
    return true;
}

/*
 * A server's certificate that is a client's too would pass for a caller: so it is said. One that
 * signs code does nothing else, and is for the identity that verifiers ask for.
 */
static bool check_usage(struct grant_reader *reader, const json_t *value, bool is_spiffe,
                        const bool used[USAGES])
{
    bool is_for_both = used[USAGE_CLIENT] && used[USAGE_SERVER];

    if (used[USAGE_CODE_SIGNING] && (used[USAGE_CLIENT] || used[USAGE_SERVER]))
        return grant_fault(reader, value, "'code_signing' goes with no other usage");
    if (used[USAGE_CODE_SIGNING] && !is_spiffe)
        return grant_fault(reader, value, "'code_signing' needs a 'spiffe_id': who signs");
    if (is_spiffe && !is_for_both && !used[USAGE_CODE_SIGNING])
        return grant_fault(reader, value,
                           "a SPIFFE ID serves both sides: leave 'usage' out, or say both");
    return true;
}

static bool read_usage(struct grant_reader *reader, const json_t *fields, bool is_spiffe,
                       unsigned *uses)
{
    const json_t *value = json_object_get(fields, "usage");
    bool used[USAGES] = { false };

    *uses = CERTIFICATE_CLIENT | CERTIFICATE_SERVER;
    if (!value && is_spiffe)
        return true;
    if (!value)
        return grant_fault(reader, fields, "'usage' is missing here: client, server or both");
    if (!read_usages(reader, value, used) || !check_usage(reader, value, is_spiffe, used))
        return false;
    *uses = 0;
    for (size_t i = 0; i < USAGES; i++)
        if (used[i])
            *uses |= uses_of[i];
    return true;
}

bool x509_read_grant(struct grant_reader *reader, const json_t *fields,
                     const struct x509_settings *own, struct x509_grant *grant)
{
    const json_t *id = json_object_get(fields, "spiffe_id");
    const json_t *san = json_object_get(fields, "san");

    if (!id == !san)
        return grant_fault(reader, san ? san : fields,
                           "an x509 grant has either 'spiffe_id' or 'san'");
    return (id ? read_id(reader, id, own, &grant->id)
               : read_names(reader, san, own, &grant->names)) &&
           read_usage(reader, fields, id != NULL, &grant->uses);
}

static bool read_grant(struct grant_reader *reader, const struct policy_grant_view *view)
{
    struct x509_grant grant = { 0 };

    return x509_read_grant(reader, view->fields, view->target ? view->target->settings : NULL,
                           &grant);
}

static void check(const struct yaml_reader *yaml, const struct policy_grant_view *view)
{
    grant_check(yaml, view, read_grant);
}

/* The names, which are whom it stands for, too. */
static bool gives(const struct policy_grant_view *view, struct arena *arena,
                  struct policy_given *given)
{
    const json_t *id = json_object_get(view->fields, "spiffe_id");
    struct texts names;

    if (!grant_written(arena, id ? id : json_object_get(view->fields, "san"), &names) ||
        !given_room(given, arena, names.count, names.count))
        return false;
    for (size_t i = 0; i < names.count; i++)
        if (!given_name(given, names.list[i]) || !given_principal(given, names.list[i]))
            return false;
    return true;
}

static const char *const fields[] = { "target", "spiffe_id", "san", "usage", NULL };
static const char *const fields_with_holes[] = { "spiffe_id", NULL };
static const char *const fields_told[] = { "spiffe_id", "san", NULL };
static const char *const lists_that_give[] = { "usage", NULL };

const struct target_kind target_x509 = {
    .grant = {
        .name = "x509",
        .fields = fields,
        .has_target = true,
        .ttl_min_s = LIFE_MIN_S,
        .ttl_max_s = LIFE_MAX_S,
        .check = check,
        .fields_with_holes = fields_with_holes,
        .matching = POLICY_MATCHING_GLOB,
        .gives = gives,
        .revocation = POLICY_REVOKED_BY_NAME,
        .fields_told = fields_told,
        .lists_that_give = lists_that_give,
    },
    .settings = settings,
    .own_settings = own_settings,
    .is_local = true,
    .needing = "grants_needing_csrs",
    .configure = configure,
    .settings_size = sizeof(struct x509_settings),
    .start = start,
    .check_details = x509_check_details,
    .mint = x509_mint,
    .revoke = target_revoke_by_list,
    .is_gone_by_expiry = true,
    .list = x509_list,
};
