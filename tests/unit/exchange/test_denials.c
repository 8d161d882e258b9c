#include <stdio.h>

#include "base/json.h"
#include "exchange/denials.h"
#include "tests/test.h"

static bool admit(struct denials *denials, const char *key, int64_t now_s)
{
    JSON_OWNED json_t *entry = json_object();

    return denials_admit(denials, str_from(key), entry, now_s);
}

static void ten_a_minute_are_entries_of_their_own(void **state)
{
    struct denials *denials = denials_new();

    (void)state;
    for (int i = 0; i < DENIALS_SINGLE_MAX; i++)
        assert_true(admit(denials, "a", 600));
    assert_false(admit(denials, "a", 659));
    assert_false(admit(denials, "a", 659));
    denials_free(denials);
}

static void identities_do_not_count_for_each_other(void **state)
{
    struct denials *denials = denials_new();

    (void)state;
    for (int i = 0; i <= DENIALS_SINGLE_MAX; i++)
        (void)admit(denials, "a", 600);
    assert_true(admit(denials, "b", 600));
    denials_free(denials);
}

static void the_next_minute_starts_anew(void **state)
{
    struct denials *denials = denials_new();

    (void)state;
    for (int i = 0; i < DENIALS_SINGLE_MAX; i++)
        assert_true(admit(denials, "a", 659));
    assert_true(admit(denials, "a", 660));
    denials_free(denials);
}

static void strangers_past_the_table_are_only_counted(void **state)
{
    struct denials *denials = denials_new();
    size_t single = 0;

    (void)state;
    for (int i = 0; i < 4 * DENIALS_TRACKED_MAX; i++) {
        char key[32];

        (void)snprintf(key, sizeof(key), "%d", i);
        single += admit(denials, key, 600);
    }
    assert_in_range(single, DENIALS_TRACKED_MAX / 2, DENIALS_TRACKED_MAX);
    denials_free(denials);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_a_minute_are_entries_of_their_own),
        cmocka_unit_test(identities_do_not_count_for_each_other),
        cmocka_unit_test(the_next_minute_starts_anew),
        cmocka_unit_test(strangers_past_the_table_are_only_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
