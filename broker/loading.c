#include "loading.h"

#include <stdlib.h>
#include <string.h>

#include "activation.h"
#include "api/policy_report.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/diagnostic.h"
#include "base/error.h"
#include "base/log.h"
#include "base/metrics.h"
#include "config/config.h"
#include "exchange/rules.h"
#include "folder_watch.h"
#include "policy/policy.h"
#include "reload.h"

/*
 * Three things can be loaded: everything, the policy, the shadow policy. A load makes a snapshot
 * beside the one in force; a policy that is another one is kept and recorded; then the snapshot is
 * swapped in. Any step that fails leaves everything as it was.
 *
 * Where everything failed for its policy alone, a change of the policy loads everything again: the
 * configuration that was asked for is still to come into force.
 */

#define DIAGNOSTICS_ARENA_MAX ((size_t)4 * 1024 * 1024)
#define MISTAKES_LOGGED_MAX 3 /* in the line of a policy that did not load */
#define MISTAKE_TEXT_MAX ((size_t)1024)

/* Where a path stands in the watch: its bit. */
enum watched_path {
    WATCHED_POLICY,
    WATCHED_SHADOW,
    WATCHED_CATALOG,
    WATCHED_COUNT
};

struct loading {
    struct loading_options options;
    struct rules_table *rules;
    struct ledger *ledger;                     /* NULL before the first policy is recorded */
    struct folder_watch *watch;                /* NULL: `watch: false` */
    enum watched_path meanings[WATCHED_COUNT]; /* of the watch's paths */
    bool is_polling;
    bool wants_all;                  /* see above */
    _Atomic int64_t failing_since_s; /* of loading everything; 0: the last time was good */
};

/* A load on its way. */
struct load {
    struct loading *loading;
    struct arena *arena; /* of the diagnostics */
    struct diagnostics diagnostics;
    struct diagnostics shadow_diagnostics;
    struct rules_outcome outcome;
    struct rules *previous; /* the snapshot in force; one reference; NULL: there is none yet */
};

/* ---- a load's life ---- */

static void load_release(struct load *load)
{
    if (load->previous)
        rules_put(load->loading->rules, load->previous);
    arena_free(load->arena);
}

OWNED_VALUE(load_release, struct load)

static bool load_begin(struct loading *loading, struct load *load, struct error *error)
{
    load->loading = loading;
    load->arena = arena_new(DIAGNOSTICS_ARENA_MAX);
    if (!load->arena)
        return error_set(error, ERROR_MEMORY, "loading");
    diagnostics_init(&load->diagnostics, load->arena);
    diagnostics_init(&load->shadow_diagnostics, load->arena);
    if (loading->rules)
        load->previous = rules_get(loading->rules);
    return true;
}

static struct rules_sources sources_of(struct load *load)
{
    return (struct rules_sources){
        .upstream = load->loading->options.upstream,
        .previous = load->previous,
        .tools = load->loading->options.tools,
        .diagnostics = &load->diagnostics,
        .shadow_diagnostics = &load->shadow_diagnostics,
    };
}

/* ---- what is said ---- */

static void log_mistake(const struct diagnostic *diagnostic)
{
    bool is_error = diagnostic->severity == DIAGNOSTIC_ERROR;
    struct log_line line;

    log_begin(&line, is_error ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN,
              is_error ? "broker.config_mistake" : "broker.config_warning");
    log_str(&line, "file", diagnostic->at.file);
    log_int(&line, "line", (int64_t)diagnostic->at.line);
    log_int(&line, "column", (int64_t)diagnostic->at.column);
    log_str(&line, "message", diagnostic->message);
    log_end(&line);
}

static void log_mistakes(const struct diagnostics *diagnostics)
{
    for (size_t i = 0; i < diagnostics->count; i++)
        log_mistake(&diagnostics->list[i]);
}

/* The first mistakes as `mistake_1` and so on. */
static void add_mistakes(struct log_line *line, const struct diagnostics *diagnostics)
{
    static const char *const keys[MISTAKES_LOGGED_MAX] = { "mistake_1", "mistake_2", "mistake_3" };
    size_t logged = 0;

    for (size_t i = 0; i < diagnostics->count && logged < MISTAKES_LOGGED_MAX; i++) {
        OWNED(buf_release) struct buf text = { 0 };
        const struct diagnostic *diagnostic = &diagnostics->list[i];

        if (diagnostic->severity != DIAGNOSTIC_ERROR)
            continue;
        buf_init(&text, MISTAKE_TEXT_MAX);
        buf_printf(&text, STR_FMT ":%zu:%zu: " STR_FMT, STR_ARG(diagnostic->at.file),
                   diagnostic->at.line, diagnostic->at.column, STR_ARG(diagnostic->message));
        if (buf_is_ok(&text))
            log_str(line, keys[logged++], buf_str(&text));
    }
}

/* One line a load that failed, with its first mistakes. */
static void log_failure(const char *event, const struct diagnostics *diagnostics,
                        const struct error *error)
{
    struct log_line line;

    log_begin(&line, LOG_LEVEL_ERROR, event);
    log_int(&line, "errors", (int64_t)diagnostics->error_count);
    log_error(&line, error);
    add_mistakes(&line, diagnostics);
    log_end(&line);
}

static void add_hash(struct log_line *line, const char *key, const struct policy *policy)
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, 128);
    buf_add_text(&text, "sha256:");
    buf_add_hex(&text, (struct str){ (const char *)policy_sha256(policy), SHA256_LEN });
    if (buf_is_ok(&text))
        log_str(line, key, buf_str(&text));
}

static void log_policy(const char *event, const struct policy *policy)
{
    const struct policy_provenance *provenance = policy_provenance(policy);
    struct log_line line;

    log_begin(&line, LOG_LEVEL_INFO, event);
    add_hash(&line, "policy", policy);
    log_int(&line, "pipelines", (int64_t)policy_pipeline_count(policy));
    log_int(&line, "stages", (int64_t)policy_stage_count(policy));
    log_int(&line, "files", (int64_t)policy_text_count(policy));
    log_int(&line, "parsed", (int64_t)policy_parsed_count(policy));
    if (provenance->repository.len > 0) {
        log_str(&line, "repository", provenance->repository);
        log_str(&line, "commit", provenance->commit);
    }
    log_end(&line);
}

/* ---- what is reported ---- */

static void report_good(const struct loading *loading, const struct policy *policy)
{
    policy_report_good(loading->options.reports, POLICY_FOLDER_ACTIVE, clock_wall_s());
    metric_set(METRIC_POLICY_ERRORS, 0);
    metric_set(METRIC_POLICY_PIPELINES, (int64_t)policy_pipeline_count(policy));
    metric_set(METRIC_POLICY_STAGES, (int64_t)policy_stage_count(policy));
}

static void report_bad(const struct load *load, const char *folder, const struct error *error)
{
    const struct diagnostics *diagnostics = &load->diagnostics;

    policy_report_bad(load->loading->options.reports, POLICY_FOLDER_ACTIVE, clock_wall_s(), folder,
                      diagnostics, error);
    log_failure("policy.load_failed", diagnostics, error);
    metric_set(METRIC_POLICY_ERRORS,
               diagnostics->error_count > 0 ? (int64_t)diagnostics->error_count : 1);
    metric_add(METRIC_POLICY_FAILED, 1);
}

static void report_shadow(const struct load *load, const struct rules *rules)
{
    struct policy_reports *reports = load->loading->options.reports;
    const struct diagnostics *diagnostics = &load->shadow_diagnostics;
    int64_t errors = (int64_t)diagnostics->error_count;

    if (!load->outcome.has_shadow || rules->shadow) {
        policy_report_good(reports, POLICY_FOLDER_SHADOW,
                           load->outcome.has_shadow ? clock_wall_s() : 0);
        if (rules->shadow)
            log_policy("policy.shadow_loaded", rules->shadow);
        metric_set(METRIC_SHADOW_ERRORS, 0);
        return;
    }
    policy_report_bad(reports, POLICY_FOLDER_SHADOW, clock_wall_s(), rules_config(rules)->shadow,
                      diagnostics, &load->outcome.shadow_error);
    log_failure("policy.shadow_failed", diagnostics, &load->outcome.shadow_error);
    metric_set(METRIC_SHADOW_ERRORS, errors > 0 ? errors : 1);
}

/* ---- coming into force ---- */

static bool is_same_policy(const struct policy *a, const struct policy *b)
{
    return memcmp(policy_sha256(a), policy_sha256(b), SHA256_LEN) == 0;
}

static bool has_same_provenance(const struct policy *a, const struct policy *b)
{
    const struct policy_provenance *first = policy_provenance(a);
    const struct policy_provenance *second = policy_provenance(b);

    return str_eq(first->repository, second->repository) && str_eq(first->commit, second->commit);
}

/* The entry comes first: no policy decides that the ledger does not know. */
static bool activate(struct load *load, struct rules *rules, enum metric *outcome,
                     struct error *error)
{
    const struct activation activation = {
        .folder = load->loading->options.config->policies_folder,
        .ledger = load->loading->ledger,
        .policy = rules->policy,
        .previous = load->previous ? load->previous->policy : NULL,
        .world = rules_world(rules),
        .now_s = clock_wall_s(),
    };

    if (load->previous && is_same_policy(rules->policy, load->previous->policy)) {
        rules->activated_s = load->previous->activated_s;
        *outcome = METRIC_POLICY_UNCHANGED;
        return true;
    }
    if (!activation_record(&activation, &rules->activated_s, error))
        return false;
    *outcome = METRIC_POLICY_ACTIVATED;
    log_policy(rules->activated_s == activation.now_s ? "policy.activated" : "policy.loaded",
               rules->policy);
    return true;
}

/* Swap a snapshot in, or drop it where its policy cannot be recorded. A load is counted when all
 * else of it is done: who sees the count finds the policy in force. */
static bool put_in_force(struct load *load, struct rules *take_rules, struct error *error)
{
    enum metric outcome;

    if (!activate(load, take_rules, &outcome, error)) {
        load->outcome.is_policy_bad = true;
        rules_discard(take_rules);
        return false;
    }
    report_good(load->loading, take_rules->policy);
    rules_swap(load->loading->rules, take_rules);
    metric_add(outcome, 1);
    return true;
}

/* ---- watching ---- */

/* The paths of a configuration, and what each is; how many. */
static size_t list_paths(const struct config *config, const char *paths[WATCHED_COUNT],
                         enum watched_path meanings[WATCHED_COUNT])
{
    const char *const all[WATCHED_COUNT] = {
        [WATCHED_POLICY] = config->policy_directory,
        [WATCHED_SHADOW] = config->shadow,
        [WATCHED_CATALOG] = config->catalog_file,
    };
    size_t count = 0;

    for (size_t i = 0; i < WATCHED_COUNT; i++)
        if (all[i] != NULL) {
            meanings[count] = (enum watched_path)i;
            paths[count++] = all[i];
        }
    return count;
}

/* Says when it begins and when it ends. */
static void log_polling(struct loading *loading)
{
    const char *trouble = loading->watch ? folder_watch_trouble(loading->watch) : NULL;
    struct log_line line;

    if ((trouble != NULL) == loading->is_polling)
        return;
    loading->is_polling = trouble != NULL;
    log_begin(&line, trouble ? LOG_LEVEL_WARN : LOG_LEVEL_INFO,
              trouble ? "policy.watch_polls" : "policy.watch_told");
    if (trouble) {
        log_text(&line, "why", trouble);
        log_int(&line, "every_s", FOLDER_WATCH_POLL_MS / 1000);
    }
    log_end(&line);
}

/* Watch the paths of a configuration, from now on. */
static bool watch(struct loading *loading, const struct config *config, struct error *error)
{
    const char *paths[WATCHED_COUNT];
    struct folder_watch_options options = { .paths = paths };
    struct folder_watch *before = loading->watch;

    if (!config->is_policy_watched) {
        folder_watch_free(before);
        loading->watch = NULL;
        return true;
    }
    options.path_count = list_paths(config, paths, loading->meanings);
    if (!folder_watch_new(&options, clock_monotonic_ms(), &loading->watch, error))
        return false;
    folder_watch_free(before);
    log_polling(loading);
    return true;
}

int loading_descriptor(const struct loading *loading)
{
    return loading->watch ? folder_watch_descriptor(loading->watch) : -1;
}

int64_t loading_due_ms(const struct loading *loading)
{
    return loading->watch ? folder_watch_due_ms(loading->watch) : INT64_MAX;
}

/* ---- everything ---- */

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
        { "store", is_same_path(a->store, b->store) && is_same_path(a->store_url, b->store_url) &&
                       is_same_path(a->store_dsn_file, b->store_dsn_file) },
        { "keys.directory", is_same_path(a->keys.directory, b->keys.directory) },
        { "keys.algorithm", a->keys.issuer_algorithm == b->keys.issuer_algorithm },
        { "keys.rotate_every", a->keys.rotate_every_s == b->keys.rotate_every_s },
        { "keys.x5c", a->keys.has_certificates == b->keys.has_certificates },
        { "ledger.origin", str_eq(a->origin, b->origin) },
        { "ledger.streams", str_eq(a->streams_text, b->streams_text) },
        { "ledger", config_is_same_ledger(&a->ledger, &b->ledger) },
        { "limits.connections", a->limits.connections == b->limits.connections },
        { "limits.threads", a->limits.threads == b->limits.threads },
    };

    for (size_t i = 0; i < COUNT(rows); i++)
        if (!rows[i].is_same)
            return rows[i].key;
    return NULL;
}

static bool load_config(struct load *load, struct config **config, struct error *error)
{
    const struct loading_options *options = &load->loading->options;
    const char *fixed;

    if (!config_load(options->config_path, &load->diagnostics, config, error))
        return false;
    fixed = find_fixed_change(options->config, *config);
    return !fixed || error_set(error, ERROR_CONFIG, "'%s' changes by a restart only", fixed);
}

/* The policy alone stands in the way: then its folder is watched. Else that of the one in force. */
static void note_failure(struct load *load, const struct config *config, const struct error *error)
{
    struct error ignored = { 0 };

    if (load->outcome.is_policy_bad)
        report_bad(load, config->policy_directory, error);
    else if (!watch(load->loading, rules_config(load->previous), &ignored))
        log_failure("policy.watch_failed", &load->diagnostics, &ignored);
}

/* The watch comes first: what changes while it is read is then told. */
static bool load_all(struct load *load, struct error *error)
{
    OWNED(config_unref) struct config *config = NULL;
    struct rules_sources sources = sources_of(load);
    struct rules *rules;

    if (!load_config(load, &config, error))
        return false;
    if (!watch(load->loading, config, error) ||
        !rules_load(config, &sources, &load->outcome, &rules, error) ||
        !put_in_force(load, rules, error)) {
        note_failure(load, config, error);
        return false;
    }
    report_shadow(load, rules);
    return true;
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

void loading_reload(struct loading *loading)
{
    OWNED(load_release) struct load load = { 0 };
    struct error error = { 0 };
    bool is_good = load_begin(loading, &load, &error) && load_all(&load, &error);

    loading->wants_all = !is_good && load.outcome.is_policy_bad;
    if (is_good)
        loading->failing_since_s = 0;
    else if (loading->failing_since_s == 0)
        loading->failing_since_s = clock_wall_s();
    log_mistakes(&load.diagnostics);
    log_reload(is_good, &error);
}

int64_t loading_failing_since_s(const struct loading *loading)
{
    return loading->failing_since_s;
}

/* ---- a policy alone ---- */

static bool load_policy(struct load *load, struct error *error)
{
    struct rules_sources sources = sources_of(load);
    struct rules *rules;

    if (!rules_load_policy(&sources, &load->outcome, &rules, error))
        return false;
    if (is_same_policy(rules->policy, load->previous->policy) &&
        has_same_provenance(rules->policy, load->previous->policy)) {
        report_good(load->loading, rules->policy);
        metric_add(METRIC_POLICY_UNCHANGED, 1);
        rules_discard(rules);
        return true;
    }
    if (!put_in_force(load, rules, error))
        return false;
    log_mistakes(&load->diagnostics); /* warnings */
    return true;
}

static void reload_policy(struct loading *loading)
{
    OWNED(load_release) struct load load = { 0 };
    struct error error = { 0 };

    if (load_begin(loading, &load, &error) && load_policy(&load, &error))
        return;
    if (load.previous)
        report_bad(&load, rules_config(load.previous)->policy_directory, &error);
}

static void reload_shadow(struct loading *loading)
{
    OWNED(load_release) struct load load = { 0 };
    struct error error = { 0 };
    struct rules_sources sources;
    struct rules *rules;

    if (!load_begin(loading, &load, &error))
        return;
    sources = sources_of(&load);
    if (!rules_load_shadow(&sources, &load.outcome, &rules, &error)) {
        log_failure("policy.shadow_failed", &load.shadow_diagnostics, &error);
        return;
    }
    report_shadow(&load, rules);
    rules_swap(loading->rules, rules);
}

/* ---- its life ---- */

static bool load_first(struct load *load, struct error *error)
{
    struct loading *loading = load->loading;
    struct rules_sources sources = sources_of(load);
    struct rules *rules;

    if (!rules_load(loading->options.config, &sources, &load->outcome, &rules, error))
        return false;
    loading->rules = rules_table_new(rules);
    if (!loading->rules) {
        rules_discard(rules);
        return error_set(error, ERROR_MEMORY, "rules");
    }
    log_mistakes(&load->diagnostics); /* warnings */
    report_good(loading, rules->policy);
    report_shadow(load, rules);
    return true;
}

bool loading_start(const struct loading_options *options, struct diagnostics *diagnostics,
                   struct loading **out, struct error *error)
{
    OWNED(loading_stop) struct loading *loading = calloc(1, sizeof(*loading));
    OWNED(load_release) struct load load = { 0 };

    if (!loading)
        return error_set(error, ERROR_MEMORY, "loading");
    loading->options = *options;
    if (!load_begin(loading, &load, error) || !watch(loading, options->config, error))
        return false;
    if (!load_first(&load, error)) {
        diagnostics_append(diagnostics, &load.diagnostics);
        return false;
    }
    *out = TAKE(loading);
    return true;
}

void loading_stop(struct loading *loading)
{
    if (!loading)
        return;
    folder_watch_free(loading->watch);
    rules_table_free(loading->rules);
    free(loading);
}

struct rules_table *loading_rules(const struct loading *loading)
{
    return loading->rules;
}

bool loading_activate(struct loading *loading, struct ledger *ledger, struct error *error)
{
    OWNED(load_release) struct load load = { .loading = loading };
    struct rules *rules = rules_get(loading->rules);
    enum metric outcome;
    bool is_active;

    loading->ledger = ledger;
    is_active = activate(&load, rules, &outcome, error); /* nobody else has the snapshot yet */
    if (is_active)
        metric_add(outcome, 1);
    rules_put(loading->rules, rules);
    return is_active;
}

void loading_tend(struct loading *loading, int64_t now_ms)
{
    unsigned changed = loading->watch ? folder_watch_take(loading->watch, now_ms) : 0;
    bool is_changed[WATCHED_COUNT] = { false };

    log_polling(loading);
    for (size_t i = 0; i < WATCHED_COUNT; i++)
        if ((changed & (1U << i)) != 0)
            is_changed[loading->meanings[i]] = true;
    if (is_changed[WATCHED_CATALOG] || (is_changed[WATCHED_POLICY] && loading->wants_all)) {
        loading_reload(loading);
        return;
    }
    if (is_changed[WATCHED_POLICY])
        reload_policy(loading);
    if (is_changed[WATCHED_SHADOW])
        reload_shadow(loading);
}
