#pragma once

#include <stdbool.h>
#include <stdint.h>

/**
 * The only place that asks the system for the time.
 *
 * Builds with STAGEPASS_TEST_CLOCK let tests move both clocks; release builds have no such code.
 *
 * Threads: any
 */

/** Wall-clock time, seconds since the epoch. */
int64_t clock_wall_s(void);

/** Wall-clock time, milliseconds since the epoch. */
int64_t clock_wall_ms(void);

/** Time for intervals, milliseconds since some start; never goes back. */
int64_t clock_monotonic_ms(void);

/** CPU-cheap nanoseconds for measuring durations; never moved by tests. */
int64_t clock_monotonic_ns(void);

/** The same in milliseconds, for waits of the system's. */
int64_t clock_system_ms(void);

#ifdef STAGEPASS_TEST_CLOCK
/** Move both clocks ahead by `seconds` (0 or more; summed over calls). */
void clock_test_advance(int64_t seconds);

/** Stop both clocks, so that they go on by what tests add alone, or let them run again. */
void clock_test_hold(bool is_held);

/** Set the wall clock ahead, or back where below 0: as if somebody corrected it. */
void clock_test_step(int64_t seconds);
#endif
