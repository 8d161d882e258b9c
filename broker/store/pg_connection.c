#include <string.h>

#include "base/error.h"
#include "store/pg_internal.h"

#define SERVER_VERSION_MIN 150000
#define ANSWER_MAX ((size_t)64 * 1024 * 1024) /* several times the most that is read at once */

/* Nobody waits longer than that for a lock, and no transaction that lost its broker keeps one. */
#define SESSION                                                                                    \
    "SET search_path = pg_catalog;"                                                                \
    "SET client_min_messages = warning;"                                                           \
    "SET statement_timeout = 5000;"                                                                \
    "SET lock_timeout = 4000;"                                                                     \
    "SET idle_in_transaction_session_timeout = 5000;"

static void take_notice(void *context, const PGresult *result)
{
    struct pg_connection *connection = context;

    (void)result;
    connection->has_warning = true;
}

bool pg_send(struct pg_connection *connection, enum pg_statement statement,
             const struct pg_values *values, struct error *error)
{
    static const int binary[] = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                  1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 };
    static const struct pg_values none;
    int is_sent = 0;

    _Static_assert(COUNT(binary) == PG_PARAMETERS_MAX, "all values are binary");
    if (connection->handle == NULL)
        return error_set(error, ERROR_IO, "PostgreSQL: not connected");
    if (values == NULL)
        values = &none;
    pg_intake_begin(&connection->intake);
    is_sent = PQsendQueryPrepared(connection->handle, pg_statements[statement].name,
                                  (int)values->count, values->values, values->lengths, binary, 1);
    pg_intake_end();
    return is_sent != 0 || pg_lose(connection, NULL, error);
}

bool pg_sync(struct pg_connection *connection, struct error *error)
{
    int is_sent = 0;

    pg_intake_begin(&connection->intake);
    is_sent = PQpipelineSync(connection->handle);
    pg_intake_end();
    return is_sent != 0 ? pg_flush(connection, error) : pg_lose(connection, NULL, error);
}

PGresult *pg_take(struct pg_connection *connection, struct error *error)
{
    PGresult *result = NULL;
    PGresult *end = NULL;

    if (connection->handle == NULL) {
        (void)error_set(error, ERROR_IO, "PostgreSQL: not connected");
        return NULL;
    }
    if (!pg_next_result(connection, &result, error))
        return NULL;
    if (result == NULL) {
        (void)pg_lose(connection, "an answer is missing", error);
        return NULL;
    }
    if (PQresultStatus(result) != PGRES_TUPLES_OK && PQresultStatus(result) != PGRES_COMMAND_OK) {
        (void)pg_refuse(connection, result, error);
        PQclear(result);
        return NULL;
    }
    if (pg_next_result(connection, &end, error) && end == NULL)
        return result;
    PQclear(end);
    PQclear(result);
    if (connection->handle != NULL)
        (void)pg_lose(connection, "two answers to one statement", error);
    return NULL;
}

bool pg_skip(struct pg_connection *connection, size_t count, struct error *error)
{
    for (size_t i = 0; i < count; i++) {
        OWNED(pg_result_clear) PGresult *result = pg_take(connection, error);

        if (result == NULL)
            return false;
    }
    return true;
}

bool pg_end(struct pg_connection *connection, struct error *error)
{
    while (connection->handle != NULL) {
        PGresult *result = NULL;
        ExecStatusType status = PGRES_PIPELINE_ABORTED;

        if (!pg_next_result(connection, &result, error))
            return false;
        if (result != NULL)
            status = PQresultStatus(result);
        PQclear(result);
        if (status == PGRES_PIPELINE_SYNC)
            return true;
        if (pg_is_lost(connection))
            return pg_lose(connection, NULL, error);
    }
    return error_set(error, ERROR_IO, "PostgreSQL: not connected");
}

PGresult *pg_ask(struct pg_connection *connection, enum pg_statement statement,
                 const struct pg_values *values, int wait_ms, struct error *error)
{
    PGresult *result = NULL;

    pg_begin(connection, wait_ms);
    if (!pg_send(connection, statement, values, error) || !pg_sync(connection, error))
        return NULL;
    result = pg_take(connection, error);
    if (pg_end(connection, result == NULL ? &(struct error){ 0 } : error))
        return result;
    PQclear(result);
    return NULL;
}

/* What must be so of the server and the database, each with what to do where it is not. */
static bool check_server(struct pg_connection *connection, struct error *error)
{
    OWNED(pg_result_clear) PGresult *result = NULL;
    const char *encoding = NULL;

    if (PQserverVersion(connection->handle) < SERVER_VERSION_MIN)
        return error_set(error, ERROR_CONFIG, "PostgreSQL 15 or later is needed; the server is %d",
                         PQserverVersion(connection->handle) / 10000);
    result = pg_query(connection,
                      "SELECT pg_is_in_recovery()::text, current_setting('server_encoding'),"
                      " current_setting('fsync'), current_setting('full_page_writes')",
                      error);
    if (result == NULL)
        return false;
    if (strcmp(pg_text(result, 0), "true") == 0)
        return error_set(error, ERROR_CONFIG,
                         "the PostgreSQL server is a standby: name the primary, or all hosts "
                         "(host=a,b), of which the primary is taken");
    encoding = pg_text(result, 1);
    if (strcmp(encoding, "UTF8") != 0)
        return error_set(error, ERROR_CONFIG,
                         "the database's encoding is %s: create one with ENCODING 'UTF8' TEMPLATE "
                         "template0",
                         encoding);
    if (strcmp(pg_text(result, 2), "on") != 0 || strcmp(pg_text(result, 3), "on") != 0)
        return error_set(error, ERROR_CONFIG,
                         "the PostgreSQL server runs with fsync or full_page_writes off: what it "
                         "commits is not durable");
    return true;
}

/* remote_apply says more than on and stays; off, local and remote_write say less. */
static bool start_session(struct pg_connection *connection, enum pg_role role, struct error *error)
{
    OWNED(pg_result_clear) PGresult *result = pg_query(connection, SESSION, error);
    OWNED(pg_result_clear) PGresult *mode = NULL;

    if (result == NULL)
        return false;
    if (role == PG_READER)
        mode = pg_query(connection, "SET default_transaction_read_only = on", error);
    else
        mode = pg_query(connection,
                        "SELECT set_config('synchronous_commit', 'on', false)"
                        " WHERE current_setting('synchronous_commit') <> 'remote_apply'",
                        error);
    return mode != NULL;
}

static bool send_prepare(struct pg_connection *connection, size_t i, struct error *error)
{
    int is_sent = 0;

    pg_intake_begin(&connection->intake);
    is_sent =
        PQsendPrepare(connection->handle, pg_statements[i].name, pg_statements[i].sql, 0, NULL);
    pg_intake_end();
    return is_sent != 0 || pg_lose(connection, NULL, error);
}

static bool prepare(struct pg_connection *connection, enum pg_role role, struct error *error)
{
    size_t count = 0;

    if (PQsetnonblocking(connection->handle, 1) != 0 ||
        PQenterPipelineMode(connection->handle) == 0)
        return pg_lose(connection, NULL, error);
    pg_begin(connection, PG_WAIT_MS);
    for (size_t i = 0; i < PG_STATEMENT_COUNT; i++) {
        if ((pg_statements[i].roles & role) == 0)
            continue;
        if (!send_prepare(connection, i, error))
            return false;
        count++;
    }
    return pg_sync(connection, error) && pg_skip(connection, count, error) &&
           pg_end(connection, error);
}

/* Threads that others wait for do not wait long themselves. */
#define CONNECT_SHORT_S "2"

static bool connect_to(struct pg_connection *connection, const struct pg_place *place,
                       enum pg_role role, struct error *error)
{
    OWNED(pg_dsn_release) struct pg_dsn dsn = { 0 };

    if (!pg_dsn_init(&dsn, place, error))
        return false;
    if (role != PG_WRITER)
        pg_dsn_set(&dsn, "connect_timeout", CONNECT_SHORT_S);
    return pg_connect(connection, &dsn, ANSWER_MAX, error);
}

bool pg_open(struct pg_connection *connection, const struct pg_place *place, enum pg_role role,
             struct error *error)
{
    if (!connect_to(connection, place, role, error))
        return false;
    pg_begin(connection, PG_WAIT_MS);
    if (check_server(connection, error) && start_session(connection, role, error) &&
        (role == PG_WRITER ? pg_schema_upgrade(connection, error)
                           : pg_schema_check(connection, error)) &&
        prepare(connection, role, error)) {
        /* A writer's struct stays where it is; others are handed on. */
        if (role == PG_WRITER)
            (void)PQsetNoticeReceiver(connection->handle, take_notice, connection);
        return true;
    }
    pg_close(connection);
    return false;
}
