#include "policy/who_can.h"

#include "base/error.h"
#include "policy/pattern.h"
#include "policy/policy_rails.h"

/* A question on its way. */
struct asking {
    const struct policy *policy;
    const struct who_question *question;
    struct arena *arena;
    struct pattern pattern; /* of `name` */
    bool is_out_of_memory;
};

/* ---- grants ---- */

static bool asks_for_grant(const struct who_question *question)
{
    return question->target.len > 0 || question->kind != NULL || question->account.len > 0;
}

static bool read_given(struct asking *asking, const struct policy_grant *grant,
                       struct policy_given *given)
{
    const struct policy_grant_view view = { grant->name, grant->fields, grant->target,
                                            grant->ttl_s };

    *given = (struct policy_given){ .is_everything = grant->kind->gives == NULL };
    if (grant->kind->gives == NULL || grant->kind->gives(&view, asking->arena, given))
        return true;
    asking->is_out_of_memory = true;
    return false;
}

/* Gather the names that meet the pattern; false where a grant that can say gives none. */
static bool meets_name(struct asking *asking, struct who_grant *found)
{
    const struct policy_given *given = &found->given;

    if (asking->question->name.len == 0)
        return true;
    if (given->is_everything) {
        found->is_certain = false;
        return true;
    }
    found->met = arena_alloc_array(asking->arena, given->name_count + 1, sizeof(*found->met));
    for (size_t i = 0; found->met != NULL && i < given->name_count; i++) {
        struct pattern name;
        const char *problem = NULL;

        /* A name that is no pattern is of a grant that cannot say. */
        if (!pattern_compile(given->names[i], asking->pattern.matching, asking->arena, &name,
                             &problem))
            found->is_certain = false;
        else if (!pattern_meets(&name, &asking->pattern))
            continue;
        found->met[found->met_count++] = given->names[i];
    }
    asking->is_out_of_memory |= found->met == NULL;
    return found->met_count > 0;
}

/* An account that a grant of a kind with accounts does not say may be any. */
static bool meets_account(const struct asking *asking, struct who_grant *found)
{
    struct str account = asking->question->account;

    if (account.len == 0 || str_eq(account, found->given.account))
        return true;
    if (found->grant->kind->gives != NULL)
        return false;
    found->is_certain = false;
    return true;
}

static bool meets_target(const struct asking *asking, const struct policy_grant *grant)
{
    struct str wanted = asking->question->target;

    return wanted.len == 0 || (grant->target != NULL && str_eq(wanted, grant->target->name));
}

static bool try_grant(struct asking *asking, const struct policy_grant *grant,
                      struct who_grant *found)
{
    const struct who_question *question = asking->question;

    *found = (struct who_grant){ .grant = grant, .is_certain = true };
    found->is_over = question->has_time && grant->until_s != 0 && question->at_s >= grant->until_s;
    if (question->kind != NULL &&
        !str_eq(str_from(question->kind->name), str_from(grant->kind->name)))
        return false;
    return meets_target(asking, grant) && read_given(asking, grant, &found->given) &&
           meets_account(asking, found) && meets_name(asking, found);
}

/* ---- what closes a stage ---- */

static void add_closed(struct who_stage *found, struct str name)
{
    if (found->closed_count < WHO_CLOSED_MAX)
        found->closed[found->closed_count++] = name;
}

static bool is_frozen(const struct policy_rail *rail, int64_t at_s)
{
    const struct policy_guardrail *guardrail = rail->guardrail;

    return guardrail->kind == POLICY_GUARDRAIL_FREEZE && at_s >= guardrail->freeze.from_s &&
           at_s < guardrail->freeze.to_s;
}

static bool is_overdue(const struct policy_rail *rail, const struct policy_stage *stage,
                       int64_t at_s)
{
    return rail->guardrail->kind == POLICY_GUARDRAIL_REQUIRE &&
           policy_review_is_over(&rail->guardrail->require, stage, at_s);
}

static void find_closing(const struct asking *asking, const struct policy_linked *linked,
                         const struct policy_stage_rule *rule, struct who_stage *found)
{
    const struct policy_rails *rails = policy_rails_of(linked, rule);
    int64_t at_s = asking->question->at_s;

    if (!asking->question->has_time)
        return;
    if (rule->shown.until_s != 0 && at_s >= rule->shown.until_s)
        add_closed(found, STR("until"));
    if (!policy_during_holds(rule, at_s))
        add_closed(found, STR("during"));
    for (size_t i = 0; rails != NULL && i < rails->count; i++) {
        const struct policy_rail *rail = &rails->list[i];

        if (rail->guardrail->is_warning || policy_rail_is_exempt(rail, at_s))
            continue;
        if (is_frozen(rail, at_s))
            add_closed(found, rail->guardrail->name);
        if (is_overdue(rail, &rule->shown, at_s))
            add_closed(found, STR("review_by"));
    }
}

/* ---- exceptions ---- */

static bool is_of(const struct policy_exception *exception, const struct policy_stage *stage)
{
    return str_eq(exception->stage, stage->name) && str_eq(exception->pipeline, stage->pipeline);
}

static void find_exceptions(struct asking *asking, struct who_stage *found)
{
    const struct policy *policy = asking->policy;
    size_t count = 0;

    for (size_t i = 0; i < policy->exception_count; i++)
        count += is_of(&policy->exceptions[i], found->stage);
    if (count == 0)
        return;
    found->exceptions =
        arena_alloc_array(asking->arena, count, sizeof(const struct policy_exception *));
    asking->is_out_of_memory |= found->exceptions == NULL;
    for (size_t i = 0; found->exceptions != NULL && i < policy->exception_count; i++)
        if (is_of(&policy->exceptions[i], found->stage))
            found->exceptions[found->exception_count++] = &policy->exceptions[i];
}

/* ---- stages ---- */

static void find_grants(struct asking *asking, struct who_stage *found)
{
    const struct policy_stage *stage = found->stage;

    found->grants =
        arena_alloc_array(asking->arena, stage->grant_count + 1, sizeof(*found->grants));
    asking->is_out_of_memory |= found->grants == NULL;
    for (size_t i = 0; found->grants != NULL && i < stage->grant_count; i++) {
        struct who_grant *grant = &found->grants[found->grant_count];

        if (!try_grant(asking, &stage->grants[i], grant))
            continue;
        found->grant_count++;
        found->is_certain |= grant->is_certain;
    }
}

static bool try_stage(struct asking *asking, const struct policy_linked *linked,
                      const struct policy_stage_rule *rule, struct who_stage *found)
{
    const struct who_question *question = asking->question;

    *found = (struct who_stage){ .stage = &rule->shown };
    if (question->environment.len > 0 && !str_eq(question->environment, rule->shown.environment))
        return false;
    find_grants(asking, found);
    if (found->grant_count == 0 && asks_for_grant(question))
        return false;
    found->is_certain |= !asks_for_grant(question);
    find_closing(asking, linked, rule, found);
    find_exceptions(asking, found);
    return true;
}

static bool compile_name(struct asking *asking, struct error *error)
{
    const struct who_question *question = asking->question;
    const char *problem = NULL;

    if (question->name.len == 0 || pattern_compile(question->name, question->kind->matching,
                                                   asking->arena, &asking->pattern, &problem))
        return true;
    if (problem == NULL)
        return error_set(error, ERROR_MEMORY, "asking who can");
    return error_set(error, ERROR_USAGE, "'" STR_FMT "': %s",
                     STR_ARG(str_slice(question->name, 0, 60)), problem);
}

static bool is_of_issuer(const struct policy_pipeline *pipeline, struct str issuer)
{
    for (size_t i = 0; i < pipeline->identity.count; i++)
        if (policy_identity_is_of(&pipeline->identity_maps[i], issuer))
            return true;
    return false;
}

static bool meets_pipeline(const struct asking *asking, const struct policy_pipeline *pipeline)
{
    const struct who_question *question = asking->question;

    return (question->pipeline.len == 0 || str_eq(question->pipeline, pipeline->name)) &&
           (question->issuer.len == 0 || is_of_issuer(pipeline, question->issuer));
}

bool policy_who_can(const struct policy *policy, const struct who_question *question,
                    struct arena *arena, struct who_stage **stages, size_t *count,
                    struct error *error)
{
    struct asking asking = { .policy = policy, .question = question, .arena = arena };
    struct who_stage *list = arena_alloc_array(arena, policy->stage_count + 1, sizeof(*list));
    size_t found = 0;

    if (list == NULL)
        return error_set(error, ERROR_MEMORY, "asking who can");
    if (!compile_name(&asking, error))
        return false;
    for (size_t i = 0; i < policy->pipeline_count; i++) {
        const struct policy_linked *linked = &policy->pipelines[i];

        if (!meets_pipeline(&asking, linked->pipeline))
            continue;
        for (size_t k = 0; k < linked->pipeline->stage_count; k++)
            found += try_stage(&asking, linked, &linked->pipeline->stages[k], &list[found]);
    }
    if (asking.is_out_of_memory)
        return error_set(error, ERROR_MEMORY, "asking who can");
    *stages = list;
    *count = found;
    return true;
}
