/*
 * The file, its schema, and how SQLite is set up. The file may be anybody's (a folder that an
 * auditor was given): it is only used where its schema is, to the letter, what we make, so that it
 * brings no triggers or views.
 */
#include "store/index.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "store/index_internal.h"

#define SCHEMA_VERSION 3
#define PATH_BYTES_MAX 4096
#define BUSY_TIMEOUT_MS 2000
#define SETTLE_TIMEOUT_MS 100 /* it can be tried again */
#define STEPS_A_LOOK 2000     /* of SQLite's machine, between two looks at the deadline */
#define STATE_LEN (8 + SHA256_LEN)

/* Bytes of memory for pages, and of the log beside the file before it is folded in. */
#define SETTINGS                                                                                   \
    "PRAGMA trusted_schema=0;PRAGMA cell_size_check=1;PRAGMA mmap_size=0;PRAGMA temp_store=2;"     \
    "PRAGMA cache_size=-8192;"
/* Nothing is in it yet. Most pages of a batch are changed by one key each, so small ones are
 * better: each is written twice, and read once or twice. */
#define NEW_SETTINGS "PRAGMA page_size=2048;PRAGMA synchronous=OFF;PRAGMA journal_mode=WAL;"
#define WRITER_SETTINGS                                                                            \
    "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;PRAGMA wal_autocheckpoint=32768;"           \
    "PRAGMA journal_size_limit=67108864;PRAGMA secure_delete=2;"

static const char *const schema[] = {
    "CREATE TABLE place(number INTEGER PRIMARY KEY,time_ms INTEGER NOT NULL,first INTEGER NOT NULL,"
    "segment INTEGER NOT NULL,at INTEGER NOT NULL)",
    "CREATE TABLE posting(space INTEGER NOT NULL,key INTEGER NOT NULL,chunk INTEGER NOT NULL,"
    "bits BLOB NOT NULL,PRIMARY KEY(space,key,chunk))WITHOUT ROWID",
    "CREATE TABLE row(space INTEGER NOT NULL,key BLOB NOT NULL,value BLOB NOT NULL,"
    "PRIMARY KEY(space,key))WITHOUT ROWID",
    "CREATE TABLE state(name INTEGER PRIMARY KEY,value BLOB NOT NULL)",
};

static const char *const texts[INDEX_STATEMENT_COUNT] = {
    [INDEX_BEGIN] = "BEGIN",
    [INDEX_COMMIT] = "COMMIT",
    [INDEX_ROLLBACK] = "ROLLBACK",
    [INDEX_STATE_GET] = "SELECT value FROM state WHERE name=0",
    [INDEX_STATE_PUT] = "INSERT OR REPLACE INTO state VALUES(0,?)",
    [INDEX_POSTING_GET] = "SELECT bits FROM posting WHERE space=? AND key=? AND chunk=?",
    [INDEX_POSTING_BEFORE] = ("SELECT chunk,bits FROM posting WHERE space=? AND key=? AND chunk<=? "
                              "ORDER BY chunk DESC LIMIT 1"),
    [INDEX_POSTING_INSERT] = "INSERT INTO posting VALUES(?,?,?,?)",
    [INDEX_POSTING_PUT] = "INSERT OR REPLACE INTO posting VALUES(?,?,?,?)",
    [INDEX_POSTING_DELETE] = "DELETE FROM posting WHERE space=? AND key=? AND chunk=?",
    [INDEX_ROW_GET] = "SELECT value FROM row WHERE space=? AND key=?",
    [INDEX_ROW_EACH] = "SELECT key,value FROM row WHERE space=? AND key>? ORDER BY key",
    [INDEX_ROW_PUT] = "INSERT OR REPLACE INTO row VALUES(?,?,?)",
    [INDEX_ROW_DELETE] = "DELETE FROM row WHERE space=? AND key=?",
    [INDEX_PLACE_GET] = "SELECT time_ms,first,segment,at FROM place WHERE number=?",
    [INDEX_PLACE_PUT] = "INSERT OR REPLACE INTO place VALUES(?,?,?,?,?)",
    [INDEX_PLACE_LAST] = "SELECT max(number) FROM place",
};

/* ---- answers and statements ---- */

static enum error_code code_of(int answer)
{
    switch (answer & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_MISMATCH:
    case SQLITE_SCHEMA:
    case SQLITE_ERROR: /* a statement that does not fit the tables */
        return ERROR_INVALID;
    case SQLITE_NOMEM:
        return ERROR_MEMORY;
    case SQLITE_INTERRUPT:
    case SQLITE_BUSY:
        return ERROR_INDEX;
    default:
        return ERROR_IO;
    }
}

bool index_fail(struct store_index *index, int answer, const char *what, struct error *error)
{
    (void)index;
    return error_set(error, code_of(answer), "index: %s: %s", what, sqlite3_errstr(answer));
}

sqlite3_stmt *index_statement(struct store_index *index, enum index_statement which,
                              struct error *error)
{
    sqlite3_stmt **statement = &index->statements[which];
    int answer;

    if (*statement) {
        (void)sqlite3_reset(*statement); /* tells of its last step again */
        return *statement;
    }
    answer = sqlite3_prepare_v3(index->database, texts[which], -1, SQLITE_PREPARE_PERSISTENT,
                                statement, NULL);
    if (answer == SQLITE_OK)
        return *statement;
    (void)index_fail(index, answer, "cannot prepare", error);
    return NULL;
}

bool index_step(struct store_index *index, sqlite3_stmt *statement, bool *has_row, const char *what,
                struct error *error)
{
    int answer = sqlite3_step(statement);

    *has_row = answer == SQLITE_ROW;
    if (answer == SQLITE_ROW)
        return true;
    (void)sqlite3_reset(statement);
    return answer == SQLITE_DONE || index_fail(index, answer, what, error);
}

bool index_run(struct store_index *index, sqlite3_stmt *statement, const char *what,
               struct error *error)
{
    bool has_row = false;

    return index_step(index, statement, &has_row, what, error);
}

/* ---- opening ---- */

static bool execute(struct store_index *index, const char *text, struct error *error)
{
    int answer = sqlite3_exec(index->database, text, NULL, NULL, NULL);

    return answer == SQLITE_OK || index_fail(index, answer, "cannot set up", error);
}

static bool read_number(struct store_index *index, const char *text, int64_t *number,
                        struct error *error)
{
    sqlite3_stmt *statement = NULL;
    int answer = sqlite3_prepare_v2(index->database, text, -1, &statement, NULL);

    if (answer == SQLITE_OK)
        answer = sqlite3_step(statement);
    *number = answer == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : -1;
    (void)sqlite3_finalize(statement);
    return answer == SQLITE_ROW || index_fail(index, answer, "cannot read its version", error);
}

/* Whether the tables are, to the letter, ours, and nothing else is there. */
static bool has_our_schema(struct store_index *index)
{
    sqlite3_stmt *statement = NULL;
    size_t count = 0;
    int answer = sqlite3_prepare_v2(index->database, "SELECT sql FROM sqlite_schema ORDER BY name",
                                    -1, &statement, NULL);
    bool is_same = answer == SQLITE_OK;

    while (is_same && sqlite3_step(statement) == SQLITE_ROW) {
        const unsigned char *sql = sqlite3_column_text(statement, 0);

        is_same = count < COUNT(schema) && sql && strcmp((const char *)sql, schema[count]) == 0;
        count++;
    }
    (void)sqlite3_finalize(statement);
    return is_same && count == COUNT(schema);
}

static int is_past_deadline(void *context)
{
    const struct store_index *index = context;

    return index->deadline_ns != 0 && clock_monotonic_ns() > index->deadline_ns;
}

static bool open_database(const char *path, int flags, struct store_index **out,
                          struct error *error)
{
    OWNED(store_index_close) struct store_index *index = calloc(1, sizeof(*index));
    int answer;

    if (!index)
        return error_set(error, ERROR_MEMORY, "index");
    answer = sqlite3_open_v2(path, &index->database, flags | SQLITE_OPEN_NOMUTEX, NULL);
    if (answer != SQLITE_OK)
        return index_fail(index, answer, "cannot open", error);
    (void)sqlite3_extended_result_codes(index->database, 1);
    (void)sqlite3_busy_timeout(index->database, BUSY_TIMEOUT_MS);
    (void)sqlite3_db_config(index->database, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_limit(index->database, SQLITE_LIMIT_LENGTH, 1 << 20);
    sqlite3_progress_handler(index->database, STEPS_A_LOOK, is_past_deadline, index);
    if (!execute(index, SETTINGS, error))
        return false;
    *out = TAKE(index);
    return true;
}

static int64_t user_version(uint32_t version)
{
    return (int64_t)SCHEMA_VERSION << 16 | (version & 0xffff);
}

/* ERROR_NOT_FOUND: another version, or an empty file; ERROR_INVALID: not ours, or damaged. */
static bool check(struct store_index *index, uint32_t version, struct error *error)
{
    int64_t found = 0;

    if (!read_number(index, "PRAGMA user_version", &found, error))
        return false;
    if (found != user_version(version))
        return error_set(error, ERROR_NOT_FOUND, "index: of another version");
    return has_our_schema(index) ||
           error_set(error, ERROR_INVALID, "index: its tables are not ours");
}

static bool make_tables(struct store_index *index, uint32_t version, struct error *error)
{
    char text[64];

    if (!execute(index, "BEGIN", error))
        return false;
    for (size_t i = 0; i < COUNT(schema); i++)
        if (!execute(index, schema[i], error))
            return false;
    (void)snprintf(text, sizeof(text), "PRAGMA user_version=%" PRId64, user_version(version));
    return execute(index, text, error) && execute(index, "COMMIT", error);
}

/* SQLite gives its other files the mode of this one. */
static bool make_file(const char *path, struct error *error)
{
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (file < 0)
        return error_set_errno(error, "%s: cannot make", path);
    (void)close(file); /* nothing was written */
    return true;
}

static bool make_anew(const char *path, uint32_t version, struct store_index **out,
                      struct error *error)
{
    OWNED(store_index_close) struct store_index *index = NULL;

    if (!store_index_remove(path, error) || !make_file(path, error) ||
        !open_database(path, SQLITE_OPEN_READWRITE, &index, error) ||
        !execute(index, NEW_SETTINGS, error) || !make_tables(index, version, error) ||
        !execute(index, WRITER_SETTINGS, error))
        return error_wrap(error, "%s", path);
    *out = TAKE(index);
    return true;
}

static bool open_writable(const char *path, uint32_t version, struct store_index **out,
                          struct error *error)
{
    OWNED(store_index_close) struct store_index *index = NULL;

    if (!open_database(path, SQLITE_OPEN_READWRITE, &index, error) ||
        !execute(index, WRITER_SETTINGS, error) || !check(index, version, error))
        return false;
    if (sqlite3_db_readonly(index->database, "main") != 0)
        return error_set(error, ERROR_INVALID, "index: it cannot be written");
    *out = TAKE(index);
    return true;
}

bool store_index_open(const char *path, uint32_t version, struct store_index **index,
                      struct error *error)
{
    struct error why = { 0 };

    if (open_writable(path, version, index, &why))
        return true;
    if (why.code == ERROR_MEMORY || why.code == ERROR_INDEX) {
        *error = why;
        return false;
    }
    return make_anew(path, version, index, error);
}

/* A URI, for `immutable`: where SQLite cannot make the files that it shares memory by. */
static bool open_immutable(const char *path, struct store_index **index, struct error *error)
{
    char uri[3 * PATH_BYTES_MAX + 64] = "file:";
    size_t len = sizeof("file:") - 1;

    for (size_t i = 0; path[i] != '\0' && len < sizeof(uri) - 32; i++)
        len += (size_t)snprintf(uri + len, sizeof(uri) - len,
                                strchr("%?#", path[i]) ? "%%%02x" : "%c", (unsigned char)path[i]);
    (void)snprintf(uri + len, sizeof(uri) - len, "?immutable=1");
    return open_database(uri, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, index, error);
}

static bool has_wal(const char *path)
{
    char name[PATH_BYTES_MAX + 8];

    (void)snprintf(name, sizeof(name), "%s-wal", path);
    return access(name, F_OK) == 0;
}

bool store_index_open_to_read(const char *path, uint32_t version, struct store_index **out,
                              struct error *error)
{
    OWNED(store_index_close) struct store_index *index = NULL;
    struct error why = { 0 };

    if (strlen(path) >= PATH_BYTES_MAX)
        return error_set(error, ERROR_IO, "a path of more than %d bytes", PATH_BYTES_MAX);
    if (access(path, F_OK) != 0)
        return error_set(error, ERROR_NOT_FOUND, "%s: there is none", path);
    if (!open_database(path, SQLITE_OPEN_READONLY, &index, &why) || !check(index, version, &why)) {
        store_index_close(TAKE(index));
        if (why.code != ERROR_IO || has_wal(path)) {
            *error = why;
            return error_wrap(error, "%s", path);
        }
        if (!open_immutable(path, &index, error) || !check(index, version, error))
            return error_wrap(error, "%s", path);
    }
    *out = TAKE(index);
    return true;
}

void store_index_close(struct store_index *index)
{
    if (!index)
        return;
    for (size_t i = 0; i < INDEX_STATEMENT_COUNT; i++)
        (void)sqlite3_finalize(index->statements[i]); /* tells of its last step again */
    (void)sqlite3_close(index->database);             /* no statement is left: it cannot refuse */
    free(index);
}

bool store_index_remove(const char *path, struct error *error)
{
    static const char *const suffixes[] = { "", "-wal", "-shm", "-journal" };
    char name[PATH_BYTES_MAX + 16];

    if (strlen(path) >= PATH_BYTES_MAX)
        return error_set(error, ERROR_IO, "a path of more than %d bytes", PATH_BYTES_MAX);
    for (size_t i = 0; i < COUNT(suffixes); i++) {
        (void)snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
        if (unlink(name) != 0 && errno != ENOENT)
            return error_set_errno(error, "%s: cannot remove", name);
    }
    return true;
}

/* ---- beginning and ending ---- */

static uint64_t read_u64(const uint8_t *bytes)
{
    uint64_t value = 0;

    for (size_t i = 0; i < 8; i++)
        value = value << 8 | bytes[i];
    return value;
}

static bool read_state(struct store_index *index, struct index_state *state, struct error *error)
{
    sqlite3_stmt *statement = index_statement(index, INDEX_STATE_GET, error);
    const uint8_t *bytes;
    bool has_row = false;

    *state = (struct index_state){ 0 };
    if (!statement || !index_step(index, statement, &has_row, "state", error))
        return false;
    if (!has_row)
        return true;
    bytes = sqlite3_column_blob(statement, 0);
    if (!bytes || sqlite3_column_bytes(statement, 0) != STATE_LEN)
        return error_set(error, ERROR_INVALID, "index: its state does not read");
    state->size = read_u64(bytes);
    memcpy(state->last_sha256, bytes + 8, SHA256_LEN);
    (void)sqlite3_reset(statement); /* it had a row */
    return true;
}

bool store_index_begin(struct store_index *index, struct index_state *state, struct error *error)
{
    sqlite3_stmt *statement = index_statement(index, INDEX_BEGIN, error);

    if (!statement || !index_run(index, statement, "cannot begin", error))
        return false;
    index->is_open = true;
    if (read_state(index, state, error))
        return true;
    store_index_end(index);
    return false;
}

static bool put_state(struct store_index *index, const struct index_state *state,
                      struct error *error)
{
    sqlite3_stmt *statement = index_statement(index, INDEX_STATE_PUT, error);
    uint8_t bytes[STATE_LEN];

    for (size_t i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(state->size >> (56 - 8 * i));
    memcpy(bytes + 8, state->last_sha256, SHA256_LEN);
    if (!statement)
        return false;
    (void)sqlite3_bind_blob(statement, 1, bytes, STATE_LEN, SQLITE_TRANSIENT); /* NOT NULL tells */
    return index_run(index, statement, "state", error);
}

bool store_index_commit(struct store_index *index, const struct index_state *state,
                        struct error *error)
{
    sqlite3_stmt *statement = index_statement(index, INDEX_COMMIT, error);

    if (!statement || !put_state(index, state, error) ||
        !index_run(index, statement, "cannot commit", error)) {
        store_index_end(index);
        return false;
    }
    index->is_open = false;
    return true;
}

bool store_index_settle(struct store_index *index, struct error *error)
{
    int answer;

    (void)sqlite3_busy_timeout(index->database, SETTLE_TIMEOUT_MS);
    answer =
        sqlite3_wal_checkpoint_v2(index->database, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    (void)sqlite3_busy_timeout(index->database, BUSY_TIMEOUT_MS);
    return answer == SQLITE_OK || index_fail(index, answer, "cannot settle", error);
}

/* A select that was left at a row would keep its moment. */
static void reset_all(struct store_index *index)
{
    for (size_t i = 0; i < INDEX_STATEMENT_COUNT; i++)
        if (index->statements[i])
            (void)sqlite3_reset(index->statements[i]); /* tells of its last step again */
}

void store_index_end(struct store_index *index)
{
    struct error ignored = { 0 };
    sqlite3_stmt *statement;

    reset_all(index);
    if (!index->is_open)
        return;
    index->is_open = false;
    statement = index_statement(index, INDEX_ROLLBACK, &ignored);
    if (statement)
        (void)sqlite3_step(statement); /* some failures have rolled back already */
    reset_all(index);
}

void store_index_set_deadline(struct store_index *index, int64_t deadline_ns)
{
    index->deadline_ns = deadline_ns;
}
