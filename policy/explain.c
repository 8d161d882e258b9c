#include "policy/explain.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "policy/explain_internal.h"

/* A stage or pipeline that may be worth to be shown, and how far from fitting it is. */
struct candidate {
    const struct policy_linked *linked;
    const struct policy_stage_rule *stage; /* NULL: its identity alone */
    size_t distance;
    size_t order; /* of two that are as far, the first in the policy comes first */
};

struct candidates {
    struct candidate *list;
    size_t count;
    size_t max;
};

struct explainer {
    struct explain_job job;
    const struct policy_request *request;
    struct explanation *out;
    struct error *error;
};

static int compare_candidates(const void *a, const void *b)
{
    const struct candidate *left = a;
    const struct candidate *right = b;

    if (left->distance != right->distance)
        return left->distance < right->distance ? -1 : 1;
    return (left->order > right->order) - (left->order < right->order);
}

static bool add(struct explainer *explainer, struct candidates *candidates,
                struct candidate candidate)
{
    if (candidates->count == candidates->max) {
        size_t max = candidates->max * 2 + 16;
        struct candidate *larger = arena_alloc_array(explainer->job.arena, max, sizeof(*larger));

        if (larger == NULL)
            return error_set(explainer->error, ERROR_MEMORY, "explaining");
        if (candidates->count > 0)
            memcpy(larger, candidates->list, candidates->count * sizeof(*larger));
        candidates->list = larger;
        candidates->max = max;
    }
    candidate.order = candidates->count;
    candidates->list[candidates->count++] = candidate;
    return true;
}

/* Show the nearest, at most `max` of them. */
static bool show(struct explainer *explainer, struct candidates *candidates, size_t max)
{
    struct explanation *out = explainer->out;
    size_t count = candidates->count < max ? candidates->count : max;

    if (candidates->count > 0)
        qsort(candidates->list, candidates->count, sizeof(candidates->list[0]), compare_candidates);
    out->subjects = arena_alloc_array(explainer->job.arena, count + 1, sizeof(*out->subjects));
    for (size_t i = 0; out->subjects != NULL && i < count; i++) {
        const struct candidate *candidate = &candidates->list[i];

        if (!explain_stage_make(&explainer->job, candidate->linked, candidate->stage,
                                &out->subjects[i]))
            return error_set(explainer->error, ERROR_MEMORY, "explaining");
    }
    out->subject_count = count;
    return out->subjects != NULL || error_set(explainer->error, ERROR_MEMORY, "explaining");
}

/* ---- what is asked for ---- */

/* Whether a request may mean a stage: any, where it names none. */
static bool is_meant(struct str asked, const struct policy_stage_rule *stage)
{
    return asked.len == 0 || str_eq(asked, stage->shown.name) || str_eq(asked, stage->shown.id);
}

/* ---- where an identity fits ---- */

static bool add_stages(struct explainer *explainer, const struct policy_linked *linked,
                       struct str asked, struct candidates *candidates)
{
    const struct policy_pipeline *pipeline = linked->pipeline;

    for (size_t i = 0; i < pipeline->stage_count; i++) {
        const struct policy_stage_rule *stage = &pipeline->stages[i];
        struct policy_failures failures;

        if (!is_meant(asked, stage))
            continue;
        failures.count = 0;
        failures.freeze_count = 0;
        (void)policy_stage_holds(linked, stage, explainer->job.facts, explainer->job.now_s,
                                 &failures);
        if (!add(explainer, candidates, (struct candidate){ linked, stage, failures.count, 0 }))
            return false;
    }
    return true;
}

/* Stages of all pipelines whose identity fits. */
static bool find_stages(struct explainer *explainer, struct str asked,
                        struct candidates *candidates)
{
    const struct policy *policy = explainer->job.policy;

    for (size_t i = 0; i < policy->pipeline_count; i++)
        if (policy_identity_held(policy->pipelines[i].pipeline, explainer->job.facts) != NULL &&
            !add_stages(explainer, &policy->pipelines[i], asked, candidates))
            return false;
    return true;
}

static void keep_open(struct candidates *candidates)
{
    size_t open = 0;

    for (size_t i = 0; i < candidates->count; i++)
        if (candidates->list[i].distance == 0)
            candidates->list[open++] = candidates->list[i];
    candidates->count = open;
}

/* Several stages fit, or have the name: those. A name that none has: whatever comes nearest. */
static bool show_nearest(struct explainer *explainer)
{
    struct candidates candidates = { 0 };
    struct str asked = explainer->request->stage;

    if (!find_stages(explainer, asked, &candidates) ||
        (candidates.count == 0 && !find_stages(explainer, STR(""), &candidates)))
        return false;
    if (explainer->out->code == ERROR_STAGE && asked.len == 0)
        keep_open(&candidates);
    return show(explainer, &candidates, EXPLAIN_SUBJECTS_MAX);
}

/* ---- where none does ---- */

#define OTHER_ISSUER ((size_t)1 << 20) /* farther than any claims */

static size_t map_distance(const struct explainer *explainer,
                           const struct policy_identity_map *issuers, const struct policy_map *map)
{
    size_t distance = 0;

    if (!policy_identity_is_of(issuers, explainer->job.facts->issuer))
        return OTHER_ISSUER;
    for (size_t i = 0; i < map->count; i++)
        distance += policy_condition_try(&map->conditions[i], explainer->job.facts) != POLICY_HOLDS;
    return distance;
}

/* A pipeline that is called as the job's repository is the one that was meant, most likely. */
static bool is_namesake(const struct explainer *explainer, const struct policy_pipeline *pipeline)
{
    return str_eq(json_str(json_object_get(explainer->job.facts->ci, "repository")),
                  pipeline->name);
}

static size_t identity_distance(const struct explainer *explainer,
                                const struct policy_pipeline *pipeline)
{
    size_t distance = OTHER_ISSUER;

    for (size_t i = 0; i < pipeline->identity.count; i++) {
        size_t one =
            map_distance(explainer, &pipeline->identity_maps[i], &pipeline->identity.maps[i]);

        distance = one < distance ? one : distance;
    }
    return 2 * distance + !is_namesake(explainer, pipeline);
}

/* The stage of a pipeline that the request names, or NULL. */
static const struct policy_stage_rule *meant_stage(const struct explainer *explainer,
                                                   const struct policy_pipeline *pipeline)
{
    for (size_t i = 0; explainer->request->stage.len > 0 && i < pipeline->stage_count; i++)
        if (is_meant(explainer->request->stage, &pipeline->stages[i]))
            return &pipeline->stages[i];
    return NULL;
}

static bool add_pipelines(struct explainer *explainer, bool only_meant,
                          struct candidates *candidates)
{
    const struct policy *policy = explainer->job.policy;

    for (size_t i = 0; i < policy->pipeline_count; i++) {
        const struct policy_linked *linked = &policy->pipelines[i];
        const struct policy_stage_rule *stage = meant_stage(explainer, linked->pipeline);
        struct candidate candidate = { linked, stage, 0, 0 };

        if (only_meant && stage == NULL)
            continue;
        candidate.distance = identity_distance(explainer, linked->pipeline);
        if (!add(explainer, candidates, candidate))
            return false;
    }
    return true;
}

/* The pipelines that were meant; where there are none, whatever fits; else all of them. */
static bool show_identities(struct explainer *explainer)
{
    struct candidates candidates = { 0 };

    if (!add_pipelines(explainer, true, &candidates))
        return false;
    if (candidates.count == 0 && !find_stages(explainer, STR(""), &candidates))
        return false;
    if (candidates.count > 0 &&
        policy_identity_held(candidates.list[0].linked->pipeline, explainer->job.facts) != NULL)
        return show(explainer, &candidates, EXPLAIN_SUBJECTS_MAX);
    if (candidates.count == 0 && !add_pipelines(explainer, false, &candidates))
        return false;
    return show(explainer, &candidates, EXPLAIN_IDENTITIES_MAX);
}

/* ---- a decision ---- */

static bool show_decided(struct explainer *explainer)
{
    const struct policy_decision *decision = explainer->out->decision;
    struct candidates candidates = { 0 };
    struct candidate decided = { policy_linked_of(explainer->job.policy, decision->stage),
                                 policy_rule_of(decision->stage), 0, 0 };

    return add(explainer, &candidates, decided) && show(explainer, &candidates, 1) &&
           (explain_stage_complete(&explainer->job, decided.linked, explainer->out,
                                   &explainer->out->subjects[0]) ||
            error_set(explainer->error, ERROR_MEMORY, "explaining"));
}

/*
 * Whether the decision is about one stage. Where none was named a denial shows the nearest instead,
 * unless one was open, and denied for what its grants would be.
 */
static bool is_of_one(const struct explainer *explainer)
{
    const struct policy_stage *stage = explainer->out->decision->stage;
    struct str asked = explainer->request->stage;
    struct policy_failures failures;

    failures.count = 0;
    failures.freeze_count = 0;
    if (stage == NULL)
        return false;
    if (explainer->out->code != ERROR_CONDITION || asked.len > 0)
        return is_meant(asked, policy_rule_of(stage));
    return policy_stage_holds(policy_linked_of(explainer->job.policy, stage), policy_rule_of(stage),
                              explainer->job.facts, explainer->job.now_s, &failures);
}

static bool show_all(struct explainer *explainer)
{
    if (explainer->out->code == ERROR_NO_PIPELINE)
        return show_identities(explainer);
    if (is_of_one(explainer))
        return show_decided(explainer);
    explainer->out->is_missing =
        explainer->out->code == ERROR_CONDITION && explainer->request->stage.len > 0;
    return show_nearest(explainer);
}

/* All that a decision depends on. NOLINTNEXTLINE(readability-function-size) */
bool explain_decision(const struct policy *policy, const struct policy_facts *facts,
                      const struct policy_request *request, int64_t now_s, struct arena *arena,
                      struct explanation *explanation, struct error *error)
{
    struct explainer explainer = { { policy, facts, now_s, arena }, request, explanation, error };
    struct policy_decision *decision = arena_alloc(arena, sizeof(*decision));
    struct error denial = { 0 };

    if (decision == NULL)
        return error_set(error, ERROR_MEMORY, "explaining");
    *explanation = (struct explanation){ .decision = decision };
    explanation->is_allowed =
        policy_decide(policy, facts, request, now_s, arena, decision, &denial);
    explanation->code = denial.code;
    if (denial.code == ERROR_MEMORY)
        return error_set(error, ERROR_MEMORY, "explaining");
    return show_all(&explainer);
}
