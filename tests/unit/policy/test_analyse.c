#include <stdio.h>
#include <string.h>

#include "analysing.h"
#include "base/buf.h"
#include "policy/policy.h"
#include "tests/test.h"
#include "world.h"

/* What is said of a stage that is all but its clauses. */
struct row {
    const char *clauses; /* of the stage, in flow style */
    const char *rules;   /* that are found, in order */
};

static void check_rows(const char *head, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        OWNED(buf_release) struct buf text = { 0 };
        OWNED(buf_release) struct buf found = { 0 };

        buf_init(&text, 4096);
        buf_init(&found, 4096);
        buf_printf(&text, "%s    %s\n", head, rows[i].clauses);
        analysing_rules(text.data, &found);
        if (strcmp(found.data == NULL ? "" : found.data, rows[i].rules) != 0)
            fail_msg("%s: '%s', not '%s'", rows[i].clauses, found.data == NULL ? "" : found.data,
                     rows[i].rules);
    }
}

#define HEAD                                                                                       \
    "pipeline: p\nowner: o\nidentity: { issuer: github, repository_id: \"1\" }\nstages:\n"         \
    "  s:\n    kind: deploy\n"
#define PRODUCTION HEAD "    environment: production\n"

/* ---- lints of profiles ---- */

static void a_condition_that_says_too_little_is_found(void **state)
{
    static const struct row rows[] = {
        { "when: { environment: e }", "x-environment" },
        { "when: { ci.environment: e }", "x-environment" },
        { "when: { environment: { like: 'e*' } }", "x-environment" },
        { "when: [ { environment: e }, { ref: r } ]", "x-environment" },
        { "when: { ref: refs/tags/v1 }", "x-tag" },
        { "when: { ref: { like: 'refs/tags/v*' } }", "x-tag" },
        { "when: { ref: [a, refs/tags/v1] }", "x-tag" },
        { "when: { environment: e, ref: refs/tags/v1 }", "x-tag" },
    };

    (void)state;
    check_rows(HEAD, rows, COUNT(rows));
}

static void a_condition_that_another_one_completes_is_not(void **state)
{
    static const struct row rows[] = {
        { "when: { environment: e, ref: r }", "" },
        { "when: { environment: e, ci.ref: { not: r } }", "" },
        { "when: { ref: refs/tags/v1, sha: abc }", "" },
        { "when: { ref: refs/heads/tags }", "" },
        { "when: { ref: { not: refs/tags/v1 } }", "" },
        { "when: { environment: { exists: false } }", "" },
        { "when: { environment: { exists: true } }", "" },
        { "when: { environment: { not: e } }", "" },
        { "unless: { environment: e }", "" },
        { "when: [ { environment: e, ref: r }, { ref: r2, environment: f } ]", "" },
    };

    (void)state;
    check_rows(HEAD, rows, COUNT(rows));
}

static void a_lint_of_production_is_for_production_only(void **state)
{
    static const struct row rows[] = { { "when: { actor: a, ref: r }", "x-actor" } };
    static const struct row others[] = { { "when: { actor: a, ref: r }", "" } };

    (void)state;
    check_rows(PRODUCTION, rows, COUNT(rows));
    check_rows(HEAD, others, COUNT(others));
    check_rows(HEAD "    environment: staging\n", others, COUNT(others));
}

static void a_condition_of_the_pipeline_is_shown_once(void **state)
{
    OWNED(buf_release) struct buf found = { 0 };

    (void)state;
    buf_init(&found, 4096);
    analysing_rules("pipeline: p\nowner: o\nidentity: { issuer: github, repository_id: \"1\" }\n"
                    "when: { environment: e }\nstages:\n"
                    "  a: { kind: build, when: { sha: a } }\n"
                    "  b: { kind: build, when: { sha: b } }\n"
                    "  c: { kind: build, when: { sha: c, ref: r } }\n",
                    &found);
    assert_string_equal(found.data, "x-environment");
}

static void a_name_that_ends_with_a_slash_is_of_all_below_it(void **state)
{
    OWNED(buf_release) struct buf found = { 0 };

    (void)state;
    buf_init(&found, 4096);
    analysing_rules("pipeline: p\nowner: o\n"
                    "identity: { issuer: cluster, /kubernetes.io/serviceaccount/uid: u }\n"
                    "stages:\n  a: { kind: build, when: { /kubernetes.io/pod/name: a } }\n",
                    &found);
    assert_string_equal(found.data, "x-pod");
}

/* ---- production ---- */

static void a_stage_of_production_asks_for_what_nobody_chooses(void **state)
{
    static const struct row rows[] = {
        { "grants: {}", "production-without-conditions" },
        { "unless: { ref: r }", "production-without-conditions" },
        { "when: { repository_id: \"1\" }", "production-without-conditions" },
        { "when: { repository: a/b }", "production-by-names" },
        { "when: { head_ref: main }", "production-by-names" },
        { "when: [ { head_ref: main }, { ref: r } ]", "production-by-names" },
        { "when: { ref: r }", "" },
        { "when: { head_ref: main, ref: r }", "" },
        { "proof: mtls", "" },
    };
    static const struct row others[] = {
        { "grants: {}", "" },
        { "when: { head_ref: main }", "" },
    };

    (void)state;
    check_rows(PRODUCTION, rows, COUNT(rows));
    check_rows(HEAD, others, COUNT(others));
}

static void a_danger_in_production_is_found(void **state)
{
    static const struct row rows[] = {
        { "when: { ref: r, event_name: issue_comment }", "production-by-danger" },
        { "when: { ref: r, ci.event: [push, issue_comment] }", "production-by-danger" },
        { "when: { ref: r, ci.fork: true }", "production-by-danger" },
        { "when: { ref: r, ci.fork: false }", "" },
        { "when: { ref: r, event_name: push }", "" },
        { "when: { ref: r, event_name: { not: issue_comment } }", "" },
    };
    static const struct row others[] = { { "when: { ref: r, event_name: issue_comment }", "" } };

    (void)state;
    check_rows(PRODUCTION, rows, COUNT(rows));
    check_rows(HEAD, others, COUNT(others));
}

/* ---- values ---- */

static void a_value_that_another_condition_refuses_is_dead(void **state)
{
    static const struct row rows[] = {
        { "when: { ref: [a, b] }\n    unless: { ref: b }", "dead-value" },
        { "when: { ref: [a, b] }\n    unless: { ref: { like: 'b*' } }", "dead-value" },
        { "when: { ref: [a, b], ci.ref: a }", "" },
        { "when: { repository_id: [\"1\", \"2\"] }", "dead-value" },
        { "when: { ref: [a, b] }\n    unless: { ref: b, sha: c }", "" },
        { "when: { ref: [a, b] }\n    unless: { ref: c }", "useless-unless" },
        { "when: { ref: [a, b] }", "" },
    };

    (void)state;
    check_rows(HEAD, rows, COUNT(rows));
}

/* ---- reach ---- */

static void what_no_token_reaches_is_found(void **state)
{
    static const struct row rows[] = {
        { "when: { repository_id: \"2\" }", "unreachable-stage" },
        { "when: { ref: a }\n    unless: { ref: a }", "unreachable-stage" },
        { "when: { event_name: { like: 'issue_*' }, ci.event: { like: 'issue_comment*' } }", "" },
        { "when: [ { ref: a }, { repository_id: \"2\" } ]", "unreachable-map" },
        { "when: [ { repository_id: \"2\" }, { repository_id: \"3\" } ]", "unreachable-stage" },
        { "when: { ref: a }\n    unless: { repository_id: \"2\" }", "useless-unless" },
        { "when: { ref: a }\n    unless: [ { sha: b }, { ref: b } ]", "useless-unless" },
        { "when: { ref: a }\n    unless: { sha: b }", "" },
        { "when: [ { ref: a }, { ref: b } ]", "" },
        { "when: { ref: a }\n    until: 2025-11-02", "ended-stage" },
        { "when: { ref: a }\n    unless: { ref: a }\n    until: 2025-11-02", "ended-stage" },
        { "when: { ref: a }\n    until: 2999-01-01", "" },
    };

    (void)state;
    check_rows(HEAD, rows, COUNT(rows));
}

static void maps_of_a_pipeline_count_where_one_stage_needs_them(void **state)
{
    static const struct {
        const char *text;
        const char *rules;
    } rows[] = {
        { "when: [ { ref: a }, { ref: b } ]\nstages:\n"
          "  a: { kind: build, when: { ref: a } }\n  b: { kind: build, when: { ref: b } }\n",
          "" },
        { "when: [ { ref: a }, { ref: b } ]\nstages:\n"
          "  a: { kind: build, when: { ref: a, sha: x } }\n"
          "  b: { kind: build, when: { ref: a, sha: y } }\n",
          "unreachable-map" },
        { "unless: { ref: b }\nstages:\n"
          "  a: { kind: build, when: { ref: a } }\n  b: { kind: build, when: { sha: b, ref: c } "
          "}\n",
          "useless-unless" },
        { "unless: { ref: b }\nstages:\n"
          "  a: { kind: build, when: { ref: a } }\n"
          "  b: { kind: build, when: { sha: b, ref: { not: a } } }\n",
          "" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        OWNED(buf_release) struct buf text = { 0 };
        OWNED(buf_release) struct buf found = { 0 };

        buf_init(&text, 4096);
        buf_init(&found, 4096);
        buf_printf(&text,
                   "pipeline: p\nowner: o\nidentity: { issuer: github, repository_id: \"1\" }\n%s",
                   rows[i].text);
        analysing_rules(text.data, &found);
        if (strcmp(found.data == NULL ? "" : found.data, rows[i].rules) != 0)
            fail_msg("%zu: '%s', not '%s'", i, found.data == NULL ? "" : found.data, rows[i].rules);
    }
}

static void stages_that_one_token_fits_both_overlap(void **state)
{
    static const struct row rows[] = {
        { "when: { ref: a }\n  t: { kind: build, when: { sha: b } }", "overlapping-stages" },
        { "when: { ref: a }\n  t: { kind: build, when: { ref: a } }", "overlapping-stages" },
        { "when: { ref: a }\n  t: { kind: build, when: { ref: b } }", "" },
        { "when: { ref: a }\n  t: { kind: build, when: { ref: b } }\n"
          "  u: { kind: build, when: { sha: c } }",
          "overlapping-stages" },
        { "when: { ref: a }\n  t: { kind: build, when: { sha: c } }\n"
          "  u: { kind: build, when: { event_name: push } }",
          "overlapping-stages overlapping-stages" },
        { "when: { environment: e, ref: r }\n"
          "  t: { kind: build, unless: { environment: { exists: true } } }",
          "" },
    };

    (void)state;
    check_rows(HEAD, rows, COUNT(rows));
}

static void an_overlap_has_an_example_and_both_places(void **state)
{
    OWNED(buf_release) struct buf said = { 0 };

    (void)state;
    buf_init(&said, 65536);
    assert_true(analysing_says(
        HEAD "    when: { ref: a }\n  t: { kind: build, when: { sha: b } }\n", &said));
    assert_non_null(strstr(said.data, "policy.yaml:8:3: warning: a token can fit 't' as well as "
                                      "'s': such a job must name its stage"));
    assert_non_null(strstr(said.data, "    8 |   t: { kind: build, when: { sha: b } }"));
    assert_non_null(strstr(said.data, "hint: for example github {"));
    assert_non_null(strstr(said.data, "sha: b"));
    assert_non_null(strstr(said.data, "policy.yaml:5:3: note: the other stage"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_condition_that_says_too_little_is_found),
        cmocka_unit_test(a_condition_that_another_one_completes_is_not),
        cmocka_unit_test(a_lint_of_production_is_for_production_only),
        cmocka_unit_test(a_condition_of_the_pipeline_is_shown_once),
        cmocka_unit_test(a_name_that_ends_with_a_slash_is_of_all_below_it),
        cmocka_unit_test(a_stage_of_production_asks_for_what_nobody_chooses),
        cmocka_unit_test(a_danger_in_production_is_found),
        cmocka_unit_test(a_value_that_another_condition_refuses_is_dead),
        cmocka_unit_test(what_no_token_reaches_is_found),
        cmocka_unit_test(maps_of_a_pipeline_count_where_one_stage_needs_them),
        cmocka_unit_test(stages_that_one_token_fits_both_overlap),
        cmocka_unit_test(an_overlap_has_an_example_and_both_places),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
