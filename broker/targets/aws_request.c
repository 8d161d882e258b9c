/*
 * What we ask of STS, and the assertion that says who asks.
 *
 * The assertion is good for one role only (the `roles` claim), for five minutes, and names stage
 * and lease in what AWS logs: session name, source identity and session tags. Where keys ask the
 * form says the same.
 *
 * Source: STS service model 2011-06-15; IAM user guide, "Pass session tags using
 * AssumeRoleWithWebIdentity"
 */
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/id.h"
#include "base/json.h"
#include "targets/aws_internal.h"

#define RUN_IN_NAME_MAX 20
#define CLAIM_ROLES "https://aws.amazon.com/roles"
#define CLAIM_SOURCE_IDENTITY "https://aws.amazon.com/source_identity"
#define CLAIM_TAGS "https://aws.amazon.com/tags"
#define TAGS_PRINCIPAL "principal_tags"
#define TAGS_TRANSITIVE "transitive_tag_keys"

/* The session's name. */

/* At most `max` bytes of `text` and a '-'; what AWS does not take becomes '-'. */
static void add_part(struct buf *name, struct str text, size_t max)
{
    text = str_slice(text, 0, max);
    if (text.len == 0)
        return;
    for (size_t i = 0; i < text.len; i++) {
        struct str byte = str_slice(text, i, 1);

        buf_add_byte(name, str_is_made_of(byte, AWS_NAME_CHARSET) ? (uint8_t)byte.data[0] : '-');
    }
    buf_add_byte(name, '-');
}

bool aws_session_name(struct str repository, struct str run, struct str lease, struct arena *arena,
                      struct str *name)
{
    OWNED(buf_release) struct buf text = { 0 };
    size_t room = AWS_SESSION_NAME_MAX - ID_LEN - 1; /* and the '-' in front of the lease */

    if (!id_is_valid(lease))
        return false;
    buf_init(&text, AWS_SESSION_NAME_MAX);
    run = str_slice(run, 0, RUN_IN_NAME_MAX);
    add_part(&text, repository, run.len > 0 ? room - run.len - 1 : room);
    add_part(&text, run, RUN_IN_NAME_MAX);
    buf_add(&text, lease);
    *name = arena_copy(arena, buf_str(&text));
    return buf_is_ok(&text) && name->data;
}

/* What the assertion says besides. */

/* A tag's value is a list of exactly one text. */
static bool put_tag(json_t *tags, const char *name, struct str value)
{
    JSON_OWNED json_t *list = json_array();

    return json_array_append_new(list, json_from_str(value)) == 0 &&
           json_put(tags, name, json_incref(list));
}

/* One of our own tags; what AWS does not take as a tag is left out, the lease stands for it. */
static bool put_own_tag(json_t *tags, const char *name, struct str value)
{
    if (value.len == 0 || value.len > AWS_TAG_VALUE_MAX || !str_is_made_of(value, AWS_TAG_CHARSET))
        return true;
    return put_tag(tags, name, value);
}

/* Those of the transitive ones that are there: one of our own may be left out. */
static bool put_transitive(json_t *claim, const json_t *tags, const struct texts *transitive)
{
    JSON_OWNED json_t *names = json_array();

    for (size_t i = 0; i < transitive->count; i++)
        if (json_object_getn(tags, transitive->list[i].data, transitive->list[i].len) &&
            json_array_append_new(names, json_from_str(transitive->list[i])) != 0)
            return false;
    return names &&
           (json_array_size(names) == 0 || json_put(claim, TAGS_TRANSITIVE, json_incref(names)));
}

static json_t *tags_new(const struct mint *mint, const struct aws_grant *grant)
{
    JSON_OWNED json_t *claim = json_object();
    JSON_OWNED json_t *tags = json_object();
    struct str pipeline;
    struct str rest;
    const char *name;
    json_t *value;
    bool is_good = true;

    (void)str_cut(mint->stage, ':', &pipeline, &rest);
    json_object_foreach (json_iterable(grant->tags), name, value)
        is_good = is_good && put_tag(tags, name, json_str(value));
    is_good = is_good && put_own_tag(tags, AWS_TAG_STAGE, mint->stage) &&
              put_own_tag(tags, AWS_TAG_PIPELINE, pipeline) &&
              put_own_tag(tags, AWS_TAG_RUN, mint->run);
    is_good = is_good && json_put(claim, TAGS_PRINCIPAL, json_incref(tags)) &&
              put_transitive(claim, tags, &grant->transitive_tags);
    return is_good ? TAKE(claim) : NULL;
}

struct str aws_source_identity(struct str lease, struct str attempt, struct arena *arena)
{
    if (attempt.len == 0)
        return lease;
    return arena_printf(arena, STR_FMT "-" STR_FMT, STR_ARG(lease), STR_ARG(attempt));
}

static json_t *claims_new(const struct mint *mint, const struct aws_grant *grant,
                          struct str source_identity)
{
    JSON_OWNED json_t *claims = json_object();
    bool is_good = json_put(claims, CLAIM_ROLES, json_from_str(grant->role)) &&
                   json_put(claims, CLAIM_SOURCE_IDENTITY, json_from_str(source_identity)) &&
                   json_put(claims, CLAIM_TAGS, tags_new(mint, grant));

    return is_good ? TAKE(claims) : NULL;
}

/* The form. */

static void add_field(struct buf *form, const char *name, struct str value)
{
    if (form->len > 0)
        buf_add_byte(form, '&');
    buf_add_text(form, name);
    buf_add_byte(form, '=');
    buf_add_percent(form, value);
}

static void add_policy_arns(struct buf *form, const struct texts *arns)
{
    for (size_t i = 0; i < arns->count; i++) {
        buf_printf(form, "&PolicyArns.member.%zu.arn=", i + 1);
        buf_add_percent(form, arns->list[i]);
    }
}

static void add_tags(struct buf *form, const json_t *claim)
{
    const json_t *transitive = json_object_get(claim, TAGS_TRANSITIVE);
    const char *name;
    json_t *value;
    size_t i = 0;

    json_object_foreach (json_iterable(json_object_get(claim, TAGS_PRINCIPAL)), name, value) {
        buf_printf(form, "&Tags.member.%zu.Key=", ++i);
        buf_add_percent(form, str_from(name));
        buf_printf(form, "&Tags.member.%zu.Value=", i);
        buf_add_percent(form, json_str(json_array_get(value, 0)));
    }
    for (i = 0; i < json_array_size(transitive); i++) {
        buf_printf(form, "&TransitiveTagKeys.member.%zu=", i + 1);
        buf_add_percent(form, json_str(json_array_get(transitive, i)));
    }
}

void aws_form_write(const struct aws_grant *grant, const struct aws_request *request,
                    struct str token, struct buf *form)
{
    bool is_web_identity = request->action == AWS_STS_WEB_IDENTITY;

    add_field(form, "Action",
              is_web_identity ? STR("AssumeRoleWithWebIdentity") : STR("AssumeRole"));
    add_field(form, "Version", STR("2011-06-15"));
    add_field(form, "RoleArn", grant->role);
    add_field(form, "RoleSessionName", request->session);
    buf_printf(form, "&DurationSeconds=%" PRId64, request->ttl_s);
    if (grant->policy.len > 0)
        add_field(form, "Policy", grant->policy);
    add_policy_arns(form, &grant->policy_arns);
    if (is_web_identity) {
        add_field(form, "WebIdentityToken", token);
        return;
    }
    if (request->source_identity.len > 0)
        add_field(form, "SourceIdentity", request->source_identity);
    if (request->external_id.len > 0)
        add_field(form, "ExternalId", request->external_id);
    add_tags(form, request->tags);
}

enum aws_sts_action aws_sts_action_of(const struct aws_settings *settings)
{
    return settings->credentials_file ? AWS_STS_ROLE : AWS_STS_WEB_IDENTITY;
}

struct str aws_session_arn(const struct aws_grant *grant, struct str session, struct arena *arena)
{
    return arena_printf(arena, "arn:" STR_FMT ":sts::" STR_FMT ":assumed-role/" STR_FMT "/" STR_FMT,
                        STR_ARG(grant->partition), STR_ARG(grant->account),
                        STR_ARG(grant->role_name), STR_ARG(session));
}

bool aws_request_build(const struct mint *mint, const struct aws_settings *settings,
                       const struct aws_grant *grant, struct aws_request *request, json_t **claims,
                       struct error *error)
{
    *request = (struct aws_request){
        .action = aws_sts_action_of(settings),
        .audience = settings->audience,
        .subject = mint->stage,
        .source_identity = aws_source_identity(mint->lease, mint->attempt, mint->arena),
        .external_id = settings->external_id,
        .now_s = mint->now_s,
        .ttl_s = mint->ttl_s,
    };
    if (mint->ttl_s < AWS_TTL_MIN_S || mint->ttl_s > AWS_TTL_MAX_S)
        return error_set(error, ERROR_MINT, "AWS gives credentials of %d to %d s, not %" PRId64,
                         AWS_TTL_MIN_S, AWS_TTL_MAX_S, mint->ttl_s);
    if (request->action == AWS_STS_WEB_IDENTITY && mint->stage.len < AWS_SUBJECT_MIN)
        return error_set(error, ERROR_MINT, "AWS takes no subject of less than %d characters",
                         AWS_SUBJECT_MIN);
    if (!aws_session_name(mint->repository, mint->run, mint->lease, mint->arena, &request->session))
        return error_set(error, ERROR_MEMORY, "no memory for a session's name");
    request->assumed_role = aws_session_arn(grant, request->session, mint->arena);
    *claims = claims_new(mint, grant, request->source_identity);
    request->tags = json_object_get(*claims, CLAIM_TAGS);
    if (!request->assumed_role.data || !request->source_identity.data || !*claims) {
        json_decref(*claims);
        return error_set(error, ERROR_MEMORY, "no memory for a request to STS");
    }
    return json_keep(mint->arena, *claims, error);
}
