#include <string.h>

#include "base/json.h"
#include "base/time_text.h"
#include "base/utf8.h"
#include "policy/explain_internal.h"

static void *allocate(struct explain_planter *planter, size_t count, size_t size)
{
    void *memory = arena_alloc_array(planter->job->arena, count + 1, size);

    planter->is_out_of_memory |= memory == NULL;
    return memory;
}

struct str explain_tree_keep(struct explain_planter *planter, const struct buf *text)
{
    struct str copy = arena_copy(planter->job->arena, buf_str(text));

    planter->is_out_of_memory |= copy.data == NULL || !buf_is_ok(text);
    return copy;
}

/* ---- values ---- */

static void describe_json(const json_t *value, struct buf *out)
{
    if (json_is_string(value))
        policy_value_describe(json_str(value), out);
    else if (json_is_true(value))
        buf_add_text(out, "true");
    else if (json_is_false(value))
        buf_add_text(out, "false");
    else if (json_is_null(value))
        buf_add_text(out, "null");
    else if (json_is_object(value) || json_is_array(value))
        buf_add_json(out, value);
    else
        buf_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
}

/* Cut where it is long, between characters. */
static struct str keep_cut(struct explain_planter *planter, const struct buf *text)
{
    size_t len = utf8_offset(buf_str(text), EXPLAIN_GOT_MAX);

    if (len == text->len)
        return explain_tree_keep(planter, text);
    return arena_printf(planter->job->arena, STR_FMT "...",
                        STR_ARG(str_slice(buf_str(text), 0, len)));
}

static struct str value_text(struct explain_planter *planter, const json_t *value)
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, EXPLAIN_TEXT_MAX);
    if (json_is_real(value))
        buf_printf(&text, "%.17g", json_real_value(value));
    else
        describe_json(value, &text);
    return keep_cut(planter, &text);
}

static struct str quoted_text(struct explain_planter *planter, const json_t *value)
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, EXPLAIN_TEXT_MAX);
    buf_add_byte(&text, '"');
    buf_add_json_text(&text, json_str(value));
    buf_add_byte(&text, '"');
    return keep_cut(planter, &text);
}

struct str explain_tree_time(struct explain_planter *planter, int64_t time_s)
{
    char text[TIME_TEXT_S_LEN + 1];

    if (time_s == POLICY_NO_TIME)
        return STR("any time");
    time_text_s(time_s, text);
    return arena_copy(planter->job->arena, str_from(text));
}

void explain_tree_see_address(struct explain_planter *planter, struct explain_leaf *leaf)
{
    const struct address *address = planter->job->facts->address;
    char text[ADDRESS_TEXT_MAX];

    if (address == NULL || address->len == 0) {
        leaf->why = STR("the request's address is not known");
        return;
    }
    address_text(address, text);
    leaf->got = arena_copy(planter->job->arena, str_from(text));
}

/* Why there is a value, or none, and yet nothing can be told of it. */
static struct str doubt(const struct policy_condition *condition, const json_t *value)
{
    static const char *const wanted[] = {
        [POLICY_ANY] = "",
        [POLICY_TEXT] = "not the text that the issuer's profile says",
        [POLICY_INTEGER] = "not the number that the issuer's profile says",
        [POLICY_BOOLEAN] = "neither true nor false, as the issuer's profile says",
        [POLICY_ADDRESS] = "",
    };

    if (value == NULL || json_is_null(value))
        return STR("the issuer cannot say");
    if (condition->is_address && json_is_string(value))
        return STR("an address that nobody verified");
    return str_from(wanted[condition->type]);
}

static void see(struct explain_planter *planter, const struct policy_condition *condition,
                struct explain_leaf *leaf)
{
    enum policy_presence presence =
        policy_condition_look(condition, planter->job->facts, &leaf->value);

    if (condition->source == POLICY_SOURCE_ADDRESS) {
        explain_tree_see_address(planter, leaf);
        return;
    }
    if (leaf->value != NULL && !json_is_null(leaf->value))
        leaf->got = value_text(planter, leaf->value);
    if (presence == POLICY_CANNOT_SAY && json_is_string(leaf->value))
        leaf->got = quoted_text(planter, leaf->value); /* "3", which is not the number */
    if (presence == POLICY_MISSING)
        leaf->why = STR("absent");
    else if (planter->job->facts->unknown && policy_unknown_hides(condition, planter->job->facts))
        leaf->why = STR("not known any more");
    else if (presence == POLICY_CANNOT_SAY)
        leaf->why = doubt(condition, leaf->value);
    else if (leaf->outcome == EXPLAIN_UNKNOWN)
        leaf->why = STR("no time that can be read");
}

/* ---- conditions and clauses ---- */

static enum explain_outcome outcome_of(enum policy_outcome outcome)
{
    static const enum explain_outcome outcomes[] = {
        [POLICY_FAILS] = EXPLAIN_FAILS,
        [POLICY_HOLDS] = EXPLAIN_HOLDS,
        [POLICY_UNKNOWN] = EXPLAIN_UNKNOWN,
    };

    return outcomes[outcome];
}

/* How conditions are read. */
struct reading {
    struct str file; /* that they stand in */
    bool is_unless;
};

static void fill_leaf(struct explain_planter *planter, const struct policy_condition *condition,
                      const struct reading *reading, struct explain_leaf *leaf)
{
    OWNED(buf_release) struct buf expected = { 0 };

    buf_init(&expected, EXPLAIN_TEXT_MAX);
    policy_condition_describe(condition, EXPLAIN_EXPECTED_VALUES_MAX, &expected);
    leaf->name = condition->name;
    leaf->expected = explain_tree_keep(planter, &expected);
    leaf->outcome = outcome_of(policy_condition_try(condition, planter->job->facts));
    leaf->is_good = leaf->outcome == (reading->is_unless ? EXPLAIN_FAILS : EXPLAIN_HOLDS);
    leaf->at = policy_spot_position(condition->spot, reading->file, planter->stage);
    see(planter, condition, leaf);
}

static void fill_map(struct explain_planter *planter, const struct policy_map *map,
                     const struct reading *reading, struct explain_map *out)
{
    struct explain_leaf *leaves = allocate(planter, map->count, sizeof(*leaves));
    size_t good = 0;

    if (leaves == NULL)
        return;
    for (size_t i = 0; i < map->count; i++) {
        fill_leaf(planter, &map->conditions[i], reading, &leaves[i]);
        good += leaves[i].is_good;
    }
    out->leaves = leaves;
    out->count = map->count;
    /* `when` wants all of them, `unless` is content with one that surely fails. */
    out->is_good = reading->is_unless ? good > 0 : good == map->count;
}

void explain_tree_map(struct explain_planter *planter, const struct policy_map *map,
                      struct str file, struct explain_map *out)
{
    fill_map(planter, map, &(struct reading){ file, false }, out);
}

/* Room for one more; NULL without memory. */
static struct explain_clause *add_clause(struct explain_planter *planter, const char *title)
{
    struct explain_clause *clause;

    if (planter->count == planter->max) {
        size_t max = planter->max * 2 + 8;
        struct explain_clause *larger = allocate(planter, max, sizeof(*larger));

        if (larger == NULL)
            return NULL;
        if (planter->count > 0)
            memcpy(larger, planter->clauses, planter->count * sizeof(*larger));
        planter->clauses = larger;
        planter->max = max;
    }
    clause = &planter->clauses[planter->count++];
    *clause = (struct explain_clause){ .title = title, .is_good = true };
    return clause;
}

struct explain_clause *explain_tree_clause(struct explain_planter *planter, const char *title,
                                           size_t maps)
{
    struct explain_clause *clause = add_clause(planter, title);

    if (clause == NULL)
        return NULL;
    clause->maps = allocate(planter, maps, sizeof(*clause->maps));
    clause->count = clause->maps == NULL ? 0 : maps;
    return clause->maps == NULL ? NULL : clause;
}

static struct explain_clause *add_conditions(struct explain_planter *planter, const char *title,
                                             const struct policy_clause *clause)
{
    return clause->count == 0 ? NULL : explain_tree_clause(planter, title, clause->count);
}

static size_t count_bad(const struct explain_map *map)
{
    size_t bad = 0;

    for (size_t i = 0; i < map->count; i++)
        bad += !map->leaves[i].is_good;
    return bad;
}

/* As policy_when_holds() does: of the maps the first that comes nearest. */
void explain_tree_name(struct explain_clause *clause)
{
    struct explain_map *nearest = &clause->maps[0];

    if (clause->is_good)
        return;
    for (size_t i = 1; i < clause->count; i++)
        if (count_bad(&clause->maps[i]) < count_bad(nearest))
            nearest = &clause->maps[i];
    for (size_t i = 0; i < nearest->count; i++)
        nearest->leaves[i].is_named = !nearest->leaves[i].is_good;
}

struct explain_clause *explain_tree_when(struct explain_planter *planter, const char *title,
                                         const struct policy_clause *clause, struct str file)
{
    const struct reading reading = { file, false };
    struct explain_clause *out = add_conditions(planter, title, clause);

    if (out == NULL)
        return NULL;
    out->is_good = false;
    for (size_t i = 0; i < clause->count; i++) {
        fill_map(planter, &clause->maps[i], &reading, &out->maps[i]);
        out->is_good |= out->maps[i].is_good;
    }
    explain_tree_name(out);
    return out;
}

/* A denial names all of each map that refuses, as policy_unless_holds() does. */
void explain_tree_unless(struct explain_planter *planter, const char *title,
                         const struct policy_clause *clause, struct str file)
{
    const struct reading reading = { file, true };
    struct explain_clause *out = add_conditions(planter, title, clause);

    if (out == NULL)
        return;
    out->is_unless = true;
    for (size_t i = 0; i < clause->count; i++) {
        struct explain_map *map = &out->maps[i];

        fill_map(planter, &clause->maps[i], &reading, map);
        out->is_good &= map->is_good;
        for (size_t k = 0; !map->is_good && k < map->count; k++)
            map->leaves[k].is_named = true;
    }
}

/* ---- what is no condition on claims ---- */

struct explain_clause *explain_tree_list(struct explain_planter *planter, const char *title,
                                         size_t max)
{
    struct explain_clause *clause = explain_tree_clause(planter, title, 1);

    if (clause == NULL)
        return NULL;
    clause->maps[0].is_good = true;
    clause->maps[0].leaves = allocate(planter, max, sizeof(*clause->maps[0].leaves));
    return clause->maps[0].leaves == NULL ? NULL : clause;
}

void explain_tree_leaf(struct explain_planter *planter, struct explain_leaf leaf)
{
    struct explain_clause *clause = &planter->clauses[planter->count - 1];
    struct explain_map *map = &clause->maps[0];

    leaf.is_good = leaf.outcome == EXPLAIN_HOLDS;
    leaf.is_named = !leaf.is_good;
    map->is_good &= leaf.is_good;
    clause->is_good &= leaf.is_good;
    map->leaves[map->count++] = leaf;
}
