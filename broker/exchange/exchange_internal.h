#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "base/macros.h"
#include "base/progress.h"
#include "exchange/exchange.h"
#include "ledger/entry.h"

struct approval_grant;
struct error;

/* actor.c: who acts on the job's behalf */

/** A verified actor token, and the way there. In the exchange's arena. */
struct exchange_actor {
    struct identity *identity; /* that of runs or of people: whichever its issuer is of */
    void *state;
    struct verified_token token;
    const json_t *facts; /* as policies see it: {"issuer", "claims"} */
    bool is_person;      /* of people's provider */
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

/* kept.c: what goes on without its tokens */

/** The identity room, where the request says so. Errors: ERROR_TOKEN, ERROR_MEMORY */
bool kept_enter(struct exchange *exchange, struct error *error) MUST_USE;

/**
 * Where it fails by keys that are not those of then: whose it was, so that the theft is recorded.
 */
bool kept_name_owner(struct exchange *exchange);

/** Whether a decision gives nothing that was not given then. Errors: ERROR_SCOPE */
bool kept_covers(const struct kept *kept, const struct policy_decision *decision,
                 struct error *error) MUST_USE;

/* life.c: how long a lease lives */

/**
 * When a lease that was opened at `opened_s` is over at the latest: its stage's `lease.max`, and
 * the job's own time limit, where its token tells it. INT64_MAX: nothing says so.
 */
int64_t life_end_s(const struct exchange *exchange, int64_t opened_s);

/** When its lease was opened, or is. */
int64_t life_opened_s(const struct exchange *exchange);

/** Shorten a mint to that, as far as its kind goes. */
void life_bound_mint(const struct exchange *exchange, const struct policy_grant_kind *kind,
                     struct mint *mint);

/** Set the lease's expiry from what was minted. */
void life_bound_lease(struct exchange *exchange);

/** When the lease is over by what it holds: a renewal makes that no earlier. */
int64_t life_expires_s(const struct exchange *exchange);

/**
 * Whether a renewal has enough time left for all that it mints: it never goes past the lease's end.
 * And whether the lease can still be ended after it: there is an end to how many it has.
 *
 * Errors: ERROR_CONDITION
 */
bool life_check_renewal(struct exchange *exchange, struct error *error) MUST_USE;

/** Whether another decision lets a renewal live as long as it does by now. */
bool life_allows_renewal(const struct exchange *exchange, const struct policy_decision *decision);

/** Whether what is to be minted is over before the lease has to be. */
bool life_may_renew(const struct exchange *exchange);

/* renewal.c: a lease that goes on */

/** Guard an append: the lease must be as it was looked up, and the first time the proof unused. */
void renewal_guard(struct exchange *exchange);

/**
 * Whether an append failed because the lease of a renewal moved on, and it may be renewed all the
 * same: it was looked up anew, then.
 */
bool renewal_was_overtaken(struct exchange *exchange);

/** Look the lease up anew; false where it cannot be, or that was done too often. */
bool renewal_look_again(struct exchange *exchange) MUST_USE;

/** The intent is durable: what follows is about the lease as that left it. */
void renewal_intended(struct exchange *exchange);

/** What proofs of possession in the details are for: the SHA-256 of the token that came. */
const uint8_t *renewal_proves(const struct exchange *exchange);

/* details.c: what the caller asks for, against what was decided */

/**
 * Check `authorization_details` as a whole and give each mint its own: closed members, one element
 * a grant, only grants that were decided, `ttl` only ever shorter. Of what goes on none is wider
 * than at first: members of then stand where fresh details have none.
 *
 * Errors: ERROR_DETAILS
 * Source: RFC 9396 2, design.md 3.2
 */
bool details_assign(struct exchange *exchange, struct error *error) MUST_USE;

/* obligations.c: what a decision asks for besides */

/**
 * The key under which leases of a stage are counted for this job, by the guard's `key_kind`, as the
 * fold of their entries counts them; all zero where there is none.
 */
void exchange_write_key(const struct exchange *exchange, struct str stage, struct str instance,
                        struct store_guard *guard);

/** Guard the entry that opens the lease besides: by `after` and `limits` of its decision. */
void exchange_guard_obligations(struct exchange *exchange);

/** Until when the lease must be remembered, whether it lives or not; 0: nothing asks for it. */
int64_t exchange_kept_until_s(const struct exchange *exchange);

/* replace.c: leases that end for a new one */

/** The most leases that end for one. */
#define REPLACED_MAX 4

/** Whether an append was refused since its stage is full, and the oldest leases are to end. */
bool exchange_must_replace(struct exchange *exchange);

/**
 * Add what ends the oldest leases of the stage to an append, where they are in the way: entries in
 * front of that which opens the lease, and their guards.
 *
 * Errors: ERROR_CONDITION (`limits`: there are too many), ERROR_FULL (others always come first),
 *         ERROR_LEDGER, ERROR_MEMORY
 */
bool exchange_make_room(struct exchange *exchange, struct error *error) MUST_USE;

/* approval.c: what people have to agree to; approval.h says how */

/** The room: use an approval that was given, or ask for one. */
enum progress approval_enter(struct exchange *exchange, struct error *error);

/** Whether an approval is being asked for: then approval_asked() is entered, not a room. */
bool approval_is_asking(const struct exchange *exchange);
enum progress approval_asked(struct exchange *exchange, struct error *error);

/** The one that the exchange uses, or NULL. */
const struct store_approval *approval_used(const struct exchange *exchange);

/** Whether an append failed since somebody else used it first. */
bool approval_was_lost(const struct exchange *exchange);

/**
 * What then: another that was given for the same is used (PROGRESS_DONE: append again), else who
 * came without a code asks for one of their own.
 */
enum progress approval_lose(struct exchange *exchange, struct error *error);

/**
 * Decide again what only freezes were in the way of, as if an operator had broken the glass; true
 * where it is allowed then: the room looks whether one did. Else nothing has changed.
 */
bool approval_thaw(struct exchange *exchange, struct error *error) MUST_USE;

/**
 * Whether a renewal needs no approval of its own by a decision: the stage asks for none, or the
 * lease was approved under the same rule. What opens a lease is always allowed here.
 */
bool approval_allows_renewal(const struct exchange *exchange,
                             const struct policy_decision *decision);

/** Put the approval into the first entry of a lease, or into that of its failure. */
bool approval_record(const struct exchange *exchange, enum entry_type type, json_t *entry,
                     struct error *error) MUST_USE;

/** What is asked for as it is approved, `mint_count` of them; NULL without memory. */
struct approval_grant *approval_grants(const struct exchange *exchange);

/** Guard an append by what a lease is opened with: the token's mark, or the approval, or both. */
void exchange_guard_use(struct exchange *exchange);

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

/** Guard an append of who came without their token: the proof's mark must be unused. */
void exchange_guard_proof(struct exchange *exchange);

/** What the sender has proven, as policies see it: enum policy_proof bits. */
unsigned exchange_proofs(const struct exchange *exchange);

/** Whether the keys that a token's issuer is configured to demand came along. Errors: ERROR_TOKEN
 */
bool exchange_check_binding(const struct exchange *exchange, const struct issuer_options *issuer,
                            struct error *error) MUST_USE;

/* blocks.c: what operators have blocked */

/**
 * Whether no block in force fits the exchange, whose stage is decided.
 *
 * Errors: ERROR_BLOCKED (`block_id` says by which), ERROR_LEDGER (blocks cannot be read),
 *         ERROR_MEMORY
 * Source: security-rules.md 3.5
 */
bool exchange_check_blocks(struct exchange *exchange, struct error *error) MUST_USE;

/** The room that does it. */
enum progress blocks_enter(struct exchange *exchange, struct error *error);

/** Guard an append besides: blocks must be those that exchange_check_blocks() has seen. */
void exchange_guard_blocks(struct exchange *exchange);

/** Whether that guard is what an append failed by: then look again. */
bool exchange_was_overtaken(const struct exchange *exchange);

/* submit.c: appending to the ledger */

/** Queue the append's entries under its guards; the waker brings us back. */
enum progress exchange_submit(struct exchange *exchange, struct error *error);

/** Record and queue lease.requested, or how the lease came out, under the guards already set. */
enum progress exchange_submit_lease(struct exchange *exchange, enum entry_type type,
                                    const struct error *cause, struct error *error);

/** The lease must be requested still. */
void exchange_guard_requested(struct exchange *exchange);

/** The guard that refused the last append; NULL where none did. */
const struct store_guard *exchange_failed_guard(const struct exchange *exchange);

/**
 * What to tell where a guard refused the append of an exchange: its kind says it, wherever it
 * stood. Where it is of what the stage asks for besides, the decision has its word as failed.
 * Always false.
 *
 * Errors: ERROR_TOKEN_USED, ERROR_DPOP, ERROR_CONDITION (`after`, `limits`; the lease was ended
 *         meanwhile), ERROR_FULL (`limits` of a stage where one waits)
 */
bool exchange_tell_guard(struct exchange *exchange, const struct store_guard *guard,
                         struct error *error);

/** Put the names of a decision's grants as `grants`. */
bool exchange_put_grants(const struct policy_decision *decision, json_t *object) MUST_USE;

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

/* shadow.c: what a second policy would have decided */

/** A decision, and how it came out. */
struct exchange_verdict {
    const struct policy_decision *decision;
    const struct policy *policy;
    bool is_allowed;
    const char *reason; /* the error's name, where it is not */
};

/** Decide a request as it came by a policy. Errors: those of policy_decide() */
bool exchange_decide(struct exchange *exchange, const struct policy *policy,
                     struct policy_decision *decision, struct error *error) MUST_USE;

/**
 * Have the shadow policy, if there is one, decide what was decided just now (`failure` says how
 * that came out), and note it for the ledger where it comes to something else. Nothing depends on
 * it.
 */
void shadow_observe(struct exchange *exchange, const struct error *failure);

/* record.c: the ledger entries of an exchange */

/** exchange.observed: what was decided, and what the shadow policy says. */
bool record_observed(struct exchange *exchange, const struct exchange_verdict *verdict,
                     const struct exchange_verdict *shadow, json_t **entry, json_t **private_part,
                     struct error *error) MUST_USE;

/** exchange.denied, with what is known so far. */
bool record_denied(struct exchange *exchange, const struct error *cause, json_t **entry,
                   json_t **private_part, struct error *error) MUST_USE;
/**
 * lease.requested, credential.issued, credential.failed or credential.unknown; of a renewal
 * renewal.requested, lease.renewed or renewal.failed.
 */
bool record_lease(struct exchange *exchange, enum entry_type type, const struct error *cause,
                  json_t **entry, json_t **private_part, struct error *error) MUST_USE;

/** approval.requested. */
bool record_approval(struct exchange *exchange, json_t **entry, json_t **private_part,
                     struct error *error) MUST_USE;

/** What the entry of a lease's end takes over from the entry that opened it. */
bool record_copy_opened(const json_t *opened, json_t *entry, struct error *error) MUST_USE;

/** A time as entries and answers have it: RFC 3339, UTC, whole seconds. NULL without memory. */
json_t *record_time(int64_t wall_s);

/* answer.c: the body of the 200 */

bool answer_build(struct exchange *exchange, struct error *error) MUST_USE;
