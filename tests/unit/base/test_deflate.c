/* Compressing: what the library makes is what RFC 1950 says, and comes back. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/deflate.h"
#include "base/error.h"
#include "tests/test.h"

static void comes_back(struct str bytes, size_t at_most)
{
    OWNED(buf_release) struct buf out = { 0 };
    struct error error = { 0 };
    uLongf len = (uLongf)bytes.len + 1;
    Bytef *back = malloc(len);

    buf_init(&out, 2 * DEFLATE_MAX);
    assert_non_null(back);
    assert_true(deflate_zlib(bytes, &out, &error));
    assert_true(buf_str(&out).len <= at_most);
    assert_int_equal(uncompress(back, &len, (const Bytef *)buf_str(&out).data, buf_str(&out).len),
                     Z_OK);
    assert_int_equal(len, bytes.len);
    if (bytes.len > 0)
        assert_memory_equal(back, bytes.data, bytes.len);
    free(back);
}

static void bytes_come_back(void **state)
{
    char *zeros = calloc(1, DEFLATE_MAX);
    char noise[4096];
    uint32_t seed = 1;

    (void)state;
    assert_non_null(zeros);
    for (size_t i = 0; i < sizeof(noise); i++) {
        seed = seed * 1664525U + 1013904223U;
        noise[i] = (char)(seed >> 24);
    }
    comes_back(STR(""), 16);
    comes_back((struct str){ zeros, 4096 }, 64);
    comes_back((struct str){ noise, sizeof(noise) }, sizeof(noise) + 64);
    comes_back((struct str){ zeros, DEFLATE_MAX }, 2048);
    free(zeros);
}

/* The list of the draft's own example, 4.2: b9 a3 at the highest level. */
static void the_example_of_the_draft_comes_out(void **state)
{
    static const uint8_t expected[] = {
        0x78, 0xda, 0xdb, 0xb9, 0x18, 0x00, 0x02, 0x17, 0x01, 0x5d
    };
    OWNED(buf_release) struct buf out = { 0 };
    struct error error = { 0 };

    (void)state;
    buf_init(&out, 64);
    assert_true(deflate_zlib(STR("\xb9\xa3"), &out, &error));
    assert_int_equal(buf_str(&out).len, sizeof(expected));
    assert_memory_equal(buf_str(&out).data, expected, sizeof(expected));
}

static void more_than_the_limit_is_refused(void **state)
{
    OWNED(buf_release) struct buf out = { 0 };
    struct error error = { 0 };
    char *bytes = calloc(1, DEFLATE_MAX + 1);

    (void)state;
    assert_non_null(bytes);
    buf_init(&out, 2 * DEFLATE_MAX);
    assert_false(deflate_zlib((struct str){ bytes, DEFLATE_MAX + 1 }, &out, &error));
    assert_int_equal(error.code, ERROR_LIMIT);
    assert_int_equal(buf_str(&out).len, 0);
    free(bytes);
}

static void what_does_not_fit_is_told(void **state)
{
    OWNED(buf_release) struct buf out = { 0 };
    struct error error = { 0 };

    (void)state;
    buf_init(&out, 4);
    assert_false(deflate_zlib(STR("\xb9\xa3"), &out, &error));
    assert_int_equal(error.code, ERROR_MEMORY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_come_back),
        cmocka_unit_test(the_example_of_the_draft_comes_out),
        cmocka_unit_test(more_than_the_limit_is_refused),
        cmocka_unit_test(what_does_not_fit_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
