#include "ledger_tending.h"

#include "base/clock.h"
#include "base/metrics.h"
#include "ledger/ledger.h"

#define PRUNE_EVERY_S INT64_C(3600)

void ledger_tending_measure(struct ledger_tending *tending, const struct ledger *ledger,
                            int64_t now_s)
{
    int64_t size = (int64_t)ledger_size(ledger);

    metric_set(METRIC_LEDGER_SIZE, size);
    if (tending->published_s == 0 || metric_get(METRIC_LEDGER_PUBLISHED_SIZE) >= size)
        tending->published_s = now_s;
    metric_set(METRIC_LEDGER_UNPUBLISHED, now_s - tending->published_s);
}

/* A clock that is set ahead while we run, perhaps by mistake, makes nothing older. */
static int64_t age_clock_ms(struct ledger_tending *tending)
{
    int64_t at_ms = clock_monotonic_ms(); /* first: a pause in between is no step back */
    int64_t clocks_ms = clock_wall_ms() - at_ms;

    if (tending->clocks_ms == 0 || clocks_ms < tending->clocks_ms)
        tending->clocks_ms = clocks_ms;
    return at_ms + tending->clocks_ms;
}

void ledger_tending_begin(struct ledger_tending *tending)
{
    (void)age_clock_ms(tending);
}

void ledger_tending_prune(struct ledger_tending *tending, struct ledger *ledger, int64_t keep_s)
{
    int64_t now_ms = clock_monotonic_ms();
    int64_t age_ms = age_clock_ms(tending);

    if (keep_s == 0 ||
        (tending->pruned_ms != 0 && now_ms < tending->pruned_ms + PRUNE_EVERY_S * 1000))
        return;
    tending->pruned_ms = now_ms;
    ledger_prune(ledger, age_ms - keep_s * 1000);
}
