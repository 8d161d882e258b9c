#pragma once

#include "ledger/ledger.h"

/*
 * Random histories of leases: jobs that ask for stages with `after` and `limits`, get them or not,
 * and end, or do not; a clock that moves; ledgers that are closed and opened again. Each decision
 * of the store is compared with that of a small model which forgets nothing and knows no keys.
 */

#define HISTORY_LEDGERS 2

struct history {
    unsigned seed;
    unsigned operations;
    /** Open ledger `number` of one store. */
    struct ledger *(*open)(unsigned number, void *context);
    unsigned ledger_count; /* 1, or HISTORY_LEDGERS where brokers may share it */
    void *context;
};

/** Run it; fails the test at the first decision that differs. */
void history_run(const struct history *history);
