/*
 * A reader that moves over the text once and gives up at the first thing that is not plain. It has
 * no errors of its own: whoever wants to know why asks jansson.
 */
#include "base/json_plain.h"

#include <string.h>

#define NAME_MAX_BYTES 63
#define DIGITS_MAX 18 /* below 2^63 whatever they are */

struct reader {
    const char *at;
    const char *end;
    size_t depth_left;
    size_t members_left;
};

static json_t *read_value(struct reader *reader);

static bool is_space(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static void skip_spaces(struct reader *reader)
{
    while (reader->at < reader->end && is_space(*reader->at))
        reader->at++;
}

/* Move over one byte, and the spaces around it. */
static bool take(struct reader *reader, char byte)
{
    skip_spaces(reader);
    if (reader->at == reader->end || *reader->at != byte)
        return false;
    reader->at++;
    skip_spaces(reader);
    return true;
}

/* Printable ASCII that stands for itself. */
static bool is_plain(char byte)
{
    return byte >= 0x20 && (uint8_t)byte < 0x80 && byte != '"' && byte != '\\';
}

/* A word at a time, then the bytes before the first that is not plain. */
static const char *skip_plain(const char *at, const char *end)
{
    uint64_t word;

    for (; (size_t)(end - at) >= sizeof(word); at += sizeof(word)) {
        memcpy(&word, at, sizeof(word));
        if (json_plain_has_other(word))
            break;
    }
    while (at < end && is_plain(*at))
        at++;
    return at;
}

static bool read_text(struct reader *reader, struct str *text)
{
    const char *start = reader->at + 1;
    const char *at = start;

    if (reader->at == reader->end || *reader->at != '"')
        return false;
    at = skip_plain(at, reader->end);
    if (at == reader->end || *at != '"')
        return false;
    *text = (struct str){ start, (size_t)(at - start) };
    reader->at = at + 1;
    return true;
}

static json_t *read_string(struct reader *reader)
{
    struct str text;

    return read_text(reader, &text) ? json_stringn_nocheck(text.data, text.len) : NULL;
}

/* A fraction or an exponent behind it is met as something that cannot stand there. */
static json_t *read_integer(struct reader *reader)
{
    bool is_negative = *reader->at == '-';
    const char *start = reader->at + (is_negative ? 1 : 0);
    const char *at = start;
    json_int_t value = 0;

    for (; at < reader->end && is_digit(*at) && at - start < DIGITS_MAX; at++)
        value = value * 10 + (*at - '0');
    if (at == start || (*start == '0' && at - start > 1))
        return NULL;
    reader->at = at;
    return json_integer(is_negative ? -value : value);
}

static json_t *read_word(struct reader *reader)
{
    static const struct {
        struct str word;
        json_t *(*value)(void);
    } words[] = {
        { { "true", 4 }, json_true },
        { { "false", 5 }, json_false },
        { { "null", 4 }, json_null },
    };
    struct str rest = { reader->at, (size_t)(reader->end - reader->at) };

    for (size_t i = 0; i < COUNT(words); i++) {
        if (str_starts_with(rest, words[i].word)) {
            reader->at += words[i].word.len;
            return words[i].value();
        }
    }
    return NULL;
}

/* Set one member; a name that was there would replace its value and leave the size as it is. */
static bool read_member(struct reader *reader, json_t *object)
{
    size_t size = json_object_size(object);
    char name[NAME_MAX_BYTES + 1];
    struct str text;

    if (reader->members_left-- == 0 || !read_text(reader, &text) || text.len > NAME_MAX_BYTES ||
        !take(reader, ':'))
        return false;
    memcpy(name, text.data, text.len);
    name[text.len] = '\0';
    return json_object_set_new_nocheck(object, name, read_value(reader)) == 0 &&
           json_object_size(object) == size + 1;
}

static bool read_element(struct reader *reader, json_t *array)
{
    return reader->members_left-- > 0 && json_array_append_new(array, read_value(reader)) == 0;
}

/* What stands between the brackets, the opening one being read. */
static bool read_inside(struct reader *reader, json_t *value, char closer,
                        bool (*read)(struct reader *reader, json_t *value))
{
    if (take(reader, closer))
        return true;
    do {
        if (!read(reader, value))
            return false;
    } while (take(reader, ','));
    return take(reader, closer);
}

static json_t *read_compound(struct reader *reader)
{
    const bool is_object = *reader->at == '{';
    JSON_OWNED json_t *value = NULL;
    bool is_whole;

    if (reader->depth_left == 0)
        return NULL;
    value = is_object ? json_object() : json_array();
    if (value == NULL)
        return NULL;
    reader->depth_left--;
    reader->at++;
    skip_spaces(reader);
    is_whole = is_object ? read_inside(reader, value, '}', read_member)
                         : read_inside(reader, value, ']', read_element);
    reader->depth_left++;
    return is_whole ? TAKE(value) : NULL;
}

/* It recurses as deep as the limit lets it. */
static json_t *read_value(struct reader *reader)
{
    if (reader->at == reader->end)
        return NULL;
    if (*reader->at == '"')
        return read_string(reader);
    if (*reader->at == '{' || *reader->at == '[')
        return read_compound(reader);
    if (*reader->at == '-' || is_digit(*reader->at))
        return read_integer(reader);
    return read_word(reader);
}

json_t *json_plain_parse(struct str text, struct json_limits limits)
{
    struct reader reader = { text.data, text.data + text.len, limits.depth, limits.members };
    JSON_OWNED json_t *value = NULL;

    if (text.len == 0 || text.len > limits.bytes)
        return NULL;
    skip_spaces(&reader);
    if (reader.at == reader.end || (*reader.at != '{' && *reader.at != '['))
        return NULL;
    value = read_compound(&reader);
    return value != NULL && reader.at == reader.end ? TAKE(value) : NULL;
}
