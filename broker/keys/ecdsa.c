#include "keys/ecdsa.h"

#include <string.h>

#define SCALAR_MAX (ECDSA_RAW_MAX / 2)
#define DER_SEQUENCE 0x30
#define DER_INTEGER 0x02
#define DER_LEN_IN_NEXT_OCTET 0x81
#define DER_SHORT_MAX 0x7f

/* n, the order of each curve. Source: SEC 2, 2.4.2, 2.5.1, 2.6.1 */
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
    const uint8_t *order;
    size_t scalar_len;
} curves[] = {
    [ECDSA_P256] = { order_p256, sizeof(order_p256) },
    [ECDSA_P384] = { order_p384, sizeof(order_p384) },
    [ECDSA_P521] = { order_p521, sizeof(order_p521) },
};

size_t ecdsa_raw_len(enum ecdsa_curve curve)
{
    return 2 * curves[curve].scalar_len;
}

static bool is_in_range(enum ecdsa_curve curve, const uint8_t *scalar)
{
    static const uint8_t zero[SCALAR_MAX];
    size_t len = curves[curve].scalar_len;

    return memcmp(scalar, zero, len) != 0 && memcmp(scalar, curves[curve].order, len) < 0;
}

/* Write an INTEGER: no leading zero octets but the one that keeps it positive. */
static size_t write_integer(const uint8_t *scalar, size_t scalar_len, uint8_t *out)
{
    size_t skip = 0;
    size_t pad;
    size_t len;

    while (skip < scalar_len - 1 && scalar[skip] == 0)
        skip++;
    pad = scalar[skip] >= 0x80 ? 1 : 0;
    len = scalar_len - skip;
    out[0] = DER_INTEGER;
    out[1] = (uint8_t)(len + pad);
    out[2] = 0;
    memcpy(out + 2 + pad, scalar + skip, len);
    return 2 + pad + len;
}

bool ecdsa_raw_to_der(enum ecdsa_curve curve, const uint8_t *raw, uint8_t der[ECDSA_DER_MAX],
                      size_t *der_len)
{
    size_t scalar_len = curves[curve].scalar_len;
    uint8_t content[ECDSA_DER_MAX];
    size_t start = 0;
    size_t len;

    if (!is_in_range(curve, raw) || !is_in_range(curve, raw + scalar_len))
        return false;
    len = write_integer(raw, scalar_len, content);
    len += write_integer(raw + scalar_len, scalar_len, content + len);
    der[start++] = DER_SEQUENCE;
    if (len > DER_SHORT_MAX)
        der[start++] = DER_LEN_IN_NEXT_OCTET;
    der[start++] = (uint8_t)len;
    memcpy(der + start, content, len);
    *der_len = start + len;
    return true;
}

/* Read a length in its only spelling: one octet, or a second one for what the first cannot say. */
static bool read_len(struct str *rest, size_t *len)
{
    size_t taken = 1;

    if (rest->len < 1)
        return false;
    *len = (uint8_t)rest->data[0];
    if (*len == DER_LEN_IN_NEXT_OCTET && rest->len > 1) {
        *len = (uint8_t)rest->data[1];
        taken = 2;
    }
    *rest = str_slice(*rest, taken, rest->len);
    return taken == 2 ? *len > DER_SHORT_MAX : *len <= DER_SHORT_MAX;
}

/* Read a tag and its content off the front. */
static bool read_element(struct str *rest, uint8_t tag, struct str *content)
{
    size_t len = 0;

    if (rest->len < 1 || (uint8_t)rest->data[0] != tag)
        return false;
    *rest = str_slice(*rest, 1, rest->len);
    if (!read_len(rest, &len) || len > rest->len)
        return false;
    *content = str_slice(*rest, 0, len);
    *rest = str_slice(*rest, len, rest->len);
    return true;
}

static bool read_integer(enum ecdsa_curve curve, struct str *rest, uint8_t *scalar)
{
    size_t scalar_len = curves[curve].scalar_len;
    struct str digits;

    if (!read_element(rest, DER_INTEGER, &digits) || digits.len == 0 || digits.data[0] & 0x80)
        return false;
    if (digits.len > 1 && digits.data[0] == 0) {
        if (!(digits.data[1] & 0x80))
            return false;
        digits = str_slice(digits, 1, digits.len);
    }
    if (digits.len > scalar_len)
        return false;
    memset(scalar, 0, scalar_len);
    memcpy(scalar + scalar_len - digits.len, digits.data, digits.len);
    return is_in_range(curve, scalar);
}

bool ecdsa_der_to_raw(enum ecdsa_curve curve, struct str der, uint8_t *raw)
{
    struct str content;

    if (!read_element(&der, DER_SEQUENCE, &content) || der.len != 0)
        return false;
    return read_integer(curve, &content, raw) &&
           read_integer(curve, &content, raw + curves[curve].scalar_len) && content.len == 0;
}
