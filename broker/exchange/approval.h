#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/str.h"
#include "exchange/exchange.h"
#include "exchange/granters.h"

struct error;

/** The characters of the code that an approval is asked for with: "spa_" and 128 random bits. */
#define APPROVAL_CODE_LEN 26

/** How often a job may ask, in seconds. Source: RFC 8628 3.2 */
#define APPROVAL_INTERVAL_S 5

/**
 * How an exchange stands with the approval that it needs.
 *
 * Where one was given for its digest it uses it up, with its first entry and under a guard, so that
 * of all who come with the same digest one wins. Where there is none it asks: what was verified is
 * kept, sealed, beside the entry approval.requested, which sets the token's mark. So a token asks
 * once, and what is asked is gone on with by the code and the same keys (approval_poll()), never by
 * the token.
 */
struct exchange_approval {
    uint8_t digest[SHA256_LEN];
    struct store_approval used; /* what it uses; without an id: none yet */
    struct granters granters;   /* who gave that */
    unsigned losses;            /* how often somebody else was first */

    /* what it asks for */
    char id[ID_LEN + 1];
    char code[APPROVAL_CODE_LEN + 1]; /* secret */
    int64_t until_s;
    bool is_asking;
};

/**
 * Look what has become of a code. Where it is good `*request` is to be walked as any other: its
 * `kept` and `approval` are filled in, its keys and address are there already.
 *
 * Somebody else's keys are recorded by that exchange, and refused.
 *
 * Errors: ERROR_APPROVAL_CODE (no such code, or used up), ERROR_APPROVAL_PENDING, ERROR_SLOW_DOWN,
 *         ERROR_APPROVAL_EXPIRED, ERROR_APPROVAL_REJECTED, ERROR_LEDGER, ERROR_MEMORY
 * Source: RFC 8628 3.5
 */
bool approval_poll(const struct exchange_service *service, struct str code, struct arena *arena,
                   struct exchange_request *request, struct error *error) MUST_USE;

struct polls;

/** When each code was asked for last: a bounded table, in memory. NULL without memory. */
struct polls *polls_new(void) MUST_USE;
void polls_free(struct polls *polls);

/** Note a poll; whether it comes no sooner than it may after the one before. Threads: any */
bool polls_admit(struct polls *polls, const uint8_t code_sha256[SHA256_LEN], int64_t now_ms);
