#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/progress.h"
#include "base/str.h"
#include "exchange/exchange.h"
#include "exchange/lease_end.h"
#include "ledger/ledger.h"

/** What a job says of its end. */
enum release_outcome {
    RELEASE_UNSAID,
    RELEASE_SUCCESS,
    RELEASE_FAILURE,
};

/**
 * The end of a lease by its handle, or of one access token by itself.
 *
 * Threads: confined; handed over while it waits
 */
struct release {
    const struct exchange_service *service;
    struct arena *arena;
    struct waker waker;
    struct str token; /* a lease's handle or an access token of ours */
    enum release_outcome outcome;
    bool is_recorded; /* an entry was written: something ended */
    bool is_unknown;  /* nobody's handle, and no access token of ours */
    char decision_id[ID_LEN + 1];
    bool is_of_lease; /* by its handle; else an access token */
    struct lease_end end;
    bool is_submitted;
    struct ledger_append append;
};

struct release *release_new(const struct exchange_service *service, struct str token,
                            enum release_outcome outcome, struct waker waker, struct arena *arena)
    MUST_USE;

/** The mark that says that an access token was revoked by itself. */
void release_token_mark(struct str jti, uint8_t mark[SHA256_LEN]);

/**
 * Go on until it is done. An unknown, expired or ended one is done at once (RFC 7009 2.2).
 *
 * Errors: ERROR_LEDGER, ERROR_MEMORY
 */
enum progress release_walk(struct release *release, struct error *error);
