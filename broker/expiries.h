#pragma once

#include <stdint.h>

struct http_server;
struct policy;
struct rules_table;

/**
 * What comes to an end by a date, as gauges: stagepass_expires_timestamp, the first of each kind.
 *
 * Threads: main's
 */
struct expiries {
    const struct policy *policy; /* that was looked at last; only compared */
    int64_t looked_s;
};

/** Look where the policy is another one, and every ten minutes. */
void expiries_measure(struct expiries *expiries, struct rules_table *rules,
                      struct http_server *server, int64_t now_s);
