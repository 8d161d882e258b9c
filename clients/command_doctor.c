#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "base/time_text.h"
#include "clients/command.h"
#include "clients/operator.h"
#include "clients/report.h"
#include "clients/upcoming.h"

#define STAGE_MAX 1024
#define UPCOMING_DEFAULT_S (INT64_C(86400) * 60)
#define EXIT_FOUND 6

struct values {
    struct broker_options broker;
    int64_t upcoming_s;
    size_t output;
};

static const struct values defaults = { .upcoming_s = UPCOMING_DEFAULT_S };

static const struct option_row rows[] = {
    { .name = "upcoming",
      .kind = OPTION_DURATION,
      .value = "TIME",
      .help = "How far to look ahead: 60d",
      .offset = offsetof(struct values, upcoming_s) },
    OUTPUT_ROW(struct values, "How the result is printed"),
};

/* What ends or is due, as rows {"at", "what", "of", "name", "owner"}. */
struct findings {
    json_t *rows;
    int64_t now_s;
    int64_t before_s;
};

/* Reviews that are overdue are found, too; what has ended is not. */
static bool is_found(const struct findings *findings, struct str what, struct str at)
{
    int64_t at_ms = 0;

    return time_text_parse(at, &at_ms) && at_ms / 1000 < findings->before_s &&
           (at_ms / 1000 > findings->now_s || str_eq(what, STR("review_by")));
}

static bool add(struct findings *findings, const char *what, struct str at, struct str of,
                struct str name, struct str owner)
{
    json_t *row;

    if (at.len == 0 || !is_found(findings, str_from(what), at))
        return true;
    row = json_append_object(findings->rows);
    return json_put(row, "at", json_from_str(at)) && json_put(row, "what", json_string(what)) &&
           json_put(row, "of", json_from_str(of)) && json_put_text(row, "name", name) &&
           json_put_text(row, "owner", owner);
}

static struct str text_of(const json_t *object, const char *name)
{
    return json_str(json_object_get(object, name));
}

static bool add_stage(struct findings *findings, const json_t *stage, struct str owner)
{
    struct str id = text_of(stage, "id");
    const json_t *grant = NULL;
    size_t i = 0;

    if (!add(findings, "until", text_of(stage, "until"), id, STR(""), owner))
        return false;
    json_array_foreach (json_object_get(stage, "grants"), i, grant)
        if (!add(findings, "grant_until", text_of(grant, "until"), id, text_of(grant, "name"),
                 owner))
            return false;
    return true;
}

/* A pipeline that two pages show is told once. */
static bool has_row(const json_t *rows_so_far, struct str of)
{
    const json_t *row = NULL;
    size_t i = 0;

    json_array_foreach (rows_so_far, i, row)
        if (str_eq(text_of(row, "of"), of) && str_eq(text_of(row, "what"), STR("review_by")))
            return true;
    return false;
}

static bool add_pipeline(struct findings *findings, const json_t *pipeline)
{
    struct str name = text_of(pipeline, "name");
    struct str owner = text_of(pipeline, "owner");
    const json_t *stage = NULL;
    size_t i = 0;

    if (!has_row(findings->rows, name) &&
        !add(findings, "review_by", text_of(pipeline, "review_by"), name, STR(""), owner))
        return false;
    json_array_foreach (json_object_get(pipeline, "stages"), i, stage)
        if (!add_stage(findings, stage, owner))
            return false;
    return true;
}

static bool add_exception(struct findings *findings, const json_t *exception)
{
    OWNED(buf_release) struct buf of = { 0 };

    buf_init(&of, STAGE_MAX);
    buf_printf(&of, STR_FMT ":" STR_FMT, STR_ARG(text_of(exception, "pipeline")),
               STR_ARG(text_of(exception, "stage")));
    return buf_is_ok(&of) && add(findings, "exception", text_of(exception, "until"), buf_str(&of),
                                 text_of(exception, "from"), STR(""));
}

static bool add_page(struct findings *findings, const json_t *page)
{
    const json_t *item = NULL;
    size_t i = 0;

    json_array_foreach (json_object_get(page, "pipelines"), i, item)
        if (!add_pipeline(findings, item))
            return false;
    json_array_foreach (json_object_get(page, "exceptions"), i, item)
        if (!add_exception(findings, item))
            return false;
    return true;
}

static bool take(void *context, const json_t *page, struct error *error)
{
    return add_page(context, page) || error_set(error, ERROR_MEMORY, "no memory");
}

static bool look(const struct values *values, struct findings *findings, struct error *error)
{
    const struct operator_pages pages = {
        .request = { .method = "GET", .path = "/api/v1/policy", .what = "reading the policy" },
        .take = take,
        .context = findings,
    };

    return operator_ask_pages(&values->broker, &pages, error);
}

static int compare_rows(const void *a, const void *b)
{
    return str_compare(text_of(*(json_t *const *)a, "at"), text_of(*(json_t *const *)b, "at"));
}

/* The first date first. False without memory. */
static bool sort(json_t *list, json_t **sorted)
{
    size_t count = json_array_size(list);
    json_t **items = calloc(count + 1, sizeof(json_t *));

    *sorted = json_array();
    if (!items || !*sorted) {
        free(items);
        return false;
    }
    for (size_t i = 0; i < count; i++)
        items[i] = json_array_get(list, i);
    qsort(items, count, sizeof(json_t *), compare_rows);
    for (size_t i = 0; i < count; i++)
        (void)json_array_append(*sorted, items[i]); /* a row less is told by its number */
    free(items);
    return json_array_size(*sorted) == count;
}

static void print_row(const json_t *row, int64_t now_s)
{
    struct str what = text_of(row, "what");
    int64_t at_ms = 0;
    char phrase[128];

    if (!time_text_parse(text_of(row, "at"), &at_ms))
        return; /* it was parsed before */
    upcoming_phrase(what, at_ms / 1000, now_s, phrase, sizeof(phrase));
    print_clean(stdout, text_of(row, "of"));
    (void)fputs(": ", stdout);
    print_clean(stdout, what);
    if (text_of(row, "name").len > 0) {
        (void)fputs(" ", stdout);
        print_clean(stdout, text_of(row, "name"));
    }
    (void)printf(" %s", phrase);
    if (text_of(row, "owner").len > 0) {
        (void)fputs("; owner ", stdout);
        print_clean(stdout, text_of(row, "owner"));
    }
    (void)puts("");
}

static int run(const void *given, const struct operands *operands)
{
    const struct values *values = given;
    struct findings findings = { .rows = json_array(), .now_s = clock_wall_s() };
    JSON_OWNED json_t *found = findings.rows;
    JSON_OWNED json_t *sorted = NULL;
    struct error error = { 0 };
    const json_t *row = NULL;
    int code;
    size_t i = 0;

    (void)operands;
    findings.before_s = findings.now_s + values->upcoming_s;
    if (!found)
        (void)error_set(&error, ERROR_MEMORY, "no memory");
    if (!found || !look(values, &findings, &error))
        return report_failure(&error);
    if (!sort(found, &sorted)) {
        (void)error_set(&error, ERROR_MEMORY, "no memory");
        return report_failure(&error);
    }
    if (values->output == OUTPUT_JSON)
        code = report_json(sorted);
    else {
        json_array_foreach (sorted, i, row)
            print_row(row, findings.now_s);
        if (json_array_size(sorted) == 0)
            (void)puts("nothing ends, and no review is due");
        code = report_finish();
    }
    return code == 0 && json_array_size(sorted) > 0 ? EXIT_FOUND : code;
}

const struct command command_doctor = {
    .name = "doctor",
    .operands = "",
    .summary = "What of the policy in force ends, or is due for review, soon",
    .description =
        "Lists reviews that are due or overdue, stages, grants and exceptions from guardrails "
        "that\n"
        "end, by date: of the pipelines of your tenants for auditors and operators, of your own\n"
        "for members of an owner. Exits 6 where it finds something. The broker's gauge\n"
        "stagepass_expires_timestamp has the first of each kind, and its certificate's end.",
    .groups = { OPTION_GROUP(broker_option_rows, offsetof(struct values, broker)),
                OPTION_GROUP(rows, 0) },
    .defaults = &defaults,
    .values_size = sizeof(struct values),
    .run = run,
};
