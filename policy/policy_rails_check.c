#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/time_text.h"
#include "policy/pattern.h"
#include "policy/policy_rails.h"

/*
 * Stages against the guardrails that bind them, as far as the files alone can tell: what is found
 * here refuses the file before it ever decides.
 */

/* Comparing names with `forbid`, in steps of a few nanoseconds: what a decision may take as well.
 */
#define STAGE_STEPS_MAX ((size_t)100000000)
#define PIPELINE_STEPS_MAX ((size_t)1000000000)

/* A stage at hand, and what holds it against its guardrails. */
struct check {
    const struct policy *policy;
    const struct policy_load_options *options;
    const struct policy_stage_rule *stage;
    const struct policy_rail *rail;
    struct arena *scratch;
    bool is_forbidden; /* something that a grant gives */
    size_t stage_steps;
    size_t pipeline_steps;
    bool is_out_of_memory;
};

/* ---- reporting ---- */

static const char *const rule_names[] = {
    [POLICY_GUARDRAIL_TTL] = "guardrail-ttl",
    [POLICY_GUARDRAIL_FORBID] = "guardrail-forbid",
    [POLICY_GUARDRAIL_SEPARATE] = "guardrail-separate",
    [POLICY_GUARDRAIL_REQUIRE] = "guardrail-require",
    [POLICY_GUARDRAIL_FREEZE] = "guardrail-freeze",
};

/* Where a stage offends. */
struct offence {
    struct position at;
    bool is_of_template; /* in the template that the stage uses */
    struct str hint;
};

/*
 * Say what a guardrail has against a stage, and point to both. What a template says points to the
 * stage that uses it instead: so it is said once, with how many others do.
 */
static void object(const struct check *check, enum diagnostic_severity severity,
                   const struct offence *offence, const char *format, va_list values)
    PRINTF_LIKE(4, 0);
static void object(const struct check *check, enum diagnostic_severity severity,
                   const struct offence *offence, const char *format, va_list values)
{
    const struct policy_guardrail *guardrail = check->rail->guardrail;
    struct diagnostics *diagnostics = check->options->diagnostics;
    struct str hint = offence->hint;
    char message[DIAGNOSTIC_TEXT_MAX];

    (void)vsnprintf(message, sizeof(message), format, values);
    if (offence->is_of_template)
        hint = arena_printf(check->scratch, "the guardrail is at " STR_FMT ":%zu:%zu",
                            STR_ARG(guardrail->at.file), guardrail->at.line, guardrail->at.column);
    (void)policy_say(check->policy, diagnostics, severity, offence->at, hint, "%s", message);
    diagnostics_name(diagnostics, rule_names[guardrail->kind]);
    if (offence->is_of_template)
        policy_relate(check->policy, diagnostics, policy_stage_position(check->stage),
                      STR("used here"));
    else
        policy_relate(check->policy, diagnostics, guardrail->at, STR("the guardrail is here"));
}

static void complain(const struct check *check, const struct offence *offence, const char *format,
                     ...) PRINTF_LIKE(3, 4);
static void complain(const struct check *check, const struct offence *offence, const char *format,
                     ...)
{
    va_list values;

    va_start(values, format);
    object(check, policy_rail_severity(check->rail), offence, format, values);
    va_end(values);
}

static void warn(const struct check *check, const struct offence *offence, const char *format, ...)
    PRINTF_LIKE(3, 4);
static void warn(const struct check *check, const struct offence *offence, const char *format, ...)
{
    va_list values;

    va_start(values, format);
    object(check, DIAGNOSTIC_WARNING, offence, format, values);
    va_end(values);
}

struct position policy_grant_position(const struct policy_stage_rule *stage, size_t index)
{
    if (stage->spots[index].is_of_template)
        return policy_stage_position(stage);
    return policy_spot_position(stage->spots[index], stage->pipeline->file, stage);
}

static struct offence of_stage(const struct check *check)
{
    return (struct offence){ .at = policy_stage_position(check->stage) };
}

static struct offence of_grant(const struct check *check, size_t index)
{
    const struct policy_stage_rule *stage = check->stage;

    return (struct offence){
        .at = policy_spot_position(stage->spots[index], stage->pipeline->file, stage),
        .is_of_template = stage->spots[index].is_of_template,
    };
}

/* ---- ttl ---- */

static void check_ttl(struct check *check)
{
    const struct policy_guardrail *guardrail = check->rail->guardrail;
    const struct policy_stage *shown = &check->stage->shown;
    int64_t max_s = guardrail->ttl.max_s[shown->kind];

    for (size_t i = 0; max_s > 0 && i < shown->grant_count; i++) {
        const struct policy_grant *grant = &shown->grants[i];
        const struct offence offence = of_grant(check, i);

        if (grant->ttl_s > max_s)
            complain(check, &offence,
                     "the ttl of '" STR_FMT "' is %" PRId64 " s: guardrail '" STR_FMT
                     "' gives a %s stage no more than %" PRId64 " s",
                     STR_ARG(grant->name), grant->ttl_s, STR_ARG(guardrail->name),
                     policy_stage_kind_name(shown->kind), max_s);
    }
}

/* ---- forbid ---- */

static void complain_of_all(struct check *check, size_t index)
{
    const struct policy_guardrail *guardrail = check->rail->guardrail;
    const struct policy_grant *grant = &check->stage->shown.grants[index];
    struct offence offence = of_grant(check, index);

    offence.hint = STR("a grant that says what it gives counts as no more than that");
    complain(
        check, &offence,
        "'" STR_FMT "' cannot say what it gives, so it counts as everything: guardrail "
        "'" STR_FMT "' forbids %s '" STR_FMT "'",
        STR_ARG(grant->name), STR_ARG(guardrail->name), grant->kind->name,
        STR_ARG(str_slice(policy_forbidden_of(guardrail, grant->kind)->patterns[0].text, 0, 100)));
}

static void check_names(struct check *check, size_t index, const struct policy_giving *giving)
{
    const struct policy_guardrail *guardrail = check->rail->guardrail;
    const struct policy_grant *grant = &check->stage->shown.grants[index];
    const struct policy_forbidden *forbidden = policy_forbidden_of(guardrail, grant->kind);
    const struct offence offence = of_grant(check, index);

    if (giving->given.is_everything) {
        check->is_forbidden = true;
        complain_of_all(check, index);
        return;
    }
    for (size_t i = 0; i < giving->given.name_count; i++) {
        const struct pattern *met = policy_forbidden_meets(forbidden, giving, i);

        if (met == NULL)
            continue;
        check->is_forbidden = true;
        complain(check, &offence,
                 "'" STR_FMT "' gives '" STR_FMT "': guardrail '" STR_FMT "' forbids '" STR_FMT "'",
                 STR_ARG(grant->name), STR_ARG(str_slice(giving->given.names[i], 0, 100)),
                 STR_ARG(guardrail->name), STR_ARG(str_slice(met->text, 0, 100)));
    }
}

/* Whether names are compared that fast that every decision may do it again; else it is reported. */
static bool is_affordable(struct check *check, size_t index, const struct policy_giving *giving)
{
    const struct policy_guardrail *guardrail = check->rail->guardrail;
    const struct policy_grant *grant = &check->stage->shown.grants[index];
    size_t steps = policy_forbidden_steps(policy_forbidden_of(guardrail, grant->kind), giving);
    struct offence offence = of_grant(check, index);

    check->stage_steps += steps;
    check->pipeline_steps += steps;
    if (check->stage_steps <= STAGE_STEPS_MAX && check->pipeline_steps <= PIPELINE_STEPS_MAX)
        return true;
    check->is_forbidden = true;
    offence.hint = STR("give fewer names, or let them start with literal text");
    complain(check, &offence,
             "what this %s gives takes too long to compare with guardrail '" STR_FMT "'",
             check->stage_steps > STAGE_STEPS_MAX ? "stage" : "pipeline", STR_ARG(guardrail->name));
    return false;
}

/* A grant against all of its stage's `forbid`, so that what it gives is read once. */
static void check_grant(struct check *check, const struct policy_rails *rails, size_t index)
{
    const struct policy_grant *grant = &check->stage->shown.grants[index];
    struct policy_giving giving;
    struct error error = { 0 };
    bool is_read = false;

    for (size_t i = 0; i < rails->count; i++) {
        const struct policy_guardrail *guardrail = rails->list[i].guardrail;

        if (guardrail->kind != POLICY_GUARDRAIL_FORBID ||
            policy_rail_is_exempt(&rails->list[i], check->options->now_s) ||
            policy_forbidden_of(guardrail, grant->kind) == NULL ||
            policy_forbid_excepts(guardrail, &check->stage->shown))
            continue;
        if (!is_read &&
            !policy_giving_read(grant, grant->fields, check->scratch, &giving, &error)) {
            check->is_out_of_memory = true;
            return;
        }
        is_read = true;
        check->rail = &rails->list[i];
        if (!is_affordable(check, index, &giving))
            return;
        check_names(check, index, &giving);
    }
}

/* ---- separate ---- */

static void check_separate(struct check *check)
{
    const struct policy_guardrail *guardrail = check->rail->guardrail;
    const struct policy_stage *shown = &check->stage->shown;
    struct offence offence = of_stage(check);

    offence.hint = STR("move what it is kept apart from to another stage");
    if (policy_separate_keeps(guardrail, shown) && policy_separate_is_from(guardrail, shown))
        complain(check, &offence, "guardrail '" STR_FMT "' keeps this %s stage apart from itself",
                 STR_ARG(guardrail->name), policy_stage_kind_name(shown->kind));
}

/* ---- require ---- */

/* What each demand that a stage does not meet is told by. */
static void check_demands(const struct check *check)
{
    const struct policy_guardrail *guardrail = check->rail->guardrail;
    const struct offence offence = of_stage(check);

    for (size_t i = 0; i < policy_demand_count; i++) {
        const struct policy_demand *demand = &policy_demands[i];
        enum policy_demand_outcome outcome = demand->hold(&guardrail->require, check->stage);
        OWNED(buf_release) struct buf text = { 0 };

        if (outcome == POLICY_DEMAND_MET)
            continue;
        buf_init(&text, DIAGNOSTIC_TEXT_MAX / 2);
        demand->describe(&guardrail->require, &text);
        complain(check, &offence,
                 outcome == POLICY_DEMAND_MISSING
                     ? "this stage has no '%s': guardrail '" STR_FMT "' demands " STR_FMT
                     : "'%s' of this stage is too weak: guardrail '" STR_FMT "' demands " STR_FMT,
                 demand->word, STR_ARG(guardrail->name), STR_ARG(buf_str(&text)));
    }
}

/* Decisions deny then; here it is told, so that somebody looks at the pipeline again. */
static void check_review(const struct check *check)
{
    const struct policy_guardrail *guardrail = check->rail->guardrail;
    struct offence offence = of_stage(check);
    char date[TIME_TEXT_S_LEN + 1];

    if (check->options->now_s == 0 ||
        !policy_review_is_over(&guardrail->require, &check->stage->shown, check->options->now_s))
        return;
    time_text_s(check->stage->shown.review_by_s, date);
    offence.hint = STR("review the pipeline, and write the next date");
    warn(check, &offence,
         "the review of this stage was due on %.10s: guardrail '" STR_FMT "' denies it", date,
         STR_ARG(guardrail->name));
}

static void check_require(struct check *check)
{
    check_demands(check);
    check_review(check);
}

/* ---- all of them ---- */

static void (*const checks[])(struct check *check) = {
    [POLICY_GUARDRAIL_TTL] = check_ttl,
    [POLICY_GUARDRAIL_FORBID] = NULL,
    [POLICY_GUARDRAIL_SEPARATE] = check_separate,
    [POLICY_GUARDRAIL_REQUIRE] = check_require,
    [POLICY_GUARDRAIL_FREEZE] = NULL,
};

static void check_stage(struct check *check, const struct policy_rails *rails, bool has_changed)
{
    for (size_t i = 0; i < rails->count; i++) {
        check->rail = &rails->list[i];
        if (!policy_rail_is_exempt(check->rail, check->options->now_s) &&
            checks[check->rail->guardrail->kind] != NULL)
            checks[check->rail->guardrail->kind](check);
    }
    check->stage_steps = 0;
    for (size_t i = 0; has_changed && i < check->stage->shown.grant_count; i++)
        check_grant(check, rails, i);
}

/* Whether the policy before it had this very pipeline under these very guardrails. */
static bool is_known(const struct policy *previous, const struct policy_linked *linked)
{
    const struct policy_linked *before =
        previous == NULL ? NULL : policy_linked_find(previous, linked->pipeline->name);

    if (before == NULL || before->pipeline != linked->pipeline || !before->forbids_nothing)
        return false;
    for (size_t i = 0; i < linked->pipeline->stage_count; i++) {
        const struct policy_rails *rails = linked->rails[i];
        const struct policy_rails *old = before->rails == NULL ? NULL : before->rails[i];

        if ((rails == NULL) != (old == NULL) ||
            (rails != NULL && memcmp(rails->sha256, old->sha256, SHA256_LEN) != 0))
            return false;
    }
    return true;
}

static bool has_exceptions(const struct policy_linked *linked)
{
    for (size_t i = 0; i < linked->pipeline->stage_count; i++) {
        const struct policy_rails *rails = linked->rails[i];

        for (size_t k = 0; rails != NULL && k < rails->count; k++)
            if (rails->list[k].exempt_until_s != 0)
                return true;
    }
    return false;
}

static bool check_pipeline(struct check *check, struct policy_linked *linked)
{
    OWNED(arena_free) struct arena *scratch = arena_new(SIZE_MAX / 2);
    bool was_known = is_known(check->options->previous, linked);

    check->scratch = scratch;
    check->is_forbidden = false;
    check->pipeline_steps = 0;
    for (size_t i = 0; scratch != NULL && i < linked->pipeline->stage_count; i++) {
        check->stage = &linked->pipeline->stages[i];
        if (linked->rails[i] != NULL)
            check_stage(check, linked->rails[i], !was_known);
    }
    linked->forbids_nothing = !check->is_forbidden && !has_exceptions(linked);
    return scratch != NULL && !check->is_out_of_memory;
}

bool policy_rails_check(struct policy *policy, const struct policy_load_options *options,
                        struct error *error)
{
    struct check check = { .policy = policy, .options = options };

    for (size_t i = 0; i < policy->pipeline_count; i++)
        if (policy->pipelines[i].rails != NULL && !check_pipeline(&check, &policy->pipelines[i]))
            return error_set(error, ERROR_MEMORY, "checking guardrails");
    return true;
}
