#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "tests/fault/workload.h"

/**
 * What clients were told up to some moment, and whether a folder agrees with it.
 *
 * All-zero is an empty one.
 */
struct history {
    const struct note *notes[4096]; /* borrowed from the journal */
    size_t count;
};

void history_add(struct history *history, const struct note *note);

/** Whether the ledger is to take entries again by now. */
enum check_start {
    CHECK_MUST_START,
    CHECK_MAY_REFUSE, /* a fault lies in the folder: a refusal with its reason is as good */
};

/**
 * Open the ledger in the place's store, as after a restart, and hold it against the history:
 *
 * each credential that a client holds is an entry, at its index and with its leaf; no token has
 * two; each used token is still used, each released lease still released; a checkpoint that was
 * shown to somebody is a prefix; it takes new entries; and, closed again, an auditor finds it
 * whole.
 *
 * False with what does not hold in `why`.
 */
bool check_store(const struct workplace *place, const struct history *history,
                 enum check_start start, char why[512]);
