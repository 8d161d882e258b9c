#include <string.h>

#include "base/error.h"
#include "policy/policy_rails.h"

/*
 * Exceptions: a stage that one guardrail does not bind for a time. It gets a list of guardrails of
 * its own, in which that one says until when.
 */

struct applying {
    struct policy *policy;
    const struct policy_load_options *options;
    struct arena *scratch;
    bool is_partial; /* what is not there may be in a file with mistakes */
};

static bool say(const struct applying *applying, enum diagnostic_severity severity,
                struct position at, struct str hint, struct str text)
{
    return policy_say(applying->policy, applying->options->diagnostics, severity, at, hint, STR_FMT,
                      STR_ARG(text));
}

/* ---- what is not there ---- */

static const struct policy_guardrail *find_guardrail(const struct applying *applying,
                                                     struct str name)
{
    for (size_t i = 0; i < applying->policy->guardrail_count; i++)
        if (str_eq(applying->policy->guardrails[i]->name, name))
            return applying->policy->guardrails[i];
    return NULL;
}

/* Report what an exception names and nobody has; false. */
static bool complain(const struct applying *applying, const struct policy_exception *exception,
                     const char *what, struct str name, struct str hint)
{
    if (applying->is_partial)
        return false;
    return say(applying, DIAGNOSTIC_ERROR, exception->at, hint,
               arena_printf(applying->scratch,
                            "an exception of a %s that is not there: '" STR_FMT "'", what,
                            STR_ARG(str_slice(name, 0, 100))));
}

static struct str *allocate_hints(const struct applying *applying, size_t count)
{
    if (applying->is_partial || applying->options->diagnostics->count == DIAGNOSTICS_MAX)
        return NULL; /* it will not be shown */
    return arena_alloc_array(applying->scratch, count + 1, sizeof(struct str));
}

static bool complain_guardrail(const struct applying *applying,
                               const struct policy_exception *exception)
{
    size_t count = applying->policy->guardrail_count;
    struct str *names = allocate_hints(applying, count);

    for (size_t i = 0; names != NULL && i < count; i++)
        names[i] = applying->policy->guardrails[i]->name;
    return complain(applying, exception, "guardrail", exception->guardrail,
                    diagnostic_nearest(applying->scratch, exception->guardrail, names, count));
}

static bool complain_pipeline(const struct applying *applying,
                              const struct policy_exception *exception)
{
    size_t count = applying->policy->pipeline_count;
    struct str *names = allocate_hints(applying, count);

    for (size_t i = 0; names != NULL && i < count; i++)
        names[i] = applying->policy->pipelines[i].pipeline->name;
    return complain(applying, exception, "pipeline", exception->pipeline,
                    diagnostic_nearest(applying->scratch, exception->pipeline, names, count));
}

static bool complain_stage(const struct applying *applying,
                           const struct policy_exception *exception,
                           const struct policy_pipeline *pipeline)
{
    struct str *names = allocate_hints(applying, pipeline->stage_count);

    for (size_t i = 0; names != NULL && i < pipeline->stage_count; i++)
        names[i] = pipeline->stages[i].shown.name;
    return complain(
        applying, exception, "stage", exception->stage,
        diagnostic_nearest(applying->scratch, exception->stage, names, pipeline->stage_count));
}

/* The place of a pipeline; how many there are where it is none. */
static size_t find_pipeline(const struct policy *policy, struct str name)
{
    const struct policy_linked *found = policy_linked_find(policy, name);

    return found == NULL ? policy->pipeline_count : (size_t)(found - policy->pipelines);
}

/* Its time: not too far ahead; one that is over does nothing any more. */
static bool check_until(const struct applying *applying, const struct policy_exception *exception)
{
    int64_t now_s = applying->options->now_s;

    if (now_s == 0)
        return true;
    if (exception->until_s <= now_s) {
        (void)say(applying, DIAGNOSTIC_WARNING, exception->at, STR("remove it"),
                  STR("this exception is over: its guardrail binds the stage again"));
        diagnostics_name(applying->options->diagnostics, "exception-over");
        return true;
    }
    if (exception->until_s - now_s <= POLICY_EXCEPTION_MAX_S)
        return true;
    return say(applying, DIAGNOSTIC_ERROR, exception->at,
               STR("shorten 'until', and write it anew after a review"),
               arena_printf(applying->scratch, "an exception lasts %d days at most",
                            (int)(POLICY_EXCEPTION_MAX_S / 86400)));
}

/* The rails of one stage alone, in which a guardrail is excepted. */
static bool except(const struct applying *applying, const struct policy_rails **rails,
                   const struct policy_guardrail *guardrail,
                   const struct policy_exception *exception)
{
    struct policy_rails *own = arena_alloc(applying->policy->arena, sizeof(*own));

    if (own != NULL)
        own->list =
            arena_alloc_array(applying->policy->arena, (*rails)->count, sizeof(own->list[0]));
    if (own == NULL || own->list == NULL)
        return false;
    own->count = (*rails)->count;
    memcpy(own->list, (*rails)->list, own->count * sizeof(own->list[0]));
    for (size_t i = 0; i < own->count; i++)
        if (own->list[i].guardrail == guardrail)
            own->list[i].exempt_until_s = exception->until_s;
    *rails = own;
    return policy_rails_hash(own);
}

static size_t find_stage(const struct policy_pipeline *pipeline, struct str name)
{
    size_t i = 0;

    while (i < pipeline->stage_count && !str_eq(pipeline->stages[i].shown.name, name))
        i++;
    return i;
}

/* Excuse a stage; mistakes are reported. False without memory. */
static bool excuse(const struct applying *applying, const struct policy_exception *exception,
                   const struct policy_guardrail *guardrail, const struct policy_rails **rails)
{
    const struct policy_rail *rail = rails == NULL ? NULL : policy_rail_find(*rails, guardrail);

    if (rail == NULL) {
        (void)say(applying, DIAGNOSTIC_WARNING, exception->at, STR("remove it"),
                  arena_printf(applying->scratch,
                               "the guardrail '" STR_FMT "' does not bind this stage",
                               STR_ARG(guardrail->name)));
        diagnostics_name(applying->options->diagnostics, "exception-unused");
        return true;
    }
    if (rail->exempt_until_s != 0) {
        (void)say(applying, DIAGNOSTIC_ERROR, exception->at, STR("remove one of them"),
                  STR("this stage is already excepted from this guardrail"));
        return true;
    }
    return except(applying, rails, guardrail, exception);
}

/* Find what an exception names; mistakes are reported. False without memory. */
static bool apply(const struct applying *applying, const struct policy_exception *exception)
{
    const struct policy_guardrail *guardrail = find_guardrail(applying, exception->guardrail);
    size_t index = find_pipeline(applying->policy, exception->pipeline);
    struct policy_linked *linked;
    size_t stage;

    (void)check_until(applying, exception);
    if (guardrail == NULL)
        (void)complain_guardrail(applying, exception);
    if (index == applying->policy->pipeline_count) {
        (void)complain_pipeline(applying, exception);
        return true;
    }
    linked = &applying->policy->pipelines[index];
    stage = find_stage(linked->pipeline, exception->stage);
    if (stage == linked->pipeline->stage_count)
        (void)complain_stage(applying, exception, linked->pipeline);
    if (stage == linked->pipeline->stage_count || guardrail == NULL)
        return true;
    return excuse(applying, exception, guardrail,
                  linked->rails == NULL ? NULL : &linked->rails[stage]);
}

/* More are refused, and not looked at any further. */
static void bound(const struct applying *applying)
{
    struct policy *policy = applying->policy;

    if (policy->exception_count <= POLICY_EXCEPTIONS_MAX)
        return;
    (void)say(applying, DIAGNOSTIC_ERROR, policy->exceptions[POLICY_EXCEPTIONS_MAX].at, STR(""),
              arena_printf(applying->scratch, "a folder has at most %d exceptions, not %zu",
                           POLICY_EXCEPTIONS_MAX, policy->exception_count));
    policy->exception_count = POLICY_EXCEPTIONS_MAX;
}

bool policy_exceptions_apply(struct policy *policy, const struct policy_load_options *options,
                             bool is_partial, struct error *error)
{
    OWNED(arena_free) struct arena *scratch = arena_new(SIZE_MAX / 2);
    const struct applying applying = { policy, options, scratch, is_partial };

    if (scratch == NULL)
        return error_set(error, ERROR_MEMORY, "linking a policy");
    bound(&applying);
    for (size_t i = 0; i < policy->exception_count; i++)
        if (!apply(&applying, &policy->exceptions[i]))
            return error_set(error, ERROR_MEMORY, "linking a policy");
    return true;
}
