#include "targets/aws_iam.h"

#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/time_text.h"

#define IAM "IAM"
#define VERSION "2010-05-08"
#define DENIAL "stagepass-deny-"
#define FORM_MAX ((size_t)8 * 1024)
#define ERROR_CODE_MAX 64
#define ERROR_MESSAGE_MAX 120

/* Two clocks may differ; a denial that goes too early would let a session in again. */
#define OVER_LEEWAY_S 300

/* Where IAM of a partition is, and the region that its requests are signed for. */
static const struct place {
    const char *partition;
    const char *region;
    const char *endpoint;
} places[] = {
    { "aws", "us-east-1", "https://iam.amazonaws.com" },
    { "aws-cn", "cn-north-1", "https://iam.cn-north-1.amazonaws.com.cn" },
    { "aws-us-gov", "us-gov-west-1", "https://iam.us-gov.amazonaws.com" },
};

static const char *const actions[] = {
    [AWS_IAM_PUT] = "PutRolePolicy",
    [AWS_IAM_LIST] = "ListRolePolicies",
    [AWS_IAM_DELETE] = "DeleteRolePolicy",
};

/* ---- names ---- */

/* The time of a name; a policy's name has no ':'. */
static void swap(char *text, char from, char to)
{
    for (; *text; text++)
        if (*text == from)
            *text = to;
}

struct str aws_denial_name(struct str source, int64_t until_s, struct arena *arena)
{
    char until[TIME_TEXT_S_LEN + 1];

    time_text_s(until_s, until);
    swap(until, ':', '.');
    return arena_printf(arena, DENIAL "%s-" STR_FMT, until, STR_ARG(source));
}

bool aws_denial_is_over(struct str name, int64_t now_s)
{
    struct str until = str_slice(name, strlen(DENIAL), TIME_TEXT_S_LEN);
    char text[TIME_TEXT_S_LEN + 1] = "";
    int64_t until_ms;

    if (!str_starts_with(name, STR(DENIAL)) || until.len < TIME_TEXT_S_LEN ||
        str_find(until, ':') < until.len)
        return false;
    memcpy(text, until.data, until.len);
    swap(text, '.', ':');
    return time_text_parse(str_from(text), &until_ms) && until_ms / 1000 + OVER_LEEWAY_S < now_s;
}

/* ---- asking ---- */

static const struct place *place_of(struct str partition)
{
    for (size_t i = 0; i < COUNT(places); i++)
        if (str_eq(partition, str_from(places[i].partition)))
            return &places[i];
    return NULL;
}

static void add_field(struct buf *form, const char *name, struct str value)
{
    buf_printf(form, "&%s=", name);
    buf_add_percent(form, value);
}

/* A source identity is made of letters, digits and '-': it needs no escape. */
static void add_document(struct buf *form, struct str source)
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, FORM_MAX);
    buf_printf(&text,
               "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Deny\",\"Action\":\"*\","
               "\"Resource\":\"*\",\"Condition\":{\"StringEquals\":{\"aws:SourceIdentity\":"
               "\"" STR_FMT "\"}}}}",
               STR_ARG(source));
    add_field(form, "PolicyDocument", buf_str(&text));
}

static void write_form(const struct aws_iam_request *request, struct buf *form)
{
    buf_printf(form, "Action=%s&Version=" VERSION, actions[request->action]);
    add_field(form, "RoleName", request->role->role_name);
    if (request->action != AWS_IAM_LIST)
        add_field(form, "PolicyName", request->policy);
    if (request->action == AWS_IAM_PUT)
        add_document(form, request->source);
}

static bool send(const struct revocation *revocation, const struct aws_signing *signing,
                 struct remote_call **call, struct error *error)
{
    const struct aws_settings *own = revocation->target->settings;
    struct remote_request request = {
        .who = IAM,
        .method = "POST",
        .url = signing->endpoint.data,
        .body = signing->body,
        .peer = &own->peer,
    };

    if (!aws_sign(signing, revocation->arena, request.headers, error))
        return false;
    request.headers[AWS_SIGNED_HEADERS - 1] = request.headers[AWS_SIGNED_HEADERS - 1]
                                                  ? request.headers[AWS_SIGNED_HEADERS - 1]
                                                  : "Accept: text/xml";
    return remote_call_send(revocation->tools->upstream, revocation->waker, revocation->arena,
                            &request, call, error);
}

bool aws_iam_ask(const struct revocation *revocation, const struct aws_keys *keys,
                 const struct aws_iam_request *request, struct remote_call **call,
                 struct error *error)
{
    const struct aws_settings *own = revocation->target->settings;
    const struct place *place = place_of(request->role->partition);
    OWNED(buf_release) struct buf form = { 0 };
    struct aws_signing signing = {
        .keys = keys,
        .service = "iam",
        .now_s = revocation->now_s,
    };

    if (!place)
        return error_set(error, ERROR_MINT, "a role in no known partition");
    buf_init(&form, FORM_MAX);
    write_form(request, &form);
    if (!buf_is_ok(&form))
        return error_set(error, ERROR_LIMIT, "the request to " IAM " is too large");
    signing.region = place->region;
    signing.endpoint = own->iam_endpoint.len > 0 ? own->iam_endpoint : str_from(place->endpoint);
    signing.body = buf_str(&form);
    return send(revocation, &signing, call, error);
}

/* ---- the answer ---- */

static enum aws_iam_outcome refused(const struct aws_answer *answer, int status,
                                    struct error *error)
{
    struct str code = str_slice(answer->error_code, 0, ERROR_CODE_MAX);
    struct str message = str_slice(answer->error_message, 0, ERROR_MESSAGE_MAX);

    (void)error_set(error, ERROR_MINT, IAM " refused with %d \"" STR_FMT "\": \"" STR_FMT "\"",
                    status, STR_ARG(code), STR_ARG(message));
    if (str_eq(code, STR("LimitExceeded")))
        return AWS_IAM_FULL;
    return str_eq(code, STR("NoSuchEntity")) ? AWS_IAM_UNKNOWN_THERE : AWS_IAM_FAILED;
}

enum aws_iam_outcome aws_iam_read(const struct remote_call *call, struct arena *arena,
                                  struct aws_answer *answer, struct error *error)
{
    struct error inner = { 0 };

    if (!remote_call_is_answered(call, IAM, &inner)) {
        (void)error_set(error, ERROR_MINT, "%s", inner.cause);
        return AWS_IAM_FAILED;
    }
    if (!aws_xml_parse_iam(buf_str(&call->body), arena, answer, &inner)) {
        (void)error_set(error, ERROR_MINT, IAM " answered %d; %s", call->status, inner.cause);
        return AWS_IAM_FAILED;
    }
    if (answer->error_code.data || answer->error_message.data)
        return refused(answer, call->status, error);
    if (call->status == 200)
        return AWS_IAM_DONE;
    (void)error_set(error, ERROR_MINT, IAM " answered %d without an error", call->status);
    return AWS_IAM_FAILED;
}
