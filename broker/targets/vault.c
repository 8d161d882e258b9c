/*
 * Tokens of Vault or OpenBao, by a login with our token for the stage at a role. When the lease
 * ends the token revokes itself.
 *
 * Source: Vault, JWT auth method: POST auth/jwt/login; token: POST auth/token/revoke-self;
 *         namespaces (X-Vault-Namespace)
 */
#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "targets/oauth_answer.h"
#include "targets/remote_call.h"
#include "targets/stage_token.h"
#include "targets/targets_internal.h"
#include "upstream/upstream.h"

#define VAULT "Vault"
#define REQUEST_MAX ((size_t)16 * 1024)
#define TOKEN_MAX ((size_t)2048) /* it must fit into a handle */
#define ACCESSOR_MAX 128
#define WORDS_MAX 120
#define POLICIES_MAX 1000

#define LIFE_MIN_S 1 /* the role says how long; we revoke when the lease ends */
#define LIFE_MAX_S ((int64_t)24 * 3600)

static const struct json_limits answer_limits = { (size_t)64 * 1024, 16, 4000 };

static const struct text_limits role_limits = { "role", LETTERS_AND_DIGITS "_.-", 128, 1 };
static const struct text_limits namespace_limits = { "namespace", LETTERS_AND_DIGITS "_.-/", 512,
                                                     1 };
static const struct text_limits mount_limits = { "mount", LETTERS_AND_DIGITS "_.-/", 128, 1 };
static const struct text_limits audience_limits = { "audience", NULL, 255, 1 };

/* Paths of the server's own, which no namespace is called. */
static const char *const reserved[] = { "root", "sys", "audit", "auth", "cubbyhole", "identity" };

struct vault_settings {
    struct str address;
    struct str mount;
    struct str audience; /* of our token */
    enum stage_token_algorithm algorithm;
    struct upstream_peer peer;
};

static const char *const settings[] = { "address", "mount",          "audience",   "algorithm",
                                        "ca",      "allow_networks", "allow_http", NULL };
static const char *const own_settings[] = { "ca", "allow_networks", "allow_http", NULL };

static bool configure(const struct yaml_reader *reader, const json_t *node, struct target *target)
{
    struct vault_settings *own = target->settings;

    own->mount = STR("jwt");
    if (!yaml_require(reader, node, "address") || !setting_peer(reader, node, &own->peer) ||
        !setting_base(reader, node, "address", &own->peer, &own->address))
        return false;
    own->audience = own->address;
    return setting_text(reader, node, &mount_limits, &own->mount) &&
           setting_text(reader, node, &audience_limits, &own->audience) &&
           stage_token_setting(reader, node, &own->algorithm);
}

static bool start(struct target *target, const struct target_tools *tools, struct error *error)
{
    const struct vault_settings *own = target->settings;

    return stage_token_start(tools, own->algorithm, error);
}

static bool is_reserved(struct str name)
{
    for (size_t i = 0; i < COUNT(reserved); i++)
        if (str_eq_ignore_case(name, str_from(reserved[i])))
            return true;
    return str_eq(name, STR(".")) || str_eq(name, STR(".."));
}

static bool check_namespace(struct grant_reader *reader, const json_t *value, struct str path)
{
    bool has_more = true;
    struct str part;

    while (has_more) {
        has_more = str_cut(path, '/', &part, &path);
        if (part.len == 0)
            return grant_fault(reader, value,
                               "a namespace is written like teams/payments: no '/' at an end, "
                               "none beside another");
        if (is_reserved(part))
            return grant_fault(reader, value, "no namespace is called '" STR_FMT "'",
                               STR_ARG(part));
    }
    return true;
}

struct vault_grant {
    struct str role;
    struct str path; /* of the namespace, or empty */
};

static bool read_fields(struct grant_reader *reader, const json_t *fields,
                        struct vault_grant *grant)
{
    const json_t *at = json_object_get(fields, "namespace");

    return grant_need(reader, fields, &role_limits, &grant->role) &&
           grant_may(reader, fields, &namespace_limits, &grant->path) &&
           (!at || check_namespace(reader, at, grant->path));
}

static bool read_grant(struct grant_reader *reader, const struct policy_grant_view *view)
{
    struct vault_grant grant = { 0 };

    return read_fields(reader, view->fields, &grant);
}

static void check(const struct yaml_reader *yaml, const struct policy_grant_view *view)
{
    grant_check(yaml, view, read_grant);
}

/*
 * "teams/payments/deploy": the role in its namespace; as it where the server is. The server makes a
 * role's name small before it looks for it.
 */
static bool gives(const struct policy_grant_view *view, struct arena *arena,
                  struct policy_given *given)
{
    const struct vault_settings *own = view->target ? view->target->settings : NULL;
    struct str server = view->target ? view->target->name : STR("");
    struct str path = json_str(json_object_get(view->fields, "namespace"));
    struct str name = json_str(json_object_get(view->fields, "role"));

    if (own)
        server = own->address;
    if (path.len > 0)
        name = arena_printf(arena, STR_FMT "/" STR_FMT, STR_ARG(path), STR_ARG(name));
    return given_room(given, arena, 1, 1) && given_name(given, name) &&
           given_principal(
               given, arena_printf(arena, STR_FMT "@" STR_FMT, STR_ARG(name), STR_ARG(server)));
}

/* ---- asking ---- */

struct vault_state {
    struct vault_grant grant;
    struct stage_signing *signing;
    struct remote_call *call; /* NULL: not asked yet */
};

/* A header's line; NULL: no memory. */
static const char *header(struct arena *arena, const char *name, struct str value)
{
    return arena_printf(arena, "%s: " STR_FMT, name, STR_ARG(value)).data;
}

static bool write_login(struct buf *body, const struct vault_grant *grant, struct str token)
{
    JSON_OWNED json_t *login = json_object();

    if (!json_put(login, "role", json_from_str(grant->role)) ||
        !json_put(login, "jwt", json_from_str(token)))
        return false;
    buf_add_json(body, login);
    return buf_is_ok(body);
}

static bool ask(struct mint *mint, struct vault_state *state, struct str token, struct error *error)
{
    const struct vault_settings *own = mint->target->settings;
    OWNED(buf_release) struct buf body = { 0 };
    const char *place = header(mint->arena, "X-Vault-Namespace", state->grant.path);
    struct remote_request request = {
        .who = VAULT,
        .method = "POST",
        .url = arena_printf(mint->arena, STR_FMT "/v1/auth/" STR_FMT "/login",
                            STR_ARG(own->address), STR_ARG(own->mount))
                   .data,
        .headers = { "Content-Type: application/json", "Accept: application/json",
                     state->grant.path.len > 0 ? place : NULL },
        .peer = &own->peer,
    };

    buf_init(&body, REQUEST_MAX);
    if (!place || !request.url || !write_login(&body, &state->grant, token))
        return error_set(error, ERROR_MEMORY, "no memory for a request to " VAULT);
    request.body = buf_str(&body);
    return remote_call_mint(mint, &request, &state->call, error);
}

static enum progress sign_and_ask(struct mint *mint, struct vault_state *state, struct error *error)
{
    const struct vault_settings *own = mint->target->settings;
    const struct stage_token wanted = {
        .audience = own->audience,
        .algorithm = own->algorithm,
    };
    struct str token = { 0 };
    enum progress progress = stage_token_sign(mint, &wanted, &state->signing, &token, error);

    if (progress != PROGRESS_DONE)
        return progress;
    return ask(mint, state, token, error) ? PROGRESS_WAIT : PROGRESS_FAILED;
}

/* ---- the answer ---- */

/* What Vault says is wrong: the first of its sentences. */
static struct str words_of(const struct remote_call *call, const json_t *errors)
{
    return remote_call_words(call, json_str(json_array_get(errors, 0)), WORDS_MAX);
}

/* An error's status: with it nothing was made. After others that may be. */
static bool is_refusal(int status)
{
    return (status >= 400 && status < 500) || status == 503; /* sealed, or a standby */
}

static bool refused(struct mint *mint, const struct remote_call *call, const json_t *answer,
                    struct error *error)
{
    struct str words = words_of(call, json_object_get(answer, "errors"));

    mint->may_exist = !is_refusal(call->status) || json_object_get(answer, "auth");
    return error_set(error, mint->may_exist ? ERROR_MINT_UNKNOWN : ERROR_MINT,
                     VAULT " refused with %d \"" STR_FMT "\"", call->status, STR_ARG(words));
}

/* Its `auth`, once that is what the answer is. */
static bool take_auth(struct mint *mint, const struct remote_call *call, const json_t **auth,
                      struct error *error)
{
    struct error inner = { 0 };
    json_t *answer = NULL;

    mint->may_exist = call->outcome != UPSTREAM_UNSENT;
    if (!remote_call_is_answered(call, VAULT, error))
        return false;
    if (!json_parse_object(buf_str(&call->body), answer_limits, &answer, &inner) ||
        !json_keep(mint->arena, answer, &inner))
        return error_set(error, ERROR_MINT_UNKNOWN, VAULT " answered %d; %s", call->status,
                         inner.cause);
    *auth = json_object_get(answer, "auth");
    if (json_object_get(answer, "errors"))
        return refused(mint, call, answer, error);
    if (call->status != 200)
        return error_set(error, ERROR_MINT_UNKNOWN, VAULT " answered %d without an error",
                         call->status);
    return true;
}

static bool is_batch(const json_t *auth, struct str token)
{
    const json_t *type = json_object_get(auth, "token_type");

    if (type)
        return !str_eq(json_str(type), STR("service"));
    return str_starts_with(token, STR("hvb.")) || str_starts_with(token, STR("b."));
}

/*
 * From here on the token can be ended, whatever else is wrong with it: a batch token cannot.
 */
static bool take_token(struct mint *mint, const json_t *auth, struct str *token,
                       struct error *error)
{
    *token = json_str(json_object_get(auth, "client_token"));
    if (!text_is_token(*token, TOKEN_MAX))
        return error_set(error, ERROR_MINT, VAULT " gave no proper token");
    if (is_batch(auth, *token))
        return error_set(error, ERROR_MINT,
                         VAULT "'s role gives tokens that cannot be revoked: its token_type must "
                               "be service");
    mint->handle = json_object();
    if (!json_put(mint->handle, "token", json_from_str(*token)))
        return error_set(error, ERROR_MEMORY, "no memory for a handle");
    return text_is_bearer(*token, TOKEN_MAX) ||
           error_set(error, ERROR_MINT, VAULT " gave no proper token");
}

/* A list of names without "root", which is allowed everything. */
static bool are_policies(const json_t *list)
{
    if (!json_is_array(list) || json_array_size(list) > POLICIES_MAX)
        return false;
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct str name = json_str(json_array_get(list, i));

        if (name.len == 0 || str_eq_ignore_case(name, STR("root")))
            return false;
    }
    return true;
}

static bool check_policies(const json_t *auth, struct error *error)
{
    static const char *const more[] = { "token_policies", "identity_policies" };
    bool is_good = are_policies(json_object_get(auth, "policies"));

    for (size_t i = 0; i < COUNT(more); i++) {
        const json_t *list = json_object_get(auth, more[i]);

        is_good = is_good && (!list || json_is_null(list) || are_policies(list));
    }
    return is_good || error_set(error, ERROR_MINT,
                                VAULT " gave a token with the policy root, or did not say which "
                                      "policies it has");
}

static bool check_auth(const struct mint *mint, const struct vault_grant *grant, const json_t *auth,
                       struct error *error)
{
    const json_t *metadata = json_object_get(auth, "metadata");
    const json_t *life = json_object_get(auth, "lease_duration");

    if (!str_eq_ignore_case(json_str(json_object_get(metadata, "role")), grant->role))
        return error_set(error, ERROR_MINT, VAULT " gave a token of another role");
    if (!json_is_integer(life))
        return error_set(error, ERROR_MINT, VAULT " does not say how long its token lives");
    if (!json_is_boolean(json_object_get(auth, "renewable")))
        return error_set(error, ERROR_MINT, VAULT " does not say whether its token can be renewed");
    if (!text_is_token(json_str(json_object_get(auth, "accessor")), ACCESSOR_MAX))
        return error_set(error, ERROR_MINT, VAULT " gave a token without an accessor");
    return check_policies(auth, error) &&
           oauth_life_check(json_integer_value(life), mint->ttl_s, VAULT, error);
}

static bool put_results(struct mint *mint, const struct vault_grant *grant, const json_t *auth,
                        struct str token)
{
    const struct vault_settings *own = mint->target->settings;
    json_t *vault = json_object();

    mint->credential = json_object();
    return json_put(mint->credential, "vault", vault) &&
           json_put(vault, "token", json_from_str(token)) &&
           json_put(vault, "address", json_from_str(own->address)) &&
           json_put(vault, "role", json_from_str(grant->role)) &&
           json_put_text(vault, "namespace", grant->path) &&
           json_put(mint->record, "id", json_incref(json_object_get(auth, "accessor")));
}

static bool finish(struct mint *mint, const struct vault_state *state, struct error *error)
{
    const json_t *auth = NULL;
    struct str token;

    if (!take_auth(mint, state->call, &auth, error) || !take_token(mint, auth, &token, error) ||
        !check_auth(mint, &state->grant, auth, error))
        return false;
    mint->may_exist = false;
    mint->expires_s = mint->now_s + json_integer_value(json_object_get(auth, "lease_duration"));
    return put_results(mint, &state->grant, auth, token) ||
           error_set(error, ERROR_MEMORY, "no memory for a credential");
}

static bool put_record(struct mint *mint, const struct vault_state *state, struct error *error)
{
    mint->record = json_object();
    return (json_put(mint->record, "role", json_from_str(state->grant.role)) &&
            json_put_text(mint->record, "namespace", state->grant.path)) ||
           error_set(error, ERROR_MEMORY, "no memory for a record");
}

static struct vault_state *state_new(struct mint *mint, struct error *error)
{
    struct grant_reader reader = { .arena = mint->arena };
    struct vault_state *state = arena_alloc(mint->arena, sizeof(*state));

    if (!state)
        (void)error_set(error, ERROR_MEMORY, "no memory for a request to " VAULT);
    else if (!read_fields(&reader, mint->fields, &state->grant))
        (void)grant_error(&reader, error);
    else if (put_record(mint, state, error))
        return state;
    return NULL;
}

static enum progress vault_mint(struct mint *mint, struct error *error)
{
    struct vault_state *state = mint->state ? mint->state : state_new(mint, error);

    if (!state)
        return PROGRESS_FAILED;
    mint->state = state;
    if (!state->call)
        return sign_and_ask(mint, state, error);
    return finish(mint, state, error) ? PROGRESS_DONE : PROGRESS_FAILED;
}

/* ---- ending ---- */

/* Who has not the token can not end it: one that nobody heard of expires, as its role says. */
static bool is_revocable(const struct mint *mint)
{
    return mint->handle != NULL;
}

struct vault_ending {
    struct remote_call *call;
};

static bool ask_to_end(struct revocation *revocation, struct error *error)
{
    const struct vault_settings *own = revocation->target->settings;
    struct arena *arena = revocation->arena;
    struct str path = json_str(json_object_get(revocation->record, "namespace"));
    struct str token = json_str(json_object_get(revocation->handle, "token"));
    const char *place = header(arena, "X-Vault-Namespace", path);
    const char *key = header(arena, "X-Vault-Token", token);
    struct remote_request request = {
        .who = VAULT,
        .method = "POST",
        .url =
            arena_printf(arena, STR_FMT "/v1/auth/token/revoke-self", STR_ARG(own->address)).data,
        .headers = { key, path.len > 0 ? place : NULL },
        .peer = &own->peer,
    };
    struct vault_ending *ending = arena_alloc(arena, sizeof(*ending));

    if (!ending || !place || !key || !request.url)
        return error_set(error, ERROR_MEMORY, "no memory for a request to " VAULT);
    if (!text_is_token(token, TOKEN_MAX))
        return error_set(error, ERROR_MINT, "the token is not kept that is to be ended");
    revocation->state = ending; /* before the thread may wake us */
    if (remote_call_send(revocation->tools->upstream, revocation->waker, arena, &request,
                         &ending->call, error))
        return true;
    revocation->state = NULL;
    return false;
}

/* Whether Vault says that it does not know the token. */
static bool is_unknown_there(const json_t *errors)
{
    for (size_t i = 0; i < json_array_size(errors); i++) {
        struct str words = json_str(json_array_get(errors, i));

        if (str_contains(words, STR("invalid token")) || str_contains(words, STR("bad token")))
            return true;
    }
    return false;
}

/*
 * A token that has ended is refused, in the words of newer servers as unknown. Older ones do not
 * tell it from one that may not end itself: that is tried until it has expired.
 */
static bool has_ended(const struct revocation *revocation, const struct remote_call *call,
                      struct error *error)
{
    struct error inner = { 0 };
    json_t *answer = NULL;
    const json_t *errors;

    if (!remote_call_is_answered(call, VAULT, &inner))
        return error_set(error, ERROR_MINT, "%s", inner.cause);
    if (call->status == 204 || call->status == 200)
        return true;
    if (!json_parse_object(buf_str(&call->body), answer_limits, &answer, &inner) ||
        !json_keep(revocation->arena, answer, &inner))
        return error_set(error, ERROR_MINT, VAULT " answered %d; %s", call->status, inner.cause);
    errors = json_object_get(answer, "errors");
    if (call->status == 403 &&
        (is_unknown_there(errors) || revocation->now_s >= revocation->expires_s))
        return true;
    return error_set(error, ERROR_MINT, VAULT " refused to revoke with %d \"" STR_FMT "\"",
                     call->status, STR_ARG(words_of(call, errors)));
}

static enum progress vault_revoke(struct revocation *revocation, struct error *error)
{
    const struct vault_ending *ending = revocation->state;

    if (!ending)
        return ask_to_end(revocation, error) ? PROGRESS_WAIT : PROGRESS_FAILED;
    return has_ended(revocation, ending->call, error) ? PROGRESS_DONE : PROGRESS_FAILED;
}

static const char *const fields[] = { "target", "role", "namespace", NULL };
static const char *const fields_told[] = { "role", "namespace", NULL };

const struct target_kind target_vault = {
    .grant = {
        .name = "vault",
        .fields = fields,
        .has_target = true,
        .ttl_min_s = LIFE_MIN_S,
        .ttl_max_s = LIFE_MAX_S,
        .check = check,
        .matching = POLICY_MATCHING_GLOB_ANY_CASE,
        .gives = gives,
        .revocation = POLICY_REVOKED_NOW,
        .fields_told = fields_told,
    },
    .settings = settings,
    .own_settings = own_settings,
    .configure = configure,
    .settings_size = sizeof(struct vault_settings),
    .start = start,
    .mint = vault_mint,
    .revoke = vault_revoke,
    .is_revocable = is_revocable,
};
