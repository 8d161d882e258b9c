#pragma once

#include <stdint.h>

struct ledger;

/** The housekeeping of the ledger. All-zero is one that has not begun. Threads: main's */
struct ledger_tending {
    int64_t pruned_ms;   /* when it was pruned last, by the monotonic clock; 0: never */
    int64_t clocks_ms;   /* the least that the wall clock was ahead of that one */
    int64_t published_s; /* when a published checkpoint covered the whole ledger last */
};

/** How the clocks stand, before anybody sets one: while we run, it makes no entry older. */
void ledger_tending_begin(struct ledger_tending *tending);

/** Set the metrics of its size, and of how long there have been entries that nothing published
 * covers. */
void ledger_tending_measure(struct ledger_tending *tending, const struct ledger *ledger,
                            int64_t now_s);

/** Once an hour have it pruned, behind, of what is older than `keep_s` (0: of nothing). */
void ledger_tending_prune(struct ledger_tending *tending, struct ledger *ledger, int64_t keep_s);
