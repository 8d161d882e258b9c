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

static void a_grant_names_a_role_and_perhaps_a_namespace(void **state)
{
    static const struct fixture_case cases[] = {
        { "{ target: prod, role: payments-deploy }", NULL },
        { "{ role: a_b.c-1, namespace: teams/payments }", NULL },
        { "{ role: a, namespace: payments }", NULL },
        { "{ namespace: payments }", "'role' is missing here" },
        { "{ role: \"\" }", "must not be empty" },
        { "{ role: [a] }", "'role' must be text" },
        { "{ role: a/b }", "holds a character" },
        { "{ role: \"a b\" }", "holds a character" },
        { "{ role: \"a?x=1\" }", "holds a character" },
        { "{ role: a, namespace: \"\" }", "must not be empty" },
        { "{ role: a, namespace: /payments }", "no '/' at an end" },
        { "{ role: a, namespace: payments/ }", "no '/' at an end" },
        { "{ role: a, namespace: a//b }", "none beside another" },
        { "{ role: a, namespace: root }", "no namespace is called 'root'" },
        { "{ role: a, namespace: teams/Sys }", "no namespace is called 'Sys'" },
        { "{ role: a, namespace: ../b }", "no namespace is called '..'" },
    };

    fixture_check_all(*state, "vault", cases, COUNT(cases));
}

static void there_is_a_limit_to_each_size(void **state)
{
    fixture_check_limit(*state, "vault", "{ role: %s }", "a", 128);
    fixture_check_limit(*state, "vault", "{ role: a, namespace: %s }", "a", 512);
}

static void a_target_has_an_address(void **state)
{
    struct fixture *fixture = *state;

    assert_null(fixture_configure(fixture, "vault", "{ address: \"https://vault.example\" }"));
    assert_null(fixture_configure(fixture, "vault",
                                  "{ address: \"https://vault.example\", mount: ci/jwt }"));
    assert_null(fixture_configure(
        fixture, "vault", "{ address: \"https://v.example\", audience: v, algorithm: RS256 }"));
    assert_non_null(fixture_configure(fixture, "vault",
                                      "{ address: \"https://v.example\", algorithm: HS256 }"));
    assert_non_null(fixture_configure(fixture, "vault", "{ mount: jwt }"));
    assert_non_null(fixture_configure(fixture, "vault", "{ address: \"http://vault.example\" }"));
    assert_non_null(fixture_configure(fixture, "vault", "{ address: \"https://v.example/\" }"));
    assert_non_null(
        fixture_configure(fixture, "vault", "{ address: \"https://v.example\", mount: \"a b\" }"));
}

static void it_gives_the_role_in_its_namespace(void **state)
{
    struct fixture *fixture = *state;
    struct policy_target target = { .name = STR("prod-vault") };

    assert_string_equal(fixture_gives(fixture, "vault", "{ role: deploy }", &target),
                        "deploy as deploy@prod-vault");
    assert_null(fixture_configure(fixture, "vault", "{ address: \"https://vault.example\" }"));
    target.settings = fixture->target.settings;
    assert_string_equal(
        fixture_gives(fixture, "vault", "{ role: deploy, namespace: teams/pay }", &target),
        "teams/pay/deploy as teams/pay/deploy@https://vault.example");
    assert_int_equal(target_kind_find(STR("vault"))->grant.matching, POLICY_MATCHING_GLOB_ANY_CASE);
}

/* ---- minting ---- */

#define GRANT "{ target: prod, role: Payments-Deploy, namespace: teams/pay }"
#define AUTH(token, life, policies, more)                                                          \
    "{\"auth\":{\"client_token\":\"" token "\",\"accessor\":\"acc-1\",\"policies\":" policies      \
    ",\"token_policies\":" policies ",\"identity_policies\":null,\"metadata\":{\"role\":"          \
    "\"payments-deploy\"},\"lease_duration\":" life ",\"renewable\":true" more "}}"
#define GOOD AUTH("hvs.a", "900", "[\"default\",\"pay\"]", "")

static void configure(struct remote_fixture *fixture, const char *url)
{
    struct fixture *base = &fixture->base;
    char yaml[256];
    const char *message;

    (void)snprintf(yaml, sizeof(yaml), "{ address: \"%s\", allow_http: true, mount: ci/jwt }", url);
    message = fixture_configure(base, "vault", yaml);
    if (message)
        fail_msg("%s", message);
    assert_true(base->target.kind->start(&base->target, &base->tools, &base->error));
}

static enum progress mint_from(struct remote_fixture *fixture, int status, const char *body)
{
    const struct peer_script script = { status, str_from(body), 0 };

    fixture_again(&fixture->base);
    fixture->base.mint.ttl_s = 900;
    fixture_fields(&fixture->base, GRANT);
    return remote_mint_from(fixture, configure, &script, 1);
}

static void a_token_comes_back_as_it_was_given(void **state)
{
    struct remote_fixture *fixture = *state;
    const struct mint *mint = &fixture->base.mint;

    if (mint_from(fixture, 200, GOOD) != PROGRESS_DONE)
        fail_msg("%s", fixture->base.error.cause);
    assert_false(mint->may_exist);
    assert_str(fixture_text(mint->credential, "vault", "token"), "hvs.a");
    assert_str(fixture_text(mint->credential, "vault", "namespace"), "teams/pay");
    assert_true(str_starts_with(fixture_text(mint->credential, "vault", "address"),
                                STR("http://127.0.0.1:")));
    assert_str(fixture_text(mint->record, NULL, "id"), "acc-1");
    assert_str(fixture_text(mint->record, NULL, "namespace"), "teams/pay");
    assert_str(fixture_text(mint->handle, NULL, "token"), "hvs.a");
    assert_int_equal(mint->expires_s, FIXTURE_NOW_S + 900);
    assert_int_equal(target_revocation(target_kind_find(STR("vault")), mint), POLICY_REVOKED_NOW);
}

static void vault_is_asked_with_the_stages_token(void **state)
{
    struct remote_fixture *fixture = *state;
    JSON_OWNED json_t *login = NULL;
    const json_t *claims;

    assert_int_equal(mint_from(fixture, 200, GOOD), PROGRESS_DONE);
    assert_non_null(strstr(fixture->log.requests[0], "POST /v1/auth/ci/jwt/login HTTP/1.1\r\n"));
    assert_non_null(strstr(fixture->log.requests[0], "X-Vault-Namespace: teams/pay\r\n"));
    assert_true(json_parse_object(str_from(peer_body(&fixture->log, 0)), JSON_LIMITS_REQUEST,
                                  &login, &fixture->base.error));
    assert_str(fixture_text(login, NULL, "role"), "Payments-Deploy");
    claims = remote_claims(fixture, json_string_value(json_object_get(login, "jwt")), "ES256");
    assert_str(fixture_text(claims, NULL, "sub"), FIXTURE_STAGE);
    assert_true(str_starts_with(fixture_text(claims, NULL, "aud"), STR("http://127.0.0.1:")));
}

static void answers_that_are_not_what_was_asked_for_are_not_released(void **state)
{
    static const struct {
        const char *name;
        int status;
        const char *body;
        enum error_code code;
        bool may_exist;
        bool has_handle; /* it is ended */
    } cases[] = {
        { "nothing", 0, "", ERROR_MINT_UNKNOWN, true, false },
        { "html", 200, "<html>Sign in</html>", ERROR_MINT_UNKNOWN, true, false },
        { "a redirect", 307, "", ERROR_MINT_UNKNOWN, true, false },
        { "an empty object", 200, "{}", ERROR_MINT, true, false },
        { "no auth", 200, "{\"auth\":null}", ERROR_MINT, true, false },
        { "a token that is no 200", 201, GOOD, ERROR_MINT_UNKNOWN, true, false },
        { "no life", 200, AUTH("a", "null", "[\"p\"]", ""), ERROR_MINT, true, true },
        { "a token for ever", 200, AUTH("a", "0", "[\"p\"]", ""), ERROR_MINT, true, true },
        { "a longer life", 200, AUTH("a", "961", "[\"p\"]", ""), ERROR_MINT, true, true },
        { "an empty token", 200, AUTH("", "900", "[\"p\"]", ""), ERROR_MINT, true, false },
        { "a token for a shell", 200, AUTH("a`b`", "900", "[\"p\"]", ""), ERROR_MINT, true, true },
        { "a token with a line", 200, AUTH("a\\nb", "900", "[\"p\"]", ""), ERROR_MINT, true,
          false },
        { "root", 200, AUTH("a", "900", "[\"p\",\"root\"]", ""), ERROR_MINT, true, true },
        { "ROOT", 200, AUTH("a", "900", "[\"ROOT\"]", ""), ERROR_MINT, true, true },
        { "no policies", 200, AUTH("a", "900", "null", ""), ERROR_MINT, true, true },
        { "policies that are none", 200, AUTH("a", "900", "[1]", ""), ERROR_MINT, true, true },
        { "a batch token", 200, AUTH("a", "900", "[\"p\"]", ",\"token_type\":\"batch\""),
          ERROR_MINT, true, false },
        { "one by its name", 200, AUTH("hvb.a", "900", "[\"p\"]", ""), ERROR_MINT, true, false },
        { "another role", 200,
          "{\"auth\":{\"client_token\":\"a\",\"accessor\":\"b\",\"policies\":[\"p\"],"
          "\"metadata\":{\"role\":\"admin\"},\"lease_duration\":900,\"renewable\":true}}",
          ERROR_MINT, true, true },
        { "an error", 400, "{\"errors\":[\"role could not be found\"]}", ERROR_MINT, false, false },
        { "sealed", 503, "{\"errors\":[\"Vault is sealed\"]}", ERROR_MINT, false, false },
        { "an error of its own", 500, "{\"errors\":[\"internal\"]}", ERROR_MINT_UNKNOWN, true,
          false },
        { "an error beside a token", 400, "{\"errors\":[\"a\"],\"auth\":{}}", ERROR_MINT_UNKNOWN,
          true, false },
    };
    struct remote_fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        enum progress progress = mint_from(fixture, cases[i].status, cases[i].body);
        const struct mint *mint = &fixture->base.mint;

        if (progress != PROGRESS_FAILED || fixture->base.error.code != cases[i].code ||
            mint->may_exist != cases[i].may_exist || (mint->handle != NULL) != cases[i].has_handle)
            fail_msg("%s: %d %d %d %s", cases[i].name, progress, fixture->base.error.code,
                     mint->may_exist, fixture->base.error.cause);
        assert_null(mint->credential);
        assert_int_equal(target_revocation(target_kind_find(STR("vault")), mint),
                         cases[i].has_handle ? POLICY_REVOKED_NOW : POLICY_REVOKED_BY_EXPIRY);
    }
}

static void a_minute_more_is_taken(void **state)
{
    struct remote_fixture *fixture = *state;

    assert_int_equal(mint_from(fixture, 200, AUTH("a", "960", "[\"p\"]", "")), PROGRESS_DONE);
    assert_int_equal(fixture->base.mint.expires_s, FIXTURE_NOW_S + 960);
}

/* ---- ending ---- */

static enum progress revoke_from(struct remote_fixture *fixture, int status, const char *body,
                                 int64_t now_s)
{
    const struct peer_script script = { status, str_from(body), 0 };
    JSON_OWNED json_t *handle = json_pack("{s:s}", "token", "hvs.a");
    JSON_OWNED json_t *record = json_pack("{s:s,s:s}", "id", "acc-1", "namespace", "teams/pay");
    struct revocation revocation = {
        .handle = handle,
        .record = record,
        .expires_s = FIXTURE_NOW_S + 900,
        .now_s = now_s,
    };
    char url[64];
    struct peer *peer = peer_start(&script, 1, url);
    enum progress progress;

    configure(fixture, url);
    progress = remote_revoke(fixture, &revocation);
    peer_stop(peer, &fixture->log);
    return progress;
}

/* A proxy in front may tell the whole request; who reads the log has no business with tokens. */
static void what_is_told_of_a_token_that_did_not_end_is_not_the_token(void **state)
{
    static const char *const answers[] = {
        "{\"errors\":[\"X-Vault-Token: hvs.a is no good\"]}",
        "{\"errors\":[\"hvs.a\",\"b\"]}",
    };
    struct remote_fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(answers); i++) {
        assert_int_equal(revoke_from(fixture, 500, answers[i], FIXTURE_NOW_S), PROGRESS_FAILED);
        assert_non_null(strstr(fixture->base.error.cause, "refused to revoke with 500"));
        assert_null(strstr(fixture->base.error.cause, "hvs.a"));
        fixture_again(&fixture->base);
    }
}

static void a_token_revokes_itself(void **state)
{
    static const struct {
        int status;
        const char *body;
        int64_t later_s;
        bool is_done;
    } cases[] = {
        { 204, "", 0, true },
        { 200, "{}", 0, true },
        { 403, "{\"errors\":[\"permission denied\",\"invalid token\"]}", 0, true },
        { 403, "{\"errors\":[\"2 errors occurred: * permission denied * invalid token\"]}", 0,
          true },
        { 403, "{\"errors\":[\"bad token\"]}", 0, true },
        { 403, "{\"errors\":[\"permission denied\"]}", 899, false },
        { 403, "{\"errors\":[\"permission denied\"]}", 900, true },
        { 400, "{\"errors\":[\"invalid token\"]}", 900, false },
        { 503, "{\"errors\":[\"Vault is sealed\"]}", 900, false },
        { 404, "<html>", 900, false },
        { 307, "", 900, false },
        { 0, "", 900, false },
    };
    struct remote_fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        enum progress progress =
            revoke_from(fixture, cases[i].status, cases[i].body, FIXTURE_NOW_S + cases[i].later_s);

        if (progress != (cases[i].is_done ? PROGRESS_DONE : PROGRESS_FAILED))
            fail_msg("%zu: %d %s", i, progress, fixture->base.error.cause);
        if (!cases[i].is_done)
            assert_int_equal(fixture->base.error.code, ERROR_MINT);
        assert_null(strstr(fixture->base.error.cause, "hvs."));
    }
    assert_non_null(
        strstr(fixture->log.requests[0], "POST /v1/auth/token/revoke-self HTTP/1.1\r\n"));
    assert_non_null(strstr(fixture->log.requests[0], "X-Vault-Token: hvs.a\r\n"));
    assert_non_null(strstr(fixture->log.requests[0], "X-Vault-Namespace: teams/pay\r\n"));
}

static void what_is_not_kept_cannot_be_revoked(void **state)
{
    struct remote_fixture *fixture = *state;
    struct revocation revocation = { .now_s = FIXTURE_NOW_S };
    char url[64];

    peer_nobody(url);
    configure(fixture, url);
    assert_int_equal(remote_revoke(fixture, &revocation), PROGRESS_FAILED);
    assert_int_equal(fixture->base.error.code, ERROR_MINT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_grant_names_a_role_and_perhaps_a_namespace),
        TEST(there_is_a_limit_to_each_size),
        TEST(a_target_has_an_address),
        TEST(it_gives_the_role_in_its_namespace),
        TEST(a_token_comes_back_as_it_was_given),
        TEST(vault_is_asked_with_the_stages_token),
        TEST(answers_that_are_not_what_was_asked_for_are_not_released),
        TEST(a_minute_more_is_taken),
        TEST(what_is_told_of_a_token_that_did_not_end_is_not_the_token),
        TEST(a_token_revokes_itself),
        TEST(what_is_not_kept_cannot_be_revoked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
