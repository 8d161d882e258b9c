#include "api/token_request.h"

#include "api/api_internal.h"
#include "base/base64.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "exchange/exchange.h"
#include "exchange/rules.h"
#include "http/form.h"
#include "identity/dpop.h"
#include "identity/dpop_nonce.h"

/* What a form and its header fields say of what is asked for. */

#define TOKEN_TYPE(name) "urn:ietf:params:oauth:token-type:" name
#define TTL_MAX_S ((int64_t)24 * 3600)
#define AUDIENCE_MAX 2048
#define SCOPE_MAX 1024
#define STAGE_MAX 121 /* a pipeline's 80, ':' and a stage's 40 */
#define BINDING_NAME_MAX 40
#define BINDING_HASH STR("sha256-")

const char *const token_parameters[] = { "grant_type",
                                         "subject_token",
                                         "subject_token_type",
                                         "stage",
                                         "audience",
                                         "scope",
                                         "ttl",
                                         "reason",
                                         "actor_token",
                                         "resource",
                                         "authorization_details",
                                         "binding",
                                         "device_code",
                                         "requested_token_type",
                                         "refresh_token",
                                         "actor_token_type",
                                         NULL };

static bool check_requested_type(const struct form *form, struct error *error)
{
    struct str value;

    if (form_get(form, "requested_token_type", &value) && !str_eq(value, STR(TOKEN_TYPE("jwt"))) &&
        !str_eq(value, STR(TOKEN_TYPE("access_token"))))
        return error_set(error, ERROR_REQUEST, "another requested_token_type");
    return true;
}

static bool read_subject(const struct form *form, struct exchange_request *out, struct error *error)
{
    struct str type;

    if (!form_get(form, "subject_token", &out->subject_token))
        return error_set(error, ERROR_REQUEST, "no subject_token");
    /* Tokens read from files often end in a line feed, which no token has. */
    out->subject_token = str_trim(out->subject_token);
    if (!form_get(form, "subject_token_type", &type) ||
        (!str_eq(type, STR(TOKEN_TYPE("jwt"))) && !str_eq(type, STR(TOKEN_TYPE("id_token")))))
        return error_set(error, ERROR_REQUEST, "subject_token_type is neither jwt nor id_token");
    return true;
}

/* The type is there if and only if the token is (RFC 8693 2.1). */
static bool read_actor(const struct form *form, struct exchange_request *out, struct error *error)
{
    struct str type;
    bool has_token = form_get(form, "actor_token", &out->actor_token);
    bool has_type = form_get(form, "actor_token_type", &type);

    if (has_token != has_type)
        return error_set(error, ERROR_REQUEST, "one of actor_token and actor_token_type");
    if (has_token && !str_eq(type, STR(TOKEN_TYPE("jwt"))) &&
        !str_eq(type, STR(TOKEN_TYPE("id_token"))))
        return error_set(error, ERROR_REQUEST, "actor_token_type is neither jwt nor id_token");
    if (has_token)
        out->actor_token = str_trim(out->actor_token);
    return true;
}

/* RFC 6749 3.3: printable without '"' and '\', one space between. */
static bool is_scope(struct str scope)
{
    bool was_space = true;

    for (size_t i = 0; i < scope.len; i++) {
        char c = scope.data[i];

        if (c == ' ' ? was_space : c < 0x21 || c > 0x7e || c == '"' || c == '\\')
            return false;
        was_space = c == ' ';
    }
    return !was_space;
}

static bool is_printable(struct str text)
{
    return str_is_utf8(text) && !str_has_control(text);
}

static bool read_texts(const struct form *form, struct exchange_request *out, struct error *error)
{
    struct str ttl;

    if (form_count(form, "audience") > 1 || form_count(form, "resource") > 0)
        return error_set(error, ERROR_TARGET, "more than one audience, or a resource");
    if (form_get(form, "audience", &out->audience) &&
        (out->audience.len > AUDIENCE_MAX || !is_printable(out->audience)))
        return error_set(error, ERROR_TARGET, "an audience of %zu bytes, or not printable",
                         out->audience.len);
    if (form_get(form, "stage", &out->stage) &&
        (out->stage.len > STAGE_MAX || str_has_control(out->stage)))
        return error_set(error, ERROR_REQUEST, "stage is no stage's name");
    if (form_get(form, "scope", &out->scope) &&
        (out->scope.len > SCOPE_MAX || !is_scope(out->scope)))
        return error_set(error, ERROR_SCOPE, "malformed scope");
    if (form_get(form, "ttl", &ttl) &&
        (!str_to_int64(ttl, &out->ttl_s) || out->ttl_s < 1 || out->ttl_s > TTL_MAX_S))
        return error_set(error, ERROR_REQUEST, "ttl is no number of seconds from 1 to 86400");
    if (form_get(form, "reason", &out->reason) &&
        (out->reason.len > EXCHANGE_REASON_MAX || !is_printable(out->reason)))
        return error_set(error, ERROR_REQUEST, "reason is not 256 printable characters");
    return true;
}

static bool read_details(const struct form *form, struct arena *arena, struct exchange_request *out,
                         struct error *error)
{
    struct error why = { 0 };
    struct str text;
    json_t *details;

    if (!form_get(form, "authorization_details", &text))
        return true;
    if (!json_parse(text, JSON_LIMITS_REQUEST, &details, &why)) {
        enum error_code code = why.code == ERROR_MEMORY ? ERROR_MEMORY : ERROR_DETAILS;

        return error_set(error, code, "authorization_details: %s", why.cause);
    }
    out->details = details;
    return json_keep(arena, details, error);
}

/* NAME:sha256-HEX, as often as it comes; one name stands for one thing. */
static bool read_binding(struct str text, json_t *bindings, struct error *error)
{
    struct str name;
    struct str value;
    struct str hex;

    if (!str_cut(text, ':', &name, &value) || name.len == 0 || name.len > BINDING_NAME_MAX ||
        !str_is_made_of(name, "abcdefghijklmnopqrstuvwxyz0123456789-") ||
        !str_starts_with(value, BINDING_HASH))
        return error_set(error, ERROR_REQUEST, "binding is not NAME:sha256-HEX");
    hex = str_slice(value, BINDING_HASH.len, value.len);
    if (hex.len != (size_t)2 * SHA256_LEN || !str_is_made_of(hex, "0123456789abcdef"))
        return error_set(error, ERROR_REQUEST, "a binding is no hash of 64 hexadecimal digits");
    if (json_object_getn(bindings, name.data, name.len))
        return error_set(error, ERROR_REQUEST, "two bindings of one name");
    return json_object_setn_new(bindings, name.data, name.len, json_from_str(value)) == 0 ||
           error_set(error, ERROR_MEMORY, "bindings");
}

bool token_read_bindings(const struct form *form, struct arena *arena, const json_t **out,
                         struct error *error)
{
    size_t count = form_count(form, "binding");
    json_t *bindings;

    if (count == 0)
        return true;
    if (count > EXCHANGE_BINDINGS_MAX)
        return error_set(error, ERROR_REQUEST, "%zu bindings", count);
    bindings = json_object();
    if (!bindings || !json_keep(arena, bindings, error))
        return error_set(error, ERROR_MEMORY, "bindings");
    for (size_t i = 0; i < form->count; i++)
        if (str_eq(form->list[i].name, STR("binding")) &&
            !read_binding(form->list[i].value, bindings, error))
            return false;
    *out = bindings;
    return true;
}

bool token_read_wishes(const struct form *form, struct arena *arena, struct exchange_request *out,
                       struct error *error)
{
    return read_texts(form, out, error) && read_details(form, arena, out, error) &&
           token_read_bindings(form, arena, &out->bindings, error);
}

bool token_read_exchange(const struct form *form, struct arena *arena, struct exchange_request *out,
                         struct error *error)
{
    return check_requested_type(form, error) && read_subject(form, out, error) &&
           read_actor(form, out, error) && token_read_wishes(form, arena, out, error);
}

/* What a lease is for was said when it was opened. */
static bool check_renewal(const struct form *form, struct error *error)
{
    static const char *const fixed[] = { "stage", "audience", "reason", "subject_token",
                                         "actor_token" };

    for (size_t i = 0; i < COUNT(fixed); i++)
        if (form_count(form, fixed[i]) > 0)
            return error_set(error, ERROR_REQUEST, "a renewal takes no %s", fixed[i]);
    return true;
}

bool token_read_renewal(const struct form *form, struct arena *arena, struct str *token,
                        struct exchange_request *out, struct error *error)
{
    if (!form_get(form, "refresh_token", token))
        return error_set(error, ERROR_REQUEST, "no refresh_token");
    return check_renewal(form, error) && token_read_wishes(form, arena, out, error);
}

static bool needs_nonce(const struct api *api, int64_t *leeway_s)
{
    struct rules *rules = rules_get(api->service->rules);
    bool needs = rules->needs_dpop_nonce;

    *leeway_s = rules->leeway_s;
    rules_put(api->service->rules, rules);
    return needs;
}

/* A proof's key binds what is issued (RFC 9449 5). */
static bool read_dpop(const struct http_request *request, const struct api *api,
                      struct exchange_request *out, struct error *error)
{
    struct str proof;
    size_t count = http_header_get(request, "DPoP", &proof);
    struct dpop_options options = {
        .method = request->method,
        .now_s = clock_wall_s(),
        .nonces = api->nonces,
    };
    struct dpop_proof *checked;

    if (count == 0)
        return true;
    if (count > 1)
        return error_set(error, ERROR_DPOP, "%zu DPoP header fields", count);
    checked = arena_alloc(request->arena, sizeof(*checked));
    options.url = arena_printf(request->arena, STR_FMT "/token", STR_ARG(api->issuer));
    if (!checked || !options.url.data)
        return error_set(error, ERROR_MEMORY, "proof");
    options.needs_nonce = needs_nonce(api, &options.leeway_s);
    out->proof.dpop = checked;
    return dpop_check(proof, &options, request->arena, checked, error);
}

/* So does a client certificate that our authorities vouch for (RFC 8705 3). */
static bool read_certificate(const struct http_request *request, struct exchange_request *out,
                             struct error *error)
{
    OWNED(buf_release) struct buf text = { 0 };
    uint8_t sha256[SHA256_LEN];

    if (!http_client_certificate(request, sha256))
        return true;
    buf_init(&text, EXCHANGE_DIGEST_LEN);
    buf_add_base64url(&text, (struct str){ (const char *)sha256, sizeof(sha256) });
    if (buf_is_ok(&text))
        out->proof.certificate = arena_copy(request->arena, buf_str(&text)).data;
    return out->proof.certificate || error_set(error, ERROR_MEMORY, "certificate");
}

bool token_read_sender(const struct http_request *request, const struct api *api,
                       struct exchange_request *out, struct error *error)
{
    out->address = request->peer;
    return read_dpop(request, api, out, error) && read_certificate(request, out, error);
}

void token_give_nonce(struct http_request *request, const struct api *api)
{
    struct str proof;
    char *nonce;

    if (http_header_get(request, "DPoP", &proof) == 0)
        return;
    nonce = arena_alloc(request->arena, DPOP_NONCE_LEN + 1);
    if (!nonce)
        return;
    dpop_nonce_make(api->nonces, clock_wall_s(), nonce);
    if (nonce[0] != '\0')
        http_add_header(request, "DPoP-Nonce", str_from(nonce));
}
