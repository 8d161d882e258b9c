#include <stdio.h>
#include <string.h>

#include "guarding.h"
#include "tests/test.h"
#include "world.h"

/*
 * Guardrails at decisions. What loading says of each of their words is in
 * tests/data/policy/guardrail-*; what it finds over several files and times, in
 * test_guardrails_load.c.
 */

static const char *warned_names(const struct answer *answer)
{
    static char text[1024];
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < answer->decision.warned_count && used < sizeof(text); i++)
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s" STR_FMT, i > 0 ? "," : "",
                                 STR_ARG(answer->decision.warned[i]));
    return text;
}

/* ---- freeze ---- */

#define FREEZE                                                                                     \
    "  freeze: [ { name: year-end, for: { environment: production }, from: 2026-12-20, to: "       \
    "2027-01-03 } ]"

static void a_freeze_holds_from_its_first_second_to_its_last(void **state)
{
    struct guarded *guarded = *state;

    guard_prepare(guarded, FREEZE, DEPLOY);
    guard_allows(guarded, (struct asking){ .claims = MAIN, .at = "2026-12-19T23:59:59Z" });
    guard_denies(guarded, (struct asking){ .claims = MAIN, .at = "2026-12-20T00:00:00Z" },
                 "year-end");
    guard_denies(guarded, (struct asking){ .claims = MAIN, .at = "2027-01-02T23:59:59Z" },
                 "year-end");
    guard_allows(guarded, (struct asking){ .claims = MAIN, .at = "2027-01-03T00:00:00Z" });
}

static void a_freeze_denies_renewals_too(void **state)
{
    struct guarded *guarded = *state;

    guard_prepare(guarded, FREEZE, DEPLOY);
    guard_allows(guarded, (struct asking){
                              .claims = MAIN, .at = "2026-12-19T23:59:59Z", .is_renewal = true });
    guard_denies(
        guarded,
        (struct asking){ .claims = MAIN, .at = "2026-12-20T00:00:00Z", .is_renewal = true },
        "year-end");
}

static void a_freeze_of_production_leaves_the_build_alone(void **state)
{
    struct guarded *guarded = *state;

    guard_prepare(guarded, FREEZE, BUILD DEPLOY);
    guard_allows(
        guarded,
        (struct asking){ .claims = MAIN_PUSH, .stage = "build", .at = "2026-12-25T00:00:00Z" });
    guard_denies(
        guarded,
        (struct asking){ .claims = MAIN_PUSH, .stage = "deploy", .at = "2026-12-25T00:00:00Z" },
        "year-end");
}

/* What an operator lets through is told from what nobody may. */
static void a_broken_glass_lets_through_freezes_and_nothing_else(void **state)
{
    struct guarded *guarded = *state;
    const struct asking frozen = { .claims = MAIN, .at = "2026-12-25T00:00:00Z" };
    const struct asking broken = { .claims = MAIN,
                                   .at = "2026-12-25T00:00:00Z",
                                   .passes_freezes = true };
    const struct asking other = { .claims = "{\"repository_id\": \"1\", \"ref\": \"x\"}",
                                  .stage = "deploy",
                                  .at = "2026-12-25T00:00:00Z" };
    struct asking other_broken = other;

    guard_prepare(guarded, FREEZE, DEPLOY);
    assert_true(!ask(guarded->policy, &frozen)->is_allowed);
    assert_true(ask(guarded->policy, &frozen)->decision.is_frozen);
    assert_true(ask(guarded->policy, &broken)->is_allowed);
    assert_false(ask(guarded->policy, &broken)->decision.is_frozen);
    assert_false(ask(guarded->policy, &other)->decision.is_frozen);
    guard_denies(guarded, other, "ref,year-end");
    other_broken.passes_freezes = true;
    guard_denies(guarded, other_broken, "ref");
}

/* A frozen stage is not open: what is left is the only one that fits. */
static void a_frozen_stage_is_not_chosen(void **state)
{
    struct guarded *guarded = *state;

    guard_prepare(guarded, FREEZE, BUILD DEPLOY);
    assert_int_equal(ask(guarded->policy, &(struct asking){ .claims = MAIN_PUSH })->error.code,
                     ERROR_STAGE);
    guard_allows(guarded, (struct asking){ .claims = MAIN_PUSH, .at = "2026-12-25T00:00:00Z" });
}

static void an_excepted_stage_is_not_frozen_until_the_exception_ends(void **state)
{
    struct guarded *guarded = *state;

    guard_prepare(guarded,
                  FREEZE "\n  exceptions: [ { from: year-end, pipeline: p, stage: deploy, "
                         "until: \"2026-12-24T12:00:00Z\", why: x } ]",
                  DEPLOY);
    guard_allows(guarded, (struct asking){ .claims = MAIN, .at = "2026-12-24T11:59:59Z" });
    guard_denies(guarded, (struct asking){ .claims = MAIN, .at = "2026-12-24T12:00:00Z" },
                 "year-end");
}

/* ---- require ---- */

static void required_conditions_are_joined_to_those_of_the_stage(void **state)
{
    static const char *const claims[] = {
        "{\"repository_id\": \"1\", \"ref\": \"refs/heads/main\", "
        "\"runner_environment\": \"github-hosted\"}",
        "{\"repository_id\": \"1\", \"ref\": \"x\", \"runner_environment\": \"self-hosted\"}",
    };
    struct guarded *guarded = *state;

    guard_prepare(guarded, "  require: [ { name: hosted, when: { ci.runner: hosted } } ]", DEPLOY);
    guard_allows(guarded, (struct asking){ .claims = claims[0] });
    guard_denies(guarded, (struct asking){ .claims = claims[1] }, "ci.runner,ref");
    guard_denies(guarded, (struct asking){ .claims = MAIN }, "ci.runner");
}

static void what_the_issuer_cannot_say_does_not_meet_a_requirement(void **state)
{
    struct guarded *guarded = *state;

    guard_prepare(guarded, "  require: [ { name: a, when: { ci.ref_protected: true } } ]", DEPLOY);
    guard_denies(guarded, (struct asking){ .claims = MAIN }, "ci.ref_protected");
    guard_prepare(guarded, "  require: [ { name: a, when: { ci.ref_protected: { not: true } } } ]",
                  DEPLOY);
    guard_denies(guarded, (struct asking){ .claims = MAIN }, "ci.ref_protected");
}

static void one_of_several_required_maps_is_enough(void **state)
{
    struct guarded *guarded = *state;

    guard_prepare(guarded,
                  "  require: [ { name: a, when: [ { ci.ref: refs/heads/main }, { request.address: "
                  "{ within: 10.0.0.0/8 } } ] } ]",
                  "  build: { kind: build }\n");
    guard_allows(guarded, (struct asking){ .claims = MAIN });
    guard_allows(guarded,
                 (struct asking){ .claims = "{\"repository_id\": \"1\"}", .address = "10.1.2.3" });
    guard_denies(guarded,
                 (struct asking){ .claims = "{\"repository_id\": \"1\"}", .address = "192.0.2.1" },
                 "ci.ref");
}

static void a_required_proof_must_have_come(void **state)
{
    struct guarded *guarded = *state;

    guard_prepare(guarded, "  require: [ { name: bound, proof: [mtls, key] } ]",
                  "  build: { kind: build, proof: mtls }\n");
    guard_allows(guarded, (struct asking){ .claims = MAIN, .proofs = POLICY_PROOF_MTLS });
    guard_denies(guarded, (struct asking){ .claims = MAIN, .proofs = POLICY_PROOF_DPOP },
                 "bound,proof");
    guard_denies(guarded, (struct asking){ .claims = MAIN }, "bound,proof");
}

static void a_required_address_is_looked_at_again(void **state)
{
    struct guarded *guarded = *state;

    guard_prepare(guarded, "  require: [ { name: inside, from: [10.0.0.0/8] } ]",
                  "  build: { kind: build, from: [10.1.0.0/16] }\n");
    guard_allows(guarded, (struct asking){ .claims = MAIN, .address = "10.1.2.3" });
    guard_denies(guarded, (struct asking){ .claims = MAIN, .address = "10.2.0.0" }, "from");
    guard_denies(guarded, (struct asking){ .claims = MAIN, .address = "192.0.2.1" }, "from,inside");
    guard_denies(guarded, (struct asking){ .claims = MAIN }, "from,inside");
}

/* What the stage lacks is a warning once its exception is over, and denies. */
static void a_demand_is_made_again_when_its_exception_is_over(void **state)
{
    struct guarded *guarded = *state;

    guard_prepare(
        guarded,
        "  require: [ { name: inside, from: 10.0.0.0/8 }, { name: bound, proof: mtls } ]\n"
        "  exceptions:\n"
        "    - { from: inside, pipeline: p, stage: deploy, until: 2026-12-01, why: x }\n"
        "    - { from: bound, pipeline: p, stage: deploy, until: 2026-12-02, why: x }",
        DEPLOY);
    assert_int_equal(guarded->diagnostics.count, 0);
    guard_allows(guarded, (struct asking){ .claims = MAIN, .at = BEFORE });
    guard_denies(guarded, (struct asking){ .claims = MAIN, .address = "10.1.2.3", .at = AFTER },
                 "inside");
    guard_denies(guarded,
                 (struct asking){ .claims = MAIN,
                                  .address = "10.1.2.3",
                                  .proofs = POLICY_PROOF_MTLS,
                                  .at = "2026-12-02" },
                 "bound,inside");
}

#define REVIEWED                                                                                   \
    "pipeline: p\nowner: me\nreview_by: 2026-10-23\nidentity: { issuer: github, repository_id: "   \
    "\"1\" }\nstages:\n" BUILD

static void a_review_denies_when_its_grace_is_over(void **state)
{
    struct guarded *guarded = *state;

    guard_prepare(guarded, "  freeze: [ { name: unused, from: 2020-01-01, to: 2020-01-02 } ]",
                  BUILD);
    world_write(guarded->folder, "guardrails.yaml",
                "guardrails: { require: [ { name: reviewed, review_by: { grace: 30d } } ] }\n");
    world_write(guarded->folder, "p.yaml", REVIEWED);
    assert_true(guard_load_at(guarded, guard_seconds("2026-11-21T23:59:59Z")));
    assert_int_equal(guarded->diagnostics.count, 0);
    guard_allows(guarded, (struct asking){ .claims = MAIN_PUSH, .at = "2026-11-21T23:59:59Z" });
    guard_denies(guarded, (struct asking){ .claims = MAIN_PUSH, .at = "2026-11-22T00:00:00Z" },
                 "reviewed");
    assert_true(guard_load_at(guarded, guard_seconds("2026-11-22T00:00:00Z")));
    guard_says(guarded, "p.yaml:6:3: warning: the review of this stage was due on 2026-10-23: "
                        "guardrail 'reviewed' denies it [guardrail-require]");
}

static void a_review_date_alone_denies_nothing(void **state)
{
    struct guarded *guarded = *state;

    world_write(guarded->folder, "p.yaml", REVIEWED);
    guard_loads(guarded);
    guard_allows(guarded, (struct asking){ .claims = MAIN_PUSH, .at = "2036-01-01" });
}

/* ---- ttl ---- */

static void a_life_is_too_long_again_when_its_exception_is_over(void **state)
{
    struct guarded *guarded = *state;

    guard_prepare(guarded, "  ttl: { deploy: 5m }" EXCEPT("ttl"), DEPLOY);
    assert_int_equal(guarded->diagnostics.count, 0);
    guard_allows(guarded, (struct asking){ .claims = MAIN, .at = BEFORE });
    guard_denies(guarded, (struct asking){ .claims = MAIN, .at = AFTER }, "ttl");
    guard_denies(guarded, (struct asking){ .claims = MAIN, .at = AFTER, .ttl_s = 301 }, "ttl");
    guard_allows(guarded, (struct asking){ .claims = MAIN, .at = AFTER, .ttl_s = 300 });
}

/* ---- forbid ---- */

#define PREVIEW                                                                                    \
    "  deploy:\n    kind: deploy\n    environment: production\n"                                   \
    "    when: { ref: { like: \"refs/pull/{pr}/merge\" } }\n"                                      \
    "    grants: { host: { ssh: { target: fleet, principals: [\"pr-${pr}\"] } } }\n"

static void forbidden_names_are_looked_for_when_holes_are_filled(void **state)
{
    static const char *const claims[] = {
        "{\"repository_id\": \"1\", \"ref\": \"refs/pull/7/merge\"}",
        "{\"repository_id\": \"1\", \"ref\": \"refs/pull/71/merge\"}",
    };
    struct guarded *guarded = *state;

    guard_prepare(guarded, "  forbid: [ { name: not-seven, ssh: pr-7 } ]" EXCEPT("not-seven"),
                  PREVIEW);
    guard_allows(guarded, (struct asking){ .claims = claims[0], .at = BEFORE });
    guard_denies(guarded, (struct asking){ .claims = claims[0], .at = AFTER }, "not-seven");
    guard_allows(guarded, (struct asking){ .claims = claims[1], .at = AFTER });
}

static void what_cannot_say_is_forbidden_when_its_exception_is_over(void **state)
{
    struct guarded *guarded = *state;

    guard_prepare(guarded, "  forbid: [ { name: nothing-slow, slow: x } ]" EXCEPT("nothing-slow"),
                  "  deploy: { kind: deploy, grants: { g: { slow: {}, ttl: 20m } } }\n");
    guard_allows(guarded, (struct asking){ .claims = MAIN, .at = BEFORE });
    guard_denies(guarded, (struct asking){ .claims = MAIN, .at = AFTER }, "nothing-slow");
}

/* Only the grants that are given count: a job may take less. */
static void a_forbidden_grant_does_not_taint_the_others(void **state)
{
    struct guarded *guarded = *state;

    guard_prepare(guarded, "  forbid: [ { name: no-root, ssh: root } ]" EXCEPT("no-root"),
                  "  deploy:\n    kind: deploy\n    environment: production\n    grants:\n"
                  "      a: { ssh: { target: fleet, principals: [root] } }\n"
                  "      b: { ssh: { target: fleet, principals: [deploy] } }\n");
    guard_denies(guarded, (struct asking){ .claims = MAIN, .at = AFTER }, "no-root");
    guard_denies(guarded, (struct asking){ .claims = MAIN, .at = AFTER, .grants = { "a" } },
                 "no-root");
    guard_allows(guarded, (struct asking){ .claims = MAIN, .at = AFTER, .grants = { "b" } });
}

/* What a guardrail says itself that it is not for, decisions leave alone too: another exception of
 * the pipeline has them look at every grant. */
static void what_forbid_excepts_is_given(void **state)
{
    struct guarded *guarded = *state;

    guard_prepare(
        guarded,
        "  ttl: { deploy: 5m }\n"
        "  forbid: [ { name: no-deploy, ssh: deploy, except: { kind: deploy } } ]" EXCEPT("ttl"),
        DEPLOY);
    guard_allows(guarded, (struct asking){ .claims = MAIN, .at = BEFORE });
    guard_allows(guarded, (struct asking){ .claims = MAIN, .at = AFTER, .ttl_s = 60 });
}

/* ---- separate ---- */

#define APART                                                                                      \
    "  separate: [ { name: apart, kinds: [build, test], from: { environment: production } } ]"

static void a_token_that_fits_both_sides_gets_neither(void **state)
{
    struct guarded *guarded = *state;

    guard_prepare(guarded, APART, BUILD DEPLOY);
    guard_denies(guarded, (struct asking){ .claims = MAIN_PUSH, .stage = "deploy" }, "apart");
    guard_denies(guarded, (struct asking){ .claims = MAIN_PUSH, .stage = "build" }, "apart");
    guard_allows(guarded, (struct asking){ .claims = MAIN, .stage = "deploy" });
    guard_allows(guarded,
                 (struct asking){ .claims = "{\"repository_id\": \"1\", \"event_name\": \"push\"}",
                                  .stage = "build" });
}

static void the_other_side_may_be_another_pipelines(void **state)
{
    struct guarded *guarded = *state;

    guard_prepare(guarded, APART, DEPLOY);
    world_write(guarded->folder, "q.yaml",
                "pipeline: q\nowner: me\nidentity: { issuer: github, repository_id: \"1\" }\n"
                "stages:\n" BUILD);
    world_write(guarded->folder, "r.yaml",
                "pipeline: r\nowner: me\nidentity: { issuer: github, repository_id: \"2\" }\n"
                "stages:\n" BUILD);
    guard_loads(guarded);
    guard_denies(guarded, (struct asking){ .claims = MAIN_PUSH, .stage = "p:deploy" }, "apart");
    guard_denies(guarded, (struct asking){ .claims = MAIN_PUSH, .stage = "q:build" }, "apart");
    guard_allows(guarded,
                 (struct asking){ .claims = "{\"repository_id\": \"2\", \"event_name\": \"push\"}",
                                  .stage = "r:build" });
}

static void stages_of_the_same_side_are_not_kept_apart(void **state)
{
    struct guarded *guarded = *state;

    guard_prepare(guarded, APART,
                  BUILD "  test: { kind: test, when: { event_name: push } }\n" DEPLOY);
    guard_allows(guarded,
                 (struct asking){ .claims = "{\"repository_id\": \"1\", \"event_name\": \"push\"}",
                                  .stage = "test" });
}

static void an_excepted_stage_and_its_other_side_are_let_through(void **state)
{
    struct guarded *guarded = *state;

    guard_prepare(guarded, APART EXCEPT("apart"), BUILD DEPLOY);
    guard_allows(guarded, (struct asking){ .claims = MAIN_PUSH, .stage = "deploy", .at = BEFORE });
    guard_allows(guarded, (struct asking){ .claims = MAIN_PUSH, .stage = "build", .at = BEFORE });
    guard_denies(guarded, (struct asking){ .claims = MAIN_PUSH, .stage = "deploy", .at = AFTER },
                 "apart");
    guard_denies(guarded, (struct asking){ .claims = MAIN_PUSH, .stage = "build", .at = AFTER },
                 "apart");
}

static void for_bounds_the_side_that_is_kept_apart(void **state)
{
    struct guarded *guarded = *state;

    guard_prepare(guarded,
                  "  separate: [ { name: apart, for: { environment: staging }, kinds: build, from: "
                  "{ environment: production } } ]",
                  BUILD DEPLOY);
    guard_allows(guarded, (struct asking){ .claims = MAIN_PUSH, .stage = "build" });
    guard_allows(guarded, (struct asking){ .claims = MAIN_PUSH, .stage = "deploy" });
}

/* A stage that is of both sides denies itself. */
static void a_stage_of_both_sides_is_denied_when_its_exception_is_over(void **state)
{
    struct guarded *guarded = *state;

    guard_prepare(
        guarded,
        "  separate: [ { name: apart, kinds: deploy, from: { environment: production } } ]" EXCEPT(
            "apart"),
        DEPLOY);
    guard_allows(guarded, (struct asking){ .claims = MAIN, .at = BEFORE });
    guard_denies(guarded, (struct asking){ .claims = MAIN, .at = AFTER }, "apart");
}

#define LAB                                                                                        \
    "  try:\n    kind: deploy\n    environment: production\n"                                      \
    "    when: { ref: refs/heads/try }\n"                                                          \
    "    grants: { host: { ssh: { target: fleet, principals: [deploy] } } }\n"

static void shared_principals_deny_when_the_exception_is_over(void **state)
{
    static const char *const try_claims = "{\"repository_id\": \"1\", \"ref\": \"refs/heads/try\"}";
    struct guarded *guarded = *state;
    char text[4096];

    (void)snprintf(text, sizeof(text), "%s", LAB);
    memcpy(strstr(text, "kind: deploy"), "kind: agent ", strlen("kind: agent "));
    guard_prepare(guarded, "  separate: [ { name: own, principals: true } ]" EXCEPT("own"),
                  arena_printf(guarded->arena, "%s%s", DEPLOY, text).data);
    assert_int_equal(guarded->diagnostics.count, 0);
    guard_allows(guarded, (struct asking){ .claims = MAIN, .at = BEFORE });
    guard_denies(guarded, (struct asking){ .claims = MAIN, .at = AFTER }, "own");
    guard_allows(guarded, (struct asking){ .claims = try_claims, .at = AFTER });
}

static void of_two_excepted_stages_both_are_denied_in_the_end(void **state)
{
    struct guarded *guarded = *state;
    const char *stages =
        arena_printf(guarded->arena, "%s%s", DEPLOY,
                     "  try:\n    kind: agent\n    environment: production\n"
                     "    when: { ref: refs/heads/try }\n"
                     "    grants: { host: { ssh: { target: fleet, principals: [deploy] } } }\n")
            .data;

    guard_prepare(guarded,
                  "  separate: [ { name: own, principals: true } ]\n  exceptions:\n"
                  "    - { from: own, pipeline: p, stage: deploy, until: 2026-12-01, why: x }\n"
                  "    - { from: own, pipeline: p, stage: try, until: 2026-12-01, why: x }",
                  stages);
    guard_allows(guarded, (struct asking){ .claims = MAIN, .at = BEFORE });
    guard_denies(guarded, (struct asking){ .claims = MAIN, .at = AFTER }, "own");
    guard_denies(guarded,
                 (struct asking){ .claims = "{\"repository_id\": \"1\", \"ref\": "
                                            "\"refs/heads/try\"}",
                                  .at = AFTER },
                 "own");
}

/* An exception that excuses nothing costs nothing when it is over. */
static void an_exception_without_shared_principals_denies_nothing(void **state)
{
    struct guarded *guarded = *state;

    guard_prepare(guarded, "  separate: [ { name: own, principals: true } ]" EXCEPT("own"), DEPLOY);
    guard_allows(guarded, (struct asking){ .claims = MAIN, .at = AFTER });
}

/* ---- warn ---- */

static void a_guardrail_that_warns_lets_through_and_is_named(void **state)
{
    struct guarded *guarded = *state;
    const struct answer *answer;

    guard_prepare(
        guarded,
        "  ttl: [ { name: short, mode: warn, deploy: 5m } ]\n"
        "  forbid: [ { name: no-deploy, mode: warn, ssh: deploy } ]\n"
        "  separate: [ { name: apart, mode: warn, kinds: build, from: { kind: deploy } } ]\n"
        "  require:\n"
        "    - { name: hosted, mode: warn, when: { ci.runner: hosted } }\n"
        "    - { name: bound, mode: warn, proof: dpop }\n"
        "  freeze: [ { name: frozen, mode: warn, from: 2026-11-01, to: 2026-12-01 } ]",
        BUILD DEPLOY);
    assert_int_equal(guarded->diagnostics.error_count, 0);
    assert_int_equal(guarded->diagnostics.count, 4); /* short, no-deploy, bound of both stages */
    answer = ask(guarded->policy, &(struct asking){ .claims = MAIN_PUSH, .stage = "deploy" });
    assert_true(answer->is_allowed);
    assert_string_equal(warned_names(answer), "short,no-deploy,apart,hosted,bound,frozen");
    answer = ask(guarded->policy,
                 &(struct asking){ .claims = MAIN, .stage = "deploy", .at = "2026-12-01" });
    assert_true(answer->is_allowed);
    assert_string_equal(warned_names(answer), "short,no-deploy,hosted,bound");
}

static void what_nobody_guards_is_not_warned_of(void **state)
{
    struct guarded *guarded = *state;

    guard_prepare(guarded, FREEZE, DEPLOY);
    assert_int_equal(
        ask(guarded->policy, &(struct asking){ .claims = MAIN })->decision.warned_count, 0);
}

/* ---- for ---- */

/* More kinds of stages than the table of them begins with: each has the guardrails of its own. */
static void a_hundred_environments_have_a_freeze_each(void **state)
{
    OWNED(buf_release) struct buf stages = { 0 };
    OWNED(buf_release) struct buf freezes = { 0 };
    struct guarded *guarded = *state;

    buf_init(&stages, 65536);
    buf_init(&freezes, 65536);
    buf_add_text(&freezes, "guardrails:\n  freeze:\n");
    buf_add_text(&stages, HEAD);
    for (size_t i = 0; i < 100; i++) {
        buf_printf(&stages, "  s%zu: { kind: deploy, environment: e%zu }\n", i, i);
        buf_printf(&freezes,
                   "    - { name: f%zu, for: { environment: e%zu }, from: 2026-11-22, to: "
                   "2026-11-23 }\n",
                   i, i);
    }
    world_write(guarded->folder, "p.yaml", stages.data);
    world_write(guarded->folder, "guardrails.yaml", freezes.data);
    guard_loads(guarded);
    assert_int_equal(guarded->diagnostics.count, 0);
    for (size_t i = 0; i < 100; i++)
        guard_denies(guarded,
                     (struct asking){ .claims = MAIN,
                                      .stage = arena_printf(guarded->arena, "s%zu", i).data },
                     arena_printf(guarded->arena, "f%zu", i).data);
}

/* A guardrail that binds by all that stages have, held against stages that differ in one. */
static void for_binds_who_has_all_of_it(void **state)
{
    static const struct {
        const char *reach;
        bool binds;
    } cases[] = {
        { "{ environment: production }", true },
        { "{ environment: [staging, production] }", true },
        { "{ environment: staging }", false },
        { "{ kind: deploy }", true },
        { "{ kind: [build, agent] }", false },
        { "{ tenant: payments }", true },
        { "{ tenant: other }", false },
        { "{ target: [lab, fleet] }", true },
        { "{ target: lab }", false },
        { "{ environment: production, kind: deploy, tenant: payments, target: fleet }", true },
        { "{ environment: production, kind: deploy, tenant: payments, target: lab }", false },
        { "{ environment: production, kind: build, tenant: payments, target: fleet }", false },
    };
    struct guarded *guarded = *state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        world_write(guarded->folder, "p.yaml",
                    "pipeline: p\ntenant: payments\nowner: me\nidentity: { issuer: github, "
                    "repository_id: \"1\" }\nstages:\n" DEPLOY);
        world_write(guarded->folder, "guardrails.yaml",
                    arena_printf(guarded->arena,
                                 "guardrails: { freeze: [ { name: f, for: %s, from: 2026-11-22, "
                                 "to: 2026-11-23 } ] }\n",
                                 cases[i].reach)
                        .data);
        guard_loads(guarded);
        if (cases[i].binds)
            guard_denies(guarded, (struct asking){ .claims = MAIN }, "f");
        else
            guard_allows(guarded, (struct asking){ .claims = MAIN });
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        GUARDED(a_freeze_holds_from_its_first_second_to_its_last),
        GUARDED(a_freeze_denies_renewals_too),
        GUARDED(a_freeze_of_production_leaves_the_build_alone),
        GUARDED(a_broken_glass_lets_through_freezes_and_nothing_else),
        GUARDED(a_frozen_stage_is_not_chosen),
        GUARDED(an_excepted_stage_is_not_frozen_until_the_exception_ends),
        GUARDED(required_conditions_are_joined_to_those_of_the_stage),
        GUARDED(what_the_issuer_cannot_say_does_not_meet_a_requirement),
        GUARDED(one_of_several_required_maps_is_enough),
        GUARDED(a_required_proof_must_have_come),
        GUARDED(a_required_address_is_looked_at_again),
        GUARDED(a_demand_is_made_again_when_its_exception_is_over),
        GUARDED(a_review_denies_when_its_grace_is_over),
        GUARDED(a_review_date_alone_denies_nothing),
        GUARDED(a_life_is_too_long_again_when_its_exception_is_over),
        GUARDED(forbidden_names_are_looked_for_when_holes_are_filled),
        GUARDED(what_cannot_say_is_forbidden_when_its_exception_is_over),
        GUARDED(a_forbidden_grant_does_not_taint_the_others),
        GUARDED(what_forbid_excepts_is_given),
        GUARDED(a_token_that_fits_both_sides_gets_neither),
        GUARDED(the_other_side_may_be_another_pipelines),
        GUARDED(stages_of_the_same_side_are_not_kept_apart),
        GUARDED(an_excepted_stage_and_its_other_side_are_let_through),
        GUARDED(for_bounds_the_side_that_is_kept_apart),
        GUARDED(a_stage_of_both_sides_is_denied_when_its_exception_is_over),
        GUARDED(shared_principals_deny_when_the_exception_is_over),
        GUARDED(of_two_excepted_stages_both_are_denied_in_the_end),
        GUARDED(an_exception_without_shared_principals_denies_nothing),
        GUARDED(a_guardrail_that_warns_lets_through_and_is_named),
        GUARDED(what_nobody_guards_is_not_warned_of),
        GUARDED(for_binds_who_has_all_of_it),
        GUARDED(a_hundred_environments_have_a_freeze_each),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
