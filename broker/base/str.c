#include "base/str.h"

#include <string.h>

#include "base/utf8.h"

/* Longer strings are no names: nobody looks for their neighbours. */
#define DISTANCE_LEN_MAX 63

struct str str_from(const char *text)
{
    if (text == NULL)
        return STR("");
    return (struct str){ text, strlen(text) };
}

bool str_eq(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static char lower_ascii(char character)
{
    return character >= 'A' && character <= 'Z' ? (char)(character + ('a' - 'A')) : character;
}

bool str_eq_ignore_case(struct str a, struct str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        if (lower_ascii(a.data[i]) != lower_ascii(b.data[i]))
            return false;
    }
    return true;
}

int str_compare(struct str a, struct str b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common == 0 ? 0 : memcmp(a.data, b.data, common);

    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

bool str_starts_with(struct str string, struct str prefix)
{
    return string.len >= prefix.len && str_eq(str_slice(string, 0, prefix.len), prefix);
}

bool str_ends_with(struct str string, struct str suffix)
{
    return string.len >= suffix.len &&
           str_eq(str_slice(string, string.len - suffix.len, suffix.len), suffix);
}

size_t str_find_part(struct str string, struct str part)
{
    for (size_t i = 0; i + part.len <= string.len; i++)
        if (str_eq(str_slice(string, i, part.len), part))
            return i;
    return string.len;
}

bool str_contains(struct str string, struct str part)
{
    return part.len == 0 || str_find_part(string, part) < string.len;
}

size_t str_find(struct str string, char byte)
{
    const char *found = string.len == 0 ? NULL : memchr(string.data, byte, string.len);

    return found == NULL ? string.len : (size_t)(found - string.data);
}

struct str str_slice(struct str string, size_t start, size_t len)
{
    if (start >= string.len)
        return STR("");
    if (len > string.len - start)
        len = string.len - start;
    return (struct str){ string.data + start, len };
}

bool str_cut(struct str string, char separator, struct str *head, struct str *rest)
{
    size_t at = str_find(string, separator);

    *head = str_slice(string, 0, at);
    *rest = str_slice(string, at == string.len ? at : at + 1, string.len);
    return at < string.len;
}

static bool is_space(char character)
{
    return character == ' ' || character == '\t' || character == '\r' || character == '\n';
}

struct str str_trim(struct str string)
{
    while (string.len > 0 && is_space(string.data[0]))
        string = str_slice(string, 1, string.len);
    while (string.len > 0 && is_space(string.data[string.len - 1]))
        string.len--;
    return string;
}

bool str_is_made_of(struct str string, const char *set)
{
    uint64_t bits[4] = { 0 };

    for (const uint8_t *at = (const uint8_t *)set; *at != '\0'; at++)
        bits[*at / 64] |= UINT64_C(1) << *at % 64;
    for (size_t i = 0; i < string.len; i++) {
        uint8_t byte = (uint8_t)string.data[i];

        if ((bits[byte / 64] >> byte % 64 & 1) == 0)
            return false;
    }
    return true;
}

bool str_is_utf8(struct str string)
{
    uint32_t character;

    while (string.len > 0) {
        if ((uint8_t)string.data[0] < 0x80)
            string = str_slice(string, 1, string.len); /* the usual case, taken the short way */
        else if (!utf8_take(&string, &character))
            return false;
    }
    return true;
}

bool str_has_control(struct str string)
{
    for (size_t i = 0; i < string.len; i++) {
        if ((uint8_t)string.data[i] < 0x20 || string.data[i] == 0x7f)
            return true;
    }
    return false;
}

/* The digits of a number as its negative, whose range is the larger by one. */
static bool negative_of_digits(struct str digits, int64_t *value)
{
    int64_t sum = 0;

    if (digits.len == 0 || (digits.len > 1 && digits.data[0] == '0'))
        return false;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.data[i] < '0' || digits.data[i] > '9')
            return false;
        if (__builtin_mul_overflow(sum, 10, &sum) ||
            __builtin_sub_overflow(sum, digits.data[i] - '0', &sum))
            return false;
    }
    *value = sum;
    return true;
}

bool str_to_int64(struct str string, int64_t *value)
{
    bool is_negative = str_starts_with(string, STR("-"));
    int64_t negative;

    if (!negative_of_digits(str_slice(string, is_negative ? 1 : 0, string.len), &negative))
        return false;
    if (is_negative ? negative == 0 : negative == INT64_MIN)
        return false;
    *value = is_negative ? negative : -negative;
    return true;
}

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

/*
 * Optimal string alignment by three rows of the edit matrix. `row[j]` is the distance between the
 * first i + 1 bytes of `a` and the first j of `b`; `above` is the row before it, `above2` the one
 * before that.
 */
static void distance_row(struct str a, struct str b, size_t i, const size_t *above2,
                         const size_t *above, size_t *row)
{
    row[0] = i + 1;
    for (size_t j = 1; j <= b.len; j++) {
        size_t replaced = above[j - 1] + (a.data[i] == b.data[j - 1] ? 0 : 1);

        row[j] = min_size(replaced, min_size(above[j], row[j - 1]) + 1);
        if (i > 0 && j > 1 && a.data[i] == b.data[j - 2] && a.data[i - 1] == b.data[j - 1])
            row[j] = min_size(row[j], above2[j - 2] + 1);
    }
}

size_t str_distance(struct str a, struct str b, size_t limit)
{
    size_t rows[3][DISTANCE_LEN_MAX + 1] = { 0 };

    if (a.len > DISTANCE_LEN_MAX || b.len > DISTANCE_LEN_MAX)
        return limit + 1;
    if ((a.len > b.len ? a.len - b.len : b.len - a.len) > limit)
        return limit + 1; /* so many bytes are missing at least */
    for (size_t j = 0; j <= b.len; j++)
        rows[0][j] = j;
    for (size_t i = 0; i < a.len; i++)
        distance_row(a, b, i, rows[(i + 2) % 3], rows[i % 3], rows[(i + 1) % 3]);
    return min_size(rows[a.len % 3][b.len], limit + 1);
}

struct str str_nearest(struct str string, const struct str *names, size_t count)
{
    size_t best_distance = string.len / 3 + 1;
    struct str best = STR("");

    for (size_t i = 0; i < count; i++) {
        size_t distance = str_distance(string, names[i], best_distance);

        if (distance < best_distance) {
            best_distance = distance;
            best = names[i];
        }
    }
    return best;
}
