#include "broker.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include "api/api.h"
#include "api/policy_report.h"
#include "api/readings.h"
#include "base/budget.h"
#include "base/clock.h"
#include "base/diagnostic.h"
#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/workers.h"
#include "config/config.h"
#include "ending.h"
#include "exchange/approval.h"
#include "exchange/ender.h"
#include "exchange/exchange.h"
#include "exchange/lists.h"
#include "exchange/rules.h"
#include "exchange/tally.h"
#include "exchange/token_lists.h"
#include "expiries.h"
#include "http/http.h"
#include "http/tls.h"
#include "identity/dpop_nonce.h"
#include "identity/identity.h"
#include "issuer_tending.h"
#include "key_tending.h"
#include "keys/authority.h"
#include "keys/keys.h"
#include "ledger/block.h"
#include "ledger/ledger.h"
#include "ledger_tending.h"
#include "list_tending.h"
#include "loading.h"
#include "reload.h"
#include "stream/stream.h"
#include "upstream/upstream.h"
#include "witnessing.h"

#define ADMIN_CONNECTIONS 64
#define BUDGET_ADDRESSES ((size_t)64 * 1024)
#define BUDGET_ISSUERS 1024
#define BUDGET_STAGES 8192
#define DRAIN_TIMEOUT_MS 20000
#define TICK_MS 1000
#define URL_MAX 320
#define WORKER_COUNT 16 /* most of them wait for a target */
#define WORKER_QUEUE 1024
#define SIGNER_COUNT 8 /* they wait for a token */
#define SIGNER_QUEUE 64

struct broker {
    const char *config_path;
    struct config *config; /* the first one: listeners, store and keys keep to it; one reference */
    struct upstream *upstream;
    struct workers *workers;
    struct workers *signers; /* where our keys are in a token */
    struct keys *keys;
    struct key_tending key_tending;
    struct ledger *ledger;
    struct streams *streams; /* of the ledger's entries, to others */
    struct witnessing witnessing;
    struct budgets *addresses;
    struct budgets *issuers;
    struct budgets *stages;
    struct tally *denials;
    struct polls *polls;
    struct tally *differences; /* of a shadow policy's decisions */
    struct lists *lists;       /* of revoked certificates */
    struct readings *readings;
    struct dpop_nonces *nonces;
    struct loading *loading;
    struct rules_table *rules; /* of `loading` */
    struct policy_reports *reports;
    struct exchange_service service;
    struct ender *ender; /* of leases */
    struct api api;
    struct http_server *public_server;
    struct http_server *admin_server;
    char url[URL_MAX];
    char admin_url[URL_MAX];
    struct expiries expiries;
    struct ledger_tending ledger_tending;
    struct list_tending list_tending;
    _Atomic bool is_stopping;
    _Atomic bool has_no_blocks;                  /* they cannot be read: nothing is issued */
    _Atomic int64_t certificate_failing_since_s; /* 0: it is the newest one */
};

static sigset_t handled_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    return set;
}

void broker_block_signals(void)
{
    sigset_t set = handled_signals();

    (void)pthread_sigmask(SIG_BLOCK, &set, NULL); /* cannot fail with a valid set */
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ,
                 SIG_IGN); /* a file at its limit is an error of the write, as a full disk */
}

static const char *not_ready(void *context)
{
    struct broker *broker = context;

    if (broker->is_stopping)
        return "stopping";
    if (broker->has_no_blocks)
        return "the blocks cannot be read";
    if (!key_tending_has_keys(&broker->key_tending))
        return "the token with the broker's keys does not serve";
    return ledger_is_writable(broker->ledger) ? NULL : "the ledger cannot be written";
}

/* The policy first: it says most. */
static bool is_loading_degraded(struct broker *broker, struct api_degraded *out)
{
    struct policy_report report;

    policy_report_read(broker->reports, POLICY_FOLDER_ACTIVE, &report);
    if (report.since_s != 0) {
        *out = (struct api_degraded){
            .why = "the policy does not load: what was in force before stays",
            .since_s = report.since_s,
            .error_count = report.error_count,
        };
        return true;
    }
    out->why = "the last reload failed: the configuration and policy before it are in force";
    out->since_s = loading_failing_since_s(broker->loading);
    if (out->since_s != 0)
        return true;
    out->why = "the TLS certificate does not load: the one before it is in force";
    out->since_s = broker->certificate_failing_since_s;
    return out->since_s != 0;
}

static bool degraded(void *context, struct api_degraded *out)
{
    struct broker *broker = context;
    struct rules *rules = rules_get(broker->rules);
    const char *issuer = identity_degraded(rules->identity);

    if (!issuer && rules->people_identity)
        issuer = identity_degraded(rules->people_identity);
    rules_put(broker->rules, rules);
    *out = (struct api_degraded){ 0 };
    if (is_loading_degraded(broker, out))
        return true;
    out->why =
        issuer ? "an issuer's keys cannot be refreshed" : witnessing_degraded(broker->ledger);
    if (out->why)
        return true;
    out->why = "credentials of leases that ended cannot be ended at their targets";
    if (ending_degraded(broker->ledger, clock_wall_s(), &out->since_s))
        return true;
    out->why = "a stream of entries does not get through";
    return streams_degraded(broker->streams, &out->since_s);
}

static bool record_start(struct broker *broker, struct error *error)
{
    JSON_OWNED json_t *entry = entry_new(ENTRY_BROKER_STARTED, ledger_broker(broker->ledger));

    if (!json_put(entry, "detail", json_string("stagepassd " STAGEPASS_VERSION)))
        return error_set(error, ERROR_MEMORY, "no memory for an entry");
    return ledger_record(broker->ledger, entry, error);
}

/* Each connection is a descriptor: as many as the system lets us have. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* up to the hard limit it may always go */
}

static bool start_upstream(struct broker *broker, struct error *error)
{
    return workers_start(WORKER_COUNT, WORKER_QUEUE, &broker->workers, error) &&
           upstream_start(&broker->upstream, error);
}

/* Configuration, keys, then what both lead to: targets need keys, keys need the configuration. */
static bool start_rules(struct broker *broker, struct diagnostics *diagnostics, struct error *error)
{
    struct loading_options options = {
        .config_path = broker->config_path,
        .upstream = broker->upstream,
        .tools = &broker->service.tools,
    };

    if (!config_load(broker->config_path, diagnostics, &broker->config, error) ||
        !keys_open(&broker->config->keys, clock_wall_s(), &broker->keys, error))
        return false;
    if (keys_may_block(broker->keys) &&
        !workers_start(SIGNER_COUNT, SIGNER_QUEUE, &broker->signers, error))
        return false;
    broker->key_tending.keys = broker->keys;
    broker->key_tending.workers = broker->workers;
    broker->service.tools = (struct target_tools){
        .keys = broker->keys,
        .upstream = broker->upstream,
        .workers = broker->workers,
        .signers = broker->signers,
        .issuer = broker->config->issuer,
    };
    broker->reports = policy_reports_new();
    if (!broker->reports)
        return error_set(error, ERROR_MEMORY, "reports");
    options.config = broker->config;
    options.reports = broker->reports;
    if (!loading_start(&options, diagnostics, &broker->loading, error))
        return false;
    broker->rules = loading_rules(broker->loading);
    return true;
}

static bool start_ledger(struct broker *broker, struct diagnostics *diagnostics,
                         struct error *error)
{
    const struct config *config = broker->config;

    (void)diagnostics;
    if (!witnessing_open(config, broker->keys, broker->upstream, true, &broker->ledger, error))
        return false;
    broker->denials = tally_new(DENIALS_SINGLE_MAX);
    broker->differences = tally_new(0);
    broker->lists =
        lists_new(&(struct token_lists_signer){ broker->keys, broker->service.tools.issuer });
    broker->polls = polls_new();
    if (!broker->denials || !broker->differences || !broker->lists || !broker->polls)
        return error_set(error, ERROR_MEMORY, "tallies, lists and polls");
    broker->addresses = budgets_new(BUDGET_ADDRESSES);
    broker->issuers = budgets_new(BUDGET_ISSUERS);
    broker->stages = budgets_new(BUDGET_STAGES);
    if (!broker->addresses || !broker->issuers || !broker->stages)
        return error_set(error, ERROR_MEMORY, "budgets");
    broker->readings = readings_new();
    if (!broker->readings)
        return error_set(error, ERROR_MEMORY, "readings");
    if (!dpop_nonces_new(config->broker, &broker->nonces, error))
        return false;
    return record_start(broker, error) && witnessing_record_keys(broker->ledger, error) &&
           loading_activate(broker->loading, broker->ledger, error);
}

static void log_stream_failed(const char *stream, bool is_stopped, const struct error *why,
                              void *context)
{
    struct log_line line;

    (void)context;
    log_begin(&line, is_stopped ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN,
              is_stopped ? "stream.stopped" : "stream.failed");
    log_text(&line, "stream", stream);
    log_error(&line, why);
    log_end(&line);
}

static void log_stream_recovered(const char *stream, void *context)
{
    struct log_line line;

    (void)context;
    log_begin(&line, LOG_LEVEL_INFO, "stream.recovered");
    log_text(&line, "stream", stream);
    log_end(&line);
}

static bool start_streams(struct broker *broker, struct error *error)
{
    const struct config *config = broker->config;
    const struct streams_environment environment = {
        .ledger = broker->ledger,
        .upstream = broker->upstream,
        .folder = config->streams_folder,
        .origin = config->origin,
        .failed = log_stream_failed,
        .recovered = log_stream_recovered,
    };

    return streams_start(config->streams, config->stream_count, &environment, &broker->streams,
                         error);
}

static void write_url(char *out, const struct config_listen *listen, uint16_t port)
{
    bool is_v6 = str_find(listen->address, ':') < listen->address.len;

    (void)snprintf(out, URL_MAX, "%s://%s" STR_FMT "%s:%u",
                   listen->certificate_file ? "https" : "http", is_v6 ? "[" : "",
                   STR_ARG(listen->address), is_v6 ? "]" : "", port);
}

static unsigned thread_count(const struct config *config)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    if (config->limits.threads > 0)
        return (unsigned)config->limits.threads;
    return cores > 0 ? (unsigned)cores : 1;
}

static bool start_http(struct broker *broker, struct error *error)
{
    const struct config *config = broker->config;
    struct http_options public_options = {
        .address = config->listen.address,
        .port = config->listen.port,
        .thread_count = thread_count(config),
        .routes = api_routes,
        .authorize = people_authorize,
        .route_count = api_route_count,
        .context = &broker->api,
        .certificate_file = config->listen.certificate_file,
        .key_file = config->listen.key_file,
        .client_ca_file = config->listen.client_ca_file,
        .connections_max = (unsigned)config->limits.connections,
    };
    struct http_options admin_options = {
        .address = config->admin.address,
        .port = config->admin.port,
        .thread_count = 1,
        .routes = api_admin_routes,
        .route_count = api_admin_route_count,
        .context = &broker->api,
        .connections_max = ADMIN_CONNECTIONS,
    };

    if (!http_start(&admin_options, &broker->admin_server, error) ||
        !http_start(&public_options, &broker->public_server, error))
        return false;
    write_url(broker->url, &config->listen, http_port(broker->public_server));
    write_url(broker->admin_url, &config->admin, http_port(broker->admin_server));
    return true;
}

static void wire(struct broker *broker)
{
    broker->service.rules = broker->rules;
    broker->service.ledger = broker->ledger;
    broker->service.denials = broker->denials;
    broker->service.addresses = broker->addresses;
    broker->service.issuers = broker->issuers;
    broker->service.stages = broker->stages;
    broker->service.polls = broker->polls;
    broker->service.differences = broker->differences;
    broker->service.lists = broker->lists;
    broker->api = (struct api){
        .service = &broker->service,
        .issuer = broker->config->issuer,
        .nonces = broker->nonces,
        .readings = broker->readings,
        .reports = broker->reports,
        .policies_folder = broker->config->policies_folder,
        .not_ready = not_ready,
        .degraded = degraded,
        .note = broker->config->ledger.witness_count + broker->config->ledger.mirror_count > 0
                    ? NULL
                    : "the ledger has neither witness nor mirror: nobody outside holds the "
                      "operator to it",
        .context = broker,
    };
}

bool broker_start(const char *config_path, struct diagnostics *diagnostics, struct broker **broker,
                  struct error *error)
{
    OWNED(broker_stop) struct broker *starting = calloc(1, sizeof(*starting));

    if (!starting)
        return error_set(error, ERROR_MEMORY, "broker");
    starting->config_path = config_path;
    raise_descriptor_limit();
    if (!start_upstream(starting, error) || !start_rules(starting, diagnostics, error) ||
        !start_ledger(starting, diagnostics, error))
        return false;
    wire(starting);
    if (!start_streams(starting, error) ||
        !ending_start(&starting->service, &starting->ender, error))
        return false;
    starting->service.ender = starting->ender;
    if (!start_http(starting, error))
        return false;
    *broker = TAKE(starting);
    return true;
}

/* The broker would start without a shadow policy that does not load, so these are warnings. */
static void warn_of_shadow(struct diagnostics *shadow, const struct error *error,
                           struct diagnostics *diagnostics)
{
    if (error->code != ERROR_NONE)
        (void)diagnostics_add(shadow, DIAGNOSTIC_ERROR, (struct position){ 0 }, STR(""), STR(""),
                              "there would be no shadow policy: %s", error->cause);
    for (size_t i = 0; i < shadow->count; i++)
        shadow->list[i].severity = DIAGNOSTIC_WARNING;
    shadow->error_count = 0;
    diagnostics_append(diagnostics, shadow);
}

/* Only a warning, since whoever checks need not be who may read the key. */
static void warn_of_certificate(const struct config *config, const char *config_path,
                                struct diagnostics *diagnostics)
{
    const struct config_listen *listen = &config->listen;
    OWNED(tls_close) struct tls *tls = NULL;
    struct error error = { 0 };

    if (listen->certificate_file &&
        !tls_open(listen->certificate_file, listen->key_file, listen->client_ca_file, &tls, &error))
        (void)diagnostics_add(diagnostics, DIAGNOSTIC_WARNING,
                              (struct position){ .file = str_from(config_path) }, STR(""), STR(""),
                              "the broker would not start: %s", error.cause);
}

bool broker_check(const char *config_path, struct diagnostics *diagnostics, struct error *error)
{
    struct diagnostics shadow_diagnostics = { 0 };
    struct rules_sources sources = {
        .diagnostics = diagnostics,
        .shadow_diagnostics = &shadow_diagnostics,
    };
    OWNED(config_unref) struct config *config = NULL;
    struct rules_outcome outcome;
    struct rules *rules = NULL;
    bool is_good;

    diagnostics_init(&shadow_diagnostics, diagnostics->arena);
    if (!config_load(config_path, diagnostics, &config, error) ||
        !upstream_start(&sources.upstream, error))
        return false;
    is_good = rules_load(config, &sources, &outcome, &rules, error);
    warn_of_shadow(&shadow_diagnostics, &outcome.shadow_error, diagnostics);
    warn_of_certificate(config, config_path, diagnostics);
    rules_discard(rules);
    upstream_stop(sources.upstream);
    return is_good;
}

static void reload_certificate(struct broker *broker)
{
    struct error error = { 0 };
    struct log_line line;

    if (!broker->config->listen.certificate_file)
        return;
    if (http_reload_certificate(broker->public_server, &error)) {
        broker->certificate_failing_since_s = 0;
        return;
    }
    if (broker->certificate_failing_since_s == 0)
        broker->certificate_failing_since_s = clock_wall_s();
    metric_add(METRIC_RELOAD_FAILURES, 1);
    log_begin(&line, LOG_LEVEL_ERROR, "broker.reload_failed");
    log_error(&line, &error);
    log_end(&line);
}

/*
 * The certificate by itself, so that a policy with a mistake does not keep one that ends soon; and
 * first, so that it is in force when the log says that the rest is.
 */
static void reload(struct broker *broker)
{
    reload_certificate(broker);
    loading_reload(broker->loading);
}

static void rotate_keys(struct broker *broker, int64_t now_s)
{
    JSON_OWNED json_t *entry = NULL;
    struct error error = { 0 };
    struct log_line line;
    bool is_recorded;

    if (!key_tending_rotate(&broker->key_tending, now_s))
        return;
    entry = entry_new(ENTRY_KEYS_ROTATED, ledger_broker(broker->ledger));
    is_recorded = ledger_record(broker->ledger, entry, &error);
    log_begin(&line, is_recorded ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR,
              is_recorded ? "keys.rotated" : "ledger.append_failed");
    if (!is_recorded)
        log_error(&line, &error);
    log_end(&line);
}

static void measure_rules(struct broker *broker, int64_t now_s)
{
    struct rules *rules = rules_get(broker->rules);
    struct identity_health health = { 0 };

    metric_set(METRIC_POLICY_AGE, now_s - rules->activated_s);
    identity_measure(rules->identity, &health);
    if (rules->people_identity)
        identity_measure(rules->people_identity, &health);
    metric_set(METRIC_ISSUERS_FAILING, (int64_t)health.failing);
    metric_set(METRIC_ISSUERS_FAILING_S, health.longest_s);
    rules_put(broker->rules, rules);
}

/* Also reads those that came, so that no request has to. */
static void measure_blocks(struct broker *broker, int64_t now_s)
{
    OWNED(block_view_put) struct block_view *view = NULL;
    struct error error = { 0 };
    struct log_line line;
    bool is_read = ledger_blocks(broker->ledger, false, &view, &error);

    if (is_read)
        metric_set(METRIC_BLOCKS, (int64_t)block_view_count(view, now_s));
    if (!is_read && !broker->has_no_blocks) {
        log_begin(&line, LOG_LEVEL_ERROR, "blocks.unreadable");
        log_error(&line, &error);
        log_end(&line);
    }
    broker->has_no_blocks = !is_read;
}

static void measure_authorities(struct broker *broker, int64_t now_s)
{
    struct authority_health health;

    keys_authority_health(broker->keys, now_s, &health);
    metric_set(METRIC_CA_ENDS, health.ends_s);
    metric_set(METRIC_CA_LACKING, (int64_t)health.lacking);
    metric_set(METRIC_CA_WAITING, (int64_t)health.waiting);
}

/* Once a second: what is due, and whether we may go on at all. */
static bool tick(struct broker *broker, struct error *error)
{
    int64_t now_s = clock_wall_s();
    struct error flush = { 0 };
    struct log_line line;

    metric_set(METRIC_LEASES_LIVE, (int64_t)ledger_live_lease_count(broker->ledger));
    ending_measure(broker->ledger, now_s);
    measure_blocks(broker, now_s);
    measure_rules(broker, now_s);
    expiries_measure(&broker->expiries, broker->rules, broker->public_server, now_s);
    ledger_tending_measure(&broker->ledger_tending, broker->ledger, now_s);
    witnessing_tend(&broker->witnessing, broker->ledger, broker->config);
    if (!tally_flush(broker->denials, broker->ledger, now_s, &flush) ||
        !tally_flush(broker->differences, broker->ledger, now_s, &flush) ||
        !readings_flush(broker->readings, broker->ledger, &flush)) {
        log_begin(&line, LOG_LEVEL_ERROR, "ledger.append_failed");
        log_error(&line, &flush);
        log_end(&line);
    }
    ledger_tending_prune(&broker->ledger_tending, broker->ledger, broker->config->ledger.keep_s);
    rules_reap(broker->rules);
    rotate_keys(broker, now_s);
    key_tending_token(&broker->key_tending);
    issuers_tend(broker->rules, broker->ledger);
    list_tending_tend(&broker->list_tending, broker->lists, broker->rules, broker->ledger, now_s);
    measure_authorities(broker, now_s);
    if (ledger_has_failed(broker->ledger))
        return error_set(
            error, ERROR_LEDGER,
            "the ledger met a write error, or its database went back: a restart is needed");
    return true;
}

static void log_ready(const struct broker *broker)
{
    struct log_line line;

    log_begin(&line, LOG_LEVEL_INFO, "broker.ready");
    log_text(&line, "url", broker->url);
    log_text(&line, "admin", broker->admin_url);
    log_end(&line);
#ifdef HAVE_SYSTEMD
    (void)sd_notify(0, "READY=1"); /* nobody listens outside systemd */
#endif
}

/* How long until something is due by the clock. Tests move it, so no longer than a second. */
static int wait_ms(const struct broker *broker, int64_t tick_ms)
{
    int64_t due_ms = loading_due_ms(broker->loading);
    int64_t left_ms = (due_ms < tick_ms ? due_ms : tick_ms) - clock_monotonic_ms();

    return left_ms < 0 ? 0 : (int)(left_ms < TICK_MS ? left_ms : TICK_MS);
}

/* Wait for a signal, a change of a folder, or the clock; the signal, or 0. */
static int wait_for_something(const struct broker *broker, int signals, int64_t tick_ms)
{
    struct pollfd files[] = {
        { .fd = signals, .events = POLLIN },
        { .fd = loading_descriptor(broker->loading), .events = POLLIN }, /* -1 is passed over */
    };
    struct signalfd_siginfo told;

    (void)poll(files, COUNT(files), wait_ms(broker, tick_ms)); /* whatever it says, we look */
    if (read(signals, &told, sizeof(told)) != (ssize_t)sizeof(told))
        return 0;
    return (int)told.ssi_signo;
}

static bool serve(struct broker *broker, int signals, struct error *error)
{
    int64_t tick_ms = clock_monotonic_ms() + TICK_MS;

    for (;;) {
        int number = wait_for_something(broker, signals, tick_ms);

        if (number == SIGHUP)
            reload(broker);
        else if (number != 0)
            return true;
        loading_tend(broker->loading, clock_monotonic_ms());
        if (clock_monotonic_ms() < tick_ms)
            continue;
        tick_ms = clock_monotonic_ms() + TICK_MS;
        if (!tick(broker, error))
            return false;
    }
}

bool broker_run(struct broker *broker, struct error *error)
{
    sigset_t set = handled_signals();
    int signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    struct log_line line;
    bool is_good;

    if (signals < 0)
        return error_set_errno(error, "signals cannot be waited for");
    ledger_tending_begin(
        &broker->ledger_tending); /* how the clocks stand before anybody sets one */
    log_ready(broker);
    is_good = serve(broker, signals, error);
    (void)close(signals); /* nothing to lose */
    if (!is_good)
        return false;
    broker->is_stopping = true;
    log_begin(&line, LOG_LEVEL_INFO, "broker.stopping");
    log_end(&line);
    return true;
}

/* Whoever read in the last second is written, too, and what was denied in the last minute. */
static void flush_all(struct broker *broker)
{
    int64_t next_minute_s = clock_wall_s() + 60;
    struct error error = { 0 };
    struct log_line line;

    if (!broker->readings || !broker->denials || !broker->differences || !broker->ledger ||
        (tally_flush(broker->denials, broker->ledger, next_minute_s, &error) &&
         tally_flush(broker->differences, broker->ledger, next_minute_s, &error) &&
         readings_flush(broker->readings, broker->ledger, &error)))
        return;
    log_begin(&line, LOG_LEVEL_ERROR, "ledger.append_failed");
    log_error(&line, &error);
    log_end(&line);
}

void broker_stop(struct broker *broker)
{
    if (!broker)
        return;
    broker->is_stopping = true;
    if (broker->public_server)
        http_drain(broker->public_server, DRAIN_TIMEOUT_MS);
    http_stop(broker->public_server);
    http_stop(broker->admin_server);
    ender_stop(broker->ender);
    streams_stop(broker->streams);
    ledger_leave_witnesses(broker->ledger);
    workers_stop(broker->signers);
    workers_stop(broker->workers);
    upstream_stop(broker->upstream);
    if (broker->rules && broker->ledger)
        issuers_tend(broker->rules, broker->ledger); /* what came in the last second */
    flush_all(broker);
    ledger_close(broker->ledger);
    tally_free(broker->denials);
    tally_free(broker->differences);
    lists_free(broker->lists);
    budgets_free(broker->addresses);
    budgets_free(broker->issuers);
    budgets_free(broker->stages);
    polls_free(broker->polls);
    readings_free(broker->readings);
    dpop_nonces_free(broker->nonces);
    loading_stop(broker->loading);
    policy_reports_free(broker->reports);
    config_unref(broker->config);
    keys_close(broker->keys);
    free(broker);
}
