#include "ledger/proposals.h"
#include "tests/test.h"

static void one_of_one_entry_is_used_again_as_if_new(void **state)
{
    struct proposals proposals;
    struct store_proposal *first = NULL;
    struct store_proposal *again = NULL;

    (void)state;
    assert_true(proposals_init(&proposals));
    first = proposals_take(&proposals, 1);
    assert_non_null(first);
    first->guard_count = 3;
    first->entries[0].change_count = 2;
    first->entries[0].private_part = STR("a person");
    proposals_give(&proposals, first);
    again = proposals_take(&proposals, 1);
    assert_ptr_equal(again, first);
    assert_int_equal(again->entry_count, 1);
    assert_int_equal(again->guard_count, 0);
    assert_int_equal(again->entries[0].change_count, 0);
    assert_null(again->entries[0].private_part.data);
    proposals_give(&proposals, again);
    proposals_give(&proposals, NULL);
    proposals_release(&proposals);
}

static void those_of_more_entries_are_not_kept(void **state)
{
    struct proposals proposals;
    struct store_proposal *proposal = NULL;

    (void)state;
    assert_true(proposals_init(&proposals));
    proposal = proposals_take(&proposals, STORE_PROPOSAL_ENTRIES_MAX);
    assert_non_null(proposal);
    assert_int_equal(proposal->entry_count, STORE_PROPOSAL_ENTRIES_MAX);
    proposal->entries[STORE_PROPOSAL_ENTRIES_MAX - 1].len = 1; /* it has room for all of them */
    proposals_give(&proposals, proposal);
    assert_int_equal(proposals.count, 0);
    proposals_release(&proposals);
}

static void so_many_are_kept_and_no_more(void **state)
{
    static struct store_proposal *all[PROPOSALS_KEPT + 1];
    struct proposals proposals;

    (void)state;
    assert_true(proposals_init(&proposals));
    for (size_t i = 0; i < COUNT(all); i++) {
        all[i] = proposals_take(&proposals, 1);
        assert_non_null(all[i]);
    }
    for (size_t i = 0; i < COUNT(all); i++)
        proposals_give(&proposals, all[i]);
    assert_int_equal(proposals.count, PROPOSALS_KEPT);
    proposals_release(&proposals);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_of_one_entry_is_used_again_as_if_new),
        cmocka_unit_test(those_of_more_entries_are_not_kept),
        cmocka_unit_test(so_many_are_kept_and_no_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
