#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/json.h"
#include "clients/report.h"
#include "tests/test.h"

/* One thread here. NOLINTBEGIN(concurrency-mt-unsafe,cert-env33-c) */

/* What `act` writes to standard error. */
static char *capture(void (*act)(void))
{
    static char text[4096];
    char path[] = "/tmp/stagepass-test-XXXXXX";
    int file = mkstemp(path);
    int kept = dup(STDERR_FILENO);
    ssize_t len;

    assert_true(file >= 0 && kept >= 0);
    assert_true(dup2(file, STDERR_FILENO) >= 0);
    act();
    assert_true(dup2(kept, STDERR_FILENO) >= 0);
    len = pread(file, text, sizeof(text) - 1, 0);
    assert_true(len >= 0);
    text[len] = '\0';
    (void)close(kept);
    (void)close(file);
    (void)unlink(path);
    return text;
}

static void say_hostile_things(void)
{
    /* NOLINTNEXTLINE(misc-misleading-bidirectional): what is tested */
    report_line("owner %s", "a\nstagepass: all is well\033[2J \xe2\x80\xae \xff b\xc3\xa9");
}

static void foreign_text_stays_in_its_line(void **state)
{
    (void)state;
    assert_string_equal(capture(say_hostile_things),
                        "stagepass: owner a?stagepass: all is well?[2J ? ? b\xc3\xa9\n");
}

static void print_unseen(void)
{
    print_clean(stderr, (struct str){ 0 });
    print_clean(stderr, STR("a\nb"));
    print_clean(stderr, STR(" main\xe3\x85\xa4\xef\xb8\x8f\xe2\x80\x8b\xc2\xa0."));
    assert_int_equal(fflush(stderr), 0);
}

static void print_hostile_json(void)
{
    JSON_OWNED json_t *json = json_object();

    assert_true(
        json_put(json, "a\xc2\x9b", json_string("\033[2J\x7f \xc2\x9b \xe2\x80\xae b\xc3\xa9")));
    assert_true(print_clean_json(stderr, json));
    assert_true(print_clean_json_text(stderr, STR("{\"a\":\"\033\xc2\x9b\"}")));
    assert_false(print_clean_json_text(stderr, STR("\xff")));
    assert_int_equal(fflush(stderr), 0);
}

static void json_steers_no_terminal_and_stays_the_same_json(void **state)
{
    (void)state;
    assert_string_equal(capture(print_hostile_json),
                        "{\n  \"a\\u009B\": \"\\u001B[2J\\u007F \\u009B \\u202E b\xc3\xa9\"\n}\n"
                        "{\"a\":\"\\u001B\\u009B\"}");
}

static void nothing_is_printed_that_nobody_would_see(void **state)
{
    (void)state;
    assert_string_equal(capture(print_unseen), "a?b main????.");
}

static void mask_a_secret(void)
{
    report_mask(STR("a%b\nc"));
    report_mask(STR(""));
}

static void masks_are_printed_for_githubs_runner_only(void **state)
{
    (void)state;
    assert_int_equal(unsetenv("GITHUB_ACTIONS"), 0);
    assert_string_equal(capture(mask_a_secret), "");
    assert_int_equal(setenv("GITHUB_ACTIONS", "true", 1), 0);
    assert_string_equal(capture(mask_a_secret), "::add-mask::a%25b%0Ac\n");
    assert_int_equal(unsetenv("GITHUB_ACTIONS"), 0);
}

static void fail_twice(void)
{
    struct error error = { 0 };

    (void)error_set(&error, ERROR_UNREACHABLE, "https://b: no");
    assert_int_equal(report_failure(&error), 5);
    assert_int_equal(report_failure(&(struct error){ .code = ERROR_LATER }), 7);
}

static void a_failure_is_a_line_and_an_exit_code(void **state)
{
    (void)state;
    assert_string_equal(capture(fail_twice),
                        "stagepass: https://b: no\nstagepass: not now: try again later\n");
}

/* NOLINTEND(concurrency-mt-unsafe,cert-env33-c) */

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(foreign_text_stays_in_its_line),
        cmocka_unit_test(json_steers_no_terminal_and_stays_the_same_json),
        cmocka_unit_test(nothing_is_printed_that_nobody_would_see),
        cmocka_unit_test(masks_are_printed_for_githubs_runner_only),
        cmocka_unit_test(a_failure_is_a_line_and_an_exit_code),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
