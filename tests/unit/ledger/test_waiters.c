#include <stdlib.h>

#include "base/error.h"
#include "ledger/waiters.h"
#include "tests/test.h"

static void count_call(void *context)
{
    unsigned *calls = context;

    (*calls)++;
}

static enum progress wait_for(struct waiters *waiters, uint64_t index, unsigned *calls,
                              enum error_code *code)
{
    struct waker waker = { count_call, calls };
    struct error error = { 0 };
    enum progress progress = waiters_join(waiters, index, waker, &error);

    *code = error.code;
    return progress;
}

static void who_waits_is_called_once_when_it_is_published(void **state)
{
    struct waiters waiters;
    enum error_code code = ERROR_NONE;
    unsigned early = 0;
    unsigned late = 0;

    (void)state;
    assert_true(waiters_init(&waiters));
    assert_int_equal(wait_for(&waiters, 4, &early, &code), PROGRESS_WAIT);
    assert_int_equal(wait_for(&waiters, 5, &late, &code), PROGRESS_WAIT);
    waiters_wake(&waiters, 4);
    assert_int_equal(early, 0);
    waiters_wake(&waiters, 5);
    waiters_wake(&waiters, 5);
    assert_int_equal(early, 1);
    assert_int_equal(late, 0);
    assert_int_equal(wait_for(&waiters, 4, &early, &code), PROGRESS_DONE);
    waiters_close(&waiters);
    assert_int_equal(late, 1);
    waiters_release(&waiters);
}

static void who_left_is_not_called(void **state)
{
    struct waiters waiters;
    enum error_code code = ERROR_NONE;
    unsigned calls = 0;
    unsigned other = 0;

    (void)state;
    assert_true(waiters_init(&waiters));
    assert_int_equal(wait_for(&waiters, 1, &calls, &code), PROGRESS_WAIT);
    assert_int_equal(wait_for(&waiters, 1, &other, &code), PROGRESS_WAIT);
    assert_true(waiters_leave(&waiters, &calls));
    assert_false(waiters_leave(&waiters, &calls));
    waiters_wake(&waiters, 2);
    assert_int_equal(calls, 0);
    assert_int_equal(other, 1);
    assert_false(waiters_leave(&waiters, &other));
    waiters_release(&waiters);
}

static void after_closing_nobody_may_wait(void **state)
{
    struct waiters waiters;
    enum error_code code = ERROR_NONE;
    unsigned calls = 0;

    (void)state;
    assert_true(waiters_init(&waiters));
    waiters_wake(&waiters, 1);
    waiters_close(&waiters);
    assert_int_equal(wait_for(&waiters, 1, &calls, &code), PROGRESS_FAILED);
    assert_int_equal(code, ERROR_STOPPING);
    assert_int_equal(wait_for(&waiters, 0, &calls, &code), PROGRESS_DONE);
    waiters_release(&waiters);
}

static void so_many_may_wait_and_no_more(void **state)
{
    struct waiters waiters;
    enum error_code code = ERROR_NONE;
    unsigned calls = 0;

    (void)state;
    assert_true(waiters_init(&waiters));
    for (size_t i = 0; i < WAITERS_MAX; i++)
        assert_int_equal(wait_for(&waiters, i, &calls, &code), PROGRESS_WAIT);
    assert_int_equal(wait_for(&waiters, 0, &calls, &code), PROGRESS_FAILED);
    assert_int_equal(code, ERROR_BUSY);
    waiters_close(&waiters);
    assert_int_equal(calls, WAITERS_MAX);
    waiters_release(&waiters);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_waits_is_called_once_when_it_is_published),
        cmocka_unit_test(who_left_is_not_called),
        cmocka_unit_test(after_closing_nobody_may_wait),
        cmocka_unit_test(so_many_may_wait_and_no_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
