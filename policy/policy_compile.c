#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "policy/policy_internal.h"

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

/* ---- what it was compiled with ---- */

static bool is_used(const struct policy_unit *unit, const struct policy_use *use)
{
    for (size_t i = 0; i < unit->use_count; i++)
        if (unit->uses[i].document == use->document && str_eq(unit->uses[i].name, use->name))
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

/* The hash of a definition as it is now, or NULL. */
static const uint8_t *find_definition(const struct policy_definitions *definitions,
                                      const struct policy_use *use)
{
    const struct policy_set *set = policy_set_find(definitions, use->name);

    return set == NULL ? NULL : set->sha256;
}

bool policy_unit_is_fresh(const struct policy_unit *unit,
                          const struct policy_definitions *definitions)
{
    for (size_t i = 0; i < unit->use_count; i++) {
        const uint8_t *now = find_definition(definitions, &unit->uses[i]);

        if (now == NULL || memcmp(now, unit->uses[i].sha256, SHA256_LEN) != 0)
            return false;
    }
    return true;
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
    { "sets", POLICY_DOCUMENT_SETS, true, policy_sets_read },
};

#define IS_ONE "a file is one pipeline, or sets"

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
    if (kind == NULL && !policy_words_refuse(loader, POLICY_PLACE_DOCUMENT, root) &&
        policy_words_check(loader, POLICY_PLACE_DOCUMENT, root) && json_object_size(root) == 0)
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

static struct policy_unit *unit_new(struct str path, struct str text)
{
    OWNED(policy_unit_unref) struct policy_unit *unit = calloc(1, sizeof(*unit));

    if (unit == NULL)
        return NULL;
    atomic_init(&unit->reference_count, 1);
    unit->arena = arena_new(SIZE_MAX / 2);
    if (unit->arena == NULL)
        return NULL;
    diagnostics_init(&unit->warnings, unit->arena);
    unit->path = arena_copy(unit->arena, path);
    sha256(text, unit->sha256);
    return unit->path.data == NULL ? NULL : TAKE(unit);
}

static bool read_document(const struct policy_compilation *compilation,
                          const struct yaml_document *yaml, const struct document_kind *kind,
                          struct policy_unit **out)
{
    OWNED(policy_unit_unref) struct policy_unit *unit =
        unit_new(compilation->path, compilation->text);
    JSON_OWNED json_t *used_sets = json_object();
    struct policy_loader loader = { 0 };

    if (unit == NULL || used_sets == NULL)
        return false;
    unit->document = kind->document;
    loader.world = compilation->world;
    loader.definitions = compilation->definitions;
    loader.unit = unit;
    loader.arena = unit->arena;
    loader.reader = (struct yaml_reader){ yaml, compilation->diagnostics, NULL };
    loader.used_sets = used_sets;
    kind->read(&loader, yaml_root(yaml));
    if (loader.is_out_of_memory)
        return false;
    if (compilation->diagnostics->error_count > 0)
        return true;
    diagnostics_append(&unit->warnings, compilation->diagnostics);
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
    return read_document(compilation, yaml, kind, unit);
}
