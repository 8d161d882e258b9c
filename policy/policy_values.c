#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "policy/policy_internal.h"

static const char *const type_names[] = {
    [POLICY_ANY] = "text",           [POLICY_TEXT] = "text",
    [POLICY_INTEGER] = "a number",   [POLICY_BOOLEAN] = "true or false",
    [POLICY_ADDRESS] = "an address",
};

static int compare_texts(const void *a, const void *b)
{
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

static int compare_integers(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;

    return (left > right) - (left < right);
}

static bool read_integer(struct str text, enum policy_type type, int64_t *integer)
{
    if (type == POLICY_INTEGER)
        return str_to_int64(text, integer);
    *integer = str_eq(text, STR("true"));
    return *integer == 1 || str_eq(text, STR("false"));
}

/* Refuse text that can never be equal to a claim, or that looks like a pattern. */
static bool check_text(const struct policy_loader *loader, const json_t *at, struct str text)
{
    const struct yaml_reader *reader = &loader->reader;

    if (text.len == 0)
        return yaml_complain_hint(reader, at, STR("an empty claim is absent: { exists: false }"),
                                  "an empty value fits nothing");
    if (text.len > POLICY_VALUE_MAX)
        return yaml_complain(reader, at, "a value has at most %d bytes", POLICY_VALUE_MAX);
    if (str_find(text, '*') < text.len)
        return yaml_complain_hint(reader, at, STR("a pattern is written { like: \"...\" }"),
                                  "'*' is no pattern here: a plain value is compared exactly");
    for (size_t i = 0; i + 1 < text.len; i++)
        if (text.data[i] == '$' && text.data[i + 1] == '{')
            return yaml_complain(reader, at,
                                 "'${...}' is filled in grants only, not in conditions");
    return true;
}

static bool check_scalar(const struct policy_loader *loader, const json_t *json)
{
    if (json_is_string(json))
        return true;
    return yaml_complain_hint(&loader->reader, json,
                              STR("a list means one of its values; a list of maps stands directly "
                                  "under 'when', 'unless' or 'identity'"),
                              "expected a plain value, not %s",
                              json_is_array(json) ? "a list" : "a map");
}

static bool read_one(struct policy_loader *loader, const json_t *json, enum policy_type type,
                     struct str *texts, int64_t *integers)
{
    struct str text;

    if (!check_scalar(loader, json))
        return false;
    text = json_str(json);
    if (type == POLICY_TEXT) {
        *texts = policy_loader_copy(loader, text);
        return check_text(loader, json, text);
    }
    if (read_integer(text, type, integers))
        return true;
    return yaml_complain(&loader->reader, json, "expected %s, not '" STR_FMT "'", type_names[type],
                         STR_ARG(str_slice(text, 0, 60)));
}

/* Sort, and report a value that is there twice. */
static bool sort_values(const struct policy_loader *loader, const json_t *at, struct str *texts,
                        int64_t *integers, size_t count)
{
    if (texts != NULL)
        qsort(texts, count, sizeof(*texts), compare_texts);
    else
        qsort(integers, count, sizeof(*integers), compare_integers);
    for (size_t i = 1; i < count; i++) {
        if (texts != NULL && str_eq(texts[i - 1], texts[i]))
            return yaml_complain(&loader->reader, at, "the value '" STR_FMT "' is there twice",
                                 STR_ARG(str_slice(texts[i], 0, 60)));
        if (texts == NULL && integers[i - 1] == integers[i])
            return yaml_complain(&loader->reader, at, "a value is there twice");
    }
    return true;
}

static bool read_list(struct policy_loader *loader, const json_t *json, enum policy_type type,
                      size_t max, struct policy_values *values)
{
    size_t count = json_is_array(json) ? json_array_size(json) : 1;
    struct str *texts = NULL;
    int64_t *integers = NULL;
    bool is_good = true;

    if (count == 0)
        return yaml_complain(&loader->reader, json, "an empty list fits nothing");
    if (count > max)
        return yaml_complain(&loader->reader, json, "a list has at most %zu values, not %zu", max,
                             count);
    if (type == POLICY_TEXT)
        texts = policy_loader_alloc(loader, count, sizeof(*texts));
    else
        integers = policy_loader_alloc(loader, count, sizeof(*integers));
    if (texts == NULL && integers == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_is_array(json) ? json_array_get(json, i) : json;

        if (!read_one(loader, item, type, texts == NULL ? NULL : &texts[i],
                      integers == NULL ? NULL : &integers[i]))
            is_good = false;
    }
    *values = (struct policy_values){ texts, integers, count };
    return is_good && sort_values(loader, json, texts, integers, count);
}

bool policy_values_read(struct policy_loader *loader, const json_t *json, enum policy_type type,
                        struct policy_values *values)
{
    return read_list(loader, json, type, POLICY_VALUES_MAX, values);
}

/* ---- sets ---- */

static int compare_sets(const void *a, const void *b)
{
    const struct policy_set *left = a;
    const struct policy_set *right = b;
    int order = str_compare(left->name, right->name);

    return order != 0 ? order : str_compare(left->at.file, right->at.file);
}

static void read_set(struct policy_loader *loader, const json_t *map, const char *name)
{
    const json_t *list = json_object_get(map, name);
    struct policy_set *set = &loader->sets[loader->set_count];

    if (!json_is_array(list)) {
        (void)yaml_complain_hint(&loader->reader, list, STR("a set is written [a, b]"),
                                 "a set is a list of values");
        return;
    }
    if (!policy_is_name(str_from(name), POLICY_NAME_SET "._", POLICY_SET_NAME_MAX)) {
        (void)yaml_complain_key(&loader->reader, map, name, STR(""),
                                "a set's name has 1 to %d of a-z, 0-9, '.', '_' and '-'",
                                POLICY_SET_NAME_MAX);
        return;
    }
    if (!read_list(loader, list, POLICY_TEXT, POLICY_SET_VALUES_MAX, &set->values))
        return;
    set->name = policy_loader_copy(loader, str_from(name));
    set->at = yaml_at_key(loader->reader.document, map, name);
    set->at.file = policy_loader_copy(loader, set->at.file);
    set->list = policy_loader_keep(loader, list);
    loader->set_count++;
}

void policy_sets_read(struct policy_loader *loader, const json_t *root)
{
    static const char *const names[] = { "sets", NULL };
    const json_t *map = NULL;
    const char *name;
    json_t *value;

    if (!yaml_expect_map(&loader->reader, root, names) ||
        !yaml_get_map(&loader->reader, root, "sets", &map))
        return;
    if (json_object_size(map) == 0)
        (void)yaml_complain(&loader->reader, map, "there is no set in 'sets'");
    json_object_foreach (json_iterable(map), name, value) {
        read_set(loader, map, name);
    }
}

void policy_sets_finish(struct policy_loader *loader)
{
    if (loader->set_count == 0)
        return;
    qsort(loader->sets, loader->set_count, sizeof(loader->sets[0]), compare_sets);
    for (size_t i = 1; i < loader->set_count; i++) {
        const struct policy_set *first = &loader->sets[i - 1];
        const struct policy_set *second = &loader->sets[i];

        if (str_eq(first->name, second->name))
            (void)diagnostics_add(
                loader->reader.diagnostics, DIAGNOSTIC_ERROR, second->at, STR(""), STR(""),
                "the set '" STR_FMT "' is already at " STR_FMT ":%zu:%zu", STR_ARG(second->name),
                STR_ARG(first->at.file), first->at.line, first->at.column);
    }
}

static const struct policy_set *find_set(const struct policy_loader *loader, struct str name)
{
    struct policy_set wanted = { .name = name };

    for (size_t low = 0, high = loader->set_count; low < high;) {
        size_t middle = low + (high - low) / 2;
        int order = str_compare(wanted.name, loader->sets[middle].name);

        if (order == 0)
            return &loader->sets[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

static bool complain_set(const struct policy_loader *loader, const json_t *use)
{
    struct arena *arena = loader->reader.diagnostics->arena;
    struct str *names = arena_alloc_array(arena, loader->set_count + 1, sizeof(*names));
    struct str nearest = { 0 };

    for (size_t i = 0; names != NULL && i < loader->set_count; i++)
        names[i] = loader->sets[i].name;
    if (names != NULL)
        nearest = str_nearest(json_str(use), names, loader->set_count);
    if (nearest.len > 0)
        nearest = arena_printf(arena, "did you mean '" STR_FMT "'?", STR_ARG(nearest));
    return yaml_complain_hint(&loader->reader, use, nearest, "there is no set '" STR_FMT "'",
                              STR_ARG(str_slice(json_str(use), 0, POLICY_SET_NAME_MAX)));
}

/* The set's texts as integers or booleans. */
static bool convert_set(struct policy_loader *loader, const json_t *use,
                        const struct policy_set *set, enum policy_type type,
                        struct policy_values *values)
{
    int64_t *integers = policy_loader_alloc(loader, set->values.count, sizeof(*integers));

    if (integers == NULL)
        return false;
    for (size_t i = 0; i < set->values.count; i++)
        if (!read_integer(set->values.texts[i], type, &integers[i]))
            return yaml_complain(&loader->reader, use,
                                 "the set holds '" STR_FMT "', where %s is expected",
                                 STR_ARG(str_slice(set->values.texts[i], 0, 60)), type_names[type]);
    *values = (struct policy_values){ NULL, integers, set->values.count };
    return sort_values(loader, use, NULL, integers, values->count);
}

bool policy_values_of_set(struct policy_loader *loader, const json_t *use, enum policy_type type,
                          struct policy_values *values)
{
    const struct policy_set *set;

    if (!json_is_string(use))
        return yaml_complain(&loader->reader, use, "'in' takes the name of a set");
    set = find_set(loader, json_str(use));
    if (set == NULL)
        return complain_set(loader, use);
    if (json_object_set(loader->used_sets, json_string_value(use), json_iterable(set->list)) != 0)
        loader->is_out_of_memory = true;
    if (type != POLICY_TEXT)
        return convert_set(loader, use, set, type, values);
    *values = set->values;
    return true;
}
