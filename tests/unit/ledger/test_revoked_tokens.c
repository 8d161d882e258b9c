/* Bits of revoked tokens: set once, found by list, forgotten from below. */
#include <string.h>

#include "ledger/revoked_tokens.h"
#include "tests/test.h"

static struct revoked_tokens *tokens;

static int make(void **state)
{
    (void)state;
    tokens = revoked_tokens_new();
    return tokens == NULL ? -1 : 0;
}

static int clean(void **state)
{
    (void)state;
    revoked_tokens_free(tokens);
    return 0;
}

static void set(uint64_t list, uint32_t index)
{
    struct token_status status = { list, index };

    assert_true(revoked_tokens_add(tokens, &status));
}

static size_t count(uint64_t list)
{
    const struct revoked_token_list *found = revoked_tokens_list(tokens, list);

    return found == NULL ? 0 : found->count;
}

static void a_bit_is_counted_from_the_lowest(void **state)
{
    const struct revoked_token_list *list;

    (void)state;
    set(7, 0);
    set(7, 9);
    set(7, 32767);
    list = revoked_tokens_list(tokens, 7);
    assert_int_equal(list->number, 7);
    assert_int_equal(list->bits[0], 0x01);
    assert_int_equal(list->bits[1], 0x02);
    assert_int_equal(list->bits[TOKEN_STATUS_BYTES - 1], 0x80);
    assert_int_equal(list->count, 3);
}

static void one_that_is_set_again_counts_once(void **state)
{
    (void)state;
    set(1, 5);
    set(1, 5);
    assert_int_equal(count(1), 1);
    assert_int_equal(revoked_tokens_count(tokens), 1);
}

static void lists_come_in_any_order(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 100; i++)
        set(i * 37 % 100 * 1000, (uint32_t)i);
    for (uint64_t i = 0; i < 100; i++)
        assert_int_equal(count(i * 1000), 1);
    assert_null(revoked_tokens_list(tokens, 1));
    assert_null(revoked_tokens_list(tokens, 99001));
    assert_int_equal(revoked_tokens_count(tokens), 100);
}

static void old_lists_are_forgotten(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 40; i++)
        set(i / 4, i);
    revoked_tokens_forget(tokens, 0);
    assert_int_equal(revoked_tokens_count(tokens), 40);
    revoked_tokens_forget(tokens, 3);
    assert_int_equal(revoked_tokens_count(tokens), 28);
    assert_int_equal(count(2), 0);
    assert_int_equal(count(3), 4);
    assert_int_equal(count(9), 4);
    revoked_tokens_forget(tokens, UINT64_MAX);
    assert_int_equal(revoked_tokens_count(tokens), 0);
    set(4, 1);
    assert_int_equal(count(4), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_bit_is_counted_from_the_lowest, make, clean),
        cmocka_unit_test_setup_teardown(one_that_is_set_again_counts_once, make, clean),
        cmocka_unit_test_setup_teardown(lists_come_in_any_order, make, clean),
        cmocka_unit_test_setup_teardown(old_lists_are_forgotten, make, clean),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
