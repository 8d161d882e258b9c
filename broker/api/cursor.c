#include "api/cursor.h"

#include <inttypes.h>
#include <string.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/error.h"
#include "http/form.h"

#define CURSOR_LEN (1 + SHA256_LEN + 8)
#define CURSOR_TEXT_MAX 64

struct str cursor_write(const struct cursor *cursor, struct arena *arena)
{
    OWNED(buf_release) struct buf bytes = { 0 };
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&bytes, CURSOR_LEN);
    buf_init(&text, CURSOR_TEXT_MAX);
    buf_add_byte(&bytes, cursor->list);
    buf_add(&bytes, (struct str){ (const char *)cursor->sha256, SHA256_LEN });
    buf_add_u64(&bytes, cursor->position);
    buf_add_base64url(&text, buf_str(&bytes));
    if (!buf_is_ok(&bytes) || !buf_is_ok(&text))
        return (struct str){ 0 };
    return arena_copy(arena, buf_str(&text));
}

static uint64_t read_u64(const uint8_t *bytes)
{
    uint64_t value = 0;

    for (size_t i = 0; i < 8; i++)
        value = value << 8 | bytes[i];
    return value;
}

static bool parse(struct str text, uint64_t end, struct cursor *cursor)
{
    uint8_t bytes[BASE64_DECODED_MAX(CURSOR_TEXT_MAX)];
    size_t len = 0;

    if (text.len > CURSOR_TEXT_MAX || !base64url_decode(text, bytes, &len) || len != CURSOR_LEN ||
        bytes[0] != cursor->list || memcmp(bytes + 1, cursor->sha256, SHA256_LEN) != 0)
        return false;
    cursor->position = read_u64(bytes + 1 + SHA256_LEN);
    return cursor->position > 0 && cursor->position < end;
}

bool cursor_read(struct str query, struct arena *arena, uint64_t end, struct cursor *cursor,
                 struct error *error)
{
    static const char *const parameters[] = { "cursor", NULL };
    struct form *form = arena_alloc(arena, sizeof(*form));
    struct str text;

    cursor->position = 0;
    if (!form)
        return error_set(error, ERROR_MEMORY, "query");
    if (!form_parse(query, parameters, arena, form, error))
        return false;
    if (form->count == 0)
        return true;
    if (form->count > 1 || !form_get(form, "cursor", &text))
        return error_set(error, ERROR_REQUEST, "a query with another parameter than 'cursor'");
    return cursor_parse(text, end, cursor, error);
}

bool cursor_parse(struct str text, uint64_t end, struct cursor *cursor, struct error *error)
{
    return parse(text, end, cursor) ||
           error_set(error, ERROR_REQUEST, "a cursor of another list, or of none");
}

bool page_limit_read(struct str text, int64_t max, int64_t *limit, struct error *error)
{
    return (str_to_int64(text, limit) && *limit >= 1 && *limit <= max) ||
           error_set(error, ERROR_REQUEST, "'limit': 1 to %" PRId64, max);
}
