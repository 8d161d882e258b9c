#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "store/help.h"
#include "store/index.h"
#include "tests/assert_str.h"

#define VERSION 7

static struct folder folder;
static struct store_index *writer;
static struct store_index *reader;

static const char *path(void)
{
    return folder_path(&folder, STORE_INDEX_NAME);
}

static int make(void **state)
{
    (void)state;
    folder_make(&folder);
    return 0;
}

static int clean(void **state)
{
    (void)state;
    store_index_close(TAKE(reader));
    store_index_close(TAKE(writer));
    folder_remove(&folder);
    return 0;
}

static void must(bool is_good, const struct error *error)
{
    if (!is_good)
        fail_msg("%s", error->cause);
}

static void open_writer(void)
{
    struct error error = { 0 };

    must(store_index_open(path(), VERSION, &writer, &error), &error);
}

static void open_reader(void)
{
    struct error error = { 0 };

    must(store_index_open_to_read(path(), VERSION, &reader, &error), &error);
}

static uint64_t begin(struct store_index *index)
{
    struct error error = { 0 };
    struct index_state at;

    must(store_index_begin(index, &at, &error), &error);
    return at.size;
}

static void commit(uint64_t size)
{
    struct index_state at = { .size = size };
    struct error error = { 0 };

    memset(at.last_sha256, 0xab, SHA256_LEN);
    must(store_index_commit(writer, &at, &error), &error);
}

static void post(uint8_t space, uint64_t key, uint64_t entry)
{
    struct index_posting posting = { space, key, entry / INDEX_CHUNK_ENTRIES, { { 0 } } };
    unsigned bit = entry % INDEX_CHUNK_ENTRIES;
    struct error error = { 0 };

    posting.bits.bytes[bit / 8] = (uint8_t)(1U << bit % 8);
    must(store_index_add_posting(writer, &posting, &error), &error);
}

/* A search that is driven to its end; each entry found is written down, newest first. */
static void search(struct store_index *index, const struct index_term *terms, size_t count,
                   uint64_t newest, size_t budget, struct buf *found)
{
    struct index_search at = { .terms = terms,
                               .term_count = count,
                               .chunk = newest / INDEX_CHUNK_ENTRIES };
    struct error error = { 0 };

    while (!at.is_over) {
        at.budget = budget;
        must(store_index_search(index, &at, &error), &error);
        for (unsigned i = INDEX_CHUNK_ENTRIES; at.has_found && i-- > 0;)
            if (at.found.bytes[i / 8] & 1U << i % 8)
                buf_printf(found, "%u ", (unsigned)at.found_chunk * INDEX_CHUNK_ENTRIES + i);
    }
}

static void expect_found(const struct index_term *terms, size_t count, const char *expected)
{
    OWNED(buf_release) struct buf found = { 0 };

    buf_init(&found, 64 * 1024);
    search(writer, terms, count, 100000, 1000, &found);
    assert_string_equal(found.len > 0 ? found.data : "", expected);
}

static void what_is_committed_is_there_for_readers_and_after_a_new_start(void **state)
{
    struct index_state at;
    struct error error = { 0 };

    (void)state;
    open_writer();
    assert_int_equal(begin(writer), 0);
    post(1, 5, 3);
    open_reader();
    assert_int_equal(begin(reader), 0);
    store_index_end(reader);
    commit(4);
    must(store_index_begin(reader, &at, &error), &error);
    assert_int_equal(at.size, 4);
    assert_int_equal(at.last_sha256[31], 0xab);
    store_index_end(reader);
    store_index_close(TAKE(reader));
    store_index_close(TAKE(writer));
    open_writer();
    assert_int_equal(begin(writer), 4);
}

static void what_is_not_committed_is_forgotten(void **state)
{
    const struct index_term term = { 1, (const uint64_t[]){ 5 }, 1 };

    (void)state;
    open_writer();
    (void)begin(writer);
    post(1, 5, 3);
    store_index_end(writer);
    assert_int_equal(begin(writer), 0);
    expect_found(&term, 1, "");
}

static void a_reader_sees_one_moment(void **state)
{
    const struct index_term term = { 1, (const uint64_t[]){ 5 }, 1 };
    OWNED(buf_release) struct buf found = { 0 };

    (void)state;
    buf_init(&found, 1024);
    open_writer();
    open_reader();
    (void)begin(reader);
    (void)begin(writer);
    post(1, 5, 3);
    commit(4);
    search(reader, &term, 1, 100, 100, &found);
    assert_int_equal(found.len, 0);
    store_index_end(reader);
    (void)begin(reader);
    search(reader, &term, 1, 100, 100, &found);
    assert_str(buf_str(&found), "3 ");
}

static void entries_are_found_from_new_to_old(void **state)
{
    const struct index_term term = { 1, (const uint64_t[]){ 5 }, 1 };

    (void)state;
    open_writer();
    (void)begin(writer);
    post(1, 5, 70000);
    post(1, 5, 0);
    post(1, 5, 255);
    post(1, 5, 256);
    post(1, 5, 256);
    post(1, 6, 1);
    post(2, 5, 2);
    expect_found(&term, 1, "70000 256 255 0 ");
}

static void terms_are_joined_and_their_keys_are_alternatives(void **state)
{
    const struct index_term terms[] = {
        { 1, (const uint64_t[]){ 5, 6 }, 2 },
        { 2, (const uint64_t[]){ UINT64_MAX, 8 }, 2 },
        { 3, (const uint64_t[]){ 9 }, 1 },
    };

    (void)state;
    open_writer();
    (void)begin(writer);
    for (uint64_t i = 0; i < 3000; i++) {
        post(1, 5 + i % 3, i);
        if (i % 500 == 0)
            post(2, i % 200 == 0 ? UINT64_MAX : 8, i);
        if (i >= 1000 && i < 1800)
            post(3, 9, i);
    }
    expect_found(&terms[1], 1, "2500 2000 1500 1000 500 0 ");
    expect_found(terms, 2, "2500 1500 1000 0 ");
    expect_found(terms, 3, "1500 1000 ");
}

static void a_search_answers_as_a_scan_would(void **state)
{
    static bool has[4][4096];
    const struct index_term terms[] = {
        { 1, (const uint64_t[]){ 0, 1 }, 2 },
        { 1, (const uint64_t[]){ 2 }, 1 },
        { 1, (const uint64_t[]){ 3 }, 1 },
    };
    OWNED(buf_release) struct buf expected = { 0 };
    OWNED(buf_release) struct buf found = { 0 };

    (void)state;
    buf_init(&expected, 64 * 1024);
    srandom(1);
    open_writer();
    (void)begin(writer);
    for (unsigned i = 0; i < 4096; i++) {
        for (unsigned key = 0; key < 4; key++) {
            /* key 2 stands nearly everywhere, key 3 now and then, and both have gaps. */
            unsigned one_in = (const unsigned[]){ 3, 50, 2, 7 }[key];

            has[key][i] = random() % one_in == 0 && (i / 600 + key) % 3 != 0;
            if (has[key][i])
                post(1, key, i);
        }
    }
    for (unsigned i = 4096; i-- > 0;)
        if ((has[0][i] || has[1][i]) && has[2][i] && has[3][i])
            buf_printf(&expected, "%u ", i);
    assert_true(expected.len > 100);
    buf_init(&found, 64 * 1024);
    for (size_t budget = 4; budget < 40; budget += 7) { /* at least a look-up for each key */
        buf_clear(&found);
        search(writer, terms, 3, 5000, budget, &found);
        assert_string_equal(found.data, expected.data);
    }
}

static void a_search_ends_at_its_oldest_chunk(void **state)
{
    const struct index_term term = { 1, (const uint64_t[]){ 5 }, 1 };
    struct index_search at = {
        .terms = &term, .term_count = 1, .chunk = 9, .oldest = 2, .budget = 100
    };
    struct error error = { 0 };

    (void)state;
    open_writer();
    (void)begin(writer);
    post(1, 5, 2 * INDEX_CHUNK_ENTRIES);
    post(1, 5, INDEX_CHUNK_ENTRIES);
    must(store_index_search(writer, &at, &error), &error);
    assert_true(at.has_found);
    assert_true(at.is_over);
    assert_int_equal(at.found_chunk, 2);
    at = (struct index_search){
        .terms = &term, .term_count = 1, .chunk = 9, .oldest = 3, .budget = 100
    };
    must(store_index_search(writer, &at, &error), &error);
    assert_false(at.has_found);
    assert_true(at.is_over);
}

static void a_posting_can_be_taken_out(void **state)
{
    const struct index_term term = { 1, (const uint64_t[]){ 5 }, 1 };
    struct index_posting posting = { 1, 5, 0, { { 1 << 3 } } };
    struct error error = { 0 };

    (void)state;
    open_writer();
    (void)begin(writer);
    post(1, 5, 3);
    post(1, 5, 4);
    must(store_index_remove_posting(writer, &posting, &error), &error);
    expect_found(&term, 1, "4 ");
    posting.bits.bytes[0] = 1 << 4;
    must(store_index_remove_posting(writer, &posting, &error), &error);
    expect_found(&term, 1, "");
}

static bool write_down(struct str key, struct str value, void *context)
{
    struct buf *text = context;

    buf_printf(text, STR_FMT "=" STR_FMT " ", STR_ARG(key), STR_ARG(value));
    return !str_eq(value, STR("stop"));
}

static void rows_are_kept_in_order_of_their_keys(void **state)
{
    OWNED(arena_free) struct arena *arena = arena_new(64 * 1024);
    OWNED(buf_release) struct buf text = { 0 };
    struct error error = { 0 };
    struct str value;

    (void)state;
    buf_init(&text, 1024);
    open_writer();
    (void)begin(writer);
    must(store_index_put_row(writer, 1, STR("b"), STR("2"), &error), &error);
    must(store_index_put_row(writer, 1, STR("a"), STR("1"), &error), &error);
    must(store_index_put_row(writer, 1, STR("b"), STR("3"), &error), &error);
    must(store_index_put_row(writer, 1, STR("c"), STR("stop"), &error), &error);
    must(store_index_put_row(writer, 1, STR("d"), STR("x"), &error), &error);
    must(store_index_put_row(writer, 2, STR("a"), STR("x"), &error), &error);
    must(store_index_each_row(writer, 1, STR(""), write_down, &text, &error), &error);
    assert_str(buf_str(&text), "a=1 b=3 c=stop ");
    buf_clear(&text);
    must(store_index_each_row(writer, 1, STR("c"), write_down, &text, &error), &error);
    assert_str(buf_str(&text), "d=x ");
    must(store_index_row(writer, 1, STR("b"), arena, &value, &error), &error);
    assert_str(value, "3");
    must(store_index_put_row(writer, 1, STR("b"), STR(""), &error), &error);
    must(store_index_row(writer, 1, STR("b"), arena, &value, &error), &error);
    assert_int_equal(value.len, 0);
}

static void a_rows_size_is_bounded(void **state)
{
    static char bytes[INDEX_ROW_VALUE_MAX + 1];
    struct error error = { 0 };

    (void)state;
    open_writer();
    (void)begin(writer);
    must(store_index_put_row(writer, 1, (struct str){ bytes, INDEX_ROW_KEY_MAX },
                             (struct str){ bytes, INDEX_ROW_VALUE_MAX }, &error),
         &error);
    assert_false(store_index_put_row(writer, 1, (struct str){ bytes, INDEX_ROW_KEY_MAX + 1 },
                                     STR("x"), &error));
    assert_int_equal(error.code, ERROR_LIMIT);
    error = (struct error){ 0 };
    assert_false(store_index_put_row(writer, 1, STR("x"),
                                     (struct str){ bytes, INDEX_ROW_VALUE_MAX + 1 }, &error));
    assert_int_equal(error.code, ERROR_LIMIT);
}

static uint64_t before_time(int64_t time_ms)
{
    struct error error = { 0 };
    uint64_t entry = 99;

    must(store_index_before_time(writer, time_ms, &entry, &error), &error);
    return entry / INDEX_PLACE_ENTRIES;
}

static void a_time_is_found_among_places(void **state)
{
    struct index_place place = { 0 };
    struct error error = { 0 };
    bool is_known = false;

    (void)state;
    open_writer();
    (void)begin(writer);
    assert_int_equal(before_time(5), 0);
    for (uint64_t i = 0; i < 10; i++) {
        place = (struct index_place){ i * INDEX_PLACE_ENTRIES, 100 + 10 * (int64_t)(i / 2), i, 1,
                                      i * 7 };
        must(store_index_put_place(writer, &place, &error), &error);
    }
    assert_int_equal(before_time(0), 0);
    assert_int_equal(before_time(100), 0);
    assert_int_equal(before_time(101), 1); /* 0 and 1 are of 100: from 1 on */
    assert_int_equal(before_time(110), 1);
    assert_int_equal(before_time(111), 3);
    assert_int_equal(before_time(1000), 9);
    must(store_index_place(writer, 4 * INDEX_PLACE_ENTRIES + 7, &place, &is_known, &error), &error);
    assert_true(is_known);
    assert_int_equal(place.time_ms, 120);
    assert_int_equal(place.offset, 28);
    must(store_index_place(writer, 10 * INDEX_PLACE_ENTRIES, &place, &is_known, &error), &error);
    assert_false(is_known);
}

static void the_file_is_its_owners_only(void **state)
{
    struct stat status;

    (void)state;
    (void)umask(0);
    open_writer();
    (void)begin(writer);
    post(1, 1, 1);
    commit(2);
    assert_int_equal(stat(path(), &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_int_equal(stat(folder_path(&folder, STORE_INDEX_NAME "-wal"), &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    (void)umask(022);
}

static void no_reader_makes_one(void **state)
{
    struct error error = { 0 };

    (void)state;
    assert_false(store_index_open_to_read(path(), VERSION, &reader, &error));
    assert_int_equal(error.code, ERROR_NOT_FOUND);
}

static void another_version_begins_anew(void **state)
{
    struct error error = { 0 };

    (void)state;
    open_writer();
    (void)begin(writer);
    commit(4);
    store_index_close(TAKE(writer));
    assert_false(store_index_open_to_read(path(), VERSION + 1, &reader, &error));
    assert_int_equal(error.code, ERROR_NOT_FOUND);
    error = (struct error){ 0 };
    must(store_index_open(path(), VERSION + 1, &writer, &error), &error);
    assert_int_equal(begin(writer), 0);
}

static void fill(unsigned count)
{
    open_writer();
    (void)begin(writer);
    for (unsigned i = 0; i < count; i++)
        post(1, i * 7919, i);
    commit(count);
    store_index_close(TAKE(writer));
}

/* What reads as ours may still turn out to be damaged: then that is what is told. */
static void expect_use_or_damage(void)
{
    struct index_posting posting = { 1, 1, 1, { { 1 } } };
    struct error error = { 0 };
    struct index_state at;

    if (store_index_begin(writer, &at, &error) &&
        store_index_add_posting(writer, &posting, &error) &&
        store_index_commit(writer, &at, &error))
        return;
    assert_int_equal(error.code, ERROR_INVALID);
}

/* Whatever stands in the file: an index comes out, an empty one where it does not read. */
static void a_torn_file_begins_anew(void **state)
{
    size_t size = 0;

    (void)state;
    fill(5000);
    size = folder_size(&folder, STORE_INDEX_NAME);
    assert_true(size > 16384);
    assert_int_equal(truncate(path(), 100), 0);
    open_writer();
    assert_int_equal(begin(writer), 0);
    store_index_close(TAKE(writer));

    for (size_t offset = 0; offset < 100; offset += 3) {
        store_index_close(TAKE(writer));
        assert_true(store_index_remove(path(), &(struct error){ 0 }));
        fill(100);
        folder_flip(&folder, STORE_INDEX_NAME, offset);
        open_writer();
        expect_use_or_damage();
    }
}

static void damage_in_a_page_is_told_as_such(void **state)
{
    uint64_t keys[1] = { 0 };
    const struct index_term term = { 1, keys, 1 };
    struct error error = { 0 };
    char garbage[4096];
    bool is_seen = false;
    int file;

    (void)state;
    fill(5000);
    memset(garbage, 0xfe, sizeof(garbage));
    file = open(path(), O_WRONLY);
    assert_true(file >= 0);
    for (size_t at = 5 * sizeof(garbage);
         at + sizeof(garbage) < folder_size(&folder, STORE_INDEX_NAME); at += sizeof(garbage))
        assert_int_equal(pwrite(file, garbage, sizeof(garbage), (off_t)at), sizeof(garbage));
    assert_int_equal(close(file), 0);
    open_writer();
    (void)begin(writer);
    for (unsigned i = 0; i < 5000 && !is_seen; i++) {
        struct index_search at = { .terms = &term, .term_count = 1, .chunk = 100, .budget = 9 };

        keys[0] = i * 7919;
        is_seen = !store_index_search(writer, &at, &error);
    }
    assert_true(is_seen);
    assert_int_equal(error.code, ERROR_INVALID);
}

static void tables_that_are_not_ours_are_not_used(void **state)
{
    char command[256];
    struct error error = { 0 };

    (void)state;
    fill(5000);
    (void)snprintf(command, sizeof(command),
                   "python3 -c \"import sqlite3; c = sqlite3.connect('%s'); "
                   "c.execute('CREATE VIEW extra AS SELECT 1'); c.commit()\"",
                   path());
    run_shell(command);
    assert_false(store_index_open_to_read(path(), VERSION, &reader, &error));
    assert_int_equal(error.code, ERROR_INVALID);
    open_writer();
    assert_int_equal(begin(writer), 0);
}

static void a_link_is_not_followed(void **state)
{
    struct error error = { 0 };
    char command[256];

    (void)state;
    (void)snprintf(command, sizeof(command), "ln -s %s/elsewhere %s", folder.path, path());
    run_shell(command);
    must(store_index_open(path(), VERSION, &writer, &error), &error);
    assert_int_not_equal(access(folder_path(&folder, "elsewhere"), F_OK), 0);
}

static void a_folder_that_cannot_be_written_is_read(void **state)
{
    char command[256];

    (void)state;
    fill(5000);
    (void)snprintf(command, sizeof(command), "chmod 0500 %s", folder.path);
    run_shell(command);
    open_reader();
    assert_int_equal(begin(reader), 5000);
    store_index_close(TAKE(reader));
    (void)snprintf(command, sizeof(command), "chmod 0700 %s", folder.path);
    run_shell(command);
}

static bool stop_never(struct str key, struct str value, void *context)
{
    (void)key;
    (void)value;
    (void)context;
    return true;
}

static void what_takes_too_long_is_cut_off(void **state)
{
    struct error error = { 0 };
    char key[16];

    (void)state;
    open_writer();
    (void)begin(writer);
    for (unsigned i = 0; i < 5000; i++) {
        (void)snprintf(key, sizeof(key), "%05u", i);
        must(store_index_put_row(writer, 1, str_from(key), STR("x"), &error), &error);
    }
    store_index_set_deadline(writer, clock_monotonic_ns() - 1);
    assert_false(store_index_each_row(writer, 1, STR(""), stop_never, NULL, &error));
    assert_int_equal(error.code, ERROR_INDEX);
    store_index_set_deadline(writer, 0);
    store_index_end(writer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            what_is_committed_is_there_for_readers_and_after_a_new_start, make, clean),
        cmocka_unit_test_setup_teardown(what_is_not_committed_is_forgotten, make, clean),
        cmocka_unit_test_setup_teardown(a_reader_sees_one_moment, make, clean),
        cmocka_unit_test_setup_teardown(entries_are_found_from_new_to_old, make, clean),
        cmocka_unit_test_setup_teardown(terms_are_joined_and_their_keys_are_alternatives, make,
                                        clean),
        cmocka_unit_test_setup_teardown(a_search_answers_as_a_scan_would, make, clean),
        cmocka_unit_test_setup_teardown(a_search_ends_at_its_oldest_chunk, make, clean),
        cmocka_unit_test_setup_teardown(a_posting_can_be_taken_out, make, clean),
        cmocka_unit_test_setup_teardown(rows_are_kept_in_order_of_their_keys, make, clean),
        cmocka_unit_test_setup_teardown(a_rows_size_is_bounded, make, clean),
        cmocka_unit_test_setup_teardown(a_time_is_found_among_places, make, clean),
        cmocka_unit_test_setup_teardown(the_file_is_its_owners_only, make, clean),
        cmocka_unit_test_setup_teardown(no_reader_makes_one, make, clean),
        cmocka_unit_test_setup_teardown(another_version_begins_anew, make, clean),
        cmocka_unit_test_setup_teardown(a_torn_file_begins_anew, make, clean),
        cmocka_unit_test_setup_teardown(damage_in_a_page_is_told_as_such, make, clean),
        cmocka_unit_test_setup_teardown(tables_that_are_not_ours_are_not_used, make, clean),
        cmocka_unit_test_setup_teardown(a_link_is_not_followed, make, clean),
        cmocka_unit_test_setup_teardown(a_folder_that_cannot_be_written_is_read, make, clean),
        cmocka_unit_test_setup_teardown(what_takes_too_long_is_cut_off, make, clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
