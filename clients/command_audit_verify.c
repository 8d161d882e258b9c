#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/time_text.h"
#include "clients/bar.h"
#include "clients/command.h"
#include "clients/ledger_source.h"
#include "clients/log_source.h"
#include "clients/log_trust.h"
#include "clients/report.h"
#include "config/jobs.h"
#include "ledger/audit.h"
#include "ledger/mirror.h"

#define ARENA_MAX ((size_t)64 * 1024 * 1024)
#define BAR_ENTRIES_MIN 5000

struct values {
    const char *ledger;
    const char *ca_file;
    bool has_entries;
    struct option_list kept;
    size_t output;
    struct log_trust_options trust;
};

static const struct values defaults = {
    .ledger = LEDGER_SOURCE_DEFAULT,
    .trust = { .quorum = LOG_TRUST_NO_QUORUM },
};

static const struct option_row rows[] = {
    { .name = "ledger",
      .kind = OPTION_TEXT,
      .value = "WHERE",
      .environment = "STAGEPASS_LEDGER",
      .help = "A store's folder or a copy of it, a mirror's folder, or the URL of a broker or a\n"
              "                          mirror; else " LEDGER_SOURCE_DEFAULT,
      .offset = offsetof(struct values, ledger) },
    { .name = "against",
      .kind = OPTION_LIST,
      .value = "FILE",
      .help = "A receipt that a job kept, a .tlog-proof or an older checkpoint; may be repeated",
      .offset = offsetof(struct values, kept) },
    { .name = "entries",
      .kind = OPTION_FLAG,
      .help =
          "Of a URL also the entries, for auditors; of folders all are looked at that are there",
      .offset = offsetof(struct values, has_entries) },
    { .name = "ca",
      .kind = OPTION_TEXT,
      .value = "FILE",
      .environment = "STAGEPASS_CA",
      .help = "Certificates (PEM) that a broker's is to be signed by; else the system's",
      .offset = offsetof(struct values, ca_file) },
    OUTPUT_ROW(struct values, "How the result is printed"),
};

/* One verification and what it found. */
struct verification {
    const struct values *values;
    struct arena *arena;
    struct log_trust trust;
    struct against_item items[AGAINST_MAX];
    struct bar bar;
    struct audit_report report;
    bool has_entries; /* they were looked at */
    int64_t took_ns;
    struct error error; /* why it does not hold */
};

static void show_progress(uint64_t done, uint64_t total, void *context)
{
    struct verification *verification = context;

    bar_show((size_t)done, (size_t)total, &verification->bar);
}

static bool read_kept(struct verification *verification, struct against *against,
                      struct error *error)
{
    const struct option_list *kept = &verification->values->kept;

    for (size_t i = 0; i < kept->count; i++) {
        struct against_item *item = &verification->items[i];

        item->name = kept->items[i];
        if (!file_read(verification->arena, item->name, AGAINST_BYTES_MAX, &item->text, error))
            return false;
    }
    *against = (struct against){ .items = verification->items, .count = kept->count };
    return true;
}

static bool verify_store(struct verification *verification, const struct note_trust *trust,
                         struct error *error)
{
    struct audit_options options = {
        .folder = verification->values->ledger,
        .trust = trust,
        .progress = show_progress,
        .run_jobs = jobs_run,
        .context = verification,
    };

    verification->has_entries = true;
    return read_kept(verification, &options.against, error) &&
           audit_verify(&options, verification->arena, &verification->report, error);
}

static void take_report(struct verification *verification, const struct mirror_report *found)
{
    struct audit_report *report = &verification->report;

    report->entry_count = found->size;
    report->checkpoint_size = found->size;
    report->root = found->root;
    report->cosigned = found->cosigned;
    report->bad_index = found->bad_index;
}

/* Tiles alone, or with bundles: whatever is there of a folder. */
static bool verify_log(struct verification *verification, const struct note_trust *trust,
                       struct error *error)
{
    const struct values *values = verification->values;
    OWNED(log_source_release) struct log_source source = { 0 };
    struct mirror_options options = {
        .trust = trust,
        .progress = show_progress,
        .context = verification,
    };
    struct mirror_report found = { 0 };
    bool does_hold;

    if (trust->log_count == 0)
        return error_set(error, ERROR_USAGE,
                         "a log without a store is verified with --key: nothing else says whose it "
                         "is");
    if (!read_kept(verification, &options.against, error) ||
        !log_source_open(&source, values->ledger, values->ca_file, verification->arena, error))
        return false;
    options.from = log_source_reader(&source);
    options.has_entries = log_source_has_entries(&source, values->has_entries);
    verification->has_entries = options.has_entries;
    verification->report.is_key_trusted = true;
    verification->report.origin = trust->logs[0].name;
    does_hold = log_source_update(&source, &options, &found, error);
    take_report(verification, &found);
    return does_hold;
}

static bool verify(struct verification *verification, struct error *error)
{
    const struct values *values = verification->values;
    int64_t start_ns = clock_monotonic_ns();
    struct note_trust trust;
    bool is_folder;
    bool does_hold;

    if (!ledger_source_check_place(values->ledger, &is_folder, error) ||
        !log_trust_read(&verification->trust, &values->trust, verification->arena, error))
        return false;
    trust = log_trust_view(&verification->trust);
    verification->bar = (struct bar){ .what = "verifying", .total_min = BAR_ENTRIES_MIN };
    does_hold = log_source_is_store(values->ledger, verification->arena)
                    ? verify_store(verification, &trust, error)
                    : verify_log(verification, &trust, error);
    bar_end(&verification->bar);
    verification->took_ns = clock_monotonic_ns() - start_ns;
    return does_hold;
}

static struct str root_text(const struct verification *verification)
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, 64);
    buf_add_base64(&text,
                   (struct str){ (const char *)verification->report.root.bytes, MERKLE_HASH_LEN });
    return arena_copy(verification->arena, buf_str(&text));
}

static int64_t rate_of(const struct verification *verification)
{
    int64_t took_us = verification->took_ns / 1000;

    return took_us > 0 ? (int64_t)verification->report.entry_count * 1000000 / took_us : 0;
}

/* ---- for people ---- */

static void print_cosigners(const struct verification *verification)
{
    const struct note_cosigned *cosigned = &verification->report.cosigned;
    char time[TIME_TEXT_S_LEN + 1];

    for (size_t i = 0; i < verification->trust.witness_count; i++) {
        if (!cosigned->has[i])
            continue;
        time_text_s(cosigned->times_s[i], time);
        (void)printf("cosigned by " STR_FMT " at %s\n",
                     STR_ARG(verification->trust.witnesses[i].name), time);
    }
}

/* What a proof shows and what it does not: an auditor must not take one for the other. */
static void print_limits(const struct verification *verification)
{
    const struct audit_report *report = &verification->report;

    if (!report->is_key_trusted)
        (void)puts(
            "not excluded: the key came from the store itself, so whoever can write there can "
            "have\n  made all of it anew. --key names one that was kept elsewhere.");
    if (report->cosigned.count == 0)
        (void)puts(
            "not excluded: the operator, who has the signing key, can have shown others another "
            "log.\n  Witnesses would have to lie, too: --witness KEY.");
    if (verification->values->kept.count == 0)
        (void)puts("not excluded: entries that were promised and left out. What jobs kept holds "
                   "the operator\n  to his word: --against RECEIPT.");
    if (!verification->has_entries)
        (void)puts("not looked at: the entries, only their hashes");
    if (report->pruned_count > 0)
        (void)printf("the first %" PRIu64 " of them were pruned: their hashes hold, what they said "
                     "nobody can tell\n",
                     report->pruned_count);
    if (report->checkpoint_size < report->entry_count)
        (void)printf("not signed yet: the last %" PRIu64 " entries\n",
                     report->entry_count - report->checkpoint_size);
}

static int print_good(const struct verification *verification)
{
    const struct audit_report *report = &verification->report;

    (void)printf("holds: %" PRIu64 " entries of " STR_FMT "\n", report->entry_count,
                 STR_ARG(report->origin));
    (void)printf("root " STR_FMT "\ncheckpoint of %" PRIu64 " entries, signature good\n",
                 STR_ARG(root_text(verification)), report->checkpoint_size);
    print_cosigners(verification);
    if (verification->values->kept.count > 0)
        (void)printf("%zu of %zu receipts and checkpoints are of this log\n",
                     verification->values->kept.count, verification->values->kept.count);
    (void)printf("%" PRId64 " entries a second\n", rate_of(verification));
    print_limits(verification);
    return report_finish();
}

static int print_bad(const struct verification *verification)
{
    (void)printf("DOES NOT HOLD: ");
    print_clean(stdout, str_from(verification->error.cause));
    (void)printf("\nfirst bad index: %" PRIu64 "\n", verification->report.bad_index);
    (void)report_finish();
    return error_kind(ERROR_INVALID)->exit_code;
}

/* ---- for programs ---- */

static json_t *json_of_witnesses(const struct verification *verification)
{
    const struct note_cosigned *cosigned = &verification->report.cosigned;
    JSON_OWNED json_t *list = json_array();

    for (size_t i = 0; i < verification->trust.witness_count; i++) {
        JSON_OWNED json_t *row = json_object();
        char time[TIME_TEXT_S_LEN + 1];

        time_text_s(cosigned->times_s[i], time);
        if (!json_put(row, "name", json_from_str(verification->trust.witnesses[i].name)) ||
            !json_put(row, "has_cosigned", json_boolean(cosigned->has[i])) ||
            (cosigned->has[i] && !json_put(row, "time", json_string(time))) ||
            json_array_append(list, row) != 0)
            return NULL;
    }
    return TAKE(list);
}

static bool put_facts(const struct verification *verification, json_t *json)
{
    const struct audit_report *report = &verification->report;

    return json_put(json, "entries", json_integer((json_int_t)report->entry_count)) &&
           json_put(json, "pruned", json_integer((json_int_t)report->pruned_count)) &&
           json_put(json, "checkpoint_size", json_integer((json_int_t)report->checkpoint_size)) &&
           json_put(json, "origin", json_from_str(report->origin)) &&
           json_put(json, "root", json_from_str(root_text(verification))) &&
           json_put(json, "is_key_trusted", json_boolean(report->is_key_trusted)) &&
           json_put(json, "has_entries", json_boolean(verification->has_entries)) &&
           json_put(json, "witnesses", json_of_witnesses(verification)) &&
           json_put(json, "quorum", json_integer((json_int_t)verification->trust.quorum)) &&
           json_put(json, "entries_per_second", json_integer(rate_of(verification)));
}

static int print_json(const struct verification *verification, bool does_hold)
{
    size_t kept = does_hold ? verification->values->kept.count : 0;
    JSON_OWNED json_t *json = json_object();
    int failure;

    if (!json_put(json, "holds", json_boolean(does_hold)) || !put_facts(verification, json) ||
        !json_put(json, "receipts", json_integer((json_int_t)kept)) ||
        (!does_hold &&
         (!json_put(json, "bad_index", json_integer((json_int_t)verification->report.bad_index)) ||
          !json_put(json, "cause", json_string(verification->error.cause)))))
        return report_failure(&(struct error){ .code = ERROR_MEMORY });
    failure = report_json(json);
    return does_hold ? failure : error_kind(ERROR_INVALID)->exit_code;
}

static int run(const void *given, const struct operands *operands)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_MAX);
    struct verification verification = { .values = given, .arena = arena };
    const struct values *values = given;
    bool does_hold;

    (void)operands;
    if (!arena)
        return report_failure(&(struct error){ .code = ERROR_MEMORY });
    does_hold = verify(&verification, &verification.error);
    if (!does_hold && verification.error.code != ERROR_INVALID)
        return report_failure(&verification.error);
    if (values->output == OUTPUT_JSON)
        return print_json(&verification, does_hold);
    return does_hold ? print_good(&verification) : print_bad(&verification);
}

const struct command command_audit_verify = {
    .group = "audit",
    .name = "verify",
    .operands = "",
    .summary = "Prove that a ledger was not altered",
    .description = "Recomputes everything from the entries: their form and order, all hashes, "
                   "every tile, the root,\n"
                   "the checkpoint's signature and its witnesses' cosignatures; and that what jobs "
                   "and auditors kept\n"
                   "is in it, in its place. Of a mirror or a URL without entries: all of that from "
                   "the hashes up.\n"
                   "Exit code 1 with the first bad index where it does not hold. It also says what "
                   "such a proof\n"
                   "does not exclude.",
    .groups = { OPTION_GROUP(rows, 0),
                { log_trust_option_rows, LOG_TRUST_OPTION_COUNT, offsetof(struct values, trust) } },
    .values_size = sizeof(struct values),
    .defaults = &defaults,
    .run = run,
};
