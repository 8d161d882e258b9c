#include <stdlib.h>

#include "base/time_zone.h"
#include "policy/explain_internal.h"

#define DAY_S ((int64_t)86400)
#define EPOCH_WEEKDAY 3 /* 1970-01-01 was a Thursday */

/* ---- the identity ---- */

static void fill_issuer(struct explain_planter *planter, const struct policy_identity_map *map,
                        struct explain_leaf *leaf)
{
    OWNED(buf_release) struct buf expected = { 0 };

    buf_init(&expected, EXPLAIN_TEXT_MAX);
    buf_add_text(&expected, map->issuer_count > 1 ? "one of " : "");
    for (size_t i = 0; i < map->issuer_count; i++) {
        buf_add_text(&expected, i > 0 ? ", " : "");
        policy_value_describe(map->issuers[i]->name, &expected);
    }
    leaf->name = STR("issuer");
    leaf->expected = explain_tree_keep(planter, &expected);
    leaf->got = planter->job->facts->issuer;
    leaf->is_good = policy_identity_is_of(map, planter->job->facts->issuer);
    leaf->outcome = leaf->is_good ? EXPLAIN_HOLDS : EXPLAIN_FAILS;
}

/* Another issuer's claims say nothing here: of such a map the issuer is all that is looked at. */
static void fill_identity(struct explain_planter *planter, size_t index, struct explain_map *out)
{
    const struct policy_pipeline *pipeline = planter->linked->pipeline;
    const struct policy_map *map = &pipeline->identity.maps[index];
    struct explain_map rest = { 0 };
    struct explain_leaf *leaves =
        arena_alloc_array(planter->job->arena, map->count + 1, sizeof(*leaves));

    planter->is_out_of_memory |= leaves == NULL;
    if (leaves == NULL)
        return;
    fill_issuer(planter, &pipeline->identity_maps[index], &leaves[0]);
    leaves[0].at = pipeline->at;
    if (leaves[0].is_good)
        explain_tree_map(planter, map, pipeline->file, &rest);
    for (size_t i = 0; i < rest.count; i++)
        leaves[1 + i] = rest.leaves[i];
    out->leaves = leaves;
    out->count = 1 + rest.count;
    out->is_good = leaves[0].is_good && rest.is_good;
}

static void plant_identity(struct explain_planter *planter)
{
    size_t count = planter->linked->pipeline->identity.count;
    struct explain_clause *clause = explain_tree_clause(planter, "identity", count);

    if (clause == NULL)
        return;
    clause->is_good = false;
    for (size_t i = 0; i < count; i++) {
        fill_identity(planter, i, &clause->maps[i]);
        clause->is_good |= clause->maps[i].is_good;
    }
    explain_tree_name(clause);
}

/* ---- what is no condition on claims ---- */

static void plant_danger(struct explain_planter *planter, const struct claim_danger *danger)
{
    struct policy_facts facts = *planter->job->facts;
    struct policy_failures ignored = { .count = 0 };
    struct explain_leaf leaf = { .at = policy_stage_position(planter->stage) };
    bool is_of_claim = danger->claim != NULL;

    facts.dangers = &danger;
    facts.danger_count = 1;
    leaf.name = str_from(is_of_claim ? danger->claim : danger->fact);
    leaf.got = str_from(is_of_claim ? danger->value : danger->fact_value);
    leaf.expected = STR("named by its exact value");
    leaf.outcome =
        policy_dangers_are_named(planter->stage, &facts, &ignored) ? EXPLAIN_HOLDS : EXPLAIN_FAILS;
    explain_tree_leaf(planter, leaf);
}

static void plant_dangers(struct explain_planter *planter)
{
    size_t count = planter->job->facts->danger_count;

    if (count == 0 || explain_tree_list(planter, "dangerous trigger", count) == NULL)
        return;
    for (size_t i = 0; i < count; i++)
        plant_danger(planter, planter->job->facts->dangers[i]);
}

struct str explain_stage_proofs(struct explain_planter *planter, unsigned proofs)
{
    static const enum policy_proof all[] = { POLICY_PROOF_DPOP, POLICY_PROOF_MTLS,
                                             POLICY_PROOF_KEY };
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, 128);
    if ((proofs & (proofs - 1)) != 0)
        buf_add_text(&text, "one of ");
    for (size_t i = 0; i < COUNT(all); i++)
        if ((proofs & all[i]) != 0)
            buf_printf(&text, "%s%s", policy_proof_name(all[i]),
                       (proofs & ~(2 * all[i] - 1)) != 0 ? ", " : "");
    return explain_tree_keep(planter, &text);
}

static struct explain_leaf word_leaf(const struct explain_planter *planter,
                                     enum policy_stage_word word, struct str name)
{
    const struct policy_stage_rule *stage = planter->stage;

    return (struct explain_leaf){
        .name = name,
        .at = policy_spot_position(stage->words[word], stage->pipeline->file, stage),
    };
}

static void plant_proof(struct explain_planter *planter)
{
    unsigned wanted = planter->stage->proofs;
    unsigned came = planter->job->facts->proofs;
    struct explain_leaf leaf = word_leaf(planter, POLICY_WORD_PROOF, STR("proof"));

    if (wanted == 0)
        return;
    leaf.expected = explain_stage_proofs(planter, wanted);
    leaf.got = came != 0 ? explain_stage_proofs(planter, came) : STR("");
    leaf.why = came == 0 ? STR("none came along") : STR("");
    leaf.outcome = (wanted & came) != 0 ? EXPLAIN_HOLDS : EXPLAIN_FAILS;
    explain_tree_leaf(planter, leaf);
}

static void plant_from(struct explain_planter *planter)
{
    const struct policy_networks *from = &planter->stage->from;
    struct explain_leaf leaf = word_leaf(planter, POLICY_WORD_FROM, STR("from"));
    OWNED(buf_release) struct buf expected = { 0 };

    if (from->count == 0)
        return;
    buf_init(&expected, EXPLAIN_TEXT_MAX);
    policy_networks_describe(from->list, from->count, EXPLAIN_EXPECTED_VALUES_MAX, &expected);
    leaf.expected = explain_tree_keep(planter, &expected);
    explain_tree_see_address(planter, &leaf);
    leaf.outcome =
        policy_networks_hold(from, planter->job->facts->address) ? EXPLAIN_HOLDS : EXPLAIN_FAILS;
    explain_tree_leaf(planter, leaf);
}

/* "Sun 11:00 Europe/Berlin": what the clocks of the first window show. */
static struct str local_time(struct explain_planter *planter)
{
    static const char *const days[] = { "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun" };
    const struct time_zone *zone = planter->stage->during[0].zone;
    int64_t now_s = planter->job->now_s;
    int64_t local_s;

    if (now_s < 0)
        return explain_tree_time(planter, now_s);
    local_s = now_s + time_zone_offset_s(zone, now_s) + 7 * DAY_S; /* never negative */
    return arena_printf(planter->job->arena, "%s %02d:%02d " STR_FMT,
                        days[(local_s / DAY_S + EPOCH_WEEKDAY) % 7], (int)(local_s % DAY_S / 3600),
                        (int)(local_s % 3600 / 60), STR_ARG(time_zone_name(zone)));
}

static void plant_during(struct explain_planter *planter)
{
    const struct policy_stage_rule *stage = planter->stage;
    struct explain_leaf leaf = word_leaf(planter, POLICY_WORD_DURING, STR("during"));
    OWNED(buf_release) struct buf expected = { 0 };

    if (stage->during_count == 0)
        return;
    buf_init(&expected, EXPLAIN_TEXT_MAX);
    for (size_t i = 0; i < stage->during_count; i++) {
        buf_add_text(&expected, i > 0 ? ", or " : "");
        policy_window_describe(&stage->during[i], &expected);
    }
    leaf.expected = explain_tree_keep(planter, &expected);
    leaf.got = local_time(planter);
    leaf.outcome = policy_during_holds(stage, planter->job->now_s) ? EXPLAIN_HOLDS : EXPLAIN_FAILS;
    explain_tree_leaf(planter, leaf);
}

static void plant_until(struct explain_planter *planter)
{
    const struct policy_stage *stage = &planter->stage->shown;
    struct explain_leaf leaf = word_leaf(planter, POLICY_WORD_UNTIL, STR("until"));

    if (stage->until_s == 0)
        return;
    leaf.expected = arena_printf(planter->job->arena, "before " STR_FMT,
                                 STR_ARG(explain_tree_time(planter, stage->until_s)));
    leaf.got = explain_tree_time(planter, planter->job->now_s);
    leaf.outcome =
        policy_is_over(stage->until_s, planter->job->now_s) ? EXPLAIN_FAILS : EXPLAIN_HOLDS;
    explain_tree_leaf(planter, leaf);
}

/* What a stage asks for besides conditions on claims. */
static void (*const words[])(struct explain_planter *planter) = {
    plant_proof,
    plant_from,
    plant_during,
    plant_until,
};

static void plant_words(struct explain_planter *planter)
{
    struct explain_clause *clause = explain_tree_list(planter, "request", COUNT(words));

    if (clause == NULL)
        return;
    clause->is_words = true;
    for (size_t i = 0; i < COUNT(words); i++)
        words[i](planter);
    if (clause->maps[0].count == 0)
        planter->count--;
}

/* ---- a subject ---- */

static int compare_names(const void *a, const void *b)
{
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

static void plant_stage(struct explain_planter *planter)
{
    const struct policy_stage_rule *stage = planter->stage;
    struct str file = stage->pipeline->file;

    (void)explain_tree_when(planter, "when of the pipeline", &stage->pipeline->when, file);
    explain_tree_unless(planter, "unless of the pipeline", &stage->pipeline->unless, file);
    (void)explain_tree_when(planter, "when", &stage->when, file);
    explain_tree_unless(planter, "unless", &stage->unless, file);
    plant_dangers(planter);
    plant_words(planter);
    explain_rails_plant(planter);
}

/* What deciding itself says of the stage: nothing else opens it. */
static void judge(struct explain_planter *planter, struct explain_subject *subject)
{
    bool fits = policy_identity_held(planter->linked->pipeline, planter->job->facts) != NULL;
    struct policy_failures *failures = arena_alloc(planter->job->arena, sizeof(*failures));

    planter->is_out_of_memory |= failures == NULL;
    if (failures == NULL || planter->stage == NULL)
        return;
    subject->is_open = policy_stage_holds(planter->linked, planter->stage, planter->job->facts,
                                          planter->job->now_s, failures) &&
                       fits;
    if (failures->count > 0)
        qsort(failures->names, failures->count, sizeof(failures->names[0]), compare_names);
    subject->failed = failures->names;
    subject->failed_count = failures->count;
}

/* What a name is in a tree. */
enum standing {
    STANDS_NOWHERE,
    STANDS_GOOD,  /* as a condition that lets the job through */
    STANDS_NAMED, /* as a reason */
};

static enum standing standing_in(const struct explain_map *map, struct str name)
{
    enum standing standing = STANDS_NOWHERE;

    for (size_t i = 0; i < map->count && standing != STANDS_NAMED; i++)
        if (str_eq(map->leaves[i].name, name))
            standing = map->leaves[i].is_named ? STANDS_NAMED : STANDS_GOOD;
    return standing;
}

static enum standing standing_of(const struct explain_subject *subject, struct str name)
{
    enum standing standing = STANDS_NOWHERE;

    for (size_t i = 0; i < subject->clause_count; i++) {
        const struct explain_clause *clause = &subject->clauses[i];

        for (size_t k = 0; k < clause->count; k++) {
            enum standing one = standing_in(&clause->maps[k], name);

            standing = one > standing ? one : standing;
        }
    }
    return standing;
}

/*
 * Why a name that no leaf is a reason by is one all the same: a grant's own `until`, or a condition
 * that holds, but remembers what may not fill a hole.
 */
static struct str reason_of(enum standing standing, struct str name)
{
    if (str_eq(name, STR("until")))
        return STR("what was asked for is over: a grant has an 'until' of its own");
    return standing == STANDS_GOOD ? STR("its value may not stand in a grant: that takes 1 to 64 "
                                         "of A-Z a-z 0-9 . _ -, a letter or digit first")
                                   : STR("does not hold");
}

/* Add a clause with those of the names that are nowhere a reason. */
static void plant_besides(struct explain_planter *planter, const struct str *failed, size_t count,
                          const struct explain_subject *subject)
{
    bool is_there = false;

    for (size_t i = 0; i < count; i++) {
        enum standing standing = standing_of(subject, failed[i]);

        if (standing == STANDS_NAMED)
            continue;
        if (!is_there && explain_tree_list(planter, "besides", count) == NULL)
            return;
        is_there = true;
        explain_tree_leaf(planter, (struct explain_leaf){ .name = failed[i],
                                                          .why = reason_of(standing, failed[i]) });
    }
}

/* Take over what has grown. */
static bool harvest(const struct explain_planter *planter, struct explain_subject *subject)
{
    subject->clauses = planter->clauses;
    subject->clause_count = planter->count;
    return !planter->is_out_of_memory;
}

bool explain_stage_make(const struct explain_job *job, const struct policy_linked *linked,
                        const struct policy_stage_rule *stage, struct explain_subject *subject)
{
    struct explain_planter planter = { .job = job, .linked = linked, .stage = stage };

    *subject = (struct explain_subject){
        .stage = stage == NULL ? NULL : &stage->shown,
        .pipeline = linked->pipeline->name,
        .owner = linked->pipeline->owner,
        .at = stage == NULL ? linked->pipeline->at : policy_stage_position(stage),
    };
    plant_identity(&planter);
    if (stage != NULL)
        plant_stage(&planter);
    judge(&planter, subject);
    if (!harvest(&planter, subject))
        return false;
    plant_besides(&planter, subject->failed, subject->failed_count, subject);
    return harvest(&planter, subject);
}

bool explain_stage_complete(const struct explain_job *job, const struct policy_linked *linked,
                            const struct explanation *explanation, struct explain_subject *subject)
{
    const struct policy_decision *decision = explanation->decision;
    struct explain_planter planter = { .job = job,
                                       .linked = linked,
                                       .stage = policy_rule_of(decision->stage),
                                       .clauses = subject->clauses,
                                       .count = subject->clause_count,
                                       .max = subject->clause_count };

    explain_rails_judge(&planter, decision, explanation->is_allowed);
    if (!harvest(&planter, subject))
        return false;
    plant_besides(&planter, decision->failed, decision->failed_count, subject);
    return harvest(&planter, subject);
}
