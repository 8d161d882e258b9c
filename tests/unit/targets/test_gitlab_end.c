#include <string.h>

#include "base/id.h"
#include "base/json.h"
#include "gitlab_help.h"
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

#define RECORD(more)                                                                               \
    "{\"name\":\"" NAME "\",\"project\":\"77\",\"token_kind\":\"project\","                        \
    "\"target_expires_at\":\"2027-01-16T00:00:00Z\"" more "}"
#define KNOWN RECORD(",\"token_id\":\"42\"")
#define OF_GROUP                                                                                   \
    "{\"name\":\"" NAME "\",\"group\":\"12\",\"token_id\":\"44\",\"token_kind\":\"group\"}"
#define NOT_THERE MESSAGE("404 project Access Token Not Found")

/* `late_s` behind the moment at which the token was asked for. */
static enum progress revoke_late(struct remote_fixture *fixture, const char *record, int64_t late_s,
                                 const struct peer_script *scripts, size_t count)
{
    JSON_OWNED json_t *read = json_loads(record, 0, NULL);
    struct revocation revocation = { .record = read,
                                     .lease = STR(FIXTURE_LEASE),
                                     .now_s = id_time_s(STR(FIXTURE_LEASE)) + late_s };
    char url[64];
    struct peer *peer = peer_start(scripts, count, url);
    enum progress progress;

    assert_non_null(read);
    gitlab_configure(fixture, url);
    progress = remote_revoke(fixture, &revocation);
    peer_stop(peer, &fixture->log);
    return progress;
}

static enum progress revoke_from(struct remote_fixture *fixture, const char *record, int status,
                                 const char *body)
{
    const struct peer_script script = { status, str_from(body), 0 };

    return revoke_late(fixture, record, 3600, &script, 1);
}

static void a_token_is_deleted_by_its_number(void **state)
{
    struct remote_fixture *fixture = *state;

    assert_int_equal(revoke_from(fixture, KNOWN, 204, ""), PROGRESS_DONE);
    assert_non_null(strstr(fixture->log.requests[0],
                           "DELETE /api/v4/projects/77/access_tokens/42 HTTP/1.1\r\n"));
    assert_non_null(strstr(fixture->log.requests[0], "PRIVATE-TOKEN: " OWN_TOKEN "\r\n"));
    assert_int_equal(revoke_from(fixture, KNOWN, 404, NOT_THERE), PROGRESS_DONE);
    assert_int_equal(revoke_from(fixture,
                                 "{\"name\":\"" NAME "\",\"project\":\"77\",\"token_id\":\"43\","
                                 "\"token_kind\":\"deploy\"}",
                                 404, MESSAGE("404 Not found")),
                     PROGRESS_DONE);
    assert_non_null(strstr(fixture->log.requests[0],
                           "DELETE /api/v4/projects/77/deploy_tokens/43 HTTP/1.1\r\n"));
    assert_int_equal(revoke_from(fixture, OF_GROUP, 204, ""), PROGRESS_DONE);
    assert_non_null(
        strstr(fixture->log.requests[0], "DELETE /api/v4/groups/12/access_tokens/44 HTTP/1.1\r\n"));
    assert_int_equal(revoke_from(fixture, OF_GROUP, 404, MESSAGE("404 Group Not Found")),
                     PROGRESS_FAILED);
}

static void what_is_no_proof_ends_nothing(void **state)
{
    static const struct {
        int status;
        const char *body;
    } cases[] = {
        { 0, "" },
        { 200, "" },
        { 302, "" },
        { 400, MESSAGE("400 Bad request - a cannot delete b") },
        { 401, MESSAGE("401 Unauthorized") },
        { 403, "{\"error\":\"insufficient_scope\"}" },
        { 404, "" },
        { 404, "{}" },
        { 404, "<html>not here</html>" },
        { 404, MESSAGE("404 Project Not Found") }, /* so it says to who is no member any more */
        { 429, "Retry later" },
        { 503, "" },
    };
    struct remote_fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        enum progress progress = revoke_from(fixture, KNOWN, cases[i].status, cases[i].body);

        if (progress != PROGRESS_FAILED || fixture->base.error.code != ERROR_MINT)
            fail_msg("%d %s: %d %s", cases[i].status, cases[i].body, progress,
                     fixture->base.error.cause);
    }
}

static void what_gitlab_has_ended_itself_is_not_owed_for_ever(void **state)
{
    struct remote_fixture *fixture = *state;
    JSON_OWNED json_t *record = json_loads(KNOWN, 0, NULL);
    struct revocation revocation = { .record = record, .lease = STR(FIXTURE_LEASE) };
    char url[64];

    peer_nobody(url);
    gitlab_configure(fixture, url);
    revocation.now_s = 1800057600; /* the midnight */
    assert_int_equal(remote_revoke(fixture, &revocation), PROGRESS_FAILED);
    revocation.state = NULL;
    revocation.now_s++;
    assert_int_equal(remote_revoke(fixture, &revocation), PROGRESS_DONE);
}

#define ITEM(number, name) "{\"id\":" number ",\"name\":\"" name "\",\"revoked\":false}"

static void a_token_whose_number_nobody_heard_of_is_found_by_its_name(void **state)
{
    static const char page[] = "[" ITEM("7", "somebody else's") "," ITEM("42", TITLE) "," ITEM(
        "43", NAME "x") ",{\"id\":44,\"name\":\"" TITLE
                        "\",\"revoked\":true},{\"id\":45,\"name\":\"" TITLE
                        "\",\"active\":false},{\"id\":46,\"name\":\"" TITLE
                        "\",\"expired\":true},{},7]";
    const struct peer_script scripts[] = { { 200, STR(page), 0 }, { 204, STR(""), 0 } };
    struct remote_fixture *fixture = *state;

    if (revoke_late(fixture, RECORD(""), 0, scripts, 2) != PROGRESS_DONE)
        fail_msg("%s", fixture->base.error.cause);
    assert_non_null(strstr(fixture->log.requests[0],
                           "GET /api/v4/projects/77/access_tokens?state=active&per_page=100&page=1"
                           "&search=" NAME " HTTP/1.1\r\n"));
    assert_non_null(strstr(fixture->log.requests[1],
                           "DELETE /api/v4/projects/77/access_tokens/42 HTTP/1.1\r\n"));
}

static void all_of_the_name_are_deleted(void **state)
{
    static const char page[] = "[" ITEM("42", TITLE) "," ITEM("43", TITLE) "]";
    const struct peer_script scripts[] = { { 200, STR(page), 0 },
                                           { 204, STR(""), 0 },
                                           { 404, STR(NOT_THERE), 0 } };
    struct remote_fixture *fixture = *state;

    assert_int_equal(revoke_late(fixture, RECORD(""), 0, scripts, 3), PROGRESS_DONE);
    assert_non_null(strstr(fixture->log.requests[2], "access_tokens/43 HTTP/1.1\r\n"));
}

/* A page of a hundred others; what is looked for may be on the next. */
static struct str full_page(struct arena *arena)
{
    OWNED(buf_release) struct buf page = { 0 };

    buf_init(&page, (size_t)64 * 1024);
    for (int i = 1; i <= 100; i++)
        buf_printf(&page, "%s{\"id\":%d,\"name\":\"a\"}", i == 1 ? "[" : ",", i);
    buf_add_text(&page, "]");
    assert_true(buf_is_ok(&page));
    return arena_copy(arena, buf_str(&page));
}

static void pages_are_looked_through_to_the_end(void **state)
{
    struct remote_fixture *fixture = *state;
    const struct peer_script scripts[] = { { 200, full_page(fixture->base.arena), 0 },
                                           { 200, STR("[" ITEM("142", TITLE) "]"), 0 },
                                           { 204, STR(""), 0 } };

    assert_int_equal(revoke_late(fixture, RECORD(""), 0, scripts, 3), PROGRESS_DONE);
    assert_non_null(strstr(fixture->log.requests[1], "&page=2&"));
    assert_non_null(strstr(fixture->log.requests[2], "access_tokens/142 HTTP/1.1\r\n"));
}

/* What was given up on may still be worked on there. */
static void a_token_may_come_late(void **state)
{
    const struct peer_script none = { 200, STR("[]"), 0 };
    struct remote_fixture *fixture = *state;

    assert_int_equal(revoke_late(fixture, RECORD(""), 59, &none, 1), PROGRESS_FAILED);
    assert_non_null(strstr(fixture->base.error.cause, "no token of the name yet"));
    assert_int_equal(revoke_late(fixture, RECORD(""), 60, &none, 1), PROGRESS_DONE);
    /* a renewal's is as old as its attempt, not as the lease */
    assert_int_equal(
        revoke_late(fixture, RECORD(",\"attempt\":\"" FIXTURE_LEASE "\""), 59, &none, 1),
        PROGRESS_FAILED);
}

static void a_list_that_is_none_ends_nothing(void **state)
{
    static const struct {
        int status;
        const char *body;
    } cases[] = {
        { 0, "" },     { 200, "" },
        { 200, "{}" }, { 200, "<html>" },
        { 201, "[]" }, { 401, MESSAGE("401 Unauthorized") },
        { 403, "[]" }, { 404, MESSAGE("404 Project Not Found") },
        { 429, "[]" },
    };
    struct remote_fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        enum progress progress = revoke_from(fixture, RECORD(""), cases[i].status, cases[i].body);

        if (progress != PROGRESS_FAILED || fixture->base.error.code != ERROR_MINT)
            fail_msg("%d %s: %d", cases[i].status, cases[i].body, progress);
    }
}

static void an_entry_that_does_not_say_which_asks_nothing(void **state)
{
    static const char *const records[] = {
        "{}",
        "{\"name\":\"a\",\"project\":\"77\"}",
        "{\"name\":\"a\",\"project\":\"77\",\"token_kind\":\"group\"}",
        "{\"name\":\"a\",\"group\":\"12\",\"token_kind\":\"project\"}",
        "{\"name\":\"a\",\"project\":\"77\",\"token_kind\":\"other\"}",
        "{\"name\":\"a\",\"project\":\"77/../78\",\"token_kind\":\"project\"}",
        "{\"name\":\"a\",\"project\":\"\",\"token_kind\":\"project\"}",
        "{\"name\":\"a b\",\"project\":\"77\",\"token_kind\":\"project\"}",
        "{\"name\":\"a&b\",\"project\":\"77\",\"token_kind\":\"project\"}",
        "{\"name\":\"a\",\"project\":\"77\",\"token_kind\":\"project\",\"token_id\":\"4/2\"}",
    };
    struct remote_fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(records); i++) {
        assert_int_equal(revoke_from(fixture, records[i], 204, ""), PROGRESS_FAILED);
        assert_non_null(strstr(fixture->base.error.cause, "does not say which"));
        assert_string_equal(fixture->log.requests[0], "");
    }
}

/* ---- looking ---- */

static enum progress sweep_from(struct remote_fixture *fixture, struct sweep *sweep,
                                const struct peer_script *scripts, size_t count)
{
    char url[64];
    struct peer *peer = peer_start(scripts, count, url);
    enum progress progress;

    *sweep = (struct sweep){ .now_s = FIXTURE_NOW_S };
    gitlab_configure(fixture, url);
    progress = remote_sweep(fixture, sweep);
    peer_stop(peer, &fixture->log);
    return progress;
}

static void drop_found(struct sweep *sweep)
{
    for (size_t i = 0; i < sweep->found_count; i++)
        json_decref(sweep->found[i].record);
}

static void tokens_of_all_kinds_are_found_by_our_names(void **state)
{
    static const char tokens[] = "[" ITEM("42", TITLE) "," ITEM(
        "1",
        "stagepass-000000000000-" FIXTURE_LEASE
        "-" GRANT_TAG) "," ITEM("2", "stagepass-" BROKER "-" FIXTURE_LEASE
                                     "-") "," ITEM("3", "stagepass-" BROKER "-not-a-lease-at-all-"
                                                        "00000000-" GRANT_TAG) ","
                                                                               "{\"name\":"
                                                                               "\"" TITLE
                                                                               "\"},{\"id\":4,"
                                                                               "\"name\":"
                                                                               "\"" TITLE
                                                                               "\",\"revoked\":"
                                                                               "true},null]";
    const struct peer_script scripts[] = { { 200, STR(tokens), 0 },
                                           { 200, STR("[" ITEM("43", TITLE) "]"), 0 },
                                           { 200, STR("[" ITEM("44", TITLE) "]"), 0 } };
    struct remote_fixture *fixture = *state;
    struct sweep sweep;

    if (sweep_from(fixture, &sweep, scripts, COUNT(scripts)) != PROGRESS_DONE)
        fail_msg("%s", fixture->base.error.cause);
    assert_true(sweep.is_complete);
    assert_int_equal(sweep.found_count, 3);
    assert_str(sweep.found[0].lease, FIXTURE_LEASE);
    assert_str(fixture_text(sweep.found[0].record, NULL, "id"), NAME);
    assert_str(fixture_text(sweep.found[0].record, NULL, "token_id"), "42");
    assert_str(fixture_text(sweep.found[0].record, NULL, "token_kind"), "project");
    assert_str(fixture_text(sweep.found[1].record, NULL, "token_id"), "43");
    assert_str(fixture_text(sweep.found[1].record, NULL, "token_kind"), "deploy");
    assert_str(fixture_text(sweep.found[2].record, NULL, "token_kind"), "group");
    assert_str(fixture_text(sweep.found[2].record, NULL, "group"), "12");
    assert_null(json_object_get(sweep.found[2].record, "project"));
    assert_non_null(strstr(fixture->log.requests[2], "GET /api/v4/groups/12/access_tokens?state="));
    assert_non_null(strstr(fixture->log.requests[0], "&search=stagepass-" BROKER "- HTTP/1.1"));
    assert_non_null(strstr(fixture->log.requests[1],
                           "GET /api/v4/projects/77/deploy_tokens?active=true&per_page=100&page=1 "
                           "HTTP/1.1\r\n"));
    drop_found(&sweep);
}

static void a_look_that_was_none_says_so(void **state)
{
    const struct peer_script refused = { 403, STR("{\"error\":\"insufficient_scope\"}"), 0 };
    struct remote_fixture *fixture = *state;
    struct fixture *base = &fixture->base;
    struct sweep sweep;

    assert_int_equal(sweep_from(fixture, &sweep, &refused, 1), PROGRESS_FAILED);
    assert_non_null(strstr(base->error.cause, "did not list tokens"));
    assert_null(fixture_configure(base, "gitlab", "{ url: \"https://a.example\", token_file: t }"));
    sweep = (struct sweep){ .now_s = FIXTURE_NOW_S };
    assert_int_equal(remote_sweep(fixture, &sweep), PROGRESS_DONE); /* nobody said where */
    assert_false(sweep.is_complete);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_token_is_deleted_by_its_number),
        TEST(what_is_no_proof_ends_nothing),
        TEST(what_gitlab_has_ended_itself_is_not_owed_for_ever),
        TEST(a_token_whose_number_nobody_heard_of_is_found_by_its_name),
        TEST(all_of_the_name_are_deleted),
        TEST(pages_are_looked_through_to_the_end),
        TEST(a_token_may_come_late),
        TEST(a_list_that_is_none_ends_nothing),
        TEST(an_entry_that_does_not_say_which_asks_nothing),
        TEST(tokens_of_all_kinds_are_found_by_our_names),
        TEST(a_look_that_was_none_says_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
