#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "ledger/help.h"
#include "ledger/mirror.h"
#include "tests/test.h"

struct fixture {
    struct place place;
    struct arena *arena; /* of what a source reads */
    const char *source;  /* the log's folder, in the place */
    unsigned read_count;
    struct note_verifier verifier;
    struct note_trust trust;
};

static int make(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    struct error error = { 0 };

    place_make(&fixture->place);
    fixture->source = "store/log";
    assert_true(note_verifier_parse(STR(VECTOR_VERIFIER), &fixture->verifier, &error));
    fixture->trust = (struct note_trust){ .logs = &fixture->verifier, .log_count = 1 };
    *state = fixture;
    return 0;
}

static int clean(void **state)
{
    struct fixture *fixture = *state;

    arena_free(fixture->arena);
    place_remove(&fixture->place);
    free(fixture);
    return 0;
}

static bool read_source(void *context, const char *path, size_t max_bytes, struct str *bytes,
                        struct error *error)
{
    struct fixture *fixture = context;
    char name[160];

    fixture->read_count++;
    arena_free(fixture->arena);
    fixture->arena = arena_new((size_t)16 * 1024 * 1024);
    (void)snprintf(name, sizeof(name), "%s/%s", fixture->source, path);
    if (access(place_path(&fixture->place, name), F_OK) != 0)
        return error_set(error, ERROR_NOT_FOUND, "there is no %s", path);
    return file_read(fixture->arena, place_path(&fixture->place, name), max_bytes, bytes, error);
}

static void grow(const struct fixture *fixture, unsigned count)
{
    struct ledger *ledger = place_open(&fixture->place);

    append_many(ledger, count);
    ledger_close(ledger);
}

enum way {
    TILES,
    ENTRIES,
    CHECK /* with entries, and nothing is written */
};

static bool update(struct fixture *fixture, enum way way, struct mirror_report *report,
                   struct error *error)
{
    char folder[96];
    struct mirror_options options = {
        .from = { read_source, fixture },
        .folder = way == CHECK ? NULL : folder,
        .trust = &fixture->trust,
        .has_entries = way != TILES,
    };

    (void)snprintf(folder, sizeof(folder), "%s/mirror", fixture->place.folder);
    *error = (struct error){ 0 };
    return mirror_update(&options, report, error);
}

static void expect_updated(struct fixture *fixture, enum way way, uint64_t old_size, uint64_t size)
{
    struct mirror_report report;
    struct error error;

    if (!update(fixture, way, &report, &error))
        fail_msg("mirror_update: %s", error.cause);
    assert_int_equal(report.old_size, old_size);
    assert_int_equal(report.size, size);
}

static struct mirror_report expect_refused(struct fixture *fixture, enum way way,
                                           enum error_code code, const char *cause)
{
    struct mirror_report report;
    struct error error;

    if (update(fixture, way, &report, &error))
        fail_msg("not noticed: %s", cause);
    if (strstr(error.cause, cause) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", cause, error.cause);
    assert_int_equal(error.code, code);
    return report;
}

/* A mirror is a log as any: checked like one. */
static void expect_mirror_holds(struct fixture *fixture, enum way way, uint64_t size)
{
    fixture->source = "mirror";
    if (way == ENTRIES)
        expect_updated(fixture, CHECK, 0, size);
    else
        run_shell("test ! -e mirror/tile/entries", &fixture->place);
    fixture->source = "store/log";
}

static void a_mirror_grows_with_its_log(void **state)
{
    static const unsigned sizes[] = { 1, 2, 255, 256, 257, 511, 512, 700 };
    struct fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(sizes); i++) {
        unsigned before = i == 0 ? 0 : sizes[i - 1];

        grow(fixture, sizes[i] - before);
        expect_updated(fixture, ENTRIES, before, sizes[i]);
        expect_mirror_holds(fixture, ENTRIES, sizes[i]);
        expect_updated(fixture, ENTRIES, sizes[i], sizes[i]);
    }
    /* What full ones have replaced is gone, but for the last ones. */
    run_shell("test ! -e mirror/tile/0/000.p && test ! -e mirror/tile/entries/001.p && "
              "test -e mirror/tile/0/002.p/188 && test -e mirror/tile/entries/002.p/188",
              &fixture->place);
}

static void only_what_is_new_is_asked_for(void **state)
{
    struct fixture *fixture = *state;

    grow(fixture, 600);
    expect_updated(fixture, TILES, 0, 600);
    assert_int_equal(fixture->read_count, 1 + 3);
    fixture->read_count = 0;
    expect_updated(fixture, TILES, 600, 600);
    assert_int_equal(fixture->read_count, 1);
    grow(fixture, 10);
    fixture->read_count = 0;
    expect_updated(fixture, TILES, 600, 610);
    assert_int_equal(fixture->read_count, 1 + 1);
}

static void entries_can_be_added_later_and_stay(void **state)
{
    struct fixture *fixture = *state;

    grow(fixture, 300);
    expect_updated(fixture, TILES, 0, 300);
    expect_mirror_holds(fixture, TILES, 300);
    expect_updated(fixture, ENTRIES, 300, 300);
    expect_mirror_holds(fixture, ENTRIES, 300);
    grow(fixture, 300);
    expect_updated(fixture, TILES, 300, 600);
    expect_mirror_holds(fixture, ENTRIES, 600);
}

static void files_are_for_all_but_entries(void **state)
{
    struct fixture *fixture = *state;
    struct stat status;

    (void)umask(022);
    grow(fixture, 300);
    expect_updated(fixture, ENTRIES, 0, 300);
    assert_int_equal(stat(place_path(&fixture->place, "mirror/tile/0/000"), &status), 0);
    assert_int_equal(status.st_mode & 0777, 0644);
    assert_int_equal(stat(place_path(&fixture->place, "mirror/tile/0"), &status), 0);
    assert_int_equal(status.st_mode & 0777, 0755);
    assert_int_equal(stat(place_path(&fixture->place, "mirror/checkpoint"), &status), 0);
    assert_int_equal(status.st_mode & 0777, 0644);
    assert_int_equal(stat(place_path(&fixture->place, "mirror/tile/entries/000"), &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
}

/* Every file of the log, changed in one byte, once for each step. */
static void expect_changes_noticed(struct fixture *fixture, enum way way, const char *name,
                                   size_t step)
{
    char path[256];
    char source[200];
    size_t len = 0;

    (void)snprintf(source, sizeof(source), "store/log/%s", name);
    (void)snprintf(path, sizeof(path), "%s", place_path(&fixture->place, source));
    len = file_size(path);
    for (size_t at = 0; at < len; at += step) {
        struct mirror_report report;
        struct error error;

        file_flip(path, at);
        if (way != CHECK)
            run_shell("rm -rf mirror", &fixture->place);
        if (update(fixture, way, &report, &error))
            fail_msg("byte %zu of %s does not count", at, name);
        assert_int_equal(error.code, ERROR_INVALID);
        /* Nothing was published. */
        run_shell("test ! -e mirror/checkpoint", &fixture->place);
        file_flip(path, at);
    }
}

static void any_changed_byte_of_a_log_is_noticed(void **state)
{
    struct fixture *fixture = *state;

    grow(fixture, 3);
    expect_changes_noticed(fixture, CHECK, "checkpoint", 1);
    expect_changes_noticed(fixture, CHECK, "tile/0/000.p/3", 1);
    expect_changes_noticed(fixture, CHECK, "tile/entries/000.p/3", 1);
    expect_changes_noticed(fixture, ENTRIES, "checkpoint", 7);
    expect_changes_noticed(fixture, ENTRIES, "tile/0/000.p/3", 7);
    expect_changes_noticed(fixture, ENTRIES, "tile/entries/000.p/3", 31);
}

static void any_changed_byte_of_a_larger_one_too(void **state)
{
    struct fixture *fixture = *state;

    grow(fixture, 600);
    expect_changes_noticed(fixture, CHECK, "tile/0/001", 811);
    expect_changes_noticed(fixture, CHECK, "tile/0/002.p/88", 211);
    expect_changes_noticed(fixture, CHECK, "tile/1/000.p/2", 7);
    expect_changes_noticed(fixture, CHECK, "tile/entries/001", 5003);
}

static void what_is_missing_longer_or_shorter_is_noticed(void **state)
{
    static const struct {
        const char *damage;
        const char *repair;
        enum error_code code;
    } cases[] = {
        { "mv store/log/checkpoint kept", "mv kept store/log/checkpoint", ERROR_NOT_FOUND },
        { "mv store/log/tile/0/000 kept", "mv kept store/log/tile/0/000", ERROR_NOT_FOUND },
        { "mv store/log/tile/1 kept", "mv kept store/log/tile/1", ERROR_NOT_FOUND },
        { "mv store/log/tile/entries kept", "mv kept store/log/tile/entries", ERROR_NOT_FOUND },
        { "truncate -s 8160 store/log/tile/0/000", "cp -r copy/tile store/log", ERROR_INVALID },
        { "truncate -s 1376 store/log/tile/0/001.p/44", "cp -r copy/tile store/log",
          ERROR_INVALID },
        { "truncate -s 20000 store/log/tile/entries/000", "cp -r copy/tile store/log",
          ERROR_INVALID },
        { "printf '\\0\\0' >>store/log/tile/entries/000", "cp -r copy/tile store/log",
          ERROR_INVALID },
        { "printf '\\0' >>store/log/tile/entries/000", "cp -r copy/tile store/log", ERROR_INVALID },
    };
    struct fixture *fixture = *state;

    grow(fixture, 300);
    run_shell("cp -r store/log copy", &fixture->place);
    for (size_t i = 0; i < COUNT(cases); i++) {
        run_shell(cases[i].damage, &fixture->place);
        (void)expect_refused(fixture, CHECK, cases[i].code, "");
        run_shell(cases[i].repair, &fixture->place);
        expect_updated(fixture, CHECK, 0, 300);
    }
}

/* Another log by the same name and key: what only its owner could do. */
static void make_fork(struct fixture *fixture, unsigned ours, unsigned theirs)
{
    grow(fixture, ours);
    expect_updated(fixture, TILES, 0, ours);
    run_shell("cp -r mirror before && mv store first", &fixture->place);
    grow(fixture, theirs);
}

static void expect_fork(struct fixture *fixture, const char *cause)
{
    struct mirror_report report = expect_refused(fixture, TILES, ERROR_INVALID, cause);

    assert_true(report.is_fork);
    run_shell("test $(ls mirror/evidence | wc -l) = 2", &fixture->place);
    run_shell("cat mirror/evidence/*.note | grep -c '^\xe2\x80\x94 ' | grep -qx 2",
              &fixture->place);
    run_shell("cp -r mirror/evidence . && rm -r mirror/evidence && diff -r mirror before",
              &fixture->place);
}

static void a_longer_fork_is_refused_and_kept_as_evidence(void **state)
{
    make_fork(*state, 300, 700);
    expect_fork(*state, "other entries where this mirror ends");
}

static void a_fork_that_differs_far_behind_is_refused(void **state)
{
    /* The mirror ends at a tile's border, where nothing is known of the next one. */
    make_fork(*state, 512, 700);
    expect_fork(*state, "does not go on from what this mirror has");
}

static void a_fork_of_the_same_size_is_refused(void **state)
{
    make_fork(*state, 300, 300);
    expect_fork(*state, "does not go on from what this mirror has");
}

static void a_shorter_log_is_refused(void **state)
{
    make_fork(*state, 300, 20);
    expect_fork(*state, "fewer entries than this mirror");
}

static void damaged_tiles_are_not_taken_for_a_fork(void **state)
{
    struct fixture *fixture = *state;
    struct mirror_report report;

    grow(fixture, 512);
    expect_updated(fixture, TILES, 0, 512);
    grow(fixture, 300);
    file_flip(place_path(&fixture->place, "store/log/tile/0/002"), 77);
    report = expect_refused(fixture, TILES, ERROR_INVALID, "do not have the signed root");
    assert_false(report.is_fork);
    file_flip(place_path(&fixture->place, "store/log/tile/0/002"), 77);
    expect_updated(fixture, TILES, 512, 812);
}

static void a_damaged_mirror_is_made_again(void **state)
{
    struct fixture *fixture = *state;

    grow(fixture, 300);
    expect_updated(fixture, TILES, 0, 300);
    file_flip(place_path(&fixture->place, "mirror/tile/0/001.p/44"), 40);
    grow(fixture, 300);
    expect_updated(fixture, TILES, 300, 600);
    expect_mirror_holds(fixture, TILES, 600);
    run_shell("rm -r mirror/tile && mv store first", &fixture->place);
    /* Not from another log, though. */
    grow(fixture, 700);
    (void)expect_refused(fixture, TILES, ERROR_INVALID, "not the one that this mirror has");
}

static void nothing_is_believed_that_is_not_signed_or_cosigned(void **state)
{
    struct fixture *fixture = *state;

    grow(fixture, 3);
    fixture->trust.quorum = 1;
    (void)expect_refused(fixture, TILES, ERROR_INVALID, "cosigned by 0");
    fixture->trust.quorum = 0;
    fixture->verifier.public_key[3] ^= 1;
    (void)expect_refused(fixture, TILES, ERROR_INVALID, "does not verify");
    fixture->verifier.public_key[3] ^= 1;
    expect_updated(fixture, TILES, 0, 3);
    run_shell("sed -i 's/^3$/2/' mirror/checkpoint", &fixture->place);
    (void)expect_refused(fixture, TILES, ERROR_INVALID, "the mirror's own");
}

static void one_works_in_a_folder_at_a_time(void **state)
{
    struct fixture *fixture = *state;
    int folder = -1;

    grow(fixture, 3);
    expect_updated(fixture, TILES, 0, 3);
    folder = open(place_path(&fixture->place, "mirror"), O_RDONLY | O_CLOEXEC);
    assert_int_equal(flock(folder, LOCK_EX), 0);
    (void)expect_refused(fixture, TILES, ERROR_BUSY, "another one");
    (void)close(folder);
    expect_updated(fixture, TILES, 3, 3);
}

int main(void)
{
#define MIRROR_TEST(function) cmocka_unit_test_setup_teardown(function, make, clean)
    const struct CMUnitTest tests[] = {
        MIRROR_TEST(a_mirror_grows_with_its_log),
        MIRROR_TEST(only_what_is_new_is_asked_for),
        MIRROR_TEST(entries_can_be_added_later_and_stay),
        MIRROR_TEST(files_are_for_all_but_entries),
        MIRROR_TEST(any_changed_byte_of_a_log_is_noticed),
        MIRROR_TEST(any_changed_byte_of_a_larger_one_too),
        MIRROR_TEST(what_is_missing_longer_or_shorter_is_noticed),
        MIRROR_TEST(a_longer_fork_is_refused_and_kept_as_evidence),
        MIRROR_TEST(a_fork_that_differs_far_behind_is_refused),
        MIRROR_TEST(a_fork_of_the_same_size_is_refused),
        MIRROR_TEST(a_shorter_log_is_refused),
        MIRROR_TEST(damaged_tiles_are_not_taken_for_a_fork),
        MIRROR_TEST(a_damaged_mirror_is_made_again),
        MIRROR_TEST(nothing_is_believed_that_is_not_signed_or_cosigned),
        MIRROR_TEST(one_works_in_a_folder_at_a_time),
    };
#undef MIRROR_TEST

    return cmocka_run_group_tests(tests, NULL, NULL);
}
