#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/base64.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "clients/command.h"
#include "clients/kept_policies.h"
#include "clients/kept_policy.h"
#include "clients/ledger_source.h"
#include "clients/out_file.h"
#include "clients/policy_source.h"
#include "clients/report.h"
#include "clients/review.h"
#include "clients/review_sign.h"
#include "ledger/archive.h"
#include "ledger/query.h"

#define DOCUMENT_MAX ((size_t)256 * 1024 * 1024)
#define SIGN_ARENA_MAX ((size_t)1024 * 1024)
#define SINCE_DEFAULT "90d"

enum {
    FORM_JSON = 3,
};

struct values {
    struct policy_source_options source;
    struct ledger_source_options ledger;
    struct option_list environments;
    struct option_list owners;
    const char *since;
    const char *policies;
    const char *to;
    const char *note;
    const char *tenant;
    size_t form;
};

static const struct values defaults = { .since = SINCE_DEFAULT };

static const struct option_row rows[] = {
    { .name = "environment",
      .kind = OPTION_LIST,
      .value = "NAME",
      .help = "Stages of this environment, or with grants for targets of it; may be repeated",
      .offset = offsetof(struct values, environments),
      .letter = 'e' },
    { .name = "owner",
      .kind = OPTION_LIST,
      .value = "NAME",
      .help = "Stages that this owner answers for; may be repeated",
      .offset = offsetof(struct values, owners) },
    { .name = "since",
      .kind = OPTION_TEXT,
      .value = "TIME",
      .help = "From when uses count: 2026-09-01, or 90d before now, which is the default",
      .offset = offsetof(struct values, since) },
    { .name = "policies",
      .kind = OPTION_TEXT,
      .value = "FOLDER",
      .help = "Where policies are kept by hash; else `policies` of the store",
      .offset = offsetof(struct values, policies) },
    { .name = "output",
      .kind = OPTION_CHOICE,
      .value = "markdown|html|csv|json",
      .help = "How the review is written; html is one file that fetches nothing",
      .offset = offsetof(struct values, form),
      .letter = 'o' },
    { .name = "note",
      .kind = OPTION_TEXT,
      .value = "TEXT",
      .help =
          "With sign: what the entry says besides, at most 256 bytes, for everybody who reads it",
      .offset = offsetof(struct values, note) },
    { .name = "tenant",
      .kind = OPTION_TEXT,
      .value = "NAME",
      .help = "With sign: as an auditor of this tenant; else of all",
      .offset = offsetof(struct values, tenant) },
    { .name = "to",
      .kind = OPTION_TEXT,
      .value = "FILE",
      .help = "Where it goes: there as a whole or not at all; else standard output",
      .offset = offsetof(struct values, to) },
};

/* ---- which policy ---- */

/* The one that the store says is in force; else that of the configured folder. */
static bool load_policy(struct policy_source *source, const struct ledger_source *ledger,
                        const struct kept_policies *policies, const struct operands *operands,
                        struct error *error)
{
    OWNED(buf_release) struct buf hash = { 0 };
    struct archive_active active = { 0 };

    if (operands->count > 0 || !policies->folder)
        return kept_policy_load_operand(source, ledger, operands, error);
    if (!archive_active(policies->folder, &active, error))
        return false;
    if (!active.is_known)
        return kept_policy_load_operand(source, ledger, operands, error);
    buf_init(&hash, 128);
    buf_add_text(&hash, KEPT_POLICY_PREFIX);
    buf_add_hex(&hash, (struct str){ (const char *)active.sha256, SHA256_LEN });
    return kept_policy_load(source, policies->folder, buf_str(&hash), error);
}

/* ---- writing ---- */

static void write_json(const json_t *review, struct buf *out)
{
    buf_add_json(out, review);
    buf_add_byte(out, '\n');
}

/* A terminal gets JSON indented, and without what it would act on; the others have none of that. */
static bool write_review(const json_t *review, const struct values *values, struct error *error)
{
    static void (*const writers[])(const json_t *, struct buf *) = { review_write_markdown,
                                                                     review_write_html,
                                                                     review_write_csv, write_json };
    OWNED(out_file_release) struct out_file file = { 0 };
    OWNED(buf_release) struct buf text = { 0 };

    if (values->form == FORM_JSON && !values->to)
        return print_clean_json(stdout, review) ||
               error_set(error, ERROR_IO, "cannot write to standard output");
    buf_init(&text, DOCUMENT_MAX);
    writers[values->form](review, &text);
    if (!buf_is_ok(&text))
        return error_set(error, ERROR_MEMORY, "no memory for a review");
    if (!out_file_open(&file, values->to, error))
        return false;
    if (fwrite(text.data, 1, text.len, file.stream) != text.len)
        return error_set_errno(error, "cannot write");
    return out_file_commit(&file, error);
}

/* ---- the command ---- */

static bool put_proof(json_t *review, struct ledger_source *ledger, struct arena *arena)
{
    return json_put(review, "proof", json_from_str(ledger_source_say_proof(ledger, arena)));
}

static bool review(const struct values *values, const struct operands *operands,
                   struct policy_source *source, struct ledger_source **ledger,
                   struct kept_policies *policies, struct error *error)
{
    JSON_OWNED json_t *made = NULL;
    int64_t since_ms;
    int64_t now_s = clock_wall_s();
    struct review_options options = { .source = source,
                                      .policies = policies,
                                      .environments = &values->environments,
                                      .owners = &values->owners,
                                      .now_s = now_s };
    bool is_loaded;

    if (!query_time(str_from(values->since), now_s * 1000, &since_ms))
        return error_set(error, ERROR_USAGE,
                         "--since: expected a time, a date or a duration (90d)");
    is_loaded = policy_source_load_world(source, &values->source, error) &&
                ledger_source_open(&values->ledger, ledger, error);
    if (is_loaded) {
        policies->source = source;
        policies->folder =
            values->policies ? values->policies : ledger_source_facts(*ledger)->policies;
        is_loaded = load_policy(source, *ledger, policies, operands, error);
    }
    policy_source_report(source);
    if (!is_loaded)
        return false;
    options.ledger = *ledger;
    options.since_ms = since_ms;
    if (!review_make(&options, source->arena, &made, error))
        return false;
    if (!put_proof(made, *ledger, source->arena))
        return error_set(error, ERROR_MEMORY, "no memory for a review");
    return write_review(made, values, error);
}

/* ---- signing ---- */

static int print_signed(const struct review_signed *result, const struct values *values)
{
    JSON_OWNED json_t *json = NULL;

    if (values->form != FORM_JSON) {
        (void)printf("signed: sha256:" STR_FMT "\nentry %" PRIu64 ", leaf ",
                     STR_ARG(result->sha256), result->index);
        print_clean(stdout, result->leaf_hash);
        (void)putchar('\n');
        return report_finish();
    }
    json = json_object();
    if (!json_put(json, "sha256", json_from_str(result->sha256)) ||
        !json_put(json, "index", json_integer((json_int_t)result->index)) ||
        !json_put(json, "leaf_hash", json_from_str(result->leaf_hash)))
        return report_failure(&(struct error){ .code = ERROR_MEMORY });
    return report_json(json);
}

static int sign(const struct values *values, const char *file)
{
    OWNED(arena_free) struct arena *arena = arena_new(SIGN_ARENA_MAX);
    const struct review_signing signing = { .file = file,
                                            .broker = values->ledger.ledger,
                                            .ca_file = values->ledger.ca_file,
                                            .note = values->note,
                                            .tenant = values->tenant };
    struct review_signed result;
    struct error error = { 0 };

    if (!arena)
        return report_failure(&(struct error){ .code = ERROR_MEMORY });
    if (!review_sign(&signing, arena, &result, &error))
        return report_failure(&error);
    return print_signed(&result, values);
}

/* "sign FILE"; a folder of that name is written "./sign". */
static bool is_signing(const struct operands *operands)
{
    return operands->count > 0 && str_eq(str_from(operands->items[0]), STR("sign"));
}

static int check_signing(const struct values *values, const struct operands *operands)
{
    struct error error = { 0 };

    if (is_signing(operands) && operands->count < 2)
        (void)error_set(&error, ERROR_USAGE, "sign what? name the review's file");
    else if (!is_signing(operands) && operands->count > 1)
        (void)error_set(&error, ERROR_USAGE, "one argument too many: '%s'", operands->items[1]);
    else if (!is_signing(operands) && (values->note || values->tenant))
        (void)error_set(&error, ERROR_USAGE, "--note and --tenant go with sign");
    return error.code == ERROR_NONE ? 0 : report_failure(&error);
}

static int run_review(const void *given, const struct operands *operands)
{
    OWNED(policy_source_release) struct policy_source source = { 0 };
    OWNED(ledger_source_close) struct ledger_source *ledger = NULL;
    struct kept_policies policies = { 0 };
    struct error error = { 0 };
    bool is_done = review(given, operands, &source, &ledger, &policies, &error);

    kept_policies_release(&policies);
    return is_done ? report_finish() : report_failure(&error);
}

static int run(const void *given, const struct operands *operands)
{
    const struct values *values = given;
    int failure = check_signing(values, operands);

    if (failure != 0)
        return failure;
    return is_signing(operands) ? sign(values, operands->items[1]) : run_review(given, operands);
}

const struct command command_audit_review = {
    .group = "audit",
    .name = "review",
    .operands = "[FOLDER|sha256:HASH | sign FILE]",
    .summary = "An access review: what to keep, narrow and remove, per owner",
    .description =
        "For each owner the stages and grants that they answer for, by the policy in force, how\n"
        "they were used, and a proposal: remove what was not used in all that time; narrow what\n"
        "gives more, or lets in more, than was ever taken; keep the rest. With exceptions of\n"
        "guardrails and their ends, who has which role, and the age of the broker's keys, where\n"
        "these are known. FOLDER or HASH name another policy.\n\n"
        "`sign FILE` has the broker of --ledger URL record the hash of a review, and who is "
        "logged\n"
        "in: an auditor. The review itself stays with you.",
    .groups = { OPTION_GROUP(policy_source_option_rows, offsetof(struct values, source)),
                OPTION_GROUP(ledger_source_option_rows, offsetof(struct values, ledger)),
                OPTION_GROUP(rows, 0) },
    .values_size = sizeof(struct values),
    .defaults = &defaults,
    .operands_max = 2,
    .run = run,
};
