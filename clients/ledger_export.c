#include "clients/ledger_export.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/json.h"
#include "clients/bar.h"
#include "clients/ledger_source_internal.h"

#define HEADER_MAX ((size_t)64 * 1024)
#define READ_LEN ((size_t)256 * 1024)
#define BAR_BYTES_MIN ((size_t)32 * 1024 * 1024)
#define ROOT_TEXT_LEN 44
#define INDEX_PREFIX STR("{\"index\":")
#define ENTRY_PREFIX STR(",\"entry\":")
#define PRIVATE_PREFIX STR(",\"private\":")

static const struct json_limits header_limits = { HEADER_MAX, 4, 32 };
static const struct json_limits object_limits = { LEDGER_EXPORT_LINE_MAX, 32, 4096 };

/* ---- writing ---- */

void ledger_export_write_header(const struct ledger_export_header *header, struct buf *out)
{
    buf_printf(out, "{\"stagepass_export\":%d,\"complete\":%s,\"private\":%s,\"origin\":\"",
               LEDGER_EXPORT_VERSION, header->is_complete ? "true" : "false",
               header->has_private ? "true" : "false");
    buf_add_json_text(out, header->origin);
    buf_printf(out, "\",\"size\":%" PRIu64 ",\"root\":\"", header->size);
    buf_add_base64(out, (struct str){ (const char *)header->root.bytes, MERKLE_HASH_LEN });
    buf_add_text(out, "\",\"checkpoint\":\"");
    buf_add_json_text(out, header->note);
    buf_add_text(out, "\"}\n");
}

void ledger_export_write_line(const struct ledger_export_line *line, struct buf *out)
{
    buf_printf(out, "{\"index\":%" PRIu64 ",\"entry\":", line->index);
    buf_add(out, line->entry);
    if (line->private_part.len > 0) {
        buf_add(out, PRIVATE_PREFIX);
        buf_add(out, line->private_part);
    }
    buf_add_text(out, "}\n");
}

/* ---- reading ---- */

static bool read_root(struct str text, struct merkle_hash *root)
{
    uint8_t bytes[BASE64_DECODED_MAX(ROOT_TEXT_LEN)];
    size_t len;

    if (text.len != ROOT_TEXT_LEN || !base64_decode(text, bytes, &len) || len != MERKLE_HASH_LEN)
        return false;
    memcpy(root->bytes, bytes, MERKLE_HASH_LEN);
    return true;
}

bool ledger_export_read_header(struct str line, struct arena *arena,
                               struct ledger_export_header *header, struct error *error)
{
    struct error why = { 0 };
    json_t *json = NULL;
    const json_t *size;
    struct str root;

    if (!json_parse_object(line, header_limits, &json, &why))
        return error_set(error, ERROR_INVALID, "this is no export of a ledger: %s", why.cause);
    if (!json_keep(arena, json, error))
        return false;
    if (!json_object_get(json, "stagepass_export"))
        return error_set(error, ERROR_INVALID,
                         "this is no export of a ledger: its first line is no header, as `audit "
                         "export --format jsonl` writes it");
    if (json_integer_value(json_object_get(json, "stagepass_export")) != LEDGER_EXPORT_VERSION)
        return error_set(error, ERROR_INVALID, "this export is of another version than %d",
                         LEDGER_EXPORT_VERSION);
    size = json_object_get(json, "size");
    *header = (struct ledger_export_header){
        .is_complete = json_is_true(json_object_get(json, "complete")),
        .has_private = json_is_true(json_object_get(json, "private")),
        .origin = json_str(json_object_get(json, "origin")),
        .size = (uint64_t)json_integer_value(size),
        .note = json_str(json_object_get(json, "checkpoint")),
    };
    root = json_str(json_object_get(json, "root"));
    if (!json_is_integer(size) || json_integer_value(size) < 0 || !read_root(root, &header->root))
        return error_set(error, ERROR_INVALID, "the export's header has no size, or no root");
    return true;
}

/* Behind an object: its closing brace is found by counting, with texts passed over. */
static size_t skip_object(struct str text)
{
    bool is_in_text = false;
    size_t depth = 0;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];

        if (is_in_text && c == '\\')
            i++;
        else if (c == '"')
            is_in_text = !is_in_text;
        else if (!is_in_text && c == '{')
            depth++;
        else if (!is_in_text && c == '}' && --depth == 0)
            return i + 1;
        if (depth == 0 && !is_in_text)
            return 0; /* it does not begin with one */
    }
    return 0;
}

static bool take_prefix(struct str *text, struct str prefix)
{
    if (!str_starts_with(*text, prefix))
        return false;
    *text = str_slice(*text, prefix.len, text->len);
    return true;
}

static bool take_object(struct str *text, struct str *object)
{
    size_t len = skip_object(*text);

    *object = str_slice(*text, 0, len);
    *text = str_slice(*text, len, text->len);
    return len > 0;
}

static bool take_index(struct str *text, uint64_t *index)
{
    struct str digits = str_slice(*text, 0, str_find(*text, ','));
    int64_t value = 0;

    if (!str_is_made_of(digits, "0123456789") || !str_to_int64(digits, &value))
        return false;
    *index = (uint64_t)value;
    *text = str_slice(*text, digits.len, text->len);
    return true;
}

/* What is read on is parsed by whoever reads it; but a line is either good or refused here. */
static bool parses(struct str object)
{
    JSON_OWNED json_t *json = NULL;
    struct error ignored = { 0 };

    return json_parse_object(object, object_limits, &json, &ignored);
}

/* Where its parts are; whether they are JSON was asked when the file was opened. */
static bool find_parts(struct str text, struct ledger_export_line *line, struct error *error)
{
    struct ledger_export_line read = { 0 };
    struct str rest = text;

    if (text.len > LEDGER_EXPORT_LINE_MAX)
        return error_set(error, ERROR_INVALID, "a line is too long");
    if (!take_prefix(&rest, INDEX_PREFIX) || !take_index(&rest, &read.index) ||
        !take_prefix(&rest, ENTRY_PREFIX) || !take_object(&rest, &read.entry))
        return error_set(error, ERROR_INVALID, "a line is no entry of an export");
    if (take_prefix(&rest, PRIVATE_PREFIX) && !take_object(&rest, &read.private_part))
        return error_set(error, ERROR_INVALID, "a line is no entry of an export");
    if (!str_eq(rest, STR("}")))
        return error_set(error, ERROR_INVALID, "a line is no entry of an export");
    *line = read;
    return true;
}

bool ledger_export_read_line(struct str text, struct ledger_export_line *line, struct error *error)
{
    struct ledger_export_line read;

    if (!find_parts(text, &read, error))
        return false;
    if (!parses(read.entry) || (read.private_part.len > 0 && !parses(read.private_part)))
        return error_set(error, ERROR_INVALID, "a line is no entry of an export");
    *line = read;
    return true;
}

/* ---- as a source ---- */

/* Where entries stand: all lines are found, and hashed, when the file is opened. */
struct export
{
    struct ledger_source *source;
    int file;
    struct ledger_export_header header;
    struct line {
        uint64_t index; /* of the entry */
        off_t offset;
        size_t len;
        struct merkle_hash leaf;
    } * lines;
    size_t count;
    size_t capacity;
    struct merkle_frontier frontier;
    char *buffer; /* a line */
};

static bool refuse_line(const struct export *export, size_t number, const char *what,
                        struct error *error)
{
    return error_set(error, ERROR_INVALID, "%s:%zu: %s", export->source->facts.name, number, what);
}

static bool add_line(struct export *export, const struct line *line, struct error *error)
{
    if (export->count == export->capacity) {
        size_t capacity = export->capacity ? 2 * export->capacity : 1024;
        struct line *lines = reallocarray(export->lines, capacity, sizeof(*lines));

        if (!lines)
            return error_set(error, ERROR_MEMORY, "no memory for an export");
        export->lines = lines;
        export->capacity = capacity;
    }
    export->lines[export->count++] = *line;
    return true;
}

static bool take_entry(struct export *export, struct str text, off_t offset, struct error *error)
{
    struct line line = { .offset = offset, .len = text.len };
    struct ledger_export_line read;
    struct error why = { 0 };

    if (!ledger_export_read_line(text, &read, &why))
        return refuse_line(export, export->count + 2, why.cause, error);
    if (export->header.is_complete && read.index != export->count)
        return refuse_line(export, export->count + 2, "an entry is missing before it", error);
    if (export->count > 0 && read.index <= export->lines[export->count - 1].index)
        return refuse_line(export, export->count + 2, "its index is not behind the last one's",
                           error);
    if (read.index >= export->header.size)
        return refuse_line(export, export->count + 2, "it is behind the export's end", error);
    line.index = read.index;
    line.leaf = merkle_leaf(read.entry);
    merkle_frontier_add(&export->frontier, &line.leaf);
    return add_line(export, &line, error);
}

static bool take_line(struct export *export, struct str text, off_t offset, struct error *error)
{
    if (offset == 0)
        return ledger_export_read_header(text, export->source->arena, &export->header, error) ||
               error_wrap(error, "%s", export->source->facts.name);
    return take_entry(export, text, offset, error);
}

/* The whole lines of what was read; `*used` is where the rest begins. */
static bool take_lines(struct export *export, struct str text, off_t offset, size_t *used,
                       struct error *error)
{
    *used = 0;
    while (*used < text.len) {
        struct str rest = str_slice(text, *used, text.len);
        size_t len = str_find(rest, '\n');

        if (len == rest.len)
            break;
        if (!take_line(export, str_slice(rest, 0, len), offset + (off_t)*used, error))
            return false;
        *used += len + 1;
    }
    return true;
}

static ssize_t read_at(int file, char *bytes, size_t len, off_t offset)
{
    ssize_t count;

    do
        count = pread(file, bytes, len, offset);
    while (count < 0 && errno == EINTR);
    return count;
}

static bool scan(struct export *export, size_t total, struct bar *bar, struct error *error)
{
    size_t used;

    for (off_t offset = 0;; offset += (off_t)used) {
        ssize_t count = read_at(export->file, export->buffer, READ_LEN, offset);

        if (count < 0)
            return error_set_errno(error, "%s", export->source->facts.name);
        if (count == 0)
            return true;
        if (!take_lines(export, (struct str){ export->buffer, (size_t)count }, offset, &used,
                        error))
            return false;
        if (used == 0)
            return refuse_line(export, export->count + 1,
                               (size_t)count < READ_LEN ? "the last line is not whole: the file "
                                                          "was cut off"
                                                        : "a line is too long",
                               error);
        bar_show((size_t)offset, total, bar);
    }
}

static bool check_root(const struct export *export, struct error *error)
{
    struct merkle_hash root = merkle_frontier_root(&export->frontier);

    if (!export->header.is_complete)
        return true;
    if (export->count != export->header.size)
        return error_set(error, ERROR_INVALID,
                         "%s: it says that it has %" PRIu64 " entries, and has %zu",
                         export->source->facts.name, export->header.size, export->count);
    return merkle_hash_eq(&root, &export->header.root) ||
           error_set(error, ERROR_INVALID, "%s: its entries do not have the root that it says",
                     export->source->facts.name);
}

/* The header may say anything; its note, which a key signed, may not differ from it. */
static bool check_note(struct export *export, struct error *error)
{
    struct ledger_source *source = export->source;
    const struct ledger_export_header *header = &export->header;
    struct checkpoint checkpoint = { header->origin, header->size, header->root };

    if (header->note.len == 0 && source->trust.log_count > 0)
        return error_set(error, ERROR_INVALID, "%s has no checkpoint that a key could verify",
                         source->facts.name);
    if (header->note.len > 0 && !ledger_source_read_note(source, header->note, &checkpoint, error))
        return false;
    if (checkpoint.size != header->size || !merkle_hash_eq(&checkpoint.root, &header->root))
        return error_set(error, ERROR_INVALID, "%s: its checkpoint is of another size or root",
                         source->facts.name);
    return ledger_source_put_note(source, header->note, &checkpoint, error);
}

static bool scan_all(struct export *export, struct error *error)
{
    struct bar bar = { .what = "verifying", .total_min = BAR_BYTES_MIN };
    struct stat status;
    bool is_good;

    if (fstat(export->file, &status) != 0)
        return error_set_errno(error, "%s", export->source->facts.name);
    if (!S_ISREG(status.st_mode))
        return error_set(error, ERROR_INVALID, "%s is no file", export->source->facts.name);
    is_good = scan(export, (size_t)status.st_size, &bar, error);
    bar_end(&bar);
    if (is_good && status.st_size == 0)
        return error_set(error, ERROR_INVALID, "%s is empty", export->source->facts.name);
    return is_good && check_root(export, error) && check_note(export, error);
}

/* A file does not grow: another export is another file. */
static bool refresh(struct ledger_source *source, struct error *error)
{
    (void)source;
    (void)error;
    return true;
}

/* Which line has an index, or the first one behind it. */
static size_t find_line(const struct export *export, uint64_t index)
{
    size_t low = 0;
    size_t high = export->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (export->lines[middle].index < index)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static uint64_t next(const struct ledger_source *source, uint64_t index)
{
    const struct export *export = source->reader;
    size_t number = find_line(export, index);

    return number < export->count ? export->lines[number].index : source->size;
}

static bool refuse_changed(const struct ledger_source *source, struct error *error)
{
    return error_set(error, ERROR_IO, "%s was changed while it was read", source->facts.name);
}

static bool get(struct ledger_source *source, uint64_t index, struct ledger_item *item,
                struct error *error)
{
    struct export *export = source->reader;
    size_t number = find_line(export, index);
    const struct line *line = &export->lines[number];
    struct ledger_export_line read;
    struct merkle_hash leaf;

    if (number == export->count || line->index != index)
        return error_set(error, ERROR_NOT_FOUND, "it is not in this export");
    if (read_at(export->file, export->buffer, line->len, line->offset) != (ssize_t)line->len)
        return refuse_changed(source, error);
    if (!find_parts((struct str){ export->buffer, line->len }, &read, error))
        return false;
    leaf = merkle_leaf(read.entry);
    if (!merkle_hash_eq(&leaf, &line->leaf)) /* it is not what the root was made of */
        return refuse_changed(source, error);
    item->entry = read.entry;
    if (source->wants_private)
        item->private_part = read.private_part;
    return true;
}

static void close_export(void *reader)
{
    struct export *export = reader;

    if (export->file >= 0)
        (void)close(export->file); /* read-only, nothing to lose */
    free(export->lines);
    free(export->buffer);
    free(export);
}

static const struct ledger_ways export_ways = { refresh, get, next, NULL, close_export };

bool ledger_source_open_export(struct ledger_source *source, struct error *error)
{
    struct export *export = calloc(1, sizeof(*export));

    if (!export)
        return error_set(error, ERROR_MEMORY, "no memory for an export");
    export->source = source;
    export->file = -1;
    source->facts.kind = LEDGER_EXPORT;
    source->ways = &export_ways;
    source->reader = export;
    export->buffer = malloc(READ_LEN);
    if (!export->buffer)
        return error_set(error, ERROR_MEMORY, "no memory for an export");
    export->file = open(source->facts.name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (export->file < 0)
        return error_set_errno(error, "%s", source->facts.name);
    if (!scan_all(export, error))
        return false;
    source->facts.is_proven = export->header.is_complete;
    source->facts.has_private = export->header.has_private;
    source->size = export->header.size;
    return true;
}
