#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "base/json.h"
#include "base/time_text.h"
#include "remote.h"
#include "targets/aws_internal.h"
#include "tests/assert_str.h"
#include "tests/test.h"

#define ROLE "arn:aws:iam::111122223333:role/ci/payments-deploy"
#define GRANT                                                                                      \
    "{target: prod, role: \"" ROLE "\", tags: {team: payments}, policy_arns: "                     \
    "\"arn:aws:iam::aws:policy/A\", allow: [{actions: [\"s3:PutObject\"], resources: [\"*\"]}]}"
#define KEY_ID_MAX 128
#define SESSION "acme-payments-8817263541-" FIXTURE_LEASE
#define SESSION_ARN "arn:aws:sts::111122223333:assumed-role/payments-deploy/" SESSION

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

static const struct target_kind *kind(void)
{
    return target_kind_find(STR("aws"));
}

static void use_endpoint(struct remote_fixture *fixture, const char *url)
{
    char yaml[256];
    const char *message;

    (void)snprintf(yaml, sizeof(yaml),
                   "{type: aws, region: eu-central-1, accounts: [\"111122223333\"], "
                   "endpoint: \"%s\", allow_http: true}",
                   url);
    message = fixture_configure(&fixture->base, "aws", yaml);
    if (message)
        fail_msg("%s", message);
}

static void use_rsa(struct remote_fixture *fixture, const char *url)
{
    struct fixture *base = &fixture->base;
    char yaml[256];

    (void)snprintf(yaml, sizeof(yaml),
                   "{type: aws, region: eu-central-1, accounts: [\"111122223333\"], "
                   "algorithm: RS256, endpoint: \"%s\", allow_http: true}",
                   url);
    assert_null(fixture_configure(base, "aws", yaml));
    assert_true(kind()->start(&base->target, &base->tools, &base->error));
}

static enum progress mint_from(struct remote_fixture *fixture, struct peer_script script)
{
    fixture_fields(&fixture->base, GRANT);
    return remote_mint_from(fixture, use_endpoint, &script, 1);
}

/* Answers of STS. */

struct answer_parts {
    const char *session_arn;
    const char *audience;
    const char *subject;
    const char *source;
    const char *key_id;
    const char *secret;
    const char *token;
    const char *extra;
    const char *expiration; /* NULL: `life_s` from now */
    int64_t life_s;
};

static const struct answer_parts good = {
    .session_arn = SESSION_ARN,
    .audience = "sts.amazonaws.com",
    .subject = FIXTURE_STAGE,
    .source = FIXTURE_LEASE,
    .key_id = "ASIAEXAMPLE000000001",
    .secret = "secret/access+key",
    .token = "session-token==",
    .extra = "",
    .life_s = 900,
};

static struct str answer_of(struct remote_fixture *fixture, const struct answer_parts *parts)
{
    char expiration[TIME_TEXT_S_LEN + 1];

    time_text_s(FIXTURE_NOW_S + parts->life_s, expiration);
    return arena_printf(
        fixture->base.arena,
        "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"
        "<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>%s</AccessKeyId>"
        "<SecretAccessKey>%s</SecretAccessKey><SessionToken>%s</SessionToken>"
        "<Expiration>%s</Expiration></Credentials><Audience>%s</Audience>"
        "<SubjectFromWebIdentityToken>%s</SubjectFromWebIdentityToken>"
        "<AssumedRoleUser><Arn>%s</Arn></AssumedRoleUser><SourceIdentity>%s</SourceIdentity>"
        "<PackedPolicySize>23</PackedPolicySize>%s</AssumeRoleWithWebIdentityResult>"
        "</AssumeRoleWithWebIdentityResponse>",
        parts->key_id, parts->secret, parts->token,
        parts->expiration ? parts->expiration : expiration, parts->audience, parts->subject,
        parts->session_arn, parts->source, parts->extra);
}

static enum progress mint_with(struct remote_fixture *fixture, const struct answer_parts *parts)
{
    return mint_from(fixture,
                     (struct peer_script){ .status = 200, .body = answer_of(fixture, parts) });
}

/* What was sent. */

static const char *form_field(struct remote_fixture *fixture, const char *name)
{
    return remote_form_field(fixture, 0, name);
}

static const json_t *assertion_of(struct remote_fixture *fixture)
{
    return remote_claims(fixture, form_field(fixture, "WebIdentityToken"), "ES256");
}

static void credentials_come_back_as_they_were_given(void **state)
{
    struct remote_fixture *fixture = *state;
    struct mint *mint = &fixture->base.mint;

    if (mint_with(fixture, &good) != PROGRESS_DONE)
        fail_msg("%s", fixture->base.error.cause);
    assert_str(fixture_text(mint->credential, "aws", "access_key_id"), "ASIAEXAMPLE000000001");
    assert_str(fixture_text(mint->credential, "aws", "secret_access_key"), "secret/access+key");
    assert_str(fixture_text(mint->credential, "aws", "session_token"), "session-token==");
    assert_str(fixture_text(mint->credential, "aws", "region"), "eu-central-1");
    assert_str(fixture_text(mint->credential, "aws", "account_id"), "111122223333");
    assert_int_equal(mint->expires_s, FIXTURE_NOW_S + 900);
    assert_false(mint->may_exist);
}

static void the_record_names_the_session_and_no_secret(void **state)
{
    struct remote_fixture *fixture = *state;
    const json_t *record;
    struct str text;

    assert_int_equal(mint_with(fixture, &good), PROGRESS_DONE);
    record = fixture->base.mint.record;
    assert_str(fixture_text(record, NULL, "id"), "ASIAEXAMPLE000000001");
    assert_str(fixture_text(record, NULL, "session"), SESSION);
    assert_str(fixture_text(record, NULL, "role"), ROLE);
    assert_int_equal(json_integer_value(json_object_get(record, "packed_policy_percent")), 23);
    text = json_text(fixture->base.arena, record);
    assert_null(strstr(text.data, "secret"));
    assert_null(strstr(text.data, "session-token"));
}

static void sts_is_asked_for_the_role_and_life_of_the_policy(void **state)
{
    struct remote_fixture *fixture = *state;

    assert_int_equal(mint_with(fixture, &good), PROGRESS_DONE);
    assert_string_equal(form_field(fixture, "Action"), "AssumeRoleWithWebIdentity");
    assert_string_equal(form_field(fixture, "Version"), "2011-06-15");
    assert_string_equal(form_field(fixture, "RoleArn"), ROLE);
    assert_string_equal(form_field(fixture, "RoleSessionName"), SESSION);
    assert_string_equal(form_field(fixture, "DurationSeconds"), "900");
}

static void sts_is_asked_for_no_more_than_the_policy_allows(void **state)
{
    struct remote_fixture *fixture = *state;

    assert_int_equal(mint_with(fixture, &good), PROGRESS_DONE);
    assert_string_equal(form_field(fixture, "PolicyArns.member.1.arn"),
                        "arn:aws:iam::aws:policy/A");
    assert_string_equal(form_field(fixture, "Policy"),
                        "{\"Statement\":[{\"Action\":[\"s3:PutObject\"],\"Effect\":\"Allow\","
                        "\"Resource\":[\"*\"]}],\"Version\":\"2012-10-17\"}");
}

static void the_assertion_is_for_one_role_stage_and_lease(void **state)
{
    struct remote_fixture *fixture = *state;
    const json_t *claims;
    const json_t *tags;

    assert_int_equal(mint_with(fixture, &good), PROGRESS_DONE);
    claims = assertion_of(fixture);
    assert_str(fixture_text(claims, NULL, "iss"), FIXTURE_ISSUER);
    assert_str(fixture_text(claims, NULL, "sub"), FIXTURE_STAGE);
    assert_str(fixture_text(claims, NULL, "aud"), "sts.amazonaws.com");
    assert_str(fixture_text(claims, NULL, "https://aws.amazon.com/roles"), ROLE);
    assert_str(fixture_text(claims, NULL, "https://aws.amazon.com/source_identity"), FIXTURE_LEASE);
    assert_int_equal(json_integer_value(json_object_get(claims, "iat")), FIXTURE_NOW_S);
    assert_int_equal(json_integer_value(json_object_get(claims, "exp")), FIXTURE_NOW_S + 300);
    tags =
        json_object_get(json_object_get(claims, "https://aws.amazon.com/tags"), "principal_tags");
    assert_str(json_text(fixture->base.arena, tags),
               "{\"pipeline\":[\"acme/payments\"],\"run\":[\"8817263541\"],"
               "\"stage\":[\"" FIXTURE_STAGE "\"],\"team\":[\"payments\"]}");
}

static void transitive_tags_are_in_the_assertion(void **state)
{
    struct remote_fixture *fixture = *state;
    struct peer_script script = { .status = 200, .body = answer_of(fixture, &good) };
    const json_t *tags;

    fixture_fields(&fixture->base, "{role: \"" ROLE "\", tags: {team: payments}, "
                                   "transitive_tags: [team, stage]}");
    assert_int_equal(remote_mint_from(fixture, use_endpoint, &script, 1), PROGRESS_DONE);
    tags = json_object_get(assertion_of(fixture), "https://aws.amazon.com/tags");
    assert_str(json_text(fixture->base.arena, json_object_get(tags, "transitive_tag_keys")),
               "[\"team\",\"stage\"]");
}

/* So that one session of a lease can be denied and not the other. */
static void a_renewal_has_a_source_identity_of_its_own(void **state)
{
    struct remote_fixture *fixture = *state;
    struct answer_parts parts = good;

    fixture->base.mint.attempt = STR("01JD0000000000000000000009");
    parts.source = FIXTURE_LEASE "-01JD0000000000000000000009";
    assert_int_equal(mint_with(fixture, &parts), PROGRESS_DONE);
    assert_str(fixture_text(assertion_of(fixture), NULL, "https://aws.amazon.com/source_identity"),
               FIXTURE_LEASE "-01JD0000000000000000000009");
}

/* RSA on a worker: the mint waits twice. */
static void a_target_may_want_rsa(void **state)
{
    struct remote_fixture *fixture = *state;
    struct fixture *base = &fixture->base;
    const json_t *claims;
    struct peer_script script = { .status = 200, .body = answer_of(fixture, &good) };

    fixture_fields(base, GRANT);
    assert_int_equal(remote_mint_from(fixture, use_rsa, &script, 1), PROGRESS_DONE);
    claims = remote_claims(fixture, form_field(fixture, "WebIdentityToken"), "RS256");
    assert_str(fixture_text(claims, NULL, "sub"), FIXTURE_STAGE);
    assert_str(fixture_text(claims, NULL, "https://aws.amazon.com/roles"), ROLE);
}

static void a_run_that_is_no_tag_is_left_out(void **state)
{
    struct remote_fixture *fixture = *state;
    const json_t *claims;
    struct answer_parts parts = good;
    const json_t *tags;

    fixture->base.mint.run = STR("8#1");
    parts.session_arn = "arn:aws:sts::111122223333:assumed-role/payments-deploy/"
                        "acme-payments-8-1-" FIXTURE_LEASE;
    assert_int_equal(mint_with(fixture, &parts), PROGRESS_DONE);
    claims = assertion_of(fixture);
    tags =
        json_object_get(json_object_get(claims, "https://aws.amazon.com/tags"), "principal_tags");
    assert_null(json_object_get(tags, "run"));
}

/* What is not released. */

static void assert_withheld(struct remote_fixture *fixture, enum progress progress,
                            enum error_code code, bool may_exist, const char *name)
{
    const struct mint *mint = &fixture->base.mint;

    if (progress != PROGRESS_FAILED || fixture->base.error.code != code ||
        mint->may_exist != may_exist)
        fail_msg("%s: %d %d %d %s", name, progress, fixture->base.error.code, mint->may_exist,
                 fixture->base.error.cause);
    assert_null(mint->credential);
    assert_str(fixture_text(mint->record, NULL, "session"), SESSION);
    fixture_again(&fixture->base);
}

static void answers_that_give_something_else_are_not_released(void **state)
{
    static const struct {
        const char *name;
        struct answer_parts parts;
    } cases[] = {
        { "a longer life", { .life_s = 900 + 61 } },
        { "a much longer life", { .life_s = 43200 } },
        { "no life", { .life_s = 0, .expiration = "2027-01-15T08:00:00Z" } },
        { "a life in the past", { .expiration = "2026-01-15T08:00:00Z" } },
        { "a date only", { .expiration = "2027-01-15" } },
        { "no time", { .expiration = "" } },
        { "a fraction without digits", { .expiration = "2027-01-15T08:10:00.Z" } },
        { "a fraction of ten digits", { .expiration = "2027-01-15T08:10:00.0123456789Z" } },
        { "a fraction of letters", { .expiration = "2027-01-15T08:10:00.abcZ" } },
        { "an offset", { .expiration = "2027-01-15T08:10:00+00:00" } },
        { "no zone", { .expiration = "2027-01-15T08:10:00" } },
        { "a thirteenth month", { .expiration = "2027-13-15T08:10:00.0Z" } },
        { "nonsense for a time", { .expiration = "in a quarter of an hour" } },
        { "another role",
          { .session_arn = "arn:aws:sts::111122223333:assumed-role/admin/" SESSION } },
        { "another account",
          { .session_arn = "arn:aws:sts::444455556666:assumed-role/payments-deploy/" SESSION } },
        { "another session",
          { .session_arn = "arn:aws:sts::111122223333:assumed-role/payments-deploy/x" } },
        { "another partition",
          { .session_arn = "arn:aws-cn:sts::111122223333:assumed-role/payments-deploy/" SESSION } },
        { "something behind the session", { .session_arn = SESSION_ARN "x" } },
        { "no role", { .session_arn = "" } },
        { "another audience", { .audience = "sts.example" } },
        { "another subject", { .subject = "acme/payments:build" } },
        { "another source identity", { .source = "01JD0000000000000000000001" } },
        { "no key id", { .key_id = "" } },
        { "a short key id", { .key_id = "ASIAEXAMPLE0001" } },
        { "a key id with a line", { .key_id = "ASIAEXAMPLE000001&#10;x" } },
        { "no secret", { .secret = "" } },
        { "a secret with a space", { .secret = "a b" } },
        { "a secret with a line", { .secret = "a&#10;b" } },
        { "a secret for a shell", { .secret = "a;b" } },
        { "no session token", { .token = "" } },
        { "a session token with a line", { .token = "a&#13;b" } },
        { "a session token for a shell", { .token = "$(a)" } },
    };
    struct remote_fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct answer_parts *parts = &cases[i].parts;
        struct answer_parts filled = {
            .session_arn = parts->session_arn ? parts->session_arn : good.session_arn,
            .audience = parts->audience ? parts->audience : good.audience,
            .subject = parts->subject ? parts->subject : good.subject,
            .source = parts->source ? parts->source : good.source,
            .key_id = parts->key_id ? parts->key_id : good.key_id,
            .secret = parts->secret ? parts->secret : good.secret,
            .token = parts->token ? parts->token : good.token,
            .extra = "",
            .expiration = parts->expiration,
            .life_s = parts->life_s > 0 ? parts->life_s : good.life_s,
        };

        assert_withheld(fixture, mint_with(fixture, &filled), ERROR_MINT, true, cases[i].name);
    }
}

/* It would fill the entry that says why nothing was released. */
static void an_id_that_is_none_is_not_recorded(void **state)
{
    struct remote_fixture *fixture = *state;
    struct answer_parts parts = good;
    char key_id[KEY_ID_MAX + 2] = { 0 };

    memset(key_id, 'A', KEY_ID_MAX + 1);
    parts.key_id = key_id;
    parts.life_s = 43200; /* nothing of this is released */
    assert_int_equal(mint_with(fixture, &parts), PROGRESS_FAILED);
    assert_null(json_object_get(fixture->base.mint.record, "id"));
    fixture_again(&fixture->base);
    key_id[KEY_ID_MAX] = '\0';
    assert_int_equal(mint_with(fixture, &parts), PROGRESS_FAILED);
    assert_true(str_eq(fixture_text(fixture->base.mint.record, NULL, "id"), str_from(key_id)));
}

static void a_minute_longer_is_within_the_leeway(void **state)
{
    struct remote_fixture *fixture = *state;
    struct answer_parts parts = good;

    parts.life_s = 960;
    assert_int_equal(mint_with(fixture, &parts), PROGRESS_DONE);
    assert_int_equal(fixture->base.mint.expires_s, FIXTURE_NOW_S + 960);
}

static void fractions_of_a_second_are_passed_over(void **state)
{
    static const char *const texts[] = { "2027-01-15T08:10:00.9Z", "2027-01-15T08:10:00.123Z",
                                         "2027-01-15T08:10:00.999999999Z" };
    struct remote_fixture *fixture = *state;
    struct answer_parts parts = good;

    for (size_t i = 0; i < COUNT(texts); i++) {
        parts.expiration = texts[i];
        assert_int_equal(mint_with(fixture, &parts), PROGRESS_DONE);
        assert_int_equal(fixture->base.mint.expires_s, FIXTURE_NOW_S + 600);
        fixture_again(&fixture->base);
    }
}

static void an_error_beside_credentials_wins(void **state)
{
    struct remote_fixture *fixture = *state;
    struct answer_parts parts = good;

    parts.extra = "<Error><Code>AccessDenied</Code></Error>";
    assert_withheld(fixture, mint_with(fixture, &parts), ERROR_MINT, true, "error and keys");
}

static void credentials_in_an_answer_that_is_no_200_are_not_released(void **state)
{
    struct remote_fixture *fixture = *state;
    struct peer_script script = { .status = 403, .body = answer_of(fixture, &good) };

    assert_withheld(fixture, mint_from(fixture, script), ERROR_MINT_UNKNOWN, true, "403");
    script.status = 201;
    assert_withheld(fixture, mint_from(fixture, script), ERROR_MINT_UNKNOWN, true, "201");
}

static void an_error_says_its_code_and_leaves_nothing_behind(void **state)
{
    static const struct {
        int status;
        const char *code;
    } cases[] = {
        { 403, "AccessDenied" }, { 400, "InvalidIdentityToken" }, { 400, "PackedPolicyTooLarge" },
        { 400, "Throttling" },   { 503, "ServiceUnavailable" },
    };
    struct remote_fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct peer_script script = {
            .status = cases[i].status,
            .body = arena_printf(
                fixture->base.arena,
                "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error>"
                "<Code>%s</Code><Message>no&#10;level=error</Message></Error></ErrorResponse>",
                cases[i].code),
        };
        enum progress progress = mint_from(fixture, script);

        assert_non_null(strstr(fixture->base.error.cause, cases[i].code));
        assert_null(strchr(fixture->base.error.cause, '\n'));
        assert_null(strstr(fixture->base.error.message, cases[i].code));
        assert_withheld(fixture, progress, ERROR_MINT, false, cases[i].code);
    }
}

static void what_is_no_answer_of_sts_leaves_the_outcome_unknown(void **state)
{
    static const struct {
        const char *name;
        int status;
        const char *body;
        size_t promised_more;
    } cases[] = {
        { "nothing", 0, "", 0 },
        { "an empty body", 200, "", 0 },
        { "a gateway", 502, "<html>bad gateway</html>", 0 },
        { "garbage", 200, "\x01\x02\xff", 0 },
        { "a broken document", 200, "<ErrorResponse", 0 },
        { "a body that ends early", 200, "<AssumeRoleWithWebIdentityResponse", 100 },
        { "a redirect", 302, "", 0 },
    };
    struct remote_fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct peer_script script = { cases[i].status, str_from(cases[i].body),
                                      cases[i].promised_more };

        assert_withheld(fixture, mint_from(fixture, script), ERROR_MINT_UNKNOWN, true,
                        cases[i].name);
    }
}

static void an_answer_past_its_limit_leaves_the_outcome_unknown(void **state)
{
    static char large[65537];
    struct remote_fixture *fixture = *state;
    struct peer_script script = { .status = 200, .body = { large, sizeof(large) } };

    memset(large, ' ', sizeof(large));
    assert_withheld(fixture, mint_from(fixture, script), ERROR_MINT_UNKNOWN, true, "large");
}

static void a_request_that_never_left_leaves_nothing_behind(void **state)
{
    struct remote_fixture *fixture = *state;
    char url[64];

    peer_nobody(url);
    use_endpoint(fixture, url);
    fixture_fields(&fixture->base, GRANT);
    assert_withheld(fixture, remote_mint(fixture), ERROR_MINT, false, "nobody listens");
}

/* What is not even asked. */

static void assert_not_asked(struct remote_fixture *fixture, const char *fields)
{
    struct fixture *base = &fixture->base;

    fixture_fields(base, fields);
    assert_int_equal(kind()->mint(&base->mint, &base->error), PROGRESS_FAILED);
    assert_int_equal(base->error.code, ERROR_MINT);
    assert_false(base->mint.may_exist);
    assert_null(base->mint.state);
    fixture_again(base);
}

static void grants_that_are_not_fit_are_not_asked_for(void **state)
{
    struct remote_fixture *fixture = *state;
    struct mint *mint = &fixture->base.mint;

    use_endpoint(fixture, "http://127.0.0.1:1");
    assert_not_asked(fixture, "{role: \"arn:aws:iam::999999999999:role/a\"}");
    assert_not_asked(fixture, "{role: \"arn:aws:iam::111122223333:role/${x}\"}");
    mint->ttl_s = 899;
    assert_not_asked(fixture, GRANT);
    mint->ttl_s = 43201;
    assert_not_asked(fixture, GRANT);
    mint->ttl_s = 900;
    mint->stage = STR("a/b:c"); /* AWS takes no subject of 5 characters */
    assert_not_asked(fixture, GRANT);
}

static void an_address_outside_the_loopback_is_not_asked_without_tls(void **state)
{
    struct remote_fixture *fixture = *state;
    char yaml[] = "{type: aws, region: eu-central-1, accounts: [\"111122223333\"],"
                  " endpoint: \"http://192.0.2.1\"}";

    assert_non_null(fixture_configure(&fixture->base, "aws", yaml));
}

/* Names. */

static void a_session_has_a_name_that_aws_takes(void **state)
{
    static const struct {
        const char *repository;
        const char *run;
        const char *name;
    } cases[] = {
        { "acme/payments", "8123", "acme-payments-8123-" FIXTURE_LEASE },
        { "acme/pay ments:x", "1#2", "acme-pay-ments-x-1-2-" FIXTURE_LEASE },
        { "", "", FIXTURE_LEASE },
        { "", "8123", "8123-" FIXTURE_LEASE },
        { "acme/payments", "", "acme-payments-" FIXTURE_LEASE },
        { "acme/\xc3\xa9", "1", "acme----1-" FIXTURE_LEASE },
        { "acme/a-repository-with-a-name-that-is-long", "12345678901",
          "acme-a-repository-with-a--12345678901-" FIXTURE_LEASE },
        { "acme/a-repository-with-a-name-that-is-long", "123456789012345678901234",
          "acme-a-repositor-12345678901234567890-" FIXTURE_LEASE },
    };
    struct remote_fixture *fixture = *state;
    struct str name;

    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_true(aws_session_name(str_from(cases[i].repository), str_from(cases[i].run),
                                     STR(FIXTURE_LEASE), fixture->base.arena, &name));
        assert_string_equal(name.data, cases[i].name);
        assert_true(name.len <= 64);
    }
    assert_false(
        aws_session_name(STR("a"), STR("b"), STR("not-a-lease"), fixture->base.arena, &name));
}

/* Targets. */

static void a_target_has_defaults(void **state)
{
    struct remote_fixture *fixture = *state;
    const struct aws_settings *own;

    assert_null(fixture_configure(&fixture->base, "aws",
                                  "{region: eu-central-1, accounts: [\"111122223333\"]}"));
    own = fixture->base.target.settings;
    assert_string_equal(own->endpoint.data, "https://sts.eu-central-1.amazonaws.com");
    assert_str(own->audience, "sts.amazonaws.com");
    assert_null(own->peer.ca_file);
    assert_null(fixture_configure(&fixture->base, "aws",
                                  "{region: cn-north-1, accounts: \"111122223333\"}"));
    own = fixture->base.target.settings;
    assert_string_equal(own->endpoint.data, "https://sts.cn-north-1.amazonaws.com.cn");
}

static void a_path_is_relative_to_its_file(void **state)
{
    struct remote_fixture *fixture = *state;
    const struct aws_settings *own;

    assert_null(fixture_configure(&fixture->base, "aws",
                                  "{region: a, accounts: [\"111122223333\"], ca: sts.pem,"
                                  " allow_networks: [10.0.0.0/8]}"));
    own = fixture->base.target.settings;
    assert_string_equal(own->peer.ca_file, "conf/sts.pem");
    assert_int_equal(own->peer.network_count, 1);
    assert_null(fixture_configure(&fixture->base, "aws",
                                  "{region: a, accounts: [\"111122223333\"], ca: /etc/sts.pem}"));
    own = fixture->base.target.settings;
    assert_string_equal(own->peer.ca_file, "/etc/sts.pem");
}

static void bad_targets_are_refused(void **state)
{
    static const char *const cases[] = {
        "{accounts: [\"111122223333\"]}",
        "{region: eu-central-1}",
        "{region: \"\", accounts: [\"111122223333\"]}",
        "{region: \"a.evil.example/\", accounts: [\"111122223333\"]}",
        "{region: EU-CENTRAL-1, accounts: [\"111122223333\"]}",
        "{region: a, accounts: []}",
        "{region: a, accounts: [\"1111\"]}",
        "{region: a, accounts: [\"1111222233334\"]}",
        "{region: a, accounts: [\"11112222333x\"]}",
        "{region: a, accounts: {a: b}}",
        "{region: a, accounts: [\"111122223333\"], endpoint: \"http://127.0.0.1\"}",
        "{region: a, accounts: [\"111122223333\"], endpoint: \"ftp://a\", allow_http: true}",
        "{region: a, accounts: [\"111122223333\"], endpoint: nonsense}",
        "{region: a, accounts: [\"111122223333\"], audience: \"\"}",
        "{region: a, accounts: [\"111122223333\"], algorithm: ES384}",
        "{region: a, accounts: [\"111122223333\"], allow_networks: [10.0.0.1/8]}",
    };
    struct remote_fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(cases); i++)
        if (!fixture_configure(&fixture->base, "aws", cases[i]))
            fail_msg("%s was accepted", cases[i]);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(credentials_come_back_as_they_were_given),
        TEST(the_record_names_the_session_and_no_secret),
        TEST(sts_is_asked_for_the_role_and_life_of_the_policy),
        TEST(sts_is_asked_for_no_more_than_the_policy_allows),
        TEST(the_assertion_is_for_one_role_stage_and_lease),
        TEST(transitive_tags_are_in_the_assertion),
        TEST(a_renewal_has_a_source_identity_of_its_own),
        TEST(a_target_may_want_rsa),
        TEST(a_run_that_is_no_tag_is_left_out),
        TEST(answers_that_give_something_else_are_not_released),
        TEST(an_id_that_is_none_is_not_recorded),
        TEST(a_minute_longer_is_within_the_leeway),
        TEST(fractions_of_a_second_are_passed_over),
        TEST(an_error_beside_credentials_wins),
        TEST(credentials_in_an_answer_that_is_no_200_are_not_released),
        TEST(an_error_says_its_code_and_leaves_nothing_behind),
        TEST(what_is_no_answer_of_sts_leaves_the_outcome_unknown),
        TEST(an_answer_past_its_limit_leaves_the_outcome_unknown),
        TEST(a_request_that_never_left_leaves_nothing_behind),
        TEST(grants_that_are_not_fit_are_not_asked_for),
        TEST(an_address_outside_the_loopback_is_not_asked_without_tls),
        TEST(a_session_has_a_name_that_aws_takes),
        TEST(a_target_has_defaults),
        TEST(a_path_is_relative_to_its_file),
        TEST(bad_targets_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
