#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "policy/policy.h"
#include "policy/stage_lines.h"
#include "tests/test.h"
#include "world.h"

#define ARENA_BYTES ((size_t)1024 * 1024)

static void assert_lines(const struct str *lines, size_t count, const char *expected)
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, ARENA_BYTES);
    for (size_t i = 0; i < count; i++) {
        buf_add(&text, lines[i]);
        buf_add_byte(&text, '\n');
    }
    assert_string_equal(text.data == NULL ? "" : text.data, expected);
}

static void assert_asks(const char *pipeline, const char *guardrails, const char *expected)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_BYTES);
    OWNED(policy_unref) struct policy *policy = NULL;
    char folder[64];
    struct str *lines;
    size_t count;

    world_make_folder(folder);
    world_write(folder, "p.yaml", pipeline);
    if (guardrails != NULL)
        world_write(folder, "g.yaml", guardrails);
    policy = world_load(folder);
    world_remove(folder);
    assert_true(stage_lines(policy, policy_stage_at(policy, 0), arena, &lines, &count));
    assert_lines(lines, count, expected);
}

static void a_stage_says_what_it_asks_for(void **state)
{
    (void)state;
    assert_asks("pipeline: p\nowner: o\nidentity: { issuer: github, repository_id: \"1\" }\n"
                "when: { event_name: push }\nunless: { ci.fork: true }\nstages:\n  s:\n"
                "    kind: deploy\n    environment: production\n    proof: [mtls, dpop]\n"
                "    from: [10.0.0.0/8, \"2001:db8::/32\"]\n    until: 2030-01-01\n"
                "    during: \"Mon..Fri 08:00-18:00 Europe/Berlin\"\n"
                "    when: [ { ref: a, sha: b }, { ref: { like: \"v*\" } } ]\n"
                "    unless: [ { actor: x, ref: y }, { actor: z } ]\n",
                "guardrails:\n"
                "  require: [ { name: hosted, when: { ci.runner: hosted } } ]\n"
                "  freeze: [ { name: closed, from: 2029-01-01, to: 2029-01-02 } ]\n",
                "identity issuer: github\n"
                "identity repository_id: 1\n"
                "when event_name: push\n"
                "when either {ref: a, sha: b} or {ref: like v*}\n"
                "unless {ci.fork: true}\n"
                "unless {actor: x, ref: y}\n"
                "unless {actor: z}\n"
                "proof: dpop or mtls\n"
                "from: 10.0.0.0/8 or 2001:db8::/32\n"
                "during: Mon..Fri 08:00-18:00 Europe/Berlin\n"
                "until: 2030-01-01T00:00:00Z\n"
                "hosted requires ci.runner: hosted\n"
                "closed closes it from 2029-01-01T00:00:00Z to 2029-01-02T00:00:00Z\n");
}

static void several_identities_are_one_line(void **state)
{
    (void)state;
    assert_asks("pipeline: p\nowner: o\nidentity:\n"
                "  - { issuer: github, repository_id: \"1\" }\n"
                "  - { issuer: [gitlab, old-ci], project_id: \"2\" }\n"
                "stages:\n  s: { kind: build }\n",
                NULL,
                "identity either {issuer: github, repository_id: 1} or "
                "{issuer: gitlab or old-ci, project_id: 2}\n");
}

static void an_exception_is_said(void **state)
{
    (void)state;
    assert_asks("pipeline: p\nowner: o\nidentity: { issuer: github, repository_id: \"1\" }\n"
                "stages:\n  s: { kind: build, when: { ref: a } }\n",
                "guardrails:\n"
                "  require: [ { name: hosted, when: { ci.runner: hosted } } ]\n"
                "  exceptions: [ { from: hosted, pipeline: p, stage: s, until: 2030-01-01,"
                " why: x } ]\n",
                "identity issuer: github\n"
                "identity repository_id: 1\n"
                "when ref: a\n"
                "hosted excepts it until: 2030-01-01T00:00:00Z\n"
                "hosted requires ci.runner: hosted\n");
}

static const struct str bindings[] = { STR_INIT("plan"), STR_INIT("image") };
static const struct policy_approval approval = { .by = STR_INIT("oncall"),
                                                 .count = 2,
                                                 .within_s = 14400,
                                                 .bind = bindings,
                                                 .bind_count = 2,
                                                 .self_is_unchecked = true };
static const struct policy_after after[] = {
    { .stage = STR_INIT("build"), .within_s = 3600 },
    { .stage = STR_INIT("test"),
      .is_of_commit = true,
      .within_s = 604800,
      .issued_is_enough = true },
};

static void a_stage_says_its_duties(void **state)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_BYTES);
    const struct policy_stage stage = {
        .obligations = { .after = after,
                         .after_count = 2,
                         .approval = &approval,
                         .limits = { .per_job = 1, .per_hour = 20 },
                         .lease = { .max_s = 3600, .heartbeat_s = 60 } },
        .instance = STR("${pr}"),
    };
    const struct policy_stage idle = { .kind = POLICY_BUILD };
    struct str *lines;
    size_t count;

    (void)state;
    assert_true(stage_duties(&stage, arena, &lines, &count));
    assert_lines(lines, count,
                 "after: build, in the same run, within 1h\n"
                 "after: test, in the same commit, within 7d, however it went\n"
                 "approval: 2 of oncall, serves 4h, with plan and image, also by who started the "
                 "run\n"
                 "limits: 1 a job, 20 an hour\n"
                 "lease: 1h with its renewals, a heartbeat each 1m\n"
                 "instance: ${pr}\n");
    assert_true(stage_duties(&idle, arena, &lines, &count));
    assert_int_equal(count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stage_says_what_it_asks_for),
        cmocka_unit_test(several_identities_are_one_line),
        cmocka_unit_test(an_exception_is_said),
        cmocka_unit_test(a_stage_says_its_duties),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
