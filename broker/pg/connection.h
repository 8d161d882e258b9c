#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/str.h"
#include "pg/intake.h"

struct error;
struct pg_conn; /* libpq's PGconn and PGresult */
struct pg_dsn;
struct pg_result;

#define PG_SQLSTATE_LEN 5
#define PG_TEXTS_MAX 16

/**
 * One session with a PostgreSQL server. All-zero is a closed one.
 *
 * What fails on the way to the server or there closes it, unless the server only refused a
 * statement. Waiting ends at the deadline that pg_begin() sets, and so does receiving at the length
 * that pg_connect() was told.
 *
 * Threads: confined
 */
struct pg_connection {
    struct pg_conn *handle;
    int64_t deadline_ms; /* of what is under way */
    size_t answer_max;   /* bytes between one pg_begin() and the next */
    struct pg_intake intake;
    bool has_warning;                   /* the server warned since pg_begin() */
    char sqlstate[PG_SQLSTATE_LEN + 1]; /* of the last statement that was refused */
};

/**
 * Connect. How long that takes is the DSN's `connect_timeout` for each of its hosts. The server may
 * send `answer_max` bytes meanwhile, and as many after each pg_begin(), whatever they are: rows,
 * notices, parameters.
 *
 * Errors: ERROR_IO, ERROR_MEMORY
 */
bool pg_connect(struct pg_connection *connection, const struct pg_dsn *dsn, size_t answer_max,
                struct error *error) MUST_USE;
void pg_close(struct pg_connection *connection);
bool pg_is_open(const struct pg_connection *connection);

/** Whether the session is over: said by the server, or by libpq. */
bool pg_is_lost(const struct pg_connection *connection);

/**
 * Whether a session that nothing was asked of has nothing to say, and has not said much in all:
 * then it may be used again. What a server says of itself libpq keeps as long as the session lasts.
 */
bool pg_is_quiet(const struct pg_connection *connection);

/** Start a group of statements, which must be over in that time. */
void pg_begin(struct pg_connection *connection, int wait_ms);

/**
 * Run SQL text on its own, outside of a pipeline. The last statement's result is the caller's.
 *
 * Errors: ERROR_LEDGER (the server refused it: `sqlstate`), ERROR_IO (the session is lost)
 */
struct pg_result *pg_query(struct pg_connection *connection, const char *sql, struct error *error)
    MUST_USE;

/** The same of one statement with values, as texts, for $1, $2 ...; a NULL is SQL's. */
struct pg_result *pg_query_texts(struct pg_connection *connection, const char *sql,
                                 const char *const *texts, size_t count, struct error *error)
    MUST_USE;

void pg_result_clear(struct pg_result *result);

OWNED_POINTER(pg_result_clear, struct pg_result)

/** Text of the first row of a result in text; "" where the server sent no such row or column. */
const char *pg_text(const struct pg_result *result, int column);

/** A field's bytes; empty where it is NULL. */
struct str pg_bytes(const struct pg_result *result, int row, int column);

/** How many rows it has. */
int pg_row_count(const struct pg_result *result);

/** Whether the statement came to this: "COMMIT", and not "ROLLBACK". */
bool pg_is_command(struct pg_result *result, const char *command);

/* What pipelines are built from; `error` is as of pg_query(). Where libpq sends it may receive. */

/** Close the session, for that reason (NULL: what libpq says); false. */
bool pg_lose(struct pg_connection *connection, const char *reason, struct error *error);

/** Send all that libpq keeps, reading meanwhile: the server may not read on before we have. */
bool pg_flush(struct pg_connection *connection, struct error *error) MUST_USE;

/** The next result, or NULL in `*result` at the end of a statement's. */
bool pg_next_result(struct pg_connection *connection, struct pg_result **result,
                    struct error *error) MUST_USE;

/** What the server says about a statement, never with the values in it; false. */
bool pg_refuse(struct pg_connection *connection, const struct pg_result *result,
               struct error *error);
