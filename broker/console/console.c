#include "console/console.h"

#include "console/console_internal.h"

bool console_find(struct str name, struct console_file *file)
{
    for (size_t i = 0; i < console_row_count; i++) {
        const struct console_row *row = &console_rows[i];

        if (!str_eq(name, str_from(row->name)))
            continue;
        *file = (struct console_file){
            .name = str_from(row->name),
            .content_type = row->content_type,
            .bytes = { (const char *)row->bytes, *row->len },
            .etag = str_from(row->etag),
        };
        return true;
    }
    return false;
}

/* One tag of a list, and what is behind it; false where it is none. */
static bool next_tag(struct str *rest, struct str *tag)
{
    struct str text = str_trim(*rest);
    size_t quote;

    if (str_starts_with(text, STR("W/")))
        text = str_slice(text, 2, text.len);
    if (!str_starts_with(text, STR("\"")))
        return false;
    quote = str_find(str_slice(text, 1, text.len), '"') + 1;
    if (quote >= text.len)
        return false;
    *tag = str_slice(text, 0, quote + 1);
    *rest = str_trim(str_slice(text, quote + 1, text.len));
    if (rest->len > 0 && rest->data[0] != ',')
        return false;
    *rest = str_slice(*rest, rest->len > 0 ? 1 : 0, rest->len);
    return true;
}

bool console_is_known(const struct console_file *file, struct str if_none_match)
{
    struct str rest = str_trim(if_none_match);
    struct str tag;

    if (str_eq(rest, STR("*")))
        return true;
    while (rest.len > 0 && next_tag(&rest, &tag))
        if (str_eq(tag, file->etag))
            return true;
    return false;
}
