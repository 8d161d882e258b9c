#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "policy/policy_rails.h"

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
        policy->pipelines[policy->pipeline_count++] =
            (struct policy_linked){ .pipeline = pipeline };
        policy->stage_count += pipeline->stage_count;
    }
    return true;
}

/* ---- names ---- */

static int compare_names(const void *a, const void *b)
{
    const struct policy_pipeline *left = (*(const struct policy_linked *const *)a)->pipeline;
    const struct policy_pipeline *right = (*(const struct policy_linked *const *)b)->pipeline;
    int order = str_compare(left->name, right->name);

    return order != 0 ? order : str_compare(left->file, right->file);
}

static bool sort_names(struct policy *policy)
{
    size_t count = policy->pipeline_count;

    policy->by_name =
        arena_alloc_array(policy->arena, count + 1, sizeof(const struct policy_linked *));
    policy->first_stages = arena_alloc_array(policy->arena, count + 1, sizeof(size_t));
    if (policy->by_name == NULL || policy->first_stages == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        policy->by_name[i] = &policy->pipelines[i];
        policy->first_stages[i + 1] =
            policy->first_stages[i] + policy->pipelines[i].pipeline->stage_count;
    }
    qsort(policy->by_name, count, sizeof(const struct policy_linked *), compare_names);
    return true;
}

/* Report names that two files have. */
static void check_names(const struct policy *policy, struct diagnostics *diagnostics)
{
    for (size_t i = 1; i < policy->pipeline_count; i++) {
        const struct policy_pipeline *first = policy->by_name[i - 1]->pipeline;
        const struct policy_pipeline *second = policy->by_name[i]->pipeline;

        if (str_eq(first->name, second->name))
            (void)diagnostics_add(diagnostics, DIAGNOSTIC_ERROR, second->at, STR(""), STR(""),
                                  "the pipeline '" STR_FMT "' is already at " STR_FMT ":%zu:%zu",
                                  STR_ARG(first->name), STR_ARG(first->at.file), first->at.line,
                                  first->at.column);
    }
}

/* ---- rules ---- */

/* What decides for a pipeline: its document, and the guardrails that bind its stages. */
static void hash_rule(struct policy_linked *linked)
{
    uint8_t parts[POLICY_STAGES_MAX][SHA256_LEN] = { 0 };
    size_t count = linked->pipeline->stage_count;

    memcpy(linked->rule_sha256, linked->pipeline->document_sha256, SHA256_LEN);
    if (linked->rails == NULL)
        return;
    for (size_t i = 0; i < count; i++)
        if (linked->rails[i] != NULL)
            memcpy(parts[i], linked->rails[i]->sha256, SHA256_LEN);
    sha256_2((struct str){ (const char *)linked->pipeline->document_sha256, SHA256_LEN },
             (struct str){ (const char *)parts, count * SHA256_LEN }, linked->rule_sha256);
}

/* ---- tests ---- */

static bool asks_for(const struct policy_guardrail *guardrail, struct str name)
{
    const struct policy_clause *when = &guardrail->require.when;

    for (size_t i = 0; guardrail->kind == POLICY_GUARDRAIL_REQUIRE && i < when->count; i++)
        for (size_t k = 0; k < when->maps[i].count; k++)
            if (str_eq(when->maps[i].conditions[k].name, name))
                return true;
    return false;
}

/* Whether a guardrail can deny a stage of a pipeline under a name. */
static bool can_deny(const struct policy_linked *linked, struct str name)
{
    for (size_t i = 0; linked->rails != NULL && i < linked->pipeline->stage_count; i++) {
        const struct policy_rails *rails = linked->rails[i];

        for (size_t k = 0; rails != NULL && k < rails->count; k++)
            if (str_eq(rails->list[k].guardrail->name, name) ||
                asks_for(rails->list[k].guardrail, name))
                return true;
    }
    return false;
}

/* Names that tests give as reasons, and that no condition of their own file has. */
static void check_reasons(const struct policy *policy, struct diagnostics *diagnostics)
{
    for (size_t i = 0; i < policy->pipeline_count; i++) {
        const struct policy_linked *linked = &policy->pipelines[i];

        for (size_t k = 0; k < linked->pipeline->test_count; k++) {
            const struct policy_test_row *row = &linked->pipeline->tests[k];

            for (size_t n = 0; n < row->stranger_count; n++)
                if (!can_deny(linked, row->strangers[n]))
                    (void)policy_say(policy, diagnostics, DIAGNOSTIC_ERROR, row->because_at,
                                     STR(""),
                                     "no condition of this pipeline is named '" STR_FMT
                                     "', nor a guardrail that binds it",
                                     STR_ARG(str_slice(row->strangers[n], 0, 60)));
        }
    }
}

/* ---- all of it ---- */

bool policy_link(struct policy *policy, const struct policy_load_options *options,
                 struct error *error)
{
    bool is_partial = options->diagnostics->error_count > 0; /* guardrails may be missing */

    if (!gather_pipelines(policy) || !sort_names(policy))
        return error_set(error, ERROR_MEMORY, "linking a policy");
    check_names(policy, options->diagnostics);
    if (!policy_rails_build(policy, options, error) ||
        !policy_rails_check(policy, options, error) ||
        !policy_principals_check(policy, options, error))
        return false;
    if (!is_partial)
        check_reasons(policy, options->diagnostics);
    for (size_t i = 0; i < policy->pipeline_count; i++)
        hash_rule(&policy->pipelines[i]);
    return policy_index_build(policy, error);
}
