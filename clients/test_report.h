#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "base/macros.h"
#include "policy/policy.h"

/** What `policy test` has to tell. */
struct test_report {
    const struct policy_test_run *run;
    int64_t duration_ns; /* of all of them; they run beside each other */
    bool is_verbose;     /* each test by name, also of pipelines where all passed */
};

/**
 * Print a report on standard output; flushing it is the caller's.
 *
 * Errors: ERROR_MEMORY
 */
typedef bool test_report_print(const struct test_report *report, struct error *error);

test_report_print test_report_text;
test_report_print test_report_json;
test_report_print test_report_junit; /* XML of the schema that CI systems read */
test_report_print test_report_tap;   /* TAP 14 */

/** How many results from `first` on are of its pipeline. */
size_t test_report_group(const struct policy_test_run *run, size_t first);

/** How much of all pipelines is covered, in whole percent, rounded down; 100 where nothing is. */
int64_t test_report_percent(size_t covered, size_t count);

/** The percentage over all pipelines. */
int64_t test_report_coverage(const struct policy_test_run *run);

/** What tests lack for an item that is not covered. */
const char *test_report_gap(const struct policy_covered *item);

/** What a row expects, or what came, as JSON: a new reference; NULL without memory. */
json_t *test_report_outcome(const struct policy_test_outcome *outcome) MUST_USE;
