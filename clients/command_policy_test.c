#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/error.h"
#include "clients/command.h"
#include "clients/policy_source.h"
#include "clients/report.h"
#include "clients/test_report.h"
#include "config/jobs.h"
#include "policy/policy.h"

#define EXIT_TEST_FAILED 1
#define PERCENT_MAX 100

struct values {
    struct policy_source_options source;
    const char *claims;
    const char *filter;
    int64_t coverage_min;
    bool wants_coverage;
    bool is_verbose;
    size_t format; /* of `printers` */
};

static const struct option_row rows[] = {
    { .name = "claims",
      .kind = OPTION_TEXT,
      .value = "FOLDER",
      .help = "Where tests' claims are, if not beside the policy file",
      .offset = offsetof(struct values, claims) },
    { .name = "filter",
      .kind = OPTION_TEXT,
      .value = "TEXT",
      .help = "Only tests with this in their name, stage, pipeline or file",
      .offset = offsetof(struct values, filter) },
    { .name = "coverage",
      .kind = OPTION_FLAG,
      .help = "Tell which conditions and grants no test looks at",
      .offset = offsetof(struct values, wants_coverage) },
    { .name = "coverage-min",
      .kind = OPTION_COUNT,
      .value = "PERCENT",
      .help = "The same; exit code 1 where less than this is looked at",
      .offset = offsetof(struct values, coverage_min) },
    { .name = "verbose",
      .kind = OPTION_FLAG,
      .help = "Name each test, also of pipelines where all passed",
      .offset = offsetof(struct values, is_verbose),
      .letter = 'v' },
    { .name = "output",
      .kind = OPTION_CHOICE,
      .value = "text|json|junit|tap",
      .help = "How the results are printed",
      .offset = offsetof(struct values, format),
      .letter = 'o' },
};

static test_report_print *const printers[] = { test_report_text, test_report_json,
                                               test_report_junit, test_report_tap };

static bool check_values(const struct values *values, struct error *error)
{
    if (values->coverage_min > PERCENT_MAX)
        return error_set(error, ERROR_USAGE, "--coverage-min is 0 to %d", PERCENT_MAX);
    if (values->filter && (values->wants_coverage || values->coverage_min > 0))
        return error_set(error, ERROR_USAGE, "coverage is of all tests: leave --filter out");
    return true;
}

static bool run_tests(const struct policy_source *source, const struct values *values,
                      struct test_report *report, struct policy_test_run *run, struct error *error)
{
    const struct policy_test_options options = {
        .claims_folder = values->claims,
        .filter = str_from(values->filter),
        .wants_coverage = values->wants_coverage || values->coverage_min > 0,
        .clock_ns = clock_monotonic_ns,
        .run_jobs = jobs_run,
    };
    int64_t start_ns = clock_monotonic_ns();

    if (!policy_run_tests(source->policy, &options, source->arena, run, error))
        return false;
    *report = (struct test_report){ run, clock_monotonic_ns() - start_ns, values->is_verbose };
    if (values->filter && run->count == 0)
        return error_set(error, ERROR_USAGE,
                         "no test has '%s' in its name, stage, pipeline or file", values->filter);
    return true;
}

static int verdict(const struct values *values, const struct policy_test_run *run)
{
    int64_t percent = run->coverage ? test_report_coverage(run) : PERCENT_MAX;

    if (percent >= values->coverage_min)
        return run->failed_count > 0 ? EXIT_TEST_FAILED : 0;
    report_line("tests cover %" PRId64 "%% of conditions and grants, less than %" PRId64 "%%",
                percent, values->coverage_min);
    return EXIT_TEST_FAILED;
}

static int run(const void *given, const struct operands *operands)
{
    OWNED(policy_source_release) struct policy_source source = { 0 };
    const struct values *values = given;
    struct policy_test_run tests = { 0 };
    struct test_report report;
    struct error error = { 0 };
    bool is_good = check_values(values, &error) &&
                   policy_source_load(&source, &values->source, operands, &error);
    int failure;

    policy_source_report(&source);
    if (!is_good || !run_tests(&source, values, &report, &tests, &error) ||
        !printers[values->format](&report, &error))
        return report_failure(&error);
    failure = report_finish();
    return failure != 0 ? failure : verdict(values, &tests);
}

const struct command command_policy_test = {
    .group = "policy",
    .name = "test",
    .operands = "[FOLDER]",
    .summary = "Run the tests that stand in policy files",
    .description =
        "Decides each row of the files' `tests:` as the broker would and compares. Exit code 1 "
        "where one\n"
        "came out otherwise, 2 where there is a mistake. Files of claims are looked up beside the "
        "policy\n"
        "file, then under --claims.",
    .groups = { OPTION_GROUP(policy_source_option_rows, offsetof(struct values, source)),
                OPTION_GROUP(rows, 0) },
    .values_size = sizeof(struct values),
    .operands_max = 1,
    .run = run,
};
