#include <stdio.h>

#include "base/error.h"
#include "base/json.h"
#include "clients/command.h"
#include "clients/policy_source.h"
#include "clients/report.h"
#include "policy/policy.h"

#define EXIT_TEST_FAILED 1

struct values {
    const char *config;
    const char *claims;
    size_t format; /* which of text, json, tap */
};

static const struct values defaults = { .config = POLICY_CONFIG_DEFAULT };

static const struct option_row rows[] = {
    { .name = "config",
      .kind = OPTION_TEXT,
      .value = "FILE",
      .environment = "STAGEPASS_CONFIG",
      .help = "broker.yaml, for its issuers and targets; else " POLICY_CONFIG_DEFAULT,
      .offset = offsetof(struct values, config) },
    { .name = "claims",
      .kind = OPTION_TEXT,
      .value = "FOLDER",
      .help = "Where tests' claims are, if not beside the policy file",
      .offset = offsetof(struct values, claims) },
    { .name = "output",
      .kind = OPTION_CHOICE,
      .value = "text|json|tap",
      .help = "How the results are printed",
      .offset = offsetof(struct values, format),
      .letter = 'o' },
};

struct results {
    struct policy_test_result *list;
    size_t count;
    size_t failed_count;
};

static void print_place(const struct policy_test_result *result)
{
    print_clean(stdout, result->at.file);
    (void)printf(":%zu:%zu: ", result->at.line, result->at.column);
}

static int print_text(const struct results *results)
{
    for (size_t i = 0; i < results->count; i++) {
        const struct policy_test_result *result = &results->list[i];

        if (result->has_passed)
            continue;
        print_place(result);
        (void)fputs("failed: ", stdout);
        print_clean(stdout, result->name);
        (void)fputs(": ", stdout);
        print_clean(stdout, result->detail);
        (void)putchar('\n');
    }
    (void)printf("%zu passed, %zu failed\n", results->count - results->failed_count,
                 results->failed_count);
    return report_finish();
}

static int print_tap(const struct results *results)
{
    (void)printf("TAP version 13\n1..%zu\n", results->count);
    for (size_t i = 0; i < results->count; i++) {
        const struct policy_test_result *result = &results->list[i];

        (void)printf("%sok %zu - ", result->has_passed ? "" : "not ", i + 1);
        print_clean(stdout, result->name);
        if (!result->has_passed) {
            (void)fputs("\n# ", stdout);
            print_place(result);
            print_clean(stdout, result->detail);
        }
        (void)putchar('\n');
    }
    return report_finish();
}

static bool put_result(json_t *list, const struct policy_test_result *result)
{
    json_t *object = json_object();

    return object && json_array_append_new(list, object) == 0 &&
           json_put(object, "name", json_from_str(result->name)) &&
           json_put(object, "file", json_from_str(result->at.file)) &&
           json_put(object, "line", json_integer((json_int_t)result->at.line)) &&
           json_put(object, "passed", json_boolean(result->has_passed)) &&
           (result->has_passed || json_put(object, "detail", json_from_str(result->detail)));
}

static int print_json(const struct results *results)
{
    JSON_OWNED json_t *json = json_object();
    json_t *list = json_array();
    bool is_built = json_put(json, "tests", list) &&
                    json_put(json, "passed",
                             json_integer((json_int_t)(results->count - results->failed_count))) &&
                    json_put(json, "failed", json_integer((json_int_t)results->failed_count));

    for (size_t i = 0; is_built && i < results->count; i++)
        is_built = put_result(list, &results->list[i]);
    return is_built ? report_json(json) : report_failure(&(struct error){ .code = ERROR_MEMORY });
}

static int print_results(struct results *results, size_t format)
{
    static int (*const printers[])(const struct results *) = { print_text, print_json, print_tap };
    int failure;

    for (size_t i = 0; i < results->count; i++)
        results->failed_count += !results->list[i].has_passed;
    failure = printers[format](results);
    return failure == 0 && results->failed_count > 0 ? EXIT_TEST_FAILED : failure;
}

static int run(const void *given, const struct operands *operands)
{
    OWNED(policy_source_release) struct policy_source source = { 0 };
    const struct values *values = given;
    struct results results = { 0 };
    struct error error = { 0 };
    bool is_loaded = policy_source_load(&source, values->config, operands, &error);

    policy_source_report(&source);
    if (!is_loaded || !policy_run_tests(source.policy, values->claims, source.arena, &results.list,
                                        &results.count, &error))
        return report_failure(&error);
    return print_results(&results, values->format);
}

const struct command command_policy_test = {
    .group = "policy",
    .name = "test",
    .operands = "[FOLDER]",
    .summary = "Run the tests that stand in policy files",
    .description = "Decides each row of the files' `tests:` as the broker would and compares: exit "
                   "code 1 where one\n"
                   "came out otherwise. Claims files are looked up beside the policy file, then "
                   "under --claims.",
    .groups = { OPTION_GROUP(rows, 0) },
    .values_size = sizeof(struct values),
    .defaults = &defaults,
    .operands_max = 1,
    .run = run,
};
