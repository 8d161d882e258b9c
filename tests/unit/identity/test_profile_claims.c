#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "identity/identity.h"
#include "identity/profile.h"
#include "keys/verifier.h"
#include "tests/test.h"
#include "tests/unit/identity/signer.h"

/*
 * Every tests/data/facts/PROFILE/NAME.json says what tests/data/claims/PROFILE/NAME.json becomes:
 * facts (those that are not named are null), facts that are left out, dangers.
 */

#define FOLDER "../../data"
#define NOW 1790000000
#define AUDIENCE "https://broker.example"
#define ISSUER "https://ci.example"

static struct signer *signer;
static char *jwks;

static int set_up(void **state)
{
    (void)state;
    signer = signer_new(SIGNER_RSA_2048);
    jwks = signer_jwks(signer, "a");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(jwks);
    signer_free(signer);
    return 0;
}

/* One fixture. */
struct fixture {
    const struct profile *profile;
    const char *name;
    json_t *claims; /* with what the platform fills in */
    const json_t *expected;
    struct arena *arena;
};

static json_t *read_json(struct arena *arena, const char *kind, const struct fixture *fixture)
{
    struct str path =
        arena_printf(arena, FOLDER "/%s/%s/%s", kind, fixture->profile->name, fixture->name);
    struct error error = { 0 };
    struct str text = { 0 };
    json_t *json = NULL;

    if (!file_read(arena, path.data, (size_t)64 * 1024, &text, &error) ||
        !json_parse_object(text, JSON_LIMITS_REQUEST, &json, &error) ||
        !json_keep(arena, json, &error))
        fail_msg("%s: %s", path.data, error.cause);
    return json;
}

static void fixture_open(struct fixture *fixture)
{
    static const char *const always[] = { "iss", ISSUER, "aud", AUDIENCE };

    fixture->arena = arena_new((size_t)16 * 1024 * 1024);
    fixture->claims = read_json(fixture->arena, "claims", fixture);
    fixture->expected = read_json(fixture->arena, "facts", fixture);
    for (size_t i = 0; i < COUNT(always); i += 2)
        assert_true(json_put(fixture->claims, always[i], json_string(always[i + 1])));
    assert_true(json_put(fixture->claims, "iat", json_integer(NOW - 10)));
    assert_true(json_put(fixture->claims, "exp", json_integer(NOW + 290)));
    if (fixture->profile->replay == PROFILE_REPLAY_JTI)
        assert_true(json_put(fixture->claims, "jti", json_string("0d3c1c2e")));
}

static bool verify(const struct fixture *fixture, struct verified_token *verified,
                   struct error *error)
{
    struct issuer_options issuer = {
        .name = STR("ci"),
        .profile = fixture->profile,
        .url = STR(ISSUER),
        .audience = STR(AUDIENCE),
        .claims = fixture->profile->claims,
        .algorithms = JOSE_RS256,
        .binding = IDENTITY_BIND_DPOP,
    };
    struct identity_input input;
    char *payload = json_dumps(fixture->claims, 0);
    char *token = signer_token(signer, "{\"alg\":\"RS256\",\"kid\":\"a\"}", payload);
    bool is_good;

    *error = (struct error){ 0 };
    input = (struct identity_input){ .token = str_from(token), .now_s = NOW };
    is_good = identity_verify_offline(&issuer, str_from(jwks), &input, 30, fixture->arena, verified,
                                      error);
    free(token);
    free(payload);
    return is_good;
}

static void for_each_fixture(void (*try)(const struct fixture *fixture))
{
    for (const char *const *name = profile_names(); *name != NULL; name++) {
        struct fixture fixture = { .profile = profile_find(str_from(*name)) };
        struct dirent *const *list;
        struct dirent **entries = NULL;
        char folder[128];
        int count;
        int found = 0;

        (void)snprintf(folder, sizeof(folder), FOLDER "/facts/%s", *name);
        count = scandir(folder, &entries, NULL, alphasort);
        list = entries;
        for (int i = 0; i < count; i++) {
            if (list[i]->d_name[0] != '.') {
                fixture.name = list[i]->d_name;
                fixture_open(&fixture);
                try(&fixture);
                arena_free(fixture.arena);
                found++;
            }
            free(entries[i]);
        }
        free(entries);
        if (found == 0)
            fail_msg("profile %s has no fixture", *name);
    }
}

/* ---- what fixtures become ---- */

static bool has_text(const json_t *list, const char *text)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (str_eq(json_str(json_array_get(list, i)), str_from(text)))
            return true;
    return false;
}

static void compare_fact(const struct fixture *fixture, const json_t *ci, const char *name)
{
    const json_t *expected = json_object_get(json_object_get(fixture->expected, "ci"), name);
    bool is_absent = has_text(json_object_get(fixture->expected, "absent"), name);
    const json_t *found = json_object_get(ci, name);

    if (is_absent != (found == NULL))
        fail_msg("%s/%s: ci.%s is %s", fixture->profile->name, fixture->name, name,
                 is_absent ? "there" : "left out");
    if (is_absent)
        return;
    if (expected == NULL ? !json_is_null(found) : !json_equal(found, expected)) {
        char *got = json_dumps(found, JSON_ENCODE_ANY);

        fail_msg("%s/%s: ci.%s is %s", fixture->profile->name, fixture->name, name, got);
    }
}

static void compare_dangers(const struct fixture *fixture, const struct verified_token *verified)
{
    const json_t *expected = json_object_get(fixture->expected, "dangers");

    if (verified->danger_count != json_array_size(expected))
        fail_msg("%s/%s has %zu dangers", fixture->profile->name, fixture->name,
                 verified->danger_count);
    for (size_t i = 0; i < verified->danger_count; i++) {
        const struct claim_danger *danger = verified->dangers[i];

        assert_true(has_text(expected, danger->claim != NULL ? danger->claim : danger->fact));
    }
}

static void try_facts(const struct fixture *fixture)
{
    struct verified_token verified = { 0 };
    struct error error;

    if (!verify(fixture, &verified, &error))
        fail_msg("%s/%s: %s", fixture->profile->name, fixture->name, error.cause);
    for (size_t i = 0; i < profile_ci_facts.count; i++)
        compare_fact(fixture, verified.ci, profile_ci_facts.rows[i].name);
    compare_dangers(fixture, &verified);
}

static void claims_of_every_profile_become_its_facts(void **state)
{
    (void)state;
    for_each_fixture(try_facts);
}

/* Each claim of a fixture has a row: a policy can name it, and its type is checked. */
static void try_rows(const struct fixture *fixture)
{
    /* Nobody has written down of which type Forgejo's are, so they have none. */
    static const char *const untyped[] = { "run_id", "run_number", "run_attempt", "ref_protected" };
    const char *name;
    json_t *value;

    json_object_foreach (fixture->claims, name, value) {
        bool is_untyped = strcmp(fixture->profile->name, "generic") == 0;

        for (size_t i = 0; strcmp(fixture->profile->name, "forgejo") == 0 && i < COUNT(untyped);
             i++)
            is_untyped = is_untyped || strcmp(untyped[i], name) == 0;
        if (!is_untyped && claim_find(&fixture->profile->claims, str_from(name)) == NULL)
            fail_msg("%s/%s: no row of %s", fixture->profile->name, fixture->name, name);
    }
}

static void every_claim_of_a_fixture_has_a_row(void **state)
{
    (void)state;
    for_each_fixture(try_rows);
}

/* ---- facts that are copies ---- */

/* What a copy of a value is, NULL where it is left out. */
static json_t *copy_of(const struct claim_copy *copy, const json_t *value)
{
    bool is_text = json_is_string(value) && json_string_length(value) > 0;
    char digits[32];

    if (is_text)
        return json_deep_copy(value);
    if (json_is_integer(value) && copy->form == CLAIM_FORM_NUMBER) {
        (void)snprintf(digits, sizeof(digits), "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return json_string(digits);
    }
    if (copy->form == CLAIM_FORM_NONE &&
        (value == NULL || json_is_null(value) || json_is_string(value)))
        return NULL;
    return json_null();
}

static void compare_copy(const struct fixture *fixture, const json_t *claims,
                         const struct claim_copy *copy)
{
    JSON_OWNED json_t *expected = copy_of(copy, claim_value(claims, copy->claim));
    JSON_OWNED json_t *ci = json_object();
    const json_t *found;

    assert_true(fixture->profile->fill_ci(claims, ci));
    found = json_object_get(ci, copy->fact);
    if (expected == NULL ? found != NULL : !json_equal(found, expected))
        fail_msg("%s/%s: ci.%s is no copy of %s", fixture->profile->name, fixture->name, copy->fact,
                 copy->claim);
}

/* Whatever else the claims say: policies are proven with it. */
static void try_copies(const struct fixture *fixture)
{
    const struct claim_copies *copies = fixture->profile->copies;

    for (size_t i = 0; copies != NULL && i < copies->count; i++) {
        const struct claim_copy *copy = &copies->rows[i];
        json_t *values[] = { json_string("v"), json_string(""),  json_null(),
                             json_integer(7),  json_integer(-7), json_true(),
                             json_array(),     json_object(),    json_string("true") };

        assert_int_equal(claim_find(&profile_ci_facts, str_from(copy->fact))->type, CLAIM_STRING);
        compare_copy(fixture, fixture->claims, copy);
        for (size_t k = 0; k < COUNT(values); k++) {
            JSON_OWNED json_t *claims = json_deep_copy(fixture->claims);

            assert_true(claim_put(claims, copy->claim, values[k]));
            compare_copy(fixture, claims, copy);
        }
    }
}

static void a_copied_fact_is_its_claim_whatever_else_is_said(void **state)
{
    (void)state;
    for_each_fixture(try_copies);
}

/* The rows that say of a fact all name one claim, and nothing else has a say. */
static void compare_words(const struct fixture *fixture, const json_t *claims,
                          const struct claim_word *word)
{
    const struct claim_words *words = fixture->profile->words;
    JSON_OWNED json_t *alone = json_object();
    JSON_OWNED json_t *ci = json_object();

    assert_true(json_put(alone, word->fact, json_null()));
    assert_true(claim_words_put(words, &profile_ci_facts, claims, alone));
    assert_true(fixture->profile->fill_ci(claims, ci));
    if (!json_equal(json_object_get(ci, word->fact), json_object_get(alone, word->fact)))
        fail_msg("%s/%s: ci.%s does not follow from %s alone", fixture->profile->name,
                 fixture->name, word->fact, word->claim);
    for (size_t i = 0; i < words->count; i++)
        if (strcmp(words->rows[i].fact, word->fact) == 0)
            assert_string_equal(words->rows[i].claim, word->claim);
}

static bool is_copied(const struct profile *profile, const char *fact)
{
    for (size_t i = 0; profile->copies != NULL && i < profile->copies->count; i++)
        if (strcmp(profile->copies->rows[i].fact, fact) == 0)
            return true;
    return false;
}

static void try_words(const struct fixture *fixture)
{
    const struct claim_words *words = fixture->profile->words;

    for (size_t i = 0; words != NULL && i < words->count; i++) {
        const struct claim_word *word = &words->rows[i];
        json_t *values[] = { json_string(word->word),
                             json_string(word->value),
                             json_string("x"),
                             json_string(""),
                             json_null(),
                             json_true(),
                             json_false(),
                             json_integer(1),
                             json_array() };

        assert_false(is_copied(fixture->profile, word->fact));
        compare_words(fixture, fixture->claims, word);
        for (size_t k = 0; k < COUNT(values); k++) {
            JSON_OWNED json_t *claims = json_deep_copy(fixture->claims);

            assert_true(claim_put(claims, word->claim, values[k]));
            compare_words(fixture, claims, word);
        }
    }
}

static void a_fact_of_words_follows_from_its_claim_alone(void **state)
{
    (void)state;
    for_each_fixture(try_words);
}

/* ---- what is no token of the platform ---- */

static void assert_refused(const struct fixture *fixture, const char *name, const char *what)
{
    struct verified_token verified = { 0 };
    struct error error;

    if (verify(fixture, &verified, &error))
        fail_msg("%s/%s: accepted with %s %s", fixture->profile->name, fixture->name, name, what);
    assert_int_equal(error.code, ERROR_TOKEN);
    if (strstr(error.cause, name) == NULL)
        fail_msg("%s/%s: %s %s: %s", fixture->profile->name, fixture->name, name, what,
                 error.cause);
}

/* Of a value that no row has: a number with a fraction is none of the types. */
static void try_row(const struct fixture *fixture, const struct claim *row)
{
    json_t *whole = fixture->claims;
    struct fixture changed = *fixture;

    changed.claims = json_deep_copy(whole);
    if ((row->flags & CLAIM_OPTIONAL) == 0) {
        assert_true(claim_put(changed.claims, row->name, json_null()));
        assert_refused(&changed, row->name, "null");
    }
    if (claim_put(changed.claims, row->name, json_array()) &&
        json_array_append_new(json_iterable(claim_value(changed.claims, row->name)),
                              json_real(0.5)) == 0)
        assert_refused(&changed, row->name, "of another type");
    json_decref(changed.claims);
}

static void try_hostile(const struct fixture *fixture)
{
    for (size_t i = 0; i < fixture->profile->claims.count; i++) {
        const struct claim *row = &fixture->profile->claims.rows[i];

        if (claim_value(fixture->claims, row->name) != NULL)
            try_row(fixture, row);
    }
}

static void a_claim_that_is_missing_or_of_another_type_is_refused(void **state)
{
    (void)state;
    for_each_fixture(try_hostile);
}

struct lie {
    const char *profile;
    const char *fixture;
    const char *name;
    const char *value; /* JSON */
    const char *cause; /* NULL: accepted */
};

static const struct lie lies[] = {
    /* truths are strings here, and truths there */
    { "gitlab", "push.json", "ref_protected", "true", "ref_protected" },
    { "gitlab", "push.json", "project_id", "20", "project_id" },
    { "gitlab", "push.json", "runner_id", "\"11\"", "runner_id" },
    { "gitlab", "push.json", "runner_id", "null", NULL },
    { "gitlab", "push.json", "groups_direct", "[\"acme\"]", NULL },
    { "gitlab", "push.json", "groups_direct", "[7]", "groups_direct" },
    { "gitlab", "push.json", "user_identities", "[{\"provider\":\"a\",\"extern_uid\":\"b\"}]",
      NULL },
    { "gitlab", "push.json", "user_identities", "{\"provider\":\"a\"}", "user_identities" },
    { "circleci", "push.json", "oidc.circleci.com/ssh-rerun", "\"false\"", "ssh-rerun" },
    { "buildkite", "webhook.json", "build_number", "\"412\"", "build_number" },
    { "buildkite", "webhook.json", "agent_tag:queue", "7", "agent_tag:queue" },
    { "github", "build.json", "repo_property_tier", "true", "repo_property_tier" },
    { "github", "build.json", "repo_property_tier", "\"true\"", NULL },
    { "github", "build.json", "repository_id", "4242", "repository_id" },

    { "kubernetes", "runner-pod.json", "sub", "\"system:serviceaccount:ci:admin\"", "sub" },
    { "kubernetes", "runner-pod.json", "sub", "\"system:serviceaccount:prod:runner\"", "sub" },
    { "kubernetes", "runner-pod.json", "sub", "\"system:node:ci:runner\"", "sub" },
    { "kubernetes", "runner-pod.json", "kubernetes.io", "\"ci\"", "kubernetes.io" },
    { "kubernetes", "runner-pod.json", "kubernetes.io", "{}", "namespace" },

    { "spiffe", "workload.json", "sub", "\"spiffe://acme.example\"", NULL },
    { "spiffe", "workload.json", "sub", "\"spiffe://\"", "SPIFFE" },
    { "spiffe", "workload.json", "sub", "\"https://acme.example/a\"", "SPIFFE" },
    { "spiffe", "workload.json", "sub", "\"spiffe://Acme.example/a\"", "SPIFFE" },
    { "spiffe", "workload.json", "sub", "\"spiffe://acme.example:1/a\"", "SPIFFE" },
    { "spiffe", "workload.json", "sub", "\"spiffe://u@acme.example/a\"", "SPIFFE" },
    { "spiffe", "workload.json", "sub", "\"spiffe://acme.example/\"", "SPIFFE" },
    { "spiffe", "workload.json", "sub", "\"spiffe://acme.example/a//b\"", "SPIFFE" },
    { "spiffe", "workload.json", "sub", "\"spiffe://acme.example/a/../b\"", "SPIFFE" },
    { "spiffe", "workload.json", "sub", "\"spiffe://acme.example/a/.\"", "SPIFFE" },
    { "spiffe", "workload.json", "sub", "\"spiffe://acme.example/%61\"", "SPIFFE" },
    { "spiffe", "workload.json", "sub", "\"spiffe://acme.example/a?b\"", "SPIFFE" },

    /* what a platform adds to the audience is no reason; another one is, and ours must be there */
    { "bitbucket", "push.json", "aud",
      "[\"" AUDIENCE "\",\"ari:cloud:bitbucket::workspace/6d0c1f6e\"]", NULL },
    { "bitbucket", "push.json", "aud", "[\"ari:cloud:bitbucket::workspace/6d0c1f6e\"]",
      "audience" },
    { "bitbucket", "push.json", "aud", "\"ari:cloud:bitbucket::workspace/6d0c1f6e\"", "audience" },
    { "bitbucket", "push.json", "aud", "[\"" AUDIENCE "\",\"https://other.example\"]", "audience" },
    { "gitlab", "push.json", "aud",
      "[\"" AUDIENCE "\",\"ari:cloud:bitbucket::workspace/6d0c1f6e\"]", "audience" },
    { "kubernetes", "runner-pod.json", "aud", "[\"" AUDIENCE "\"]", NULL },

    /* a life that none of its tokens has; ages of a job's */
    { "gitlab", "push.json", "exp", "1790030000", NULL },
    { "gitlab", "push.json", "exp", "1790090000", "lifetime" },
    { "gitlab", "push.json", "iat", "1789996000", "issued" },
    { "buildkite", "webhook.json", "exp", "1790003000", "lifetime" },
    { "kubernetes", "runner-pod.json", "exp", "1821536000", "lifetime" },
    { "gitlab", "push.json", "jti", "null", "jti" },
};

static void what_a_platform_would_not_sign_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(lies); i++) {
        const struct lie *lie = &lies[i];
        struct fixture fixture = { .profile = profile_find(str_from(lie->profile)),
                                   .name = lie->fixture };
        struct verified_token verified = { 0 };
        struct error error;
        bool is_good;

        fixture_open(&fixture);
        assert_true(
            json_put(fixture.claims, lie->name, json_loads(lie->value, JSON_DECODE_ANY, NULL)));
        is_good = verify(&fixture, &verified, &error);
        if (is_good != (lie->cause == NULL))
            fail_msg("%s: %s = %s: %s", lie->profile, lie->name, lie->value, error.cause);
        if (lie->cause != NULL && strstr(error.cause, lie->cause) == NULL)
            fail_msg("%s: %s = %s: %s", lie->profile, lie->name, lie->value, error.cause);
        arena_free(fixture.arena);
    }
}

/* ---- the tables ---- */

static const char *const without_ids[] = { "jenkins", "forgejo", "generic" };

static bool names_one_thing(const struct claim_table *table)
{
    for (size_t i = 0; i < table->count; i++)
        if ((table->rows[i].flags & (CLAIM_ID | CLAIM_OWNER_ID)) == CLAIM_ID)
            return true;
    return false;
}

static void an_identity_can_fix_an_id_wherever_the_platform_has_one(void **state)
{
    (void)state;
    for (const char *const *name = profile_names(); *name != NULL; name++) {
        bool has_none = false;

        for (size_t i = 0; i < COUNT(without_ids); i++)
            has_none = has_none || strcmp(*name, without_ids[i]) == 0;
        if (names_one_thing(&profile_find(str_from(*name))->claims) == has_none)
            fail_msg("profile %s", *name);
    }
}

static void what_can_be_renamed_is_no_id(void **state)
{
    const unsigned both = CLAIM_ID | CLAIM_CAN_BE_RENAMED;

    (void)state;
    for (const char *const *name = profile_names(); *name != NULL; name++) {
        const struct claim_table *table = &profile_find(str_from(*name))->claims;

        for (size_t i = 0; i < table->count; i++)
            if ((table->rows[i].flags & both) == both ||
                !claim_name_is_good(str_from(table->rows[i].name)))
                fail_msg("profile %s: %s", *name, table->rows[i].name);
    }
}

static void a_danger_names_what_is_in_the_tables(void **state)
{
    (void)state;
    for (const char *const *name = profile_names(); *name != NULL; name++) {
        const struct profile *profile = profile_find(str_from(*name));
        size_t count = profile->dangers == NULL ? 0 : profile->dangers->count;

        for (size_t i = 0; i < count; i++) {
            const struct claim_danger *row = &profile->dangers->rows[i];
            bool is_known = strcmp(*name, "generic") == 0 || row->claim == NULL ||
                            claim_find(&profile->claims, str_from(row->claim)) != NULL;

            if (!is_known || (row->claim == NULL && row->fact == NULL))
                fail_msg("profile %s: row %zu", *name, i);
            if (row->fact != NULL)
                assert_non_null(claim_find(&profile_ci_facts, str_from(row->fact + 3)));
            if (row->harmless != NULL)
                assert_non_null(claim_find(&profile_ci_facts, str_from(row->harmless + 3)));
        }
    }
}

static void who_shares_an_issuer_depends_on_where_it_is(void **state)
{
    static const struct {
        const char *profile;
        const char *url;
        bool is_shared;
    } rows[] = {
        { "github", "https://token.actions.githubusercontent.com", true },
        { "github", "https://github.acme.example/_services/token", true },
        { "gitlab", "https://gitlab.com", true },
        { "gitlab", "https://gitlab.acme.example", false },
        { "circleci", "https://oidc.circleci.com", true },
        { "buildkite", "https://agent.buildkite.com", true },
        { "terraform", "https://app.terraform.io", true },
        { "codefresh", "https://oidc.codefresh.io", true },
        { "google", "https://accounts.google.com", true },
        { "kubernetes", "https://kubernetes.default.svc.cluster.local", false },
        { "aws", "https://a.tokens.sts.global.api.aws", false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(
            profile_is_shared(profile_find(str_from(rows[i].profile)), str_from(rows[i].url)),
            rows[i].is_shared);
}

static void platforms_that_fix_the_audience_are_known(void **state)
{
    static const char *const fixed[] = { "azure-devops", "semaphore", "codefresh" };

    (void)state;
    for (const char *const *name = profile_names(); *name != NULL; name++) {
        bool is_fixed = false;

        for (size_t i = 0; i < COUNT(fixed); i++)
            is_fixed = is_fixed || strcmp(*name, fixed[i]) == 0;
        assert_int_equal(profile_find(str_from(*name))->audience_is_fixed, is_fixed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(claims_of_every_profile_become_its_facts),
        cmocka_unit_test(every_claim_of_a_fixture_has_a_row),
        cmocka_unit_test(a_copied_fact_is_its_claim_whatever_else_is_said),
        cmocka_unit_test(a_fact_of_words_follows_from_its_claim_alone),
        cmocka_unit_test(a_claim_that_is_missing_or_of_another_type_is_refused),
        cmocka_unit_test(what_a_platform_would_not_sign_is_refused),
        cmocka_unit_test(an_identity_can_fix_an_id_wherever_the_platform_has_one),
        cmocka_unit_test(what_can_be_renamed_is_no_id),
        cmocka_unit_test(a_danger_names_what_is_in_the_tables),
        cmocka_unit_test(who_shares_an_issuer_depends_on_where_it_is),
        cmocka_unit_test(platforms_that_fix_the_audience_are_known),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
