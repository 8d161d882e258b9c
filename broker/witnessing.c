#include "witnessing.h"

#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "base/metrics.h"
#include "keys/keys.h"

static const char *const state_names[] = {
    [WATCHER_UNASKED] = "unasked",
    [WATCHER_GOOD] = "good",
    [WATCHER_FAILING] = "failing",
    [WATCHER_CONFLICT] = "conflict",
};

static bool take_keys(const struct config *config, struct keys *keys,
                      struct key *next_keys[NOTE_LOGS_MAX], struct ledger_options *options,
                      struct error *error)
{
    const struct config_ledger *ledger = &config->ledger;

    if (!keys_named(keys, ledger->keys[0], KEY_ED25519, &options->key, error))
        return false;
    for (size_t i = 1; i < ledger->key_count; i++)
        if (!keys_named(keys, ledger->keys[i], KEY_ED25519, &next_keys[i - 1], error))
            return false;
    options->next_keys = next_keys;
    options->next_key_count = ledger->key_count - 1;
    return true;
}

bool witnessing_open(const struct config *config, struct keys *keys, struct upstream *upstream,
                     bool has_mirrors, struct ledger **ledger, struct error *error)
{
    struct ledger_options options = {
        .store = config->store,
        .database = config->store_url,
        .dsn_file = config->store_dsn_file,
        .origin = config->origin,
        .broker = config->broker,
        .witnesses = config->ledger.witnesses,
        .witness_count = config->ledger.witness_count,
        .quorum = config->ledger.quorum,
        .mirrors = config->ledger.mirrors,
        .mirror_count = has_mirrors ? config->ledger.mirror_count : 0,
        .upstream = upstream,
    };
    struct key *next_keys[NOTE_LOGS_MAX];

    return take_keys(config, keys, next_keys, &options, error) &&
           ledger_open(&options, ledger, error);
}

/* "NAME+ID+KEY", a line each, as a list. */
static json_t *json_from_lines(struct str lines)
{
    json_t *list = json_array();

    while (lines.len > 0) {
        struct str line;

        (void)str_cut(lines, '\n', &line, &lines); /* the last one may have none */
        if (line.len > 0 && json_array_append_new(list, json_from_str(line)) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

bool witnessing_record_keys(struct ledger *ledger, struct error *error)
{
    struct str before;
    struct str now;
    JSON_OWNED json_t *entry = NULL;

    if (!ledger_keys_changed(ledger, &before, &now))
        return true;
    entry = entry_new(ENTRY_KEYS_ROTATED, ledger_broker(ledger));
    if (!json_put(entry, "detail", json_string("the ledger's")) ||
        !json_put(entry, "keys", json_from_lines(now)) ||
        !json_put(entry, "previous", json_from_str(str_trim(before))))
        return error_set(error, ERROR_MEMORY, "entry");
    return ledger_record(ledger, entry, error) && ledger_keep_keys(ledger, error);
}

static void log_change(const char *event, const struct watcher_status *status)
{
    struct log_line line;

    log_begin(&line,
              status->state == WATCHER_CONFLICT  ? LOG_LEVEL_ERROR
              : status->state == WATCHER_FAILING ? LOG_LEVEL_WARN
                                                 : LOG_LEVEL_INFO,
              event);
    log_str(&line, "name", status->name);
    log_text(&line, "state", state_names[status->state]);
    log_int(&line, "size", (int64_t)status->size);
    if (status->cause[0] != '\0')
        log_text(&line, "cause", status->cause);
    log_end(&line);
}

static int64_t count_of(const struct watcher_status *list, size_t count, enum watcher_state state)
{
    int64_t found = 0;

    for (size_t i = 0; i < count; i++)
        found += list[i].state == state ? 1 : 0;
    return found;
}

/* The largest tree that so many have cosigned. */
static int64_t cosigned_by(const struct watcher_status *list, size_t count, size_t quorum)
{
    uint64_t largest = 0;

    for (size_t i = 0; i < count; i++) {
        size_t others = 0;

        for (size_t j = 0; j < count; j++)
            others += list[j].size >= list[i].size ? 1 : 0;
        if (others >= quorum && list[i].size > largest)
            largest = list[i].size;
    }
    return (int64_t)largest;
}

static void tend_mirrors(struct witnessing *witnessing, struct ledger *ledger)
{
    struct watcher_status list[MIRROR_WATCH_MAX];
    size_t count = ledger_mirrors(ledger, list);

    for (size_t i = 0; i < count; i++) {
        if (list[i].state == witnessing->mirror_states[i])
            continue;
        witnessing->mirror_states[i] = list[i].state;
        log_change("ledger.mirror", &list[i]);
    }
    metric_set(METRIC_MIRRORS_GOOD, count_of(list, count, WATCHER_GOOD));
    metric_set(METRIC_MIRRORS_FAILING, count_of(list, count, WATCHER_FAILING));
    metric_set(METRIC_MIRRORS_CONFLICT, count_of(list, count, WATCHER_CONFLICT));
}

void witnessing_tend(struct witnessing *witnessing, struct ledger *ledger,
                     const struct config *config)
{
    struct watcher_status list[NOTE_WITNESSES_MAX];
    size_t count = ledger_witnesses(ledger, list);
    size_t quorum = config->ledger.quorum > 0 ? config->ledger.quorum : 1;

    for (size_t i = 0; i < count; i++) {
        if (list[i].state == witnessing->states[i])
            continue;
        witnessing->states[i] = list[i].state;
        log_change("ledger.witness", &list[i]);
    }
    tend_mirrors(witnessing, ledger);
    metric_set(METRIC_WITNESSES_GOOD, count_of(list, count, WATCHER_GOOD));
    metric_set(METRIC_WITNESSES_FAILING, count_of(list, count, WATCHER_FAILING));
    metric_set(METRIC_WITNESSES_CONFLICT, count_of(list, count, WATCHER_CONFLICT));
    metric_set(METRIC_LEDGER_COSIGNED_SIZE, cosigned_by(list, count, quorum));
}

const char *witnessing_degraded(struct ledger *ledger)
{
    struct watcher_status list[NOTE_WITNESSES_MAX];
    struct watcher_status mirrors[MIRROR_WATCH_MAX];
    size_t count = ledger_witnesses(ledger, list);

    if (count_of(list, count, WATCHER_CONFLICT) > 0)
        return "a witness has cosigned another log by this name, or a longer one";
    if (count_of(list, count, WATCHER_FAILING) > 0)
        return "a witness does not cosign the ledger's checkpoints";
    count = ledger_mirrors(ledger, mirrors);
    if (count_of(mirrors, count, WATCHER_CONFLICT) > 0)
        return "a mirror has another log by this name, or a longer one";
    if (count_of(mirrors, count, WATCHER_FAILING) > 0)
        return "a mirror of the ledger does not come along";
    return NULL;
}
