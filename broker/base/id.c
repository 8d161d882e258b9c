#include "base/id.h"

#include <openssl/rand.h>

#include "base/error.h"

#define TIME_DIGITS 10
#define RANDOM_DIGITS (ID_LEN - TIME_DIGITS)

const char id_digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

#define DIGIT ID_DIGIT
/* clang-format off */
const uint8_t id_digit_values[256] = {
    ['0'] = DIGIT | 0, ['1'] = DIGIT | 1, ['2'] = DIGIT | 2, ['3'] = DIGIT | 3, ['4'] = DIGIT | 4,
    ['5'] = DIGIT | 5, ['6'] = DIGIT | 6, ['7'] = DIGIT | 7, ['8'] = DIGIT | 8, ['9'] = DIGIT | 9,
    ['A'] = DIGIT | 10, ['B'] = DIGIT | 11, ['C'] = DIGIT | 12, ['D'] = DIGIT | 13, ['E'] = DIGIT | 14,
    ['F'] = DIGIT | 15, ['G'] = DIGIT | 16, ['H'] = DIGIT | 17, ['J'] = DIGIT | 18, ['K'] = DIGIT | 19,
    ['M'] = DIGIT | 20, ['N'] = DIGIT | 21, ['P'] = DIGIT | 22, ['Q'] = DIGIT | 23, ['R'] = DIGIT | 24,
    ['S'] = DIGIT | 25, ['T'] = DIGIT | 26, ['V'] = DIGIT | 27, ['W'] = DIGIT | 28, ['X'] = DIGIT | 29,
    ['Y'] = DIGIT | 30, ['Z'] = DIGIT | 31,
};
/* clang-format on */

bool id_new(int64_t wall_ms, char out[ID_LEN + 1], struct error *error)
{
    uint64_t time = (uint64_t)wall_ms & 0xffffffffffff;
    uint8_t random[RANDOM_DIGITS]; /* 5 bits of each are used: 80 in all */

    if (RAND_bytes(random, sizeof(random)) != 1)
        return error_set_openssl(error, "cannot get random bytes for an id");
    for (size_t i = 0; i < TIME_DIGITS; i++)
        out[i] = id_digits[time >> (5 * (TIME_DIGITS - 1 - i)) & 31];
    for (size_t i = 0; i < RANDOM_DIGITS; i++)
        out[TIME_DIGITS + i] = id_digits[random[i] & 31];
    out[ID_LEN] = '\0';
    return true;
}

/* All of it is looked at, which is quicker than to stop early. */
bool id_is_valid(struct str text)
{
    uint8_t all = ID_DIGIT;

    if (text.len != ID_LEN)
        return false;
    for (size_t i = 0; i < ID_LEN; i++)
        all &= id_digit_values[(uint8_t)text.data[i]];
    /* 26 digits hold 130 bits: the first is at most 7 */
    return all != 0 && text.data[0] <= '7';
}

int64_t id_time_s(struct str id)
{
    int64_t wall_ms = 0;

    for (size_t i = 0; i < TIME_DIGITS; i++)
        wall_ms = wall_ms * 32 + (id_digit_values[(uint8_t)id.data[i]] & (ID_DIGIT - 1));
    return wall_ms / 1000;
}
