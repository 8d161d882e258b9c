#include <string.h>

#include "base/error.h"
#include "base/id.h"
#include "tests/assert_str.h"
#include "tests/test.h"

static void make(int64_t wall_ms, char out[ID_LEN + 1])
{
    struct error error = { 0 };

    assert_true(id_new(wall_ms, out, &error));
    assert_int_equal(strlen(out), ID_LEN);
    assert_true(id_is_valid(str_from(out)));
}

static void an_id_starts_with_its_time(void **state)
{
    char id[ID_LEN + 1];

    (void)state;
    make(0, id);
    assert_str(str_slice(str_from(id), 0, 10), "0000000000");
    make(INT64_C(1469918176385), id); /* the example of the ULID specification */
    assert_str(str_slice(str_from(id), 0, 10), "01ARYZ6S41");
    make(INT64_C(0xffffffffffff), id);
    assert_str(str_slice(str_from(id), 0, 10), "7ZZZZZZZZZ");
}

static void ids_of_one_millisecond_differ_and_of_two_are_in_order(void **state)
{
    char ids[100][ID_LEN + 1];
    char later[ID_LEN + 1];

    (void)state;
    make(1001, later);
    for (size_t i = 0; i < COUNT(ids); i++) {
        make(1000, ids[i]);
        assert_true(strcmp(ids[i], later) < 0);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(ids[i], ids[j]);
    }
}

static void every_byte_of_an_id_counts(void **state)
{
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    char id[] = "01ARYZ6S41TSV4RRFFQ69G5FAV";

    (void)state;
    for (size_t i = 0; i < ID_LEN; i++) {
        char before = id[i];

        for (int byte = 0; byte < 256; byte++) {
            bool is_digit = byte != 0 && strchr(digits, byte) != NULL;

            id[i] = (char)byte;
            assert_int_equal(id_is_valid((struct str){ id, ID_LEN }),
                             is_digit && (i > 0 || byte <= '7'));
        }
        id[i] = before;
    }
}

static void what_is_no_ulid_is_refused(void **state)
{
    static const char *const cases[] = {
        "",
        "01ARYZ6S41TSV4RRFFQ69G5FA",   /* one short */
        "01ARYZ6S41TSV4RRFFQ69G5FAVV", /* one long */
        "81ARYZ6S41TSV4RRFFQ69G5FAV",  /* more than 128 bits */
        "01aryz6s41tsv4rrffq69g5fav",  /* lower case */
        "01ARYZ6S41TSV4RRFFQ69G5FAI",  /* not of the alphabet */
        "01ARYZ6S41TSV4RRFFQ69G5FAL",
        "01ARYZ6S41TSV4RRFFQ69G5FAO",
        "01ARYZ6S41TSV4RRFFQ69G5FAU",
        "01ARYZ6S41TSV4RRFFQ69G5F/.",
    };

    (void)state;
    assert_true(id_is_valid(STR("01ARYZ6S41TSV4RRFFQ69G5FAV")));
    assert_true(id_is_valid(STR("7ZZZZZZZZZZZZZZZZZZZZZZZZZ")));
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_false(id_is_valid(str_from(cases[i])));
    assert_false(id_is_valid(STR("01ARYZ6S41TSV4RRFFQ69G5FA\0")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_starts_with_its_time),
        cmocka_unit_test(ids_of_one_millisecond_differ_and_of_two_are_in_order),
        cmocka_unit_test(every_byte_of_an_id_counts),
        cmocka_unit_test(what_is_no_ulid_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
