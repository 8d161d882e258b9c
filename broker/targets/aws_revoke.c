/*
 * The end of an AWS session before it expires: a policy of its role denies it everything, by the
 * source identity that only the sessions of one mint have. So does one session of a mint whose
 * answer nobody heard.
 *
 * We write it as a role of our own, `revoker_role`, which we assume for each denial, for this role
 * alone, in the way in which the target asks. Then we remove denials whose sessions have expired
 * meanwhile: what a role's policies may hold together is limited. Where it is full that comes
 * first.
 *
 * Source: IAM user guide, "Revoke IAM role temporary security credentials"; IAM and STS quotas
 */
#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "targets/aws_iam.h"
#include "targets/aws_internal.h"
#include "targets/aws_sts.h"
#include "targets/remote_call.h"
#include "targets/stage_token.h"

#define STS "STS"

/* No stage's id has two colons in a row: no stage can be who this is. */
#define SUBJECT "stagepass::revoker"
#define CLAIM_ROLES "https://aws.amazon.com/roles"

/* What one denial removes at most. */
#define REMOVED_MAX 10

enum step {
    STEP_SIGNING,
    STEP_ASSUMING,
    STEP_DENYING,
    STEP_LOOKING,
    STEP_REMOVING
};

struct ending {
    enum step step;
    struct aws_grant role;    /* of the session */
    struct aws_grant revoker; /* our own */
    struct aws_request request;
    struct mint asking; /* what the assertion is made of */
    json_t *claims;     /* goes with the arena */
    struct stage_signing *signing;
    struct remote_call *call;
    struct aws_keys keys;
    struct str source;
    struct str denial; /* its name */
    bool is_denied;
    bool was_full;
    bool has_removed;
    struct str over[REMOVED_MAX]; /* denials that are not needed any more */
    size_t over_count;
    size_t over_next;
};

bool aws_is_revocable(const struct mint *mint)
{
    const struct aws_settings *own = mint->target->settings;

    return own->revoker_role.len > 0;
}

/* ---- assuming our own role ---- */

static bool set_revoker(const struct revocation *revocation, struct ending *ending,
                        struct error *error)
{
    const struct aws_settings *own = revocation->target->settings;
    const struct aws_grant *role = &ending->role;
    struct arena *arena = revocation->arena;

    ending->revoker = (struct aws_grant){
        .role = arena_printf(arena, "arn:" STR_FMT ":iam::" STR_FMT ":role/" STR_FMT,
                             STR_ARG(role->partition), STR_ARG(role->account),
                             STR_ARG(own->revoker_role)),
        .partition = role->partition,
        .account = role->account,
        .role_name = own->revoker_role,
        .policy = arena_printf(arena,
                               "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\","
                               "\"Action\":[\"iam:PutRolePolicy\",\"iam:ListRolePolicies\","
                               "\"iam:DeleteRolePolicy\"],\"Resource\":\"" STR_FMT "\"}}",
                               STR_ARG(role->role)),
    };
    return (ending->revoker.role.data && ending->revoker.policy.data) ||
           error_set(error, ERROR_MEMORY, "no memory for a revocation");
}

static bool set_request(const struct revocation *revocation, struct ending *ending,
                        struct error *error)
{
    const struct aws_settings *own = revocation->target->settings;
    struct arena *arena = revocation->arena;
    struct str session = arena_printf(arena, "revoke-" STR_FMT, STR_ARG(revocation->lease));

    ending->asking = (struct mint){
        .tools = revocation->tools,
        .target = revocation->target,
        .grant = revocation->grant,
        .stage = revocation->stage,
        .lease = revocation->lease,
        .now_s = revocation->now_s,
        .ttl_s = AWS_TTL_MIN_S,
        .arena = arena,
        .waker = revocation->waker,
    };
    ending->request = (struct aws_request){
        .action = aws_sts_action_of(own),
        .session = session,
        .assumed_role = aws_session_arn(&ending->revoker, session, arena),
        .audience = own->audience,
        .subject = STR(SUBJECT),
        .external_id = own->external_id,
        .now_s = revocation->now_s,
        .ttl_s = AWS_TTL_MIN_S,
    };
    ending->claims = json_pack("{s:o}", CLAIM_ROLES, json_from_str(ending->revoker.role));
    return (session.data && ending->request.assumed_role.data && ending->claims &&
            json_keep(arena, ending->claims, error)) ||
           error_set(error, ERROR_MEMORY, "no memory for a revocation");
}

static bool begin(struct revocation *revocation, struct ending **begun, struct error *error)
{
    const struct aws_settings *own = revocation->target->settings;
    struct str attempt = json_str(json_object_get(revocation->record, "attempt"));
    int64_t until_s =
        revocation->expires_s > 0 ? revocation->expires_s : revocation->now_s + AWS_TTL_MAX_S;
    struct ending *ending = arena_alloc(revocation->arena, sizeof(*ending));

    if (!ending)
        return error_set(error, ERROR_MEMORY, "no memory for a revocation");
    if (own->revoker_role.len == 0)
        return error_set(error, ERROR_MINT, "the target has no 'revoker_role' any more");
    if (!aws_role_split(json_str(json_object_get(revocation->record, "role")), &ending->role))
        return error_set(error, ERROR_MINT, "the role is not on record whose session is to end");
    ending->source = aws_source_identity(revocation->lease, attempt, revocation->arena);
    ending->denial = aws_denial_name(ending->source, until_s, revocation->arena);
    *begun = ending;
    return ((ending->source.data && ending->denial.data) ||
            error_set(error, ERROR_MEMORY, "no memory for a revocation")) &&
           set_revoker(revocation, ending, error) && set_request(revocation, ending, error);
}

static bool assume(struct revocation *revocation, struct ending *ending, struct str token,
                   struct error *error)
{
    const struct aws_question question = {
        .settings = revocation->target->settings,
        .grant = &ending->revoker,
        .request = &ending->request,
        .token = token,
        .arena = revocation->arena,
    };
    OWNED(buf_release) struct buf form = { 0 };
    struct remote_request request;

    if (!aws_sts_ask(&question, &form, &request, error))
        return false;
    ending->step = STEP_ASSUMING; /* before the thread may wake us */
    return remote_call_send(revocation->tools->upstream, revocation->waker, revocation->arena,
                            &request, &ending->call, error);
}

static enum progress sign_and_assume(struct revocation *revocation, struct ending *ending,
                                     struct error *error)
{
    const struct aws_settings *own = revocation->target->settings;
    const struct stage_token wanted = {
        .audience = own->audience,
        .subject = STR(SUBJECT),
        .algorithm = own->algorithm,
        .claims = ending->claims,
    };
    struct str token = { 0 };
    enum progress progress = PROGRESS_DONE;

    if (ending->request.action == AWS_STS_WEB_IDENTITY)
        progress = stage_token_sign(&ending->asking, &wanted, &ending->signing, &token, error);
    if (progress != PROGRESS_DONE)
        return progress;
    return assume(revocation, ending, token, error) ? PROGRESS_WAIT : PROGRESS_FAILED;
}

static bool take_keys(struct revocation *revocation, struct ending *ending, struct error *error)
{
    struct aws_answer answer;
    struct error inner = { 0 };
    int64_t expires_s;

    if (!remote_call_is_answered(ending->call, STS, &inner) ||
        !aws_xml_parse(buf_str(&ending->call->body), ending->request.action, revocation->arena,
                       &answer, &inner))
        return error_set(error, ERROR_MINT, "nobody to revoke as: %s", inner.cause);
    if (answer.error_code.data || answer.error_message.data || ending->call->status != 200) {
        (void)aws_sts_refused(&answer, ending->request.action, ending->call->status, &inner);
        return error_set(error, ERROR_MINT, "nobody to revoke as: %s", inner.cause);
    }
    ending->keys =
        (struct aws_keys){ answer.access_key_id, answer.secret_access_key, answer.session_token };
    return aws_answer_check(&answer, &ending->request, &expires_s, error);
}

/* ---- denying, and removing what is over ---- */

static enum progress ask_iam(struct revocation *revocation, struct ending *ending, enum step step,
                             const struct aws_iam_request *request, struct error *error)
{
    ending->step = step; /* before the thread may wake us */
    return aws_iam_ask(revocation, &ending->keys, request, &ending->call, error) ? PROGRESS_WAIT
                                                                                 : PROGRESS_FAILED;
}

static enum progress deny(struct revocation *revocation, struct ending *ending, struct error *error)
{
    const struct aws_iam_request request = {
        .action = AWS_IAM_PUT,
        .role = &ending->role,
        .policy = ending->denial,
        .source = ending->source,
    };

    return ask_iam(revocation, ending, STEP_DENYING, &request, error);
}

/* Once the session is denied nothing else need go well. */
static enum progress unless_denied(const struct ending *ending, enum progress progress,
                                   struct error *error)
{
    if (!ending->is_denied || progress != PROGRESS_FAILED)
        return progress;
    *error = (struct error){ 0 };
    return PROGRESS_DONE;
}

static enum progress look(struct revocation *revocation, struct ending *ending, struct error *error)
{
    const struct aws_iam_request request = { .action = AWS_IAM_LIST, .role = &ending->role };

    return unless_denied(ending, ask_iam(revocation, ending, STEP_LOOKING, &request, error), error);
}

static enum progress was_denied(struct revocation *revocation, struct ending *ending,
                                struct error *error)
{
    struct aws_answer answer;

    switch (aws_iam_read(ending->call, revocation->arena, &answer, error)) {
    case AWS_IAM_DONE:
        ending->is_denied = true;
        return ending->was_full ? PROGRESS_DONE : look(revocation, ending, error);
    case AWS_IAM_FULL:
        if (ending->was_full)
            return PROGRESS_FAILED;
        ending->was_full = true;
        *error = (struct error){ 0 }; /* what follows may do better, or say more */
        return look(revocation, ending, error);
    case AWS_IAM_UNKNOWN_THERE:
    case AWS_IAM_FAILED:
        break;
    }
    return PROGRESS_FAILED;
}

static enum progress remove_next(struct revocation *revocation, struct ending *ending,
                                 struct error *error)
{
    if (ending->over_next < ending->over_count) {
        const struct aws_iam_request request = {
            .action = AWS_IAM_DELETE,
            .role = &ending->role,
            .policy = ending->over[ending->over_next++],
        };

        return unless_denied(ending, ask_iam(revocation, ending, STEP_REMOVING, &request, error),
                             error);
    }
    if (ending->is_denied)
        return PROGRESS_DONE;
    if (ending->has_removed)
        return deny(revocation, ending, error);
    (void)error_set(error, ERROR_MINT, "the role's policies are full, and none of them is over");
    return PROGRESS_FAILED;
}

static enum progress has_looked(struct revocation *revocation, struct ending *ending,
                                struct error *error)
{
    struct aws_answer answer;
    struct str rest;
    struct str name;

    if (aws_iam_read(ending->call, revocation->arena, &answer, error) != AWS_IAM_DONE)
        return unless_denied(ending, PROGRESS_FAILED, error);
    rest = answer.policy_names;
    while (ending->over_count < REMOVED_MAX && str_cut(rest, ' ', &name, &rest))
        if (aws_denial_is_over(name, revocation->now_s))
            ending->over[ending->over_count++] = name;
    return remove_next(revocation, ending, error);
}

/* Another broker may have removed it meanwhile. */
static enum progress has_removed(struct revocation *revocation, struct ending *ending,
                                 struct error *error)
{
    struct aws_answer answer;

    switch (aws_iam_read(ending->call, revocation->arena, &answer, error)) {
    case AWS_IAM_DONE:
    case AWS_IAM_UNKNOWN_THERE:
        *error = (struct error){ 0 };
        ending->has_removed = true;
        return remove_next(revocation, ending, error);
    case AWS_IAM_FULL:
    case AWS_IAM_FAILED:
        break;
    }
    return unless_denied(ending, PROGRESS_FAILED, error);
}

enum progress aws_revoke(struct revocation *revocation, struct error *error)
{
    struct ending *ending = revocation->state;

    if (!ending) {
        if (!begin(revocation, &ending, error))
            return PROGRESS_FAILED;
        revocation->state = ending;
    }
    switch (ending->step) {
    case STEP_SIGNING:
        return sign_and_assume(revocation, ending, error);
    case STEP_ASSUMING:
        return take_keys(revocation, ending, error) ? deny(revocation, ending, error)
                                                    : PROGRESS_FAILED;
    case STEP_DENYING:
        return was_denied(revocation, ending, error);
    case STEP_LOOKING:
        return has_looked(revocation, ending, error);
    case STEP_REMOVING:
        return has_removed(revocation, ending, error);
    }
    return PROGRESS_FAILED;
}
