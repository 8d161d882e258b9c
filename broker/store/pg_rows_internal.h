#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/frame.h"
#include "store/lease_guards.h"
#include "store/pg_internal.h"
#include "store/state.h"

/** As many rows as the changes and guards of one batch can name. */
#define PG_ROWS_MAX                                                                                \
    ((size_t)FRAME_ENTRIES_MAX * (STORE_ENTRY_CHANGES_MAX * 2 + STORE_PROPOSAL_GUARDS_MAX))

struct pg_mark_key {
    uint8_t bytes[MARK_LEN];
};

struct pg_lease_id {
    char text[ID_LEN];
};

/** As many guards as one batch can have. */
#define PG_GUARDS_MAX ((size_t)FRAME_ENTRIES_MAX * STORE_PROPOSAL_GUARDS_MAX)

/** A key whose latest lease is needed, of attempts up to this. */
struct pg_latest {
    enum store_lease_key kind;
    uint8_t key[STORE_KEY_LEN];
    uint16_t attempt;
};

#define PG_ARRAYS_MAX 22

/**
 * The rows that one transaction is about: what it names is loaded into a `state` of their own, in
 * which guards are decided and changes applied as in a folder's; what changed is written back.
 * Leases under a key are only counted there, as far as that matters: there may be a million.
 *
 * Threads: confined
 */
struct pg_rows {
    struct state *state;
    struct pg_mark_key *keys;
    size_t key_count;
    struct pg_lease_id *ids;
    size_t id_count;
    size_t lease_change_count; /* so many leases may be changed by the batch */
    struct pg_lease_id *approvals;
    size_t approval_count;
    struct lease_count *counts;
    struct lease_counts counted;
    size_t count_count;
    struct pg_latest *latest;
    size_t latest_count;
    int64_t now_s;   /* what has expired then does not live */
    bool has_blocks; /* a change of blocks was named: all of them are loaded, and written back */
    struct buf arrays[PG_ARRAYS_MAX]; /* parameters of the statement that is sent next */
};

bool pg_rows_init(struct pg_rows *rows) MUST_USE;
void pg_rows_release(struct pg_rows *rows);

/** Forget all. */
void pg_rows_clear(struct pg_rows *rows);

/** Name the rows that a guard or a change is about. */
void pg_rows_name_guard(struct pg_rows *rows, const struct store_guard *guard);
void pg_rows_name_change(struct pg_rows *rows, const struct store_change *change);
/** Only the row that it changes, not the lease by which it is told whether it does. */
void pg_rows_name_changed(struct pg_rows *rows, const struct store_change *change);

/** Send the statements that load what was named: two, and more where other rows are. */
bool pg_rows_ask(struct pg_rows *rows, struct pg_connection *connection, struct error *error)
    MUST_USE;
/** Take their results into the state. */
bool pg_rows_load(struct pg_rows *rows, struct pg_connection *connection, struct error *error)
    MUST_USE;

/** Forget what was named, not the state. */
void pg_rows_forget_names(struct pg_rows *rows);

/** Send the statements that write what is named now, as it is in the state. */
bool pg_rows_write(struct pg_rows *rows, struct pg_connection *connection, int64_t now_s,
                   struct error *error) MUST_USE;

/** How many statements that were. */
size_t pg_rows_write_count(const struct pg_rows *rows);

/* --- for pg_rows.c and pg_rows_write.c --- */

/** Bring all names into order, each once. */
void pg_rows_sort_names(struct pg_rows *rows);

struct str pg_rows_key(const struct pg_mark_key *key);
struct str pg_rows_id(const struct pg_lease_id *id);

/** Begin as many arrays of `count` elements as there are types. */
void pg_rows_begin_arrays(struct pg_rows *rows, const enum pg_type *types, size_t array_count,
                          size_t count);

/** The first arrays as values of a statement. Errors: ERROR_MEMORY */
bool pg_rows_add_arrays(const struct pg_rows *rows, size_t array_count, struct pg_values *values,
                        struct error *error) MUST_USE;

/** Send a statement whose values are the first arrays. */
bool pg_rows_send(struct pg_rows *rows, struct pg_connection *connection,
                  enum pg_statement statement, size_t array_count, struct error *error) MUST_USE;
