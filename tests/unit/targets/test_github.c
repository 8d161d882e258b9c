#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "base/json.h"
#include "remote.h"
#include "targets/github_internal.h"
#include "targets/remote_call.h"
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

#define SETTINGS(more) "{ installation: \"77\", app: Iv1.8a61, key: github-app" more " }"
#define GRANT(permissions) "{ repositories: [\"4242\"], permissions: " permissions " }"

static void a_grant_is_repositories_by_id_with_permissions(void **state)
{
    static const struct fixture_case cases[] = {
        { "{ target: prod, repositories: [\"4242\", \"4243\"], permissions: { contents: read } }",
          NULL },
        { GRANT("{ contents: write, deployments: write, metadata: read }"), NULL },
        { GRANT("{ organization_projects: admin, workflows: write }"), NULL },
        { "{ permissions: { contents: read } }", "'repositories' is missing here" },
        { "{ repositories: [], permissions: { contents: read } }", "must not be empty" },
        { "{ repositories: [acme/payments], permissions: { contents: read } }",
          "expected a repository's id, not its name" },
        { "{ repositories: payments, permissions: { contents: read } }",
          "expected a repository's id, not its name" },
        { "{ repositories: [\"042\"], permissions: { contents: read } }",
          "expected a repository's id, not its name" },
        { "{ repositories: [\"42\", \"42\"], permissions: { contents: read } }", "is there twice" },
        { "{ repositories: [\"4242\"] }", "'permissions' is missing here" },
        { GRANT("{ }"), "all that the app has" },
        { GRANT("[contents]"), "expected a map of permissions" },
        { GRANT("read"), "expected a map of permissions" },
        { GRANT("{ content: read }"), "did you mean 'contents'?" },
        { GRANT("{ everything: read }"), "there is no permission 'everything'" },
        { GRANT("{ email_addresses: read }"), "there is no permission 'email_addresses'" },
        { GRANT("{ contents: reed }"), "did you mean 'read'?" },
        { GRANT("{ contents: [read] }"), "expected one text" },
        { GRANT("{ contents: none }"), "'none' is no level" },
        { GRANT("{ contents: admin }"), "'contents' has no level 'admin'" },
        { GRANT("{ workflows: read }"), "'workflows' has no level 'read'" },
        { GRANT("{ organization_plan: write }"), "'organization_plan' has no level 'write'" },
    };

    fixture_check_all(*state, "github", cases, COUNT(cases));
}

static void there_is_a_limit_to_each_size(void **state)
{
    fixture_check_limit(*state, "github", "{ repositories: [%s], permissions: { contents: read } }",
                        "\"%zu\", ", 500);
    fixture_check_limit(*state, "github",
                        "{ repositories: \"%s\", permissions: { contents: read } }", "1", 18);
}

static void a_target_is_an_installation(void **state)
{
    struct fixture *fixture = *state;

    assert_null(fixture_configure(fixture, "github", SETTINGS("")));
    assert_null(
        fixture_configure(fixture, "github", SETTINGS(", url: \"https://ghes.example/api/v3\"")));
    assert_non_null(fixture_configure(fixture, "github", "{ type: github }"));
    assert_non_null(
        fixture_configure(fixture, "github", "{ installation: \"77\", app: Iv1.8a61 }"));
    assert_non_null(fixture_configure(fixture, "github", "{ installation: \"77\", key: a }"));
    assert_non_null(
        fixture_configure(fixture, "github", "{ installation: acme, app: a, key: github-app }"));
    assert_non_null(fixture_configure(fixture, "github", SETTINGS(", url: \"http://a.example\"")));
    assert_non_null(
        fixture_configure(fixture, "github", SETTINGS(", url: \"https://a.example/\"")));
    assert_non_null(
        fixture_configure(fixture, "github", "{ installation: \"7\", app: \"a b\", key: a }"));
}

#define APP(number) "{ app: app" number ", installation: \"7" number "\", key: key-" number " }"
#define APPS "{ apps: [" APP("1") ", " APP("2") ", " APP("3") "] }"

static void a_target_may_have_several_apps(void **state)
{
    static const struct {
        const char *yaml;
        const char *message; /* NULL: it is good */
    } cases[] = {
        { "{ apps: [" APP("1") "] }", NULL },
        { APPS, NULL },
        { "{ apps: [" APP("1") "], url: \"https://ghes.example/api/v3\" }", NULL },
        { "{ apps: [] }", "'apps' has 1 to 8 elements" },
        { "{ apps: a }", "list" },
        { "{ apps: [a] }", "map" },
        { "{ apps: [" APP("1") ", " APP("1") "] }", "this installation is there twice" },
        { "{ apps: [{ app: a, installation: \"1\" }] }", "'key' is missing" },
        { "{ apps: [{ app: a, key: k }] }", "'installation' is missing" },
        { "{ apps: [{ installation: \"1\", key: k }] }", "'app' is missing" },
        { "{ apps: [{ app: a, installation: acme, key: k }] }", "holds a character" },
        { "{ apps: [{ app: a, installation: \"1\", key: k, url: b }] }", "url" },
        { "{ apps: [" APP("1") "], app: a }", "'app' stands in each of 'apps'" },
        { "{ apps: [" APP("1") "], key: a }", "'key' stands in each of 'apps'" },
        { "{ apps: [" APP("1") "], installation: \"1\" }", "'installation' stands in each" },
    };
    struct fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *message = fixture_configure(fixture, "github", cases[i].yaml);

        if ((message == NULL) != (cases[i].message == NULL) ||
            (message && !strstr(message, cases[i].message)))
            fail_msg("%s: %s", cases[i].yaml, message ? message : "is taken");
    }
}

static void there_are_eight_apps_at_most(void **state)
{
    struct fixture *fixture = *state;
    const char *list = APP("0");

    for (unsigned i = 1; i <= 8; i++) {
        const char *yaml = arena_printf(fixture->arena, "{ apps: [%s] }", list).data;

        assert_null(fixture_configure(fixture, "github", yaml));
        list = arena_printf(fixture->arena, "%s, { app: a, installation: \"%u\", key: key-%u }",
                            list, i, i)
                   .data;
    }
    assert_non_null(fixture_configure(fixture, "github",
                                      arena_printf(fixture->arena, "{ apps: [%s] }", list).data));
}

/* ---- whose turn it is ---- */

/* The apps in the order in which one mint asks them: "231". */
static const char *order_of(struct github_settings *own, const char *body, int64_t now_s)
{
    static char order[GITHUB_APPS_MAX + 1];
    struct github_turn turn;
    struct github_app *app;
    size_t count = 0;

    github_turn_begin(own, str_from(body), &turn);
    while ((app = github_turn_next(own, &turn, now_s)))
        order[count++] = app->installation.data[1];
    order[count] = '\0';
    return order;
}

static struct github_settings *three_apps(struct fixture *fixture)
{
    assert_null(fixture_configure(fixture, "github", APPS));
    return fixture->target.settings;
}

static void apps_take_turns(void **state)
{
    struct github_settings *own = three_apps(*state);

    assert_string_equal(order_of(own, "a", FIXTURE_NOW_S), "123");
    assert_string_equal(order_of(own, "a", FIXTURE_NOW_S), "231");
    assert_string_equal(order_of(own, "b", FIXTURE_NOW_S), "312");
    assert_string_equal(order_of(own, "a", FIXTURE_NOW_S), "123");
}

static void an_app_that_asked_too_much_is_left_out_until_its_reset(void **state)
{
    struct github_settings *own = three_apps(*state);
    const struct remote_call call = { .status = 403,
                                      .rate_remaining = 0,
                                      .rate_reset_s = FIXTURE_NOW_S + 100 };

    assert_int_equal(remote_quiet_heed(&own->apps[0].quiet, &call, true, FIXTURE_NOW_S), 100);
    assert_string_equal(order_of(own, "a", FIXTURE_NOW_S), "23");
    assert_string_equal(order_of(own, "a", FIXTURE_NOW_S + 99), "23");
    assert_string_equal(order_of(own, "a", FIXTURE_NOW_S + 100), "312");
}

static void an_app_that_has_not_what_is_wanted_is_asked_last(void **state)
{
    struct github_settings *own = three_apps(*state);
    struct github_turn turn;

    github_turn_begin(own, STR("a"), &turn);
    github_app_lacks(&own->apps[1], &turn, FIXTURE_NOW_S);
    assert_string_equal(order_of(own, "a", FIXTURE_NOW_S), "312");
    own->turns = 1;
    assert_string_equal(order_of(own, "a", FIXTURE_NOW_S + 599), "312");
    own->turns = 1;
    assert_string_equal(order_of(own, "b", FIXTURE_NOW_S), "231");
    own->turns = 1;
    assert_string_equal(order_of(own, "a", FIXTURE_NOW_S + 600), "231");
    own->turns = 1; /* a clock that was set back */
    assert_string_equal(order_of(own, "a", FIXTURE_NOW_S - 1), "231");
}

static void for_how_long_is_as_the_refusal_says(void **state)
{
    static const struct {
        struct remote_call said;
        bool is_refused;
        int64_t wait_s;
    } cases[] = {
        { { .rate_remaining = 5, .rate_reset_s = FIXTURE_NOW_S + 30 }, false, 0 },
        { { .rate_remaining = 0, .rate_reset_s = FIXTURE_NOW_S + 30 }, false, 30 },
        { { .rate_remaining = 5, .rate_reset_s = FIXTURE_NOW_S + 30 }, true, 60 },
        { { .rate_remaining = 0, .rate_reset_s = FIXTURE_NOW_S + 30 }, true, 30 },
        { { .rate_remaining = 0, .rate_reset_s = FIXTURE_NOW_S }, true, 60 },
        { { .rate_remaining = 0, .rate_reset_s = FIXTURE_NOW_S + 3601 }, true, 3600 },
        { { .rate_remaining = -1, .retry_after_s = 90 }, true, 90 },
        { { .rate_remaining = -1, .retry_after_s = 90 }, false, 0 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct remote_quiet quiet = { 0 };

        if (remote_quiet_heed(&quiet, &cases[i].said, cases[i].is_refused, FIXTURE_NOW_S) !=
                cases[i].wait_s ||
            remote_quiet_left_s(&quiet, FIXTURE_NOW_S) != cases[i].wait_s)
            fail_msg("%zu", i);
    }
}

static void a_catalog_need_not_say_who_the_broker_is_there(void **state)
{
    struct fixture *fixture = *state;
    struct target target = { .kind = target_kind_find(STR("github")), .is_catalog = true };
    struct diagnostics diagnostics;
    struct yaml_document *document = NULL;
    struct yaml_reader reader = { NULL, &diagnostics, fixture->arena };

    diagnostics_init(&diagnostics, fixture->arena);
    assert_true(
        yaml_parse(STR("a.yaml"), STR("{ installation: \"77\" }"), &diagnostics, &document));
    reader.document = document;
    assert_true(target_configure(&target, &reader, yaml_root(document), fixture->arena));
    yaml_document_free(document);
}

/* So that a guardrail against reading is not passed by who may write. */
static void a_level_gives_those_below_it_too(void **state)
{
    assert_string_equal(fixture_gives(*state, "github", GRANT("{ contents: write }"), NULL),
                        "contents:read, contents:write, metadata:read");
    assert_string_equal(fixture_gives(*state, "github",
                                      GRANT("{ metadata: read, organization_projects: admin }"),
                                      NULL),
                        "metadata:read, organization_projects:read, organization_projects:write, "
                        "organization_projects:admin");
}

/* ---- minting ---- */

#define FIELDS GRANT("{ contents: write, deployments: read }")
#define END "2027-01-15T09:00:00Z" /* an hour after FIXTURE_NOW_S */
#define GIVEN(token, end, permissions, selection, ids)                                             \
    "{\"token\":\"" token "\",\"expires_at\":\"" end "\",\"permissions\":" permissions             \
    ",\"repository_selection\":\"" selection "\",\"repositories\":[" ids "]}"
#define RIGHTS "{\"contents\":\"write\",\"deployments\":\"read\",\"metadata\":\"read\"}"
#define ID "{\"id\":4242}"
#define GOOD GIVEN("ghs_1_a.b.c", END, RIGHTS, "selected", ID)
#define MESSAGE(words) "{\"message\":\"" words "\"}"

static bool has_two_apps;

static void configure(struct remote_fixture *fixture, const char *url)
{
    struct fixture *base = &fixture->base;
    char yaml[512];
    const char *message;
    struct key *key;

    if (has_two_apps)
        (void)snprintf(
            yaml, sizeof(yaml),
            "{ apps: [{ app: app1, installation: \"71\", key: github-app }, { app: app2, "
            "installation: \"72\", key: github-app }], url: \"%s\", allow_http: true }",
            url);
    else
        (void)snprintf(yaml, sizeof(yaml), SETTINGS(", url: \"%s\", allow_http: true"), url);
    message = fixture_configure(base, "github", yaml);
    if (message)
        fail_msg("%s", message);
    assert_true(keys_named(base->keys, STR("github-app"), KEY_RS256, &key, &base->error));
    assert_true(base->target.kind->start(&base->target, &base->tools, &base->error));
}

static enum progress mint_from(struct remote_fixture *fixture, int status, const char *body)
{
    const struct peer_script script = { status, str_from(body), 0 };

    fixture_again(&fixture->base);
    fixture->base.mint.ttl_s = 3600;
    fixture_fields(&fixture->base, FIELDS);
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

    assert_done(fixture, mint_from(fixture, 201, GOOD));
    assert_str(fixture_text(mint->credential, "github", "token"), "ghs_1_a.b.c");
    assert_true(
        str_starts_with(fixture_text(mint->credential, "github", "host"), STR("127.0.0.1:")));
    assert_str(fixture_text(mint->handle, NULL, "token"), "ghs_1_a.b.c");
    assert_int_equal(mint->expires_s, FIXTURE_NOW_S + 3600);
    assert_str(fixture_text(mint->record, NULL, "installation"), "77");
    assert_str(fixture_text(mint->record, NULL, "id"),
               "sha256:af633dd683ee030530e49f4ed228ea8c9d47a59842b2b919dfd73dba86a05c26");
    assert_str(fixture_text(mint->record, NULL, "hashed_token"),
               "r2M91oPuAwUw5J9O0ijqjJ1HpZhCsrkZ39c9uoagXCY=");
}

/* A part of a token as JSON, in the arena. */
static const json_t *part_of(struct fixture *base, struct str part)
{
    uint8_t bytes[1024];
    json_t *json = NULL;
    size_t len = 0;

    assert_true(part.len < sizeof(bytes) && base64url_decode(part, bytes, &len));
    assert_true(json_parse_object((struct str){ (const char *)bytes, len }, JSON_LIMITS_REQUEST,
                                  &json, &base->error));
    assert_true(json_keep(base->arena, json, &base->error));
    return json;
}

static void github_is_asked_as_the_app_for_what_the_grant_names(void **state)
{
    struct remote_fixture *fixture = *state;
    const char *request = fixture->log.requests[0];
    const json_t *claims;
    struct str header;
    struct str rest;
    const char *bearer;

    assert_done(fixture, mint_from(fixture, 201, GOOD));
    assert_non_null(strstr(request, "POST /app/installations/77/access_tokens HTTP/1.1\r\n"));
    assert_non_null(strstr(request, "Accept: application/vnd.github+json\r\n"));
    assert_non_null(strstr(request, "X-GitHub-Api-Version: 2022-11-28\r\n"));
    assert_non_null(strstr(request, "User-Agent: stagepass/"));
    assert_string_equal(peer_body(&fixture->log, 0),
                        "{\"permissions\":{\"contents\":\"write\",\"deployments\":\"read\"},"
                        "\"repository_ids\":[4242]}");
    bearer = strstr(request, "Authorization: Bearer ");
    assert_non_null(bearer);
    assert_true(str_cut(str_from(bearer + strlen("Authorization: Bearer ")), '.', &header, &rest));
    assert_str(fixture_text(part_of(&fixture->base, header), NULL, "alg"), "RS256");
    assert_true(str_cut(rest, '.', &header, &rest));
    claims = part_of(&fixture->base, header);
    assert_str(fixture_text(claims, NULL, "iss"), "Iv1.8a61");
    assert_int_equal(json_integer_value(json_object_get(claims, "iat")), FIXTURE_NOW_S - 60);
    assert_int_equal(json_integer_value(json_object_get(claims, "exp")), FIXTURE_NOW_S + 540);
    assert_int_equal(json_object_size(claims), 3);
}

static void answers_that_are_not_what_was_asked_for_are_not_released(void **state)
{
    static const struct {
        const char *name;
        int status;
        const char *body;
        enum error_code code;
        bool may_exist;
        bool has_handle;
    } cases[] = {
        { "nothing", 0, "", ERROR_MINT_UNKNOWN, true, false },
        { "html", 201, "<html>Sign in</html>", ERROR_MINT_UNKNOWN, true, false },
        { "a redirect", 302, "", ERROR_MINT_UNKNOWN, true, false },
        { "an empty object", 201, "{}", ERROR_MINT, true, false },
        { "another status", 200, GOOD, ERROR_MINT_UNKNOWN, true, true },
        { "an error of theirs", 500, MESSAGE("a"), ERROR_MINT_UNKNOWN, true, false },
        { "a refusal without words", 404, "{}", ERROR_MINT_UNKNOWN, true, false },
        { "a refusal with a token", 422, "{\"message\":\"a\",\"token\":\"ghs_a\"}", ERROR_MINT,
          true, true },
        { "a token and words", 201, "{\"message\":\"a\",\"token\":\"ghs_a\"}", ERROR_MINT, true,
          true },
        { "an empty token", 201, GIVEN("", END, RIGHTS, "selected", ID), ERROR_MINT, true, false },
        { "a token with a line", 201, GIVEN("a\\nb", END, RIGHTS, "selected", ID), ERROR_MINT, true,
          false },
        { "a token for a shell", 201, GIVEN("a'b", END, RIGHTS, "selected", ID), ERROR_MINT, true,
          true },
        { "no end", 201, GIVEN("a", "", RIGHTS, "selected", ID), ERROR_MINT, true, true },
        { "a date", 201, GIVEN("a", "2027-01-16", RIGHTS, "selected", ID), ERROR_MINT, true, true },
        { "no life left", 201, GIVEN("a", "2027-01-15T08:00:00Z", RIGHTS, "selected", ID),
          ERROR_MINT, true, true },
        { "a longer life", 201, GIVEN("a", "2027-01-15T09:01:01Z", RIGHTS, "selected", ID),
          ERROR_MINT, true, true },
        { "no permissions", 201, GIVEN("a", END, "null", "selected", ID), ERROR_MINT, true, true },
        { "a higher level", 201, GIVEN("a", END, "{\"deployments\":\"write\"}", "selected", ID),
          ERROR_MINT, true, true },
        { "another permission", 201, GIVEN("a", END, "{\"issues\":\"read\"}", "selected", ID),
          ERROR_MINT, true, true },
        { "no level that is known", 201, GIVEN("a", END, "{\"contents\":\"all\"}", "selected", ID),
          ERROR_MINT, true, true },
        { "metadata to write", 201, GIVEN("a", END, "{\"metadata\":\"write\"}", "selected", ID),
          ERROR_MINT, true, true },
        { "all repositories", 201, GIVEN("a", END, RIGHTS, "all", ID), ERROR_MINT, true, true },
        { "no repositories", 201, GIVEN("a", END, RIGHTS, "selected", ""), ERROR_MINT, true, true },
        { "one more", 201, GIVEN("a", END, RIGHTS, "selected", ID ",{\"id\":4243}"), ERROR_MINT,
          true, true },
        { "an id as text", 201, GIVEN("a", END, RIGHTS, "selected", "{\"id\":\"4242\"}"),
          ERROR_MINT, true, true },
        { "a refusal", 404, MESSAGE("Not Found"), ERROR_MINT, false, false },
    };
    struct remote_fixture *fixture = *state;
    const struct mint *mint = &fixture->base.mint;

    for (size_t i = 0; i < COUNT(cases); i++) {
        enum progress progress = mint_from(fixture, cases[i].status, cases[i].body);

        if (progress != PROGRESS_FAILED || fixture->base.error.code != cases[i].code ||
            mint->may_exist != cases[i].may_exist || (mint->handle != NULL) != cases[i].has_handle)
            fail_msg("%s: %d %d %d %s", cases[i].name, progress, fixture->base.error.code,
                     mint->may_exist, fixture->base.error.cause);
        assert_null(mint->credential);
        assert_int_equal(target_revocation(mint->target->kind, mint),
                         cases[i].has_handle ? POLICY_REVOKED_NOW : POLICY_REVOKED_BY_EXPIRY);
    }
}

static void less_than_was_asked_for_is_taken(void **state)
{
    struct remote_fixture *fixture = *state;

    assert_done(fixture, mint_from(fixture, 201,
                                   GIVEN("a", "2027-01-15T09:01:00Z", "{\"contents\":\"read\"}",
                                         "selected", ID)));
    assert_int_equal(fixture->base.mint.expires_s, FIXTURE_NOW_S + 3660);
}

/* A token as long as a handle may hold, and one more. */
static void there_is_a_limit_to_a_tokens_length(void **state)
{
    struct remote_fixture *fixture = *state;
    char token[2050];

    memset(token, 'a', sizeof(token));
    for (int len = 2048; len <= 2049; len++) {
        const char *body = arena_printf(fixture->base.arena,
                                        GIVEN("%.*s", END, RIGHTS, "selected", ID), len, token)
                               .data;
        enum progress progress = mint_from(fixture, 201, body);

        assert_int_equal(progress, len == 2048 ? PROGRESS_DONE : PROGRESS_FAILED);
    }
    assert_non_null(strstr(fixture->base.error.cause, "no proper token"));
}

static void a_refusal_says_what_to_do(void **state)
{
    static const struct {
        int status;
        const char *words;
        const char *advice;
    } cases[] = {
        { 401, "A JSON web token could not be decoded", "our clock is wrong" },
        { 403, "This installation has been suspended", "is suspended" },
        { 404, "Not Found", "no such installation" },
        { 422, "The permissions requested are not granted", "has not all of these permissions" },
        { 403, "API rate limit exceeded for installation", "not asked for 60 s" },
        { 429, "You have exceeded a secondary limit", "not asked for 60 s" },
        { 418, "I am a teapot", "\"I am a teapot\"" },
    };
    struct remote_fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct str body = arena_printf(fixture->base.arena, MESSAGE("%s"), cases[i].words);

        assert_int_equal(mint_from(fixture, cases[i].status, body.data), PROGRESS_FAILED);
        if (!strstr(fixture->base.error.cause, cases[i].advice))
            fail_msg("%d: %s", cases[i].status, fixture->base.error.cause);
    }
}

static void who_asks_too_much_is_quiet_for_a_while(void **state)
{
    struct remote_fixture *fixture = *state;
    struct fixture *base = &fixture->base;

    assert_int_equal(mint_from(fixture, 429, MESSAGE("slow down")), PROGRESS_FAILED);
    fixture_again(base);
    base->mint.now_s = FIXTURE_NOW_S + 59;
    assert_int_equal(remote_mint(fixture), PROGRESS_FAILED);
    assert_non_null(strstr(base->error.cause, "was not asked: it had too many requests, 1 s"));
    assert_false(base->mint.may_exist);
    fixture_again(base);
    base->mint.now_s = FIXTURE_NOW_S + 60;
    assert_int_equal(remote_mint(fixture), PROGRESS_FAILED); /* the peer is not there any more */
    assert_null(strstr(base->error.cause, "too many"));
    fixture_again(base);
    base->mint.now_s = FIXTURE_NOW_S - 7200; /* a clock that was set back */
    assert_int_equal(remote_mint(fixture), PROGRESS_FAILED);
    assert_null(strstr(base->error.cause, "too many"));
    base->mint.now_s = FIXTURE_NOW_S;
}

static enum progress mint_from_two(struct remote_fixture *fixture, int first, const char *words,
                                   int second, const char *answer)
{
    const struct peer_script scripts[] = {
        { first, arena_printf(fixture->base.arena, MESSAGE("%s"), words), 0 },
        { second, str_from(answer), 0 },
    };
    enum progress progress;

    fixture_again(&fixture->base);
    fixture->base.mint.ttl_s = 3600;
    fixture_fields(&fixture->base, FIELDS);
    has_two_apps = true;
    progress = remote_mint_from(fixture, configure, scripts, COUNT(scripts));
    has_two_apps = false;
    return progress;
}

static void what_one_app_may_not_or_has_not_another_is_asked_for(void **state)
{
    static const struct {
        int status;
        const char *words;
    } cases[] = {
        { 429, "You have exceeded a secondary rate limit" },
        { 403, "API rate limit exceeded for installation" },
        { 422, "There is at least one repository that does not exist or is not accessible" },
    };
    struct remote_fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_done(fixture, mint_from_two(fixture, cases[i].status, cases[i].words, 201, GOOD));
        assert_str(fixture_text(fixture->base.mint.record, NULL, "app"), "app2");
        assert_str(fixture_text(fixture->base.mint.record, NULL, "installation"), "72");
        assert_false(fixture->base.mint.may_exist);
        assert_non_null(
            strstr(fixture->log.requests[0], "POST /app/installations/71/access_tokens "));
        assert_non_null(
            strstr(fixture->log.requests[1], "POST /app/installations/72/access_tokens "));
    }
}

static void where_none_may_or_has_it_the_last_one_is_named(void **state)
{
    struct remote_fixture *fixture = *state;

    assert_int_equal(mint_from_two(fixture, 422, "a", 422, MESSAGE("b")), PROGRESS_FAILED);
    assert_int_equal(fixture->base.error.code, ERROR_MINT);
    assert_false(fixture->base.mint.may_exist);
    assert_non_null(strstr(fixture->base.error.cause, "app app2"));
    assert_non_null(strstr(fixture->base.error.cause, "has not all of these permissions"));
}

/* A token may be there already, or the app is not set up: who hides that would never be told. */
static void of_all_else_no_other_app_is_asked(void **state)
{
    static const struct {
        int status;
        const char *words;
    } cases[] = {
        { 401, "A JSON web token could not be decoded" },
        { 403, "This installation has been suspended" },
        { 404, "Not Found" },
        { 500, "Server Error" },
        { 422, "a\",\"token\":\"ghs_a" },
    };
    struct remote_fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(mint_from_two(fixture, cases[i].status, cases[i].words, 201, GOOD),
                         PROGRESS_FAILED);
        assert_string_equal(fixture->log.requests[1], "");
        assert_str(fixture_text(fixture->base.mint.record, NULL, "app"), "app1");
        assert_non_null(strstr(fixture->base.error.cause, "app app1"));
    }
}

/* ---- ending ---- */

static enum progress revoke_from(struct remote_fixture *fixture, int status, const char *body)
{
    const struct peer_script script = { status, str_from(body), 0 };
    JSON_OWNED json_t *handle = json_pack("{s:s}", "token", "ghs_1_a.b.c");
    struct revocation revocation = { .handle = handle };
    char url[64];
    struct peer *peer = peer_start(&script, 1, url);
    enum progress progress;

    configure(fixture, url);
    progress = remote_revoke(fixture, &revocation);
    peer_stop(peer, &fixture->log);
    return progress;
}

static void a_token_deletes_itself(void **state)
{
    struct remote_fixture *fixture = *state;

    assert_int_equal(revoke_from(fixture, 204, ""), PROGRESS_DONE);
    assert_non_null(strstr(fixture->log.requests[0], "DELETE /installation/token HTTP/1.1\r\n"));
    assert_non_null(strstr(fixture->log.requests[0], "Authorization: Bearer ghs_1_a.b.c\r\n"));
    assert_int_equal(revoke_from(fixture, 401, MESSAGE("Bad credentials")), PROGRESS_DONE);
    assert_int_equal(revoke_from(fixture, 404, MESSAGE("Not Found")), PROGRESS_DONE);
}

static void what_is_no_word_of_github_ends_nothing(void **state)
{
    static const struct {
        int status;
        const char *body;
    } cases[] = {
        { 0, "" },
        { 200, "" },
        { 302, "" },
        { 401, "<html>Sign in</html>" },
        { 404, "" },
        { 404, "{}" },
        { 403, MESSAGE("API rate limit exceeded") },
        { 429, MESSAGE("slow down") },
        { 503, MESSAGE("Service unavailable") },
    };
    struct remote_fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        enum progress progress = revoke_from(fixture, cases[i].status, cases[i].body);

        if (progress != PROGRESS_FAILED || fixture->base.error.code != ERROR_MINT)
            fail_msg("%d %s: %d", cases[i].status, cases[i].body, progress);
        assert_null(strstr(fixture->base.error.cause, "ghs_"));
    }
}

static void without_its_token_nothing_is_asked(void **state)
{
    struct remote_fixture *fixture = *state;
    struct revocation revocation = { 0 };
    char url[64];

    peer_nobody(url);
    configure(fixture, url);
    assert_int_equal(remote_revoke(fixture, &revocation), PROGRESS_FAILED);
    assert_non_null(strstr(fixture->base.error.cause, "is not there"));
}

/* What others made is never made here: GitHub would not know it. */
static void an_apps_key_is_not_made(void **state)
{
    struct fixture *fixture = *state;

    assert_null(fixture_configure(fixture, "github", SETTINGS("")));
    assert_false(fixture->target.kind->start(&fixture->target, &fixture->tools, &fixture->error));
    assert_int_equal(fixture->error.code, ERROR_CONFIG);
    assert_non_null(strstr(fixture->error.cause, "github-app.key: is not in the keys' folder"));
}

static void a_token_is_good_for_a_host_that_git_knows(void **state)
{
    static const struct {
        const char *url;
        const char *host;
    } cases[] = {
        { "https://api.github.com", "github.com" },
        { "https://api.acme.ghe.com", "acme.ghe.com" },
        { "https://ghes.acme.example/api/v3", "ghes.acme.example" },
        { "https://api.acme.example:8443/api/v3", "api.acme.example:8443" },
    };
    struct fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        char yaml[256];
        const struct github_settings *own;

        (void)snprintf(yaml, sizeof(yaml), SETTINGS(", url: \"%s\""), cases[i].url);
        assert_null(fixture_configure(fixture, "github", yaml));
        own = fixture->target.settings;
        assert_true(str_eq(own->host, str_from(cases[i].host)));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_grant_is_repositories_by_id_with_permissions),
        TEST(there_is_a_limit_to_each_size),
        TEST(a_target_is_an_installation),
        TEST(a_target_may_have_several_apps),
        TEST(there_are_eight_apps_at_most),
        TEST(apps_take_turns),
        TEST(an_app_that_asked_too_much_is_left_out_until_its_reset),
        TEST(an_app_that_has_not_what_is_wanted_is_asked_last),
        TEST(for_how_long_is_as_the_refusal_says),
        TEST(a_catalog_need_not_say_who_the_broker_is_there),
        TEST(a_level_gives_those_below_it_too),
        TEST(a_token_comes_back_as_it_was_given),
        TEST(github_is_asked_as_the_app_for_what_the_grant_names),
        TEST(answers_that_are_not_what_was_asked_for_are_not_released),
        TEST(less_than_was_asked_for_is_taken),
        TEST(there_is_a_limit_to_a_tokens_length),
        TEST(a_refusal_says_what_to_do),
        TEST(who_asks_too_much_is_quiet_for_a_while),
        TEST(what_one_app_may_not_or_has_not_another_is_asked_for),
        TEST(where_none_may_or_has_it_the_last_one_is_named),
        TEST(of_all_else_no_other_app_is_asked),
        TEST(a_token_deletes_itself),
        TEST(what_is_no_word_of_github_ends_nothing),
        TEST(without_its_token_nothing_is_asked),
        TEST(an_apps_key_is_not_made),
        TEST(a_token_is_good_for_a_host_that_git_knows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
