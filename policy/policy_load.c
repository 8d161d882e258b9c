#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/slab.h"
#include "policy/policy_loader.h"

/*
 * A load goes over all files twice. The first time each is read and hashed; the definitions among
 * them, which others are compiled with, are compiled. The second time all others are. What the
 * policy before this one has, compiled from the same bytes with the same definitions, is taken over
 * instead. Files are too large as a whole to be kept between the two, so they are read again, and
 * have to be the same.
 *
 * Each file is a job of its own, which may run on any thread, and reports into diagnostics of its
 * own: these are joined in the order of the files, a block of files at a time, so that it does not
 * show how many threads there were, and memory is bounded.
 */

#define BLOCK_FILES 1024
#define SLABS_MAX 64        /* threads that have one; others do without */
#define SLAB_FILES_MIN 1000 /* compiled at once: fewer would leave large pages empty */
#define DIGESTS_LEN ((size_t)2 * SHA256_LEN) /* of a file: its name and its bytes */

/* A file on its way; each is touched by one job at a time. */
struct task {
    struct policy_unit *unit;      /* one reference; NULL: none yet, or it is not good */
    struct policy_unit *candidate; /* borrowed from the previous policy: the same bytes */
    struct arena *scratch;         /* of `diagnostics`; NULL: nothing to say */
    struct diagnostics diagnostics;
    bool is_failed;     /* nothing more to do with it */
    bool may_be_missed; /* it is not good, and may be a definition */
    bool is_out_of_memory;
};

struct load {
    const struct policy_load_options *options;
    const struct policy *previous; /* NULL: none that can be used */
    struct policy *policy;
    struct arena *arena; /* names of files, `tasks`, `digests`, `definitions` */
    struct policy_files files;
    struct task *tasks; /* a file each */
    uint8_t (*digests)[DIGESTS_LEN];
    struct policy_definitions definitions;
    struct policy_zones zones;
    _Atomic(struct slab *) slabs[SLABS_MAX]; /* that nobody is at; NULL: none */
    bool has_slabs;
    size_t first;  /* file of the block at hand */
    bool is_short; /* a file has no unit */
    size_t errors_before;
};

static void load_release(struct load *load)
{
    for (size_t i = 0; load->tasks != NULL && i < load->files.count; i++) {
        policy_unit_unref(load->tasks[i].unit);
        arena_free(load->tasks[i].scratch);
    }
    for (size_t i = 0; i < SLABS_MAX; i++)
        slab_free(atomic_load(&load->slabs[i]));
    policy_zones_release(&load->zones);
    policy_sharing_release(load->definitions.sharing);
    arena_free(load->arena);
}

OWNED_VALUE(load_release, struct load)

/* ---- one file ---- */

/* Memory for what is wrong with a file. */
static bool open_scratch(struct task *task)
{
    if (task->scratch == NULL)
        task->scratch = arena_new(SIZE_MAX / 2);
    task->is_out_of_memory |= task->scratch == NULL;
    if (task->scratch != NULL)
        diagnostics_init(&task->diagnostics, task->scratch);
    return task->scratch != NULL;
}

static void drop_scratch(struct task *task)
{
    arena_free(task->scratch);
    task->scratch = NULL;
    task->diagnostics = (struct diagnostics){ 0 };
}

/* The unit of the same file and bytes in the policy before this one, or NULL. */
static struct policy_unit *find_candidate(const struct load *load, struct str path,
                                          const uint8_t *digest)
{
    size_t low = 0;
    size_t high = load->previous == NULL ? 0 : load->previous->unit_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        struct policy_unit *unit = load->previous->units[middle];
        int order = str_compare(path, unit->path);

        if (order == 0)
            return memcmp(unit->sha256, digest, SHA256_LEN) == 0 ? unit : NULL;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* Somewhere to make a unit, for this thread alone. NULL: by itself. */
static struct slab *take_slab(struct load *load)
{
    struct slab *slab = NULL;

    for (size_t i = 0; load->has_slabs && slab == NULL && i < SLABS_MAX; i++)
        slab = atomic_exchange(&load->slabs[i], NULL);
    return load->has_slabs && slab == NULL ? slab_new() : slab;
}

static void put_slab(struct load *load, struct slab *slab)
{
    for (size_t i = 0; slab != NULL && i < SLABS_MAX; i++) {
        struct slab *nobody = NULL;

        if (atomic_compare_exchange_strong(&load->slabs[i], &nobody, slab))
            return;
    }
    slab_free(slab);
}

static void compile(struct load *load, size_t index, struct str text,
                    const struct policy_definitions *definitions, bool *is_definition)
{
    struct task *task = &load->tasks[index];
    struct slab *slab = take_slab(load);
    const struct policy_compilation compilation = {
        .world = load->options->world,
        .definitions = definitions,
        .path = str_from(load->files.list[index].path),
        .text = text,
        .diagnostics = &task->diagnostics,
        .slab = slab,
    };

    task->is_out_of_memory |= !policy_compile(&compilation, is_definition, &task->unit);
    put_slab(load, slab);
}

static void define(struct load *load, size_t index, struct str text)
{
    struct task *task = &load->tasks[index];
    bool is_definition;

    compile(load, index, text, NULL, &is_definition);
    task->is_failed = is_definition && task->unit == NULL;
    task->may_be_missed = task->unit == NULL && task->diagnostics.error_count > 0;
    if (!task->is_failed)
        drop_scratch(task);
}

/* The first time round: read, hash, take over or compile what is a definition. */
static void examine(struct load *load, size_t index)
{
    OWNED(arena_free) struct arena *arena = arena_new(2 * YAML_BYTES_MAX);
    const struct policy_file *file = &load->files.list[index];
    uint8_t *digests = load->digests[index];
    struct task *task = &load->tasks[index];
    struct str text = { 0 };

    task->is_out_of_memory = arena == NULL;
    if (arena == NULL || !open_scratch(task))
        return;
    if (!policy_file_read(&load->files, file, arena, &task->diagnostics, &text)) {
        task->is_failed = true;
        task->may_be_missed = true;
        return;
    }
    sha256(file->name, digests);
    sha256(text, digests + SHA256_LEN);
    task->candidate = find_candidate(load, str_from(file->path), digests + SHA256_LEN);
    if (task->candidate == NULL && policy_may_define(text)) {
        define(load, index, text);
        return;
    }
    if (task->candidate != NULL && policy_document_defines(task->candidate->document))
        task->unit = policy_unit_ref(task->candidate);
    drop_scratch(task);
}

/* The second time: take over or compile all others. */
static void finish(struct load *load, size_t index)
{
    OWNED(arena_free) struct arena *arena = NULL;
    const struct policy_file *file = &load->files.list[index];
    struct task *task = &load->tasks[index];
    struct str text = { 0 };
    uint8_t digest[SHA256_LEN];
    bool is_definition = false;

    if (task->is_failed || task->unit != NULL)
        return;
    if (task->candidate != NULL && policy_unit_is_fresh(task->candidate, &load->definitions) &&
        !arena_is_sparse(task->candidate->arena)) {
        task->unit = policy_unit_ref(task->candidate);
        return;
    }
    arena = arena_new(2 * YAML_BYTES_MAX);
    task->is_out_of_memory = arena == NULL;
    if (arena == NULL || !open_scratch(task) ||
        !policy_file_read(&load->files, file, arena, &task->diagnostics, &text))
        return;
    sha256(text, digest);
    if (memcmp(digest, load->digests[index] + SHA256_LEN, SHA256_LEN) != 0)
        (void)diagnostics_add(&task->diagnostics, DIAGNOSTIC_ERROR,
                              (struct position){ str_from(file->path), 0, 0 }, STR(""), STR(""),
                              "the file changes meanwhile");
    else
        compile(load, index, text, &load->definitions, &is_definition);
    task->is_out_of_memory |= is_definition; /* it has not been compiled before: there was none */
    if (task->unit != NULL)
        drop_scratch(task);
}

/* ---- all files, a block at a time ---- */

static void examine_job(void *jobs, size_t index)
{
    struct load *load = jobs;

    examine(load, load->first + index);
}

static void finish_job(void *jobs, size_t index)
{
    struct load *load = jobs;

    finish(load, load->first + index);
}

static size_t block_end(const struct load *load)
{
    size_t left = load->files.count - load->first;

    return load->first + (left < BLOCK_FILES ? left : BLOCK_FILES);
}

static bool run_block(struct load *load, void (*job)(void *jobs, size_t index), struct error *error)
{
    const struct policy_load_options *options = load->options;
    size_t end = block_end(load);

    if (options->run_jobs != NULL)
        options->run_jobs(end - load->first, job, load, options->run_jobs_context);
    for (size_t i = load->first; options->run_jobs == NULL && i < end; i++)
        job(load, i - load->first);
    for (size_t i = load->first; i < end; i++)
        if (load->tasks[i].is_out_of_memory)
            return error_set(error, ERROR_MEMORY, "loading a policy");
    return true;
}

/* Keep no more of a block's reports than can be shown in the end. */
static void bound_reports(struct load *load, size_t *kept)
{
    for (size_t i = load->first; i < block_end(load); i++) {
        struct task *task = &load->tasks[i];
        struct diagnostics counts = { .error_count = task->diagnostics.error_count,
                                      .dropped_count = task->diagnostics.dropped_count +
                                                       task->diagnostics.count };

        if (*kept < DIAGNOSTICS_MAX) {
            *kept += task->diagnostics.count;
            continue;
        }
        drop_scratch(task);
        task->diagnostics = counts;
    }
}

static bool examine_all(struct load *load, struct error *error)
{
    size_t kept = 0;

    for (load->first = 0; load->first < load->files.count; load->first = block_end(load)) {
        if (!run_block(load, examine_job, error))
            return false;
        bound_reports(load, &kept);
    }
    return true;
}

/* Hand a block's units to the policy, and what there is to say of its files to the caller. */
static void join_block(struct load *load)
{
    struct policy *policy = load->policy;

    for (size_t i = load->first; i < block_end(load); i++) {
        struct task *task = &load->tasks[i];

        diagnostics_append(load->options->diagnostics,
                           task->unit != NULL ? &task->unit->warnings : &task->diagnostics);
        drop_scratch(task);
        load->is_short |= task->unit == NULL;
        if (task->unit == NULL)
            continue;
        policy->parsed_count += task->unit != task->candidate;
        policy->units[policy->unit_count++] = TAKE(task->unit);
    }
}

static size_t count_new(const struct load *load)
{
    size_t count = 0;

    for (size_t i = 0; i < load->files.count; i++)
        count += load->tasks[i].candidate == NULL;
    return count;
}

static bool finish_all(struct load *load, struct error *error)
{
    const struct policy_load_options *options = load->options;

    load->has_slabs = count_new(load) >= SLAB_FILES_MIN;
    for (load->first = 0; load->first < load->files.count; load->first = block_end(load)) {
        if (!run_block(load, finish_job, error))
            return false;
        join_block(load);
        if (options->progress != NULL)
            options->progress(block_end(load), load->files.count, options->progress_context);
    }
    return true;
}

/* ---- the load ---- */

static bool gather_definitions(struct load *load, struct error *error)
{
    struct policy_definitions *definitions = &load->definitions;
    struct diagnostics *diagnostics = load->options->diagnostics;
    size_t count = load->files.count;
    struct policy_unit **units =
        arena_alloc_array(load->arena, count + 1, sizeof(struct policy_unit *));

    for (size_t i = 0; units != NULL && i < count; i++) {
        units[i] = load->tasks[i].unit;
        definitions->are_incomplete |= load->tasks[i].may_be_missed;
    }
    if (units != NULL && policy_sets_gather(units, count, load->arena, diagnostics, definitions) &&
        policy_templates_gather(units, count, load->arena, diagnostics, definitions))
        return true;
    return error_set(error, ERROR_MEMORY, "loading a policy");
}

/* Say what nobody uses; not where somebody who would may be missing. */
static bool check_use(struct load *load, struct error *error)
{
    const struct policy *policy = load->policy;
    struct diagnostics *diagnostics = load->options->diagnostics;

    if (diagnostics->error_count > load->errors_before)
        return true;
    if (policy_templates_check_use(&load->definitions, policy->units, policy->unit_count,
                                   diagnostics))
        return true;
    return error_set(error, ERROR_MEMORY, "loading a policy");
}

static bool prepare(struct load *load, struct error *error)
{
    size_t count = load->files.count;

    load->tasks = arena_alloc_array(load->arena, count + 1, sizeof(load->tasks[0]));
    load->definitions.sharing = arena_alloc(load->arena, sizeof(*load->definitions.sharing));
    load->digests = arena_alloc_array(load->arena, count + 1, DIGESTS_LEN);
    load->policy->units =
        arena_alloc_array(load->policy->arena, count + 1, sizeof(struct policy_unit *));
    if (load->tasks != NULL && load->definitions.sharing != NULL && load->digests != NULL &&
        load->policy->units != NULL)
        return true;
    return error_set(error, ERROR_MEMORY, "loading a policy");
}

static bool load_units(struct load *load, struct error *error)
{
    if (!policy_files_list(load->options->folder, load->arena, load->options->diagnostics,
                           &load->files, error))
        return false;
    if (!prepare(load, error) || !examine_all(load, error) || !gather_definitions(load, error) ||
        !finish_all(load, error) || !check_use(load, error))
        return false;
    sha256((struct str){ (const char *)load->digests, load->files.count * DIGESTS_LEN },
           load->policy->sha256);
    load->policy->folder_len = str_from(load->options->folder).len + 1;
    return policy_provenance_read(load->options->folder, &load->files, load->policy->arena,
                                  load->options->diagnostics, &load->policy->provenance) ||
           error_set(error, ERROR_MEMORY, "loading a policy");
}

static bool load_all(struct load *load, struct error *error)
{
    struct diagnostics *diagnostics = load->options->diagnostics;
    size_t count;

    if (!load_units(load, error) || !policy_link(load->policy, load->options, error))
        return false;
    if (diagnostics->error_count == load->errors_before && load->policy->pipeline_count == 0)
        (void)diagnostics_add(diagnostics, DIAGNOSTIC_ERROR,
                              (struct position){ str_from(load->options->folder), 0, 0 }, STR(""),
                              STR(""), "there is no pipeline in this folder");
    if (diagnostics->error_count == load->errors_before && load->is_short)
        return error_set(error, ERROR_MEMORY, "loading a policy"); /* nothing else says nothing */
    if (diagnostics->error_count == load->errors_before)
        return true;
    count = diagnostics->error_count - load->errors_before;
    return error_set(error, ERROR_CONFIG, "policy folder %s: %zu error%s", load->options->folder,
                     count, count == 1 ? "" : "s");
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

bool policy_load(const struct policy_load_options *options, struct policy **out,
                 struct error *error)
{
    OWNED(policy_unref) struct policy *policy = policy_new(options->world);
    OWNED(load_release) struct load load = { .options = options, .policy = policy };

    load.zones.folder = options->zone_folder != NULL ? options->zone_folder : TIME_ZONE_FOLDER;
    load.definitions.zones = &load.zones;
    load.errors_before = options->diagnostics->error_count;
    load.arena = arena_new(SIZE_MAX / 2);
    if (policy == NULL || load.arena == NULL)
        return error_set(error, ERROR_MEMORY, "loading a policy");
    if (options->previous != NULL && options->previous->world == options->world)
        load.previous = options->previous;
    if (!load_all(&load, error))
        return false;
    *out = TAKE(policy);
    return true;
}
