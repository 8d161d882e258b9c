#include <string.h>

#include "base/arena.h"
#include "tests/assert_str.h"
#include "tests/fail_memory.h"
#include "tests/test.h"

static void pieces_are_zeroed_aligned_and_apart(void **state)
{
    OWNED(arena_free) struct arena *arena = arena_new(100000);

    (void)state;
    assert_non_null(arena);
    for (size_t size = 1; size < 300; size++) {
        uint8_t *piece = arena_alloc(arena, size);

        assert_non_null(piece);
        assert_int_equal((uintptr_t)piece % _Alignof(max_align_t), 0);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(piece[i], 0);
        memset(piece, 0xff, size);
    }
}

static void texts_stand_close_and_do_not_push_pieces_out_of_line(void **state)
{
    OWNED(arena_free) struct arena *arena = arena_new_frugal(100000);

    (void)state;
    assert_non_null(arena);
    for (size_t i = 0; i < 300; i++) {
        struct str text = arena_copy(arena, STR("abc"));
        uint8_t *piece = arena_alloc(arena, i + 1);

        assert_str(text, "abc");
        assert_int_equal(text.data[3], 0);
        assert_non_null(piece);
        assert_int_equal((uintptr_t)piece % _Alignof(max_align_t), 0);
        memset(piece, 0xff, i + 1);
        assert_str(text, "abc");
    }
}

static void an_arena_holds_its_limit_and_no_more(void **state)
{
    OWNED(arena_free) struct arena *arena = arena_new(1024);

    (void)state;
    assert_non_null(arena_alloc(arena, 1000));
    assert_null(arena_alloc(arena, 17));
    assert_non_null(arena_alloc(arena, 16));
    assert_null(arena_alloc(arena, 1));
    assert_null(arena_alloc(arena, 0));
}

static void sizes_near_the_end_of_the_range_do_not_overflow(void **state)
{
    OWNED(arena_free) struct arena *arena = arena_new(SIZE_MAX);

    (void)state;
    assert_null(arena_alloc_array(arena, SIZE_MAX / 2, 3));
    assert_null(arena_copy(arena, (struct str){ "", SIZE_MAX }).data);
    assert_non_null(arena_alloc_array(arena, 10, 10));
}

static void a_large_piece_leaves_room_for_small_ones(void **state)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_REQUEST_MAX);
    char *small = arena_alloc(arena, 8);
    char *large = arena_alloc(arena, (size_t)1024 * 1024);
    char *after = arena_alloc(arena, 8);

    (void)state;
    assert_non_null(small);
    assert_non_null(large);
    assert_non_null(after);
    memset(large, 'x', (size_t)1024 * 1024);
    assert_int_equal(small[0], 0);
    assert_int_equal(after[7], 0);
}

static void a_copy_is_followed_by_a_nul(void **state)
{
    OWNED(arena_free) struct arena *arena = arena_new(1000);
    struct str copy = arena_copy(arena, str_slice(STR("abcdef"), 1, 3));

    (void)state;
    assert_str(copy, "bcd");
    assert_string_equal(copy.data, "bcd");
    assert_string_equal(arena_copy(arena, (struct str){ 0 }).data, "");
}

static void formatted_text_is_as_long_as_it_is(void **state)
{
    OWNED(arena_free) struct arena *arena = arena_new(16);

    (void)state;
    assert_str(arena_printf(arena, "%s-%d", "abc", 12345), "abc-12345");
    assert_null(arena_printf(arena, "x").data);
    assert_null(arena_copy(arena, STR("x")).data);
}

/* Notes the order in which it was called. */
struct witness {
    char calls[8];
    size_t count;
};

struct deferred {
    struct witness *witness;
    char name;
};

static void note(void *object)
{
    const struct deferred *deferred = object;

    deferred->witness->calls[deferred->witness->count++] = deferred->name;
}

static void what_was_deferred_runs_last_first(void **state)
{
    struct witness witness = { 0 };
    struct deferred first = { &witness, '1' };
    struct deferred second = { &witness, '2' };
    struct arena *arena = arena_new(1000);

    (void)state;
    assert_true(arena_defer(arena, note, &first));
    assert_true(arena_defer(arena, note, &second));
    assert_int_equal(witness.count, 0);
    arena_free(arena);
    assert_string_equal(witness.calls, "21");
}

static void what_cannot_be_deferred_is_released_at_once(void **state)
{
    struct witness witness = { 0 };
    struct deferred deferred = { &witness, '1' };
    struct arena *arena = arena_new(0);

    (void)state;
    assert_false(arena_defer(arena, note, &deferred));
    assert_string_equal(witness.calls, "1");
    arena_free(arena);
    assert_string_equal(witness.calls, "1");
}

static void no_arena_is_freed_quietly(void **state)
{
    (void)state;
    arena_free(NULL);
}

static void no_memory_is_an_ordinary_answer(void **state)
{
    struct arena *arena;

    (void)state;
    fail_memory_at(1);
    assert_null(arena_new(1000));
    arena = arena_new(1000);
    assert_non_null(arena);
    fail_memory_at(1);
    assert_null(arena_alloc(arena, 10));
    assert_non_null(arena_alloc(arena, 10));
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_zeroed_aligned_and_apart),
        cmocka_unit_test(texts_stand_close_and_do_not_push_pieces_out_of_line),
        cmocka_unit_test(an_arena_holds_its_limit_and_no_more),
        cmocka_unit_test(sizes_near_the_end_of_the_range_do_not_overflow),
        cmocka_unit_test(a_large_piece_leaves_room_for_small_ones),
        cmocka_unit_test(a_copy_is_followed_by_a_nul),
        cmocka_unit_test(formatted_text_is_as_long_as_it_is),
        cmocka_unit_test(what_was_deferred_runs_last_first),
        cmocka_unit_test(what_cannot_be_deferred_is_released_at_once),
        cmocka_unit_test(no_arena_is_freed_quietly),
        cmocka_unit_test(no_memory_is_an_ordinary_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
