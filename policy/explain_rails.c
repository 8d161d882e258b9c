#include "base/time_text.h"
#include "policy/explain_internal.h"
#include "policy/pattern.h"
#include "policy/policy_rails.h"

/*
 * Guardrails in a tree: what each asks of the stage at hand, and whether it lets the job through.
 * A condition that one requires stands under its own name, all else under the guardrail's, as in a
 * denial.
 */

#define TITLE "guardrail"

/* ---- what a clause of a guardrail has in common ---- */

/* One that only warns is no reason of a denial, whatever came. */
static void mark(struct explain_clause *clause, const struct policy_guardrail *guardrail)
{
    clause->name = guardrail->name;
    clause->is_warning = guardrail->is_warning;
    for (size_t i = 0; guardrail->is_warning && i < clause->count; i++)
        for (size_t k = 0; k < clause->maps[i].count; k++)
            clause->maps[i].leaves[k].is_named = false;
}

static void mark_last(struct explain_planter *planter, const struct policy_guardrail *guardrail)
{
    mark(&planter->clauses[planter->count - 1], guardrail);
}

/* A leaf of a guardrail by its own name. */
static void add(struct explain_planter *planter, const struct policy_guardrail *guardrail,
                struct explain_leaf leaf, bool holds)
{
    leaf.name = guardrail->name;
    leaf.at = guardrail->at;
    leaf.outcome = holds ? EXPLAIN_HOLDS : EXPLAIN_FAILS;
    explain_tree_leaf(planter, leaf);
}

/* ---- require ---- */

static void add_demands(struct explain_planter *planter, const struct policy_guardrail *guardrail)
{
    for (size_t i = 0; i < policy_demand_count; i++) {
        const struct policy_demand *demand = &policy_demands[i];
        OWNED(buf_release) struct buf expected = { 0 };
        struct explain_leaf leaf = { .why = STR_INIT("the stage does not ask for it") };

        if (demand->hold(&guardrail->require, planter->stage) == POLICY_DEMAND_MET)
            continue;
        buf_init(&expected, EXPLAIN_TEXT_MAX);
        demand->describe(&guardrail->require, &expected);
        leaf.expected = explain_tree_keep(planter, &expected);
        add(planter, guardrail, leaf, false);
    }
}

static void add_review(struct explain_planter *planter, const struct policy_guardrail *guardrail)
{
    const struct policy_stage *stage = &planter->stage->shown;
    int64_t last_s = stage->review_by_s + guardrail->require.review_grace_s;
    struct explain_leaf leaf = { 0 };

    if (!guardrail->require.has_review || stage->review_by_s == 0)
        return;
    leaf.expected = arena_printf(planter->job->arena, "a review before " STR_FMT,
                                 STR_ARG(explain_tree_time(planter, last_s)));
    leaf.got = explain_tree_time(planter, planter->job->now_s);
    add(planter, guardrail, leaf,
        !policy_review_is_over(&guardrail->require, stage, planter->job->now_s));
}

static void add_proof(struct explain_planter *planter, const struct policy_guardrail *guardrail)
{
    unsigned wanted = guardrail->require.proofs;
    unsigned came = planter->job->facts->proofs;
    struct explain_leaf leaf = { 0 };

    if (wanted == 0)
        return;
    leaf.expected = arena_printf(planter->job->arena, "proof: " STR_FMT,
                                 STR_ARG(explain_stage_proofs(planter, wanted)));
    leaf.got = came == 0 ? STR("") : explain_stage_proofs(planter, came);
    leaf.why = came == 0 ? STR("none came along") : STR("");
    add(planter, guardrail, leaf, (wanted & came) != 0);
}

static void add_from(struct explain_planter *planter, const struct policy_guardrail *guardrail)
{
    const struct policy_networks *from = &guardrail->require.from;
    OWNED(buf_release) struct buf expected = { 0 };
    struct explain_leaf leaf = { 0 };

    if (from->count == 0)
        return;
    buf_init(&expected, EXPLAIN_TEXT_MAX);
    buf_add_text(&expected, "from: ");
    policy_networks_describe(from->list, from->count, EXPLAIN_EXPECTED_VALUES_MAX, &expected);
    leaf.expected = explain_tree_keep(planter, &expected);
    explain_tree_see_address(planter, &leaf);
    add(planter, guardrail, leaf, policy_networks_hold(from, planter->job->facts->address));
}

static void plant_require(struct explain_planter *planter, const struct policy_guardrail *guardrail)
{
    const struct policy_require_rule *rule = &guardrail->require;
    struct explain_clause *conditions =
        explain_tree_when(planter, TITLE, &rule->when, guardrail->at.file);
    const struct explain_clause *rest;

    if (conditions != NULL)
        mark(conditions, guardrail);
    rest = explain_tree_list(planter, TITLE, policy_demand_count + 3);
    if (rest == NULL)
        return;
    add_demands(planter, guardrail);
    add_review(planter, guardrail);
    add_proof(planter, guardrail);
    add_from(planter, guardrail);
    if (rest->maps[0].count > 0)
        mark_last(planter, guardrail);
    else
        planter->count--;
}

/* ---- freeze ---- */

static void plant_freeze(struct explain_planter *planter, const struct policy_guardrail *guardrail)
{
    const struct policy_freeze_rule *freeze = &guardrail->freeze;
    int64_t now_s = planter->job->now_s;
    struct explain_leaf leaf = { .got = explain_tree_time(planter, now_s) };

    if (explain_tree_list(planter, TITLE, 1) == NULL)
        return;
    leaf.expected = arena_printf(planter->job->arena, "before " STR_FMT ", or from " STR_FMT " on",
                                 STR_ARG(explain_tree_time(planter, freeze->from_s)),
                                 STR_ARG(explain_tree_time(planter, freeze->to_s)));
    add(planter, guardrail, leaf, now_s < freeze->from_s || now_s >= freeze->to_s);
    mark_last(planter, guardrail);
}

static void plant_exemption(struct explain_planter *planter, const struct policy_rail *rail)
{
    struct explain_leaf leaf = { .got = explain_tree_time(planter, planter->job->now_s) };

    if (explain_tree_list(planter, TITLE, 1) == NULL)
        return;
    leaf.expected = arena_printf(planter->job->arena, "an exception until " STR_FMT,
                                 STR_ARG(explain_tree_time(planter, rail->exempt_until_s)));
    add(planter, rail->guardrail, leaf, true);
    mark_last(planter, rail->guardrail);
}

void explain_rails_plant(struct explain_planter *planter)
{
    const struct policy_rails *rails = policy_rails_of(planter->linked, planter->stage);

    for (size_t i = 0; rails != NULL && i < rails->count; i++) {
        const struct policy_rail *rail = &rails->list[i];

        if (policy_rail_is_exempt(rail, planter->job->now_s))
            plant_exemption(planter, rail);
        else if (rail->guardrail->kind == POLICY_GUARDRAIL_REQUIRE)
            plant_require(planter, rail->guardrail);
        else if (rail->guardrail->kind == POLICY_GUARDRAIL_FREEZE)
            plant_freeze(planter, rail->guardrail);
    }
}

/* ---- what is given ---- */

static void describe_ttl(struct explain_planter *planter, const struct policy_guardrail *guardrail,
                         struct buf *out)
{
    const struct policy_stage *stage = &planter->stage->shown;
    char text[DURATION_TEXT_MAX];

    duration_text(guardrail->ttl.max_s[stage->kind], text);
    buf_printf(out, "credentials of at most %s for %s", text, policy_stage_kind_name(stage->kind));
}

/* One of a list, of which a few are shown. */
static void describe_pattern(const struct policy_forbidden *forbidden, size_t index, size_t shown,
                             struct buf *out)
{
    if (shown == EXPLAIN_EXPECTED_VALUES_MAX) {
        buf_add_text(out, " ...");
        return;
    }
    buf_printf(out, "%s %s ", shown > 0 ? "," : "", forbidden->kind->name);
    buf_add(out, forbidden->patterns[index].text);
}

static void describe_forbid(struct explain_planter *planter,
                            const struct policy_guardrail *guardrail, struct buf *out)
{
    size_t shown = 0;

    (void)planter;
    buf_add_text(out, "nothing of");
    for (size_t i = 0; i < guardrail->forbid.kind_count; i++) {
        const struct policy_forbidden *forbidden = &guardrail->forbid.kinds[i];

        for (size_t k = 0; k < forbidden->count && shown <= EXPLAIN_EXPECTED_VALUES_MAX; k++)
            describe_pattern(forbidden, k, shown++, out);
    }
}

static void describe_separate(struct explain_planter *planter,
                              const struct policy_guardrail *guardrail, struct buf *out)
{
    (void)planter;
    buf_add_text(out, guardrail->separate.principals
                          ? "principals and accounts of its own environment and side"
                          : "a token that fits no stage of the other side");
}

static const struct judged {
    enum policy_guardrail_kind kind;
    void (*describe)(struct explain_planter *planter, const struct policy_guardrail *guardrail,
                     struct buf *out);
} judged_kinds[] = {
    { POLICY_GUARDRAIL_TTL, describe_ttl },
    { POLICY_GUARDRAIL_FORBID, describe_forbid },
    { POLICY_GUARDRAIL_SEPARATE, describe_separate },
};

static const struct judged *judged_of(const struct policy_guardrail *guardrail)
{
    for (size_t i = 0; i < COUNT(judged_kinds); i++)
        if (judged_kinds[i].kind == guardrail->kind)
            return &judged_kinds[i];
    return NULL;
}

static bool is_among(const struct str *names, size_t count, struct str name)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq(names[i], name))
            return true;
    return false;
}

static void plant_judged(struct explain_planter *planter, const struct policy_guardrail *guardrail,
                         bool holds)
{
    OWNED(buf_release) struct buf expected = { 0 };
    struct explain_leaf leaf = { 0 };

    if (explain_tree_list(planter, TITLE, 1) == NULL)
        return;
    buf_init(&expected, EXPLAIN_TEXT_MAX);
    judged_of(guardrail)->describe(planter, guardrail, &expected);
    leaf.expected = explain_tree_keep(planter, &expected);
    add(planter, guardrail, leaf, holds);
    mark_last(planter, guardrail);
}

/* Whether deciding came as far as to hold what is given against guardrails. */
static bool was_judged(const struct policy_rails *rails, const struct policy_decision *decision,
                       bool is_allowed)
{
    bool was = is_allowed;

    for (size_t i = 0; i < rails->count; i++)
        was |= judged_of(rails->list[i].guardrail) != NULL &&
               is_among(decision->failed, decision->failed_count, rails->list[i].guardrail->name);
    return was;
}

void explain_rails_judge(struct explain_planter *planter, const struct policy_decision *decision,
                         bool is_allowed)
{
    const struct policy_rails *rails = policy_rails_of(planter->linked, planter->stage);

    if (rails == NULL || !was_judged(rails, decision, is_allowed))
        return;
    for (size_t i = 0; i < rails->count; i++) {
        const struct policy_guardrail *guardrail = rails->list[i].guardrail;

        if (judged_of(guardrail) == NULL ||
            policy_rail_is_exempt(&rails->list[i], planter->job->now_s))
            continue;
        plant_judged(planter, guardrail,
                     !is_among(decision->failed, decision->failed_count, guardrail->name) &&
                         !is_among(decision->warned, decision->warned_count, guardrail->name));
    }
}
