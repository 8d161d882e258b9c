#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/error.h"
#include "base/macros.h"
#include "base/progress.h"
#include "base/str.h"

struct indexer;
struct ledger;
struct store;

/**
 * Erasing who somebody is from the ledger: the private parts of entries that are found by a
 * person's own words, a run or a lease.
 *
 * An erasure is an entry first (`admin.erased`: who, why, how it was found, which entries; not the
 * person), then the parts are erased in the store. One looks at a part of the log, so that it never
 * takes long; its asker goes on from `next` until `is_complete`.
 *
 * A thread of its own does it, started by the first one. Threads: shared
 * Source:  design.md 3.5
 */
struct eraser;

/** The most entries that one erasure looks at, and that it erases. */
#define ERASURE_SCAN_MAX 20000
#define ERASURE_ENTRIES_MAX 512

#define ERASURE_REASON_MAX 256

/** Waiting ones; one more is refused. */
#define ERASURES_WAITING_MAX 8

struct ledger_erasure {
    /* what is asked; borrowed until the waker was called */
    struct str person;   /* a whole value of the private part: a name, an id, an address */
    struct str run;      /* `ci.run` */
    struct str lease;    /* at least one of the three; what is given must all hold */
    struct str reason;   /* without the person in it */
    const json_t *actor; /* who asks: name -> value, all of it personal */
    struct str issuer;   /* of the actor */
    uint64_t from;       /* the first entry to look at */
    bool is_dry;         /* find only */
    struct waker waker;  /* called on the eraser's thread, as the last act */

    /* the outcome */
    bool is_good;
    struct error error;
    uint64_t next;  /* the first entry that was not looked at */
    uint64_t size;  /* of the log */
    size_t matched; /* entries that have a private part to erase */
    size_t live;    /* of them those whose lease is not over: they are left */
    size_t erased;
    uint64_t entry_index; /* of admin.erased, where `erased` is not 0 */

    struct ledger_erasure *queued; /* private */
};

/**
 * Check what is asked.
 *
 * Errors: ERROR_REQUEST (the cause says what is missing; a reason that names the person)
 */
bool erasure_check(const struct ledger_erasure *erasure, struct error *error) MUST_USE;

struct eraser_options {
    struct ledger *ledger;
    struct store *store;
    struct indexer *indexer;
    const char *log; /* the folder of checkpoint and tiles */
};

/** NULL without memory. */
struct eraser *eraser_new(const struct eraser_options *options) MUST_USE;

/** Do it on this thread, which may wait. */
void eraser_do(struct eraser *eraser, struct ledger_erasure *erasure);

/** Refuse what waits (ERROR_STOPPING), finish what is under way. Accepts NULL. */
void eraser_free(struct eraser *eraser);

/** Have what is of before a time, not 0, pruned, once nothing waits. */
void eraser_prune(struct eraser *eraser, int64_t before_ms);

/** Queue one. Errors: ERROR_BUSY, ERROR_STOPPING, ERROR_MEMORY; then the waker is never called */
bool eraser_submit(struct eraser *eraser, struct ledger_erasure *erasure, struct error *error)
    MUST_USE;
