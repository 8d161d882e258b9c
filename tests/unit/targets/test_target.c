#include <string.h>

#include "base/error.h"
#include "targets/target.h"
#include "tests/test.h"

static void every_kind_is_found_by_its_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < target_kind_count; i++)
        assert_ptr_equal(target_kind_find(str_from(target_kinds[i]->grant.name)), target_kinds[i]);
}

static void an_unknown_name_is_no_kind(void **state)
{
    (void)state;
    assert_null(target_kind_find(STR("")));
    assert_null(target_kind_find(STR("AWS")));
    assert_null(target_kind_find(STR("awsx")));
}

static void grant_rows_stand_in_the_order_of_the_kinds(void **state)
{
    const struct policy_grant_kind other = { .name = "aws" };

    (void)state;
    for (size_t i = 0; i < target_kind_count; i++) {
        assert_ptr_equal(target_grant_kinds()[i], &target_kinds[i]->grant);
        assert_ptr_equal(target_kind_of(&target_kinds[i]->grant), target_kinds[i]);
    }
    assert_null(target_kind_of(&other));
}

static bool lists(const char *const *names, const char *name)
{
    for (size_t i = 0; names && names[i]; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static void every_kind_is_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < target_kind_count; i++) {
        const struct target_kind *kind = target_kinds[i];

        assert_non_null(kind->mint);
        assert_true(kind->grant.revocation != POLICY_REVOKED_NOW ||
                    kind->revoke != NULL); /* it says no more than it can */
        assert_true(kind->sweep == NULL || kind->revoke != NULL);
        assert_non_null(kind->grant.gives);
        assert_non_null(kind->grant.check);
        assert_non_null(kind->grant.fields);
        assert_true(kind->grant.ttl_min_s >= 1 && kind->grant.ttl_max_s >= kind->grant.ttl_min_s);
        assert_true(kind->grant.has_target == (kind->configure != NULL));
        assert_true(kind->grant.has_target == (kind->settings != NULL));
    }
}

/* The ledger's fold relies on it. */
static void what_is_ended_by_a_list_or_a_name_is_gone_by_expiry(void **state)
{
    (void)state;
    assert_true(
        target_kind_find(STR("aws"))->is_gone_by_expiry); /* by name, if its target says so */
    for (size_t i = 0; i < target_kind_count; i++) {
        const struct target_kind *kind = target_kinds[i];

        assert_true((kind->grant.revocation != POLICY_REVOKED_BY_LIST &&
                     kind->grant.revocation != POLICY_REVOKED_BY_NAME) ||
                    kind->is_gone_by_expiry);
    }
}

static void no_hole_may_stand_in_a_target_or_an_audience(void **state)
{
    (void)state;
    for (size_t i = 0; i < target_kind_count; i++) {
        const char *const *holes = target_kinds[i]->grant.fields_with_holes;

        assert_false(lists(holes, "target") || lists(holes, "audience") || lists(holes, "scope"));
        for (size_t k = 0; holes && holes[k]; k++)
            assert_true(lists(target_kinds[i]->grant.fields, holes[k]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_is_found_by_its_name),
        cmocka_unit_test(an_unknown_name_is_no_kind),
        cmocka_unit_test(grant_rows_stand_in_the_order_of_the_kinds),
        cmocka_unit_test(every_kind_is_whole),
        cmocka_unit_test(what_is_ended_by_a_list_or_a_name_is_gone_by_expiry),
        cmocka_unit_test(no_hole_may_stand_in_a_target_or_an_audience),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
