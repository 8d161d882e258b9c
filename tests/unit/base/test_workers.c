#include <pthread.h>
#include <stdatomic.h>

#include "base/error.h"
#include "base/workers.h"
#include "tests/test.h"

#define JOBS 200

/* Jobs that wait until the gate is opened, and say in which order they began. */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_open;
    size_t begun;
    size_t order[JOBS];
};

struct counted {
    struct worker_job job; /* first */
    struct gate *gate;
    size_t number;
};

static void run(struct worker_job *job)
{
    struct counted *counted = (struct counted *)job;
    struct gate *gate = counted->gate;

    (void)pthread_mutex_lock(&gate->lock);
    gate->order[gate->begun++] = counted->number;
    (void)pthread_cond_broadcast(&gate->changed);
    while (!gate->is_open)
        (void)pthread_cond_wait(&gate->changed, &gate->lock);
    (void)pthread_mutex_unlock(&gate->lock);
}

static void gate_init(struct gate *gate)
{
    *gate = (struct gate){ 0 };
    assert_int_equal(pthread_mutex_init(&gate->lock, NULL), 0);
    assert_int_equal(pthread_cond_init(&gate->changed, NULL), 0);
}

static void gate_wait(struct gate *gate, size_t begun)
{
    (void)pthread_mutex_lock(&gate->lock);
    while (gate->begun < begun)
        (void)pthread_cond_wait(&gate->changed, &gate->lock);
    (void)pthread_mutex_unlock(&gate->lock);
}

static void gate_open(struct gate *gate)
{
    (void)pthread_mutex_lock(&gate->lock);
    gate->is_open = true;
    (void)pthread_cond_broadcast(&gate->changed);
    (void)pthread_mutex_unlock(&gate->lock);
}

static void each_job_runs_once_and_stopping_waits_for_all(void **state)
{
    struct counted jobs[JOBS];
    struct workers *workers;
    struct error error = { 0 };
    bool seen[JOBS] = { false };
    struct gate gate;

    (void)state;
    gate_init(&gate);
    gate.is_open = true;
    assert_true(workers_start(4, JOBS, &workers, &error));
    for (size_t i = 0; i < JOBS; i++) {
        jobs[i] = (struct counted){ .job = { .run = run }, .gate = &gate, .number = i };
        assert_true(workers_submit(workers, &jobs[i].job, &error));
    }
    workers_stop(workers);
    assert_int_equal(gate.begun, JOBS);
    for (size_t i = 0; i < JOBS; i++) {
        assert_false(seen[gate.order[i]]);
        seen[gate.order[i]] = true;
    }
}

static void one_worker_takes_them_in_the_order_in_which_they_came(void **state)
{
    struct counted jobs[JOBS];
    struct workers *workers;
    struct error error = { 0 };
    struct gate gate;

    (void)state;
    gate_init(&gate);
    gate.is_open = true;
    assert_true(workers_start(1, JOBS, &workers, &error));
    for (size_t i = 0; i < JOBS; i++) {
        jobs[i] = (struct counted){ .job = { .run = run }, .gate = &gate, .number = i };
        assert_true(workers_submit(workers, &jobs[i].job, &error));
    }
    workers_stop(workers);
    for (size_t i = 0; i < JOBS; i++)
        assert_int_equal(gate.order[i], i);
}

static void a_full_queue_refuses_and_takes_again_when_there_is_room(void **state)
{
    struct counted jobs[5];
    struct workers *workers;
    struct error error = { 0 };
    struct gate gate;

    (void)state;
    gate_init(&gate);
    assert_true(workers_start(1, 2, &workers, &error));
    for (size_t i = 0; i < 5; i++)
        jobs[i] = (struct counted){ .job = { .run = run }, .gate = &gate, .number = i };
    assert_true(workers_submit(workers, &jobs[0].job, &error));
    gate_wait(&gate, 1); /* it is not in the queue any more */
    assert_true(workers_submit(workers, &jobs[1].job, &error));
    assert_true(workers_submit(workers, &jobs[2].job, &error));
    assert_false(workers_submit(workers, &jobs[3].job, &error));
    assert_int_equal(error.code, ERROR_BUSY);
    gate_open(&gate);
    gate_wait(&gate, 3);
    assert_true(workers_submit(workers, &jobs[4].job, &error));
    workers_stop(workers);
    assert_int_equal(gate.begun, 4);
}

static void stopping_nothing_is_fine(void **state)
{
    (void)state;
    workers_stop(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_job_runs_once_and_stopping_waits_for_all),
        cmocka_unit_test(one_worker_takes_them_in_the_order_in_which_they_came),
        cmocka_unit_test(a_full_queue_refuses_and_takes_again_when_there_is_room),
        cmocka_unit_test(stopping_nothing_is_fine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
