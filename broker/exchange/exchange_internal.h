#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "base/macros.h"
#include "base/progress.h"
#include "exchange/exchange.h"
#include "ledger/entry.h"

struct error;

/* actor.c: who acts on the job's behalf */

/** A verified actor token, and the way there. In the exchange's arena. */
struct exchange_actor {
    struct identity *identity; /* that of runs or of people: whichever its issuer is of */
    void *state;
    struct verified_token token;
    const json_t *facts; /* as policies see it: {"issuer", "claims"} */
};

/**
 * Verify the actor token, if one came: of any issuer of runs, or of people. It may wait, as the
 * subject token may.
 *
 * Errors: ERROR_ACTOR (whatever is wrong with it), ERROR_KEYS_UNAVAILABLE, ERROR_MEMORY
 * Source: RFC 8693 2.1
 */
enum progress actor_enter(struct exchange *exchange, struct error *error);

/**
 * Put who acts for the job into an entry, where somebody does: issuer, subject and the claims that
 * policies can ask for, as far as they fit; personal ones as digests.
 */
bool actor_record(const struct exchange *exchange, json_t *entry, json_t *private_part,
                  struct error *error) MUST_USE;

/* details.c: what the caller asks for, against what was decided */

/**
 * Check `authorization_details` as a whole and give each mint its own: closed members, one element
 * a grant, only grants that were decided, `ttl` only ever shorter.
 *
 * Errors: ERROR_DETAILS
 * Source: RFC 9396 2, design.md 3.2
 */
bool details_assign(struct exchange *exchange, struct error *error) MUST_USE;

/* proof.c: whose a token is */

/**
 * Who holds the token of a request: a hash of the DPoP key, else of the certificate; false where
 * there is neither.
 */
bool exchange_holder(const struct exchange_proof *proof, uint8_t holder[STORE_HOLDER_LEN]);

/**
 * Guard an append: the token's mark must be unused, or its holder's with a use to spare; the
 * proof's mark must be unused.
 */
void exchange_guard_token(struct exchange *exchange);

/** Which of the two a failed guard was: the error to tell. Always false. */
bool exchange_guard_error(size_t failed_guard, struct error *error);

/** What the sender has proven, as policies see it: enum policy_proof bits. */
unsigned exchange_proofs(const struct exchange *exchange);

/** Whether the keys that a token's issuer is configured to demand came along. Errors: ERROR_TOKEN
 */
bool exchange_check_binding(const struct exchange *exchange, const struct issuer_options *issuer,
                            struct error *error) MUST_USE;

/* submit.c: appending to the ledger */

/** Queue the append's entries under its guards; the waker brings us back. */
enum progress exchange_submit(struct exchange *exchange, struct error *error);

/** Record and queue lease.requested, or how the lease came out, under the guards already set. */
enum progress exchange_submit_lease(struct exchange *exchange, enum entry_type type,
                                    const struct error *cause, struct error *error);

/** The lease must be requested still. */
void exchange_guard_requested(struct exchange *exchange);

/* failure.c: the last room of what fails once its identity is proven */

/** Record the exchange's `failure`, then tell it. Ends with PROGRESS_FAILED. */
enum progress exchange_record_failure(struct exchange *exchange, struct error *error);

/* replay.c: what a token was used for before */

/**
 * Look who used the exchange's token first. Another key, or none, is theft: where the issuer says
 * so the first lease is to end (`ends_lease`). Without memory, or where the mark is free again,
 * there is nothing to say.
 */
void replay_look(struct exchange *exchange);

struct replay {
    struct store_mark mark;
    uint64_t index;       /* of the first entry */
    const json_t *opened; /* that entry */
    struct store_lease lease;
    bool ends_lease;
};

/** Put `first` into a denial: index, lease and address of the first use. `replay` may be NULL. */
bool replay_put_first(const struct replay *replay, json_t *entry) MUST_USE;

/** The entry that ends the first lease, and its guard. */
bool replay_record_end(const struct exchange *exchange, json_t **entry, struct store_guard *guard,
                       struct error *error) MUST_USE;

/* record.c: the ledger entries of an exchange */

/** exchange.denied, with what is known so far. */
bool record_denied(struct exchange *exchange, const struct error *cause, json_t **entry,
                   json_t **private_part, struct error *error) MUST_USE;
/** lease.requested, credential.issued, credential.failed or credential.unknown. */
bool record_lease(struct exchange *exchange, enum entry_type type, const struct error *cause,
                  json_t **entry, json_t **private_part, struct error *error) MUST_USE;

/** What the entry of a lease's end takes over from the entry that opened it. */
bool record_copy_opened(const json_t *opened, json_t *entry, struct error *error) MUST_USE;

/** A time as entries and answers have it: RFC 3339, UTC, whole seconds. NULL without memory. */
json_t *record_time(int64_t wall_s);

/* answer.c: the body of the 200 */

bool answer_build(struct exchange *exchange, struct error *error) MUST_USE;
