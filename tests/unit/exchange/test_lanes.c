#include <stdio.h>

#include "exchange/lanes.h"
#include "tests/test.h"

static struct lane_place places[LANE_ACTIVE_MAX + LANE_WAITING_MAX + 1];

static enum lane_entry enter(struct lanes *lanes, const char *target, int64_t now_ms,
                             struct lane_place *place, int64_t *again_s)
{
    return lanes_enter(lanes, str_from(target), now_ms, place, again_s);
}

static void fill(struct lanes *lanes, const char *target)
{
    int64_t again_s;

    for (size_t i = 0; i < LANE_ACTIVE_MAX; i++)
        assert_int_equal(enter(lanes, target, 0, &places[i], &again_s), LANE_ENTERED);
    for (size_t i = 0; i < LANE_WAITING_MAX; i++)
        assert_int_equal(enter(lanes, target, 0, &places[LANE_ACTIVE_MAX + i], &again_s),
                         LANE_WAITS);
}

static void some_ask_some_wait_and_the_others_come_back(void **state)
{
    OWNED(lanes_free) struct lanes *lanes = lanes_new();
    struct lane_place *last = &places[COUNT(places) - 1];
    int64_t again_s = 0;

    (void)state;
    fill(lanes, "db");
    assert_int_equal(enter(lanes, "db", 0, last, &again_s), LANE_CLOSED);
    assert_true(again_s > 0);
    assert_null(last->lane);
    assert_ptr_equal(lanes_leave(&places[0], true, 0), &places[LANE_ACTIVE_MAX]);
    assert_int_equal(enter(lanes, "db", 0, last, &again_s), LANE_WAITS);
}

static void a_target_that_hangs_holds_up_no_other(void **state)
{
    OWNED(lanes_free) struct lanes *lanes = lanes_new();
    struct lane_place other;
    int64_t again_s;

    (void)state;
    fill(lanes, "hangs");
    assert_int_equal(enter(lanes, "hang", 0, &other, &again_s), LANE_ENTERED);
    assert_null(lanes_leave(&other, true, 0));
}

static void who_waits_is_next_in_order(void **state)
{
    OWNED(lanes_free) struct lanes *lanes = lanes_new();
    int64_t again_s;

    (void)state;
    fill(lanes, "db");
    for (size_t i = 0; i < LANE_WAITING_MAX; i++)
        assert_ptr_equal(lanes_leave(&places[i], true, 0), &places[LANE_ACTIVE_MAX + i]);
    for (size_t i = 0; i < LANE_ACTIVE_MAX; i++)
        assert_null(lanes_leave(&places[LANE_WAITING_MAX + i], true, 0));
    assert_int_equal(enter(lanes, "db", 0, &places[0], &again_s), LANE_ENTERED);
}

static void what_waits_can_be_taken_out(void **state)
{
    OWNED(lanes_free) struct lanes *lanes = lanes_new();
    size_t count = 0;

    (void)state;
    fill(lanes, "db");
    while (lanes_take_waiting(lanes))
        count++;
    assert_int_equal(count, LANE_WAITING_MAX);
    assert_null(lanes_leave(&places[0], true, 0));
}

static void fail_times(struct lanes *lanes, unsigned times, int64_t now_ms)
{
    struct lane_place place;
    int64_t again_s;

    for (unsigned i = 0; i < times; i++) {
        assert_int_equal(enter(lanes, "db", now_ms, &place, &again_s), LANE_ENTERED);
        assert_null(lanes_leave(&place, false, now_ms));
    }
}

static void a_target_that_fails_is_left_alone_longer_and_longer(void **state)
{
    OWNED(lanes_free) struct lanes *lanes = lanes_new();
    struct lane_place place;
    int64_t now_ms = 1000;
    int64_t again_s;

    (void)state;
    fail_times(lanes, LANE_FAILURES_MAX - 1, now_ms);
    for (int64_t rest_s = 1; rest_s <= 16; rest_s *= 2) {
        fail_times(lanes, 1, now_ms);
        assert_int_equal(enter(lanes, "db", now_ms + rest_s * 1000 - 1, &place, &again_s),
                         LANE_CLOSED);
        assert_int_equal(again_s, 1);
        now_ms += rest_s * 1000;
    }
    for (int i = 0; i < 3; i++) {
        fail_times(lanes, 1, now_ms);
        assert_int_equal(enter(lanes, "db", now_ms, &place, &again_s), LANE_CLOSED);
        assert_int_equal(again_s, LANE_REST_MAX_S + 1);
        now_ms += LANE_REST_MAX_S * 1000;
    }
}

static void one_that_goes_well_ends_that(void **state)
{
    OWNED(lanes_free) struct lanes *lanes = lanes_new();
    struct lane_place place;
    int64_t again_s;

    (void)state;
    fail_times(lanes, LANE_FAILURES_MAX, 0);
    assert_int_equal(enter(lanes, "db", 1000, &place, &again_s), LANE_ENTERED);
    assert_null(lanes_leave(&place, true, 1000));
    fail_times(lanes, LANE_FAILURES_MAX - 1, 1000);
    assert_int_equal(enter(lanes, "db", 1000, &place, &again_s), LANE_ENTERED);
}

static void more_targets_than_lanes_share_one(void **state)
{
    OWNED(lanes_free) struct lanes *lanes = lanes_new();
    struct lane_place place;
    int64_t again_s;
    char name[32];

    (void)state;
    for (int i = 0; i <= LANES_MAX; i++) {
        (void)snprintf(name, sizeof(name), "target-%d", i);
        assert_int_equal(enter(lanes, name, 0, &place, &again_s), LANE_ENTERED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(some_ask_some_wait_and_the_others_come_back),
        cmocka_unit_test(a_target_that_hangs_holds_up_no_other),
        cmocka_unit_test(who_waits_is_next_in_order),
        cmocka_unit_test(what_waits_can_be_taken_out),
        cmocka_unit_test(a_target_that_fails_is_left_alone_longer_and_longer),
        cmocka_unit_test(one_that_goes_well_ends_that),
        cmocka_unit_test(more_targets_than_lanes_share_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
