#include <stdio.h>
#include <string.h>

#include "asking.h"
#include "tests/test.h"
#include "world.h"

/*
 * Every operator against every kind of value, once under `when` and once under `unless`: what holds
 * in the one refuses in the other, except for what cannot be known, which refuses in both.
 */

#define PIPELINE                                                                                   \
    "pipeline: p\nowner: me\nidentity: { issuer: old-ci, project_id: \"1\" }\n"                    \
    "stages: { s: { kind: build, %s: { %s } } }\n"
#define SETS "sets: { names: [x, z], numbers: [\"7\", \"9\"] }\n"

enum expected {
    HOLDS,
    FAILS,
    UNKNOWN, /* fails in `when`, holds in `unless` */
};

struct row {
    const char *condition;
    const char *claims; /* without the identity */
    enum expected expected;
};

static struct policy *load(const char *clause, const char *condition)
{
    struct policy *policy;
    char folder[64];
    char text[1024];

    (void)snprintf(text, sizeof(text), PIPELINE, clause, condition);
    world_make_folder(folder);
    world_write(folder, "policy.yaml", text);
    world_write(folder, "sets.yaml", SETS);
    policy = world_load(folder);
    world_remove(folder);
    return policy;
}

static bool decide(const char *clause, const struct row *row, const char *address)
{
    OWNED(policy_unref) struct policy *policy = load(clause, row->condition);
    struct asking asking = { .issuer = "old-ci", .address = address };
    char claims[1024];

    (void)snprintf(claims, sizeof(claims), "{\"project_id\":\"1\"%s%s}",
                   row->claims[0] == '\0' ? "" : ",", row->claims);
    asking.claims = claims;
    /* A null fact is what the issuer cannot say. */
    asking.ci = "{\"ref_protected\":null,\"environment\":\"x\",\"runner\":\"\"}";
    return ask(policy, &asking)->is_allowed;
}

static void check(const struct row *row, const char *address)
{
    bool when = decide("when", row, address);
    bool unless = decide("unless", row, address);

    if (when != (row->expected == HOLDS))
        fail_msg("when { %s } with %s: %d", row->condition, row->claims, when);
    if (unless != (row->expected == FAILS))
        fail_msg("unless { %s } with %s: %d", row->condition, row->claims, unless);
}

static void check_all(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        check(&rows[i], NULL);
}

static void a_plain_value_is_equal_byte_for_byte(void **state)
{
    static const struct row rows[] = {
        { "name: x", "\"name\":\"x\"", HOLDS },
        { "name: x", "\"name\":\"X\"", FAILS },
        { "name: x", "\"name\":\"x \"", FAILS },
        { "name: x", "\"name\":\"\"", FAILS },
        { "name: x", "\"name\":null", FAILS },
        { "name: x", "", FAILS },
        { "name: x", "\"name\":7", UNKNOWN },
        { "name: x", "\"name\":[\"x\"]", UNKNOWN },
        { "name: x", "\"name\":{\"x\":\"x\"}", UNKNOWN },
        { "name: x", "\"name\":true", UNKNOWN },
        { "name: 7", "\"name\":\"7\"", HOLDS },
        { "name: no", "\"name\":\"no\"", HOLDS },
        { "name: \"a, b\"", "\"name\":\"a, b\"", HOLDS },
    };

    (void)state;
    check_all(rows, COUNT(rows));
}

static void a_value_is_read_as_its_claims_type(void **state)
{
    static const struct row rows[] = {
        { "build_number: 7", "\"build_number\":7", HOLDS },
        { "build_number: \"7\"", "\"build_number\":7", HOLDS },
        { "build_number: 7", "\"build_number\":8", FAILS },
        { "build_number: 7", "\"build_number\":\"7\"", UNKNOWN },
        { "build_number: 7", "\"build_number\":7.0", UNKNOWN },
        { "build_number: 0", "\"build_number\":0", HOLDS },
        { "build_number: 0", "\"build_number\":false", UNKNOWN },
        { "build_number: -9223372036854775808", "\"build_number\":-9223372036854775808", HOLDS },
        { "is_manual: true", "\"is_manual\":true", HOLDS },
        { "is_manual: true", "\"is_manual\":false", FAILS },
        { "is_manual: false", "\"is_manual\":false", HOLDS },
        { "is_manual: false", "", FAILS },
        { "is_manual: true", "\"is_manual\":\"true\"", UNKNOWN },
        { "is_manual: true", "\"is_manual\":1", UNKNOWN },
    };

    (void)state;
    check_all(rows, COUNT(rows));
}

static void a_list_means_one_of(void **state)
{
    static const struct row rows[] = {
        { "name: [x, y]", "\"name\":\"y\"", HOLDS },
        { "name: [x, y]", "\"name\":\"z\"", FAILS },
        { "name: [x, y]", "", FAILS },
        { "build_number: [1, 10, 7]", "\"build_number\":10", HOLDS },
        { "build_number: [1, 10, 7]", "\"build_number\":2", FAILS },
        { "name: { in: names }", "\"name\":\"z\"", HOLDS },
        { "name: { in: names }", "\"name\":\"y\"", FAILS },
        { "name: { in: names }", "", FAILS },
        { "name: { in: names }", "\"name\":7", UNKNOWN },
        { "build_number: { in: numbers }", "\"build_number\":9", HOLDS },
        { "build_number: { in: numbers }", "\"build_number\":8", FAILS },
    };

    (void)state;
    check_all(rows, COUNT(rows));
}

static void a_pattern_is_matched_against_text(void **state)
{
    static const struct row rows[] = {
        { "name: { like: \"a/*\" }", "\"name\":\"a/b\"", HOLDS },
        { "name: { like: \"a/*\" }", "\"name\":\"a/b/c\"", FAILS },
        { "name: { like: \"a/**\" }", "\"name\":\"a/b/c\"", HOLDS },
        { "name: { like: \"**\" }", "", FAILS },
        { "name: { like: \"**\" }", "\"name\":\"\"", FAILS },
        { "name: { like: \"**\" }", "\"name\":7", UNKNOWN },
    };

    (void)state;
    check_all(rows, COUNT(rows));
}

static void not_holds_only_for_what_is_there(void **state)
{
    static const struct row rows[] = {
        { "name: { not: x }", "\"name\":\"y\"", HOLDS },
        { "name: { not: x }", "\"name\":\"x\"", FAILS },
        { "name: { not: x }", "", FAILS },
        { "name: { not: x }", "\"name\":null", FAILS },
        { "name: { not: x }", "\"name\":\"\"", FAILS },
        { "name: { not: x }", "\"name\":7", UNKNOWN },
        { "name: { not: [x, y] }", "\"name\":\"z\"", HOLDS },
        { "name: { not: [x, y] }", "\"name\":\"y\"", FAILS },
        { "name: { not: { like: \"a*\" } }", "\"name\":\"b\"", HOLDS },
        { "name: { not: { like: \"a*\" } }", "\"name\":\"ab\"", FAILS },
        { "name: { not: { in: names } }", "\"name\":\"y\"", HOLDS },
        { "name: { not: { in: names } }", "\"name\":\"x\"", FAILS },
        { "build_number: { not: 7 }", "\"build_number\":8", HOLDS },
    };

    (void)state;
    check_all(rows, COUNT(rows));
}

static void exists_asks_for_presence(void **state)
{
    static const struct row rows[] = {
        { "name: { exists: true }", "\"name\":\"x\"", HOLDS },
        { "name: { exists: true }", "\"name\":\"\"", FAILS },
        { "name: { exists: true }", "\"name\":null", FAILS },
        { "name: { exists: true }", "", FAILS },
        { "name: { exists: true }", "\"name\":7", UNKNOWN },
        { "name: { exists: false }", "", HOLDS },
        { "name: { exists: false }", "\"name\":null", HOLDS },
        { "name: { exists: false }", "\"name\":\"\"", HOLDS },
        { "name: { exists: false }", "\"name\":\"x\"", FAILS },
        { "name: { exists: false }", "\"name\":7", UNKNOWN },
        { "groups: { exists: true }", "\"groups\":[]", FAILS },
        { "groups: { exists: false }", "\"groups\":[]", HOLDS },
        { "groups: { exists: false }", "\"groups\":[\"\"]", HOLDS },
        { "is_manual: { exists: true }", "\"is_manual\":false", HOLDS },
        { "build_number: { exists: true }", "\"build_number\":0", HOLDS },
    };

    (void)state;
    check_all(rows, COUNT(rows));
}

static void an_array_fits_when_one_element_does_and_not_when_none_does(void **state)
{
    static const struct row rows[] = {
        { "groups: x", "\"groups\":[\"x\",\"y\"]", HOLDS },
        { "groups: x", "\"groups\":\"x\"", HOLDS },
        { "groups: x", "\"groups\":[\"y\"]", FAILS },
        { "groups: x", "\"groups\":[]", FAILS },
        { "groups: x", "\"groups\":[\"x\",7]", UNKNOWN },
        { "groups: x", "\"groups\":[[\"x\"]]", UNKNOWN },
        { "groups: { not: x }", "\"groups\":[\"y\",\"z\"]", HOLDS },
        { "groups: { not: x }", "\"groups\":[\"y\",\"x\"]", FAILS },
        { "groups: { not: x }", "\"groups\":[]", FAILS },
        { "groups: { not: x }", "", FAILS },
        { "groups: { like: \"a*\" }", "\"groups\":[\"b\",\"ab\"]", HOLDS },
        { "groups: { not: { like: \"a*\" } }", "\"groups\":[\"b\",\"ab\"]", FAILS },
        { "groups: { like: \"a*\", not: ab }", "\"groups\":[\"ab\",\"ac\"]", FAILS },
        { "groups: { like: \"a*\", not: ab }", "\"groups\":[\"x\",\"ac\"]", HOLDS },
        /* one element must fit all operators, not each operator some element */
        { "groups: { like: \"a*\", in: names }", "\"groups\":[\"ab\",\"x\"]", FAILS },
    };

    (void)state;
    check_all(rows, COUNT(rows));
}

static void several_operators_must_all_hold(void **state)
{
    static const struct row rows[] = {
        { "name: { like: \"a*\", not: ab }", "\"name\":\"ac\"", HOLDS },
        { "name: { like: \"a*\", not: ab }", "\"name\":\"ab\"", FAILS },
        { "name: { like: \"a*\", not: ab }", "\"name\":\"b\"", FAILS },
        { "name: { exists: true, like: \"a*\" }", "\"name\":\"ab\"", HOLDS },
        { "name: { exists: true, like: \"a*\" }", "", FAILS },
    };

    (void)state;
    check_all(rows, COUNT(rows));
}

static void times_are_compared(void **state)
{
    static const struct row rows[] = {
        { "started: { before: 2026-11-22 }", "\"started\":1795305599", HOLDS },
        { "started: { before: 2026-11-22 }", "\"started\":1795305600", FAILS },
        { "started: { after: 2026-11-22 }", "\"started\":1795305600", HOLDS },
        { "started: { after: 2026-11-22 }", "\"started\":1795305599", FAILS },
        { "started: { after: 2026-11-22 }", "", FAILS },
        { "started: { after: 2026-11-22 }", "\"started\":\"1795305600\"", UNKNOWN },
        { "started: { after: 2026-11-22, before: 2026-11-23 }", "\"started\":1795305700", HOLDS },
        { "started: { after: 2026-11-22, before: 2026-11-23 }", "\"started\":1795392000", FAILS },
        { "started: { not: { before: 2026-11-22 } }", "\"started\":1795305600", HOLDS },
        { "deadline: { after: \"2026-11-22T10:00:00Z\" }", "\"deadline\":\"2026-11-22T10:00:00Z\"",
          HOLDS },
        { "deadline: { after: \"2026-11-22T10:00:00Z\" }", "\"deadline\":\"2026-11-22T09:59:59Z\"",
          FAILS },
        { "deadline: { after: 2026-11-22 }", "\"deadline\":\"soon\"", UNKNOWN },
        { "deadline: { not: { after: 2026-11-22 } }", "\"deadline\":\"soon\"", UNKNOWN },
    };

    (void)state;
    check_all(rows, COUNT(rows));
}

static void a_pointer_reaches_into_the_claims(void **state)
{
    static const struct row rows[] = {
        { "/a/b: x", "\"a\":{\"b\":\"x\"}", HOLDS },
        { "/a/b: x", "\"a\":{\"b\":\"y\"}", FAILS },
        { "/a/b: x", "\"a\":{\"b\":[\"y\",\"x\"]}", HOLDS },
        { "/a/b: x", "\"a\":\"x\"", FAILS },
        { "/a/b: x", "", FAILS },
        { "/a/b: x", "\"a\":{\"b\":7}", UNKNOWN },
        { "/a/b: 7", "\"a\":{\"b\":7}", HOLDS },
        { "/a/b: 7", "\"a\":{\"b\":\"7\"}", UNKNOWN },
        { "/a/b: \"7\"", "\"a\":{\"b\":\"7\"}", HOLDS },
        { "/a/b: true", "\"a\":{\"b\":true}", HOLDS },
        { "/a/b: \"true\"", "\"a\":{\"b\":true}", UNKNOWN },
        { "/a/1: y", "\"a\":[\"x\",\"y\"]", HOLDS },
        { "/a/2: y", "\"a\":[\"x\",\"y\"]", FAILS },
        { "/a~1b/c~0d: x", "\"a/b\":{\"c~d\":\"x\"}", HOLDS },
        { "/a/b: { exists: true }", "\"a\":{\"b\":{}}", HOLDS },
        { "/a/b: { exists: false }", "\"a\":{\"b\":null}", HOLDS },
        { "/a/b: { exists: false }", "\"a\":[]", HOLDS },
        { "/a/b: { like: \"x*\" }", "\"a\":{\"b\":\"xy\"}", HOLDS },
        { "/a/b: { after: 2026-11-22 }", "\"a\":{\"b\":1795305600}", HOLDS },
    };

    (void)state;
    check_all(rows, COUNT(rows));
}

static void what_the_issuer_cannot_say_holds_nothing_and_refuses(void **state)
{
    static const struct row rows[] = {
        { "ci.ref_protected: true", "", UNKNOWN },
        { "ci.ref_protected: false", "", UNKNOWN },
        { "ci.ref_protected: { not: true }", "", UNKNOWN },
        { "ci.ref_protected: { exists: true }", "", UNKNOWN },
        { "ci.ref_protected: { exists: false }", "", UNKNOWN },
        { "ci.environment: x", "", HOLDS },
        { "ci.environment: y", "", FAILS },
        { "ci.runner: hosted", "", FAILS }, /* empty: absent */
        { "ci.actor: x", "", FAILS },       /* left out: absent */
        { "ci.actor: { exists: false }", "", HOLDS },
    };

    (void)state;
    check_all(rows, COUNT(rows));
}

static void an_address_lies_within_networks(void **state)
{
    static const struct row rows[] = {
        { "request.address: { within: [10.0.0.0/8, \"2001:db8::/32\"] }", "", HOLDS },
        { "request.address: { within: 10.1.0.0/16 }", "", HOLDS },
        { "request.address: { within: 10.2.0.0/16 }", "", FAILS },
        { "request.address: { not: { within: 10.2.0.0/16 } }", "", HOLDS },
        { "request.address: 10.1.2.3", "", HOLDS },
        { "request.address: [10.1.2.4, 10.1.2.5]", "", FAILS },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        check(&rows[i], "10.1.2.3");
}

static void an_unknown_address_holds_nothing_and_refuses(void **state)
{
    static const struct row rows[] = {
        { "request.address: { within: 10.0.0.0/8 }", "", UNKNOWN },
        { "request.address: { not: { within: 10.0.0.0/8 } }", "", UNKNOWN },
    };

    (void)state;
    check_all(rows, COUNT(rows));
}

static void in_unless_one_condition_that_fails_is_enough(void **state)
{
    static const struct row rows[] = {
        { "name: x, is_manual: true", "\"name\":\"x\",\"is_manual\":true", HOLDS },
        { "name: x, is_manual: true", "\"name\":\"x\",\"is_manual\":false", FAILS },
        { "name: x, is_manual: true", "\"name\":\"x\",\"is_manual\":\"?\"", UNKNOWN },
        { "name: x, ci.ref_protected: true", "\"name\":\"y\"", FAILS },
        { "name: x, ci.ref_protected: true", "\"name\":\"x\"", UNKNOWN },
    };

    (void)state;
    check_all(rows, COUNT(rows));
}

/* ---- each operator against each kind of value ---- */

/* A claim, the operators that it takes, values that count as absent, and such of another type. */
struct matrix {
    const char *claim;
    const char *operators[20];
    const char *absent[10]; /* "": not there at all */
    const char *other[12];
};

static const struct matrix matrices[] = {
    { "name",
      { "x", "[x, y]", "{ like: \"x*\" }", "{ in: names }", "{ not: x }", "{ not: [x, y] }",
        "{ not: { like: \"x*\" } }", "{ not: { in: names } }", "{ exists: true }",
        "{ before: 2026-11-22 }", "{ after: 2026-11-22 }", "{ not: { before: 2026-11-22 } }",
        "{ not: { after: 2026-11-22 } }", "{ like: \"x*\", not: xy }", "{ exists: true, not: x }" },
      { "", "null", "\"\"" },
      { "7", "0", "7.5", "true", "false", "[]", "[\"x\"]", "[[\"x\"]]", "{}", "{\"x\":\"x\"}" } },
    { "build_number",
      { "7", "[7, 8]", "{ in: numbers }", "{ not: 7 }", "{ not: [7, 8] }",
        "{ not: { in: numbers } }", "{ exists: true }", "{ before: 2026-11-22 }",
        "{ after: 2026-11-22 }", "{ not: { before: 2026-11-22 } }",
        "{ not: { after: 2026-11-22 } }", "{ exists: true, not: 7 }" },
      { "", "null", "\"\"" },
      { "\"7\"", "7.0", "7.5", "true", "false", "[]", "[7]", "{}", "\"x\"" } },
    { "is_manual",
      { "true", "[true, false]", "{ not: true }", "{ exists: true }",
        "{ exists: true, not: true }" },
      { "", "null", "\"\"" },
      { "\"true\"", "1", "0", "1.0", "[]", "[true]", "{}", "\"x\"" } },
    { "groups",
      { "x", "[x, y]", "{ like: \"x*\" }", "{ in: names }", "{ not: x }", "{ not: [x, y] }",
        "{ not: { like: \"x*\" } }", "{ not: { in: names } }", "{ exists: true }",
        "{ before: 2026-11-22 }", "{ not: { before: 2026-11-22 } }", "{ like: \"x*\", not: xy }" },
      { "", "null", "\"\"", "[]", "[\"\"]", "[null]", "[\"\",null]" },
      { "7", "true", "{}", "[7]", "[[\"x\"]]", "[{}]", "[\"q\",7]", "[true,\"q\"]" } },
    { "/a/b",
      { "x", "[x, y]", "{ like: \"x*\" }", "{ in: names }", "{ not: x }", "{ not: [x, y] }",
        "{ not: { like: \"x*\" } }", "{ not: { in: names } }", "{ like: \"x*\", not: xy }" },
      { "", "null", "\"\"", "[]", "[\"\"]" },
      { "7", "true", "{}", "[7]", "[[\"x\"]]" } },
};

/* A token's member for the claim; a misspelt one is another claim. */
static void write_claim(const struct matrix *matrix, const char *value, char out[256])
{
    bool is_pointer = matrix->claim[0] == '/';

    if (value[0] == '\0')
        (void)snprintf(out, 256, is_pointer ? "\"a\":{\"c\":\"x\"}" : "\"%s_\":\"x\"",
                       matrix->claim);
    else if (is_pointer)
        (void)snprintf(out, 256, "\"a\":{\"b\":%s}", value);
    else
        (void)snprintf(out, 256, "\"%s\":%s", matrix->claim, value);
}

static void check_values(const struct matrix *matrix, const char *operator,
                         const char * const * values, enum expected expected)
{
    for (size_t i = 0; values[i] != NULL; i++) {
        char condition[256];
        char claims[256];
        const struct row row = { condition, claims, expected };

        (void)snprintf(condition, sizeof(condition), "%s: %s", matrix->claim, operator);
        write_claim(matrix, values[i], claims);
        check(&row, NULL);
    }
}

static void
each_operator_holds_nothing_of_what_is_absent_and_knows_nothing_of_other_types(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(matrices); i++) {
        const struct matrix *matrix = &matrices[i];

        for (size_t k = 0; matrix->operators[k] != NULL; k++) {
            check_values(matrix, matrix->operators[k], matrix->absent, FAILS);
            check_values(matrix, matrix->operators[k], matrix->other, UNKNOWN);
        }
        check_values(matrix, "{ exists: false }", matrix->absent, HOLDS);
        if (matrix->claim[0] != '/') /* whose values may be of any type */
            check_values(matrix, "{ exists: false }", matrix->other, UNKNOWN);
    }
}

static bool refuses(const char *clause, const char *name, const char *operator, const char * told)
{
    char condition[256];
    char text[1024];

    (void)snprintf(condition, sizeof(condition), "%s: %s", name, operator);
    (void)snprintf(text, sizeof(text), PIPELINE, clause, condition);
    return world_refuses(text, told);
}

static void a_misspelt_claim_or_operator_is_a_mistake_everywhere(void **state)
{
    static const char *const clauses[] = { "when", "unless" };
    static const char *const operators[] = {
        "{ liek: x }",
        "{ On: [a] }",
        "{ noot: x }",
        "{ exist: true }",
        "{ befor: 2026-11-22 }",
        "{ aftr: 2026 }",
        "{ witin: x }",
        "{ }",
        "{ not: { exists: true } }",
        "{ not: { not: x } }",
        "{ not: { } }",
        "{ not: { liek: x } }",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(clauses); i++) {
        for (size_t k = 0; k < COUNT(matrices) - 1; k++) /* a pointer may name anything */
            for (size_t n = 0; matrices[k].operators[n] != NULL; n++) {
                char name[64];

                (void)snprintf(name, sizeof(name), "%s_", matrices[k].claim);
                assert_true(refuses(clauses[i], name, matrices[k].operators[n], "has no claim"));
            }
        for (size_t n = 0; n < COUNT(operators); n++)
            assert_true(refuses(clauses[i], "name", operators[n], "error: "));
    }
}

static void write_conditions(size_t count, struct buf *text)
{
    buf_init(text, 65536);
    buf_add_text(text,
                 "pipeline: p\nowner: me\nidentity: { issuer: github, repository_id: \"1\" }\n"
                 "stages: { a: { kind: build, when: {");
    for (size_t i = 0; i < count; i++)
        buf_printf(text, "%s /x%zu: y", i > 0 ? "," : "", i);
    buf_add_text(text, " } } }\n");
    assert_true(buf_is_ok(text));
}

static void a_map_has_128_conditions_at_most(void **state)
{
    OWNED(buf_release) struct buf most = { 0 };
    OWNED(buf_release) struct buf more = { 0 };
    OWNED(policy_unref) struct policy *policy = NULL;

    (void)state;
    write_conditions(128, &most);
    write_conditions(129, &more);
    policy = world_load_text(most.data);
    assert_non_null(policy);
    assert_true(world_refuses(more.data, "a map has at most 128 conditions, not 129"));
}

static int tear_down(void **state)
{
    (void)state;
    ask_release();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_value_is_equal_byte_for_byte),
        cmocka_unit_test(a_value_is_read_as_its_claims_type),
        cmocka_unit_test(a_list_means_one_of),
        cmocka_unit_test(a_pattern_is_matched_against_text),
        cmocka_unit_test(not_holds_only_for_what_is_there),
        cmocka_unit_test(exists_asks_for_presence),
        cmocka_unit_test(an_array_fits_when_one_element_does_and_not_when_none_does),
        cmocka_unit_test(several_operators_must_all_hold),
        cmocka_unit_test(times_are_compared),
        cmocka_unit_test(a_pointer_reaches_into_the_claims),
        cmocka_unit_test(what_the_issuer_cannot_say_holds_nothing_and_refuses),
        cmocka_unit_test(an_address_lies_within_networks),
        cmocka_unit_test(an_unknown_address_holds_nothing_and_refuses),
        cmocka_unit_test(in_unless_one_condition_that_fails_is_enough),
        cmocka_unit_test(
            each_operator_holds_nothing_of_what_is_absent_and_knows_nothing_of_other_types),
        cmocka_unit_test(a_misspelt_claim_or_operator_is_a_mistake_everywhere),
        cmocka_unit_test(a_map_has_128_conditions_at_most),
    };

    return cmocka_run_group_tests(tests, NULL, tear_down);
}
