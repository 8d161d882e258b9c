#include "keys/public_key.h"

#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>

#include "base/error.h"

#define ED25519_SIGN_BIT 0x80

/* Little-endian y of the points whose order divides 8, without the sign of x. */
static const uint8_t low_orders[][PUBLIC_KEY_ED25519_LEN] = {
    { 0x00 },
    { 0x01 },
    { 0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
      0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
      0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f },
    { 0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4,
      0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6,
      0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05 },
    { 0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b,
      0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39,
      0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a },
};

static bool is_low_order(const uint8_t y[PUBLIC_KEY_ED25519_LEN])
{
    for (size_t i = 0; i < COUNT(low_orders); i++) {
        if (memcmp(y, low_orders[i], PUBLIC_KEY_ED25519_LEN) == 0)
            return true;
    }
    return false;
}

/*
 * The Legendre symbol of x^2 = (y^2 - 1) / (d y^2 + 1) over p (RFC 8032 5.1): 1 where a point has
 * this y, -1 where none has or y is not below p, -2 when there is no memory. The divisor is never
 * zero, and a quotient is a square where the product is.
 */
static int x_squared_symbol(const uint8_t y_bytes[PUBLIC_KEY_ED25519_LEN], BN_CTX *scratch)
{
    BIGNUM *p = BN_CTX_get(scratch);
    BIGNUM *d = BN_CTX_get(scratch);
    BIGNUM *u = BN_CTX_get(scratch);
    BIGNUM *v = BN_CTX_get(scratch);
    BIGNUM *y = BN_CTX_get(scratch);

    if (y == NULL || BN_lebin2bn(y_bytes, PUBLIC_KEY_ED25519_LEN, y) == NULL ||
        BN_hex2bn(&p, "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed") == 0 ||
        BN_hex2bn(&d, "52036cee2b6ffe738cc740797779e89800700a4d4141d8ab75eb4dca135978a3") == 0)
        return -2;
    if (BN_cmp(y, p) >= 0)
        return -1;
    if (BN_mod_sqr(u, y, p, scratch) != 1 || BN_mod_mul(v, u, d, p, scratch) != 1 ||
        BN_sub_word(u, 1) != 1 || BN_add_word(v, 1) != 1 || BN_mod_mul(u, u, v, p, scratch) != 1)
        return -2;
    return BN_kronecker(u, p, scratch);
}

static bool check_edwards_point(const uint8_t y[PUBLIC_KEY_ED25519_LEN], struct error *error)
{
    BN_CTX *scratch = BN_CTX_new();
    int symbol = -2;

    if (scratch != NULL) {
        BN_CTX_start(scratch);
        symbol = x_squared_symbol(y, scratch);
        BN_CTX_end(scratch);
        BN_CTX_free(scratch);
    }
    if (symbol == -2)
        return error_set_openssl(error, "checking an Ed25519 point");
    if (symbol != 1)
        return error_set(error, ERROR_INVALID, "an Ed25519 key that is not a point of the curve");
    return true;
}

bool public_key_ed25519(struct str point, EVP_PKEY **out, struct error *error)
{
    uint8_t y[PUBLIC_KEY_ED25519_LEN];

    if (point.len != sizeof(y))
        return error_set(error, ERROR_INVALID, "an Ed25519 key of %zu bytes, not 32", point.len);
    memcpy(y, point.data, sizeof(y));
    y[sizeof(y) - 1] &= (uint8_t)~ED25519_SIGN_BIT;
    if (is_low_order(y))
        return error_set(error, ERROR_INVALID, "an Ed25519 key of low order");
    if (!check_edwards_point(y, error))
        return false;
    *out = EVP_PKEY_new_raw_public_key_ex(NULL, "ED25519", NULL, (const uint8_t *)point.data,
                                          point.len);
    return *out != NULL || error_set_openssl(error, "an Ed25519 key");
}

/* Make a key of what the builder holds. ERROR_INVALID where OpenSSL does not take the numbers. */
static bool key_from_builder(const char *type, OSSL_PARAM_BLD *builder, EVP_PKEY **out,
                             struct error *error)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    OSSL_PARAM *parameters = OSSL_PARAM_BLD_to_param(builder);
    EVP_PKEY *pkey = NULL;
    bool is_made = context != NULL && parameters != NULL && EVP_PKEY_fromdata_init(context) == 1;
    bool is_taken =
        is_made && EVP_PKEY_fromdata(context, &pkey, EVP_PKEY_PUBLIC_KEY, parameters) == 1;

    OSSL_PARAM_free(parameters);
    EVP_PKEY_CTX_free(context);
    if (!is_made)
        return error_set_openssl(error, "a public key");
    if (!is_taken) {
        ERR_clear_error();
        return error_set(error, ERROR_INVALID, "numbers that make no %s key", type);
    }
    *out = pkey;
    return true;
}

static const struct {
    const char *name;
    const char *group; /* as OpenSSL calls it */
    size_t point_len;
} curves[] = {
    [ECDSA_P256] = { "P-256", "prime256v1", 65 },
    [ECDSA_P384] = { "P-384", "secp384r1", 97 },
    [ECDSA_P521] = { "P-521", "secp521r1", 133 },
};

bool public_key_ec(enum ecdsa_curve curve, struct str point, EVP_PKEY **out, struct error *error)
{
    OSSL_PARAM_BLD *builder;
    bool is_made;

    if (point.len != curves[curve].point_len || point.data[0] != 0x04)
        return error_set(error, ERROR_INVALID, "a %s key that is not an uncompressed point",
                         curves[curve].name);
    builder = OSSL_PARAM_BLD_new();
    if (builder == NULL)
        return error_set_openssl(error, "an EC key");
    is_made = OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME,
                                              curves[curve].group, 0) == 1 &&
              OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point.data,
                                               point.len) == 1;
    is_made = is_made ? key_from_builder("EC", builder, out, error)
                      : error_set_openssl(error, "an EC key");
    OSSL_PARAM_BLD_free(builder);
    return is_made;
}

static struct str without_leading_zeros(struct str number)
{
    while (number.len > 0 && number.data[0] == 0)
        number = str_slice(number, 1, number.len);
    return number;
}

static size_t count_bits(struct str number)
{
    size_t bits = number.len * 8;

    for (uint8_t mask = 0x80; mask != 0 && number.len > 0; mask >>= 1, bits--) {
        if ((uint8_t)number.data[0] & mask)
            break;
    }
    return bits;
}

static bool is_odd(struct str number)
{
    return number.len > 0 && (number.data[number.len - 1] & 1) != 0;
}

static bool check_rsa_numbers(struct str n, struct str e, struct error *error)
{
    size_t bits = count_bits(n);

    if (bits < PUBLIC_KEY_RSA_MIN_BITS || bits > PUBLIC_KEY_RSA_MAX_BITS)
        return error_set(error, ERROR_INVALID, "an RSA key of %zu bits, not %d to %d", bits,
                         PUBLIC_KEY_RSA_MIN_BITS, PUBLIC_KEY_RSA_MAX_BITS);
    if (!is_odd(n))
        return error_set(error, ERROR_INVALID, "an RSA key with an even modulus");
    if (count_bits(e) < 17 || count_bits(e) > 32 || !is_odd(e))
        return error_set(error, ERROR_INVALID,
                         "an RSA key whose exponent is even or not in 65537 to 2^32 - 1");
    return true;
}

static bool push_rsa_numbers(OSSL_PARAM_BLD *builder, const BIGNUM *n, const BIGNUM *e)
{
    return n != NULL && e != NULL &&
           OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
           OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e) == 1;
}

bool public_key_rsa(struct str n, struct str e, EVP_PKEY **out, struct error *error)
{
    OSSL_PARAM_BLD *builder;
    BIGNUM *modulus;
    BIGNUM *exponent;
    bool is_made;

    n = without_leading_zeros(n);
    e = without_leading_zeros(e);
    if (!check_rsa_numbers(n, e, error))
        return false;
    builder = OSSL_PARAM_BLD_new();
    modulus = BN_bin2bn((const uint8_t *)n.data, (int)n.len, NULL);
    exponent = BN_bin2bn((const uint8_t *)e.data, (int)e.len, NULL);
    is_made = builder != NULL && push_rsa_numbers(builder, modulus, exponent);
    is_made = is_made ? key_from_builder("RSA", builder, out, error)
                      : error_set_openssl(error, "an RSA key");
    BN_free(exponent);
    BN_free(modulus);
    OSSL_PARAM_BLD_free(builder);
    return is_made;
}
