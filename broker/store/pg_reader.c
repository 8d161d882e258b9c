#include <inttypes.h>
#include <stdlib.h>

#include "store/pg_store.h"
#include "store/pg_store_internal.h"

/* Entries that are read at once where one after the other is asked for: 16 MiB at the very most. */
#define AHEAD 256

/* An HTTP thread may wait for the answer. */
#define WAIT_MS 3000

/** Threads: confined */
struct pg_reader {
    struct store_reader reader; /* first, so that either is the other */
    struct pg_place place;
    struct pg_connection connection;
    PGresult *rows; /* the entries from `first` on, or NULL */
    uint64_t first;
    uint64_t next; /* the one behind the last that was asked for */
};

static struct pg_reader *pg_of(struct store_reader *reader)
{
    return (struct pg_reader *)reader;
}

static void close_reader(struct store_reader *base)
{
    struct pg_reader *reader = pg_of(base);

    PQclear(reader->rows);
    pg_close(&reader->connection);
    pg_place_release(&reader->place);
    free(reader);
}

/* Where the connection was lost since the last time, once more on a new one. */
static PGresult *ask(struct pg_reader *reader, enum pg_statement statement,
                     const struct pg_values *values, struct error *error)
{
    struct pg_connection *connection = &reader->connection;
    PGresult *result = NULL;

    if (pg_is_open(connection))
        result = pg_ask(&reader->connection, statement, values, WAIT_MS, error);
    if (result != NULL || pg_is_open(connection))
        return result;
    *error = (struct error){ 0 };
    if (!pg_open(connection, &reader->place, PG_READER, error))
        return NULL;
    return pg_ask(&reader->connection, statement, values, WAIT_MS, error);
}

static bool refresh(struct store_reader *base, struct error *error)
{
    struct pg_reader *reader = pg_of(base);
    OWNED(pg_result_clear) PGresult *result = ask(reader, PG_READ_HEAD, NULL, error);
    struct pg_head head = { 0 };

    if (result == NULL)
        return false;
    if (!pg_read_head(result, &head))
        return error_set(error, ERROR_INVALID, "stagepass.head has no row");
    reader->reader.size = head.size;
    PQclear(reader->rows); /* a private part may have been erased */
    reader->rows = NULL;
    return true;
}

static bool holds(const struct pg_reader *reader, uint64_t index)
{
    return reader->rows != NULL && index >= reader->first &&
           index - reader->first < (uint64_t)PQntuples(reader->rows);
}

/* Each is the next one, of a size that an entry has: the database may hold anything. */
static bool check_rows(const struct pg_reader *reader, uint64_t index, struct error *error)
{
    const PGresult *rows = reader->rows;

    for (int i = 0; i < PQntuples(rows); i++, index++) {
        struct str entry = pg_bytes(rows, i, 2);

        if (pg_number(rows, i, 0) != (int64_t)index)
            return error_set(error, ERROR_INVALID, "entry %" PRIu64 " is missing", index);
        if (entry.len == 0 || entry.len > STORE_ENTRY_MAX ||
            pg_bytes(rows, i, 3).len > STORE_PRIVATE_MAX)
            return error_set(error, ERROR_INVALID, "entry %" PRIu64 " is empty, or too large",
                             index);
    }
    return PQntuples(rows) > 0 ||
           error_set(error, ERROR_INVALID, "entry %" PRIu64 " is missing", index);
}

static bool read_from(struct pg_reader *reader, uint64_t index, struct error *error)
{
    uint64_t left = reader->reader.size - index;
    uint64_t count = index == reader->next ? AHEAD : 1;
    struct pg_values values = { 0 };

    if (count > left)
        count = left;
    PQclear(reader->rows);
    pg_add_number(&values, (int64_t)index);
    pg_add_number(&values, (int64_t)(index + count));
    reader->rows = ask(reader, PG_READ_ENTRIES, &values, error);
    reader->first = index;
    if (reader->rows == NULL)
        return false;
    if (check_rows(reader, index, error))
        return true;
    PQclear(reader->rows);
    reader->rows = NULL; /* or the next one asked for would be taken from them */
    return false;
}

static bool get(struct store_reader *base, uint64_t index, struct str *entry,
                struct str *private_part, struct error *error)
{
    struct pg_reader *reader = pg_of(base);
    int row = 0;

    if (index >= reader->reader.size)
        return error_set(error, ERROR_NOT_FOUND, "there is no entry %" PRIu64, index);
    if (!holds(reader, index) && !read_from(reader, index, error))
        return false;
    reader->next = index + 1;
    row = (int)(index - reader->first);
    *entry = pg_bytes(reader->rows, row, 2);
    if (private_part != NULL && PQgetisnull(reader->rows, row, 3))
        *private_part = (struct str){ 0 };
    else if (private_part != NULL)
        *private_part = pg_bytes(reader->rows, row, 3);
    return true;
}

static const struct store_reader_backend pg_reader_backend = {
    .close = close_reader,
    .refresh = refresh,
    .get = get,
};

bool pg_reader_new(const struct pg_place *place, struct store_reader **out, struct error *error)
{
    struct pg_reader *reader = calloc(1, sizeof(*reader));

    if (reader == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for a reader");
    reader->reader.backend = &pg_reader_backend;
    reader->next = UINT64_MAX;
    if (!pg_place_init(&reader->place, place->url, place->dsn_file))
        (void)error_set(error, ERROR_MEMORY, "no memory for a reader");
    else if (refresh(&reader->reader, error)) {
        *out = &reader->reader;
        return true;
    }
    close_reader(&reader->reader);
    return false;
}

bool pg_reader_open(const char *url, struct store_reader **reader, struct error *error)
{
    struct pg_place place = { 0 };
    bool is_open = false;

    if (!pg_place_init(&place, url, NULL))
        (void)error_set(error, ERROR_MEMORY, "no memory for a reader");
    else
        is_open = pg_reader_new(&place, reader, error);
    pg_place_release(&place);
    return is_open;
}

bool pg_reader_checkpoint(const char *url, struct arena *arena, struct str *note,
                          struct error *error)
{
    OWNED(store_reader_close) struct store_reader *reader = NULL;
    OWNED(pg_result_clear) PGresult *result = NULL;

    if (!pg_reader_open(url, &reader, error))
        return false;
    result = ask(pg_of(reader), PG_READ_CHECKPOINT, NULL, error);
    if (result == NULL)
        return false;
    if (PQntuples(result) == 0)
        return true;
    *note = arena_copy(arena, pg_bytes(result, 0, 1));
    return note->data != NULL || error_set(error, ERROR_MEMORY, "no memory for a checkpoint");
}
