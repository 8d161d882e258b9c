/* Erasing in a folder: that the bytes are gone, and what an interrupted erasure leaves. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/time_text.h"
#include "store/help.h"
#include "tests/test.h"

/* Where the private part of the first entry stands: behind the heads and "TIME entry 0". */
#define PART_0_OFFSET (40 + 8 + TIME_TEXT_MS_LEN + sizeof(" entry 0") - 1)
#define PERSON_0 "the person of number 0."

static int make(void **state)
{
    struct folder *folder = calloc(1, sizeof(*folder));

    folder_make(folder);
    *state = folder;
    return 0;
}

static int clean(void **state)
{
    folder_remove(*state);
    free(*state);
    return 0;
}

static void append_person(struct store *store, unsigned number)
{
    char command[32];
    char person[64];
    struct append *append = NULL;

    (void)snprintf(command, sizeof(command), "entry %u", number);
    (void)snprintf(person, sizeof(person), "the person of number %u.", number);
    append = append_new(command);
    append_private(append, person);
    assert_true(append_submit(append, store));
    assert_true(append_wait(append));
    append_free(append);
}

/* Entries in several segments. */
static struct store *open_with_people(const struct folder *folder, unsigned count)
{
    struct store *store = open_store(folder, 4096);

    for (unsigned i = 0; i < count; i++)
        append_person(store, i);
    return store;
}

/* Whether a person stands in any file of the store. */
static bool is_anywhere(const struct folder *folder, unsigned number)
{
    char command[256];

    (void)snprintf(command, sizeof(command), "grep -qr 'the person of number %u[.]' %s", number,
                   folder->path);
    return system(command) == 0; /* NOLINT(cert-env33-c,concurrency-mt-unsafe) */
}

static bool is_there(const struct folder *folder, const char *name)
{
    struct stat status;

    return stat(folder_path(folder, name), &status) == 0;
}

static void write_file(const struct folder *folder, const char *name, const char *text)
{
    FILE *file = fopen(folder_path(folder, name), "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void the_bytes_are_in_no_file_any_more(void **state)
{
    static const uint64_t indices[] = { 0, 3, 30, 59 };
    struct store *store = open_with_people(*state, 60);
    struct error error = { 0 };

    assert_true(is_anywhere(*state, 30));
    assert_true(store_erase(store, indices, COUNT(indices), NULL, NULL, &error));
    for (unsigned i = 0; i < 60; i++)
        assert_int_equal(is_anywhere(*state, i), i != 0 && i != 3 && i != 30 && i != 59);
    assert_false(is_there(*state, "erasing"));
    store_close(store);
    expect_entries(*state, 60);
    store = open_store(*state, 4096);
    append_person(store, 60);
    store_close(store);
    expect_entries(*state, 61);
}

static bool fail_to_forget(void *context, struct error *error)
{
    (void)context;
    return error_set(error, ERROR_IO, "copies stay");
}

static void what_was_interrupted_is_finished_by_the_next_start(void **state)
{
    static const uint64_t indices[] = { 7, 19 };
    struct store *store = open_with_people(*state, 20);
    struct error error = { 0 };

    /* As far as it comes before its end: the note stays. */
    assert_false(store_erase(store, indices, COUNT(indices), fail_to_forget, NULL, &error));
    assert_string_equal(error.cause, "copies stay");
    store_close(store);
    assert_true(is_there(*state, "erasing"));
    write_file(*state, "index.sqlite", "an index that may know of it");
    write_file(*state, "erasing", "5\n7\n19\nend\n");
    store_close(open_store(*state, 4096));
    assert_false(is_there(*state, "erasing"));
    assert_false(is_there(*state, "index.sqlite"));
    assert_false(is_anywhere(*state, 5));
    assert_false(is_anywhere(*state, 7));
    assert_true(is_anywhere(*state, 6));
    expect_entries(*state, 20);
}

/* An index that still knows of one erasure is not saved by another one that it does know of. */
static void a_note_stays_until_a_start_once_something_did_not_forget(void **state)
{
    static const uint64_t first = 7;
    static const uint64_t second = 9;
    struct store *store = open_with_people(*state, 20);
    struct error error = { 0 };
    uint64_t to = 0;

    assert_false(store_erase(store, &first, 1, fail_to_forget, NULL, &error));
    error = (struct error){ 0 };
    assert_true(store_erase(store, &second, 1, NULL, NULL, &error));
    assert_true(store_prune(store, 0, 2, &to, NULL, NULL, &error));
    store_close(store);
    assert_true(is_there(*state, "erasing"));
    write_file(*state, "index.sqlite", "an index that may know of it");
    store = open_store(*state, 4096);
    assert_false(is_there(*state, "erasing"));
    assert_false(is_there(*state, "index.sqlite"));
    assert_true(store_erase(store, &first, 1, NULL, NULL, &error));
    assert_false(is_there(*state, "erasing"));
    store_close(store);
}

/* A mark that crosses a sector's end may be half there: the checksum fits nothing then. */
static void a_torn_mark_is_repaired_before_the_log_is_read(void **state)
{
    struct store *store = open_store(*state, 0);

    append_person(store, 0);
    append_person(store, 1);
    store_close(store);
    for (size_t i = 0; i < sizeof(PERSON_0) - 1 + 4; i += 3) {
        struct folder copy;

        folder_copy(*state, &copy);
        folder_flip(&copy, "segments/00000000000000000000.seg", PART_0_OFFSET + i);
        (void)remove(folder_path(&copy, "snapshot"));
        expect_no_store(&copy, ERROR_INVALID, "damaged private part");
        write_file(&copy, "erasing", "0\nend\n");
        store_close(open_store(&copy, 0));
        expect_entries(&copy, 2);
        assert_false(is_anywhere(&copy, 0));
        assert_true(is_anywhere(&copy, 1));
        folder_remove(&copy);
    }
}

static void an_interrupted_pruning_is_finished_from_its_note(void **state)
{
    struct folder copy;
    struct store *store = open_store(*state, 0);
    struct error error = { 0 };
    char note[256];
    uint64_t to = 0;

    for (unsigned i = 0; i < 4; i++) {
        struct append *append = append_new("nothing");

        append_fill(append, 500);
        append_private(append, PERSON_0);
        assert_true(append_submit(append, store));
        assert_true(append_wait(append));
        append_free(append);
    }
    assert_false(store_prune(store, 0, 2, &to, fail_to_forget, NULL, &error));
    store_close(store);
    (void)remove(folder_path(*state, "snapshot"));
    for (size_t offset = 50; offset < 600; offset += 31) {
        /* However the frames were torn: their heads were not touched. */
        folder_copy(*state, &copy);
        folder_flip(&copy, "segments/00000000000000000000.seg", offset);
        store_close(open_store(&copy, 0));
        assert_false(is_there(&copy, "erasing"));
        store = open_store(&copy, 0);
        assert_int_equal(store_size(store), 4);
        error = (struct error){ 0 };
        if (!store_prune(store, 0, 3, &to, NULL, NULL, &error))
            fail_msg("flipped at %zu: %s", offset, error.cause);
        assert_int_equal(to, 3);
        store_close(store);
        folder_remove(&copy);
    }
    (void)snprintf(note, sizeof(note), "prune 0\n%064d\nend", 0);
    write_file(*state, "erasing", note);
    expect_no_store(*state, ERROR_INVALID, "erasing: damaged");
    (void)snprintf(note, sizeof(note), "prune 0\n%063d\nend\n", 0);
    write_file(*state, "erasing", note);
    expect_no_store(*state, ERROR_INVALID, "erasing: damaged");
    (void)snprintf(note, sizeof(note), "prune 7\n%064d\nend\n", 0);
    write_file(*state, "erasing", note);
    expect_no_store(*state, ERROR_INVALID, "not what was to be pruned");
}

static void a_note_that_is_not_ours_stops_the_start(void **state)
{
    static const char *const notes[] = {
        "", "1\n", "end", "2\n1\nend\n", "x\nend\n", "1\nend\n2\n", "99999999999999999999999\nend\n"
    };

    store_close(open_with_people(*state, 3));
    for (size_t i = 0; i < COUNT(notes); i++) {
        write_file(*state, "erasing", notes[i]);
        expect_no_store(*state, ERROR_INVALID, "erasing: damaged");
    }
    write_file(*state, "erasing", "1\n77\nend\n"); /* what never was is nobody's */
    store_close(open_store(*state, 4096));
    assert_false(is_anywhere(*state, 1));
    assert_true(is_anywhere(*state, 2));
}

int main(void)
{
#define ERASURE_TEST(function) cmocka_unit_test_setup_teardown(function, make, clean)
    const struct CMUnitTest tests[] = {
        ERASURE_TEST(the_bytes_are_in_no_file_any_more),
        ERASURE_TEST(what_was_interrupted_is_finished_by_the_next_start),
        ERASURE_TEST(a_note_stays_until_a_start_once_something_did_not_forget),
        ERASURE_TEST(a_torn_mark_is_repaired_before_the_log_is_read),
        ERASURE_TEST(an_interrupted_pruning_is_finished_from_its_note),
        ERASURE_TEST(a_note_that_is_not_ours_stops_the_start),
    };
#undef ERASURE_TEST

    return cmocka_run_group_tests(tests, NULL, NULL);
}
