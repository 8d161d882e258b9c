#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "policy/policy_loader.h"
#include "policy/policy_rails.h"

#define COMPARED_NAMES_MAX 2000 /* of which the nearest to another one is told */

/* ---- memory of a unit ---- */

void *policy_loader_alloc(struct policy_loader *loader, size_t count, size_t size)
{
    void *memory = arena_alloc_array(loader->arena, count, size);

    if (memory == NULL)
        loader->is_out_of_memory = true;
    return memory;
}

struct str policy_loader_copy(struct policy_loader *loader, struct str text)
{
    struct str copy = arena_copy(loader->arena, text);

    if (copy.data == NULL)
        loader->is_out_of_memory = true;
    return copy;
}

const json_t *policy_loader_keep(struct policy_loader *loader, const json_t *value)
{
    struct error error = { 0 };

    if (json_keep(loader->arena, json_incref(json_iterable(value)), &error))
        return value;
    loader->is_out_of_memory = true;
    return NULL;
}

struct policy_spot policy_spot_of(const struct policy_loader *loader, const json_t *map,
                                  const char *key)
{
    struct position at = yaml_at_key(loader->reader.document, map, key);
    size_t column = at.column < UINT16_MAX ? at.column : UINT16_MAX;

    return (struct policy_spot){ .line = (uint32_t)at.line,
                                 .column = (uint16_t)column,
                                 .is_of_template = !str_eq(at.file, loader->unit->path) };
}

/* ---- what it was compiled with ---- */

static bool is_used(const struct policy_unit *unit, const struct policy_use *use)
{
    for (size_t i = 0; i < unit->use_count; i++)
        if (unit->uses[i].unit == use->unit && unit->uses[i].set == use->set)
            return true;
    return false;
}

void policy_loader_use(struct policy_loader *loader, const struct policy_use *use)
{
    struct policy_unit *unit = loader->unit;
    size_t count = unit->use_count;

    if (is_used(unit, use))
        return;
    if ((count & (count - 1)) == 0) { /* full: 1, 2, 4, ... uses have room */
        struct policy_use *larger = policy_loader_alloc(loader, count * 2 + 1, sizeof(*larger));

        if (larger == NULL)
            return;
        if (count > 0)
            memcpy(larger, unit->uses, count * sizeof(*larger));
        unit->uses = larger;
    }
    unit->uses[count] = *use;
    (void)policy_unit_ref(use->unit);
    unit->use_count++;
}

/* Whether a definition is still the same. */
static bool is_fresh(const struct policy_use *use, const struct policy_definitions *definitions)
{
    const struct policy_template *template = use->unit->template;
    const struct policy_template *found;
    const struct policy_set *set;

    if (use->set != NULL) {
        set = policy_set_find(definitions, use->set->name);
        return set != NULL && memcmp(set->sha256, use->set->sha256, SHA256_LEN) == 0;
    }
    found = policy_template_find(definitions, template->name);
    return found != NULL && memcmp(found->sha256, template->sha256, SHA256_LEN) == 0;
}

struct str *policy_loader_names(const struct policy_loader *loader, size_t count)
{
    struct diagnostics *diagnostics = loader->reader.diagnostics;

    if (count > COMPARED_NAMES_MAX || !diagnostics_have_room(diagnostics, DIAGNOSTIC_ERROR))
        return NULL;
    return arena_alloc_array(diagnostics->arena, count + 1, sizeof(struct str));
}

bool policy_loader_miss(struct policy_loader *loader, const json_t *use, const char *what,
                        const struct str *names, size_t count)
{
    struct arena *arena = loader->reader.diagnostics->arena;

    if (loader->definitions->are_incomplete) {
        loader->is_incomplete = true;
        return false;
    }
    return yaml_complain_hint(&loader->reader, use,
                              diagnostic_nearest(arena, json_str(use), names, count),
                              "there is no %s '" STR_FMT "'", what,
                              STR_ARG(str_slice(json_str(use), 0, POLICY_SET_NAME_MAX)));
}

bool policy_unit_is_fresh(const struct policy_unit *unit,
                          const struct policy_definitions *definitions)
{
    for (size_t i = 0; i < unit->use_count; i++)
        if (!is_fresh(&unit->uses[i], definitions))
            return false;
    return policy_zones_are_fresh(definitions->zones, unit);
}

/* ---- kinds of documents ---- */

static void read_pipeline(struct policy_loader *loader, const json_t *root)
{
    struct policy_pipeline *pipeline = policy_loader_alloc(loader, 1, sizeof(*pipeline));

    if (pipeline == NULL)
        return;
    policy_pipeline_read(loader, root, pipeline);
    loader->unit->pipeline = pipeline;
}

static const struct document_kind {
    const char *word; /* of the document's top; nothing else of this table may stand beside it */
    enum policy_document document;
    bool defines; /* other files are compiled with it; it uses none itself */
    void (*read)(struct policy_loader *loader, const json_t *root);
} document_kinds[] = {
    { "pipeline", POLICY_DOCUMENT_PIPELINE, false, read_pipeline },
    { "template", POLICY_DOCUMENT_TEMPLATE, true, policy_template_read },
    { "sets", POLICY_DOCUMENT_SETS, true, policy_sets_read },
    { "guardrails", POLICY_DOCUMENT_GUARDRAILS, false, policy_guardrails_read },
};

#define IS_ONE "a file is one pipeline, a template, sets, or guardrails"

/* What a document is; NULL where it is nothing good, which is reported. */
static const struct document_kind *classify(const struct policy_loader *loader, const json_t *root)
{
    const struct document_kind *kind = NULL;

    for (size_t i = 0; i < COUNT(document_kinds); i++) {
        const char *word = document_kinds[i].word;

        if (json_object_get(root, word) == NULL)
            continue;
        if (kind != NULL) {
            (void)yaml_complain_key(&loader->reader, root, word, STR(""),
                                    "'%s' needs a file of its own: " IS_ONE, word);
            return NULL;
        }
        kind = &document_kinds[i];
    }
    if (kind == NULL && policy_words_check(loader, POLICY_PLACE_DOCUMENT, root) &&
        json_object_size(root) == 0)
        (void)yaml_complain(&loader->reader, root, IS_ONE);
    return kind;
}

bool policy_document_defines(enum policy_document document)
{
    for (size_t i = 0; i < COUNT(document_kinds); i++)
        if (document_kinds[i].document == document)
            return document_kinds[i].defines;
    return false;
}

static bool holds(struct str text, struct str word)
{
    for (size_t at = 0; at < text.len; at++) {
        at += str_find(str_slice(text, at, text.len), word.data[0]);
        if (str_starts_with(str_slice(text, at, word.len), word))
            return true;
    }
    return false;
}

bool policy_may_define(struct str text)
{
    for (size_t i = 0; i < COUNT(document_kinds); i++)
        if (document_kinds[i].defines && holds(text, str_from(document_kinds[i].word)))
            return true;
    return str_find(text, '\\') < text.len; /* a word can be written with escapes */
}

/* ---- compiling ---- */

static struct policy_unit *unit_new(struct str path, struct str text, struct slab *slab)
{
    OWNED(policy_unit_unref) struct policy_unit *unit = calloc(1, sizeof(*unit));

    if (unit == NULL)
        return NULL;
    atomic_init(&unit->reference_count, 1);
    unit->arena = arena_new_in(slab, SIZE_MAX / 2);
    if (unit->arena == NULL)
        return NULL;
    diagnostics_init(&unit->warnings, unit->arena);
    unit->path = arena_copy(unit->arena, path);
    sha256(text, unit->sha256);
    unit->size = text.len;
    return unit->path.data == NULL ? NULL : TAKE(unit);
}

static void loader_release(struct policy_loader *loader)
{
    yaml_document_free(loader->overlay);
    json_decref(loader->used_sets);
    json_decref(loader->expanded);
    json_decref(loader->filled);
}

OWNED_VALUE(loader_release, struct policy_loader)

static bool is_before(struct position a, struct position b)
{
    int order = str_compare(a.file, b.file);

    if (order != 0 || a.line != b.line)
        return order != 0 ? order < 0 : a.line < b.line;
    return a.column < b.column;
}

/* As people read the file: words are read in another order than they stand in. */
static void sort_by_place(const struct diagnostics *diagnostics)
{
    for (size_t i = 1; i < diagnostics->count; i++) {
        struct diagnostic one = diagnostics->list[i];
        size_t at = i;

        for (; at > 0 && is_before(one.at, diagnostics->list[at - 1].at); at--)
            diagnostics->list[at] = diagnostics->list[at - 1];
        diagnostics->list[at] = one;
    }
}

static bool read_document(const struct policy_compilation *compilation,
                          struct yaml_document **take_yaml, const struct document_kind *kind,
                          struct policy_unit **out)
{
    OWNED(policy_unit_unref) struct policy_unit *unit =
        unit_new(compilation->path, compilation->text, compilation->slab);
    OWNED(loader_release) struct policy_loader loader = { .world = compilation->world };

    loader.used_sets = json_object();
    loader.expanded = json_object();
    loader.filled = json_array();
    if (unit == NULL || loader.used_sets == NULL || loader.expanded == NULL ||
        loader.filled == NULL)
        return false;
    unit->document = kind->document;
    loader.definitions = compilation->definitions;
    loader.unit = unit;
    loader.arena = unit->arena;
    loader.reader = (struct yaml_reader){ *take_yaml, compilation->diagnostics, NULL };
    if (kind->document == POLICY_DOCUMENT_TEMPLATE)
        unit->yaml = TAKE(*take_yaml);
    kind->read(&loader, yaml_root(loader.reader.document));
    sort_by_place(compilation->diagnostics);
    if (loader.is_out_of_memory)
        return false;
    if (compilation->diagnostics->error_count > 0 || loader.is_incomplete)
        return true;
    diagnostics_append(&unit->warnings, compilation->diagnostics);
    arena_settle(unit->arena);
    *out = TAKE(unit);
    return true;
}

bool policy_compile(const struct policy_compilation *compilation, bool *is_definition,
                    struct policy_unit **unit)
{
    OWNED(yaml_document_free) struct yaml_document *yaml = NULL;
    struct policy_loader loader = { .world = compilation->world };
    const struct document_kind *kind;

    *is_definition = false;
    *unit = NULL;
    if (!yaml_parse(compilation->path, compilation->text, compilation->diagnostics, &yaml))
        return true;
    loader.reader = (struct yaml_reader){ yaml, compilation->diagnostics, NULL };
    kind = classify(&loader, yaml_root(yaml));
    if (kind == NULL)
        return true;
    *is_definition = kind->defines;
    if (compilation->definitions == NULL && !kind->defines)
        return true;
    return read_document(compilation, &yaml, kind, unit);
}
