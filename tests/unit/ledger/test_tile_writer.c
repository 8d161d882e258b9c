#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "ledger/tile_writer.h"
#include "tests/test.h"

#define CONTENT_MAX ((size_t)256 * 1024)

struct fixture {
    char folder[64];
    struct tile_writer writer;
    char *content; /* CONTENT_MAX bytes, aligned */
};

static int make(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));

    (void)snprintf(fixture->folder, sizeof(fixture->folder), "/tmp/stagepass-tiles-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    fixture->writer.root = open(fixture->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    fixture->content = aligned_alloc(FILE_DIRECT_ALIGNMENT, CONTENT_MAX);
    assert_non_null(fixture->content);
    for (size_t i = 0; i < CONTENT_MAX; i++)
        fixture->content[i] = (char)(i * 151 ^ i >> 7);
    *state = fixture;
    return 0;
}

static int clean(void **state)
{
    struct fixture *fixture = *state;
    char command[96];

    tile_writer_release(&fixture->writer);
    (void)close(fixture->writer.root);
    (void)snprintf(command, sizeof(command), "rm -r %s", fixture->folder);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c,concurrency-mt-unsafe) */
    free(fixture->content);
    free(fixture);
    return 0;
}

static void put(struct fixture *fixture, const struct tile_path *path, struct str content)
{
    struct error error = { 0 };

    if (!tile_writer_put(&fixture->writer, path, content, &error))
        fail_msg("put: %s", error.cause);
}

static void sync_all(struct fixture *fixture)
{
    struct error error = { 0 };

    if (!tile_writer_sync(&fixture->writer, &error))
        fail_msg("sync: %s", error.cause);
}

static bool is_there(const struct fixture *fixture, const struct tile_path *path)
{
    char name[TILE_PATH_MAX];

    tile_path_write(path, name);
    return faccessat(fixture->writer.root, name, F_OK, 0) == 0;
}

static void expect_content(const struct fixture *fixture, const struct tile_path *path,
                           struct str content)
{
    static char read_back[CONTENT_MAX + 1];
    char name[TILE_PATH_MAX];
    int file = -1;

    tile_path_write(path, name);
    file = openat(fixture->writer.root, name, O_RDONLY | O_CLOEXEC);
    assert_true(file >= 0);
    assert_int_equal(pread(file, read_back, sizeof(read_back), 0), content.len);
    assert_memory_equal(read_back, content.data, content.len);
    (void)close(file);
}

/* Below a folder, whatever its name. */
static size_t count_files(const struct fixture *fixture, const char *folder)
{
    char command[160];
    char line[32] = "";
    int64_t count = 0;
    FILE *found = NULL;

    (void)snprintf(command, sizeof(command), "find %s/%s -type f | wc -l", fixture->folder, folder);
    found = popen(command, "r"); /* NOLINT(cert-env33-c) */
    assert_non_null(found);
    assert_non_null(fgets(line, sizeof(line), found));
    (void)pclose(found);
    assert_true(str_to_int64(str_trim(str_from(line)), &count));
    return (size_t)count;
}

static void files_of_any_length_hold_what_was_put(void **state)
{
    static const size_t lens[] = {
        0, 1, 4096, 65535, 65536, 65537, 65536 + 4095, 65536 + 4096, CONTENT_MAX - 1, CONTENT_MAX,
    };
    struct fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(lens); i++) {
        const struct tile_path aligned = { TILE_ENTRIES, i, TILE_WIDTH };
        const struct tile_path other = { TILE_ENTRIES, 100 + i, TILE_WIDTH };
        struct str content = { fixture->content, lens[i] };
        struct str moved = { fixture->content + (lens[i] < CONTENT_MAX ? 1 : 0), lens[i] };

        put(fixture, &aligned, content);
        put(fixture, &other, moved);
        sync_all(fixture);
        expect_content(fixture, &aligned, content);
        expect_content(fixture, &other, moved);
    }
    assert_int_equal(count_files(fixture, "entries"), 2 * COUNT(lens));
}

static void a_file_has_its_name_once_it_is_durable(void **state)
{
    const struct tile_path path = { 0, 7, TILE_WIDTH };
    const struct tile_path other = { 0, 8, TILE_WIDTH };
    struct fixture *fixture = *state;

    assert_false(tile_writer_has(&fixture->writer, &path));
    put(fixture, &path, STR("tile"));
    assert_false(is_there(fixture, &path));
    assert_true(tile_writer_has(&fixture->writer, &path));
    assert_false(tile_writer_has(&fixture->writer, &other));
    sync_all(fixture);
    assert_true(is_there(fixture, &path));
    assert_true(tile_writer_has(&fixture->writer, &path));
}

static void what_was_not_synced_leaves_nothing(void **state)
{
    const struct tile_path path = { 0, 7, TILE_WIDTH };
    struct fixture *fixture = *state;

    put(fixture, &path, STR("tile"));
    tile_writer_release(&fixture->writer);
    assert_int_equal(count_files(fixture, "."), 0);
    /* And the writer can be used again. */
    put(fixture, &path, STR("another"));
    sync_all(fixture);
    expect_content(fixture, &path, STR("another"));
}

static void more_files_and_folders_than_are_held_open_come_through(void **state)
{
    struct fixture *fixture = *state;

    for (unsigned level = 0; level < TILE_WRITER_FOLDERS + 2; level++) {
        for (uint64_t number = 0; number < TILE_WRITER_FILES / 4; number++) {
            const struct tile_path path = { level, number, TILE_WIDTH };

            put(fixture, &path, (struct str){ fixture->content, 1 + level });
        }
    }
    sync_all(fixture);
    for (unsigned level = 0; level < TILE_WRITER_FOLDERS + 2; level++) {
        for (uint64_t number = 0; number < TILE_WRITER_FILES / 4; number++) {
            const struct tile_path path = { level, number, TILE_WIDTH };

            expect_content(fixture, &path, (struct str){ fixture->content, 1 + level });
        }
    }
    assert_int_equal(count_files(fixture, "."),
                     (TILE_WRITER_FOLDERS + 2) * (TILE_WRITER_FILES / 4));
}

/* A folder stands where the file is to go: the name cannot be given, and nothing is left. */
static void a_name_that_cannot_be_given_is_told(void **state)
{
    const struct tile_path path = { 0, 7, TILE_WIDTH };
    const struct tile_path other = { 0, 8, TILE_WIDTH };
    struct fixture *fixture = *state;
    struct error error = { 0 };

    assert_int_equal(mkdirat(fixture->writer.root, "0", 0700), 0);
    assert_int_equal(mkdirat(fixture->writer.root, "0/007", 0700), 0);
    put(fixture, &path, STR("tile"));
    put(fixture, &other, STR("tile"));
    assert_false(tile_writer_sync(&fixture->writer, &error));
    assert_int_equal(error.code, ERROR_IO);
    tile_writer_release(&fixture->writer);
    assert_int_equal(count_files(fixture, "."), 0);
}

/* As a kill leaves them: written, without their names. Who writes next may write elsewhere. */
static void what_a_killed_writer_left_is_gone_with_the_next_one(void **state)
{
    const struct tile_path left[] = {
        { TILE_ENTRIES, 7, TILE_WIDTH },
        { TILE_ENTRIES, 8, TILE_WIDTH },
        { TILE_ENTRIES, 8, 3 },
    };
    const struct tile_path next = { TILE_ENTRIES, 1007, TILE_WIDTH };
    struct fixture *fixture = *state;
    struct tile_writer killed;

    for (size_t i = 0; i < COUNT(left); i++)
        put(fixture, &left[i], STR("entries"));
    assert_int_equal(count_files(fixture, "."), COUNT(left));
    killed = fixture->writer;
    fixture->writer = (struct tile_writer){ .root = killed.root };
    put(fixture, &next, STR("others"));
    sync_all(fixture);
    assert_int_equal(count_files(fixture, "."), 1);
    expect_content(fixture, &next, STR("others"));
    tile_writer_release(&killed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(files_of_any_length_hold_what_was_put, make, clean),
        cmocka_unit_test_setup_teardown(a_file_has_its_name_once_it_is_durable, make, clean),
        cmocka_unit_test_setup_teardown(what_was_not_synced_leaves_nothing, make, clean),
        cmocka_unit_test_setup_teardown(more_files_and_folders_than_are_held_open_come_through,
                                        make, clean),
        cmocka_unit_test_setup_teardown(a_name_that_cannot_be_given_is_told, make, clean),
        cmocka_unit_test_setup_teardown(what_a_killed_writer_left_is_gone_with_the_next_one, make,
                                        clean),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
