#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "identity/profile.h"
#include "keys/verifier.h"
#include "tests/test.h"

static json_t *fill(const char *profile, const char *claims)
{
    json_t *from = json_loads(claims, 0, NULL);
    json_t *ci = json_object();

    assert_non_null(from);
    assert_true(profile_find(str_from(profile))->fill_ci(from, ci));
    json_decref(from);
    return ci;
}

static const char *describe(const json_t *value)
{
    if (value == NULL)
        return "absent";
    if (json_is_null(value))
        return "null";
    if (json_is_boolean(value))
        return json_is_true(value) ? "true" : "false";
    return json_is_string(value) ? json_string_value(value) : "of another type";
}

/* What `fact` becomes: its text, "true", "false", "null", or "absent". */
static void assert_fact(const char *profile, const char *claims, const char *fact,
                        const char *expected)
{
    json_t *ci = fill(profile, claims);
    const char *found = describe(json_object_get(ci, fact));

    if (strcmp(found, expected) != 0)
        fail_msg("%s of %s: \"%s\", not \"%s\"", fact, claims, found, expected);
    json_decref(ci);
}

struct row {
    const char *claims;
    const char *fact;
    const char *expected;
};

static const struct row github_rows[] = {
    { "{\"run_id\":\"99\"}", "run", "99" },
    { "{\"run_attempt\":\"2\"}", "attempt", "2" },
    { "{\"check_run_id\":\"31\"}", "job", "31" },
    { "{}", "job", "null" },
    { "{\"repository\":\"acme/payments\"}", "repository", "acme/payments" },
    { "{\"repository_id\":\"5\"}", "repository_id", "5" },
    { "{\"repository_owner\":\"acme\"}", "owner", "acme" },
    { "{\"repository_owner_id\":\"6\"}", "owner_id", "6" },
    { "{\"ref\":\"refs/heads/main\"}", "ref", "refs/heads/main" },
    { "{\"ref\":\"\"}", "ref", "null" },
    { "{\"ref\":null}", "ref", "null" },
    { "{\"ref_type\":\"tag\"}", "ref_type", "tag" },
    { "{\"sha\":\"5b1c\"}", "commit", "5b1c" },
    { "{\"workflow\":\"release\"}", "workflow", "release" },
    { "{\"job_workflow_sha\":\"77aa\"}", "workflow_commit", "77aa" },
    { "{\"actor\":\"rina\"}", "actor", "rina" },
    { "{\"actor_id\":\"4411\"}", "actor_id", "4411" },
    { "{\"event_name\":\"push\"}", "event", "push" },

    { "{\"environment\":\"production\"}", "environment", "production" },
    { "{}", "environment", "absent" },
    { "{\"environment\":\"\"}", "environment", "absent" },
    { "{\"environment\":\"production\"}", "environment_protected", "null" },

    { "{\"ref_protected\":\"true\"}", "ref_protected", "true" },
    { "{\"ref_protected\":\"false\"}", "ref_protected", "false" },
    { "{\"ref_protected\":\"True\"}", "ref_protected", "null" },
    { "{\"ref_protected\":\"\"}", "ref_protected", "null" },
    { "{}", "ref_protected", "null" },

    { "{\"runner_environment\":\"github-hosted\"}", "runner", "hosted" },
    { "{\"runner_environment\":\"self-hosted\"}", "runner", "self-hosted" },
    { "{\"runner_environment\":\"GitHub-hosted\"}", "runner", "null" },
    { "{}", "runner", "null" },
    { "{}", "debug", "null" },

    { "{\"event_name\":\"push\",\"ref\":\"refs/heads/main\"}", "pull_request", "false" },
    { "{\"event_name\":\"push\",\"ref\":\"refs/heads/main\"}", "fork", "false" },
    { "{\"event_name\":\"pull_request\"}", "pull_request", "true" },
    { "{\"event_name\":\"pull_request\"}", "fork", "null" },
    { "{\"event_name\":\"pull_request_target\",\"ref\":\"refs/heads/main\"}", "pull_request",
      "true" },
    { "{\"event_name\":\"push\",\"ref\":\"refs/pull/7/merge\"}", "pull_request", "true" },
    { "{\"event_name\":\"push\",\"ref\":\"refs/pull/7/merge\"}", "fork", "null" },
    { "{\"event_name\":\"push\",\"head_ref\":\"main\"}", "pull_request", "true" },
    { "{\"event_name\":\"push\",\"head_ref\":\"\"}", "pull_request", "false" },
    { "{\"event_name\":\"issue_comment\"}", "pull_request", "null" },
    { "{\"event_name\":\"workflow_run\"}", "pull_request", "null" },
    { "{\"event_name\":\"workflow_run\"}", "fork", "null" },
    { "{\"event_name\":\"of tomorrow\"}", "pull_request", "null" },
    { "{}", "pull_request", "null" },
};

static void github_claims_become_facts(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(github_rows); i++)
        assert_fact("github", github_rows[i].claims, github_rows[i].fact, github_rows[i].expected);
}

struct workflow_row {
    const char *claims;
    const char *repository;
    const char *path;
    const char *ref;
};

#define WORKFLOW(text) "{\"job_workflow_ref\":\"" text "\"}"

static const struct workflow_row workflow_rows[] = {
    { WORKFLOW("acme/ci/.github/workflows/deploy.yml@refs/tags/v3"), "acme/ci",
      ".github/workflows/deploy.yml", "refs/tags/v3" },
    { WORKFLOW("acme/ci/.github/workflows/deploy.yaml@refs/heads/main"), "acme/ci",
      ".github/workflows/deploy.yaml", "refs/heads/main" },
    { WORKFLOW("acme/ci/.github/workflows/deploy.yml@refs/tags/@acme/web@1.0"), "acme/ci",
      ".github/workflows/deploy.yml", "refs/tags/@acme/web@1.0" },
    { WORKFLOW("acme/ci/.github/workflows/a@b.yml@refs/heads/main"), "acme/ci",
      ".github/workflows/a@b.yml", "refs/heads/main" },
    /* a file cannot pass for another file's ref */
    { WORKFLOW("acme/ci/.github/workflows/a.yml@refs/heads/main.yml@refs/heads/x"), "acme/ci",
      ".github/workflows/a.yml", "refs/heads/main.yml@refs/heads/x" },
    { WORKFLOW("acme/ci/.github/workflows/deploy.yml"), "null", "null", "null" },
    { WORKFLOW("acme/ci/.github/workflows/deploy.yml@"), "null", "null", "null" },
    { WORKFLOW("acme/ci/.github/workflows/deploy@refs/heads/main"), "null", "null", "null" },
    { WORKFLOW("acme/ci@refs/heads/main"), "null", "null", "null" },
    { WORKFLOW("acme//x.yml@refs/heads/main"), "null", "null", "null" },
    { WORKFLOW("/ci/x.yml@refs/heads/main"), "null", "null", "null" },
    { WORKFLOW("@"), "null", "null", "null" },
    { WORKFLOW(""), "null", "null", "null" },
    { "{}", "null", "null", "null" },
};

static void a_workflow_reference_is_split_whole_or_not_at_all(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(workflow_rows); i++) {
        const struct workflow_row *row = &workflow_rows[i];

        assert_fact("github", row->claims, "workflow_repository", row->repository);
        assert_fact("github", row->claims, "workflow_path", row->path);
        assert_fact("github", row->claims, "workflow_ref", row->ref);
    }
}

static const struct row generic_rows[] = {
    { "{\"repository\":\"a/b\"}", "repository", "a/b" },
    { "{\"repository\":7}", "repository", "null" },
    { "{\"sha\":\"5b1c\"}", "commit", "5b1c" },
    { "{\"ref\":\"refs/heads/main\"}", "ref", "refs/heads/main" },
    { "{\"environment\":\"production\"}", "environment", "null" },
    { "{\"ref_protected\":\"true\"}", "ref_protected", "null" },
    { "{\"runner_environment\":\"github-hosted\"}", "runner", "null" },
    { "{\"event_name\":\"push\"}", "pull_request", "null" },
};

static void generic_claims_become_few_facts(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(generic_rows); i++)
        assert_fact("generic", generic_rows[i].claims, generic_rows[i].fact,
                    generic_rows[i].expected);
}

/* A fact that is not in the table could not be named in a policy. */
static void assert_facts_are_known(const char *profile)
{
    json_t *ci = fill(profile, "{\"environment\":\"x\"}");
    const char *name;
    json_t *value;

    json_object_foreach (ci, name, value) {
        const struct claim *row = claim_find(&profile_ci_facts, str_from(name));

        if (row == NULL)
            fail_msg("%s fills %s, which is no fact", profile, name);
    }
    for (size_t i = 0; i < profile_ci_facts.count; i++) {
        const char *fact = profile_ci_facts.rows[i].name;

        if (json_object_get(ci, fact) == NULL && strcmp(fact, "environment") != 0)
            fail_msg("%s does not fill %s", profile, fact);
    }
    json_decref(ci);
}

static void every_profile_fills_every_fact(void **state)
{
    (void)state;
    for (const char *const *name = profile_names(); *name != NULL; name++)
        assert_facts_are_known(*name);
}

static void a_profile_is_found_by_its_name_only(void **state)
{
    static const char *const strangers[] = { "", "GitHub", "github ", "githu", "gitea" };

    (void)state;
    for (const char *const *name = profile_names(); *name != NULL; name++)
        assert_string_equal(profile_find(str_from(*name))->name, *name);
    for (size_t i = 0; i < COUNT(strangers); i++)
        assert_null(profile_find(str_from(strangers[i])));
}

static unsigned flags_of(const struct claim_table *table)
{
    unsigned flags = 0;

    for (size_t i = 0; i < table->count; i++)
        flags |= table->rows[i].flags;
    return flags;
}

static void a_shared_profile_has_an_owner_and_every_profile_its_limits(void **state)
{
    (void)state;
    for (const char *const *name = profile_names(); *name != NULL; name++) {
        const struct profile *profile = profile_find(str_from(*name));

        assert_true(profile->max_age_s > 0 && profile->max_age_s <= 3600);
        assert_true(profile->max_lifetime_s > 0 && profile->max_lifetime_s <= 86400);
        assert_true(profile->algorithms != 0);
        assert_true(profile->uses >= 1);
        if (profile->is_shared)
            assert_true((flags_of(&profile->claims) & CLAIM_OWNER_ID) != 0);
        if (profile->audience_is_fixed)
            assert_null(profile->added_audience);
    }
}

static void names_in_a_table_are_unique(void **state)
{
    (void)state;
    for (const char *const *name = profile_names(); *name != NULL; name++) {
        const struct claim_table *table = &profile_find(str_from(*name))->claims;

        for (size_t i = 0; i < table->count; i++) {
            const struct claim *row = &table->rows[i];
            bool is_open = (row->flags & CLAIM_PREFIX) != 0;

            assert_ptr_equal(claim_find(table, str_from(row->name)), is_open ? NULL : row);
        }
    }
    for (size_t i = 0; i < profile_ci_facts.count; i++)
        assert_ptr_equal(claim_find(&profile_ci_facts, str_from(profile_ci_facts.rows[i].name)),
                         &profile_ci_facts.rows[i]);
}

static void github_says_who_a_person_is(void **state)
{
    const struct claim_table *table = &profile_find(STR("github"))->claims;

    (void)state;
    assert_true((claim_find(table, STR("actor"))->flags & CLAIM_PERSONAL) != 0);
    assert_true((claim_find(table, STR("actor_id"))->flags & CLAIM_PERSONAL) != 0);
    assert_true((claim_find(table, STR("repository_id"))->flags & CLAIM_ID) != 0);
    assert_true((claim_find(table, STR("repository"))->flags & CLAIM_ID) == 0);
    assert_int_equal(profile_find(STR("github"))->algorithms, JOSE_RS256);
}

static size_t dangers_of(const char *event)
{
    const struct claim_dangers *dangers = profile_find(STR("github"))->dangers;
    const struct claim_danger *found[32];
    json_t *claims = json_pack("{s:s}", "event_name", event);
    json_t *ci = json_object();
    size_t count;

    assert_true(dangers->count <= COUNT(found));
    count = claim_dangers_find(dangers, claims, ci, found);
    json_decref(claims);
    json_decref(ci);
    return count;
}

static void what_anybody_can_start_at_github_is_dangerous(void **state)
{
    static const char *const dangerous[] = {
        "pull_request_target", "issue_comment", "workflow_run", "issues", "discussion",
        "discussion_comment",  "fork",          "watch",        "gollum"
    };
    static const char *const harmless[] = { "push", "schedule", "workflow_dispatch", "release" };

    (void)state;
    for (size_t i = 0; i < COUNT(dangerous); i++)
        if (dangers_of(dangerous[i]) != 1)
            fail_msg("%s", dangerous[i]);
    for (size_t i = 0; i < COUNT(harmless); i++)
        assert_int_equal(dangers_of(harmless[i]), 0);
}

/* ---- lints ---- */

static bool is_claim_of(const struct profile *profile, const char *name)
{
    char end = name[strlen(name) - 1];

    if (strncmp(name, "ci.", 3) == 0)
        return claim_find(&profile_ci_facts, str_from(name + 3)) != NULL;
    if (end != '/' && end != ':')
        return claim_find(&profile->claims, str_from(name)) != NULL;
    for (size_t i = 0; i < profile->claims.count; i++)
        if (strncmp(profile->claims.rows[i].name, name, strlen(name) - 1) == 0)
            return true;
    return false;
}

static void assert_claims(const struct profile *profile, const struct claim_lint *lint,
                          const char *const *names)
{
    for (size_t i = 0; names != NULL && names[i] != NULL; i++)
        if (!is_claim_of(profile, names[i]))
            fail_msg("%s: %s has no claim '%s'", lint->rule, profile->name, names[i]);
}

/* A rule's name starts with its profile's; its words are those of a kebab. */
static void assert_lint(const struct profile *profile, const struct claim_lint *lint)
{
    struct str rule = str_from(lint->rule);

    if (!str_starts_with(rule, str_from(profile->name)) ||
        !str_is_made_of(rule, "abcdefghijklmnopqrstuvwxyz-"))
        fail_msg("'%s' is no name of a rule for %s", lint->rule, profile->name);
    assert_non_null(lint->claims[0]);
    assert_claims(profile, lint, lint->claims);
    assert_claims(profile, lint, lint->unless);
    assert_true(lint->has == NULL || lint->has[0] != '\0');
    assert_non_null(lint->message);
    assert_non_null(lint->hint);
}

static void a_lint_is_about_claims_that_its_profile_has(void **state)
{
    const char *const *names = profile_names();
    size_t count = 0;

    (void)state;
    for (size_t i = 0; names[i] != NULL; i++) {
        const struct profile *profile = profile_find(str_from(names[i]));

        for (size_t k = 0; profile->lints != NULL && k < profile->lints->count; k++) {
            assert_lint(profile, &profile->lints->rows[k]);
            count++;
        }
    }
    assert_true(count > 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(github_claims_become_facts),
        cmocka_unit_test(a_workflow_reference_is_split_whole_or_not_at_all),
        cmocka_unit_test(generic_claims_become_few_facts),
        cmocka_unit_test(every_profile_fills_every_fact),
        cmocka_unit_test(a_profile_is_found_by_its_name_only),
        cmocka_unit_test(a_shared_profile_has_an_owner_and_every_profile_its_limits),
        cmocka_unit_test(names_in_a_table_are_unique),
        cmocka_unit_test(github_says_who_a_person_is),
        cmocka_unit_test(what_anybody_can_start_at_github_is_dangerous),
        cmocka_unit_test(a_lint_is_about_claims_that_its_profile_has),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
