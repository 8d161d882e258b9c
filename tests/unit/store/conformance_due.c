/* Conformance: heartbeats, what falls due, and who claims it. */
#include <inttypes.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "store/conformance.h"

/* Far longer than a test may be held up on a busy machine, as all times here are. */
#define AGAIN_S 600

/* Append a lease command with a time so far from now, and words behind it. */
static void put(struct store *store, const char *command, const char *words, int64_t from_now_s)
{
    char whole[128];

    (void)snprintf(whole, sizeof(whole), "%s %" PRId64 " %s", command, clock_wall_s() + from_now_s,
                   words);
    assert_true(append_now(store, whole));
}

/* The numbers of all leases that are due, as "1 2 3 " in the order in which they were claimed. */
static const char *claim(struct store *store, size_t max)
{
    static char text[256];
    struct store_lease leases[16];
    struct store_claims claims = { .leases = leases, .max = max };
    struct error error = { 0 };
    size_t len = 0;

    assert_true(max <= COUNT(leases));
    if (!store_claim_due(store, AGAIN_S, &claims, &error))
        fail_msg("store_claim_due: %s", error.cause);
    text[0] = '\0';
    for (size_t i = 0; i < claims.count; i++) {
        unsigned number = 0;

        assert_int_equal(sscanf(leases[i].id, "%u", &number), 1); /* NOLINT(cert-err34-c) */
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%u ", number);
    }
    return text;
}

static bool beat(struct store *store, unsigned number)
{
    struct store_lease lease = { 0 };
    struct error error = { 0 };
    uint8_t handle[STORE_HANDLE_LEN];

    handle_of(number, handle);
    if (store_beat(store, handle, &lease, &error)) {
        assert_memory_equal(lease.handle, handle, sizeof(handle));
        return true;
    }
    assert_int_equal(error.code, ERROR_NOT_FOUND);
    return false;
}

static void put_off(struct store *store, unsigned number, int64_t from_now_s)
{
    char id[ID_LEN + 1];

    lease_id_of(number, id);
    assert_true(store_put_off(store, id, clock_wall_s() + from_now_s, &(struct error){ 0 }));
}

/* It is seen within a second that a lease has expired. */
static void expect_owed(const struct store *store, size_t count, int64_t *oldest_s)
{
    int64_t deadline_ns = clock_monotonic_ns() + INT64_C(10000000000);

    while (store_owed_count(store, oldest_s) != count && clock_monotonic_ns() < deadline_ns)
        (void)sched_yield();
    assert_int_equal(store_owed_count(store, oldest_s), count);
}

static void only_an_issued_lease_has_a_heartbeat(void **state)
{
    struct store *store = open_place(*state);

    assert_false(beat(store, 1));
    put(store, "lease 1 1", "handle=1 beat=10", 1000);
    assert_false(beat(store, 1));
    put(store, "lease 1 2", "", 1000);
    assert_true(beat(store, 1));
    assert_true(append_now(store, "lease 1 3 0"));
    assert_false(beat(store, 1));
    put(store, "lease 2 2", "", -10);
    assert_false(beat(store, 2));
    put(store, "lease 3 2", "", 1000);
    assert_true(beat(store, 3));
    store_close(store);
}

static void what_owes_and_has_ended_is_due_at_once(void **state)
{
    static const int ended[] = { LEASE_RELEASED, LEASE_REVOKED, LEASE_EXPIRED, LEASE_FAILED,
                                 LEASE_UNKNOWN };
    struct store *store = open_place(*state);
    int64_t oldest_s = 0;

    expect_owed(store, 0, &oldest_s);
    for (unsigned i = 0; i < COUNT(ended); i++) {
        char command[64];
        char number[16];

        (void)snprintf(command, sizeof(command), "lease %u 2", i + 1);
        put(store, command, "debt=2", 1000);
        assert_string_equal(claim(store, 16), "");
        (void)snprintf(command, sizeof(command), "lease %u %d 0", i + 1, ended[i]);
        assert_true(append_now(store, command));
        (void)snprintf(number, sizeof(number), "%u ", i + 1);
        assert_string_equal(claim(store, 16), number);
        assert_string_equal(claim(store, 16), "");
        assert_int_equal(store_owed_count(store, &oldest_s), i + 1);
    }
    assert_in_range(oldest_s, clock_wall_s() - 100, clock_wall_s());
    assert_true(append_now(store, "lease 1 0 0 debt=1"));
    expect_owed(store, 4, &oldest_s);
    put(store, "lease 9 2", "", 1000);
    assert_true(append_now(store, "lease 9 3 0"));
    assert_string_equal(claim(store, 16), "");
    store_close(store);
}

#ifdef STAGEPASS_TEST_CLOCK
static void run_silence(const struct place *place)
{
    struct store *store = open_place(place);

    put(store, "lease 1 2", "beat=1000", 100000);
    put(store, "lease 2 2", "beat=65535", 300000);
    put(store, "lease 3 2", "", 100000);
    clock_test_advance(2800);
    assert_string_equal(claim(store, 16), "");
    assert_true(beat(store, 1));
    clock_test_advance(2800);
    assert_string_equal(claim(store, 16), "");
    clock_test_advance(300);
    assert_string_equal(claim(store, 16), "1 ");
    clock_test_advance(AGAIN_S - 200);
    assert_string_equal(claim(store, 16), "");
    clock_test_advance(300);
    assert_string_equal(claim(store, 16), "1 ");
    assert_true(append_now(store, "lease 1 4 0"));
    clock_test_advance(50000);
    assert_string_equal(claim(store, 16), "");
    store_close(store);
}

static void three_heartbeats_of_silence_make_a_lease_due(void **state)
{
    in_a_child(run_silence, *state);
}

static void run_restart(const struct place *place)
{
    struct store *store = open_place(place);

    put(store, "lease 1 2", "beat=1000", 100000);
    put(store, "lease 2 2", "debt=2", 100000);
    assert_true(append_now(store, "lease 2 4 0"));
    for (unsigned i = 0; i < 2; i++) {
        store_close(store);
        clock_test_advance(2900);
        store = open_place(place);
        clock_test_advance(2000);
        assert_string_equal(claim(store, 16), i == 0 ? "2 " : "");
        assert_true(append_now(store, "lease 2 0 0 debt=1"));
    }
    clock_test_advance(800);
    assert_string_equal(claim(store, 16), "");
    clock_test_advance(300);
    assert_string_equal(claim(store, 16), "1 ");
    store_close(store);
}

static void after_a_start_silence_is_counted_anew(void **state)
{
    in_a_child(run_restart, *state);
}

static void run_expiry(const struct place *place)
{
    struct store *store = open_place(place);
    int64_t oldest_s = 0;
    int64_t ends_s = clock_wall_s() + 1000;

    put(store, "lease 1 2", "debt=2", 1000);
    put(store, "lease 2 2", "", 1000);
    put(store, "lease 3 2", "debt=2 beat=600", 1000); /* silent later than it ends */
    put(store, "lease 4 1", "debt=2", 500);
    clock_test_advance(400);
    assert_string_equal(claim(store, 16), "");
    clock_test_advance(101);
    assert_string_equal(claim(store, 16), "4 ");
    assert_true(append_now(store, "lease 4 5 0 debt=1"));
    clock_test_advance(400);
    assert_string_equal(claim(store, 16), "");
    clock_test_advance(100);
    assert_int_equal(strlen(claim(store, 16)), strlen("1 3 "));
    assert_string_equal(claim(store, 16), "");
    expect_owed(store, 2, &oldest_s);
    assert_in_range(oldest_s, ends_s, ends_s + 60);
    store_close(store);
}

static void what_owes_is_due_when_it_expires(void **state)
{
    in_a_child(run_expiry, *state);
}

static void run_lapse(const struct place *place)
{
    struct store *store = open_place(place);
    int64_t oldest_s = 0;

    put(store, "lease 1 2", "debt=3", 1000);
    put(store, "lease 2 2", "debt=3 beat=600", 1000);
    put(store, "lease 3 2", "debt=3 beat=100", 1000);
    put(store, "lease 4 2", "debt=3", 1000);
    put(store, "lease 5 7", "debt=3", 1000);
    put(store, "lease 6 2", "beat=100", 1000); /* owes nothing, and is silent */
    put(store, "lease 7 2", "debt=2", 1000);
    assert_true(append_now(store, "lease 4 3 0"));
    assert_int_equal(strlen(claim(store, 16)), strlen("4 5 ")); /* what has ended owes at once */
    expect_owed(store, 2, &oldest_s);
    clock_test_advance(1001);
    expect_owed(store, 1, &oldest_s); /* but not once it has expired */
    assert_string_equal(claim(store, 16), "7 ");
    for (unsigned i = 0; i < 2; i++) {
        clock_test_advance(AGAIN_S + 1);
        assert_string_equal(claim(store, 16), "7 ");
        expect_owed(store, 1, &oldest_s);
        store_close(store);
        store = open_place(place);
    }
    assert_int_equal(store_live_lease_count(store), 0);
    store_close(store);
}

static void what_lapses_is_owed_until_its_lease_expires(void **state)
{
    in_a_child(run_lapse, *state);
}

/* One whose clock was set ahead, by mistake, claims nothing for good. */
static void run_ahead(const struct place *place)
{
    struct store *store = open_place(place);

    put(store, "lease 1 2", "debt=3", 4000);
    put(store, "lease 2 2", "debt=3 beat=100", 4000);
    assert_true(append_now(store, "lease 1 4 0"));
    clock_test_step(5000);
    assert_string_equal(claim(store, 16), "");
    clock_test_step(-5000);
    assert_string_equal(claim(store, 16), "1 ");
    clock_test_advance(400);
    assert_string_equal(claim(store, 16), "2 ");
    store_close(store);
}

static void what_lapsed_by_a_wrong_clock_is_due_again(void **state)
{
    in_a_child(run_ahead, *state);
}

static void run_requested(const struct place *place)
{
    struct store *store = open_place(place);

    put(store, "lease 1 1", "", 5000);
    put(store, "lease 2 1", "", 5000);
    clock_test_advance(LEASE_REQUESTED_MAX_S - 200);
    assert_true(append_now(store, "lease 2 2 0"));
    assert_string_equal(claim(store, 16), "");
    clock_test_advance(200);
    assert_string_equal(claim(store, 16), "1 ");
    store_close(store);
    store = open_place(place);
    clock_test_advance(AGAIN_S + 1);
    assert_string_equal(claim(store, 16), "1 ");
    store_close(store);
}

static void what_is_requested_for_too_long_is_due(void **state)
{
    in_a_child(run_requested, *state);
}

static void run_renewal(const struct place *place)
{
    struct store *store = open_place(place);

    put(store, "lease 1 2", "debt=2", 1000);
    clock_test_advance(900);
    put(store, "lease 1 2", "renewal=1", 1000);
    clock_test_advance(900);
    assert_string_equal(claim(store, 16), "");
    clock_test_advance(101);
    assert_string_equal(claim(store, 16), "1 ");
    put(store, "lease 1 2", "renewal=2", 1000); /* an entry for it: it is no longer claimed */
    clock_test_advance(AGAIN_S + 100);
    assert_string_equal(claim(store, 16), "");
    clock_test_advance(900 - AGAIN_S);
    assert_string_equal(claim(store, 16), "1 ");
    store_close(store);
}

static void an_entry_says_anew_when_a_lease_is_due(void **state)
{
    in_a_child(run_renewal, *state);
}

static void run_put_off(const struct place *place)
{
    struct store *store = open_place(place);

    put(store, "lease 1 2", "debt=2", 100000);
    assert_true(append_now(store, "lease 1 4 0"));
    assert_string_equal(claim(store, 16), "1 ");
    put_off(store, 1, 3000);
    put_off(store, 7, 3000);
    clock_test_advance(AGAIN_S + 100);
    assert_string_equal(claim(store, 16), "");
    assert_true(append_now(store, "lease 1 0 0")); /* it still owes: that changes nothing */
    assert_string_equal(claim(store, 16), "");
    clock_test_advance(3000 - AGAIN_S);
    assert_string_equal(claim(store, 16), "1 ");
    put_off(store, 1, -5);
    assert_string_equal(claim(store, 16), "1 ");
    assert_true(append_now(store, "lease 1 0 0 debt=1"));
    put_off(store, 1, 10); /* it is never due: nor is it now */
    clock_test_advance(1000);
    assert_string_equal(claim(store, 16), "");
    store_close(store);
}

static void what_was_claimed_can_be_put_off(void **state)
{
    in_a_child(run_put_off, *state);
}

static void run_order(const struct place *place)
{
    struct store *store = open_place(place);

    put(store, "lease 1 2", "debt=2", 30);
    put(store, "lease 2 2", "debt=2", 10);
    put(store, "lease 3 2", "debt=2", 20);
    clock_test_advance(30);
    assert_string_equal(claim(store, 2), "2 3 ");
    assert_string_equal(claim(store, 2), "1 ");
    assert_string_equal(claim(store, 2), "");
    store_close(store);
}

static void those_that_wait_longest_are_claimed_first(void **state)
{
    in_a_child(run_order, *state);
}
#endif

/* Many leases that are due, and many who claim them. */
#define MANY 400

struct claimers {
    struct store *store;
    atomic_uint claimed[MANY];
};

static void *claim_all(void *context)
{
    struct claimers *claimers = context;
    struct store_lease leases[7];
    struct store_claims claims = { .leases = leases, .max = COUNT(leases) };

    do {
        if (!store_claim_due(claimers->store, AGAIN_S, &claims, &(struct error){ 0 }))
            return NULL;
        for (size_t i = 0; i < claims.count; i++) {
            unsigned number = MANY;

            /* NOLINTNEXTLINE(cert-err34-c) */
            if (sscanf(leases[i].id, "%u", &number) == 1 && number < MANY)
                atomic_fetch_add(&claimers->claimed[number], 1);
        }
    } while (claims.count > 0);
    return NULL;
}

static void none_is_claimed_twice(void **state)
{
    struct claimers *claimers = calloc(1, sizeof(*claimers));
    pthread_t threads[8];

    assert_non_null(claimers);
    claimers->store = open_place(*state);
    for (unsigned i = 0; i < MANY; i++) {
        char command[64];

        (void)snprintf(command, sizeof(command), "lease %u 4 4102444800 debt=2", i);
        assert_true(append_now(claimers->store, command));
    }
    for (size_t i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, claim_all, claimers), 0);
    for (size_t i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(atomic_load(&claimers->claimed[i]), 1);
    store_close(claimers->store);
    free(claimers);
}

/* One changes leases while others beat, claim and look. */
struct bustle {
    struct store *store;
    atomic_bool is_over;
    atomic_uint claimed;
};

static void *be_heard(void *context)
{
    struct bustle *bustle = context;
    struct store_lease lease;
    uint8_t handle[STORE_HANDLE_LEN];

    for (unsigned i = 0; !atomic_load(&bustle->is_over); i++) {
        handle_of(i % 20, handle);
        (void)!store_beat(bustle->store, handle, &lease, &(struct error){ 0 });
    }
    return NULL;
}

static void *be_claimed(void *context)
{
    struct bustle *bustle = context;
    struct store_lease leases[3];
    struct store_approval approvals[3];
    uint8_t key[STORE_KEY_LEN];
    int64_t oldest_s = 0;
    size_t count = 0;

    key_of(STORE_KEY_STAGE, 1, key);
    while (!atomic_load(&bustle->is_over)) {
        struct store_claims claims = { .leases = leases, .max = COUNT(leases) };
        struct error error = { 0 };

        assert_true(store_claim_due(bustle->store, AGAIN_S, &claims, &error));
        atomic_fetch_add(&bustle->claimed, (unsigned)claims.count);
        assert_true(store_leases_under(bustle->store, STORE_KEY_STAGE, key, leases, COUNT(leases),
                                       &count, &error));
        assert_true(store_approvals(bustle->store, approvals, COUNT(approvals), &count, &error));
        (void)store_owed_count(bustle->store, &oldest_s);
    }
    return NULL;
}

static void leases_change_while_others_beat_and_claim(void **state)
{
    struct bustle bustle = { .store = open_place(*state) };
    struct store_guard guard = { .kind = STORE_GUARD_FEWER_LIVE,
                                 .key_kind = STORE_KEY_STAGE,
                                 .count = 1000 };
    pthread_t threads[2];

    key_of(STORE_KEY_STAGE, 1, guard.key);
    assert_int_equal(pthread_create(&threads[0], NULL, be_heard, &bustle), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, be_claimed, &bustle), 0);
    for (unsigned i = 0; i < 200; i++) {
        char command[96];

        (void)snprintf(command, sizeof(command), "lease %u %d 4102444800 stage=1 beat=10 debt=%u",
                       i % 20, i % 40 < 20 ? LEASE_ISSUED : LEASE_REVOKED, i % 2 + 1);
        assert_true(append_if(bustle.store, command, &guard));
        (void)snprintf(command, sizeof(command), "approval %u 1 4102444800 code=%u", i % 7, i);
        assert_true(append_now(bustle.store, command));
    }
    while (atomic_load(&bustle.claimed) == 0)
        (void)sched_yield();
    atomic_store(&bustle.is_over, true);
    for (size_t i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    store_close(bustle.store);
}

const struct CMUnitTest conformance_due[] = {
    CONFORMANCE_TEST(only_an_issued_lease_has_a_heartbeat),
    CONFORMANCE_TEST(what_owes_and_has_ended_is_due_at_once),
#ifdef STAGEPASS_TEST_CLOCK
    CONFORMANCE_TEST(three_heartbeats_of_silence_make_a_lease_due),
    CONFORMANCE_TEST(after_a_start_silence_is_counted_anew),
    CONFORMANCE_TEST(what_owes_is_due_when_it_expires),
    CONFORMANCE_TEST(what_lapses_is_owed_until_its_lease_expires),
    CONFORMANCE_TEST(what_lapsed_by_a_wrong_clock_is_due_again),
    CONFORMANCE_TEST(what_is_requested_for_too_long_is_due),
    CONFORMANCE_TEST(an_entry_says_anew_when_a_lease_is_due),
    CONFORMANCE_TEST(what_was_claimed_can_be_put_off),
    CONFORMANCE_TEST(those_that_wait_longest_are_claimed_first),
#endif
    CONFORMANCE_TEST(none_is_claimed_twice),
    CONFORMANCE_TEST(leases_change_while_others_beat_and_claim),
};
const size_t conformance_due_count = COUNT(conformance_due);
