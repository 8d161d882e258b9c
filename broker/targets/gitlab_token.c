/*
 * Making tokens, and what they are called.
 *
 * Source: GitLab API, create a project access token, a group access token, a project deploy token.
 *         An access token ends on a date, at its midnight UTC; a deploy token at a time.
 */
#include <inttypes.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/id.h"
#include "base/json.h"
#include "base/time_text.h"
#include "targets/gitlab_internal.h"
#include "targets/oauth_answer.h"

#define PREFIX "stagepass-"
#define TAG_BYTES 6
#define TITLE_REST_MAX                                                                             \
    120 /* of what follows a name: GitLab's users have names of 255, in two parts */
#define TOKEN_MAX ((size_t)512)
#define USERNAME_MAX ((size_t)255)
#define DAY_S ((int64_t)86400)
#define DATE_LEN 10
#define ANY_USER "oauth2" /* with an access token GitLab takes any name */

static const struct json_limits answer_limits = { (size_t)64 * 1024, 16, 1000 };

/* ---- names ---- */

struct str gitlab_name_start(struct str issuer, struct arena *arena)
{
    struct str tag = sha256_tag(issuer, TAG_BYTES, arena);

    return tag.data ? arena_printf(arena, PREFIX STR_FMT "-", STR_ARG(tag)) : tag;
}

/*
 * What a token is found by: "stagepass-BROKER-LEASE-TAG". It begins the token's name at GitLab, in
 * front of a space. `data` NULL: no memory.
 */
static struct str name_of(const struct mint *mint)
{
    struct arena *arena = mint->arena;
    struct str start = gitlab_name_start(mint->tools->issuer, arena);
    struct str which =
        arena_printf(arena, STR_FMT "\n" STR_FMT, STR_ARG(mint->grant), STR_ARG(mint->attempt));
    struct str tag = which.data ? sha256_tag(which, TAG_BYTES, arena) : (struct str){ 0 };

    if (!start.data || !tag.data)
        return (struct str){ 0 };
    return arena_printf(arena, STR_FMT STR_FMT "-" STR_FMT, STR_ARG(start), STR_ARG(mint->lease),
                        STR_ARG(tag));
}

struct str gitlab_name_of(struct str title)
{
    return str_slice(title, 0, str_find(title, ' '));
}

struct str gitlab_name_lease(struct str name, struct str start)
{
    struct str lease = str_slice(name, start.len, ID_LEN);
    struct str tag = str_slice(name, start.len + ID_LEN, name.len);

    if (!str_starts_with(name, start) || !id_is_valid(lease) || tag.len != 1 + 2 * TAG_BYTES ||
        tag.data[0] != '-')
        return STR("");
    return lease;
}

/* For people: what GitLab would take out or cannot show is no part of it. */
static void add_for_people(struct buf *title, struct str text)
{
    static const char plain[] = LETTERS_AND_DIGITS "._-/:@+";

    buf_add_byte(title, ' ');
    for (size_t i = 0; i < text.len; i++)
        buf_add_byte(title, str_is_made_of(str_slice(text, i, 1), plain) ? (uint8_t)text.data[i]
                                                                         : (uint8_t)'_');
}

/* The name, then stage and run. */
static struct str title_of(const struct mint *mint, struct str name)
{
    OWNED(buf_release) struct buf title = { 0 };

    buf_init(&title, name.len + mint->stage.len + mint->run.len + 8);
    buf_add(&title, name);
    add_for_people(&title, mint->stage);
    if (mint->run.len > 0)
        add_for_people(&title, mint->run);
    if (!buf_is_ok(&title))
        return (struct str){ 0 };
    return arena_copy(mint->arena, str_slice(buf_str(&title), 0, name.len + 1 + TITLE_REST_MAX));
}

/* ---- asking ---- */

struct gitlab_state {
    struct gitlab_grant grant;
    struct str title;
    int64_t target_end_s; /* when GitLab ends it by itself */
    struct str end;       /* the same, as it is asked for */
    struct remote_call *call;
};

/* The earliest that GitLab can be asked for and that covers the lease. */
static bool find_end(const struct mint *mint, struct gitlab_state *state)
{
    int64_t lease_end_s = mint->now_s + mint->ttl_s;
    char text[TIME_TEXT_S_LEN + 1];

    state->target_end_s = lease_end_s;
    if (state->grant.token != GITLAB_DEPLOY)
        state->target_end_s = (lease_end_s + DAY_S - 1) / DAY_S * DAY_S;
    time_text_s(state->target_end_s, text);
    state->end = arena_copy(mint->arena, str_from(text));
    if (state->grant.token != GITLAB_DEPLOY)
        state->end = str_slice(state->end, 0, DATE_LEN);
    return state->end.data != NULL;
}

static bool write_body(json_t *body, const struct gitlab_state *state)
{
    const struct texts *scopes = &state->grant.scopes;

    return json_put(body, "name", json_from_str(state->title)) &&
           json_put(body, "scopes", json_from_strs(scopes->list, scopes->count)) &&
           json_put(body, "expires_at", json_from_str(state->end)) &&
           (state->grant.token == GITLAB_DEPLOY ||
            json_put(body, "access_level", json_integer(state->grant.access_level)));
}

static bool ask(struct mint *mint, struct gitlab_state *state, struct error *error)
{
    JSON_OWNED json_t *body = json_object();
    const struct gitlab_request request = {
        .own = mint->target->settings,
        .upstream = mint->tools->upstream,
        .waker = mint->waker,
        .arena = mint->arena,
        .now_s = mint->now_s,
        .method = "POST",
        .path = gitlab_path(state->grant.token, state->grant.owner, mint->arena),
        .body = body,
    };

    if (!write_body(body, state))
        return error_set(error, ERROR_MEMORY, "no memory for a request to " GITLAB);
    mint->may_exist = true; /* before the thread may wake us */
    if (gitlab_ask(&request, &state->call, error))
        return true;
    mint->may_exist = false;
    return false;
}

/* ---- the answer ---- */

/* A 4xx that explains itself made nothing; of all else nobody knows. */
static bool refused(struct mint *mint, const struct remote_call *call, const json_t *answer,
                    struct error *error)
{
    struct str words = gitlab_words(call, answer, mint->arena);

    if (call->status < 400 || call->status > 499 || words.len == 0)
        return error_set(error, ERROR_MINT_UNKNOWN, GITLAB " answered %d", call->status);
    mint->may_exist = json_object_get(answer, "token") != NULL; /* the error wins */
    return error_set(error, ERROR_MINT, GITLAB " refused with %d: %s: \"" STR_FMT "\"",
                     call->status, gitlab_advice(call->status), STR_ARG(words));
}

/*
 * Its number is kept first: by it whatever came is deleted, too, if it is not what was asked for.
 * Under another name it is somebody else's.
 */
static bool keep_number(struct mint *mint, const struct gitlab_state *state, const json_t *answer,
                        struct error *error)
{
    struct str number = gitlab_number(answer, "id", mint->arena);

    if (!str_eq(json_str(json_object_get(answer, "name")), state->title))
        return error_set(error, ERROR_MINT, GITLAB " gave a token of another name");
    if (number.len == 0)
        return error_set(error, ERROR_MINT, GITLAB " gave a token without an id");
    return json_put(mint->record, "token_id", json_from_str(number)) ||
           error_set(error, ERROR_MEMORY, "no memory for a record");
}

/* The same ones: none less either, for then it is not what GitLab was asked for. */
static bool check_scopes(const json_t *given, const struct texts *wanted, struct error *error)
{
    bool is_same = json_array_size(given) == wanted->count;

    for (size_t i = 0; is_same && i < wanted->count; i++) {
        bool is_there = false;

        for (size_t k = 0; k < json_array_size(given); k++)
            is_there = is_there || str_eq(json_str(json_array_get(given, k)), wanted->list[i]);
        is_same = is_there;
    }
    return is_same || error_set(error, ERROR_MINT, GITLAB " gave a token of other scopes");
}

static bool check_level(const json_t *answer, const struct gitlab_grant *grant, struct error *error)
{
    const json_t *level = json_object_get(answer, "access_level");

    if (grant->token == GITLAB_DEPLOY)
        return true; /* it has none */
    return (json_is_integer(level) && json_integer_value(level) == grant->access_level) ||
           error_set(error, ERROR_MINT, GITLAB " gave a token of another access level");
}

static bool check_end(const json_t *answer, const struct gitlab_state *state, struct error *error)
{
    int64_t end_s;

    if (!gitlab_time_parse(json_str(json_object_get(answer, "expires_at")), &end_s))
        return error_set(error, ERROR_MINT, GITLAB " does not say how long its token lives");
    return end_s == state->target_end_s ||
           error_set(error, ERROR_MINT,
                     GITLAB " gave a token that ends %" PRId64 " s %s than asked for",
                     end_s > state->target_end_s ? end_s - state->target_end_s
                                                 : state->target_end_s - end_s,
                     end_s > state->target_end_s ? "later" : "sooner");
}

static bool check_good(const json_t *answer, struct error *error)
{
    return (!json_is_true(json_object_get(answer, "revoked")) &&
            !json_is_true(json_object_get(answer, "expired")) &&
            !json_is_false(json_object_get(answer, "active"))) ||
           error_set(error, ERROR_MINT, GITLAB " gave a token that is not good");
}

static bool is_for_registry(const struct gitlab_grant *grant)
{
    return texts_contain(&grant->scopes, STR("read_registry")) ||
           texts_contain(&grant->scopes, STR("write_registry"));
}

/* When GitLab ends it by itself: of an access token long behind its lease. */
static json_t *target_end(const struct gitlab_state *state)
{
    char text[TIME_TEXT_S_LEN + 1];

    time_text_s(state->target_end_s, text);
    return json_string(text);
}

static bool put_credential(struct mint *mint, const struct gitlab_state *state, struct str token,
                           struct str username)
{
    const struct gitlab_settings *own = mint->target->settings;
    json_t *gitlab = json_object();

    mint->credential = json_object();
    return json_put(mint->credential, "gitlab", gitlab) &&
           json_put(gitlab, "token", json_from_str(token)) &&
           json_put(gitlab, "token_kind", json_string(gitlab_token_name(state->grant.token))) &&
           json_put(gitlab, "username", json_from_str(username)) &&
           json_put(gitlab, "host", json_from_str(own->host)) &&
           json_put(gitlab, gitlab_owner(state->grant.token), json_from_str(state->grant.owner)) &&
           json_put(gitlab, "target_expires_at", target_end(state)) &&
           (own->registry.len == 0 || !is_for_registry(&state->grant) ||
            json_put(gitlab, "registry", json_from_str(own->registry)));
}

/* An access token acts as a user of its own: GitLab's audit events name that one. */
static bool put_record(struct mint *mint, const json_t *answer, struct str token)
{
    struct str user = gitlab_number(answer, "user_id", mint->arena);

    return json_put(mint->record, "id", json_from_str(token_id(mint->arena, token))) &&
           json_put_text(mint->record, "user_id", user);
}

static struct str username_in(const json_t *answer, const struct gitlab_grant *grant)
{
    return grant->token == GITLAB_DEPLOY ? json_str(json_object_get(answer, "username"))
                                         : STR(ANY_USER);
}

/* Nothing that would end it where it stands in front of a password. */
static bool is_username(struct str username)
{
    return username.len > 0 && username.len <= USERNAME_MAX &&
           str_is_made_of(username, LETTERS_AND_DIGITS "._+-");
}

static bool take_token(struct mint *mint, const struct gitlab_state *state, const json_t *answer,
                       struct error *error)
{
    struct str token = json_str(json_object_get(answer, "token"));
    struct str username = username_in(answer, &state->grant);

    if (json_object_get(answer, "message") || json_object_get(answer, "error"))
        return error_set(error, ERROR_MINT, GITLAB " gave a token and an error");
    if (!text_is_bearer(token, TOKEN_MAX) || !is_username(username))
        return error_set(error, ERROR_MINT, GITLAB " gave no proper token");
    if (!check_scopes(json_object_get(answer, "scopes"), &state->grant.scopes, error) ||
        !check_level(answer, &state->grant, error) || !check_end(answer, state, error) ||
        !check_good(answer, error))
        return false;
    if (!put_credential(mint, state, token, username) || !put_record(mint, answer, token))
        return error_set(error, ERROR_MEMORY, "no memory for a credential");
    mint->expires_s = mint->now_s + mint->ttl_s; /* the broker sees to it */
    mint->may_exist = false;
    return true;
}

static bool finish(struct mint *mint, const struct gitlab_state *state, struct error *error)
{
    const struct remote_call *call = state->call;
    struct error inner = { 0 };
    json_t *answer = NULL;

    mint->may_exist = call->outcome != UPSTREAM_UNSENT;
    if (!gitlab_is_answered(mint->target->settings, call, mint->now_s, error)) {
        mint->may_exist = mint->may_exist && error->code != ERROR_MINT;
        return false;
    }
    if (!json_parse_object(buf_str(&call->body), answer_limits, &answer, &inner) ||
        !json_keep(mint->arena, answer, &inner))
        return error_set(error, ERROR_MINT_UNKNOWN, GITLAB " answered %d; %s", call->status,
                         inner.cause);
    if (call->status != 201)
        return refused(mint, call, answer, error);
    return keep_number(mint, state, answer, error) && take_token(mint, state, answer, error);
}

/* ---- the mint ---- */

/* Where the token is to be, and by which name it is found there. */
bool gitlab_intend(struct mint *mint, struct error *error)
{
    struct grant_reader reader = { .arena = mint->arena };
    JSON_OWNED json_t *record = json_object();
    struct gitlab_state state = { 0 };
    struct str name;

    if (!gitlab_read_grant(&reader, mint->fields, &state.grant))
        return grant_error(&reader, error);
    name = name_of(mint);
    if (!name.data || !find_end(mint, &state) || !json_put(record, "name", json_from_str(name)) ||
        !json_put(record, gitlab_owner(state.grant.token), json_from_str(state.grant.owner)) ||
        !json_put(record, "token_kind", json_string(gitlab_token_name(state.grant.token))) ||
        !json_put(record, "target_expires_at", target_end(&state)))
        return error_set(error, ERROR_MEMORY, "no memory for a record");
    mint->record = TAKE(record);
    return true;
}

static bool begin(struct mint *mint, struct error *error)
{
    struct grant_reader reader = { .arena = mint->arena };
    struct gitlab_state *state = arena_alloc(mint->arena, sizeof(*state));

    if (!state)
        return error_set(error, ERROR_MEMORY, "no memory for a request to " GITLAB);
    if (!gitlab_read_grant(&reader, mint->fields, &state->grant))
        return grant_error(&reader, error);
    state->title = title_of(mint, json_str(json_object_get(mint->record, "name")));
    if (!state->title.data || !find_end(mint, state))
        return error_set(error, ERROR_MEMORY, "no memory for a request to " GITLAB);
    mint->state = state;
    return ask(mint, state, error);
}

enum progress gitlab_mint(struct mint *mint, struct error *error)
{
    const struct gitlab_state *state = mint->state;

    if (!state)
        return begin(mint, error) ? PROGRESS_WAIT : PROGRESS_FAILED;
    return finish(mint, state, error) ? PROGRESS_DONE : PROGRESS_FAILED;
}
