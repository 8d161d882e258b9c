#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "asking.h"
#include "base/json.h"
#include "tests/test.h"
#include "world.h"

#define MAIN                                                                                       \
    "{\"repository_id\":\"4242\",\"repository_owner_id\":\"1\",\"ref\":\"refs/heads/main\","       \
    "\"event_name\":\"push\",\"environment\":\"production\",\"actor\":\"rina\"}"
#define PULL                                                                                       \
    "{\"repository_id\":\"4242\",\"repository_owner_id\":\"1\",\"ref\":\"refs/pull/17/merge\","    \
    "\"event_name\":\"pull_request\",\"actor\":\"rina\"}"
#define STRANGER "{\"repository_id\":\"666\",\"ref\":\"refs/heads/main\"}"

static struct policy *payments;

static int set_up(void **state)
{
    (void)state;
    payments = world_load_text(
        "pipeline: acme/payments\n"
        "owner: payments@acme.example\n"
        "tenant: payments\n"
        "identity: { issuer: github, repository_id: \"4242\" }\n"
        "unless: { actor: mallory }\n"
        "stages:\n"
        "  build:\n"
        "    kind: build\n"
        "    when: { event_name: [push, pull_request] }\n"
        "    unless: { environment: { exists: true } }\n"
        "    grants:\n"
        "      images: { jwt: { audience: https://images.acme.example }, ttl: 10m }\n"
        "      cache: { jwt: { audience: https://cache.acme.example }, ttl: 5m }\n"
        "      also-cache: { jwt: { audience: https://cache.acme.example, scope: read } }\n"
        "  preview:\n"
        "    kind: deploy\n"
        "    environment: staging\n"
        "    when: { event_name: pull_request, ref: { like: \"refs/pull/{pr}/merge\" },\n"
        "            environment: preview }\n"
        "    grants:\n"
        "      host: { ssh: { target: lab, principals: [\"pr-${pr}\", all],\n"
        "                     force_command: \"deploy ${pr} now\" }, ttl: 5m }\n"
        "  deploy-prod:\n"
        "    kind: deploy\n"
        "    environment: production\n"
        "    when: { ref: refs/heads/main, environment: production }\n"
        "    grants:\n"
        "      host: { ssh: { target: fleet, principals: [deploy] }, ttl: 30m }\n"
        "      site: { aws: { target: prod-aws, role: r }, ttl: 1h }\n");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    ask_release();
    policy_unref(payments);
    return 0;
}

static void the_only_stage_that_holds_is_chosen(void **state)
{
    struct answer *answer = ask(payments, &(struct asking){ .claims = MAIN });

    (void)state;
    assert_true(answer->is_allowed);
    assert_true(str_eq(answer->decision.stage->id, STR("acme/payments:deploy-prod")));
    assert_true(str_eq(answer->decision.stage->pipeline, STR("acme/payments")));
    assert_true(str_eq(answer->decision.stage->name, STR("deploy-prod")));
    assert_true(str_eq(answer->decision.stage->owner, STR("payments@acme.example")));
    assert_true(str_eq(answer->decision.stage->environment, STR("production")));
    assert_int_equal(answer->decision.stage->kind, POLICY_DEPLOY);
    assert_int_equal(answer->decision.grant_count, 2);
    assert_int_equal(answer->decision.grants[0].ttl_s, 1800);
    assert_true(str_eq(answer->decision.grants[0].grant->target->name, STR("fleet")));
}

static void a_stage_can_be_named_short_or_in_full(void **state)
{
    (void)state;
    assert_true(ask(payments, &(struct asking){ .claims = PULL, .stage = "build" })->is_allowed);
    assert_true(ask(payments, &(struct asking){ .claims = PULL, .stage = "acme/payments:build" })
                    ->is_allowed);
}

static void a_stranger_learns_nothing(void **state)
{
    static const char *const stages[] = {
        NULL, "build", "nope", "acme/payments:build", "x:y", ":"
    };

    (void)state;
    for (size_t i = 0; i < COUNT(stages); i++) {
        struct answer *answer =
            ask(payments, &(struct asking){ .claims = STRANGER, .stage = stages[i] });

        assert_int_equal(answer->error.code, ERROR_NO_PIPELINE);
        assert_null(answer->decision.stage);
        assert_int_equal(answer->decision.failed_count, 0);
    }
}

static void another_issuer_with_the_same_claims_is_a_stranger(void **state)
{
    (void)state;
    assert_int_equal(
        ask(payments, &(struct asking){ .issuer = "gitlab", .claims = MAIN })->error.code,
        ERROR_NO_PIPELINE);
    assert_int_equal(ask(payments, &(struct asking){ .issuer = "who", .claims = MAIN })->error.code,
                     ERROR_NO_PIPELINE);
    assert_int_equal(ask(payments, &(struct asking){ .issuer = "", .claims = MAIN })->error.code,
                     ERROR_NO_PIPELINE);
}

static void an_id_of_another_type_is_a_stranger(void **state)
{
    (void)state;
    assert_int_equal(
        ask(payments, &(struct asking){ .claims = "{\"repository_id\":4242}" })->error.code,
        ERROR_NO_PIPELINE);
    assert_int_equal(
        ask(payments, &(struct asking){ .claims = "{\"repository_id\":[\"4242\"]}" })->error.code,
        ERROR_NO_PIPELINE);
    assert_int_equal(ask(payments, &(struct asking){ .claims = "{}" })->error.code,
                     ERROR_NO_PIPELINE);
}

static void a_denial_names_the_conditions_sorted_once_each(void **state)
{
    struct answer *answer =
        ask(payments, &(struct asking){ .claims = PULL, .stage = "deploy-prod" });

    (void)state;
    assert_int_equal(answer->error.code, ERROR_CONDITION);
    assert_true(str_eq(answer->decision.stage->name, STR("deploy-prod")));
    assert_string_equal(failed_names(answer), "environment,ref");
    assert_string_equal(answer->error.cause, "acme/payments:deploy-prod: environment, ref");
    assert_int_equal(answer->decision.grant_count, 0);
}

static void what_unless_refuses_is_named_too(void **state)
{
    struct answer *answer = ask(payments, &(struct asking){ .claims = MAIN, .stage = "build" });

    (void)state;
    assert_int_equal(answer->error.code, ERROR_CONDITION);
    assert_string_equal(failed_names(answer), "environment");
}

static void a_pipelines_unless_counts_for_all_its_stages(void **state)
{
    struct answer *answer =
        ask(payments,
            &(struct asking){ .claims = "{\"repository_id\":\"4242\",\"ref\":\"refs/heads/main\","
                                        "\"event_name\":\"push\",\"environment\":\"production\","
                                        "\"actor\":\"mallory\"}",
                              .stage = "deploy-prod" });

    (void)state;
    assert_int_equal(answer->error.code, ERROR_CONDITION);
    assert_string_equal(failed_names(answer), "actor");
}

static void without_a_stage_the_nearest_is_named(void **state)
{
    struct answer *answer =
        ask(payments, &(struct asking){ .claims = "{\"repository_id\":\"4242\",\"ref\":"
                                                  "\"refs/heads/dev\",\"environment\":"
                                                  "\"production\",\"event_name\":\"x\"}" });

    (void)state;
    assert_int_equal(answer->error.code, ERROR_CONDITION);
    assert_true(str_eq(answer->decision.stage->name, STR("deploy-prod")));
    assert_string_equal(failed_names(answer), "ref");
}

static void several_stages_that_hold_are_never_a_guess(void **state)
{
    OWNED(policy_unref) struct policy *policy = world_load_text(
        "pipeline: p\nowner: me\nidentity: { issuer: github, repository_id: \"1\" }\n"
        "stages: { a: { kind: build }, b: { kind: test } }\n");
    const char *claims = "{\"repository_id\":\"1\"}";

    (void)state;
    assert_int_equal(ask(policy, &(struct asking){ .claims = claims })->error.code, ERROR_STAGE);
    assert_true(ask(policy, &(struct asking){ .claims = claims, .stage = "a" })->is_allowed);
}

static void a_stage_that_is_not_there_fails_as_stage(void **state)
{
    static const char *const stages[] = { "nope", "acme/payments:nope", "Build", "build " };

    (void)state;
    for (size_t i = 0; i < COUNT(stages); i++) {
        struct answer *answer =
            ask(payments, &(struct asking){ .claims = MAIN, .stage = stages[i] });

        assert_int_equal(answer->error.code, ERROR_CONDITION);
        assert_string_equal(failed_names(answer), "stage");
        assert_non_null(answer->decision.stage);
    }
}

static void a_full_name_of_a_pipeline_that_does_not_fit_tells_nothing(void **state)
{
    (void)state;
    assert_int_equal(
        ask(payments, &(struct asking){ .claims = MAIN, .stage = "acme/other:build" })->error.code,
        ERROR_NO_PIPELINE);
}

/* ---- grants ---- */

static void grants_can_be_asked_for_by_name(void **state)
{
    struct answer *answer = ask(payments, &(struct asking){ .claims = MAIN, .grants = { "site" } });

    (void)state;
    assert_true(answer->is_allowed);
    assert_int_equal(answer->decision.grant_count, 1);
    assert_true(str_eq(answer->decision.grants[0].grant->name, STR("site")));
}

static void a_grant_that_is_not_there_is_refused_not_left_out(void **state)
{
    struct answer *answer =
        ask(payments, &(struct asking){ .claims = MAIN, .grants = { "site", "images" } });

    (void)state;
    assert_int_equal(answer->error.code, ERROR_SCOPE);
    assert_int_equal(answer->decision.grant_count, 0);
}

static void an_audience_picks_its_jwt_grant(void **state)
{
    struct answer *answer =
        ask(payments, &(struct asking){ .claims = PULL,
                                        .stage = "build",
                                        .audience = "https://images.acme.example" });

    (void)state;
    assert_true(answer->is_allowed);
    assert_int_equal(answer->decision.grant_count, 1);
    assert_true(str_eq(answer->decision.grants[0].grant->name, STR("images")));
}

static void an_audience_of_no_or_several_grants_is_refused(void **state)
{
    static const char *const audiences[] = { "https://cache.acme.example", "https://evil.example",
                                             "https://images.acme.example/" };

    (void)state;
    for (size_t i = 0; i < COUNT(audiences); i++) {
        struct answer *answer =
            ask(payments,
                &(struct asking){ .claims = PULL, .stage = "build", .audience = audiences[i] });

        assert_int_equal(answer->error.code, ERROR_TARGET);
        assert_int_equal(answer->decision.grant_count, 0);
    }
}

static void an_audience_of_several_grants_with_one_name_is_exact(void **state)
{
    (void)state;
    assert_true(ask(payments, &(struct asking){ .claims = PULL,
                                                .stage = "build",
                                                .grants = { "cache" },
                                                .audience = "https://cache.acme.example" })
                    ->is_allowed);
}

static void a_ttl_only_ever_shortens(void **state)
{
    static const struct {
        int64_t asked_s;
        int64_t host_s;
        int64_t site_s;
    } cases[] = {
        { 0, 1800, 3600 },     { 1800, 1800, 1800 }, { 1801, 1800, 1801 },
        { 99999, 1800, 3600 }, { 300, 300, 900 }, /* the floor of aws */
        { 1, 60, 900 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct answer *answer =
            ask(payments, &(struct asking){ .claims = MAIN, .ttl_s = cases[i].asked_s });

        assert_int_equal(answer->decision.grants[0].ttl_s, cases[i].host_s);
        assert_int_equal(answer->decision.grants[1].ttl_s, cases[i].site_s);
    }
}

static void a_stage_may_have_no_grants(void **state)
{
    OWNED(policy_unref) struct policy *policy = world_load_text(
        "pipeline: p\nowner: me\nidentity: { issuer: github, repository_id: \"1\" }\n"
        "stages: { a: { kind: build } }\n");
    struct answer *answer = ask(policy, &(struct asking){ .claims = "{\"repository_id\":\"1\"}" });

    (void)state;
    assert_true(answer->is_allowed);
    assert_int_equal(answer->decision.grant_count, 0);
}

/* ---- holes ---- */

#define PREVIEW(number)                                                                            \
    "{\"repository_id\":\"4242\",\"ref\":\"refs/pull/" number "/merge\",\"event_name\":"           \
    "\"pull_request\",\"environment\":\"preview\"}"

static void what_a_pattern_remembers_fills_a_grant(void **state)
{
    struct answer *answer = ask(payments, &(struct asking){ .claims = PREVIEW("17") });
    const json_t *fields = answer->decision.grants[0].fields;

    (void)state;
    assert_true(answer->is_allowed);
    assert_string_equal(json_string_value(json_array_get(json_object_get(fields, "principals"), 0)),
                        "pr-17");
    assert_string_equal(json_string_value(json_array_get(json_object_get(fields, "principals"), 1)),
                        "all");
    assert_string_equal(json_string_value(json_object_get(fields, "force_command")),
                        "deploy 17 now");
    assert_string_equal(json_string_value(json_object_get(fields, "target")), "lab");
}

#define LONG_64 "a123456789012345678901234567890123456789012345678901234567890123"

static void what_fills_a_hole_is_plain_and_short(void **state)
{
    (void)state;
    assert_true(ask(payments, &(struct asking){ .claims = PREVIEW("A-b_c.9") })->is_allowed);
    assert_true(ask(payments, &(struct asking){ .claims = PREVIEW(LONG_64) })->is_allowed);
}

static void what_may_not_fill_a_hole_is_refused_never_stripped(void **state)
{
    static const char *const claims[] = {
        PREVIEW("-rf"), PREVIEW(".17"),       PREVIEW("_17"),       PREVIEW("1 7"),
        PREVIEW("1,7"), PREVIEW("17;x"),      PREVIEW("1\\n7"),     PREVIEW("${pr}"),
        PREVIEW(""),    PREVIEW("1\xc3\xbc"), PREVIEW(LONG_64 "x"), PREVIEW("*"),
    };

    (void)state;
    for (size_t i = 0; i < COUNT(claims); i++) {
        struct answer *answer = ask(payments, &(struct asking){ .claims = claims[i] });

        assert_int_equal(answer->error.code, ERROR_CONDITION);
        assert_string_equal(failed_names(answer), "ref");
        assert_int_equal(answer->decision.grant_count, 0);
        assert_true(str_eq(answer->decision.stage->name, STR("preview")));
    }
}

static void a_hole_is_filled_from_the_map_that_holds(void **state)
{
    OWNED(policy_unref) struct policy *policy = world_load_text(
        "pipeline: p\nowner: me\nidentity: { issuer: github, repository_id: \"1\" }\n"
        "stages:\n"
        "  a:\n"
        "    kind: deploy\n"
        "    when:\n"
        "      - { ref: { like: \"refs/pull/{n}/merge\" } }\n"
        "      - { ref: refs/heads/main, actor: { like: \"bot-{n}\" } }\n"
        "    grants: { g: { jwt: { audience: a, scope: \"n-${n}\" } } }\n");
    struct answer *answer;

    (void)state;
    answer =
        ask(policy, &(struct asking){ .claims = "{\"repository_id\":\"1\",\"ref\":"
                                                "\"refs/pull/3/merge\",\"actor\":\"bot-4\"}" });
    assert_string_equal(
        json_string_value(json_object_get(answer->decision.grants[0].fields, "scope")), "n-3");
    answer = ask(policy, &(struct asking){ .claims = "{\"repository_id\":\"1\",\"ref\":"
                                                     "\"refs/heads/main\",\"actor\":\"bot-4\"}" });
    assert_string_equal(
        json_string_value(json_object_get(answer->decision.grants[0].fields, "scope")), "n-4");
}

static void texts_without_a_hole_stay_beside_those_with_one(void **state)
{
    OWNED(policy_unref) struct policy *policy = world_load_text(
        "pipeline: p\nowner: me\nidentity: { issuer: github, repository_id: \"1\" }\n"
        "stages:\n"
        "  a:\n"
        "    kind: deploy\n"
        "    when: { ref: { like: \"refs/pull/{n}/merge\" } }\n"
        "    grants:\n"
        "      g: { jwt: { audience: a, scope: \"${n}.${n}\", claims: { e: \"\", l: [x, \"$\"] } } "
        "}\n");
    struct answer *answer =
        ask(policy, &(struct asking){ .claims = "{\"repository_id\":\"1\","
                                                "\"ref\":\"refs/pull/3/merge\"}" });
    char *fields = json_dumps(answer->decision.grants[0].fields, JSON_SORT_KEYS | JSON_COMPACT);

    (void)state;
    assert_string_equal(fields, "{\"audience\":\"a\",\"claims\":{\"e\":\"\",\"l\":[\"x\",\"$\"]},"
                                "\"scope\":\"3.3\"}");
    free(fields);
}

/* ---- several pipelines ---- */

static struct policy *load_several(void)
{
    struct policy *policy;
    char folder[64];

    world_make_folder(folder);
    world_write(folder, "a.yaml",
                "pipeline: a\nowner: me\nidentity: { issuer: github, repository_id: \"1\" }\n"
                "stages: { build: { kind: build, when: { ref: x } }, only-a: { kind: test, when: { "
                "ref: y } } }\n");
    world_write(folder, "b.yaml",
                "pipeline: b\nowner: me\nidentity: { issuer: github, repository_id: \"1\", "
                "job_workflow_ref: w }\n"
                "stages: { build: { kind: build, when: { ref: x } } }\n");
    world_write(folder, "c.yaml",
                "pipeline: c\nowner: me\nidentity:\n"
                "  - { issuer: [github], repository_id: [\"2\", \"3\"] }\n"
                "  - { issuer: gitlab, project_id: \"2\" }\n"
                "stages: { build: { kind: build } }\n");
    world_write(folder, "d.yaml",
                "pipeline: d\nowner: me\nidentity: { issuer: github, repository_owner_id: \"9\" }\n"
                "stages: { org: { kind: build } }\n");
    policy = world_load(folder);
    world_remove(folder);
    return policy;
}

static void a_short_name_in_several_fitting_pipelines_is_never_a_guess(void **state)
{
    OWNED(policy_unref) struct policy *policy = load_several();
    const char *both = "{\"repository_id\":\"1\",\"job_workflow_ref\":\"w\",\"ref\":\"x\"}";

    (void)state;
    assert_int_equal(ask(policy, &(struct asking){ .claims = both, .stage = "build" })->error.code,
                     ERROR_STAGE);
    assert_int_equal(ask(policy, &(struct asking){ .claims = both })->error.code, ERROR_STAGE);
    assert_true(ask(policy, &(struct asking){ .claims = both, .stage = "b:build" })->is_allowed);
    assert_true(ask(policy, &(struct asking){ .claims = "{\"repository_id\":\"1\",\"ref\":\"x\"}",
                                              .stage = "build" })
                    ->is_allowed);
}

static void every_map_and_value_of_an_identity_leads_to_its_pipeline(void **state)
{
    OWNED(policy_unref) struct policy *policy = load_several();

    (void)state;
    assert_true(ask(policy, &(struct asking){ .claims = "{\"repository_id\":\"2\"}" })->is_allowed);
    assert_true(ask(policy, &(struct asking){ .claims = "{\"repository_id\":\"3\"}" })->is_allowed);
    assert_true(
        ask(policy, &(struct asking){ .issuer = "gitlab", .claims = "{\"project_id\":\"2\"}" })
            ->is_allowed);
    assert_int_equal(
        ask(policy, &(struct asking){ .issuer = "gitlab", .claims = "{\"project_id\":\"3\"}" })
            ->error.code,
        ERROR_NO_PIPELINE);
    assert_int_equal(
        ask(policy, &(struct asking){ .issuer = "github", .claims = "{\"project_id\":\"2\"}" })
            ->error.code,
        ERROR_NO_PIPELINE);
}

static void an_organisation_wide_pipeline_is_found_beside_others(void **state)
{
    OWNED(policy_unref) struct policy *policy = load_several();
    struct answer *answer;

    (void)state;
    answer = ask(policy, &(struct asking){ .claims = "{\"repository_id\":\"7\","
                                                     "\"repository_owner_id\":\"9\"}" });
    assert_true(str_eq(answer->decision.stage->id, STR("d:org")));
    answer = ask(policy, &(struct asking){ .claims = "{\"repository_id\":\"2\","
                                                     "\"repository_owner_id\":\"9\"}" });
    assert_int_equal(answer->error.code, ERROR_STAGE); /* c:build and d:org */
}

static void counts_and_hashes_are_of_the_whole(void **state)
{
    OWNED(policy_unref) struct policy *first = load_several();
    OWNED(policy_unref) struct policy *again = load_several();

    (void)state;
    assert_int_equal(policy_pipeline_count(first), 4);
    assert_int_equal(policy_stage_count(first), 5);
    assert_memory_equal(policy_sha256(first), policy_sha256(again), SHA256_LEN);
    assert_memory_not_equal(policy_sha256(first), policy_sha256(payments), SHA256_LEN);
}

static void load_with_sets(const char *set, const char *stage_kind, uint8_t rule[SHA256_LEN])
{
    OWNED(policy_unref) struct policy *policy = NULL;
    char folder[64];
    char text[512];

    world_make_folder(folder);
    (void)snprintf(text, sizeof(text), "sets: { s: [%s], other: [x, %s] }\n", set, stage_kind);
    world_write(folder, "sets.yaml", text);
    (void)snprintf(text, sizeof(text),
                   "pipeline: p\nowner: me\nidentity: { issuer: github, repository_id: \"1\" }\n"
                   "stages: { a: { kind: build, when: { ref: { in: s } } } }\n");
    world_write(folder, "p.yaml", text);
    policy = world_load(folder);
    world_remove(folder);
    memcpy(rule,
           ask(policy, &(struct asking){ .claims = "{\"repository_id\":\"1\",\"ref\":\"a\"}" })
               ->decision.rule_sha256,
           SHA256_LEN);
}

static void a_rules_hash_covers_the_sets_that_it_uses_and_no_others(void **state)
{
    uint8_t first[SHA256_LEN];
    uint8_t same[SHA256_LEN];
    uint8_t changed[SHA256_LEN];

    (void)state;
    load_with_sets("a", "y", first);
    load_with_sets("a", "z", same);
    load_with_sets("a, b", "y", changed);
    assert_memory_equal(first, same, SHA256_LEN);
    assert_memory_not_equal(first, changed, SHA256_LEN);
}

static void a_policy_lives_until_its_last_reference_ends(void **state)
{
    struct policy *policy = load_several();
    struct policy *second = policy_ref(policy);

    (void)state;
    policy_unref(policy);
    assert_int_equal(policy_pipeline_count(second), 4);
    policy_unref(second);
    policy_unref(NULL);
}

static void a_decision_fails_cleanly_without_memory(void **state)
{
    OWNED(policy_unref) struct policy *policy = load_several();
    OWNED(arena_free) struct arena *arena = arena_new(1);
    JSON_OWNED json_t *claims = json_pack("{s:s}", "repository_id", "1");
    struct policy_facts facts = { .issuer = STR("github"), .claims = claims };
    struct policy_request request = { 0 };
    struct policy_decision decision;
    struct error error = { 0 };

    (void)state;
    assert_false(policy_decide(policy, &facts, &request, 0, arena, &decision, &error));
    assert_int_equal(error.code, ERROR_MEMORY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_only_stage_that_holds_is_chosen),
        cmocka_unit_test(a_stage_can_be_named_short_or_in_full),
        cmocka_unit_test(a_stranger_learns_nothing),
        cmocka_unit_test(another_issuer_with_the_same_claims_is_a_stranger),
        cmocka_unit_test(an_id_of_another_type_is_a_stranger),
        cmocka_unit_test(a_denial_names_the_conditions_sorted_once_each),
        cmocka_unit_test(what_unless_refuses_is_named_too),
        cmocka_unit_test(a_pipelines_unless_counts_for_all_its_stages),
        cmocka_unit_test(without_a_stage_the_nearest_is_named),
        cmocka_unit_test(several_stages_that_hold_are_never_a_guess),
        cmocka_unit_test(a_stage_that_is_not_there_fails_as_stage),
        cmocka_unit_test(a_full_name_of_a_pipeline_that_does_not_fit_tells_nothing),
        cmocka_unit_test(grants_can_be_asked_for_by_name),
        cmocka_unit_test(a_grant_that_is_not_there_is_refused_not_left_out),
        cmocka_unit_test(an_audience_picks_its_jwt_grant),
        cmocka_unit_test(an_audience_of_no_or_several_grants_is_refused),
        cmocka_unit_test(an_audience_of_several_grants_with_one_name_is_exact),
        cmocka_unit_test(a_ttl_only_ever_shortens),
        cmocka_unit_test(a_stage_may_have_no_grants),
        cmocka_unit_test(what_a_pattern_remembers_fills_a_grant),
        cmocka_unit_test(what_fills_a_hole_is_plain_and_short),
        cmocka_unit_test(what_may_not_fill_a_hole_is_refused_never_stripped),
        cmocka_unit_test(a_hole_is_filled_from_the_map_that_holds),
        cmocka_unit_test(texts_without_a_hole_stay_beside_those_with_one),
        cmocka_unit_test(a_short_name_in_several_fitting_pipelines_is_never_a_guess),
        cmocka_unit_test(every_map_and_value_of_an_identity_leads_to_its_pipeline),
        cmocka_unit_test(an_organisation_wide_pipeline_is_found_beside_others),
        cmocka_unit_test(counts_and_hashes_are_of_the_whole),
        cmocka_unit_test(a_rules_hash_covers_the_sets_that_it_uses_and_no_others),
        cmocka_unit_test(a_policy_lives_until_its_last_reference_ends),
        cmocka_unit_test(a_decision_fails_cleanly_without_memory),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
