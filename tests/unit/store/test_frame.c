#include <stdlib.h>
#include <string.h>

#include "store/frame.h"
#include "store/store.h"
#include "tests/test.h"

/* A frame of two entries, the first with a private part, in memory of its own. */
static uint8_t *make_frame(size_t *len)
{
    struct frame_builder builder = { 0 };
    uint8_t *copy = NULL;
    struct str bytes = { 0 };

    assert_true(frame_builder_init(&builder));
    frame_builder_clear(&builder, 1042);
    frame_builder_add(&builder, STR("first entry"), STR("secret"));
    frame_builder_add(&builder, STR("second"), STR(""));
    bytes = frame_builder_finish(&builder, 1763805600123);
    copy = malloc(bytes.len);
    assert_non_null(copy);
    memcpy(copy, bytes.data, bytes.len);
    *len = bytes.len;
    frame_builder_release(&builder);
    return copy;
}

static bool read_whole(const uint8_t *bytes, struct frame *frame)
{
    struct frame_head head = { 0 };

    return frame_head_read(bytes, &head) && frame_read(bytes, &head, frame);
}

static void a_frame_gives_back_what_was_put_in(void **state)
{
    size_t len = 0;
    uint8_t *bytes = make_frame(&len);
    struct frame frame = { 0 };
    struct str part = { 0 };

    (void)state;
    assert_true(read_whole(bytes, &frame));
    assert_int_equal(frame.head.first_index, 1042);
    assert_int_equal(frame.head.entry_count, 2);
    assert_int_equal(frame.head.time_ms, 1763805600123);
    assert_int_equal(frame_len(&frame.head), len);
    assert_int_equal(len % FRAME_ALIGNMENT, 0);
    assert_true(str_eq(frame_entry(&frame, 0), STR("first entry")));
    assert_true(str_eq(frame_entry(&frame, 1), STR("second")));
    assert_true(frame_private(&frame, 0, &part));
    assert_true(str_eq(part, STR("secret")));
    assert_true(frame_private(&frame, 1, &part));
    assert_int_equal(part.len, 0);
    free(bytes);
}

static void a_change_of_any_bit_is_noticed(void **state)
{
    size_t len = 0;
    uint8_t *bytes = make_frame(&len);
    struct frame frame = { 0 };
    struct str part = { 0 };

    (void)state;
    for (size_t bit = 0; bit < len * 8; bit++) {
        bool is_noticed = false;

        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        is_noticed = !read_whole(bytes, &frame) || !frame_private(&frame, 0, &part);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_true(is_noticed);
    }
    free(bytes);
}

/* A NUL and a hash stand for an entry; zeros stand for none. */
static void zeros_are_no_pruned_entry(void **state)
{
    struct frame_builder builder = { 0 };
    struct frame frame = { 0 };
    uint8_t bytes[128] = { 0 };
    uint8_t *entry = bytes + FRAME_HEAD_LEN + 8;
    struct str made = { 0 };

    (void)state;
    assert_true(frame_builder_init(&builder));
    frame_builder_clear(&builder, 7);
    frame_builder_add(&builder, STR("an entry of more bytes than pruning leaves"), STR(""));
    made = frame_builder_finish(&builder, 1763805600123);
    assert_true(made.len <= sizeof(bytes));
    memcpy(bytes, made.data, FRAME_HEAD_LEN + 8);
    assert_false(read_whole(bytes, &frame));
    for (size_t i = 1; i < STORE_PRUNED_LEN; i++) {
        entry[i] = 1;
        assert_true(read_whole(bytes, &frame));
        assert_true(store_entry_is_pruned(frame_entry(&frame, 0)));
        entry[i] = 0;
    }
    entry[STORE_PRUNED_LEN] = 1;
    assert_false(read_whole(bytes, &frame));
    frame_builder_release(&builder);
}

static void an_erased_private_part_is_empty(void **state)
{
    static const uint8_t erased[10] = { 'E', 'R', 'A', 'S' };
    size_t len = 0;
    uint8_t *bytes = make_frame(&len);
    struct frame frame = { 0 };
    struct str part = STR("x");

    (void)state;
    assert_true(read_whole(bytes, &frame));
    memcpy(bytes + FRAME_HEAD_LEN + frame.head.body_len, erased, sizeof(erased));
    assert_true(read_whole(bytes, &frame));
    assert_true(frame_private(&frame, 0, &part));
    assert_non_null(part.data);
    assert_int_equal(part.len, 0);
    /* The mark alone counts: what is behind it goes next. */
    bytes[FRAME_HEAD_LEN + frame.head.body_len + 5] = 'x';
    assert_true(frame_private(&frame, 0, &part));
    assert_int_equal(part.len, 0);
    free(bytes);
}

static void an_empty_frame_takes_any_one_proposal(void **state)
{
    struct frame_builder builder = { 0 };
    static char entry[STORE_ENTRY_MAX];
    struct str bytes = { entry, sizeof(entry) };
    struct frame frame = { 0 };
    struct str part = { 0 };

    (void)state;
    assert_true(frame_builder_init(&builder));
    frame_builder_clear(&builder, 0);
    assert_true(
        frame_builder_has_room(&builder, STORE_PROPOSAL_ENTRIES_MAX,
                               STORE_PROPOSAL_ENTRIES_MAX * (STORE_ENTRY_MAX + STORE_PRIVATE_MAX)));
    while (frame_builder_has_room(&builder, 1, sizeof(entry) * 2))
        frame_builder_add(&builder, bytes, bytes);
    bytes = frame_builder_finish(&builder, 1);
    assert_true(bytes.len <= FRAME_LEN_MAX);
    for (size_t i = 0; i < FRAME_ZEROS_BEHIND; i++)
        assert_int_equal(bytes.data[bytes.len + i], 0);
    assert_true(read_whole((const uint8_t *)bytes.data, &frame));
    assert_true(frame_private(&frame, frame.head.entry_count - 1, &part));
    assert_int_equal(part.len, sizeof(entry));
    frame_builder_release(&builder);
}

static void a_frame_has_at_most_so_many_entries(void **state)
{
    struct frame_builder builder = { 0 };
    struct frame frame = { 0 };
    struct str bytes = { 0 };

    (void)state;
    assert_true(frame_builder_init(&builder));
    frame_builder_clear(&builder, 7);
    for (size_t i = 0; i < FRAME_ENTRIES_MAX; i++) {
        assert_true(frame_builder_has_room(&builder, 1, 1));
        frame_builder_add(&builder, STR("x"), STR(""));
    }
    assert_false(frame_builder_has_room(&builder, 1, 1));
    bytes = frame_builder_finish(&builder, 1);
    assert_true(read_whole((const uint8_t *)bytes.data, &frame));
    assert_true(str_eq(frame_entry(&frame, FRAME_ENTRIES_MAX - 1), STR("x")));
    frame_builder_release(&builder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_gives_back_what_was_put_in),
        cmocka_unit_test(a_change_of_any_bit_is_noticed),
        cmocka_unit_test(zeros_are_no_pruned_entry),
        cmocka_unit_test(an_erased_private_part_is_empty),
        cmocka_unit_test(an_empty_frame_takes_any_one_proposal),
        cmocka_unit_test(a_frame_has_at_most_so_many_entries),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
