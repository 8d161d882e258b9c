#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/file.h"
#include "ledger/archive.h"
#include "store/help.h"
#include "tests/fail_memory.h"
#include "tests/test.h"

#define FILES_MAX 1100

/* A folder with the archive and one with the files that it is to keep. */
struct fixture {
    struct folder folder;
    char archive[96];
    struct arena *arena;
    struct archive_file files[FILES_MAX];
    size_t count;
};

static int make(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));

    assert_non_null(fixture);
    folder_make(&fixture->folder);
    (void)snprintf(fixture->archive, sizeof(fixture->archive), "%s/archive", fixture->folder.path);
    fixture->arena = arena_new((size_t)64 * 1024 * 1024);
    assert_non_null(fixture->arena);
    *state = fixture;
    return 0;
}

static int clean(void **state)
{
    struct fixture *fixture = *state;

    folder_remove(&fixture->folder);
    arena_free(fixture->arena);
    free(fixture);
    return 0;
}

/* The bytes of one of the fixture's files, which has a name without folders on disk. */
static void set_text(struct fixture *fixture, size_t index, const char *text)
{
    struct archive_file *file = &fixture->files[index];
    struct error error = { 0 };

    if (file->path == NULL)
        file->path = arena_printf(fixture->arena, "%s/%zu", fixture->folder.path, index).data;
    (void)unlink(file->path); /* perhaps it is not there yet */
    assert_true(file_create(file->path, str_from(text), 0600, &error));
    sha256(str_from(text), file->sha256);
}

static void add(struct fixture *fixture, const char *name, const char *text)
{
    assert_true(fixture->count < FILES_MAX);
    fixture->files[fixture->count].name = str_from(name);
    set_text(fixture, fixture->count, text);
    fixture->count++;
}

/* Files "000.yaml" and so on, each with bytes of its own. */
static void add_many(struct fixture *fixture, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *name = arena_printf(fixture->arena, "%03zu.yaml", i).data;

        add(fixture, name, name);
    }
}

static void hash(const struct fixture *fixture, uint8_t out[SHA256_LEN])
{
    assert_true(archive_hash(fixture->files, fixture->count, out));
}

static void keep(const struct fixture *fixture, const uint8_t *base)
{
    struct error error = { 0 };

    if (!archive_keep(fixture->archive, fixture->files, fixture->count, base, &error))
        fail_msg("%s", error.cause);
}

static void refuse(const struct fixture *fixture, enum error_code code)
{
    struct error error = { 0 };

    assert_false(archive_keep(fixture->archive, fixture->files, fixture->count, NULL, &error));
    assert_int_equal(error.code, code);
}

static enum error_code verify(const struct fixture *fixture, const uint8_t digest[SHA256_LEN])
{
    struct error error = { 0 };
    char into[96];

    (void)snprintf(into, sizeof(into), "%s/into-XXXXXX", fixture->folder.path);
    assert_non_null(mkdtemp(into));
    return archive_extract(fixture->archive, digest, into, &error) ? ERROR_NONE : error.code;
}

static const char *hex_of(const uint8_t digest[SHA256_LEN])
{
    static char text[2 * SHA256_LEN + 1];

    for (size_t i = 0; i < SHA256_LEN; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", digest[i]);
    return text;
}

static const char *object_of(const struct fixture *fixture, const uint8_t digest[SHA256_LEN])
{
    const char *hex = hex_of(digest);

    return arena_printf(fixture->arena, "%s/objects/%.2s/%s", fixture->archive, hex, hex + 2).data;
}

static size_t object_count(const struct fixture *fixture)
{
    const char *command =
        arena_printf(fixture->arena, "find %s/objects -type f | wc -l", fixture->archive).data;
    FILE *output = popen(command, "r"); /* NOLINT(cert-env33-c): a test's own folder */
    char text[32] = { 0 };
    int64_t count = 0;

    assert_non_null(output);
    assert_non_null(fgets(text, sizeof(text), output));
    assert_int_equal(pclose(output), 0);
    assert_true(str_to_int64(str_trim(str_from(text)), &count));
    return (size_t)count;
}

/* ---- keeping and reading back ---- */

static void a_set_comes_out_as_it_went_in(void **state)
{
    struct fixture *fixture = *state;
    const char *into = folder_path(&fixture->folder, "out");
    struct error error = { 0 };
    uint8_t digest[SHA256_LEN];
    struct str text;

    add(fixture, "a.yaml", "first");
    add(fixture, "sub/deeper/b.yaml", "second");
    add(fixture, "sub/two words.yaml", "");
    hash(fixture, digest);
    keep(fixture, NULL);
    assert_int_equal(verify(fixture, digest), ERROR_NONE);
    into = arena_copy(fixture->arena, str_from(into)).data;
    assert_int_equal(mkdir(into, 0700), 0);
    if (!archive_extract(fixture->archive, digest, into, &error))
        fail_msg("%s", error.cause);
    for (size_t i = 0; i < fixture->count; i++) {
        uint8_t actual[SHA256_LEN];
        const char *path = file_join(fixture->arena, into, fixture->files[i].name.data);

        assert_true(file_read(fixture->arena, path, 100, &text, &error));
        sha256(text, actual);
        assert_memory_equal(actual, fixture->files[i].sha256, SHA256_LEN);
    }
}

static void the_hash_is_over_names_and_bytes(void **state)
{
    struct fixture *fixture = *state;
    uint8_t first[SHA256_LEN];
    uint8_t second[SHA256_LEN];

    add(fixture, "a.yaml", "x");
    hash(fixture, first);
    fixture->files[0].name = STR("b.yaml");
    hash(fixture, second);
    assert_memory_not_equal(first, second, SHA256_LEN);
    fixture->files[0].name = STR("a.yaml");
    set_text(fixture, 0, "y");
    hash(fixture, second);
    assert_memory_not_equal(first, second, SHA256_LEN);
}

static void keeping_again_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    size_t before;

    add_many(fixture, 10);
    keep(fixture, NULL);
    before = object_count(fixture);
    keep(fixture, NULL);
    assert_int_equal(object_count(fixture), before);
}

/* 300 files in some three pieces: what differs in one file costs that file and one piece. */
static void a_change_costs_what_changed(void **state)
{
    struct fixture *fixture = *state;
    uint8_t first[SHA256_LEN];
    uint8_t second[SHA256_LEN];
    size_t before;

    add_many(fixture, 300);
    hash(fixture, first);
    keep(fixture, NULL);
    before = object_count(fixture);
    assert_in_range(before, 301, 320);
    set_text(fixture, 150, "changed");
    hash(fixture, second);
    keep(fixture, first);
    assert_int_equal(object_count(fixture), before + 2);
    assert_int_equal(verify(fixture, first), ERROR_NONE);
    assert_int_equal(verify(fixture, second), ERROR_NONE);
}

static void a_base_that_is_not_kept_does_no_harm(void **state)
{
    struct fixture *fixture = *state;
    const uint8_t nowhere[SHA256_LEN] = { 1 };
    uint8_t digest[SHA256_LEN];

    add_many(fixture, 3);
    hash(fixture, digest);
    keep(fixture, nowhere);
    assert_int_equal(verify(fixture, digest), ERROR_NONE);
}

static void pieces_are_cut_by_names(void **state)
{
    struct fixture *fixture = *state;
    struct archive_set set;
    struct error error = { 0 };
    uint8_t digest[SHA256_LEN];
    size_t count = 0;

    add_many(fixture, 400);
    hash(fixture, digest);
    keep(fixture, NULL);
    assert_true(archive_find(fixture->archive, digest, fixture->arena, &set, &error));
    assert_int_equal(set.file_count, 400);
    assert_in_range(set.piece_count, 2, 20);
    for (size_t i = 0; i < set.piece_count; i++) {
        struct archive_file files[FILES_MAX];

        assert_in_range(set.pieces[i].count, 1, ARCHIVE_PIECE_FILES_MAX);
        assert_true(
            archive_read_piece(fixture->archive, &set.pieces[i], fixture->arena, files, &error));
        assert_true(str_eq(files[0].name, fixture->files[count].name));
        count += set.pieces[i].count;
    }
    assert_int_equal(count, 400);
}

/* Names none of which ends a piece: the largest size does. */
static void a_piece_ends_at_its_largest_size(void **state)
{
    struct fixture *fixture = *state;
    struct archive_set set;
    struct error error = { 0 };
    uint8_t digest[SHA256_LEN];

    for (size_t i = 0; fixture->count <= ARCHIVE_PIECE_FILES_MAX; i++) {
        const char *name = arena_printf(fixture->arena, "%05zu.yaml", i).data;

        sha256(str_from(name), digest);
        if ((digest[SHA256_LEN - 1] & 0x7f) != 0)
            add(fixture, name, "the same bytes");
    }
    hash(fixture, digest);
    keep(fixture, NULL);
    assert_true(archive_find(fixture->archive, digest, fixture->arena, &set, &error));
    assert_int_equal(set.piece_count, 2);
    assert_int_equal(set.pieces[0].count, ARCHIVE_PIECE_FILES_MAX);
    assert_int_equal(set.pieces[1].count, 1);
    assert_int_equal(object_count(fixture), 3); /* two pieces, and the bytes once */
}

/* ---- refusing to keep ---- */

static void names_that_could_lead_elsewhere_are_refused(void **state)
{
    static const char *const names[] = {
        "", "/a.yaml", "a/../b.yaml", "../a.yaml", "./a.yaml", "a//b.yaml", "a/", "a\nb.yaml", "..",
    };
    struct fixture *fixture = *state;

    add(fixture, "a.yaml", "x");
    for (size_t i = 0; i < COUNT(names); i++) {
        fixture->files[0].name = str_from(names[i]);
        refuse(fixture, ERROR_INVALID);
    }
}

/* What is kept can be taken out again: no file system has longer names, and what lies above them
 * has room in a path. */
static void the_longest_name_is_kept_and_one_more_is_not(void **state)
{
    struct fixture *fixture = *state;
    static char name[ARCHIVE_NAME_MAX + 2];
    uint8_t digest[SHA256_LEN];

    memset(name, 'a', ARCHIVE_NAME_MAX + 1);
    for (size_t i = ARCHIVE_SEGMENT_MAX; i < ARCHIVE_NAME_MAX - 2; i += ARCHIVE_SEGMENT_MAX + 1)
        name[i] = '/';
    name[ARCHIVE_NAME_MAX - 2] = '/';
    add(fixture, "a", "x");
    fixture->files[0].name = (struct str){ name, ARCHIVE_NAME_MAX + 1 };
    refuse(fixture, ERROR_INVALID);
    name[ARCHIVE_SEGMENT_MAX] = 'a';
    fixture->files[0].name = (struct str){ name, ARCHIVE_SEGMENT_MAX + 1 };
    refuse(fixture, ERROR_INVALID);
    name[ARCHIVE_SEGMENT_MAX] = '/';
    fixture->files[0].name = (struct str){ name, ARCHIVE_NAME_MAX };
    hash(fixture, digest);
    keep(fixture, NULL);
    assert_int_equal(verify(fixture, digest), ERROR_NONE);
}

static void an_order_or_a_name_twice_is_refused(void **state)
{
    struct fixture *fixture = *state;

    add(fixture, "b.yaml", "x");
    add(fixture, "a.yaml", "y");
    refuse(fixture, ERROR_INVALID);
    fixture->files[1].name = STR("b.yaml");
    refuse(fixture, ERROR_INVALID);
}

static void counts_past_the_limits_are_refused(void **state)
{
    struct fixture *fixture = *state;
    struct error error = { 0 };

    refuse(fixture, ERROR_LIMIT);
    assert_false(
        archive_keep(fixture->archive, fixture->files, ARCHIVE_FILES_MAX + 1, NULL, &error));
    assert_int_equal(error.code, ERROR_LIMIT);
}

static void a_file_that_changed_meanwhile_is_not_kept(void **state)
{
    struct fixture *fixture = *state;
    uint8_t digest[SHA256_LEN];

    add(fixture, "a.yaml", "x");
    hash(fixture, digest);
    memset(fixture->files[0].sha256, 7, SHA256_LEN);
    refuse(fixture, ERROR_INVALID);
    assert_int_equal(verify(fixture, digest), ERROR_NOT_FOUND);
    hash(fixture, digest);
    assert_int_equal(verify(fixture, digest), ERROR_NOT_FOUND);
    (void)unlink(fixture->files[0].path);
    refuse(fixture, ERROR_IO);
}

static void the_largest_file_is_kept_and_one_more_byte_is_not(void **state)
{
    struct fixture *fixture = *state;
    char *text = calloc(1, ARCHIVE_FILE_BYTES_MAX + 2);
    uint8_t digest[SHA256_LEN];

    assert_non_null(text);
    memset(text, 'a', ARCHIVE_FILE_BYTES_MAX + 1);
    add(fixture, "a.yaml", text);
    refuse(fixture, ERROR_LIMIT);
    text[ARCHIVE_FILE_BYTES_MAX] = '\0';
    set_text(fixture, 0, text);
    hash(fixture, digest);
    keep(fixture, NULL);
    assert_int_equal(verify(fixture, digest), ERROR_NONE);
    free(text);
}

/* ---- what was cut off, or changed ---- */

static void what_a_crash_left_is_written_anew(void **state)
{
    struct fixture *fixture = *state;
    uint8_t digest[SHA256_LEN];

    add_many(fixture, 5);
    hash(fixture, digest);
    keep(fixture, NULL);
    /* as if the bytes of one, and the set itself, had never reached the disk */
    assert_int_equal(truncate(object_of(fixture, fixture->files[2].sha256), 0), 0);
    assert_int_equal(unlink(file_join(fixture->arena, fixture->archive, hex_of(digest))), 0);
    run_shell(
        arena_printf(fixture->arena, "touch %s.new", object_of(fixture, fixture->files[2].sha256))
            .data);
    assert_int_equal(verify(fixture, digest), ERROR_NOT_FOUND);
    keep(fixture, NULL);
    assert_int_equal(verify(fixture, digest), ERROR_NONE);
}

static void a_change_of_any_byte_is_seen(void **state)
{
    struct fixture *fixture = *state;
    struct archive_set set;
    struct error error = { 0 };
    uint8_t digest[SHA256_LEN];
    const char *paths[3];

    add_many(fixture, 5);
    hash(fixture, digest);
    keep(fixture, NULL);
    assert_true(archive_find(fixture->archive, digest, fixture->arena, &set, &error));
    paths[0] = object_of(fixture, fixture->files[3].sha256);
    paths[1] = object_of(fixture, set.pieces[0].sha256);
    paths[2] = file_join(fixture->arena, fixture->archive, hex_of(digest));
    for (size_t i = 0; i < COUNT(paths); i++) {
        const char *copy =
            arena_printf(fixture->arena, "cp %s %s/copy", paths[i], fixture->folder.path).data;
        const char *flip =
            arena_printf(fixture->arena, "printf 9 | dd of=%s bs=1 seek=6 conv=notrunc status=none",
                         paths[i])
                .data;

        run_shell(copy);
        run_shell(flip);
        assert_int_equal(verify(fixture, digest), ERROR_INVALID);
        run_shell(
            arena_printf(fixture->arena, "cp %s/copy %s", fixture->folder.path, paths[i]).data);
        assert_int_equal(verify(fixture, digest), ERROR_NONE);
    }
    assert_int_equal(unlink(paths[0]), 0);
    assert_int_equal(verify(fixture, digest), ERROR_IO);
}

/* Another set under the name of this one: each object is good, and it is still not this set. */
static void a_set_under_another_hash_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct error error = { 0 };
    uint8_t digest[SHA256_LEN];
    uint8_t other[SHA256_LEN] = { 5 };
    const char *into = arena_printf(fixture->arena, "%s/out", fixture->folder.path).data;
    const char *from;

    add_many(fixture, 3);
    hash(fixture, digest);
    keep(fixture, NULL);
    from = file_join(fixture->arena, fixture->archive, hex_of(digest));
    assert_int_equal(rename(from, file_join(fixture->arena, fixture->archive, hex_of(other))), 0);
    assert_int_equal(verify(fixture, other), ERROR_INVALID);
    assert_int_equal(mkdir(into, 0700), 0);
    assert_false(archive_extract(fixture->archive, other, into, &error));
    assert_int_equal(rmdir(into), 0); /* nothing was written */
}

static void a_set_that_does_not_read_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "files",
        "files 0\n",
        "files 100001\n",
        "files -1\n",
        "files 1\n",
        "sets 1\n",
        "files 1\n0000 1\n",
        "files 1\n0000000000000000000000000000000000000000000000000000000000000000 0\n",
        "files 1\n0000000000000000000000000000000000000000000000000000000000000000 2\n",
        "files 1\n0000000000000000000000000000000000000000000000000000000000000000 1",
        "files 2000\n0000000000000000000000000000000000000000000000000000000000000000 2000\n",
        "files 1\n000000000000000000000000000000000000000000000000000000000000000G 1\n",
        ("files 1\n0000000000000000000000000000000000000000000000000000000000000000 1\n"
         "0000000000000000000000000000000000000000000000000000000000000000 1\n"),
    };
    struct fixture *fixture = *state;
    const uint8_t digest[SHA256_LEN] = { 3 };
    const char *path;
    struct error error = { 0 };

    assert_true(file_make_folder(fixture->archive, 0700, &error));
    path = file_join(fixture->arena, fixture->archive, hex_of(digest));
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct archive_set set;

        (void)unlink(path); /* the first time there is none */
        assert_true(file_create(path, str_from(texts[i]), 0600, &error));
        error = (struct error){ 0 };
        assert_false(archive_find(fixture->archive, digest, fixture->arena, &set, &error));
        assert_int_equal(error.code, ERROR_INVALID);
        error = (struct error){ 0 };
    }
}

static void an_unknown_set_is_not_found(void **state)
{
    struct fixture *fixture = *state;
    const uint8_t digest[SHA256_LEN] = { 0 };

    assert_int_equal(verify(fixture, digest), ERROR_NOT_FOUND);
}

/* A piece whose hash is right may still hold names that lead out of any folder. */
static void a_kept_name_that_leads_out_is_refused(void **state)
{
    static const char *const names[] = { "../x", "/x", "a/../../x", "" };
    struct fixture *fixture = *state;
    struct error error = { 0 };

    add_many(fixture, 1);
    keep(fixture, NULL);
    for (size_t i = 0; i < COUNT(names); i++) {
        struct archive_piece piece = { .count = 1 };
        struct archive_file file;
        struct str text =
            arena_printf(fixture->arena, "%s %s\n", hex_of(fixture->files[0].sha256), names[i]);
        const char *path;

        sha256(text, piece.sha256);
        path = object_of(fixture, piece.sha256);
        run_shell(arena_printf(fixture->arena, "mkdir -p $(dirname %s)", path).data);
        assert_true(file_create(path, text, 0600, &error));
        assert_false(archive_read_piece(fixture->archive, &piece, fixture->arena, &file, &error));
        assert_int_equal(error.code, ERROR_INVALID);
        error = (struct error){ 0 };
    }
}

/* ---- the active one ---- */

static void the_active_one_is_remembered(void **state)
{
    struct fixture *fixture = *state;
    struct archive_active active = { .sha256 = { 1, 2, 3 }, .time_s = 1795341600 };
    struct archive_active found;
    struct error error = { 0 };

    assert_true(archive_active(fixture->archive, &found, &error));
    assert_false(found.is_known);
    assert_true(file_make_folder(fixture->archive, 0700, &error));
    assert_true(archive_set_active(fixture->archive, &active, &error));
    assert_true(archive_active(fixture->archive, &found, &error));
    assert_true(found.is_known);
    assert_memory_equal(found.sha256, active.sha256, SHA256_LEN);
    assert_int_equal(found.time_s, active.time_s);
}

static void a_note_that_does_not_read_is_none(void **state)
{
    static const char *const texts[] = {
        "",
        "x",
        "\n",
        "0000000000000000000000000000000000000000000000000000000000000000\n",
        "0000000000000000000000000000000000000000000000000000000000000000 yesterday\n",
        "000000000000000000000000000000000000000000000000000000000000000 2026-11-22T10:00:00Z\n",
    };
    struct fixture *fixture = *state;
    struct error error = { 0 };
    const char *path = file_join(fixture->arena, fixture->archive, "active");

    assert_true(file_make_folder(fixture->archive, 0700, &error));
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct archive_active found = { .is_known = true };

        assert_true(file_replace(path, str_from(texts[i]), 0600, &error));
        assert_true(archive_active(fixture->archive, &found, &error));
        assert_false(found.is_known);
    }
}

/* Some allocations are only for what saves work: then it is kept all the same. */
static void without_memory_a_set_is_kept_whole_or_not_at_all(void **state)
{
    struct fixture *fixture = *state;
    uint8_t digest[SHA256_LEN];
    size_t failed = 0;

    add_many(fixture, 1);
    hash(fixture, digest);
    for (size_t nth = 1; nth < 50; nth++) {
        struct error error = { 0 };
        bool is_kept;

        run_shell(arena_printf(fixture->arena, "rm -rf %s", fixture->archive).data);
        fail_memory_at(nth);
        is_kept = archive_keep(fixture->archive, fixture->files, fixture->count, NULL, &error);
        fail_memory_at(0);
        failed += !is_kept;
        assert_true(is_kept == (error.code == ERROR_NONE));
        assert_int_equal(verify(fixture, digest), is_kept ? ERROR_NONE : ERROR_NOT_FOUND);
    }
    assert_in_range(failed, 5, 40); /* the last attempts went through */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_set_comes_out_as_it_went_in, make, clean),
        cmocka_unit_test_setup_teardown(the_hash_is_over_names_and_bytes, make, clean),
        cmocka_unit_test_setup_teardown(keeping_again_changes_nothing, make, clean),
        cmocka_unit_test_setup_teardown(a_change_costs_what_changed, make, clean),
        cmocka_unit_test_setup_teardown(a_base_that_is_not_kept_does_no_harm, make, clean),
        cmocka_unit_test_setup_teardown(pieces_are_cut_by_names, make, clean),
        cmocka_unit_test_setup_teardown(a_piece_ends_at_its_largest_size, make, clean),
        cmocka_unit_test_setup_teardown(names_that_could_lead_elsewhere_are_refused, make, clean),
        cmocka_unit_test_setup_teardown(the_longest_name_is_kept_and_one_more_is_not, make, clean),
        cmocka_unit_test_setup_teardown(an_order_or_a_name_twice_is_refused, make, clean),
        cmocka_unit_test_setup_teardown(counts_past_the_limits_are_refused, make, clean),
        cmocka_unit_test_setup_teardown(a_file_that_changed_meanwhile_is_not_kept, make, clean),
        cmocka_unit_test_setup_teardown(the_largest_file_is_kept_and_one_more_byte_is_not, make,
                                        clean),
        cmocka_unit_test_setup_teardown(what_a_crash_left_is_written_anew, make, clean),
        cmocka_unit_test_setup_teardown(a_change_of_any_byte_is_seen, make, clean),
        cmocka_unit_test_setup_teardown(a_set_under_another_hash_is_refused, make, clean),
        cmocka_unit_test_setup_teardown(a_set_that_does_not_read_is_refused, make, clean),
        cmocka_unit_test_setup_teardown(an_unknown_set_is_not_found, make, clean),
        cmocka_unit_test_setup_teardown(a_kept_name_that_leads_out_is_refused, make, clean),
        cmocka_unit_test_setup_teardown(the_active_one_is_remembered, make, clean),
        cmocka_unit_test_setup_teardown(a_note_that_does_not_read_is_none, make, clean),
        cmocka_unit_test_setup_teardown(without_memory_a_set_is_kept_whole_or_not_at_all, make,
                                        clean),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
