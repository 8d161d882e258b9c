#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/macros.h"
#include "base/progress.h"
#include "base/str.h"
#include "exchange/exchange.h"
#include "exchange/lease_end.h"

/** The previous token of a bound lease is good for so long after it was used first. */
#define RENEWAL_REPEAT_S 60

/**
 * A lease that goes on: an exchange that is made of what was kept of its first one, through the
 * same rooms. It gives no more than the first one did, as the policy in force decides it (but for
 * `during`), never past `lease.max`; what it asks for besides (approval, `after`, `limits`) was
 * seen to when the lease was opened.
 *
 * Each renewal has a number and is for one token; the answer has that of the next. Where the lease
 * is bound to a key, its holder may show the last token again, until the next one is used, and
 * RENEWAL_REPEAT_S at most: the answer may have been lost. An unbound lease's is refused then. Any
 * other token that was used already is a theft, of it or of its successor: the lease ends.
 *
 * Threads: confined; handed over while it waits
 * Source:  RFC 6749 6, RFC 9700 4.14.2
 */
struct renewal {
    struct exchange *exchange; /* NULL: it came to none */

    const struct exchange_service *service; /* private, as what follows */
    struct arena *arena;
    struct waker waker;
    struct str token;
    struct exchange_request asked; /* scope, ttl, details, keys and address */
    struct exchange_renewal going_on;
    char decision_id[ID_LEN + 1]; /* of the lease's end */
    json_t *facts;
    json_t *private_part;
    struct lease_end *end; /* NULL: it does not end */
};

/** Who shows a token. */
struct renewal_holder {
    bool is_bound; /* the lease is, to a key */
    bool is_held;  /* the keys are those of its first exchange */
};

enum renewal_verdict {
    RENEWAL_GOES_ON,
    RENEWAL_IS_REFUSED,
    RENEWAL_IS_THEFT, /* somebody else has, or had, this token: the lease is to end */
};

/** What a token of ours is good for: that of renewal `number` of a lease as it stands. Pure. */
enum renewal_verdict renewal_judge(const struct store_lease *lease, uint16_t number,
                                   struct renewal_holder holder, int64_t now_s);

/** NULL without memory or random bytes. What `asked` says besides is not looked at. */
struct renewal *renewal_new(const struct exchange_service *service, struct str token,
                            const struct exchange_request *asked, struct waker waker,
                            struct arena *arena) MUST_USE;

/**
 * Go on until it is done, waits, or failed. With PROGRESS_DONE its exchange has the answer.
 *
 * Errors: ERROR_REFRESH (whatever is wrong with the token, or what was kept), ERROR_CONDITION (the
 *         policy says no by now), ERROR_SCOPE (more than was given at first), and those of
 *         exchange_walk()
 */
enum progress renewal_walk(struct renewal *renewal, struct error *error);
