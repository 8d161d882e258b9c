#include <time.h>

#include "base/clock.h"
#include "tests/test.h"

static void the_wall_clock_is_the_systems(void **state)
{
    int64_t before = (int64_t)time(NULL);
    int64_t now_s = clock_wall_s();

    (void)state;
    assert_true(now_s >= before && now_s <= before + 5);
    assert_true(clock_wall_ms() / 1000 - now_s <= 5);
}

static void the_monotonic_clocks_do_not_go_back(void **state)
{
    int64_t last_ms = clock_monotonic_ms();
    int64_t last_ns = clock_monotonic_ns();

    (void)state;
    for (size_t i = 0; i < 1000; i++) {
        int64_t now_ms = clock_monotonic_ms();
        int64_t now_ns = clock_monotonic_ns();

        assert_true(now_ms >= last_ms && now_ns >= last_ns);
        last_ms = now_ms;
        last_ns = now_ns;
    }
}

#ifdef STAGEPASS_TEST_CLOCK
static void a_test_moves_both_clocks_and_sums_up(void **state)
{
    int64_t wall_s = clock_wall_s();
    int64_t monotonic_ms = clock_monotonic_ms();
    int64_t monotonic_ns = clock_monotonic_ns();

    (void)state;
    clock_test_advance(3600);
    clock_test_advance(0);
    clock_test_advance(400);
    assert_true(clock_wall_s() - wall_s >= 4000 && clock_wall_s() - wall_s < 4010);
    assert_true(clock_wall_ms() / 1000 - wall_s >= 4000);
    assert_true(clock_monotonic_ms() - monotonic_ms >= 4000000);
    assert_true(clock_monotonic_ns() - monotonic_ns < INT64_C(10000000000));
}

static void a_step_moves_the_wall_clock_alone_and_also_back(void **state)
{
    int64_t wall_s = clock_wall_s();
    int64_t monotonic_ms = clock_monotonic_ms();

    (void)state;
    clock_test_step(-3600);
    assert_true(clock_wall_s() - wall_s >= -3600 && clock_wall_s() - wall_s < -3590);
    clock_test_step(7200);
    assert_true(clock_wall_s() - wall_s >= 3600 && clock_wall_s() - wall_s < 3610);
    assert_true(clock_monotonic_ms() >= monotonic_ms);
    assert_true(clock_monotonic_ms() - monotonic_ms < 10000);
    clock_test_step(-3600);
}

static void a_clock_that_is_held_goes_on_by_what_is_added_alone(void **state)
{
    int64_t start_ns = clock_monotonic_ns();
    int64_t monotonic_ms;
    int64_t wall_ms;

    (void)state;
    clock_test_hold(true);
    monotonic_ms = clock_monotonic_ms();
    wall_ms = clock_wall_ms();
    while (clock_monotonic_ns() < start_ns + 20 * INT64_C(1000000))
        assert_true(clock_monotonic_ms() == monotonic_ms && clock_wall_ms() == wall_ms);
    clock_test_advance(7);
    assert_true(clock_monotonic_ms() == monotonic_ms + 7000 && clock_wall_ms() == wall_ms + 7000);
    clock_test_hold(false);
    assert_true(clock_monotonic_ms() > monotonic_ms + 7000 && clock_wall_ms() > wall_ms + 7000);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_wall_clock_is_the_systems),
        cmocka_unit_test(the_monotonic_clocks_do_not_go_back),
#ifdef STAGEPASS_TEST_CLOCK
        cmocka_unit_test(a_test_moves_both_clocks_and_sums_up),
        cmocka_unit_test(a_step_moves_the_wall_clock_alone_and_also_back),
        cmocka_unit_test(a_clock_that_is_held_goes_on_by_what_is_added_alone),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
