#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/str.h"
#include "folder_watch.h"
#include "tests/test.h"

/* A real folder, and a clock that only the test moves. */
struct fixture {
    char folder[64];
    struct folder_watch *watch;
    int64_t now_ms;
};

static void run(const struct fixture *fixture, const char *command)
{
    char text[1024];

    (void)snprintf(text, sizeof(text), "cd %s && { %s; }", fixture->folder, command);
    assert_int_equal(system(text), 0); /* NOLINT(cert-env33-c): a test's own folder */
}

static int make(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));

    assert_non_null(fixture);
    (void)snprintf(fixture->folder, sizeof(fixture->folder), "/tmp/stagepass-watch-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    fixture->now_ms = 1000000;
    run(fixture,
        "mkdir -p policies/sub shadow && touch policies/a.yaml policies/sub/b.yaml catalog");
    *state = fixture;
    return 0;
}

static int clean(void **state)
{
    struct fixture *fixture = *state;

    folder_watch_free(fixture->watch);
    run(fixture, "chmod -R u+rwx . && rm -rf ./*");
    assert_int_equal(rmdir(fixture->folder), 0);
    free(fixture);
    return 0;
}

/* Watch three paths of the folder: bits 1, 2 and 4. */
static void watch_with(struct fixture *fixture, size_t watches_max)
{
    static const char *const names[] = { "policies", "shadow/", "catalog" };
    char texts[COUNT(names)][128];
    const char *paths[COUNT(names)];
    struct folder_watch_options options = {
        .paths = paths,
        .path_count = COUNT(names),
        .watches_max = watches_max,
    };
    struct error error = { 0 };

    for (size_t i = 0; i < COUNT(names); i++) {
        (void)snprintf(texts[i], sizeof(texts[i]), "%s/%s", fixture->folder, names[i]);
        paths[i] = texts[i];
    }
    folder_watch_free(fixture->watch);
    fixture->watch = NULL;
    assert_true(folder_watch_new(&options, fixture->now_ms, &fixture->watch, &error));
}

static void watch(struct fixture *fixture)
{
    watch_with(fixture, 0);
    assert_null(folder_watch_trouble(fixture->watch));
    assert_int_equal(folder_watch_take(fixture->watch, fixture->now_ms), 0);
}

static unsigned take(struct fixture *fixture)
{
    return folder_watch_take(fixture->watch, fixture->now_ms);
}

/* What changed, once it was quiet for long enough. */
static unsigned settle(struct fixture *fixture)
{
    assert_int_equal(take(fixture), 0);
    fixture->now_ms += FOLDER_WATCH_QUIET_MS;
    return take(fixture);
}

/* A change is told once, and of that path alone. */
static void expect(struct fixture *fixture, const char *command, unsigned changed)
{
    unsigned got;

    run(fixture, command);
    got = settle(fixture);
    if (got != changed)
        fail_msg("%s: %x, not %x", command, got, changed);
    assert_int_equal(settle(fixture), 0);
}

/* ---- told by the kernel ---- */

static void each_kind_of_change_is_told(void **state)
{
    static const char *const commands[] = {
        "echo x >policies/a.yaml",
        "echo x >>policies/sub/b.yaml",
        "touch policies/new.yaml",
        "mv policies/new.yaml policies/newer.yaml",
        "rm policies/newer.yaml",
        "chmod 640 policies/a.yaml",
        "mkdir policies/other",
        "touch policies/other/c.yaml",
        "mkdir -p policies/other/deep/er && touch policies/other/deep/er/d.yaml",
        "echo x >policies/other/deep/er/d.yaml",
        "mv policies/other policies/another",
        "echo y >policies/another/deep/er/d.yaml",
        "rm -r policies/another",
        "touch policies/SOURCE",
        "cp -r policies/sub policies/copy",
        "echo y >policies/copy/b.yaml",
    };
    struct fixture *fixture = *state;

    watch(fixture);
    for (size_t i = 0; i < COUNT(commands); i++)
        expect(fixture, commands[i], 1);
}

static void each_path_has_its_own_changes(void **state)
{
    struct fixture *fixture = *state;

    watch(fixture);
    expect(fixture, "touch shadow/s.yaml", 2);
    expect(fixture, "echo x >catalog", 4);
    expect(fixture, "echo x >catalog.new && mv catalog.new catalog", 4);
    expect(fixture, "rm catalog", 4);
    expect(fixture, "touch catalog policies/p.yaml", 5);
}

static void what_nobody_reads_is_no_change(void **state)
{
    static const char *const commands[] = {
        "cat policies/a.yaml && ls -R policies",
        "touch policies/.a.yaml.swp && rm policies/.a.yaml.swp",
        "mkdir policies/.git",
        "mkdir -p policies/.git/objects && touch policies/.git/objects/x",
        "touch beside && mkdir folder && touch folder/x && rm -r folder",
    };
    struct fixture *fixture = *state;

    watch(fixture);
    for (size_t i = 0; i < COUNT(commands); i++)
        expect(fixture, commands[i], 0);
}

/* What kubelet does: a version of its own, one link to it that is swapped, one link a file. */
static void a_config_map_is_swapped_in_one_change(void **state)
{
    struct fixture *fixture = *state;

    run(fixture, "rm -r policies && mkdir -p policies/..1 && touch policies/..1/a.yaml &&"
                 "ln -s ..1 policies/..data && ln -s ..data/a.yaml policies/a.yaml");
    watch(fixture);
    expect(fixture,
           "mkdir policies/..2 && echo x >policies/..2/a.yaml && ln -s ..2 policies/..data_tmp &&"
           "mv -T policies/..data_tmp policies/..data && rm -r policies/..1",
           1);
    expect(fixture, "echo y >policies/..2/a.yaml", 1); /* where the link leads now */
    expect(fixture,
           "mkdir policies/..3 && touch policies/..3/a.yaml && ln -s ..3 policies/..data_tmp &&"
           "mv -T policies/..data_tmp policies/..data",
           1);
    expect(fixture, "echo z >policies/..2/a.yaml", 0); /* and no longer does */
}

static void links_to_folders_are_followed(void **state)
{
    struct fixture *fixture = *state;

    run(fixture, "mkdir v1 v2 && touch v1/a.yaml v2/a.yaml && ln -s ../v1 policies/link");
    watch(fixture);
    expect(fixture, "echo x >v1/a.yaml", 1);
    expect(fixture, "ln -s ../v2 policies/tmp && mv -T policies/tmp policies/link", 1);
    expect(fixture, "echo x >v2/a.yaml", 1);
    expect(fixture, "echo x >v1/a.yaml", 0);
    expect(fixture, "ln -s . policies/loop && ln -s .. policies/sub/up", 1);
    expect(fixture, "echo x >policies/sub/b.yaml", 1);
}

static void the_folder_itself_may_be_a_link_that_is_swapped(void **state)
{
    struct fixture *fixture = *state;

    run(fixture, "mkdir v1 v2 && touch v1/a.yaml v2/a.yaml && rm -r policies && ln -s v1 policies");
    watch(fixture);
    expect(fixture, "ln -s v2 tmp && mv -T tmp policies", 1);
    expect(fixture, "echo x >v2/a.yaml", 1);
    expect(fixture, "echo x >v1/a.yaml", 0);
}

static void a_folder_that_goes_and_comes_is_followed(void **state)
{
    struct fixture *fixture = *state;

    watch(fixture);
    expect(fixture, "rm -r policies", 1);
    assert_null(folder_watch_trouble(fixture->watch));
    expect(fixture, "mkdir policies", 1);
    expect(fixture, "touch policies/a.yaml", 1);
    expect(fixture, "mv policies elsewhere", 1);
    expect(fixture, "touch elsewhere/b.yaml", 0);
    expect(fixture, "mv elsewhere policies", 1);
    expect(fixture, "touch policies/c.yaml", 1);
}

static void paths_need_not_be_there_at_first(void **state)
{
    struct fixture *fixture = *state;

    run(fixture, "rm -r policies shadow catalog");
    watch(fixture);
    expect(fixture, "mkdir -p policies/sub", 1);
    expect(fixture, "touch policies/sub/a.yaml", 1);
    expect(fixture, "touch catalog", 4);
}

/* ---- when a change is ready ---- */

static void a_change_waits_until_it_is_quiet(void **state)
{
    struct fixture *fixture = *state;

    watch(fixture);
    assert_true(folder_watch_due_ms(fixture->watch) == INT64_MAX);
    run(fixture, "echo 1 >policies/a.yaml");
    assert_int_equal(take(fixture), 0);
    assert_int_equal(folder_watch_due_ms(fixture->watch), fixture->now_ms + FOLDER_WATCH_QUIET_MS);
    fixture->now_ms += FOLDER_WATCH_QUIET_MS - 1;
    run(fixture, "echo 2 >policies/a.yaml");
    assert_int_equal(take(fixture), 0);
    fixture->now_ms += FOLDER_WATCH_QUIET_MS - 1;
    assert_int_equal(take(fixture), 0);
    fixture->now_ms += 1;
    assert_int_equal(take(fixture), 1);
    assert_true(folder_watch_due_ms(fixture->watch) == INT64_MAX);
}

static void a_change_does_not_wait_for_ever(void **state)
{
    struct fixture *fixture = *state;
    int64_t start_ms;

    watch(fixture);
    start_ms = fixture->now_ms;
    for (;;) {
        run(fixture, "echo x >policies/a.yaml");
        if (take(fixture) != 0)
            break;
        fixture->now_ms += FOLDER_WATCH_QUIET_MS / 2;
        assert_true(fixture->now_ms - start_ms <= FOLDER_WATCH_LONGEST_MS);
    }
    assert_int_equal(fixture->now_ms - start_ms, FOLDER_WATCH_LONGEST_MS);
}

/* ---- where the kernel cannot tell ---- */

/* More events than the queue holds: what was lost may have been of any path. */
static void a_queue_that_ran_over_is_a_change_of_everything(void **state)
{
    struct fixture *fixture = *state;
    char paths[2][128];
    int files[2];

    watch(fixture);
    (void)snprintf(paths[0], sizeof(paths[0]), "%s/policies/a.yaml", fixture->folder);
    (void)snprintf(paths[1], sizeof(paths[1]), "%s/policies/sub/b.yaml", fixture->folder);
    for (size_t i = 0; i < 2; i++) {
        files[i] = open(paths[i], O_WRONLY | O_CLOEXEC);
        assert_true(files[i] >= 0);
    }
    /* two files by turns, since equal events in a row become one */
    for (size_t i = 0; i < 100000; i++)
        assert_int_equal(write(files[i % 2], "x", 1), 1);
    assert_int_equal(close(files[0]), 0);
    assert_int_equal(close(files[1]), 0);
    assert_int_equal(settle(fixture), 7);
    expect(fixture, "touch policies/sub/c.yaml", 1);
}

static void past_its_limit_of_watches_it_polls(void **state)
{
    struct fixture *fixture = *state;

    watch_with(fixture, 4); /* the folder above, policies, sub, shadow */
    assert_null(folder_watch_trouble(fixture->watch));
    watch_with(fixture, 3);
    assert_non_null(strstr(folder_watch_trouble(fixture->watch), "max_user_watches"));
    run(fixture, "echo x >shadow/s.yaml && touch policies/a.yaml");
    assert_int_equal(settle(fixture), 1); /* of this the kernel tells */
    assert_int_equal(folder_watch_due_ms(fixture->watch), fixture->now_ms + FOLDER_WATCH_POLL_MS);
    run(fixture, "echo x >shadow/t.yaml");
    fixture->now_ms += FOLDER_WATCH_POLL_MS - 1;
    assert_int_equal(take(fixture), 0);
    fixture->now_ms += 1;
    assert_int_equal(settle(fixture), 2);
    fixture->now_ms += FOLDER_WATCH_POLL_MS;
    assert_int_equal(settle(fixture), 0); /* nothing more */
}

static void polling_sees_each_kind_of_change(void **state)
{
    static const char *const commands[] = {
        "echo x >>shadow/a.yaml",
        "touch shadow/b.yaml",
        "mv shadow/b.yaml shadow/c.yaml",
        "chmod 600 shadow/c.yaml",
        "rm shadow/c.yaml",
        "mkdir shadow/sub",
        "touch shadow/sub/d.yaml",
        "ln -s ../policies shadow/link",
        "rm shadow/link",
        "rm -r shadow",
        "mkdir shadow",
        "touch -d 2001-01-01 shadow",
    };
    struct fixture *fixture = *state;

    watch_with(fixture, 1);
    for (size_t i = 0; i < COUNT(commands); i++) {
        run(fixture, commands[i]);
        fixture->now_ms += FOLDER_WATCH_POLL_MS;
        if ((settle(fixture) & 2) == 0)
            fail_msg("%s was not seen", commands[i]);
        fixture->now_ms += FOLDER_WATCH_POLL_MS;
        assert_int_equal(settle(fixture), 0);
    }
}

/* The folder above is away, and with it whoever would tell that one comes back. */
static void a_folder_whose_parent_is_away_is_polled_for(void **state)
{
    struct fixture *fixture = *state;
    char path[128];
    const char *paths[] = { path };
    struct folder_watch_options options = { .paths = paths, .path_count = 1 };
    struct error error = { 0 };

    (void)snprintf(path, sizeof(path), "%s/not/there/yet", fixture->folder);
    assert_true(folder_watch_new(&options, fixture->now_ms, &fixture->watch, &error));
    assert_non_null(strstr(folder_watch_trouble(fixture->watch), "away"));
    run(fixture, "mkdir -p not/there/yet && touch not/there/yet/a.yaml");
    fixture->now_ms += FOLDER_WATCH_POLL_MS;
    assert_int_equal(settle(fixture), 1);
    assert_null(folder_watch_trouble(fixture->watch)); /* from now on it is told */
    expect(fixture, "touch not/there/yet/b.yaml", 1);
}

static void deeper_folders_than_a_policy_has_are_not_seen(void **state)
{
    struct fixture *fixture = *state;

    /* policies itself is the first of 16 */
    run(fixture, "mkdir -p policies/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17");
    watch(fixture);
    expect(fixture, "touch policies/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/a.yaml", 1);
    expect(fixture, "touch policies/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/a.yaml", 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_kind_of_change_is_told, make, clean),
        cmocka_unit_test_setup_teardown(each_path_has_its_own_changes, make, clean),
        cmocka_unit_test_setup_teardown(what_nobody_reads_is_no_change, make, clean),
        cmocka_unit_test_setup_teardown(a_config_map_is_swapped_in_one_change, make, clean),
        cmocka_unit_test_setup_teardown(links_to_folders_are_followed, make, clean),
        cmocka_unit_test_setup_teardown(the_folder_itself_may_be_a_link_that_is_swapped, make,
                                        clean),
        cmocka_unit_test_setup_teardown(a_folder_that_goes_and_comes_is_followed, make, clean),
        cmocka_unit_test_setup_teardown(paths_need_not_be_there_at_first, make, clean),
        cmocka_unit_test_setup_teardown(a_change_waits_until_it_is_quiet, make, clean),
        cmocka_unit_test_setup_teardown(a_change_does_not_wait_for_ever, make, clean),
        cmocka_unit_test_setup_teardown(a_queue_that_ran_over_is_a_change_of_everything, make,
                                        clean),
        cmocka_unit_test_setup_teardown(past_its_limit_of_watches_it_polls, make, clean),
        cmocka_unit_test_setup_teardown(polling_sees_each_kind_of_change, make, clean),
        cmocka_unit_test_setup_teardown(a_folder_whose_parent_is_away_is_polled_for, make, clean),
        cmocka_unit_test_setup_teardown(deeper_folders_than_a_policy_has_are_not_seen, make, clean),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
