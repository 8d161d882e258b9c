#include <string.h>

#include "base/error.h"
#include "policy/policy.h"
#include "tests/test.h"
#include "world.h"

/* Kinds that are checked, and not issued: where no broker is, and where one is. */

#define POLICY(fields)                                                                             \
    "pipeline: acme/web\nowner: web\nidentity: { issuer: github, repository_id: \"4242\" }\n"      \
    "stages: { build: { kind: build, grants: { a: { " fields " } } } }\n"

static const char *const fields[] = { "namespace", NULL };

static void check(const struct yaml_reader *reader, const struct policy_grant_view *grant)
{
    if (json_object_get(grant->fields, "namespace") == NULL)
        (void)yaml_complain(reader, grant->fields, "a cluster has a namespace");
}

static const struct policy_grant_kind cluster = {
    .name = "cluster",
    .fields = fields,
    .ttl_min_s = 1,
    .ttl_max_s = 3600,
    .check = check,
    .is_planned = true,
};
static const struct policy_grant_kind *const kinds[] = { &cluster };

/* What was said of a policy with one grant of the planned kind. */
struct outcome {
    struct arena *arena;
    struct diagnostics diagnostics;
    bool is_loaded;
};

static void load(struct outcome *outcome, bool is_catalog, const char *text)
{
    OWNED(policy_unref) struct policy *policy = NULL;
    struct policy_world world = test_world;
    struct policy_load_options options = { .world = &world, .diagnostics = &outcome->diagnostics };
    struct error error = { 0 };
    char folder[64];

    outcome->arena = arena_new((size_t)1024 * 1024);
    assert_non_null(outcome->arena);
    diagnostics_init(&outcome->diagnostics, outcome->arena);
    world.kinds = kinds;
    world.kind_count = COUNT(kinds);
    world.is_catalog = is_catalog;
    world_make_folder(folder);
    world_write(folder, "a.yaml", text);
    options.folder = folder;
    outcome->is_loaded = policy_load(&options, &policy, &error);
    world_remove(folder);
}

static void without_a_broker_they_are_checked_with_a_warning(void **state)
{
    struct outcome outcome;

    (void)state;
    load(&outcome, true, POLICY("cluster: { namespace: web }"));
    assert_true(outcome.is_loaded);
    assert_int_equal(outcome.diagnostics.error_count, 0);
    assert_int_equal(outcome.diagnostics.count, 1);
    assert_string_equal(outcome.diagnostics.list[0].rule, "planned-kind");
    assert_int_equal(outcome.diagnostics.list[0].at.line, 4);
    arena_free(outcome.arena);
}

static void many_grants_of_a_kind_are_one_warning(void **state)
{
    struct outcome outcome;

    (void)state;
    load(&outcome, true,
         POLICY("cluster: { namespace: web } }, b: { cluster: { namespace: api } }, c: { cluster: "
                "{ namespace: db }"));
    assert_true(outcome.is_loaded);
    assert_int_equal(outcome.diagnostics.count, 1);
    assert_non_null(
        strstr(outcome.diagnostics.list[0].message.data, "it refuses to load this, and 2 more"));
    arena_free(outcome.arena);
}

static void without_a_broker_what_is_wrong_with_them_is_told(void **state)
{
    struct outcome outcome;

    (void)state;
    load(&outcome, true, POLICY("cluster: { }"));
    assert_false(outcome.is_loaded);
    assert_int_equal(outcome.diagnostics.error_count, 1);
    arena_free(outcome.arena);
}

static void a_broker_refuses_them(void **state)
{
    struct outcome outcome;

    (void)state;
    load(&outcome, false, POLICY("cluster: { namespace: web }"));
    assert_false(outcome.is_loaded);
    assert_int_equal(outcome.diagnostics.error_count, 1);
    assert_non_null(strstr(outcome.diagnostics.list[0].message.data, "cluster"));
    arena_free(outcome.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_broker_they_are_checked_with_a_warning),
        cmocka_unit_test(many_grants_of_a_kind_are_one_warning),
        cmocka_unit_test(without_a_broker_what_is_wrong_with_them_is_told),
        cmocka_unit_test(a_broker_refuses_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
