#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "api/cursor.h"
#include "api/sight.h"
#include "base/arena.h"
#include "base/macros.h"
#include "http/form.h"
#include "ledger/inquiry.h"
#include "ledger/ledger.h"
#include "ledger/query.h"
#include "ledger/search.h"

struct error;

/** The most leases of one page. */
#define LEASE_FIND_MAX 100

/** Of what is live no lease is older: policies have shorter ones. */
#define LEASE_FIND_AGE "8d"

/** Which leases are looked for. */
enum lease_find_kind {
    LEASES_LIVE,  /* requested, issued or unknown, and not expired */
    LEASES_STUCK, /* that have ended, and still owe */
};

/**
 * Leases of the ledger that fit words, page by page, the newest first: found by the entries that
 * opened them, and as they stand in the store now.
 *
 * The words are those of a search but `type`, `text`, `reason` and `decision`, and besides
 * `cursor`. What has no tenant is for those with a role for all of them; members of an owner see
 * their own.
 *
 * Threads: confined; handed over to the ledger's reading thread while it waits
 */
struct lease_find {
    /* what is asked */
    enum lease_find_kind kind;
    struct sight sight; /* who asks, and whose leases they may see */
    struct ledger *ledger;
    struct arena *arena;
    struct ledger_query query;
    struct cursor cursor;
    int64_t now_s;
    bool is_open; /* no word says which leases are meant: all of them */

    /* what was found */
    struct store_lease leases[LEASE_FIND_MAX];
    const json_t *entries[LEASE_FIND_MAX]; /* that opened them */
    size_t count;

    struct ledger_search search;   /* private */
    struct ledger_inquiry inquiry; /* private */
};

/**
 * Take the words of a form. Those of `own` (ends with NULL) are the caller's, and passed over.
 *
 * Errors: ERROR_REQUEST, ERROR_MEMORY
 */
bool lease_find_read(struct lease_find *find, const struct form *form, const char *const *own,
                     struct error *error) MUST_USE;

/** Look. Errors: ERROR_BUSY, ERROR_STOPPING; then the waker is never called */
bool lease_find_begin(struct lease_find *find, struct waker waker, struct error *error) MUST_USE;

/** Once the waker was called: why it failed, or NULL. */
const struct error *lease_find_error(const struct lease_find *find);

/** Forget it while it waits: true when the waker will not be called any more. */
bool lease_find_forget(struct lease_find *find);

/** Put `leases`, and `next` where there is more, into an answer. False without memory. */
bool lease_find_put(struct lease_find *find, json_t *body) MUST_USE;
