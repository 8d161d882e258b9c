#include "exchange/renewal.h"
#include "tests/test.h"

/* What tokens of a lease are good for, at the boundary second and number of each rule. */

#define NOW INT64_C(1790000000)

static const struct renewal_holder holders[] = {
    { .is_bound = false, .is_held = false }, /* an unbound lease's, with a key that it never saw */
    { .is_bound = false, .is_held = true },
    { .is_bound = true, .is_held = false },
    { .is_bound = true, .is_held = true },
};

/* Issued, and renewed `number` times, the last time a second ago. */
static struct store_lease lease_of(uint16_t number)
{
    return (struct store_lease){
        .state = LEASE_ISSUED,
        .renewal = number,
        .renewed_s = number == 0 ? 0 : NOW - 1,
        .expires_s = NOW + 1,
    };
}

static enum renewal_verdict judge(const struct store_lease *lease, int number, size_t holder)
{
    return renewal_judge(lease, (uint16_t)number, holders[holder], NOW);
}

static void the_next_token_is_good_for_its_holder(void **state)
{
    static const uint16_t renewals[] = { 0, 1, 2, 65534 };

    (void)state;
    for (size_t i = 0; i < COUNT(renewals); i++) {
        const struct store_lease lease = lease_of(renewals[i]);

        for (size_t k = 0; k < COUNT(holders); k++)
            assert_int_equal(judge(&lease, renewals[i] + 1, k),
                             holders[k].is_held ? RENEWAL_GOES_ON : RENEWAL_IS_REFUSED);
    }
}

static void one_that_nobody_was_given_is_refused(void **state)
{
    const struct store_lease fresh = lease_of(0);
    const struct store_lease renewed = lease_of(7);
    const struct store_lease last = lease_of(65535);

    (void)state;
    for (size_t k = 0; k < COUNT(holders); k++) {
        assert_int_equal(judge(&fresh, 0, k), RENEWAL_IS_REFUSED);
        assert_int_equal(judge(&fresh, 2, k), RENEWAL_IS_REFUSED);
        assert_int_equal(judge(&renewed, 0, k), RENEWAL_IS_REFUSED);
        assert_int_equal(judge(&renewed, 9, k), RENEWAL_IS_REFUSED);
        assert_int_equal(judge(&renewed, 65535, k), RENEWAL_IS_REFUSED);
        assert_int_equal(judge(&last, 0, k), RENEWAL_IS_REFUSED); /* no number comes twice */
    }
}

static void an_older_one_is_a_theft_whoever_shows_it(void **state)
{
    const struct store_lease lease = lease_of(3);

    (void)state;
    for (size_t k = 0; k < COUNT(holders); k++) {
        assert_int_equal(judge(&lease, 2, k), RENEWAL_IS_THEFT);
        assert_int_equal(judge(&lease, 1, k), RENEWAL_IS_THEFT);
    }
}

static void the_last_one_is_good_again_for_a_key_and_a_minute(void **state)
{
    struct store_lease lease = lease_of(3);

    (void)state;
    for (int age_s = 0; age_s <= RENEWAL_REPEAT_S; age_s += RENEWAL_REPEAT_S) {
        lease.renewed_s = NOW - age_s;
        assert_int_equal(judge(&lease, 3, 0), RENEWAL_IS_REFUSED);
        assert_int_equal(judge(&lease, 3, 1), RENEWAL_IS_REFUSED);
        assert_int_equal(judge(&lease, 3, 2), RENEWAL_IS_THEFT);
        assert_int_equal(judge(&lease, 3, 3), RENEWAL_GOES_ON);
    }
    lease.renewed_s = NOW - RENEWAL_REPEAT_S - 1;
    for (size_t k = 0; k < COUNT(holders); k++)
        assert_int_equal(judge(&lease, 3, k), RENEWAL_IS_THEFT);
}

static void a_lease_that_does_not_live_is_left_alone(void **state)
{
    static const enum store_lease_state states[] = {
        LEASE_REQUESTED, LEASE_RELEASED, LEASE_REVOKED, LEASE_EXPIRED, LEASE_FAILED, LEASE_UNKNOWN,
    };
    struct store_lease lease = lease_of(3);

    (void)state;
    for (size_t i = 0; i < COUNT(states); i++) {
        lease.state = states[i];
        for (int number = 0; number < 5; number++)
            assert_int_equal(judge(&lease, number, 3), RENEWAL_IS_REFUSED);
    }
    lease = lease_of(3);
    lease.expires_s = NOW; /* over */
    for (int number = 0; number < 5; number++)
        assert_int_equal(judge(&lease, number, 3), RENEWAL_IS_REFUSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_token_is_good_for_its_holder),
        cmocka_unit_test(one_that_nobody_was_given_is_refused),
        cmocka_unit_test(an_older_one_is_a_theft_whoever_shows_it),
        cmocka_unit_test(the_last_one_is_good_again_for_a_key_and_a_minute),
        cmocka_unit_test(a_lease_that_does_not_live_is_left_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
