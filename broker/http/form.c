#include "http/form.h"

#include <string.h>

#include "base/error.h"

/* The two that RFC 8693 2.1 lets come more than once, and one of ours. */
static bool may_repeat(struct str name)
{
    return str_eq(name, STR("audience")) || str_eq(name, STR("resource")) ||
           str_eq(name, STR("binding"));
}

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return -1;
}

/* Decode to `*next`, which moves behind the decoded bytes: never more than the raw ones. */
static bool decode(struct str raw, char **next, struct str *decoded)
{
    char *out = *next;

    for (size_t i = 0; i < raw.len; i++) {
        char byte = raw.data[i] == '+' ? ' ' : raw.data[i];

        if (raw.data[i] == '%') {
            int high = i + 2 < raw.len ? hex_value(raw.data[i + 1]) : -1;
            int low = i + 2 < raw.len ? hex_value(raw.data[i + 2]) : -1;

            if (high < 0 || low < 0)
                return false;
            byte = (char)(high * 16 + low);
            i += 2;
        }
        if (byte == '\0')
            return false;
        *out++ = byte;
    }
    *decoded = (struct str){ *next, (size_t)(out - *next) };
    *next = out;
    return str_is_utf8(*decoded);
}

/* The name without "[]" or "[0]" behind it. */
static struct str without_index(struct str name)
{
    size_t open = str_find(name, '[');
    struct str index = str_slice(name, open + 1, name.len);

    if (index.len == 0 || index.data[index.len - 1] != ']')
        return name;
    index.len--;
    return str_is_made_of(index, "0123456789") ? str_slice(name, 0, open) : name;
}

/* Whether somebody meant a known parameter, and another parser would take it for one. */
static bool is_lookalike(struct str name, const char *const *known)
{
    struct str bare = without_index(name);
    bool is_alike = false;

    for (; *known != NULL; known++) {
        if (str_eq(name, str_from(*known)))
            return false;
        if (str_eq_ignore_case(bare, str_from(*known)))
            is_alike = true;
    }
    return is_alike;
}

static bool is_there(const struct form *form, struct str name)
{
    for (size_t i = 0; i < form->count; i++) {
        if (str_eq(form->list[i].name, name))
            return true;
    }
    return false;
}

static bool decode_parameter(struct str raw, char **next, struct form_parameter *parameter,
                             struct error *error)
{
    struct str name;
    struct str value;

    (void)str_cut(raw, '=', &name, &value);
    if (!decode(name, next, &parameter->name) || !decode(value, next, &parameter->value))
        return error_set(error, ERROR_REQUEST, "form: broken escape, NUL or not UTF-8");
    return parameter->name.len > 0 ||
           error_set(error, ERROR_REQUEST, "form: parameter without a name");
}

/* `known` NULL: whatever comes is kept. */
static bool add_parameter(struct form *form, struct str raw, const char *const *known, char **next,
                          struct error *error)
{
    struct form_parameter parameter;

    if (!decode_parameter(raw, next, &parameter, error))
        return false;
    if (known == NULL) {
        form->list[form->count++] = parameter;
        return true;
    }
    if (is_lookalike(parameter.name, known))
        return error_set(error, ERROR_REQUEST, "form: misspelt name of a known parameter");
    if (parameter.value.len == 0)
        return true;
    if (is_there(form, parameter.name) && !may_repeat(parameter.name))
        return error_set(error, ERROR_REQUEST, "form: repeated parameter");
    form->list[form->count++] = parameter;
    return true;
}

bool form_parse(struct str body, const char *const *known, struct arena *arena, struct form *form,
                struct error *error)
{
    char *next = NULL;
    size_t seen = 0;

    form->count = 0;
    if (body.len > FORM_BYTES_MAX)
        return error_set(error, ERROR_BODY_TOO_LARGE, "form: %zu bytes", body.len);
    next = arena_alloc(arena, body.len + 1);
    if (next == NULL)
        return error_set(error, ERROR_MEMORY, "form: no memory");

    while (body.len > 0) {
        struct str raw;

        (void)str_cut(body, '&', &raw, &body);
        if (raw.len == 0)
            continue;
        if (++seen > FORM_PARAMETERS_MAX)
            return error_set(error, ERROR_REQUEST, "form: more than %d parameters",
                             FORM_PARAMETERS_MAX);
        if (!add_parameter(form, raw, known, &next, error))
            return false;
    }
    return true;
}

bool form_parse_query(struct str query, struct arena *arena, struct form *form, struct error *error)
{
    return form_parse(query, NULL, arena, form, error);
}

bool form_get(const struct form *form, const char *name, struct str *value)
{
    for (size_t i = 0; i < form->count; i++) {
        if (str_eq(form->list[i].name, str_from(name))) {
            *value = form->list[i].value;
            return true;
        }
    }
    return false;
}

size_t form_count(const struct form *form, const char *name)
{
    size_t count = 0;

    for (size_t i = 0; i < form->count; i++)
        count += str_eq(form->list[i].name, str_from(name)) ? 1 : 0;
    return count;
}
