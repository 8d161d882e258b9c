/*
 * Who can write to a store, but has not the key: entries dropped, put in twice, in another place,
 * cut, replaced or added, in frames whose checksums are right, and tiles made anew to fit them.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "ledger/audit.h"
#include "ledger/help.h"
#include "ledger/tile_builder.h"
#include "store/frame.h"
#include "store/store.h"
#include "tests/test.h"

#define COUNT_OF_ENTRIES 19
#define ENTRIES_MAX (COUNT_OF_ENTRIES + 2)
#define FRAME_ENTRIES 4
#define SEGMENT "store/segments/00000000000000000000.seg"

struct list {
    struct str entries[ENTRIES_MAX];
    size_t count;
};

struct fixture {
    struct place place;
    struct arena *arena;
    struct list honest;
};

static void read_entries(struct fixture *fixture)
{
    struct store_reader *reader = NULL;
    struct error error = { 0 };

    assert_true(store_reader_open(fixture->place.store, &reader, &error));
    for (size_t i = 0; i < store_reader_size(reader); i++) {
        struct str entry;

        assert_true(store_reader_get(reader, i, &entry, NULL, &error));
        fixture->honest.entries[i] = arena_copy(fixture->arena, entry);
    }
    fixture->honest.count = store_reader_size(reader);
    store_reader_close(reader);
}

static int make(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    struct ledger *ledger = NULL;

    place_make(&fixture->place);
    fixture->arena = arena_new(ARENA_REQUEST_MAX);
    ledger = place_open(&fixture->place);
    append_many(ledger, 11);
    append_one(ledger, entry_issued(1));
    append_many(ledger, COUNT_OF_ENTRIES - 12);
    ledger_close(ledger);
    read_entries(fixture);
    assert_int_equal(fixture->honest.count, COUNT_OF_ENTRIES);
    run_shell("cp -r store/log honest", &fixture->place);
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

/* Segments as the store writes them, but by whoever can. */
static void write_segment(const struct fixture *fixture, const struct list *list)
{
    static const char zeros[4096];
    struct frame_builder builder = { 0 };
    int file = open(place_path(&fixture->place, SEGMENT), O_WRONLY | O_TRUNC | O_CLOEXEC);

    assert_true(file >= 0 && frame_builder_init(&builder));
    for (size_t i = 0; i < list->count;) {
        struct str frame;

        frame_builder_clear(&builder, i);
        for (size_t k = 0; k < FRAME_ENTRIES && i < list->count; k++)
            frame_builder_add(&builder, list->entries[i++], STR(""));
        frame = frame_builder_finish(&builder, 1);
        assert_int_equal(write(file, frame.data, frame.len), (ssize_t)frame.len);
    }
    assert_int_equal(write(file, zeros, sizeof(zeros)), (ssize_t)sizeof(zeros));
    (void)close(file);
    frame_builder_release(&builder);
}

/* Tiles and bundles of what is in the segment now, under the honest checkpoint. */
static void write_tiles(const struct fixture *fixture)
{
    struct tile_edge *edge = calloc(1, sizeof(*edge));
    struct store_reader *reader = NULL;
    struct tile_builder builder;
    struct error error = { 0 };
    int tiles = -1;

    run_shell("rm -rf store/log/tile && mkdir store/log/tile", &fixture->place);
    tiles = open(place_path(&fixture->place, "store/log/tile"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(store_reader_open(fixture->place.store, &reader, &error));
    tile_builder_init(&builder, reader, tiles);
    assert_true(tile_builder_write(&builder, edge, store_reader_size(reader), &error));
    tile_builder_release(&builder);
    store_reader_close(reader);
    (void)close(tiles);
    free(edge);
}

static bool holds(const struct fixture *fixture, struct audit_report *report, struct error *error)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_REQUEST_MAX);
    struct note_verifier verifier = { 0 };
    const struct note_trust trust = { .logs = &verifier, .log_count = 1 };
    const struct audit_options options = { .folder = fixture->place.store, .trust = &trust };
    bool does_hold = false;

    *error = (struct error){ 0 };
    assert_true(note_verifier_parse(STR(VECTOR_VERIFIER), &verifier, error));
    does_hold = audit_both_ways(&options, arena, report, error);
    report->origin = (struct str){ 0 };
    return does_hold;
}

/* With the honest tiles, and for some with tiles that fit, which take time to sync. */
static void expect_noticed(const struct fixture *fixture, const struct list *list, size_t index,
                           const char *what)
{
    struct audit_report report;
    struct error error;

    run_shell("rm -rf store/log && cp -r honest store/log", &fixture->place);
    write_segment(fixture, list);
    for (int i = 0; i < (index % 6 == 0 ? 2 : 1); i++) {
        if (holds(fixture, &report, &error))
            fail_msg("entry %zu %s: not noticed%s", index, what, i == 0 ? "" : " with its tiles");
        assert_int_equal(error.code, ERROR_INVALID);
        assert_true(report.bad_index <= COUNT_OF_ENTRIES);
        if (i == 0 && index % 6 == 0)
            write_tiles(fixture);
    }
}

static void the_honest_log_holds_when_it_is_written_again(void **state)
{
    struct fixture *fixture = *state;
    struct audit_report report;
    struct error error;

    write_segment(fixture, &fixture->honest);
    if (!holds(fixture, &report, &error))
        fail_msg("%s", error.cause);
    write_tiles(fixture);
    if (!holds(fixture, &report, &error))
        fail_msg("%s", error.cause);
    assert_int_equal(report.checkpoint_size, COUNT_OF_ENTRIES);
}

static void a_dropped_entry_is_noticed(void **state)
{
    struct fixture *fixture = *state;

    for (size_t at = 0; at < COUNT_OF_ENTRIES; at++) {
        struct list list = fixture->honest;

        memmove(&list.entries[at], &list.entries[at + 1],
                (list.count - at - 1) * sizeof(*list.entries));
        list.count--;
        expect_noticed(fixture, &list, at, "dropped");
    }
}

static void an_entry_that_is_there_twice_is_noticed(void **state)
{
    struct fixture *fixture = *state;

    for (size_t at = 0; at < COUNT_OF_ENTRIES - 1; at++) {
        struct list list = fixture->honest;

        memmove(&list.entries[at + 1], &list.entries[at],
                (list.count - at) * sizeof(*list.entries));
        list.count++;
        expect_noticed(fixture, &list, at, "twice");
    }
}

/* They stand in one bundle, whose entries are looked at together. */
static void of_two_faults_the_first_is_told(void **state)
{
    struct fixture *fixture = *state;
    struct list list = fixture->honest;
    struct str early = arena_copy(fixture->arena, list.entries[5]);
    struct audit_report report;
    struct error error;
    char *time = NULL;

    assert_non_null(early.data);
    time = strstr(early.data, "\"time\":\"20");
    assert_non_null(time);
    time[sizeof("\"time\":\"20") - 1] = '0';
    list.entries[5] = early;
    list.entries[10] = STR("nonsense");
    write_segment(fixture, &list);
    assert_false(holds(fixture, &report, &error));
    assert_int_equal(report.bad_index, 5);
    assert_non_null(strstr(error.cause, "time is before"));
    list.entries[5] = fixture->honest.entries[5];
    write_segment(fixture, &list);
    assert_false(holds(fixture, &report, &error));
    assert_int_equal(report.bad_index, 10);
}

static void swapped_entries_are_noticed(void **state)
{
    struct fixture *fixture = *state;

    for (size_t at = 0; at + 1 < COUNT_OF_ENTRIES; at++) {
        struct list list = fixture->honest;

        list.entries[at] = fixture->honest.entries[at + 1];
        list.entries[at + 1] = fixture->honest.entries[at];
        expect_noticed(fixture, &list, at, "swapped");
    }
}

static void a_cut_or_replaced_entry_is_noticed(void **state)
{
    struct fixture *fixture = *state;
    size_t issued = 11;

    for (size_t at = 0; at < COUNT_OF_ENTRIES; at++) {
        struct list list = fixture->honest;

        list.entries[at].len--;
        expect_noticed(fixture, &list, at, "cut by a byte");
        list.entries[at].len = 0;
        expect_noticed(fixture, &list, at, "cut to nothing");
        list.entries[at] = fixture->honest.entries[at == issued ? 0 : issued];
        expect_noticed(fixture, &list, at, "replaced by another one");
    }
}

static void a_log_that_is_cut_is_noticed(void **state)
{
    struct fixture *fixture = *state;

    for (size_t count = 0; count < COUNT_OF_ENTRIES; count++) {
        struct list list = fixture->honest;

        list.count = count;
        expect_noticed(fixture, &list, count, "and the rest cut off");
    }
}

/* What nobody has signed yet may be anything; it is counted apart. */
static void what_is_added_behind_the_checkpoint_is_not_called_signed(void **state)
{
    struct fixture *fixture = *state;
    struct list list = fixture->honest;
    struct audit_report report;
    struct error error;

    list.entries[list.count++] = fixture->honest.entries[COUNT_OF_ENTRIES - 1];
    write_segment(fixture, &list);
    assert_true(holds(fixture, &report, &error));
    assert_int_equal(report.entry_count, COUNT_OF_ENTRIES + 1);
    assert_int_equal(report.checkpoint_size, COUNT_OF_ENTRIES);
}

int main(void)
{
#define TAMPERING_TEST(function) cmocka_unit_test_setup_teardown(function, make, clean)
    const struct CMUnitTest tests[] = {
        TAMPERING_TEST(the_honest_log_holds_when_it_is_written_again),
        TAMPERING_TEST(a_dropped_entry_is_noticed),
        TAMPERING_TEST(an_entry_that_is_there_twice_is_noticed),
        TAMPERING_TEST(of_two_faults_the_first_is_told),
        TAMPERING_TEST(swapped_entries_are_noticed),
        TAMPERING_TEST(a_cut_or_replaced_entry_is_noticed),
        TAMPERING_TEST(a_log_that_is_cut_is_noticed),
        TAMPERING_TEST(what_is_added_behind_the_checkpoint_is_not_called_signed),
    };
#undef TAMPERING_TEST

    return cmocka_run_group_tests(tests, NULL, NULL);
}
