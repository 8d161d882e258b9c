#include <string.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/secret.h"
#include "exchange/exchange_internal.h"
#include "exchange/refresh_token.h"
#include "exchange/rules.h"
#include "policy/dates.h"

#define UPCOMING_S (INT64_C(86400) * 30)

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

/* Where what is given ends before the lease has to. */
static bool put_refresh_token(const struct exchange *exchange, json_t *answer)
{
    const struct exchange_renewal *renewal = exchange->request.renewal;
    struct refresh_token token = { .renewal = 1 };
    char text[REFRESH_TOKEN_LEN + 1];
    struct error ignored = { 0 };
    bool is_put;

    if ((!renewal && !exchange->is_kept) || (renewal && renewal->number == UINT16_MAX) ||
        life_expires_s(exchange) >= life_end_s(exchange, life_opened_s(exchange)))
        return true;
    if (renewal)
        token.renewal = (uint16_t)(renewal->number + 1);
    memcpy(token.lease_id, exchange->lease_id, ID_LEN);
    is_put = refresh_token_write(exchange->service->tools.keys, &token, text, &ignored) &&
             json_put(answer, "refresh_token", json_string(text));
    secret_wipe(text, sizeof(text));
    return is_put;
}

static bool put_lease(const struct exchange *exchange, json_t *answer)
{
    int64_t heartbeat_s = exchange->decision.obligations.lease.heartbeat_s;
    json_t *lease = json_object();

    return json_put(answer, "lease", lease) &&
           (heartbeat_s == 0 || json_put(lease, "heartbeat_s", json_integer(heartbeat_s))) &&
           json_put(lease, "id", json_string(exchange->lease_id)) &&
           (exchange->request.renewal ||
            json_put(lease, "handle", json_string(exchange->handle))) &&
           json_put(lease, "stage", json_from_str(exchange->decision.stage->id)) &&
           json_put(lease, "expires_at", record_time(life_expires_s(exchange)));
}

static bool put_credentials(const struct exchange *exchange, json_t *answer)
{
    json_t *credentials = json_object();

    if (!json_put(answer, "credentials", credentials))
        return false;
    for (size_t i = 0; i < exchange->mint_count; i++) {
        const struct mint *mint = &exchange->mints[i];
        const struct policy_grant_kind *kind = exchange->decision.grants[i].grant->kind;
        enum policy_revocation revocation = target_revocation(target_kind_of(kind), mint);
        json_t *credential = json_incref(mint->credential);

        if (json_object_setn_new(credentials, mint->grant.data, mint->grant.len, credential) != 0 ||
            !json_put(credential, "type", json_string(kind->name)) ||
            !json_put(credential, "revocation", json_string(target_revocation_name(revocation))) ||
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

static bool put_date(json_t *list, const struct policy_date *date)
{
    json_t *item = json_append_object(list);

    return json_put(item, "what", json_string(policy_date_kind_name(date->kind))) &&
           json_put_text(item, "name", date->name) && json_put(item, "at", record_time(date->at_s));
}

/* What ends or is due within the next weeks, so that whoever reads the job's log knows in time. */
static bool put_upcoming(const struct exchange *exchange, json_t *answer)
{
    struct policy_date dates[POLICY_DATES_MAX];
    size_t count = policy_stage_dates(exchange->rules->policy, exchange->decision.stage,
                                      exchange->now_s, exchange->now_s + UPCOMING_S, dates);
    json_t *list;

    if (count == 0)
        return true;
    list = json_array();
    if (!json_put(answer, "upcoming", list))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!put_date(list, &dates[i]))
            return false;
    return true;
}

bool answer_build(struct exchange *exchange, struct error *error)
{
    json_t *answer = json_object();

    exchange->answer = answer;
    if (!answer || !put_access_token(exchange, answer) || !put_scope(exchange, answer) ||
        !put_refresh_token(exchange, answer) || !put_lease(exchange, answer) ||
        !put_credentials(exchange, answer) || !put_upcoming(exchange, answer) ||
        !put_ledger(exchange, answer))
        return error_set(error, ERROR_MEMORY, "answer");
    return true;
}
