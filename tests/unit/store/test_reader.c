#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/time_text.h"
#include "store/frame.h"
#include "store/help.h"
#include "store/segment.h"
#include "tests/test.h"

#define FIRST_SEGMENT "segments/00000000000000000000.seg"
#define ROLL_OFTEN ((size_t)8192)
#define MB (1024 * 1024)

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

static void expect_entry(struct store_reader *reader, unsigned index)
{
    struct error error = { 0 };
    struct str entry = { 0 };
    char command[32];

    (void)snprintf(command, sizeof(command), "entry %u", index);
    if (!store_reader_get(reader, index, &entry, NULL, &error))
        fail_msg("entry %u: %s", index, error.cause);
    assert_true(str_eq(str_slice(entry, TIME_TEXT_MS_LEN + 1, 64), str_from(command)));
}

/* Bytes that this process has read so far, from files and the cache of their pages alike. */
static uint64_t read_so_far(void)
{
    FILE *file = fopen("/proc/self/io", "re");
    uint64_t bytes = 0;

    assert_non_null(file);
    assert_int_equal(fscanf(file, "rchar: %" SCNu64, &bytes), 1);
    (void)fclose(file);
    return bytes;
}

static size_t write_text(uint64_t index, char text[2048])
{
    size_t head = (size_t)snprintf(text, 64, "entry %" PRIu64 " ", index);
    size_t len = head + (size_t)(index * 7919 % 1900);

    memset(text + head, 'x', len - head);
    return len;
}

/* Frames of one to 200 entries of all lengths: where one stands nobody can calculate. */
static uint64_t write_segment(const struct folder *folder, uint64_t first, uint64_t end, long zeros)
{
    struct frame_builder builder;
    char name[SEGMENT_NAME_LEN + 1];
    char path[sizeof(SEGMENT_FOLDER) + sizeof(name)];
    FILE *file = NULL;
    char text[2048];

    segment_name(first, name);
    (void)snprintf(path, sizeof(path), SEGMENT_FOLDER "/%s", name);
    file = fopen(folder_path(folder, path), "we");
    assert_non_null(file);
    assert_true(frame_builder_init(&builder));
    while (first < end) {
        uint64_t count = first % 3 == 0 ? 1 : 1 + first * 31 % 200;
        struct str frame;

        frame_builder_clear(&builder, first);
        for (uint64_t i = 0; i < count; i++, first++)
            frame_builder_add(&builder, (struct str){ text, write_text(first, text) }, STR("p"));
        frame = frame_builder_finish(&builder, 1);
        assert_int_equal(fwrite(frame.data, 1, frame.len, file), frame.len);
    }
    assert_int_equal(fseek(file, zeros, SEEK_CUR), 0);
    assert_int_equal(fwrite("", 1, 1, file), 1);
    assert_int_equal(fclose(file), 0);
    frame_builder_release(&builder);
    return first;
}

static void expect_near(const struct folder *folder, uint64_t index, uint64_t size)
{
    OWNED(store_reader_close) struct store_reader *reader = NULL;
    struct error error = { 0 };
    struct str private_part = { 0 };
    struct str entry = { 0 };
    uint64_t before = 0;
    char text[2048];

    assert_true(store_reader_open(folder->path, &reader, &error));
    assert_int_equal(store_reader_size(reader), size);
    before = read_so_far();
    if (!store_reader_get(reader, index, &entry, &private_part, &error))
        fail_msg("entry %u: %s", (unsigned)index, error.cause);
    assert_in_range(read_so_far() - before, 1, 3 * MB);
    assert_true(str_eq(entry, (struct str){ text, write_text(index, text) }));
    assert_true(str_eq(private_part, STR("p")));
}

/* Whether all of it has entries, or zeros follow as in one that is written. */
static void the_middle_of_a_segment_is_found_without_reading_what_is_before(void **state)
{
    static const long zeros[] = { 0, 60L * MB };
    const struct folder *folder = *state;

    assert_int_equal(mkdir(folder_path(folder, SEGMENT_FOLDER), 0700), 0);
    for (size_t i = 0; i < COUNT(zeros); i++) {
        uint64_t second = write_segment(folder, 0, 20000, zeros[i]);
        uint64_t end = write_segment(folder, second, second + 10, 0);

        for (uint64_t k = 0; k < 40; k++)
            expect_near(folder, k * 104729 % end, end);
    }
}

static void a_place_leads_there_and_a_wrong_one_does_no_harm(void **state)
{
    enum {
        MANY = 500,
        PLACES = 10
    };
    struct store *store = open_store(*state, ROLL_OFTEN * 8);
    OWNED(store_reader_close) struct store_reader *reader = NULL;
    OWNED(store_reader_close) struct store_reader *other = NULL;
    struct store_place places[PLACES];
    struct error error = { 0 };

    append_many(store, 0, MANY);
    assert_true(store_reader_open(((struct folder *)*state)->path, &reader, &error));
    assert_true(store_reader_open(((struct folder *)*state)->path, &other, &error));
    assert_false(store_reader_place(reader, &places[0]));
    for (unsigned i = 0; i < PLACES; i++) {
        expect_entry(reader, i * 49);
        assert_true(store_reader_place(reader, &places[i]));
        assert_true(places[i].first_index <= i * 49);
    }
    for (unsigned i = PLACES; i-- > 0;) {
        store_reader_hint(other, &places[i]);
        expect_entry(other, i * 49 + 7);
    }
    for (unsigned i = 1; i < PLACES; i++) {
        struct store_place wrong[] = { places[i], places[i], places[i], places[i], places[i] };

        wrong[0].offset += 8;
        wrong[1].offset = UINT64_MAX - 3;
        wrong[2].segment++;
        wrong[3].first_index = MANY + 7;
        wrong[4].first_index -= 1;
        for (size_t each = 0; each < COUNT(wrong); each++) {
            store_reader_hint(reader, &wrong[each]);
            expect_entry(reader, i * 49 + 3);
            expect_entry(reader, MANY - 1);
        }
    }
    store_close(store);
}

static void where_there_is_no_store_there_is_no_reader(void **state)
{
    struct store_reader *reader = NULL;
    struct error error = { 0 };

    assert_false(store_reader_open(((struct folder *)*state)->path, &reader, &error));
    assert_int_equal(error.code, ERROR_INVALID);
    error = (struct error){ 0 };
    assert_false(store_reader_open(folder_path(*state, "missing"), &reader, &error));
    assert_int_equal(error.code, ERROR_IO);
}

static void damage_is_told_and_the_rest_can_be_read(void **state)
{
    struct store *store = open_store(*state, ROLL_OFTEN);
    OWNED(store_reader_close) struct store_reader *reader = NULL;
    struct error error = { 0 };
    struct str entry = { 0 };

    append_many(store, 0, 500);
    store_close(store);
    folder_flip(*state, FIRST_SEGMENT, 50);
    assert_true(store_reader_open(((struct folder *)*state)->path, &reader, &error));
    assert_int_equal(store_reader_size(reader), 500);
    assert_false(store_reader_get(reader, 0, &entry, NULL, &error));
    assert_int_equal(error.code, ERROR_INVALID);
    expect_entry(reader, 1);
    expect_entry(reader, 499);
}

static void damage_in_the_last_segment_ends_the_log_there(void **state)
{
    struct store *store = open_store(*state, 0);
    OWNED(store_reader_close) struct store_reader *reader = NULL;
    struct error error = { 0 };
    struct str entry = { 0 };

    append_many(store, 0, 20);
    store_close(store);
    folder_flip(*state, FIRST_SEGMENT, 50);
    assert_true(store_reader_open(((struct folder *)*state)->path, &reader, &error));
    assert_int_equal(store_reader_size(reader), 0);
    assert_false(store_reader_get(reader, 0, &entry, NULL, &error));
    assert_int_equal(error.code, ERROR_INVALID);
    assert_non_null(strstr(error.cause, "offset 0"));
}

int main(void)
{
#define STORE_TEST(function) cmocka_unit_test_setup_teardown(function, make, clean)
    const struct CMUnitTest tests[] = {
        STORE_TEST(the_middle_of_a_segment_is_found_without_reading_what_is_before),
        STORE_TEST(a_place_leads_there_and_a_wrong_one_does_no_harm),
        STORE_TEST(where_there_is_no_store_there_is_no_reader),
        STORE_TEST(damage_is_told_and_the_rest_can_be_read),
        STORE_TEST(damage_in_the_last_segment_ends_the_log_there),
    };
#undef STORE_TEST

    return cmocka_run_group_tests(tests, NULL, NULL);
}
