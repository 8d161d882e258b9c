#include <stdlib.h>

#include "base/error.h"
#include "base/json.h"
#include "policy/policy_rails.h"

/* The one kind whose grants are asked for by audience. */
#define AUDIENCE_KIND STR("jwt")

#define NAMES_BYTES ((size_t)128) /* most ids of a pipeline's stages, which lie behind them */

struct decider {
    const struct policy *policy;
    const struct policy_facts *facts;
    const struct policy_request *request;
    int64_t now_s;
    struct arena *arena;
    const struct policy_linked **fitting; /* whose identity fits */
    size_t fitting_count;
    const struct policy_linked *chosen; /* the pipeline of the stage that was shown last */
    struct policy_decision *decision;
    struct error *error;
};

/* ---- which pipelines ---- */

/* Fetch what is read of the stage that is asked for, in a pipeline that may fit. */
static void fetch_stage(const struct policy_pipeline *pipeline, uint32_t name_hash)
{
    for (size_t i = 0; i < pipeline->stage_count; i++) {
        if (pipeline->keys[i].name_hash != name_hash)
            continue;
        policy_fetch(&pipeline->stages[i], sizeof(pipeline->stages[i]));
        policy_fetch(pipeline->keys[i].rule, pipeline->keys[i].rule_size);
        policy_fetch(&pipeline->stages[pipeline->stage_count], NAMES_BYTES);
    }
}

/* The hash of the name of the stage that is asked for. */
static uint32_t asked_hash(const struct policy_request *request)
{
    struct str pipeline;
    struct str name;

    if (!str_cut(request->stage, ':', &pipeline, &name))
        name = request->stage;
    return policy_name_hash(name);
}

static bool find_fitting(struct decider *decider)
{
    uint32_t name_hash = asked_hash(decider->request);
    const uint32_t *found = NULL;
    size_t count;

    if (!policy_index_find(decider->policy, decider->facts, decider->arena, &found, &count,
                           decider->error))
        return false;
    if (count > 0)
        decider->fitting =
            arena_alloc_array(decider->arena, count, sizeof(const struct policy_linked *));
    if (count > 0 && decider->fitting == NULL)
        return error_set(decider->error, ERROR_MEMORY, "deciding");
    for (size_t i = 0; i < count; i++) {
        const struct policy_linked *linked = &decider->policy->pipelines[found[i]];

        policy_fetch_identity(linked->pipeline);
        fetch_stage(linked->pipeline, name_hash);
        if (policy_identity_held(linked->pipeline, decider->facts) != NULL)
            decider->fitting[decider->fitting_count++] = linked;
    }
    if (decider->fitting_count == 0)
        return error_set(decider->error, ERROR_NO_PIPELINE, "issuer " STR_FMT ": fits no identity",
                         STR_ARG(decider->facts->issuer));
    return true;
}

/* ---- which stage ---- */

static const struct policy_stage_rule *find_stage(const struct policy_pipeline *pipeline,
                                                  struct str name)
{
    uint32_t hash = policy_name_hash(name);

    for (size_t i = 0; i < pipeline->stage_count; i++)
        if (pipeline->keys[i].name_hash == hash && str_eq(pipeline->stages[i].shown.name, name))
            return &pipeline->stages[i];
    return NULL;
}

static int compare_names(const void *a, const void *b)
{
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

/* A stage, and the pipeline that it is of as part of this policy. */
struct candidate {
    const struct policy_linked *linked;
    const struct policy_stage_rule *stage;
};

static void show(struct decider *decider, const struct candidate *candidate)
{
    decider->chosen = candidate->linked;
    decider->decision->stage = &candidate->stage->shown;
    decider->decision->rule_sha256 = candidate->linked->rule_sha256;
}

/* Fail with the conditions that did not hold. */
static bool deny(struct decider *decider, const struct candidate *candidate,
                 const struct policy_failures *failures)
{
    struct policy_decision *decision = decider->decision;
    struct str names = STR("");

    show(decider, candidate);
    decision->failed_count = failures->count;
    decision->is_frozen = failures->count > 0 && failures->freeze_count == failures->count;
    for (size_t i = 0; i < failures->count; i++)
        decision->failed[i] = failures->names[i];
    qsort(decision->failed, decision->failed_count, sizeof(decision->failed[0]), compare_names);
    for (size_t i = 0; i < decision->failed_count; i++)
        names = arena_printf(decider->arena, STR_FMT "%s" STR_FMT, STR_ARG(names),
                             i > 0 ? ", " : "", STR_ARG(decision->failed[i]));
    return error_set(decider->error, ERROR_CONDITION, STR_FMT ": " STR_FMT,
                     STR_ARG(candidate->stage->shown.id), STR_ARG(names));
}

/* Deny for a stage that is not there: the pipeline's first one shows whose policy it was. */
static bool deny_unknown(struct decider *decider, const struct policy_linked *linked)
{
    const struct candidate first = { linked, &linked->pipeline->stages[0] };
    struct policy_failures failures = { .names = { STR("stage") }, .count = 1 };

    return deny(decider, &first, &failures);
}

static bool holds(const struct decider *decider, const struct candidate *candidate,
                  struct policy_failures *failures)
{
    if (decider->request->is_renewal)
        return policy_stage_holds_still(candidate->linked, candidate->stage, decider->facts,
                                        decider->now_s, failures);
    return policy_stage_holds(candidate->linked, candidate->stage, decider->facts, decider->now_s,
                              failures);
}

static bool try_stage(struct decider *decider, const struct candidate *candidate)
{
    struct policy_failures failures;

    failures.count = 0;
    failures.freeze_count = 0;
    if (!holds(decider, candidate, &failures))
        return deny(decider, candidate, &failures);
    show(decider, candidate);
    return true;
}

/* `pipeline:stage`. An unknown pipeline and one that does not fit are the same to the caller. */
static bool choose_full(struct decider *decider, struct str pipeline, struct str name)
{
    for (size_t i = 0; i < decider->fitting_count; i++) {
        struct candidate candidate = { decider->fitting[i], NULL };

        if (!str_eq(candidate.linked->pipeline->name, pipeline))
            continue;
        candidate.stage = find_stage(candidate.linked->pipeline, name);
        if (candidate.stage == NULL)
            return deny_unknown(decider, candidate.linked);
        return try_stage(decider, &candidate);
    }
    return error_set(decider->error, ERROR_NO_PIPELINE, "the pipeline that was named does not fit");
}

static bool several_fit(struct decider *decider, const struct candidate *a,
                        const struct candidate *b)
{
    return error_set(decider->error, ERROR_STAGE, STR_FMT " and " STR_FMT " both fit",
                     STR_ARG(a->stage->shown.id), STR_ARG(b->stage->shown.id));
}

static bool choose_short(struct decider *decider, struct str name)
{
    struct candidate found = { 0 };

    for (size_t i = 0; i < decider->fitting_count; i++) {
        struct candidate candidate = { decider->fitting[i],
                                       find_stage(decider->fitting[i]->pipeline, name) };

        if (candidate.stage != NULL && found.stage != NULL)
            return several_fit(decider, &found, &candidate);
        if (candidate.stage != NULL)
            found = candidate;
    }
    if (found.stage == NULL)
        return deny_unknown(decider, decider->fitting[0]);
    return try_stage(decider, &found);
}

/* A stage by itself: the only one that holds. */
struct choice {
    struct candidate held;
    struct candidate nearest;
    struct policy_failures failures; /* of the nearest */
};

static bool consider(struct decider *decider, const struct candidate *candidate,
                     struct choice *choice)
{
    struct policy_failures failures;

    failures.count = 0;
    failures.freeze_count = 0;
    if (holds(decider, candidate, &failures)) {
        if (choice->held.stage != NULL)
            return several_fit(decider, &choice->held, candidate);
        choice->held = *candidate;
        return true;
    }
    if (choice->nearest.stage == NULL || failures.count < choice->failures.count) {
        choice->nearest = *candidate;
        choice->failures = failures;
    }
    return true;
}

static bool choose_only(struct decider *decider)
{
    struct choice choice;

    choice.held = (struct candidate){ 0 };
    choice.nearest = (struct candidate){ 0 };
    for (size_t i = 0; i < decider->fitting_count; i++) {
        struct candidate candidate = { decider->fitting[i], NULL };

        for (size_t k = 0; k < candidate.linked->pipeline->stage_count; k++) {
            candidate.stage = &candidate.linked->pipeline->stages[k];
            if (!consider(decider, &candidate, &choice))
                return false;
        }
    }
    if (choice.held.stage == NULL && choice.nearest.stage == NULL)
        return error_set(decider->error, ERROR_NO_PIPELINE, "no pipeline that fits has a stage");
    if (choice.held.stage == NULL)
        return deny(decider, &choice.nearest, &choice.failures);
    show(decider, &choice.held);
    return true;
}

static bool choose_stage(struct decider *decider)
{
    struct str pipeline;
    struct str name;

    if (decider->request->stage.len == 0)
        return choose_only(decider);
    if (str_cut(decider->request->stage, ':', &pipeline, &name))
        return choose_full(decider, pipeline, name);
    return choose_short(decider, decider->request->stage);
}

/* ---- which grants ---- */

static bool is_asked(const struct policy_request *request, struct str name)
{
    for (size_t i = 0; i < request->grant_count; i++)
        if (str_eq(request->grants[i], name))
            return true;
    return request->grant_count == 0;
}

/* Every grant that was named must be there: what is not is refused, not left out. */
static bool check_names(const struct decider *decider)
{
    const struct policy_stage *stage = decider->decision->stage;

    for (size_t i = 0; i < decider->request->grant_count; i++) {
        bool is_known = false;

        for (size_t k = 0; k < stage->grant_count; k++)
            is_known |= str_eq(stage->grants[k].name, decider->request->grants[i]);
        if (!is_known)
            return error_set(decider->error, ERROR_SCOPE,
                             STR_FMT ": a grant was named that it does not have",
                             STR_ARG(stage->id));
    }
    return true;
}

static bool has_audience(const struct policy_grant *grant, struct str audience)
{
    const json_t *value = json_object_get(grant->fields, "audience");

    if (!str_eq(str_from(grant->kind->name), AUDIENCE_KIND))
        return false;
    if (json_is_string(value))
        return str_eq(json_str(value), audience);
    for (size_t i = 0; i < json_array_size(value); i++)
        if (str_eq(json_str(json_array_get(value, i)), audience))
            return true;
    return false;
}

/* Shorten a life as asked, though not below what the kind can give. */
static int64_t bound_ttl(const struct policy_grant *grant, int64_t asked_s)
{
    if (asked_s <= 0 || asked_s >= grant->ttl_s)
        return grant->ttl_s;
    return asked_s < grant->kind->ttl_min_s ? grant->kind->ttl_min_s : asked_s;
}

/* Fail for one condition after the stage was found to hold. */
static bool fail_late(struct decider *decider, struct str condition)
{
    struct policy_decision *decision = decider->decision;

    decision->grant_count = 0;
    decision->failed[0] = condition;
    decision->failed_count = 1;
    return error_set(decider->error, ERROR_CONDITION, STR_FMT ": " STR_FMT,
                     STR_ARG(decision->stage->id), STR_ARG(condition));
}

/* Fail because of a hole: for the condition whose value may not fill it, or without memory. */
static bool fail_hole(struct decider *decider, const struct policy_filling *filling)
{
    decider->decision->grant_count = 0;
    if (decider->error->code == ERROR_CONDITION) {
        decider->decision->failed[0] = filling->failed;
        decider->decision->failed_count = 1;
    }
    return false;
}

static bool add_grant(struct decider *decider, const struct policy_stage_rule *stage, size_t index)
{
    struct policy_decision *decision = decider->decision;
    const struct policy_grant *grant = &stage->shown.grants[index];
    struct policy_granted *granted = &decision->grants[decision->grant_count];
    struct policy_filling filling = { stage, decider->facts, decider->arena, STR("") };

    *granted =
        (struct policy_granted){ grant, grant->fields, bound_ttl(grant, decider->request->ttl_s) };
    decision->grant_count++;
    if (!stage->has_holes[index])
        return true;
    return policy_holes_fill(&filling, grant->fields, &granted->fields, decider->error) ||
           fail_hole(decider, &filling);
}

static bool is_wanted(const struct policy_request *request, const struct policy_grant *grant)
{
    return is_asked(request, grant->name) &&
           (request->audience.len == 0 || has_audience(grant, request->audience));
}

static bool add_grants(struct decider *decider)
{
    const struct policy_stage *shown = decider->decision->stage;
    const struct policy_stage_rule *stage = policy_rule_of(shown);
    const struct policy_request *request = decider->request;
    size_t over_count = 0;

    if (!check_names(decider))
        return false;
    for (size_t i = 0; i < shown->grant_count; i++) {
        if (!is_wanted(request, &shown->grants[i]))
            continue;
        if (policy_is_over(shown->grants[i].until_s, decider->now_s))
            over_count++;
        else if (!add_grant(decider, stage, i))
            return false;
    }
    /* Who names one that is over, or would get nothing else, is told; others go without it. */
    if (over_count > 0 && (request->grant_count > 0 || decider->decision->grant_count == 0))
        return fail_late(decider, STR("until"));
    if (request->audience.len == 0 || decider->decision->grant_count == 1)
        return true;
    decider->decision->grant_count = 0;
    return error_set(decider->error, ERROR_TARGET,
                     STR_FMT ": not exactly one grant has the audience", STR_ARG(shown->id));
}

/* ---- guardrails ---- */

static bool obeys_guardrails(struct decider *decider)
{
    const struct policy_judging judging = {
        .linked = decider->chosen,
        .facts = decider->facts,
        .now_s = decider->now_s,
        .fitting = decider->fitting,
        .fitting_count = decider->fitting_count,
        .arena = decider->arena,
        .decision = decider->decision,
    };
    struct candidate candidate = { decider->chosen, policy_rule_of(decider->decision->stage) };
    struct policy_failures failures;
    bool is_judged;

    if (policy_rails_of(candidate.linked, candidate.stage) == NULL)
        return true;
    is_judged = policy_rails_judge(&judging, &failures, decider->error);
    if (is_judged && failures.count == 0)
        return true;
    decider->decision->grant_count = 0;
    return is_judged && deny(decider, &candidate, &failures);
}

/* ---- what must hold besides ---- */

static bool fill(struct decider *decider, struct str text, struct str *filled)
{
    const struct policy_stage_rule *stage = policy_rule_of(decider->decision->stage);
    struct policy_filling filling = { stage, decider->facts, decider->arena, STR("") };

    if (policy_hole_text_fill(&filling, text, filled, decider->error))
        return true;
    *filled = STR("");
    return fail_hole(decider, &filling);
}

/* Which instances of the stages before it are meant. */
static bool fill_afters(struct decider *decider)
{
    struct policy_obligations *obligations = &decider->decision->obligations;
    struct policy_after *filled =
        arena_alloc_array(decider->arena, obligations->after_count, sizeof(*filled));

    if (filled == NULL)
        return error_set(decider->error, ERROR_MEMORY, "deciding");
    for (size_t i = 0; i < obligations->after_count; i++) {
        filled[i] = obligations->after[i];
        if (filled[i].instance_has_holes &&
            !fill(decider, obligations->after[i].instance, &filled[i].instance))
            return false;
    }
    obligations->after = filled;
    return true;
}

static bool add_obligations(struct decider *decider)
{
    struct policy_decision *decision = decider->decision;
    const struct policy_stage_rule *stage = policy_rule_of(decision->stage);

    decision->instance = stage->shown.instance;
    if (stage->instance_has_holes && !fill(decider, stage->shown.instance, &decision->instance))
        return false;
    decision->obligations = stage->shown.obligations;
    if (decision->obligations.after_count == 0 || fill_afters(decider))
        return true;
    decision->obligations = (struct policy_obligations){ 0 };
    return false;
}

/* All that a decision depends on. NOLINTNEXTLINE(readability-function-size) */
bool policy_decide(const struct policy *policy, const struct policy_facts *facts,
                   const struct policy_request *request, int64_t now_s, struct arena *arena,
                   struct policy_decision *decision, struct error *error)
{
    struct decider decider = {
        .policy = policy,
        .facts = facts,
        .request = request,
        .now_s = now_s,
        .arena = arena,
        .decision = decision,
        .error = error,
    };

    decision->stage = NULL;
    decision->rule_sha256 = NULL;
    decision->grant_count = 0;
    decision->failed_count = 0;
    decision->is_frozen = false;
    decision->warned_count = 0;
    decision->instance = STR("");
    decision->obligations = (struct policy_obligations){ 0 };
    return find_fitting(&decider) && choose_stage(&decider) && add_grants(&decider) &&
           obeys_guardrails(&decider) && add_obligations(&decider);
}
