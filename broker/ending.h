#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"

struct ender;
struct error;
struct exchange_service;
struct ledger;

/**
 * Who ends leases (exchange/ender.h), with a log line of what it does. Threads: main's
 *
 * Errors: those of ender_start()
 */
bool ending_start(const struct exchange_service *service, struct ender **ender, struct error *error)
    MUST_USE;

/** Set the metrics of what is still to be ended. */
void ending_measure(const struct ledger *ledger, int64_t now_s);

/**
 * Whether credentials of a lease are not ended long after it has; `*since_s` is when it ended.
 * Threads: any
 */
bool ending_degraded(const struct ledger *ledger, int64_t now_s, int64_t *since_s);
