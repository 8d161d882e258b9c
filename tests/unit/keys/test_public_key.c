#include <string.h>

#include <openssl/ec.h>

#include "base/error.h"
#include "keys/public_key.h"
#include "tests/test.h"

/* RFC 8037 A.2 */
static const uint8_t good_point[32] = {
    0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a,
    0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
};

static struct str bytes_of(const uint8_t *bytes, size_t len)
{
    return (struct str){ (const char *)bytes, len };
}

static enum error_code try_ed25519(const uint8_t *point, size_t len)
{
    OWNED(public_key_free) EVP_PKEY *pkey = NULL;
    struct error error = { 0 };
    bool is_taken = public_key_ed25519(bytes_of(point, len), &pkey, &error);

    assert_int_equal(is_taken, error.code == ERROR_NONE);
    assert_int_equal(is_taken, pkey != NULL);
    return error.code;
}

static void an_ed25519_point_is_taken_with_either_sign(void **state)
{
    uint8_t point[32];

    (void)state;
    memcpy(point, good_point, sizeof(point));
    assert_int_equal(try_ed25519(point, sizeof(point)), ERROR_NONE);
    point[31] ^= 0x80;
    assert_int_equal(try_ed25519(point, sizeof(point)), ERROR_NONE);
}

static void an_ed25519_key_of_another_length_is_refused(void **state)
{
    uint8_t point[33] = { 0 };

    (void)state;
    memcpy(point, good_point, sizeof(good_point));
    assert_int_equal(try_ed25519(point, 31), ERROR_INVALID);
    assert_int_equal(try_ed25519(point, 33), ERROR_INVALID);
    assert_int_equal(try_ed25519(point, 0), ERROR_INVALID);
}

static void about_half_of_all_y_are_off_the_curve_and_refused(void **state)
{
    uint8_t point[32];
    int refused = 0;

    (void)state;
    memcpy(point, good_point, sizeof(point));
    for (unsigned i = 0; i < 256; i++) {
        point[0] = (uint8_t)i;
        refused += try_ed25519(point, sizeof(point)) == ERROR_INVALID;
    }
    assert_in_range(refused, 90, 166);
}

static void ed25519_points_of_low_order_are_refused_in_every_spelling(void **state)
{
    /* y and the same y plus p, where that fits, without the sign bit */
    static const char *const points[] = {
        "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
        "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
        "\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
        "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
        "\xec\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
        "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        "\xed\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
        "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        "\xee\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
        "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        "\x26\xe8\x95\x8f\xc2\xb2\x27\xb0\x45\xc3\xf4\x89\xf2\xef\x98\xf0"
        "\xd5\xdf\xac\x05\xd3\xc6\x33\x39\xb1\x38\x02\x88\x6d\x53\xfc\x05",
        "\xc7\x17\x6a\x70\x3d\x4d\xd8\x4f\xba\x3c\x0b\x76\x0d\x10\x67\x0f"
        "\x2a\x20\x53\xfa\x2c\x39\xcc\xc6\x4e\xc7\xfd\x77\x92\xac\x03\x7a",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(points); i++) {
        uint8_t point[32];

        memcpy(point, points[i], sizeof(point));
        assert_int_equal(try_ed25519(point, sizeof(point)), ERROR_INVALID);
        point[31] |= 0x80;
        assert_int_equal(try_ed25519(point, sizeof(point)), ERROR_INVALID);
    }
}

static void an_ed25519_y_of_p_or_more_is_refused(void **state)
{
    uint8_t point[32];

    (void)state;
    memset(point, 0xff, sizeof(point));
    for (unsigned low = 0xed; low < 0x100; low++) {
        point[0] = (uint8_t)low;
        point[31] = 0x7f;
        assert_int_equal(try_ed25519(point, sizeof(point)), ERROR_INVALID);
        point[31] = 0xff;
        assert_int_equal(try_ed25519(point, sizeof(point)), ERROR_INVALID);
    }
}

static enum error_code try_ec(enum ecdsa_curve curve, const uint8_t *point, size_t len)
{
    OWNED(public_key_free) EVP_PKEY *pkey = NULL;
    struct error error = { 0 };
    bool is_taken = public_key_ec(curve, bytes_of(point, len), &pkey, &error);

    assert_int_equal(is_taken, error.code == ERROR_NONE);
    return error.code;
}

static void a_point_belongs_to_one_curve(void **state)
{
    static const struct {
        enum ecdsa_curve curve;
        const char *name;
        size_t len;
    } curves[] = {
        { ECDSA_P256, "P-256", 65 },
        { ECDSA_P384, "P-384", 97 },
        { ECDSA_P521, "P-521", 133 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(curves); i++) {
        OWNED(public_key_free) EVP_PKEY *made = EVP_EC_gen(curves[i].name);
        uint8_t point[PUBLIC_KEY_POINT_MAX + 1] = { 0 };
        size_t len = 0;

        assert_int_equal(EVP_PKEY_get_octet_string_param(made, "pub", point, sizeof(point), &len),
                         1);
        assert_int_equal(len, curves[i].len);
        for (size_t j = 0; j < COUNT(curves); j++)
            assert_int_equal(try_ec(curves[j].curve, point, len),
                             i == j ? ERROR_NONE : ERROR_INVALID);
        assert_int_equal(try_ec(curves[i].curve, point, len - 1), ERROR_INVALID);
        assert_int_equal(try_ec(curves[i].curve, point, len + 1), ERROR_INVALID);
        point[len - 1] ^= 1;
        assert_int_equal(try_ec(curves[i].curve, point, len), ERROR_INVALID);
    }
}

static enum error_code try_p256(const uint8_t *point, size_t len)
{
    return try_ec(ECDSA_P256, point, len);
}

static void a_p256_point_is_taken_only_on_the_curve_and_uncompressed(void **state)
{
    /* the base point, SEC 2 2.4.2 */
    uint8_t point[66] = {
        0x04, 0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5,
        0x63, 0xa4, 0x40, 0xf2, 0x77, 0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4,
        0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96, 0x4f, 0xe3, 0x42, 0xe2, 0xfe, 0x1a,
        0x7f, 0x9b, 0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16, 0x2b, 0xce, 0x33,
        0x57, 0x6b, 0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5,
    };
    const uint8_t zero[65] = { 0x04 };

    (void)state;
    assert_int_equal(try_p256(point, 65), ERROR_NONE);
    assert_int_equal(try_p256(point, 64), ERROR_INVALID);
    assert_int_equal(try_p256(point, 66), ERROR_INVALID);
    assert_int_equal(try_p256(point, 0), ERROR_INVALID);
    assert_int_equal(try_p256(zero, sizeof(zero)), ERROR_INVALID);
    point[64] ^= 1;
    assert_int_equal(try_p256(point, 65), ERROR_INVALID);
    point[64] ^= 1;
    point[0] = 0x06; /* the hybrid form */
    assert_int_equal(try_p256(point, 65), ERROR_INVALID);
    point[0] = 0x03;
    assert_int_equal(try_p256(point, 33), ERROR_INVALID);
}

/* A number of exactly `bits` bits, odd, behind `zeros` leading zero octets. */
static struct str number_of(size_t bits, size_t zeros, uint8_t *out)
{
    size_t len = (bits + 7) / 8;

    memset(out, 0, zeros);
    memset(out + zeros, 0x5b, len);
    out[zeros] = (uint8_t)(1U << ((bits - 1) % 8));
    return bytes_of(out, zeros + len);
}

static enum error_code try_rsa(struct str n, struct str e)
{
    OWNED(public_key_free) EVP_PKEY *pkey = NULL;
    struct error error = { 0 };
    bool is_taken = public_key_rsa(n, e, &pkey, &error);

    assert_int_equal(is_taken, error.code == ERROR_NONE);
    return error.code;
}

static void an_rsa_modulus_has_2048_to_8192_bits(void **state)
{
    static const struct {
        size_t bits;
        size_t zeros;
        enum error_code expected;
    } cases[] = {
        { 1024, 0, ERROR_INVALID }, { 2047, 0, ERROR_INVALID }, { 2048, 0, ERROR_NONE },
        { 2048, 1, ERROR_NONE },    { 2047, 1, ERROR_INVALID }, { 2049, 0, ERROR_NONE },
        { 8192, 0, ERROR_NONE },    { 8192, 2, ERROR_NONE },    { 8193, 0, ERROR_INVALID },
    };
    uint8_t bytes[1040];

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct str n = number_of(cases[i].bits, cases[i].zeros, bytes);

        assert_int_equal(try_rsa(n, STR("\x01\x00\x01")), cases[i].expected);
    }
    assert_int_equal(try_rsa((struct str){ 0 }, STR("\x01\x00\x01")), ERROR_INVALID);
}

static void an_even_rsa_modulus_is_refused(void **state)
{
    uint8_t bytes[256];
    struct str n = number_of(2048, 0, bytes);

    (void)state;
    bytes[255] ^= 1;
    assert_int_equal(try_rsa(n, STR("\x01\x00\x01")), ERROR_INVALID);
}

static void an_rsa_exponent_is_odd_and_in_range(void **state)
{
    static const struct {
        const char *name;
        struct str e;
        enum error_code expected;
    } cases[] = {
#define E(name, bytes, expected) { name, { bytes, sizeof(bytes) - 1 }, expected }
        E("nothing", "", ERROR_INVALID),
        E("zero", "\x00", ERROR_INVALID),
        E("1", "\x01", ERROR_INVALID),
        E("3", "\x03", ERROR_INVALID),
        E("65535", "\xff\xff", ERROR_INVALID),
        E("65537", "\x01\x00\x01", ERROR_NONE),
        E("65537 behind a zero", "\x00\x01\x00\x01", ERROR_NONE),
        E("65538", "\x01\x00\x02", ERROR_INVALID),
        E("2^32 - 1", "\xff\xff\xff\xff", ERROR_NONE),
        E("2^32 + 1", "\x01\x00\x00\x00\x01", ERROR_INVALID),
#undef E
    };
    uint8_t bytes[256];
    struct str n = number_of(2048, 0, bytes);

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (try_rsa(n, cases[i].e) != cases[i].expected)
            fail_msg("%s", cases[i].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ed25519_point_is_taken_with_either_sign),
        cmocka_unit_test(an_ed25519_key_of_another_length_is_refused),
        cmocka_unit_test(about_half_of_all_y_are_off_the_curve_and_refused),
        cmocka_unit_test(ed25519_points_of_low_order_are_refused_in_every_spelling),
        cmocka_unit_test(an_ed25519_y_of_p_or_more_is_refused),
        cmocka_unit_test(a_point_belongs_to_one_curve),
        cmocka_unit_test(a_p256_point_is_taken_only_on_the_curve_and_uncompressed),
        cmocka_unit_test(an_rsa_modulus_has_2048_to_8192_bits),
        cmocka_unit_test(an_even_rsa_modulus_is_refused),
        cmocka_unit_test(an_rsa_exponent_is_odd_and_in_range),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
