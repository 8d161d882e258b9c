/* Conformance: what leases say, the keys that they are under, and how long they are kept. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "store/conformance.h"

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
    lease = lease_of(store, 1);
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
        if (lease_of(store, number).debt != cases[i].debt)
            fail_msg("after %s", cases[i].command);
    }
    store_close(store);
    conformance->forget_rows(*state);
    store = open_place(*state);
    assert_int_equal(lease_of(store, 1).debt, DEBT_NONE);
    assert_int_equal(lease_of(store, 2).debt, DEBT_OWED);
    store_close(store);
}

static void a_lease_is_the_same_after_a_restart_and_from_its_entries(void **state)
{
    struct store *store = open_place(*state);
    struct store_lease before;
    struct store_lease after;

    append_story(store);
    before = lease_of(store, 1);
    store = reopen(store, *state);
    after = lease_of(store, 1);
    expect_same(&after, &before);
    store_close(store);
    conformance->forget_rows(*state);
    store = open_place(*state);
    after = lease_of(store, 1);
    expect_same(&after, &before);
    store_close(store);
}

static void only_a_new_renewal_is_timed(void **state)
{
    struct store *store = open_place(*state);
    struct store_lease lease;

    assert_true(append_now(store, "lease 1 2 4102444800"));
    assert_int_equal(lease_of(store, 1).renewed_s, 0);
    assert_true(append_now(store, "lease 1 2 0 renewal=1"));
    lease = lease_of(store, 1);
    assert_int_not_equal(lease.renewed_s, 0);
    assert_true(append_now(store, "lease 1 2 0 renewal=1"));
    assert_int_equal(lease_of(store, 1).renewed_s, lease.renewed_s);
    assert_true(append_now(store, "lease 1 2 0 renewal=65535"));
    assert_int_equal(lease_of(store, 1).renewal, 65535);
    store_close(store);
}

static void a_lease_that_is_opened_without_a_state_is_none(void **state)
{
    struct store *store = open_place(*state);

    assert_true(append_now(store, "lease 1 0 4102444800"));
    assert_int_equal(lease_of(store, 1).version, 0);
    assert_true(append_now(store, "lease 1 1 -5"));
    assert_int_equal(lease_of(store, 1).version, 0);
    store_close(store);
}

static void times_have_an_end(void **state)
{
    struct store *store = open_place(*state);
    struct store_lease lease;

    assert_true(append_now(store, "lease 1 2 9223372036854775807 kept=9223372036854775807"));
    lease = lease_of(store, 1);
    assert_true(lease.expires_s > 253402300799); /* the year 9999 */
    assert_true(lease.expires_s < INT64_MAX - LEASE_KEPT_S);
    store = reopen(store, *state);
    assert_int_equal(lease_of(store, 1).expires_s, lease.expires_s);
    assert_int_equal(lease_of(store, 1).kept_until_s, lease.kept_until_s);
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

/* --- how long it is kept --- */

#ifdef STAGEPASS_TEST_CLOCK
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
    assert_int_equal(lease_of(store, 1).version, 2);
    assert_int_equal(lease_of(store, 2).version, 1);
    store = reopen(store, place);
    assert_int_equal(lease_of(store, 1).debt, DEBT_OWED);
    clock_test_advance(20000);
    assert_true(append_now(store, "lease 1 0 0 debt=1"));
    assert_true(append_now(store, "lease 1 3 0"));
    assert_int_not_equal(lease_of(store, 1).version, 4); /* it was over before that */
    store_close(store);
}

static void what_owes_or_is_needed_outlives_its_end(void **state)
{
    in_a_child(keep_what_owes, *state);
}
#endif

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
        picture->leases[i] = lease_of(store, i);
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

    if (before == NULL || after == NULL)
        abort();
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
    CONFORMANCE_TEST(no_more_leases_are_given_than_asked_for),
    CONFORMANCE_TEST(those_that_live_come_oldest_first),
    CONFORMANCE_TEST(a_history_makes_the_same_rows_however_they_are_read),
    CONFORMANCE_TEST(what_is_needed_is_the_oldest),
#ifdef STAGEPASS_TEST_CLOCK
    CONFORMANCE_TEST(what_owes_or_is_needed_outlives_its_end),
#endif
};
const size_t conformance_leases_count = COUNT(conformance_leases);
