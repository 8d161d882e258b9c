#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/progress.h"
#include "exchange/ender.h"
#include "exchange/lanes.h"
#include "exchange/lease_end.h"
#include "exchange/owed.h"
#include "ledger/ledger.h"
#include "targets/target.h"

struct ender;
struct rules;

/** Something that goes on on the ender's thread once it is woken. In who it is about. */
struct step {
    struct ender *ender;
    void (*go_on)(struct step *step);
    struct step *next; /* private */
};

/** A waker that brings a step back to the ender's thread. */
struct waker step_waker(struct step *step);

/** One credential on its way to its end. */
struct errand {
    struct step step;        /* the first member */
    struct lane_place place; /* of its target's lane */
    struct settling *settling;
    struct errand *next;
    const struct owed *owed;
    struct revocation revocation;
    struct error error;
    bool has_begun;  /* its target was asked */
    bool is_done;    /* ended, or gone */
    bool is_expired; /* gone by itself */
    bool is_put_off; /* nobody was asked: later */
    int64_t again_s; /* then: in so many seconds */
};

/**
 * What a lease owes, on its way to be settled: its credentials are ended, then that is recorded.
 *
 * Threads: the ender's
 */
struct settling {
    struct ender *ender;
    struct arena *arena;
    struct rules *rules;
    struct store_lease lease; /* as it was looked up */
    int64_t ahead_s;          /* of our clock, ahead of the store's, when it was claimed */
    struct step step;         /* goes on with `done` */
    void (*done)(struct settling *settling);

    struct owed_list owed;
    struct errand *errands;
    size_t open; /* errands that are not over */
    size_t done_count;
    size_t pending_count;
    char decision[ID_LEN + 1];
    struct ledger_append append;
    bool is_submitted;
};

/** Begin; `done` is called once all of it is over and recorded, at once perhaps. */
void settling_begin(struct settling *settling);

/** The time by which its credentials have expired or not: that of the clock that is behind. */
int64_t settling_now_s(const struct settling *settling);

/** Whether nothing of what a lease owes is left at any target, now that it has expired. */
bool settling_needs_nothing(struct settling *settling);

/** Give up an errand that waits for its lane. */
void errand_put_off(struct errand *errand, int64_t again_s);

/** The errand that a place in a lane is of: nobody else ever waits in one. */
struct errand *errand_of(struct lane_place *place);

/** Go on with who waited, and has entered now. */
void lane_go_on(struct lane_place *place);

/* ender.c, for the others */
/** Begin a step that the ender waits for before it stops; and its end. */
void ender_note_drop(struct ender *ender, struct step *step);
void ender_forget_drop(struct ender *ender);

const struct exchange_service *ender_service(const struct ender *ender);
const struct ender_listener *ender_listener_of(const struct ender *ender);
struct lanes *ender_lanes(struct ender *ender);
bool ender_is_stopping(struct ender *ender);
/** Have the lease fall due again in so many seconds, about. */
void ender_put_off(struct ender *ender, const struct store_lease *lease, int64_t in_s);
