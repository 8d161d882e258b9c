#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/str.h"

struct error;
struct ledger;

struct revoked_tokens;

/**
 * Certificates and tokens that were revoked before their end, as entries say it: what lists for
 * those who check them are made of.
 *
 * They follow from `credential.revoked` alone, from members of its `credentials`, whatever kind
 * they are of: certificates have `ca`, `id` and `expires_at`, tokens `status`. So they survive a
 * restart, and are the same on all brokers of a store. Entries are found by the index, behind, on
 * the ledger's reading thread.
 *
 * Threads: confined, but for that reading
 */
struct revoked_book;

/** No certificate or token of ours lives longer: older entries are not looked at. */
#define REVOKED_LIFE_MAX_S ((int64_t)24 * 3600)
/** Kept at most; past it, those that would end first are left out. */
#define REVOKED_MAX ((size_t)100000)

#define REVOKED_CA_MAX 64
#define REVOKED_ID_MAX 40

struct revoked {
    char ca[REVOKED_CA_MAX + 1]; /* whose key signed it, as its kind records it */
    char id[REVOKED_ID_MAX + 1]; /* serial */
    int64_t revoked_s;
    int64_t expires_s;
};

/** NULL without memory. */
struct revoked_book *revoked_book_new(void) MUST_USE;
/** Not while the ledger is open that it was tended with. NULL is fine. */
void revoked_book_free(struct revoked_book *book);

/**
 * Take in what was read since the last call, and have read what was appended since: twice to see
 * it. `*has_changed` says that there are others now.
 *
 * Errors: ERROR_INDEX, ERROR_LEDGER, ERROR_MEMORY ...: tried again by the next call
 */
bool revoked_book_tend(struct revoked_book *book, struct ledger *ledger, int64_t now_s,
                       bool *has_changed, struct error *error) MUST_USE;

/** Whether it was read back to the beginning: before that, nobody may take it for all. */
bool revoked_book_is_whole(const struct revoked_book *book);

/** So many entries of the log are in it. */
uint64_t revoked_book_size(const struct revoked_book *book);

/** Ordered by CA and serial, each once. They are the book's, until its next tending. */
const struct revoked *revoked_book_rows(const struct revoked_book *book, size_t *count);

/** Left out for REVOKED_MAX, ever. */
uint64_t revoked_book_left_out(const struct revoked_book *book);

/** Tokens, by their lists. They are the book's, until its next tending. */
const struct revoked_tokens *revoked_book_tokens(const struct revoked_book *book);

/**
 * From which list on there are tokens that may live still: all below are of entries from before
 * REVOKED_LIFE_MAX_S. Looked up again every REVOKED_FIRST_S at most.
 */
uint64_t revoked_book_first_list(const struct revoked_book *book);

#define REVOKED_FIRST_S ((int64_t)300)

/** Forget certificates that have ended before a time. */
void revoked_book_forget(struct revoked_book *book, int64_t before_s);
