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

bool id_is_valid(struct str text)
{
    /* 26 digits hold 130 bits: the first is at most 7 */
    return text.len == ID_LEN && str_is_made_of(text, digits) && text.data[0] <= '7';
}

int64_t id_time_s(struct str id)
{
    int64_t wall_ms = 0;

    for (size_t i = 0; i < TIME_DIGITS; i++)
        wall_ms = wall_ms * 32 + (int64_t)str_find(STR(digits), id.data[i]);
    return wall_ms / 1000;
}
