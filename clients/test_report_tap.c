#include <inttypes.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "clients/report.h"
#include "clients/test_report.h"

/* The Test Anything Protocol, version 14. */

/* '#' would start a directive. Source: TAP 14, "Test Points: Escaping" */
static void print_description(struct str text)
{
    for (size_t i = 0, start = 0; i <= text.len; i++) {
        if (i < text.len && text.data[i] != '#' && text.data[i] != '\\')
            continue;
        print_clean(stdout, str_slice(text, start, i - start));
        if (i < text.len)
            (void)printf("\\%c", text.data[i]);
        start = i + 1;
    }
}

/* A line of the YAML block: JSON is YAML. */
static bool print_field(const char *name, json_t *take_value)
{
    JSON_OWNED json_t *value = take_value;
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, (size_t)1024 * 1024);
    if (json_is_string(value)) {
        buf_add_byte(&text, '"');
        buf_add_json_text(&text, json_str(value));
        buf_add_byte(&text, '"');
    } else {
        buf_add_json(&text, value);
    }
    if (!value || !buf_is_ok(&text))
        return false;
    (void)printf("  %s: ", name);
    (void)print_clean_json_text(stdout, buf_str(&text));
    (void)putchar('\n');
    return true;
}

static bool print_diagnostic(const struct policy_test_result *result)
{
    bool is_printed;

    (void)fputs("  ---\n", stdout);
    is_printed =
        print_field("message", json_from_str(result->detail)) &&
        print_field("severity", json_string(result->is_broken ? "error" : "fail")) &&
        print_field("file", json_from_str(result->at.file)) &&
        print_field("line", json_integer((json_int_t)result->at.line)) &&
        (result->is_broken || (print_field("found", test_report_outcome(&result->got)) &&
                               print_field("wanted", test_report_outcome(&result->expected))));
    (void)fputs("  ...\n", stdout);
    return is_printed;
}

static bool print_point(const struct policy_test_result *result, size_t number)
{
    (void)printf("%sok %zu - ", result->has_passed ? "" : "not ", number);
    print_description(result->pipeline);
    (void)fputs(": ", stdout);
    print_description(result->name);
    (void)putchar('\n');
    return result->has_passed || print_diagnostic(result);
}

bool test_report_tap(const struct test_report *report, struct error *error)
{
    const struct policy_test_run *run = report->run;

    (void)printf("TAP version 14\n1..%zu\n", run->count);
    for (size_t i = 0; i < run->count; i++)
        if (!print_point(&run->results[i], i + 1))
            return error_set(error, ERROR_MEMORY, "reporting tests");
    if (run->coverage)
        (void)printf("# coverage: %" PRId64 "%%\n", test_report_coverage(run));
    return true;
}
