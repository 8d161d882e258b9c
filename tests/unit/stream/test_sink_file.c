#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/file.h"
#include "ledger/help.h"
#include "stream/sink.h"
#include "tests/test.h"

#define LINE "{\"index\":3,\"entry\":{}}\n"

static struct place place;
static unsigned syncs;
static unsigned syncs_to_fail;

int __real_fdatasync(int file);
int __wrap_fdatasync(int file);

int __wrap_fdatasync(int file)
{
    syncs++;
    if (syncs_to_fail == 0)
        return __real_fdatasync(file);
    syncs_to_fail--;
    errno = EIO;
    return -1;
}

static struct stream_options options;
static void *sink;

static int make(void **state)
{
    const struct sink_tools tools = { 0 };
    struct error error = { 0 };

    (void)state;
    place_make(&place);
    options = (struct stream_options){ .name = "a", .path = strdup(place_path(&place, "f")) };
    options.mode = 0640;
    return sink_file.open(&options, &tools, &sink, &error) ? 0 : -1;
}

static int drop(void **state)
{
    (void)state;
    sink_file.close(sink);
    free((void *)(uintptr_t)options.path);
    place_remove(&place);
    return 0;
}

static bool deliver(struct error *error)
{
    const struct stream_item item = { .index = 3, .entry = STR("{}") };
    struct delivery delivery = { 0 };
    bool is_delivered = sink_file.deliver(sink, &item, 1, &delivery, error);

    assert_int_equal(delivery.delivered, is_delivered ? 1 : 0);
    return is_delivered;
}

static void expect_delivered(void)
{
    struct error error = { 0 };

    if (!deliver(&error))
        fail_msg("%s", error.cause);
}

static void expect_content(const char *expected)
{
    OWNED(arena_free) struct arena *arena = arena_new((size_t)1024 * 1024);
    struct error error = { 0 };
    struct str text;

    assert_true(file_read(arena, options.path, (size_t)512 * 1024, &text, &error));
    if (!str_eq(text, str_from(expected)))
        fail_msg("expected:\n%s\ngot:\n%s", expected, text.data);
}

static void write_file(const char *content)
{
    struct error error = { 0 };

    (void)unlink(options.path);
    assert_true(file_replace(options.path, str_from(content), 0600, &error));
}

static void a_new_file_has_its_mode_whatever_the_mask(void **state)
{
    mode_t before = umask(077);
    struct stat status;

    (void)state;
    expect_delivered();
    (void)umask(before);
    expect_delivered();
    expect_content(LINE LINE);
    assert_int_equal(stat(options.path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0640);
}

static void a_file_that_was_moved_or_removed_is_made_anew(void **state)
{
    (void)state;
    expect_delivered();
    assert_int_equal(rename(options.path, place_path(&place, "f.1")), 0);
    expect_delivered();
    expect_content(LINE);
    assert_int_equal(unlink(options.path), 0);
    expect_delivered();
    expect_content(LINE);
}

static void a_torn_line_of_ours_is_cut_and_no_other(void **state)
{
    static const struct {
        const char *before;
        const char *after;
    } rows[] = {
        { "", LINE },
        { LINE, LINE LINE },
        { LINE "{\"index\":4,\"ent", LINE LINE },
        { LINE "{", LINE LINE },
        { "{\"ind", LINE },
        { "{\"index\":4", LINE },
        { "somebody's", "somebody's\n" LINE },
        { "a\n{\"other\"", "a\n{\"other\"\n" LINE },
        { "a\n", "a\n" LINE },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        write_file(rows[i].before);
        expect_delivered();
        expect_content(rows[i].after);
    }
}

static void what_is_no_file_is_refused(void **state)
{
    struct error of_link = { 0 };
    struct error of_pipe = { 0 };
    struct error of_folder = { 0 };

    (void)state;
    (void)unlink(options.path);
    assert_int_equal(symlink("elsewhere", options.path), 0);
    assert_false(deliver(&of_link));
    assert_int_equal(of_link.code, ERROR_IO);
    assert_int_equal(unlink(options.path), 0);
    assert_int_equal(mkfifo(options.path, 0600), 0);
    assert_false(deliver(&of_pipe));
    assert_non_null(strstr(of_pipe.cause, "regular file"));
    assert_int_equal(unlink(options.path), 0);
    assert_int_equal(mkdir(options.path, 0700), 0);
    assert_false(deliver(&of_folder));
    assert_int_equal(rmdir(options.path), 0);
    expect_delivered();
}

/* As on a full disk: nothing of the line is left, and it goes on when there is room again. */
static void what_cannot_be_written_leaves_nothing_behind(void **state)
{
    struct rlimit before;
    struct rlimit small;
    struct error error = { 0 };

    (void)state;
    write_file(LINE);
    expect_delivered();
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 2 * (sizeof(LINE) - 1) + 5;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_false(deliver(&error));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(error.code, ERROR_IO);
    expect_content(LINE LINE);
    expect_delivered();
    expect_content(LINE LINE LINE);
}

static bool flush(void)
{
    struct error error = { 0 };
    bool is_flushed = sink_file.flush(sink, &error);

    assert_int_equal(error.code, is_flushed ? ERROR_NONE : ERROR_IO);
    return is_flushed;
}

static void batches_share_a_sync(void **state)
{
    (void)state;
    syncs = 0;
    assert_true(flush());
    assert_int_equal(syncs, 0);
    expect_delivered();
    expect_delivered();
    assert_int_equal(syncs, 0);
    assert_true(flush());
    assert_int_equal(syncs, 1);
    assert_true(flush());
    assert_int_equal(syncs, 1);
}

/* Linux drops what it could not write: a second sync of the same file would say that all is well.
 */
static void a_sync_that_fails_is_told_once(void **state)
{
    (void)state;
    expect_delivered();
    syncs_to_fail = 1;
    assert_false(flush());
    assert_true(flush());
    expect_delivered();
    assert_true(flush());
    expect_content(LINE LINE);
}

static void a_file_that_was_moved_is_synced_before_the_next(void **state)
{
    (void)state;
    syncs = 0;
    expect_delivered();
    assert_int_equal(rename(options.path, place_path(&place, "f.1")), 0);
    expect_delivered();
    assert_int_equal(syncs, 1);
    assert_true(flush());
    expect_delivered();
    assert_int_equal(rename(options.path, place_path(&place, "f.2")), 0);
    syncs_to_fail = 1;
    expect_delivered();
    assert_false(flush());
    assert_true(flush());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_new_file_has_its_mode_whatever_the_mask, make, drop),
        cmocka_unit_test_setup_teardown(a_file_that_was_moved_or_removed_is_made_anew, make, drop),
        cmocka_unit_test_setup_teardown(a_torn_line_of_ours_is_cut_and_no_other, make, drop),
        cmocka_unit_test_setup_teardown(what_is_no_file_is_refused, make, drop),
        cmocka_unit_test_setup_teardown(what_cannot_be_written_leaves_nothing_behind, make, drop),
        cmocka_unit_test_setup_teardown(batches_share_a_sync, make, drop),
        cmocka_unit_test_setup_teardown(a_sync_that_fails_is_told_once, make, drop),
        cmocka_unit_test_setup_teardown(a_file_that_was_moved_is_synced_before_the_next, make,
                                        drop),
    };

    (void)signal(SIGXFSZ, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
