#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/json.h"
#include "base/time_text.h"
#include "remote.h"
#include "targets/aws_credentials.h"
#include "targets/aws_internal.h"
#include "tests/assert_str.h"
#include "tests/test.h"

/* A target with keys: the file that they are in, AssumeRole, and the revoker that is assumed so. */

#define ID "AKIAEXAMPLEBROKER001"
#define SECRET "example/secret+key"
#define BASE "aws_access_key_id = " ID "\naws_secret_access_key = " SECRET "\n"
#define TOKEN "aws_session_token = base-token==\n"
#define ROLE "arn:aws:iam::111122223333:role/ci/payments-deploy"
#define SESSION "acme-payments-8817263541-" FIXTURE_LEASE
#define GRANT                                                                                      \
    "{target: prod, role: \"" ROLE "\", tags: {team: pay, empty: \"-\"}, "                         \
    "transitive_tags: [team, stage], allow: [{actions: [\"s3:PutObject\"], resources: [\"*\"]}]}"
#define SPACE " xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"
#define ASSUMED(action, arn, source)                                                               \
    "<" action "Response" SPACE "<" action "Result><Credentials><AccessKeyId>"                     \
    "ASIAEXAMPLE000000001</AccessKeyId><SecretAccessKey>secret/given</SecretAccessKey>"            \
    "<SessionToken>token-given</SessionToken><Expiration>2027-01-15T08:15:00Z</Expiration>"        \
    "</Credentials><AssumedRoleUser><Arn>" arn "</Arn></AssumedRoleUser>" source                   \
    "<PackedPolicySize>7</PackedPolicySize></" action "Result></" action "Response>"
#define GIVEN(action)                                                                              \
    ASSUMED(action, "arn:aws:sts::111122223333:assumed-role/payments-deploy/" SESSION,             \
            "<SourceIdentity>" FIXTURE_LEASE "</SourceIdentity>")

static char path[256];

static void put(struct remote_fixture *fixture, const char *text, unsigned mode)
{
    (void)snprintf(path, sizeof(path), "%s/aws-keys", fixture->base.folder);
    (void)remove(path);
    assert_true(file_create(path, str_from(text), mode, &fixture->base.error));
    assert_int_equal(chmod(path, mode), 0); /* whatever the umask */
}

static int set_up(void **state)
{
    static struct remote_fixture fixture;

    remote_init(&fixture);
    put(&fixture, BASE, 0600);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    (void)remove(path);
    remote_release(*state);
    return 0;
}

/* ---- the file ---- */

static bool read_keys(struct remote_fixture *fixture, struct aws_keys *keys)
{
    fixture->base.error = (struct error){ 0 };
    return aws_credentials_read(path, fixture->base.arena, keys, &fixture->base.error);
}

static void keys_are_read_as_aws_writes_them(void **state)
{
    static const char *const files[] = {
        BASE,
        "[default]\n" BASE,
        "# ours\n; too\n\n[default]\r\naws_secret_access_key=" SECRET
        "\r\n  aws_access_key_id\t=  " ID "  \r\n",
        "aws_secret_access_key = " SECRET "\naws_access_key_id = " ID,
    };
    struct remote_fixture *fixture = *state;
    struct aws_keys keys;

    for (size_t i = 0; i < COUNT(files); i++) {
        put(fixture, files[i], 0600);
        if (!read_keys(fixture, &keys))
            fail_msg("%s: %s", files[i], fixture->base.error.cause);
        assert_str(keys.access_key_id, ID);
        assert_str(keys.secret_access_key, SECRET);
        assert_int_equal(keys.session_token.len, 0);
    }
    put(fixture, BASE TOKEN, 0400);
    assert_true(read_keys(fixture, &keys));
    assert_str(keys.session_token, "base-token==");
}

static void a_file_that_says_something_else_is_refused_and_not_quoted(void **state)
{
    static const char *const files[] = {
        "",
        "[default]\n",
        "aws_access_key_id = " ID "\n",
        "aws_secret_access_key = " SECRET "\n",
        "aws_access_key_id = AKIASHORT\naws_secret_access_key = " SECRET "\n",
        "aws_access_key_id = " ID "\naws_secret_access_key =\n",
        "aws_access_key_id = " ID "\naws_secret_access_key = " SECRET " x\n",
        BASE "aws_access_key_id = " ID "\n",
        BASE "aws_session_token = a b\n",
        BASE "region = eu-central-1\n",
        BASE "role_arn = " ROLE "\n",
        BASE "credential_process = /bin/true\n",
        BASE SECRET "\n",
        "[other]\n" BASE,
        "[default]\n[default]\n" BASE,
        BASE "[default]\n",
        BASE "[other]\naws_access_key_id = " ID "\n",
        "{\"AccessKeyId\": \"" ID "\", \"SecretAccessKey\": \"" SECRET "\"}",
    };
    struct remote_fixture *fixture = *state;
    struct aws_keys keys;

    for (size_t i = 0; i < COUNT(files); i++) {
        put(fixture, files[i], 0600);
        if (read_keys(fixture, &keys) || fixture->base.error.code != ERROR_SYNTAX)
            fail_msg("%s: %s", files[i], fixture->base.error.cause);
        assert_null(strstr(fixture->base.error.cause, SECRET));
        assert_null(strstr(fixture->base.error.cause, ID));
    }
}

static void a_file_that_others_may_read_is_refused(void **state)
{
    static const unsigned modes[] = { 0644, 0604, 0660, 0666, 0700 };
    struct remote_fixture *fixture = *state;
    struct aws_keys keys;

    for (size_t i = 0; i < COUNT(modes); i++) {
        put(fixture, BASE, modes[i]);
        if (read_keys(fixture, &keys) || fixture->base.error.code != ERROR_CONFIG)
            fail_msg("%04o: %s", modes[i], fixture->base.error.cause);
        assert_non_null(strstr(fixture->base.error.cause, "chmod 0600"));
    }
}

static void a_file_has_a_limit(void **state)
{
    static char text[AWS_CREDENTIALS_FILE_MAX + 2];
    struct remote_fixture *fixture = *state;
    struct aws_keys keys;

    memset(text, '\n', AWS_CREDENTIALS_FILE_MAX);
    memcpy(text, BASE, strlen(BASE));
    put(fixture, text, 0600);
    assert_true(read_keys(fixture, &keys));
    text[AWS_CREDENTIALS_FILE_MAX] = '\n';
    put(fixture, text, 0600);
    assert_false(read_keys(fixture, &keys));
    assert_int_equal(fixture->base.error.code, ERROR_LIMIT);
}

static void a_key_has_a_limit(void **state)
{
    static const struct {
        size_t id_len;
        size_t secret_len;
        bool is_good;
    } cases[] = {
        { 16, 1, true },   { 15, 1, false },   { 128, 1, true },
        { 129, 1, false }, { 16, 1024, true }, { 16, 1025, false },
    };
    struct remote_fixture *fixture = *state;
    struct aws_keys keys;
    char text[2048];

    for (size_t i = 0; i < COUNT(cases); i++) {
        (void)snprintf(text, sizeof(text),
                       "aws_access_key_id = %0*d\naws_secret_access_key = %0*d\n",
                       (int)cases[i].id_len, 1, (int)cases[i].secret_len, 1);
        put(fixture, text, 0600);
        if (read_keys(fixture, &keys) != cases[i].is_good)
            fail_msg("%zu %zu", cases[i].id_len, cases[i].secret_len);
    }
}

/* ---- asking ---- */

static const char *more_settings = "";

static void configure(struct remote_fixture *fixture, const char *url)
{
    char yaml[768];
    const char *message;

    (void)snprintf(yaml, sizeof(yaml),
                   "{type: aws, region: eu-central-1, accounts: [\"111122223333\"], "
                   "endpoint: \"%s\", iam_endpoint: \"%s\", allow_http: true, revoke: role_policy, "
                   "revoker_role: stagepass-revoker, credentials_file: \"%s\"%s}",
                   url, url, path, more_settings);
    message = fixture_configure(&fixture->base, "aws", yaml);
    if (message)
        fail_msg("%s", message);
}

static enum progress mint_from(struct remote_fixture *fixture, int status, const char *body)
{
    const struct peer_script script = { status, str_from(body), 0 };

    fixture_fields(&fixture->base, GRANT);
    return remote_mint_from(fixture, configure, &script, 1);
}

static void assert_field(struct remote_fixture *fixture, const char *name, const char *value)
{
    assert_string_equal(remote_form_field(fixture, 0, name), value);
}

static void a_role_is_asked_for_with_what_a_token_would_say(void **state)
{
    struct remote_fixture *fixture = *state;

    if (mint_from(fixture, 200, GIVEN("AssumeRole")) != PROGRESS_DONE)
        fail_msg("%s", fixture->base.error.cause);
    assert_field(fixture, "Action", "AssumeRole");
    assert_field(fixture, "Version", "2011-06-15");
    assert_field(fixture, "RoleArn", ROLE);
    assert_field(fixture, "RoleSessionName", SESSION);
    assert_field(fixture, "DurationSeconds", "900");
    assert_field(fixture, "SourceIdentity", FIXTURE_LEASE);
    assert_field(fixture, "Policy",
                 "{\"Statement\":[{\"Action\":[\"s3:PutObject\"],\"Effect\":\"Allow\","
                 "\"Resource\":[\"*\"]}],\"Version\":\"2012-10-17\"}");
    assert_field(fixture, "Tags.member.1.Key", "team");
    assert_field(fixture, "Tags.member.1.Value", "pay");
    assert_field(fixture, "Tags.member.3.Key", "stage");
    assert_field(fixture, "Tags.member.3.Value", FIXTURE_STAGE);
    assert_field(fixture, "Tags.member.5.Key", "run");
    assert_false(remote_form_has(fixture, 0, "Tags.member.6.Key"));
    assert_field(fixture, "TransitiveTagKeys.member.1", "team");
    assert_field(fixture, "TransitiveTagKeys.member.2", "stage");
    assert_false(remote_form_has(fixture, 0, "TransitiveTagKeys.member.3"));
    assert_false(remote_form_has(fixture, 0, "WebIdentityToken"));
    assert_false(remote_form_has(fixture, 0, "ExternalId"));
}

static void an_external_id_goes_along(void **state)
{
    struct remote_fixture *fixture = *state;

    more_settings = ", external_id: \"acme:broker/1+2=3,4.5@6_7-8\"";
    assert_int_equal(mint_from(fixture, 200, GIVEN("AssumeRole")), PROGRESS_DONE);
    more_settings = "";
    assert_field(fixture, "ExternalId", "acme:broker/1+2=3,4.5@6_7-8");
}

static void the_request_is_signed_and_has_no_secret(void **state)
{
    struct remote_fixture *fixture = *state;
    const char *request = fixture->log.requests[0];

    assert_int_equal(mint_from(fixture, 200, GIVEN("AssumeRole")), PROGRESS_DONE);
    assert_non_null(strstr(request, "POST / HTTP/1.1\r\n"));
    assert_non_null(strstr(request, "Credential=" ID "/20270115/eu-central-1/sts/aws4_request, "
                                    "SignedHeaders=content-type;host;x-amz-date, Signature="));
    assert_non_null(strstr(request, "X-Amz-Date: 20270115T080000Z\r\n"));
    assert_null(strstr(request, "X-Amz-Security-Token"));
    assert_null(strstr(request, SECRET));
}

static void what_comes_is_given_on(void **state)
{
    struct remote_fixture *fixture = *state;
    const struct mint *mint = &fixture->base.mint;

    assert_int_equal(mint_from(fixture, 200, GIVEN("AssumeRole")), PROGRESS_DONE);
    assert_str(fixture_text(mint->credential, "aws", "access_key_id"), "ASIAEXAMPLE000000001");
    assert_str(fixture_text(mint->credential, "aws", "session_token"), "token-given");
    assert_str(fixture_text(mint->record, NULL, "id"), "ASIAEXAMPLE000000001");
    assert_str(fixture_text(mint->record, NULL, "session"), SESSION);
    assert_int_equal(mint->expires_s, FIXTURE_NOW_S + 900);
    assert_false(mint->may_exist);
}

static void keys_that_changed_sign_the_next_request(void **state)
{
    struct remote_fixture *fixture = *state;
    const char *request = fixture->log.requests[0];

    assert_int_equal(mint_from(fixture, 200, GIVEN("AssumeRole")), PROGRESS_DONE);
    fixture_again(&fixture->base);
    put(fixture,
        "aws_access_key_id = ASIAEXAMPLEBROKER002\naws_secret_access_key = another\n" TOKEN, 0600);
    assert_int_equal(mint_from(fixture, 200, GIVEN("AssumeRole")), PROGRESS_DONE);
    assert_non_null(strstr(request, "Credential=ASIAEXAMPLEBROKER002/"));
    assert_non_null(strstr(
        request, "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, Signature="));
    assert_non_null(strstr(request, "X-Amz-Security-Token: base-token==\r\n"));
}

/* ---- what is not released, or not asked ---- */

static void the_answer_of_another_action_is_not_released(void **state)
{
    struct remote_fixture *fixture = *state;

    assert_int_equal(mint_from(fixture, 200, GIVEN("AssumeRoleWithWebIdentity")), PROGRESS_FAILED);
    assert_int_equal(fixture->base.error.code, ERROR_MINT_UNKNOWN);
    assert_true(fixture->base.mint.may_exist);
    assert_null(fixture->base.mint.credential);
}

static void another_role_or_source_is_not_released(void **state)
{
    static const char *const bodies[] = {
        ASSUMED("AssumeRole", "arn:aws:sts::111122223333:assumed-role/admin/" SESSION, ""),
        ASSUMED("AssumeRole", "arn:aws:sts::111122223333:assumed-role/payments-deploy/" SESSION,
                "<SourceIdentity>somebody</SourceIdentity>"),
    };
    struct remote_fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(bodies); i++) {
        assert_int_equal(mint_from(fixture, 200, bodies[i]), PROGRESS_FAILED);
        assert_int_equal(fixture->base.error.code, ERROR_MINT);
        assert_null(fixture->base.mint.credential);
        fixture_again(&fixture->base);
    }
}

static void a_refusal_says_what_it_means(void **state)
{
    static const struct {
        const char *code;
        const char *meaning;
    } cases[] = {
        { "AccessDenied", "the role must trust the keys" },
        { "InvalidClientTokenId", "unknown or inactive" },
        { "SignatureDoesNotMatch", "a wrong clock" },
        { "RequestExpired", "the clock is wrong" },
        { "ExpiredToken", "the session of 'credentials_file' is over" },
        { "PackedPolicyTooLarge", "too large together" },
        { "Throttling", "\"Throttling\": \"no" },
        { "InvalidIdentityToken", "\"InvalidIdentityToken\": \"no" }, /* there was no token */
    };
    struct remote_fixture *fixture = *state;
    char body[512];

    for (size_t i = 0; i < COUNT(cases); i++) {
        (void)snprintf(body, sizeof(body),
                       "<ErrorResponse" SPACE "<Error><Code>%s</Code><Message>no&#10;x</Message>"
                       "</Error></ErrorResponse>",
                       cases[i].code);
        assert_int_equal(mint_from(fixture, 403, body), PROGRESS_FAILED);
        assert_int_equal(fixture->base.error.code, ERROR_MINT);
        assert_false(fixture->base.mint.may_exist);
        if (!strstr(fixture->base.error.cause, cases[i].meaning))
            fail_msg("%s", fixture->base.error.cause);
        assert_null(strchr(fixture->base.error.cause, '\n'));
        fixture_again(&fixture->base);
    }
}

static void without_good_keys_nobody_is_asked(void **state)
{
    struct remote_fixture *fixture = *state;
    char url[64];

    peer_nobody(url);
    configure(fixture, url);
    put(fixture, BASE, 0644);
    fixture_fields(&fixture->base, GRANT);
    assert_int_equal(remote_mint(fixture), PROGRESS_FAILED);
    assert_int_equal(fixture->base.error.code, ERROR_MINT);
    assert_non_null(strstr(fixture->base.error.cause, "chmod 0600"));
    assert_false(fixture->base.mint.may_exist);
    fixture_again(&fixture->base);
    assert_int_equal(remove(path), 0);
    assert_int_equal(remote_mint(fixture), PROGRESS_FAILED);
    assert_non_null(strstr(fixture->base.error.cause, "no keys for STS"));
}

/* ---- an hour, for a role's own keys ---- */

static void a_session_s_keys_ask_for_an_hour_at_most(void **state)
{
    struct remote_fixture *fixture = *state;

    put(fixture, BASE TOKEN, 0600);
    fixture->base.mint.ttl_s = 3601;
    assert_int_equal(mint_from(fixture, 200, GIVEN("AssumeRole")), PROGRESS_FAILED);
    assert_non_null(strstr(fixture->base.error.cause, "at most 3600 s"));
    assert_false(fixture->base.mint.may_exist);
    fixture_again(&fixture->base);
    fixture->base.mint.ttl_s = 3600;
    assert_int_equal(mint_from(fixture, 200, GIVEN("AssumeRole")), PROGRESS_DONE);
    assert_field(fixture, "DurationSeconds", "3600");
    fixture_again(&fixture->base);
    put(fixture, BASE, 0600);
    fixture->base.mint.ttl_s = 3601;
    assert_int_equal(mint_from(fixture, 200, GIVEN("AssumeRole")), PROGRESS_DONE);
}

/* What a check at load says of a grant of that many seconds. */
static const char *said_of(struct remote_fixture *fixture, int64_t ttl_s)
{
    const char *url = "http://127.0.0.1:1";

    configure(fixture, url);
    return fixture_check_life(&fixture->base, "aws", GRANT, ttl_s);
}

static void a_longer_grant_is_refused_at_load(void **state)
{
    struct remote_fixture *fixture = *state;
    const char *message;

    assert_null(said_of(fixture, 43200));
    put(fixture, BASE TOKEN, 0600);
    assert_null(said_of(fixture, 3600));
    message = said_of(fixture, 3601);
    assert_non_null(message);
    assert_non_null(strstr(message, "an hour at most, 'ttl' is 3601 s"));
    put(fixture, BASE TOKEN, 0644); /* not known where they cannot be read */
    assert_null(said_of(fixture, 3601));
}

/* ---- the target ---- */

static void a_start_needs_the_keys(void **state)
{
    struct remote_fixture *fixture = *state;
    struct fixture *base = &fixture->base;
    const struct target_kind *kind = target_kind_find(STR("aws"));

    configure(fixture, "http://127.0.0.1:1");
    assert_true(kind->start(&base->target, &base->tools, &base->error));
    put(fixture, BASE, 0640 | 0004);
    assert_false(kind->start(&base->target, &base->tools, &base->error));
    assert_non_null(strstr(base->error.cause, "chmod 0600"));
    assert_int_equal(remove(path), 0);
    base->error = (struct error){ 0 };
    assert_false(kind->start(&base->target, &base->tools, &base->error));
    assert_non_null(strstr(base->error.cause, "cannot open"));
}

#define TARGET "region: eu-central-1, accounts: [\"111122223333\"], credentials_file: keys"

static void keys_and_tokens_exclude_each_other(void **state)
{
    static const char *const cases[] = {
        "{" TARGET ", audience: sts.amazonaws.com}",
        "{" TARGET ", algorithm: ES256}",
        "{" TARGET ", endpoint: \"https://sts.example/x\"}",
        "{region: a, accounts: [\"111122223333\"], credentials_file: \"\"}",
        "{region: a, accounts: [\"111122223333\"], credentials_file: [a]}",
    };
    struct remote_fixture *fixture = *state;
    const struct aws_settings *own;

    for (size_t i = 0; i < COUNT(cases); i++)
        if (!fixture_configure(&fixture->base, "aws", cases[i]))
            fail_msg("%s was accepted", cases[i]);
    assert_null(fixture_configure(&fixture->base, "aws", "{" TARGET "}"));
    own = fixture->base.target.settings;
    assert_string_equal(own->credentials_file, "conf/keys");
}

static void an_external_id_is_of_aws_s_form_and_for_keys_only(void **state)
{
    static const struct {
        size_t len;
        bool is_good;
    } cases[] = { { 1, false }, { 2, true }, { 1224, true }, { 1225, false } };
    struct remote_fixture *fixture = *state;
    char text[1226];
    char yaml[1400];

    for (size_t i = 0; i < COUNT(cases); i++) {
        memset(text, 'a', sizeof(text));
        text[cases[i].len] = '\0';
        (void)snprintf(yaml, sizeof(yaml), "{" TARGET ", external_id: %s}", text);
        if ((fixture_configure(&fixture->base, "aws", yaml) == NULL) != cases[i].is_good)
            fail_msg("%zu", cases[i].len);
    }
    assert_non_null(fixture_configure(&fixture->base, "aws", "{" TARGET ", external_id: \"a b\"}"));
    assert_non_null(fixture_configure(&fixture->base, "aws", "{" TARGET ", external_id: \"\"}"));
    assert_string_equal(
        fixture_configure(&fixture->base, "aws",
                          "{region: a, accounts: [\"111122223333\"], external_id: acme}"),
        "'external_id' is for 'credentials_file' only");
}

static void short_stages_have_a_role_too(void **state)
{
    struct remote_fixture *fixture = *state;

    fixture->base.mint.stage = STR("a/b:c"); /* too short for a token's subject */
    assert_int_equal(mint_from(fixture, 200, GIVEN("AssumeRole")), PROGRESS_DONE);
    assert_field(fixture, "Tags.member.3.Value", "a/b:c");
}

/* ---- revoking ---- */

static void the_revoker_is_assumed_with_the_keys_too(void **state)
{
    static const struct peer_script scripts[] = {
        { 200,
          STR_INIT(ASSUMED("AssumeRole",
                           "arn:aws:sts::111122223333:assumed-role/stagepass-revoker/"
                           "revoke-" FIXTURE_LEASE,
                           "")),
          0 },
        { 200,
          STR_INIT("<PutRolePolicyResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\">"
                   "</PutRolePolicyResponse>"),
          0 },
        { 0, STR_INIT(""), 0 },
    };
    struct remote_fixture *fixture = *state;
    JSON_OWNED json_t *record = json_pack("{s:s}", "role", ROLE);
    struct revocation revocation = {
        .stage = STR(FIXTURE_STAGE),
        .lease = STR(FIXTURE_LEASE),
        .record = record,
        .expires_s = FIXTURE_NOW_S + 900,
        .now_s = FIXTURE_NOW_S,
    };
    char url[64];
    struct peer *peer = peer_start(scripts, COUNT(scripts), url);
    enum progress progress;

    configure(fixture, url);
    progress = remote_revoke(fixture, &revocation);
    peer_stop(peer, &fixture->log);
    if (progress != PROGRESS_DONE)
        fail_msg("%s", fixture->base.error.cause);
    assert_field(fixture, "Action", "AssumeRole");
    assert_field(fixture, "RoleArn", "arn:aws:iam::111122223333:role/stagepass-revoker");
    assert_field(fixture, "DurationSeconds", "900");
    assert_false(remote_form_has(fixture, 0, "SourceIdentity"));
    assert_false(remote_form_has(fixture, 0, "Tags.member.1.Key"));
    assert_non_null(strstr(fixture->log.requests[0], "Credential=" ID "/"));
    assert_non_null(strstr(fixture->log.requests[1], "Credential=ASIAEXAMPLE000000001/"));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(keys_are_read_as_aws_writes_them),
        TEST(a_file_that_says_something_else_is_refused_and_not_quoted),
        TEST(a_file_that_others_may_read_is_refused),
        TEST(a_file_has_a_limit),
        TEST(a_key_has_a_limit),
        TEST(a_role_is_asked_for_with_what_a_token_would_say),
        TEST(an_external_id_goes_along),
        TEST(an_external_id_is_of_aws_s_form_and_for_keys_only),
        TEST(the_request_is_signed_and_has_no_secret),
        TEST(what_comes_is_given_on),
        TEST(keys_that_changed_sign_the_next_request),
        TEST(the_answer_of_another_action_is_not_released),
        TEST(another_role_or_source_is_not_released),
        TEST(a_refusal_says_what_it_means),
        TEST(without_good_keys_nobody_is_asked),
        TEST(a_session_s_keys_ask_for_an_hour_at_most),
        TEST(a_longer_grant_is_refused_at_load),
        TEST(a_start_needs_the_keys),
        TEST(keys_and_tokens_exclude_each_other),
        TEST(short_stages_have_a_role_too),
        TEST(the_revoker_is_assumed_with_the_keys_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
