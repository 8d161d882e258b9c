#include <string.h>

#include "keys/ecdsa.h"
#include "tests/test.h"

static const uint8_t order_p256[] = {
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
};
static const uint8_t order_p384[] = {
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xc7, 0x63, 0x4d, 0x81, 0xf4, 0x37, 0x2d, 0xdf,
    0x58, 0x1a, 0x0d, 0xb2, 0x48, 0xb0, 0xa7, 0x7a, 0xec, 0xec, 0x19, 0x6a, 0xcc, 0xc5, 0x29, 0x73,
};
static const uint8_t order_p521[] = {
    0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xfa, 0x51, 0x86, 0x87, 0x83, 0xbf, 0x2f, 0x96, 0x6b,
    0x7f, 0xcc, 0x01, 0x48, 0xf7, 0x09, 0xa5, 0xd0, 0x3b, 0xb5, 0xc9, 0xb8, 0x89, 0x9c,
    0x47, 0xae, 0xbb, 0x6f, 0xb7, 0x1e, 0x91, 0x38, 0x64, 0x09,
};

static const struct {
    enum ecdsa_curve curve;
    const uint8_t *order;
    size_t len;
    uint8_t lead_max; /* of a scalar in range */
} curves[] = {
    { ECDSA_P256, order_p256, sizeof(order_p256), 0xfe },
    { ECDSA_P384, order_p384, sizeof(order_p384), 0xfe },
    { ECDSA_P521, order_p521, sizeof(order_p521), 0x01 },
};

static void both_ways_give_the_same(enum ecdsa_curve curve, const uint8_t *raw)
{
    uint8_t der[ECDSA_DER_MAX];
    uint8_t back[ECDSA_RAW_MAX];
    size_t len;

    assert_true(ecdsa_raw_to_der(curve, raw, der, &len));
    assert_true(len <= sizeof(der));
    assert_true(ecdsa_der_to_raw(curve, (struct str){ (const char *)der, len }, back));
    assert_memory_equal(raw, back, ecdsa_raw_len(curve));
    assert_false(ecdsa_der_to_raw(curve, (struct str){ (const char *)der, len - 1 }, back));
}

static void the_smallest_and_the_largest_scalars_go_both_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(curves); i++) {
        const size_t len = curves[i].len;
        uint8_t raw[ECDSA_RAW_MAX] = { 0 };

        assert_int_equal(ecdsa_raw_len(curves[i].curve), 2 * len);
        raw[len - 1] = raw[2 * len - 1] = 1;
        both_ways_give_the_same(curves[i].curve, raw);
        memcpy(raw, curves[i].order, len);
        memcpy(raw + len, curves[i].order, len);
        raw[len - 1]--;
        raw[2 * len - 1]--;
        both_ways_give_the_same(curves[i].curve, raw);
    }
}

static void every_length_goes_both_ways(size_t index)
{
    const size_t len = curves[index].len;

    for (size_t zeros = 0; zeros < len; zeros++) {
        unsigned lead_max = zeros == 0 ? curves[index].lead_max : 0xff;

        for (unsigned lead = 1; lead <= lead_max; lead++) {
            uint8_t raw[ECDSA_RAW_MAX] = { 0 };

            raw[len - 1] = 7;
            raw[2 * len - 1] = 9;
            raw[zeros] = (uint8_t)lead;
            raw[len + zeros] = (uint8_t)(lead_max + 1 - lead);
            both_ways_give_the_same(curves[index].curve, raw);
        }
    }
}

static void every_length_and_every_leading_octet_goes_both_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(curves); i++)
        every_length_goes_both_ways(i);
}

static void scalars_out_of_range_are_refused(void **state)
{
    uint8_t zero[ECDSA_RAW_MAX / 2] = { 0 };
    uint8_t ones[ECDSA_RAW_MAX / 2];

    (void)state;
    memset(ones, 0xff, sizeof(ones));
    for (size_t i = 0; i < COUNT(curves); i++) {
        const uint8_t *bad[] = { zero, curves[i].order, ones };
        const size_t scalar_len = curves[i].len;

        for (size_t j = 0; j < COUNT(bad); j++) {
            uint8_t raw[ECDSA_RAW_MAX] = { 0 };
            uint8_t der[ECDSA_DER_MAX];
            size_t len;

            raw[2 * scalar_len - 1] = 1;
            memcpy(raw, bad[j], scalar_len);
            assert_false(ecdsa_raw_to_der(curves[i].curve, raw, der, &len));
            memcpy(raw + scalar_len, bad[j], scalar_len);
            memset(raw, 0, scalar_len);
            raw[scalar_len - 1] = 1;
            assert_false(ecdsa_raw_to_der(curves[i].curve, raw, der, &len));
        }
    }
}

/* The longest of P-521 need a length of two octets, which nothing shorter may have. */
static void a_length_has_one_spelling(void **state)
{
    uint8_t raw[ECDSA_RAW_MAX] = { [0] = 1, [ECDSA_RAW_MAX / 2] = 1 };
    uint8_t der[ECDSA_DER_MAX];
    uint8_t back[ECDSA_RAW_MAX];
    size_t len;

    (void)state;
    assert_true(ecdsa_raw_to_der(ECDSA_P521, raw, der, &len));
    assert_int_equal(len, sizeof(der));
    assert_memory_equal(der, "\x30\x81\x88\x02\x42\x01", 6);
    assert_true(ecdsa_der_to_raw(ECDSA_P521, (struct str){ (const char *)der, len }, back));
    der[1] = 0x82;
    assert_false(ecdsa_der_to_raw(ECDSA_P521, (struct str){ (const char *)der, len }, back));
    der[1] = 0x80;
    assert_false(ecdsa_der_to_raw(ECDSA_P521, (struct str){ (const char *)der, len }, back));
    assert_false(ecdsa_der_to_raw(ECDSA_P521, STR("\x30\x81"), back));
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
    uint8_t raw[ECDSA_RAW_MAX];

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (ecdsa_der_to_raw(ECDSA_P256, cases[i].der, raw))
            fail_msg("%s", cases[i].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_smallest_and_the_largest_scalars_go_both_ways),
        cmocka_unit_test(every_length_and_every_leading_octet_goes_both_ways),
        cmocka_unit_test(scalars_out_of_range_are_refused),
        cmocka_unit_test(a_length_has_one_spelling),
        cmocka_unit_test(der_that_is_not_strict_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
