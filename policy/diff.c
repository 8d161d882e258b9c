#include "policy/diff.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "policy/diff_internal.h"
#include "policy/stage_lines.h"

/*
 * Both policies have their pipelines sorted by name, so their stages are paired in one pass.
 * Pipelines whose document and guardrails say the same are the same, and cost nothing more. What is
 * left is compared in chunks, each a job with memory of its own that lives as long as the result.
 */

#define CHUNK_PAIRS 64
#define BLOCK_CHUNKS 16                              /* between two reports of progress */
#define PROVER_BYTES_MAX ((size_t)256 * 1024 * 1024) /* for the proofs of a chunk */
#define TEXT_MAX 1024                                /* of a change */
#define FIRST_CHANGES 8

static const char *const way_names[] = {
    [POLICY_WAY_EVEN] = "even",
    [POLICY_WAY_NARROWER] = "narrower",
    [POLICY_WAY_WIDER] = "wider",
};

const char *policy_way_name(enum policy_way way)
{
    return way_names[way];
}

/* ---- changes ---- */

static bool grow(struct diff_changes *changes)
{
    size_t capacity = changes->capacity == 0 ? FIRST_CHANGES : 2 * changes->capacity;
    struct policy_change *list = arena_alloc_array(changes->arena, capacity, sizeof(*list));

    if (list == NULL)
        return false;
    if (changes->count > 0)
        memcpy(list, changes->list, changes->count * sizeof(*list));
    changes->list = list;
    changes->capacity = capacity;
    return true;
}

struct policy_change *diff_add(struct diff_changes *changes, enum policy_way way,
                               const char *subject, const char *format, ...)
{
    struct policy_change *change;
    char text[TEXT_MAX];
    va_list values;

    if (changes->count == changes->capacity && !grow(changes)) {
        changes->is_out_of_memory = true;
        return NULL;
    }
    va_start(values, format);
    (void)vsnprintf(text, sizeof(text), format, values);
    va_end(values);
    change = &changes->list[changes->count];
    *change = (struct policy_change){ .way = way, .subject = subject };
    change->text = arena_copy(changes->arena, str_from(text));
    if (change->text.data == NULL) {
        changes->is_out_of_memory = true;
        return NULL;
    }
    changes->count++;
    return change;
}

void diff_undecided(struct policy_change *change)
{
    if (change != NULL)
        change->is_undecided = true;
}

/* ---- pairs ---- */

struct pair {
    const struct policy_stage *before;
    const struct policy_stage *after;
};

/* One chunk of pairs, compared by one job. */
struct chunk {
    struct arena *arena; /* of its results; deferred to the diff's */
    struct policy_stage_diff *stages;
    size_t count;
    struct error error;
};

struct comparing {
    const struct policy_diff_options *options;
    struct arena *arena;
    struct pair *pairs;
    size_t pair_count;
    struct chunk *chunks;
    size_t chunk_count;
    size_t first_chunk; /* of the block at hand */
};

/* Whether all that a pipeline means is the same on both sides. */
static bool is_same(const struct policy_diff_options *options, const struct policy_linked *before,
                    const struct policy_linked *after)
{
    return options->before->world == options->after->world &&
           memcmp(before->rule_sha256, after->rule_sha256, SHA256_LEN) == 0;
}

static int compare_pipelines(const struct policy_linked *before, const struct policy_linked *after)
{
    if (before == NULL)
        return 1;
    return after == NULL ? -1 : str_compare(before->pipeline->name, after->pipeline->name);
}

static const struct policy_stage *find_stage(const struct policy_linked *linked, struct str name)
{
    for (size_t i = 0; i < linked->pipeline->stage_count; i++)
        if (str_eq(linked->pipeline->stages[i].shown.name, name))
            return &linked->pipeline->stages[i].shown;
    return NULL;
}

static void add_pair(struct comparing *comparing, const struct policy_stage *before,
                     const struct policy_stage *after)
{
    comparing->pairs[comparing->pair_count++] = (struct pair){ before, after };
}

/* Pair the stages of one pipeline, of which one side may be missing. */
static void pair_stages(struct comparing *comparing, const struct policy_linked *before,
                        const struct policy_linked *after)
{
    for (size_t i = 0; before != NULL && i < before->pipeline->stage_count; i++) {
        const struct policy_stage *stage = &before->pipeline->stages[i].shown;

        add_pair(comparing, stage, after == NULL ? NULL : find_stage(after, stage->name));
    }
    for (size_t i = 0; after != NULL && i < after->pipeline->stage_count; i++) {
        const struct policy_stage *stage = &after->pipeline->stages[i].shown;

        if (before == NULL || find_stage(before, stage->name) == NULL)
            add_pair(comparing, NULL, stage);
    }
}

static const struct policy_linked *linked_at(const struct policy *policy, size_t index)
{
    return index < policy->pipeline_count ? policy->by_name[index] : NULL;
}

static bool pair_pipelines(struct comparing *comparing, struct policy_diff *diff)
{
    const struct policy_diff_options *options = comparing->options;
    size_t max = options->before->stage_count + options->after->stage_count;
    size_t old = 0;
    size_t new = 0;

    comparing->pairs = arena_alloc_array(comparing->arena, max + 1, sizeof(*comparing->pairs));
    if (comparing->pairs == NULL)
        return false;
    while (old < options->before->pipeline_count || new < options->after->pipeline_count) {
        const struct policy_linked *before = linked_at(options->before, old);
        const struct policy_linked *after = linked_at(options->after, new);
        int order = compare_pipelines(before, after);

        old += order <= 0;
        new += order >= 0;
        if (order == 0 && is_same(options, before, after))
            diff->same_count += after->pipeline->stage_count;
        else
            pair_stages(comparing, order <= 0 ? before : NULL, order >= 0 ? after : NULL);
    }
    return true;
}

/* ---- conditions ---- */

/* A stage on its way through the comparison. */
struct compared {
    const struct policy_diff_options *options;
    const struct pair *pair;
    struct prover *prover;
    struct diff_changes *changes;
};

static struct proof_term term_of(const struct policy *policy, const struct policy_stage *stage)
{
    return (struct proof_term){ .policy = policy, .stage = stage };
}

static bool keep_json(json_t *json, struct arena *arena)
{
    struct error error = { 0 };

    return json == NULL || json_keep(arena, json_incref(json), &error);
}

/* Keep an example with the results: the prover does not live as long. */
static const struct proof_example *keep_example(const struct proof_example *example,
                                                struct diff_changes *changes)
{
    struct proof_example *kept = arena_alloc(changes->arena, sizeof(*kept));

    if (kept == NULL || !keep_json(example->claims, changes->arena) ||
        !keep_json(example->ci, changes->arena) || !keep_json(example->actor, changes->arena)) {
        changes->is_out_of_memory = true;
        return NULL;
    }
    *kept = *example;
    return kept;
}

/* Ask for a request that the first lets in, and the second (NULL: none) does not. */
static bool find_example(const struct compared *compared, const struct proof_term *first,
                         const struct proof_term *second, enum proof_answer *answer,
                         const struct proof_example **kept, struct error *error)
{
    struct proof_term terms[2] = { *first };
    struct proof_example example = { 0 };

    *kept = NULL;
    if (second != NULL) {
        terms[1] = *second;
        terms[1].is_negated = true;
    }
    if (!prove(compared->prover, terms, second == NULL ? 1 : 2, answer, &example, error))
        return false;
    if (*answer == PROOF_YES)
        *kept = keep_example(&example, compared->changes);
    return true;
}

static bool compare_conditions(const struct compared *compared, struct error *error)
{
    struct proof_term before = term_of(compared->options->before, compared->pair->before);
    struct proof_term after = term_of(compared->options->after, compared->pair->after);
    const struct proof_example *lost;
    const struct proof_example *won;
    struct policy_change *change;
    enum proof_answer is_wider;
    enum proof_answer is_narrower;

    if (!find_example(compared, &after, &before, &is_wider, &won, error) ||
        !find_example(compared, &before, &after, &is_narrower, &lost, error))
        return false;
    if (is_wider != PROOF_NO) {
        change = diff_add(compared->changes, POLICY_WAY_WIDER, "conditions",
                          is_wider == PROOF_YES ? "it lets in what it did not"
                                                : "its conditions are too many to compare");
        if (change != NULL)
            change->example = won;
        if (is_wider == PROOF_UNDECIDED)
            diff_undecided(change);
    }
    if (is_narrower == PROOF_YES) {
        change = diff_add(compared->changes, POLICY_WAY_NARROWER, "conditions",
                          "it does not let in any more what it did");
        if (change != NULL)
            change->example = lost;
    }
    return true;
}

/* What changes where no request is let in changes nothing. */
static bool forgive_unreachable(const struct compared *compared, struct error *error)
{
    struct proof_term after = term_of(compared->options->after, compared->pair->after);
    struct diff_changes *changes = compared->changes;
    const struct proof_example *example;
    enum proof_answer answer = PROOF_YES;
    bool has_wider = false;

    for (size_t i = 0; i < changes->count; i++)
        has_wider |= changes->list[i].way == POLICY_WAY_WIDER;
    if (has_wider && !find_example(compared, &after, NULL, &answer, &example, error))
        return false;
    for (size_t i = 0; answer == PROOF_NO && i < changes->count; i++)
        if (changes->list[i].way == POLICY_WAY_WIDER) {
            changes->list[i].way = POLICY_WAY_EVEN;
            changes->list[i].is_undecided = false;
        }
    return true;
}

/* ---- a stage ---- */

/* Copy the lines that the other side does not have. */
static const struct str *lines_left(const struct str *lines, size_t count, const struct str *others,
                                    size_t other_count, struct arena *arena, size_t *left)
{
    struct str *kept = arena_alloc_array(arena, count + 1, sizeof(*kept));

    *left = 0;
    for (size_t i = 0; kept != NULL && i < count; i++) {
        bool is_there = false;

        for (size_t k = 0; !is_there && k < other_count; k++)
            is_there = str_eq(lines[i], others[k]);
        if (!is_there)
            kept[(*left)++] = lines[i];
    }
    return kept;
}

static bool add_lines(const struct compared *compared, struct policy_stage_diff *stage)
{
    struct arena *arena = compared->changes->arena;
    struct str *before = NULL;
    struct str *after = NULL;
    size_t before_count = 0;
    size_t after_count = 0;

    if (stage->before != NULL &&
        !stage_lines(compared->options->before, stage->before, arena, &before, &before_count))
        return false;
    if (stage->after != NULL &&
        !stage_lines(compared->options->after, stage->after, arena, &after, &after_count))
        return false;
    stage->lines_before =
        lines_left(before, before_count, after, after_count, arena, &stage->line_before_count);
    stage->lines_after =
        lines_left(after, after_count, before, before_count, arena, &stage->line_after_count);
    return stage->lines_before != NULL && stage->lines_after != NULL;
}

/* A stage that one side has only, with an example of whom it lets in. */
static bool compare_alone(const struct compared *compared, struct error *error)
{
    const struct pair *pair = compared->pair;
    bool is_new = pair->before == NULL;
    const struct policy_stage *stage = is_new ? pair->after : pair->before;
    struct proof_term term =
        term_of(is_new ? compared->options->after : compared->options->before, stage);
    const struct policy_stage nothing = { .id = stage->id };
    const struct proof_example *example;
    struct policy_change *change;
    enum proof_answer answer;

    if (!find_example(compared, &term, NULL, &answer, &example, error))
        return false;
    change = diff_add(compared->changes, is_new ? POLICY_WAY_WIDER : POLICY_WAY_NARROWER, "stage",
                      is_new ? "a new stage" : "the stage is removed");
    if (change != NULL)
        change->example = example;
    if (answer == PROOF_NO && change != NULL) {
        change->way = POLICY_WAY_EVEN;
        change->text = is_new ? STR("a new stage, which no token fits")
                              : STR("the stage, which no token fitted, is removed");
        return true;
    }
    diff_grants(is_new ? &nothing : stage, is_new ? stage : &nothing, compared->changes);
    return true;
}

static bool compare_both(const struct compared *compared, struct error *error)
{
    const struct pair *pair = compared->pair;

    if (!compare_conditions(compared, error))
        return false;
    diff_grants(pair->before, pair->after, compared->changes);
    diff_obligations(pair->before, pair->after, compared->changes);
    return forgive_unreachable(compared, error);
}

/* Compare a pair into `stage`; where it is the same there are no changes. */
static bool compare_pair(const struct compared *compared, struct policy_stage_diff *stage,
                         struct error *error)
{
    const struct pair *pair = compared->pair;
    struct diff_changes *changes = compared->changes;
    bool is_alone = pair->before == NULL || pair->after == NULL;

    *stage =
        (struct policy_stage_diff){ .id = (pair->before == NULL ? pair->after : pair->before)->id,
                                    .before = pair->before,
                                    .after = pair->after };
    if (is_alone ? !compare_alone(compared, error) : !compare_both(compared, error))
        return false;
    if (changes->is_out_of_memory || (changes->count > 0 && !add_lines(compared, stage)))
        return error_set(error, ERROR_MEMORY, "comparing policies");
    stage->changes = changes->list;
    stage->change_count = changes->count;
    for (size_t i = 0; i < changes->count; i++) {
        stage->way = changes->list[i].way > stage->way ? changes->list[i].way : stage->way;
        stage->is_narrower |= changes->list[i].way == POLICY_WAY_NARROWER;
    }
    return true;
}

/* ---- jobs ---- */

static void free_arena(void *arena)
{
    arena_free(arena);
}

static bool compare_chunk(struct comparing *comparing, size_t index, struct chunk *chunk)
{
    OWNED(arena_free) struct arena *arena = arena_new(PROVER_BYTES_MAX);
    struct prover *prover = arena == NULL ? NULL : prover_new(arena);
    size_t first = index * CHUNK_PAIRS;
    size_t left = comparing->pair_count - first;
    size_t count = left < CHUNK_PAIRS ? left : CHUNK_PAIRS;

    chunk->stages = arena_alloc_array(chunk->arena, count + 1, sizeof(*chunk->stages));
    if (prover == NULL || chunk->stages == NULL)
        return error_set(&chunk->error, ERROR_MEMORY, "comparing policies");
    prover_since(prover, comparing->options->now_s);
    for (size_t i = 0; i < count; i++) {
        struct diff_changes changes = { .arena = chunk->arena };
        const struct compared compared = { comparing->options, &comparing->pairs[first + i], prover,
                                           &changes };

        if (!compare_pair(&compared, &chunk->stages[chunk->count], &chunk->error))
            return false;
        chunk->count += changes.count > 0;
    }
    return true;
}

static void run_chunk(void *jobs, size_t index)
{
    struct comparing *comparing = jobs;
    struct chunk *chunk = &comparing->chunks[comparing->first_chunk + index];

    chunk->arena = arena_new(SIZE_MAX / 2);
    if (chunk->arena == NULL)
        (void)error_set(&chunk->error, ERROR_MEMORY, "comparing policies");
    else
        (void)compare_chunk(comparing, comparing->first_chunk + index, chunk);
}

static void run_block(struct comparing *comparing, size_t count)
{
    const struct policy_diff_options *options = comparing->options;

    if (options->run_jobs != NULL) {
        options->run_jobs(count, run_chunk, comparing, options->run_jobs_context);
        return;
    }
    for (size_t i = 0; i < count; i++)
        run_chunk(comparing, i);
}

/* Hand the memory of a block's results on, whatever came of them. */
static bool keep_block(struct comparing *comparing, size_t count, struct error *error)
{
    bool is_good = true;

    for (size_t i = 0; i < count; i++) {
        struct chunk *chunk = &comparing->chunks[comparing->first_chunk + i];
        bool is_kept =
            chunk->arena == NULL || arena_defer(comparing->arena, free_arena, chunk->arena);

        if (is_good && chunk->error.code != ERROR_NONE)
            is_good = error_set(error, chunk->error.code, "%s", chunk->error.cause);
        if (is_good && !is_kept)
            is_good = error_set(error, ERROR_MEMORY, "comparing policies");
    }
    return is_good;
}

static bool run_chunks(struct comparing *comparing, struct error *error)
{
    const struct policy_diff_options *options = comparing->options;

    comparing->chunk_count = (comparing->pair_count + CHUNK_PAIRS - 1) / CHUNK_PAIRS;
    comparing->chunks =
        arena_alloc_array(comparing->arena, comparing->chunk_count + 1, sizeof(struct chunk));
    if (comparing->chunks == NULL)
        return error_set(error, ERROR_MEMORY, "comparing policies");
    while (comparing->first_chunk < comparing->chunk_count) {
        size_t left = comparing->chunk_count - comparing->first_chunk;
        size_t count = left < BLOCK_CHUNKS ? left : BLOCK_CHUNKS;

        run_block(comparing, count);
        if (!keep_block(comparing, count, error))
            return false;
        comparing->first_chunk += count;
        if (options->progress != NULL)
            options->progress(comparing->first_chunk, comparing->chunk_count,
                              options->progress_context);
    }
    return true;
}

/* ---- all of it ---- */

static int compare_stages(const void *a, const void *b)
{
    const struct policy_stage_diff *left = a;
    const struct policy_stage_diff *right = b;

    return str_compare(left->id, right->id);
}

static bool join_chunks(const struct comparing *comparing, struct policy_diff *diff)
{
    struct policy_stage_diff *stages;
    size_t count = 0;

    for (size_t i = 0; i < comparing->chunk_count; i++)
        count += comparing->chunks[i].count;
    stages = arena_alloc_array(comparing->arena, count + 1, sizeof(*stages));
    if (stages == NULL)
        return false;
    for (size_t i = 0; i < comparing->chunk_count; i++)
        for (size_t k = 0; k < comparing->chunks[i].count; k++)
            stages[diff->stage_count++] = comparing->chunks[i].stages[k];
    qsort(stages, count, sizeof(*stages), compare_stages);
    diff->stages = stages;
    diff->same_count += comparing->pair_count - count;
    return true;
}

static bool compare_guardrails(const struct comparing *comparing, struct policy_diff *diff)
{
    struct diff_changes changes = { .arena = comparing->arena };

    diff_guardrails(comparing->options->before, comparing->options->after, &changes);
    diff->guardrails = changes.list;
    diff->guardrail_count = changes.count;
    return !changes.is_out_of_memory;
}

static void sum_up(struct policy_diff *diff)
{
    for (size_t i = 0; i < diff->stage_count; i++)
        diff->way = diff->stages[i].way > diff->way ? diff->stages[i].way : diff->way;
    for (size_t i = 0; i < diff->guardrail_count; i++)
        diff->way = diff->guardrails[i].way > diff->way ? diff->guardrails[i].way : diff->way;
}

struct policy_diff_counts policy_diff_count(const struct policy_diff *diff)
{
    struct policy_diff_counts counts = { 0 };

    for (size_t i = 0; i < diff->stage_count; i++) {
        const struct policy_stage_diff *stage = &diff->stages[i];

        if (stage->before == NULL)
            counts.added++;
        else if (stage->after == NULL)
            counts.removed++;
        else if (stage->way == POLICY_WAY_WIDER)
            counts.wider++;
        else if (stage->way == POLICY_WAY_NARROWER)
            counts.narrower++;
        else
            counts.even++;
    }
    return counts;
}

bool policy_diff(const struct policy_diff_options *options, struct arena *arena,
                 struct policy_diff *diff, struct error *error)
{
    struct comparing comparing = { .options = options, .arena = arena };

    *diff = (struct policy_diff){ 0 };
    if (!pair_pipelines(&comparing, diff))
        return error_set(error, ERROR_MEMORY, "comparing policies");
    if (!run_chunks(&comparing, error))
        return false;
    if (!join_chunks(&comparing, diff) || !compare_guardrails(&comparing, diff))
        return error_set(error, ERROR_MEMORY, "comparing policies");
    sum_up(diff);
    return true;
}
