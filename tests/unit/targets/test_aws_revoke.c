#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "remote.h"
#include "targets/aws_iam.h"
#include "targets/aws_internal.h"
#include "tests/assert_str.h"
#include "tests/test.h"

#define ROLE "arn:aws:iam::111122223333:role/ci/payments-deploy"
#define REVOKER "arn:aws:iam::111122223333:role/stagepass-revoker"
#define REVOKER_SESSION                                                                            \
    "arn:aws:sts::111122223333:assumed-role/stagepass-revoker/revoke-" FIXTURE_LEASE
#define DENIAL "stagepass-deny-2027-01-15T08.15.00Z-" FIXTURE_LEASE
#define OVER "stagepass-deny-2027-01-15T07.00.00Z-01JC0000000000000000000000"

#define STS(session, extra)                                                                        \
    "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"      \
    "<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIAREVOKER000000001"              \
    "</AccessKeyId><SecretAccessKey>secret/revoker</SecretAccessKey><SessionToken>token-revoker"   \
    "</SessionToken><Expiration>2027-01-15T08:15:00Z</Expiration></Credentials>"                   \
    "<AssumedRoleUser><Arn>" session "</Arn></AssumedRoleUser>" extra                              \
    "</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
#define IAM_SPACE " xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\">"
#define DONE(action) "<" action "Response" IAM_SPACE "</" action "Response>"
#define LIST(members)                                                                              \
    "<ListRolePoliciesResponse" IAM_SPACE "<ListRolePoliciesResult><PolicyNames>" members          \
    "</PolicyNames><IsTruncated>false</IsTruncated></ListRolePoliciesResult>"                      \
    "</ListRolePoliciesResponse>"
#define NAMED(name) "<member>" name "</member>"
#define REFUSED(code)                                                                              \
    "<ErrorResponse" IAM_SPACE "<Error><Code>" code "</Code><Message>no&#10;no</Message></Error>"  \
    "</ErrorResponse>"

#define ASSUMED                                                                                    \
    {                                                                                              \
        200, STR_INIT(STS(REVOKER_SESSION, "")), 0                                                 \
    }
#define PUT                                                                                        \
    {                                                                                              \
        200, STR_INIT(DONE("PutRolePolicy")), 0                                                    \
    }
#define LISTED(members)                                                                            \
    {                                                                                              \
        200, STR_INIT(LIST(members)), 0                                                            \
    }
#define DELETED                                                                                    \
    {                                                                                              \
        200, STR_INIT(DONE("DeleteRolePolicy")), 0                                                 \
    }
#define SAID(status, code)                                                                         \
    {                                                                                              \
        status, STR_INIT(REFUSED(code)), 0                                                         \
    }

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

static void configure(struct remote_fixture *fixture, const char *url)
{
    char yaml[512];
    const char *message;

    (void)snprintf(yaml, sizeof(yaml),
                   "{type: aws, region: eu-central-1, accounts: [\"111122223333\"], "
                   "endpoint: \"%s\", iam_endpoint: \"%s\", allow_http: true, "
                   "revoke: role_policy, revoker_role: stagepass-revoker}",
                   url, url);
    message = fixture_configure(&fixture->base, "aws", yaml);
    if (message)
        fail_msg("%s", message);
}

static enum progress revoke_as(struct remote_fixture *fixture, const struct peer_script *scripts,
                               size_t count, const json_t *record)
{
    struct revocation revocation = {
        .stage = STR(FIXTURE_STAGE),
        .lease = STR(FIXTURE_LEASE),
        .grant = STR("site"),
        .record = record,
        .expires_s = FIXTURE_NOW_S + 900,
        .now_s = FIXTURE_NOW_S,
    };
    char url[64];
    struct peer *peer = peer_start(scripts, count, url);
    enum progress progress;

    configure(fixture, url);
    progress = remote_revoke(fixture, &revocation);
    peer_stop(peer, &fixture->log);
    return progress;
}

static enum progress revoke_from(struct remote_fixture *fixture, const struct peer_script *scripts,
                                 size_t count)
{
    JSON_OWNED json_t *record = json_pack("{s:s}", "role", ROLE);

    return revoke_as(fixture, scripts, count, record);
}

static void assert_field(struct remote_fixture *fixture, size_t request, const char *name,
                         const char *value)
{
    assert_string_equal(remote_form_field(fixture, request, name), value);
}

/* ---- what is asked ---- */

static void the_revoker_is_assumed_for_one_role(void **state)
{
    static const struct peer_script scripts[] = { ASSUMED, PUT, LISTED("") };
    struct remote_fixture *fixture = *state;
    const json_t *claims;

    if (revoke_from(fixture, scripts, COUNT(scripts)) != PROGRESS_DONE)
        fail_msg("%s", fixture->base.error.cause);
    assert_field(fixture, 0, "Action", "AssumeRoleWithWebIdentity");
    assert_field(fixture, 0, "RoleArn", REVOKER);
    assert_field(fixture, 0, "RoleSessionName", "revoke-" FIXTURE_LEASE);
    assert_field(fixture, 0, "DurationSeconds", "900");
    assert_field(fixture, 0, "Policy",
                 "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\"Action\":"
                 "[\"iam:PutRolePolicy\",\"iam:ListRolePolicies\",\"iam:DeleteRolePolicy\"],"
                 "\"Resource\":\"" ROLE "\"}}");
    claims = remote_claims(fixture, remote_form_field(fixture, 0, "WebIdentityToken"), "ES256");
    assert_str(fixture_text(claims, NULL, "sub"), "stagepass::revoker");
    assert_str(fixture_text(claims, NULL, "https://aws.amazon.com/roles"), REVOKER);
    assert_null(json_object_get(claims, "https://aws.amazon.com/tags"));
}

static void the_session_is_denied_everything(void **state)
{
    static const struct peer_script scripts[] = { ASSUMED, PUT, LISTED("") };
    struct remote_fixture *fixture = *state;
    const char *request = fixture->log.requests[1];

    assert_int_equal(revoke_from(fixture, scripts, COUNT(scripts)), PROGRESS_DONE);
    assert_field(fixture, 1, "Action", "PutRolePolicy");
    assert_field(fixture, 1, "Version", "2010-05-08");
    assert_field(fixture, 1, "RoleName", "payments-deploy");
    assert_field(fixture, 1, "PolicyName", DENIAL);
    assert_field(fixture, 1, "PolicyDocument",
                 "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Deny\",\"Action\":\"*\","
                 "\"Resource\":\"*\",\"Condition\":{\"StringEquals\":{\"aws:SourceIdentity\":"
                 "\"" FIXTURE_LEASE "\"}}}}");
    assert_non_null(strstr(request, "Credential=ASIAREVOKER000000001/20270115/us-east-1/iam/"));
    assert_non_null(strstr(request, "X-Amz-Date: 20270115T080000Z\r\n"));
    assert_non_null(strstr(request, "X-Amz-Security-Token: token-revoker\r\n"));
    assert_null(strstr(request, "secret/revoker"));
}

/* A renewal's session is another's than the one it renews. */
static void each_mint_of_a_lease_is_denied_by_itself(void **state)
{
    static const struct peer_script scripts[] = { ASSUMED, PUT, LISTED("") };
    struct remote_fixture *fixture = *state;
    JSON_OWNED json_t *record =
        json_pack("{s:s,s:s}", "role", ROLE, "attempt", "01JD0000000000000000000009");

    assert_int_equal(revoke_as(fixture, scripts, COUNT(scripts), record), PROGRESS_DONE);
    assert_field(fixture, 1, "PolicyName", DENIAL "-01JD0000000000000000000009");
    assert_non_null(strstr(remote_form_field(fixture, 1, "PolicyDocument"),
                           "\"" FIXTURE_LEASE "-01JD0000000000000000000009\""));
}

static void denials_that_are_over_are_removed(void **state)
{
    static const struct peer_script scripts[] = {
        ASSUMED, PUT,
        LISTED(NAMED("own") NAMED(DENIAL) NAMED(OVER)
                   NAMED("stagepass-deny-2027-01-15T07.55.00Z-01JC0000000000000000000001")),
        DELETED
    };
    struct remote_fixture *fixture = *state;

    assert_int_equal(revoke_from(fixture, scripts, COUNT(scripts)), PROGRESS_DONE);
    assert_field(fixture, 2, "Action", "ListRolePolicies");
    assert_field(fixture, 3, "Action", "DeleteRolePolicy");
    assert_field(fixture, 3, "PolicyName", OVER);
}

/* ---- what comes of it ---- */

static void what_fails_is_not_revoked(void **state)
{
    static const struct {
        const char *name;
        struct peer_script scripts[4];
        size_t count;
    } cases[] = {
        { "no answer of STS", { { 0, STR_INIT(""), 0 } }, 1 },
        { "another role's session",
          { { 200, STR_INIT(STS("arn:aws:sts::111122223333:assumed-role/admin/x", "")), 0 } },
          1 },
        { "STS refuses",
          { { 403,
              STR_INIT("<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error>"
                       "<Code>AccessDenied</Code></Error></ErrorResponse>"),
              0 } },
          1 },
        { "no answer of IAM", { ASSUMED, { 0, STR_INIT(""), 0 } }, 2 },
        { "IAM refuses", { ASSUMED, SAID(403, "AccessDenied") }, 2 },
        { "IAM has no such role", { ASSUMED, SAID(404, "NoSuchEntity") }, 2 },
        { "IAM is slowed down", { ASSUMED, SAID(400, "Throttling") }, 2 },
        { "an error in a 200", { ASSUMED, SAID(200, "AccessDenied") }, 2 },
        { "a good answer that is none",
          { ASSUMED, { 500, STR_INIT(DONE("PutRolePolicy")), 0 } },
          2 },
        { "a page", { ASSUMED, { 200, STR_INIT("<html></html>"), 0 } }, 2 },
        { "STS answers for IAM", { ASSUMED, ASSUMED }, 2 },
        { "full, and none is over",
          { ASSUMED, SAID(409, "LimitExceeded"), LISTED(NAMED("own") NAMED(DENIAL)) },
          3 },
        { "full, and nothing is listed",
          { ASSUMED, SAID(409, "LimitExceeded"), SAID(403, "AccessDenied") },
          3 },
        { "full, and nothing is removed",
          { ASSUMED, SAID(409, "LimitExceeded"), LISTED(NAMED(OVER)), SAID(403, "AccessDenied") },
          4 },
    };
    struct remote_fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        enum progress progress = revoke_from(fixture, cases[i].scripts, cases[i].count);

        if (progress != PROGRESS_FAILED || fixture->base.error.code != ERROR_MINT)
            fail_msg("%s: %d %d %s", cases[i].name, progress, fixture->base.error.code,
                     fixture->base.error.cause);
        assert_null(strchr(fixture->base.error.cause, '\n'));
        assert_null(strstr(fixture->base.error.cause, "secret/revoker"));
        fixture_again(&fixture->base);
    }
}

static void what_is_denied_is_revoked_whatever_follows(void **state)
{
    static const struct {
        struct peer_script scripts[4];
        size_t count;
    } cases[] = {
        { { ASSUMED, PUT, { 0, STR_INIT(""), 0 } }, 3 },
        { { ASSUMED, PUT, SAID(403, "AccessDenied") }, 3 },
        { { ASSUMED, PUT, LISTED(NAMED(OVER)), SAID(404, "NoSuchEntity") }, 4 },
        { { ASSUMED, PUT, LISTED(NAMED(OVER)), SAID(403, "AccessDenied") }, 4 },
        { { ASSUMED, PUT, LISTED(NAMED(OVER)), { 0, STR_INIT(""), 0 } }, 4 },
    };
    struct remote_fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        if (revoke_from(fixture, cases[i].scripts, cases[i].count) != PROGRESS_DONE)
            fail_msg("%zu: %s", i, fixture->base.error.cause);
        fixture_again(&fixture->base);
    }
}

static void without_a_role_on_record_nobody_is_asked(void **state)
{
    static const char *const roles[] = { "", "arn:aws:iam::1:role/a",
                                         "arn:aws:iam::111122223333:user/a" };
    struct remote_fixture *fixture = *state;
    char url[64];

    peer_nobody(url);
    configure(fixture, url);
    for (size_t i = 0; i < COUNT(roles); i++) {
        JSON_OWNED json_t *record = json_pack("{s:s}", "role", roles[i]);
        struct revocation revocation = { .lease = STR(FIXTURE_LEASE), .record = record };

        assert_int_equal(remote_revoke(fixture, &revocation), PROGRESS_FAILED);
        assert_non_null(strstr(fixture->base.error.cause, "not on record"));
        fixture_again(&fixture->base);
    }
}

/* ---- names ---- */

static void a_name_says_when_a_denial_is_over(void **state)
{
    static const struct {
        const char *name;
        bool is_over; /* at 08:00:00 */
    } cases[] = {
        { OVER, true },
        { "stagepass-deny-2027-01-15T07.54.59Z-x", true },
        { "stagepass-deny-2027-01-15T07.55.00Z-x", false },
        { DENIAL, false },
        { "stagepass-deny-2027-01-15T07:00:00Z-x", false },
        { "stagepass-deny-2027-01-15", false },
        { "stagepass-deny-", false },
        { "stagepass-deny-nonsense-that-is-long-enough", false },
        { "stagepass-2027-01-15T07.00.00Z-x", false },
        { "other-deny-2027-01-15T07.00.00Z-xxxxxx", false },
        { "", false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        if (aws_denial_is_over(str_from(cases[i].name), FIXTURE_NOW_S) != cases[i].is_over)
            fail_msg("%s", cases[i].name);
}

/* ---- settings ---- */

#define TARGET "region: eu-central-1, accounts: [\"111122223333\"]"
#define ROLE_GRANT(name) "{target: prod, role: \"arn:aws:iam::111122223333:role/" name "\"}"

static const char *ending(struct remote_fixture *fixture, const char *yaml)
{
    const struct target_kind *kind = target_kind_find(STR("aws"));

    assert_null(fixture_configure(&fixture->base, "aws", yaml));
    fixture_fields(&fixture->base, ROLE_GRANT("a"));
    return target_revocation_name(target_revocation(kind, &fixture->base.mint));
}

static void a_target_says_whether_sessions_can_be_denied(void **state)
{
    struct remote_fixture *fixture = *state;

    assert_string_equal(ending(fixture, "{" TARGET "}"), "expiry");
    assert_string_equal(
        ending(fixture, "{" TARGET ", revoke: role_policy, revoker_role: stagepass-revoker}"),
        "name");
}

static void bad_settings_are_refused(void **state)
{
    static const char *const cases[] = {
        "{" TARGET ", revoke: role_policy}",
        "{" TARGET ", revoker_role: a}",
        "{" TARGET ", revoke: always, revoker_role: a}",
        "{" TARGET ", revoke: role_policy, revoker_role: \"\"}",
        "{" TARGET ", revoke: role_policy, revoker_role: path/a}",
        "{" TARGET ", revoke: role_policy, revoker_role: \"a b\"}",
        "{" TARGET ", revoke: role_policy, revoker_role: "
        "a1234567890123456789012345678901234567890123456789012345678901234}",
        "{" TARGET ", iam_endpoint: \"https://iam.example\"}",
        "{" TARGET ", revoke: role_policy, revoker_role: a, iam_endpoint: \"http://iam.example\"}",
        "{" TARGET ", revoke: role_policy, revoker_role: a, iam_endpoint: \"https://a.example/x\"}",
        "{" TARGET ", revoke: role_policy, revoker_role: a, iam_endpoint: nonsense}",
    };
    struct remote_fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(cases); i++)
        if (!fixture_configure(&fixture->base, "aws", cases[i]))
            fail_msg("%s was accepted", cases[i]);
    assert_null(fixture_configure(
        &fixture->base, "aws",
        "{" TARGET ", revoke: role_policy, iam_endpoint: \"https://iam.example\", revoker_role: "
        "a123456789012345678901234567890123456789012345678901234567890123}"));
}

static void the_revoker_is_given_to_nobody(void **state)
{
    struct remote_fixture *fixture = *state;
    struct mint *mint = &fixture->base.mint;

    assert_null(fixture_configure(&fixture->base, "aws",
                                  "{" TARGET ", revoke: role_policy, revoker_role: Revoker}"));
    fixture_fields(&fixture->base, ROLE_GRANT("ci/revoker"));
    assert_int_equal(fixture->base.target.kind->mint(mint, &fixture->base.error), PROGRESS_FAILED);
    assert_non_null(strstr(fixture->base.error.cause, "revoker_role"));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_revoker_is_assumed_for_one_role),
        TEST(the_session_is_denied_everything),
        TEST(each_mint_of_a_lease_is_denied_by_itself),
        TEST(denials_that_are_over_are_removed),
        TEST(what_fails_is_not_revoked),
        TEST(what_is_denied_is_revoked_whatever_follows),
        TEST(without_a_role_on_record_nobody_is_asked),
        TEST(a_name_says_when_a_denial_is_over),
        TEST(a_target_says_whether_sessions_can_be_denied),
        TEST(bad_settings_are_refused),
        TEST(the_revoker_is_given_to_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
