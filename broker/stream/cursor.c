#include "stream/cursor.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/base64.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "ledger/entry.h"
#include "store/store.h"

#define VERSION 1
#define CURSOR_MAX ((size_t)4096)

static const struct json_limits cursor_limits = { CURSOR_MAX, 2, 8 };

static bool refuse(const char *path, const char *why, struct error *error)
{
    return error_set(error, ERROR_INVALID,
                     "%s %s; to begin anew, stop the broker and remove that file", path, why);
}

static bool read_int(const json_t *document, const char *name, int64_t *value)
{
    const json_t *number = json_object_get(document, name);

    *value = json_integer_value(number);
    return json_is_integer(number) && *value >= 0;
}

static bool read_fields(const json_t *document, struct cursor *cursor, struct str *origin)
{
    struct str leaf = { 0 };
    int64_t version = 0;
    int64_t next = 0;

    if (!read_int(document, "version", &version) || version != VERSION ||
        !read_int(document, "next", &next) || !json_get_str(document, "origin", origin) ||
        !json_get_str(document, "leaf", &leaf) || leaf.len != (size_t)2 * MERKLE_HASH_LEN ||
        !hex_decode(leaf, cursor->leaf.bytes))
        return false;
    cursor->next = (uint64_t)next;
    return true;
}

bool cursor_load(const char *path, struct str origin, struct cursor *cursor, bool *is_there,
                 struct error *error)
{
    OWNED(arena_free) struct arena *arena = arena_new(4 * CURSOR_MAX);
    JSON_OWNED json_t *document = NULL;
    struct str text = { 0 };
    struct str other = { 0 };

    *is_there = access(path, F_OK) == 0 || errno != ENOENT;
    if (!*is_there)
        return true;
    if (arena == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for a cursor");
    if (!file_read(arena, path, CURSOR_MAX, &text, error))
        return false;
    if (!json_parse_object(text, cursor_limits, &document, &(struct error){ 0 }) ||
        !read_fields(document, cursor, &other))
        return refuse(path, "is no cursor", error);
    return str_eq(other, origin) || refuse(path, "is of a ledger with another origin", error);
}

bool cursor_at(struct store_reader *reader, uint64_t next, struct cursor *cursor,
               struct error *error)
{
    struct str entry = { 0 };

    *cursor = (struct cursor){ .next = next };
    if (next == 0)
        return true;
    if (!store_reader_get(reader, next - 1, &entry, NULL, error))
        return false;
    cursor->leaf = entry_leaf(entry);
    return true;
}

bool cursor_check(const char *path, const struct cursor *cursor, struct store_reader *reader,
                  struct error *error)
{
    struct cursor here;

    if (cursor->next > store_reader_size(reader))
        return error_set(error, ERROR_INVALID,
                         "%s is at entry %" PRIu64 ", and the ledger has %" PRIu64
                         ": it is another one, or older; to begin anew, stop the broker and "
                         "remove that file",
                         path, cursor->next, store_reader_size(reader));
    if (!cursor_at(reader, cursor->next, &here, error))
        return false;
    return merkle_hash_eq(&here.leaf, &cursor->leaf) ||
           refuse(path, "is of another ledger: the entry before it is not this one's", error);
}

bool cursor_save(const char *path, struct str origin, const struct cursor *cursor,
                 struct error *error)
{
    OWNED(buf_release) struct buf text = { 0 };
    OWNED(buf_release) struct buf leaf = { 0 };
    JSON_OWNED json_t *document = json_object();

    buf_init(&text, CURSOR_MAX);
    buf_init(&leaf, (size_t)2 * MERKLE_HASH_LEN);
    buf_add_hex(&leaf, (struct str){ (const char *)cursor->leaf.bytes, MERKLE_HASH_LEN });
    if (!json_put(document, "version", json_integer(VERSION)) ||
        !json_put(document, "origin", json_from_str(origin)) ||
        !json_put(document, "next", json_integer((json_int_t)cursor->next)) ||
        !json_put(document, "leaf", json_from_str(buf_str(&leaf))))
        return error_set(error, ERROR_MEMORY, "no memory for a cursor");
    buf_add_json(&text, document);
    buf_add_text(&text, "\n");
    if (!buf_is_ok(&text))
        return error_set(error, ERROR_MEMORY, "no memory for a cursor");
    return file_replace(path, buf_str(&text), 0600, error);
}
