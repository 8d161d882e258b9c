#include <stdlib.h>

#include "base/error.h"
#include "policy/policy_internal.h"

/*
 * What is true of a policy as a whole. Units know of no other but the definitions that they use, so
 * whatever a file means for another one is worked out here, anew at every load.
 */

static bool gather_pipelines(struct policy *policy)
{
    policy->pipelines =
        arena_alloc_array(policy->arena, policy->unit_count + 1, sizeof(policy->pipelines[0]));
    if (policy->pipelines == NULL)
        return false;
    for (size_t i = 0; i < policy->unit_count; i++) {
        const struct policy_pipeline *pipeline = policy->units[i]->pipeline;

        if (pipeline == NULL)
            continue;
        policy->pipelines[policy->pipeline_count++] = (struct policy_linked){ pipeline };
        policy->stage_count += pipeline->stage_count;
    }
    return true;
}

/* ---- names ---- */

static int compare_names(const void *a, const void *b)
{
    const struct policy_pipeline *left = *(const struct policy_pipeline *const *)a;
    const struct policy_pipeline *right = *(const struct policy_pipeline *const *)b;
    int order = str_compare(left->name, right->name);

    return order != 0 ? order : str_compare(left->file, right->file);
}

/* Report names that two files have. False without memory. */
static bool check_names(const struct policy *policy, struct diagnostics *diagnostics)
{
    size_t count = policy->pipeline_count;
    const struct policy_pipeline **sorted = malloc((count + 1) * sizeof(*sorted));

    if (sorted == NULL)
        return false;
    for (size_t i = 0; i < count; i++)
        sorted[i] = policy->pipelines[i].pipeline;
    qsort(sorted, count, sizeof(*sorted), compare_names);
    for (size_t i = 1; i < count; i++) {
        const struct policy_pipeline *first = sorted[i - 1];

        if (str_eq(first->name, sorted[i]->name))
            (void)diagnostics_add(diagnostics, DIAGNOSTIC_ERROR, sorted[i]->at, STR(""), STR(""),
                                  "the pipeline '" STR_FMT "' is already at " STR_FMT ":%zu:%zu",
                                  STR_ARG(first->name), STR_ARG(first->at.file), first->at.line,
                                  first->at.column);
    }
    free(sorted);
    return true;
}

/* ---- all of it ---- */

bool policy_link(struct policy *policy, struct diagnostics *diagnostics, struct error *error)
{
    if (!gather_pipelines(policy) || !check_names(policy, diagnostics))
        return error_set(error, ERROR_MEMORY, "linking a policy");
    return policy_index_build(policy, error);
}
