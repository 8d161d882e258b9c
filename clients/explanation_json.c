#include "base/json.h"
#include "clients/explanation.h"
#include "clients/granted.h"

static bool put_place(json_t *object, const struct position *at)
{
    return at->line == 0 || (json_put(object, "file", json_from_str(at->file)) &&
                             json_put(object, "line", json_integer((json_int_t)at->line)) &&
                             json_put(object, "column", json_integer((json_int_t)at->column)));
}

/* A list under a name, for its elements to be appended; NULL without memory. */
static json_t *put_list(json_t *object, const char *name)
{
    json_t *list = json_array();

    return json_put(object, name, list) ? list : NULL;
}

/* ---- a tree ---- */

static json_t *got(const struct explain_leaf *leaf)
{
    return leaf->value ? json_incref(json_iterable(leaf->value)) : json_from_str(leaf->got);
}

static bool put_leaf(json_t *list, const struct explain_leaf *leaf)
{
    static const char *const outcomes[] = {
        [EXPLAIN_FAILS] = "fails", [EXPLAIN_HOLDS] = "holds", [EXPLAIN_UNKNOWN] = "cannot say"
    };
    json_t *object = json_append_object(list);

    return object && json_put(object, "name", json_from_str(leaf->name)) &&
           json_put(object, "expected", json_from_str(leaf->expected)) &&
           ((!leaf->value && leaf->got.len == 0) || json_put(object, "got", got(leaf))) &&
           json_put_text(object, "why", leaf->why) &&
           json_put(object, "outcome", json_string(outcomes[leaf->outcome])) &&
           json_put(object, "good", json_boolean(leaf->is_good)) &&
           json_put(object, "named", json_boolean(leaf->is_named)) && put_place(object, &leaf->at);
}

static bool put_map(json_t *list, const struct explain_map *map)
{
    json_t *object = json_append_object(list);
    json_t *conditions = object ? put_list(object, "conditions") : NULL;

    if (!conditions || !json_put(object, "good", json_boolean(map->is_good)))
        return false;
    for (size_t i = 0; i < map->count; i++)
        if (!put_leaf(conditions, &map->leaves[i]))
            return false;
    return true;
}

static bool put_clause(json_t *list, const struct explain_clause *clause)
{
    json_t *object = json_append_object(list);
    json_t *maps = object ? put_list(object, "maps") : NULL;

    if (!maps || !json_put(object, "clause", json_string(clause->title)) ||
        (clause->name.len > 0 && !json_put(object, "guardrail", json_from_str(clause->name))) ||
        !json_put(object, "good", json_boolean(clause->is_good)) ||
        !json_put(object, "refuses", json_boolean(clause->is_unless)) ||
        !json_put(object, "warns", json_boolean(clause->is_warning)))
        return false;
    for (size_t i = 0; i < clause->count; i++)
        if (!put_map(maps, &clause->maps[i]))
            return false;
    return true;
}

static bool put_subject(json_t *list, const struct explain_subject *subject)
{
    json_t *object = json_append_object(list);
    json_t *clauses = object ? put_list(object, "clauses") : NULL;

    if (!clauses || !json_put(object, "pipeline", json_from_str(subject->pipeline)) ||
        !json_put(object, "owner", json_from_str(subject->owner)) ||
        !json_put(object, "open", json_boolean(subject->is_open)) ||
        (subject->stage && !json_put(object, "stage", json_from_str(subject->stage->id))) ||
        !json_put(object, "failed", json_from_strs(subject->failed, subject->failed_count)) ||
        !put_place(object, &subject->at))
        return false;
    for (size_t i = 0; i < subject->clause_count; i++)
        if (!put_clause(clauses, &subject->clauses[i]))
            return false;
    return true;
}

/* ---- the verdict ---- */

json_t *explanation_json(const struct explanation *explanation)
{
    const struct policy_decision *decision = explanation->decision;
    JSON_OWNED json_t *json = json_object();
    json_t *stages = json ? put_list(json, "stages") : NULL;

    if (!stages || !json_put(json, "allowed", json_boolean(explanation->is_allowed)) ||
        (!explanation->is_allowed &&
         !json_put(json, "reason", json_string(error_kind(explanation->code)->name))) ||
        (decision->stage && !json_put(json, "stage", json_from_str(decision->stage->id))) ||
        !json_put(json, "failed", json_from_strs(decision->failed, decision->failed_count)) ||
        !json_put(json, "warned", json_from_strs(decision->warned, decision->warned_count)) ||
        (explanation->is_allowed && !granted_put(json, decision)))
        return NULL;
    for (size_t i = 0; i < explanation->subject_count; i++)
        if (!put_subject(stages, &explanation->subjects[i]))
            return NULL;
    return TAKE(json);
}
