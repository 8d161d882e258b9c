#include "policy/policy.h"

#include <stdlib.h>

#include "policy/policy_internal.h"

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
