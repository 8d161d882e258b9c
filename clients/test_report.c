#include "clients/test_report.h"

#include <inttypes.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "base/time_text.h"
#include "clients/explanation.h"
#include "clients/paint.h"
#include "clients/report.h"

#define MARGIN 6 /* of what is told of a test */
#define NS_PER_MS INT64_C(1000000)

/* ---- what all reports need ---- */

size_t test_report_group(const struct policy_test_run *run, size_t first)
{
    size_t count = 0;

    while (first + count < run->count &&
           str_eq(run->results[first + count].pipeline, run->results[first].pipeline))
        count++;
    return count;
}

json_t *test_report_outcome(const struct policy_test_outcome *outcome)
{
    JSON_OWNED json_t *object = json_object();

    if (!json_put(object, "outcome", json_string(outcome->is_allow ? "allow" : "deny")) ||
        (outcome->has_names && !json_put(object, outcome->is_allow ? "grants" : "because",
                                         json_from_strs(outcome->names, outcome->name_count))) ||
        (outcome->ttl_s > 0 && !json_put(object, "ttl_s", json_integer(outcome->ttl_s))))
        return NULL;
    return TAKE(object);
}

int64_t test_report_percent(size_t covered, size_t count)
{
    return count == 0 ? 100 : (int64_t)(covered * 100 / count);
}

static void sum(const struct policy_test_run *run, size_t *covered, size_t *count)
{
    *covered = 0;
    *count = 0;
    for (size_t i = 0; i < run->coverage_count; i++) {
        *covered += run->coverage[i].covered_count;
        *count += run->coverage[i].count;
    }
}

int64_t test_report_coverage(const struct policy_test_run *run)
{
    size_t covered;
    size_t count;

    sum(run, &covered, &count);
    return test_report_percent(covered, count);
}

const char *test_report_gap(const struct policy_covered *item)
{
    if (!item->has_denied && str_eq(str_from(item->clause), STR("grant")))
        return "no test is given it";
    if (!item->has_allowed && !item->has_denied)
        return "no test depends on it";
    return item->has_allowed ? "no test is denied because of it"
                             : "no test that is allowed gets past it";
}

/* ---- a test that failed ---- */

static void print_outcome(const struct policy_test_outcome *outcome)
{
    (void)fputs(outcome->is_allow ? "allow" : "deny", stdout);
    for (size_t i = 0; outcome->has_names && i < outcome->name_count; i++) {
        if (i == 0)
            (void)fputs(outcome->is_allow ? " of " : " because of ", stdout);
        else
            (void)fputs(", ", stdout);
        print_clean(stdout, outcome->names[i]);
    }
    if (outcome->has_names && outcome->name_count == 0)
        (void)fputs(outcome->is_allow ? " of no grants" : " because of nothing", stdout);
    if (outcome->ttl_s > 0) {
        char text[DURATION_TEXT_MAX];

        duration_text(outcome->ttl_s, text);
        (void)printf(", each for %s", text);
    }
    (void)putchar('\n');
}

static bool has_name(const struct policy_test_outcome *outcome, struct str name)
{
    for (size_t i = 0; i < outcome->name_count; i++)
        if (str_eq(outcome->names[i], name))
            return true;
    return false;
}

static void print_only(const struct policy_test_outcome *of,
                       const struct policy_test_outcome *not_of, char sign,
                       const struct paint *paint)
{
    for (size_t i = 0; i < of->name_count; i++) {
        if (has_name(not_of, of->names[i]))
            continue;
        (void)printf("%*s", MARGIN + 4, "");
        paint_start(paint, sign == '-' ? PAINT_BAD : PAINT_GOOD, stdout);
        (void)printf("%c ", sign);
        print_clean(stdout, of->names[i]);
        paint_stop(paint, stdout);
        (void)putchar('\n');
    }
}

/* Expected and got, and where both are of one kind the names that only one has. */
static void print_difference(const struct policy_test_result *result, const struct paint *paint)
{
    (void)printf("%*sexpected  ", MARGIN, "");
    print_outcome(&result->expected);
    (void)printf("%*sgot       ", MARGIN, "");
    print_outcome(&result->got);
    if (result->expected.is_allow != result->got.is_allow || !result->expected.has_names)
        return;
    print_only(&result->expected, &result->got, '-', paint);
    print_only(&result->got, &result->expected, '+', paint);
}

static void print_line(struct str text)
{
    (void)printf("%*s", MARGIN, "");
    print_clean(stdout, text);
    (void)putchar('\n');
}

static void print_place(struct position at, const struct paint *paint)
{
    paint_start(paint, PAINT_FAINT, stdout);
    print_clean(stdout, at.file);
    (void)printf(":%zu:%zu", at.line, at.column);
    paint_stop(paint, stdout);
}

static void print_name(const struct policy_test_result *result, const struct paint *paint)
{
    (void)fputs("  ", stdout);
    paint_mark(paint, result->has_passed ? PAINT_GOOD : PAINT_BAD, stdout);
    (void)putchar(' ');
    print_clean(stdout, result->name);
    if (!result->has_passed) {
        (void)fputs("  ", stdout);
        print_place(result->at, paint);
    }
    (void)putchar('\n');
}

/* The tree of what decided, or came nearest: what the author needs to repair either side. */
static void print_failure(const struct policy_test_result *result, const struct paint *paint)
{
    if (result->is_broken) {
        print_line(result->detail);
        (void)putchar('\n');
        return;
    }
    print_difference(result, paint);
    if (result->expected.is_allow && result->got.is_allow)
        print_line(result->detail);
    (void)putchar('\n');
    if (result->explanation->subject_count > 0)
        explanation_print_subject(&result->explanation->subjects[0], false, paint, MARGIN, stdout);
    (void)putchar('\n');
}

/* ---- pipelines ---- */

static void print_pipeline(const struct policy_test_result *results, size_t count,
                           const struct paint *paint)
{
    size_t failed = 0;

    for (size_t i = 0; i < count; i++)
        failed += !results[i].has_passed;
    paint_mark(paint, failed > 0 ? PAINT_BAD : PAINT_GOOD, stdout);
    (void)putchar(' ');
    paint_start(paint, PAINT_STRONG, stdout);
    print_clean(stdout, results[0].pipeline);
    paint_stop(paint, stdout);
    (void)fputs("  ", stdout);
    paint_start(paint, PAINT_FAINT, stdout);
    print_clean(stdout, results[0].at.file);
    paint_stop(paint, stdout);
    (void)printf("  %zu test%s", count, count == 1 ? "" : "s");
    if (failed > 0)
        (void)printf(", %zu failed", failed);
    (void)putchar('\n');
}

static void print_group(const struct policy_test_result *results, size_t count, bool names_all,
                        const struct paint *paint)
{
    print_pipeline(results, count, paint);
    for (size_t i = 0; i < count; i++) {
        if (results[i].has_passed && !names_all)
            continue;
        print_name(&results[i], paint);
        if (!results[i].has_passed)
            print_failure(&results[i], paint);
    }
}

/* ---- coverage ---- */

static void print_gap(const struct policy_covered *item, const struct paint *paint)
{
    (void)fputs("    ", stdout);
    print_place(item->at, paint);
    (void)fputs("  ", stdout);
    if (item->stage.len > 0) {
        print_clean(stdout, item->stage);
        (void)putchar(' ');
    }
    if (!item->is_word)
        (void)printf("%s ", item->clause);
    print_clean(stdout, item->name);
    (void)printf(": %s\n", test_report_gap(item));
}

static void print_coverage_of(const struct policy_coverage *coverage, const struct paint *paint)
{
    bool is_whole = coverage->covered_count == coverage->count;

    (void)fputs("  ", stdout);
    paint_mark(paint, is_whole ? PAINT_GOOD : PAINT_UNSURE, stdout);
    (void)putchar(' ');
    print_clean(stdout, coverage->pipeline);
    (void)printf("  %zu of %zu (%" PRId64 "%%)\n", coverage->covered_count, coverage->count,
                 test_report_percent(coverage->covered_count, coverage->count));
    for (size_t i = 0; i < coverage->count; i++)
        if (!policy_is_covered(&coverage->items[i]))
            print_gap(&coverage->items[i], paint);
}

static void print_coverage(const struct policy_test_run *run, const struct paint *paint)
{
    size_t covered;
    size_t count;

    sum(run, &covered, &count);
    (void)printf("\ncoverage: %zu of %zu conditions and grants (%" PRId64 "%%)\n", covered, count,
                 test_report_percent(covered, count));
    for (size_t i = 0; i < run->coverage_count; i++)
        print_coverage_of(&run->coverage[i], paint);
}

/* ---- all of it ---- */

static void print_sum(const struct test_report *report, const struct paint *paint)
{
    const struct policy_test_run *run = report->run;

    if (run->count == 0)
        (void)fputs("there are no tests: ", stdout);
    paint_start(paint, run->failed_count > 0 ? PAINT_BAD : PAINT_GOOD, stdout);
    (void)printf("%zu passed, %zu failed", run->count - run->failed_count, run->failed_count);
    paint_stop(paint, stdout);
    (void)printf(" in %" PRId64 " ms\n", report->duration_ns / NS_PER_MS);
}

bool test_report_text(const struct test_report *report, struct error *error)
{
    const struct policy_test_run *run = report->run;
    bool names_all = report->is_verbose || test_report_group(run, 0) == run->count;
    struct paint paint = paint_for(stdout);

    (void)error;
    for (size_t first = 0; first < run->count;) {
        size_t count = test_report_group(run, first);

        print_group(&run->results[first], count, names_all, &paint);
        first += count;
    }
    if (run->coverage) {
        print_coverage(run, &paint);
        (void)putchar('\n');
    } else if (run->count > 0 && run->results[run->count - 1].has_passed) {
        (void)putchar('\n');
    }
    print_sum(report, &paint);
    return true;
}
