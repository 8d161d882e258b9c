#include "exchange/exchange.h"

#include <string.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/metrics.h"
#include "base/secret.h"
#include "exchange/exchange_internal.h"
#include "exchange/rules.h"

/*
 * The rooms of an exchange, in order:
 *
 *   identity  the token becomes verified claims          waits for the issuer's keys
 *   actor     who acts for the job, if anybody           waits for their issuer's keys
 *   policy    claims become a decision                   never waits
 *   lease     the lease's names, the caller's details    never waits
 *   intent    lease.requested, where a grant is remote   waits for the commit
 *   mint      the credentials                            waits for the targets
 *   outcome   credential.issued                          waits for the commit
 *   answer    the body of the 200                        never waits
 *
 * What fails once an identity is proven goes to the failure room, which records it before the
 * caller is told. So every way out of here has its entry, and no credential leaves without one.
 */

struct room {
    const char *name;
    enum progress (*enter)(struct exchange *exchange, struct error *error);
    bool is_after_verification; /* a failure here is recorded */
};

static enum progress identity_enter(struct exchange *exchange, struct error *error);
static enum progress policy_enter(struct exchange *exchange, struct error *error);
static enum progress lease_enter(struct exchange *exchange, struct error *error);
static enum progress intent_enter(struct exchange *exchange, struct error *error);
static enum progress mint_enter(struct exchange *exchange, struct error *error);
static enum progress outcome_enter(struct exchange *exchange, struct error *error);
static enum progress answer_enter(struct exchange *exchange, struct error *error);

static const struct room rooms[] = {
    { "identity", identity_enter, false }, { "actor", actor_enter, true },
    { "policy", policy_enter, true },      { "lease", lease_enter, true },
    { "intent", intent_enter, true },      { "mint", mint_enter, true },
    { "outcome", outcome_enter, true },    { "answer", answer_enter, false },
};

static void release_exchange(void *object)
{
    struct exchange *exchange = object;

    for (size_t i = 0; i < exchange->mint_count; i++) {
        json_decref(exchange->mints[i].credential);
        json_decref(exchange->mints[i].record);
    }
    json_decref(exchange->stage_token.credential);
    json_decref(exchange->stage_token.record);
    json_decref(exchange->answer);
    rules_put(exchange->service->rules, exchange->rules);
}

struct exchange *exchange_new(const struct exchange_service *service,
                              const struct exchange_request *request, struct waker waker,
                              struct arena *arena)
{
    struct error error = { 0 };
    struct exchange *exchange = arena_alloc(arena, sizeof(*exchange));

    if (!exchange || !id_new(clock_wall_ms(), exchange->decision_id, &error))
        return NULL;
    exchange->service = service;
    exchange->request = *request;
    exchange->arena = arena;
    exchange->waker = waker;
    exchange->rules = rules_get(service->rules);
    if (!arena_defer(arena, release_exchange, exchange))
        return NULL;
    return exchange;
}

enum progress exchange_walk(struct exchange *exchange, struct error *error)
{
    while (!exchange->is_failing && exchange->room < COUNT(rooms)) {
        const struct room *room = &rooms[exchange->room];
        enum progress progress = room->enter(exchange, &exchange->failure);

        if (progress == PROGRESS_WAIT)
            return progress;
        if (progress == PROGRESS_DONE) {
            exchange->room++;
            continue;
        }
        if (!room->is_after_verification) {
            *error = exchange->failure;
            return PROGRESS_FAILED;
        }
        exchange->is_failing = true;
    }
    return exchange->is_failing ? exchange_record_failure(exchange, error) : PROGRESS_DONE;
}

bool exchange_abandon(struct exchange *exchange)
{
    const void *waiting = exchange->waker.context;

    /* Only a token that waits for its issuer's keys can be let go of. */
    if (!exchange->is_verified)
        return identity_forget(exchange->rules->identity, waiting);
    return exchange->actor && identity_forget(exchange->actor->identity, waiting);
}

bool exchange_has_begun(const struct exchange *exchange)
{
    return exchange->is_submitted || exchange->has_intent;
}

static const char *thumbprint_of(const struct exchange *exchange)
{
    return exchange->request.proof.dpop ? exchange->request.proof.dpop->thumbprint : NULL;
}

static enum progress identity_enter(struct exchange *exchange, struct error *error)
{
    struct identity_input input = {
        .token = exchange->request.subject_token,
        .now_s = clock_wall_s(),
        .thumbprint = thumbprint_of(exchange),
        .certificate = exchange->request.proof.certificate,
    };
    enum progress progress;

    exchange->now_s = input.now_s;
    progress = identity_verify(exchange->rules->identity, &input, exchange->arena, exchange->waker,
                               &exchange->identity_state, &exchange->token, error);
    if (progress == PROGRESS_DONE &&
        !exchange_check_binding(exchange, exchange->token.issuer, error))
        return PROGRESS_FAILED;
    exchange->is_verified = progress == PROGRESS_DONE;
    return progress;
}

static size_t count_words(struct str text)
{
    size_t count = 0;

    while (text.len > 0) {
        struct str word;

        (void)str_cut(text, ' ', &word, &text);
        count++;
    }
    return count;
}

/* Without an audience, scope names grants (design.md 3.2); with one it narrows that token's scopes.
 */
static bool scope_as_grants(struct exchange *exchange, struct policy_request *request,
                            struct error *error)
{
    struct str rest = exchange->request.scope;
    size_t count = exchange->request.audience.len > 0 ? 0 : count_words(rest);
    struct str *names;

    if (count > POLICY_STAGE_GRANTS_MAX)
        return error_set(error, ERROR_SCOPE, "%zu scope values", count);
    if (count == 0)
        return true;
    names = arena_alloc_array(exchange->arena, count, sizeof(*names));
    if (!names)
        return error_set(error, ERROR_MEMORY, "scope");
    for (size_t i = 0; i < count; i++)
        (void)str_cut(rest, ' ', &names[i], &rest);
    request->grants = names;
    request->grant_count = count;
    return true;
}

static bool decide(struct exchange *exchange, struct policy_decision *decision, struct error *error)
{
    struct policy_request request = {
        .stage = exchange->request.stage,
        .audience = exchange->request.audience,
        .ttl_s = exchange->request.ttl_s,
    };
    struct policy_facts facts = {
        .issuer = exchange->token.issuer->name,
        .claims = exchange->token.claims,
        .ci = exchange->token.ci,
        .dangers = exchange->token.dangers,
        .danger_count = exchange->token.danger_count,
        .address = &exchange->request.address,
        .proofs = exchange_proofs(exchange),
        .actor = exchange->actor ? exchange->actor->facts : NULL,
    };

    /* What was decided once is decided again under the stage's full name. */
    if (exchange->is_decided)
        request.stage = exchange->decision.stage->id;
    return scope_as_grants(exchange, &request, error) &&
           policy_decide(exchange->rules->policy, &facts, &request, exchange->now_s,
                         exchange->arena, decision, error);
}

/* Nothing depends on it: people want to know what begins to reach production. */
static void note_workflow(struct exchange *exchange)
{
    const struct policy_stage *stage = exchange->decision.stage;

    if (str_eq(stage->environment, STR("production")))
        exchange->has_new_workflow =
            identity_note_workflow(exchange->rules->identity, &exchange->token, stage->id);
}

static enum progress policy_enter(struct exchange *exchange, struct error *error)
{
    if (!decide(exchange, &exchange->decision, error))
        return PROGRESS_FAILED;
    exchange->is_decided = true;
    note_workflow(exchange);
    return PROGRESS_DONE;
}

static bool make_handle(struct exchange *exchange, struct error *error)
{
    OWNED(buf_release) struct buf text = { 0 };
    uint8_t random[16];

    buf_init(&text, sizeof(exchange->handle));
    if (!secret_random(random, sizeof(random), error))
        return false;
    buf_add(&text, STR("sph_"));
    buf_add_base64url(&text, (struct str){ (const char *)random, sizeof(random) });
    secret_wipe(random, sizeof(random));
    if (!buf_is_ok(&text) || text.len != LEASE_HANDLE_LEN)
        return error_set(error, ERROR_MEMORY, "handle");
    memcpy(exchange->handle, text.data, LEASE_HANDLE_LEN);
    return true;
}

/* The target's row as it is in force; the policy keeps only what it needs of it. */
static const struct target *find_target(const struct rules *rules,
                                        const struct policy_target *wanted)
{
    if (!wanted)
        return NULL;
    for (size_t i = 0; i < rules->target_count; i++)
        if (str_eq(rules->targets[i].name, wanted->name))
            return &rules->targets[i];
    return NULL;
}

static struct str ci_text(const struct exchange *exchange, const char *name)
{
    struct str value = { 0 };

    return json_get_str(exchange->token.ci, name, &value) ? value : STR("");
}

static struct mint mint_common(struct exchange *exchange)
{
    return (struct mint){
        .tools = &exchange->service->tools,
        .subject_token_sha256 = exchange->token.sha256,
        .stage = exchange->decision.stage->id,
        .lease = { exchange->lease_id, ID_LEN },
        .run = ci_text(exchange, "run"),
        .repository = ci_text(exchange, "repository"),
        .thumbprint = thumbprint_of(exchange),
        .certificate = exchange->request.proof.certificate,
        .actor_issuer = exchange->actor ? exchange->actor->token.issuer->url : STR(""),
        .actor_subject = exchange->actor ? exchange->actor->token.subject : STR(""),
        .address = &exchange->request.address,
        .now_s = exchange->now_s,
        .arena = exchange->arena,
        .waker = exchange->waker,
    };
}

static bool prepare_mint(struct exchange *exchange, const struct policy_granted *granted,
                         struct mint *mint, struct error *error)
{
    *mint = mint_common(exchange);
    mint->grant = granted->grant->name;
    mint->fields = granted->fields;
    mint->ttl_s = granted->ttl_s;
    mint->target = find_target(exchange->rules, granted->grant->target);
    if (exchange->request.audience.len > 0)
        mint->scope = exchange->request.scope;
    if (granted->grant->target && !mint->target)
        return error_set(error, ERROR_MINT, "target of grant '" STR_FMT "' is not configured",
                         STR_ARG(mint->grant));
    if (!target_kind_of(granted->grant->kind)->is_local)
        exchange->has_remote = true;
    return true;
}

static const struct target_kind *kind_of(const struct exchange *exchange, size_t index)
{
    return target_kind_of(exchange->decision.grants[index].grant->kind);
}

static bool check_details(struct exchange *exchange, struct error *error)
{
    if (!details_assign(exchange, error))
        return false;
    for (size_t i = 0; i < exchange->mint_count; i++) {
        const struct target_kind *kind = kind_of(exchange, i);

        if (kind->check_details && !kind->check_details(&exchange->mints[i], error)) {
            exchange->lacks_details = !exchange->mints[i].details;
            return false;
        }
    }
    return true;
}

static enum progress lease_enter(struct exchange *exchange, struct error *error)
{
    size_t count = exchange->decision.grant_count;

    if (!id_new(clock_wall_ms(), exchange->lease_id, error) || !make_handle(exchange, error))
        return PROGRESS_FAILED;
    exchange->mints = arena_alloc_array(exchange->arena, count + 1, sizeof(*exchange->mints));
    if (!exchange->mints) {
        (void)error_set(error, ERROR_MEMORY, "mints");
        return PROGRESS_FAILED;
    }
    for (; exchange->mint_count < count; exchange->mint_count++) {
        size_t i = exchange->mint_count;

        if (!prepare_mint(exchange, &exchange->decision.grants[i], &exchange->mints[i], error))
            return PROGRESS_FAILED;
    }
    return check_details(exchange, error) ? PROGRESS_DONE : PROGRESS_FAILED;
}

/*
 * What a commit came to. A guard that failed is a replay before the intent; after it somebody ended
 * the lease.
 */
static enum progress committed(struct exchange *exchange, struct error *error)
{
    struct ledger_append *append = &exchange->append;

    exchange->is_submitted = false;
    if (append->is_committed)
        return PROGRESS_DONE;
    if (append->failed_guard >= append->guard_count)
        *error = append->error;
    else if (!exchange->has_intent)
        (void)exchange_guard_error(append->failed_guard, error);
    else {
        exchange->has_ended = true;
        (void)error_set(error, ERROR_CONDITION, "the lease was ended while a target was asked");
    }
    return PROGRESS_FAILED;
}

static enum progress intent_enter(struct exchange *exchange, struct error *error)
{
    enum progress progress;

    if (!exchange->has_remote)
        return PROGRESS_DONE;
    if (!exchange->is_submitted) {
        exchange_guard_token(exchange);
        return exchange_submit_lease(exchange, ENTRY_LEASE_REQUESTED, NULL, error);
    }
    progress = committed(exchange, error);
    if (progress == PROGRESS_DONE)
        exchange->has_intent = true;
    return progress;
}

/* The token by which a stage shows itself to the broker and to what asks nothing more of it. */
static bool sign_stage_token(struct exchange *exchange, struct error *error)
{
    const struct target_kind *kind = target_kind_find(STR("jwt"));
    struct mint *mint = &exchange->stage_token;
    JSON_OWNED json_t *fields = json_object();

    *mint = mint_common(exchange);
    mint->ttl_s = exchange->expires_s - exchange->now_s;
    if (!json_put(fields, "audience", json_from_str(exchange->service->tools.issuer)) ||
        !json_keep(exchange->arena, json_incref(fields), error))
        return error_set(error, ERROR_MEMORY, "stage token");
    mint->fields = fields;
    return kind->mint(mint, error) == PROGRESS_DONE;
}

/* Without grants the stage token is all there is; what was asked only shortens. */
static int64_t bare_life_s(const struct exchange *exchange)
{
    int64_t asked_s = exchange->request.ttl_s;
    int64_t life_s = exchange->rules->default_ttl_s;

    return asked_s > 0 && asked_s < life_s ? asked_s : life_s;
}

static void bound_lease(struct exchange *exchange)
{
    for (size_t i = 0; i < exchange->mint_count; i++)
        if (exchange->mints[i].expires_s > exchange->expires_s)
            exchange->expires_s = exchange->mints[i].expires_s;
    if (exchange->expires_s == 0)
        exchange->expires_s = exchange->now_s + bare_life_s(exchange);
}

static enum progress mint_enter(struct exchange *exchange, struct error *error)
{
    while (exchange->mint_index < exchange->mint_count) {
        size_t i = exchange->mint_index;
        enum progress progress = kind_of(exchange, i)->mint(&exchange->mints[i], error);

        if (progress != PROGRESS_DONE)
            return progress;
        exchange->mint_index++;
    }
    bound_lease(exchange);
    if (exchange->request.audience.len == 0 && !sign_stage_token(exchange, error))
        return PROGRESS_FAILED;
    return PROGRESS_DONE;
}

/* Whether a decision gives what was minted: the same thing, and for as long. */
static bool gives_mint(const struct policy_decision *decision, const struct mint *mint,
                       const struct policy_grant_kind *kind)
{
    for (size_t i = 0; i < decision->grant_count; i++) {
        const struct policy_granted *granted = &decision->grants[i];

        if (str_eq(granted->grant->name, mint->grant))
            return granted->grant->kind == kind && granted->ttl_s >= mint->ttl_s &&
                   json_equal(granted->fields, mint->fields);
    }
    return false;
}

static bool decide_again(struct exchange *exchange)
{
    struct policy_decision again = { 0 };
    struct error refusal = { 0 };

    if (!decide(exchange, &again, &refusal))
        return false;
    for (size_t i = 0; i < exchange->mint_count; i++)
        if (!gives_mint(&again, &exchange->mints[i], exchange->decision.grants[i].grant->kind))
            return false;
    return true;
}

/*
 * A policy that came into force while we waited, for keys or at a target, decides again: the same
 * stage must still get each of these credentials.
 */
static bool still_allowed(struct exchange *exchange, struct error *error)
{
    struct rules *current = rules_get(exchange->service->rules);
    struct rules *previous = exchange->rules;
    bool is_allowed = true;

    if (current != previous) {
        exchange->rules = current;
        is_allowed = decide_again(exchange);
        exchange->rules = previous; /* the decision's strings are its */
    }
    rules_put(exchange->service->rules, current);
    return is_allowed || error_set(error, ERROR_CONDITION, "the policy changed meanwhile");
}

static enum progress outcome_enter(struct exchange *exchange, struct error *error)
{
    enum progress progress;

    if (!exchange->is_submitted) {
        if (!still_allowed(exchange, error))
            return PROGRESS_FAILED;
        if (exchange->has_intent)
            exchange_guard_requested(exchange);
        else
            exchange_guard_token(exchange);
        return exchange_submit_lease(exchange, ENTRY_CREDENTIAL_ISSUED, NULL, error);
    }
    progress = committed(exchange, error);
    if (progress == PROGRESS_DONE) {
        exchange->entry_index = exchange->append.first_index;
        exchange->leaf_hash = exchange->append.leaf_hashes[0];
    }
    return progress;
}

static enum progress answer_enter(struct exchange *exchange, struct error *error)
{
    return answer_build(exchange, error) ? PROGRESS_DONE : PROGRESS_FAILED;
}
