#include "policy/policy.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "policy/policy_internal.h"

#define DIGESTS_LEN ((size_t)2 * SHA256_LEN) /* of a file: its name and its bytes */

/* ---- life ---- */

struct policy *policy_ref(struct policy *policy)
{
    atomic_fetch_add(&policy->reference_count, 1);
    return policy;
}

void policy_unref(struct policy *policy)
{
    if (policy == NULL || atomic_fetch_sub(&policy->reference_count, 1) > 1)
        return;
    arena_free(policy->arena);
    free(policy);
}

static struct policy *policy_new(const struct policy_world *world)
{
    OWNED(policy_unref) struct policy *policy = calloc(1, sizeof(*policy));

    if (policy == NULL)
        return NULL;
    atomic_init(&policy->reference_count, 1);
    policy->world = world;
    policy->arena = arena_new(SIZE_MAX / 2);
    return policy->arena == NULL ? NULL : TAKE(policy);
}

const uint8_t *policy_sha256(const struct policy *policy)
{
    return policy->sha256;
}

size_t policy_pipeline_count(const struct policy *policy)
{
    return policy->pipeline_count;
}

size_t policy_stage_count(const struct policy *policy)
{
    return policy->stage_count;
}

/* ---- memory of a load ---- */

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

/* ---- documents ---- */

enum document_kind {
    DOCUMENT_BAD,
    DOCUMENT_PIPELINE,
    DOCUMENT_SETS,
};

struct document {
    const struct policy_file *file;
    struct yaml_document *yaml;
    enum document_kind kind;
};

/* All documents of a load. */
struct load {
    struct policy_loader loader;
    struct policy_files files;
    struct arena *scratch; /* names of files, and `documents` */
    struct document *documents;
    size_t pipeline_count;
    size_t set_count;
    size_t errors_before; /* that the caller's diagnostics already have */
};

static void load_release(struct load *load)
{
    for (size_t i = 0; load->documents != NULL && i < load->files.count; i++)
        yaml_document_free(load->documents[i].yaml);
    arena_free(load->scratch);
    json_decref(load->loader.used_sets);
}

OWNED_VALUE(load_release, struct load)

/* What a document is: the words of a document's top that it has. Nothing else may stand beside
 * them. */
static enum document_kind classify(const struct policy_loader *loader, const json_t *root)
{
    bool is_pipeline = json_object_get(root, "pipeline") != NULL;
    bool is_sets = json_object_get(root, "sets") != NULL;

    if (is_pipeline && is_sets)
        (void)yaml_complain_key(&loader->reader, root, "sets", STR(""),
                                "'sets' needs a file of its own: a file is one pipeline, or sets");
    else if (is_pipeline || is_sets)
        return is_pipeline ? DOCUMENT_PIPELINE : DOCUMENT_SETS;
    else if (!policy_words_refuse(loader, POLICY_PLACE_DOCUMENT, root) &&
             policy_words_check(loader, POLICY_PLACE_DOCUMENT, root) && json_object_size(root) == 0)
        (void)yaml_complain(&loader->reader, root, "a file is one pipeline, or sets");
    return DOCUMENT_BAD;
}

static void use_document(struct policy_loader *loader, const struct document *document)
{
    loader->reader.document = document->yaml;
}

/* Read, hash and parse one file. */
static bool read_document(struct load *load, struct document *document,
                          uint8_t digests[DIGESTS_LEN])
{
    OWNED(arena_free) struct arena *arena = arena_new(2 * YAML_BYTES_MAX);
    struct diagnostics *diagnostics = load->loader.reader.diagnostics;
    const struct policy_file *file = document->file;
    struct str text = { 0 };

    if (arena == NULL) {
        load->loader.is_out_of_memory = true;
        return false;
    }
    if (!policy_file_read(&load->files, file, arena, diagnostics, &text))
        return false;
    sha256(file->name, digests);
    sha256(text, digests + SHA256_LEN);
    if (!yaml_parse(str_from(file->path), text, diagnostics, &document->yaml))
        return false;
    use_document(&load->loader, document);
    document->kind = classify(&load->loader, yaml_root(document->yaml));
    return document->kind != DOCUMENT_BAD;
}

static size_t count_sets(const struct document *document)
{
    return json_object_size(json_object_get(yaml_root(document->yaml), "sets"));
}

static bool read_documents(struct load *load)
{
    size_t count = load->files.count;
    uint8_t *digests = arena_alloc_array(load->scratch, count + 1, DIGESTS_LEN);

    load->documents = arena_alloc_array(load->scratch, count + 1, sizeof(load->documents[0]));
    if (digests == NULL || load->documents == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        struct document *document = &load->documents[i];

        document->file = &load->files.list[i];
        if (!read_document(load, document, digests + i * DIGESTS_LEN))
            continue;
        load->pipeline_count += document->kind == DOCUMENT_PIPELINE;
        load->set_count += document->kind == DOCUMENT_SETS ? count_sets(document) : 0;
    }
    sha256((struct str){ (const char *)digests, count * DIGESTS_LEN }, load->loader.policy->sha256);
    return true;
}

/* ---- compiling ---- */

static void read_sets(struct load *load)
{
    struct policy_loader *loader = &load->loader;

    loader->sets = policy_loader_alloc(loader, load->set_count + 1, sizeof(loader->sets[0]));
    if (loader->sets == NULL)
        return;
    for (size_t i = 0; i < load->files.count; i++) {
        if (load->documents[i].kind != DOCUMENT_SETS)
            continue;
        use_document(loader, &load->documents[i]);
        policy_sets_read(loader, yaml_root(load->documents[i].yaml));
    }
    policy_sets_finish(loader);
}

static void read_pipelines(struct load *load)
{
    struct policy_loader *loader = &load->loader;
    struct policy *policy = loader->policy;

    policy->pipelines =
        policy_loader_alloc(loader, load->pipeline_count + 1, sizeof(policy->pipelines[0]));
    if (policy->pipelines == NULL)
        return;
    for (size_t i = 0; i < load->files.count && !loader->is_out_of_memory; i++) {
        struct document *document = &load->documents[i];
        struct policy_pipeline *pipeline = &policy->pipelines[policy->pipeline_count];

        if (document->kind != DOCUMENT_PIPELINE)
            continue;
        use_document(loader, document);
        json_object_clear(loader->used_sets);
        policy_pipeline_read(loader, yaml_root(document->yaml), document->file->path, pipeline);
        policy->pipeline_count++;
        policy->stage_count += pipeline->stage_count;
        yaml_document_free(document->yaml);
        document->yaml = NULL;
    }
}

static int compare_pipelines(const void *a, const void *b)
{
    const struct policy_pipeline *left = *(const struct policy_pipeline *const *)a;
    const struct policy_pipeline *right = *(const struct policy_pipeline *const *)b;
    int order = str_compare(left->name, right->name);

    return order != 0 ? order : str_compare(left->file, right->file);
}

/* Report names that two files have. */
static void check_unique(struct load *load)
{
    const struct policy *policy = load->loader.policy;
    const struct policy_pipeline **sorted = arena_alloc_array(
        load->scratch, policy->pipeline_count + 1, sizeof(const struct policy_pipeline *));

    if (sorted == NULL) {
        load->loader.is_out_of_memory = true;
        return;
    }
    for (size_t i = 0; i < policy->pipeline_count; i++)
        sorted[i] = &policy->pipelines[i];
    qsort(sorted, policy->pipeline_count, sizeof(const struct policy_pipeline *),
          compare_pipelines);
    for (size_t i = 1; i < policy->pipeline_count; i++) {
        const struct policy_pipeline *first = sorted[i - 1];

        if (first->name.len > 0 && str_eq(first->name, sorted[i]->name))
            (void)diagnostics_add(
                load->loader.reader.diagnostics, DIAGNOSTIC_ERROR, sorted[i]->at, STR(""), STR(""),
                "the pipeline '" STR_FMT "' is already at " STR_FMT ":%zu:%zu",
                STR_ARG(first->name), STR_ARG(first->at.file), first->at.line, first->at.column);
    }
}

static bool compile(struct load *load, struct error *error)
{
    read_sets(load);
    read_pipelines(load);
    check_unique(load);
    if (load->loader.is_out_of_memory)
        return error_set(error, ERROR_MEMORY, "compiling a policy");
    return true;
}

static bool load_all(struct load *load, const char *folder, struct error *error)
{
    struct policy_loader *loader = &load->loader;
    struct diagnostics *diagnostics = loader->reader.diagnostics;

    if (!policy_files_list(folder, load->scratch, diagnostics, &load->files, error))
        return false;
    if (!read_documents(load) || loader->is_out_of_memory)
        return error_set(error, ERROR_MEMORY, "reading a policy");
    if (!compile(load, error))
        return false;
    if (diagnostics->error_count == load->errors_before && loader->policy->pipeline_count == 0)
        (void)diagnostics_add(diagnostics, DIAGNOSTIC_ERROR,
                              (struct position){ str_from(folder), 0, 0 }, STR(""), STR(""),
                              "there is no pipeline in this folder");
    return true;
}

bool policy_load(const char *folder, const struct policy_world *world,
                 struct diagnostics *diagnostics, struct policy **out, struct error *error)
{
    OWNED(policy_unref) struct policy *policy = policy_new(world);
    OWNED(load_release) struct load load = { 0 };

    load.errors_before = diagnostics->error_count;
    load.scratch = arena_new(SIZE_MAX / 2);
    load.loader.used_sets = json_object();
    if (policy == NULL || load.scratch == NULL || load.loader.used_sets == NULL)
        return error_set(error, ERROR_MEMORY, "loading a policy");
    load.loader.world = world;
    load.loader.policy = policy;
    load.loader.arena = policy->arena;
    load.loader.reader.diagnostics = diagnostics;
    if (!load_all(&load, folder, error))
        return false;
    if (diagnostics->error_count > load.errors_before)
        return error_set(error, ERROR_CONFIG, "policy folder %s: %zu errors", folder,
                         diagnostics->error_count - load.errors_before);
    if (!policy_index_build(policy, error))
        return false;
    *out = TAKE(policy);
    return true;
}
