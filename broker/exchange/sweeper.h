#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/macros.h"

struct ender;

/**
 * Who compares what exists at targets with our leases: every few minutes each target that can be
 * looked through. What is of a lease that is over and owes nothing, or that nobody knows, is an
 * orphan: it is recorded, once a week while it is there, and ended where the target's configuration
 * says `orphans: remove`.
 *
 * Threads: the ender's
 */
struct sweeper;

/** Between two looks at a target. */
#define SWEEP_EVERY_S 300

/** What was made, or ended, so recently may still be on its way in or out. */
#define SWEEP_GRACE_S 900

/** An orphan that is there still is recorded again after so long. */
#define SWEEP_AGAIN_S (7 * 86400)

/** So many are recorded, or removed, at one look: the others at the next. */
#define SWEEP_ORPHANS_MAX 50

/** NULL without memory. */
struct sweeper *sweeper_new(struct ender *ender) MUST_USE;
void sweeper_free(struct sweeper *sweeper);

/** Begin with what is due. */
void sweeper_tend(struct sweeper *sweeper);

/** Whether a target is being looked through: each comes to its end by itself. */
bool sweeper_is_busy(const struct sweeper *sweeper);
