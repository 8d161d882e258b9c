#include "base/diagnostic.h"
#include "base/error.h"
#include "policy/analyse.h"
#include "policy/diff.h"
#include "policy/who_can.h"
#include "tests/fail_memory.h"
#include "tests/test.h"
#include "world.h"

/* Runs in a row in which nothing failed: the failing allocation was past the last one. */
#define ENOUGH 60
#define RUNS_MAX 20000
#define ARENA_BYTES ((size_t)16 * 1024 * 1024)

#define PIPELINE(ref, grants)                                                                      \
    "pipeline: p\nowner: me\nidentity: { issuer: github, repository_id: \"1\" }\nstages:\n"        \
    "  build: { kind: build, when: { ref: [a, " ref "] }, unless: { ref: c } }\n"                  \
    "  deploy: { kind: deploy, environment: production, when: { ref: { like: '" ref "*' } },\n"    \
    "    grants: { g: { ssh: { target: fleet, principals: [" grants "] } } } }\n"

#define APART                                                                                      \
    "guardrails:\n  separate:\n"                                                                   \
    "    - { name: apart, kinds: [build], from: { environment: production } }\n"

static struct policy *load(const char *pipeline, const char *guardrails)
{
    struct policy *policy;
    char folder[64];

    world_make_folder(folder);
    world_write(folder, "p.yaml", pipeline);
    if (guardrails != NULL)
        world_write(folder, "g.yaml", guardrails);
    policy = world_load(folder);
    world_remove(folder);
    return policy;
}

/* Whether a run had all the memory that it asked for. */
typedef bool (*run_failing)(const void *given, size_t nth);

static void run_all(run_failing run, const void *given)
{
    size_t good = 0;
    size_t nth = 1;

    while (nth < RUNS_MAX && good < ENOUGH)
        good = run(given, nth++) ? good + 1 : 0;
    assert_in_range(nth, ENOUGH + 2, RUNS_MAX - 1);
}

/* A token fits both sides: whatever fails, that is never good. */
static bool analyse_failing(const void *given, size_t nth)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_BYTES);
    struct diagnostics diagnostics;
    const struct policy_analysis_options options = { .policy = given, .diagnostics = &diagnostics };
    struct error error = { 0 };
    bool is_good;

    diagnostics_init(&diagnostics, arena);
    fail_memory_at(nth);
    is_good = policy_analyse(&options, &error);
    fail_memory_at(0);
    assert_false(is_good);
    if (error.code == ERROR_MEMORY)
        return false;
    assert_int_equal(error.code, ERROR_CONFIG);
    assert_true(diagnostics.error_count > 0);
    return true;
}

static void what_is_not_apart_is_never_good(void **state)
{
    OWNED(policy_unref) struct policy *policy = load(PIPELINE("b", "x"), APART);

    (void)state;
    run_all(analyse_failing, policy);
}

struct two {
    const struct policy *before;
    const struct policy *after;
};

static bool diff_failing(const void *given, size_t nth)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_BYTES);
    const struct two *two = given;
    const struct policy_diff_options options = { .before = two->before, .after = two->after };
    struct policy_diff diff;
    struct error error = { 0 };
    bool is_compared;

    fail_memory_at(nth);
    is_compared = policy_diff(&options, arena, &diff, &error);
    fail_memory_at(0);
    assert_int_equal(error.code, is_compared ? ERROR_NONE : ERROR_MEMORY);
    if (is_compared)
        assert_int_equal(diff.way, POLICY_WAY_WIDER);
    return is_compared;
}

static void what_is_wider_is_never_said_to_be_less(void **state)
{
    OWNED(policy_unref) struct policy *before = load(PIPELINE("b", "x"), APART);
    OWNED(policy_unref) struct policy *after = load(PIPELINE("d", "x, y"), NULL);
    const struct two two = { before, after };

    (void)state;
    run_all(diff_failing, &two);
}

static bool ask_failing(const void *given, size_t nth)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_BYTES);
    const struct policy *policy = given;
    const struct who_question question = { .kind = policy_stage_at(policy, 1)->grants[0].kind,
                                           .name = STR("x*") };
    struct who_stage *stages;
    struct error error = { 0 };
    size_t count = 0;
    bool is_answered;

    fail_memory_at(nth);
    is_answered = policy_who_can(policy, &question, arena, &stages, &count, &error);
    fail_memory_at(0);
    assert_int_equal(error.code, is_answered ? ERROR_NONE : ERROR_MEMORY);
    assert_int_equal(count, is_answered ? 1 : 0);
    return is_answered;
}

static void whoever_can_is_never_left_out(void **state)
{
    OWNED(policy_unref) struct policy *policy = load(PIPELINE("b", "x"), NULL);

    (void)state;
    run_all(ask_failing, policy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_apart_is_never_good),
        cmocka_unit_test(what_is_wider_is_never_said_to_be_less),
        cmocka_unit_test(whoever_can_is_never_left_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
