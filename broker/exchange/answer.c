#include "base/base64.h"
#include "base/buf.h"
#include "base/json.h"
#include "exchange/exchange_internal.h"

/* With an audience the one jwt grant is the access token, else the stage token is. */
static const struct mint *access_token(const struct exchange *exchange)
{
    return exchange->request.audience.len > 0 ? &exchange->mints[0] : &exchange->stage_token;
}

static bool put_access_token(const struct exchange *exchange, json_t *answer)
{
    const struct mint *mint = access_token(exchange);
    const json_t *jwt = json_object_get(mint->credential, "jwt");

    return json_put(answer, "access_token", json_incref(json_object_get(jwt, "token"))) &&
           json_put(answer, "issued_token_type",
                    json_string("urn:ietf:params:oauth:token-type:jwt")) &&
           json_put(answer, "token_type",
                    json_string(exchange->request.proof.dpop ? "DPoP" : "Bearer")) &&
           json_put(answer, "expires_in", json_integer(mint->expires_s - exchange->now_s));
}

static bool put_lease(const struct exchange *exchange, json_t *answer)
{
    json_t *lease = json_object();

    return json_put(answer, "lease", lease) &&
           json_put(lease, "id", json_string(exchange->lease_id)) &&
           json_put(lease, "handle", json_string(exchange->handle)) &&
           json_put(lease, "stage", json_from_str(exchange->decision.stage->id)) &&
           json_put(lease, "expires_at", record_time(exchange->expires_s));
}

static bool put_credentials(const struct exchange *exchange, json_t *answer)
{
    json_t *credentials = json_object();

    if (!json_put(answer, "credentials", credentials))
        return false;
    for (size_t i = 0; i < exchange->mint_count; i++) {
        const struct mint *mint = &exchange->mints[i];
        const char *kind = exchange->decision.grants[i].grant->kind->name;
        json_t *credential = json_incref(mint->credential);

        if (json_object_setn_new(credentials, mint->grant.data, mint->grant.len, credential) != 0 ||
            !json_put(credential, "type", json_string(kind)) ||
            !json_put(credential, "expires_at", record_time(mint->expires_s)))
            return false;
    }
    return true;
}

/* RFC 6749 5.1: what was granted, where all was asked for or less than that. */
static bool put_scope(const struct exchange *exchange, json_t *answer)
{
    OWNED(buf_release) struct buf scope = { 0 };
    struct str granted = { 0 };

    if (exchange->request.audience.len > 0) {
        const json_t *jwt = json_object_get(exchange->mints[0].credential, "jwt");

        return !json_get_str(jwt, "scope", &granted) ||
               json_put(answer, "scope", json_from_str(granted));
    }
    buf_init(&scope, 4096);
    for (size_t i = 0; i < exchange->mint_count; i++) {
        buf_add_text(&scope, i > 0 ? " " : "");
        buf_add(&scope, exchange->mints[i].grant);
    }
    return buf_is_ok(&scope) &&
           (scope.len == 0 || json_put(answer, "scope", json_from_str(buf_str(&scope))));
}

static bool put_ledger(const struct exchange *exchange, json_t *answer)
{
    OWNED(buf_release) struct buf hash = { 0 };
    json_t *ledger = json_object();

    buf_init(&hash, 64);
    buf_add_base64(&hash, (struct str){ (const char *)exchange->leaf_hash.bytes, MERKLE_HASH_LEN });
    return buf_is_ok(&hash) && json_put(answer, "ledger", ledger) &&
           json_put(ledger, "index", json_integer((json_int_t)exchange->entry_index)) &&
           json_put(ledger, "leaf_hash", json_from_str(buf_str(&hash)));
}

bool answer_build(struct exchange *exchange, struct error *error)
{
    json_t *answer = json_object();

    exchange->answer = answer;
    if (!answer || !put_access_token(exchange, answer) || !put_scope(exchange, answer) ||
        !put_lease(exchange, answer) || !put_credentials(exchange, answer) ||
        !put_ledger(exchange, answer))
        return error_set(error, ERROR_MEMORY, "answer");
    return true;
}
