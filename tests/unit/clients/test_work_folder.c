/* Where a command's folder is made: nowhere that others could put another one in its place. */
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/error.h"
#include "clients/work_folder.h"
#include "tests/test.h"

#define ARENA_MAX ((size_t)64 * 1024)

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
        return;
    assert_int_equal(chown(parent, 1, 1), 0);
    assert_false(is_made_there(0700));
    assert_false(is_made_there(01777));
    assert_int_equal(chown(parent, 0, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_place_of_our_own_is_used),
        cmocka_unit_test(a_place_that_others_may_write_is_used_with_the_sticky_bit),
        cmocka_unit_test(a_place_whose_contents_others_may_replace_is_passed_over),
        cmocka_unit_test(a_place_of_another_user_is_passed_over),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
