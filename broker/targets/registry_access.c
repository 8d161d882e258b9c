#include "targets/registry_access.h"

#include "base/error.h"
#include "base/json.h"
#include "targets/targets_internal.h"

#define NAME_CHARSET LETTERS_AND_DIGITS "._-/:"
#define TYPE_CHARSET SMALL_LETTERS DIGITS
#define ACTIONS_MAX 16

bool registry_access_split(struct str text, struct registry_access *access)
{
    struct str rest;
    size_t at;

    if (!str_cut(text, ':', &access->type, &rest))
        return false;
    at = rest.len;
    while (at > 0 && rest.data[at - 1] != ':')
        at--;
    if (at == 0)
        return false;
    access->name = str_slice(rest, 0, at - 1);
    access->actions = str_slice(rest, at, rest.len);
    return true;
}

/* ---- what is asked for ---- */

static bool is_word(struct str text)
{
    return text.len > 0 && str_is_made_of(text, TYPE_CHARSET);
}

/* "repository", or "repository(plugin)". */
static bool is_type(struct str text)
{
    struct str type;
    struct str class;

    if (!str_cut(text, '(', &type, &class))
        return is_word(text);
    if (class.len == 0 || class.data[class.len - 1] != ')')
        return false;
    class.len--;
    return is_word(type) && is_word(class);
}

static bool are_actions(struct str text)
{
    bool has_more = true;
    size_t count = 0;
    struct str action;

    while (has_more) {
        has_more = str_cut(text, ',', &action, &text);
        if (++count > ACTIONS_MAX || (!is_word(action) && !str_eq(action, STR("*"))))
            return false;
    }
    return true;
}

static bool read_scope(struct str text, struct registry_access *scope)
{
    return text.len <= REGISTRY_SCOPE_MAX && registry_access_split(text, scope) &&
           is_type(scope->type) && scope->name.len > 0 &&
           str_is_made_of(scope->name, NAME_CHARSET) && are_actions(scope->actions);
}

bool registry_scopes_add(struct registry_scopes *scopes, struct str text, struct error *error)
{
    bool has_more = true;
    struct str word;

    while (has_more) {
        has_more = str_cut(text, ' ', &word, &text);
        if (scopes->count == REGISTRY_SCOPES_MAX)
            return error_set(error, ERROR_SCOPE, "more than %d scopes", REGISTRY_SCOPES_MAX);
        if (!read_scope(word, &scopes->list[scopes->count]))
            return error_set(error, ERROR_SCOPE, "a scope that is not TYPE:NAME:ACTIONS");
        scopes->count++;
    }
    return true;
}

/* ---- what is granted ---- */

static bool has_action(struct str actions, struct str wanted)
{
    bool has_more = true;
    struct str action;

    while (has_more) {
        has_more = str_cut(actions, ',', &action, &actions);
        if (str_eq(action, wanted))
            return true;
    }
    return false;
}

static bool is_of_same(const struct registry_access *one, const struct registry_access *other)
{
    return str_eq(one->type, other->type) && str_eq(one->name, other->name);
}

static bool is_granted(const struct texts *granted, const struct registry_access *asked,
                       struct str action)
{
    struct registry_access access;

    for (size_t i = 0; i < granted->count; i++)
        if (registry_access_split(granted->list[i], &access) && is_of_same(&access, asked) &&
            has_action(access.actions, action))
            return true;
    return false;
}

bool registry_access_covers(const struct texts *granted, const struct registry_access *asked)
{
    struct str actions = asked->actions;
    bool has_more = true;
    struct str action;

    while (has_more) {
        has_more = str_cut(actions, ',', &action, &actions);
        if (!is_granted(granted, asked, action))
            return false;
    }
    return true;
}

static bool is_asked(const struct registry_scopes *asked, const struct registry_access *access,
                     struct str action)
{
    if (!asked)
        return true;
    for (size_t i = 0; i < asked->count; i++)
        if (is_of_same(&asked->list[i], access) && (has_action(asked->list[i].actions, action) ||
                                                    has_action(asked->list[i].actions, STR("*"))))
            return true;
    return false;
}

/* NULL without memory; an empty one is nothing. */
static json_t *narrow_actions(const struct registry_access *access,
                              const struct registry_scopes *asked)
{
    JSON_OWNED json_t *list = json_array();
    struct str actions = access->actions;
    bool has_more = true;
    struct str action;

    while (has_more) {
        has_more = str_cut(actions, ',', &action, &actions);
        if (is_asked(asked, access, action) &&
            json_array_append_new(list, json_from_str(action)) != 0)
            return NULL;
    }
    return TAKE(list);
}

static bool add_narrowed(json_t *list, const struct registry_access *access,
                         const struct registry_scopes *asked)
{
    JSON_OWNED json_t *actions = narrow_actions(access, asked);
    json_t *item;

    if (!actions || json_array_size(actions) == 0)
        return actions != NULL;
    item = json_append_object(list);
    return json_put(item, "type", json_from_str(access->type)) &&
           json_put(item, "name", json_from_str(access->name)) &&
           json_put(item, "actions", TAKE(actions));
}

json_t *registry_access_narrow(const struct texts *granted, const struct registry_scopes *asked)
{
    JSON_OWNED json_t *list = json_array();
    struct registry_access access;

    for (size_t i = 0; i < granted->count; i++)
        if (!registry_access_split(granted->list[i], &access) ||
            !add_narrowed(list, &access, asked))
            return NULL;
    return TAKE(list);
}

static void write_item(struct buf *text, const json_t *item)
{
    const json_t *actions = json_object_get(item, "actions");

    buf_printf(text, STR_FMT ":" STR_FMT ":", STR_ARG(json_str(json_object_get(item, "type"))),
               STR_ARG(json_str(json_object_get(item, "name"))));
    for (size_t i = 0; i < json_array_size(actions); i++)
        buf_printf(text, "%s" STR_FMT, i > 0 ? "," : "",
                   STR_ARG(json_str(json_array_get(actions, i))));
}

json_t *registry_access_written(const json_t *access)
{
    JSON_OWNED json_t *list = json_array();

    for (size_t i = 0; i < json_array_size(access); i++) {
        OWNED(buf_release) struct buf text = { 0 };

        buf_init(&text, REGISTRY_SCOPE_MAX + 1);
        write_item(&text, json_array_get(access, i));
        if (!buf_is_ok(&text) || json_array_append_new(list, json_from_str(buf_str(&text))) != 0)
            return NULL;
    }
    return TAKE(list);
}
