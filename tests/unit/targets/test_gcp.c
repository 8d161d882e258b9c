#include "fixture.h"
#include "tests/test.h"

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

#define ACCOUNT "deploy@acme-prod.iam.gserviceaccount.com"
#define SCOPE "https://www.googleapis.com/auth/devstorage.read_write"
#define ALL "https://www.googleapis.com/auth/cloud-platform"
#define GRANT(more)                                                                                \
    "{ target: prod, service_account: " ACCOUNT ", scopes: [\"" SCOPE "\"]" more " }"
#define PROVIDER                                                                                   \
    "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/ci/providers/b"
#define BOUNDARY(rule) GRANT(", boundary: [ " rule " ]")

static int set_up_target(void **state)
{
    (void)set_up(state);
    assert_null(fixture_configure(
        *state, "gcp", "{ projects: [acme-prod, legacy.acme.example], provider: " PROVIDER " }"));
    return 0;
}

static void a_grant_is_an_account_of_the_targets_projects_with_scopes(void **state)
{
    static const struct fixture_case cases[] = {
        { GRANT(""), NULL },
        { "{ service_account: deploy@legacy.acme.example.iam.gserviceaccount.com,"
          " scopes: \"" ALL "\" }",
          NULL },
        { "{ scopes: [\"" SCOPE "\"] }", "ttl must be 1h" },
        { "{ service_account: [], scopes: [\"" SCOPE "\"] }", "'service_account' must be text" },
        { "{ service_account: " ACCOUNT " }", "'scopes' is missing here" },
        { "{ service_account: " ACCOUNT ", scopes: [] }", "must not be empty" },
        { "{ service_account: " ACCOUNT ", scopes: [cloud-platform] }",
          "expected a scope such as" },
        { "{ service_account: " ACCOUNT ", scopes: [\"https://www.googleapis.com/auth/\"] }",
          "expected a scope such as" },
        { "{ service_account: " ACCOUNT ", scopes: [\"https://evil.example/auth/a\"] }",
          "expected a scope such as" },
        { "{ service_account: deploy@other.iam.gserviceaccount.com, scopes: [\"" SCOPE "\"] }",
          "the project 'other' is not one of the target's" },
        { "{ service_account: deploy, scopes: [\"" SCOPE "\"] }", "expected a service account" },
        { "{ service_account: deploy@acme-prod, scopes: [\"" SCOPE "\"] }",
          "expected a service account" },
        { "{ service_account: a@b@acme-prod.iam.gserviceaccount.com, scopes: [\"" SCOPE "\"] }",
          "expected a service account" },
        { "{ service_account: 123-compute@developer.gserviceaccount.com, scopes: [\"" SCOPE "\"] }",
          "expected a service account" },
        { "{ service_account: short@acme-prod.iam.gserviceaccount.com, scopes: [\"" SCOPE "\"] }",
          "6 to 30 characters" },
        { "{ service_account: 1deploy@acme-prod.iam.gserviceaccount.com, scopes: [\"" SCOPE "\"] }",
          "expected a service account" },
        { "{ service_account: deploy-@acme-prod.iam.gserviceaccount.com, scopes: [\"" SCOPE "\"] }",
          "expected a service account" },
        { "{ service_account: deploy@.iam.gserviceaccount.com, scopes: [\"" SCOPE "\"] }",
          "expected a service account" },
    };

    fixture_check_all(*state, "gcp", cases, COUNT(cases));
}

static void a_boundary_is_buckets_prefixes_and_roles(void **state)
{
    static const struct fixture_case cases[] = {
        { BOUNDARY("{ bucket: artifacts, roles: roles/storage.objectViewer }"), NULL },
        { BOUNDARY("{ bucket: artifacts, prefix: \"build-${run}/\","
                   " roles: [roles/storage.objectViewer, roles/storage.objectCreator] }"),
          NULL },
        { BOUNDARY("{ bucket: \"pr-${pr}\", roles: [projects/acme-prod/roles/uploader] }"), NULL },
        { BOUNDARY(""), "a list of 1 to 10 maps" },
        { GRANT(", boundary: { bucket: artifacts }"), "a list of 1 to 10 maps" },
        { BOUNDARY("artifacts"), "expected a map" },
        { BOUNDARY("{ roles: roles/storage.objectViewer }"), "'bucket' is missing here" },
        { BOUNDARY("{ bucket: artifacts }"), "'roles' is missing here" },
        { BOUNDARY("{ bucket: artifacts, roles: [] }"), "must not be empty" },
        { BOUNDARY("{ bucket: artifacts, rolls: [] }"), "unknown key 'rolls'" },
        { BOUNDARY("{ bucket: ab, roles: roles/storage.objectViewer }"), "at least 3 characters" },
        { BOUNDARY("{ bucket: Artifacts, roles: roles/storage.objectViewer }"),
          "holds a character" },
        { BOUNDARY("{ bucket: \"${pr}\", roles: roles/storage.objectViewer }"), "a hole in front" },
        { BOUNDARY("{ bucket: artifacts, roles: storage.objectViewer }"), "expected a role" },
        { BOUNDARY("{ bucket: artifacts, roles: roles/ }"), "expected a role" },
        { BOUNDARY("{ bucket: artifacts, roles: \"roles/storage.${r}\" }"),
          "no hole stands in a role" },
        { BOUNDARY("{ bucket: artifacts, prefix: \"a' || true || 'b\","
                   " roles: roles/storage.objectViewer }"),
          "holds a character" },
        { BOUNDARY("{ bucket: artifacts, prefix: 'a\\', roles: roles/storage.objectViewer }"),
          "holds a character" },
        { BOUNDARY("{ bucket: artifacts, prefix: \"build-${run}/a-${pr}:b\","
                   " roles: roles/storage.objectViewer }"),
          NULL },
        { BOUNDARY("{ bucket: artifacts, prefix: \"build-${run}\", roles: roles/a }"),
          "end the hole" },
        { BOUNDARY("{ bucket: artifacts, prefix: \"build-${run}-\", roles: roles/a }"),
          "end the hole" },
        { BOUNDARY("{ bucket: artifacts, prefix: \"${run}/${pr}.a\", roles: roles/a }"),
          "end the hole" },
        { BOUNDARY("{ bucket: artifacts, prefix: \"\", roles: roles/storage.objectViewer }"),
          "must not be empty" },
    };

    fixture_check_all(*state, "gcp", cases, COUNT(cases));
}

#define RULE "{ bucket: b%zu-, roles: roles/a }, "

static void there_is_a_limit_to_each_size(void **state)
{
    fixture_check_limit(*state, "gcp", "{ service_account: " ACCOUNT ", scopes: [%s] }",
                        "\"https://www.googleapis.com/auth/a%zu\", ", 32);
    fixture_check_limit(*state, "gcp",
                        "{ service_account: d%s@acme-prod.iam.gserviceaccount.com,"
                        " scopes: \"" SCOPE "\" }",
                        "a", 29);
    fixture_check_limit(*state, "gcp", GRANT(", boundary: [%s]"), RULE, 10);
    fixture_check_limit(*state, "gcp", BOUNDARY("{ bucket: %s, roles: roles/a }"), "a", 222);
    fixture_check_limit(*state, "gcp", BOUNDARY("{ bucket: aaa, roles: [%s] }"), "roles/a%zu, ",
                        10);
    fixture_check_limit(*state, "gcp", BOUNDARY("{ bucket: aaa, prefix: %s, roles: roles/a }"), "a",
                        1024);
}

#define A10 "aaaaaaaaaa"
#define A100 A10 A10 A10 A10 A10 A10 A10 A10 A10 A10

/* Google bounds the whole: two long prefixes fit each by itself. */
static void a_boundary_has_2048_characters(void **state)
{
    fixture_check_limit(*state, "gcp",
                        GRANT(", boundary: [ { bucket: aaa, prefix: %s, roles: roles/a },"
                              " { bucket: bbb, prefix: " A100 A100 A100 A100 A100 A100 A100 A100
                              ", roles: roles/a } ]"),
                        "a", 774);
}

static void a_target_has_projects_and_a_provider(void **state)
{
    struct fixture *fixture = *state;

    static const char *const bad[] = {
        "{ type: gcp }",
        "{ projects: a }",
        "{ provider: " PROVIDER " }",
        "{ projects: [], provider: " PROVIDER " }",
        "{ projects: [A], provider: " PROVIDER " }",
        "{ projects: a, provider: https://iam.example }",
        "{ projects: a, provider: //iam.googleapis.com/x }",
        "{ projects: a, provider: " PROVIDER ", audience: \"\" }",
        "{ projects: a, provider: " PROVIDER ", subject: job }",
        "{ projects: a, provider: " PROVIDER ", algorithm: EdDSA }",
        "{ projects: a, provider: " PROVIDER ", sts_endpoint: \"http://127.0.0.1\" }",
        "{ projects: a, provider: " PROVIDER ", sts_endpoint: \"https://sts.example/\" }",
        "{ projects: a, provider: " PROVIDER ", iam_endpoint: \"https://iam.example/\" }",
        "{ projects: a, provider: " PROVIDER ", iam_endpoint: iam }",
    };

    assert_null(fixture_configure(fixture, "gcp", "{ projects: a, provider: " PROVIDER " }"));
    assert_null(fixture_configure(
        fixture, "gcp",
        "{ projects: a, provider: " PROVIDER ", audience: b, subject: run, algorithm: RS256,"
        " sts_endpoint: \"https://sts.example\", iam_endpoint: \"https://iam.example\" }"));
    for (size_t i = 0; i < COUNT(bad); i++)
        if (!fixture_configure(fixture, "gcp", bad[i]))
            fail_msg("%s was accepted", bad[i]);
}

static void it_gives_its_scopes_of_which_one_is_everything(void **state)
{
    assert_string_equal(fixture_gives(*state, "gcp", GRANT(""), NULL),
                        "devstorage.read_write as " ACCOUNT " in acme-prod");
    assert_string_equal(
        fixture_gives(*state, "gcp",
                      "{ service_account: " ACCOUNT ", scopes: [\"" SCOPE "\", \"" ALL "\"] }",
                      NULL),
        "everything: devstorage.read_write, cloud-platform as " ACCOUNT " in acme-prod");
}

static void within_a_boundary_it_gives_the_roles(void **state)
{
    assert_string_equal(
        fixture_gives(
            *state, "gcp",
            "{ service_account: " ACCOUNT ", scopes: [\"" ALL "\"], boundary:"
            " [ { bucket: a, roles: [roles/b, roles/c] }, { bucket: d, roles: roles/e } ] "
            "}",
            NULL),
        "roles/b, roles/c, roles/e as " ACCOUNT " in acme-prod");
}

static void without_an_account_it_gives_its_scopes_as_the_stage(void **state)
{
    assert_string_equal(fixture_gives(*state, "gcp", "{ scopes: [\"" SCOPE "\"] }", NULL),
                        "devstorage.read_write");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_target, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_grant_is_an_account_of_the_targets_projects_with_scopes),
        TEST(a_boundary_is_buckets_prefixes_and_roles),
        TEST(there_is_a_limit_to_each_size),
        TEST(a_boundary_has_2048_characters),
        TEST(a_target_has_projects_and_a_provider),
        TEST(without_an_account_it_gives_its_scopes_as_the_stage),
        TEST(it_gives_its_scopes_of_which_one_is_everything),
        TEST(within_a_boundary_it_gives_the_roles),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
