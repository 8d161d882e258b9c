#include "base/id.h"

#include <openssl/rand.h>

#include "base/error.h"

#define TIME_DIGITS 10
#define RANDOM_DIGITS (ID_LEN - TIME_DIGITS)

/* Crockford's base 32: no I, L, O, U. */
static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

bool id_new(int64_t wall_ms, char out[ID_LEN + 1], struct error *error)
{
    uint64_t time = (uint64_t)wall_ms & 0xffffffffffff;
    uint8_t random[RANDOM_DIGITS]; /* 5 bits of each are used: 80 in all */

    if (RAND_bytes(random, sizeof(random)) != 1)
        return error_set_openssl(error, "cannot get random bytes for an id");
    for (size_t i = 0; i < TIME_DIGITS; i++)
        out[i] = digits[time >> (5 * (TIME_DIGITS - 1 - i)) & 31];
    for (size_t i = 0; i < RANDOM_DIGITS; i++)
        out[TIME_DIGITS + i] = digits[random[i] & 31];
    out[ID_LEN] = '\0';
    return true;
}

/* All of it is looked at, which is quicker than to stop early. */
bool id_is_valid(struct str text)
{
    static const bool is_digit[256] = {
        ['0'] = true, ['1'] = true, ['2'] = true, ['3'] = true, ['4'] = true, ['5'] = true,
        ['6'] = true, ['7'] = true, ['8'] = true, ['9'] = true, ['A'] = true, ['B'] = true,
        ['C'] = true, ['D'] = true, ['E'] = true, ['F'] = true, ['G'] = true, ['H'] = true,
        ['J'] = true, ['K'] = true, ['M'] = true, ['N'] = true, ['P'] = true, ['Q'] = true,
        ['R'] = true, ['S'] = true, ['T'] = true, ['V'] = true, ['W'] = true, ['X'] = true,
        ['Y'] = true, ['Z'] = true,
    };
    bool is_valid = text.len == ID_LEN;

    for (size_t i = 0; i < ID_LEN && text.len == ID_LEN; i++)
        is_valid &= is_digit[(uint8_t)text.data[i]];
    /* 26 digits hold 130 bits: the first is at most 7 */
    return is_valid && text.data[0] <= '7';
}

int64_t id_time_s(struct str id)
{
    int64_t wall_ms = 0;

    for (size_t i = 0; i < TIME_DIGITS; i++)
        wall_ms = wall_ms * 32 + (int64_t)str_find(STR(digits), id.data[i]);
    return wall_ms / 1000;
}
