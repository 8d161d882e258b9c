/*
 * A grant for a role in AWS, and the session policy that narrows it.
 *
 * The same reader serves the load and each mint. At load every open hole counts as 64 bytes, so a
 * policy that fits then fits whatever fills it.
 */
#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "base/utf8.h"
#include "targets/aws_internal.h"

#define STATEMENTS_MAX 32
#define OPERATOR_IP "IpAddress"
#define KEY_SOURCE_IP "aws:SourceIp"
#define LAST_POLICY_CHARACTER 0xff

static const struct text_limits role_limits = { "role", AWS_NAME_CHARSET ":/", 2048, 1 };
static const struct text_limits action_limits = { "actions", LETTERS_AND_DIGITS ":*?-", 256, 128 };
static const struct text_limits resource_limits = { "resources", NULL, AWS_POLICY_MAX, 128 };
static const struct text_limits condition_limits = { "conditions", NULL, 1024, 64 };
static const struct text_limits policy_arn_limits = { "policy_arns", AWS_NAME_CHARSET ":/", 2048,
                                                      AWS_POLICY_ARNS_MAX };
static const struct text_limits transitive_limits = { "transitive_tags", AWS_TAG_CHARSET,
                                                      AWS_TAG_KEY_MAX, AWS_TAGS_MAX };
static const struct text_limits tag_limits = { "tags", AWS_TAG_CHARSET, AWS_TAG_VALUE_MAX, 1 };

#define ROLE_NAME_MAX 64
#define ROLE_PATH_MAX 512
#define OPERATOR_CHARSET LETTERS_AND_DIGITS ":"
#define CONDITION_KEY_CHARSET LETTERS_AND_DIGITS " :/_.-@+="
#define CONDITION_NAME_MAX 256

static const char *const partitions[] = { "aws", "aws-cn", "aws-us-gov" };
static const char *const own_tags[AWS_OWN_TAGS] = { AWS_TAG_STAGE, AWS_TAG_PIPELINE, AWS_TAG_RUN };
static const char *const statement_names[] = { "actions", "resources", "conditions", NULL };

/* ARNs. */

/* What stands behind "arn:PARTITION:iam::ACCOUNT:". */
struct iam_arn {
    struct str partition;
    struct str account;
    struct str resource;
};

static bool is_partition(struct str text)
{
    for (size_t i = 0; i < COUNT(partitions); i++)
        if (str_eq(text, str_from(partitions[i])))
            return true;
    return false;
}

static bool split_arn(struct str text, struct iam_arn *arn)
{
    struct str head;

    return str_cut(text, ':', &head, &text) && str_eq(head, STR("arn")) &&
           str_cut(text, ':', &arn->partition, &text) && is_partition(arn->partition) &&
           str_cut(text, ':', &head, &text) && str_eq(head, STR("iam")) &&
           str_cut(text, ':', &head, &text) && head.len == 0 &&
           str_cut(text, ':', &arn->account, &arn->resource) &&
           str_find(arn->resource, ':') == arn->resource.len;
}

static bool is_account(struct str text)
{
    return text.len == 12 && str_is_made_of(text, "0123456789");
}

/* "a/b/c": each part has a name. */
static bool is_path(struct str text)
{
    bool has_more = true;

    while (has_more) {
        struct str part;

        has_more = str_cut(text, '/', &part, &text);
        if (part.len == 0)
            return false;
    }
    return true;
}

/* "role/PATH/NAME" */
static bool split_role(struct str resource, struct str *name)
{
    struct str prefix;
    size_t start;

    if (!str_cut(resource, '/', &prefix, &resource) || !str_eq(prefix, STR("role")) ||
        !is_path(resource))
        return false;
    start = resource.len;
    while (start > 0 && resource.data[start - 1] != '/')
        start--;
    *name = str_slice(resource, start, resource.len);
    return start <= ROLE_PATH_MAX;
}

bool aws_role_split(struct str role, struct aws_grant *grant)
{
    struct iam_arn arn;

    if (!split_arn(role, &arn) || !is_account(arn.account) ||
        !split_role(arn.resource, &grant->role_name))
        return false;
    grant->role = role;
    grant->partition = arn.partition;
    grant->account = arn.account;
    return true;
}

static bool read_role(struct grant_reader *reader, const json_t *fields,
                      const struct aws_settings *settings, struct aws_grant *grant)
{
    const json_t *value = json_object_get(fields, "role");

    if (!value)
        return grant_fault(reader, fields, "an aws grant needs a 'role'");
    if (!grant_text(reader, value, &role_limits, &grant->role))
        return false;
    if (!aws_role_split(grant->role, grant))
        return grant_fault(reader, value,
                           "expected a role's ARN: arn:aws:iam::111122223333:role/NAME");
    /* At load a hole's worst would forbid every role with one; what is filled in is short. */
    if (grant->role_name.len > ROLE_NAME_MAX && !grant_has_hole(value))
        return grant_fault(reader, value, "a role's name has at most %d characters", ROLE_NAME_MAX);
    if (settings && !texts_contain(&settings->accounts, grant->account))
        return grant_fault(reader, value, "the account " STR_FMT " is not one of the target's",
                           STR_ARG(grant->account));
    if (settings && str_eq_ignore_case(grant->role_name, settings->revoker_role))
        return grant_fault(reader, value, "the broker's own 'revoker_role' is nobody else's");
    return true;
}

static bool read_policy_arns(struct grant_reader *reader, const json_t *fields,
                             struct aws_grant *grant)
{
    const json_t *value = json_object_get(fields, "policy_arns");
    struct iam_arn arn;

    if (!value)
        return true;
    if (!grant_texts(reader, value, &policy_arn_limits, &grant->policy_arns))
        return false;
    for (size_t i = 0; i < grant->policy_arns.count; i++) {
        const json_t *item = json_is_array(value) ? json_array_get(value, i) : value;

        if (!split_arn(grant->policy_arns.list[i], &arn) ||
            !str_starts_with(arn.resource, STR("policy/")) ||
            !is_path(str_slice(arn.resource, strlen("policy/"), arn.resource.len)))
            return grant_fault(reader, item,
                               "expected a managed policy's ARN: arn:aws:iam::aws:policy/NAME");
        if (!str_eq(arn.partition, grant->partition) ||
            (!str_eq(arn.account, STR("aws")) && !str_eq(arn.account, grant->account)))
            return grant_fault(reader, item,
                               "a managed policy must be AWS's own or in the role's "
                               "account");
    }
    return true;
}

/* The session policy. */

static bool add_text(json_t *list, struct str text)
{
    return json_array_append_new(list, json_from_str(text)) == 0;
}

/* One text or several, as a JSON array; NULL with a fault. */
static json_t *texts_to_json(struct grant_reader *reader, const json_t *value,
                             const struct text_limits *limits)
{
    JSON_OWNED json_t *list = json_array();
    struct texts texts;

    if (!grant_texts(reader, value, limits, &texts))
        return NULL;
    for (size_t i = 0; i < texts.count; i++) {
        if (!add_text(list, texts.list[i])) {
            (void)grant_fault(reader, value, "no memory for '%s'", limits->name);
            return NULL;
        }
    }
    return TAKE(list);
}

/* "SERVICE:NAME" with wildcards in the name only, or everything. */
static bool is_action(struct str text)
{
    struct str service;
    struct str name;

    if (str_eq(text, STR("*")))
        return true;
    return str_cut(text, ':', &service, &name) && service.len > 0 && name.len > 0 &&
           str_is_made_of(service, LETTERS_AND_DIGITS "-") &&
           str_is_made_of(name, LETTERS_AND_DIGITS "*?");
}

static json_t *read_actions(struct grant_reader *reader, const json_t *statement)
{
    const json_t *value = json_object_get(statement, "actions");
    JSON_OWNED json_t *list = NULL;

    if (!value) {
        (void)grant_fault(reader, statement, "a statement needs 'actions'");
        return NULL;
    }
    list = texts_to_json(reader, value, &action_limits);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *written = json_is_array(value) ? json_array_get(value, i) : value;

        if (is_action(json_str(json_array_get(list, i))) && !grant_has_hole(written))
            continue;
        (void)grant_fault(reader, written,
                          "expected an action such as 's3:PutObject', without holes");
        return NULL;
    }
    return TAKE(list);
}

static json_t *read_resources(struct grant_reader *reader, const json_t *statement)
{
    const json_t *value = json_object_get(statement, "resources");
    JSON_OWNED json_t *list = NULL;

    if (!value) {
        (void)grant_fault(reader, statement, "a statement needs 'resources'");
        return NULL;
    }
    list = texts_to_json(reader, value, &resource_limits);
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct str text = json_str(json_array_get(list, i));

        if (str_eq(text, STR("*")) || str_starts_with(text, STR("arn:")))
            continue;
        (void)grant_fault(reader, value, "expected resources: ARNs or '*'");
        return NULL;
    }
    return TAKE(list);
}

static bool is_condition_name(const char *name, const char *charset)
{
    struct str text = str_from(name);

    return text.len > 0 && text.len <= CONDITION_NAME_MAX && str_is_made_of(text, charset);
}

/* {KEY: one text or several}, keys of one operator. */
static json_t *read_operator(struct grant_reader *reader, const json_t *written)
{
    JSON_OWNED json_t *keys = json_object();
    const char *key;
    json_t *value;

    if (!json_is_object(written) || json_object_size(written) == 0) {
        (void)grant_fault(reader, written, "a condition is {OPERATOR: {KEY: value}}");
        return NULL;
    }
    json_object_foreach (json_iterable(written), key, value) {
        json_t *list = NULL;

        if (is_condition_name(key, CONDITION_KEY_CHARSET))
            list = texts_to_json(reader, value, &condition_limits);
        else
            (void)grant_fault(reader, value, "not a condition key");
        if (!json_put(keys, key, list)) {
            (void)grant_fault(reader, value, "no memory for 'conditions'");
            return NULL;
        }
    }
    return TAKE(keys);
}

static bool read_conditions(struct grant_reader *reader, const json_t *statement, json_t *out)
{
    const json_t *written = json_object_get(statement, "conditions");
    const char *operator;
    json_t *value;

    if (written && (!json_is_object(written) || json_object_size(written) == 0))
        return grant_fault(reader, written, "a condition is {OPERATOR: {KEY: value}}");
    json_object_foreach (json_iterable(written), operator, value) {
        json_t *keys = NULL;

        if (!is_condition_name(operator, OPERATOR_CHARSET))
            return grant_fault(reader, value, "not a condition operator");
        keys = read_operator(reader, value);
        if (!json_put(out, operator, keys))
            return grant_fault(reader, value, "no memory for 'conditions'");
    }
    return true;
}

static bool names_source_ip(const json_t *keys)
{
    const char *key;
    json_t *value;

    json_object_foreach (json_iterable(keys), key, value)
        if (str_eq_ignore_case(str_from(key), STR(KEY_SOURCE_IP)))
            return true;
    return false;
}

/* Have a statement hold for one address only; two values of one key would mean "one of them". */
static bool pin(struct grant_reader *reader, const json_t *statement, const struct address *address,
                json_t *conditions)
{
    json_t *keys = json_object_get(conditions, OPERATOR_IP);
    char text[ADDRESS_TEXT_MAX];
    JSON_OWNED json_t *value = NULL;

    if (names_source_ip(keys))
        return grant_fault(reader, statement,
                           "'pin_address' and a condition on " KEY_SOURCE_IP " exclude each other");
    if (!keys) {
        keys = json_object();
        if (!json_put(conditions, OPERATOR_IP, keys))
            return grant_fault(reader, statement, "no memory for 'pin_address'");
    }
    address_text(address, text);
    value = json_sprintf("%s/%d", text, address->len * 8);
    if (!json_put(keys, KEY_SOURCE_IP, json_incref(value)))
        return grant_fault(reader, statement, "no memory for 'pin_address'");
    return true;
}

static json_t *read_statement(struct grant_reader *reader, const json_t *written,
                              const struct address *pinned)
{
    JSON_OWNED json_t *statement = json_object();
    JSON_OWNED json_t *conditions = json_object();

    if (!json_is_object(written)) {
        (void)grant_fault(reader, written, "a statement is {actions: [...], resources: [...]}");
        return NULL;
    }
    if (!json_put(statement, "Action", read_actions(reader, written)) ||
        !json_put(statement, "Resource", read_resources(reader, written)) ||
        !json_put(statement, "Effect", json_string("Allow")) ||
        !read_conditions(reader, written, conditions) ||
        (pinned && !pin(reader, written, pinned, conditions)) ||
        (json_object_size(conditions) > 0 &&
         !json_put(statement, "Condition", json_incref(conditions)))) {
        (void)grant_fault(reader, written, "no memory for a statement");
        return NULL;
    }
    return TAKE(statement);
}

/* AWS counts characters, and takes none above U+00FF. */
static bool check_policy_text(struct grant_reader *reader, const json_t *at, struct str text)
{
    uint32_t character;
    size_t count = 0;

    for (struct str rest = text; rest.len > 0; count++)
        if (!utf8_take(&rest, &character) || character > LAST_POLICY_CHARACTER)
            return grant_fault(reader, at,
                               "AWS takes no character above U+00FF in a session policy");
    if (count > AWS_POLICY_MAX)
        return grant_fault(reader, at, "the session policy has %zu characters, AWS takes %d%s",
                           count, AWS_POLICY_MAX,
                           reader->has_open_holes ? " (holes counted at their longest)" : "");
    return true;
}

static bool write_policy(struct grant_reader *reader, const json_t *at, const json_t *statements,
                         struct str *text)
{
    JSON_OWNED json_t *policy = json_object();

    if (!json_put(policy, "Version", json_string("2012-10-17")) ||
        !json_put(policy, "Statement", json_incref(json_iterable(statements))))
        return grant_fault(reader, at, "no memory for a session policy");
    *text = json_text(reader->arena, policy);
    return (text->data || grant_fault(reader, at, "no memory for a session policy")) &&
           check_policy_text(reader, at, *text);
}

static bool read_allow(struct grant_reader *reader, const json_t *fields,
                       const struct address *pinned, struct str *policy)
{
    const json_t *allow = json_object_get(fields, "allow");
    JSON_OWNED json_t *statements = json_array();

    if (!allow)
        return true;
    if (!json_is_array(allow) || json_array_size(allow) == 0 ||
        json_array_size(allow) > STATEMENTS_MAX)
        return grant_fault(reader, allow, "'allow' must be a list of 1 to %d statements",
                           STATEMENTS_MAX);
    for (size_t i = 0; i < json_array_size(allow); i++) {
        const json_t *written = json_array_get(allow, i);
        json_t *statement = read_statement(reader, written, pinned);

        if (json_array_append_new(statements, statement) != 0)
            return grant_fault(reader, written, "no memory for 'allow'");
    }
    return write_policy(reader, allow, statements, policy);
}

/* The rest. */

static bool check_tag_name(struct grant_reader *reader, const json_t *value, struct str name)
{
    if (name.len == 0 || name.len > AWS_TAG_KEY_MAX || !str_is_made_of(name, AWS_TAG_CHARSET) ||
        str_starts_with(name, STR("${")))
        return grant_fault(reader, value,
                           "a tag's name has 1 to %d of: letters, digits, space, "
                           "_.:/=+-@",
                           AWS_TAG_KEY_MAX);
    if (str_eq_ignore_case(str_slice(name, 0, strlen("aws:")), STR("aws:")))
        return grant_fault(reader, value, "tags that start with 'aws:' are AWS's own");
    for (size_t i = 0; i < AWS_OWN_TAGS; i++)
        if (str_eq_ignore_case(name, str_from(own_tags[i])))
            return grant_fault(reader, value, "'%s' is a tag that the broker sets", own_tags[i]);
    return true;
}

/* AWS compares the names of tags without case. */
static bool has_twin(const json_t *tags, const char *name)
{
    const char *other;
    json_t *value;

    json_object_foreach (json_iterable(tags), other, value)
        if (strcmp(other, name) != 0 && str_eq_ignore_case(str_from(other), str_from(name)))
            return true;
    return false;
}

static bool read_tags(struct grant_reader *reader, const json_t *fields, struct aws_grant *grant)
{
    const json_t *tags = json_object_get(fields, "tags");
    const char *name;
    json_t *value;
    struct str text;

    if (!tags)
        return true;
    if (!json_is_object(tags) || json_object_size(tags) > AWS_TAGS_MAX - AWS_OWN_TAGS)
        return grant_fault(reader, tags, "'tags' must be a map of at most %d texts",
                           AWS_TAGS_MAX - AWS_OWN_TAGS);
    json_object_foreach (json_iterable(tags), name, value) {
        if (!check_tag_name(reader, value, str_from(name)) ||
            !grant_text(reader, value, &tag_limits, &text))
            return false;
        if (has_twin(tags, name))
            return grant_fault(reader, value, "two tags whose names differ in case only");
    }
    grant->tags = tags;
    return true;
}

static bool is_own_tag(struct str name)
{
    for (size_t i = 0; i < AWS_OWN_TAGS; i++)
        if (str_eq(name, str_from(own_tags[i])))
            return true;
    return false;
}

/* Tags that stay where the session assumes another role. */
static bool read_transitive(struct grant_reader *reader, const json_t *fields,
                            struct aws_grant *grant)
{
    const json_t *value = json_object_get(fields, "transitive_tags");

    if (!value)
        return true;
    if (!grant_texts(reader, value, &transitive_limits, &grant->transitive_tags))
        return false;
    for (size_t i = 0; i < grant->transitive_tags.count; i++) {
        struct str name = grant->transitive_tags.list[i];

        if (!is_own_tag(name) && !json_object_getn(grant->tags, name.data, name.len))
            return grant_fault(reader, grant_item(value, i),
                               "'" STR_FMT "' is no tag: neither one of 'tags', nor stage, "
                               "pipeline or run",
                               STR_ARG(str_slice(name, 0, 40)));
    }
    return true;
}

/* A pinned grant is pinned as a whole: nothing in it may come without the condition. */
static bool check_pin(struct grant_reader *reader, const json_t *fields,
                      const struct aws_grant *grant, const struct address *address)
{
    const json_t *at = json_object_get(fields, "pin_address");

    if (!grant->pins_address)
        return true;
    if (!json_object_get(fields, "allow"))
        return grant_fault(reader, at,
                           "'pin_address' needs 'allow': the address is a condition of "
                           "its statements");
    if (json_object_get(fields, "policy_arns"))
        return grant_fault(reader, at,
                           "'pin_address' and 'policy_arns' exclude each other: a "
                           "managed policy has no such condition");
    if (!address || address->len == 0)
        return grant_fault(reader, at, "the request's address is not known");
    return true;
}

bool aws_grant_read(struct grant_reader *reader, const json_t *fields,
                    const struct aws_settings *settings, const struct address *address,
                    struct aws_grant *grant)
{
    *grant = (struct aws_grant){ 0 };
    return grant_flag(reader, fields, "pin_address", &grant->pins_address) &&
           check_pin(reader, fields, grant, address) &&
           read_role(reader, fields, settings, grant) &&
           read_allow(reader, fields, grant->pins_address ? address : NULL, &grant->policy) &&
           read_policy_arns(reader, fields, grant) && read_tags(reader, fields, grant) &&
           read_transitive(reader, fields, grant);
}

/* What it gives. */

static bool add_actions(const json_t *statement, struct arena *arena, struct str *names, size_t max,
                        size_t *count)
{
    struct texts actions;

    if (!grant_written(arena, json_object_get(statement, "actions"), &actions))
        return false;
    for (size_t i = 0; i < actions.count && *count < max; i++)
        names[(*count)++] = actions.list[i];
    return true;
}

static bool list_actions(const json_t *allow, struct arena *arena, struct policy_given *given)
{
    size_t max = 0;

    for (size_t i = 0; i < json_array_size(allow); i++) {
        const json_t *actions = json_object_get(json_array_get(allow, i), "actions");

        max += json_is_array(actions) ? json_array_size(actions) : 1;
    }
    given->names = arena_alloc_array(arena, max + 1, sizeof(*given->names));
    for (size_t i = 0; given->names != NULL && i < json_array_size(allow); i++)
        if (!add_actions(json_array_get(allow, i), arena, given->names, max, &given->name_count))
            return false;
    return given->names != NULL;
}

bool aws_grant_gives(const struct policy_grant_view *view, struct arena *arena,
                     struct policy_given *given)
{
    struct str role = json_str(json_object_get(view->fields, "role"));
    const json_t *allow = json_object_get(view->fields, "allow");
    struct iam_arn arn;

    given->principals = arena_alloc_array(arena, 1, sizeof(*given->principals));
    if (given->principals == NULL)
        return false;
    given->principals[given->principal_count++] = role;
    if (split_arn(role, &arn))
        given->account = arn.account;
    given->is_everything = allow == NULL || json_object_get(view->fields, "policy_arns") != NULL;
    return given->is_everything || list_actions(allow, arena, given);
}

/* At load. */

static bool check_statement_keys(const struct yaml_reader *yaml, const json_t *fields)
{
    const json_t *allow = json_object_get(fields, "allow");
    bool is_good = true;

    for (size_t i = 0; i < json_array_size(allow); i++)
        if (!yaml_expect_map(yaml, json_array_get(allow, i), statement_names))
            is_good = false;
    return is_good;
}

/* As far as is known: what a role's own keys ask for lives an hour at most. */
static void check_chain(const struct yaml_reader *yaml, const struct policy_grant_view *view,
                        const struct aws_settings *settings)
{
    if (settings && settings->is_chained && view->ttl_s > AWS_CHAINED_TTL_MAX_S)
        (void)yaml_complain(yaml, view->fields,
                            "the target's 'credentials_file' holds a session's keys: AWS gives "
                            "what they ask for an hour at most, 'ttl' is %" PRId64 " s",
                            view->ttl_s);
}

void aws_grant_check(const struct yaml_reader *yaml, const struct policy_grant_view *view)
{
    OWNED(arena_free) struct arena *arena = arena_new(GRANT_MEMORY_MAX);
    const struct aws_settings *settings = view->target ? view->target->settings : NULL;
    struct grant_reader reader = { .arena = arena, .has_open_holes = true };
    struct address longest = { .len = 16 };
    struct aws_grant grant;

    memset(longest.bytes, 0xff, sizeof(longest.bytes));
    if (!arena)
        (void)yaml_complain(yaml, view->fields, "no memory to check a grant");
    else if (check_statement_keys(yaml, view->fields) &&
             !aws_grant_read(&reader, view->fields, settings, &longest, &grant))
        grant_report(yaml, view->fields, &reader);
    check_chain(yaml, view, settings);
}
