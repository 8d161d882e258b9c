#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/str.h"

/**
 * A lane a target: who may ask it at the same time, who waits for that, and when it is left alone.
 *
 * A target that hangs holds up who waits for it, and nobody else. One that failed LANE_FAILURES_MAX
 * times in a row is left alone for a while, longer each time, so that not every lease finds out for
 * itself that it is down.
 *
 * Threads: confined
 */
struct lanes;

#define LANE_ACTIVE_MAX 4
#define LANE_WAITING_MAX 60
#define LANE_FAILURES_MAX 3
#define LANE_REST_MAX_S 30

/** The most targets; with more of them some share a lane. */
#define LANES_MAX 1024

/** Who wants to ask a target. In who it is about; untouched by others while it is in no lane. */
struct lane_place {
    struct lane *lane;       /* NULL: in none */
    struct lane_place *next; /* private */
};

enum lane_entry {
    LANE_ENTERED, /* ask it, then leave */
    LANE_WAITS,   /* it comes back from lane_leave() */
    LANE_CLOSED,  /* it is full, or left alone: come back later */
};

/** NULL without memory. */
struct lanes *lanes_new(void) MUST_USE;
void lanes_free(struct lanes *lanes);

OWNED_POINTER(lanes_free, struct lanes)

/**
 * Want to ask a target. Where the lane is closed `*again_s` is in how many seconds to come back.
 */
enum lane_entry lanes_enter(struct lanes *lanes, struct str target, int64_t now_ms,
                            struct lane_place *place, int64_t *again_s);

/**
 * Leave the lane that was entered, and tell how it went. Who may ask next, or NULL: that one has
 * entered then.
 */
struct lane_place *lanes_leave(struct lane_place *place, bool is_good, int64_t now_ms);

/** Whether a target may be asked now without waiting. */
bool lanes_is_free(struct lanes *lanes, struct str target, int64_t now_ms);

/** Who waits, one after the other, in whatever lane: it is in none then. NULL: nobody does. */
struct lane_place *lanes_take_waiting(struct lanes *lanes);
