#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/time_text.h"
#include "remote.h"
#include "tests/assert_str.h"
#include "tests/test.h"

#define PROVIDER                                                                                   \
    "//iam.googleapis.com/projects/123456/locations/global/workloadIdentityPools/ci/providers/b"
#define ACCOUNT "deploy@acme-prod.iam.gserviceaccount.com"
#define SCOPE "https://www.googleapis.com/auth/devstorage.read_write"
#define READ "https://www.googleapis.com/auth/devstorage.read_only"
#define GRANT "{target: prod, service_account: " ACCOUNT ", scopes: [\"" SCOPE "\"]}"
#define OWN_GRANT "{target: prod, scopes: [\"" SCOPE "\", \"" READ "\"]}"
#define BOUND_GRANT                                                                                \
    "{target: prod, service_account: " ACCOUNT ", scopes: [\"" SCOPE "\"],"                        \
    " boundary: [{bucket: artifacts, prefix: build-7/, roles: roles/storage.objectViewer}]}"
#define BOUNDARY                                                                                   \
    "{\"accessBoundary\":{\"accessBoundaryRules\":[{\"availabilityCondition\":{\"expression\":"    \
    "\"resource.name.startsWith('projects/_/buckets/artifacts/objects/build-7/')\"},"              \
    "\"availablePermissions\":[\"inRole:roles/storage.objectViewer\"],\"availableResource\":"      \
    "\"//storage.googleapis.com/projects/_/buckets/artifacts\"}]}}"
#define ACCESS "urn:ietf:params:oauth:token-type:access_token"
#define EXCHANGED(token, more)                                                                     \
    "{\"access_token\":\"" token "\",\"issued_token_type\":\"" ACCESS                              \
    "\",\"token_type\":\"Bearer\"" more "}"
#define FEDERATED EXCHANGED("ya29.federated", ",\"expires_in\":3599")

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

static const char *more_settings = "";

static void configure(struct remote_fixture *fixture, const char *url)
{
    struct fixture *base = &fixture->base;
    char yaml[512];
    const char *message;

    (void)snprintf(yaml, sizeof(yaml),
                   "{projects: [acme-prod], provider: " PROVIDER ", sts_endpoint: \"%s\","
                   " iam_endpoint: \"%s\", allow_http: true%s}",
                   url, url, more_settings);
    message = fixture_configure(base, "gcp", yaml);
    if (message)
        fail_msg("%s", message);
    assert_true(base->target.kind->start(&base->target, &base->tools, &base->error));
}

static enum progress mint_from(struct remote_fixture *fixture, const char *fields,
                               const struct peer_script *scripts, size_t count)
{
    fixture_again(&fixture->base);
    fixture_fields(&fixture->base, fields);
    return remote_mint_from(fixture, configure, scripts, count);
}

/* What iamcredentials answers. */
static struct str account_token(struct remote_fixture *fixture, int64_t life_s)
{
    char time[TIME_TEXT_S_LEN + 1];

    time_text_s(FIXTURE_NOW_S + life_s, time);
    return arena_printf(fixture->base.arena,
                        "{\"accessToken\":\"ya29.account\",\"expireTime\":\"%s\"}", time);
}

static enum progress mint_account(struct remote_fixture *fixture, struct peer_script second)
{
    const struct peer_script scripts[] = { { 200, STR(FEDERATED), 0 }, second };

    return mint_from(fixture, GRANT, scripts, COUNT(scripts));
}

static void assert_done(const struct remote_fixture *fixture, enum progress progress)
{
    if (progress != PROGRESS_DONE)
        fail_msg("%s", fixture->base.error.cause);
    assert_false(fixture->base.mint.may_exist);
}

static void a_service_account_s_token_takes_two_steps(void **state)
{
    struct remote_fixture *fixture = *state;
    const struct mint *mint = &fixture->base.mint;

    assert_done(fixture,
                mint_account(fixture, (struct peer_script){ 200, account_token(fixture, 900), 0 }));
    assert_str(fixture_text(mint->credential, "gcp", "access_token"), "ya29.account");
    assert_str(fixture_text(mint->credential, "gcp", "service_account"), ACCOUNT);
    assert_str(fixture_text(mint->credential, "gcp", "project"), "acme-prod");
    assert_int_equal(mint->expires_s, FIXTURE_NOW_S + 900);
    assert_str(fixture_text(mint->record, NULL, "service_account"), ACCOUNT);
    assert_str(fixture_text(mint->record, NULL, "id"),
               "sha256:d06a4246de0563cac19015659807b8034e6ba571788f9307dd32a26adc4a33b4");
}

static void google_s_sts_is_asked_for_no_more_than_impersonation_takes(void **state)
{
    struct remote_fixture *fixture = *state;
    const json_t *claims;

    assert_done(fixture,
                mint_account(fixture, (struct peer_script){ 200, account_token(fixture, 900), 0 }));
    assert_non_null(strstr(fixture->log.requests[0], "POST /v1/token HTTP/1.1\r\n"));
    assert_null(strstr(fixture->log.requests[0], "Authorization"));
    assert_string_equal(remote_form_field(fixture, 0, "grant_type"),
                        "urn:ietf:params:oauth:grant-type:token-exchange");
    assert_string_equal(remote_form_field(fixture, 0, "audience"), PROVIDER);
    assert_string_equal(remote_form_field(fixture, 0, "scope"),
                        "https://www.googleapis.com/auth/iam");
    assert_string_equal(remote_form_field(fixture, 0, "requested_token_type"), ACCESS);
    assert_string_equal(remote_form_field(fixture, 0, "subject_token_type"),
                        "urn:ietf:params:oauth:token-type:jwt");
    assert_false(remote_form_has(fixture, 0, "options"));
    claims = remote_claims(fixture, remote_form_field(fixture, 0, "subject_token"), "ES256");
    assert_str(fixture_text(claims, NULL, "aud"), "https:" PROVIDER);
    assert_str(fixture_text(claims, NULL, "sub"), FIXTURE_STAGE);
    assert_str(fixture_text(claims, NULL, "pipeline"), "acme/payments");
}

static void the_account_s_token_is_asked_for_the_grant_s_scopes_and_life(void **state)
{
    struct remote_fixture *fixture = *state;
    const char *request = fixture->log.requests[1];

    assert_done(fixture,
                mint_account(fixture, (struct peer_script){ 200, account_token(fixture, 900), 0 }));
    assert_non_null(strstr(request, "POST /v1/projects/-/serviceAccounts/" ACCOUNT
                                    ":generateAccessToken HTTP/1.1\r\n"));
    assert_non_null(strstr(request, "\r\nAuthorization: Bearer ya29.federated\r\n"));
    assert_non_null(strstr(request, "\r\nContent-Type: application/json\r\n"));
    assert_string_equal(peer_body(&fixture->log, 1),
                        "{\"lifetime\":\"900s\",\"scope\":[\"" SCOPE "\"]}");
}

static void a_target_chooses_subject_audience_and_algorithm(void **state)
{
    struct remote_fixture *fixture = *state;
    const json_t *claims;

    more_settings = ", subject: run, audience: \"https://a.example\", algorithm: RS256";
    assert_done(fixture,
                mint_account(fixture, (struct peer_script){ 200, account_token(fixture, 900), 0 }));
    more_settings = "";
    claims = remote_claims(fixture, remote_form_field(fixture, 0, "subject_token"), "RS256");
    assert_str(fixture_text(claims, NULL, "aud"), "https://a.example");
    assert_str(fixture_text(claims, NULL, "sub"), FIXTURE_STAGE ":run:8817263541");
}

static void a_boundary_is_a_third_step(void **state)
{
    struct remote_fixture *fixture = *state;
    const struct mint *mint = &fixture->base.mint;
    const struct peer_script scripts[] = {
        { 200, STR(FEDERATED), 0 },
        { 200, account_token(fixture, 900), 0 },
        { 200, STR(EXCHANGED("ya29.bound", "")), 0 },
    };

    assert_done(fixture, mint_from(fixture, BOUND_GRANT, scripts, COUNT(scripts)));
    assert_str(fixture_text(mint->credential, "gcp", "access_token"), "ya29.bound");
    assert_int_equal(mint->expires_s, FIXTURE_NOW_S + 900); /* as what it is made from */
    assert_string_equal(remote_form_field(fixture, 2, "subject_token"), "ya29.account");
    assert_string_equal(remote_form_field(fixture, 2, "subject_token_type"), ACCESS);
    assert_string_equal(remote_form_field(fixture, 2, "requested_token_type"), ACCESS);
    assert_string_equal(remote_form_field(fixture, 2, "options"), BOUNDARY);
    assert_false(remote_form_has(fixture, 2, "audience"));
}

static void a_bound_token_that_ends_earlier_is_said_to(void **state)
{
    struct remote_fixture *fixture = *state;
    const struct peer_script scripts[] = {
        { 200, STR(FEDERATED), 0 },
        { 200, account_token(fixture, 900), 0 },
        { 200, STR(EXCHANGED("ya29.bound", ",\"expires_in\":60")), 0 },
    };

    assert_done(fixture, mint_from(fixture, BOUND_GRANT, scripts, COUNT(scripts)));
    assert_int_equal(fixture->base.mint.expires_s, FIXTURE_NOW_S + 60);
}

static void without_an_account_the_stage_acts_as_itself_for_an_hour(void **state)
{
    struct remote_fixture *fixture = *state;
    struct mint *mint = &fixture->base.mint;
    const struct peer_script script = { 200, STR(FEDERATED), 0 };

    mint->ttl_s = 3600;
    assert_done(fixture, mint_from(fixture, OWN_GRANT, &script, 1));
    assert_str(fixture_text(mint->credential, "gcp", "access_token"), "ya29.federated");
    assert_null(json_object_get(json_object_get(mint->credential, "gcp"), "service_account"));
    assert_string_equal(remote_form_field(fixture, 0, "scope"), SCOPE " " READ);
    assert_int_equal(mint->expires_s, FIXTURE_NOW_S + 3599);
    assert_str(fixture_text(mint->record, NULL, "provider"), PROVIDER);
    mint->ttl_s = 3599;
    fixture_again(&fixture->base);
    assert_int_equal(remote_mint(fixture), PROGRESS_FAILED);
    assert_int_equal(fixture->base.error.code, ERROR_MINT);
}

/* ---- what is not released ---- */

static void assert_withheld(struct remote_fixture *fixture, enum progress progress,
                            enum error_code code, bool may_exist, const char *name)
{
    const struct mint *mint = &fixture->base.mint;

    if (progress != PROGRESS_FAILED || fixture->base.error.code != code ||
        mint->may_exist != may_exist)
        fail_msg("%s: %d %d %d %s", name, progress, fixture->base.error.code, mint->may_exist,
                 fixture->base.error.cause);
    assert_null(mint->credential);
    assert_str(fixture_text(mint->record, NULL, "service_account"), ACCOUNT);
    assert_null(strstr(fixture->base.error.cause, "ya29"));
    fixture_again(&fixture->base);
}

struct case_of_answer {
    const char *name;
    int status;
    const char *body;
    enum error_code code;
    bool may_exist;
};

static void first_answers_that_are_not_what_was_asked_for_are_not_gone_on_with(void **state)
{
    static const struct case_of_answer cases[] = {
        { "nothing", 0, "", ERROR_MINT_UNKNOWN, true },
        { "html", 502, "<html>Bad Gateway</html>", ERROR_MINT_UNKNOWN, true },
        { "a redirect", 302, "", ERROR_MINT_UNKNOWN, true },
        { "an empty object", 200, "{}", ERROR_MINT, true },
        { "no object", 200, "[]", ERROR_MINT_UNKNOWN, true },
        { "a member twice", 200, "{\"access_token\":\"a\",\"access_token\":\"b\"}",
          ERROR_MINT_UNKNOWN, true },
        { "no life", 200, EXCHANGED("ya29.a", ""), ERROR_MINT, true },
        { "life as text", 200, EXCHANGED("ya29.a", ",\"expires_in\":\"3599\""), ERROR_MINT, true },
        { "no life left", 200, EXCHANGED("ya29.a", ",\"expires_in\":0"), ERROR_MINT, true },
        { "a day", 200, EXCHANGED("ya29.a", ",\"expires_in\":86400"), ERROR_MINT, true },
        { "ages", 200, EXCHANGED("ya29.a", ",\"expires_in\":9223372036854775807"), ERROR_MINT,
          true },
        { "a token with a line", 200, EXCHANGED("ya29.a\\nx", ",\"expires_in\":3599"), ERROR_MINT,
          true },
        { "an empty token", 200, EXCHANGED("", ",\"expires_in\":3599"), ERROR_MINT, true },
        { "another type", 200,
          "{\"access_token\":\"a\",\"issued_token_type\":\"" ACCESS
          "\",\"token_type\":\"N_A\",\"expires_in\":3599}",
          ERROR_MINT, true },
        { "another kind of token", 200,
          "{\"access_token\":\"a\",\"issued_token_type\":\"urn:ietf:params:oauth:token-type:jwt\","
          "\"token_type\":\"Bearer\",\"expires_in\":3599}",
          ERROR_MINT, true },
        { "an error beside a token", 200,
          EXCHANGED("ya29.a", ",\"expires_in\":3599,\"error\":\"x\""), ERROR_MINT, true },
        { "an error that is no text", 400, "{\"error\":{}}", ERROR_MINT, false },
        { "an error", 400, "{\"error\":\"invalid_grant\",\"error_description\":\"no\\nx\"}",
          ERROR_MINT, false },
        { "a token that is no 200", 400, FEDERATED, ERROR_MINT_UNKNOWN, true },
    };
    struct remote_fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct peer_script script = { cases[i].status, str_from(cases[i].body), 0 };
        enum progress progress = mint_from(fixture, GRANT, &script, 1);

        assert_withheld(fixture, progress, cases[i].code, cases[i].may_exist, cases[i].name);
    }
}

static void second_answers_that_are_not_what_was_asked_for_are_not_released(void **state)
{
    static const struct case_of_answer cases[] = {
        { "nothing", 0, "", ERROR_MINT_UNKNOWN, true },
        { "html", 502, "<html>Bad Gateway</html>", ERROR_MINT_UNKNOWN, true },
        { "a redirect", 302, "", ERROR_MINT_UNKNOWN, true },
        { "an empty object", 200, "{}", ERROR_MINT, true },
        { "no end", 200, "{\"accessToken\":\"ya29.a\"}", ERROR_MINT, true },
        { "an end that is none", 200, "{\"accessToken\":\"ya29.a\",\"expireTime\":\"soon\"}",
          ERROR_MINT, true },
        { "an end that is a date", 200,
          "{\"accessToken\":\"ya29.a\",\"expireTime\":\"2027-01-16\"}", ERROR_MINT, true },
        { "a token for a shell", 200,
          "{\"accessToken\":\"$(a)\",\"expireTime\":\"2027-01-15T08:15:00Z\"}", ERROR_MINT, true },
        { "an end that was", 200,
          "{\"accessToken\":\"ya29.a\",\"expireTime\":\"2027-01-15T08:00:00Z\"}", ERROR_MINT,
          true },
        { "a longer life", 200,
          "{\"accessToken\":\"ya29.a\",\"expireTime\":\"2027-01-15T08:16:01Z\"}", ERROR_MINT,
          true },
        { "no token", 200, "{\"expireTime\":\"2027-01-15T08:15:00Z\"}", ERROR_MINT, true },
        { "a token with a space", 200,
          "{\"accessToken\":\"ya29 a\",\"expireTime\":\"2027-01-15T08:15:00Z\"}", ERROR_MINT,
          true },
        { "an error beside a token", 200,
          "{\"accessToken\":\"ya29.a\",\"expireTime\":\"2027-01-15T08:15:00Z\","
          "\"error\":{\"code\":403,\"status\":\"PERMISSION_DENIED\",\"message\":\"no\"}}",
          ERROR_MINT, true },
        { "an error", 403,
          "{\"error\":{\"code\":403,\"status\":\"PERMISSION_DENIED\",\"message\":\"no\"}}",
          ERROR_MINT, false },
    };
    struct remote_fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        enum progress progress = mint_account(
            fixture, (struct peer_script){ cases[i].status, str_from(cases[i].body), 0 });

        assert_withheld(fixture, progress, cases[i].code, cases[i].may_exist, cases[i].name);
    }
}

static void a_minute_more_and_a_fraction_of_a_second_are_taken(void **state)
{
    struct remote_fixture *fixture = *state;

    assert_done(fixture, mint_account(fixture, (struct peer_script){
                                                   200,
                                                   STR("{\"accessToken\":\"ya29.a\",\"expireTime\":"
                                                       "\"2027-01-15T08:16:00.123456789Z\"}"),
                                                   0 }));
    assert_int_equal(fixture->base.mint.expires_s, FIXTURE_NOW_S + 960);
}

static void a_wider_scope_is_not_released(void **state)
{
    static const struct {
        const char *scope;
        bool is_released;
    } cases[] = {
        { SCOPE, true },
        { READ " " SCOPE, true },
        { SCOPE " https://www.googleapis.com/auth/cloud-platform", false },
        { "https://www.googleapis.com/auth/cloud-platform", false },
    };
    struct remote_fixture *fixture = *state;

    fixture->base.mint.ttl_s = 3600;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct peer_script script = {
            200,
            arena_printf(fixture->base.arena,
                         EXCHANGED("ya29.a", ",\"expires_in\":3599,\"scope\":\"%s\""),
                         cases[i].scope),
            0
        };

        assert_int_equal(mint_from(fixture, OWN_GRANT, &script, 1) == PROGRESS_DONE,
                         cases[i].is_released);
        assert_true(fixture->base.mint.may_exist == !cases[i].is_released);
    }
}

static void a_bound_token_that_lives_longer_is_not_released(void **state)
{
    struct remote_fixture *fixture = *state;
    const struct peer_script scripts[] = {
        { 200, STR(FEDERATED), 0 },
        { 200, account_token(fixture, 900), 0 },
        { 200, STR(EXCHANGED("ya29.bound", ",\"expires_in\":961")), 0 },
    };

    assert_withheld(fixture, mint_from(fixture, BOUND_GRANT, scripts, COUNT(scripts)), ERROR_MINT,
                    true, "961 s");
}

/* Never the unbounded token instead. */
static void without_its_boundary_no_token_is_released(void **state)
{
    struct remote_fixture *fixture = *state;
    const struct peer_script scripts[] = {
        { 200, STR(FEDERATED), 0 },
        { 200, account_token(fixture, 900), 0 },
        { 400, STR("{\"error\":\"invalid_request\",\"error_description\":\"no\"}"), 0 },
    };

    assert_withheld(fixture, mint_from(fixture, BOUND_GRANT, scripts, COUNT(scripts)), ERROR_MINT,
                    false, "400");
}

static void a_refusal_says_what_to_do(void **state)
{
    struct remote_fixture *fixture = *state;
    struct peer_script script = { 400, STR("{\"error\":\"invalid_target\"}"), 0 };

    assert_int_equal(mint_from(fixture, GRANT, &script, 1), PROGRESS_FAILED);
    assert_non_null(strstr(fixture->base.error.cause, "disabled or deleted"));
    script = (struct peer_script){ 403, STR("{\"error\":{\"status\":\"PERMISSION_DENIED\"}}"), 0 };
    assert_int_equal(mint_account(fixture, script), PROGRESS_FAILED);
    assert_non_null(strstr(fixture->base.error.cause, "roles/iam.workloadIdentityUser"));
    assert_null(strstr(fixture->base.error.message, "Google"));
}

static void a_refusal_that_has_the_token_is_not_told(void **state)
{
    struct remote_fixture *fixture = *state;
    const struct peer_script script = {
        403, STR("{\"error\":{\"message\":\"Bearer ya29.federated is no good\"}}"), 0
    };

    assert_int_equal(mint_account(fixture, script), PROGRESS_FAILED);
    assert_null(strstr(fixture->base.error.cause, "ya29"));
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

static void a_subject_that_is_too_long_is_not_sent(void **state)
{
    static char run[100];
    struct remote_fixture *fixture = *state;

    memset(run, '7', sizeof(run));
    more_settings = ", subject: run";
    configure(fixture, "http://127.0.0.1:1");
    more_settings = "";
    fixture->base.mint.run = (struct str){ run, 127 - strlen(FIXTURE_STAGE ":run:") + 1 };
    fixture_fields(&fixture->base, GRANT);
    assert_withheld(fixture, remote_mint(fixture), ERROR_MINT, false, "128 bytes");
}

/* An answer that breaks off anywhere is no answer: a token may exist, and none is given out. */
static void no_part_of_an_answer_is_taken_for_the_whole(void **state)
{
    struct remote_fixture *fixture = *state;
    struct str whole = account_token(fixture, 900);

    for (size_t len = 0; len < whole.len; len += 3) {
        const struct peer_script scripts[] = {
            { 200, STR(FEDERATED), 0 },
            { 200, str_slice(whole, 0, len), len % 2 },
        };

        assert_withheld(fixture, mint_from(fixture, GRANT, scripts, COUNT(scripts)),
                        ERROR_MINT_UNKNOWN, true, "a part");
    }
}

/* Wherever memory ends, nothing is released; once there is enough the token is. */
static void without_memory_nothing_is_released(void **state)
{
    struct remote_fixture *fixture = *state;
    struct mint *mint = &fixture->base.mint;
    const struct peer_script scripts[] = {
        { 200, STR(FEDERATED), 0 },
        { 200, account_token(fixture, 900), 0 },
        { 200, STR(EXCHANGED("ya29.bound", "")), 0 },
    };
    struct arena *whole = mint->arena;
    enum progress progress = PROGRESS_FAILED;
    size_t failures = 0;

    for (size_t max = 256; progress != PROGRESS_DONE && max < (size_t)64 * 1024; max += 256) {
        struct arena *small = arena_new(max);

        assert_non_null(small);
        mint->arena = small;
        progress = mint_from(fixture, BOUND_GRANT, scripts, COUNT(scripts));
        assert_true((progress == PROGRESS_DONE) == (mint->credential != NULL));
        assert_true((progress == PROGRESS_FAILED) == (fixture->base.error.code != ERROR_NONE));
        failures += progress == PROGRESS_FAILED;
        mint->state = NULL;
        mint->arena = whole;
        arena_free(small);
    }
    assert_int_equal(progress, PROGRESS_DONE);
    assert_true(failures > 10);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_service_account_s_token_takes_two_steps),
        TEST(google_s_sts_is_asked_for_no_more_than_impersonation_takes),
        TEST(the_account_s_token_is_asked_for_the_grant_s_scopes_and_life),
        TEST(a_target_chooses_subject_audience_and_algorithm),
        TEST(a_boundary_is_a_third_step),
        TEST(a_bound_token_that_ends_earlier_is_said_to),
        TEST(without_an_account_the_stage_acts_as_itself_for_an_hour),
        TEST(first_answers_that_are_not_what_was_asked_for_are_not_gone_on_with),
        TEST(second_answers_that_are_not_what_was_asked_for_are_not_released),
        TEST(a_minute_more_and_a_fraction_of_a_second_are_taken),
        TEST(a_wider_scope_is_not_released),
        TEST(a_bound_token_that_lives_longer_is_not_released),
        TEST(without_its_boundary_no_token_is_released),
        TEST(a_refusal_says_what_to_do),
        TEST(a_refusal_that_has_the_token_is_not_told),
        TEST(a_request_that_never_left_leaves_nothing_behind),
        TEST(a_subject_that_is_too_long_is_not_sent),
        TEST(no_part_of_an_answer_is_taken_for_the_whole),
        TEST(without_memory_nothing_is_released),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
