#include <stdio.h>
#include <string.h>

#include "analysing.h"
#include "base/buf.h"
#include "policy/policy.h"
#include "tests/test.h"
#include "world.h"

#define KEEPS                                                                                      \
    "guardrails:\n  separate:\n"                                                                   \
    "    - { name: apart, kinds: [build, test, agent], from: { environment: production } }\n"

#define BUILD(identity, clauses)                                                                   \
    "pipeline: b\nowner: o\nidentity: " identity "\nstages:\n  build: { kind: build, " clauses     \
    " }\n"
#define DEPLOY(identity, clauses)                                                                  \
    "pipeline: d\nowner: o\nidentity: " identity                                                   \
    "\nstages:\n  deploy: { kind: deploy, environment: production, " clauses " }\n"

#define ONE "{ issuer: github, repository_id: \"1\" }"
#define TWO "{ issuer: github, repository_id: \"2\" }"
#define BOTH "{ issuer: github, repository_id: [\"1\", \"2\"] }"
#define BY_FACT "{ issuer: github, ci.repository_id: \"1\" }"
#define OWNER "{ issuer: github, repository_owner_id: \"9\" }"
#define OTHER_OWNER "{ issuer: github, repository_owner_id: \"8\", repository_id: \"1\" }"
#define OTHER_ISSUER "{ issuer: gitlab, project_id: \"1\" }"
#define EITHER "[ { issuer: gitlab, project_id: \"1\" }, { issuer: github, repository_id: \"1\" } ]"

struct row {
    const char *build;
    const char *deploy;
    bool share; /* a token fits both */
};

static bool is_good(const char *guardrails, const char *build, const char *deploy, struct buf *said)
{
    char folder[64];
    bool is_kept;

    world_make_folder(folder);
    world_write(folder, "a.yaml", build);
    world_write(folder, "b.yaml", deploy);
    world_write(folder, "g.yaml", guardrails);
    is_kept = analysing_folder_says(folder, said);
    world_remove(folder);
    return is_kept;
}

static void a_token_fits_one_side_only(void **state)
{
    static const struct row rows[] = {
        { BUILD(ONE, "when: { ref: a }"), DEPLOY(ONE, "when: { ref: a }"), true },
        { BUILD(ONE, "when: { ref: a }"), DEPLOY(ONE, "when: { sha: b }"), true },
        { BUILD(ONE, "when: { ref: a }"), DEPLOY(BY_FACT, "when: { ref: a }"), true },
        { BUILD(BOTH, "when: { ref: a }"), DEPLOY(TWO, "when: { ref: a }"), true },
        { BUILD(OWNER, "when: { ref: a }"), DEPLOY(TWO, "when: { ref: a }"), true },
        { BUILD(ONE, "when: { ref: a }"), DEPLOY(OWNER, "when: { ref: a }"), true },
        { BUILD(EITHER, "when: { ref: a }"), DEPLOY(ONE, "when: { ref: a }"), true },
        { BUILD(OTHER_ISSUER, "when: { ref: a }"), DEPLOY(EITHER, "when: { ref: a }"), true },
        { BUILD(ONE, "when: { ref: a }"), DEPLOY(ONE, "when: { ref: b }"), false },
        { BUILD(ONE, "when: { ref: a }"), DEPLOY(TWO, "when: { ref: a }"), false },
        { BUILD(ONE, "when: { ref: a }"), DEPLOY(OTHER_ISSUER, "when: { ref: a }"), false },
        { BUILD(OWNER, "when: { ref: a }"), DEPLOY(OTHER_OWNER, "when: { ref: a }"), false },
        { BUILD(ONE, "unless: { environment: { exists: true } }"),
          DEPLOY(ONE, "when: { environment: production }"), false },
        { BUILD(TWO, "when: { ref: a }"), DEPLOY(BY_FACT, "when: { ref: a }"), false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        OWNED(buf_release) struct buf said = { 0 };

        buf_init(&said, 65536);
        if (is_good(KEEPS, rows[i].build, rows[i].deploy, &said) == rows[i].share)
            fail_msg("row %zu: %s", i, said.data == NULL ? "" : said.data);
        if (rows[i].share)
            assert_non_null(strstr(said.data, "[guardrail-separate]"));
    }
}

static void what_is_said_has_both_places_and_an_example(void **state)
{
    OWNED(buf_release) struct buf said = { 0 };

    (void)state;
    buf_init(&said, 65536);
    assert_false(
        is_good(KEEPS, BUILD(ONE, "when: { ref: a }"), DEPLOY(ONE, "when: { sha: b }"), &said));
    assert_non_null(strstr(said.data, "a.yaml:5:3: error: a token can fit 'b:build' as well as "
                                      "'d:deploy', which the guardrail 'apart' keeps apart"));
    assert_non_null(strstr(said.data, "    5 |   build: { kind: build, when: { ref: a } }"));
    assert_non_null(strstr(said.data, "hint: for example github {"));
    assert_non_null(strstr(said.data, "b.yaml:5:3: note: the stage that it is kept apart from"));
}

static void a_guardrail_that_warns_does_not_refuse(void **state)
{
    OWNED(buf_release) struct buf said = { 0 };

    (void)state;
    buf_init(&said, 65536);
    assert_true(is_good("guardrails:\n  separate:\n    - { name: apart, mode: warn, kinds: [build],"
                        " from: { environment: production } }\n",
                        BUILD(ONE, "when: { ref: a }"), DEPLOY(ONE, "when: { sha: b }"), &said));
    assert_non_null(strstr(said.data, "warning: a token can fit 'b:build' as well as 'd:deploy'"));
}

static void an_excepted_stage_does_not_refuse(void **state)
{
    OWNED(buf_release) struct buf said = { 0 };

    (void)state;
    buf_init(&said, 65536);
    assert_true(is_good(KEEPS "  exceptions:\n    - { from: apart, pipeline: b, stage: build,"
                              " until: 2025-12-31, why: later }\n",
                        BUILD(ONE, "when: { ref: a }"), DEPLOY(ONE, "when: { sha: b }"), &said));
    assert_non_null(strstr(said.data, "warning: a token can fit 'b:build' as well as 'd:deploy'"));
}

static void kinds_that_it_does_not_name_may_share(void **state)
{
    OWNED(buf_release) struct buf said = { 0 };

    (void)state;
    buf_init(&said, 65536);
    assert_true(
        is_good("guardrails:\n  separate:\n"
                "    - { name: apart, kinds: [agent], from: { environment: production } }\n",
                BUILD(ONE, "when: { ref: a }"), DEPLOY(ONE, "when: { ref: a }"), &said));
    assert_null(strstr(said.data == NULL ? "" : said.data, "guardrail-separate"));
}

static void where_a_side_is_empty_nothing_is_shared(void **state)
{
    OWNED(buf_release) struct buf said = { 0 };

    (void)state;
    buf_init(&said, 65536);
    assert_true(is_good("guardrails:\n  separate:\n"
                        "    - { name: apart, kinds: [build], from: { kind: release } }\n",
                        BUILD(ONE, "when: { ref: a }"), DEPLOY(ONE, "when: { ref: a }"), &said));
    assert_true(is_good("guardrails:\n  separate:\n"
                        "    - { name: apart, kinds: [agent], from: { kind: release } }\n",
                        BUILD(ONE, "when: { ref: a }"), DEPLOY(ONE, "when: { ref: a }"), &said));
}

/* Many pipelines of one owner on each side: each pair may share a token. */
static void write_many(const char *folder, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char name[32];
        char text[512];

        (void)snprintf(name, sizeof(name), "%zu.yaml", i);
        (void)snprintf(text, sizeof(text),
                       "pipeline: p%zu\nowner: o\n"
                       "identity: { issuer: github, repository_id: \"%zu\" }\nstages:\n"
                       "  build: { kind: build, when: { ref: a } }\n"
                       "  deploy: { kind: deploy, environment: production, when: { ref: b } }\n",
                       i, i);
        world_write(folder, name, text);
    }
}

static void identities_of_different_repositories_cost_nothing(void **state)
{
    OWNED(buf_release) struct buf said = { 0 };
    char folder[64];

    (void)state;
    buf_init(&said, 1 << 20);
    world_make_folder(folder);
    write_many(folder, 300);
    world_write(folder, "g.yaml", KEEPS);
    assert_true(analysing_folder_says(folder, &said));
    world_write(folder, "x.yaml", BUILD(OWNER, "when: { ref: b }"));
    assert_false(analysing_folder_says(folder, &said));
    assert_non_null(strstr(said.data, "a token can fit 'b:build' as well as 'p0:deploy', "
                                      "'p1:deploy', 'p10:deploy', which the guardrail"));
    world_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_fits_one_side_only),
        cmocka_unit_test(what_is_said_has_both_places_and_an_example),
        cmocka_unit_test(a_guardrail_that_warns_does_not_refuse),
        cmocka_unit_test(an_excepted_stage_does_not_refuse),
        cmocka_unit_test(kinds_that_it_does_not_name_may_share),
        cmocka_unit_test(where_a_side_is_empty_nothing_is_shared),
        cmocka_unit_test(identities_of_different_repositories_cost_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
