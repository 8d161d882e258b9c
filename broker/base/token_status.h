#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/macros.h"
#include "base/str.h"

/**
 * Where the status of a token of ours stands: a bit of a list.
 *
 * It follows from where the log names the token: entry TOKEN_STATUS_ENTRIES * list + index /
 * TOKEN_STATUS_PLACES, and there the credential at place index % TOKEN_STATUS_PLACES. So no two
 * tokens share one, whichever broker of a store signed them, and nobody hands them out.
 *
 * Source: draft-ietf-oauth-status-list-18, 4, 6.1 and 6.2
 */
struct token_status {
    uint64_t list;
    uint32_t index;
};

/** Entries that have their tokens' statuses in one list, and credentials of an entry. */
#define TOKEN_STATUS_ENTRIES ((uint64_t)2048)
#define TOKEN_STATUS_PLACES ((size_t)16)
/** Bytes of a list, of one bit a token: a token that holds all of them has room to spare. */
#define TOKEN_STATUS_BYTES ((size_t)TOKEN_STATUS_ENTRIES * TOKEN_STATUS_PLACES / 8)
/** Below our issuer's URL lists are at this path, by their number. */
#define TOKEN_STATUS_PATH "/status/"
/** The highest number of a list, so that entries count in JSON's integers. */
#define TOKEN_STATUS_LIST_MAX (((uint64_t)1 << 53) / TOKEN_STATUS_ENTRIES - 1)

struct token_status token_status_of(uint64_t entry_index, size_t place);

/** The claim `status` of a token; NULL without memory. */
json_t *token_status_claim(const struct token_status *status, struct str issuer) MUST_USE;

/** Read it back, of a token of ours; false where there is none. */
bool token_status_of_claims(const json_t *claims, struct str issuer, struct token_status *status)
    MUST_USE;

/** As an entry has it, {"index", "list"}; NULL without memory. */
json_t *token_status_record(const struct token_status *status) MUST_USE;

/** Read it back; false where it is none. */
bool token_status_of_record(const json_t *record, struct token_status *status) MUST_USE;

/** The number of a list, as it is in a path: digits, without a zero in front. */
bool token_status_list_of(struct str text, uint64_t *list) MUST_USE;
