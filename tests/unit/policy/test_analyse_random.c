#include <string.h>

#include "base/diagnostic.h"
#include "base/error.h"
#include "policy/analyse.h"
#include "policy/diff.h"
#include "policy/policy_internal.h"
#include "proving.h"
#include "random_policy.h"
#include "tests/test.h"
#include "world.h"

/*
 * What is said of policies is held against random requests: two random pipelines, analysed, and
 * compared with two others of the same names. No request may do what is said to be impossible, and
 * each example that is shown must do what it is an example of.
 */

#define ROUNDS 150
#define REQUESTS 80
#define STAGES_MAX 8
#define SAMPLES_BYTES ((size_t)64 * 1024 * 1024)

struct sample {
    struct proof_example request;
    struct policy_facts facts;
};

struct samples {
    struct arena *arena;
    struct sample list[REQUESTS];
};

/* How often each thing came up: a test that never meets one says nothing. */
struct tally {
    size_t wider;
    size_t narrower;
    size_t same;
    size_t overlapping;
    size_t unreachable;
    size_t shared;
    size_t apart;
};

static void fill_samples(struct chance *chance, struct samples *samples)
{
    samples->arena = arena_new(SAMPLES_BYTES);
    assert_non_null(samples->arena);
    for (size_t i = 0; i < REQUESTS; i++) {
        struct sample *sample = &samples->list[i];

        random_request(chance, samples->arena, &sample->request);
        sample->facts = facts_of_example(&sample->request, samples->arena);
    }
}

static struct policy *load_random(struct chance *chance, size_t setting, const char *guardrails)
{
    static char text[RANDOM_POLICY_MAX];
    struct policy *policy;
    char folder[64];

    world_make_folder(folder);
    random_policy(chance, setting, "a", text);
    world_write(folder, "a.yaml", text);
    random_policy(chance, setting, "b", text);
    world_write(folder, "b.yaml", text);
    if (guardrails != NULL)
        world_write(folder, "guardrails.yaml", guardrails);
    policy = world_load(folder);
    world_remove(folder);
    assert_in_range(policy_stage_count(policy), 1, STAGES_MAX);
    return policy;
}

/* With guardrails now and then. */
static struct policy *load_guarded(struct chance *chance, size_t setting)
{
    static char guardrails[RANDOM_POLICY_MAX];

    if (!chance_once_in(chance, 3))
        return load_random(chance, setting, NULL);
    random_guardrails(chance, guardrails);
    return load_random(chance, setting, guardrails);
}

static bool meets(const struct policy *policy, const struct policy_stage *stage,
                  const struct sample *sample)
{
    const struct proof_term term = { .policy = policy, .stage = stage };

    return meets_term(&term, &sample->facts, sample->request.time_s);
}

/* ---- comparing ---- */

static const struct policy_stage_diff *find_stage(const struct policy_diff *diff, struct str id)
{
    for (size_t i = 0; i < diff->stage_count; i++)
        if (str_eq(diff->stages[i].id, id))
            return &diff->stages[i];
    return NULL;
}

static bool has_change(const struct policy_stage_diff *stage, enum policy_way way)
{
    for (size_t i = 0; stage != NULL && i < stage->change_count; i++)
        if (stage->changes[i].way == way && strcmp(stage->changes[i].subject, "conditions") == 0)
            return true;
    return false;
}

static void check_sample(const struct policy *before, const struct policy *after,
                         const struct policy_diff *diff, const struct policy_stage *stage,
                         const struct sample *sample)
{
    const struct policy_stage *old = policy_stage_find(before, stage->id);
    bool was_in = meets(before, old, sample);
    bool is_in = meets(after, stage, sample);
    const struct policy_stage_diff *found = find_stage(diff, stage->id);

    if (is_in && !was_in && !has_change(found, POLICY_WAY_WIDER))
        fail_msg("%.*s is wider, and nobody said so", STR_ARG(stage->id));
    if (was_in && !is_in && !has_change(found, POLICY_WAY_NARROWER))
        fail_msg("%.*s is narrower, and nobody said so", STR_ARG(stage->id));
}

static void check_change(const struct policy *before, const struct policy *after,
                         const struct policy_stage_diff *stage, const struct policy_change *change)
{
    OWNED(arena_free) struct arena *arena = arena_new(SAMPLES_BYTES);
    struct sample sample;
    bool is_wider = change->way == POLICY_WAY_WIDER;

    if (change->example == NULL || strcmp(change->subject, "conditions") != 0)
        return;
    sample.request = *change->example;
    sample.facts = facts_of_example(change->example, arena);
    assert_int_equal(meets(before, stage->before, &sample), !is_wider);
    assert_int_equal(meets(after, stage->after, &sample), is_wider);
}

static void compare(const struct policy *before, const struct policy *after,
                    const struct samples *samples, struct tally *tally)
{
    OWNED(arena_free) struct arena *arena = arena_new(SAMPLES_BYTES);
    const struct policy_diff_options options = { .before = before, .after = after };
    struct policy_diff diff;
    struct error error = { 0 };

    assert_true(policy_diff(&options, arena, &diff, &error));
    for (size_t i = 0; i < policy_stage_count(after); i++)
        for (size_t k = 0; k < REQUESTS; k++)
            check_sample(before, after, &diff, policy_stage_at(after, i), &samples->list[k]);
    for (size_t i = 0; i < diff.stage_count; i++) {
        tally->wider += has_change(&diff.stages[i], POLICY_WAY_WIDER);
        tally->narrower += has_change(&diff.stages[i], POLICY_WAY_NARROWER);
        for (size_t k = 0; k < diff.stages[i].change_count; k++)
            check_change(before, after, &diff.stages[i], &diff.stages[i].changes[k]);
    }
    tally->same += diff.same_count;
}

static void no_request_contradicts_a_comparison(void **state)
{
    struct chance chance = { UINT64_C(1181783497276652981) };
    size_t rounds = random_rounds(ROUNDS);
    struct tally tally = { 0 };

    (void)state;
    for (size_t i = 0; i < rounds; i++) {
        size_t setting = chance_below(&chance, RANDOM_SETTINGS);
        OWNED(policy_unref) struct policy *before = load_guarded(&chance, setting);
        OWNED(policy_unref) struct policy *after = load_guarded(&chance, setting);
        struct samples samples;

        fill_samples(&chance, &samples);
        compare(before, after, &samples, &tally);
        compare(after, after, &samples, &tally);
        arena_free(samples.arena);
    }
    print_message("# %zu wider, %zu narrower, %zu same\n", tally.wider, tally.narrower, tally.same);
    assert_true(tally.wider > rounds / 2);
    assert_true(tally.narrower > rounds / 2);
    assert_true(tally.same >= 2 * rounds);
}

/* ---- analysing ---- */

static bool is_found(const struct diagnostics *diagnostics, const char *rule,
                     const struct policy_stage *stage)
{
    const struct policy_stage_rule *known = policy_rule_of(stage);

    for (size_t i = 0; i < diagnostics->count; i++) {
        const struct diagnostic *entry = &diagnostics->list[i];

        if (entry->rule != NULL && strcmp(entry->rule, rule) == 0 &&
            str_eq(entry->at.file, policy_stage_position(known).file) &&
            entry->at.line == policy_stage_position(known).line)
            return true;
    }
    return false;
}

static void check_reach(const struct policy *policy, const struct diagnostics *diagnostics,
                        const struct sample *sample)
{
    for (size_t i = 0; i < policy_stage_count(policy); i++) {
        const struct policy_stage *stage = policy_stage_at(policy, i);

        if (!meets(policy, stage, sample))
            continue;
        if (is_found(diagnostics, "unreachable-stage", stage))
            fail_msg("%.*s is reached", STR_ARG(stage->id));
        for (size_t k = 0; k < i; k++) {
            const struct policy_stage *other = policy_stage_at(policy, k);

            if (str_eq(other->pipeline, stage->pipeline) && meets(policy, other, sample) &&
                !is_found(diagnostics, "overlapping-stages", stage))
                fail_msg("%.*s overlaps, and nobody said so", STR_ARG(stage->id));
        }
    }
}

static void count_findings(const struct policy *policy, const struct diagnostics *diagnostics,
                           struct tally *tally)
{
    for (size_t i = 0; i < policy_stage_count(policy); i++) {
        const struct policy_stage *stage = policy_stage_at(policy, i);

        tally->overlapping += is_found(diagnostics, "overlapping-stages", stage);
        tally->unreachable += is_found(diagnostics, "unreachable-stage", stage);
    }
}

static void no_request_contradicts_what_is_found(void **state)
{
    struct chance chance = { UINT64_C(3935559000370003845) };
    size_t rounds = random_rounds(ROUNDS);
    struct tally tally = { 0 };

    (void)state;
    for (size_t i = 0; i < rounds; i++) {
        OWNED(policy_unref) struct policy *policy =
            load_guarded(&chance, chance_below(&chance, RANDOM_SETTINGS));
        struct diagnostics diagnostics;
        struct error error = { 0 };
        struct samples samples;
        const struct policy_analysis_options options = { .policy = policy,
                                                         .diagnostics = &diagnostics };

        fill_samples(&chance, &samples);
        diagnostics_init(&diagnostics, samples.arena);
        assert_true(policy_analyse(&options, &error));
        for (size_t k = 0; k < REQUESTS; k++)
            check_reach(policy, &diagnostics, &samples.list[k]);
        count_findings(policy, &diagnostics, &tally);
        arena_free(samples.arena);
    }
    print_message("# %zu overlapping, %zu unreachable\n", tally.overlapping, tally.unreachable);
    assert_true(tally.overlapping > rounds / 4);
    assert_true(tally.unreachable > rounds / 50);
}

/* ---- apart ---- */

/* Random pipelines have stages of kinds of both sides. */
static const char apart[] =
    "guardrails:\n  separate:\n    - { name: apart, kinds: [test], from: { kind: deploy } }\n";

static bool is_kept(const struct policy_stage *stage)
{
    return stage->kind == POLICY_TEST;
}

/* The first request that fits stages of both sides, or NULL. */
static const struct sample *find_shared(const struct policy *policy, const struct samples *samples)
{
    for (size_t i = 0; i < REQUESTS; i++) {
        bool fits_kept = false;
        bool fits_other = false;

        for (size_t k = 0; k < policy_stage_count(policy); k++) {
            const struct policy_stage *stage = policy_stage_at(policy, k);

            if (meets(policy, stage, &samples->list[i])) {
                fits_kept |= is_kept(stage);
                fits_other |= stage->kind == POLICY_DEPLOY;
            }
        }
        if (fits_kept && fits_other)
            return &samples->list[i];
    }
    return NULL;
}

/* Whether all pairs, also those that the analysis does not have to try, are proven apart. */
static bool are_apart(const struct policy *policy)
{
    for (size_t i = 0; i < policy_stage_count(policy); i++)
        for (size_t k = 0; k < policy_stage_count(policy); k++) {
            const struct proof_term terms[] = {
                { .policy = policy, .stage = policy_stage_at(policy, i) },
                { .policy = policy, .stage = policy_stage_at(policy, k) },
            };
            struct proof_example example;

            if (is_kept(terms[0].stage) && terms[1].stage->kind == POLICY_DEPLOY &&
                ask_prover_terms(terms, 2, &example) != PROOF_NO)
                return false;
        }
    return true;
}

static void no_request_fits_both_sides_of_what_is_apart(void **state)
{
    struct chance chance = { UINT64_C(7046029254386353131) };
    size_t rounds = random_rounds(ROUNDS);
    struct tally tally = { 0 };
    size_t found = 0;

    (void)state;
    for (size_t i = 0; i < rounds; i++) {
        OWNED(policy_unref) struct policy *policy =
            load_random(&chance, chance_below(&chance, RANDOM_SETTINGS), apart);
        struct diagnostics diagnostics;
        struct error error = { 0 };
        struct samples samples;
        const struct policy_analysis_options options = { .policy = policy,
                                                         .diagnostics = &diagnostics,
                                                         .is_for_errors = true };
        bool is_apart;

        fill_samples(&chance, &samples);
        diagnostics_init(&diagnostics, samples.arena);
        is_apart = policy_analyse(&options, &error);
        assert_int_equal(is_apart, are_apart(policy));
        if (find_shared(policy, &samples) != NULL) {
            assert_false(is_apart);
            found++;
        }
        tally.apart += is_apart;
        tally.shared += !is_apart;
        arena_free(samples.arena);
    }
    print_message("# %zu apart, %zu not, of these %zu by requests\n", tally.apart, tally.shared,
                  found);
    assert_true(tally.apart > rounds / 50);
    assert_true(tally.shared > rounds / 10);
    assert_true(found > rounds / 20);
}

static int tear_down(void **state)
{
    (void)state;
    ask_prover_release();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_request_contradicts_a_comparison),
        cmocka_unit_test(no_request_contradicts_what_is_found),
        cmocka_unit_test(no_request_fits_both_sides_of_what_is_apart),
    };

    return cmocka_run_group_tests(tests, NULL, tear_down);
}
