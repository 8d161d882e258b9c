#include <string.h>

#include "base/error.h"
#include "identity/dpop_nonce.h"
#include "tests/test.h"

#define NOW INT64_C(1790000040) /* a minute's first second */

static struct dpop_nonces *nonces_of(const char *broker)
{
    struct dpop_nonces *nonces = NULL;
    struct error error = { 0 };

    assert_true(dpop_nonces_new(str_from(broker), &nonces, &error));
    return nonces;
}

static void a_nonce_is_printable_and_short(void **state)
{
    OWNED(dpop_nonces_free) struct dpop_nonces *nonces = nonces_of("a");
    char nonce[DPOP_NONCE_LEN + 1];

    (void)state;
    dpop_nonce_make(nonces, NOW, nonce);
    assert_int_equal(strlen(nonce), DPOP_NONCE_LEN);
    assert_true(str_is_made_of(str_from(nonce), "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                                "abcdefghijklmnopqrstuvwxyz0123456789-_"));
}

static void a_nonce_is_fresh_in_its_minute_and_the_next(void **state)
{
    OWNED(dpop_nonces_free) struct dpop_nonces *nonces = nonces_of("a");
    static const struct {
        int64_t made_s;
        int64_t shown_s;
        bool is_fresh;
    } rows[] = {
        { NOW, NOW, true },
        { NOW, NOW + 59, true },
        { NOW, NOW + 60, true },
        { NOW, NOW + 119, true },
        { NOW, NOW + 120, false },
        { NOW + 59, NOW + 119, true },
        { NOW + 59, NOW + 120, false },
        { NOW, NOW - 1, false },
        { NOW, NOW + 86400, false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        char nonce[DPOP_NONCE_LEN + 1];

        dpop_nonce_make(nonces, rows[i].made_s, nonce);
        if (dpop_nonce_is_fresh(nonces, str_from(nonce), rows[i].shown_s) != rows[i].is_fresh)
            fail_msg("row %zu", i);
    }
}

static void another_brokers_nonce_is_refused(void **state)
{
    OWNED(dpop_nonces_free) struct dpop_nonces *ours = nonces_of("a");
    OWNED(dpop_nonces_free) struct dpop_nonces *same_name = nonces_of("a");
    OWNED(dpop_nonces_free) struct dpop_nonces *other = nonces_of("b");
    char nonce[DPOP_NONCE_LEN + 1];

    (void)state;
    dpop_nonce_make(other, NOW, nonce);
    assert_false(dpop_nonce_is_fresh(ours, str_from(nonce), NOW));
    dpop_nonce_make(same_name, NOW, nonce);
    assert_false(dpop_nonce_is_fresh(ours, str_from(nonce), NOW));
}

static void what_is_no_nonce_is_refused(void **state)
{
    OWNED(dpop_nonces_free) struct dpop_nonces *nonces = nonces_of("a");
    char nonce[DPOP_NONCE_LEN + 2] = { 0 };

    (void)state;
    assert_false(dpop_nonce_is_fresh(nonces, STR(""), NOW));
    dpop_nonce_make(nonces, NOW, nonce);
    assert_false(dpop_nonce_is_fresh(nonces, (struct str){ nonce, DPOP_NONCE_LEN - 1 }, NOW));
    nonce[DPOP_NONCE_LEN] = 'A';
    assert_false(dpop_nonce_is_fresh(nonces, (struct str){ nonce, DPOP_NONCE_LEN + 1 }, NOW));
    for (size_t i = 0; i < DPOP_NONCE_LEN; i++) {
        nonce[i] ^= 1;
        assert_false(dpop_nonce_is_fresh(nonces, (struct str){ nonce, DPOP_NONCE_LEN }, NOW));
        nonce[i] ^= 1;
    }
}

static void a_brokers_name_has_255_bytes_and_not_one_more(void **state)
{
    static char name[257];
    struct dpop_nonces *nonces = NULL;
    struct error error = { 0 };

    (void)state;
    memset(name, 'a', 256);
    assert_false(dpop_nonces_new((struct str){ name, 256 }, &nonces, &error));
    assert_int_equal(error.code, ERROR_LIMIT);
    dpop_nonces_free(nonces_of(name + 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_nonce_is_printable_and_short),
        cmocka_unit_test(a_nonce_is_fresh_in_its_minute_and_the_next),
        cmocka_unit_test(another_brokers_nonce_is_refused),
        cmocka_unit_test(what_is_no_nonce_is_refused),
        cmocka_unit_test(a_brokers_name_has_255_bytes_and_not_one_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
