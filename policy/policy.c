#include "policy/policy.h"

#include <stdlib.h>

#include "policy/policy_rails.h"

/* ---- life ---- */

struct policy *policy_ref(struct policy *policy)
{
    atomic_fetch_add(&policy->reference_count, 1);
    return policy;
}

void policy_unref(struct policy *policy)
{
    if (policy == NULL || atomic_fetch_sub(&policy->reference_count, 1) > 1)
        return;
    for (size_t i = 0; i < policy->unit_count; i++)
        policy_unit_unref(policy->units[i]);
    arena_free(policy->arena);
    free(policy);
}

struct policy_unit *policy_unit_ref(struct policy_unit *unit)
{
    atomic_fetch_add(&unit->reference_count, 1);
    return unit;
}

void policy_unit_unref(struct policy_unit *unit)
{
    if (unit == NULL || atomic_fetch_sub(&unit->reference_count, 1) > 1)
        return;
    for (size_t i = 0; i < unit->use_count; i++)
        policy_unit_unref(unit->uses[i].unit);
    arena_free(unit->arena);
    yaml_document_free(unit->yaml);
    free(unit);
}

/* ---- what there is ---- */

const uint8_t *policy_sha256(const struct policy *policy)
{
    return policy->sha256;
}

size_t policy_pipeline_count(const struct policy *policy)
{
    return policy->pipeline_count;
}

size_t policy_stage_count(const struct policy *policy)
{
    return policy->stage_count;
}

size_t policy_parsed_count(const struct policy *policy)
{
    return policy->parsed_count;
}

size_t policy_text_count(const struct policy *policy)
{
    return policy->unit_count;
}

struct policy_text policy_text_at(const struct policy *policy, size_t index)
{
    const struct policy_unit *unit = policy->units[index];

    return (struct policy_text){
        .name = str_slice(unit->path, policy->folder_len, unit->path.len),
        .path = unit->path,
        .sha256 = unit->sha256,
    };
}

const struct policy_provenance *policy_provenance(const struct policy *policy)
{
    return &policy->provenance;
}

/* The pipeline that the stage of an index is of. */
static size_t pipeline_of(const struct policy *policy, size_t index)
{
    size_t low = 0;
    size_t high = policy->pipeline_count;

    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;

        if (policy->first_stages[middle] <= index)
            low = middle;
        else
            high = middle;
    }
    return low;
}

const struct policy_stage *policy_stage_at(const struct policy *policy, size_t index)
{
    size_t pipeline = pipeline_of(policy, index);

    return &policy->pipelines[pipeline]
                .pipeline->stages[index - policy->first_stages[pipeline]]
                .shown;
}

const struct policy_linked *policy_linked_find(const struct policy *policy, struct str name)
{
    for (size_t low = 0, high = policy->pipeline_count; low < high;) {
        size_t middle = low + (high - low) / 2;
        int order = str_compare(name, policy->by_name[middle]->pipeline->name);

        if (order == 0)
            return policy->by_name[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const struct policy_stage *policy_stage_find(const struct policy *policy, struct str id)
{
    const struct policy_linked *linked;
    struct str pipeline;
    struct str name;

    if (!str_cut(id, ':', &pipeline, &name))
        return NULL;
    linked = policy_linked_find(policy, pipeline);
    for (size_t i = 0; linked != NULL && i < linked->pipeline->stage_count; i++)
        if (str_eq(linked->pipeline->stages[i].shown.name, name))
            return &linked->pipeline->stages[i].shown;
    return NULL;
}

const struct policy_exception *policy_exceptions(const struct policy *policy, size_t *count)
{
    *count = policy->exception_count;
    return policy->exceptions;
}

const struct policy_stage_rule *policy_rule_of(const struct policy_stage *stage)
{
    return (const struct policy_stage_rule *)(const void *)stage;
}

const struct policy_linked *policy_linked_of(const struct policy *policy,
                                             const struct policy_stage *stage)
{
    return policy_linked_find(policy, stage->pipeline);
}

const uint8_t *policy_stage_rule(const struct policy *policy, const struct policy_stage *stage)
{
    return policy_linked_of(policy, stage)->rule_sha256;
}

bool policy_stage_has_holes(const struct policy_stage *stage)
{
    const struct policy_stage_rule *rule = policy_rule_of(stage);

    for (size_t i = 0; i < stage->grant_count; i++)
        if (rule->has_holes[i])
            return true;
    return rule->instance_has_holes;
}

const struct policy_rails *policy_rails_of(const struct policy_linked *linked,
                                           const struct policy_stage_rule *stage)
{
    return linked->rails == NULL ? NULL : linked->rails[stage - linked->pipeline->stages];
}
