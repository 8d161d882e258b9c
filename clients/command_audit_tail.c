#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "base/error.h"
#include "base/json.h"
#include "clients/command.h"
#include "clients/report.h"
#include "store/store.h"

#define FOLLOW_PAUSE_MS 500

static const struct json_limits entry_limits = { (size_t)64 * 1024, 32, 2000 };

struct values {
    const char *folder;
    int64_t lines;
    bool follows;
    size_t output;
};

static const struct values defaults = { .folder = "/var/lib/stagepass", .lines = 20 };

static const struct option_row rows[] = {
    { .name = "ledger",
      .kind = OPTION_TEXT,
      .value = "FOLDER",
      .environment = "STAGEPASS_LEDGER",
      .help = "The store's folder; else /var/lib/stagepass",
      .offset = offsetof(struct values, folder) },
    { .name = "lines",
      .kind = OPTION_COUNT,
      .value = "N",
      .help = "How many entries from the end; else 20",
      .offset = offsetof(struct values, lines),
      .letter = 'n' },
    { .name = "follow",
      .kind = OPTION_FLAG,
      .help = "Go on with those that come",
      .offset = offsetof(struct values, follows),
      .letter = 'f' },
    { .name = "output",
      .kind = OPTION_CHOICE,
      .value = OUTPUT_NAMES,
      .help = "json: an object a line, with index and the entry's bytes as they were hashed",
      .offset = offsetof(struct values, output),
      .letter = 'o' },
};

/* What a line says of an entry, besides index, time and type; in this order. */
static const char *const columns[] = { "stage", "issuer", "lease", "reason", "code", "outcome" };

/* Names that a list holds, or that are members of what it holds; a stage's own token has none. */
static void print_names(const char *title, const json_t *list, const char *member)
{
    const char *separator = "=";

    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        struct str name = json_str(member ? json_object_get(item, member) : item);

        if (name.len == 0)
            continue;
        (void)printf("%s%s", separator[0] == '=' ? title : "", separator);
        print_clean(stdout, name);
        separator = ",";
    }
}

static void print_text(uint64_t index, struct str bytes)
{
    struct error error = { 0 };
    JSON_OWNED json_t *entry = NULL;

    (void)printf("%8" PRIu64 "  ", index);
    if (!json_parse_object(bytes, entry_limits, &entry, &error)) {
        (void)printf("does not parse: %s\n", error.cause);
        return;
    }
    print_clean(stdout, json_str(json_object_get(entry, "time")));
    (void)fputs("  ", stdout);
    print_clean(stdout, json_str(json_object_get(entry, "type")));
    for (size_t i = 0; i < COUNT(columns); i++) {
        struct str text = json_str(json_object_get(entry, columns[i]));

        if (text.len == 0)
            continue;
        (void)printf(" %s=", columns[i]);
        print_clean(stdout, text);
    }
    print_names(" failed", json_object_get(entry, "failed"), NULL);
    print_names(" grants", json_object_get(entry, "credentials"), "grant");
    (void)putchar('\n');
}

/*
 * The entry's own bytes: what was hashed, so that whoever wants to can hash it again. A terminal
 * gets the same JSON without what it would act on: the folder can be anybody's.
 */
static void print_json(uint64_t index, struct str bytes)
{
    (void)printf("{\"index\":%" PRIu64 ",\"entry\":", index);
    if (!isatty(STDOUT_FILENO))
        (void)fwrite(bytes.data, 1, bytes.len, stdout); /* report_finish() asks once for all */
    else if (!print_clean_json_text(stdout, bytes))
        (void)fputs("null", stdout);
    (void)fputs("}\n", stdout);
}

static bool print_range(struct store_reader *reader, uint64_t from, size_t output,
                        struct error *error)
{
    uint64_t size = store_reader_size(reader);

    for (uint64_t i = from; i < size; i++) {
        struct str bytes;

        if (!store_reader_get(reader, i, &bytes, NULL, error))
            return error_wrap(error, "entry %" PRIu64, i);
        (output == OUTPUT_JSON ? print_json : print_text)(i, bytes);
    }
    return true;
}

static bool tail(const struct values *values, struct error *error)
{
    OWNED(store_reader_close) struct store_reader *reader = NULL;
    uint64_t lines = (uint64_t)values->lines;
    uint64_t next;

    if (!store_reader_open(values->folder, &reader, error))
        return false;
    next = store_reader_size(reader);
    next = next > lines ? next - lines : 0;
    for (;;) {
        if (!print_range(reader, next, values->output, error))
            return false;
        next = store_reader_size(reader);
        if (fflush(stdout) != 0)
            return error_set_errno(error, "cannot write to standard output");
        if (!values->follows)
            return true;
        (void)poll(NULL, 0, FOLLOW_PAUSE_MS); /* a signal ends us, or shortens it: no harm */
        if (!store_reader_refresh(reader, error))
            return false;
    }
}

static int run(const void *given, const struct operands *operands)
{
    struct error error = { 0 };

    (void)operands;
    return tail(given, &error) ? report_finish() : report_failure(&error);
}

const struct command command_audit_tail = {
    .group = "audit",
    .name = "tail",
    .operands = "",
    .summary = "Show the ledger's latest entries",
    .description = "Reads a store's folder; neither broker nor lock is needed. Entries are shown "
                   "as they are, not\n"
                   "proven: `stagepass audit verify` does that.",
    .groups = { OPTION_GROUP(rows, 0) },
    .values_size = sizeof(struct values),
    .defaults = &defaults,
    .run = run,
};
