/*
 * A writer that gives up at the first thing that is not plain; jansson then writes the whole again.
 */
#include <endian.h>
#include <string.h>

#include "base/json_plain.h"

#define DEPTH_MAX 16
#define MEMBERS_MAX 64
#define INTEGER_LEN_MAX 20 /* of -2^63 */

struct writer {
    struct buf *buf;
    size_t depth_left;
};

struct member {
    uint64_t head; /* the name's first 8 bytes, so that most names differ in one comparison */
    struct str name;
    const json_t *value;
};

static bool write_value(struct writer *writer, const json_t *json);

/* Room for `len` bytes; NULL when they do not fit. */
static char *extend(const struct writer *writer, size_t len)
{
    struct buf *buf = writer->buf;
    char *out;

    if (len >= buf->capacity - buf->len)
        return buf_extend(buf, len);
    out = buf->data + buf->len;
    buf->len += len;
    return out;
}

static bool put(const struct writer *writer, char byte)
{
    char *out = extend(writer, 1);

    if (out != NULL)
        *out = byte;
    return out != NULL;
}

static bool put_str(const struct writer *writer, struct str bytes)
{
    char *out = extend(writer, bytes.len);

    if (out != NULL)
        memcpy(out, bytes.data, bytes.len);
    return out != NULL;
}

/* What is shorter than a word, by its two halves, which may overlap; spaces fill the word. */
static bool copy_short(char *out, struct str text)
{
    uint32_t low = 0;
    uint32_t high = 0;
    uint16_t first = 0;
    uint16_t last = 0;

    if (text.len >= sizeof(low)) {
        memcpy(&low, text.data, sizeof(low));
        memcpy(&high, text.data + text.len - sizeof(high), sizeof(high));
        memcpy(out, &low, sizeof(low));
        memcpy(out + text.len - sizeof(high), &high, sizeof(high));
        return !json_plain_has_other((uint64_t)high << 32 | low);
    }
    if (text.len >= sizeof(first)) {
        memcpy(&first, text.data, sizeof(first));
        memcpy(&last, text.data + text.len - sizeof(last), sizeof(last));
        memcpy(out, &first, sizeof(first));
        memcpy(out + text.len - sizeof(last), &last, sizeof(last));
        return !json_plain_has_other(EACH_BYTE(' ') << 32 | (uint64_t)last << 16 | first);
    }
    if (text.len == 0)
        return true;
    *out = *text.data;
    return !json_plain_has_other(EACH_BYTE(' ') << 8 | (uint8_t)*text.data);
}

/* Copy a text, and tell whether it is plain. The last word may overlap the one before it. */
static bool copy_plain(char *out, struct str text)
{
    bool has_other = false;
    uint64_t word;
    size_t at = 0;

    if (text.len < sizeof(word))
        return copy_short(out, text);
    for (; text.len - at > sizeof(word); at += sizeof(word)) {
        memcpy(&word, text.data + at, sizeof(word));
        memcpy(out + at, &word, sizeof(word));
        has_other |= json_plain_has_other(word);
    }
    memcpy(&word, text.data + text.len - sizeof(word), sizeof(word));
    memcpy(out + text.len - sizeof(word), &word, sizeof(word));
    return !has_other && !json_plain_has_other(word);
}

/* A quoted string. */
static bool write_text(const struct writer *writer, struct str text)
{
    char *out = extend(writer, text.len + 2);

    if (out == NULL)
        return false;
    out[0] = '"';
    out[text.len + 1] = '"';
    return copy_plain(out + 1, text);
}

/* A name, between what ends the member before it and its colon. */
static bool write_name(const struct writer *writer, char before, struct str name)
{
    char *out = extend(writer, name.len + 4);

    if (out == NULL)
        return false;
    out[0] = before;
    out[1] = '"';
    out[name.len + 2] = '"';
    out[name.len + 3] = ':';
    return copy_plain(out + 2, name);
}

static bool write_integer(const struct writer *writer, json_int_t value)
{
    uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    char digits[INTEGER_LEN_MAX];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    if (value < 0)
        digits[--at] = '-';
    return put_str(writer, (struct str){ digits + at, sizeof(digits) - at });
}

/* What a group begins with is written with it, its end is not. */
static bool write_array(struct writer *writer, const json_t *json)
{
    if (!put(writer, '['))
        return false;
    for (size_t i = 0; i < json_array_size(json); i++)
        if ((i > 0 && !put(writer, ',')) || !write_value(writer, json_array_get(json, i)))
            return false;
    return true;
}

static uint64_t head_of(struct str name)
{
    uint64_t head = 0;

    if (name.len >= sizeof(head)) {
        memcpy(&head, name.data, sizeof(head));
        return be64toh(head);
    }
    for (size_t i = 0; i < name.len; i++)
        head = head << 8 | (uint8_t)name.data[i];
    return name.len == 0 ? 0 : head << 8 * (sizeof(head) - name.len);
}

/* By bytes, as jansson sorts: names have no NUL in them. */
static bool comes_before(const struct member *left, const struct member *right)
{
    if (left->head != right->head)
        return left->head < right->head;
    return strcmp(left->name.data, right->name.data) < 0;
}

/* Most objects come sorted, or nearly. */
static size_t sort_members(const json_t *json, struct member members[MEMBERS_MAX])
{
    size_t count = 0;

    for (void *at = json_object_iter(json_iterable(json)); at != NULL;
         at = json_object_iter_next(json_iterable(json), at)) {
        struct member member = { .value = json_object_iter_value(at) };
        size_t place = count++;

        member.name.data = json_object_iter_key(at);
        member.name.len = json_object_iter_key_len(at);
        member.head = head_of(member.name);
        for (; place > 0 && comes_before(&member, &members[place - 1]); place--)
            members[place] = members[place - 1];
        members[place] = member;
    }
    return count;
}

static bool write_object(struct writer *writer, const json_t *json)
{
    /* Written before it is read, and too large to be filled for each object. */
    __attribute__((uninitialized)) struct member members[MEMBERS_MAX];
    size_t count;

    if (json_object_size(json) > MEMBERS_MAX)
        return false;
    count = sort_members(json, members);
    if (count == 0)
        return put(writer, '{');
    for (size_t i = 0; i < count; i++)
        if (!write_name(writer, i == 0 ? '{' : ',', members[i].name) ||
            !write_value(writer, members[i].value))
            return false;
    return true;
}

static bool write_group(struct writer *writer, const json_t *json)
{
    bool is_object = json_is_object(json);
    bool is_written;

    if (writer->depth_left == 0)
        return false;
    writer->depth_left--;
    is_written = (is_object ? write_object(writer, json) : write_array(writer, json)) &&
                 put(writer, is_object ? '}' : ']');
    writer->depth_left++;
    return is_written;
}

static bool write_value(struct writer *writer, const json_t *json)
{
    if (json == NULL)
        return false;
    switch (json_typeof(json)) {
    case JSON_OBJECT:
    case JSON_ARRAY:
        return write_group(writer, json);
    case JSON_STRING:
        return write_text(writer, json_str(json));
    case JSON_INTEGER:
        return write_integer(writer, json_integer_value(json));
    case JSON_TRUE:
        return put_str(writer, STR("true"));
    case JSON_FALSE:
        return put_str(writer, STR("false"));
    case JSON_NULL:
        return put_str(writer, STR("null"));
    case JSON_REAL:
        break;
    }
    return false;
}

bool json_plain_write(struct buf *buf, const json_t *json)
{
    struct writer writer = { buf, DEPTH_MAX };
    size_t before = buf->len;

    if (!buf_is_ok(buf))
        return false;
    if (write_value(&writer, json)) {
        buf->data[buf->len] = '\0';
        return true;
    }
    if (buf_is_ok(buf))
        buf_truncate(buf, before);
    return false;
}
