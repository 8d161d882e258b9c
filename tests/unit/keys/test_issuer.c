#include "keys/issuer.h"
#include "tests/test.h"

#define DAY ((int64_t)24 * 3600)
#define MONTH (30 * DAY)
#define START ((int64_t)1763800000)

static void it_is_due_where_there_is_no_key(void **state)
{
    (void)state;
    assert_true(issuer_is_due(NULL, 0, START, MONTH));
}

static void it_is_due_a_period_after_the_newest_was_made(void **state)
{
    const int64_t made[] = { START - MONTH, START };

    (void)state;
    assert_false(issuer_is_due(made, 2, START, MONTH));
    assert_false(issuer_is_due(made, 2, START + MONTH - 1, MONTH));
    assert_true(issuer_is_due(made, 2, START + MONTH, MONTH));
    assert_false(issuer_is_due(made, 2, START - MONTH, MONTH)); /* the clock went back */
}

static void choices_follow_from_the_times_alone(void **state)
{
    static const struct {
        const char *name;
        int64_t made[5];
        size_t count;
        int64_t now;
        int64_t current; /* 0: none */
        size_t published;
        size_t dropped;
    } cases[] = {
        { "no key", { 0 }, 0, START, 0, 0, 0 },
        { "the first signs at once", { START }, 1, START, START, 1, 0 },
        { "the first, made in the future", { START + DAY }, 1, START, START + DAY, 1, 0 },
        { "the next is only published", { START, START + MONTH }, 2, START + MONTH, START, 2, 0 },
        { "a second before its time",
          { START, START + MONTH },
          2,
          START + MONTH + DAY - 1,
          START,
          2,
          0 },
        { "it signs a day later",
          { START, START + MONTH },
          2,
          START + MONTH + DAY,
          START + MONTH,
          2,
          0 },
        { "three at most",
          { START, START + MONTH, START + 2 * MONTH },
          3,
          START + 2 * MONTH,
          START + MONTH,
          3,
          0 },
        { "the one before the last goes",
          { START, START + MONTH, START + 2 * MONTH },
          3,
          START + 2 * MONTH + DAY,
          START + 2 * MONTH,
          2,
          1 },
        { "many from an old folder",
          { START, START + DAY, START + 2 * DAY, START + 3 * DAY, START + 9 * DAY },
          5,
          START + 9 * DAY,
          START + 3 * DAY,
          3,
          2 },
        { "many in the future",
          { START, START + 5 * DAY, START + 6 * DAY, START + 7 * DAY },
          4,
          START,
          START,
          2,
          0 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct issuer_plan plan;
        size_t dropped;

        issuer_choose(cases[i].made, cases[i].count, cases[i].now, &plan, &dropped);
        if (plan.count != cases[i].published || dropped != cases[i].dropped ||
            (plan.count > 0 && plan.created_s[plan.current_index] != cases[i].current))
            fail_msg("%s", cases[i].name);
    }
}

/* Two years, looked at every hour: what signs was published for a day, what signed stays a month.
 */
static void every_key_is_published_before_it_signs_and_after(void **state)
{
    int64_t made[KEY_FILES_MAX] = { 0 };
    int64_t current_s = 0;
    size_t count = 0;

    (void)state;
    for (int64_t now = START; now < START + 24 * MONTH; now += 3600) {
        struct issuer_plan plan;
        size_t dropped;

        if (issuer_is_due(made, count, now, MONTH))
            made[count++] = now;
        issuer_choose(made, count, now, &plan, &dropped);
        assert_in_range(plan.count, 1, ISSUER_PUBLISHED_MAX);
        if (plan.created_s[plan.current_index] != current_s && current_s != 0) {
            assert_true(plan.created_s[plan.current_index] + DAY <= now);
            assert_int_equal(plan.created_s[plan.current_index - 1], current_s);
        }
        current_s = plan.created_s[plan.current_index];
        for (size_t i = 0; i + dropped < count; i++)
            made[i] = made[i + dropped];
        count -= dropped;
    }
    assert_true(current_s > START + 22 * MONTH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_due_where_there_is_no_key),
        cmocka_unit_test(it_is_due_a_period_after_the_newest_was_made),
        cmocka_unit_test(choices_follow_from_the_times_alone),
        cmocka_unit_test(every_key_is_published_before_it_signs_and_after),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
