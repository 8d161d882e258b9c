#include <time.h>

#include "base/time_text.h"
#include "tests/assert_str.h"
#include "tests/test.h"

static const struct moment {
    int64_t wall_ms;
    const char *text;
} moments[] = {
    { 0, "1970-01-01T00:00:00.000Z" },
    { 1, "1970-01-01T00:00:00.001Z" },
    { INT64_C(951782399999), "2000-02-28T23:59:59.999Z" },
    { INT64_C(951782400000), "2000-02-29T00:00:00.000Z" },
    { INT64_C(951868800000), "2000-03-01T00:00:00.000Z" },
    { INT64_C(1709164800000), "2024-02-29T00:00:00.000Z" },
    { INT64_C(1735689599123), "2024-12-31T23:59:59.123Z" },
    { INT64_C(1795341600123), "2026-11-22T10:00:00.123Z" },
    { INT64_C(4107542400000), "2100-03-01T00:00:00.000Z" },
    { INT64_C(253402300799999), "9999-12-31T23:59:59.999Z" },
};

static void moments_are_written_and_read_back(void **state)
{
    char text[TIME_TEXT_MS_LEN + 1];
    int64_t wall_ms;

    (void)state;
    for (size_t i = 0; i < COUNT(moments); i++) {
        time_text_ms(moments[i].wall_ms, text);
        assert_string_equal(text, moments[i].text);
        assert_true(time_text_parse(str_from(text), &wall_ms));
        assert_true(wall_ms == moments[i].wall_ms);
    }
}

static void every_day_is_the_librarys_day(void **state)
{
    char expected[TIME_TEXT_S_LEN + 1];
    char text[TIME_TEXT_S_LEN + 1];

    (void)state;
    for (int64_t day = 0; day < 2932897; day += 13) {
        time_t wall_s = (time_t)(day * 86400 + day % 86400);
        struct tm parts;

        assert_non_null(gmtime_r(&wall_s, &parts));
        assert_int_equal(strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%SZ", &parts),
                         TIME_TEXT_S_LEN);
        time_text_s(wall_s, text);
        assert_string_equal(text, expected);
    }
}

static void times_out_of_range_are_clamped(void **state)
{
    char ms[TIME_TEXT_MS_LEN + 1];
    char s[TIME_TEXT_S_LEN + 1];

    (void)state;
    time_text_ms(-1, ms);
    assert_string_equal(ms, "1970-01-01T00:00:00.000Z");
    time_text_ms(INT64_MAX, ms);
    assert_string_equal(ms, "9999-12-31T23:59:59.999Z");
    time_text_s(INT64_MIN, s);
    assert_string_equal(s, "1970-01-01T00:00:00Z");
    time_text_s(INT64_C(253402300800), s);
    assert_string_equal(s, "9999-12-31T23:59:59Z");
}

static void a_time_may_lack_milliseconds_or_be_a_date(void **state)
{
    int64_t wall_ms;

    (void)state;
    assert_true(time_text_parse(STR("2026-11-22T10:00:00Z"), &wall_ms));
    assert_true(wall_ms == INT64_C(1795341600000));
    assert_true(time_text_parse(STR("2026-11-22"), &wall_ms));
    assert_true(wall_ms == INT64_C(1795305600000));
}

static void what_is_no_time_is_refused(void **state)
{
    static const struct str cases[] = {
        { "", 0 },
        STR_INIT("2026"),
        STR_INIT("2026-11"),
        STR_INIT("2026-11-22T"),
        STR_INIT("2026-11-22Z"),
        STR_INIT("2026-11-22T10:00Z"),
        STR_INIT("2026-11-22T10:00:00"),
        STR_INIT("2026-11-22t10:00:00Z"),
        STR_INIT("2026-11-22T10:00:00z"),
        STR_INIT("2026-11-22 10:00:00Z"),
        STR_INIT("2026-11-22T10:00:00+00:00"),
        STR_INIT("2026-11-22T10:00:00ZZ"),
        STR_INIT("2026-11-22T10:00:00.Z"),
        STR_INIT("2026-11-22T10:00:00.1Z"),
        STR_INIT("2026-11-22T10:00:00.1234Z"),
        STR_INIT("2026-11-22T10:00:00.123"),
        STR_INIT("2026-11-22T24:00:00Z"),
        STR_INIT("2026-11-22T10:60:00Z"),
        STR_INIT("2026-12-31T23:59:60Z"),
        STR_INIT("2026-00-22"),
        STR_INIT("2026-13-22"),
        STR_INIT("2026-11-00"),
        STR_INIT("2026-11-31"),
        STR_INIT("2026-02-29"),
        STR_INIT("2100-02-29"),
        STR_INIT("1969-12-31"),
        STR_INIT("10000-01-01"),
        STR_INIT("-026-01-01"),
        STR_INIT("2026-1-01"),
        STR_INIT(" 2026-11-22"),
        STR_INIT("2026-11-22\0"),
    };
    int64_t wall_ms = 42;

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (time_text_parse(cases[i], &wall_ms))
            fail_msg("accepted: '" STR_FMT "'", STR_ARG(cases[i]));
        assert_true(wall_ms == 42);
    }
}

static void durations_are_a_number_and_a_unit(void **state)
{
    int64_t seconds;

    (void)state;
    assert_true(duration_parse(STR("90s"), &seconds) && seconds == 90);
    assert_true(duration_parse(STR("15m"), &seconds) && seconds == 900);
    assert_true(duration_parse(STR("8h"), &seconds) && seconds == 28800);
    assert_true(duration_parse(STR("30d"), &seconds) && seconds == 2592000);
    assert_true(duration_parse(STR("106751991167300d"), &seconds));
}

static void durations_are_written_in_the_largest_unit_that_fits(void **state)
{
    static const struct {
        int64_t seconds;
        const char *text;
    } cases[] = {
        { 0, "0s" },     { 1, "1s" },      { 59, "59s" },    { 60, "1m" },
        { 61, "61s" },   { 900, "15m" },   { 3600, "1h" },   { 5400, "90m" },
        { 86400, "1d" }, { 90000, "25h" }, { 604800, "7d" }, { INT64_MAX, "9223372036854775807s" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[DURATION_TEXT_MAX];

        duration_text(cases[i].seconds, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void what_is_no_duration_is_refused(void **state)
{
    static const struct str cases[] = {
        { "", 0 },
        STR_INIT("s"),
        STR_INIT("90"),
        STR_INIT("0s"),
        STR_INIT("-5m"),
        STR_INIT("+5m"),
        STR_INIT("1.5h"),
        STR_INIT("1h30m"),
        STR_INIT("5 m"),
        STR_INIT(" 5m"),
        STR_INIT("5m "),
        STR_INIT("5M"),
        STR_INIT("5w"),
        STR_INIT("05m"),
        STR_INIT("5ms"),
        STR_INIT("5m\0"),
        STR_INIT("106751991167301d"),
        STR_INIT("9223372036854775808s"),
    };
    int64_t seconds = 42;

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (duration_parse(cases[i], &seconds))
            fail_msg("accepted: '" STR_FMT "'", STR_ARG(cases[i]));
        assert_true(seconds == 42);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moments_are_written_and_read_back),
        cmocka_unit_test(every_day_is_the_librarys_day),
        cmocka_unit_test(times_out_of_range_are_clamped),
        cmocka_unit_test(a_time_may_lack_milliseconds_or_be_a_date),
        cmocka_unit_test(what_is_no_time_is_refused),
        cmocka_unit_test(durations_are_a_number_and_a_unit),
        cmocka_unit_test(durations_are_written_in_the_largest_unit_that_fits),
        cmocka_unit_test(what_is_no_duration_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
