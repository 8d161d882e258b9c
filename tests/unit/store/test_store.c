/* What only a store in a folder does; the rest is in conformance_*.c. */
#include <stdlib.h>
#include <sys/stat.h>

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

static void a_second_broker_is_locked_out(void **state)
{
    struct store *store = open_store(*state, 0);

    expect_no_store(*state, ERROR_IO, "locked by another broker");
    append_many(store, 0, 2);
    store_close(store);
    store_close(open_store(*state, 0));
}

int main(void)
{
#define STORE_TEST(function) cmocka_unit_test_setup_teardown(function, make, clean)
    const struct CMUnitTest tests[] = {
        STORE_TEST(segments_follow_each_other),
        STORE_TEST(an_entry_larger_than_a_segment_still_fits),
        STORE_TEST(a_second_broker_is_locked_out),
    };
#undef STORE_TEST

    return cmocka_run_group_tests(tests, NULL, NULL);
}
