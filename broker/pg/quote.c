#include "pg/quote.h"

bool pg_is_name(struct str text)
{
    return text.len > 0 && text.len <= PG_NAME_MAX && str_find(text, '\0') == text.len &&
           str_is_utf8(text);
}

bool pg_add_identifier(struct buf *buf, struct str text)
{
    if (!pg_is_name(text))
        return false;
    buf_add_text(buf, "\"");
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '"')
            buf_add_text(buf, "\"");
        buf_add_byte(buf, (uint8_t)text.data[i]);
    }
    buf_add_text(buf, "\"");
    return true;
}
