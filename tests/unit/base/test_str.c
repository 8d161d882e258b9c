#include <string.h>

#include "base/str.h"
#include "tests/assert_str.h"
#include "tests/test.h"

static void a_null_text_is_the_empty_string(void **state)
{
    (void)state;
    assert_str(str_from(NULL), "");
    assert_str(str_from(""), "");
    assert_str(str_from("abc"), "abc");
}

static void equality_is_of_length_and_bytes(void **state)
{
    (void)state;
    assert_true(str_eq((struct str){ 0 }, STR("")));
    assert_true(str_eq(STR("a\0b"), STR("a\0b")));
    assert_false(str_eq(STR("a\0b"), STR("a\0c")));
    assert_false(str_eq(STR("a"), STR("ab")));
    assert_false(str_eq(STR("a"), STR("A")));
}

static void case_is_ignored_for_ascii_letters_only(void **state)
{
    (void)state;
    assert_true(str_eq_ignore_case(STR("Content-TYPE"), STR("content-type")));
    assert_false(str_eq_ignore_case(STR("[") /* '{' - 0x20 */, STR("{")));
    assert_false(str_eq_ignore_case(STR("@"), STR("`")));
    assert_false(str_eq_ignore_case(STR("\xc3\x84"), STR("\xc3\xa4")));
    assert_false(str_eq_ignore_case(STR("ab"), STR("abc")));
}

static void order_is_by_unsigned_bytes_and_a_prefix_comes_first(void **state)
{
    (void)state;
    assert_true(str_compare(STR("a"), STR("b")) < 0);
    assert_true(str_compare(STR("ab"), STR("a")) > 0);
    assert_true(str_compare(STR("\x7f"), STR("\x80")) < 0);
    assert_int_equal(str_compare((struct str){ 0 }, STR("")), 0);
    assert_int_equal(str_compare(STR("same"), STR("same")), 0);
}

static void starts_and_ends_are_found(void **state)
{
    (void)state;
    assert_true(str_starts_with(STR("refs/heads/main"), STR("refs/")));
    assert_true(str_starts_with(STR("refs"), STR("")));
    assert_false(str_starts_with(STR("ref"), STR("refs")));
    assert_false(str_starts_with(STR("xrefs"), STR("refs")));
    assert_true(str_ends_with(STR("key.pem"), STR(".pem")));
    assert_true(str_ends_with((struct str){ 0 }, STR("")));
    assert_false(str_ends_with(STR("pem"), STR(".pem")));
    assert_false(str_ends_with(STR("key.pemx"), STR(".pem")));
}

static void a_byte_that_is_not_there_is_found_at_the_end(void **state)
{
    (void)state;
    assert_int_equal(str_find(STR("a:b:c"), ':'), 1);
    assert_int_equal(str_find(STR("abc"), ':'), 3);
    assert_int_equal(str_find((struct str){ 0 }, ':'), 0);
    assert_true(str_contains(STR("abc"), STR("abc")));
    assert_true(str_contains(STR("abc"), STR("c")));
    assert_true(str_contains(STR("aab"), STR("ab")));
    assert_true(str_contains((struct str){ 0 }, STR("")));
    assert_false(str_contains(STR("abc"), STR("ac")));
    assert_false(str_contains(STR("ab"), STR("abc")));
    assert_false(str_contains((struct str){ 0 }, STR("a")));
    assert_int_equal(str_find_part(STR("a${b}${c}"), STR("${")), 1);
    assert_int_equal(str_find_part(STR("a$ {"), STR("${")), 4);
    assert_int_equal(str_find_part(STR("$"), STR("${")), 1);
    assert_int_equal(str_find(STR("ab\0c"), '\0'), 2);
}

static void a_slice_is_clamped_to_the_string(void **state)
{
    (void)state;
    assert_str(str_slice(STR("abcdef"), 2, 3), "cde");
    assert_str(str_slice(STR("abcdef"), 4, 3), "ef");
    assert_str(str_slice(STR("abcdef"), 6, 1), "");
    assert_str(str_slice(STR("abcdef"), SIZE_MAX, SIZE_MAX), "");
    assert_str(str_slice(STR("abcdef"), 1, SIZE_MAX), "bcdef");
}

static void a_string_is_cut_at_the_first_separator(void **state)
{
    struct str rest = STR("a=b=c");
    struct str head;

    (void)state;
    assert_true(str_cut(rest, '=', &head, &rest));
    assert_str(head, "a");
    assert_str(rest, "b=c");
    assert_true(str_cut(STR("end="), '=', &head, &rest));
    assert_str(head, "end");
    assert_str(rest, "");
}

static void without_a_separator_the_head_is_all(void **state)
{
    struct str head;
    struct str rest;

    (void)state;
    assert_false(str_cut(STR("abc"), '=', &head, &rest));
    assert_str(head, "abc");
    assert_str(rest, "");
    assert_false(str_cut((struct str){ 0 }, '=', &head, &rest));
    assert_str(head, "");
}

static void white_space_is_trimmed_at_both_ends(void **state)
{
    (void)state;
    assert_str(str_trim(STR(" \t\r\n a b \n")), "a b");
    assert_str(str_trim(STR(" \n ")), "");
    assert_str(str_trim(STR("")), "");
    assert_str(str_trim(STR("\va\v")), "\va\v");
}

static void a_string_made_of_a_set_has_no_other_byte(void **state)
{
    (void)state;
    assert_true(str_is_made_of(STR("0110"), "01"));
    assert_true(str_is_made_of(STR(""), "01"));
    assert_false(str_is_made_of(STR("012"), "01"));
    assert_false(str_is_made_of(STR("01\0"), "01"));
}

static void well_formed_utf8_is_accepted(void **state)
{
    static const struct str cases[] = {
        { "", 0 },
        { "a\0b", 3 },
        { "\x7f", 1 },
        { "\xc2\x80", 2 },
        { "\xdf\xbf", 2 },
        { "\xe0\xa0\x80", 3 },
        { "\xed\x9f\xbf", 3 },
        { "\xee\x80\x80", 3 },
        { "\xef\xbf\xbf", 3 },
        { "\xf0\x90\x80\x80", 4 },
        { "\xf4\x8f\xbf\xbf", 4 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_true(str_is_utf8(cases[i]));
}

static void ill_formed_utf8_is_refused(void **state)
{
    static const struct {
        const char *name;
        struct str text;
    } cases[] = {
        { "a continuation alone", { "\x80", 1 } },
        { "overlong slash in two", { "\xc0\xaf", 2 } },
        { "overlong in two, C1", { "\xc1\xbf", 2 } },
        { "overlong in three", { "\xe0\x9f\xbf", 3 } },
        { "overlong in four", { "\xf0\x8f\xbf\xbf", 4 } },
        { "a surrogate", { "\xed\xa0\x80", 3 } },
        { "the last surrogate", { "\xed\xbf\xbf", 3 } },
        { "past U+10FFFF", { "\xf4\x90\x80\x80", 4 } },
        { "a lead that was never", { "\xf5\x80\x80\x80", 4 } },
        { "cut after the lead", { "a\xc3", 2 } },
        { "cut in the middle", { "\xe2\x82", 2 } },
        { "a letter in the third place", { "\xe2\x82z", 3 } },
        { "a letter in the fourth place", { "\xf0\x90\x80z", 4 } },
        { "good, then bad", { "abc\xff", 4 } },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (str_is_utf8(cases[i].text))
            fail_msg("accepted: %s", cases[i].name);
    }
}

static void control_characters_are_seen(void **state)
{
    (void)state;
    assert_false(str_has_control(STR(" plain ~ \xc3\xa9")));
    assert_false(str_has_control((struct str){ 0 }));
    assert_true(str_has_control(STR("a\nb")));
    assert_true(str_has_control(STR("a\x1f")));
    assert_true(str_has_control(STR("\x7f")));
    assert_true(str_has_control(STR("a\0")));
}

static void integers_are_read_up_to_their_range(void **state)
{
    static const struct {
        const char *text;
        int64_t value;
    } cases[] = {
        { "0", 0 },
        { "7", 7 },
        { "-1", -1 },
        { "1700000000", 1700000000 },
        { "9223372036854775807", INT64_MAX },
        { "-9223372036854775808", INT64_MIN },
    };
    int64_t value;

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_true(str_to_int64(str_from(cases[i].text), &value));
        assert_true(value == cases[i].value);
    }
}

static void what_is_not_quite_an_integer_is_refused(void **state)
{
    static const struct str cases[] = {
        { "", 0 },
        { "-", 1 },
        { "-0", 2 },
        { "+1", 2 },
        { "01", 2 },
        { "00", 2 },
        { " 1", 2 },
        { "1 ", 2 },
        { "1.0", 3 },
        { "1e3", 3 },
        { "0x1", 3 },
        { "--1", 3 },
        { "1\0", 2 },
        { "-01", 3 },
        { "9223372036854775808", 19 },
        { "-9223372036854775809", 20 },
        { "99999999999999999999999999", 26 },
    };
    int64_t value = 42;

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (str_to_int64(cases[i], &value))
            fail_msg("accepted: '" STR_FMT "'", STR_ARG(cases[i]));
        assert_true(value == 42);
    }
}

static void distance_counts_edits_and_swaps(void **state)
{
    (void)state;
    assert_int_equal(str_distance(STR(""), STR(""), 5), 0);
    assert_int_equal(str_distance(STR("abc"), STR("abc"), 5), 0);
    assert_int_equal(str_distance(STR(""), STR("abc"), 5), 3);
    assert_int_equal(str_distance(STR("abc"), STR(""), 5), 3);
    assert_int_equal(str_distance(STR("when"), STR("whne"), 5), 1);
    assert_int_equal(str_distance(STR("kitten"), STR("sitting"), 5), 3);
    assert_int_equal(str_distance(STR("ab"), STR("ba"), 5), 1);
}

static void distance_stops_behind_its_limit(void **state)
{
    char long_text[64];

    (void)state;
    memset(long_text, 'a', sizeof(long_text));
    assert_int_equal(str_distance(STR("abcdef"), STR("uvwxyz"), 2), 3);
    assert_int_equal(str_distance((struct str){ long_text, 63 }, STR(""), 100), 63);
    assert_int_equal(str_distance((struct str){ long_text, 64 }, STR(""), 100), 101);
    assert_int_equal(str_distance(STR(""), (struct str){ long_text, 64 }, 100), 101);
}

static const struct str names[] = { STR_INIT("when"), STR_INIT("unless"), STR_INIT("stages"),
                                    STR_INIT("owner") };

static void the_nearest_name_is_found(void **state)
{
    (void)state;
    assert_str(str_nearest(STR("whne"), names, COUNT(names)), "when");
    assert_str(str_nearest(STR("stage"), names, COUNT(names)), "stages");
    assert_str(str_nearest(STR("unles"), names, COUNT(names)), "unless");
}

static void a_name_is_not_near_from_more_than_a_third_away(void **state)
{
    (void)state;
    assert_str(str_nearest(STR("identity"), names, COUNT(names)), "");
    assert_str(str_nearest(STR("wxyn"), names, COUNT(names)), "");
    assert_str(str_nearest(STR(""), names, COUNT(names)), "");
    assert_str(str_nearest(STR("when"), NULL, 0), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_null_text_is_the_empty_string),
        cmocka_unit_test(equality_is_of_length_and_bytes),
        cmocka_unit_test(case_is_ignored_for_ascii_letters_only),
        cmocka_unit_test(order_is_by_unsigned_bytes_and_a_prefix_comes_first),
        cmocka_unit_test(starts_and_ends_are_found),
        cmocka_unit_test(a_byte_that_is_not_there_is_found_at_the_end),
        cmocka_unit_test(a_slice_is_clamped_to_the_string),
        cmocka_unit_test(a_string_is_cut_at_the_first_separator),
        cmocka_unit_test(without_a_separator_the_head_is_all),
        cmocka_unit_test(white_space_is_trimmed_at_both_ends),
        cmocka_unit_test(a_string_made_of_a_set_has_no_other_byte),
        cmocka_unit_test(well_formed_utf8_is_accepted),
        cmocka_unit_test(ill_formed_utf8_is_refused),
        cmocka_unit_test(control_characters_are_seen),
        cmocka_unit_test(integers_are_read_up_to_their_range),
        cmocka_unit_test(what_is_not_quite_an_integer_is_refused),
        cmocka_unit_test(distance_counts_edits_and_swaps),
        cmocka_unit_test(distance_stops_behind_its_limit),
        cmocka_unit_test(the_nearest_name_is_found),
        cmocka_unit_test(a_name_is_not_near_from_more_than_a_third_away),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
