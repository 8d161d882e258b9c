#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/time_text.h"
#include "exchange/approval.h"
#include "exchange/approval_digest.h"
#include "exchange/exchange_internal.h"
#include "exchange/handles.h"
#include "exchange/kept.h"
#include "exchange/rules.h"
#include "ledger/lease_key.h"

/*
 * Entries are built from what was verified and decided; of the caller's own words only the bounded
 * `reason` and `scope` get in. Nothing here is a secret: the handle goes in as its hash.
 */

static json_t *json_from_hex(const uint8_t *bytes, size_t len)
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, 256);
    buf_add_hex(&text, (struct str){ (const char *)bytes, len });
    return buf_is_ok(&text) ? json_from_str(buf_str(&text)) : NULL;
}

json_t *record_time(int64_t wall_s)
{
    char text[TIME_TEXT_S_LEN + 1];

    time_text_s(wall_s, text);
    return json_string(text);
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
        !json_put(object, "holder", json_from_hex(holder, sizeof(holder))))
        return false;
    if (!dpop)
        return true;
    proof = json_object();
    return json_put(object, "proof", proof) &&
           json_put(proof, "mark", json_from_hex(dpop->mark, SHA256_LEN)) &&
           json_put(proof, "exp", json_integer(dpop->expires_s));
}

static bool put_token(const struct exchange *exchange, json_t *entry)
{
    const struct verified_token *token = &exchange->token;
    json_t *object = json_object();

    /* A mark that was set by the entry that asked stays: it is not set again, nor freed. */
    return json_put(entry, "token", object) &&
           (exchange->request.approval.len == 0 || json_put(object, "asked", json_true())) &&
           json_put(object, "mark", json_from_hex(token->mark, SHA256_LEN)) &&
           json_put(object, "exp", json_integer(token->expires_s)) &&
           json_put(object, "iat", json_integer(token->issued_s)) &&
           json_put_text(object, "kid", token->kid) && put_holder(exchange, object);
}

static bool is_kept_fact(const json_t *value)
{
    return !json_is_null(value) && json_string_length(value) <= LEASE_FACT_MAX;
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

    return json_put(entry, "request", object) && json_put_text(object, "stage", request->stage) &&
           put_scope(object, request->scope) &&
           json_put_text(object, "audience", request->audience) &&
           json_put_text(object, "reason", request->reason) &&
           (!request->bindings ||
            json_put(object, "bindings", json_incref(json_iterable(request->bindings)))) &&
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
    return json_put_text(entry, "pipeline", stage->pipeline) &&
           json_put_text(entry, "stage", stage->id) &&
           json_put(entry, "kind", json_string(policy_stage_kind_name(stage->kind))) &&
           json_put_text(entry, "environment", stage->environment) &&
           json_put_text(entry, "tenant", stage->tenant) &&
           json_put_text(entry, "owner", stage->owner) &&
           json_put_text(entry, "instance", exchange->decision.instance) &&
           json_put(entry, "rule", json_from_sha256(exchange->decision.rule_sha256));
}

static bool put_block(const struct exchange *exchange, json_t *entry)
{
    return exchange->block_id[0] == '\0' ||
           json_put(entry, "block", json_string(exchange->block_id));
}

/* What every entry of an exchange says of who asked, for what, under which policy. */
static bool put_common(const struct exchange *exchange, json_t *entry, json_t *private_part,
                       struct error *error)
{
    const struct verified_token *token = &exchange->token;
    struct claim_table claims = token->issuer->claims;

    if (!json_put(entry, "decision", json_string(exchange->decision_id)) ||
        !json_put_text(entry, "issuer", token->issuer->name) || !put_token(exchange, entry) ||
        !put_request(exchange, entry) || !put_stage(exchange, entry) || !put_block(exchange, entry))
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

static bool put_failed(const struct policy_decision *decision, json_t *entry)
{
    return json_put(entry, "failed", json_from_strs(decision->failed, decision->failed_count));
}

static bool put_verdict(const struct exchange_verdict *verdict, json_t *object)
{
    return json_put(object, "outcome", json_string(verdict->is_allowed ? "allowed" : "denied")) &&
           (verdict->is_allowed || (json_put(object, "reason", json_string(verdict->reason)) &&
                                    put_failed(verdict->decision, object)));
}

bool exchange_put_grants(const struct policy_decision *decision, json_t *object)
{
    json_t *list = json_array();

    if (!json_put(object, "grants", list))
        return false;
    for (size_t i = 0; i < decision->grant_count; i++)
        if (json_array_append_new(list, json_from_str(decision->grants[i].grant->name)) != 0)
            return false;
    return true;
}

static bool put_shadow(const struct exchange_verdict *shadow, json_t *entry)
{
    const struct policy_decision *decision = shadow->decision;
    json_t *object = json_object();

    return json_put(entry, "shadow", object) && put_verdict(shadow, object) &&
           json_put(object, "policy", json_from_sha256(policy_sha256(shadow->policy))) &&
           (!decision->stage ||
            (json_put_text(object, "stage", decision->stage->id) &&
             json_put(object, "rule", json_from_sha256(decision->rule_sha256)))) &&
           (!shadow->is_allowed || exchange_put_grants(decision, object));
}

bool record_observed(struct exchange *exchange, const struct exchange_verdict *verdict,
                     const struct exchange_verdict *shadow, json_t **entry, json_t **private_part,
                     struct error *error)
{
    if (!begin(exchange, ENTRY_EXCHANGE_OBSERVED, entry, private_part, error))
        return false;
    return (put_verdict(verdict, *entry) && put_shadow(shadow, *entry)) ||
           error_set(error, ERROR_MEMORY, "entry");
}

bool record_denied(struct exchange *exchange, const struct error *cause, json_t **entry,
                   json_t **private_part, struct error *error)
{
    const char *reason = cause->code == ERROR_TOKEN_USED ? "replay" : error_kind(cause->code)->name;

    if (!begin(exchange, ENTRY_EXCHANGE_DENIED, entry, private_part, error))
        return false;
    if (!json_put(*entry, "reason", json_string(reason)) ||
        (exchange->request.renewal &&
         !json_put(*entry, "lease", json_string(exchange->request.renewal->lease.id))) ||
        !json_put_text(*entry, "approval", exchange->request.approval) ||
        !put_failed(&exchange->decision, *entry) || !replay_put_first(exchange->replay, *entry))
        return error_set(error, ERROR_MEMORY, "entry");
    return true;
}

/*
 * Whether an entry says that a credential is to be ended: all that may be made, while that is ahead
 * or went well; of what came to nothing what was made before that, and what may have been.
 */
static bool may_be_there(const struct mint *mint, enum entry_type type)
{
    return (type != ENTRY_CREDENTIAL_FAILED && type != ENTRY_CREDENTIAL_UNKNOWN &&
            type != ENTRY_RENEWAL_FAILED) ||
           mint->credential || mint->may_exist;
}

static bool put_revoke(json_t *object, const struct target_kind *kind, const struct mint *mint,
                       enum entry_type type)
{
    enum policy_revocation revocation = target_revocation(kind, mint);

    if (revocation == POLICY_REVOKED_BY_EXPIRY || !may_be_there(mint, type))
        return true;
    return json_put_text(object, "attempt", mint->attempt) &&
           json_put(object, "revoke", json_string(target_revocation_name(revocation))) &&
           (revocation != POLICY_REVOKED_NOW || !kind->is_gone_by_expiry ||
            json_put(object, "lapses", json_true()));
}

static bool put_credential(json_t *list, const struct mint *mint, const char *type)
{
    json_t *object = mint->record ? json_deep_copy(mint->record) : json_object();

    if (!object || json_array_append_new(list, object) != 0)
        return false;
    return json_put_text(object, "grant", mint->grant) &&
           json_put(object, "type", json_string(type)) &&
           (!mint->target || json_put_text(object, "target", mint->target->name)) &&
           json_put(object, "ttl_s", json_integer(mint->ttl_s)) &&
           (mint->expires_s == 0 || json_put(object, "expires_at", record_time(mint->expires_s)));
}

static bool put_credentials(const struct exchange *exchange, enum entry_type type, json_t *entry)
{
    json_t *list = json_array();

    if (!json_put(entry, "credentials", list))
        return false;
    for (size_t i = 0; i < exchange->mint_count; i++) {
        const struct policy_grant_kind *kind = exchange->decision.grants[i].grant->kind;
        const struct mint *mint = &exchange->mints[i];

        if (!put_credential(list, mint, kind->name) ||
            !put_revoke(json_array_get(list, i), target_kind_of(kind), mint, type))
            return false;
    }
    return !exchange->stage_token.record ||
           put_credential(list, &exchange->stage_token, "stage_token");
}

/*
 * What ending them will need. Where it does not fit nothing is issued; of what then is to be ended
 * as much is kept as does.
 */
static bool put_handles(const struct exchange *exchange, enum entry_type type, json_t *private_part,
                        struct error *error)
{
    struct keys *keys = exchange->service->tools.keys;

    for (size_t i = 0; i < exchange->mint_count; i++) {
        struct error cause = { 0 };

        if (handles_put(keys, &exchange->mints[i], private_part, &cause) ||
            (type != ENTRY_CREDENTIAL_ISSUED && type != ENTRY_LEASE_RENEWED &&
             cause.code == ERROR_MINT))
            continue;
        *error = cause;
        return false;
    }
    return true;
}

/* Until the credentials are there their longest possible life stands for the lease's. */
static int64_t lease_expires_s(const struct exchange *exchange)
{
    int64_t longest_s = exchange->rules->default_ttl_s;
    int64_t end_s = life_end_s(exchange, exchange->now_s);

    if (exchange->expires_s != 0)
        return exchange->expires_s;
    for (size_t i = 0; i < exchange->mint_count; i++)
        if (exchange->mints[i].ttl_s > longest_s)
            longest_s = exchange->mints[i].ttl_s;
    return exchange->now_s + longest_s < end_s ? exchange->now_s + longest_s : end_s;
}

/* What is there besides, and of one that went well the renewal's number and the lease's new end. */
static bool put_renewal(const struct exchange *exchange, enum entry_type type, json_t *entry)
{
    const struct exchange_renewal *renewal = exchange->request.renewal;

    return json_put(entry, "lease", json_string(exchange->lease_id)) &&
           json_put(entry, "renews", json_integer((json_int_t)renewal->lease.credentials_index)) &&
           (type != ENTRY_LEASE_RENEWED ||
            (json_put(entry, "renewal", json_integer(renewal->number)) &&
             json_put(entry, "lease_expires", record_time(life_expires_s(exchange)))));
}

static bool put_lease(const struct exchange *exchange, enum entry_type type, json_t *entry)
{
    int64_t kept_until_s = exchange_kept_until_s(exchange);
    int64_t heartbeat_s = exchange->decision.obligations.lease.heartbeat_s;
    uint8_t handle[SHA256_LEN];

    if (exchange->request.renewal)
        return put_renewal(exchange, type, entry);
    sha256((struct str){ exchange->handle, LEASE_HANDLE_LEN }, handle);
    return (heartbeat_s == 0 || json_put(entry, "heartbeat_s", json_integer(heartbeat_s))) &&
           json_put(entry, "lease", json_string(exchange->lease_id)) &&
           json_put(entry, "lease_expires", record_time(lease_expires_s(exchange))) &&
           (kept_until_s == 0 || json_put(entry, "kept_until", record_time(kept_until_s))) &&
           (type != ENTRY_CREDENTIAL_ISSUED || json_put(entry, "handle", json_from_sha256(handle)));
}

/* Whether it is a lease's first entry. */
static bool opens(const struct exchange *exchange, enum entry_type type)
{
    return type == ENTRY_LEASE_REQUESTED ||
           (type == ENTRY_CREDENTIAL_ISSUED && !exchange->has_intent);
}

bool record_lease(struct exchange *exchange, enum entry_type type, const struct error *cause,
                  json_t **entry, json_t **private_part, struct error *error)
{
    if (!begin(exchange, type, entry, private_part, error))
        return false;
    if (!put_lease(exchange, type, *entry) || !put_credentials(exchange, type, *entry))
        return error_set(error, ERROR_MEMORY, "entry");
    if (!approval_record(exchange, type, *entry, error) ||
        !put_handles(exchange, type, *private_part, error))
        return false;
    if (cause && (!json_put(*entry, "code", json_string(error_kind(cause->code)->name)) ||
                  !json_put(*entry, "detail", json_from_str(str_from(cause->cause)))))
        return error_set(error, ERROR_MEMORY, "entry");
    if (type == ENTRY_CREDENTIAL_UNKNOWN && exchange->has_ended &&
        !json_put(*entry, "reason", json_string(ENTRY_REASON_LEASE_ENDED)))
        return error_set(error, ERROR_MEMORY, "entry");
    if (!opens(exchange, type) || !life_may_renew(exchange))
        return true;
    exchange->is_kept = true;
    return kept_put(exchange, str_from(exchange->lease_id), *private_part, error);
}

/* What approvers are shown besides, and what holds for who they are: as it was when it was asked.
 */
static bool put_asked(const struct exchange *exchange, json_t *request)
{
    const struct policy_approval *wanted = exchange->decision.obligations.approval;
    const struct approval_grant *grants = approval_grants(exchange);
    json_t *terms = json_object();

    return grants &&
           json_put(request, "grants", approval_grants_shown(grants, exchange->mint_count)) &&
           json_put(request, "approval", terms) && json_put_text(terms, "by", wanted->by) &&
           json_put(terms, "count", json_integer(wanted->count)) &&
           json_put(terms, "within_s", json_integer(wanted->within_s)) &&
           (!wanted->self_is_unchecked ||
            json_put(terms, "self_approval", json_string("unchecked")));
}

bool record_approval(struct exchange *exchange, json_t **entry, json_t **private_part,
                     struct error *error)
{
    const struct exchange_approval *approval = exchange->approval;
    uint8_t code[SHA256_LEN];

    if (!begin(exchange, ENTRY_APPROVAL_REQUESTED, entry, private_part, error))
        return false;
    sha256((struct str){ approval->code, APPROVAL_CODE_LEN }, code);
    if (!json_put(*entry, "approval", json_string(approval->id)) ||
        !json_put(*entry, "digest", json_from_sha256(approval->digest)) ||
        !json_put(*entry, "handle", json_from_sha256(code)) ||
        !json_put(*entry, "until", record_time(approval->until_s)) ||
        !json_put(*entry, "left", json_integer(exchange->decision.obligations.approval->count)) ||
        !json_put_text(*entry, "instance", exchange->decision.instance) ||
        !put_asked(exchange, json_object_get(*entry, "request")))
        return error_set(error, ERROR_MEMORY, "entry");
    return true;
}

/* The digests of personal facts stay digests: copying them tells nobody more. */
bool record_copy_opened(const json_t *opened, json_t *entry, struct error *error)
{
    static const char *const kept[] = {
        "issuer",      "subject", "pipeline", "stage",    "kind",
        "environment", "tenant",  "owner",    "instance", "ci",
    };

    for (size_t i = 0; i < COUNT(kept); i++) {
        json_t *value = json_object_get(opened, kept[i]);

        if (value && !json_put(entry, kept[i], json_incref(value)))
            return error_set(error, ERROR_MEMORY, "entry");
    }
    return true;
}
