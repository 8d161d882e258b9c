#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "tests/assert_str.h"
#include "tests/test.h"

#define LINE_MAX_SEEN (LOG_LINE_MAX * 2)

/* Standard error as a pipe, for the time of one test. */
struct capture {
    int saved;
    int reader;
    char text[LINE_MAX_SEEN];
};

static int capture_start(void **state)
{
    static struct capture capture;
    int ends[2];

    if (pipe(ends) != 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0)
        return -1;
    capture = (struct capture){ .saved = dup(STDERR_FILENO), .reader = ends[0] };
    if (capture.saved < 0 || dup2(ends[1], STDERR_FILENO) < 0 || close(ends[1]) != 0)
        return -1;
    *state = &capture;
    return 0;
}

static int capture_end(void **state)
{
    struct capture *capture = *state;

    log_set_level(LOG_LEVEL_INFO);
    if (dup2(capture->saved, STDERR_FILENO) < 0 || close(capture->saved) != 0)
        return -1;
    return close(capture->reader);
}

/* What was written since the last look. */
static struct str written(void **state)
{
    struct capture *capture = *state;
    ssize_t len = read(capture->reader, capture->text, sizeof(capture->text));

    assert_true(len > 0 || errno == EAGAIN);
    return (struct str){ capture->text, len < 0 ? 0 : (size_t)len };
}

static void a_line_has_level_event_and_values(void **state)
{
    struct log_line line;

    log_begin(&line, LOG_LEVEL_INFO, "broker.ready");
    log_text(&line, "url", "https://127.0.0.1:41234");
    log_str(&line, "stage", STR("acme/payments:deploy-prod"));
    log_int(&line, "duration_ms", 12);
    log_int(&line, "least", INT64_MIN);
    log_end(&line);
    assert_str(written(state), "level=info event=broker.ready url=https://127.0.0.1:41234 "
                               "stage=acme/payments:deploy-prod duration_ms=12 "
                               "least=-9223372036854775808\n");
}

static void foreign_values_are_quoted_and_escaped(void **state)
{
    static const struct {
        struct str value;
        const char *written;
    } cases[] = {
        { STR_INIT(""), "\"\"" },
        { STR_INIT("a b"), "\"a b\"" },
        { STR_INIT("a=b"), "\"a=b\"" },
        { STR_INIT("a\"b"), "\"a\\\"b\"" },
        { STR_INIT("a\\b"), "\"a\\\\b\"" },
        { STR_INIT("x\nlevel=error"), "\"x\\nlevel=error\"" },
        { STR_INIT("\r\t\x1b[0m"), "\"\\x0d\\x09\\x1b[0m\"" },
        { STR_INIT("a\0b"), "\"a\\x00b\"" },
        { STR_INIT("\x7f\xc3\xa9"), "\"\\x7f\\xc3\\xa9\"" },
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct log_line line;
        struct str text;

        log_begin(&line, LOG_LEVEL_WARN, "x");
        log_str(&line, "key", cases[i].value);
        log_end(&line);
        text = written(state);
        assert_true(str_starts_with(text, STR("level=warn event=x key=")));
        assert_true(str_ends_with(text, STR("\n")));
        text = str_slice(text, strlen("level=warn event=x key="), text.len);
        text.len--;
        assert_true(str_eq(text, str_from(cases[i].written)));
    }
}

static void an_error_gives_its_code_and_cause(void **state)
{
    struct error error = { 0 };
    struct log_line line;

    (void)error_set(&error, ERROR_CONDITION, "ref");
    log_begin(&line, LOG_LEVEL_ERROR, "exchange.denied");
    log_error(&line, &error);
    log_end(&line);
    assert_str(written(state), "level=error event=exchange.denied code=condition cause=ref\n");
}

static void lines_above_the_level_are_dropped(void **state)
{
    struct log_line line;

    log_begin(&line, LOG_LEVEL_DEBUG, "detail");
    log_text(&line, "key", "value");
    log_int(&line, "key", 1);
    log_end(&line);
    assert_int_equal(written(state).len, 0);
    log_set_level(LOG_LEVEL_DEBUG);
    log_begin(&line, LOG_LEVEL_DEBUG, "detail");
    log_end(&line);
    assert_str(written(state), "level=debug event=detail\n");
    log_set_level(LOG_LEVEL_ERROR);
    log_begin(&line, LOG_LEVEL_WARN, "detail");
    log_end(&line);
    assert_int_equal(written(state).len, 0);
}

static void a_line_at_its_limit_is_whole(void **state)
{
    /* "level=info event=x key=" and " cut=true\n" are what a value has to leave */
    static char value[LOG_LINE_MAX - 23 - 10];
    struct log_line line;

    memset(value, 'v', sizeof(value));
    log_begin(&line, LOG_LEVEL_INFO, "x");
    log_str(&line, "key", (struct str){ value, sizeof(value) });
    log_end(&line);
    assert_int_equal(written(state).len, 23 + sizeof(value) + 1);
}

static void a_value_past_the_limit_is_left_out_and_the_line_says_so(void **state)
{
    static char value[LOG_LINE_MAX - 23 - 10 + 1];
    struct log_line line;

    memset(value, 'v', sizeof(value));
    log_begin(&line, LOG_LEVEL_INFO, "x");
    log_str(&line, "key", (struct str){ value, sizeof(value) });
    log_text(&line, "next", "fits");
    log_end(&line);
    assert_str(written(state), "level=info event=x next=fits cut=true\n");
}

static void escapes_count_for_the_limit(void **state)
{
    static char value[LOG_LINE_MAX];
    struct log_line line;

    memset(value, '\n', sizeof(value));
    log_begin(&line, LOG_LEVEL_INFO, "x");
    log_str(&line, "key", (struct str){ value, sizeof(value) / 2 });
    log_end(&line);
    assert_str(written(state), "level=info event=x cut=true\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_line_has_level_event_and_values, capture_start,
                                        capture_end),
        cmocka_unit_test_setup_teardown(foreign_values_are_quoted_and_escaped, capture_start,
                                        capture_end),
        cmocka_unit_test_setup_teardown(an_error_gives_its_code_and_cause, capture_start,
                                        capture_end),
        cmocka_unit_test_setup_teardown(lines_above_the_level_are_dropped, capture_start,
                                        capture_end),
        cmocka_unit_test_setup_teardown(a_line_at_its_limit_is_whole, capture_start, capture_end),
        cmocka_unit_test_setup_teardown(a_value_past_the_limit_is_left_out_and_the_line_says_so,
                                        capture_start, capture_end),
        cmocka_unit_test_setup_teardown(escapes_count_for_the_limit, capture_start, capture_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
