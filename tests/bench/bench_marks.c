/*
 * What a mark of single use costs with few and with many of them alive: looking whether it may be
 * used and setting it, as the store's thread does for each exchange, and its memory.
 */

#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/digest.h"
#include "store/state.h"

#define RUNS 200000
#define NOW_S 1763805600

static void mark_of(uint64_t number, uint8_t mark[MARK_LEN])
{
    sha256((struct str){ (const char *)&number, sizeof(number) }, mark);
}

static struct store_change change_of(enum store_change_kind kind, uint64_t number)
{
    struct store_change change = { .kind = kind, .expires_s = NOW_S + 900 };

    mark_of(number, change.mark);
    memcpy(change.holder, change.mark, sizeof(change.holder));
    return change;
}

static void apply(struct state *state, enum store_change_kind kind, uint64_t number)
{
    struct store_change change = change_of(kind, number);

    if (!state_apply(state, &(struct pending_change){ &change, number + 1, NOW_S }, NOW_S))
        abort();
}

/* Use one more mark, and let the oldest go, so that as many stay. */
static int64_t use_one(struct state *state, uint64_t number, uint64_t oldest)
{
    struct store_change change = change_of(STORE_SET_MARK, number);
    struct store_guard guard = { .kind = STORE_GUARD_MARK_USABLE, .uses_max = 1 };
    struct pending pending = { 0 };
    int64_t start_ns;
    int64_t spent_ns;

    memcpy(guard.mark, change.mark, sizeof(guard.mark));
    memcpy(guard.holder, change.holder, sizeof(guard.holder));
    start_ns = clock_monotonic_ns();
    if (!state_guard_holds(state, &pending, &guard, &(struct state_times){ NOW_S, NOW_S }) ||
        !state_apply(state, &(struct pending_change){ &change, number + 1, NOW_S }, NOW_S))
        abort();
    spent_ns = clock_monotonic_ns() - start_ns;
    /* as an entry behind it: an earlier one would count as read again */
    change = change_of(STORE_FREE_MARK, oldest);
    if (!state_apply(state, &(struct pending_change){ &change, number + 2, NOW_S }, NOW_S))
        abort();
    return spent_ns;
}

static int compare(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left;
    int64_t b = *(const int64_t *)right;

    return (a > b) - (a < b);
}

static size_t memory_used(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

static void measure(uint64_t live, int64_t *spent_ns)
{
    size_t before = memory_used();
    struct state *state = state_new();
    int64_t total_ns = 0;
    size_t bytes;

    if (state == NULL)
        abort();
    for (uint64_t i = 0; i < live; i++)
        apply(state, STORE_SET_MARK, i);
    bytes = memory_used() - before;
    for (uint64_t i = 0; i < RUNS; i++) {
        spent_ns[i] = use_one(state, live + i, i);
        total_ns += spent_ns[i];
    }
    qsort(spent_ns, RUNS, sizeof(*spent_ns), compare);
    printf("marks live=%" PRIu64 " runs=%d ns_per_op=%" PRId64 " p50_ns=%" PRId64 " p99_ns=%" PRId64
           " max_ns=%" PRId64 " bytes_per_mark=%.1f\n",
           live, RUNS, total_ns / RUNS, spent_ns[RUNS / 2], spent_ns[RUNS / 100 * 99],
           spent_ns[RUNS - 1], (double)bytes / (double)live);
    state_free(state);
}

int main(void)
{
    static const uint64_t live[] = { 1000, 100000, 1000000 };
    int64_t *spent_ns = calloc(RUNS, sizeof(*spent_ns));

    if (spent_ns == NULL)
        return 1;
    for (size_t i = 0; i < COUNT(live); i++)
        measure(live[i], spent_ns);
    free(spent_ns);
    return 0;
}
