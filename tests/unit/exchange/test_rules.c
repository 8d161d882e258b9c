#include <stdlib.h>

#include "base/macros.h"
#include "exchange/rules.h"
#include "tests/test.h"

static void note(void *owner)
{
    *(bool *)owner = true;
}

/* A snapshot that says when it is freed. */
static struct rules *snapshot(bool *is_freed)
{
    struct rules *rules = calloc(1, sizeof(*rules));

    assert_non_null(rules);
    rules->release = note;
    rules->owner = is_freed;
    return rules;
}

static void the_snapshot_in_force_stays(void **state)
{
    bool is_freed = false;
    struct rules_table *table = rules_table_new(snapshot(&is_freed));
    struct rules *rules = rules_get(table);

    (void)state;
    rules_put(table, rules);
    rules_reap(table);
    assert_false(is_freed);
    rules_table_free(table);
    assert_true(is_freed);
}

static void requests_keep_their_snapshot(void **state)
{
    bool is_freed[2] = { false };
    struct rules_table *table = rules_table_new(snapshot(&is_freed[0]));
    struct rules *first = rules_get(table);
    struct rules *second;

    (void)state;
    rules_swap(table, snapshot(&is_freed[1]));
    second = rules_get(table);
    assert_ptr_not_equal(first, second);
    rules_reap(table);
    assert_false(is_freed[0]);
    rules_put(table, first);
    assert_false(is_freed[0]); /* whoever answers requests frees nothing */
    rules_reap(table);
    assert_true(is_freed[0]);
    rules_put(table, second);
    assert_false(is_freed[1]);
    rules_table_free(table);
    assert_true(is_freed[1]);
}

static void several_are_reaped_at_once(void **state)
{
    bool is_freed[5] = { false };
    struct rules_table *table = rules_table_new(snapshot(&is_freed[0]));

    (void)state;
    for (size_t i = 1; i < COUNT(is_freed); i++)
        rules_swap(table, snapshot(&is_freed[i]));
    rules_reap(table);
    for (size_t i = 0; i < COUNT(is_freed); i++)
        assert_int_equal(is_freed[i], i + 1 < COUNT(is_freed));
    rules_swap(table, snapshot(&is_freed[0]));
    rules_table_free(table); /* what was not reaped yet, too */
    assert_true(is_freed[4]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_snapshot_in_force_stays),
        cmocka_unit_test(requests_keep_their_snapshot),
        cmocka_unit_test(several_are_reaped_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
