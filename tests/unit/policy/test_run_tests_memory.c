#include "base/error.h"
#include "policy/explain.h"
#include "tests/fail_memory.h"
#include "tests/test.h"
#include "world.h"

/* More allocations than one run makes. */
#define RUNS_MAX 20000

/* Run tests once with the `nth` allocation failing; true where they could be run. */
static bool run_tests_failing(const struct policy *policy, size_t nth)
{
    OWNED(arena_free) struct arena *arena = arena_new((size_t)4 * 1024 * 1024);
    const struct policy_test_options options = { .wants_coverage = true };
    struct policy_test_run tests;
    struct error error = { 0 };
    bool could_run;

    fail_memory_at(nth);
    could_run = policy_run_tests(policy, &options, arena, &tests, &error);
    fail_memory_at(0);
    assert_int_equal(error.code, could_run ? ERROR_NONE : ERROR_MEMORY);
    if (could_run) {
        assert_int_equal(tests.count, 2);
        assert_int_equal(tests.failed_count, 1);
        assert_int_equal(tests.coverage[0].covered_count, 0);
        assert_true(tests.results[1].detail.len > 0);
        assert_true(tests.results[1].explanation->subjects[0].clauses[1].maps[0].count == 2);
    }
    return could_run;
}

/* One row passes and one fails, so that explaining runs out of memory, too. */
static void tests_without_memory_say_so(void **state)
{
    OWNED(policy_unref) struct policy *policy = world_load_text(
        "pipeline: p\nowner: me\nidentity: { issuer: old-ci, project_id: \"1\" }\n"
        "stages: { build: { kind: build, when: { name: [a, b], build_number: 7 }, proof: dpop } }\n"
        "tests:\n"
        "  - { name: t, claims: { project_id: \"1\", name: c }, expect: deny, because: [name, "
        "build_number, proof] }\n"
        "  - { name: u, claims: { project_id: \"1\", name: c }, expect: allow }\n");
    size_t failures = 0;

    (void)state;
    /* Some allocations can be done without: 200 runs in a row are past the last one. */
    for (size_t nth = 1, good = 0; nth < RUNS_MAX && good < 200; nth++) {
        good = run_tests_failing(policy, nth) ? good + 1 : 0;
        failures += good == 0;
    }
    assert_in_range(failures, 20, RUNS_MAX - 200); /* ASan's arenas allocate more often */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tests_without_memory_say_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
