#include <string.h>

#include "base/base64.h"
#include "tests/assert_str.h"
#include "tests/test.h"

/* RFC 4648 10, and the two digits in which the alphabets differ. */
static const struct vector {
    struct str bytes;
    const char *standard;
    const char *url;
} vectors[] = {
    { { "", 0 }, "", "" },
    { { "f", 1 }, "Zg==", "Zg" },
    { { "fo", 2 }, "Zm8=", "Zm8" },
    { { "foo", 3 }, "Zm9v", "Zm9v" },
    { { "foob", 4 }, "Zm9vYg==", "Zm9vYg" },
    { { "fooba", 5 }, "Zm9vYmE=", "Zm9vYmE" },
    { { "foobar", 6 }, "Zm9vYmFy", "Zm9vYmFy" },
    { { "\xfb\xff\xfe", 3 }, "+//+", "-__-" },
    { { "\0\0\0", 3 }, "AAAA", "AAAA" },
};

static void the_rfcs_vectors_encode(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(vectors); i++) {
        OWNED(buf_release) struct buf buf = { 0 };

        buf_init(&buf, 100);
        buf_add_base64(&buf, vectors[i].bytes);
        assert_true(str_eq(buf_str(&buf), str_from(vectors[i].standard)));
        buf_clear(&buf);
        buf_add_base64url(&buf, vectors[i].bytes);
        assert_true(str_eq(buf_str(&buf), str_from(vectors[i].url)));
    }
}

static void the_rfcs_vectors_decode(void **state)
{
    uint8_t out[16];
    size_t len;

    (void)state;
    for (size_t i = 0; i < COUNT(vectors); i++) {
        assert_true(base64_decode(str_from(vectors[i].standard), out, &len));
        assert_true(str_eq((struct str){ (const char *)out, len }, vectors[i].bytes));
        assert_true(base64url_decode(str_from(vectors[i].url), out, &len));
        assert_true(str_eq((struct str){ (const char *)out, len }, vectors[i].bytes));
    }
}

static void encoding_and_decoding_are_inverse_at_every_length(void **state)
{
    uint8_t bytes[100];
    uint8_t out[BASE64_DECODED_MAX(BASE64_ENCODED_MAX(sizeof(bytes)))];
    size_t out_len;

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 167 + 13);
    for (size_t len = 0; len <= sizeof(bytes); len++) {
        OWNED(buf_release) struct buf buf = { 0 };

        buf_init(&buf, BASE64_ENCODED_MAX(len));
        buf_add_base64url(&buf, (struct str){ (const char *)bytes, len });
        assert_true(buf_is_ok(&buf));
        assert_true(buf.len <= BASE64_ENCODED_MAX(len));
        assert_true(base64url_decode(buf_str(&buf), out, &out_len));
        assert_int_equal(out_len, len);
        assert_memory_equal(out, bytes, len);
    }
}

static void url_text_that_is_not_strict_is_refused(void **state)
{
    static const struct {
        const char *name;
        struct str text;
    } cases[] = {
        { "padded once", { "Zm8=", 4 } },
        { "padded twice", { "Zg==", 4 } },
        { "only padding", { "=", 1 } },
        { "one digit", { "Z", 1 } },
        { "five digits", { "Zm9vY", 5 } },
        { "standard plus", { "+__-", 4 } },
        { "standard slash", { "-_/-", 4 } },
        { "slash in a tail", { "Z/", 2 } },
        { "spare bits of two digits", { "Zh", 2 } },
        { "spare bits of three digits", { "Zm9", 3 } },
        { "white space", { "Zm 9v", 5 } },
        { "a newline at the end", { "Zm9vYmF\n", 8 } },
        { "a NUL in a group", { "Zm\0v", 4 } },
        { "a NUL in a tail", { "Z\0", 2 } },
        { "a high byte", { "Zm\xc3v", 4 } },
        { "bad in the first group only", { "Z!9vZm9vZm9v", 12 } },
        { "bad in the third place of a tail", { "Zm!", 3 } },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint8_t out[32];
        size_t len = 77;

        if (base64url_decode(cases[i].text, out, &len))
            fail_msg("accepted: %s", cases[i].name);
        assert_int_equal(len, 77);
    }
}

static void standard_text_that_is_not_strict_is_refused(void **state)
{
    static const struct {
        const char *name;
        struct str text;
    } cases[] = {
        { "no padding", { "Zm8", 3 } },
        { "padding too short", { "Zg=", 3 } },
        { "padding too long", { "Zg===", 5 } },
        { "three of padding", { "Z===", 4 } },
        { "only padding", { "====", 4 } },
        { "padding inside", { "Zg==Zg==", 8 } },
        { "padding one place early", { "Z=g=", 4 } },
        { "url minus", { "-//+", 4 } },
        { "url underscore", { "+_/+", 4 } },
        { "spare bits, two", { "Zh==", 4 } },
        { "spare bits, three", { "Zm9=", 4 } },
        { "a newline", { "Zm9\n", 4 } },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint8_t out[32];
        size_t len;

        if (base64_decode(cases[i].text, out, &len))
            fail_msg("accepted: %s", cases[i].name);
    }
}

static void every_byte_is_a_digit_of_its_alphabet_or_refused(void **state)
{
    size_t standard_count = 0;
    size_t url_count = 0;

    (void)state;
    for (int byte = 0; byte < 256; byte++) {
        char text[4] = { 'A', 'A', 'A', (char)byte };
        uint8_t out[6];
        size_t len;

        standard_count += base64_decode((struct str){ text, 4 }, out, &len) ? 1 : 0;
        url_count += base64url_decode((struct str){ text, 4 }, out, &len) ? 1 : 0;
    }
    assert_int_equal(url_count, 64);
    assert_int_equal(standard_count, 65); /* and the padding */
}

static void a_full_buffer_takes_no_part_of_a_text(void **state)
{
    OWNED(buf_release) struct buf buf = { 0 };

    (void)state;
    buf_init(&buf, 7);
    buf_add_base64(&buf, STR("foob"));
    assert_false(buf_is_ok(&buf));
    buf_clear(&buf);
    buf_add_base64url(&buf, STR("foobar"));
    assert_false(buf_is_ok(&buf));
    buf_clear(&buf);
    buf_add_base64url(&buf, (struct str){ "x", SIZE_MAX - 1 });
    assert_false(buf_is_ok(&buf));
    assert_int_equal(buf.len, 0);
}

static void hex_decodes_in_either_case(void **state)
{
    uint8_t out[4];

    (void)state;
    assert_true(hex_decode(STR("00fFAb9c"), out));
    assert_memory_equal(out, "\x00\xff\xab\x9c", 4);
    assert_true(hex_decode(STR(""), out));
}

static void what_is_not_hex_is_refused(void **state)
{
    static const struct str cases[] = {
        { "0", 1 },   { "000", 3 }, { "0g", 2 }, { "g0", 2 }, { "0x", 2 }, { " 0", 2 },
        { "0\0", 2 }, { "/0", 2 },  { ":0", 2 }, { "@0", 2 }, { "`0", 2 },
    };
    uint8_t out[4];

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_false(hex_decode(cases[i], out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rfcs_vectors_encode),
        cmocka_unit_test(the_rfcs_vectors_decode),
        cmocka_unit_test(encoding_and_decoding_are_inverse_at_every_length),
        cmocka_unit_test(url_text_that_is_not_strict_is_refused),
        cmocka_unit_test(standard_text_that_is_not_strict_is_refused),
        cmocka_unit_test(every_byte_is_a_digit_of_its_alphabet_or_refused),
        cmocka_unit_test(a_full_buffer_takes_no_part_of_a_text),
        cmocka_unit_test(hex_decodes_in_either_case),
        cmocka_unit_test(what_is_not_hex_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
