/* Leases and approvals of brokers that share a database, and of one that was older. */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "store/pg_help.h"

#define AGAIN_S 60

static int make(void **state)
{
    struct place *place = calloc(1, sizeof(*place));

    server_make_place(place);
    *state = place;
    return 0;
}

static int clean(void **state)
{
    server_remove_place(*state);
    free(*state);
    return 0;
}

/* Many threads, each at one of two stores. */
struct race {
    struct store *stores[2];
    struct store_guard guard;
    const char *words;
    atomic_uint next;
    atomic_uint winners;
};

static void *race_once(void *context)
{
    struct race *race = context;
    unsigned number = atomic_fetch_add(&race->next, 1);
    char command[128];

    (void)snprintf(command, sizeof(command), "lease %u 2 4102444800 %s", number, race->words);
    if (append_if(race->stores[number % 2], command, &race->guard))
        atomic_fetch_add(&race->winners, 1);
    return NULL;
}

static unsigned run_race(struct race *race)
{
    pthread_t threads[24];

    atomic_store(&race->winners, 0);
    for (size_t i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, race_once, race), 0);
    for (size_t i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    return atomic_load(&race->winners);
}

static void limits_are_exact_across_two_stores(void **state)
{
    struct race race = { .stores = { open_place(*state), open_place(*state) } };

    race.guard =
        (struct store_guard){ .kind = STORE_GUARD_FEWER_LIVE, .key_kind = STORE_KEY_STAGE };
    for (unsigned count = 1; count <= 7; count += 3) {
        race.guard.count = count;
        key_of(STORE_KEY_STAGE, count, race.guard.key);
        race.words = count == 1 ? "stage=1" : count == 4 ? "stage=4" : "stage=7";
        assert_int_equal(run_race(&race), count);
    }
    race.guard =
        (struct store_guard){ .kind = STORE_GUARD_FEWER_OPENED, .key_kind = STORE_KEY_JOB };
    race.guard.count = 5;
    key_of(STORE_KEY_JOB, 1, race.guard.key);
    race.words = "job=1";
    assert_int_equal(run_race(&race), 5);
    store_close(race.stores[0]);
    store_close(race.stores[1]);
}

static void one_store_sees_what_another_ones_job_got(void **state)
{
    struct store *one = open_place(*state);
    struct store *other = open_place(*state);
    struct store_guard guard = { .kind = STORE_GUARD_LATEST,
                                 .key_kind = STORE_KEY_RUN,
                                 .must_succeed = true };

    key_of(STORE_KEY_RUN, 1, guard.key);
    assert_false(append_if(other, "nothing", &guard));
    assert_true(append_now(one, "lease 1 2 4102444800 run=1"));
    assert_false(append_if(other, "nothing", &guard));
    assert_true(append_now(one, "lease 1 3 0 outcome=1"));
    assert_true(append_if(other, "nothing", &guard));
    assert_true(append_now(other, "lease 2 2 4102444800 run=1"));
    assert_false(append_if(one, "nothing", &guard));
    store_close(one);
    store_close(other);
}

static void an_approval_is_used_once_by_two_stores(void **state)
{
    struct race race = { .stores = { open_place(*state), open_place(*state) }, .words = "stage=1" };
    struct append *append;

    race.guard = (struct store_guard){ .kind = STORE_GUARD_APPROVAL,
                                       .approval = APPROVAL_GRANTED,
                                       .version = 1 };
    lease_id_of(1, race.guard.lease_id);
    assert_true(append_now(race.stores[0], "approval 1 2 4102444800"));
    for (size_t i = 0; i < 2; i++) {
        append = append_new("approval 1 4 0");
        append_guard(append, &race.guard);
        assert_true(append_submit(append, race.stores[i]));
        assert_int_equal(append_wait(append), i == 0);
        append_free(append);
    }
    assert_int_equal(run_race(&race), 0);
    store_close(race.stores[0]);
    store_close(race.stores[1]);
}

#define MANY 300

struct claimers {
    struct store *stores[2];
    atomic_uint next;
    atomic_uint claimed[MANY];
};

static void *claim_all(void *context)
{
    struct claimers *claimers = context;
    struct store *store = claimers->stores[atomic_fetch_add(&claimers->next, 1) % 2];
    struct store_lease leases[7];
    struct store_claims claims = { .leases = leases, .max = COUNT(leases) };

    do {
        assert_true(store_claim_due(store, AGAIN_S, &claims, &(struct error){ 0 }));
        for (size_t i = 0; i < claims.count; i++) {
            unsigned number = MANY;

            /* NOLINTNEXTLINE(cert-err34-c) */
            if (sscanf(leases[i].id, "%u", &number) == 1 && number < MANY)
                atomic_fetch_add(&claimers->claimed[number], 1);
        }
    } while (claims.count > 0);
    return NULL;
}

static void what_is_due_is_claimed_by_one_of_two_stores(void **state)
{
    struct claimers *claimers = calloc(1, sizeof(*claimers));
    pthread_t threads[6];
    int64_t oldest_s = 0;

    assert_non_null(claimers);
    claimers->stores[0] = open_place(*state);
    claimers->stores[1] = open_place(*state);
    for (unsigned i = 0; i < MANY; i++) {
        char command[64];

        (void)snprintf(command, sizeof(command), "lease %u 4 4102444800 debt=2", i);
        assert_true(append_now(claimers->stores[i % 2], command));
    }
    for (size_t i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, claim_all, claimers), 0);
    for (size_t i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(atomic_load(&claimers->claimed[i]), 1);
    assert_int_equal(store_owed_count(claimers->stores[1], &oldest_s), MANY);
    store_close(claimers->stores[0]);
    store_close(claimers->stores[1]);
    free(claimers);
}

#ifdef STAGEPASS_TEST_CLOCK
static size_t count_due(struct store *store)
{
    struct store_lease leases[4];
    struct store_claims claims = { .leases = leases, .max = COUNT(leases) };

    assert_true(store_claim_due(store, AGAIN_S, &claims, &(struct error){ 0 }));
    return claims.count;
}

static void beat(struct store *store, unsigned number)
{
    struct store_lease lease;
    uint8_t handle[STORE_HANDLE_LEN];

    handle_of(number, handle);
    assert_true(store_beat(store, handle, &lease, &(struct error){ 0 }));
}

static void hear_at_one(const struct place *place)
{
    struct store *one = open_place(place);
    struct store *other = open_place(place);
    int64_t end_ns = clock_monotonic_ns() + INT64_C(30000000000);
    int64_t due_s = 0;

    assert_true(append_now(one, "lease 1 2 4102444800 beat=1000"));
    due_s = server_number("SELECT due_s FROM stagepass.leases");
    clock_test_advance(2000);
    beat(one, 1);
    clock_test_advance(6);
    while (server_number("SELECT due_s FROM stagepass.leases") < due_s + 1900)
        assert_true(clock_monotonic_ns() < end_ns);
    clock_test_advance(2800);
    assert_int_equal(count_due(other), 0);
    clock_test_advance(300);
    assert_int_equal(count_due(other), 1);
    store_close(one);
    store_close(other);
}

static void what_one_store_hears_others_know(void **state)
{
    in_a_child(hear_at_one, *state);
}

static int64_t ahead_s(struct store *store)
{
    struct store_lease lease;
    struct store_claims claims = { .leases = &lease, .max = 1 };

    assert_true(store_claim_due(store, AGAIN_S, &claims, &(struct error){ 0 }));
    assert_int_equal(claims.count, 1);
    return claims.ahead_s;
}

static void compare_clocks(const struct place *place)
{
    struct store *store = open_place(place);

    assert_true(append_now(store, "lease 1 4 4102444800 debt=2"));
    assert_in_range(ahead_s(store), 0, 1); /* where a second begins between the two */
    clock_test_advance(5000);
    assert_in_range(ahead_s(store), 4999, 5001);
    clock_test_step(-6000); /* a lease that a broker claimed whose clock is behind */
    server_sql("stagepass", "UPDATE stagepass.leases SET due_s = 0");
    assert_int_equal(ahead_s(store), 0);
    store_close(store);
}

static void a_claim_says_how_far_the_clock_is_ahead_of_the_server(void **state)
{
    in_a_child(compare_clocks, *state);
}

static void lose_the_table(const struct place *place)
{
    struct store *store = open_place(place);
    struct store_lease lease;
    struct store_claims claims = { .leases = &lease, .max = 1 };
    struct error error = { 0 };

    assert_true(append_now(store, "lease 1 2 4102444800 beat=1000"));
    clock_test_advance(2900);
    beat(store, 1);
    clock_test_advance(200);
    server_sql("stagepass", "ALTER TABLE stagepass.leases RENAME TO hidden");
    assert_false(store_claim_due(store, AGAIN_S, &claims, &error));
    assert_int_equal(error.code, ERROR_LEDGER);
    server_sql("stagepass", "ALTER TABLE stagepass.hidden RENAME TO leases");
    assert_int_equal(count_due(store), 0); /* what was heard is not lost */
    clock_test_advance(2900);
    assert_int_equal(count_due(store), 1);
    store_close(store);
}

static void what_could_not_be_written_waits(void **state)
{
    in_a_child(lose_the_table, *state);
}
#endif

/* As version 2 had it. */
static void make_older(void)
{
    server_sql("stagepass",
               "DROP TABLE stagepass.approvals;"
               "ALTER TABLE stagepass.head DROP COLUMN anew_s;"
               "ALTER TABLE stagepass.leases DROP CONSTRAINT IF EXISTS leases_handle_bytes,"
               " DROP COLUMN gone_s, DROP COLUMN stage_key,"
               " DROP COLUMN job_key, DROP COLUMN run_key, DROP COLUMN commit_key,"
               " DROP COLUMN debt, DROP COLUMN outcome, DROP COLUMN attempt,"
               " DROP COLUMN heartbeat_s, DROP COLUMN renewal, DROP COLUMN kept_until_s,"
               " DROP COLUMN opened_s, DROP COLUMN renewed_s, DROP COLUMN ended_s,"
               " DROP COLUMN credentials_index, DROP COLUMN due_s;"
               "CREATE INDEX leases_expires_s ON stagepass.leases (expires_s);"
               "UPDATE stagepass.schema SET version = 2");
}

static void an_older_schema_is_brought_up_to_date_with_all_rows(void **state)
{
    struct store *store = open_place(*state);
    struct store_lease leases[2];
    struct store_approval approval;
    uint8_t handle[STORE_HANDLE_LEN];
    uint8_t key[STORE_KEY_LEN];
    char id[ID_LEN + 1];
    size_t count = 0;
    struct error error = { 0 };

    assert_true(append_now(store, "lease 1 1 4102444800 stage=1 beat=5"));
    assert_true(append_now(store, "use 1 7 0"));
    assert_true(append_now(store, "lease 1 2 0 debt=2"));
    assert_true(append_now(store, "approval 1 2 4102444800"));
    store_close(store);
    make_older();
    store = open_place(*state);
    key_of(STORE_KEY_STAGE, 1, key);
    assert_true(store_leases_under(store, STORE_KEY_STAGE, key, leases, 2, &count, &error));
    assert_int_equal(count, 1);
    assert_int_equal(leases[0].version, 2);
    assert_int_equal(leases[0].debt, DEBT_OWED);
    assert_int_equal(leases[0].heartbeat_s, 5);
    assert_int_not_equal(leases[0].opened_s, 0);
    handle_of(1, handle);
    assert_true(store_lease_by_handle(store, handle, leases, &error));
    lease_id_of(1, id);
    assert_true(store_approval_by_id(store, str_from(id), &approval, &error));
    assert_true(has_mark(store, 1));
    assert_int_equal(server_number("SELECT version FROM stagepass.schema"), 4);
    assert_int_equal(server_number("SELECT count(*) FROM information_schema.columns"
                                   " WHERE table_schema = 'stagepass' AND table_name = 'leases'"
                                   " AND column_name = 'opened_s' AND is_nullable = 'NO'"
                                   " AND column_default IS NULL"),
                     1); /* what an older program adds is refused */
    assert_int_equal(
        server_number("SELECT count(*) FROM pg_constraint"
                      " WHERE conrelid = 'stagepass.leases'::regclass"
                      " AND pg_get_constraintdef(oid) LIKE '%octet_length(handle) = 16%'"),
        1); /* of version 3, too: its handles would be found by nobody */
    store_close(store);
}

static void rows_that_make_no_sense_are_refused(void **state)
{
    static const char *const wrong[] = {
        "UPDATE stagepass.leases SET attempt = 65536", "UPDATE stagepass.leases SET attempt = -1",
        "UPDATE stagepass.leases SET debt = 4",        "UPDATE stagepass.leases SET outcome = 3",
        "UPDATE stagepass.leases SET state = 8",       "UPDATE stagepass.leases SET version = 0",
        "UPDATE stagepass.leases SET renewal = 65536",
    };
    struct store *store = open_place(*state);
    struct store_lease lease;
    char id[ID_LEN + 1];

    assert_true(append_now(store, "lease 1 2 4102444800 stage=1"));
    lease_id_of(1, id);
    server_sql("stagepass", "CREATE TABLE stagepass.kept AS SELECT * FROM stagepass.leases;"
                            "ALTER TABLE stagepass.kept DROP COLUMN gone_s");
    for (size_t i = 0; i < COUNT(wrong); i++) {
        struct error error = { 0 };

        server_sql("stagepass", wrong[i]);
        assert_false(store_lease_by_id(store, str_from(id), &lease, &error));
        assert_int_equal(error.code, ERROR_LEDGER);
        assert_false(append_now(store, "lease 1 3 0"));
        server_sql("stagepass", "UPDATE stagepass.leases SET (attempt, debt, outcome, state, "
                                "version, renewal) = (SELECT attempt, debt, outcome, state, "
                                "version, renewal FROM stagepass.kept)");
        assert_true(store_lease_by_id(store, str_from(id), &lease, &(struct error){ 0 }));
    }
    store_close(store);
}

static void approvals_that_make_no_sense_are_refused(void **state)
{
    static const char *const wrong[] = {
        "UPDATE stagepass.approvals SET people = '\\x0102'",
        "UPDATE stagepass.approvals SET people = decode(repeat('01', 12 * 256), 'hex')",
        "UPDATE stagepass.approvals SET people = '', state = 5",
        "UPDATE stagepass.approvals SET state = 1, version = 0",
        "ALTER TABLE stagepass.approvals RENAME TO hidden",
    };
    struct store *store = open_place(*state);
    struct store_approval approval;
    char id[ID_LEN + 1];

    assert_true(append_now(store, "approval 1 1 4102444800"));
    lease_id_of(1, id);
    for (size_t i = 0; i < COUNT(wrong); i++) {
        struct error error = { 0 };

        server_sql("stagepass", wrong[i]);
        assert_false(store_approval_by_id(store, str_from(id), &approval, &error));
        assert_int_equal(error.code, ERROR_LEDGER);
        assert_false(append_now(store, "approval 1 2 0"));
    }
    store_close(store);
}

int main(void)
{
#define PG_TEST(function) cmocka_unit_test_setup_teardown(function, make, clean)
    const struct CMUnitTest tests[] = {
        PG_TEST(limits_are_exact_across_two_stores),
        PG_TEST(one_store_sees_what_another_ones_job_got),
        PG_TEST(an_approval_is_used_once_by_two_stores),
        PG_TEST(what_is_due_is_claimed_by_one_of_two_stores),
#ifdef STAGEPASS_TEST_CLOCK
        PG_TEST(what_one_store_hears_others_know),
        PG_TEST(a_claim_says_how_far_the_clock_is_ahead_of_the_server),
        PG_TEST(what_could_not_be_written_waits),
#endif
        PG_TEST(an_older_schema_is_brought_up_to_date_with_all_rows),
        PG_TEST(rows_that_make_no_sense_are_refused),
        PG_TEST(approvals_that_make_no_sense_are_refused),
    };
#undef PG_TEST
    int failed = 0;

    (void)server_start(NULL);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)server_stop(NULL);
    return failed;
}
