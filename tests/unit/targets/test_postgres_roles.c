#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <libpq-fe.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/workers.h"
#include "fixture.h"
#include "pg/server.h"
#include "targets/postgres_internal.h"
#include "targets/scram.h"
#include "tests/test.h"

/* A target's roles at a real server, whose broker has the rights that README.md says, and no more.
 */

#define SETUP "../../../deploy/postgres/lease-roles.sql"
#define HOSTILE "or\"der's; --"
#define MINTS_AT_ONCE 12

struct world {
    struct fixture fixture; /* first */
    struct workers *workers;
    char dsn_file[128];
};

/* ---- the server ---- */

static void allow_broker(const char *database)
{
    server_sql(database, "GRANT USAGE ON SCHEMA stagepass_leases TO broker");
    server_sql(database, "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA stagepass_leases TO broker");
}

static int start(void **state)
{
    (void)server_start(state);
    server_sql("stagepass", "CREATE DATABASE \"or\"\"der's; --\"");
    server_sql("stagepass", "CREATE DATABASE bare");
    server_sql("stagepass", "CREATE ROLE broker LOGIN");
    server_sql("stagepass", "CREATE ROLE app; CREATE ROLE \"App$1-x\"; CREATE ROLE other;"
                            "CREATE ROLE root SUPERUSER; CREATE ROLE maker CREATEROLE LOGIN");
    server_run_file("stagepass", SETUP);
    server_run_file(HOSTILE, SETUP);
    allow_broker("stagepass");
    allow_broker(HOSTILE);
    server_sql("stagepass", "GRANT app, \"App$1-x\" TO stagepass_leases WITH ADMIN OPTION");
    server_sql("stagepass", "GRANT CREATE ON SCHEMA public TO app, \"App$1-x\"");
    server_sql(HOSTILE, "GRANT CREATE ON SCHEMA public TO app");
    return 0;
}

/* The SQLSTATE that a statement ends with; "00000" where it works. */
static void state_of(PGconn *connection, const char *sql, char state[6])
{
    PGresult *result = PQexec(connection, sql);
    const char *told = PQresultErrorField(result, PG_DIAG_SQLSTATE);

    if (PQresultStatus(result) == PGRES_COMMAND_OK || PQresultStatus(result) == PGRES_TUPLES_OK)
        told = "00000";
    (void)snprintf(state, 6, "%s", told ? told : "lost");
    PQclear(result);
}

static void assert_state(PGconn *connection, const char *sql, const char *expected)
{
    char state[6];

    state_of(connection, sql, state);
    if (strcmp(state, expected) != 0)
        fail_msg("%s: %s, not %s", sql, state, expected);
}

/* The server has ended it. */
static void assert_over(PGconn *connection)
{
    PQclear(PQexec(connection, "SELECT 1"));
    assert_int_equal(PQstatus(connection), CONNECTION_BAD);
}

/* ---- the world ---- */

static void write_dsn(struct world *world, const char *user)
{
    char text[SERVER_URL_MAX + 64];
    struct error error = { 0 };

    (void)snprintf(text, sizeof(text), "%s", server_url());
    *strstr(text, "&user=") = '\0';
    (void)snprintf(text + strlen(text), 64, "&user=%s\n", user);
    if (!file_replace(world->dsn_file, str_from(text), 0600, &error))
        fail_msg("%s", error.cause);
}

static void configure(struct world *world, const char *more)
{
    struct fixture *fixture = &world->fixture;
    char yaml[512];

    (void)snprintf(yaml, sizeof(yaml), "{ dsn_file: %s%s }", world->dsn_file, more);
    assert_null(fixture_configure(fixture, "postgres", yaml));
    if (!target_postgres.start(&fixture->target, &fixture->tools, &fixture->error))
        fail_msg("%s", fixture->error.cause);
}

static int set_up(void **state)
{
    static struct world world;
    struct error error = { 0 };

    world = (struct world){ 0 };
    fixture_init(&world.fixture);
    (void)snprintf(world.dsn_file, sizeof(world.dsn_file), "%s/dsn", world.fixture.folder);
    write_dsn(&world, "broker");
    assert_true(workers_start(8, 64, &world.workers, &error));
    world.fixture.tools.workers = world.workers;
    world.fixture.mint.now_s = clock_wall_s();
    configure(&world, "");
    *state = &world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    workers_stop(world->workers);
    fixture_release(&world->fixture);
    return 0;
}

/* ---- entering twice ---- */

/** Waits for a waker. */
struct bell {
    pthread_mutex_t lock;
    pthread_cond_t rung;
    bool has_rung;
};

static void ring(void *context)
{
    struct bell *bell = context;

    (void)pthread_mutex_lock(&bell->lock);
    bell->has_rung = true;
    (void)pthread_cond_signal(&bell->rung);
    (void)pthread_mutex_unlock(&bell->lock);
}

static void bell_init(struct bell *bell)
{
    bell->has_rung = false;
    (void)pthread_mutex_init(&bell->lock, NULL);
    (void)pthread_cond_init(&bell->rung, NULL);
}

static void bell_wait(struct bell *bell)
{
    (void)pthread_mutex_lock(&bell->lock);
    while (!bell->has_rung)
        (void)pthread_cond_wait(&bell->rung, &bell->lock);
    (void)pthread_mutex_unlock(&bell->lock);
}

static bool make(struct world *world, const char *fields)
{
    struct fixture *fixture = &world->fixture;
    enum progress progress;
    struct bell bell;

    bell_init(&bell);
    fixture_again(fixture);
    fixture_fields(fixture, fields);
    fixture->mint.waker = (struct waker){ ring, &bell };
    progress = target_postgres.mint(&fixture->mint, &fixture->error);
    if (progress == PROGRESS_WAIT) {
        bell_wait(&bell);
        progress = target_postgres.mint(&fixture->mint, &fixture->error);
    }
    assert_true(progress != PROGRESS_WAIT);
    return progress == PROGRESS_DONE;
}

static const char *made(struct world *world, const char *fields)
{
    if (!make(world, fields))
        fail_msg("%s: %s", fields, world->fixture.error.cause);
    return fixture_text(world->fixture.mint.record, NULL, "id").data;
}

/* Nothing was made, and nobody says that it may have been. */
static void assert_refused(struct world *world, const char *fields, const char *cause)
{
    struct fixture *fixture = &world->fixture;

    assert_false(make(world, fields));
    if (!strstr(fixture->error.cause, cause))
        fail_msg("%s: expected %s, got %s", fields, cause, fixture->error.cause);
    assert_int_equal(fixture->error.code, ERROR_MINT);
    assert_false(fixture->mint.may_exist);
    assert_null(fixture->mint.credential);
    assert_int_equal(
        server_number("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'stagepass_%\\_%'"
                      " AND rolname <> 'stagepass_leases'"),
        0);
}

static bool end(struct world *world, const json_t *record, struct error *error)
{
    struct fixture *fixture = &world->fixture;
    struct revocation revocation = {
        .tools = &fixture->tools,
        .target = &fixture->target,
        .lease = fixture->mint.lease,
        .grant = fixture->mint.grant,
        .record = record,
        .arena = fixture->arena,
    };
    enum progress progress;
    struct bell bell;

    bell_init(&bell);
    revocation.waker = (struct waker){ ring, &bell };
    progress = target_postgres.revoke(&revocation, error);
    if (progress == PROGRESS_WAIT) {
        bell_wait(&bell);
        progress = target_postgres.revoke(&revocation, error);
    }
    return progress == PROGRESS_DONE;
}

static void assert_ended(struct world *world)
{
    struct error error = { 0 };

    if (!end(world, world->fixture.mint.record, &error))
        fail_msg("%s", error.cause);
}

/* SQL of the superuser's, in which %s is the role; the one number that it gives. */
static int64_t tell(const char *role, const char *sql)
{
    const char *at = strstr(sql, "%s");
    char text[512];

    assert_non_null(at);
    (void)snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - sql), sql, role, at + 2);
    return server_number(text);
}

#define ROLE(more) "{ database: stagepass, mode: role, roles: [app]" more " }"

/* ---- making ---- */

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

/* ---- ending ---- */

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

/* ---- sessions of the broker ---- */

struct many {
    struct mint mint; /* of its own arena */
    struct bell bell;
    struct target silent;
    char lease[27];
};

/* More than there are sessions: each waits for its turn, and none opens one of its own. */
static void a_target_has_a_few_sessions_and_uses_them_again(void **state)
{
    static struct many many[MINTS_AT_ONCE];
    struct world *world = *state;
    struct fixture *fixture = &world->fixture;

    fixture_fields(fixture, ROLE(""));
    for (size_t i = 0; i < MINTS_AT_ONCE; i++) {
        struct many *one = &many[i];

        (void)snprintf(one->lease, sizeof(one->lease), "01JD00000000000000000001%02zu", i);
        bell_init(&one->bell);
        one->mint = fixture->mint;
        one->mint.arena = arena_new((size_t)1024 * 1024);
        one->mint.lease = str_from(one->lease);
        one->mint.waker = (struct waker){ ring, &one->bell };
        assert_int_equal(target_postgres.mint(&one->mint, &fixture->error), PROGRESS_WAIT);
    }
    for (size_t i = 0; i < MINTS_AT_ONCE; i++) {
        struct many *one = &many[i];
        struct error error = { 0 };

        bell_wait(&one->bell);
        if (target_postgres.mint(&one->mint, &error) != PROGRESS_DONE)
            fail_msg("%s", error.cause);
        json_decref(one->mint.credential);
        fixture->mint.lease = one->mint.lease;
        assert_true(end(world, one->mint.record, &error));
        json_decref(one->mint.record);
        arena_free(one->mint.arena);
    }
    assert_in_range(server_number("SELECT count(*) FROM pg_stat_activity WHERE usename = 'broker'"),
                    1, POSTGRES_CONNECTIONS_MAX);
}

static void a_session_that_the_server_ended_is_not_used_again(void **state)
{
    struct world *world = *state;

    (void)made(world, ROLE(""));
    assert_ended(world);
    server_sql("stagepass", "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE"
                            " usename = 'broker'");
    (void)made(world, ROLE(""));
    assert_ended(world);
}

/* Takes connections and never says anything; from now on the fixture's target. */
static int silent_server(struct world *world)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char text[256];
    struct error error = { 0 };

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/.s.PGSQL.5432",
                   world->fixture.folder);
    assert_int_equal(bind(listener, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(listener, 64), 0);
    (void)snprintf(text, sizeof(text), "postgresql:///x?host=%s&user=broker",
                   world->fixture.folder);
    (void)snprintf(world->dsn_file, sizeof(world->dsn_file), "%s/silent", world->fixture.folder);
    assert_true(file_replace(world->dsn_file, str_from(text), 0600, &error));
    configure(world, "");
    return listener;
}

/* More calls than it has sessions wait for such a server; who asks another one does not. */
static void a_server_that_says_nothing_holds_up_nobody_else(void **state)
{
    static struct many many[POSTGRES_CONNECTIONS_MAX + 2];
    struct world *world = *state;
    struct fixture *fixture = &world->fixture;
    struct target good = fixture->target;
    int listener = silent_server(world);

    fixture_fields(fixture, ROLE(""));
    for (size_t i = 0; i < COUNT(many); i++) {
        many[i].mint = fixture->mint;
        many[i].mint.arena = arena_new((size_t)1024 * 1024);
        bell_init(&many[i].bell);
        many[i].mint.waker = (struct waker){ ring, &many[i].bell };
        assert_int_equal(target_postgres.mint(&many[i].mint, &fixture->error), PROGRESS_WAIT);
        many[i].silent = fixture->target;
        many[i].mint.target = &many[i].silent;
    }
    fixture->target = good;
    (void)made(world, ROLE(""));
    assert_ended(world);
    assert_false(many[COUNT(many) - 1].bell.has_rung);
    for (size_t i = 0; i < COUNT(many); i++) {
        struct error error = { 0 };

        bell_wait(&many[i].bell);
        assert_int_equal(target_postgres.mint(&many[i].mint, &error), PROGRESS_FAILED);
        assert_int_equal(error.code, ERROR_MINT);
        assert_false(many[i].mint.may_exist);
        json_decref(many[i].mint.record);
        arena_free(many[i].mint.arena);
    }
    (void)close(listener);
}

/** Rings once all have been called. */
struct bells {
    atomic_size_t left;
    struct bell bell;
};

static void ring_last(void *context)
{
    struct bells *bells = context;

    if (atomic_fetch_sub(&bells->left, 1) == 1)
        ring(&bells->bell);
}

static bool do_nothing(struct postgres_call *call, struct pg_connection *connection,
                       struct error *error)
{
    (void)call;
    (void)connection;
    (void)error;
    return true;
}

/* Those that waited too long are not begun; there is room for so many, and no more. */
static void so_many_wait_for_their_turn(void **state)
{
    static struct postgres_call calls[POSTGRES_CONNECTIONS_MAX + POSTGRES_WAITING_MAX + 1];
    struct world *world = *state;
    int listener = silent_server(world);
    const struct postgres_settings *own = world->fixture.target.settings;
    static struct bells bells;
    struct error error = { 0 };

    atomic_init(&bells.left, COUNT(calls) - 1);
    bell_init(&bells.bell);
    memset(calls, 0, sizeof(calls));
    for (size_t i = 0; i < COUNT(calls); i++) {
        calls[i].work = do_nothing;
        calls[i].waker = (struct waker){ ring_last, &bells };
        assert_int_equal(postgres_pool_submit(own->pool, world->workers, &calls[i],
                                              i < POSTGRES_CONNECTIONS_MAX ? 8000 : 1, &error),
                         i < COUNT(calls) - 1);
    }
    assert_int_equal(error.code, ERROR_BUSY);
    bell_wait(&bells.bell);
    for (size_t i = 0; i < COUNT(calls); i++)
        assert_false(calls[i].is_good);
    assert_non_null(strstr(calls[POSTGRES_CONNECTIONS_MAX].error.cause, "did not come in time"));
    (void)close(listener);
}

static void nobody_waits_long_for_a_lock(void **state)
{
    struct world *world = *state;
    PGconn *other = server_log_in("postgres", "stagepass");

    assert_state(other, "BEGIN", "00000");
    assert_state(other, "LOCK TABLE pg_auth_members IN ACCESS EXCLUSIVE MODE", "00000");
    assert_false(make(world, ROLE("")));
    if (!strstr(world->fixture.error.cause, "somebody holds a lock"))
        fail_msg("%s", world->fixture.error.cause);
    assert_int_equal(world->fixture.error.code, ERROR_MINT);
    assert_false(world->fixture.mint.may_exist);
    assert_state(other, "ROLLBACK", "00000");
    PQfinish(other);
}

static void a_server_that_is_away_is_told(void **state)
{
    struct world *world = *state;

    (void)close(silent_server(world));
    assert_refused(world, ROLE(""), "Connection refused");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_role_is_what_was_asked_for_and_no_more),
        TEST(the_server_never_sees_the_password),
        TEST(a_session_becomes_what_set_role_says),
        TEST(two_leases_and_two_grants_are_roles_of_their_own),
        TEST(what_the_server_lacks_is_told),
        TEST(a_broker_with_more_rights_than_it_needs_is_refused),
        TEST(without_a_dsn_there_is_no_start),
        TEST(the_functions_do_nothing_else),
        TEST(an_ended_role_leaves_nothing_but_what_was_made_for_its_heir),
        TEST(a_right_that_somebody_else_gave_is_told),
        TEST(without_an_heir_nothing_is_dropped),
        TEST(what_is_gone_or_never_was_is_ended),
        TEST(an_end_that_began_goes_on),
        TEST(nobody_logs_in_as_a_locked_role),
        TEST(what_cannot_be_ended_yet_is_told),
        TEST(a_sweep_lists_our_roles_and_whose_they_are),
        TEST(a_target_has_a_few_sessions_and_uses_them_again),
        TEST(a_session_that_the_server_ended_is_not_used_again),
        TEST(a_server_that_says_nothing_holds_up_nobody_else),
        TEST(so_many_wait_for_their_turn),
        TEST(nobody_waits_long_for_a_lock),
        TEST(a_server_that_is_away_is_told),
    };

    return cmocka_run_group_tests(tests, start, server_stop);
}
