#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "store/segment.h"
#include "tests/test.h"

#define FILE_MAX ((size_t)1024 * 1024)

static int open_file(char path[64])
{
    int file = -1;

    (void)snprintf(path, 64, "/tmp/stagepass-segment-XXXXXX");
    file = mkstemp(path);
    assert_true(file >= 0);
    return file;
}

/* All bytes are `byte` but those in [from, from + len), which are zero. */
static void expect_zeros(int file, size_t size, size_t from, size_t len, char byte)
{
    static char content[FILE_MAX + 1];

    assert_int_equal(pread(file, content, sizeof(content), 0), size);
    for (size_t i = 0; i < size; i++)
        if (content[i] != (i >= from && i - from < len ? 0 : byte))
            fail_msg("byte %zu of %zu is %d", i, size, content[i]);
}

static void zeros_ahead_are_where_they_should_be(void **state)
{
    static const struct {
        size_t from;
        size_t len;
    } cases[] = {
        { 0, 0 },
        { 0, 1 },
        { 0, FILE_DIRECT_ALIGNMENT },
        { 1, FILE_DIRECT_ALIGNMENT },
        { 1, 2 * FILE_DIRECT_ALIGNMENT - 1 },
        { FILE_DIRECT_ALIGNMENT - 1, FILE_DIRECT_ALIGNMENT + 2 },
        { FILE_DIRECT_ALIGNMENT, (size_t)300 * 1024 },
        { 5000, (size_t)700 * 1024 + 1 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t end = cases[i].from + cases[i].len;
        char path[64];
        int file = open_file(path);
        static char content[FILE_MAX];

        /* Over what is there, and then behind the end. */
        memset(content, 'x', sizeof(content));
        assert_int_equal(pwrite(file, content, sizeof(content), 0), sizeof(content));
        assert_int_equal(segment_write_zeros_ahead(file, cases[i].from, cases[i].len), 0);
        expect_zeros(file, sizeof(content), cases[i].from, cases[i].len, 'x');
        assert_int_equal(ftruncate(file, (off_t)cases[i].from), 0);
        assert_int_equal(segment_write_zeros_ahead(file, cases[i].from, cases[i].len), 0);
        expect_zeros(file, end, cases[i].from, cases[i].len, 'x');
        /* The descriptor writes as before: what is not aligned, too. */
        assert_int_equal(pwrite(file, "abc", 3, 1), 3);
        (void)close(file);
        (void)unlink(path);
    }
}

static void a_write_that_fails_is_told(void **state)
{
    char path[64];
    int file = open_file(path);
    int reading = open(path, O_RDONLY | O_CLOEXEC);

    (void)state;
    assert_true(reading >= 0);
    assert_int_not_equal(segment_write_zeros_ahead(reading, 0, 2 * FILE_DIRECT_ALIGNMENT), 0);
    (void)close(reading);
    (void)close(file);
    (void)unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zeros_ahead_are_where_they_should_be),
        cmocka_unit_test(a_write_that_fails_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
