#include <stdlib.h>
#include <string.h>

#include "store/help.h"
#include "store/leases.h"
#include "tests/test.h"

static struct store_lease change_of(unsigned number, enum store_lease_state state,
                                    int64_t expires_s)
{
    struct store_lease change = { .state = state, .expires_s = expires_s };

    lease_id_of(number, change.id);
    if (state == LEASE_ISSUED)
        handle_of(number, change.handle_sha256);
    return change;
}

static bool apply(struct leases *leases, unsigned number, enum store_lease_state state,
                  int64_t expires_s, uint64_t index)
{
    struct store_lease change = change_of(number, state, expires_s);

    return leases_apply(leases, &change, index);
}

static const struct store_lease *find(const struct leases *leases, unsigned number)
{
    char id[ID_LEN + 1];

    lease_id_of(number, id);
    return leases_by_id(leases, id);
}

static const struct store_lease *find_handle(const struct leases *leases, unsigned number)
{
    uint8_t handle[32];

    handle_of(number, handle);
    return leases_by_handle(leases, handle);
}

static struct leases *new_leases(void)
{
    struct leases *leases = calloc(1, sizeof(*leases));

    assert_non_null(leases);
    return leases;
}

static void free_leases(struct leases *leases)
{
    leases_release(leases);
    free(leases);
}

static void a_change_keeps_what_it_does_not_name(void **state)
{
    struct leases *leases = new_leases();
    const struct store_lease *row = NULL;

    (void)state;
    assert_true(apply(leases, 1, LEASE_REQUESTED, 5000, 10));
    assert_null(find_handle(leases, 1));
    assert_true(apply(leases, 1, LEASE_ISSUED, 6000, 11));
    assert_true(apply(leases, 1, LEASE_RELEASED, 0, 15));
    row = find_handle(leases, 1);
    assert_non_null(row);
    assert_ptr_equal(row, find(leases, 1));
    assert_int_equal(row->state, LEASE_RELEASED);
    assert_int_equal(row->version, 3);
    assert_int_equal(row->expires_s, 6000);
    assert_int_equal(row->opened_index, 10);
    assert_int_equal(row->latest_index, 15);
    assert_int_equal(leases->live_count, 0);
    free_leases(leases);
}

static void a_change_seen_before_counts_once(void **state)
{
    struct leases *leases = new_leases();

    (void)state;
    assert_true(apply(leases, 1, LEASE_ISSUED, 5000, 10));
    assert_true(apply(leases, 1, LEASE_RELEASED, 0, 12));
    assert_true(apply(leases, 1, LEASE_ISSUED, 5000, 10));
    assert_true(apply(leases, 1, LEASE_RELEASED, 0, 12));
    assert_int_equal(find(leases, 1)->version, 2);
    assert_int_equal(find(leases, 1)->state, LEASE_RELEASED);
    free_leases(leases);
}

static void a_change_of_a_lease_that_is_not_kept_does_nothing(void **state)
{
    struct leases *leases = new_leases();

    (void)state;
    assert_true(apply(leases, 1, LEASE_REVOKED, 0, 10));
    assert_null(find(leases, 1));
    assert_int_equal(leases->count, 0);
    free_leases(leases);
}

static void no_handle_finds_nothing(void **state)
{
    struct leases *leases = new_leases();
    const uint8_t none[32] = { 0 };

    (void)state;
    assert_true(apply(leases, 1, LEASE_REQUESTED, 5000, 10));
    assert_null(leases_by_handle(leases, none));
    free_leases(leases);
}

static void a_new_handle_replaces_the_old_one(void **state)
{
    struct leases *leases = new_leases();
    struct store_lease change = change_of(1, LEASE_ISSUED, 5000);

    (void)state;
    assert_true(leases_apply(leases, &change, 10));
    handle_of(2, change.handle_sha256);
    assert_true(leases_apply(leases, &change, 11));
    assert_null(find_handle(leases, 1));
    assert_non_null(find_handle(leases, 2));
    free_leases(leases);
}

static void rows_are_kept_for_an_hour_after_they_expire(void **state)
{
    struct leases *leases = new_leases();

    (void)state;
    assert_true(apply(leases, 1, LEASE_ISSUED, 5000, 10));
    leases_sweep(leases, 0, 4999);
    assert_int_equal(leases->live_count, 1);
    leases_sweep(leases, 0, 5000);
    assert_int_equal(leases->live_count, 0);
    leases_sweep(leases, 0, 5000 + LEASE_KEPT_S - 1);
    assert_non_null(find(leases, 1));
    leases_sweep(leases, 0, 5000 + LEASE_KEPT_S);
    assert_null(find(leases, 1));
    assert_null(find_handle(leases, 1));
    assert_int_equal(leases->count, 0);
    free_leases(leases);
}

static void many_leases_come_and_go(void **state)
{
    enum {
        MANY = 20000
    };
    struct leases *leases = new_leases();

    (void)state;
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < MANY; i++)
            assert_true(apply(leases, round * MANY + i, LEASE_ISSUED, i % 2 == 0 ? 100 : 10000,
                              round * MANY + i + 1));
        for (size_t block = 0; block < LEASE_BLOCKS_MAX; block++)
            leases_sweep(leases, block, 100 + LEASE_KEPT_S);
    }
    assert_int_equal(leases->count, 3 * MANY / 2);
    assert_int_equal(leases->live_count, 3 * MANY / 2);
    assert_true(leases->row_count <= 2 * MANY);
    for (unsigned i = 0; i < 3 * MANY; i++) {
        assert_int_equal(find(leases, i) != NULL, i % 2 == 1);
        assert_int_equal(find_handle(leases, i) != NULL, i % 2 == 1);
    }
    free_leases(leases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_keeps_what_it_does_not_name),
        cmocka_unit_test(a_change_seen_before_counts_once),
        cmocka_unit_test(a_change_of_a_lease_that_is_not_kept_does_nothing),
        cmocka_unit_test(no_handle_finds_nothing),
        cmocka_unit_test(a_new_handle_replaces_the_old_one),
        cmocka_unit_test(rows_are_kept_for_an_hour_after_they_expire),
        cmocka_unit_test(many_leases_come_and_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
