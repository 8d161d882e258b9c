#include "policy/analyse.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "policy/analyse_internal.h"
#include "policy/prove.h"

/*
 * Pipelines are analysed a chunk at a time, each a job of its own with findings of its own: they
 * are joined in the order of the files, so that it does not show how many threads there were. Only
 * what is shown in the end gets its source line, so a thousand warnings do not read a thousand
 * files.
 */

#define CHUNK_PIPELINES 32
#define PROVER_BYTES_MAX ((size_t)256 * 1024 * 1024)

struct analysis {
    const struct policy_analysis_options *options;
    struct findings *chunks;
};

/* ---- findings ---- */

static bool is_ignored(const struct policy_analysis_options *options, const struct finding *finding)
{
    for (size_t i = 0; i < options->ignored_count; i++)
        if (finding->severity == DIAGNOSTIC_WARNING &&
            strcmp(finding->rule, options->ignored[i]) == 0)
            return true;
    return false;
}

void findings_release(struct findings *findings)
{
    arena_free(findings->arena);
}

static bool open_findings(struct findings *findings)
{
    if (findings->arena == NULL)
        findings->arena = arena_new(SIZE_MAX / 2);
    if (findings->arena != NULL && findings->list == NULL)
        findings->list =
            arena_alloc_array(findings->arena, DIAGNOSTICS_MAX, sizeof(*findings->list));
    findings->is_out_of_memory |= findings->list == NULL;
    return findings->list != NULL;
}

void findings_add(struct findings *findings, const struct finding *finding)
{
    struct finding *kept;

    if (is_ignored(findings->options, finding))
        return;
    findings->error_count += finding->severity == DIAGNOSTIC_ERROR;
    if (!open_findings(findings))
        return;
    if (findings->count == DIAGNOSTICS_MAX) {
        findings->dropped_count++;
        return;
    }
    kept = &findings->list[findings->count++];
    *kept = *finding;
    kept->message = arena_copy(findings->arena, finding->message);
    kept->hint = arena_copy(findings->arena, finding->hint);
    kept->related_note = arena_copy(findings->arena, finding->related_note);
}

void findings_join(struct findings *findings, const struct findings *from)
{
    size_t errors_before = findings->error_count;

    for (size_t i = 0; i < from->count; i++)
        findings_add(findings, &from->list[i]);
    findings->error_count = errors_before + from->error_count;
    findings->dropped_count += from->dropped_count;
    findings->is_out_of_memory |= from->is_out_of_memory;
}

/* ---- reporting ---- */

/* Give what is shown its line, and a place that has to do with it. */
static void report(const struct policy_analysis_options *options, const struct finding *finding)
{
    const struct policy *policy = options->policy;
    struct diagnostics *diagnostics = options->diagnostics;

    (void)policy_say(policy, diagnostics, finding->severity, finding->at, finding->hint, STR_FMT,
                     STR_ARG(finding->message));
    diagnostics_name(diagnostics, finding->rule);
    if (finding->related.line > 0)
        diagnostics_relate(diagnostics, finding->related,
                           policy_source_line(policy, finding->related, diagnostics->arena),
                           finding->related_note);
}

/* What was dropped here is dropped there, and counted. */
static void report_all(const struct policy_analysis_options *options,
                       const struct findings *findings)
{
    struct diagnostics *diagnostics = options->diagnostics;
    size_t errors_before = diagnostics->error_count;

    for (size_t i = 0; i < findings->count; i++)
        if (!options->is_for_errors || findings->list[i].severity == DIAGNOSTIC_ERROR)
            report(options, &findings->list[i]);
    diagnostics->error_count = errors_before + findings->error_count;
    diagnostics->dropped_count += findings->dropped_count;
}

/* ---- jobs ---- */

static void analyse_pipelines(struct analysis *analysis, size_t first, struct findings *findings)
{
    OWNED(arena_free) struct arena *arena = arena_new(PROVER_BYTES_MAX);
    const struct policy *policy = analysis->options->policy;
    struct prover *prover = arena == NULL ? NULL : prover_new(arena);

    if (prover == NULL) {
        findings->is_out_of_memory = true;
        return;
    }
    prover_since(prover, analysis->options->now_s);
    for (size_t i = first; i < policy->pipeline_count && i < first + CHUNK_PIPELINES; i++) {
        analyse_lints(policy, &policy->pipelines[i], findings);
        analyse_values(policy, &policy->pipelines[i], findings);
        analyse_reach(policy, &policy->pipelines[i], prover, findings);
    }
}

static void run_chunk(void *jobs, size_t index)
{
    struct analysis *analysis = jobs;

    analysis->chunks[index].options = analysis->options;
    analyse_pipelines(analysis, index * CHUNK_PIPELINES, &analysis->chunks[index]);
}

static bool analyse_chunks(struct analysis *analysis, struct findings *findings)
{
    const struct policy_analysis_options *options = analysis->options;
    size_t count = (options->policy->pipeline_count + CHUNK_PIPELINES - 1) / CHUNK_PIPELINES;

    analysis->chunks = calloc(count + 1, sizeof(*analysis->chunks));
    if (analysis->chunks == NULL)
        return false;
    if (options->run_jobs != NULL)
        options->run_jobs(count, run_chunk, analysis, options->run_jobs_context);
    for (size_t i = 0; i < count; i++) {
        if (options->run_jobs == NULL)
            run_chunk(analysis, i);
        findings_join(findings, &analysis->chunks[i]);
        findings_release(&analysis->chunks[i]);
    }
    free(analysis->chunks);
    return !findings->is_out_of_memory;
}

bool policy_analyse(const struct policy_analysis_options *options, struct error *error)
{
    OWNED(findings_release) struct findings findings = { .options = options };
    struct analysis analysis = { .options = options };

    if (!analyse_separate(options, &findings, error))
        return false;
    if (!options->is_for_errors && !analyse_chunks(&analysis, &findings))
        return error_set(error, ERROR_MEMORY, "analysing a policy");
    report_all(options, &findings);
    if (findings.error_count > 0)
        return error_set(error, ERROR_CONFIG, "%zu mistakes in the policy", findings.error_count);
    return true;
}
