#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "clients/answer.h"
#include "clients/environment.h"
#include "help.h"
#include "tests/assert_str.h"
#include "tests/test.h"

static struct credential jwt(const char *grant, const char *token)
{
    return (struct credential){ .grant = str_from(grant),
                                .type = CREDENTIAL_JWT,
                                .token = str_from(token) };
}

static struct credential aws(const char *grant, const char *region)
{
    return (struct credential){ .grant = str_from(grant),
                                .type = CREDENTIAL_AWS,
                                .access_key_id = STR("ASIA1"),
                                .secret_access_key = STR("secret"),
                                .session_token = STR("session"),
                                .region = str_from(region) };
}

static struct answer answer_with(struct credential first, struct credential second)
{
    return (struct answer){
        .lease = STR("01ARYZ6S41TSV4RRFFQ69G5FAV"),
        .stage = STR("acme/payments:build"),
        .access_token = STR("a.b.c"),
        .token_type = STR("DPoP"),
        .credentials = { first, second },
        .credential_count = second.grant.len > 0 ? 2 : 1,
    };
}

/* The value of a variable in a list of "NAME=value", or NULL. */
static const char *value_of(char **list, const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; list[i]; i++)
        if (strncmp(list[i], name, len) == 0 && list[i][len] == '=')
            return list[i] + len + 1;
    return NULL;
}

static char **build(const struct answer *answer, char *const *inherited)
{
    struct environment environment = { .arena = arena };
    struct error error = { 0 };
    char **list;

    assert_true(environment_add_answer(&environment, answer, &error));
    list = environment_build(&environment, inherited);
    assert_non_null(list);
    return list;
}

static void a_jwt_is_named_after_its_grant(void **state)
{
    struct answer answer = answer_with(jwt("artifact-store", "d.e.f"), (struct credential){ 0 });
    char *inherited[] = { NULL };
    char **list = build(&answer, inherited);

    (void)state;
    assert_string_equal(value_of(list, "STAGEPASS_ARTIFACT_STORE_TOKEN"), "d.e.f");
    assert_string_equal(value_of(list, "STAGEPASS_LEASE"), "01ARYZ6S41TSV4RRFFQ69G5FAV");
    assert_string_equal(value_of(list, "STAGEPASS_STAGE"), "acme/payments:build");
    assert_string_equal(value_of(list, "STAGEPASS_ACCESS_TOKEN"), "a.b.c");
    assert_string_equal(value_of(list, "STAGEPASS_TOKEN_TYPE"), "DPoP");
}

static void one_aws_grant_fills_the_variables(void **state)
{
    struct answer answer = answer_with(aws("site", "eu-central-1"), (struct credential){ 0 });
    char *inherited[] = { NULL };
    char **list = build(&answer, inherited);

    (void)state;
    assert_string_equal(value_of(list, "AWS_ACCESS_KEY_ID"), "ASIA1");
    assert_string_equal(value_of(list, "AWS_SECRET_ACCESS_KEY"), "secret");
    assert_string_equal(value_of(list, "AWS_SESSION_TOKEN"), "session");
    assert_string_equal(value_of(list, "AWS_REGION"), "eu-central-1");
    assert_string_equal(value_of(list, "AWS_DEFAULT_REGION"), "eu-central-1");
}

static struct credential gcp(const char *grant, const char *project)
{
    return (struct credential){ .grant = str_from(grant),
                                .type = CREDENTIAL_GCP,
                                .token = STR("ya29.a"),
                                .project = str_from(project) };
}

static void one_gcp_grant_fills_what_its_tools_read(void **state)
{
    struct answer answer = answer_with(gcp("site", "acme-prod"), (struct credential){ 0 });
    char *inherited[] = { NULL };
    char **list = build(&answer, inherited);

    (void)state;
    assert_string_equal(value_of(list, "STAGEPASS_SITE_TOKEN"), "ya29.a");
    assert_string_equal(value_of(list, "CLOUDSDK_AUTH_ACCESS_TOKEN"), "ya29.a");
    assert_string_equal(value_of(list, "GOOGLE_OAUTH_ACCESS_TOKEN"), "ya29.a");
    assert_string_equal(value_of(list, "CLOUDSDK_CORE_PROJECT"), "acme-prod");
    assert_string_equal(value_of(list, "GOOGLE_CLOUD_PROJECT"), "acme-prod");
}

static void several_gcp_grants_are_told_apart_by_their_names(void **state)
{
    struct answer answer = answer_with(gcp("site", "a"), gcp("logs", ""));
    char *inherited[] = { NULL };
    char **list = build(&answer, inherited);

    (void)state;
    assert_string_equal(value_of(list, "STAGEPASS_SITE_TOKEN"), "ya29.a");
    assert_string_equal(value_of(list, "STAGEPASS_LOGS_TOKEN"), "ya29.a");
    assert_null(value_of(list, "CLOUDSDK_AUTH_ACCESS_TOKEN"));
    assert_null(value_of(list, "GOOGLE_CLOUD_PROJECT"));
}

static void an_azure_grant_says_whose_token_it_is(void **state)
{
    struct credential azure = { .grant = STR("arm"),
                                .type = CREDENTIAL_AZURE,
                                .token = STR("d.e.f"),
                                .client_id = STR("0f8f"),
                                .tenant_id = STR("7c9e") };
    struct answer answer = answer_with(azure, gcp("site", ""));
    char project[] = "GOOGLE_CLOUD_PROJECT=mine";
    char *inherited[] = { project, NULL };
    char **list = build(&answer, inherited);

    (void)state;
    assert_string_equal(value_of(list, "STAGEPASS_ARM_TOKEN"), "d.e.f");
    assert_string_equal(value_of(list, "AZURE_ACCESS_TOKEN"), "d.e.f");
    assert_string_equal(value_of(list, "AZURE_CLIENT_ID"), "0f8f");
    assert_string_equal(value_of(list, "AZURE_TENANT_ID"), "7c9e");
    assert_string_equal(value_of(list, "GOOGLE_CLOUD_PROJECT"), "mine");
}

static void a_vault_grant_says_where_its_token_is_good(void **state)
{
    struct credential vault = { .grant = STR("kv"),
                                .type = CREDENTIAL_VAULT,
                                .token = STR("hvs.a"),
                                .address = STR("https://vault.acme.example"),
                                .space = STR("teams/payments") };
    struct answer answer = answer_with(vault, gcp("site", ""));
    char *inherited[] = { NULL };
    char **list = build(&answer, inherited);

    (void)state;
    assert_string_equal(value_of(list, "STAGEPASS_KV_TOKEN"), "hvs.a");
    assert_string_equal(value_of(list, "VAULT_TOKEN"), "hvs.a");
    assert_string_equal(value_of(list, "VAULT_ADDR"), "https://vault.acme.example");
    assert_string_equal(value_of(list, "VAULT_NAMESPACE"), "teams/payments");
}

static struct credential github(const char *grant, const char *host)
{
    return (struct credential){ .grant = str_from(grant),
                                .type = CREDENTIAL_GITHUB,
                                .token = STR("ghs_a"),
                                .host = str_from(host) };
}

static void a_github_grant_is_where_gh_looks_for_this_host(void **state)
{
    static const struct {
        const char *host;
        const char *gh;
        const char *github;
        const char * not ;
        bool has_host;
    } cases[] = {
        { "github.com", "GH_TOKEN", "GITHUB_TOKEN", "GH_ENTERPRISE_TOKEN", false },
        { "acme.ghe.com", "GH_TOKEN", "GITHUB_TOKEN", "GH_ENTERPRISE_TOKEN", true },
        { "ghes.acme.example", "GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN", "GH_TOKEN", true },
    };
    char *inherited[] = { NULL };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct answer answer = answer_with(github("repo", cases[i].host), gcp("site", ""));
        char **list = build(&answer, inherited);

        assert_string_equal(value_of(list, "STAGEPASS_REPO_TOKEN"), "ghs_a");
        assert_string_equal(value_of(list, cases[i].gh), "ghs_a");
        assert_string_equal(value_of(list, cases[i].github), "ghs_a");
        assert_null(value_of(list, cases[i].not ));
        if (cases[i].has_host)
            assert_string_equal(value_of(list, "GH_HOST"), cases[i].host);
        else
            assert_null(value_of(list, "GH_HOST"));
    }
}

static void several_github_grants_are_told_apart_by_their_names(void **state)
{
    struct answer answer = answer_with(github("a", "github.com"), github("b", "github.com"));
    char *inherited[] = { NULL };
    char **list = build(&answer, inherited);

    (void)state;
    assert_string_equal(value_of(list, "STAGEPASS_A_TOKEN"), "ghs_a");
    assert_string_equal(value_of(list, "STAGEPASS_B_TOKEN"), "ghs_a");
    assert_null(value_of(list, "GH_TOKEN"));
}

static struct credential gitlab(const char *grant, const char *token_kind)
{
    return (struct credential){ .grant = str_from(grant),
                                .type = CREDENTIAL_GITLAB,
                                .token = STR("glpat-a"),
                                .token_kind = str_from(token_kind),
                                .user = STR("somebody"),
                                .host = STR("gitlab.acme.example") };
}

static void a_project_access_token_is_where_glab_looks(void **state)
{
    struct answer answer = answer_with(gitlab("repo", "project"), gitlab("images", "deploy"));
    char *inherited[] = { NULL };
    char **list = build(&answer, inherited);

    (void)state;
    assert_string_equal(value_of(list, "STAGEPASS_REPO_TOKEN"), "glpat-a");
    assert_string_equal(value_of(list, "STAGEPASS_REPO_USERNAME"), "somebody");
    assert_string_equal(value_of(list, "GITLAB_TOKEN"), "glpat-a");
    assert_string_equal(value_of(list, "GITLAB_HOST"), "gitlab.acme.example");
    assert_string_equal(value_of(list, "STAGEPASS_IMAGES_USERNAME"), "somebody");
    assert_string_equal(value_of(list, "CI_DEPLOY_USER"), "somebody");
    assert_string_equal(value_of(list, "CI_DEPLOY_PASSWORD"), "glpat-a");
}

static void a_group_access_token_is_where_a_projects_is(void **state)
{
    struct answer answer = answer_with(gitlab("repos", "group"), gitlab("images", "deploy"));
    struct answer two = answer_with(gitlab("repos", "group"), gitlab("repo", "project"));
    struct answer later = answer_with(gitlab("repos", "a later one"), gitlab("images", "deploy"));
    char *inherited[] = { NULL };
    char **list = build(&answer, inherited);

    (void)state;
    assert_string_equal(value_of(list, "GITLAB_TOKEN"), "glpat-a");
    assert_string_equal(value_of(list, "CI_DEPLOY_PASSWORD"), "glpat-a");
    assert_null(value_of(build(&two, inherited), "GITLAB_TOKEN"));
    assert_null(value_of(build(&later, inherited), "GITLAB_TOKEN"));
}

static void several_gitlab_grants_of_a_kind_are_told_apart_by_their_names(void **state)
{
    static const char *const kinds[] = { "project", "deploy", "group", "a later one" };
    char *inherited[] = { NULL };

    (void)state;
    for (size_t i = 0; i < COUNT(kinds); i++) {
        struct answer answer = answer_with(gitlab("a", kinds[i]), gitlab("b", kinds[i]));
        char **list = build(&answer, inherited);

        assert_string_equal(value_of(list, "STAGEPASS_A_TOKEN"), "glpat-a");
        assert_string_equal(value_of(list, "STAGEPASS_B_TOKEN"), "glpat-a");
        assert_null(value_of(list, "GITLAB_TOKEN"));
        assert_null(value_of(list, "CI_DEPLOY_PASSWORD"));
    }
}

/* The helper that git is told of at last, or NULL; and the number of settings. */
static const char *git_helper(const struct answer *answer, const char **total)
{
    struct environment environment = { .arena = arena };
    struct error error = { 0 };
    char *inherited[] = { NULL };
    char **list;

    assert_true(environment_add_git(&environment, answer, NULL, &error));
    list = environment_build(&environment, inherited);
    *total = value_of(list, "GIT_CONFIG_COUNT");
    return value_of(list, *total && strcmp(*total, "4") == 0 ? "GIT_CONFIG_VALUE_3"
                                                             : "GIT_CONFIG_VALUE_1");
}

static void git_gets_the_token_that_acts_in_the_project(void **state)
{
    struct answer answers[] = {
        answer_with(gitlab("repo", "project"), gitlab("images", "deploy")),
        answer_with(gitlab("images", "deploy"), gcp("site", "")),
        answer_with(github("hub", "github.com"), gitlab("repo", "project")),
        answer_with(gitlab("a", "project"), gitlab("b", "project")),
        answer_with(gitlab("a", "deploy"), gitlab("b", "deploy")),
    };
    static const struct {
        const char *variables; /* NULL: git is told of nothing */
        const char *total;
    } told[] = {
        { "\"$STAGEPASS_REPO_USERNAME\" \"$STAGEPASS_REPO_TOKEN\"", "2" },
        { "\"$STAGEPASS_IMAGES_USERNAME\" \"$STAGEPASS_IMAGES_TOKEN\"", "2" },
        { "\"$STAGEPASS_REPO_USERNAME\" \"$STAGEPASS_REPO_TOKEN\"", "4" },
        { NULL, NULL },
        { NULL, NULL },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(answers); i++) {
        const char *total;
        const char *helper = git_helper(&answers[i], &total);

        if (!told[i].total) {
            assert_null(total);
            continue;
        }
        assert_string_equal(total, told[i].total);
        assert_non_null(strstr(helper, told[i].variables));
        assert_null(strstr(helper, "glpat-a"));
    }
}

static void git_is_told_behind_what_it_was_told_already(void **state)
{
    static const struct {
        const char *inherited;
        const char *key;
        const char *total; /* NULL: refused */
    } cases[] = {
        { NULL, "GIT_CONFIG_KEY_1", "2" },
        { "", "GIT_CONFIG_KEY_1", "2" },
        { "0", "GIT_CONFIG_KEY_1", "2" },
        { "3", "GIT_CONFIG_KEY_4", "5" },
        { "1000", "GIT_CONFIG_KEY_1001", "1002" },
        { "1001", NULL, NULL },
        { "-1", NULL, NULL },
        { "many", NULL, NULL },
    };
    const struct answer repo = answer_with(github("re-po", "github.com"), gcp("site", ""));
    char *inherited[] = { NULL };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct environment environment = { .arena = arena };
        struct error error = { 0 };
        bool is_good = environment_add_git(&environment, &repo, cases[i].inherited, &error);
        char **list;

        assert_int_equal(is_good, cases[i].total != NULL);
        if (!is_good)
            continue;
        list = environment_build(&environment, inherited);
        assert_string_equal(value_of(list, "GIT_CONFIG_COUNT"), cases[i].total);
        assert_string_equal(value_of(list, cases[i].key), "credential.https://github.com.helper");
        for (size_t j = 0; list[j]; j++)
            assert_null(strstr(list[j], "ghs_a"));
    }
}

static void a_host_that_is_none_gets_into_no_setting(void **state)
{
    static const char *const hosts[] = { "a b", "a/b", "a\"", "a;b", "a\\b" };

    (void)state;
    for (size_t i = 0; i < COUNT(hosts); i++) {
        const struct answer repo = answer_with(github("repo", hosts[i]), gcp("site", ""));
        struct environment environment = { .arena = arena };
        struct error error = { 0 };

        assert_false(environment_add_git(&environment, &repo, NULL, &error));
        assert_int_equal(environment.added_count, 0);
    }
}

static struct credential postgres(const char *grant, const char *password, const char *sslmode)
{
    return (struct credential){ .grant = str_from(grant),
                                .type = CREDENTIAL_POSTGRES,
                                .host = STR("db.acme.example"),
                                .port = STR("5433"),
                                .database = STR("orders"),
                                .user = STR("stagepass_x"),
                                .password = str_from(password),
                                .sslmode = str_from(sslmode) };
}

static void a_postgres_grant_is_where_libpq_looks(void **state)
{
    const struct postgres_files files = { STR("/w/ca"), STR("/w/crt"), STR("/w/key") };
    const struct credential credential = postgres("db", "secret", "verify-full");
    struct environment environment = { .arena = arena, .hidden = environment_of_libpq };
    char address[] = "PGHOSTADDR=192.0.2.1";
    char service[] = "PGSERVICE=other";
    char options[] = "PGOPTIONS=-c work_mem=1GB";
    char *inherited[] = { address, service, options, NULL };
    struct error error = { 0 };
    char **list;

    (void)state;
    assert_true(environment_add_postgres(&environment, &credential, &files, &error));
    list = environment_build(&environment, inherited);
    assert_string_equal(value_of(list, "PGHOST"), "db.acme.example");
    assert_string_equal(value_of(list, "PGPORT"), "5433");
    assert_string_equal(value_of(list, "PGDATABASE"), "orders");
    assert_string_equal(value_of(list, "PGUSER"), "stagepass_x");
    assert_string_equal(value_of(list, "PGPASSWORD"), "secret");
    assert_string_equal(value_of(list, "PGSSLMODE"), "verify-full");
    assert_string_equal(value_of(list, "PGSSLROOTCERT"), "/w/ca");
    assert_string_equal(value_of(list, "PGSSLCERT"), "/w/crt");
    assert_string_equal(value_of(list, "PGSSLKEY"), "/w/key");
    assert_null(value_of(list, "PGHOSTADDR"));
    assert_null(value_of(list, "PGSERVICE"));
    assert_string_equal(value_of(list, "PGOPTIONS"), "-c work_mem=1GB");
}

static void what_a_postgres_grant_does_not_have_is_not_said(void **state)
{
    const struct postgres_files none = { 0 };
    const struct credential credential = postgres("db", "", "");
    struct environment environment = { .arena = arena, .hidden = environment_of_libpq };
    char password[] = "PGPASSWORD=the runner's";
    char mode[] = "PGSSLMODE=disable";
    char *inherited[] = { password, mode, NULL };
    struct error error = { 0 };
    char **list;

    (void)state;
    assert_true(environment_add_postgres(&environment, &credential, &none, &error));
    list = environment_build(&environment, inherited);
    assert_null(value_of(list, "PGPASSWORD"));
    assert_null(value_of(list, "PGSSLMODE"));
    assert_null(value_of(list, "PGSSLCERT"));
}

static void several_postgres_grants_are_services(void **state)
{
    const struct postgres_files files = { .ca = STR("/w/ca") };
    const struct postgres_files none = { 0 };
    const struct credential first = postgres("db", "secret", "verify-full");
    const struct credential second = postgres("stock", "other", "");
    OWNED(buf_release) struct buf text = { 0 };

    (void)state;
    buf_init(&text, 4096);
    environment_add_service(&text, &first, &files);
    environment_add_service(&text, &second, &none);
    assert_str(buf_str(&text),
               "[db]\nhost=db.acme.example\nport=5433\ndbname=orders\nuser=stagepass_x\n"
               "password=secret\nsslmode=verify-full\nsslrootcert=/w/ca\n\n"
               "[stock]\nhost=db.acme.example\nport=5433\ndbname=orders\nuser=stagepass_x\n"
               "password=other\n\n");
}

static void a_region_that_is_not_said_is_left_as_it_was(void **state)
{
    struct answer answer = answer_with(aws("site", ""), (struct credential){ 0 });
    char region[] = "AWS_REGION=us-east-1";
    char *inherited[] = { region, NULL };

    (void)state;
    assert_string_equal(value_of(build(&answer, inherited), "AWS_REGION"), "us-east-1");
}

static void several_aws_grants_are_profiles(void **state)
{
    struct answer answer = answer_with(aws("site", "eu-central-1"), aws("logs", ""));
    char *inherited[] = { NULL };

    (void)state;
    assert_null(value_of(build(&answer, inherited), "AWS_ACCESS_KEY_ID"));
    assert_str(environment_aws_profiles(&answer, arena),
               "[site]\naws_access_key_id = ASIA1\naws_secret_access_key = secret\n"
               "aws_session_token = session\nregion = eu-central-1\n\n"
               "[logs]\naws_access_key_id = ASIA1\naws_secret_access_key = secret\n"
               "aws_session_token = session\n\n");
}

static void what_was_inherited_gives_way_and_the_identity_stays_behind(void **state)
{
    struct answer answer = answer_with(jwt("api", "d.e.f"), (struct credential){ 0 });
    char old[] = "STAGEPASS_API_TOKEN=old";
    char token[] = "STAGEPASS_ID_TOKEN=x.y.z";
    char handle[] = "STAGEPASS_LEASE_HANDLE=h";
    char path[] = "PATH=/bin";
    char odd[] = "NO_EQUALS";
    char *inherited[] = { old, token, handle, path, odd, NULL };
    char **list = build(&answer, inherited);
    size_t count = 0;

    (void)state;
    for (size_t i = 0; list[i]; i++)
        count += strncmp(list[i], "STAGEPASS_API_TOKEN=", 20) == 0;
    assert_int_equal(count, 1);
    assert_string_equal(value_of(list, "STAGEPASS_API_TOKEN"), "d.e.f");
    assert_null(value_of(list, "STAGEPASS_ID_TOKEN"));
    assert_null(value_of(list, "STAGEPASS_LEASE_HANDLE"));
    assert_string_equal(value_of(list, "PATH"), "/bin");
    assert_ptr_equal(list[1], odd);
}

static void a_grant_that_would_take_a_name_of_ours_is_refused(void **state)
{
    struct environment environment = { .arena = arena };
    struct answer answer = answer_with(jwt("access", "d.e.f"), (struct credential){ 0 });
    struct error error = { 0 };

    (void)state;
    assert_false(environment_add_answer(&environment, &answer, &error));
    assert_int_equal(error.code, ERROR_INVALID);
    assert_non_null(strstr(error.cause, "STAGEPASS_ACCESS_TOKEN"));
}

static void a_line_end_gets_into_no_variable(void **state)
{
    static const char *const cases[] = { "a\nb", "a\rb", "\n", "a\033[2J" };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct environment environment = { .arena = arena };
        struct error error = { 0 };

        assert_false(environment_add(&environment, STR("NAME"), str_from(cases[i]), true, &error));
        assert_int_equal(error.code, ERROR_INVALID);
        assert_int_equal(environment.added_count, 0);
    }
}

static void a_nul_gets_into_no_variable(void **state)
{
    struct environment environment = { .arena = arena };
    struct error error = { 0 };

    (void)state;
    assert_false(environment_add(&environment, STR("NAME"), STR("a\0b"), true, &error));
}

static void so_many_variables_are_taken_and_no_more(void **state)
{
    struct environment environment = { .arena = arena };
    struct error error = { 0 };
    char name[16];

    (void)state;
    for (int i = 0; i < ENVIRONMENT_ADDED_MAX; i++) {
        (void)snprintf(name, sizeof(name), "N%d", i);
        assert_true(environment_add(&environment, str_from(name), STR("x"), false, &error));
    }
    assert_false(environment_add(&environment, STR("ONE_MORE"), STR("x"), false, &error));
    assert_int_equal(error.code, ERROR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_jwt_is_named_after_its_grant),
        cmocka_unit_test(one_aws_grant_fills_the_variables),
        cmocka_unit_test(one_gcp_grant_fills_what_its_tools_read),
        cmocka_unit_test(several_gcp_grants_are_told_apart_by_their_names),
        cmocka_unit_test(an_azure_grant_says_whose_token_it_is),
        cmocka_unit_test(a_vault_grant_says_where_its_token_is_good),
        cmocka_unit_test(a_github_grant_is_where_gh_looks_for_this_host),
        cmocka_unit_test(several_github_grants_are_told_apart_by_their_names),
        cmocka_unit_test(a_project_access_token_is_where_glab_looks),
        cmocka_unit_test(a_group_access_token_is_where_a_projects_is),
        cmocka_unit_test(several_gitlab_grants_of_a_kind_are_told_apart_by_their_names),
        cmocka_unit_test(git_gets_the_token_that_acts_in_the_project),
        cmocka_unit_test(git_is_told_behind_what_it_was_told_already),
        cmocka_unit_test(a_host_that_is_none_gets_into_no_setting),
        cmocka_unit_test(a_postgres_grant_is_where_libpq_looks),
        cmocka_unit_test(what_a_postgres_grant_does_not_have_is_not_said),
        cmocka_unit_test(several_postgres_grants_are_services),
        cmocka_unit_test(a_region_that_is_not_said_is_left_as_it_was),
        cmocka_unit_test(several_aws_grants_are_profiles),
        cmocka_unit_test(what_was_inherited_gives_way_and_the_identity_stays_behind),
        cmocka_unit_test(a_grant_that_would_take_a_name_of_ours_is_refused),
        cmocka_unit_test(a_line_end_gets_into_no_variable),
        cmocka_unit_test(a_nul_gets_into_no_variable),
        cmocka_unit_test(so_many_variables_are_taken_and_no_more),
    };

    return cmocka_run_group_tests(tests, make_arena, free_arena);
}
