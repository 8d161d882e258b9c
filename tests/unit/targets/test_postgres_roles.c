/* Roles are made as a grant asks, and no broader. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/json.h"
#include "postgres_world.h"
#include "targets/scram.h"

static void a_role_is_what_was_asked_for_and_no_more(void **state)
{
    struct world *world = *state;
    const struct fixture *fixture = &world->fixture;
    const char *role = made(world, "{ database: stagepass, mode: role, roles: [app, App$1-x] }");

    assert_int_equal(strlen(role), 54);
    assert_int_equal(
        tell(role,
             "SELECT 1 FROM pg_roles WHERE rolname = '%s' AND rolcanlogin AND rolinherit AND"
             " rolconnlimit = 10 AND rolvaliduntil BETWEEN now() + interval '890 s' AND now() +"
             " interval '900 s' AND NOT (rolsuper OR rolcreaterole OR rolcreatedb OR"
             " rolreplication OR rolbypassrls)"),
        1);
    assert_int_equal(tell(role, "SELECT count(*) FROM pg_auth_members WHERE member = '%s'::regrole"
                                " AND NOT admin_option AND roleid IN ('app'::regrole,"
                                " '\"App$1-x\"'::regrole)"),
                     2);
    assert_int_equal(
        tell(role, "SELECT count(*) FROM pg_auth_members WHERE member = '%s'::regrole"), 2);
    assert_int_equal(tell(role, "SELECT 1 FROM pg_roles WHERE rolname = '%s' AND"
                                " shobj_description(oid, 'pg_authid')::json ->> 'stage' ="
                                " '" FIXTURE_STAGE "'"),
                     1);
    assert_string_equal(fixture_text(fixture->mint.credential, "postgres", "user").data, role);
    assert_string_equal(fixture_text(fixture->mint.credential, "postgres", "port").data, "5432");
    assert_string_equal(fixture_text(fixture->mint.credential, "postgres", "database").data,
                        "stagepass");
    assert_null(json_object_get(json_object_get(fixture->mint.credential, "postgres"), "sslmode"));
    assert_int_equal(fixture->mint.expires_s, fixture->mint.now_s + 900);
    assert_false(fixture->mint.may_exist);
    assert_ended(world);
}

/* The server has a verifier of the password that the job has, and the record has neither. */
static void the_server_never_sees_the_password(void **state)
{
    struct world *world = *state;
    const char *role = made(world, ROLE(""));
    struct str password = fixture_text(world->fixture.mint.credential, "postgres", "password");
    OWNED(buf_release) struct buf verifier = { 0 };
    struct error error = { 0 };
    char sql[256];
    uint8_t salt[64];
    size_t len;
    PGconn *connection = server_log_in("postgres", "stagepass");
    PGresult *result;

    (void)snprintf(sql, sizeof(sql), "SELECT rolpassword FROM pg_authid WHERE rolname = '%s'",
                   role);
    result = PQexec(connection, sql);
    assert_int_equal(PQntuples(result), 1);
    assert_int_equal(password.len, POSTGRES_PASSWORD_LEN);
    assert_true(base64_decode(
        str_slice(str_from(PQgetvalue(result, 0, 0)), sizeof("SCRAM-SHA-256$4096:") - 1, 24), salt,
        &len));
    buf_init(&verifier, SCRAM_VERIFIER_MAX);
    assert_true(scram_add_verifier(&verifier, password, salt, &error));
    assert_string_equal(PQgetvalue(result, 0, 0), verifier.data);
    PQclear(result);
    PQfinish(connection);
    assert_false(
        str_contains(json_text(world->fixture.arena, world->fixture.mint.record), password));
    assert_ended(world);
}

static void a_session_becomes_what_set_role_says(void **state)
{
    struct world *world = *state;
    const char *role = made(
        world, "{ database: stagepass, mode: role, roles: [app, App$1-x], set_role: App$1-x }");
    PGconn *connection = server_log_in(role, "stagepass");
    PGresult *result = PQexec(connection, "SELECT current_user, session_user");

    assert_int_equal(PQntuples(result), 1);
    assert_string_equal(PQgetvalue(result, 0, 0), "App$1-x");
    assert_string_equal(PQgetvalue(result, 0, 1), role);
    PQclear(result);
    assert_state(connection, "CREATE TABLE made_by_job ()", "00000");
    PQfinish(connection);
    assert_int_equal(server_number("SELECT 1 FROM pg_class WHERE relname = 'made_by_job' AND"
                                   " relowner = '\"App$1-x\"'::regrole"),
                     1);
    assert_int_equal(server_number("SELECT count(*) FROM pg_auth_members WHERE member ="
                                   " 'broker'::regrole"),
                     0);
    assert_ended(world);
    server_sql("stagepass", "DROP TABLE made_by_job");
}

static void two_leases_and_two_grants_are_roles_of_their_own(void **state)
{
    struct world *world = *state;
    struct fixture *fixture = &world->fixture;
    struct error error = { 0 };
    JSON_OWNED json_t *first = NULL;
    JSON_OWNED json_t *second = NULL;

    (void)made(world, ROLE(""));
    first = json_incref(fixture->mint.record);
    fixture->mint.grant = STR("other");
    (void)made(world, ROLE(""));
    second = json_incref(fixture->mint.record);
    fixture->mint.lease = STR("01JD0000000000000000000001");
    (void)made(world, ROLE(""));
    assert_int_equal(server_number("SELECT count(*) FROM pg_roles WHERE rolname ~"
                                   " '^stagepass_[0-9a-f]{8}_01jd000000000000000000000[01]_'"),
                     3);
    assert_false(make(world, ROLE(""))); /* the name is taken */
    assert_non_null(strstr(fixture->error.cause, "is there already"));
    assert_false(fixture->mint.may_exist);
    assert_true(end(world, first, &error));
    assert_true(end(world, second, &error));
    assert_ended(world);
}

static void what_the_server_lacks_is_told(void **state)
{
    struct world *world = *state;

    assert_refused(world, "{ database: stagepass, mode: role, roles: [app, other] }",
                   "GRANT other TO stagepass_leases WITH ADMIN OPTION is missing");
    assert_refused(world, "{ database: stagepass, mode: role, roles: [nobody_] }",
                   "role nobody_ does not exist");
    assert_refused(world, "{ database: stagepass, mode: role, roles: [root] }",
                   "role root is a superuser");
    assert_refused(world, "{ database: nowhere, mode: role, roles: [app] }",
                   "database nowhere does not exist");
    server_sql("stagepass", "REVOKE CONNECT ON DATABASE stagepass FROM PUBLIC; GRANT CONNECT ON"
                            " DATABASE stagepass TO broker");
    assert_refused(world, ROLE(""), "GRANT CONNECT ON DATABASE stagepass to one of");
    server_sql("stagepass", "GRANT CONNECT ON DATABASE stagepass TO PUBLIC");
    server_sql("stagepass", "REVOKE USAGE ON SCHEMA stagepass_leases FROM broker");
    assert_refused(world, ROLE(""), "the DSN's role needs USAGE on the schema stagepass_leases");
    allow_broker("stagepass");
    server_sql("stagepass", "ALTER ROLE stagepass_leases NOCREATEROLE");
    assert_refused(world, ROLE(""), "and stagepass_leases CREATEROLE");
    server_sql("stagepass", "ALTER ROLE stagepass_leases CREATEROLE");
    server_sql("stagepass", "ALTER SCHEMA stagepass_leases RENAME TO away");
    assert_refused(world, ROLE(""), "run deploy/postgres/lease-roles.sql");
    server_sql("stagepass", "ALTER SCHEMA away RENAME TO stagepass_leases");
}

static void a_broker_with_more_rights_than_it_needs_is_refused(void **state)
{
    static const char *const users[] = { "postgres", "maker" };
    struct world *world = *state;

    for (size_t i = 0; i < COUNT(users); i++) {
        write_dsn(world, users[i]);
        assert_refused(world, ROLE(""), "the DSN's role is a superuser or may create roles");
    }
    write_dsn(world, "nobody_");
    assert_refused(world, ROLE(""), "role \"nobody_\" does not exist");
}

static void without_a_dsn_there_is_no_start(void **state)
{
    static const struct {
        const char *text;
        unsigned mode;
        const char *cause;
    } cases[] = {
        { "postgresql://broker:secret@db.acme.example/x?sslmode=disable", 0600, "sslmode" },
        { "postgresql://broker:secret@127.0.0.1/x", 0644, "chmod" },
        { "postgresql://broker:secret@/x", 0600, "names its host" },
        { "postgresql://broker:secret@127.0.0.1/", 0600, "names its database" },
        { "secret", 0600, "libpq cannot read this" },
    };
    struct world *world = *state;
    struct fixture *fixture = &world->fixture;

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct error error = { 0 };

        assert_true(file_replace(world->dsn_file, str_from(cases[i].text), cases[i].mode, &error));
        assert_false(target_postgres.start(&fixture->target, &fixture->tools, &error));
        if (!strstr(error.cause, cases[i].cause) || strstr(error.cause, "secret"))
            fail_msg("%s: %s", cases[i].text, error.cause);
    }
    assert_int_equal(unlink(world->dsn_file), 0);
    assert_false(target_postgres.start(&fixture->target, &fixture->tools, &fixture->error));
}

/* What the functions would do for somebody who has the broker's password. */
static void the_functions_do_nothing_else(void **state)
{
#define VERIFIER                                                                                   \
    "'SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"   \
    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU='"
#define NAME "'stagepass_00000000_01jd0000000000000000000000_00000000'"
#define MAKE(name, verifier, seconds, roles, becomes, heir, sessions)                              \
    "SELECT stagepass_leases.make(" name ", " verifier ", " seconds ", " roles ", " becomes        \
    ", " heir ", 'stagepass', " sessions ", 'l', 's')"
    static const char *const rows[][2] = {
        { MAKE("'postgres'", VERIFIER, "60", "'{app}'", "NULL", "'app'", "1"), "42602" },
        { MAKE("NULL", VERIFIER, "60", "'{app}'", "NULL", "'app'", "1"), "42602" },
        { MAKE(NAME, "'secret'", "60", "'{app}'", "NULL", "'app'", "1"), "22023" },
        { MAKE(NAME, "NULL", "60", "'{app}'", "NULL", "'app'", "1"), "22023" },
        { MAKE(NAME, VERIFIER, "0", "'{app}'", "NULL", "'app'", "1"), "22023" },
        { MAKE(NAME, VERIFIER, "86401", "'{app}'", "NULL", "'app'", "1"), "22023" },
        { MAKE(NAME, VERIFIER, "NULL", "'{app}'", "NULL", "'app'", "1"), "22023" },
        { MAKE(NAME, VERIFIER, "60", "'{}'", "NULL", "'app'", "1"), "22023" },
        { MAKE(NAME, VERIFIER, "60", "NULL", "NULL", "'app'", "1"), "22023" },
        { MAKE(NAME, VERIFIER, "60", "'{app}'", "'other'", "'app'", "1"), "22023" },
        { MAKE(NAME, VERIFIER, "60", "'{app}'", "NULL", "'other'", "1"), "22023" },
        { MAKE(NAME, VERIFIER, "60", "'{app}'", "NULL", "NULL", "1"), "22023" },
        { MAKE(NAME, VERIFIER, "60", "'{app}'", "NULL", "'app'", "0"), "22023" },
        { MAKE(NAME, VERIFIER, "60", "'{app}'", "NULL", "'app'", "101"), "22023" },
        { MAKE(NAME, VERIFIER, "60", "'{app,pg_execute_server_program}'", "NULL", "'app'", "1"),
          "SP001" },
        { MAKE(NAME, VERIFIER, "60", "'{app,stagepass_leases}'", "NULL", "'app'", "1"), "SP001" },
        { MAKE(NAME, VERIFIER, "60", "'{app,NULL}'", "NULL", "'app'", "1"), "SP001" },
        { "SELECT stagepass_leases.lock('postgres')", "42602" },
        { "SELECT stagepass_leases.end_sessions('postgres')", "42602" },
        { "SELECT stagepass_leases.disown('app')", "42602" },
        { "SELECT stagepass_leases.remove('app')", "42602" },
        { "SELECT stagepass_leases.seal('app')", "42602" },
        { "SELECT stagepass_leases.databases('app')", "42602" },
        { "CREATE ROLE x", "42501" },
        { "DROP ROLE app", "42501" },
        { "GRANT app TO broker", "42501" },
        { "SET ROLE stagepass_leases", "42501" },
        { "SELECT rolpassword FROM pg_authid", "42501" },
        { "CREATE FUNCTION stagepass_leases.x() RETURNS int LANGUAGE sql AS 'SELECT 1'", "42501" },
    };
    PGconn *broker = server_log_in("broker", "stagepass");
    PGconn *other = server_log_in("maker", "stagepass");

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_state(broker, rows[i][0], rows[i][1]);
    assert_state(other, MAKE(NAME, VERIFIER, "60", "'{app}'", "NULL", "'app'", "1"), "42501");
    assert_state(broker, MAKE(NAME, VERIFIER, "86400", "'{app}'", "NULL", "'app'", "100"), "00000");
    assert_state(broker, "SELECT stagepass_leases.remove(" NAME ")", "00000");
    PQfinish(broker);
    PQfinish(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WORLD(a_role_is_what_was_asked_for_and_no_more),
        WITH_WORLD(the_server_never_sees_the_password),
        WITH_WORLD(a_session_becomes_what_set_role_says),
        WITH_WORLD(two_leases_and_two_grants_are_roles_of_their_own),
        WITH_WORLD(what_the_server_lacks_is_told),
        WITH_WORLD(a_broker_with_more_rights_than_it_needs_is_refused),
        WITH_WORLD(without_a_dsn_there_is_no_start),
        WITH_WORLD(the_functions_do_nothing_else),
    };

    return cmocka_run_group_tests(tests, world_start, server_stop);
}
