#pragma once

#include <stdbool.h>
#include <stdint.h>

struct ledger;
struct lists;
struct rules_table;

/** Whether the lists of what is revoked were made the last time. Threads: main's */
struct list_tending {
    bool is_failing;
};

/** Have those made that are due, and set their metrics. A failure is logged once, and when it is
 * over. */
void list_tending_tend(struct list_tending *tending, struct lists *lists, struct rules_table *rules,
                       struct ledger *ledger, int64_t now_s);
