/* Conformance: the guards on what is under keys: fewer live, fewer opened, the latest. */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/clock.h"
#include "store/conformance.h"

static struct store_guard guard_on(enum store_guard_kind kind, enum store_lease_key key_kind,
                                   unsigned key, uint32_t count)
{
    struct store_guard guard = { .kind = kind, .key_kind = key_kind, .count = count };

    key_of(key_kind, key, guard.key);
    return guard;
}

static struct store_guard fewer_live(unsigned stage, uint32_t count)
{
    return guard_on(STORE_GUARD_FEWER_LIVE, STORE_KEY_STAGE, stage, count);
}

static bool holds(struct store *store, struct store_guard guard)
{
    return append_if(store, "nothing", &guard);
}

/* --- fewer live --- */

static void a_limit_of_live_leases_holds_at_it_and_not_past_it(void **state)
{
    struct store *store = open_place(*state);

    for (unsigned kind = 0; kind < 3; kind++) { /* requested, issued, unknown */
        static const int states[] = { LEASE_REQUESTED, LEASE_ISSUED, LEASE_UNKNOWN };
        char command[64];

        assert_true(holds(store, fewer_live(1, kind + 1)));
        assert_false(kind > 0 && holds(store, fewer_live(1, kind)));
        (void)snprintf(command, sizeof(command), "lease %u %d 4102444800 stage=1", kind + 1,
                       states[kind]);
        assert_true(append_now(store, command));
    }
    assert_true(holds(store, fewer_live(1, 4)));
    assert_false(holds(store, fewer_live(1, 3)));
    assert_true(holds(store, fewer_live(2, 1)));
    assert_false(holds(store, fewer_live(2, 0)));
    assert_true(holds(store, fewer_live(1, UINT32_MAX)));
    store_close(store);
}

static void what_has_ended_does_not_live(void **state)
{
    static const int ended[] = { LEASE_RELEASED, LEASE_REVOKED, LEASE_EXPIRED, LEASE_FAILED };
    struct store *store = open_place(*state);

    for (unsigned i = 0; i < COUNT(ended); i++) {
        char command[64];

        (void)snprintf(command, sizeof(command), "lease %u 2 4102444800 stage=1", i);
        assert_true(append_now(store, command));
        assert_false(holds(store, fewer_live(1, 1)));
        (void)snprintf(command, sizeof(command), "lease %u %d 0", i, ended[i]);
        assert_true(append_now(store, command));
        assert_true(holds(store, fewer_live(1, 1)));
    }
    assert_true(append_now(store, "lease 9 2 1000 stage=1"));
    assert_true(holds(store, fewer_live(1, 1)));
    store_close(store);
}

static void a_key_guard_without_a_key_fails(void **state)
{
    static const enum store_guard_kind kinds[] = { STORE_GUARD_FEWER_LIVE, STORE_GUARD_FEWER_OPENED,
                                                   STORE_GUARD_LATEST };
    struct store *store = open_place(*state);

    for (size_t i = 0; i < COUNT(kinds); i++) {
        struct store_guard guard = { .kind = kinds[i], .count = 100 };

        assert_false(holds(store, guard));
        guard = guard_on(kinds[i], STORE_KEY_STAGE, 1, 100);
        assert_int_equal(holds(store, guard), kinds[i] != STORE_GUARD_LATEST);
        guard.key_kind = STORE_KEY_COUNT;
        assert_false(holds(store, guard));
    }
    store_close(store);
}

/* All of one batch, those with a "!" without the guard: how many of them were committed. */
static unsigned append_together(struct store *store, const char *const *commands, size_t count,
                                const struct store_guard *guard)
{
    struct append *appends[16];
    unsigned committed = 0;
    struct gate gate;

    gate_close(&gate, store);
    for (size_t i = 0; i < count; i++) {
        bool is_free = commands[i][0] == '!';

        appends[i] = append_new(commands[i] + (is_free ? 1 : 0));
        if (!is_free)
            append_guard(appends[i], guard);
        assert_true(append_submit(appends[i], store));
    }
    gate_open(&gate);
    for (size_t i = 0; i < count; i++) {
        committed += append_wait(appends[i]);
        append_free(appends[i]);
    }
    gate_release(&gate); /* its own batch was over before this one began */
    return committed;
}

static void a_limit_holds_within_one_batch(void **state)
{
    static const char *const commands[] = {
        "lease 1 1 4102444800 stage=1", "lease 2 2 4102444800 stage=1",
        "lease 3 1 4102444800 stage=1", "lease 4 1 4102444800 stage=1",
        "lease 5 1 4102444800 stage=1",
    };
    struct store *store = open_place(*state);
    struct store_guard guard = fewer_live(1, 3);

    assert_int_equal(append_together(store, commands, COUNT(commands), &guard), 3);
    assert_false(holds(store, guard));
    assert_int_equal(store_live_lease_count(store), 3);
    store_close(store);
}

static void what_a_batch_ends_makes_room_in_it(void **state)
{
    static const char *const commands[] = {
        "lease 2 1 4102444800 stage=1", /* refused: 1 lives */
        "!lease 1 3 0",
        "lease 3 1 4102444800 stage=1",
        "lease 4 1 4102444800 stage=1", /* refused: 3 lives */
        "!lease 1 2 0",                 /* it lives again, and 3 is over */
        "!lease 3 6 0",
        "lease 5 1 4102444800 stage=1", /* refused: 1 lives */
    };
    struct store *store = open_place(*state);
    struct store_guard guard = fewer_live(1, 1);

    assert_true(append_now(store, "lease 1 2 4102444800 stage=1"));
    assert_int_equal(append_together(store, commands, COUNT(commands), &guard), 4);
    assert_int_equal(lease_of(store, 3).version, 2);
    assert_int_equal(
        lease_of(store, 2).version + lease_of(store, 4).version + lease_of(store, 5).version, 0);
    store_close(store);
}

#ifdef STAGEPASS_TEST_CLOCK
static void let_some_expire(const struct place *place)
{
    struct store *store = open_place(place);
    char command[64];

    for (int i = 0; i < 3; i++) {
        (void)snprintf(command, sizeof(command), "lease %d 2 %" PRId64 " stage=1", i,
                       clock_wall_s() + 1000 + i * INT64_C(1000));
        assert_true(append_now(store, command));
    }
    assert_false(holds(store, fewer_live(1, 3)));
    clock_test_advance(900);
    assert_false(holds(store, fewer_live(1, 3)));
    clock_test_advance(100);
    assert_true(holds(store, fewer_live(1, 3)));
    assert_false(holds(store, fewer_live(1, 2)));
    clock_test_advance(100000);
    assert_true(holds(store, fewer_live(1, 1)));
    store_close(store);
}

static void what_expires_makes_room(void **state)
{
    in_a_child(let_some_expire, *state);
}

#endif

struct limit_race {
    struct store *store;
    struct store_guard guard;
    atomic_uint next;
    atomic_uint winners;
};

static void *open_one(void *context)
{
    struct limit_race *race = context;
    char command[64];

    (void)snprintf(command, sizeof(command), "lease %u 2 4102444800 stage=1",
                   atomic_fetch_add(&race->next, 1));
    if (append_if(race->store, command, &race->guard))
        atomic_fetch_add(&race->winners, 1);
    return NULL;
}

static void of_many_at_once_exactly_as_many_live_as_may(void **state)
{
    struct store *store = open_place(*state);
    struct limit_race race = { .store = store, .guard = fewer_live(1, 5) };
    pthread_t threads[16];

    for (size_t i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, open_one, &race), 0);
    for (size_t i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(atomic_load(&race.winners), 5);
    assert_int_equal(store_live_lease_count(store), 5);
    store_close(store);
}

/* --- fewer opened --- */

static struct store_guard fewer_opened(uint32_t count, int64_t since_s)
{
    struct store_guard guard = guard_on(STORE_GUARD_FEWER_OPENED, STORE_KEY_COMMIT, 1, count);

    guard.since_s = since_s;
    return guard;
}

static void what_was_opened_counts_whatever_became_of_it_but_for_what_failed(void **state)
{
    struct store *store = open_place(*state);
    int64_t now_s = clock_wall_s();

    assert_true(append_now(store, "lease 1 2 4102444800 commit=1"));
    assert_true(append_now(store, "lease 2 2 4102444800 commit=1"));
    assert_true(append_now(store, "lease 1 4 0"));
    assert_true(append_now(store, "lease 3 1 4102444800 commit=1"));
    for (unsigned round = 0; round < 2; round++) {
        assert_true(holds(store, fewer_opened(4, now_s)));
        assert_false(holds(store, fewer_opened(3, now_s)));
        assert_true(holds(store, fewer_opened(1, now_s + 1000)));
        store = reopen(store, *state);
    }
    assert_true(append_now(store, "lease 3 6 0"));
    assert_true(holds(store, fewer_opened(3, now_s)));
    assert_false(holds(store, fewer_opened(2, now_s)));
    store_close(store);
}

static void openings_count_within_one_batch(void **state)
{
    static const char *const commands[] = {
        "lease 2 1 4102444800 commit=1", "!lease 1 6 0",
        "lease 3 1 4102444800 commit=1", "lease 4 1 4102444800 commit=1",
        "lease 5 1 4102444800 commit=1", /* refused: 2, 3 and 4 */
    };
    struct store *store = open_place(*state);
    struct store_guard guard = fewer_opened(3, 0);

    assert_true(append_now(store, "lease 1 1 4102444800 commit=1"));
    assert_int_equal(append_together(store, commands, COUNT(commands), &guard), 4);
    assert_false(holds(store, guard));
    store_close(store);
}

#ifdef STAGEPASS_TEST_CLOCK
static void open_over_time(const struct place *place)
{
    struct store *store = open_place(place);

    assert_true(append_now(store, "lease 1 2 4102444800 commit=1"));
    clock_test_advance(3600);
    assert_true(append_now(store, "lease 2 2 4102444800 commit=1"));
    assert_true(holds(store, fewer_opened(2, clock_wall_s() - 3000)));
    assert_false(holds(store, fewer_opened(1, clock_wall_s() - 3000)));
    assert_false(holds(store, fewer_opened(2, clock_wall_s() - 4000)));
    store_close(store);
}

static void only_what_was_opened_since_counts(void **state)
{
    in_a_child(open_over_time, *state);
}
#endif

/* --- the latest --- */

static struct store_guard latest(uint16_t attempt, int64_t since_s, bool must_succeed)
{
    struct store_guard guard = guard_on(STORE_GUARD_LATEST, STORE_KEY_RUN, 1, 0);

    guard.attempt = attempt;
    guard.since_s = since_s;
    guard.must_succeed = must_succeed;
    return guard;
}

static void the_latest_must_have_got_credentials(void **state)
{
    static const struct {
        const char *command;
        bool is_good;
        bool is_success;
    } cases[] = {
        { "lease 1 1 4102444800 run=1", false, false },
        { "lease 1 2 0", true, false },
        { "lease 1 3 0 outcome=2", true, false },
        { "lease 2 2 4102444800 run=1", true, false },
        { "lease 2 3 0 outcome=1", true, true },
        { "lease 3 2 4102444800 run=2", true, true },
        { "lease 4 1 4102444800 run=1", false, false },
        { "lease 4 6 0", false, false },
        { "lease 5 2 4102444800 run=1 outcome=1", true, false },
        { "lease 5 4 0", false, false },
        { "lease 6 2 4102444800 run=1", true, false },
        { "lease 6 5 0", true, false },
        { "lease 7 7 4102444800 run=1", false, false },
        { "lease 2 0 0 debt=1", false, false },
    };
    struct store *store = open_place(*state);

    assert_false(holds(store, latest(0, 0, false)));
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_true(append_now(store, cases[i].command));
        if (holds(store, latest(0, 0, false)) != cases[i].is_good ||
            holds(store, latest(0, 0, true)) != cases[i].is_success)
            fail_msg("after %s", cases[i].command);
    }
    store_close(store);
}

static void only_this_attempt_and_earlier_ones_matter(void **state)
{
    struct store *store = open_place(*state);

    assert_true(append_now(store, "lease 1 2 4102444800 run=1 attempt=1"));
    assert_true(append_now(store, "lease 1 3 0 outcome=1"));
    assert_true(append_now(store, "lease 2 1 4102444800 run=1 attempt=3"));
    assert_true(holds(store, latest(1, 0, true)));
    assert_true(holds(store, latest(2, 0, true)));
    assert_false(holds(store, latest(3, 0, true)));
    assert_false(holds(store, latest(0, 0, true)));
    store = reopen(store, *state);
    assert_true(holds(store, latest(2, 0, true)));
    assert_false(holds(store, latest(3, 0, true)));
    assert_false(holds(store, latest(1, clock_wall_s() + 1000, true)));
    store_close(store);
}

static void the_latest_may_be_of_the_same_batch(void **state)
{
    static const char *const commands[] = {
        "lease 1 3 0 outcome=1",      /* refused: it is issued */
        "lease 2 1 4102444800 run=1", /* likewise */
        "nothing",
    };
    struct store *store = open_place(*state);
    struct store_guard guard = latest(0, 0, true);
    struct append *release = append_new("lease 1 3 0 outcome=1");
    struct append *use = append_new("lease 3 1 4102444800 run=1");
    struct append *late = append_new("nothing");
    struct gate gate;

    assert_true(append_now(store, "lease 1 2 4102444800 run=1"));
    assert_int_equal(append_together(store, commands, COUNT(commands), &guard), 0);
    append_guard(use, &guard);
    append_guard(late, &guard);
    gate_close(&gate, store);
    assert_true(append_submit(release, store));
    assert_true(append_submit(use, store));
    assert_true(append_submit(late, store));
    gate_open(&gate);
    assert_true(append_wait(release));
    assert_true(append_wait(use)); /* what it opens is the latest then, and only requested */
    assert_false(append_wait(late));
    append_free(release);
    append_free(use);
    append_free(late);
    store_close(store);
    gate_release(&gate);
}

/* --- several guards --- */

static void marks_and_keys_hold_together_or_not_at_all(void **state)
{
    struct store *store = open_place(*state);
    struct store_guard guard = fewer_live(1, 1);
    struct append *append = append_new("mark 1 4102444800");

    append_add(append, "lease 1 2 4102444800 stage=1");
    append_guard_mark(append, 1);
    append_guard(append, &guard);
    assert_true(append_submit(append, store));
    assert_true(append_wait(append));
    append_free(append);
    append = append_new("mark 2 4102444800");
    append_guard_mark(append, 2);
    append_guard(append, &guard);
    assert_true(append_submit(append, store));
    assert_false(append_wait(append));
    assert_int_equal(append_proposal(append)->failed_guard, 1);
    assert_false(has_mark(store, 2));
    append_free(append);
    store_close(store);
}

const struct CMUnitTest conformance_limits[] = {
    CONFORMANCE_TEST(a_limit_of_live_leases_holds_at_it_and_not_past_it),
    CONFORMANCE_TEST(what_has_ended_does_not_live),
    CONFORMANCE_TEST(a_key_guard_without_a_key_fails),
    CONFORMANCE_TEST(a_limit_holds_within_one_batch),
    CONFORMANCE_TEST(what_a_batch_ends_makes_room_in_it),
    CONFORMANCE_TEST(of_many_at_once_exactly_as_many_live_as_may),
    CONFORMANCE_TEST(what_was_opened_counts_whatever_became_of_it_but_for_what_failed),
    CONFORMANCE_TEST(openings_count_within_one_batch),
    CONFORMANCE_TEST(the_latest_must_have_got_credentials),
    CONFORMANCE_TEST(only_this_attempt_and_earlier_ones_matter),
    CONFORMANCE_TEST(the_latest_may_be_of_the_same_batch),
    CONFORMANCE_TEST(marks_and_keys_hold_together_or_not_at_all),
#ifdef STAGEPASS_TEST_CLOCK
    CONFORMANCE_TEST(what_expires_makes_room),
    CONFORMANCE_TEST(only_what_was_opened_since_counts),
#endif
};
const size_t conformance_limits_count = COUNT(conformance_limits);
