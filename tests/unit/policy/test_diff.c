#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "policy/diff.h"
#include "policy/diff_internal.h"
#include "policy/example.h"
#include "tests/test.h"
#include "world.h"

#define ARENA_BYTES ((size_t)16 * 1024 * 1024)

/* ---- two texts ---- */

/* What differs: "wider conditions; even owner", by stage: "p:a: ..., p:b: ...". */
static void write_diff(const struct policy_diff *diff, struct buf *out)
{
    const char *before = "";

    for (size_t i = 0; i < diff->guardrail_count; i++) {
        buf_printf(out, "%s%s %s", before, policy_way_name(diff->guardrails[i].way),
                   diff->guardrails[i].subject);
        before = "; ";
    }
    for (size_t i = 0; i < diff->stage_count; i++)
        for (size_t k = 0; k < diff->stages[i].change_count; k++) {
            const struct policy_change *change = &diff->stages[i].changes[k];

            buf_printf(out, "%s%s%s %s", before, policy_way_name(change->way),
                       change->is_undecided ? "?" : "", change->subject);
            before = "; ";
        }
}

static void diff_policies(const struct policy *before, const struct policy *after, struct buf *out)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_BYTES);
    const struct policy_diff_options options = { .before = before, .after = after };
    struct error error = { 0 };
    struct policy_diff diff;

    assert_true(policy_diff(&options, arena, &diff, &error));
    write_diff(&diff, out);
    for (size_t i = 0; i < diff.stage_count; i++)
        assert_true(diff.way >= diff.stages[i].way);
}

static void assert_diff(const char *before, const char *after, const char *expected)
{
    OWNED(policy_unref) struct policy *old = world_load_text(before);
    OWNED(policy_unref) struct policy *new = world_load_text(after);
    OWNED(buf_release) struct buf found = { 0 };

    buf_init(&found, 65536);
    diff_policies(old, new, &found);
    if (strcmp(found.data == NULL ? "" : found.data, expected) != 0)
        fail_msg("'%s', not '%s', from\n%sto\n%s", found.data == NULL ? "" : found.data, expected,
                 before, after);
}

#define HEAD "pipeline: p\nowner: o\nidentity: { issuer: github, repository_id: \"1\" }\nstages:\n"
#define STAGE(clauses) HEAD "  s: { kind: build, " clauses " }\n"

/* ---- conditions ---- */

static void what_a_stage_lets_in_is_compared_by_proof(void **state)
{
    static const struct {
        const char *before;
        const char *after;
        const char *expected;
    } rows[] = {
        { STAGE("when: { ref: a }"), STAGE("when: { ref: a }"), "" },
        { STAGE("when: { ref: a }"), STAGE("when: { ref: { like: a } }"), "" },
        { STAGE("when: { ref: [a, b] }"), STAGE("when: [ { ref: b }, { ref: a } ]"), "" },
        { STAGE("when: { ref: a }"), STAGE("when: { ci.ref: a }"), "" },
        { STAGE("when: { ref: a }"), STAGE("when: { ref: [a, b] }"), "wider conditions" },
        { STAGE("when: { ref: { like: 'a*' } }"), STAGE("when: { ref: { like: 'a**' } }"),
          "wider conditions" },
        { STAGE("when: { ref: a }, unless: { sha: b }"), STAGE("when: { ref: a }"),
          "wider conditions" },
        { STAGE("when: { ref: a }, proof: mtls"), STAGE("when: { ref: a }"), "wider conditions" },
        { STAGE("when: { ref: [a, b] }"), STAGE("when: { ref: a }"), "narrower conditions" },
        { STAGE("when: { ref: a }"), STAGE("when: { ref: a, sha: b }"), "narrower conditions" },
        { STAGE("when: { ref: a }"), STAGE("when: { ref: a }, proof: [mtls, dpop]"),
          "narrower conditions" },
        { STAGE("when: { ref: a }"), STAGE("when: { ref: b }"),
          "wider conditions; narrower conditions" },
        { HEAD "  s: { kind: build }\n",
          "pipeline: p\nowner: o\nidentity: { issuer: github, repository_id: \"2\" }\nstages:\n"
          "  s: { kind: build }\n",
          "wider conditions; narrower conditions" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_diff(rows[i].before, rows[i].after, rows[i].expected);
}

static void a_difference_has_an_example(void **state)
{
    OWNED(policy_unref) struct policy *old = world_load_text(STAGE("when: { ref: a }"));
    OWNED(policy_unref) struct policy *new = world_load_text(STAGE("when: { ref: b }"));
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_BYTES);
    const struct policy_diff_options options = { .before = old, .after = new };
    OWNED(buf_release) struct buf text = { 0 };
    struct error error = { 0 };
    struct policy_diff diff;

    (void)state;
    assert_true(policy_diff(&options, arena, &diff, &error));
    assert_int_equal(diff.stage_count, 1);
    assert_int_equal(diff.way, POLICY_WAY_WIDER);
    assert_true(diff.stages[0].is_narrower);
    buf_init(&text, 4096);
    proof_example_write(diff.stages[0].changes[0].example, &text);
    assert_string_equal(text.data, "github {ref: b, repository_id: \"1\"}");
    buf_release(&text);
    buf_init(&text, 4096);
    proof_example_write(diff.stages[0].changes[1].example, &text);
    assert_string_equal(text.data, "github {ref: a, repository_id: \"1\"}");
    assert_int_equal(diff.stages[0].line_before_count, 1);
    assert_int_equal(diff.stages[0].line_after_count, 1);
    assert_true(str_eq(diff.stages[0].lines_before[0], STR("when ref: a")));
    assert_true(str_eq(diff.stages[0].lines_after[0], STR("when ref: b")));
}

static void a_stage_of_another_name_is_another_stage(void **state)
{
    (void)state;
    assert_diff(HEAD "  a: { kind: build, when: { ref: a } }\n",
                HEAD "  b: { kind: build, when: { ref: a } }\n", "narrower stage; wider stage");
    assert_diff(HEAD "  a: { kind: build, when: { ref: a } }\n",
                HEAD "  a: { kind: build, when: { ref: a } }\n  b: { kind: build }\n",
                "wider stage");
    assert_diff(HEAD "  a: { kind: build, when: { ref: a } }\n",
                HEAD "  a: { kind: build, when: { ref: a } }\n"
                     "  b: { kind: build, when: { repository_id: \"2\" } }\n",
                "even stage");
    assert_diff(HEAD "  a: { kind: build }\n  b: { kind: build, when: { ref: a } }\n",
                HEAD "  b: { kind: build, when: { ref: a } }\n", "narrower stage");
}

static void a_pipeline_that_comes_or_goes_has_all_its_stages_do_so(void **state)
{
    char before[64];
    char after[64];
    OWNED(policy_unref) struct policy *old = NULL;
    OWNED(policy_unref) struct policy *new = NULL;
    OWNED(buf_release) struct buf found = { 0 };

    (void)state;
    world_make_folder(before);
    world_make_folder(after);
    world_write(before, "a.yaml", STAGE("when: { ref: a }"));
    world_write(after, "b.yaml",
                "pipeline: a\nowner: o\nidentity: { issuer: github, repository_id: \"1\" }\n"
                "stages:\n  x: { kind: build }\n  y: { kind: build }\n");
    old = world_load(before);
    new = world_load(after);
    world_remove(before);
    world_remove(after);
    buf_init(&found, 4096);
    diff_policies(old, new, &found);
    assert_string_equal(found.data, "wider stage; wider stage; narrower stage");
}

static void what_no_token_reaches_is_not_wider(void **state)
{
    (void)state;
    assert_diff(STAGE("when: { repository_id: \"2\" }, grants: { g: { jwt: { audience: a } } }"),
                STAGE("when: { repository_id: \"2\" }, grants: { g: { jwt: { audience: b } } }"),
                "even gives; narrower gives; even field");
}

/* ---- grants ---- */

#define SSH(fields)                                                                                \
    "when: { ref: a }, environment: production, grants: { g: { ssh: { target: fleet, " fields
#define JWT(fields) "when: { ref: a }, grants: { g: { jwt: { audience: a" fields

static void grants_are_compared_by_what_they_give(void **state)
{
    static const struct {
        const char *before;
        const char *after;
        const char *expected;
    } rows[] = {
        { STAGE(JWT("}, ttl: 10m } }")), STAGE(JWT("}, ttl: 10m } }")), "" },
        { STAGE(JWT("}, ttl: 10m } }")), STAGE(JWT("}, ttl: 20m } }")), "wider ttl" },
        { STAGE(JWT("}, ttl: 20m } }")), STAGE(JWT("}, ttl: 10m } }")), "narrower ttl" },
        { STAGE(JWT("} } }")), STAGE("when: { ref: a }"), "narrower grant" },
        { STAGE("when: { ref: a }"), STAGE(JWT("} } }")), "wider grant" },
        { STAGE(JWT("} } }")), STAGE(JWT(", scope: x } } }")), "wider? field" },
        { STAGE(JWT(", scope: x } } }")), STAGE(JWT("} } }")), "wider? field" },
        { STAGE(JWT("} } }")), STAGE(SSH("principals: [p] } } }")),
          "wider kind; even environment" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_diff(rows[i].before, rows[i].after, rows[i].expected);
}

/* A kind as AWS is: names are actions, principals are roles, and fields hold more than these. */
static bool give(const struct policy_grant_view *view, struct arena *arena,
                 struct policy_given *given)
{
    const json_t *actions = json_object_get(view->fields, "actions");
    const json_t *role = json_object_get(view->fields, "role");

    given->is_everything = actions == NULL;
    given->names = arena_alloc_array(arena, json_array_size(actions) + 1, sizeof(*given->names));
    given->principals = arena_alloc_array(arena, 1, sizeof(*given->principals));
    assert_non_null(given->names);
    assert_non_null(given->principals);
    for (size_t i = 0; i < json_array_size(actions); i++)
        given->names[given->name_count++] = str_from(json_string_value(json_array_get(actions, i)));
    if (role != NULL)
        given->principals[given->principal_count++] = str_from(json_string_value(role));
    return true;
}

static const struct policy_grant_kind cloud = {
    .name = "cloud",
    .matching = POLICY_MATCHING_AWS,
    .gives = give,
    .fields_told = (const char *const[]){ "role", NULL },
    .lists_that_give = (const char *const[]){ "actions", "resources", NULL },
};

static void assert_fields(const char *before, const char *after, const char *expected)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_BYTES);
    OWNED(buf_release) struct buf found = { 0 };
    struct diff_changes changes = { .arena = arena };
    json_t *fields[] = { json_loads(before, 0, NULL), json_loads(after, 0, NULL) };
    struct policy_grant grants[] = {
        { .name = STR("g"), .kind = &cloud, .fields = fields[0], .ttl_s = 900 },
        { .name = STR("g"), .kind = &cloud, .fields = fields[1], .ttl_s = 900 },
    };
    const struct policy_stage old = { .grants = &grants[0], .grant_count = 1 };
    const struct policy_stage new = { .grants = &grants[1], .grant_count = 1 };

    assert_non_null(fields[0]);
    assert_non_null(fields[1]);
    diff_grants(&old, &new, &changes);
    assert_false(changes.is_out_of_memory);
    buf_init(&found, 4096);
    for (size_t i = 0; i < changes.count; i++)
        buf_printf(&found, "%s%s%s %s", i > 0 ? "; " : "", policy_way_name(changes.list[i].way),
                   changes.list[i].is_undecided ? "?" : "", changes.list[i].subject);
    if (strcmp(found.data == NULL ? "" : found.data, expected) != 0)
        fail_msg("'%s', not '%s', from %s to %s", found.data == NULL ? "" : found.data, expected,
                 before, after);
    json_decref(fields[0]);
    json_decref(fields[1]);
}

static void what_a_kind_says_of_its_grants_is_compared(void **state)
{
    static const struct {
        const char *before;
        const char *after;
        const char *expected;
    } rows[] = {
        { "{\"actions\": [\"s3:Get*\"]}", "{\"actions\": [\"s3:GetObject\"]}",
          "narrower gives; narrower field" },
        { "{\"actions\": [\"s3:GetObject\"]}", "{\"actions\": [\"s3:Get*\"]}",
          "wider gives; wider field" },
        { "{\"actions\": [\"a\", \"b\"]}", "{\"actions\": [\"b\", \"a\"]}", "" },
        { "{\"actions\": [\"a\", \"b\"]}", "{\"actions\": [\"b\"]}",
          "narrower gives; narrower field" },
        { "{\"actions\": [\"a\"]}", "{\"actions\": [\"b\"]}",
          "wider gives; narrower gives; wider? field" },
        { "{\"actions\": [\"a\"]}", "{}", "wider gives; wider? field" },
        { "{}", "{\"actions\": [\"a\"]}", "narrower gives; wider? field" },
        { "{\"role\": \"r\"}", "{\"role\": \"s\"}", "wider principal; narrower principal" },
        { "{\"resources\": [\"x/*\"]}", "{\"resources\": [\"x/y\"]}", "narrower field" },
        { "{\"resources\": [\"x/y\"]}", "{\"resources\": [\"x/*\"]}", "wider field" },
        { "{\"resources\": [\"x/Y\"]}", "{\"resources\": [\"x/y\"]}", "wider? field" },
        { "{\"resources\": [\"?Y\"]}", "{\"resources\": [\"aY\"]}", "narrower field" },
        { "{\"resources\": [\"?a\"]}", "{\"resources\": [\"A\"]}", "wider? field" },
        { "{\"resources\": [{\"resources\": [\"a\", \"b\"], \"c\": 1}]}",
          "{\"resources\": [{\"resources\": [\"a\"], \"c\": 1}]}", "narrower field" },
        { "{\"resources\": [{\"resources\": [\"a\", \"b\"], \"c\": 1}]}",
          "{\"resources\": [{\"resources\": [\"a\"], \"c\": 2}]}", "wider? field" },
        { "{\"resources\": [{\"resources\": [\"a\", \"b\"], \"c\": 1}]}",
          "{\"resources\": [{\"resources\": [\"a\"]}]}", "wider? field" },
        { "{\"other\": \"a*\"}", "{\"other\": \"ab\"}", "wider? field" },
        { "{\"other\": [\"a\", \"b\"]}", "{\"other\": [\"a\"]}", "wider? field" },
        { "{\"other\": {\"resources\": [\"a\", \"b\"]}}", "{\"other\": {\"resources\": [\"a\"]}}",
          "narrower field" },
        { "{\"other\": \"a\"}", "{}", "wider? field" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_fields(rows[i].before, rows[i].after, rows[i].expected);
}

/* ---- obligations ---- */

static const struct str plan[] = { STR_INIT("plan") };
static const struct policy_approval two = {
    .by = STR_INIT("oncall"), .count = 2, .within_s = 3600, .wait_s = 60
};
static const struct policy_approval one = {
    .by = STR_INIT("oncall"), .count = 1, .within_s = 3600, .wait_s = 60
};
static const struct policy_approval longer = {
    .by = STR_INIT("oncall"), .count = 2, .within_s = 7200, .wait_s = 60
};
static const struct policy_approval others = {
    .by = STR_INIT("others"), .count = 2, .within_s = 3600, .wait_s = 60
};
static const struct policy_approval bound = { .by = STR_INIT("oncall"),
                                              .count = 2,
                                              .within_s = 3600,
                                              .wait_s = 60,
                                              .bind = plan,
                                              .bind_count = 1 };
static const struct policy_approval unchecked = {
    .by = STR_INIT("oncall"), .count = 2, .within_s = 3600, .wait_s = 60, .self_is_unchecked = true
};
static const struct policy_approval patient = {
    .by = STR_INIT("oncall"), .count = 2, .within_s = 3600, .wait_s = 120
};

static const struct policy_after run[] = { { .stage = STR_INIT("build") } };
static const struct policy_after recent[] = { { .stage = STR_INIT("build"), .within_s = 3600 } };
static const struct policy_after begun[] = { { .stage = STR_INIT("build"),
                                               .issued_is_enough = true } };
static const struct policy_after of_commit[] = { { .stage = STR_INIT("build"),
                                                   .is_of_commit = true } };

static const struct duty {
    struct policy_stage before;
    struct policy_stage after;
    const char *expected;
    const char *back; /* the other way round */
} duties[] = {
    { { .kind = POLICY_BUILD }, { .kind = POLICY_BUILD }, "", "" },
    { { .obligations.approval = &two },
      { .obligations.approval = NULL },
      "wider approval",
      "narrower approval" },
    { { .obligations.approval = &two },
      { .obligations.approval = &one },
      "wider approval",
      "narrower approval" },
    { { .obligations.approval = &two },
      { .obligations.approval = &longer },
      "wider approval",
      "narrower approval" },
    { { .obligations.approval = &bound },
      { .obligations.approval = &two },
      "wider approval",
      "narrower approval" },
    { { .obligations.approval = &two },
      { .obligations.approval = &unchecked },
      "wider approval",
      "narrower approval" },
    { { .obligations.approval = &two },
      { .obligations.approval = &others },
      "wider? approval",
      "wider? approval" },
    { { .obligations.approval = &two },
      { .obligations.approval = &patient },
      "even approval",
      "even approval" },
    { { .obligations = { .after = run, .after_count = 1 } },
      { .kind = POLICY_BUILD },
      "wider after",
      "narrower after" },
    { { .obligations = { .after = recent, .after_count = 1 } },
      { .obligations = { .after = run, .after_count = 1 } },
      "wider after",
      "narrower after" },
    { { .obligations = { .after = run, .after_count = 1 } },
      { .obligations = { .after = begun, .after_count = 1 } },
      "wider after",
      "narrower after" },
    { { .obligations = { .after = run, .after_count = 1 } },
      { .obligations = { .after = of_commit, .after_count = 1 } },
      "wider? after",
      "wider? after" },
    { { .obligations.limits.per_job = 1 },
      { .obligations.limits.per_job = 2 },
      "wider limits",
      "narrower limits" },
    { { .obligations.limits.per_hour = 1 },
      { .obligations.limits.per_hour = 0 },
      "wider limits",
      "narrower limits" },
    { { .obligations.limits.concurrent = 1 },
      { .obligations.limits = { .concurrent = 1, .full = POLICY_FULL_WAIT } },
      "even limits",
      "even limits" },
    { { .obligations.lease.max_s = 60 },
      { .obligations.lease.max_s = 120 },
      "wider lease",
      "narrower lease" },
    { { .obligations.lease.heartbeat_s = 60 },
      { .kind = POLICY_BUILD },
      "wider lease",
      "narrower lease" },
    { { .instance = STR_INIT("${a}") },
      { .instance = STR_INIT("${b}") },
      "even instance",
      "even instance" },
    { { .instance = STR_INIT("${a}"), .obligations.limits.per_job = 1 },
      { .instance = STR_INIT("${b}"), .obligations.limits.per_job = 1 },
      "wider? instance",
      "wider? instance" },
    { { .owner = STR_INIT("a") }, { .owner = STR_INIT("b") }, "even owner", "even owner" },
    { { .review_by_s = 86400 }, { .review_by_s = 172800 }, "even review_by", "even review_by" },
};

static void assert_duties(const struct policy_stage *before, const struct policy_stage *after,
                          const char *expected, size_t row)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_BYTES);
    OWNED(buf_release) struct buf found = { 0 };
    struct diff_changes changes = { .arena = arena };

    diff_obligations(before, after, &changes);
    assert_false(changes.is_out_of_memory);
    buf_init(&found, 4096);
    for (size_t i = 0; i < changes.count; i++)
        buf_printf(&found, "%s%s%s %s", i > 0 ? "; " : "", policy_way_name(changes.list[i].way),
                   changes.list[i].is_undecided ? "?" : "", changes.list[i].subject);
    if (strcmp(found.data == NULL ? "" : found.data, expected) != 0)
        fail_msg("row %zu: '%s', not '%s'", row, found.data == NULL ? "" : found.data, expected);
}

static void weaker_obligations_are_wider(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(duties); i++) {
        assert_duties(&duties[i].before, &duties[i].after, duties[i].expected, i);
        assert_duties(&duties[i].after, &duties[i].before, duties[i].back, i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_stage_lets_in_is_compared_by_proof),
        cmocka_unit_test(a_difference_has_an_example),
        cmocka_unit_test(a_stage_of_another_name_is_another_stage),
        cmocka_unit_test(a_pipeline_that_comes_or_goes_has_all_its_stages_do_so),
        cmocka_unit_test(what_no_token_reaches_is_not_wider),
        cmocka_unit_test(grants_are_compared_by_what_they_give),
        cmocka_unit_test(what_a_kind_says_of_its_grants_is_compared),
        cmocka_unit_test(weaker_obligations_are_wider),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
