#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "targets/targets_internal.h"

#define SHOWN_MAX 60 /* bytes of a foreign value in a message */
#define CHOICES_MAX 64
#define DNS_LABEL_MAX 63

bool grant_fault(struct grant_reader *reader, const json_t *at, const char *format, ...)
{
    va_list values;

    if (reader->fault[0] != '\0')
        return false;
    reader->at = at;
    va_start(values, format);
    (void)vsnprintf(reader->fault, sizeof(reader->fault), format, values);
    va_end(values);
    return false;
}

/* The text with each hole as long as it can get. */
static bool widen(struct grant_reader *reader, const json_t *at, struct str text, size_t max,
                  struct str *out)
{
    OWNED(buf_release) struct buf wide = { 0 };
    struct str name;

    buf_init(&wide, max);
    while (text.len > 0) {
        size_t hole = str_find_part(text, STR("${"));

        buf_add(&wide, str_slice(text, 0, hole));
        if (hole == text.len)
            break;
        if (!str_cut(str_slice(text, hole + 2, text.len), '}', &name, &text) || name.len == 0)
            return grant_fault(reader, at, "'${' without a name and '}'");
        for (size_t i = 0; i < (max < GRANT_HOLE_MAX ? 1 : GRANT_HOLE_MAX); i++)
            buf_add_byte(&wide, 'x');
    }
    if (!buf_is_ok(&wide))
        return grant_fault(reader, at, "longer than %zu bytes when its holes are filled", max);
    *out = arena_copy(reader->arena, buf_str(&wide));
    return out->data != NULL || grant_fault(reader, at, "no memory for a grant's text");
}

static bool fill(struct grant_reader *reader, const json_t *value, size_t max, struct str *text)
{
    if (str_find_part(*text, STR("${")) == text->len)
        return true;
    if (reader->has_open_holes)
        return widen(reader, value, *text, max, text);
    return grant_fault(reader, value, "a hole that was not filled");
}

bool grant_text(struct grant_reader *reader, const json_t *value, const struct text_limits *limits,
                struct str *out)
{
    struct str text = json_str(value);

    if (!json_is_string(value))
        return grant_fault(reader, value, "'%s' must be text", limits->name);
    if (text.len == 0)
        return grant_fault(reader, value, "'%s' must not be empty", limits->name);
    if (!fill(reader, value, limits->bytes, &text))
        return false;
    if (text.len > limits->bytes)
        return grant_fault(reader, value, "'%s' is longer than %zu bytes", limits->name,
                           limits->bytes);
    if (str_has_control(text))
        return grant_fault(reader, value, "'%s' holds a control character", limits->name);
    if (limits->charset && !str_is_made_of(text, limits->charset))
        return grant_fault(reader, value, "'" STR_FMT "' holds a character that '%s' cannot have",
                           STR_ARG(str_slice(json_str(value), 0, SHOWN_MAX)), limits->name);
    *out = text;
    return true;
}

bool text_is_dns_name(struct str text)
{
    bool has_more = true;
    struct str label;

    while (has_more) {
        has_more = str_cut(text, '.', &label, &text);
        if (label.len == 0 || label.len > DNS_LABEL_MAX || label.data[0] == '-' ||
            label.data[label.len - 1] == '-')
            return false;
    }
    return true;
}

bool texts_contain(const struct texts *texts, struct str text)
{
    for (size_t i = 0; i < texts->count; i++)
        if (str_eq(texts->list[i], text))
            return true;
    return false;
}

bool grant_texts(struct grant_reader *reader, const json_t *value, const struct text_limits *limits,
                 struct texts *out)
{
    size_t count = json_is_array(value) ? json_array_size(value) : 1;
    struct str *list;
    struct texts texts;

    if (count == 0)
        return grant_fault(reader, value, "'%s' must not be empty", limits->name);
    if (count > limits->count)
        return grant_fault(reader, value, "'%s' has more than %zu elements", limits->name,
                           limits->count);
    list = arena_alloc_array(reader->arena, count, sizeof(*list));
    if (!list)
        return grant_fault(reader, value, "no memory for '%s'", limits->name);
    texts = (struct texts){ list, 0 };
    for (; texts.count < count; texts.count++) {
        const json_t *item = json_is_array(value) ? json_array_get(value, texts.count) : value;

        if (!grant_text(reader, item, limits, &list[texts.count]))
            return false;
        if (texts_contain(&texts, list[texts.count]))
            return grant_fault(reader, item, "'" STR_FMT "' is there twice",
                               STR_ARG(str_slice(json_str(item), 0, SHOWN_MAX)));
    }
    *out = texts;
    return true;
}

bool grant_need(struct grant_reader *reader, const json_t *fields, const struct text_limits *limits,
                struct str *out)
{
    const json_t *value = json_object_get(fields, limits->name);

    if (!value)
        return grant_fault(reader, fields, "'%s' is missing here", limits->name);
    return grant_text(reader, value, limits, out);
}

bool grant_may(struct grant_reader *reader, const json_t *fields, const struct text_limits *limits,
               struct str *out)
{
    const json_t *value = json_object_get(fields, limits->name);

    return !value || grant_text(reader, value, limits, out);
}

bool grant_need_list(struct grant_reader *reader, const json_t *fields,
                     const struct text_limits *limits, struct texts *out)
{
    const json_t *value = json_object_get(fields, limits->name);

    if (!value)
        return grant_fault(reader, fields, "'%s' is missing here", limits->name);
    return grant_texts(reader, value, limits, out);
}

/* "did you mean 'write'?", or what there is. */
static bool complain_choice(struct grant_reader *reader, const json_t *value, const char *what,
                            const char *const *names)
{
    struct str shown = str_slice(json_str(value), 0, SHOWN_MAX);
    struct str known[CHOICES_MAX];
    struct str nearest;
    size_t count = 0;

    for (; names[count] && count < CHOICES_MAX; count++)
        known[count] = str_from(names[count]);
    nearest = str_nearest(json_str(value), known, count);
    if (nearest.len > 0)
        return grant_fault(reader, value, "'" STR_FMT "' is no %s: did you mean '" STR_FMT "'?",
                           STR_ARG(shown), what, STR_ARG(nearest));
    return grant_fault(reader, value, "'" STR_FMT "' is no %s, such as '%s'", STR_ARG(shown), what,
                       names[0]);
}

bool grant_choice(struct grant_reader *reader, const json_t *value, const char *what,
                  const char *const *names, size_t *out)
{
    if (!json_is_string(value))
        return grant_fault(reader, value, "expected one text, the name of %s %s",
                           strchr("aeiou", what[0]) ? "an" : "a", what);
    for (size_t i = 0; names[i]; i++)
        if (str_eq(json_str(value), str_from(names[i]))) {
            *out = i;
            return true;
        }
    return complain_choice(reader, value, what, names);
}

bool grant_starts_literally(struct grant_reader *reader, const json_t *value, const char *what)
{
    if (!reader->has_open_holes || !grant_starts_with_hole(value))
        return true;
    return grant_fault(reader, value,
                       "%s starts with literal text: a hole in front would let the job name it",
                       what);
}

const json_t *grant_item(const json_t *value, size_t index)
{
    return json_is_array(value) ? json_array_get(value, index) : value;
}

bool grant_flag(struct grant_reader *reader, const json_t *fields, const char *name, bool *out)
{
    const json_t *value = json_object_get(fields, name);
    struct str text = json_str(value);
    bool is_true = str_eq(text, STR("true"));

    if (value && !is_true && !str_eq(text, STR("false")))
        return grant_fault(reader, value, "'%s' must be true or false", name);
    *out = is_true;
    return true;
}

bool grant_starts_with_hole(const json_t *value)
{
    return str_starts_with(json_str(value), STR("${"));
}

bool grant_has_hole(const json_t *value)
{
    struct str text = json_str(value);

    return str_find_part(text, STR("${")) < text.len;
}

bool grant_written(struct arena *arena, const json_t *value, struct texts *out)
{
    size_t max = json_is_array(value) ? json_array_size(value) : 1;
    struct str *list = arena_alloc_array(arena, max + 1, sizeof(*list));

    *out = (struct texts){ list, 0 };
    for (size_t i = 0; list != NULL && i < max; i++) {
        const json_t *item = json_is_array(value) ? json_array_get(value, i) : value;

        if (json_is_string(item))
            list[out->count++] = json_str(item);
    }
    return list != NULL;
}

void grant_report(const struct yaml_reader *yaml, const json_t *fields,
                  const struct grant_reader *reader)
{
    (void)yaml_complain(yaml, reader->at ? reader->at : fields, "%s", reader->fault);
}

void grant_check(const struct yaml_reader *yaml, const struct policy_grant_view *view,
                 grant_reading read)
{
    OWNED(arena_free) struct arena *arena = arena_new(GRANT_MEMORY_MAX);
    struct grant_reader reader = { .arena = arena, .has_open_holes = true };

    if (!arena)
        (void)yaml_complain(yaml, view->fields, "no memory to check a grant");
    else if (!read(&reader, view))
        grant_report(yaml, view->fields, &reader);
}

bool given_room(struct policy_given *given, struct arena *arena, size_t names, size_t principals)
{
    given->names = arena_alloc_array(arena, names + 1, sizeof(*given->names));
    given->principals = arena_alloc_array(arena, principals + 1, sizeof(*given->principals));
    return given->names != NULL && given->principals != NULL;
}

bool given_name(struct policy_given *given, struct str text)
{
    given->names[given->name_count++] = text;
    return text.data != NULL;
}

bool given_principal(struct policy_given *given, struct str text)
{
    given->principals[given->principal_count++] = text;
    return text.data != NULL;
}

bool grant_error(const struct grant_reader *reader, struct error *error)
{
    return error_set(error, ERROR_MINT, "the grant is not fit to use: %s", reader->fault);
}
