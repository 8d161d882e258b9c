#include "base/buf.h"
#include "pg/quote.h"
#include "tests/test.h"

#define A63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void an_identifier_is_quoted_whatever_it_holds(void **state)
{
    static const struct {
        struct str text;
        const char *quoted;
    } cases[] = {
        { STR_INIT("app"), "\"app\"" },
        { STR_INIT("App"), "\"App\"" },
        { STR_INIT("select"), "\"select\"" },
        { STR_INIT("a\"b"), "\"a\"\"b\"" },
        { STR_INIT("\""), "\"\"\"\"" },
        { STR_INIT("\"\"; DROP ROLE x; --"), "\"\"\"\"\"; DROP ROLE x; --\"" },
        { STR_INIT("a'b\\c"), "\"a'b\\c\"" },
        { STR_INIT("a b\n"), "\"a b\n\"" },
        { STR_INIT("\xc3\xa4"), "\"\xc3\xa4\"" },
        { STR_INIT(A63), "\"" A63 "\"" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        OWNED(buf_release) struct buf buf = { 0 };

        buf_init(&buf, 1024);
        assert_true(pg_add_identifier(&buf, cases[i].text));
        assert_true(buf_is_ok(&buf));
        assert_string_equal(buf.data, cases[i].quoted);
    }
}

static void what_can_be_no_identifier_is_refused(void **state)
{
    static const struct str cases[] = {
        STR_INIT(""),     STR_INIT("a\0b"), STR_INIT("\0"),
        STR_INIT("\xff"), STR_INIT("\xc3"), STR_INIT(A63 "a"),
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        OWNED(buf_release) struct buf buf = { 0 };

        buf_init(&buf, 1024);
        assert_false(pg_add_identifier(&buf, cases[i]));
        assert_false(pg_is_name(cases[i]));
        assert_int_equal(buf.len, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_identifier_is_quoted_whatever_it_holds),
        cmocka_unit_test(what_can_be_no_identifier_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
