#include "base/metrics.h"

#include <assert.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stddef.h>

#include "base/macros.h"

enum kind {
    KIND_COUNTER,
    KIND_GAUGE
};

static const char *const kind_names[] = {
    [KIND_COUNTER] = "counter",
    [KIND_GAUGE] = "gauge",
};

struct metric_row {
    const char *family;
    const char *labels; /* with its braces, or empty */
    enum kind kind;
    const char *help; /* on the first row of a family; its other rows follow it */
};

/* clang-format off */
static const struct metric_row rows[METRIC_COUNT] = {
    [METRIC_EXCHANGES_ISSUED] = { "stagepass_exchanges_total", "{outcome=\"issued\"}", KIND_COUNTER,
        "Requests for credentials, by outcome." },
    [METRIC_EXCHANGES_DENIED] = { "stagepass_exchanges_total", "{outcome=\"denied\"}", KIND_COUNTER, NULL },
    [METRIC_EXCHANGES_REFUSED] = { "stagepass_exchanges_total", "{outcome=\"refused\"}", KIND_COUNTER, NULL },
    [METRIC_EXCHANGES_REPLAYED] = { "stagepass_exchanges_total", "{outcome=\"replayed\"}", KIND_COUNTER, NULL },
    [METRIC_EXCHANGES_UNAVAILABLE] = { "stagepass_exchanges_total", "{outcome=\"unavailable\"}", KIND_COUNTER, NULL },
    [METRIC_LEASES_RELEASED] = { "stagepass_leases_released_total", "", KIND_COUNTER,
        "Leases that ended before their time." },
    [METRIC_MINTS_FAILED] = { "stagepass_mint_failures_total", "{outcome=\"failed\"}", KIND_COUNTER,
        "Credentials that a target did not give, or of which it is not known." },
    [METRIC_MINTS_UNKNOWN] = { "stagepass_mint_failures_total", "{outcome=\"unknown\"}", KIND_COUNTER, NULL },
    [METRIC_TOKENS_UNVERIFIED] = { "stagepass_tokens_unverified_total", "", KIND_COUNTER,
        "Subject tokens whose signature or issuer did not hold." },
    [METRIC_PEOPLE_REFUSED] = { "stagepass_people_refused_total", "", KIND_COUNTER,
        "Requests of people without a good token, or without the role." },
    [METRIC_CLAIMS_UNKNOWN] = { "stagepass_claim_news_total", "{what=\"unknown\"}", KIND_COUNTER,
        "Claims of verified tokens that were never seen, or not with this type, or past what is watched." },
    [METRIC_CLAIMS_RETYPED] = { "stagepass_claim_news_total", "{what=\"retyped\"}", KIND_COUNTER, NULL },
    [METRIC_CLAIMS_UNWATCHED] = { "stagepass_claim_news_total", "{what=\"unwatched\"}", KIND_COUNTER, NULL },
    [METRIC_WORKFLOWS_NEW] = { "stagepass_workflows_new_total", "", KIND_COUNTER,
        "Workflows that a production stage had never given anything to." },
    [METRIC_JWKS_FETCHES] = { "stagepass_jwks_fetches_total", "", KIND_COUNTER,
        "Key sets asked from issuers." },
    [METRIC_JWKS_FAILURES] = { "stagepass_jwks_failures_total", "", KIND_COUNTER,
        "Key sets that an issuer did not give." },
    [METRIC_LEDGER_ENTRIES] = { "stagepass_ledger_entries_total", "", KIND_COUNTER,
        "Entries made durable since the start." },
    [METRIC_LEDGER_BATCHES] = { "stagepass_ledger_batches_total", "", KIND_COUNTER,
        "Batches of entries, each one write and one sync." },
    [METRIC_LEDGER_FAILURES] = { "stagepass_ledger_failures_total", "", KIND_COUNTER,
        "Batches that could not be made durable." },
    [METRIC_LEDGER_PUBLISHED_SIZE] = { "stagepass_ledger_published_size", "", KIND_GAUGE,
        "Size of the newest published checkpoint." },
    [METRIC_LEASES_LIVE] = { "stagepass_leases_live", "", KIND_GAUGE,
        "Leases neither released, revoked nor expired." },
    [METRIC_HTTP_REQUESTS] = { "stagepass_http_requests_total", "", KIND_COUNTER,
        "HTTP requests answered." },
    [METRIC_HTTP_REFUSED] = { "stagepass_http_refused_total", "", KIND_COUNTER,
        "HTTP requests refused as malformed." },
    [METRIC_HTTP_CONNECTIONS] = { "stagepass_http_connections", "", KIND_GAUGE,
        "Open HTTP connections." },
    [METRIC_RELOADS] = { "stagepass_reloads_total", "", KIND_COUNTER,
        "Reloads of configuration and policy that took effect." },
    [METRIC_RELOAD_FAILURES] = { "stagepass_reload_failures_total", "", KIND_COUNTER,
        "Reloads that were refused; what was in force stays." },
};
/* clang-format on */

struct timer_row {
    const char *family;
    const char *help;
};

static const struct timer_row timer_rows[METRIC_TIMER_COUNT] = {
    [METRIC_TIMER_TOKEN] = { "stagepass_token_seconds", "Time of a POST /token as a whole." },
    [METRIC_TIMER_COMMIT] = { "stagepass_ledger_commit_seconds",
                              "Time of a ledger batch: write and sync." },
    [METRIC_TIMER_MINT] = { "stagepass_mint_seconds", "Time of a request to a remote target." },
};

/* From a pure computation to a slow cloud. */
static const struct bucket {
    int64_t max_ns;
    const char *label; /* the same in seconds */
} buckets[] = {
    { 250000, "0.00025" }, { 500000, "0.0005" },  { 1000000, "0.001" },  { 2500000, "0.0025" },
    { 5000000, "0.005" },  { 10000000, "0.01" },  { 25000000, "0.025" }, { 50000000, "0.05" },
    { 100000000, "0.1" },  { 250000000, "0.25" }, { 500000000, "0.5" },  { 1000000000, "1" },
    { 2500000000, "2.5" }, { 5000000000, "5" },   { 10000000000, "10" },
};

struct timer {
    _Atomic int64_t counts[COUNT(buckets) + 1]; /* the last is for what is slower than all */
    _Atomic int64_t sum_ns;
};

static _Atomic int64_t values[METRIC_COUNT];
static struct timer timers[METRIC_TIMER_COUNT];

void metric_add(enum metric metric, int64_t amount)
{
    assert((size_t)metric < METRIC_COUNT);
    atomic_fetch_add_explicit(&values[metric], amount, memory_order_relaxed);
}

void metric_set(enum metric metric, int64_t value)
{
    assert((size_t)metric < METRIC_COUNT);
    atomic_store_explicit(&values[metric], value, memory_order_relaxed);
}

int64_t metric_get(enum metric metric)
{
    assert((size_t)metric < METRIC_COUNT);
    return atomic_load_explicit(&values[metric], memory_order_relaxed);
}

void metric_time(enum metric_timer timer, int64_t duration_ns)
{
    size_t bucket = 0;

    assert((size_t)timer < METRIC_TIMER_COUNT);
    while (bucket < COUNT(buckets) && duration_ns > buckets[bucket].max_ns)
        bucket++;
    atomic_fetch_add_explicit(&timers[timer].counts[bucket], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&timers[timer].sum_ns, duration_ns, memory_order_relaxed);
}

static void write_head(struct buf *buf, const char *family, const char *help, const char *type)
{
    buf_printf(buf, "# HELP %s %s\n# TYPE %s %s\n", family, help, family, type);
}

static void write_metric(struct buf *buf, enum metric metric)
{
    const struct metric_row *row = &rows[metric];

    if (row->help != NULL)
        write_head(buf, row->family, row->help, kind_names[row->kind]);
    buf_printf(buf, "%s%s %" PRId64 "\n", row->family, row->labels, metric_get(metric));
}

static void write_timer(struct buf *buf, enum metric_timer timer)
{
    const char *family = timer_rows[timer].family;
    int64_t sum_ns = atomic_load_explicit(&timers[timer].sum_ns, memory_order_relaxed);
    int64_t count = 0;

    write_head(buf, family, timer_rows[timer].help, "histogram");
    for (size_t i = 0; i <= COUNT(buckets); i++) {
        const char *label = i < COUNT(buckets) ? buckets[i].label : "+Inf";

        count += atomic_load_explicit(&timers[timer].counts[i], memory_order_relaxed);
        buf_printf(buf, "%s_bucket{le=\"%s\"} %" PRId64 "\n", family, label, count);
    }
    buf_printf(buf, "%s_sum %" PRId64 ".%09" PRId64 "\n", family, sum_ns / 1000000000,
               sum_ns % 1000000000);
    buf_printf(buf, "%s_count %" PRId64 "\n", family, count);
}

void metrics_write(struct buf *buf)
{
    for (enum metric metric = 0; metric < METRIC_COUNT; metric++)
        write_metric(buf, metric);
    for (enum metric_timer timer = 0; timer < METRIC_TIMER_COUNT; timer++)
        write_timer(buf, timer);
}
