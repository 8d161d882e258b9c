#include "base/error.h"
#include "base/json.h"
#include "clients/explanation.h"
#include "clients/report.h"
#include "clients/test_report.h"

#define NS_PER_MS INT64_C(1000000)

static bool put_place(json_t *object, const struct position *at)
{
    return json_put(object, "file", json_from_str(at->file)) &&
           json_put(object, "line", json_integer((json_int_t)at->line)) &&
           json_put(object, "column", json_integer((json_int_t)at->column));
}

static bool put_failure(json_t *object, const struct policy_test_result *result)
{
    return json_put(object, "detail", json_from_str(result->detail)) &&
           (result->is_broken || json_put(object, "got", test_report_outcome(&result->got))) &&
           (!result->explanation ||
            json_put(object, "explanation", explanation_json(result->explanation)));
}

static bool put_result(json_t *list, const struct policy_test_result *result)
{
    json_t *object = json_append_object(list);

    return object && json_put(object, "name", json_from_str(result->name)) &&
           json_put(object, "pipeline", json_from_str(result->pipeline)) &&
           json_put_text(object, "stage", result->stage) && put_place(object, &result->at) &&
           json_put(object, "passed", json_boolean(result->has_passed)) &&
           json_put(object, "duration_us", json_integer(result->duration_ns / 1000)) &&
           json_put(object, "expected", test_report_outcome(&result->expected)) &&
           (result->has_passed || put_failure(object, result));
}

/* ---- coverage ---- */

static bool put_gap(json_t *list, const struct policy_covered *item)
{
    json_t *object = json_append_object(list);

    return object && put_place(object, &item->at) && json_put_text(object, "stage", item->stage) &&
           json_put(object, "clause", json_string(item->clause)) &&
           json_put(object, "name", json_from_str(item->name)) &&
           json_put(object, "allowed", json_boolean(item->has_allowed)) &&
           json_put(object, "denied", json_boolean(item->has_denied)) &&
           json_put(object, "gap", json_string(test_report_gap(item)));
}

static bool put_coverage_of(json_t *list, const struct policy_coverage *coverage)
{
    json_t *object = json_append_object(list);
    json_t *gaps = json_array();

    if (!json_put(object, "gaps", gaps) ||
        !json_put(object, "pipeline", json_from_str(coverage->pipeline)) ||
        !json_put(object, "file", json_from_str(coverage->file)) ||
        !json_put(object, "count", json_integer((json_int_t)coverage->count)) ||
        !json_put(object, "covered", json_integer((json_int_t)coverage->covered_count)))
        return false;
    for (size_t i = 0; i < coverage->count; i++)
        if (!policy_is_covered(&coverage->items[i]) && !put_gap(gaps, &coverage->items[i]))
            return false;
    return true;
}

static bool put_coverage(json_t *json, const struct policy_test_run *run)
{
    json_t *object = json_object();
    json_t *list = json_array();

    if (!json_put(json, "coverage", object) || !json_put(object, "pipelines", list) ||
        !json_put(object, "percent", json_integer(test_report_coverage(run))))
        return false;
    for (size_t i = 0; i < run->coverage_count; i++)
        if (!put_coverage_of(list, &run->coverage[i]))
            return false;
    return true;
}

bool test_report_json(const struct test_report *report, struct error *error)
{
    const struct policy_test_run *run = report->run;
    JSON_OWNED json_t *json = json_object();
    json_t *list = json_array();
    bool is_built =
        json_put(json, "tests", list) &&
        json_put(json, "passed", json_integer((json_int_t)(run->count - run->failed_count))) &&
        json_put(json, "failed", json_integer((json_int_t)run->failed_count)) &&
        json_put(json, "duration_ms", json_integer(report->duration_ns / NS_PER_MS)) &&
        (!run->coverage || put_coverage(json, run));

    for (size_t i = 0; is_built && i < run->count; i++)
        is_built = put_result(list, &run->results[i]);
    return (is_built && print_clean_json(stdout, json)) ||
           error_set(error, ERROR_MEMORY, "reporting tests");
}
