#include "clients/export_form.h"

#include "base/arena.h"
#include "base/json.h"

struct str export_text(const json_t *entry, const char *outer, const char *inner)
{
    const json_t *value = json_object_get(entry, outer);

    return json_str(inner ? json_object_get(value, inner) : value);
}

struct str export_list(const json_t *list, const char *member, struct arena *arena)
{
    struct str text = STR("");

    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        struct str value = json_str(member ? json_object_get(item, member) : item);

        if (value.len > 0)
            text = arena_printf(arena, STR_FMT "%s" STR_FMT, STR_ARG(text), text.len > 0 ? " " : "",
                                STR_ARG(value));
    }
    return text;
}

struct str export_type_words(const json_t *entry, struct arena *arena)
{
    struct str words = arena_copy(arena, json_str(json_object_get(entry, "type")));
    char *bytes = words.data ? arena_alloc(arena, words.len + 1) : NULL;

    if (!bytes)
        return STR("");
    for (size_t i = 0; i < words.len; i++)
        bytes[i] = words.data[i] == '.' || words.data[i] == '_' ? ' ' : words.data[i];
    return (struct str){ bytes, words.len };
}
