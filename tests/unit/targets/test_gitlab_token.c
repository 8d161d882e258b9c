#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "gitlab_help.h"
#include "targets/gitlab_internal.h"
#include "tests/assert_str.h"
#include "tests/test.h"

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

#define FIELDS GRANT("[read_repository, write_repository]", "developer")
#define MIDNIGHT "2027-01-16"
#define GIVEN(number, name, scopes, level, end, more)                                              \
    "{\"id\":" number ",\"name\":\"" name "\",\"scopes\":" scopes ",\"access_level\":" level       \
    ",\"expires_at\":\"" end "\",\"user_id\":9,\"active\":true,\"revoked\":false" more "}"
#define SCOPES "[\"write_repository\",\"read_repository\"]"
#define TOKEN ",\"token\":\"glpat-a\""
#define GOOD GIVEN("42", TITLE, SCOPES, "30", MIDNIGHT, TOKEN)

/* Ready for a mint of the fields, whose intent is recorded. */
static void prepare(struct remote_fixture *fixture, const char *fields)
{
    struct mint *mint = &fixture->base.mint;

    fixture_again(&fixture->base);
    mint->ttl_s = 900;
    mint->run = STR("8123");
    mint->grant = STR("repo");
    fixture_fields(&fixture->base, fields);
    if (!gitlab_intend(mint, &fixture->base.error))
        fail_msg("%s", fixture->base.error.cause);
}

static enum progress mint_of(struct remote_fixture *fixture, const char *fields, int status,
                             const char *body)
{
    const struct peer_script script = { status, str_from(body), 0 };

    prepare(fixture, fields);
    return remote_mint_from(fixture, gitlab_configure, &script, 1);
}

static void assert_done(const struct remote_fixture *fixture, enum progress progress)
{
    if (progress != PROGRESS_DONE)
        fail_msg("%s", fixture->base.error.cause);
    assert_false(fixture->base.mint.may_exist);
}

static void the_intent_says_where_a_token_will_be(void **state)
{
    struct remote_fixture *fixture = *state;
    const json_t *record;

    prepare(fixture, FIELDS);
    record = fixture->base.mint.record;
    assert_str(fixture_text(record, NULL, "name"), NAME);
    assert_str(fixture_text(record, NULL, "project"), "77");
    assert_str(fixture_text(record, NULL, "token_kind"), "project");
    assert_str(fixture_text(record, NULL, "target_expires_at"), "2027-01-16T00:00:00Z");
    assert_int_equal(json_object_size(record), 4);
    fixture->base.mint.attempt = STR("01JD0000000000000000000001");
    prepare(fixture, FIELDS);
    assert_true(!str_eq(fixture_text(fixture->base.mint.record, NULL, "name"), STR(NAME)));
    fixture->base.mint.attempt = STR("");
}

static void a_token_comes_back_as_it_was_given(void **state)
{
    struct remote_fixture *fixture = *state;
    const struct mint *mint = &fixture->base.mint;

    assert_done(fixture, mint_of(fixture, FIELDS, 201, GOOD));
    assert_str(fixture_text(mint->credential, "gitlab", "token"), "glpat-a");
    assert_str(fixture_text(mint->credential, "gitlab", "token_kind"), "project");
    assert_str(fixture_text(mint->credential, "gitlab", "username"), "oauth2");
    assert_str(fixture_text(mint->credential, "gitlab", "project"), "77");
    assert_str(fixture_text(mint->credential, "gitlab", "target_expires_at"),
               "2027-01-16T00:00:00Z");
    assert_true(
        str_starts_with(fixture_text(mint->credential, "gitlab", "host"), STR("127.0.0.1:")));
    assert_null(json_object_get(json_object_get(mint->credential, "gitlab"), "registry"));
    assert_int_equal(mint->expires_s, FIXTURE_NOW_S + 900);
    assert_str(fixture_text(mint->record, NULL, "token_id"), "42");
    assert_str(fixture_text(mint->record, NULL, "user_id"), "9");
    assert_str(fixture_text(mint->record, NULL, "id"),
               "sha256:7c0276d466b1f7cea818a93bb58cd7b5ce879478687c2bfe9fcbfcf17a78ea86");
    assert_null(mint->handle);
    assert_int_equal(target_revocation(mint->target->kind, mint), POLICY_REVOKED_NOW);
}

static void a_group_access_token_is_made_in_its_group(void **state)
{
    struct remote_fixture *fixture = *state;
    const struct mint *mint = &fixture->base.mint;

    assert_done(fixture, mint_of(fixture,
                                 "{ group: \"12\", token: group, scopes: [read_repository, "
                                 "write_repository], access_level: developer }",
                                 201, GOOD));
    assert_non_null(strstr(fixture->log.requests[0], "POST /api/v4/groups/12/access_tokens HTTP"));
    assert_non_null(strstr(peer_body(&fixture->log, 0), "\"access_level\":30"));
    assert_non_null(strstr(peer_body(&fixture->log, 0), "\"expires_at\":\"" MIDNIGHT "\""));
    assert_str(fixture_text(mint->credential, "gitlab", "token_kind"), "group");
    assert_str(fixture_text(mint->credential, "gitlab", "group"), "12");
    assert_str(fixture_text(mint->record, NULL, "group"), "12");
    assert_null(json_object_get(mint->record, "project"));
    assert_str(fixture_text(mint->record, NULL, "token_id"), "42");
}

static void gitlab_is_asked_for_all_of_it(void **state)
{
    struct remote_fixture *fixture = *state;
    const char *request = fixture->log.requests[0];

    assert_done(fixture, mint_of(fixture, FIELDS, 201, GOOD));
    assert_non_null(strstr(request, "POST /api/v4/projects/77/access_tokens HTTP/1.1\r\n"));
    assert_non_null(strstr(request, "PRIVATE-TOKEN: " OWN_TOKEN "\r\n"));
    assert_non_null(strstr(request, "Content-Type: application/json\r\n"));
    assert_string_equal(peer_body(&fixture->log, 0),
                        "{\"access_level\":30,\"expires_at\":\"" MIDNIGHT "\",\"name\":\"" TITLE
                        "\",\"scopes\":[\"read_repository\",\"write_repository\"]}");
}

/* The date is the first whose midnight does not come before the lease's end. */
static void a_date_covers_the_lease_and_no_more(void **state)
{
    static const struct {
        int64_t ttl_s;
        const char *date;
    } cases[] = {
        { 57599, MIDNIGHT }, /* 23:59:59 */
        { 57600, MIDNIGHT }, /* to the second */
        { 57601, "2027-01-17" },
        { 86400, "2027-01-17" },
    };
    struct remote_fixture *fixture = *state;
    struct mint *mint = &fixture->base.mint;

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct str end = arena_printf(fixture->base.arena, "%sT00:00:00Z", cases[i].date);

        prepare(fixture, FIELDS);
        mint->ttl_s = cases[i].ttl_s;
        json_decref(mint->record);
        mint->record = NULL;
        assert_true(gitlab_intend(mint, &fixture->base.error));
        assert_true(str_eq(fixture_text(mint->record, NULL, "target_expires_at"), end));
    }
}

#define GIVEN_DEPLOY(scopes, end, more)                                                            \
    "{\"id\":43,\"name\":\"" TITLE "\",\"username\":\"gitlab+deploy-token-43\",\"scopes\":" scopes \
    ",\"expires_at\":\"" end "\",\"revoked\":false,\"expired\":false,\"token\":\"gldt-a\"" more    \
    "}"
#define IMAGES DEPLOY("[read_registry]")

static void a_deploy_token_ends_to_the_second_and_has_a_user(void **state)
{
    struct remote_fixture *fixture = *state;
    const struct mint *mint = &fixture->base.mint;

    assert_done(fixture,
                mint_of(fixture, IMAGES, 201,
                        GIVEN_DEPLOY("[\"read_registry\"]", "2027-01-15T10:15:00.000+02:00", "")));
    assert_non_null(
        strstr(fixture->log.requests[0], "POST /api/v4/projects/77/deploy_tokens HTTP/1.1\r\n"));
    assert_string_equal(peer_body(&fixture->log, 0),
                        "{\"expires_at\":\"2027-01-15T08:15:00Z\",\"name\":\"" TITLE
                        "\",\"scopes\":[\"read_registry\"]}");
    assert_str(fixture_text(mint->credential, "gitlab", "token"), "gldt-a");
    assert_str(fixture_text(mint->credential, "gitlab", "token_kind"), "deploy");
    assert_str(fixture_text(mint->credential, "gitlab", "username"), "gitlab+deploy-token-43");
    assert_str(fixture_text(mint->credential, "gitlab", "registry"), "r.example");
    assert_str(fixture_text(mint->credential, "gitlab", "target_expires_at"),
               "2027-01-15T08:15:00Z");
    assert_str(fixture_text(mint->record, NULL, "token_kind"), "deploy");
    assert_int_equal(mint->expires_s, FIXTURE_NOW_S + 900);
}

/* What stage and run are called stands behind the name, without what GitLab takes out. */
static void a_title_is_for_people_and_bounded(void **state)
{
    struct remote_fixture *fixture = *state;
    char run[300];
    const char *name;
    size_t len;

    prepare(fixture, FIELDS);
    memset(run, 'r', sizeof(run));
    memcpy(run, "<b>\"x y", 7);
    fixture->base.mint.run = (struct str){ run, sizeof(run) };
    (void)remote_mint_from(fixture, gitlab_configure, &(struct peer_script){ 0 }, 1);
    name = strstr(peer_body(&fixture->log, 0), NAME);
    assert_non_null(name);
    len = strcspn(name, "\"");
    assert_int_equal(len, strlen(NAME) + 1 + 120);
    assert_non_null(strstr(name, " " FIXTURE_STAGE " _b__x_yrrr"));
}

static void answers_that_are_not_what_was_asked_for_are_not_released(void **state)
{
    static const struct {
        const char *name;
        int status;
        const char *body;
        enum error_code code;
        bool may_exist;
        bool has_number; /* so that it is deleted by it */
    } cases[] = {
        { "nothing", 0, "", ERROR_MINT_UNKNOWN, true, false },
        { "html", 201, "<html>Sign in</html>", ERROR_MINT_UNKNOWN, true, false },
        { "a list", 201, "[" GOOD "]", ERROR_MINT_UNKNOWN, true, false },
        { "a redirect", 302, "", ERROR_MINT_UNKNOWN, true, false },
        { "an empty object", 201, "{}", ERROR_MINT, true, false },
        { "another status", 200, GOOD, ERROR_MINT_UNKNOWN, true, false },
        { "an error of theirs", 500, MESSAGE("a"), ERROR_MINT_UNKNOWN, true, false },
        { "a refusal without words", 404, "{}", ERROR_MINT_UNKNOWN, true, false },
        { "a refusal with a token", 400, "{\"message\":\"a\",\"token\":\"glpat-a\"}", ERROR_MINT,
          true, false },
        { "a refusal", 404, MESSAGE("404 Project Not Found"), ERROR_MINT, false, false },
        { "a refusal that has who asks", 401, MESSAGE("PRIVATE-TOKEN: " OWN_TOKEN), ERROR_MINT,
          false, false },
        { "a refusal as a map", 400, "{\"message\":{\"scopes\":[\"no\"]}}", ERROR_MINT, false,
          false },
        { "a refusal of who asks", 403, "{\"error\":\"insufficient_scope\"}", ERROR_MINT, false,
          false },
        { "too many requests", 429, "Retry later\n", ERROR_MINT, false, false },
        { "too many requests and a token", 429, "{\"token\":\"glpat-a\"}", ERROR_MINT_UNKNOWN, true,
          false },
        { "a token and words", 201,
          GIVEN("42", TITLE, SCOPES, "30", MIDNIGHT, TOKEN ",\"message\":\"a\""), ERROR_MINT, true,
          true },
        { "another name", 201, GIVEN("42", "a", SCOPES, "30", MIDNIGHT, TOKEN), ERROR_MINT, true,
          false },
        { "the name alone", 201, GIVEN("42", NAME, SCOPES, "30", MIDNIGHT, TOKEN), ERROR_MINT, true,
          false },
        { "a number as text", 201, GIVEN("\"42\"", TITLE, SCOPES, "30", MIDNIGHT, TOKEN),
          ERROR_MINT, true, false },
        { "no number", 201, GIVEN("0", TITLE, SCOPES, "30", MIDNIGHT, TOKEN), ERROR_MINT, true,
          false },
        { "no token", 201, GIVEN("42", TITLE, SCOPES, "30", MIDNIGHT, ""), ERROR_MINT, true, true },
        { "a token with a line", 201,
          GIVEN("42", TITLE, SCOPES, "30", MIDNIGHT, ",\"token\":\"a\\nb\""), ERROR_MINT, true,
          true },
        { "a token that a shell reads", 201,
          GIVEN("42", TITLE, SCOPES, "30", MIDNIGHT, ",\"token\":\"a$(b)\""), ERROR_MINT, true,
          true },
        { "a scope more", 201,
          GIVEN("42", TITLE, "[\"read_repository\",\"write_repository\",\"api\"]", "30", MIDNIGHT,
                TOKEN),
          ERROR_MINT, true, true },
        { "a scope less", 201, GIVEN("42", TITLE, "[\"read_repository\"]", "30", MIDNIGHT, TOKEN),
          ERROR_MINT, true, true },
        { "another scope", 201,
          GIVEN("42", TITLE, "[\"read_repository\",\"api\"]", "30", MIDNIGHT, TOKEN), ERROR_MINT,
          true, true },
        { "one scope twice", 201,
          GIVEN("42", TITLE, "[\"read_repository\",\"read_repository\"]", "30", MIDNIGHT, TOKEN),
          ERROR_MINT, true, true },
        { "no scopes", 201, GIVEN("42", TITLE, "null", "30", MIDNIGHT, TOKEN), ERROR_MINT, true,
          true },
        { "a higher level", 201, GIVEN("42", TITLE, SCOPES, "40", MIDNIGHT, TOKEN), ERROR_MINT,
          true, true },
        { "a lower level", 201, GIVEN("42", TITLE, SCOPES, "20", MIDNIGHT, TOKEN), ERROR_MINT, true,
          true },
        { "a level as text", 201, GIVEN("42", TITLE, SCOPES, "\"30\"", MIDNIGHT, TOKEN), ERROR_MINT,
          true, true },
        { "a day more", 201, GIVEN("42", TITLE, SCOPES, "30", "2027-01-17", TOKEN), ERROR_MINT,
          true, true },
        { "a day less", 201, GIVEN("42", TITLE, SCOPES, "30", "2027-01-15", TOKEN), ERROR_MINT,
          true, true },
        { "no end", 201, GIVEN("42", TITLE, SCOPES, "30", "", TOKEN), ERROR_MINT, true, true },
        { "one that is not active", 201,
          "{\"id\":42,\"name\":\"" TITLE "\",\"scopes\":" SCOPES ",\"access_level\":30,"
          "\"expires_at\":\"" MIDNIGHT "\",\"active\":false" TOKEN "}",
          ERROR_MINT, true, true },
    };
    struct remote_fixture *fixture = *state;
    const struct mint *mint = &fixture->base.mint;

    for (size_t i = 0; i < COUNT(cases); i++) {
        enum progress progress = mint_of(fixture, FIELDS, cases[i].status, cases[i].body);
        bool has_number = json_object_get(mint->record, "token_id") != NULL;

        if (progress != PROGRESS_FAILED || fixture->base.error.code != cases[i].code ||
            mint->may_exist != cases[i].may_exist || has_number != cases[i].has_number)
            fail_msg("%s: %d %d %d %d %s", cases[i].name, progress, fixture->base.error.code,
                     mint->may_exist, has_number, fixture->base.error.cause);
        assert_null(mint->credential);
        assert_null(strstr(fixture->base.error.cause, "glpat-"));
        assert_null(strstr(fixture->base.error.cause, OWN_TOKEN));
    }
}

static void a_deploy_token_that_is_another_is_not_released(void **state)
{
    static const char *const bodies[] = {
        GIVEN_DEPLOY("[\"read_registry\"]", "2027-01-15T08:15:01Z", ""),
        GIVEN_DEPLOY("[\"read_registry\"]", "2027-01-15T08:14:59Z", ""),
        GIVEN_DEPLOY("[\"read_registry\"]", "2027-01-15T08:15:00+02:00", ""),
        GIVEN_DEPLOY("[\"read_registry\"]", "", ""),
        GIVEN_DEPLOY("[\"read_registry\",\"write_registry\"]", "2027-01-15T08:15:00Z", ""),
        "{\"id\":43,\"name\":\"" TITLE "\",\"scopes\":[\"read_registry\"],"
        "\"expires_at\":\"2027-01-15T08:15:00Z\",\"token\":\"gldt-a\"}", /* without its user */
        "{\"id\":43,\"name\":\"" TITLE "\",\"scopes\":[\"read_registry\"],\"username\":\"a:b\","
        "\"expires_at\":\"2027-01-15T08:15:00Z\",\"token\":\"gldt-a\"}",
    };
    struct remote_fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(bodies); i++) {
        assert_int_equal(mint_of(fixture, IMAGES, 201, bodies[i]), PROGRESS_FAILED);
        assert_true(fixture->base.mint.may_exist);
        assert_str(fixture_text(fixture->base.mint.record, NULL, "token_id"), "43");
    }
}

/* A token as long as is taken, and one more. */
static void there_is_a_limit_to_a_tokens_length(void **state)
{
    struct remote_fixture *fixture = *state;
    char token[514];

    memset(token, 'a', sizeof(token));
    for (int len = 512; len <= 513; len++) {
        const char *body =
            arena_printf(fixture->base.arena,
                         GIVEN("42", TITLE, SCOPES, "30", MIDNIGHT, ",\"token\":\"%.*s\""), len,
                         token)
                .data;

        assert_int_equal(mint_of(fixture, FIELDS, 201, body),
                         len == 512 ? PROGRESS_DONE : PROGRESS_FAILED);
    }
    assert_non_null(strstr(fixture->base.error.cause, "no proper token"));
}

static void a_refusal_says_what_to_do(void **state)
{
    static const struct {
        int status;
        const char *body;
        const char *advice;
    } cases[] = {
        { 400, "{\"message\":{\"name\":[\"is bad\"]}}", "\"{\"name\":[\"is bad\"]}\"" },
        { 401, MESSAGE("401 Unauthorized"), "own token has expired" },
        { 403, "{\"error\":\"insufficient_scope\"}", "has not the scope api" },
        { 404, MESSAGE("404 Project Not Found"), "is no member of the project" },
        { 418, MESSAGE("I am a teapot"), "\"I am a teapot\"" },
        { 429, "Retry later", "not asked for 60 s" },
    };
    struct remote_fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(mint_of(fixture, FIELDS, cases[i].status, cases[i].body), PROGRESS_FAILED);
        if (!strstr(fixture->base.error.cause, cases[i].advice))
            fail_msg("%d: %s", cases[i].status, fixture->base.error.cause);
    }
}

static void who_asks_too_much_is_quiet_for_a_while(void **state)
{
    struct remote_fixture *fixture = *state;
    struct fixture *base = &fixture->base;
    JSON_OWNED json_t *record = NULL;
    struct revocation revocation = { .now_s = FIXTURE_NOW_S + 1 };

    assert_int_equal(mint_of(fixture, FIELDS, 429, MESSAGE("slow down")), PROGRESS_FAILED);
    prepare(fixture, FIELDS);
    record = json_deep_copy(base->mint.record);
    base->mint.now_s = FIXTURE_NOW_S + 59;
    assert_int_equal(remote_mint(fixture), PROGRESS_FAILED);
    assert_non_null(strstr(base->error.cause, "was not asked: it had too many requests, 1 s"));
    assert_false(base->mint.may_exist);
    base->error = (struct error){ 0 };
    revocation.record = record; /* what is to be deleted waits, too */
    assert_int_equal(remote_revoke(fixture, &revocation), PROGRESS_FAILED);
    assert_non_null(strstr(base->error.cause, "too many requests, 59 s"));
    prepare(fixture, FIELDS);
    base->mint.now_s = FIXTURE_NOW_S + 60;
    assert_int_equal(remote_mint(fixture), PROGRESS_FAILED); /* the peer is not there any more */
    assert_null(strstr(base->error.cause, "too many"));
    prepare(fixture, FIELDS);
    base->mint.now_s = FIXTURE_NOW_S - 7200; /* a clock that was set back */
    assert_int_equal(remote_mint(fixture), PROGRESS_FAILED);
    assert_null(strstr(base->error.cause, "too many"));
    base->mint.now_s = FIXTURE_NOW_S;
}

/* For how long GitLab wants to be left alone, and for how long it is. */
static void it_is_left_alone_for_as_long_as_it_says(void **state)
{
    static const struct {
        struct remote_call said;
        int64_t quiet_s;
    } cases[] = {
        { { .status = 200, .rate_remaining = -1 }, 0 },
        { { .status = 200, .rate_remaining = 7, .rate_reset_s = FIXTURE_NOW_S + 30 }, 0 },
        { { .status = 200, .rate_remaining = 0, .rate_reset_s = FIXTURE_NOW_S + 30 }, 30 },
        { { .status = 200, .rate_remaining = 0, .rate_reset_s = FIXTURE_NOW_S - 30 }, 0 },
        { { .status = 200, .rate_remaining = 0, .rate_reset_s = INT64_MAX }, 3600 },
        { { .status = 429, .rate_remaining = -1 }, 60 },
        { { .status = 429, .rate_remaining = 0, .rate_reset_s = FIXTURE_NOW_S + 45 }, 45 },
        { { .status = 429, .retry_after_s = 90, .rate_reset_s = FIXTURE_NOW_S + 45 }, 90 },
        { { .status = 429, .retry_after_s = 3601 }, 3600 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct gitlab_settings own = { 0 };
        struct remote_call call = cases[i].said;
        struct error error = { 0 };
        int64_t until_s;

        call.outcome = UPSTREAM_ANSWERED;
        buf_init(&call.body, 16);
        assert_int_equal(gitlab_is_answered(&own, &call, FIXTURE_NOW_S, &error),
                         call.status == 200);
        until_s = atomic_load(&own.quiet.until_s);
        assert_int_equal(until_s > 0 ? until_s - FIXTURE_NOW_S : 0, cases[i].quiet_s);
        buf_release(&call.body);
    }
}

static void without_a_token_of_the_brokers_own_nothing_is_asked(void **state)
{
    static const struct {
        const char *text; /* NULL: 1025 bytes */
        mode_t mode;
        const char *words;
    } cases[] = {
        { "", 0600, "there is no token" },        { "two words", 0600, "there is no token" },
        { "a\nb", 0600, "there is no token" },    { OWN_TOKEN, 0644, "chmod 0600" },
        { NULL, 0600, "larger than 1024 bytes" },
    };
    struct remote_fixture *fixture = *state;
    struct fixture *base = &fixture->base;
    char url[64];
    char large[1026];

    memset(large, 'a', sizeof(large));
    large[1025] = '\0';
    peer_nobody(url);
    gitlab_configure(fixture, url);
    for (size_t i = 0; i < COUNT(cases); i++) {
        gitlab_write_own_token(fixture, cases[i].text ? cases[i].text : large, cases[i].mode);
        prepare(fixture, FIELDS);
        assert_int_equal(remote_mint(fixture), PROGRESS_FAILED);
        assert_false(base->mint.may_exist);
        if (base->error.code != ERROR_MINT || !strstr(base->error.cause, cases[i].words) ||
            strstr(base->error.cause, OWN_TOKEN))
            fail_msg("%zu: %s", i, base->error.cause);
        assert_false(base->target.kind->start(&base->target, &base->tools, &base->error));
    }
    large[1024] = '\0'; /* as long as may be */
    gitlab_write_own_token(fixture, large, 0600);
    assert_true(base->target.kind->start(&base->target, &base->tools, &base->error));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_intent_says_where_a_token_will_be),
        TEST(a_token_comes_back_as_it_was_given),
        TEST(a_group_access_token_is_made_in_its_group),
        TEST(gitlab_is_asked_for_all_of_it),
        TEST(a_date_covers_the_lease_and_no_more),
        TEST(a_deploy_token_ends_to_the_second_and_has_a_user),
        TEST(a_title_is_for_people_and_bounded),
        TEST(answers_that_are_not_what_was_asked_for_are_not_released),
        TEST(a_deploy_token_that_is_another_is_not_released),
        TEST(there_is_a_limit_to_a_tokens_length),
        TEST(a_refusal_says_what_to_do),
        TEST(who_asks_too_much_is_quiet_for_a_while),
        TEST(it_is_left_alone_for_as_long_as_it_says),
        TEST(without_a_token_of_the_brokers_own_nothing_is_asked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
