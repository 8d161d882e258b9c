#include "base/claim.h"

#include <stdio.h>

#include "base/json.h"

const struct claim *claim_find(const struct claim_table *table, struct str name)
{
    const struct claim *open = NULL;

    for (size_t i = 0; i < table->count && name.len > 0; i++) {
        const struct claim *row = &table->rows[i];
        struct str known;

        if (row->name[0] != name.data[0]) /* most rows: measuring them would cost more */
            continue;
        known = str_from(row->name);
        if ((row->flags & CLAIM_PREFIX) == 0 && str_eq(known, name))
            return row;
        if ((row->flags & CLAIM_PREFIX) != 0 && name.len > known.len &&
            str_starts_with(name, known))
            open = row;
    }
    return open;
}

/* ---- pointers ---- */

/* Undo `~1` and `~0` of a pointer's part. */
static bool unescape(struct str part, char out[CLAIM_POINTER_MAX + 1])
{
    size_t len = 0;

    if (part.len == 0 || part.len > CLAIM_POINTER_MAX)
        return false;
    for (size_t i = 0; i < part.len; i++) {
        char byte = part.data[i];

        if (byte == '~') {
            if (++i == part.len || (part.data[i] != '0' && part.data[i] != '1'))
                return false;
            byte = part.data[i] == '0' ? '~' : '/';
        }
        out[len++] = byte;
    }
    out[len] = '\0';
    return true;
}

static const json_t *follow(const json_t *claims, struct str rest)
{
    const json_t *value = claims;
    char part[CLAIM_POINTER_MAX + 1];
    bool is_more = true;

    while (is_more && value != NULL) {
        struct str head;

        is_more = str_cut(rest, '/', &head, &rest);
        value = unescape(head, part) ? json_object_get(value, part) : NULL;
    }
    return value;
}

const json_t *claim_value(const json_t *claims, const char *name)
{
    return name[0] == '/' ? follow(claims, str_from(name + 1)) : json_object_get(claims, name);
}

bool claim_put(json_t *claims, const char *name, json_t *take_value)
{
    JSON_OWNED json_t *value = take_value;
    struct str rest = str_from(name + 1);
    char part[CLAIM_POINTER_MAX + 1];
    json_t *object = claims;
    struct str head;

    if (name[0] != '/')
        return json_put(claims, name, json_incref(value));
    while (str_cut(rest, '/', &head, &rest)) {
        if (!unescape(head, part))
            return false;
        if (json_object_get(object, part) == NULL && !json_put(object, part, json_object()))
            return false;
        object = json_object_get(object, part);
    }
    return unescape(head, part) && json_put(object, part, json_incref(value));
}

bool claim_drop(json_t *claims, const char *name)
{
    struct str rest = str_from(name + 1);
    char part[CLAIM_POINTER_MAX + 1];
    json_t *object = claims;
    struct str head;

    if (name[0] != '/')
        return json_object_del(claims, name) == 0;
    while (str_cut(rest, '/', &head, &rest)) {
        if (!unescape(head, part))
            return false;
        object = json_object_get(object, part);
    }
    return unescape(head, part) && json_object_del(object, part) == 0;
}

bool claim_name_is_good(struct str name)
{
    char part[CLAIM_POINTER_MAX + 1];
    struct str rest = str_slice(name, 1, name.len);
    bool is_more = true;

    if (name.len == 0 || name.data[0] != '/')
        return name.len > 0;
    while (is_more) {
        struct str head;

        is_more = str_cut(rest, '/', &head, &rest);
        if (!unescape(head, part))
            return false;
    }
    return true;
}

/* ---- types ---- */

static bool are_strings(const json_t *value)
{
    if (json_is_string(value))
        return true;
    if (!json_is_array(value))
        return false;
    for (size_t i = 0; i < json_array_size(value); i++)
        if (!json_is_string(json_array_get(value, i)))
            return false;
    return true;
}

static bool are_objects(const json_t *value)
{
    if (!json_is_array(value))
        return false;
    for (size_t i = 0; i < json_array_size(value); i++)
        if (!json_is_object(json_array_get(value, i)))
            return false;
    return true;
}

bool claim_has_type(const json_t *value, enum claim_type type)
{
    switch (type) {
    case CLAIM_STRING:
        return json_is_string(value);
    case CLAIM_INTEGER:
        return json_is_integer(value);
    case CLAIM_BOOLEAN:
        return json_is_boolean(value);
    case CLAIM_STRINGS:
        return are_strings(value);
    case CLAIM_OBJECT:
        return json_is_object(value);
    case CLAIM_OBJECTS:
        return are_objects(value);
    }
    return false;
}

/* ---- dangers ---- */

static bool is_value(const json_t *value, const char *wanted)
{
    struct str text = json_str(value);

    if (json_is_boolean(value))
        text = json_is_true(value) ? STR("true") : STR("false");
    return text.len > 0 && str_eq(text, str_from(wanted));
}

/* The value of a fact that is named as policies do. */
static const json_t *fact_value(const json_t *ci, const char *name)
{
    return json_object_get(ci, name + sizeof("ci.") - 1);
}

static bool is_there(const struct claim_danger *row, const json_t *claims, const json_t *ci)
{
    bool is_said = row->claim != NULL ? is_value(claim_value(claims, row->claim), row->value)
                                      : is_value(fact_value(ci, row->fact), row->fact_value);

    return is_said && (row->harmless == NULL || !json_is_false(fact_value(ci, row->harmless)));
}

size_t claim_dangers_find(const struct claim_dangers *dangers, const json_t *claims,
                          const json_t *ci, const struct claim_danger **found)
{
    size_t count = 0;

    for (size_t i = 0; i < dangers->count; i++)
        if (is_there(&dangers->rows[i], claims, ci))
            found[count++] = &dangers->rows[i];
    return count;
}

/* ---- copies ---- */

static json_t *number_text(const json_t *number)
{
    char digits[24];
    int len = snprintf(digits, sizeof(digits), "%" JSON_INTEGER_FORMAT, json_integer_value(number));

    return json_stringn(digits, (size_t)len);
}

static bool put_copy(const struct claim_copy *row, const json_t *claims, json_t *ci)
{
    const json_t *value = claim_value(claims, row->claim);
    bool is_absent = value == NULL || json_is_null(value) ||
                     (json_is_string(value) && json_string_length(value) == 0);

    if (is_absent && row->form == CLAIM_FORM_NONE) {
        (void)json_object_del(ci, row->fact); /* it may not be there */
        return true;
    }
    if (!is_absent && json_is_string(value))
        return json_put(ci, row->fact, json_incref(json_iterable(value)));
    if (json_is_integer(value) && row->form == CLAIM_FORM_NUMBER)
        return json_put(ci, row->fact, number_text(value));
    return json_put(ci, row->fact, json_null());
}

bool claim_copies_put(const struct claim_copies *copies, const json_t *claims, json_t *ci)
{
    for (size_t i = 0; i < copies->count; i++)
        if (!put_copy(&copies->rows[i], claims, ci))
            return false;
    return true;
}

/* ---- words ---- */

static bool is_boolean(const struct claim_table *facts, const char *fact)
{
    const struct claim *row = claim_find(facts, str_from(fact));

    return row != NULL && row->type == CLAIM_BOOLEAN;
}

bool claim_words_put(const struct claim_words *words, const struct claim_table *facts,
                     const json_t *claims, json_t *ci)
{
    for (size_t i = 0; i < words->count; i++) {
        const struct claim_word *row = &words->rows[i];
        struct str value = str_from(row->value);

        if (!is_value(claim_value(claims, row->claim), row->word))
            continue;
        if (!json_put(ci, row->fact,
                      is_boolean(facts, row->fact) ? json_boolean(str_eq(value, STR("true")))
                                                   : json_from_str(value)))
            return false;
    }
    return true;
}
