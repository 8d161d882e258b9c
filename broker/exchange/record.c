#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/time_text.h"
#include "exchange/exchange_internal.h"
#include "exchange/rules.h"

/*
 * Entries are built from what was verified and decided; of the caller's own words only the bounded
 * `reason` and `scope` get in. Nothing here is a secret: the handle goes in as its hash.
 */

/* A fact's longest text in an entry; what is longer stands among the claims, or is dropped there.
 */
#define CI_FACT_MAX 256

static json_t *json_from_hex(struct str bytes, const char *prefix)
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, 256);
    buf_add_text(&text, prefix);
    buf_add_hex(&text, bytes);
    return buf_is_ok(&text) ? json_from_str(buf_str(&text)) : NULL;
}

static json_t *json_from_sha256(const uint8_t digest[SHA256_LEN])
{
    return json_from_hex((struct str){ (const char *)digest, SHA256_LEN }, "sha256:");
}

json_t *record_time(int64_t wall_s)
{
    char text[TIME_TEXT_S_LEN + 1];

    time_text_s(wall_s, text);
    return json_string(text);
}

/* Empty strings are left out: what is not there needs no member. */
static bool put_str(json_t *object, const char *name, struct str value)
{
    return value.len == 0 || json_put(object, name, json_from_str(value));
}

/* Whether a row is a pointer to something within the claim; without memory it is taken for one. */
static bool leads_into(const struct claim *row, const char *name)
{
    JSON_OWNED json_t *probe = json_object();

    if (row->name[0] != '/')
        return false;
    return !claim_put(probe, row->name, json_true()) || json_object_get(probe, name);
}

/* A claim is as personal as the most personal thing in it. */
static bool is_personal_claim(const char *name, void *context)
{
    const struct claim_table *claims = context;
    const struct claim *claim = claim_find(claims, str_from(name));

    if (claim && (claim->flags & CLAIM_PERSONAL))
        return true;
    for (size_t i = 0; i < claims->count; i++)
        if ((claims->rows[i].flags & CLAIM_PERSONAL) && leads_into(&claims->rows[i], name))
            return true;
    return false;
}

/* Some platforms name a person in it. */
static bool put_subject(const struct exchange *exchange, json_t *entry, json_t *private_part,
                        struct error *error)
{
    const struct verified_token *token = &exchange->token;
    const struct claim *claim = claim_find(&token->issuer->claims, STR("sub"));
    JSON_OWNED json_t *subject = json_from_str(token->subject);

    if (claim && (claim->flags & CLAIM_PERSONAL))
        return entry_put_personal(entry, "", "subject", subject, private_part, error);
    return json_put(entry, "subject", json_incref(subject)) ||
           error_set(error, ERROR_MEMORY, "entry");
}

/* Whose the token is from now on, and the proof that is used up with it: the fold reads both. */
static bool put_holder(const struct exchange *exchange, json_t *object)
{
    const struct dpop_proof *dpop = exchange->request.proof.dpop;
    uint8_t holder[STORE_HOLDER_LEN];
    json_t *proof;

    if (exchange_holder(&exchange->request.proof, holder) &&
        !json_put(object, "holder",
                  json_from_hex((struct str){ (const char *)holder, sizeof(holder) }, "")))
        return false;
    if (!dpop)
        return true;
    proof = json_object();
    return json_put(object, "proof", proof) &&
           json_put(proof, "mark",
                    json_from_hex((struct str){ (const char *)dpop->mark, SHA256_LEN }, "")) &&
           json_put(proof, "exp", json_integer(dpop->expires_s));
}

static bool put_token(const struct exchange *exchange, json_t *entry)
{
    const struct verified_token *token = &exchange->token;
    json_t *object = json_object();

    return json_put(entry, "token", object) &&
           json_put(object, "mark",
                    json_from_hex((struct str){ (const char *)token->mark, SHA256_LEN }, "")) &&
           json_put(object, "exp", json_integer(token->expires_s)) &&
           json_put(object, "iat", json_integer(token->issued_s)) &&
           put_str(object, "kid", token->kid) && put_holder(exchange, object);
}

static bool is_kept_fact(const json_t *value)
{
    return !json_is_null(value) && json_string_length(value) <= CI_FACT_MAX;
}

/*
 * The facts, without what the issuer cannot say and without overlong ones, so that an entry always
 * fits; who a person is goes in as a digest.
 */
static bool put_ci(const struct exchange *exchange, json_t *entry, json_t *private_part,
                   struct error *error)
{
    static const char *const personal[] = { "actor", "actor_id" };
    json_t *object = json_object();
    const char *name;
    json_t *value;

    if (!json_put(entry, "ci", object))
        return error_set(error, ERROR_MEMORY, "entry");
    json_object_foreach (json_iterable(exchange->token.ci), name, value)
        if (is_kept_fact(value) && !json_put(object, name, json_incref(value)))
            return error_set(error, ERROR_MEMORY, "entry");
    for (size_t i = 0; i < COUNT(personal); i++) {
        const json_t *person = json_object_get(exchange->token.ci, personal[i]);

        if (json_is_string(person) &&
            !entry_put_personal(object, "ci", personal[i], person, private_part, error))
            return false;
    }
    return true;
}

static bool put_keys(const struct exchange *exchange, json_t *facts)
{
    const struct exchange_proof *proof = &exchange->request.proof;

    return (!proof->dpop || json_put(facts, "jkt", json_string(proof->dpop->thumbprint))) &&
           (!proof->certificate || json_put(facts, "x5t#S256", json_string(proof->certificate))) &&
           (!exchange->token.is_key_bound || json_put(facts, "key_bound", json_true()));
}

static bool put_facts(const struct exchange *exchange, json_t *entry, json_t *private_part,
                      struct error *error)
{
    char text[ADDRESS_TEXT_MAX];
    json_t *facts = json_object();
    JSON_OWNED json_t *address = NULL;

    if (!json_put(entry, "facts", facts))
        return error_set(error, ERROR_MEMORY, "entry");
    if (!put_keys(exchange, facts))
        return error_set(error, ERROR_MEMORY, "entry");
    if (exchange->request.address.len == 0)
        return true;
    address_text(&exchange->request.address, text);
    address = json_string(text);
    return entry_put_personal(facts, "facts", "address", address, private_part, error);
}

/* The words of the caller's scope, which names grants or an audience's scopes. */
static bool put_scope(json_t *object, struct str rest)
{
    json_t *list = json_array();

    if (!json_put(object, "scope", list))
        return false;
    while (rest.len > 0) {
        struct str word;

        (void)str_cut(rest, ' ', &word, &rest);
        if (json_array_append_new(list, json_from_str(word)) != 0)
            return false;
    }
    return true;
}

static bool put_request(const struct exchange *exchange, json_t *entry)
{
    const struct exchange_request *request = &exchange->request;
    json_t *object = json_object();

    return json_put(entry, "request", object) && put_str(object, "stage", request->stage) &&
           put_scope(object, request->scope) && put_str(object, "audience", request->audience) &&
           put_str(object, "reason", request->reason) &&
           (request->ttl_s == 0 || json_put(object, "ttl_s", json_integer(request->ttl_s)));
}

static bool put_stage(const struct exchange *exchange, json_t *entry)
{
    const struct policy_stage *stage = exchange->decision.stage;
    const uint8_t *policy = policy_sha256(exchange->rules->policy);

    if (!json_put(entry, "policy", json_from_sha256(policy)))
        return false;
    if (!stage)
        return true;
    return put_str(entry, "pipeline", stage->pipeline) && put_str(entry, "stage", stage->id) &&
           json_put(entry, "kind", json_string(policy_stage_kind_name(stage->kind))) &&
           put_str(entry, "environment", stage->environment) &&
           put_str(entry, "tenant", stage->tenant) && put_str(entry, "owner", stage->owner) &&
           json_put(entry, "rule", json_from_sha256(stage->rule_sha256));
}

/* What every entry of an exchange says of who asked, for what, under which policy. */
static bool put_common(const struct exchange *exchange, json_t *entry, json_t *private_part,
                       struct error *error)
{
    const struct verified_token *token = &exchange->token;
    struct claim_table claims = token->issuer->claims;

    if (!json_put(entry, "decision", json_string(exchange->decision_id)) ||
        !put_str(entry, "issuer", token->issuer->name) || !put_token(exchange, entry) ||
        !put_request(exchange, entry) || !put_stage(exchange, entry))
        return error_set(error, ERROR_MEMORY, "entry");
    return put_subject(exchange, entry, private_part, error) &&
           actor_record(exchange, entry, private_part, error) &&
           put_ci(exchange, entry, private_part, error) &&
           put_facts(exchange, entry, private_part, error) &&
           entry_put_claims(entry, token->claims, is_personal_claim, &claims, private_part, error);
}

static bool begin(struct exchange *exchange, enum entry_type type, json_t **entry,
                  json_t **private_part, struct error *error)
{
    *entry = entry_new(type, ledger_broker(exchange->service->ledger));
    *private_part = json_object();
    if (!*entry || !*private_part)
        return error_set(error, ERROR_MEMORY, "entry");
    return put_common(exchange, *entry, *private_part, error);
}

static bool put_failed(const struct exchange *exchange, json_t *entry)
{
    json_t *list = json_array();

    if (!json_put(entry, "failed", list))
        return false;
    for (size_t i = 0; i < exchange->decision.failed_count; i++)
        if (json_array_append_new(list, json_from_str(exchange->decision.failed[i])) != 0)
            return false;
    return true;
}

bool record_denied(struct exchange *exchange, const struct error *cause, json_t **entry,
                   json_t **private_part, struct error *error)
{
    const char *reason = cause->code == ERROR_TOKEN_USED ? "replay" : error_kind(cause->code)->name;

    if (!begin(exchange, ENTRY_EXCHANGE_DENIED, entry, private_part, error))
        return false;
    if (!json_put(*entry, "reason", json_string(reason)) || !put_failed(exchange, *entry) ||
        !replay_put_first(exchange->replay, *entry))
        return error_set(error, ERROR_MEMORY, "entry");
    return true;
}

static bool put_credential(json_t *list, const struct mint *mint, const char *type)
{
    json_t *object = mint->record ? json_deep_copy(mint->record) : json_object();

    if (!object || json_array_append_new(list, object) != 0)
        return false;
    return put_str(object, "grant", mint->grant) && json_put(object, "type", json_string(type)) &&
           (!mint->target || put_str(object, "target", mint->target->name)) &&
           json_put(object, "ttl_s", json_integer(mint->ttl_s)) &&
           (mint->expires_s == 0 || json_put(object, "expires_at", record_time(mint->expires_s)));
}

static bool put_credentials(const struct exchange *exchange, json_t *entry)
{
    json_t *list = json_array();

    if (!json_put(entry, "credentials", list))
        return false;
    for (size_t i = 0; i < exchange->mint_count; i++)
        if (!put_credential(list, &exchange->mints[i],
                            exchange->decision.grants[i].grant->kind->name))
            return false;
    return !exchange->stage_token.record ||
           put_credential(list, &exchange->stage_token, "stage_token");
}

/* Until the credentials are there their longest possible life stands for the lease's. */
static int64_t lease_expires_s(const struct exchange *exchange)
{
    int64_t longest_s = exchange->rules->default_ttl_s;

    if (exchange->expires_s != 0)
        return exchange->expires_s;
    for (size_t i = 0; i < exchange->mint_count; i++)
        if (exchange->mints[i].ttl_s > longest_s)
            longest_s = exchange->mints[i].ttl_s;
    return exchange->now_s + longest_s;
}

static bool put_lease(const struct exchange *exchange, enum entry_type type, json_t *entry)
{
    uint8_t handle[SHA256_LEN];

    sha256((struct str){ exchange->handle, LEASE_HANDLE_LEN }, handle);
    return json_put(entry, "lease", json_string(exchange->lease_id)) &&
           json_put(entry, "lease_expires", record_time(lease_expires_s(exchange))) &&
           (type != ENTRY_CREDENTIAL_ISSUED || json_put(entry, "handle", json_from_sha256(handle)));
}

bool record_lease(struct exchange *exchange, enum entry_type type, const struct error *cause,
                  json_t **entry, json_t **private_part, struct error *error)
{
    if (!begin(exchange, type, entry, private_part, error))
        return false;
    if (!put_lease(exchange, type, *entry) || !put_credentials(exchange, *entry))
        return error_set(error, ERROR_MEMORY, "entry");
    if (cause && (!json_put(*entry, "code", json_string(error_kind(cause->code)->name)) ||
                  !json_put(*entry, "detail", json_from_str(str_from(cause->cause)))))
        return error_set(error, ERROR_MEMORY, "entry");
    return true;
}

/* The digests of personal facts stay digests: copying them tells nobody more. */
bool record_copy_opened(const json_t *opened, json_t *entry, struct error *error)
{
    static const char *const kept[] = {
        "issuer", "subject", "pipeline", "stage", "kind", "environment", "tenant", "owner", "ci",
    };

    for (size_t i = 0; i < COUNT(kept); i++) {
        json_t *value = json_object_get(opened, kept[i]);

        if (value && !json_put(entry, kept[i], json_incref(value)))
            return error_set(error, ERROR_MEMORY, "entry");
    }
    return true;
}
