#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/frame.h"
#include "store/help.h"
#include "store/segment.h"
#include "tests/test.h"

#define FIRST_SEGMENT "segments/00000000000000000000.seg"
#define ROLL_OFTEN 4096

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

static void remove_file(const struct folder *folder, const char *name)
{
    assert_int_equal(unlink(folder_path(folder, name)), 0);
}

/* Offsets of the frames of a segment, and of its end. */
static size_t frame_offsets(const struct folder *folder, uint64_t first_index, uint64_t *offsets,
                            size_t max)
{
    struct segment_view view;
    struct frame frame = { 0 };
    struct error error = { 0 };
    enum frame_status status = FRAME_WHOLE;
    uint64_t index = first_index;
    size_t count = 0;
    int descriptor = open(folder_path(folder, "segments"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    segment_view_init(&view);
    assert_true(segment_view_open(&view, descriptor, first_index, &error));
    offsets[0] = 0;
    while (segment_view_frame(&view, offsets[count], index, &status, &frame, &error) &&
           status == FRAME_WHOLE) {
        assert_true(count + 1 < max);
        offsets[count + 1] = offsets[count] + frame_len(&frame.head);
        index += frame.head.entry_count;
        count++;
    }
    segment_view_release(&view);
    (void)close(descriptor);
    return count;
}

static void zero_range(const struct folder *folder, const char *name, uint64_t offset, size_t len)
{
    int file = open(folder_path(folder, name), O_WRONLY | O_CLOEXEC);

    assert_int_equal(segment_write_zeros(file, offset, len), 0);
    (void)close(file);
}

/* Five entries, without a snapshot and with few zeros, so that copies are quick. */
static void make_small_store(const struct folder *folder, uint64_t offsets[8])
{
    struct store *store = open_store(folder, ROLL_OFTEN);

    append_many(store, 0, 5);
    store_close(store);
    remove_file(folder, "snapshot");
    assert_int_equal(frame_offsets(folder, 0, offsets, 8), 5);
    assert_int_equal(truncate(folder_path(folder, FIRST_SEGMENT), (off_t)offsets[5] + 256), 0);
}

static void expect_recovery(const struct folder *folder, unsigned count)
{
    struct store *store = open_store(folder, ROLL_OFTEN);

    assert_int_equal(store_size(store), count);
    append_many(store, count, 2);
    store_close(store);
    expect_entries(folder, count + 2);
}

static void an_end_torn_at_any_byte_is_cut(void **state)
{
    uint64_t offsets[8] = { 0 };

    make_small_store(*state, offsets);
    for (uint64_t at = offsets[4]; at < offsets[5]; at++) {
        struct folder copy;

        folder_copy(*state, &copy);
        zero_range(&copy, FIRST_SEGMENT, at, (size_t)(offsets[5] - at));
        /* The last byte of a frame may be padding, which is zero anyway. */
        if (at + FRAME_ALIGNMENT <= offsets[5])
            expect_recovery(&copy, 4);
        folder_remove(&copy);
    }
}

/* Where no more than its lengths reached the disk its entry is zeros, as of one that is pruned. */
static void an_end_of_which_no_entry_is_there_is_cut(void **state)
{
    uint64_t offsets[8] = { 0 };
    struct store *store = open_store(*state, ROLL_OFTEN);

    append_many(store, 0, 4);
    assert_true(append_now(store, "this is longer than what pruning leaves"));
    store_close(store);
    remove_file(*state, "snapshot");
    assert_int_equal(frame_offsets(*state, 0, offsets, 8), 5);
    for (uint64_t at = offsets[4]; at + FRAME_ALIGNMENT <= offsets[5]; at++) {
        struct folder copy;

        folder_copy(*state, &copy);
        zero_range(&copy, FIRST_SEGMENT, at, (size_t)(offsets[5] - at));
        expect_recovery(&copy, 4);
        folder_remove(&copy);
    }
}

static void a_file_cut_at_any_byte_of_its_end_is_recovered(void **state)
{
    uint64_t offsets[8] = { 0 };

    make_small_store(*state, offsets);
    for (uint64_t at = offsets[4]; at < offsets[5]; at += 7) {
        struct folder copy;

        folder_copy(*state, &copy);
        assert_int_equal(truncate(folder_path(&copy, FIRST_SEGMENT), (off_t)at), 0);
        expect_recovery(&copy, 4);
        folder_remove(&copy);
    }
}

static void an_end_whose_beginning_is_lost_is_cut(void **state)
{
    uint64_t offsets[8] = { 0 };

    make_small_store(*state, offsets);
    zero_range(*state, FIRST_SEGMENT, offsets[4], 16);
    expect_recovery(*state, 4);
}

static void a_changed_byte_in_the_middle_is_refused(void **state)
{
    uint64_t offsets[8] = { 0 };

    make_small_store(*state, offsets);
    for (uint64_t at = 0; at < offsets[4]; at++) {
        folder_flip(*state, FIRST_SEGMENT, (size_t)at);
        expect_no_store(*state, ERROR_INVALID, "offset");
        folder_flip(*state, FIRST_SEGMENT, (size_t)at);
    }
    expect_recovery(*state, 5);
}

static void zeros_in_the_middle_are_refused(void **state)
{
    uint64_t offsets[8] = { 0 };

    make_small_store(*state, offsets);
    zero_range(*state, FIRST_SEGMENT, offsets[2], (size_t)(offsets[3] - offsets[2]));
    expect_no_store(*state, ERROR_INVALID, "damaged");
}

static void a_damaged_private_part_is_torn_only_at_the_end(void **state)
{
    struct store *store = open_store(*state, ROLL_OFTEN);
    uint64_t offsets[8] = { 0 };

    for (unsigned i = 0; i < 2; i++) {
        struct append *append = append_new(i == 0 ? "entry 0" : "entry 1");

        append_private(append, "a private part of some length");
        assert_true(append_submit(append, store));
        assert_true(append_wait(append));
        append_free(append);
    }
    store_close(store);
    remove_file(*state, "snapshot");
    assert_int_equal(frame_offsets(*state, 0, offsets, 8), 2);
    folder_flip(*state, FIRST_SEGMENT, (size_t)offsets[1] - 12);
    expect_no_store(*state, ERROR_INVALID, "private");
    folder_flip(*state, FIRST_SEGMENT, (size_t)offsets[1] - 12);
    folder_flip(*state, FIRST_SEGMENT, (size_t)offsets[2] - 12);
    expect_recovery(*state, 1);
}

static void a_missing_segment_is_refused(void **state)
{
    struct store *store = open_store(*state, ROLL_OFTEN);
    uint64_t offsets[128] = { 0 };
    char name[64];

    append_many(store, 0, 300);
    store_close(store);
    remove_file(*state, "snapshot");
    (void)snprintf(name, sizeof(name), "segments/%020u.seg",
                   (unsigned)frame_offsets(*state, 0, offsets, COUNT(offsets)));
    remove_file(*state, name);
    expect_no_store(*state, ERROR_INVALID, "missing");
    remove_file(*state, FIRST_SEGMENT);
    expect_no_store(*state, ERROR_INVALID, "the first segment is missing");
}

static void damage_at_the_end_of_an_earlier_segment_is_refused(void **state)
{
    struct store *store = open_store(*state, ROLL_OFTEN);
    uint64_t offsets[128] = { 0 };
    size_t count = 0;

    append_many(store, 0, 300);
    store_close(store);
    remove_file(*state, "snapshot");
    count = frame_offsets(*state, 0, offsets, COUNT(offsets));
    folder_flip(*state, FIRST_SEGMENT, (size_t)offsets[count] - 20);
    expect_no_store(*state, ERROR_INVALID, "damaged");
}

static void a_log_that_ends_before_its_snapshot_is_refused(void **state)
{
    struct store *store = open_store(*state, ROLL_OFTEN);
    uint64_t offsets[8] = { 0 };

    append_many(store, 0, 5);
    store_close(store);
    assert_int_equal(frame_offsets(*state, 0, offsets, 8), 5);
    zero_range(*state, FIRST_SEGMENT, offsets[4], (size_t)(offsets[5] - offsets[4]));
    expect_no_store(*state, ERROR_INVALID, "the snapshot knows more entries");
}

static void segments_that_vanished_are_refused(void **state)
{
    struct store *store = open_store(*state, ROLL_OFTEN);

    append_many(store, 0, 5);
    store_close(store);
    remove_file(*state, FIRST_SEGMENT);
    expect_no_store(*state, ERROR_INVALID, "no segments");
}

static void a_missing_or_bad_snapshot_only_costs_time(void **state)
{
    struct store *store = open_store(*state, ROLL_OFTEN);

    assert_true(append_now(store, "mark 1 4102444800"));
    for (unsigned i = 0; i < 100; i++)
        assert_true(append_now(store, "lease 1 2 4102444800"));
    store_close(store);
    folder_flip(*state, "snapshot", 60);
    store = open_store(*state, ROLL_OFTEN);
    assert_true(has_mark(store, 1));
    assert_true(append_now(store, "free 1"));
    store_close(store);
    remove_file(*state, "snapshot");
    store = open_store(*state, ROLL_OFTEN);
    assert_false(has_mark(store, 1));
    assert_int_equal(store_size(store), 102);
    assert_int_equal(store_live_lease_count(store), 1);
    store_close(store);
}

static void an_older_snapshot_is_brought_up_to_date(void **state)
{
    struct store *store = open_store(*state, ROLL_OFTEN);
    char command[256];

    append_many(store, 0, 3);
    assert_true(append_now(store, "mark 1 4102444800"));
    store_close(store);
    (void)snprintf(command, sizeof(command), "cp %s/snapshot %s/older",
                   ((struct folder *)*state)->path, ((struct folder *)*state)->path);
    run_shell(command);
    store = open_store(*state, ROLL_OFTEN);
    append_many(store, 4, 200);
    assert_true(append_now(store, "free 1"));
    assert_true(append_now(store, "mark 2 4102444800"));
    store_close(store);
    (void)snprintf(command, sizeof(command), "mv %s/older %s/snapshot",
                   ((struct folder *)*state)->path, ((struct folder *)*state)->path);
    run_shell(command);
    store = open_store(*state, ROLL_OFTEN);
    assert_int_equal(store_size(store), 206);
    assert_false(has_mark(store, 1));
    assert_true(has_mark(store, 2));
    store_close(store);
}

#ifdef STAGEPASS_TEST_CLOCK
/* A process whose clock is hours ahead opens the store and closes it. */
static void open_with_a_clock_ahead(const struct folder *folder)
{
    pid_t child = fork();
    int status = -1;

    if (child == 0) {
        clock_test_advance((int64_t)3 * 3600);
        store_close(open_store(folder, 0));
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void a_start_with_a_clock_ahead_forgets_no_mark(void **state)
{
    struct store *store = open_store(*state, 0);
    struct append *again = append_new("entry 1");
    char command[64];

    (void)snprintf(command, sizeof(command), "mark 1 %lld", (long long)clock_wall_s() + 3600);
    assert_true(append_now(store, command));
    store_close(store);
    remove_file(*state, "snapshot");
    open_with_a_clock_ahead(*state);
    store = open_store(*state, 0);
    append_guard_mark(again, 1);
    assert_true(append_submit(again, store));
    assert_false(append_wait(again));
    append_free(again);
    store_close(store);
}
#endif

/* Else a log of more leases than there may be at a time could not be read again. */
static void leases_of_long_ago_are_forgotten_while_the_log_is_read(void **state)
{
    struct store *store = open_store(*state, 0);
    struct store_lease lease;
    char id[ID_LEN + 1];

    assert_true(append_now(store, "lease 1 2 1000"));
    append_many(store, 1, 300);
    store_close(store);
    remove_file(*state, "snapshot");
    store = open_store(*state, 0);
    lease_id_of(1, id);
    assert_false(store_lease_by_id(store, str_from(id), &lease, &(struct error){ 0 }));
    store_close(store);
}

static void an_entry_without_sense_stops_the_start(void **state)
{
    struct store *store = open_store(*state, 0);

    append_many(store, 0, 2);
    assert_true(append_now(store, "nonsense"));
    store_close(store);
    remove_file(*state, "snapshot");
    expect_no_store(*state, ERROR_INVALID, "entry 2");
}

/* Append marks for ever, and tell of each one that is durable. */
static _Noreturn void append_until_killed(const struct folder *folder, int told)
{
    struct store *store = open_store(folder, (size_t)64 * 1024);

    for (unsigned i = 0;; i += 8) {
        struct append *appends[8];

        for (unsigned k = 0; k < 8; k++) {
            char command[32];

            (void)snprintf(command, sizeof(command), "mark %u 4102444800", i + k);
            appends[k] = append_new(command);
            append_guard_mark(appends[k], i + k);
            if (!append_submit(appends[k], store))
                abort();
        }
        for (unsigned k = 0; k < 8; k++) {
            unsigned number = i + k;

            if (!append_wait(appends[k]) || write(told, &number, sizeof(number)) < 0)
                abort();
            append_free(appends[k]);
        }
    }
}

/* Start the writer, read what it tells until `enough`, kill it: the number of acknowledged marks.
 */
static unsigned kill_in_the_middle(const struct folder *folder, unsigned enough)
{
    int told[2];
    unsigned number = 0;
    unsigned count = 0;
    pid_t child = -1;

    assert_int_equal(pipe(told), 0);
    child = fork();
    if (child == 0) {
        (void)close(told[0]);
        append_until_killed(folder, told[1]);
    }
    (void)close(told[1]);
    while (count < enough && read(told[0], &number, sizeof(number)) == sizeof(number))
        count = number + 1;
    (void)kill(child, SIGKILL);
    while (read(told[0], &number, sizeof(number)) == sizeof(number))
        count = number + 1;
    assert_int_equal(waitpid(child, NULL, 0), child);
    (void)close(told[0]);
    return count;
}

static void what_was_acknowledged_survives_kill_9(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 8; round++) {
        struct folder folder;
        struct store *store = NULL;
        unsigned count = 0;

        folder_make(&folder);
        count = kill_in_the_middle(&folder, 100 + round * 371);
        assert_true(count >= 100);
        store = open_store(&folder, (size_t)64 * 1024);
        assert_true(store_size(store) >= count);
        for (unsigned i = 0; i < count; i++)
            assert_true(has_mark(store, i));
        append_many(store, 0, 1);
        store_close(store);
        store_close(open_store(&folder, (size_t)64 * 1024));
        folder_remove(&folder);
    }
}

int main(void)
{
#define STORE_TEST(function) cmocka_unit_test_setup_teardown(function, make, clean)
    const struct CMUnitTest tests[] = {
        /* First, while the process has no threads yet that a fork would leave behind. */
        cmocka_unit_test(what_was_acknowledged_survives_kill_9),
        STORE_TEST(an_end_torn_at_any_byte_is_cut),
        STORE_TEST(an_end_of_which_no_entry_is_there_is_cut),
        STORE_TEST(a_file_cut_at_any_byte_of_its_end_is_recovered),
        STORE_TEST(an_end_whose_beginning_is_lost_is_cut),
        STORE_TEST(a_changed_byte_in_the_middle_is_refused),
        STORE_TEST(zeros_in_the_middle_are_refused),
        STORE_TEST(a_damaged_private_part_is_torn_only_at_the_end),
        STORE_TEST(a_missing_segment_is_refused),
        STORE_TEST(damage_at_the_end_of_an_earlier_segment_is_refused),
        STORE_TEST(a_log_that_ends_before_its_snapshot_is_refused),
        STORE_TEST(segments_that_vanished_are_refused),
        STORE_TEST(a_missing_or_bad_snapshot_only_costs_time),
        STORE_TEST(an_older_snapshot_is_brought_up_to_date),
        STORE_TEST(an_entry_without_sense_stops_the_start),
#ifdef STAGEPASS_TEST_CLOCK
        STORE_TEST(a_start_with_a_clock_ahead_forgets_no_mark),
#endif
        STORE_TEST(leases_of_long_ago_are_forgotten_while_the_log_is_read),
    };
#undef STORE_TEST

    return cmocka_run_group_tests(tests, NULL, NULL);
}
