#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "identity/people.h"
#include "identity/profile.h"
#include "tests/assert_str.h"
#include "tests/test.h"
#include "tests/unit/identity/signer.h"

/* What a person's token says of its bearer, and which tokens are no person's. */

#define NOW 1790000000
#define IDP "https://idp.example"
#define CLIENT "stagepass"

static const struct str security[] = { { "security", 8 }, { "audit", 5 } };
static const struct str platform[] = { { "platform", 8 } };
static const struct str payments[] = { { "payments", 8 } };

static const struct people_condition in_security[] = { { { "groups", 6 }, security, 2 } };
static const struct people_condition in_platform[] = {
    { { "/realm_access/roles", 19 }, platform, 1 },
    { { "acr", 3 }, platform, 1 },
};
static const struct people_condition in_payments[] = { { { "groups", 6 }, payments, 1 } };

static const struct str chiefs[] = { { "chief@acme.example", 18 } };
static const struct people_condition is_chief[] = { { { "email", 5 }, chiefs, 1 } };
static const struct people_condition is_pointed_chief[] = { { { "/email", 6 }, chiefs, 1 } };

static struct people_rule rules[] = {
    { PERSON_AUDITOR, in_security, 1, NULL, 0 },       { PERSON_OPERATOR, in_platform, 2, NULL, 0 },
    { PERSON_APPROVER, in_payments, 1, payments, 1 },  { PERSON_AUDITOR, is_chief, 1, NULL, 0 },
    { PERSON_OPERATOR, is_pointed_chief, 1, NULL, 0 },
};

static struct people_same same[] = {
    { { "github", 6 }, { "/github_id", 10 }, { "actor_id", 8 } },
    { { "gitlab", 6 }, { "/ids/git~1lab", 13 }, { "actor_id", 8 } },
    { { "gitlab", 6 }, { "preferred_username", 18 }, { "actor", 5 } },
    { { "codefresh", 9 }, { "email", 5 }, { "actor", 5 } },
};

static struct people_options people;
static struct signer *signer;
static char *jwks;
static struct arena *arena;

static int set_up(void **state)
{
    (void)state;
    people = (struct people_options){
        .issuer = { .name = STR(PEOPLE_ISSUER),
                    .profile = &profile_person,
                    .url = STR(IDP),
                    .audience = STR(CLIENT),
                    .claims = profile_person.claims },
        .client_id = STR(CLIENT),
        .rules = rules,
        .rule_count = COUNT(rules),
        .same = same,
        .same_count = COUNT(same),
    };
    signer = signer_new(SIGNER_EC_P256);
    jwks = signer_jwks(signer, "1");
    arena = arena_new(ARENA_REQUEST_MAX);
    return arena == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    signer_free(signer);
    free(jwks);
    arena_free(arena);
    return 0;
}

/* A person of these further claims, `"groups":["security"]`, in a token for some audience. */
static bool read_person_for(const char *audience, const char *further, struct person *person,
                            struct error *error)
{
    struct identity_input input = { .now_s = NOW };
    struct verified_token verified = { 0 };
    char payload[2048];
    char *token;
    bool is_good;

    (void)snprintf(payload, sizeof(payload),
                   "{\"iss\":\"" IDP "\",\"sub\":\"u1\",\"aud\":%s,\"iat\":%d,\"exp\":%d%s%s}",
                   audience, NOW, NOW + 3600, further[0] == '\0' ? "" : ",", further);
    token = signer_token(signer, "{\"alg\":\"ES256\",\"kid\":\"1\"}", payload);
    input.token = arena_copy(arena, str_from(token));
    free(token);
    is_good = identity_verify_offline(&people.issuer, str_from(jwks), &input, 30, arena, &verified,
                                      error);
    return is_good && person_from_token(&people, &verified, arena, person, error);
}

static bool read_person(const char *further, struct person *person, struct error *error)
{
    return read_person_for("\"" CLIENT "\"", further, person, error);
}

static struct person person_of(const char *further)
{
    struct person person = { 0 };
    struct error error = { 0 };

    if (!read_person(further, &person, &error))
        fail_msg("%s: %s", further, error.cause);
    return person;
}

static void roles_follow_from_claims(void **state)
{
    static const struct {
        const char *claims;
        unsigned roles;
    } rows[] = {
        { "", PERSON_VERIFIED },
        { "\"groups\":[]", PERSON_VERIFIED },
        { "\"groups\":[\"\"]", PERSON_VERIFIED },
        { "\"groups\":[\"security\"]", PERSON_VERIFIED | PERSON_READER | PERSON_AUDITOR },
        { "\"groups\":\"security\"", PERSON_VERIFIED | PERSON_READER | PERSON_AUDITOR },
        { "\"groups\":[\"x\",\"audit\"]", PERSON_VERIFIED | PERSON_READER | PERSON_AUDITOR },
        { "\"groups\":[\"Security\"]", PERSON_VERIFIED | PERSON_READER },
        { "\"groups\":[\"security \"]", PERSON_VERIFIED | PERSON_READER },
        { "\"groups\":[\"security,audit\"]", PERSON_VERIFIED | PERSON_READER },
        { "\"groups\":[\"payments\"]", PERSON_VERIFIED | PERSON_READER | PERSON_APPROVER },
        /* all conditions of a rule must hold */
        { "\"acr\":\"platform\"", PERSON_VERIFIED },
        { "\"realm_access\":{\"roles\":[\"platform\"]}", PERSON_VERIFIED },
        { "\"realm_access\":{\"roles\":[\"platform\"]},\"acr\":\"platform\"",
          PERSON_VERIFIED | PERSON_OPERATOR },
        { "\"realm_access\":{\"roles\":{\"platform\":1}},\"acr\":\"platform\"", PERSON_VERIFIED },
        { "\"realm_access\":{\"roles\":[[\"platform\"]]},\"acr\":\"platform\"", PERSON_VERIFIED },
        { "\"/realm_access/roles\":\"platform\",\"acr\":\"platform\"", PERSON_VERIFIED },
        /* an address counts once the provider has seen to it */
        { "\"email\":\"a@acme.example\"", PERSON_VERIFIED },
        { "\"email\":\"a@acme.example\",\"email_verified\":false", PERSON_VERIFIED },
        { "\"email\":\"a@acme.example\",\"email_verified\":true", PERSON_VERIFIED | PERSON_READER },
        { "\"email\":\"chief@acme.example\"", PERSON_VERIFIED },
        { "\"email\":\"chief@acme.example\",\"email_verified\":false", PERSON_VERIFIED },
        { "\"email\":\"chief@acme.example\",\"email_verified\":null", PERSON_VERIFIED },
        { "\"email\":\"chief@acme.example\",\"email_verified\":true",
          PERSON_VERIFIED | PERSON_READER | PERSON_AUDITOR | PERSON_OPERATOR },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        if (person_of(rows[i].claims).roles != rows[i].roles)
            fail_msg("%s: %x", rows[i].claims, person_of(rows[i].claims).roles);
}

static void a_role_is_for_its_tenants_only(void **state)
{
    struct person auditor = person_of("\"groups\":[\"security\"]");
    struct person approver = person_of("\"groups\":[\"payments\"]");

    (void)state;
    assert_true(person_may(&auditor, PERSON_AUDITOR, STR("")));
    assert_true(person_may(&auditor, PERSON_AUDITOR, STR("payments")));
    assert_false(person_may(&auditor, PERSON_APPROVER, STR("payments")));
    assert_true(person_may(&approver, PERSON_APPROVER, STR("payments")));
    assert_false(person_may(&approver, PERSON_APPROVER, STR("orders")));
    assert_false(person_may(&approver, PERSON_APPROVER, STR("")));
    assert_false(person_may(&approver, PERSON_AUDITOR, STR("payments")));
}

static void an_owner_is_a_group_or_a_verified_address(void **state)
{
    struct person member = person_of("\"groups\":[\"pay\"],\"email\":\"b@acme.example\"");
    struct person alone = person_of("\"email\":\"b@acme.example\",\"email_verified\":true");

    (void)state;
    assert_true(person_is_owner(&member, STR("pay")));
    assert_false(person_is_owner(&member, STR("payments")));
    assert_false(person_is_owner(&member, STR("b@acme.example")));
    assert_false(person_is_owner(&member, STR("")));
    assert_true(person_is_owner(&alone, STR("b@acme.example")));
    assert_false(person_is_owner(&alone, STR("")));
}

static void other_tokens_are_no_person(void **state)
{
    static const struct {
        const char *name;
        const char *claims;
        enum error_code code;
    } rows[] = {
        { "of another client", "\"azp\":\"shop\"", ERROR_TOKEN },
        { "groups that are a number", "\"groups\":7", ERROR_TOKEN },
        { "groups that are a map", "\"groups\":{\"security\":true}", ERROR_TOKEN },
        { "groups of numbers", "\"groups\":[7]", ERROR_TOKEN },
        { "a text for email_verified", "\"email_verified\":\"true\"", ERROR_TOKEN },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct person person = { 0 };
        struct error error = { 0 };

        if (read_person(rows[i].claims, &person, &error) || error.code != rows[i].code)
            fail_msg("%s: %s", rows[i].name, error.cause);
    }
    assert_int_equal(person_of("\"azp\":\"" CLIENT "\"").roles, PERSON_VERIFIED);
}

/* The console's client is one of ours where there is a console, and no other is. */
static void a_token_of_the_console_is_a_person_s(void **state)
{
    static const struct {
        const char *audience;
        const char *claims;
        bool with_console;
        bool without_console;
    } rows[] = {
        { "\"" CLIENT "\"", "", true, true },
        { "\"console\"", "", true, false },
        { "\"console\"", "\"azp\":\"console\"", true, false },
        { "[\"console\",\"" CLIENT "\"]", "\"azp\":\"console\"", true, false },
        { "\"" CLIENT "\"", "\"azp\":\"console\"", true, false },
        { "\"console\"", "\"azp\":\"shop\"", false, false },
        { "[\"console\",\"shop\"]", "", false, false },
        { "\"console2\"", "", false, false },
        { "\"\"", "", false, false },
        { "\"" CLIENT "\"", "\"azp\":\"\"", false, false },
        { "[]", "", false, false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct person person = { 0 };
        struct error error = { 0 };

        people.issuer.other_audience = people.console_client_id = STR("console");
        if (read_person_for(rows[i].audience, rows[i].claims, &person, &error) !=
            rows[i].with_console)
            fail_msg("%s %s with a console: %s", rows[i].audience, rows[i].claims, error.cause);
        people.issuer.other_audience = people.console_client_id = STR("");
        error = (struct error){ 0 };
        if (read_person_for(rows[i].audience, rows[i].claims, &person, &error) !=
            rows[i].without_console)
            fail_msg("%s %s without one: %s", rows[i].audience, rows[i].claims, error.cause);
    }
}

static void no_issuer_of_runs_can_have_the_profile_of_people(void **state)
{
    (void)state;
    assert_null(profile_find(STR("person")));
    for (const char *const *name = profile_names(); *name != NULL; name++)
        assert_string_not_equal(*name, "person");
}

static enum people_match match(const char *claims, const char *issuer, const char *ci)
{
    struct person person = person_of(claims);
    json_t *facts = json_loads(ci, 0, NULL);
    enum people_match found = person_match_run(&people, &person, str_from(issuer), facts);

    json_decref(facts);
    return found;
}

static void a_run_s_actor_is_found_among_people(void **state)
{
    static const struct {
        const char *claims;
        const char *issuer;
        const char *ci;
        enum people_match match;
    } rows[] = {
        { "\"github_id\":\"7\"", "github", "{\"actor_id\":\"7\"}", PEOPLE_SAME },
        { "\"github_id\":7", "github", "{\"actor_id\":\"7\"}", PEOPLE_SAME },
        { "\"github_id\":[8,\"7\"]", "github", "{\"actor_id\":\"7\"}", PEOPLE_SAME },
        { "\"github_id\":\"8\"", "github", "{\"actor_id\":\"7\"}", PEOPLE_OTHER },
        { "\"github_id\":[8,9]", "github", "{\"actor_id\":\"7\"}", PEOPLE_OTHER },
        { "\"github_id\":[8,null]", "github", "{\"actor_id\":\"7\"}", PEOPLE_UNKNOWN },
        { "\"github_id\":[]", "github", "{\"actor_id\":\"7\"}", PEOPLE_UNKNOWN },
        { "\"github_id\":\"\"", "github", "{\"actor_id\":\"7\"}", PEOPLE_UNKNOWN },
        { "\"github_id\":true", "github", "{\"actor_id\":\"7\"}", PEOPLE_UNKNOWN },
        { "", "github", "{\"actor_id\":\"7\"}", PEOPLE_UNKNOWN },
        { "\"github_id\":\"7\"", "github", "{\"actor_id\":null}", PEOPLE_UNKNOWN },
        { "\"github_id\":\"7\"", "github", "{}", PEOPLE_UNKNOWN },
        { "\"github_id\":\"7\"", "jenkins", "{\"actor_id\":\"7\"}", PEOPLE_UNKNOWN },
        { "\"ids\":{\"git/lab\":\"7\"}", "gitlab", "{\"actor_id\":\"7\",\"actor\":\"bo\"}",
          PEOPLE_SAME },
        { "\"ids\":{\"git/lab\":\"8\"},\"preferred_username\":\"bo\"", "gitlab",
          "{\"actor_id\":\"7\",\"actor\":\"bo\"}", PEOPLE_SAME },
        { "\"ids\":{\"git/lab\":\"8\"},\"preferred_username\":\"al\"", "gitlab",
          "{\"actor_id\":\"7\",\"actor\":\"bo\"}", PEOPLE_OTHER },
        /* nobody becomes another by writing another's address into their profile */
        { "\"email\":\"x@acme.example\"", "codefresh", "{\"actor\":\"bo@acme.example\"}",
          PEOPLE_UNKNOWN },
        { "\"email\":\"x@acme.example\",\"email_verified\":true", "codefresh",
          "{\"actor\":\"bo@acme.example\"}", PEOPLE_OTHER },
        { "\"ids\":{\"git/lab\":\"8\"}", "gitlab", "{\"actor_id\":\"7\",\"actor\":\"bo\"}",
          PEOPLE_UNKNOWN },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        if (match(rows[i].claims, rows[i].issuer, rows[i].ci) != rows[i].match)
            fail_msg("%s against %s of %s", rows[i].claims, rows[i].ci, rows[i].issuer);
}

static enum people_match match_kept(const char *further, const char *issuer, const char *ci)
{
    JSON_OWNED json_t *facts = json_loads(ci, 0, NULL);
    JSON_OWNED json_t *kept = json_object();
    struct person person = person_of(further);

    assert_non_null(facts);
    assert_true(person_keep_claims(&people, &person, kept));
    assert_null(json_object_get(kept, "sub"));
    return person_match_claims(&people, kept, str_from(issuer), facts);
}

static void what_is_kept_of_a_person_tells_the_same(void **state)
{
    (void)state;
    assert_int_equal(match_kept("\"github_id\":\"7\"", "github", "{\"actor_id\":\"7\"}"),
                     PEOPLE_SAME);
    assert_int_equal(match_kept("\"github_id\":\"8\"", "github", "{\"actor_id\":\"7\"}"),
                     PEOPLE_OTHER);
    assert_int_equal(match_kept("\"ids\":{\"git/lab\":\"7\"}", "gitlab", "{\"actor_id\":\"7\"}"),
                     PEOPLE_SAME);
    assert_int_equal(
        match_kept("\"email\":\"x@acme.example\"", "codefresh", "{\"actor\":\"bo@acme.example\"}"),
        PEOPLE_UNKNOWN);
    assert_int_equal(match_kept("\"email\":\"x@acme.example\",\"email_verified\":true", "codefresh",
                                "{\"actor\":\"bo@acme.example\"}"),
                     PEOPLE_OTHER);
    assert_true(people_tell_who_started(&people, STR("gitlab")));
    assert_false(people_tell_who_started(&people, STR("jenkins")));
}

/* Whether those of these further claims are two people, once one of them was kept. */
static bool are_two(const char *further, const char *other)
{
    JSON_OWNED json_t *kept = json_object();
    struct person person = person_of(further);
    bool are_two;

    assert_true(person_keep_claims(&people, &person, kept));
    assert_null(json_object_get(kept, "sub"));
    are_two = people_are_two(&people, kept, person_of(other).token.claims);
    assert_int_equal(people_are_two(&people, person_of(other).token.claims, kept), are_two);
    return are_two;
}

#define ADDRESS(of) ",\"email\":\"" of "@acme.example\",\"email_verified\":true"
#define HERE "\"azp\":\"" CLIENT "\""
#define THERE "\"azp\":\"console\""

static void by_two_clients_addresses_tell_people_apart(void **state)
{
    static const struct {
        const char *one;
        const char *other;
        bool are_two;
    } rows[] = {
        { HERE, HERE, true },
        { THERE, THERE, true },
        { "", HERE, true }, /* by its aud */
        { HERE, THERE, false },
        { HERE ADDRESS("bo"), THERE, false },
        { HERE ADDRESS("bo"), THERE ADDRESS("bo"), false },
        { HERE ADDRESS("bo"), THERE ADDRESS("BO"), false },
        { HERE ADDRESS("bo"), THERE ADDRESS("al"), true },
        { HERE ADDRESS("bo"), THERE ",\"email\":\"al@acme.example\"", false },
        { HERE ADDRESS("bo"), THERE ",\"email\":\"al@acme.example\",\"email_verified\":false",
          false },
    };

    (void)state;
    assert_true(are_two(HERE, HERE ADDRESS("bo")));
    people.console_client_id = people.client_id;
    assert_false(people_have_two_clients(&people));
    people.console_client_id = STR("console");
    for (size_t i = 0; i < COUNT(rows); i++)
        if (are_two(rows[i].one, rows[i].other) != rows[i].are_two)
            fail_msg("row %zu", i);
    people.console_client_id = STR("");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(roles_follow_from_claims),
        cmocka_unit_test(a_role_is_for_its_tenants_only),
        cmocka_unit_test(an_owner_is_a_group_or_a_verified_address),
        cmocka_unit_test(other_tokens_are_no_person),
        cmocka_unit_test(a_token_of_the_console_is_a_person_s),
        cmocka_unit_test(no_issuer_of_runs_can_have_the_profile_of_people),
        cmocka_unit_test(a_run_s_actor_is_found_among_people),
        cmocka_unit_test(what_is_kept_of_a_person_tells_the_same),
        cmocka_unit_test(by_two_clients_addresses_tell_people_apart),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
