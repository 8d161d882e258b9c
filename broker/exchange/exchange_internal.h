#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "base/macros.h"
#include "base/progress.h"
#include "exchange/exchange.h"
#include "ledger/entry.h"

struct error;

/* details.c: what the caller asks for, against what was decided */

/**
 * Check `authorization_details` as a whole and give each mint its own: closed members, one element
 * a grant, only grants that were decided, `ttl` only ever shorter.
 *
 * Errors: ERROR_DETAILS
 * Source: RFC 9396 2, design.md 3.2
 */
bool details_assign(struct exchange *exchange, struct error *error) MUST_USE;

/* record.c: the ledger entries of an exchange */

/** exchange.denied, with what is known so far. */
bool record_denied(struct exchange *exchange, const struct error *cause, json_t **entry,
                   json_t **private_part, struct error *error) MUST_USE;
/** lease.requested, credential.issued, credential.failed or credential.unknown. */
bool record_lease(struct exchange *exchange, enum entry_type type, const struct error *cause,
                  json_t **entry, json_t **private_part, struct error *error) MUST_USE;

/* answer.c: the body of the 200 */

bool answer_build(struct exchange *exchange, struct error *error) MUST_USE;
