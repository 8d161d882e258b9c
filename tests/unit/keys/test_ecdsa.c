#include <string.h>

#include "keys/ecdsa.h"
#include "tests/test.h"

static const uint8_t order[32] = {
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
};

static void both_ways_give_the_same(const uint8_t raw[ECDSA_RAW_LEN])
{
    uint8_t der[ECDSA_DER_MAX];
    uint8_t back[ECDSA_RAW_LEN];
    size_t len;

    assert_true(ecdsa_raw_to_der(raw, der, &len));
    assert_true(len <= sizeof(der));
    assert_true(ecdsa_der_to_raw((struct str){ (const char *)der, len }, back));
    assert_memory_equal(raw, back, sizeof(back));
}

static void the_smallest_and_the_largest_scalars_go_both_ways(void **state)
{
    uint8_t raw[ECDSA_RAW_LEN] = { 0 };

    (void)state;
    raw[31] = raw[63] = 1;
    both_ways_give_the_same(raw);
    memcpy(raw, order, 32);
    memcpy(raw + 32, order, 32);
    raw[31]--;
    raw[63]--;
    both_ways_give_the_same(raw);
}

static void every_length_and_every_leading_octet_goes_both_ways(void **state)
{
    (void)state;
    for (size_t zeros = 0; zeros < 32; zeros++) {
        for (unsigned lead = 1; lead < 256; lead++) {
            uint8_t raw[ECDSA_RAW_LEN] = { [31] = 7, [63] = 9 };

            raw[zeros] = (uint8_t)lead;
            raw[32 + zeros] = (uint8_t)(256 - lead);
            both_ways_give_the_same(raw);
        }
    }
}

static void scalars_out_of_range_are_refused(void **state)
{
    uint8_t one[32] = { [31] = 1 };
    uint8_t zero[32] = { 0 };
    uint8_t ones[32];
    const uint8_t *bad[] = { zero, order, ones };

    (void)state;
    memset(ones, 0xff, sizeof(ones));
    for (size_t i = 0; i < COUNT(bad); i++) {
        uint8_t raw[ECDSA_RAW_LEN];
        uint8_t der[ECDSA_DER_MAX];
        size_t len;

        memcpy(raw, bad[i], 32);
        memcpy(raw + 32, one, 32);
        assert_false(ecdsa_raw_to_der(raw, der, &len));
        memcpy(raw, one, 32);
        memcpy(raw + 32, bad[i], 32);
        assert_false(ecdsa_raw_to_der(raw, der, &len));
    }
}

static void der_that_is_not_strict_is_refused(void **state)
{
    static const struct {
        const char *name;
        struct str der;
    } cases[] = {
#define DER(name, bytes)                                                                           \
    {                                                                                              \
        name,                                                                                      \
        {                                                                                          \
            bytes, sizeof(bytes) - 1                                                               \
        }                                                                                          \
    }
        DER("empty", ""),
        DER("no sequence", "\x31\x06\x02\x01\x01\x02\x01\x01"),
        DER("only a tag", "\x30"),
        DER("length beyond the end", "\x30\x07\x02\x01\x01\x02\x01\x01"),
        DER("bytes behind", "\x30\x06\x02\x01\x01\x02\x01\x01\x00"),
        DER("a third number", "\x30\x09\x02\x01\x01\x02\x01\x01\x02\x01\x01"),
        DER("one number", "\x30\x03\x02\x01\x01"),
        DER("long form length", "\x30\x81\x06\x02\x01\x01\x02\x01\x01"),
        DER("negative", "\x30\x06\x02\x01\x81\x02\x01\x01"),
        DER("zero", "\x30\x06\x02\x01\x00\x02\x01\x01"),
        DER("needless zero octet", "\x30\x07\x02\x02\x00\x01\x02\x01\x01"),
        DER("empty number", "\x30\x05\x02\x00\x02\x01\x01"),
        DER("another tag", "\x30\x06\x02\x01\x01\x04\x01\x01"),
        DER("33 digits",
            "\x30\x26\x02\x21\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
            "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x01\x01"),
#undef DER
    };
    uint8_t raw[ECDSA_RAW_LEN];

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (ecdsa_der_to_raw(cases[i].der, raw))
            fail_msg("%s", cases[i].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_smallest_and_the_largest_scalars_go_both_ways),
        cmocka_unit_test(every_length_and_every_leading_octet_goes_both_ways),
        cmocka_unit_test(scalars_out_of_range_are_refused),
        cmocka_unit_test(der_that_is_not_strict_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
