/* Roles are ended whatever they own and whoever is in the way, and found again. */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "postgres_world.h"

static void an_ended_role_leaves_nothing_but_what_was_made_for_its_heir(void **state)
{
    struct world *world = *state;
    const char *role = made(world, "{ database: stagepass, mode: role, roles: [app, App$1-x] }");
    PGconn *first = server_log_in(role, "stagepass");
    PGconn *second = server_log_in(role, HOSTILE);

    assert_state(first, "CREATE TABLE \"hostile \"\" name; --\" (a int)", "00000");
    assert_state(first, "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "00000");
    assert_state(first, "SELECT lo_create(4242)", "00000");
    assert_state(first, "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO other", "00000");
    assert_state(second, "CREATE TABLE there (a int)", "00000");
    (void)tell(role, "SET ROLE app; CREATE TABLE theirs (); GRANT SELECT ON theirs TO %s");
    assert_state(first, "BEGIN", "00000");
    assert_state(first, "LOCK TABLE \"hostile \"\" name; --\"", "00000");
    assert_ended(world);
    assert_over(first);
    assert_over(second);
    PQfinish(first);
    PQfinish(second);
    assert_int_equal(tell(role, "SELECT count(*) FROM pg_roles WHERE rolname = '%s'"), 0);
    assert_int_equal(server_number("SELECT count(*) FROM pg_class WHERE relowner = 'app'::regrole"
                                   " AND relname = 'hostile \" name; --'"),
                     1);
    assert_int_equal(server_number("SELECT count(*) FROM pg_proc WHERE proname = 'f' AND proowner ="
                                   " 'app'::regrole"),
                     1);
    assert_int_equal(server_ask(HOSTILE, "SELECT count(*) FROM pg_class WHERE relname = 'there' AND"
                                         " relowner = 'app'::regrole"),
                     1);
    assert_int_equal(server_number("SELECT count(*) FROM pg_default_acl"), 0);
    server_sql("stagepass", "DROP TABLE theirs, \"hostile \"\" name; --\"; DROP FUNCTION f();"
                            "SELECT lo_unlink(4242)");
    server_sql(HOSTILE, "DROP TABLE there");
}

/* Only its owner or a superuser could take it back. */
static void a_right_that_somebody_else_gave_is_told(void **state)
{
    struct world *world = *state;
    const char *role = made(world, ROLE(""));
    struct error error = { 0 };

    server_sql("stagepass", "CREATE TABLE theirs ()");
    (void)tell(role, "GRANT SELECT ON theirs TO %s");
    assert_false(end(world, world->fixture.mint.record, &error));
    assert_int_equal(error.code, ERROR_MINT);
    if (!strstr(error.cause, "take it back"))
        fail_msg("%s", error.cause);
    server_sql("stagepass", "DROP TABLE theirs");
    assert_ended(world);
}

/* Somebody took its comment away: then it is known who made it, and not whose its things are. */
static void without_an_heir_nothing_is_dropped(void **state)
{
    struct world *world = *state;
    const char *role = made(world, ROLE(""));
    PGconn *job = server_log_in(role, "stagepass");
    struct error error = { 0 };

    assert_state(job, "CREATE TABLE kept ()", "00000");
    PQfinish(job);
    (void)tell(role, "COMMENT ON ROLE %s IS NULL");
    assert_false(end(world, world->fixture.mint.record, &error));
    if (!strstr(error.cause, "does not say who gets what it owns"))
        fail_msg("%s", error.cause);
    assert_int_equal(server_number("SELECT count(*) FROM pg_class WHERE relname = 'kept'"), 1);
    server_sql("stagepass", "DROP TABLE kept");
    assert_ended(world);
}

static void what_is_gone_or_never_was_is_ended(void **state)
{
    struct world *world = *state;
    struct error error = { 0 };
    JSON_OWNED json_t *nothing = json_object();

    assert_true(end(world, nothing, &error));
    (void)made(world, ROLE(""));
    assert_ended(world);
    assert_ended(world);
    (void)made(world, ROLE(""));
    assert_true(end(world, nothing, &error)); /* found by lease and grant */
    assert_int_equal(server_number("SELECT count(*) FROM pg_roles WHERE rolname ~ '^stagepass_.*_'"
                                   " AND rolname <> 'stagepass_leases'"),
                     0);
}

/* Half of it was done, and then the broker or the server stopped. */
static void an_end_that_began_goes_on(void **state)
{
    struct world *world = *state;
    const char *role = made(world, ROLE(""));
    PGconn *broker = server_log_in("broker", "stagepass");
    PGconn *job = server_log_in(role, "stagepass");
    char sql[256];

    assert_state(job, "CREATE TABLE half ()", "00000");
    (void)snprintf(sql, sizeof(sql), "SELECT stagepass_leases.lock('%s')", role);
    assert_state(broker, sql, "00000");
    PQfinish(server_log_in(role, "stagepass"));
    (void)snprintf(sql, sizeof(sql), "SELECT stagepass_leases.remove('%s')", role);
    assert_state(broker, sql, "55006");
    assert_ended(world);
    PQfinish(broker);
    PQfinish(job);
    server_sql("stagepass", "DROP TABLE half");
}

static void nobody_logs_in_as_a_locked_role(void **state)
{
    struct world *world = *state;
    const char *role = made(world, ROLE(""));
    PGconn *broker = server_log_in("broker", "stagepass");
    char sql[256];
    PGconn *job = NULL;

    (void)snprintf(sql, sizeof(sql), "SELECT stagepass_leases.lock('%s')", role);
    assert_state(broker, sql, "00000");
    job = server_log_in(role, "stagepass");
    assert_int_equal(PQstatus(job), CONNECTION_BAD);
    PQfinish(job);
    PQfinish(broker);
    assert_ended(world);
}

static void what_cannot_be_ended_yet_is_told(void **state)
{
    struct world *world = *state;
    const char *role = made(world, ROLE(""));
    PGconn *job = NULL;
    struct error error = { 0 };

    server_sql("bare", "GRANT CREATE ON SCHEMA public TO app");
    job = server_log_in(role, "bare");
    assert_state(job, "CREATE TABLE left_behind ()", "00000");
    PQfinish(job);
    assert_false(end(world, world->fixture.mint.record, &error));
    assert_int_equal(error.code, ERROR_MINT);
    if (!strstr(error.cause, "database bare") || !strstr(error.cause, "lease-roles.sql"))
        fail_msg("%s", error.cause);
    server_sql("bare", "DROP TABLE left_behind");
    assert_ended(world);
}

/* ---- looking ---- */

static void a_sweep_lists_our_roles_and_whose_they_are(void **state)
{
    struct world *world = *state;
    struct fixture *fixture = &world->fixture;
    struct error error = { 0 };
    struct bell bell;
    struct sweep sweep = { .tools = &fixture->tools,
                           .target = &fixture->target,
                           .arena = fixture->arena };
    JSON_OWNED json_t *first = NULL;

    fixture->mint.lease = STR("01JD000000000000000000000Z");
    (void)made(world, ROLE(""));
    first = json_incref(fixture->mint.record);
    fixture->mint.lease = STR("01JC0000000000000000000000");
    (void)made(world, ROLE(""));
    server_sql("stagepass", "CREATE ROLE stagepass_00000000_01jc0000000000000000000000_00000000;"
                            "CREATE ROLE stagepass_x");
    bell_init(&bell);
    sweep.waker = (struct waker){ ring, &bell };
    assert_int_equal(target_postgres.sweep(&sweep, &error), PROGRESS_WAIT);
    bell_wait(&bell);
    assert_int_equal(target_postgres.sweep(&sweep, &error), PROGRESS_DONE);
    assert_true(sweep.is_complete);
    assert_int_equal(sweep.found_count, 2);
    assert_true(str_eq(sweep.found[0].lease, STR("01JC0000000000000000000000")));
    assert_true(str_eq(sweep.found[1].lease, STR("01JD000000000000000000000Z")));
    assert_true(
        json_equal(json_object_get(sweep.found[1].record, "id"), json_object_get(first, "id")));
    for (size_t i = 0; i < sweep.found_count; i++) {
        assert_true(end(world, sweep.found[i].record, &error));
        json_decref(sweep.found[i].record);
    }
    server_sql("stagepass", "DROP ROLE stagepass_00000000_01jc0000000000000000000000_00000000,"
                            " stagepass_x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WORLD(an_ended_role_leaves_nothing_but_what_was_made_for_its_heir),
        WITH_WORLD(a_right_that_somebody_else_gave_is_told),
        WITH_WORLD(without_an_heir_nothing_is_dropped),
        WITH_WORLD(what_is_gone_or_never_was_is_ended),
        WITH_WORLD(an_end_that_began_goes_on),
        WITH_WORLD(nobody_logs_in_as_a_locked_role),
        WITH_WORLD(what_cannot_be_ended_yet_is_told),
        WITH_WORLD(a_sweep_lists_our_roles_and_whose_they_are),
    };

    return cmocka_run_group_tests(tests, world_start, server_stop);
}
