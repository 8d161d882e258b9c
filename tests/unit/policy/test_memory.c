#include "base/error.h"
#include "base/json.h"
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
    "    grants: { g: { jwt: { audience: x, scope: \"pr-${pr}\" } } }\n"                           \
    "tests: [ { name: t, claims: { ref: x }, expect: deny, because: [identity] } ]\n"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_load_without_memory_fails_and_leaves_nothing_behind),
        cmocka_unit_test(a_decision_without_memory_grants_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
