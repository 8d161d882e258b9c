#include <string.h>

#include "ledger/bundle.h"
#include "tests/assert_str.h"
#include "tests/test.h"

static void entries_come_out_as_they_were_added(void **state)
{
    static const char zeros[STORE_ENTRY_MAX];
    const struct str entries[] = { STR("a"), { zeros, sizeof(zeros) }, STR(""), STR("last") };
    OWNED(buf_release) struct buf bundle = { 0 };
    struct str rest;

    (void)state;
    buf_init(&bundle, BUNDLE_MAX);
    for (size_t i = 0; i < COUNT(entries); i++)
        bundle_add(&bundle, entries[i]);
    assert_true(buf_is_ok(&bundle));
    rest = buf_str(&bundle);
    for (size_t i = 0; i < COUNT(entries); i++) {
        struct str entry;

        assert_true(bundle_cut(&rest, &entry));
        assert_true(str_eq(entry, entries[i]));
    }
    assert_int_equal(rest.len, 0);
}

static void what_is_not_all_there_or_too_long_is_refused(void **state)
{
    static const char too_long[BUNDLE_HEAD_LEN + STORE_ENTRY_MAX + 1] = { 0x40, 0x01 };
    const struct {
        const char *name;
        struct str bundle;
    } cases[] = {
        { "nothing", STR("") },
        { "half a head", STR("\0") },
        { "a head alone", STR("\0\1") },
        { "one byte less than it says", STR("\0\2a") },
        { "one byte more than may be", { too_long, sizeof(too_long) } },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct str rest = cases[i].bundle;
        struct str entry = { 0 };

        if (bundle_cut(&rest, &entry))
            fail_msg("%s is taken for an entry", cases[i].name);
        assert_true(rest.data == cases[i].bundle.data && rest.len == cases[i].bundle.len);
        assert_null(entry.data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_come_out_as_they_were_added),
        cmocka_unit_test(what_is_not_all_there_or_too_long_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
