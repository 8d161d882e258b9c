/*
 * The way to a Google token, in up to three requests: each step sends one and is entered again with
 * its answer. What an earlier step gave stays in the mint's memory and is good for nobody else.
 *
 * Source: sts.googleapis.com v1 token; iamcredentials.googleapis.com v1 generateAccessToken
 */
#include <inttypes.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "base/time_text.h"
#include "targets/gcp_internal.h"
#include "targets/oauth_answer.h"
#include "targets/remote_call.h"

#define FORM_MAX ((size_t)64 * 1024)
#define URL_MAX ((size_t)1024)
#define FEDERATED_LIFE_MAX_S ((int64_t)12 * 3600)
#define WORDS_MAX 80
#define STATUS_MAX 40
#define EXCHANGE "urn:ietf:params:oauth:grant-type:token-exchange"
#define TYPE_ACCESS_TOKEN "urn:ietf:params:oauth:token-type:access_token"
#define TYPE_JWT "urn:ietf:params:oauth:token-type:jwt"
#define STS "Google's STS"
#define IAM "Google's iamcredentials"

struct gcp_state {
    struct gcp_grant grant;
    struct stage_signing *signing;
    struct remote_call *call; /* of the step under way; NULL: nothing is asked yet */
    size_t step;
    struct str token; /* what the last step gave; secret, wiped with the arena */
    int64_t expires_s;
};

/* ---- what is sent ---- */

static void add_field(struct buf *form, const char *name, struct str value)
{
    if (form->len > 0)
        buf_add_byte(form, '&');
    buf_add_text(form, name);
    buf_add_byte(form, '=');
    buf_add_percent(form, value);
}

static struct str join_scopes(const struct texts *scopes, struct arena *arena)
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, FORM_MAX);
    for (size_t i = 0; i < scopes->count; i++) {
        buf_add_text(&text, i > 0 ? " " : "");
        buf_add(&text, scopes->list[i]);
    }
    return buf_is_ok(&text) ? arena_copy(arena, buf_str(&text)) : (struct str){ 0 };
}

static bool send(struct mint *mint, struct gcp_state *state, const struct remote_request *request,
                 struct error *error)
{
    return remote_call_mint(mint, request, &state->call, error);
}

static bool send_form(struct mint *mint, struct gcp_state *state, const struct buf *form,
                      struct error *error)
{
    const struct gcp_settings *own = mint->target->settings;
    struct str url = arena_printf(mint->arena, STR_FMT "/v1/token", STR_ARG(own->sts_endpoint));
    const struct remote_request request = {
        .who = STS,
        .method = "POST",
        .url = url.data,
        .body = buf_str(form),
        .headers = { "Content-Type: application/x-www-form-urlencoded",
                     "Accept: application/json" },
        .peer = &own->peer,
    };

    if (!url.data || !buf_is_ok(form))
        return error_set(error, ERROR_MEMORY, "no memory for a request to " STS);
    return send(mint, state, &request, error);
}

static bool ask_exchange(struct mint *mint, struct gcp_state *state, struct error *error)
{
    const struct gcp_settings *own = mint->target->settings;
    OWNED(buf_release) struct buf form = { 0 };
    struct str scope = state->grant.service_account.len > 0
                           ? STR(GCP_SCOPE_PREFIX "iam")
                           : join_scopes(&state->grant.scopes, mint->arena);

    buf_init(&form, FORM_MAX);
    add_field(&form, "grant_type", STR(EXCHANGE));
    add_field(&form, "audience", own->provider);
    add_field(&form, "scope", scope);
    add_field(&form, "requested_token_type", STR(TYPE_ACCESS_TOKEN));
    add_field(&form, "subject_token_type", STR(TYPE_JWT));
    add_field(&form, "subject_token", state->token);
    if (!scope.data)
        return error_set(error, ERROR_MEMORY, "no memory for a request to " STS);
    return send_form(mint, state, &form, error);
}

static struct str impersonation_body(const struct mint *mint, const struct gcp_grant *grant)
{
    JSON_OWNED json_t *body = json_object();

    if (!json_put(body, "scope", json_from_strs(grant->scopes.list, grant->scopes.count)) ||
        !json_put(body, "lifetime",
                  json_from_str(arena_printf(mint->arena, "%" PRId64 "s", mint->ttl_s))))
        return (struct str){ 0 };
    return json_text(mint->arena, body);
}

/* The account's text is checked: nothing in it needs an escape in a path. */
static bool ask_impersonation(struct mint *mint, struct gcp_state *state, struct error *error)
{
    const struct gcp_settings *own = mint->target->settings;
    struct str url = arena_printf(
        mint->arena, STR_FMT "/v1/projects/-/serviceAccounts/" STR_FMT ":generateAccessToken",
        STR_ARG(own->iam_endpoint), STR_ARG(state->grant.service_account));
    struct str bearer =
        arena_printf(mint->arena, "Authorization: Bearer " STR_FMT, STR_ARG(state->token));
    const struct remote_request request = {
        .who = IAM,
        .method = "POST",
        .url = url.data,
        .body = impersonation_body(mint, &state->grant),
        .headers = { "Content-Type: application/json", "Accept: application/json", bearer.data },
        .peer = &own->peer,
    };

    if (!url.data || !bearer.data || !request.body.data)
        return error_set(error, ERROR_MEMORY, "no memory for a request to " IAM);
    return send(mint, state, &request, error);
}

static bool ask_boundary(struct mint *mint, struct gcp_state *state, struct error *error)
{
    OWNED(buf_release) struct buf form = { 0 };

    buf_init(&form, FORM_MAX);
    add_field(&form, "grant_type", STR(EXCHANGE));
    add_field(&form, "requested_token_type", STR(TYPE_ACCESS_TOKEN));
    add_field(&form, "subject_token_type", STR(TYPE_ACCESS_TOKEN));
    add_field(&form, "subject_token", state->token);
    add_field(&form, "options", state->grant.boundary);
    return send_form(mint, state, &form, error);
}

/* ---- what came back ---- */

static const char *explain_sts(const struct oauth_answer *answer)
{
    static const struct {
        const char *error;
        const char *advice;
    } rows[] = {
        { "invalid_grant",
          "the provider's issuer, keys, attribute mapping or condition do not fit our token" },
        { "invalid_target", "the pool or its provider is another, disabled or deleted" },
        { "unauthorized_client", "the pool does not take this client" },
    };

    for (size_t i = 0; i < COUNT(rows); i++)
        if (str_eq(answer->error, str_from(rows[i].error)))
            return rows[i].advice;
    return NULL;
}

/* A scope that Google tells must be one that was asked for. */
static bool check_scope(const struct oauth_answer *answer, const struct texts *asked,
                        struct error *error)
{
    struct str rest = answer->scope;
    struct str word;

    while (rest.len > 0) {
        (void)str_cut(rest, ' ', &word, &rest);
        if (!texts_contain(asked, word))
            return error_set(error, ERROR_MINT, STS " gave a scope that was not asked for");
    }
    return true;
}

static bool take_sts(struct mint *mint, struct gcp_state *state, struct oauth_answer *answer,
                     struct error *error)
{
    static const struct oauth_peer peer = { STS, explain_sts };

    if (!oauth_answer_take(state->call, &peer, mint->arena, answer, &mint->may_exist, error))
        return false;
    if (!str_eq(answer->issued_token_type, STR(TYPE_ACCESS_TOKEN)))
        return error_set(error, ERROR_MINT, STS " gave another type of token");
    state->token = answer->access_token;
    return true;
}

/* How long a federated token lives only counts where it is what the job gets. */
static bool take_exchange(struct mint *mint, struct gcp_state *state, struct error *error)
{
    bool is_last = state->grant.service_account.len == 0;
    struct oauth_answer answer;

    if (!take_sts(mint, state, &answer, error))
        return false;
    if (!answer.has_life)
        return error_set(error, ERROR_MINT, STS " does not say how long its token lives");
    state->expires_s = mint->now_s + answer.expires_in_s;
    return oauth_life_check(answer.expires_in_s, is_last ? mint->ttl_s : FEDERATED_LIFE_MAX_S, STS,
                            error) &&
           (!is_last || check_scope(&answer, &state->grant.scopes, error));
}

/* It lives as long as what it is made from, which may not be said. */
static bool take_boundary(struct mint *mint, struct gcp_state *state, struct error *error)
{
    struct oauth_answer answer;

    if (!take_sts(mint, state, &answer, error))
        return false;
    if (answer.has_life && mint->now_s + answer.expires_in_s < state->expires_s)
        state->expires_s = mint->now_s + answer.expires_in_s;
    return oauth_life_check(answer.has_life ? answer.expires_in_s : mint->ttl_s, mint->ttl_s, STS,
                            error);
}

static const char *explain_iam(struct str status)
{
    static const struct {
        const char *status;
        const char *advice;
    } rows[] = {
        { "PERMISSION_DENIED",
          "grant the stage roles/iam.workloadIdentityUser on it (new bindings take minutes)" },
        { "NOT_FOUND", "there is no such service account, or it is disabled" },
        { "INVALID_ARGUMENT", "a scope or the lifetime is not taken" },
        { "RESOURCE_EXHAUSTED", "the project's quota is used up" },
    };

    for (size_t i = 0; i < COUNT(rows); i++)
        if (str_eq(status, str_from(rows[i].status)))
            return rows[i].advice;
    return NULL;
}

static bool refused_by_iam(const struct remote_call *call, const json_t *problem,
                           struct error *error)
{
    struct str status = str_slice(json_str(json_object_get(problem, "status")), 0, STATUS_MAX);
    struct str words =
        remote_call_words(call, json_str(json_object_get(problem, "message")), WORDS_MAX);
    const char *advice = explain_iam(status);

    return error_set(error, ERROR_MINT, IAM " refused with %d \"" STR_FMT "\"%s%s: \"" STR_FMT "\"",
                     call->status, STR_ARG(status), advice ? ": " : "", advice ? advice : "",
                     STR_ARG(words));
}

/* "2026-01-01T00:15:00Z", also with a fraction of any length. */
static bool read_time(struct str text, struct arena *arena, int64_t *wall_s)
{
    size_t point = str_find(text, '.');
    int64_t wall_ms;

    if (point < text.len && str_ends_with(text, STR("Z")))
        text = arena_printf(arena, STR_FMT "Z", STR_ARG(str_slice(text, 0, point)));
    if (text.len != TIME_TEXT_S_LEN || !time_text_parse(text, &wall_ms))
        return false;
    *wall_s = wall_ms / 1000;
    return true;
}

static bool take_account_token(struct mint *mint, struct gcp_state *state, const json_t *json,
                               struct error *error)
{
    struct str time = json_str(json_object_get(json, "expireTime"));

    state->token = json_str(json_object_get(json, "accessToken"));
    if (!text_is_bearer(state->token, OAUTH_TOKEN_MAX))
        return error_set(error, ERROR_MINT, IAM " gave no proper token");
    if (!read_time(time, mint->arena, &state->expires_s))
        return error_set(error, ERROR_MINT, IAM " does not say until when its token lives");
    return oauth_life_check(state->expires_s - mint->now_s, mint->ttl_s, IAM, error);
}

static bool take_impersonation(struct mint *mint, struct gcp_state *state, struct error *error)
{
    static const struct json_limits limits = { (size_t)64 * 1024, 8, 200 };
    const struct remote_call *call = state->call;
    struct error inner = { 0 };
    const json_t *problem;
    json_t *json = NULL;

    mint->may_exist = call->outcome != UPSTREAM_UNSENT;
    if (!remote_call_is_answered(call, IAM, error))
        return false;
    if (!json_parse_object(buf_str(&call->body), limits, &json, &inner) ||
        !json_keep(mint->arena, json, &inner))
        return error_set(error, ERROR_MINT_UNKNOWN, IAM " answered %d; %s", call->status,
                         inner.cause);
    problem = json_object_get(json, "error");
    if (problem) {
        mint->may_exist = call->status == 200 || json_object_get(json, "accessToken");
        return refused_by_iam(call, problem, error);
    }
    if (call->status != 200)
        return error_set(error, ERROR_MINT_UNKNOWN, IAM " answered %d without an error",
                         call->status);
    return take_account_token(mint, state, json, error);
}

/* ---- the steps ---- */

static bool has_account(const struct gcp_grant *grant)
{
    return grant->service_account.len > 0;
}

static bool has_boundary(const struct gcp_grant *grant)
{
    return grant->boundary.len > 0;
}

static const struct {
    bool (*is_wanted)(const struct gcp_grant *grant); /* NULL: always */
    bool (*ask)(struct mint *mint, struct gcp_state *state, struct error *error);
    bool (*take)(struct mint *mint, struct gcp_state *state, struct error *error);
} steps[] = {
    { NULL, ask_exchange, take_exchange },
    { has_account, ask_impersonation, take_impersonation },
    { has_boundary, ask_boundary, take_boundary },
};

static bool put_record(struct mint *mint, const struct gcp_state *state, struct error *error)
{
    const struct gcp_settings *own = mint->target->settings;
    struct str who = state->grant.service_account;

    mint->record = json_object();
    if (json_put(mint->record, has_account(&state->grant) ? "service_account" : "provider",
                 json_from_str(has_account(&state->grant) ? who : own->provider)))
        return true;
    return error_set(error, ERROR_MEMORY, "no memory for a record");
}

static struct gcp_state *state_new(struct mint *mint, struct error *error)
{
    struct grant_reader reader = { .arena = mint->arena };
    struct gcp_state *state = arena_alloc(mint->arena, sizeof(*state));

    if (!state)
        (void)error_set(error, ERROR_MEMORY, "no memory for a request to " STS);
    else if (!gcp_grant_read(&reader, mint->fields, mint->ttl_s, mint->target->settings,
                             &state->grant))
        (void)grant_error(&reader, error);
    else if (put_record(mint, state, error))
        return state;
    return NULL;
}

/* Our token; then the first step. */
static enum progress begin(struct mint *mint, struct gcp_state *state, struct error *error)
{
    const struct gcp_settings *own = mint->target->settings;
    const struct stage_token wanted = {
        .audience = own->audience,
        .subject = own->is_subject_the_run ? stage_token_run_subject(mint) : mint->stage,
        .algorithm = own->algorithm,
    };
    enum progress progress = stage_token_sign(mint, &wanted, &state->signing, &state->token, error);

    if (progress != PROGRESS_DONE)
        return progress;
    return steps[0].ask(mint, state, error) ? PROGRESS_WAIT : PROGRESS_FAILED;
}

/* A project whose id has a domain in front is written otherwise in an address. */
static bool put_account(json_t *gcp, const struct gcp_grant *grant)
{
    return json_put(gcp, "service_account", json_from_str(grant->service_account)) &&
           (str_find(grant->project, '.') < grant->project.len ||
            json_put(gcp, "project", json_from_str(grant->project)));
}

static bool put_results(struct mint *mint, const struct gcp_state *state, struct error *error)
{
    const struct gcp_grant *grant = &state->grant;
    json_t *gcp = json_object();

    mint->credential = json_object();
    if (json_put(mint->credential, "gcp", gcp) &&
        json_put(gcp, "access_token", json_from_str(state->token)) &&
        (!has_account(grant) || put_account(gcp, grant)) &&
        json_put(mint->record, "id", json_from_str(token_id(mint->arena, state->token))))
        return true;
    return error_set(error, ERROR_MEMORY, "no memory for a credential");
}

static enum progress go_on(struct mint *mint, struct gcp_state *state, struct error *error)
{
    if (!steps[state->step].take(mint, state, error))
        return PROGRESS_FAILED;
    do {
        state->step++;
    } while (state->step < COUNT(steps) && !steps[state->step].is_wanted(&state->grant));
    if (state->step < COUNT(steps))
        return steps[state->step].ask(mint, state, error) ? PROGRESS_WAIT : PROGRESS_FAILED;
    mint->may_exist = false;
    mint->expires_s = state->expires_s;
    return put_results(mint, state, error) ? PROGRESS_DONE : PROGRESS_FAILED;
}

enum progress gcp_mint(struct mint *mint, struct error *error)
{
    struct gcp_state *state = mint->state ? mint->state : state_new(mint, error);

    if (!state)
        return PROGRESS_FAILED;
    mint->state = state;
    return state->call ? go_on(mint, state, error) : begin(mint, state, error);
}
