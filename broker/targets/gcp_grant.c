/*
 * What a grant for Google asks for.
 *
 * A boundary is written as buckets, prefixes and roles, not in Google's expression language: what a
 * job fills in can then never become a part of an expression.
 *
 * Source: iamcredentials generateAccessToken (an hour at most); Credential Access Boundaries (Cloud
 *         Storage only, 10 rules, 2048 characters)
 */
#include "base/json.h"
#include "targets/gcp_internal.h"

#define EMAIL_SUFFIX ".iam.gserviceaccount.com"
#define BUCKET_RESOURCE "//storage.googleapis.com/projects/_/buckets/"
#define OBJECTS "projects/_/buckets/"

static const struct text_limits account_limits = { "service_account", SMALL_LETTERS DIGITS "-.@",
                                                   256, 1 };
static const struct text_limits scope_limits = { "scopes", SMALL_LETTERS DIGITS "._-:/", 256, 32 };
static const struct text_limits bucket_limits = { "bucket", SMALL_LETTERS DIGITS "-_.", 222, 1 };
/* No quote and no backslash, which would end or change the text in the expression. */
static const struct text_limits prefix_limits = { "prefix", LETTERS_AND_DIGITS "!#$&()*+,-./:;=@_ ",
                                                  1024, 1 };
static const struct text_limits role_limits = { "roles", LETTERS_AND_DIGITS "_./-", 256,
                                                GCP_ROLES_MAX };

static const char *const rule_names[] = { "bucket", "prefix", "roles", NULL };

/* ---- as whom ---- */

/* "deploy@acme-prod.iam.gserviceaccount.com" in name and project. */
static bool split_email(struct str email, struct str *name, struct str *project)
{
    struct str host;

    if (!str_cut(email, '@', name, &host) || !str_ends_with(host, STR(EMAIL_SUFFIX)))
        return false;
    *project = str_slice(host, 0, host.len - (sizeof(EMAIL_SUFFIX) - 1));
    return project->len > 0 && str_find(*project, '@') == project->len;
}

/* 6 to 30 of small letters, digits and '-'; a letter in front, no '-' at the end. */
static bool is_account_name(struct str name)
{
    return name.len >= 6 && name.len <= 30 && str_is_made_of(name, SMALL_LETTERS DIGITS "-") &&
           str_is_made_of(str_slice(name, 0, 1), SMALL_LETTERS) && name.data[name.len - 1] != '-';
}

/* Without one the stage acts as itself, and then Google alone says how long. */
static bool read_no_account(struct grant_reader *reader, int64_t ttl_s)
{
    return ttl_s == GCP_LIFE_MAX_S ||
           grant_fault(reader, NULL,
                       "without 'service_account' Google gives a token for an hour, whatever is "
                       "asked: ttl must be 1h");
}

static bool read_account(struct grant_reader *reader, const json_t *fields,
                         const struct gcp_settings *own, struct gcp_grant *grant)
{
    const json_t *value = json_object_get(fields, "service_account");
    struct str name;

    if (!grant_need(reader, fields, &account_limits, &grant->service_account))
        return false;
    if (!split_email(grant->service_account, &name, &grant->project) || !is_account_name(name))
        return grant_fault(reader, value,
                           "expected a service account: NAME@PROJECT" EMAIL_SUFFIX
                           ", its name with 6 to 30 characters");
    if (own && !texts_contain(&own->projects, grant->project))
        return grant_fault(reader, value, "the project '" STR_FMT "' is not one of the target's",
                           STR_ARG(str_slice(grant->project, 0, 60)));
    return true;
}

static bool read_scopes(struct grant_reader *reader, const json_t *fields, struct texts *scopes)
{
    const json_t *value = json_object_get(fields, "scopes");

    if (!grant_need_list(reader, fields, &scope_limits, scopes))
        return false;
    for (size_t i = 0; i < scopes->count; i++)
        if (!str_starts_with(scopes->list[i], STR(GCP_SCOPE_PREFIX)) ||
            scopes->list[i].len == sizeof(GCP_SCOPE_PREFIX) - 1)
            return grant_fault(reader, grant_item(value, i),
                               "expected a scope such as " GCP_SCOPE_PREFIX
                               "devstorage.read_write");
    return true;
}

/* ---- the boundary ---- */

static bool is_role(struct str role)
{
    struct str name = str_slice(role, sizeof("roles/") - 1, role.len);

    if (str_starts_with(role, STR("roles/")))
        return name.len > 0 && str_find(name, '/') == name.len;
    return str_starts_with(role, STR("projects/")) || str_starts_with(role, STR("organizations/"));
}

static bool read_roles(struct grant_reader *reader, const json_t *rule, json_t *permissions)
{
    const json_t *value = json_object_get(rule, "roles");
    struct texts roles;

    if (!grant_need_list(reader, rule, &role_limits, &roles))
        return false;
    for (size_t i = 0; i < roles.count; i++) {
        struct str permission =
            arena_printf(reader->arena, "inRole:" STR_FMT, STR_ARG(roles.list[i]));

        if (grant_has_hole(grant_item(value, i)))
            return grant_fault(reader, grant_item(value, i), "no hole stands in a role");
        if (!is_role(roles.list[i]))
            return grant_fault(reader, grant_item(value, i),
                               "expected a role such as roles/storage.objectViewer");
        if (json_array_append_new(permissions, json_from_str(permission)) != 0)
            return grant_fault(reader, value, "no memory for a boundary");
    }
    return true;
}

/*
 * Whether names of other values begin so, too: those of 12 with "pr-1", those of 1-a with "pr-1-".
 * Only what no hole holds ends one.
 */
static bool has_open_end(const struct grant_reader *reader, const json_t *prefix)
{
    struct str behind = json_str(prefix);
    struct str hole;
    bool has_holes = false;

    while (reader->has_open_holes && str_find(behind, '}') < behind.len)
        has_holes = str_cut(behind, '}', &hole, &behind);
    return has_holes && str_is_made_of(behind, LETTERS_AND_DIGITS "._-");
}

static bool put_prefix(struct grant_reader *reader, const json_t *at, json_t *written,
                       struct str bucket, struct str prefix)
{
    json_t *condition = json_object();
    struct str expression = arena_printf(
        reader->arena, "resource.name.startsWith('" OBJECTS STR_FMT "/objects/" STR_FMT "')",
        STR_ARG(bucket), STR_ARG(prefix));

    if (json_put(written, "availabilityCondition", condition) &&
        json_put(condition, "expression", json_from_str(expression)))
        return true;
    return grant_fault(reader, at, "no memory for a boundary");
}

/* A rule in Google's form. */
static bool read_rule(struct grant_reader *reader, const json_t *rule, json_t *written)
{
    const json_t *bucket_at = json_object_get(rule, "bucket");
    const json_t *prefix_at = json_object_get(rule, "prefix");
    json_t *permissions = json_array();
    struct str resource;
    struct str bucket;
    struct str prefix;

    if (!json_put(written, "availablePermissions", permissions))
        return grant_fault(reader, rule, "no memory for a boundary");
    if (!json_is_object(rule))
        return grant_fault(reader, rule, "expected a map of bucket, prefix and roles");
    if (!grant_need(reader, rule, &bucket_limits, &bucket) ||
        !grant_starts_literally(reader, bucket_at, "a bucket") ||
        !read_roles(reader, rule, permissions))
        return false;
    if (bucket.len < 3)
        return grant_fault(reader, bucket_at, "a bucket's name has at least 3 characters");
    resource = arena_printf(reader->arena, BUCKET_RESOURCE STR_FMT, STR_ARG(bucket));
    if (!json_put(written, "availableResource", json_from_str(resource)))
        return grant_fault(reader, rule, "no memory for a boundary");
    if (!prefix_at)
        return true;
    if (has_open_end(reader, prefix_at))
        return grant_fault(reader, prefix_at,
                           "objects of another value may begin like this one's: end the hole with "
                           "what none holds, such as '/'");
    return grant_text(reader, prefix_at, &prefix_limits, &prefix) &&
           put_prefix(reader, prefix_at, written, bucket, prefix);
}

/* As the exchange's option carries it. */
static bool write_boundary(struct grant_reader *reader, const json_t *at, json_t *rules,
                           struct str *text)
{
    JSON_OWNED json_t *whole =
        json_pack("{s:{s:O}}", "accessBoundary", "accessBoundaryRules", rules);

    *text = whole ? json_text(reader->arena, whole) : STR("");
    if (text->len == 0)
        return grant_fault(reader, at, "no memory for a boundary");
    if (text->len > GCP_BOUNDARY_MAX)
        return grant_fault(reader, at,
                           "a boundary has at most %zu characters in Google's form, "
                           "and this one %zu",
                           GCP_BOUNDARY_MAX, text->len);
    return true;
}

static bool read_boundary(struct grant_reader *reader, const json_t *fields, struct str *text)
{
    const json_t *boundary = json_object_get(fields, "boundary");
    JSON_OWNED json_t *rules = json_array();

    if (!boundary)
        return true;
    if (!json_is_array(boundary) || json_array_size(boundary) == 0 ||
        json_array_size(boundary) > GCP_RULES_MAX)
        return grant_fault(reader, boundary, "'boundary' must be a list of 1 to %d maps",
                           GCP_RULES_MAX);
    for (size_t i = 0; i < json_array_size(boundary); i++) {
        json_t *written = json_object();

        if (json_array_append_new(rules, written) != 0)
            return grant_fault(reader, boundary, "no memory for a boundary");
        if (!read_rule(reader, json_array_get(boundary, i), written))
            return false;
    }
    return write_boundary(reader, boundary, rules, text);
}

/* ---- the grant ---- */

bool gcp_grant_read(struct grant_reader *reader, const json_t *fields, int64_t ttl_s,
                    const struct gcp_settings *settings, struct gcp_grant *grant)
{
    bool has_account = json_object_get(fields, "service_account") != NULL;

    *grant = (struct gcp_grant){ 0 };
    return (has_account ? read_account(reader, fields, settings, grant)
                        : read_no_account(reader, ttl_s)) &&
           read_scopes(reader, fields, &grant->scopes) &&
           read_boundary(reader, fields, &grant->boundary);
}

static bool read_grant(struct grant_reader *reader, const struct policy_grant_view *view)
{
    struct gcp_grant grant;

    return gcp_grant_read(reader, view->fields, view->ttl_s,
                          view->target ? view->target->settings : NULL, &grant);
}

static bool check_rule_keys(const struct yaml_reader *yaml, const json_t *fields)
{
    const json_t *boundary = json_object_get(fields, "boundary");
    bool is_good = true;

    for (size_t i = 0; i < json_array_size(boundary); i++)
        is_good = yaml_expect_map(yaml, json_array_get(boundary, i), rule_names) && is_good;
    return is_good;
}

void gcp_grant_check(const struct yaml_reader *yaml, const struct policy_grant_view *view)
{
    if (check_rule_keys(yaml, view->fields))
        grant_check(yaml, view, read_grant);
}

/* ---- what it gives ---- */

/* Within a boundary the roles of its rules, and nothing but storage. */
static bool add_roles(const json_t *boundary, struct arena *arena, struct policy_given *given)
{
    for (size_t i = 0; i < json_array_size(boundary); i++) {
        const json_t *value = json_object_get(json_array_get(boundary, i), "roles");
        struct texts roles;

        if (!grant_written(arena, value, &roles))
            return false;
        for (size_t k = 0; k < roles.count && k < GCP_ROLES_MAX; k++)
            if (!given_name(given, roles.list[k]))
                return false;
    }
    return true;
}

/* Else its scopes, of which one is everything that the account may. */
static bool add_scopes(const struct texts *scopes, struct policy_given *given)
{
    for (size_t i = 0; i < scopes->count; i++) {
        struct str name =
            str_slice(scopes->list[i], sizeof(GCP_SCOPE_PREFIX) - 1, scopes->list[i].len);

        given->is_everything = given->is_everything || str_eq(name, STR("cloud-platform"));
        if (!given_name(given, name))
            return false;
    }
    return true;
}

bool gcp_grant_gives(const struct policy_grant_view *view, struct arena *arena,
                     struct policy_given *given)
{
    const json_t *boundary = json_object_get(view->fields, "boundary");
    struct str email = json_str(json_object_get(view->fields, "service_account"));
    struct texts scopes;
    struct str name;

    if (email.len > 0) /* else it is the stage itself, whose subject nobody shares */
        (void)split_email(email, &name, &given->account);
    if (!grant_written(arena, json_object_get(view->fields, "scopes"), &scopes) ||
        !given_room(given, arena, json_array_size(boundary) * GCP_ROLES_MAX + scopes.count, 1) ||
        (email.len > 0 && !given_principal(given, email)))
        return false;
    return boundary ? add_roles(boundary, arena, given) : add_scopes(&scopes, given);
}
