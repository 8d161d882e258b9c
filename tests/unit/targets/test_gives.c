#include "fixture.h"
#include "tests/test.h"

/* What grants of each kind say that they give: names, "as" principals, "in" an account. */

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

static void a_token_gives_its_audience_and_that_with_each_scope(void **state)
{
    (void)state;
    assert_string_equal(fixture_gives(*state, "jwt", "{ audience: \"https://a.example\" }", NULL),
                        "https://a.example");
    assert_string_equal(fixture_gives(*state, "jwt",
                                      "{ audience: \"https://a.example\", scope: [read, write] }",
                                      NULL),
                        "https://a.example, https://a.example read, https://a.example write");
    assert_string_equal(fixture_gives(*state, "jwt",
                                      "{ audience: \"https://a.example\", scope: \"read write\" }",
                                      NULL),
                        "https://a.example, https://a.example read, https://a.example write");
}

static void a_certificate_gives_its_logins_as_those_of_its_authority(void **state)
{
    struct policy_target target = { .name = STR("fleet") };

    assert_string_equal(
        fixture_gives(*state, "ssh", "{ principals: [root, \"pr-${pr}\"] }", &target),
        "root, pr-${pr} as root@fleet, pr-${pr}@fleet");
    assert_string_equal(fixture_gives(*state, "ssh", "{ principals: root }", NULL),
                        "root as root@");
}

static void fleets_of_one_authority_share_their_principals(void **state)
{
    struct fixture *fixture = *state;
    struct policy_target target = { .name = STR("fleet") };

    assert_null(fixture_configure(fixture, "ssh", "{ key: ssh-ca }"));
    target.settings = fixture->target.settings;
    assert_string_equal(fixture_gives(fixture, "ssh", "{ principals: root }", &target),
                        "root as root@ssh-ca");
}

#define ROLE "arn:aws:iam::111122223333:role/web-deploy"
#define S3 "{ actions: [\"s3:Get*\", \"s3:PutObject\"], resources: \"*\" }"

static void a_role_gives_the_actions_that_it_is_allowed(void **state)
{
    (void)state;
    assert_string_equal(fixture_gives(*state, "aws",
                                      "{ role: " ROLE ", allow: [" S3
                                      ", { actions: \"kms:Sign\", resources: \"*\" }] }",
                                      NULL),
                        "s3:Get*, s3:PutObject, kms:Sign as " ROLE " in 111122223333");
    assert_string_equal(
        fixture_gives(*state, "aws",
                      "{ role: \"arn:aws:iam::111122223333:role/pr-${pr}\", allow: [" S3 "] }",
                      NULL),
        "s3:Get*, s3:PutObject as arn:aws:iam::111122223333:role/pr-${pr} in "
        "111122223333");
}

static void a_role_that_is_not_narrowed_or_has_managed_policies_gives_everything(void **state)
{
    (void)state;
    assert_string_equal(fixture_gives(*state, "aws", "{ role: " ROLE " }", NULL),
                        "everything as " ROLE " in 111122223333");
    assert_string_equal(fixture_gives(*state, "aws",
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
        { "x509", "{ spiffe_id: \"spiffe://acme.example/a\" }" },
        { "gcp", "{ service_account: deploy@a.iam.gserviceaccount.com, scopes: [a] }" },
        { "azure", "{ client_id: a, scope: \"https://a.example/.default\" }" },
        { "kubernetes", "{ namespace: a, service_account: b }" },
        { "registry", "{ access: [\"repository:a:pull\"] }" },
        { "postgres", "{ roles: [a] }" },
        { "github", "{ permissions: { contents: read } }" },
        { "gitlab", "{ scopes: [api], access_level: guest }" },
        { "vault", "{ role: a }" },
    };

    for (size_t i = 0; i < COUNT(fields); i++)
        assert_true(fixture_gives_nothing_without_memory(*state, fields[i][0], fields[i][1]));
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
