#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "remote.h"
#include "tests/assert_str.h"
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

#define CLIENT "0f8fad5b-d9cb-469f-a165-70867728950e"
#define DIRECTORY "7c9e6679-7425-40de-944b-e07fc1f90ae7"
#define TARGET "{ directory: " DIRECTORY ", clients: [" CLIENT "] }"
#define SETTINGS(more) "{ directory: " DIRECTORY ", clients: [" CLIENT "], " more " }"
#define SCOPE(text) "{ target: prod, client_id: " CLIENT ", scope: \"" text "\" }"

static int set_up_target(void **state)
{
    (void)set_up(state);
    assert_null(fixture_configure(*state, "azure", TARGET));
    return 0;
}

static void a_grant_is_one_application_and_one_resource(void **state)
{
    static const struct fixture_case cases[] = {
        { SCOPE("https://management.azure.com/.default"), NULL },
        { SCOPE("https://vault.azure.net//.default"), NULL },
        { SCOPE("api://" DIRECTORY "/.default"), NULL },
        { SCOPE(DIRECTORY "/.default"), NULL },
        { "{ client_id: 0F8FAD5B-D9CB-469F-A165-70867728950E, scope: api://a/.default }", NULL },
        { "{ scope: api://a/.default }", "'client_id' is missing here" },
        { "{ client_id: " CLIENT " }", "'scope' is missing here" },
        { "{ client_id: " CLIENT ", scope: [api://a/.default] }", "'scope' must be text" },
        { SCOPE("https://management.azure.com"), "expected one RESOURCE/.default" },
        { SCOPE("https://management.azure.com/user_impersonation"),
          "expected one RESOURCE/.default" },
        { SCOPE("/.default"), "expected one RESOURCE/.default" },
        { SCOPE("https:///.default"), "expected one RESOURCE/.default" },
        { SCOPE("https://.default"), "expected one RESOURCE/.default" },
        { SCOPE("http://management.azure.com/.default"), "expected one RESOURCE/.default" },
        { SCOPE("graph/.default"), "expected one RESOURCE/.default" },
        { SCOPE("https://a/.default https://b/.default"), "holds a character" },
        { "{ client_id: a, scope: api://a/.default }", "expected an application's id" },
        { "{ client_id: 0f8fad5bd9cb-469f-a165-70867728950e-, scope: api://a/.default }",
          "expected an application's id" },
        { "{ client_id: payments, scope: api://a/.default }", "holds a character" },
        { "{ client_id: " DIRECTORY ", scope: api://a/.default }", "is not one of the target's" },
    };

    fixture_check_all(*state, "azure", cases, COUNT(cases));
}

static void there_is_a_limit_to_each_size(void **state)
{
    fixture_check_limit(*state, "azure", "{ client_id: " CLIENT ", scope: api://%s/.default }", "a",
                        512 - 15);
}

static void a_target_is_a_directory_with_its_applications(void **state)
{
    struct fixture *fixture = *state;

    assert_non_null(fixture_configure(fixture, "azure", "{ directory: " DIRECTORY " }"));
    assert_non_null(fixture_configure(fixture, "azure", "{ clients: [" CLIENT "] }"));
    assert_non_null(
        fixture_configure(fixture, "azure", "{ directory: " DIRECTORY ", clients: [] }"));
    assert_non_null(
        fixture_configure(fixture, "azure", "{ directory: acme, clients: [" CLIENT "] }"));
    assert_non_null(
        fixture_configure(fixture, "azure", "{ directory: " DIRECTORY ", clients: [abc] }"));
    assert_null(fixture_configure(fixture, "azure", SETTINGS("cloud: usgov")));
    assert_null(fixture_configure(fixture, "azure", SETTINGS("endpoint: \"https://a/token\"")));
    assert_non_null(fixture_configure(fixture, "azure", SETTINGS("cloud: germany")));
    assert_non_null(
        fixture_configure(fixture, "azure", SETTINGS("endpoint: \"http://127.0.0.1\"")));
}

static void it_gives_the_resource_as_the_application(void **state)
{
    assert_string_equal(
        fixture_gives(*state, "azure", SCOPE("https://management.azure.com/.default"), NULL),
        "https://management.azure.com, https://management.azure.com/ as " CLIENT);
    assert_string_equal(
        fixture_gives(*state, "azure", SCOPE("https://management.azure.com//.default"), NULL),
        "https://management.azure.com, https://management.azure.com/ as " CLIENT);
    assert_true(
        str_starts_with(str_from(fixture_gives(*state, "azure", SCOPE(CLIENT "/.default"), NULL)),
                        STR("everything")));
    assert_int_equal(target_kind_find(STR("azure"))->grant.matching, POLICY_MATCHING_GLOB_ANY_CASE);
}

/* ---- minting ---- */

#define GRANT SCOPE("https://management.azure.com/.default")
#define GIVEN(token, life, more)                                                                   \
    "{\"token_type\":\"Bearer\",\"expires_in\":" life ",\"ext_expires_in\":" life                  \
    ",\"access_token\":\"" token "\"" more "}"
#define GOOD GIVEN("eyJ.a.b", "3599", "")

static const char *more_settings = "";

static void configure(struct remote_fixture *fixture, const char *url)
{
    struct fixture *base = &fixture->base;
    char yaml[512];
    const char *message;

    (void)snprintf(yaml, sizeof(yaml),
                   SETTINGS("endpoint: \"%s/%s/oauth2/v2.0/token\", allow_http: true%s"), url,
                   DIRECTORY, more_settings);
    message = fixture_configure(base, "azure", yaml);
    if (message)
        fail_msg("%s", message);
    assert_true(base->target.kind->start(&base->target, &base->tools, &base->error));
}

static enum progress mint_from(struct remote_fixture *fixture, int status, const char *body)
{
    const struct peer_script script = { status, str_from(body), 0 };

    fixture_again(&fixture->base);
    fixture->base.mint.ttl_s = 5400;
    fixture_fields(&fixture->base, GRANT);
    return remote_mint_from(fixture, configure, &script, 1);
}

static void assert_done(const struct remote_fixture *fixture, enum progress progress)
{
    if (progress != PROGRESS_DONE)
        fail_msg("%s", fixture->base.error.cause);
    assert_false(fixture->base.mint.may_exist);
}

static void a_token_comes_back_as_it_was_given(void **state)
{
    struct remote_fixture *fixture = *state;
    const struct mint *mint = &fixture->base.mint;

    assert_done(fixture, mint_from(fixture, 200, GOOD));
    assert_str(fixture_text(mint->credential, "azure", "access_token"), "eyJ.a.b");
    assert_str(fixture_text(mint->credential, "azure", "client_id"), CLIENT);
    assert_str(fixture_text(mint->credential, "azure", "tenant_id"), DIRECTORY);
    assert_str(fixture_text(mint->credential, "azure", "scope"),
               "https://management.azure.com/.default");
    assert_int_equal(mint->expires_s, FIXTURE_NOW_S + 3599);
    assert_str(fixture_text(mint->record, NULL, "client_id"), CLIENT);
    assert_str(fixture_text(mint->record, NULL, "id"),
               "sha256:a2f87c139971562e09f710712e09ab7b1c438164652a02cbb810476f2af03ce2");
}

/* {"uti":"..."} as the middle of a token. */
static void the_record_has_what_sign_in_logs_call_the_token(void **state)
{
    static const struct {
        const char *token;
        const char *uti; /* NULL: none */
    } cases[] = {
        { "e30.eyJ1dGkiOiJUcC0xX2EifQ.c2ln", "Tp-1_a" },
        { "e30.eyJ1dGkiOiJhIGIifQ.c2ln", NULL }, /* "a b" */
        { "e30.eyJ1dGkiOjF9.c2ln", NULL },       /* 1 */
        { "e30.eyJ1dGkiOiJUcC0xX2EifQ", NULL },  /* two parts */
        { "e30.~.c2ln", NULL },
        { "opaque", NULL },
    };
    struct remote_fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *body =
            arena_printf(fixture->base.arena, GIVEN("%s", "3599", ""), cases[i].token).data;
        const json_t *uti;

        assert_done(fixture, mint_from(fixture, 200, body));
        uti = json_object_get(fixture->base.mint.record, "uti");
        if (cases[i].uti)
            assert_string_equal(json_string_value(uti), cases[i].uti);
        else
            assert_null(uti);
    }
}

static void entra_is_asked_with_an_assertion_by_rsa(void **state)
{
    struct remote_fixture *fixture = *state;
    const json_t *claims;

    assert_done(fixture, mint_from(fixture, 200, GOOD));
    assert_non_null(
        strstr(fixture->log.requests[0], "POST /" DIRECTORY "/oauth2/v2.0/token HTTP/1.1\r\n"));
    assert_string_equal(remote_form_field(fixture, 0, "client_id"), CLIENT);
    assert_string_equal(remote_form_field(fixture, 0, "grant_type"), "client_credentials");
    assert_string_equal(remote_form_field(fixture, 0, "scope"),
                        "https://management.azure.com/.default");
    assert_string_equal(remote_form_field(fixture, 0, "client_assertion_type"),
                        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    claims = remote_claims(fixture, remote_form_field(fixture, 0, "client_assertion"), "RS256");
    assert_str(fixture_text(claims, NULL, "iss"), FIXTURE_ISSUER);
    assert_str(fixture_text(claims, NULL, "sub"), FIXTURE_STAGE);
    assert_str(fixture_text(claims, NULL, "aud"), "api://AzureADTokenExchange");
}

static void another_cloud_takes_another_audience(void **state)
{
    struct remote_fixture *fixture = *state;
    const json_t *claims;

    more_settings = ", cloud: usgov";
    assert_done(fixture, mint_from(fixture, 200, GOOD));
    more_settings = "";
    claims = remote_claims(fixture, remote_form_field(fixture, 0, "client_assertion"), "RS256");
    assert_str(fixture_text(claims, NULL, "aud"), "api://AzureADTokenExchangeUSGov");
}

static void assert_withheld(struct remote_fixture *fixture, enum progress progress,
                            enum error_code code, bool may_exist, const char *name)
{
    const struct mint *mint = &fixture->base.mint;

    if (progress != PROGRESS_FAILED || fixture->base.error.code != code ||
        mint->may_exist != may_exist)
        fail_msg("%s: %d %d %d %s", name, progress, fixture->base.error.code, mint->may_exist,
                 fixture->base.error.cause);
    assert_null(mint->credential);
    assert_str(fixture_text(mint->record, NULL, "client_id"), CLIENT);
    fixture_again(&fixture->base);
}

static void answers_that_are_not_what_was_asked_for_are_not_released(void **state)
{
    static const struct {
        const char *name;
        int status;
        const char *body;
        enum error_code code;
        bool may_exist;
    } cases[] = {
        { "nothing", 0, "", ERROR_MINT_UNKNOWN, true },
        { "html", 200, "<html>Sign in</html>", ERROR_MINT_UNKNOWN, true },
        { "a redirect", 302, "", ERROR_MINT_UNKNOWN, true },
        { "an empty object", 200, "{}", ERROR_MINT, true },
        { "a token that is no 200", 201, GOOD, ERROR_MINT_UNKNOWN, true },
        { "no life", 200, "{\"token_type\":\"Bearer\",\"access_token\":\"a\"}", ERROR_MINT, true },
        { "no life left", 200, GIVEN("a", "0", ""), ERROR_MINT, true },
        { "a longer life", 200, GIVEN("a", "5461", ""), ERROR_MINT, true },
        { "a day", 200, GIVEN("a", "86400", ""), ERROR_MINT, true },
        { "an empty token", 200, GIVEN("", "3599", ""), ERROR_MINT, true },
        { "a token with a line", 200, GIVEN("a\\nb", "3599", ""), ERROR_MINT, true },
        { "a token for a shell", 200, GIVEN("a;b", "3599", ""), ERROR_MINT, true },
        { "a token that is padded within", 200, GIVEN("a=b", "3599", ""), ERROR_MINT, true },
        { "another type", 200,
          "{\"token_type\":\"pop\",\"expires_in\":3599,\"access_token\":\"a\"}", ERROR_MINT, true },
        { "another scope", 200, GIVEN("a", "3599", ",\"scope\":\"https://graph/.default\""),
          ERROR_MINT, true },
        { "an error beside a token", 200, GIVEN("a", "3599", ",\"error\":\"invalid_client\""),
          ERROR_MINT, true },
        { "an error", 401, "{\"error\":\"invalid_client\",\"error_codes\":[700213]}", ERROR_MINT,
          false },
    };
    struct remote_fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(cases); i++)
        assert_withheld(fixture, mint_from(fixture, cases[i].status, cases[i].body), cases[i].code,
                        cases[i].may_exist, cases[i].name);
}

static void ninety_minutes_and_one_are_taken(void **state)
{
    struct remote_fixture *fixture = *state;

    assert_done(fixture, mint_from(fixture, 200, GIVEN("Az0-._~+/==", "5460", "")));
    assert_int_equal(fixture->base.mint.expires_s, FIXTURE_NOW_S + 5460);
}

/* What is decided follows from `error`; the numbers only help whoever reads the log. */
static void a_refusal_says_what_to_do(void **state)
{
    static const struct {
        const char *codes;
        const char *advice;
    } cases[] = {
        { "[700213]", "has this stage as subject" },
        { "[700211,50000]", "has our issuer" },
        { "[7002138]", "upper and lower case" },
        { "[700024]", "clock" },
        { "[700027]", "key set" },
        { "[900382]", "'cloud'" },
        { "[1]", "invalid_client\": \"AADSTS" },
        { "[]", "invalid_client\": \"AADSTS" },
        { "\"700213\"", "invalid_client\": \"AADSTS" },
    };
    struct remote_fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct str body = arena_printf(fixture->base.arena,
                                       "{\"error\":\"invalid_client\",\"error_description\":"
                                       "\"AADSTS1: x\\r\\nTrace\",\"error_codes\":%s}",
                                       cases[i].codes);

        assert_int_equal(mint_from(fixture, 401, body.data), PROGRESS_FAILED);
        if (!strstr(fixture->base.error.cause, cases[i].advice))
            fail_msg("%s: %s", cases[i].codes, fixture->base.error.cause);
        assert_null(strchr(fixture->base.error.cause, '\n'));
        assert_null(strstr(fixture->base.error.message, "AADSTS"));
    }
}

static void a_request_that_never_left_leaves_nothing_behind(void **state)
{
    struct remote_fixture *fixture = *state;
    char url[64];

    peer_nobody(url);
    configure(fixture, url);
    fixture_fields(&fixture->base, GRANT);
    assert_withheld(fixture, remote_mint(fixture), ERROR_MINT, false, "nobody listens");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_target, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_grant_is_one_application_and_one_resource),
        TEST(there_is_a_limit_to_each_size),
        TEST(a_target_is_a_directory_with_its_applications),
        TEST(it_gives_the_resource_as_the_application),
        TEST(a_token_comes_back_as_it_was_given),
        TEST(the_record_has_what_sign_in_logs_call_the_token),
        TEST(entra_is_asked_with_an_assertion_by_rsa),
        TEST(another_cloud_takes_another_audience),
        TEST(answers_that_are_not_what_was_asked_for_are_not_released),
        TEST(ninety_minutes_and_one_are_taken),
        TEST(a_refusal_says_what_to_do),
        TEST(a_request_that_never_left_leaves_nothing_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
