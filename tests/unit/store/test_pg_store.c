/* What only a store in PostgreSQL does: several at once, sessions that are lost, rows swept. */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "store/pg_help.h"

/* Longer than anything here takes on a busy machine. */
#define WAIT_MS ((int64_t)30 * 1000)

#define KILL_SESSIONS                                                                              \
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'stagepass'"

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

static bool wait_until(bool (*holds)(const void *), const void *context)
{
    int64_t end_ns = clock_monotonic_ns() + WAIT_MS * 1000000;

    while (!holds(context)) {
        if (clock_monotonic_ns() > end_ns)
            return false;
        (void)usleep(10000);
    }
    return true;
}

static bool is_fenced(const void *store)
{
    return store_is_fenced(store);
}

static bool has_ten(const void *store)
{
    return store_size(store) == 10;
}

struct race {
    struct store *store;
    unsigned number;
    atomic_uint *winners;
};

static void *race_once(void *context)
{
    struct race *race = context;
    struct append *append;
    char command[64];

    (void)snprintf(command, sizeof(command), "mark %u 4102444800", race->number);
    append = append_new(command);
    append_guard_mark(append, race->number);
    if (append_submit(append, race->store) && append_wait(append))
        atomic_fetch_add(race->winners, 1);
    append_free(append);
    return NULL;
}

static void of_two_stores_that_want_a_mark_one_gets_it(void **state)
{
    struct store *stores[2] = { open_place(*state), open_place(*state) };

    for (unsigned round = 0; round < 10; round++) {
        atomic_uint winners = 0;
        pthread_t threads[6];
        struct race races[6];

        for (size_t i = 0; i < COUNT(threads); i++) {
            races[i] = (struct race){ stores[i % 2], round, &winners };
            assert_int_equal(pthread_create(&threads[i], NULL, race_once, &races[i]), 0);
        }
        for (size_t i = 0; i < COUNT(threads); i++)
            assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(atomic_load(&winners), 1);
    }
    store_close(stores[0]);
    assert_true(wait_until(has_ten, stores[1]));
    store_close(stores[1]);
}

struct told {
    atomic_uint_fast64_t size;
};

static void note_commit(uint64_t size, void *context)
{
    atomic_store(&((struct told *)context)->size, size);
}

static bool is_told(const void *context)
{
    return atomic_load(&((const struct told *)context)->size) == 7;
}

static void what_one_store_appends_others_know(void **state)
{
    struct store *one = open_place(*state);
    struct store *other = open_place(*state);
    struct told told = { 0 };
    struct store_lease lease;
    struct error error = { 0 };
    uint8_t handle[STORE_HANDLE_LEN];

    store_on_commit(other, note_commit, &told);
    assert_true(append_now(one, "mark 1 4102444800"));
    assert_true(append_now(one, "lease 1 2 4102444800"));
    assert_true(has_mark(other, 1));
    handle_of(1, handle);
    assert_true(store_lease_by_handle(other, handle, &lease, &error));
    assert_int_equal(lease.latest_index, 1);
    assert_true(store_size(other) >= 2); /* whoever knows the lease can read its entry */
    append_burst(one, 2, 5);
    assert_true(wait_until(is_told, &told));
    assert_int_equal(store_size(other), 7);
    assert_true(append_now(other, "lease 1 3 0"));
    assert_true(store_lease_by_handle(one, handle, &lease, &error));
    assert_int_equal(lease.state, LEASE_RELEASED);
    assert_int_equal(lease.version, 2);
    store_close(one);
    store_close(other);
}

static void the_largest_checkpoint_holds(void **state)
{
    static const struct {
        unsigned store;
        uint64_t size;
        struct str note;
        struct str newest;
    } steps[] = {
        { 0, 10, STR_INIT("ten"), STR_INIT("ten") },
        { 1, 9, STR_INIT("nine"), STR_INIT("ten") },
        { 1, 10, STR_INIT("other ten"), STR_INIT("ten") },
        { 1, 11, STR_INIT("eleven"), STR_INIT("eleven") },
        { 0, 10, STR_INIT("ten"), STR_INIT("eleven") },
    };
    struct store *stores[2] = { open_place(*state), open_place(*state) };
    OWNED(arena_free) struct arena *arena = arena_new((size_t)64 * 1024);
    struct error error = { 0 };
    struct str newest;

    assert_true(store_newest_checkpoint(stores[0], arena, &newest, &error));
    assert_int_equal(newest.len, 0);
    for (size_t i = 0; i < COUNT(steps); i++) {
        assert_true(store_offer_checkpoint(stores[steps[i].store], steps[i].size, steps[i].note,
                                           arena, &newest, &error));
        assert_true(str_eq(newest, steps[i].newest));
        assert_true(store_newest_checkpoint(stores[1], arena, &newest, &error));
        assert_true(str_eq(newest, steps[i].newest));
    }
    store_close(stores[0]);
    store_close(stores[1]);
}

static void sessions_that_are_lost_are_made_again(void **state)
{
    struct store *store = open_place(*state);
    OWNED(store_reader_close) struct store_reader *reader = NULL;
    struct error error = { 0 };
    struct str entry;

    assert_true(append_now(store, "mark 1 4102444800"));
    assert_true(has_mark(store, 1));
    assert_true(store_reader_new(store, &reader, &error));
    for (unsigned i = 2; i < 5; i++) {
        char command[64];

        server_sql("stagepass", KILL_SESSIONS);
        assert_true(has_mark(store, 1));
        (void)snprintf(command, sizeof(command), "mark %u 4102444800", i);
        assert_true(append_now(store, command));
        assert_true(has_mark(store, i));
        assert_true(store_reader_refresh(reader, &error));
        assert_int_equal(store_reader_size(reader), i);
        assert_true(store_reader_get(reader, i - 1, &entry, NULL, &error));
    }
    store_close(store);
}

struct killing {
    atomic_bool is_over;
};

static void *kill_sessions(void *context)
{
    struct killing *killing = context;

    while (!atomic_load(&killing->is_over)) {
        server_sql("stagepass", KILL_SESSIONS);
        (void)usleep(20000); /* time for a few to connect and to append */
    }
    return NULL;
}

/* Sessions die all the time: what was said to be committed is there once, the rest at most once. */
static void no_outcome_is_wrong_while_sessions_die(void **state)
{
    enum {
        MANY = 60
    };
    struct store *store = open_place(*state);
    struct killing killing = { 0 };
    bool is_committed[MANY];
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, kill_sessions, &killing), 0);
    for (unsigned i = 0; i < MANY; i++) {
        char command[64];
        struct append *append;

        (void)snprintf(command, sizeof(command), "use %u %u 0", i, i + 1);
        append = append_new(command);
        append_guard_uses(append, i, i + 1, 1);
        is_committed[i] = append_submit(append, store) && append_wait(append);
        append_free(append);
    }
    atomic_store(&killing.is_over, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    store_close(store);
    store = open_place(*state);
    for (unsigned i = 0; i < MANY; i++) {
        struct store_mark mark = { 0 };
        struct error error = { 0 };
        uint8_t key[32];
        bool is_set;

        mark_of(i, key);
        is_set = store_mark(store, key, &mark, &error);
        if (is_set != is_committed[i])
            fail_msg("%u: said %d, is %d", i, is_committed[i], is_set);
        assert_true(mark.uses <= 1);
    }
    store_close(store);
}

static void a_database_that_goes_back_fences(void **state)
{
    struct store *store = open_place(*state);
    struct append *append = append_new("entry 2");

    append_many(store, 0, 2);
    server_sql("stagepass", "DELETE FROM stagepass.entries WHERE index = 1;"
                            "UPDATE stagepass.head SET size = 1, folded = 1");
    assert_true(wait_until(is_fenced, store));
    assert_false(store_is_writable(store));
    assert_false(append_submit(append, store));
    append_free(append);
    store_close(store);
}

/* As after a fail-over to a server that lacked the last entry and has had another one since. */
static void a_database_with_another_last_entry_fences(void **state)
{
    struct store *store = open_place(*state);

    append_many(store, 0, 2);
    server_sql("stagepass",
               "UPDATE stagepass.entries SET entry = 'another' WHERE index = 1;" KILL_SESSIONS);
    (void)append_now(store, "entry 2");
    assert_true(wait_until(is_fenced, store));
    store_close(store);
}

/*
 * The store asks how long the log is all the time. What others append while the answer is on its
 * way, and a lookup tells of, is not missing in it.
 */
static void what_a_lookup_knows_first_fences_nothing(void **state)
{
    struct store *store = open_place(*state);

    append_many(store, 0, 1);
    assert_true(append_now(store, "mark 1 4102444800"));
    server_sql("stagepass", "ALTER TABLE stagepass.head RENAME TO quick;"
                            "CREATE VIEW stagepass.head AS"
                            " SELECT quick.* FROM stagepass.quick, pg_sleep(0.6)");
    for (unsigned i = 0; i < 8; i++) {
        server_sql("stagepass",
                   "INSERT INTO stagepass.entries SELECT size, 0, 'x' FROM stagepass.quick;"
                   "UPDATE stagepass.marks SET latest_index = size FROM stagepass.quick;"
                   "UPDATE stagepass.quick SET size = size + 1, folded = size + 1");
        assert_true(has_mark(store, 1));
        assert_true(store_size(store) >= 3 + i);
        (void)usleep(200000);
    }
    assert_false(store_is_fenced(store));
    store_close(store);
}

static void rows_behind_the_entries_refuse_appends(void **state)
{
    struct store *store = open_place(*state);
    struct append *append = append_new("entry 1");

    append_many(store, 0, 1);
    server_sql("stagepass", "UPDATE stagepass.head SET folded = 0");
    assert_true(append_submit(append, store));
    assert_false(append_wait(append));
    assert_non_null(strstr(append_proposal(append)->error.cause, "behind the entries"));
    server_sql("stagepass", "UPDATE stagepass.head SET folded = 1");
    assert_true(append_submit(append, store));
    assert_true(append_wait(append));
    append_free(append);
    store_close(store);
}

static void entries_that_are_missing_are_told(void **state)
{
    struct store *store = open_place(*state);
    OWNED(store_reader_close) struct store_reader *reader = NULL;
    struct error error = { 0 };
    struct str entry;

    append_many(store, 0, 5);
    server_sql("stagepass", "DELETE FROM stagepass.entries WHERE index = 2");
    assert_true(store_reader_new(store, &reader, &error));
    assert_true(store_reader_get(reader, 0, &entry, NULL, &error));
    for (uint64_t i = 1; i < 3; i++) { /* it reads ahead from 1 on, which 2 must not come from */
        assert_false(store_reader_get(reader, i, &entry, NULL, &error));
        assert_int_equal(error.code, ERROR_INVALID);
        assert_non_null(strstr(error.cause, "entry 2 is missing"));
    }
    store_close(store);
    server_sql("stagepass", "UPDATE stagepass.head SET folded = 0");
    expect_no_location(((struct place *)*state)->location, ERROR_INVALID, "missing");
}

/* A database may hold what no broker wrote. */
static void entries_of_no_size_that_there_is_are_refused(void **state)
{
    static const struct {
        const char *set;
        bool is_good;
    } cases[] = {
        { "entry = ''", false },
        { "entry = convert_to(repeat('x', 16385), 'UTF8')", false },
        { "entry = convert_to(repeat('x', 16384), 'UTF8')", true },
        { "private = convert_to(repeat('x', 16385), 'UTF8')", false },
        { "private = convert_to(repeat('x', 16384), 'UTF8')", true },
    };
    struct store *store = open_place(*state);
    OWNED(store_reader_close) struct store_reader *reader = NULL;

    append_many(store, 0, 1);
    assert_true(store_reader_new(store, &reader, &(struct error){ 0 }));
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct error error = { 0 };
        struct str entry;
        char sql[128];

        (void)snprintf(sql, sizeof(sql), "UPDATE stagepass.entries SET %s", cases[i].set);
        server_sql("stagepass", sql);
        assert_true(store_reader_refresh(reader, &error));
        if (store_reader_get(reader, 0, &entry, NULL, &error) != cases[i].is_good)
            fail_msg("%s: %s", cases[i].set, cases[i].is_good ? error.cause : "taken");
        if (!cases[i].is_good)
            assert_non_null(strstr(error.cause, "empty, or too large"));
    }
    store_close(store);
}

/* Whatever the role's own setting is: what is committed has to be durable. */
static void commits_are_synchronous(void **state)
{
    struct store *store;

    server_sql("stagepass", "ALTER ROLE postgres SET synchronous_commit = off");
    store = open_place(*state);
    append_many(store, 0, 2);
    store_close(store);
    server_sql("stagepass", "ALTER ROLE postgres RESET synchronous_commit");
}

struct opening {
    const struct place *place;
    struct store *store;
};

static void *open_one(void *context)
{
    struct opening *opening = context;

    opening->store = open_place(opening->place);
    return NULL;
}

static void brokers_that_start_together_make_one_schema(void **state)
{
    struct opening openings[4];
    pthread_t threads[4];

    for (size_t i = 0; i < COUNT(threads); i++) {
        openings[i] = (struct opening){ .place = *state };
        assert_int_equal(pthread_create(&threads[i], NULL, open_one, &openings[i]), 0);
    }
    for (size_t i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (size_t i = 0; i < COUNT(threads); i++) {
        append_many(openings[i].store, (unsigned)i, 1);
        store_close(openings[i].store);
    }
}

#ifdef STAGEPASS_TEST_CLOCK
static bool has_no_old_rows(const void *context)
{
    (void)context;
    return server_number("SELECT (SELECT count(*) FROM stagepass.marks WHERE expires_s < 2000) +"
                         "(SELECT count(*) FROM stagepass.leases WHERE expires_s < 2000)") == 0;
}

/* Of a broker whose clock is ahead, as long as the server's says that they are needed. */
static void what_lives_is_needed_whatever_a_brokers_clock_says(void **state)
{
    struct store *store = open_place(*state);
    int64_t until_s = clock_wall_s() + 3600;
    struct error error = { 0 };
    uint64_t with_lease = 0;
    uint64_t with_block = 0;
    bool is_known = false;
    char text[64];

    assert_true(append_now(store, "entry"));
    (void)snprintf(text, sizeof(text), "block 1 %" PRId64, until_s);
    assert_true(append_now(store, text));
    (void)snprintf(text, sizeof(text), "lease 1 2 %" PRId64, until_s);
    assert_true(append_now(store, text));
    clock_test_step(7200);
    is_known = store_oldest_live(store, &with_block, &error);
    clock_test_step(-7200);
    assert_true(is_known);
    assert_int_equal(with_block, 1);
    assert_true(append_now(store, "unblock 1"));
    clock_test_step(7200);
    is_known = store_oldest_live(store, &with_lease, &error);
    clock_test_step(-7200);
    assert_true(is_known);
    assert_int_equal(with_lease, 2);
    store_close(store);
}

/* In a process of its own, whose clock is moved to when the next sweep is due. */
static void sweep(const struct place *place)
{
    struct store *store = open_place(place);
    struct append *append = append_new("mark 9 1000");

    assert_true(append_now(store, "mark 1 4102444800"));
    assert_true(append_now(store, "mark 2 4102444800"));
    assert_true(append_now(store, "lease 1 2 4102444800"));
    assert_true(append_now(store, "lease 2 2 4102444800"));
    server_sql("stagepass", "UPDATE stagepass.marks SET expires_s = 1000 WHERE first_index = 1;"
                            "UPDATE stagepass.leases SET expires_s = 1000 WHERE opened_index = 3");
    clock_test_advance(10);
    assert_true(wait_until(has_no_old_rows, NULL));
    assert_true(has_mark(store, 1));
    assert_int_equal(store_live_lease_count(store), 1);
    assert_int_equal(server_number("SELECT forgotten_s FROM stagepass.head"), 1000);
    append_guard_mark(append, 9); /* it may have been used, and be forgotten */
    assert_true(append_submit(append, store));
    assert_false(append_wait(append));
    assert_int_equal(append_proposal(append)->error.code, ERROR_LEDGER);
    append_free(append);
    store_close(store);
}

static void rows_that_are_due_are_removed_and_what_is_forgotten_is_known(void **state)
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        sweep(*state);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}
#endif

int main(void)
{
#define PG_TEST(function) cmocka_unit_test_setup_teardown(function, make, clean)
    const struct CMUnitTest tests[] = {
        PG_TEST(of_two_stores_that_want_a_mark_one_gets_it),
        PG_TEST(what_one_store_appends_others_know),
        PG_TEST(the_largest_checkpoint_holds),
        PG_TEST(sessions_that_are_lost_are_made_again),
        PG_TEST(no_outcome_is_wrong_while_sessions_die),
        PG_TEST(a_database_that_goes_back_fences),
        PG_TEST(a_database_with_another_last_entry_fences),
        PG_TEST(what_a_lookup_knows_first_fences_nothing),
        PG_TEST(rows_behind_the_entries_refuse_appends),
        PG_TEST(entries_that_are_missing_are_told),
        PG_TEST(entries_of_no_size_that_there_is_are_refused),
        PG_TEST(commits_are_synchronous),
        PG_TEST(brokers_that_start_together_make_one_schema),
#ifdef STAGEPASS_TEST_CLOCK
        PG_TEST(rows_that_are_due_are_removed_and_what_is_forgotten_is_known),
        PG_TEST(what_lives_is_needed_whatever_a_brokers_clock_says),
#endif
    };
#undef PG_TEST
    int failed = 0;

    (void)server_start(NULL);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)server_stop(NULL);
    return failed;
}
