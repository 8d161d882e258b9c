/* Conformance: marks, their holders and uses, and leases. */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/conformance.h"

static struct store_mark find_mark(const struct store *store, unsigned number)
{
    struct store_mark mark = { 0 };
    uint8_t key[32];

    mark_of(number, key);
    return store_mark(store, key, &mark, &(struct error){ 0 }) ? mark : (struct store_mark){ 0 };
}

/* Use mark 1 as `holder`, at most `uses_max` times. */
static bool use_mark(struct store *store, unsigned holder, unsigned lease, unsigned uses_max)
{
    struct append *append;
    char command[64];
    bool is_used;

    (void)snprintf(command, sizeof(command), "use 1 %u %u", holder, lease);
    append = append_new(command);
    append_guard_uses(append, 1, holder, uses_max);
    is_used = append_submit(append, store) && append_wait(append);
    append_free(append);
    return is_used;
}

static void marks_and_leases_live_through_a_restart(void **state)
{
    struct store *store = open_place(*state);
    struct store_lease lease = { 0 };
    uint8_t handle[STORE_HANDLE_LEN];

    assert_true(append_now(store, "mark 1 4102444800"));
    assert_true(append_now(store, "mark 2 4102444800"));
    assert_true(append_now(store, "free 2"));
    assert_true(append_now(store, "mark 3 1000"));
    assert_true(append_now(store, "lease 1 2 4102444800"));
    assert_true(append_now(store, "lease 1 3 0"));
    store_close(store);
    store = open_place(*state);
    assert_true(has_mark(store, 1));
    assert_false(has_mark(store, 2));
    assert_false(has_mark(store, 3));
    handle_of(1, handle);
    assert_true(store_lease_by_handle(store, handle, &lease, &(struct error){ 0 }));
    assert_int_equal(lease.state, LEASE_RELEASED);
    assert_int_equal(lease.version, 2);
    assert_int_equal(lease.opened_index, 4);
    assert_int_equal(lease.latest_index, 5);
    assert_true(store_lease_by_id(store, str_from(lease.id), &lease, &(struct error){ 0 }));
    assert_false(store_lease_by_id(store, STR("short"), &lease, &(struct error){ 0 }));
    assert_int_equal(store_live_lease_count(store), 0);
    store_close(store);
}

static void a_lease_guard_wants_state_and_version(void **state)
{
    static const struct {
        const char *name;
        unsigned number;
        enum store_lease_state state;
        uint32_t version;
        bool holds;
    } cases[] = {
        { "fits", 1, LEASE_ISSUED, 2, true },
        { "an older version", 1, LEASE_ISSUED, 1, false },
        { "a later version", 1, LEASE_ISSUED, 3, false },
        { "another state", 1, LEASE_REQUESTED, 2, false },
        { "no such lease", 2, LEASE_ISSUED, 2, false },
        { "no such lease, version 0", 2, LEASE_ISSUED, 0, false },
    };
    struct store *store = open_place(*state);

    assert_true(append_now(store, "lease 1 1 4102444800"));
    assert_true(append_now(store, "lease 1 2 4102444800"));
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct append *append = append_new("nothing");

        append_guard_lease(append, cases[i].number, cases[i].state, cases[i].version);
        assert_true(append_submit(append, store));
        if (append_wait(append) != cases[i].holds)
            fail_msg("%s", cases[i].name);
        append_free(append);
    }
    store_close(store);
}

static void a_lease_guard_can_want_one_that_lives(void **state)
{
    struct store *store = open_place(*state);

    assert_true(append_now(store, "lease 1 2 4102444800"));
    assert_true(append_now(store, "lease 2 2 1000"));
    for (unsigned number = 1; number <= 2; number++) {
        struct append *append = append_new("nothing");

        append_guard_lease(append, number, LEASE_ISSUED, 1);
        append_proposal(append)->guards[0].must_live = true;
        assert_true(append_submit(append, store));
        assert_int_equal(append_wait(append), number == 1);
        append_free(append);
    }
    store_close(store);
}

/* All of them race for one mark; each then releases one lease, at one version. */
struct race {
    struct store *store;
    const char *command;
    void (*guard)(struct append *append);
    atomic_int winners;
};

static void guard_mark_5(struct append *append)
{
    append_guard_mark(append, 5);
}

static void guard_lease_5(struct append *append)
{
    append_guard_lease(append, 5, LEASE_ISSUED, 1);
}

static void *race_once(void *context)
{
    struct race *race = context;
    struct append *append = append_new(race->command);

    race->guard(append);
    if (append_submit(append, race->store) && append_wait(append))
        atomic_fetch_add(&race->winners, 1);
    append_free(append);
    return NULL;
}

static int run_race(struct store *store, const char *command, void (*guard)(struct append *))
{
    struct race race = { .store = store, .command = command, .guard = guard };
    pthread_t threads[16];

    for (size_t i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, race_once, &race), 0);
    for (size_t i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    return atomic_load(&race.winners);
}

static void of_many_that_want_a_mark_exactly_one_gets_it(void **state)
{
    struct store *store = open_place(*state);

    for (unsigned round = 0; round < 10; round++) {
        assert_int_equal(run_race(store, "mark 5 4102444800", guard_mark_5), 1);
        assert_true(append_now(store, "free 5"));
    }
    store_close(store);
}

static void of_many_that_change_a_lease_exactly_one_does(void **state)
{
    struct store *store = open_place(*state);

    assert_true(append_now(store, "lease 5 2 4102444800"));
    assert_int_equal(run_race(store, "lease 5 3 0", guard_lease_5), 1);
    store_close(store);
}

static void the_holder_uses_a_mark_as_often_as_it_may(void **state)
{
    struct store *store = open_place(*state);

    for (unsigned i = 1; i <= 3; i++) {
        assert_true(use_mark(store, 7, 0, 3));
        assert_int_equal(find_mark(store, 1).uses, i);
        assert_int_equal(find_mark(store, 1).first_index, 0);
    }
    assert_false(use_mark(store, 7, 0, 3));
    assert_int_equal(find_mark(store, 1).uses, 3);
    store_close(store);
}

static void nobody_else_uses_a_mark(void **state)
{
    struct store *store = open_place(*state);

    assert_true(use_mark(store, 7, 0, 5));
    assert_false(use_mark(store, 8, 0, 5));
    assert_false(use_mark(store, 0, 0, 5));
    assert_int_equal(find_mark(store, 1).uses, 1);
    store_close(store);
}

static void without_a_holder_a_mark_is_used_once(void **state)
{
    struct store *store = open_place(*state);

    assert_true(use_mark(store, 0, 0, 5));
    assert_false(use_mark(store, 0, 0, 5));
    assert_false(use_mark(store, 7, 0, 5));
    store_close(store);
}

static void a_mark_is_used_255_times_and_not_once_more(void **state)
{
    struct store *store = open_place(*state);

    for (unsigned i = 0; i < STORE_MARK_USES_MAX; i++)
        assert_true(use_mark(store, 7, 0, 1000));
    assert_false(use_mark(store, 7, 0, 1000));
    store_close(store);
}

static void a_freed_use_can_be_had_again(void **state)
{
    struct store *store = open_place(*state);

    assert_true(use_mark(store, 7, 0, 2));
    assert_true(use_mark(store, 7, 0, 2));
    assert_true(append_now(store, "free 1"));
    assert_int_equal(find_mark(store, 1).uses, 1);
    assert_false(use_mark(store, 8, 0, 2));
    assert_true(use_mark(store, 7, 0, 2));
    assert_true(append_now(store, "free 1"));
    assert_true(append_now(store, "free 1"));
    assert_int_equal(find_mark(store, 1).uses, 0);
    assert_true(use_mark(store, 8, 0, 1));
    store_close(store);
}

static void both_entries_of_a_lease_are_one_use(void **state)
{
    struct store *store = open_place(*state);

    assert_true(use_mark(store, 7, 4, 3));
    assert_true(append_now(store, "lease 4 1 4102444800"));
    assert_true(append_now(store, "use 1 7 4"));
    assert_int_equal(find_mark(store, 1).uses, 1);
    assert_true(use_mark(store, 7, 5, 3));
    assert_int_equal(find_mark(store, 1).uses, 2);
    store_close(store);
}

struct use_race {
    struct store *store;
    unsigned uses_max;
    atomic_uint winners;
};

static void *use_once(void *context)
{
    struct use_race *race = context;

    if (use_mark(race->store, 7, 0, race->uses_max))
        atomic_fetch_add(&race->winners, 1);
    return NULL;
}

static void of_many_uses_at_once_exactly_as_many_win_as_may(void **state)
{
    struct store *store = open_place(*state);

    for (unsigned uses_max = 1; uses_max <= 8; uses_max++) {
        struct use_race race = { .store = store, .uses_max = uses_max };
        pthread_t threads[16];

        for (size_t i = 0; i < COUNT(threads); i++)
            assert_int_equal(pthread_create(&threads[i], NULL, use_once, &race), 0);
        for (size_t i = 0; i < COUNT(threads); i++)
            assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(atomic_load(&race.winners), uses_max);
        for (unsigned i = 0; i < uses_max; i++)
            assert_true(append_now(store, "free 1"));
    }
    store_close(store);
}

static void expect_two_uses(const struct place *place)
{
    struct store *store = open_place(place);
    struct store_mark mark = find_mark(store, 1);
    uint8_t holder[STORE_HOLDER_LEN];

    holder_of(7, holder);
    assert_int_equal(mark.uses, 2);
    assert_int_equal(mark.first_index, 0);
    assert_memory_equal(mark.holder, holder, sizeof(holder));
    assert_false(use_mark(store, 8, 0, 3));
    assert_true(use_mark(store, 7, 0, 3));
    assert_false(use_mark(store, 7, 0, 3));
    store_close(store);
}

static void uses_live_through_a_restart(void **state)
{
    struct store *store = open_place(*state);

    assert_true(use_mark(store, 7, 1, 3));
    assert_true(use_mark(store, 7, 2, 3));
    store_close(store);
    expect_two_uses(*state);
}

static void uses_live_through_kill_9(void **state)
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        struct store *store = open_place(*state);

        if (!use_mark(store, 7, 1, 3) || !use_mark(store, 7, 2, 3))
            _exit(1);
        (void)raise(SIGKILL);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    expect_two_uses(*state);
}

static bool find_lease(const struct store *store, unsigned number, struct store_lease *lease)
{
    char id[ID_LEN + 1];

    lease_id_of(number, id);
    return store_lease_by_id(store, str_from(id), lease, &(struct error){ 0 });
}

static void a_change_of_a_lease_keeps_what_it_does_not_name(void **state)
{
    struct store *store = open_place(*state);
    struct store_lease lease;
    uint8_t handle[STORE_HANDLE_LEN];

    assert_true(append_now(store, "lease 3 2 4102444800"));
    assert_true(append_now(store, "lease 3 3 0"));
    assert_true(find_lease(store, 3, &lease));
    handle_of(3, handle);
    assert_memory_equal(lease.handle, handle, sizeof(handle));
    assert_int_equal(lease.expires_s, FAR_AWAY_S);
    assert_int_equal(lease.state, LEASE_RELEASED);
    assert_int_equal(lease.version, 2);
    store_close(store);
}

static void a_change_of_a_lease_that_is_not_kept_does_nothing(void **state)
{
    struct store *store = open_place(*state);
    struct store_lease lease;

    assert_true(append_now(store, "lease 3 3 0"));
    assert_false(find_lease(store, 3, &lease));
    assert_true(append_now(store, "lease 3 2 4102444800"));
    assert_true(find_lease(store, 3, &lease));
    assert_int_equal(lease.version, 1);
    assert_int_equal(lease.opened_index, 1);
    store_close(store);
}

static void a_lease_without_a_handle_is_found_by_none(void **state)
{
    struct store *store = open_place(*state);
    struct store_lease lease;
    uint8_t handle[STORE_HANDLE_LEN] = { 0 };

    assert_true(append_now(store, "lease 3 1 4102444800"));
    assert_false(store_lease_by_handle(store, handle, &lease, &(struct error){ 0 }));
    handle_of(3, handle);
    assert_false(store_lease_by_handle(store, handle, &lease, &(struct error){ 0 }));
    assert_true(append_now(store, "lease 3 2 0"));
    assert_true(store_lease_by_handle(store, handle, &lease, &(struct error){ 0 }));
    store_close(store);
}

/* Several changes of one lease and one mark, in one batch and in one proposal. */
static void changes_of_one_batch_add_up(void **state)
{
    struct store *store = open_place(*state);
    struct gate gate;
    struct append *first = append_new("use 1 7 0");
    struct append *second = append_new("use 1 7 0");
    struct store_lease lease;

    append_add(first, "lease 3 1 4102444800");
    append_add(first, "lease 3 2 0");
    append_add(second, "lease 3 3 0");
    append_add(second, "use 1 7 0");
    append_add(second, "free 1");
    gate_close(&gate, store);
    assert_true(append_submit(first, store));
    assert_true(append_submit(second, store));
    gate_open(&gate);
    assert_true(append_wait(first));
    assert_true(append_wait(second));
    assert_true(find_lease(store, 3, &lease));
    assert_int_equal(lease.version, 3);
    assert_int_equal(lease.state, LEASE_RELEASED);
    assert_int_equal(lease.opened_index, 2);
    assert_int_equal(lease.latest_index, 5);
    assert_int_equal(find_mark(store, 1).uses, 2);
    assert_int_equal(find_mark(store, 1).first_index, 1);
    assert_int_equal(find_mark(store, 1).latest_index, 7);
    append_free(first);
    append_free(second);
    store_close(store);
    gate_release(&gate);
}

static void a_mark_that_has_ended_is_no_mark(void **state)
{
    struct store *store = open_place(*state);
    struct append *append = append_new("mark 1 4102444800");

    assert_true(append_now(store, "mark 1 1000"));
    assert_false(has_mark(store, 1));
    append_guard_mark(append, 1);
    assert_true(append_submit(append, store));
    assert_true(append_wait(append));
    assert_true(has_mark(store, 1));
    append_free(append);
    store_close(store);
}

#ifdef STAGEPASS_TEST_CLOCK
/* In a process of its own, so that the clock is right again afterwards. */
static void expect_an_end_at_its_time(const struct place *place)
{
    struct store *store = open_place(place);
    struct append *append = append_new("mark 1 4102444800");
    char command[64];

    (void)snprintf(command, sizeof(command), "mark 1 %lld", (long long)clock_wall_s() + 600);
    assert_true(append_now(store, command));
    append_guard_mark(append, 1);
    assert_true(append_submit(append, store));
    assert_false(append_wait(append));
    clock_test_advance(590);
    assert_true(has_mark(store, 1));
    assert_true(append_submit(append, store));
    assert_false(append_wait(append));
    clock_test_advance(11);
    assert_false(has_mark(store, 1));
    assert_true(append_submit(append, store));
    assert_true(append_wait(append));
    append_free(append);
    store_close(store);
}

static void a_mark_ends_when_it_said(void **state)
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        expect_an_end_at_its_time(*state);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}
#endif

/* Rows that are gone are made again from the entries, and are the same. */
static void a_start_folds_all_entries(void **state)
{
    struct store *store = open_place(*state);
    struct store_lease before;
    struct store_lease after;

    assert_true(use_mark(store, 7, 0, 3));
    assert_true(use_mark(store, 7, 0, 3));
    assert_true(append_now(store, "mark 2 4102444800"));
    assert_true(append_now(store, "free 2"));
    assert_true(append_now(store, "lease 3 2 4102444800"));
    assert_true(append_now(store, "lease 3 4 0"));
    append_burst(store, 6, 300);
    assert_true(append_now(store, "lease 4 2 4102444800"));
    assert_true(find_lease(store, 3, &before));
    store_close(store);
    conformance->forget_rows(*state);
    store = open_place(*state);
    assert_int_equal(store_size(store), 307);
    assert_true(find_lease(store, 3, &after));
    assert_string_equal(after.id, before.id);
    assert_memory_equal(after.handle, before.handle, sizeof(after.handle));
    assert_int_equal(after.state, before.state);
    assert_int_equal(after.version, before.version);
    assert_int_equal(after.expires_s, before.expires_s);
    assert_int_equal(after.opened_index, before.opened_index);
    assert_int_equal(after.latest_index, before.latest_index);
    assert_int_equal(find_mark(store, 1).uses, 2);
    assert_false(has_mark(store, 2));
    assert_int_equal(store_live_lease_count(store), 1);
    assert_true(use_mark(store, 7, 0, 3));
    assert_false(use_mark(store, 7, 0, 3));
    store_close(store);
}

static void an_entry_without_sense_stops_the_start(void **state)
{
    const struct place *place = *state;
    struct store *store = open_place(place);

    append_many(store, 0, 2);
    assert_true(append_now(store, "nonsense"));
    store_close(store);
    conformance->forget_rows(place);
    expect_no_location(place->location, ERROR_INVALID, "entry 2");
}

const struct CMUnitTest conformance_rows[] = {
    CONFORMANCE_TEST(marks_and_leases_live_through_a_restart),
    CONFORMANCE_TEST(a_lease_guard_wants_state_and_version),
    CONFORMANCE_TEST(a_lease_guard_can_want_one_that_lives),
    CONFORMANCE_TEST(of_many_that_want_a_mark_exactly_one_gets_it),
    CONFORMANCE_TEST(of_many_that_change_a_lease_exactly_one_does),
    CONFORMANCE_TEST(the_holder_uses_a_mark_as_often_as_it_may),
    CONFORMANCE_TEST(nobody_else_uses_a_mark),
    CONFORMANCE_TEST(without_a_holder_a_mark_is_used_once),
    CONFORMANCE_TEST(a_mark_is_used_255_times_and_not_once_more),
    CONFORMANCE_TEST(a_freed_use_can_be_had_again),
    CONFORMANCE_TEST(both_entries_of_a_lease_are_one_use),
    CONFORMANCE_TEST(of_many_uses_at_once_exactly_as_many_win_as_may),
    CONFORMANCE_TEST(uses_live_through_a_restart),
    CONFORMANCE_TEST(uses_live_through_kill_9),
    CONFORMANCE_TEST(a_change_of_a_lease_keeps_what_it_does_not_name),
    CONFORMANCE_TEST(a_change_of_a_lease_that_is_not_kept_does_nothing),
    CONFORMANCE_TEST(a_lease_without_a_handle_is_found_by_none),
    CONFORMANCE_TEST(changes_of_one_batch_add_up),
    CONFORMANCE_TEST(a_mark_that_has_ended_is_no_mark),
#ifdef STAGEPASS_TEST_CLOCK
    CONFORMANCE_TEST(a_mark_ends_when_it_said),
#endif
    CONFORMANCE_TEST(a_start_folds_all_entries),
    CONFORMANCE_TEST(an_entry_without_sense_stops_the_start),
};
const size_t conformance_rows_count = COUNT(conformance_rows);
