#include "base/clock.h"

#include <assert.h>
#include <time.h>

#ifdef STAGEPASS_TEST_CLOCK
#include <stdatomic.h>
#endif

static struct timespec read_clock(clockid_t id)
{
    struct timespec now;
    int outcome = clock_gettime(id, &now);

    assert(outcome == 0); /* both clocks exist on every Linux */
    (void)outcome;
    return now;
}

static int64_t read_ms(clockid_t id)
{
    struct timespec now = read_clock(id);

    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

#ifdef STAGEPASS_TEST_CLOCK
static _Atomic int64_t test_wall_ms; /* where the clocks were stopped; 0: they run */
static _Atomic int64_t test_monotonic_ms;
static _Atomic int64_t test_offset_s;
static _Atomic int64_t test_step_s; /* of the wall clock alone */

static int64_t offset_ms(void)
{
    return atomic_load_explicit(&test_offset_s, memory_order_relaxed) * 1000;
}

void clock_test_advance(int64_t seconds)
{
    assert(seconds >= 0);
    atomic_fetch_add_explicit(&test_offset_s, seconds, memory_order_relaxed);
}

void clock_test_hold(bool is_held)
{
    atomic_store_explicit(&test_wall_ms, is_held ? read_ms(CLOCK_REALTIME) : 0,
                          memory_order_relaxed);
    atomic_store_explicit(&test_monotonic_ms, is_held ? read_ms(CLOCK_MONOTONIC) : 0,
                          memory_order_relaxed);
}

static int64_t system_ms(clockid_t id)
{
    int64_t held_ms = atomic_load_explicit(
        id == CLOCK_REALTIME ? &test_wall_ms : &test_monotonic_ms, memory_order_relaxed);

    return held_ms != 0 ? held_ms : read_ms(id);
}

static int64_t step_ms(void)
{
    return atomic_load_explicit(&test_step_s, memory_order_relaxed) * 1000;
}

void clock_test_step(int64_t seconds)
{
    atomic_fetch_add_explicit(&test_step_s, seconds, memory_order_relaxed);
}
#else
static int64_t system_ms(clockid_t id)
{
    return read_ms(id);
}

static int64_t offset_ms(void)
{
    return 0;
}

static int64_t step_ms(void)
{
    return 0;
}
#endif

int64_t clock_wall_s(void)
{
    return clock_wall_ms() / 1000;
}

int64_t clock_wall_ms(void)
{
    return system_ms(CLOCK_REALTIME) + offset_ms() + step_ms();
}

int64_t clock_monotonic_ms(void)
{
    return system_ms(CLOCK_MONOTONIC) + offset_ms();
}

int64_t clock_monotonic_ns(void)
{
    struct timespec now = read_clock(CLOCK_MONOTONIC);

    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t clock_system_ms(void)
{
    return clock_monotonic_ns() / 1000000;
}
