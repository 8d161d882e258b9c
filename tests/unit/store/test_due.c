#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "store/due.h"
#include "tests/test.h"

#define ROWS 500

struct row {
    struct due_link link;
    int64_t time_s;
};

struct table {
    struct due due;
    struct row rows[ROWS + 1]; /* 0 is none */
};

static struct due_link *link_of(void *rows, uint32_t number)
{
    return &((struct table *)rows)->rows[number].link;
}

static int64_t time_of(const void *rows, uint32_t number)
{
    return ((const struct table *)rows)->rows[number].time_s;
}

static struct due_rows rows_of(struct table *table)
{
    return (struct due_rows){ table, link_of, time_of };
}

static void add(struct table *table, uint32_t number, int64_t time_s)
{
    struct due_rows rows = rows_of(table);

    table->rows[number].time_s = time_s;
    due_add(&table->due, &rows, number);
}

static uint32_t take(struct table *table, int64_t now_s)
{
    struct due_rows rows = rows_of(table);
    size_t budget = SIZE_MAX;

    return due_take(&table->due, &rows, now_s, &budget);
}

static struct table *new_table(void)
{
    struct table *table = calloc(1, sizeof(*table));

    assert_non_null(table);
    return table;
}

static void a_row_is_due_at_its_second_and_not_before(void **state)
{
    static const int64_t times[] = { 0,
                                     1,
                                     255,
                                     256,
                                     257,
                                     65535,
                                     65536,
                                     65537,
                                     16777215,
                                     16777216,
                                     UINT32_MAX,
                                     INT64_C(1) << 32,
                                     DUE_TIME_MAX - 1,
                                     DUE_TIME_MAX };

    (void)state;
    for (size_t i = 0; i < COUNT(times); i++) {
        struct table *table = new_table();

        add(table, 1, times[i]);
        if (times[i] > 0)
            assert_int_equal(take(table, times[i] - 1), 0);
        assert_int_equal(take(table, times[i]), 1);
        assert_int_equal(take(table, DUE_TIME_MAX), 0);
        assert_int_equal(table->due.count, 0);
        free(table);
    }
}

static void what_is_past_the_limits_is_held_within_them(void **state)
{
    struct table *table = new_table();

    (void)state;
    add(table, 1, -5);
    add(table, 2, INT64_MAX);
    assert_int_equal(take(table, 0), 1);
    assert_int_equal(take(table, DUE_TIME_MAX - 1), 0);
    assert_int_equal(take(table, INT64_MAX), 2);
    free(table);
}

static void earlier_seconds_come_first(void **state)
{
    struct table *table = new_table();

    (void)state;
    add(table, 1, 70000);
    add(table, 2, 300);
    add(table, 3, 5);
    add(table, 4, 20000000);
    assert_int_equal(take(table, 30000000), 3);
    assert_int_equal(take(table, 30000000), 2);
    assert_int_equal(take(table, 30000000), 1);
    add(table, 5, 10); /* of the past by now, as what comes next is not */
    assert_int_equal(take(table, 30000000), 5);
    assert_int_equal(take(table, 30000000), 4);
    assert_int_equal(take(table, 30000000), 0);
    free(table);
}

static void no_more_rows_are_looked_at_than_may_be(void **state)
{
    struct table *table = new_table();
    struct due_rows rows = rows_of(table);
    unsigned taken = 0;
    unsigned turns = 0;

    (void)state;
    for (uint32_t i = 1; i <= 100; i++)
        add(table, i, 70000);
    while (table->due.count > 0) {
        size_t budget = 10;

        while (due_take(&table->due, &rows, 70000, &budget) != 0)
            taken++;
        assert_int_equal(budget, 0);
        turns++;
    }
    assert_int_equal(taken, 100);
    assert_in_range(turns, 20, 40); /* each of them goes down once or twice, and is taken */
    free(table);
}

static void a_wheel_begins_anew(void **state)
{
    struct table *table = new_table();

    (void)state;
    add(table, 1, 50);
    due_clear(&table->due, 1000);
    table->rows[1].link = (struct due_link){ 0 };
    assert_int_equal(take(table, 2000), 0);
    add(table, 1, 3000);
    assert_int_equal(take(table, 2999), 0);
    assert_int_equal(take(table, 3000), 1);
    free(table);
}

/* Against a model that looks at all rows. */
struct model {
    struct table *table;
    bool is_in[ROWS + 1];
    int64_t now_s;
};

static void expect_all_due(struct model *model)
{
    uint32_t number = 0;

    while ((number = take(model->table, model->now_s)) != 0) {
        int64_t time_s = model->table->rows[number].time_s;

        assert_true(model->is_in[number]);
        assert_true(time_s <= model->now_s);
        model->is_in[number] = false;
    }
    for (uint32_t i = 1; i <= ROWS; i++)
        assert_false(model->is_in[i] && model->table->rows[i].time_s <= model->now_s);
}

static void rows_come_and_go_as_in_a_model(void **state)
{
    struct model model = { .table = new_table(), .now_s = 1763805600 };
    struct due_rows rows = rows_of(model.table);

    (void)state;
    srandom(7); /* NOLINT(cert-msc51-cpp) */
    due_clear(&model.table->due, model.now_s);
    for (unsigned i = 0; i < 20000; i++) {
        uint32_t number = (uint32_t)random() % ROWS + 1;

        due_remove(&model.table->due, &rows, number);
        model.is_in[number] = random() % 4 != 0;
        if (model.is_in[number])
            add(model.table, number, model.now_s + (random() >> (random() % 31)) - 100);
        if (random() % 8 == 0) {
            model.now_s += random() >> (random() % 31);
            expect_all_due(&model);
        }
    }
    free(model.table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_is_due_at_its_second_and_not_before),
        cmocka_unit_test(what_is_past_the_limits_is_held_within_them),
        cmocka_unit_test(earlier_seconds_come_first),
        cmocka_unit_test(no_more_rows_are_looked_at_than_may_be),
        cmocka_unit_test(a_wheel_begins_anew),
        cmocka_unit_test(rows_come_and_go_as_in_a_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
