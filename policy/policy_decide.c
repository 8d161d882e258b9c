#include <stdlib.h>

#include "base/error.h"
#include "base/json.h"
#include "policy/policy_internal.h"

/* The one kind whose grants are asked for by audience. */
#define AUDIENCE_KIND STR("jwt")

struct decider {
    const struct policy *policy;
    const struct policy_facts *facts;
    const struct policy_request *request;
    struct arena *arena;
    const struct policy_pipeline **fitting; /* whose identity fits */
    size_t fitting_count;
    struct policy_decision *decision;
    struct error *error;
};

/* ---- which pipelines ---- */

static bool find_fitting(struct decider *decider)
{
    const uint32_t *found = NULL;
    size_t count;

    if (!policy_index_find(decider->policy, decider->facts, decider->arena, &found, &count,
                           decider->error))
        return false;
    if (count > 0)
        decider->fitting =
            arena_alloc_array(decider->arena, count, sizeof(const struct policy_pipeline *));
    if (count > 0 && decider->fitting == NULL)
        return error_set(decider->error, ERROR_MEMORY, "deciding");
    for (size_t i = 0; i < count; i++) {
        const struct policy_pipeline *pipeline = decider->policy->pipelines[found[i]].pipeline;

        if (policy_identity_held(pipeline, decider->facts) != NULL)
            decider->fitting[decider->fitting_count++] = pipeline;
    }
    if (decider->fitting_count == 0)
        return error_set(decider->error, ERROR_NO_PIPELINE, "issuer " STR_FMT ": fits no identity",
                         STR_ARG(decider->facts->issuer));
    return true;
}

/* ---- which stage ---- */

static bool proof_holds(const struct policy_stage_rule *stage, const struct policy_facts *facts,
                        struct policy_failures *failures)
{
    if (stage->proofs == 0 || (stage->proofs & facts->proofs) != 0)
        return true;
    policy_failures_add(failures, STR("proof"));
    return false;
}

static bool stage_holds(const struct policy_stage_rule *stage, const struct policy_facts *facts,
                        struct policy_failures *failures)
{
    bool holds = policy_when_holds(&stage->pipeline->when, facts, failures);

    holds &= !policy_unless_holds(&stage->pipeline->unless, facts, failures);
    holds &= policy_when_holds(&stage->when, facts, failures);
    holds &= policy_dangers_are_named(stage, facts, failures);
    holds &= proof_holds(stage, facts, failures);
    return holds & !policy_unless_holds(&stage->unless, facts, failures);
}

static const struct policy_stage_rule *find_stage(const struct policy_pipeline *pipeline,
                                                  struct str name)
{
    for (size_t i = 0; i < pipeline->stage_count; i++)
        if (str_eq(pipeline->stages[i].shown.name, name))
            return &pipeline->stages[i];
    return NULL;
}

static int compare_names(const void *a, const void *b)
{
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

/* Fail with the conditions that did not hold. */
static bool deny(struct decider *decider, const struct policy_stage_rule *stage,
                 const struct policy_failures *failures)
{
    struct policy_decision *decision = decider->decision;
    struct str names = STR("");

    decision->stage = &stage->shown;
    decision->failed_count = failures->count;
    for (size_t i = 0; i < failures->count; i++)
        decision->failed[i] = failures->names[i];
    qsort(decision->failed, decision->failed_count, sizeof(decision->failed[0]), compare_names);
    for (size_t i = 0; i < decision->failed_count; i++)
        names = arena_printf(decider->arena, STR_FMT "%s" STR_FMT, STR_ARG(names),
                             i > 0 ? ", " : "", STR_ARG(decision->failed[i]));
    return error_set(decider->error, ERROR_CONDITION, STR_FMT ": " STR_FMT,
                     STR_ARG(stage->shown.id), STR_ARG(names));
}

static bool deny_one(struct decider *decider, const struct policy_stage_rule *stage,
                     struct str name)
{
    struct policy_failures failures = { .names = { name }, .count = 1 };

    return deny(decider, stage, &failures);
}

static bool try_stage(struct decider *decider, const struct policy_stage_rule *stage)
{
    struct policy_failures failures;

    failures.count = 0;
    if (!stage_holds(stage, decider->facts, &failures))
        return deny(decider, stage, &failures);
    decider->decision->stage = &stage->shown;
    return true;
}

/* `pipeline:stage`. An unknown pipeline and one that does not fit are the same to the caller. */
static bool choose_full(struct decider *decider, struct str pipeline, struct str name)
{
    for (size_t i = 0; i < decider->fitting_count; i++) {
        const struct policy_stage_rule *stage;

        if (!str_eq(decider->fitting[i]->name, pipeline))
            continue;
        stage = find_stage(decider->fitting[i], name);
        if (stage == NULL)
            return deny_one(decider, &decider->fitting[i]->stages[0], STR("stage"));
        return try_stage(decider, stage);
    }
    return error_set(decider->error, ERROR_NO_PIPELINE, "the pipeline that was named does not fit");
}

static bool choose_short(struct decider *decider, struct str name)
{
    const struct policy_stage_rule *found = NULL;

    for (size_t i = 0; i < decider->fitting_count; i++) {
        const struct policy_stage_rule *stage = find_stage(decider->fitting[i], name);

        if (stage != NULL && found != NULL)
            return error_set(decider->error, ERROR_STAGE, STR_FMT " and " STR_FMT " both fit",
                             STR_ARG(found->shown.id), STR_ARG(stage->shown.id));
        if (stage != NULL)
            found = stage;
    }
    if (found == NULL)
        return deny_one(decider, &decider->fitting[0]->stages[0], STR("stage"));
    return try_stage(decider, found);
}

/* A stage by itself: the only one that holds. */
struct choice {
    const struct policy_stage_rule *held;
    const struct policy_stage_rule *nearest;
    struct policy_failures failures; /* of the nearest */
};

static bool consider(struct decider *decider, const struct policy_stage_rule *stage,
                     struct choice *choice)
{
    struct policy_failures failures;

    failures.count = 0;
    if (stage_holds(stage, decider->facts, &failures)) {
        if (choice->held != NULL)
            return error_set(decider->error, ERROR_STAGE, STR_FMT " and " STR_FMT " both fit",
                             STR_ARG(choice->held->shown.id), STR_ARG(stage->shown.id));
        choice->held = stage;
        return true;
    }
    if (choice->nearest == NULL || failures.count < choice->failures.count) {
        choice->nearest = stage;
        choice->failures = failures;
    }
    return true;
}

static bool choose_only(struct decider *decider)
{
    struct choice choice;

    choice.held = NULL;
    choice.nearest = NULL;
    for (size_t i = 0; i < decider->fitting_count; i++)
        for (size_t k = 0; k < decider->fitting[i]->stage_count; k++)
            if (!consider(decider, &decider->fitting[i]->stages[k], &choice))
                return false;
    if (choice.held == NULL)
        return deny(decider, choice.nearest, &choice.failures);
    decider->decision->stage = &choice.held->shown;
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
    if (policy_holes_fill(&filling, grant->fields, &granted->fields, decider->error))
        return true;
    if (decider->error->code == ERROR_CONDITION) {
        decision->failed[0] = filling.failed;
        decision->failed_count = 1;
    }
    decision->grant_count = 0;
    return false;
}

static bool add_grants(struct decider *decider)
{
    /* Every stage that is shown is the first member of its rule. */
    const struct policy_stage *shown = decider->decision->stage;
    const struct policy_stage_rule *stage = (const struct policy_stage_rule *)(const void *)shown;
    const struct policy_request *request = decider->request;

    if (!check_names(decider))
        return false;
    for (size_t i = 0; i < shown->grant_count; i++) {
        const struct policy_grant *grant = &shown->grants[i];

        if (!is_asked(request, grant->name))
            continue;
        if (request->audience.len > 0 && !has_audience(grant, request->audience))
            continue;
        if (!add_grant(decider, stage, i))
            return false;
    }
    if (request->audience.len == 0 || decider->decision->grant_count == 1)
        return true;
    decider->decision->grant_count = 0;
    return error_set(decider->error, ERROR_TARGET,
                     STR_FMT ": not exactly one grant has the audience", STR_ARG(shown->id));
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
        .arena = arena,
        .decision = decision,
        .error = error,
    };

    (void)now_s; /* nothing of this version depends on the time of a decision */
    decision->stage = NULL;
    decision->grant_count = 0;
    decision->failed_count = 0;
    return find_fitting(&decider) && choose_stage(&decider) && add_grants(&decider);
}
