#include "exchange/exchange.h"

#include <string.h>

#include "base/base64.h"
#include "base/budget.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/metrics.h"
#include "base/secret.h"
#include "base/token_status.h"
#include "exchange/exchange_internal.h"
#include "exchange/kept.h"
#include "exchange/rules.h"

/*
 * The rooms of an exchange, in order:
 *
 *   identity  the token becomes verified claims          waits for the issuer's keys
 *   actor     who acts for the job, if anybody           waits for their issuer's keys
 *   policy    claims become a decision                   never waits
 *   blocks    what operators have blocked                never waits, but for a database
 *   lease     the lease's names, the caller's details    never waits
 *   approval  that people agreed, where they have to     waits for the commit, where it asks them
 *   intent    lease.requested, where a grant is remote   waits for the commit
 *   mint      the credentials                            waits for the targets, or for signers
 *   outcome   credential.issued                          waits for the commit
 *   answer    what says where it is recorded is signed,  waits for signers
 *             and the body of the 200
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
    { "policy", policy_enter, true },      { "blocks", blocks_enter, true },
    { "lease", lease_enter, true },        { "approval", approval_enter, true },
    { "intent", intent_enter, true },      { "mint", mint_enter, true },
    { "outcome", outcome_enter, true },    { "answer", answer_enter, false },
};

static void release_exchange(void *object)
{
    struct exchange *exchange = object;

    for (size_t i = 0; i < exchange->mint_count; i++) {
        json_decref(exchange->mints[i].credential);
        json_decref(exchange->mints[i].record);
        json_decref(exchange->mints[i].handle);
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
        enum progress progress = approval_is_asking(exchange)
                                     ? approval_asked(exchange, &exchange->failure)
                                     : room->enter(exchange, &exchange->failure);

        if (progress == PROGRESS_WAIT)
            return progress;
        if (progress == PROGRESS_DONE) {
            exchange->room++;
            continue;
        }
        if (!room->is_after_verification && !exchange->is_stolen) {
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
    return exchange->actor && exchange->actor->identity &&
           identity_forget(exchange->actor->identity, waiting);
}

bool exchange_has_begun(const struct exchange *exchange)
{
    return exchange->is_submitted || exchange->has_intent;
}

static const char *thumbprint_of(const struct exchange *exchange)
{
    return exchange->request.proof.dpop ? exchange->request.proof.dpop->thumbprint : NULL;
}

/* Without a token: what was verified of one before. */
static enum progress restore(struct exchange *exchange, struct error *error)
{
    exchange->now_s = clock_wall_s();
    exchange->is_verified = kept_enter(exchange, error);
    if (exchange->is_verified || exchange->request.approval.len == 0)
        return exchange->is_verified ? PROGRESS_DONE : PROGRESS_FAILED;
    exchange->is_stolen = kept_name_owner(exchange);
    exchange->is_verified = exchange->is_stolen;
    if (exchange->is_stolen) {
        *error = (struct error){ 0 };
        (void)error_set(error, ERROR_APPROVAL_CODE, "approval " STR_FMT ": other keys came",
                        STR_ARG(exchange->request.approval));
    }
    return PROGRESS_FAILED;
}

/* One request of the budget of its issuer. */
static bool spend_issuer(struct exchange *exchange, struct error *error)
{
    const struct exchange_service *service = exchange->service;
    struct str issuer = exchange->token.issuer->name;

    if (budget_spend(service->issuers, budget_name_key(issuer),
                     exchange->rules->requests_per_issuer, clock_monotonic_ms(),
                     &exchange->retry_after_s))
        return true;
    metric_add(METRIC_OVER_BUDGET_ISSUER, 1);
    return error_set(error, ERROR_BUSY, "the budget of issuer " STR_FMT " is spent",
                     STR_ARG(issuer));
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

    if (exchange->request.kept)
        return restore(exchange, error);
    exchange->now_s = input.now_s;
    progress = identity_verify(exchange->rules->identity, &input, exchange->arena, exchange->waker,
                               &exchange->identity_state, &exchange->token, error);
    if (progress == PROGRESS_DONE &&
        !exchange_check_binding(exchange, exchange->token.issuer, error))
        return PROGRESS_FAILED;
    exchange->is_verified = progress == PROGRESS_DONE;
    return exchange->is_verified && !spend_issuer(exchange, error) ? PROGRESS_FAILED : progress;
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
    if (count == 0 && exchange->request.kept && exchange->request.audience.len == 0) {
        request->grants = exchange->request.kept->grants;
        request->grant_count = exchange->request.kept->grant_count;
    }
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

bool exchange_decide(struct exchange *exchange, const struct policy *policy,
                     struct policy_decision *decision, struct error *error)
{
    struct policy_request request = {
        .stage = exchange->request.stage,
        .audience = exchange->request.audience,
        .ttl_s = exchange->request.ttl_s,
        .is_renewal = exchange->request.renewal != NULL,
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
        .passes_freezes = exchange->passes_freezes,
    };

    /* What was decided once is decided again under the stage's full name. */
    if (exchange->is_decided)
        request.stage = exchange->decision.stage->id;
    return scope_as_grants(exchange, &request, error) &&
           policy_decide(policy, &facts, &request, exchange->now_s, exchange->arena, decision,
                         error) &&
           (!exchange->request.kept || kept_covers(exchange->request.kept, decision, error));
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
    bool is_allowed =
        exchange_decide(exchange, exchange->rules->policy, &exchange->decision, error);

    shadow_observe(exchange, error);
    if (!is_allowed && !(exchange->decision.is_frozen && approval_thaw(exchange, error)))
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
    return wanted ? rules_target(rules, wanted->name) : NULL;
}

static struct str ci_text(const struct exchange *exchange, const char *name)
{
    struct str value = { 0 };

    return json_get_str(exchange->token.ci, name, &value) ? value : STR("");
}

/* The subject, unless the platform may name a person in it. */
static struct str plain_subject(const struct exchange *exchange)
{
    const struct verified_token *token = &exchange->token;
    const struct claim *claim = claim_find(&token->issuer->claims, STR("sub"));

    return claim && (claim->flags & CLAIM_PERSONAL) ? STR("") : token->subject;
}

static struct mint mint_common(struct exchange *exchange)
{
    return (struct mint){
        .tools = &exchange->service->tools,
        .subject_token_sha256 = renewal_proves(exchange),
        .stage = exchange->decision.stage->id,
        .lease = { exchange->lease_id, ID_LEN },
        .attempt = str_from(exchange->request.renewal ? exchange->decision_id : NULL),
        .run = ci_text(exchange, "run"),
        .repository = ci_text(exchange, "repository"),
        .ci = exchange->token.ci,
        .ci_issuer = exchange->token.issuer->url,
        .ci_subject = plain_subject(exchange),
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
    life_bound_mint(exchange, granted->grant->kind, mint);
    mint->target = find_target(exchange->rules, granted->grant->target);
    if (exchange->request.audience.len > 0)
        mint->scope = exchange->request.scope;
    if (granted->grant->target && !mint->target)
        return error_set(error, ERROR_MINT, "target of grant '" STR_FMT "' is not configured",
                         STR_ARG(mint->grant));
    if (!target_kind_of(granted->grant->kind)->is_local)
        exchange->has_remote = true;
    return !target_kind_of(granted->grant->kind)->intend ||
           target_kind_of(granted->grant->kind)->intend(mint, error);
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

static bool name_lease(struct exchange *exchange, struct error *error)
{
    const struct exchange_renewal *renewal = exchange->request.renewal;

    if (renewal) {
        memcpy(exchange->lease_id, renewal->lease.id, sizeof(exchange->lease_id));
        return true;
    }
    return id_new(clock_wall_ms(), exchange->lease_id, error) && make_handle(exchange, error);
}

static enum progress lease_enter(struct exchange *exchange, struct error *error)
{
    size_t count = exchange->decision.grant_count;

    if (!name_lease(exchange, error))
        return PROGRESS_FAILED;
    exchange->mints = arena_alloc_array(exchange->arena, count + 1, sizeof(*exchange->mints));
    if (!exchange->mints) {
        (void)error_set(error, ERROR_MEMORY, "mints");
        return PROGRESS_FAILED;
    }
    for (; exchange->mint_count < count; exchange->mint_count++) {
        size_t i = exchange->mint_count;

        if (!prepare_mint(exchange, &exchange->decision.grants[i], &exchange->mints[i], error)) {
            exchange->failed_grant = exchange->mints[i].grant;
            return PROGRESS_FAILED;
        }
    }
    return check_details(exchange, error) && life_check_renewal(exchange, error) ? PROGRESS_DONE
                                                                                 : PROGRESS_FAILED;
}

/* What a commit came to; a guard that failed says why. */
static enum progress committed(struct exchange *exchange, struct error *error)
{
    const struct store_guard *guard = exchange_failed_guard(exchange);

    exchange->is_submitted = false;
    if (exchange->append.is_committed)
        return PROGRESS_DONE;
    if (!guard) {
        *error = exchange->append.error;
        return PROGRESS_FAILED;
    }
    exchange->has_ended = exchange->has_intent && guard->kind == STORE_GUARD_LEASE;
    if (exchange->request.renewal && guard->kind == STORE_GUARD_LEASE)
        (void)error_set(error, ERROR_REFRESH, "the lease moved on meanwhile");
    else
        (void)exchange_tell_guard(exchange, guard, error);
    return PROGRESS_FAILED;
}

/*
 * Not yet, or once more: a block came while it was on its way, about whatever it is, the lease that
 * is renewed moved on, or leases are to make room.
 */
static bool must_submit(struct exchange *exchange)
{
    if (exchange->is_submitted &&
        (exchange_was_overtaken(exchange) || renewal_was_overtaken(exchange) ||
         exchange_must_replace(exchange)))
        exchange->is_submitted = false;
    return !exchange->is_submitted;
}

/*
 * What must hold when the first entry of a lease is appended, whichever it is, or that of a
 * renewal: what the stage asks for besides was seen to when its lease was opened.
 */
static bool guard_first(struct exchange *exchange, struct error *error)
{
    if (exchange->request.renewal) {
        renewal_guard(exchange);
        exchange_guard_blocks(exchange);
        return true;
    }
    exchange_guard_use(exchange);
    exchange_guard_blocks(exchange);
    if (!exchange_make_room(exchange, error))
        return false;
    exchange_guard_obligations(exchange);
    return true;
}

static bool guard_outcome(struct exchange *exchange)
{
    if (exchange->request.renewal)
        renewal_guard(exchange);
    else
        exchange_guard_requested(exchange);
    exchange_guard_blocks(exchange);
    return true;
}

static enum progress submit_intent(struct exchange *exchange, struct error *error)
{
    if (!exchange_check_blocks(exchange, error) || !guard_first(exchange, error))
        return PROGRESS_FAILED;
    return exchange_submit_lease(
        exchange, exchange->request.renewal ? ENTRY_RENEWAL_REQUESTED : ENTRY_LEASE_REQUESTED, NULL,
        error);
}

static enum progress intent_enter(struct exchange *exchange, struct error *error)
{
    enum progress progress;

    if (!exchange->has_remote)
        return PROGRESS_DONE;
    if (must_submit(exchange))
        return submit_intent(exchange, error);
    if (approval_was_lost(exchange)) {
        progress = approval_lose(exchange, error);
        return progress == PROGRESS_DONE ? submit_intent(exchange, error) : progress;
    }
    progress = committed(exchange, error);
    if (progress != PROGRESS_DONE)
        return progress;
    exchange->has_intent = true;
    renewal_intended(exchange);
    return progress;
}

/* The token by which a stage shows itself to the broker and to what asks nothing more of it. */
static bool prepare_stage_token(struct exchange *exchange, struct error *error)
{
    struct mint *mint = &exchange->stage_token;
    JSON_OWNED json_t *fields = json_object();

    *mint = mint_common(exchange);
    mint->ttl_s = exchange->expires_s - exchange->now_s;
    if (!json_put(fields, "audience", json_from_str(exchange->service->tools.issuer)) ||
        !json_keep(exchange->arena, json_incref(fields), error))
        return error_set(error, ERROR_MEMORY, "stage token");
    mint->fields = fields;
    return true;
}

static enum progress sign_stage_token(struct exchange *exchange, struct error *error)
{
    const struct target_kind *kind = target_kind_find(STR("jwt"));
    struct mint *mint = &exchange->stage_token;

    if (!mint->signing &&
        (!prepare_stage_token(exchange, error) || kind->mint(mint, error) != PROGRESS_DONE))
        return PROGRESS_FAILED;
    return kind->sign(mint, error);
}

static enum progress mint_enter(struct exchange *exchange, struct error *error)
{
    while (exchange->mint_index < exchange->mint_count) {
        size_t i = exchange->mint_index;
        enum progress progress = kind_of(exchange, i)->mint(&exchange->mints[i], error);

        if (progress == PROGRESS_FAILED)
            exchange->failed_grant = exchange->mints[i].grant;
        if (progress != PROGRESS_DONE)
            return progress;
        exchange->mint_index++;
    }
    life_bound_lease(exchange);
    return exchange->request.audience.len == 0 ? sign_stage_token(exchange, error) : PROGRESS_DONE;
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

    if (!exchange_decide(exchange, exchange->rules->policy, &again, &refusal) ||
        !life_allows_renewal(exchange, &again) || !approval_allows_renewal(exchange, &again))
        return false;
    for (size_t i = 0; i < exchange->mint_count; i++)
        if (!gives_mint(&again, &exchange->mints[i], exchange->decision.grants[i].grant->kind))
            return false;
    /* What was approved was approved under a rule. */
    return !approval_used(exchange) ||
           memcmp(again.rule_sha256, exchange->decision.rule_sha256, SHA256_LEN) == 0;
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

static enum progress submit_outcome(struct exchange *exchange, struct error *error)
{
    if (!still_allowed(exchange, error) || !exchange_check_blocks(exchange, error))
        return PROGRESS_FAILED;
    if (!(exchange->has_intent ? guard_outcome(exchange) : guard_first(exchange, error)))
        return PROGRESS_FAILED;
    return exchange_submit_lease(
        exchange, exchange->request.renewal ? ENTRY_LEASE_RENEWED : ENTRY_CREDENTIAL_ISSUED, NULL,
        error);
}

static enum progress outcome_enter(struct exchange *exchange, struct error *error)
{
    enum progress progress;

    if (must_submit(exchange))
        return submit_outcome(exchange, error);
    if (approval_was_lost(exchange)) {
        progress = approval_lose(exchange, error);
        return progress == PROGRESS_DONE ? submit_outcome(exchange, error) : progress;
    }
    progress = committed(exchange, error);
    if (progress == PROGRESS_DONE) {
        ledger_hash_leaves(&exchange->append);
        exchange->entry_index = exchange->append.first_index + exchange->append.entry_count - 1;
        exchange->leaf_hash = exchange->append.leaf_hashes[exchange->append.entry_count - 1];
    }
    return progress;
}

/* What says where its status stands, which the entry's place in the log decides. */
static enum progress sign_recorded(struct exchange *exchange, size_t i, struct error *error)
{
    struct mint *mint = &exchange->mints[i];
    struct token_status *status = NULL;

    if (!kind_of(exchange, i)->sign)
        return PROGRESS_DONE;
    if (!mint->status) {
        status = arena_alloc(exchange->arena, sizeof(*status));
        if (!status) {
            (void)error_set(error, ERROR_MEMORY, "no memory for a token's status");
            return PROGRESS_FAILED;
        }
        *status = token_status_of(exchange->entry_index, i);
        mint->status = status;
    }
    return kind_of(exchange, i)->sign(mint, error);
}

static enum progress answer_enter(struct exchange *exchange, struct error *error)
{
    while (exchange->sign_index < exchange->mint_count) {
        enum progress progress = sign_recorded(exchange, exchange->sign_index, error);

        if (progress != PROGRESS_DONE)
            return progress;
        exchange->sign_index++;
    }
    return answer_build(exchange, error) ? PROGRESS_DONE : PROGRESS_FAILED;
}
