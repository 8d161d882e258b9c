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

#define GRANT(scopes, level) "{ project: \"77\", scopes: " scopes ", access_level: " level " }"

static void a_grant_is_a_project_by_id_with_scopes_and_a_level(void **state)
{
    static const struct fixture_case cases[] = {
        { GRANT("[read_repository]", "reporter"), NULL },
        { GRANT("[read_registry, write_registry]", "developer"), NULL },
        { GRANT("api", "owner"), NULL },
        { "{ scopes: api, access_level: guest }", "'project' is missing here" },
        { "{ project: acme/payments, scopes: api, access_level: guest }",
          "expected a project's id, not its path" },
        { "{ project: [\"77\"], scopes: api, access_level: guest }", "'project' must be text" },
        { "{ project: \"77\", access_level: guest }", "'scopes' is missing here" },
        { "{ project: \"77\", scopes: api }", "a token without it is a maintainer's" },
        { GRANT("[]", "guest"), "must not be empty" },
        { GRANT("[read_repositry]", "guest"), "did you mean 'read_repository'?" },
        { GRANT("[sudo]", "guest"), "'sudo' is no scope" },
        { GRANT("[API]", "guest"), "holds a character" },
        { GRANT("[api, api]", "guest"), "is there twice" },
        { GRANT("[self_rotate]", "guest"), "lets a token outlive its lease" },
        { GRANT("[api, self_rotate]", "guest"), "lets a token outlive its lease" },
        { GRANT("[api]", "\"30\""), "'30' is no access level" },
        { GRANT("[api]", "develper"), "did you mean 'developer'?" },
        { GRANT("[api]", "[developer]"), "expected one text, the name of an access level" },
        { GRANT("[api]", "admin"), "is no access level" },
    };

    fixture_check_all(*state, "gitlab", cases, COUNT(cases));
}

static void there_is_a_limit_to_each_size(void **state)
{
    fixture_check_limit(*state, "gitlab", "{ project: \"%s\", scopes: api, access_level: guest }",
                        "1", 20);
}

static void a_target_is_a_server(void **state)
{
    struct fixture *fixture = *state;

    assert_null(fixture_configure(fixture, "gitlab", "{ url: \"https://gitlab.acme.example\" }"));
    assert_null(fixture_configure(
        fixture, "gitlab", "{ url: \"https://gitlab.acme.example\", token_file: /run/token }"));
    assert_non_null(fixture_configure(fixture, "gitlab", "{ type: gitlab }"));
    assert_non_null(fixture_configure(fixture, "gitlab", "{ url: gitlab.acme.example }"));
    assert_non_null(
        fixture_configure(fixture, "gitlab", "{ url: \"https://a.example\", token_file: \"\" }"));
}

static void a_level_gives_those_below_it_and_api_every_scope(void **state)
{
    assert_string_equal(
        fixture_gives(*state, "gitlab", GRANT("[write_repository]", "reporter"), NULL),
        "write_repository, access_level:guest, access_level:planner, access_level:reporter");
    assert_string_equal(
        fixture_gives(*state, "gitlab", GRANT("[read_api, api]", "guest"), NULL),
        "api, read_api, read_repository, write_repository, read_registry, write_registry, "
        "read_virtual_registry, write_virtual_registry, create_runner, manage_runner, "
        "ai_features, k8s_proxy, access_level:guest");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_grant_is_a_project_by_id_with_scopes_and_a_level),
        TEST(there_is_a_limit_to_each_size),
        TEST(a_target_is_a_server),
        TEST(a_level_gives_those_below_it_and_api_every_scope),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
