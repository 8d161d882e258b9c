#include "base/json_walk.h"

#include <endian.h>
#include <stdint.h>
#include <string.h>

#define LEVELS_MAX 16
#define DIGITS_MAX 18

struct walker {
    const char *at;
    const char *end;
};

static bool is_plain(char byte)
{
    return byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
}

/* Bytes at once. */
#define STEP 8

/* The byte in each of eight places. */
#define EACH(byte) (UINT64_C(0x0101010101010101) * (uint64_t)(byte))

/* The high bit of each of eight bytes that is zero; of more only the lowest is right. */
static uint64_t zeros(uint64_t eight)
{
    return (eight - EACH(1)) & ~eight & EACH(0x80);
}

/* How many of eight bytes are plain before the first that is not. */
static unsigned plain_count(const char *at)
{
    uint64_t eight;
    uint64_t marks;

    memcpy(&eight, at, sizeof(eight));
    eight = le64toh(eight);
    marks = (eight & EACH(0x80)) | zeros(eight ^ EACH('"')) | zeros(eight ^ EACH('\\')) |
            zeros(eight ^ EACH(0x7f)) | ((eight - EACH(0x20)) & ~eight & EACH(0x80));
    return marks == 0 ? STEP : (unsigned)__builtin_ctzll(marks) / 8;
}

/* The text of a string, without its quotes. */
static bool take_string(struct walker *walker, struct str *text)
{
    const char *at = walker->at;
    unsigned count = STEP;

    if (at == walker->end || *at != '"')
        return false;
    text->data = ++at;
    while (count == STEP && walker->end - at >= STEP) {
        count = plain_count(at);
        at += count;
    }
    while (count == STEP && at < walker->end && is_plain(*at))
        at++;
    if (at == walker->end || *at != '"')
        return false;
    text->len = (size_t)(at - text->data);
    walker->at = at + 1;
    return true;
}

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

/* A fraction or an exponent behind it is met as something that cannot stand there. */
static bool skip_integer(struct walker *walker)
{
    const char *start = NULL;

    if (*walker->at == '-')
        walker->at++;
    start = walker->at;
    while (walker->at < walker->end && is_digit(*walker->at))
        walker->at++;
    if (walker->at == start || walker->at - start > DIGITS_MAX)
        return false;
    return *start != '0' || (walker->at - start == 1 && (start[-1] != '-'));
}

static bool skip_word(struct walker *walker, struct str word)
{
    if ((size_t)(walker->end - walker->at) < word.len ||
        memcmp(walker->at, word.data, word.len) != 0)
        return false;
    walker->at += word.len;
    return true;
}

static bool skip_value(struct walker *walker, unsigned level);

static bool take_byte(struct walker *walker, char byte)
{
    if (walker->at == walker->end || *walker->at != byte)
        return false;
    walker->at++;
    return true;
}

static bool skip_array(struct walker *walker, unsigned level)
{
    walker->at++;
    if (take_byte(walker, ']'))
        return true;
    do {
        if (!skip_value(walker, level))
            return false;
    } while (take_byte(walker, ','));
    return take_byte(walker, ']');
}

/* Most names differ in their first byte already. */
static bool is_behind(struct str name, struct str last)
{
    if (last.data == NULL)
        return true;
    if (last.len > 0 && name.len > 0 && last.data[0] != name.data[0])
        return last.data[0] < name.data[0];
    return str_compare(last, name) < 0;
}

static bool walk_object(struct walker *walker, unsigned level, json_walk_member each, void *context)
{
    struct str last = { NULL, 0 };

    if (!take_byte(walker, '{'))
        return false;
    if (take_byte(walker, '}'))
        return true;
    do {
        struct str name;
        struct str value;

        if (!take_string(walker, &name) || !take_byte(walker, ':') || !is_behind(name, last))
            return false;
        value.data = walker->at;
        if (!skip_value(walker, level))
            return false;
        value.len = (size_t)(walker->at - value.data);
        if (each != NULL && !each(context, name, value))
            return false;
        last = name;
    } while (take_byte(walker, ','));
    return take_byte(walker, '}');
}

/* The depth is bounded by `level`. */
static bool skip_value(struct walker *walker, unsigned level)
{
    struct str ignored;

    if (walker->at == walker->end || level == LEVELS_MAX)
        return false;
    switch (*walker->at) {
    case '"':
        return take_string(walker, &ignored);
    case '{':
        return walk_object(walker, level + 1, NULL, NULL);
    case '[':
        return skip_array(walker, level + 1);
    case 't':
        return skip_word(walker, STR("true"));
    case 'f':
        return skip_word(walker, STR("false"));
    case 'n':
        return skip_word(walker, STR("null"));
    default:
        return skip_integer(walker);
    }
}

bool json_walk(struct str text, json_walk_member each, void *context)
{
    struct walker walker = { text.data, text.data + text.len };

    return text.len > 0 && walk_object(&walker, 1, each, context) && walker.at == walker.end;
}
