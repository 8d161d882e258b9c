#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/str.h"

struct error;
struct keys;
struct revoked_book;

/**
 * The status lists of our tokens, signed and ready to be served: of one bit a token, which is 1
 * once it was revoked.
 *
 * There is one for each TOKEN_STATUS_ENTRIES entries of the log, from where the first token may
 * live still to one past the log's end, so that a broker that reads behind others of its store
 * has it before it is asked. Made by housekeeping: where tokens were revoked, and every
 * TOKEN_LISTS_RENEW_S besides. Requests only take what is there.
 *
 * Threads: shared, but token_lists_tend() and token_lists_free(): one caller
 * Source:  draft-ietf-oauth-status-list-18, 5.1, 8 and 9.3
 */
struct token_lists;

#define TOKEN_LISTS_RENEW_S 300
/** So long one is good (`exp`): whoever cannot have a new one stops to trust it. */
#define TOKEN_LISTS_LIFE_S 900
/** So long one may be kept before a new one is asked for (`ttl`). */
#define TOKEN_LISTS_TTL_S 10
/** So many are served at most, of 16 million entries: those of older ones are not there then. */
#define TOKEN_LISTS_MAX ((size_t)8192)
/** So many are signed by one call; the others by the next ones. */
#define TOKEN_LISTS_BATCH ((size_t)256)

/** At most `max` of them: TOKEN_LISTS_MAX. NULL without memory. */
struct token_lists *token_lists_new(size_t max) MUST_USE;
/** NULL is fine. */
void token_lists_free(struct token_lists *lists);

/** Who signs, and in whose name. */
struct token_lists_signer {
    struct keys *keys;
    struct str issuer;
};

/**
 * Make those that are due, of a book that is whole; `*is_made` says that some were.
 *
 * Errors: ERROR_MEMORY, ERROR_CRYPTO: what could not be made stays as it was, and is tried again by
 *         the next call; ERROR_LIMIT (there are more than are served: the latest are made)
 */
bool token_lists_tend(struct token_lists *lists, const struct revoked_book *book,
                      const struct token_lists_signer *signer, int64_t now_s, bool *is_made,
                      struct error *error) MUST_USE;

/**
 * A list, signed, as it is served. It lives as long as `arena`.
 *
 * Errors: ERROR_NOT_FOUND, ERROR_INDEX (there are none yet), ERROR_MEMORY
 */
bool token_lists_get(struct token_lists *lists, uint64_t number, struct arena *arena,
                     struct str *list, struct error *error) MUST_USE;

/**
 * Which there are: from `*first` on, `*count` of them.
 *
 * Errors: ERROR_INDEX (there are none yet)
 */
bool token_lists_range(struct token_lists *lists, uint64_t *first, size_t *count,
                       struct error *error) MUST_USE;
