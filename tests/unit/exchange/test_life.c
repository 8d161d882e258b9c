#include <string.h>

#include "base/error.h"
#include "exchange/exchange_internal.h"
#include "exchange/kept.h"
#include "exchange/owed.h"
#include "exchange/rules.h"
#include "identity/profile.h"
#include "tests/test.h"

/* How long leases live, when they are opened and when they are renewed. */

#define NOW INT64_C(1790000000)
#define OPENED (NOW - 3000)
#define HOUR 3600

struct fixture {
    struct issuer_options issuer;
    struct rules rules;
    struct policy_stage stage;
    struct exchange_renewal renewal;
    struct mint mints[2];
    struct exchange exchange;
};

/* Opened 50 minutes ago for an hour at most, renewed now for two credentials of 5 and 10 minutes.
 */
static struct fixture *renewal(void)
{
    static struct fixture fixture;
    struct exchange *exchange = &fixture.exchange;

    memset(&fixture, 0, sizeof(fixture));
    fixture.issuer.profile = profile_find(STR("github"));
    fixture.rules.default_ttl_s = 900;
    fixture.stage.id = STR("p:a");
    fixture.renewal.lease.opened_s = OPENED;
    fixture.renewal.lease.expires_s = NOW + 100;
    fixture.mints[0].ttl_s = 300;
    fixture.mints[1].ttl_s = 600;
    exchange->rules = &fixture.rules;
    exchange->now_s = NOW;
    exchange->token.issuer = &fixture.issuer;
    exchange->decision.stage = &fixture.stage;
    exchange->decision.obligations.lease.max_s = HOUR;
    exchange->request.renewal = &fixture.renewal;
    exchange->mints = fixture.mints;
    exchange->mint_count = 2;
    return &fixture;
}

static enum error_code check(struct fixture *fixture)
{
    struct error error = { 0 };
    bool is_good = life_check_renewal(&fixture->exchange, &error);

    assert_int_equal(is_good, error.code == ERROR_NONE);
    if (!is_good) {
        assert_int_equal(fixture->exchange.decision.failed_count, 1);
        assert_true(str_eq(fixture->exchange.decision.failed[0], STR("lease")));
    }
    return error.code;
}

/* Of a lease that could not be ended any more nobody would be protected. */
static void what_can_be_ended_is_renewed(void **state)
{
    static const size_t counts[] = { 1, 4, 16 };

    (void)state;
    for (size_t i = 0; i < COUNT(counts); i++) {
        struct fixture *fixture = renewal();
        const struct kept kept = { .grant_count = counts[i] };

        fixture->exchange.request.kept = &kept;
        fixture->renewal.lease.version = (uint32_t)(OWED_MAX / counts[i]) - 2;
        assert_int_equal(check(fixture), ERROR_NONE);
        fixture->renewal.lease.version++;
        assert_int_equal(check(fixture), ERROR_CONDITION);
        fixture->renewal.lease.version = UINT32_MAX;
        assert_int_equal(check(fixture), ERROR_CONDITION);
    }
}

static void a_renewal_fits_in_to_the_second(void **state)
{
    struct fixture *fixture = renewal();

    (void)state;
    assert_int_equal(life_end_s(&fixture->exchange, OPENED), OPENED + HOUR);
    assert_int_equal(check(fixture), ERROR_NONE); /* 600 s are left */
    fixture->mints[1].ttl_s = 601;
    assert_int_equal(check(fixture), ERROR_CONDITION);
}

static void what_is_longer_is_shortened_as_far_as_its_kind_goes(void **state)
{
    static const struct policy_grant_kind any = { .ttl_min_s = 1 };
    static const struct policy_grant_kind long_lived = { .ttl_min_s = 900 };
    struct fixture *fixture = renewal();

    (void)state;
    fixture->mints[0].ttl_s = HOUR;
    fixture->mints[1].ttl_s = HOUR;
    life_bound_mint(&fixture->exchange, &any, &fixture->mints[0]);
    assert_int_equal(fixture->mints[0].ttl_s, 600);
    life_bound_mint(&fixture->exchange, &long_lived, &fixture->mints[1]);
    assert_int_equal(fixture->mints[1].ttl_s, 900);
    assert_int_equal(check(fixture), ERROR_CONDITION); /* it would outlive the lease */
}

static void nothing_is_renewed_at_the_end_or_without_one(void **state)
{
    struct fixture *fixture = renewal();

    (void)state;
    fixture->exchange.mint_count = 0;
    fixture->renewal.lease.opened_s = NOW - HOUR + 1;
    assert_int_equal(check(fixture), ERROR_NONE);
    fixture->renewal.lease.opened_s = NOW - HOUR;
    assert_int_equal(check(fixture), ERROR_CONDITION);
    fixture = renewal();
    fixture->exchange.decision.obligations.lease.max_s = 0;
    assert_int_equal(check(fixture), ERROR_CONDITION);
}

/* GitLab's tokens end with the job's own time limit. */
static void no_renewal_goes_past_the_jobs_own_end(void **state)
{
    struct fixture *fixture = renewal();

    (void)state;
    fixture->issuer.profile = profile_find(STR("gitlab"));
    fixture->exchange.token.issued_s = OPENED;
    fixture->exchange.token.expires_s = NOW + 600;
    assert_int_equal(check(fixture), ERROR_NONE);
    fixture->exchange.token.expires_s = NOW + 599;
    assert_int_equal(check(fixture), ERROR_CONDITION);
    fixture->exchange.mint_count = 0;
    fixture->exchange.token.expires_s = NOW; /* and not by the leeway of those that begin late */
    assert_int_equal(check(fixture), ERROR_CONDITION);
}

static void a_lease_ends_no_earlier_for_being_renewed(void **state)
{
    struct fixture *fixture = renewal();

    (void)state;
    fixture->exchange.expires_s = NOW + 60;
    assert_int_equal(life_expires_s(&fixture->exchange), NOW + 100);
    fixture->exchange.expires_s = NOW + 300;
    assert_int_equal(life_expires_s(&fixture->exchange), NOW + 300);
}

static void another_policy_must_let_it_live_as_long(void **state)
{
    struct fixture *fixture = renewal();
    struct policy_decision decision = { .obligations.lease.max_s = HOUR };

    (void)state;
    fixture->exchange.expires_s = OPENED + HOUR;
    assert_true(life_allows_renewal(&fixture->exchange, &decision));
    decision.obligations.lease.max_s = HOUR - 1;
    assert_false(life_allows_renewal(&fixture->exchange, &decision));
    decision.obligations.lease.max_s = 0;
    assert_false(life_allows_renewal(&fixture->exchange, &decision));
    fixture->exchange.request.renewal = NULL; /* it is opened: what was minted is compared */
    assert_true(life_allows_renewal(&fixture->exchange, &decision));
}

static void only_what_ends_before_the_lease_has_to_may_be_renewed(void **state)
{
    struct fixture *fixture = renewal();

    (void)state;
    assert_false(life_may_renew(&fixture->exchange)); /* 600 of 600 s */
    fixture->mints[1].ttl_s = 599;
    assert_true(life_may_renew(&fixture->exchange));
    fixture->exchange.decision.obligations.lease.max_s = 0;
    assert_false(life_may_renew(&fixture->exchange));
    fixture->exchange.request.renewal = NULL;
    fixture->exchange.mint_count = 0;
    fixture->exchange.decision.obligations.lease.max_s = 900; /* what a bare lease lives */
    assert_false(life_may_renew(&fixture->exchange));
    fixture->exchange.decision.obligations.lease.max_s = 901;
    assert_true(life_may_renew(&fixture->exchange));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_can_be_ended_is_renewed),
        cmocka_unit_test(a_renewal_fits_in_to_the_second),
        cmocka_unit_test(what_is_longer_is_shortened_as_far_as_its_kind_goes),
        cmocka_unit_test(nothing_is_renewed_at_the_end_or_without_one),
        cmocka_unit_test(no_renewal_goes_past_the_jobs_own_end),
        cmocka_unit_test(a_lease_ends_no_earlier_for_being_renewed),
        cmocka_unit_test(another_policy_must_let_it_live_as_long),
        cmocka_unit_test(only_what_ends_before_the_lease_has_to_may_be_renewed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
