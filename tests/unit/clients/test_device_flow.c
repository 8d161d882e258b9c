#include <string.h>

#include "base/error.h"
#include "clients/device_flow.h"
#include "help.h"
#include "tests/assert_str.h"
#include "tests/test.h"

/* What a provider's answers mean to a login; the whole way is tests/integration/test_people. */

#define CODES "\"device_code\":\"d\",\"user_code\":\"ABCD-EFGH\","
#define URI "\"verification_uri\":\"https://idp.example/device\""

static void codes_are_read(void **state)
{
    struct device_flow flow = { .arena = arena };
    struct error error = { 0 };

    (void)state;
    assert_true(device_flow_read_codes(
        &flow, 200,
        STR("{" CODES URI ",\"verification_uri_complete\":\"https://idp.example/device?c=1\","
            "\"interval\":7,\"expires_in\":600}"),
        &error));
    assert_str(flow.user_code, "ABCD-EFGH");
    assert_str(flow.verification_uri_complete, "https://idp.example/device?c=1");
    assert_int_equal(flow.interval_s, 7);
    assert_int_equal(flow.expires_in_s, 600);
}

static void times_are_kept_within_bounds(void **state)
{
    static const struct {
        const char *body;
        int64_t interval_s;
        int64_t expires_in_s;
    } rows[] = {
        { "{" CODES URI "}", DEVICE_INTERVAL_DEFAULT_S, DEVICE_WAIT_MAX_S },
        { "{" CODES URI ",\"interval\":0,\"expires_in\":1}", DEVICE_INTERVAL_MIN_S, 1 },
        { "{" CODES URI ",\"interval\":-5,\"expires_in\":-5}", DEVICE_INTERVAL_MIN_S, 1 },
        { "{" CODES URI ",\"interval\":60,\"expires_in\":1800}", DEVICE_INTERVAL_MAX_S, 1800 },
        { "{" CODES URI ",\"interval\":61,\"expires_in\":1801}", DEVICE_INTERVAL_MAX_S, 1800 },
        { "{" CODES URI ",\"interval\":\"9\",\"expires_in\":null}", DEVICE_INTERVAL_DEFAULT_S,
          DEVICE_WAIT_MAX_S },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct device_flow flow = { .arena = arena };
        struct error error = { 0 };

        assert_true(device_flow_read_codes(&flow, 200, str_from(rows[i].body), &error));
        if (flow.interval_s != rows[i].interval_s || flow.expires_in_s != rows[i].expires_in_s)
            fail_msg("%s", rows[i].body);
    }
}

static void answers_without_codes_are_refused(void **state)
{
    static const struct {
        int status;
        const char *body;
        enum error_code code;
    } rows[] = {
        { 200, "", ERROR_INVALID },
        { 200, "[]", ERROR_INVALID },
        { 200, "{}", ERROR_INVALID },
        { 200, "{" CODES "\"x\":1}", ERROR_INVALID },
        { 200, "{\"user_code\":\"A\"," URI "}", ERROR_INVALID },
        { 200, "{\"device_code\":\"d\",\"user_code\":\"\\u001b[2J\"," URI "}", ERROR_INVALID },
        { 200, "{" CODES "\"verification_uri\":\"http://idp.example.org/\"}", ERROR_NONE },
        { 200, "{" CODES "\"verification_uri\":\"javascript:alert(1)\"}", ERROR_INVALID },
        { 200, "{" CODES "\"verification_uri\":\"file:///etc/passwd\"}", ERROR_INVALID },
        { 200, "{" CODES "\"verification_uri\":\"https://a b\"}", ERROR_INVALID },
        { 200, "{" CODES URI ",\"verification_uri_complete\":7}", ERROR_INVALID },
        { 400, "{\"error\":\"invalid_client\"}", ERROR_REFUSED },
        { 400, "{\"error\":\"a\\nb\"}", ERROR_INVALID },
        { 500, "{}", ERROR_INVALID },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct device_flow flow = { .arena = arena };
        struct error error = { 0 };
        bool is_good =
            device_flow_read_codes(&flow, rows[i].status, str_from(rows[i].body), &error);

        if (is_good != (rows[i].code == ERROR_NONE) || error.code != rows[i].code)
            fail_msg("%s: %d %s", rows[i].body, error.code, error.cause);
    }
}

static void polling_goes_on_as_the_provider_says(void **state)
{
    static const struct {
        int status;
        const char *body;
        enum progress progress;
        int64_t interval_s;
        enum error_code code;
    } rows[] = {
        { 400, "{\"error\":\"authorization_pending\"}", PROGRESS_WAIT, 5, ERROR_NONE },
        { 400, "{\"error\":\"slow_down\"}", PROGRESS_WAIT, 10, ERROR_NONE },
        { 503, "<html>", PROGRESS_WAIT, 10, ERROR_NONE },
        { 400, "{\"error\":\"access_denied\"}", PROGRESS_FAILED, 5, ERROR_REFUSED },
        { 400, "{\"error\":\"expired_token\"}", PROGRESS_FAILED, 5, ERROR_REFUSED },
        { 400, "{\"error\":\"invalid_grant\"}", PROGRESS_FAILED, 5, ERROR_REFUSED },
        { 400, "{}", PROGRESS_FAILED, 5, ERROR_INVALID },
        { 400, "<html>", PROGRESS_FAILED, 5, ERROR_INVALID },
        { 302, "{}", PROGRESS_FAILED, 5, ERROR_INVALID },
        { 200, "{\"access_token\":\"x\"}", PROGRESS_FAILED, 5, ERROR_INVALID },
        { 200, "{\"id_token\":\"\"}", PROGRESS_FAILED, 5, ERROR_INVALID },
        { 200, "{\"id_token\":\"a.b\\r\\nc\"}", PROGRESS_FAILED, 5, ERROR_INVALID },
        { 200, "{\"id_token\":\"a.b.c\"}", PROGRESS_DONE, 5, ERROR_NONE },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct device_flow flow = { .arena = arena, .interval_s = 5 };
        struct error error = { 0 };
        struct str token = { 0 };
        enum progress progress =
            device_flow_read_token(&flow, rows[i].status, str_from(rows[i].body), &token, &error);

        if (progress != rows[i].progress || flow.interval_s != rows[i].interval_s ||
            error.code != rows[i].code)
            fail_msg("%d %s: %d %s", rows[i].status, rows[i].body, progress, error.cause);
        if (progress == PROGRESS_DONE)
            assert_str(token, "a.b.c");
    }
}

static void the_interval_never_passes_its_limit(void **state)
{
    struct device_flow flow = { .arena = arena, .interval_s = DEVICE_INTERVAL_MAX_S - 1 };
    struct error error = { 0 };
    struct str token;

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(
            device_flow_read_token(&flow, 400, STR("{\"error\":\"slow_down\"}"), &token, &error),
            PROGRESS_WAIT);
    assert_int_equal(flow.interval_s, DEVICE_INTERVAL_MAX_S);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_are_read),
        cmocka_unit_test(times_are_kept_within_bounds),
        cmocka_unit_test(answers_without_codes_are_refused),
        cmocka_unit_test(polling_goes_on_as_the_provider_says),
        cmocka_unit_test(the_interval_never_passes_its_limit),
    };

    return cmocka_run_group_tests(tests, make_arena, free_arena);
}
