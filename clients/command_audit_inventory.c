#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "base/time_text.h"
#include "clients/command.h"
#include "clients/escape.h"
#include "clients/inventory_source.h"
#include "clients/report.h"

#define ARENA_MAX ((size_t)2 * 1024 * 1024 * 1024)
#define LINE_MAX_BYTES ((size_t)64 * 1024)

enum {
    FORM_TEXT,
    FORM_JSON,
    FORM_CSV,
};

struct values {
    struct policy_source_options policy;
    struct ledger_source_options ledger;
    struct inventory_options question;
    struct option_list fails_on;
    size_t by;
    size_t output;
};

#define QUESTION(member) offsetof(struct values, question.member)

static const struct option_row rows[] = {
    { .name = "environment",
      .kind = OPTION_TEXT,
      .value = "NAME",
      .help = "Stages of this environment",
      .offset = QUESTION(environment),
      .letter = 'e' },
    { .name = "target",
      .kind = OPTION_TEXT,
      .value = "NAME",
      .help = "Who can reach, or reached, this target",
      .offset = QUESTION(target),
      .letter = 't' },
    { .name = "owner",
      .kind = OPTION_TEXT,
      .value = "NAME",
      .help = "Stages of this owner",
      .offset = QUESTION(owner) },
    { .name = "tenant",
      .kind = OPTION_TEXT,
      .value = "NAME",
      .help = "Stages of this tenant",
      .offset = QUESTION(tenant) },
    { .name = "pipeline",
      .kind = OPTION_TEXT,
      .value = "NAME",
      .help = "Stages of this pipeline",
      .offset = QUESTION(pipeline) },
    { .name = "stage",
      .kind = OPTION_TEXT,
      .value = "STAGE",
      .help = "This stage, as PIPELINE:STAGE",
      .offset = QUESTION(stage) },
    { .name = "unused",
      .kind = OPTION_TEXT,
      .value = "SINCE",
      .help = "Only what policy allows and nobody used since: 90d, or a time",
      .offset = QUESTION(unused) },
    { .name = "at",
      .kind = OPTION_TEXT,
      .value = "TIME",
      .help = "As it was then: the policy of that time, and what had been used",
      .offset = QUESTION(at) },
    { .name = "policies",
      .kind = OPTION_TEXT,
      .value = "FOLDER",
      .help = "Where policies are kept by hash; else `policies` of the store",
      .offset = QUESTION(policies) },
    { .name = "by",
      .kind = OPTION_CHOICE,
      .value = "target|owner|stage",
      .help = "What the rows stand under; else target",
      .offset = offsetof(struct values, by) },
    { .name = "fail-on",
      .kind = OPTION_LIST,
      .value = "WHAT",
      .help = "Exit code 6 where there is a row that is: any, unused (with --unused), overdue (its "
              "review), or not-allowed (reached, and no policy gives it); may be repeated",
      .offset = offsetof(struct values, fails_on) },
    { .name = "output",
      .kind = OPTION_CHOICE,
      .value = "text|json|csv",
      .help = "How it is printed; csv is for spreadsheets, with formulas defused",
      .offset = offsetof(struct values, output),
      .letter = 'o' },
};

static const char *const groups[] = { "target", "owner", "stage" };

/* ---- what fails ---- */

static bool is_any(const json_t *row)
{
    (void)row;
    return true;
}

static bool is_unused(const json_t *row)
{
    return json_is_true(json_object_get(row, "unused"));
}

static bool is_overdue(const json_t *row)
{
    return json_is_true(json_object_get(row, "overdue"));
}

static bool is_not_allowed(const json_t *row)
{
    return str_eq(json_str(json_object_get(row, "may")), STR("no"));
}

static const struct {
    const char *word;
    bool (*holds)(const json_t *row);
} failures[] = {
    { "any", is_any },
    { "unused", is_unused },
    { "overdue", is_overdue },
    { "not-allowed", is_not_allowed },
};

static bool check_failures(const struct values *values, struct error *error)
{
    for (size_t i = 0; i < values->fails_on.count; i++) {
        const char *word = values->fails_on.items[i];
        size_t k = 0;

        while (k < COUNT(failures) && strcmp(failures[k].word, word) != 0)
            k++;
        if (k == COUNT(failures))
            return error_set(error, ERROR_USAGE,
                             "--fail-on: expected any, unused, overdue or not-allowed");
        if (failures[k].holds == is_unused && !values->question.unused)
            return error_set(error, ERROR_USAGE, "--fail-on unused needs --unused SINCE");
    }
    return true;
}

static size_t count_failing(const struct values *values, const json_t *list)
{
    size_t count = 0;

    for (size_t i = 0; i < json_array_size(list); i++) {
        bool does_fail = false;

        for (size_t k = 0; k < values->fails_on.count; k++)
            for (size_t m = 0; m < COUNT(failures); m++)
                does_fail |= strcmp(failures[m].word, values->fails_on.items[k]) == 0 &&
                             failures[m].holds(json_array_get(list, i));
        count += does_fail;
    }
    return count;
}

/* ---- text ---- */

static void print_word(const char *title, struct str text)
{
    if (text.len == 0)
        return;
    (void)printf("%s", title);
    print_clean(stdout, text);
}

/* The day is enough for people. */
static void print_day(const char *title, const json_t *row, const char *name)
{
    print_word(title, str_slice(json_str(json_object_get(row, name)), 0, sizeof("2026-11-22") - 1));
}

static void print_may(const json_t *row)
{
    const json_t *closed = json_object_get(row, "closed");

    print_word("    may ", json_str(json_object_get(row, "may")));
    for (size_t i = 0; i < json_array_size(closed); i++)
        print_word(i == 0 ? " by " : ", ", json_str(json_array_get(closed, i)));
    print_day(", until ", row, "until");
    print_day(", review by ", row, "review_by");
    if (is_overdue(row))
        (void)printf(" (overdue)");
    if (is_not_allowed(row))
        (void)printf(": no policy gives it");
}

static void print_does(const json_t *row)
{
    int64_t used = json_integer_value(json_object_get(row, "used"));
    int64_t failed = json_integer_value(json_object_get(row, "failed"));

    if (used == 0)
        (void)printf("; never used");
    else
        (void)printf("; used %" PRId64 " time%s", used, used == 1 ? "" : "s");
    print_day(", last ", row, "last_used");
    print_day(", first ", row, "first_used");
    if (failed > 0)
        (void)printf(", failed %" PRId64, failed);
}

static void print_identities(const json_t *row)
{
    const json_t *list = json_object_get(row, "identities");
    int64_t more = json_integer_value(json_object_get(row, "identities_more"));

    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *seen = json_array_get(list, i);

        print_word(i == 0 ? "    seen: " : ", ", json_str(json_object_get(seen, "issuer")));
        print_word(" ", json_str(json_object_get(seen, "name")));
    }
    if (more > 0)
        (void)printf(", and %" PRId64 " more", more);
    if (json_array_size(list) > 0)
        (void)printf("\n");
}

static void print_row(const json_t *row)
{
    print_word("  ", json_str(json_object_get(row, "stage")));
    print_word(" grant ", json_str(json_object_get(row, "grant")));
    print_word(" ", json_str(json_object_get(row, "type")));
    print_word(" to ", json_str(json_object_get(row, "target")));
    print_word(", owner ", json_str(json_object_get(row, "owner")));
    print_word(", tenant ", json_str(json_object_get(row, "tenant")));
    print_word(", ", json_str(json_object_get(row, "environment")));
    (void)printf("\n");
    print_may(row);
    print_does(row);
    (void)printf("\n");
    print_identities(row);
}

/* Rows come in the order of stages; what they stand under is put in order first. */
struct placed {
    struct str group;
    size_t position;
    const json_t *row;
};

static int compare_placed(const void *a, const void *b)
{
    const struct placed *left = a;
    const struct placed *right = b;
    int order = str_compare(left->group, right->group);

    if (order != 0)
        return order;
    return left->position < right->position ? -1 : left->position > right->position;
}

static struct placed *place_rows(const json_t *list, const char *group, struct arena *arena)
{
    size_t count = json_array_size(list);
    struct placed *placed = arena_alloc_array(arena, count + 1, sizeof(*placed));

    for (size_t i = 0; placed && i < count; i++) {
        const json_t *row = json_array_get(list, i);

        placed[i] = (struct placed){ json_str(json_object_get(row, group)), i, row };
    }
    if (placed)
        qsort(placed, count, sizeof(*placed), compare_placed);
    return placed;
}

static bool print_text(const struct inventory_found *found, const char *group, struct arena *arena,
                       struct error *error)
{
    const struct placed *placed = place_rows(found->rows, group, arena);
    size_t count = json_array_size(found->rows);

    if (!placed)
        return error_set(error, ERROR_MEMORY, "no memory for an inventory");
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || !str_eq(placed[i].group, placed[i - 1].group)) {
            print_word(group, STR(" "));
            print_clean(stdout, placed[i].group.len > 0 ? placed[i].group : STR("(none)"));
            (void)printf("\n");
        }
        print_row(placed[i].row);
    }
    return true;
}

/* ---- csv ---- */

static const char *const columns[] = {
    "stage",       "target", "grant",  "type",       "pipeline",  "owner",     "tenant",
    "environment", "kind",   "may",    "closed",     "until",     "review_by", "overdue",
    "ttl_s",       "used",   "failed", "first_used", "last_used", "unused",    "identities",
};

static void add_list(const json_t *list, struct buf *text)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);

        buf_add_text(text, i > 0 ? "; " : "");
        buf_add(text,
                json_is_object(item) ? json_str(json_object_get(item, "issuer")) : json_str(item));
        if (json_string_length(json_object_get(item, "name")) > 0) {
            buf_add_text(text, " ");
            buf_add(text, json_str(json_object_get(item, "name")));
        }
    }
}

static void add_cell(const json_t *value, struct buf *line)
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, LINE_MAX_BYTES);
    if (json_is_array(value))
        add_list(value, &text);
    else if (json_is_integer(value))
        buf_printf(&text, "%" PRId64, (int64_t)json_integer_value(value));
    else if (json_is_boolean(value))
        buf_add_text(&text, json_is_true(value) ? "yes" : "no");
    else
        buf_add(&text, json_str(value));
    escape_csv_cell(buf_str(&text), line);
}

static bool print_csv(const struct inventory_found *found, struct error *error)
{
    OWNED(buf_release) struct buf line = { 0 };

    buf_init(&line, LINE_MAX_BYTES * 4);
    for (size_t i = 0; i <= json_array_size(found->rows); i++) {
        const json_t *row = i == 0 ? NULL : json_array_get(found->rows, i - 1);

        buf_clear(&line);
        for (size_t k = 0; k < COUNT(columns); k++) {
            buf_add_text(&line, k > 0 ? "," : "");
            if (row)
                add_cell(json_object_get(row, columns[k]), &line);
            else
                escape_csv_cell(str_from(columns[k]), &line);
        }
        buf_add_text(&line, "\r\n");
        if (!buf_is_ok(&line))
            return error_set(error, ERROR_LIMIT, "a row does not fit into a line");
        (void)fwrite(line.data, 1, line.len, stdout); /* report_finish() asks once for all */
    }
    return true;
}

/* ---- json ---- */

static bool print_json(const struct inventory_found *found, struct error *error)
{
    JSON_OWNED json_t *whole = json_object();
    char at[TIME_TEXT_S_LEN + 1];

    time_text_s(found->at_s, at);
    if (!json_put(whole, "at", json_string(at)) ||
        !json_put(whole, "as_of", json_integer((json_int_t)found->size)) ||
        (found->policy && !json_put(whole, "policy", json_string(found->policy))) ||
        !json_put(whole, "rows", json_incref(found->rows)) || !print_clean_json(stdout, whole))
        return error_set(error, ERROR_MEMORY, "no memory for an inventory");
    return true;
}

/* ---- the command ---- */

static bool print(const struct values *values, const struct inventory_found *found,
                  struct arena *arena, struct error *error)
{
    if (values->output == FORM_JSON)
        return print_json(found, error);
    if (values->output == FORM_CSV)
        return print_csv(found, error);
    return print_text(found, groups[values->by], arena, error);
}

static void tell_how(const struct inventory_found *found, size_t failing)
{
    char at[TIME_TEXT_S_LEN + 1];

    time_text_s(found->at_s, at);
    (void)fflush(stdout); /* report_finish() tells */
    report_line("%zu %s at %s, of %" PRIu64 " %s%s%s", json_array_size(found->rows),
                report_word(json_array_size(found->rows), "row", "rows"), at, found->size,
                report_word(found->size, "entry", "entries"), found->policy ? " and policy " : "",
                found->policy ? found->policy : "");
    if (found->without)
        report_line("only what was used is shown: %s", found->without);
    if (failing > 0)
        report_line("%zu of them are what --fail-on asks for", failing);
}

static bool run_all(const struct values *values, const struct operands *operands,
                    struct arena *arena, size_t *failing, struct error *error)
{
    struct inventory_options question = values->question;
    struct inventory_found found;

    question.ledger = &values->ledger;
    question.policy = &values->policy;
    question.operands = operands;
    question.now_ms = clock_wall_ms();
    if (!check_failures(values, error) || !inventory_find(&question, arena, &found, error) ||
        !print(values, &found, arena, error))
        return false;
    *failing = count_failing(values, found.rows);
    tell_how(&found, *failing);
    return true;
}

static int run(const void *given, const struct operands *operands)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_MAX);
    struct error error = { 0 };
    size_t failing = 0;
    int failure;

    if (!arena)
        (void)error_set(&error, ERROR_MEMORY, "no memory");
    else if (run_all(given, operands, arena, &failing, &error)) {
        failure = report_finish();
        return failure == 0 && failing > 0 ? error_kind(ERROR_FOUND)->exit_code : failure;
    }
    return report_failure(&error);
}

const struct command command_audit_inventory = {
    .group = "audit",
    .name = "inventory",
    .operands = "[FOLDER|sha256:HEX]",
    .summary = "Who can reach, and who reached, which target",
    .description =
        "Every stage and grant, with what policy says of it (may) and what the ledger does (used)\n"
        "side by side: owner, environment, how often and when first and last, until when, and "
        "when\n"
        "it is to be reviewed. The policy is the one in force, kept with the store; a folder or a\n"
        "hash names another. --at shows how it was. A broker (--ledger URL) is asked as the "
        "person\n"
        "who logged in.",
    .groups = { OPTION_GROUP(policy_source_option_rows, offsetof(struct values, policy)),
                OPTION_GROUP(ledger_source_option_rows, offsetof(struct values, ledger)),
                OPTION_GROUP(rows, 0) },
    .values_size = sizeof(struct values),
    .operands_max = 1,
    .run = run,
};
