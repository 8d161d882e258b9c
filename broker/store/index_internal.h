#pragma once

#include <sqlite3.h>

#include "store/index.h"

enum index_statement {
    INDEX_BEGIN,
    INDEX_COMMIT,
    INDEX_ROLLBACK,
    INDEX_STATE_GET,
    INDEX_STATE_PUT,
    INDEX_POSTING_GET,
    INDEX_POSTING_BEFORE,
    INDEX_POSTING_INSERT,
    INDEX_POSTING_PUT,
    INDEX_POSTING_DELETE,
    INDEX_ROW_GET,
    INDEX_ROW_EACH,
    INDEX_ROW_PUT,
    INDEX_ROW_DELETE,
    INDEX_PLACE_GET,
    INDEX_PLACE_PUT,
    INDEX_PLACE_LAST,
    INDEX_STATEMENT_COUNT
};

/** The newest chunk of a key at or before the one that was asked for last. */
struct index_position {
    bool is_known;
    bool is_over; /* there is none */
    uint64_t chunk;
    struct index_bits bits;
};

/** Threads: confined */
struct store_index {
    sqlite3 *database;
    sqlite3_stmt *statements[INDEX_STATEMENT_COUNT]; /* made when first used */
    bool is_open;                                    /* between begin and end */
    int64_t deadline_ns;

    /* Of a search, which clears as many as it has keys: most have one. */
    struct index_position positions[INDEX_TERMS_MAX][INDEX_TERM_KEYS_MAX];
};

/** The statement, reset and without values; NULL: it cannot be made, which is in `error`. */
sqlite3_stmt *index_statement(struct store_index *index, enum index_statement which,
                              struct error *error) MUST_USE;

/** Set what SQLite's answer means; false. */
bool index_fail(struct store_index *index, int answer, const char *what, struct error *error);

/** Step to a row; `*has_row` is false at the end, and the statement reset. */
bool index_step(struct store_index *index, sqlite3_stmt *statement, bool *has_row, const char *what,
                struct error *error) MUST_USE;

/** Step a statement that has no rows. */
bool index_run(struct store_index *index, sqlite3_stmt *statement, const char *what,
               struct error *error) MUST_USE;
