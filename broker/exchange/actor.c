#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "exchange/exchange_internal.h"
#include "exchange/kept.h"
#include "exchange/rules.h"
#include "identity/people.h"
#include "ledger/entry.h"

/* What of an actor's claims an entry holds at most, so that it always has room for the job's. */
#define ACTOR_CLAIMS_MAX 1024
#define ACTOR_CLAIM_MAX 256

/* Whose token it says it is; what nobody knows goes to the runs' issuers, which refuse it. */
static struct identity *find_identity(const struct exchange *exchange)
{
    const struct rules *rules = exchange->rules;
    struct str token = exchange->request.actor_token;

    if (rules->people_identity && identity_is_named(rules->people_identity, token, exchange->arena))
        return rules->people_identity;
    return rules->identity;
}

static bool begin(struct exchange *exchange, struct error *error)
{
    struct exchange_actor *actor = arena_alloc(exchange->arena, sizeof(*actor));

    if (!actor)
        return error_set(error, ERROR_MEMORY, "actor");
    exchange->actor = actor;
    return true;
}

/* Of people's provider whoever it is must have been told of as a person. */
static bool check_person(struct exchange *exchange, struct error *error)
{
    const struct rules *rules = exchange->rules;
    struct exchange_actor *actor = exchange->actor;
    struct person ignored;

    actor->is_person = actor->identity == rules->people_identity;
    return !actor->is_person ||
           person_from_token(rules->people, &actor->token, exchange->arena, &ignored, error);
}

static enum progress verify(struct exchange *exchange, struct error *error)
{
    const struct exchange_proof *proof = &exchange->request.proof;
    struct exchange_actor *actor = exchange->actor;
    struct identity_input input = {
        .token = exchange->request.actor_token,
        .now_s = clock_wall_s(),
        .thumbprint = proof->dpop ? proof->dpop->thumbprint : NULL,
        .certificate = proof->certificate,
    };
    enum progress progress = identity_verify(actor->identity, &input, exchange->arena,
                                             exchange->waker, &actor->state, &actor->token, error);

    if (progress != PROGRESS_DONE)
        return progress;
    return exchange_check_binding(exchange, actor->token.issuer, error) &&
                   check_person(exchange, error)
               ? PROGRESS_DONE
               : PROGRESS_FAILED;
}

/* Who acted when it was kept: known still, and of the same kind. */
static bool restore(struct exchange *exchange, struct error *error)
{
    const struct kept *kept = exchange->request.kept;
    const struct rules *rules = exchange->rules;
    struct exchange_actor *actor = exchange->actor;

    actor->identity = kept->is_actor_person ? rules->people_identity : rules->identity;
    if (!actor->identity)
        return error_set(error, ERROR_ACTOR, "people are not configured any more");
    return identity_restore(actor->identity, &kept->actor, exchange->arena, &actor->token, error) &&
           exchange_check_binding(exchange, actor->token.issuer, error) &&
           check_person(exchange, error);
}

static bool make_facts(struct exchange *exchange, struct error *error)
{
    struct exchange_actor *actor = exchange->actor;
    json_t *facts = json_object();

    if (!facts || !json_keep(exchange->arena, facts, error) ||
        !json_put(facts, "issuer", json_from_str(actor->token.issuer->name)) ||
        !json_put(facts, "claims", json_incref(json_iterable(actor->token.claims))))
        return error_set(error, ERROR_MEMORY, "actor");
    actor->facts = facts;
    return true;
}

/* All that is told of an actor token is that it is no good. */
static enum progress refuse(const struct error *why, struct error *error)
{
    enum error_code code = why->code;

    if (code != ERROR_MEMORY && code != ERROR_KEYS_UNAVAILABLE)
        code = ERROR_ACTOR;
    (void)error_set(error, code, "actor token: %s", why->cause);
    return PROGRESS_FAILED;
}

static bool has_actor(const struct exchange_request *request)
{
    return request->kept ? request->kept->actor.claims != NULL : request->actor_token.len > 0;
}

static enum progress find(struct exchange *exchange, struct error *error)
{
    if (!exchange->actor && !begin(exchange, error))
        return PROGRESS_FAILED;
    if (exchange->request.kept)
        return restore(exchange, error) ? PROGRESS_DONE : PROGRESS_FAILED;
    if (!exchange->actor->identity)
        exchange->actor->identity = find_identity(exchange);
    return verify(exchange, error);
}

enum progress actor_enter(struct exchange *exchange, struct error *error)
{
    struct error why = { 0 };
    enum progress progress;

    if (!has_actor(&exchange->request))
        return PROGRESS_DONE;
    progress = find(exchange, &why);
    if (progress == PROGRESS_WAIT)
        return progress;
    if (progress == PROGRESS_FAILED || !make_facts(exchange, &why))
        return refuse(&why, error);
    return PROGRESS_DONE;
}

/* ---- the entry ---- */

/* Plain values that an issuer is known to give; how long they are, or 0 for those left out. */
static size_t claim_len(const struct claim *row, const json_t *value)
{
    if (json_is_boolean(value) || json_is_integer(value))
        return str_from(row->name).len + 24;
    if (!json_is_string(value) || json_string_length(value) > ACTOR_CLAIM_MAX)
        return 0;
    return str_from(row->name).len + json_string_length(value) + 6;
}

static bool put_claim(json_t *claims, const struct claim *row, const json_t *value,
                      json_t *private_part, struct error *error)
{
    if (row->flags & CLAIM_PERSONAL)
        return entry_put_personal(claims, "actor.claims", row->name, value, private_part, error);
    return json_put(claims, row->name, json_incref(json_iterable(value))) ||
           error_set(error, ERROR_MEMORY, "entry");
}

static bool put_claims(const struct verified_token *token, json_t *actor, json_t *private_part,
                       struct error *error)
{
    json_t *claims = json_object();
    size_t total = 0;

    if (!json_put(actor, "claims", claims))
        return error_set(error, ERROR_MEMORY, "entry");
    for (size_t i = 0; i < token->issuer->claims.count; i++) {
        const struct claim *row = &token->issuer->claims.rows[i];
        const json_t *value = json_object_get(token->claims, row->name);
        size_t len = claim_len(row, value);

        if (len == 0 || total + len > ACTOR_CLAIMS_MAX)
            continue;
        total += len;
        if (!put_claim(claims, row, value, private_part, error))
            return false;
    }
    return true;
}

static bool put_subject(const struct verified_token *token, json_t *actor, json_t *private_part,
                        struct error *error)
{
    const struct claim *row = claim_find(&token->issuer->claims, STR("sub"));
    JSON_OWNED json_t *subject = json_from_str(token->subject);

    if (!subject)
        return error_set(error, ERROR_MEMORY, "entry");
    if (row && (row->flags & CLAIM_PERSONAL))
        return entry_put_personal(actor, "actor", "subject", subject, private_part, error);
    return json_put(actor, "subject", json_incref(subject)) ||
           error_set(error, ERROR_MEMORY, "entry");
}

bool actor_record(const struct exchange *exchange, json_t *entry, json_t *private_part,
                  struct error *error)
{
    const struct verified_token *token;
    json_t *object;

    if (!exchange->actor || !exchange->actor->facts)
        return true;
    token = &exchange->actor->token;
    object = json_object();
    if (!json_put(entry, "actor", object) ||
        !json_put(object, "issuer", json_from_str(token->issuer->name)) ||
        !json_put(object, "exp", json_integer(token->expires_s)))
        return error_set(error, ERROR_MEMORY, "entry");
    return put_subject(token, object, private_part, error) &&
           put_claims(token, object, private_part, error);
}
