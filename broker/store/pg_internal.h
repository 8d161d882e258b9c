#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "base/buf.h"
#include "base/macros.h"
#include "base/str.h"
#include "pg/connection.h"
#include "pg/dsn.h"
#include "store/store.h"

struct error;

/* --- statements --- */

enum pg_statement {
    PG_BEGIN,
    PG_LOCK_HEAD,
    PG_LOAD_MARKS,
    PG_LOAD_LEASES,
    PG_LOAD_LATEST,
    PG_COUNT_LIVE,
    PG_COUNT_OPENED,
    PG_LOAD_APPROVALS,
    PG_COUNT_APPROVALS,
    PG_LOAD_BLOCKS,
    PG_ADD_ENTRIES,
    PG_IMPORT_ENTRIES,
    PG_PUT_MARKS,
    PG_REMOVE_MARKS,
    PG_PUT_LEASES,
    PG_PUT_APPROVALS,
    PG_PUT_BLOCKS,
    PG_MOVE_HEAD,
    PG_PUT_BATCH,
    PG_WAIT_LONG,
    PG_COMMIT,
    PG_ROLLBACK,
    PG_FIND_BATCH,
    PG_LOOK_FOR_DUE,
    PG_SWEEP_MARKS,
    PG_SWEEP_LEASES,
    PG_SWEEP_APPROVALS,
    PG_BEGIN_ANEW,
    PG_SWEEP_BATCHES,
    PG_READ_HEAD,
    PG_READ_ENTRIES,
    PG_LEASE_BY_ID,
    PG_LEASE_BY_HANDLE,
    PG_MARK,
    PG_COUNT_LEASES,
    PG_LEASES_UNDER,
    PG_LIVE_OF_STAGE,
    PG_APPROVAL_BY_ID,
    PG_APPROVAL_BY_CODE,
    PG_APPROVALS_OF,
    PG_APPROVALS,
    PG_HEAR,
    PG_CLAIM_DUE,
    PG_PUT_OFF,
    PG_COUNT_OWED,
    PG_BLOCKS,
    PG_ERASE,
    PG_PRUNE,
    PG_OLDEST_LIVE,
    PG_OFFER_CHECKPOINT,
    PG_READ_CHECKPOINT,
    PG_STATEMENT_COUNT
};

/** Who uses a connection; a bit each, so that a statement can be of several. */
enum pg_role {
    PG_WRITER = 1, /* appends */
    PG_READER = 2, /* reads entries; read-only */
    PG_LOOKUP = 4, /* marks, leases, the checkpoint */
};

/** A statement: who prepares it, its name, its text. */
struct pg_statement_row {
    unsigned roles;
    const char *name;
    const char *sql;
};

extern const struct pg_statement_row pg_statements[PG_STATEMENT_COUNT];

#define PG_PARAMETERS_MAX 24

/** Values of a statement, in binary. Bytes are borrowed until it is sent. */
struct pg_values {
    const char *values[PG_PARAMETERS_MAX];
    int lengths[PG_PARAMETERS_MAX];
    uint8_t numbers[PG_PARAMETERS_MAX][8];
    size_t count;
};

void pg_add_number(struct pg_values *values, int64_t number);
void pg_add_bytes(struct pg_values *values, struct str bytes);

/* An array in binary: begin it with its number of elements, add each. Source: PostgreSQL's
 * array_recv(). */
enum pg_type {
    PG_BYTEA = 17,
    PG_INT8 = 20,
    PG_TEXT = 25,
};
void pg_array_begin(struct buf *buf, enum pg_type type, size_t count);
void pg_array_bytes(struct buf *buf, struct str bytes);
void pg_array_number(struct buf *buf, int64_t number);
void pg_array_null(struct buf *buf);

/* Fields of a result. */
int64_t pg_number(const PGresult *result, int row, int column);

/* --- connections --- */

/** How long one exchange with the server may take. */
#define PG_WAIT_MS 6000

/**
 * Connect, check that the server is one that may hold the log, prepare the role's statements.
 *
 * A writer first brings the schema up to date. Refused are: a server before PostgreSQL 15, one in
 * recovery, one that does not sync, a database that is not UTF-8, a schema newer than ours.
 *
 * Errors: ERROR_IO (no connection), ERROR_CONFIG (refused: the cause says what to do),
 *         ERROR_INVALID (a reader or a lookup found no schema)
 */
bool pg_open(struct pg_connection *connection, const struct pg_place *place, enum pg_role role,
             struct error *error) MUST_USE;

/** A group of statements, behind pg_begin(), is sent when it ends. */
bool pg_send(struct pg_connection *connection, enum pg_statement statement,
             const struct pg_values *values, struct error *error) MUST_USE;
/** Send what is not sent yet, and a mark behind it. */
bool pg_sync(struct pg_connection *connection, struct error *error) MUST_USE;

/** The result of the next statement of the group, the caller's; NULL when it failed. */
PGresult *pg_take(struct pg_connection *connection, struct error *error) MUST_USE;
/** The next `count` statements worked; their results do not matter. */
bool pg_skip(struct pg_connection *connection, size_t count, struct error *error) MUST_USE;
/** Up to the mark: whatever is left of the group is thrown away. False when the session is lost. */
bool pg_end(struct pg_connection *connection, struct error *error) MUST_USE;

/** A statement that is a group of its own: its result is the caller's; NULL when it failed. */
PGresult *pg_ask(struct pg_connection *connection, enum pg_statement statement,
                 const struct pg_values *values, int wait_ms, struct error *error) MUST_USE;

/* --- the schema --- */

/** The version that this program writes. */
#define PG_SCHEMA_VERSION 4

/** Bring the schema up to date, under an advisory lock. Errors: ERROR_CONFIG, ERROR_IO */
bool pg_schema_upgrade(struct pg_connection *connection, struct error *error) MUST_USE;

/** Errors: ERROR_INVALID (there is none), ERROR_CONFIG (another version), ERROR_IO */
bool pg_schema_check(struct pg_connection *connection, struct error *error) MUST_USE;

/* --- rows --- */

/** The head of the log. */
struct pg_head {
    uint64_t size;
    uint64_t folded; /* marks and leases follow from the entries below */
    int64_t time_ms;
    int64_t forgotten_s;
    uint64_t blocks; /* the version of the blocks */
};

bool pg_read_head(const PGresult *result, struct pg_head *head) MUST_USE;
bool pg_read_mark(const PGresult *result, int row, uint8_t key[32], struct store_mark *mark)
    MUST_USE;
bool pg_read_lease(const PGresult *result, int row, struct store_lease *lease) MUST_USE;
/** Columns of a lease; what a statement adds stands behind them. */
#define PG_LEASE_COLUMNS 21
bool pg_read_approval(const PGresult *result, int row, struct store_approval *approval) MUST_USE;
bool pg_read_block(const PGresult *result, int row, struct store_block *block) MUST_USE;
