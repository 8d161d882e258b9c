#include <inttypes.h>

#include "base/buf.h"
#include "base/json.h"
#include "policy/analyse_internal.h"

/*
 * A value of a list is dead where another condition on the same name, which must hold as well,
 * refuses it. It is found by trying the others on that one value: so it means what deciding means
 * by it. Only a stage's own lists are looked at: those of a pipeline and of a template are of
 * several stages, and sets are of several pipelines.
 */

/* The conditions of one name that all must hold (`is_refusing`: must not) where a map does. */
#define OTHERS_MAX 16

struct others {
    const struct policy_condition *list[OTHERS_MAX];
    bool is_refusing[OTHERS_MAX];
    size_t count;
};

static void add_other(struct others *others, const struct policy_condition *condition,
                      bool is_refusing)
{
    if (others->count == OTHERS_MAX)
        return;
    others->is_refusing[others->count] = is_refusing;
    others->list[others->count++] = condition;
}

static void add_of_map(struct others *others, const struct policy_map *map, struct str name)
{
    for (size_t i = 0; i < map->count; i++)
        if (str_eq(map->conditions[i].name, name))
            add_other(others, &map->conditions[i], false);
}

/* A clause of one map only holds where that map does. */
static void add_of_when(struct others *others, const struct policy_clause *clause, struct str name)
{
    if (clause->count == 1)
        add_of_map(others, &clause->maps[0], name);
}

/* A map of one condition only refuses whatever that holds for. */
static void add_of_unless(struct others *others, const struct policy_clause *clause,
                          struct str name)
{
    for (size_t i = 0; i < clause->count; i++)
        if (clause->maps[i].count == 1 && str_eq(clause->maps[i].conditions[0].name, name))
            add_other(others, &clause->maps[i].conditions[0], true);
}

static void find_others(const struct analysed *stage, const struct policy_map *map, struct str name,
                        struct others *others)
{
    const struct policy_pipeline *pipeline = stage->linked->pipeline;

    *others = (struct others){ .count = 0 };
    add_of_map(others, map, name);
    add_of_when(others, &pipeline->identity, name);
    add_of_when(others, &pipeline->when, name);
    add_of_unless(others, &pipeline->unless, name);
    add_of_unless(others, &stage->stage->unless, name);
}

/* ---- one value ---- */

static json_t *value_at(const struct policy_condition *condition,
                        const struct policy_values *values, size_t index)
{
    if (values->texts != NULL)
        return json_from_str(values->texts[index]);
    if (condition->type == POLICY_BOOLEAN)
        return json_boolean(values->integers[index] != 0);
    return json_integer(values->integers[index]);
}

/* The condition that never lets a value in, or NULL. */
static const struct policy_condition *refusing(const struct others *others,
                                               const struct policy_condition *condition,
                                               const struct policy_values *values, size_t index)
{
    bool is_fact = condition->source == POLICY_SOURCE_CI;
    JSON_OWNED json_t *object = json_object();
    const struct policy_facts facts = { .claims = is_fact ? NULL : object,
                                        .ci = is_fact ? object : NULL };

    if (!json_put(object, condition->key, value_at(condition, values, index)))
        return NULL;
    for (size_t i = 0; i < others->count; i++) {
        enum policy_outcome outcome = policy_condition_try(others->list[i], &facts);

        if (outcome == (others->is_refusing[i] ? POLICY_HOLDS : POLICY_FAILS))
            return others->list[i];
    }
    return NULL;
}

static void add_value(const struct policy_condition *condition, const struct policy_values *values,
                      size_t index, struct buf *out)
{
    if (values->texts != NULL)
        policy_value_describe(str_slice(values->texts[index], 0, 100), out);
    else if (condition->type == POLICY_BOOLEAN)
        buf_add_text(out, values->integers[index] != 0 ? "true" : "false");
    else
        buf_printf(out, "%" PRId64, values->integers[index]);
}

static void report(const struct analysed *stage, const struct policy_condition *condition,
                   const struct policy_values *values, size_t index,
                   const struct policy_condition *by, struct findings *findings)
{
    OWNED(buf_release) struct buf message = { 0 };
    struct finding finding = {
        .severity = DIAGNOSTIC_WARNING,
        .rule = "dead-value",
        .at = analysed_place(stage, condition),
        .hint = STR("remove the value, or let it in there"),
    };

    buf_init(&message, DIAGNOSTIC_TEXT_MAX);
    buf_add_text(&message, "'");
    buf_add(&message, str_slice(condition->name, 0, 100));
    buf_add_text(&message, "' is never ");
    add_value(condition, values, index, &message);
    buf_add_text(&message, " in this stage: another condition refuses it");
    finding.message = buf_str(&message);
    if (by != condition) {
        finding.related = analysed_place(stage, by);
        finding.related_note = STR("by this condition");
    }
    findings_add(findings, &finding);
}

/* ---- lists ---- */

static void try_list(const struct analysed *stage, const struct policy_map *map,
                     const struct policy_condition *condition, const struct policy_values *values,
                     struct findings *findings)
{
    struct others others;
    size_t dead = 0;

    find_others(stage, map, condition->name, &others);
    if (others.count < 2 && condition->test_count < 2)
        return;
    for (size_t i = 0; i < values->count; i++)
        dead += refusing(&others, condition, values, i) != NULL;
    if (dead == values->count) /* the stage is unreachable, or this map of it: said elsewhere */
        return;
    for (size_t i = 0; dead > 0 && i < values->count; i++) {
        const struct policy_condition *by = refusing(&others, condition, values, i);

        if (by != NULL)
            report(stage, condition, values, i, by, findings);
    }
}

static bool can_be_tried(const struct policy_condition *condition)
{
    return (condition->source == POLICY_SOURCE_CLAIM || condition->source == POLICY_SOURCE_CI) &&
           !condition->may_be_array && !condition->spot.is_of_template;
}

static void try_map(const struct analysed *stage, const struct policy_map *map,
                    struct findings *findings)
{
    for (size_t i = 0; i < map->count; i++) {
        const struct policy_condition *condition = &map->conditions[i];

        for (size_t k = 0; can_be_tried(condition) && k < condition->test_count; k++) {
            const struct policy_test *test = &condition->tests[k];

            if (test->operation == POLICY_ONE_OF && !test->is_negated && test->values.set == NULL &&
                test->values.count > 1)
                try_list(stage, map, condition, &test->values, findings);
        }
    }
}

void analyse_values(const struct policy *policy, const struct policy_linked *linked,
                    struct findings *findings)
{
    for (size_t i = 0; i < linked->pipeline->stage_count; i++) {
        struct analysed stage = { policy, linked, &linked->pipeline->stages[i] };

        for (size_t k = 0; k < stage.stage->when.count; k++)
            try_map(&stage, &stage.stage->when.maps[k], findings);
    }
}
