/*
 * Making installation tokens and deleting them.
 *
 * Source: GitHub REST API, authenticating as an app (RS256, at most ten minutes, `iat` a minute
 *         back for clocks that differ), create and revoke an installation access token, rate limits
 *         (without Retry-After: wait a minute at least)
 */
#include <inttypes.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/json.h"
#include "base/time_text.h"
#include "targets/github_internal.h"
#include "targets/oauth_answer.h"
#include "targets/remote_call.h"
#include "targets/stage_token.h"

#define BACK_DATED_S 60
#define APP_TOKEN_LIFE_S 540
#define TOKEN_MAX ((size_t)2048) /* about 520, and a handle must hold it */
#define BODY_MAX ((size_t)32 * 1024)
#define ANSWER_MAX ((size_t)64 * 1024)
/* A repository is told with all that is known of it: some 6 KB. */
#define ANSWER_OF_REPOSITORY ((size_t)16 * 1024)
#define MEMBERS_OF_REPOSITORY ((size_t)400)
#define WORDS_MAX 80
#define LACKS_IT 422 /* repositories or permissions */

#define ACCEPT "Accept: application/vnd.github+json"
#define VERSION "X-GitHub-Api-Version: 2022-11-28"

struct github_state {
    struct github_grant grant;
    struct str body; /* what is asked for */
    struct github_turn turn;
    struct github_app *app; /* who asks */
    struct stage_signing *signing;
    struct remote_call *call; /* NULL: not asked yet */
    bool may_pass_on;         /* it made nothing: another app may be asked */
};

/* ---- asking ---- */

static json_t *app_claims(const struct mint *mint, const struct github_app *app)
{
    JSON_OWNED json_t *claims = json_object();
    bool is_good = json_put(claims, "iss", json_from_str(app->app)) &&
                   json_put(claims, "iat", json_integer(mint->now_s - BACK_DATED_S)) &&
                   json_put(claims, "exp", json_integer(mint->now_s + APP_TOKEN_LIFE_S));

    return is_good ? TAKE(claims) : NULL;
}

/* Ids are digits without a leading zero: they are JSON as they stand. */
static void write_body(struct buf *body, const struct github_grant *grant)
{
    buf_add_text(body, "{\"permissions\":");
    buf_add_json(body, grant->permissions);
    buf_add_text(body, ",\"repository_ids\":[");
    for (size_t i = 0; i < grant->repositories.count; i++) {
        if (i > 0)
            buf_add_byte(body, ',');
        buf_add(body, grant->repositories.list[i]);
    }
    buf_add_text(body, "]}");
}

static bool ask(struct mint *mint, struct github_state *state, struct str token,
                struct error *error)
{
    const struct github_settings *own = mint->target->settings;
    struct str bearer = arena_printf(mint->arena, "Authorization: Bearer " STR_FMT, STR_ARG(token));
    struct str url =
        arena_printf(mint->arena, STR_FMT "/app/installations/" STR_FMT "/access_tokens",
                     STR_ARG(own->url), STR_ARG(state->app->installation));
    struct remote_request request = {
        .who = GITHUB,
        .method = "POST",
        .url = url.data,
        .body = state->body,
        .headers = { "Content-Type: application/json", ACCEPT, VERSION, bearer.data },
        .peer = &own->peer,
        .response_max_bytes = ANSWER_MAX + state->grant.repositories.count * ANSWER_OF_REPOSITORY,
    };

    if (!url.data || !bearer.data)
        return error_set(error, ERROR_MEMORY, "no memory for a request to " GITHUB);
    return remote_call_mint(mint, &request, &state->call, error);
}

static enum progress sign_and_ask(struct mint *mint, struct github_state *state,
                                  struct error *error)
{
    JSON_OWNED json_t *claims = state->signing ? NULL : app_claims(mint, state->app);
    struct str token = { 0 };
    enum progress progress;

    if (!state->signing && !claims) {
        (void)error_set(error, ERROR_MEMORY, "no memory for a token of the app");
        return PROGRESS_FAILED;
    }
    progress = given_key_sign(mint, state->app->key, &claims, &state->signing, &token, error);
    if (progress != PROGRESS_DONE)
        return progress;
    return ask(mint, state, token, error) ? PROGRESS_WAIT : PROGRESS_FAILED;
}

/* ---- refusals ---- */

static bool is_about_rates(const struct remote_call *call, struct str words)
{
    return call->status == 429 ||
           (call->status == 403 && (call->retry_after_s > 0 || call->rate_remaining == 0 ||
                                    str_contains(words, STR("rate limit"))));
}

static const char *explain(int status)
{
    static const struct {
        int status;
        const char *advice;
    } rows[] = {
        { 401, "it does not know the app, has not this key of it, or our clock is wrong" },
        { 403, "the installation is suspended, or may not" },
        { 404, "the app has no such installation" },
        { LACKS_IT, "the installation has not all of these permissions or repositories" },
    };

    for (size_t i = 0; i < COUNT(rows); i++)
        if (rows[i].status == status)
            return rows[i].advice;
    return "no";
}

/* Asking on would only make it longer. */
static bool be_quiet(struct github_state *state, int64_t now_s, struct error *error)
{
    int64_t wait_s = remote_quiet_heed(&state->app->quiet, state->call, true, now_s);

    return error_set(error, ERROR_MINT,
                     GITHUB " refused with %d: too many requests; it is not asked for %" PRId64
                            " s",
                     state->call->status, wait_s);
}

/*
 * A 4xx that explains itself made nothing; of all else nobody knows. What one app has not, and what
 * it may not ask any more, another one may.
 */
static bool refused(struct mint *mint, struct github_state *state, const json_t *answer,
                    struct error *error)
{
    const struct remote_call *call = state->call;
    struct str words = json_str(json_object_get(answer, "message"));

    if (call->status < 400 || call->status > 499 || words.len == 0)
        return error_set(error, ERROR_MINT_UNKNOWN, GITHUB " answered %d", call->status);
    mint->may_exist = json_object_get(answer, "token") != NULL; /* the error wins */
    state->may_pass_on =
        !mint->may_exist && (is_about_rates(call, words) || call->status == LACKS_IT);
    if (is_about_rates(call, words))
        return be_quiet(state, mint->now_s, error);
    if (call->status == LACKS_IT)
        github_app_lacks(state->app, &state->turn, mint->now_s);
    return error_set(error, ERROR_MINT, GITHUB " refused with %d: %s: \"" STR_FMT "\"",
                     call->status, explain(call->status),
                     STR_ARG(remote_call_words(call, words, WORDS_MAX)));
}

/* ---- the answer ---- */

static bool check_permissions(const json_t *given, const struct github_grant *grant,
                              struct error *error)
{
    const char *name;
    json_t *level;

    if (!json_is_object(given))
        return error_set(error, ERROR_MINT, GITHUB " does not say what its token may do");
    json_object_foreach (json_iterable(given), name, level)
        if (!github_allows(grant->permissions, name, json_str(level)))
            return error_set(error, ERROR_MINT, GITHUB " gave a token that may do more");
    return true;
}

static bool is_asked_for(const json_t *id, const struct texts *ids)
{
    char text[24];
    int len = snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT, json_integer_value(id));

    return json_is_integer(id) && texts_contain(ids, (struct str){ text, (size_t)len });
}

static bool check_repositories(const json_t *answer, const struct github_grant *grant,
                               struct error *error)
{
    const json_t *list = json_object_get(answer, "repositories");

    if (!str_eq(json_str(json_object_get(answer, "repository_selection")), STR("selected")))
        return error_set(error, ERROR_MINT, GITHUB " gave a token for all repositories");
    if (json_array_size(list) == 0)
        return error_set(error, ERROR_MINT, GITHUB " does not say for which repositories");
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!is_asked_for(json_object_get(json_array_get(list, i), "id"), &grant->repositories))
            return error_set(error, ERROR_MINT, GITHUB " gave a token for other repositories");
    return true;
}

static bool check_life(struct mint *mint, const json_t *answer, struct error *error)
{
    struct str text = json_str(json_object_get(answer, "expires_at"));
    int64_t expires_ms;

    if (text.len < TIME_TEXT_S_LEN || !time_text_parse(text, &expires_ms))
        return error_set(error, ERROR_MINT, GITHUB " does not say how long its token lives");
    if (!oauth_life_check(expires_ms / 1000 - mint->now_s, mint->ttl_s, GITHUB, error))
        return false;
    mint->expires_s = expires_ms / 1000;
    return true;
}

/* As the audit log of the organization has it: how what the token did is found there. */
static json_t *hashed(struct str token)
{
    OWNED(buf_release) struct buf text = { 0 };
    uint8_t digest[SHA256_LEN];

    sha256(token, digest);
    buf_init(&text, BASE64_ENCODED_MAX((size_t)SHA256_LEN));
    buf_add_base64(&text, (struct str){ (const char *)digest, SHA256_LEN });
    return buf_is_ok(&text) ? json_from_str(buf_str(&text)) : NULL;
}

static bool put_results(struct mint *mint, struct str token)
{
    const struct github_settings *own = mint->target->settings;
    json_t *github = json_object();

    mint->credential = json_object();
    return json_put(mint->credential, "github", github) &&
           json_put(github, "token", json_from_str(token)) &&
           json_put(github, "host", json_from_str(own->host)) &&
           json_put(mint->record, "id", json_from_str(token_id(mint->arena, token))) &&
           json_put(mint->record, "hashed_token", hashed(token));
}

/* What ends a token is kept first: it is ended, too, if it is not what was asked for. */
static bool keep_handle(struct mint *mint, struct str token, struct error *error)
{
    if (!text_is_token(token, TOKEN_MAX))
        return true;
    mint->handle = json_object();
    return json_put(mint->handle, "token", json_from_str(token)) ||
           error_set(error, ERROR_MEMORY, "no memory for a handle");
}

static bool take_token(struct mint *mint, const struct github_state *state, const json_t *answer,
                       struct error *error)
{
    if (!mint->handle || !text_is_bearer(json_str(json_object_get(answer, "token")), TOKEN_MAX))
        return error_set(error, ERROR_MINT, GITHUB " gave no proper token");
    if (json_object_get(answer, "message"))
        return error_set(error, ERROR_MINT, GITHUB " gave a token and an error");
    if (!check_permissions(json_object_get(answer, "permissions"), &state->grant, error) ||
        !check_repositories(answer, &state->grant, error) || !check_life(mint, answer, error))
        return false;
    if (!put_results(mint, json_str(json_object_get(answer, "token"))))
        return error_set(error, ERROR_MEMORY, "no memory for a credential");
    mint->may_exist = false;
    return true;
}

static bool finish(struct mint *mint, struct github_state *state, struct error *error)
{
    const struct remote_call *call = state->call;
    const struct json_limits limits = {
        ANSWER_MAX + state->grant.repositories.count * ANSWER_OF_REPOSITORY, 16,
        1000 + state->grant.repositories.count * MEMBERS_OF_REPOSITORY
    };
    JSON_OWNED json_t *answer = NULL;
    struct error inner = { 0 };

    mint->may_exist = call->outcome != UPSTREAM_UNSENT;
    if (!remote_call_is_answered(call, GITHUB, error))
        return false;
    if (!json_parse_object(buf_str(&call->body), limits, &answer, &inner))
        return error_set(error, ERROR_MINT_UNKNOWN, GITHUB " answered %d; %s", call->status,
                         inner.cause);
    if (!keep_handle(mint, json_str(json_object_get(answer, "token")), error))
        return false;
    if (call->status != 201)
        return refused(mint, state, answer, error);
    (void)remote_quiet_heed(&state->app->quiet, call, false, mint->now_s); /* it was its last */
    return take_token(mint, state, answer, error);
}

/* ---- the mint ---- */

static bool nobody_may_ask(const struct mint *mint, struct error *error)
{
    const struct github_settings *own = mint->target->settings;
    int64_t wait_s = REMOTE_QUIET_MAX_S;

    for (size_t i = 0; i < own->app_count; i++) {
        int64_t left_s = remote_quiet_left_s(&own->apps[i].quiet, mint->now_s);

        wait_s = left_s < wait_s ? left_s : wait_s;
    }
    return error_set(error, ERROR_MINT,
                     GITHUB " was not asked: it had too many requests, %" PRId64 " s are left",
                     wait_s);
}

static bool choose(struct mint *mint, struct github_state *state, struct error *error)
{
    state->app = github_turn_next(mint->target->settings, &state->turn, mint->now_s);
    if (!state->app)
        return nobody_may_ask(mint, error);
    state->signing = NULL;
    state->call = NULL;
    state->may_pass_on = false;
    return (json_put(mint->record, "app", json_from_str(state->app->app)) &&
            json_put(mint->record, "installation", json_from_str(state->app->installation))) ||
           error_set(error, ERROR_MEMORY, "no memory for a record");
}

static bool fill(struct mint *mint, struct github_state *made, struct error *error)
{
    OWNED(buf_release) struct buf body = { 0 };
    struct grant_reader reader = { .arena = mint->arena };

    if (!github_read_grant(&reader, mint->fields, &made->grant))
        return grant_error(&reader, error);
    buf_init(&body, BODY_MAX);
    write_body(&body, &made->grant);
    made->body = buf_is_ok(&body) ? arena_copy(mint->arena, buf_str(&body)) : (struct str){ 0 };
    mint->record = json_object();
    if (!made->body.data || !mint->record)
        return error_set(error, ERROR_MEMORY, "no memory for a request to " GITHUB);
    github_turn_begin(mint->target->settings, made->body, &made->turn);
    return choose(mint, made, error);
}

/* NULL: why not. */
static struct github_state *state_new(struct mint *mint, struct error *error)
{
    struct github_state *made = arena_alloc(mint->arena, sizeof(*made));

    if (!made) {
        (void)error_set(error, ERROR_MEMORY, "no memory for a request to " GITHUB);
        return NULL;
    }
    return fill(mint, made, error) ? made : NULL;
}

/* Of several apps the log says which one was asked at last. */
static enum progress fail(const struct mint *mint, const struct github_state *state,
                          const struct error *why, struct error *error)
{
    const struct github_settings *own = mint->target->settings;

    *error = *why;
    if (own->app_count > 1)
        (void)error_wrap(error, "app " STR_FMT, STR_ARG(state->app->app));
    return PROGRESS_FAILED;
}

static enum progress take_answer(struct mint *mint, struct github_state *state, struct error *error)
{
    const struct github_state asked = *state;
    struct error why = { 0 };
    struct error ignored = { 0 };

    if (finish(mint, state, &why))
        return PROGRESS_DONE;
    if (!state->may_pass_on || !choose(mint, state, &ignored))
        return fail(mint, &asked, &why, error);
    return sign_and_ask(mint, state, error);
}

enum progress github_mint(struct mint *mint, struct error *error)
{
    struct github_state *state = mint->state ? mint->state : state_new(mint, error);

    if (!state)
        return PROGRESS_FAILED;
    mint->state = state;
    return state->call ? take_answer(mint, state, error) : sign_and_ask(mint, state, error);
}

/* ---- ending ---- */

struct github_ending {
    struct remote_call *call;
};

static bool ask_to_delete(struct revocation *revocation, struct error *error)
{
    const struct github_settings *own = revocation->target->settings;
    struct str token = json_str(json_object_get(revocation->handle, "token"));
    struct str bearer =
        arena_printf(revocation->arena, "Authorization: Bearer " STR_FMT, STR_ARG(token));
    struct str url =
        arena_printf(revocation->arena, STR_FMT "/installation/token", STR_ARG(own->url));
    struct remote_request request = {
        .who = GITHUB,
        .method = "DELETE",
        .url = url.data,
        .headers = { ACCEPT, VERSION, bearer.data },
        .peer = &own->peer,
    };
    struct github_ending *ending = arena_alloc(revocation->arena, sizeof(*ending));

    if (token.len == 0)
        return error_set(error, ERROR_MINT, "only the token ends itself, and it is not there");
    if (!ending || !url.data || !bearer.data)
        return error_set(error, ERROR_MEMORY, "no memory for a request to " GITHUB);
    revocation->state = ending; /* before the thread may wake us */
    if (remote_call_send(revocation->tools->upstream, revocation->waker, revocation->arena,
                         &request, &ending->call, error))
        return true;
    revocation->state = NULL;
    return false;
}

/* Whether these are GitHub's own words, not those of something before it. */
static bool is_its_own(const struct remote_call *call)
{
    JSON_OWNED json_t *answer = NULL;
    struct error ignored = { 0 };

    return json_parse_object(buf_str(&call->body), JSON_LIMITS_REQUEST, &answer, &ignored) &&
           json_str(json_object_get(answer, "message")).len > 0;
}

/* A token that is not known there is gone: it was deleted before, or its hour is over. */
static bool is_deleted(const struct remote_call *call, struct error *error)
{
    struct error inner = { 0 };

    if (!remote_call_is_answered(call, GITHUB, &inner))
        return error_set(error, ERROR_MINT, "%s", inner.cause);
    if (call->status == 204 || ((call->status == 401 || call->status == 404) && is_its_own(call)))
        return true;
    return error_set(error, ERROR_MINT, GITHUB " did not delete a token: it answered %d",
                     call->status);
}

enum progress github_revoke(struct revocation *revocation, struct error *error)
{
    const struct github_ending *ending = revocation->state;

    if (!ending)
        return ask_to_delete(revocation, error) ? PROGRESS_WAIT : PROGRESS_FAILED;
    return is_deleted(ending->call, error) ? PROGRESS_DONE : PROGRESS_FAILED;
}
