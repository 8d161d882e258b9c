#include <string.h>

#include "gitlab_help.h"
#include "targets/gitlab_internal.h"
#include "tests/test.h"

/* Its first member is the fixture that grants are checked with. */
static int set_up(void **state)
{
    static struct remote_fixture fixture;

    remote_init(&fixture);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    remote_release(*state);
    return 0;
}

static void a_grant_is_a_project_by_id_with_scopes_and_a_level(void **state)
{
    static const struct fixture_case cases[] = {
        { GRANT("[read_repository]", "reporter"), NULL },
        { GRANT("[read_registry, write_registry]", "developer"), NULL },
        { GRANT("api", "owner"), NULL },
        { "{ project: \"77\", scopes: api, access_level: guest, token: project }", NULL },
        { "{ scopes: api, access_level: guest }", "'project' is missing here" },
        { "{ project: acme/payments, scopes: api, access_level: guest }",
          "expected a project's id, not its path" },
        { "{ project: \"077\", scopes: api, access_level: guest }",
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
        { GRANT("[read_package_registry]", "guest"), "write 'token: deploy'" },
        { GRANT("[api]", "\"30\""), "'30' is no access level" },
        { GRANT("[api]", "develper"), "did you mean 'developer'?" },
        { GRANT("[api]", "[developer]"), "expected one text, the name of an access level" },
        { GRANT("[api]", "admin"), "is no access level" },
    };

    fixture_check_all(*state, "gitlab", cases, COUNT(cases));
}

static void a_deploy_token_has_scopes_of_its_own_and_no_level(void **state)
{
    static const struct fixture_case cases[] = {
        { DEPLOY("[read_registry]"), NULL },
        { DEPLOY("[read_repository, write_registry, read_virtual_registry, "
                 "write_virtual_registry]"),
          NULL },
        { DEPLOY("[read_package_registry, write_package_registry]"), NULL },
        { DEPLOY("[api]"), "a deploy token cannot have 'api'" },
        { DEPLOY("[read_registry, write_repository]"), "cannot have 'write_repository'" },
        { DEPLOY("[self_rotate]"), "lets a token outlive its lease" },
        { "{ project: \"77\", scopes: read_registry, token: deploy, access_level: guest }",
          "a deploy token has no 'access_level'" },
        { "{ project: \"77\", scopes: read_registry, token: deplyo }", "did you mean 'deploy'?" },
        { "{ project: \"77\", scopes: read_registry, token: [deploy] }", "expected one text" },
    };

    fixture_check_all(*state, "gitlab", cases, COUNT(cases));
}

#define GROUP(more) "{ group: \"12\", token: group, " more " }"

static void a_group_access_token_is_of_a_group(void **state)
{
    static const struct fixture_case cases[] = {
        { GROUP("scopes: [read_repository, read_api], access_level: reporter"), NULL },
        { GROUP("scopes: api"), "a token without it is a maintainer's" },
        { GROUP("scopes: [read_package_registry], access_level: guest"), "write 'token: deploy'" },
        { GROUP("scopes: [self_rotate], access_level: guest"), "outlive its lease" },
        { GROUP("project: \"77\", scopes: api, access_level: guest"),
          "is for all projects of its 'group'" },
        { "{ token: group, scopes: api, access_level: guest }", "'group' is missing here" },
        { "{ token: group, group: acme, scopes: api, access_level: guest }",
          "expected a group's id, not its path" },
        { "{ group: \"12\", scopes: api, access_level: guest }", "write 'token: group'" },
        { "{ group: \"12\", project: \"77\", scopes: api, access_level: guest }",
          "write 'token: group'" },
        { "{ group: \"12\", scopes: read_registry, token: deploy }", "write 'token: group'" },
    };

    fixture_check_all(*state, "gitlab", cases, COUNT(cases));
    fixture_check_limit(*state, "gitlab",
                        "{ group: \"%s\", token: group, scopes: api, access_level: guest }", "1",
                        20);
}

static void there_is_a_limit_to_each_size(void **state)
{
    fixture_check_limit(*state, "gitlab", "{ project: \"%s\", scopes: api, access_level: guest }",
                        "1", 20);
}

static void a_target_is_a_server(void **state)
{
    static const struct {
        const char *yaml;
        bool is_good;
    } cases[] = {
        { "{ url: \"https://gitlab.acme.example\", token_file: /run/token }", true },
        { "{ url: \"https://a.example/gitlab\", token_file: t, registry: \"r.example:5050\" }",
          true },
        { "{ url: \"https://a.example\", token_file: t, projects: [\"77\", \"78\"] }", true },
        { "{ type: gitlab }", false },
        { "{ url: \"https://a.example\" }", false },
        { "{ url: gitlab.acme.example, token_file: t }", false },
        { "{ url: \"https://a.example/\", token_file: t }", false },
        { "{ url: \"http://a.example\", token_file: t }", false },
        { "{ url: \"https://a.example\", token_file: \"\" }", false },
        { "{ url: \"https://a.example\", token_file: t, registry: \"a/b\" }", false },
        { "{ url: \"https://a.example\", token_file: t, projects: [acme/payments] }", false },
        { "{ url: \"https://a.example\", token_file: t, projects: [] }", false },
        { "{ url: \"https://a.example\", token_file: t, groups: [\"12\"] }", true },
        { "{ url: \"https://a.example\", token_file: t, groups: [acme] }", false },
        { "{ url: \"https://a.example\", token_file: t, groups: [] }", false },
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *message = fixture_configure(*state, "gitlab", cases[i].yaml);

        if ((message == NULL) != cases[i].is_good)
            fail_msg("%s: %s", cases[i].yaml, message ? message : "taken");
    }
}

/* So that a guardrail against a scope is not passed by a wider one. */
static void a_level_gives_those_below_it_and_a_scope_those_in_it(void **state)
{
    static const struct {
        const char *fields;
        const char *names;
    } cases[] = {
        { GRANT("[write_repository]", "reporter"),
          "read_repository, write_repository, access_level:guest, access_level:planner, "
          "access_level:reporter" },
        { GRANT("[read_api]", "guest"),
          "read_api, read_repository, read_registry, read_virtual_registry, read_package_registry, "
          "access_level:guest" },
        { GRANT("[read_api, api]", "guest"),
          "api, read_api, read_repository, write_repository, read_registry, write_registry, "
          "read_virtual_registry, write_virtual_registry, read_package_registry, "
          "write_package_registry, create_runner, manage_runner, ai_features, k8s_proxy, "
          "access_level:guest" },
        { DEPLOY("[write_registry, read_package_registry]"),
          "write_registry, read_package_registry" },
        { GROUP("scopes: [read_registry], access_level: guest"),
          "token:group, read_registry, access_level:guest" },
    };

    for (size_t i = 0; i < COUNT(cases); i++)
        assert_string_equal(fixture_gives(*state, "gitlab", cases[i].fields, NULL), cases[i].names);
    assert_true(fixture_gives_nothing_without_memory(*state, "gitlab", cases[0].fields));
}

static void only_an_access_token_is_said_to_outlive_its_lease_by_itself(void **state)
{
    struct fixture *fixture = *state;
    const struct policy_grant_kind *kind = &target_kind_find(STR("gitlab"))->grant;

    fixture_fields(fixture, GRANT("[api]", "guest"));
    assert_non_null(strstr(kind->ending_note(fixture->mint.fields), "midnight UTC"));
    fixture_fields(fixture, GROUP("scopes: api, access_level: guest"));
    assert_non_null(strstr(kind->ending_note(fixture->mint.fields), "midnight UTC"));
    fixture_fields(fixture, DEPLOY("[read_registry]"));
    assert_null(kind->ending_note(fixture->mint.fields));
}

static void a_time_is_read_with_the_servers_zone(void **state)
{
    static const struct {
        const char *text;
        int64_t wall_s; /* -1: refused */
    } cases[] = {
        { "2027-01-15", 1799971200 },
        { "2027-01-15T08:00:00Z", 1800000000 },
        { "2027-01-15T08:00:00.000Z", 1800000000 },
        { "2027-01-15T10:00:00.000+02:00", 1800000000 },
        { "2027-01-15T02:30:00-05:30", 1800000000 },
        { "2027-01-15T10:00:00.000+02:0", -1 },
        { "2027-01-15T10:00:00.000+0200", -1 },
        { "2027-01-15T10:00:00.000+24:00", -1 },
        { "2027-01-15T10:00:00.000+02:60", -1 },
        { "2027-01-15T10:00:00.000+a2:00", -1 },
        { "2027-01-15T10:00:00.000Z+02:00", -1 },
        { "2027-01-15T10:00:00.0000000000000+02:00", -1 },
        { "2027-01-15+02:00", -1 },
        { "+02:00", -1 },
        { "", -1 },
        { "never", -1 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t wall_s = -1;
        bool is_read = gitlab_time_parse(str_from(cases[i].text), &wall_s);

        if (is_read != (cases[i].wall_s >= 0) || (is_read && wall_s != cases[i].wall_s))
            fail_msg("%s: %lld", cases[i].text, (long long)wall_s);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_grant_is_a_project_by_id_with_scopes_and_a_level),
        TEST(a_deploy_token_has_scopes_of_its_own_and_no_level),
        TEST(there_is_a_limit_to_each_size),
        TEST(a_target_is_a_server),
        TEST(a_level_gives_those_below_it_and_a_scope_those_in_it),
        TEST(a_group_access_token_is_of_a_group),
        TEST(only_an_access_token_is_said_to_outlive_its_lease_by_itself),
        TEST(a_time_is_read_with_the_servers_zone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
