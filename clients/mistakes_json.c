#include "base/json.h"
#include "base/utf8.h"
#include "clients/mistakes.h"
#include "clients/mistakes_internal.h"

json_t *mistake_text(struct str text)
{
    OWNED(buf_release) struct buf clean = { 0 };

    buf_init(&clean, 3 * text.len + 1);
    while (text.len > 0) {
        struct str rest = text;
        uint32_t character;

        if (utf8_take(&rest, &character) && character != 0) {
            buf_add(&clean, str_slice(text, 0, text.len - rest.len));
            text = rest;
            continue;
        }
        buf_add_text(&clean, "\xEF\xBF\xBD");
        text = str_slice(text, 1, text.len);
    }
    return buf_is_ok(&clean) ? json_from_str(buf_str(&clean)) : NULL;
}

size_t mistake_end_column(const struct diagnostic *diagnostic)
{
    return diagnostic->at.column + (diagnostic->width > 0 ? diagnostic->width : 1);
}

static json_t *count_json(size_t count)
{
    return json_integer((json_int_t)count);
}

static bool put_text(json_t *object, const char *name, struct str text)
{
    return text.len == 0 || json_put(object, name, mistake_text(text));
}

static bool put_place(json_t *object, const struct position *at)
{
    return json_put(object, "file", mistake_text(at->file)) &&
           json_put(object, "line", count_json(at->line)) &&
           json_put(object, "column", count_json(at->column));
}

static bool put_source(json_t *object, struct str source, size_t caret)
{
    return source.len == 0 ||
           (put_text(object, "source", source) && json_put(object, "caret", count_json(caret)));
}

static bool put_related(json_t *object, const struct diagnostic *diagnostic)
{
    json_t *related;

    if (diagnostic->related.line == 0)
        return true;
    related = json_object();
    return json_put(object, "related", related) && put_place(related, &diagnostic->related) &&
           put_text(related, "note", diagnostic->related_note) &&
           put_source(related, diagnostic->related_source, diagnostic->related_caret) &&
           (diagnostic->repeat_count == 0 ||
            json_put(object, "repeats", count_json(diagnostic->repeat_count)));
}

static bool put_mistake(json_t *object, const struct diagnostic *diagnostic)
{
    bool is_error = diagnostic->severity == DIAGNOSTIC_ERROR;

    return json_put(object, "severity", json_string(is_error ? "error" : "warning")) &&
           (!diagnostic->rule || json_put(object, "rule", json_string(diagnostic->rule))) &&
           put_place(object, &diagnostic->at) &&
           (diagnostic->at.line == 0 ||
            json_put(object, "end_column", count_json(mistake_end_column(diagnostic)))) &&
           put_text(object, "message", diagnostic->message) &&
           put_text(object, "hint", diagnostic->hint) &&
           put_source(object, diagnostic->source, diagnostic->caret) &&
           (diagnostic->source.len == 0 ||
            json_put(object, "width", count_json(diagnostic->width))) &&
           put_related(object, diagnostic);
}

json_t *mistakes_json(const struct diagnostics *diagnostics)
{
    JSON_OWNED json_t *list = json_array();

    for (size_t i = 0; i < diagnostics->count; i++) {
        json_t *object = json_object();

        if (json_array_append_new(list, object) != 0 || !put_mistake(object, &diagnostics->list[i]))
            return NULL;
    }
    return TAKE(list);
}
