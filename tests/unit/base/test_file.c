#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "tests/assert_str.h"
#include "tests/test.h"

/* Each test works in an empty folder of its own, which leave_folder() removes. */
static int enter_folder(void **state)
{
    char folder[] = "/tmp/test_file.XXXXXX";

    (void)state;
    return mkdtemp(folder) == NULL ? -1 : chdir(folder);
}

/* Remove what is in the current folder, which has no folders in folders but `a/b/c`. */
static int leave_folder(void **state)
{
    static const char *const names[] = { "a/b/c/d", "a/b/c", "a/b", "a", "file", "link", "fifo" };
    char folder[PATH_MAX];

    (void)state;
    for (size_t i = 0; i < COUNT(names); i++)
        (void)remove(names[i]); /* most are not there */
    if (getcwd(folder, sizeof(folder)) == NULL || chdir("/") != 0)
        return -1;
    return rmdir(folder);
}

static void replace(const char *path, struct str content, unsigned mode)
{
    struct error error = { 0 };

    if (!file_replace(path, content, mode, &error))
        fail_msg("%s", error.cause);
}

static size_t count_names(const char *folder)
{
    DIR *entries = opendir(folder);
    size_t count = 0;

    assert_non_null(entries);
    while (readdir(entries) != NULL) /* NOLINT(concurrency-mt-unsafe): one thread, one DIR */
        count++;
    assert_int_equal(closedir(entries), 0);
    return count - 2; /* "." and ".." */
}

static void a_file_is_written_and_read_back(void **state)
{
    OWNED(arena_free) struct arena *arena = arena_new(1000);
    struct error error = { 0 };
    struct str content;

    (void)state;
    replace("file", STR("a\0b\n"), 0600);
    assert_true(file_read(arena, "file", 4, &content, &error));
    assert_str(content, "a\0b\n");
    assert_int_equal(content.data[content.len], '\0');
}

static void an_empty_file_is_read_as_nothing(void **state)
{
    OWNED(arena_free) struct arena *arena = arena_new(1000);
    struct error error = { 0 };
    struct str content;

    (void)state;
    replace("file", (struct str){ 0 }, 0600);
    assert_true(file_read(arena, "file", 0, &content, &error));
    assert_int_equal(content.len, 0);
    assert_int_equal(content.data[0], '\0');
}

static void a_file_past_its_limit_is_not_read(void **state)
{
    OWNED(arena_free) struct arena *arena = arena_new(1000);
    struct error error = { 0 };
    struct str content = { 0 };

    (void)state;
    replace("file", STR("12345"), 0600);
    assert_false(file_read(arena, "file", 4, &content, &error));
    assert_int_equal(error.code, ERROR_LIMIT);
    assert_null(content.data);
}

static void a_file_larger_than_the_arena_is_not_read(void **state)
{
    OWNED(arena_free) struct arena *arena = arena_new(4);
    struct error error = { 0 };
    struct str content;

    (void)state;
    replace("file", STR("12345"), 0600);
    assert_false(file_read(arena, "file", 100, &content, &error));
    assert_int_equal(error.code, ERROR_MEMORY);
}

static void what_is_no_regular_file_is_not_read(void **state)
{
    static const char *const paths[] = { "missing", ".", "fifo", "/dev/null", "file/x", "" };
    OWNED(arena_free) struct arena *arena = arena_new(1000);
    struct str content;

    (void)state;
    assert_int_equal(mkfifo("fifo", 0600), 0);
    replace("file", STR("x"), 0600);
    for (size_t i = 0; i < COUNT(paths); i++) {
        struct error error = { 0 };

        assert_false(file_read(arena, paths[i], 100, &content, &error));
        assert_int_equal(error.code, ERROR_IO);
        assert_true(error.cause[0] != '\0');
    }
}

static void replacing_leaves_the_new_content_with_its_mode_alone(void **state)
{
    OWNED(arena_free) struct arena *arena = arena_new(1000);
    struct error error = { 0 };
    struct str content;
    struct stat status;

    (void)state;
    replace("file", STR("the old and longer one"), 0600);
    replace("file", STR("the new one"), 0644);
    assert_true(file_read(arena, "file", 100, &content, &error));
    assert_str(content, "the new one");
    assert_int_equal(stat("file", &status), 0);
    assert_int_equal(status.st_mode & 07777, 0644);
    assert_int_equal(count_names("."), 1);
}

static void the_mode_does_not_depend_on_the_umask(void **state)
{
    struct stat status;
    mode_t before = umask(0077);

    (void)state;
    replace("file", STR("x"), 0644);
    (void)umask(before);
    assert_int_equal(stat("file", &status), 0);
    assert_int_equal(status.st_mode & 07777, 0644);
}

static void replacing_a_symlink_does_not_touch_what_it_leads_to(void **state)
{
    OWNED(arena_free) struct arena *arena = arena_new(1000);
    struct error error = { 0 };
    struct str content;

    (void)state;
    replace("file", STR("target"), 0600);
    assert_int_equal(symlink("file", "link"), 0);
    replace("link", STR("new"), 0600);
    assert_true(file_read(arena, "file", 100, &content, &error));
    assert_str(content, "target");
}

static void a_failed_replacement_leaves_nothing_behind(void **state)
{
    struct error error = { 0 };

    (void)state;
    assert_false(file_replace("missing/file", STR("x"), 0600, &error));
    assert_int_equal(error.code, ERROR_IO);
    assert_int_equal(mkdir("a", 0700), 0);
    error = (struct error){ 0 };
    assert_false(file_replace("a", STR("x"), 0600, &error)); /* a folder is in its place */
    assert_int_equal(error.code, ERROR_IO);
    assert_int_equal(count_names("."), 1);
}

static void a_file_is_created_once(void **state)
{
    OWNED(arena_free) struct arena *arena = arena_new(1000);
    struct error error = { 0 };
    struct str text;

    (void)state;
    assert_true(file_create("file", STR("first"), 0640, &error));
    assert_false(file_create("file", STR("second"), 0600, &error));
    assert_int_equal(error.code, ERROR_IO);
    error = (struct error){ 0 };
    assert_true(file_read(arena, "file", 100, &text, &error));
    assert_str(text, "first");
    assert_int_equal(symlink("elsewhere", "link"), 0);
    assert_false(file_create("link", STR("third"), 0600, &error)); /* not through a link */
    assert_int_equal(count_names("."), 2);
}

static void a_folder_is_removed_with_all_in_it_and_nothing_else(void **state)
{
    struct error error = { 0 };

    (void)state;
    assert_true(file_make_folder("a/b/c", 0700, &error));
    assert_true(file_make_folder("kept", 0700, &error));
    assert_true(file_create("kept/file", STR("x"), 0600, &error));
    assert_true(file_create("a/b/c/d", STR("x"), 0400, &error));
    assert_int_equal(symlink("../../kept", "a/b/link"), 0);
    assert_int_equal(symlink("nowhere", "a/dangling"), 0);
    assert_int_equal(mkfifo("a/fifo", 0600), 0);
    assert_true(file_remove_folder("a", &error));
    assert_int_equal(count_names("."), 1);
    assert_int_equal(count_names("kept"), 1);     /* links are not followed */
    assert_true(file_remove_folder("a", &error)); /* it is not there */
    assert_true(file_remove_folder("kept", &error));
    assert_int_equal(count_names("."), 0);
}

/* 32 folders within the one that is named can be removed, 33 cannot. */
static void a_folder_is_removed_down_to_a_depth(void **state)
{
    struct error error = { 0 };
    char path[2 * (FILE_DEPTH_MAX + 2)] = "a";
    size_t len = 1;

    (void)state;
    for (size_t i = 1; i < FILE_DEPTH_MAX; i++) {
        memcpy(path + len, "/a", 3);
        len += 2;
    }
    assert_true(file_make_folder(path, 0700, &error));
    assert_true(file_remove_folder("a", &error));
    memcpy(path + len, "/a", 3);
    assert_true(file_make_folder(path, 0700, &error));
    assert_false(file_remove_folder("a", &error));
    assert_int_equal(error.code, ERROR_LIMIT);
    error = (struct error){ 0 };
    assert_int_equal(rmdir(path), 0);
    path[len] = '\0';
    assert_true(file_remove_folder("a", &error));
}

static void a_path_that_is_too_long_is_refused(void **state)
{
    static char path[PATH_MAX + 1];
    struct error error = { 0 };

    (void)state;
    memset(path, 'x', sizeof(path) - 1);
    assert_false(file_replace(path, STR("x"), 0600, &error));
    assert_int_equal(error.code, ERROR_LIMIT);
    error = (struct error){ 0 };
    assert_false(file_make_folder(path, 0700, &error));
    assert_int_equal(error.code, ERROR_LIMIT);
    error = (struct error){ 0 };
    assert_false(file_make_folder("", 0700, &error));
    assert_int_equal(error.code, ERROR_LIMIT);
}

static void a_folder_is_made_with_its_parents(void **state)
{
    static const char *const spellings[] = { "a/b/c", "a/b/c", "./a//b/c/", "a" };
    struct stat status;

    (void)state;
    for (size_t i = 0; i < COUNT(spellings); i++) {
        struct error error = { 0 };

        if (!file_make_folder(spellings[i], 0700, &error))
            fail_msg("%s", error.cause);
    }
    assert_int_equal(stat("a/b/c", &status), 0);
    assert_int_equal(status.st_mode & 07777, 0700);
    assert_int_equal(stat("a", &status), 0);
    assert_int_equal(status.st_mode & 07777, 0700);
}

static void a_folder_in_the_place_of_a_file_is_refused(void **state)
{
    struct error error = { 0 };

    (void)state;
    replace("file", STR("x"), 0600);
    assert_false(file_make_folder("file", 0700, &error));
    assert_int_equal(error.code, ERROR_IO);
    error = (struct error){ 0 };
    assert_false(file_make_folder("file/x", 0700, &error));
    assert_int_equal(error.code, ERROR_IO);
}

static void names_are_joined(void **state)
{
    OWNED(arena_free) struct arena *arena = arena_new(16);

    (void)state;
    assert_string_equal(file_join(arena, "folder", "name"), "folder/name");
    assert_null(file_join(arena, "folder", "name"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_file_is_written_and_read_back, enter_folder,
                                        leave_folder),
        cmocka_unit_test_setup_teardown(an_empty_file_is_read_as_nothing, enter_folder,
                                        leave_folder),
        cmocka_unit_test_setup_teardown(a_file_past_its_limit_is_not_read, enter_folder,
                                        leave_folder),
        cmocka_unit_test_setup_teardown(a_file_larger_than_the_arena_is_not_read, enter_folder,
                                        leave_folder),
        cmocka_unit_test_setup_teardown(what_is_no_regular_file_is_not_read, enter_folder,
                                        leave_folder),
        cmocka_unit_test_setup_teardown(replacing_leaves_the_new_content_with_its_mode_alone,
                                        enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(the_mode_does_not_depend_on_the_umask, enter_folder,
                                        leave_folder),
        cmocka_unit_test_setup_teardown(replacing_a_symlink_does_not_touch_what_it_leads_to,
                                        enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(a_failed_replacement_leaves_nothing_behind, enter_folder,
                                        leave_folder),
        cmocka_unit_test_setup_teardown(a_folder_is_removed_with_all_in_it_and_nothing_else,
                                        enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(a_folder_is_removed_down_to_a_depth, enter_folder,
                                        leave_folder),
        cmocka_unit_test_setup_teardown(a_file_is_created_once, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(a_path_that_is_too_long_is_refused, enter_folder,
                                        leave_folder),
        cmocka_unit_test_setup_teardown(a_folder_is_made_with_its_parents, enter_folder,
                                        leave_folder),
        cmocka_unit_test_setup_teardown(a_folder_in_the_place_of_a_file_is_refused, enter_folder,
                                        leave_folder),
        cmocka_unit_test(names_are_joined),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
