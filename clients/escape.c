#include "clients/escape.h"

#include <string.h>

#include "base/macros.h"
#include "base/utf8.h"

#define EMOJI_NAME                                                                                 \
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"                                         \
    "0123456789_+-"

/* ---- documents ---- */

/* Whether a ':' begins what becomes something else: the "://" of a link, or an emoji's name. */
static bool is_special_colon(struct str behind)
{
    size_t len = 0;

    while (len < behind.len && str_is_made_of(str_slice(behind, len, 1), EMOJI_NAME))
        len++;
    if (len == 2 && str_is_made_of(str_slice(behind, 0, 2), "0123456789"))
        return false; /* the minutes of a time, and no emoji */
    return str_starts_with(behind, STR("/")) ||
           (len > 0 && len < behind.len && behind.data[len] == ':');
}

/* What Markdown makes something of. Round brackets are but behind square ones. */
static bool is_special(struct str character, struct str behind)
{
    if (character.len != 1)
        return false;
    if (character.data[0] == ':')
        return is_special_colon(behind);
    return strchr("&<>@\\`*_{}[]#+!|~$", character.data[0]) != NULL;
}

void escape_markdown(struct str text, struct buf *out)
{
    while (text.len > 0) {
        struct str character = utf8_take_plain(&text);

        if (is_special(character, text))
            buf_printf(out, "&#%u;", (unsigned)(uint8_t)character.data[0]);
        else
            buf_add(out, character);
    }
}

/* Source: HTML 13.3, "escaping a string" */
void escape_html(struct str text, struct buf *out)
{
    while (text.len > 0) {
        struct str character = utf8_take_plain(&text);

        if (character.len == 1 && strchr("&<>\"'`=", character.data[0]) != NULL)
            buf_printf(out, "&#%u;", (unsigned)(uint8_t)character.data[0]);
        else
            buf_add(out, character);
    }
}

/* ---- cells ---- */

/* "=", "+", "-", "@", their full-width forms, and what is trimmed before a formula is looked for.
 */
static bool is_formula(struct str text)
{
    static const uint32_t starts[] = { '=', '+', '-', '@', 0xFF1D, 0xFF0B, 0xFF0D, 0xFF20 };
    uint32_t character = 0;

    while (text.len > 0 && (unsigned char)text.data[0] <= ' ')
        text = str_slice(text, 1, text.len);
    if (!utf8_take(&text, &character))
        return false;
    for (size_t i = 0; i < COUNT(starts); i++)
        if (character == starts[i])
            return true;
    return false;
}

static void add_cell_character(struct buf *out, struct str bytes, uint32_t character)
{
    if (character == '"')
        buf_add_text(out, "\"\"");
    else if (utf8_is_plain(character))
        buf_add(out, bytes);
    else
        buf_add_byte(out, ' ');
}

void escape_csv_cell(struct str text, struct buf *out)
{
    buf_add_byte(out, '"');
    if (is_formula(text))
        buf_add_byte(out, '\'');
    while (text.len > 0) {
        struct str rest = text;
        uint32_t character = 0;

        if (!utf8_take(&rest, &character))
            rest = str_slice(text, 1, text.len); /* and it is a blank */
        add_cell_character(out, str_slice(text, 0, text.len - rest.len), character);
        text = rest;
    }
    buf_add_byte(out, '"');
}
