#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "policy/policy_internal.h"

#define FILLED_MAX ((size_t)1024 * 1024) /* bytes of a text with its holes filled */

/* ---- text with holes ---- */

/* A piece of text: literal, and then a hole unless `name` is empty. */
struct piece {
    struct str literal;
    struct str name;
    bool is_last;
};

/* Where "${" starts, or the text's length. */
static size_t find_hole(struct str text)
{
    for (size_t i = 0; i + 1 < text.len; i++)
        if (text.data[i] == '$' && text.data[i + 1] == '{')
            return i;
    return text.len;
}

/* Take literal text and the hole behind it; false where a hole does not end. */
static bool take_piece(struct str *text, struct piece *piece)
{
    size_t at = find_hole(*text);

    *piece = (struct piece){ .literal = str_slice(*text, 0, at), .is_last = at == text->len };
    if (piece->is_last)
        return true;
    return str_cut(str_slice(*text, at + 2, text->len), '}', &piece->name, text);
}

/* ---- what conditions remember ---- */

/* The clauses of a stage that must hold, so that what they remember is there. */
#define CLAUSE_COUNT 3

static void list_clauses(const struct policy_stage_rule *stage,
                         const struct policy_clause *clauses[CLAUSE_COUNT])
{
    clauses[0] = &stage->pipeline->identity;
    clauses[1] = &stage->pipeline->when;
    clauses[2] = &stage->when;
}

static const struct glob *glob_of(const struct policy_test *test)
{
    return test->operation == POLICY_LIKE && !test->is_negated ? test->glob : NULL;
}

/* How often a condition remembers a name. */
static size_t count_in_condition(const struct policy_condition *condition, struct str name)
{
    size_t count = 0;

    for (size_t i = 0; i < condition->test_count; i++) {
        const struct glob *glob = glob_of(&condition->tests[i]);

        for (size_t k = 0; glob != NULL && k < glob->name_count; k++)
            count += str_eq(glob->names[k], name);
    }
    return count;
}

static size_t count_in_map(const struct policy_map *map, struct str name)
{
    size_t count = 0;

    for (size_t i = 0; i < map->count; i++)
        count += count_in_condition(&map->conditions[i], name);
    return count;
}

/* How often a name is remembered: least and most, over the maps that can be the one that holds. */
static void count_names(const struct policy_stage_rule *stage, struct str name, size_t *least,
                        size_t *most)
{
    const struct policy_clause *clauses[CLAUSE_COUNT];

    *least = 0;
    *most = 0;
    list_clauses(stage, clauses);
    for (size_t i = 0; i < CLAUSE_COUNT; i++) {
        size_t clause_least = clauses[i]->count == 0 ? 0 : SIZE_MAX;
        size_t clause_most = 0;

        for (size_t k = 0; k < clauses[i]->count; k++) {
            size_t count = count_in_map(&clauses[i]->maps[k], name);

            clause_least = count < clause_least ? count : clause_least;
            clause_most = count > clause_most ? count : clause_most;
        }
        *least += clause_least;
        *most += clause_most;
    }
}

/* Report the first name of a pattern that is remembered elsewhere too; false where there is one. */
static bool check_glob(const struct policy_loader *loader, const json_t *at,
                       const struct policy_stage_rule *stage, const struct glob *glob)
{
    for (size_t i = 0; glob != NULL && i < glob->name_count; i++) {
        size_t least;
        size_t most;

        count_names(stage, glob->names[i], &least, &most);
        if (most > 1)
            return yaml_complain(&loader->reader, at,
                                 "'{" STR_FMT "}' is remembered by two conditions of this stage",
                                 STR_ARG(glob->names[i]));
    }
    return true;
}

static bool check_map(const struct policy_loader *loader, const json_t *at,
                      const struct policy_stage_rule *stage, const struct policy_map *map)
{
    for (size_t i = 0; i < map->count; i++) {
        const struct policy_condition *condition = &map->conditions[i];

        for (size_t k = 0; k < condition->test_count; k++)
            if (!check_glob(loader, at, stage, glob_of(&condition->tests[k])))
                return false;
    }
    return true;
}

void policy_captures_check(struct policy_loader *loader, const json_t *at,
                           const struct policy_stage_rule *stage)
{
    const struct policy_clause *clauses[CLAUSE_COUNT];
    bool is_good = true;

    list_clauses(stage, clauses);
    for (size_t i = 0; i < CLAUSE_COUNT; i++)
        for (size_t k = 0; is_good && k < clauses[i]->count; k++)
            is_good = check_map(loader, at, stage, &clauses[i]->maps[k]);
}

/* ---- holes at load ---- */

struct hole_check {
    struct policy_loader *loader;
    const struct policy_stage_rule *stage;
    const char *field;
    bool may_have_holes;
    bool has_holes;
};

static bool check_hole(struct hole_check *check, const json_t *at, const struct piece *piece)
{
    const struct yaml_reader *reader = &check->loader->reader;
    struct str name = str_slice(piece->name, 0, GLOB_NAME_MAX);
    size_t least = 0;
    size_t most = 0;

    if (!check->may_have_holes)
        return yaml_complain(reader, at, "'${...}' cannot stand in '%s'", check->field);
    if (str_starts_with(piece->name, STR("param.")))
        return yaml_complain(reader, at, "parameters stand in templates only");
    count_names(check->stage, piece->name, &least, &most);
    if (most == 0)
        return yaml_complain_hint(
            reader, at, STR("a pattern remembers: ref: { like: \"refs/pull/{pr}/merge\" }"),
            "no condition of this stage remembers '{" STR_FMT "}'", STR_ARG(name));
    if (least == 0)
        return yaml_complain(reader, at,
                             "'{" STR_FMT "}' is remembered by some of the maps only that can hold",
                             STR_ARG(name));
    return true;
}

static bool check_text(struct hole_check *check, const json_t *at)
{
    const struct yaml_reader *reader = &check->loader->reader;
    struct str text = json_str(at);
    bool is_first = true;
    struct piece piece;

    while (take_piece(&text, &piece)) {
        if (piece.is_last)
            return true;
        if (!is_first && piece.literal.len == 0)
            return yaml_complain(reader, at, "two holes touch each other: put text between them");
        if (!check_hole(check, at, &piece))
            return false;
        check->has_holes = true;
        is_first = false;
    }
    return yaml_complain(reader, at, "'${' opens a hole that no '}' ends");
}

static void check_value(struct hole_check *check, const json_t *value)
{
    const char *name;
    json_t *member;

    if (json_is_string(value))
        (void)check_text(check, value);
    for (size_t i = 0; i < json_array_size(value); i++)
        check_value(check, json_array_get(value, i));
    json_object_foreach (json_iterable(value), name, member) {
        if (find_hole(str_from(name)) < str_from(name).len)
            (void)yaml_complain_key(&check->loader->reader, value, name, STR(""),
                                    "'${...}' cannot stand in a key");
        check_value(check, member);
    }
}

static bool is_named(const char *const *names, const char *name)
{
    for (size_t i = 0; names != NULL && names[i] != NULL; i++)
        if (str_eq(str_from(names[i]), str_from(name)))
            return true;
    return false;
}

void policy_holes_check(struct policy_loader *loader, const struct policy_stage_rule *stage,
                        const struct policy_grant_kind *kind, const json_t *fields, bool *has_holes)
{
    struct hole_check check = { .loader = loader, .stage = stage };
    const char *name;
    json_t *value;

    json_object_foreach (json_iterable(fields), name, value) {
        check.field = name;
        check.may_have_holes =
            !str_eq(str_from(name), STR("target")) && is_named(kind->fields_with_holes, name);
        check_value(&check, value);
    }
    *has_holes = check.has_holes;
}

/* ---- holes at a decision ---- */

/* What a condition remembers under a name, in a decision in which it holds. */
static bool recall(const struct policy_condition *condition, const struct policy_facts *facts,
                   struct str name, struct str *value)
{
    struct str captures[GLOB_CAPTURES_MAX];

    for (size_t i = 0; i < condition->test_count; i++) {
        const struct glob *glob = glob_of(&condition->tests[i]);

        for (size_t k = 0; glob != NULL && k < glob->name_count; k++) {
            if (!str_eq(glob->names[k], name))
                continue;
            if (!glob_capture(glob, json_str(policy_condition_value(condition, facts)), captures))
                return false;
            *value = captures[k];
            return true;
        }
    }
    return false;
}

static bool recall_in_map(const struct policy_map *map, struct policy_filling *filling,
                          struct str name, struct str *value)
{
    for (size_t i = 0; map != NULL && i < map->count; i++) {
        filling->failed = map->conditions[i].name;
        if (recall(&map->conditions[i], filling->facts, name, value))
            return true;
    }
    return false;
}

static bool may_fill(struct str value)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

    return value.len > 0 && value.len <= POLICY_HOLE_MAX &&
           str_is_made_of(str_slice(value, 0, 1), letters) &&
           str_is_made_of(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                 "._-");
}

/* Of the maps of a clause the first that holds is the one that counts. */
static bool find_value(struct policy_filling *filling, struct str name, struct str *value)
{
    const struct policy_stage_rule *stage = filling->stage;
    const struct policy_map *maps[] = {
        policy_identity_held(stage->pipeline, filling->facts),
        policy_clause_held(&stage->pipeline->when, filling->facts),
        policy_clause_held(&stage->when, filling->facts),
    };

    for (size_t i = 0; i < COUNT(maps); i++)
        if (recall_in_map(maps[i], filling, name, value))
            return may_fill(*value);
    return false;
}

static json_t *fill_text(struct policy_filling *filling, struct str text, struct error *error)
{
    OWNED(buf_release) struct buf out = { 0 };
    struct piece piece = { 0 };
    json_t *filled;

    buf_init(&out, FILLED_MAX);
    while (!piece.is_last && take_piece(&text, &piece)) {
        struct str value = STR("");

        if (!piece.is_last && !find_value(filling, piece.name, &value)) {
            (void)error_set(error, ERROR_CONDITION, "a remembered value may not fill a hole");
            return NULL;
        }
        buf_add(&out, piece.literal);
        buf_add(&out, value);
    }
    filled = buf_is_ok(&out) ? json_from_str(buf_str(&out)) : NULL;
    if (filled == NULL)
        (void)error_set(error, ERROR_MEMORY, "filling a grant");
    return filled;
}

/* A copy with the holes filled; NULL with the error set. */
static json_t *fill_value(struct policy_filling *filling, const json_t *value, struct error *error)
{
    JSON_OWNED json_t *copy = NULL;
    const char *name;
    json_t *member;

    if (json_is_string(value))
        return fill_text(filling, json_str(value), error);
    copy = json_is_object(value) ? json_object() : json_array();
    for (size_t i = 0; i < json_array_size(value); i++)
        if (json_array_append_new(copy, fill_value(filling, json_array_get(value, i), error)) != 0)
            return NULL;
    json_object_foreach (json_iterable(value), name, member) {
        if (json_object_set_new(copy, name, fill_value(filling, member, error)) != 0)
            return NULL;
    }
    return TAKE(copy);
}

bool policy_holes_fill(struct policy_filling *filling, const json_t *fields, const json_t **filled,
                       struct error *error)
{
    json_t *copy = fill_value(filling, fields, error);

    *filled = copy;
    if (copy == NULL)
        return error_set(error, ERROR_MEMORY, "filling a grant"); /* the first failure stays */
    return json_keep(filling->arena, copy, error);
}
