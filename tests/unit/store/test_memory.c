/* Each allocation fails once: the call says so, keeps nothing, and works the next time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "store/help.h"
#include "store/state.h"
#include "tests/fail_memory.h"
#include "tests/test.h"

/* More allocations than any of these calls makes. */
#define ENOUGH 1000

static int make(void **state)
{
    struct folder *folder = calloc(1, sizeof(*folder));
    struct store *store = NULL;

    folder_make(folder);
    store = open_store(folder, 4096);
    assert_true(append_now(store, "mark 1 4102444800"));
    assert_true(append_now(store, "lease 1 2 4102444800"));
    append_many(store, 2, 100);
    store_close(store);
    *state = folder;
    return 0;
}

static int clean(void **state)
{
    folder_remove(*state);
    free(*state);
    return 0;
}

/* Read everything with a new reader. */
static bool read_all(const struct folder *folder, struct error *error)
{
    OWNED(store_reader_close) struct store_reader *reader = NULL;

    if (!store_reader_open(folder->path, &reader, error))
        return false;
    for (uint64_t i = 0; i < store_reader_size(reader); i++) {
        struct str entry = { 0 };

        if (!store_reader_get(reader, i, &entry, NULL, error))
            return false;
    }
    return true;
}

static bool open_and_close(const struct folder *folder, struct error *error)
{
    struct store_options options = { .location = folder->path,
                                     .fold = test_fold,
                                     .segment_bytes = 4096 };
    struct store *store = NULL;

    if (!store_open(&options, &store, error))
        return false;
    assert_int_equal(store_size(store), 102);
    assert_int_equal(store_live_lease_count(store), 1);
    store_close(store);
    return true;
}

/* How many allocations could fail before `call` went through. */
static size_t fail_each(const struct folder *folder,
                        bool (*call)(const struct folder *folder, struct error *error))
{
    for (size_t nth = 1; nth < ENOUGH; nth++) {
        struct error error = { 0 };
        bool is_done = false;

        fail_memory_at(nth);
        is_done = call(folder, &error);
        fail_memory_at(0);
        if (is_done)
            return nth - 1;
        /* readdir()'s own memory is not ours to name: that is a failed call. */
        if (error.code != ERROR_MEMORY && error.code != ERROR_IO)
            fail_msg("allocation %zu: %s", nth, error.cause);
    }
    fail_msg("it never went through");
    return 0;
}

static void a_reader_without_memory_says_so(void **state)
{
    assert_true(fail_each(*state, read_all) > 0);
}

static void a_store_without_memory_does_not_open(void **state)
{
    assert_true(fail_each(*state, open_and_close) > 0);
}

static void a_store_without_memory_or_snapshot_does_not_open(void **state)
{
    char command[128];

    (void)snprintf(command, sizeof(command), "rm %s/snapshot",
                   ((const struct folder *)*state)->path);
    run_shell(command);
    assert_true(fail_each(*state, open_and_close) > 0);
}

static void a_state_without_memory_keeps_what_it_had(void **unused)
{
    struct state *state = state_new();
    struct store_change mark = { .kind = STORE_SET_MARK, .expires_s = FAR_AWAY_S };
    struct store_change lease = { .kind = STORE_PUT_LEASE };
    unsigned failures = 0;

    (void)unused;
    for (unsigned i = 0; i < 2000; i++) {
        struct store_mark used;
        struct store_lease found = { 0 };

        mark_of(i, mark.mark);
        lease.lease = (struct store_lease){ .state = LEASE_ISSUED, .expires_s = FAR_AWAY_S };
        lease_id_of(i, lease.lease.id);
        handle_of(i, lease.lease.handle);
        for (int kind = 0; kind < STORE_KEY_COUNT; kind++)
            key_of((enum store_lease_key)kind, i, lease.lease.keys[kind]);
        fail_memory_at(1);
        failures += state_apply(state, &(struct pending_change){ &mark, i, 0 }, 0) ? 0 : 1;
        fail_memory_at(1 + i % 7);
        failures += state_apply(state, &(struct pending_change){ &lease, i, 0 }, 0) ? 0 : 1;
        fail_memory_at(0);
        assert_true(state_apply(state, &(struct pending_change){ &mark, i, 0 }, 0));
        assert_true(state_apply(state, &(struct pending_change){ &lease, i, 0 }, 0));
        assert_true(state_mark(state, mark.mark, 0, &used));
        assert_true(state_lease_by_handle(state, lease.lease.handle, &found));
    }
    assert_true(failures > 0);
    assert_int_equal(state->marks.count, 2000);
    assert_int_equal(state->leases.count, 2000);
    assert_int_equal(state_live_lease_count(state), 2000);
    for (unsigned i = 0; i < 2000; i++) {
        uint8_t key[STORE_KEY_LEN];
        struct store_lease found[2];

        key_of(STORE_KEY_COMMIT, i, key);
        assert_int_equal(state_leases_under(state, STORE_KEY_COMMIT, key, found, 2), 1);
    }
    state_free(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_reader_without_memory_says_so, make, clean),
        cmocka_unit_test_setup_teardown(a_store_without_memory_does_not_open, make, clean),
        cmocka_unit_test_setup_teardown(a_store_without_memory_or_snapshot_does_not_open, make,
                                        clean),
        cmocka_unit_test(a_state_without_memory_keeps_what_it_had),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
