#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "policy/policy_loader.h"

/*
 * A stage that uses a template gets a tree of its own, in which texts with parameters are filled
 * and what the stage adds is hung in; values without parameters are shared with the template's
 * tree. This tree is then read like any stage's. So that mistakes are told at their lines the
 * reader's document becomes an overlay of both files, in which each value that was made here has
 * the place of what it was made from:
 *
 *     a text that is one parameter only   where its value stands in `with`; also the text
 *     a text with other text besides      the text in the template; also the value
 *     a map or list                       the template's
 *
 * Values can bring no pattern, no hole and no second line: nothing that would have been read
 * differently if the template had it written out.
 */

#define NOT_IN_VALUES "*?{}$" /* of patterns, at some kind of grant or other, and of holes */

/* A use as it is filled in. */
struct use {
    struct policy_loader *loader;
    const struct policy_template *template;
    const json_t *at;   /* the value of `use` */
    const json_t *with; /* NULL: there is none */
};

static const struct policy_template *read_use(struct policy_loader *loader, const json_t *stage)
{
    const struct policy_definitions *definitions = loader->definitions;
    const json_t *at = json_object_get(stage, "use");
    const struct policy_template *template;
    struct str *names;
    struct str name;

    if (!yaml_get_str(&loader->reader, stage, "use", &name))
        return NULL;
    template = policy_template_find(definitions, name);
    if (template != NULL)
        return template;
    names = policy_loader_names(loader, definitions->template_count);
    for (size_t i = 0; names != NULL && i < definitions->template_count; i++)
        names[i] = definitions->templates[i]->name;
    (void)policy_loader_miss(loader, at, "template", names,
                             names == NULL ? 0 : definitions->template_count);
    return NULL;
}

static bool has_one_of(struct str text, const char *bytes)
{
    for (size_t i = 0; bytes[i] != '\0'; i++)
        if (str_find(text, bytes[i]) < text.len)
            return true;
    return false;
}

static bool check_argument(const struct policy_loader *loader, const char *name,
                           const json_t *value)
{
    struct str text = json_str(value);

    if (!json_is_string(value))
        return yaml_complain(&loader->reader, value, "'%s' must be one text, not a %s", name,
                             json_is_array(value) ? "list" : "map");
    if (text.len == 0 || text.len > POLICY_PARAMETER_MAX)
        return yaml_complain(&loader->reader, value,
                             "a parameter's value has 1 to %d bytes, not %zu", POLICY_PARAMETER_MAX,
                             text.len);
    if (str_has_control(text))
        return yaml_complain(&loader->reader, value, "a parameter's value is one line");
    if (has_one_of(text, NOT_IN_VALUES))
        return yaml_complain_hint(&loader->reader, value,
                                  STR("patterns and holes are the template's: write them there"),
                                  "a parameter's value has none of * ? { } $");
    return true;
}

static bool complain_unknown(const struct use *use, const char *name)
{
    const struct policy_loader *loader = use->loader;
    const struct policy_template *template = use->template;

    (void)yaml_complain_key(
        &loader->reader, use->with, name, policy_parameter_hint(loader, template, str_from(name)),
        "the template '" STR_FMT "' has no parameter '%s'", STR_ARG(template->name), name);
    return false;
}

static bool complain_missing(const struct use *use, struct str name)
{
    const struct yaml_reader *reader = &use->loader->reader;
    const struct policy_template *template = use->template;

    (void)yaml_complain_hint(reader, use->with == NULL ? use->at : use->with,
                             arena_printf(reader->diagnostics->arena,
                                          "say 'with: { " STR_FMT ": TEXT }'", STR_ARG(name)),
                             "the parameter '" STR_FMT "' is missing here", STR_ARG(name));
    diagnostics_relate(reader->diagnostics, template->at,
                       yaml_source(reader->document, template->at), STR("the template is here"));
    return false;
}

static bool check_arguments(const struct use *use)
{
    const struct policy_template *template = use->template;
    bool is_good = true;
    const char *name;
    json_t *value;

    json_object_foreach (json_iterable(use->with), name, value) {
        if (policy_template_has(template, str_from(name)))
            is_good &= check_argument(use->loader, name, value);
        else
            is_good = complain_unknown(use, name);
    }
    for (size_t i = 0; i < template->parameter_count; i++)
        if (json_object_get(use->with, template->parameters[i].data) == NULL)
            is_good = complain_missing(use, template->parameters[i]);
    return is_good;
}

/* ---- filling ---- */

/* The value of a parameter. */
static const json_t *argument_of(const struct use *use, struct str name)
{
    char key[POLICY_NAME_MAX + 1] = { 0 };

    memcpy(key, name.data, name.len);
    return json_object_get(use->with, key);
}

/* The value of the first parameter in a text; NULL where it has none. */
static const json_t *first_argument(const struct use *use, struct str text)
{
    struct policy_piece piece = { 0 };
    struct str name;

    while (!piece.is_last && policy_piece_take(&text, &piece))
        if (!piece.is_last && policy_parameter_of(piece.name, &name))
            return argument_of(use, name);
    return NULL;
}

/* Append a text with its parameters filled; other holes stay. */
static void fill_text(const struct use *use, struct str text, struct buf *out)
{
    struct policy_piece piece = { 0 };
    struct str name;

    while (!piece.is_last && policy_piece_take(&text, &piece)) {
        buf_add(out, piece.literal);
        if (piece.is_last)
            return;
        if (policy_parameter_of(piece.name, &name))
            buf_add(out, json_str(argument_of(use, name)));
        else
            buf_printf(out, "${" STR_FMT "}", STR_ARG(piece.name));
    }
}

/* Whether a text is one parameter and nothing else. */
static bool is_one_parameter(struct str text)
{
    struct policy_piece piece;

    return policy_piece_take(&text, &piece) && piece.literal.len == 0 && !piece.is_last &&
           text.len == 0;
}

/* Give a value that was made here the place of what it was made from. Takes `value`. */
static json_t *placed(const struct use *use, json_t *take_value, const struct yaml_stand *stand)
{
    if (take_value != NULL && yaml_overlay_place(use->loader->overlay, take_value, stand))
        return take_value;
    use->loader->is_out_of_memory = true;
    json_decref(take_value);
    return NULL;
}

static json_t *filled_text(struct use *use, const json_t *text)
{
    OWNED(buf_release) struct buf out = { 0 };
    struct yaml_stand stand = { .at = text, .key = text, .note = "with this it is", true };

    stand.other = first_argument(use, json_str(text));
    if (stand.other == NULL)
        return json_incref(json_iterable(text));
    buf_init(&out, SIZE_MAX / 2);
    fill_text(use, json_str(text), &out);
    use->loader->expansion_len += buf_str(&out).len;
    if (use->loader->expansion_len > POLICY_EXPANSION_MAX)
        return json_incref(json_iterable(text)); /* refused in the end */
    if (is_one_parameter(json_str(text)))
        stand = (struct yaml_stand){ stand.other, text, text, "the template has it here", false };
    return placed(use, buf_is_ok(&out) ? json_from_str(buf_str(&out)) : NULL, &stand);
}

static json_t *filled(struct use *use, const json_t *value);

static json_t *filled_list(struct use *use, const json_t *list)
{
    JSON_OWNED json_t *copy = json_array();
    bool is_changed = false;

    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *item = filled(use, json_array_get(list, i));

        is_changed |= item != json_array_get(list, i);
        if (json_array_append_new(copy, item) != 0)
            return NULL;
    }
    if (!is_changed)
        return json_incref(json_iterable(list));
    return placed(use, TAKE(copy), &(struct yaml_stand){ .at = list, .key = list });
}

static json_t *filled_map(struct use *use, const json_t *map)
{
    JSON_OWNED json_t *copy = json_object();
    bool is_changed = false;
    const char *key;
    json_t *member;

    json_object_foreach (json_iterable(map), key, member) {
        json_t *value = filled(use, member);

        is_changed |= value != member;
        if (json_object_set_new(copy, key, value) != 0)
            return NULL;
    }
    if (!is_changed)
        return json_incref(json_iterable(map));
    return placed(use, TAKE(copy), &(struct yaml_stand){ .at = map, .key = map });
}

/* A value with its parameters filled: a new reference, to itself where it has none. */
static json_t *filled(struct use *use, const json_t *value)
{
    if (json_is_string(value))
        return filled_text(use, value);
    return json_is_array(value) ? filled_list(use, value) : filled_map(use, value);
}

/* ---- putting together ---- */

/* Report what both write and only one may. */
static bool complain_both(const struct use *use, const json_t *own, const json_t *template,
                          const char *key, const char *what)
{
    const struct yaml_reader *reader = &use->loader->reader;
    struct position at = yaml_at_key(reader->document, template, key);

    (void)yaml_complain_key(
        reader, own, key, STR("a stage adds to its template; it replaces nothing"),
        "%s'%s' is in the template '" STR_FMT "' already", what, key, STR_ARG(use->template->name));
    diagnostics_relate(reader->diagnostics, at, yaml_source(reader->document, at),
                       STR("the template has it here"));
    return false;
}

/* Add a stage's own grants to those of its template. */
static bool join_grants(const struct use *use, json_t *all, const json_t *template,
                        const json_t *own)
{
    json_t *grants = json_copy(json_iterable(template));
    const struct yaml_stand stand = { own, own, template, "the template's are here", false };
    bool is_good = true;
    const char *name;
    json_t *grant;

    grants = placed(use, grants, &stand);
    if (json_object_set_new(all, "grants", grants) != 0)
        return false;
    json_object_foreach (json_iterable(own), name, grant) {
        if (json_object_get(template, name) != NULL)
            is_good = complain_both(use, own, template, name, "the grant ");
        else if (json_object_set(grants, name, grant) != 0)
            use->loader->is_out_of_memory = true;
    }
    return is_good;
}

/*
 * Note that both have a clause: policy_stage_clause_read() reads each by itself. What stands here
 * is for the document's hash: no clause that could be written looks like it.
 */
static bool join_clauses(const struct use *use, json_t *all, const char *key,
                         const json_t *template, const json_t *own)
{
    json_t *pair = json_pack("{s:[O,O]}", "and", template, own);

    pair = placed(use, pair, &(struct yaml_stand){ .at = own, .key = own });
    return json_object_set_new(all, key, pair) == 0;
}

static bool is_clause(const char *key)
{
    return str_eq(str_from(key), STR("when")) || str_eq(str_from(key), STR("unless"));
}

/* Add a word of a stage to those of its template. */
static bool add_word(const struct use *use, json_t *all, const json_t *own, const char *key)
{
    json_t *template = json_object_get(all, key);
    json_t *value = json_object_get(own, key);

    if (template == NULL || template == value)
        return json_object_set(all, key, value) == 0;
    if (is_clause(key))
        return join_clauses(use, all, key, template, value);
    if (!str_eq(str_from(key), STR("grants")))
        return complain_both(use, own, all, key, "");
    if (json_is_object(template) && json_is_object(value))
        return join_grants(use, all, template, value);
    return json_object_set(all, key, json_is_object(value) ? template : value) == 0;
}

/* All words of a stage that uses a template: a new reference. Mistakes make `*is_good` false. */
static json_t *join(const struct use *use, const json_t *template, const json_t *own, bool *is_good)
{
    JSON_OWNED json_t *all = json_copy(json_iterable(template));
    const char *key;
    json_t *value;

    all = placed(use, all, &(struct yaml_stand){ .at = own, .key = own });
    if (all == NULL)
        return NULL;
    json_object_foreach (json_iterable(own), key, value) {
        if (!str_eq(str_from(key), STR("use")) && !str_eq(str_from(key), STR("with")))
            *is_good &= add_word(use, all, own, key);
    }
    return TAKE(all);
}

/* ---- the expansion ---- */

/* Put the template's document below the reader's. */
static bool overlay(struct use *use)
{
    struct policy_loader *loader = use->loader;

    if (loader->overlay == NULL) {
        loader->overlay = yaml_overlay_new(loader->reader.document);
        loader->is_out_of_memory |= loader->overlay == NULL;
        if (loader->overlay == NULL)
            return false;
        loader->reader.document = loader->overlay;
    }
    if (!yaml_overlay_add(loader->overlay, use->template->document))
        return yaml_complain(&loader->reader, use->at, "a pipeline uses at most %d templates",
                             YAML_OVERLAY_MAX - 1);
    yaml_overlay_use(loader->overlay, use->at);
    return true;
}

/* Keep what was made as long as the loader, since places are by address. Borrowed again. */
static const json_t *keep(struct policy_loader *loader, json_t *take_value)
{
    if (json_array_append_new(loader->filled, take_value) == 0)
        return take_value;
    loader->is_out_of_memory = true;
    return NULL;
}

static bool complain_size(const struct use *use)
{
    return yaml_complain_hint(
        &use->loader->reader, use->at, STR("split the pipeline, or the template"),
        "with their templates this pipeline's stages come to more than %zu MiB",
        POLICY_EXPANSION_MAX / 1024 / 1024);
}

static bool expand(struct use *use, const char *name, const json_t *own,
                   struct policy_expansion *expansion)
{
    struct policy_loader *loader = use->loader;
    bool is_good = true;

    if (!overlay(use) || !check_arguments(use))
        return false;
    loader->expansion_len += use->template->unit->size;
    if (loader->expansion_len > POLICY_EXPANSION_MAX)
        return complain_size(use);
    expansion->own = own;
    expansion->template = keep(loader, filled(use, use->template->stage));
    if (expansion->template == NULL)
        return false;
    if (loader->expansion_len > POLICY_EXPANSION_MAX)
        return complain_size(use);
    expansion->all = keep(loader, join(use, expansion->template, own, &is_good));
    if (expansion->all == NULL ||
        json_object_set(loader->expanded, name, json_iterable(expansion->all)) != 0)
        return false;
    policy_loader_use(loader, &(struct policy_use){ use->template->unit, NULL });
    loader->expanding = use->template;
    return is_good;
}

void policy_expansion_end(struct policy_loader *loader)
{
    loader->expanding = NULL;
    if (loader->overlay != NULL)
        yaml_overlay_use(loader->overlay, NULL);
}

bool policy_stage_expand(struct policy_loader *loader, const json_t *stages, const char *name,
                         struct policy_expansion *expansion)
{
    const json_t *stage = json_object_get(stages, name);
    struct use use = { .loader = loader, .at = json_object_get(stage, "use") };

    *expansion = (struct policy_expansion){ 0 };
    if (use.at == NULL && json_object_get(stage, "with") == NULL) {
        expansion->all = stage;
        return true;
    }
    if (!yaml_require(&loader->reader, stage, "use"))
        return false;
    use.template = read_use(loader, stage);
    if (use.template == NULL || (json_object_get(stage, "with") != NULL &&
                                 !yaml_get_map(&loader->reader, stage, "with", &use.with)))
        return false;
    return expand(&use, name, stage, expansion);
}

/* ---- conditions of both ---- */

/* Report clauses that come to too many maps together. */
static bool complain_maps(const struct policy_loader *loader, const json_t *own, const char *key,
                          size_t count)
{
    return yaml_complain(&loader->reader, json_object_get(own, key),
                         "with the template's, '%s' comes to %zu maps, and has at most %d", key,
                         count, POLICY_ALTERNATIVES_MAX);
}

/* Conditions of two maps as one. */
static bool join_maps(struct policy_loader *loader, const struct policy_map *a,
                      const struct policy_map *b, struct policy_map *out)
{
    struct policy_condition *conditions =
        policy_loader_alloc(loader, a->count + b->count + 1, sizeof(*conditions));

    if (conditions == NULL)
        return false;
    if (a->count > 0)
        memcpy(conditions, a->conditions, a->count * sizeof(*conditions));
    if (b->count > 0)
        memcpy(conditions + a->count, b->conditions, b->count * sizeof(*conditions));
    *out = (struct policy_map){ conditions, a->count + b->count };
    return true;
}

/* "And": a map of each, in every way. */
static void join_when(struct policy_loader *loader, const struct policy_clause *a,
                      const struct policy_clause *b, struct policy_map *maps)
{
    for (size_t i = 0; i < a->count; i++)
        for (size_t k = 0; k < b->count; k++)
            if (!join_maps(loader, &a->maps[i], &b->maps[k], &maps[i * b->count + k]))
                return;
}

/* Both deny. */
static void join_unless(const struct policy_clause *a, const struct policy_clause *b,
                        struct policy_map *maps)
{
    memcpy(maps, a->maps, a->count * sizeof(*maps));
    memcpy(maps + a->count, b->maps, b->count * sizeof(*maps));
}

void policy_stage_clause_read(struct policy_loader *loader,
                              const struct policy_expansion *expansion, const char *key,
                              const struct policy_scope *scope, struct policy_clause *clause)
{
    bool is_when = str_eq(str_from(key), STR("when"));
    struct policy_clause template = { 0 };
    struct policy_clause own = { 0 };
    struct policy_map *maps;
    size_t count;

    if (expansion->own == NULL) {
        policy_clause_read(loader, expansion->all, key, scope, clause);
        return;
    }
    policy_clause_read(loader, expansion->template, key, scope, &template);
    policy_clause_read(loader, expansion->own, key, scope, &own);
    *clause = template.count > 0 ? template : own;
    if (template.count == 0 || own.count == 0)
        return;
    count = is_when ? template.count * own.count : template.count + own.count;
    if (count > POLICY_ALTERNATIVES_MAX) {
        (void)complain_maps(loader, expansion->own, key, count);
        return;
    }
    maps = policy_loader_alloc(loader, count, sizeof(*maps));
    if (maps == NULL)
        return;
    if (is_when)
        join_when(loader, &template, &own, maps);
    else
        join_unless(&template, &own, maps);
    *clause = (struct policy_clause){ maps, count };
}
