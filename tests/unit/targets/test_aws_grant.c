#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "fixture.h"
#include "targets/aws_internal.h"
#include "tests/assert_str.h"
#include "tests/test.h"

#define TARGET "{type: aws, region: eu-central-1, accounts: [\"111122223333\", \"444455556666\"]}"
#define ROLE "role: \"arn:aws:iam::111122223333:role/deploy\""
#define ALLOW "allow: [{actions: [\"s3:PutObject\"], resources: [\"arn:aws:s3:::web/*\"]}]"

static int set_up(void **state)
{
    static struct fixture fixture;

    fixture_init(&fixture);
    assert_null(fixture_configure(&fixture, "aws", TARGET));
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    fixture_release(*state);
    return 0;
}

static struct aws_grant read_grant(struct fixture *fixture, const char *fields)
{
    struct grant_reader reader = { .arena = fixture->arena };
    struct aws_grant grant;

    fixture_fields(fixture, fields);
    if (!aws_grant_read(&reader, fixture->mint.fields, fixture->target.settings, &fixture->address,
                        &grant))
        fail_msg("%s: %s", fields, reader.fault);
    return grant;
}

static void a_role_is_taken_apart(void **state)
{
    struct aws_grant grant =
        read_grant(*state, "{role: \"arn:aws-cn:iam::444455556666:role/ci/web/deploy\"}");

    assert_str(grant.partition, "aws-cn");
    assert_str(grant.account, "444455556666");
    assert_str(grant.role_name, "deploy");
    assert_int_equal(grant.policy.len, 0);
}

static void the_session_policy_is_minified(void **state)
{
    struct aws_grant grant = read_grant(
        *state,
        "{" ROLE ", allow: [{actions: \"s3:PutObject\", resources: [\"arn:aws:s3:::web/*\"]},"
        " {actions: [\"s3:Get*\", \"s3:List?\"], resources: \"*\","
        " conditions: {StringEquals: {\"s3:prefix\": [a, b]}, Bool: {\"aws:x\": \"true\"}}}]}");

    assert_str(grant.policy,
               "{\"Statement\":[{\"Action\":[\"s3:PutObject\"],\"Effect\":\"Allow\","
               "\"Resource\":[\"arn:aws:s3:::web/*\"]},"
               "{\"Action\":[\"s3:Get*\",\"s3:List?\"],"
               "\"Condition\":{\"Bool\":{\"aws:x\":[\"true\"]},"
               "\"StringEquals\":{\"s3:prefix\":[\"a\",\"b\"]}},"
               "\"Effect\":\"Allow\",\"Resource\":[\"*\"]}],\"Version\":\"2012-10-17\"}");
}

static void a_pinned_policy_holds_for_one_address_in_every_statement(void **state)
{
    struct aws_grant grant = read_grant(
        *state, "{" ROLE ", pin_address: true, allow: [{actions: [\"s3:Put\"], resources: [\"*\"]},"
                " {actions: [\"s3:Get\"], resources: [\"*\"],"
                " conditions: {IpAddress: {\"aws:VpcSourceIp\": 10.0.0.0/8}}}]}");

    assert_true(grant.pins_address);
    assert_str(grant.policy,
               "{\"Statement\":[{\"Action\":[\"s3:Put\"],"
               "\"Condition\":{\"IpAddress\":{\"aws:SourceIp\":\"192.0.2.7/32\"}},"
               "\"Effect\":\"Allow\",\"Resource\":[\"*\"]},{\"Action\":[\"s3:Get\"],"
               "\"Condition\":{\"IpAddress\":{\"aws:SourceIp\":\"192.0.2.7/32\","
               "\"aws:VpcSourceIp\":[\"10.0.0.0/8\"]}},"
               "\"Effect\":\"Allow\",\"Resource\":[\"*\"]}],\"Version\":\"2012-10-17\"}");
}

static void nothing_is_pinned_to_an_unknown_address(void **state)
{
    struct fixture *fixture = *state;
    struct grant_reader reader = { .arena = fixture->arena };
    struct address nowhere = { 0 };
    struct aws_grant grant;

    fixture_fields(fixture, "{" ROLE ", pin_address: true, " ALLOW "}");
    assert_false(
        aws_grant_read(&reader, fixture->mint.fields, fixture->target.settings, &nowhere, &grant));
    assert_false(
        aws_grant_read(&reader, fixture->mint.fields, fixture->target.settings, NULL, &grant));
}

static void good_grants_are_accepted_at_load(void **state)
{
    static const char *const cases[] = {
        "{" ROLE "}",
        "{target: prod, " ROLE ", " ALLOW "}",
        "{role: \"arn:aws-us-gov:iam::111122223333:role/a\"}",
        "{role: \"arn:aws:iam::111122223333:role/web-${pr}\"}",
        "{role: \"arn:aws:iam::111122223333:role/A_b+c=d,e.f@g-h\"}",
        "{" ROLE ", policy_arns: [\"arn:aws:iam::aws:policy/ReadOnlyAccess\"]}",
        "{" ROLE ", policy_arns: \"arn:aws:iam::111122223333:policy/ci/web\"}",
        "{" ROLE ", tags: {team: payments, \"cost centre\": \"a/b:c=d+e@f\"}}",
        "{" ROLE ", tags: {preview: \"pr-${pr}\"}}",
        "{" ROLE ", tags: {team: a}, transitive_tags: [team, run, stage, pipeline]}",
        "{" ROLE ", transitive_tags: stage}",
        "{" ROLE ", pin_address: true, " ALLOW "}",
        "{" ROLE ", allow: [{actions: [\"s3:*\"], resources: [\"arn:aws:s3:::web-${pr}/*\"]}]}",
        "{" ROLE ", allow: [{actions: [\"*\"], resources: [\"*\"]}]}",
    };
    struct fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *message = fixture_check(fixture, "aws", cases[i]);

        if (message)
            fail_msg("%s: %s", cases[i], message);
    }
}

static const struct {
    const char *fields;
    const char *message;
} bad_grants[] = {
    { "{" ALLOW "}", "needs a 'role'" },
    { "{role: \"\"}", "must not be empty" },
    { "{role: [a]}", "must be text" },
    { "{role: deploy}", "expected a role's ARN" },
    { "{role: \"arn:aws:iam::111122223333:role/\"}", "expected a role's ARN" },
    { "{role: \"arn:aws:iam::111122223333:role//a\"}", "expected a role's ARN" },
    { "{role: \"arn:aws:iam::111122223333:role/a/\"}", "expected a role's ARN" },
    { "{role: \"arn:aws:iam::111122223333:user/a\"}", "expected a role's ARN" },
    { "{role: \"arn:aws:iam::111122223333:role/a:b\"}", "expected a role's ARN" },
    { "{role: \"arn:aws:sts::111122223333:role/a\"}", "expected a role's ARN" },
    { "{role: \"arn:aws:iam:eu-central-1:111122223333:role/a\"}", "expected a role's ARN" },
    { "{role: \"arn:gcp:iam::111122223333:role/a\"}", "expected a role's ARN" },
    { "{role: \"arn:aws:iam::11112222333:role/a\"}", "expected a role's ARN" },
    { "{role: \"arn:aws:iam::${account}:role/a\"}", "expected a role's ARN" },
    { "{role: \"arn:aws:iam::111122223333:role/*\"}", "cannot have" },
    { "{role: \"arn:aws:iam::111122223333:role/a b\"}", "cannot have" },
    { "{role: \"arn:aws:iam::999999999999:role/a\"}", "not one of the target's" },
    { "{" ROLE ", allow: []}", "list of 1 to" },
    { "{" ROLE ", allow: {}}", "list of 1 to" },
    { "{" ROLE ", allow: [a]}", "expected a map" },
    { "{" ROLE ", allow: [{}]}", "needs 'actions'" },
    { "{" ROLE ", allow: [{resources: [\"*\"]}]}", "needs 'actions'" },
    { "{" ROLE ", allow: [{actions: [\"s3:Get\"]}]}", "needs 'resources'" },
    { "{" ROLE ", allow: [{actions: [], resources: [\"*\"]}]}", "must not be empty" },
    { "{" ROLE ", allow: [{actions: [\"s3:Get\"], resources: []}]}", "must not be empty" },
    { "{" ROLE ", allow: [{actions: [s3], resources: [\"*\"]}]}", "expected an action" },
    { "{" ROLE ", allow: [{actions: [\"*:*\"], resources: [\"*\"]}]}", "expected an action" },
    { "{" ROLE ", allow: [{actions: [\"s3:\"], resources: [\"*\"]}]}", "expected an action" },
    { "{" ROLE ", allow: [{actions: [\"s3:${x}\"], resources: [\"*\"]}]}", "without holes" },
    { "{" ROLE ", allow: [{actions: [\"s3:a b\"], resources: [\"*\"]}]}", "cannot have" },
    { "{" ROLE ", allow: [{actions: [\"s3:Get\"], resources: [web]}]}", "expected resources" },
    { "{" ROLE ", allow: [{actions: [\"s3:Get\"], resources: [\"*\"], effect: Deny}]}",
      "unknown key" },
    { "{" ROLE ", allow: [{actions: [\"s3:Get\"], resources: [\"*\"], conditions: []}]}",
      "a condition is" },
    { "{" ROLE ", allow: [{actions: [\"s3:Get\"], resources: [\"*\"], conditions: {}}]}",
      "a condition is" },
    { "{" ROLE ", allow: [{actions: [\"s3:Get\"], resources: [\"*\"], conditions: {Bool: x}}]}",
      "a condition is" },
    { "{" ROLE ", allow: [{actions: [\"s3:Get\"], resources: [\"*\"],"
      " conditions: {Bool: {\"aws:x\": {}}}}]}",
      "must be text" },
    { "{" ROLE ", allow: [{actions: [\"s3:Get\"], resources: [\"arn:aws:s3:::\xe2\x82\xac\"]}]}",
      "U+00FF" },
    { "{" ROLE ", allow: [{actions: [\"s3:Get\"], resources: [\"*\"],"
      " conditions: {\"Bool${x}\": {a: b}}}]}",
      "condition operator" },
    { "{" ROLE ", allow: [{actions: [\"s3:Get\"], resources: [\"*\"],"
      " conditions: {Bool: {\"a${x}\": b}}}]}",
      "condition key" },
    { "{" ROLE ", pin_address: true}", "needs 'allow'" },
    { "{" ROLE ", pin_address: 1, " ALLOW "}", "true or false" },
    { "{" ROLE ", pin_address: true, " ALLOW ", policy_arns: [\"arn:aws:iam::aws:policy/a\"]}",
      "exclude each other" },
    { "{" ROLE ", pin_address: true, allow: [{actions: [\"s3:Get\"], resources: [\"*\"],"
      " conditions: {IpAddress: {\"AWS:sourceip\": 0.0.0.0/0}}}]}",
      "exclude each other" },
    { "{" ROLE ", policy_arns: []}", "must not be empty" },
    { "{" ROLE ", policy_arns: [ReadOnlyAccess]}", "expected a managed policy" },
    { "{" ROLE ", policy_arns: [\"arn:aws:iam::aws:role/a\"]}", "expected a managed policy" },
    { "{" ROLE ", policy_arns: [\"arn:aws:iam::444455556666:policy/a\"]}", "role's account" },
    { "{" ROLE ", policy_arns: [\"arn:aws-cn:iam::aws:policy/a\"]}", "role's account" },
    { "{" ROLE ", tags: [a]}", "must be a map" },
    { "{" ROLE ", tags: {a: [b]}}", "must be text" },
    { "{" ROLE ", tags: {a: \"b*\"}}", "cannot have" },
    { "{" ROLE ", tags: {\"a*\": b}}", "a tag's name" },
    { "{" ROLE ", tags: {\"aws:a\": b}}", "AWS's own" },
    { "{" ROLE ", tags: {\"AWS:a\": b}}", "AWS's own" },
    { "{" ROLE ", tags: {stage: b}}", "the broker sets" },
    { "{" ROLE ", tags: {Pipeline: b}}", "the broker sets" },
    { "{" ROLE ", tags: {team: a, Team: b}}", "differ in case" },
    { "{" ROLE ", tags: {team: a}, transitive_tags: [Team]}", "is no tag" },
    { "{" ROLE ", transitive_tags: [team]}", "is no tag" },
    { "{" ROLE ", transitive_tags: []}", "transitive_tags" },
    { "{" ROLE ", transitive_tags: [run, run]}", "twice" },
    { "{" ROLE ", transitive_tags: {run: a}}", "transitive_tags" },
    { "{" ROLE ", transitive_tags: [\"r*\"]}", "cannot have" },
};

static void bad_grants_are_refused_at_load(void **state)
{
    struct fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(bad_grants); i++) {
        const char *message = fixture_check(fixture, "aws", bad_grants[i].fields);

        if (!message || !strstr(message, bad_grants[i].message))
            fail_msg("%s: %s", bad_grants[i].fields, message ? message : "accepted");
    }
}

/* A grant whose session policy has exactly `characters`; `tail` is the end of its resource. */
static const char *grant_of(char *out, size_t size, size_t characters, const char *tail,
                            size_t tail_characters)
{
    static const char frame[] = "{\"Statement\":[{\"Action\":[\"s3:Get\"],\"Effect\":\"Allow\","
                                "\"Resource\":[\"arn:\"]}],\"Version\":\"2012-10-17\"}";
    size_t padding = characters - (sizeof(frame) - 1) - tail_characters;
    size_t len = (size_t)snprintf(out, size,
                                  "{" ROLE ", allow: [{actions: [\"s3:Get\"], resources: [\"arn:");

    memset(out + len, 'x', padding);
    (void)snprintf(out + len + padding, size - len - padding, "%s\"]}]}", tail);
    return out;
}

static void a_session_policy_has_2048_characters_and_not_one_more(void **state)
{
    struct fixture *fixture = *state;
    char out[4096];
    const char *message;

    assert_null(fixture_check(fixture, "aws", grant_of(out, sizeof(out), 2048, "", 0)));
    assert_int_equal(read_grant(fixture, out).policy.len, 2048);
    message = fixture_check(fixture, "aws", grant_of(out, sizeof(out), 2049, "", 0));
    assert_non_null(message);
    assert_non_null(strstr(message, "2049"));
    assert_non_null(strstr(message, "2048"));
}

static void a_session_policy_is_counted_in_characters(void **state)
{
    struct fixture *fixture = *state;
    char out[4096];

    assert_null(fixture_check(fixture, "aws", grant_of(out, sizeof(out), 2048, "\xc3\xbf", 1)));
    assert_non_null(fixture_check(fixture, "aws", grant_of(out, sizeof(out), 2049, "\xc3\xbf", 1)));
    assert_non_null(fixture_check(fixture, "aws", grant_of(out, sizeof(out), 2000, "\xc4\x80", 1)));
}

static void a_hole_counts_as_64_characters(void **state)
{
    struct fixture *fixture = *state;
    char out[4096];

    assert_null(fixture_check(fixture, "aws", grant_of(out, sizeof(out), 2048, "${pr}", 64)));
    assert_non_null(fixture_check(fixture, "aws", grant_of(out, sizeof(out), 2049, "${pr}", 64)));
}

/* A field that opens so, with `count` elements between `before` and `behind` a number. */
static const char *with_many(char *out, size_t size, const char *open, const char *before,
                             const char *behind, int count)
{
    size_t len = (size_t)snprintf(out, size, "{" ROLE ", %s", open);

    for (int i = 0; i < count; i++)
        len += (size_t)snprintf(out + len, size - len, "%s%s%d%s", i > 0 ? ", " : "", before, i,
                                behind);
    (void)snprintf(out + len, size - len, strchr(open, '[') ? "]}" : "}}");
    return out;
}

static void counts_hold_at_the_limit_and_one_past_it(void **state)
{
    static const char arn[] = "\"arn:aws:iam::aws:policy/p";
    struct fixture *fixture = *state;
    char out[4096];

    (void)with_many(out, sizeof(out), "policy_arns: [", arn, "\"", 10);
    assert_null(fixture_check(fixture, "aws", out));
    (void)with_many(out, sizeof(out), "policy_arns: [", arn, "\"", 11);
    assert_non_null(fixture_check(fixture, "aws", out));
    (void)with_many(out, sizeof(out), "tags: {", "t", ": x", 47);
    assert_null(fixture_check(fixture, "aws", out));
    (void)with_many(out, sizeof(out), "tags: {", "t", ": x", 48);
    assert_non_null(fixture_check(fixture, "aws", out));
}

static void lengths_hold_at_the_limit_and_one_past_it(void **state)
{
    struct fixture *fixture = *state;
    char out[1024];

    (void)snprintf(out, sizeof(out), "{role: \"arn:aws:iam::111122223333:role/a%063d\"}", 1);
    assert_null(fixture_check(fixture, "aws", out));
    (void)snprintf(out, sizeof(out), "{role: \"arn:aws:iam::111122223333:role/a%064d\"}", 1);
    assert_non_null(fixture_check(fixture, "aws", out));
    (void)snprintf(out, sizeof(out), "{" ROLE ", tags: {a%0127d: b%0255d}}", 1, 1);
    assert_null(fixture_check(fixture, "aws", out));
    (void)snprintf(out, sizeof(out), "{" ROLE ", tags: {a%0128d: b}}", 1);
    assert_non_null(fixture_check(fixture, "aws", out));
    (void)snprintf(out, sizeof(out), "{" ROLE ", tags: {a: b%0256d}}", 1);
    assert_non_null(fixture_check(fixture, "aws", out));
}

static void a_hole_may_make_a_role_too_long_only_once_it_is_filled(void **state)
{
    struct fixture *fixture = *state;
    struct grant_reader reader = { .arena = fixture->arena };
    struct aws_grant grant;
    char out[256];

    (void)snprintf(out, sizeof(out), "{role: \"arn:aws:iam::111122223333:role/web-${pr}\"}");
    assert_null(fixture_check(fixture, "aws", out));
    (void)snprintf(out, sizeof(out), "{role: \"arn:aws:iam::111122223333:role/web-%061d\"}", 1);
    fixture_fields(fixture, out);
    assert_false(
        aws_grant_read(&reader, fixture->mint.fields, fixture->target.settings, NULL, &grant));
    assert_non_null(strstr(reader.fault, "at most 64"));
}

static void a_hole_that_nobody_filled_is_a_fault_at_the_mint(void **state)
{
    struct fixture *fixture = *state;
    struct grant_reader reader = { .arena = fixture->arena };
    struct aws_grant grant;

    fixture_fields(fixture, "{role: \"arn:aws:iam::111122223333:role/web-${pr}\"}");
    assert_false(
        aws_grant_read(&reader, fixture->mint.fields, fixture->target.settings, NULL, &grant));
    assert_non_null(strstr(reader.fault, "not filled"));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_role_is_taken_apart),
        TEST(the_session_policy_is_minified),
        TEST(a_pinned_policy_holds_for_one_address_in_every_statement),
        TEST(nothing_is_pinned_to_an_unknown_address),
        TEST(good_grants_are_accepted_at_load),
        TEST(bad_grants_are_refused_at_load),
        TEST(a_session_policy_has_2048_characters_and_not_one_more),
        TEST(a_session_policy_is_counted_in_characters),
        TEST(a_hole_counts_as_64_characters),
        TEST(counts_hold_at_the_limit_and_one_past_it),
        TEST(lengths_hold_at_the_limit_and_one_past_it),
        TEST(a_hole_may_make_a_role_too_long_only_once_it_is_filled),
        TEST(a_hole_that_nobody_filled_is_a_fault_at_the_mint),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
