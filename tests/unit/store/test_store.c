#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/time_text.h"
#include "store/help.h"
#include "tests/test.h"

#define ROLL_OFTEN 4096

static int make(void **state)
{
    struct folder *folder = calloc(1, sizeof(*folder));

    folder_make(folder);
    *state = folder;
    return 0;
}

static int clean(void **state)
{
    folder_remove(*state);
    free(*state);
    return 0;
}

static bool has_mark(const struct store *store, unsigned number)
{
    uint8_t mark[32];

    mark_of(number, mark);
    return store_has_mark(store, mark);
}

static void what_was_appended_can_be_read(void **state)
{
    struct store *store = open_store(*state, 0);

    append_many(store, 0, 50);
    assert_int_equal(store_size(store), 50);
    expect_entries(*state, 50);
    store_close(store);
    expect_entries(*state, 50);
}

static void a_store_goes_on_where_it_stopped(void **state)
{
    struct store *store = open_store(*state, 0);

    append_many(store, 0, 3);
    store_close(store);
    store = open_store(*state, 0);
    assert_int_equal(store_size(store), 3);
    append_many(store, 3, 3);
    store_close(store);
    expect_entries(*state, 6);
}

static void marks_and_leases_live_through_a_restart(void **state)
{
    struct store *store = open_store(*state, 0);
    struct store_lease lease = { 0 };
    uint8_t handle[32];

    assert_true(append_now(store, "mark 1 4102444800"));
    assert_true(append_now(store, "mark 2 4102444800"));
    assert_true(append_now(store, "free 2"));
    assert_true(append_now(store, "mark 3 1000"));
    assert_true(append_now(store, "lease 1 2 4102444800"));
    assert_true(append_now(store, "lease 1 3 0"));
    store_close(store);
    store = open_store(*state, 0);
    assert_true(has_mark(store, 1));
    assert_false(has_mark(store, 2));
    assert_false(has_mark(store, 3));
    handle_of(1, handle);
    assert_true(store_lease_by_handle(store, handle, &lease));
    assert_int_equal(lease.state, LEASE_RELEASED);
    assert_int_equal(lease.version, 2);
    assert_int_equal(lease.opened_index, 4);
    assert_int_equal(lease.latest_index, 5);
    assert_true(store_lease_by_id(store, str_from(lease.id), &lease));
    assert_false(store_lease_by_id(store, STR("short"), &lease));
    assert_int_equal(store_live_lease_count(store), 0);
    store_close(store);
}

static void segments_follow_each_other(void **state)
{
    struct store *store = open_store(*state, ROLL_OFTEN);
    struct stat status;

    append_many(store, 0, 300);
    store_close(store);
    expect_entries(*state, 300);
    assert_true(folder_size(*state, "segments/00000000000000000000.seg") <= ROLL_OFTEN);
    assert_int_not_equal(stat(folder_path(*state, "segments/spare"), &status), 0);
    store = open_store(*state, ROLL_OFTEN);
    append_many(store, 300, 100);
    store_close(store);
    expect_entries(*state, 400);
}

static void an_entry_larger_than_a_segment_still_fits(void **state)
{
    struct store *store = open_store(*state, ROLL_OFTEN);
    struct append *append = append_new("entry 1");

    append_many(store, 0, 1);
    append_fill(append, STORE_ENTRY_MAX - append_proposal(append)->entries[0].len);
    assert_true(append_submit(append, store));
    assert_true(append_wait(append));
    append_free(append);
    append_many(store, 2, 1);
    store_close(store);
    store = open_store(*state, ROLL_OFTEN);
    assert_int_equal(store_size(store), 3);
    store_close(store);
}

static void entries_past_their_limits_are_refused(void **state)
{
    struct store *store = open_store(*state, 0);
    struct append *append = append_new("entry 0");
    struct store_proposal *proposal = append_proposal(append);
    static char large[STORE_PRIVATE_MAX + 1];

    append_fill(append, STORE_ENTRY_MAX + 1 - proposal->entries[0].len);
    assert_false(append_submit(append, store));
    proposal->entries[0].len--;
    proposal->entries[0].private_part = (struct str){ large, sizeof(large) };
    assert_false(append_submit(append, store));
    proposal->entries[0].private_part.len--;
    proposal->entries[0].time_offset = proposal->entries[0].len - TIME_TEXT_MS_LEN + 1;
    assert_false(append_submit(append, store));
    proposal->entries[0].time_offset--;
    proposal->entries[0].change_count = STORE_ENTRY_CHANGES_MAX + 1;
    assert_false(append_submit(append, store));
    proposal->entries[0].change_count = 0;
    proposal->guard_count = STORE_PROPOSAL_GUARDS_MAX + 1;
    assert_false(append_submit(append, store));
    proposal->guard_count = 0;
    proposal->entry_count = 0;
    assert_false(append_submit(append, store));
    proposal->entry_count = 1;
    assert_true(append_submit(append, store));
    assert_true(append_wait(append));
    append_free(append);
    store_close(store);
}

static void a_proposal_is_committed_as_a_whole(void **state)
{
    struct store *store = open_store(*state, 0);
    struct append *append = append_new("entry 0");
    struct append *refused = append_new("entry 8");

    for (unsigned i = 1; i < STORE_PROPOSAL_ENTRIES_MAX; i++) {
        char command[32];

        (void)snprintf(command, sizeof(command), "entry %u", i);
        append_add(append, command);
    }
    assert_true(append_submit(append, store));
    assert_true(append_wait(append));
    assert_int_equal(append_proposal(append)->first_index, 0);
    append_add(refused, "entry 9");
    append_guard_lease(refused, 1, LEASE_ISSUED, 1);
    assert_true(append_submit(refused, store));
    assert_false(append_wait(refused));
    store_close(store);
    expect_entries(*state, STORE_PROPOSAL_ENTRIES_MAX);
    append_free(append);
    append_free(refused);
}

static void a_guard_says_which_one_failed(void **state)
{
    struct store *store = open_store(*state, 0);
    struct append *append = append_new("mark 7 4102444800");
    struct store_proposal *proposal = append_proposal(append);

    assert_true(append_now(store, "mark 2 4102444800"));
    append_guard_mark(append, 1);
    append_guard_mark(append, 2);
    assert_true(append_submit(append, store));
    assert_false(append_wait(append));
    assert_int_equal(proposal->failed_guard, 1);
    assert_int_equal(proposal->error.code, ERROR_INVALID);
    assert_false(has_mark(store, 7));
    assert_true(append_now(store, "free 2"));
    assert_true(append_submit(append, store));
    assert_true(append_wait(append));
    assert_int_equal(proposal->failed_guard, proposal->guard_count);
    assert_int_equal(proposal->error.code, ERROR_NONE);
    assert_true(has_mark(store, 7));
    append_free(append);
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
    struct store *store = open_store(*state, 0);

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
    struct store *store = open_store(*state, 0);

    for (unsigned round = 0; round < 20; round++) {
        assert_int_equal(run_race(store, "mark 5 4102444800", guard_mark_5), 1);
        assert_true(append_now(store, "free 5"));
    }
    store_close(store);
}

static void of_many_that_change_a_lease_exactly_one_does(void **state)
{
    struct store *store = open_store(*state, 0);

    assert_true(append_now(store, "lease 5 2 4102444800"));
    assert_int_equal(run_race(store, "lease 5 3 0", guard_lease_5), 1);
    store_close(store);
}

/* Hold the store's thread in a `done`, so that what comes meanwhile is one batch. */
struct gate {
    struct store_proposal proposal;
    struct append *entry;
    pthread_mutex_t lock;
};

static void wait_at_gate(struct store_proposal *proposal, void *context)
{
    struct gate *gate = context;

    (void)proposal;
    (void)pthread_mutex_lock(&gate->lock);
    (void)pthread_mutex_unlock(&gate->lock);
}

static void close_gate(struct gate *gate, struct store *store)
{
    struct error error = { 0 };

    gate->entry = append_new("gate");
    gate->proposal = *append_proposal(gate->entry);
    gate->proposal.done = wait_at_gate;
    gate->proposal.context = gate;
    (void)pthread_mutex_init(&gate->lock, NULL);
    (void)pthread_mutex_lock(&gate->lock);
    assert_true(store_submit(store, &gate->proposal, &error));
}

static void open_gate(struct gate *gate)
{
    (void)pthread_mutex_unlock(&gate->lock);
}

static void release_gate(struct gate *gate)
{
    append_free(gate->entry);
    (void)pthread_mutex_destroy(&gate->lock);
}

static void guards_see_earlier_proposals_of_their_batch(void **state)
{
    struct store *store = open_store(*state, 0);
    struct gate gate;
    struct append *first = append_new("mark 1 4102444800");
    struct append *second = append_new("mark 1 4102444800");
    struct append *freed = append_new("free 1");
    struct append *third = append_new("mark 1 4102444800");

    append_guard_mark(first, 1);
    append_guard_mark(second, 1);
    append_guard_mark(third, 1);
    close_gate(&gate, store);
    assert_true(append_submit(first, store));
    assert_true(append_submit(second, store));
    assert_true(append_submit(freed, store));
    assert_true(append_submit(third, store));
    open_gate(&gate);
    assert_true(append_wait(third));
    assert_true(append_wait(freed));
    assert_false(append_wait(second));
    assert_true(append_wait(first));
    assert_int_equal(append_proposal(third)->first_index, append_proposal(first)->first_index + 2);
    append_free(first);
    append_free(second);
    append_free(freed);
    append_free(third);
    store_close(store);
    release_gate(&gate);
}

static void lease_guards_count_versions_within_a_batch(void **state)
{
    struct store *store = open_store(*state, 0);
    struct gate gate;
    struct append *opened = append_new("lease 1 1 4102444800");
    struct append *issued = append_new("lease 1 2 4102444800");
    struct append *again = append_new("lease 1 6 0");

    append_guard_lease(issued, 1, LEASE_REQUESTED, 1);
    append_guard_lease(again, 1, LEASE_REQUESTED, 1);
    close_gate(&gate, store);
    assert_true(append_submit(opened, store));
    assert_true(append_submit(issued, store));
    assert_true(append_submit(again, store));
    open_gate(&gate);
    assert_true(append_wait(opened));
    assert_true(append_wait(issued));
    assert_false(append_wait(again));
    append_free(opened);
    append_free(issued);
    append_free(again);
    store_close(store);
    release_gate(&gate);
}

static void more_than_a_batch_holds_becomes_several(void **state)
{
    enum {
        MANY = 1500
    };
    struct store *store = open_store(*state, 0);
    struct gate gate;
    struct append *appends[MANY];

    close_gate(&gate, store);
    for (unsigned i = 0; i < MANY; i++) {
        appends[i] = append_new("filled");
        append_fill(appends[i], 3000);
        assert_true(append_submit(appends[i], store));
    }
    open_gate(&gate);
    for (unsigned i = 0; i < MANY; i++) {
        assert_true(append_wait(appends[i]));
        assert_int_equal(append_proposal(appends[i])->first_index, i + 1);
        append_free(appends[i]);
    }
    store_close(store);
    release_gate(&gate);
    store = open_store(*state, 0);
    assert_int_equal(store_size(store), MANY + 1);
    store_close(store);
}

static void a_closing_store_finishes_what_is_queued(void **state)
{
    struct store *store = open_store(*state, 0);
    struct append *appends[100];

    for (unsigned i = 0; i < COUNT(appends); i++) {
        char command[32];

        (void)snprintf(command, sizeof(command), "entry %u", i);
        appends[i] = append_new(command);
        assert_true(append_submit(appends[i], store));
    }
    store_close(store);
    for (unsigned i = 0; i < COUNT(appends); i++) {
        assert_true(append_wait(appends[i]));
        append_free(appends[i]);
    }
    expect_entries(*state, COUNT(appends));
}

static void times_never_go_back(void **state)
{
    struct store *store = open_store(*state, 0);
    struct append *append = append_new("entry 0");
    const char *time = append_proposal(append)->entries[0].bytes;
    int64_t previous_ms = 0;
    int64_t time_ms = 0;

    for (unsigned i = 0; i < 20; i++) {
        assert_true(append_submit(append, store));
        assert_true(append_wait(append));
        assert_true(time_text_parse((struct str){ time, TIME_TEXT_MS_LEN }, &time_ms));
        assert_true(time_ms >= previous_ms);
        previous_ms = time_ms;
    }
    assert_true(previous_ms <= clock_wall_ms());
    append_free(append);
    store_close(store);
}

static void a_second_broker_is_locked_out(void **state)
{
    struct store *store = open_store(*state, 0);

    expect_no_store(*state, ERROR_IO, "locked by another broker");
    append_many(store, 0, 2);
    store_close(store);
    store_close(open_store(*state, 0));
}

struct committed {
    atomic_uint_fast64_t size;
};

static void note_commit(uint64_t size, void *context)
{
    struct committed *committed = context;

    atomic_store(&committed->size, size);
}

static void each_batch_is_told_with_the_new_size(void **state)
{
    struct store *store = open_store(*state, 0);
    struct committed committed = { 0 };

    store_on_commit(store, note_commit, &committed);
    append_many(store, 0, 10);
    store_close(store);
    assert_int_equal(atomic_load(&committed.size), 10);
}

int main(void)
{
#define STORE_TEST(function) cmocka_unit_test_setup_teardown(function, make, clean)
    const struct CMUnitTest tests[] = {
        STORE_TEST(what_was_appended_can_be_read),
        STORE_TEST(a_store_goes_on_where_it_stopped),
        STORE_TEST(marks_and_leases_live_through_a_restart),
        STORE_TEST(segments_follow_each_other),
        STORE_TEST(an_entry_larger_than_a_segment_still_fits),
        STORE_TEST(entries_past_their_limits_are_refused),
        STORE_TEST(a_proposal_is_committed_as_a_whole),
        STORE_TEST(a_guard_says_which_one_failed),
        STORE_TEST(a_lease_guard_wants_state_and_version),
        STORE_TEST(of_many_that_want_a_mark_exactly_one_gets_it),
        STORE_TEST(of_many_that_change_a_lease_exactly_one_does),
        STORE_TEST(guards_see_earlier_proposals_of_their_batch),
        STORE_TEST(lease_guards_count_versions_within_a_batch),
        STORE_TEST(more_than_a_batch_holds_becomes_several),
        STORE_TEST(a_closing_store_finishes_what_is_queued),
        STORE_TEST(times_never_go_back),
        STORE_TEST(a_second_broker_is_locked_out),
        STORE_TEST(each_batch_is_told_with_the_new_size),
    };
#undef STORE_TEST

    return cmocka_run_group_tests(tests, NULL, NULL);
}
