#include <inttypes.h>
#include <stdio.h>

#include "base/error.h"
#include "base/json.h"
#include "clients/bar.h"
#include "clients/command.h"
#include "clients/ledger_source.h"
#include "clients/log_source.h"
#include "clients/log_trust.h"
#include "clients/report.h"

#define ARENA_MAX ((size_t)8 * 1024 * 1024)
#define BAR_ENTRIES_MIN 5000

struct values {
    const char *from;
    const char *ca_file;
    bool has_entries;
    size_t output;
    struct log_trust_options trust;
};

static const struct values defaults = { .trust = { .quorum = LOG_TRUST_NO_QUORUM } };

static const struct option_row rows[] = {
    { .name = "from",
      .kind = OPTION_TEXT,
      .value = "WHERE",
      .environment = "STAGEPASS_LEDGER",
      .help = "A broker's URL, another mirror's URL or folder, or a store's folder",
      .offset = offsetof(struct values, from) },
    { .name = "entries",
      .kind = OPTION_FLAG,
      .help =
          "Also the entries: a broker gives them to auditors of all tenants ('stagepass login')",
      .offset = offsetof(struct values, has_entries) },
    { .name = "ca",
      .kind = OPTION_TEXT,
      .value = "FILE",
      .environment = "STAGEPASS_CA",
      .help = "Certificates (PEM) that a broker's is to be signed by; else the system's",
      .offset = offsetof(struct values, ca_file) },
    OUTPUT_ROW(struct values, "How the result is printed"),
};

static void show_progress(uint64_t done, uint64_t total, void *context)
{
    bar_show((size_t)done, (size_t)total, context);
}

static bool update(const struct values *values, const char *folder, struct arena *arena,
                   struct mirror_report *report, struct error *error)
{
    OWNED(log_source_release) struct log_source source = { 0 };
    struct bar bar = { .what = "mirroring", .total_min = BAR_ENTRIES_MIN };
    struct log_trust trust = { .quorum = 0 };
    struct note_trust view;
    struct mirror_options options = {
        .folder = folder,
        .trust = &view,
        .has_entries = values->has_entries,
        .progress = show_progress,
        .context = &bar,
    };
    bool is_updated;

    if (!values->from)
        return error_set(error, ERROR_USAGE, "--from WHERE says what is mirrored");
    if (!log_trust_read(&trust, &values->trust, arena, error))
        return false;
    if (trust.log_count == 0)
        return error_set(error, ERROR_USAGE, "--key KEY says whose log it must be");
    view = log_trust_view(&trust);
    if (!log_source_open(&source, values->from, values->ca_file, arena, error))
        return false;
    options.from = log_source_reader(&source);
    is_updated = log_source_update(&source, &options, report, error);
    bar_end(&bar);
    return is_updated;
}

static int print_text(const char *folder, const struct mirror_report *report)
{
    (void)printf("%s: %" PRIu64 " entries, %" PRIu64 " of them new; %zu cosignatures\n", folder,
                 report->size, report->size - report->old_size, report->cosigned.count);
    return report_finish();
}

static int print_json(const struct mirror_report *report, const struct error *error)
{
    bool is_good = error->code == ERROR_NONE;
    JSON_OWNED json_t *json = json_object();
    int failure;

    if (!json_put(json, "holds", json_boolean(is_good)) ||
        !json_put(json, "old_size", json_integer((json_int_t)report->old_size)) ||
        !json_put(json, "size", json_integer((json_int_t)report->size)) ||
        !json_put(json, "cosignatures", json_integer((json_int_t)report->cosigned.count)) ||
        (!is_good && (!json_put(json, "is_fork", json_boolean(report->is_fork)) ||
                      !json_put(json, "bad_index", json_integer((json_int_t)report->bad_index)) ||
                      !json_put(json, "cause", json_string(error->cause)))))
        return report_failure(&(struct error){ .code = ERROR_MEMORY });
    failure = report_json(json);
    return is_good ? failure : error_kind(error->code)->exit_code;
}

static int run(const void *given, const struct operands *operands)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_MAX);
    const struct values *values = given;
    struct mirror_report report = { 0 };
    struct error error = { 0 };
    bool is_updated;

    if (!arena)
        return report_failure(&(struct error){ .code = ERROR_MEMORY });
    is_updated = update(values, operands->items[0], arena, &report, &error);
    if (values->output == OUTPUT_JSON && (is_updated || error.code == ERROR_INVALID))
        return print_json(&report, &error);
    return is_updated ? print_text(operands->items[0], &report) : report_failure(&error);
}

const struct command command_audit_mirror = {
    .group = "audit",
    .name = "mirror",
    .operands = "FOLDER",
    .summary = "Keep a verified static copy of a ledger's log",
    .description =
        "Copies checkpoint and tiles (C2SP tlog-tiles) into FOLDER, which any web server can "
        "publish. The\n"
        "copy is verified as it grows: signature, every hash, and that the log goes on from what "
        "FOLDER had.\n"
        "A log that does not is refused with exit code 1: FOLDER stays as it was, and both signed "
        "notes are\n"
        "kept in FOLDER/evidence. Only what is new is asked for; run it as often as you like.",
    .groups = { OPTION_GROUP(rows, 0),
                { log_trust_option_rows, LOG_TRUST_OPTION_COUNT, offsetof(struct values, trust) } },
    .values_size = sizeof(struct values),
    .defaults = &defaults,
    .operands_min = 1,
    .operands_max = 1,
    .run = run,
};
