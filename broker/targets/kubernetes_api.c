/*
 * Asking the API server: a Secret, a token that is bound to it, the Secret's end, and which there
 * are. The Secret's name follows from broker, lease, grant and attempt, so that it is found where
 * nobody heard whether it was made.
 */
#include <string.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/id.h"
#include "base/json.h"
#include "base/time_text.h"
#include "targets/kubernetes_internal.h"
#include "targets/oauth_answer.h"

#define SERVER KUBERNETES_SERVER
#define REQUEST_MAX ((size_t)16 * 1024)
#define LIST_MAX ((size_t)4 * 1024 * 1024)
#define UID_MAX 64
#define NAME_MAX 253
#define WORDS_MAX 120
#define TAG_BYTES 8
#define HELD_BACK_S 90 /* the API server's minute, and clocks that differ */
#define PREFIX "stagepass-"
#define LABEL_OURS "app.kubernetes.io/managed-by"
#define LABEL_BROKER "stagepass-broker"
#define LABEL_LEASE "stagepass-lease"
#define JSON_TYPE "Content-Type: application/json"
#define TAKES_JSON "Accept: application/json"
/* Without what is in Secrets, ours or others'. */
#define TAKES_METADATA "Accept: application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

static const struct json_limits answer_limits = { (size_t)64 * 1024, 16, 4000 };
static const struct json_limits list_limits = { LIST_MAX, 32, 400000 };

/* ---- names ---- */

/* A lease's id, of which case means nothing, in small letters or capitals. */
static struct str in_case(struct str text, char from, char to, struct arena *arena)
{
    char *copy = arena_alloc(arena, text.len + 1);

    for (size_t i = 0; copy && i < text.len; i++) {
        char c = text.data[i];

        copy[i] = c >= from && c < from + 26 ? (char)(c - from + to) : c;
    }
    return copy ? (struct str){ copy, text.len } : (struct str){ 0 };
}

static struct str small(struct str text, struct arena *arena)
{
    return in_case(text, 'A', 'a', arena);
}

/* "stagepass-LEASE-TAG"; `data` NULL: no memory. */
static struct str secret_name(struct str issuer, struct str lease, struct str grant,
                              struct str attempt, struct arena *arena)
{
    struct str whose = arena_printf(arena, STR_FMT "\n" STR_FMT "\n" STR_FMT, STR_ARG(issuer),
                                    STR_ARG(grant), STR_ARG(attempt));
    struct str lower = small(lease, arena);
    struct str tag = whose.data ? sha256_tag(whose, TAG_BYTES, arena) : (struct str){ 0 };

    if (!lower.data || !tag.data)
        return (struct str){ 0 };
    return arena_printf(arena, PREFIX STR_FMT "-" STR_FMT, STR_ARG(lower), STR_ARG(tag));
}

static bool is_secret_name(struct str name)
{
    return name.len <= NAME_MAX && str_starts_with(name, STR(PREFIX)) && text_is_dns_name(name) &&
           str_is_made_of(name, SMALL_LETTERS DIGITS "-");
}

static bool is_namespace(struct str space)
{
    return space.len <= 63 && str_is_made_of(space, SMALL_LETTERS DIGITS "-") &&
           text_is_dns_name(space);
}

/* ---- asking ---- */

/* One request, and whom its answer wakes. */
struct asking {
    const struct kubernetes_login *login;
    const char *method;
    struct str path;    /* `data` NULL: no memory */
    const json_t *body; /* NULL: none */
    const char *accept;
    size_t response_max;
};

static bool ask(const struct asking *asking, struct remote_call **call, struct error *error)
{
    OWNED(buf_release) struct buf body = { 0 };
    const struct mint *by = &asking->login->asking;
    const struct kubernetes_settings *own = by->target->settings;
    struct remote_request request = {
        .who = SERVER,
        .method = asking->method,
        .url =
            arena_printf(by->arena, STR_FMT STR_FMT, STR_ARG(own->api), STR_ARG(asking->path)).data,
        .headers = { asking->login->line, asking->accept, asking->body ? JSON_TYPE : NULL },
        .peer = &own->peer,
        .response_max_bytes = asking->response_max,
    };

    buf_init(&body, REQUEST_MAX);
    if (asking->body)
        buf_add_json(&body, asking->body);
    if (!request.url || !asking->path.data || !buf_is_ok(&body))
        return error_set(error, ERROR_MEMORY, "no memory for a request to " SERVER);
    request.body = buf_str(&body);
    return remote_call_send(by->tools->upstream, by->waker, by->arena, &request, call, error);
}

/* ---- answers ---- */

/* A Status that says why not. */
static bool is_failure(const json_t *answer)
{
    return str_eq(json_str(json_object_get(answer, "kind")), STR("Status")) &&
           str_eq(json_str(json_object_get(answer, "status")), STR("Failure"));
}

static bool refused(const struct remote_call *call, const json_t *answer, const char *what,
                    struct error *error)
{
    struct str reason =
        remote_call_words(call, json_str(json_object_get(answer, "reason")), WORDS_MAX);
    struct str words =
        remote_call_words(call, json_str(json_object_get(answer, "message")), WORDS_MAX);
    bool is_known = call->status >= 400 && call->status < 500;

    return error_set(error, is_known ? ERROR_MINT : ERROR_MINT_UNKNOWN,
                     SERVER " refused %s with %d " STR_FMT ": \"" STR_FMT "\"", what, call->status,
                     STR_ARG(reason), STR_ARG(words));
}

/* An answer's object, whatever its status. */
static bool read_answer(const struct remote_call *call, struct json_limits limits,
                        struct arena *arena, json_t **answer, struct error *error)
{
    struct error inner = { 0 };

    if (!remote_call_is_answered(call, SERVER, error))
        return false;
    if (!json_parse_object(buf_str(&call->body), limits, answer, &inner) ||
        !json_keep(arena, *answer, &inner))
        return error_set(error, ERROR_MINT_UNKNOWN, SERVER " answered %d; %s", call->status,
                         inner.cause);
    return true;
}

/* What was made: 201, and of the kind. */
static bool take_made(const struct mint *mint, const struct remote_call *call, const char *kind,
                      json_t **answer, struct error *error)
{
    if (!read_answer(call, answer_limits, mint->arena, answer, error))
        return false;
    if (is_failure(*answer))
        return refused(call, *answer, kind, error);
    if (call->status != 201 || !str_eq(json_str(json_object_get(*answer, "kind")), str_from(kind)))
        return error_set(error, ERROR_MINT_UNKNOWN, SERVER " answered %d without a %s",
                         call->status, kind);
    return true;
}

/* ---- minting ---- */

struct kubernetes_state {
    struct kubernetes_grant grant;
    struct kubernetes_login login;
    struct str secret;
    struct str uid; /* the Secret's, once it is there */
    struct remote_call *call;
};

static struct asking asking_for(const struct kubernetes_state *state, const json_t *body)
{
    return (struct asking){
        .login = &state->login,
        .method = "POST",
        .body = body,
        .accept = TAKES_JSON,
    };
}

static json_t *labels_of(const struct mint *mint)
{
    JSON_OWNED json_t *labels = json_object();
    struct str broker = sha256_tag(mint->tools->issuer, TAG_BYTES, mint->arena);

    return json_put(labels, LABEL_OURS, json_string("stagepass")) &&
                   json_put(labels, LABEL_BROKER, json_from_str(broker)) &&
                   json_put(labels, LABEL_LEASE, json_from_str(small(mint->lease, mint->arena)))
               ? TAKE(labels)
               : NULL;
}

static bool write_secret(json_t *object, const struct mint *mint,
                         const struct kubernetes_state *state)
{
    json_t *metadata = json_object();
    json_t *notes = json_object();

    return json_put(object, "apiVersion", json_string("v1")) &&
           json_put(object, "kind", json_string("Secret")) &&
           json_put(object, "type", json_string("Opaque")) &&
           json_put(object, "immutable", json_true()) && json_put(object, "metadata", metadata) &&
           json_put(metadata, "name", json_from_str(state->secret)) &&
           json_put(metadata, "labels", labels_of(mint)) &&
           json_put(metadata, "annotations", notes) &&
           json_put(notes, "stagepass-stage", json_from_str(mint->stage)) &&
           json_put(notes, "stagepass-grant", json_from_str(mint->grant));
}

static bool ask_for_secret(struct mint *mint, struct kubernetes_state *state, struct error *error)
{
    JSON_OWNED json_t *object = json_object();
    struct asking asking = asking_for(state, object);

    if (!write_secret(object, mint, state))
        return error_set(error, ERROR_MEMORY, "no memory for a request to " SERVER);
    asking.path = arena_printf(mint->arena, "/api/v1/namespaces/" STR_FMT "/secrets",
                               STR_ARG(state->grant.space));
    mint->may_exist = true; /* before the thread may wake us */
    if (ask(&asking, &state->call, error))
        return true;
    mint->may_exist = false;
    return false;
}

/* With an error whose outcome is known there is no Secret. */
static bool take_secret(struct mint *mint, struct kubernetes_state *state, struct error *error)
{
    json_t *answer = NULL;
    const json_t *metadata;

    if (!take_made(mint, state->call, "Secret", &answer, error)) {
        mint->may_exist = error->code != ERROR_MINT;
        return false;
    }
    metadata = json_object_get(answer, "metadata");
    state->uid = json_str(json_object_get(metadata, "uid"));
    if (!str_eq(json_str(json_object_get(metadata, "name")), state->secret) ||
        !str_eq(json_str(json_object_get(metadata, "namespace")), state->grant.space))
        return error_set(error, ERROR_MINT, SERVER " made another Secret");
    return text_is_token(state->uid, UID_MAX) ||
           error_set(error, ERROR_MINT, SERVER " made a Secret without a uid");
}

static struct str audience_of(const struct mint *mint, const struct kubernetes_state *state)
{
    const struct kubernetes_settings *own = mint->target->settings;

    return state->grant.audience.len > 0 ? state->grant.audience : own->audience;
}

static bool write_token_request(json_t *object, const struct mint *mint,
                                const struct kubernetes_state *state)
{
    struct str audience = audience_of(mint, state);
    json_t *spec = json_object();
    json_t *bound = json_object();

    return json_put(object, "apiVersion", json_string("authentication.k8s.io/v1")) &&
           json_put(object, "kind", json_string("TokenRequest")) &&
           json_put(object, "spec", spec) &&
           json_put(spec, "audiences", json_from_strs(&audience, 1)) &&
           json_put(spec, "expirationSeconds", json_integer(mint->ttl_s)) &&
           json_put(spec, "boundObjectRef", bound) &&
           json_put(bound, "apiVersion", json_string("v1")) &&
           json_put(bound, "kind", json_string("Secret")) &&
           json_put(bound, "name", json_from_str(state->secret)) &&
           json_put(bound, "uid", json_from_str(state->uid));
}

/* The Secret is there already: whatever comes of this, there is something to be removed. */
static bool ask_for_token(struct mint *mint, struct kubernetes_state *state, struct error *error)
{
    JSON_OWNED json_t *object = json_object();
    struct asking asking = asking_for(state, object);

    if (!write_token_request(object, mint, state))
        return error_set(error, ERROR_MEMORY, "no memory for a request to " SERVER);
    asking.path = arena_printf(mint->arena,
                               "/api/v1/namespaces/" STR_FMT "/serviceaccounts/" STR_FMT "/token",
                               STR_ARG(state->grant.space), STR_ARG(state->grant.account));
    return ask(&asking, &state->call, error);
}

/* The claims of a token that is not ours to verify: who gave it is known by TLS. */
static bool read_claims(const struct mint *mint, struct str token, json_t **claims)
{
    static const struct json_limits limits = { OAUTH_TOKEN_MAX, 16, 1000 };
    uint8_t *bytes = arena_alloc(mint->arena, BASE64_DECODED_MAX(OAUTH_TOKEN_MAX));
    struct error ignored = { 0 };
    struct str payload;
    struct str rest;
    size_t len;

    return bytes && str_cut(token, '.', &payload, &rest) && str_cut(rest, '.', &payload, &rest) &&
           base64url_decode(payload, bytes, &len) &&
           json_parse_object((struct str){ (const char *)bytes, len }, limits, claims, &ignored) &&
           json_keep(mint->arena, *claims, &ignored);
}

static bool is_only(const json_t *list, struct str text)
{
    return json_array_size(list) == 1 && str_eq(json_str(json_array_get(list, 0)), text);
}

static bool check_claims(const struct mint *mint, const struct kubernetes_state *state,
                         const json_t *claims, struct error *error)
{
    const json_t *bound = json_object_get(json_object_get(claims, "kubernetes.io"), "secret");
    struct str subject = arena_printf(mint->arena, "system:serviceaccount:" STR_FMT ":" STR_FMT,
                                      STR_ARG(state->grant.space), STR_ARG(state->grant.account));

    if (!subject.data)
        return error_set(error, ERROR_MEMORY, "no memory for a token");
    if (!str_eq(json_str(json_object_get(claims, "sub")), subject))
        return error_set(error, ERROR_MINT, SERVER " gave a token of another service account");
    if (!is_only(json_object_get(claims, "aud"), audience_of(mint, state)))
        return error_set(error, ERROR_MINT, SERVER " gave a token for another audience");
    if (!str_eq(json_str(json_object_get(bound, "name")), state->secret) ||
        !str_eq(json_str(json_object_get(bound, "uid")), state->uid))
        return error_set(error, ERROR_MINT, SERVER " gave a token that is not bound to its Secret");
    return true;
}

/* Its end, as the answer and the token say it: the later one. */
static bool read_end(const struct mint *mint, const json_t *status, const json_t *claims,
                     int64_t *expires_s, struct error *error)
{
    int64_t told_ms;
    int64_t claimed_s;

    if (!time_text_parse(json_str(json_object_get(status, "expirationTimestamp")), &told_ms) ||
        !json_get_time(claims, "exp", &claimed_s))
        return error_set(error, ERROR_MINT, SERVER " does not say how long its token lives");
    *expires_s = told_ms / 1000 > claimed_s ? told_ms / 1000 : claimed_s;
    return oauth_life_check(*expires_s - mint->now_s, mint->ttl_s, SERVER, error);
}

static bool put_results(struct mint *mint, const struct kubernetes_state *state, struct str token,
                        const json_t *claims)
{
    const struct kubernetes_settings *own = mint->target->settings;
    struct str jti = json_str(json_object_get(claims, "jti"));
    json_t *kubernetes = json_object();

    mint->credential = json_object();
    return json_put(mint->credential, "kubernetes", kubernetes) &&
           json_put(kubernetes, "token", json_from_str(token)) &&
           json_put(kubernetes, "server", json_from_str(own->api)) &&
           json_put(kubernetes, "namespace", json_from_str(state->grant.space)) &&
           json_put(kubernetes, "service_account", json_from_str(state->grant.account)) &&
           json_put_text(kubernetes, "ca", own->ca) &&
           (!text_is_token(jti, UID_MAX) || json_put(mint->record, "jti", json_from_str(jti)));
}

static bool take_token(struct mint *mint, const struct kubernetes_state *state, struct error *error)
{
    json_t *answer = NULL;
    json_t *claims = NULL;
    const json_t *status;
    struct str token;

    if (!take_made(mint, state->call, "TokenRequest", &answer, error))
        return false;
    status = json_object_get(answer, "status");
    token = json_str(json_object_get(status, "token"));
    if (!text_is_bearer(token, OAUTH_TOKEN_MAX) || !read_claims(mint, token, &claims))
        return error_set(error, ERROR_MINT, SERVER " gave no proper token");
    if (!check_claims(mint, state, claims, error) ||
        !read_end(mint, status, claims, &mint->expires_s, error))
        return false;
    mint->may_exist = false;
    return put_results(mint, state, token, claims) ||
           error_set(error, ERROR_MEMORY, "no memory for a credential");
}

/* Where the Secret is to be: what nobody finds out of a name. */
bool kubernetes_intend(struct mint *mint, struct error *error)
{
    struct grant_reader reader = { .arena = mint->arena };
    struct kubernetes_grant grant = { 0 };
    JSON_OWNED json_t *record = json_object();
    struct str name;

    if (!kubernetes_read_fields(&reader, mint->fields, &grant))
        return grant_error(&reader, error);
    name = secret_name(mint->tools->issuer, mint->lease, mint->grant, mint->attempt, mint->arena);
    if (!name.data || !json_put(record, "id", json_from_str(name)) ||
        !json_put(record, "namespace", json_from_str(grant.space)) ||
        !json_put(record, "service_account", json_from_str(grant.account)))
        return error_set(error, ERROR_MEMORY, "no memory for a record");
    mint->record = TAKE(record);
    return true;
}

/* NULL: why not. */
static struct kubernetes_state *state_new(const struct mint *mint, struct error *error)
{
    struct grant_reader reader = { .arena = mint->arena };
    struct kubernetes_state *state = arena_alloc(mint->arena, sizeof(*state));

    if (!state) {
        (void)error_set(error, ERROR_MEMORY, "no memory for a request to " SERVER);
        return NULL;
    }
    if (!kubernetes_read_fields(&reader, mint->fields, &state->grant)) {
        (void)grant_error(&reader, error);
        return NULL;
    }
    state->secret = json_str(json_object_get(mint->record, "id"));
    state->login.asking = *mint;
    return state;
}

/* Both requests are made by one login: it is good for minutes, they take seconds. */
static enum progress login_and_ask(struct mint *mint, struct kubernetes_state *state,
                                   struct error *error)
{
    enum progress progress = kubernetes_login(&state->login, error);

    if (progress != PROGRESS_DONE)
        return progress;
    return ask_for_secret(mint, state, error) ? PROGRESS_WAIT : PROGRESS_FAILED;
}

enum progress kubernetes_mint(struct mint *mint, struct error *error)
{
    struct kubernetes_state *state = mint->state ? mint->state : state_new(mint, error);

    if (!state)
        return PROGRESS_FAILED;
    mint->state = state;
    if (!state->login.line)
        return login_and_ask(mint, state, error);
    if (state->uid.len > 0)
        return take_token(mint, state, error) ? PROGRESS_DONE : PROGRESS_FAILED;
    return take_secret(mint, state, error) && ask_for_token(mint, state, error) ? PROGRESS_WAIT
                                                                                : PROGRESS_FAILED;
}

/* ---- ending ---- */

struct kubernetes_ending {
    struct kubernetes_login login;
    struct str path;
    struct remote_call *call;
};

static bool begin_to_end(struct revocation *revocation, struct error *error)
{
    struct str space = json_str(json_object_get(revocation->record, "namespace"));
    struct str name = json_str(json_object_get(revocation->record, "id"));
    struct kubernetes_ending *ending = arena_alloc(revocation->arena, sizeof(*ending));

    if (!is_namespace(space) || !is_secret_name(name))
        return error_set(error, ERROR_MINT, "the entry does not say which Secret is to be removed");
    if (!ending)
        return error_set(error, ERROR_MEMORY, "no memory for a request to " SERVER);
    ending->path =
        arena_printf(revocation->arena, "/api/v1/namespaces/" STR_FMT "/secrets/" STR_FMT,
                     STR_ARG(space), STR_ARG(name));
    ending->login.asking = (struct mint){
        .tools = revocation->tools,
        .target = revocation->target,
        .stage = revocation->stage,
        .lease = revocation->lease,
        .now_s = revocation->now_s,
        .arena = revocation->arena,
        .waker = revocation->waker,
    };
    revocation->state = ending;
    return true;
}

static enum progress login_and_end(struct kubernetes_ending *ending, struct error *error)
{
    const struct asking asking = {
        .login = &ending->login,
        .method = "DELETE",
        .path = ending->path,
        .accept = TAKES_JSON,
    };
    enum progress progress = kubernetes_login(&ending->login, error);

    if (progress != PROGRESS_DONE)
        return progress;
    return ask(&asking, &ending->call, error) ? PROGRESS_WAIT : PROGRESS_FAILED;
}

/*
 * A Secret with a finalizer is answered with itself, marked as removed: the API server takes its
 * token for a minute more.
 */
static bool is_held_back(const json_t *answer, int64_t now_s)
{
    json_t *marked = json_object_get(json_object_get(answer, "metadata"), "deletionTimestamp");
    int64_t marked_ms;

    return marked && (!time_text_parse(json_str(marked), &marked_ms) ||
                      marked_ms / 1000 > now_s - HELD_BACK_S);
}

static bool has_ended(const struct revocation *revocation, const struct remote_call *call,
                      struct error *error)
{
    json_t *answer = NULL;
    struct error inner = { 0 };

    if (!read_answer(call, answer_limits, revocation->arena, &answer, &inner))
        return error_set(error, ERROR_MINT, "%s", inner.cause);
    if (!is_failure(answer) && is_held_back(answer, revocation->now_s))
        return error_set(error, ERROR_MINT,
                         "a finalizer holds the Secret: its token is good for a minute more");
    if (!is_failure(answer))
        return call->status == 200 ||
               error_set(error, ERROR_MINT, SERVER " answered %d to the removal of a Secret",
                         call->status);
    if (call->status == 404 && str_eq(json_str(json_object_get(answer, "reason")), STR("NotFound")))
        return true;
    (void)refused(call, answer, "to remove a Secret", &inner);
    return error_set(error, ERROR_MINT, "%s", inner.cause);
}

enum progress kubernetes_revoke(struct revocation *revocation, struct error *error)
{
    struct kubernetes_ending *ending;

    if (!revocation->state && !begin_to_end(revocation, error))
        return PROGRESS_FAILED;
    ending = revocation->state;
    if (!ending->login.line)
        return login_and_end(ending, error);
    return has_ended(revocation, ending->call, error) ? PROGRESS_DONE : PROGRESS_FAILED;
}

/* ---- looking ---- */

struct kubernetes_search {
    size_t at; /* of the namespaces, the one that is asked about */
    struct kubernetes_login login;
    struct remote_call *call;
};

static bool ask_for_list(struct sweep *sweep, struct kubernetes_search *search, struct error *error)
{
    const struct kubernetes_settings *own = sweep->target->settings;
    struct str tag = sha256_tag(sweep->tools->issuer, TAG_BYTES, sweep->arena);
    const struct asking asking = {
        .login = &search->login,
        .method = "GET",
        .path = arena_printf(
            sweep->arena,
            "/api/v1/namespaces/" STR_FMT "/secrets?limit=%d&labelSelector="
            "app.kubernetes.io%%2Fmanaged-by%%3Dstagepass%%2C" LABEL_BROKER "%%3D" STR_FMT,
            STR_ARG(own->namespaces.list[search->at]), SWEEP_FOUND_MAX, STR_ARG(tag)),
        .accept = TAKES_METADATA,
        .response_max = LIST_MAX,
    };

    return tag.data ? ask(&asking, &search->call, error)
                    : error_set(error, ERROR_MEMORY, "no memory to look for Secrets");
}

/* What has our labels and another name is not ours to remove. */
static bool add_found(struct sweep *sweep, struct str space, const json_t *item)
{
    const json_t *metadata = json_object_get(item, "metadata");
    struct str name = json_str(json_object_get(metadata, "name"));
    struct sweep_found *found = &sweep->found[sweep->found_count];
    struct str id;

    if (!is_secret_name(name) || name.len < sizeof(PREFIX) - 1 + ID_LEN)
        return true;
    id = in_case(str_slice(name, sizeof(PREFIX) - 1, ID_LEN), 'a', 'A', sweep->arena);
    if (!id.data)
        return false;
    if (!id_is_valid(id))
        return true;
    *found = (struct sweep_found){ .lease = id, .record = json_object() };
    sweep->found_count++;
    return json_put(found->record, "id", json_from_str(name)) &&
           json_put(found->record, "namespace", json_from_str(space));
}

static bool take_list(struct sweep *sweep, const struct kubernetes_search *search,
                      struct error *error)
{
    const struct kubernetes_settings *own = sweep->target->settings;
    struct error inner = { 0 };
    json_t *answer = NULL;
    const json_t *items;

    if (!read_answer(search->call, list_limits, sweep->arena, &answer, &inner))
        return error_set(error, ERROR_MINT, "%s", inner.cause);
    items = json_object_get(answer, "items");
    if (is_failure(answer)) {
        (void)refused(search->call, answer, "to list Secrets", &inner);
        return error_set(error, ERROR_MINT, "%s", inner.cause);
    }
    if (search->call->status != 200 || !json_is_array(items))
        return error_set(error, ERROR_MINT, SERVER " answered %d without a list",
                         search->call->status);
    if (json_str(json_object_get(json_object_get(answer, "metadata"), "continue")).len > 0)
        sweep->is_complete = false;
    for (size_t i = 0; i < json_array_size(items); i++) {
        if (sweep->found_count == SWEEP_FOUND_MAX) {
            sweep->is_complete = false;
            return true;
        }
        if (!add_found(sweep, own->namespaces.list[search->at], json_array_get(items, i)))
            return error_set(error, ERROR_MEMORY, "no memory to look for Secrets");
    }
    return true;
}

/* Each namespace is asked about by a login of its own: all of them may take longer than one lives.
 */
static enum progress login_and_list(struct sweep *sweep, struct kubernetes_search *search,
                                    struct error *error)
{
    enum progress progress = kubernetes_login(&search->login, error);

    if (progress != PROGRESS_DONE)
        return progress;
    return ask_for_list(sweep, search, error) ? PROGRESS_WAIT : PROGRESS_FAILED;
}

static void begin_login(const struct sweep *sweep, struct kubernetes_search *search)
{
    search->login = (struct kubernetes_login){
        .asking = {
            .tools = sweep->tools,
            .target = sweep->target,
            .now_s = sweep->now_s,
            .arena = sweep->arena,
            .waker = sweep->waker,
        },
    };
}

static bool begin_search(struct sweep *sweep, struct error *error)
{
    struct kubernetes_search *search = arena_alloc(sweep->arena, sizeof(*search));

    sweep->found = arena_alloc_array(sweep->arena, SWEEP_FOUND_MAX, sizeof(*sweep->found));
    if (!search || !sweep->found)
        return error_set(error, ERROR_MEMORY, "no memory to look for Secrets");
    begin_login(sweep, search);
    sweep->is_complete = true;
    sweep->state = search;
    return true;
}

enum progress kubernetes_sweep(struct sweep *sweep, struct error *error)
{
    const struct kubernetes_settings *own = sweep->target->settings;
    struct kubernetes_search *search;

    if (own->namespaces.count == 0) {
        sweep->is_complete = false;
        return PROGRESS_DONE; /* the broker may list Secrets nowhere */
    }
    if (!sweep->state && !begin_search(sweep, error))
        return PROGRESS_FAILED;
    search = sweep->state;
    if (!search->login.line)
        return login_and_list(sweep, search, error);
    if (!take_list(sweep, search, error))
        return PROGRESS_FAILED;
    search->at++;
    if (search->at == own->namespaces.count || sweep->found_count == SWEEP_FOUND_MAX)
        return PROGRESS_DONE;
    begin_login(sweep, search);
    return login_and_list(sweep, search, error);
}
