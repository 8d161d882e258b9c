#include <stdio.h>

#include "asking.h"
#include "base/arena.h"
#include "tests/test.h"
#include "world.h"

/* Who acts on the job's behalf: names at load, and what holds with and without an actor. */

#define HEAD "pipeline: p\nowner: me\n"
#define IDENTITY "identity: { issuer: github, repository_id: \"1\" }\n"
#define STAGE(clause, map) HEAD IDENTITY "stages: { s: { kind: agent, " clause ": " map " } }\n"
#define CLAIMS "{\"repository_id\":\"1\"}"

static bool decides(const char *policy_text, const char *actor)
{
    OWNED(policy_unref) struct policy *policy = world_load_text(policy_text);
    struct asking asking = { .claims = CLAIMS, .actor = actor };

    return ask(policy, &asking)->is_allowed;
}

#define PERSON(claims) "{\"issuer\":\"people\",\"claims\":{" claims "}}"
#define CLUSTER(claims) "{\"issuer\":\"cluster\",\"claims\":{" claims "}}"
#define OLD_CI(claims) "{\"issuer\":\"old-ci\",\"claims\":{" claims "}}"

static void an_actor_is_known_by_issuer_and_claims(void **state)
{
    static const struct {
        const char *map;
        const char *actor;
        bool when;
        bool unless; /* whether the stage stays open */
    } rows[] = {
        { "{ actor.issuer: people }", NULL, false, true },
        { "{ actor.issuer: people }", PERSON(""), true, false },
        { "{ actor.issuer: people }", OLD_CI(""), false, true },
        { "{ actor.issuer: [people, old-ci] }", OLD_CI(""), true, false },
        { "{ actor.issuer: { exists: true } }", OLD_CI(""), true, false },
        { "{ actor.issuer: { exists: true } }", NULL, false, true },
        { "{ actor.issuer: { exists: false } }", NULL, true, false },
        { "{ actor.issuer: { exists: false } }", PERSON(""), false, true },
        { "{ actor.issuer: people, actor.sub: ann }", PERSON("\"sub\":\"ann\""), true, false },
        { "{ actor.issuer: people, actor.sub: ann }", PERSON("\"sub\":\"bob\""), false, true },
        { "{ actor.issuer: people, actor.sub: ann }", OLD_CI("\"sub\":\"ann\""), false, true },
        { "{ actor.issuer: people, actor.sub: ann }", NULL, false, true },
        { "{ actor.issuer: people, actor.groups: oncall }", PERSON("\"groups\":[\"x\",\"oncall\"]"),
          true, false },
        { "{ actor.issuer: people, actor.groups: { not: contractors } }",
          PERSON("\"groups\":[\"x\",\"contractors\"]"), false, true },
        { "{ actor.issuer: people, actor.groups: { exists: false } }", PERSON(""), true, false },
        /* another type than the profile says is what nobody knows: it opens nothing */
        { "{ actor.issuer: people, actor.sub: ann }", PERSON("\"sub\":7"), false, false },
        /* a claim within an object, where the issuer's profile has a row of it */
        { "{ actor.issuer: cluster, \"actor./kubernetes.io/namespace\": ci }",
          CLUSTER("\"kubernetes.io\":{\"namespace\":\"ci\"}"), true, false },
        { "{ actor.issuer: cluster, \"actor./kubernetes.io/namespace\": ci }",
          CLUSTER("\"kubernetes.io\":{\"namespace\":\"x\"}"), false, true },
        { "{ actor.issuer: cluster, \"actor./kubernetes.io/namespace\": ci }",
          CLUSTER("\"/kubernetes.io/namespace\":\"ci\""), false, true },
        /* an address that a person wrote there says nothing, either way */
        { "{ actor.issuer: people, actor.email: a@x }",
          PERSON("\"email\":\"a@x\",\"email_verified\":true"), true, false },
        { "{ actor.issuer: people, actor.email: a@x }",
          PERSON("\"email\":\"b@x\",\"email_verified\":true"), false, true },
        { "{ actor.issuer: people, actor.email: a@x }",
          PERSON("\"email\":\"a@x\",\"email_verified\":false"), false, false },
        { "{ actor.issuer: people, actor.email: a@x }", PERSON("\"email\":\"b@x\""), false, false },
        { "{ actor.issuer: people, actor.email: { not: a@x } }", PERSON("\"email\":\"b@x\""), false,
          false },
        { "{ actor.issuer: people, actor.email: a@x }", PERSON(""), false, true },
        { "{ actor.issuer: old-ci, actor.build_number: 7 }", OLD_CI("\"build_number\":7"), true,
          false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        char when[512];
        char unless[512];

        (void)snprintf(when, sizeof(when), STAGE("when", "%s"), rows[i].map);
        (void)snprintf(unless, sizeof(unless), STAGE("unless", "%s"), rows[i].map);
        if (decides(when, rows[i].actor) != rows[i].when ||
            decides(unless, rows[i].actor) != rows[i].unless)
            fail_msg("%s for %s", rows[i].map, rows[i].actor ? rows[i].actor : "nobody");
    }
}

static void an_actor_makes_no_difference_where_nothing_asks(void **state)
{
    (void)state;
    assert_true(decides(STAGE("when", "{ repository_id: \"1\" }"), NULL));
    assert_true(decides(STAGE("when", "{ repository_id: \"1\" }"), PERSON("\"sub\":\"ann\"")));
    /* an actor's claims are not the job's */
    assert_false(decides(STAGE("when", "{ ref: main }"), PERSON("\"ref\":\"main\"")));
}

#define TESTED(row)                                                                                \
    STAGE("when", "{ actor.issuer: people, actor.groups: oncall }")                                \
    "tests:\n  - { name: t, claims: { repository_id: \"1\" }, " row " }\n"

/* Whether the one row of a policy's `tests` passes. */
static bool passes(const char *text)
{
    OWNED(policy_unref) struct policy *policy = world_load_text(text);
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_REQUEST_MAX);
    const struct policy_test_options options = { 0 };
    struct policy_test_run tests = { 0 };
    struct error error = { 0 };

    assert_true(policy_run_tests(policy, &options, arena, &tests, &error));
    assert_int_equal(tests.count, 1);
    return tests.results[0].has_passed;
}

static void tests_of_a_policy_can_have_an_actor(void **state)
{
    (void)state;
    assert_true(
        passes(TESTED("expect: allow, actor: { issuer: people, claims: { groups: [oncall] } }")));
    assert_true(passes(TESTED("expect: deny, because: [actor.groups], actor: { issuer: people, "
                              "claims: { groups: [x] } }")));
    assert_true(passes(TESTED("expect: deny, because: [actor.groups], actor: { issuer: people }")));
    assert_true(passes(TESTED("expect: deny, because: [actor.groups, actor.issuer]")));
    assert_false(passes(TESTED("expect: allow")));
    assert_true(world_refuses(TESTED("expect: deny, actor: people"), "map"));
    assert_true(world_refuses(TESTED("expect: deny, actor: { issuer: nobody }"),
                              "there is no issuer 'nobody'"));
    assert_true(world_refuses(TESTED("expect: deny, actor: { claims: { sub: a } }"), "missing"));
    assert_true(
        world_refuses(TESTED("expect: deny, actor: { issuer: people, claims: { subject: a } }"),
                      "has no claim 'subject'"));
}

static void names_of_an_actor_are_checked_at_load(void **state)
{
    static const struct {
        const char *text;
        const char *fragment;
    } rows[] = {
        { STAGE("when", "{ actor.sub: ann }"), "nobody's claim without 'actor.issuer'" },
        { STAGE("when", "{ actor.issuer: { exists: true }, actor.sub: ann }"),
          "nobody's claim without 'actor.issuer'" },
        { STAGE("when", "{ actor.issuer: persons }"), "there is no issuer 'persons'" },
        { STAGE("when", "{ actor.issuer: { not: people } }"), "takes names of issuers" },
        { STAGE("when", "{ actor.issuer: { like: \"peop*\" } }"), "takes names of issuers" },
        { STAGE("when", "{ actor.issuer: people, actor.subject: ann }"), "no plain claim" },
        { STAGE("when", "{ actor.issuer: people, actor.: ann }"), "no plain claim" },
        { STAGE("when", "{ actor.issuer: people, actor.issuers: x }"), "no plain claim" },
        { STAGE("when", "{ actor.issuer: [people, old-ci], actor.build_number: 7 }"),
          "no plain claim" },
        { STAGE("when", "{ actor.issuer: old-ci, actor.build_number: seven }"), "number" },
        { STAGE("unless", "[ { actor.issuer: people }, { actor.sub: ann } ]"),
          "nobody's claim without 'actor.issuer'" },
        { HEAD "identity: { issuer: github, repository_id: \"1\", actor.issuer: people }\n"
               "stages: { s: { kind: agent } }\n",
          "an identity is the job's own" },
        { HEAD "identity: { issuer: people, sub: ann }\nstages: { s: { kind: agent } }\n",
          "there is no issuer 'people'" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        if (!world_refuses(rows[i].text, rows[i].fragment))
            fail_msg("%s", rows[i].text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_actor_is_known_by_issuer_and_claims),
        cmocka_unit_test(an_actor_makes_no_difference_where_nothing_asks),
        cmocka_unit_test(tests_of_a_policy_can_have_an_actor),
        cmocka_unit_test(names_of_an_actor_are_checked_at_load),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
