#include <stdlib.h>

#include "policy/explain_internal.h"
#include "policy/policy_internal.h"

/*
 * What tests look at. A condition is looked at when it has both let a job through that was allowed,
 * and been a reason to deny one: a test of either kind would have come out otherwise without it. A
 * grant, when it was given.
 */

#define GRANT_CLAUSE "grant"

/* What gathering items works with. */
struct gathering {
    struct policy_coverage *coverage;
    struct arena *arena;
    const struct policy_stage_rule *stage; /* NULL: of the whole pipeline */
    size_t max;
};

static bool add(struct gathering *gathering, const char *clause, struct str name,
                struct position at)
{
    struct policy_coverage *coverage = gathering->coverage;

    if (coverage->count == gathering->max) {
        size_t max = gathering->max * 2 + 32;
        struct policy_covered *larger = arena_alloc_array(gathering->arena, max, sizeof(*larger));

        if (larger == NULL)
            return false;
        for (size_t i = 0; i < coverage->count; i++)
            larger[i] = coverage->items[i];
        coverage->items = larger;
        gathering->max = max;
    }
    coverage->items[coverage->count++] = (struct policy_covered){
        .at = at,
        .stage = gathering->stage == NULL ? STR("") : gathering->stage->shown.name,
        .clause = clause,
        .name = name,
    };
    return true;
}

static bool add_clause(struct gathering *gathering, const char *title,
                       const struct policy_clause *clause, struct str file)
{
    for (size_t i = 0; i < clause->count; i++)
        for (size_t k = 0; k < clause->maps[i].count; k++) {
            const struct policy_condition *condition = &clause->maps[i].conditions[k];

            if (!add(gathering, title, condition->name,
                     policy_spot_position(condition->spot, file, gathering->stage)))
                return false;
        }
    return true;
}

/* Words such as `proof`: as an explanation has them, whoever asks. */
static bool add_words(struct gathering *gathering, const struct policy *policy,
                      const struct policy_linked *linked)
{
    static const struct policy_facts nobody = { .issuer = { "", 0 } };
    const struct explain_job job = { policy, &nobody, 0, gathering->arena };
    struct explain_subject subject;

    if (!explain_stage_make(&job, linked, gathering->stage, &subject))
        return false;
    for (size_t i = 0; i < subject.clause_count; i++)
        for (size_t k = 0; subject.clauses[i].is_words && k < subject.clauses[i].maps[0].count;
             k++) {
            const struct explain_leaf *leaf = &subject.clauses[i].maps[0].leaves[k];

            if (!add(gathering, subject.clauses[i].title, leaf->name, leaf->at))
                return false;
            gathering->coverage->items[gathering->coverage->count - 1].is_word = true;
        }
    return true;
}

static bool add_grants(struct gathering *gathering)
{
    const struct policy_stage_rule *stage = gathering->stage;

    for (size_t i = 0; i < stage->shown.grant_count; i++)
        if (!add(gathering, GRANT_CLAUSE, stage->shown.grants[i].name,
                 policy_spot_position(stage->spots[i], stage->pipeline->file, stage)))
            return false;
    return true;
}

/* ---- one of each ---- */

static int compare_items(const void *a, const void *b)
{
    const struct policy_covered *left = a;
    const struct policy_covered *right = b;
    int order = str_compare(left->at.file, right->at.file);

    if (order != 0)
        return order;
    if (left->at.line != right->at.line)
        return left->at.line < right->at.line ? -1 : 1;
    if (left->at.column != right->at.column)
        return left->at.column < right->at.column ? -1 : 1;
    return str_compare(left->name, right->name);
}

/* A line of a template that several stages use is one. */
static void sort(struct policy_coverage *coverage)
{
    size_t unique = 0;

    if (coverage->count > 0)
        qsort(coverage->items, coverage->count, sizeof(coverage->items[0]), compare_items);
    for (size_t i = 0; i < coverage->count; i++)
        if (unique == 0 || compare_items(&coverage->items[unique - 1], &coverage->items[i]) != 0)
            coverage->items[unique++] = coverage->items[i];
    coverage->count = unique;
}

bool policy_coverage_start(const struct policy *policy, const struct policy_linked *linked,
                           struct arena *arena, struct policy_coverage *coverage)
{
    const struct policy_pipeline *pipeline = linked->pipeline;
    struct gathering gathering = { coverage, arena, NULL, 0 };
    bool is_good = true;

    coverage->pipeline = pipeline->name;
    coverage->file = pipeline->file;
    is_good &= add_clause(&gathering, "identity", &pipeline->identity, pipeline->file) &&
               add_clause(&gathering, "when", &pipeline->when, pipeline->file) &&
               add_clause(&gathering, "unless", &pipeline->unless, pipeline->file);
    for (size_t i = 0; is_good && i < pipeline->stage_count; i++) {
        const struct policy_stage_rule *stage = &pipeline->stages[i];

        gathering.stage = stage;
        is_good = add_clause(&gathering, "when", &stage->when, pipeline->file) &&
                  add_clause(&gathering, "unless", &stage->unless, pipeline->file) &&
                  add_words(&gathering, policy, linked) && add_grants(&gathering);
    }
    sort(coverage);
    return is_good;
}

/* ---- marking ---- */

static struct policy_covered *find(const struct policy_coverage *coverage, struct str name,
                                   struct position at)
{
    const struct policy_covered key = { .at = at, .name = name };

    return coverage->count == 0 ? NULL
                                : bsearch(&key, coverage->items, coverage->count,
                                          sizeof(coverage->items[0]), compare_items);
}

/* In `when` a condition of a map that holds lets through; in `unless` one that fails does. */
static void mark_map(const struct policy_coverage *coverage, const struct explain_map *map,
                     bool is_allowed)
{
    for (size_t i = 0; i < map->count; i++) {
        const struct explain_leaf *leaf = &map->leaves[i];
        struct policy_covered *item = find(coverage, leaf->name, leaf->at);

        if (item == NULL)
            continue;
        item->has_allowed |= is_allowed && map->is_good && leaf->is_good;
        item->has_denied |= !is_allowed && leaf->is_named;
    }
}

static void mark_subject(const struct policy_coverage *coverage,
                         const struct explain_subject *subject, bool is_allowed)
{
    for (size_t i = 0; i < subject->clause_count; i++)
        for (size_t k = 0; k < subject->clauses[i].count; k++)
            mark_map(coverage, &subject->clauses[i].maps[k], is_allowed);
}

static void mark_grants(const struct policy_coverage *coverage,
                        const struct policy_decision *decision)
{
    const struct policy_stage_rule *stage = policy_rule_of(decision->stage);

    for (size_t i = 0; i < decision->grant_count; i++) {
        size_t index = (size_t)(decision->grants[i].grant - stage->shown.grants);
        struct policy_covered *item =
            find(coverage, decision->grants[i].grant->name,
                 policy_spot_position(stage->spots[index], stage->pipeline->file, stage));

        if (item != NULL)
            item->has_allowed = true;
    }
}

bool policy_coverage_mark(struct policy_coverage *coverage, const struct explain_job *job,
                          const struct policy_linked *linked,
                          const struct policy_decision *decision, enum error_code code)
{
    bool is_own = decision->stage != NULL && str_eq(decision->stage->pipeline, coverage->pipeline);
    const struct policy_stage_rule *stage = is_own ? policy_rule_of(decision->stage) : NULL;
    bool is_allowed = code == ERROR_NONE;
    struct explain_subject subject;

    if (code != ERROR_NO_PIPELINE && !is_own)
        return true;
    if (!explain_stage_make(job, linked, code == ERROR_NO_PIPELINE ? NULL : stage, &subject))
        return false;
    mark_subject(coverage, &subject, is_allowed);
    if (is_allowed)
        mark_grants(coverage, decision);
    return true;
}

bool policy_is_covered(const struct policy_covered *item)
{
    return item->has_allowed &&
           (item->has_denied || str_eq(str_from(item->clause), STR(GRANT_CLAUSE)));
}

void policy_coverage_count(struct policy_coverage *coverage)
{
    for (size_t i = 0; i < coverage->count; i++)
        coverage->covered_count += policy_is_covered(&coverage->items[i]);
}
