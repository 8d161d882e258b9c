#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"

struct diagnostics;
struct error;

/** What is to be erased where no broker runs; texts may be NULL. */
struct erase_options {
    const char *config;
    const char *person;
    const char *run;
    const char *lease;
    const char *reason;
    bool is_meant; /* else it is only counted */
};

struct erase_outcome {
    uint64_t matched;
    uint64_t live;
    uint64_t erased;
};

/**
 * Erase private parts of a configured broker's ledger, as ledger/eraser.h says, while it is away.
 *
 * Errors: ERROR_IO (a broker has the store, ...), ERROR_REQUEST (what is asked makes no sense),
 *         ERROR_CONFIG (see diagnostics), and those of ledger_open()
 */
bool erase_offline(const struct erase_options *options, struct diagnostics *diagnostics,
                   struct erase_outcome *outcome, struct error *error) MUST_USE;
