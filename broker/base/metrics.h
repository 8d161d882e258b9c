#pragma once

#include <stdint.h>

#include "base/buf.h"

/**
 * The broker's counters and gauges, one row each in metrics.c with name, labels, kind and help.
 *
 * Threads: any (atomics)
 */
enum metric {
    METRIC_EXCHANGES_ISSUED,
    METRIC_EXCHANGES_DENIED,
    METRIC_EXCHANGES_REFUSED, /* unacceptable token or request */
    METRIC_EXCHANGES_REPLAYED,
    METRIC_EXCHANGES_UNAVAILABLE, /* 503 */
    METRIC_LEASES_RELEASED,
    METRIC_MINTS_FAILED,
    METRIC_MINTS_UNKNOWN,
    METRIC_TOKENS_UNVERIFIED,
    METRIC_PEOPLE_REFUSED, /* 401, 403 and 503 before a handler, or by one */
    METRIC_CLAIMS_UNKNOWN,
    METRIC_CLAIMS_RETYPED,
    METRIC_CLAIMS_UNWATCHED,
    METRIC_WORKFLOWS_NEW,
    METRIC_JWKS_FETCHES,
    METRIC_JWKS_FAILURES,
    METRIC_LEDGER_ENTRIES,
    METRIC_LEDGER_BATCHES,
    METRIC_LEDGER_FAILURES,
    METRIC_LEDGER_PUBLISHED_SIZE, /* gauge */
    METRIC_LEASES_LIVE,           /* gauge */
    METRIC_HTTP_REQUESTS,
    METRIC_HTTP_REFUSED,     /* malformed */
    METRIC_HTTP_CONNECTIONS, /* gauge */
    METRIC_RELOADS,
    METRIC_RELOAD_FAILURES,
    METRIC_COUNT
};

/** Histograms, in seconds, of fixed buckets. */
enum metric_timer {
    METRIC_TIMER_TOKEN,  /* POST /token, whole */
    METRIC_TIMER_COMMIT, /* a ledger batch: write and sync */
    METRIC_TIMER_MINT,   /* a remote target */
    METRIC_TIMER_COUNT
};

void metric_add(enum metric metric, int64_t amount);
void metric_set(enum metric metric, int64_t value);
int64_t metric_get(enum metric metric);
void metric_time(enum metric_timer timer, int64_t duration_ns);

/** Append all of them in Prometheus' text format 0.0.4. */
void metrics_write(struct buf *buf);
