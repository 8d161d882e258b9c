#include "postgres_world.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"

#define SETUP "../../../deploy/postgres/lease-roles.sql"

/* ---- the server ---- */

void allow_broker(const char *database)
{
    server_sql(database, "GRANT USAGE ON SCHEMA stagepass_leases TO broker");
    server_sql(database, "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA stagepass_leases TO broker");
}

int world_start(void **state)
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

void assert_state(PGconn *connection, const char *sql, const char *expected)
{
    char state[6];

    state_of(connection, sql, state);
    if (strcmp(state, expected) != 0)
        fail_msg("%s: %s, not %s", sql, state, expected);
}

void assert_over(PGconn *connection)
{
    PQclear(PQexec(connection, "SELECT 1"));
    assert_int_equal(PQstatus(connection), CONNECTION_BAD);
}

/* ---- the world ---- */

void write_dsn(struct world *world, const char *user)
{
    char text[SERVER_URL_MAX + 64];
    struct error error = { 0 };

    (void)snprintf(text, sizeof(text), "%s", server_url());
    *strstr(text, "&user=") = '\0';
    (void)snprintf(text + strlen(text), 64, "&user=%s\n", user);
    if (!file_replace(world->dsn_file, str_from(text), 0600, &error))
        fail_msg("%s", error.cause);
}

void configure(struct world *world, const char *more)
{
    struct fixture *fixture = &world->fixture;
    char yaml[512];

    (void)snprintf(yaml, sizeof(yaml), "{ dsn_file: %s%s }", world->dsn_file, more);
    assert_null(fixture_configure(fixture, "postgres", yaml));
    if (!target_postgres.start(&fixture->target, &fixture->tools, &fixture->error))
        fail_msg("%s", fixture->error.cause);
}

int world_make(void **state)
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

int world_clean(void **state)
{
    struct world *world = *state;

    workers_stop(world->workers);
    fixture_release(&world->fixture);
    return 0;
}

/* ---- entering twice ---- */

void ring(void *context)
{
    struct bell *bell = context;

    (void)pthread_mutex_lock(&bell->lock);
    bell->has_rung = true;
    (void)pthread_cond_signal(&bell->rung);
    (void)pthread_mutex_unlock(&bell->lock);
}

void bell_init(struct bell *bell)
{
    bell->has_rung = false;
    (void)pthread_mutex_init(&bell->lock, NULL);
    (void)pthread_cond_init(&bell->rung, NULL);
}

void bell_wait(struct bell *bell)
{
    (void)pthread_mutex_lock(&bell->lock);
    while (!bell->has_rung)
        (void)pthread_cond_wait(&bell->rung, &bell->lock);
    (void)pthread_mutex_unlock(&bell->lock);
}

bool make(struct world *world, const char *fields)
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

const char *made(struct world *world, const char *fields)
{
    if (!make(world, fields))
        fail_msg("%s: %s", fields, world->fixture.error.cause);
    return fixture_text(world->fixture.mint.record, NULL, "id").data;
}

void assert_refused(struct world *world, const char *fields, const char *cause)
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

bool end(struct world *world, const json_t *record, struct error *error)
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

void assert_ended(struct world *world)
{
    struct error error = { 0 };

    if (!end(world, world->fixture.mint.record, &error))
        fail_msg("%s", error.cause);
}

int64_t tell(const char *role, const char *sql)
{
    const char *at = strstr(sql, "%s");
    char text[512];

    assert_non_null(at);
    (void)snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - sql), sql, role, at + 2);
    return server_number(text);
}
