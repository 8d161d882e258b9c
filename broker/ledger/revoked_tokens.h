#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/token_status.h"

/**
 * Tokens of ours that were revoked, as the bits of their lists.
 *
 * Only lists that have a bit are kept; a bit that is set stays.
 *
 * Threads: confined
 */
struct revoked_tokens;

/** The tokens of one list. */
struct revoked_token_list {
    uint64_t number;
    size_t count; /* of bits that are set: grows with each */
    uint8_t bits[TOKEN_STATUS_BYTES];
};

/** NULL without memory. */
struct revoked_tokens *revoked_tokens_new(void) MUST_USE;
/** NULL is fine. */
void revoked_tokens_free(struct revoked_tokens *tokens);

/** Set a bit, whose index is below 8 * TOKEN_STATUS_BYTES. False without memory. */
bool revoked_tokens_add(struct revoked_tokens *tokens, const struct token_status *status) MUST_USE;

/** A list; NULL: none of its tokens was revoked. Theirs until the next change. */
const struct revoked_token_list *revoked_tokens_list(const struct revoked_tokens *tokens,
                                                     uint64_t number);

/** Forget the lists below a number: all of their tokens have expired. */
void revoked_tokens_forget(struct revoked_tokens *tokens, uint64_t number);

/** How many there are. */
size_t revoked_tokens_count(const struct revoked_tokens *tokens);
