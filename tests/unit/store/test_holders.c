#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/help.h"
#include "store/snapshot.h"
#include "store/state.h"
#include "tests/test.h"

/* Marks that one holder may use several times, in a folder; the rest is in conformance_rows.c. */

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

static struct store_mark find(const struct store *store, unsigned number)
{
    struct store_mark mark = { 0 };
    uint8_t key[32];

    mark_of(number, key);
    return store_mark(store, key, &mark, &(struct error){ 0 }) ? mark : (struct store_mark){ 0 };
}

/* Use mark 1 as `holder`, at most `uses_max` times. */
static bool use(struct store *store, unsigned holder, unsigned lease, unsigned uses_max)
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

/* Two tokens can have one mark: an issuer may give an id twice. */
static void a_later_use_does_not_end_a_mark_earlier(void **unused)
{
    struct state *state = state_new();
    struct store_change change = { .kind = STORE_SET_MARK, .expires_s = 2000 };
    struct store_mark mark = { 0 };

    (void)unused;
    assert_non_null(state);
    mark_of(1, change.mark);
    holder_of(7, change.holder);
    assert_true(state_apply(state, &(struct pending_change){ &change, 0, 0 }, 100));
    change.expires_s = 200;
    assert_true(state_apply(state, &(struct pending_change){ &change, 1, 0 }, 100));
    assert_true(state_mark(state, change.mark, 1999, &mark));
    assert_int_equal(mark.uses, 2);
    change.expires_s = 3000;
    assert_true(state_apply(state, &(struct pending_change){ &change, 2, 0 }, 100));
    assert_true(state_mark(state, change.mark, 2999, &mark));
    assert_false(state_mark(state, change.mark, 3000, &mark));
    state_free(state);
}

static void expect_two_uses(const struct folder *folder)
{
    struct store *store = open_store(folder, 0);
    struct store_mark mark = find(store, 1);
    uint8_t holder[STORE_HOLDER_LEN];

    holder_of(7, holder);
    assert_int_equal(mark.uses, 2);
    assert_int_equal(mark.first_index, 0);
    assert_memory_equal(mark.holder, holder, sizeof(holder));
    assert_false(use(store, 8, 0, 3));
    assert_true(use(store, 7, 0, 3));
    assert_false(use(store, 7, 0, 3));
    store_close(store);
}

static void an_older_snapshot_is_read_as_none(void **state)
{
    struct store *store = open_store(*state, 0);

    assert_true(use(store, 7, 1, 3));
    assert_true(use(store, 7, 2, 3));
    store_close(store);
    folder_flip(*state, SNAPSHOT_NAME, 6);
    expect_two_uses(*state);
}

/* A log of uses, frees and leases, and what each entry changes. */
static size_t changes_of(unsigned index, struct store_change changes[2])
{
    unsigned number = index * 7919 % 60;

    changes[0] = (struct store_change){ .expires_s = FAR_AWAY_S };
    changes[0].kind = index % 4 == 3 ? STORE_FREE_MARK : STORE_SET_MARK;
    mark_of(number, changes[0].mark);
    holder_of(number, changes[0].holder);
    if (changes[0].kind == STORE_FREE_MARK)
        return 1;
    lease_id_of(index / 2, changes[0].lease.id); /* two entries a lease */
    changes[1] = (struct store_change){ .kind = STORE_PUT_LEASE };
    changes[1].lease.state = LEASE_REQUESTED;
    changes[1].lease.expires_s = FAR_AWAY_S;
    lease_id_of(index / 2, changes[1].lease.id);
    return 2;
}

#define LOG_COUNT 4000

static void apply_log(struct state *state, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        struct store_change changes[2];
        size_t count = changes_of(i, changes);

        for (size_t k = 0; k < count; k++)
            assert_true(state_apply(state, &(struct pending_change){ &changes[k], i, 0 }, 0));
    }
}

/* A snapshot is written while entries go on: its rows may be newer than its position. */
static void entries_that_are_read_again_count_once(void **unused)
{
    (void)unused;
    for (unsigned from = 0; from < 60; from += 7) {
        struct state *once = state_new();
        struct state *again = state_new();

        apply_log(once, 0, LOG_COUNT);
        apply_log(again, 0, LOG_COUNT - 100);
        apply_log(again, LOG_COUNT - 100 - from, LOG_COUNT);
        for (unsigned i = 0; i < 60; i++) {
            struct store_mark left = { 0 };
            struct store_mark right = { 0 };
            uint8_t key[32];

            mark_of(i, key);
            assert_int_equal(state_mark(once, key, 0, &left), state_mark(again, key, 0, &right));
            assert_int_equal(left.uses, right.uses);
            assert_int_equal(left.latest_index, right.latest_index);
        }
        state_free(once);
        state_free(again);
    }
}

#define HOLDER_TEST(function) cmocka_unit_test_setup_teardown(function, make, clean)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_later_use_does_not_end_a_mark_earlier),
        HOLDER_TEST(an_older_snapshot_is_read_as_none),
        cmocka_unit_test(entries_that_are_read_again_count_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
