#include <inttypes.h>

#include "base/utf8.h"
#include "clients/test_report.h"

/*
 * JUnit's XML as CI systems read it: a suite a pipeline, a case a row. A row whose claims cannot be
 * had is an error, one that came out otherwise a failure.
 */

#define NS_PER_S INT64_C(1000000000)

/* What stands in place of a character in XML, also within attributes. */
static const struct {
    char byte;
    const char *entity;
} entities[] = {
    { '&', "&amp;" }, { '<', "&lt;" }, { '>', "&gt;" }, { '"', "&quot;" }, { '\'', "&apos;" },
};

static const char *entity_of(uint32_t character)
{
    for (size_t i = 0; i < COUNT(entities); i++)
        if (character == (uint32_t)entities[i].byte)
            return entities[i].entity;
    return NULL;
}

/*
 * Foreign text. Whatever is not plain becomes '?': much of it may not stand in XML in any form.
 * Source: XML 1.0 2.2, 2.4
 */
static void print_xml(struct str text)
{
    while (text.len > 0) {
        struct str rest = text;
        uint32_t character = 0;
        const char *entity;

        if (!utf8_take(&rest, &character))
            rest = str_slice(text, 1, text.len);
        entity = entity_of(character);
        if (entity)
            (void)fputs(entity, stdout);
        else if (utf8_is_plain(character))
            (void)fwrite(text.data, 1, text.len - rest.len, stdout);
        else
            (void)putchar('?');
        text = rest;
    }
}

static void print_attribute(const char *name, struct str value)
{
    (void)printf(" %s=\"", name);
    print_xml(value);
    (void)putchar('"');
}

static void print_seconds(int64_t duration_ns)
{
    (void)printf(" time=\"%" PRId64 ".%06" PRId64 "\"", duration_ns / NS_PER_S,
                 duration_ns % NS_PER_S / 1000);
}

static void count_kinds(const struct policy_test_result *results, size_t count, size_t *failures,
                        size_t *errors)
{
    *failures = 0;
    *errors = 0;
    for (size_t i = 0; i < count; i++) {
        *errors += results[i].is_broken;
        *failures += !results[i].has_passed && !results[i].is_broken;
    }
}

/* What its rows took, one after the other. */
static int64_t duration_of(const struct policy_test_result *results, size_t count)
{
    int64_t sum_ns = 0;

    for (size_t i = 0; i < count; i++)
        sum_ns += results[i].duration_ns;
    return sum_ns;
}

static void print_case(const struct policy_test_result *result)
{
    (void)fputs("    <testcase", stdout);
    print_attribute("name", result->name);
    print_attribute("classname", result->pipeline);
    print_attribute("file", result->at.file);
    (void)printf(" line=\"%zu\"", result->at.line);
    print_seconds(result->duration_ns);
    if (result->has_passed) {
        (void)fputs("/>\n", stdout);
        return;
    }
    (void)printf(">\n      <%s", result->is_broken ? "error" : "failure");
    print_attribute("message", result->detail);
    (void)fputs(">", stdout);
    print_xml(result->at.file);
    (void)printf(":%zu:%zu: ", result->at.line, result->at.column);
    print_xml(result->detail);
    (void)printf("</%s>\n    </testcase>\n", result->is_broken ? "error" : "failure");
}

/* A pipeline's coverage, as a property of its suite. */
static void print_properties(const struct policy_test_run *run, struct str pipeline)
{
    for (size_t i = 0; i < run->coverage_count; i++)
        if (str_eq(run->coverage[i].pipeline, pipeline))
            (void)printf(
                "    <properties><property name=\"coverage\" value=\"%" PRId64
                "\"/></properties>\n",
                test_report_percent(run->coverage[i].covered_count, run->coverage[i].count));
}

static void print_suite(const struct policy_test_run *run, size_t first, size_t count)
{
    const struct policy_test_result *results = &run->results[first];
    size_t failures;
    size_t errors;

    count_kinds(results, count, &failures, &errors);
    (void)fputs("  <testsuite", stdout);
    print_attribute("name", results[0].pipeline);
    print_attribute("file", results[0].at.file);
    (void)printf(" tests=\"%zu\" failures=\"%zu\" errors=\"%zu\" skipped=\"0\"", count, failures,
                 errors);
    print_seconds(duration_of(results, count));
    (void)fputs(">\n", stdout);
    print_properties(run, results[0].pipeline);
    for (size_t i = 0; i < count; i++)
        print_case(&results[i]);
    (void)fputs("  </testsuite>\n", stdout);
}

bool test_report_junit(const struct test_report *report, struct error *error)
{
    const struct policy_test_run *run = report->run;
    size_t failures;
    size_t errors;

    (void)error;
    count_kinds(run->results, run->count, &failures, &errors);
    (void)printf("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"stagepass policy "
                 "test\" tests=\"%zu\" failures=\"%zu\" errors=\"%zu\"",
                 run->count, failures, errors);
    print_seconds(report->duration_ns);
    (void)fputs(">\n", stdout);
    for (size_t first = 0; first < run->count;) {
        size_t count = test_report_group(run, first);

        print_suite(run, first, count);
        first += count;
    }
    (void)fputs("</testsuites>\n", stdout);
    return true;
}
