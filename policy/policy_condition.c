#include <string.h>

#include "base/json.h"
#include "base/time_text.h"
#include "policy/policy_loader.h"

/* ---- what a name means ---- */

#define CI_PREFIX STR("ci.")
#define ADDRESS_NAME STR("request.address")

static const struct claim *find_common(const struct policy_scope *scope, struct str name)
{
    const struct claim *first = NULL;

    for (size_t i = 0; i < scope->issuer_count; i++) {
        const struct claim *claim = claim_find(&scope->issuers[i]->claims, name);

        if (claim == NULL || (first != NULL && claim->type != first->type))
            return NULL;
        if (first == NULL)
            first = claim;
    }
    return first;
}

const struct claim *policy_claim_find(const struct policy_world *world,
                                      const struct policy_scope *scope, struct str name)
{
    if (str_starts_with(name, CI_PREFIX))
        return claim_find(world->ci_facts, str_slice(name, CI_PREFIX.len, name.len));
    return find_common(scope, name);
}

/* All names that could be meant, for "did you mean". */
static struct str nearest_name(const struct policy_loader *loader, const struct policy_scope *scope,
                               struct str name)
{
    struct arena *arena = loader->reader.diagnostics->arena;
    const struct claim_table *facts = loader->world->ci_facts;
    size_t max = facts->count + 1;
    struct str nearest;
    size_t count = 0;
    struct str *names;

    if (!diagnostics_have_room(loader->reader.diagnostics, DIAGNOSTIC_ERROR))
        return STR(""); /* a file can have a million mistakes */
    for (size_t i = 0; i < scope->issuer_count; i++)
        max += scope->issuers[i]->claims.count;
    names = arena_alloc_array(arena, max, sizeof(*names));
    if (names == NULL)
        return STR("");
    names[count++] = ADDRESS_NAME;
    for (size_t i = 0; i < scope->issuer_count; i++)
        for (size_t k = 0; k < scope->issuers[i]->claims.count; k++)
            names[count++] = str_from(scope->issuers[i]->claims.rows[k].name);
    for (size_t i = 0; i < facts->count; i++)
        names[count++] = arena_printf(arena, "ci.%s", facts->rows[i].name);
    nearest = str_nearest(name, names, count);
    if (str_eq(nearest, name)) /* another issuer has it */
        return STR("every issuer of the identity must have it; 'ci.' facts are the same for all");
    return diagnostic_nearest(arena, name, names, count);
}

/* The fact of a claim's name, if there is one. */
static struct str fact_hint(const struct policy_loader *loader, const char *name)
{
    if (claim_find(loader->world->ci_facts, str_from(name)) == NULL)
        return STR("");
    return arena_printf(loader->reader.diagnostics->arena, "did you mean 'ci.%s'?", name);
}

/* Report a name that is no claim of every issuer, and say which issuer it is missing from. */
static bool complain_name(const struct policy_loader *loader, const json_t *map, const char *name,
                          const struct policy_scope *scope)
{
    struct str hint = nearest_name(loader, scope, str_from(name));
    const struct claim *first = NULL;

    if (str_eq(str_from(name), STR("issuer")))
        return yaml_complain_key(&loader->reader, map, name, STR(""),
                                 "'issuer' stands in 'identity' only");
    if (str_starts_with(str_from(name), CI_PREFIX))
        return yaml_complain_key(&loader->reader, map, name, hint, "unknown fact '%s'", name);
    if (scope->is_of_facts)
        return yaml_complain_key(&loader->reader, map, name, fact_hint(loader, name),
                                 "'%s' is no fact: conditions for the tokens of every issuer are "
                                 "on 'ci.' facts, 'request.address' and 'actor.'",
                                 name);
    for (size_t i = 0; i < scope->issuer_count; i++) {
        const struct claim *claim = claim_find(&scope->issuers[i]->claims, str_from(name));

        if (claim == NULL)
            return yaml_complain_key(&loader->reader, map, name, hint,
                                     "issuer '" STR_FMT "' has no claim '%s'",
                                     STR_ARG(scope->issuers[i]->name), name);
        if (first != NULL && claim->type != first->type)
            return yaml_complain_key(&loader->reader, map, name, STR(""),
                                     "the claim '%s' has another type at issuer '" STR_FMT "'",
                                     name, STR_ARG(scope->issuers[i]->name));
        first = claim;
    }
    return false; /* without issuers, which was reported */
}

static void set_type(struct policy_condition *condition, enum claim_type type)
{
    static const enum policy_type types[] = {
        [CLAIM_STRING] = POLICY_TEXT,     [CLAIM_INTEGER] = POLICY_INTEGER,
        [CLAIM_BOOLEAN] = POLICY_BOOLEAN, [CLAIM_STRINGS] = POLICY_TEXT,
        [CLAIM_OBJECT] = POLICY_ANY,      [CLAIM_OBJECTS] = POLICY_ANY,
    };

    condition->type = types[type];
    condition->may_be_array = type == CLAIM_STRINGS;
}

/* Undo `~1` and `~0` of a pointer's part. */
static bool unescape(struct policy_loader *loader, struct str part, const char **out)
{
    char *text = policy_loader_alloc(loader, part.len + 1, 1);
    size_t len = 0;

    for (size_t i = 0; text != NULL && i < part.len; i++) {
        if (part.data[i] != '~') {
            text[len++] = part.data[i];
            continue;
        }
        if (++i == part.len || (part.data[i] != '0' && part.data[i] != '1'))
            return false;
        text[len++] = part.data[i] == '0' ? '~' : '/';
    }
    *out = text;
    return true;
}

/* Source: RFC 6901 3 */
static bool read_pointer(struct policy_loader *loader, const json_t *map, const char *name,
                         struct policy_condition *condition)
{
    struct str rest = str_slice(condition->name, 1, condition->name.len);
    const char **path = policy_loader_alloc(loader, condition->name.len + 1, sizeof(*path));
    struct str part;
    bool is_more = true;

    for (size_t count = 0; path != NULL && is_more; count++) {
        is_more = str_cut(rest, '/', &part, &rest);
        if (part.len == 0 || !unescape(loader, part, &path[count]))
            return yaml_complain_key(&loader->reader, map, name, STR(""),
                                     "'%s' is no JSON Pointer: parts are not empty, '~' is written "
                                     "'~0' and '/' in a name '~1'",
                                     name);
    }
    condition->source = POLICY_SOURCE_POINTER;
    condition->type = POLICY_ANY;
    condition->may_be_array = true;
    condition->path = path;
    return path != NULL;
}

/* Where every issuer has a row of the pointer, its values have that row's type. */
static bool type_pointer(const struct claim *claim, struct policy_condition *condition)
{
    if (claim == NULL || claim->type == CLAIM_OBJECT || claim->type == CLAIM_OBJECTS)
        return true;
    condition->key = condition->name.data;
    condition->may_be_indexed = true;
    set_type(condition, claim->type);
    return true;
}

/* A name that stays: where it is just a row's, the row's own, which lives as long as the world. */
static struct str name_of(struct policy_loader *loader, const char *name, const struct claim *claim)
{
    if (claim != NULL && str_eq(str_from(name), str_from(claim->name)))
        return str_from(claim->name);
    return policy_loader_copy(loader, str_from(name));
}

static bool read_name(struct policy_loader *loader, const json_t *map, const char *name,
                      const struct policy_scope *scope, struct policy_condition *condition)
{
    const struct claim *claim = policy_claim_find(loader->world, scope, str_from(name));

    condition->name = name_of(loader, name, claim);
    condition->spot = policy_spot_of(loader, map, name);
    if (str_eq(condition->name, ADDRESS_NAME)) {
        condition->source = POLICY_SOURCE_ADDRESS;
        condition->type = POLICY_ADDRESS;
        return true;
    }
    if (policy_actor_is_name(condition->name)) {
        enum claim_type type;

        if (!policy_actor_read(loader, map, name, condition, &type))
            return false;
        set_type(condition, type);
        return true;
    }
    if (name[0] == '/' && !scope->is_of_facts)
        return read_pointer(loader, map, name, condition) && type_pointer(claim, condition);
    if (claim == NULL)
        return complain_name(loader, map, name, scope);
    if (claim->type == CLAIM_OBJECT || claim->type == CLAIM_OBJECTS)
        return yaml_complain_key(&loader->reader, map, name, STR(""),
                                 "the claim '%s' is no plain value: write a JSON Pointer into it",
                                 name);
    condition->source = POLICY_SOURCE_CLAIM;
    condition->key = condition->name.data;
    condition->may_be_indexed = (claim->flags & CLAIM_PREFIX) == 0;
    if (str_starts_with(condition->name, CI_PREFIX)) {
        condition->source = POLICY_SOURCE_CI;
        condition->key = condition->name.data + CI_PREFIX.len;
    }
    set_type(condition, claim->type);
    return true;
}

/* ---- operators ---- */

static bool is_integer(struct str text)
{
    int64_t integer;

    return str_to_int64(text, &integer);
}

/* The type that a value under a pointer was written as: unquoted numbers and booleans are such. */
static enum policy_type written_type(const struct policy_loader *loader, const json_t *scalar)
{
    struct str text = json_str(scalar);

    if (!json_is_string(scalar) || !yaml_is_plain(loader->reader.document, scalar))
        return POLICY_TEXT;
    if (str_eq(text, STR("true")) || str_eq(text, STR("false")))
        return POLICY_BOOLEAN;
    return is_integer(text) ? POLICY_INTEGER : POLICY_TEXT;
}

/* Give a pointer the type that its operator wants, or see that the condition has it. */
static bool want_type(const struct policy_loader *loader, const json_t *at,
                      struct policy_condition *condition, enum policy_type type, const char *what)
{
    static const char *const names[] = {
        [POLICY_ANY] = "anything",       [POLICY_TEXT] = "text",
        [POLICY_INTEGER] = "a number",   [POLICY_BOOLEAN] = "true or false",
        [POLICY_ADDRESS] = "an address",
    };

    if (condition->type == POLICY_ANY)
        condition->type = type;
    if (condition->type == type)
        return true;
    return yaml_complain(&loader->reader, at, "%s %s, and '" STR_FMT "' is %s", what, names[type],
                         STR_ARG(str_slice(condition->name, 0, 60)), names[condition->type]);
}

/* A pointer's values have the type that they were written as, all of them the same. */
static bool want_written_type(const struct policy_loader *loader, const json_t *json,
                              struct policy_condition *condition)
{
    size_t count = json_is_array(json) ? json_array_size(json) : 1;
    bool is_good = true;

    for (size_t i = 0; is_good && i < count; i++) {
        const json_t *item = json_is_array(json) ? json_array_get(json, i) : json;

        is_good = want_type(loader, item, condition, written_type(loader, item), "this value is");
    }
    return is_good;
}

bool policy_networks_read(struct policy_loader *loader, const json_t *json,
                          struct policy_networks *networks)
{
    size_t count = json_is_array(json) ? json_array_size(json) : 1;
    struct network *list = policy_loader_alloc(loader, count, sizeof(*list));

    if (count == 0 || count > POLICY_VALUES_MAX)
        return yaml_complain(&loader->reader, json, "expected 1 to %d networks, not %zu",
                             POLICY_VALUES_MAX, count);
    for (size_t i = 0; list != NULL && i < count; i++) {
        const json_t *item = json_is_array(json) ? json_array_get(json, i) : json;

        if (!json_is_string(item) || !network_parse(json_str(item), &list[i]))
            return yaml_complain_hint(&loader->reader, item,
                                      STR("write 10.0.0.0/8, 2001:db8::/32 or one address; host "
                                          "bits must be zero"),
                                      "expected a network");
    }
    networks->list = list;
    networks->count = list == NULL ? 0 : count;
    return list != NULL;
}

static bool read_networks(struct policy_loader *loader, const json_t *json,
                          struct policy_test *test)
{
    struct policy_networks networks = { 0 };

    if (!policy_networks_read(loader, json, &networks))
        return false;
    test->networks.list = networks.list;
    test->networks.count = networks.count;
    return true;
}

static bool read_values(struct policy_loader *loader, const json_t *json,
                        struct policy_condition *condition, struct policy_test *test)
{
    test->operation = POLICY_ONE_OF;
    if (condition->type == POLICY_ADDRESS) {
        test->operation = POLICY_WITHIN;
        return read_networks(loader, json, test);
    }
    if (condition->source == POLICY_SOURCE_POINTER && condition->key == NULL &&
        !want_written_type(loader, json, condition))
        return false;
    return policy_values_read(loader, json, condition->type, &test->values);
}

static bool read_like(struct policy_loader *loader, const json_t *json,
                      struct policy_condition *condition, struct policy_test *test)
{
    struct glob *glob = policy_loader_alloc(loader, 1, sizeof(*glob));
    const char *problem = NULL;

    test->operation = POLICY_LIKE;
    if (!json_is_string(json))
        return yaml_complain_hint(&loader->reader, json,
                                  STR("quote a pattern that starts with '{' or '['; for several, "
                                      "write a list of maps under 'when'"),
                                  "'like' takes one pattern as text");
    if (!want_type(loader, json, condition, POLICY_TEXT, "'like' takes"))
        return false;
    if (glob == NULL)
        return false;
    if (!glob_compile(json_str(json), loader->arena, glob, &problem)) {
        loader->is_out_of_memory |= problem == NULL;
        return problem != NULL && yaml_complain(&loader->reader, json, "%s", problem);
    }
    if (glob->name_count > 0 && (test->is_negated || condition->may_be_array))
        return yaml_complain(&loader->reader, json,
                             test->is_negated
                                 ? "what 'not' refuses cannot be remembered: write '*'"
                                 : "a claim with several values cannot be remembered: write '*'");
    test->glob = glob;
    return true;
}

static bool read_in(struct policy_loader *loader, const json_t *json,
                    struct policy_condition *condition, struct policy_test *test)
{
    test->operation = POLICY_ONE_OF;
    if (condition->type == POLICY_ADDRESS)
        return yaml_complain(&loader->reader, json, "an address takes 'within', not 'in'");
    if (condition->type == POLICY_ANY)
        condition->type = POLICY_TEXT; /* sets hold texts */
    return policy_values_of_set(loader, json, condition->type, &test->values);
}

static bool read_exists(struct policy_loader *loader, const json_t *json,
                        struct policy_condition *condition, struct policy_test *test)
{
    bool is_true = json_is_string(json) && str_eq(json_str(json), STR("true"));

    if (!is_true && !(json_is_string(json) && str_eq(json_str(json), STR("false"))))
        return yaml_complain(&loader->reader, json, "'exists' is true or false");
    if (condition->type == POLICY_ADDRESS)
        return yaml_complain(&loader->reader, json, "every request has an address");
    test->operation = is_true ? POLICY_EXISTS : POLICY_ABSENT;
    return true;
}

static bool read_time(struct policy_loader *loader, const json_t *json,
                      const struct policy_condition *condition, struct policy_test *test)
{
    int64_t time_ms;

    if (condition->type == POLICY_ADDRESS || condition->type == POLICY_BOOLEAN)
        return yaml_complain(&loader->reader, json, "'" STR_FMT "' is no time",
                             STR_ARG(condition->name));
    if (!json_is_string(json) || !time_text_parse(json_str(json), &time_ms))
        return yaml_complain(&loader->reader, json,
                             "expected a time such as 2026-11-22T10:00:00Z or 2026-11-22");
    test->time_s = time_ms / 1000;
    return true;
}

static bool read_before(struct policy_loader *loader, const json_t *json,
                        struct policy_condition *condition, struct policy_test *test)
{
    test->operation = POLICY_BEFORE;
    return read_time(loader, json, condition, test);
}

static bool read_after(struct policy_loader *loader, const json_t *json,
                       struct policy_condition *condition, struct policy_test *test)
{
    test->operation = POLICY_AFTER;
    return read_time(loader, json, condition, test);
}

static bool read_within(struct policy_loader *loader, const json_t *json,
                        struct policy_condition *condition, struct policy_test *test)
{
    test->operation = POLICY_WITHIN;
    if (condition->type != POLICY_ADDRESS)
        return yaml_complain(&loader->reader, json,
                             "'within' takes an address, and only 'request.address' is one");
    return read_networks(loader, json, test);
}

static bool read_not(struct policy_loader *loader, const json_t *json,
                     struct policy_condition *condition, struct policy_test *test);

static const struct operation {
    const char *name;
    bool may_be_negated;
    bool (*read)(struct policy_loader *loader, const json_t *json,
                 struct policy_condition *condition, struct policy_test *test);
} operators[] = {
    /* name    under `not` */
    { "like", true, read_like },     { "not", false, read_not },
    { "in", true, read_in },         { "exists", false, read_exists },
    { "before", true, read_before }, { "after", true, read_after },
    { "within", true, read_within },
};

static const char *const operator_names[] = { "like",   "not",   "in",     "exists",
                                              "before", "after", "within", NULL };
static const char *const negated_names[] = { "like", "in", "before", "after", "within", NULL };

static const struct operation *find_operator(const char *name)
{
    for (size_t i = 0; i < COUNT(operators); i++)
        if (str_eq(str_from(operators[i].name), str_from(name)))
            return &operators[i];
    return NULL;
}

static bool read_not(struct policy_loader *loader, const json_t *json,
                     struct policy_condition *condition, struct policy_test *test)
{
    const char *name;

    test->is_negated = true;
    if (!json_is_object(json))
        return read_values(loader, json, condition, test);
    if (!yaml_expect_map(&loader->reader, json, negated_names))
        return false;
    if (json_object_size(json) != 1)
        return yaml_complain(&loader->reader, json, "'not' takes one operator, not %zu",
                             json_object_size(json));
    name = json_object_iter_key(json_object_iter(json_iterable(json)));
    return find_operator(name)->read(loader, json_object_get(json, name), condition, test);
}

static bool read_operators(struct policy_loader *loader, const json_t *map,
                           struct policy_condition *condition, struct policy_test *tests)
{
    bool is_good = yaml_expect_map(&loader->reader, map, operator_names);
    const char *name;
    json_t *value;

    if (json_object_size(map) == 0)
        return yaml_complain(&loader->reader, map, "there is no operator here");
    json_object_foreach (json_iterable(map), name, value) {
        const struct operation *operation = find_operator(name);
        struct policy_test *test = &tests[condition->test_count];

        if (operation == NULL || !operation->read(loader, value, condition, test)) {
            is_good = false;
            continue;
        }
        condition->test_count++;
        if (test->operation == POLICY_ABSENT && json_object_size(map) > 1)
            is_good = yaml_complain_key(&loader->reader, map, name, STR(""),
                                        "'exists: false' leaves nothing for another operator");
    }
    return is_good;
}

bool policy_condition_read(struct policy_loader *loader, const json_t *map, const char *name,
                           const struct policy_scope *scope, struct policy_condition *condition)
{
    const json_t *value = json_object_get(map, name);
    size_t count = json_is_object(value) ? json_object_size(value) : 1;
    struct policy_test *tests = policy_loader_alloc(loader, count > 0 ? count : 1, sizeof(*tests));

    *condition = (struct policy_condition){ 0 }; /* one before it that failed may have been here */
    if (tests == NULL || !read_name(loader, map, name, scope, condition))
        return false;
    condition->tests = tests;
    if (json_is_object(value))
        return read_operators(loader, value, condition, tests);
    condition->test_count = 1;
    return read_values(loader, value, condition, &tests[0]);
}
