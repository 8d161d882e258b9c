#include "base/budget.h"
#include "tests/test.h"

#define START_MS ((int64_t)1000000)

static bool spend_at(struct budgets *budgets, uint64_t key, int64_t per_minute, int64_t now_ms)
{
    int64_t wait_s = -1;
    bool has_some = budget_spend(budgets, key, per_minute, now_ms, &wait_s);

    assert_true(has_some ? wait_s == -1 : wait_s >= 1 && wait_s <= 60);
    return has_some;
}

static void a_minutes_worth_may_come_at_once_and_not_one_more(void **state)
{
    static const int64_t rates[] = { 1, 2, 7, 60, 6000, 60000 };

    (void)state;
    for (size_t i = 0; i < COUNT(rates); i++) {
        OWNED(budgets_free) struct budgets *budgets = budgets_new(8);

        assert_non_null(budgets);
        for (int64_t k = 0; k < rates[i]; k++)
            assert_true(spend_at(budgets, 1, rates[i], START_MS));
        assert_false(spend_at(budgets, 1, rates[i], START_MS));
        assert_true(spend_at(budgets, 2, rates[i], START_MS)); /* another key has its own */
    }
}

static void it_comes_back_evenly(void **state)
{
    OWNED(budgets_free) struct budgets *budgets = budgets_new(8);
    int64_t wait_s = 0;

    (void)state;
    for (int i = 0; i < 6; i++)
        assert_true(spend_at(budgets, 1, 6, START_MS));
    assert_false(budget_spend(budgets, 1, 6, START_MS, &wait_s));
    assert_int_equal(wait_s, 10);
    assert_false(budget_spend(budgets, 1, 6, START_MS + 9999, &wait_s));
    assert_int_equal(wait_s, 1);
    assert_true(spend_at(budgets, 1, 6, START_MS + 10000));
    assert_false(spend_at(budgets, 1, 6, START_MS + 10000));
    for (int i = 0; i < 6; i++)
        assert_true(spend_at(budgets, 1, 6, START_MS + 70000));
    assert_false(spend_at(budgets, 1, 6, START_MS + 70000));
}

static void what_is_refused_costs_nothing(void **state)
{
    OWNED(budgets_free) struct budgets *budgets = budgets_new(8);

    (void)state;
    assert_true(spend_at(budgets, 1, 1, START_MS));
    for (int i = 0; i < 1000; i++)
        assert_false(spend_at(budgets, 1, 1, START_MS + i));
    assert_true(spend_at(budgets, 1, 1, START_MS + 60000));
}

static void looking_costs_nothing(void **state)
{
    OWNED(budgets_free) struct budgets *budgets = budgets_new(8);
    int64_t wait_s = 0;

    (void)state;
    for (int i = 0; i < 100; i++)
        assert_true(budget_has(budgets, 1, 2, START_MS, &wait_s));
    assert_true(spend_at(budgets, 1, 2, START_MS));
    assert_true(budget_has(budgets, 1, 2, START_MS, &wait_s));
    assert_true(spend_at(budgets, 1, 2, START_MS));
    assert_false(budget_has(budgets, 1, 2, START_MS, &wait_s));
    assert_int_equal(wait_s, 30);
}

static void without_a_budget_all_may_come(void **state)
{
    OWNED(budgets_free) struct budgets *budgets = budgets_new(8);

    (void)state;
    for (int i = 0; i < 100000; i++)
        assert_true(spend_at(budgets, 1, 0, START_MS));
}

static void strangers_neither_shut_others_out_nor_win_anything(void **state)
{
    OWNED(budgets_free) struct budgets *budgets = budgets_new(64);

    (void)state;
    for (int i = 0; i < 10; i++)
        assert_true(spend_at(budgets, 1, 10, START_MS));
    for (uint64_t key = 2; key < 100000; key++)
        assert_true(spend_at(budgets, key, 10, START_MS)); /* each of them is let in */
    assert_false(spend_at(budgets, 1, 10, START_MS));      /* and who has spent all is remembered */
}

static uint64_t key_of(const char *text)
{
    struct address address = { 0 };

    assert_true(address_parse(str_from(text), &address));
    return budget_address_key(&address);
}

static void ipv6_counts_by_its_64_bits(void **state)
{
    (void)state;
    assert_true(key_of("2001:db8:1:2::1") == key_of("2001:db8:1:2:ffff::9"));
    assert_true(key_of("2001:db8:1:2::1") != key_of("2001:db8:1:3::1"));
    assert_true(key_of("192.0.2.1") != key_of("192.0.2.2"));
    assert_true(key_of("192.0.2.1") == key_of("::ffff:192.0.2.1"));
    assert_true(key_of("::1") != key_of("127.0.0.1"));
    assert_true(budget_name_key(STR("github")) != budget_name_key(STR("gitlab")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_minutes_worth_may_come_at_once_and_not_one_more),
        cmocka_unit_test(it_comes_back_evenly),
        cmocka_unit_test(what_is_refused_costs_nothing),
        cmocka_unit_test(looking_costs_nothing),
        cmocka_unit_test(without_a_budget_all_may_come),
        cmocka_unit_test(strangers_neither_shut_others_out_nor_win_anything),
        cmocka_unit_test(ipv6_counts_by_its_64_bits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
