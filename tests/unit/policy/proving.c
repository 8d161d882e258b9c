#include "proving.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/json.h"
#include "policy/policy_internal.h"
#include "tests/test.h"
#include "world.h"

#define PROVER_BYTES ((size_t)64 * 1024 * 1024)

static struct arena *arena;
static struct prover *prover;
static const char *shown;

void ask_prover_about(const char *text)
{
    shown = text;
}

void ask_prover_release(void)
{
    arena_free(arena);
    arena = NULL;
    prover = NULL;
}

/* ---- evaluating ---- */

static const struct policy_issuer *find_issuer(struct str name)
{
    for (size_t i = 0; i < test_world.issuer_count; i++)
        if (str_eq(test_world.issuers[i].name, name))
            return &test_world.issuers[i];
    return NULL;
}

static const json_t *make_facts(const struct policy_issuer *issuer, const json_t *claims,
                                const json_t *given)
{
    json_t *ci;

    if (issuer == NULL || issuer->fill_ci == NULL)
        return NULL;
    ci = json_object();
    for (size_t i = 0; given != NULL && i < test_world.ci_facts->count; i++)
        assert_true(json_put(ci, test_world.ci_facts->rows[i].name, json_null()));
    if (given == NULL)
        assert_true(issuer->fill_ci(claims, ci));
    else
        assert_int_equal(json_object_update(ci, json_iterable(given)), 0);
    if (issuer->copies != NULL)
        assert_true(claim_copies_put(issuer->copies, claims, ci));
    for (size_t i = 0; issuer->words != NULL && i < issuer->words->count; i++)
        assert_true(json_put(ci, issuer->words->rows[i].fact, json_null()));
    if (issuer->words != NULL)
        assert_true(claim_words_put(issuer->words, test_world.ci_facts, claims, ci));
    return ci;
}

struct policy_facts facts_of_example(const struct proof_example *example, struct arena *into)
{
    const struct policy_issuer *issuer = find_issuer(example->issuer);
    const struct claim_danger **found =
        arena_alloc_array(into, 16, sizeof(const struct claim_danger *));
    const json_t *ci = make_facts(issuer, example->claims, example->ci);
    struct policy_facts facts = {
        .issuer = example->issuer,
        .claims = example->claims,
        .ci = ci,
        .dangers = found,
        .address = &example->address,
        .proofs = example->proofs,
        .actor = example->actor,
    };
    struct error error = { 0 };

    assert_non_null(found);
    if (ci != NULL)
        assert_true(json_keep(into, json_iterable(ci), &error));
    if (issuer->dangers != NULL)
        facts.danger_count = claim_dangers_find(issuer->dangers, example->claims, ci, found);
    return facts;
}

/* Some of a clause's maps. */
static struct policy_clause select_maps(const struct policy_clause *clause, size_t only,
                                        size_t without, struct policy_map maps[16])
{
    struct policy_clause some = { maps, 0 };

    for (size_t i = 0; i < clause->count; i++)
        if ((only == 0 || only == i + 1) && without != i + 1)
            maps[some.count++] = clause->maps[i];
    return some;
}

bool meets_term(const struct proof_term *term, const struct policy_facts *facts, int64_t time_s)
{
    const struct policy_stage_rule *rule = policy_rule_of(term->stage);
    const struct policy_linked *known = policy_linked_of(term->policy, term->stage);
    struct policy_pipeline pipeline = *rule->pipeline;
    struct policy_linked linked = *known;
    size_t index = (size_t)(rule - pipeline.stages);
    struct policy_stage_rule stages[100];
    struct policy_map maps[5][16];

    assert_true(pipeline.stage_count <= COUNT(stages));
    memcpy(stages, pipeline.stages, pipeline.stage_count * sizeof(stages[0]));
    linked.pipeline = &pipeline;
    pipeline.stages = stages;
    stages[index].pipeline = &pipeline;
    pipeline.identity = select_maps(&pipeline.identity, term->only_identity, 0, maps[0]);
    if (term->only_identity > 0)
        pipeline.identity_maps += term->only_identity - 1;
    pipeline.when = select_maps(&pipeline.when, term->only_pipeline_when, 0, maps[1]);
    pipeline.unless = select_maps(&pipeline.unless, 0, term->without_pipeline_unless, maps[2]);
    stages[index].when = select_maps(&rule->when, term->only_when, 0, maps[3]);
    stages[index].unless = select_maps(&rule->unless, 0, term->without_unless, maps[4]);
    return (policy_identity_held(&pipeline, facts) != NULL &&
            policy_stage_holds(&linked, &stages[index], facts, time_s, NULL)) != term->is_negated;
}

/* ---- asking ---- */

static void print_terms(const struct proof_term *terms, size_t count)
{
    if (shown != NULL)
        (void)fputs(shown, stderr);
    for (size_t i = 0; i < count; i++)
        print_error("%s%.*s: identity %zu, when %zu and %zu, without unless %zu and %zu\n",
                    terms[i].is_negated ? "!" : "", STR_ARG(terms[i].stage->id),
                    terms[i].only_identity, terms[i].only_pipeline_when, terms[i].only_when,
                    terms[i].without_pipeline_unless, terms[i].without_unless);
}

void print_contradiction(const struct proof_term *terms, size_t count,
                         const struct policy_facts *facts)
{
    const json_t *const values[] = { facts->claims, facts->ci, facts->actor };

    print_terms(terms, count);
    for (size_t i = 0; i < COUNT(values); i++) {
        char *text = json_dumps(values[i], JSON_ENCODE_ANY | JSON_SORT_KEYS);

        print_error("%s\n", text == NULL ? "-" : text);
        free(text);
    }
}

static void check_example(const struct proof_term *terms, size_t count,
                          const struct proof_example *example)
{
    struct policy_facts facts = facts_of_example(example, arena);

    for (size_t i = 0; i < count; i++) {
        if (meets_term(&terms[i], &facts, example->time_s))
            continue;
        print_contradiction(terms, count, &facts);
        fail_msg("the example does not meet term %zu", i);
    }
}

enum proof_answer ask_prover_terms(const struct proof_term *terms, size_t count,
                                   struct proof_example *example)
{
    enum proof_answer answer;
    struct error error = { 0 };

    ask_prover_release();
    arena = arena_new(PROVER_BYTES);
    assert_non_null(arena);
    prover = prover_new(arena);
    assert_non_null(prover);
    memset(example, 0, sizeof(*example));
    if (!prove(prover, terms, count, &answer, example, &error))
        fail_msg("%s", error.cause);
    if (answer == PROOF_YES)
        check_example(terms, count, example);
    return answer;
}

enum proof_answer ask_prover(const struct policy *policy, const char *const *names,
                             struct proof_example *example)
{
    struct proof_term terms[PROVING_TERMS_MAX];
    size_t count = 0;

    memset(terms, 0, sizeof(terms));
    for (; names[count] != NULL; count++) {
        bool is_negated = names[count][0] == '!';

        assert_true(count < PROVING_TERMS_MAX);
        terms[count].policy = policy;
        terms[count].is_negated = is_negated;
        terms[count].stage = policy_stage_find(policy, str_from(names[count] + is_negated));
        assert_non_null(terms[count].stage);
    }
    return ask_prover_terms(terms, count, example);
}
