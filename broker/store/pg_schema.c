#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "store/pg_internal.h"

/* Any number will do, as long as it stays: "stagepas" in ASCII. */
#define LOCK "8319104478149112179"

/* A table that is changed may be large. */
#define MIGRATION_WAIT_MS (10 * 60 * 1000)

#define SQL_MAX ((size_t)16 * 1024)

/*
 * What leads from one version to the next; the place in the table is the version that it leads to,
 * less one. A row is never changed once it was released: add another.
 *
 * entries    the log: the exact bytes of each leaf, and what is kept beside it
 * head       one row, locked by whoever appends: how long the log is, how many entries marks and
 *            leases follow from, the last entry's time, until when marks may be gone,
 *            the index behind the entry that changed the blocks last
 * marks, leases, approvals, blocks  rows that follow from the entries; of leases all but `due_s`,
 *            when something is to be done about one: heartbeats and claims move it
 * writers    the last batch of each broker's process, for who lost the answer to a COMMIT
 * checkpoint the newest that any broker has published
 */
static const char *const migrations[] = {
    "CREATE TABLE stagepass.entries (index bigint PRIMARY KEY, time_ms bigint NOT NULL,"
    " entry bytea NOT NULL, private bytea);"
    "CREATE TABLE stagepass.head (one boolean PRIMARY KEY DEFAULT true CHECK (one),"
    " size bigint NOT NULL DEFAULT 0, folded bigint NOT NULL DEFAULT 0,"
    " time_ms bigint NOT NULL DEFAULT 0, forgotten_s bigint NOT NULL DEFAULT 0)"
    " WITH (fillfactor = 20);"
    "INSERT INTO stagepass.head DEFAULT VALUES;"
    "CREATE TABLE stagepass.marks (key bytea PRIMARY KEY, holder bytea NOT NULL,"
    " uses bigint NOT NULL, expires_s bigint NOT NULL, first_index bigint NOT NULL,"
    " latest_index bigint NOT NULL);"
    "CREATE INDEX marks_expires_s ON stagepass.marks (expires_s);"
    "CREATE TABLE stagepass.leases (id text COLLATE \"C\" PRIMARY KEY, handle bytea,"
    " state bigint NOT NULL, version bigint NOT NULL, expires_s bigint NOT NULL,"
    " opened_index bigint NOT NULL, latest_index bigint NOT NULL);"
    "CREATE INDEX leases_handle ON stagepass.leases (handle) WHERE handle IS NOT NULL;"
    "CREATE INDEX leases_expires_s ON stagepass.leases (expires_s);"
    "CREATE TABLE stagepass.writers (id bytea PRIMARY KEY, batch bigint NOT NULL,"
    " seen timestamptz NOT NULL) WITH (fillfactor = 20);"
    "CREATE TABLE stagepass.checkpoint (one boolean PRIMARY KEY DEFAULT true CHECK (one),"
    " size bigint NOT NULL, note bytea NOT NULL);",

    "CREATE TABLE stagepass.blocks (id text COLLATE \"C\" PRIMARY KEY, expires_s bigint NOT NULL,"
    " index bigint NOT NULL);"
    "ALTER TABLE stagepass.head ADD COLUMN blocks bigint NOT NULL DEFAULT 0;",

    /* All leases are made anew. `opened_s` has no default, so that an older broker that still runs
       cannot add leases under no key. 3600 is LEASE_KEPT_S, 2 is DEBT_OWED. */
    "DELETE FROM stagepass.leases;"
    "UPDATE stagepass.head SET folded = 0;"
    "ALTER TABLE stagepass.head ADD COLUMN anew_s bigint NOT NULL DEFAULT 0;"
    "ALTER TABLE stagepass.leases ADD COLUMN stage_key bytea, ADD COLUMN job_key bytea,"
    " ADD COLUMN run_key bytea, ADD COLUMN commit_key bytea, ADD COLUMN debt bigint NOT NULL,"
    " ADD COLUMN outcome bigint NOT NULL, ADD COLUMN attempt bigint NOT NULL,"
    " ADD COLUMN heartbeat_s bigint NOT NULL, ADD COLUMN renewal bigint NOT NULL,"
    " ADD COLUMN kept_until_s bigint NOT NULL, ADD COLUMN opened_s bigint NOT NULL,"
    " ADD COLUMN renewed_s bigint NOT NULL, ADD COLUMN ended_s bigint NOT NULL,"
    " ADD COLUMN credentials_index bigint, ADD COLUMN due_s bigint,"
    " ADD COLUMN gone_s bigint GENERATED ALWAYS AS (CASE WHEN debt <> 2"
    " THEN greatest(expires_s + 3600, kept_until_s) END) STORED;"
    "DROP INDEX stagepass.leases_expires_s;"
    "CREATE INDEX leases_stage ON stagepass.leases (stage_key, opened_s, opened_index)"
    " WHERE stage_key IS NOT NULL;"
    "CREATE INDEX leases_job ON stagepass.leases (job_key, opened_s, opened_index)"
    " WHERE job_key IS NOT NULL;"
    "CREATE INDEX leases_run ON stagepass.leases (run_key, opened_s, opened_index)"
    " WHERE run_key IS NOT NULL;"
    "CREATE INDEX leases_commit ON stagepass.leases (commit_key, opened_s, opened_index)"
    " WHERE commit_key IS NOT NULL;"
    "CREATE INDEX leases_live ON stagepass.leases (stage_key, expires_s)"
    " WHERE state IN (1, 2, 7);"
    "CREATE INDEX leases_due_s ON stagepass.leases (due_s) WHERE due_s IS NOT NULL;"
    "CREATE INDEX leases_gone_s ON stagepass.leases (gone_s) WHERE gone_s IS NOT NULL;"
    "CREATE INDEX leases_owed ON stagepass.leases (ended_s) WHERE debt = 2 AND ended_s > 0;"
    "CREATE INDEX leases_owing ON stagepass.leases (expires_s) WHERE debt = 2 AND ended_s = 0;"
    "CREATE TABLE stagepass.approvals (id text COLLATE \"C\" PRIMARY KEY, code bytea,"
    " digest bytea, state bigint NOT NULL, version bigint NOT NULL, expires_s bigint NOT NULL,"
    " opened_index bigint NOT NULL, latest_index bigint NOT NULL, people bytea NOT NULL,"
    " break_glass bigint NOT NULL);"
    "CREATE INDEX approvals_code ON stagepass.approvals (code) WHERE code IS NOT NULL;"
    "CREATE INDEX approvals_digest ON stagepass.approvals (digest) WHERE digest IS NOT NULL;"
    "CREATE INDEX approvals_expires_s ON stagepass.approvals (expires_s);",

    /* All leases are made anew: handles are shorter, and 3 is DEBT_LAPSES. An older broker that
       still runs cannot add leases whose handle nobody finds. 16 is STORE_HANDLE_LEN. */
    "DELETE FROM stagepass.leases;"
    "ALTER TABLE stagepass.leases ADD CONSTRAINT leases_handle_bytes"
    " CHECK (octet_length(handle) = 16);"
    "UPDATE stagepass.head SET folded = 0;"
    "DROP INDEX stagepass.leases_owed;"
    "CREATE INDEX leases_owed ON stagepass.leases (ended_s) WHERE debt IN (2, 3) AND ended_s > 0;",
};

_Static_assert(COUNT(migrations) == PG_SCHEMA_VERSION, "a migration for each version");

/* The version of the schema that is there; 0 where there is none. */
static bool read_version(struct pg_connection *connection, int64_t *version, struct error *error)
{
    OWNED(pg_result_clear) PGresult *table =
        pg_query(connection, "SELECT to_regclass('stagepass.schema') IS NOT NULL", error);
    OWNED(pg_result_clear) PGresult *row = NULL;

    *version = 0;
    if (table == NULL)
        return false;
    if (strcmp(pg_text(table, 0), "t") != 0)
        return true;
    row = pg_query(connection, "SELECT version FROM stagepass.schema", error);
    if (row == NULL)
        return false;
    return (str_to_int64(str_from(pg_text(row, 0)), version) && *version > 0) ||
           error_set(error, ERROR_INVALID, "stagepass.schema has no version");
}

static bool refuse_newer(int64_t version, struct error *error)
{
    return error_set(error, ERROR_CONFIG,
                     "the database has schema version %d, this program knows %d: run the newer "
                     "program that made it",
                     (int)version, PG_SCHEMA_VERSION);
}

bool pg_schema_check(struct pg_connection *connection, struct error *error)
{
    int64_t version = 0;

    if (!read_version(connection, &version, error))
        return false;
    if (version == 0)
        return error_set(error, ERROR_INVALID, "there is no store in this database");
    if (version > PG_SCHEMA_VERSION)
        return refuse_newer(version, error);
    return version == PG_SCHEMA_VERSION ||
           error_set(error, ERROR_CONFIG,
                     "the database has schema version %d, this program needs %d: start a broker of "
                     "this version first",
                     (int)version, PG_SCHEMA_VERSION);
}

static bool run_sql(struct pg_connection *connection, const char *sql, struct error *error)
{
    OWNED(pg_result_clear) PGresult *result = pg_query(connection, sql, error);

    return result != NULL;
}

/* All steps in one transaction: it is done, or nothing has happened. */
static bool migrate(struct pg_connection *connection, int64_t from, struct error *error)
{
    OWNED(buf_release) struct buf sql = { 0 };

    pg_begin(connection, MIGRATION_WAIT_MS);
    buf_init(&sql, SQL_MAX);
    buf_add_text(&sql, "BEGIN; SET LOCAL statement_timeout = 0;");
    if (from == 0)
        buf_add_text(&sql, "CREATE SCHEMA IF NOT EXISTS stagepass;"
                           "CREATE TABLE stagepass.schema (one boolean PRIMARY KEY DEFAULT true"
                           " CHECK (one), version integer NOT NULL);"
                           "INSERT INTO stagepass.schema (version) VALUES (0);");
    for (int64_t i = from; i < PG_SCHEMA_VERSION; i++)
        buf_add_text(&sql, migrations[i]);
    buf_printf(&sql, "UPDATE stagepass.schema SET version = %d; COMMIT", PG_SCHEMA_VERSION);
    if (!buf_is_ok(&sql))
        return error_set(error, ERROR_MEMORY, "no memory for the schema");
    if (run_sql(connection, sql.data, error))
        return true;
    (void)run_sql(connection, "ROLLBACK", &(struct error){ 0 });
    return error_wrap(error,
                      "cannot bring the schema from version %d to %d; as its owner: stagepassd "
                      "--migrate DSN_FILE",
                      (int)from, PG_SCHEMA_VERSION);
}

static bool upgrade_locked(struct pg_connection *connection, struct error *error)
{
    int64_t version = 0;

    if (!read_version(connection, &version, error))
        return false;
    if (version > PG_SCHEMA_VERSION)
        return refuse_newer(version, error);
    return version == PG_SCHEMA_VERSION || migrate(connection, version, error);
}

bool pg_schema_upgrade(struct pg_connection *connection, struct error *error)
{
    int64_t version = 0;
    bool is_done = false;

    if (!read_version(connection, &version, error))
        return false;
    if (version == PG_SCHEMA_VERSION)
        return true;
    if (!run_sql(connection, "SELECT pg_advisory_lock(" LOCK ")", error))
        return false;
    is_done = upgrade_locked(connection, error);
    return run_sql(connection, "SELECT pg_advisory_unlock(" LOCK ")",
                   is_done ? error : &(struct error){ 0 }) &&
           is_done;
}
