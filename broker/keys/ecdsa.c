#include "keys/ecdsa.h"

#include <string.h>

#define SCALAR_LEN 32
#define DER_SEQUENCE 0x30
#define DER_INTEGER 0x02

/* n, the order of P-256 (SEC 2, 2.4.2). */
static const uint8_t order[SCALAR_LEN] = {
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
};

static bool is_in_range(const uint8_t scalar[SCALAR_LEN])
{
    static const uint8_t zero[SCALAR_LEN];

    return memcmp(scalar, zero, SCALAR_LEN) != 0 && memcmp(scalar, order, SCALAR_LEN) < 0;
}

/* Write an INTEGER: no leading zero octets but the one that keeps it positive. */
static size_t write_integer(const uint8_t scalar[SCALAR_LEN], uint8_t *out)
{
    size_t skip = 0;
    size_t pad;
    size_t len;

    while (skip < SCALAR_LEN - 1 && scalar[skip] == 0)
        skip++;
    pad = scalar[skip] >= 0x80 ? 1 : 0;
    len = SCALAR_LEN - skip;
    out[0] = DER_INTEGER;
    out[1] = (uint8_t)(len + pad);
    out[2] = 0;
    memcpy(out + 2 + pad, scalar + skip, len);
    return 2 + pad + len;
}

bool ecdsa_raw_to_der(const uint8_t raw[ECDSA_RAW_LEN], uint8_t der[ECDSA_DER_MAX], size_t *der_len)
{
    size_t len;

    if (!is_in_range(raw) || !is_in_range(raw + SCALAR_LEN))
        return false;
    len = write_integer(raw, der + 2);
    len += write_integer(raw + SCALAR_LEN, der + 2 + len);
    der[0] = DER_SEQUENCE;
    der[1] = (uint8_t)len;
    *der_len = 2 + len;
    return true;
}

/* Read a tag and its one-octet length off the front. */
static bool read_element(struct str *rest, uint8_t tag, struct str *content)
{
    size_t len;

    if (rest->len < 2 || (uint8_t)rest->data[0] != tag)
        return false;
    len = (uint8_t)rest->data[1];
    if (len >= 0x80 || len > rest->len - 2)
        return false;
    *content = str_slice(*rest, 2, len);
    *rest = str_slice(*rest, 2 + len, rest->len);
    return true;
}

static bool read_integer(struct str *rest, uint8_t scalar[SCALAR_LEN])
{
    struct str digits;

    if (!read_element(rest, DER_INTEGER, &digits) || digits.len == 0 || digits.data[0] & 0x80)
        return false;
    if (digits.len > 1 && digits.data[0] == 0) {
        if (!(digits.data[1] & 0x80))
            return false;
        digits = str_slice(digits, 1, digits.len);
    }
    if (digits.len > SCALAR_LEN)
        return false;
    memset(scalar, 0, SCALAR_LEN);
    memcpy(scalar + SCALAR_LEN - digits.len, digits.data, digits.len);
    return is_in_range(scalar);
}

bool ecdsa_der_to_raw(struct str der, uint8_t raw[ECDSA_RAW_LEN])
{
    struct str content;

    if (!read_element(&der, DER_SEQUENCE, &content) || der.len != 0)
        return false;
    return read_integer(&content, raw) && read_integer(&content, raw + SCALAR_LEN) &&
           content.len == 0;
}
