#include "base/metrics.h"

#include <assert.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

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
    [METRIC_EXCHANGES_RENEWED] = { "stagepass_exchanges_total", "{outcome=\"renewed\"}", KIND_COUNTER, NULL },
    [METRIC_EXCHANGES_DENIED] = { "stagepass_exchanges_total", "{outcome=\"denied\"}", KIND_COUNTER, NULL },
    [METRIC_EXCHANGES_REFUSED] = { "stagepass_exchanges_total", "{outcome=\"refused\"}", KIND_COUNTER, NULL },
    [METRIC_EXCHANGES_REPLAYED] = { "stagepass_exchanges_total", "{outcome=\"replayed\"}", KIND_COUNTER, NULL },
    [METRIC_EXCHANGES_PENDING] = { "stagepass_exchanges_total", "{outcome=\"pending\"}", KIND_COUNTER, NULL },
    [METRIC_EXCHANGES_UNAVAILABLE] = { "stagepass_exchanges_total", "{outcome=\"unavailable\"}", KIND_COUNTER, NULL },
    [METRIC_EXCHANGES_WAITING] = { "stagepass_exchanges_total", "{outcome=\"waiting\"}", KIND_COUNTER, NULL },
    [METRIC_EXCHANGES_OVER_BUDGET] = { "stagepass_exchanges_total", "{outcome=\"over_budget\"}", KIND_COUNTER, NULL },
    [METRIC_EXCHANGES_BLOCKED] = { "stagepass_exchanges_blocked_total", "", KIND_COUNTER,
        "Denied requests that an operator's block refused." },
    [METRIC_CA_ENDS] = { "stagepass_ca_expires_timestamp_seconds", "", KIND_GAUGE,
        "When the first CA certificate that signs now ends; 0: there is none." },
    [METRIC_CA_LACKING] = { "stagepass_ca_lacking", "", KIND_GAUGE,
        "CAs without a certificate in force, which sign nothing." },
    [METRIC_CA_WAITING] = { "stagepass_ca_waiting", "", KIND_GAUGE,
        "CAs with a request that nobody has signed yet." },
    [METRIC_LISTED] = { "stagepass_revoked_listed", "", KIND_GAUGE,
        "Revoked certificates in the lists for hosts and servers." },
    [METRIC_TOKENS_LISTED] = { "stagepass_revoked_tokens_listed", "", KIND_GAUGE,
        "Revoked tokens in the status lists for services." },
    [METRIC_KEYS_UNAVAILABLE_S] = { "stagepass_keys_unavailable_seconds", "", KIND_GAUGE,
        "How long the PKCS#11 token with the broker's keys has not served; 0: it serves, or there is none." },
    [METRIC_BLOCKS] = { "stagepass_blocks", "", KIND_GAUGE,
        "Blocks in force." },
    [METRIC_OVER_BUDGET_ADDRESS] = { "stagepass_requests_over_budget_total", "{budget=\"address\"}", KIND_COUNTER,
        "Requests that came when the budget of their address or issuer was spent." },
    [METRIC_OVER_BUDGET_ISSUER] = { "stagepass_requests_over_budget_total", "{budget=\"issuer\"}", KIND_COUNTER, NULL },
    [METRIC_APPROVALS_REQUESTED] = { "stagepass_approvals_total", "{what=\"requested\"}", KIND_COUNTER,
        "Approvals that were asked for, given by as many people as it takes, refused, and given by an operator alone." },
    [METRIC_APPROVALS_GRANTED] = { "stagepass_approvals_total", "{what=\"granted\"}", KIND_COUNTER, NULL },
    [METRIC_APPROVALS_REJECTED] = { "stagepass_approvals_total", "{what=\"rejected\"}", KIND_COUNTER, NULL },
    [METRIC_APPROVALS_BREAK_GLASS] = { "stagepass_approvals_total", "{what=\"break_glass\"}", KIND_COUNTER, NULL },
    [METRIC_LEASES_RELEASED] = { "stagepass_leases_released_total", "", KIND_COUNTER,
        "Leases that ended before their time." },
    [METRIC_MINTS_FAILED] = { "stagepass_mint_failures_total", "{outcome=\"failed\"}", KIND_COUNTER,
        "Credentials that a target did not give, or of which it is not known." },
    [METRIC_MINTS_UNKNOWN] = { "stagepass_mint_failures_total", "{outcome=\"unknown\"}", KIND_COUNTER, NULL },
    [METRIC_TOKENS_UNVERIFIED] = { "stagepass_tokens_unverified_total", "", KIND_COUNTER,
        "Subject tokens whose signature or issuer did not hold." },
    [METRIC_INTROSPECTIONS] = { "stagepass_introspections_total", "", KIND_COUNTER,
        "Questions of resource servers about tokens." },
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
    [METRIC_ISSUERS_FAILING] = { "stagepass_issuers_failing", "", KIND_GAUGE,
        "Issuers, the people's provider too, whose keys could not be had the last time they were asked for." },
    [METRIC_ISSUERS_FAILING_S] = { "stagepass_issuers_failing_seconds", "", KIND_GAUGE,
        "For how long that has been so of one of them, at most; old keys serve for an hour." },
    [METRIC_LEDGER_ENTRIES] = { "stagepass_ledger_entries_total", "", KIND_COUNTER,
        "Entries made durable since the start." },
    [METRIC_LEDGER_BATCHES] = { "stagepass_ledger_batches_total", "", KIND_COUNTER,
        "Batches of entries, each one write and one sync." },
    [METRIC_LEDGER_FAILURES] = { "stagepass_ledger_failures_total", "", KIND_COUNTER,
        "Batches that could not be made durable." },
    [METRIC_LEDGER_SIZE] = { "stagepass_ledger_size", "", KIND_GAUGE,
        "Entries of the ledger." },
    [METRIC_LEDGER_UNPUBLISHED] = { "stagepass_ledger_unpublished_seconds", "", KIND_GAUGE,
        "Since when there are entries that no published checkpoint covers; 0 where there are none." },
    [METRIC_LEDGER_PUBLISHED_SIZE] = { "stagepass_ledger_published_size", "", KIND_GAUGE,
        "Size of the newest published checkpoint." },
    [METRIC_LEDGER_COSIGNED_SIZE] = { "stagepass_ledger_cosigned_size", "", KIND_GAUGE,
        "Size of the largest checkpoint that the quorum of witnesses, or one, has cosigned." },
    [METRIC_WITNESSES_GOOD] = { "stagepass_ledger_witnesses", "{state=\"good\"}", KIND_GAUGE,
        "Witnesses of the ledger, by how it stands with them." },
    [METRIC_WITNESSES_FAILING] = { "stagepass_ledger_witnesses", "{state=\"failing\"}", KIND_GAUGE, NULL },
    [METRIC_WITNESSES_CONFLICT] = { "stagepass_ledger_witnesses", "{state=\"conflict\"}", KIND_GAUGE, NULL },
    [METRIC_MIRRORS_GOOD] = { "stagepass_ledger_mirrors", "{state=\"good\"}", KIND_GAUGE,
        "Mirrors of the ledger that are looked at, by how it stands with them." },
    [METRIC_MIRRORS_FAILING] = { "stagepass_ledger_mirrors", "{state=\"failing\"}", KIND_GAUGE, NULL },
    [METRIC_MIRRORS_CONFLICT] = { "stagepass_ledger_mirrors", "{state=\"conflict\"}", KIND_GAUGE, NULL },
    [METRIC_INDEX_SIZE] = { "stagepass_ledger_index_size", "", KIND_GAUGE,
        "Entries that the ledger's index has seen." },
    [METRIC_INDEX_BACKLOG] = { "stagepass_ledger_index_backlog", "", KIND_GAUGE,
        "Entries that the ledger's index has not seen yet." },
    [METRIC_INDEX_FAILURES] = { "stagepass_ledger_index_failures_total", "", KIND_COUNTER,
        "Steps of the index that failed; each is tried again." },
    [METRIC_LEASES_LIVE] = { "stagepass_leases_live", "", KIND_GAUGE,
        "Leases neither released, revoked nor expired." },
    [METRIC_HEARTBEATS] = { "stagepass_heartbeats_total", "", KIND_COUNTER,
        "Heartbeats of leases that live." },
    [METRIC_LEASES_SILENT] = { "stagepass_leases_silent_total", "", KIND_COUNTER,
        "Leases that were ended because their job did not say any more that it lives." },
    [METRIC_LEASES_OWING] = { "stagepass_leases_owing", "", KIND_GAUGE,
        "Leases that have ended, and whose credentials are still to be ended at their targets." },
    [METRIC_LEASES_OWING_S] = { "stagepass_leases_owing_seconds", "", KIND_GAUGE,
        "Since when the oldest of them is over; 0 where there is none." },
    [METRIC_ORPHANS] = { "stagepass_orphans", "", KIND_GAUGE,
        "What exists at targets and is of no lease that lives, at the last looks." },
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
    [METRIC_EXPIRES_REVIEW] = { "stagepass_expires_timestamp", "{what=\"review_by\"}", KIND_GAUGE,
        "When the first of its kind is due or ends, in seconds since 1970; 0 where there is none." },
    [METRIC_EXPIRES_STAGE] = { "stagepass_expires_timestamp", "{what=\"until\"}", KIND_GAUGE, NULL },
    [METRIC_EXPIRES_GRANT] = { "stagepass_expires_timestamp", "{what=\"grant_until\"}", KIND_GAUGE, NULL },
    [METRIC_EXPIRES_EXCEPTION] = { "stagepass_expires_timestamp", "{what=\"exception\"}", KIND_GAUGE, NULL },
    [METRIC_EXPIRES_CERTIFICATE] = { "stagepass_expires_timestamp", "{what=\"certificate\"}", KIND_GAUGE, NULL },
    [METRIC_POLICY_ACTIVATED] = { "stagepass_policy_loads_total", "{outcome=\"activated\"}", KIND_COUNTER,
        "Loads of the policy folder, by outcome." },
    [METRIC_POLICY_UNCHANGED] = { "stagepass_policy_loads_total", "{outcome=\"unchanged\"}", KIND_COUNTER, NULL },
    [METRIC_POLICY_FAILED] = { "stagepass_policy_loads_total", "{outcome=\"failed\"}", KIND_COUNTER, NULL },
    [METRIC_POLICY_ERRORS] = { "stagepass_policy_errors", "", KIND_GAUGE,
        "Mistakes that the last load of the policy found; 0 where it is in force." },
    [METRIC_POLICY_AGE] = { "stagepass_policy_age_seconds", "", KIND_GAUGE,
        "Since when the policy in force is that." },
    [METRIC_POLICY_PIPELINES] = { "stagepass_policy_pipelines", "", KIND_GAUGE,
        "Pipelines of the policy in force." },
    [METRIC_POLICY_STAGES] = { "stagepass_policy_stages", "", KIND_GAUGE,
        "Stages of the policy in force." },
    [METRIC_SHADOW_ERRORS] = { "stagepass_shadow_errors", "", KIND_GAUGE,
        "Mistakes that the last load of the shadow policy found; it decides nothing then." },
    [METRIC_SHADOW_SAME] = { "stagepass_shadow_decisions_total", "{outcome=\"same\"}", KIND_COUNTER,
        "Decisions of the shadow policy, against those that were made." },
    [METRIC_SHADOW_WIDER] = { "stagepass_shadow_decisions_total", "{outcome=\"wider\"}", KIND_COUNTER, NULL },
    [METRIC_SHADOW_NARROWER] = { "stagepass_shadow_decisions_total", "{outcome=\"narrower\"}", KIND_COUNTER, NULL },
    [METRIC_SHADOW_OTHER] = { "stagepass_shadow_decisions_total", "{outcome=\"other\"}", KIND_COUNTER, NULL },
};
/* clang-format on */

/* Their one label is the stream. */
static const struct stream_row {
    const char *family;
    enum kind kind;
    const char *help;
} stream_rows[METRIC_STREAM_COUNT] = {
    [METRIC_STREAM_FAILING] = { "stagepass_stream_failing", KIND_GAUGE,
                                "1 where a stream's last delivery failed, or where it has "
                                "stopped." },
    [METRIC_STREAM_BACKLOG] = { "stagepass_stream_backlog_entries", KIND_GAUGE,
                                "Entries that a stream has not got through yet." },
    [METRIC_STREAM_AGE] = { "stagepass_stream_oldest_seconds", KIND_GAUGE,
                            "Age of the oldest entry that a stream has yet to deliver; 0 where "
                            "there is none." },
    [METRIC_STREAM_SENT] = { "stagepass_stream_entries_total", KIND_COUNTER,
                             "Entries that a stream delivered, those that it delivered again "
                             "too." },
    [METRIC_STREAM_FAILURES] = { "stagepass_stream_failures_total", KIND_COUNTER,
                                 "Deliveries that failed; each is tried again." },
    [METRIC_STREAM_REFUSED] = { "stagepass_stream_refused_total", KIND_COUNTER,
                                "Entries that a receiver said it dropped." },
};

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
static const char *_Atomic kind_labels[METRIC_KINDS_MAX];
static _Atomic int64_t revocations[METRIC_KINDS_MAX][2];
static const char *_Atomic stream_names[METRIC_STREAMS_MAX];
static _Atomic int64_t stream_values[METRIC_STREAM_COUNT][METRIC_STREAMS_MAX];

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

void metric_stream_name(size_t number, const char *name)
{
    assert(number < METRIC_STREAMS_MAX);
    for (size_t i = 0; i < METRIC_STREAM_COUNT; i++)
        atomic_store_explicit(&stream_values[i][number], 0, memory_order_relaxed);
    atomic_store(&stream_names[number], name);
}

void metric_stream_add(enum metric_of_stream metric, size_t number, int64_t amount)
{
    assert((size_t)metric < METRIC_STREAM_COUNT && number < METRIC_STREAMS_MAX);
    atomic_fetch_add_explicit(&stream_values[metric][number], amount, memory_order_relaxed);
}

void metric_stream_set(enum metric_of_stream metric, size_t number, int64_t value)
{
    assert((size_t)metric < METRIC_STREAM_COUNT && number < METRIC_STREAMS_MAX);
    atomic_store_explicit(&stream_values[metric][number], value, memory_order_relaxed);
}

int64_t metric_stream_get(enum metric_of_stream metric, size_t number)
{
    assert((size_t)metric < METRIC_STREAM_COUNT && number < METRIC_STREAMS_MAX);
    return atomic_load_explicit(&stream_values[metric][number], memory_order_relaxed);
}

/* The row of a kind, which the first that asks for it takes; past the last one all share that. */
static size_t row_of_kind(const char *kind)
{
    for (size_t i = 0; i + 1 < METRIC_KINDS_MAX; i++) {
        const char *label = NULL;

        if (atomic_compare_exchange_strong(&kind_labels[i], &label, kind) ||
            strcmp(label, kind) == 0)
            return i;
    }
    return METRIC_KINDS_MAX - 1;
}

void metric_add_revocations(const char *kind, bool is_done, int64_t amount)
{
    atomic_fetch_add_explicit(&revocations[row_of_kind(kind)][is_done ? 1 : 0], amount,
                              memory_order_relaxed);
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

static void write_of_streams(struct buf *buf, enum metric_of_stream metric)
{
    const struct stream_row *row = &stream_rows[metric];

    write_head(buf, row->family, row->help, kind_names[row->kind]);
    for (size_t i = 0; i < METRIC_STREAMS_MAX; i++) {
        const char *name = atomic_load(&stream_names[i]);

        if (name != NULL)
            buf_printf(buf, "%s{stream=\"%s\"} %" PRId64 "\n", row->family, name,
                       metric_stream_get(metric, i));
    }
}

static void write_revocations(struct buf *buf)
{
    static const char *const outcomes[] = { "failed", "done" };

    write_head(buf, "stagepass_revocations_total",
               "Credentials that were to be ended at their targets; each is tried until it is "
               "done.",
               kind_names[KIND_COUNTER]);
    for (size_t i = 0; i < METRIC_KINDS_MAX; i++) {
        const char *kind = atomic_load(&kind_labels[i]);

        for (size_t k = 0; kind != NULL && k < COUNT(outcomes); k++)
            buf_printf(buf, "stagepass_revocations_total{kind=\"%s\",outcome=\"%s\"} %" PRId64 "\n",
                       kind, outcomes[k],
                       atomic_load_explicit(&revocations[i][k], memory_order_relaxed));
    }
}

void metrics_write(struct buf *buf)
{
    for (enum metric metric = 0; metric < METRIC_COUNT; metric++)
        write_metric(buf, metric);
    for (enum metric_of_stream metric = 0; metric < METRIC_STREAM_COUNT; metric++)
        write_of_streams(buf, metric);
    write_revocations(buf);
    for (enum metric_timer timer = 0; timer < METRIC_TIMER_COUNT; timer++)
        write_timer(buf, timer);
}
