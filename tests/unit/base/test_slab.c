#include <string.h>

#include "base/arena.h"
#include "base/slab.h"
#include "tests/test.h"

static void room_is_aligned_zeroed_and_side_by_side(void **state)
{
    OWNED(slab_free) struct slab *slab = slab_new();
    struct slab_block *blocks[2];
    size_t rooms[2];
    uint8_t *first = slab_open(slab, 100, &rooms[0], &blocks[0]);
    uint8_t *second;

    (void)state;
    assert_non_null(first);
    assert_true(rooms[0] >= 100);
    assert_int_equal((uintptr_t)first % _Alignof(max_align_t), 0);
    memset(first, 0xff, 100);
    slab_close(slab, 100);
    second = slab_open(slab, 100, &rooms[1], &blocks[1]);
    assert_ptr_equal(blocks[0], blocks[1]);
    assert_true(second >= first + 100 && second < first + 200);
    assert_int_equal(rooms[1], rooms[0] - (size_t)(second - first));
    for (size_t i = 0; i < rooms[1]; i++)
        assert_int_equal(second[i], 0);
    slab_close(slab, 0);
    slab_block_unref(blocks[0]);
    slab_block_unref(blocks[1]);
}

static void what_does_not_fit_any_more_starts_another_block(void **state)
{
    OWNED(slab_free) struct slab *slab = slab_new();
    struct slab_block *blocks[2];
    size_t room;

    (void)state;
    assert_non_null(slab_open(slab, 1, &room, &blocks[0]));
    slab_close(slab, room - 64);
    assert_non_null(slab_open(slab, 65, &room, &blocks[1]));
    assert_ptr_not_equal(blocks[0], blocks[1]);
    assert_true(room > SLAB_PAGE / 2);
    slab_close(slab, room); /* to the last byte */
    slab_block_unref(blocks[0]);
    assert_non_null(slab_open(slab, SLAB_PIECE_MAX, &room, &blocks[0]));
    assert_ptr_not_equal(blocks[0], blocks[1]);
    slab_close(slab, 0);
    assert_null(slab_open(slab, SLAB_PIECE_MAX + 1, &room, &blocks[0]));
    slab_block_unref(blocks[0]);
    slab_block_unref(blocks[1]);
}

static void what_is_made_in_a_slab_outlives_it(void **state)
{
    struct slab *slab = slab_new();
    OWNED(arena_free) struct arena *arena = arena_new_in(slab, SIZE_MAX / 2);
    char *piece;

    (void)state;
    assert_non_null(arena);
    piece = arena_alloc(arena, 100);
    assert_non_null(piece);
    memset(piece, 'a', 100);
    arena_settle(arena);
    slab_free(slab);
    assert_int_equal(piece[99], 'a');
    piece = arena_alloc(arena, 100); /* elsewhere */
    assert_non_null(piece);
    assert_int_equal(piece[99], 0);
}

static void an_arena_that_is_dropped_leaves_its_place_clean_to_the_next(void **state)
{
    OWNED(slab_free) struct slab *slab = slab_new();

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        OWNED(arena_free) struct arena *arena = arena_new_in(slab, SIZE_MAX / 2);

        for (size_t size = 1; size <= SLAB_PAGE; size *= 4) { /* the last are pieces of their own */
            uint8_t *piece = arena_alloc(arena, size);

            assert_non_null(piece);
            for (size_t k = 0; k < size; k++)
                assert_int_equal(piece[k], 0);
            memset(piece, 0xff, size);
        }
    }
}

static void an_arena_of_several_blocks_keeps_all_that_was_put_into_it(void **state)
{
    enum {
        PIECES = 500,
        PIECE = 16000
    };

    OWNED(slab_free) struct slab *slab = slab_new();
    OWNED(arena_free) struct arena *arena = arena_new_in(slab, SIZE_MAX / 2);
    uint8_t *pieces[PIECES];

    (void)state;
    for (size_t i = 0; i < PIECES; i++) {
        pieces[i] = arena_alloc(arena, PIECE);
        assert_non_null(pieces[i]);
        memset(pieces[i], (int)(i % 256), PIECE);
    }
    arena_settle(arena);
    for (size_t i = 0; i < PIECES; i++)
        for (size_t k = 0; k < PIECE; k++)
            assert_int_equal(pieces[i][k], i % 256);
}

static void pages_are_sparse_where_most_of_their_pieces_are_gone(void **state)
{
    enum {
        PIECES = 10
    };

    struct slab *slab = slab_new();
    struct slab_block *blocks[PIECES];
    size_t room;

    (void)state;
    for (size_t i = 0; i < PIECES; i++) {
        assert_non_null(slab_open(slab, 10, &room, &blocks[i]));
        slab_close(slab, 10);
    }
    slab_free(slab);
    assert_false(slab_block_is_sparse(blocks[0]));
    for (size_t i = PIECES - 1; i >= PIECES / 2; i--) {
        assert_false(slab_block_is_sparse(blocks[0]));
        slab_block_unref(blocks[i]);
    }
    assert_false(slab_block_is_sparse(blocks[0])); /* half of them */
    slab_block_unref(blocks[PIECES / 2 - 1]);
    assert_true(slab_block_is_sparse(blocks[0]));
    for (size_t i = 0; i < PIECES / 2 - 1; i++)
        slab_block_unref(blocks[i]);
}

static void a_large_piece_is_zeroed_and_ends_with_its_arena(void **state)
{
    OWNED(arena_free) struct arena *arena = arena_new(SIZE_MAX / 2);
    uint8_t *piece;

    (void)state;
    assert_non_null(arena_alloc(arena, 10));
    piece = arena_alloc(arena, 3 * SLAB_PAGE + 1);
    assert_non_null(piece);
    for (size_t i = 0; i <= 3 * SLAB_PAGE; i += 512)
        assert_int_equal(piece[i], 0);
    piece[3 * SLAB_PAGE] = 1;
    assert_null(arena_alloc(arena, SIZE_MAX / 2)); /* and no overflow on the way */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(room_is_aligned_zeroed_and_side_by_side),
        cmocka_unit_test(what_does_not_fit_any_more_starts_another_block),
        cmocka_unit_test(what_is_made_in_a_slab_outlives_it),
        cmocka_unit_test(an_arena_that_is_dropped_leaves_its_place_clean_to_the_next),
        cmocka_unit_test(an_arena_of_several_blocks_keeps_all_that_was_put_into_it),
        cmocka_unit_test(pages_are_sparse_where_most_of_their_pieces_are_gone),
        cmocka_unit_test(a_large_piece_is_zeroed_and_ends_with_its_arena),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
