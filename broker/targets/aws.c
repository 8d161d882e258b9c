/*
 * Credentials of an AWS role, by AssumeRoleWithWebIdentity: the broker is an identity provider that
 * the account trusts, and signs an assertion for one role and one lease. Or, where the target has
 * `credentials_file`, by AssumeRole, signed with these keys.
 *
 * A mint is entered twice, and once more where a worker signs. First it sends the request and
 * waits; then the answer is held against what was asked. From the moment of sending until an answer
 * says otherwise the credential may exist.
 */
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "targets/aws_credentials.h"
#include "targets/aws_internal.h"
#include "targets/aws_sts.h"
#include "targets/remote_call.h"

#define AUDIENCE_DEFAULT "sts.amazonaws.com"
#define REGION_MAX 32
#define EXTERNAL_ID_MIN 2
#define EXTERNAL_ID_MAX 1224
#define PACKED_WARNING_PERCENT 80 /* what is packed cannot be told before */
#define CREDENTIALS_MEMORY_MAX ((size_t)64 * 1024)

static const char *const settings[] = {
    "region",       "accounts",         "endpoint",       "audience", "algorithm",
    "ca",           "allow_http",       "allow_networks", "revoke",   "revoker_role",
    "iam_endpoint", "credentials_file", "external_id",    NULL
};

static const char *const own_settings[] = {
    "endpoint",       "iam_endpoint",     "ca",          "allow_http",
    "allow_networks", "credentials_file", "external_id", NULL
};

static const struct text_limits external_id_limits = { "external_id",
                                                       LETTERS_AND_DIGITS "_+=,.@:/-",
                                                       EXTERNAL_ID_MAX, 1 };
static const struct text_limits revoker_limits = { "revoker_role", AWS_NAME_CHARSET, 64, 1 };

/* The target. */

static bool read_region(const struct yaml_reader *reader, const json_t *node,
                        struct aws_settings *own)
{
    if (!yaml_require(reader, node, "region") ||
        !yaml_get_str(reader, node, "region", &own->region))
        return false;
    if (own->region.len > 0 && own->region.len <= REGION_MAX &&
        str_is_made_of(own->region, "abcdefghijklmnopqrstuvwxyz0123456789-"))
        return true;
    return yaml_complain(reader, json_object_get(node, "region"),
                         "expected a region such as eu-central-1");
}

static bool read_accounts(const struct yaml_reader *reader, const json_t *node,
                          struct aws_settings *own)
{
    const json_t *value = json_object_get(node, "accounts");
    struct str *list;

    if (!yaml_require(reader, node, "accounts") ||
        !yaml_get_strs(reader, node, "accounts", &list, &own->accounts.count))
        return false;
    own->accounts.list = list;
    if (own->accounts.count == 0)
        return yaml_complain(reader, value, "a target without accounts can give nothing");
    for (size_t i = 0; i < own->accounts.count; i++)
        if (list[i].len != 12 || !str_is_made_of(list[i], "0123456789"))
            return yaml_complain_hint(reader, value, STR("write it in quotes: [\"111122223333\"]"),
                                      "an account has 12 digits");
    return true;
}

/* STS of the region, in China's partition under its own domain. */
static struct str default_endpoint(struct str region, struct arena *arena)
{
    return arena_printf(arena, "https://sts." STR_FMT ".amazonaws.com%s", STR_ARG(region),
                        str_starts_with(region, STR("cn-")) ? ".cn" : "");
}

static bool read_endpoint(const struct yaml_reader *reader, const json_t *node,
                          struct aws_settings *own)
{
    own->endpoint = default_endpoint(own->region, reader->arena);
    if (!own->endpoint.data)
        return yaml_complain(reader, node, "no memory for a target");
    return setting_peer(reader, node, &own->peer) &&
           setting_endpoint(reader, node, "endpoint", &own->peer, &own->endpoint);
}

static bool read_audience(const struct yaml_reader *reader, const json_t *node,
                          struct aws_settings *own)
{
    own->audience = STR(AUDIENCE_DEFAULT);
    if (!yaml_get_str(reader, node, "audience", &own->audience) ||
        (own->audience.len > 0 && own->audience.len <= 255))
        return true;
    return yaml_complain(reader, json_object_get(node, "audience"),
                         "an audience has 1 to 255 bytes");
}

/* Requests to it are signed as ones for its root. */
static bool check_is_root(const struct yaml_reader *reader, const json_t *node, const char *key,
                          struct str url)
{
    struct str host = str_slice(url, str_find(url, '/') + strlen("//"), url.len);

    return str_find(host, '/') == host.len ||
           yaml_complain(reader, json_object_get(node, key), "expected a URL without a path");
}

static bool read_iam_endpoint(const struct yaml_reader *reader, const json_t *node,
                              struct aws_settings *own)
{
    return setting_endpoint(reader, node, "iam_endpoint", &own->peer, &own->iam_endpoint) &&
           check_is_root(reader, node, "iam_endpoint", own->iam_endpoint);
}

/* A start says what is wrong with them; whoever only checks may not read them. */
static bool are_chained(const char *path)
{
    OWNED(arena_free) struct arena *arena = arena_new(CREDENTIALS_MEMORY_MAX);
    struct error error = { 0 };
    struct aws_keys keys;

    return arena && aws_credentials_read(path, arena, &keys, &error) && keys.session_token.len > 0;
}

/* By which an account of others knows for whom the keys ask. AWS has none for web identity. */
static bool read_external_id(const struct yaml_reader *reader, const json_t *node,
                             struct aws_settings *own)
{
    const json_t *value = json_object_get(node, "external_id");

    if (!setting_text(reader, node, &external_id_limits, &own->external_id))
        return false;
    if (value && !own->credentials_file)
        return yaml_complain(reader, value, "'external_id' is for 'credentials_file' only");
    return !value || own->external_id.len >= EXTERNAL_ID_MIN ||
           yaml_complain(reader, value, "'external_id' has at least %d characters",
                         EXTERNAL_ID_MIN);
}

/* Where keys ask there is no token that could say anything. */
static bool read_credentials(const struct yaml_reader *reader, const json_t *node,
                             struct aws_settings *own)
{
    static const char *const of_tokens[] = { "audience", "algorithm" };

    if (!setting_file(reader, node, "credentials_file", &own->credentials_file) ||
        !read_external_id(reader, node, own))
        return false;
    if (!own->credentials_file)
        return true;
    for (size_t i = 0; i < COUNT(of_tokens); i++)
        if (json_object_get(node, of_tokens[i]))
            return yaml_complain(reader, json_object_get(node, of_tokens[i]),
                                 "'%s' is of web identity: with 'credentials_file' AWS gets no "
                                 "token",
                                 of_tokens[i]);
    own->is_chained = are_chained(own->credentials_file);
    return check_is_root(reader, node, "endpoint", own->endpoint);
}

/* How sessions are ended before they expire, if at all. */
static bool read_revoker(const struct yaml_reader *reader, const json_t *node,
                         struct aws_settings *own)
{
    static const char *const ways[] = { "role_policy", NULL };
    const json_t *revoke = json_object_get(node, "revoke");
    size_t way;

    if ((revoke && !yaml_get_choice(reader, node, "revoke", ways, &way)) ||
        !setting_text(reader, node, &revoker_limits, &own->revoker_role))
        return false;
    if (!revoke != (own->revoker_role.len == 0))
        return yaml_complain(reader, node, "'revoke: role_policy' and 'revoker_role' go together");
    if (!revoke && json_object_get(node, "iam_endpoint"))
        return yaml_complain(reader, json_object_get(node, "iam_endpoint"),
                             "IAM is asked only with 'revoke: role_policy'");
    return read_iam_endpoint(reader, node, own);
}

static bool configure(const struct yaml_reader *reader, const json_t *node, struct target *target)
{
    struct aws_settings *own = target->settings;
    bool is_good;

    is_good = read_region(reader, node, own);
    is_good = read_accounts(reader, node, own) && is_good;
    is_good = read_endpoint(reader, node, own) && is_good;
    is_good = read_audience(reader, node, own) && is_good;
    is_good = read_revoker(reader, node, own) && is_good;
    is_good = read_credentials(reader, node, own) && is_good;
    return stage_token_setting(reader, node, &own->algorithm) && is_good;
}

static bool start(struct target *target, const struct target_tools *tools, struct error *error)
{
    const struct aws_settings *own = target->settings;
    OWNED(arena_free) struct arena *arena = arena_new(CREDENTIALS_MEMORY_MAX);
    struct aws_keys keys;

    if (!own->credentials_file)
        return stage_token_start(tools, own->algorithm, error);
    if (!arena)
        return error_set(error, ERROR_MEMORY, "no memory for keys");
    return aws_credentials_read(own->credentials_file, arena, &keys, error);
}

/* A mint under way: an assertion is signed, unless keys ask; then STS is asked. */
struct aws_state {
    struct aws_grant grant;
    struct aws_request request;
    json_t *claims; /* of the assertion, besides; goes with the arena */
    struct stage_signing *signing;
    struct remote_call *call; /* NULL: not asked yet */
};

static struct aws_state *state_new(struct mint *mint, struct error *error)
{
    struct grant_reader reader = { .arena = mint->arena };
    struct aws_state *state = arena_alloc(mint->arena, sizeof(*state));

    if (!state)
        (void)error_set(error, ERROR_MEMORY, "no memory for a request to STS");
    else if (!aws_grant_read(&reader, mint->fields, mint->target->settings, mint->address,
                             &state->grant))
        (void)grant_error(&reader, error);
    else if (aws_request_build(mint, mint->target->settings, &state->grant, &state->request,
                               &state->claims, error))
        return state;
    return NULL;
}

/* What is known before the answer: enough to find, and to deny, a session that may exist. */
static bool put_session(struct mint *mint, struct str session, struct str role, struct error *error)
{
    JSON_OWNED json_t *record = json_object();

    if (!json_put(record, "session", json_from_str(session)) ||
        !json_put(record, "role", json_from_str(role)))
        return error_set(error, ERROR_MEMORY, "no memory for a record");
    mint->record = TAKE(record);
    return true;
}

static bool aws_intend(struct mint *mint, struct error *error)
{
    struct grant_reader reader = { .arena = mint->arena };
    struct aws_grant grant;
    struct str session;

    if (!aws_grant_read(&reader, mint->fields, mint->target->settings, mint->address, &grant))
        return grant_error(&reader, error);
    if (!aws_session_name(mint->repository, mint->run, mint->lease, mint->arena, &session))
        return error_set(error, ERROR_MEMORY, "no memory for a session's name");
    return put_session(mint, session, grant.role, error);
}

static bool ask(struct mint *mint, struct aws_state *state, struct str token, struct error *error)
{
    const struct aws_question question = {
        .settings = mint->target->settings,
        .grant = &state->grant,
        .request = &state->request,
        .token = token,
        .arena = mint->arena,
    };
    OWNED(buf_release) struct buf form = { 0 };
    struct remote_request request;

    if (!aws_sts_ask(&question, &form, &request, error))
        return false;
    if (!mint->record && !put_session(mint, state->request.session, state->grant.role, error))
        return false;
    return remote_call_mint(mint, &request, &state->call, error);
}

/* The assertion, and with it the question. */
static enum progress sign_and_ask(struct mint *mint, struct aws_state *state, struct error *error)
{
    const struct aws_settings *own = mint->target->settings;
    const struct stage_token wanted = {
        .audience = own->audience,
        .algorithm = own->algorithm,
        .claims = state->claims,
    };
    struct str token = { 0 };
    enum progress progress = PROGRESS_DONE;

    if (state->request.action == AWS_STS_WEB_IDENTITY)
        progress = stage_token_sign(mint, &wanted, &state->signing, &token, error);
    if (progress != PROGRESS_DONE)
        return progress;
    return ask(mint, state, token, error) ? PROGRESS_WAIT : PROGRESS_FAILED;
}

/* The answer. */

static bool put_packed_size(struct mint *mint, struct str text)
{
    int64_t percent;

    if (!text.data || !str_to_int64(text, &percent) || percent < 0 || percent > 100)
        return true;
    if (percent >= PACKED_WARNING_PERCENT) {
        struct log_line line;

        log_begin(&line, LOG_LEVEL_WARN, "target.session_policy_nearly_full");
        log_str(&line, "target", mint->target->name);
        log_str(&line, "stage", mint->stage);
        log_str(&line, "grant", mint->grant);
        log_int(&line, "percent", percent);
        log_end(&line);
    }
    return json_put(mint->record, "packed_policy_percent", json_integer(percent));
}

static bool put_results(struct mint *mint, const struct aws_state *state,
                        const struct aws_answer *answer)
{
    const struct aws_settings *own = mint->target->settings;
    json_t *aws = json_object();

    mint->credential = json_object();
    return json_put(mint->credential, "aws", aws) &&
           json_put(aws, "access_key_id", json_from_str(answer->access_key_id)) &&
           json_put(aws, "secret_access_key", json_from_str(answer->secret_access_key)) &&
           json_put(aws, "session_token", json_from_str(answer->session_token)) &&
           json_put(aws, "region", json_from_str(own->region)) &&
           json_put(aws, "account_id", json_from_str(state->grant.account)) &&
           put_packed_size(mint, answer->packed_policy_size);
}

/* Whatever its form, an answer that is not an error may stand for credentials that exist. */
static bool take_credentials(struct mint *mint, const struct aws_state *state,
                             const struct aws_answer *answer, struct error *error)
{
    if (state->call->status != 200)
        return error_set(error, ERROR_MINT_UNKNOWN, "STS answered %d without an error",
                         state->call->status);
    if (aws_is_access_key_id(answer->access_key_id) && /* else it may be anything, of any length */
        !json_put(mint->record, "id", json_from_str(answer->access_key_id)))
        return error_set(error, ERROR_MEMORY, "no memory for a record");
    if (!aws_answer_check(answer, &state->request, &mint->expires_s, error))
        return false;
    if (!put_results(mint, state, answer))
        return error_set(error, ERROR_MEMORY, "no memory for credentials");
    mint->may_exist = false;
    return true;
}

static bool read_answer(struct mint *mint, const struct aws_state *state, struct error *error)
{
    const struct remote_call *call = state->call;
    struct aws_answer answer;
    struct error inner = { 0 };

    if (!aws_xml_parse(buf_str(&call->body), state->request.action, mint->arena, &answer, &inner))
        return error_set(error, ERROR_MINT_UNKNOWN, "STS answered %d; %s", call->status,
                         inner.cause);
    if (!answer.error_code.data && !answer.error_message.data)
        return take_credentials(mint, state, &answer, error);
    mint->may_exist = call->status == 200 || answer.access_key_id.data;
    return aws_sts_refused(&answer, state->request.action, call->status, error);
}

static bool finish(struct mint *mint, const struct aws_state *state, struct error *error)
{
    if (remote_call_is_answered(state->call, "STS", error))
        return read_answer(mint, state, error);
    mint->may_exist = state->call->outcome != UPSTREAM_UNSENT;
    return false;
}

static enum progress aws_mint(struct mint *mint, struct error *error)
{
    struct aws_state *state = mint->state ? mint->state : state_new(mint, error);

    if (!state)
        return PROGRESS_FAILED;
    mint->state = state;
    if (!state->call)
        return sign_and_ask(mint, state, error);
    return finish(mint, state, error) ? PROGRESS_DONE : PROGRESS_FAILED;
}

/* Without a role to deny sessions as they end when they expire. */
static enum policy_revocation revocation_of(const json_t *grant_fields, const void *of_target)
{
    const struct aws_settings *own = of_target;

    (void)grant_fields;
    return own && own->revoker_role.len > 0 ? POLICY_REVOKED_BY_NAME : POLICY_REVOKED_BY_EXPIRY;
}

static const char *const fields[] = { "target",      "role", "allow",
                                      "policy_arns", "tags", "transitive_tags",
                                      "pin_address", NULL };
static const char *const fields_with_holes[] = { "role", "allow", "tags", NULL };
static const char *const fields_told[] = { "role", NULL };
static const char *const lists_that_give[] = { "allow", "actions", "resources", "policy_arns",
                                               NULL };

const struct target_kind target_aws = {
    .grant = {
        .name = "aws",
        .fields = fields,
        .has_target = true,
        .ttl_min_s = AWS_TTL_MIN_S,
        .ttl_max_s = AWS_TTL_MAX_S,
        .check = aws_grant_check,
        .fields_with_holes = fields_with_holes,
        .matching = POLICY_MATCHING_AWS,
        .gives = aws_grant_gives,
        .revocation = POLICY_REVOKED_BY_EXPIRY,
        .revocation_of = revocation_of,
        .fields_told = fields_told,
        .lists_that_give = lists_that_give,
    },
    .settings = settings,
    .own_settings = own_settings,
    .configure = configure,
    .settings_size = sizeof(struct aws_settings),
    .start = start,
    .intend = aws_intend,
    .mint = aws_mint,
    .revoke = aws_revoke,
    .is_revocable = aws_is_revocable,
    .is_gone_by_expiry = true,
};
