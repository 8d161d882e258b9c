#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "asking.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/yaml.h"
#include "policy/policy_internal.h"
#include "tests/test.h"
#include "world.h"

#define HEAD                                                                                       \
    "pipeline: acme/shop\nowner: me\nidentity: { issuer: github, repository_id: \"1\" "            \
    "}\nstages:\n"
#define WEB                                                                                        \
    "template: web\nparameters: [service, env]\nstage:\n"                                          \
    "  kind: deploy\n  environment: production\n"                                                  \
    "  when: { ref: refs/heads/main, environment: \"${param.service}-${param.env}\" }\n"           \
    "  unless: { actor: \"dependabot[bot]\" }\n"                                                   \
    "  grants:\n"                                                                                  \
    "    host: { ssh: { target: fleet, principals: [\"${param.service}-deploy\"] }, ttl: 5m }\n"
#define ORDERS "  orders:\n    use: web\n    with: { service: orders, env: prod }\n"
#define GOOD_JOB                                                                                   \
    "\"repository_id\":\"1\",\"ref\":\"refs/heads/main\",\"environment\":\"orders-prod\""

/* A folder for each test, and what was loaded from it. */
struct loading {
    char folder[64];
    struct arena *arena;
    struct diagnostics diagnostics;
    struct policy *policy;
    struct policy *next; /* loaded after it */
};

static int set_up(void **state)
{
    struct loading *loading = calloc(1, sizeof(*loading));

    if (loading == NULL)
        return -1;
    world_make_folder(loading->folder);
    loading->arena = arena_new((size_t)64 * 1024 * 1024);
    diagnostics_init(&loading->diagnostics, loading->arena);
    *state = loading;
    return loading->arena == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
    struct loading *loading = *state;

    ask_release();
    policy_unref(loading->next);
    policy_unref(loading->policy);
    arena_free(loading->arena);
    world_remove(loading->folder);
    free(loading);
    return 0;
}

static bool load(struct loading *loading, const struct policy *previous, struct policy **policy)
{
    const struct policy_load_options options = { .folder = loading->folder,
                                                 .world = &test_world,
                                                 .diagnostics = &loading->diagnostics,
                                                 .previous = previous };
    struct error error = { 0 };

    return policy_load(&options, policy, &error);
}

static const char *said(const struct loading *loading)
{
    OWNED(buf_release) struct buf buf = { 0 };

    buf_init(&buf, (size_t)1024 * 1024);
    diagnostics_write(&loading->diagnostics, &buf);
    return arena_copy(loading->arena, buf_str(&buf)).data;
}

/* Load a template and a pipeline with these stages. */
static void load_good(struct loading *loading, const char *template, const char *stages)
{
    world_write(loading->folder, "web.yaml", template);
    world_write(loading->folder, "p.yaml", arena_printf(loading->arena, HEAD "%s", stages).data);
    if (!load(loading, NULL, &loading->policy))
        fail_msg("%s", said(loading));
}

static void assert_answer(struct loading *loading, const char *claims, const char *failed)
{
    const struct asking asking = { .claims = claims, .stage = "orders" };
    struct answer *answer = ask(loading->policy, &asking);

    assert_string_equal(failed_names(answer), failed);
    assert_int_equal(answer->is_allowed, failed[0] == '\0');
}

/* ---- what it comes to ---- */

static void a_stage_is_its_template_filled(void **state)
{
    struct loading *loading = *state;
    struct answer *answer;

    load_good(loading, WEB, ORDERS);
    assert_answer(loading, "{" GOOD_JOB "}", "");
    answer = ask(loading->policy, &(struct asking){ .claims = "{" GOOD_JOB "}" });
    assert_int_equal(answer->decision.grant_count, 1);
    assert_string_equal(json_string_value(json_array_get(
                            json_object_get(answer->decision.grants[0].fields, "principals"), 0)),
                        "orders-deploy");
    assert_answer(loading, "{\"repository_id\":\"1\",\"ref\":\"x\",\"environment\":\"cart-prod\"}",
                  "environment,ref");
}

static void conditions_of_both_must_hold(void **state)
{
    struct loading *loading = *state;

    load_good(loading, WEB, ORDERS "    when: { event_name: push, ref: refs/heads/main }\n");
    assert_answer(loading, "{" GOOD_JOB ",\"event_name\":\"push\"}", "");
    assert_answer(loading, "{" GOOD_JOB ",\"event_name\":\"schedule\"}", "event_name");
    assert_answer(loading,
                  "{\"repository_id\":\"1\",\"ref\":\"x\",\"environment\":\"orders-prod\","
                  "\"event_name\":\"push\"}",
                  "ref");
}

/* A stage cannot write a condition that its template has away by writing it again. */
static void a_condition_that_is_written_again_holds_twice(void **state)
{
    struct loading *loading = *state;

    load_good(loading, WEB, ORDERS "    when: { ref: { like: \"refs/heads/*\" } }\n");
    assert_answer(loading, "{" GOOD_JOB "}", "");
    assert_answer(loading,
                  "{\"repository_id\":\"1\",\"ref\":\"refs/heads/other\","
                  "\"environment\":\"orders-prod\"}",
                  "ref");
}

static void either_unless_denies(void **state)
{
    struct loading *loading = *state;

    load_good(loading, WEB, ORDERS "    unless: { sha: bad }\n");
    assert_answer(loading, "{" GOOD_JOB ",\"sha\":\"good\",\"actor\":\"me\"}", "");
    assert_answer(loading, "{" GOOD_JOB ",\"sha\":\"bad\",\"actor\":\"me\"}", "sha");
    assert_answer(loading, "{" GOOD_JOB ",\"sha\":\"good\",\"actor\":\"dependabot[bot]\"}",
                  "actor");
}

/* (A or B) and (C or D): each of the four ways, and none that mixes halves of one. */
static void lists_of_maps_hold_in_every_way(void **state)
{
    static const struct {
        const char *ref;
        const char *sha;
        const char *failed;
    } cases[] = {
        { "a", "c", "" },    { "a", "d", "" },    { "b", "c", "" },        { "b", "d", "" },
        { "a", "x", "sha" }, { "x", "c", "ref" }, { "x", "x", "ref,sha" },
    };
    struct loading *loading = *state;

    load_good(loading,
              "template: web\nparameters: [a]\n"
              "stage: { kind: build, when: [ { ref: \"${param.a}\" }, { ref: b } ] }\n",
              "  orders: { use: web, with: { a: a }, when: [ { sha: c }, { sha: d } ] }\n");
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_answer(loading,
                      arena_printf(loading->arena,
                                   "{\"repository_id\":\"1\",\"ref\":\"%s\",\"sha\":\"%s\"}",
                                   cases[i].ref, cases[i].sha)
                          .data,
                      cases[i].failed);
}

static void what_both_remember_fills_holes(void **state)
{
    struct loading *loading = *state;
    struct answer *answer;

    load_good(
        loading,
        "template: web\nparameters: [a]\n"
        "stage:\n  kind: deploy\n  environment: production\n"
        "  when: { ref: { like: \"refs/${param.a}/{pr}/merge\" } }\n",
        "  orders:\n    use: web\n    with: { a: pull }\n"
        "    when: { head_ref: { like: \"feature-{name}\" } }\n"
        "    grants: { g: { ssh: { target: fleet, principals: [\"pr-${pr}-${name}\"] } } }\n");
    answer =
        ask(loading->policy,
            &(struct asking){ .claims = "{\"repository_id\":\"1\",\"ref\":\"refs/pull/7/merge\","
                                        "\"head_ref\":\"feature-x\"}" });
    assert_true(answer->is_allowed);
    assert_string_equal(json_string_value(json_array_get(
                            json_object_get(answer->decision.grants[0].fields, "principals"), 0)),
                        "pr-7-x");
}

static void grants_of_both_are_given(void **state)
{
    struct loading *loading = *state;
    const struct policy_stage *stage;

    load_good(loading, WEB, ORDERS "    grants: { art: { jwt: { audience: x }, ttl: 10m } }\n");
    stage = policy_stage_find(loading->policy, STR("acme/shop:orders"));
    assert_non_null(stage);
    assert_int_equal(stage->grant_count, 2);
    assert_true(str_eq(stage->grants[0].name, STR("host")));
    assert_true(str_eq(stage->grants[1].name, STR("art")));
}

static void a_number_that_a_parameter_brings_is_one_under_a_pointer(void **state)
{
    struct loading *loading = *state;

    load_good(loading,
              "template: web\nparameters: [n, t]\n"
              "stage: { kind: build, when: { /a/n: \"${param.n}\", /a/t: \"${param.t}\" } }\n",
              "  orders: { use: web, with: { n: 7, t: \"7\" } }\n");
    assert_answer(loading, "{\"repository_id\":\"1\",\"a\":{\"n\":7,\"t\":\"7\"}}", "");
    assert_answer(loading, "{\"repository_id\":\"1\",\"a\":{\"n\":\"7\",\"t\":7}}", "/a/n,/a/t");
}

/* ---- places ---- */

static void places_are_of_the_file_where_a_word_stands(void **state)
{
    struct loading *loading = *state;
    const struct policy_stage_rule *rule;
    const struct policy_map *map;

    load_good(loading, WEB, ORDERS "    when: { event_name: push }\n");
    rule = policy_rule_of(policy_stage_find(loading->policy, STR("acme/shop:orders")));
    assert_true(str_ends_with(policy_stage_position(rule).file, STR("/p.yaml")));
    assert_int_equal(policy_stage_position(rule).line, 5);
    assert_true(str_ends_with(rule->template_at->file, STR("/web.yaml")));
    assert_int_equal(rule->template_at->line, 1);
    assert_int_equal(rule->when.count, 1);
    map = &rule->when.maps[0];
    assert_int_equal(map->count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(map->conditions[i].spot.is_of_template, i < 2);
    assert_int_equal(map->conditions[1].spot.line, 6);
    assert_int_equal(map->conditions[2].spot.line, 8);
}

static void a_stage_that_is_written_out_has_no_template(void **state)
{
    struct loading *loading = *state;
    const struct policy_stage_rule *rule;

    load_good(loading, WEB, ORDERS "  zulu: { kind: build, when: { ref: x } }\n");
    rule = policy_rule_of(policy_stage_find(loading->policy, STR("acme/shop:zulu")));
    assert_null(rule->template_at);
    assert_false(rule->when.maps[0].conditions[0].spot.is_of_template);
}

/* ---- hashes ---- */

static const uint8_t *document_hash(const struct policy *policy)
{
    const struct policy_stage *stage = policy_stage_find(policy, STR("acme/shop:orders"));

    return policy_linked_of(policy, stage)->pipeline->document_sha256;
}

static void written_out_it_has_the_same_hash(void **state)
{
    struct loading *loading = *state;

    load_good(loading, WEB, ORDERS "    proof: dpop\n");
    world_write(loading->folder, "p.yaml",
                HEAD "  orders:\n    kind: deploy\n    environment: production\n"
                     "    when: { ref: refs/heads/main, environment: orders-prod }\n"
                     "    unless: { actor: \"dependabot[bot]\" }\n"
                     "    grants: { host: { ssh: { target: fleet, principals: [orders-deploy] }, "
                     "ttl: 5m } }\n    proof: dpop\n");
    assert_true(load(loading, NULL, &loading->next));
    assert_memory_equal(document_hash(loading->policy), document_hash(loading->next), SHA256_LEN);
}

/* "A and B" is not "A or B", though both are two maps. */
static void joined_conditions_are_no_alternatives_in_the_hash(void **state)
{
    struct loading *loading = *state;

    load_good(loading, "template: web\nstage: { kind: build, when: { ref: a } }\n",
              "  orders: { use: web, when: { sha: b } }\n");
    world_write(loading->folder, "p.yaml",
                HEAD "  orders: { kind: build, when: [ { ref: a }, { sha: b } ] }\n");
    assert_true(load(loading, NULL, &loading->next));
    assert_memory_not_equal(document_hash(loading->policy), document_hash(loading->next),
                            SHA256_LEN);
}

static void a_parameter_changes_the_hash(void **state)
{
    struct loading *loading = *state;

    load_good(loading, WEB, ORDERS);
    world_write(loading->folder, "p.yaml",
                HEAD "  orders: { use: web, with: { service: orders, env: test } }\n");
    assert_true(load(loading, loading->policy, &loading->next));
    assert_memory_not_equal(document_hash(loading->policy), document_hash(loading->next),
                            SHA256_LEN);
}

/* ---- reloads ---- */

static void nothing_is_read_again_where_nothing_changed(void **state)
{
    struct loading *loading = *state;

    load_good(loading, WEB, ORDERS);
    assert_int_equal(policy_parsed_count(loading->policy), 2);
    assert_true(load(loading, loading->policy, &loading->next));
    assert_int_equal(policy_parsed_count(loading->next), 0);
}

static void a_changed_template_changes_its_users_only(void **state)
{
    struct loading *loading = *state;
    struct answer *answer;

    world_write(loading->folder, "q.yaml",
                "pipeline: q\nowner: me\nidentity: { issuer: github, repository_id: \"2\" }\n"
                "stages: { a: { kind: build } }\n");
    load_good(loading, WEB, ORDERS);
    world_write(loading->folder, "web.yaml", WEB "  proof: dpop\n");
    assert_true(load(loading, loading->policy, &loading->next));
    assert_int_equal(policy_parsed_count(loading->next), 2);
    answer = ask(loading->next, &(struct asking){ .claims = "{" GOOD_JOB "}", .stage = "orders" });
    assert_string_equal(failed_names(answer), "proof");
}

/* Places are of the template's file: they must not be those of the one before it. */
static void a_template_that_only_moved_is_read_again(void **state)
{
    struct loading *loading = *state;
    const struct policy_stage_rule *rule;

    load_good(loading, WEB, ORDERS);
    world_write(loading->folder, "web.yaml", "# moved\n" WEB);
    assert_true(load(loading, loading->policy, &loading->next));
    rule = policy_rule_of(policy_stage_find(loading->next, STR("acme/shop:orders")));
    assert_int_equal(rule->template_at->line, 2);
    assert_memory_equal(document_hash(loading->policy), document_hash(loading->next), SHA256_LEN);
}

static void a_template_that_went_away_is_missed(void **state)
{
    struct loading *loading = *state;

    load_good(loading, WEB, ORDERS);
    world_write(loading->folder, "web.yaml", "template: other\nstage: { kind: build }\n");
    assert_false(load(loading, loading->policy, &loading->next));
    assert_non_null(strstr(said(loading), "there is no template 'web'"));
}

static void a_policy_outlives_the_files_that_it_took_over_from(void **state)
{
    struct loading *loading = *state;

    load_good(loading, WEB, ORDERS);
    assert_true(load(loading, loading->policy, &loading->next));
    policy_unref(loading->policy);
    loading->policy = TAKE(loading->next);
    assert_answer(loading, "{" GOOD_JOB "}", "");
}

/* ---- limits ---- */

static void a_pipeline_uses_127_templates_and_no_more(void **state)
{
    struct loading *loading = *state;

    for (size_t count = 127; count <= 128; count++) {
        OWNED(buf_release) struct buf text = { 0 };
        char name[32];

        buf_init(&text, YAML_BYTES_MAX);
        buf_add_text(&text, HEAD);
        for (size_t i = 0; i < count; i++) {
            (void)snprintf(name, sizeof(name), "t%zu.yaml", i);
            world_write(
                loading->folder, name,
                arena_printf(loading->arena, "template: t%zu\nstage: { kind: build }\n", i).data);
            buf_printf(&text, "  s%zu: { use: t%zu }\n", i, i);
        }
        world_write(loading->folder, "p.yaml", text.data);
        assert_int_equal(load(loading, NULL, &loading->policy), count == 127);
        policy_unref(loading->policy);
        loading->policy = NULL;
    }
    assert_non_null(strstr(said(loading), "a pipeline uses at most 127 templates"));
}

/* 256 stages of a template whose file has so many bytes. */
static void write_many(struct loading *loading, size_t bytes)
{
    OWNED(buf_release) struct buf template = { 0 };
    OWNED(buf_release) struct buf stages = { 0 };

    buf_init(&template, YAML_BYTES_MAX);
    buf_add_text(&template, "template: t\nstage: { kind: build }\n#");
    while (template.len < bytes)
        buf_add_byte(&template, '#');
    world_write(loading->folder, "t.yaml", template.data);
    buf_init(&stages, YAML_BYTES_MAX);
    buf_add_text(&stages, HEAD);
    for (size_t i = 0; i < POLICY_STAGES_MAX; i++)
        buf_printf(&stages, "  s%zu: { use: t }\n", i);
    world_write(loading->folder, "p.yaml", stages.data);
}

static void stages_come_to_4_mib_and_no_more(void **state)
{
    struct loading *loading = *state;

    write_many(loading, POLICY_EXPANSION_MAX / POLICY_STAGES_MAX);
    if (!load(loading, NULL, &loading->policy))
        fail_msg("%s", said(loading));
    write_many(loading, POLICY_EXPANSION_MAX / POLICY_STAGES_MAX + 1);
    assert_false(load(loading, NULL, &loading->next));
    assert_non_null(strstr(said(loading), "p.yaml:260:16: error: with their templates this "
                                          "pipeline's stages come to more than 4 MiB"));
}

/* What is filled in counts, too: a text of 10 bytes becomes one of 256, many times. */
static void texts_that_are_filled_count(void **state)
{
    struct loading *loading = *state;
    OWNED(buf_release) struct buf text = { 0 };
    char value[257];

    memset(value, 'v', 256);
    value[256] = '\0';
    buf_init(&text, YAML_BYTES_MAX);
    buf_add_text(&text, "template: large\nparameters: [a]\nstage:\n  kind: build\n  grants:\n"
                        "    g: { jwt: { audience: x, claims: { c: [");
    for (size_t i = 0; i < 20000; i++)
        buf_add_text(&text, "\"${param.a}\", ");
    buf_add_text(&text, "x] } }, ttl: 5m }\n");
    world_write(loading->folder, "large.yaml", text.data);
    world_write(
        loading->folder, "p.yaml",
        arena_printf(loading->arena, HEAD "  a: { use: large, with: { a: %s } }\n", value).data);
    assert_false(load(loading, NULL, &loading->next));
    assert_non_null(strstr(said(loading), "come to more than 4 MiB"));
}

/* ---- mistakes ---- */

static void a_mistake_of_many_pipelines_is_one(void **state)
{
    struct loading *loading = *state;

    world_write(loading->folder, "a.yaml", "template: a\nstage: { kind: built }\n");
    for (size_t i = 0; i < 200; i++)
        world_write(loading->folder, arena_printf(loading->arena, "p%zu.yaml", i).data,
                    arena_printf(loading->arena,
                                 "pipeline: p%zu\nowner: me\n"
                                 "identity: { issuer: github, repository_id: \"1\" }\n"
                                 "stages: { a: { use: a }, b: { use: a } }\n",
                                 i)
                        .data);
    assert_false(load(loading, NULL, &loading->policy));
    assert_int_equal(loading->diagnostics.count, 1);
    assert_int_equal(loading->diagnostics.error_count, 1);
    assert_int_equal(loading->diagnostics.dropped_count, 0);
    assert_int_equal(loading->diagnostics.list[0].repeat_count, 399);
}

/* Whatever is wrong with a definition, its users do not hear that it is not there. */
static void a_file_that_cannot_be_read_may_be_the_template(void **state)
{
    struct loading *loading = *state;

    world_write(loading->folder, "web.yaml", "template: web\nstage: { kind: [\n");
    world_write(loading->folder, "p.yaml", HEAD ORDERS);
    assert_false(load(loading, NULL, &loading->policy));
    assert_null(strstr(said(loading), "there is no template"));
    assert_non_null(strstr(said(loading), "web.yaml:2:"));
}

/* Nothing of it may be used, though nothing is reported about it. */
static void a_pipeline_without_its_template_is_no_pipeline(void **state)
{
    struct loading *loading = *state;

    world_write(loading->folder, "web.yaml", "template: web\n");
    world_write(loading->folder, "p.yaml", HEAD ORDERS "  b: { kind: build }\n");
    assert_false(load(loading, NULL, &loading->policy));
    assert_null(loading->policy);
}

#define RUN_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RUN_TEST(a_stage_is_its_template_filled),
        RUN_TEST(conditions_of_both_must_hold),
        RUN_TEST(a_condition_that_is_written_again_holds_twice),
        RUN_TEST(either_unless_denies),
        RUN_TEST(lists_of_maps_hold_in_every_way),
        RUN_TEST(what_both_remember_fills_holes),
        RUN_TEST(grants_of_both_are_given),
        RUN_TEST(a_number_that_a_parameter_brings_is_one_under_a_pointer),
        RUN_TEST(places_are_of_the_file_where_a_word_stands),
        RUN_TEST(a_stage_that_is_written_out_has_no_template),
        RUN_TEST(written_out_it_has_the_same_hash),
        RUN_TEST(joined_conditions_are_no_alternatives_in_the_hash),
        RUN_TEST(a_parameter_changes_the_hash),
        RUN_TEST(nothing_is_read_again_where_nothing_changed),
        RUN_TEST(a_changed_template_changes_its_users_only),
        RUN_TEST(a_template_that_only_moved_is_read_again),
        RUN_TEST(a_template_that_went_away_is_missed),
        RUN_TEST(a_policy_outlives_the_files_that_it_took_over_from),
        RUN_TEST(a_pipeline_uses_127_templates_and_no_more),
        RUN_TEST(stages_come_to_4_mib_and_no_more),
        RUN_TEST(texts_that_are_filled_count),
        RUN_TEST(a_mistake_of_many_pipelines_is_one),
        RUN_TEST(a_file_that_cannot_be_read_may_be_the_template),
        RUN_TEST(a_pipeline_without_its_template_is_no_pipeline),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
