#include <stdio.h>

#include "base/json.h"
#include "exchange/tally.h"
#include "tests/test.h"

static bool admit(struct tally *tally, const char *key, int64_t now_s)
{
    JSON_OWNED json_t *entry = json_object();

    return tally_admit(tally, str_from(key), entry, now_s);
}

static void ten_a_minute_are_entries_of_their_own(void **state)
{
    struct tally *tally = tally_new(DENIALS_SINGLE_MAX);

    (void)state;
    for (int i = 0; i < DENIALS_SINGLE_MAX; i++)
        assert_true(admit(tally, "a", 600));
    assert_false(admit(tally, "a", 659));
    assert_false(admit(tally, "a", 659));
    tally_free(tally);
}

static void identities_do_not_count_for_each_other(void **state)
{
    struct tally *tally = tally_new(DENIALS_SINGLE_MAX);

    (void)state;
    for (int i = 0; i <= DENIALS_SINGLE_MAX; i++)
        (void)admit(tally, "a", 600);
    assert_true(admit(tally, "b", 600));
    tally_free(tally);
}

static void the_next_minute_starts_anew(void **state)
{
    struct tally *tally = tally_new(DENIALS_SINGLE_MAX);

    (void)state;
    for (int i = 0; i < DENIALS_SINGLE_MAX; i++)
        assert_true(admit(tally, "a", 659));
    assert_true(admit(tally, "a", 660));
    tally_free(tally);
}

static void strangers_past_the_table_are_only_counted(void **state)
{
    struct tally *tally = tally_new(DENIALS_SINGLE_MAX);
    size_t single = 0;

    (void)state;
    for (int i = 0; i < 4 * TALLY_TRACKED_MAX; i++) {
        char key[32];

        (void)snprintf(key, sizeof(key), "%d", i);
        single += admit(tally, key, 600);
    }
    assert_in_range(single, TALLY_TRACKED_MAX / 2, TALLY_TRACKED_MAX);
    tally_free(tally);
}

static void what_has_no_singles_is_only_counted(void **state)
{
    struct tally *tally = tally_new(0);

    (void)state;
    assert_false(tally_count(tally, STR("a"), 600)); /* it has no form yet */
    assert_false(admit(tally, "a", 600));
    assert_true(tally_count(tally, STR("a"), 659));
    assert_false(tally_count(tally, STR("b"), 659));
    assert_false(tally_count(tally, STR("a"), 660)); /* nor has the next minute */
    tally_free(tally);
}

static void past_the_table_one_form_stands_for_all(void **state)
{
    struct tally *tally = tally_new(0);
    size_t known = 0;

    (void)state;
    for (int i = 0; i < 4 * TALLY_TRACKED_MAX; i++) {
        char key[32];

        (void)snprintf(key, sizeof(key), "%d", i);
        if (tally_count(tally, str_from(key), 600))
            known++;
        else
            assert_false(admit(tally, key, 600));
    }
    assert_in_range(known, 3 * TALLY_TRACKED_MAX - 1, 4 * TALLY_TRACKED_MAX);
    tally_free(tally);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_a_minute_are_entries_of_their_own),
        cmocka_unit_test(identities_do_not_count_for_each_other),
        cmocka_unit_test(the_next_minute_starts_anew),
        cmocka_unit_test(strangers_past_the_table_are_only_counted),
        cmocka_unit_test(what_has_no_singles_is_only_counted),
        cmocka_unit_test(past_the_table_one_form_stands_for_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
