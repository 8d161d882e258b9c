#include "exchange/approval.h"

#include <string.h>

#include "base/base64.h"
#include "base/budget.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/secret.h"
#include "exchange/approval_digest.h"
#include "exchange/exchange_internal.h"
#include "exchange/granters.h"
#include "exchange/kept.h"
#include "exchange/rules.h"
#include "identity/people.h"

#define APPROVALS_A_STAGE INT64_C(2048)

/* So many approvals of one thing are tried, whichever others are quicker to use. */
#define LOSSES_MAX 16

/* Of those of one digest that do not serve a run, as whose it is, so many are looked at. */
#define TRIED_MAX 8

/* ---- what is approved ---- */

static struct str fact(const struct exchange *exchange, const char *name)
{
    return json_str(json_object_get(exchange->token.ci, name));
}

/*
 * What the policy and the caller make of a life: that a job's end is nearer by the time it is given
 * changes nothing of what was approved.
 */
static int64_t asked_ttl_s(const struct exchange *exchange, size_t i)
{
    int64_t ttl_s = exchange->decision.grants[i].ttl_s;
    int64_t asked_s = json_integer_value(json_object_get(exchange->mints[i].details, "ttl"));

    return asked_s > 0 && asked_s < ttl_s ? asked_s : ttl_s;
}

struct approval_grant *approval_grants(const struct exchange *exchange)
{
    struct approval_grant *grants =
        arena_alloc_array(exchange->arena, exchange->mint_count + 1, sizeof(*grants));

    for (size_t i = 0; grants && i < exchange->mint_count; i++) {
        const struct mint *mint = &exchange->mints[i];

        grants[i] = (struct approval_grant){
            .name = mint->grant,
            .kind = str_from(exchange->decision.grants[i].grant->kind->name),
            .target = mint->target ? mint->target->name : STR(""),
            .scope = mint->scope,
            .fields = mint->fields,
            .details = mint->details,
            .ttl_s = asked_ttl_s(exchange, i),
        };
    }
    return grants;
}

static bool describe(const struct exchange *exchange, struct approval_subject *subject,
                     struct error *error)
{
    const struct approval_grant *grants = approval_grants(exchange);

    *subject = (struct approval_subject){
        .stage = exchange->decision.stage->id,
        .instance = exchange->decision.instance,
        .commit = fact(exchange, "commit"),
        .issuer = exchange->token.issuer->name,
        .repository = fact(exchange, "repository_id").len > 0 ? fact(exchange, "repository_id")
                                                              : fact(exchange, "repository"),
        .run = fact(exchange, "run"),
        .workflow_commit = fact(exchange, "workflow_commit"),
        .audience = exchange->request.audience,
        .rule_sha256 = exchange->decision.rule_sha256,
        .bindings = exchange->request.bindings,
        .grants = grants,
        .grant_count = exchange->mint_count,
    };
    if (subject->commit.len == 0 && subject->run.len == 0)
        return error_set(error, ERROR_UNAPPROVED, "the issuer says neither commit nor run");
    return grants || error_set(error, ERROR_MEMORY, "what is approved");
}

/* Every binding that the policy asks for must have come. */
static bool check_bindings(const struct exchange *exchange, struct error *error)
{
    const struct policy_approval *wanted = exchange->decision.obligations.approval;

    for (size_t i = 0; wanted && i < wanted->bind_count; i++) {
        struct str name = wanted->bind[i];

        if (json_object_getn(exchange->request.bindings, name.data, name.len))
            continue;
        (void)error_set(error, ERROR_BINDING, "no binding '" STR_FMT "' came", STR_ARG(name));
        error_tell(error, "the stage asks for the binding '" STR_FMT "'", STR_ARG(name));
        return false;
    }
    return true;
}

static bool begin(struct exchange *exchange, struct error *error)
{
    struct exchange_approval *approval = arena_alloc(exchange->arena, sizeof(*approval));
    struct approval_subject subject;

    if (!approval)
        return error_set(error, ERROR_MEMORY, "approval");
    if (!check_bindings(exchange, error) || !describe(exchange, &subject, error) ||
        !approval_digest(&subject, approval->digest, error))
        return false;
    exchange->approval = approval;
    return true;
}

/* ---- freezes ---- */

bool approval_thaw(struct exchange *exchange, struct error *error)
{
    struct policy_decision *again;
    struct error why = { 0 };

    if (exchange->request.renewal)
        return false;
    again = arena_alloc(exchange->arena, sizeof(*again));
    if (!again)
        return error_set(error, ERROR_MEMORY, "deciding");
    exchange->passes_freezes = true;
    if (!exchange_decide(exchange, exchange->rules->policy, again, &why)) {
        exchange->passes_freezes = false;
        return false;
    }
    exchange->frozen_count = exchange->decision.failed_count;
    memcpy(exchange->frozen, exchange->decision.failed, sizeof(exchange->frozen));
    exchange->decision = *again;
    *error = (struct error){ 0 };
    return true;
}

/* Nobody broke the glass: it is denied for what stood in the way at first. */
static bool refuse_frozen(struct exchange *exchange, struct error *error)
{
    struct policy_decision *decision = &exchange->decision;

    decision->failed_count = exchange->frozen_count;
    memcpy(decision->failed, exchange->frozen, sizeof(decision->failed));
    return error_set(error, ERROR_CONDITION, STR_FMT ": frozen, and nobody broke the glass",
                     STR_ARG(decision->stage->id));
}

/* ---- whether one was given ---- */

static bool read_granters(struct exchange *exchange, const struct store_approval *row,
                          struct granters *granters, struct error *error)
{
    return granters_read(exchange->service->ledger, exchange->service->tools.keys, row,
                         exchange->arena, granters, error);
}

static bool is_unchecked(const struct exchange *exchange)
{
    const struct policy_approval *wanted = exchange->decision.obligations.approval;

    return wanted && wanted->self_is_unchecked;
}

/* Whether somebody is, or may be, one of those who gave it, by another client of the provider. */
static bool may_be_granter(const struct people_options *people, const json_t *claims,
                           const json_t *granters)
{
    if (!people_have_two_clients(people))
        return false;
    for (size_t i = 0; i < json_array_size(granters); i++)
        if (!people_are_two(people, json_array_get(granters, i), claims))
            return true;
    return json_array_size(granters) == 0;
}

/* Whether the run acts for one of those who gave it, or nobody can tell. */
static bool acts_for_granter(const struct exchange *exchange, const struct store_approval *row,
                             const json_t *granters)
{
    const struct exchange_actor *actor = exchange->actor;
    uint8_t who[STORE_PERSON_LEN];
    struct error ignored = { 0 };

    if (!actor || !actor->is_person)
        return false;
    if (!granters_name(exchange->service->tools.keys, str_from(row->id), &actor->token, who,
                       &ignored))
        return true;
    for (size_t i = 0; i < row->person_count; i++)
        if (memcmp(row->people[i], who, sizeof(who)) == 0)
            return true;
    return may_be_granter(exchange->rules->people, actor->token.claims, granters);
}

/*
 * Whether none of those who gave it started this run, which need not be the run that asked. Where a
 * glass was broken it is enough that it is not known: nobody may have said who is who.
 */
static bool is_of_others(struct exchange *exchange, const struct store_approval *row,
                         const json_t *granters)
{
    const struct people_options *people = exchange->rules->people;

    if (is_unchecked(exchange))
        return true;
    if (!people || json_array_size(granters) == 0 || acts_for_granter(exchange, row, granters))
        return false;
    for (size_t i = 0; i < json_array_size(granters); i++) {
        enum people_match match = person_match_claims(
            people, json_array_get(granters, i), exchange->token.issuer->name, exchange->token.ci);

        if (match == PEOPLE_SAME || (match == PEOPLE_UNKNOWN && !row->is_break_glass))
            return false;
    }
    return true;
}

static bool serves(const struct exchange *exchange, const struct store_approval *row)
{
    return row->state == APPROVAL_GRANTED && row->expires_s > clock_wall_s() &&
           (row->is_break_glass || !exchange->passes_freezes);
}

/* Take one into use, if it may be. Errors: ERROR_LEDGER, ERROR_MEMORY */
static bool take(struct exchange *exchange, const struct store_approval *row, struct error *error)
{
    struct exchange_approval *approval = exchange->approval;
    struct granters granters;
    struct error why = { 0 };

    if (!serves(exchange, row))
        return true;
    if (!read_granters(exchange, row, &granters, &why) && granters_failed(&why)) {
        *error = why;
        return false;
    }
    if (!is_of_others(exchange, row, granters.list))
        return true;
    approval->used = *row;
    approval->granters = granters;
    return true;
}

/* The forms of a digest that serve a run: what it is exactly, and what was given ahead of it. */
static bool form_fits(const struct approval_subject *subject, enum approval_workflow workflow)
{
    return workflow == APPROVAL_WORKFLOW_AS_SAID ||
           (subject->commit.len > 0 && (subject->workflow_commit.len == 0 ||
                                        str_eq(subject->workflow_commit, subject->commit)));
}

static bool try_form(struct exchange *exchange, const struct approval_subject *subject,
                     struct error *error)
{
    struct store_approval rows[TRIED_MAX];
    uint8_t digest[SHA256_LEN];
    size_t count;

    if (!form_fits(subject, subject->workflow))
        return true;
    if (!approval_digest(subject, digest, error) ||
        !ledger_approvals_of(exchange->service->ledger, digest, rows, TRIED_MAX, &count, error))
        return false;
    for (size_t i = 0; i < count && !exchange->approval->used.id[0]; i++)
        if (!take(exchange, &rows[i], error))
            return false;
    return true;
}

static bool find_given(struct exchange *exchange, struct error *error)
{
    static const struct {
        enum approval_workflow workflow;
        bool breaks_glass;
    } forms[] = {
        { APPROVAL_WORKFLOW_AS_SAID, false },
        { APPROVAL_WORKFLOW_OF_COMMIT, false },
        { APPROVAL_WORKFLOW_AS_SAID, true },
        { APPROVAL_WORKFLOW_OF_COMMIT, true },
    };
    struct approval_subject subject;

    if (!describe(exchange, &subject, error))
        return false;
    for (size_t i = 0; i < COUNT(forms) && !exchange->approval->used.id[0]; i++) {
        subject.workflow = forms[i].workflow;
        subject.breaks_glass = forms[i].breaks_glass;
        if (!try_form(exchange, &subject, error))
            return false;
    }
    return true;
}

/* ---- going on with what was asked ---- */

static bool take_polled(struct exchange *exchange, struct error *error)
{
    struct exchange_approval *approval = exchange->approval;
    struct store_approval row;
    struct error ignored = { 0 };

    if (!ledger_approval_by_id(exchange->service->ledger, exchange->request.approval, &row, error))
        return false;
    if (row.state != APPROVAL_GRANTED || row.expires_s <= clock_wall_s())
        return error_set(error, ERROR_APPROVAL_CODE, "approval %s serves no more", row.id);
    if (memcmp(row.digest, approval->digest, sizeof(row.digest)) != 0)
        return error_set(error, ERROR_UNAPPROVED, "approval %s is for something else", row.id);
    if (exchange->passes_freezes && !row.is_break_glass)
        return refuse_frozen(exchange, error);
    /* That it is of others than who started it was looked at when they gave it. */
    (void)read_granters(exchange, &row, &approval->granters, &ignored);
    if (!is_unchecked(exchange) && acts_for_granter(exchange, &row, approval->granters.list))
        return error_set(error, ERROR_UNAPPROVED, "approval %s is of who the run acts for", row.id);
    approval->used = row;
    return true;
}

/* ---- asking ---- */

static bool make_code(struct exchange_approval *approval, struct error *error)
{
    OWNED(buf_release) struct buf text = { 0 };
    uint8_t random[16];

    buf_init(&text, sizeof(approval->code));
    if (!secret_random(random, sizeof(random), error))
        return false;
    buf_add_text(&text, "spa_");
    buf_add_base64url(&text, (struct str){ (const char *)random, sizeof(random) });
    secret_wipe(random, sizeof(random));
    if (!buf_is_ok(&text) || text.len != APPROVAL_CODE_LEN)
        return error_set(error, ERROR_MEMORY, "code");
    memcpy(approval->code, text.data, APPROVAL_CODE_LEN);
    return true;
}

static bool make_request(struct exchange *exchange, json_t **entry, json_t **private_part,
                         struct error *error)
{
    struct exchange_approval *approval = exchange->approval;

    if (!id_new(clock_wall_ms(), approval->id, error) || !make_code(approval, error))
        return false;
    approval->until_s = clock_wall_s() + exchange->decision.obligations.approval->wait_s;
    return record_approval(exchange, entry, private_part, error) &&
           kept_put(exchange, str_from(approval->id), *private_part, error);
}

/*
 * How often a minute a stage may ask people: so often that some APPROVALS_A_STAGE of its requests
 * wait at a time at most, however many tokens a job can get. The table of approvals is
 * everybody's.
 */
static int64_t asks_per_minute(const struct policy_approval *approval)
{
    int64_t rate = APPROVALS_A_STAGE * 60 / approval->wait_s;

    return rate < 1 ? 1 : rate;
}

static bool spend_ask(struct exchange *exchange, struct error *error)
{
    struct str stage = exchange->decision.stage->id;

    return exchange->approval->is_asking || /* once more, since it was overtaken */
           budget_spend(exchange->service->stages, budget_name_key(stage),
                        asks_per_minute(exchange->decision.obligations.approval),
                        clock_monotonic_ms(), &exchange->retry_after_s) ||
           error_set(error, ERROR_BUSY, STR_FMT " asks for approvals too often", STR_ARG(stage));
}

static enum progress ask(struct exchange *exchange, struct error *error)
{
    JSON_OWNED json_t *entry = NULL;
    JSON_OWNED json_t *private_part = NULL;

    if (!spend_ask(exchange, error) || !make_request(exchange, &entry, &private_part, error))
        return PROGRESS_FAILED;
    exchange_guard_token(exchange);
    exchange->append.entries[0] = entry;
    exchange->append.private_parts[0] = private_part;
    exchange->append.entry_count = 1;
    exchange->approval->is_asking = true;
    return exchange_submit(exchange, error);
}

static void tell_asked(const struct exchange *exchange)
{
    struct log_line line;

    metric_add(METRIC_APPROVALS_REQUESTED, 1);
    log_begin(&line, LOG_LEVEL_INFO, "approval.requested");
    log_text(&line, "decision", exchange->decision_id);
    log_text(&line, "approval", exchange->approval->id);
    log_str(&line, "stage", exchange->decision.stage->id);
    log_end(&line);
}

enum progress approval_asked(struct exchange *exchange, struct error *error)
{
    const struct store_guard *guard = exchange_failed_guard(exchange);

    exchange->is_submitted = false;
    if (exchange->append.is_committed) {
        tell_asked(exchange);
        (void)error_set(error, ERROR_APPROVAL_PENDING, "approval %s is asked for",
                        exchange->approval->id);
    } else if (guard)
        (void)exchange_tell_guard(exchange, guard, error);
    else
        *error = exchange->append.error;
    return PROGRESS_FAILED;
}

/* ---- the room ---- */

static bool is_needed(const struct exchange *exchange)
{
    return !exchange->request.renewal && /* of a lease that has had its approval, or has none */
           (exchange->decision.obligations.approval || exchange->passes_freezes ||
            exchange->request.approval.len > 0);
}

bool approval_allows_renewal(const struct exchange *exchange,
                             const struct policy_decision *decision)
{
    const struct exchange_renewal *renewal = exchange->request.renewal;

    return !renewal || !decision->obligations.approval ||
           (renewal->approved_rule &&
            memcmp(renewal->approved_rule, decision->rule_sha256, SHA256_LEN) == 0);
}

static bool check_renewal(struct exchange *exchange, struct error *error)
{
    struct policy_decision *decision = &exchange->decision;

    if (approval_allows_renewal(exchange, decision))
        return true;
    decision->failed[0] = STR("approval");
    decision->failed_count = 1;
    return error_set(error, ERROR_CONDITION, STR_FMT ": not approved as it is now",
                     STR_ARG(decision->stage->id));
}

enum progress approval_enter(struct exchange *exchange, struct error *error)
{
    if (!check_renewal(exchange, error))
        return PROGRESS_FAILED;
    if (!is_needed(exchange))
        return PROGRESS_DONE;
    if (!begin(exchange, error))
        return PROGRESS_FAILED;
    if (exchange->request.approval.len > 0)
        return take_polled(exchange, error) ? PROGRESS_DONE : PROGRESS_FAILED;
    if (!find_given(exchange, error))
        return PROGRESS_FAILED;
    if (exchange->approval->used.id[0])
        return PROGRESS_DONE;
    if (!exchange->passes_freezes)
        return ask(exchange, error);
    (void)refuse_frozen(exchange, error);
    return PROGRESS_FAILED;
}

bool approval_is_asking(const struct exchange *exchange)
{
    return exchange->approval && exchange->approval->is_asking;
}

const struct store_approval *approval_used(const struct exchange *exchange)
{
    return exchange->approval && exchange->approval->used.id[0] ? &exchange->approval->used : NULL;
}

void exchange_guard_use(struct exchange *exchange)
{
    const struct store_approval *used = approval_used(exchange);
    struct ledger_append *append = &exchange->append;
    struct store_guard *guard;

    if (exchange->request.approval.len > 0)
        exchange_guard_proof(exchange);
    else
        exchange_guard_token(exchange);
    if (!used)
        return;
    guard = &append->guards[append->guard_count++];
    *guard = (struct store_guard){
        .kind = STORE_GUARD_APPROVAL,
        .approval = APPROVAL_GRANTED,
        .version = used->version,
    };
    memcpy(guard->lease_id, used->id, sizeof(guard->lease_id));
}

bool approval_was_lost(const struct exchange *exchange)
{
    const struct store_guard *guard = exchange_failed_guard(exchange);

    return guard && guard->kind == STORE_GUARD_APPROVAL;
}

enum progress approval_lose(struct exchange *exchange, struct error *error)
{
    exchange->is_submitted = false;
    if (exchange->request.approval.len > 0) {
        (void)error_set(error, ERROR_APPROVAL_CODE, "approval %s was used",
                        exchange->approval->used.id);
        return PROGRESS_FAILED;
    }
    exchange->approval->used = (struct store_approval){ 0 };
    if (++exchange->approval->losses < LOSSES_MAX && !find_given(exchange, error))
        return PROGRESS_FAILED;
    if (approval_used(exchange))
        return PROGRESS_DONE;
    if (exchange->decision.obligations.approval && !exchange->passes_freezes)
        return ask(exchange, error);
    (void)refuse_frozen(exchange, error);
    return PROGRESS_FAILED;
}

bool approval_record(const struct exchange *exchange, enum entry_type type, json_t *entry,
                     struct error *error)
{
    const struct store_approval *used = approval_used(exchange);

    if (!used || (type == ENTRY_CREDENTIAL_ISSUED && exchange->has_intent) ||
        type == ENTRY_CREDENTIAL_UNKNOWN)
        return true;
    if (!json_put(entry, "approval", json_string(used->id)) ||
        (used->is_break_glass && !json_put(entry, "break_glass", json_true())) ||
        (exchange->passes_freezes &&
         !json_put(entry, "failed", json_from_strs(exchange->frozen, exchange->frozen_count))) ||
        /* It is given back, and whoever uses it next has to know as much. */
        (type == ENTRY_CREDENTIAL_FAILED &&
         !granters_put_before(entry, exchange->approval->granters.entry)))
        return error_set(error, ERROR_MEMORY, "entry");
    return true;
}
