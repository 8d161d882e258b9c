#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "policy/explain_internal.h"
#include "policy/policy_internal.h"

#define ROW_MAX ((size_t)8 * 1024 * 1024)        /* bytes that deciding one row may take */
#define PIPELINE_MAX ((size_t)256 * 1024 * 1024) /* what is kept of a pipeline's rows */

/* The rows of a pipeline: a job of its own. Threads: confined to whoever runs it */
struct batch {
    const struct policy *policy;
    const struct policy_linked *linked;
    const struct policy_test_options *options;
    struct policy_test_result *results; /* room for all of its rows */
    size_t count;
    struct policy_coverage *coverage; /* NULL: nobody asks */
    struct arena *arena;              /* what is kept */
    struct error error;
};

/* What running a row works with. */
struct run {
    struct batch *batch;
    const struct policy_pipeline *pipeline;
    const struct policy_test_row *row;
    struct arena *arena; /* its own; kept where it did not pass */
    struct policy_facts facts;
    struct policy_request request;
    struct policy_decision *decision;
    struct policy_test_result *result;
};

/* Say why a row did not pass. */
static void fail(struct run *run, struct str detail)
{
    if (detail.data == NULL)
        (void)error_set(&run->batch->error, ERROR_MEMORY, "testing a policy");
    run->result->has_passed = false;
    run->result->detail = detail;
}

/* ---- comparing ---- */

static struct str join(struct arena *arena, const struct str *names, size_t count)
{
    struct str text = STR("");

    for (size_t i = 0; i < count; i++)
        text = arena_printf(arena, STR_FMT "%s" STR_FMT, STR_ARG(text), i > 0 ? ", " : "",
                            STR_ARG(names[i]));
    return count == 0 ? STR("nothing") : text;
}

static bool same_names(const struct str *a, size_t a_count, const struct str *b, size_t b_count)
{
    bool is_same = a_count == b_count;

    for (size_t i = 0; is_same && i < a_count; i++)
        is_same = str_eq(a[i], b[i]);
    return is_same;
}

/* The reasons of a denial as an author sees them: one without conditions has a name of its own. */
static void name_reasons(enum error_code code, struct policy_decision *decision)
{
    if (code != ERROR_NO_PIPELINE && code != ERROR_STAGE)
        return;
    decision->failed[0] = code == ERROR_NO_PIPELINE ? STR("identity") : STR("stage");
    decision->failed_count = 1;
}

static void compare_denial(struct run *run)
{
    const struct policy_decision *decision = run->decision;
    const struct policy_test_row *row = run->row;

    if (row->is_allow) {
        fail(run,
             arena_printf(run->arena, "expected allow, got deny because of " STR_FMT,
                          STR_ARG(join(run->arena, decision->failed, decision->failed_count))));
        return;
    }
    if (!row->has_because ||
        same_names(row->because, row->because_count, decision->failed, decision->failed_count))
        return;
    fail(run, arena_printf(run->arena,
                           "expected deny because of " STR_FMT ", got deny because of " STR_FMT,
                           STR_ARG(join(run->arena, row->because, row->because_count)),
                           STR_ARG(join(run->arena, decision->failed, decision->failed_count))));
}

static void compare_grants(struct run *run)
{
    const struct policy_test_outcome *got = &run->result->got;
    const struct policy_test_row *row = run->row;

    if (!same_names(row->grants, row->grant_count, got->names, got->name_count))
        fail(run, arena_printf(run->arena, "expected the grants " STR_FMT ", got " STR_FMT,
                               STR_ARG(join(run->arena, row->grants, row->grant_count)),
                               STR_ARG(join(run->arena, got->names, got->name_count))));
}

static void compare_allow(struct run *run)
{
    const struct policy_decision *decision = run->decision;
    const struct policy_test_row *row = run->row;

    if (!row->is_allow) {
        fail(run, arena_printf(run->arena, "expected deny, got allow of " STR_FMT,
                               STR_ARG(decision->stage->id)));
        return;
    }
    if (!str_eq(decision->stage->pipeline, run->pipeline->name)) {
        fail(run, arena_printf(run->arena, "allowed by another pipeline's stage " STR_FMT,
                               STR_ARG(decision->stage->id)));
        return;
    }
    if (row->has_grants)
        compare_grants(run);
    for (size_t i = 0; row->ttl_s > 0 && i < decision->grant_count; i++)
        if (decision->grants[i].ttl_s != row->ttl_s)
            fail(run,
                 arena_printf(run->arena,
                              "expected a ttl of %" PRId64 " s, got %" PRId64 " s for " STR_FMT,
                              row->ttl_s, decision->grants[i].ttl_s,
                              STR_ARG(decision->grants[i].grant->name)));
}

/* ---- what came ---- */

static int compare_texts(const void *a, const void *b)
{
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

/* The one life of all grants, or 0. */
static int64_t common_ttl(const struct policy_decision *decision)
{
    int64_t ttl_s = decision->grant_count > 0 ? decision->grants[0].ttl_s : 0;

    for (size_t i = 1; i < decision->grant_count; i++)
        if (decision->grants[i].ttl_s != ttl_s)
            return 0;
    return ttl_s;
}

/* Names of what is given, or why it is not. */
static bool note_outcome(struct run *run, bool is_allowed, struct error *error)
{
    const struct policy_decision *decision = run->decision;
    size_t count = is_allowed ? decision->grant_count : decision->failed_count;
    struct str *names = arena_alloc_array(run->arena, count + 1, sizeof(*names));

    if (names == NULL)
        return error_set(error, ERROR_MEMORY, "testing a policy");
    for (size_t i = 0; i < count; i++)
        names[i] = is_allowed ? decision->grants[i].grant->name : decision->failed[i];
    if (count > 0)
        qsort(names, count, sizeof(names[0]), compare_texts);
    run->result->got = (struct policy_test_outcome){ .is_allow = is_allowed,
                                                     .names = names,
                                                     .name_count = count,
                                                     .has_names = true,
                                                     .ttl_s = common_ttl(decision) };
    return true;
}

static struct policy_test_outcome expectation_of(const struct policy_test_row *row)
{
    if (row->is_allow)
        return (struct policy_test_outcome){ true, row->grants, row->grant_count, row->has_grants,
                                             row->ttl_s };
    return (struct policy_test_outcome){ false, row->because, row->because_count, row->has_because,
                                         0 };
}

/* ---- running ---- */

/* How a row that did not pass came out. */
static bool explain(struct run *run, struct error *error)
{
    struct explanation *explanation = arena_alloc(run->arena, sizeof(*explanation));

    if (explanation == NULL)
        return error_set(error, ERROR_MEMORY, "testing a policy");
    run->result->explanation = explanation;
    return explain_decision(run->batch->policy, &run->facts, &run->request, run->row->at_s,
                            run->arena, explanation, error);
}

static bool decide(struct run *run, struct error *error)
{
    struct error denial = { 0 };
    bool is_allowed = policy_decide(run->batch->policy, &run->facts, &run->request, run->row->at_s,
                                    run->arena, run->decision, &denial);

    if (denial.code == ERROR_MEMORY)
        return error_set(error, ERROR_MEMORY, "testing a policy");
    name_reasons(denial.code, run->decision);
    if (!note_outcome(run, is_allowed, error))
        return false;
    if (is_allowed)
        compare_allow(run);
    else
        compare_denial(run);
    if (!run->result->has_passed)
        return explain(run, error);
    return run->batch->coverage == NULL ||
           policy_coverage_mark(
               run->batch->coverage,
               &(struct explain_job){ run->batch->policy, &run->facts, run->row->at_s, run->arena },
               run->batch->linked, run->decision, denial.code) ||
           error_set(error, ERROR_MEMORY, "testing a policy");
}

static bool run_row(struct run *run, struct error *error)
{
    const struct policy_test_row *row = run->row;
    struct error trouble = { 0 };

    *run->result = (struct policy_test_result){ .name = row->name,
                                                .at = row->at,
                                                .pipeline = run->pipeline->name,
                                                .stage = row->stage,
                                                .has_passed = true,
                                                .expected = expectation_of(row) };
    run->decision = arena_alloc(run->arena, sizeof(*run->decision));
    if (run->decision == NULL)
        return error_set(error, ERROR_MEMORY, "testing a policy");
    run->request.stage = row->stage;
    run->facts.address = row->address;
    run->facts.proofs = row->proofs;
    run->facts.actor = row->actor;
    if (policy_test_claims_find(run->pipeline, row, run->batch->options->claims_folder, run->arena,
                                &run->facts.claims, &trouble))
        return policy_facts_read(row->issuer, run->facts.claims, run->arena, &run->facts, error) &&
               decide(run, error);
    if (trouble.code == ERROR_MEMORY)
        return error_set(error, ERROR_MEMORY, "testing a policy");
    run->result->is_broken = true;
    fail(run, arena_printf(run->arena, "%s", trouble.cause));
    return true;
}

static void free_arena(void *arena)
{
    arena_free(arena);
}

static int64_t now_ns(const struct batch *batch)
{
    return batch->options->clock_ns == NULL ? 0 : batch->options->clock_ns();
}

/* A row that passed leaves nothing but its result. */
static bool run_alone(struct batch *batch, const struct policy_test_row *row)
{
    OWNED(arena_free) struct arena *arena = arena_new(ROW_MAX);
    struct run run = { .batch = batch,
                       .pipeline = batch->linked->pipeline,
                       .row = row,
                       .arena = arena,
                       .result = &batch->results[batch->count] };
    int64_t start_ns = now_ns(batch);

    if (arena == NULL)
        return error_set(&batch->error, ERROR_MEMORY, "testing a policy");
    if (!run_row(&run, &batch->error) || batch->error.code != ERROR_NONE)
        return false;
    run.result->duration_ns = now_ns(batch) - start_ns;
    batch->count++;
    if (run.result->has_passed) {
        run.result->got = run.result->expected; /* as far as it was asked for */
        return true;
    }
    return arena_defer(batch->arena, free_arena, TAKE(arena)) ||
           error_set(&batch->error, ERROR_MEMORY, "testing a policy");
}

static bool is_chosen(const struct batch *batch, const struct policy_test_row *row)
{
    const struct policy_pipeline *pipeline = batch->linked->pipeline;
    struct str filter = batch->options->filter;

    return filter.len == 0 || str_contains(row->name, filter) || str_contains(row->stage, filter) ||
           str_contains(pipeline->name, filter) || str_contains(pipeline->file, filter);
}

static void run_batch(void *batches, size_t index)
{
    struct batch *batch = (struct batch *)batches + index;
    const struct policy_pipeline *pipeline = batch->linked->pipeline;

    if (pipeline->test_count == 0 && batch->coverage == NULL)
        return;
    batch->arena = arena_new(PIPELINE_MAX);
    if (batch->arena == NULL ||
        (batch->coverage != NULL &&
         !policy_coverage_start(batch->policy, batch->linked, batch->arena, batch->coverage))) {
        (void)error_set(&batch->error, ERROR_MEMORY, "testing a policy");
        return;
    }
    for (size_t i = 0; i < pipeline->test_count; i++)
        if (is_chosen(batch, &pipeline->tests[i]) && !run_alone(batch, &pipeline->tests[i]))
            return;
    if (batch->coverage != NULL)
        policy_coverage_count(batch->coverage);
}

/* ---- all of them ---- */

static struct batch *make_batches(const struct policy *policy,
                                  const struct policy_test_options *options, struct arena *arena,
                                  struct policy_test_run *run)
{
    size_t count = policy->pipeline_count;
    struct batch *batches = arena_alloc_array(arena, count + 1, sizeof(*batches));
    size_t total = 0;

    for (size_t i = 0; i < count; i++)
        total += policy->pipelines[i].pipeline->test_count;
    run->results = arena_alloc_array(arena, total + 1, sizeof(*run->results));
    if (options->wants_coverage)
        run->coverage = arena_alloc_array(arena, count + 1, sizeof(*run->coverage));
    if (batches == NULL || run->results == NULL || (options->wants_coverage && !run->coverage))
        return NULL;
    total = 0;
    for (size_t i = 0; i < count; i++) {
        batches[i] =
            (struct batch){ .policy = policy,
                            .linked = &policy->pipelines[i],
                            .options = options,
                            .results = &run->results[total],
                            .coverage = options->wants_coverage ? &run->coverage[i] : NULL };
        total += policy->pipelines[i].pipeline->test_count;
    }
    return batches;
}

/* Close the gaps that a filter leaves, and keep what the batches made. */
static bool gather(struct batch *batches, size_t count, struct arena *arena,
                   struct policy_test_run *run, struct error *error)
{
    bool is_good = true;

    for (size_t i = 0; i < count; i++) {
        struct batch *batch = &batches[i];

        if (batch->arena != NULL && !arena_defer(arena, free_arena, batch->arena))
            is_good = error_set(error, ERROR_MEMORY, "testing a policy");
        if (batch->error.code != ERROR_NONE)
            is_good = error_set(error, batch->error.code, "%s", batch->error.cause);
        for (size_t k = 0; k < batch->count; k++) {
            run->failed_count += !batch->results[k].has_passed;
            run->results[run->count++] = batch->results[k];
        }
    }
    return is_good;
}

bool policy_run_tests(const struct policy *policy, const struct policy_test_options *options,
                      struct arena *arena, struct policy_test_run *run, struct error *error)
{
    struct batch *batches;

    *run = (struct policy_test_run){ 0 };
    batches = make_batches(policy, options, arena, run);
    if (batches == NULL)
        return error_set(error, ERROR_MEMORY, "testing a policy");
    if (options->wants_coverage)
        run->coverage_count = policy->pipeline_count;
    if (options->run_jobs != NULL)
        options->run_jobs(policy->pipeline_count, run_batch, batches, options->run_jobs_context);
    for (size_t i = 0; options->run_jobs == NULL && i < policy->pipeline_count; i++)
        run_batch(batches, i);
    return gather(batches, policy->pipeline_count, arena, run, error);
}
