#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "identity/profile.h"
#include "tests/dev_issuer/claims.h"
#include "tests/test.h"

#define MAIN "../../data/claims/github/main.json"
#define BUILD "../../data/claims/github/build.json"
#define PULL_REQUEST "../../data/claims/github/pull-request.json"
#define NOW_S ((int64_t)1790000600)

static struct claims_recipe recipe_of(const char *file)
{
    return (struct claims_recipe){
        .profile = profile_find(STR("github")),
        .file = file,
        .issuer = STR("http://127.0.0.1:8480"),
        .audience = STR("https://broker.example"),
        .lifetime_s = 300,
    };
}

static json_t *build(const struct claims_recipe *recipe)
{
    struct error error = { 0 };
    json_t *claims = NULL;

    if (!claims_build(recipe, NOW_S, &claims, &error))
        fail_msg("%s", error.cause);
    return claims;
}

static json_t *build_changed(const char *file, enum claims_change_kind kind, const char *name,
                             const char *value)
{
    struct claims_change change = { kind, str_from(name), str_from(value) };
    struct claims_recipe recipe = recipe_of(file);

    recipe.changes = &change;
    recipe.change_count = 1;
    return build(&recipe);
}

static enum error_code refused(const struct claims_recipe *recipe)
{
    struct error error = { 0 };
    json_t *claims = NULL;

    assert_false(claims_build(recipe, NOW_S, &claims, &error));
    assert_null(claims);
    return error.code;
}

static void assert_text(const json_t *claims, const char *name, const char *expected)
{
    const json_t *value = json_object_get(claims, name);

    assert_true(json_is_string(value));
    assert_string_equal(json_string_value(value), expected);
}

static void assert_number(const json_t *claims, const char *name, int64_t expected)
{
    assert_true(json_is_integer(json_object_get(claims, name)));
    assert_int_equal(json_integer_value(json_object_get(claims, name)), expected);
}

static void what_the_ci_system_knows_is_filled_in(void **state)
{
    struct claims_recipe recipe = recipe_of(MAIN);
    JSON_OWNED json_t *claims = build(&recipe);

    (void)state;
    assert_text(claims, "iss", "http://127.0.0.1:8480");
    assert_text(claims, "aud", "https://broker.example");
    assert_number(claims, "iat", NOW_S);
    assert_number(claims, "nbf", NOW_S - 600);
    assert_number(claims, "exp", NOW_S + 300);
    assert_text(claims, "repository_id", "4242");
    assert_text(claims, "environment", "production");
}

/* xxxxxxxx-xxxx-4xxx-[89ab]xxx-xxxxxxxxxxxx */
static void a_jti_is_a_random_uuid(void **state)
{
    struct claims_recipe recipe = recipe_of(MAIN);
    JSON_OWNED json_t *claims = build(&recipe);
    char first[64];
    const char *jti = json_string_value(json_object_get(claims, "jti"));
    struct error error = { 0 };

    (void)state;
    assert_non_null(jti);
    assert_int_equal(strlen(jti), 36);
    assert_true(str_is_made_of(str_from(jti), "0123456789abcdef-"));
    assert_true(jti[8] == '-' && jti[13] == '-' && jti[18] == '-' && jti[23] == '-');
    assert_int_equal(jti[14], '4');
    assert_non_null(strchr("89ab", jti[19]));
    (void)snprintf(first, sizeof(first), "%s", jti);
    assert_true(claims_renew_jti(claims, &error));
    assert_string_not_equal(json_string_value(json_object_get(claims, "jti")), first);
}

/* Each fixture says what the profile says it must, and its subject is what we would compute. */
static void the_fixtures_are_whole(void **state)
{
    static const char *const files[] = { MAIN, BUILD, PULL_REQUEST };
    const struct profile *profile = profile_find(STR("github"));

    (void)state;
    for (size_t i = 0; i < COUNT(files); i++) {
        struct claims_recipe recipe = recipe_of(files[i]);
        struct claims_change same = { CLAIMS_SET, STR("repository"), STR("acme/payments") };
        JSON_OWNED json_t *claims = build(&recipe);
        JSON_OWNED json_t *computed = NULL;
        JSON_OWNED json_t *ci = json_object();

        for (size_t row = 0; row < profile->claims.count; row++)
            if ((profile->claims.rows[row].flags & CLAIM_OPTIONAL) == 0 &&
                json_object_get(claims, profile->claims.rows[row].name) == NULL)
                fail_msg("%s: no %s", files[i], profile->claims.rows[row].name);
        recipe.changes = &same;
        recipe.change_count = 1;
        computed = build(&recipe);
        assert_text(claims, "sub", json_string_value(json_object_get(computed, "sub")));
        assert_text(claims, "repository_owner_id", "918273");
        assert_true(profile->fill_ci(claims, ci));
        assert_text(ci, "runner", "hosted");
    }
}

static void a_subject_follows_the_claims_it_is_made_of(void **state)
{
    static const struct {
        const char *file;
        const char *name;
        const char *value;
        const char *subject;
    } cases[] = {
        { MAIN, "environment", "staging", "repo:acme/payments:environment:staging" },
        { MAIN, "environment", "a:b", "repo:acme/payments:environment:a%3Ab" },
        { MAIN, "environment", "", "repo:acme/payments:ref:refs/heads/main" },
        { MAIN, "repository", "acme/web", "repo:acme/web:environment:production" },
        { BUILD, "ref", "refs/tags/v1", "repo:acme/payments:ref:refs/tags/v1" },
        { BUILD, "event_name", "pull_request", "repo:acme/payments:pull_request" },
        { PULL_REQUEST, "event_name", "push", "repo:acme/payments:ref:refs/pull/17/merge" },
        { MAIN, "sub", "repository_owner:acme", "repository_owner:acme" },
        { MAIN, "actor", "sam", "repo:acme/payments:environment:production" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        JSON_OWNED json_t *claims =
            build_changed(cases[i].file, CLAIMS_SET, cases[i].name, cases[i].value);

        assert_text(claims, "sub", cases[i].subject);
    }
}

static void a_change_counts_more_than_what_is_filled_in(void **state)
{
    JSON_OWNED json_t *expired = build_changed(MAIN, CLAIMS_SET, "exp", "1");
    JSON_OWNED json_t *old = build_changed(MAIN, CLAIMS_SET, "iat", "1000");
    JSON_OWNED json_t *same = build_changed(MAIN, CLAIMS_SET, "jti", "once");
    JSON_OWNED json_t *wrong = build_changed(MAIN, CLAIMS_SET_JSON, "aud", "[\"a\", \"b\"]");
    JSON_OWNED json_t *without = build_changed(MAIN, CLAIMS_UNSET, "jti", "");

    (void)state;
    assert_number(expired, "exp", 1);
    assert_number(expired, "iat", NOW_S);
    assert_number(old, "iat", 1000);
    assert_number(old, "nbf", 400);
    assert_number(old, "exp", 1300);
    assert_text(same, "jti", "once");
    assert_int_equal(json_array_size(json_object_get(wrong, "aud")), 2);
    assert_null(json_object_get(without, "jti"));
}

static void an_unknown_claim_is_text_and_a_later_change_wins(void **state)
{
    struct claims_change changes[] = {
        { CLAIMS_SET, STR("team"), STR("7") },
        { CLAIMS_SET, STR("ref"), STR("refs/heads/a") },
        { CLAIMS_SET, STR("ref"), STR("refs/heads/b") },
        { CLAIMS_SET_JSON, STR("nested"), STR("{\"a\":[1,null]}") },
    };
    struct claims_recipe recipe = recipe_of(NULL);
    JSON_OWNED json_t *claims = NULL;

    (void)state;
    recipe.changes = changes;
    recipe.change_count = COUNT(changes);
    claims = build(&recipe);
    assert_text(claims, "team", "7");
    assert_text(claims, "ref", "refs/heads/b");
    assert_true(json_is_object(json_object_get(claims, "nested")));
    assert_null(json_object_get(claims, "sub")); /* of no repository */
}

static void without_an_audience_github_takes_the_owners_page(void **state)
{
    struct claims_recipe recipe = recipe_of(MAIN);
    JSON_OWNED json_t *claims = NULL;

    (void)state;
    recipe.audience = STR("");
    claims = build(&recipe);
    assert_text(claims, "aud", "https://github.com/acme");
}

static void times_at_the_ends_of_their_range_do_not_overflow(void **state)
{
    JSON_OWNED json_t *last = build_changed(MAIN, CLAIMS_SET, "iat", "9223372036854775807");
    JSON_OWNED json_t *first = build_changed(MAIN, CLAIMS_SET, "iat", "-9223372036854775807");

    (void)state;
    assert_number(last, "exp", INT64_MAX);
    assert_number(first, "nbf", INT64_MIN);
}

static void a_value_of_another_type_is_refused(void **state)
{
    static const struct claims_change changes[] = {
        { CLAIMS_SET, STR_INIT("exp"), STR_INIT("soon") },
        { CLAIMS_SET, STR_INIT("exp"), STR_INIT("") },
        { CLAIMS_SET, STR_INIT("exp"), STR_INIT("1.5") },
        { CLAIMS_SET, STR_INIT("iat"), STR_INIT("9223372036854775808") },
        { CLAIMS_SET, STR_INIT("ref"), STR_INIT("\xff") },
        { CLAIMS_SET, STR_INIT("\xff"), STR_INIT("x") },
        { CLAIMS_SET_JSON, STR_INIT("ref"), STR_INIT("main") },
        { CLAIMS_SET_JSON, STR_INIT("ref"), STR_INIT("") },
        { CLAIMS_SET_JSON, STR_INIT("ref"), STR_INIT("{\"a\":1,\"a\":1}") },
        { CLAIMS_SET_JSON, STR_INIT("ref"), STR_INIT("1 2") },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(changes); i++) {
        struct claims_recipe recipe = recipe_of(MAIN);

        recipe.changes = &changes[i];
        recipe.change_count = 1;
        assert_int_equal(refused(&recipe), ERROR_USAGE);
    }
}

static void a_subject_has_a_longest_length(void **state)
{
    char environment[1100];
    struct claims_change change = { CLAIMS_SET, STR("environment"), STR("") };
    struct claims_recipe recipe = recipe_of(MAIN);
    size_t room = 1024 - (sizeof("repo:acme/payments:environment:") - 1);

    (void)state;
    memset(environment, 'e', sizeof(environment));
    recipe.changes = &change;
    recipe.change_count = 1;
    change.value = (struct str){ environment, room };
    json_decref(build(&recipe));
    change.value.len++;
    assert_int_equal(refused(&recipe), ERROR_SYNTAX);
}

/* A claims file with this text, in a folder of its own. */
static enum error_code code_of_file(const char *text, size_t len)
{
    char folder[] = "/tmp/stagepass-claims-XXXXXX";
    char path[64] = "";
    struct claims_recipe recipe = recipe_of(path);
    struct error error = { 0 };
    JSON_OWNED json_t *claims = NULL;
    bool is_good;

    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/claims.json", folder);
    assert_true(file_replace(path, (struct str){ text, len }, 0600, &error));
    is_good = claims_build(&recipe, NOW_S, &claims, &error);
    assert_int_equal(is_good, error.code == ERROR_NONE);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
    return error.code;
}

static void a_claims_file_is_one_json_object(void **state)
{
    struct claims_recipe missing = recipe_of("/nowhere/claims.json");

    (void)state;
    assert_int_equal(refused(&missing), ERROR_IO);
    assert_int_equal(code_of_file("{}", 2), ERROR_NONE);
    assert_int_equal(code_of_file("[]", 2), ERROR_SYNTAX);
    assert_int_equal(code_of_file("", 0), ERROR_SYNTAX);
    assert_int_equal(code_of_file("{} {}", 5), ERROR_SYNTAX);
    assert_int_equal(code_of_file("{\"a\":1,\"a\":2}", 13), ERROR_SYNTAX);
}

static void a_claims_file_has_a_largest_size(void **state)
{
    static char text[CLAIMS_FILE_MAX + 1];

    (void)state;
    memset(text, ' ', sizeof(text));
    text[0] = '{';
    text[1] = '}';
    assert_int_equal(code_of_file(text, CLAIMS_FILE_MAX), ERROR_NONE);
    assert_int_equal(code_of_file(text, CLAIMS_FILE_MAX + 1), ERROR_LIMIT);
}

struct platform_row {
    const char *profile;
    const char *file;
    const char *audience; /* JSON */
    int64_t not_before_s; /* before iat; -1: there is none */
    int64_t lifetime_s;
    bool has_jti;
};

#define CLAIMS "../../data/claims/"
#define OURS "\"https://broker.example\""

static const struct platform_row platform_rows[] = {
    { "github", "github/build", OURS, 600, 300, true },
    { "gitlab", "gitlab/push", OURS, 5, 3600, true },
    { "jenkins", "jenkins/build", "[" OURS "]", -1, 3600, false },
    { "circleci", "circleci/push", OURS, -1, 3600, false },
    { "buildkite", "buildkite/webhook", OURS, 0, 300, false },
    { "bitbucket", "bitbucket/push",
      "[\"ari:cloud:bitbucket::workspace/{6d0c1f6e-2b1a-4c7e-9a53-0c1d2e3f4a5b}\"," OURS "]", -1,
      3600, false },
    { "azure-devops", "azure-devops/push", "\"api://AzureADTokenExchange\"", 600, 300, true },
    { "terraform", "terraform/apply", OURS, 5, 7200, true },
    { "kubernetes", "kubernetes/runner-pod", "[" OURS "]", 0, 3600, true },
    { "spiffe", "spiffe/workload", "[" OURS "]", -1, 300, true },
    { "google", "google/build-account", OURS, -1, 3600, false },
    { "aws", "aws/role", OURS, -1, 300, true },
    { "harness", "harness/pipeline", OURS, -1, 3600, false },
    { "semaphore", "semaphore/push", "\"http://127.0.0.1:8480\"", 0, 86400, true },
    { "codefresh", "codefresh/push", "\"https://g.codefresh.io\"", -1, 300, false },
    { "forgejo", "forgejo/push", OURS, 0, 3600, false },
    { "generic", "generic/build", OURS, 600, 300, true },
};

static void assert_platform(const struct platform_row *row)
{
    char file[128] = "";
    struct claims_recipe recipe = recipe_of(file);
    JSON_OWNED json_t *audience = json_loads(row->audience, JSON_DECODE_ANY, NULL);
    JSON_OWNED json_t *claims = NULL;

    (void)snprintf(file, sizeof(file), CLAIMS "%s.json", row->file);
    recipe.profile = profile_find(str_from(row->profile));
    recipe.lifetime_s = 0;
    claims = build(&recipe);
    if (!json_equal(json_object_get(claims, "aud"), audience))
        fail_msg("%s: aud", row->profile);
    assert_number(claims, "exp", NOW_S + row->lifetime_s);
    if (row->not_before_s >= 0)
        assert_number(claims, "nbf", NOW_S - row->not_before_s);
    else
        assert_null(json_object_get(claims, "nbf"));
    assert_int_equal(json_object_get(claims, "jti") != NULL, row->has_jti);
    for (size_t i = 0; i < recipe.profile->claims.count; i++) {
        const struct claim *claim = &recipe.profile->claims.rows[i];
        const json_t *value = claim_value(claims, claim->name);

        if ((claim->flags & (CLAIM_OPTIONAL | CLAIM_PREFIX)) == 0 && value == NULL)
            fail_msg("%s: no %s", row->profile, claim->name);
        if (value != NULL && !claim_has_type(value, claim->type))
            fail_msg("%s: %s has another type", row->profile, claim->name);
    }
}

static void each_platform_has_tokens_of_its_own_form(void **state)
{
    size_t count = 0;

    (void)state;
    for (size_t i = 0; i < COUNT(platform_rows); i++)
        assert_platform(&platform_rows[i]);
    while (profile_names()[count] != NULL)
        count++;
    assert_int_equal(count, COUNT(platform_rows));
}

static void what_is_within_an_object_is_changed_by_its_pointer(void **state)
{
    static const struct claims_change changes[] = {
        { CLAIMS_SET, STR_INIT("/kubernetes.io/namespace"), STR_INIT("other") },
        { CLAIMS_SET_JSON, STR_INIT("/kubernetes.io/warnafter"), STR_INIT("7") },
        { CLAIMS_UNSET, STR_INIT("/kubernetes.io/serviceaccount/uid"), STR_INIT("") },
    };
    struct claims_recipe recipe = recipe_of(CLAIMS "kubernetes/runner-pod.json");
    JSON_OWNED json_t *claims = NULL;

    (void)state;
    recipe.profile = profile_find(STR("kubernetes"));
    recipe.changes = changes;
    recipe.change_count = COUNT(changes);
    claims = build(&recipe);
    assert_string_equal(json_string_value(claim_value(claims, "/kubernetes.io/namespace")),
                        "other");
    assert_int_equal(json_integer_value(claim_value(claims, "/kubernetes.io/warnafter")), 7);
    assert_true(json_is_null(claim_value(claims, "/kubernetes.io/serviceaccount/uid")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_ci_system_knows_is_filled_in),
        cmocka_unit_test(a_jti_is_a_random_uuid),
        cmocka_unit_test(the_fixtures_are_whole),
        cmocka_unit_test(a_subject_follows_the_claims_it_is_made_of),
        cmocka_unit_test(a_change_counts_more_than_what_is_filled_in),
        cmocka_unit_test(an_unknown_claim_is_text_and_a_later_change_wins),
        cmocka_unit_test(without_an_audience_github_takes_the_owners_page),
        cmocka_unit_test(times_at_the_ends_of_their_range_do_not_overflow),
        cmocka_unit_test(a_value_of_another_type_is_refused),
        cmocka_unit_test(a_subject_has_a_longest_length),
        cmocka_unit_test(a_claims_file_is_one_json_object),
        cmocka_unit_test(a_claims_file_has_a_largest_size),
        cmocka_unit_test(each_platform_has_tokens_of_its_own_form),
        cmocka_unit_test(what_is_within_an_object_is_changed_by_its_pointer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
