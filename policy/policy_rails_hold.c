#include "base/error.h"
#include "policy/policy_rails.h"

/*
 * Guardrails at a decision. All of it was looked at when the files were loaded; here it holds
 * against what only a request brings: its time, its token, the values that fill holes, and
 * exceptions that have come to their end.
 */

/* ---- what a stage fits ---- */

/* All that is required but the conditions. */
static bool words_hold(const struct policy_require_rule *rule,
                       const struct policy_stage_rule *stage, const struct policy_facts *facts,
                       int64_t now_s)
{
    return policy_demands_hold(rule, stage) && !policy_review_is_over(rule, &stage->shown, now_s) &&
           (rule->proofs == 0 || (rule->proofs & facts->proofs) != 0) &&
           policy_from_holds(&rule->from, facts);
}

static bool require_holds(const struct policy_guardrail *guardrail,
                          const struct policy_stage_rule *stage, const struct policy_facts *facts,
                          int64_t now_s, struct policy_failures *failures)
{
    bool holds = policy_when_holds(&guardrail->require.when, facts, failures);

    if (words_hold(&guardrail->require, stage, facts, now_s))
        return holds;
    policy_failures_add(failures, guardrail->name);
    return false;
}

/* Whether a guardrail lets through what needs no more than the request and the time. */
static bool rail_holds(const struct policy_rail *rail, const struct policy_stage_rule *stage,
                       const struct policy_facts *facts, int64_t now_s,
                       struct policy_failures *failures)
{
    const struct policy_guardrail *guardrail = rail->guardrail;

    if (policy_rail_is_exempt(rail, now_s))
        return true;
    if (guardrail->kind == POLICY_GUARDRAIL_REQUIRE)
        return require_holds(guardrail, stage, facts, now_s, failures);
    if (guardrail->kind != POLICY_GUARDRAIL_FREEZE || now_s < guardrail->freeze.from_s ||
        now_s >= guardrail->freeze.to_s || facts->passes_freezes)
        return true;
    policy_failures_add_freeze(failures, guardrail->name);
    return false;
}

bool policy_rails_hold(const struct policy_linked *linked, const struct policy_stage_rule *stage,
                       const struct policy_facts *facts, int64_t now_s,
                       struct policy_failures *failures)
{
    const struct policy_rails *rails = policy_rails_of(linked, stage);
    bool holds = true;

    for (size_t i = 0; rails != NULL && i < rails->count; i++)
        if (!rails->list[i].guardrail->is_warning)
            holds &= rail_holds(&rails->list[i], stage, facts, now_s, failures);
    return holds;
}

/* ---- what a decision gives ---- */

static bool ttl_is_kept(const struct policy_guardrail *guardrail,
                        const struct policy_decision *decision)
{
    int64_t max_s = guardrail->ttl.max_s[decision->stage->kind];

    for (size_t i = 0; max_s > 0 && i < decision->grant_count; i++)
        if (decision->grants[i].ttl_s > max_s)
            return false;
    return true;
}

/* Looks at the fields with their holes filled. */
static bool nothing_is_forbidden(const struct policy_judging *judging,
                                 const struct policy_guardrail *guardrail, bool *holds,
                                 struct error *error)
{
    const struct policy_decision *decision = judging->decision;

    *holds = true;
    if (policy_forbid_excepts(guardrail, decision->stage))
        return true;
    for (size_t i = 0; i < decision->grant_count; i++) {
        const struct policy_granted *granted = &decision->grants[i];
        const struct policy_forbidden *forbidden =
            policy_forbidden_of(guardrail, granted->grant->kind);
        struct policy_giving giving;

        /* Without holes it gives what it gave at load, when nothing of it was forbidden. */
        if (forbidden == NULL ||
            (judging->linked->forbids_nothing && granted->fields == granted->grant->fields))
            continue;
        if (!policy_giving_read(granted->grant, granted->fields, judging->arena, &giving, error))
            return false;
        *holds &= !policy_forbidden_gives(forbidden, &giving);
    }
    return true;
}

/* Whether a stage is on the side that another one is kept apart from, or that is kept apart. */
static bool are_opposed(const struct policy_guardrail *guardrail, const struct policy_stage *a,
                        const struct policy_stage *b)
{
    return (policy_separate_keeps(guardrail, a) && policy_separate_is_from(guardrail, b)) ||
           (policy_separate_keeps(guardrail, b) && policy_separate_is_from(guardrail, a));
}

/* Whether the token fits a stage of a pipeline that the decided one is kept apart from. */
static bool fits_opposed(const struct policy_judging *judging,
                         const struct policy_guardrail *guardrail,
                         const struct policy_linked *linked)
{
    for (size_t i = 0; linked->rails != NULL && i < linked->pipeline->stage_count; i++) {
        const struct policy_stage_rule *stage = &linked->pipeline->stages[i];
        const struct policy_rail *rail = policy_rail_find(linked->rails[i], guardrail);

        if (rail != NULL && !policy_rail_is_exempt(rail, judging->now_s) &&
            are_opposed(guardrail, judging->decision->stage, &stage->shown) &&
            policy_stage_holds(linked, stage, judging->facts, judging->now_s, NULL))
            return true;
    }
    return false;
}

static bool is_apart(const struct policy_judging *judging, const struct policy_rail *rail)
{
    const struct policy_guardrail *guardrail = rail->guardrail;

    if (guardrail->separate.principals)
        return !rail->is_broken;
    for (size_t i = 0; i < judging->fitting_count; i++)
        if (fits_opposed(judging, guardrail, judging->fitting[i]))
            return false;
    return true;
}

/* Hold a decision against one guardrail. False without memory. */
static bool judge(const struct policy_judging *judging, const struct policy_rail *rail, bool *holds,
                  struct error *error)
{
    const struct policy_guardrail *guardrail = rail->guardrail;

    *holds = true;
    if (policy_rail_is_exempt(rail, judging->now_s))
        return true;
    if (guardrail->kind == POLICY_GUARDRAIL_FORBID)
        return nothing_is_forbidden(judging, guardrail, holds, error);
    if (guardrail->kind == POLICY_GUARDRAIL_TTL)
        *holds = ttl_is_kept(guardrail, judging->decision);
    else if (guardrail->kind == POLICY_GUARDRAIL_SEPARATE)
        *holds = is_apart(judging, rail);
    else if (guardrail->is_warning) /* the others have let it through */
        *holds = rail_holds(rail, policy_rule_of(judging->decision->stage), judging->facts,
                            judging->now_s, NULL);
    return true;
}

static void warn(struct policy_decision *decision, struct str name)
{
    if (decision->warned_count < POLICY_FAILED_MAX)
        decision->warned[decision->warned_count++] = name;
}

bool policy_rails_judge(const struct policy_judging *judging, struct policy_failures *failures,
                        struct error *error)
{
    const struct policy_rails *rails =
        policy_rails_of(judging->linked, policy_rule_of(judging->decision->stage));

    failures->count = 0;
    failures->freeze_count = 0;
    for (size_t i = 0; rails != NULL && i < rails->count; i++) {
        const struct policy_guardrail *guardrail = rails->list[i].guardrail;
        bool holds;

        if (!judge(judging, &rails->list[i], &holds, error))
            return false;
        if (!holds && guardrail->is_warning)
            warn(judging->decision, guardrail->name);
        if (!holds && !guardrail->is_warning)
            policy_failures_add(failures, guardrail->name);
    }
    return true;
}
