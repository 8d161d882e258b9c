/*
 * Tokens of an Entra application, by client credentials with our token for the stage as the
 * assertion (RFC 7523): the application trusts it by a federated identity credential.
 *
 * Source: Microsoft identity platform, client credentials with a federated credential: the scope is
 *         one RESOURCE/.default, and the server alone says how long a token lives (60 to 90 min)
 */
#include "base/base64.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "targets/oauth_answer.h"
#include "targets/remote_call.h"
#include "targets/stage_token.h"
#include "targets/targets_internal.h"
#include "upstream/upstream.h"

#define LIFE_S ((int64_t)90 * 60) /* as long as the longest, since nothing can shorten it */
#define DEFAULT_SUFFIX "/.default"
#define GUID_LEN 36
#define FORM_MAX ((size_t)32 * 1024)
#define CLIENT_ASSERTION "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
#define UTI_MAX 64
#define ENTRA "Entra"

static const struct text_limits client_limits = { "client_id", DIGITS "abcdefABCDEF-", GUID_LEN,
                                                  1 };
static const struct text_limits scope_limits = { "scope", LETTERS_AND_DIGITS "._~:/-", 512, 1 };
static const struct text_limits directory_limits = { "directory", DIGITS "abcdefABCDEF-", GUID_LEN,
                                                     1 };
static const struct text_limits clients_limits = { "clients", DIGITS "abcdefABCDEF-", GUID_LEN,
                                                   1000 };

struct azure_settings {
    struct str directory; /* the Entra tenant's id; 'tenants' are ours */
    struct texts clients;
    struct str endpoint; /* NUL-terminated */
    struct str audience; /* of our token */
    struct upstream_peer peer;
};

static const char *const settings[] = { "directory", "clients",        "cloud",      "endpoint",
                                        "ca",        "allow_networks", "allow_http", NULL };
static const char *const own_settings[] = { "endpoint", "ca", "allow_networks", "allow_http",
                                            NULL };

/* Clouds that share nothing but their software. */
static const char *const cloud_names[] = { "public", "usgov", "china", NULL };
static const struct {
    const char *authority;
    const char *audience;
} clouds[] = {
    { "https://login.microsoftonline.com", "api://AzureADTokenExchange" },
    { "https://login.microsoftonline.us", "api://AzureADTokenExchangeUSGov" },
    { "https://login.partner.microsoftonline.cn", "api://AzureADTokenExchangeChina" },
};

/* 8-4-4-4-12 digits. */
static bool is_guid(struct str text)
{
    if (text.len != GUID_LEN)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;

        if ((text.data[i] == '-') != is_dash)
            return false;
    }
    return true;
}

static bool complain_guid(const struct yaml_reader *reader, const json_t *at)
{
    return yaml_complain(reader, at, "expected an id such as 0f8fad5b-d9cb-469f-a165-70867728950e");
}

static bool read_ids(const struct yaml_reader *reader, const json_t *node,
                     struct azure_settings *own)
{
    if (!yaml_require(reader, node, "directory") || !yaml_require(reader, node, "clients") ||
        !setting_text(reader, node, &directory_limits, &own->directory) ||
        !setting_texts(reader, node, &clients_limits, &own->clients))
        return false;
    if (!is_guid(own->directory))
        return complain_guid(reader, json_object_get(node, "directory"));
    for (size_t i = 0; i < own->clients.count; i++)
        if (!is_guid(own->clients.list[i]))
            return complain_guid(reader, grant_item(json_object_get(node, "clients"), i));
    return true;
}

static bool read_cloud(const struct yaml_reader *reader, const json_t *node,
                       struct azure_settings *own)
{
    size_t cloud = 0;

    if (json_object_get(node, "cloud") &&
        !yaml_get_choice(reader, node, "cloud", cloud_names, &cloud))
        return false;
    own->audience = str_from(clouds[cloud].audience);
    own->endpoint = arena_printf(reader->arena, "%s/" STR_FMT "/oauth2/v2.0/token",
                                 clouds[cloud].authority, STR_ARG(own->directory));
    return own->endpoint.data || yaml_complain(reader, node, "no memory for a target");
}

static bool configure(const struct yaml_reader *reader, const json_t *node, struct target *target)
{
    struct azure_settings *own = target->settings;

    return read_ids(reader, node, own) && read_cloud(reader, node, own) &&
           setting_peer(reader, node, &own->peer) &&
           setting_endpoint(reader, node, "endpoint", &own->peer, &own->endpoint);
}

static bool start(struct target *target, const struct target_tools *tools, struct error *error)
{
    (void)target;
    return stage_token_start(tools, STAGE_TOKEN_RS256, error); /* it takes nothing else */
}

/* Ids are compared without case, as the directory does. */
static bool has_client(const struct azure_settings *own, struct str id)
{
    for (size_t i = 0; own && i < own->clients.count; i++)
        if (str_eq_ignore_case(own->clients.list[i], id))
            return true;
    return !own;
}

/* What is before "/.default": an https or api URI, or an application's id. */
static bool split_scope(struct str scope, struct str *resource)
{
    if (!str_ends_with(scope, STR(DEFAULT_SUFFIX)))
        return false;
    *resource = str_slice(scope, 0, scope.len - (sizeof(DEFAULT_SUFFIX) - 1));
    return is_guid(*resource) ||
           (str_starts_with(*resource, STR("https://")) &&
            resource->len > sizeof("https://") - 1) ||
           (str_starts_with(*resource, STR("api://")) && resource->len > sizeof("api://") - 1);
}

struct azure_grant {
    struct str client;
    struct str scope;
};

static bool read_fields(struct grant_reader *reader, const json_t *fields,
                        const struct azure_settings *own, struct azure_grant *grant)
{
    struct str resource;

    if (!grant_need(reader, fields, &client_limits, &grant->client) ||
        !grant_need(reader, fields, &scope_limits, &grant->scope))
        return false;
    if (!is_guid(grant->client))
        return grant_fault(reader, json_object_get(fields, "client_id"),
                           "expected an application's id such as "
                           "0f8fad5b-d9cb-469f-a165-70867728950e");
    if (!has_client(own, grant->client))
        return grant_fault(reader, json_object_get(fields, "client_id"),
                           "the application " STR_FMT " is not one of the target's",
                           STR_ARG(grant->client));
    if (!split_scope(grant->scope, &resource))
        return grant_fault(reader, json_object_get(fields, "scope"),
                           "expected one RESOURCE/.default, such as "
                           "https://management.azure.com/.default: nothing narrower exists");
    return true;
}

static bool read_grant(struct grant_reader *reader, const struct policy_grant_view *view)
{
    struct azure_grant grant;

    return read_fields(reader, view->fields, view->target ? view->target->settings : NULL, &grant);
}

static void check(const struct yaml_reader *yaml, const struct policy_grant_view *view)
{
    grant_check(yaml, view, read_grant);
}

/*
 * The resource: what the application may do there, its roles say. Ids and hosts have no case, and
 * for the server a resource is the same with a '/' at its end; one that is written as an id can be
 * any.
 */
static bool gives(const struct policy_grant_view *view, struct arena *arena,
                  struct policy_given *given)
{
    struct str resource = { 0 };

    (void)split_scope(json_str(json_object_get(view->fields, "scope")), &resource);
    given->is_everything = is_guid(resource);
    while (str_ends_with(resource, STR("/")))
        resource.len--;
    return given_room(given, arena, 2, 1) && given_name(given, resource) &&
           given_name(given, arena_printf(arena, STR_FMT "/", STR_ARG(resource))) &&
           given_principal(given, json_str(json_object_get(view->fields, "client_id")));
}

/* ---- asking ---- */

struct azure_state {
    struct azure_grant grant;
    struct stage_signing *signing;
    struct remote_call *call; /* NULL: not asked yet */
};

static void write_form(struct buf *form, const struct azure_grant *grant, struct str token)
{
    buf_add_text(form, "client_id=");
    buf_add_percent(form, grant->client);
    buf_add_text(form, "&grant_type=client_credentials&scope=");
    buf_add_percent(form, grant->scope);
    buf_add_text(form, "&client_assertion_type=");
    buf_add_percent(form, STR(CLIENT_ASSERTION));
    buf_add_text(form, "&client_assertion=");
    buf_add_percent(form, token);
}

static bool ask(struct mint *mint, struct azure_state *state, struct str token, struct error *error)
{
    const struct azure_settings *own = mint->target->settings;
    OWNED(buf_release) struct buf form = { 0 };
    struct remote_request request = {
        .who = ENTRA,
        .method = "POST",
        .url = own->endpoint.data,
        .headers = { "Content-Type: application/x-www-form-urlencoded",
                     "Accept: application/json" },
        .peer = &own->peer,
    };

    buf_init(&form, FORM_MAX);
    write_form(&form, &state->grant, token);
    if (!buf_is_ok(&form))
        return error_set(error, ERROR_MEMORY, "no memory for a request to " ENTRA);
    request.body = buf_str(&form);
    return remote_call_mint(mint, &request, &state->call, error);
}

static enum progress sign_and_ask(struct mint *mint, struct azure_state *state, struct error *error)
{
    const struct azure_settings *own = mint->target->settings;
    const struct stage_token wanted = {
        .audience = own->audience,
        .algorithm = STAGE_TOKEN_RS256,
    };
    struct str token = { 0 };
    enum progress progress = stage_token_sign(mint, &wanted, &state->signing, &token, error);

    if (progress != PROGRESS_DONE)
        return progress;
    return ask(mint, state, token, error) ? PROGRESS_WAIT : PROGRESS_FAILED;
}

/* ---- the answer ---- */

/*
 * What to do, for who reads the log. Microsoft may change its numbers, so nothing else follows from
 * them.
 */
static const char *explain(const struct oauth_answer *answer)
{
    static const struct {
        int64_t code;
        const char *advice;
    } rows[] = {
        { 70021, "no federated credential of the application has our issuer and this stage" },
        { 700211, "no federated credential of the application has our issuer" },
        { 700213, "no federated credential of the application has this stage as subject" },
        { 7002138, "a federated credential differs in upper and lower case only" },
        { 70025, "the application has no federated credential" },
        { 700212, "the federated credential has another audience" },
        { 700023, "the federated credential has another audience" },
        { 700024, "our clock and theirs differ" },
        { 700027, "they cannot read our key set, or have an old one" },
        { 700021, "the assertion is another application's" },
        { 700016, "there is no such application in the directory" },
        { 700223, "a policy of the directory forbids federation" },
        { 700238, "a policy of the directory forbids federation" },
        { 70052, "the application must be of this directory alone" },
        { 900382, "the application is in another cloud: see 'cloud'" },
    };

    for (size_t i = 0; i < COUNT(rows); i++)
        if (rows[i].code == answer->error_code)
            return rows[i].advice;
    return NULL;
}

/* Which scope it is good for they may tell; then it is the one that was asked for. */
static bool check_answer(const struct mint *mint, const struct azure_state *state,
                         const struct oauth_answer *answer, struct error *error)
{
    if (answer->scope.len > 0 && !str_eq(answer->scope, state->grant.scope))
        return error_set(error, ERROR_MINT, ENTRA " gave a token for another scope");
    if (!answer->has_life)
        return error_set(error, ERROR_MINT, ENTRA " does not say how long its token lives");
    return oauth_life_check(answer->expires_in_s, mint->ttl_s, ENTRA, error);
}

/*
 * The name under which Entra's sign-in logs know the token, where it says one: Microsoft lets
 * nobody rely on what is in a token that is not his, so nothing else is looked at, and nothing
 * fails.
 */
static bool put_uti(struct mint *mint, struct str token)
{
    static const struct json_limits limits = { OAUTH_TOKEN_MAX, 16, 1000 };
    uint8_t *bytes = arena_alloc(mint->arena, BASE64_DECODED_MAX(OAUTH_TOKEN_MAX));
    JSON_OWNED json_t *claims = NULL;
    struct error ignored = { 0 };
    struct str payload;
    struct str rest;
    struct str uti;
    size_t len;

    if (!bytes)
        return false;
    if (!str_cut(token, '.', &payload, &rest) || !str_cut(rest, '.', &payload, &rest) ||
        !base64url_decode(payload, bytes, &len) ||
        !json_parse_object((struct str){ (const char *)bytes, len }, limits, &claims, &ignored) ||
        !json_get_str(claims, "uti", &uti) || !text_is_token(uti, UTI_MAX))
        return true;
    return json_put(mint->record, "uti", json_from_str(uti));
}

static bool put_results(struct mint *mint, const struct azure_state *state,
                        const struct oauth_answer *answer)
{
    const struct azure_settings *own = mint->target->settings;
    json_t *azure = json_object();

    mint->credential = json_object();
    return json_put(mint->credential, "azure", azure) &&
           json_put(azure, "access_token", json_from_str(answer->access_token)) &&
           json_put(azure, "client_id", json_from_str(state->grant.client)) &&
           json_put(azure, "tenant_id", json_from_str(own->directory)) &&
           json_put(azure, "scope", json_from_str(state->grant.scope)) &&
           json_put(mint->record, "id",
                    json_from_str(token_id(mint->arena, answer->access_token))) &&
           put_uti(mint, answer->access_token);
}

static bool finish(struct mint *mint, const struct azure_state *state, struct error *error)
{
    static const struct oauth_peer peer = { ENTRA, explain };
    struct oauth_answer answer;

    if (!oauth_answer_take(state->call, &peer, mint->arena, &answer, &mint->may_exist, error) ||
        !check_answer(mint, state, &answer, error))
        return false;
    mint->may_exist = false;
    mint->expires_s = mint->now_s + answer.expires_in_s;
    return put_results(mint, state, &answer) ||
           error_set(error, ERROR_MEMORY, "no memory for a credential");
}

static bool put_record(struct mint *mint, const struct azure_state *state, struct error *error)
{
    mint->record = json_object();
    return (json_put(mint->record, "client_id", json_from_str(state->grant.client)) &&
            json_put(mint->record, "scope", json_from_str(state->grant.scope))) ||
           error_set(error, ERROR_MEMORY, "no memory for a record");
}

static struct azure_state *state_new(struct mint *mint, struct error *error)
{
    struct grant_reader reader = { .arena = mint->arena };
    struct azure_state *state = arena_alloc(mint->arena, sizeof(*state));

    if (!state)
        (void)error_set(error, ERROR_MEMORY, "no memory for a request to " ENTRA);
    else if (!read_fields(&reader, mint->fields, mint->target->settings, &state->grant))
        (void)grant_error(&reader, error);
    else if (put_record(mint, state, error))
        return state;
    return NULL;
}

static enum progress azure_mint(struct mint *mint, struct error *error)
{
    struct azure_state *state = mint->state ? mint->state : state_new(mint, error);

    if (!state)
        return PROGRESS_FAILED;
    mint->state = state;
    if (!state->call)
        return sign_and_ask(mint, state, error);
    return finish(mint, state, error) ? PROGRESS_DONE : PROGRESS_FAILED;
}

static const char *const fields[] = { "target", "client_id", "scope", NULL };
static const char *const fields_told[] = { "client_id", "scope", NULL };

const struct target_kind target_azure = {
    .grant = {
        .name = "azure",
        .fields = fields,
        .has_target = true,
        .ttl_min_s = LIFE_S,
        .ttl_max_s = LIFE_S,
        .check = check,
        .matching = POLICY_MATCHING_GLOB_ANY_CASE,
        .gives = gives,
        .revocation = POLICY_REVOKED_BY_EXPIRY,
        .fields_told = fields_told,
    },
    .settings = settings,
    .own_settings = own_settings,
    .configure = configure,
    .settings_size = sizeof(struct azure_settings),
    .start = start,
    .mint = azure_mint,
};
