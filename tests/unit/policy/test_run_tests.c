#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "tests/test.h"
#include "world.h"

#define HEAD                                                                                       \
    "pipeline: p\nowner: me\nidentity: { issuer: github, repository_id: \"1\" }\n"                 \
    "stages:\n"                                                                                    \
    "  build:\n"                                                                                   \
    "    kind: build\n"                                                                            \
    "    when: { ref: main, event_name: push }\n"                                                  \
    "    unless: { actor: mallory }\n"                                                             \
    "    grants:\n"                                                                                \
    "      a: { jwt: { audience: a }, ttl: 5m }\n"                                                 \
    "      b: { jwt: { audience: b }, ttl: 5m }\n"                                                 \
    "  office:\n"                                                                                  \
    "    kind: test\n"                                                                             \
    "    when: { request.address: { within: 10.0.0.0/8 }, ref: office, ci.runner: hosted }\n"      \
    "tests:\n"
#define MAIN "claims: { repository_id: \"1\", ref: main, event_name: push }"

/* Run one row; the detail, "" where it passed. */
static const char *run_in(const char *folder, const char *row, const char *claims_folder,
                          struct arena *arena)
{
    OWNED(policy_unref) struct policy *policy = NULL;
    struct policy_test_result *results = NULL;
    struct error error = { 0 };
    char text[2048];
    size_t count = 0;

    (void)snprintf(text, sizeof(text), HEAD "  - { name: t, %s }\n", row);
    world_write(folder, "policy.yaml", text);
    policy = world_load(folder);
    assert_true(policy_run_tests(policy, claims_folder, arena, &results, &count, &error));
    assert_int_equal(count, 1);
    assert_true(str_eq(results[0].name, STR("t")));
    assert_int_equal(results[0].at.line, 16);
    assert_int_equal(results[0].has_passed, results[0].detail.len == 0);
    return results[0].detail.len == 0 ? "" : results[0].detail.data;
}

static const char *run(const char *row)
{
    static char detail[512];
    OWNED(arena_free) struct arena *arena = arena_new((size_t)1024 * 1024);
    char folder[64];

    world_make_folder(folder);
    (void)snprintf(detail, sizeof(detail), "%s", run_in(folder, row, NULL, arena));
    world_remove(folder);
    return detail;
}

static void rows_that_hold_pass(void **state)
{
    static const char *const rows[] = {
        MAIN ", expect: allow",
        MAIN ", stage: build, expect: allow",
        MAIN ", stage: \"p:build\", expect: allow, grants: [b, a], ttl: 5m",
        MAIN ", stage: office, expect: deny, because: [ref, request.address, ci.runner]",
        MAIN ", stage: office, expect: deny",
        "claims: { repository_id: \"2\" }, expect: deny, because: [identity]",
        "claims: { repository_id: \"1\", ref: x, event_name: push }, stage: build, expect: deny, "
        "because: [ref]",
        "claims: { repository_id: \"1\", ref: main, event_name: push, actor: mallory }, stage: "
        "build, expect: deny, because: [actor]",
        "claims: { repository_id: \"1\", ref: office, runner_environment: github-hosted }, "
        "address: 10.1.2.3, stage: office, expect: allow, grants: []",
        "claims: { repository_id: \"1\", iss: x, exp: 7, custom: { a: b } }, stage: build, expect: "
        "deny, at: 2026-11-22",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        if (run(rows[i])[0] != '\0')
            fail_msg("%s: %s", rows[i], run(rows[i]));
}

static void rows_that_do_not_hold_say_what_came(void **state)
{
    static const struct {
        const char *row;
        const char *detail;
    } cases[] = {
        { MAIN ", expect: deny", "expected deny, got allow of p:build" },
        { MAIN ", stage: office, expect: allow",
          "expected allow, got deny because of ci.runner, ref, request.address" },
        { MAIN ", stage: office, expect: deny, because: [ref]",
          "expected deny because of ref, got deny because of ci.runner, ref, request.address" },
        { MAIN ", stage: office, expect: deny, because: []",
          "expected deny because of nothing, got deny because of ci.runner, ref, request.address" },
        { MAIN ", expect: allow, grants: [a]", "expected the grants a, got a, b" },
        { MAIN ", expect: allow, ttl: 10m", "expected a ttl of 600 s, got 300 s for b" },
        { "claims: { repository_id: \"2\" }, expect: allow",
          "expected allow, got deny because of identity" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_string_equal(run(cases[i].row), cases[i].detail);
}

static void claims_are_found_beside_the_policy_then_in_their_folder(void **state)
{
    OWNED(arena_free) struct arena *arena = arena_new((size_t)1024 * 1024);
    const char *row = "claims: github/main.json, stage: build, expect: allow";
    char folder[64];
    char shared[64];
    char path[128];

    (void)state;
    world_make_folder(folder);
    world_make_folder(shared);
    assert_non_null(strstr(run_in(folder, row, shared, arena), "github/main.json"));
    assert_non_null(strstr(run_in(folder, row, NULL, arena), "github/main.json"));
    (void)snprintf(path, sizeof(path), "%s/github", shared);
    assert_int_equal(mkdir(path, 0755), 0);
    world_write(path, "main.json",
                "{\"repository_id\":\"1\",\"ref\":\"main\",\"event_name\":\"push\"}");
    assert_string_equal(run_in(folder, row, shared, arena), "");
    /* What stands beside the policy counts, also where it is broken. */
    (void)snprintf(path, sizeof(path), "%s/github", folder);
    assert_int_equal(mkdir(path, 0755), 0);
    world_write(path, "main.json", "{");
    assert_string_not_equal(run_in(folder, row, shared, arena), "");
    world_remove(folder);
    world_remove(shared);
}

/* The example of the language's description, as far as this version goes. */
static void the_payments_example_passes_its_tests(void **state)
{
    OWNED(policy_unref) struct policy *policy = world_load("../../data/policy/payments");
    OWNED(arena_free) struct arena *arena = arena_new((size_t)1024 * 1024);
    struct policy_test_result *results = NULL;
    struct error error = { 0 };
    size_t count = 0;

    (void)state;
    assert_true(policy_run_tests(policy, NULL, arena, &results, &count, &error));
    assert_int_equal(count, 2);
    for (size_t i = 0; i < count; i++)
        if (!results[i].has_passed)
            fail_msg(STR_FMT ": " STR_FMT, STR_ARG(results[i].name), STR_ARG(results[i].detail));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_that_hold_pass),
        cmocka_unit_test(rows_that_do_not_hold_say_what_came),
        cmocka_unit_test(claims_are_found_beside_the_policy_then_in_their_folder),
        cmocka_unit_test(the_payments_example_passes_its_tests),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
