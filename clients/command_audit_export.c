#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/base64.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "clients/command.h"
#include "clients/export_form.h"
#include "clients/joined.h"
#include "clients/ledger_export.h"
#include "clients/ledger_filter.h"
#include "clients/ledger_source.h"
#include "clients/out_file.h"
#include "clients/report.h"
#include "ledger/entry.h"

#define LINE_MAX_BYTES ((size_t)256 * 1024)

enum {
    FORMAT_JSONL,
};

struct values {
    struct ledger_source_options ledger;
    struct ledger_filter_options filter;
    size_t format;
    bool has_private;
    const char *to;
};

static const struct option_row rows[] = {
    { .name = "format",
      .kind = OPTION_CHOICE,
      .value = "jsonl|csv|ocsf|cef",
      .help = "jsonl: entries as they were hashed, behind a header with the root; else that",
      .offset = offsetof(struct values, format) },
    { .name = "to",
      .kind = OPTION_TEXT,
      .value = "FILE",
      .help = "Where it goes: there as a whole or not at all; else standard output",
      .offset = offsetof(struct values, to) },
    { .name = "private",
      .kind = OPTION_FLAG,
      .help = "With private parts: actors, addresses and other personal values",
      .offset = offsetof(struct values, has_private) },
};

static const struct export_form *const forms[] = {
    [FORMAT_JSONL] = NULL,
    &export_csv,
    &export_ocsf,
    &export_cef,
};

/* One export on its way. */
struct exporting {
    const struct values *values;
    const struct export_form *form; /* NULL: our own */
    struct export_context context;
    struct ledger_source *source;
    struct ledger_query query;
    bool is_complete; /* all entries are asked for: their root must come out */
    uint64_t size;    /* entries below are in it */
    struct merkle_frontier frontier;
    struct out_file file;
    bool is_terminal; /* that it goes to */
    struct buf line;
    uint64_t count;
    uint64_t false_count; /* private values that are not what digests stand for */
};

static bool flush(struct exporting *exporting, struct error *error)
{
    struct buf *line = &exporting->line;

    if (!buf_is_ok(line))
        return error_set(error, ERROR_LIMIT, "an entry does not fit into a line");
    if (line->len == 0)
        return true;
    /* A terminal gets the same JSON without what it would act on; the other forms have none. */
    if (exporting->is_terminal) {
        if (!print_clean_json_text(stdout, buf_str(line)))
            return error_set(error, ERROR_INVALID, "an entry is not UTF-8");
    } else if (fwrite(line->data, 1, line->len, exporting->file.stream) != line->len) {
        return error_set_errno(error, "cannot write");
    }
    buf_clear(line);
    return true;
}

static void write_own(struct exporting *exporting, const struct ledger_found *found)
{
    const struct ledger_export_line line = { found->item.index, found->item.entry,
                                             exporting->values->has_private
                                                 ? found->item.private_part
                                                 : STR("") };

    ledger_export_write_line(&line, &exporting->line);
}

static bool write_form(struct exporting *exporting, const struct ledger_found *found,
                       const struct merkle_hash *leaf, struct error *error)
{
    OWNED(buf_release) struct buf hex = { 0 };
    struct joined joined;

    if (!joined_make(found->entry, found->private_part, found->arena, &joined, error))
        return false;
    buf_init(&hex, 128);
    buf_add_hex(&hex, (struct str){ (const char *)leaf->bytes, MERKLE_HASH_LEN });
    exporting->context.leaf_hex = buf_str(&hex);
    exporting->false_count += joined.false_count;
    exporting->form->write(&exporting->context, found, joined.entry, &exporting->line);
    return true;
}

static bool write_entry(const struct ledger_found *found, void *context, struct error *error)
{
    struct exporting *exporting = context;
    struct merkle_hash leaf = entry_leaf(found->item.entry);

    merkle_frontier_add(&exporting->frontier, &leaf);
    exporting->count++;
    if (!exporting->form)
        write_own(exporting, found);
    else if (!write_form(exporting, found, &leaf, error))
        return false;
    return flush(exporting, error);
}

static bool write_head(struct exporting *exporting, struct error *error)
{
    const struct ledger_facts *facts = ledger_source_facts(exporting->source);
    const struct ledger_export_header header = { .is_complete = exporting->is_complete,
                                                 .has_private = exporting->values->has_private,
                                                 .origin = facts->origin,
                                                 .size = exporting->size,
                                                 .root = facts->root,
                                                 .note = facts->note };

    if (!exporting->form)
        ledger_export_write_header(&header, &exporting->line);
    else if (exporting->form->head)
        exporting->form->head(&exporting->line);
    return flush(exporting, error);
}

/* All entries that were written have the root that is signed. */
static bool check_root(const struct exporting *exporting, struct error *error)
{
    const struct ledger_facts *facts = ledger_source_facts(exporting->source);
    struct merkle_hash root = merkle_frontier_root(&exporting->frontier);

    if (!exporting->is_complete)
        return true;
    if (exporting->count != exporting->size || !merkle_hash_eq(&root, &facts->root))
        return error_set(error, ERROR_INVALID,
                         "%s: its entries do not have the root of its checkpoint: `stagepass audit "
                         "verify` says where",
                         facts->name);
    return true;
}

static bool write_all(struct exporting *exporting, struct error *error)
{
    struct ledger_scan scan = { .query = &exporting->query,
                                .wants_private = exporting->values->has_private,
                                .to = exporting->size,
                                .what = exporting->values->to ? "exporting" : NULL,
                                .each = write_entry,
                                .context = exporting };

    if (!out_file_open(&exporting->file, exporting->values->to, error) ||
        !write_head(exporting, error))
        return false;
    if (exporting->size > 0 && !ledger_scan_run(exporting->source, &scan, error))
        return false;
    ledger_scan_report(&scan);
    return check_root(exporting, error) && out_file_commit(&exporting->file, error);
}

/* What was pruned is not there to be exported: the rest is a selection. */
static bool find_pruned(struct exporting *exporting, struct error *error)
{
    struct ledger_item item;

    if (!exporting->is_complete || exporting->size == 0)
        return true;
    if (!ledger_source_get(exporting->source, 0, &item, error))
        return false;
    exporting->is_complete = !store_entry_is_pruned(item.entry);
    return true;
}

/* What is signed is exported, so that two exports of one size are one. */
static bool prepare(struct exporting *exporting, struct error *error)
{
    const struct values *values = exporting->values;
    const struct ledger_facts *facts;

    if (!ledger_filter_read(&values->filter, clock_wall_s() * 1000, &exporting->query, error) ||
        !ledger_source_open(&values->ledger, &exporting->source, error) ||
        !ledger_filter_check(&exporting->query, exporting->source, error))
        return false;
    facts = ledger_source_facts(exporting->source);
    if (values->has_private && !facts->has_private)
        return error_set(error, ERROR_USAGE, "--private: %s has no private parts", facts->name);
    exporting->is_complete = query_is_open(&exporting->query) && exporting->query.since_ms == 0 &&
                             exporting->query.until_ms == 0 &&
                             (facts->kind != LEDGER_EXPORT || facts->is_proven);
    exporting->size =
        facts->note.len > 0 ? facts->signed_size : ledger_source_size(exporting->source);
    if (exporting->is_complete && !exporting->form && facts->note.len == 0 &&
        facts->kind == LEDGER_STORE && exporting->size > 0)
        return error_set(
            error, ERROR_INVALID,
            "%s has no checkpoint: a broker publishes one with its first entry, into `log` "
            "of its folder",
            facts->name);
    exporting->context = (struct export_context){ .origin = facts->origin,
                                                  .version = STAGEPASS_VERSION,
                                                  .has_private = values->has_private };
    exporting->is_complete = exporting->is_complete && (!exporting->form || facts->note.len > 0);
    return find_pruned(exporting, error);
}

static void tell(const struct exporting *exporting)
{
    uint64_t all = ledger_source_size(exporting->source);

    if (exporting->false_count > 0)
        report_line("%" PRIu64 " private values are not what the entries' digests stand for, and "
                    "were left out: they were changed",
                    exporting->false_count);
    if (exporting->values->to)
        report_line("%" PRIu64 " %s in %s", exporting->count,
                    report_word(exporting->count, "entry", "entries"), exporting->values->to);
    if (all > exporting->size)
        report_line("%" PRIu64 " entries are not signed yet, and were left out",
                    all - exporting->size);
}

static int run(const void *given, const struct operands *operands)
{
    const struct values *values = given;
    struct exporting exporting = { .values = values, .form = forms[values->format] };
    struct error error = { 0 };
    bool is_done;

    (void)operands;
    exporting.is_terminal = !values->to && isatty(STDOUT_FILENO);
    buf_init(&exporting.line, LINE_MAX_BYTES);
    is_done = prepare(&exporting, &error) && write_all(&exporting, &error);
    if (is_done)
        tell(&exporting);
    out_file_release(&exporting.file);
    buf_release(&exporting.line);
    ledger_source_close(exporting.source);
    return is_done ? 0 : report_failure(&error);
}

const struct command command_audit_export = {
    .group = "audit",
    .name = "export",
    .operands = "",
    .summary = "Write entries for other systems, or to keep them",
    .description =
        "jsonl is a copy of the ledger that proves itself: its header has origin, size, root and\n"
        "the signed checkpoint, and `--ledger FILE` reads it. With a filter, or a time, it is a\n"
        "selection and says so. csv is for spreadsheets, with what they would take for formulas\n"
        "defused; ocsf and cef are for event collectors. Entries that are not signed yet are left\n"
        "out, and the root is held against the checkpoint before a file takes its place.",
    .groups = { OPTION_GROUP(ledger_source_option_rows, offsetof(struct values, ledger)),
                OPTION_GROUP(rows, 0),
                OPTION_GROUP(ledger_filter_option_rows, offsetof(struct values, filter)) },
    .values_size = sizeof(struct values),
    .run = run,
};
