#include "base/utf8.h"

/* How a character of 1, 2, 3 and 4 bytes starts, and the least that may be written with as many. */
static const struct form {
    uint8_t mask;
    uint8_t lead;
    uint32_t min;
} forms[] = {
    { 0x80, 0x00, 0x0 },
    { 0xE0, 0xC0, 0x80 },
    { 0xF0, 0xE0, 0x800 },
    { 0xF8, 0xF0, 0x10000 },
};

static const struct range {
    uint32_t first;
    uint32_t last;
} not_plain[] = {
    { 0x00, 0x1F },     { 0x7F, 0x9F },     { 0x061C, 0x061C },
    { 0x200E, 0x200F }, { 0x2028, 0x202E }, { 0x2066, 0x2069 },
    { 0xFDD0, 0xFDEF }, { 0xFEFF, 0xFEFF }, { 0xFFFE, 0xFFFF },
};

/* Plain characters that are not seen, or only as a space that is none. */
static const struct range not_seen[] = {
    { 0xA0, 0xA0 },     { 0xAD, 0xAD },       { 0x034F, 0x034F },   { 0x115F, 0x1160 },
    { 0x1680, 0x1680 }, { 0x17B4, 0x17B5 },   { 0x180B, 0x180F },   { 0x2000, 0x200D },
    { 0x202F, 0x202F }, { 0x205F, 0x2065 },   { 0x206A, 0x206F },   { 0x2800, 0x2800 },
    { 0x3000, 0x3000 }, { 0x3164, 0x3164 },   { 0xFE00, 0xFE0F },   { 0xFFA0, 0xFFA0 },
    { 0xFFF0, 0xFFF8 }, { 0x1BCA0, 0x1BCA3 }, { 0x1D173, 0x1D17A }, { 0xE0000, 0xE0FFF },
};

static bool take_form(struct str *rest, const struct form *form, size_t len, uint32_t *character)
{
    uint32_t value = (uint8_t)rest->data[0] & (uint8_t)~form->mask;

    if (len > rest->len)
        return false;
    for (size_t i = 1; i < len; i++) {
        uint8_t byte = (uint8_t)rest->data[i];

        if ((byte & 0xC0) != 0x80)
            return false;
        value = value << 6 | (byte & 0x3F);
    }
    if (value < form->min || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF))
        return false;
    *rest = str_slice(*rest, len, rest->len - len);
    *character = value;
    return true;
}

bool utf8_take(struct str *rest, uint32_t *character)
{
    if (rest->len == 0)
        return false;
    if ((uint8_t)rest->data[0] < 0x80) { /* most of all text */
        *character = (uint8_t)rest->data[0];
        *rest = (struct str){ rest->data + 1, rest->len - 1 };
        return true;
    }
    for (size_t i = 0; i < COUNT(forms); i++) {
        if (((uint8_t)rest->data[0] & forms[i].mask) == forms[i].lead)
            return take_form(rest, &forms[i], i + 1, character);
    }
    return false;
}

/* Past one character, or past one byte that belongs to none. */
static void skip(struct str *rest)
{
    uint32_t character;

    if (!utf8_take(rest, &character))
        *rest = str_slice(*rest, 1, rest->len);
}

size_t utf8_count(struct str text)
{
    size_t count = 0;

    for (; text.len > 0; count++)
        skip(&text);
    return count;
}

size_t utf8_offset(struct str text, size_t count)
{
    struct str rest = text;

    for (; count > 0 && rest.len > 0; count--)
        skip(&rest);
    return text.len - rest.len;
}

static bool is_in(uint32_t character, const struct range *ranges, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (character >= ranges[i].first && character <= ranges[i].last)
            return true;
    }
    return false;
}

bool utf8_is_plain(uint32_t character)
{
    if (character >= 0x20 && character < 0x7F)
        return true;
    return !is_in(character, not_plain, COUNT(not_plain));
}

bool utf8_is_seen(uint32_t character)
{
    if (character < 0x7F)
        return true;
    return !is_in(character, not_seen, COUNT(not_seen));
}

struct str utf8_take_plain(struct str *rest)
{
    struct str before = *rest;
    uint32_t character = 0;
    bool is_plain = utf8_take(rest, &character) && utf8_is_plain(character);

    if (rest->len == before.len)
        *rest = str_slice(before, 1, before.len);
    return is_plain ? str_slice(before, 0, before.len - rest->len) : STR("?");
}
