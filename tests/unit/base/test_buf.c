#include <string.h>

#include "base/buf.h"
#include "tests/assert_str.h"
#include "tests/fail_memory.h"
#include "tests/test.h"

static void an_untouched_buffer_is_empty_and_good(void **state)
{
    OWNED(buf_release) struct buf buf = { 0 };

    (void)state;
    assert_true(buf_is_ok(&buf));
    assert_str(buf_str(&buf), "");
}

static void appended_bytes_end_with_a_nul(void **state)
{
    OWNED(buf_release) struct buf buf = { 0 };

    (void)state;
    buf_init(&buf, 100);
    buf_add_text(&buf, "one ");
    buf_add(&buf, STR("two"));
    buf_add(&buf, (struct str){ 0 });
    buf_add_byte(&buf, '!');
    assert_true(buf_is_ok(&buf));
    assert_str(buf_str(&buf), "one two!");
    assert_string_equal(buf.data, "one two!");
}

static void a_buffer_takes_exactly_its_limit(void **state)
{
    OWNED(buf_release) struct buf buf = { 0 };

    (void)state;
    buf_init(&buf, 5);
    buf_add_text(&buf, "12345");
    assert_true(buf_is_ok(&buf));
    assert_str(buf_str(&buf), "12345");
    buf_add(&buf, STR(""));
    assert_true(buf_is_ok(&buf));
    buf_add_byte(&buf, '6');
    assert_false(buf_is_ok(&buf));
    assert_str(buf_str(&buf), "12345");
}

static void after_a_failure_nothing_is_added(void **state)
{
    OWNED(buf_release) struct buf buf = { 0 };

    (void)state;
    buf_init(&buf, 5);
    buf_add_text(&buf, "123");
    buf_add_text(&buf, "456");
    buf_add_text(&buf, "4");
    assert_false(buf_is_ok(&buf));
    assert_str(buf_str(&buf), "123");
}

static void every_appender_is_whole_or_not_at_all(void **state)
{
    static void (*const appenders[])(struct buf * buf, struct str bytes) = {
        buf_add, buf_add_hex, buf_add_sized, buf_add_percent, buf_add_json_text,
    };

    (void)state;
    for (size_t i = 0; i < COUNT(appenders); i++) {
        OWNED(buf_release) struct buf buf = { 0 };

        buf_init(&buf, 3);
        buf_add_text(&buf, "a");
        appenders[i](&buf, STR("b\"\n"));
        assert_false(buf_is_ok(&buf));
        assert_str(buf_str(&buf), "a");
    }
}

static void lengths_near_the_end_of_the_range_do_not_overflow(void **state)
{
    const struct str huge = { "x", SIZE_MAX - 1 };
    const struct str half = { "x", SIZE_MAX / 2 + 2 };
    OWNED(buf_release) struct buf buf = { 0 };

    (void)state;
    buf_init(&buf, SIZE_MAX - 1);
    buf_add_text(&buf, "abc");
    buf_add(&buf, huge);
    assert_false(buf_is_ok(&buf));
    buf_clear(&buf);
    buf_add_hex(&buf, half);
    assert_false(buf_is_ok(&buf));
    buf_clear(&buf);
    buf_add_sized(&buf, huge);
    assert_false(buf_is_ok(&buf));
    assert_int_equal(buf.len, 0);
}

static void a_buffer_without_a_limit_takes_nothing(void **state)
{
    OWNED(buf_release) struct buf unlimited = { 0 };
    OWNED(buf_release) struct buf zero = { 0 };

    (void)state;
    buf_init(&unlimited, SIZE_MAX);
    buf_add_byte(&unlimited, 'a');
    assert_false(buf_is_ok(&unlimited));
    buf_init(&zero, 0);
    buf_add_text(&zero, "");
    assert_true(buf_is_ok(&zero));
    buf_add_byte(&zero, 'a');
    assert_false(buf_is_ok(&zero));
}

static void growth_keeps_the_content(void **state)
{
    OWNED(buf_release) struct buf buf = { 0 };

    (void)state;
    buf_init(&buf, 100000);
    for (size_t i = 0; i < 100000; i++)
        buf_add_byte(&buf, (uint8_t)('a' + i % 26));
    assert_true(buf_is_ok(&buf));
    for (size_t i = 0; i < 100000; i++)
        assert_int_equal(buf.data[i], 'a' + i % 26);
    buf_add_byte(&buf, 'z');
    assert_false(buf_is_ok(&buf));
}

static void a_cleared_buffer_is_good_again_and_wiped(void **state)
{
    OWNED(buf_release) struct buf buf = { 0 };

    (void)state;
    buf_init(&buf, 6);
    buf_add_text(&buf, "secret");
    buf_add_byte(&buf, '!');
    buf_clear(&buf);
    assert_true(buf_is_ok(&buf));
    assert_memory_equal(buf.data, "\0\0\0\0\0\0", 6);
    buf_add_text(&buf, "second");
    assert_str(buf_str(&buf), "second");
}

static void no_memory_fails_the_buffer_and_keeps_its_content(void **state)
{
    OWNED(buf_release) struct buf buf = { 0 };

    (void)state;
    buf_init(&buf, 1000);
    fail_memory_at(1);
    buf_add_byte(&buf, 'a');
    assert_false(buf_is_ok(&buf));
    buf_clear(&buf);
    buf_add_text(&buf, "kept");
    fail_memory_at(1);
    buf_printf(&buf, "%0500d", 7);
    fail_memory_at(0);
    assert_false(buf_is_ok(&buf));
    assert_str(buf_str(&buf), "kept");
}

static void numbers_are_big_endian(void **state)
{
    OWNED(buf_release) struct buf buf = { 0 };

    (void)state;
    buf_init(&buf, 100);
    buf_add_u32(&buf, 0x01020384);
    buf_add_u64(&buf, UINT64_C(0x01020304050607f8));
    assert_str(buf_str(&buf), "\x01\x02\x03\x84\x01\x02\x03\x04\x05\x06\x07\xf8");
}

static void hex_is_lower_case(void **state)
{
    OWNED(buf_release) struct buf buf = { 0 };

    (void)state;
    buf_init(&buf, 8);
    buf_add_hex(&buf, STR("\x00\xff\x1a\xb0"));
    assert_true(buf_is_ok(&buf));
    assert_str(buf_str(&buf), "00ff1ab0");
}

static void a_sized_string_has_its_length_in_front(void **state)
{
    OWNED(buf_release) struct buf buf = { 0 };

    (void)state;
    buf_init(&buf, 11);
    buf_add_sized(&buf, STR("abc"));
    buf_add_sized(&buf, (struct str){ 0 });
    assert_true(buf_is_ok(&buf));
    assert_str(buf_str(&buf), "\0\0\0\3abc\0\0\0\0");
}

static void formatted_text_fits_to_the_last_byte(void **state)
{
    OWNED(buf_release) struct buf buf = { 0 };

    (void)state;
    buf_init(&buf, 7);
    buf_printf(&buf, "%d-%s", 42, "abc");
    assert_str(buf_str(&buf), "42-abc");
    buf_printf(&buf, "%s", "");
    assert_true(buf_is_ok(&buf));
    buf_printf(&buf, "%s", "xy");
    assert_false(buf_is_ok(&buf));
    assert_str(buf_str(&buf), "42-abc");
}

static void all_but_unreserved_bytes_are_percent_encoded(void **state)
{
    OWNED(buf_release) struct buf buf = { 0 };

    (void)state;
    buf_init(&buf, 100);
    buf_add_percent(&buf, STR("aZ09-._~ +&=%/\xff\0"));
    assert_str(buf_str(&buf), "aZ09-._~%20%2B%26%3D%25%2F%FF%00");
}

static void json_text_escapes_what_it_must(void **state)
{
    OWNED(buf_release) struct buf buf = { 0 };

    (void)state;
    buf_init(&buf, 100);
    buf_add_json_text(&buf, STR("a\"b\\c\b\f\n\r\t\x01\x1f/\0\xc3\xa9\x7f"));
    assert_str(buf_str(&buf), "a\\\"b\\\\c\\b\\f\\n\\r\\t\\u0001\\u001f/\\u0000\xc3\xa9\x7f");
}

static void what_is_expected_moves_nothing_later_and_takes_no_more_than_the_limit(void **state)
{
    OWNED(buf_release) struct buf buf = { 0 };
    const char *before = NULL;

    (void)state;
    buf_init(&buf, 100);
    buf_add_text(&buf, "ab");
    buf_expect(&buf, 98);
    before = buf.data;
    assert_str(buf_str(&buf), "ab");
    for (size_t i = 2; i < 100; i++)
        buf_add_byte(&buf, 'x');
    assert_ptr_equal(buf.data, before);
    buf_expect(&buf, SIZE_MAX);
    assert_true(buf_is_ok(&buf));
    assert_int_equal(buf.len, 100);
    buf_add_byte(&buf, 'x');
    assert_false(buf_is_ok(&buf));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_untouched_buffer_is_empty_and_good),
        cmocka_unit_test(appended_bytes_end_with_a_nul),
        cmocka_unit_test(a_buffer_takes_exactly_its_limit),
        cmocka_unit_test(after_a_failure_nothing_is_added),
        cmocka_unit_test(every_appender_is_whole_or_not_at_all),
        cmocka_unit_test(lengths_near_the_end_of_the_range_do_not_overflow),
        cmocka_unit_test(a_buffer_without_a_limit_takes_nothing),
        cmocka_unit_test(growth_keeps_the_content),
        cmocka_unit_test(a_cleared_buffer_is_good_again_and_wiped),
        cmocka_unit_test(no_memory_fails_the_buffer_and_keeps_its_content),
        cmocka_unit_test(what_is_expected_moves_nothing_later_and_takes_no_more_than_the_limit),
        cmocka_unit_test(numbers_are_big_endian),
        cmocka_unit_test(hex_is_lower_case),
        cmocka_unit_test(a_sized_string_has_its_length_in_front),
        cmocka_unit_test(formatted_text_fits_to_the_last_byte),
        cmocka_unit_test(all_but_unreserved_bytes_are_percent_encoded),
        cmocka_unit_test(json_text_escapes_what_it_must),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
