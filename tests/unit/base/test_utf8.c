#include "base/utf8.h"
#include "tests/assert_str.h"
#include "tests/test.h"

static void characters_are_taken_one_by_one(void **state)
{
    static const uint32_t expected[] = { 'a', 0x7F, 0x80, 0x7FF, 0x800, 0xFFFF, 0x10000, 0x10FFFF };
    struct str rest =
        STR("a\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf");
    uint32_t character = 0;

    (void)state;
    for (size_t i = 0; i < COUNT(expected); i++) {
        assert_true(utf8_take(&rest, &character));
        assert_int_equal(character, expected[i]);
    }
    assert_false(utf8_take(&rest, &character));
    assert_int_equal(rest.len, 0);
}

static void what_is_not_well_formed_is_not_taken(void **state)
{
    static const struct {
        const char *name;
        const char *bytes;
    } cases[] = {
        { "a stray continuation", "\x80" },
        { "an overlong slash", "\xc0\xaf" },
        { "an overlong U+007F", "\xc1\xbf" },
        { "an overlong U+07FF", "\xe0\x9f\xbf" },
        { "an overlong U+FFFF", "\xf0\x8f\xbf\xbf" },
        { "the first surrogate", "\xed\xa0\x80" },
        { "the last surrogate", "\xed\xbf\xbf" },
        { "past U+10FFFF", "\xf4\x90\x80\x80" },
        { "five bytes", "\xf8\x88\x80\x80\x80" },
        { "FF", "\xff" },
        { "a cut sequence", "\xe2\x82" },
        { "a broken sequence", "\xe2(\x82" },
    };
    uint32_t character = 42;

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct str rest = str_from(cases[i].bytes);

        if (utf8_take(&rest, &character))
            fail_msg("%s was taken", cases[i].name);
        assert_int_equal(character, 42);
        assert_ptr_equal(rest.data, cases[i].bytes);
    }
}

static void stray_bytes_count_as_one_character_each(void **state)
{
    (void)state;
    assert_int_equal(utf8_count(STR("")), 0);
    assert_int_equal(utf8_count(STR("\xc3\xa4z")), 2);
    assert_int_equal(utf8_count(STR("\xe2\x82z\xff")), 4);
}

static void an_offset_stops_at_the_end(void **state)
{
    (void)state;
    assert_int_equal(utf8_offset(STR("\xc3\xa4z"), 0), 0);
    assert_int_equal(utf8_offset(STR("\xc3\xa4z"), 1), 2);
    assert_int_equal(utf8_offset(STR("\xc3\xa4z"), 2), 3);
    assert_int_equal(utf8_offset(STR("\xc3\xa4z"), 9), 3);
}

static void controls_separators_and_overrides_are_not_plain(void **state)
{
    static const uint32_t plain[] = { ' ', '~', 0xA0, 0xE4, 0x2027, 0x202F, 0x4E00, 0x1F600 };
    static const uint32_t others[] = { 0,      '\t',   '\n',   0x1B,   0x7F,   0x85,  0x9F,
                                       0x200F, 0x2028, 0x202E, 0x2066, 0xFEFF, 0xFFFF };

    (void)state;
    for (size_t i = 0; i < COUNT(plain); i++)
        assert_true(utf8_is_plain(plain[i]));
    for (size_t i = 0; i < COUNT(others); i++)
        assert_false(utf8_is_plain(others[i]));
}

static void joiners_fillers_and_other_spaces_are_not_seen(void **state)
{
    static const uint32_t seen[] = { ' ', 'a', '~', 0xA1, 0xE4, 0x0301, 0x2010, 0x4E00, 0x1F600 };
    static const uint32_t others[] = { 0xA0,   0xAD,   0x034F,  0x115F,  0x180E, 0x2003, 0x200B,
                                       0x200D, 0x202F, 0x2060,  0x2800,  0x3000, 0x3164, 0xFE00,
                                       0xFE0F, 0xFFA0, 0xE0001, 0xE0041, 0xE0100 };

    (void)state;
    for (size_t i = 0; i < COUNT(seen); i++)
        assert_true(utf8_is_seen(seen[i]));
    for (size_t i = 0; i < COUNT(others); i++)
        assert_false(utf8_is_seen(others[i]));
}

static void what_is_not_plain_is_taken_as_a_question_mark(void **state)
{
    static const struct {
        const char *text;
        const char *first;
        size_t left;
    } cases[] = {
        { "ab", "a", 1 },    { "\xc3\xa4", "\xc3\xa4", 0 }, { "\nb", "?", 1 },
        { "\xffz", "?", 1 }, { "\xe2\x80\xae.", "?", 1 },   { "\xc3", "?", 0 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct str rest = str_from(cases[i].text);
        struct str first = utf8_take_plain(&rest);

        assert_true(str_eq(first, str_from(cases[i].first)));
        assert_int_equal(rest.len, cases[i].left);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(characters_are_taken_one_by_one),
        cmocka_unit_test(what_is_not_well_formed_is_not_taken),
        cmocka_unit_test(stray_bytes_count_as_one_character_each),
        cmocka_unit_test(an_offset_stops_at_the_end),
        cmocka_unit_test(controls_separators_and_overrides_are_not_plain),
        cmocka_unit_test(what_is_not_plain_is_taken_as_a_question_mark),
        cmocka_unit_test(joiners_fillers_and_other_spaces_are_not_seen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
