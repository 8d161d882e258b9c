#include <string.h>

#include "base/error.h"
#include "clients/ledger_filter.h"
#include "tests/test.h"

#define NOW_MS INT64_C(1767225600000)

static const struct option_row *row_at(size_t offset)
{
    for (size_t i = 0; i < LEDGER_FILTER_OPTION_COUNT; i++)
        if (ledger_filter_option_rows[i].offset == offset)
            return &ledger_filter_option_rows[i];
    return NULL;
}

static void every_field_of_a_query_is_an_option(void **state)
{
    (void)state;
    for (size_t i = 0; i < LEDGER_FIELD_COUNT; i++) {
        const struct option_row *row =
            row_at(offsetof(struct ledger_filter_options, fields) + i * sizeof(struct option_list));

        assert_non_null(row);
        assert_string_equal(row->name, query_field((enum ledger_field)i)->name);
        assert_int_equal(row->kind, OPTION_LIST);
    }
}

static void options_become_a_query(void **state)
{
    struct ledger_filter_options options = { .since = "1d", .text = "x" };
    struct ledger_query query;
    struct error error = { 0 };

    (void)state;
    options.fields[LEDGER_FIELD_STAGE].items[0] = "a:b";
    options.fields[LEDGER_FIELD_STAGE].items[1] = "a:c";
    options.fields[LEDGER_FIELD_STAGE].count = 2;
    assert_true(ledger_filter_read(&options, NOW_MS, &query, &error));
    assert_true(query.since_ms == NOW_MS - 86400000);
    assert_int_equal(query.fields[LEDGER_FIELD_STAGE].count, 2);
    assert_true(str_eq(query.text, STR("x")));
}

static void a_bad_option_is_named(void **state)
{
    static const struct {
        struct ledger_filter_options options;
        const char *cause;
    } cases[] = {
        { { .since = "tomorrow" },
          "--since: expected a time (2026-11-22T10:00:00Z), a date or a duration before now "
          "(90d)" },
        { { .since = "1d", .until = "2d" }, "--until: expected a 'since' before 'until'" },
        { { .text = "" }, "--text: expected 1 to 1024 bytes of text without control characters" },
        { { .fields[LEDGER_FIELD_OWNER] = { { "\n" }, 1 } },
          "--owner: expected 1 to 1024 bytes of text without control characters" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct ledger_query query;
        struct error error = { 0 };

        assert_false(ledger_filter_read(&cases[i].options, NOW_MS, &query, &error));
        assert_int_equal(error.code, ERROR_USAGE);
        assert_string_equal(error.cause, cases[i].cause);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_of_a_query_is_an_option),
        cmocka_unit_test(options_become_a_query),
        cmocka_unit_test(a_bad_option_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
