#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "clients/aws_cache.h"
#include "tests/assert_str.h"
#include "tests/test.h"

/* One thread here. NOLINTBEGIN(concurrency-mt-unsafe,cert-env33-c) */

#define ANSWER "{\"AccessKeyId\":\"A\",\"Expiration\":\"2026-11-22T10:15:00Z\",\"Version\":1}"
#define EXPIRES_S INT64_C(1795342500)

static struct arena *arena;
static char folder[64];
static const struct aws_renewal none;
static const uint8_t question[SHA256_LEN] = { 1 };
static const uint8_t other_question[SHA256_LEN] = { 2 };

static int make_folder(void **state)
{
    (void)state;
    arena = arena_new((size_t)4 * 1024 * 1024);
    (void)snprintf(folder, sizeof(folder), "/tmp/stagepass-test-XXXXXX");
    if (!arena || !mkdtemp(folder) || setenv("XDG_RUNTIME_DIR", folder, 1) != 0)
        return -1;
    (void)unsetenv("RUNNER_TEMP");
    return 0;
}

static int remove_folder(void **state)
{
    char command[128];

    (void)state;
    arena_free(arena);
    (void)snprintf(command, sizeof(command), "rm -rf %s", folder);
    return system(command);
}

static void an_answer_is_kept_for_its_question(void **state)
{
    struct aws_cache cache = { .file = -1 };
    struct error error = { 0 };
    struct stat status;
    struct str answer;

    (void)state;
    assert_true(aws_cache_open(&cache, question, arena, &error));
    assert_false(aws_cache_get(&cache, 0, arena, &answer));
    assert_true(aws_cache_put(&cache, STR(ANSWER), &none, &error));
    assert_int_equal(stat(cache.path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    aws_cache_close(&cache);
    assert_true(aws_cache_open(&cache, question, arena, &error));
    assert_true(aws_cache_get(&cache, EXPIRES_S - 900, arena, &answer));
    assert_str(answer, ANSWER);
    aws_cache_close(&cache);
    assert_true(aws_cache_open(&cache, other_question, arena, &error));
    assert_false(aws_cache_get(&cache, EXPIRES_S - 900, arena, &answer));
    aws_cache_close(&cache);
}

static void an_answer_that_ends_soon_is_not_given_again(void **state)
{
    struct aws_cache cache = { .file = -1 };
    struct error error = { 0 };
    struct str answer;

    (void)state;
    assert_true(aws_cache_open(&cache, question, arena, &error));
    assert_true(aws_cache_put(&cache, STR(ANSWER), &none, &error));
    assert_true(aws_cache_get(&cache, EXPIRES_S - AWS_CACHE_LEFT_MIN_S, arena, &answer));
    assert_false(aws_cache_get(&cache, EXPIRES_S - AWS_CACHE_LEFT_MIN_S + 1, arena, &answer));
    aws_cache_close(&cache);
}

static void what_is_no_answer_is_not_given(void **state)
{
    static const char *const cases[] = { "{\"Expiration\":\"2026-11-2", "{}", "nonsense" };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct aws_cache cache = { .file = -1 };
        struct error error = { 0 };
        struct str answer;

        assert_true(aws_cache_open(&cache, question, arena, &error));
        assert_true(aws_cache_put(&cache, str_from(cases[i]), &none, &error));
        assert_false(aws_cache_get(&cache, 0, arena, &answer));
        aws_cache_close(&cache);
    }
}

static void a_folder_that_others_can_see_into_is_refused(void **state)
{
    struct aws_cache cache = { .file = -1 };
    struct error error = { 0 };
    char path[128];

    (void)state;
    (void)snprintf(path, sizeof(path), "%s/stagepass-cache", folder);
    assert_int_equal(chmod(path, 0755), 0);
    assert_false(aws_cache_open(&cache, question, arena, &error));
    assert_int_equal(error.code, ERROR_IO);
    assert_int_equal(chmod(path, 0700), 0);
}

/* Whoever may rename in it could give us another folder once ours was looked at. */
static void a_place_whose_contents_others_may_replace_is_passed_over(void **state)
{
    static const mode_t modes[] = { 0777, 0770, 0702 };
    char open_to_all[128];

    (void)state;
    (void)snprintf(open_to_all, sizeof(open_to_all), "%s/open", folder);
    assert_int_equal(mkdir(open_to_all, 0700), 0);
    assert_int_equal(setenv("XDG_RUNTIME_DIR", open_to_all, 1), 0);
    for (size_t i = 0; i < COUNT(modes); i++) {
        struct aws_cache cache = { .file = -1 };
        struct error error = { 0 };

        assert_int_equal(chmod(open_to_all, modes[i]), 0);
        assert_true(aws_cache_open(&cache, question, arena, &error));
        assert_int_equal(cache.file, -1); /* nothing is kept */
        assert_int_equal(setenv("RUNNER_TEMP", folder, 1), 0);
        assert_true(aws_cache_open(&cache, question, arena, &error));
        assert_true(cache.file >= 0);
        assert_false(str_starts_with(str_from(cache.path), str_from(open_to_all)));
        aws_cache_close(&cache);
        (void)unsetenv("RUNNER_TEMP");
    }
    assert_int_equal(setenv("XDG_RUNTIME_DIR", folder, 1), 0);
}

/* Opens the file as another call does that finds it. */
static bool can_open(struct error *error)
{
    OWNED(aws_cache_close) struct aws_cache cache = { .file = -1 };

    *error = (struct error){ 0 };
    return aws_cache_open(&cache, question, arena, error);
}

static const char *kept_path(void)
{
    OWNED(aws_cache_close) struct aws_cache cache = { .file = -1 };
    struct error error = { 0 };

    assert_true(aws_cache_open(&cache, question, arena, &error));
    assert_true(aws_cache_put(&cache, STR(ANSWER), &none, &error));
    return cache.path;
}

static void a_file_that_others_may_use_is_refused(void **state)
{
    static const unsigned modes[] = { 0640, 0604, 0620, 0602, 0610, 0644, 0666 };
    const char *path = kept_path();
    struct error error;

    (void)state;
    for (size_t i = 0; i < COUNT(modes); i++) {
        assert_int_equal(chmod(path, modes[i]), 0);
        if (can_open(&error))
            fail_msg("%o", modes[i]);
        assert_int_equal(error.code, ERROR_IO);
        assert_non_null(strstr(error.cause, "is not a file of ours alone"));
    }
    assert_int_equal(chmod(path, 0600), 0);
    assert_true(can_open(&error));
}

static void a_file_of_another_user_is_refused(void **state)
{
    const char *path = kept_path();
    struct error error;

    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(chown(path, 12345, (gid_t)-1), 0);
    assert_false(can_open(&error));
    assert_non_null(strstr(error.cause, "is not a file of ours alone"));
    assert_int_equal(chown(path, 0, (gid_t)-1), 0);
    assert_true(can_open(&error));
}

static void a_pipe_in_its_place_is_refused(void **state)
{
    const char *path = kept_path();
    struct error error;

    (void)state;
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_false(can_open(&error));
    assert_non_null(strstr(error.cause, "is not a file of ours alone"));
    assert_int_equal(unlink(path), 0);
}

static void a_link_in_its_place_is_refused(void **state)
{
    struct aws_cache cache = { .file = -1 };
    struct error error = { 0 };
    char path[128];
    char link[160];

    (void)state;
    (void)snprintf(path, sizeof(path), "%s/elsewhere", folder);
    (void)snprintf(link, sizeof(link), "%s/linked", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(mkdir(link, 0700), 0);
    (void)snprintf(link, sizeof(link), "%s/linked/stagepass-cache", folder);
    assert_int_equal(symlink(path, link), 0);
    (void)snprintf(link, sizeof(link), "%s/linked", folder);
    assert_int_equal(setenv("XDG_RUNTIME_DIR", link, 1), 0);
    assert_false(aws_cache_open(&cache, question, arena, &error));
    assert_int_equal(setenv("XDG_RUNTIME_DIR", folder, 1), 0);
}

static void without_a_folder_nothing_is_kept(void **state)
{
    struct aws_cache cache = { .file = -1 };
    struct error error = { 0 };
    struct str answer;

    (void)state;
    assert_int_equal(unsetenv("XDG_RUNTIME_DIR"), 0);
    assert_true(aws_cache_open(&cache, question, arena, &error));
    assert_true(aws_cache_put(&cache, STR(ANSWER), &none, &error));
    assert_false(aws_cache_get(&cache, 0, arena, &answer));
    assert_int_equal(setenv("XDG_RUNTIME_DIR", folder, 1), 0);
}

static void what_renews_it_is_kept_beside_the_answer(void **state)
{
    static const struct aws_renewal kept = { { "spr_1", 5 }, { "key", 3 } };
    struct aws_cache cache = { .file = -1 };
    struct aws_renewal renewal;
    struct error error = { 0 };
    struct str answer;

    (void)state;
    assert_false(aws_cache_get_renewal(&cache, arena, &renewal));
    assert_true(aws_cache_open(&cache, question, arena, &error));
    assert_true(aws_cache_put(&cache, STR(ANSWER), &kept, &error));
    assert_true(aws_cache_get(&cache, EXPIRES_S - 900, arena, &answer));
    assert_str(answer, ANSWER);
    assert_false(aws_cache_get(&cache, EXPIRES_S + 900, arena, &answer));
    assert_true(aws_cache_get_renewal(&cache, arena, &renewal)); /* when it is needed */
    assert_str(renewal.token, "spr_1");
    assert_str(renewal.key, "key");
    assert_true(aws_cache_put(&cache, STR(ANSWER), &none, &error));
    assert_false(aws_cache_get_renewal(&cache, arena, &renewal));
    aws_cache_close(&cache);
}

static void what_renews_nothing_is_none(void **state)
{
    static const char *const lines[] = { ANSWER "\n",
                                         ANSWER "\n{}",
                                         ANSWER "\n{\"token\":\"\"}",
                                         ANSWER "\n{\"token\":7}",
                                         ANSWER "\nnonsense",
                                         "" };

    (void)state;
    for (size_t i = 0; i < COUNT(lines); i++) {
        struct aws_cache cache = { .file = -1 };
        struct aws_renewal renewal;
        struct error error = { 0 };

        assert_true(aws_cache_open(&cache, question, arena, &error));
        assert_true(aws_cache_put(&cache, str_from(lines[i]), &none, &error));
        assert_false(aws_cache_get_renewal(&cache, arena, &renewal));
        aws_cache_close(&cache);
    }
}

/* NOLINTEND(concurrency-mt-unsafe,cert-env33-c) */

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_kept_for_its_question),
        cmocka_unit_test(an_answer_that_ends_soon_is_not_given_again),
        cmocka_unit_test(what_is_no_answer_is_not_given),
        cmocka_unit_test(a_folder_that_others_can_see_into_is_refused),
        cmocka_unit_test(a_place_whose_contents_others_may_replace_is_passed_over),
        cmocka_unit_test(a_file_that_others_may_use_is_refused),
        cmocka_unit_test(a_file_of_another_user_is_refused),
        cmocka_unit_test(a_pipe_in_its_place_is_refused),
        cmocka_unit_test(a_link_in_its_place_is_refused),
        cmocka_unit_test(what_renews_it_is_kept_beside_the_answer),
        cmocka_unit_test(what_renews_nothing_is_none),
        cmocka_unit_test(without_a_folder_nothing_is_kept),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
