#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/**
 * The broker's counters and gauges, one row each in metrics.c with name, labels, kind and help.
 *
 * Threads: any (atomics)
 */
enum metric {
    METRIC_EXCHANGES_ISSUED,
    METRIC_EXCHANGES_RENEWED,
    METRIC_EXCHANGES_DENIED,
    METRIC_EXCHANGES_REFUSED, /* unacceptable token or request */
    METRIC_EXCHANGES_REPLAYED,
    METRIC_EXCHANGES_PENDING,     /* that wait for people, each time they ask */
    METRIC_EXCHANGES_UNAVAILABLE, /* 503 */
    METRIC_EXCHANGES_WAITING,     /* for a lease of the stage to end */
    METRIC_EXCHANGES_OVER_BUDGET, /* 429 */
    METRIC_EXCHANGES_BLOCKED,     /* of those denied */
    METRIC_BLOCKS,                /* gauge */
    METRIC_CA_ENDS,               /* gauge: when the first CA certificate in force ends */
    METRIC_CA_LACKING,            /* gauge: CAs that have none in force */
    METRIC_CA_WAITING,            /* gauge: CAs that wait for one */
    METRIC_LISTED,                /* gauge: revoked certificates that lists hold */
    METRIC_TOKENS_LISTED,         /* gauge: revoked tokens that lists hold */
    METRIC_KEYS_UNAVAILABLE_S,    /* gauge: for how long our own keys have not been to be had */
    METRIC_OVER_BUDGET_ADDRESS,
    METRIC_OVER_BUDGET_ISSUER,
    METRIC_APPROVALS_REQUESTED,
    METRIC_APPROVALS_GRANTED,
    METRIC_APPROVALS_REJECTED,
    METRIC_APPROVALS_BREAK_GLASS, /* granted by an operator alone */
    METRIC_LEASES_RELEASED,
    METRIC_MINTS_FAILED,
    METRIC_MINTS_UNKNOWN,
    METRIC_TOKENS_UNVERIFIED,
    METRIC_INTROSPECTIONS,
    METRIC_PEOPLE_REFUSED, /* 401, 403 and 503 before a handler, or by one */
    METRIC_CLAIMS_UNKNOWN,
    METRIC_CLAIMS_RETYPED,
    METRIC_CLAIMS_UNWATCHED,
    METRIC_WORKFLOWS_NEW,
    METRIC_JWKS_FETCHES,
    METRIC_JWKS_FAILURES,
    METRIC_ISSUERS_FAILING,   /* gauge */
    METRIC_ISSUERS_FAILING_S, /* gauge */
    METRIC_LEDGER_ENTRIES,
    METRIC_LEDGER_BATCHES,
    METRIC_LEDGER_FAILURES,
    METRIC_LEDGER_SIZE,           /* gauge */
    METRIC_LEDGER_PUBLISHED_SIZE, /* gauge */
    METRIC_LEDGER_UNPUBLISHED,    /* gauge */
    METRIC_LEDGER_COSIGNED_SIZE,  /* gauge */
    METRIC_WITNESSES_GOOD,        /* gauge */
    METRIC_WITNESSES_FAILING,     /* gauge */
    METRIC_WITNESSES_CONFLICT,    /* gauge */
    METRIC_MIRRORS_GOOD,          /* gauge */
    METRIC_MIRRORS_FAILING,       /* gauge */
    METRIC_MIRRORS_CONFLICT,      /* gauge */
    METRIC_INDEX_SIZE,            /* gauge: entries that the ledger's index has seen */
    METRIC_INDEX_BACKLOG,         /* gauge: entries that it has not */
    METRIC_INDEX_FAILURES,
    METRIC_LEASES_LIVE, /* gauge */
    METRIC_HEARTBEATS,
    METRIC_LEASES_SILENT,
    METRIC_LEASES_OWING,   /* gauge */
    METRIC_LEASES_OWING_S, /* gauge */
    METRIC_ORPHANS,        /* gauge */
    METRIC_HTTP_REQUESTS,
    METRIC_HTTP_REFUSED,     /* malformed */
    METRIC_HTTP_CONNECTIONS, /* gauge */
    METRIC_RELOADS,
    METRIC_RELOAD_FAILURES,
    METRIC_EXPIRES_REVIEW, /* gauges: times */
    METRIC_EXPIRES_STAGE,
    METRIC_EXPIRES_GRANT,
    METRIC_EXPIRES_EXCEPTION,
    METRIC_EXPIRES_CERTIFICATE,
    METRIC_POLICY_ACTIVATED,
    METRIC_POLICY_UNCHANGED,
    METRIC_POLICY_FAILED,
    METRIC_POLICY_ERRORS,    /* gauge */
    METRIC_POLICY_AGE,       /* gauge */
    METRIC_POLICY_PIPELINES, /* gauge */
    METRIC_POLICY_STAGES,    /* gauge */
    METRIC_SHADOW_ERRORS,    /* gauge */
    METRIC_SHADOW_SAME,
    METRIC_SHADOW_WIDER,
    METRIC_SHADOW_NARROWER,
    METRIC_SHADOW_OTHER,
    METRIC_COUNT
};

/** Histograms, in seconds, of fixed buckets. */
enum metric_timer {
    METRIC_TIMER_TOKEN,  /* POST /token, whole */
    METRIC_TIMER_COMMIT, /* a ledger batch: write and sync */
    METRIC_TIMER_MINT,   /* a remote target */
    METRIC_TIMER_COUNT
};

/** Families with one row for each stream, by its name. */
enum metric_of_stream {
    METRIC_STREAM_FAILING, /* gauge */
    METRIC_STREAM_BACKLOG, /* gauge */
    METRIC_STREAM_AGE,     /* gauge */
    METRIC_STREAM_SENT,
    METRIC_STREAM_FAILURES,
    METRIC_STREAM_REFUSED,
    METRIC_STREAM_COUNT
};

#define METRIC_STREAMS_MAX 16

void metric_add(enum metric metric, int64_t amount);
void metric_set(enum metric metric, int64_t value);
int64_t metric_get(enum metric metric);
void metric_time(enum metric_timer timer, int64_t duration_ns);

/**
 * Give stream `number` (below METRIC_STREAMS_MAX) its name, which needs no escape and must live
 * until it is taken away: rows of streams without one are not written. NULL takes it away.
 */
void metric_stream_name(size_t number, const char *name);
void metric_stream_add(enum metric_of_stream metric, size_t number, int64_t amount);
void metric_stream_set(enum metric_of_stream metric, size_t number, int64_t value);
int64_t metric_stream_get(enum metric_of_stream metric, size_t number);

#define METRIC_KINDS_MAX 32

/**
 * Count a credential that was ended at its target, or could not be, in the family of its kind of
 * target; 0 only makes its rows. `kind` lives for ever and needs no escape.
 */
void metric_add_revocations(const char *kind, bool is_done, int64_t amount);

/** Append all of them in Prometheus' text format 0.0.4. */
void metrics_write(struct buf *buf);
