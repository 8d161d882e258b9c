#include "broker.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include "api/api.h"
#include "api/readings.h"
#include "base/clock.h"
#include "base/diagnostic.h"
#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "base/metrics.h"
#include "config/config.h"
#include "exchange/denials.h"
#include "exchange/exchange.h"
#include "exchange/rules.h"
#include "http/http.h"
#include "identity/dpop_nonce.h"
#include "identity/identity.h"
#include "keys/keys.h"
#include "ledger/ledger.h"
#include "policy/policy.h"
#include "reload.h"
#include "upstream/upstream.h"

#define ADMIN_CONNECTIONS 64
#define DRAIN_TIMEOUT_MS 20000
#define KEYS_CHECK_S 600
#define RELOAD_ARENA_MAX ((size_t)4 * 1024 * 1024)
#define URL_MAX 320

struct broker {
    const char *config_path;
    const struct config *config; /* the first one: listeners, store and keys keep to it */
    struct rules *first_rules;   /* a reference for the broker's life */
    struct upstream *upstream;
    struct keys *keys;
    struct ledger *ledger;
    struct denials *denials;
    struct readings *readings;
    struct dpop_nonces *nonces;
    struct rules_table *rules;
    struct exchange_service service;
    struct api api;
    struct http_server *public_server;
    struct http_server *admin_server;
    char url[URL_MAX];
    char admin_url[URL_MAX];
    int64_t keys_checked_s;
    _Atomic bool is_stopping;
    _Atomic bool has_failed_reload;
};

const char *broker_url(const struct broker *broker)
{
    return broker->url;
}

const char *broker_admin_url(const struct broker *broker)
{
    return broker->admin_url;
}

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
}

static const char *not_ready(void *context)
{
    struct broker *broker = context;

    if (broker->is_stopping)
        return "stopping";
    return ledger_is_writable(broker->ledger) ? NULL : "the ledger cannot be written";
}

static const char *degraded(void *context)
{
    struct broker *broker = context;
    struct rules *rules = rules_get(broker->rules);
    const char *issuer = identity_degraded(rules->identity);

    if (!issuer && rules->people_identity)
        issuer = identity_degraded(rules->people_identity);
    rules_put(broker->rules, rules);
    if (broker->has_failed_reload)
        return "the last reload failed: the configuration and policy before it are in force";
    return issuer ? "an issuer's keys cannot be refreshed" : NULL;
}

/* One entry by the broker about itself, durable before it goes on. */
static bool record(struct broker *broker, json_t *take_entry, struct error *error)
{
    struct ledger_append append = { .entries = { take_entry }, .entry_count = 1 };
    bool is_written = take_entry ? ledger_append_now(broker->ledger, &append, error)
                                 : error_set(error, ERROR_MEMORY, "entry");

    json_decref(take_entry);
    return is_written;
}

static bool record_start(struct broker *broker, struct error *error)
{
    json_t *entry = entry_new(ENTRY_BROKER_STARTED, ledger_broker(broker->ledger));

    if (!json_put(entry, "detail", json_string("stagepassd " STAGEPASS_VERSION))) {
        json_decref(entry);
        entry = NULL;
    }
    return record(broker, entry, error);
}

static bool record_policy(struct broker *broker, const struct rules *rules, struct error *error)
{
    json_t *entry = entry_new(ENTRY_POLICY_ACTIVATED, ledger_broker(broker->ledger));
    struct buf hash;
    bool is_put;

    buf_init(&hash, 128);
    buf_add_text(&hash, "sha256:");
    buf_add_hex(&hash, (struct str){ (const char *)policy_sha256(rules->policy), SHA256_LEN });
    is_put = json_put(entry, "policy", json_from_str(buf_str(&hash)));
    buf_release(&hash);
    if (!is_put) {
        json_decref(entry);
        entry = NULL;
    }
    return record(broker, entry, error);
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
    return upstream_start(&broker->upstream, error);
}

/* Configuration, keys, then what both lead to: targets need keys, keys need the configuration. */
static bool start_rules(struct broker *broker, struct diagnostics *diagnostics, struct error *error)
{
    struct config *config;
    struct rules_sources sources = {
        .upstream = broker->upstream,
        .tools = &broker->service.tools,
        .diagnostics = diagnostics,
    };
    struct rules *rules;

    if (!config_load(broker->config_path, diagnostics, &config, error))
        return false;
    if (!keys_open(&config->keys, clock_wall_s(), &broker->keys, error)) {
        config_free(config);
        return false;
    }
    broker->service.tools = (struct target_tools){
        .keys = broker->keys,
        .upstream = broker->upstream,
        .issuer = config->issuer,
    };
    if (!rules_load(config, &sources, &rules, error))
        return false;
    broker->rules = rules_table_new(rules);
    if (!broker->rules) {
        rules_discard(rules);
        return error_set(error, ERROR_MEMORY, "rules");
    }
    broker->config = config;
    broker->first_rules = rules_get(broker->rules);
    return true;
}

static bool start_ledger(struct broker *broker, struct diagnostics *diagnostics,
                         struct error *error)
{
    const struct config *config = broker->config;
    struct ledger_options options = {
        .store = config->store,
        .origin = config->origin,
        .broker = config->broker,
    };

    (void)diagnostics;
    if (!keys_named(broker->keys, STR("ledger"), KEY_ED25519, &options.key, error) ||
        !ledger_open(&options, &broker->ledger, error))
        return false;
    broker->denials = denials_new();
    if (!broker->denials)
        return error_set(error, ERROR_MEMORY, "denials");
    broker->readings = readings_new();
    if (!broker->readings)
        return error_set(error, ERROR_MEMORY, "readings");
    if (!dpop_nonces_new(config->broker, &broker->nonces, error))
        return false;
    return record_start(broker, error) && record_policy(broker, broker->first_rules, error);
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
    broker->api = (struct api){
        .service = &broker->service,
        .issuer = broker->config->issuer,
        .nonces = broker->nonces,
        .algorithm = broker->config->keys.issuer_algorithm == KEY_RS256 ? "RS256" : "ES256",
        .readings = broker->readings,
        .not_ready = not_ready,
        .degraded = degraded,
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
    if (!start_http(starting, error))
        return false;
    *broker = TAKE(starting);
    return true;
}

bool broker_check(const char *config_path, struct diagnostics *diagnostics, struct error *error)
{
    struct rules_sources sources = { .diagnostics = diagnostics };
    struct upstream *upstream = NULL;
    struct rules *rules = NULL;
    struct config *config;
    bool is_good;

    if (!config_load(config_path, diagnostics, &config, error))
        return false;
    if (!upstream_start(&upstream, error)) {
        config_free(config);
        return false;
    }
    sources.upstream = upstream;
    is_good = rules_load(config, &sources, &rules, error);
    rules_discard(rules);
    upstream_stop(upstream);
    return is_good;
}

static bool is_same_path(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool is_same_listener(const struct config_listen *a, const struct config_listen *b)
{
    return a->port == b->port && str_eq(a->address, b->address) &&
           is_same_path(a->certificate_file, b->certificate_file) &&
           is_same_path(a->key_file, b->key_file) &&
           is_same_path(a->client_ca_file, b->client_ca_file);
}

/* What a reload cannot change, since it is in use for the broker's life: its key in broker.yaml. */
static const char *find_fixed_change(const struct config *a, const struct config *b)
{
    const struct {
        const char *key;
        bool is_same;
    } rows[] = {
        { "issuer", str_eq(a->issuer, b->issuer) },
        { "broker", str_eq(a->broker, b->broker) },
        { "listen", is_same_listener(&a->listen, &b->listen) },
        { "admin", is_same_listener(&a->admin, &b->admin) },
        { "store", is_same_path(a->store, b->store) },
        { "keys.directory", is_same_path(a->keys.directory, b->keys.directory) },
        { "keys.algorithm", a->keys.issuer_algorithm == b->keys.issuer_algorithm },
        { "keys.rotate_every", a->keys.rotate_every_s == b->keys.rotate_every_s },
        { "ledger.origin", str_eq(a->origin, b->origin) },
        { "limits.connections", a->limits.connections == b->limits.connections },
        { "limits.threads", a->limits.threads == b->limits.threads },
    };

    for (size_t i = 0; i < COUNT(rows); i++)
        if (!rows[i].is_same)
            return rows[i].key;
    return NULL;
}

static bool load_again(struct broker *broker, struct diagnostics *diagnostics, struct error *error)
{
    struct rules *previous = rules_get(broker->rules);
    struct rules_sources sources = {
        .upstream = broker->upstream,
        .previous = previous,
        .tools = &broker->service.tools,
        .diagnostics = diagnostics,
    };
    const char *fixed = NULL;
    struct rules *rules = NULL;
    struct config *config;
    bool is_good;

    is_good = config_load(broker->config_path, diagnostics, &config, error);
    if (is_good)
        fixed = find_fixed_change(broker->config, config);
    if (fixed) {
        config_free(config);
        is_good = error_set(error, ERROR_CONFIG, "'%s' changes by a restart only", fixed);
    } else if (is_good)
        is_good = rules_load(config, &sources, &rules, error);
    rules_put(broker->rules, previous);
    if (!is_good || !rules)
        return false;
    /* The entry comes first: no policy decides that the ledger does not know. */
    if (!record_policy(broker, rules, error)) {
        rules_discard(rules);
        return false;
    }
    rules_swap(broker->rules, rules);
    return true;
}

static void log_diagnostics(const struct diagnostics *diagnostics)
{
    struct log_line line;

    for (size_t i = 0; i < diagnostics->count; i++) {
        const struct diagnostic *diagnostic = &diagnostics->list[i];

        log_begin(&line, LOG_LEVEL_ERROR, "broker.config_mistake");
        log_str(&line, "file", diagnostic->at.file);
        log_int(&line, "line", (int64_t)diagnostic->at.line);
        log_int(&line, "column", (int64_t)diagnostic->at.column);
        log_str(&line, "message", diagnostic->message);
        log_end(&line);
    }
}

static void log_reload(bool is_good, const struct error *error)
{
    struct log_line line;

    metric_add(is_good ? METRIC_RELOADS : METRIC_RELOAD_FAILURES, 1);
    log_begin(&line, is_good ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR,
              is_good ? "broker.reloaded" : "broker.reload_failed");
    if (!is_good)
        log_error(&line, error);
    log_end(&line);
}

static void reload(struct broker *broker)
{
    OWNED(arena_free) struct arena *arena = arena_new(RELOAD_ARENA_MAX);
    struct diagnostics diagnostics = { 0 };
    struct error error = { 0 };
    bool is_good = arena != NULL;

    if (is_good) {
        diagnostics_init(&diagnostics, arena);
        is_good = load_again(broker, &diagnostics, &error);
        log_diagnostics(&diagnostics);
    } else
        (void)error_set(&error, ERROR_MEMORY, "reload");
    if (is_good && broker->config->listen.certificate_file)
        is_good = http_reload_certificate(broker->public_server, &error);
    broker->has_failed_reload = !is_good;
    log_reload(is_good, &error);
}

static bool record_keys_changed(const struct identity_keys_change *change, void *context)
{
    struct broker *broker = context;
    json_t *entry = entry_new(ENTRY_ISSUER_KEYS_CHANGED, ledger_broker(broker->ledger));
    struct error error = { 0 };
    struct log_line line;
    bool is_recorded;

    if (!json_put(entry, "issuer", json_from_str(change->issuer)) ||
        !json_put(entry, "added", json_incref(json_iterable(change->added))) ||
        !json_put(entry, "removed", json_incref(json_iterable(change->removed)))) {
        json_decref(entry);
        entry = NULL;
    }
    is_recorded = record(broker, entry, &error);
    log_begin(&line, is_recorded ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR,
              is_recorded ? "issuer.keys_changed" : "ledger.append_failed");
    log_str(&line, "issuer", change->issuer);
    log_int(&line, "added", (int64_t)json_array_size(change->added));
    log_int(&line, "removed", (int64_t)json_array_size(change->removed));
    if (!is_recorded)
        log_error(&line, &error);
    log_end(&line);
    return is_recorded;
}

static void log_not_kept(struct str issuer, const struct error *why, void *context)
{
    struct log_line line;

    (void)context;
    log_begin(&line, LOG_LEVEL_WARN, "issuer.keys_not_kept");
    log_str(&line, "issuer", issuer);
    log_error(&line, why);
    log_end(&line);
}

static void tend_issuers(struct broker *broker)
{
    const struct identity_listener listener = { record_keys_changed, log_not_kept, broker };
    struct rules *rules = rules_get(broker->rules);

    identity_tend(rules->identity, &listener);
    if (rules->people_identity)
        identity_tend(rules->people_identity, &listener);
    rules_put(broker->rules, rules);
}

static void rotate_keys(struct broker *broker, int64_t now_s)
{
    struct error error = { 0 };
    bool has_rotated = false;
    struct log_line line;

    if (now_s - broker->keys_checked_s < KEYS_CHECK_S)
        return;
    broker->keys_checked_s = now_s;
    if (keys_rotate(broker->keys, now_s, &has_rotated, &error) && !has_rotated)
        return;
    if (error.code == ERROR_NONE &&
        record(broker, entry_new(ENTRY_KEYS_ROTATED, ledger_broker(broker->ledger)), &error)) {
        log_begin(&line, LOG_LEVEL_INFO, "keys.rotated");
        log_end(&line);
        return;
    }
    log_begin(&line, LOG_LEVEL_ERROR, "keys.rotation_failed");
    log_error(&line, &error);
    log_end(&line);
}

/* Once a second: what is due, and whether we may go on at all. */
static bool tick(struct broker *broker, struct error *error)
{
    int64_t now_s = clock_wall_s();
    struct error flush = { 0 };
    struct log_line line;

    metric_set(METRIC_LEASES_LIVE, (int64_t)ledger_live_lease_count(broker->ledger));
    if (!denials_flush(broker->denials, broker->ledger, now_s, &flush) ||
        !readings_flush(broker->readings, broker->ledger, &flush)) {
        log_begin(&line, LOG_LEVEL_ERROR, "ledger.append_failed");
        log_error(&line, &flush);
        log_end(&line);
    }
    rotate_keys(broker, now_s);
    tend_issuers(broker);
    if (ledger_has_failed(broker->ledger))
        return error_set(error, ERROR_LEDGER, "the store failed to sync: it needs a restart");
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

bool broker_run(struct broker *broker, struct error *error)
{
    const struct timespec second = { .tv_sec = 1 };
    sigset_t set = handled_signals();
    struct log_line line;

    log_ready(broker);
    for (;;) {
        int number = sigtimedwait(&set, NULL, &second);

        if (number == SIGHUP)
            reload(broker);
        else if (number == SIGINT || number == SIGTERM)
            break;
        if (!tick(broker, error))
            return false;
    }
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

    if (!broker->readings || !broker->denials || !broker->ledger ||
        (denials_flush(broker->denials, broker->ledger, next_minute_s, &error) &&
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
    upstream_stop(broker->upstream);
    if (broker->rules && broker->ledger)
        tend_issuers(broker); /* what came in the last second */
    flush_all(broker);
    ledger_close(broker->ledger);
    denials_free(broker->denials);
    readings_free(broker->readings);
    dpop_nonces_free(broker->nonces);
    if (broker->rules)
        rules_put(broker->rules, broker->first_rules);
    rules_table_free(broker->rules);
    keys_close(broker->keys);
    free(broker);
}
