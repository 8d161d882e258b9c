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

bool utf8_is_plain(uint32_t character)
{
    for (size_t i = 0; i < COUNT(not_plain); i++) {
        if (character >= not_plain[i].first && character <= not_plain[i].last)
            return false;
    }
    return true;
}
