#include <stdio.h>

#include "policy/policy_rails.h"

/*
 * What no broker of this version issues, where a catalog lets it be: one warning a kind of grants,
 * at the first of them. A warning each would bury all others.
 */

#define KINDS_MAX 32

/* The grants of a kind. */
struct tally {
    size_t count;
    struct position first;
};

struct tallies {
    struct tally kinds[KINDS_MAX];
};

static size_t index_of(const struct policy_world *world, const struct policy_grant_kind *kind)
{
    size_t index = 0;

    while (index < world->kind_count && world->kinds[index] != kind)
        index++;
    return index;
}

static void count(struct tally *tally, struct position at)
{
    if (tally->count == 0)
        tally->first = at;
    tally->count++;
}

static void count_stage(const struct policy_world *world, const struct policy_stage_rule *stage,
                        struct tallies *tallies)
{
    for (size_t i = 0; i < stage->shown.grant_count; i++) {
        const struct policy_grant_kind *kind = stage->shown.grants[i].kind;
        size_t index = kind->is_planned ? index_of(world, kind) : KINDS_MAX;

        if (index < KINDS_MAX)
            count(&tallies->kinds[index], policy_grant_position(stage, i));
    }
}

/* What is warned of, and by which rule. */
struct warning {
    const char *rule;
    const char *verb;
    const char *what;
};

static void warn(const struct policy *policy, struct diagnostics *diagnostics,
                 const struct warning *warning, const struct tally *tally)
{
    char others[64] = "";

    if (tally->count == 0)
        return;
    if (tally->count > 1)
        (void)snprintf(others, sizeof(others), ", and %zu more", tally->count - 1);
    (void)policy_say(policy, diagnostics, DIAGNOSTIC_WARNING, tally->first,
                     STR("it is checked here all the same"),
                     "no broker of this version %s '%s': it refuses to load this%s", warning->verb,
                     warning->what, others);
    diagnostics_name(diagnostics, warning->rule);
}

void policy_planned_warn(const struct policy *policy, const struct policy_load_options *options)
{
    const struct policy_world *world = options->world;
    struct tallies tallies = { 0 };

    if (!world->is_catalog)
        return; /* there is none */
    for (size_t i = 0; i < policy->pipeline_count; i++)
        for (size_t k = 0; k < policy->pipelines[i].pipeline->stage_count; k++)
            count_stage(world, &policy->pipelines[i].pipeline->stages[k], &tallies);
    for (size_t i = 0; i < world->kind_count && i < KINDS_MAX; i++) {
        const struct warning warning = { "planned-kind", "issues", world->kinds[i]->name };

        warn(policy, options->diagnostics, &warning, &tallies.kinds[i]);
    }
}
