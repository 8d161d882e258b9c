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

struct str diagnostic_nearest(struct arena *arena, struct str name, const struct str *names,
                              size_t count)
{
    struct str nearest = names == NULL ? STR("") : str_nearest(name, names, count);

    if (nearest.len == 0)
        return STR("");
    return arena_printf(arena, "did you mean '" STR_FMT "'?", STR_ARG(nearest));
}

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

/* The place behind the last warning; 0 where there is none. */
static size_t behind_warnings(const struct diagnostics *diagnostics)
{
    size_t index = diagnostics->count;

    while (index > 0 && diagnostics->list[index - 1].severity != DIAGNOSTIC_WARNING)
        index--;
    return index;
}

bool diagnostics_have_room(const struct diagnostics *diagnostics, enum diagnostic_severity severity)
{
    return diagnostics->count < DIAGNOSTICS_MAX ||
           (severity == DIAGNOSTIC_ERROR && behind_warnings(diagnostics) > 0);
}

static void drop_warning(struct diagnostics *diagnostics)
{
    size_t behind = behind_warnings(diagnostics);

    memmove(&diagnostics->list[behind - 1], &diagnostics->list[behind],
            (diagnostics->count - behind) * sizeof(*diagnostics->list));
    diagnostics->count--;
    diagnostics->dropped_count++;
}

/* Where the next one goes; NULL where there is no room or no memory for it. */
static struct diagnostic *next_entry(struct diagnostics *diagnostics,
                                     enum diagnostic_severity severity)
{
    if (!diagnostics_have_room(diagnostics, severity))
        return NULL;
    if (diagnostics->count == DIAGNOSTICS_MAX)
        drop_warning(diagnostics);
    if (diagnostics->count == diagnostics->capacity && !grow(diagnostics))
        return NULL;
    return &diagnostics->list[diagnostics->count];
}

/* What is shown of a source line, which may be as long as its file, and where its caret is. */
static struct str cut_source(struct arena *arena, struct str line, size_t column, size_t *caret)
{
    size_t before = column > 0 ? column - 1 : 0;
    size_t first = before > DIAGNOSTIC_SOURCE_MAX / 2 ? before - DIAGNOSTIC_SOURCE_MAX / 2 : 0;
    struct str piece;
    bool is_cut;

    if (utf8_offset(line, DIAGNOSTIC_SOURCE_MAX) == line.len)
        first = 0;
    piece = str_slice(line, utf8_offset(line, first), line.len);
    is_cut = utf8_offset(piece, DIAGNOSTIC_SOURCE_MAX) < piece.len;
    piece.len = utf8_offset(piece, DIAGNOSTIC_SOURCE_MAX);
    *caret = before - first + (first > 0 ? 3 : 0);
    return arena_printf(arena, "%s" STR_FMT "%s", first > 0 ? "..." : "", STR_ARG(piece),
                        is_cut ? "..." : "");
}

bool diagnostics_add(struct diagnostics *diagnostics, enum diagnostic_severity severity,
                     struct position at, struct str source, struct str hint, const char *format,
                     ...)
{
    struct diagnostic *entry = next_entry(diagnostics, severity);
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
    *entry = (struct diagnostic){ .severity = severity, .at = at, .width = 1 };
    entry->at.file = arena_copy(arena, at.file);
    entry->message = arena_copy(arena, str_from(message));
    entry->hint = arena_copy(arena, str_slice(hint, 0, DIAGNOSTIC_TEXT_MAX));
    if (source.len > 0)
        entry->source = cut_source(arena, source, at.column, &entry->caret);
    diagnostics->count++;
    return severity != DIAGNOSTIC_ERROR;
}

/* ---- the same mistake, related to several places ---- */

bool position_eq(const struct position *a, const struct position *b)
{
    return a->line == b->line && a->column == b->column && str_eq(a->file, b->file);
}

static bool is_same_rule(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && str_eq(str_from(a), str_from(b)));
}

/* The one among the first `count` that says the same with another related place, or NULL. */
static struct diagnostic *find_same(const struct diagnostics *diagnostics, size_t count,
                                    const struct diagnostic *entry)
{
    for (size_t i = 0; entry->related.line > 0 && i < count; i++) {
        struct diagnostic *other = &diagnostics->list[i];

        if (other->related.line > 0 && position_eq(&other->at, &entry->at) &&
            other->severity == entry->severity && str_eq(other->message, entry->message) &&
            is_same_rule(other->rule, entry->rule))
            return other;
    }
    return NULL;
}

/* Count an entry as the repeat of another one, instead of by itself. */
static void count_repeat(struct diagnostics *diagnostics, struct diagnostic *same,
                         const struct diagnostic *entry)
{
    same->repeat_count += 1 + entry->repeat_count;
    if (entry->severity == DIAGNOSTIC_ERROR)
        diagnostics->error_count--;
}

static void append(struct diagnostics *diagnostics, const struct diagnostic *from)
{
    struct diagnostic *same = find_same(diagnostics, diagnostics->count, from);
    struct diagnostic *entry = same == NULL ? next_entry(diagnostics, from->severity) : NULL;
    struct arena *arena = diagnostics->arena;

    diagnostics->last_was_dropped = entry == NULL;
    if (same != NULL) {
        count_repeat(diagnostics, same, from);
        return;
    }
    diagnostics->dropped_count += entry == NULL;
    if (entry == NULL)
        return;
    *entry = *from;
    entry->at.file = arena_copy(arena, from->at.file);
    entry->message = arena_copy(arena, from->message);
    entry->hint = arena_copy(arena, from->hint);
    entry->source = arena_copy(arena, from->source);
    entry->related.file = arena_copy(arena, from->related.file);
    entry->related_note = arena_copy(arena, from->related_note);
    entry->related_source = arena_copy(arena, from->related_source);
    diagnostics->count++;
}

void diagnostics_append(struct diagnostics *diagnostics, const struct diagnostics *from)
{
    diagnostics->error_count += from->error_count;
    diagnostics->dropped_count += from->dropped_count;
    for (size_t i = 0; i < from->count; i++)
        append(diagnostics, &from->list[i]);
}

/* ---- more about the last one ---- */

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

void diagnostics_underline(struct diagnostics *diagnostics, size_t width)
{
    struct diagnostic *entry = last_entry(diagnostics);

    if (entry != NULL && width > 0)
        entry->width = width;
}

void diagnostics_relate(struct diagnostics *diagnostics, struct position at, struct str source,
                        struct str note)
{
    struct diagnostic *entry = last_entry(diagnostics);
    struct arena *arena = diagnostics->arena;
    struct diagnostic *same;

    if (entry == NULL)
        return;
    entry->related = at;
    same = find_same(diagnostics, diagnostics->count - 1, entry);
    if (same != NULL) {
        count_repeat(diagnostics, same, entry);
        diagnostics->count--;
        diagnostics->last_was_dropped = true;
        return;
    }
    entry->related.file = arena_copy(arena, at.file);
    entry->related_note = arena_copy(arena, str_slice(note, 0, DIAGNOSTIC_TEXT_MAX));
    if (source.len > 0)
        entry->related_source = cut_source(arena, source, at.column, &entry->related_caret);
}

/* ---- printing ---- */

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

/* What a report is written with. */
struct writing {
    const struct diagnostic_paint *paint;
    const char *severity; /* the paint of the one at hand */
    struct buf *buf;
};

static void write_painted(const struct writing *writing, const char *code, const char *text)
{
    buf_add_text(writing->buf, code);
    buf_add_text(writing->buf, text);
    buf_add_text(writing->buf, writing->paint->stop);
}

/* Tabs stay tabs, so that the caret stands where the eye expects it. */
static void write_blanks(struct str before, struct buf *buf)
{
    uint32_t character = 0;

    while (before.len > 0) {
        if (!utf8_take(&before, &character))
            before = str_slice(before, 1, before.len);
        buf_add_byte(buf, character == '\t' ? '\t' : ' ');
    }
}

/* A source line, and the one under it with what is meant. */
struct line {
    size_t number;
    struct str source;
    size_t caret;
    size_t width;
    const char *code; /* paint of the caret */
};

static void write_caret(const struct writing *writing, const struct line *line)
{
    struct str before = str_slice(line->source, 0, utf8_offset(line->source, line->caret));
    size_t behind = utf8_count(str_slice(line->source, before.len, line->source.len));
    struct buf *buf = writing->buf;

    write_blanks(before, buf);
    buf_add_text(buf, line->code);
    buf_add_byte(buf, '^');
    for (size_t i = 1; i < line->width && i < behind; i++)
        buf_add_byte(buf, '~');
    buf_add_text(buf, writing->paint->stop);
    buf_add_byte(buf, '\n');
}

static void write_source(const struct writing *writing, const struct line *line)
{
    struct buf *buf = writing->buf;

    if (line->source.len == 0)
        return;
    buf_add_text(buf, writing->paint->faint);
    buf_printf(buf, "%5zu |", line->number);
    buf_add_text(buf, writing->paint->stop);
    buf_add_byte(buf, ' ');
    add_visible(buf, line->source);
    buf_add_byte(buf, '\n');
    write_painted(writing, writing->paint->faint, "      |");
    buf_add_byte(buf, ' ');
    write_caret(writing, line);
}

static void write_place(const struct writing *writing, const struct position *at)
{
    struct buf *buf = writing->buf;

    buf_add_text(buf, writing->paint->place);
    add_visible(buf, at->file);
    if (at->line > 0)
        buf_printf(buf, ":%zu:%zu", at->line, at->column);
    buf_add_text(buf, writing->paint->stop);
    buf_add_text(buf, ": ");
}

static void write_related(const struct writing *writing, const struct diagnostic *entry)
{
    const struct line line = { entry->related.line, entry->related_source, entry->related_caret, 1,
                               writing->paint->faint };
    struct buf *buf = writing->buf;

    if (entry->related.line == 0)
        return;
    write_place(writing, &entry->related);
    write_painted(writing, writing->paint->faint, "note:");
    buf_add_byte(buf, ' ');
    add_visible(buf, entry->related_note);
    if (entry->repeat_count > 0)
        buf_printf(buf, ", and %zu time%s more", entry->repeat_count,
                   entry->repeat_count == 1 ? "" : "s");
    buf_add_byte(buf, '\n');
    write_source(writing, &line);
}

static void write_hint(const struct writing *writing, const struct diagnostic *entry)
{
    if (entry->hint.len == 0)
        return;
    write_painted(writing, writing->paint->faint, "  hint:");
    buf_add_byte(writing->buf, ' ');
    add_visible(writing->buf, entry->hint);
    buf_add_byte(writing->buf, '\n');
}

static void write_one(const struct writing *writing, const struct diagnostic *entry)
{
    const struct line line = { entry->at.line, entry->source, entry->caret, entry->width,
                               writing->severity };
    struct buf *buf = writing->buf;

    write_place(writing, &entry->at);
    write_painted(writing, writing->severity, severity_names[entry->severity]);
    buf_add_text(buf, ": ");
    add_visible(buf, entry->message);
    if (entry->rule != NULL)
        buf_printf(buf, " [%s]", entry->rule);
    buf_add_byte(buf, '\n');
    write_source(writing, &line);
    write_hint(writing, entry);
    write_related(writing, entry);
}

void diagnostics_write_painted(const struct diagnostics *diagnostics,
                               const struct diagnostic_paint *paint, struct buf *buf)
{
    struct writing writing = { paint, "", buf };

    for (size_t i = 0; i < diagnostics->count; i++) {
        bool is_error = diagnostics->list[i].severity == DIAGNOSTIC_ERROR;

        writing.severity = is_error ? paint->error : paint->warning;
        write_one(&writing, &diagnostics->list[i]);
    }
    if (diagnostics->dropped_count > 0)
        buf_printf(buf, "and %zu more that are not shown\n", diagnostics->dropped_count);
}

void diagnostics_write(const struct diagnostics *diagnostics, struct buf *buf)
{
    static const struct diagnostic_paint none = { "", "", "", "", "" };

    diagnostics_write_painted(diagnostics, &none, buf);
}
