#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"

#define CAPACITY_FIRST 64

static const char hex_digits[] = "0123456789abcdef";

void buf_init(struct buf *buf, size_t max_bytes)
{
    *buf = (struct buf){ .max = max_bytes };
}

void buf_release(struct buf *buf)
{
    if (buf->data != NULL)
        secret_wipe(buf->data, buf->capacity);
    free(buf->data);
    *buf = (struct buf){ 0 };
}

bool buf_is_ok(const struct buf *buf)
{
    return !buf->is_failed;
}

struct str buf_str(const struct buf *buf)
{
    return buf->data == NULL ? STR("") : (struct str){ buf->data, buf->len };
}

void buf_clear(struct buf *buf)
{
    if (buf->data != NULL)
        secret_wipe(buf->data, buf->capacity);
    buf->len = 0;
    buf->is_failed = false;
}

void buf_truncate(struct buf *buf, size_t len)
{
    if (len >= buf->len)
        return;
    secret_wipe(buf->data + len, buf->len - len);
    buf->len = len;
}

/* At least twice what it was, so that n appends cost n; never more than the limit and its NUL. */
static size_t capacity_for(const struct buf *buf, size_t len)
{
    size_t capacity = buf->capacity < CAPACITY_FIRST ? CAPACITY_FIRST : buf->capacity;

    while (capacity <= len && capacity <= buf->max / 2)
        capacity *= 2;
    return capacity <= len || capacity > buf->max ? buf->max + 1 : capacity;
}

/* Not realloc(): that would leave the old content behind, unwiped. */
static bool buf_grow(struct buf *buf, size_t len)
{
    size_t capacity = capacity_for(buf, len);
    char *data = malloc(capacity);

    if (data == NULL)
        return false;
    if (buf->data != NULL) {
        memcpy(data, buf->data, buf->len);
        secret_wipe(buf->data, buf->capacity);
        free(buf->data);
    }
    buf->data = data;
    buf->capacity = capacity;
    return true;
}

/* Room for `len` more bytes and the NUL; the length stays. */
static bool buf_reserve(struct buf *buf, size_t len)
{
    if (buf->is_failed)
        return false;
    /* max == SIZE_MAX would leave no room for the NUL in the arithmetic */
    if (buf->max == SIZE_MAX || len > buf->max - buf->len ||
        (buf->len + len >= buf->capacity && !buf_grow(buf, buf->len + len)))
        buf->is_failed = true;
    return !buf->is_failed;
}

void buf_expect(struct buf *buf, size_t len)
{
    size_t left = buf->max - buf->len;

    (void)buf_reserve(buf, len < left ? len : left);
}

char *buf_extend(struct buf *buf, size_t len)
{
    char *start;

    if (!buf_reserve(buf, len))
        return NULL;
    start = buf->data + buf->len;
    buf->len += len;
    buf->data[buf->len] = '\0';
    return start;
}

void buf_add(struct buf *buf, struct str bytes)
{
    char *out = buf_extend(buf, bytes.len);

    if (out != NULL && bytes.len > 0)
        memcpy(out, bytes.data, bytes.len);
}

void buf_add_text(struct buf *buf, const char *text)
{
    buf_add(buf, str_from(text));
}

void buf_add_byte(struct buf *buf, uint8_t byte)
{
    char *out = buf_extend(buf, 1);

    if (out != NULL)
        *out = (char)byte;
}

static void put_big_endian(char *out, uint64_t value, size_t len)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (char)(uint8_t)(value >> (8 * (len - 1 - i)));
}

void buf_add_u32(struct buf *buf, uint32_t value)
{
    char *out = buf_extend(buf, sizeof(value));

    if (out != NULL)
        put_big_endian(out, value, sizeof(value));
}

void buf_add_u64(struct buf *buf, uint64_t value)
{
    char *out = buf_extend(buf, sizeof(value));

    if (out != NULL)
        put_big_endian(out, value, sizeof(value));
}

void buf_add_hex(struct buf *buf, struct str bytes)
{
    char *out;

    /* a length past half of what can be is past every limit */
    out = buf_extend(buf, bytes.len > SIZE_MAX / 2 ? SIZE_MAX : bytes.len * 2);
    if (out == NULL)
        return;
    for (size_t i = 0; i < bytes.len; i++) {
        *out++ = hex_digits[(uint8_t)bytes.data[i] >> 4];
        *out++ = hex_digits[(uint8_t)bytes.data[i] & 15];
    }
}

void buf_add_sized(struct buf *buf, struct str bytes)
{
    char *out;

    out = buf_extend(buf, bytes.len > UINT32_MAX ? SIZE_MAX : bytes.len + sizeof(uint32_t));
    if (out == NULL)
        return;
    put_big_endian(out, bytes.len, sizeof(uint32_t));
    if (bytes.len > 0)
        memcpy(out + sizeof(uint32_t), bytes.data, bytes.len);
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list values;
    int len;

    va_start(values, format);
    len = vsnprintf(NULL, 0, format, values);
    va_end(values);
    if (len < 0) {
        buf->is_failed = true;
        return;
    }
    if (!buf_reserve(buf, (size_t)len))
        return;
    va_start(values, format);
    (void)vsnprintf(buf->data + buf->len, (size_t)len + 1, format, values); /* measured above */
    va_end(values);
    buf->len += (size_t)len;
}

static bool is_unreserved(char character)
{
    return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z') ||
           (character >= '0' && character <= '9') || character == '-' || character == '.' ||
           character == '_' || character == '~';
}

static void add_percent_byte(struct buf *buf, char character)
{
    char escape[3] = { '%', "0123456789ABCDEF"[(uint8_t)character >> 4],
                       "0123456789ABCDEF"[(uint8_t)character & 15] };

    buf_add(buf, (struct str){ escape, sizeof(escape) });
}

/* Take the appends since `len` back where one of them failed: an append is whole or not at all. */
static void take_back(struct buf *buf, size_t len)
{
    if (!buf->is_failed || buf->len == len)
        return;
    buf->len = len;
    buf->data[len] = '\0';
}

void buf_add_percent(struct buf *buf, struct str bytes)
{
    size_t before = buf->len;

    for (size_t i = 0; i < bytes.len && !buf->is_failed; i++) {
        if (is_unreserved(bytes.data[i]))
            buf_add_byte(buf, (uint8_t)bytes.data[i]);
        else
            add_percent_byte(buf, bytes.data[i]);
    }
    take_back(buf, before);
}

/* The letter of a two-character escape in JSON, or NUL (RFC 8259 7). */
static char json_escape_letter(char character)
{
    static const char escaped[] = "\"\\\b\f\n\r\t";
    static const char letters[] = "\"\\bfnrt";
    const char *found = character == '\0' ? NULL : strchr(escaped, character);

    return found == NULL ? '\0' : letters[found - escaped];
}

static void add_json_escape(struct buf *buf, char character)
{
    char letter = json_escape_letter(character);
    char pair[2] = { '\\', letter };
    char code[6] = { '\\',
                     'u',
                     '0',
                     '0',
                     hex_digits[(uint8_t)character >> 4],
                     hex_digits[(uint8_t)character & 15] };

    if (letter != '\0')
        buf_add(buf, (struct str){ pair, sizeof(pair) });
    else
        buf_add(buf, (struct str){ code, sizeof(code) });
}

static bool is_json_plain(char character)
{
    return (uint8_t)character >= 0x20 && character != '"' && character != '\\';
}

void buf_add_json_text(struct buf *buf, struct str utf8)
{
    size_t before = buf->len;
    size_t plain_start = 0;

    for (size_t i = 0; i < utf8.len; i++) {
        if (is_json_plain(utf8.data[i]))
            continue;
        buf_add(buf, str_slice(utf8, plain_start, i - plain_start));
        add_json_escape(buf, utf8.data[i]);
        plain_start = i + 1;
    }
    buf_add(buf, str_slice(utf8, plain_start, utf8.len));
    take_back(buf, before);
}
