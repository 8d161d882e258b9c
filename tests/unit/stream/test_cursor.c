#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "ledger/help.h"
#include "ledger/ledger.h"
#include "stream/batch.h"
#include "stream/cursor.h"
#include "tests/test.h"

#define HERE STR("a.example/log")

static struct place place;
static struct ledger *ledger;
static struct store_reader *reader;
static struct store_reader *other;
static struct ledger *other_ledger;
static struct place other_place;

static int make(void **state)
{
    struct error error = { 0 };

    (void)state;
    place_make(&place);
    ledger = place_open(&place);
    append_many(ledger, 5);
    assert_true(ledger_reader(ledger, &reader, &error));
    place_make(&other_place);
    other_ledger = place_open(&other_place);
    (void)append_one(other_ledger, entry_started());
    append_many(other_ledger, 5);
    assert_true(ledger_reader(other_ledger, &other, &error));
    return 0;
}

static int drop(void **state)
{
    (void)state;
    store_reader_close(reader);
    store_reader_close(other);
    ledger_close(ledger);
    ledger_close(other_ledger);
    place_remove(&place);
    place_remove(&other_place);
    return 0;
}

static const char *path(void)
{
    return place_path(&place, "cursor.json");
}

static void a_cursor_is_kept(void **state)
{
    struct error error = { 0 };
    struct cursor cursor;
    struct cursor again = { 0 };
    bool is_there = false;

    (void)state;
    for (uint64_t next = 0; next <= 5; next++) {
        assert_true(cursor_at(reader, next, &cursor, &error));
        assert_true(cursor_save(path(), HERE, &cursor, &error));
        assert_true(cursor_load(path(), HERE, &again, &is_there, &error));
        assert_true(is_there);
        assert_int_equal(again.next, next);
        assert_true(merkle_hash_eq(&again.leaf, &cursor.leaf));
        assert_true(cursor_check(path(), &again, reader, &error));
    }
}

static void without_a_file_there_is_none(void **state)
{
    struct error error = { 0 };
    struct cursor cursor = { 0 };
    bool is_there = true;

    (void)state;
    (void)unlink(path());
    assert_true(cursor_load(path(), HERE, &cursor, &is_there, &error));
    assert_false(is_there);
}

static void expect_refusal(const struct error *error, const char *cause)
{
    assert_int_equal(error->code, ERROR_INVALID);
    assert_non_null(strstr(error->cause, cause));
    assert_non_null(strstr(error->cause, "remove that file"));
}

static void a_cursor_of_another_ledger_is_refused(void **state)
{
    struct error of_origin = { 0 };
    struct error of_leaf = { 0 };
    struct error of_size = { 0 };
    struct cursor cursor;
    bool is_there = false;

    (void)state;
    assert_true(cursor_at(reader, 3, &cursor, &of_origin));
    assert_true(cursor_save(path(), HERE, &cursor, &of_origin));
    assert_false(cursor_load(path(), STR("b.example/log"), &cursor, &is_there, &of_origin));
    expect_refusal(&of_origin, "another origin");
    assert_false(cursor_check(path(), &cursor, other, &of_leaf));
    expect_refusal(&of_leaf, "another ledger");
    cursor.next = 6;
    assert_false(cursor_check(path(), &cursor, reader, &of_size));
    expect_refusal(&of_size, "at entry 6, and the ledger has 5");
}

static void what_is_no_cursor_is_refused(void **state)
{
#define LEAF "\"leaf\":\"0000000000000000000000000000000000000000000000000000000000000000\""
#define ORIGIN_HERE "\"origin\":\"a.example/log\""
    static const char *const texts[] = {
        "",
        "{}",
        "[]",
        "{\"version\":1,\"next\":3," ORIGIN_HERE "}",
        "{\"version\":2,\"next\":3," ORIGIN_HERE "," LEAF "}",
        "{\"version\":1,\"next\":-1," ORIGIN_HERE "," LEAF "}",
        "{\"version\":1,\"next\":\"3\"," ORIGIN_HERE "," LEAF "}",
        "{\"version\":1,\"next\":99999999999999999999," ORIGIN_HERE "," LEAF "}",
        "{\"version\":1,\"next\":3," LEAF "}",
        "{\"version\":1,\"next\":3," ORIGIN_HERE ",\"leaf\":\"00\"}",
        "{\"version\":1,\"next\":3," ORIGIN_HERE "," LEAF "",
    };
    struct cursor cursor;
    bool is_there;

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct error error = { 0 };

        assert_true(file_replace(path(), str_from(texts[i]), 0600, &error));
        assert_false(cursor_load(path(), HERE, &cursor, &is_there, &error));
        expect_refusal(&error, "is no cursor");
    }
}

/* Reading entries for a stream. */

static struct stream_batch batch;

static void fill(const struct stream_options *options, uint64_t next)
{
    struct error error = { 0 };

    batch_clear(&batch);
    assert_true(batch_fill(&batch, options, reader, next, &error));
}

static void a_batch_has_at_most_so_many_entries(void **state)
{
    struct stream_options options = { .batch_entries = 2, .batch_bytes = STREAM_BATCH_BYTES_MIN };

    (void)state;
    fill(&options, 1);
    assert_int_equal(batch.count, 2);
    assert_int_equal(batch.items[0].index, 1);
    assert_int_equal(batch.end, 3);
    fill(&options, 4);
    assert_int_equal(batch.count, 1);
    assert_int_equal(batch.end, 5);
    fill(&options, 5);
    assert_int_equal(batch.count, 0);
    assert_int_equal(batch.end, 5);
    /* no more than fits, however large the next one is */
    options.batch_bytes = STORE_ENTRY_MAX + 1;
    options.batch_entries = 5;
    fill(&options, 0);
    assert_int_equal(batch.count, 1);
    batch_clear(&batch);
}

static void what_a_stream_leaves_out_is_passed_over(void **state)
{
    static const struct str only[] = { STR_INIT("lease.*") };
    const struct stream_options options = {
        .batch_entries = 10,
        .batch_bytes = STREAM_BATCH_BYTES_MIN,
        .only = only,
        .only_count = 1,
    };

    (void)state;
    fill(&options, 0);
    assert_int_equal(batch.count, 0);
    assert_int_equal(batch.end, 5);
    batch_clear(&batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cursor_is_kept),
        cmocka_unit_test(without_a_file_there_is_none),
        cmocka_unit_test(a_cursor_of_another_ledger_is_refused),
        cmocka_unit_test(what_is_no_cursor_is_refused),
        cmocka_unit_test(a_batch_has_at_most_so_many_entries),
        cmocka_unit_test(what_a_stream_leaves_out_is_passed_over),
    };

    return cmocka_run_group_tests(tests, make, drop);
}
