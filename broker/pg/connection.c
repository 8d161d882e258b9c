#include "pg/connection.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include <libpq-fe.h>

#include "base/clock.h"
#include "base/error.h"
#include "pg/dsn.h"
#include "pg/rehearsal.h"

static void ignore_notice(void *context, const PGresult *result)
{
    (void)context;
    (void)result;
}

/* Start what is not made yet, so that it can be told where notices go. */
static bool rehearse(struct pg_connection *connection, const struct pg_dsn *dsn)
{
    pg_rehearsal_begin();
    connection->handle = PQconnectStartParams(dsn->keywords, dsn->values, 0);
    pg_rehearsal_end();
    if (connection->handle == NULL)
        return false;
    (void)PQsetNoticeReceiver(connection->handle, ignore_notice, NULL);
    return true;
}

bool pg_connect(struct pg_connection *connection, const struct pg_dsn *dsn, size_t answer_max,
                struct error *error)
{
    char said[sizeof(error->cause)] = "";
    bool has_tried = false;

    connection->answer_max = answer_max;
    connection->intake = (struct pg_intake){ .left = answer_max };
    if (!rehearse(connection, dsn))
        return error_set(error, ERROR_MEMORY, "no memory for a connection");
    (void)snprintf(said, sizeof(said), "%s", PQerrorMessage(connection->handle));
    pg_intake_begin(&connection->intake);
    PQreset(connection->handle);
    pg_intake_end();
    if (PQstatus(connection->handle) == CONNECTION_OK)
        return true;
    /* Of options that are no good it tries nothing, and says nothing again. */
    has_tried = PQerrorMessage(connection->handle)[0] != '\0';
    return pg_lose(connection, has_tried ? NULL : said, error);
}

bool pg_is_open(const struct pg_connection *connection)
{
    return connection->handle != NULL;
}

void pg_close(struct pg_connection *connection)
{
    PQfinish(connection->handle); /* NULL is fine */
    connection->handle = NULL;
}

/* The first line of what libpq says. */
static struct str first_line(const char *text)
{
    struct str line = { 0 };
    struct str rest = { 0 };

    (void)str_cut(str_from(text), '\n', &line, &rest);
    return line;
}

bool pg_lose(struct pg_connection *connection, const char *reason, struct error *error)
{
    struct str said = first_line(reason != NULL ? reason : PQerrorMessage(connection->handle));

    if (connection->intake.is_over)
        said = STR("the answer is too long");
    if (said.len == 0)
        said = STR("the connection was lost");
    (void)error_set(error, ERROR_IO, "PostgreSQL: " STR_FMT, STR_ARG(said));
    pg_close(connection);
    return false;
}

/* Wait until the socket can be read, or written where `events` says so too. */
static bool wait_socket(struct pg_connection *connection, short events, struct error *error)
{
    for (;;) {
        struct pollfd socket = { PQsocket(connection->handle), events, 0 };
        int64_t left_ms = connection->deadline_ms - clock_system_ms();
        int count = 0;

        if (left_ms <= 0)
            return pg_lose(connection, "no answer in time", error);
        count = poll(&socket, 1, (int)left_ms);
        if (count > 0)
            return true;
        if (count < 0 && errno != EINTR)
            return pg_lose(connection, "cannot wait for an answer", error);
    }
}

/* What can be read without waiting. */
static bool consume(struct pg_connection *connection, struct error *error)
{
    int is_well = 0;

    pg_intake_begin(&connection->intake);
    is_well = PQconsumeInput(connection->handle);
    pg_intake_end();
    return is_well != 0 || pg_lose(connection, NULL, error);
}

/* How much is left to send: 0 none, negative where it failed. */
static int flush_some(struct pg_connection *connection)
{
    int left = 0;

    pg_intake_begin(&connection->intake);
    left = PQflush(connection->handle);
    pg_intake_end();
    return left;
}

bool pg_flush(struct pg_connection *connection, struct error *error)
{
    for (;;) {
        int left = flush_some(connection);

        if (left == 0)
            return true;
        if (left < 0)
            return pg_lose(connection, NULL, error);
        if (!wait_socket(connection, POLLIN | POLLOUT, error) || !consume(connection, error))
            return false;
    }
}

/* Of a COPY, which we never ask for, libpq gives the same result for ever. */
static bool is_copy(const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);

    return status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH;
}

bool pg_next_result(struct pg_connection *connection, PGresult **result, struct error *error)
{
    *result = NULL;
    while (PQisBusy(connection->handle))
        if (!wait_socket(connection, POLLIN, error) || !consume(connection, error))
            return false;
    pg_intake_begin(&connection->intake); /* in a pipeline it sends what is left, first */
    *result = PQgetResult(connection->handle);
    pg_intake_end();
    if (!is_copy(*result))
        return true;
    PQclear(*result);
    *result = NULL;
    return pg_lose(connection, "the server answers with a COPY", error);
}

bool pg_is_lost(const struct pg_connection *connection)
{
    return PQstatus(connection->handle) != CONNECTION_OK;
}

bool pg_is_quiet(const struct pg_connection *connection)
{
    struct pollfd socket = { PQsocket(connection->handle), POLLIN, 0 };

    return !pg_is_lost(connection) && connection->intake.taken < connection->answer_max &&
           poll(&socket, 1, 0) == 0;
}

/* What the server says as it ends a session: the socket may still look open. */
static bool is_farewell(const PGresult *result)
{
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);

    return severity != NULL && (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0);
}

bool pg_refuse(struct pg_connection *connection, const PGresult *result, struct error *error)
{
    const char *code = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

    (void)snprintf(connection->sqlstate, sizeof(connection->sqlstate), "%s", code ? code : "");
    if (PQresultStatus(result) == PGRES_PIPELINE_ABORTED)
        return error_set(error, ERROR_LEDGER, "PostgreSQL: an earlier statement failed");
    if (pg_is_lost(connection) || is_farewell(result))
        return pg_lose(connection, text, error);
    return error_set(error, ERROR_LEDGER, "PostgreSQL: %s (%s)",
                     text != NULL ? text : "a statement failed", code != NULL ? code : "no code");
}

void pg_begin(struct pg_connection *connection, int wait_ms)
{
    connection->deadline_ms = clock_system_ms() + wait_ms;
    connection->intake.left = connection->answer_max;
    connection->intake.is_over = false;
    connection->has_warning = false;
}

/* The result of the last statement that was sent. */
static PGresult *take_last(struct pg_connection *connection, struct error *error)
{
    PGresult *last = NULL;
    PGresult *result = NULL;

    if (!pg_flush(connection, error))
        return NULL;
    for (;;) {
        if (!pg_next_result(connection, &result, error)) {
            PQclear(last);
            return NULL;
        }
        if (result == NULL)
            break;
        PQclear(last);
        last = result;
        if (PQresultStatus(result) == PGRES_FATAL_ERROR && pg_is_lost(connection))
            break;
    }
    if (last != NULL &&
        (PQresultStatus(last) == PGRES_TUPLES_OK || PQresultStatus(last) == PGRES_COMMAND_OK))
        return last;
    if (last != NULL)
        (void)pg_refuse(connection, last, error);
    PQclear(last);
    return NULL;
}

PGresult *pg_query(struct pg_connection *connection, const char *sql, struct error *error)
{
    bool is_sent = false;

    connection->sqlstate[0] = '\0';
    pg_intake_begin(&connection->intake);
    is_sent = connection->handle != NULL && PQsendQuery(connection->handle, sql) != 0;
    pg_intake_end();
    if (is_sent)
        return take_last(connection, error);
    (void)error_set(error, ERROR_IO, "PostgreSQL: not connected");
    return NULL;
}

PGresult *pg_query_texts(struct pg_connection *connection, const char *sql,
                         const char *const *texts, size_t count, struct error *error)
{
    bool is_sent = false;

    connection->sqlstate[0] = '\0';
    pg_intake_begin(&connection->intake);
    is_sent =
        connection->handle != NULL && count <= PG_TEXTS_MAX &&
        PQsendQueryParams(connection->handle, sql, (int)count, NULL, texts, NULL, NULL, 0) != 0;
    pg_intake_end();
    if (is_sent)
        return take_last(connection, error);
    (void)error_set(error, ERROR_IO, "PostgreSQL: not connected");
    return NULL;
}

void pg_result_clear(PGresult *result)
{
    PQclear(result); /* NULL is fine */
}

const char *pg_text(const PGresult *result, int column)
{
    if (PQntuples(result) < 1 || column >= PQnfields(result))
        return "";
    return PQgetvalue(result, 0, column);
}

struct str pg_bytes(const PGresult *result, int row, int column)
{
    return (struct str){ PQgetvalue(result, row, column),
                         (size_t)PQgetlength(result, row, column) };
}

int pg_row_count(const PGresult *result)
{
    return PQntuples(result);
}

bool pg_is_command(PGresult *result, const char *command)
{
    return strcmp(PQcmdStatus(result), command) == 0;
}
