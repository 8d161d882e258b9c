#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "clients/command.h"
#include "clients/report.h"
#include "ledger/audit.h"

#define ARENA_MAX ((size_t)64 * 1024 * 1024)
#define RECEIPT_MAX ((size_t)256 * 1024)
#define KEY_MAX ((size_t)4096)

struct values {
    const char *folder;
    const char *key;
    struct option_list receipts;
    size_t output;
};

static const struct values defaults = { .folder = "/var/lib/stagepass" };

static const struct option_row rows[] = {
    { .name = "ledger",
      .kind = OPTION_TEXT,
      .value = "FOLDER",
      .environment = "STAGEPASS_LEDGER",
      .help = "The store's folder, or a copy of it; else /var/lib/stagepass",
      .offset = offsetof(struct values, folder) },
    { .name = "key",
      .kind = OPTION_TEXT,
      .value = "KEY|FILE",
      .environment = "STAGEPASS_LEDGER_KEY",
      .help = "The ledger's verifier key, from a place that its operator does not write",
      .offset = offsetof(struct values, key) },
    { .name = "against",
      .kind = OPTION_LIST,
      .value = "RECEIPT",
      .help = "A receipt that a job kept; may be repeated",
      .offset = offsetof(struct values, receipts) },
    { .name = "output",
      .kind = OPTION_CHOICE,
      .value = OUTPUT_NAMES,
      .help = "How the result is printed",
      .offset = offsetof(struct values, output),
      .letter = 'o' },
};

/* One verification and what it found. */
struct verification {
    const struct values *values;
    struct arena *arena;
    struct audit_options options;
    struct audit_report report;
    size_t receipt_count; /* that held */
    struct error error;   /* why it does not hold */
};

static void show_progress(uint64_t done, uint64_t total, void *context)
{
    (void)context;
    (void)fprintf(stderr, "\r%" PRIu64 " of %" PRIu64 " entries%s", done, total,
                  done == total ? "\n" : "");
}

/* A verifier key holds two '+'; a file's name that does is written with "./" in front. */
static bool read_key(struct verification *verification, const char *text, struct error *error)
{
    struct str key = str_from(text);
    struct str part;
    struct str rest;
    bool is_key = str_cut(key, '+', &part, &rest) && str_cut(rest, '+', &part, &rest) &&
                  text[0] != '.' && text[0] != '/';

    if (!is_key && !file_read(verification->arena, text, KEY_MAX, &key, error))
        return error_wrap(error, "the verifier key");
    verification->options.verifier_key = str_trim(key);
    return true;
}

static bool check_receipts(struct verification *verification, struct error *error)
{
    const struct option_list *receipts = &verification->values->receipts;

    for (size_t i = 0; i < receipts->count; i++) {
        const char *path = receipts->items[i];
        struct str text;
        uint64_t index;

        if (!file_read(verification->arena, path, RECEIPT_MAX, &text, error) ||
            !audit_check_receipt(&verification->options, text, verification->arena, &index, error))
            return error_wrap(error, "receipt %s", path);
        verification->receipt_count++;
    }
    return true;
}

static bool verify(struct verification *verification, struct error *error)
{
    const struct values *values = verification->values;

    verification->options.folder = values->folder;
    if (isatty(STDERR_FILENO))
        verification->options.progress = show_progress;
    if (values->key && !read_key(verification, values->key, error))
        return false;
    return audit_verify(&verification->options, verification->arena, &verification->report,
                        error) &&
           check_receipts(verification, error);
}

static struct str root_text(const struct verification *verification)
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, 64);
    buf_add_base64(&text,
                   (struct str){ (const char *)verification->report.root.bytes, MERKLE_HASH_LEN });
    return arena_copy(verification->arena, buf_str(&text));
}

/* What a proof shows and what it does not: an auditor must not take one for the other. */
static void print_limits(const struct verification *verification)
{
    if (!verification->report.is_key_trusted)
        (void)puts(
            "not excluded: the key came from the store itself, so whoever can write there can "
            "have\n  made all of it anew. --key names one that was kept elsewhere.");
    if (verification->receipt_count == 0)
        (void)puts(
            "not excluded: the operator, who has the signing key, can have shown others another "
            "log or\n  left out entries. Receipts that jobs kept hold him to his word: "
            "--against RECEIPT.");
    if (verification->report.checkpoint_size < verification->report.entry_count)
        (void)printf("not signed yet: the last %" PRIu64 " entries\n",
                     verification->report.entry_count - verification->report.checkpoint_size);
}

static int print_good(const struct verification *verification)
{
    const struct audit_report *report = &verification->report;

    (void)printf("holds: %" PRIu64 " entries of " STR_FMT "\n", report->entry_count,
                 STR_ARG(report->origin));
    (void)printf("root " STR_FMT "\ncheckpoint of %" PRIu64 " entries, signature good\n",
                 STR_ARG(root_text(verification)), report->checkpoint_size);
    if (verification->receipt_count > 0)
        (void)printf("%zu of %zu receipts are in it\n", verification->receipt_count,
                     verification->values->receipts.count);
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

static int print_json(const struct verification *verification, bool does_hold)
{
    const struct audit_report *report = &verification->report;
    JSON_OWNED json_t *json = json_object();
    int failure;

    if (!json_put(json, "holds", json_boolean(does_hold)) ||
        !json_put(json, "entries", json_integer((json_int_t)report->entry_count)) ||
        !json_put(json, "checkpoint_size", json_integer((json_int_t)report->checkpoint_size)) ||
        !json_put(json, "origin", json_from_str(report->origin)) ||
        !json_put(json, "root", json_from_str(root_text(verification))) ||
        !json_put(json, "is_key_trusted", json_boolean(report->is_key_trusted)) ||
        !json_put(json, "receipts", json_integer((json_int_t)verification->receipt_count)) ||
        (!does_hold && (!json_put(json, "bad_index", json_integer((json_int_t)report->bad_index)) ||
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
                   "every tile, the root\n"
                   "and the checkpoint's signature; and that the receipts' entries are in it, in "
                   "their places.\n"
                   "Exit code 1 with the first bad index where it does not hold. It also says what "
                   "such a proof\n"
                   "does not exclude.",
    .groups = { OPTION_GROUP(rows, 0) },
    .values_size = sizeof(struct values),
    .defaults = &defaults,
    .run = run,
};
