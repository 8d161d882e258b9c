#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "policy/explain.h"
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
    const struct policy_test_options options = { .claims_folder = claims_folder };
    struct policy_test_run tests = { 0 };
    struct error error = { 0 };
    char text[2048];

    (void)snprintf(text, sizeof(text), HEAD "  - { name: t, %s }\n", row);
    world_write(folder, "policy.yaml", text);
    policy = world_load(folder);
    assert_true(policy_run_tests(policy, &options, arena, &tests, &error));
    assert_int_equal(tests.count, 1);
    assert_true(str_eq(tests.results[0].name, STR("t")));
    assert_int_equal(tests.results[0].at.line, 16);
    assert_int_equal(tests.results[0].has_passed, tests.results[0].detail.len == 0);
    return tests.results[0].detail.len == 0 ? "" : tests.results[0].detail.data;
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

static void write_base(const char *folder)
{
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/github", folder);
    assert_int_equal(mkdir(path, 0755), 0);
    world_write(path, "main.json",
                "{\"repository_id\":\"1\",\"ref\":\"main\",\"event_name\":\"push\",\"actor\":\"a\","
                "\"custom\":{\"a\":{\"b\":1},\"c\":2},\"text\":\"x\"}");
}

#define BASE "base: github/main.json"

static void claims_may_differ_from_a_base(void **state)
{
    static const struct {
        const char *row;
        const char *detail; /* a piece of it; "": it passes */
    } cases[] = {
        { BASE ", expect: allow", "" },
        { BASE ", claims: { actor: mallory }, stage: build, expect: deny, because: [actor]", "" },
        { BASE ", claims: { ref: x, event_name: y }, stage: build, expect: deny, because: [ref, "
               "event_name]",
          "" },
        { BASE ", without: [ref], stage: build, expect: deny, because: [ref]", "" },
        { BASE ", without: [ref, actor], claims: { event_name: x }, stage: build, expect: deny, "
               "because: [ref, event_name]",
          "" },
        { BASE ", without: [/custom/a/b, /custom/c, /nothing], expect: allow",
          "no '/nothing' to leave out" },
        { BASE ", without: [/custom/a/b, /custom/c], expect: allow", "" },
        { BASE ", without: [environment], expect: allow",
          "github/main.json has no 'environment' to leave out" },
        { "base: github/none.json, expect: allow", "github/none.json" },
        { "base: github/bad.json, expect: allow", "github/bad.json" },
        { "base: github/list.json, expect: allow", "github/list.json" },
    };
    OWNED(arena_free) struct arena *arena = arena_new((size_t)1024 * 1024);
    char folder[64];
    char path[128];

    (void)state;
    world_make_folder(folder);
    write_base(folder);
    (void)snprintf(path, sizeof(path), "%s/github", folder);
    world_write(path, "bad.json", "{\"a\":1,\"a\":2}");
    world_write(path, "list.json", "[]");
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *detail = run_in(folder, cases[i].row, NULL, arena);

        if (cases[i].detail[0] == '\0' ? detail[0] != '\0' : !strstr(detail, cases[i].detail))
            fail_msg("%s: %s", cases[i].row, detail);
    }
    world_remove(folder);
}

/* One row's change of a base is nobody else's. */
static void rows_do_not_see_each_others_changes(void **state)
{
    const struct policy_test_options options = { 0 };
    OWNED(arena_free) struct arena *arena = arena_new((size_t)1024 * 1024);
    OWNED(policy_unref) struct policy *policy = NULL;
    struct policy_test_run tests = { 0 };
    struct error error = { 0 };
    char folder[64];

    (void)state;
    world_make_folder(folder);
    write_base(folder);
    world_write(
        folder, "policy.yaml",
        HEAD "  - { name: a, " BASE ", claims: { custom: { a: { b: 3 } }, ref: x }, stage: build, "
             "expect: deny }\n"
             "  - { name: b, " BASE ", expect: allow }\n"
             "  - { name: c, " BASE ", claims: { custom: { c: 5 }, ref: x }, stage: build, expect: "
             "deny }\n"
             "  - { name: d, " BASE ", expect: allow }\n");
    policy = world_load(folder);
    for (size_t i = 0; i < 2; i++) {
        assert_true(policy_run_tests(policy, &options, arena, &tests, &error));
        assert_int_equal(tests.failed_count, 0);
    }
    world_remove(folder);
}

static void claims_that_cannot_be_meant_are_mistakes(void **state)
{
    static const struct {
        const char *row;
        const char *said;
    } cases[] = {
        { "expect: allow", "'claims' is missing" },
        { "base: ../main.json, expect: allow", "'base' is the path of a JSON file, without '..'" },
        { "base: /etc/passwd, expect: allow", "'base' is the path of a JSON file, without '..'" },
        { "base: \"\", expect: allow", "'base' is the path of a JSON file, without '..'" },
        { "base: { a: b }, expect: allow", "'base' is the path of a JSON file, without '..'" },
        { "base: a.json, claims: b.json, expect: allow", "'claims' must be a map" },
        { "claims: ../main.json, expect: allow",
          "'claims' is a map of claims, or the path of a JSON file, without '..'" },
        { "claims: [a], expect: allow", "'claims' is a map of claims" },
        { BASE ", claims: { reff: x }, expect: allow", "did you mean 'ref'?" },
        { BASE ", without: [reff], expect: allow", "did you mean 'ref'?" },
        { BASE ", without: [/], expect: allow", "'without' is a list of the issuer's claims" },
        { BASE ", without: [{ a: b }], expect: allow",
          "'without' is a list of the issuer's claims" },
        { BASE ", without: ref, expect: allow", "'without' must be a list" },
        { BASE ", without: [ref], claims: { ref: x }, expect: allow", "'ref' is in 'claims' too" },
        { "claims: { ref: x }, without: [sha], expect: allow", "there is none" },
        { "claims: { ref: x }, without: [sha], bases: a.json, expect: allow",
          "did you mean 'base'?" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[2048];

        (void)snprintf(text, sizeof(text), HEAD "  - { name: t, %s }\n", cases[i].row);
        assert_true(world_refuses(text, cases[i].said));
    }
}

#define OLD_CI                                                                                     \
    "pipeline: p\nowner: me\nidentity: { issuer: old-ci, project_id: \"1\" }\n"                    \
    "stages: { a: { kind: build, when: { build_number: 7 } } }\n"                                  \
    "tests:\n"

static void claims_of_another_type_are_mistakes(void **state)
{
    (void)state;
    assert_true(world_refuses(OLD_CI
                              "  - { name: t, claims: { build_number: x }, expect: allow }\n",
                              "expected a number"));
    assert_true(world_refuses(OLD_CI
                              "  - { name: t, base: a.json, claims: { is_manual: 1 }, expect: "
                              "allow }\n",
                              "expected true or false"));
    assert_true(world_refuses(OLD_CI
                              "  - { name: t, claims: { project_id: { a: b } }, expect: allow }\n",
                              "expected a plain value"));
}

/* ---- what is told of a run ---- */

static void run_all(const char *text, const struct policy_test_options *options,
                    struct arena *arena, struct policy **policy, struct policy_test_run *tests)
{
    struct error error = { 0 };

    *policy = world_load_text(text);
    assert_true(policy_run_tests(*policy, options, arena, tests, &error));
}

static void a_row_that_fails_has_its_explanation(void **state)
{
    OWNED(arena_free) struct arena *arena = arena_new((size_t)1024 * 1024);
    OWNED(policy_unref) struct policy *policy = NULL;
    const struct policy_test_options options = { 0 };
    struct policy_test_run tests;
    const struct policy_test_result *result;

    (void)state;
    run_all(HEAD "  - { name: a, " MAIN
                 ", stage: office, expect: deny, because: [ref, event_name] }\n"
                 "  - { name: b, " MAIN ", expect: allow, grants: [a], ttl: 10m }\n"
                 "  - { name: c, " MAIN ", expect: allow }\n"
                 "  - { name: d, claims: none.json, expect: deny }\n",
            &options, arena, &policy, &tests);
    assert_int_equal(tests.count, 4);
    assert_int_equal(tests.failed_count, 3);
    result = &tests.results[0];
    assert_true(str_eq(result->pipeline, STR("p")) && str_eq(result->stage, STR("office")));
    assert_false(result->expected.is_allow || result->got.is_allow);
    assert_int_equal(result->expected.name_count, 2);
    assert_int_equal(result->got.name_count, 3);
    assert_true(str_eq(result->got.names[0], STR("ci.runner")));
    assert_non_null(result->explanation);
    assert_true(str_eq(result->explanation->subjects[0].stage->name, STR("office")));
    result = &tests.results[1];
    assert_true(result->expected.is_allow && result->got.is_allow);
    assert_int_equal(result->expected.ttl_s, 600);
    assert_int_equal(result->got.ttl_s, 300);
    assert_int_equal(result->got.name_count, 2);
    assert_true(result->explanation->is_allowed);
    assert_true(tests.results[2].has_passed && tests.results[2].explanation == NULL);
    assert_true(tests.results[3].is_broken && tests.results[3].explanation == NULL);
}

static void a_filter_is_found_in_names_stages_pipelines_and_files(void **state)
{
    static const struct {
        const char *filter;
        size_t count;
    } cases[] = {
        { "", 3 },   { "first", 1 }, { "office", 1 },      { "t", 3 },
        { "of", 2 }, { "p", 3 },     { "policy.yaml", 3 }, { "nothing of it", 0 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        OWNED(arena_free) struct arena *arena = arena_new((size_t)1024 * 1024);
        OWNED(policy_unref) struct policy *policy = NULL;
        const struct policy_test_options options = { .filter = str_from(cases[i].filter) };
        struct policy_test_run tests;

        run_all(HEAD "  - { name: first test, " MAIN ", expect: allow }\n"
                     "  - { name: of nothing, " MAIN ", expect: allow }\n"
                     "  - { name: t, " MAIN ", stage: office, expect: deny }\n",
                &options, arena, &policy, &tests);
        assert_int_equal(tests.count, cases[i].count);
        assert_int_equal(tests.failed_count, 0);
        assert_null(tests.coverage);
    }
}

/* ---- coverage ---- */

/* "ref+- event_name+ a+": each item of the first pipeline with what it has. */
static const char *covered(const char *text)
{
    static char said[1024];
    const struct policy_test_options options = { .wants_coverage = true };
    OWNED(arena_free) struct arena *arena = arena_new((size_t)4 * 1024 * 1024);
    OWNED(policy_unref) struct policy *policy = NULL;
    struct policy_test_run tests;
    size_t used = 0;

    run_all(text, &options, arena, &policy, &tests);
    assert_int_equal(tests.coverage_count, 1);
    said[0] = '\0';
    for (size_t i = 0; i < tests.coverage[0].count; i++) {
        const struct policy_covered *item = &tests.coverage[0].items[i];

        used += (size_t)snprintf(said + used, sizeof(said) - used, "%s" STR_FMT "%s%s",
                                 i > 0 ? " " : "", STR_ARG(item->name),
                                 item->has_allowed ? "+" : "", item->has_denied ? "-" : "");
    }
    return said;
}

#define COVERED                                                                                    \
    "pipeline: p\nowner: me\n"                                                                     \
    "identity: { issuer: github, repository_id: \"1\" }\n"                                         \
    "unless: { actor: mallory }\n"                                                                 \
    "stages:\n"                                                                                    \
    "  build:\n"                                                                                   \
    "    kind: build\n"                                                                            \
    "    when:\n"                                                                                  \
    "      - { ref: main, event_name: push }\n"                                                    \
    "      - { sha: x, event_name: tag }\n"                                                        \
    "    unless: { environment: x, ref_type: y }\n"                                                \
    "    proof: dpop\n"                                                                            \
    "    grants:\n"                                                                                \
    "      a: { jwt: { audience: a }, ttl: 5m }\n"                                                 \
    "tests:\n"
#define PUSHED "claims: { repository_id: \"1\", ref: main, event_name: push"

static void a_condition_is_covered_by_one_test_that_it_allows_and_one_that_it_denies(void **state)
{
    static const struct {
        const char *rows;
        const char *said;
    } cases[] = {
        { "  - { name: t, " PUSHED " }, stage: build, proof: dpop, expect: allow }\n",
          "repository_id+ actor+ ref+ event_name+ sha event_name environment+ ref_type+ "
          "proof+ a+" },
        { "  - { name: t, " PUSHED " }, stage: build, expect: deny, because: [proof] }\n",
          "repository_id actor ref event_name sha event_name environment ref_type proof- a" },
        { "  - { name: t, " PUSHED ", ref_type: y }, stage: build, proof: dpop, expect: allow }\n",
          "repository_id+ actor+ ref+ event_name+ sha event_name environment+ ref_type proof+ a+" },
        { "  - { name: t, " PUSHED ", ref_type: y, environment: x }, stage: build, proof: dpop, "
          "expect: deny }\n",
          "repository_id actor ref event_name sha event_name environment- ref_type- proof a" },
        { "  - { name: t, claims: { repository_id: \"2\" }, expect: deny, because: [identity] }\n",
          "repository_id- actor ref event_name sha event_name environment ref_type proof a" },
        { "  - { name: t, claims: { repository_id: \"1\", sha: x, event_name: y, actor: mallory }, "
          "expect: deny }\n",
          "repository_id actor- ref event_name sha event_name- environment ref_type proof- a" },
        { "  - { name: t, claims: { repository_id: \"1\", sha: x, event_name: tag }, proof: dpop, "
          "expect: allow }\n",
          "repository_id+ actor+ ref event_name sha+ event_name+ environment+ ref_type+ "
          "proof+ a+" },
        /* What failed covers nothing: it says nothing of what was meant. */
        { "  - { name: t, " PUSHED " }, stage: build, proof: dpop, expect: deny }\n",
          "repository_id actor ref event_name sha event_name environment ref_type proof a" },
        { "  - { name: t, " PUSHED " }, stage: build, proof: dpop, expect: allow, ttl: 1m }\n",
          "repository_id actor ref event_name sha event_name environment ref_type proof a" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[2048];

        (void)snprintf(text, sizeof(text), COVERED "%s", cases[i].rows);
        assert_string_equal(covered(text), cases[i].said);
    }
}

static void coverage_counts_what_has_all_it_can_have(void **state)
{
    OWNED(arena_free) struct arena *arena = arena_new((size_t)4 * 1024 * 1024);
    OWNED(policy_unref) struct policy *policy = NULL;
    const struct policy_test_options options = { .wants_coverage = true };
    struct policy_test_run tests;
    const struct policy_coverage *coverage;

    (void)state;
    run_all(COVERED "  - { name: t, " PUSHED " }, stage: build, proof: dpop, expect: allow }\n"
                    "  - { name: u, " PUSHED " }, stage: build, expect: deny, because: [proof] }\n",
            &options, arena, &policy, &tests);
    coverage = &tests.coverage[0];
    assert_int_equal(coverage->count, 10);
    assert_int_equal(coverage->covered_count, 2); /* `proof` and the grant */
    assert_true(policy_is_covered(&coverage->items[8]));
    assert_false(policy_is_covered(&coverage->items[0]));
    assert_int_equal(coverage->items[0].at.line, 3);
    assert_int_equal(coverage->items[2].at.line, 9);
    assert_string_equal(coverage->items[2].clause, "when");
    assert_true(str_eq(coverage->items[2].stage, STR("build")));
    assert_int_equal(coverage->items[0].stage.len, 0);
    assert_string_equal(coverage->items[9].clause, "grant");
}

/* Whichever of its stages is denied because of a template's word: it is one line. */
static void a_word_of_a_template_counts_once(void **state)
{
    OWNED(arena_free) struct arena *arena = arena_new((size_t)4 * 1024 * 1024);
    OWNED(policy_unref) struct policy *policy = NULL;
    const struct policy_test_options options = { .wants_coverage = true };
    const struct policy_coverage *coverage;
    struct policy_test_run tests;
    struct error error = { 0 };
    char folder[64];
    size_t count = 0;

    (void)state;
    world_make_folder(folder);
    world_write(folder, "t.yaml",
                "template: t\nparameters: [r]\nstage:\n  kind: build\n  proof: dpop\n"
                "  from: 10.0.0.0/8\n  when: { ref: '${param.r}' }\n");
    world_write(folder, "p.yaml",
                "pipeline: p\nowner: me\nidentity: { issuer: github, repository_id: \"1\" }\n"
                "stages:\n  a: { use: t, with: { r: a } }\n  b: { use: t, with: { r: b } }\n"
                "  c: { kind: test, proof: mtls }\n"
                "tests:\n"
                "  - { name: t, claims: { repository_id: \"1\", ref: a }, stage: a, proof: dpop,\n"
                "      address: 10.0.0.1, expect: allow }\n"
                "  - { name: u, claims: { repository_id: \"1\", ref: b }, stage: b,\n"
                "      address: 10.0.0.1, expect: deny, because: [proof] }\n");
    policy = world_load(folder);
    assert_true(policy_run_tests(policy, &options, arena, &tests, &error));
    coverage = &tests.coverage[0];
    for (size_t i = 0; i < coverage->count; i++) {
        const struct policy_covered *item = &coverage->items[i];

        if (!str_ends_with(item->at.file, STR("/t.yaml")))
            continue;
        count++;
        assert_int_equal(item->at.line, str_eq(item->name, STR("proof"))  ? 5
                                        : str_eq(item->name, STR("from")) ? 6
                                                                          : 7);
        assert_true(item->has_allowed);
        assert_int_equal(item->has_denied, str_eq(item->name, STR("proof")));
    }
    assert_int_equal(count, 3);
    assert_int_equal(coverage->count, 3 + 2); /* the identity, and the third stage's `proof` */
    world_remove(folder);
}

static int64_t ticks(void)
{
    static int64_t now_ns;

    return now_ns += 1000;
}

static void rows_are_measured_where_there_is_a_clock(void **state)
{
    OWNED(arena_free) struct arena *arena = arena_new((size_t)1024 * 1024);
    struct policy_test_options options = { 0 };

    (void)state;
    for (int i = 0; i < 2; i++) {
        OWNED(policy_unref) struct policy *policy = NULL;
        struct policy_test_run tests;

        options.clock_ns = i == 0 ? NULL : ticks;
        run_all(HEAD "  - { name: a, " MAIN ", expect: allow }\n"
                     "  - { name: b, " MAIN ", expect: deny }\n",
                &options, arena, &policy, &tests);
        assert_int_equal(tests.results[0].duration_ns, i * 1000);
        assert_int_equal(tests.results[1].duration_ns, i * 1000);
    }
}

/* The example of the language's description, as far as this version goes. */
static void the_payments_example_passes_its_tests(void **state)
{
    OWNED(policy_unref) struct policy *policy = world_load("../../data/policy/payments");
    OWNED(arena_free) struct arena *arena = arena_new((size_t)1024 * 1024);
    const struct policy_test_options options = { 0 };
    struct policy_test_run tests = { 0 };
    struct error error = { 0 };

    (void)state;
    assert_true(policy_run_tests(policy, &options, arena, &tests, &error));
    assert_int_equal(tests.count, 2);
    for (size_t i = 0; i < tests.count; i++)
        if (!tests.results[i].has_passed)
            fail_msg(STR_FMT ": " STR_FMT, STR_ARG(tests.results[i].name),
                     STR_ARG(tests.results[i].detail));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_that_hold_pass),
        cmocka_unit_test(rows_that_do_not_hold_say_what_came),
        cmocka_unit_test(claims_are_found_beside_the_policy_then_in_their_folder),
        cmocka_unit_test(claims_may_differ_from_a_base),
        cmocka_unit_test(rows_do_not_see_each_others_changes),
        cmocka_unit_test(claims_that_cannot_be_meant_are_mistakes),
        cmocka_unit_test(claims_of_another_type_are_mistakes),
        cmocka_unit_test(a_row_that_fails_has_its_explanation),
        cmocka_unit_test(a_filter_is_found_in_names_stages_pipelines_and_files),
        cmocka_unit_test(a_condition_is_covered_by_one_test_that_it_allows_and_one_that_it_denies),
        cmocka_unit_test(coverage_counts_what_has_all_it_can_have),
        cmocka_unit_test(a_word_of_a_template_counts_once),
        cmocka_unit_test(rows_are_measured_where_there_is_a_clock),
        cmocka_unit_test(the_payments_example_passes_its_tests),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
