#include "exchange/kept.h"

#include <string.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/json.h"
#include "exchange/exchange_internal.h"
#include "exchange/rules.h"
#include "exchange/sealed_member.h"
#include "keys/keys.h"

/*
 * {"token": T, "actor": T, "person": true, "jkt": TEXT, "x5t#S256": TEXT, "address": TEXT,
 *  "request": {}, "grants": [TEXT]}, where a T is {"issuer", "claims", "kid", "mark", "sha256",
 * "bound"}: sealed, and in base64url. Facts and dangers follow from the claims and are not kept.
 */

/* Claims of two tokens and details, each within what it may be, one level further in. */
static const struct sealed_member member = {
    .name = KEPT_MEMBER,
    .what = "claims and details to keep",
    .max = STORE_PRIVATE_MAX,
    .limits = { STORE_PRIVATE_MAX, 40, 4000 },
};

/* ---- writing ---- */

static json_t *hex_of(const uint8_t digest[SHA256_LEN])
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, (size_t)2 * SHA256_LEN);
    buf_add_hex(&text, (struct str){ (const char *)digest, SHA256_LEN });
    return buf_is_ok(&text) ? json_from_str(buf_str(&text)) : NULL;
}

static bool put_token(json_t *object, const char *name, const struct verified_token *token)
{
    json_t *kept = json_object();

    return json_put(object, name, kept) && json_put_text(kept, "issuer", token->issuer->name) &&
           json_put(kept, "claims", json_incref(json_iterable(token->claims))) &&
           json_put_text(kept, "kid", token->kid) && json_put(kept, "mark", hex_of(token->mark)) &&
           json_put(kept, "sha256", hex_of(token->sha256)) &&
           (!token->is_key_bound || json_put(kept, "bound", json_true()));
}

static bool put_actor(json_t *object, const struct exchange *exchange)
{
    const struct exchange_actor *actor = exchange->actor;

    if (!actor || !actor->facts)
        return true;
    return put_token(object, "actor", &actor->token) &&
           (!actor->is_person || json_put(object, "person", json_true()));
}

static bool put_sender(json_t *object, const struct exchange_request *request)
{
    const struct exchange_proof *proof = &request->proof;
    char address[ADDRESS_TEXT_MAX];

    if ((proof->dpop && !json_put(object, "jkt", json_string(proof->dpop->thumbprint))) ||
        (proof->certificate && !json_put(object, "x5t#S256", json_string(proof->certificate))))
        return false;
    if (request->address.len == 0)
        return true;
    address_text(&request->address, address);
    return json_put(object, "address", json_string(address));
}

static bool put_request(json_t *object, const struct exchange *exchange)
{
    const struct exchange_request *request = &exchange->request;
    json_t *kept = json_object();

    return json_put(object, "request", kept) &&
           json_put_text(kept, "stage", exchange->decision.stage->id) &&
           json_put_text(kept, "audience", request->audience) &&
           json_put_text(kept, "scope", request->scope) &&
           json_put_text(kept, "reason", request->reason) &&
           (request->ttl_s == 0 || json_put(kept, "ttl_s", json_integer(request->ttl_s))) &&
           (!request->details ||
            json_put(kept, "details", json_incref(json_iterable(request->details)))) &&
           (!request->bindings ||
            json_put(kept, "bindings", json_incref(json_iterable(request->bindings))));
}

static json_t *describe(const struct exchange *exchange)
{
    json_t *object = json_object();

    if (object && put_token(object, "token", &exchange->token) && put_actor(object, exchange) &&
        put_sender(object, &exchange->request) && put_request(object, exchange) &&
        exchange_put_grants(&exchange->decision, object))
        return object;
    json_decref(object);
    return NULL;
}

static bool fits(const json_t *private_part)
{
    OWNED(buf_release) struct buf whole = { 0 };

    buf_init(&whole, STORE_PRIVATE_MAX);
    buf_add_json(&whole, private_part);
    return buf_is_ok(&whole);
}

bool kept_put(const struct exchange *exchange, struct str id, json_t *private_part,
              struct error *error)
{
    JSON_OWNED json_t *object = describe(exchange);

    if (!object)
        return error_set(error, ERROR_MEMORY, "what is to be kept");
    if (!sealed_member_put(&member, exchange->service->tools.keys, id, object, private_part, error))
        return false;
    return fits(private_part) ||
           error_set(error, ERROR_LIMIT, "%s: more than %zu bytes with the rest", member.what,
                     STORE_PRIVATE_MAX);
}

/* ---- reading ---- */

static bool read_digest(const json_t *object, const char *name, uint8_t digest[SHA256_LEN])
{
    struct str text;

    return json_get_str(object, name, &text) && text.len == (size_t)2 * SHA256_LEN &&
           hex_decode(text, digest);
}

static bool read_token(const json_t *object, struct identity_kept *token)
{
    token->claims = json_object_get(object, "claims");
    token->kid = json_str(json_object_get(object, "kid"));
    token->is_key_bound = json_is_true(json_object_get(object, "bound"));
    return json_is_object(token->claims) && json_get_str(object, "issuer", &token->issuer) &&
           read_digest(object, "mark", token->mark) && read_digest(object, "sha256", token->sha256);
}

static bool read_actor(const json_t *object, struct kept *kept)
{
    const json_t *actor = json_object_get(object, "actor");

    kept->is_actor_person = json_is_true(json_object_get(object, "person"));
    return !actor || read_token(actor, &kept->actor);
}

static bool read_sender(const json_t *object, struct kept *kept)
{
    const json_t *address = json_object_get(object, "address");

    kept->thumbprint = json_string_value(json_object_get(object, "jkt"));
    kept->certificate = json_string_value(json_object_get(object, "x5t#S256"));
    return !address || address_parse(json_str(address), &kept->address);
}

static bool read_request(const json_t *object, struct kept *kept)
{
    const json_t *request = json_object_get(object, "request");

    kept->request = (struct exchange_request){
        .audience = json_str(json_object_get(request, "audience")),
        .scope = json_str(json_object_get(request, "scope")),
        .ttl_s = json_integer_value(json_object_get(request, "ttl_s")),
        .reason = json_str(json_object_get(request, "reason")),
        .details = json_object_get(request, "details"),
        .bindings = json_object_get(request, "bindings"),
        .kept = kept,
    };
    return json_get_str(request, "stage", &kept->request.stage);
}

static bool read_grants(const json_t *object, struct arena *arena, struct kept *kept)
{
    const json_t *list = json_object_get(object, "grants");
    size_t count = json_array_size(list);
    struct str *names = arena_alloc_array(arena, count + 1, sizeof(*names));

    if (!json_is_array(list) || count > POLICY_STAGE_GRANTS_MAX || !names)
        return false;
    for (size_t i = 0; i < count; i++)
        names[i] = json_str(json_array_get(list, i));
    kept->grants = names;
    kept->grant_count = count;
    return true;
}

static bool read_all(const json_t *object, struct arena *arena, struct kept *kept)
{
    return read_token(json_object_get(object, "token"), &kept->token) && read_actor(object, kept) &&
           read_sender(object, kept) && read_request(object, kept) &&
           read_grants(object, arena, kept);
}

bool kept_open(struct keys *keys, struct str private_part, struct str id, struct arena *arena,
               const struct kept **kept, struct error *error)
{
    struct kept *read = arena_alloc(arena, sizeof(*read));
    json_t *object;

    if (!read)
        return error_set(error, ERROR_MEMORY, "what was kept");
    if (!sealed_member_open(&member, keys, private_part, id, arena, &object, error))
        return false;
    if (!json_is_object(object) || !read_all(object, arena, read))
        return error_set(error, ERROR_INVALID, "what was kept lacks a part");
    *kept = read;
    return true;
}

/* ---- using ---- */

static bool is_same_key(const char *kept, const char *shown)
{
    return kept ? shown && strcmp(kept, shown) == 0 : !shown;
}

bool kept_is_held(const struct kept *kept, const struct exchange_proof *proof)
{
    return is_same_key(kept->thumbprint, proof->dpop ? proof->dpop->thumbprint : NULL) &&
           is_same_key(kept->certificate, proof->certificate);
}

bool kept_enter(struct exchange *exchange, struct error *error)
{
    const struct kept *kept = exchange->request.kept;

    if (!kept_is_held(kept, &exchange->request.proof))
        return error_set(error, ERROR_TOKEN, "the keys are not those that came at first");
    return identity_restore(exchange->rules->identity, &kept->token, exchange->arena,
                            &exchange->token, error) &&
           exchange_check_binding(exchange, exchange->token.issuer, error);
}

bool kept_name_owner(struct exchange *exchange)
{
    struct error ignored = { 0 };

    return !kept_is_held(exchange->request.kept, &exchange->request.proof) &&
           identity_restore(exchange->rules->identity, &exchange->request.kept->token,
                            exchange->arena, &exchange->token, &ignored);
}

static bool was_given(const struct kept *kept, struct str grant)
{
    for (size_t i = 0; i < kept->grant_count; i++)
        if (str_eq(kept->grants[i], grant))
            return true;
    return false;
}

bool kept_covers(const struct kept *kept, const struct policy_decision *decision,
                 struct error *error)
{
    for (size_t i = 0; i < decision->grant_count; i++) {
        struct str grant = decision->grants[i].grant->name;

        if (!was_given(kept, grant))
            return error_set(error, ERROR_SCOPE, "grant '" STR_FMT "' was not given at first",
                             STR_ARG(grant));
    }
    return true;
}
