#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/file.h"
#include "tests/test.h"
#include "world.h"

/*
 * Every folder of tests/data/policy is a case: policy files, and `expected`, what loading them
 * says. It loads where nothing of that is an error. With UPDATE_EXPECTED in the environment what
 * they say is written there instead: read the difference before it is committed.
 */

#define CASES "../../data/policy"
#define CASES_MIN 60
#define FILE_MAX ((size_t)64 * 1024)

static int is_case(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* What loading says, and whether it loads. */
static bool load(const char *folder, struct arena *arena, struct buf *said)
{
    OWNED(policy_unref) struct policy *policy = NULL;
    struct diagnostics diagnostics;
    const struct policy_load_options options = { .folder = folder,
                                                 .world = &test_world,
                                                 .diagnostics = &diagnostics };
    struct error error = { 0 };
    bool is_loaded;

    diagnostics_init(&diagnostics, arena);
    is_loaded = policy_load(&options, &policy, &error);
    assert_int_equal(is_loaded, diagnostics.error_count == 0);
    assert_int_equal(error.code, is_loaded ? ERROR_NONE : ERROR_CONFIG);
    assert_true(is_loaded == (policy != NULL));
    diagnostics_write(&diagnostics, said);
    return is_loaded;
}

static void write_expected(const char *path, struct str text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_int_equal(fwrite(text.data, 1, text.len, file), text.len);
    assert_int_equal(fclose(file), 0);
}

static void check_case(const char *folder)
{
    OWNED(arena_free) struct arena *arena = arena_new((size_t)4 * 1024 * 1024);
    OWNED(buf_release) struct buf said = { 0 };
    struct str expected = { 0 };
    struct error error = { 0 };
    const char *path = file_join(arena, folder, "expected");

    buf_init(&said, FILE_MAX);
    (void)load(folder, arena, &said);
    if (getenv("UPDATE_EXPECTED") != NULL) /* NOLINT(concurrency-mt-unsafe): there is one thread */
        write_expected(path, buf_str(&said));
    if (!file_read(arena, path, FILE_MAX, &expected, &error))
        fail_msg("%s", error.cause);
    if (!str_eq(expected, buf_str(&said)))
        fail_msg("%s says:\n" STR_FMT "expected:\n" STR_FMT, folder, STR_ARG(buf_str(&said)),
                 STR_ARG(expected));
}

static void every_case_says_exactly_what_is_expected(void **state)
{
    struct dirent **names = NULL;
    int count;

    (void)state;
    assert_int_equal(chdir(CASES), 0); /* so that names in messages are short */
    count = scandir(".", &names, is_case, alphasort);
    assert_true(count >= CASES_MIN);
    for (int i = 0; i < count; i++) {
        check_case(names[i]->d_name);
        free(names[i]);
    }
    free(names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_says_exactly_what_is_expected),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
