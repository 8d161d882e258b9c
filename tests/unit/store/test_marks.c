#include <stdlib.h>
#include <string.h>

#include "store/batch.h"
#include "store/help.h"
#include "store/marks.h"
#include "store/state.h"
#include "tests/test.h"

static bool set(struct marks *marks, const uint8_t key[MARK_LEN], int64_t expires_s)
{
    struct store_mark mark = { .uses = 1, .expires_s = expires_s };

    return marks_set(marks, key, &mark);
}

static void a_mark_is_there_until_it_expires(void **state)
{
    struct marks marks = { 0 };
    uint8_t key[MARK_LEN];

    (void)state;
    mark_of(1, key);
    assert_false(marks_has(&marks, key, 0));
    assert_true(set(&marks, key, 1000));
    assert_true(marks_has(&marks, key, 999));
    assert_false(marks_has(&marks, key, 1000));
    marks_release(&marks);
}

static void setting_a_mark_again_moves_its_expiry(void **state)
{
    struct marks marks = { 0 };
    uint8_t key[MARK_LEN];

    (void)state;
    mark_of(1, key);
    assert_true(set(&marks, key, 1000));
    assert_true(set(&marks, key, 2000));
    assert_int_equal(marks.count, 1);
    assert_true(marks_has(&marks, key, 1999));
    marks_release(&marks);
}

static void a_mark_keeps_its_numbers_up_to_their_limits(void **state)
{
    static const struct store_mark rows[] = {
        { { 1, 2, 3 }, 1, 1, 0, 0 },
        { { [STORE_HOLDER_LEN - 1] = 9 },
          STORE_MARK_USES_MAX,
          (int64_t)MARK_NUMBER_MAX,
          MARK_NUMBER_MAX,
          MARK_NUMBER_MAX },
        { { 0 }, 2, INT64_C(1763805600), 41, INT64_C(4294967296) },
    };
    struct marks marks = { 0 };

    (void)state;
    for (unsigned i = 0; i < COUNT(rows); i++) {
        struct store_mark found;
        uint8_t key[MARK_LEN];

        mark_of(i, key);
        assert_true(marks_set(&marks, key, &rows[i]));
        found = marks_find(&marks, key, 0);
        assert_memory_equal(found.holder, rows[i].holder, STORE_HOLDER_LEN);
        assert_int_equal(found.uses, rows[i].uses);
        assert_int_equal(found.expires_s, rows[i].expires_s);
        assert_int_equal(found.first_index, rows[i].first_index);
        assert_int_equal(found.latest_index, rows[i].latest_index);
        assert_int_equal(marks_find(&marks, key, rows[i].expires_s).uses, 0);
    }
    marks_release(&marks);
}

static void what_is_past_the_limits_counts_as_they_do(void **state)
{
    struct store_mark mark = { .uses = STORE_MARK_USES_MAX + 1,
                               .expires_s = INT64_MAX,
                               .first_index = UINT64_MAX };
    struct marks marks = { 0 };
    uint8_t key[MARK_LEN];

    (void)state;
    mark_of(1, key);
    assert_true(marks_set(&marks, key, &mark));
    mark = marks_find(&marks, key, INT64_C(253402300799));
    assert_int_equal(mark.uses, STORE_MARK_USES_MAX);
    assert_int_equal(mark.expires_s, MARK_NUMBER_MAX);
    assert_int_equal(mark.first_index, MARK_NUMBER_MAX);
    marks_release(&marks);
}

/* They are taken for one mark, so the second is refused: that errs on the safe side. */
static void keys_are_told_apart_by_their_first_128_bits(void **state)
{
    struct marks marks = { 0 };
    uint8_t key[MARK_LEN];
    uint8_t other[MARK_LEN];

    (void)state;
    mark_of(1, key);
    assert_true(set(&marks, key, 1000));
    memcpy(other, key, sizeof(other));
    other[MARK_KEPT_LEN] ^= 1;
    assert_true(marks_has(&marks, other, 0));
    memcpy(other, key, sizeof(other));
    other[MARK_KEPT_LEN - 1] ^= 1;
    assert_false(marks_has(&marks, other, 0));
    marks_release(&marks);
}

static void removing_what_is_not_there_changes_nothing(void **state)
{
    struct marks marks = { 0 };
    uint8_t key[MARK_LEN];

    (void)state;
    mark_of(1, key);
    marks_remove(&marks, key);
    assert_true(set(&marks, key, 1000));
    mark_of(2, key);
    marks_remove(&marks, key);
    assert_int_equal(marks.count, 1);
    marks_release(&marks);
}

/* Keys of one shard and few homes, so that they push each other around. */
static void crowded_key(unsigned number, uint8_t key[MARK_LEN])
{
    mark_of(number, key);
    key[0] = 9;
    key[1] = (uint8_t)(number % 3 == 0 ? 0xff : 0x40);
}

static void removals_and_sweeps_leave_all_others_findable(void **state)
{
    enum {
        KEYS = 3000
    };
    static int64_t expires[KEYS];
    struct marks marks = { 0 };
    uint8_t key[MARK_LEN];

    (void)state;
    for (unsigned round = 0; round < 20000; round++) {
        unsigned number = (round * 7919U ^ round >> 3) % KEYS;

        crowded_key(number, key);
        if (round % 3 == 0) {
            marks_remove(&marks, key);
            expires[number] = 0;
        } else {
            expires[number] = 1 + round % 1000;
            assert_true(set(&marks, key, expires[number]));
        }
    }
    marks_sweep(&marks, 9, 500);
    for (unsigned number = 0; number < KEYS; number++) {
        crowded_key(number, key);
        assert_int_equal(marks_has(&marks, key, 500), expires[number] > 500);
        assert_int_equal(marks_has(&marks, key, 0), expires[number] > 500);
    }
    marks_release(&marks);
}

static size_t memory_of(const struct marks *marks)
{
    size_t bytes = 0;

    for (size_t i = 0; i < MARK_SHARDS; i++)
        bytes += marks->shards[i].capacity * sizeof(struct mark);
    return bytes;
}

static void many_marks_take_at_most_64_bytes_each(void **state)
{
    struct marks marks = { 0 };
    uint8_t key[MARK_LEN];

    (void)state;
    for (unsigned i = 0; i < 300000; i++) {
        mark_of(i, key);
        assert_true(set(&marks, key, 1000));
        if (i >= 20000 && i % 10000 == 0)
            assert_true(memory_of(&marks) <= marks.count * 64);
    }
    marks_release(&marks);
}

static void sweeping_all_shards_gives_the_memory_back(void **state)
{
    struct marks marks = { 0 };
    uint8_t key[MARK_LEN];

    (void)state;
    for (unsigned i = 0; i < 5000; i++) {
        mark_of(i, key);
        assert_true(set(&marks, key, 1000));
    }
    for (size_t shard = 0; shard < MARK_SHARDS; shard++)
        marks_sweep(&marks, shard, 1000);
    assert_int_equal(marks.count, 0);
    assert_int_equal(memory_of(&marks), 0);
    marks_release(&marks);
}

/* Only a clock that went back makes a token good whose mark had ended. */
static void a_mark_that_may_be_forgotten_is_not_set_under_a_guard(void **state)
{
    struct state *rows = state_new();
    struct append *append = append_new("mark 1 1000");
    struct batch batch;
    const struct state_times times = { 900, 900 };

    (void)state;
    append_guard_mark(append, 1);
    assert_true(batch_init(&batch));
    state_sweep(rows, 999);
    batch_start(&batch, 0, 900000, &times);
    batch_take(&batch, rows, append_proposal(append));
    assert_true(append_proposal(append)->is_committed);
    state_sweep(rows, 1000);
    batch_start(&batch, 0, 900000, &times);
    batch_take(&batch, rows, append_proposal(append));
    assert_false(append_proposal(append)->is_committed);
    assert_int_equal(append_proposal(append)->error.code, ERROR_LEDGER);
    assert_int_equal(append_proposal(append)->failed_guard, 1);
    batch_release(&batch);
    append_free(append);
    state_free(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mark_is_there_until_it_expires),
        cmocka_unit_test(setting_a_mark_again_moves_its_expiry),
        cmocka_unit_test(a_mark_keeps_its_numbers_up_to_their_limits),
        cmocka_unit_test(what_is_past_the_limits_counts_as_they_do),
        cmocka_unit_test(keys_are_told_apart_by_their_first_128_bits),
        cmocka_unit_test(removing_what_is_not_there_changes_nothing),
        cmocka_unit_test(removals_and_sweeps_leave_all_others_findable),
        cmocka_unit_test(many_marks_take_at_most_64_bytes_each),
        cmocka_unit_test(sweeping_all_shards_gives_the_memory_back),
        cmocka_unit_test(a_mark_that_may_be_forgotten_is_not_set_under_a_guard),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
