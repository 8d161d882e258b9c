#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "policy/policy_loader.h"

#define FILLED_MAX ((size_t)1024 * 1024) /* bytes of a text with its holes filled */

/* ---- text with holes ---- */

bool policy_piece_take(struct str *text, struct policy_piece *piece)
{
    size_t at = str_find_part(*text, STR("${"));

    *piece =
        (struct policy_piece){ .literal = str_slice(*text, 0, at), .is_last = at == text->len };
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

/* A name that a map remembers, in one of its conditions. */
struct policy_memory {
    struct str name;
    uint32_t clause;
    uint32_t map;
};

static int compare_memories(const void *a, const void *b)
{
    const struct policy_memory *left = a;
    const struct policy_memory *right = b;
    int order = str_compare(left->name, right->name);

    if (order == 0)
        order = (left->clause > right->clause) - (left->clause < right->clause);
    return order != 0 ? order : (left->map > right->map) - (left->map < right->map);
}

static bool add_memory(struct policy_loader *loader, const struct policy_memory *memory)
{
    size_t capacity = loader->memory_capacity == 0 ? 16 : loader->memory_capacity * 2;
    struct policy_memory *larger;

    if (loader->memory_count == loader->memory_capacity) {
        larger = arena_alloc_array(loader->reader.diagnostics->arena, capacity, sizeof(*larger));
        loader->is_out_of_memory |= larger == NULL;
        if (larger == NULL)
            return false;
        if (loader->memory_count > 0)
            memcpy(larger, loader->memories, loader->memory_count * sizeof(*larger));
        loader->memories = larger;
        loader->memory_capacity = capacity;
    }
    loader->memories[loader->memory_count++] = *memory;
    return true;
}

static bool add_map(struct policy_loader *loader, const struct policy_map *map, size_t clause,
                    size_t index)
{
    for (size_t i = 0; i < map->count; i++) {
        const struct policy_condition *condition = &map->conditions[i];

        for (size_t k = 0; k < condition->test_count; k++) {
            const struct glob *glob = glob_of(&condition->tests[k]);

            for (size_t n = 0; glob != NULL && n < glob->name_count; n++)
                if (!add_memory(loader, &(struct policy_memory){ glob->names[n], (uint32_t)clause,
                                                                 (uint32_t)index }))
                    return false;
        }
    }
    return true;
}

/* All that a stage's conditions remember, sorted. */
static bool list_memories(struct policy_loader *loader, const struct policy_stage_rule *stage)
{
    const struct policy_clause *clauses[CLAUSE_COUNT];

    loader->memory_count = 0;
    list_clauses(stage, clauses);
    for (size_t i = 0; i < CLAUSE_COUNT; i++)
        for (size_t k = 0; k < clauses[i]->count; k++)
            if (!add_map(loader, &clauses[i]->maps[k], i, k))
                return false;
    if (loader->memory_count > 0)
        qsort(loader->memories, loader->memory_count, sizeof(loader->memories[0]),
              compare_memories);
    return true;
}

/* The first place of a name, or where it would be. */
static size_t find_memory(const struct policy_loader *loader, struct str name)
{
    size_t low = 0;
    size_t high = loader->memory_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (str_compare(loader->memories[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* How often the maps of a clause remember a name: from `*at` on, which is moved behind them. */
static void count_in_clause(const struct policy_loader *loader, const struct policy_clause *clause,
                            size_t *at, size_t *least, size_t *most)
{
    const struct policy_memory *first = &loader->memories[*at];
    size_t map_count = 0;

    *least = SIZE_MAX;
    *most = 0;
    while (*at < loader->memory_count && loader->memories[*at].clause == first->clause &&
           str_eq(loader->memories[*at].name, first->name)) {
        uint32_t map = loader->memories[*at].map;
        size_t count = 0;

        for (; *at < loader->memory_count &&
               compare_memories(&loader->memories[*at],
                                &(struct policy_memory){ first->name, first->clause, map }) == 0;
             (*at)++)
            count++;
        map_count++;
        *least = count < *least ? count : *least;
        *most = count > *most ? count : *most;
    }
    if (map_count < clause->count)
        *least = 0;
}

/*
 * How often the name at a place is remembered: least and most, over the maps that can be the one
 * that holds. The place is moved to the next name.
 */
static void count_name(const struct policy_loader *loader, const struct policy_stage_rule *stage,
                       size_t *at, size_t *least, size_t *most)
{
    const struct policy_clause *clauses[CLAUSE_COUNT];
    struct str name = loader->memories[*at].name;

    *least = 0;
    *most = 0;
    list_clauses(stage, clauses);
    while (*at < loader->memory_count && str_eq(loader->memories[*at].name, name)) {
        const struct policy_clause *clause = clauses[loader->memories[*at].clause];
        size_t clause_least;
        size_t clause_most;

        count_in_clause(loader, clause, at, &clause_least, &clause_most);
        *least += clause_least;
        *most += clause_most;
    }
}

void policy_captures_check(struct policy_loader *loader, const json_t *at,
                           const struct policy_stage_rule *stage)
{
    if (!list_memories(loader, stage))
        return;
    for (size_t i = 0; i < loader->memory_count;) {
        struct str name = loader->memories[i].name;
        size_t least;
        size_t most;

        count_name(loader, stage, &i, &least, &most);
        if (most <= 1)
            continue;
        (void)yaml_complain(&loader->reader, at,
                            "'{" STR_FMT "}' is remembered by two conditions of this stage",
                            STR_ARG(name));
        return;
    }
}

/* ---- holes at load ---- */

struct hole_check {
    struct policy_loader *loader;
    const struct policy_stage_rule *stage;
    const char *field;
    bool may_have_holes;
    bool has_holes;
};

static struct str hole_hint(const struct policy_loader *loader, struct str name)
{
    if (policy_template_has(loader->expanding, name))
        return arena_printf(loader->reader.diagnostics->arena,
                            "a parameter is written '${param." STR_FMT "}'", STR_ARG(name));
    return STR("a pattern remembers: ref: { like: \"refs/pull/{pr}/merge\" }");
}

static bool check_hole(struct hole_check *check, const json_t *at, const struct policy_piece *piece)
{
    const struct yaml_reader *reader = &check->loader->reader;
    struct str name = str_slice(piece->name, 0, GLOB_NAME_MAX);
    size_t at_memory = find_memory(check->loader, piece->name);
    size_t least = 0;
    size_t most = 0;

    if (!check->may_have_holes)
        return yaml_complain(reader, at, "'${...}' cannot stand in '%s'", check->field);
    if (str_starts_with(piece->name, STR("param.")))
        return yaml_complain(reader, at, "parameters stand in templates only");
    if (at_memory < check->loader->memory_count &&
        str_eq(check->loader->memories[at_memory].name, piece->name))
        count_name(check->loader, check->stage, &at_memory, &least, &most);
    if (most == 0)
        return yaml_complain_hint(reader, at, hole_hint(check->loader, piece->name),
                                  "no condition of this stage remembers '{" STR_FMT "}'",
                                  STR_ARG(name));
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
    struct policy_piece piece;

    while (policy_piece_take(&text, &piece)) {
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
        if (str_find_part(str_from(name), STR("${")) < str_from(name).len)
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

bool policy_hole_text_check(struct policy_loader *loader, const struct policy_stage_rule *stage,
                            const char *word, const json_t *text)
{
    struct hole_check check = {
        .loader = loader, .stage = stage, .field = word, .may_have_holes = true
    };

    (void)check_text(&check, text);
    return check.has_holes;
}

static bool is_remembered(const struct policy_loader *loader, const struct policy_stage_rule *stage,
                          struct str name)
{
    size_t at = find_memory(loader, name);
    size_t least = 0;
    size_t most = 0;

    if (at < loader->memory_count && str_eq(loader->memories[at].name, name))
        count_name(loader, stage, &at, &least, &most);
    return least > 0;
}

bool policy_holes_remembered(struct policy_loader *loader, const struct policy_stage_rule *stage,
                             struct str text, struct str *missing)
{
    struct policy_piece piece;

    if (!list_memories(loader, stage))
        return true; /* out of memory, which is an error by itself */
    while (policy_piece_take(&text, &piece) && !piece.is_last) {
        *missing = piece.name;
        if (!is_remembered(loader, stage, piece.name))
            return false;
    }
    return true;
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

static bool fill_into(struct policy_filling *filling, struct str text, struct buf *out,
                      struct error *error)
{
    struct policy_piece piece = { 0 };

    while (!piece.is_last && policy_piece_take(&text, &piece)) {
        struct str value = STR("");

        if (!piece.is_last && !find_value(filling, piece.name, &value))
            return error_set(error, ERROR_CONDITION, "a remembered value may not fill a hole");
        buf_add(out, piece.literal);
        buf_add(out, value);
    }
    return buf_is_ok(out) || error_set(error, ERROR_MEMORY, "filling holes");
}

bool policy_hole_text_fill(struct policy_filling *filling, struct str text, struct str *filled,
                           struct error *error)
{
    OWNED(buf_release) struct buf out = { 0 };

    buf_init(&out, FILLED_MAX);
    if (!fill_into(filling, text, &out, error))
        return false;
    *filled = arena_copy(filling->arena, buf_str(&out));
    return filled->data != NULL || error_set(error, ERROR_MEMORY, "filling holes");
}

static json_t *fill_text(struct policy_filling *filling, struct str text, struct error *error)
{
    OWNED(buf_release) struct buf out = { 0 };
    json_t *filled;

    buf_init(&out, FILLED_MAX);
    if (!fill_into(filling, text, &out, error))
        return NULL;
    filled = json_from_str(buf_str(&out));
    if (filled == NULL)
        (void)error_set(error, ERROR_MEMORY, "filling holes");
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
