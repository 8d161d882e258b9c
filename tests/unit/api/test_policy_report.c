#include <stdio.h>
#include <string.h>

#include "api/policy_report.h"
#include "base/arena.h"
#include "base/diagnostic.h"
#include "base/error.h"
#include "tests/test.h"

#define ROOT "/etc/stagepass/policies"

struct fixture {
    struct arena *arena;
    struct diagnostics diagnostics;
    struct policy_reports *reports;
    struct policy_report report;
};

static int make(void **state)
{
    static struct fixture fixture;

    fixture = (struct fixture){
        .arena = arena_new((size_t)4 * 1024 * 1024),
        .reports = policy_reports_new(),
    };
    assert_non_null(fixture.arena);
    assert_non_null(fixture.reports);
    diagnostics_init(&fixture.diagnostics, fixture.arena);
    *state = &fixture;
    return 0;
}

static int clean(void **state)
{
    struct fixture *fixture = *state;

    policy_reports_free(fixture->reports);
    arena_free(fixture->arena);
    return 0;
}

static void add(struct fixture *fixture, enum diagnostic_severity severity, const char *file,
                const char *message)
{
    struct position at = { str_from(file), 3, 7 };

    (void)diagnostics_add(&fixture->diagnostics, severity, at, STR(""), STR(""), "%s", message);
}

static void fail_at(struct fixture *fixture, int64_t now_s)
{
    struct error error = { 0 };

    (void)error_set(&error, ERROR_IO, "the folder is away");
    policy_report_bad(fixture->reports, POLICY_FOLDER_ACTIVE, now_s, ROOT, &fixture->diagnostics,
                      &error);
    policy_report_read(fixture->reports, POLICY_FOLDER_ACTIVE, &fixture->report);
}

static void at_first_there_was_no_load(void **state)
{
    struct fixture *fixture = *state;

    policy_report_read(fixture->reports, POLICY_FOLDER_SHADOW, &fixture->report);
    assert_int_equal(fixture->report.at_s, 0);
    assert_int_equal(fixture->report.since_s, 0);
}

static void mistakes_are_kept_with_their_place_in_the_folder(void **state)
{
    struct fixture *fixture = *state;

    add(fixture, DIAGNOSTIC_WARNING, ROOT "/a.yaml", "only a warning");
    add(fixture, DIAGNOSTIC_ERROR, ROOT "/team/b.yaml", "a mistake");
    add(fixture, DIAGNOSTIC_ERROR, ROOT "-other/c.yaml", "elsewhere");
    fail_at(fixture, 100);
    assert_int_equal(fixture->report.at_s, 100);
    assert_int_equal(fixture->report.error_count, 2);
    assert_int_equal(fixture->report.mistake_count, 2);
    assert_string_equal(fixture->report.mistakes[0].file, "team/b.yaml");
    assert_int_equal(fixture->report.mistakes[0].line, 3);
    assert_int_equal(fixture->report.mistakes[0].column, 7);
    assert_string_equal(fixture->report.mistakes[0].message, "a mistake");
    assert_string_equal(fixture->report.mistakes[1].file, ROOT "-other/c.yaml");
}

static void a_failure_without_a_mistake_is_one(void **state)
{
    struct fixture *fixture = *state;

    fail_at(fixture, 100);
    assert_int_equal(fixture->report.error_count, 1);
    assert_int_equal(fixture->report.mistake_count, 1);
    assert_string_equal(fixture->report.mistakes[0].message, "the folder is away");
    assert_string_equal(fixture->report.mistakes[0].file, "");
}

static void it_fails_since_the_first_failure(void **state)
{
    struct fixture *fixture = *state;

    fail_at(fixture, 100);
    fail_at(fixture, 200);
    assert_int_equal(fixture->report.at_s, 200);
    assert_int_equal(fixture->report.since_s, 100);
    policy_report_good(fixture->reports, POLICY_FOLDER_ACTIVE, 300);
    policy_report_read(fixture->reports, POLICY_FOLDER_ACTIVE, &fixture->report);
    assert_int_equal(fixture->report.at_s, 300);
    assert_int_equal(fixture->report.since_s, 0);
    assert_int_equal(fixture->report.error_count, 0);
    assert_int_equal(fixture->report.mistake_count, 0);
    fail_at(fixture, 400);
    assert_int_equal(fixture->report.since_s, 400);
}

static void the_folders_do_not_mix(void **state)
{
    struct fixture *fixture = *state;

    fail_at(fixture, 100);
    policy_report_good(fixture->reports, POLICY_FOLDER_SHADOW, 200);
    policy_report_read(fixture->reports, POLICY_FOLDER_ACTIVE, &fixture->report);
    assert_int_equal(fixture->report.since_s, 100);
}

/* 20 are kept, of 21 the last is only counted. */
static void more_mistakes_than_are_kept_are_counted(void **state)
{
    struct fixture *fixture = *state;

    for (int i = 0; i < POLICY_MISTAKES_MAX; i++)
        add(fixture, DIAGNOSTIC_ERROR, ROOT "/a.yaml", "a mistake");
    fail_at(fixture, 100);
    assert_int_equal(fixture->report.error_count, POLICY_MISTAKES_MAX);
    assert_int_equal(fixture->report.mistake_count, POLICY_MISTAKES_MAX);
    add(fixture, DIAGNOSTIC_ERROR, ROOT "/a.yaml", "one more");
    fail_at(fixture, 200);
    assert_int_equal(fixture->report.error_count, POLICY_MISTAKES_MAX + 1);
    assert_int_equal(fixture->report.mistake_count, POLICY_MISTAKES_MAX);
}

/* A file's name of many two-byte characters is cut between two of them. */
static void texts_are_cut_between_characters(void **state)
{
    struct fixture *fixture = *state;
    char file[600] = ROOT "/";
    size_t len = strlen(file);

    while (len + 2 < sizeof(file)) {
        file[len++] = '\xc3';
        file[len++] = '\xa9';
    }
    file[len] = '\0';
    add(fixture, DIAGNOSTIC_ERROR, file, "a mistake");
    fail_at(fixture, 100);
    assert_int_equal(strlen(fixture->report.mistakes[0].file), 254);
    assert_true(str_is_utf8(str_from(fixture->report.mistakes[0].file)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(at_first_there_was_no_load, make, clean),
        cmocka_unit_test_setup_teardown(mistakes_are_kept_with_their_place_in_the_folder, make,
                                        clean),
        cmocka_unit_test_setup_teardown(a_failure_without_a_mistake_is_one, make, clean),
        cmocka_unit_test_setup_teardown(it_fails_since_the_first_failure, make, clean),
        cmocka_unit_test_setup_teardown(the_folders_do_not_mix, make, clean),
        cmocka_unit_test_setup_teardown(more_mistakes_than_are_kept_are_counted, make, clean),
        cmocka_unit_test_setup_teardown(texts_are_cut_between_characters, make, clean),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
