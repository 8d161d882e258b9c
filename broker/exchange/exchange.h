#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/id.h"
#include "base/macros.h"
#include "base/network.h"
#include "base/progress.h"
#include "base/str.h"
#include "identity/dpop.h"
#include "identity/identity.h"
#include "ledger/ledger.h"
#include "policy/policy.h"
#include "targets/target.h"

struct budgets;
struct ender;
struct exchange_actor;
struct exchange_approval;
struct kept;
struct polls;
struct rules;
struct rules_table;
struct tally;

/** The long-lived things that exchanges work with. Threads: shared. */
struct exchange_service {
    struct rules_table *rules;
    struct ledger *ledger;
    struct tally *denials;
    struct tally *differences; /* of what a shadow policy would decide */
    struct lists *lists;       /* of revoked certificates */
    struct budgets *addresses; /* of requests; not looked at where `rules` give none */
    struct budgets *issuers;
    struct budgets *stages; /* of requests for approvals */
    struct polls *polls;    /* of approvals' codes */
    struct target_tools tools;
    struct ender *ender; /* is told when a lease was ended; may be NULL */
};

/** The characters of a SHA-256 in base64url. */
#define EXCHANGE_DIGEST_LEN 43

/** The keys that the sender of a request has proven to hold. */
struct exchange_proof {
    const struct dpop_proof *dpop; /* NULL: none */
    const char *certificate;       /* SHA-256 of a verified one, in base64url; NULL: none */
};

#define EXCHANGE_REASON_MAX 256
#define EXCHANGE_BINDINGS_MAX 8

/** A lease that is renewed, instead of one that is opened. */
struct exchange_renewal {
    uint16_t number;               /* of the renewal; the lease's, or one more */
    struct store_lease lease;      /* as it was looked up last */
    unsigned looks;                /* how often that was */
    const uint8_t *details_sha256; /* of what fresh details are proven for; NULL: they are kept */
    const uint8_t *approved_rule;  /* under which the lease was approved; NULL: it was not */
};

/** What a caller asks for: decoded, bounded, and not believed. Points into the request's arena. */
struct exchange_request {
    const struct kept *kept; /* what goes on without its tokens (kept.h); NULL: tokens came */
    struct exchange_renewal *renewal; /* of this lease; NULL: one is opened */
    struct str subject_token;
    struct str actor_token; /* empty: none */
    struct str stage;       /* empty: none named */
    struct str audience;    /* empty: none */
    struct str scope;       /* as it came */
    int64_t ttl_s;          /* 0: not asked */
    struct str reason;
    const json_t *details;  /* `authorization_details`, an array, or NULL */
    const json_t *bindings; /* NAME: "sha256-HEX", what is about to be applied; NULL: none */
    struct str approval;    /* id of the one whose code came, beside `kept`; empty: none did */
    struct exchange_proof proof;
    struct address address;
};

/** The characters of a lease's handle: "sph_" and 128 random bits in base64url. */
#define LEASE_HANDLE_LEN 26

/**
 * One exchange: walks through the rooms of exchange.c, each adds its result, may wait and may fail.
 *
 * Threads: confined; handed over while it waits
 */
struct exchange {
    const struct exchange_service *service;
    struct exchange_request request;
    struct arena *arena;
    struct waker waker;

    char decision_id[ID_LEN + 1];
    struct rules *rules;
    size_t room;
    bool is_failing;   /* past the rooms: the failure is being recorded */
    bool is_submitted; /* the room's append is under way */
    void *identity_state;

    struct verified_token token;
    bool is_verified;
    bool is_stolen;               /* an approval's code came with somebody else's keys */
    struct exchange_actor *actor; /* who acts for the job; NULL: nobody */
    struct policy_decision decision;
    bool is_decided;
    struct exchange_approval *approval; /* where one is needed; approval.h */
    bool passes_freezes; /* only freezes were in the way: an approval must lift them */
    struct str frozen[POLICY_FAILED_MAX];
    size_t frozen_count;
    bool has_new_workflow; /* of a production stage: seen for the first time */
    char lease_id[ID_LEN + 1];
    char handle[LEASE_HANDLE_LEN + 1];
    struct mint *mints; /* one a granted grant, in its order */
    size_t mint_count;
    size_t mint_index;       /* the one that is under way */
    size_t sign_index;       /* the same, of those that are signed behind their entry */
    struct str failed_grant; /* its credential could not be made; empty: none failed */
    bool lacks_details;      /* a grant needs something of the caller that did not come */
    bool has_remote;
    bool has_intent;         /* lease.requested is durable */
    struct mint stage_token; /* the access token, where no audience asks for another */
    int64_t now_s;
    int64_t expires_s;
    bool is_kept;              /* what a renewal is made of is beside the lease's first entry */
    struct error failure;      /* what is being recorded before it is answered */
    struct replay *replay;     /* what its token was used for before, where that is the failure */
    bool is_counted;           /* the denial */
    bool is_single;            /* it has an entry of its own */
    char block_id[ID_LEN + 1]; /* the block that refused it; empty: none */
    uint64_t blocks_version;   /* of the blocks that were looked at last */
    unsigned block_looks;
    bool has_ended; /* somebody ended the lease while the targets were asked */
    bool is_full;   /* as many leases of the stage live as may, and the oldest are to end */
    unsigned replace_looks;
    size_t replaced_count; /* leases that end in the append */
    int64_t retry_after_s; /* where a budget is spent: when to come again */
    struct ledger_append append;
    uint64_t entry_index;
    struct merkle_hash leaf_hash;
    json_t *answer; /* the 200 body, once done */
};

/**
 * Start an exchange in `arena`; NULL without memory or random bytes. Enter it with exchange_walk().
 */
struct exchange *exchange_new(const struct exchange_service *service,
                              const struct exchange_request *request, struct waker waker,
                              struct arena *arena) MUST_USE;

/**
 * Go on until the exchange is done, waits, or failed. This is the one way to a credential.
 *
 * With PROGRESS_DONE `answer` is the body of the 200, and its ledger entry is durable. A failure of
 * a proven identity is recorded before it is returned.
 *
 * Errors: those of identity_verify() and policy_decide(), ERROR_ACTOR, ERROR_DETAILS,
 * ERROR_TOKEN_USED, ERROR_APPROVAL_PENDING (`approval` has id and code), ERROR_APPROVAL_CODE,
 * ERROR_BLOCKED, ERROR_MINT, ERROR_MINT_UNKNOWN, ERROR_LEDGER, ERROR_MEMORY
 */
enum progress exchange_walk(struct exchange *exchange, struct error *error);

/**
 * The peer is gone while the exchange waits: true when nothing holds it any more. Else its waker is
 * still to come.
 */
bool exchange_abandon(struct exchange *exchange);

/**
 * Whether something was begun that must be walked to its end, peer or not: an entry is on its way,
 * or a target was asked and its outcome is to be recorded.
 */
bool exchange_has_begun(const struct exchange *exchange);
