#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/error.h"
#include "clients/command.h"
#include "clients/entry_print.h"
#include "clients/ledger_filter.h"
#include "clients/ledger_source.h"
#include "clients/report.h"

#define FOLDER_PAUSE_MS 500
#define BROKER_PAUSE_MS 2000
#define TROUBLE_PAUSE_MAX_MS 30000
#define LINES_MAX 1000000

struct values {
    struct ledger_source_options ledger;
    struct ledger_filter_options filter;
    int64_t lines;
    bool follows;
    size_t output;
};

static const struct values defaults = { .lines = 20 };

static const struct option_row rows[] = {
    { .name = "lines",
      .kind = OPTION_COUNT,
      .value = "N",
      .help = "How many of the latest entries, at most 1000000; else 20",
      .offset = offsetof(struct values, lines),
      .letter = 'n' },
    { .name = "follow",
      .kind = OPTION_FLAG,
      .help = "Go on with those that come",
      .offset = offsetof(struct values, follows),
      .letter = 'f' },
    OUTPUT_ROW(struct values,
               "json: an object a line, with index and the entry's bytes as they were hashed"),
};

/* What is shown next: where showing it fails in between nothing comes twice. */
struct tail {
    struct ledger_source *ledger;
    size_t output;
    const struct ledger_query *query; /* NULL: all are shown */
    uint64_t next;
    uint64_t *latest; /* while they are looked for: a ring of those that fit */
    uint64_t latest_max;
    uint64_t latest_count; /* all that there were */
};

static bool print_found(const struct ledger_found *found, void *context, struct error *error)
{
    struct tail *tail = context;

    (void)error;
    (tail->output == OUTPUT_JSON ? entry_print_json : entry_print_line)(&found->item);
    tail->next = found->item.index + 1;
    return true;
}

static bool print_item(const struct ledger_item *item, void *context, struct error *error)
{
    const struct ledger_found found = { .item = *item };

    return print_found(&found, context, error);
}

static bool print_rest(struct tail *tail, struct error *error)
{
    const struct ledger_walk walk = {
        .from = tail->next, .to = UINT64_MAX, .each = print_item, .context = tail
    };
    struct ledger_scan scan = {
        .query = tail->query, .from = tail->next, .each = print_found, .context = tail
    };

    if (!(tail->query ? ledger_scan_run(tail->ledger, &scan, error)
                      : ledger_source_walk(tail->ledger, &walk, error)))
        return false;
    tail->next = ledger_source_size(tail->ledger);
    return fflush(stdout) == 0 || error_set_errno(error, "cannot write to standard output");
}

/* ---- the latest that fit ---- */

static bool note_latest(const struct ledger_found *found, void *context, struct error *error)
{
    struct tail *tail = context;

    (void)error;
    tail->latest[tail->latest_count++ % tail->latest_max] = found->item.index;
    return true;
}

static bool print_latest(struct tail *tail, struct error *error)
{
    uint64_t size = ledger_source_size(tail->ledger);
    struct ledger_scan scan = {
        .query = tail->query, .to = size, .what = "searching", .each = note_latest, .context = tail
    };
    uint64_t first;

    if (tail->latest_max > 0 && size > 0 && !ledger_scan_run(tail->ledger, &scan, error))
        return false;
    first = tail->latest_count > tail->latest_max ? tail->latest_count - tail->latest_max : 0;
    for (uint64_t i = first; i < tail->latest_count; i++) {
        struct ledger_item item;

        if (!ledger_source_get(tail->ledger, tail->latest[i % tail->latest_max], &item, error) ||
            !print_item(&item, tail, error))
            return false;
    }
    tail->next = size;
    return fflush(stdout) == 0 || error_set_errno(error, "cannot write to standard output");
}

/* ---- what comes ---- */

/* What passes by itself, or when somebody logs in again. */
static bool may_pass(const struct error *error)
{
    return error->code == ERROR_UNREACHABLE || error->code == ERROR_LATER ||
           error->code == ERROR_REFUSED;
}

/* Said once: `*pause_ms` is longer than usual until it has passed. */
static bool wait_out(const struct error *why, int usual_ms, int *pause_ms, struct error *error)
{
    if (!may_pass(why)) {
        *error = *why;
        return false;
    }
    if (*pause_ms == usual_ms)
        report_line("%s: trying again", why->cause);
    *pause_ms = *pause_ms < TROUBLE_PAUSE_MAX_MS / 2 ? 2 * *pause_ms : TROUBLE_PAUSE_MAX_MS;
    return true;
}

static bool follow(struct tail *tail, struct error *error)
{
    const struct ledger_facts *facts = ledger_source_facts(tail->ledger);
    int usual_ms = facts->kind == LEDGER_BROKER ? BROKER_PAUSE_MS : FOLDER_PAUSE_MS;
    int pause_ms = usual_ms;

    for (;;) {
        struct error why = { 0 };

        (void)poll(NULL, 0, pause_ms); /* a signal ends us, or shortens it: no harm */
        if (ledger_source_refresh(tail->ledger, &why) && print_rest(tail, &why)) {
            if (pause_ms != usual_ms)
                report_line("%s answers again", facts->name);
            pause_ms = usual_ms;
        } else if (!wait_out(&why, usual_ms, &pause_ms, error)) {
            return false;
        }
    }
}

/* Without a filter the end is known; with one it is looked for. */
static bool print_end(struct tail *tail, const struct values *values, struct error *error)
{
    uint64_t lines = (uint64_t)values->lines;
    uint64_t size = ledger_source_size(tail->ledger);
    bool is_printed;

    if (!tail->query) {
        tail->next = size > lines ? size - lines : 0;
        return print_rest(tail, error);
    }
    tail->latest_max = lines;
    tail->latest = calloc((size_t)lines + 1, sizeof(*tail->latest));
    if (!tail->latest)
        return error_set(error, ERROR_MEMORY, "no memory for %" PRIu64 " entries", lines);
    is_printed = print_latest(tail, error);
    free(tail->latest);
    return is_printed;
}

static bool show(const struct values *values, struct error *error)
{
    OWNED(ledger_source_close) struct ledger_source *ledger = NULL;
    struct ledger_query query;
    struct tail tail = { .output = values->output };
    bool is_open;

    if (values->lines > LINES_MAX)
        return error_set(error, ERROR_USAGE, "-n: expected at most %d", LINES_MAX);
    if (!ledger_filter_read(&values->filter, clock_wall_s() * 1000, &query, error) ||
        !ledger_source_open(&values->ledger, &ledger, error) ||
        !ledger_filter_check(&query, ledger, error))
        return false;
    is_open = query_is_open(&query) && query.since_ms == 0 && query.until_ms == 0;
    tail.query = is_open ? NULL : &query;
    tail.ledger = ledger;
    return print_end(&tail, values, error) && (!values->follows || follow(&tail, error));
}

static int run(const void *given, const struct operands *operands)
{
    struct error error = { 0 };

    (void)operands;
    return show(given, &error) ? report_finish() : report_failure(&error);
}

const struct command command_audit_tail = {
    .group = "audit",
    .name = "tail",
    .operands = "",
    .summary = "Show the ledger's latest entries",
    .description =
        "Of a store's folder entries are shown as they are, not proven: `stagepass audit verify`\n"
        "does that. Those of a mirror, an export or a broker are held against its checkpoint.\n"
        "--follow goes on while a broker is away, or a login has ended, until it can go on.",
    .groups = { OPTION_GROUP(ledger_source_option_rows, offsetof(struct values, ledger)),
                OPTION_GROUP(rows, 0),
                OPTION_GROUP(ledger_filter_option_rows, offsetof(struct values, filter)) },
    .values_size = sizeof(struct values),
    .defaults = &defaults,
    .run = run,
};
