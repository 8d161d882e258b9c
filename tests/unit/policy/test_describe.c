#include <stdio.h>

#include "policy/policy_internal.h"
#include "tests/test.h"
#include "world.h"

#define HEAD                                                                                       \
    "pipeline: p\nowner: me\nidentity: { issuer: old-ci, project_id: \"1\" }\n"                    \
    "stages:\n"                                                                                    \
    "  s:\n"                                                                                       \
    "    kind: build\n"                                                                            \
    "    when:\n"                                                                                  \
    "      %s\n"                                                                                   \
    "    grants:\n"                                                                                \
    "      a: { jwt: { audience: a }, ttl: 5m }\n"                                                 \
    "      b: { jwt: { audience: b }, ttl: 5m }\n"
#define SETS "sets:\n  names: [a, b]\n  numbers: [\"1\", \"2\"]\n"

static struct policy *load(const char *condition)
{
    struct policy *policy;
    char text[4096];
    char folder[64];

    (void)snprintf(text, sizeof(text), HEAD, condition);
    world_make_folder(folder);
    world_write(folder, "policy.yaml", text);
    world_write(folder, "sets.yaml", SETS);
    policy = world_load(folder);
    world_remove(folder);
    return policy;
}

static void conditions_read_as_they_were_written(void **state)
{
    static const struct {
        const char *written;
        const char *said;
    } cases[] = {
        { "name: main", "main" },
        { "name: \"a b\"", "\"a b\"" },
        { "name: \"a\\\"b\\n\"", "\"a\\\"b\\n\"" },
        { "name: \"one of a\"", "\"one of a\"" },
        { "name: [b, a]", "one of a, b" },
        { "name: [a, b, c, d]", "one of a, b, c ... (4 in all)" },
        { "name: { like: \"refs/tags/v*\", not: { like: \"refs/tags/v*-rc*\" } }",
          "like refs/tags/v* and not like refs/tags/v*-rc*" },
        { "name: { like: \"refs/pull/{pr}/merge\" }", "like refs/pull/{pr}/merge" },
        { "name: { not: x }", "not x" },
        { "name: { not: [x, y] }", "not one of x, y" },
        { "name: { in: names }", "in names" },
        { "name: { not: { in: names } }", "not in names" },
        { "build_number: { in: numbers }", "in numbers" },
        { "build_number: [7, 8]", "one of 7, 8" },
        { "is_manual: true", "true" },
        { "is_manual: [true, false]", "one of false, true" },
        { "name: { exists: true }", "present" },
        { "name: { exists: false }", "absent" },
        { "started: { before: 2026-11-22 }", "before 2026-11-22T00:00:00Z" },
        { "started: { after: \"2026-11-22T10:00:00Z\" }", "after 2026-11-22T10:00:00Z" },
        { "request.address: { within: [10.0.0.0/8, \"2001:db8::/32\"] }",
          "within 10.0.0.0/8, 2001:db8::/32" },
        { "request.address: { not: 192.0.2.1 }", "not within 192.0.2.1/32" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        OWNED(policy_unref) struct policy *policy = load(cases[i].written);
        const struct policy_stage_rule *stage = policy_rule_of(policy_stage_at(policy, 0));
        OWNED(buf_release) struct buf said = { 0 };

        buf_init(&said, 1024);
        policy_condition_describe(&stage->when.maps[0].conditions[0], 3, &said);
        assert_string_equal(said.data, cases[i].said);
    }
}

static void conditions_and_grants_know_their_places(void **state)
{
    OWNED(policy_unref) struct policy *policy = load("name: main");
    const struct policy_stage_rule *stage = policy_rule_of(policy_stage_at(policy, 0));
    struct str file = stage->pipeline->file;
    struct position at = policy_spot_position(stage->when.maps[0].conditions[0].spot, file, stage);

    (void)state;
    assert_true(str_ends_with(at.file, STR("policy.yaml")));
    assert_int_equal(at.line, 8);
    assert_int_equal(at.column, 7);
    at = policy_spot_position(stage->spots[1], file, stage);
    assert_int_equal(at.line, 11);
    assert_int_equal(at.column, 7);
    at = policy_spot_position(stage->pipeline->identity.maps[0].conditions[0].spot, file, stage);
    assert_int_equal(at.line, 3);
    assert_int_equal(at.column, 29);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conditions_read_as_they_were_written),
        cmocka_unit_test(conditions_and_grants_know_their_places),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
