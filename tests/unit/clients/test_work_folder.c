/* Where a command's folder is made: nowhere that others could put another one in its place. */
#define _GNU_SOURCE /* unshare() */

#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/error.h"
#include "clients/work_folder.h"
#include "tests/test.h"

#define ARENA_MAX ((size_t)64 * 1024)

enum made {
    MADE_IN_SHM,
    MADE_REFUSED,
    MADE_OTHERWISE,
    MADE_NO_NAMESPACE
};

static char parent[] = "/tmp/stagepass-test-XXXXXX";

static int start(void **state)
{
    (void)state;
    return mkdtemp(parent) && unsetenv("XDG_RUNTIME_DIR") == 0 && setenv("TMPDIR", parent, 1) == 0
               ? 0
               : -1;
}

static int stop(void **state)
{
    (void)state;
    return rmdir(parent);
}

/* Whether a folder is made in `parent` while that has these rights. */
static bool is_made_there(mode_t mode)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_MAX);
    OWNED(work_folder_remove) struct work_folder folder = { 0 };
    struct error error = { 0 };
    struct stat status;

    assert_int_equal(chmod(parent, mode), 0);
    assert_true(work_folder_make(&folder, arena, &error));
    assert_int_equal(stat(folder.path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0700);
    return str_starts_with(str_from(folder.path), str_from(parent));
}

static void a_place_of_our_own_is_used(void **state)
{
    (void)state;
    assert_true(is_made_there(0700));
    assert_true(is_made_there(0755));
}

static void a_place_that_others_may_write_is_used_with_the_sticky_bit(void **state)
{
    (void)state;
    assert_true(is_made_there(01777));
    assert_true(is_made_there(01770));
}

static void a_place_whose_contents_others_may_replace_is_passed_over(void **state)
{
    (void)state;
    assert_false(is_made_there(0777));
    assert_false(is_made_there(0770));
    assert_false(is_made_there(0702));
}

static void a_place_of_another_user_is_passed_over(void **state)
{
    (void)state;
    if (geteuid() != 0) /* only root can give one away */
        skip();
    assert_int_equal(chown(parent, 1, 1), 0);
    assert_false(is_made_there(0700));
    assert_false(is_made_there(01777));
    assert_int_equal(chown(parent, 0, 0), 0);
}

/* In a mount namespace of its own, where /tmp is what a volume of a pod is. */
static int make_beside_open_tmp(const char *shm_options)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_MAX);
    OWNED(work_folder_remove) struct work_folder folder = { 0 };
    struct error error = { 0 };

    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", "/tmp", "tmpfs", 0, "mode=0777") != 0 ||
        mount("none", "/dev/shm", "tmpfs", 0, shm_options) != 0 || unsetenv("TMPDIR") != 0)
        return MADE_NO_NAMESPACE;
    if (!work_folder_make(&folder, arena, &error))
        return error.code == ERROR_IO ? MADE_REFUSED : MADE_OTHERWISE;
    return str_starts_with(str_from(folder.path), STR("/dev/shm/")) ? MADE_IN_SHM : MADE_OTHERWISE;
}

static enum made in_namespace(const char *shm_options)
{
    int status = 0;
    pid_t child = fork();

    if (child == 0)
        _exit(make_beside_open_tmp(shm_options));
    assert_true(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status));
    return (enum made)WEXITSTATUS(status);
}

static void beside_an_open_tmp_shared_memory_is_used(void **state)
{
    enum made made = in_namespace("mode=1777");

    (void)state;
    if (made == MADE_NO_NAMESPACE)
        skip();
    assert_int_equal(made, MADE_IN_SHM);
}

static void where_all_are_open_it_is_refused(void **state)
{
    enum made made = in_namespace("mode=0777");

    (void)state;
    if (made == MADE_NO_NAMESPACE)
        skip();
    assert_int_equal(made, MADE_REFUSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_place_of_our_own_is_used),
        cmocka_unit_test(a_place_that_others_may_write_is_used_with_the_sticky_bit),
        cmocka_unit_test(a_place_whose_contents_others_may_replace_is_passed_over),
        cmocka_unit_test(a_place_of_another_user_is_passed_over),
        cmocka_unit_test(beside_an_open_tmp_shared_memory_is_used),
        cmocka_unit_test(where_all_are_open_it_is_refused),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
