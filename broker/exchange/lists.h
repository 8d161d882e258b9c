#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/str.h"
#include "targets/target.h"

struct error;
struct ledger;
struct rules_table;
struct token_lists;
struct token_lists_signer;

/**
 * The lists of revoked certificates of all targets, and of our tokens, ready to be served.
 *
 * Made by housekeeping: when entries say that some were revoked, when targets changed, and every
 * LISTS_RENEW_S besides, so that none ever ends. Requests only take what is there.
 *
 * Threads: shared, but lists_tend() and lists_free(): one caller
 */
struct lists;

#define LISTS_RENEW_S 300

/** Of tokens there are none where `signer`, which is copied, is NULL. NULL without memory. */
struct lists *lists_new(const struct token_lists_signer *signer) MUST_USE;
/** Once the ledger is closed that they were tended with. NULL is fine. */
void lists_free(struct lists *lists);

/**
 * Make those that are due; `*is_made` says that some were. Until all of the ledger that matters was
 * read there are none.
 *
 * Where a target's cannot be made its old ones stay, and the others go on.
 *
 * Errors: what reading the ledger fails with, or a target's `list`: tried again by the next call
 */
bool lists_tend(struct lists *lists, struct rules_table *rules, struct ledger *ledger,
                int64_t now_s, bool *is_made, struct error *error) MUST_USE;

/** How many certificates stand in them, or would in those of a target that is gone. */
size_t lists_count(const struct lists *lists);
/** How many tokens of ours stand in lists of their own. */
size_t lists_token_count(const struct lists *lists);
/** Those lists; NULL: there are none. */
struct token_lists *lists_of_tokens(const struct lists *lists);
/** How many were left out, as there are more than lists may hold. */
uint64_t lists_left_out(const struct lists *lists);

/**
 * The list that is served at a path. Its bytes live as long as `arena`.
 *
 * Errors: ERROR_NOT_FOUND, ERROR_INDEX (there are none yet), ERROR_MEMORY
 */
bool lists_get(struct lists *lists, struct str path, struct arena *arena, struct target_list *list,
               struct error *error) MUST_USE;
