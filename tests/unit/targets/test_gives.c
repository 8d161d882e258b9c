#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "fixture.h"
#include "tests/test.h"

/* What grants of each kind say that they give: names, "as" principals, "in" an account. */

#define TEXT_MAX ((size_t)4096)

static int set_up(void **state)
{
    static struct fixture fixture;

    fixture_init(&fixture);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    fixture_release(*state);
    return 0;
}

static void add_list(struct buf *text, const char *before, const struct str *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buf_printf(text, "%s" STR_FMT, i > 0 ? ", " : before, STR_ARG(list[i]));
}

static const char *given_by(struct fixture *fixture, const char *kind, const char *fields,
                            const struct policy_target *target)
{
    const struct policy_grant_kind *grant = &target_kind_find(str_from(kind))->grant;
    struct policy_given given = { 0 };
    struct policy_grant_view view = { .target = target };
    struct buf text = { 0 };
    struct str copy;

    fixture_fields(fixture, fields);
    view.fields = fixture->mint.fields;
    assert_true(grant->gives(&view, fixture->arena, &given));
    buf_init(&text, TEXT_MAX);
    buf_add_text(&text, given.is_everything ? "everything" : "");
    add_list(&text, "", given.names, given.name_count);
    add_list(&text, " as ", given.principals, given.principal_count);
    add_list(&text, " in ", &given.account, given.account.len > 0);
    copy = arena_copy(fixture->arena, buf_str(&text));
    buf_release(&text);
    return copy.data;
}

static void a_token_gives_its_audience_and_that_with_each_scope(void **state)
{
    (void)state;
    assert_string_equal(given_by(*state, "jwt", "{ audience: \"https://a.example\" }", NULL),
                        "https://a.example");
    assert_string_equal(
        given_by(*state, "jwt", "{ audience: \"https://a.example\", scope: [read, write] }", NULL),
        "https://a.example, https://a.example read, https://a.example write");
    assert_string_equal(
        given_by(*state, "jwt", "{ audience: \"https://a.example\", scope: \"read write\" }", NULL),
        "https://a.example, https://a.example read, https://a.example write");
}

static void a_certificate_gives_its_logins_as_those_of_its_authority(void **state)
{
    struct policy_target target = { .name = STR("fleet") };

    assert_string_equal(given_by(*state, "ssh", "{ principals: [root, \"pr-${pr}\"] }", &target),
                        "root, pr-${pr} as root@fleet, pr-${pr}@fleet");
    assert_string_equal(given_by(*state, "ssh", "{ principals: root }", NULL), "root as root@");
}

static void fleets_of_one_authority_share_their_principals(void **state)
{
    struct fixture *fixture = *state;
    struct policy_target target = { .name = STR("fleet") };

    assert_null(fixture_configure(fixture, "ssh", "{ key: ssh-ca }"));
    target.settings = fixture->target.settings;
    assert_string_equal(given_by(fixture, "ssh", "{ principals: root }", &target),
                        "root as root@ssh-ca");
}

#define ROLE "arn:aws:iam::111122223333:role/web-deploy"
#define S3 "{ actions: [\"s3:Get*\", \"s3:PutObject\"], resources: \"*\" }"

static void a_role_gives_the_actions_that_it_is_allowed(void **state)
{
    (void)state;
    assert_string_equal(given_by(*state, "aws",
                                 "{ role: " ROLE ", allow: [" S3
                                 ", { actions: \"kms:Sign\", resources: \"*\" }] }",
                                 NULL),
                        "s3:Get*, s3:PutObject, kms:Sign as " ROLE " in 111122223333");
    assert_string_equal(
        given_by(*state, "aws",
                 "{ role: \"arn:aws:iam::111122223333:role/pr-${pr}\", allow: [" S3 "] }", NULL),
        "s3:Get*, s3:PutObject as arn:aws:iam::111122223333:role/pr-${pr} in "
        "111122223333");
}

static void a_role_that_is_not_narrowed_or_has_managed_policies_gives_everything(void **state)
{
    (void)state;
    assert_string_equal(given_by(*state, "aws", "{ role: " ROLE " }", NULL),
                        "everything as " ROLE " in 111122223333");
    assert_string_equal(given_by(*state, "aws",
                                 "{ role: " ROLE ", allow: [" S3
                                 "], policy_arns: [arn:aws:iam::aws:policy/ReadOnlyAccess] }",
                                 NULL),
                        "everything as " ROLE " in 111122223333");
}

static void without_memory_nothing_is_said(void **state)
{
    static const char *const fields[][2] = {
        { "jwt", "{ audience: a, scope: [read] }" },
        { "ssh", "{ principals: [root] }" },
        { "aws", "{ role: " ROLE ", allow: [" S3 "] }" },
    };

    for (size_t i = 0; i < COUNT(fields); i++) {
        OWNED(arena_free) struct arena *empty = arena_new(1);
        struct policy_given given = { 0 };
        struct policy_grant_view view = { 0 };
        struct fixture *fixture = *state;

        fixture_fields(fixture, fields[i][1]);
        view.fields = fixture->mint.fields;
        assert_false(target_kind_find(str_from(fields[i][0]))->grant.gives(&view, empty, &given));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_token_gives_its_audience_and_that_with_each_scope),
        TEST(a_certificate_gives_its_logins_as_those_of_its_authority),
        TEST(fleets_of_one_authority_share_their_principals),
        TEST(a_role_gives_the_actions_that_it_is_allowed),
        TEST(a_role_that_is_not_narrowed_or_has_managed_policies_gives_everything),
        TEST(without_memory_nothing_is_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
