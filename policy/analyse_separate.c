#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "policy/analyse_internal.h"
#include "policy/example.h"
#include "policy/policy_rails.h"
#include "policy/prove.h"

/*
 * No token may fit a stage on one side of a guardrail and one on the other. All pairs would be too
 * many, but two stages can only share a token of one issuer whose ids both let in. So stages of one
 * side are sorted by issuer, by the id claim that their identity fixes, and by its value; for a
 * stage of the other side only those are left that have one of its values, or that fix another
 * claim. What is left is proven.
 */

#define CHUNK_STAGES 64
#define PROVER_BYTES_MAX ((size_t)256 * 1024 * 1024)
#define OPPOSED_SHOWN_MAX 3

/* Pairs that are proven at most for a guardrail: a minute's work, where a usual one has as many as
 * there are pipelines. */
#define PAIRS_MAX 2000000

/* A stage with one way to hold its identity. */
struct entry {
    const struct policy_issuer *issuer;
    const char *claim; /* that its identity fixes; "" if none */
    struct str value;  /* one of the values */
    size_t stage;      /* in `sides.stages` */
};

struct side_stage {
    const struct policy_linked *linked;
    const struct policy_stage_rule *rule;
    bool is_kept; /* one that is kept apart; else one that it is kept apart from */
    enum diagnostic_severity severity;
};

struct separating {
    const struct policy_analysis_options *options;
    const struct policy_guardrail *guardrail;
    struct arena *arena;
    struct side_stage *stages; /* of both sides; one that is on both is there twice */
    size_t stage_count;
    struct entry *entries; /* of those that others are kept apart from, sorted */
    size_t entry_count;
    size_t entry_capacity;
    size_t *kept; /* in `stages` */
    size_t kept_count;
    struct findings *chunks;
    bool is_out_of_memory;
};

/* ---- what an identity fixes ---- */

/* The claim that a condition is on at an issuer, whether it is written as a fact or not. */
static const char *claim_of(const struct policy_issuer *issuer,
                            const struct policy_condition *condition)
{
    if (condition->may_be_array || condition->key == NULL)
        return NULL;
    if (condition->source == POLICY_SOURCE_CLAIM || condition->source == POLICY_SOURCE_POINTER)
        return condition->key;
    for (size_t i = 0; condition->source == POLICY_SOURCE_CI && issuer->copies != NULL &&
                       i < issuer->copies->count;
         i++) {
        const struct claim_copy *copy = &issuer->copies->rows[i];

        if (copy->form != CLAIM_FORM_NUMBER && strcmp(copy->fact, condition->key) == 0)
            return copy->claim;
    }
    return NULL;
}

/* The values that a condition pins its claim to, or NULL. */
static const struct policy_values *exact_values(const struct policy_condition *condition)
{
    for (size_t i = 0; i < condition->test_count; i++)
        if (condition->tests[i].operation == POLICY_ONE_OF && !condition->tests[i].is_negated)
            return &condition->tests[i].values;
    return NULL;
}

/* A value as text, in the policy's memory or in `out`. */
#define NUMBER_MAX 24
static struct str value_text(const struct policy_values *values, size_t index, char out[NUMBER_MAX])
{
    if (values->texts != NULL)
        return values->texts[index];
    (void)snprintf(out, NUMBER_MAX, "%" PRId64, values->integers[index]);
    return str_from(out);
}

/* How much a claim tells repositories apart. */
static int selectivity(const struct policy_issuer *issuer, const char *name)
{
    const struct claim *claim = claim_find(&issuer->claims, str_from(name));
    unsigned flags = claim == NULL ? 0 : claim->flags;

    if ((flags & CLAIM_OWNER_ID) != 0)
        return 1;
    return (flags & CLAIM_ID) != 0 ? 2 : 0;
}

/* The condition of a map that tells most of whose token it is, or NULL. */
static const struct policy_condition *fixing(const struct policy_issuer *issuer,
                                             const struct policy_map *map)
{
    const struct policy_condition *best = NULL;
    int most = 0;

    for (size_t i = 0; i < map->count; i++) {
        const char *claim = claim_of(issuer, &map->conditions[i]);
        int much = claim == NULL ? 0 : selectivity(issuer, claim);

        if (much > most && exact_values(&map->conditions[i]) != NULL) {
            most = much;
            best = &map->conditions[i];
        }
    }
    return best;
}

/* What a map pins a claim to, or NULL. */
static const struct policy_values *values_of(const struct policy_issuer *issuer,
                                             const struct policy_map *map, const char *claim)
{
    for (size_t i = 0; i < map->count; i++) {
        const char *name = claim_of(issuer, &map->conditions[i]);

        if (name != NULL && strcmp(name, claim) == 0)
            return exact_values(&map->conditions[i]);
    }
    return NULL;
}

/* ---- entries ---- */

static bool add_entry(struct separating *separating, const struct entry *entry)
{
    if (separating->entry_count == separating->entry_capacity) {
        size_t capacity = 2 * separating->entry_capacity + 64;
        struct entry *entries =
            arena_alloc_array(separating->arena, capacity, sizeof(*separating->entries));

        if (entries == NULL)
            return false;
        if (separating->entry_count > 0)
            memcpy(entries, separating->entries, separating->entry_count * sizeof(*entries));
        separating->entries = entries;
        separating->entry_capacity = capacity;
    }
    separating->entries[separating->entry_count++] = *entry;
    return true;
}

/* An entry for each value that a map fixes, or one for all. */
static bool add_map(struct separating *separating, size_t stage, const struct policy_issuer *issuer,
                    const struct policy_map *map)
{
    const struct policy_condition *condition = fixing(issuer, map);
    const struct policy_values *values = condition == NULL ? NULL : exact_values(condition);
    struct entry entry = { issuer, "", STR(""), stage };
    char number[NUMBER_MAX];

    if (values == NULL)
        return add_entry(separating, &entry);
    entry.claim = claim_of(issuer, condition);
    for (size_t i = 0; i < values->count; i++) {
        entry.value = value_text(values, i, number);
        if (values->texts == NULL)
            entry.value = arena_copy(separating->arena, entry.value);
        if (entry.value.data == NULL || !add_entry(separating, &entry))
            return false;
    }
    return true;
}

static bool add_stage(struct separating *separating, size_t stage)
{
    const struct policy_pipeline *pipeline = separating->stages[stage].linked->pipeline;

    for (size_t i = 0; i < pipeline->identity.count; i++)
        for (size_t k = 0; k < pipeline->identity_maps[i].issuer_count; k++)
            if (!add_map(separating, stage, pipeline->identity_maps[i].issuers[k],
                         &pipeline->identity.maps[i]))
                return false;
    return true;
}

static int compare_keys(const struct entry *a, const struct entry *b)
{
    int order = str_compare(a->issuer->name, b->issuer->name);

    if (order == 0)
        order = strcmp(a->claim, b->claim);
    return order != 0 ? order : str_compare(a->value, b->value);
}

static int compare_entries(const void *a, const void *b)
{
    const struct entry *left = a;
    const struct entry *right = b;
    int order = compare_keys(left, right);

    return order != 0 ? order : (left->stage > right->stage) - (left->stage < right->stage);
}

/* ---- the sides ---- */

static void add_side(struct separating *separating, const struct policy_linked *linked,
                     const struct policy_stage_rule *rule, bool is_kept)
{
    const struct policy_rail *rail =
        policy_rail_find(policy_rails_of(linked, rule), separating->guardrail);
    enum diagnostic_severity severity =
        rail == NULL ? DIAGNOSTIC_ERROR : policy_rail_severity(rail);

    if (is_kept)
        separating->kept[separating->kept_count++] = separating->stage_count;
    separating->stages[separating->stage_count++] =
        (struct side_stage){ linked, rule, is_kept, severity };
}

static bool gather_sides(struct separating *separating)
{
    const struct policy *policy = separating->options->policy;

    separating->stages = arena_alloc_array(separating->arena, 2 * policy->stage_count + 1,
                                           sizeof(struct side_stage));
    separating->kept =
        arena_alloc_array(separating->arena, policy->stage_count + 1, sizeof(size_t));
    if (separating->stages == NULL || separating->kept == NULL)
        return false;
    for (size_t i = 0; i < policy->pipeline_count; i++) {
        const struct policy_linked *linked = &policy->pipelines[i];

        for (size_t k = 0; k < linked->pipeline->stage_count; k++) {
            const struct policy_stage_rule *rule = &linked->pipeline->stages[k];

            if (policy_separate_keeps(separating->guardrail, &rule->shown))
                add_side(separating, linked, rule, true);
            if (policy_separate_is_from(separating->guardrail, &rule->shown))
                add_side(separating, linked, rule, false);
        }
    }
    for (size_t i = 0; i < separating->stage_count; i++)
        if (!separating->stages[i].is_kept && !add_stage(separating, i))
            return false;
    if (separating->entry_count > 0)
        qsort(separating->entries, separating->entry_count, sizeof(*separating->entries),
              compare_entries);
    return true;
}

/* ---- candidates ---- */

/* Index of the first entry whose key is not below. */
static size_t lower_bound(const struct separating *separating, const struct entry *key)
{
    size_t low = 0;
    size_t high = separating->entry_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (compare_keys(&separating->entries[middle], key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Index behind the last entry of an issuer and a claim that starts at `first`. */
static size_t group_end(const struct separating *separating, size_t first)
{
    struct entry key = separating->entries[first];
    size_t low = first;
    size_t high = separating->entry_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct entry *entry = &separating->entries[middle];

        if (str_eq(entry->issuer->name, key.issuer->name) && strcmp(entry->claim, key.claim) == 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* What is done with each range of entries that may share a token with a stage. */
typedef bool (*visit_range)(void *context, size_t first, size_t end);

static bool visit_values(const struct separating *separating, const struct entry *group,
                         const struct policy_values *values, visit_range visit, void *context)
{
    for (size_t i = 0; i < values->count; i++) {
        char number[NUMBER_MAX];
        struct entry key = { group->issuer, group->claim, value_text(values, i, number), 0 };
        size_t first = lower_bound(separating, &key);
        size_t end = first;

        while (end < separating->entry_count && compare_keys(&separating->entries[end], &key) == 0)
            end++;
        if (first < end && !visit(context, first, end))
            return false;
    }
    return true;
}

/* Ranges of entries that one map of a stage's identity may share a token with. */
static bool visit_map(const struct separating *separating, const struct policy_issuer *issuer,
                      const struct policy_map *map, visit_range visit, void *context)
{
    const struct entry start = { issuer, "", STR(""), 0 };
    size_t first = lower_bound(separating, &start);

    while (first < separating->entry_count &&
           str_eq(separating->entries[first].issuer->name, issuer->name)) {
        const struct entry *group = &separating->entries[first];
        const struct policy_values *values = values_of(issuer, map, group->claim);
        size_t end = group_end(separating, first);

        if (values != NULL ? !visit_values(separating, group, values, visit, context)
                           : !visit(context, first, end))
            return false;
        first = end;
    }
    return true;
}

static bool visit_stage(const struct separating *separating, size_t stage, visit_range visit,
                        void *context)
{
    const struct policy_pipeline *pipeline = separating->stages[stage].linked->pipeline;

    for (size_t i = 0; i < pipeline->identity.count; i++)
        for (size_t k = 0; k < pipeline->identity_maps[i].issuer_count; k++)
            if (!visit_map(separating, pipeline->identity_maps[i].issuers[k],
                           &pipeline->identity.maps[i], visit, context))
                return false;
    return true;
}

static bool count_range(void *context, size_t first, size_t end)
{
    size_t *count = context;

    *count += end - first;
    return *count <= PAIRS_MAX;
}

/* Whether there are few enough pairs to prove. */
static bool are_few(const struct separating *separating)
{
    size_t count = 0;

    for (size_t i = 0; i < separating->kept_count; i++)
        if (!visit_stage(separating, separating->kept[i], count_range, &count))
            return false;
    return true;
}

/* ---- proving ---- */

/* A stage that is kept apart, on its way through its candidates. */
struct proving {
    const struct separating *separating;
    struct prover *prover;
    struct findings *findings;
    uint32_t *stamps; /* a stage each: who has been tried with it last */
    uint32_t stamp;
    size_t stage;
    size_t met_count;
    size_t first_met; /* in `stages` */
    bool is_certain;
    enum diagnostic_severity severity;
    struct buf names;
    struct buf example;
};

static struct proof_term term_of(const struct proving *proving, size_t stage)
{
    return (struct proof_term){
        .policy = proving->separating->options->policy,
        .stage = &proving->separating->stages[stage].rule->shown,
    };
}

static void add_met(struct proving *proving, size_t other, bool is_certain,
                    const struct proof_example *example)
{
    const struct side_stage *met = &proving->separating->stages[other];

    if (proving->met_count == 0) {
        proving->first_met = other;
        proving->is_certain = is_certain;
        if (is_certain)
            proof_example_write(example, &proving->example);
    }
    if (met->severity < proving->severity || proving->met_count == 0)
        proving->severity = met->severity;
    buf_printf(&proving->names, "%s'" STR_FMT "'", proving->met_count > 0 ? ", " : "",
               STR_ARG(met->rule->shown.id));
    proving->met_count++;
}

static bool try_pair(struct proving *proving, size_t other)
{
    const struct separating *separating = proving->separating;
    const struct proof_term terms[] = { term_of(proving, proving->stage), term_of(proving, other) };
    struct proof_example example = { 0 };
    struct proof_example *wanted = proving->met_count == 0 ? &example : NULL;
    struct error error = { 0 };
    enum proof_answer answer;

    if (separating->stages[other].rule == separating->stages[proving->stage].rule)
        return true; /* a stage that is both is refused by itself */
    if (!prove(proving->prover, terms, 2, &answer, wanted, &error)) {
        proving->findings->is_out_of_memory = true;
        return false;
    }
    if (answer != PROOF_NO)
        add_met(proving, other, answer == PROOF_YES, &example);
    return proving->met_count < OPPOSED_SHOWN_MAX;
}

static bool try_range(void *context, size_t first, size_t end)
{
    struct proving *proving = context;

    for (size_t i = first; i < end; i++) {
        size_t other = proving->separating->entries[i].stage;

        if (proving->stamps[other] == proving->stamp)
            continue;
        proving->stamps[other] = proving->stamp;
        if (!try_pair(proving, other))
            return false;
    }
    return true;
}

static void report(struct proving *proving)
{
    const struct separating *separating = proving->separating;
    const struct side_stage *kept = &separating->stages[proving->stage];
    struct finding finding = {
        .severity = kept->severity > proving->severity ? kept->severity : proving->severity,
        .rule = "guardrail-separate",
        .at = policy_stage_position(kept->rule),
        .related = policy_stage_position(separating->stages[proving->first_met].rule),
        .related_note = STR("the stage that it is kept apart from"),
    };
    char message[DIAGNOSTIC_TEXT_MAX];
    char hint[DIAGNOSTIC_TEXT_MAX];

    (void)snprintf(message, sizeof(message),
                   proving->is_certain ? "a token can fit '" STR_FMT "' as well as " STR_FMT
                                         ", which the guardrail '" STR_FMT "' keeps apart"
                                       : "'" STR_FMT "' may share a token with " STR_FMT
                                         ", which the guardrail '" STR_FMT
                                         "' keeps apart: their conditions are too many to tell",
                   STR_ARG(kept->rule->shown.id), STR_ARG(buf_str(&proving->names)),
                   STR_ARG(separating->guardrail->name));
    (void)snprintf(hint, sizeof(hint), "for example " STR_FMT, STR_ARG(buf_str(&proving->example)));
    finding.message = str_from(message);
    finding.hint = proving->is_certain ? str_from(hint) : STR("");
    findings_add(proving->findings, &finding);
}

static void prove_stage(struct proving *proving, size_t stage)
{
    proving->stage = stage;
    proving->stamp++;
    proving->met_count = 0;
    buf_init(&proving->names, DIAGNOSTIC_TEXT_MAX);
    buf_init(&proving->example, (size_t)64 * 1024);
    (void)visit_stage(proving->separating, stage, try_range, proving);
    if (proving->met_count > 0)
        report(proving);
    buf_release(&proving->names);
    buf_release(&proving->example);
}

static void prove_chunk(void *jobs, size_t index)
{
    struct separating *separating = jobs;
    OWNED(arena_free) struct arena *arena = arena_new(PROVER_BYTES_MAX);
    struct proving proving = { .separating = separating, .findings = &separating->chunks[index] };
    size_t first = index * CHUNK_STAGES;

    proving.findings->options = separating->options;
    if (arena != NULL) {
        proving.prover = prover_new(arena);
        proving.stamps =
            arena_alloc_array(arena, separating->stage_count + 1, sizeof(*proving.stamps));
    }
    if (proving.prover == NULL || proving.stamps == NULL) {
        proving.findings->is_out_of_memory = true;
        return;
    }
    prover_since(proving.prover, separating->options->now_s);
    for (size_t i = first; i < separating->kept_count && i < first + CHUNK_STAGES; i++)
        prove_stage(&proving, separating->kept[i]);
}

static bool prove_all(struct separating *separating, struct findings *findings)
{
    const struct policy_analysis_options *options = separating->options;
    size_t count = (separating->kept_count + CHUNK_STAGES - 1) / CHUNK_STAGES;

    separating->chunks = arena_alloc_array(separating->arena, count + 1, sizeof(struct findings));
    if (separating->chunks == NULL)
        return false;
    if (options->run_jobs != NULL)
        options->run_jobs(count, prove_chunk, separating, options->run_jobs_context);
    for (size_t i = 0; i < count; i++) {
        if (options->run_jobs == NULL)
            prove_chunk(separating, i);
        findings_join(findings, &separating->chunks[i]);
        findings_release(&separating->chunks[i]);
    }
    return !findings->is_out_of_memory;
}

/* ---- guardrails ---- */

static void report_too_many(const struct separating *separating, struct findings *findings)
{
    const struct finding finding = {
        .severity = separating->guardrail->is_warning ? DIAGNOSTIC_WARNING : DIAGNOSTIC_ERROR,
        .rule = "guardrail-separate",
        .at = separating->guardrail->at,
        .message =
            STR("too many stages of both sides may share a token for all pairs to be proven"),
        .hint = STR("let their identities fix an id of one repository or project each"),
    };

    findings_add(findings, &finding);
}

static bool separate(const struct policy_analysis_options *options,
                     const struct policy_guardrail *guardrail, struct findings *findings)
{
    OWNED(arena_free) struct arena *arena = arena_new(SIZE_MAX / 2);
    struct separating separating = { .options = options, .guardrail = guardrail, .arena = arena };

    if (arena == NULL || !gather_sides(&separating))
        return false;
    if (are_few(&separating))
        return prove_all(&separating, findings);
    report_too_many(&separating, findings);
    return true;
}

bool analyse_separate(const struct policy_analysis_options *options, struct findings *findings,
                      struct error *error)
{
    const struct policy *policy = options->policy;

    for (size_t i = 0; i < policy->guardrail_count; i++) {
        const struct policy_guardrail *guardrail = policy->guardrails[i];

        if (guardrail->kind != POLICY_GUARDRAIL_SEPARATE || guardrail->separate.principals ||
            (options->is_for_errors && guardrail->is_warning))
            continue;
        if (!separate(options, guardrail, findings))
            return error_set(error, ERROR_MEMORY, "looking for stages that share a token");
    }
    return true;
}
