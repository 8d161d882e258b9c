#include "base/base64.h"

/* A decoding table's entry: the value of the digit, or 0 where the byte is none. */
#define DIGIT 0x40

/* The 62 digits that both alphabets have. clang-format would make it 62 lines. */
/* clang-format off */
#define COMMON_DIGITS                                                                              \
    ['A'] = DIGIT | 0, ['B'] = DIGIT | 1, ['C'] = DIGIT | 2, ['D'] = DIGIT | 3,                    \
    ['E'] = DIGIT | 4, ['F'] = DIGIT | 5, ['G'] = DIGIT | 6, ['H'] = DIGIT | 7,                    \
    ['I'] = DIGIT | 8, ['J'] = DIGIT | 9, ['K'] = DIGIT | 10, ['L'] = DIGIT | 11,                  \
    ['M'] = DIGIT | 12, ['N'] = DIGIT | 13, ['O'] = DIGIT | 14, ['P'] = DIGIT | 15,                \
    ['Q'] = DIGIT | 16, ['R'] = DIGIT | 17, ['S'] = DIGIT | 18, ['T'] = DIGIT | 19,                \
    ['U'] = DIGIT | 20, ['V'] = DIGIT | 21, ['W'] = DIGIT | 22, ['X'] = DIGIT | 23,                \
    ['Y'] = DIGIT | 24, ['Z'] = DIGIT | 25, ['a'] = DIGIT | 26, ['b'] = DIGIT | 27,                \
    ['c'] = DIGIT | 28, ['d'] = DIGIT | 29, ['e'] = DIGIT | 30, ['f'] = DIGIT | 31,                \
    ['g'] = DIGIT | 32, ['h'] = DIGIT | 33, ['i'] = DIGIT | 34, ['j'] = DIGIT | 35,                \
    ['k'] = DIGIT | 36, ['l'] = DIGIT | 37, ['m'] = DIGIT | 38, ['n'] = DIGIT | 39,                \
    ['o'] = DIGIT | 40, ['p'] = DIGIT | 41, ['q'] = DIGIT | 42, ['r'] = DIGIT | 43,                \
    ['s'] = DIGIT | 44, ['t'] = DIGIT | 45, ['u'] = DIGIT | 46, ['v'] = DIGIT | 47,                \
    ['w'] = DIGIT | 48, ['x'] = DIGIT | 49, ['y'] = DIGIT | 50, ['z'] = DIGIT | 51,                \
    ['0'] = DIGIT | 52, ['1'] = DIGIT | 53, ['2'] = DIGIT | 54, ['3'] = DIGIT | 55,                \
    ['4'] = DIGIT | 56, ['5'] = DIGIT | 57, ['6'] = DIGIT | 58, ['7'] = DIGIT | 59,                \
    ['8'] = DIGIT | 60, ['9'] = DIGIT | 61

static const uint8_t url_values[256] = { COMMON_DIGITS, ['-'] = DIGIT | 62, ['_'] = DIGIT | 63 };
static const uint8_t standard_values[256] = { COMMON_DIGITS, ['+'] = DIGIT | 62, ['/'] = DIGIT | 63 };
/* clang-format on */

static const char url_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
static const char standard_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* The two or three digits behind the last whole group, and no bit that they leave over. */
static bool decode_tail(const uint8_t values[256], const uint8_t *in, size_t len, uint8_t *out)
{
    uint8_t a = values[in[0]];
    uint8_t b = values[in[1]];
    uint8_t c = len == 3 ? values[in[2]] : DIGIT;

    if ((a & b & c & DIGIT) == 0 || ((len == 3 ? c & 3 : b & 15) != 0))
        return false;
    out[0] = (uint8_t)(a << 2 | (b & 0x3f) >> 4);
    if (len == 3)
        out[1] = (uint8_t)(b << 4 | (c & 0x3f) >> 2);
    return true;
}

/* Decode digits without padding. */
static bool decode(const uint8_t values[256], struct str text, uint8_t *out, size_t *out_len)
{
    const uint8_t *in = (const uint8_t *)text.data;
    size_t tail_len = text.len % 4;
    uint8_t all = DIGIT;

    if (tail_len == 1)
        return false;
    for (size_t left = text.len / 4; left > 0; left--, in += 4, out += 3) {
        uint8_t a = values[in[0]];
        uint8_t b = values[in[1]];
        uint8_t c = values[in[2]];
        uint8_t d = values[in[3]];

        all &= a & b & c & d;
        out[0] = (uint8_t)(a << 2 | (b & 0x3f) >> 4);
        out[1] = (uint8_t)(b << 4 | (c & 0x3f) >> 2);
        out[2] = (uint8_t)(c << 6 | (d & 0x3f));
    }
    if (all != DIGIT || (tail_len > 0 && !decode_tail(values, in, tail_len, out)))
        return false;
    *out_len = text.len / 4 * 3 + (tail_len > 0 ? tail_len - 1 : 0);
    return true;
}

bool base64url_decode(struct str text, uint8_t *out, size_t *out_len)
{
    return decode(url_values, text, out, out_len);
}

bool base64_decode(struct str text, uint8_t *out, size_t *out_len)
{
    if (text.len % 4 != 0)
        return false;
    if (str_ends_with(text, STR("==")))
        text.len -= 2;
    else if (str_ends_with(text, STR("=")))
        text.len -= 1;
    return decode(standard_values, text, out, out_len);
}

/* Encode the one or two bytes behind the last whole group into two or three digits. */
static void encode_tail(const char *digits, const uint8_t *in, size_t len, char *out)
{
    uint8_t second = len == 2 ? in[1] : 0;

    out[0] = digits[in[0] >> 2];
    out[1] = digits[(in[0] & 3) << 4 | second >> 4];
    if (len == 2)
        out[2] = digits[(second & 15) << 2];
}

/* Encode without padding; returns where the text ends. */
static char *encode(const char *digits, struct str bytes, char *out)
{
    const uint8_t *in = (const uint8_t *)bytes.data;
    size_t tail_len = bytes.len % 3;

    for (size_t left = bytes.len / 3; left > 0; left--, in += 3, out += 4) {
        out[0] = digits[in[0] >> 2];
        out[1] = digits[(in[0] & 3) << 4 | in[1] >> 4];
        out[2] = digits[(in[1] & 15) << 2 | in[2] >> 6];
        out[3] = digits[in[2] & 0x3f];
    }
    if (tail_len == 0)
        return out;
    encode_tail(digits, in, tail_len, out);
    return out + tail_len + 1;
}

/* SIZE_MAX, which no buffer has room for, where the arithmetic would overflow. */
static size_t encoded_len(size_t len, bool is_padded)
{
    size_t tail_len = len % 3 == 0 ? 0 : (is_padded ? 4 : len % 3 + 1);

    return len > SIZE_MAX / 2 ? SIZE_MAX : len / 3 * 4 + tail_len;
}

void buf_add_base64url(struct buf *buf, struct str bytes)
{
    char *out = buf_extend(buf, encoded_len(bytes.len, false));

    if (out != NULL)
        (void)encode(url_digits, bytes, out); /* its end is the buffer's */
}

void buf_add_base64(struct buf *buf, struct str bytes)
{
    size_t len = encoded_len(bytes.len, true);
    char *out = buf_extend(buf, len);
    char *end;

    if (out == NULL)
        return;
    end = encode(standard_digits, bytes, out);
    while (end < out + len)
        *end++ = '=';
}

/* The value of a digit, and DIGIT; 0 where the byte is none. */
/* clang-format off */
static const uint8_t hex_values[256] = {
    ['0'] = DIGIT | 0, ['1'] = DIGIT | 1, ['2'] = DIGIT | 2, ['3'] = DIGIT | 3, ['4'] = DIGIT | 4,
    ['5'] = DIGIT | 5, ['6'] = DIGIT | 6, ['7'] = DIGIT | 7, ['8'] = DIGIT | 8, ['9'] = DIGIT | 9,
    ['a'] = DIGIT | 10, ['b'] = DIGIT | 11, ['c'] = DIGIT | 12, ['d'] = DIGIT | 13, ['e'] = DIGIT | 14,
    ['f'] = DIGIT | 15, ['A'] = DIGIT | 10, ['B'] = DIGIT | 11, ['C'] = DIGIT | 12, ['D'] = DIGIT | 13,
    ['E'] = DIGIT | 14, ['F'] = DIGIT | 15,
};
/* clang-format on */

bool hex_decode(struct str text, uint8_t *out)
{
    uint8_t all = DIGIT;

    if (text.len % 2 != 0)
        return false;
    for (size_t i = 0; i < text.len; i += 2) {
        uint8_t high = hex_values[(uint8_t)text.data[i]];
        uint8_t low = hex_values[(uint8_t)text.data[i + 1]];

        all &= high & low;
        out[i / 2] = (uint8_t)(high << 4 | (low & 15));
    }
    return (all & DIGIT) != 0;
}
