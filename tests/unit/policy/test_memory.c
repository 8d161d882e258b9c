#include "base/error.h"
#include "base/json.h"
#include "policy/prove.h"
#include "tests/fail_memory.h"
#include "tests/test.h"
#include "world.h"

/* More allocations than one run makes: the loops below end long before. */
#define RUNS_MAX 20000

#define PREVIEW                                                                                    \
    "pipeline: p\nowner: me\nidentity: { issuer: github, repository_id: \"1\" }\n"                 \
    "stages:\n"                                                                                    \
    "  preview:\n"                                                                                 \
    "    kind: deploy\n"                                                                           \
    "    when: { ref: { like: \"refs/pull/{pr}/merge\" }, actor: [a, b], event_name: { in: s } "   \
    "}\n"                                                                                          \
    "    unless: { environment: { exists: true } }\n"                                              \
    "    instance: \"x-${pr}\"\n    during: [\"Mon 08:00-09:00 UTC\", \"00:00-24:00 "              \
    "Europe/Berlin\"]\n"                                                                           \
    "    grants: { g: { jwt: { audience: x, scope: \"pr-${pr}\" } } }\n"                           \
    "tests: [ { name: t, claims: { ref: x }, expect: deny, because: [identity] } ]\n"

#define TEMPLATE                                                                                   \
    "template: t\nparameters: [a, b]\n"                                                            \
    "stage: { kind: build, when: { ref: \"x-${param.a}\", sha: \"${param.b}\" }, unless: { "       \
    "actor: a "                                                                                    \
    "}, grants: { g: { jwt: { audience: \"${param.a}\" } } } }\n"
#define USES                                                                                       \
    "pipeline: q\nowner: me\nidentity: { issuer: github, repository_id: \"2\" }\n"                 \
    "stages:\n"                                                                                    \
    "  a: { use: t, with: { a: x, b: y }, when: { event_name: push }, unless: { actor: b },\n"     \
    "       grants: { h: { jwt: { audience: z } } } }\n"

/* Load once with the `nth` allocation failing; true where it loaded. */
static bool load_failing(const char *folder, size_t nth)
{
    OWNED(arena_free) struct arena *arena = arena_new((size_t)1024 * 1024);
    OWNED(policy_unref) struct policy *policy = NULL;
    struct diagnostics diagnostics;
    const struct policy_load_options options = { .folder = folder,
                                                 .world = &test_world,
                                                 .diagnostics = &diagnostics };
    struct error error = { 0 };
    bool is_loaded;

    diagnostics_init(&diagnostics, arena);
    fail_memory_at(nth);
    is_loaded = policy_load(&options, &policy, &error);
    fail_memory_at(0);
    assert_int_equal(is_loaded, policy != NULL);
    assert_int_equal(is_loaded, error.code == ERROR_NONE);
    return is_loaded;
}

static void a_load_without_memory_fails_and_leaves_nothing_behind(void **state)
{
    char folder[64];
    size_t nth = 1;

    (void)state;
    world_make_folder(folder);
    world_write(folder, "p.yaml", PREVIEW);
    world_write(folder, "s.yaml", "sets: { s: [push, pull_request] }\n");
    world_write(folder, "q.yaml", USES);
    world_write(folder, "t.yaml", TEMPLATE);
    while (nth < RUNS_MAX && !load_failing(folder, nth))
        nth++;
    /* It was past the last allocation, not one whose failure went unseen. */
    for (size_t more = 1; more < 50; more++)
        assert_true(load_failing(folder, nth + more));
    world_remove(folder);
    assert_in_range(nth, 50, RUNS_MAX - 1);
}

/* Decide once with the `nth` allocation failing; true where it was allowed. */
static bool decide_failing(const struct policy *policy, const json_t *claims, size_t nth)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_REQUEST_MAX);
    struct policy_facts facts = { .issuer = STR("github"), .claims = claims };
    struct policy_request request = { 0 };
    struct policy_decision decision;
    struct error error = { 0 };
    bool is_allowed;

    fail_memory_at(nth);
    is_allowed = policy_decide(policy, &facts, &request, 0, arena, &decision, &error);
    fail_memory_at(0);
    assert_int_equal(error.code, is_allowed ? ERROR_NONE : ERROR_MEMORY);
    assert_int_equal(decision.grant_count, is_allowed ? 1 : 0);
    return is_allowed;
}

static void a_decision_without_memory_grants_nothing(void **state)
{
    OWNED(policy_unref) struct policy *policy = NULL;
    JSON_OWNED json_t *claims = json_pack("{s:s,s:s,s:s,s:s}", "repository_id", "1", "ref",
                                          "refs/pull/7/merge", "actor", "a", "event_name", "push");
    char folder[64];
    size_t nth = 1;

    (void)state;
    world_make_folder(folder);
    world_write(folder, "p.yaml", PREVIEW);
    world_write(folder, "s.yaml", "sets: { s: [push, pull_request] }\n");
    policy = world_load(folder);
    world_remove(folder);
    while (nth < RUNS_MAX && !decide_failing(policy, claims, nth))
        nth++;
    for (size_t more = 1; more < 50; more++)
        assert_true(decide_failing(policy, claims, nth + more));
    assert_in_range(nth, 2, RUNS_MAX - 1);
}

/* Of every kind, with exceptions that are over, so that decisions look at everything. */
#define GUARDRAILS                                                                                 \
    "guardrails:\n"                                                                                \
    "  ttl: { deploy: 20m }\n"                                                                     \
    "  forbid: [ { name: f, jwt: [\"x *9\", y], except: { kind: agent, approval: { count: 2 } } "  \
    "} ]\n"                                                                                        \
    "  separate:\n"                                                                                \
    "    - { name: s, kinds: build, from: { environment: production } }\n"                         \
    "    - { name: o, principals: true, for: { kind: deploy, target: [fleet, lab] } }\n"           \
    "  require: [ { name: r, mode: warn, when: { ci.ref: { in: s } } } ]\n"                        \
    "  freeze: [ { name: z, for: { tenant: payments }, from: 2026-12-20, to: 2027-01-03 } ]\n"     \
    "  exceptions: [ { from: ttl, pipeline: p, stage: preview, until: 2026-12-31, why: x } ]\n"

#define LOGIN                                                                                      \
    "pipeline: q\nowner: me\nidentity: { issuer: github, repository_id: \"2\" }\n"                 \
    "stages:\n  login:\n    kind: deploy\n    environment: production\n"                           \
    "    grants: { g: { ssh: { target: fleet, principals: [a, b] } } }\n"                          \
    "  again:\n    kind: deploy\n    environment: production\n"                                    \
    "    when: { ref: { like: \"{x}\" } }\n"                                                       \
    "    grants: { g: { ssh: { target: fleet, principals: [\"a-${x}\"] } } }\n"

static void write_guarded(char folder[64])
{
    world_make_folder(folder);
    world_write(folder, "g.yaml", GUARDRAILS);
    world_write(folder, "p.yaml", PREVIEW);
    world_write(folder, "q.yaml", LOGIN);
    world_write(folder, "s.yaml", "sets: { s: [push, pull_request] }\n");
}

static void guardrails_without_memory_load_nothing(void **state)
{
    char folder[64];
    size_t nth = 1;

    (void)state;
    write_guarded(folder);
    while (nth < RUNS_MAX && !load_failing(folder, nth))
        nth++;
    for (size_t more = 1; more < 50; more++)
        assert_true(load_failing(folder, nth + more));
    world_remove(folder);
    assert_in_range(nth, 100, RUNS_MAX - 1); /* ASan's arenas allocate more often */
}

static void a_guarded_decision_without_memory_grants_nothing(void **state)
{
    OWNED(policy_unref) struct policy *policy = NULL;
    JSON_OWNED json_t *claims = json_pack("{s:s,s:s,s:s,s:s}", "repository_id", "1", "ref",
                                          "refs/pull/7/merge", "actor", "a", "event_name", "push");
    char folder[64];
    size_t nth = 1;

    (void)state;
    write_guarded(folder);
    policy = world_load(folder);
    world_remove(folder);
    while (nth < RUNS_MAX && !decide_failing(policy, claims, nth))
        nth++;
    for (size_t more = 1; more < 50; more++)
        assert_true(decide_failing(policy, claims, nth + more));
    assert_in_range(nth, 5, RUNS_MAX - 1);
}

/* Prove once with the `nth` allocation failing; true where there was an answer. */
static bool prove_failing(const struct policy *policy, size_t nth)
{
    OWNED(arena_free) struct arena *arena = arena_new((size_t)4 * 1024 * 1024);
    const struct policy_stage *stage = policy_stage_at(policy, 0);
    /* what both let in, and what the first alone: an example of text that is searched for */
    const struct proof_term terms[] = {
        { .policy = policy, .stage = stage },
        { .policy = policy, .stage = policy_stage_at(policy, 1), .is_negated = true },
    };
    enum proof_answer answer = PROOF_NO;
    struct proof_example example;
    struct error error = { 0 };
    struct prover *prover;
    bool is_good;

    fail_memory_at(nth);
    prover = prover_new(arena);
    is_good = prover != NULL && prove(prover, terms, 2, &answer, &example, &error);
    fail_memory_at(0);
    if (prover == NULL)
        return false;
    assert_int_equal(error.code, is_good ? ERROR_NONE : ERROR_MEMORY);
    assert_int_equal(answer, is_good ? PROOF_YES : PROOF_UNDECIDED);
    return is_good;
}

static void a_proof_without_memory_is_no_answer(void **state)
{
    OWNED(policy_unref) struct policy *policy = world_load_text(
        "pipeline: p\nowner: me\nidentity: { issuer: github, repository_id: \"1\" }\n"
        "stages:\n"
        "  a:\n"
        "    kind: build\n"
        "    when: { ref: { like: \"a*b*\" }, ci.fork: false, actor.issuer: people, actor.groups: "
        "a "
        "}\n"
        "    unless: { ref: { like: \"*x*\" } }\n"
        "  b:\n"
        "    kind: build\n"
        "    when: { ref: { like: \"*b\" } }\n");
    size_t nth = 1;

    while (nth < RUNS_MAX && !prove_failing(policy, nth))
        nth++;
    for (size_t more = 1; more < 50; more++)
        assert_true(prove_failing(policy, nth + more));
    assert_in_range(nth, 3, RUNS_MAX - 1);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_load_without_memory_fails_and_leaves_nothing_behind),
        cmocka_unit_test(a_decision_without_memory_grants_nothing),
        cmocka_unit_test(a_proof_without_memory_is_no_answer),
        cmocka_unit_test(guardrails_without_memory_load_nothing),
        cmocka_unit_test(a_guarded_decision_without_memory_grants_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
