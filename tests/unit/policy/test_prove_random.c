#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "policy/policy_internal.h"
#include "proving.h"
#include "random_policy.h"
#include "tests/test.h"
#include "world.h"

/*
 * No sample may contradict a proof: thousands of random policies, in each some questions, and for
 * each question random requests. Where the prover says that no request does, none of these may;
 * where it gives an example, that must be one (proving.c looks).
 */

#define POLICIES 300
#define QUESTIONS 8
#define REQUESTS 60

/* What a policy's questions are answered with. */
struct sample {
    struct proof_example request;
    struct policy_facts facts;
};

struct samples {
    struct arena *arena;
    struct sample list[REQUESTS];
};

static void fill_samples(struct chance *chance, struct samples *samples)
{
    samples->arena = arena_new((size_t)64 * 1024 * 1024);
    assert_non_null(samples->arena);
    for (size_t i = 0; i < REQUESTS; i++) {
        struct sample *sample = &samples->list[i];

        random_request(chance, samples->arena, &sample->request);
        sample->facts = facts_of_example(&sample->request, samples->arena);
    }
}

/* Two pipelines that have to do with each other. */
static struct policy *load_random(struct chance *chance)
{
    static char both[3 * RANDOM_POLICY_MAX];
    size_t setting = chance_below(chance, RANDOM_SETTINGS);
    char *text = both;
    struct policy *policy;
    char folder[64];

    world_make_folder(folder);
    random_policy(chance, setting, "a", text);
    world_write(folder, "a.yaml", text);
    text += strlen(text);
    random_policy(chance, setting, "b", text);
    world_write(folder, "b.yaml", text);
    if (chance_once_in(chance, 3)) {
        text += strlen(text);
        random_guardrails(chance, text);
        world_write(folder, "guardrails.yaml", text);
    }
    ask_prover_about(both);
    policy = world_load(folder);
    world_remove(folder);
    return policy;
}

/* Ask about a part of a stage, now and then. */
static void choose_part(struct chance *chance, struct proof_term *term)
{
    const struct policy_stage_rule *rule = policy_rule_of(term->stage);
    struct {
        size_t count;
        size_t *part;
    } const parts[] = {
        { rule->pipeline->identity.count, &term->only_identity },
        { rule->pipeline->when.count, &term->only_pipeline_when },
        { rule->when.count, &term->only_when },
        { rule->pipeline->unless.count, &term->without_pipeline_unless },
        { rule->unless.count, &term->without_unless },
    };
    size_t chosen = chance_below(chance, COUNT(parts));

    if (chance_once_in(chance, 4) && parts[chosen].count > 0)
        *parts[chosen].part = 1 + chance_below(chance, parts[chosen].count);
}

static size_t random_terms(struct chance *chance, const struct policy *policy,
                           struct proof_term terms[4])
{
    size_t count = 1 + chance_below(chance, 4);

    memset(terms, 0, 4 * sizeof(terms[0]));
    for (size_t i = 0; i < count; i++) {
        terms[i].policy = policy;
        terms[i].stage = policy_stage_at(policy, chance_below(chance, policy_stage_count(policy)));
        terms[i].is_negated = chance_once_in(chance, 2);
        choose_part(chance, &terms[i]);
    }
    return count;
}

/* The first sample that meets all terms, or NULL. */
static const struct sample *find_sample(const struct samples *samples,
                                        const struct proof_term *terms, size_t count)
{
    for (size_t i = 0; i < REQUESTS; i++) {
        const struct sample *sample = &samples->list[i];
        bool meets_all = true;

        for (size_t k = 0; k < count && meets_all; k++)
            meets_all = meets_term(&terms[k], &sample->facts, sample->request.time_s);
        if (meets_all)
            return sample;
    }
    return NULL;
}

/* How questions came out. */
struct tally {
    size_t answers[3];
    size_t found; /* by samples */
};

static void ask_one(struct chance *chance, const struct policy *policy,
                    const struct samples *samples, struct tally *tally)
{
    struct proof_term terms[4];
    size_t count = random_terms(chance, policy, terms);
    struct proof_example example;
    enum proof_answer answer = ask_prover_terms(terms, count, &example);
    const struct sample *sample = find_sample(samples, terms, count);

    if (answer == PROOF_NO && sample != NULL) {
        print_contradiction(terms, count, &sample->facts);
        fail_msg("a request does what none can");
    }
    tally->answers[answer]++;
    tally->found += sample != NULL;
}

static void no_sample_contradicts_a_proof(void **state)
{
    struct chance chance = { UINT64_C(88172645463325252) };
    size_t policies = random_rounds(POLICIES);
    struct tally tally = { 0 };

    (void)state;
    for (size_t i = 0; i < policies; i++) {
        OWNED(policy_unref) struct policy *policy = load_random(&chance);
        struct samples samples;

        fill_samples(&chance, &samples);
        for (size_t k = 0; k < QUESTIONS; k++)
            ask_one(&chance, policy, &samples, &tally);
        arena_free(samples.arena);
    }
    print_message("# %zu no, %zu yes, %zu undecided; %zu by samples\n", tally.answers[PROOF_NO],
                  tally.answers[PROOF_YES], tally.answers[PROOF_UNDECIDED], tally.found);
    /* All answers come up, and what is tried decides nearly all. */
    assert_true(tally.answers[PROOF_NO] > policies);
    assert_true(tally.answers[PROOF_YES] > policies);
    assert_true(tally.found > policies / 2);
    assert_true(tally.answers[PROOF_UNDECIDED] <= policies * QUESTIONS / 100);
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
        cmocka_unit_test(no_sample_contradicts_a_proof),
    };

    return cmocka_run_group_tests(tests, NULL, tear_down);
}
