#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/time_text.h"
#include "store/frame.h"
#include "store/state.h"
#include "store/store.h"

/** What is written and synced together. Threads: confined */
struct batch {
    struct frame_builder frame;
    struct pending pending;
    struct store_proposal *first; /* taken, in order; those that a guard refused too */
    struct store_proposal **end;
    size_t refused_count;
    bool has_only_revocations;

    struct state_times times;
    int64_t time_ms;
    char time_text[TIME_TEXT_MS_LEN + 1];
};

bool batch_init(struct batch *batch) MUST_USE;
void batch_release(struct batch *batch);

/** Start anew, with entries from `first_index` on, all of this time; guards are held against
 * `times`.
 */
void batch_start(struct batch *batch, uint64_t first_index, int64_t time_ms,
                 const struct state_times *times);

/** Whether a proposal still fits. */
bool batch_has_room(const struct batch *batch, const struct store_proposal *proposal);

/**
 * Take a proposal: decide its guards; where they hold write the time into its entries and add them.
 * Where not, its outcome is set.
 */
void batch_take(struct batch *batch, const struct state *state, struct store_proposal *proposal);

/** Take a proposal that fails, whatever its guards say. */
void batch_take_failed(struct batch *batch, struct store_proposal *proposal, const char *cause);
