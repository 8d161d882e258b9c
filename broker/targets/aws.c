/*
 * Credentials of an AWS role, by AssumeRoleWithWebIdentity: the broker is an identity provider that
 * the account trusts, and signs an assertion for one role and one lease.
 *
 * A mint is entered twice. First it sends the request and waits; the upstream thread copies the
 * answer into the call's own memory and wakes the exchange. Then the answer is held against what
 * was asked. From the moment of sending until an answer says otherwise the credential may exist.
 */
#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "targets/aws_internal.h"
#include "upstream/upstream.h"

#define AUDIENCE_DEFAULT "sts.amazonaws.com"
#define REGION_MAX 32
#define FORM_MAX ((size_t)64 * 1024)
#define RESPONSE_MAX ((size_t)64 * 1024)
#define TOTAL_TIMEOUT_MS 5000
#define ERROR_CODE_MAX 64
#define ERROR_MESSAGE_MAX 120

static const char *const settings[] = { "region", "accounts",   "endpoint",       "audience",
                                        "ca",     "allow_http", "allow_networks", NULL };

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
    struct error error = { 0 };
    struct str written = { 0 };

    (void)yaml_get_bool(reader, node, "allow_http", &own->may_use_http);
    if (yaml_get_str(reader, node, "endpoint", &written))
        own->endpoint = arena_copy(reader->arena, written);
    else
        own->endpoint = default_endpoint(own->region, reader->arena);
    if (!own->endpoint.data)
        return yaml_complain(reader, node, "no memory for a target");
    if (written.data && !upstream_url_check(written, own->may_use_http, &error))
        return yaml_complain(reader, json_object_get(node, "endpoint"), "%s", error.cause);
    return true;
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

/* A path of the file is relative to the file's folder. */
static bool read_ca(const struct yaml_reader *reader, const json_t *node, struct aws_settings *own)
{
    struct str folder = yaml_at(reader->document, node).file;
    struct str path;

    if (!yaml_get_str(reader, node, "ca", &path))
        return true;
    while (folder.len > 0 && folder.data[folder.len - 1] != '/')
        folder.len--;
    if (str_starts_with(path, STR("/")))
        folder.len = 0;
    own->ca_file =
        arena_printf(reader->arena, STR_FMT STR_FMT, STR_ARG(folder), STR_ARG(path)).data;
    return own->ca_file || yaml_complain(reader, node, "no memory for a target");
}

static bool configure(const struct yaml_reader *yaml, const json_t *node, struct arena *arena,
                      struct target *target)
{
    const struct yaml_reader reader = { yaml->document, yaml->diagnostics, arena };
    struct aws_settings *own = arena_alloc(arena, sizeof(*own));
    struct network *networks;
    bool is_good;

    if (!own)
        return yaml_complain(yaml, node, "no memory for a target");
    target->settings = own;
    is_good = read_region(&reader, node, own);
    is_good = read_accounts(&reader, node, own) && is_good;
    is_good = read_endpoint(&reader, node, own) && is_good;
    is_good = read_audience(&reader, node, own) && is_good;
    if (yaml_get_networks(&reader, node, "allow_networks", &networks, &own->network_count))
        own->networks = networks;
    else if (json_object_get(node, "allow_networks"))
        is_good = false; /* reported */
    return read_ca(&reader, node, own) && is_good;
}

/* A call of STS: the exchange's, then the upstream thread's, then the exchange's again. */
struct aws_call {
    struct aws_request request;
    struct str account;
    struct waker waker;
    enum upstream_outcome outcome;
    int status;
    struct error error; /* unless UPSTREAM_ANSWERED */
    struct buf body;    /* not the arena's: filled on the upstream thread; wiped with the arena */
};

static void call_release(void *object)
{
    struct aws_call *call = object;

    buf_release(&call->body);
}

/* On the upstream thread; the exchange waits. */
static void on_answer(const struct upstream_response *response, void *context)
{
    struct aws_call *call = context;
    struct waker waker = call->waker;

    call->outcome = response->outcome;
    call->status = response->status;
    if (response->outcome == UPSTREAM_ANSWERED)
        buf_add(&call->body, response->body);
    else
        call->error = response->error;
    waker.wake(waker.context); /* from here on the call is not ours */
}

static struct aws_call *call_new(const struct mint *mint, struct error *error)
{
    struct aws_call *call = arena_alloc(mint->arena, sizeof(*call));

    if (call) {
        call->waker = mint->waker;
        buf_init(&call->body, RESPONSE_MAX);
        if (arena_defer(mint->arena, call_release, call))
            return call;
    }
    (void)error_set(error, ERROR_MEMORY, "no memory for a request to STS");
    return NULL;
}

/* What is known before the answer: enough to find, and to deny, a session that may exist. */
static bool put_session(struct mint *mint, const struct aws_request *request,
                        const struct aws_grant *grant, struct error *error)
{
    mint->record = json_object();
    if (json_put(mint->record, "session", json_from_str(request->session)) &&
        json_put(mint->record, "role", json_from_str(grant->role)))
        return true;
    return error_set(error, ERROR_MEMORY, "no memory for a record");
}

static bool submit(struct mint *mint, const struct aws_settings *own, struct aws_call *call,
                   struct str form, struct error *error)
{
    struct upstream_request request = {
        .method = "POST",
        .url = own->endpoint.data,
        .body = form,
        .headers = { "Content-Type: application/x-www-form-urlencoded; charset=utf-8",
                     "Accept: text/xml" },
        .peer = { .ca_file = own->ca_file,
                  .networks = own->networks,
                  .network_count = own->network_count,
                  .may_use_http = own->may_use_http },
        .total_timeout_ms = TOTAL_TIMEOUT_MS,
        .response_max_bytes = RESPONSE_MAX,
        .done = on_answer,
        .context = call,
    };
    struct error inner = { 0 };

    mint->state = call; /* before the thread may wake us */
    mint->may_exist = true;
    if (upstream_submit(mint->tools->upstream, &request, &inner))
        return true;
    mint->state = NULL;
    mint->may_exist = false;
    return error_set(error, inner.code == ERROR_MEMORY ? ERROR_MEMORY : ERROR_MINT,
                     "STS was not asked: %s", inner.cause);
}

static bool begin(struct mint *mint, struct error *error)
{
    const struct aws_settings *own = mint->target->settings;
    struct grant_reader reader = { .arena = mint->arena };
    OWNED(buf_release) struct buf form = { 0 };
    struct aws_grant grant;
    struct aws_call *call = call_new(mint, error);

    if (!call)
        return false;
    if (!aws_grant_read(&reader, mint->fields, own, mint->address, &grant))
        return grant_error(&reader, error);
    buf_init(&form, FORM_MAX);
    call->account = grant.account;
    return aws_request_build(mint, own, &grant, &form, &call->request, error) &&
           put_session(mint, &call->request, &grant, error) &&
           submit(mint, own, call, buf_str(&form), error);
}

/* The answer. */

static bool refused_by_sts(const struct aws_answer *answer, int status, struct error *error)
{
    struct str code = str_slice(answer->error_code, 0, ERROR_CODE_MAX);
    struct str message = str_slice(answer->error_message, 0, ERROR_MESSAGE_MAX);

    return error_set(error, ERROR_MINT, "STS refused with %d \"" STR_FMT "\": \"" STR_FMT "\"",
                     status, STR_ARG(code), STR_ARG(message));
}

static bool put_packed_size(struct mint *mint, struct str text)
{
    int64_t percent;

    if (!text.data || !str_to_int64(text, &percent) || percent < 0 || percent > 100)
        return true;
    return json_put(mint->record, "packed_policy_percent", json_integer(percent));
}

static bool put_results(struct mint *mint, const struct aws_call *call,
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
           json_put(aws, "account_id", json_from_str(call->account)) &&
           put_packed_size(mint, answer->packed_policy_size);
}

/* Whatever its form, an answer that is not an error may stand for credentials that exist. */
static bool take_credentials(struct mint *mint, const struct aws_call *call,
                             const struct aws_answer *answer, struct error *error)
{
    if (call->status != 200)
        return error_set(error, ERROR_MINT_UNKNOWN, "STS answered %d without an error",
                         call->status);
    if (answer->access_key_id.len > 0 &&
        !json_put(mint->record, "id", json_from_str(answer->access_key_id)))
        return error_set(error, ERROR_MEMORY, "no memory for a record");
    if (!aws_answer_check(answer, &call->request, &mint->expires_s, error))
        return false;
    if (!put_results(mint, call, answer))
        return error_set(error, ERROR_MEMORY, "no memory for credentials");
    mint->may_exist = false;
    return true;
}

static bool read_answer(struct mint *mint, const struct aws_call *call, struct error *error)
{
    struct aws_answer answer;
    struct error inner = { 0 };

    if (!buf_is_ok(&call->body))
        return error_set(error, ERROR_MINT_UNKNOWN, "no memory for the answer of STS");
    if (!aws_xml_parse(buf_str(&call->body), mint->arena, &answer, &inner))
        return error_set(error, ERROR_MINT_UNKNOWN, "STS answered %d; %s", call->status,
                         inner.cause);
    if (!answer.error_code.data && !answer.error_message.data)
        return take_credentials(mint, call, &answer, error);
    mint->may_exist = call->status == 200 || answer.access_key_id.data;
    return refused_by_sts(&answer, call->status, error);
}

static bool finish(struct mint *mint, const struct aws_call *call, struct error *error)
{
    switch (call->outcome) {
    case UPSTREAM_ANSWERED:
        return read_answer(mint, call, error);
    case UPSTREAM_UNSENT:
        mint->may_exist = false;
        return error_set(error, ERROR_MINT, "STS was not asked: %s", call->error.cause);
    case UPSTREAM_UNKNOWN:
        break;
    }
    return error_set(error, ERROR_MINT_UNKNOWN, "STS was asked and did not answer: %s",
                     call->error.cause);
}

static enum progress aws_mint(struct mint *mint, struct error *error)
{
    if (mint->state)
        return finish(mint, mint->state, error) ? PROGRESS_DONE : PROGRESS_FAILED;
    return begin(mint, error) ? PROGRESS_WAIT : PROGRESS_FAILED;
}

static const char *const fields[] = { "target", "role",        "allow", "policy_arns",
                                      "tags",   "pin_address", NULL };
static const char *const fields_with_holes[] = { "role", "allow", "tags", NULL };

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
    },
    .settings = settings,
    .configure = configure,
    .mint = aws_mint,
};
