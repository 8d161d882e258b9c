#include <stdio.h>
#include <string.h>

#include "asking.h"
#include "tests/test.h"
#include "world.h"

/* What is dangerous is refused unless a stage names it by its exact value. */

#define COMMENT "{\"repository_id\":\"4242\",\"event_name\":\"issue_comment\",\"ref\":\"main\"}"
#define PUSH "{\"repository_id\":\"4242\",\"event_name\":\"push\",\"ref\":\"main\"}"
#define FORK "{\"fork\":true,\"event\":\"push\"}"

#define HEAD                                                                                       \
    "pipeline: acme/payments\nowner: payments@acme.example\n"                                      \
    "identity: { issuer: github, repository_id: \"4242\" }\n"
#define STAGES(when) HEAD "stages: { build: { kind: build, when: " when " } }\n"

struct row {
    const char *policy;
    const char *claims;
    const char *ci;     /* NULL: as the issuer fills it */
    const char *failed; /* NULL: allowed */
};

static const struct row rows[] = {
    /* nothing names it */
    { STAGES("{ ref: main }"), COMMENT, NULL, "event_name" },
    { STAGES("{ ref: main }"), PUSH, NULL, NULL },
    { HEAD "stages: { build: { kind: build } }\n", COMMENT, NULL, "event_name" },
    { STAGES("{ ref: main }"), PUSH, FORK, "ci.fork" },
    { STAGES("{ ref: main }"), COMMENT, FORK, "ci.fork,event_name" },
    { STAGES("{ ref: other }"), COMMENT, NULL, "event_name,ref" },

    /* an exact value does, of the claim or of its fact */
    { STAGES("{ event_name: issue_comment }"), COMMENT, NULL, NULL },
    { STAGES("{ event_name: [push, issue_comment] }"), COMMENT, NULL, NULL },
    { STAGES("{ ci.event: issue_comment }"), COMMENT, NULL, NULL },
    { STAGES("{ ci.event: [issue_comment, push] }"), COMMENT, NULL, NULL },
    { STAGES("{ ci.fork: true }"), PUSH, FORK, NULL },
    { HEAD "when: { event_name: issue_comment }\nstages: { build: { kind: build } }\n", COMMENT,
      NULL, NULL },
    { "pipeline: a\nowner: a\n"
      "identity: { issuer: github, repository_id: \"4242\", event_name: issue_comment }\n"
      "stages: { build: { kind: build } }\n",
      COMMENT, NULL, NULL },

    /* and nothing else does */
    { STAGES("{ event_name: { like: \"*\" } }"), COMMENT, NULL, "event_name" },
    { STAGES("{ event_name: { like: issue_comment } }"), COMMENT, NULL, "event_name" },
    { STAGES("{ event_name: { not: push } }"), COMMENT, NULL, "event_name" },
    { STAGES("{ event_name: { exists: true } }"), COMMENT, NULL, "event_name" },
    { STAGES("{ ci.event: { not: [push, schedule] } }"), COMMENT, NULL, "event_name" },
    { STAGES("{ ci.fork: { not: false } }"), PUSH, FORK, "ci.fork" },
    { STAGES("{ event_name: issue_comment }"), COMMENT, FORK, "ci.fork" },

    /* of a list of maps, one that holds must name it */
    { STAGES("[ { ref: main }, { event_name: issue_comment, ref: other } ]"), COMMENT, NULL,
      "event_name" },
    { STAGES("[ { ref: main }, { event_name: issue_comment } ]"), COMMENT, NULL, NULL },
    { "pipeline: a\nowner: a\n"
      "identity:\n"
      "  - { issuer: github, repository_id: \"4242\" }\n"
      "  - { issuer: github, repository_id: \"1\", event_name: issue_comment }\n"
      "stages: { build: { kind: build } }\n",
      COMMENT, NULL, "event_name" },

    /* `unless` allows nothing */
    { HEAD "stages: { build: { kind: build, unless: { ref: other } } }\n", COMMENT, NULL,
      "event_name" },
};

static void a_danger_is_refused_unless_it_is_named_exactly(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct policy *policy = world_load_text(rows[i].policy);
        struct answer *answer =
            ask(policy,
                &(struct asking){ .claims = rows[i].claims, .ci = rows[i].ci, .stage = "build" });

        if (answer->is_allowed != (rows[i].failed == NULL))
            fail_msg("row %zu: %s", i, answer->error.cause);
        if (rows[i].failed != NULL)
            assert_string_equal(failed_names(answer), rows[i].failed);
        policy_unref(policy);
    }
    ask_release();
}

static void a_stage_that_does_not_name_a_danger_is_not_the_only_one_that_fits(void **state)
{
    struct policy *policy = world_load_text(HEAD "stages:\n"
                                                 "  build: { kind: build, when: { ref: main } }\n"
                                                 "  comment: { kind: build, when: { event_name: "
                                                 "[issue_comment, push] } }\n");
    struct answer *answer = ask(policy, &(struct asking){ .claims = COMMENT });

    (void)state;
    assert_true(answer->is_allowed);
    assert_true(str_eq(answer->decision.stage->name, STR("comment")));
    policy_unref(policy);
    ask_release();
}

/* The same in a policy's own tests. */
static void a_policys_tests_know_dangers(void **state)
{
    struct policy *policy = world_load_text(STAGES(
        "{ ref: main }") "tests:\n"
                         "  - { name: refused, claims: { repository_id: \"4242\", ref: main,\n"
                         "      event_name: issue_comment }, stage: build, expect: deny,\n"
                         "      because: [event_name] }\n"
                         "  - { name: pushed, claims: { repository_id: \"4242\", ref: main,\n"
                         "      event_name: push }, stage: build, expect: allow }\n");
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_REQUEST_MAX);
    const struct policy_test_options options = { 0 };
    struct policy_test_run tests = { 0 };
    struct error error = { 0 };

    (void)state;
    assert_true(policy_run_tests(policy, &options, arena, &tests, &error));
    assert_int_equal(tests.count, 2);
    for (size_t i = 0; i < tests.count; i++)
        if (!tests.results[i].has_passed)
            fail_msg(STR_FMT, STR_ARG(tests.results[i].detail));
    policy_unref(policy);
}

#define CLUSTER "pipeline: a\nowner: a\n"
#define POD(uid)                                                                                   \
    "{\"kubernetes.io\":{\"namespace\":\"ci\",\"serviceaccount\":{\"uid\":\"" uid "\"},"           \
    "\"warnafter\":7},\"label_team\":\"payments\",\"label_tier\":1}"

static const struct row nested_rows[] = {
    { "", POD("u-1"), NULL, NULL },
    { "", POD("u-2"), NULL, "identity" },
    { ", when: { /kubernetes.io/namespace: ci }", POD("u-1"), NULL, NULL },
    { ", when: { /kubernetes.io/namespace: other }", POD("u-1"), NULL, "/kubernetes.io/namespace" },
    /* typed by its row: quotes make no difference */
    { ", when: { /kubernetes.io/warnafter: \"7\" }", POD("u-1"), NULL, NULL },
    { ", when: { /kubernetes.io/warnafter: 8 }", POD("u-1"), NULL, "/kubernetes.io/warnafter" },
    /* a row of a prefix is of each name that starts so, and one by itself comes first */
    { ", when: { label_team: payments }", POD("u-1"), NULL, NULL },
    { ", when: { label_team: orders }", POD("u-1"), NULL, "label_team" },
    { ", when: { label_tier: 1 }", POD("u-1"), NULL, NULL },
};

static void claims_within_objects_are_named_by_pointers(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(nested_rows); i++) {
        char text[512];
        struct policy *policy;
        struct answer *answer;

        (void)snprintf(text, sizeof(text),
                       CLUSTER "identity: { issuer: cluster, /kubernetes.io/serviceaccount/uid: "
                               "u-1 }\nstages: { build: { kind: build%s } }\n",
                       nested_rows[i].policy);
        policy = world_load_text(text);
        answer = ask(policy, &(struct asking){ .issuer = "cluster",
                                               .claims = nested_rows[i].claims,
                                               .stage = "build" });
        assert_int_equal(answer->is_allowed, nested_rows[i].failed == NULL);
        if (nested_rows[i].failed != NULL && strcmp(nested_rows[i].failed, "identity") != 0)
            assert_string_equal(failed_names(answer), nested_rows[i].failed);
        policy_unref(policy);
    }
    ask_release();
}

static void what_is_no_id_or_no_value_is_refused(void **state)
{
    (void)state;
    assert_true(world_refuses(CLUSTER
                              "identity: { issuer: cluster, /kubernetes.io/namespace: ci }\n"
                              "stages: { build: { kind: build } }\n",
                              "fixes no id claim"));
    assert_true(world_refuses(CLUSTER "identity: { issuer: cluster, /kubernetes.io/other/uid: u }\n"
                                      "stages: { build: { kind: build } }\n",
                              "fixes no id claim"));
    assert_true(world_refuses(CLUSTER "identity: { issuer: cluster,\n"
                                      "  /kubernetes.io/serviceaccount/uid: u-1 }\n"
                                      "stages: { build: { kind: build,\n"
                                      "  when: { kubernetes.io: ci } } }\n",
                              "write a JSON Pointer"));
    assert_true(world_refuses(CLUSTER "identity: { issuer: cluster,\n"
                                      "  /kubernetes.io/serviceaccount/uid: u-1 }\n"
                                      "stages: { build: { kind: build,\n"
                                      "  when: { label_: ci } } }\n",
                              "has no claim 'label_'"));
}

static void a_policys_tests_write_nested_claims_either_way(void **state)
{
    struct policy *policy = world_load_text(
        CLUSTER
        "identity: { issuer: cluster, /kubernetes.io/serviceaccount/uid: u-1 }\n"
        "stages: { build: { kind: build, when: { /kubernetes.io/warnafter: 7 } } }\n"
        "tests:\n"
        "  - { name: by pointers, claims: { /kubernetes.io/serviceaccount/uid: u-1,\n"
        "      /kubernetes.io/warnafter: 7 }, stage: build, expect: allow }\n"
        "  - { name: as a map, claims: { kubernetes.io: { serviceaccount: { uid: u-1 } } },\n"
        "      stage: build, expect: deny, because: [/kubernetes.io/warnafter] }\n");
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_REQUEST_MAX);
    const struct policy_test_options options = { 0 };
    struct policy_test_run tests = { 0 };
    struct error error = { 0 };

    (void)state;
    assert_true(policy_run_tests(policy, &options, arena, &tests, &error));
    assert_int_equal(tests.count, 2);
    for (size_t i = 0; i < tests.count; i++)
        if (!tests.results[i].has_passed)
            fail_msg(STR_FMT, STR_ARG(tests.results[i].detail));
    policy_unref(policy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_danger_is_refused_unless_it_is_named_exactly),
        cmocka_unit_test(a_stage_that_does_not_name_a_danger_is_not_the_only_one_that_fits),
        cmocka_unit_test(a_policys_tests_know_dangers),
        cmocka_unit_test(claims_within_objects_are_named_by_pointers),
        cmocka_unit_test(what_is_no_id_or_no_value_is_refused),
        cmocka_unit_test(a_policys_tests_write_nested_claims_either_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
