#include "base/diagnostic.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

#define CAPACITY_FIRST 4

static const char *const severity_names[] = {
    [DIAGNOSTIC_ERROR] = "error",
    [DIAGNOSTIC_WARNING] = "warning",
};

void diagnostics_init(struct diagnostics *diagnostics, struct arena *arena)
{
    *diagnostics = (struct diagnostics){ .arena = arena };
}

/* Room for more: most runs have a few, if any. */
static bool grow(struct diagnostics *diagnostics)
{
    size_t capacity = diagnostics->capacity == 0 ? CAPACITY_FIRST : diagnostics->capacity * 2;
    struct diagnostic *list;

    capacity = capacity > DIAGNOSTICS_MAX ? DIAGNOSTICS_MAX : capacity;
    list = arena_alloc_array(diagnostics->arena, capacity, sizeof(*list));
    if (list == NULL)
        return false;
    if (diagnostics->count > 0)
        memcpy(list, diagnostics->list, diagnostics->count * sizeof(*list));
    diagnostics->list = list;
    diagnostics->capacity = capacity;
    return true;
}

/* Where the next one goes; NULL where there is no room or no memory for it. */
static struct diagnostic *next_entry(struct diagnostics *diagnostics)
{
    if (diagnostics->count == DIAGNOSTICS_MAX ||
        (diagnostics->count == diagnostics->capacity && !grow(diagnostics)))
        return NULL;
    return &diagnostics->list[diagnostics->count];
}

/* Keep of the source line what is shown. A line may be as long as its file. */
static void keep_source(struct arena *arena, struct str line, struct diagnostic *entry)
{
    size_t before = entry->at.column > 0 ? entry->at.column - 1 : 0;
    size_t first = before > DIAGNOSTIC_SOURCE_MAX / 2 ? before - DIAGNOSTIC_SOURCE_MAX / 2 : 0;
    struct str piece;
    bool is_cut;

    if (utf8_count(line) <= DIAGNOSTIC_SOURCE_MAX)
        first = 0;
    piece = str_slice(line, utf8_offset(line, first), line.len);
    is_cut = utf8_count(piece) > DIAGNOSTIC_SOURCE_MAX;
    piece.len = utf8_offset(piece, DIAGNOSTIC_SOURCE_MAX);
    entry->caret = before - first + (first > 0 ? 3 : 0);
    entry->source = arena_printf(arena, "%s" STR_FMT "%s", first > 0 ? "..." : "", STR_ARG(piece),
                                 is_cut ? "..." : "");
}

bool diagnostics_add(struct diagnostics *diagnostics, enum diagnostic_severity severity,
                     struct position at, struct str source, struct str hint, const char *format,
                     ...)
{
    struct diagnostic *entry = next_entry(diagnostics);
    struct arena *arena = diagnostics->arena;
    char message[DIAGNOSTIC_TEXT_MAX];
    va_list values;

    if (severity == DIAGNOSTIC_ERROR)
        diagnostics->error_count++;
    diagnostics->last_was_dropped = entry == NULL;
    if (entry == NULL) {
        diagnostics->dropped_count++;
        return severity != DIAGNOSTIC_ERROR;
    }
    va_start(values, format);
    (void)vsnprintf(message, sizeof(message), format, values);
    va_end(values);
    *entry = (struct diagnostic){ .severity = severity, .at = at };
    entry->at.file = arena_copy(arena, at.file);
    entry->message = arena_copy(arena, str_from(message));
    entry->hint = arena_copy(arena, str_slice(hint, 0, DIAGNOSTIC_TEXT_MAX));
    if (source.len > 0)
        keep_source(arena, source, entry);
    diagnostics->count++;
    return severity != DIAGNOSTIC_ERROR;
}

void diagnostics_append(struct diagnostics *diagnostics, const struct diagnostics *from)
{
    struct arena *arena = diagnostics->arena;

    for (size_t i = 0; i < from->count; i++) {
        struct diagnostic *entry = next_entry(diagnostics);

        diagnostics->last_was_dropped = entry == NULL;
        diagnostics->dropped_count += entry == NULL;
        if (entry == NULL)
            continue;
        *entry = from->list[i];
        entry->at.file = arena_copy(arena, entry->at.file);
        entry->message = arena_copy(arena, entry->message);
        entry->hint = arena_copy(arena, entry->hint);
        entry->source = arena_copy(arena, entry->source);
        entry->related.file = arena_copy(arena, entry->related.file);
        entry->related_note = arena_copy(arena, entry->related_note);
        diagnostics->count++;
    }
    diagnostics->error_count += from->error_count;
    diagnostics->dropped_count += from->dropped_count;
}

static struct diagnostic *last_entry(struct diagnostics *diagnostics)
{
    if (diagnostics->last_was_dropped || diagnostics->count == 0)
        return NULL;
    return &diagnostics->list[diagnostics->count - 1];
}

void diagnostics_name(struct diagnostics *diagnostics, const char *rule)
{
    struct diagnostic *entry = last_entry(diagnostics);

    if (entry != NULL)
        entry->rule = rule;
}

void diagnostics_relate(struct diagnostics *diagnostics, struct position at, struct str note)
{
    struct diagnostic *entry = last_entry(diagnostics);

    if (entry == NULL)
        return;
    entry->related = at;
    entry->related.file = arena_copy(diagnostics->arena, at.file);
    entry->related_note = arena_copy(diagnostics->arena, str_slice(note, 0, DIAGNOSTIC_TEXT_MAX));
}

/* Add text from a file so that it cannot steer a terminal. */
static void add_visible(struct buf *buf, struct str text)
{
    while (text.len > 0) {
        struct str before = text;
        uint32_t character = 0;
        bool is_plain = utf8_take(&text, &character);

        if (!is_plain)
            text = str_slice(text, 1, text.len);
        if (is_plain && (character == '\t' || utf8_is_plain(character)))
            buf_add(buf, str_slice(before, 0, before.len - text.len));
        else
            buf_add_byte(buf, '?');
    }
}

/* The line under the source: tabs stay tabs, so that the caret stands where the eye expects it. */
static void write_caret(const struct diagnostic *entry, struct buf *buf)
{
    struct str before = str_slice(entry->source, 0, utf8_offset(entry->source, entry->caret));
    uint32_t character = 0;

    while (before.len > 0) {
        if (!utf8_take(&before, &character))
            before = str_slice(before, 1, before.len);
        buf_add_byte(buf, character == '\t' ? '\t' : ' ');
    }
    buf_add_text(buf, "^\n");
}

static void write_one(const struct diagnostic *entry, struct buf *buf)
{
    add_visible(buf, entry->at.file);
    if (entry->at.line > 0)
        buf_printf(buf, ":%zu:%zu", entry->at.line, entry->at.column);
    buf_printf(buf, ": %s: ", severity_names[entry->severity]);
    add_visible(buf, entry->message);
    buf_add_text(buf, "\n");
    if (entry->source.len > 0) {
        buf_printf(buf, "%5zu | ", entry->at.line);
        add_visible(buf, entry->source);
        buf_add_text(buf, "\n      | ");
        write_caret(entry, buf);
    }
    if (entry->hint.len > 0) {
        buf_add_text(buf, "  hint: ");
        add_visible(buf, entry->hint);
        buf_add_text(buf, "\n");
    }
    if (entry->related.line > 0) {
        add_visible(buf, entry->related.file);
        buf_printf(buf, ":%zu:%zu: note: ", entry->related.line, entry->related.column);
        add_visible(buf, entry->related_note);
        buf_add_text(buf, "\n");
    }
}

void diagnostics_write(const struct diagnostics *diagnostics, struct buf *buf)
{
    for (size_t i = 0; i < diagnostics->count; i++)
        write_one(&diagnostics->list[i], buf);
    if (diagnostics->dropped_count > 0)
        buf_printf(buf, "and %zu more that are not shown\n", diagnostics->dropped_count);
}
