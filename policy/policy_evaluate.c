#include <stdlib.h>

#include "base/json.h"
#include "base/time_text.h"
#include "policy/policy_internal.h"

/* ---- reading the value ---- */

/* Source: RFC 6901 4 */
static const json_t *follow_pointer(const json_t *value, const char *const *path)
{
    for (; *path != NULL && value != NULL; path++) {
        int64_t index = -1;

        if (json_is_object(value)) {
            value = json_object_get(value, *path);
            continue;
        }
        if (!json_is_array(value) || !str_to_int64(str_from(*path), &index) || index < 0)
            return NULL;
        value = json_array_get(value, (size_t)index);
    }
    return value;
}

static bool is_empty_text(const json_t *value)
{
    return json_is_string(value) && json_string_length(value) == 0;
}

static bool is_unproven(const struct policy_condition *condition, const struct policy_facts *facts)
{
    const json_t *claims = json_object_get(facts->actor, "claims");

    return condition->is_address && !json_is_true(json_object_get(claims, "email_verified"));
}

/* A single value of the type, or one that nothing has asked the type of. */
static bool is_typed(const json_t *value, enum policy_type type)
{
    switch (type) {
    case POLICY_ANY:
        return true;
    case POLICY_TEXT:
        return json_is_string(value);
    case POLICY_INTEGER:
        return json_is_integer(value);
    case POLICY_BOOLEAN:
        return json_is_boolean(value);
    case POLICY_ADDRESS:
        break;
    }
    return false;
}

/* An array whose elements are of the type; those that are empty do not count. */
static enum policy_presence array_presence(const json_t *array, enum policy_type type)
{
    enum policy_presence presence = POLICY_MISSING;

    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *element = json_array_get(array, i);

        if (json_is_null(element) || is_empty_text(element))
            continue;
        if (!is_typed(element, type))
            return POLICY_CANNOT_SAY;
        presence = POLICY_PRESENT;
    }
    return presence;
}

static const json_t *stored_value(const struct policy_condition *condition,
                                  const struct policy_facts *facts)
{
    if (condition->source == POLICY_SOURCE_ACTOR_ISSUER)
        return json_object_get(facts->actor, "issuer");
    if (condition->source == POLICY_SOURCE_ACTOR)
        return claim_value(json_object_get(facts->actor, "claims"), condition->key);
    if (condition->source == POLICY_SOURCE_POINTER)
        return follow_pointer(facts->claims, condition->path);
    return json_object_get(condition->source == POLICY_SOURCE_CI ? facts->ci : facts->claims,
                           condition->key);
}

enum policy_presence policy_condition_look(const struct policy_condition *condition,
                                           const struct policy_facts *facts, const json_t **value)
{
    bool is_fact = condition->source == POLICY_SOURCE_CI;

    *value = NULL;
    if (facts->unknown != NULL && policy_unknown_hides(condition, facts))
        return POLICY_CANNOT_SAY;
    if (condition->source == POLICY_SOURCE_ADDRESS)
        return facts->address != NULL && facts->address->len > 0 ? POLICY_PRESENT
                                                                 : POLICY_CANNOT_SAY;
    if (is_fact && facts->ci == NULL)
        return POLICY_CANNOT_SAY;
    *value = stored_value(condition, facts);
    if (is_fact && json_is_null(*value))
        return POLICY_CANNOT_SAY;
    if (*value == NULL || json_is_null(*value) || is_empty_text(*value))
        return POLICY_MISSING;
    if (is_unproven(condition, facts))
        return POLICY_CANNOT_SAY;
    if (json_is_array(*value) && condition->may_be_array)
        return array_presence(*value, condition->type);
    return is_typed(*value, condition->type) ? POLICY_PRESENT : POLICY_CANNOT_SAY;
}

const json_t *policy_condition_value(const struct policy_condition *condition,
                                     const struct policy_facts *facts)
{
    const json_t *value = NULL;

    return policy_condition_look(condition, facts, &value) == POLICY_PRESENT ? value : NULL;
}

/* ---- one operator on one value ---- */

static int compare_text(const void *key, const void *member)
{
    return str_compare(*(const struct str *)key, *(const struct str *)member);
}

static int compare_integer(const void *key, const void *member)
{
    int64_t left = *(const int64_t *)key;
    int64_t right = *(const int64_t *)member;

    return (left > right) - (left < right);
}

static bool is_one_of(const struct policy_values *values, const json_t *value)
{
    struct str text = json_str(value);
    int64_t integer = json_is_integer(value) ? json_integer_value(value) : json_is_true(value);

    if (values->texts != NULL && values->count == 1)
        return str_eq(values->texts[0], text);
    if (values->texts != NULL)
        return bsearch(&text, values->texts, values->count, sizeof(text), compare_text) != NULL;
    return bsearch(&integer, values->integers, values->count, sizeof(integer), compare_integer) !=
           NULL;
}

/* A time as seconds since the epoch, or as RFC 3339 text. */
static bool read_time(const json_t *value, int64_t *time_s)
{
    int64_t time_ms;

    if (json_is_integer(value)) {
        *time_s = json_integer_value(value);
        return true;
    }
    if (!json_is_string(value) || !time_text_parse(json_str(value), &time_ms))
        return false;
    *time_s = time_ms / 1000;
    return true;
}

static enum policy_outcome from_bool(bool holds)
{
    return holds ? POLICY_HOLDS : POLICY_FAILS;
}

static enum policy_outcome compare_time(const struct policy_test *test, const json_t *value)
{
    int64_t time_s;

    if (!read_time(value, &time_s))
        return POLICY_UNKNOWN;
    return from_bool((time_s < test->time_s) == (test->operation == POLICY_BEFORE));
}

static bool is_within(const struct policy_test *test, const struct address *address)
{
    for (size_t i = 0; i < test->networks.count; i++)
        if (network_contains(&test->networks.list[i], address))
            return true;
    return false;
}

/* Whether a value fits an operator, `not` aside. */
static enum policy_outcome try_value(const struct policy_test *test, const json_t *value,
                                     const struct policy_facts *facts)
{
    switch (test->operation) {
    case POLICY_ONE_OF:
        return from_bool(is_one_of(&test->values, value));
    case POLICY_LIKE:
        return from_bool(glob_match(test->glob, json_str(value)));
    case POLICY_BEFORE:
    case POLICY_AFTER:
        return compare_time(test, value);
    case POLICY_WITHIN:
        return from_bool(is_within(test, facts->address));
    case POLICY_EXISTS:
        return POLICY_HOLDS;
    case POLICY_ABSENT:
        break;
    }
    return POLICY_FAILS;
}

/* ---- a condition ---- */

static bool is_counted(const json_t *element)
{
    return !json_is_null(element) && !is_empty_text(element);
}

/* Whether one value fits all operators that do not stand under `not`. */
static enum policy_outcome fits_all(const struct policy_condition *condition, const json_t *value,
                                    const struct policy_facts *facts)
{
    enum policy_outcome outcome = POLICY_HOLDS;

    for (size_t i = 0; i < condition->test_count; i++) {
        const struct policy_test *test = &condition->tests[i];
        enum policy_outcome one = test->is_negated ? POLICY_HOLDS : try_value(test, value, facts);

        if (one == POLICY_FAILS)
            return POLICY_FAILS;
        if (one == POLICY_UNKNOWN)
            outcome = POLICY_UNKNOWN;
    }
    return outcome;
}

/* Whether one value fits none of the operators that stand under `not`. */
static enum policy_outcome fits_none(const struct policy_condition *condition, const json_t *value,
                                     const struct policy_facts *facts)
{
    enum policy_outcome outcome = POLICY_HOLDS;

    for (size_t i = 0; i < condition->test_count; i++) {
        const struct policy_test *test = &condition->tests[i];
        enum policy_outcome one = test->is_negated ? try_value(test, value, facts) : POLICY_FAILS;

        if (one == POLICY_HOLDS)
            return POLICY_FAILS;
        if (one == POLICY_UNKNOWN)
            outcome = POLICY_UNKNOWN;
    }
    return outcome;
}

/* An array fits when one element does, and `not` when none does. */
static enum policy_outcome try_array(const struct policy_condition *condition, const json_t *array,
                                     const struct policy_facts *facts)
{
    enum policy_outcome any = POLICY_FAILS;
    enum policy_outcome none = POLICY_HOLDS;

    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *element = json_array_get(array, i);
        enum policy_outcome one;

        if (!is_counted(element))
            continue;
        one = fits_all(condition, element, facts);
        if (any != POLICY_HOLDS && one != POLICY_FAILS)
            any = one;
        none = policy_outcome_both(none, fits_none(condition, element, facts));
    }
    return policy_outcome_both(any, none);
}

static bool asks_for_absence(const struct policy_condition *condition)
{
    return condition->test_count == 1 && condition->tests[0].operation == POLICY_ABSENT;
}

enum policy_outcome policy_condition_try(const struct policy_condition *condition,
                                         const struct policy_facts *facts)
{
    const json_t *value = NULL;
    enum policy_presence presence = policy_condition_look(condition, facts, &value);

    if (presence == POLICY_CANNOT_SAY)
        return POLICY_UNKNOWN;
    if (presence == POLICY_MISSING || asks_for_absence(condition))
        return from_bool(presence == POLICY_MISSING && asks_for_absence(condition));
    if (json_is_array(value) && condition->may_be_array)
        return try_array(condition, value, facts);
    return policy_outcome_both(fits_all(condition, value, facts),
                               fits_none(condition, value, facts));
}

/* ---- clauses ---- */

void policy_failures_add(struct policy_failures *failures, struct str name)
{
    for (size_t i = 0; failures != NULL && i < failures->count; i++)
        if (str_eq(failures->names[i], name))
            return;
    if (failures != NULL && failures->count < POLICY_FAILED_MAX)
        failures->names[failures->count++] = name;
}

void policy_failures_add_freeze(struct policy_failures *failures, struct str name)
{
    size_t before = failures == NULL ? 0 : failures->count;

    policy_failures_add(failures, name);
    if (failures != NULL)
        failures->freeze_count += failures->count - before;
}

static bool map_holds(const struct policy_map *map, const struct policy_facts *facts)
{
    for (size_t i = 0; i < map->count; i++)
        if (policy_condition_try(&map->conditions[i], facts) != POLICY_HOLDS)
            return false;
    return true;
}

static size_t count_failures(const struct policy_map *map, const struct policy_facts *facts)
{
    size_t count = 0;

    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): one of a clause, which has some */
    for (size_t i = 0; i < map->count; i++)
        count += policy_condition_try(&map->conditions[i], facts) != POLICY_HOLDS;
    return count;
}

/* Add what failed in the map that comes nearest. */
static void add_nearest(const struct policy_clause *clause, const struct policy_facts *facts,
                        struct policy_failures *failures)
{
    const struct policy_map *nearest = &clause->maps[0];
    size_t fewest = SIZE_MAX;

    for (size_t i = 0; i < clause->count; i++) {
        size_t count = count_failures(&clause->maps[i], facts);

        if (count < fewest) {
            fewest = count;
            nearest = &clause->maps[i];
        }
    }
    for (size_t i = 0; i < nearest->count; i++)
        if (policy_condition_try(&nearest->conditions[i], facts) != POLICY_HOLDS)
            policy_failures_add(failures, nearest->conditions[i].name);
}

const struct policy_map *policy_clause_held(const struct policy_clause *clause,
                                            const struct policy_facts *facts)
{
    for (size_t i = 0; i < clause->count; i++)
        if (map_holds(&clause->maps[i], facts))
            return &clause->maps[i];
    return NULL;
}

bool policy_when_holds(const struct policy_clause *clause, const struct policy_facts *facts,
                       struct policy_failures *failures)
{
    if (clause->count == 0 || policy_clause_held(clause, facts) != NULL)
        return true;
    if (failures != NULL)
        add_nearest(clause, facts, failures);
    return false;
}

static bool may_hold(const struct policy_map *map, const struct policy_facts *facts)
{
    for (size_t i = 0; i < map->count; i++)
        if (policy_condition_try(&map->conditions[i], facts) == POLICY_FAILS)
            return false;
    return true;
}

bool policy_unless_holds(const struct policy_clause *clause, const struct policy_facts *facts,
                         struct policy_failures *failures)
{
    bool holds = false;

    for (size_t i = 0; i < clause->count; i++) {
        const struct policy_map *map = &clause->maps[i];

        if (!may_hold(map, facts))
            continue;
        holds = true;
        for (size_t k = 0; failures != NULL && k < map->count; k++)
            policy_failures_add(failures, map->conditions[k].name);
    }
    return holds;
}

bool policy_identity_is_of(const struct policy_identity_map *map, struct str issuer)
{
    for (size_t i = 0; i < map->issuer_count; i++)
        if (str_eq(map->issuers[i]->name, issuer))
            return true;
    return false;
}

const struct policy_map *policy_identity_held(const struct policy_pipeline *pipeline,
                                              const struct policy_facts *facts)
{
    for (size_t i = 0; i < pipeline->identity.count; i++)
        if (policy_identity_is_of(&pipeline->identity_maps[i], facts->issuer) &&
            map_holds(&pipeline->identity.maps[i], facts))
            return &pipeline->identity.maps[i];
    return NULL;
}

/* ---- dangers ---- */

static bool has_value(const struct policy_condition *condition, const char *value)
{
    JSON_OWNED json_t *wanted = NULL;

    if (condition->type == POLICY_BOOLEAN)
        wanted = json_boolean(str_eq(str_from(value), STR("true")));
    else if (condition->type == POLICY_TEXT)
        wanted = json_string(value);
    for (size_t i = 0; wanted != NULL && i < condition->test_count; i++) {
        const struct policy_test *test = &condition->tests[i];

        if (test->operation == POLICY_ONE_OF && !test->is_negated &&
            is_one_of(&test->values, wanted))
            return true;
    }
    return false;
}

bool policy_condition_names(const struct policy_condition *condition,
                            const struct claim_danger *danger)
{
    if (danger->claim != NULL && str_eq(condition->name, str_from(danger->claim)))
        return has_value(condition, danger->value);
    return danger->fact != NULL && str_eq(condition->name, str_from(danger->fact)) &&
           has_value(condition, danger->fact_value);
}

static bool map_names(const struct policy_map *map, const struct claim_danger *danger,
                      const struct policy_facts *facts)
{
    bool is_named = false;

    for (size_t i = 0; i < map->count && !is_named; i++)
        is_named = policy_condition_names(&map->conditions[i], danger);
    return is_named && map_holds(map, facts);
}

static bool clause_names(const struct policy_clause *clause, const struct claim_danger *danger,
                         const struct policy_facts *facts)
{
    for (size_t i = 0; i < clause->count; i++)
        if (map_names(&clause->maps[i], danger, facts))
            return true;
    return false;
}

static bool identity_names(const struct policy_pipeline *pipeline,
                           const struct claim_danger *danger, const struct policy_facts *facts)
{
    for (size_t i = 0; i < pipeline->identity.count; i++)
        if (policy_identity_is_of(&pipeline->identity_maps[i], facts->issuer) &&
            map_names(&pipeline->identity.maps[i], danger, facts))
            return true;
    return false;
}

bool policy_dangers_are_named(const struct policy_stage_rule *stage,
                              const struct policy_facts *facts, struct policy_failures *failures)
{
    bool are_named = true;

    policy_unknown_dangers(facts);
    for (size_t i = 0; i < facts->danger_count; i++) {
        const struct claim_danger *danger = facts->dangers[i];

        if (clause_names(&stage->when, danger, facts) ||
            clause_names(&stage->pipeline->when, danger, facts) ||
            identity_names(stage->pipeline, danger, facts))
            continue;
        are_named = false;
        policy_failures_add(failures,
                            str_from(danger->claim != NULL ? danger->claim : danger->fact));
    }
    return are_named;
}
