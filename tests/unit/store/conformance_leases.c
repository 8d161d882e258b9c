/* Conformance: what leases say, the keys that they are under, and the guards on those. */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "store/conformance.h"

static struct store_lease find(const struct store *store, unsigned number)
{
    struct store_lease lease = { 0 };
    char id[ID_LEN + 1];

    lease_id_of(number, id);
    return store_lease_by_id(store, str_from(id), &lease, &(struct error){ 0 })
               ? lease
               : (struct store_lease){ 0 };
}

static void expect_same(const struct store_lease *lease, const struct store_lease *other)
{
    assert_string_equal(lease->id, other->id);
    assert_memory_equal(lease->handle, other->handle, STORE_HANDLE_LEN);
    assert_memory_equal(lease->keys, other->keys, sizeof(lease->keys));
    assert_int_equal(lease->state, other->state);
    assert_int_equal(lease->debt, other->debt);
    assert_int_equal(lease->outcome, other->outcome);
    assert_int_equal(lease->version, other->version);
    assert_int_equal(lease->attempt, other->attempt);
    assert_int_equal(lease->heartbeat_s, other->heartbeat_s);
    assert_int_equal(lease->renewal, other->renewal);
    assert_int_equal(lease->expires_s, other->expires_s);
    assert_int_equal(lease->kept_until_s, other->kept_until_s);
    assert_int_equal(lease->opened_s, other->opened_s);
    assert_int_equal(lease->renewed_s, other->renewed_s);
    assert_int_equal(lease->ended_s, other->ended_s);
    assert_int_equal(lease->opened_index, other->opened_index);
    assert_int_equal(lease->latest_index, other->latest_index);
    assert_int_equal(lease->credentials_index, other->credentials_index);
    assert_int_equal(lease->has_credentials, other->has_credentials);
}

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

static struct store *reopen(struct store *store, const struct place *place)
{
    store_close(store);
    return open_place(place);
}

/* --- what a lease says --- */

static void append_story(struct store *store)
{
    assert_true(append_now(store, "lease 1 1 4102444000 stage=1 job=2 run=3 commit=4 attempt=2"));
    assert_true(append_now(store, "lease 1 2 4102444800 beat=30 debt=2 creds=1"));
    assert_true(append_now(store, "lease 1 2 0 renewal=1 creds=1"));
    assert_true(append_now(store, "lease 1 3 0 outcome=1 kept=4102445000"));
    assert_true(append_now(store, "lease 1 0 0 debt=1"));
}

static void a_lease_keeps_all_that_its_entries_say(void **state)
{
    struct store *store = open_place(*state);
    int64_t before_s = clock_wall_s();
    struct store_lease lease;
    uint8_t key[STORE_KEY_LEN];

    append_story(store);
    lease = find(store, 1);
    assert_int_equal(lease.version, 5);
    assert_int_equal(lease.state, LEASE_RELEASED);
    assert_int_equal(lease.debt, DEBT_NONE);
    assert_int_equal(lease.outcome, OUTCOME_SUCCESS);
    assert_int_equal(lease.attempt, 2);
    assert_int_equal(lease.heartbeat_s, 30);
    assert_int_equal(lease.renewal, 1);
    assert_int_equal(lease.expires_s, FAR_AWAY_S);
    assert_int_equal(lease.kept_until_s, FAR_AWAY_S + 200);
    assert_int_equal(lease.opened_index, 0);
    assert_int_equal(lease.credentials_index, 2);
    assert_true(lease.has_credentials);
    assert_int_equal(lease.latest_index, 4);
    assert_in_range(lease.opened_s, before_s, clock_wall_s());
    assert_in_range(lease.renewed_s, lease.opened_s, clock_wall_s());
    assert_in_range(lease.ended_s, lease.renewed_s, clock_wall_s());
    for (int kind = 0; kind < STORE_KEY_COUNT; kind++) {
        key_of((enum store_lease_key)kind, (unsigned)kind + 1, key);
        assert_memory_equal(lease.keys[kind], key, sizeof(key));
    }
    store_close(store);
}

/* A change with a state says all that is owed, one without adds to it. */
static void what_is_owed_adds_up(void **state)
{
    static const struct {
        const char *command;
        enum store_debt debt;
    } cases[] = {
        { "lease 1 1 4102444800 debt=2", DEBT_OWED },
        { "lease 1 2 4102444700 debt=3", DEBT_LAPSES },
        { "lease 1 0 0", DEBT_LAPSES },
        { "lease 1 0 4102444750 renewal=1 debt=3", DEBT_LAPSES },
        { "lease 1 0 0 debt=2", DEBT_OWED },
        { "lease 1 0 4102444800 renewal=2 debt=3", DEBT_OWED },
        { "lease 1 3 0", DEBT_OWED },
        { "lease 1 0 0 debt=1", DEBT_NONE },
        { "lease 2 2 4102444800 debt=3", DEBT_LAPSES },
        { "lease 2 0 4102444799 renewal=1 debt=3", DEBT_OWED }, /* what was there lives longer */
    };
    struct store *store = open_place(*state);

    for (size_t i = 0; i < COUNT(cases); i++) {
        unsigned number = 0;

        assert_int_equal(sscanf(cases[i].command, "lease %u", &number),
                         1); /* NOLINT(cert-err34-c) */
        assert_true(append_now(store, cases[i].command));
        if (find(store, number).debt != cases[i].debt)
            fail_msg("after %s", cases[i].command);
    }
    store_close(store);
    conformance->forget_rows(*state);
    store = open_place(*state);
    assert_int_equal(find(store, 1).debt, DEBT_NONE);
    assert_int_equal(find(store, 2).debt, DEBT_OWED);
    store_close(store);
}

static void a_lease_is_the_same_after_a_restart_and_from_its_entries(void **state)
{
    struct store *store = open_place(*state);
    struct store_lease before;
    struct store_lease after;

    append_story(store);
    before = find(store, 1);
    store = reopen(store, *state);
    after = find(store, 1);
    expect_same(&after, &before);
    store_close(store);
    conformance->forget_rows(*state);
    store = open_place(*state);
    after = find(store, 1);
    expect_same(&after, &before);
    store_close(store);
}

static void only_a_new_renewal_is_timed(void **state)
{
    struct store *store = open_place(*state);
    struct store_lease lease;

    assert_true(append_now(store, "lease 1 2 4102444800"));
    assert_int_equal(find(store, 1).renewed_s, 0);
    assert_true(append_now(store, "lease 1 2 0 renewal=1"));
    lease = find(store, 1);
    assert_int_not_equal(lease.renewed_s, 0);
    assert_true(append_now(store, "lease 1 2 0 renewal=1"));
    assert_int_equal(find(store, 1).renewed_s, lease.renewed_s);
    assert_true(append_now(store, "lease 1 2 0 renewal=65535"));
    assert_int_equal(find(store, 1).renewal, 65535);
    store_close(store);
}

static void a_lease_that_is_opened_without_a_state_is_none(void **state)
{
    struct store *store = open_place(*state);

    assert_true(append_now(store, "lease 1 0 4102444800"));
    assert_int_equal(find(store, 1).version, 0);
    assert_true(append_now(store, "lease 1 1 -5"));
    assert_int_equal(find(store, 1).version, 0);
    store_close(store);
}

static void times_have_an_end(void **state)
{
    struct store *store = open_place(*state);
    struct store_lease lease;

    assert_true(append_now(store, "lease 1 2 9223372036854775807 kept=9223372036854775807"));
    lease = find(store, 1);
    assert_true(lease.expires_s > 253402300799); /* the year 9999 */
    assert_true(lease.expires_s < INT64_MAX - LEASE_KEPT_S);
    store = reopen(store, *state);
    assert_int_equal(find(store, 1).expires_s, lease.expires_s);
    assert_int_equal(find(store, 1).kept_until_s, lease.kept_until_s);
    assert_int_equal(store_live_lease_count(store), 1);
    store_close(store);
}

/* --- under keys --- */

static void expect_under(const struct store *store, enum store_lease_key kind, unsigned key,
                         const unsigned *numbers, size_t count)
{
    struct store_lease leases[8];
    uint8_t bytes[STORE_KEY_LEN];
    size_t found = 0;
    char id[ID_LEN + 1];

    key_of(kind, key, bytes);
    assert_true(store_leases_under(store, kind, bytes, leases, COUNT(leases), &found,
                                   &(struct error){ 0 }));
    assert_int_equal(found, count);
    for (size_t i = 0; i < count; i++) {
        lease_id_of(numbers[i], id);
        assert_string_equal(leases[i].id, id);
    }
}

static void leases_under_a_key_come_latest_first(void **state)
{
    static const unsigned stage[] = { 4, 3, 1 };
    static const unsigned job[] = { 3, 2 };
    struct store *store = open_place(*state);

    assert_true(append_now(store, "lease 1 2 4102444800 stage=1"));
    assert_true(append_now(store, "lease 2 2 4102444800 stage=2 job=1"));
    assert_true(append_now(store, "lease 3 2 4102444800 stage=1 job=1"));
    assert_true(append_now(store, "lease 4 1 4102444800 stage=1 job=2"));
    assert_true(append_now(store, "lease 1 3 0"));
    for (unsigned round = 0; round < 3; round++) {
        expect_under(store, STORE_KEY_STAGE, 1, stage, COUNT(stage));
        expect_under(store, STORE_KEY_JOB, 1, job, COUNT(job));
        expect_under(store, STORE_KEY_RUN, 1, NULL, 0);
        store_close(store);
        if (round == 1)
            conformance->forget_rows(*state);
        store = open_place(*state);
    }
    store_close(store);
}

static void no_more_leases_are_given_than_asked_for(void **state)
{
    struct store *store = open_place(*state);
    struct store_lease leases[2];
    uint8_t key[STORE_KEY_LEN];
    size_t count = 0;

    assert_true(append_now(store, "lease 1 2 4102444800 stage=1"));
    assert_true(append_now(store, "lease 2 2 4102444800 stage=1"));
    assert_true(append_now(store, "lease 3 2 4102444800 stage=1"));
    key_of(STORE_KEY_STAGE, 1, key);
    assert_true(
        store_leases_under(store, STORE_KEY_STAGE, key, leases, 2, &count, &(struct error){ 0 }));
    assert_int_equal(count, 2);
    memset(key, 0, sizeof(key));
    assert_true(
        store_leases_under(store, STORE_KEY_STAGE, key, leases, 2, &count, &(struct error){ 0 }));
    assert_int_equal(count, 0);
    store_close(store);
}

static void expect_live(const struct store *store, size_t max, const unsigned *numbers, size_t live)
{
    struct store_lease leases[4];
    uint8_t key[STORE_KEY_LEN];
    size_t found = 99;
    char id[ID_LEN + 1];

    key_of(STORE_KEY_STAGE, 1, key);
    assert_true(store_live_of_stage(store, key, leases, max, &found, &(struct error){ 0 }));
    assert_int_equal(found, live);
    for (size_t i = 0; i < live && i < max; i++) {
        lease_id_of(numbers[i], id);
        assert_string_equal(leases[i].id, id);
    }
}

static void those_that_live_come_oldest_first(void **state)
{
    static const unsigned all[] = { 1, 3, 4 };
    static const unsigned left[] = { 3, 4 };
    struct store *store = open_place(*state);

    expect_live(store, 4, NULL, 0);
    assert_true(append_now(store, "lease 1 2 4102444800 stage=1"));
    assert_true(append_now(store, "lease 2 2 1000 stage=1"));       /* has expired */
    assert_true(append_now(store, "lease 3 1 4102444800 stage=1")); /* is requested */
    assert_true(append_now(store, "lease 4 7 4102444800 stage=1")); /* nobody knows */
    assert_true(append_now(store, "lease 5 6 4102444800 stage=1")); /* failed */
    assert_true(append_now(store, "lease 6 2 4102444800 stage=2"));
    for (size_t max = 1; max <= 4; max++)
        expect_live(store, max, all, COUNT(all));
    assert_true(append_now(store, "lease 1 3 0"));
    expect_live(store, 4, left, COUNT(left));
    expect_live(store, 1, left, COUNT(left));
    store_close(store);
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
    assert_int_equal(find(store, 3).version, 2);
    assert_int_equal(find(store, 2).version + find(store, 4).version + find(store, 5).version, 0);
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

static void keep_what_owes(const struct place *place)
{
    struct store *store = open_place(place);
    int64_t now_s = clock_wall_s();
    char command[96];

    (void)snprintf(command, sizeof(command), "lease 1 2 %" PRId64 " stage=1 debt=2", now_s + 10);
    assert_true(append_now(store, command));
    (void)snprintf(command, sizeof(command), "lease 2 2 %" PRId64 " stage=1 kept=%" PRId64,
                   now_s + 10, now_s + 30000);
    assert_true(append_now(store, command));
    (void)snprintf(command, sizeof(command), "lease 3 2 %" PRId64 " stage=1", now_s + 10);
    assert_true(append_now(store, command));
    clock_test_advance(20000);
    assert_true(append_now(store, "lease 3 3 0")); /* it is not kept any more, swept or not */
    assert_true(append_now(store, "lease 1 0 0"));
    assert_int_equal(find(store, 1).version, 2);
    assert_int_equal(find(store, 2).version, 1);
    store = reopen(store, place);
    assert_int_equal(find(store, 1).debt, DEBT_OWED);
    clock_test_advance(20000);
    assert_true(append_now(store, "lease 1 0 0 debt=1"));
    assert_true(append_now(store, "lease 1 3 0"));
    assert_int_not_equal(find(store, 1).version, 4); /* it was over before that */
    store_close(store);
}

static void what_owes_or_is_needed_outlives_its_end(void **state)
{
    in_a_child(keep_what_owes, *state);
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

/* --- histories --- */

#define HISTORY_LEASES 40
#define HISTORY_ENTRIES 600

static void append_history(struct store *store)
{
    struct append *append = NULL;

    srandom(5); /* NOLINT(cert-msc51-cpp) */
    for (unsigned i = 0; i < HISTORY_ENTRIES; i++) {
        unsigned number = (unsigned)random() % HISTORY_LEASES;
        long keys = random() % 4;
        char command[160];

        (void)snprintf(command, sizeof(command),
                       "lease %u %ld %s stage=%ld job=%ld run=%ld attempt=%ld beat=%ld debt=%ld "
                       "outcome=%ld renewal=%ld creds=%ld",
                       number, random() % 8, random() % 2 == 0 ? "4102444800" : "0", keys,
                       random() % 9, random() % 3, random() % 5, random() % 90, random() % 3,
                       random() % 3, random() % 4, random() % 2);
        if (append == NULL)
            append = append_new(command);
        else
            append_add(append, command);
        if (i % STORE_PROPOSAL_ENTRIES_MAX != STORE_PROPOSAL_ENTRIES_MAX - 1)
            continue;
        assert_true(append_submit(append, store));
        assert_true(append_wait(append));
        append_free(append);
        append = NULL;
    }
}

/* All leases, and the numbers of those under some keys. */
struct picture {
    struct store_lease leases[HISTORY_LEASES];
    char under[STORE_KEY_COUNT][9][HISTORY_LEASES * 4];
    size_t live_count;
};

static void take_picture(const struct store *store, struct picture *picture)
{
    struct store_lease leases[HISTORY_LEASES];
    uint8_t key[STORE_KEY_LEN];
    size_t count = 0;

    for (unsigned i = 0; i < HISTORY_LEASES; i++)
        picture->leases[i] = find(store, i);
    for (int kind = 0; kind < STORE_KEY_COUNT; kind++)
        for (unsigned number = 0; number < 9; number++) {
            char *text = picture->under[kind][number];

            key_of((enum store_lease_key)kind, number, key);
            assert_true(store_leases_under(store, (enum store_lease_key)kind, key, leases,
                                           HISTORY_LEASES, &count, &(struct error){ 0 }));
            for (size_t i = 0; i < count; i++, text += strlen(text))
                (void)snprintf(text, 5, "%s ", leases[i].id + ID_LEN - 2);
        }
    picture->live_count = store_live_lease_count(store);
}

static void a_history_makes_the_same_rows_however_they_are_read(void **state)
{
    struct store *store = open_place(*state);
    struct picture *before = calloc(1, sizeof(*before));
    struct picture *after = calloc(1, sizeof(*after));

    assert_true(before != NULL && after != NULL);
    append_history(store);
    take_picture(store, before);
    for (unsigned round = 0; round < 2; round++) {
        store_close(store);
        if (round == 1)
            conformance->forget_rows(*state);
        store = open_place(*state);
        memset(after, 0, sizeof(*after));
        take_picture(store, after);
        for (size_t i = 0; i < HISTORY_LEASES; i++)
            expect_same(&after->leases[i], &before->leases[i]);
        assert_memory_equal(after->under, before->under, sizeof(before->under));
        assert_int_equal(after->live_count, before->live_count);
    }
    free(before);
    free(after);
    store_close(store);
}

/* --- what pruning keeps away from --- */

static uint64_t oldest(const struct store *store)
{
    struct error error = { 0 };
    uint64_t index = 0;

    if (!store_oldest_live(store, &index, &error))
        fail_msg("store_oldest_live: %s", error.cause);
    return index;
}

static void what_is_needed_is_the_oldest(void **state)
{
    struct store *store = open_place(*state);

    assert_true(append_now(store, "approval 1 1 4102444800"));
    assert_true(append_now(store, "lease 1 2 1000 debt=2"));
    assert_true(append_now(store, "lease 2 2 1000 kept=4102444800"));
    assert_true(append_now(store, "lease 3 2 4102444800"));
    assert_true(append_now(store, "approval 2 2 1000"));
    assert_int_equal(oldest(store), 0);
    assert_true(append_now(store, "approval 1 3 1000")); /* it expired */
    assert_int_equal(oldest(store), 1);
    store = reopen(store, *state);
    assert_int_equal(oldest(store), 1);
    assert_true(append_now(store, "lease 1 0 0 debt=1"));
    assert_int_equal(oldest(store), 2);
    assert_true(append_now(store, "lease 2 0 0 kept=1000"));
    assert_int_equal(oldest(store), 3);
    assert_true(append_now(store, "lease 3 3 0"));
    assert_true(oldest(store) == UINT64_MAX);
    store_close(store);
}

const struct CMUnitTest conformance_leases[] = {
    CONFORMANCE_TEST(a_lease_keeps_all_that_its_entries_say),
    CONFORMANCE_TEST(what_is_owed_adds_up),
    CONFORMANCE_TEST(a_lease_is_the_same_after_a_restart_and_from_its_entries),
    CONFORMANCE_TEST(only_a_new_renewal_is_timed),
    CONFORMANCE_TEST(a_lease_that_is_opened_without_a_state_is_none),
    CONFORMANCE_TEST(times_have_an_end),
    CONFORMANCE_TEST(leases_under_a_key_come_latest_first),
    CONFORMANCE_TEST(those_that_live_come_oldest_first),
    CONFORMANCE_TEST(no_more_leases_are_given_than_asked_for),
    CONFORMANCE_TEST(a_limit_of_live_leases_holds_at_it_and_not_past_it),
    CONFORMANCE_TEST(what_has_ended_does_not_live),
    CONFORMANCE_TEST(a_key_guard_without_a_key_fails),
    CONFORMANCE_TEST(a_limit_holds_within_one_batch),
    CONFORMANCE_TEST(what_a_batch_ends_makes_room_in_it),
#ifdef STAGEPASS_TEST_CLOCK
    CONFORMANCE_TEST(what_expires_makes_room),
    CONFORMANCE_TEST(what_owes_or_is_needed_outlives_its_end),
    CONFORMANCE_TEST(only_what_was_opened_since_counts),
#endif
    CONFORMANCE_TEST(of_many_at_once_exactly_as_many_live_as_may),
    CONFORMANCE_TEST(what_was_opened_counts_whatever_became_of_it_but_for_what_failed),
    CONFORMANCE_TEST(openings_count_within_one_batch),
    CONFORMANCE_TEST(the_latest_must_have_got_credentials),
    CONFORMANCE_TEST(only_this_attempt_and_earlier_ones_matter),
    CONFORMANCE_TEST(the_latest_may_be_of_the_same_batch),
    CONFORMANCE_TEST(marks_and_keys_hold_together_or_not_at_all),
    CONFORMANCE_TEST(a_history_makes_the_same_rows_however_they_are_read),
    CONFORMANCE_TEST(what_is_needed_is_the_oldest),
};
const size_t conformance_leases_count = COUNT(conformance_leases);
